/* Payments step by step: what each moves, where it starts from, and what it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pay_fixture.h"

#define REFUSED(e, want, word, ...)                                        \
	do {                                                               \
		assert_int_equal(CALL(e, __VA_ARGS__), want);              \
		if (!strstr((e)->f.err.text, word))                        \
			fail_msg("no '%s' in: %s", word, (e)->f.err.text); \
	} while (0)

/* --- planning --- */

static size_t plan(struct env *e, struct otd_pay_terms t, struct otd_pay_part *out)
{
	struct call c = {.what = PLAN, .terms = &t};
	need(e, &c);
	if (c.n)
		memcpy(out, c.parts, c.n * sizeof(*out));
	free(c.parts);
	return c.n;
}

static void test_plan(void **state)
{
	static const struct {
		uint64_t owner;
		int amount;
	} has[] = {{1, 99}, {2, 100}, {3, 500}, {4, 300}, {5, 500}, {6, 900}, {7, 0}};
	struct otd_pay_part p[8];
	struct otd_pay_terms t = terms();
	struct env e;
	(void)state;
	env_init(&e, 8);
	sql(&e, "INSERT INTO accounts(id, pool_id, address, created_ms) VALUES(20, 2, 'other', 0)");
	assert_int_equal(plan(&e, t, p), 0);
	for (size_t i = 0; i < 7; i++) {
		if (has[i].amount)
			credit(&e, OTD_ACC_MINER, has[i].owner, has[i].amount);
	}
	credit(&e, OTD_ACC_MINER, 20, 5000);
	credit(&e, OTD_ACC_IMMATURE, 8, 5000);
	/* Largest first, ties by number; not below the minimum, not of others. */
	assert_int_equal(plan(&e, t, p), 5);
	const uint64_t order[] = {6, 3, 5, 4, 2};
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(p[i].owner, order[i]);
	assert_true(p[0].amount == 900 && p[0].sent == 0 && p[0].kind == OTD_ACC_MINER);
	assert_string_equal(p[0].address, "addr-6");
	/* One that does not fit under the cap is left out, smaller ones go on. */
	t.cap = 1300;
	assert_int_equal(plan(&e, t, p), 3);
	assert_true(p[0].owner == 6 && p[1].owner == 4 && p[2].owner == 2);
	t.max_parts = 2;
	assert_int_equal(plan(&e, t, p), 2);
	t = terms();
	NEED(&e, .what = HOLD_ACCOUNT, .id = 6, .text = "asked to");
	assert_int_equal(plan(&e, t, p), 4);
	assert_int_equal(p[0].owner, 3);
	NEED(&e, .what = HOLD_ACCOUNT, .id = 6);
	assert_int_equal(plan(&e, t, p), 5);
	REFUSED(&e, OTD_E_NOT_FOUND, "no account", .what = HOLD_ACCOUNT, .id = 77, .text = "x");
	t.asset = "BTC";
	assert_int_equal(plan(&e, t, p), 0);
	env_finish(&e);
}

static void test_plan_of_the_fee(void **state)
{
	static const struct otd_pay_recipient thirds[] = {
		{"a", 333333}, {"b", 333333}, {"c", 333334}, {"none", 0}};
	struct otd_pay_part p[8];
	struct otd_pay_terms t = terms();
	struct env e;
	(void)state;
	env_init(&e, 2);
	/* All recipients or none: 30% of 330 are less than the minimum. */
	credit(&e, OTD_ACC_FEE, POOL, 330);
	assert_int_equal(plan(&e, t, p), 0);
	credit(&e, OTD_ACC_FEE, POOL, 671);
	assert_int_equal(plan(&e, t, p), 2);
	assert_true(p[0].amount == 701 && p[1].amount == 300); /* 700.7 and 300.3 */
	assert_true(p[0].kind == OTD_ACC_FEE && p[0].owner == POOL);
	assert_string_equal(p[1].address, "fee-b");
	/* Largest remainder, ties by order; who has no share gets no part. */
	t.fee = thirds;
	t.n_fee = 4;
	assert_int_equal(plan(&e, t, p), 3);
	assert_true(p[0].amount == 334 && p[1].amount == 333 && p[2].amount == 334);
	/* Miners come first under the cap and the number. */
	credit(&e, OTD_ACC_MINER, 1, 1000);
	t.max_parts = 3;
	assert_int_equal(plan(&e, t, p), 1);
	t.max_parts = 4;
	assert_int_equal(plan(&e, t, p), 4);
	t.cap = 2000;
	assert_int_equal(plan(&e, t, p), 1);
	t.cap = 2001;
	assert_int_equal(plan(&e, t, p), 4);
	/* What the pool's own accounts are short of stays. */
	t = terms();
	credit(&e, OTD_ACC_FUNDS, POOL, -51);
	credit(&e, OTD_ACC_RISK, POOL, -150);
	assert_int_equal(plan(&e, t, p), 3);
	assert_true(p[1].amount == 560 && p[2].amount == 240);
	credit(&e, OTD_ACC_RISK, POOL, -700);
	assert_int_equal(plan(&e, t, p), 1);
	t.n_fee = 0;
	assert_int_equal(plan(&e, t, p), 1);
	env_finish(&e);
}

static void test_terms_are_checked(void **state)
{
	static const struct otd_pay_recipient less[] = {{"a", 999999}};
	static const struct otd_pay_recipient nobody[] = {{"", 1000000}};
	struct otd_pay_terms t[7];
	struct env e;
	(void)state;
	env_init(&e, 1);
	for (size_t i = 0; i < 7; i++)
		t[i] = terms();
	t[0].minimum = 0;
	t[1].cap = -1;
	t[2].max_parts = 0;
	t[3].asset = "";
	t[4].fee = less;
	t[4].n_fee = 1;
	t[5].fee = nobody;
	t[5].n_fee = 1;
	t[6].asset = "an asset with a name of 32 bytes";
	for (size_t i = 0; i < 7; i++) {
		struct call c = {.what = PLAN, .terms = &t[i]};
		assert_int_equal(call(&e, &c), OTD_E_INVALID);
		assert_null(c.parts);
	}
	env_finish(&e);
}

