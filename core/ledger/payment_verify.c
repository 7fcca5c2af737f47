/* Whether payments are what their steps made of them: rows against postings, balances, coins and the
   audit log. */
#include "base/err.h"
#include "base/text.h"
#include "ledger/audit.h"
#include "ledger/payment_own.h"
#include "ledger/posting.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static otd_rc bad(uint64_t id, const char *why, struct otd_err *err)
{
	return otd_fail(err, OTD_E_CORRUPT, "ledger: payment %llu: %s", (unsigned long long)id,
			why);
}

/* --- the audit log --- */

/* The number behind name in a row; UINT64_MAX: none. */
static uint64_t number_of(const char *data, const char *name)
{
	const char *at = strstr(data, name);
	uint64_t v = UINT64_MAX;
	if (!at)
		return v;
	at += strlen(name);
	return otd_parse_u64(&v, at, strcspn(at, " ")) ? UINT64_MAX : v;
}

static otd_rc check_reserve_row(struct otd_db *db, uint64_t id, char text[OTD_PAY_TEXT],
				struct otd_err *err)
{
	struct otd_payment p;
	otd_rc rc = otd_pay_head(db, id, &p, err);
	if (!rc)
		rc = otd_pay_load_parts(db, &p, 0, 0, err);
	if (!rc)
		otd_pay_reserve_text(text, &p);
	otd_payment_finish(&p);
	return rc;
}

static otd_rc check_sign_row(struct otd_db *db, uint64_t id, const char *data,
			     char text[OTD_PAY_TEXT], struct otd_err *err)
{
	struct otd_payment p;
	struct otd_pay_tx tx;
	uint64_t generation = number_of(data, " generation="),
		 version = number_of(data, " version=");
	otd_rc rc = otd_pay_head(db, id, &p, err);
	if (!rc && (generation > UINT32_MAX || version > UINT32_MAX))
		rc = OTD_E_NOT_FOUND;
	if (!rc)
		rc = otd_pay_load_tx(db, id, (uint32_t)generation, (uint32_t)version, &tx, err);
	if (!rc)
		rc = otd_pay_load_parts(db, &p, (uint32_t)generation, (uint32_t)version, err);
	if (!rc)
		rc = otd_pay_load_coins(db, id, (uint32_t)generation, &p.coins, &p.n_coins, err);
	if (!rc)
		otd_pay_sign_text(text, &p, &tx);
	otd_payment_finish(&p);
	return rc;
}

otd_rc otd_pay_verify_row(struct otd_db *db, struct otd_pay_audited *seen, int64_t row_id,
			  const char *what, const char *data, struct otd_err *err)
{
	bool reserve = strcmp(what, "payment.reserve") == 0;
	bool sign = strcmp(what, "payment.sign") == 0;
	char text[OTD_PAY_TEXT];
	uint64_t id = 0;
	seen->reserved += reserve;
	seen->txs += sign || strcmp(what, "payment.settle") == 0;
	if (!reserve && !sign)
		return OTD_OK;
	otd_rc rc = otd_parse_u64(&id, data, strcspn(data, " ")) || id > INT64_MAX ? OTD_E_NOT_FOUND
		    : reserve ? check_reserve_row(db, id, text, err)
			      : check_sign_row(db, id, data, text, err);
	if (rc == OTD_E_NOT_FOUND)
		return otd_fail(
			err, OTD_E_CORRUPT,
			"ledger: the payment of audit row %lld is not there any more: %.200s",
			(long long)row_id, data);
	if (!rc && strcmp(text, data) != 0)
		rc = otd_fail(
			err, OTD_E_CORRUPT,
			"ledger: payment %llu is not what was %s: audit row %lld says: %.200s",
			(unsigned long long)id, reserve ? "reserved" : "signed", (long long)row_id,
			data);
	return rc;
}

/* --- postings --- */

/* Sums of a posting by what the caller asks: entries of these two kinds. */
static void sum_kinds(const struct otd_ledger_row *r, enum otd_account_kind a,
		      enum otd_account_kind b, otd_i128 *of_a, otd_i128 *of_b)
{
	*of_a = *of_b = 0;
	for (size_t i = 0; i < r->n; i++) {
		if (r->entries[i].kind == a)
			*of_a += r->entries[i].amount;
		else if (r->entries[i].kind == b)
			*of_b += r->entries[i].amount;
	}
}

