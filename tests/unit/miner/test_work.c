/* Headers from a notify, and the ways through a job. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "miner/internal.h"
#include <otedama/sha256.h>
#include <string.h>

/*
 * Block 1 of Bitcoin as a pool would have told it: its coinbase is the only transaction, cut where
 * the extranonces would be. Header and hash: any block explorer.
 */
static const char coinbase_hex[] =
	"01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff0704ffff"
	"00"
	"1d0104ffffffff0100f2052a0100000043410496b538e853519c726a2c91e61ec11600ae1390813a627c66fb8b"
	"e7"
	"947be63c52da7589379515d4e0a604f8141781e62294721166bf621e73a82cbf2342c858eeac00000000";
static const char header_hex[] =
	"010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051fd1e4ba744bb"
	"be680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299";

static uint8_t coinbase[256];
static size_t coinbase_len;

static struct otd_miner_notify block1(void)
{
	struct otd_miner_notify n = {.id = "1",
				     .extranonce2_len = 2,
				     .version = 1,
				     .nbits = 0x1d00ffff,
				     .time_s = 0x4966bc61};
	size_t len;
	/* Displayed hash of block 0 in words of eight digits, their order reversed. */
	assert_int_equal(
		otd_hex_decode(n.prev_wire, 32, &len,
			       "0a8ce26f72b3f1b646a2a6c14ff763ae65831e939c085ae10019d66800000000",
			       64),
		OTD_OK);
	assert_int_equal(otd_hex_decode(coinbase, sizeof(coinbase), &coinbase_len, coinbase_hex,
					strlen(coinbase_hex)),
			 OTD_OK);
	/* The script's bytes ff ff | 00 1d play extranonce1 and 2. */
	n.coinbase1 = (struct otd_span){coinbase, 43};
	n.extranonce1 = (struct otd_span){coinbase + 43, 2};
	n.coinbase2 = (struct otd_span){coinbase + 47, coinbase_len - 47};
	n.first_extranonce2 = 0x001d;
	return n;
}

static void a_real_block(void **state)
{
	struct otd_miner_notify n = block1();
	struct otd_miner_job *j = otd_miner_job_create(&n);
	struct otd_miner_work w = {0};
	uint8_t want[80];
	size_t len;
	(void)state;
	assert_int_equal(otd_hex_decode(want, 80, &len, header_hex, 160), OTD_OK);
	assert_int_equal(otd_miner_work_begin(&w, j), OTD_OK);
	assert_memory_equal(w.header, want, 76);
	assert_int_equal(w.extranonce2[0], 0x00);
	assert_int_equal(w.extranonce2[1], 0x1d);
	otd_miner_work_finish(&w);
	otd_miner_job_unref(j);
}

static void branches(void **state)
{
	struct otd_miner_notify n = block1();
	uint8_t branch[2][32], pair[64], want[32];
	struct otd_miner_job *j;
	struct otd_miner_work w = {0};
	(void)state;
	memset(branch[0], 0x11, 32);
	memset(branch[1], 0x22, 32);
	n.branch = (const uint8_t(*)[32])branch;
	n.n_branches = 2;
	j = otd_miner_job_create(&n);
	assert_int_equal(otd_miner_work_begin(&w, j), OTD_OK);
	otd_sha256d(pair, coinbase, coinbase_len);
	memcpy(pair + 32, branch[0], 32);
	otd_sha256d(want, pair, 64);
	memcpy(pair, want, 32);
	memcpy(pair + 32, branch[1], 32);
	otd_sha256d(want, pair, 64);
	assert_memory_equal(w.header + 36, want, 32);
	otd_miner_work_finish(&w);
	otd_miner_job_unref(j);
}

static void version_bits(void **state)
{
	uint32_t seen[16];
	(void)state;
	for (uint32_t i = 0; i < 16; i++) {
		seen[i] = otd_miner_version_roll(0x20002000, 0x1c002000, i);
		assert_int_equal(seen[i] & ~0x1c002000u, 0x20000000);
		for (uint32_t k = 0; k < i; k++)
			assert_int_not_equal(seen[i], seen[k]);
	}
	assert_int_equal(seen[0], 0x20002000);
	assert_int_equal(otd_miner_version_roll(5, 0, 3), 5);
}

