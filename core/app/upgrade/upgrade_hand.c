/*
 * The hand-over itself. Nothing of the pool runs in this process any more; it has descriptors, the image and
 * the lock, and gives them to the new program, or where that is no good to one as itself. See app/upgrade/upgrade.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/cmd/args.h"
#include "app/notify.h"
#include "app/upgrade/upgrade_own.h"
#include "base/log.h"
#include "base/text.h"
#include "config/settings_image.h"

/* n_fds of META, which comes first: behind the texts whose lengths are known by now. */
static void put_count(struct otd_upgrade *u)
{
	size_t at = 8 + 4 + 12 + 4 + strlen(OTEDAMA_VERSION) + 8 + 8 + 4;
	for (size_t i = 0; !u->image.failed && i < 4; i++)
		u->image.ptr[at + i] = (uint8_t)(u->fds.n >> (8 * i));
}

/* --- one heir --- */

struct giving {
	struct otd_upgrade *u;
	struct otd_heir_child *child;
	struct otd_bytes packet; /* of it */
	int memory;
	struct otd_err *err;
};

static otd_rc await(struct giving *g, uint32_t word)
{
	otd_rc rc = otd_heir_receive(g->child->sock, &g->packet, NULL, NULL, g->u->wait_ms, NULL,
				     g->err);
	struct otd_unpack in = otd_unpack_of(otd_bytes_span(&g->packet));
	uint32_t got = rc ? 0 : otd_unpack_u32(&in);
	if (rc || got == word)
		return rc;
	if (got == OTD_UPGRADE_FAILED) {
		char text[sizeof(g->err->text)];
		otd_unpack_text(&in, text, sizeof(text));
		return otd_fail(g->err, OTD_E_REFUSED, "%s", in.failed ? "it failed" : text);
	}
	return otd_fail(g->err, OTD_E_INVALID, "it says what nobody asked for");
}

static otd_rc say(struct giving *g, uint32_t word, uint32_t first, const int *fds, size_t n)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 64);
	otd_pack_u32(&b, word);
	otd_pack_u32(&b, first);
	otd_rc rc = b.failed ? otd_fail(g->err, OTD_E_NOMEM, "out of memory")
			     : otd_heir_send(g->child->sock, b.ptr, b.len, fds, n, g->err);
	otd_bytes_finish(&b);
	return rc;
}

static otd_rc give(struct giving *g)
{
	struct otd_upgrade *u = g->u;
	int first[2] = {g->memory, u->lock_fd};
	otd_rc rc = say(g, OTD_UPGRADE_TAKE, (uint32_t)u->fds.n, first, 2);
	if (rc == OTD_OK)
		rc = await(g, OTD_UPGRADE_ACK);
	for (size_t at = 0; rc == OTD_OK && at < u->fds.n;) {
		size_t n = u->fds.n - at < OTD_HEIR_FDS_MAX ? u->fds.n - at : OTD_HEIR_FDS_MAX;
		rc = say(g, OTD_UPGRADE_FDS, (uint32_t)at, u->fds.fd + at, n);
		if (rc == OTD_OK)
			rc = await(g, OTD_UPGRADE_ACK);
		at += n;
	}
	if (rc == OTD_OK)
		rc = await(g, OTD_UPGRADE_LOADED);
	if (rc == OTD_OK)
		otd_notify_main((long)g->child->pid);
	/* What comes now of it is beyond us: it has everything. */
	return rc ? rc : say(g, OTD_UPGRADE_GO, 0, NULL, 0);
}

static otd_rc give_to(struct otd_upgrade *u, struct otd_heir_child *child, int memory,
		      struct otd_err *err)
{
	struct giving g = {.u = u, .child = child, .memory = memory, .err = err};
	otd_bytes_init(&g.packet, 2 * OTD_HEIR_PACKET_MAX);
	otd_rc rc = give(&g);
	otd_bytes_finish(&g.packet);
	return rc;
}

/* The settings in force, as sealed memory. -1: there is no memory for it. */
static int settings_memory(const struct otd_app *app)
{
	struct otd_bytes b;
	otd_bytes_init(&b, SIZE_MAX / 2);
	otd_settings_pack(&b, app->settings);
	int fd = b.failed ? -1 : otd_heir_memory(b.ptr, b.len);
	otd_bytes_finish(&b);
	return fd;
}

static otd_rc give_settings(struct otd_upgrade *u, struct otd_heir_child *child, int memory,
			    struct otd_err *err)
{
	struct giving g = {.u = u, .child = child, .err = err};
	return say(&g, OTD_UPGRADE_SETTINGS, 0, &memory, 1);
}

/* This very program once more; its file, and that of its settings, may be another one by now. */
static otd_rc give_to_own(struct otd_upgrade *u, struct otd_heir_child *child, int memory,
			  struct otd_err *err)
{
	struct otd_upgrade_hello hello;
	int settings = settings_memory(u->app);
	const char **argv = otd_program_argv(&u->program, NULL,
					     settings < 0 ? OTD_UPGRADE_OPTION : OTD_UPGRADE_BACK);
	otd_rc rc = argv ? otd_heir_spawn(child, argv, u->program.file, err)
			 : otd_fail(err, OTD_E_NOMEM, "out of memory");
	free(argv);
	if (rc == OTD_OK && settings >= 0)
		rc = give_settings(u, child, settings, err);
	if (settings >= 0)
		close(settings);
	if (rc == OTD_OK)
		rc = otd_upgrade_meet(child, &hello, u->wait_ms, NULL, err);
	return rc ? rc : give_to(u, child, memory, err);
}

