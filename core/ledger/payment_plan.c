/* Who is due, and what is put aside for them. */
#include "base/err.h"
#include "base/text.h"
#include "ledger/payment_own.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PPM 1000000u

struct due {
	uint64_t account;
	otd_i128 amount;
};

static otd_rc check_terms(const struct otd_pay_terms *t, struct otd_err *err)
{
	uint64_t ppm = 0;
	if (!t->asset || !t->asset[0] ||
	    strlen(t->asset) >= sizeof(((struct otd_payment *)0)->asset))
		return otd_fail(err, OTD_E_INVALID, "payments: an asset of 1 to 31 bytes, please");
	if (t->minimum < 1 || t->cap < 0 || !t->max_parts)
		return otd_fail(err, OTD_E_INVALID,
				"payments: the minimum and the number of recipients are at least "
				"1, the cap is not negative");
	for (size_t i = 0; i < t->n_fee; i++) {
		if (!t->fee[i].address || !t->fee[i].address[0] ||
		    strlen(t->fee[i].address) >= OTD_PAY_ADDRESS || t->fee[i].share_ppm > PPM)
			return otd_fail(err, OTD_E_INVALID,
					"payments: recipient %zu of the fee has no address, or "
					"more than all of it",
					i + 1);
		ppm += t->fee[i].share_ppm;
	}
	if (t->n_fee && ppm != PPM)
		return otd_fail(err, OTD_E_INVALID,
				"payments: shares of the fee sum to %llu ppm, not to 1000000",
				(unsigned long long)ppm);
	return OTD_OK;
}

/* --- miners --- */

struct taking {
	struct otd_pay_rows rows; /* of struct due */
	otd_i128 minimum;
};

static otd_rc take_due(void *ctx, const struct otd_value *c, size_t n)
{
	struct taking *t = ctx;
	(void)n;
	if (c[1].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	if (c[1].wide < t->minimum)
		return OTD_OK;
	struct due *d = otd_pay_room(&t->rows);
	if (!d)
		return OTD_E_NOMEM;
	*d = (struct due){(uint64_t)c[0].i, c[1].wide};
	return OTD_OK;
}

static int largest_first(const void *a, const void *b)
{
	const struct due *x = a, *y = b;
	if (x->amount != y->amount)
		return x->amount > y->amount ? -1 : 1;
	return x->account < y->account ? -1 : x->account > y->account;
}

/* Balances are compared here: databases write 128 bits each in its own way. */
static otd_rc read_due(struct otd_db *db, const struct otd_pay_terms *t, struct taking *out,
		       struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct otd_value v[] = {OTD_INT(OTD_ACC_MINER), OTD_TEXT(t->asset), OTD_INT(t->pool_id)};
	otd_rc rc = otd_db_query(db,
				 "SELECT a.id, b.amount FROM accounts a JOIN balances b"
				 " ON b.account_kind = ? AND b.owner = a.id AND b.asset = ?"
				 " LEFT JOIN payment_holds h ON h.account_id = a.id"
				 " WHERE a.pool_id = ? AND h.account_id IS NULL",
				 v, 3, wants, 2, take_due, out, err);
	if (!rc && out->rows.n)
		qsort(out->rows.items, out->rows.n, sizeof(struct due), largest_first);
	return rc;
}

static bool fits(const struct otd_pay_terms *t, otd_i128 total, otd_i128 more, otd_i128 *sum)
{
	return otd_i128_add(sum, total, more) == OTD_OK && (!t->cap || *sum <= t->cap);
}

struct address {
	char *to;
	bool there;
	int64_t *created_ms; /* or NULL */
};

static otd_rc take_address(void *ctx, const struct otd_value *c, size_t n)
{
	struct address *a = ctx;
	(void)n;
	a->there = true;
	if (a->created_ms)
		*a->created_ms = c[1].i;
	return otd_pay_take_text(a->to, OTD_PAY_ADDRESS, &c[0]) ? OTD_OK : OTD_E_CORRUPT;
}

/* The address of an account of the pool that is not held; "" where it is not such a one. */
static otd_rc address_of(struct otd_db *db, uint64_t pool_id, uint64_t account,
			 char address[OTD_PAY_ADDRESS], int64_t *created_ms, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT, OTD_VALUE_INT};
	struct address a = {address, false, created_ms};
	struct otd_value v[] = {OTD_INT(account), OTD_INT(pool_id)};
	address[0] = '\0';
	return otd_db_query(
		db,
		"SELECT a.address, a.created_ms FROM accounts a LEFT JOIN payment_holds h"
		" ON h.account_id = a.id WHERE a.id = ? AND a.pool_id = ?"
		" AND h.account_id IS NULL",
		v, 2, wants, 2, take_address, &a, err);
}

