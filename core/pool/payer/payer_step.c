/* The machine: reads where a payment stands and does the next thing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/payer/payer_impl.h"

/* --- on the store's thread --- */

/* What a person's decision rests on was seen of this generation, while the payment may have gone on. */
static otd_rc check_seen(const struct payer_job *j, struct otd_db *db, struct otd_err *err)
{
	struct otd_payment p = {0};
	otd_rc rc = j->has_proof ? otd_pay_load(db, j->id, false, &p, err) : OTD_OK;
	if (!rc && j->has_proof && p.generation != j->generation)
		rc = otd_fail(err, OTD_E_STALE,
			      "payment %" PRIu64 " was made anew meanwhile: look at it again",
			      j->id);
	otd_payment_finish(&p);
	return rc;
}

static otd_rc do_step(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	struct otd_pay_other other = {.confirmations = j->confirmations,
				      .height = j->height,
				      .reason = j->text,
				      .dead = j->has_proof};
	const char *proof = j->has_proof ? j->text : NULL;
	otd_rc rc;
	switch (j->what) {
	case PAYER_READ: return OTD_OK;
	case PAYER_DO_FUND:
		return otd_pay_fund(db, j->id, j->generation, j->coins, j->n_coins, j->time_ms,
				    err);
	case PAYER_DO_SIGN:
		return otd_pay_sign(db, j->id, &j->tx, j->sent, j->coins, j->n_coins, j->time_ms,
				    err);
	case PAYER_DO_SENT:
		return otd_pay_sent(db, j->id, j->generation, j->version, j->time_ms, err);
	case PAYER_DO_PROGRESS:
		return otd_pay_progress(db, j->id, j->generation, j->confirmations, j->height,
					j->conflict, j->time_ms, err);
	case PAYER_DO_PAID:
		return otd_pay_paid(db, j->id, j->generation, j->version, j->confirmations,
				    j->height, proof, j->time_ms, err);
	case PAYER_DO_LOST:
		return otd_pay_lost(db, j->id, j->generation, j->version, j->time_ms, err);
	case PAYER_DO_REMAKE:
		return otd_pay_remake(db, j->id, j->generation, j->text, j->time_ms, err);
	case PAYER_DO_CANCEL:
		rc = check_seen(j, db, err);
		return rc ? rc
			  : otd_pay_cancel(db, j->id, j->text, j->has_proof ? j->name : NULL,
					   j->time_ms, err);
	case PAYER_DO_SETTLE:
		memcpy(other.txid, j->txid, sizeof(other.txid));
		rc = check_seen(j, db, err);
		return rc ? rc : otd_pay_settle(db, j->id, &other, j->time_ms, err);
	case PAYER_DO_HOLD:
		return otd_pay_hold(db, j->id, j->yes, j->yes ? j->text : "", j->time_ms, err);
	case PAYER_DO_SAY: return otd_pay_say(db, j->id, j->text, j->time_ms, err);
	}
	return otd_fail(err, OTD_E_INVALID, "no such step");
}

otd_rc payer_work_step(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	otd_payment_finish(&j->p); /* of an attempt before */
	memset(&j->p, 0, sizeof(j->p));
	otd_rc rc = do_step(j, db, err);
	return rc ? rc : otd_pay_load(db, j->id, j->with_raw, &j->p, err);
}

/* --- waiting --- */

void payer_wait(struct payer_pay *y, int64_t ms)
{
	y->busy = false;
	y->next_ms = payer_now_ms(y->owner) + ms;
}

/* Cut between two letters, as SQL keeps it. */
static void cut(char *to, size_t cap, const char *text)
{
	size_t n = strlen(text);
	if (n >= cap)
		n = cap - 1;
	while (n > 0 && text[n] && ((uint8_t)text[n] & 0xc0) == 0x80)
		n--;
	memcpy(to, text, n);
	to[n] = '\0';
	for (char *p = to; *p; p++)
		if ((uint8_t)*p < ' ' || *p == 127)
			*p = ' ';
}

void payer_say(struct payer_pay *y, const char *text)
{
	char was[sizeof(y->say)];
	memcpy(was, y->say, sizeof(was));
	cut(y->say, OTD_PAY_WHY + 1, text);
	if (y->say[0] && strcmp(was, y->say) != 0)
		otd_log(OTD_LOG_WARN, "pool", "payment.waits", "id=%" PRIu64 " why=%s", y->id,
			OTD_Q(text));
	y->said = true;
}

