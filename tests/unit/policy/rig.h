/* A policy in a test: time and randomness that stand still, scripts as texts, services that count. */
#ifndef TESTS_POLICY_RIG_H
#define TESTS_POLICY_RIG_H

#include "config/yaml.h"
#include "loop/loop.h"
#include "policy/internal.h"
#include "policy/record.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct rig {
	struct otd_env env;
	int64_t wall_ms;
	uint64_t mono_ns, seed;
	struct otd_policy_kv *kv;
	struct otd_policy *p;
	struct otd_metrics *metrics;
	int bans, unbans, tags, notes, alerts;
	char text[512]; /* what the last of them said */
	otd_rc ban_rc;
};

static uint64_t rig_mono(struct otd_env *e)
{
	return ((struct rig *)e)->mono_ns;
}

static int64_t rig_wall(struct otd_env *e)
{
	return ((struct rig *)e)->wall_ms;
}

static void rig_random(struct otd_env *e, void *to, size_t n)
{
	struct rig *r = (struct rig *)e;
	for (size_t i = 0; i < n; i++) {
		r->seed = r->seed * 6364136223846793005u + 1442695040888963407u;
		((uint8_t *)to)[i] = (uint8_t)(r->seed >> 33);
	}
}

static otd_rc rig_ban(void *arg, const struct otd_policy_ban *b, struct otd_err *err)
{
	struct rig *r = arg;
	(void)snprintf(r->text, sizeof(r->text), "%d %s %lld %s", b->scope, b->what,
		       (long long)b->seconds, b->reason);
	r->bans++;
	return r->ban_rc ? otd_fail(err, r->ban_rc, "not this one") : OTD_OK;
}

static otd_rc rig_unban(void *arg, const char *script, enum otd_policy_scope scope,
			const char *what, struct otd_err *err)
{
	struct rig *r = arg;
	(void)script, (void)scope, (void)what;
	r->unbans++;
	return otd_fail(err, OTD_E_NOT_FOUND, "there is no such ban");
}

static void rig_tag(void *arg, const char *script, enum otd_policy_scope scope, const char *what,
		    const char *label, int64_t seconds)
{
	struct rig *r = arg;
	(void)snprintf(r->text, sizeof(r->text), "%s %d %s %s %lld", script, scope, what, label,
		       (long long)seconds);
	r->tags++;
}

static void rig_notify(void *arg, const char *script, const char *text)
{
	struct rig *r = arg;
	(void)snprintf(r->text, sizeof(r->text), "%s: %s", script, text);
	r->notes++;
}

static otd_rc rig_feed(void *arg, const char *name, struct otd_policy_feed *out)
{
	(void)arg;
	if (strcmp(name, "price") != 0)
		return OTD_E_NOT_FOUND;
	(void)snprintf(out->text, sizeof(out->text), "12.5");
	out->age_s = 7;
	return OTD_OK;
}

static void rig_alert(void *arg, const char *text)
{
	struct rig *r = arg;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
	r->alerts++;
}

static inline void rig_init(struct rig *r)
{
	static const struct otd_env_ops ops = {
		.mono_ns = rig_mono, .wall_ms = rig_wall, .random = rig_random};
	struct otd_policy_conf conf = {.env = &r->env,
				       .where = "test",
				       .services = {.arg = r,
						    .ban = rig_ban,
						    .unban = rig_unban,
						    .tag = rig_tag,
						    .notify = rig_notify,
						    .feed = rig_feed,
						    .alert = rig_alert}};
	memset(r, 0, sizeof(*r));
	r->env.ops = &ops;
	r->env.files = otd_files_real();
	r->wall_ms = 1770000000000;
	r->mono_ns = 1000000000;
	r->metrics = otd_metrics_create();
	assert_int_equal(otd_policy_kv_create(&r->kv, &r->env, 0, NULL, NULL), OTD_OK);
	conf.kv = r->kv;
	conf.metrics = r->metrics;
	assert_int_equal(otd_policy_create(&r->p, &conf), OTD_OK);
}

static inline void rig_finish(struct rig *r)
{
	otd_policy_destroy(r->p);
	otd_policy_kv_destroy(r->kv);
	otd_metrics_destroy(r->metrics);
}

static const struct otd_policy_asset rig_assets[] = {{"LTC", 8}, {"ETC", 18}};

/* A set of texts; each is a script of its own, NAME.lua by order: a.lua, b.lua. */
static inline otd_rc rig_set(struct rig *r, struct otd_policy_set **out, size_t n,
			     const char *const *texts, struct otd_err *err)
{
	static const char *const file[] = {"a.lua", "b.lua", "c.lua", "d.lua"};
	struct otd_policy_script s[4] = {0};
	const struct otd_policy_build b = {.env = &r->env,
					   .sides = OTD_POLICY_BOTH,
					   .scripts = s,
					   .n_scripts = n,
					   .assets = rig_assets,
					   .n_assets = 2,
					   .cpu_ns = getenv("OTEDAMA_SLOW") ? NULL
									    : otd_thread_cpu_ns};
	for (size_t i = 0; i < n; i++) {
		s[i].file = file[i];
		s[i].text = (struct otd_span){(const uint8_t *)texts[i], strlen(texts[i])};
	}
	return otd_policy_set_create(out, &b, err);
}

/* Puts one script in force; it must be fine. */
static inline void rig_use(struct rig *r, const char *text)
{
	struct otd_policy_set *set;
	struct otd_err err = {0};
	if (rig_set(r, &set, 1, &text, &err))
		fail_msg("%s", err.text);
	otd_policy_set_destroy(otd_policy_swap(r->p, set));
}

/* The words with which one script is refused. */
static inline const char *rig_refused(struct rig *r, const char *text, struct otd_err *err)
{
	struct otd_policy_set *set;
	*err = (struct otd_err){0};
	assert_int_not_equal(rig_set(r, &set, 1, &text, err), OTD_OK);
	assert_null(set);
	return err->text;
}

static inline struct otd_policy_script_status rig_status(struct rig *r, size_t i)
{
	struct otd_policy_script_status s;
	otd_policy_set_status(otd_policy_in_force(r->p), i, &s);
	return s;
}

#define assert_contains(text, part)                                         \
	do {                                                                \
		if (!strstr((text), (part)))                                \
			fail_msg("'%s' has no '%s' in it", (text), (part)); \
	} while (0)

#endif
