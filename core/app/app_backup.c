#include "app/app_backup.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/policy/app_policy_impl.h"
#include "base/log.h"
#include "base/text.h"

enum stage { CHECKING, DATABASE, FILES, GIVING_UP, ENDED };

/*
 * prepare [backup thread] -> steps of the database [store], each given anew when the one before it is
 * done, so that what else the store has to do comes between -> files [backup thread].
 */
struct otd_app_backup {
	struct otd_app *app;
	struct otd_backup *backup;
	struct otd_worker *worker;
	enum stage stage;
	char dir[PATH_MAX];
	int64_t began_ms, took_ms; /* monotonic */
	bool stopping;             /* the pool ends */
	bool in_store;             /* a step is with the store */
	bool copied;               /* the database is */
	struct otd_backup_journal *journals;
	size_t n_journals, cap_journals;
	struct otd_err err;
};

static int64_t mono_ms(struct otd_app *app)
{
	return (int64_t)(otd_mono_ns(app->env) / 1000000);
}

/* --- what goes in --- */

/* The folder of a file; resolved, so that names that differ can be compared. */
static bool resolved(char to[PATH_MAX], const char *path)
{
	return realpath(path, to) != NULL;
}

/* A backup within data_dir would be moved away by the next restore, and be part of the next backup. */
static otd_rc check_place(const struct otd_app *app, const char *dir, struct otd_err *err)
{
	char parent[PATH_MAX], data[PATH_MAX], where[PATH_MAX];
	struct stat st, up;
	const char *slash = strrchr(dir, '/');
	if (dir[0] != '/' || strlen(dir) + 16 > PATH_MAX || !slash[1])
		return otd_fail(err, OTD_E_INVALID, "'%.200s' is not a usable folder name", dir);
	snprintf(parent, sizeof(parent), "%.*s", slash > dir ? (int)(slash - dir) : 1, dir);
	if (!resolved(where, parent) || !resolved(data, app->data_dir))
		return otd_fail(err, OTD_E_NOT_FOUND, "%s is not there; make it first", parent);
	size_t n = strlen(data);
	if (strncmp(where, data, n) == 0 && (where[n] == '/' || where[n] == '\0'))
		return otd_fail(err, OTD_E_INVALID,
				"%.200s lies within data_dir; name another place", dir);
	if (stat(dir, &st) == 0 && stat(where, &up) == 0 && st.st_dev != up.st_dev)
		return otd_fail(
			err, OTD_E_INVALID,
			"%.200s is where a disk is mounted; name a folder in it that is not "
			"there yet",
			dir);
	return OTD_OK;
}

otd_rc otd_app_backup_create(struct otd_backup **out, struct otd_app *app, const char *dir,
			     bool live, bool no_archive, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	struct otd_backup_extra *extras = calloc(s->n_coins + 1, sizeof(*extras));
	char(*names)[128] = calloc(s->n_coins + 1, sizeof(*names));
	char kv[PATH_MAX];
	struct otd_bytes yaml;
	otd_bytes_init(&yaml, 64u << 20);
	otd_rc rc = extras && names ? check_place(app, dir, err)
				    : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < s->n_coins; i++) {
		snprintf(names[i], sizeof(names[i]), "coins/%s.yaml", s->coins[i].id);
		extras[i] = (struct otd_backup_extra){names[i], s->coins[i].file, false};
	}
	snprintf(kv, sizeof(kv), "%.3000s/" POLICY_KV_FILE, app->data_dir);
	if (rc == OTD_OK)
		extras[s->n_coins] = (struct otd_backup_extra){"data/" POLICY_KV_FILE, kv, true};
	if (rc == OTD_OK && otd_settings_print(s, &yaml) != OTD_OK)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	struct otd_backup_conf conf = {.env = app->env,
				       .data_dir = app->data_dir,
				       .dir = dir,
				       .yaml = otd_bytes_span(&yaml),
				       .extras = extras,
				       .n_extras = s->n_coins + 1,
				       .live = live,
				       .no_archive = no_archive};
	if (rc == OTD_OK)
		rc = otd_backup_create(out, &conf, err);
	otd_bytes_finish(&yaml);
	free(extras);
	free(names);
	return rc;
}

