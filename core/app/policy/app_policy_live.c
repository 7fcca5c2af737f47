/*
 * Scripts of a running pool, by hand:
 *   status | shadow FILE | shadow off | apply MS FILE | confirm | history | rollback |
 *   record FILE | record off | feed NAME VALUE
 * MS: unless confirmed within so many milliseconds, what was before comes back; 0: it stays. FILE is
 * absolute. The script of the same name in force is replaced, with its options and pools; another
 * name comes last and is for all pools. It holds until a reload or restart.
 */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/policy/app_policy_impl.h"
#include "base/log.h"
#include "base/text.h"
#include "plugin/plugin.h"

static void answer_json(struct otd_control_request *r, json_t *o)
{
	struct otd_err err = {0};
	struct otd_bytes b;
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	otd_bytes_init(&b, 32u << 20);
	if (!text || otd_bytes_text(&b, text) != OTD_OK)
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	otd_control_answer(r, &err, &b);
	otd_bytes_finish(&b);
	free(text);
	json_decref(o);
}

static void answer_err(struct otd_control_request *r, const struct otd_err *err)
{
	otd_control_answer(r, err, NULL);
}

/* --- status --- */

static json_t *hook_json(const struct otd_policy_hook_status *h)
{
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:b}", "calls", (json_int_t)h->calls,
			 "answers", (json_int_t)h->answers, "errors", (json_int_t)h->errors,
			 "overruns", (json_int_t)h->overruns, "units", (json_int_t)h->units,
			 "most_units", (json_int_t)h->most_units, "fallback", (int)h->fallback);
}

static json_t *set_json(const struct otd_policy_set *set)
{
	json_t *all = json_array();
	for (size_t i = 0; i < otd_policy_set_count(set); i++) {
		struct otd_policy_script_status s;
		json_t *hooks = json_object();
		otd_policy_set_status(set, i, &s);
		for (int h = 0; h < OTD_HOOKS; h++)
			if (s.hook[h].has)
				(void)json_object_set_new(
					hooks, otd_policy_hook_name((enum otd_policy_hook)h),
					hook_json(&s.hook[h]));
		(void)json_array_append_new(
			all, json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "name", s.name, "file",
				       s.file, "digest", s.digest, "memory", (json_int_t)s.memory,
				       "last_error", s.last_error, "hooks", hooks));
	}
	return all;
}

struct gathering {
	struct otd_app_policy *p;
	struct otd_control_request *request;
	size_t left;
	struct seen {
		struct gathering *g;
		struct policy_thread *t;
		json_t *json;
	} one[];
};

static void look(void *arg) /* [its thread] */
{
	struct seen *s = arg;
	const struct otd_policy *policy = s->t->policy;
	const struct otd_policy_set *shadow = otd_policy_in_shadow(policy);
	struct otd_policy_shadow_status n;
	otd_policy_shadow_counts(policy, &n);
	s->json = json_pack("{s:s, s:o}", "where", s->t->where, "scripts",
			    set_json(otd_policy_in_force(policy)));
	if (s->json && shadow)
		(void)json_object_set_new(s->json, "shadow",
					  json_pack("{s:I, s:I, s:o}", "calls", (json_int_t)n.calls,
						    "differences", (json_int_t)n.differences,
						    "scripts", set_json(shadow)));
}

static json_t *differences_json(const struct otd_app_policy *p)
{
	json_t *all = json_array();
	uint64_t n = p->differences < POLICY_SHOWN ? p->differences : POLICY_SHOWN;
	for (uint64_t i = p->differences - n; i < p->differences; i++) {
		const char *text = p->difference[i % POLICY_SHOWN];
		json_t *d = text ? json_loads(text, 0, NULL) : NULL;
		if (d)
			(void)json_array_append_new(all, d);
	}
	return all;
}

