/*
 * What the pool does with a share between its line and its journal, alone: otd_shares_hash() on batches
 * (coinbase, 12 branches, header, hash) and otd_share_judge() with the table of duplicates; and header-only
 * checks, the algorithm's hash_batch() and the comparison with the target. One core, no sockets, no disk.
 *
 *   bench_validate [ROUNDS]     default: 9; prints millions a second, median (least to most)
 */
#include "base/text.h"
#include "plugin/plugin.h"
#include "pool/share.h"
#include <otedama/plugin.h>
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BRANCHES = 12, SHARES = 1 << 18, HEADERS = 1 << 20, ROUNDS_MAX = 99 };

/* of a coinbase with one output and a witness commitment, the extranonces between the halves */
static const char coinbase1[] =
	"02000000010000000000000000000000000000000000000000000000000000000000000000"
	"ffffffff2503a086010004b0c1d2e308";
static const char coinbase2[] =
	"0d2f6f746564616d612f62656e6368ffffffff0200f90295000000001600148c842382922a"
	"6699f5d9e233afc0d2c763670df60000000000000000266a24aa21a9ede2f61c3f71d1defd"
	"3fa999dfa36953755c690689799962b48bebd836974e8cf900000000";

extern const struct otd_plugin_desc *otd_plugin_v1(void);

static struct otd_share_work work;
static struct otd_share shares[OTD_SHARE_BATCH];
static uint64_t count;
static uint64_t accepted;

static double thread_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what)
{
	fprintf(stderr, "bench_validate: %s\n", what);
	exit(1);
}

static struct otd_job *make_job(struct otd_jobs *jobs, uint32_t number)
{
	uint8_t c1[256], c2[256], branches[BRANCHES][32];
	size_t n1, n2;
	struct otd_err err = {0};
	struct otd_job *job = NULL;
	bool new_tip;
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_JOB, 0, sizeof(struct otd_msg_job), 1024 + sizeof(branches));
	struct otd_msg_job *j = (struct otd_msg_job *)m;
	if (!m || otd_hex_decode(c1, sizeof(c1), &n1, coinbase1, strlen(coinbase1)) ||
	    otd_hex_decode(c2, sizeof(c2), &n2, coinbase2, strlen(coinbase2)))
		fail("out of memory");
	for (int i = 0; i < BRANCHES; i++)
		otd_sha256(branches[i], &i, sizeof(i));
	j->job = number;
	j->version = 0x20000000;
	j->nbits = 0x1703ffff;
	j->height = 100000;
	j->time_s = 0x6560f3b0;
	j->min_time_s = j->time_s - 600;
	memset(j->prev, (int)number,
	       sizeof(j->prev)); /* a tip of its own: no share is a duplicate */
	j->extranonce1_len = j->extranonce2_len = 4;
	j->coinbase1 = otd_msg_put(m, c1, n1);
	j->coinbase2 = otd_msg_put(m, c2, n2);
	j->branches = otd_msg_put(m, branches, sizeof(branches));
	if (otd_jobs_add(jobs, &job, &new_tip, j, &err))
		fail(err.text);
	otd_msg_destroy(m);
	return job;
}

static void fill(struct otd_job *job)
{
	for (size_t i = 0; i < OTD_SHARE_BATCH; i++, count++) {
		struct otd_submit *in = &shares[i].in;
		shares[i].job = job;
		memcpy(in->extranonce1, &i, 4);
		memcpy(in->extranonce2, &count, 4);
		in->ntime = 0x6560f3b0;
		in->nonce = (uint32_t)(count * 2654435761u);
	}
}

static double one_round(struct otd_pool_algo *algo, bool judge, uint32_t number)
{
	struct otd_jobs jobs;
	otd_jobs_init(&jobs, 16u << 20, NULL, NULL);
	struct otd_job *job = make_job(&jobs, number);
	/* Four hashes a share, as in the bench of the whole pool: some are accepted, some are not. */
	memset(&shares[0].in.target, 0xff, sizeof(shares[0].in.target));
	shares[0].in.target.w[3] >>= 2;
	for (size_t i = 1; i < OTD_SHARE_BATCH; i++)
		shares[i].in.target = shares[0].in.target;
	double spent = 0;
	for (int n = 0; n < SHARES; n += OTD_SHARE_BATCH) {
		fill(job);
		double from = thread_s();
		otd_shares_hash(shares, OTD_SHARE_BATCH, algo, &work);
		if (judge)
			otd_shares_prefetch(&jobs, shares, OTD_SHARE_BATCH);
		for (size_t i = 0; judge && i < OTD_SHARE_BATCH; i++) {
			struct otd_share_result r;
			otd_share_judge(&r, &jobs, &shares[i], algo->info, 0x6560f3b0);
			otd_share_remember(&r, &shares[i]);
			accepted += r.verdict == OTD_SHARE_ACCEPTED;
		}
		spent += thread_s() - from;
	}
	otd_jobs_finish(&jobs);
	return SHARES / spent / 1e6;
}

static double headers_round(const struct otd_pool_algo *algo)
{
	static uint8_t headers[OTD_SHARE_BATCH][OTD_SHARE_HEADER];
	struct otd_u256 target = shares[0].in.target;
	double from = thread_s();
	for (int n = 0; n < HEADERS; n += OTD_SHARE_BATCH) {
		for (size_t i = 0; i < OTD_SHARE_BATCH; i++) {
			memcpy(headers[i] + 76, &n, 4);
			work.items[i].header = (struct otd_span){headers[i], OTD_SHARE_HEADER};
		}
		if (algo->ops->hash_batch(algo->self, NULL, work.items, sizeof(work.items[0]),
					  OTD_SHARE_BATCH))
			fail("hash_batch");
		for (size_t i = 0; i < OTD_SHARE_BATCH; i++)
			accepted += otd_u256_cmp(otd_u256_from_le(work.items[i].hash), target) <= 0;
	}
	return HEADERS / (thread_s() - from) / 1e6;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

static void print(const char *name, double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), by_value);
	printf("validate %-36s %8.3f M/s (%.3f to %.3f)\n", name, v[n / 2], v[0], v[n - 1]);
}

int main(int argc, char **argv)
{
	unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 9;
	double whole[ROUNDS_MAX], hash[ROUNDS_MAX], header[ROUNDS_MAX];
	const struct otd_plugin_desc *p = otd_plugin_v1();
	struct otd_algo_info info = {.size = sizeof(info)};
	struct otd_pool_algo algo = {.ops = p->ops.algo, .info = &info, .users = 1};
	if (!rounds || rounds > ROUNDS_MAX)
		fail("1 to 99 rounds");
	otd_thread_is(OTD_THREAD_COMPUTE);
	if (p->ops.algo->info(NULL, &info))
		fail("info");
	printf("variant %s, %d branches, batches of %d, median of %u rounds, one core\n",
	       otd_sha256_variant(), BRANCHES, OTD_SHARE_BATCH, rounds);
	for (unsigned r = 0; r < rounds; r++) {
		hash[r] = one_round(&algo, false, 2 * r + 1);
		whole[r] = one_round(&algo, true, 2 * r + 2);
		header[r] = headers_round(&algo);
	}
	print("shares, hash and judge", whole, rounds);
	print("shares, hash", hash, rounds);
	print("headers", header, rounds);
	return accepted ? 0 : 1;
}
