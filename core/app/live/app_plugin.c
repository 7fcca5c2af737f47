/* Plugins come, change and go while the pool runs, see app_plugin.h. */
#include "app/live/app_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/child.h"

static void answer_json(struct otd_control_request *r, json_t *o) /* takes o */
{
	struct otd_err err = {0};
	struct otd_bytes out;
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	otd_bytes_init(&out, 16u << 20);
	if (!text || otd_bytes_text(&out, text) != OTD_OK)
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	otd_control_answer(r, &err, &out);
	otd_bytes_finish(&out);
	free(text);
	json_decref(o);
}

static void answer_error(struct otd_control_request *r, const struct otd_err *err)
{
	otd_control_answer(r, err, NULL);
}

/* --- a change, from its beginning to its end --- */

static void change_clear(struct otd_app_change *c)
{
	free(c->file);
	otd_bytes_finish(&c->options);
	json_decref(c->answer);
	*c = (struct otd_app_change){.number = c->number};
}

bool otd_app_plugins_busy(const struct otd_app *app)
{
	return app->live && (app->live->change.state == OTD_CHANGE_TRYING ||
			     app->live->change.state == OTD_CHANGE_TAKING);
}

static void change_over(struct otd_app_live *live)
{
	live->change.state = OTD_CHANGE_DONE;
	if (live->reload_after) {
		live->reload_after = false;
		otd_app_reload_signal(live->app);
	}
}

void otd_app_change_failed(struct otd_app_live *live)
{
	struct otd_app_change *c = &live->change;
	otd_log(OTD_LOG_WARN, "plugin", c->swap ? "plugin.swap_refused" : "plugin.load_refused",
		"file=%s error=%s", OTD_Q(c->file), OTD_Q(c->err.text));
	if (c->draft && !c->draft_published)
		otd_plugin_discard(c->draft);
	c->draft = NULL;
	change_over(live);
}

void otd_app_change_done(struct otd_app_live *live)
{
	struct otd_app_change *c = &live->change;
	struct otd_plugin_state s;
	otd_plugin_state(c->draft, &s);
	c->answer = json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:s, s:s}", "done",
			      c->swap ? "swap" : "load", "kind", s.kind, "id", s.id, "generation",
			      (int)s.generation, "before", (int)c->before, "version", s.version,
			      "digest", s.digest, "file", s.file);
	if (c->seq)
		(void)!json_object_set_new(c->answer, "sequence", json_integer((json_int_t)c->seq));
	if (c->swap)
		otd_log(OTD_LOG_INFO, "plugin", "plugin.swapped",
			"plugin=%s/%s generation=%u before=%u digest=%.16s", s.kind, s.id,
			s.generation, c->before, s.digest);
	change_over(live);
}

/* The image is new and nobody else has it: this thread may be what its first calls want. */
static void try_it(void *arg)
{
	struct otd_app_live *live = arg;
	struct otd_app_change *c = &live->change;
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	(void)!otd_plugins_draft(live->app->plugins, &c->draft, *c->kind ? c->kind : NULL,
				 *c->id ? c->id : NULL, c->file,
				 c->options.len ? otd_bytes_cstr(&c->options) : NULL, &c->err);
}

void otd_app_publish(struct otd_app_change *c)
{
	otd_plugin_publish(c->draft);
	c->draft_published = true;
}

static void load_it(struct otd_app_live *live)
{
	struct otd_app_change *c = &live->change;
	struct otd_plugin_state s;
	otd_plugin_state(c->draft, &s);
	if (otd_plugins_newest(live->app->plugins, s.kind, s.id))
		otd_fail(
			&c->err, OTD_E_EXISTS,
			"%s/%s is loaded already; 'otedama plugin swap %s/%s %s' puts this file in "
			"its place",
			s.kind, s.id, s.kind, s.id, c->file);
	else
		otd_app_publish(c);
}

static void tried(void *arg)
{
	struct otd_app_live *live = arg;
	struct otd_app_change *c = &live->change;
	if (!c->err.rc && (live->app->draining || atomic_load(&live->app->stopping)))
		otd_fail(&c->err, OTD_E_CLOSED, "the pool is ending");
	if (!c->err.rc && !c->swap)
		load_it(live);
	else if (!c->err.rc && strcmp(c->kind, "algo") == 0)
		(void)!otd_app_swap_algo(live->app, c, &c->err);
	else if (!c->err.rc)
		(void)!otd_app_swap_payout(live->app, c, &c->err);
	if (c->err.rc)
		otd_app_change_failed(live);
	else if (c->waiting)
		c->state = OTD_CHANGE_TAKING;
	else
		otd_app_change_done(live);
}

