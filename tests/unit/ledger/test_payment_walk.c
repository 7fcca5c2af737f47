/* Payments killed at every write, walked at random beside a chain, and many at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "pay_fixture.h"

/* --- killed at every write and sync --- */

#define NUMBER 4711 /* time of the reserve, by which a second try is known */

static otd_rc one_id(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_db_int(db, "SELECT MAX(id) FROM payments", NULL, 0, arg, err);
}

/* The next call by what is stored; false: it is paid. Two versions, a conflict, then another
   generation that comes through. */
static bool choose(struct env *e, struct call *c, struct otd_pay_coin *coins, struct otd_pay_tx *t,
		   otd_i128 *sent)
{
	struct otd_payment p;
	*c = (struct call){.what = LOAD, .id = 1, .out = &p, .yes = true};
	if (call(e, c))
		return true; /* the disk: the same again later */
	*c = (struct call){
		.id = 1, .generation = p.generation, .version = p.version, .coins = coins};
	coins[0] = coin(p.generation, 700);
	coins[1] = coin(10 + p.generation, 600);
	for (size_t i = 0; i < p.n_parts; i++)
		sent[i] = p.parts[i].amount;
	c->sent = sent;
	c->tx = t;
	*t = tx(p.generation * 10 + p.version + 1, p.generation, p.version + 1, 20 + p.version,
		p.version ? 1300 - 600 - 21 : 80);
	switch (p.state) {
	case OTD_PAY_RESERVED:
		c->what = FUND;
		c->n = 1;
		break;
	case OTD_PAY_FUNDED: c->what = SIGN; break;
	case OTD_PAY_SIGNED: c->what = SENT; break;
	default:
		if (p.generation == 1 && p.version == 1) {
			c->what = SIGN;
			c->coins = &coins[1];
			c->n = 1;
		} else if (p.generation == 1 && !p.conflict_height) {
			c->what = PROGRESS;
			c->conflict = 8;
		} else if (p.generation == 1) {
			c->what = REMAKE;
			c->proof = "spent otherwise";
		} else {
			c->what = PAID;
			c->confirmations = 6;
			c->height = 20;
		}
	}
	bool going = p.state != OTD_PAY_PAID;
	otd_payment_finish(&p);
	return going;
}

/* Until it is paid, or the disk fails: false. A call that failed is made again first, blindly. */
static bool go_on(struct env *e, struct call *last)
{
	static struct otd_pay_coin coins[2];
	static struct otd_pay_tx t;
	static otd_i128 sent[4];
	struct otd_pay_terms terms_ = terms();
	struct otd_pay_part part = {
		.kind = OTD_ACC_MINER, .owner = 1, .address = "addr-1", .amount = 600};
	for (;;) {
		int64_t id = 0;
		otd_rc rc = otd_store_do_now(e->s, false, one_id, &id, &e->f.err);
		if (rc == OTD_E_NOT_FOUND)
			*last = (struct call){.what = RESERVE,
					      .terms = &terms_,
					      .parts = &part,
					      .n = 1,
					      .time_ms = NUMBER};
		else if (rc)
			return false;
		else if (!choose(e, last, coins, &t, sent))
			return true;
		rc = call(e, last);
		if (rc && rc != OTD_E_EXISTS)
			return false;
	}
}

