#include "pool/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/journal/record.h"

#define WORKERS_A_STEP 50  /* of one hour: at most 60 rows each, and so many refused reasons */
#define DROPS_A_STEP   500 /* rows */

struct otd_history {
	struct otd_history_conf conf;
	struct otd_timer *timer;
	struct otd_history_step step;
	uint64_t rows;                          /* since the last look began */
	struct otd_metric *m_rows, *m_failures; /* NULL: nobody counts */
	bool running;                           /* a step is with the store */
	bool closing;
};

/* --- one step --- */

struct ids {
	int64_t id[DROPS_A_STEP], minute[DROPS_A_STEP];
	size_t n;
};

static otd_rc take_id(void *ctx, const struct otd_value *c, size_t n)
{
	struct ids *x = ctx;
	if (x->n == DROPS_A_STEP)
		return OTD_OK;
	x->minute[x->n] = n > 1 ? c[1].i : 0;
	x->id[x->n++] = c[0].i;
	return OTD_OK;
}

static otd_rc take_text(void *ctx, const struct otd_value *c, size_t n)
{
	uint64_t v = 0;
	(void)n;
	if (c[0].type == OTD_VALUE_TEXT && c[0].bytes.len < 20 &&
	    otd_parse_u64(&v, (const char *)c[0].bytes.ptr, c[0].bytes.len) == OTD_OK)
		*(int64_t *)ctx = (int64_t)v;
	return OTD_OK;
}

static otd_rc get_done(struct otd_db *db, int64_t *minute, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT};
	*minute = 0;
	return otd_db_query(db, "SELECT v FROM meta WHERE k = 'history_minute'", NULL, 0, wants, 1,
			    take_text, minute, err);
}

static otd_rc set_done(struct otd_db *db, int64_t minute, struct otd_err *err)
{
	char text[24];
	(void)snprintf(text, sizeof(text), "%lld", (long long)minute);
	const struct otd_value v[] = {OTD_TEXT(text)};
	return otd_db_exec(db,
			   "INSERT INTO meta(k, v) VALUES('history_minute', ?)"
			   " ON CONFLICT(k) DO UPDATE SET v = excluded.v",
			   v, 1, NULL, NULL, err);
}

/* The hour of the first row that is not an hour's; -1: none. */
static otd_rc first_hour(struct otd_db *db, const char *sql, int64_t from, int64_t before,
			 int64_t *hour, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_INT(from), OTD_INT(before)};
	int64_t minute = 0;
	otd_rc rc = otd_db_int(db, sql, v, 2, &minute, err);
	if (rc == OTD_E_NOT_FOUND) {
		*hour = -1;
		return OTD_OK;
	}
	*hour = minute / 60 * 60;
	return rc;
}

struct sums {
	int64_t accepted;
	otd_u128 work;
	int64_t refused[OTD_SHARE_VERDICTS];
};

static otd_rc add_shares(void *ctx, const struct otd_value *c, size_t n)
{
	struct sums *s = ctx;
	(void)n;
	s->accepted += c[0].i;
	s->work += (otd_u128)c[1].wide;
	return OTD_OK;
}

static otd_rc add_refused(void *ctx, const struct otd_value *c, size_t n)
{
	struct sums *s = ctx;
	(void)n;
	if (c[0].i < 0 || c[0].i >= OTD_SHARE_VERDICTS)
		return OTD_E_CORRUPT;
	s->refused[c[0].i] += c[1].i;
	return OTD_OK;
}

static otd_rc fold_shares(struct otd_db *db, int64_t worker, int64_t hour, uint64_t *rows,
			  struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct sums s = {0};
	int64_t gone = 0;
	const struct otd_value key[] = {OTD_INT(worker), OTD_INT(hour), OTD_INT(hour + 60)};
	otd_rc rc = otd_db_query(db,
				 "SELECT accepted, work FROM share_minutes"
				 " WHERE worker_id = ? AND minute >= ? AND minute < ?",
				 key, 3, wants, 2, add_shares, &s, err);
	if (rc == OTD_OK)
		rc = otd_db_exec(db,
				 "DELETE FROM share_minutes"
				 " WHERE worker_id = ? AND minute >= ? AND minute < ?",
				 key, 3, &gone, NULL, err);
	const struct otd_value v[] = {key[0], key[1], OTD_INT(s.accepted),
				      OTD_WIDE((otd_i128)s.work)};
	if (rc == OTD_OK)
		rc = otd_db_exec(db,
				 "INSERT INTO share_minutes(worker_id, minute, accepted, work)"
				 " VALUES(?, ?, ?, ?)",
				 v, 4, NULL, NULL, err);
	*rows += (uint64_t)gone;
	return rc;
}

