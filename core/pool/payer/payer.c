/* The payer's life: settings, the clock, what is in flight, what needs a person. */
#include "pool/payer/payer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/payer/payer_impl.h"

#define TICK_MS  1000
#define WATCH_MS 15000
#define RETRY_MS 1000
#define OPEN_MAX 256 /* numbers read at once */

int64_t payer_now_ms(const struct otd_payer *o)
{
	return (int64_t)(otd_mono_ns(o->env) / 1000000);
}

int64_t payer_wall_ms(const struct otd_payer *o)
{
	return otd_wall_ms(o->env);
}

int64_t payer_pause_ms(const struct otd_payer *o, unsigned fails)
{
	int64_t ms = o->conf.retry_ms, most = 40 * o->conf.retry_ms;
	for (unsigned i = 1; i < fails && ms < most; i++)
		ms *= 2;
	return ms < most ? ms : most;
}

char *payer_amount(char out[OTD_PAY_ADDRESS], const struct payer_conf *c, otd_i128 v)
{
	char text[OTD_AMOUNT_TEXT];
	snprintf(out, OTD_PAY_ADDRESS, "%s %s", otd_format_amount(text, v, c->c.decimals),
		 c->c.asset);
	return out;
}

/* --- settings --- */

static void free_text(const char *s)
{
	free((void *)(uintptr_t)s);
}

void payer_conf_drop(struct payer_conf *c)
{
	if (!c || --c->users > 0)
		return;
	for (size_t i = 0; c->c.fee && i < c->c.n_fee; i++)
		free_text(c->c.fee[i].address);
	free((void *)(uintptr_t)c->c.fee);
	free_text(c->c.name);
	free_text(c->c.asset);
	free_text(c->c.change);
	free(c);
}

static struct payer_conf *conf_copy(const struct otd_payer_pool *from)
{
	struct payer_conf *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	struct otd_pay_recipient *fee = calloc(from->n_fee ? from->n_fee : 1, sizeof(*fee));
	bool ok = fee != NULL;
	c->users = 1;
	c->c = *from;
	c->c.fee = fee;
	c->c.name = strdup(from->name);
	c->c.asset = strdup(from->asset);
	c->c.change = strdup(from->change ? from->change : "");
	for (size_t i = 0; ok && i < from->n_fee; i++) {
		fee[i] = (struct otd_pay_recipient){strdup(from->fee[i].address),
						    from->fee[i].share_ppm};
		ok = fee[i].address != NULL;
	}
	if (!ok || !c->c.name || !c->c.asset || !c->c.change) {
		payer_conf_drop(c);
		return NULL;
	}
	/* Unconfirmed coins may be our own change, which goes when a payment is replaced. */
	if (c->c.coin_confirmations < 1)
		c->c.coin_confirmations = 1;
	if (c->c.confirmations < 1)
		c->c.confirmations = 1;
	c->terms = (struct otd_pay_terms){.asset = c->c.asset,
					  .minimum = c->c.minimum > 0 ? c->c.minimum : 1,
					  .cap = c->c.cap,
					  .max_parts = c->c.max_parts ? c->c.max_parts : 1,
					  .fee_by_miners = c->c.fee_by_miners,
					  .fee = c->c.fee,
					  .n_fee = c->c.n_fee};
	return c;
}

struct payer_pool *payer_pool_by_id(struct otd_payer *o, uint64_t id)
{
	for (struct payer_pool *p = o->pools; p; p = p->next)
		if (p->id == id && id)
			return p;
	return NULL;
}

struct payer_pool *payer_pool_by_name(struct otd_payer *o, const char *name)
{
	for (struct payer_pool *p = o->pools; p; p = p->next)
		if (strcmp(p->conf->c.name, name) == 0)
			return p;
	return NULL;
}

static void free_pools(struct payer_pool *p)
{
	while (p) {
		struct payer_pool *next = p->next;
		payer_conf_drop(p->conf);
		free(p);
		p = next;
	}
}

/* --- what is in flight --- */

void payer_landed(struct otd_payer *o)
{
	o->flights--;
	if (o->draining && o->flights == 0 && o->drained) {
		otd_fn fn = o->drained;
		o->drained = NULL;
		if (otd_loop_post(o->loop, fn, o->drained_arg) != OTD_OK)
			o->drained = fn; /* said by the next tick */
	}
}

