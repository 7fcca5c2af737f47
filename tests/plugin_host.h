/*
 * A host for the tests of plugins: an instance from a descriptor in memory, without files, loops or
 * a real clock.
 *
 *     struct plugin_host h;
 *     plugin_host_init(&h);
 *     h.wall_ms = 1700000000000;                               what clock/1 says
 *     struct otd_plugin_instance *in = plugin_host_create(&h, otd_plugin_v1(), "{window: 2h}");
 *     ... otd_instance_payout(in)->shares(otd_instance_self(in), &batch) ...
 *     otd_instance_destroy(in);
 *     plugin_host_finish(&h);
 *
 * What goes wrong fails the cmocka test with its words; plugin_host_try() gives them back instead.
 * h.services may be set before an instance is made (files, hash_with).
 */
#ifndef TESTS_PLUGIN_HOST_H
#define TESTS_PLUGIN_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "config/yaml.h"
#include "plugin/plugin.h"
#include <string.h>

struct plugin_host {
	struct otd_env env; /* first: the env functions find the rest by it */
	struct otd_env_ops ops;
	uint64_t mono_ns;
	int64_t wall_ms;
	uint64_t seed;
	struct otd_plugins *plugins;
	struct otd_plugin_services services;
	struct otd_err err;
};

static inline uint64_t plugin_host_mono_ns(struct otd_env *e)
{
	return ((struct plugin_host *)e)->mono_ns;
}

static inline int64_t plugin_host_wall_ms(struct otd_env *e)
{
	return ((struct plugin_host *)e)->wall_ms;
}

/* The same bytes in every run. */
static inline void plugin_host_random(struct otd_env *e, void *to, size_t n)
{
	struct plugin_host *h = (struct plugin_host *)e;
	for (size_t i = 0; i < n; i++) {
		h->seed = h->seed * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)to)[i] = (uint8_t)(h->seed >> 56);
	}
}

static inline void plugin_host_init(struct plugin_host *h)
{
	struct otd_plugins_conf conf = {0};
	memset(h, 0, sizeof(*h));
	h->ops.mono_ns = plugin_host_mono_ns;
	h->ops.wall_ms = plugin_host_wall_ms;
	h->ops.random = plugin_host_random;
	h->env.ops = &h->ops;
	h->wall_ms = 1700000000000;
	if (otd_plugins_create(&h->plugins, &h->env, &conf, &h->err))
		fail_msg("%s", h->err.text);
}

static inline void plugin_host_finish(struct plugin_host *h)
{
	otd_plugins_destroy(h->plugins);
	h->plugins = NULL;
}

/* As plugin_host_create, but a failure is OTD_E_... with words in h->err. */
static inline otd_rc plugin_host_try(struct otd_plugin_instance **out, struct plugin_host *h,
				     const struct otd_plugin_desc *desc, const char *options)
{
	char kind[32];
	struct otd_yaml_doc *doc = NULL;
	struct otd_plugin *pl;
	size_t n = strcspn(desc->kind, "/");
	otd_rc rc = otd_plugins_add_builtin(h->plugins, desc, &h->err);
	*out = NULL;
	if (rc && rc != OTD_E_EXISTS)
		return rc;
	memcpy(kind, desc->kind, n);
	kind[n] = 0;
	pl = otd_plugins_get(h->plugins, kind, desc->id, &h->err);
	if (!pl)
		return h->err.rc;
	rc = OTD_OK;
	if (options)
		rc = otd_yaml_parse(&doc, options, strlen(options), "test.yaml", &h->err);
	if (!rc)
		rc = otd_instance_create(out, pl, doc ? otd_yaml_root(doc) : NULL, "test",
					 &h->services, &h->err);
	otd_yaml_destroy(doc);
	return rc;
}

/* options: a YAML mapping ("{window: 2x difficulty}"), NULL for the defaults. Never NULL. */
static inline struct otd_plugin_instance *plugin_host_create(struct plugin_host *h,
							     const struct otd_plugin_desc *desc,
							     const char *options)
{
	struct otd_plugin_instance *in;
	if (plugin_host_try(&in, h, desc, options))
		fail_msg("%s", h->err.text);
	return in;
}

#endif
