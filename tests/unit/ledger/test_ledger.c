/* The ledger against a model, and against hands that change its tables. */
#include "fixture.h"
#include "ledger/audit.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define I128_MAX ((otd_i128)(~(otd_u128)0 >> 1))
#define ENTRIES(...)                                  \
	.entries = (struct otd_entry[]){__VA_ARGS__}, \
	.n = sizeof((struct otd_entry[]){__VA_ARGS__}) / sizeof(struct otd_entry)

struct env {
	struct fixture f;
	struct otd_plugin_instance *in;
	struct otd_store *s;
};

static void env_init(struct env *e)
{
	fixture_init(&e->f);
	e->in = fixture_instance(&e->f);
	e->s = fixture_store(&e->f, e->in);
}

static void env_finish(struct env *e)
{
	otd_store_destroy(e->s);
	otd_instance_destroy(e->in);
	fixture_finish(&e->f);
}

static otd_rc work_post(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_ledger_post(db, arg, err);
}

static otd_rc post(struct env *e, struct otd_posting p)
{
	if (!p.asset)
		p.asset = "BTC";
	if (!p.memo)
		p.memo = "test";
	return otd_store_do_now(e->s, true, work_post, &p, &e->f.err);
}

static otd_rc work_reverse(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_ledger_reverse(db, arg, "undone", 77, err);
}

static otd_rc reverse(struct env *e, const char *key)
{
	return otd_store_do_now(e->s, true, work_reverse, (void *)key, &e->f.err);
}

static otd_rc work_verify(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_ledger_verify(db, arg, err);
}

static uint64_t verified(struct env *e)
{
	uint64_t n = 0;
	must(&e->f, e->s, false, work_verify, &n);
	return n;
}

struct asked {
	enum otd_account_kind kind;
	uint64_t owner;
	const char *asset;
	otd_i128 amount;
};

static otd_rc work_balance(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct asked *a = arg;
	return otd_ledger_balance(db, a->kind, a->owner, a->asset, &a->amount, err);
}

static otd_i128 balance(struct env *e, enum otd_account_kind kind, uint64_t owner)
{
	struct asked a = {kind, owner, "BTC", 1};
	must(&e->f, e->s, false, work_balance, &a);
	return a.amount;
}

static void test_post_and_reverse(void **state)
{
	struct env e;
	(void)state;
	env_init(&e);
	assert_int_equal(post(&e, (struct otd_posting){.key = "block/1",
						       ENTRIES({OTD_ACC_REWARD, 1, -1000},
							       {OTD_ACC_IMMATURE, 5, 990},
							       {OTD_ACC_FEE_IMMATURE, 1, 10})}),
			 OTD_OK);
	/* The same again, and another under the same key. */
	assert_int_equal(post(&e, (struct otd_posting){.key = "block/1",
						       ENTRIES({OTD_ACC_REWARD, 1, -1000},
							       {OTD_ACC_IMMATURE, 5, 990},
							       {OTD_ACC_FEE_IMMATURE, 1, 10})}),
			 OTD_E_EXISTS);
	assert_int_equal(post(&e, (struct otd_posting){.key = "block/1",
						       ENTRIES({OTD_ACC_REWARD, 1, -1000},
							       {OTD_ACC_IMMATURE, 5, 1000})}),
			 OTD_E_CORRUPT);
	assert_true(balance(&e, OTD_ACC_IMMATURE, 5) == 990);
	/* Not zero; below zero; no entries; no such kind; keys. */
	assert_int_equal(post(&e, (struct otd_posting){.key = "x",
						       ENTRIES({OTD_ACC_REWARD, 1, -10},
							       {OTD_ACC_IMMATURE, 5, 9})}),
			 OTD_E_INVALID);
	assert_non_null(strstr(e.f.err.text, "sum to -1"));
	assert_int_equal(post(&e, (struct otd_posting){.key = "x",
						       ENTRIES({OTD_ACC_IMMATURE, 5, -991},
							       {OTD_ACC_MINER, 5, 991})}),
			 OTD_E_INVALID);
	assert_non_null(strstr(e.f.err.text, "below zero"));
	assert_int_equal(post(&e, (struct otd_posting){.key = "x"}), OTD_E_INVALID);
	assert_int_equal(post(&e, (struct otd_posting){.key = "x", ENTRIES({99, 5, 0})}),
			 OTD_E_INVALID);
	assert_int_equal(post(&e, (struct otd_posting){.key = "", ENTRIES({1, 5, 0})}),
			 OTD_E_INVALID);
	assert_int_equal(post(&e, (struct otd_posting){.key = "a/reversed", ENTRIES({1, 5, 0})}),
			 OTD_E_INVALID);
	assert_int_equal(verified(&e), 1);
	/* An account that appears twice is judged by its end. */
	assert_int_equal(post(&e, (struct otd_posting){.key = "twice",
						       ENTRIES({OTD_ACC_MINER, 5, -7},
							       {OTD_ACC_MINER, 5, 7})}),
			 OTD_OK);
	assert_int_equal(reverse(&e, "block/1"), OTD_OK);
	assert_int_equal(reverse(&e, "block/1"), OTD_E_EXISTS);
	assert_int_equal(reverse(&e, "block/1/reversed"), OTD_E_INVALID);
	assert_int_equal(reverse(&e, "block/2"), OTD_E_NOT_FOUND);
	assert_true(balance(&e, OTD_ACC_IMMATURE, 5) == 0);
	assert_true(balance(&e, OTD_ACC_REWARD, 1) == 0);
	assert_int_equal(verified(&e), 3);
	env_finish(&e);
}

