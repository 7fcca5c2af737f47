/*
 * otedama restore: a backup's data into the data folder of a stopped pool. While files are being put
 * there a mark lies beside them, without which nothing would tell a half of it from a whole.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/cmd/cmd.h"
#include "app/cmd/offline.h"
#include "app/data_dir.h"
#include "base/text.h"
#include "ledger/ledger.h"
#include "ledger/payment.h"
#include "pool/backup/restore.h"

struct restore {
	struct otd_app app;
	struct otd_manifest manifest;
	struct otd_restore_needs needs;
	struct otd_restore_journals journals;
	uint64_t postings;
	const char *dir;
	char aside[64];
	bool moved, begun;
	uint64_t bytes, of_bytes;
};

static otd_rc on_piece(void *arg, size_t bytes, struct otd_err *err)
{
	struct restore *r = arg;
	(void)err;
	r->bytes += bytes;
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\rrestore: %" PRIu64 " of %" PRIu64 " MiB   ", r->bytes >> 20,
			r->of_bytes >> 20);
	return OTD_OK;
}

static char *utc(char to[32], int64_t ms, const char *form)
{
	time_t s = (time_t)(ms / 1000);
	struct tm tm;
	if (!gmtime_r(&s, &tm) || strftime(to, 32, form, &tm) == 0)
		snprintf(to, 32, "%" PRId64, ms);
	return to;
}

/* --- before anything is changed --- */

static bool within(const char *path, const char *folder)
{
	char a[PATH_MAX], b[PATH_MAX];
	if (!realpath(path, a) || !realpath(folder, b))
		return false;
	size_t n = strlen(b);
	return strncmp(a, b, n) == 0 && (a[n] == '/' || a[n] == '\0');
}

static otd_rc check_room(struct restore *r, struct otd_err *err)
{
	const struct otd_files *f = r->app.env->files;
	uint64_t room = 0, want = otd_manifest_bytes(&r->manifest) + (16u << 20);
	if (f->free_bytes(f->ctx, r->app.data_dir, &room) != OTD_OK)
		return otd_fail(err, OTD_E_IO, "%s", f->last_error(f->ctx));
	if (room >= want)
		return OTD_OK;
	return otd_fail(err, OTD_E_NOMEM, "%s: %" PRIu64 " MiB are free, %" PRIu64 " are needed",
			r->app.data_dir, room >> 20, want >> 20);
}

static otd_rc check_all(struct restore *r, bool force, struct otd_err *err)
{
	const struct otd_copy_watch watch = {on_piece, r};
	bool any = false;
	otd_rc rc = otd_data_dir_lock(&r->app.lock_fd, r->app.data_dir, true, err);
	if (rc == OTD_OK && within(r->dir, r->app.data_dir))
		rc = otd_fail(err, OTD_E_INVALID, "%s lies within data_dir; move it out first",
			      r->dir);
	if (rc == OTD_OK)
		rc = otd_restore_look(r->app.env, r->app.data_dir, &any, err);
	if (rc == OTD_OK && any && !force)
		rc = otd_fail(err, OTD_E_EXISTS,
			      "%s is not empty; --force moves what is in it to "
			      "%s/before-restore-TIME (nothing is deleted)",
			      r->app.data_dir, r->app.data_dir);
	r->moved = any;
	if (rc == OTD_OK)
		rc = otd_restore_check(&r->manifest, r->app.env, r->dir, &watch, err);
	return rc == OTD_OK ? check_room(r, err) : rc;
}

/* --- files --- */

static otd_rc mark(struct restore *r, bool on, struct otd_err *err)
{
	const struct otd_files *f = r->app.env->files;
	char path[PATH_MAX];
	struct otd_file *file = NULL;
	otd_rc rc;
	snprintf(path, sizeof(path), "%s/" OTD_DATA_DIR_UNFINISHED, r->app.data_dir);
	if (on) {
		rc = f->open(f->ctx, &file, path, OTD_OPEN_WRITE | OTD_OPEN_CREATE);
		if (rc == OTD_OK)
			rc = f->sync(f->ctx, file);
		f->close(f->ctx, file);
	} else {
		rc = f->remove(f->ctx, path);
	}
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, r->app.data_dir);
	return rc ? otd_fail(err, rc, "%s", f->last_error(f->ctx)) : OTD_OK;
}

