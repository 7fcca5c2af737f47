/*
 * P1's side of an upgrade while it serves: the new program is started and looked at on a thread of its own;
 * then everything is frozen, and where that takes too long it is thawed again. What follows once the loop has
 * stopped is in upgrade_hand.c. See app/upgrade/upgrade.h.
 */
#include "app/upgrade/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/notify.h"
#include "app/upgrade/upgrade_own.h"
#include "base/log.h"
#include "base/text.h"

#define LOOK_MS         5
#define PAYER_MS        1000 /* a payment goes on from any step: it is not waited for longer */
#define WAIT_MS_LONGEST 600000

static int64_t mono_ms(const struct otd_app *app)
{
	return (int64_t)(otd_mono_ns(app->env) / 1000000);
}

/* --- this program --- */

void otd_program_init(struct otd_program *p, int n_args, char *const *args)
{
	ssize_t n = readlink("/proc/self/exe", p->path, sizeof(p->path) - 1);
	static const char gone[] = " (deleted)";
	p->path[n > 0 ? n : 0] = '\0';
	/* Where the file was replaced before we looked: another one lies there, and that is meant. */
	size_t len = strlen(p->path), tail = sizeof(gone) - 1;
	if (len > tail && strcmp(p->path + len - tail, gone) == 0)
		p->path[len - tail] = '\0';
	p->file = otd_heir_own_file();
	p->args = args;
	p->n_args = n_args;
}

const char **otd_program_argv(const struct otd_program *p, const char *file, const char *option)
{
	const char **argv = calloc((size_t)p->n_args + 4, sizeof(*argv));
	size_t n = 0;
	if (!argv)
		return NULL;
	argv[n++] = file ? file : p->path;
	argv[n++] = "serve";
	for (int i = 0; i < p->n_args; i++)
		argv[n++] = p->args[i];
	argv[n] = option;
	return argv;
}

/* --- the end, either way --- */

static void release(struct otd_upgrade *u)
{
	struct otd_app *app = u->app;
	if (u->timer)
		app->env->ops->timer_destroy(u->timer);
	if (u->worker)
		app->env->ops->worker_destroy(u->worker);
	otd_bytes_finish(&u->image);
	otd_bytes_finish(&u->doors);
	free(u->fds.fd);
	free(u->door_fds.fd);
	free(u->told.fd);
	app->upgrade = NULL;
	free(u);
}

static void free_later(void *arg)
{
	release(arg);
}

/* P1 serves on; why is told. */
static void give_up(struct otd_upgrade *u, const struct otd_err *why)
{
	char fate[160];
	otd_heir_end(&u->child, fate, sizeof(fate));
	otd_log(OTD_LOG_ERROR, "app", "upgrade.refused", "file=%s error=%s", OTD_Q(u->file),
		OTD_Q(why->text));
	otd_control_answer_kept(u->client, why, NULL);
	u->client = -1;
	u->stage = OTD_UPGRADE_OVER;
	/* Not from within its own timer or worker. */
	if (otd_loop_post(u->app->loop, free_later, u) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "memory.lost", "bytes=%zu", sizeof(*u));
}

static void thaw(struct otd_upgrade *u)
{
	struct otd_app *app = u->app;
	if (u->stage != OTD_UPGRADE_FREEZING && u->stage != OTD_UPGRADE_FLUSHING)
		return;
	otd_coordinator_thaw(app->coordinator);
	for (size_t i = 0; i < app->n_listeners; i++)
		otd_listener_rest(app->listeners[i]->listener, false);
	otd_notify_ready();
}

bool otd_app_upgrade_busy(const struct otd_app *app)
{
	return app->upgrade && app->upgrade->stage != OTD_UPGRADE_OVER;
}

bool otd_app_upgrade_leaves(const struct otd_app *app)
{
	return app->upgrade && app->upgrade->stage == OTD_UPGRADE_LEAVING;
}

void otd_app_upgrade_cancel(struct otd_app *app)
{
	struct otd_upgrade *u = app->upgrade;
	struct otd_err err = {0};
	if (!u || u->stage == OTD_UPGRADE_OVER || u->stage == OTD_UPGRADE_LEAVING)
		return;
	atomic_store(&u->stop, true);
	if (u->stage == OTD_UPGRADE_CHECKING)
		return; /* its thread comes back at once, and with that the end */
	thaw(u);
	(void)otd_fail(&err, OTD_E_CLOSED, "the pool is ending");
	give_up(u, &err);
}