static otd_rc paid_of(struct otd_db *db, struct otd_pay_part *part, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_INT(OTD_ACC_MINER), OTD_INT(part->owner),
				      OTD_INT(OTD_PAY_PAID)};
	return otd_db_int(db,
			  "SELECT coalesce(max(p.changed_ms), 0) FROM payment_parts q"
			  " JOIN payments p ON p.id = q.payment_id"
			  " WHERE q.account_kind = ? AND q.owner = ? AND p.state = ?",
			  v, 3, &part->paid_ms, err);
}

struct plan {
	struct otd_pay_rows parts;
	otd_i128 total;
};

static otd_rc plan_miners(struct otd_db *db, const struct otd_pay_terms *t, struct plan *p,
			  struct otd_err *err)
{
	struct taking all = {{.size = sizeof(struct due)}, t->minimum};
	otd_rc rc = read_due(db, t, &all, err);
	const struct due *due = all.rows.items;
	for (size_t i = 0; !rc && i < all.rows.n && p->parts.n < t->max_parts; i++) {
		otd_i128 sum;
		if (!fits(t, p->total, due[i].amount, &sum))
			continue;
		struct otd_pay_part *part = otd_pay_room(&p->parts);
		if (!part) {
			rc = otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
			break;
		}
		part->kind = OTD_ACC_MINER;
		part->owner = due[i].account;
		part->amount = due[i].amount;
		p->total = sum;
		rc = address_of(db, t->pool_id, due[i].account, part->address, &part->known_ms,
				err);
		if (!rc && t->with_paid)
			rc = paid_of(db, part, err);
	}
	free(all.rows.items);
	return rc;
}

/* --- the pool's fee --- */

struct own {
	otd_i128 fee;         /* on the account */
	otd_i128 funds, risk; /* what those two get back of it first */
	otd_i128 left;
};

static otd_i128 covered(otd_i128 balance, otd_i128 *left)
{
	otd_i128 by = 0;
	if (balance < 0 && *left > 0) {
		/* The lowest balance has no negative. */
		by = balance < -*left ? *left : -balance;
		*left -= by;
	}
	return by;
}

static otd_rc read_own(struct otd_db *db, const struct otd_pay_terms *t, struct own *o,
		       struct otd_err *err)
{
	otd_i128 funds = 0, risk = 0;
	otd_rc rc = otd_ledger_balance(db, OTD_ACC_FEE, t->pool_id, t->asset, &o->fee, err);
	if (!rc)
		rc = otd_ledger_balance(db, OTD_ACC_FUNDS, t->pool_id, t->asset, &funds, err);
	if (!rc)
		rc = otd_ledger_balance(db, OTD_ACC_RISK, t->pool_id, t->asset, &risk, err);
	o->left = o->fee;
	o->funds = covered(funds, &o->left);
	o->risk = covered(risk, &o->left);
	return rc;
}

/* By largest remainder, ties by order. */
static otd_rc split(otd_i128 *out, const struct otd_pay_terms *t, otd_i128 amount,
		    struct otd_err *err)
{
	otd_u128 *rest = calloc(t->n_fee, sizeof(*rest));
	otd_i128 left = amount;
	otd_rc rc = rest ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
	for (size_t i = 0; !rc && i < t->n_fee; i++) {
		rc = otd_i128_muldiv(&out[i], &rest[i], amount, t->fee[i].share_ppm, PPM);
		left -= rc ? 0 : out[i];
	}
	while (!rc && left > 0) {
		size_t most = 0;
		for (size_t i = 1; i < t->n_fee; i++) {
			if (rest[i] > rest[most])
				most = i;
		}
		out[most]++;
		rest[most] = 0;
		left--;
	}
	free(rest);
	return rc;
}

