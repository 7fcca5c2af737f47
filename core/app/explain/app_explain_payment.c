/* explain PAYMENT: who got what, from which blocks it came, by which transactions it went. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/explain/app_explain.h"
#include "base/text.h"
#include "ledger/payment.h"

#define SOURCES_MAX 50     /* postings that are shown as the source of one part */
#define AUDIT_ROWS  200000 /* of the audit log, newest, in which its steps are looked for */
#define STEPS_MAX   200

struct pay {
	struct otd_payment p;
	struct otd_question *q;
	json_t *o;
	const struct otd_question_pool *coin;
	size_t top;
	int64_t reserved; /* number of its posting */
};

/* --- the steps, by the audit log --- */

static otd_rc take_step(void *ctx, const struct otd_value *c, size_t n)
{
	json_t *o = json_object();
	(void)n;
	if (json_array_size(ctx) >= STEPS_MAX) {
		json_decref(o);
		return OTD_OK;
	}
	otd_ask_set_n(o, "time_ms", c[0].i);
	otd_ask_set_text(o, "step", &c[1]);
	otd_ask_set_text(o, "data", &c[2]);
	(void)json_array_append_new(ctx, o);
	return OTD_OK;
}

static otd_rc steps(struct pay *y, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT};
	json_t *rows = json_array();
	char from[32], to[32];
	int64_t last = 0;
	(void)json_object_set_new(y->o, "steps", rows);
	/* A step's text begins with the payment's number and a blank; '!' is the letter behind it.
	   Four words of the same kind begin with the number of something else. */
	snprintf(from, sizeof(from), "%" PRIu64 " ", y->p.id);
	snprintf(to, sizeof(to), "%" PRIu64 "!", y->p.id);
	otd_rc rc = otd_db_int(db, "SELECT coalesce(max(id), 0) FROM audit", NULL, 0, &last, err);
	const struct otd_value v[] = {OTD_INT(last - AUDIT_ROWS), OTD_TEXT("payment."),
				      OTD_TEXT("payment/"), OTD_TEXT(from), OTD_TEXT(to)};
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT time_ms, what, data FROM audit WHERE id > ? AND what >= ?"
				  " AND what < ? AND data >= ? AND data < ? AND what NOT IN"
				  " ('payment.hold-account', 'payment.release-account',"
				  " 'payment.pool', 'payment.restored')"
				  " ORDER BY id",
				  v, 5, wants, 3, take_step, rows, err);
	return rc;
}

/* --- where a part came from --- */

struct sources {
	struct pay *y;
	json_t *rows;
	otd_i128 sum;
	size_t n;
};

static otd_rc take_source(void *ctx, const struct otd_value *c, size_t n)
{
	struct sources *s = ctx;
	(void)n;
	s->sum += c[1].wide; /* the ledger's own check bounds it */
	if (s->n++ >= SOURCES_MAX)
		return OTD_OK;
	json_t *o = json_object();
	otd_ask_set_text(o, "key", &c[0]);
	otd_ask_amount(o, "amount", c[1].wide, s->y->coin);
	otd_ask_set_n(o, "time_ms", c[2].i);
	(void)json_array_append_new(s->rows, o);
	return OTD_OK;
}

/* What changed its balance between the payment before (of the same owner) and this one. */
static otd_rc sources(struct pay *y, const struct otd_pay_part *part, json_t *to, struct otd_db *db,
		      struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT, OTD_VALUE_WIDE, OTD_VALUE_INT};
	struct sources s = {.y = y, .rows = json_array()};
	const struct otd_value who[] = {OTD_INT(part->kind), OTD_INT(part->owner),
					OTD_INT(y->p.id)};
	char key[48] = "";
	int64_t before = 0, id = 0;
	otd_rc rc = otd_db_int(db,
			       "SELECT max(x.payment_id) FROM payment_parts x JOIN payments y"
			       " ON y.id = x.payment_id WHERE x.account_kind = ? AND x.owner = ?"
			       " AND x.payment_id < ? AND y.state <> 6",
			       who, 3, &before, err);
	if (rc == OTD_OK) {
		snprintf(key, sizeof(key), "payment/%lld/reserve", (long long)before);
		const struct otd_value k[] = {OTD_TEXT(key)};
		rc = otd_db_int(db, "SELECT id FROM postings WHERE k = ?", k, 1, &id, err);
	}
	if (rc == OTD_OK || rc == OTD_E_NOT_FOUND) {
		const struct otd_value v[] = {who[0], who[1], OTD_INT(id), OTD_INT(y->reserved)};
		rc = otd_db_query(db,
				  "SELECT p.k, e.amount, p.time_ms FROM entries e JOIN postings p"
				  " ON p.id = e.posting_id WHERE e.account_kind = ? AND e.owner = ?"
				  " AND p.id > ? AND p.id < ? ORDER BY p.id",
				  v, 4, wants, 3, take_source, &s, err);
	}
	if (before)
		otd_ask_set_n(to, "payment_before", before);
	(void)json_object_set_new(to, "sources", s.rows);
	otd_ask_set_n(to, "n_sources", (int64_t)s.n);
	otd_ask_amount(to, "sources_sum", s.sum, y->coin);
	return rc;
}

