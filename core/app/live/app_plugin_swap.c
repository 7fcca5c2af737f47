/* Swaps of algorithms and payout schemes in a running pool, see app_plugin.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "app/live/app_plugin.h"
#include "app/processes/processes.h"
#include "base/log.h"

/* --- what the trial is to make --- */

static void put_options(struct otd_bytes *out, const struct otd_yaml *options)
{
	if (!options || otd_yaml_kind(options) != OTD_YAML_MAP)
		return; /* the defaults are tried in any case */
	otd_yaml_flow(out, options);
	(void)!otd_bytes_text(out, "\n");
}

otd_rc otd_app_swap_options(struct otd_app *app, struct otd_app_change *c)
{
	bool algo = strcmp(c->kind, "algo") == 0;
	for (size_t i = 0; algo && i < app->n_chains; i++) {
		const struct otd_app_chain *chain = &app->chains[i];
		if (chain->algo && strcmp(chain->first->coin->algorithm.id, c->id) == 0)
			put_options(&c->options, chain->first->coin->algorithm.options);
	}
	for (size_t i = 0; !algo && i < app->n_pools; i++) {
		const struct otd_app_pool *p = &app->pools[i];
		for (size_t k = 0; p->chain && k < p->n_schemes; k++) {
			if (strcmp(p->schemes[k].use->id, c->id) == 0)
				put_options(&c->options, p->schemes[k].use->options);
		}
	}
	return c->options.failed ? OTD_E_NOMEM : OTD_OK;
}

/* --- an algorithm --- */

/* A pool of a reactor that is to take it. */
struct take {
	struct otd_app_live *live;
	struct otd_reactor *reactor;
	struct otd_loop *loop;
	uint32_t pool;
	struct otd_reactor_swap *swap;
	struct otd_app_old *old;
};

/* One chain's part of a swap. */
struct part {
	struct otd_app_chain *chain;
	struct otd_plugin_instance *fresh;
	struct otd_app_old *old; /* what will hold the instance that is replaced */
	bool hashes;             /* the chain plugin's "hash/1" is the fresh one's already */
};

struct otd_app_swap_plan {
	struct part *parts;
	size_t n_parts;
	struct take **takes;
	size_t n_takes;
};

static void let_go(struct otd_app_old *o)
{
	struct otd_app_old **at = &o->app->live->old;
	if (--o->left)
		return;
	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	struct otd_plugin_state s;
	otd_plugin_state(otd_instance_plugin(o->instance), &s);
	otd_instance_destroy(o->instance);
	otd_log(OTD_LOG_INFO, "plugin", "plugin.drained", "plugin=%s/%s generation=%u of=%s",
		s.kind, s.id, s.generation, o->what);
	free(o);
}

void otd_app_plugins_miner_gone(struct otd_app *app, const struct otd_plugin_instance *algo)
{
	for (struct otd_app_old *o = app->live ? app->live->old : NULL; o; o = o->next) {
		if (o->instance == algo) {
			let_go(o);
			return;
		}
	}
}

static void on_gone(void *arg)
{
	let_go(arg);
}

/* [reactor]; or at the very end, when nobody waits any more. */
static void gone_on_reactor(void *arg)
{
	struct otd_app_old *o = arg;
	if (atomic_load(&o->app->stopping))
		return;
	if (otd_loop_post(o->app->loop, on_gone, o) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "plugin", "plugin.not_drained", "of=%s until=restart",
			o->what);
}

static void on_taken(void *arg)
{
	struct take *t = arg;
	if (--t->live->change.waiting == 0)
		otd_app_change_done(t->live);
	free(t);
}

static void take_on_reactor(void *arg) /* [reactor] */
{
	struct take *t = arg;
	otd_reactor_swap(t->reactor, t->pool, t->swap, gone_on_reactor, t->old);
	t->swap = NULL;
	if (atomic_load(&t->live->app->stopping) ||
	    otd_loop_post(t->live->app->loop, on_taken, t) != OTD_OK)
		free(t);
}

/* What sessions were told, and what was accepted, follows from these. */
static otd_rc same_facts(const struct otd_algo_info *a, const struct otd_algo_info *b,
			 const char *pool, struct otd_err *err)
{
	const char *what = NULL;
	if (memcmp(a->diff1, b->diff1, sizeof(a->diff1)) != 0)
		what = "difficulty 1";
	else if (a->header_len != b->header_len)
		what = "length of a header";
	else if (a->nonce_offset != b->nonce_offset || a->nonce_len != b->nonce_len ||
		 a->nonce_be != b->nonce_be)
		what = "place of the nonce";
	else if (a->identity != b->identity)
		what = "name of a block";
	else if ((a->flags ^ b->flags) & OTD_ALGO_NEEDS_SEED)
		what = "need of a seed";
	if (!what)
		return OTD_OK;
	return otd_fail(
		err, OTD_E_UNSUPPORTED,
		"pool %s: the new algorithm has another %s than the one that serves: that is "
		"another algorithm, and wants a restart",
		pool, what);
}

