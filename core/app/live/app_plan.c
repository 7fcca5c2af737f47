/* Makes the plan of a reload, and drops it. */
#include "app/live/app_plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "app/processes/processes.h"
#include "config/yaml_change.h"
#include "pool/journal/archive.h"

/* --- pools --- */

static size_t live_pool(const struct otd_app_pool *pools, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (pools[i].settings && strcmp(pools[i].name, name) == 0)
			return i;
	}
	return SIZE_MAX;
}

static otd_rc pool_goes(struct otd_app_plan *p, size_t i, struct otd_err *err)
{
	struct otd_app_pool *pool = &p->pools[i];
	const struct otd_app_miner *miner = p->app->miner;
	if (miner && strcmp(miner->pool, pool->name) == 0)
		return otd_yaml_fail(err, OTD_E_INVALID,
				     otd_settings_at(p->live, "pools", NULL, ""),
				     "pools.%s: the miner inside this program mines in it; it can "
				     "go at a restart",
				     pool->name);
	pool->was = pool->settings;
	pool->settings = NULL;
	pool->serving = false;
	p->gone[p->n_gone++] = (uint32_t)i;
	return OTD_OK;
}

/* It may have been here before: then it has its schemes from then. */
static void pool_comes(struct otd_app_plan *p, const struct otd_settings_pool *s)
{
	struct otd_app_pool *pool = &p->pools[p->n_pools];
	*pool = (struct otd_app_pool){.settings = s};
	snprintf(pool->name, sizeof(pool->name), "%s", s->name);
	for (size_t i = p->n_old; i-- > 0 && !pool->n_schemes;) {
		if (strcmp(p->pools[i].name, s->name) != 0)
			continue;
		memcpy(pool->schemes, p->pools[i].schemes, sizeof(pool->schemes));
		pool->n_schemes = p->pools[i].n_schemes;
		p->pools[i].n_schemes = 0;
	}
	p->had_schemes[p->n_pools++] = pool->n_schemes;
}

static otd_rc plan_pools(struct otd_app_plan *p, struct otd_err *err)
{
	const struct otd_settings *s = p->live;
	size_t most = p->n_old + s->n_pools;
	otd_rc rc = OTD_OK;
	p->pools = calloc(most + 1, sizeof(*p->pools));
	p->had_schemes = calloc(most + 1, sizeof(*p->had_schemes));
	p->gone = calloc(most + 1, sizeof(*p->gone));
	p->coordinator = calloc(most + 1, sizeof(*p->coordinator));
	if (!p->pools || !p->had_schemes || !p->gone || !p->coordinator)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (p->n_old)
		memcpy(p->pools, p->app->pools, p->n_old * sizeof(*p->pools));
	p->n_pools = p->n_old;
	for (size_t i = 0; rc == OTD_OK && i < p->n_old; i++) {
		struct otd_app_pool *pool = &p->pools[i];
		p->had_schemes[i] = pool->n_schemes;
		if (!pool->settings)
			continue;
		const struct otd_settings_pool *now = otd_settings_pool(s, pool->name);
		if (now)
			pool->settings = now;
		else
			rc = pool_goes(p, i, err);
	}
	for (size_t i = 0; rc == OTD_OK && i < s->n_pools; i++) {
		if (live_pool(p->pools, p->n_old, s->pools[i].name) == SIZE_MAX)
			pool_comes(p, &s->pools[i]);
	}
	return rc;
}

/* --- chains --- */

static struct otd_app_plan_chain *planned(struct otd_app_plan *p, const struct otd_app_chain *c)
{
	for (size_t i = 0; i < p->n_chains; i++) {
		if (p->chains[i].chain == c)
			return &p->chains[i];
	}
	return NULL;
}

static struct otd_app_plan_chain *plan_chain(struct otd_app_plan *p, struct otd_app_chain *c,
					     const struct otd_settings_pool *first, bool fresh)
{
	struct otd_app_plan_chain *to = &p->chains[p->n_chains++];
	*to = (struct otd_app_plan_chain){.chain = c, .first = first, .fresh = fresh};
	return to;
}

