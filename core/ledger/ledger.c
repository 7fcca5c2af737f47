/* Double entry: posting, reversing, balances. */
#include "ledger/ledger.h"
#include "base/text.h"
#include "ledger/audit.h"
#include "ledger/posting.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a posting does to one account. */
struct change {
	enum otd_account_kind kind;
	uint64_t owner;
	otd_i128 by, after;
};

static bool plain_text(const char *s, size_t max, bool may_be_empty)
{
	size_t n = strlen(s);
	if (n > max || (!n && !may_be_empty))
		return false;
	for (size_t i = 0; i < n; i++) {
		if ((uint8_t)s[i] < ' ' || s[i] == 127)
			return false;
	}
	return true;
}

static bool ends_reversed(const char *key)
{
	size_t n = strlen(key), m = strlen(OTD_LEDGER_REVERSED);
	return n >= m && strcmp(key + n - m, OTD_LEDGER_REVERSED) == 0;
}

static otd_rc check(const struct otd_posting *p, size_t key_max, struct otd_err *err)
{
	char text[OTD_I128_TEXT];
	otd_i128 sum;
	if (!p->key || !plain_text(p->key, key_max, false))
		return otd_fail(err, OTD_E_INVALID, "ledger: a key of 1 to %zu plain bytes, please",
				key_max);
	if (!p->asset || !plain_text(p->asset, OTD_LEDGER_ASSET, false) || !p->memo ||
	    !plain_text(p->memo, OTD_LEDGER_MEMO, true))
		return otd_fail(err, OTD_E_INVALID,
				"ledger: %s: asset or memo is too long, or not "
				"plain text",
				p->key);
	if (!p->n)
		return otd_fail(err, OTD_E_INVALID, "ledger: %s: no entries", p->key);
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(otd_account_kind_name(p->entries[i].kind), "unknown") == 0)
			return otd_fail(err, OTD_E_INVALID, "ledger: %s: no kind of account %d",
					p->key, (int)p->entries[i].kind);
	}
	if (otd_ledger_sum(&sum, p->entries, p->n))
		return otd_fail(err, OTD_E_OVERFLOW, "ledger: %s: its sum does not fit 128 bits",
				p->key);
	if (sum)
		return otd_fail(err, OTD_E_INVALID, "ledger: %s: entries sum to %s, not to zero",
				p->key, otd_format_i128(text, sum));
	return OTD_OK;
}

static int by_account(const void *a, const void *b)
{
	const struct change *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return 0;
}

/* One change an account, however often a posting names it. */
static otd_rc gather(struct change **out, size_t *n, const struct otd_posting *p,
		     struct otd_err *err)
{
	struct change *c = calloc(p->n, sizeof(*c));
	size_t last = 0;
	*out = c;
	if (!c)
		return otd_fail(err, OTD_E_NOMEM, "ledger: %s: no memory", p->key);
	for (size_t i = 0; i < p->n; i++)
		c[i] = (struct change){p->entries[i].kind, p->entries[i].owner,
				       p->entries[i].amount, 0};
	qsort(c, p->n, sizeof(*c), by_account);
	for (size_t i = 1; i < p->n; i++) {
		if (by_account(&c[last], &c[i]) != 0)
			c[++last] = c[i];
		else if (otd_i128_add(&c[last].by, c[last].by, c[i].by))
			return otd_fail(err, OTD_E_OVERFLOW, "ledger: %s: a sum does not fit",
					p->key);
	}
	*n = last + 1;
	return OTD_OK;
}

static otd_rc take_amount(void *ctx, const struct otd_value *columns, size_t n)
{
	(void)n;
	if (columns[0].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	*(otd_i128 *)ctx = columns[0].wide;
	return OTD_OK;
}

otd_rc otd_ledger_balance(struct otd_db *db, enum otd_account_kind kind, uint64_t owner,
			  const char *asset, otd_i128 *out, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_WIDE};
	struct otd_value v[] = {OTD_INT(kind), OTD_INT(owner), OTD_TEXT(asset)};
	*out = 0;
	return otd_db_query(db,
			    "SELECT amount FROM balances WHERE account_kind = ? AND owner = ? AND "
			    "asset = ?",
			    v, 3, wants, 1, take_amount, out, err);
}

/* Nothing is written before all of it is known to be right. */
static otd_rc compute(struct otd_db *db, struct change *c, size_t n, const struct otd_posting *p,
		      struct otd_err *err)
{
	for (size_t i = 0; i < n; i++) {
		otd_i128 before;
		otd_rc rc = otd_ledger_balance(db, c[i].kind, c[i].owner, p->asset, &before, err);
		if (rc)
			return rc;
		if (otd_i128_add(&c[i].after, before, c[i].by))
			return otd_fail(err, OTD_E_OVERFLOW,
					"ledger: %s: the balance of %s %llu does not fit 128 bits",
					p->key, otd_account_kind_name(c[i].kind),
					(unsigned long long)c[i].owner);
		if (c[i].after < 0 && c[i].by < 0 && !otd_ledger_may_be_negative(c[i].kind)) {
			char has[OTD_I128_TEXT], by[OTD_I128_TEXT];
			return otd_fail(err, OTD_E_INVALID,
					"ledger: %s: account %s %llu has %s %s, a change of %s "
					"would take it below zero",
					p->key, otd_account_kind_name(c[i].kind),
					(unsigned long long)c[i].owner,
					otd_format_i128(has, before), p->asset,
					otd_format_i128(by, c[i].by));
		}
	}
	return OTD_OK;
}