/* Version bits first, then the next extranonce2, which nobody else gets. */
static void exhaustion(void **state)
{
	struct otd_miner_notify n = block1();
	struct otd_miner_work a = {0}, b = {0};
	struct otd_miner_job *j;
	uint8_t root[32];
	(void)state;
	n.mask = 0x6000;
	j = otd_miner_job_create(&n);
	assert_int_equal(otd_miner_work_begin(&a, j), OTD_OK);
	assert_int_equal(otd_miner_work_begin(&b, j), OTD_OK);
	assert_memory_not_equal(a.extranonce2, b.extranonce2, 2);
	memcpy(root, a.header + 36, 32);
	for (int i = 1; i < 4; i++) {
		assert_int_equal(otd_miner_work_next(&a, j), OTD_OK);
		assert_int_equal(a.version, 1 | (uint32_t)i << 13);
		assert_memory_equal(root, a.header + 36, 32);
	}
	assert_int_equal(otd_miner_work_next(&a, j), OTD_OK);
	assert_int_equal(a.version, 1);
	assert_memory_not_equal(root, a.header + 36, 32);
	assert_memory_not_equal(a.extranonce2, b.extranonce2, 2);
	otd_miner_work_finish(&a);
	otd_miner_work_finish(&b);
	otd_miner_job_unref(j);
}

/* An extranonce2 of one byte: 256 of them, then the time moves on, for so long as pools allow. */
static void short_extranonce(void **state)
{
	struct otd_miner_notify n = block1();
	struct otd_miner_work w = {0};
	struct otd_miner_job *j;
	(void)state;
	n.extranonce2_len = 1;
	n.first_extranonce2 = 1000;
	j = otd_miner_job_create(&n);
	assert_int_equal(otd_miner_work_begin(&w, j), OTD_OK);
	assert_int_equal(w.time_s, n.time_s);
	for (int i = 0; i < 255; i++)
		assert_int_equal(otd_miner_work_next(&w, j), OTD_OK);
	assert_int_equal(w.time_s, n.time_s);
	assert_int_equal(otd_miner_work_next(&w, j), OTD_OK);
	assert_int_equal(w.time_s, n.time_s + 1);
	atomic_store(&j->next_extranonce2, 1000 + 256ull * (OTD_MINER_ROLL_TIME_S + 1));
	assert_int_equal(otd_miner_work_next(&w, j), OTD_E_STALE);
	otd_miner_work_finish(&w);
	otd_miner_job_unref(j);
}

static void urls(void **state)
{
	static const struct {
		const char *url, *host;
		int port;
		bool tls;
	} good[] = {{"stratum+tcp://pool.example.org:3333", "pool.example.org", 3333, false},
		    {"127.0.0.1:1", "127.0.0.1", 1, false},
		    {"stratum+tcp://[::1]:65535/", "::1", 65535, false},
		    {"stratum+ssl://pool:3333", "pool", 3333, true},
		    {"stratum+tls://[::1]:3333", "::1", 3333, true}};
	static const char *const bad[] = {"",         "pool",           "pool:",
					  "pool:0",   "pool:65536",     ":3333",
					  "pool:33x", "pool:3333/path", "stratum2+tcp://pool:3333",
					  "[::1]",    "[::1:3333"};
	struct otd_miner_pool p;
	struct otd_err err;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(otd_miner_url(&p, good[i].url, &err), OTD_OK);
		assert_string_equal(p.host, good[i].host);
		assert_int_equal(p.port, good[i].port);
		assert_int_equal(p.tls, good[i].tls);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (otd_miner_url(&p, bad[i], &err) == OTD_OK)
			fail_msg("taken: %s", bad[i]);
	}
}

static void raw(const char *line, const char *want)
{
	const char *p = NULL;
	size_t n = 0;
	bool got = otd_miner_raw_param(line, strlen(line), &p, &n);
	if (!want) {
		assert_false(got);
		return;
	}
	assert_true(got);
	if (n != strlen(want) || memcmp(p, want, n) != 0)
		fail_msg("%s: %.*s, not %s", line, (int)n, p, want);
}

/* Numbers as the pool wrote them, not as a double would have them. */
static void raw_params(void **state)
{
	(void)state;
	raw("{\"params\":[0.1],\"method\":\"x\"}", "0.1");
	raw("{\"id\":null, \"params\" : [ 16384.00000000000000001 ] }", "16384.00000000000000001");
	raw("{\"a\":{\"params\":[1]},\"params\":[2,3]}", "2");
	raw("{\"a\":\"\\\"params\\\":[1]\",\"params\":[1e-9]}", "1e-9");
	raw("{\"params\":5}", NULL);
	raw("{\"params\":[]}", NULL);
	raw("{\"params\":[", NULL);
	raw("{\"params", NULL);
	raw("\"\\", NULL);
	raw("", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_real_block),     cmocka_unit_test(branches),
		cmocka_unit_test(version_bits),     cmocka_unit_test(exhaustion),
		cmocka_unit_test(short_extranonce), cmocka_unit_test(urls),
		cmocka_unit_test(raw_params),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
