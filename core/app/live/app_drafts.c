#include "app/live/app_drafts.h"

#include <stdio.h>
#include <string.h>

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

void otd_app_drafts_run(void *arg)
{
	struct otd_app_drafts *d = arg;
	/* The images are new and nobody else has them: this thread may be what their calls want. */
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	for (size_t i = 0; i < d->n && !d->err.rc; i++)
		(void)!otd_plugins_draft(d->app->plugins, &d->item[i].draft, d->item[i].kind,
					 d->item[i].id, d->item[i].file, NULL, &d->err);
}

void otd_app_drafts_publish(struct otd_app_drafts *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->item[i].draft)
			otd_plugin_publish(d->item[i].draft);
		d->item[i].draft = NULL;
	}
	d->n = 0;
}

void otd_app_drafts_discard(struct otd_app_drafts *d)
{
	for (size_t i = 0; i < d->n; i++) {
		otd_plugin_discard(d->item[i].draft);
		d->item[i].draft = NULL;
	}
	d->n = 0;
}