/* A pool that stays stays on its chain. */
static otd_rc chain_stays(struct otd_app_plan *p, struct otd_app_pool *pool, struct otd_err *err)
{
	const struct otd_settings_pool *s = pool->settings;
	const struct otd_app_plan_chain *c = planned(p, pool->chain);
	if (!c) {
		plan_chain(p, pool->chain, s, false);
		return OTD_OK;
	}
	if (!otd_yaml_same(c->first->chain.options, s->chain.options))
		return otd_yaml_fail(err, OTD_E_INVALID,
				     otd_settings_at(p->live, "pools", s->name, "chain"),
				     "pools.%s.chain: it shares its chain with pool %s, which has "
				     "other options for it now; give both the same, or restart",
				     s->name, c->first->name);
	if (otd_app_same_nodes(c->first, s))
		return OTD_OK;
	return otd_yaml_fail(err, OTD_E_INVALID,
			     otd_settings_at(p->live, "pools", s->name, "nodes"),
			     "pools.%s.nodes: it shares its chain with pool %s, whose nodes are "
			     "others now; give both the same, or restart",
			     s->name, c->first->name);
}

static otd_rc chain_for_new(struct otd_app_plan *p, struct otd_app_pool *pool, struct otd_err *err)
{
	struct otd_app *app = p->app;
	const struct otd_settings_pool *s = pool->settings;
	for (size_t i = 0; i < p->n_chains; i++) {
		pool->chain = p->chains[i].chain;
		if (strcmp(pool->chain->coin, s->coin_id) == 0 &&
		    strcmp(pool->chain->network, s->network) == 0 &&
		    otd_yaml_same(p->chains[i].first->chain.options, s->chain.options) &&
		    otd_app_same_nodes(p->chains[i].first, s))
			return OTD_OK;
	}
	/* One that only pools that went are on: two over the same files would not do. */
	for (size_t i = 0; i < app->n_chains; i++) {
		pool->chain = &app->chains[i];
		if (!planned(p, pool->chain) && otd_app_chain_fits(pool->chain, s)) {
			plan_chain(p, pool->chain, s, false);
			return OTD_OK;
		}
	}
	size_t at = 0;
	while (at < OTD_POOLS_MAX && app->chains[at].chain)
		at++;
	pool->chain = NULL;
	if (at == OTD_POOLS_MAX)
		return otd_fail(err, OTD_E_RANGE, "too many chains; restart the program");
	otd_rc rc = otd_app_chain_create(app, &app->chains[at], s, err);
	if (rc == OTD_OK) {
		pool->chain = &app->chains[at];
		plan_chain(p, pool->chain, s, true);
	}
	return rc;
}

static otd_rc plan_nodes(struct otd_app_plan_chain *c, struct otd_err *err)
{
	struct otd_node_conf nodes[OTD_APP_NODES_MAX];
	const struct otd_settings_pool *s = c->first;
	struct otd_err why = {0};
	if (c->fresh)
		return OTD_OK;
	if (s->n_nodes > OTD_APP_NODES_MAX ||
	    (s->n_nodes == 0 && !otd_instance_chain(c->chain->plugin)->local))
		return otd_yaml_fail(err, OTD_E_INVALID, s->at,
				     "pools.%s.nodes: name at least one node, at most %d", s->name,
				     OTD_APP_NODES_MAX);
	otd_rc rc = otd_chain_prepare_nodes(c->chain->chain, &c->nodes, nodes,
					    otd_app_node_confs(nodes, s), &why);
	if (rc != OTD_OK)
		return otd_yaml_fail(err, rc, s->at, "pools.%s.nodes: %s", s->name, why.text);
	return OTD_OK;
}

/* Of a chain that was there. */
static otd_rc plan_options(struct otd_app_plan_chain *c, struct otd_err *err)
{
	const struct otd_yaml *now = c->first->chain.options;
	if (c->fresh || otd_yaml_same(otd_yaml_root(c->chain->options), now))
		return OTD_OK;
	if (otd_yaml_copy_doc(&c->options, now) != OTD_OK)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	return otd_instance_prepare(&c->change, c->chain->plugin, now, err);
}