static otd_rc check_reserve_posting(struct otd_db *db, const struct otd_payment *p,
				    struct otd_err *err)
{
	struct otd_ledger_row row = {0};
	char key[OTD_PAY_KEY];
	otd_i128 paying, fee;
	otd_pay_key_reserve(key, p->id);
	otd_rc rc = otd_ledger_load(db, &row, key, 0, err);
	if (rc == OTD_E_NOT_FOUND)
		return bad(p->id, "has no posting that put its amounts aside", err);
	if (rc)
		return rc;
	sum_kinds(&row, OTD_ACC_PAYING, OTD_ACC_FEE_PAYING, &paying, &fee);
	if (!row.reversed != (p->state != OTD_PAY_CANCELLED))
		rc = bad(p->id,
			 row.reversed ? "is not cancelled, but its amounts have gone back"
				      : "is cancelled, but its amounts have not gone back",
			 err);
	else if (paying + fee != p->total)
		rc = bad(p->id, "has another total than was put aside", err);
	otd_ledger_row_finish(&row);
	return rc;
}

static otd_rc check_paid_amounts(struct otd_db *db, struct otd_payment *p,
				 const struct otd_ledger_row *row, struct otd_err *err)
{
	struct otd_pay_tx tx;
	otd_i128 sent = 0, paid, network;
	otd_rc rc = otd_pay_load_tx(db, p->id, p->paid_generation, p->paid_version, &tx, err);
	if (rc == OTD_E_NOT_FOUND)
		return bad(p->id, "is paid by a transaction that is not there", err);
	if (!rc)
		rc = otd_pay_load_parts(db, p, p->paid_generation, p->paid_version, err);
	if (!rc)
		rc = otd_pay_sum_sent(&sent, p->parts, p->n_parts);
	sum_kinds(row, OTD_ACC_PAID, OTD_ACC_NETWORK, &paid, &network);
	if (!rc && (paid != sent || network != tx.fee))
		rc = bad(p->id, "what was booked as paid is not what its transaction sends", err);
	return rc;
}

static otd_rc check_paid_posting(struct otd_db *db, struct otd_payment *p, struct otd_err *err)
{
	struct otd_ledger_row row = {0};
	char key[OTD_PAY_KEY];
	otd_pay_key_paid(key, p->id, p->generation);
	otd_rc rc = otd_ledger_load(db, &row, key, 0, err);
	bool there = !rc && !row.reversed;
	if (rc == OTD_E_NOT_FOUND)
		rc = OTD_OK;
	if (!rc && there != (p->state == OTD_PAY_PAID))
		rc = bad(p->id,
			 there ? "is booked as paid, but its state is another"
			       : "is paid, but not booked as paid",
			 err);
	if (!rc && there)
		rc = check_paid_amounts(db, p, &row, err);
	otd_ledger_row_finish(&row);
	return rc;
}

/* --- one payment --- */

static otd_rc check_tx(struct otd_db *db, struct otd_payment *p, const struct otd_pay_tx *tx,
		       struct otd_err *err)
{
	struct otd_pay_coin *coins = NULL;
	otd_i128 in = 0, out = 0;
	size_t n = 0;
	/* One that a person made is there without bytes, and its coins are not ours to know. */
	struct otd_value v[] = {OTD_INT(p->id), OTD_INT(tx->generation), OTD_INT(tx->version)};
	int64_t bytes = 0;
	otd_rc rc = otd_db_int(db,
			       "SELECT LENGTH(raw) FROM payment_txs WHERE payment_id = ?"
			       " AND generation = ? AND version = ?",
			       v, 3, &bytes, err);
	if (rc || !bytes)
		return rc;
	rc = otd_pay_load_parts(db, p, tx->generation, tx->version, err);
	if (!rc)
		rc = otd_pay_load_coins(db, p->id, tx->generation, &coins, &n, err);
	if (!rc &&
	    (otd_pay_sum_coins(&in, coins, n, tx->version) ||
	     otd_pay_sum_sent(&out, p->parts, p->n_parts) || otd_i128_add(&out, out, tx->fee) ||
	     otd_i128_add(&out, out, tx->change) || in != out))
		rc = bad(p->id, "a transaction's coins are not what it sends, change and fee", err);
	free(coins);
	return rc;
}

