/* From coins chosen to a transaction that the network has. */
#include "base/err.h"
#include "base/text.h"
#include "ledger/payment_own.h"
#include <stdlib.h>
#include <string.h>

#define RAW_MAX (4u << 20)

static otd_rc not_held(const struct otd_payment *p, struct otd_err *err)
{
	return p->held ? otd_fail(err, OTD_E_REFUSED, "payment %llu: is on hold: %s",
				  (unsigned long long)p->id, p->why)
		       : OTD_OK;
}

/* --- coins --- */

/* OTD_E_EXISTS: another payment holds it. */
static otd_rc check_coin(struct otd_db *db, uint64_t id, const struct otd_pay_coin *c,
			 struct otd_err *err)
{
	struct otd_value v[] = {OTD_BLOB(c->txid, 32), OTD_INT(c->index), OTD_INT(id)};
	char txid[65];
	int64_t other = 0;
	if (c->value <= 0 || c->script_len > sizeof(c->script))
		return otd_fail(err, OTD_E_INVALID,
				"payment %llu: a coin without a value, or with too long a script",
				(unsigned long long)id);
	otd_rc rc = otd_db_int(db,
			       "SELECT p.id FROM payment_coins c JOIN payments p"
			       " ON p.id = c.payment_id AND p.generation = c.generation"
			       " WHERE c.txid = ? AND c.idx = ? AND p.id <> ?"
			       " AND " OTD_PAY_HOLDS_COINS,
			       v, 3, &other, err);
	if (rc)
		return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
	otd_hex_encode_reverse(txid, c->txid, 32);
	return otd_fail(err, OTD_E_EXISTS, "payment %llu: coin %s:%u is an input of payment %lld",
			(unsigned long long)id, txid, c->index, (long long)other);
}

static int by_coin(const void *a, const void *b)
{
	const struct otd_pay_coin *x = *(const struct otd_pay_coin *const *)a,
				  *y = *(const struct otd_pay_coin *const *)b;
	int by = memcmp(x->txid, y->txid, 32);
	return by ? by : x->index < y->index ? -1 : x->index > y->index;
}

/* That no two of both lists are the same. */
static otd_rc check_apart(const struct otd_payment *p, const struct otd_pay_coin *more,
			  size_t n_more, struct otd_err *err)
{
	size_t n = p->n_coins + n_more;
	const struct otd_pay_coin **all = calloc(n ? n : 1, sizeof(*all));
	otd_rc rc = OTD_OK;
	if (!all)
		return otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
	for (size_t i = 0; i < n; i++)
		all[i] = i < p->n_coins ? &p->coins[i] : &more[i - p->n_coins];
	qsort(all, n, sizeof(const struct otd_pay_coin *), by_coin);
	for (size_t i = 1; !rc && i < n; i++) {
		if (by_coin(&all[i - 1], &all[i]) == 0)
			rc = otd_fail(err, OTD_E_INVALID, "payment %llu: a coin is there twice",
				      (unsigned long long)p->id);
	}
	free(all);
	return rc;
}

/* Behind those that p has. */
static otd_rc add_coins(struct otd_db *db, const struct otd_payment *p, uint32_t since,
			const struct otd_pay_coin *coins, size_t n, struct otd_err *err)
{
	otd_rc rc = check_apart(p, coins, n, err);
	for (size_t i = 0; !rc && i < n; i++)
		rc = check_coin(db, p->id, &coins[i], err);
	for (size_t i = 0; !rc && i < n; i++) {
		const struct otd_pay_coin *c = &coins[i];
		struct otd_value v[] = {
			OTD_INT(p->id),          OTD_INT(p->generation),
			OTD_INT(p->n_coins + i), OTD_INT(since),
			OTD_BLOB(c->txid, 32),   OTD_INT(c->index),
			OTD_WIDE(c->value),      OTD_BLOB(c->script, c->script_len)};
		rc = otd_db_exec(db,
				 "INSERT INTO payment_coins(payment_id, generation, n, since, txid,"
				 " idx, value, script) VALUES(?,?,?,?,?,?,?,?)",
				 v, 8, NULL, NULL, err);
	}
	return rc;
}

