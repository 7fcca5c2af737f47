/* The threads' policies: made, changed all at once, ended. See app/policy/app_policy.h. */
#include "app/policy/app_policy.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_fee.h"
#include "app/policy/app_policy_impl.h"
#include "app/processes/processes.h"
#include "base/log.h"

/* --- what stratum asks --- */

static bool wants(void *arg, enum otd_policy_hook h, const char *pool) /* [reactor] */
{
	const struct policy_thread *t = arg;
	return otd_policy_wants(t->policy, h, pool);
}

static void ask_connect(void *arg, struct otd_policy_connect_out *out,
			const struct otd_policy_connect *in) /* [reactor] */
{
	otd_policy_connect(((struct policy_thread *)arg)->policy, out, in);
}

static void ask_authorize(void *arg, struct otd_policy_authorize_out *out,
			  const struct otd_policy_authorize *in) /* [reactor] */
{
	otd_policy_authorize(((struct policy_thread *)arg)->policy, out, in);
}

static void ask_difficulty(void *arg, struct otd_policy_difficulty_out *out,
			   const struct otd_policy_difficulty *in) /* [reactor] */
{
	otd_policy_difficulty(((struct policy_thread *)arg)->policy, out, in);
}

static void ask_offence(void *arg, struct otd_policy_offence_out *out,
			const struct otd_policy_offence *in) /* [reactor] */
{
	otd_policy_offence(((struct policy_thread *)arg)->policy, out, in);
}

static void ban(void *arg, const char *script, enum otd_policy_scope scope, const char *what,
		int64_t seconds, const char *reason) /* [reactor] */
{
	struct policy_thread *t = arg;
	const struct otd_policy_services s = policy_services(t);
	const struct otd_policy_ban b = {script, scope, what, seconds, reason};
	struct otd_err err = {0};
	if (s.ban(s.arg, &b, &err) != OTD_OK)
		otd_log(OTD_LOG_WARN, "policy", "ban.refused", "script=%s what=%s error=%s",
			OTD_Q(script), OTD_Q(what), OTD_Q(err.text));
}

/* --- threads --- */

static otd_rc thread_init(struct otd_app_policy *p, size_t i, struct otd_err *err)
{
	struct policy_thread *t = &p->thread[i];
	struct otd_app *app = p->app;
	t->app = app;
	t->index = i;
	if (i)
		snprintf(t->where, sizeof(t->where), "reactor-%zu", i - 1);
	else
		snprintf(t->where, sizeof(t->where), "coordinator");
	otd_rc rc = otd_policy_kv_create(&t->kv, app->env, 0, policy_kv_changed, t);
	const struct otd_policy_conf conf = {.env = app->env,
					     .where = t->where,
					     .metrics = app->metrics,
					     .services = policy_services(t),
					     .kv = t->kv};
	if (rc == OTD_OK)
		rc = otd_policy_create(&t->policy, &conf);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "policy: out of memory");
	otd_policy_on_difference(t->policy, policy_difference, t);
	t->ask = (struct otd_stratum_policy){.wants = wants,
					     .connect = ask_connect,
					     .authorize = ask_authorize,
					     .difficulty = ask_difficulty,
					     .offence = ask_offence,
					     .ban = ban,
					     .arg = t};
	return OTD_OK;
}

const struct otd_stratum_policy *otd_app_policy_of(struct otd_app *app, uint32_t index)
{
	struct otd_app_policy *p = app->policy;
	return p && index + 1 < p->n_threads ? &p->thread[index + 1].ask : NULL;
}

void otd_app_policy_attach(struct otd_app *app, uint32_t index, struct otd_loop *loop,
			   struct otd_stratum *stratum)
{
	struct otd_app_policy *p = app->policy;
	if (!p || index + 1 >= p->n_threads)
		return;
	p->thread[index + 1].loop = loop;
	p->thread[index + 1].stratum = stratum;
}

/* --- one order to all threads --- */

struct order {
	struct policy_thread *t;
	enum policy_op op;
	struct otd_policy_set *set; /* goes there, and what was there comes back */
	bool on;
};

struct policy_orders {
	size_t n, left;
	struct order one[];
};

struct policy_orders *policy_orders_create(struct otd_app_policy *p)
{
	struct policy_orders *o = calloc(1, sizeof(*o) + p->n_threads * sizeof(o->one[0]));
	if (o) {
		o->n = o->left = p->n_threads;
		for (size_t i = 0; i < o->n; i++)
			o->one[i].t = &p->thread[i];
	}
	return o;
}