/* --- reserving --- */

static void test_reserve(void **state)
{
	struct otd_pay_terms t = terms();
	struct env e;
	(void)state;
	env_init(&e, 3);
	credit(&e, OTD_ACC_MINER, 1, 1000);
	credit(&e, OTD_ACC_MINER, 2, 150);
	credit(&e, OTD_ACC_MINER, 3, 50);
	credit(&e, OTD_ACC_FEE, POOL, 1300);
	credit(&e, OTD_ACC_FUNDS, POOL, -100);
	credit(&e, OTD_ACC_RISK, POOL, -200);
	uint64_t id = reserve(&e, &t);
	struct otd_payment p = load(&e, id);
	assert_int_equal(p.state, OTD_PAY_RESERVED);
	assert_int_equal(p.n_parts, 4);
	assert_true(p.total == 2150 && p.generation == 1 && p.version == 0 && !p.fee_by_miners);
	assert_string_equal(p.asset, ASSET);
	assert_string_equal(p.parts[3].address, "fee-b");
	otd_payment_finish(&p);
	assert_true(balance(&e, OTD_ACC_MINER, 1) == 0 && balance(&e, OTD_ACC_PAYING, 1) == 1000);
	assert_true(balance(&e, OTD_ACC_MINER, 2) == 0 && balance(&e, OTD_ACC_PAYING, 2) == 150);
	assert_true(balance(&e, OTD_ACC_MINER, 3) == 50);
	assert_true(balance(&e, OTD_ACC_FEE_PAYING, POOL) == 1000);
	assert_true(balance(&e, OTD_ACC_FEE, POOL) == 0);
	assert_true(balance(&e, OTD_ACC_FUNDS, POOL) == 0 && balance(&e, OTD_ACC_RISK, POOL) == 0);
	verified(&e);
	/* Cancelled, all is as it was. */
	NEED(&e, .what = CANCEL, .id = id, .text = "a test");
	assert_true(balance(&e, OTD_ACC_MINER, 1) == 1000 &&
		    balance(&e, OTD_ACC_FEE, POOL) == 1300);
	assert_true(balance(&e, OTD_ACC_FUNDS, POOL) == -100);
	assert_true(balance(&e, OTD_ACC_RISK, POOL) == -200);
	verified(&e);
	env_finish(&e);
}

static otd_rc reserve_one(struct env *e, struct otd_pay_terms t, enum otd_account_kind kind,
			  uint64_t owner, const char *address, otd_i128 amount, size_t n)
{
	struct otd_pay_part p[2] = {{.kind = kind, .owner = owner, .amount = amount}};
	snprintf(p[0].address, sizeof(p[0].address), "%s", address);
	p[1] = p[0];
	return CALL(e, .what = RESERVE, .terms = &t, .parts = p, .n = n);
}

static void test_reserve_refuses(void **state)
{
	struct otd_pay_terms t = terms(), low = terms(), btc = terms(), two = terms();
	struct env e;
	(void)state;
	env_init(&e, 2);
	sql(&e, "INSERT INTO accounts(id, pool_id, address, created_ms) VALUES(20, 2, 'other', 0)");
	credit(&e, OTD_ACC_MINER, 1, 1000);
	credit(&e, OTD_ACC_MINER, 20, 1000);
	credit(&e, OTD_ACC_FEE, POOL, 500);
	credit(&e, OTD_ACC_FUNDS, POOL, -100);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 1001, 1), OTD_E_INVALID);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 99, 1), OTD_E_INVALID);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-2", 500, 1), OTD_E_INVALID);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 20, "other", 500, 1), OTD_E_INVALID);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 100, 2), OTD_E_INVALID);
	assert_non_null(strstr(e.f.err.text, "twice"));
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 100, 0), OTD_E_INVALID);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_DUST, 1, "addr-1", 100, 1), OTD_E_INVALID);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_FEE, POOL, "mine", 100, 1), OTD_E_INVALID);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_FEE, 2, "fee-a", 100, 1), OTD_E_INVALID);
	/* 500 less what FUNDS is short of. */
	assert_int_equal(reserve_one(&e, t, OTD_ACC_FEE, POOL, "fee-a", 401, 1), OTD_E_INVALID);
	low.cap = 199;
	assert_int_equal(reserve_one(&e, low, OTD_ACC_MINER, 1, "addr-1", 200, 1), OTD_E_INVALID);
	low = terms();
	low.max_parts = 1;
	assert_int_equal(reserve_one(&e, low, OTD_ACC_FEE, POOL, "fee-a", 100, 2), OTD_E_INVALID);
	btc.asset = "BTC";
	assert_int_equal(reserve_one(&e, btc, OTD_ACC_MINER, 1, "addr-1", 200, 1), OTD_E_INVALID);
	two.pool_id = 2;
	assert_int_equal(reserve_one(&e, two, OTD_ACC_MINER, 20, "other", 200, 1), OTD_E_REFUSED);
	NEED(&e, .what = HOLD_ACCOUNT, .id = 1, .text = "asked to");
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 200, 1), OTD_E_INVALID);
	NEED(&e, .what = HOLD_ACCOUNT, .id = 1);
	NEED(&e, .what = POOL_SET, .id = POOL, .yes = false);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 200, 1), OTD_E_REFUSED);
	NEED(&e, .what = POOL_SET, .id = POOL, .yes = true);
	assert_true(balance(&e, OTD_ACC_MINER, 1) == 1000 && balance(&e, OTD_ACC_PAYING, 1) == 0);
	/* Two recipients are one entry. */
	assert_int_equal(reserve_one(&e, t, OTD_ACC_FEE, POOL, "fee-a", 200, 2), OTD_OK);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 200, 1), OTD_OK);
	assert_true(balance(&e, OTD_ACC_MINER, 1) == 800 && balance(&e, OTD_ACC_PAYING, 1) == 200);
	verified(&e);
	env_finish(&e);
}

