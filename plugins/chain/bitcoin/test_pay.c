/* Payments: amounts as nodes write them, sizes, transactions made and checked, and what is dust. */
#include "test_call.h"

#define ELEVEN "1111111111111111111111111111111111111111111111111111111111111111"

/* --- amounts --- */

static void amounts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t want;
		bool up;
	} good[] = {{"0", 0, false},
		    {"12", 1200000000, false},
		    {"12.5", 1250000000, false},
		    {"0.00000001", 1, false},
		    {"-0.00000001", -1, false},
		    {"0.1", 10000000, false},
		    {"20999999.97690000", 2099999997690000, false},
		    {"92233720368.54775806", 9223372036854775806, false},
		    {"1e-8", 1, false},
		    {"1E-8", 1, false},
		    {"1.5e+1", 1500000000, false},
		    {"0.000000010000000000000000000000", 1, false},
		    {"0e999", 0, false},
		    {"0.000000001", 1, true},
		    {"0.00001000", 1000, true},
		    {"1e-300", 1, true},
		    {"-0.000000019", -1, true}};
	static const char *const bad[] = {"",
					  "-",
					  ".5",
					  "1.",
					  "1.e1",
					  "1e",
					  "1e+",
					  "+1",
					  "1.2.3",
					  "0x1",
					  "1 ",
					  " 1",
					  "nan",
					  "1e1001",
					  "1e300",
					  "92233720368.54775807",
					  "0.000000001",
					  "99999999999999999999",
					  "1-1",
					  "--1"};
	otd_i128 v;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		v = -77;
		if (!btc_amount(&v, good[i].text, strlen(good[i].text), good[i].up) ||
		    v != good[i].want)
			fail_msg("%s: %lld", good[i].text, (long long)v);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (btc_amount(&v, bad[i], strlen(bad[i]), false))
			fail_msg("%s is taken", bad[i]);
	}
}

static void numbers_become_texts(void **state)
{
	(void)state;
	static const char *const pair[][2] = {
		{"{\"a\":1.5,\"b\":-2}", "{\"a\":\"1.5\",\"b\":-2}"},
		{"[1e-8,1E5,12,0.1]", "[\"1e-8\",\"1E5\",12,\"0.1\"]"},
		{"{\"1.5\":\"2.5 \\\" 3.5\",\"c\\\\\":1.0}",
		 "{\"1.5\":\"2.5 \\\" 3.5\",\"c\\\\\":\"1.0\"}"},
		{"1.0", "\"1.0\""},
		{"", ""},
		{"\"1.0", "\"1.0"},
		{"\"\\", "\"\\"},
		{"[true,null,-0.5]", "[true,null,\"-0.5\"]"}};
	const struct btc_host h = {&host_core, &host};
	for (size_t i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		uint8_t *out = NULL;
		size_t n = 0;
		assert_int_equal(bitcoin_quote(&h, &out, &n, span_of(pair[i][0])), OTD_OK);
		assert_int_equal(n, strlen(pair[i][1]));
		assert_memory_equal(out, pair[i][1], n);
		btc_free(&h, out);
	}
}

/* --- transactions --- */

#define PAYEE "001400000000000000000000000000000000000000ff"

static otd_rc build(const char *script, size_t n, struct otd_chain_pay_info *info)
{
	begin();
	for (size_t i = 0; i < n; i++) {
		struct otd_chain_coin *c = &w.coins[w.call.n_coins++];
		c->index = (uint32_t)i;
		c->script_len = (uint32_t)unhex(c->script, 64, script, strlen(script));
		c->value = 1000000;
	}
	read_payee(PAYEE ":900000");
	struct otd_chain_pay p = pay();
	*info = (struct otd_chain_pay_info){.size = sizeof(*info)};
	return ops->pay_build(in, &p, &w.buf, info);
}

