/* Whether the ledger still says what was posted. */
#include "base/text.h"
#include "ledger/audit.h"
#include "ledger/payment_own.h"
#include "ledger/posting.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct checking {
	struct otd_db *db;
	struct otd_err *err;
	uint64_t postings;
	struct otd_pay_audited payments;
};

/* One posting, or step of a payment, against what the audit log says of it. */
static otd_rc check_row(void *arg, int64_t row_id, const char *what, const char *data)
{
	struct checking *c = arg;
	struct otd_ledger_row row;
	char text[OTD_LEDGER_AUDIT_TEXT], sum_text[OTD_I128_TEXT];
	otd_i128 sum = 0;
	uint64_t id = 0;
	otd_rc rc;
	if (strcmp(what, OTD_LEDGER_AUDIT) != 0)
		return otd_pay_verify_row(c->db, &c->payments, row_id, what, data, c->err);
	if (otd_parse_u64(&id, data, strcspn(data, " ")) || id > INT64_MAX)
		return otd_fail(c->err, OTD_E_CORRUPT, "audit: row %lld names no posting",
				(long long)row_id);
	rc = otd_ledger_load(c->db, &row, NULL, (int64_t)id, c->err);
	if (rc == OTD_E_NOT_FOUND)
		return otd_fail(c->err, OTD_E_CORRUPT,
				"ledger: posting %llu of audit row %lld is not there any more: "
				"%.200s",
				(unsigned long long)id, (long long)row_id, data);
	if (rc)
		return rc;
	struct otd_posting p = {row.key, row.asset, row.memo, row.time_ms, row.entries, row.n};
	otd_ledger_audit_text(text, row.id, &p);
	if (otd_ledger_sum(&sum, row.entries, row.n) || sum)
		rc = otd_fail(c->err, OTD_E_CORRUPT,
			      "ledger: posting %llu (%s) sums to %s, not to zero",
			      (unsigned long long)id, row.key, otd_format_i128(sum_text, sum));
	else if (strcmp(text, data) != 0)
		rc = otd_fail(c->err, OTD_E_CORRUPT,
			      "ledger: posting %llu (%s) is not what was posted; audit row %lld "
			      "says: %.200s",
			      (unsigned long long)id, row.key, (long long)row_id, data);
	otd_ledger_row_finish(&row);
	c->postings++;
	return rc;
}

static otd_rc expect(struct checking *c, const char *sql, uint64_t want, const char *fault)
{
	int64_t got = 0;
	otd_rc rc = otd_db_int(c->db, sql, NULL, 0, &got, c->err);
	if (rc)
		return rc;
	if ((uint64_t)got == want)
		return OTD_OK;
	return otd_fail(c->err, OTD_E_CORRUPT, "ledger: %s: %lld instead of %llu", fault,
			(long long)got, (unsigned long long)want);
}

struct account {
	bool overflow;
	int64_t kind, owner;
	char asset[OTD_LEDGER_ASSET + 1];
	otd_i128 amount, sum;
};

static otd_rc take_account(void *ctx, const struct otd_value *c, size_t n)
{
	struct account *a = otd_pay_room(ctx);
	(void)n;
	if (!a)
		return OTD_E_NOMEM;
	a->kind = c[0].i;
	a->owner = c[1].i;
	a->amount = c[3].wide;
	return c[3].type == OTD_VALUE_WIDE && otd_pay_take_text(a->asset, sizeof(a->asset), &c[2])
		       ? OTD_OK
		       : OTD_E_CORRUPT;
}

static otd_rc add_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct account *a = ctx;
	(void)n;
	if (c[0].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	if (otd_i128_add(&a->sum, a->sum, c[0].wide))
		a->overflow = true;
	return OTD_OK;
}