static void test_killed_at_every_write(void **state)
{
	long kills = 0;
	bool whole = false;
	(void)state;
	for (long at = 1; !whole; at++) {
		struct env e;
		struct call last = {.what = VERIFY};
		int64_t n = 0;
		env_init(&e, 1);
		credit(&e, OTD_ACC_MINER, 1, 1000);
		credit(&e, OTD_ACC_FEE, POOL, 5);
		disk.ops = 0;
		disk.fail_at = at;
		disk.with = OTD_E_IO;
		whole = go_on(&e, &last);
		if (!whole) {
			kills++;
			env_close(&e);
			disk.fail_at = 0;
			env_open(&e);
			verified(&e);
			if (last.what == RESERVE || last.what == LOAD)
				last = (struct call){.what = VERIFY};
			otd_rc rc = call(&e, &last);
			if (rc != OTD_OK && rc != OTD_E_EXISTS)
				fail_msg("at %ld: call %d again: %s", at, (int)last.what,
					 e.f.err.text);
			assert_true(go_on(&e, &last));
		}
		must(&e.f, e.s, false, one_id, &n);
		assert_int_equal(n, 1);
		assert_true(balance(&e, OTD_ACC_PAID, POOL) == 600);
		assert_true(balance(&e, OTD_ACC_MINER, 1) == 400);
		assert_true(balance(&e, OTD_ACC_NETWORK, POOL) == 20);
		assert_true(balance(&e, OTD_ACC_FUNDS, POOL) == -15);
		verified(&e);
		env_finish(&e);
	}
	printf("killed at %ld writes and syncs\n", kills);
	assert_true(kills > 40);
}

/* --- at random, beside a chain --- */

#define ACCOUNTS 5
#define COINS    40
#define TXS      400
#define PAYMENTS 60

struct one_tx {
	uint64_t payment;
	uint32_t generation, version;
	bool confirmed;
	otd_i128 sent;
	bool in[COINS];
};

struct walk {
	struct env e;
	uint64_t x;
	enum { FREE, OURS, FOREIGN } spent[COINS]; /* in the chain */
	struct one_tx tx[TXS];
	unsigned n_tx;
	uint64_t last_payment;
	unsigned paid, remade, cancelled, refused;
};

static unsigned draw(struct walk *w, unsigned below)
{
	w->x ^= w->x << 13;
	w->x ^= w->x >> 7;
	w->x ^= w->x << 17;
	return (unsigned)(w->x >> 33) % below;
}

/* Coin i of the model. */
static struct otd_pay_coin model_coin(unsigned i)
{
	return coin(i, 3000 + i);
}

static unsigned coin_index(const struct otd_pay_coin *c)
{
	unsigned n;
	memcpy(&n, c->txid, sizeof(n));
	return n;
}

static void walk_reserve(struct walk *w)
{
	struct otd_pay_terms t = terms();
	struct call plan = {.what = PLAN, .terms = &t};
	t.fee_by_miners = draw(w, 2);
	t.max_parts = 1 + draw(w, 4);
	need(&w->e, &plan);
	struct call c = {.what = RESERVE, .terms = &t, .parts = plan.parts, .n = plan.n};
	if (plan.n && w->last_payment < PAYMENTS) {
		need(&w->e, &c);
		w->last_payment = c.id;
	}
	free(plan.parts);
}

static bool held_by_another(struct walk *w, unsigned i, uint64_t id)
{
	for (uint64_t k = 1; k <= w->last_payment; k++) {
		struct otd_payment p = load(&w->e, k);
		bool has = false;
		for (size_t j = 0; j < p.n_coins; j++)
			has = has || coin_index(&p.coins[j]) == i;
		otd_payment_finish(&p);
		if (has && k != id && p.state >= OTD_PAY_FUNDED && p.state <= OTD_PAY_SENT)
			return true;
	}
	return false;
}

static void walk_fund(struct walk *w, const struct otd_payment *p)
{
	struct otd_pay_coin c[3];
	unsigned first = draw(w, COINS - 3);
	bool taken = false;
	for (unsigned i = 0; i < 3; i++) {
		c[i] = model_coin(first + i);
		taken = taken || held_by_another(w, first + i, p->id);
		if (w->spent[first + i] != FREE)
			return; /* the wallet does not offer it */
	}
	otd_rc rc = CALL(&w->e, .what = FUND, .id = p->id, .generation = p->generation, .coins = c,
			 .n = 3);
	otd_rc want = p->held ? OTD_E_REFUSED : taken ? OTD_E_EXISTS : OTD_OK;
	if (p->state != OTD_PAY_RESERVED && p->state != OTD_PAY_FUNDED)
		want = OTD_E_STALE;
	if (rc != want)
		fail_msg("fund: %s, not %s: %s", otd_rc_name(rc), otd_rc_name(want),
			 w->e.f.err.text);
	w->refused += taken;
}

