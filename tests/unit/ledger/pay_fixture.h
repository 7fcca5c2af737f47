/* A database with pools, accounts and balances, and every step of a payment as one call. */
#ifndef TEST_LEDGER_PAY_FIXTURE_H
#define TEST_LEDGER_PAY_FIXTURE_H

#include "fixture.h"
#include "ledger/payment.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASSET "LTC"
#define POOL  1u

struct env {
	struct fixture f;
	struct otd_plugin_instance *in;
	struct otd_store *s;
	int64_t time_ms;
	uint64_t posted;
};

static inline void env_open(struct env *e)
{
	e->in = fixture_instance(&e->f);
	e->s = fixture_store(&e->f, e->in);
}

static inline void env_close(struct env *e)
{
	otd_store_destroy(e->s);
	otd_instance_destroy(e->in);
}

static inline void sql(struct env *e, const char *text)
{
	must(&e->f, e->s, true, work_sql, (void *)text);
}

enum what {
	PLAN,
	RESERVE,
	FUND,
	SIGN,
	SENT,
	PROGRESS,
	PAID,
	LOST,
	REMAKE,
	CANCEL,
	HOLD,
	SAY,
	HOLD_ACCOUNT,
	POOL_SET,
	POOL_GET,
	RESTORED,
	LOAD,
	BY_TXID,
	VERIFY,
	BALANCE,
	GIVE
};

struct call {
	enum what what;
	const struct otd_pay_terms *terms;
	struct otd_pay_part *parts;
	size_t n;
	int64_t time_ms;
	uint64_t id;
	uint32_t generation, version, confirmations;
	uint64_t height, conflict;
	const struct otd_pay_tx *tx;
	const otd_i128 *sent;
	const struct otd_pay_coin *coins;
	const char *text, *proof;
	bool yes;
	struct otd_payment *out;
	struct otd_pay_pool *pool;
	enum otd_account_kind kind;
	otd_i128 amount;
	uint64_t serial;
};

static inline otd_rc give(struct otd_db *db, const struct call *c, struct otd_err *err)
{
	char key[32];
	const struct otd_entry e[] = {{OTD_ACC_REWARD, POOL, -c->amount},
				      {c->kind, c->id, c->amount}};
	const struct otd_posting p = {key, ASSET, "test", c->time_ms, e, 2};
	snprintf(key, sizeof(key), "give/%llu", (unsigned long long)c->serial);
	return otd_ledger_post(db, &p, err);
}

static inline otd_rc work_steps(struct call *c, struct otd_db *db, struct otd_err *err)
{
	switch (c->what) {
	case FUND: return otd_pay_fund(db, c->id, c->generation, c->coins, c->n, c->time_ms, err);
	case SIGN: return otd_pay_sign(db, c->id, c->tx, c->sent, c->coins, c->n, c->time_ms, err);
	case SENT: return otd_pay_sent(db, c->id, c->generation, c->version, c->time_ms, err);
	case PROGRESS:
		return otd_pay_progress(db, c->id, c->generation, c->confirmations, c->height,
					c->conflict, c->time_ms, err);
	case PAID:
		return otd_pay_paid(db, c->id, c->generation, c->version, c->confirmations,
				    c->height, c->proof, c->time_ms, err);
	case LOST: return otd_pay_lost(db, c->id, c->generation, c->version, c->time_ms, err);
	case REMAKE: return otd_pay_remake(db, c->id, c->generation, c->proof, c->time_ms, err);
	case CANCEL: return otd_pay_cancel(db, c->id, c->text, c->proof, c->time_ms, err);
	case HOLD: return otd_pay_hold(db, c->id, c->yes, c->text, c->time_ms, err);
	case SAY: return otd_pay_say(db, c->id, c->text, c->time_ms, err);
	default: abort();
	}
}

static inline otd_rc work_call(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct call *c = arg;
	switch (c->what) {
	case PLAN: return otd_pay_plan(db, c->terms, &c->parts, &c->n, err);
	case RESERVE: return otd_pay_reserve(db, c->terms, c->parts, c->n, c->time_ms, &c->id, err);
	case HOLD_ACCOUNT: return otd_pay_hold_account(db, c->id, c->text, c->time_ms, err);
	case POOL_SET: return otd_pay_pool_set(db, c->id, c->yes, c->time_ms, err);
	case POOL_GET: return otd_pay_pool(db, c->id, c->pool, err);
	case RESTORED: return otd_pay_restored(db, c->time_ms, err);
	case LOAD: return otd_pay_load(db, c->id, c->yes, c->out, err);
	case BY_TXID:
		return otd_pay_by_txid(db, c->tx->txid, &c->id, &c->generation, &c->version, err);
	case VERIFY: return otd_ledger_verify(db, &c->serial, err);
	case BALANCE: return otd_ledger_balance(db, c->kind, c->id, ASSET, &c->amount, err);
	case GIVE: return give(db, c, err);
	default: return work_steps(c, db, err);
	}
}

static inline bool reads(enum what w)
{
	return w == PLAN || w == POOL_GET || w == LOAD || w == BY_TXID || w == VERIFY ||
	       w == BALANCE;
}

static inline otd_rc call(struct env *e, struct call *c)
{
	if (!c->time_ms)
		c->time_ms = ++e->time_ms;
	return otd_store_do_now(e->s, !reads(c->what), work_call, c, &e->f.err);
}

