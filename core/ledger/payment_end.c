/* How a payment ends, or begins anew: what is booked, and what is taken back. */
#include "base/err.h"
#include "base/text.h"
#include "ledger/payment_own.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- paid --- */

static int by_owner(const void *a, const void *b)
{
	const struct otd_entry *x = a, *y = b;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->owner < y->owner ? -1 : x->owner > y->owner;
}

/* What leaves the reserves: one entry an owner. *e has room for a part each. */
static size_t reserves(struct otd_entry *e, const struct otd_payment *p)
{
	size_t last = 0;
	for (size_t i = 0; i < p->n_parts; i++) {
		bool fee = p->parts[i].kind == OTD_ACC_FEE;
		e[i] = (struct otd_entry){fee ? OTD_ACC_FEE_PAYING : OTD_ACC_PAYING,
					  p->parts[i].owner, -p->parts[i].amount};
	}
	if (p->n_parts > 1)
		qsort(e, p->n_parts, sizeof(*e), by_owner);
	for (size_t i = 1; i < p->n_parts; i++) {
		if (by_owner(&e[last], &e[i]) != 0)
			e[++last] = e[i];
		else
			e[last].amount += e[i].amount; /* at most the total, which fits */
	}
	return last + 1;
}

static otd_rc post(struct otd_db *db, const struct otd_payment *p, const char *key,
		   const struct otd_entry *e, size_t n, int64_t time_ms, struct otd_err *err)
{
	char memo[48];
	(void)snprintf(memo, sizeof(memo), "payment %llu", (unsigned long long)p->id);
	const struct otd_posting posting = {key, p->asset, memo, time_ms, e, n};
	return otd_ledger_post(db, &posting, err);
}

/* p has what the version sends. */
static otd_rc post_paid(struct otd_db *db, const struct otd_payment *p, otd_i128 fee,
			int64_t time_ms, struct otd_err *err)
{
	struct otd_entry *e = calloc(p->n_parts + 4, sizeof(*e));
	char key[OTD_PAY_KEY];
	otd_i128 sent = 0, has = 0;
	size_t n = 0;
	otd_rc rc =
		e && p->n_parts ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
	if (!rc)
		rc = otd_pay_sum_sent(&sent, p->parts, p->n_parts);
	if (!rc && !p->fee_by_miners)
		rc = otd_ledger_balance(db, OTD_ACC_FEE, p->pool_id, p->asset, &has, err);
	if (rc)
		goto out;
	n = reserves(e, p);
	e[n++] = (struct otd_entry){OTD_ACC_PAID, p->pool_id, sent};
	if (fee)
		e[n++] = (struct otd_entry){OTD_ACC_NETWORK, p->pool_id, fee};
	if (!p->fee_by_miners) {
		otd_i128 own = has < fee ? has : fee;
		if (own > 0)
			e[n++] = (struct otd_entry){OTD_ACC_FEE, p->pool_id, -own};
		else
			own = 0;
		if (fee > own)
			e[n++] = (struct otd_entry){OTD_ACC_FUNDS, p->pool_id, -(fee - own)};
	}
	otd_pay_key_paid(key, p->id, p->generation);
	rc = post(db, p, key, e, n, time_ms, err);
	if (rc == OTD_E_EXISTS)
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "payment %llu: %s is posted already, though it is %s; run 'otedama "
			      "ledger verify'",
			      (unsigned long long)p->id, key, otd_pay_state_name(p->state));
out:
	free(e);
	return rc;
}

static bool said(const char *text)
{
	return text && text[0];
}

/* Whether a payment in this state can be paid by that version. */
static otd_rc check_paid(const struct otd_payment *p, uint32_t generation, uint32_t version,
			 const char *proof, struct otd_err *err)
{
	bool signed_now = p->state == OTD_PAY_SIGNED || p->state == OTD_PAY_SENT;
	if (p->state == OTD_PAY_PAID && p->paid_generation == generation &&
	    p->paid_version == version)
		return otd_fail(err, OTD_E_EXISTS, "payment %llu: is paid already",
				(unsigned long long)p->id);
	if (p->state >= OTD_PAY_PAID || generation > p->generation ||
	    (generation == p->generation && !signed_now))
		return otd_pay_stale(p, "with the network in the generation given", err);
	if (generation < p->generation && signed_now && !said(proof))
		return otd_fail(err, OTD_E_INVALID,
				"payment %llu: a transaction that was given up (generation %u) is "
				"in the chain, and one of generation %u may come too: both pay the "
				"same; a person must see which it is",
				(unsigned long long)p->id, generation, p->generation);
	return OTD_OK;
}

