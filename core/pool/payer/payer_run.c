/* Rounds of a pool: who is due, and reserving what they get. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/payer/payer_impl.h"

#define LOOK_MS   60000 /* between two looks at a pool for which nothing is due */
#define SOON      5     /* pauses of retry_ms while a payment is not sent */
#define UNSENT    64
#define DUST_HELP "less than the network passes on"

/* --- verdicts --- */

static void judge_part(const struct payer_conf *c, const struct otd_pay_part *part,
		       struct payer_verdict *v)
{
	uint8_t script[PAYER_SCRIPT];
	size_t len = 0;
	struct otd_err err = {0};
	otd_i128 dust = 0;
	otd_rc rc = otd_chain_address(c->c.chain, part->address, strlen(part->address), script,
				      sizeof(script), &len, &err);
	if (rc == OTD_OK)
		rc = otd_chain_dust(c->c.chain, (struct otd_span){script, len}, &dust, &err);
	if (rc) {
		/* Only what the plugin says of the address itself is the account's fault. */
		v->hold = rc == OTD_E_INVALID;
		snprintf(v->reason, sizeof(v->reason), "%.*s", OTD_PAY_WHY, err.text);
		return;
	}
	v->least = payer_least_amount(dust, c->c.fee_by_miners, c->c.max_fee_ppm);
	if (part->amount < v->least)
		snprintf(v->reason, sizeof(v->reason), DUST_HELP);
}

otd_rc payer_judge(const struct payer_conf *c, const struct otd_pay_part *parts, size_t n,
		   struct payer_verdict **out, struct otd_err *err)
{
	struct payer_verdict *v = calloc(n ? n : 1, sizeof(*v));
	*out = v;
	if (!v)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		judge_part(c, &parts[i], &v[i]);
	return OTD_OK;
}

static bool allowed(const struct otd_pay_part *p, const struct otd_pay_part *judged,
		    const struct payer_verdict *verdicts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct otd_pay_part *q = &judged[i];
		if (p->kind == q->kind && p->owner == q->owner &&
		    strcmp(p->address, q->address) == 0)
			return !verdicts[i].reason[0] && p->amount >= verdicts[i].least;
	}
	return false; /* it has become due since: the next round has it */
}

void payer_keep_judged(struct otd_pay_part *parts, size_t *n, const struct otd_pay_part *judged,
		       const struct payer_verdict *verdicts, size_t n_judged)
{
	size_t kept = 0;
	bool fee = true;
	for (size_t i = 0; i < *n; i++)
		if (parts[i].kind != OTD_ACC_MINER)
			fee = fee && allowed(&parts[i], judged, verdicts, n_judged);
	for (size_t i = 0; i < *n; i++) {
		bool keep = parts[i].kind == OTD_ACC_MINER
				    ? allowed(&parts[i], judged, verdicts, n_judged)
				    : fee;
		if (keep)
			parts[kept++] = parts[i];
	}
	*n = kept;
}

/* --- on the store's thread --- */

otd_rc payer_work_pool(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	uint64_t ids[UNSENT];
	size_t n = 0;
	otd_rc rc = otd_pay_pool_id(db, j->name, &j->pool_id, err);
	if (!rc)
		rc = otd_pay_pool(db, j->pool_id, &j->state, err);
	if (!rc)
		rc = otd_pay_list(db, j->pool_id, OTD_PAY_RESERVED, OTD_PAY_SIGNED, 0, ids, UNSENT,
				  &n, err);
	free(j->ids);
	j->ids = rc ? NULL : calloc(n ? n : 1, sizeof(*j->ids));
	j->n_ids = j->ids ? n : 0;
	if (!rc && !j->ids)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (!rc)
		memcpy(j->ids, ids, n * sizeof(*ids));
	return rc;
}

static void on_waiting(void *arg, const struct otd_pay_waiting *w) /* [store] */
{
	struct payer_job *j = arg;
	if (w->reason && w->balance > 0 && j->n_held++ == 0)
		snprintf(j->held_why, sizeof(j->held_why), "%.80s: %.200s", w->address, w->reason);
	j->n_above += !w->reason && w->above_cap;
}