static int by_amount(const void *x, const void *y)
{
	const struct otd_pay_part *a = x, *b = y;
	return a->amount > b->amount ? -1 : a->amount < b->amount;
}

static otd_rc parts(struct pay *y, struct otd_db *db, struct otd_err *err)
{
	json_t *rows = json_array();
	otd_rc rc = OTD_OK;
	(void)json_object_set_new(y->o, "parts", rows);
	otd_ask_set_n(y->o, "n_parts", (int64_t)y->p.n_parts);
	if (y->p.n_parts > 1)
		qsort(y->p.parts, y->p.n_parts, sizeof(*y->p.parts), by_amount);
	for (size_t i = 0; rc == OTD_OK && i < y->p.n_parts && i < y->top; i++) {
		const struct otd_pay_part *part = &y->p.parts[i];
		json_t *o = json_object();
		otd_ask_set_s(o, "address", part->address);
		otd_ask_set_s(o, "whose", part->kind == OTD_ACC_FEE ? "the pool's fee" : "account");
		otd_ask_amount(o, "amount", part->amount, y->coin);
		otd_ask_amount(o, "sent", part->sent, y->coin);
		(void)json_array_append_new(rows, o);
		rc = sources(y, part, o, db, err);
	}
	return rc;
}

/* --- transactions --- */

static void put_hex(json_t *o, const char *key, const uint8_t *p, size_t n)
{
	char *hex = malloc(2 * n + 1);
	if (!hex)
		return;
	otd_hex_encode(hex, p, n);
	otd_ask_set_s(o, key, hex);
	free(hex);
}

static void put_txs(struct pay *y, json_t *rows, const struct otd_pay_tx *txs, size_t n, bool old)
{
	for (size_t i = 0; i < n; i++) {
		const struct otd_pay_tx *t = &txs[i];
		json_t *o = json_object();
		bool paid = y->p.state == OTD_PAY_PAID && t->version == y->p.paid_version &&
			    t->generation == y->p.paid_generation;
		otd_ask_hash(o, "txid", t->txid);
		otd_ask_set_n(o, "generation", t->generation);
		otd_ask_set_n(o, "version", t->version);
		otd_ask_set_s(o, "part",
			      paid        ? "this one paid"
			      : old       ? "given up: an input was spent otherwise"
			      : i + 1 < n ? "replaced by a higher network fee"
					  : "the present one");
		otd_ask_amount(o, "fee", t->fee, y->coin);
		otd_ask_amount(o, "change", t->change, y->coin);
		otd_ask_set_n(o, "vsize", (int64_t)t->vsize);
		otd_ask_set_n(o, "signed_ms", t->signed_ms);
		if (t->raw && t->raw_len)
			put_hex(o, "raw", t->raw, t->raw_len);
		(void)json_array_append_new(rows, o);
	}
}

static void transactions(struct pay *y)
{
	json_t *txs = json_array(), *coins = json_array();
	put_txs(y, txs, y->p.old, y->p.n_old, true);
	put_txs(y, txs, y->p.txs, y->p.n_txs, false);
	for (size_t i = 0; i < y->p.n_coins; i++) {
		const struct otd_pay_coin *c = &y->p.coins[i];
		json_t *o = json_object();
		otd_ask_hash(o, "txid", c->txid);
		otd_ask_set_n(o, "index", c->index);
		otd_ask_amount(o, "value", c->value, y->coin);
		otd_ask_set_n(o, "since_version", c->since);
		(void)json_array_append_new(coins, o);
	}
	(void)json_object_set_new(y->o, "transactions", txs);
	(void)json_object_set_new(y->o, "inputs", coins);
}

/* --- in words --- */

