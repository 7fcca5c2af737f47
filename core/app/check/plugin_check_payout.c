/*
 * Payout schemes: every unit is given to somebody, the same input gives the same credits and the same
 * state on any machine, and the order within a batch changes nothing.
 */
#include "app/check/plugin_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include <otedama/sha256.h>

#define STEPS      500u
#define ACCOUNTS   40u
#define SHARES_MAX 24u
#define BLOCKS_MAX 64u
#define CREDITS    4096u
#define STATE_MAX  (64u << 20)
#define RESTORES   12u /* places at which a state is taken to another instance */
#define AFTERWARDS 30u /* steps that both then go on together */

enum step_kind { STEP_SHARES, STEP_BLOCK, STEP_ORPHAN, STEP_MATURE };

struct step {
	enum step_kind kind;
	struct otd_payout_share share[SHARES_MAX];
	size_t n;
	struct otd_payout_block block; /* of BLOCK; .block of ORPHAN and MATURE too */
	int64_t time_ms;
	otd_u128 network_work;
};

/* What one step paid, by account. */
struct credits {
	otd_i128 of[ACCOUNTS + 1];
	otd_i128 sum;
	size_t n;
	size_t fail_after; /* the credit that the host refuses; 0: none */
	char wrong[120];   /* what no credit may be; "" */
};

static struct step steps[STEPS];

/* --- the same story in every check --- */

static void make_shares(struct step *s, uint64_t *random)
{
	bool used[ACCOUNTS + 1] = {false};
	size_t n = 1 + otd_pcheck_below(random, SHARES_MAX);
	s->kind = STEP_SHARES;
	for (size_t i = 0; i < n; i++) {
		uint64_t account = 1 + otd_pcheck_below(random, ACCOUNTS);
		if (used[account])
			continue;
		used[account] = true;
		s->share[s->n].account = account;
		s->share[s->n].work =
			1 + (otd_pcheck_random(random) >> (20 + otd_pcheck_below(random, 30)));
		s->n++;
	}
}

static void make_block(struct step *s, uint64_t *random, uint64_t number, uint64_t finder)
{
	unsigned shift = (unsigned)otd_pcheck_below(random, 60);
	s->kind = STEP_BLOCK;
	s->block = (struct otd_payout_block){
		.size = sizeof(s->block),
		.block = number,
		.finder = finder,
		.amount = (otd_i128)(otd_pcheck_random(random) >> (4 + shift)),
		.network_work = s->network_work,
		.time_ms = s->time_ms,
		.height = 100 + number};
	if (otd_pcheck_below(random, 12) == 0)
		s->block.amount = 0;
	if (otd_pcheck_below(random, 12) == 0)
		s->block.amount = (otd_i128)otd_pcheck_random(random) << 40;
}

static void make_steps(void)
{
	uint64_t random = 4711, number = 0, oldest = 1, finder = 0;
	int64_t time_ms = 1700000000000;
	otd_u128 work = (otd_u128)1 << 40;
	for (size_t i = 0; i < STEPS; i++) {
		struct step *s = &steps[i];
		memset(s, 0, sizeof(*s));
		time_ms += (int64_t)otd_pcheck_below(&random, 60000);
		if (otd_pcheck_below(&random, 9) == 0)
			work = work / 100 * (90 + otd_pcheck_below(&random, 25)) + 1;
		s->time_ms = time_ms;
		s->network_work = work;
		switch (finder ? otd_pcheck_below(&random, 10) : 9) {
		case 0:
		case 1: make_block(s, &random, ++number, finder); break;
		case 2:
			if (oldest <= number) {
				s->kind = otd_pcheck_below(&random, 3) ? STEP_MATURE : STEP_ORPHAN;
				s->block.block = oldest++;
				break;
			}
			/* fall through */
		default:
			make_shares(s, &random);
			finder = s->share[otd_pcheck_below(&random, s->n)].account;
			break;
		}
	}
}

/* --- one step on one instance --- */

static otd_rc take_credit(void *ctx, uint64_t account, otd_i128 amount)
{
	struct credits *c = ctx;
	c->n++;
	if (c->fail_after && c->n >= c->fail_after)
		return OTD_E_NOMEM;
	if (account == 0 || account > ACCOUNTS)
		(void)snprintf(c->wrong, sizeof(c->wrong),
			       "credits account %" PRIu64 ", which never mined", account);
	else if (amount <= 0)
		(void)snprintf(c->wrong, sizeof(c->wrong),
			       "credits account %" PRIu64 " with an amount that is not positive",
			       account);
	else if (c->n > CREDITS)
		(void)snprintf(c->wrong, sizeof(c->wrong), "does not stop crediting");
	if (c->wrong[0])
		return OTD_E_INVALID;
	c->of[account] += amount;
	c->sum += amount;
	return OTD_OK;
}

