/* Plugins and chains of a configuration: what serve and config check have in common. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/app_parts.h"
#include "base/log.h"
#include "base/text.h"
#include "config/yaml_change.h"

void otd_app_warn(struct otd_app *app, const char *fmt, ...)
{
	char text[300], quoted[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	otd_log(OTD_LOG_WARN, "app", "start.warning", "text=%s",
		otd_log_quote(quoted, sizeof(quoted), text, strlen(text)));
	if (app->n_warnings < sizeof(app->warning) / sizeof(app->warning[0]))
		snprintf(app->warning[app->n_warnings++], sizeof(app->warning[0]), "%s", text);
}

otd_rc otd_app_make_plugins(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	char private_dir[512];
	otd_plugin_dirs_default(&app->dirs);
	snprintf(private_dir, sizeof(private_dir), "%s/plugins", app->data_dir);
	struct otd_plugins_conf conf = {
		.dirs = s->plugins.dirs.n ? s->plugins.dirs.item : app->dirs.dir,
		.n_dirs = s->plugins.dirs.n ? s->plugins.dirs.n : app->dirs.n,
		.enable = s->plugins.enable.item,
		.n_enable = s->plugins.enable.n,
		/* A tool beside a running pool must not touch the pool's copies. */
		.private_dir = app->lock_fd >= 0 || app->heir ? private_dir : NULL,
		.trial_program = "/proc/self/exe",
		.trial_ms = s->plugins.trial_ms,
		.trial_stop = &app->stopping,
		.digests = s->plugins.digests.item,
		.n_digests = s->plugins.digests.n,
		.safe_mode = s->plugins.safe_mode,
	};
	return otd_plugins_create(&app->plugins, app->env, &conf, err);
}

static void on_template(void *arg, const struct otd_chain_template *t, bool new_tip)
{
	struct otd_app_chain *c = arg;
	bool first = otd_chain_is_first(c->chain, t->handle), wanted = false;
	for (size_t i = 0; c->app->coordinator && i < c->app->n_pools; i++) {
		struct otd_app_pool *p = &c->app->pools[i];
		if (p->chain != c || !p->serving)
			continue;
		bool wants = p->settings && p->settings->first_job == OTD_SETTINGS_FIRST_EMPTY;
		wanted |= wants;
		/* Who waits for the node's template learns of the tip with it. */
		if (first && !wants) {
			p->owed_tip |= new_tip;
			continue;
		}
		otd_coordinator_template(c->app->coordinator, i, t, new_tip || p->owed_tip);
		p->owed_tip = false;
	}
	otd_chain_set_first_jobs(c->chain, wanted);
	if (new_tip && c->app->payer)
		otd_payer_tip(c->app->payer, c->chain);
}

static void on_trouble(void *arg, const char *why)
{
	struct otd_app_chain *c = arg;
	char quoted[300];
	if (*why)
		otd_log(OTD_LOG_WARN, "chain", "chain.trouble", "coin=%s network=%s why=%s",
			c->coin, c->network,
			otd_log_quote(quoted, sizeof(quoted), why, strlen(why)));
	else if (*c->trouble)
		otd_log(OTD_LOG_INFO, "chain", "chain.recovered", "coin=%s network=%s", c->coin,
			c->network);
	snprintf(c->trouble, sizeof(c->trouble), "%s", why);
}

otd_rc otd_app_instance(struct otd_app *app, struct otd_plugin_instance **out, const char *kind,
			const struct otd_settings_use *use,
			const struct otd_plugin_services *services, struct otd_err *err)
{
	static const struct otd_plugin_services none;
	struct otd_err why = {0};
	struct otd_plugin *pl = otd_plugins_get(app->plugins, kind, use->id, &why);
	if (!pl)
		return otd_yaml_fail(err, why.rc, use->options, "%s: %s", use->path, why.text);
	return otd_instance_create(out, pl, use->options, use->path, services ? services : &none,
				   err);
}

size_t otd_app_node_confs(struct otd_node_conf to[OTD_APP_NODES_MAX],
			  const struct otd_settings_pool *p)
{
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct otd_settings_node *node = p->nodes[i];
		to[i] = (struct otd_node_conf){.name = node->name,
					       .url = node->rpc,
					       .user = *node->user ? node->user : NULL,
					       .password = *node->user ? node->password : NULL,
					       .cookie_file = *node->cookie ? node->cookie : NULL,
					       .wallet = *node->wallet ? node->wallet : NULL,
					       .zmq = *node->zmq ? node->zmq : NULL,
					       .roles = node->role_bits};
	}
	if (p->n_nodes)
		return p->n_nodes;
	to[0] = (struct otd_node_conf){
		.name = p->coin_id, .roles = OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT | OTD_NODE_WALLET};
	return 1;
}

static otd_rc make_instances(struct otd_app_chain *c, const struct otd_settings_pool *p,
			     struct otd_err *err)
{
	struct otd_app *app = c->app;
	struct otd_plugin_services services = {0};
	char folder[512];
	otd_rc rc = otd_app_instance(app, &c->algo, "algo", &p->coin->algorithm, NULL, err);
	if (rc != OTD_OK)
		return rc;
	snprintf(folder, sizeof(folder), "%s/chain", app->data_dir);
	rc = app->env->files->make_dir(app->env->files->ctx, folder);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "cannot make %s: %s", folder,
				app->env->files->last_error(app->env->files->ctx));
	snprintf(folder, sizeof(folder), "%s/chain/%s-%s", app->data_dir, p->coin_id, p->network);
	services.files_dir = folder;
	services.hash_with = c->algo;
	return otd_app_instance(app, &c->plugin, "chain", &p->chain, &services, err);
}