static otd_rc plan_chains(struct otd_app_plan *p, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	p->chains = calloc(p->n_pools + 1, sizeof(*p->chains));
	if (!p->chains)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < p->n_old; i++) {
		if (p->pools[i].settings)
			rc = chain_stays(p, &p->pools[i], err);
	}
	for (size_t i = p->n_old; rc == OTD_OK && i < p->n_pools; i++) {
		rc = chain_for_new(p, &p->pools[i], err);
		if (rc == OTD_OK)
			rc = otd_app_pool_script(&p->pools[i], p->pools[i].settings, err);
	}
	for (size_t i = 0; rc == OTD_OK && i < p->n_chains; i++) {
		rc = plan_nodes(&p->chains[i], err);
		if (rc == OTD_OK)
			rc = plan_options(&p->chains[i], err);
	}
	return rc;
}

/* --- what coordinator and accounting are to know --- */

static otd_rc plan_parts(struct otd_app_plan *p, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	p->acct = calloc(p->n_pools + 1, sizeof(*p->acct));
	p->acct_schemes = calloc(p->n_pools + 1, sizeof(*p->acct_schemes));
	if (!p->acct || !p->acct_schemes)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < p->n_pools; i++) {
		struct otd_app_pool *pool = &p->pools[i];
		if (!pool->settings)
			continue;
		rc = otd_app_coordinator_pool(&p->coordinator[i], pool, pool->settings, err);
		if (rc == OTD_OK)
			rc = otd_app_schemes_make(p->app, pool, pool->settings, err);
		if (rc == OTD_OK && (i >= p->n_old || pool->n_schemes > p->had_schemes[i])) {
			p->acct[p->n_acct] = otd_app_acct_pool(pool, i, pool->settings,
							       p->acct_schemes[p->n_acct]);
			p->n_acct++;
		}
	}
	if (rc == OTD_OK)
		rc = otd_coordinator_check(p->app->coordinator, p->coordinator + p->n_old,
					   p->n_pools - p->n_old, err);
	return rc;
}

/* --- ports --- */

static void port_goes(struct otd_app_plan *p, size_t i)
{
	const struct otd_app_port *key = &p->ports.key[i];
	const struct otd_settings_pool *s = p->pools[key->pool].settings;
	char *text = p->gone_texts[p->n_gone_ports];
	snprintf(text, sizeof(p->gone_texts[0]),
		 "port %u of this pool is closed; connect to port %u instead", key->number,
		 s->ports[0].port);
	p->gone_ports[p->n_gone_ports++] =
		(struct otd_stratum_gone_port){.port = (uint32_t)i, .text = text};
}

static otd_rc plan_ports(struct otd_app_plan *p, struct otd_err *err)
{
	const struct otd_app_ports *old = &p->app->ports;
	otd_rc rc = otd_app_ports_make(p->app, &p->ports, old, p->pools, p->n_pools, err);
	if (rc != OTD_OK)
		return rc;
	p->gone_ports = calloc(old->n + 1, sizeof(*p->gone_ports));
	p->gone_texts = calloc(old->n + 1, sizeof(*p->gone_texts));
	p->listeners = calloc(p->ports.n + 1, sizeof(struct otd_app_listener *));
	p->new_listener = calloc(p->ports.n + 1, sizeof(*p->new_listener));
	p->listener_port = calloc(p->ports.n + 1, sizeof(*p->listener_port));
	if (!p->gone_ports || !p->gone_texts || !p->listeners || !p->new_listener ||
	    !p->listener_port)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < old->n; i++) {
		/* The ports of a pool that goes go with it. */
		if (old->key[i].open && !p->ports.key[i].open &&
		    p->pools[old->key[i].pool].settings)
			port_goes(p, i);
	}
	return OTD_OK;
}

/* --- reactors --- */

static otd_rc plan_changes(struct otd_app_plan *p, void (*applied)(void *arg), void *arg,
			   struct otd_err *err)
{
	struct otd_app *app = p->app;
	size_t n = p->n_pools - p->n_old;
	struct otd_reactor_pool *pools = calloc(n + 1, sizeof(*pools));
	otd_rc rc = OTD_OK;
	p->changes = calloc(app->n_reactors + 1, sizeof(struct otd_stratum_change *));
	if (!pools || !p->changes)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < n; i++) {
		const struct otd_app_pool *pool = &p->pools[p->n_old + i];
		pools[i] = otd_app_reactor_pool(pool, pool->settings);
	}
	const struct otd_stratum_change_conf conf = {.pools = pools,
						     .n_pools = n,
						     .gone = p->gone,
						     .n_gone = p->n_gone,
						     .gone_ports = p->gone_ports,
						     .n_gone_ports = p->n_gone_ports,
						     .ports = p->ports.conf,
						     .n_ports = p->ports.n,
						     .limits = otd_app_limits(p->live),
						     .applied = applied,
						     .arg = arg};
	for (size_t i = 0; rc == OTD_OK && i < app->n_reactors; i++)
		rc = otd_stratum_change_create(&p->changes[i], app->reactors[i].stratum, &conf,
					       err);
	if (rc == OTD_OK)
		rc = otd_app_processes_change(p, &p->process_change, err);
	free(pools);
	return rc;
}