void otd_app_upgrade_free(struct otd_app *app)
{
	struct otd_upgrade *u = app->upgrade;
	struct otd_err err = {0};
	char fate[160];
	if (!u)
		return;
	atomic_store(&u->stop, true);
	if (u->worker)
		app->env->ops->worker_destroy(u->worker); /* brings on_checked() home */
	u->worker = NULL;
	otd_heir_end(&u->child, fate, sizeof(fate));
	(void)otd_fail(&err, OTD_E_CLOSED, "the pool is ending");
	otd_control_answer_kept(u->client, &err, NULL);
	if (app->upgrade)
		release(u);
}

/* --- freeze --- */

static void leave(struct otd_upgrade *u)
{
	u->stage = OTD_UPGRADE_LEAVING;
	otd_log(OTD_LOG_INFO, "app", "upgrade.leaving", "frozen_for_ms=%lld",
		(long long)(mono_ms(u->app) - u->frozen_ms));
	u->app->env->ops->loop_stop(u->app->loop);
}

static void on_payer_quiet(void *arg)
{
	struct otd_upgrade *u = arg;
	u->payer_quiet = true;
}

static void on_look(void *arg)
{
	struct otd_upgrade *u = arg;
	struct otd_app *app = u->app;
	struct otd_err err = {0};
	int64_t now = mono_ms(app);
	if (u->stage == OTD_UPGRADE_LAST) {
		if (u->payer_quiet || now - u->last_ms >= PAYER_MS)
			leave(u);
		return;
	}
	if (u->stage != OTD_UPGRADE_FREEZING && u->stage != OTD_UPGRADE_FLUSHING)
		return;
	/* A block that no node has yet is worth the wait. */
	if (u->flushed && !otd_coordinator_leaving(app->coordinator)) {
		u->stage = OTD_UPGRADE_LAST;
		u->last_ms = now;
		otd_payer_drain(app->payer, on_payer_quiet, u);
		if (u->payer_quiet)
			leave(u);
		return;
	}
	if (now - u->frozen_ms < OTD_UPGRADE_FREEZE_MS)
		return;
	(void)otd_fail(&err, OTD_E_TIMEOUT,
		       "%s within %d s; nothing was handed over, this program goes on: see its log",
		       u->stage == OTD_UPGRADE_FREEZING
			       ? "not all that came from miners could be answered"
			       : "not all that was answered came into the database",
		       OTD_UPGRADE_FREEZE_MS / 1000);
	thaw(u);
	give_up(u, &err);
}

static void on_flushed(void *arg)
{
	struct otd_app *app = arg;
	if (app->upgrade && app->upgrade->stage == OTD_UPGRADE_FLUSHING) {
		app->upgrade->flushed = true;
		on_look(app->upgrade);
	}
}

static void on_frozen(void *arg)
{
	struct otd_upgrade *u = arg;
	if (u->stage != OTD_UPGRADE_FREEZING)
		return;
	u->stage = OTD_UPGRADE_FLUSHING;
	otd_accounting_flush(u->app->accounting, on_flushed, u->app);
}

static void freeze(struct otd_upgrade *u)
{
	struct otd_app *app = u->app;
	struct otd_err err = {0};
	otd_rc rc = app->env->ops->timer_create(app->loop, &u->timer, on_look, u);
	if (rc == OTD_OK) {
		u->frozen_ms = mono_ms(app);
		rc = otd_coordinator_freeze(app->coordinator, on_frozen, u);
	}
	if (rc != OTD_OK) {
		(void)otd_fail(&err, rc,
			       rc == OTD_E_BUSY
				       ? "the upgrade before is not over; again in a second"
				       : "out of memory");
		give_up(u, &err);
		return;
	}
	u->stage = OTD_UPGRADE_FREEZING;
	otd_notify_reloading();
	for (size_t i = 0; i < app->n_listeners; i++)
		otd_listener_rest(app->listeners[i]->listener, true);
	app->env->ops->timer_start(u->timer, LOOK_MS, LOOK_MS);
}

