/* Scripts: read from the settings or from one file more, kept as they were, built for each thread. */
#include <stdlib.h>
#include <string.h>

#include "app/policy/app_policy_impl.h"
#include "app/processes/processes.h"
#include "config/yaml_change.h"
#include "loop/loop.h"
#include "plugin/plugin.h"

static char *copy(const char *s)
{
	size_t n = strlen(s) + 1;
	char *to = malloc(n);
	if (to)
		memcpy(to, s, n);
	return to;
}

/* fees of /etc/otedama/fees.lua */
static void name_of(char out[OTD_POLICY_NAME_MAX + 1], const char *file)
{
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	size_t n = strlen(base);
	if (n > 4 && strcmp(base + n - 4, ".lua") == 0)
		n -= 4;
	n = n < OTD_POLICY_NAME_MAX ? n : OTD_POLICY_NAME_MAX;
	memcpy(out, base, n);
	out[n] = '\0';
}

static void script_finish(struct policy_script *s)
{
	free(s->file);
	free(s->path);
	otd_bytes_finish(&s->text);
	otd_yaml_destroy(s->options);
	for (size_t i = 0; s->pools && i < s->n_pools; i++)
		free(s->pools[i]);
	free(s->pools);
}

void policy_gen_drop(struct policy_gen *g)
{
	if (!g || --g->users)
		return;
	for (size_t i = 0; i < g->n; i++)
		script_finish(&g->script[i]);
	for (size_t i = 0; i < g->n_assets; i++)
		free((char *)g->assets[i].symbol);
	free(g->script);
	free(g->assets);
	free(g);
}

static otd_rc no_memory(struct otd_err *err)
{
	return otd_fail(err, OTD_E_NOMEM, "out of memory");
}

/* The options of a script as a document of their own. */
static otd_rc copy_options(struct otd_yaml_doc **out, const struct otd_yaml *options)
{
	return options ? otd_yaml_copy_doc(out, options) : OTD_OK;
}

static otd_rc fill(struct policy_script *to, const char *file, const char *path,
		   const struct otd_yaml *options, const char *const *pools, size_t n_pools,
		   struct otd_err *err)
{
	name_of(to->name, file);
	otd_bytes_init(&to->text, OTD_POLICY_TEXT_MAX);
	to->file = copy(file);
	to->path = copy(path);
	to->pools = calloc(n_pools ? n_pools : 1, sizeof(*to->pools));
	if (!to->file || !to->path || !to->pools || copy_options(&to->options, options))
		return no_memory(err);
	for (; to->n_pools < n_pools; to->n_pools++) {
		to->pools[to->n_pools] = copy(pools[to->n_pools]);
		if (!to->pools[to->n_pools])
			return no_memory(err);
	}
	return OTD_OK;
}

static struct policy_gen *gen_create(size_t n, size_t n_assets)
{
	struct policy_gen *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->users = 1;
	g->script = calloc(n ? n : 1, sizeof(*g->script));
	g->assets = calloc(n_assets ? n_assets : 1, sizeof(*g->assets));
	if (!g->script || !g->assets) {
		policy_gen_drop(g);
		return NULL;
	}
	return g;
}

static otd_rc add_asset(struct policy_gen *g, const char *symbol, unsigned decimals)
{
	for (size_t i = 0; i < g->n_assets; i++)
		if (strcmp(g->assets[i].symbol, symbol) == 0)
			return OTD_OK;
	struct otd_policy_asset a = {copy(symbol), decimals};
	if (!a.symbol)
		return OTD_E_NOMEM;
	g->assets[g->n_assets++] = a;
	return OTD_OK;
}

static otd_rc read_list(struct policy_gen *g, struct otd_env *e,
			const struct otd_settings_policies *list, const char *pool,
			struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < list->n; i++) {
		const struct otd_settings_policy *p = &list->item[i];
		struct otd_err why = {0};
		if (!p->file)
			continue; /* said already */
		struct policy_script *s = &g->script[g->n++];
		rc = fill(s, p->file, p->path, p->options, pool ? &pool : p->pools.item,
			  pool ? 1 : p->pools.n, err);
		if (rc == OTD_OK && (otd_policy_read(&s->text, e, s->file, &why) != OTD_OK ||
				     otd_plugin_trusted(s->file, &why) != OTD_OK))
			rc = otd_yaml_fail(err, why.rc, p->at, "%s", why.text);
	}
	return rc;
}

/* A pool's own come before those for all: of two that answer the first one wins. */
otd_rc policy_gen_read(struct policy_gen **out, struct otd_env *e, const struct otd_settings *s,
		       struct otd_err *err)
{
	size_t n = s->policies.n;
	for (size_t i = 0; i < s->n_pools; i++)
		n += s->pools[i].policies.n;
	*out = NULL;
	if (n > OTD_POLICY_SCRIPTS_MAX)
		return otd_fail(err, OTD_E_RANGE, "policies: %zu scripts; at most %d are possible",
				n, OTD_POLICY_SCRIPTS_MAX);
	struct policy_gen *g = gen_create(n, s->n_coins);
	otd_rc rc = g ? OTD_OK : no_memory(err);
	for (size_t i = 0; rc == OTD_OK && i < s->n_coins; i++)
		if (s->coins[i].symbol &&
		    add_asset(g, s->coins[i].symbol, (unsigned)s->coins[i].decimals))
			rc = no_memory(err);
	for (size_t i = 0; rc == OTD_OK && i < s->n_pools; i++)
		rc = read_list(g, e, &s->pools[i].policies, s->pools[i].name, err);
	if (rc == OTD_OK)
		rc = read_list(g, e, &s->policies, NULL, err);
	if (rc)
		policy_gen_drop(g);
	else
		*out = g;
	return rc;
}