static bool fee_is_due(const struct otd_pay_terms *t, const struct plan *p, const otd_i128 *amount,
		       otd_i128 whole)
{
	otd_i128 sum;
	size_t n = 0;
	for (size_t i = 0; i < t->n_fee; i++) {
		if (t->fee[i].share_ppm && amount[i] < t->minimum)
			return false;
		n += t->fee[i].share_ppm != 0;
	}
	return p->parts.n + n <= t->max_parts && fits(t, p->total, whole, &sum);
}

static otd_rc plan_fee(struct otd_db *db, const struct otd_pay_terms *t, struct plan *p,
		       struct otd_err *err)
{
	struct own own = {0};
	otd_rc rc = read_own(db, t, &own, err);
	if (rc || !t->n_fee || own.left < t->minimum)
		return rc;
	otd_i128 *amount = calloc(t->n_fee, sizeof(*amount));
	if (!amount)
		return otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
	rc = split(amount, t, own.left, err);
	bool due = !rc && fee_is_due(t, p, amount, own.left);
	for (size_t i = 0; due && i < t->n_fee; i++) {
		if (!t->fee[i].share_ppm)
			continue;
		struct otd_pay_part *part = otd_pay_room(&p->parts);
		if (!part) {
			rc = otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
			break;
		}
		part->kind = OTD_ACC_FEE;
		part->owner = t->pool_id;
		part->amount = amount[i];
		memcpy(part->address, t->fee[i].address, strlen(t->fee[i].address) + 1);
	}
	free(amount);
	return rc;
}

otd_rc otd_pay_plan(struct otd_db *db, const struct otd_pay_terms *t, struct otd_pay_part **parts,
		    size_t *n, struct otd_err *err)
{
	struct plan p = {.parts = {.size = sizeof(struct otd_pay_part)}};
	otd_rc rc = check_terms(t, err);
	*parts = NULL;
	*n = 0;
	if (!rc)
		rc = plan_miners(db, t, &p, err);
	if (!rc)
		rc = plan_fee(db, t, &p, err);
	if (rc) {
		free(p.parts.items);
		return rc;
	}
	*parts = p.parts.items;
	*n = p.parts.n;
	return OTD_OK;
}

/* --- reserving --- */

static otd_rc not_due(const struct otd_pay_part *p, const char *why, struct otd_err *err)
{
	return otd_fail(err, OTD_E_INVALID, "payments: %s %llu is not due: %s; plan again",
			p->kind == OTD_ACC_FEE ? "the fee of pool" : "account",
			(unsigned long long)p->owner, why);
}

static bool is_recipient(const struct otd_pay_terms *t, const char *address)
{
	for (size_t i = 0; i < t->n_fee; i++) {
		if (strcmp(t->fee[i].address, address) == 0)
			return true;
	}
	return false;
}

static otd_rc check_part(struct otd_db *db, const struct otd_pay_terms *t,
			 const struct otd_pay_part *p, struct otd_err *err)
{
	char address[OTD_PAY_ADDRESS];
	otd_rc rc = OTD_OK;
	if (p->amount < t->minimum)
		return not_due(p, "less than the minimum", err);
	if (p->kind == OTD_ACC_FEE)
		return p->owner == t->pool_id && is_recipient(t, p->address)
			       ? OTD_OK
			       : not_due(p, "not a recipient of this pool's fee", err);
	if (p->kind != OTD_ACC_MINER)
		return not_due(p, "neither a miner's account nor the fee", err);
	rc = address_of(db, t->pool_id, p->owner, address, NULL, err);
	if (!rc && !address[0])
		rc = not_due(p, "not an account of this pool, or on hold", err);
	if (!rc && strcmp(address, p->address) != 0)
		rc = not_due(p, "the address is another one", err);
	return rc;
}

