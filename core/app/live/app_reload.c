/*
 * otedama reload, and SIGHUP. The file is read on a thread of its own; then, on the coordinator's loop:
 * what differs, a plan of it (app_plan.h), what the database knows of new pools, new ports bound, and
 * the plan carried out in one go. An error before that, and nothing has changed. The answer comes when
 * every reactor has it.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_limits.h"
#include "app/app_parts.h"
#include "app/app_tls.h"
#include "app/cmd/settings_file.h"
#include "app/live/app_drafts.h"
#include "app/live/app_plan.h"
#include "app/live/app_plugin.h"
#include "app/notify.h"
#include "app/policy/app_policy.h"
#include "app/upgrade/upgrade.h"
#include "base/log.h"

#define POLL_MS  20
#define FEES_MS  5000 /* a fee that is not on record after so long is told of, not waited for */
#define PROBLEMS 4096

enum state { IDLE, LOADING, TRYING, PREPARING, APPLYING };

struct otd_app_reload {
	struct otd_app *app;
	struct otd_worker *worker;
	struct otd_timer *timer;
	enum state state;
	bool check;                          /* says what it would do */
	bool again;                          /* a signal came meanwhile */
	struct otd_control_request *request; /* NULL: a signal */
	int64_t began_ms;
	/* read */
	struct otd_settings *now;  /* as the file says */
	struct otd_settings *live; /* what is to be applied; may be now itself */
	struct otd_diff *diff;
	struct otd_app_policy_change *policy; /* the scripts, as their files say now */
	struct otd_app_tls_change *tls;       /* certificates, too */
	struct otd_lists *lists;              /* of networks, as theirs do */
	struct otd_err err;
	size_t problems;
	struct otd_app_drafts drafts;
	/* done */
	struct otd_app_plan *plan;
	struct otd_settings *before;
	size_t waiting; /* reactors */
	int64_t applied_ms;
	char trouble[700];
	/* Settings of before: the first are those of the start, which all kinds of things refer to. */
	struct otd_settings **old;
	size_t n_old, cap_old;
};

static int64_t mono_ms(const struct otd_app *app)
{
	return (int64_t)(otd_mono_ns(app->env) / 1000000);
}

bool otd_app_reload_busy(const struct otd_app *app)
{
	return app->reload && app->reload->state != IDLE;
}

const char *otd_app_reload_trouble(const struct otd_app *app)
{
	return app->reload ? app->reload->trouble : "";
}

/* --- the end --- */

static void forget(struct otd_app_reload *r)
{
	struct otd_settings *in_force = r->app->settings;
	otd_app_plan_destroy(r->plan);
	otd_app_policy_discard(r->policy);
	r->policy = NULL;
	otd_lists_destroy(r->lists);
	r->lists = NULL;
	otd_app_tls_discard(r->tls);
	r->tls = NULL;
	otd_diff_destroy(r->diff);
	if (r->now != r->live && r->now != in_force)
		otd_settings_destroy(r->now);
	if (r->live != in_force)
		otd_settings_destroy(r->live);
	r->plan = NULL;
	r->diff = NULL;
	r->now = r->live = r->before = NULL;
	r->request = NULL;
	r->state = IDLE;
}

static void begin(struct otd_app *app, struct otd_control_request *request, bool check);

/* Answers, tells the service manager, and goes on with the signal that came meanwhile. */
static void end(struct otd_app_reload *r, const struct otd_err *err, const struct otd_bytes *answer)
{
	struct otd_app *app = r->app;
	bool again = r->again, check = r->check;
	if (r->request)
		otd_control_answer(r->request, err, answer);
	forget(r);
	r->again = false;
	if (!check && !app->draining)
		otd_notify_ready();
	if (again && !app->draining)
		begin(app, NULL, false);
}

static void refuse(struct otd_app_reload *r, const struct otd_err *why)
{
	struct otd_err err = *why;
	if (r->problems > 1)
		(void)otd_fail(&err, why->rc,
			       "%s (and %zu more: 'otedama config check -c %s' tells them all)",
			       why->text, r->problems - 1, r->app->config);
	otd_log(OTD_LOG_ERROR, "app", "reload.refused", "check=%s error=%s",
		r->check ? "yes" : "no", OTD_Q(err.text));
	if (!r->check)
		snprintf(r->trouble, sizeof(r->trouble),
			 "the last reload was refused, what ran before goes on: %.500s", err.text);
	end(r, &err, NULL);
}