static void say_state(struct pay *y)
{
	static const char *const words[] = {
		"",
		"reserved: the amounts have left the balances, inputs are being chosen",
		"funded: its inputs are chosen, it is not signed yet",
		"signed: its transaction is stored, no node has taken it yet",
		"sent: a node has it, it waits for confirmations",
		"paid",
		"cancelled: the amounts went back to their balances"};
	const struct otd_payment *p = &y->p;
	char total[OTD_ASK_MONEY];
	otd_ask_money(total, p->total, p->asset, y->coin);
	otd_ask_say(y->o, "%s to %zu recipient%s; %s", total, p->n_parts,
		    p->n_parts == 1 ? "" : "s",
		    (size_t)p->state < sizeof(words) / sizeof(words[0]) ? words[p->state] : "");
	if (p->held)
		otd_ask_say(y->o,
			    "HELD, a person must decide ('otedama payment release' or "
			    "'resolve'): %s",
			    p->why);
	else if (p->why[0])
		otd_ask_say(y->o, "it says: %s", p->why);
	if (p->height)
		otd_ask_say(y->o, "in the block at height %" PRIu64 ", %u confirmations", p->height,
			    p->confirmations);
	if (p->conflict_height)
		otd_ask_say(y->o,
			    "an input of it was seen spent by another transaction, first at "
			    "height %" PRIu64,
			    p->conflict_height);
	if (p->generation > 1)
		otd_ask_say(y->o,
			    "made anew %u time%s, because an input was spent by another "
			    "confirmed transaction",
			    p->generation - 1, p->generation == 2 ? "" : "s");
	otd_ask_say(y->o, "the network fee is paid by %s",
		    p->fee_by_miners ? "the recipients: what arrives is less by it"
				     : "the pool: what arrives is what left the balance");
}

static otd_rc take_name(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	(void)otd_explain_take_text(ctx, 129, &c[0]);
	return OTD_OK;
}

static otd_rc pool_name(struct pay *y, char name[129], struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT};
	const struct otd_value v[] = {OTD_INT(y->p.pool_id)};
	return otd_db_query(db, "SELECT name FROM pools WHERE id = ?", v, 1, wants, 1, take_name,
			    name, err);
}

static void put_head(struct pay *y, const char *pool)
{
	const struct otd_payment *p = &y->p;
	otd_ask_set_s(y->o, "kind", "payment");
	otd_ask_set_n(y->o, "id", (int64_t)p->id);
	otd_ask_set_s(y->o, "pool", pool);
	otd_ask_set_s(y->o, "asset", p->asset);
	otd_ask_set_s(y->o, "state", otd_pay_state_name(p->state));
	(void)json_object_set_new(y->o, "held", json_boolean(p->held));
	otd_ask_set_s(y->o, "why", p->why);
	otd_ask_set_s(y->o, "network_fee_by", p->fee_by_miners ? "miners" : "pool");
	otd_ask_amount(y->o, "total", p->total, y->coin);
	otd_ask_set_n(y->o, "created_ms", p->created_ms);
	otd_ask_set_n(y->o, "changed_ms", p->changed_ms);
	otd_ask_set_n(y->o, "generation", p->generation);
	otd_ask_set_n(y->o, "version", p->version);
	otd_ask_set_n(y->o, "confirmations", p->confirmations);
	otd_ask_set_n(y->o, "height", (int64_t)p->height);
}

otd_rc otd_explain_payment(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	const struct otd_explain *x = q->state;
	struct pay *y = calloc(1, sizeof(*y));
	char pool[129] = "", key[48];
	json_t *postings = json_array();
	if (!y) {
		json_decref(postings);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	y->q = q;
	y->o = q->answer;
	y->top = x->all ? SIZE_MAX : OTD_EXPLAIN_TOP;
	(void)json_object_del(y->o, "says");
	(void)json_object_set_new(y->o, "postings", postings);
	otd_rc rc = otd_pay_load(db, x->payment, true, &y->p, err);
	if (rc == OTD_OK)
		rc = pool_name(y, pool, db, err);
	y->coin = otd_question_pool(q, pool);
	if (!y->coin)
		y->coin = otd_question_asset(q, y->p.asset);
	if (rc == OTD_OK) {
		put_head(y, pool);
		say_state(y);
		transactions(y);
		snprintf(key, sizeof(key), "payment/%" PRIu64 "/reserve", x->payment);
		const struct otd_value v[] = {OTD_TEXT(key)};
		rc = otd_db_int(db, "SELECT id FROM postings WHERE k = ?", v, 1, &y->reserved, err);
	}
	if (rc == OTD_OK)
		rc = parts(y, db, err);
	snprintf(key, sizeof(key), "payment/%" PRIu64 "/", x->payment);
	if (rc == OTD_OK)
		rc = otd_explain_postings(db, postings, key, y->top, y->coin, err);
	if (rc == OTD_OK)
		rc = steps(y, db, err);
	otd_payment_finish(&y->p);
	free(y);
	return rc;
}