static void sizes(void **state)
{
	(void)state;
	static const struct {
		const char *script;
		uint64_t vsize; /* of one input and one output, with signatures of 73 bytes */
	} kinds[] = {
		{"00140000000000000000000000000000000000000000", 110},
		{"a914000000000000000000000000000000000000000087", 133},
		{"76a914000000000000000000000000000000000000000088ac", 191},
		{"51200000000000000000000000000000000000000000000000000000000000000000", 100},
		{"210000000000000000000000000000000000000000000000000000000000000000ac", 0},
		{"21000000000000000000000000000000000000000000000000000000000000000000ac", 157},
	};
	struct otd_chain_pay_info info;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		otd_rc rc = build(kinds[i].script, 1, &info);
		if (kinds[i].vsize == 0) {
			assert_int_equal(rc, OTD_E_INVALID);
			continue;
		}
		assert_int_equal(rc, OTD_OK);
		if (info.vsize != kinds[i].vsize)
			fail_msg("%s: %llu", kinds[i].script, (unsigned long long)info.vsize);
	}
	assert_int_equal(build("0020000000000000000000000000000000000000000000000000000000000000"
			       "0000",
			       1, &info),
			 OTD_E_INVALID);
	assert_non_null(strstr(host.error, "cannot measure"));
	assert_int_equal(build("", 1, &info), OTD_E_INVALID);
	assert_int_equal(build("76a914000000000000000000000000000000000000000088ac", 600, &info),
			 OTD_OK);
	assert_true(info.vsize > 600 * 148 && info.vsize < 600 * 152);
	/* More than nodes pass on: it waits for a person, who is told how to go on. */
	assert_int_equal(build("76a914000000000000000000000000000000000000000088ac", 700, &info),
			 OTD_E_INVALID);
	assert_non_null(strstr(host.error, "payments.recipients"));
}

static void sums(void **state)
{
	(void)state;
	static const struct {
		const char *coins, *payees;
	} bad[] = {
		{ELEVEN ":0:" PAYEE ":1000", PAYEE ":1001"},
		{ELEVEN ":0:" PAYEE ":1000", PAYEE ":0"},
		{ELEVEN ":0:" PAYEE ":1000", PAYEE ":-1"},
		{ELEVEN ":0:" PAYEE ":0", PAYEE ":1"},
		{ELEVEN ":0:" PAYEE ":1000", ":1"},
		{ELEVEN ":0:" PAYEE ":1000," ELEVEN ":0:" PAYEE ":1000", PAYEE ":1"},
		{ELEVEN ":0:" PAYEE ":9223372036854775807," ELEVEN ":1:" PAYEE
			":9223372036854775807",
		 PAYEE ":1"},
		{"", PAYEE ":1"},
		{ELEVEN ":0:" PAYEE ":1000", ""},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct otd_chain_pay_info info = {.size = sizeof(info)};
		begin();
		each(bad[i].coins, read_coin);
		each(bad[i].payees, read_payee);
		struct otd_chain_pay p = pay();
		if (ops->pay_build(in, &p, &w.buf, &info) != OTD_E_INVALID)
			fail_msg("%zu is built", i);
	}
}

/* BIP 143, "Native P2WPKH": a real signed transaction, and what may not differ in it. */
static void a_known_transaction(void **state)
{
	(void)state;
	static const char hex[] =
		"01000000000102fff7f7881a8099afa6940d42d1e7f6362bec38171ea3edf433541db4e4ad969f0000"
		"0000494830450221008b9d1dc26ba6a9cb62127b02742fa9d754cd3bebf337f7a55d114c8e5cdd30be"
		"022040529b194ba3f9281a99f2b1c0a19c0489bc22ede944ccf4ecbab4cc618ef3ed01eeffffffef51"
		"e1b804cc89d182d279655c3aa89e815b1b309fe287d9b2b55d57b90ec68a0100000000ffffffff0220"
		"2cb206000000001976a9148280b37df378db99f66f85c95a783a76ac7a6d5988ac9093510d00000000"
		"1976a9143bde42dbee7e4dbe6a21b2d50ce2f0167faa815988ac000247304402203609e17b84f6a7d3"
		"0c80bfa610b5b4542f32a8a0d5447a12fb1366d7f01cc44a0220573a954c4518331561406f90300e8f"
		"3358f51928d43c212a8caed02de67eebee0121025476c2e83188368da1ff3e292e7acafcdb3566bb0a"
		"d253f62fc70f07aeee635711000000";
	uint8_t raw[500];
	struct btc_tx tx;
	char name[65];
	size_t n = unhex(raw, sizeof(raw), hex, strlen(hex));
	assert_true(n > 300);
	assert_null(btc_tx_read(&tx, (struct otd_span){raw, n}));
	assert_string_equal(btc_hash_text(name, tx.txid),
			    "e8151a2af31c368a35053ddd4bdb285a8595c769a3ad83e0fa02314a602d4609");
	assert_int_equal(tx.n_in, 2);
	assert_int_equal(tx.n_out, 2);
	assert_int_equal(tx.lock_time, 17);
	assert_int_equal(tx.version, 1);
	assert_int_equal(tx.vsize, 261);
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *part = malloc(cut ? cut : 1);
		memcpy(part, raw, cut);
		assert_non_null(btc_tx_read(&tx, (struct otd_span){part, cut}));
		free(part);
	}
}

