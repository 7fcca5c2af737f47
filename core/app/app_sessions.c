/* See app/app_sessions.h. */
#include "app/app_sessions.h"

#include <stdio.h>
#include <string.h>

#include "app/app_parts.h"
#include "base/log.h"
#include "base/text.h"
#include "stratum/image.h"

#define MAGIC UINT64_C(0x31534553444f544f) /* and the form */

static void path_of(const struct otd_app *app, char to[600])
{
	(void)snprintf(to, 600, "%s/sessions.bin", app->data_dir);
}

static int64_t mono_ms(const struct otd_app *app)
{
	return (int64_t)(otd_mono_ns(app->env) / 1000000);
}

/* --- out --- */

static void write_all(struct otd_app *app, struct otd_bytes *b)
{
	otd_pack_u64(b, MAGIC);
	otd_pack_i64(b, mono_ms(app));
	otd_pack_i64(b, otd_wall_ms(app->env));
	otd_pack_u32(b, (uint32_t)app->n_pools);
	for (size_t i = 0; i < app->n_pools; i++)
		otd_pack_text(b, app->pools[i].settings ? app->pools[i].name : "");
	otd_pack_u32(b, (uint32_t)app->n_reactors);
	for (size_t i = 0; i < app->n_reactors; i++) {
		size_t part = otd_pack_begin(b);
		otd_stratum_save_kept(app->reactors[i].stratum, b);
		otd_pack_end(b, part);
		for (uint32_t p = 0; p < app->n_pools; p++) {
			part = otd_pack_begin(b);
			otd_reactor_save_hashes(app->reactors[i].reactor, p, b);
			otd_pack_end(b, part);
		}
	}
	otd_pack_u32(b, otd_crc32c(0, b->ptr, b->len));
}

static otd_rc put(const struct otd_files *f, const char *path, const struct otd_bytes *b)
{
	struct otd_file *h = NULL;
	otd_rc rc = f->open(f->ctx, &h, path, OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE);
	if (rc == OTD_OK)
		rc = f->write(f->ctx, h, b->ptr, b->len, 0);
	f->close(f->ctx, h);
	return rc;
}

void otd_app_sessions_save(struct otd_app *app)
{
	const struct otd_files *f = app->env->files;
	struct otd_bytes b;
	char path[600];
	if (app->settings->limits.resume_ms <= 0 || !app->n_reactors)
		return;
	path_of(app, path);
	otd_bytes_init(&b, OTD_SESSIONS_FILE_MAX);
	write_all(app, &b);
	/* Nobody reads one that is cut short: its sum is wrong. */
	if (b.failed || put(f, path, &b) != OTD_OK) {
		otd_log(OTD_LOG_WARN, "app", "sessions.not_kept",
			"file=%s why=\"%s\" hint=\"miners get new sessions after the next start\"",
			OTD_Q(path), b.failed ? "too large" : f->last_error(f->ctx));
		(void)!f->remove(f->ctx, path);
	}
	otd_bytes_finish(&b);
}

/* --- in --- */

struct loading {
	struct otd_app *app;
	uint32_t pools;
	uint32_t now[OTD_POOLS_MAX];
};

static uint32_t pool_now(void *arg, uint32_t was)
{
	const struct loading *l = arg;
	return was < l->pools ? l->now[was] : UINT32_MAX;
}

/* Jobs of before are gone. */
static const struct otd_job_orders *no_orders(void *arg, uint32_t was)
{
	(void)arg;
	(void)was;
	return NULL;
}

static uint32_t pool_of(const struct otd_app *app, const char *name)
{
	for (uint32_t i = 0; *name && i < app->n_pools; i++) {
		if (strcmp(app->pools[i].name, name) == 0)
			return i;
	}
	return UINT32_MAX;
}

