/*
 * SHA-256d of ours against OpenSSL's low-level functions in the same run: rounds take turns, so that
 * both meet the same machine; the median of the rounds is printed, in millions a second of one core.
 *
 *   bench_sha256 [ROUNDS [VARIANT..]]   default: 9 rounds, the variant that runs by itself
 */
#define OPENSSL_SUPPRESS_DEPRECATED /* the low-level calls are what a fast pool uses today */
#include "base/sha256/sha256.h"
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64, MAX_ROUNDS = 99 };

static uint8_t inputs[BATCH * 80], outputs[BATCH * 32];
static volatile uint8_t sink;

static double thread_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void our_scan(unsigned n)
{
	static const uint8_t target[32];
	uint64_t found[1];
	uint32_t n_found;
	otd_sha256d_scan80(found, 1, &n_found, inputs, 0, n, target, NULL);
}

static void our_80(unsigned n)
{
	for (; n >= BATCH; n -= BATCH)
		otd_sha256d_80(outputs, 32, inputs, 80, BATCH);
	sink = outputs[0];
}

static void our_80_single(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		otd_sha256d_80(outputs, 32, inputs, 80, 1);
	sink = outputs[0];
}

static void our_64(unsigned n)
{
	for (; n >= BATCH; n -= BATCH)
		otd_sha256d_64(outputs, 32, inputs, 64, BATCH);
	sink = outputs[0];
}

static void openssl_d(const uint8_t *p, size_t len)
{
	SHA256_CTX c;
	uint8_t d[32];
	SHA256_Init(&c);
	SHA256_Update(&c, p, len);
	SHA256_Final(d, &c);
	SHA256_Init(&c);
	SHA256_Update(&c, d, 32);
	SHA256_Final(outputs, &c);
}

static void openssl_midstate(unsigned n)
{
	SHA256_CTX mid, c;
	uint8_t d[32], h[80];
	memcpy(h, inputs, 80);
	SHA256_Init(&mid);
	SHA256_Update(&mid, h, 64);
	for (unsigned i = 0; i < n; i++) {
		memcpy(h + 76, &i, 4);
		c = mid;
		SHA256_Update(&c, h + 64, 16);
		SHA256_Final(d, &c);
		SHA256_Init(&c);
		SHA256_Update(&c, d, 32);
		SHA256_Final(outputs, &c);
	}
	sink = outputs[0];
}

static void openssl_80(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		openssl_d(inputs, 80);
	sink = outputs[0];
}

static void openssl_64(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		openssl_d(inputs, 64);
	sink = outputs[0];
}

static void openssl_one_shot(unsigned n)
{
	uint8_t d[32];
	for (unsigned i = 0; i < n; i++) {
		SHA256(inputs, 80, d);
		SHA256(d, 32, outputs);
	}
	sink = outputs[0];
}

static const struct {
	const char *what, *unit;
	void (*run)(unsigned n);
	unsigned n;
} cases[] = {
	{"scan, midstate", "ours", our_scan, 1 << 19},
	{"scan, midstate", "openssl low-level", openssl_midstate, 1 << 17},
	{"80 bytes, batches", "ours", our_80, 1 << 18},
	{"80 bytes, one by one", "ours", our_80_single, 1 << 17},
	{"80 bytes", "openssl low-level", openssl_80, 1 << 17},
	{"80 bytes", "openssl SHA256()", openssl_one_shot, 1 << 15},
	{"64 bytes, batches", "ours", our_64, 1 << 18},
	{"64 bytes", "openssl low-level", openssl_64, 1 << 17},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return x < y ? -1 : x > y;
}

static void measure(int rounds)
{
	static double mhs[CASES][MAX_ROUNDS];
	for (int r = 0; r < rounds; r++) {
		for (int c = 0; c < CASES; c++) {
			double start = thread_s();
			cases[c].run(cases[c].n);
			mhs[c][r] = cases[c].n / (thread_s() - start) / 1e6;
		}
	}
	for (int c = 0; c < CASES; c++) {
		qsort(mhs[c], (size_t)rounds, sizeof(mhs[c][0]), by_value);
		printf("sha256d %-22s %-18s %7.2f MH/s (%.2f to %.2f)\n", cases[c].what,
		       cases[c].unit, mhs[c][rounds / 2], mhs[c][0], mhs[c][rounds - 1]);
	}
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 9;
	if (rounds < 1 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: bench_sha256 [ROUNDS [VARIANT..]]; ROUNDS is 1 to %d\n",
			MAX_ROUNDS);
		return 2;
	}
	for (size_t i = 0; i < sizeof(inputs); i++)
		inputs[i] = (uint8_t)(i * 7 + i / 11);
	for (int i = 2; i < argc || i == 2; i++) {
		if (i < argc) {
			setenv("OTEDAMA_SHA256", argv[i], 1);
			otd_sha256_use(NULL);
		}
		printf("variant %s, median of %d rounds, one core\n", otd_sha256_variant(), rounds);
		measure(rounds);
	}
	return 0;
}