struct payer_wallet_call {
	struct payer_wallet_call *next;
	struct otd_payer *owner;
	struct otd_chain *chain;
	payer_call_fn then;
	void *target;
	bool dead; /* the chain did not take it: failed is said by the next tick */
	struct otd_err failed;
};

static void call_take_out(struct payer_wallet_call *w)
{
	struct payer_wallet_call **at = &w->owner->calls;
	while (*at != w)
		at = &(*at)->next;
	*at = w->next;
}

static void call_answered(void *arg, const struct otd_err *err, const struct otd_chain_result *res,
			  struct otd_span out)
{
	struct payer_wallet_call *w = arg;
	struct otd_payer *o = w->owner;
	call_take_out(w);
	w->then(w->target, err, res, out);
	free(w);
	payer_landed(o);
}

bool payer_call(struct otd_payer *o, struct otd_chain *c, const struct otd_chain_call *call,
		payer_call_fn then, void *target)
{
	struct otd_chain_call own = *call;
	struct payer_wallet_call *w = o->draining ? NULL : calloc(1, sizeof(*w));
	if (!w)
		return false;
	own.size = sizeof(own);
	*w = (struct payer_wallet_call){
		.next = o->calls, .owner = o, .chain = c, .then = then, .target = target};
	o->calls = w;
	o->flights++;
	if (otd_chain_wallet(c, &own, call_answered, w, &w->failed) != OTD_OK) {
		w->dead = true;
		w->failed.rc = OTD_E_CLOSED; /* never sent */
	}
	return true;
}

static void answer_dead_calls(struct otd_payer *o)
{
	struct payer_wallet_call *w = o->calls;
	while (w) {
		bool dead = w->dead;
		if (dead)
			call_answered(w, &w->failed, NULL, (struct otd_span){0});
		w = dead ? o->calls : w->next;
	}
}

/* The chains go: whatever was asked of them has no answer any more. */
static void forget_calls(struct otd_payer *o)
{
	struct otd_err err = {0};
	struct payer_wallet_call *w = o->calls;
	(void)otd_fail(&err, OTD_E_TIMEOUT, "the settings were changed meanwhile");
	o->calls = NULL; /* what then asks goes into a new list */
	while (w) {
		struct payer_wallet_call *next = w->next;
		otd_chain_wallet_forget(w->chain, w);
		w->then(w->target, &err, NULL, (struct otd_span){0});
		free(w);
		payer_landed(o);
		w = next;
	}
	payer_agree_forget(o, &err);
}

void payer_job_drop(struct payer_job *j)
{
	free(j->coins);
	free(j->tx.raw);
	free(j->sent);
	free(j->parts);
	free(j->verdicts);
	otd_payment_finish(&j->p);
	for (size_t i = 0; i < j->n_list; i++)
		otd_payment_finish(&j->list[i]);
	free(j->list);
	free(j->ids);
	free(j->found);
	free(j->old_coins);
	otd_bytes_finish(&j->json);
	payer_conf_drop(j->conf);
	free(j);
}

struct payer_job *payer_job_new(struct otd_payer *o, payer_job_fn then, void *target)
{
	struct payer_job *j = o->draining ? NULL : calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	j->owner = o;
	j->then = then;
	j->target = target;
	j->time_ms = payer_wall_ms(o);
	otd_bytes_init(&j->json, (size_t)32 << 20);
	return j;
}

static otd_rc job_work(void *arg, struct otd_db *db, struct otd_err *err) /* [store] */
{
	struct payer_job *j = arg;
	return j->work(j, db, err);
}

static void job_done(void *arg, const struct otd_err *err)
{
	struct payer_job *j = arg;
	struct otd_payer *o = j->owner;
	if (o) {
		*j->at = j->next;
		if (j->next)
			j->next->at = j->at;
		j->then(j->target, j, err);
		payer_landed(o);
	}
	payer_job_drop(j);
}

bool payer_job_give(struct payer_job *j, bool write)
{
	struct otd_payer *o = j->owner;
	j->next = o->jobs;
	j->at = &o->jobs;
	if (o->jobs)
		o->jobs->at = &j->next;
	o->jobs = j;
	if (otd_store_do(o->store, write, job_work, job_done, j) == OTD_OK) {
		o->flights++;
		return true;
	}
	*j->at = j->next;
	if (j->next)
		j->next->at = j->at;
	payer_job_drop(j);
	return false;
}

/* --- payments --- */

