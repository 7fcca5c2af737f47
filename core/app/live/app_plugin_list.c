/* "plugin list" of a running pool: every image that is in use or would be, and by whom. */
#include <stdio.h>
#include <string.h>

#include "app/live/app_plugin.h"

struct users {
	const struct otd_plugin *plugin;
	json_t *to;
};

static void add(struct users *u, const struct otd_plugin_instance *in, const char *what,
		const char *name)
{
	char text[200];
	if (!in || otd_instance_plugin(in) != u->plugin)
		return;
	(void)snprintf(text, sizeof(text), "%s%s%s", what, *name ? " " : "", name);
	(void)!json_array_append_new(u->to, json_string(text));
}

static void add_scheme(void *arg, const char *pool, const char *scheme,
		       const struct otd_plugin_instance *in)
{
	char name[160];
	(void)snprintf(name, sizeof(name), "%s (scheme %s)", pool, scheme);
	add(arg, in, "pool", name);
}

json_t *otd_app_plugin_users(struct otd_app *app, const struct otd_plugin *pl)
{
	struct users u = {pl, json_array()};
	add(&u, app->store_plugin, "the database", "");
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_app_pool *p = &app->pools[i];
		if (!p->chain)
			continue;
		add(&u, p->chain->algo, "pool", p->name);
		add(&u, p->chain->plugin, "pool", p->name);
	}
	otd_accounting_schemes(app->accounting, add_scheme, &u);
	for (const struct otd_app_old *o = app->live ? app->live->old : NULL; o; o = o->next)
		add(&u, o->instance, "earlier jobs of", o->what);
	if (app->miner) {
		add(&u, app->miner->algo, "the built-in miner", "");
		for (size_t i = 0; i < app->miner->n_hw; i++)
			add(&u, app->miner->hw[i], "the built-in miner", "");
	}
	return u.to;
}

struct listing {
	struct otd_app *app;
	json_t *to;
};

static void list_one(void *arg, struct otd_plugin *pl)
{
	struct listing *l = arg;
	struct otd_plugin_state s;
	otd_plugin_state(pl, &s);
	(void)!json_array_append_new(
		l->to,
		json_pack("{s:s, s:s, s:s, s:i, s:b, s:i, s:s, s:s, s:o}", "kind", s.kind, "id",
			  s.id, "version", s.version, "generation", (int)s.generation, "newest",
			  s.newest, "instances", (int)s.instances, "digest", s.digest, "file",
			  s.file, "users", otd_app_plugin_users(l->app, pl)));
}

json_t *otd_app_plugin_list(struct otd_app *app)
{
	struct listing l = {app, json_array()};
	otd_plugins_each(app->plugins, list_one, &l);
	return json_pack("{s:o}", "plugins", l.to);
}