/* --- the check, on a thread of its own --- */

/* What may take our place must be as much ours as we are. */
static otd_rc check_file(const char *path, struct otd_err *err)
{
	char folder[sizeof(((struct otd_upgrade *)0)->file)];
	struct stat st;
	const char *slash = strrchr(path, '/');
	if (path[0] != '/' || !slash[1])
		return otd_fail(err, OTD_E_INVALID, "%s: write its whole path", path);
	if (stat(path, &st) != 0)
		return otd_fail(err, OTD_E_NOT_FOUND, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || access(path, X_OK) != 0)
		return otd_fail(err, OTD_E_INVALID, "%s: is no program that can be run", path);
	snprintf(folder, sizeof(folder), "%.*s", slash > path ? (int)(slash - path) : 1, path);
	for (int i = 0; i < 2; i++) {
		const char *what = i ? folder : path;
		if (i && stat(folder, &st) != 0)
			return otd_fail(err, OTD_E_NOT_FOUND, "%s: %s", folder, strerror(errno));
		if (st.st_uid != 0 && st.st_uid != geteuid())
			return otd_fail(
				err, OTD_E_REFUSED,
				"%s: belongs to user %u, and a program is taken only from root or "
				"from the user that runs this pool (%u): chown it",
				what, (unsigned)st.st_uid, (unsigned)geteuid());
		if (st.st_mode & (S_IWGRP | S_IWOTH))
			return otd_fail(
				err, OTD_E_REFUSED,
				"%s: others than its owner may write it (mode %04o), so that it "
				"could be changed under us: chmod go-w it",
				what, (unsigned)(st.st_mode & 07777));
	}
	return OTD_OK;
}

otd_rc otd_upgrade_meet(struct otd_heir_child *child, struct otd_upgrade_hello *hello,
			int64_t wait_ms, const _Atomic bool *stop, struct otd_err *err)
{
	struct otd_bytes packet;
	char fate[160];
	otd_bytes_init(&packet, 2 * OTD_HEIR_PACKET_MAX);
	otd_rc rc = otd_heir_receive(child->sock, &packet, NULL, NULL, wait_ms, stop, err);
	struct otd_unpack u = otd_unpack_of(otd_bytes_span(&packet));
	uint32_t word = rc ? 0 : otd_unpack_u32(&u);
	if (word == OTD_UPGRADE_HELLO) {
		rc = otd_upgrade_hello_read(hello, (struct otd_span){u.ptr, u.left}, err);
	} else if (word == OTD_UPGRADE_FAILED) {
		char text[sizeof(err->text)];
		otd_unpack_text(&u, text, sizeof(text));
		rc = otd_fail(err, OTD_E_REFUSED, "%s", u.failed ? "it failed" : text);
	} else if (rc == OTD_OK) {
		rc = otd_fail(err, OTD_E_INVALID, "it is no otedama that can take over");
	} else if (rc == OTD_E_CLOSED && !(stop && atomic_load(stop))) {
		/* A program of before this command does not know the option: it has told its terminal. */
		otd_heir_end(child, fate, sizeof(fate));
		rc = otd_fail(err, rc, "%s and did not say why here (see the pool's own output)",
			      *fate ? fate : "it ended");
	}
	otd_bytes_finish(&packet);
	return rc;
}

