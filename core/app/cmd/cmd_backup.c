/* otedama backup DIR: a copy of a pool's data, of a running pool or of a stopped one. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app_backup.h"
#include "app/cmd/cmd.h"
#include "app/cmd/offline.h"
#include "app/cmd/where.h"
#include "app/control.h"
#include "app/data_dir.h"

#define ASK_MS    60000
#define POLL_MS   200
#define SILENT_MS 300000 /* a pool that does not say how it goes for so long is not waited for */

static volatile sig_atomic_t interrupted;

static void on_signal(int signum)
{
	(void)signum;
	interrupted = 1;
}

static void catch_signals(void)
{
	struct sigaction a = {.sa_handler = on_signal};
	(void)sigaction(SIGINT, &a, NULL);
	(void)sigaction(SIGTERM, &a, NULL);
}

/* The pool's working directory is another one. */
static otd_rc absolute(char to[PATH_MAX], const char *dir, struct otd_err *err)
{
	char here[PATH_MAX] = "";
	int n;
	if (strchr(dir, '\n') || !*dir)
		return otd_fail(err, OTD_E_INVALID, "'%.100s' is not a usable folder name", dir);
	if (dir[0] != '/' && !getcwd(here, sizeof(here)))
		return otd_fail(err, OTD_E_IO, "cannot tell where we are: %s", strerror(errno));
	n = snprintf(to, PATH_MAX, "%s%s%s", here, *here ? "/" : "", dir);
	if (n < 0 || n >= PATH_MAX)
		return otd_fail(err, OTD_E_RANGE, "%.200s: the path is too long", dir);
	while (n > 1 && to[n - 1] == '/')
		to[--n] = '\0';
	return OTD_OK;
}

static void show(uint64_t bytes, uint64_t of_bytes, const char *what)
{
	if (!isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%s: %" PRIu64 " of about %" PRIu64 " MiB   ", what, bytes >> 20,
		of_bytes >> 20);
}

static void show_end(void)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
}

/* --- of a running pool --- */

struct remote {
	const char *socket;
	struct otd_bytes out;
	json_t *answer;
};