static json_t *notices_json(const struct otd_app_policy *p)
{
	json_t *all = json_array();
	uint64_t n = p->n_notices < POLICY_NOTICES ? p->n_notices : POLICY_NOTICES;
	for (uint64_t i = p->n_notices - n; i < p->n_notices; i++)
		(void)json_array_append_new(all,
					    json_pack("{s:I, s:s}", "time_ms",
						      (json_int_t)p->notice_ms[i % POLICY_NOTICES],
						      "text", p->notice[i % POLICY_NOTICES]));
	return all;
}

static json_t *fees_json(const struct otd_app_policy *p)
{
	const struct otd_app *app = p->app;
	json_t *all = json_array();
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_settings_pool *s = app->pools[i].settings;
		struct otd_app_policy_fee_status f;
		if (!s)
			continue;
		otd_app_policy_fee_status(app, s->name, &f);
		(void)json_array_append_new(
			all,
			json_pack("{s:s, s:I, s:I, s:s, s:s, s:s, s:b}", "pool", s->name, "ppm",
				  (json_int_t)otd_app_policy_fee(app, s->name, s->fee_ppm),
				  "settings_ppm", (json_int_t)s->fee_ppm, "by", f.by, "script",
				  f.script, "reason", f.reason, "fallback", (int)f.fallback));
	}
	return all;
}

static json_t *past_json(const struct otd_app_policy *p, size_t i)
{
	const struct policy_past *past = &p->past[i];
	json_t *scripts = json_array();
	for (size_t k = 0; k < past->gen->n; k++)
		(void)json_array_append_new(scripts, json_string(past->gen->script[k].file));
	return json_pack("{s:I, s:s, s:b, s:o}", "since_ms", (json_int_t)past->since_ms, "how",
			 past->how, "in_force", (int)(i + 1 == p->n_past), "scripts", scripts);
}

static void gathered(struct gathering *g)
{
	struct otd_app_policy *p = g->p;
	json_t *threads = json_array();
	for (size_t i = 0; i < p->n_threads; i++)
		(void)json_array_append_new(threads, g->one[i].json);
	json_t *o =
		json_pack("{s:o, s:o, s:s, s:o, s:o, s:I, s:I}", "threads", threads, "fees",
			  fees_json(p), "shadow", p->shadow, "differences", differences_json(p),
			  "notices", notices_json(p), "confirm_until_ms", (json_int_t)p->confirm_ms,
			  "remembered", (json_int_t)otd_policy_kv_count(p->thread[0].kv));
	if (o && p->n_past)
		(void)json_object_set_new(o, "in_force", past_json(p, p->n_past - 1));
	if (o && p->record[0])
		(void)json_object_set_new(o, "recording",
					  json_pack("{s:s, s:I, s:I}", "file", p->record, "calls",
						    (json_int_t)p->record_lines, "lost",
						    (json_int_t)p->record_lost));
	answer_json(g->request, o);
	free(g);
}

static void came_back(void *arg) /* [coordinator] */
{
	struct seen *s = arg;
	if (--s->g->left == 0)
		gathered(s->g);
}

static void look_there(void *arg) /* [reactor] */
{
	struct seen *s = arg;
	look(s);
	/* Where memory runs out nobody is answered; the asker gives up by itself. */
	(void)!otd_loop_post(s->t->app->loop, came_back, s);
}

static void status(struct otd_app_policy *p, struct otd_control_request *r)
{
	struct gathering *g = calloc(1, sizeof(*g) + p->n_threads * sizeof(g->one[0]));
	struct otd_err err = {0};
	if (!g) {
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
		answer_err(r, &err);
		return;
	}
	g->p = p;
	g->request = r;
	g->left = p->n_threads;
	for (size_t i = p->n_threads; i-- > 0;) {
		struct seen *s = &g->one[i];
		s->g = g;
		s->t = &p->thread[i];
		if (i && s->t->loop && otd_loop_post(s->t->loop, look_there, s) == OTD_OK)
			continue;
		if (!i)
			look(s);
		came_back(s);
	}
}