#define CALL(e, ...) call(e, &(struct call){__VA_ARGS__})

/* Ends the test with the words of what failed. */
static inline void need(struct env *e, struct call *c)
{
	if (call(e, c) == OTD_OK)
		return;
	fprintf(stderr, "call %d: %s\n", (int)c->what, e->f.err.text);
	abort();
}

#define NEED(e, ...) need(e, &(struct call){__VA_ARGS__})

static inline otd_i128 balance(struct env *e, enum otd_account_kind kind, uint64_t owner)
{
	struct call c = {.what = BALANCE, .kind = kind, .id = owner};
	need(e, &c);
	return c.amount;
}

static inline void credit(struct env *e, enum otd_account_kind kind, uint64_t owner,
			  otd_i128 amount)
{
	NEED(e, .what = GIVE, .kind = kind, .id = owner, .amount = amount, .serial = ++e->posted);
}

static inline void verified(struct env *e)
{
	NEED(e, .what = VERIFY);
}

/* Pools 1 and 2 of LTC, 3 of BTC; accounts 1 to n of pool 1 by "addr-N", on. */
static inline void env_init(struct env *e, int n)
{
	char text[120];
	memset(e, 0, sizeof(*e));
	fixture_init(&e->f);
	env_open(e);
	sql(e, "INSERT INTO pools(id, name, asset) VALUES(1, 'one', 'LTC'), (2, 'two', 'LTC'),"
	       " (3, 'three', 'BTC')");
	for (int i = 1; i <= n; i++) {
		snprintf(text, sizeof(text),
			 "INSERT INTO accounts(id, pool_id, address, created_ms) VALUES(%d, 1, "
			 "'addr-%d', 0)",
			 i, i);
		sql(e, text);
	}
	NEED(e, .what = POOL_SET, .id = POOL, .yes = true);
}

static inline void env_finish(struct env *e)
{
	env_close(e);
	fixture_finish(&e->f);
}

static const struct otd_pay_recipient recipients[] = {{"fee-a", 700000}, {"fee-b", 300000}};

static inline struct otd_pay_terms terms(void)
{
	return (struct otd_pay_terms){.pool_id = POOL,
				      .asset = ASSET,
				      .minimum = 100,
				      .max_parts = 1000,
				      .fee = recipients,
				      .n_fee = 2};
}

static inline struct otd_pay_coin coin(unsigned n, otd_i128 value)
{
	struct otd_pay_coin c = {.index = n % 3, .value = value, .script = {1, 2, 3}};
	c.script_len = 3;
	memcpy(c.txid, &n, sizeof(n));
	return c;
}

/* A transaction whose id and bytes follow from n. */
static inline struct otd_pay_tx tx(unsigned n, uint32_t generation, uint32_t version, otd_i128 fee,
				   otd_i128 change)
{
	static uint8_t raw[8];
	struct otd_pay_tx t = {.generation = generation,
			       .version = version,
			       .fee = fee,
			       .change = change,
			       .vsize = 200,
			       .signed_ms = 5,
			       .raw = raw,
			       .raw_len = sizeof(raw)};
	memcpy(t.txid, &n, sizeof(n));
	t.txid[31] = 7;
	memcpy(raw, &n, sizeof(n));
	return t;
}

static inline struct otd_payment load(struct env *e, uint64_t id)
{
	struct otd_payment p;
	NEED(e, .what = LOAD, .id = id, .out = &p, .yes = true);
	return p;
}

static inline enum otd_pay_state state_of(struct env *e, uint64_t id)
{
	struct otd_payment p = load(e, id);
	otd_payment_finish(&p);
	return p.state;
}

/* Plans and reserves all that is due. */
static inline uint64_t reserve(struct env *e, const struct otd_pay_terms *t)
{
	struct call plan = {.what = PLAN, .terms = t};
	need(e, &plan);
	struct call c = {.what = RESERVE, .terms = t, .parts = plan.parts, .n = plan.n};
	need(e, &c);
	free(plan.parts);
	return c.id;
}

/* Signs the next version: each part bears an equal share of what is not a multiple less. */
static inline otd_rc sign(struct env *e, uint64_t id, unsigned n, otd_i128 fee,
			  const struct otd_pay_coin *more, size_t n_more)
{
	struct otd_payment p = load(e, id);
	otd_i128 in = 0, out = 0, left = p.fee_by_miners ? fee : 0;
	otd_i128 *sent = calloc(p.n_parts, sizeof(*sent));
	if (!sent)
		abort();
	for (size_t i = 0; i < p.n_coins; i++)
		in += p.coins[i].value;
	for (size_t i = 0; i < n_more; i++)
		in += more[i].value;
	for (size_t i = 0; i < p.n_parts; i++) {
		otd_i128 less = left / (otd_i128)(p.n_parts - i);
		sent[i] = p.parts[i].amount - less;
		left -= less;
		out += sent[i];
	}
	struct otd_pay_tx t = tx(n, p.generation, p.version + 1, fee, in - out - fee);
	otd_rc rc =
		CALL(e, .what = SIGN, .id = id, .tx = &t, .sent = sent, .coins = more, .n = n_more);
	free(sent);
	otd_payment_finish(&p);
	return rc;
}

#endif