/* A commit whose fate was unknown: the same call again, with what is due by now. */
static void test_reserve_twice(void **state)
{
	struct otd_pay_terms t = terms();
	struct otd_pay_part p = {.kind = OTD_ACC_MINER, .owner = 1, .amount = 400};
	struct env e;
	(void)state;
	env_init(&e, 1);
	credit(&e, OTD_ACC_MINER, 1, 1000);
	snprintf(p.address, sizeof(p.address), "addr-1");
	struct call c = {.what = RESERVE, .terms = &t, .parts = &p, .n = 1, .time_ms = 777};
	need(&e, &c);
	uint64_t id = c.id;
	p.amount = 600;
	assert_int_equal(call(&e, &c), OTD_E_EXISTS);
	assert_int_equal(c.id, id);
	assert_true(balance(&e, OTD_ACC_PAYING, 1) == 400);
	c.time_ms = 778;
	need(&e, &c);
	assert_int_not_equal(c.id, id);
	assert_true(balance(&e, OTD_ACC_PAYING, 1) == 1000);
	verified(&e);
	env_finish(&e);
}

/* --- a whole life --- */

static void fund(struct env *e, uint64_t id, uint32_t generation, unsigned n, otd_i128 value)
{
	struct otd_pay_coin c = coin(n, value);
	NEED(e, .what = FUND, .id = id, .generation = generation, .coins = &c, .n = 1);
}

static void test_the_pool_pays_the_fee(void **state)
{
	struct otd_pay_terms t = terms();
	struct env e;
	(void)state;
	env_init(&e, 2);
	credit(&e, OTD_ACC_MINER, 1, 1000);
	credit(&e, OTD_ACC_MINER, 2, 500);
	uint64_t id = reserve(&e, &t);
	credit(&e, OTD_ACC_FEE, POOL, 30);
	fund(&e, id, 1, 1, 2000);
	assert_int_equal(sign(&e, id, 1, 50, NULL, 0), OTD_OK);
	NEED(&e, .what = SENT, .id = id, .generation = 1, .version = 1);
	NEED(&e, .what = PROGRESS, .id = id, .generation = 1, .confirmations = 1, .height = 9);
	NEED(&e, .what = PAID, .id = id, .generation = 1, .version = 1, .confirmations = 6,
	     .height = 9);
	struct otd_payment p = load(&e, id);
	assert_int_equal(p.state, OTD_PAY_PAID);
	assert_true(p.paid_generation == 1 && p.paid_version == 1 && p.height == 9);
	assert_true(p.parts[0].sent == 1000 && p.parts[1].sent == 500);
	assert_int_equal(p.n_txs, 1);
	assert_true(p.txs[0].change == 450 && p.txs[0].raw_len == 8 && p.txs[0].raw[0] == 1);
	otd_payment_finish(&p);
	assert_true(balance(&e, OTD_ACC_PAYING, 1) == 0 && balance(&e, OTD_ACC_PAYING, 2) == 0);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 1500);
	assert_true(balance(&e, OTD_ACC_NETWORK, POOL) == 50);
	assert_true(balance(&e, OTD_ACC_FEE, POOL) == 0);
	assert_true(balance(&e, OTD_ACC_FUNDS, POOL) == -20);
	verified(&e);
	env_finish(&e);
}

/* A higher fee with a coin more; the first version is the one that comes into a block. */
static void test_miners_pay_the_fee(void **state)
{
	struct otd_pay_terms t = terms();
	struct otd_pay_coin more = coin(2, 300);
	struct env e;
	(void)state;
	t.fee_by_miners = true;
	env_init(&e, 2);
	credit(&e, OTD_ACC_MINER, 1, 1000);
	credit(&e, OTD_ACC_MINER, 2, 500);
	credit(&e, OTD_ACC_FEE, POOL, 1000);
	uint64_t id = reserve(&e, &t);
	fund(&e, id, 1, 1, 2700);
	assert_int_equal(sign(&e, id, 1, 51, NULL, 0), OTD_OK);
	NEED(&e, .what = SENT, .id = id, .generation = 1, .version = 1);
	assert_int_equal(sign(&e, id, 2, 80, &more, 1), OTD_OK);
	struct otd_payment p = load(&e, id);
	assert_int_equal(p.state, OTD_PAY_SIGNED);
	assert_true(p.version == 2 && p.n_txs == 2 && p.n_coins == 2);
	assert_true(p.coins[0].since == 1 && p.coins[1].since == 2 && p.coins[1].script_len == 3);
	assert_true(p.parts[0].sent == 980);
	otd_payment_finish(&p);
	NEED(&e, .what = SENT, .id = id, .generation = 1, .version = 2);
	verified(&e);
	NEED(&e, .what = PAID, .id = id, .generation = 1, .version = 1, .confirmations = 6,
	     .height = 9);
	p = load(&e, id);
	assert_true(p.paid_version == 1 && p.parts[0].sent == 988 && p.parts[3].sent == 287);
	otd_payment_finish(&p);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 2449);
	assert_true(balance(&e, OTD_ACC_NETWORK, POOL) == 51);
	assert_true(balance(&e, OTD_ACC_FEE_PAYING, POOL) == 0);
	assert_true(balance(&e, OTD_ACC_FUNDS, POOL) == 0);
	verified(&e);
	env_finish(&e);
}