/* --- the whole --- */

/* It looks at nothing before it is told the bounds: what it does cannot be taken back. */
static otd_rc plan_archive(struct otd_app_plan *p, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	if (!p->app->archive)
		rc = otd_app_make_archive(p->app, &p->archive, &p->live->journal, err);
	if (p->archive)
		otd_archive_set(p->archive, 0, 0, false);
	return rc;
}

static otd_rc plan_enable(struct otd_app_plan *p, struct otd_err *err)
{
	const struct otd_settings_texts *t = &p->live->plugins.enable;
	otd_rc rc = otd_plugins_enable_create(&p->enable, t->item, t->n, err);
	/* From here on, so that new ones can be made; it is taken back where the plan is dropped. */
	if (rc == OTD_OK)
		otd_plugins_enable_swap(p->app->plugins, p->enable);
	return rc;
}

otd_rc otd_app_plan_create(struct otd_app_plan **out, struct otd_app *app,
			   struct otd_settings *live, void (*applied)(void *arg), void *arg,
			   struct otd_err *err)
{
	struct otd_app_plan *p = calloc(1, sizeof(*p));
	*out = NULL;
	if (!p)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	p->app = app;
	p->live = live;
	p->n_old = app->n_pools;
	otd_rc rc = plan_enable(p, err);
	if (rc == OTD_OK)
		rc = plan_pools(p, err);
	if (rc == OTD_OK)
		rc = plan_chains(p, err);
	if (rc == OTD_OK)
		rc = plan_parts(p, err);
	if (rc == OTD_OK)
		rc = plan_ports(p, err);
	if (rc == OTD_OK)
		rc = plan_changes(p, applied, arg, err);
	if (rc == OTD_OK)
		rc = plan_archive(p, err);
	if (rc != OTD_OK)
		otd_app_plan_destroy(p);
	else
		*out = p;
	return rc;
}

/* Nothing of it is to be seen any more. */
static void take_back(struct otd_app_plan *p)
{
	if (p->enable)
		otd_plugins_enable_swap(p->app->plugins, p->enable);
	for (size_t i = 0; p->pools && i < p->n_pools; i++)
		otd_app_schemes_free(&p->pools[i], p->had_schemes[i]);
	for (size_t i = 0; i < p->n_chains; i++) {
		if (p->chains[i].fresh)
			otd_app_chain_destroy(p->chains[i].chain);
	}
	for (size_t i = 0; p->new_listener && i < p->n_listeners; i++) {
		if (p->new_listener[i])
			otd_app_listener_destroy(p->listeners[i]);
	}
	free(p->listeners);
}

void otd_app_plan_destroy(struct otd_app_plan *p)
{
	if (!p)
		return;
	for (size_t i = 0; p->changes && i < p->app->n_reactors; i++)
		otd_stratum_change_destroy(p->changes[i]);
	otd_accounting_discard(p->addition);
	otd_archive_destroy(p->archive);
	for (size_t i = 0; i < p->n_chains; i++) {
		otd_chain_discard_nodes(p->chains[i].nodes);
		otd_instance_change_finish(p->chains[i].change);
		otd_yaml_destroy(p->chains[i].options);
	}
	if (p->live) /* else it was carried out */
		take_back(p);
	otd_plugins_enable_destroy(p->enable);
	otd_app_ports_free(&p->ports);
	free(p->pools);
	free(p->had_schemes);
	free(p->gone);
	free(p->chains);
	free(p->coordinator);
	free(p->gone_ports);
	free(p->gone_texts);
	free(p->changes);
	free(p->process_change);
	free(p->new_listener);
	free(p->listener_port);
	free(p->acct);
	free(p->acct_schemes);
	free(p);
}