/* One reactor of before into its namesake. Without all of its hashes its sessions do not come. */
static otd_rc load_reactor(struct loading *l, struct otd_unpack *in, uint32_t i, int64_t shift_ms)
{
	struct otd_app *app = l->app;
	struct otd_span kept = otd_unpack_span(in);
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	for (uint32_t p = 0; p < l->pools; p++) {
		struct otd_span hashes = otd_unpack_span(in);
		if (rc == OTD_OK && !in->failed && i < app->n_reactors && l->now[p] != UINT32_MAX)
			rc = otd_reactor_expect_hashes(app->reactors[i].reactor, l->now[p], hashes,
						       &err);
	}
	if (in->failed)
		return OTD_E_CORRUPT;
	if (rc != OTD_OK || i >= app->n_reactors)
		return rc;
	return otd_stratum_load_kept(app->reactors[i].stratum, kept, shift_ms, pool_now, l,
				     no_orders);
}

static otd_rc read_all(struct otd_app *app, struct otd_span text)
{
	struct loading l = {.app = app};
	if (text.len < 4)
		return OTD_E_CORRUPT;
	struct otd_unpack in = otd_unpack_of((struct otd_span){text.ptr, text.len - 4});
	struct otd_unpack sum = otd_unpack_of((struct otd_span){text.ptr + in.left, 4});
	if (otd_unpack_u32(&sum) != otd_crc32c(0, text.ptr, in.left) ||
	    otd_unpack_u64(&in) != MAGIC)
		return OTD_E_CORRUPT;
	int64_t was_mono = otd_unpack_i64(&in), was_wall = otd_unpack_i64(&in);
	/* By the wall clock: the other one begins anew where the machine does. */
	int64_t away_ms = otd_wall_ms(app->env) - was_wall;
	int64_t shift_ms = mono_ms(app) - was_mono - (away_ms > 0 ? away_ms : 0);
	l.pools = otd_unpack_u32(&in);
	if (in.failed || l.pools > OTD_POOLS_MAX)
		return OTD_E_CORRUPT;
	for (uint32_t i = 0; i < l.pools; i++) {
		char name[65];
		otd_unpack_text(&in, name, sizeof(name));
		l.now[i] = in.failed ? UINT32_MAX : pool_of(app, name);
	}
	uint32_t n = otd_unpack_u32(&in);
	otd_rc rc = in.failed ? OTD_E_CORRUPT : OTD_OK;
	for (uint32_t i = 0; rc == OTD_OK && i < n; i++)
		rc = load_reactor(&l, &in, i, shift_ms);
	return rc;
}

static otd_rc get(const struct otd_files *f, const char *path, struct otd_bytes *b)
{
	struct otd_file *h = NULL;
	uint64_t length = 0;
	size_t got = 0;
	otd_rc rc = f->open(f->ctx, &h, path, OTD_OPEN_READ);
	if (rc == OTD_OK)
		rc = f->length(f->ctx, h, &length);
	if (rc == OTD_OK && length > OTD_SESSIONS_FILE_MAX)
		rc = OTD_E_RANGE;
	uint8_t *to = rc ? NULL : otd_bytes_room(b, (size_t)length);
	if (rc == OTD_OK)
		rc = to ? f->read(f->ctx, h, &got, to, (size_t)length, 0) : OTD_E_NOMEM;
	b->len = rc ? 0 : got;
	f->close(f->ctx, h);
	return rc;
}

void otd_app_sessions_load(struct otd_app *app)
{
	const struct otd_files *f = app->env->files;
	struct otd_bytes b;
	char path[600];
	bool there = false;
	path_of(app, path);
	if (f->exists(f->ctx, path, &there) != OTD_OK || !there)
		return;
	otd_bytes_init(&b, OTD_SESSIONS_FILE_MAX);
	otd_rc rc = get(f, path, &b);
	/* Once only: what comes to be accepted from now on does not stand in it. */
	if (f->remove(f->ctx, path) != OTD_OK)
		rc = OTD_E_IO;
	if (rc == OTD_OK && app->settings->limits.resume_ms > 0 && app->n_reactors)
		rc = read_all(app, otd_bytes_span(&b));
	if (rc != OTD_OK)
		otd_log(OTD_LOG_WARN, "app", "sessions.not_taken",
			"file=%s error=%s hint=\"miners get new sessions\"", OTD_Q(path),
			otd_rc_name(rc));
	otd_bytes_finish(&b);
}
