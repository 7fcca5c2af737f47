/* Payments read back. */
#include "base/err.h"
#include "ledger/payment_own.h"
#include <stdlib.h>
#include <string.h>

static bool take_hash(uint8_t to[32], const struct otd_value *v)
{
	if (v->type != OTD_VALUE_BLOB || v->bytes.len != 32)
		return false;
	memcpy(to, v->bytes.ptr, 32);
	return true;
}

static otd_rc take_part(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_pay_part *p = otd_pay_room(ctx);
	(void)n;
	if (!p)
		return OTD_E_NOMEM;
	p->kind = (enum otd_account_kind)c[0].i;
	p->owner = (uint64_t)c[1].i;
	p->amount = c[3].wide;
	return c[3].type == OTD_VALUE_WIDE &&
			       otd_pay_take_text(p->address, sizeof(p->address), &c[2])
		       ? OTD_OK
		       : OTD_E_CORRUPT;
}

struct sent {
	struct otd_payment *p;
	size_t n;
};

static otd_rc take_sent(void *ctx, const struct otd_value *c, size_t n)
{
	struct sent *s = ctx;
	(void)n;
	if (s->n >= s->p->n_parts || (uint64_t)c[0].i != s->n || c[1].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	s->p->parts[s->n++].sent = c[1].wide;
	return OTD_OK;
}

static otd_rc load_sent(struct otd_db *db, struct otd_payment *p, uint32_t generation,
			uint32_t version, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct sent s = {p, 0};
	struct otd_value v[] = {OTD_INT(p->id), OTD_INT(generation), OTD_INT(version)};
	otd_rc rc = otd_db_query(db,
				 "SELECT n, sent FROM payment_sent WHERE payment_id = ?"
				 " AND generation = ? AND version = ? ORDER BY n",
				 v, 3, wants, 2, take_sent, &s, err);
	if (rc == OTD_E_CORRUPT || (!rc && s.n != p->n_parts))
		return otd_fail(err, OTD_E_CORRUPT,
				"payment %llu: what arrives by version %u of generation %u is not "
				"stored for each part",
				(unsigned long long)p->id, version, generation);
	return rc;
}

otd_rc otd_pay_load_parts(struct otd_db *db, struct otd_payment *p, uint32_t generation,
			  uint32_t version, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_TEXT,
					 OTD_VALUE_WIDE};
	struct otd_pay_rows rows = {.size = sizeof(struct otd_pay_part)};
	struct otd_value v[] = {OTD_INT(p->id)};
	otd_rc rc = otd_db_query(db,
				 "SELECT account_kind, owner, address, amount FROM payment_parts"
				 " WHERE payment_id = ? ORDER BY n",
				 v, 1, wants, 4, take_part, &rows, err);
	free(p->parts);
	p->parts = rows.items;
	p->n_parts = rows.n;
	if (rc || !version)
		return rc;
	if (p->fee_by_miners)
		return load_sent(db, p, generation, version, err);
	for (size_t i = 0; i < p->n_parts; i++)
		p->parts[i].sent = p->parts[i].amount;
	return OTD_OK;
}

static otd_rc take_coin(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_pay_coin *k = otd_pay_room(ctx);
	(void)n;
	if (!k)
		return OTD_E_NOMEM;
	k->index = (uint32_t)c[1].i;
	k->since = (uint32_t)c[2].i;
	k->value = c[3].wide;
	if (!take_hash(k->txid, &c[0]) || c[3].type != OTD_VALUE_WIDE ||
	    c[4].bytes.len > sizeof(k->script))
		return OTD_E_CORRUPT;
	k->script_len = (uint32_t)c[4].bytes.len;
	if (k->script_len)
		memcpy(k->script, c[4].bytes.ptr, k->script_len);
	return OTD_OK;
}

static const uint32_t coin_wants[] = {OTD_VALUE_BLOB, OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE,
				      OTD_VALUE_BLOB};