/* Accounts with a balance that no round pays: nobody would hear of them otherwise. */
static otd_rc look_for_left_out(struct payer_job *j, struct otd_db *db, struct otd_err *err)
{
	const struct otd_pay_terms *t = &j->conf->terms;
	j->n_held = j->n_above = 0;
	return otd_pay_waiting(db, j->pool_id, t->asset, t->minimum, t->cap, on_waiting, j, err);
}

static otd_rc plan_work(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	struct otd_pay_terms t = j->conf->terms;
	t.pool_id = j->pool_id;
	t.minimum = j->least;
	t.with_paid = j->with_paid;
	free(j->parts);
	j->parts = NULL;
	otd_rc rc = payer_policy_work(j, db, err);
	return rc ? rc : otd_pay_plan(db, &t, &j->parts, &j->n_parts, err);
}

static otd_rc hold_refused(const struct payer_job *j, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; !rc && i < j->n_parts; i++)
		if (j->verdicts[i].hold && j->parts[i].kind == OTD_ACC_MINER)
			rc = otd_pay_hold_account(db, j->parts[i].owner, j->verdicts[i].reason,
						  j->time_ms, err);
	return rc;
}

static bool payer_rejected(const struct payer_job *j)
{
	return j->review.asked && j->review.action == OTD_REVIEW_REJECT;
}

static otd_rc reserve_work(struct payer_job *j, struct otd_db *db,
			   struct otd_err *err) /* [store] */
{
	struct otd_pay_terms t = j->conf->terms;
	struct otd_pay_part *parts = NULL;
	uint64_t unsent;
	size_t n = 0;
	t.pool_id = j->pool_id;
	t.minimum = j->least;
	j->id = 0;
	otd_rc rc = otd_pay_list(db, j->pool_id, OTD_PAY_RESERVED, OTD_PAY_SIGNED, 0, &unsent, 1,
				 &n, err);
	if (!rc && n)
		return otd_fail(err, OTD_E_STALE, "payment %" PRIu64 " is not sent yet", unsent);
	if (!rc)
		rc = hold_refused(j, db, err);
	/* Planned anew, so that nothing has changed between the plan and what it takes. */
	if (!rc)
		rc = otd_pay_plan(db, &t, &parts, &n, err);
	if (!rc)
		payer_keep_judged(parts, &n, j->parts, j->verdicts, j->n_parts);
	if (!rc)
		payer_policy_keep(parts, &n, j);
	if (!rc && n && !payer_rejected(j))
		rc = otd_pay_reserve(db, &t, parts, n, j->time_ms, &j->id, err);
	free(parts);
	if (!rc)
		rc = payer_policy_decided(j, db, err);
	if (!rc)
		rc = look_for_left_out(j, db, err);
	return rc ? rc : otd_pay_pool_ran(db, j->pool_id, j->time_ms, err);
}

/* --- the round --- */

static void rest(struct payer_pool *p, struct otd_payer *o, int64_t ms)
{
	p->busy = false;
	p->next_ms = payer_now_ms(o) + ms;
}

static void answer(struct payer_pool *p, const struct otd_err *err, uint64_t id)
{
	struct payer_ask *a = p->asker;
	p->asker = NULL;
	p->now = false;
	if (a)
		payer_ask_round(a, err, id);
}

static void round_failed(struct payer_pool *p, struct otd_payer *o, const struct otd_err *err)
{
	otd_metric_add(o->failures, 1);
	if (++p->fails >= 3)
		snprintf(p->trouble, sizeof(p->trouble),
			 "pool %.40s: a round of payments cannot begin: %.200s", p->conf->c.name,
			 err->text);
	otd_log(OTD_LOG_WARN, "pool", "payment.round_failed", "pool=%s why=%s",
		OTD_Q(p->conf->c.name), OTD_Q(err->text));
	answer(p, err, 0);
	rest(p, o, payer_pause_ms(o, p->fails));
}

/* Not now, and why; trouble: a person has to do something. */
static void no_round(struct payer_pool *p, struct otd_payer *o, int64_t ms, bool trouble,
		     const char *fmt, ...) OTD_PRINTF(5, 6);
static void no_round(struct payer_pool *p, struct otd_payer *o, int64_t ms, bool trouble,
		     const char *fmt, ...)
{
	struct otd_err err = {0};
	char text[PAYER_WORDS];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)otd_fail(&err, OTD_E_REFUSED, "%s", text);
	snprintf(p->trouble, sizeof(p->trouble), "%s", trouble ? text : "");
	answer(p, &err, 0);
	rest(p, o, ms);
}

