/* The plan of a reload on its way: what it waits for, the last that may fail, and doing it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_fee.h"
#include "app/app_parts.h"
#include "app/live/app_plan.h"
#include "app/policy/app_policy.h"
#include "app/processes/processes.h"
#include "pool/history.h"
#include "pool/journal/archive.h"

/* --- what waits for a restart --- */

static bool begins(const char *s, const char *with)
{
	return strncmp(s, with, strlen(with)) == 0;
}

/* Whether a key that is not live stands at path or below it. */
static bool waits(const struct otd_diff *d, const char *path)
{
	const struct otd_diff_key *k;
	for (size_t i = 0; (k = otd_diff_key(d, i)); i++) {
		char after = begins(k->path, path) ? k->path[strlen(path)] : 'x';
		if (!k->live && (after == '\0' || after == '.'))
			return true;
	}
	return false;
}

static otd_rc try_use(struct otd_app *app, const char *kind, const struct otd_settings_use *use,
		      const struct otd_plugin_services *services, struct otd_err *err)
{
	struct otd_plugin_instance *in = NULL;
	otd_rc rc = use->id ? otd_app_instance(app, &in, kind, use, services, err) : OTD_OK;
	otd_instance_destroy(in);
	return rc;
}

static otd_rc try_pool(struct otd_app *app, const struct otd_settings_pool *p,
		       const struct otd_diff *d, struct otd_err *err)
{
	char path[200];
	otd_rc rc = OTD_OK;
	snprintf(path, sizeof(path), "pools.%s.payout", p->name);
	if (waits(d, path))
		rc = try_use(app, "payout", &p->payout, NULL, err);
	for (size_t i = 0; rc == OTD_OK && i < p->n_ports; i++) {
		snprintf(path, sizeof(path), "pools.%s.ports.%s.payout", p->name, p->ports[i].name);
		if (waits(d, path))
			rc = try_use(app, "payout", &p->ports[i].payout, NULL, err);
	}
	return rc;
}

otd_rc otd_app_plan_check_waiting(struct otd_app *app, const struct otd_settings *now,
				  const struct otd_diff *d, struct otd_err *err)
{
	struct otd_plugins_enable *enable = NULL;
	char path[200];
	if (otd_diff_not_live(d) == 0)
		return OTD_OK;
	otd_rc rc = otd_plugins_enable_create(&enable, now->plugins.enable.item,
					      now->plugins.enable.n, err);
	if (rc != OTD_OK)
		return rc;
	otd_plugins_enable_swap(app->plugins, enable);
	for (size_t i = 0; rc == OTD_OK && i < now->n_pools; i++)
		rc = try_pool(app, &now->pools[i], d, err);
	for (size_t i = 0; rc == OTD_OK && i < now->n_coins; i++) {
		snprintf(path, sizeof(path), "coins.%s.algorithm", now->coins[i].id);
		if (waits(d, path))
			rc = try_use(app, "algo", &now->coins[i].algorithm, NULL, err);
	}
	otd_plugins_enable_swap(app->plugins, enable);
	otd_plugins_enable_destroy(enable);
	return rc;
}

/* --- the database --- */

static void on_read(void *arg, struct otd_acct_addition *add, const struct otd_err *err)
{
	struct otd_app_plan *p = arg;
	p->addition = add;
	p->read(p->read_arg, err);
}

otd_rc otd_app_plan_read(struct otd_app_plan *p, bool *later,
			 void (*done)(void *arg, const struct otd_err *err), void *arg,
			 struct otd_err *err)
{
	*later = false;
	if (p->n_acct == 0)
		return OTD_OK;
	p->read = done;
	p->read_arg = arg;
	otd_rc rc = otd_accounting_prepare(p->app->accounting, p->acct, p->n_acct, on_read, p, err);
	*later = rc == OTD_OK;
	return rc;
}

/* --- listeners --- */

static struct otd_app_listener *listener_at(struct otd_app *app,
					    const struct otd_settings_port *port)
{
	for (size_t i = 0; i < app->n_listeners; i++) {
		struct otd_app_listener *l = app->listeners[i];
		if (l->port == port->port && strcmp(l->host, port->listen) == 0)
			return l;
	}
	return NULL;
}

