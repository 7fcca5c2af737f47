/* What all steps of a payment need: its row, compare-and-set, texts. See payment.h. */
#include "ledger/payment.h"
#include "base/err.h"
#include "base/text.h"
#include "ledger/audit.h"
#include "ledger/payment_own.h"
#include <otedama/sha256.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *otd_pay_state_name(enum otd_pay_state s)
{
	static const char *const names[] = {"unknown", "reserved", "funded",   "signed",
					    "sent",    "paid",     "cancelled"};
	return s >= OTD_PAY_RESERVED && s <= OTD_PAY_CANCELLED ? names[s] : names[0];
}

static void free_txs(struct otd_pay_tx *txs, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(txs[i].raw);
	free(txs);
}

void otd_payment_finish(struct otd_payment *p)
{
	free(p->parts);
	free(p->coins);
	free_txs(p->txs, p->n_txs);
	free_txs(p->old, p->n_old);
	p->parts = NULL;
	p->coins = NULL;
	p->txs = p->old = NULL;
	p->n_parts = p->n_coins = p->n_txs = p->n_old = 0;
}

void *otd_pay_room(struct otd_pay_rows *r)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		void *more = reallocarray(r->items, cap, r->size);
		if (!more)
			return NULL;
		r->items = more;
		r->cap = cap;
	}
	void *to = (uint8_t *)r->items + r->n++ * r->size;
	memset(to, 0, r->size);
	return to;
}

bool otd_pay_take_text(char *to, size_t cap, const struct otd_value *v)
{
	if (v->type != OTD_VALUE_TEXT || v->bytes.len >= cap)
		return false;
	if (v->bytes.len)
		memcpy(to, v->bytes.ptr, v->bytes.len);
	to[v->bytes.len] = '\0';
	return true;
}

void otd_pay_line(char *to, size_t cap, const char *from)
{
	size_t n = strlen(from);
	if (n >= cap) {
		n = cap - 1;
		while (n && ((uint8_t)from[n] & 0xc0) == 0x80)
			n--;
	}
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)from[i] < ' ' || from[i] == 127 ? ' ' : from[i];
	to[n] = '\0';
}

/* --- the row --- */

struct one_head {
	struct otd_payment *p;
	bool there;
};

static otd_rc take_head(void *ctx, const struct otd_value *c, size_t n)
{
	struct one_head *h = ctx;
	struct otd_payment *p = h->p;
	(void)n;
	h->there = true;
	p->id = (uint64_t)c[0].i;
	p->pool_id = (uint64_t)c[1].i;
	p->state = (enum otd_pay_state)c[3].i;
	p->held = c[4].i != 0;
	p->fee_by_miners = c[6].i != 0;
	p->total = c[7].wide;
	p->created_ms = c[8].i;
	p->changed_ms = c[9].i;
	p->generation = (uint32_t)c[10].i;
	p->version = (uint32_t)c[11].i;
	p->paid_generation = (uint32_t)c[12].i;
	p->paid_version = (uint32_t)c[13].i;
	p->confirmations = (uint32_t)c[14].i;
	p->height = (uint64_t)c[15].i;
	p->conflict_height = (uint64_t)c[16].i;
	return otd_pay_take_text(p->asset, sizeof(p->asset), &c[2]) &&
			       otd_pay_take_text(p->why, sizeof(p->why), &c[5]) &&
			       c[7].type == OTD_VALUE_WIDE
		       ? OTD_OK
		       : OTD_E_CORRUPT;
}

otd_rc otd_pay_head(struct otd_db *db, uint64_t id, struct otd_payment *out, struct otd_err *err)
{
	static const uint32_t wants[] = {
		OTD_VALUE_INT,  OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_INT, OTD_VALUE_INT,
		OTD_VALUE_TEXT, OTD_VALUE_INT, OTD_VALUE_WIDE, OTD_VALUE_INT, OTD_VALUE_INT,
		OTD_VALUE_INT,  OTD_VALUE_INT, OTD_VALUE_INT,  OTD_VALUE_INT, OTD_VALUE_INT,
		OTD_VALUE_INT,  OTD_VALUE_INT};
	struct one_head h = {out, false};
	struct otd_value v[] = {OTD_INT(id)};
	*out = (struct otd_payment){0};
	otd_rc rc =
		otd_db_query(db,
			     "SELECT id, pool_id, asset, state, held, why, fee_by_miners, total,"
			     " created_ms, changed_ms, generation, version, paid_generation,"
			     " paid_version, confirmations, height, conflict_height"
			     " FROM payments WHERE id = ?",
			     v, 1, wants, 17, take_head, &h, err);
	if (!rc && !h.there)
		return otd_fail(err, OTD_E_NOT_FOUND, "payment %llu: there is none of this number",
				(unsigned long long)id);
	return rc;
}

otd_rc otd_pay_swap(struct otd_db *db, const struct otd_payment *was, const struct otd_payment *now,
		    struct otd_err *err)
{
	int64_t changed = 0;
	struct otd_value v[] = {OTD_INT(now->state),
				OTD_INT(now->held),
				OTD_TEXT(now->why),
				OTD_INT(now->changed_ms),
				OTD_INT(now->generation),
				OTD_INT(now->version),
				OTD_INT(now->paid_generation),
				OTD_INT(now->paid_version),
				OTD_INT(now->confirmations),
				OTD_INT(now->height),
				OTD_INT(now->conflict_height),
				OTD_INT(was->id),
				OTD_INT(was->state),
				OTD_INT(was->generation),
				OTD_INT(was->version)};
	otd_rc rc = otd_db_exec(db,
				"UPDATE payments SET state = ?, held = ?, why = ?, changed_ms = ?,"
				" generation = ?, version = ?, paid_generation = ?,"
				" paid_version = ?, confirmations = ?, height = ?,"
				" conflict_height = ? WHERE id = ? AND state = ?"
				" AND generation = ? AND version = ?",
				v, 15, &changed, NULL, err);
	if (!rc && changed != 1)
		return otd_pay_stale(was, "as it was read", err);
	return rc;
}