void policy_orders_destroy(struct policy_orders *o)
{
	free(o);
}

static void obey(struct order *w) /* [its thread] */
{
	struct otd_policy *policy = w->t->policy;
	switch (w->op) {
	case POLICY_SWAP: w->set = otd_policy_swap(policy, w->set); break;
	case POLICY_SHADOW: w->set = otd_policy_shadow(policy, w->set); break;
	case POLICY_RECORD: otd_policy_on_call(policy, w->on ? policy_call : NULL, w->t); break;
	}
	if (w->op == POLICY_SWAP && w->t->stratum)
		otd_stratum_policy_changed(w->t->stratum);
}

/* Old sets are given back where nobody waits for shares. */
static void obeyed(void *arg) /* [coordinator] */
{
	struct order *w = arg;
	struct policy_orders *o =
		(struct policy_orders *)(void *)((char *)(w - w->t->index) -
						 offsetof(struct policy_orders, one));
	otd_policy_set_destroy(w->set);
	if (--o->left == 0)
		policy_orders_destroy(o);
}

static void obey_there(void *arg) /* [reactor] */
{
	struct order *w = arg;
	obey(w);
	if (otd_loop_post(w->t->app->loop, obeyed, w) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "policy", "swap.leak", "where=%s", w->t->where);
}

void policy_order(struct otd_app_policy *p, struct policy_orders *o, enum policy_op op,
		  struct otd_policy_set **sets, bool on)
{
	size_t n = o->n;
	for (size_t i = n; i-- > 0;) {
		struct order *w = &o->one[i];
		w->op = op;
		w->on = on;
		w->set = sets ? sets[i] : NULL;
		if (sets)
			sets[i] = NULL;
		if (i == 0 || !p->thread[i].loop) {
			obey(w);
			obeyed(w);
		} else if (otd_loop_post(p->thread[i].loop, obey_there, w) != OTD_OK) {
			/* Only where memory runs out. */
			otd_log(OTD_LOG_ERROR, "policy", "swap.lost", "where=%s", w->t->where);
			obeyed(w);
		}
	}
}

/* --- changes --- */