static int by_owner(const void *a, const void *b)
{
	const struct otd_entry *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->owner < y->owner ? -1 : x->owner > y->owner;
}

/* *e: one entry for each owner of parts; *total of all. */
static otd_rc gather(const struct otd_pay_terms *t, const struct otd_pay_part *parts, size_t n,
		     struct otd_entry *e, size_t *n_owners, otd_i128 *total, struct otd_err *err)
{
	size_t last = 0;
	*total = 0;
	for (size_t i = 0; i < n; i++) {
		if (!fits(t, *total, parts[i].amount, total))
			return otd_fail(err, OTD_E_INVALID,
					"payments: the parts are more than the cap; plan again");
		e[i] = (struct otd_entry){parts[i].kind, parts[i].owner, parts[i].amount};
	}
	qsort(e, n, sizeof(*e), by_owner);
	for (size_t i = 1; i < n; i++) {
		if (by_owner(&e[last], &e[i]) != 0)
			e[++last] = e[i];
		else if (e[i].kind == OTD_ACC_MINER)
			return otd_fail(err, OTD_E_INVALID,
					"payments: account %llu is named twice; plan again",
					(unsigned long long)e[i].owner);
		else
			e[last].amount += e[i].amount; /* at most the total, which fits */
	}
	*n_owners = last + 1;
	return OTD_OK;
}

/* e[0..n): owners; room for 2 * n + 3. The amounts leave their accounts, and what the pool's own
   accounts are short of comes from its fee. */
static otd_rc post_reserve(struct otd_db *db, const struct otd_pay_terms *t, uint64_t id,
			   struct otd_entry *e, size_t n, int64_t time_ms, struct otd_err *err)
{
	struct own own = {0};
	char key[OTD_PAY_KEY], memo[48];
	size_t all = 2 * n;
	otd_rc rc = read_own(db, t, &own, err);
	if (rc)
		return rc;
	for (size_t i = n; i-- > 0;) {
		const struct otd_entry from = e[i];
		bool fee = from.kind == OTD_ACC_FEE;
		if (fee && from.amount > own.left)
			return otd_fail(err, OTD_E_INVALID,
					"payments: the pool's fee has less to be paid; plan again");
		e[2 * i] = (struct otd_entry){from.kind, from.owner, -from.amount};
		e[2 * i + 1] = (struct otd_entry){fee ? OTD_ACC_FEE_PAYING : OTD_ACC_PAYING,
						  from.owner, from.amount};
	}
	if (own.funds)
		e[all++] = (struct otd_entry){OTD_ACC_FUNDS, t->pool_id, own.funds};
	if (own.risk)
		e[all++] = (struct otd_entry){OTD_ACC_RISK, t->pool_id, own.risk};
	if (own.funds || own.risk)
		e[all++] = (struct otd_entry){OTD_ACC_FEE, t->pool_id, -(own.funds + own.risk)};
	otd_pay_key_reserve(key, id);
	(void)snprintf(memo, sizeof(memo), "payment %llu", (unsigned long long)id);
	const struct otd_posting p = {key, t->asset, memo, time_ms, e, all};
	return otd_ledger_post(db, &p, err);
}

static otd_rc check_pool(struct otd_db *db, const struct otd_pay_terms *t, struct otd_err *err)
{
	struct otd_pay_pool pool;
	struct otd_value v[] = {OTD_INT(t->pool_id), OTD_TEXT(t->asset)};
	int64_t there;
	otd_rc rc = otd_db_int(db, "SELECT id FROM pools WHERE id = ? AND asset = ?", v, 2, &there,
			       err);
	if (rc == OTD_E_NOT_FOUND)
		return otd_fail(err, OTD_E_INVALID, "payments: there is no pool %llu of %s",
				(unsigned long long)t->pool_id, t->asset);
	if (!rc)
		rc = otd_pay_pool(db, t->pool_id, &pool, err);
	if (!rc && (!pool.on || pool.restored))
		rc = otd_fail(err, OTD_E_REFUSED, "payments: those of pool %llu are off",
			      (unsigned long long)t->pool_id);
	return rc;
}