static otd_rc check_txs(struct otd_db *db, struct otd_payment *p, struct otd_err *err)
{
	bool signed_now = p->state == OTD_PAY_SIGNED || p->state == OTD_PAY_SENT;
	uint32_t newest = p->n_txs ? p->txs[p->n_txs - 1].version : 0;
	otd_rc rc = OTD_OK;
	if (newest != p->version || (signed_now && !newest) ||
	    (newest && (p->state == OTD_PAY_RESERVED || p->state == OTD_PAY_FUNDED)))
		return bad(p->id, "its state and version are not those of its transactions", err);
	if (!p->n_coins != (p->state == OTD_PAY_RESERVED) && p->state <= OTD_PAY_SENT)
		return bad(p->id, "its state does not fit its coins", err);
	for (size_t i = 0; !rc && i < p->n_txs; i++)
		rc = check_tx(db, p, &p->txs[i], err);
	for (size_t i = 0; !rc && i < p->n_old; i++)
		rc = check_tx(db, p, &p->old[i], err);
	return rc;
}

static otd_rc check_payment(struct otd_db *db, uint64_t id, struct otd_err *err)
{
	struct otd_payment p;
	otd_i128 total = 0;
	otd_rc rc = otd_pay_load(db, id, false, &p, err);
	if (rc == OTD_E_NOT_FOUND)
		return bad(id, "a part of it is not there", err);
	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < p.n_parts; i++)
		rc = p.parts[i].amount < 1 ? OTD_E_INVALID
					   : otd_i128_add(&total, total, p.parts[i].amount);
	if (rc || !p.n_parts || total != p.total)
		rc = bad(id, "its total is not that of its parts", err);
	else if (strcmp(otd_pay_state_name(p.state), "unknown") == 0)
		rc = bad(id, "has no state", err);
	if (!rc)
		rc = check_txs(db, &p, err);
	if (!rc)
		rc = check_reserve_posting(db, &p, err);
	if (!rc)
		rc = check_paid_posting(db, &p, err);
	otd_payment_finish(&p);
	return rc;
}

static otd_rc check_payments(struct otd_db *db, struct otd_err *err)
{
	uint64_t ids[256], after = 0;
	size_t n = 0;
	do {
		/* Any number, as a hand may have written it. */
		otd_rc rc = otd_pay_list(db, 0, (enum otd_pay_state)0,
					 (enum otd_pay_state)INT32_MAX, after, ids, 256, &n, err);
		for (size_t i = 0; !rc && i < n; i++)
			rc = check_payment(db, after = ids[i], err);
		if (rc)
			return rc;
	} while (n);
	return OTD_OK;
}

/* --- all of them: reserves and coins --- */

struct amount {
	int64_t kind;
	uint64_t owner;
	char asset[OTD_LEDGER_ASSET + 1];
	otd_i128 aside, balance;
};

struct taking {
	struct otd_pay_rows rows;
	bool balance;
};

static otd_rc take_amount(void *ctx, const struct otd_value *c, size_t n)
{
	struct taking *t = ctx;
	struct amount *a = otd_pay_room(&t->rows);
	(void)n;
	if (!a)
		return OTD_E_NOMEM;
	a->kind = c[0].i;
	if (!t->balance)
		a->kind = c[0].i == OTD_ACC_FEE ? OTD_ACC_FEE_PAYING : OTD_ACC_PAYING;
	a->owner = (uint64_t)c[1].i;
	*(t->balance ? &a->balance : &a->aside) = c[3].wide;
	return c[3].type == OTD_VALUE_WIDE && otd_pay_take_text(a->asset, sizeof(a->asset), &c[2])
		       ? OTD_OK
		       : OTD_E_CORRUPT;
}

static int by_account(const void *a, const void *b)
{
	const struct amount *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return strcmp(x->asset, y->asset);
}

static otd_rc compare(struct amount *a, size_t n, struct otd_err *err)
{
	char has[OTD_I128_TEXT], need[OTD_I128_TEXT];
	qsort(a, n, sizeof(*a), by_account);
	for (size_t i = 0; i < n;) {
		struct amount sum = a[i];
		bool fits = true;
		for (i++; i < n && by_account(&sum, &a[i]) == 0; i++)
			fits = fits && !otd_i128_add(&sum.aside, sum.aside, a[i].aside) &&
			       !otd_i128_add(&sum.balance, sum.balance, a[i].balance);
		if (!fits || sum.aside != sum.balance)
			return otd_fail(err, OTD_E_CORRUPT,
					"ledger: %s %llu has %s %s, payments on their way have %s",
					otd_account_kind_name((enum otd_account_kind)sum.kind),
					(unsigned long long)sum.owner,
					otd_format_i128(has, sum.balance), sum.asset,
					otd_format_i128(need, sum.aside));
	}
	return OTD_OK;
}