static void walk_sign(struct walk *w, const struct otd_payment *p)
{
	struct otd_pay_coin more = model_coin(draw(w, COINS));
	bool adds = draw(w, 2) && p->version && w->spent[coin_index(&more)] == FREE &&
		    !held_by_another(w, coin_index(&more), 0);
	otd_i128 in = 0, fee = p->version ? p->txs[p->n_txs - 1].fee + 1 + draw(w, 9) : 10;
	for (size_t i = 0; i < p->n_coins; i++)
		in += p->coins[i].value;
	bool enough = in >= p->total + (p->fee_by_miners ? 0 : fee);
	if (w->n_tx == TXS)
		return;
	otd_rc rc = sign(&w->e, p->id, 1000 + w->n_tx, fee, &more, adds);
	bool turn = p->state >= OTD_PAY_FUNDED && p->state <= OTD_PAY_SENT;
	if (rc && turn && !p->held && enough)
		fail_msg("sign: %s: %s", otd_rc_name(rc), w->e.f.err.text);
	if (rc)
		return;
	assert_true(turn && !p->held);
	struct one_tx *t = &w->tx[w->n_tx++];
	struct otd_payment now = load(&w->e, p->id);
	*t = (struct one_tx){p->id, now.generation, now.version, .sent = 0};
	for (size_t i = 0; i < now.n_parts; i++)
		t->sent += now.parts[i].sent;
	for (size_t i = 0; i < now.n_coins; i++)
		t->in[coin_index(&now.coins[i])] = true;
	otd_payment_finish(&now);
}

/* A block takes any signed one that it can, or somebody else spends a coin. */
static void walk_chain(struct walk *w)
{
	if (draw(w, 2)) {
		unsigned i = draw(w, COINS);
		if (w->spent[i] == FREE)
			w->spent[i] = FOREIGN;
		return;
	}
	if (!w->n_tx)
		return;
	struct one_tx *t = &w->tx[draw(w, w->n_tx)];
	for (unsigned i = 0; i < COINS; i++) {
		if (t->in[i] && w->spent[i] != FREE)
			return;
	}
	t->confirmed = true;
	for (unsigned i = 0; i < COINS; i++) {
		if (t->in[i])
			w->spent[i] = OURS;
	}
}

/* What the pool does when it looks at the chain. */
static void walk_look(struct walk *w, const struct otd_payment *p)
{
	const struct one_tx *in_chain = NULL;
	bool conflict = false;
	for (unsigned i = 0; i < w->n_tx; i++) {
		if (w->tx[i].payment == p->id && w->tx[i].confirmed)
			in_chain = &w->tx[i];
	}
	/* One that came with a later version leaves those before it free to come. */
	for (size_t i = 0; i < p->n_coins; i++)
		conflict = conflict ||
			   (p->coins[i].since == 1 && w->spent[coin_index(&p->coins[i])] != FREE);
	if (in_chain) {
		otd_rc rc =
			CALL(&w->e, .what = PAID, .id = p->id, .generation = in_chain->generation,
			     .version = in_chain->version, .confirmations = 6, .height = 100);
		assert_int_equal(rc, p->state == OTD_PAY_PAID ? OTD_E_EXISTS : OTD_OK);
		w->paid += rc == OTD_OK;
		return;
	}
	if (!conflict || p->held || (p->state != OTD_PAY_SIGNED && p->state != OTD_PAY_SENT))
		return;
	if (draw(w, 2)) {
		NEED(&w->e, .what = CANCEL, .id = p->id, .text = "a person", .proof = "spent");
		w->cancelled++;
		return;
	}
	NEED(&w->e, .what = PROGRESS, .id = p->id, .generation = p->generation, .conflict = 50);
	struct call remake = {
		.what = REMAKE, .id = p->id, .generation = p->generation, .proof = "spent"};
	need(&w->e, &remake);
	assert_int_equal(call(&w->e, &remake), OTD_E_EXISTS);
	w->remade++;
}