struct payer_pay *payer_pay_find(struct otd_payer *o, uint64_t id)
{
	struct payer_pay *y = o->pays;
	while (y && (y->id != id || y->gone))
		y = y->next;
	return y;
}

struct payer_pay *payer_pay_add(struct otd_payer *o, uint64_t id)
{
	struct payer_pay *y = payer_pay_find(o, id), **at = &o->pays;
	if (y)
		return y;
	y = calloc(1, sizeof(*y));
	if (!y)
		return NULL;
	y->owner = o;
	y->id = id;
	while (*at) /* oldest first */
		at = &(*at)->next;
	*at = y;
	return y;
}

static void sweep(struct otd_payer *o)
{
	for (struct payer_pay **at = &o->pays; *at;) {
		struct payer_pay *y = *at;
		if (y->gone && !y->busy) {
			*at = y->next;
			payer_pay_destroy(y);
		} else {
			at = &y->next;
		}
	}
}

static void count(struct otd_payer *o)
{
	int64_t n[OTD_PAY_PAID + 1] = {0};
	for (struct payer_pay *y = o->pays; y; y = y->next) {
		if (y->gone || y->p.state < OTD_PAY_RESERVED || y->p.state >= OTD_PAY_PAID)
			continue;
		n[y->p.state]++;
		n[0] += y->p.held;
	}
	for (int i = 0; i < OTD_PAY_PAID; i++)
		otd_metric_set(o->by_state[i], n[i]);
}

/* --- the start --- */

static otd_rc add_ids(struct payer_job *j, const uint64_t *ids, size_t n)
{
	if (n == 0)
		return OTD_OK;
	uint64_t *p = reallocarray(j->ids, j->n_ids + n, sizeof(*p));
	if (!p)
		return OTD_E_NOMEM;
	j->ids = p;
	memcpy(p + j->n_ids, ids, n * sizeof(*p));
	j->n_ids += n;
	return OTD_OK;
}

static otd_rc open_work(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	uint64_t ids[OPEN_MAX], after = 0;
	size_t n = OPEN_MAX;
	otd_rc rc = OTD_OK;
	j->n_ids = 0;
	while (!rc && n == OPEN_MAX) {
		rc = otd_pay_list(db, 0, OTD_PAY_RESERVED, OTD_PAY_SENT, after, ids, OPEN_MAX, &n,
				  err);
		if (!rc)
			rc = add_ids(j, ids, n);
		after = n ? ids[n - 1] : after;
	}
	after = 0;
	n = OPEN_MAX;
	while (!rc && n == OPEN_MAX) {
		rc = otd_pay_done_since(db, j->time_ms - PAYER_DONE_MS, after, ids, OPEN_MAX, &n,
					err);
		if (!rc)
			rc = add_ids(j, ids, n);
		after = n ? ids[n - 1] : after;
	}
	return rc;
}

static void opened(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct otd_payer *o = target;
	bool all = true;
	o->opening = false;
	for (size_t i = 0; err->rc == OTD_OK && i < j->n_ids; i++)
		all = payer_pay_add(o, j->ids[i]) != NULL && all;
	if (err->rc != OTD_OK || !all) {
		o->open_after_ms = payer_now_ms(o) + payer_pause_ms(o, ++o->open_fails);
		snprintf(o->open_trouble, sizeof(o->open_trouble),
			 "payments stand still: what is on its way cannot be read (%.200s)",
			 err->rc ? err->text : "out of memory");
		return;
	}
	o->opened = true;
	o->open_trouble[0] = '\0';
}

static void open_payments(struct otd_payer *o)
{
	if (o->opening || payer_now_ms(o) < o->open_after_ms)
		return;
	struct payer_job *j = payer_job_new(o, opened, o);
	if (!j)
		return;
	j->work = open_work;
	o->opening = payer_job_give(j, false);
}

static void tick(void *arg)
{
	struct otd_payer *o = arg;
	answer_dead_calls(o);
	if (o->draining) {
		o->flights++;
		payer_landed(o);
		return;
	}
	if (!o->started)
		return;
	if (!o->opened) {
		open_payments(o);
		return;
	}
	for (struct payer_pool *p = o->pools; p; p = p->next)
		payer_pool_go(p);
	for (struct payer_pay *y = o->pays; y; y = y->next)
		payer_go(y);
	sweep(o);
	count(o);
}

