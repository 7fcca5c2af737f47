/*
 * scrypt (n 1024, r 1, p 1) of 80-byte headers: every path of ours against OpenSSL's EVP_PBE_scrypt in
 * the same run. Rounds take turns, so that all meet the same machine; the median of the rounds is
 * printed, in thousands a second of one core.
 *
 *   bench_scrypt [ROUNDS]      default: 9
 */
#include "algo/scrypt/scrypt_impl.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ROUNDS = 99, HASHES = 600, MAX_CASES = 8 };

struct bench {
	char what[48];
	struct scrypt_conf conf; /* kernel NULL: OpenSSL */
	uint32_t at_once;
	void *scratch;
	double khs[MAX_ROUNDS];
};

static struct bench cases[MAX_CASES];
static size_t n_cases;

static double thread_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Hash number i of this header, into out. False where OpenSSL fails. */
static bool run(struct bench *b, uint8_t out[][32])
{
	uint8_t headers[SCRYPT_LANES_MAX][80];
	struct scrypt_job jobs[SCRYPT_LANES_MAX] = {0};
	for (uint32_t i = 0; i < HASHES; i += b->at_once) {
		for (uint32_t k = 0; k < b->at_once; k++) {
			memset(headers[k], 0x5a, sizeof(headers[k]));
			memcpy(headers[k] + 76, &(uint32_t){i + k}, 4);
			jobs[k] = (struct scrypt_job){.text = {headers[k], sizeof(headers[k])},
						      .out = out[i + k],
						      .out_len = 32};
		}
		if (b->conf.kernel)
			scrypt_hash(&b->conf, b->scratch, jobs, b->at_once);
		else if (EVP_PBE_scrypt((const char *)headers[0], 80, headers[0], 80, 1024, 1, 1, 0,
					out[i], 32) != 1)
			return false;
	}
	return true;
}

static bool add(const struct scrypt_kernel *k, uint32_t at_once)
{
	struct bench *b = &cases[n_cases++];
	b->conf = (struct scrypt_conf){.n = 1024, .r = 1, .p = 1, .kernel = k};
	b->at_once = at_once;
	if (!k) {
		snprintf(b->what, sizeof(b->what), "OpenSSL EVP_PBE_scrypt");
		return true;
	}
	b->conf.lanes = k->lanes;
	b->scratch = aligned_alloc(64, scrypt_scratch_size(&b->conf));
	snprintf(b->what, sizeof(b->what), "ours, %s, %u at once", k->variant, at_once);
	return b->scratch != NULL;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void report(int rounds)
{
	double theirs = 0;
	for (size_t c = n_cases; c-- > 0;) { /* OpenSSL is the last case */
		struct bench *b = &cases[c];
		qsort(b->khs, (size_t)rounds, sizeof(b->khs[0]), by_value);
		double median = b->khs[rounds / 2];
		if (!b->conf.kernel)
			theirs = median;
		printf("scrypt %-26s %6.2f kH/s (%.2f to %.2f), %.1f times OpenSSL\n", b->what,
		       median, b->khs[0], b->khs[rounds - 1], median / theirs);
	}
}

int main(int argc, char **argv)
{
	static uint8_t out[2][HASHES][32];
	const struct scrypt_kernel *k;
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 9;
	if (rounds < 1 || rounds > MAX_ROUNDS || argc > 2) {
		fprintf(stderr, "usage: bench_scrypt [ROUNDS]; ROUNDS is 1 to %d\n", MAX_ROUNDS);
		return 2;
	}
	bool ok = true;
	for (size_t i = 0; (k = scrypt_kernel_at(i)); i++) {
		if (!k->supported())
			continue;
		ok = ok && add(k, k->lanes);
		if (k->lanes > 1)
			ok = ok && add(k, 1);
	}
	ok = ok && add(NULL, 1);
	printf("median of %d rounds, one core\n", rounds);
	for (int r = 0; r < rounds && ok; r++) {
		for (size_t c = 0; c < n_cases && ok; c++) {
			double start = thread_s();
			ok = run(&cases[c], out[c != 0]);
			cases[c].khs[r] = HASHES / (thread_s() - start) / 1e3;
			/* whoever is faster by computing something else is not */
			if (ok && c && memcmp(out[0], out[1], sizeof(out[0])) != 0) {
				fprintf(stderr, "bench_scrypt: %s and %s differ\n", cases[0].what,
					cases[c].what);
				return 1;
			}
		}
	}
	if (!ok) {
		fprintf(stderr, "bench_scrypt: no memory, or OpenSSL fails\n");
		return 1;
	}
	report(rounds);
	return 0;
}