static void test_extremes(void **state)
{
	struct env e;
	(void)state;
	env_init(&e);
	assert_int_equal(
		post(&e, (struct otd_posting){.key = "most",
					      ENTRIES({OTD_ACC_REWARD, 1, -I128_MAX},
						      {OTD_ACC_MINER, UINT64_MAX, I128_MAX})}),
		OTD_OK);
	assert_true(balance(&e, OTD_ACC_MINER, UINT64_MAX) == I128_MAX);
	assert_true(balance(&e, OTD_ACC_REWARD, 1) == -I128_MAX);
	assert_int_equal(post(&e, (struct otd_posting){.key = "more",
						       ENTRIES({OTD_ACC_REWARD, 2, -1},
							       {OTD_ACC_MINER, UINT64_MAX, 1})}),
			 OTD_E_OVERFLOW);
	assert_int_equal(post(&e, (struct otd_posting){.key = "sum",
						       ENTRIES({OTD_ACC_MINER, 1, I128_MAX},
							       {OTD_ACC_MINER, 2, I128_MAX})}),
			 OTD_E_OVERFLOW);
	assert_int_equal(post(&e, (struct otd_posting){.key = "least",
						       ENTRIES({OTD_ACC_REWARD, 3, -I128_MAX - 1},
							       {OTD_ACC_MINER, 3, I128_MAX},
							       {OTD_ACC_MINER, 4, 1})}),
			 OTD_OK);
	/* Its lowest amount has no negative. */
	assert_int_equal(reverse(&e, "least"), OTD_E_OVERFLOW);
	assert_int_equal(verified(&e), 2);
	env_finish(&e);
}

#define OWNERS 4
#define KINDS  6