static otd_rc write_entries(struct otd_db *db, int64_t id, const struct otd_posting *p,
			    struct otd_err *err)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct otd_entry *e = &p->entries[i];
		struct otd_value v[] = {OTD_INT(id), OTD_INT(i), OTD_INT(e->kind),
					OTD_INT(e->owner), OTD_WIDE(e->amount)};
		otd_rc rc = otd_db_exec(db,
					"INSERT INTO entries(posting_id, n, account_kind, owner, "
					"amount) VALUES(?,?,?,?,?)",
					v, 5, NULL, NULL, err);
		if (rc) /* not "the posting exists": numbers are given once */
			return rc == OTD_E_EXISTS ? otd_fail(err, OTD_E_CORRUPT,
							     "ledger: %s: entries of number %lld "
							     "are there without a posting",
							     p->key, (long long)id)
						  : rc;
	}
	return OTD_OK;
}

static otd_rc write_all(struct otd_db *db, const struct change *c, size_t n,
			const struct otd_posting *p, struct otd_err *err)
{
	char text[OTD_LEDGER_AUDIT_TEXT];
	int64_t id = 0;
	struct otd_value v[] = {OTD_TEXT(p->key), OTD_TEXT(p->asset), OTD_TEXT(p->memo),
				OTD_INT(p->time_ms)};
	otd_rc rc = otd_db_exec(db, "INSERT INTO postings(k, asset, memo, time_ms) VALUES(?,?,?,?)",
				v, 4, NULL, &id, err);
	if (!rc)
		rc = write_entries(db, id, p, err);
	for (size_t i = 0; !rc && i < n; i++) {
		struct otd_value b[] = {OTD_INT(c[i].kind), OTD_INT(c[i].owner), OTD_TEXT(p->asset),
					OTD_WIDE(c[i].after)};
		rc = otd_db_exec(db,
				 "INSERT INTO balances(account_kind, owner, asset, amount)"
				 " VALUES(?,?,?,?) ON CONFLICT(account_kind, owner, asset)"
				 " DO UPDATE SET amount = excluded.amount",
				 b, 4, NULL, NULL, err);
	}
	if (rc)
		return rc;
	otd_ledger_audit_text(text, id, p);
	return otd_audit_add(db, p->time_ms, OTD_LEDGER_AUDIT, text, err);
}

static bool same_entries(const struct otd_ledger_row *r, const struct otd_posting *p)
{
	if (strcmp(r->asset, p->asset) != 0 || r->n != p->n)
		return false;
	for (size_t i = 0; i < p->n; i++) {
		const struct otd_entry *a = &r->entries[i], *b = &p->entries[i];
		if (a->kind != b->kind || a->owner != b->owner || a->amount != b->amount)
			return false;
	}
	return true;
}

/* OTD_OK: the key is free. */
static otd_rc check_key(struct otd_db *db, const struct otd_posting *p, struct otd_err *err)
{
	struct otd_ledger_row row;
	otd_rc rc = otd_ledger_load(db, &row, p->key, 0, err);
	if (rc == OTD_E_NOT_FOUND)
		return OTD_OK;
	if (rc)
		return rc;
	if (same_entries(&row, p))
		rc = otd_fail(err, OTD_E_EXISTS, "ledger: %s: is posted already", p->key);
	else
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "ledger: %s: is posted already with other entries: two parts of the "
			      "pool disagree over the same event; run 'otedama ledger verify'",
			      p->key);
	otd_ledger_row_finish(&row);
	return rc;
}

static otd_rc post(struct otd_db *db, const struct otd_posting *p, size_t key_max,
		   struct otd_err *err)
{
	struct change *c = NULL;
	size_t n = 0;
	otd_rc rc = check(p, key_max, err);
	if (!rc)
		rc = check_key(db, p, err);
	if (!rc)
		rc = gather(&c, &n, p, err);
	if (!rc)
		rc = compute(db, c, n, p, err);
	if (!rc)
		rc = write_all(db, c, n, p, err);
	free(c);
	return rc;
}

otd_rc otd_ledger_post(struct otd_db *db, const struct otd_posting *p, struct otd_err *err)
{
	if (p->key && ends_reversed(p->key))
		return otd_fail(err, OTD_E_INVALID, "ledger: %.140s: that ending is a reversal's",
				p->key);
	return post(db, p, OTD_LEDGER_KEY_MAX, err);
}

otd_rc otd_ledger_reverse(struct otd_db *db, const char *key, const char *memo, int64_t time_ms,
			  struct otd_err *err)
{
	char reversed[OTD_LEDGER_ROW_KEY];
	struct otd_ledger_row row = {0};
	struct otd_posting p = {reversed, row.asset, memo, time_ms, NULL, 0};
	otd_rc rc;
	if (strlen(key) > OTD_LEDGER_KEY_MAX || ends_reversed(key))
		return otd_fail(err, OTD_E_INVALID, "ledger: %.140s: a reversal is not reversed",
				key);
	(void)snprintf(reversed, sizeof(reversed), "%s" OTD_LEDGER_REVERSED, key);
	rc = otd_ledger_load(db, &row, key, 0, err);
	for (size_t i = 0; !rc && i < row.n; i++) {
		if (otd_i128_sub(&row.entries[i].amount, 0, row.entries[i].amount))
			rc = otd_fail(err, OTD_E_OVERFLOW, "ledger: %s: cannot be negated", key);
	}
	if (rc)
		goto out;
	p.entries = row.entries;
	p.n = row.n;
	rc = post(db, &p, sizeof(reversed) - 1, err);
	if (!rc) {
		struct otd_value v[] = {OTD_INT(row.id)};
		rc = otd_db_exec(db, "UPDATE postings SET reversed = 1 WHERE id = ?", v, 1, NULL,
				 NULL, err);
	}
out:
	otd_ledger_row_finish(&row);
	return rc;
}