static otd_rc check_reserves(struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_TEXT,
					 OTD_VALUE_WIDE};
	struct taking t = {.rows = {.size = sizeof(struct amount)}};
	struct otd_value v[] = {OTD_INT(OTD_ACC_PAYING), OTD_INT(OTD_ACC_FEE_PAYING)};
	otd_rc rc = otd_db_query(db,
				 "SELECT x.account_kind, x.owner, p.asset, x.amount"
				 " FROM payments p JOIN payment_parts x ON x.payment_id = p.id"
				 " WHERE p.state BETWEEN 1 AND 4",
				 NULL, 0, wants, 4, take_amount, &t, err);
	t.balance = true;
	if (!rc)
		rc = otd_db_query(db,
				  "SELECT account_kind, owner, asset, amount FROM balances"
				  " WHERE account_kind = ? OR account_kind = ?",
				  v, 2, wants, 4, take_amount, &t, err);
	if (!rc && t.rows.n)
		rc = compare(t.rows.items, t.rows.n, err);
	free(t.rows.items);
	return rc;
}

struct last_coin {
	uint8_t txid[32];
	int64_t index;
	uint64_t id, other; /* other: the payment that has it too */
};

static otd_rc take_coin(void *ctx, const struct otd_value *c, size_t n)
{
	struct last_coin *l = ctx;
	(void)n;
	if (c[1].type != OTD_VALUE_BLOB || c[1].bytes.len != 32)
		return OTD_E_CORRUPT;
	if (l->id && memcmp(l->txid, c[1].bytes.ptr, 32) == 0 && l->index == c[2].i) {
		l->other = (uint64_t)c[0].i;
		return OTD_E_CORRUPT;
	}
	l->id = (uint64_t)c[0].i;
	memcpy(l->txid, c[1].bytes.ptr, 32);
	l->index = c[2].i;
	return OTD_OK;
}

static otd_rc check_coins(struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_BLOB, OTD_VALUE_INT};
	struct last_coin l = {.id = 0};
	otd_rc rc = otd_db_query(db,
				 "SELECT p.id, c.txid, c.idx FROM payments p JOIN payment_coins c"
				 " ON c.payment_id = p.id AND c.generation = p.generation"
				 " WHERE " OTD_PAY_HOLDS_COINS " ORDER BY c.txid, c.idx",
				 NULL, 0, wants, 3, take_coin, &l, err);
	return l.other ? bad(l.other, "has a coin that another payment on its way has", err) : rc;
}

static otd_rc expect(struct otd_db *db, const char *sql, uint64_t want, const char *fault,
		     struct otd_err *err)
{
	int64_t got = 0;
	otd_rc rc = otd_db_int(db, sql, NULL, 0, &got, err);
	if (!rc && (uint64_t)got != want)
		rc = otd_fail(err, OTD_E_CORRUPT, "ledger: %s: %lld instead of %llu", fault,
			      (long long)got, (unsigned long long)want);
	return rc;
}

otd_rc otd_pay_verify(struct otd_db *db, const struct otd_pay_audited *seen, struct otd_err *err)
{
	otd_rc rc = expect(db, "SELECT COUNT(*) FROM payments", seen->reserved,
			   "payments that the audit log does not know", err);
	if (!rc)
		rc = expect(db, "SELECT COUNT(*) FROM payment_txs", seen->txs,
			    "signed transactions that the audit log does not know", err);
	if (!rc)
		rc = expect(db, "SELECT COUNT(*) FROM postings WHERE k LIKE 'payment/%/reserve'",
			    seen->reserved, "amounts put aside for payments", err);
	if (!rc)
		rc = expect(db,
			    "SELECT COUNT(*) FROM payment_txs t JOIN payments p ON p.id = "
			    "t.payment_id WHERE t.generation > p.generation",
			    0, "transactions of a generation to come", err);
	if (!rc)
		rc = expect(db,
			    "SELECT COUNT(*) FROM payment_coins c JOIN payments p ON p.id = "
			    "c.payment_id WHERE c.generation > p.generation",
			    0, "coins of a generation to come", err);
	if (!rc)
		rc = check_payments(db, err);
	if (!rc)
		rc = check_coins(db, err);
	return rc ? rc : check_reserves(db, err);
}