static otd_rc make_chain(struct otd_app_chain *c, const struct otd_settings_pool *p,
			 struct otd_err *err)
{
	struct otd_app *app = c->app;
	struct otd_node_conf nodes[OTD_APP_NODES_MAX];
	if (p->n_nodes > OTD_APP_NODES_MAX)
		return otd_yaml_fail(err, OTD_E_RANGE, p->at, "pools.%s.nodes: at most %d nodes",
				     p->name, OTD_APP_NODES_MAX);
	otd_rc rc = make_instances(c, p, err);
	if (rc != OTD_OK)
		return rc;
	if (p->n_nodes == 0 && !otd_instance_chain(c->plugin)->local)
		return otd_yaml_fail(err, OTD_E_INVALID, p->at,
				     "pools.%s: no nodes; name at least one under 'nodes'",
				     p->name);
	struct otd_chain_conf conf = {.coin = c->coin,
				      .network = c->network,
				      .plugin = c->plugin,
				      .nodes = nodes,
				      .n_nodes = otd_app_node_confs(nodes, p),
				      .poll_ms = p->poll_ms,
				      .refresh_ms = p->refresh_ms,
				      .timeout_ms = p->timeout_ms,
				      .maturity = (uint32_t)p->coin->maturity,
				      .on_template = on_template,
				      .on_trouble = on_trouble,
				      .arg = c,
				      .metrics = app->metrics};
	return otd_chain_create(&c->chain, app->loop, &conf, err);
}

otd_rc otd_app_chain_create(struct otd_app *app, struct otd_app_chain *c,
			    const struct otd_settings_pool *p, struct otd_err *err)
{
	*c = (struct otd_app_chain){.app = app, .first = p};
	snprintf(c->coin, sizeof(c->coin), "%s", p->coin_id);
	snprintf(c->network, sizeof(c->network), "%s", p->network);
	otd_rc rc = otd_yaml_copy_doc(&c->options, p->chain.options);
	rc = rc ? otd_fail(err, rc, "out of memory") : make_chain(c, p, err);
	if (rc != OTD_OK)
		otd_app_chain_destroy(c);
	return rc;
}

void otd_app_chain_destroy(struct otd_app_chain *c)
{
	otd_chain_destroy(c->chain);
	otd_instance_destroy(c->plugin);
	otd_instance_destroy(c->algo);
	otd_yaml_destroy(c->options);
	*c = (struct otd_app_chain){0};
}

bool otd_app_chain_fits(const struct otd_app_chain *c, const struct otd_settings_pool *p)
{
	return c->chain && strcmp(c->coin, p->coin_id) == 0 &&
	       strcmp(c->network, p->network) == 0 &&
	       otd_yaml_same(otd_yaml_root(c->options), p->chain.options);
}

bool otd_app_same_nodes(const struct otd_settings_pool *a, const struct otd_settings_pool *b)
{
	if (a->n_nodes != b->n_nodes)
		return false;
	for (size_t i = 0; i < a->n_nodes; i++) {
		if (a->nodes[i] != b->nodes[i])
			return false;
	}
	return true;
}

otd_rc otd_app_pool_script(struct otd_app_pool *pool, const struct otd_settings_pool *p,
			   struct otd_err *err)
{
	struct otd_err why = {0};
	otd_rc rc = otd_chain_address(pool->chain->chain, p->address, strlen(p->address),
				      pool->script, sizeof(pool->script), &pool->script_len, &why);
	if (rc != OTD_OK)
		return otd_yaml_fail(err, rc, p->at, "pools.%s.coinbase.address: %s", p->name,
				     why.text);
	return OTD_OK;
}

/* The chain of an earlier pool, or a new one. */
static otd_rc chain_of(struct otd_app *app, struct otd_app_chain **out,
		       const struct otd_settings_pool *p, struct otd_err *err)
{
	for (size_t i = 0; i < app->n_pools; i++) {
		*out = app->pools[i].chain;
		if (otd_app_chain_fits(*out, p) && otd_app_same_nodes(app->pools[i].settings, p))
			return OTD_OK;
	}
	*out = &app->chains[app->n_chains];
	otd_rc rc = otd_app_chain_create(app, *out, p, err);
	app->n_chains += rc == OTD_OK;
	return rc;
}

otd_rc otd_app_make_chains(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	otd_rc rc = OTD_OK;
	/* Pages that nobody writes to are not there. */
	app->chains = calloc(OTD_POOLS_MAX, sizeof(*app->chains));
	app->pools = calloc(OTD_POOLS_MAX, sizeof(*app->pools));
	if (!app->chains || !app->pools)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < s->n_pools; i++) {
		struct otd_app_pool *p = &app->pools[i];
		rc = chain_of(app, &p->chain, &s->pools[i], err);
		if (rc == OTD_OK)
			rc = otd_app_pool_script(p, &s->pools[i], err);
		p->settings = &s->pools[i];
		snprintf(p->name, sizeof(p->name), "%s", p->settings->name);
		p->serving = true;
		app->n_pools += rc == OTD_OK;
	}
	return rc;
}

void otd_app_free_chains(struct otd_app *app)
{
	for (size_t i = 0; i < app->n_chains; i++)
		otd_app_chain_destroy(&app->chains[i]);
	for (size_t i = 0; i < app->n_pools; i++)
		otd_app_schemes_free(&app->pools[i], 0);
	free(app->chains);
	free(app->pools);
	app->chains = NULL;
	app->pools = NULL;
	app->n_chains = app->n_pools = 0;
	if (app->plugins)
		otd_plugins_destroy(app->plugins);
	app->plugins = NULL;
}