static const char *result_of(const struct otd_app_reload *r, const struct otd_diff_key *k)
{
	return !k->live ? "needs restart" : r->check ? "can be applied" : "applied";
}

static json_t *key_json(const struct otd_app_reload *r, const struct otd_diff_key *k)
{
	char at[600] = "";
	if (k->at)
		snprintf(at, sizeof(at), "%s:%d:%d", otd_yaml_file(k->at), otd_yaml_line(k->at),
			 otd_yaml_column(k->at));
	return json_pack("{s:s, s:s, s:s, s:s, s:s}", "key", k->path, "before", k->before, "after",
			 k->after, "result", result_of(r, k), "at", at);
}

/* Applied, or checked: what became of each key. */
static void report(struct otd_app_reload *r)
{
	struct otd_err err = {0};
	struct otd_bytes b;
	size_t n = otd_diff_count(r->diff), waits = otd_diff_not_live(r->diff);
	json_t *keys = json_array();
	for (size_t i = 0; i < n; i++) {
		const struct otd_diff_key *k = otd_diff_key(r->diff, i);
		(void)json_array_append_new(keys, key_json(r, k));
		otd_log(OTD_LOG_INFO, "app", r->check ? "reload.would" : "reload.key",
			"key=%s before=%s after=%s result=%s", OTD_Q(k->path), OTD_Q(k->before),
			OTD_Q(k->after), OTD_Q(result_of(r, k)));
	}
	json_t *o = json_pack("{s:s, s:b, s:o, s:I, s:I, s:I}", "file", r->app->config, "checked",
			      (int)r->check, "changed", keys, "applied",
			      (json_int_t)(r->check ? 0 : n - waits), "needs_restart",
			      (json_int_t)waits, "ms", (json_int_t)(mono_ms(r->app) - r->began_ms));
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	otd_bytes_init(&b, 8u << 20);
	if (!text || otd_bytes_text(&b, text) != OTD_OK)
		otd_fail(&err, OTD_E_NOMEM, "no memory for the answer; it was %s",
			 r->check ? "checked" : "applied");
	if (!r->check) {
		r->trouble[0] = '\0';
		otd_heir_file_was_read(r->app);
		otd_log(OTD_LOG_INFO, "app", "reload.done",
			"changed=%zu applied=%zu needs_restart=%zu ms=%lld", n, n - waits, waits,
			(long long)(mono_ms(r->app) - r->began_ms));
	}
	free(text);
	json_decref(o);
	end(r, &err, &b);
	otd_bytes_finish(&b);
}

/* --- applied --- */

static void on_reactor_has_it(void *arg)
{
	struct otd_app_reload *r = arg;
	if (r->waiting)
		r->waiting--;
}

static void on_applied(void *arg) /* [reactor] */
{
	struct otd_app_reload *r = arg;
	while (!atomic_load(&r->app->stopping) &&
	       otd_loop_post(r->app->loop, on_reactor_has_it, r) != OTD_OK)
		; /* no memory for a message: there is some soon, or nothing goes on anyway */
}

static void on_poll(void *arg)
{
	struct otd_app_reload *r = arg;
	struct otd_app *app = r->app;
	if (r->state != APPLYING)
		return;
	bool on_record = otd_accounting_fees_durable(app->accounting);
	bool waited = mono_ms(app) - r->applied_ms > FEES_MS;
	if (!otd_app_plan_told(r->plan) || r->waiting || (!on_record && !waited)) {
		app->env->ops->timer_start(r->timer, POLL_MS, 0);
		return;
	}
	if (!on_record)
		otd_log(OTD_LOG_WARN, "app", "reload.fee_waits",
			"why=\"the coordinator's journal takes no record now\" hint=\"the fee is "
			"in force from the reload on once it does\"");
	otd_app_plan_serve(r->plan);
	report(r);
}

static void policies(struct otd_app_reload *r)
{
	if (!r->check)
		otd_app_policy_commit(r->app, r->policy);
	else
		otd_app_policy_discard(r->policy);
	if (!r->check) {
		otd_app_tls_commit(r->app, r->tls);
		r->tls = NULL;
	}
	r->policy = NULL;
	if (!r->check)
		otd_app_lists_take(r->app, &r->lists);
}

