/* Fees by command: stored first, then in force. See app/app_fee.h. */
#include "app/app_fee.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/app_parts.h"
#include "app/explain/app_explain.h"
#include "app/policy/app_policy.h"
#include "base/log.h"
#include "base/text.h"
#include "ledger/audit.h"
#include "net/bans.h"

#include <jansson.h>

#define COLUMNS "pool, fee_ppm, reason, by_whom, created_ms, until_ms"
static const uint32_t wants[] = {OTD_VALUE_TEXT, OTD_VALUE_INT, OTD_VALUE_TEXT,
				 OTD_VALUE_TEXT, OTD_VALUE_INT, OTD_VALUE_INT};

struct otd_app_fees {
	struct otd_app_fee_override *all;
	size_t n;
	bool busy; /* a change is on its way to the database */
};

/* --- those that hold --- */

static struct otd_app_fee_override *find(const struct otd_app *app, const char *pool)
{
	const struct otd_app_fees *f = app->fees;
	for (size_t i = 0; f && i < f->n; i++)
		if (strcmp(f->all[i].pool, pool) == 0)
			return &f->all[i];
	return NULL;
}

const struct otd_app_fee_override *otd_app_fee_override(const struct otd_app *app, const char *pool)
{
	return find(app, pool);
}

int64_t otd_app_fee_base(const struct otd_app *app, const char *pool, int64_t yaml_ppm)
{
	const struct otd_app_fee_override *o = find(app, pool);
	return o ? o->ppm : yaml_ppm;
}

static otd_rc put(struct otd_app_fees *f, const struct otd_app_fee_override *o)
{
	struct otd_app_fee_override *all = realloc(f->all, (f->n + 1) * sizeof(*all));
	if (!all)
		return OTD_E_NOMEM;
	f->all = all;
	f->all[f->n++] = *o;
	return OTD_OK;
}

static void drop(struct otd_app_fees *f, const struct otd_app_fee_override *o)
{
	size_t i = (size_t)(o - f->all);
	memmove(&f->all[i], &f->all[i + 1], (f->n - i - 1) * sizeof(f->all[0]));
	f->n--;
}

static const struct otd_settings_pool *settings_of(const struct otd_app *app, const char *pool)
{
	for (size_t i = 0; i < app->settings->n_pools; i++)
		if (strcmp(app->settings->pools[i].name, pool) == 0)
			return &app->settings->pools[i];
	return NULL;
}

/* --- rows --- */

static otd_rc audit(struct otd_db *db, const char *what, const struct otd_app_fee_override *o,
		    const char *reason, const char *by, int64_t now_ms, struct otd_err *err)
{
	json_t *a = json_pack("{s:s, s:I, s:I, s:s, s:s}", "pool", o->pool, "fee_ppm",
			      (json_int_t)o->ppm, "until_ms", (json_int_t)o->until_ms, "reason",
			      reason, "by", by);
	char *text = a ? json_dumps(a, JSON_COMPACT) : NULL;
	otd_rc rc = text ? otd_audit_add(db, now_ms, what, text, err)
			 : otd_fail(err, OTD_E_NOMEM, "out of memory");
	free(text);
	json_decref(a);
	return rc;
}

static bool read_row(struct otd_app_fee_override *o, const struct otd_value *c)
{
	*o = (struct otd_app_fee_override){.ppm = c[1].i, .created_ms = c[4].i, .until_ms = c[5].i};
	return otd_explain_take_text(o->pool, sizeof(o->pool), &c[0]) &&
	       otd_explain_take_text(o->reason, sizeof(o->reason), &c[2]) &&
	       otd_explain_take_text(o->by, sizeof(o->by), &c[3]) && o->ppm >= 0 &&
	       o->ppm <= 1000000;
}

/* --- the start --- */

static otd_rc take_row(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_app *app = ctx;
	struct otd_app_fee_override o;
	(void)n;
	if (!read_row(&o, c)) {
		otd_app_warn(app,
			     "a fee override of the database cannot be read, and does not hold");
		return OTD_OK;
	}
	return put(app->fees, &o);
}

static otd_rc end_row(struct otd_db *db, const char *pool, int64_t now_ms, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_INT(now_ms), OTD_TEXT(pool)};
	return otd_db_exec(db,
			   "UPDATE fee_overrides SET ended_ms = ? WHERE pool = ? AND ended_ms = 0",
			   v, 2, NULL, NULL, err);
}