/* --- states --- */

enum place {
	P_RESERVED,
	P_FUNDED,
	P_SIGNED,
	P_SENT,
	P_PAID,
	P_FALLEN,
	P_CANCELLED,
	P_AGAIN,
	PLACES
};

/* A payment of 1000 at that place, with coin n and transaction n. P_AGAIN: generation 2, funded. */
static uint64_t bring(struct env *e, uint64_t owner, enum place to, unsigned n)
{
	struct otd_pay_terms t = terms();
	struct otd_pay_part part = {.kind = OTD_ACC_MINER, .owner = owner, .amount = 1000};
	struct call c = {.what = RESERVE, .terms = &t, .parts = &part, .n = 1};
	snprintf(part.address, sizeof(part.address), "addr-%d", (int)owner);
	credit(e, OTD_ACC_MINER, owner, 1000);
	need(e, &c);
	if (to == P_CANCELLED)
		NEED(e, .what = CANCEL, .id = c.id, .text = "test");
	if (to == P_RESERVED || to == P_CANCELLED)
		return c.id;
	fund(e, c.id, 1, n, 1500);
	if (to == P_FUNDED)
		return c.id;
	assert_int_equal(sign(e, c.id, n, 10, NULL, 0), OTD_OK);
	if (to == P_SIGNED)
		return c.id;
	NEED(e, .what = SENT, .id = c.id, .generation = 1, .version = 1);
	if (to == P_SENT)
		return c.id;
	if (to == P_AGAIN) {
		NEED(e, .what = PROGRESS, .id = c.id, .generation = 1, .conflict = 7);
		NEED(e, .what = REMAKE, .id = c.id, .generation = 1, .proof = "gone");
		fund(e, c.id, 2, n + 1000, 1500);
		return c.id;
	}
	NEED(e, .what = PAID, .id = c.id, .generation = 1, .version = 1, .confirmations = 6,
	     .height = 9);
	if (to == P_FALLEN)
		NEED(e, .what = PROGRESS, .id = c.id, .generation = 1, .conflict = 12);
	return c.id;
}

/* Every step at every place: done (0), done already (E), elsewhere (S), refused (I). */
static void test_every_step_in_every_state(void **state)
{
	static const char *const places = "RFSTPXCA";
	static const struct {
		enum what what;
		const char *proof, *outcome; /* by place */
	} steps[] = {
		{FUND, NULL, "00SSSSSS"}, /* of generation 1 */
		{SIGN, NULL, "S0SSSSSS"}, /* version 1, another transaction */
		{SENT, NULL, "SS0ESSSS"},
		{PROGRESS, NULL, "SS0000SS"},
		{PAID, NULL, "SS00EES0"},
		{REMAKE, "proof", "SSIIS0SS"}, /* generation 1; no conflict is known but of X */
		{CANCEL, NULL, "00IISIE0"},
		{CANCEL, "proof", "0000S0E0"},
		{LOST, NULL, "SSSSSSNS"},
		{HOLD, NULL, "0000S0S0"},
		{SAY, NULL, "000000S0"},
	};
	struct env e;
	unsigned n = 1;
	(void)state;
	env_init(&e, 1);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		for (int at = 0; at < PLACES; at++) {
			uint64_t id = bring(&e, 1, (enum place)at, ++n);
			struct otd_pay_coin k = coin(5000 + n, 1500);
			struct otd_pay_tx t = tx(5000 + n, 1, 1, 10, 490);
			otd_i128 sent = 1000;
			struct otd_payment before = load(&e, id), after;
			otd_rc rc = CALL(&e, .what = steps[i].what, .id = id, .generation = 1,
					 .version = 1, .confirmations = 3, .height = 8, .coins = &k,
					 .n = steps[i].what == FUND, .tx = &t, .sent = &sent,
					 .text = "why", .proof = steps[i].proof, .yes = true);
			const char want = steps[i].outcome[at];
			if (rc != (want == '0'   ? OTD_OK
				   : want == 'E' ? OTD_E_EXISTS
				   : want == 'I' ? OTD_E_INVALID
				   : want == 'N' ? OTD_E_NOT_FOUND
						 : OTD_E_STALE))
				fail_msg("step %d at %c: %s %s", (int)steps[i].what, places[at],
					 otd_rc_name(rc), e.f.err.text);
			after = load(&e, id);
			if (rc)
				assert_true(after.state == before.state &&
					    after.changed_ms == before.changed_ms);
			otd_payment_finish(&before);
			otd_payment_finish(&after);
		}
		verified(&e);
	}
	env_finish(&e);
}