static otd_rc ask(struct remote *r, const char *line, struct otd_err *err)
{
	otd_bytes_clear(&r->out);
	otd_rc rc = otd_control_call(r->socket, line, &r->out, ASK_MS, err);
	if (rc)
		return rc;
	json_decref(r->answer);
	r->answer = json_loadb((const char *)r->out.ptr, r->out.len, 0, NULL);
	return r->answer ? OTD_OK
			 : otd_fail(err, OTD_E_CORRUPT, "%s answered what is not JSON", r->socket);
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static uint64_t number(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* A question that failed once (a slow pool) is asked again; one that has no pool any more is not. */
static otd_rc wait_for_end(struct remote *r, struct otd_err *err)
{
	const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
	int64_t silent_ms = 0;
	bool told = false;
	for (;;) {
		if (interrupted && !told) {
			told = true;
			(void)ask(r, "backup cancel", err);
		}
		(void)nanosleep(&pause, NULL);
		otd_rc rc = ask(r, "backup progress", err);
		if (rc == OTD_E_CLOSED || (rc && silent_ms >= SILENT_MS)) {
			otd_fail_prefix(err, "the backup was not seen to its end");
			return rc;
		}
		silent_ms = rc ? silent_ms + ASK_MS : 0;
		if (rc)
			continue;
		const char *state = text(r->answer, "state");
		show(number(r->answer, "bytes"), number(r->answer, "of_bytes"), state);
		if (strcmp(state, "done") == 0)
			return OTD_OK;
		if (strcmp(state, "failed") == 0 && json_object_get(r->answer, "error"))
			return otd_fail(err, OTD_E_IO, "%s", text(r->answer, "error"));
	}
}

/* What the operator should know who keeps his only copy beside the original. */
static void say_same_disk(bool same)
{
	if (same)
		printf("note: it is on the disk that the pool's data is on; keep a copy on another "
		       "machine\n");
}

static otd_rc of_running(const char *socket, const char *dir, bool no_archive, bool json,
			 struct otd_err *err)
{
	struct remote r = {.socket = socket};
	char line[PATH_MAX + 48];
	otd_bytes_init(&r.out, 1u << 20);
	snprintf(line, sizeof(line), "backup start %s%s",
		 no_archive ? OTD_APP_BACKUP_NO_ARCHIVE : "", dir);
	otd_rc rc = ask(&r, line, err);
	if (rc == OTD_OK) {
		rc = wait_for_end(&r, err);
		/* Nobody listens any more is no reason to look for a stopped pool. */
		rc = rc == OTD_E_CLOSED ? OTD_E_IO : rc;
		show_end();
	}
	if (rc == OTD_OK && json)
		printf("%s\n", otd_bytes_cstr(&r.out));
	else if (rc == OTD_OK)
		printf("backup: %s, %" PRIu64 " files, %" PRIu64 " MiB, position %" PRIu64
		       ", in %" PRIu64 ".%03" PRIu64 " s; the database's longest step took %" PRIu64
		       " us\n",
		       dir, number(r.answer, "files"), number(r.answer, "written") >> 20,
		       number(r.answer, "position"), number(r.answer, "ms") / 1000,
		       number(r.answer, "ms") % 1000, number(r.answer, "longest_step_us"));
	if (rc == OTD_OK && !json)
		say_same_disk(json_is_true(json_object_get(r.answer, "same_disk")));
	json_decref(r.answer);
	otd_bytes_finish(&r.out);
	return rc;
}

/* --- of a stopped one --- */

struct copy {
	struct otd_backup *backup;
	const char *dir;
	bool done;
};

static otd_rc copy_step(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct copy *c = arg;
	return otd_backup_database(c->backup, db, &c->done, err);
}

static otd_rc copy_all(struct otd_app *app, struct copy *c, struct otd_err *err)
{
	struct otd_backup_progress p;
	otd_rc rc = otd_app_backup_prepare(c->backup, c->dir, err);
	while (rc == OTD_OK && !c->done) {
		if (interrupted)
			otd_backup_cancel(c->backup);
		rc = otd_store_do_now(app->store, false, copy_step, c, err);
		otd_backup_progress(c->backup, &p);
		show(p.bytes, p.of_bytes, "database");
	}
	/* Closed first: the log that lies beside the database belongs to nobody then. */
	otd_offline_close(app);
	if (rc == OTD_OK)
		rc = otd_backup_files(c->backup, NULL, 0, err);
	show_end();
	if (rc)
		otd_backup_abandon(c->backup);
	return rc;
}

static void print_json(const struct otd_manifest *m, const char *dir, bool same_disk)
{
	json_t *o =
		json_pack("{s:s, s:s, s:I, s:I, s:I, s:b}", "state", "done", "dir", dir, "files",
			  (json_int_t)m->n_files, "written", (json_int_t)otd_manifest_bytes(m),
			  "position", (json_int_t)m->about.position, "same_disk", same_disk);
	char *s = o ? json_dumps(o, JSON_COMPACT) : NULL;
	printf("%s\n", s ? s : "{}");
	free(s);
	json_decref(o);
}

static otd_rc of_stopped(const char *config, const char *dir, bool no_archive, bool json,
			 struct otd_err *err)
{
	struct otd_app app = {.lock_fd = -1};
	struct copy c = {.dir = dir};
	otd_rc rc = otd_offline_init(&app, config, err);
	if (rc == OTD_OK)
		rc = otd_offline_as_owner(&app, err);
	if (rc == OTD_OK)
		rc = otd_data_dir_lock(&app.lock_fd, app.data_dir, false, err);
	if (rc == OTD_OK)
		rc = otd_data_dir_whole(app.data_dir, err);
	if (rc == OTD_OK)
		rc = otd_app_backup_create(&c.backup, &app, dir, false, no_archive, err);
	if (rc == OTD_OK)
		rc = otd_offline_store(&app, true, err);
	if (rc == OTD_OK)
		rc = copy_all(&app, &c, err);
	if (rc == OTD_OK && json)
		print_json(otd_backup_manifest(c.backup), dir,
			   otd_app_backup_same_disk(app.data_dir, dir));
	else if (rc == OTD_OK)
		printf("backup of a stopped pool: %s, %zu files, %" PRIu64 " MiB, position %" PRIu64
		       "\n",
		       dir, otd_backup_manifest(c.backup)->n_files,
		       otd_manifest_bytes(otd_backup_manifest(c.backup)) >> 20,
		       otd_backup_manifest(c.backup)->about.position);
	if (rc == OTD_OK && !json)
		say_same_disk(otd_app_backup_same_disk(app.data_dir, dir));
	otd_offline_close(&app);
	otd_backup_destroy(c.backup);
	otd_offline_finish(&app);
	return rc;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *config = NULL, *socket = NULL, *words[1];
	bool json = false, no_archive = false;
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the pool's configuration; needed where it is stopped",
		 .text = &config},
		{"--socket", 's', "PATH", "its control socket", .text = &socket},
		{"--no-archive", 0, NULL,
		 "leaves out data_dir/archive: journals that nothing needs any more",
		 .on = &no_archive},
		{"--json", 0, NULL, "what was written as JSON", .on = &json},
	};
	size_t n_words;
	char dir[PATH_MAX], path[256];
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, 4, argc, argv, words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	catch_signals();
	otd_rc rc = absolute(dir, words[0], &err);
	if (rc == OTD_OK)
		rc = otd_where_socket(path, sizeof(path), socket, config, &err);
	if (rc == OTD_OK)
		rc = of_running(path, dir, no_archive, json, &err);
	if (rc == OTD_E_CLOSED && config && !socket)
		rc = of_stopped(config, dir, no_archive, json, &err);
	else if (rc == OTD_E_CLOSED && !config)
		otd_fail_prefix(&err, "for a stopped pool give -c FILE");
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", err.text);
}

const struct otd_cmd otd_cmd_backup = {
	.name = "backup",
	.usage = "[-c FILE | --socket PATH] [--no-archive] [--json] DIR",
	.summary = "copies database and journals of a pool, while it runs, into a new folder",
	.more = "DIR is written by the pool, as its user, and must not be there yet or be empty. "
		"The "
		"copy is\n"
		"what a pool stopped at one instant would have left. Passwords are not in it. "
		"Restore it "
		"with\n"
		"'otedama restore'.",
	.run = run,
};