static otd_rc check_account(struct checking *c, struct account *a)
{
	static const uint32_t wants[] = {OTD_VALUE_WIDE};
	char has[OTD_I128_TEXT], should[OTD_I128_TEXT];
	enum otd_account_kind kind = (enum otd_account_kind)a->kind;
	struct otd_value v[] = {OTD_INT(a->kind), OTD_INT(a->owner), OTD_TEXT(a->asset)};
	otd_rc rc;
	a->sum = 0;
	a->overflow = false;
	/* In the order of posting: that is how every sum on the way did fit. */
	rc = otd_db_query(c->db,
			  "SELECT e.amount FROM entries e JOIN postings p ON p.id = e.posting_id"
			  " WHERE e.account_kind = ? AND e.owner = ? AND p.asset = ?"
			  " ORDER BY e.posting_id, e.n",
			  v, 3, wants, 1, add_entry, a, c->err);
	if (rc)
		return rc;
	if (a->overflow || a->sum != a->amount)
		return otd_fail(c->err, OTD_E_CORRUPT,
				"ledger: the balance of %s %lld is %s %s, its entries sum to %s",
				otd_account_kind_name(kind), (long long)a->owner,
				otd_format_i128(has, a->amount), a->asset,
				a->overflow ? "more than 128 bits"
					    : otd_format_i128(should, a->sum));
	if (a->amount < 0 && !otd_ledger_may_be_negative(kind))
		return otd_fail(c->err, OTD_E_CORRUPT, "ledger: the balance of %s %lld is %s %s",
				otd_account_kind_name(kind), (long long)a->owner,
				otd_format_i128(has, a->amount), a->asset);
	return OTD_OK;
}

static int by_asset(const void *a, const void *b)
{
	return strcmp(((const struct account *)a)->asset, ((const struct account *)b)->asset);
}

/* Through 256 bits, since a part of the balances may not fit 128 though all of them do. */
static bool sum_to_zero(const struct account *a, size_t n)
{
	struct otd_u256 sum = otd_u256_zero();
	for (size_t i = 0; i < n; i++) {
		struct otd_u256 amount = otd_u256_from_u128((otd_u128)a[i].amount);
		if (a[i].amount < 0) /* two's complement, widened */
			amount.w[2] = amount.w[3] = UINT64_MAX;
		(void)otd_u256_add(&sum, sum, amount);
	}
	return otd_u256_is_zero(sum);
}

/* All accounts, and each asset's balances, which sum to zero. In C: SQL has no 128-bit sums. Read at
   once: to look for the next one again and again takes the square of their number. */
static otd_rc check_accounts(struct checking *c)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_TEXT,
					 OTD_VALUE_WIDE};
	struct otd_pay_rows rows = {.size = sizeof(struct account)};
	otd_rc rc = otd_db_query(c->db, "SELECT account_kind, owner, asset, amount FROM balances",
				 NULL, 0, wants, 4, take_account, &rows, c->err);
	struct account *a = rows.items;
	for (size_t i = 0; !rc && i < rows.n; i++)
		rc = check_account(c, &a[i]);
	if (!rc && rows.n)
		qsort(a, rows.n, sizeof(*a), by_asset);
	for (size_t first = 0, i = 1; !rc && i <= rows.n; i++) {
		if (i < rows.n && by_asset(&a[first], &a[i]) == 0)
			continue;
		if (!sum_to_zero(a + first, i - first))
			rc = otd_fail(c->err, OTD_E_CORRUPT,
				      "ledger: the balances of %s do not sum to zero",
				      a[first].asset);
		first = i;
	}
	free(rows.items);
	return rc;
}

otd_rc otd_ledger_verify(struct otd_db *db, uint64_t *postings, struct otd_err *err)
{
	struct checking c = {.db = db, .err = err};
	otd_rc rc = otd_audit_verify(db, NULL, check_row, &c, err);
	if (!rc)
		rc = expect(&c, "SELECT COUNT(*) FROM postings", c.postings,
			    "postings that the audit log does not know");
	if (!rc)
		rc = expect(&c,
			    "SELECT COUNT(*) FROM entries WHERE posting_id NOT IN (SELECT id FROM "
			    "postings)",
			    0, "entries without a posting");
	if (!rc)
		rc = expect(&c,
			    "SELECT COUNT(*) FROM entries e JOIN postings p ON p.id = e.posting_id"
			    " LEFT JOIN balances b ON b.account_kind = e.account_kind AND b.owner "
			    "= e.owner AND b.asset = p.asset WHERE b.amount IS NULL",
			    0, "entries of an account without a balance");
	if (!rc)
		rc = check_accounts(&c);
	if (!rc)
		rc = otd_pay_verify(db, &c.payments, err);
	if (postings)
		*postings = c.postings;
	return rc;
}