otd_rc policy_change_create(struct otd_app_policy_change **out, struct otd_app_policy *p,
			    struct policy_gen *g, struct otd_err *err)
{
	struct otd_app_policy_change *c = calloc(1, sizeof(*c));
	otd_rc rc = c ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	*out = NULL;
	if (c) {
		c->n = p->n_threads;
		c->orders = policy_orders_create(p);
		c->sets = calloc(c->n, sizeof(struct otd_policy_set *));
		if (!c->orders || !c->sets)
			rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	if (rc == OTD_OK)
		rc = policy_sets_build(c->sets, c->n, p->app->env, g, err);
	if (rc == OTD_OK && c->n > 1)
		rc = otd_app_processes_policy(p->app->settings, c->sets[1], err);
	if (rc) {
		otd_app_policy_discard(c);
		return rc;
	}
	c->gen = g;
	*out = c;
	return OTD_OK;
}

void otd_app_policy_discard(struct otd_app_policy_change *c)
{
	if (!c)
		return;
	policy_sets_destroy(c->sets, c->n);
	free(c->sets);
	policy_orders_destroy(c->orders);
	policy_gen_drop(c->gen);
	free(c);
}

static void remember(struct otd_app_policy *p, struct policy_gen *g, const char *how)
{
	if (p->n_past == POLICY_HISTORY) {
		policy_gen_drop(p->past[0].gen);
		memmove(p->past, p->past + 1, (POLICY_HISTORY - 1) * sizeof(p->past[0]));
		p->n_past--;
	}
	struct policy_past *at = &p->past[p->n_past++];
	*at = (struct policy_past){.gen = g, .since_ms = otd_wall_ms(p->app->env)};
	snprintf(at->how, sizeof(at->how), "%s", how);
}

void policy_take(struct otd_app_policy *p, struct otd_app_policy_change *c, const char *how)
{
	remember(p, c->gen, how);
	c->gen = NULL;
	p->n_alerts = 0;
	policy_order(p, c->orders, POLICY_SWAP, c->sets, true);
	c->orders = NULL;
	otd_log(OTD_LOG_INFO, "policy", "scripts.in_force", "scripts=%zu how=%s",
		p->past[p->n_past - 1].gen->n, OTD_Q(how));
	otd_app_policy_discard(c);
	policy_fees_ask(p, true);
	policy_accounts_anew(p);
}

otd_rc otd_app_policy_prepare(struct otd_app *app, struct otd_app_policy_change **out,
			      const struct otd_settings *s, struct otd_err *err)
{
	struct policy_gen *g = NULL;
	*out = NULL;
	otd_rc rc = policy_gen_read(&g, app->env, s, err);
	if (rc == OTD_OK)
		rc = policy_change_create(out, app->policy, g, err);
	if (rc)
		policy_gen_drop(g);
	return rc;
}

void otd_app_policy_commit(struct otd_app *app, struct otd_app_policy_change *c)
{
	app->policy->confirm_ms = 0;
	policy_take(app->policy, c, "reload");
}

/* --- life --- */

static void on_tick(void *arg)
{
	struct otd_app_policy *p = arg;
	int64_t now_ms = otd_wall_ms(p->app->env);
	otd_app_fees_tick(p->app, now_ms);
	policy_fees_ask(p, false);
	policy_accounts_tick(p, now_ms);
	policy_events_tick(p, now_ms);
	policy_live_tick(p, now_ms);
	policy_kv_tick(p, now_ms);
	policy_record_tick(p);
}

otd_rc otd_app_policy_create(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_policy *p = calloc(1, sizeof(*p));
	struct otd_app_policy_change *c = NULL;
	if (!p)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	app->policy = p;
	p->app = app;
	otd_bytes_init(&p->recorded, POLICY_RECORD_MAX);
	policy_payer_init(p);
	size_t n = (size_t)app->settings->threads.reactors + 1;
	p->thread = calloc(n, sizeof(*p->thread));
	if (!p->thread)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_rc rc = OTD_OK;
	for (; rc == OTD_OK && p->n_threads < n; p->n_threads++)
		rc = thread_init(p, p->n_threads, err);
	if (rc == OTD_OK)
		rc = app->env->ops->worker_create(app->loop, &p->worker, "policy", err);
	if (rc == OTD_OK)
		rc = policy_kv_open(p, err);
	if (rc == OTD_OK)
		rc = otd_app_policy_prepare(app, &c, app->settings, err);
	if (rc == OTD_OK) {
		remember(p, c->gen, "start");
		c->gen = NULL;
		policy_order(p, c->orders, POLICY_SWAP, c->sets, true);
		c->orders = NULL;
		otd_app_policy_discard(c);
		policy_fees_seed(p);
	}
	return rc;
}

otd_rc otd_app_policy_start(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_policy *p = app->policy;
	otd_rc rc = app->env->ops->timer_create(app->loop, &p->timer, on_tick, p);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "out of memory");
	p->minute_ms = otd_wall_ms(app->env) + 1000; /* scripts learn soon that it has begun */
	policy_fees_ask(p, true);
	policy_events_begin(p);
	p->started = true;
	app->env->ops->timer_start(p->timer, 1000, 1000);
	return OTD_OK;
}

void otd_app_policy_stop(struct otd_app *app)
{
	struct otd_app_policy *p = app->policy;
	if (!p)
		return;
	p->stopping = true;
	if (p->timer)
		app->env->ops->timer_destroy(p->timer);
	if (p->worker)
		app->env->ops->worker_destroy(p->worker);
	p->worker = NULL;
	policy_kv_close(p);
	policy_record_tick(p);
	for (size_t i = 0; p->thread && i < p->n_threads; i++) {
		otd_policy_destroy(p->thread[i].policy);
		otd_policy_kv_destroy(p->thread[i].kv);
	}
	free(p->thread);
	for (size_t i = 0; i < p->n_past; i++)
		policy_gen_drop(p->past[i].gen);
	for (size_t i = 0; i < POLICY_SHOWN; i++)
		free(p->difference[i]);
	otd_bytes_finish(&p->recorded);
	policy_accounts_free(p);
	free(p->fee);
	free(p->node);
	free(p->shares);
	free(p);
	app->policy = NULL;
}

const char *otd_app_policy_trouble(const struct otd_app *app, size_t i)
{
	const struct otd_app_policy *p = app->policy;
	if (!p)
		return NULL;
	if (p->kv_trouble[0] && i-- == 0)
		return p->kv_trouble;
	return i < p->n_alerts ? p->alert[i] : NULL;
}
