/* Payments as they were, accounts that wait, and a payment that another transaction has paid. */
#include "ledger/pay_history.h"
#include "base/text.h"
#include "ledger/audit.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct list {
	void *items;
	size_t n, cap, size;
};

static void *room(struct list *l)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 16;
		void *p = reallocarray(l->items, cap, l->size);
		if (!p)
			return NULL;
		l->items = p;
		l->cap = cap;
	}
	void *to = (uint8_t *)l->items + l->n++ * l->size;
	memset(to, 0, l->size);
	return to;
}

static otd_rc give(struct list *l, otd_rc rc, void **out, size_t *n)
{
	if (rc) {
		free(l->items);
		return rc;
	}
	*out = l->items;
	*n = l->n;
	return OTD_OK;
}

static bool take_hash(uint8_t to[32], const struct otd_value *v)
{
	if (v->type != OTD_VALUE_BLOB || v->bytes.len != 32)
		return false;
	memcpy(to, v->bytes.ptr, 32);
	return true;
}

static otd_rc on_coin(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_pay_coin *k = room(ctx);
	(void)n;
	if (!k)
		return OTD_E_NOMEM;
	if (!take_hash(k->txid, &c[0]) || c[3].type != OTD_VALUE_WIDE ||
	    c[4].bytes.len > sizeof(k->script))
		return OTD_E_CORRUPT;
	k->index = (uint32_t)c[1].i;
	k->since = (uint32_t)c[2].i;
	k->value = c[3].wide;
	k->script_len = (uint32_t)c[4].bytes.len;
	if (k->script_len)
		memcpy(k->script, c[4].bytes.ptr, k->script_len);
	return OTD_OK;
}

otd_rc otd_pay_old_coins(struct otd_db *db, uint64_t id, struct otd_pay_coin **coins, size_t *n,
			 struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_BLOB, OTD_VALUE_INT, OTD_VALUE_INT,
					 OTD_VALUE_WIDE, OTD_VALUE_BLOB};
	struct list l = {.size = sizeof(struct otd_pay_coin)};
	struct otd_value v[] = {OTD_INT(id), OTD_INT(id)};
	*coins = NULL;
	*n = 0;
	otd_rc rc = otd_db_query(db,
				 "SELECT txid, idx, since, value, script FROM payment_coins"
				 " WHERE payment_id = ? AND generation <"
				 " (SELECT generation FROM payments WHERE id = ?)"
				 " ORDER BY generation, n",
				 v, 2, wants, 5, on_coin, &l, err);
	return give(&l, rc, (void **)coins, n);
}

struct numbers {
	uint64_t *ids;
	size_t n, max;
};

static otd_rc on_number(void *ctx, const struct otd_value *c, size_t n)
{
	struct numbers *l = ctx;
	(void)n;
	if (l->n < l->max)
		l->ids[l->n++] = (uint64_t)c[0].i;
	return OTD_OK;
}

otd_rc otd_pay_done_since(struct otd_db *db, int64_t since_ms, uint64_t after, uint64_t *ids,
			  size_t max, size_t *n, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	struct numbers l = {ids, 0, max};
	struct otd_value v[] = {OTD_INT(after), OTD_INT(OTD_PAY_PAID), OTD_INT(since_ms),
				OTD_INT(OTD_PAY_PAID), OTD_INT(max)};
	otd_rc rc = otd_db_query(db,
				 "SELECT id FROM payments WHERE id > ?"
				 " AND ((state >= ? AND changed_ms >= ?)"
				 " OR (state = ? AND height = 0)) ORDER BY id LIMIT ?",
				 v, 5, wants, 1, on_number, &l, err);
	*n = rc ? 0 : l.n;
	return rc;
}

struct waiting {
	void (*each)(void *arg, const struct otd_pay_waiting *w);
	void *arg;
	otd_i128 minimum, cap;
};

static bool text_of(char *to, size_t cap, const struct otd_value *v)
{
	if (v->type != OTD_VALUE_TEXT || v->bytes.len >= cap)
		return false;
	memcpy(to, v->bytes.ptr, v->bytes.len);
	to[v->bytes.len] = '\0';
	return true;
}

static otd_rc on_waiting(void *ctx, const struct otd_value *c, size_t n)
{
	struct waiting *l = ctx;
	char address[OTD_PAY_ADDRESS], reason[OTD_PAY_WHY + 1] = "";
	bool held = c[2].type == OTD_VALUE_TEXT;
	(void)n;
	if (!text_of(address, sizeof(address), &c[1]) ||
	    (held && !text_of(reason, sizeof(reason), &c[2])))
		return OTD_E_CORRUPT;
	struct otd_pay_waiting w = {(uint64_t)c[0].i, address, held ? reason : NULL,
				    c[3].type == OTD_VALUE_WIDE ? c[3].wide : 0, false};
	w.above_cap = l->cap > 0 && w.balance > l->cap;
	if (held || w.above_cap || (w.balance > 0 && w.balance < l->minimum))
		l->each(l->arg, &w);
	return OTD_OK;
}