otd_rc otd_pay_paid(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		    uint32_t confirmations, uint64_t height, const char *proof, int64_t time_ms,
		    struct otd_err *err)
{
	struct otd_payment was = {0}, now;
	struct otd_pay_tx tx;
	char txid[65], fee[OTD_I128_TEXT];
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (!rc)
		rc = check_paid(&was, generation, version, proof, err);
	if (!rc && (!confirmations || !height || height > INT64_MAX))
		rc = otd_fail(err, OTD_E_INVALID, "payment %llu: paid, but in no block",
			      (unsigned long long)id);
	if (!rc)
		rc = otd_pay_load_tx(db, id, generation, version, &tx, err);
	if (!rc)
		rc = otd_pay_load_parts(db, &was, generation, version, err);
	if (!rc)
		rc = post_paid(db, &was, tx.fee, time_ms, err);
	if (rc)
		goto out;
	now = was;
	now.state = OTD_PAY_PAID;
	now.held = false;
	now.why[0] = '\0';
	now.paid_generation = generation;
	now.paid_version = version;
	now.confirmations = confirmations;
	now.height = height;
	now.conflict_height = 0;
	now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	if (rc)
		goto out;
	otd_hex_encode_reverse(txid, tx.txid, 32);
	rc = otd_pay_audit(db, time_ms, "payment.paid", err,
			   "%llu generation=%u version=%u txid=%s fee=%s height=%llu "
			   "confirmations=%u proof=%s",
			   (unsigned long long)id, generation, version, txid,
			   otd_format_i128(fee, tx.fee), (unsigned long long)height, confirmations,
			   proof ? proof : "");
out:
	otd_payment_finish(&was);
	return rc;
}

otd_rc otd_pay_lost(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		    int64_t time_ms, struct otd_err *err)
{
	struct otd_payment was = {0}, now;
	struct otd_pay_tx tx;
	char key[OTD_PAY_KEY], txid[65], all[OTD_I128_TEXT];
	otd_i128 sent = 0, sum = 0;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (!rc && !(was.state == OTD_PAY_CANCELLED ||
		     (was.state == OTD_PAY_PAID && was.paid_generation != generation)))
		rc = otd_pay_stale(&was, "cancelled, or paid by another generation", err);
	if (!rc)
		rc = otd_pay_load_tx(db, id, generation, version, &tx, err);
	if (!rc)
		rc = otd_pay_load_parts(db, &was, generation, version, err);
	if (!rc)
		rc = otd_pay_sum_sent(&sent, was.parts, was.n_parts);
	if (!rc)
		rc = otd_i128_add(&sum, sent, tx.fee);
	if (rc)
		goto out;
	const struct otd_entry e[] = {{OTD_ACC_RISK, was.pool_id, -sum},
				      {OTD_ACC_PAID, was.pool_id, sent},
				      {OTD_ACC_NETWORK, was.pool_id, tx.fee}};
	otd_pay_key_lost(key, id, generation);
	otd_hex_encode_reverse(txid, tx.txid, 32);
	rc = post(db, &was, key, e, tx.fee ? 3 : 2, time_ms, err);
	if (rc)
		goto out;
	now = was;
	(void)snprintf(now.why, sizeof(now.why),
		       "transaction %s came too: its %s base units are the pool's loss", txid,
		       otd_format_i128(all, sum));
	now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	if (!rc)
		rc = otd_pay_audit(db, time_ms, "payment.lost", err,
				   "%llu generation=%u version=%u txid=%s lost=%s",
				   (unsigned long long)id, generation, version, txid, all);
out:
	otd_payment_finish(&was);
	return rc;
}

/* --- back --- */

/* The posting that paid it, and that put the amounts aside. */
static otd_rc take_back(struct otd_db *db, const struct otd_payment *p, bool reserve,
			const char *memo, int64_t time_ms, struct otd_err *err)
{
	char key[OTD_PAY_KEY];
	otd_rc rc = OTD_OK;
	if (p->state == OTD_PAY_PAID) {
		otd_pay_key_paid(key, p->id, p->generation);
		rc = otd_ledger_reverse(db, key, memo, time_ms, err);
	}
	if (!rc && reserve) {
		otd_pay_key_reserve(key, p->id);
		rc = otd_ledger_reverse(db, key, memo, time_ms, err);
	}
	if (rc == OTD_E_EXISTS || rc == OTD_E_NOT_FOUND)
		rc = otd_fail(
			err, OTD_E_CORRUPT,
			"payment %llu: is %s, but what it has posted is reversed or not there; "
			"run 'otedama ledger verify'",
			(unsigned long long)p->id, otd_pay_state_name(p->state));
	return rc;
}