/* A name that nothing has yet: an attempt of the same second may have put the old data there. */
static otd_rc name_aside(struct restore *r, struct otd_err *err)
{
	const struct otd_files *f = r->app.env->files;
	char path[PATH_MAX], time[32];
	bool there = true;
	otd_rc rc = OTD_OK;
	utc(time, otd_wall_ms(r->app.env), "%Y%m%d-%H%M%S");
	for (unsigned n = 1; rc == OTD_OK && there; n++) {
		if (n == 1)
			snprintf(r->aside, sizeof(r->aside), "before-restore-%s", time);
		else
			snprintf(r->aside, sizeof(r->aside), "before-restore-%s-%u", time, n);
		snprintf(path, sizeof(path), "%s/%s", r->app.data_dir, r->aside);
		rc = f->exists(f->ctx, path, &there);
	}
	return rc ? otd_fail(err, rc, "%s", f->last_error(f->ctx)) : OTD_OK;
}

static otd_rc put_files(struct restore *r, struct otd_err *err)
{
	const struct otd_copy_watch watch = {on_piece, r};
	struct otd_env *e = r->app.env;
	r->begun = true;
	otd_rc rc = mark(r, true, err);
	if (rc == OTD_OK && r->moved)
		rc = name_aside(r, err);
	if (rc == OTD_OK && r->moved)
		rc = otd_restore_move_aside(e, r->app.data_dir, r->aside, err);
	r->bytes = 0;
	return rc == OTD_OK
		       ? otd_restore_place(&r->manifest, e, r->dir, r->app.data_dir, &watch, err)
		       : rc;
}

/* --- the database, and the proof --- */

static otd_rc look(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct restore *r = arg;
	otd_rc rc = otd_ledger_verify(db, &r->postings, err);
	return rc == OTD_OK ? otd_restore_needs(&r->needs, db, err) : rc;
}

/* Until the operator says yes again nothing is paid: what was paid since the backup nobody here knows. */
static otd_rc stop_payments(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct restore *r = arg;
	return otd_pay_restored(db, otd_wall_ms(r->app.env), err);
}

static otd_rc prove(struct restore *r, struct otd_err *err)
{
	otd_rc rc = otd_offline_store(&r->app, false, err);
	if (rc == OTD_OK)
		rc = otd_store_do_now(r->app.store, false, look, r, err);
	if (rc == OTD_OK && r->needs.position != r->manifest.about.position)
		rc = otd_fail(
			err, OTD_E_INVALID,
			"the database that this configuration opens is not the one of the backup: "
			"is 'store' the same as in %s/configuration.yaml?",
			r->dir);
	if (rc == OTD_OK)
		rc = otd_store_do_now(r->app.store, true, stop_payments, r, err);
	otd_offline_close(&r->app);
	if (rc == OTD_OK)
		rc = otd_restore_journals(&r->journals, &r->needs, r->app.env, r->app.data_dir,
					  err);
	return rc;
}

/* --- what there is to say --- */

static unsigned decimals_of(const struct otd_settings *s, const char *asset, bool *known)
{
	for (size_t i = 0; i < s->n_coins; i++) {
		if (strcmp(s->coins[i].symbol, asset) == 0) {
			*known = true;
			return (unsigned)s->coins[i].decimals;
		}
	}
	*known = false;
	return 0;
}

static void say_sums(const struct restore *r)
{
	const struct otd_manifest_about *a = &r->manifest.about;
	char text[OTD_AMOUNT_TEXT];
	for (size_t i = 0; i < a->n_sums; i++) {
		bool known;
		unsigned decimals = decimals_of(r->app.settings, a->sums[i].asset, &known);
		if (a->sums[i].units == 0)
			continue;
		printf("  %-14s %s %s%s\n", otd_account_kind_name(a->sums[i].kind),
		       otd_format_amount(text, a->sums[i].units, decimals), a->sums[i].asset,
		       known ? "" : " (base units)");
	}
}

static const struct otd_manifest_pool *pool_of(const struct otd_manifest_about *a, const char *name)
{
	for (size_t i = 0; i < a->n_pools; i++)
		if (strcmp(a->pools[i].name, name) == 0)
			return &a->pools[i];
	return NULL;
}