static otd_rc live_make(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_live *live = app->live;
	if (live)
		return OTD_OK;
	live = calloc(1, sizeof(*live));
	if (!live)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	live->app = app;
	otd_rc rc = app->env->ops->worker_create(app->loop, &live->worker, "plugins", err);
	if (rc)
		free(live);
	else
		app->live = live;
	return rc;
}

/* --- the verbs --- */

static otd_rc split_name(const char *words, char kind[32], char id[32], const char **rest,
			 struct otd_err *err)
{
	size_t n = strcspn(words, " ");
	const char *slash = memchr(words, '/', n);
	size_t k = slash ? (size_t)(slash - words) : 0;
	if (!slash || k == 0 || k > 31 || n - k - 1 == 0 || n - k - 1 > 31)
		return otd_fail(err, OTD_E_INVALID, "'%.*s' is not KIND/ID, as algo/NAME",
				n < 80 ? (int)n : 80, words);
	(void)snprintf(kind, 32, "%.*s", (int)k, words);
	(void)snprintf(id, 32, "%.*s", (int)(n - k - 1), slash + 1);
	*rest = words + n + (words[n] == ' ');
	return OTD_OK;
}

static otd_rc may_swap(struct otd_app *app, const char *kind, const char *id, uint32_t *before,
		       struct otd_err *err)
{
	struct otd_plugin_state s;
	struct otd_plugin *pl = otd_plugins_newest(app->plugins, kind, id);
	if (!pl)
		return otd_fail(
			err, OTD_E_NOT_FOUND,
			"%s/%s is not loaded: nothing to swap; 'otedama plugin load' loads it",
			kind, id);
	if (strcmp(kind, "algo") != 0 && strcmp(kind, "payout") != 0)
		return otd_fail(
			err, OTD_E_UNSUPPORTED,
			"a %s plugin needs a restart: it holds %s while the pool runs; install "
			"the file, then restart",
			kind,
			strcmp(kind, "store") == 0   ? "the database"
			: strcmp(kind, "chain") == 0 ? "templates and calls to nodes"
						     : "devices");
	otd_plugin_state(pl, &s);
	*before = s.generation;
	return OTD_OK;
}

static otd_rc take_file(struct otd_app *app, struct otd_app_change *c, const char *file,
			struct otd_err *err)
{
	char path[4096];
	if (*file) {
		if (*file != '/')
			return otd_fail(err, OTD_E_INVALID,
					"'%.200s': a running pool wants the whole path", file);
	} else {
		otd_rc rc = otd_plugins_find_file(app->plugins, path, sizeof(path), c->kind, c->id,
						  err);
		if (rc)
			return rc;
		file = path;
	}
	c->file = strdup(file);
	return c->file ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
}

static otd_rc begin(struct otd_app *app, bool swap, const char *words, struct otd_err *err)
{
	struct otd_app_change c = {.swap = swap};
	const char *file = words;
	otd_rc rc = app->draining ? otd_fail(err, OTD_E_CLOSED, "the pool is ending")
				  : live_make(app, err);
	if (rc)
		return rc;
	if (otd_app_plugins_busy(app))
		return otd_fail(err, OTD_E_BUSY, "a change of %s/%s is under way: wait for its end",
				*app->live->change.kind ? app->live->change.kind : "a plugin",
				app->live->change.id);
	if (otd_app_reload_busy(app))
		return otd_fail(err, OTD_E_BUSY, "a reload is under way: wait for its end");
	if (swap || *words != '/')
		rc = split_name(words, c.kind, c.id, &file, err);
	if (!rc && swap)
		rc = may_swap(app, c.kind, c.id, &c.before, err);
	if (!rc)
		rc = take_file(app, &c, file, err);
	otd_bytes_init(&c.options, OTD_CHILD_INPUT_MAX);
	if (!rc && swap && otd_app_swap_options(app, &c) != OTD_OK)
		rc = otd_fail(err, OTD_E_NOMEM, "the options of %s/%s are too long to be tried",
			      c.kind, c.id);
	if (rc) {
		change_clear(&c);
		return rc;
	}
	c.number = app->live->change.number + 1;
	change_clear(&app->live->change);
	app->live->change = c;
	rc = app->env->ops->worker_give(app->live->worker, try_it, tried, app->live);
	if (rc) {
		change_clear(&app->live->change);
		return otd_fail(err, rc, "cannot begin: %s", otd_rc_name(rc));
	}
	app->live->change.state = OTD_CHANGE_TRYING;
	return OTD_OK;
}