/* --- the end --- */

static void tell_done(struct otd_upgrade *u, long pid)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 4096);
	(void)otd_bytes_text(&b, "{\"file\":");
	(void)otd_bytes_json(&b, u->file, strlen(u->file));
	(void)otd_bytes_format(&b,
			       ",\"version\":\"%s\",\"from\":\"%s\",\"pid\":%ld,\"sessions\":%zu}",
			       u->hello.version, OTEDAMA_VERSION, pid, u->n_sessions);
	otd_control_answer_kept(u->client, NULL, &b);
	u->client = -1;
	otd_bytes_finish(&b);
}

static void finish(struct otd_upgrade *u, int memory)
{
	char fate[160];
	otd_heir_end(&u->child, fate, sizeof(fate));
	for (size_t i = 0; i < u->fds.n; i++)
		close(u->fds.fd[i]);
	otd_upgrade_close_told(u);
	if (memory >= 0)
		close(memory);
	if (u->lock_fd >= 0)
		close(u->lock_fd);
	if (u->program.file >= 0)
		close(u->program.file);
	otd_bytes_finish(&u->image);
	otd_bytes_finish(&u->doors);
	free(u->fds.fd);
	free(u->door_fds.fd);
	free(u);
}

/* The new program was no good: the old one goes on. */
static int go_on(struct otd_upgrade *u, int memory, const struct otd_err *why)
{
	struct otd_err err = {0}, told = {0};
	char fate[160];
	otd_heir_end(&u->child, fate, sizeof(fate));
	otd_notify_alive();
	/* Nobody else serves by then: however short the other's time was, this has enough. */
	if (u->wait_ms < OTD_UPGRADE_WAIT_MS)
		u->wait_ms = OTD_UPGRADE_WAIT_MS;
	otd_log(OTD_LOG_ERROR, "app", "upgrade.failed", "file=%s error=%s fate=%s then=%s",
		OTD_Q(u->file), OTD_Q(why->text), OTD_Q(fate), OTD_Q("this program goes on"));
	otd_rc rc = give_to_own(u, &u->child, memory, &err);
	if (rc == OTD_OK) {
		otd_log(OTD_LOG_INFO, "app", "upgrade.taken_back", "pid=%ld sessions=%zu",
			(long)u->child.pid, u->n_sessions);
		(void)otd_fail(
			&told, OTD_E_REFUSED,
			"%.300s: %.600s (%s); version %s goes on as process %ld, no miner was "
			"disconnected",
			u->file, why->text, fate, OTEDAMA_VERSION, (long)u->child.pid);
		otd_heir_let_go(&u->child);
	} else {
		otd_heir_end(&u->child, fate, sizeof(fate));
		otd_log(OTD_LOG_ERROR, "app", "upgrade.lost",
			"error=%s fate=%s hint=\"start the pool again: nothing acknowledged is "
			"lost\"",
			OTD_Q(err.text), OTD_Q(fate));
		(void)otd_fail(
			&told, OTD_E_IO,
			"%.300s: %.400s; and this program could not go on: %.400s; start the pool "
			"again, nothing acknowledged is lost",
			u->file, why->text, err.text);
	}
	otd_control_answer_kept(u->client, &told, NULL);
	u->client = -1;
	return rc ? OTD_EXIT_FAILED : OTD_EXIT_OK;
}

int otd_app_upgrade_hand_over(struct otd_app *app)
{
	struct otd_upgrade *u = app->upgrade;
	struct otd_err err = {0};
	int status = OTD_EXIT_OK;
	app->upgrade = NULL;
	otd_notify_alive();
	otd_upgrade_told_all(u);
	if (!otd_upgrade_put_doors(u))
		u->image.failed = true;
	put_count(u);
	int memory = u->image.failed ? -1 : otd_heir_memory(u->image.ptr, u->image.len);
	otd_rc rc = memory < 0 ? otd_fail(&err, OTD_E_NOMEM, "no memory for %zu bytes to hand over",
					  u->image.len)
			       : give_to(u, &u->child, memory, &err);
	if (rc == OTD_OK) {
		long pid = (long)u->child.pid;
		otd_log(OTD_LOG_INFO, "app", "upgrade.handed_over",
			"pid=%ld version=%s listeners=%zu sessions=%zu bytes=%zu", pid,
			u->hello.version, u->n_listeners, u->n_sessions, u->image.len);
		otd_heir_let_go(&u->child);
		tell_done(u, pid);
	} else if (memory >= 0) {
		status = go_on(u, memory, &err);
	} else {
		otd_log(OTD_LOG_ERROR, "app", "upgrade.lost", "error=%s", OTD_Q(err.text));
		otd_control_answer_kept(u->client, &err, NULL);
		status = OTD_EXIT_FAILED;
	}
	finish(u, memory);
	return status;
}
