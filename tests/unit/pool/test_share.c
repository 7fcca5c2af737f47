/* One share: bytes to header to hash to verdict, and the order of the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "job_message.h"
#include "pool/share.h"
#include "test_algo.h"
#include <cmocka.h>

#define NOW_S 0x504e8700

static struct otd_share_work work;
static const struct otd_pool_algo algo = {
	.ops = &test_algo_ops, .info = &test_algo_info, .users = 1};

struct fixture {
	struct otd_jobs jobs;
	struct otd_job *job;
	struct otd_share s;
	struct otd_share_result r;
};

/* The example of the documentation: a share of difficulty 1. */
static void begin(struct fixture *f, const char *block_difficulty)
{
	struct job_spec spec = {.job = 0xbf, .block_target = target_of(block_difficulty)};
	struct otd_msg *m = job_message(&spec);
	struct otd_err err = {0};
	bool new_tip;

	memset(f, 0, sizeof(*f));
	otd_jobs_init(&f->jobs, 1000, NULL, NULL);
	assert_int_equal(otd_jobs_add(&f->jobs, &f->job, &new_tip, (struct otd_msg_job *)m, &err),
			 OTD_OK);
	otd_msg_destroy(m);
	f->s.job = f->job;
	memcpy(f->s.in.extranonce1, "\x08\x00\x00\x02", 4);
	memcpy(f->s.in.extranonce2, "\x00\x00\x00\x01", 4);
	f->s.in.ntime = 0x504e86ed;
	f->s.in.nonce = 0xb2957c02;
	f->s.in.target = target_of("1");
}

static enum otd_share_verdict judge(struct fixture *f)
{
	otd_shares_hash(&f->s, 1, &algo, &work);
	otd_share_judge(&f->r, &f->jobs, &f->s, &test_algo_info, NOW_S);
	return f->r.verdict;
}

static void keep(struct fixture *f)
{
	otd_share_remember(&f->r, &f->s);
}

static void end(struct fixture *f)
{
	otd_jobs_finish(&f->jobs);
}

static void the_documented_example(void **state)
{
	struct fixture f;
	char hex[161];

	(void)state;
	begin(&f, "1e6");
	f.job->version = 2;
	assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
	otd_hex_encode_reverse(hex, f.s.hash, 32);
	assert_string_equal(hex, SLUSH_HASH);
	otd_hex_encode(hex, f.s.header, 80);
	assert_memory_equal(hex, "02000000", 8);
	assert_false(f.r.block);
	assert_int_equal(otd_u256_cmp(f.r.target, target_of("1")), 0);
	end(&f);
}

/* Coinbase, merkle steps and header the slow way. */
static void batches_hash_as_one_by_one(void **state)
{
	struct otd_share many[OTD_SHARE_BATCH];
	struct job_spec spec = {.job = 1, .block_target = target_of("1e6"), .n_branches = 12};
	struct otd_jobs jobs;
	struct otd_job *job[2];
	struct otd_err err = {0};
	bool new_tip;

	(void)state;
	otd_jobs_init(&jobs, 10, NULL, NULL);
	for (uint32_t i = 0; i < 2; i++) {
		spec.job = i + 1;
		spec.n_branches = i ? 0 : 12;
		struct otd_msg *m = job_message(&spec);
		assert_int_equal(
			otd_jobs_add(&jobs, &job[i], &new_tip, (struct otd_msg_job *)m, &err),
			OTD_OK);
		otd_msg_destroy(m);
	}
	memset(many, 0, sizeof(many));
	for (uint32_t i = 0; i < OTD_SHARE_BATCH; i++) {
		many[i].job = job[i / 5 % 2];
		many[i].in.nonce = i * 7919;
		many[i].in.extranonce2[2] = (uint8_t)i;
	}
	otd_shares_hash(many, OTD_SHARE_BATCH, &algo, &work);
	for (uint32_t i = 0; i < OTD_SHARE_BATCH; i++) {
		uint8_t coinbase[512], root[64], hash[32];
		assert_true(otd_share_coinbase_len(many[i].job) <= sizeof(coinbase));
		otd_share_coinbase(coinbase, &many[i]);
		otd_sha256d(root, coinbase, otd_share_coinbase_len(many[i].job));
		for (uint32_t b = 0; b < many[i].job->n_branches; b++) {
			memset(root + 32, 0x5a, 32);
			otd_sha256d(root, root, 64);
		}
		assert_memory_equal(many[i].header + 36, root, 32);
		otd_sha256d(hash, many[i].header, 80);
		assert_memory_equal(many[i].hash, hash, 32);
	}
	otd_jobs_finish(&jobs);
}

static void the_rules_one_by_one(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "1e6");
	f.s.in.target = target_of("64");
	assert_int_equal(judge(&f), OTD_SHARE_LOW_DIFFICULTY);
	f.s.in.target = target_of("1e-6");
	assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
	keep(&f);
	assert_int_equal(judge(&f), OTD_SHARE_DUPLICATE);
	f.s.in.nonce++;
	f.s.in.target = otd_u256_max();
	f.s.in.ntime = (uint32_t)f.job->min_time_s - 1;
	assert_int_equal(judge(&f), OTD_SHARE_TIME);
	f.s.in.ntime = (uint32_t)f.job->min_time_s;
	assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
	f.s.in.ntime = NOW_S + 7000;
	assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
	f.s.in.ntime = NOW_S + 7001;
	assert_int_equal(judge(&f), OTD_SHARE_TIME);
	/* Our clock is set back: what the node's template says stays good. */
	assert_true(f.job->time_s < NOW_S);
	f.job->time_s += 2 * (NOW_S - f.job->time_s);
	f.s.in.ntime = (uint32_t)f.job->time_s + 7000;
	assert_int_not_equal(judge(&f), OTD_SHARE_TIME);
	f.s.in.ntime++;
	assert_int_equal(judge(&f), OTD_SHARE_TIME);
	f.job->time_s = f.job->min_time_s;
	f.s.in.ntime = NOW_S;
	f.s.in.version_bits = 0x20000000;
	f.s.in.version_mask = 0x1fffe000;
	assert_int_equal(judge(&f), OTD_SHARE_VERSION);
	f.s.in.version_bits = 0x00002000;
	assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
	assert_memory_equal(f.s.header, "\x02\x20\x00\x00", 4);
	f.s.in.version_mask = 0;
	assert_int_equal(judge(&f), OTD_SHARE_VERSION);
	f.s.job = NULL;
	otd_share_judge(&f.r, &f.jobs, &f.s, &test_algo_info, NOW_S);
	assert_int_equal(f.r.verdict, OTD_SHARE_STALE);
	end(&f);
}