otd_rc otd_app_backup_prepare(struct otd_backup *b, const char *dir, struct otd_err *err)
{
	char partial[PATH_MAX];
	struct stat st;
	otd_rc rc = otd_backup_prepare(b, err);
	if (rc)
		return rc;
	snprintf(partial, sizeof(partial), "%.*s.partial", PATH_MAX - 16, dir);
	/* One that somebody else has laid out in a place like /tmp stays his. */
	if (lstat(partial, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
	    chmod(partial, 0700) != 0)
		return otd_fail(err, OTD_E_IO,
				"%.200s is not a folder of this user's; name another place",
				partial);
	return OTD_OK;
}

bool otd_app_backup_same_disk(const char *data_dir, const char *dir)
{
	struct stat a, b;
	return stat(data_dir, &a) == 0 && stat(dir, &b) == 0 && a.st_dev == b.st_dev;
}

/* --- stages --- */

static void ended(struct otd_app_backup *k)
{
	struct otd_backup_progress p;
	otd_backup_progress(k->backup, &p);
	k->stage = ENDED;
	k->took_ms = mono_ms(k->app) - k->began_ms;
	if (!k->stopping)
		otd_accounting_hold(k->app->accounting, false);
	if (k->err.rc)
		otd_log(k->err.rc == OTD_E_CLOSED ? OTD_LOG_INFO : OTD_LOG_ERROR, "app",
			"backup.failed", "dir=%s error=%s", OTD_Q(k->dir), OTD_Q(k->err.text));
	else
		otd_log(OTD_LOG_INFO, "app", "backup.done",
			"dir=%s files=%zu bytes=%" PRIu64 " ms=%" PRId64 " position=%" PRIu64
			" steps=%" PRIu64 " longest_step_us=%" PRIu64,
			OTD_Q(k->dir), otd_backup_manifest(k->backup)->n_files,
			otd_manifest_bytes(otd_backup_manifest(k->backup)), k->took_ms,
			otd_backup_manifest(k->backup)->about.position, p.steps, p.longest_step_us);
}

static void abandon_run(void *arg) /* [backup] */
{
	struct otd_app_backup *k = arg;
	otd_backup_abandon(k->backup);
}

static void abandon_done(void *arg)
{
	ended(arg);
}

static otd_rc give_up_database(void *arg, struct otd_db *db, struct otd_err *err) /* [store] */
{
	uint32_t left;
	(void)arg;
	return otd_db_backup_step(db, NULL, 0, &left, err);
}

static void remove_files(struct otd_app_backup *k)
{
	if (k->app->env->ops->worker_give(k->worker, abandon_run, abandon_done, k) != OTD_OK)
		ended(k);
}

static void database_given_up(void *arg, const struct otd_err *err)
{
	struct otd_app_backup *k = arg;
	(void)err;
	k->in_store = false;
	if (!k->stopping)
		remove_files(k);
}

static void fail(struct otd_app_backup *k)
{
	k->stage = GIVING_UP;
	if (k->stopping)
		return; /* otd_app_backup_stop() does the rest */
	k->in_store = !k->copied && otd_store_do(k->app->store, false, give_up_database,
						 database_given_up, k) == OTD_OK;
	if (!k->in_store)
		remove_files(k);
}

static void files_run(void *arg) /* [backup] */
{
	struct otd_app_backup *k = arg;
	k->err.rc = otd_backup_files(k->backup, k->journals, k->n_journals, &k->err);
}

static void files_done(void *arg)
{
	struct otd_app_backup *k = arg;
	if (k->err.rc)
		fail(k);
	else
		ended(k);
}

static void add_journal(void *arg, uint64_t epoch, uint64_t durable)
{
	struct otd_app_backup *k = arg;
	if (k->n_journals == k->cap_journals) {
		size_t cap = k->cap_journals ? 2 * k->cap_journals : 16;
		struct otd_backup_journal *more = realloc(k->journals, cap * sizeof(*more));
		if (!more) {
			k->err.rc = otd_fail(&k->err, OTD_E_NOMEM, "out of memory");
			return;
		}
		k->journals = more;
		k->cap_journals = cap;
	}
	k->journals[k->n_journals++] = (struct otd_backup_journal){epoch, durable};
}

static void copy_files(struct otd_app_backup *k)
{
	k->stage = FILES;
	k->copied = true;
	otd_accounting_journals(k->app->accounting, add_journal, k);
	if (!k->err.rc &&
	    k->app->env->ops->worker_give(k->worker, files_run, files_done, k) != OTD_OK)
		k->err.rc = otd_fail(&k->err, OTD_E_NOMEM, "out of memory");
	if (k->err.rc)
		fail(k);
}

struct step {
	struct otd_app_backup *k;
	bool done;
};

static otd_rc step_run(void *arg, struct otd_db *db, struct otd_err *err) /* [store] */
{
	struct step *s = arg;
	return otd_backup_database(s->k->backup, db, &s->done, err);
}

static void step_give(struct otd_app_backup *k);

static void step_done(void *arg, const struct otd_err *err)
{
	struct step *s = arg;
	struct otd_app_backup *k = s->k;
	bool done = s->done;
	k->in_store = false;
	free(s);
	if (err->rc) {
		k->err = *err;
		fail(k);
	} else if (k->stopping) {
		return;
	} else if (done) {
		copy_files(k);
	} else {
		step_give(k);
	}
}

static void step_give(struct otd_app_backup *k)
{
	struct step *s = calloc(1, sizeof(*s));
	if (s)
		s->k = k;
	if (s && otd_store_do(k->app->store, false, step_run, step_done, s) == OTD_OK) {
		k->in_store = true;
		return;
	}
	free(s);
	k->err.rc = otd_fail(&k->err, OTD_E_NOMEM, "out of memory");
	fail(k);
}

static void prepare_run(void *arg) /* [backup] */
{
	struct otd_app_backup *k = arg;
	k->err.rc = otd_app_backup_prepare(k->backup, k->dir, &k->err);
}

static void prepare_done(void *arg)
{
	struct otd_app_backup *k = arg;
	if (k->stopping)
		return;
	if (k->err.rc) {
		k->copied = true; /* nothing was begun there */
		fail(k);
		return;
	}
	k->stage = DATABASE;
	step_give(k);
}

/* --- requests --- */

static void release(struct otd_app_backup *k)
{
	if (!k)
		return;
	if (k->worker)
		k->app->env->ops->worker_destroy(k->worker);
	otd_backup_destroy(k->backup);
	free(k->journals);
	free(k);
}

static otd_rc start(struct otd_app *app, const char *dir, struct otd_err *err)
{
	struct otd_app_backup *k = app->backup;
	size_t n = strlen(OTD_APP_BACKUP_NO_ARCHIVE);
	bool no_archive = strncmp(dir, OTD_APP_BACKUP_NO_ARCHIVE, n) == 0;
	if (no_archive)
		dir += n;
	if (k && k->stage != ENDED)
		return otd_fail(err, OTD_E_BUSY, "a backup into %.300s is under way", k->dir);
	if (app->draining)
		return otd_fail(err, OTD_E_CLOSED, "the pool is ending");
	release(k);
	app->backup = k = calloc(1, sizeof(*k));
	if (!k)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	k->app = app;
	k->stage = ENDED;
	snprintf(k->dir, sizeof(k->dir), "%s", dir);
	otd_rc rc = otd_app_backup_create(&k->backup, app, dir, true, no_archive, err);
	if (rc == OTD_OK)
		rc = app->env->ops->worker_create(app->loop, &k->worker, "backup", err);
	if (rc == OTD_OK) {
		k->stage = CHECKING;
		k->began_ms = mono_ms(app);
		otd_accounting_hold(app->accounting, true);
		rc = app->env->ops->worker_give(k->worker, prepare_run, prepare_done, k);
		if (rc) {
			otd_accounting_hold(app->accounting, false);
			otd_fail(err, rc, "out of memory");
		}
	}
	if (rc) {
		release(k);
		app->backup = NULL;
	}
	return rc;
}

static void json_text(struct otd_bytes *b, const char *key, const char *value)
{
	(void)otd_bytes_format(b, ",\"%s\":", key);
	(void)otd_bytes_json(b, value, strlen(value));
}

static void progress(const struct otd_app_backup *k, struct otd_bytes *b)
{
	static const char *const names[] = {"checking", "database", "files", "failed"};
	struct otd_backup_progress p;
	otd_backup_progress(k->backup, &p);
	(void)otd_bytes_format(b,
			       "{\"bytes\":%" PRIu64 ",\"of_bytes\":%" PRIu64 ",\"steps\":%" PRIu64
			       ",\"longest_step_us\":%" PRIu64,
			       p.bytes, p.of_bytes, p.steps, p.longest_step_us);
	json_text(b, "dir", k->dir);
	if (k->stage != ENDED) {
		json_text(b, "state", names[k->stage]);
	} else if (k->err.rc) {
		json_text(b, "state", "failed");
		json_text(b, "error", k->err.text);
	} else {
		const struct otd_manifest *m = otd_backup_manifest(k->backup);
		json_text(b, "state", "done");
		(void)otd_bytes_format(b,
				       ",\"position\":%" PRIu64
				       ",\"files\":%zu,\"written\":%" PRIu64 ",\"ms\":%" PRId64,
				       m->about.position, m->n_files, otd_manifest_bytes(m),
				       k->took_ms);
		(void)otd_bytes_format(
			b, ",\"same_disk\":%s",
			otd_app_backup_same_disk(k->app->data_dir, k->dir) ? "true" : "false");
	}
	(void)otd_bytes_text(b, "}");
}

void otd_app_backup_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	struct otd_bytes b;
	otd_bytes_init(&b, 1u << 20);
	if (strncmp(words, "start ", 6) == 0)
		err.rc = start(app, words + 6, &err);
	else if (strcmp(words, "progress") != 0 && strcmp(words, "cancel") != 0)
		otd_fail(&err, OTD_E_INVALID,
			 "say 'start DIR', 'progress' or 'cancel', not '%.60s'", words);
	else if (!app->backup)
		otd_fail(&err, OTD_E_NOT_FOUND, "no backup was begun since the pool's start");
	else if (strcmp(words, "cancel") == 0)
		otd_backup_cancel(app->backup->backup);
	if (!err.rc)
		progress(app->backup, &b);
	otd_control_answer(r, &err, &b);
	otd_bytes_finish(&b);
}

void otd_app_backup_stop(struct otd_app *app)
{
	struct otd_app_backup *k = app->backup;
	if (!k || k->stage == ENDED)
		return;
	k->stopping = true;
	otd_backup_cancel(k->backup);
	app->env->ops->worker_destroy(k->worker); /* waits for what it does */
	k->worker = NULL;
}

void otd_app_backup_free(struct otd_app *app)
{
	struct otd_app_backup *k = app->backup;
	if (k && k->stage != ENDED) {
		/* The store is gone, and with it the copy that it was making. */
		otd_backup_abandon(k->backup);
		if (!k->err.rc)
			k->err.rc = otd_fail(&k->err, OTD_E_CLOSED, "the pool ended");
		ended(k);
	}
	release(k);
	app->backup = NULL;
}