/* The same call again after a commit whose fate was unknown: nothing more happens. */
static void test_twice(void **state)
{
	struct otd_pay_coin k = coin(1, 1500);
	struct otd_pay_tx t = tx(1, 1, 1, 10, 490), other = tx(2, 1, 1, 10, 490);
	otd_i128 sent = 1000;
	struct env e;
	(void)state;
	env_init(&e, 1);
	uint64_t id = bring(&e, 1, P_RESERVED, 1);
	for (int i = 0; i < 2; i++)
		NEED(&e, .what = FUND, .id = id, .generation = 1, .coins = &k, .n = 1);
	NEED(&e, .what = SIGN, .id = id, .tx = &t, .sent = &sent);
	assert_int_equal(CALL(&e, .what = SIGN, .id = id, .tx = &t, .sent = &sent), OTD_E_EXISTS);
	assert_int_equal(CALL(&e, .what = SIGN, .id = id, .tx = &other, .sent = &sent),
			 OTD_E_STALE);
	NEED(&e, .what = SENT, .id = id, .generation = 1, .version = 1);
	assert_int_equal(CALL(&e, .what = SIGN, .id = id, .tx = &t, .sent = &sent), OTD_E_EXISTS);
	NEED(&e, .what = PROGRESS, .id = id, .generation = 1, .conflict = 5);
	struct call remake = {.what = REMAKE, .id = id, .generation = 1, .proof = "gone"};
	need(&e, &remake);
	assert_int_equal(call(&e, &remake), OTD_E_EXISTS);
	struct otd_payment p = load(&e, id);
	assert_true(p.generation == 2 && p.n_coins == 0 && p.n_txs == 0 && p.n_old == 1);
	assert_true(p.parts[0].sent == 0 && p.old[0].raw_len == 8);
	otd_payment_finish(&p);
	/* The calls of the first generation are late now. */
	assert_int_equal(CALL(&e, .what = FUND, .id = id, .generation = 1, .coins = &k, .n = 1),
			 OTD_E_STALE);
	struct call cancel = {.what = CANCEL, .id = id, .text = "enough"};
	need(&e, &cancel);
	assert_int_equal(call(&e, &cancel), OTD_E_EXISTS);
	assert_true(balance(&e, OTD_ACC_MINER, 1) == 1000);
	verified(&e);
	env_finish(&e);
}

static void test_coins_are_held_once(void **state)
{
	struct otd_pay_coin k[2] = {coin(50, 700), coin(51, 800)}, same[2] = {k[0], k[0]};
	struct otd_pay_coin none = coin(60, 0), taken = coin(3, 1500);
	struct env e;
	(void)state;
	env_init(&e, 2);
	uint64_t a = bring(&e, 1, P_RESERVED, 1), b = bring(&e, 2, P_RESERVED, 2);
	NEED(&e, .what = FUND, .id = a, .generation = 1, .coins = k, .n = 2);
	REFUSED(&e, OTD_E_EXISTS, "is an input of payment 1", .what = FUND, .id = b,
		.generation = 1, .coins = &k[1], .n = 1);
	REFUSED(&e, OTD_E_INVALID, "twice", .what = FUND, .id = b, .generation = 1, .coins = same,
		.n = 2);
	REFUSED(&e, OTD_E_INVALID, "coins", .what = FUND, .id = b, .generation = 1, .coins = k);
	REFUSED(&e, OTD_E_INVALID, "sum", .what = FUND, .id = b, .generation = 1, .coins = &none,
		.n = 1);
	/* Other coins: the first ones are free again. */
	fund(&e, a, 1, 3, 1500);
	NEED(&e, .what = FUND, .id = b, .generation = 1, .coins = k, .n = 2);
	assert_int_equal(sign(&e, b, 9, 20, NULL, 0), OTD_OK);
	/* A further version may not take it either, nor one of its own twice; and never "happened". */
	assert_int_equal(sign(&e, b, 10, 30, &taken, 1), OTD_E_INVALID);
	assert_int_equal(sign(&e, b, 10, 30, &k[0], 1), OTD_E_INVALID);
	NEED(&e, .what = CANCEL, .id = a, .text = "x");
	assert_int_equal(sign(&e, b, 10, 30, &taken, 1), OTD_OK);
	verified(&e);
	NEED(&e, .what = PAID, .id = b, .generation = 1, .version = 2, .confirmations = 1,
	     .height = 1);
	/* Paid, its coins are the chain's business, until its block is gone. */
	uint64_t c = bring(&e, 1, P_RESERVED, 1);
	NEED(&e, .what = FUND, .id = c, .generation = 1, .coins = k, .n = 2);
	NEED(&e, .what = CANCEL, .id = c, .text = "x");
	NEED(&e, .what = PROGRESS, .id = b, .generation = 1);
	c = bring(&e, 1, P_RESERVED, 1);
	assert_int_equal(CALL(&e, .what = FUND, .id = c, .generation = 1, .coins = k, .n = 2),
			 OTD_E_EXISTS);
	verified(&e);
	env_finish(&e);
}

static void test_sign_checks_the_transaction(void **state)
{
	struct {
		otd_i128 fee, change, sent;
		size_t raw_len;
		uint32_t generation, version;
		unsigned txid;
		otd_rc want;
	} const cases[] = {
		{10, 490, 999, 8, 1, 1, 1, OTD_E_INVALID},  /* a part less, the pool pays */
		{10, 489, 1000, 8, 1, 1, 1, OTD_E_INVALID}, /* one unit is nowhere */
		{10, 491, 1000, 8, 1, 1, 1, OTD_E_INVALID},
		{-10, 510, 1000, 8, 1, 1, 1, OTD_E_INVALID},
		{510, -10, 1000, 8, 1, 1, 1, OTD_E_INVALID},
		{10, 489, 1001, 8, 1, 1, 1, OTD_E_INVALID},
		{10, 1490, 0, 8, 1, 1, 1, OTD_E_INVALID},
		{(otd_i128)1 << 126, 0, 1000, 8, 1, 1, 1, OTD_E_INVALID},
		{10, 490, 1000, 0, 1, 1, 1, OTD_E_INVALID}, /* no bytes */
		{10, 490, 1000, 8, 2, 1, 1, OTD_E_STALE},
		{10, 490, 1000, 8, 1, 2, 1, OTD_E_STALE},
		{10, 490, 1000, 8, 1, 0, 1, OTD_E_STALE},
		{10, 490, 1000, 8, 1, 1, 77, OTD_E_INVALID}, /* another payment's */
		{10, 490, 1000, 8, 1, 1, 1, OTD_OK},
		{10, 490, 1000, 8, 1, 2, 2, OTD_E_INVALID}, /* no higher fee */
		{11, 489, 1000, 8, 1, 2, 1, OTD_E_INVALID}, /* the same as version 1 */
		{11, 489, 1000, 8, 1, 3, 3, OTD_E_STALE},
		{11, 489, 1000, 8, 1, 2, 2, OTD_OK},
	};
	struct env e;
	(void)state;
	env_init(&e, 2);
	(void)bring(&e, 2, P_SENT, 77);
	uint64_t id = bring(&e, 1, P_FUNDED, 1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct otd_pay_tx t = tx(cases[i].txid, cases[i].generation, cases[i].version,
					 cases[i].fee, cases[i].change);
		t.raw_len = cases[i].raw_len;
		otd_rc rc = CALL(&e, .what = SIGN, .id = id, .tx = &t, .sent = &cases[i].sent);
		if (rc != cases[i].want)
			fail_msg("case %zu: %s: %s", i, otd_rc_name(rc), e.f.err.text);
	}
	struct otd_pay_tx t = tx(2, 0, 0, 0, 0);
	struct call c = {.what = BY_TXID, .tx = &t};
	need(&e, &c);
	assert_true(c.id == id && c.generation == 1 && c.version == 2);
	t = tx(99, 0, 0, 0, 0);
	assert_int_equal(call(&e, &c), OTD_E_NOT_FOUND);
	verified(&e);
	env_finish(&e);
}