/* Called anew from its start where the database is busy. */
static otd_rc load_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct otd_app *app = arg;
	int64_t now_ms = otd_wall_ms(app->env);
	app->fees->n = 0;
	otd_rc rc =
		otd_db_query(db,
			     "SELECT " COLUMNS " FROM fee_overrides WHERE ended_ms = 0"
			     " ORDER BY id",
			     NULL, 0, wants, sizeof(wants) / sizeof(wants[0]), take_row, app, err);
	for (size_t i = 0; rc == OTD_OK && i < app->fees->n;) {
		const struct otd_app_fee_override *o = &app->fees->all[i];
		bool over = o->until_ms && o->until_ms <= now_ms;
		if (!over && settings_of(app, o->pool)) {
			i++;
			continue;
		}
		rc = end_row(db, o->pool, now_ms, err);
		if (rc == OTD_OK)
			rc = audit(db, "fee.over", o,
				   over ? "its time is over" : "the settings have no such pool",
				   "otedama", now_ms, err);
		drop(app->fees, o);
	}
	return rc;
}

otd_rc otd_app_fees_load(struct otd_app *app, struct otd_err *err)
{
	app->fees = calloc(1, sizeof(*app->fees));
	if (!app->fees)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_rc rc = otd_store_do_now(app->store, true, load_work, app, err);
	for (size_t i = 0; rc == OTD_OK && i < app->fees->n; i++)
		otd_log(OTD_LOG_INFO, "app", "fee.override", "pool=%s fee_ppm=%lld until_ms=%lld",
			app->fees->all[i].pool, (long long)app->fees->all[i].ppm,
			(long long)app->fees->all[i].until_ms);
	return rc;
}

void otd_app_fees_finish(struct otd_app *app)
{
	if (app->fees)
		free(app->fees->all);
	free(app->fees);
	app->fees = NULL;
}

/* --- a change --- */

enum kind { FEE_SET, FEE_CLEAR, FEE_OVER };

struct change {
	struct otd_app *app;
	struct otd_control_request *request; /* NULL: nobody waits */
	enum kind kind;
	bool checking; /* whether the commit of unknown fate has happened */
	bool there;    /* the row that holds, in stored */
	struct otd_app_fee_override o, stored;
	const char *why; /* of FEE_OVER */
	int64_t now_ms;
	struct otd_err err;
};

static otd_rc take_stored(void *ctx, const struct otd_value *c, size_t n)
{
	struct change *w = ctx;
	(void)n;
	w->there = read_row(&w->stored, c);
	return OTD_OK;
}

static otd_rc read_stored(struct change *w, struct otd_db *db, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_TEXT(w->o.pool)};
	w->there = false;
	return otd_db_query(db,
			    "SELECT " COLUMNS " FROM fee_overrides WHERE pool = ? AND ended_ms = 0",
			    v, 1, wants, sizeof(wants) / sizeof(wants[0]), take_stored, w, err);
}

static otd_rc change_work(void *arg, struct otd_db *db, struct otd_err *err) /* [store] */
{
	static const char *const names[] = {"fee.set", "fee.clear", "fee.over"};
	struct change *w = arg;
	const struct otd_app_fee_override *o = &w->o;
	if (w->checking)
		return read_stored(w, db, err);
	otd_rc rc = end_row(db, o->pool, w->now_ms, err);
	const struct otd_value v[] = {OTD_TEXT(o->pool), OTD_INT(o->ppm),    OTD_TEXT(o->reason),
				      OTD_TEXT(o->by),   OTD_INT(w->now_ms), OTD_INT(o->until_ms)};
	if (rc == OTD_OK && w->kind == FEE_SET)
		rc = otd_db_exec(db,
				 "INSERT INTO fee_overrides(" COLUMNS ") VALUES(?, ?, ?, ?, ?, ?)",
				 v, 6, NULL, NULL, err);
	return rc ? rc
		  : audit(db, names[w->kind], o, w->why ? w->why : o->reason,
			  w->why ? "otedama" : o->by, w->now_ms, err);
}

/* Stored: from now on, by a mark in the journal. */
static void in_force(struct otd_app *app, const char *pool)
{
	const struct otd_settings_pool *s = settings_of(app, pool);
	if (s)
		otd_app_policy_fee_base(app, pool, otd_app_fee_base(app, pool, s->fee_ppm));
}

static void apply(struct change *w)
{
	struct otd_app_fee_override *old = find(w->app, w->o.pool);
	w->o.created_ms = w->now_ms;
	if (old)
		drop(w->app->fees, old);
	if (w->kind == FEE_SET && put(w->app->fees, &w->o) != OTD_OK) {
		otd_fail(&w->err, OTD_E_NOMEM,
			 "out of memory: it is stored, and in force from the next start");
		return;
	}
	otd_log(OTD_LOG_INFO, "app", w->kind == FEE_SET ? "fee.set" : "fee.clear",
		"pool=%s fee_ppm=%lld until_ms=%lld reason=%s by=%s", w->o.pool,
		(long long)w->o.ppm, (long long)w->o.until_ms, OTD_Q(w->o.reason), OTD_Q(w->o.by));
	in_force(w->app, w->o.pool);
}