otd_rc otd_pay_load_coins(struct otd_db *db, uint64_t id, uint32_t generation,
			  struct otd_pay_coin **coins, size_t *n, struct otd_err *err)
{
	struct otd_pay_rows rows = {.size = sizeof(struct otd_pay_coin)};
	struct otd_value v[] = {OTD_INT(id), OTD_INT(generation)};
	otd_rc rc = otd_db_query(db,
				 "SELECT txid, idx, since, value, script FROM payment_coins"
				 " WHERE payment_id = ? AND generation = ? ORDER BY n",
				 v, 2, coin_wants, 5, take_coin, &rows, err);
	*coins = rows.items;
	*n = rows.n;
	return rc;
}

static otd_rc take_tx(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_pay_tx *t = otd_pay_room(ctx);
	if (!t)
		return OTD_E_NOMEM;
	t->generation = (uint32_t)c[0].i;
	t->version = (uint32_t)c[1].i;
	t->fee = c[3].wide;
	t->change = c[4].wide;
	t->vsize = (uint64_t)c[5].i;
	t->signed_ms = c[6].i;
	if (!take_hash(t->txid, &c[2]) || c[3].type != OTD_VALUE_WIDE ||
	    c[4].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	if (n < 8 || !c[7].bytes.len)
		return OTD_OK;
	t->raw = malloc(c[7].bytes.len);
	if (!t->raw)
		return OTD_E_NOMEM;
	memcpy(t->raw, c[7].bytes.ptr, c[7].bytes.len);
	t->raw_len = c[7].bytes.len;
	return OTD_OK;
}

#define TX      "SELECT generation, version, txid, fee, change, vsize, signed_ms"
#define TX_OF   " FROM payment_txs WHERE payment_id = ? AND generation "
#define IN_TURN " ORDER BY generation, version"

static const uint32_t tx_wants[] = {OTD_VALUE_INT,  OTD_VALUE_INT, OTD_VALUE_BLOB, OTD_VALUE_WIDE,
				    OTD_VALUE_WIDE, OTD_VALUE_INT, OTD_VALUE_INT,  OTD_VALUE_BLOB};

otd_rc otd_pay_load_txs(struct otd_db *db, uint64_t id, uint32_t generation, bool below,
			bool with_raw, struct otd_pay_tx **txs, size_t *n, struct otd_err *err)
{
	/* by below, with_raw */
	static const char *const sql[2][2] = {
		{TX TX_OF "= ?" IN_TURN, TX ", raw" TX_OF "= ?" IN_TURN},
		{TX TX_OF "< ?" IN_TURN, TX ", raw" TX_OF "< ?" IN_TURN}};
	struct otd_pay_rows rows = {.size = sizeof(struct otd_pay_tx)};
	struct otd_value v[] = {OTD_INT(id), OTD_INT(generation)};
	otd_rc rc = otd_db_query(db, sql[below][with_raw], v, 2, tx_wants, with_raw ? 8 : 7,
				 take_tx, &rows, err);
	*txs = rows.items;
	*n = rows.n;
	return rc;
}

otd_rc otd_pay_load_tx(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		       struct otd_pay_tx *out, struct otd_err *err)
{
	struct otd_pay_rows rows = {.size = sizeof(struct otd_pay_tx)};
	struct otd_value v[] = {OTD_INT(id), OTD_INT(generation), OTD_INT(version)};
	otd_rc rc = otd_db_query(db, TX TX_OF "= ? AND version = ?", v, 3, tx_wants, 7, take_tx,
				 &rows, err);
	*out = (struct otd_pay_tx){0};
	if (!rc && rows.n)
		*out = *(struct otd_pay_tx *)rows.items;
	else if (!rc)
		rc = otd_fail(err, OTD_E_NOT_FOUND,
			      "payment %llu: has no version %u of generation %u",
			      (unsigned long long)id, version, generation);
	free(rows.items);
	return rc;
}

otd_rc otd_pay_load(struct otd_db *db, uint64_t id, bool with_raw, struct otd_payment *out,
		    struct otd_err *err)
{
	otd_rc rc = otd_pay_head(db, id, out, err);
	bool paid = !rc && out->state == OTD_PAY_PAID;
	if (!rc)
		rc = otd_pay_load_parts(db, out, paid ? out->paid_generation : out->generation,
					paid ? out->paid_version : out->version, err);
	if (!rc)
		rc = otd_pay_load_coins(db, id, out->generation, &out->coins, &out->n_coins, err);
	if (!rc)
		rc = otd_pay_load_txs(db, id, out->generation, false, with_raw, &out->txs,
				      &out->n_txs, err);
	if (!rc)
		rc = otd_pay_load_txs(db, id, out->generation, true, with_raw, &out->old,
				      &out->n_old, err);
	if (rc)
		otd_payment_finish(out);
	return rc;
}

/* --- lists --- */

struct ids {
	uint64_t *ids;
	size_t n, max;
};

static otd_rc take_id(void *ctx, const struct otd_value *c, size_t n)
{
	struct ids *l = ctx;
	(void)n;
	if (l->n < l->max)
		l->ids[l->n++] = (uint64_t)c[0].i;
	return OTD_OK;
}

otd_rc otd_pay_list(struct otd_db *db, uint64_t pool_id, enum otd_pay_state first,
		    enum otd_pay_state last, uint64_t after, uint64_t *ids, size_t max, size_t *n,
		    struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	struct ids l = {ids, 0, max};
	struct otd_value v[] = {OTD_INT(after), OTD_INT(first), OTD_INT(last),
				OTD_INT(max < INT32_MAX ? max : INT32_MAX), OTD_INT(pool_id)};
	struct otd_value of_pool[] = {v[0], v[1], v[2], v[4], v[3]};
	otd_rc rc = pool_id ? otd_db_query(db,
					   "SELECT id FROM payments WHERE id > ? AND state >= ? AND"
					   " state <= ? AND pool_id = ? ORDER BY id LIMIT ?",
					   of_pool, 5, wants, 1, take_id, &l, err)
			    : otd_db_query(db,
					   "SELECT id FROM payments WHERE id > ? AND state >= ? AND"
					   " state <= ? ORDER BY id LIMIT ?",
					   v, 4, wants, 1, take_id, &l, err);
	*n = rc ? 0 : l.n;
	return rc;
}

struct which {
	uint64_t id;
	uint32_t generation, version;
};

static otd_rc take_which(void *ctx, const struct otd_value *c, size_t n)
{
	struct which *w = ctx;
	(void)n;
	*w = (struct which){(uint64_t)c[0].i, (uint32_t)c[1].i, (uint32_t)c[2].i};
	return OTD_OK;
}

otd_rc otd_pay_by_txid(struct otd_db *db, const uint8_t txid[32], uint64_t *id,
		       uint32_t *generation, uint32_t *version, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT};
	struct which w = {0};
	struct otd_value v[] = {OTD_BLOB(txid, 32)};
	otd_rc rc = otd_db_query(db,
				 "SELECT payment_id, generation, version FROM payment_txs"
				 " WHERE txid = ?",
				 v, 1, wants, 3, take_which, &w, err);
	*id = w.id;
	if (generation)
		*generation = w.generation;
	if (version)
		*version = w.version;
	return !rc && !w.id ? otd_fail(err, OTD_E_NOT_FOUND, "no payment has this transaction")
			    : rc;
}

struct coins {
	void (*fn)(void *arg, const struct otd_pay_coin *c);
	void *arg;
};

static otd_rc give_coin(void *ctx, const struct otd_value *c, size_t n)
{
	const struct coins *k = ctx;
	struct otd_pay_coin coin;
	struct otd_pay_rows one = {.items = &coin, .cap = 1, .size = sizeof(coin)};
	otd_rc rc = take_coin(&one, c, n);
	if (!rc)
		k->fn(k->arg, &coin);
	return rc;
}

otd_rc otd_pay_coins(struct otd_db *db, const char *asset,
		     void (*fn)(void *arg, const struct otd_pay_coin *c), void *arg,
		     struct otd_err *err)
{
	struct coins k = {fn, arg};
	struct otd_value v[] = {OTD_TEXT(asset)};
	return otd_db_query(db,
			    "SELECT c.txid, c.idx, c.since, c.value, c.script FROM payments p"
			    " JOIN payment_coins c ON c.payment_id = p.id"
			    " AND c.generation = p.generation"
			    " WHERE p.asset = ? AND " OTD_PAY_HOLDS_COINS,
			    v, 1, coin_wants, 5, give_coin, &k, err);
}