/* Room for one more generation of settings. */
static otd_rc old_room(struct otd_app_reload *r, struct otd_err *err)
{
	if (r->n_old < r->cap_old)
		return OTD_OK;
	size_t cap = r->cap_old ? 2 * r->cap_old : 8;
	struct otd_settings **p = realloc(r->old, cap * sizeof(struct otd_settings *));
	if (!p)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	r->old = p;
	r->cap_old = cap;
	return OTD_OK;
}

static void apply(struct otd_app_reload *r)
{
	struct otd_err err = {0};
	otd_rc rc = old_room(r, &err);
	if (rc == OTD_OK)
		rc = otd_app_plan_listen(r->plan, &err);
	if (rc != OTD_OK) {
		refuse(r, &err);
		return;
	}
	if (r->check) {
		report(r);
		return;
	}
	rc = otd_app_plan_reconfigure(r->plan, &err);
	if (rc != OTD_OK) {
		refuse(r, &err);
		return;
	}
	r->before = r->app->settings;
	r->waiting = r->app->n_reactors;
	otd_app_plan_carry_out(r->plan);
	policies(r);
	r->old[r->n_old++] = r->before;
	r->applied_ms = mono_ms(r->app);
	r->state = APPLYING;
	r->app->env->ops->timer_start(r->timer, 1, 0);
}

static void on_plan_read(void *arg, const struct otd_err *err)
{
	struct otd_app_reload *r = arg;
	struct otd_err gone = {0};
	if (r->app->draining)
		(void)otd_fail(&gone, OTD_E_CLOSED, "the pool is ending");
	if (err->rc || gone.rc)
		refuse(r, err->rc ? err : &gone);
	else
		apply(r);
}

/* --- read --- */

static void on_problem(void *arg, const struct otd_err *err)
{
	struct otd_app_reload *r = arg;
	(void)err;
	r->problems++;
}

/* Chains alone are given options while they run. No plugin comes or goes during a reload. */
static bool takes_option(void *arg, const char *kind, const char *id, const char *option)
{
	const struct otd_app *app = arg;
	bool takes = false;
	for (size_t i = 0; i < app->n_chains && strcmp(kind, "chain") == 0; i++) {
		const struct otd_app_chain *c = &app->chains[i];
		if (!c->chain ||
		    strcmp(otd_plugin_desc(otd_instance_plugin(c->plugin))->id, id) != 0)
			continue;
		takes = otd_plugin_takes(otd_instance_plugin(c->plugin), option);
		if (!takes)
			break;
	}
	return takes;
}

static void load_run(void *arg) /* a thread of its own */
{
	struct otd_app_reload *r = arg;
	const struct otd_app *app = r->app;
	const struct otd_settings_source source = {.file = app->config,
						   .set = app->set ? app->set->item : NULL,
						   .n_set = app->set ? app->set->n : 0,
						   .problem = on_problem,
						   .arg = r};
	otd_rc rc = otd_settings_load(&r->now, app->env, &source, &r->err);
	/* Nobody puts others in force meanwhile. */
	if (rc == OTD_OK)
		rc = otd_diff_create(&r->diff, app->settings, r->now, takes_option, r->app,
				     &r->err);
	if (rc == OTD_OK && otd_diff_not_live(r->diff))
		rc = otd_diff_live_settings(&r->live, app->env, r->diff, &r->err);
	else if (rc == OTD_OK)
		r->live = r->now;
	/* Scripts may have changed where no key has. */
	if (rc == OTD_OK)
		rc = otd_app_policy_prepare(r->app, &r->policy, r->live, &r->err);
	if (rc == OTD_OK)
		rc = otd_app_tls_prepare(r->app, &r->tls, r->live, &r->err);
	if (rc == OTD_OK)
		rc = otd_app_lists_read(&r->lists, app->env, r->live, &r->err);
	if (rc != OTD_OK && r->err.rc == OTD_OK)
		(void)otd_fail(&r->err, rc, "%s: %s", app->config, otd_rc_name(rc));
}