/* BIP 310: a bit of the mask that is set in the job and clear in the submit is cleared. */
static void rolled_bits_replace_the_jobs(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "1e6");
	f.job->version = 0x2000e000;
	f.s.in.version_mask = 0x1fffe000;
	f.s.in.version_bits = 0x00002000;
	f.s.in.target = otd_u256_max();
	assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
	assert_memory_equal(f.s.header, "\x00\x20\x00\x20", 4);
	end(&f);
}

static void new_tip(struct fixture *f)
{
	struct job_spec spec = {.job = 0xc0, .prev_salt = 3, .block_target = target_of("1e6")};
	struct otd_msg *m = job_message(&spec);
	struct otd_job *job;
	struct otd_err err = {0};
	bool fresh;

	assert_int_equal(otd_jobs_add(&f->jobs, &job, &fresh, (struct otd_msg_job *)m, &err),
			 OTD_OK);
	otd_msg_destroy(m);
}

/* Whatever a rule says, a block is handed in, and once. */
static void a_block_comes_before_every_rule(void **state)
{
	struct fixture f;

	(void)state;
	for (int c = 0; c < 5; c++) {
		begin(&f, "1");
		if (c == 1) {
			new_tip(&f);
		} else if (c == 2) {
			f.job->min_time_s = f.s.in.ntime + 1;
		} else if (c == 3) {
			/* Bits outside of the mask: of the header that was really hashed. */
			f.job->version = 0;
			f.s.in.version_bits = 2;
		} else if (c == 4) {
			f.s.in.otherwise = OTD_SHARE_UNAUTHORIZED;
		}
		assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
		assert_true(f.r.block);
		assert_memory_equal(f.r.identity, f.s.hash, 32);
		keep(&f);
		assert_int_not_equal(judge(&f), OTD_SHARE_ACCEPTED);
		assert_false(f.r.block);
		end(&f);
	}
	/* Once, even where nothing could be remembered. */
	begin(&f, "1");
	f.jobs.tips[0].dupes.max = 0;
	(void)judge(&f);
	assert_true(f.r.block);
	assert_int_equal(judge(&f), OTD_SHARE_UNAVAILABLE);
	assert_false(f.r.block);
	end(&f);
}

static void the_share_target_is_never_harder_than_a_block(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, "0.5");
	f.s.in.target = target_of("1e9");
	assert_int_equal(judge(&f), OTD_SHARE_ACCEPTED);
	assert_true(f.r.block);
	assert_int_equal(otd_u256_cmp(f.r.target, target_of("0.5")), 0);
	end(&f);
}

/* A batch gives each share the hash that it has alone, with coinbases of any length. */
static void a_batch_is_hashed_as_each_alone(void **state)
{
	static uint8_t rest[1200];
	static const size_t lengths[] = {1, 40, 55, 56, 110, 400, 440, 1200};
	static struct otd_share many[OTD_SHARE_BATCH];
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < sizeof(rest); i++)
		rest[i] = (uint8_t)(i * 7);
	for (size_t k = 0; k < sizeof(lengths) / sizeof(lengths[0]); k++) {
		size_t n = 1 + 9 * k % OTD_SHARE_BATCH;
		begin(&f, "1e6");
		f.job->coinbase2 = (struct otd_span){rest, lengths[k]};
		for (size_t i = 0; i < n; i++) {
			many[i] = f.s;
			many[i].in.extranonce1[0] = (uint8_t)(i * 3);
			many[i].in.extranonce2[3] = (uint8_t)i;
			many[i].in.nonce = (uint32_t)(i * 77);
		}
		otd_shares_hash(many, n, &algo, &work);
		for (size_t i = 0; i < n; i++) {
			uint8_t coinbase[2048], root[32], pair[64], hash[32];
			otd_share_coinbase(coinbase, &many[i]);
			otd_sha256d(root, coinbase, otd_share_coinbase_len(f.job));
			for (uint32_t b = 0; b < f.job->n_branches; b++) {
				memcpy(pair, root, 32);
				memcpy(pair + 32, f.job->branches[b], 32);
				otd_sha256d(root, pair, 64);
			}
			assert_memory_equal(many[i].header + 36, root, 32);
			otd_sha256d(hash, many[i].header, 80);
			assert_memory_equal(many[i].hash, hash, 32);
		}
		end(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_is_hashed_as_each_alone),
		cmocka_unit_test(the_documented_example),
		cmocka_unit_test(batches_hash_as_one_by_one),
		cmocka_unit_test(the_rules_one_by_one),
		cmocka_unit_test(rolled_bits_replace_the_jobs),
		cmocka_unit_test(a_block_comes_before_every_rule),
		cmocka_unit_test(the_share_target_is_never_harder_than_a_block),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