static uint64_t next(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Random entries that sum to zero, or those of undo taken back. */
static void draw_entries(struct otd_entry *entries, size_t n, const struct otd_entry *undo,
			 uint64_t *x)
{
	otd_i128 sum = 0;
	for (size_t i = 0; i < n; i++) {
		entries[i].kind = (enum otd_account_kind)(1 + next(x) % KINDS);
		entries[i].owner = next(x) % OWNERS;
		entries[i].amount = (otd_i128)(next(x) % 2001) - 700;
		if (i == n - 1) {
			entries[i].kind = OTD_ACC_REWARD;
			entries[i].amount = -sum;
		}
		if (undo) {
			entries[i] = undo[i];
			entries[i].amount = -entries[i].amount;
		}
		sum += entries[i].amount;
	}
}

static bool none_below_zero(int64_t after[KINDS + 1][OWNERS])
{
	for (int k = 2; k <= KINDS; k++) {
		for (int o = 0; o < OWNERS; o++) {
			if (after[k][o] < 0)
				return false;
		}
	}
	return true;
}

/* 400 random postings and reversals; a plain array says what must come of each. */
static void test_model(void **state)
{
	struct env e;
	int64_t model[KINDS + 1][OWNERS] = {{0}};
	struct otd_entry last[300][5];
	size_t last_n[300];
	bool undone[300] = {false};
	uint64_t x = 88172645463325252u, posted = 0, refused = 0, total = 0;
	(void)state;
	env_init(&e);
	for (int step = 0; step < 400; step++) {
		bool undo = posted && next(&x) % 5 == 0;
		size_t which = undo ? next(&x) % posted : posted;
		struct otd_entry entries[5];
		int64_t after[KINDS + 1][OWNERS];
		size_t n = undo ? last_n[which] : 2 + next(&x) % 4;
		char key[32];
		bool ok;
		otd_rc rc;
		if (!undo && posted == 300)
			continue;
		draw_entries(entries, n, undo ? last[which] : NULL, &x);
		memcpy(after, model, sizeof(model));
		for (size_t i = 0; i < n; i++)
			after[entries[i].kind][entries[i].owner] += (int64_t)entries[i].amount;
		ok = none_below_zero(after);
		snprintf(key, sizeof(key), "p/%zu", which);
		if (undo)
			rc = reverse(&e, key);
		else
			rc = post(&e, (struct otd_posting){.key = key, .entries = entries, .n = n});
		if (undo && undone[which]) {
			assert_int_equal(rc, OTD_E_EXISTS);
			continue;
		}
		assert_int_equal(rc, ok ? OTD_OK : OTD_E_INVALID);
		if (!ok) {
			refused++;
			continue;
		}
		total++;
		memcpy(model, after, sizeof(model));
		if (undo) {
			undone[which] = true;
		} else {
			memcpy(last[which], entries, sizeof(entries));
			last_n[which] = n;
			posted++;
		}
	}
	assert_true(refused > 10 && posted > 50);
	for (int k = 1; k <= KINDS; k++) {
		for (int o = 0; o < OWNERS; o++)
			assert_true(balance(&e, (enum otd_account_kind)k, (uint64_t)o) ==
				    model[k][o]);
	}
	assert_int_equal(verified(&e), total);
	env_finish(&e);
}

/* Each change by hand is found. */
static void test_tampering_is_found(void **state)
{
	static const char *const changes[][2] = {
		{"UPDATE balances SET amount = (SELECT amount FROM balances WHERE owner = 2) WHERE "
		 "owner = 1 AND account_kind = 3",
		 "balance of miner 1"},
		{"UPDATE entries SET owner = 9 WHERE posting_id = 2 AND n = 1", "posting 2"},
		{"DELETE FROM entries WHERE posting_id = 1 AND n = 0", "posting 1"},
		{"DELETE FROM postings WHERE id = 2", "posting 2"},
		{"UPDATE postings SET memo = 'mine' WHERE id = 1", "posting 1"},
		{"UPDATE audit SET data = 'x' WHERE id = 1", "audit: row 1"},
		{"UPDATE audit SET time_ms = 1 WHERE id = 2", "audit: row 2"},
		{"DELETE FROM audit WHERE id = 1", "audit: row 2"},
		{"DELETE FROM audit WHERE id = 3", "does not know"},
		{"INSERT INTO postings(k, asset, memo, time_ms) VALUES('z', 'BTC', '', 0)",
		 "does not know"},
		{"INSERT INTO entries(posting_id, n, account_kind, owner, amount) SELECT 99, 0, 1, "
		 "1, amount FROM entries LIMIT 1",
		 "without a posting"},
		{"DELETE FROM balances WHERE owner = 2 AND account_kind = 3", "without a balance"},
		{"UPDATE balances SET asset = 'LTC' WHERE account_kind = 1", "without a balance"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		struct env e;
		uint64_t n = 0;
		env_init(&e);
		for (uint64_t o = 1; o <= 3; o++) {
			char key[16];
			snprintf(key, sizeof(key), "k%d", (int)o);
			assert_int_equal(post(&e,
					      (struct otd_posting){
						      .key = key,
						      ENTRIES({OTD_ACC_REWARD, 1, -(otd_i128)o},
							      {OTD_ACC_MINER, o, (otd_i128)o})}),
					 OTD_OK);
		}
		assert_int_equal(verified(&e), 3);
		must(&e.f, e.s, true, work_sql, (void *)changes[i][0]);
		assert_int_equal(otd_store_do_now(e.s, false, work_verify, &n, &e.f.err),
				 OTD_E_CORRUPT);
		if (!strstr(e.f.err.text, changes[i][1]))
			fail_msg("%zu: no '%s' in: %s", i, changes[i][1], e.f.err.text);
		env_finish(&e);
	}
}

struct listed {
	size_t accounts, lines, stop_at;
	otd_i128 sum;
	uint64_t newest;
	bool reversed;
};

static bool on_account(void *arg, const struct otd_ledger_account *a)
{
	struct listed *l = arg;
	l->accounts++;
	l->sum += a->amount;
	return l->accounts != l->stop_at;
}

static bool on_line(void *arg, const struct otd_ledger_line *p)
{
	struct listed *l = arg;
	if (!l->lines++)
		l->newest = p->id;
	l->reversed |= p->reversed;
	return true;
}

static otd_rc work_lists(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct listed *l = arg;
	otd_rc rc = otd_ledger_balances(db, on_account, l, err);
	return rc ? rc : otd_ledger_postings(db, 0, 2, on_line, l, err);
}

static otd_rc work_audit(void *arg, struct otd_db *db, struct otd_err *err)
{
	(void)arg;
	return otd_audit_add(db, 5, "note", "not a posting", err);
}

static void test_lists(void **state)
{
	struct env e;
	struct listed all = {0}, one = {.stop_at = 1};
	(void)state;
	env_init(&e);
	for (int i = 0; i < 3; i++) {
		char key[16];
		snprintf(key, sizeof(key), "k%d", i);
		assert_int_equal(post(&e, (struct otd_posting){.key = key,
							       ENTRIES({OTD_ACC_REWARD, 1, -3},
								       {OTD_ACC_DUST, 1, 3})}),
				 OTD_OK);
	}
	must(&e.f, e.s, true, work_audit, NULL);
	assert_int_equal(reverse(&e, "k2"), OTD_OK);
	must(&e.f, e.s, false, work_lists, &all);
	assert_int_equal(all.accounts, 2);
	assert_true(all.sum == 0);
	assert_int_equal(all.lines, 2);
	assert_int_equal(all.newest, 4);
	assert_true(all.reversed);
	must(&e.f, e.s, false, work_lists, &one);
	assert_int_equal(one.accounts, 1);
	assert_int_equal(verified(&e), 4);
	env_finish(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_post_and_reverse),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_tampering_is_found),
		cmocka_unit_test(test_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