static otd_rc play_block(struct otd_pcheck_instance *in, const struct step *s, struct credits *c)
{
	const struct otd_payout_ops *ops = otd_pcheck_plugin(false)->ops.payout;
	const struct otd_payout_sink sink = {.size = sizeof(sink), .ctx = c, .credit = take_credit};
	return ops->block(in->self, &s->block, &sink);
}

/* turned: the shares of a batch in another order. c may be NULL where the step is no block. */
static otd_rc play(struct otd_pcheck_instance *in, const struct step *s, bool turned,
		   struct credits *c)
{
	const struct otd_payout_ops *ops = otd_pcheck_plugin(false)->ops.payout;
	struct otd_payout_share share[SHARES_MAX];
	struct otd_payout_batch batch = {.size = sizeof(batch),
					 .stride = sizeof(share[0]),
					 .shares = share,
					 .n = s->n,
					 .time_ms = s->time_ms,
					 .network_work = s->network_work};
	memset(c, 0, sizeof(*c));
	switch (s->kind) {
	case STEP_SHARES:
		for (size_t i = 0; i < s->n; i++)
			share[i] = s->share[turned ? (i * 5 + s->n / 2) % s->n : i];
		/* 5 and n have a divisor in common: turn it round instead. */
		for (size_t i = 0; turned && s->n % 5 == 0 && i < s->n; i++)
			share[i] = s->share[s->n - 1 - i];
		return ops->shares(in->self, &batch);
	case STEP_BLOCK: return play_block(in, s, c);
	case STEP_ORPHAN: return ops->orphan ? ops->orphan(in->self, s->block.block) : OTD_OK;
	case STEP_MATURE: return ops->mature ? ops->mature(in->self, s->block.block) : OTD_OK;
	}
	return OTD_OK;
}

static const char *name_of(const struct step *s)
{
	static const char *const names[] = {"shares()", "block()", "orphan()", "mature()"};
	return names[s->kind];
}

/* Plays step i and says what is wrong with it. */
static bool play_or_say(struct otd_pcheck_instance *in, size_t i, bool turned, struct credits *c)
{
	const struct step *s = &steps[i];
	otd_rc rc;
	otd_pcheck_at("step %zu, %s", i, name_of(s));
	rc = play(in, s, turned, c);
	if (c->wrong[0])
		otd_pcheck_fail("step %zu: block() %s", i, c->wrong);
	else if (rc)
		otd_pcheck_fail("step %zu: %s fails: %s%s", i, name_of(s), otd_rc_name(rc),
				otd_pcheck_words(in));
	return !rc && !c->wrong[0];
}

/* The whole state; free() it. NULL: it was said what is wrong. */
static uint8_t *snapshot(struct otd_pcheck_instance *in, size_t *n)
{
	const struct otd_payout_ops *ops = otd_pcheck_plugin(false)->ops.payout;
	struct otd_buf b = {0};
	otd_rc rc;
	otd_pcheck_at("snapshot() into a buffer of no bytes, then of what it needs");
	rc = ops->snapshot(in->self, &b);
	if (!otd_pcheck_short_buffer("snapshot()", rc, &b))
		return NULL;
	if (b.len > STATE_MAX) {
		otd_pcheck_fail("snapshot() wants %zu bytes for %u batches", b.len, STEPS);
		return NULL;
	}
	b.cap = b.len;
	b.ptr = malloc(b.cap);
	rc = b.ptr ? ops->snapshot(in->self, &b) : OTD_E_NOMEM;
	if (rc || b.len > b.cap) {
		otd_pcheck_fail("snapshot() into the %zu bytes that it asked for fails: %s", b.cap,
				otd_rc_name(rc));
		free(b.ptr);
		return NULL;
	}
	*n = b.len;
	return b.ptr;
}

static bool digest(struct otd_pcheck_instance *in, uint8_t out[32])
{
	size_t n;
	uint8_t *p = snapshot(in, &n);
	if (p)
		otd_sha256(out, p, n);
	free(p);
	return p != NULL;
}

static bool same_state(struct otd_pcheck_instance *a, struct otd_pcheck_instance *b, size_t i,
		       const char *why)
{
	uint8_t x[32], y[32];
	if (!digest(a, x) || !digest(b, y))
		return false;
	if (memcmp(x, y, 32) == 0)
		return true;
	otd_pcheck_fail("after step %zu two instances have other states, %s", i, why);
	return false;
}

static bool same_credits(const struct credits *a, const struct credits *b, size_t i,
			 const char *why)
{
	for (uint64_t k = 1; k <= ACCOUNTS; k++) {
		char x[OTD_I128_TEXT], y[OTD_I128_TEXT];
		if (a->of[k] == b->of[k])
			continue;
		otd_pcheck_fail(
			"step %zu: block() gives account %" PRIu64 " once %s and once %s, %s", i, k,
			otd_format_i128(x, a->of[k]), otd_format_i128(y, b->of[k]), why);
		return false;
	}
	return true;
}