static otd_rc listen_at(struct otd_app_plan *p, size_t number, const struct otd_settings_port *port,
			struct otd_err *err)
{
	size_t n = p->n_listeners;
	size_t i = otd_app_port_find(&p->ports, (uint32_t)number, port->port);
	otd_rc rc = OTD_OK;
	p->listener_port[n] = (uint32_t)i;
	p->listeners[n] = listener_at(p->app, port);
	p->new_listener[n] = !p->listeners[n];
	if (p->new_listener[n])
		rc = otd_app_listener_create(p->app, &p->listeners[n], p->pools[number].settings,
					     port, (uint32_t)i, err);
	p->n_listeners += rc == OTD_OK;
	return rc;
}

otd_rc otd_app_plan_listen(struct otd_app_plan *p, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < p->n_pools; i++) {
		const struct otd_settings_pool *s = p->pools[i].settings;
		for (size_t k = 0; rc == OTD_OK && s && k < s->n_ports; k++)
			rc = listen_at(p, i, &s->ports[k], err);
	}
	return rc;
}

static bool stays(const struct otd_app_plan *p, const struct otd_app_listener *l)
{
	for (size_t i = 0; i < p->n_listeners; i++) {
		if (p->listeners[i] == l)
			return true;
	}
	return false;
}

/* After the table of listeners: its order is that of the settings. */
static void do_proxies(struct otd_app_plan *p)
{
	size_t at = 0;
	for (size_t i = 0; i < p->n_pools; i++) {
		const struct otd_settings_pool *s = p->pools[i].settings;
		for (size_t k = 0; s && k < s->n_ports && at < p->app->n_listeners; k++)
			otd_app_listener_proxies(p->app->listeners[at++], &s->ports[k]);
	}
}

static void do_listeners(struct otd_app_plan *p)
{
	struct otd_app *app = p->app;
	for (size_t i = 0; i < app->n_listeners; i++) {
		if (!stays(p, app->listeners[i]))
			otd_app_listener_destroy(app->listeners[i]);
	}
	free(app->listeners);
	app->listeners = p->listeners;
	app->n_listeners = p->n_listeners;
	p->listeners = NULL;
	/* A port that went from one pool to another keeps its socket. */
	for (size_t i = 0; i < app->n_listeners; i++)
		app->listeners[i]->port_index = p->listener_port[i];
	do_proxies(p);
}

/* --- options of chains --- */

otd_rc otd_app_plan_reconfigure(struct otd_app_plan *p, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < p->n_chains; i++) {
		if (p->chains[i].change)
			rc = otd_instance_reconfigure(p->chains[i].change, err);
	}
	for (size_t i = p->n_chains; rc && i-- > 0;) {
		if (p->chains[i].change)
			otd_instance_take_back(p->chains[i].change);
	}
	return rc;
}

/* They have them; here it is noted. */
static void do_options(struct otd_app_plan_chain *c)
{
	if (!c->change)
		return;
	struct otd_yaml_doc *before = c->chain->options;
	c->chain->options = c->options;
	c->options = before;
	otd_instance_change_finish(c->change);
	c->change = NULL;
}

/* --- doing it --- */

static void do_accounting(struct otd_app_plan *p)
{
	struct otd_app *app = p->app;
	int64_t now_ms = otd_wall_ms(app->env);
	for (size_t i = 0; i < p->n_gone; i++) {
		otd_app_fee_gone(app, p->pools[p->gone[i]].name);
		otd_accounting_remove(app->accounting, p->pools[p->gone[i]].name);
	}
	if (p->addition)
		otd_accounting_add(app->accounting, p->addition, now_ms);
	p->addition = NULL;
	for (size_t i = 0; i < p->n_old; i++) {
		if (p->pools[i].settings)
			otd_accounting_fee(app->accounting, p->pools[i].name,
					   otd_app_policy_fee(app, p->pools[i].name,
							      p->pools[i].settings->fee_ppm),
					   now_ms);
	}
}

static void do_coordinator(struct otd_app_plan *p)
{
	struct otd_coordinator *c = p->app->coordinator;
	for (size_t i = 0; i < p->n_gone; i++)
		otd_coordinator_remove_pool(c, p->gone[i]);
	for (size_t i = 0; i < p->n_old; i++) {
		if (p->pools[i].settings)
			otd_coordinator_change_pool(c, i, &p->coordinator[i]);
	}
	for (size_t i = p->n_old; i < p->n_pools; i++) {
		size_t number = otd_coordinator_add_pool(c, &p->coordinator[i]);
		OTD_ASSERT(number == i);
		(void)number;
	}
}

