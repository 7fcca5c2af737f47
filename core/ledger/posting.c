/* Postings as they are stored: read back, summed, and told to the audit log. */
#include "ledger/posting.h"
#include "base/text.h"
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool otd_ledger_may_be_negative(enum otd_account_kind kind)
{
	/* The source that miners' credits come from, and what the pool itself puts in or loses. */
	return kind == OTD_ACC_REWARD || kind == OTD_ACC_FUNDS || kind == OTD_ACC_RISK;
}

const char *otd_account_kind_name(enum otd_account_kind kind)
{
	switch (kind) {
	case OTD_ACC_REWARD: return "reward";
	case OTD_ACC_IMMATURE: return "immature";
	case OTD_ACC_MINER: return "miner";
	case OTD_ACC_FEE: return "fee";
	case OTD_ACC_FEE_IMMATURE: return "fee-immature";
	case OTD_ACC_DUST: return "dust";
	case OTD_ACC_PAYING: return "paying";
	case OTD_ACC_FEE_PAYING: return "fee-paying";
	case OTD_ACC_PAID: return "paid";
	case OTD_ACC_NETWORK: return "network-fee";
	case OTD_ACC_FUNDS: return "funds";
	case OTD_ACC_RISK: return "risk";
	}
	return "unknown";
}

otd_rc otd_ledger_sum(otd_i128 *out, const struct otd_entry *entries, size_t n)
{
	*out = 0;
	for (size_t i = 0; i < n; i++) {
		otd_rc rc = otd_i128_add(out, *out, entries[i].amount);
		if (rc)
			return rc;
	}
	return OTD_OK;
}

static void put(uint8_t *to, otd_u128 v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

void otd_ledger_audit_text(char out[OTD_LEDGER_AUDIT_TEXT], int64_t id, const struct otd_posting *p)
{
	struct otd_sha256 s;
	uint8_t entry[28], digest[32];
	char hex[65];
	otd_sha256_init(&s);
	for (size_t i = 0; i < p->n; i++) {
		put(entry, (otd_u128)p->entries[i].kind, 4);
		put(entry + 4, p->entries[i].owner, 8);
		put(entry + 12, (otd_u128)p->entries[i].amount, 16);
		otd_sha256_update(&s, entry, sizeof(entry));
	}
	otd_sha256_final(&s, digest);
	otd_hex_encode(hex, digest, 32);
	(void)snprintf(out, OTD_LEDGER_AUDIT_TEXT,
		       "%lld key=%s asset=%s time_ms=%lld entries=%zu sha256=%s memo=%s",
		       (long long)id, p->key, p->asset, (long long)p->time_ms, p->n, hex, p->memo);
}

static bool copy_text(char *to, size_t cap, const struct otd_value *v)
{
	if (v->type != OTD_VALUE_TEXT || v->bytes.len >= cap)
		return false;
	memcpy(to, v->bytes.ptr, v->bytes.len);
	to[v->bytes.len] = 0;
	return true;
}

struct loading {
	struct otd_ledger_row *row;
	bool there;
	size_t cap;
};

static otd_rc take_posting(void *ctx, const struct otd_value *c, size_t n)
{
	struct loading *l = ctx;
	struct otd_ledger_row *r = l->row;
	(void)n;
	l->there = true;
	r->id = c[0].i;
	r->time_ms = c[4].i;
	r->reversed = c[5].i;
	if (!copy_text(r->key, sizeof(r->key), &c[1]) ||
	    !copy_text(r->asset, sizeof(r->asset), &c[2]) ||
	    !copy_text(r->memo, sizeof(r->memo), &c[3]))
		return OTD_E_CORRUPT;
	return OTD_OK;
}

static otd_rc take_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct loading *l = ctx;
	struct otd_ledger_row *r = l->row;
	(void)n;
	if (r->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 8;
		struct otd_entry *p = realloc(r->entries, cap * sizeof(*p));
		if (!p)
			return OTD_E_NOMEM;
		r->entries = p;
		l->cap = cap;
	}
	if (c[2].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	r->entries[r->n++] = (struct otd_entry){.kind = (enum otd_account_kind)c[0].i,
						.owner = (uint64_t)c[1].i,
						.amount = c[2].wide};
	return OTD_OK;
}

#define POSTING "SELECT id, k, asset, memo, time_ms, reversed FROM postings WHERE "

otd_rc otd_ledger_load(struct otd_db *db, struct otd_ledger_row *out, const char *key, int64_t id,
		       struct otd_err *err)
{
	static const uint32_t posting[] = {OTD_VALUE_INT,  OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					   OTD_VALUE_TEXT, OTD_VALUE_INT,  OTD_VALUE_INT};
	static const uint32_t entry[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct loading l = {out, false, 0};
	otd_rc rc;
	memset(out, 0, sizeof(*out));
	struct otd_value by[] = {key ? OTD_TEXT(key) : OTD_INT(id)};
	rc = otd_db_query(db, key ? POSTING "k = ?" : POSTING "id = ?", by, 1, posting, 6,
			  take_posting, &l, err);
	if (!rc && !l.there)
		rc = otd_fail(err, OTD_E_NOT_FOUND, "ledger: there is no posting %s",
			      key ? key : "of this number");
	if (rc)
		goto out;
	by[0] = OTD_INT(out->id);
	rc = otd_db_query(db,
			  "SELECT account_kind, owner, amount FROM entries WHERE posting_id = ?"
			  " ORDER BY n",
			  by, 1, entry, 3, take_entry, &l, err);
out:
	if (rc)
		otd_ledger_row_finish(out);
	return rc;
}

void otd_ledger_row_finish(struct otd_ledger_row *r)
{
	free(r->entries);
	r->entries = NULL;
	r->n = 0;
}