static struct payer_job *round_job(struct payer_pool *p, struct otd_payer *o, payer_job_fn then,
				   otd_rc (*work)(struct payer_job *, struct otd_db *,
						  struct otd_err *))
{
	struct payer_job *j = payer_job_new(o, then, p);
	struct otd_err err = {0};
	if (!j) {
		(void)otd_fail(&err, OTD_E_NOMEM, "out of memory");
		if (o->draining)
			p->busy = false;
		else
			round_failed(p, o, &err);
		return NULL;
	}
	j->work = work;
	j->pool_id = p->id;
	j->conf = p->conf;
	j->conf->users++;
	j->least = payer_policy_least(o, p->conf);
	j->with_paid = payer_policy_asks(o, p->conf);
	snprintf(j->name, sizeof(j->name), "%s", p->conf->c.name);
	return j;
}

static void round_give(struct payer_pool *p, struct otd_payer *o, struct payer_job *j, bool write)
{
	struct otd_err err = {0};
	p->busy = true;
	if (!payer_job_give(j, write)) {
		(void)otd_fail(&err, OTD_E_NOMEM, "out of memory");
		round_failed(p, o, &err);
	}
}

static void say_left_out(struct payer_pool *p, const struct payer_job *j)
{
	char held[PAYER_WORDS] = "", above[PAYER_WORDS] = "";
	if (j->n_held)
		snprintf(held, sizeof(held), "%zu on hold (%.200s)", j->n_held, j->held_why);
	if (j->n_above)
		snprintf(above, sizeof(above), "%zu with " PAYER_ABOVE_CAP, j->n_above);
	p->left_out[0] = '\0';
	if (*held || *above)
		snprintf(p->left_out, sizeof(p->left_out),
			 "pool %.40s: accounts that are not paid: %.240s%s%.120s; see 'payment "
			 "plan %.40s'",
			 p->conf->c.name, held, *held && *above ? ", and " : "", above,
			 p->conf->c.name);
}

static void on_reserved(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_pool *p = target;
	struct otd_payer *o = j->owner;
	struct otd_err none = {0};
	bool there = err->rc == OTD_OK || err->rc == OTD_E_EXISTS;
	struct payer_pay *y = there && j->id ? payer_pay_add(o, j->id) : NULL;
	if (there && j->id)
		otd_log(OTD_LOG_INFO, "pool", "payment.reserved", "id=%" PRIu64 " pool=%s", j->id,
			OTD_Q(j->name));
	if (y)
		payer_go(y);
	if (!p)
		return;
	if (!there) {
		round_failed(p, o, err); /* the next look finds it where the commit did happen */
		return;
	}
	p->fails = 0;
	p->trouble[0] = '\0';
	say_left_out(p, j);
	p->state.last_run_ms = j->time_ms;
	if (payer_rejected(j)) {
		(void)otd_fail(&none, OTD_E_REFUSED,
			       "pool %.40s: policy %.60s has rejected this payment: %.120s",
			       j->name, j->review.said.script, j->review.said.reason);
		/* It stands until the next round; trouble goes with the next look. */
		snprintf(p->left_out, sizeof(p->left_out), "%.300s", none.text);
	}
	answer(p, &none, j->id);
	rest(p, o, o->conf.retry_ms);
}

static void on_planned(void *target, struct payer_job *plan, const struct otd_err *err)
{
	struct payer_pool *p = target;
	struct otd_payer *o = plan->owner;
	struct otd_err own = {0};
	if (!p)
		return;
	struct payer_job *j = err->rc ? NULL : round_job(p, o, on_reserved, reserve_work);
	if (err->rc) {
		round_failed(p, o, err);
		return;
	}
	if (!j)
		return;
	j->parts = plan->parts;
	j->n_parts = plan->n_parts;
	plan->parts = NULL;
	if (payer_judge(p->conf, j->parts, j->n_parts, &j->verdicts, &own) != OTD_OK) {
		payer_job_drop(j);
		round_failed(p, o, &own);
		return;
	}
	j->least = plan->least;
	j->review = plan->review;
	payer_policy_terms(o, p->conf, j->parts, j->verdicts, j->n_parts);
	payer_policy_review(o, p->conf, j->parts, j->verdicts, j->n_parts, false, &j->review);
	round_give(p, o, j, true);
}