static json_t *pool_json(const struct otd_app *app, const struct otd_settings_pool *s)
{
	const struct otd_app_fee_override *o = find(app, s->name);
	struct otd_app_policy_fee_status f;
	otd_app_policy_fee_status(app, s->name, &f);
	json_t *j = json_pack("{s:s, s:I, s:s, s:I, s:s, s:s}", "pool", s->name, "ppm",
			      (json_int_t)otd_app_policy_fee(app, s->name, s->fee_ppm), "by", f.by,
			      "settings_ppm", (json_int_t)s->fee_ppm, "policy", f.script, "reason",
			      f.reason);
	if (j && o)
		(void)json_object_set_new(j, "override",
					  json_pack("{s:I, s:s, s:s, s:I, s:I}", "ppm",
						    (json_int_t)o->ppm, "reason", o->reason, "by",
						    o->by, "created_ms", (json_int_t)o->created_ms,
						    "until_ms", (json_int_t)o->until_ms));
	return j;
}

static void answer(struct otd_control_request *r, struct otd_err *err, json_t *o)
{
	struct otd_bytes b;
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	otd_bytes_init(&b, 1u << 20);
	if (!err->rc && (!text || otd_bytes_text(&b, text) != OTD_OK))
		otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_control_answer(r, err, &b);
	otd_bytes_finish(&b);
	free(text);
	json_decref(o);
}

static void end(struct change *w)
{
	const struct otd_settings_pool *s = settings_of(w->app, w->o.pool);
	if (w->kind != FEE_OVER)
		w->app->fees->busy = false;
	if (w->request)
		answer(w->request, &w->err, !w->err.rc && s ? pool_json(w->app, s) : json_object());
	else if (w->err.rc)
		otd_log(OTD_LOG_WARN, "app", "fee.not_stored", "pool=%s error=%s", w->o.pool,
			OTD_Q(w->err.text));
	free(w);
}

/* Whether the database has what was asked for, after a commit that nobody can tell of. */
static bool took(const struct change *w)
{
	if (w->kind != FEE_SET)
		return !w->there;
	return w->there && w->stored.created_ms == w->now_ms && w->stored.ppm == w->o.ppm;
}

static void change_done(void *arg, const struct otd_err *err)
{
	struct change *w = arg;
	struct otd_app *app = w->app;
	w->err = *err;
	if (err->rc == OTD_E_COMMIT_UNKNOWN && !w->checking && !atomic_load(&app->stopping)) {
		w->checking = true;
		if (otd_store_do(app->store, false, change_work, change_done, w) == OTD_OK)
			return;
	}
	if (!w->err.rc && w->checking && !took(w))
		otd_fail(&w->err, OTD_E_IO, "the database did not take it; nothing has changed");
	/* A reload may have taken the pool out meanwhile: the row of one that has gone is ended. */
	bool gone = !settings_of(app, w->o.pool);
	if (!w->err.rc && gone && w->kind == FEE_SET) {
		otd_fail(&w->err, OTD_E_NOT_FOUND, "pool %s was taken out meanwhile", w->o.pool);
		(void)put(app->fees, &w->o);
		otd_app_fee_gone(app, w->o.pool);
	} else if (!w->err.rc && w->kind != FEE_OVER) {
		apply(w);
	}
	end(w);
}

/* Not in force any more, whatever the database says to it. */
static void over(struct otd_app *app, const struct otd_app_fee_override *o, const char *why)
{
	struct change *w = calloc(1, sizeof(*w));
	otd_log(OTD_LOG_INFO, "app", "fee.over", "pool=%s fee_ppm=%lld why=%s", o->pool,
		(long long)o->ppm, OTD_Q(why));
	if (w) {
		*w = (struct change){.app = app, .kind = FEE_OVER, .o = *o, .why = why};
		w->now_ms = otd_wall_ms(app->env);
		otd_rc rc = otd_store_do(app->store, true, change_work, change_done, w);
		if (rc != OTD_OK) {
			otd_fail(&w->err, rc, "%s", otd_rc_name(rc));
			end(w);
		}
	}
	drop(app->fees, o);
}

void otd_app_fee_gone(struct otd_app *app, const char *pool)
{
	const struct otd_app_fee_override *o = find(app, pool);
	if (o)
		over(app, o, "the pool was taken out");
}

void otd_app_fees_tick(struct otd_app *app, int64_t now_ms)
{
	/* One that is being changed has its end with that change. */
	for (size_t i = 0; app->fees && !app->fees->busy && i < app->fees->n;) {
		const struct otd_app_fee_override *o = &app->fees->all[i];
		char pool[sizeof(o->pool)];
		if (!o->until_ms || o->until_ms > now_ms) {
			i++;
			continue;
		}
		memcpy(pool, o->pool, sizeof(pool));
		over(app, o, "its time is over");
		in_force(app, pool);
	}
}