/* OTD_E_EXISTS: an earlier call of the same time. */
static otd_rc check_again(struct otd_db *db, const struct otd_pay_terms *t, int64_t time_ms,
			  uint64_t *id, struct otd_err *err)
{
	struct otd_value v[] = {OTD_INT(t->pool_id), OTD_INT(time_ms)};
	int64_t there = 0;
	otd_rc rc = otd_db_int(db, "SELECT id FROM payments WHERE pool_id = ? AND created_ms = ?",
			       v, 2, &there, err);
	if (rc)
		return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
	*id = (uint64_t)there;
	return otd_fail(err, OTD_E_EXISTS, "payment %lld was reserved by this call already",
			(long long)there);
}

static otd_rc write_payment(struct otd_db *db, struct otd_payment *p, struct otd_err *err)
{
	char text[OTD_PAY_TEXT];
	int64_t id = 0;
	struct otd_value v[] = {OTD_INT(p->pool_id),   OTD_TEXT(p->asset),
				OTD_INT(p->state),     OTD_INT(p->fee_by_miners),
				OTD_WIDE(p->total),    OTD_INT(p->created_ms),
				OTD_INT(p->changed_ms)};
	otd_rc rc = otd_db_exec(db,
				"INSERT INTO payments(pool_id, asset, state, fee_by_miners, total,"
				" created_ms, changed_ms) VALUES(?,?,?,?,?,?,?)",
				v, 7, NULL, &id, err);
	p->id = (uint64_t)id;
	for (size_t i = 0; !rc && i < p->n_parts; i++) {
		const struct otd_pay_part *part = &p->parts[i];
		struct otd_value w[] = {OTD_INT(id),
					OTD_INT(i),
					OTD_INT(part->kind),
					OTD_INT(part->owner),
					OTD_TEXT(part->address),
					OTD_WIDE(part->amount)};
		rc = otd_db_exec(db,
				 "INSERT INTO payment_parts(payment_id, n, account_kind, owner,"
				 " address, amount) VALUES(?,?,?,?,?,?)",
				 w, 6, NULL, NULL, err);
	}
	if (rc)
		return rc;
	otd_pay_reserve_text(text, p);
	return otd_pay_audit(db, p->created_ms, "payment.reserve", err, "%s", text);
}

otd_rc otd_pay_reserve(struct otd_db *db, const struct otd_pay_terms *t,
		       const struct otd_pay_part *parts, size_t n, int64_t time_ms, uint64_t *id,
		       struct otd_err *err)
{
	struct otd_payment p = {.pool_id = t->pool_id,
				.state = OTD_PAY_RESERVED,
				.fee_by_miners = t->fee_by_miners,
				.created_ms = time_ms,
				.changed_ms = time_ms,
				.n_parts = n};
	struct otd_entry *e = NULL;
	size_t owners = 0;
	otd_rc rc = check_terms(t, err);
	*id = 0;
	if (!rc)
		rc = check_again(db, t, time_ms, id, err);
	if (!rc)
		rc = check_pool(db, t, err);
	if (!rc && (!n || n > t->max_parts))
		rc = otd_fail(err, OTD_E_INVALID, "payments: %zu parts, 1 to %zu are allowed", n,
			      t->max_parts);
	for (size_t i = 0; !rc && i < n; i++)
		rc = check_part(db, t, &parts[i], err);
	if (rc)
		return rc;
	memcpy(p.asset, t->asset, strlen(t->asset) + 1);
	p.parts = calloc(n, sizeof(*p.parts));
	e = calloc(2 * n + 3, sizeof(*e));
	if (!p.parts || !e) {
		rc = otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
		goto out;
	}
	memcpy(p.parts, parts, n * sizeof(*parts));
	rc = gather(t, parts, n, e, &owners, &p.total, err);
	if (!rc)
		rc = write_payment(db, &p, err);
	if (!rc)
		rc = post_reserve(db, t, p.id, e, owners, time_ms, err);
	if (!rc)
		*id = p.id;
out:
	free(e);
	otd_payment_finish(&p);
	return rc;
}