static void say_pools(const struct restore *r)
{
	const struct otd_settings *s = r->app.settings;
	const struct otd_manifest_about *a = &r->manifest.about;
	for (size_t i = 0; i < a->n_pools; i++)
		if (!otd_settings_pool(s, a->pools[i].name))
			printf("note: pool %s (%s) is in the backup and not in the configuration\n",
			       a->pools[i].name, a->pools[i].asset);
	for (size_t i = 0; i < s->n_pools; i++)
		if (!pool_of(a, s->pools[i].name))
			printf("note: pool %s is in the configuration and not in the backup\n",
			       s->pools[i].name);
}

static void say(const struct restore *r)
{
	const struct otd_manifest_about *a = &r->manifest.about;
	char time[32];
	printf("restored %s into %s\n", r->dir, r->app.data_dir);
	if (r->moved)
		printf("what was there is now in %s/%s\n", r->app.data_dir, r->aside);
	printf("backup of %s by otedama %s, of a %s pool; schema %" PRId64 ", position %" PRIu64
	       "\n",
	       utc(time, a->time_ms, "%Y-%m-%dT%H:%M:%SZ"), a->version,
	       a->running ? "running" : "stopped", a->schema, a->position);
	printf("ledger: ok, %" PRIu64 " postings\n", r->postings);
	printf("journals: ok, %zu; %" PRIu64 " records wait for the next start\n",
	       r->journals.journals, r->journals.records);
	if (a->block_hash[0])
		printf("last block: pool %s, height %" PRIu64 ", %s\n", a->block_pool,
		       a->block_height, a->block_hash);
	else
		printf("last block: none yet\n");
	printf("balances in the database:\n");
	say_sums(r);
	say_pools(r);
	printf("LOST: all that came after the backup: shares, credits, and the knowledge of "
	       "PAYMENTS.\n"
	       "No payment is made until you have compared with the wallet what was paid after %s\n"
	       "and said yes again, for each pool: 'otedama payment plan POOL', 'otedama payment "
	       "start "
	       "POOL CODE'.\n",
	       time);
}

static otd_rc restore(struct restore *r, const char *config, bool force, struct otd_err *err)
{
	otd_rc rc = otd_offline_init(&r->app, config, err);
	if (rc == OTD_OK)
		rc = otd_offline_as_owner(&r->app, err);
	if (rc == OTD_OK)
		rc = check_all(r, force, err);
	r->of_bytes = otd_manifest_bytes(&r->manifest);
	if (rc == OTD_OK)
		rc = put_files(r, err);
	if (rc == OTD_OK)
		rc = prove(r, err);
	if (rc == OTD_OK)
		rc = mark(r, false, err);
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%50s\r", "");
	if (rc && r->begun)
		otd_fail_prefix(err, "not finished, and the pool will not start on %s until it is",
				r->app.data_dir);
	return rc;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct restore r = {.app = {.lock_fd = -1}};
	const char *config = NULL, *words[1];
	bool force = false;
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the configuration whose data_dir is filled",
		 .text = &config},
		{"--force", 0, NULL, "moves what is in data_dir to a folder in it", .on = &force},
	};
	struct otd_err err = {0};
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 2, argc, argv, words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (!config) {
		otd_cmd_fail(cmd, "-c FILE is needed");
		return OTD_EXIT_USAGE;
	}
	r.dir = words[0];
	otd_rc rc = restore(&r, config, force, &err);
	if (rc == OTD_OK)
		say(&r);
	otd_manifest_finish(&r.manifest);
	free(r.needs.epochs);
	otd_offline_finish(&r.app);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", err.text);
}

const struct otd_cmd otd_cmd_restore = {
	.name = "restore",
	.usage = "-c FILE [--force] DIR",
	.summary = "puts a backup into the data folder of a stopped pool, and proves it",
	.more = "Every file is checked against the backup's MANIFEST, the ledger is verified and "
		"each "
		"journal\nopened. Payments then wait until they are started again: what was paid "
		"after "
		"the backup is\nnot in it. Run by root it acts as the user that data_dir belongs "
		"to.",
	.run = run,
};