static void test_hold(void **state)
{
	struct otd_pay_coin k = coin(500, 1500);
	struct env e;
	(void)state;
	env_init(&e, 1);
	uint64_t id = bring(&e, 1, P_RESERVED, 1);
	NEED(&e, .what = SAY, .id = id, .text = "wallet is\nlocked");
	struct otd_payment p = load(&e, id);
	assert_string_equal(p.why, "wallet is locked");
	otd_payment_finish(&p);
	NEED(&e, .what = HOLD, .id = id, .yes = true, .text = "odd");
	NEED(&e, .what = SAY, .id = id, .text = "wallet is locked");
	REFUSED(&e, OTD_E_REFUSED, "odd", .what = FUND, .id = id, .generation = 1, .coins = &k,
		.n = 1);
	NEED(&e, .what = HOLD, .id = id);
	fund(&e, id, 1, 1, 1500);
	NEED(&e, .what = HOLD, .id = id, .yes = true, .text = "odd");
	assert_int_equal(sign(&e, id, 1, 10, NULL, 0), OTD_E_REFUSED);
	NEED(&e, .what = HOLD, .id = id);
	assert_int_equal(sign(&e, id, 1, 10, NULL, 0), OTD_OK);
	NEED(&e, .what = HOLD, .id = id, .yes = true, .text = "odd");
	/* What has happened is booked all the same. */
	NEED(&e, .what = SENT, .id = id, .generation = 1, .version = 1);
	NEED(&e, .what = PROGRESS, .id = id, .generation = 1, .conflict = 5);
	p = load(&e, id);
	assert_true(p.held);
	assert_string_equal(p.why, "odd");
	otd_payment_finish(&p);
	assert_int_equal(CALL(&e, .what = REMAKE, .id = id, .generation = 1, .proof = "x"),
			 OTD_E_REFUSED);
	NEED(&e, .what = PAID, .id = id, .generation = 1, .version = 1, .confirmations = 1,
	     .height = 7);
	p = load(&e, id);
	assert_true(!p.held && !p.why[0]);
	otd_payment_finish(&p);
	verified(&e);
	env_finish(&e);
}

/* --- generations --- */

static void test_remake_needs_a_conflict(void **state)
{
	struct env e;
	(void)state;
	env_init(&e, 1);
	uint64_t id = bring(&e, 1, P_SENT, 1);
	struct call c = {.what = REMAKE, .id = id, .generation = 1, .proof = "spent in abc"};
	assert_int_equal(call(&e, &c), OTD_E_INVALID);
	NEED(&e, .what = PROGRESS, .id = id, .generation = 1, .conflict = 5);
	c.proof = "";
	assert_int_equal(call(&e, &c), OTD_E_INVALID);
	c.proof = "spent in abc";
	/* It is in a block after all. */
	NEED(&e, .what = PROGRESS, .id = id, .generation = 1, .confirmations = 1, .height = 6,
	     .conflict = 5);
	assert_int_equal(call(&e, &c), OTD_E_INVALID);
	NEED(&e, .what = PROGRESS, .id = id, .generation = 1, .conflict = 5);
	need(&e, &c);
	assert_int_equal(state_of(&e, id), OTD_PAY_RESERVED);
	verified(&e);
	/* With a coin of the one given up, as it should be where there is one. */
	fund(&e, id, 2, 1, 1500);
	assert_int_equal(sign(&e, id, 2, 10, NULL, 0), OTD_OK);
	NEED(&e, .what = SENT, .id = id, .generation = 2, .version = 1);
	assert_int_equal(CALL(&e, .what = SENT, .id = id, .generation = 1, .version = 1),
			 OTD_E_STALE);
	NEED(&e, .what = PAID, .id = id, .generation = 2, .version = 1, .confirmations = 1,
	     .height = 9);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 1000);
	verified(&e);
	env_finish(&e);
}