static void history(struct otd_app_policy *p, struct otd_control_request *r)
{
	json_t *all = json_array();
	for (size_t i = p->n_past; i-- > 0;)
		(void)json_array_append_new(all, past_json(p, i));
	answer_json(r, json_pack("{s:o}", "history", all));
}

/* --- scripts that come: read and built on a thread of their own --- */

enum verb { APPLY, SHADOW, ROLLBACK };

struct coming {
	struct otd_app_policy *p;
	struct otd_control_request *request; /* NULL: nobody waits */
	enum verb verb;
	char file[512], how[160];
	int64_t confirm_ms;
	struct policy_gen *from; /* what is in force, or what comes back */
	struct otd_app_policy_change *change;
	struct otd_err err;
};

static void coming_run(void *arg) /* [background] */
{
	struct coming *c = arg;
	struct policy_gen *g = c->verb == ROLLBACK ? c->from : NULL;
	struct otd_bytes text;
	otd_rc rc = OTD_OK;
	otd_bytes_init(&text, OTD_POLICY_TEXT_MAX);
	if (!g)
		rc = otd_policy_read(&text, c->p->app->env, c->file, &c->err);
	if (!g && rc == OTD_OK)
		rc = otd_plugin_trusted(c->file, &c->err);
	if (rc == OTD_OK && !g)
		rc = policy_gen_with(&g, c->from, c->file, &text, &c->err);
	if (rc == OTD_OK)
		rc = policy_change_create(&c->change, c->p, g, &c->err);
	if (rc && g != c->from)
		policy_gen_drop(g);
	if (rc && !c->err.rc)
		otd_fail(&c->err, rc, "%s", otd_rc_name(rc));
	otd_bytes_finish(&text);
}

static void shadow_on(struct otd_app_policy *p, struct coming *c)
{
	snprintf(p->shadow, sizeof(p->shadow), "%.255s", c->file);
	p->differences = 0;
	p->shadow_ms = otd_wall_ms(p->app->env);
	policy_order(p, c->change->orders, POLICY_SHADOW, c->change->sets, true);
	c->change->orders = NULL;
	otd_app_policy_discard(c->change);
	otd_log(OTD_LOG_INFO, "policy", "shadow.begun", "file=%s", OTD_Q(p->shadow));
}

static void coming_done(void *arg)
{
	struct coming *c = arg;
	struct otd_app_policy *p = c->p;
	p->busy = false;
	if (!c->err.rc && c->verb == SHADOW) {
		shadow_on(p, c);
	} else if (!c->err.rc) {
		policy_take(p, c->change, c->how);
		p->confirm_ms = c->confirm_ms ? otd_wall_ms(p->app->env) + c->confirm_ms : 0;
	}
	if (c->verb == ROLLBACK && !c->err.rc)
		c->from = NULL; /* the change had it */
	policy_gen_drop(c->from);
	if (c->err.rc)
		otd_log(OTD_LOG_ERROR, "policy", "scripts.refused", "error=%s", OTD_Q(c->err.text));
	if (c->request && c->err.rc)
		answer_err(c->request, &c->err);
	else if (c->request)
		answer_json(c->request, json_pack("{s:s, s:I}", "done", c->how, "confirm_until_ms",
						  (json_int_t)p->confirm_ms));
	free(c);
}

static void come(struct otd_app_policy *p, struct otd_control_request *r, enum verb verb,
		 const char *file, int64_t confirm_ms, const char *how)
{
	struct coming *c = calloc(1, sizeof(*c));
	struct otd_err err = {0};
	size_t back = p->n_past - (verb == ROLLBACK ? 2 : 1);
	if (!c) {
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	} else if (p->busy) {
		otd_fail(&err, OTD_E_BUSY, "scripts are being built just now; ask again");
	} else if (verb == ROLLBACK && p->n_past < 2) {
		otd_fail(&err, OTD_E_NOT_FOUND,
			 "nothing was in force before; 'policy history' "
			 "shows what there is");
	} else {
		*c = (struct coming){.p = p, .request = r, .verb = verb, .confirm_ms = confirm_ms};
		snprintf(c->file, sizeof(c->file), "%s", file);
		snprintf(c->how, sizeof(c->how), "%s", how);
		c->from = p->past[back].gen;
		c->from->users++;
		p->busy = true;
		if (p->app->env->ops->worker_give(p->worker, coming_run, coming_done, c) == OTD_OK)
			return;
		p->busy = false;
		c->from->users--;
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	}
	free(c);
	if (r)
		answer_err(r, &err);
}