otd_rc otd_pay_stale(const struct otd_payment *p, const char *wanted, struct otd_err *err)
{
	return otd_fail(err, OTD_E_STALE,
			"payment %llu: is %s (generation %u, version %u), not %s: read it again",
			(unsigned long long)p->id, otd_pay_state_name(p->state), p->generation,
			p->version, wanted);
}

otd_rc otd_pay_audit(struct otd_db *db, int64_t time_ms, const char *what, struct otd_err *err,
		     const char *fmt, ...)
{
	char text[OTD_PAY_TEXT], line[OTD_PAY_TEXT];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	otd_pay_line(line, sizeof(line), text);
	return otd_audit_add(db, time_ms, what, line, err);
}

/* --- sums and texts --- */

otd_rc otd_pay_sum_sent(otd_i128 *out, const struct otd_pay_part *parts, size_t n)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (otd_i128_add(out, *out, parts[i].sent))
			return OTD_E_OVERFLOW;
	}
	return OTD_OK;
}

otd_rc otd_pay_sum_coins(otd_i128 *out, const struct otd_pay_coin *coins, size_t n,
			 uint32_t version)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		if (coins[i].since <= version && otd_i128_add(out, *out, coins[i].value))
			return OTD_E_OVERFLOW;
	}
	return OTD_OK;
}

void otd_pay_key_reserve(char key[OTD_PAY_KEY], uint64_t id)
{
	(void)snprintf(key, OTD_PAY_KEY, "payment/%llu/reserve", (unsigned long long)id);
}

void otd_pay_key_paid(char key[OTD_PAY_KEY], uint64_t id, uint32_t generation)
{
	if (generation < 2)
		(void)snprintf(key, OTD_PAY_KEY, "payment/%llu/paid", (unsigned long long)id);
	else
		(void)snprintf(key, OTD_PAY_KEY, "payment/%llu/paid/%u", (unsigned long long)id,
			       generation);
}

void otd_pay_key_lost(char key[OTD_PAY_KEY], uint64_t id, uint32_t generation)
{
	(void)snprintf(key, OTD_PAY_KEY, "payment/%llu/lost/%u", (unsigned long long)id,
		       generation);
}

static void hash_number(struct otd_sha256 *s, otd_u128 v)
{
	uint8_t le[16];
	for (size_t i = 0; i < sizeof(le); i++)
		le[i] = (uint8_t)(v >> (8 * i));
	otd_sha256_update(s, le, sizeof(le));
}

static void hash_end(struct otd_sha256 *s, char hex[65])
{
	uint8_t digest[32];
	otd_sha256_final(s, digest);
	otd_hex_encode(hex, digest, 32);
}

void otd_pay_reserve_text(char out[OTD_PAY_TEXT], const struct otd_payment *p)
{
	struct otd_sha256 s;
	char hex[65], total[OTD_I128_TEXT];
	otd_sha256_init(&s);
	for (size_t i = 0; i < p->n_parts; i++) {
		const struct otd_pay_part *part = &p->parts[i];
		size_t len = strlen(part->address);
		hash_number(&s, (otd_u128)part->kind);
		hash_number(&s, part->owner);
		hash_number(&s, (otd_u128)part->amount);
		hash_number(&s, len);
		otd_sha256_update(&s, part->address, len);
	}
	hash_end(&s, hex);
	(void)snprintf(
		out, OTD_PAY_TEXT,
		"%llu pool=%llu asset=%s parts=%zu total=%s fee=%s created_ms=%lld sha256=%s",
		(unsigned long long)p->id, (unsigned long long)p->pool_id, p->asset, p->n_parts,
		otd_format_i128(total, p->total), p->fee_by_miners ? "miners" : "pool",
		(long long)p->created_ms, hex);
}

void otd_pay_sign_text(char out[OTD_PAY_TEXT], const struct otd_payment *p,
		       const struct otd_pay_tx *tx)
{
	struct otd_sha256 s;
	char txid[65], coins[65], sent[65], fee[OTD_I128_TEXT], change[OTD_I128_TEXT];
	otd_hex_encode_reverse(txid, tx->txid, 32);
	otd_sha256_init(&s);
	for (size_t i = 0; i < p->n_coins; i++) {
		const struct otd_pay_coin *c = &p->coins[i];
		if (c->since > tx->version)
			continue;
		otd_sha256_update(&s, c->txid, 32);
		hash_number(&s, c->index);
		hash_number(&s, (otd_u128)c->value);
	}
	hash_end(&s, coins);
	otd_sha256_init(&s);
	for (size_t i = 0; i < p->n_parts; i++)
		hash_number(&s, (otd_u128)p->parts[i].sent);
	hash_end(&s, sent);
	(void)snprintf(out, OTD_PAY_TEXT,
		       "%llu generation=%u version=%u txid=%s fee=%s change=%s vsize=%llu coins=%s "
		       "sent=%s",
		       (unsigned long long)p->id, tx->generation, tx->version, txid,
		       otd_format_i128(fee, tx->fee), otd_format_i128(change, tx->change),
		       (unsigned long long)tx->vsize, coins, sent);
}