static otd_rc make_part(struct otd_app *app, struct part *part, struct otd_app_chain *chain,
			struct otd_plugin *draft, struct otd_err *err)
{
	const struct otd_settings_use *use = &chain->first->coin->algorithm;
	*part = (struct part){.chain = chain};
	part->old = calloc(1, sizeof(*part->old));
	if (!part->old)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	*part->old = (struct otd_app_old){.app = app, .instance = chain->algo};
	(void)snprintf(part->old->what, sizeof(part->old->what), "%s-%s", chain->first->coin_id,
		       chain->first->network);
	otd_rc rc = otd_instance_create(&part->fresh, draft, use->options, use->path, NULL, err);
	return rc ? rc
		  : same_facts(otd_instance_algo_info(chain->algo),
			       otd_instance_algo_info(part->fresh), chain->first->name, err);
}

static otd_rc make_take(struct otd_app *app, struct otd_app_swap_plan *plan,
			struct otd_app_reactor *r, uint32_t pool, struct part *part,
			struct otd_err *err)
{
	struct take *t = calloc(1, sizeof(*t));
	struct otd_reactor_pool conf = {.name = app->pools[pool].name,
					.algo = otd_instance_algo(part->fresh),
					.algo_self = otd_instance_self(part->fresh),
					.algo_info = otd_instance_algo_info(part->fresh)};
	if (!t)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	plan->takes[plan->n_takes++] = t;
	*t = (struct take){.live = app->live,
			   .reactor = r->reactor,
			   .loop = r->loop,
			   .pool = pool,
			   .old = part->old};
	part->old->left++;
	return otd_reactor_swap_prepare(r->reactor, &t->swap, &conf, err);
}

static otd_rc make_takes(struct otd_app *app, struct otd_app_swap_plan *plan, struct part *part,
			 struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++) {
		for (size_t k = 0; rc == OTD_OK && k < app->n_reactors; k++) {
			if (app->pools[i].chain == part->chain)
				rc = make_take(app, plan, &app->reactors[k], (uint32_t)i, part,
					       err);
		}
	}
	/* The built-in miner goes on with the instance that it began with. */
	if (app->miner && app->miner->algo == part->chain->algo)
		part->old->left++;
	return rc;
}

static otd_rc make_plan(struct otd_app *app, struct otd_app_swap_plan *plan,
			struct otd_app_change *c, struct otd_err *err)
{
	plan->parts = calloc(app->n_chains ? app->n_chains : 1, sizeof(*plan->parts));
	plan->takes = calloc(app->n_pools * app->n_reactors + 1, sizeof(struct take *));
	otd_rc rc =
		plan->parts && plan->takes ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < app->n_chains; i++) {
		struct otd_app_chain *chain = &app->chains[i];
		if (!chain->algo)
			continue; /* an unused place */
		const struct otd_plugin_desc *d = otd_plugin_desc(otd_instance_plugin(chain->algo));
		if (strcmp(d->id, c->id) == 0)
			rc = make_part(app, &plan->parts[plan->n_parts++], chain, c->draft, err);
	}
	for (size_t i = 0; rc == OTD_OK && i < plan->n_parts; i++)
		rc = make_takes(app, plan, &plan->parts[i], err);
	for (size_t i = 0; rc == OTD_OK && i < plan->n_parts; i++) {
		struct part *p = &plan->parts[i];
		rc = otd_instance_hash_with(p->chain->plugin, p->fresh);
		p->hashes = rc == OTD_OK;
		if (rc)
			otd_fail(err, rc, "chain %s: no memory for the algorithm's scratch",
				 p->chain->first->coin_id);
	}
	return rc;
}

/* Nothing of it was published: what serves serves on. */
static void drop_plan(struct otd_app_swap_plan *plan)
{
	for (size_t i = 0; i < plan->n_takes; i++) {
		otd_reactor_swap_destroy(plan->takes[i]->swap);
		free(plan->takes[i]);
	}
	for (size_t i = 0; i < plan->n_parts; i++) {
		struct part *p = &plan->parts[i];
		if (p->hashes)
			(void)!otd_instance_hash_with(p->chain->plugin, p->chain->algo);
		otd_instance_destroy(p->fresh);
		free(p->old);
	}
}