void otd_payer_tip(struct otd_payer *o, const struct otd_chain *chain)
{
	for (struct payer_pay *y = o->pays; y; y = y->next) {
		const struct payer_pool *p = payer_pool_by_id(o, y->p.pool_id);
		if (p && p->conf->c.chain == chain && y->p.state == OTD_PAY_SENT && !y->fails)
			y->next_ms = 0; /* the tick goes on with it */
	}
}

static void make_metrics(struct otd_payer *o)
{
	static const char help[] = "payments on their way, by state; held ones are counted twice";
	for (int i = 0; i < OTD_PAY_PAID; i++) {
		char labels[48];
		snprintf(labels, sizeof(labels), "state=\"%s\"",
			 i ? otd_pay_state_name((enum otd_pay_state)i) : "held");
		o->by_state[i] =
			otd_metric(o->conf.metrics, OTD_GAUGE, "otd_payments", labels, help);
	}
	o->paid = otd_metric(o->conf.metrics, OTD_COUNTER, "otd_payments_paid_total", "",
			     "payments that became final");
	o->failures = otd_metric(o->conf.metrics, OTD_COUNTER, "otd_payer_failures_total", "",
				 "steps of payments that did not work and are tried again");
}

otd_rc otd_payer_create(struct otd_payer **out, const struct otd_payer_conf *conf,
			struct otd_err *err)
{
	struct otd_payer *o = calloc(1, sizeof(*o));
	*out = NULL;
	if (!o)
		return otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
	o->conf = *conf;
	o->loop = conf->loop;
	o->env = conf->loop->env;
	o->store = conf->store;
	if (o->conf.tick_ms <= 0)
		o->conf.tick_ms = TICK_MS;
	if (o->conf.watch_ms <= 0)
		o->conf.watch_ms = WATCH_MS;
	if (o->conf.retry_ms <= 0)
		o->conf.retry_ms = RETRY_MS;
	make_metrics(o);
	if (o->env->ops->timer_create(o->loop, &o->timer, tick, o) != OTD_OK) {
		free(o);
		return otd_fail(err, OTD_E_NOMEM, "payments: no memory for a timer");
	}
	*out = o;
	return OTD_OK;
}

void otd_payer_destroy(struct otd_payer *o)
{
	if (!o)
		return;
	o->draining = true; /* nothing new from what is called back below */
	o->env->ops->timer_destroy(o->timer);
	while (o->calls) {
		struct payer_wallet_call *w = o->calls;
		o->calls = w->next;
		otd_chain_wallet_forget(w->chain, w);
		free(w);
	}
	payer_agree_forget(o, NULL);
	while (o->asking) {
		struct payer_job *j = o->asking;
		o->asking = j->next;
		payer_job_drop(j);
	}
	for (struct payer_job *j = o->jobs; j; j = j->next)
		j->owner = NULL;
	payer_asks_end(o);
	while (o->pays) {
		struct payer_pay *y = o->pays;
		o->pays = y->next;
		payer_pay_destroy(y);
	}
	free_pools(o->pools);
	free(o);
}

static bool same_fees(const struct otd_payer_pool *a, const struct otd_payer_pool *b)
{
	if (a->n_fee != b->n_fee)
		return false;
	for (size_t i = 0; i < a->n_fee; i++) {
		if (strcmp(a->fee[i].address, b->fee[i].address) != 0 ||
		    a->fee[i].share_ppm != b->fee[i].share_ppm)
			return false;
	}
	return true;
}

static bool same_conf(const struct otd_payer_pool *a, const struct otd_payer_pool *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->asset, b->asset) == 0 &&
	       a->decimals == b->decimals && a->chain == b->chain && a->on == b->on &&
	       a->minimum == b->minimum && a->cap == b->cap && a->max_parts == b->max_parts &&
	       a->every_ms == b->every_ms && a->fee_by_miners == b->fee_by_miners &&
	       a->confirmations == b->confirmations && a->fee_rate == b->fee_rate &&
	       a->max_fee_rate == b->max_fee_rate && a->max_fee_ppm == b->max_fee_ppm &&
	       a->coin_confirmations == b->coin_confirmations &&
	       strcmp(a->change, b->change) == 0 && same_fees(a, b);
}

static bool same_pools(const struct payer_pool *a, const struct payer_pool *b)
{
	for (; a && b; a = a->next, b = b->next) {
		if (!same_conf(&a->conf->c, &b->conf->c))
			return false;
	}
	return !a && !b;
}