/* --- for leaks and memory --- */

otd_rc otd_pcheck_walk_payout(struct otd_pcheck_instance *in, struct otd_pcheck_walk *w)
{
	const struct otd_payout_ops *ops = otd_pcheck_plugin(false)->ops.payout;
	struct otd_buf b = {0};
	struct credits c;
	uint64_t accounts;
	otd_u128 work;
	otd_rc rc = OTD_OK;
	if (!steps[0].n)
		make_steps();
	for (size_t i = 0; !rc && i < 40; i++) {
		w->at = name_of(&steps[i]);
		rc = play(in, &steps[i], false, &c);
		otd_pcheck_sum(w, c.of, sizeof(c.of));
	}
	if (!rc) {
		w->at = "round()";
		rc = ops->round(in->self, &work, &accounts);
	}
	if (rc)
		return rc;
	w->at = "snapshot()";
	rc = ops->snapshot(in->self, &b);
	if (rc != OTD_E_RANGE || b.len > STATE_MAX)
		return rc ? rc : OTD_E_INVALID;
	b.cap = b.len;
	b.ptr = malloc(b.cap);
	rc = b.ptr ? ops->snapshot(in->self, &b) : OTD_E_NOMEM;
	if (!rc) {
		w->at = "restore()";
		otd_pcheck_sum(w, b.ptr, b.len);
		rc = ops->restore(in->self, (struct otd_span){b.ptr, b.len});
	}
	free(b.ptr);
	return rc;
}

/* --- the stages --- */

static bool open_payout(struct otd_pcheck_instance *in)
{
	memset(in, 0, sizeof(*in));
	if (!otd_pcheck_plugin(false) || !otd_pcheck_options())
		return false;
	make_steps();
	return otd_pcheck_create_or_say(in);
}

static void close_payout(struct otd_pcheck_instance *in)
{
	otd_pcheck_at("destroy()");
	otd_pcheck_destroy(in);
	(void)otd_pcheck_leftovers(in, "after destroy()");
}

/* A sink that says no: the block fails, and nothing is credited as if it had not. */
static bool refused_credit(void)
{
	struct otd_pcheck_instance in;
	struct credits c;
	size_t i = 0;
	bool ok = true;
	if (!open_payout(&in))
		return false;
	for (; i < STEPS && !(steps[i].kind == STEP_BLOCK && steps[i].block.amount > 0); i++) {
		if (!play_or_say(&in, i, false, &c))
			return false;
	}
	memset(&c, 0, sizeof(c));
	c.fail_after = 1;
	otd_pcheck_at("block() whose credits the host refuses");
	if (i < STEPS && !play_block(&in, &steps[i], &c) && c.n) {
		otd_pcheck_fail("block() succeeds although the host refused a credit: return what "
				"credit() returned");
		ok = false;
	}
	close_payout(&in);
	return ok;
}

void otd_pcheck_credits(void)
{
	struct otd_pcheck_instance in;
	struct credits c;
	unsigned blocks = 0;
	uint64_t accounts;
	otd_u128 work;
	if (!open_payout(&in))
		return;
	for (size_t i = 0; i < STEPS; i++) {
		char got[OTD_I128_TEXT], want[OTD_I128_TEXT];
		if (!play_or_say(&in, i, false, &c))
			return;
		if (steps[i].kind != STEP_BLOCK)
			continue;
		blocks++;
		if (c.sum != steps[i].block.amount) {
			otd_pcheck_fail("block number %u (step %zu): its credits sum to %s of %s "
					"units: every unit goes to somebody, once",
					blocks, i, otd_format_i128(got, c.sum),
					otd_format_i128(want, steps[i].block.amount));
			return;
		}
		otd_pcheck_at("round()");
		if (otd_pcheck_plugin(false)->ops.payout->round(in.self, &work, &accounts))
			otd_pcheck_fail("round() fails after step %zu%s", i, otd_pcheck_words(&in));
	}
	close_payout(&in);
	if (refused_credit())
		otd_pcheck_ok("%u blocks: credits sum to the amount, to the last unit", blocks);
}

/* Two instances, other addresses, other bytes on the stack. */
static void compare(bool turned, const char *why, const char *good)
{
	struct otd_pcheck_instance a, b;
	struct credits x, y;
	if (!open_payout(&a))
		return;
	memset(&b, 0, sizeof(b));
	b.host.jitter = 99;
	if (!otd_pcheck_create_or_say(&b))
		return;
	for (size_t i = 0; i < STEPS; i++) {
		otd_pcheck_dirty_stack(0);
		if (!play_or_say(&a, i, false, &x))
			return;
		otd_pcheck_dirty_stack((uint8_t)(0xa5 + i));
		if (!play_or_say(&b, i, turned, &y) || !same_credits(&x, &y, i, why))
			return;
		if (i % 20 == 19 && !same_state(&a, &b, i, why))
			return;
	}
	close_payout(&a);
	close_payout(&b);
	otd_pcheck_ok("%s", good);
}