otd_rc otd_pay_fund(struct otd_db *db, uint64_t id, uint32_t generation,
		    const struct otd_pay_coin *coins, size_t n, int64_t time_ms,
		    struct otd_err *err)
{
	struct otd_payment was, now;
	otd_i128 sum = 0;
	char text[OTD_I128_TEXT];
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (rc)
		return rc;
	if ((was.state != OTD_PAY_RESERVED && was.state != OTD_PAY_FUNDED) ||
	    was.generation != generation)
		return otd_pay_stale(&was, "reserved or funded in the generation given", err);
	rc = not_held(&was, err);
	if (rc)
		return rc;
	if (!n || otd_pay_sum_coins(&sum, coins, n, UINT32_MAX) || sum < 1)
		return otd_fail(err, OTD_E_INVALID, "payment %llu: no coins, or their sum is wrong",
				(unsigned long long)id);
	struct otd_value v[] = {OTD_INT(id), OTD_INT(generation)};
	rc = otd_db_exec(db, "DELETE FROM payment_coins WHERE payment_id = ? AND generation = ?", v,
			 2, NULL, NULL, err);
	if (!rc)
		rc = add_coins(db, &was, 1, coins, n, err);
	if (rc)
		return rc;
	now = was;
	now.state = OTD_PAY_FUNDED;
	now.why[0] = '\0';
	now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms, "payment.fund", err,
				  "%llu generation=%u coins=%zu value=%s", (unsigned long long)id,
				  generation, n, otd_format_i128(text, sum));
}

/* --- signed --- */

/* Which step this is: OTD_OK, OTD_E_EXISTS (it has happened), OTD_E_STALE. */
static otd_rc check_turn(struct otd_db *db, const struct otd_payment *p,
			 const struct otd_pay_tx *tx, struct otd_err *err)
{
	uint64_t id = 0;
	uint32_t generation = 0, version = 0;
	otd_rc rc = otd_pay_by_txid(db, tx->txid, &id, &generation, &version, err);
	if (!rc && id == p->id && generation == tx->generation && version == tx->version)
		return otd_fail(err, OTD_E_EXISTS, "payment %llu: version %u is signed already",
				(unsigned long long)id, version);
	if (rc && rc != OTD_E_NOT_FOUND)
		return rc;
	bool first = p->state == OTD_PAY_FUNDED && !p->version;
	bool further = p->state == OTD_PAY_SIGNED || p->state == OTD_PAY_SENT;
	if ((!first && !further) || tx->generation != p->generation ||
	    tx->version != p->version + 1)
		return otd_pay_stale(p,
				     first ? "before version 1 of this generation"
					   : "funded, or one version behind this one",
				     err);
	if (!rc)
		return otd_fail(err, OTD_E_INVALID,
				"payment %llu: its transaction is version %u of generation %u of "
				"payment %llu already",
				(unsigned long long)p->id, version, generation,
				(unsigned long long)id);
	return not_held(p, err);
}

static otd_rc bad_tx(const struct otd_payment *p, const char *why, struct otd_err *err)
{
	return otd_fail(err, OTD_E_INVALID, "payment %llu: the transaction is not right: %s",
			(unsigned long long)p->id, why);
}

/* p has the amounts in sent already. coins: the sum of all inputs. */
static otd_rc check_sums(const struct otd_payment *p, const struct otd_pay_tx *tx, otd_i128 coins,
			 struct otd_err *err)
{
	otd_i128 out = 0, kept = 0;
	for (size_t i = 0; i < p->n_parts; i++) {
		const struct otd_pay_part *part = &p->parts[i];
		if (part->sent < 1 || part->sent > part->amount)
			return bad_tx(p, "a part gets nothing, or more than its amount", err);
		kept += part->amount - part->sent; /* at most the total, which fits */
	}
	if (tx->fee < 0 || tx->change < 0)
		return bad_tx(p, "its fee or change is negative", err);
	if (otd_pay_sum_sent(&out, p->parts, p->n_parts) || otd_i128_add(&out, out, tx->fee) ||
	    otd_i128_add(&out, out, tx->change) || out != coins)
		return bad_tx(p, "what is sent, change and fee are not the sum of its coins", err);
	if (kept != (p->fee_by_miners ? tx->fee : 0))
		return bad_tx(
			p,
			p->fee_by_miners
				? "what the parts get less is not the network fee"
				: "a part gets less than its amount, and the pool pays the fee",
			err);
	return OTD_OK;
}

