#include "app/live/app_drafts.h"

#include <stdio.h>
#include <string.h>

#include "config/yaml_change.h"

static bool is_wanted(const struct otd_app_drafts *d, const char *kind, const char *id)
{
	for (size_t i = 0; i < d->n; i++) {
		if (strcmp(d->item[i].kind, kind) == 0 && strcmp(d->item[i].id, id) == 0)
			return true;
	}
	return false;
}

static void want(struct otd_app_drafts *d, const struct otd_plugins_enable *enable,
		 const char *kind, const char *id)
{
	struct otd_plugins *p = d->app->plugins;
	struct otd_err err = {0};
	if (!id || d->n == OTD_APP_DRAFTS || strlen(id) >= sizeof(d->item[0].id) ||
	    is_wanted(d, kind, id) || otd_plugins_newest(p, kind, id) ||
	    !otd_plugins_enable_has(enable, kind, id))
		return;
	if (otd_plugins_find_file(p, d->item[d->n].file, sizeof(d->item[0].file), kind, id, &err))
		return;
	snprintf(d->item[d->n].kind, sizeof(d->item[0].kind), "%s", kind);
	snprintf(d->item[d->n].id, sizeof(d->item[0].id), "%s", id);
	d->item[d->n++].draft = NULL;
}

void otd_app_drafts_want(struct otd_app_drafts *d, struct otd_app *app,
			 const struct otd_settings *s)
{
	struct otd_plugins_enable *enable = NULL;
	struct otd_err err = {0};
	d->app = app;
	if (otd_plugins_enable_create(&enable, s->plugins.enable.item, s->plugins.enable.n, &err))
		return; /* no memory: said by whoever needs more of it */
	for (size_t i = 0; i < s->n_coins; i++) {
		want(d, enable, "algo", s->coins[i].algorithm.id);
		want(d, enable, "chain", s->coins[i].chain.id);
	}
	for (size_t i = 0; i < s->n_pools; i++) {
		want(d, enable, "payout", s->pools[i].payout.id);
		for (size_t k = 0; k < s->pools[i].n_ports; k++)
			want(d, enable, "payout", s->pools[i].ports[k].payout.id);
	}
	otd_plugins_enable_destroy(enable);
}

/* The options that this chain is to have; NULL: those that it has, or nobody is on it any more. */
static const struct otd_settings_use *new_options(const struct otd_app *app,
						  const struct otd_app_chain *c,
						  const struct otd_settings *s)
{
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_app_pool *p = &app->pools[i];
		const struct otd_settings_pool *now =
			p->settings && p->chain == c ? otd_settings_pool(s, p->name) : NULL;
		if (now)
			return otd_yaml_same(otd_yaml_root(c->options), now->chain.options)
				       ? NULL
				       : &now->chain;
	}
	return NULL;
}

void otd_app_drafts_want_options(struct otd_app_drafts *d, struct otd_app *app,
				 const struct otd_settings *s)
{
	for (size_t i = 0; i < app->n_chains; i++) {
		const struct otd_app_chain *c = &app->chains[i];
		const struct otd_settings_use *use = c->chain ? new_options(app, c, s) : NULL;
		if (!use || d->n_options == OTD_POOLS_MAX)
			continue;
		d->options[d->n_options].plugin = otd_instance_plugin(c->plugin);
		d->options[d->n_options].before = otd_yaml_root(c->options);
		d->options[d->n_options].after = use->options;
		d->options[d->n_options++].path = use->path;
	}
}

void otd_app_drafts_run(void *arg)
{
	struct otd_app_drafts *d = arg;
	/* The images are new and nobody else has them: this thread may be what their calls want. */
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	for (size_t i = 0; i < d->n && !d->err.rc; i++)
		(void)!otd_plugins_draft(d->app->plugins, &d->item[i].draft, d->item[i].kind,
					 d->item[i].id, d->item[i].file, NULL, &d->err);
	for (size_t i = 0; i < d->n_options && !d->err.rc; i++)
		(void)!otd_plugin_try_options(d->options[i].plugin, d->options[i].before,
					      d->options[i].after, d->options[i].path, &d->err);
}

void otd_app_drafts_publish(struct otd_app_drafts *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->item[i].draft)
			otd_plugin_publish(d->item[i].draft);
		d->item[i].draft = NULL;
	}
	d->n = d->n_options = 0;
}

void otd_app_drafts_discard(struct otd_app_drafts *d)
{
	for (size_t i = 0; i < d->n; i++) {
		otd_plugin_discard(d->item[i].draft);
		d->item[i].draft = NULL;
	}
	d->n = d->n_options = 0;
}