otd_rc otd_pay_waiting(struct otd_db *db, uint64_t pool_id, const char *asset, otd_i128 minimum,
		       otd_i128 cap, void (*each)(void *arg, const struct otd_pay_waiting *w),
		       void *arg, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					 OTD_VALUE_WIDE};
	struct waiting l = {each, arg, minimum, cap};
	struct otd_value v[] = {OTD_INT(OTD_ACC_MINER), OTD_TEXT(asset), OTD_INT(pool_id)};
	return otd_db_query(db,
			    "SELECT a.id, a.address, h.reason, b.amount FROM accounts a"
			    " LEFT JOIN payment_holds h ON h.account_id = a.id"
			    " LEFT JOIN balances b ON b.account_kind = ? AND b.owner = a.id"
			    " AND b.asset = ? WHERE a.pool_id = ? ORDER BY a.id",
			    v, 3, wants, 4, on_waiting, &l, err);
}

struct name {
	char *to;
	size_t cap;
	bool found;
};

static otd_rc on_name(void *ctx, const struct otd_value *c, size_t n)
{
	struct name *l = ctx;
	(void)n;
	l->found = true;
	return text_of(l->to, l->cap, &c[0]) ? OTD_OK : OTD_E_CORRUPT;
}

otd_rc otd_pay_pool_name(struct otd_db *db, uint64_t pool_id, char *name, size_t cap,
			 struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT};
	struct name l = {name, cap, false};
	struct otd_value v[] = {OTD_INT(pool_id)};
	otd_rc rc = otd_db_query(db, "SELECT name FROM pools WHERE id = ?", v, 1, wants, 1, on_name,
				 &l, err);
	if (!rc && !l.found)
		return otd_fail(err, OTD_E_NOT_FOUND, "there is no pool of number %llu",
				(unsigned long long)pool_id);
	return rc;
}

/* --- settling --- */

static otd_rc write_version(struct otd_db *db, const struct otd_payment *p,
			    const struct otd_pay_other *o, int64_t time_ms, struct otd_err *err)
{
	uint32_t version = p->version + 1;
	struct otd_value v[] = {OTD_INT(p->id),   OTD_INT(p->generation),
				OTD_INT(version), OTD_BLOB(o->txid, 32),
				OTD_BLOB("", 0),  OTD_WIDE(0),
				OTD_WIDE(0),      OTD_INT(0),
				OTD_INT(time_ms)};
	struct otd_value u[] = {OTD_INT(OTD_PAY_SENT), OTD_INT(version), OTD_INT(p->id)};
	otd_rc rc =
		otd_db_exec(db,
			    "INSERT INTO payment_txs(payment_id, generation, version, txid, raw,"
			    " fee, change, vsize, signed_ms) VALUES(?,?,?,?,?,?,?,?,?)",
			    v, 9, NULL, NULL, err);
	for (size_t i = 0; !rc && p->fee_by_miners && i < p->n_parts; i++) {
		struct otd_value s[] = {OTD_INT(p->id), OTD_INT(p->generation), OTD_INT(version),
					OTD_INT(i), OTD_WIDE(p->parts[i].amount)};
		rc = otd_db_exec(
			db,
			"INSERT INTO payment_sent(payment_id, generation, version, n, sent)"
			" VALUES(?,?,?,?,?)",
			s, 5, NULL, NULL, err);
	}
	return rc ? rc
		  : otd_db_exec(db,
				"UPDATE payments SET state = ?, version = ?, held = 0, why = ''"
				" WHERE id = ?",
				u, 3, NULL, NULL, err);
}

otd_rc otd_pay_settle(struct otd_db *db, uint64_t id, const struct otd_pay_other *o,
		      int64_t time_ms, struct otd_err *err)
{
	struct otd_payment p = {0};
	char text[65 + 400], hex[65];
	uint64_t other;
	otd_rc rc = otd_pay_load(db, id, false, &p, err);
	if (rc)
		return rc;
	rc = otd_pay_by_txid(db, o->txid, &other, NULL, NULL, err);
	if (rc != OTD_E_NOT_FOUND) {
		if (!rc)
			rc = otd_fail(err, OTD_E_EXISTS,
				      "payment %llu has that transaction already",
				      (unsigned long long)other);
		goto out;
	}
	if (p.state >= OTD_PAY_PAID || (p.state >= OTD_PAY_SIGNED && !o->dead)) {
		rc = otd_fail(err, OTD_E_STALE, "payment %llu is %s", (unsigned long long)id,
			      otd_pay_state_name(p.state));
		goto out;
	}
	otd_hex_encode_reverse(hex, o->txid, 32);
	(void)snprintf(text, sizeof(text), "id=%llu txid=%s reason=%.300s", (unsigned long long)id,
		       hex, o->reason);
	rc = otd_audit_add(db, time_ms, "payment.settle", text, err);
	if (!rc)
		rc = write_version(db, &p, o, time_ms, err);
	if (!rc)
		rc = otd_pay_paid(db, id, p.generation, p.version + 1, o->confirmations, o->height,
				  NULL, time_ms, err);
out:
	otd_payment_finish(&p);
	return rc;
}