/* --- requests --- */

static otd_rc read_set(struct change *w, const json_t *o, struct otd_err *err)
{
	const json_t *ppm = json_object_get(o, "ppm");
	json_int_t for_ms = json_integer_value(json_object_get(o, "for_ms"));
	w->o.ppm = json_integer_value(ppm);
	if (!json_is_integer(ppm) || w->o.ppm < 0 || w->o.ppm > 1000000)
		return otd_fail(err, OTD_E_RANGE, "a fee is between 0%% and 100%%");
	if (for_ms < 0 || for_ms > INT64_MAX / 4)
		return otd_fail(err, OTD_E_RANGE, "so long a time is out of range");
	w->o.until_ms = for_ms ? w->now_ms + for_ms : 0;
	return OTD_OK;
}

static otd_rc read_request(struct change *w, const json_t *o, struct otd_err *err)
{
	const char *pool = json_string_value(json_object_get(o, "pool"));
	const char *reason = json_string_value(json_object_get(o, "reason"));
	const char *by = json_string_value(json_object_get(o, "by"));
	if (!pool || !reason || !*reason)
		return otd_fail(err, OTD_E_INVALID, "a pool and a reason are needed");
	if (!settings_of(w->app, pool))
		return otd_app_no_pool(w->app, pool, strlen(pool), err);
	otd_rc rc = otd_ban_reason_check(reason, strlen(reason), err);
	const struct otd_app_fee_override *old = find(w->app, pool);
	if (rc == OTD_OK && w->kind == FEE_SET)
		rc = read_set(w, o, err);
	else if (rc == OTD_OK && !old)
		rc = otd_fail(err, OTD_E_NOT_FOUND,
			      "pool %s has no fee by command; 'otedama fee show %s' tells whose is "
			      "in force",
			      pool, pool);
	else if (rc == OTD_OK)
		w->o = *old;
	if (rc != OTD_OK)
		return rc;
	(void)snprintf(w->o.pool, sizeof(w->o.pool), "%s", pool);
	(void)snprintf(w->o.reason, sizeof(w->o.reason), "%.*s", OTD_FEE_REASON_MAX, reason);
	(void)snprintf(w->o.by, sizeof(w->o.by), "%.*s", OTD_FEE_BY_MAX,
		       by && *by ? by : "control");
	return OTD_OK;
}

static otd_rc begin(struct change *w, const char *text, struct otd_err *err)
{
	json_t *o = json_loads(text, 0, NULL);
	otd_rc rc = json_is_object(o)
			    ? OTD_OK
			    : otd_fail(err, OTD_E_INVALID, "a fee is asked for by a JSON object");
	if (rc == OTD_OK && w->app->fees->busy)
		rc = otd_fail(err, OTD_E_BUSY,
			      "another change of a fee is on its way; try again in a second");
	if (rc == OTD_OK)
		rc = read_request(w, o, err);
	json_decref(o);
	if (rc == OTD_OK && otd_store_do(w->app->store, true, change_work, change_done, w))
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		w->app->fees->busy = true;
	return rc;
}

static json_t *show(const struct otd_app *app, const char *only, struct otd_err *err)
{
	json_t *all = json_array();
	if (*only && !settings_of(app, only))
		(void)otd_app_no_pool(app, only, strlen(only), err);
	for (size_t i = 0; i < app->settings->n_pools; i++) {
		const struct otd_settings_pool *s = &app->settings->pools[i];
		if (!*only || strcmp(s->name, only) == 0)
			(void)json_array_append_new(all, pool_json(app, s));
	}
	return json_pack("{s:o}", "fees", all);
}

void otd_app_fee_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	struct change *w = NULL;
	bool set = strncmp(words, "set ", 4) == 0;
	if (strcmp(words, "show") == 0 || strncmp(words, "show ", 5) == 0) {
		json_t *o = show(app, words[4] ? words + 5 : "", &err);
		answer(r, &err, o);
		return;
	}
	if (!set && strncmp(words, "clear ", 6) != 0)
		otd_fail(&err, OTD_E_INVALID, "say show, set or clear, not '%.40s'", words);
	else if (!(w = calloc(1, sizeof(*w))))
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	if (w) {
		*w = (struct change){.app = app, .request = r, .kind = set ? FEE_SET : FEE_CLEAR};
		w->now_ms = otd_wall_ms(app->env);
		if (begin(w, words + (set ? 4 : 6), &err) == OTD_OK)
			return;
		free(w);
	}
	otd_control_answer(r, &err, NULL);
}