void otd_pcheck_replay(void)
{
	compare(false,
		"from the same input: addresses, statics or memory that was never written take "
		"part",
		"the same input twice: the same credits and the same state");
}

void otd_pcheck_order(void)
{
	compare(true, "where only the order within batches differs: sort by account first",
		"another order within a batch: the same credits and the same state");
}

/* The state of a at step i in a new instance, which then goes on beside it. */
static bool move_to(struct otd_pcheck_instance *a, size_t i)
{
	const struct otd_payout_ops *ops = otd_pcheck_plugin(false)->ops.payout;
	struct otd_pcheck_instance b = {.host.jitter = i + 1};
	size_t n = 0;
	uint8_t *state = snapshot(a, &n);
	otd_rc rc;
	bool ok;
	if (!state || !otd_pcheck_create_or_say(&b)) {
		free(state);
		return false;
	}
	otd_pcheck_at("restore() of the state after step %zu", i);
	rc = ops->restore(b.self, (struct otd_span){state, n});
	free(state);
	if (rc) {
		otd_pcheck_fail("restore() of what snapshot() gave after step %zu fails: %s%s", i,
				otd_rc_name(rc), otd_pcheck_words(&b));
		return false;
	}
	ok = same_state(a, &b, i, "though one was restored from the other");
	for (size_t k = i + 1; ok && k < STEPS && k <= i + AFTERWARDS; k++) {
		struct credits x, y;
		ok = play_or_say(a, k, false, &x) && play_or_say(&b, k, false, &y) &&
		     same_credits(&x, &y, k, "though one was restored from the other");
	}
	if (ok && i + AFTERWARDS < STEPS)
		ok = same_state(a, &b, i + AFTERWARDS,
				"though one was restored from the other and both went on alike");
	otd_pcheck_at("destroy() of the restored one");
	otd_pcheck_destroy(&b);
	return otd_pcheck_leftovers(&b, "after restore() and destroy()") && ok;
}

/* States that were cut or changed are refused, and nothing dies of them. */
static bool damaged_states(struct otd_pcheck_instance *a)
{
	const struct otd_payout_ops *ops = otd_pcheck_plugin(false)->ops.payout;
	uint64_t random = 17;
	size_t n = 0;
	uint8_t *state = snapshot(a, &n);
	bool ok = state != NULL;
	for (unsigned k = 0; ok && k < 200; k++) {
		struct otd_pcheck_instance b = {0};
		size_t len = k < 60 ? n * k / 60 : n;
		uint8_t *copy = otd_pcheck_guarded(len, 1);
		ok = copy && otd_pcheck_create_or_say(&b);
		if (!ok)
			break;
		memcpy(copy, state, len);
		if (k >= 60 && n)
			copy[otd_pcheck_below(&random, n)] ^=
				(uint8_t)(1 + otd_pcheck_below(&random, 255));
		otd_pcheck_at("restore() of a state that was %s", k < 60 ? "cut short" : "changed");
		if (!ops->restore(b.self, (struct otd_span){copy, len}) && k < 60) {
			otd_pcheck_fail("restore() takes %zu of the %zu bytes of a state: return "
					"OTD_E_CORRUPT",
					len, n);
			ok = false;
		}
		otd_pcheck_at("destroy() after such a restore()");
		otd_pcheck_destroy(&b);
		ok = otd_pcheck_leftovers(&b, "after a restore() of a damaged state") && ok;
	}
	free(state);
	return ok;
}

void otd_pcheck_state(void)
{
	struct otd_pcheck_instance a;
	struct credits c;
	size_t i = 0;
	if (!open_payout(&a))
		return;
	if (!move_to(&a, 0))
		return;
	otd_pcheck_destroy(&a);
	(void)otd_pcheck_leftovers(&a, "after destroy()");
	if (!open_payout(&a))
		return;
	for (unsigned k = 0; k < RESTORES; k++) {
		size_t until = (STEPS - AFTERWARDS - 1) * (k + 1) / RESTORES;
		for (; i < until; i++) {
			if (!play_or_say(&a, i, false, &c))
				return;
		}
		if (!move_to(&a, i - 1))
			return;
		i += AFTERWARDS;
	}
	if (!damaged_states(&a))
		return;
	close_payout(&a);
	otd_pcheck_ok("taken to another instance at %u places: it goes on as if nothing had been; "
		      "damaged ones are refused",
		      RESTORES);
}