static void prepare(struct otd_app_reload *r)
{
	struct otd_app *app = r->app;
	struct otd_err err = {0};
	bool later = false;
	r->state = PREPARING;
	otd_rc rc = otd_app_tls_offer(app, r->tls, &err);
	if (rc == OTD_OK)
		rc = otd_app_plan_check_waiting(app, r->now, r->diff, &err);
	if (rc == OTD_OK && otd_diff_count(r->diff) == otd_diff_not_live(r->diff)) {
		policies(r);
		report(r); /* nothing else to do */
		return;
	}
	if (rc == OTD_OK)
		rc = otd_app_plan_create(&r->plan, app, r->live, on_applied, r, &err);
	if (rc == OTD_OK)
		rc = otd_app_plan_read(r->plan, &later, on_plan_read, r, &err);
	if (rc != OTD_OK)
		refuse(r, &err);
	else if (!later)
		apply(r);
}

static void drafts_run(void *arg) /* a thread of its own */
{
	struct otd_app_reload *r = arg;
	otd_app_drafts_run(&r->drafts);
}

static void drafts_done(void *arg)
{
	struct otd_app_reload *r = arg;
	struct otd_err err = r->drafts.err;
	if (!err.rc && r->app->draining)
		(void)otd_fail(&err, OTD_E_CLOSED, "the pool is ending");
	if (err.rc) {
		otd_app_drafts_discard(&r->drafts);
		refuse(r, &err);
		return;
	}
	otd_app_drafts_publish(&r->drafts);
	prepare(r);
}

static void load_done(void *arg)
{
	struct otd_app_reload *r = arg;
	struct otd_app *app = r->app;
	struct otd_err err = r->err;
	if (!err.rc && app->draining)
		(void)otd_fail(&err, OTD_E_CLOSED, "the pool is ending");
	if (err.rc) {
		refuse(r, &err);
		return;
	}
	r->drafts.err = (struct otd_err){0};
	otd_app_drafts_want(&r->drafts, app, r->live);
	otd_app_drafts_want(&r->drafts, app, r->now);
	otd_app_drafts_want_options(&r->drafts, app, r->live);
	r->state = TRYING;
	if (r->drafts.n == 0 && r->drafts.n_options == 0)
		prepare(r);
	else if (app->env->ops->worker_give(r->worker, drafts_run, drafts_done, r) != OTD_OK) {
		(void)otd_fail(&err, OTD_E_NOMEM, "out of memory");
		otd_app_drafts_discard(&r->drafts);
		refuse(r, &err);
	}
}

/* --- asked --- */

static otd_rc make(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_reload *r = app->reload ? app->reload : calloc(1, sizeof(*r));
	otd_rc rc = OTD_OK;
	if (!r)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	app->reload = r;
	r->app = app;
	if (!r->worker)
		rc = app->env->ops->worker_create(app->loop, &r->worker, "reload", err);
	if (rc == OTD_OK && !r->timer)
		rc = app->env->ops->timer_create(app->loop, &r->timer, on_poll, r);
	return rc == OTD_OK ? rc : otd_fail(err, rc, "no thread to read the file: out of memory");
}

static void begin(struct otd_app *app, struct otd_control_request *request, bool check)
{
	struct otd_app_reload *r;
	struct otd_err err = {0};
	if (app->draining)
		(void)otd_fail(&err, OTD_E_CLOSED, "the pool is ending");
	else if (!app->config)
		(void)otd_fail(&err, OTD_E_UNSUPPORTED, "this pool has no file to read again");
	else if (otd_app_reload_busy(app))
		(void)otd_fail(&err, OTD_E_BUSY,
			       "a reload is under way; ask again when it is over");
	else if (otd_app_plugins_busy(app))
		(void)otd_fail(&err, OTD_E_BUSY,
			       "a plugin is being loaded or swapped; ask again when it is over");
	else
		(void)!make(app, &err);
	r = app->reload;
	if (!err.rc) {
		r->state = LOADING;
		r->check = check;
		r->request = request;
		r->problems = 0;
		r->err = (struct otd_err){0};
		r->began_ms = mono_ms(app);
		if (app->env->ops->worker_give(r->worker, load_run, load_done, r) == OTD_OK) {
			if (!check)
				otd_notify_reloading();
			otd_log(OTD_LOG_INFO, "app", "reload.begun", "file=%s by=%s check=%s",
				OTD_Q(app->config), request ? "command" : "signal",
				check ? "yes" : "no");
			return;
		}
		r->state = IDLE;
		(void)otd_fail(&err, OTD_E_NOMEM, "out of memory");
	}
	if (request)
		otd_control_answer(request, &err, NULL);
	else
		otd_log(OTD_LOG_ERROR, "app", "reload.refused", "error=%s", OTD_Q(err.text));
}