static void do_chains(struct otd_app_plan *p)
{
	struct otd_app *app = p->app;
	for (size_t i = 0; i < p->n_chains; i++) {
		struct otd_app_plan_chain *c = &p->chains[i];
		size_t place = (size_t)(c->chain - app->chains);
		c->chain->first = c->first;
		if (c->fresh) {
			app->n_chains = place < app->n_chains ? app->n_chains : place + 1;
			otd_chain_start(c->chain->chain);
			continue;
		}
		do_options(c);
		otd_chain_take_nodes(c->chain->chain, c->nodes);
		c->nodes = NULL;
		otd_chain_set_times(c->chain->chain, c->first->poll_ms, c->first->refresh_ms,
				    c->first->timeout_ms);
	}
	/* Of chains whose pools all went. */
	for (size_t i = 0; i < p->n_gone; i++) {
		struct otd_app_pool *pool = &p->pools[p->gone[i]];
		bool used = false;
		for (size_t k = 0; k < p->n_chains; k++)
			used = used || p->chains[k].chain == pool->chain;
		if (!used)
			pool->chain->first = pool->was;
	}
}

static void do_log(const struct otd_settings *s)
{
	struct otd_log_conf conf;
	otd_app_log_conf(&conf, &s->log);
	otd_log_levels(&conf);
}

/* Reactors hear of it by the change that each gets. */
static void do_archive(struct otd_app_plan *p)
{
	struct otd_app *app = p->app;
	const struct otd_settings_journal *j = &app->settings->journal;
	if (!app->archive)
		app->archive = p->archive;
	p->archive = NULL;
	if (app->archive)
		otd_archive_set(app->archive, j->keep_ms, (uint64_t)j->keep_bytes, j->compress);
	otd_accounting_archive(app->accounting, j->keep_ms || j->keep_bytes);
}

static bool same_work(const struct otd_settings_pool *a, const struct otd_settings_pool *b)
{
	return strcmp(a->tag, b->tag) == 0 && a->coin->version_mask == b->coin->version_mask;
}

/* Its new tag or mask is for the work of now. */
static void work_anew(struct otd_app_plan *p, size_t i)
{
	const struct otd_chain_template *t = otd_chain_template(p->app->pools[i].chain->chain);
	if (t && p->app->pools[i].serving)
		otd_coordinator_template(p->app->coordinator, i, t, false);
}

void otd_app_plan_carry_out(struct otd_app_plan *p)
{
	struct otd_app *app = p->app;
	struct otd_err err = {0};
	const struct otd_gate_conf gate = otd_app_gate_conf(p->live);
	do_accounting(p);
	do_coordinator(p);
	do_chains(p);
	do_listeners(p);
	/* Ports first: who is let in from now on stands on the new ones. */
	(void)otd_app_plan_told(p);
	for (size_t i = 0; i < p->n_pools; i++) {
		struct otd_app_pool *to = &app->pools[i];
		bool same = i >= p->n_old || !p->pools[i].settings ||
			    same_work(to->settings, p->pools[i].settings);
		*to = p->pools[i];
		if (!same)
			work_anew(p, i);
	}
	app->n_pools = p->n_pools;
	struct otd_app_ports old = app->ports;
	app->ports = p->ports;
	p->ports = old;
	app->settings = p->live;
	p->live = NULL;
	do_log(app->settings);
	do_archive(p);
	otd_gate_reconfigure(app->gate, &gate);
	otd_history_keep(app->history, app->settings->history.minutes_ms,
			 app->settings->history.hours_ms > app->settings->history.minutes_ms
				 ? app->settings->history.hours_ms
				 : app->settings->history.minutes_ms);
	if (otd_app_configure_payer(app, &err) != OTD_OK)
		otd_app_warn(app, "payments go on as before the reload: %s; reload again",
			     err.text);
}

bool otd_app_plan_told(struct otd_app_plan *p)
{
	bool all = otd_app_processes_have_it(p->app);
	if (p->process_change)
		otd_app_processes_tell(p->app, p->process_change);
	p->process_change = NULL;
	for (size_t i = 0; i < p->app->n_reactors; i++) {
		if (p->changes[i] && otd_stratum_change_post(p->changes[i]) == OTD_OK)
			p->changes[i] = NULL;
		all = all && !p->changes[i];
	}
	return all;
}

void otd_app_plan_serve(struct otd_app_plan *p)
{
	struct otd_app *app = p->app;
	for (size_t i = p->n_old; i < p->n_pools; i++) {
		struct otd_app_pool *pool = &app->pools[i];
		if (!pool->settings)
			continue;
		pool->serving = true;
		const struct otd_chain_template *t = otd_chain_template(pool->chain->chain);
		if (t)
			otd_coordinator_template(app->coordinator, i, t, true);
	}
}