/* The one that was given up comes into a block after all. */
static void test_an_old_generation_comes_back(void **state)
{
	struct env e;
	(void)state;
	env_init(&e, 3);
	/* Before the next one is signed: it pays. */
	uint64_t a = bring(&e, 1, P_AGAIN, 1);
	struct call c = {.what = PAID,
			 .id = a,
			 .generation = 1,
			 .version = 1,
			 .confirmations = 2,
			 .height = 20};
	need(&e, &c);
	assert_int_equal(call(&e, &c), OTD_E_EXISTS);
	struct otd_payment p = load(&e, a);
	assert_true(p.paid_generation == 1 && p.generation == 2 && p.parts[0].sent == 1000);
	otd_payment_finish(&p);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 1000);
	verified(&e);
	/* While the next one may be with the network too: only with proof. */
	uint64_t b = bring(&e, 2, P_AGAIN, 2);
	assert_int_equal(sign(&e, b, 200, 10, NULL, 0), OTD_OK);
	c.id = b;
	assert_int_equal(call(&e, &c), OTD_E_INVALID);
	assert_non_null(strstr(e.f.err.text, "both pay the same"));
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 1000);
	c.proof = "its coin is spent";
	need(&e, &c);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 2000);
	verified(&e);
	/* Both came: the pool's loss, once. */
	struct call lost = {.what = LOST, .id = b, .generation = 2, .version = 1};
	need(&e, &lost);
	assert_int_equal(call(&e, &lost), OTD_E_EXISTS);
	lost.generation = 1;
	assert_int_equal(call(&e, &lost), OTD_E_STALE);
	assert_true(balance(&e, OTD_ACC_RISK, POOL) == -1010);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 3000);
	p = load(&e, b);
	assert_non_null(strstr(p.why, "1010 base units"));
	assert_int_equal(p.state, OTD_PAY_PAID);
	otd_payment_finish(&p);
	verified(&e);
	/* A person cancelled it, the miner has the amount again, and it comes. */
	uint64_t d = bring(&e, 3, P_SENT, 3);
	NEED(&e, .what = CANCEL, .id = d, .text = "looked", .proof = "spent in abc");
	assert_true(balance(&e, OTD_ACC_MINER, 3) == 1000);
	lost.id = d;
	need(&e, &lost);
	assert_true(balance(&e, OTD_ACC_RISK, POOL) == -2020);
	verified(&e);
	env_finish(&e);
}

/* A payment is reorganised away after it was final. */
static void test_a_paid_one_falls_out(void **state)
{
	struct env e;
	(void)state;
	env_init(&e, 2);
	uint64_t a = bring(&e, 1, P_FALLEN, 1);
	assert_int_equal(state_of(&e, a), OTD_PAY_PAID);
	verified(&e);
	NEED(&e, .what = PROGRESS, .id = a, .generation = 1, .confirmations = 1, .height = 15);
	assert_int_equal(CALL(&e, .what = REMAKE, .id = a, .generation = 1, .proof = "x"),
			 OTD_E_STALE);
	NEED(&e, .what = PROGRESS, .id = a, .generation = 1, .conflict = 16);
	NEED(&e, .what = REMAKE, .id = a, .generation = 1, .proof = "spent in abc");
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 0 && balance(&e, OTD_ACC_PAYING, 1) == 1000);
	assert_true(balance(&e, OTD_ACC_FUNDS, POOL) == 0);
	verified(&e);
	fund(&e, a, 2, 40, 1500);
	assert_int_equal(sign(&e, a, 40, 12, NULL, 0), OTD_OK);
	NEED(&e, .what = PAID, .id = a, .generation = 2, .version = 1, .confirmations = 1,
	     .height = 30);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 1000);
	assert_true(balance(&e, OTD_ACC_FUNDS, POOL) == -12);
	verified(&e);
	/* Or a person gives the amount back. */
	uint64_t b = bring(&e, 2, P_FALLEN, 2);
	NEED(&e, .what = CANCEL, .id = b, .text = "back", .proof = "spent in abc");
	assert_true(balance(&e, OTD_ACC_MINER, 2) == 1000);
	assert_true(balance(&e, OTD_ACC_PAID, POOL) == 1000);
	verified(&e);
	env_finish(&e);
}

static void test_restored(void **state)
{
	struct otd_pay_pool pool;
	struct otd_pay_terms t = terms();
	struct env e;
	(void)state;
	env_init(&e, 1);
	uint64_t a = bring(&e, 1, P_FUNDED, 1), b = bring(&e, 1, P_PAID, 2);
	NEED(&e, .what = RESTORED);
	NEED(&e, .what = POOL_GET, .id = POOL, .pool = &pool);
	assert_true(!pool.on && pool.restored);
	struct otd_payment p = load(&e, a);
	assert_true(p.held && strstr(p.why, "restored"));
	otd_payment_finish(&p);
	p = load(&e, b);
	assert_false(p.held);
	otd_payment_finish(&p);
	credit(&e, OTD_ACC_MINER, 1, 500);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 500, 1), OTD_E_REFUSED);
	NEED(&e, .what = POOL_SET, .id = POOL, .yes = true, .time_ms = 4000);
	NEED(&e, .what = POOL_GET, .id = POOL, .pool = &pool);
	assert_true(pool.on && !pool.restored && pool.confirmed_ms == 4000);
	assert_int_equal(reserve_one(&e, t, OTD_ACC_MINER, 1, "addr-1", 500, 1), OTD_OK);
	verified(&e);
	env_finish(&e);
}

/* What the pool that was lost did after the backup is not known: nothing of before it is made again. */
static void test_restored_is_not_made_again(void **state)
{
	struct env e;
	(void)state;
	for (int clock = 0; clock < 2; clock++) { /* right, and one that is behind */
		env_init(&e, 1);
		uint64_t a = bring(&e, 1, P_FUNDED, 1), b = bring(&e, 1, P_SENT, 2);
		NEED(&e, .what = RESTORED, .time_ms = clock ? 1 : 0);
		REFUSED(&e, OTD_E_REFUSED, "resolve", .what = HOLD, .id = a);
		/* A signed one is looked up; it may have been sent anew with a higher fee. */
		NEED(&e, .what = HOLD, .id = b);
		NEED(&e, .what = PROGRESS, .id = b, .generation = 1, .conflict = 20);
		REFUSED(&e, OTD_E_REFUSED, "resolve", .what = REMAKE, .id = b, .generation = 1,
			.proof = "spent in abc");
		NEED(&e, .what = CANCEL, .id = b, .text = "looked", .proof = "spent in abc");
		NEED(&e, .what = CANCEL, .id = a, .text = "looked");
		NEED(&e, .what = POOL_SET, .id = POOL, .yes = true);
		assert_int_equal(reserve_one(&e, terms(), OTD_ACC_MINER, 1, "addr-1", 500, 1), 0);
		NEED(&e, .what = HOLD, .id = b + 1, .yes = true, .text = "odd");
		NEED(&e, .what = HOLD, .id = b + 1);
		verified(&e);
		env_finish(&e);
	}
}