/* A review wants to know what the wallet has; where that is not known it is told so. */
static void on_balance(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		       struct otd_span out)
{
	struct payer_job *j = target, **at = &j->owner->asking;
	struct payer_pool *p = j->target;
	struct otd_payer *o = j->owner;
	(void)out;
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	j->next = NULL;
	if (!p || o->draining) {
		if (p)
			p->busy = false;
		payer_job_drop(j);
		return;
	}
	if (!err->rc)
		j->review.balance = res->u.wallet.balance;
	round_give(p, o, j, false);
}

static void ask_balance(struct payer_pool *p, struct otd_payer *o, struct payer_job *j)
{
	struct otd_chain_call q = {.kind = OTD_CHAIN_WALLET, .address = p->conf->c.change};
	j->review.wanted = true;
	j->review.balance = -1;
	j->next = o->asking;
	o->asking = j;
	p->busy = true;
	if (payer_call(o, p->conf->c.chain, &q, on_balance, j))
		return;
	o->asking = j->next;
	j->next = NULL;
	round_give(p, o, j, false);
}

/* Milliseconds until the next round is due; a clock that was set back does not put it off. */
static int64_t due_in(const struct payer_pool *p, const struct otd_payer *o)
{
	int64_t since = payer_wall_ms(o) - p->state.last_run_ms;
	if (p->now || since < 0 || since >= p->conf->c.every_ms)
		return 0;
	return p->conf->c.every_ms - since;
}

static void begin(struct payer_pool *p, struct otd_payer *o, const struct payer_job *looked)
{
	const char *name = p->conf->c.name, *why = "";
	int64_t wait = due_in(p, o);
	if (!p->conf->c.on)
		no_round(p, o, LOOK_MS, false, "pools.%.40s has no payments in the settings", name);
	else if (p->state.restored)
		no_round(p, o, LOOK_MS, true,
			 "pool %.40s: the database was restored from a backup; what was paid since "
			 "is not known to it. Compare with the wallet, resolve what is held, then "
			 "'payment plan' and 'payment start'",
			 name);
	else if (!p->state.on && !p->state.confirmed_ms)
		no_round(p, o, LOOK_MS, true,
			 "pool %.40s: payments wait for your yes: 'payment plan %.40s' shows what "
			 "would be paid, 'payment start' turns them on",
			 name, name);
	else if (!p->state.on)
		no_round(p, o, LOOK_MS, false, "payments of pool %.40s are stopped", name);
	else if (!otd_chain_can_pay(p->conf->c.chain, &why))
		no_round(p, o, LOOK_MS, true, "pool %.40s cannot pay: %.200s", name, why);
	else if (looked->n_ids)
		no_round(p, o, SOON * o->conf.retry_ms, false,
			 "payment %" PRIu64 " is not sent yet: see 'payment show %" PRIu64 "'",
			 looked->ids[0], looked->ids[0]);
	else if (wait > 0)
		no_round(p, o, wait < LOOK_MS ? wait : LOOK_MS, false, "it is not due");
	else {
		struct payer_job *j = round_job(p, o, on_planned, plan_work);
		if (j && payer_policy_reviews(o, p->conf))
			ask_balance(p, o, j);
		else if (j)
			round_give(p, o, j, false);
	}
}

static void on_looked(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_pool *p = target;
	struct otd_payer *o = j->owner;
	if (!p)
		return;
	if (err->rc == OTD_E_NOT_FOUND) {
		/* Nobody has mined in it yet. */
		no_round(p, o, LOOK_MS, false, "pool %.40s has no accounts yet", p->conf->c.name);
		return;
	}
	if (err->rc) {
		round_failed(p, o, err);
		return;
	}
	p->id = j->pool_id;
	p->state = j->state;
	p->known = true;
	/* One whose reservation could not be told from a failed one is found here. */
	for (size_t i = 0; i < j->n_ids; i++)
		(void)payer_pay_add(o, j->ids[i]);
	if (o->draining)
		p->busy = false;
	else
		begin(p, o, j);
}

void payer_pool_go(struct payer_pool *p)
{
	struct otd_payer *o = p->owner;
	if (p->busy || o->draining || (!p->now && payer_now_ms(o) < p->next_ms))
		return;
	struct payer_job *j = round_job(p, o, on_looked, payer_work_pool);
	if (j)
		round_give(p, o, j, false);
}