/* A transaction as pay_build makes it, with a witness of one byte at each input. */
static size_t sign_mildly(uint8_t *out, size_t n_in)
{
	size_t n = w.buf.len;
	memcpy(out, w.out, 4);
	out[4] = 0;
	out[5] = 1;
	memcpy(out + 6, w.out + 4, n - 8);
	size_t at = n - 2;
	for (size_t i = 0; i < n_in; i++) {
		memcpy(out + at, "\1\1\7", 3);
		at += 3;
	}
	memset(out + at, 0, 4);
	return at + 4;
}

static void checks(void **state)
{
	(void)state;
	struct otd_chain_pay_info info;
	uint8_t raw[1000], copy[1001];
	assert_int_equal(build("00140000000000000000000000000000000000000000", 2, &info), OTD_OK);
	struct otd_chain_pay p = pay();
	size_t n = sign_mildly(raw, 2), unsigned_len = w.buf.len;
	assert_int_equal(ops->pay_check(in, &p, (struct otd_span){raw, n}, &info), OTD_OK);
	assert_int_equal(info.malleable, 0);
	assert_int_equal(info.vsize, (3 * unsigned_len + n + 3) / 4);
	uint8_t txid[32];
	otd_sha256d(txid, w.out, unsigned_len); /* the identity is that of the unsigned one */
	assert_memory_equal(info.txid, txid, 32);
	assert_int_equal(ops->pay_check(in, &p, (struct otd_span){w.out, unsigned_len}, &info),
			 OTD_E_INVALID);
	assert_non_null(strstr(host.error, "not signed"));
	/* No bit of it may differ, but within the witnesses. */
	size_t free_bytes = 0;
	for (size_t i = 0; i < n; i++) {
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, raw, n);
			copy[i] ^= (uint8_t)(1 << bit);
			bool taken =
				ops->pay_check(in, &p, (struct otd_span){copy, n}, &info) == OTD_OK;
			free_bytes += taken && bit == 0;
			if (taken && i < n - 4 - 6)
				fail_msg("byte %zu bit %d", i, bit);
		}
	}
	assert_int_equal(free_bytes, 2); /* the two witnesses' one byte */
	memcpy(copy, raw, n);
	copy[n] = 0;
	assert_int_equal(ops->pay_check(in, &p, (struct otd_span){copy, n + 1}, &info),
			 OTD_E_INVALID);
	p.n_coins = 1;
	assert_int_equal(ops->pay_check(in, &p, (struct otd_span){raw, n}, &info), OTD_E_INVALID);
	/* A script in place of the witness: somebody else may change it, and the txid with it. */
	assert_int_equal(build("76a914000000000000000000000000000000000000000088ac", 1, &info),
			 OTD_OK);
	p = pay();
	memcpy(copy, w.out, 41);
	copy[41] = 1;
	copy[42] = 0x51;
	memcpy(copy + 43, w.out + 42, w.buf.len - 42);
	assert_int_equal(ops->pay_check(in, &p, (struct otd_span){copy, w.buf.len + 1}, &info),
			 OTD_OK);
	assert_int_equal(info.malleable, 1);
}

static void dusts(void **state)
{
	(void)state;
	/* Bitcoin Core, src/policy/policy.cpp: 546, 540, 294, 330 at 3000. */
	static const struct {
		const char *script;
		int64_t least;
	} all[] = {{"76a914000000000000000000000000000000000000000088ac", 546},
		   {"a914000000000000000000000000000000000000000087", 540},
		   {"00140000000000000000000000000000000000000000", 294},
		   {"00200000000000000000000000000000000000000000000000000000000000000000", 330},
		   {"51200000000000000000000000000000000000000000000000000000000000000000", 330},
		   {"6a0100", 0}};
	uint8_t script[64];
	otd_i128 least;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct otd_span s = {script,
				     unhex(script, 64, all[i].script, strlen(all[i].script))};
		assert_int_equal(ops->dust(in, s, &least), OTD_OK);
		assert_true(least == all[i].least);
	}
	options.dust_relay_fee = 30000; /* Litecoin */
	struct otd_span s = {script, unhex(script, 64, all[0].script, strlen(all[0].script))};
	assert_int_equal(ops->dust(in, s, &least), OTD_OK);
	assert_true(least == 5460);
	options.dust_limit = 1000000; /* Dogecoin */
	assert_int_equal(ops->dust(in, s, &least), OTD_OK);
	assert_true(least == 1000000);
	options.dust_relay_fee = 3000;
	options.dust_limit = 0;
	assert_int_equal(ops->dust(in, (struct otd_span){0}, &least), OTD_E_INVALID);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(amounts), T(numbers_become_texts), T(sizes),
		T(sums),    T(a_known_transaction),  T(checks),
		T(dusts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