static otd_rc copy_script(struct policy_script *to, const struct policy_script *from,
			  const char *file, const struct otd_bytes *text, struct otd_err *err)
{
	otd_rc rc = fill(to, file, from->path, from->options ? otd_yaml_root(from->options) : NULL,
			 (const char *const *)from->pools, from->n_pools, err);
	if (rc == OTD_OK && otd_bytes_add(&to->text, text->ptr, text->len))
		rc = no_memory(err);
	return rc;
}

otd_rc policy_gen_with(struct policy_gen **out, const struct policy_gen *from, const char *file,
		       const struct otd_bytes *text, struct otd_err *err)
{
	const struct policy_script fresh = {.path = (char *)""};
	char name[OTD_POLICY_NAME_MAX + 1];
	bool there = false;
	struct policy_gen *g = gen_create(from->n + 1, from->n_assets);
	otd_rc rc = g ? OTD_OK : no_memory(err);
	name_of(name, file);
	for (size_t i = 0; rc == OTD_OK && i < from->n_assets; i++)
		if (add_asset(g, from->assets[i].symbol, from->assets[i].decimals))
			rc = no_memory(err);
	for (size_t i = 0; rc == OTD_OK && i < from->n; i++) {
		const struct policy_script *s = &from->script[i];
		bool this = strcmp(s->name, name) == 0;
		there |= this;
		g->n++;
		rc = copy_script(&g->script[i], s, this ? file : s->file, this ? text : &s->text,
				 err);
	}
	if (rc == OTD_OK && !there && from->n == OTD_POLICY_SCRIPTS_MAX)
		rc = otd_fail(err, OTD_E_RANGE, "%d scripts are in force; no room for one more",
			      OTD_POLICY_SCRIPTS_MAX);
	if (rc == OTD_OK && !there) {
		g->n++;
		rc = copy_script(&g->script[g->n - 1], &fresh, file, text, err);
	}
	if (rc)
		policy_gen_drop(g);
	else
		*out = g;
	return rc;
}

static otd_rc build(struct otd_policy_set **out, struct otd_env *e, const struct policy_gen *g,
		    unsigned sides, struct otd_err *err)
{
	struct otd_policy_script script[OTD_POLICY_SCRIPTS_MAX] = {0};
	for (size_t i = 0; i < g->n; i++) {
		const struct policy_script *s = &g->script[i];
		script[i] = (struct otd_policy_script){
			.file = s->file,
			.text = {s->text.ptr, s->text.len},
			.options = s->options ? otd_yaml_root(s->options) : NULL,
			.path = s->path,
			.pools = (const char *const *)s->pools,
			.n_pools = s->n_pools};
	}
	const struct otd_policy_build b = {.env = e,
					   .sides = sides,
					   .scripts = script,
					   .n_scripts = g->n,
					   .assets = g->assets,
					   .n_assets = g->n_assets,
					   .cpu_ns = otd_thread_cpu_ns};
	return otd_policy_set_create(out, &b, err);
}

otd_rc policy_sets_build(struct otd_policy_set **sets, size_t n, struct otd_env *e,
			 const struct policy_gen *g, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < n; i++)
		rc = build(&sets[i], e, g, i ? OTD_POLICY_REACTOR : OTD_POLICY_COORDINATOR, err);
	if (rc)
		policy_sets_destroy(sets, n);
	return rc;
}

void policy_sets_destroy(struct otd_policy_set **sets, size_t n)
{
	for (size_t i = 0; sets && i < n; i++) {
		otd_policy_set_destroy(sets[i]);
		sets[i] = NULL;
	}
}

/* Each script by itself, so that each says what is wrong with it. */
otd_rc otd_app_policy_check(struct otd_env *e, const struct otd_settings *s,
			    otd_settings_problem_fn problem, void *arg)
{
	otd_rc worst = OTD_OK;
	for (size_t k = 0; k <= s->n_pools; k++) {
		const struct otd_settings_policies *list =
			k < s->n_pools ? &s->pools[k].policies : &s->policies;
		for (size_t i = 0; i < list->n; i++) {
			const struct otd_settings_policies one = {&list->item[i], 1};
			struct otd_policy_set *set = NULL;
			struct otd_err err = {0};
			struct policy_gen *g = gen_create(1, s->n_coins);
			otd_rc rc = g ? OTD_OK : no_memory(&err);
			for (size_t c = 0; rc == OTD_OK && c < s->n_coins; c++)
				if (s->coins[c].symbol && add_asset(g, s->coins[c].symbol,
								    (unsigned)s->coins[c].decimals))
					rc = no_memory(&err);
			if (rc == OTD_OK)
				rc = read_list(g, e, &one, NULL, &err);
			if (rc == OTD_OK && g->n)
				rc = build(&set, e, g, OTD_POLICY_BOTH, &err);
			if (rc == OTD_OK)
				rc = otd_app_processes_policy(s, set, &err);
			otd_policy_set_destroy(set);
			policy_gen_drop(g);
			if (rc && problem)
				problem(arg, &err);
			worst = worst ? worst : rc;
		}
	}
	return worst;
}