/* Calls that may not do harm, whatever they name. */
static void walk_wrong(struct walk *w, const struct otd_payment *p)
{
	bool out = p->state == OTD_PAY_SIGNED || p->state == OTD_PAY_SENT;
	uint32_t g = p->generation + draw(w, 3) - 1, v = draw(w, 3);
	if (!p->conflict_height)
		assert_int_not_equal(
			CALL(&w->e, .what = REMAKE, .id = p->id, .generation = g, .proof = "none"),
			OTD_OK);
	if (out)
		assert_int_equal(CALL(&w->e, .what = CANCEL, .id = p->id, .text = "no proof"),
				 OTD_E_INVALID);
	otd_rc rc = CALL(&w->e, .what = SENT, .id = p->id, .generation = g, .version = v);
	assert_true((rc == OTD_OK) ==
		    (p->state == OTD_PAY_SIGNED && g == p->generation && v == p->version));
	assert_int_not_equal(CALL(&w->e, .what = PAID, .id = p->id, .generation = p->generation,
				  .version = p->version + 1, .confirmations = 1, .height = 1),
			     OTD_OK);
	if (p->state <= OTD_PAY_SENT && draw(w, 4) == 0)
		NEED(&w->e, .what = HOLD, .id = p->id, .yes = !p->held, .text = "odd");
	if ((p->state == OTD_PAY_RESERVED || p->state == OTD_PAY_FUNDED) && draw(w, 30) == 0)
		NEED(&w->e, .what = CANCEL, .id = p->id, .text = "no need");
}

/* At most one transaction of each is in the chain, and the books say what the chain says. */
static void walk_check(struct walk *w, bool end)
{
	otd_i128 sent = 0;
	for (uint64_t id = 1; id <= w->last_payment; id++) {
		unsigned n = 0;
		enum otd_pay_state state = state_of(&w->e, id);
		for (unsigned i = 0; i < w->n_tx; i++) {
			if (w->tx[i].payment != id || !w->tx[i].confirmed)
				continue;
			n++;
			sent += state == OTD_PAY_PAID ? w->tx[i].sent : 0;
		}
		assert_true(n <= 1);
		assert_true(n == 1 || state != OTD_PAY_PAID);
		assert_true(n == 0 || state != OTD_PAY_CANCELLED);
		assert_true(!end || n == 0 || state == OTD_PAY_PAID);
	}
	assert_true(balance(&w->e, OTD_ACC_PAID, POOL) == sent);
	verified(&w->e);
}

static void walk_step(struct walk *w, unsigned what)
{
	struct otd_payment p;
	if (what == 0)
		credit(&w->e, draw(w, 4) ? OTD_ACC_MINER : OTD_ACC_FEE, 1, 200 + draw(w, 3000));
	if (what == 1)
		credit(&w->e, OTD_ACC_MINER, 1 + draw(w, ACCOUNTS), 50 + draw(w, 2000));
	if (what == 2)
		walk_reserve(w);
	if (what == 3)
		walk_chain(w);
	if (what <= 3 || !w->last_payment)
		return;
	p = load(&w->e, 1 + draw(w, (unsigned)w->last_payment));
	if (what <= 5)
		walk_fund(w, &p);
	else if (what <= 8)
		walk_sign(w, &p);
	else if (what == 9 && p.state == OTD_PAY_SIGNED)
		NEED(&w->e, .what = SENT, .id = p.id, .generation = p.generation,
		     .version = p.version);
	else if (what <= 11)
		walk_look(w, &p);
	else
		walk_wrong(w, &p);
	otd_payment_finish(&p);
}