void policy_live_tick(struct otd_app_policy *p, int64_t now_ms)
{
	if (!p->confirm_ms || now_ms < p->confirm_ms || p->busy)
		return;
	p->confirm_ms = 0;
	policy_notice(p,
		      "scripts that were applied were not confirmed in time: what was before is "
		      "in force again",
		      false);
	come(p, NULL, ROLLBACK, "", 0, "rollback: not confirmed in time");
}

static void apply(struct otd_app_policy *p, struct otd_control_request *r, const char *words)
{
	size_t n = strcspn(words, " ");
	uint64_t ms = 0;
	char how[160];
	struct otd_err err = {0};
	if (!words[n] || words[n + 1] != '/' || otd_parse_u64(&ms, words, n) != OTD_OK ||
	    ms > 30 * UINT64_C(86400000)) {
		otd_fail(&err, OTD_E_INVALID, "say 'apply MS FILE', the file by its whole path");
		answer_err(r, &err);
		return;
	}
	snprintf(how, sizeof(how), "apply %.140s", words + n + 1);
	come(p, r, APPLY, words + n + 1, (int64_t)ms, how);
}

static void shadow(struct otd_app_policy *p, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	char how[160];
	if (*words == '/') {
		snprintf(how, sizeof(how), "shadow %.140s", words);
		come(p, r, SHADOW, words, 0, how);
		return;
	}
	struct policy_orders *o = strcmp(words, "off") == 0 ? policy_orders_create(p) : NULL;
	if (!o) {
		otd_fail(&err, OTD_E_INVALID,
			 "say 'shadow FILE', the file by its whole path, or 'shadow off'");
		answer_err(r, &err);
		return;
	}
	policy_order(p, o, POLICY_SHADOW, NULL, false);
	p->shadow[0] = '\0';
	answer_json(r, json_pack("{s:s, s:I, s:o}", "done", "shadow off", "confirm_until_ms",
				 (json_int_t)p->confirm_ms, "differences", differences_json(p)));
}

/* --- the rest --- */

static void confirm(struct otd_app_policy *p, struct otd_control_request *r)
{
	struct otd_err err = {0};
	if (!p->confirm_ms) {
		otd_fail(&err, OTD_E_NOT_FOUND, "nothing waits to be confirmed");
		answer_err(r, &err);
		return;
	}
	p->confirm_ms = 0;
	answer_json(r, json_pack("{s:s}", "done", "confirmed: it stays until a reload or restart"));
}

static void record(struct otd_app_policy *p, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	bool off = strcmp(words, "off") == 0;
	if (!off && *words != '/')
		otd_fail(&err, OTD_E_INVALID,
			 "say 'record FILE', the file by its whole path, or 'record off'");
	else if (strlen(words) >= sizeof(p->record))
		otd_fail(&err, OTD_E_RANGE, "the path is too long");
	else if (!off && p->record[0])
		otd_fail(&err, OTD_E_EXISTS, "%.300s is being written; 'record off' first",
			 p->record);
	else if (off && !p->record[0])
		otd_fail(&err, OTD_E_NOT_FOUND, "nothing is being recorded");
	else if (p->record_writing)
		otd_fail(&err, OTD_E_BUSY, "the disk is busy with it; ask again");
	struct policy_orders *o = err.rc ? NULL : policy_orders_create(p);
	if (!err.rc && !o)
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	if (err.rc) {
		answer_err(r, &err);
		return;
	}
	policy_order(p, o, POLICY_RECORD, NULL, !off);
	if (off) {
		policy_record_tick(p); /* what waits is written */
		answer_json(r, json_pack("{s:s, s:s, s:I, s:I}", "done", "record off", "file",
					 p->record, "calls", (json_int_t)p->record_lines, "lost",
					 (json_int_t)p->record_lost));
		p->record[0] = '\0';
		return;
	}
	snprintf(p->record, sizeof(p->record), "%s", words);
	p->record_at = p->record_lines = p->record_lost = 0;
	p->record_made = false;
	otd_bytes_clear(&p->recorded);
	answer_json(r, json_pack("{s:s}", "done", "recording; 'policy record off' ends it"));
}