static otd_rc check_tx(struct otd_db *db, struct otd_payment *p, const struct otd_pay_tx *tx,
		       const struct otd_pay_coin *more, size_t n_more, struct otd_err *err)
{
	struct otd_pay_tx before;
	otd_i128 coins, added;
	otd_rc rc = OTD_OK;
	if (!tx->raw || !tx->raw_len || tx->raw_len > RAW_MAX)
		return bad_tx(p, "no bytes, or more than 4 MiB", err);
	if (p->version) {
		rc = otd_pay_load_tx(db, p->id, p->generation, p->version, &before, err);
		if (!rc && tx->fee <= before.fee)
			rc = bad_tx(p, "a further version pays a higher fee", err);
	}
	if (rc)
		return rc;
	if (otd_pay_sum_coins(&coins, p->coins, p->n_coins, UINT32_MAX) ||
	    otd_pay_sum_coins(&added, more, n_more, UINT32_MAX) ||
	    otd_i128_add(&coins, coins, added))
		return bad_tx(p, "the sum of its coins does not fit", err);
	return check_sums(p, tx, coins, err);
}

static otd_rc write_tx(struct otd_db *db, const struct otd_payment *p, const struct otd_pay_tx *tx,
		       struct otd_err *err)
{
	struct otd_value v[] = {OTD_INT(p->id),
				OTD_INT(tx->generation),
				OTD_INT(tx->version),
				OTD_BLOB(tx->txid, 32),
				OTD_BLOB(tx->raw, tx->raw_len),
				OTD_WIDE(tx->fee),
				OTD_WIDE(tx->change),
				OTD_INT(tx->vsize),
				OTD_INT(tx->signed_ms)};
	otd_rc rc =
		otd_db_exec(db,
			    "INSERT INTO payment_txs(payment_id, generation, version, txid, raw,"
			    " fee, change, vsize, signed_ms) VALUES(?,?,?,?,?,?,?,?,?)",
			    v, 9, NULL, NULL, err);
	for (size_t i = 0; !rc && p->fee_by_miners && i < p->n_parts; i++) {
		struct otd_value s[] = {OTD_INT(p->id), OTD_INT(tx->generation),
					OTD_INT(tx->version), OTD_INT(i),
					OTD_WIDE(p->parts[i].sent)};
		rc = otd_db_exec(
			db,
			"INSERT INTO payment_sent(payment_id, generation, version, n, sent)"
			" VALUES(?,?,?,?,?)",
			s, 5, NULL, NULL, err);
	}
	return rc;
}

/* The row in the audit log, from what is stored now. */
static otd_rc audit_tx(struct otd_db *db, struct otd_payment *p, const struct otd_pay_tx *tx,
		       int64_t time_ms, struct otd_err *err)
{
	char text[OTD_PAY_TEXT];
	free(p->coins);
	p->coins = NULL;
	otd_rc rc = otd_pay_load_coins(db, p->id, p->generation, &p->coins, &p->n_coins, err);
	if (rc)
		return rc;
	otd_pay_sign_text(text, p, tx);
	return otd_pay_audit(db, time_ms, "payment.sign", err, "%s", text);
}

otd_rc otd_pay_sign(struct otd_db *db, uint64_t id, const struct otd_pay_tx *tx,
		    const otd_i128 *sent, const struct otd_pay_coin *more, size_t n_more,
		    int64_t time_ms, struct otd_err *err)
{
	struct otd_payment was = {0}, now;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (!rc)
		rc = check_turn(db, &was, tx, err);
	if (!rc)
		rc = otd_pay_load_parts(db, &was, was.generation, 0, err);
	if (!rc)
		rc = otd_pay_load_coins(db, id, was.generation, &was.coins, &was.n_coins, err);
	if (rc)
		goto out;
	for (size_t i = 0; i < was.n_parts; i++)
		was.parts[i].sent = sent[i];
	rc = check_tx(db, &was, tx, more, n_more, err);
	if (!rc)
		rc = add_coins(db, &was, tx->version, more, n_more, err);
	if (rc == OTD_E_EXISTS) /* here it would say that the step has happened */
		rc = err ? (err->rc = OTD_E_INVALID) : OTD_E_INVALID;
	if (!rc)
		rc = write_tx(db, &was, tx, err);
	if (rc)
		goto out;
	now = was;
	now.state = OTD_PAY_SIGNED;
	now.version = tx->version;
	now.why[0] = '\0';
	now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	if (!rc)
		rc = audit_tx(db, &was, tx, time_ms, err);
out:
	otd_payment_finish(&was);
	return rc;
}