static void test_walks(void **state)
{
	const char *first = getenv("OTEDAMA_WALK_FIRST"), *many = getenv("OTEDAMA_WALK_SEEDS");
	uint64_t from = first ? strtoull(first, NULL, 10) : 1;
	uint64_t n = many ? strtoull(many, NULL, 10) : 12;
	unsigned paid = 0, remade = 0, cancelled = 0, refused = 0;
	static struct walk w;
	(void)state;
	for (uint64_t seed = from; seed < from + n; seed++) {
		w = (struct walk){.x = seed * 0x9e3779b97f4a7c15u + 1};
		printf("seed %llu\n", (unsigned long long)seed);
		env_init(&w.e, ACCOUNTS);
		for (int step = 0; step < 250; step++) {
			walk_step(&w, draw(&w, 13));
			if (step % 10 == 9)
				walk_check(&w, false);
		}
		for (uint64_t id = 1; id <= w.last_payment; id++) {
			struct otd_payment p = load(&w.e, id);
			walk_look(&w, &p);
			otd_payment_finish(&p);
		}
		walk_check(&w, true);
		paid += w.paid;
		remade += w.remade;
		cancelled += w.cancelled;
		refused += w.refused;
		env_finish(&w.e);
	}
	printf("%u paid, %u made anew, %u cancelled by proof, %u times a coin was held\n", paid,
	       remade, cancelled, refused);
	if (n >= 12)
		assert_true(paid > 20 && remade && cancelled && refused > 3);
}

/* --- many --- */

#define MANY 100000u
#define DUE  1000u

static otd_rc make_many(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct otd_entry *e = arg;
	otd_i128 sum = 0;
	otd_rc rc = OTD_OK;
	for (unsigned i = 1; !rc && i <= MANY; i++) {
		char address[24];
		snprintf(address, sizeof(address), "addr-%u", i);
		struct otd_value v[] = {OTD_INT(i), OTD_TEXT(address)};
		rc = otd_db_exec(db,
				 "INSERT INTO accounts(id, pool_id, address, created_ms)"
				 " VALUES(?, 1, ?, 0)",
				 v, 2, NULL, NULL, err);
		e[i] = (struct otd_entry){OTD_ACC_MINER, i, i % 100 ? 10 + i % 80 : 5000 + i};
		sum += e[i].amount;
	}
	e[0] = (struct otd_entry){OTD_ACC_REWARD, POOL, -sum};
	const struct otd_posting p = {"many", ASSET, "test", 1, e, MANY + 1};
	return rc ? rc : otd_ledger_post(db, &p, err);
}

static int64_t lap_ms(void)
{
	static int64_t last;
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	int64_t now = t.tv_sec * 1000 + t.tv_nsec / 1000000, lap = now - last;
	last = now;
	return lap;
}

static void test_a_thousand_recipients(void **state)
{
	struct otd_entry *e = calloc(MANY + 1, sizeof(*e));
	struct otd_pay_terms t = terms();
	struct env v;
	int64_t ms[6];
	(void)state;
	assert_non_null(e);
	t.fee_by_miners = true;
	env_init(&v, 0);
	must(&v.f, v.s, true, make_many, e);
	free(e);
	(void)lap_ms();
	struct call plan = {.what = PLAN, .terms = &t};
	need(&v, &plan);
	ms[0] = lap_ms();
	assert_int_equal(plan.n, DUE);
	assert_true(plan.parts[0].owner == MANY && plan.parts[DUE - 1].owner == 100);
	struct call c = {.what = RESERVE, .terms = &t, .parts = plan.parts, .n = plan.n};
	need(&v, &c);
	ms[1] = lap_ms();
	free(plan.parts);
	struct otd_payment p = load(&v, c.id);
	struct otd_pay_coin k = coin(1, p.total + 77);
	otd_payment_finish(&p);
	NEED(&v, .what = FUND, .id = c.id, .generation = 1, .coins = &k, .n = 1);
	ms[2] = lap_ms();
	assert_int_equal(sign(&v, c.id, 1, 30001, NULL, 0), OTD_OK);
	ms[3] = lap_ms();
	NEED(&v, .what = PAID, .id = c.id, .generation = 1, .version = 1, .confirmations = 1,
	     .height = 1);
	ms[4] = lap_ms();
	verified(&v);
	ms[5] = lap_ms();
	printf("%u of %u accounts: plan %lld ms, reserve %lld, fund %lld, sign %lld, paid %lld, "
	       "verify %lld\n",
	       DUE, MANY, (long long)ms[0], (long long)ms[1], (long long)ms[2], (long long)ms[3],
	       (long long)ms[4], (long long)ms[5]);
	env_finish(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_killed_at_every_write),
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_a_thousand_recipients),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