static void progress_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_app_change *c = app->live ? &app->live->change : NULL;
	struct otd_err err = {0};
	if (!c || c->state == OTD_CHANGE_NONE || strtoul(words, NULL, 10) != c->number) {
		otd_fail(&err, OTD_E_NOT_FOUND,
			 "no change has the number '%.20s', or another one began since; the log "
			 "has it",
			 words);
		answer_error(r, &err);
	} else if (c->state == OTD_CHANGE_TRYING || c->state == OTD_CHANGE_TAKING) {
		answer_json(r, json_pack("{s:s}", "state",
					 c->state == OTD_CHANGE_TRYING ? "trying" : "taking"));
	} else if (c->err.rc) {
		answer_error(r, &c->err);
	} else {
		answer_json(r, json_incref(c->answer));
	}
}

static otd_rc unload(struct otd_app *app, const char *words, struct otd_err *err)
{
	char kind[32], id[32], by[240] = "";
	const char *rest;
	size_t n = 0;
	otd_rc rc = split_name(words, kind, id, &rest, err);
	if (rc)
		return rc;
	struct otd_plugin *pl = otd_plugins_newest(app->plugins, kind, id);
	if (!pl)
		return otd_fail(err, OTD_E_NOT_FOUND, "%s/%s is not loaded", kind, id);
	if (otd_app_plugins_busy(app))
		return otd_fail(err, OTD_E_BUSY, "a change is under way: wait for its end");
	rc = otd_plugin_retire(pl, err);
	if (rc == OTD_OK) {
		otd_log(OTD_LOG_INFO, "plugin", "plugin.unloaded", "plugin=%s/%s", kind, id);
		return OTD_OK;
	}
	json_t *users = otd_app_plugin_users(app, pl);
	for (size_t i = 0; i < json_array_size(users) && n < sizeof(by) - 1; i++)
		n += (size_t)snprintf(by + n, sizeof(by) - n, "%s%s", i ? ", " : "",
				      json_string_value(json_array_get(users, i)));
	json_decref(users);
	return otd_fail(err, rc,
			"%s/%s is in use by %s; take it out of the configuration and reload first",
			kind, id, by);
}

void otd_app_plugin_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	if (strcmp(words, "list") == 0) {
		answer_json(r, otd_app_plugin_list(app));
		return;
	}
	if (strncmp(words, "progress ", 9) == 0) {
		progress_request(app, r, words + 9);
		return;
	}
	if (strncmp(words, "load ", 5) == 0)
		(void)!begin(app, false, words + 5, &err);
	else if (strncmp(words, "swap ", 5) == 0)
		(void)!begin(app, true, words + 5, &err);
	else if (strncmp(words, "unload ", 7) == 0)
		(void)!unload(app, words + 7, &err);
	else
		otd_fail(&err, OTD_E_INVALID,
			 "say 'list', 'load FILE', 'swap KIND/ID [FILE]', 'unload KIND/ID' or "
			 "'progress NUMBER', not '%.60s'",
			 words);
	if (err.rc)
		answer_error(r, &err);
	else if (words[0] == 'u')
		answer_json(r, json_pack("{s:s}", "done", "unload"));
	else
		answer_json(r, json_pack("{s:s, s:i}", "state", "begun", "change",
					 (int)app->live->change.number));
}

/* --- the end --- */

void otd_app_plugins_stop(struct otd_app *app)
{
	struct otd_app_live *live = app->live;
	if (!live)
		return;
	/* Waits for a trial; tried() sees that the pool is ending. */
	app->env->ops->worker_destroy(live->worker);
	live->worker = NULL;
	otd_app_swap_give_up(app);
}

void otd_app_plugins_free(struct otd_app *app)
{
	struct otd_app_live *live = app->live;
	if (!live)
		return;
	while (live->old) {
		struct otd_app_old *o = live->old;
		live->old = o->next;
		otd_instance_destroy(o->instance);
		free(o);
	}
	change_clear(&live->change);
	free(live);
	app->live = NULL;
}