static void check(void *arg) /* [worker] */
{
	struct otd_upgrade *u = arg;
	const char **argv = NULL;
	otd_rc rc = check_file(u->file, &u->err);
	if (rc == OTD_OK &&
	    !(argv = otd_program_argv(&u->app->program, u->file, OTD_UPGRADE_OPTION)))
		rc = otd_fail(&u->err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		rc = otd_heir_spawn(&u->child, argv, -1, &u->err);
	if (rc == OTD_OK) {
		rc = otd_upgrade_meet(&u->child, &u->hello, u->wait_ms, &u->stop, &u->err);
		if (rc)
			otd_fail_prefix(&u->err, "%s", u->file);
	}
	free(argv);
	u->err.rc = rc;
}

static void on_checked(void *arg)
{
	struct otd_upgrade *u = arg;
	struct otd_app *app = u->app;
	struct otd_upgrade_hello ours;
	struct otd_err err = u->err;
	otd_upgrade_hello_own(&ours, app->data_dir);
	if (err.rc == OTD_OK && otd_upgrade_fits(&ours, &u->hello, &err) != OTD_OK)
		otd_fail_prefix(&err, "%s", u->file);
	if (err.rc == OTD_OK && (atomic_load(&u->stop) || app->draining))
		(void)otd_fail(&err, OTD_E_CLOSED, "the pool is ending");
	if (err.rc == OTD_OK && otd_app_reload_busy(app))
		(void)otd_fail(&err, OTD_E_BUSY,
			       "the pool is reading its configuration; again in a moment");
	if (err.rc != OTD_OK) {
		give_up(u, &err);
		return;
	}
	otd_log(OTD_LOG_INFO, "app", "upgrade.checked", "file=%s pid=%ld version=%s took_ms=%lld",
		OTD_Q(u->file), (long)u->child.pid, u->hello.version,
		(long long)(mono_ms(app) - u->began_ms));
	freeze(u);
}

/* --- the request --- */

static otd_rc read_words(struct otd_upgrade *u, const char *words, struct otd_err *err)
{
	size_t n = strcspn(words, " ");
	uint64_t ms = 0;
	const char *file = words + n + (words[n] == ' ');
	if (otd_parse_u64(&ms, words, n) != OTD_OK || ms == 0 || ms > WAIT_MS_LONGEST)
		return otd_fail(err, OTD_E_INVALID, "'upgrade WAIT_MS [FILE]', up to %d ms",
				WAIT_MS_LONGEST);
	u->wait_ms = (int64_t)ms;
	file = *file ? file : u->app->program.path;
	if (strlen(file) >= sizeof(u->file) || !*file)
		return otd_fail(err, OTD_E_RANGE, "which file: write its path");
	snprintf(u->file, sizeof(u->file), "%s", file);
	return OTD_OK;
}

static otd_rc may_begin(struct otd_app *app, struct otd_err *err)
{
	const char *pool = "";
	if (app->upgrade || app->draining)
		return otd_fail(err, OTD_E_BUSY, "%s",
				app->draining ? "the pool is ending" : "an upgrade is under way");
	if (otd_app_reload_busy(app))
		return otd_fail(err, OTD_E_BUSY,
				"the pool is reading its configuration; again in a moment");
	if (app->processes)
		return otd_fail(
			err, OTD_E_UNSUPPORTED,
			"reactors in processes of their own cannot be handed over so far; set "
			"threads.processes to 0, or restart the pool with the new program");
	if (app->program.file < 0)
		return otd_fail(
			err, OTD_E_UNSUPPORTED,
			"this program could not open its own file (/proc/self/exe), so that there "
			"would be no way back; restart it with the new one");
	if (!otd_coordinator_can_save(app->coordinator, &pool))
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"pools.%s: the chain plugin cannot hand its work over (it is built "
				"against an SDK before 0.3); restart the pool with the new program",
				pool);
	return OTD_OK;
}

void otd_app_upgrade_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	struct otd_upgrade *u = NULL;
	otd_rc rc = may_begin(app, &err);
	if (rc == OTD_OK && !(u = calloc(1, sizeof(*u))))
		rc = otd_fail(&err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK) {
		u->app = app;
		u->client = u->lock_fd = u->child.sock = -1;
		otd_bytes_init(&u->image, SIZE_MAX / 2);
		otd_bytes_init(&u->doors, SIZE_MAX / 2);
		rc = read_words(u, words, &err);
	}
	if (rc == OTD_OK)
		rc = app->env->ops->worker_create(app->loop, &u->worker, "upgrade", &err);
	if (rc != OTD_OK) {
		free(u);
		otd_control_answer(r, &err, NULL);
		return;
	}
	app->upgrade = u;
	u->began_ms = mono_ms(app);
	u->client = otd_control_keep(r);
	otd_log(OTD_LOG_INFO, "app", "upgrade.begun", "file=%s wait_ms=%lld", OTD_Q(u->file),
		(long long)u->wait_ms);
	u->stage = OTD_UPGRADE_CHECKING;
	if (app->env->ops->worker_give(u->worker, check, on_checked, u) != OTD_OK) {
		(void)otd_fail(&err, OTD_E_NOMEM, "out of memory");
		give_up(u, &err);
	}
}