static void feed(struct otd_app_policy *p, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	char name[OTD_KV_KEY_MAX + 1];
	size_t n = strcspn(words, " ");
	if (!n || n >= sizeof(name) || !words[n] || !words[n + 1]) {
		otd_fail(&err, OTD_E_INVALID, "say 'feed NAME VALUE'");
		answer_err(r, &err);
		return;
	}
	memcpy(name, words, n);
	name[n] = '\0';
	otd_rc rc = policy_feed_put(p, name, words + n + 1);
	if (rc != OTD_OK) {
		otd_fail(&err, rc, "this value cannot be kept: %s", otd_rc_name(rc));
		answer_err(r, &err);
		return;
	}
	answer_json(r, json_pack("{s:s}", "done", "scripts read it by feed(NAME)"));
}

static void put_tag(struct otd_app_policy *p, json_t *to, const char *scope, const char *what)
{
	char text[160];
	if (policy_tag(p, scope, what, text, sizeof(text)))
		(void)json_object_set_new(to, "tag", json_string(text));
}

void otd_app_policy_tags(struct otd_app *app, json_t *answer)
{
	struct otd_app_policy *p = app->policy;
	size_t i, k;
	json_t *a, *w;
	if (!p || p->stopping)
		return;
	json_array_foreach(json_object_get(answer, "accounts"), i, a)
	{
		const char *pool = json_string_value(json_object_get(a, "pool"));
		const char *address = json_string_value(json_object_get(a, "address"));
		char what[OTD_KV_KEY_MAX + 1];
		if (!pool || !address)
			continue;
		snprintf(what, sizeof(what), "%s/%s", pool, address);
		put_tag(p, a, "account", what);
		json_array_foreach(json_object_get(a, "workers"), k, w)
		{
			const char *name = json_string_value(json_object_get(w, "name"));
			snprintf(what, sizeof(what), "%s/%s.%s", pool, address, name ? name : "");
			put_tag(p, w, "worker", what);
		}
	}
}

void otd_app_policy_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_app_policy *p = app->policy;
	struct otd_err err = {0};
	size_t n = strcspn(words, " ");
	const char *rest = words + n + (words[n] == ' ');
	if (n == 6 && strncmp(words, "status", n) == 0)
		status(p, r);
	else if (n == 7 && strncmp(words, "history", n) == 0)
		history(p, r);
	else if (n == 6 && strncmp(words, "shadow", n) == 0)
		shadow(p, r, rest);
	else if (n == 5 && strncmp(words, "apply", n) == 0)
		apply(p, r, rest);
	else if (n == 7 && strncmp(words, "confirm", n) == 0)
		confirm(p, r);
	else if (n == 8 && strncmp(words, "rollback", n) == 0)
		come(p, r, ROLLBACK, "", 0, "rollback");
	else if (n == 6 && strncmp(words, "record", n) == 0)
		record(p, r, rest);
	else if (n == 4 && strncmp(words, "feed", n) == 0)
		feed(p, r, rest);
	else {
		otd_fail(&err, OTD_E_INVALID,
			 "say status, shadow, apply, confirm, history, rollback, record or feed, "
			 "not '%.40s'",
			 words);
		answer_err(r, &err);
	}
}