/* --- hands that change tables --- */

static void test_tampering_is_found(void **state)
{
	/* Payments 1 to 7 are at the places in turn, 8 in its second generation. */
	static const char *const changes[][2] = {
		{"UPDATE payment_parts SET address = 'mine' WHERE payment_id = 5",
		 "not what was reserved"},
		{"UPDATE payment_parts SET owner = 2 WHERE payment_id = 1",
		 "not what was reserved"},
		{"UPDATE payments SET fee_by_miners = 1 WHERE id = 1", "not what was reserved"},
		{"UPDATE payments SET total = (SELECT value FROM payment_coins LIMIT 1) WHERE id = "
		 "1",
		 "not what was reserved"},
		{"DELETE FROM payments WHERE id = 7", "is not there any more"},
		{"UPDATE payment_txs SET txid = "
		 "x'00000000000000000000000000000000000000000000000000"
		 "00000000000000' WHERE payment_id = 4",
		 "not what was signed"},
		{"UPDATE payment_txs SET fee = change WHERE payment_id = 4", "not what was signed"},
		{"UPDATE payment_coins SET idx = idx + 1 WHERE payment_id = 4",
		 "not what was signed"},
		{"DELETE FROM payment_txs WHERE payment_id = 8", "is not there any more"},
		{"INSERT INTO payment_txs SELECT 1, 1, 1, x'01', raw, fee, change, vsize, "
		 "signed_ms "
		 "FROM payment_txs LIMIT 1",
		 "does not know"},
		{"INSERT INTO payments(pool_id, asset, state, fee_by_miners, total, created_ms, "
		 "changed_ms) SELECT 2, asset, 6, 0, total, 1, 1 FROM payments LIMIT 1",
		 "does not know"},
		{"UPDATE payments SET state = 6 WHERE id = 1", "have not gone back"},
		{"UPDATE payments SET state = 1 WHERE id = 7", "gone back"},
		{"UPDATE payments SET state = 5 WHERE id = 1", "not booked as paid"},
		{"UPDATE payments SET state = 4 WHERE id = 5", "booked as paid"},
		{"UPDATE payments SET state = 9 WHERE id = 1", "no state"},
		{"UPDATE payments SET state = 3 WHERE id = 2", "state and version"},
		{"UPDATE payments SET state = 2 WHERE id = 1", "coins"},
		{"UPDATE payments SET state = 2 WHERE id = 3", "state and version"},
		{"UPDATE payments SET version = 0 WHERE id = 4", "state and version"},
		{"UPDATE payments SET paid_version = 2 WHERE id = 5", "not there"},
		{"UPDATE payments SET generation = 1, state = 4, version = 1 WHERE id = 8",
		 "generation to come"},
		{"UPDATE payment_coins SET txid = (SELECT txid FROM payment_coins WHERE payment_id "
		 "= "
		 "4), idx = (SELECT idx FROM payment_coins WHERE payment_id = 4) WHERE payment_id "
		 "= 2",
		 "a coin that another payment"},
		{"DELETE FROM payment_coins WHERE payment_id = 2", "coins"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct env e;
		env_init(&e, 2);
		for (int at = 0; at < PLACES; at++)
			(void)bring(&e, 1, (enum place)at, 100 + 2 * (unsigned)at);
		verified(&e);
		sql(&e, changes[i][0]);
		otd_rc rc = CALL(&e, .what = VERIFY);
		if (rc != OTD_E_CORRUPT || !strstr(e.f.err.text, changes[i][1]))
			fail_msg("%zu: no '%s' in: %s %s", i, changes[i][1], otd_rc_name(rc),
				 e.f.err.text);
		env_finish(&e);
	}
}

/* Postings by hand that payments do not know: the reserves are not those of payments. */
static void test_reserves_are_compared(void **state)
{
	struct env e;
	(void)state;
	env_init(&e, 2);
	(void)bring(&e, 1, P_SENT, 1);
	verified(&e);
	credit(&e, OTD_ACC_PAYING, 2, 5);
	REFUSED(&e, OTD_E_CORRUPT, "paying 2 has 5 LTC, payments on their way have 0",
		.what = VERIFY);
	credit(&e, OTD_ACC_PAYING, 1, 5);
	REFUSED(&e, OTD_E_CORRUPT, "paying 1 has 1005 LTC, payments on their way have 1000",
		.what = VERIFY);
	env_finish(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_plan_of_the_fee),
		cmocka_unit_test(test_terms_are_checked),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_reserve_refuses),
		cmocka_unit_test(test_reserve_twice),
		cmocka_unit_test(test_the_pool_pays_the_fee),
		cmocka_unit_test(test_miners_pay_the_fee),
		cmocka_unit_test(test_every_step_in_every_state),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_coins_are_held_once),
		cmocka_unit_test(test_sign_checks_the_transaction),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_remake_needs_a_conflict),
		cmocka_unit_test(test_an_old_generation_comes_back),
		cmocka_unit_test(test_a_paid_one_falls_out),
		cmocka_unit_test(test_restored),
		cmocka_unit_test(test_restored_is_not_made_again),
		cmocka_unit_test(test_tampering_is_found),
		cmocka_unit_test(test_reserves_are_compared),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