static bool may_come(const struct otd_payment *p)
{
	return p->state == OTD_PAY_SIGNED || p->state == OTD_PAY_SENT || otd_pay_fallen(p);
}

/* What has spent its coin may be a later version of it, made by a pool that was lost after the backup. */
static otd_rc check_known(struct otd_db *db, const struct otd_payment *p, struct otd_err *err)
{
	bool restored = false;
	otd_rc rc = otd_pay_was_restored(db, p, &restored, err);
	if (rc || !restored)
		return rc;
	return otd_fail(err, OTD_E_REFUSED,
			"payment %llu: its coin was spent by a transaction that is not known here, "
			"since this database comes from a backup; it may be the payment itself: "
			"look in the wallet's own list, then 'resolve %llu --paid TXID' or "
			"'resolve %llu --unpaid'",
			(unsigned long long)p->id, (unsigned long long)p->id,
			(unsigned long long)p->id);
}

otd_rc otd_pay_remake(struct otd_db *db, uint64_t id, uint32_t generation, const char *proof,
		      int64_t time_ms, struct otd_err *err)
{
	struct otd_payment was, now;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (rc)
		return rc;
	if (was.state == OTD_PAY_RESERVED && was.generation == generation + 1)
		return otd_fail(err, OTD_E_EXISTS, "payment %llu: is made anew already",
				(unsigned long long)id);
	if (was.generation != generation || !may_come(&was) ||
	    (was.state == OTD_PAY_PAID && was.paid_generation != generation))
		return otd_pay_stale(&was, "with the network in the generation given", err);
	if (was.held)
		return otd_fail(err, OTD_E_REFUSED, "payment %llu: is on hold: %s",
				(unsigned long long)id, was.why);
	if (!said(proof) || !was.conflict_height || was.height)
		return otd_fail(err, OTD_E_INVALID,
				"payment %llu: the chain has not spent a coin of it otherwise, so "
				"that its transaction may still come: it is not made anew",
				(unsigned long long)id);
	rc = check_known(db, &was, err);
	if (rc == OTD_OK)
		rc = take_back(db, &was, false, "payment has fallen out of the chain", time_ms,
			       err);
	if (rc)
		return rc;
	now = was;
	now.state = OTD_PAY_RESERVED;
	now.generation++;
	now.version = now.paid_generation = now.paid_version = 0;
	now.confirmations = 0;
	now.height = now.conflict_height = 0;
	now.why[0] = '\0';
	now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms, "payment.remake", err,
				  "%llu generation=%u version=%u conflict=%llu proof=%s",
				  (unsigned long long)id, was.generation, was.version,
				  (unsigned long long)was.conflict_height, proof);
}

otd_rc otd_pay_cancel(struct otd_db *db, uint64_t id, const char *reason, const char *proof,
		      int64_t time_ms, struct otd_err *err)
{
	struct otd_payment was, now;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (rc)
		return rc;
	if (was.state == OTD_PAY_CANCELLED)
		return otd_fail(err, OTD_E_EXISTS, "payment %llu: is cancelled already",
				(unsigned long long)id);
	if (was.state == OTD_PAY_PAID && !otd_pay_fallen(&was))
		return otd_pay_stale(&was, "unpaid", err);
	if (may_come(&was) && (!said(proof) || was.height))
		return otd_fail(err, OTD_E_INVALID,
				"payment %llu: its transaction may be with the network, or is in a "
				"block: it is not cancelled without proof that it cannot come",
				(unsigned long long)id);
	rc = take_back(db, &was, true, "payment is cancelled", time_ms, err);
	if (rc)
		return rc;
	now = was;
	now.state = OTD_PAY_CANCELLED;
	now.held = false;
	now.paid_generation = now.paid_version = 0;
	now.confirmations = 0;
	otd_pay_line(now.why, sizeof(now.why), reason ? reason : "");
	now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms, "payment.cancel", err,
				  "%llu generation=%u version=%u reason=%.300s proof=%.300s",
				  (unsigned long long)id, was.generation, was.version,
				  reason ? reason : "", proof ? proof : "");
}