void payer_failed(struct payer_pay *y, bool now, const char *fmt, ...)
{
	char text[PAYER_WORDS];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	payer_make_forget(y);
	if (y->owner->draining) {
		y->busy = false;
		return;
	}
	y->fails++;
	y->old_clear = false;
	otd_metric_add(y->owner->failures, 1);
	otd_log(OTD_LOG_DEBUG, "pool", "payment.again", "id=%" PRIu64 " state=%s fails=%u why=%s",
		y->id, otd_pay_state_name(y->p.state), y->fails, OTD_Q(text));
	if (now || y->fails >= 3)
		payer_say(y, text);
	payer_wait(y, payer_pause_ms(y->owner, y->fails));
}

/* --- steps --- */

static void tell(struct payer_pay *y, enum payer_do what)
{
	static const char *const events[] = {[PAYER_DO_FUND] = "payment.funded",
					     [PAYER_DO_SIGN] = "payment.signed",
					     [PAYER_DO_SENT] = "payment.sent",
					     [PAYER_DO_PROGRESS] = "payment.progress",
					     [PAYER_DO_PAID] = "payment.paid",
					     [PAYER_DO_LOST] = "payment.lost",
					     [PAYER_DO_REMAKE] = "payment.remade",
					     [PAYER_DO_CANCEL] = "payment.cancelled",
					     [PAYER_DO_SETTLE] = "payment.settled",
					     [PAYER_DO_HOLD] = "payment.held",
					     [PAYER_DO_SAY] = NULL,
					     [PAYER_READ] = NULL};
	struct payer_pool *pool = payer_pool_by_id(y->owner, y->p.pool_id);
	char total[OTD_I128_TEXT], txid[65] = "";
	bool loud = what == PAYER_DO_LOST || what == PAYER_DO_REMAKE || what == PAYER_DO_HOLD;
	if (!events[what])
		return;
	if (y->p.n_txs)
		otd_hex_encode_reverse(txid, y->p.txs[y->p.n_txs - 1].txid, 32);
	otd_log(what == PAYER_DO_PROGRESS ? OTD_LOG_DEBUG
		: loud                    ? OTD_LOG_WARN
					  : OTD_LOG_INFO,
		"pool", events[what],
		"id=%" PRIu64 " pool=%s n=%zu total=%s txid=%s confirmations=%u why=%s", y->id,
		pool ? OTD_Q(pool->conf->c.name) : "?", y->p.n_parts,
		otd_format_i128(total, y->p.total), txid, y->p.confirmations, OTD_Q(y->p.why));
	if (what == PAYER_DO_PAID || what == PAYER_DO_SETTLE)
		otd_metric_add(y->owner->paid, 1);
}

static void stepped(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_pay *y = target;
	y->busy = false;
	y->fresh = false;
	if (err->rc == OTD_OK) {
		otd_payment_finish(&y->p);
		y->p = j->p;
		memset(&j->p, 0, sizeof(j->p));
		y->fresh = true;
		y->has_raw = j->with_raw;
		y->want_raw = false;
		if (j->what != PAYER_READ && j->what != PAYER_DO_SAY &&
		    j->what != PAYER_DO_PROGRESS) {
			y->fails = 0;
			y->say[0] = '\0';
			y->said = y->p.why[0] != '\0' && !y->p.held;
			if (j->what == PAYER_DO_REMAKE || j->what == PAYER_DO_LOST)
				y->said = false; /* the ledger's own words */
		}
		tell(y, j->what);
		if (y->p.state >= OTD_PAY_PAID) { /* for what comes then nobody is needed */
			free(y->p.parts);
			y->p.parts = NULL;
			y->p.n_parts = 0;
		}
	} else if (err->rc == OTD_E_NOT_FOUND) {
		y->gone = true;
	} else if (err->rc == OTD_E_STALE || err->rc == OTD_E_EXISTS ||
		   err->rc == OTD_E_COMMIT_UNKNOWN) {
		otd_log(OTD_LOG_INFO, "pool", "payment.reread", "id=%" PRIu64 " why=%s", y->id,
			OTD_Q(err->text));
		payer_failed(y, false, "%s", err->text); /* where it is for ever, a person hears */
	} else {
		payer_failed(y, false, "the ledger: %s", err->text);
	}
	payer_make_forget(y);
	payer_go(y);
}

struct payer_job *payer_step_new(struct payer_pay *y, enum payer_do what)
{
	struct payer_job *j = payer_job_new(y->owner, stepped, y);
	if (!j) {
		payer_failed(y, false, "out of memory");
		return NULL;
	}
	j->work = payer_work_step;
	j->what = what;
	j->id = y->id;
	j->generation = y->p.generation;
	j->version = y->p.version;
	return j;
}

void payer_step(struct payer_pay *y, struct payer_job *j)
{
	y->busy = true;
	if (!payer_job_give(j, j->what != PAYER_READ))
		payer_failed(y, false, "out of memory");
}