static otd_rc fold_refused(struct otd_db *db, int64_t worker, int64_t hour, uint64_t *rows,
			   struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	struct sums s = {0};
	int64_t gone = 0;
	const struct otd_value key[] = {OTD_INT(worker), OTD_INT(hour), OTD_INT(hour + 60)};
	otd_rc rc = otd_db_query(db,
				 "SELECT reason, count FROM refused_minutes"
				 " WHERE worker_id = ? AND minute >= ? AND minute < ?",
				 key, 3, wants, 2, add_refused, &s, err);
	if (rc == OTD_OK)
		rc = otd_db_exec(db,
				 "DELETE FROM refused_minutes"
				 " WHERE worker_id = ? AND minute >= ? AND minute < ?",
				 key, 3, &gone, NULL, err);
	for (int i = 0; rc == OTD_OK && i < OTD_SHARE_VERDICTS; i++) {
		const struct otd_value v[] = {key[0], key[1], OTD_INT(i), OTD_INT(s.refused[i])};
		if (s.refused[i])
			rc = otd_db_exec(db,
					 "INSERT INTO refused_minutes(worker_id, minute, reason,"
					 " count) VALUES(?, ?, ?, ?)",
					 v, 4, NULL, NULL, err);
	}
	*rows += (uint64_t)gone;
	return rc;
}

typedef otd_rc (*fold_fn)(struct otd_db *db, int64_t worker, int64_t hour, uint64_t *rows,
			  struct otd_err *err);

/* *all: no worker of this hour is left. */
static otd_rc fold_some(struct otd_db *db, const char *sql, fold_fn fold, int64_t hour, bool *all,
			uint64_t *rows, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	struct ids workers = {.n = 0};
	const struct otd_value v[] = {OTD_INT(hour), OTD_INT(hour + 60), OTD_INT(WORKERS_A_STEP)};
	otd_rc rc = otd_db_query(db, sql, v, 3, wants, 1, take_id, &workers, err);
	for (size_t i = 0; rc == OTD_OK && i < workers.n; i++)
		rc = fold(db, workers.id[i], hour, rows, err);
	*all = workers.n < WORKERS_A_STEP;
	return rc;
}

static otd_rc fold_hour(struct otd_history_step *s, struct otd_db *db, int64_t hour,
			struct otd_err *err)
{
	bool shares = false, refused = false;
	otd_rc rc = fold_some(db,
			      "SELECT DISTINCT worker_id FROM share_minutes"
			      " WHERE minute > ? AND minute < ? LIMIT ?",
			      fold_shares, hour, &shares, &s->rows, err);
	if (rc == OTD_OK)
		rc = fold_some(db,
			       "SELECT DISTINCT worker_id FROM refused_minutes"
			       " WHERE minute > ? AND minute < ? LIMIT ?",
			       fold_refused, hour, &refused, &s->rows, err);
	if (rc == OTD_OK && shares && refused)
		rc = set_done(db, hour + 60, err);
	return rc;
}

static otd_rc drop_some(struct otd_history_step *s, struct otd_db *db, const char *find,
			const char *drop, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	struct ids rows = {.n = 0};
	const struct otd_value v[] = {OTD_INT(s->drop_before), OTD_INT(DROPS_A_STEP)};
	otd_rc rc = otd_db_query(db, find, v, 2, wants, 2, take_id, &rows, err);
	for (size_t i = 0; rc == OTD_OK && i < rows.n; i++) {
		const struct otd_value key[] = {OTD_INT(rows.id[i]), OTD_INT(rows.minute[i])};
		int64_t gone = 0;
		rc = otd_db_exec(db, drop, key, 2, &gone, NULL, err);
		s->rows += (uint64_t)gone;
	}
	s->more = s->more || rows.n == DROPS_A_STEP;
	return rc;
}

static otd_rc drop_old(struct otd_history_step *s, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = drop_some(s, db,
			      "SELECT worker_id, minute FROM share_minutes WHERE minute < ?"
			      " ORDER BY minute LIMIT ?",
			      "DELETE FROM share_minutes WHERE worker_id = ? AND minute = ?", err);
	if (rc == OTD_OK)
		rc = drop_some(s, db,
			       "SELECT worker_id, minute FROM refused_minutes WHERE minute < ?"
			       " ORDER BY minute LIMIT ?",
			       "DELETE FROM refused_minutes WHERE worker_id = ? AND minute = ?",
			       err);
	return rc;
}