static void carry_out(struct otd_app *app, struct otd_app_swap_plan *plan, struct otd_app_change *c)
{
	for (size_t i = 0; i < plan->n_parts; i++) {
		struct part *p = &plan->parts[i];
		p->chain->algo = p->fresh;
		p->old->next = app->live->old;
		app->live->old = p->old;
		if (!p->old->left) { /* a chain without pools */
			p->old->left = 1;
			let_go(p->old);
		}
	}
	otd_app_publish(c);
	c->waiting = plan->n_takes;
	for (size_t i = 0; i < plan->n_takes; i++) {
		struct take *t = plan->takes[i];
		if (otd_loop_post(t->loop, take_on_reactor, t) == OTD_OK)
			continue;
		/* Its reactor ends, or has no memory for a message: it stays with the old one. */
		otd_log(OTD_LOG_ERROR, "plugin", "plugin.not_taken", "plugin=%s/%s pool=%u",
			c->kind, c->id, t->pool);
		otd_reactor_swap_destroy(t->swap);
		free(t);
		c->waiting--;
	}
}

static void plan_free(struct otd_app_swap_plan *plan, bool drop)
{
	if (drop)
		drop_plan(plan);
	free(plan->takes);
	free(plan->parts);
	free(plan);
}

/* All reactor processes have answered. */
static void on_prepared(void *arg, const struct otd_err *err)
{
	struct otd_app_live *live = arg;
	struct otd_app *app = live->app;
	struct otd_app_change *c = &live->change;
	struct otd_app_swap_plan *plan = live->plan;
	live->plan = NULL;
	if (err->rc) {
		plan_free(plan, true);
		c->err = *err;
		c->waiting = 0;
		otd_app_change_failed(live);
		return;
	}
	carry_out(app, plan, c);
	plan_free(plan, false);
	/* The pool has no reactors of its own then: only theirs are waited for. */
	c->waiting = otd_app_processes_swap_commit(app);
	if (!c->waiting)
		otd_app_change_done(live);
}

static void on_all_taken(void *arg)
{
	struct otd_app_live *live = arg;
	live->change.waiting = 0;
	otd_app_change_done(live);
}

/* Reactors in processes: all of them prepare it, then it is decided. */
static otd_rc ask_processes(struct otd_app *app, struct otd_app_swap_plan *plan,
			    struct otd_app_change *c, bool *later, struct otd_err *err)
{
	const struct otd_processes_swap s = {on_prepared, on_all_taken, app->live};
	size_t asked = 0;
	otd_rc rc =
		app->processes ? otd_app_processes_swap(app, c->draft, &s, &asked, err) : OTD_OK;
	*later = asked != 0;
	if (asked) {
		c->waiting = asked;
		app->live->plan = plan;
	}
	return rc;
}

otd_rc otd_app_swap_algo(struct otd_app *app, struct otd_app_change *c, struct otd_err *err)
{
	struct otd_app_swap_plan *plan = calloc(1, sizeof(*plan));
	bool later = false;
	if (!plan)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_rc rc = make_plan(app, plan, c, err);
	if (rc == OTD_OK)
		rc = ask_processes(app, plan, c, &later, err);
	if (rc == OTD_OK && later)
		return OTD_OK;
	if (rc == OTD_OK)
		carry_out(app, plan, c);
	plan_free(plan, rc != OTD_OK);
	return rc;
}

void otd_app_swap_give_up(struct otd_app *app)
{
	struct otd_app_live *live = app->live;
	otd_app_processes_swap_forget(app);
	if (!live->plan)
		return;
	plan_free(live->plan, true);
	live->plan = NULL;
	(void)otd_fail(&live->change.err, OTD_E_CLOSED, "the pool is ending");
	otd_app_change_failed(live);
}

/* --- a payout scheme --- */

otd_rc otd_app_swap_payout(struct otd_app *app, struct otd_app_change *c, struct otd_err *err)
{
	struct otd_acct_swap *swaps =
		calloc(app->n_pools * OTD_APP_SCHEMES_MAX + 1, sizeof(*swaps));
	size_t n = 0;
	otd_rc rc = swaps ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++) {
		struct otd_app_pool *p = &app->pools[i];
		for (size_t k = 0; rc == OTD_OK && k < p->n_schemes; k++) {
			const struct otd_app_scheme *s = &p->schemes[k];
			if (!p->chain || strcmp(s->use->id, c->id) != 0)
				continue;
			swaps[n].pool = app->pools[i].name;
			swaps[n].scheme = s->name;
			rc = otd_instance_create(&swaps[n].fresh, c->draft, s->use->options,
						 s->use->path, NULL, err);
			n += rc == OTD_OK;
		}
	}
	if (rc == OTD_OK)
		rc = otd_accounting_swap(app->accounting, swaps, n, &c->seq, err);
	for (size_t i = 0; rc && i < n; i++)
		otd_instance_destroy(swaps[i].fresh);
	if (rc == OTD_OK)
		otd_app_publish(c);
	free(swaps);
	return rc;
}