void payer_hold(struct payer_pay *y, const char *fmt, ...)
{
	struct payer_job *j = payer_step_new(y, PAYER_DO_HOLD);
	char text[PAYER_WORDS];
	va_list ap;
	if (!j)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	cut(j->text, OTD_PAY_WHY + 1, text);
	j->yes = true;
	payer_step(y, j);
}

static void read_it(struct payer_pay *y)
{
	struct payer_job *j = payer_step_new(y, PAYER_READ);
	if (!j)
		return;
	j->with_raw = y->want_raw;
	payer_step(y, j);
}

/* True: the words go to SQL first. */
static bool write_words(struct payer_pay *y)
{
	struct payer_job *j;
	if (!y->said || y->p.held || strcmp(y->say, y->p.why) == 0 || y->p.state >= OTD_PAY_PAID)
		return false;
	j = payer_step_new(y, PAYER_DO_SAY);
	if (!j)
		return true;
	memcpy(j->text, y->say, sizeof(y->say));
	payer_step(y, j);
	return true;
}

/* --- the wallet is told which coins are ours --- */

static void locked(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		   struct otd_span out)
{
	struct payer_pay *y = target;
	(void)res;
	(void)out;
	y->busy = false;
	if (err->rc) {
		y->locked = false;
		y->lock_ms = payer_now_ms(y->owner) + y->owner->conf.watch_ms;
		otd_log(OTD_LOG_DEBUG, "pool", "payment.coins_not_locked", "id=%" PRIu64 " why=%s",
			y->id, OTD_Q(err->text));
	}
	payer_go(y);
}

static void lock_coins(struct payer_pay *y, struct payer_pool *pool)
{
	struct otd_chain_coin *coins = calloc(y->p.n_coins, sizeof(*coins));
	struct otd_chain_call call = {.kind = OTD_CHAIN_LOCK,
				      .coins = coins,
				      .coin_stride = sizeof(*coins),
				      .n_coins = y->p.n_coins};
	y->locked =
		true; /* a courtesy to the operator's own spending, so that nothing waits for it */
	if (!coins)
		return;
	for (size_t i = 0; i < y->p.n_coins; i++)
		payer_to_chain(&coins[i], &y->p.coins[i]);
	y->busy = true;
	if (!payer_call(y->owner, pool->conf->c.chain, &call, locked, y))
		y->busy = false;
	free(coins);
}

/* --- the next thing --- */

static void pause_unsigned(struct payer_pay *y)
{
	/* Why is the pool's word, or the person's who holds it. */
	y->old_clear = false;
	payer_wait(y, y->owner->conf.watch_ms);
}

/* Unsigned ones move only while the operator's yes holds. */
static bool may_sign(const struct payer_pay *y, const struct payer_pool *pool)
{
	return !y->p.held && pool->known && pool->state.on && !pool->state.restored;
}

static void do_next(struct payer_pay *y, struct payer_pool *pool)
{
	bool has_coins = y->p.state >= OTD_PAY_FUNDED && y->p.state <= OTD_PAY_SENT;
	if (has_coins && !y->locked && y->p.n_coins && !y->refund &&
	    payer_now_ms(y->owner) >= y->lock_ms) {
		lock_coins(y, pool);
		if (y->busy || y->owner->draining)
			return;
	}
	switch (y->p.state) {
	case OTD_PAY_RESERVED:
	case OTD_PAY_FUNDED:
		if (!may_sign(y, pool))
			pause_unsigned(y);
		else
			payer_make(y, y->p.state == OTD_PAY_FUNDED && !y->refund ? PAYER_SIGN
										 : PAYER_FUND);
		return;
	case OTD_PAY_SIGNED:
	case OTD_PAY_SENT: payer_watch(y); return;
	case OTD_PAY_PAID:
	case OTD_PAY_CANCELLED: payer_watch_done(y); return;
	}
	y->gone = true;
}

void payer_go(struct payer_pay *y)
{
	struct otd_payer *o = y->owner;
	int64_t now = payer_now_ms(o);
	struct payer_pool *pool;
	if (y->busy || y->gone || !o->started || o->draining)
		return;
	if (!y->fresh || (y->want_raw && !y->has_raw)) {
		if (now >= y->next_ms)
			read_it(y);
		return;
	}
	if (write_words(y) || now < y->next_ms)
		return;
	pool = payer_pool_by_id(o, y->p.pool_id);
	if (!pool)
		payer_wait(y, o->conf.tick_ms); /* trouble() says it */
	else
		do_next(y, pool);
}

void payer_pay_destroy(struct payer_pay *y)
{
	payer_make_forget(y);
	free(y->unlock);
	payer_look_destroy(y->look);
	otd_payment_finish(&y->p);
	free(y);
}