otd_rc otd_history_step(void *step, struct otd_db *db, struct otd_err *err)
{
	struct otd_history_step *s = step;
	int64_t done = 0, shares = -1, refused = -1, before = s->fold_before / 60 * 60;
	s->more = false;
	s->rows = 0;
	otd_rc rc = get_done(db, &done, err);
	if (rc == OTD_OK && done < before)
		rc = first_hour(db,
				"SELECT minute FROM share_minutes WHERE minute >= ? AND minute < ?"
				" AND minute % 60 <> 0 ORDER BY minute LIMIT 1",
				done, before, &shares, err);
	if (rc == OTD_OK && done < before)
		rc = first_hour(db,
				"SELECT minute FROM refused_minutes WHERE minute >= ?"
				" AND minute < ? AND minute % 60 <> 0 ORDER BY minute LIMIT 1",
				done, before, &refused, err);
	if (rc)
		return rc;
	int64_t hour = shares < 0 || (refused >= 0 && refused < shares) ? refused : shares;
	if (hour >= 0) {
		s->more = true;
		return fold_hour(s, db, hour, err);
	}
	if (done < before)
		rc = set_done(db, before, err);
	return rc == OTD_OK ? drop_old(s, db, err) : rc;
}

/* --- now and then --- */

static otd_rc run_step(void *arg, struct otd_db *db, struct otd_err *err) /* [store] */
{
	struct otd_history *h = arg;
	return otd_history_step(&h->step, db, err);
}

static void on_done(void *arg, const struct otd_err *err)
{
	struct otd_history *h = arg;
	h->running = false;
	if (h->closing) {
		free(h);
		return;
	}
	if (err->rc)
		otd_log(OTD_LOG_WARN, "pool", "history.failed", "error=%s", OTD_Q(err->text));
	else
		h->rows += h->step.rows;
	if (h->m_rows)
		otd_metric_add(err->rc ? h->m_failures : h->m_rows,
			       err->rc ? 1 : (int64_t)h->step.rows);
	bool more = !err->rc && h->step.more;
	if (!more && h->rows) {
		otd_log(OTD_LOG_INFO, "pool", "history.folded", "rows=%llu before_minute=%lld",
			(unsigned long long)h->rows, (long long)h->step.fold_before);
		h->rows = 0;
	}
	h->conf.loop->env->ops->timer_start(h->timer, more ? h->conf.pause_ms : h->conf.every_ms,
					    0);
}

static void on_timer(void *arg)
{
	struct otd_history *h = arg;
	int64_t now_ms = otd_wall_ms(h->conf.loop->env);
	h->step.fold_before = (now_ms - h->conf.minutes_ms) / 60000;
	h->step.drop_before = (now_ms - h->conf.hours_ms) / 60000;
	h->running = otd_store_do(h->conf.store, true, run_step, on_done, h) == OTD_OK;
	if (!h->running)
		h->conf.loop->env->ops->timer_start(h->timer, h->conf.every_ms, 0);
}

otd_rc otd_history_create(struct otd_history **out, const struct otd_history_conf *conf,
			  struct otd_err *err)
{
	struct otd_history *h = calloc(1, sizeof(*h));
	*out = NULL;
	if (!h)
		return otd_fail(err, OTD_E_NOMEM, "history: out of memory");
	h->conf = *conf;
	h->conf.every_ms = conf->every_ms ? conf->every_ms : 60000;
	h->conf.pause_ms = conf->pause_ms ? conf->pause_ms : 200;
	if (conf->metrics) {
		h->m_rows =
			otd_metric(conf->metrics, OTD_COUNTER, "otd_history_rows_total", "",
				   "rows of old counts of shares, summed by the hour or dropped");
		h->m_failures = otd_metric(conf->metrics, OTD_COUNTER, "otd_history_failures_total",
					   "", "steps of that which the database refused");
	}
	otd_rc rc = conf->loop->env->ops->timer_create(conf->loop, &h->timer, on_timer, h);
	if (rc) {
		free(h);
		return otd_fail(err, rc, "history: no timer");
	}
	conf->loop->env->ops->timer_start(h->timer, h->conf.pause_ms, 0);
	*out = h;
	return OTD_OK;
}

void otd_history_keep(struct otd_history *h, int64_t minutes_ms, int64_t hours_ms)
{
	bool same = h->conf.minutes_ms == minutes_ms && h->conf.hours_ms == hours_ms;
	h->conf.minutes_ms = minutes_ms;
	h->conf.hours_ms = hours_ms;
	if (!same && !h->running)
		h->conf.loop->env->ops->timer_start(h->timer, h->conf.pause_ms, 0);
}

void otd_history_destroy(struct otd_history *h)
{
	if (!h)
		return;
	h->conf.loop->env->ops->timer_destroy(h->timer);
	h->closing = true;
	if (!h->running)
		free(h);
}