void otd_app_reload_request(struct otd_app *app, struct otd_control_request *request,
			    const char *words)
{
	struct otd_err err = {0};
	if (*words && strcmp(words, "check") != 0) {
		(void)otd_fail(&err, OTD_E_INVALID, "say nothing or check, not '%.40s'", words);
		otd_control_answer(request, &err, NULL);
		return;
	}
	begin(app, request, *words != '\0');
}

void otd_app_reload_signal(struct otd_app *app)
{
	/* The file may have changed since it was read: once more, then. */
	if (otd_app_reload_busy(app))
		app->reload->again = true;
	else if (otd_app_plugins_busy(app))
		app->live->reload_after = true;
	else
		begin(app, NULL, false);
}

/* --- what is left of pools that went --- */

static bool is_back(const struct otd_app *app, size_t i)
{
	for (size_t k = i + 1; k < app->n_pools; k++) {
		if (app->pools[k].settings && strcmp(app->pools[k].name, app->pools[i].name) == 0)
			return true;
	}
	return false;
}

static bool on_chain(const struct otd_app *app, const struct otd_app_chain *c)
{
	for (size_t i = 0; i < app->n_pools; i++) {
		if (app->pools[i].chain == c)
			return true;
	}
	return false;
}

static bool refers_to(const struct otd_app *app, const struct otd_settings *s)
{
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_settings_pool *was = app->pools[i].was;
		if (was && was >= s->pools && was < s->pools + s->n_pools)
			return true;
	}
	return false;
}

/* All but those of the start, where nothing refers to them. */
static void drop_old(struct otd_app_reload *r)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->n_old; i++) {
		if (i == 0 || refers_to(r->app, r->old[i]))
			r->old[kept++] = r->old[i];
		else
			otd_settings_destroy(r->old[i]);
	}
	r->n_old = kept;
}

void otd_app_reload_second(struct otd_app *app)
{
	struct otd_err err = {0};
	bool changed = false;
	if (!app->reload || otd_app_reload_busy(app))
		return;
	for (size_t i = 0; i < app->n_pools; i++) {
		struct otd_app_pool *p = &app->pools[i];
		if (!p->was || !otd_coordinator_is_gone(app->coordinator, i) ||
		    (!is_back(app, i) && otd_payer_has(app->payer, p->name)))
			continue;
		otd_log(OTD_LOG_INFO, "app", "pool.gone", "pool=%s", p->name);
		p->was = NULL;
		changed = true;
	}
	/* First the payer has to let go of their chains. */
	for (size_t i = 0; changed && i < app->n_pools; i++) {
		if (!app->pools[i].settings && !app->pools[i].was && app->pools[i].chain) {
			otd_coordinator_forget_pool(app->coordinator, i);
			app->pools[i].chain = NULL;
		}
	}
	if (changed && otd_app_configure_payer(app, &err) != OTD_OK)
		return; /* no memory: the chains stay */
	for (size_t i = 0; changed && i < app->n_chains; i++) {
		struct otd_app_chain *c = &app->chains[i];
		if (!c->chain || on_chain(app, c))
			continue;
		otd_log(OTD_LOG_INFO, "app", "chain.gone", "coin=%s network=%s", c->coin,
			c->network);
		otd_app_chain_destroy(c);
	}
	drop_old(app->reload);
}

/* --- life --- */

void otd_app_reload_stop(struct otd_app *app)
{
	struct otd_app_reload *r = app->reload;
	if (!r)
		return;
	if (r->worker)
		app->env->ops->worker_destroy(r->worker);
	r->worker = NULL;
	if (r->timer)
		app->env->ops->timer_destroy(r->timer);
	r->timer = NULL;
	forget(r);
}

void otd_app_reload_free(struct otd_app *app)
{
	struct otd_app_reload *r = app->reload;
	for (size_t i = 0; r && i < r->n_old; i++)
		otd_settings_destroy(r->old[i]);
	free(r ? r->old : NULL);
	free(r);
	app->reload = NULL;
}