otd_rc otd_payer_configure(struct otd_payer *o, const struct otd_payer_pool *pools, size_t n,
			   struct otd_err *err)
{
	struct payer_pool *list = NULL, **end = &list, *old;
	for (size_t i = 0; i < n; i++) {
		struct payer_pool *p = calloc(1, sizeof(*p));
		if (p) {
			p->owner = o;
			p->conf = conf_copy(&pools[i]);
		}
		if (!p || !p->conf) {
			free(p);
			free_pools(list);
			return otd_fail(err, OTD_E_NOMEM, "payments: out of memory");
		}
		*end = p;
		end = &p->next;
	}
	/* A reload of something else does not disturb what is on its way. */
	if (same_pools(o->pools, list)) {
		free_pools(list);
		return OTD_OK;
	}
	old = o->pools;
	o->pools = list;
	/* A round that was under way finds its pool gone or changed, and ends. */
	for (struct payer_pool *p = old; p; p = p->next) {
		struct payer_pool *same = payer_pool_by_name(o, p->conf->c.name);
		struct otd_err gone = {0};
		if (same) {
			same->id = p->id;
			memcpy(same->left_out, p->left_out, sizeof(same->left_out));
		}
		if (p->asker) {
			(void)otd_fail(&gone, OTD_E_STALE,
				       "the settings were changed meanwhile: ask again");
			payer_ask_round(p->asker, &gone, 0);
		}
	}
	for (struct payer_pool *p = old; p; p = p->next) {
		for (struct payer_job *j = o->jobs; j; j = j->next)
			if (j->target == p)
				j->target = NULL;
		for (struct payer_job *j = o->asking; j; j = j->next)
			if (j->target == p)
				j->target = NULL;
	}
	free_pools(old);
	forget_calls(o);
	return OTD_OK;
}

void otd_payer_start(struct otd_payer *o)
{
	if (o->started)
		return;
	o->started = true;
	o->env->ops->timer_start(o->timer, 1, o->conf.tick_ms);
}

void otd_payer_drain(struct otd_payer *o, otd_fn done, void *arg)
{
	o->draining = true;
	o->drained = done;
	o->drained_arg = arg;
	if (!o->started)
		o->env->ops->timer_start(o->timer, 1, o->conf.tick_ms);
	o->flights++;
	payer_landed(o);
}

/* --- what needs a person --- */

/* Reserved or funded, and the pool's payments are off: it would stand there without a word. */
static bool is_stopped(const struct payer_pool *p, const struct payer_pay *y)
{
	return p && p->known && !p->state.on && !p->state.restored && y->fresh &&
	       y->p.state <= OTD_PAY_FUNDED;
}

static bool pay_trouble(struct otd_payer *o, const struct payer_pay *y)
{
	struct payer_pool *p = payer_pool_by_id(o, y->p.pool_id);
	const char *pool = p ? p->conf->c.name : "?";
	const char *why = y->said ? y->say : y->p.why;
	if (y->gone || y->p.state < OTD_PAY_RESERVED)
		return false;
	if (y->p.held)
		snprintf(o->trouble, sizeof(o->trouble),
			 "payment %" PRIu64
			 " of pool %s is held: %.200s; payment show, then release "
			 "or resolve it",
			 y->id, pool, y->p.why);
	else if (!p && y->fresh && y->p.state < OTD_PAY_PAID)
		snprintf(o->trouble, sizeof(o->trouble),
			 "payment %" PRIu64 " stands still: its pool (number %" PRIu64
			 ") is not in the settings",
			 y->id, y->p.pool_id);
	else if (is_stopped(p, y))
		snprintf(o->trouble, sizeof(o->trouble),
			 "payment %" PRIu64
			 " of pool %s stands still: payments of the pool are stopped; payment "
			 "start, or resolve it --unpaid",
			 y->id, pool);
	else if (*why)
		snprintf(o->trouble, sizeof(o->trouble), "payment %" PRIu64 " of pool %s: %.300s",
			 y->id, pool, why);
	else
		return false;
	return true;
}

const char *otd_payer_trouble(struct otd_payer *o, size_t i)
{
	if (o->open_trouble[0] && i-- == 0)
		return o->open_trouble;
	for (struct payer_pool *p = o->pools; p; p = p->next) {
		if (p->trouble[0] && i-- == 0)
			return p->trouble;
		if (p->left_out[0] && i-- == 0)
			return p->left_out;
	}
	for (struct payer_pay *y = o->pays; y; y = y->next)
		if (pay_trouble(o, y) && i-- == 0)
			return o->trouble;
	return NULL;
}