otd_rc otd_pay_sent(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		    int64_t time_ms, struct otd_err *err)
{
	struct otd_payment was, now;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (rc)
		return rc;
	bool same = was.generation == generation && was.version == version && version;
	if (same && was.state == OTD_PAY_SENT)
		return otd_fail(err, OTD_E_EXISTS, "payment %llu: is sent already",
				(unsigned long long)id);
	if (!same || was.state != OTD_PAY_SIGNED)
		return otd_pay_stale(&was, "signed in the version given", err);
	now = was;
	now.state = OTD_PAY_SENT;
	if (!was.held)
		now.why[0] = '\0';
	now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms, "payment.send", err, "%llu generation=%u version=%u",
				  (unsigned long long)id, generation, version);
}

otd_rc otd_pay_progress(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t confirmations,
			uint64_t height, uint64_t conflict_height, int64_t time_ms,
			struct otd_err *err)
{
	struct otd_payment was, now;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (rc)
		return rc;
	if (was.generation != generation || was.state < OTD_PAY_SIGNED || was.state > OTD_PAY_PAID)
		return otd_pay_stale(&was, "with the network in the generation given", err);
	if (!height != !confirmations || height > INT64_MAX || conflict_height > INT64_MAX)
		return otd_fail(err, OTD_E_INVALID,
				"payment %llu: %u confirmations at height %llu cannot be",
				(unsigned long long)id, confirmations, (unsigned long long)height);
	if (was.confirmations == confirmations && was.height == height &&
	    was.conflict_height == conflict_height)
		return OTD_OK;
	now = was;
	now.confirmations = confirmations;
	now.height = height;
	now.conflict_height = conflict_height;
	/* One that fell out of the chain and came back is young again: it is watched as long. */
	if (!was.height != !height)
		now.changed_ms = time_ms;
	rc = otd_pay_swap(db, &was, &now, err);
	if (rc || (!was.height == !height && !was.conflict_height == !conflict_height))
		return rc;
	return otd_pay_audit(db, time_ms, "payment.seen", err,
			     "%llu generation=%u confirmations=%u height=%llu conflict=%llu",
			     (unsigned long long)id, generation, confirmations,
			     (unsigned long long)height, (unsigned long long)conflict_height);
}

/* --- for people --- */

/*
 * One that a backup held unsigned: the pool that was lost may have signed and sent it, by a transaction
 * that nobody here knows. Going on with it would be paying twice; a person says which it was.
 */
static otd_rc check_unsigned(struct otd_db *db, const struct otd_payment *p, struct otd_err *err)
{
	bool restored = false;
	if (p->state >= OTD_PAY_SIGNED)
		return OTD_OK;
	otd_rc rc = otd_pay_was_restored(db, p, &restored, err);
	if (rc || !restored)
		return rc;
	return otd_fail(err, OTD_E_REFUSED,
			"payment %llu was not signed when the backup was made that this database "
			"comes from, and may have been paid since: look in the wallet's own list, "
			"then 'resolve %llu --paid TXID' or 'resolve %llu --unpaid'",
			(unsigned long long)p->id, (unsigned long long)p->id,
			(unsigned long long)p->id);
}

otd_rc otd_pay_hold(struct otd_db *db, uint64_t id, bool held, const char *why, int64_t time_ms,
		    struct otd_err *err)
{
	struct otd_payment was, now;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (rc)
		return rc;
	if (was.state > OTD_PAY_SENT && !otd_pay_fallen(&was))
		return otd_pay_stale(&was, "on its way", err);
	now = was;
	now.held = held;
	otd_pay_line(now.why, sizeof(now.why), held && why ? why : "");
	now.changed_ms = time_ms;
	if (was.held == held && strcmp(was.why, now.why) == 0)
		return OTD_OK;
	rc = held ? OTD_OK : check_unsigned(db, &was, err);
	if (rc == OTD_OK)
		rc = otd_pay_swap(db, &was, &now, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms, held ? "payment.hold" : "payment.release", err,
				  "%llu why=%s", (unsigned long long)id, why ? why : "");
}

otd_rc otd_pay_say(struct otd_db *db, uint64_t id, const char *why, int64_t time_ms,
		   struct otd_err *err)
{
	struct otd_payment was, now;
	otd_rc rc = otd_pay_head(db, id, &was, err);
	if (rc)
		return rc;
	if (was.state > OTD_PAY_PAID)
		return otd_pay_stale(&was, "on its way", err);
	now = was;
	otd_pay_line(now.why, sizeof(now.why), why ? why : "");
	now.changed_ms = time_ms;
	if (was.held || strcmp(was.why, now.why) == 0)
		return OTD_OK;
	return otd_pay_swap(db, &was, &now, err);
}
