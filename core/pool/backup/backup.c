#include "pool/backup/backup.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <otedama/sha256.h>

#include "base/text.h"
#include "loop/loop.h"
#include "pool/backup/backup_archive.h"
#include "pool/backup/copy.h"

#define PATH_BYTES 1024
#define STEP_PAGES 64u           /* of 4 KiB: a step takes less than a millisecond */
#define LEAVE_FREE (16u << 20)   /* bytes on the disk that a pool beside it may need meanwhile */
#define LOOK_BYTES (4u << 20)    /* the room left is looked at so often */
#define UNFINISHED ".unfinished" /* in DIR.partial: by this we know it as ours */

struct otd_backup {
	struct otd_env *env;
	char *data_dir, *dir, *partial;
	struct otd_bytes yaml;
	char **names, **paths; /* of the extras */
	bool *may_lack;
	size_t n_extras;
	bool live, begun, no_archive;
	struct otd_files *to; /* rooted in DIR.partial/data */
	struct otd_manifest manifest;
	uint64_t looked_at; /* bytes, when the room left was last looked at */
	_Atomic bool cancelled;
	_Atomic uint64_t bytes, of_bytes, longest_us, steps;
};

static char *copy_of(const char *s, const char *end)
{
	size_t n = strlen(s), m = strlen(end) + 1;
	char *c = malloc(n + m);
	if (!c)
		return NULL;
	memcpy(c, s, n);
	memcpy(c + n, end, m);
	return c;
}

static otd_rc copy_extras(struct otd_backup *b, const struct otd_backup_conf *conf)
{
	b->names = calloc(conf->n_extras + 1, sizeof(*b->names));
	b->paths = calloc(conf->n_extras + 1, sizeof(*b->paths));
	b->may_lack = calloc(conf->n_extras + 1, sizeof(*b->may_lack));
	if (!b->names || !b->paths || !b->may_lack)
		return OTD_E_NOMEM;
	for (; b->n_extras < conf->n_extras; b->n_extras++) {
		const struct otd_backup_extra *x = &conf->extras[b->n_extras];
		b->names[b->n_extras] = copy_of(x->name, "");
		b->paths[b->n_extras] = copy_of(x->file, "");
		b->may_lack[b->n_extras] = x->may_lack;
		if (!b->names[b->n_extras] || !b->paths[b->n_extras])
			return OTD_E_NOMEM;
	}
	return OTD_OK;
}

otd_rc otd_backup_create(struct otd_backup **out, const struct otd_backup_conf *conf,
			 struct otd_err *err)
{
	struct otd_backup *b = calloc(1, sizeof(*b));
	*out = NULL;
	if (!b)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	b->env = conf->env;
	b->live = conf->live;
	b->no_archive = conf->no_archive;
	otd_bytes_init(&b->yaml, 64u << 20);
	b->data_dir = copy_of(conf->data_dir, "");
	b->dir = copy_of(conf->dir, "");
	if (b->dir)
		for (size_t n = strlen(b->dir); n > 1 && b->dir[n - 1] == '/'; n--)
			b->dir[n - 1] = '\0';
	b->partial = b->dir ? copy_of(b->dir, ".partial") : NULL;
	if (!b->data_dir || !b->partial ||
	    otd_bytes_add(&b->yaml, conf->yaml.ptr, conf->yaml.len) != OTD_OK ||
	    copy_extras(b, conf) != OTD_OK) {
		otd_backup_destroy(b);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	*out = b;
	return OTD_OK;
}

void otd_backup_destroy(struct otd_backup *b)
{
	if (!b)
		return;
	for (size_t i = 0; b->names && b->paths && i <= b->n_extras; i++) {
		free(b->names[i]);
		free(b->paths[i]);
	}
	free(b->names);
	free(b->paths);
	free(b->may_lack);
	free(b->data_dir);
	free(b->dir);
	free(b->partial);
	otd_bytes_finish(&b->yaml);
	otd_manifest_finish(&b->manifest);
	otd_files_rooted_destroy(b->to);
	free(b);
}

void otd_backup_cancel(struct otd_backup *b)
{
	atomic_store(&b->cancelled, true);
}

void otd_backup_progress(struct otd_backup *b, struct otd_backup_progress *out)
{
	*out = (struct otd_backup_progress){.bytes = atomic_load(&b->bytes),
					    .of_bytes = atomic_load(&b->of_bytes),
					    .longest_step_us = atomic_load(&b->longest_us),
					    .steps = atomic_load(&b->steps)};
}

const struct otd_manifest *otd_backup_manifest(const struct otd_backup *b)
{
	return &b->manifest;
}

static otd_rc disk_error(struct otd_backup *b, otd_rc rc, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	return otd_fail(err, rc, "%s", f->last_error(f->ctx));
}

static otd_rc path_in(char to[PATH_BYTES], const char *folder, const char *name,
		      struct otd_err *err)
{
	int n = snprintf(to, PATH_BYTES, "%s/%s", folder, name);
	if (n < 0 || n >= PATH_BYTES)
		return otd_fail(err, OTD_E_RANGE, "%s/%s: the path is too long", folder, name);
	return OTD_OK;
}

/* --- room and patience --- */

/* The pool's own disk may be the same one: it must not be filled up by this. */
static otd_rc look_at_room(struct otd_backup *b, uint64_t want, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	uint64_t room = 0;
	if (f->free_bytes(f->ctx, b->partial, &room) != OTD_OK)
		return disk_error(b, OTD_E_IO, err);
	if (room >= want + LEAVE_FREE)
		return OTD_OK;
	return otd_fail(
		err, OTD_E_NOMEM,
		"%s: the disk is nearly full: %llu MiB are left and %llu are needed (16 of them "
		"are for the pool); free some space or name another disk",
		b->dir, (unsigned long long)(room >> 20),
		(unsigned long long)((want + LEAVE_FREE + 0xfffff) >> 20));
}

static otd_rc go_on(struct otd_backup *b, uint64_t written, struct otd_err *err)
{
	if (atomic_load(&b->cancelled))
		return otd_fail(err, OTD_E_CLOSED, "given up");
	if (written - b->looked_at < LOOK_BYTES)
		return OTD_OK;
	b->looked_at = written;
	return look_at_room(b, 0, err);
}

static otd_rc on_piece(void *arg, size_t bytes, struct otd_err *err)
{
	struct otd_backup *b = arg;
	return go_on(b, atomic_fetch_add(&b->bytes, bytes) + bytes, err);
}

/* Reading for the manifest: no more room is used. */
static otd_rc on_hashed(void *arg, size_t bytes, struct otd_err *err)
{
	struct otd_backup *b = arg;
	(void)bytes;
	return atomic_load(&b->cancelled) ? otd_fail(err, OTD_E_CLOSED, "given up") : OTD_OK;
}

/* --- the beginning --- */

static bool any_name(void *arg, const char *name)
{
	(void)name;
	*(bool *)arg = true;
	return false;
}

static otd_rc check_target(struct otd_backup *b, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	bool there = false, any = false;
	otd_rc rc = f->exists(f->ctx, b->dir, &there);
	if (rc == OTD_OK && there)
		rc = f->list(f->ctx, b->dir, any_name, &any);
	if (rc)
		return disk_error(b, rc, err);
	if (any)
		return otd_fail(err, OTD_E_EXISTS,
				"%s is not empty; name a folder that is not there yet", b->dir);
	return OTD_OK;
}

/* What an attempt that was killed has left is removed, if it is one. */
static otd_rc clear_partial(struct otd_backup *b, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	char path[PATH_BYTES];
	bool there = false, ours = false, whole = false;
	otd_rc rc = f->exists(f->ctx, b->partial, &there);
	if (rc)
		return disk_error(b, rc, err);
	if (!there)
		return OTD_OK;
	rc = path_in(path, b->partial, UNFINISHED, err);
	if (rc == OTD_OK && f->exists(f->ctx, path, &ours) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	if (rc == OTD_OK)
		rc = path_in(path, b->partial, OTD_MANIFEST_NAME, err);
	if (rc == OTD_OK && f->exists(f->ctx, path, &whole) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	if (rc)
		return rc;
	if (!ours && !whole)
		return otd_fail(err, OTD_E_EXISTS,
				"%s is in the way and was not left by a backup; remove it, or name "
				"another folder",
				b->partial);
	otd_remove_tree(f, b->partial);
	return OTD_OK;
}

static otd_rc make_partial(struct otd_backup *b, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	struct otd_file *mark = NULL;
	char path[PATH_BYTES];
	otd_rc rc = f->make_dir(f->ctx, b->partial);
	if (rc)
		return disk_error(b, rc, err);
	b->begun = true;
	rc = path_in(path, b->partial, UNFINISHED, err);
	if (rc)
		return rc;
	rc = f->open(f->ctx, &mark, path, OTD_OPEN_WRITE | OTD_OPEN_CREATE);
	if (rc == OTD_OK)
		rc = f->sync(f->ctx, mark);
	f->close(f->ctx, mark);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, b->partial);
	if (rc)
		return disk_error(b, rc, err);
	rc = path_in(path, b->partial, "data", err);
	if (rc == OTD_OK && f->make_dir(f->ctx, path) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	if (rc == OTD_OK)
		rc = otd_files_rooted_create(&b->to, f, path);
	return rc;
}

/* What is in data_dir and will not be copied. */
static bool left_out(const char *path)
{
	return strncmp(path, "plugins/", 8) == 0 || strncmp(path, "before-restore-", 15) == 0;
}

static otd_rc add_bytes(void *arg, const char *path, uint64_t bytes, struct otd_err *err)
{
	struct otd_backup *b = arg;
	(void)err;
	bool archived = strncmp(path, "archive/", 8) == 0;
	if (!left_out(path) && !(archived && b->no_archive))
		atomic_fetch_add(&b->of_bytes, bytes);
	return OTD_OK;
}

otd_rc otd_backup_prepare(struct otd_backup *b, struct otd_err *err)
{
	otd_rc rc = check_target(b, err);
	if (rc == OTD_OK)
		rc = clear_partial(b, err);
	if (rc == OTD_OK)
		rc = make_partial(b, err);
	if (rc == OTD_OK)
		rc = otd_walk(b->env->files, b->data_dir, add_bytes, b, err);
	if (rc == OTD_OK)
		rc = look_at_room(b, atomic_load(&b->of_bytes), err);
	return rc;
}

/* --- the database --- */

static otd_rc take_schema(void *ctx, const struct otd_value *c, size_t n)
{
	uint64_t v = 0;
	(void)n;
	if (c[0].type == OTD_VALUE_TEXT &&
	    otd_parse_u64(&v, (const char *)c[0].bytes.ptr, c[0].bytes.len) == OTD_OK)
		*(int64_t *)ctx = (int64_t)(v & INT64_MAX);
	return OTD_OK;
}

static bool take_text(char *to, size_t cap, const struct otd_value *v)
{
	size_t n = v->bytes.len < cap ? v->bytes.len : cap - 1;
	if (v->type != OTD_VALUE_TEXT || n == 0)
		return false;
	memcpy(to, v->bytes.ptr, n);
	to[n] = '\0';
	return true;
}

static otd_rc take_pool(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_manifest_pool p = {.id = (uint64_t)c[0].i};
	(void)n;
	if (!take_text(p.name, sizeof(p.name), &c[1]) ||
	    !take_text(p.asset, sizeof(p.asset), &c[2]))
		return OTD_E_CORRUPT;
	return otd_manifest_add_pool(ctx, &p);
}

static otd_rc take_block(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_manifest_about *a = ctx;
	(void)n;
	if (c[1].bytes.len != 32 || !take_text(a->block_pool, sizeof(a->block_pool), &c[3]))
		return OTD_E_CORRUPT;
	a->block_height = (uint64_t)c[0].i;
	otd_hex_encode_reverse(a->block_hash, c[1].bytes.ptr, 32);
	a->block_ms = c[2].i;
	return OTD_OK;
}

static otd_rc take_balance(void *ctx, const struct otd_value *c, size_t n)
{
	char asset[32];
	(void)n;
	if (!take_text(asset, sizeof(asset), &c[1]) || c[2].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	return otd_manifest_add_sum(ctx, (uint32_t)c[0].i, asset, c[2].wide);
}

otd_rc otd_backup_about(struct otd_manifest *m, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t text[] = {OTD_VALUE_TEXT};
	static const uint32_t pool[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT};
	static const uint32_t block[] = {OTD_VALUE_INT, OTD_VALUE_BLOB, OTD_VALUE_INT,
					 OTD_VALUE_TEXT};
	static const uint32_t balance[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_WIDE};
	struct otd_manifest_about *a = &m->about;
	int64_t position = 0;
	otd_rc rc = otd_db_query(db, "SELECT v FROM meta WHERE k = 'schema'", NULL, 0, text, 1,
				 take_schema, &a->schema, err);
	if (rc || a->schema <= 0)
		return otd_fail(err, rc ? rc : OTD_E_NOT_FOUND,
				"the database has no schema: no pool has used it yet");
	rc = otd_db_int(db, "SELECT seq FROM position WHERE id = 1", NULL, 0, &position, err);
	if (rc == OTD_E_NOT_FOUND)
		rc = OTD_OK; /* a pool that has merged nothing yet */
	a->position = (uint64_t)position;
	if (rc == OTD_OK)
		rc = otd_db_query(db, "SELECT id, name, asset FROM pools ORDER BY id", NULL, 0,
				  pool, 3, take_pool, m, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT b.height, b.hash, b.found_ms, p.name FROM blocks b"
				  " JOIN pools p ON p.id = b.pool_id"
				  " WHERE b.id = (SELECT max(id) FROM blocks)",
				  NULL, 0, block, 4, take_block, a, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db, "SELECT account_kind, asset, amount FROM balances", NULL, 0,
				  balance, 3, take_balance, m, err);
	return rc;
}

otd_rc otd_backup_database(struct otd_backup *b, struct otd_db *db, bool *done, struct otd_err *err)
{
	uint32_t left = 0;
	*done = false;
	otd_rc rc = go_on(b, atomic_load(&b->bytes), err);
	if (rc)
		return rc;
	uint64_t from = otd_mono_ns(b->env);
	rc = otd_db_backup_step(db, b->to, STEP_PAGES, &left, err);
	uint64_t us = (otd_mono_ns(b->env) - from) / 1000;
	if (us > atomic_load(&b->longest_us))
		atomic_store(&b->longest_us, us);
	atomic_fetch_add(&b->steps, 1);
	/* Pages of 4 KiB: for the eye, and for how often the room is looked at. */
	atomic_fetch_add(&b->bytes, STEP_PAGES * UINT64_C(4096));
	if (rc || left)
		return rc;
	/* Nothing comes between the last step and this: both are of one moment. */
	rc = otd_backup_about(&b->manifest, db, err);
	*done = rc == OTD_OK;
	return rc;
}

/* --- files --- */

struct epochs {
	struct otd_backup *b;
	const struct otd_backup_journal *journals;
	size_t n;
	const char *from, *to;
	const struct otd_copy_watch *watch;
	struct otd_err *err;
	otd_rc rc;
};

static uint64_t durable_of(const struct otd_backup_journal *journals, size_t n, uint64_t epoch)
{
	for (size_t i = 0; i < n; i++)
		if (journals[i].epoch == epoch)
			return journals[i].durable;
	return 0;
}

static bool copy_epoch(void *arg, const char *name)
{
	struct epochs *x = arg;
	char from[PATH_BYTES], to[PATH_BYTES];
	uint64_t epoch = 0;
	if (strncmp(name, "r-", 2) != 0 || otd_parse_u64(&epoch, name + 2, strlen(name + 2)))
		return true;
	x->rc = path_in(from, x->from, name, x->err);
	if (x->rc == OTD_OK)
		x->rc = path_in(to, x->to, name, x->err);
	if (x->rc == OTD_OK)
		x->rc = otd_copy_journal(x->b->env, from, to, durable_of(x->journals, x->n, epoch),
					 x->watch, x->err);
	/* An epoch that was used up, and whose removal had begun before all this. */
	if (x->rc == OTD_E_NOT_FOUND)
		x->rc = OTD_OK;
	return x->rc == OTD_OK;
}

static otd_rc copy_journals(struct otd_backup *b, const char *from, const char *to,
			    const struct otd_backup_journal *journals, size_t n,
			    const struct otd_copy_watch *watch, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	struct epochs x = {b, journals, n, from, to, watch, err, OTD_OK};
	char own_from[PATH_BYTES], own_to[PATH_BYTES];
	if (!b->live)
		return otd_copy_tree(f, from, to, watch, err);
	otd_rc rc = f->make_dir(f->ctx, to) ? disk_error(b, OTD_E_IO, err) : OTD_OK;
	if (rc == OTD_OK)
		rc = path_in(own_from, from, "coordinator", err);
	if (rc == OTD_OK)
		rc = path_in(own_to, to, "coordinator", err);
	if (rc == OTD_OK)
		rc = otd_copy_journal(b->env, own_from, own_to, durable_of(journals, n, 0), watch,
				      err);
	if (rc == OTD_OK && f->list(f->ctx, from, copy_epoch, &x) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	if (rc == OTD_OK)
		rc = x.rc;
	if (rc == OTD_OK && f->sync_dir(f->ctx, to) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	return rc;
}

static otd_rc write_new(struct otd_backup *b, const char *name, struct otd_span text,
			struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	struct otd_file *file = NULL;
	char path[PATH_BYTES];
	otd_rc rc = path_in(path, b->partial, name, err);
	if (rc)
		return rc;
	rc = f->open(f->ctx, &file, path, OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE);
	if (rc == OTD_OK)
		rc = f->write(f->ctx, file, text.ptr, text.len, 0);
	if (rc == OTD_OK)
		rc = f->sync(f->ctx, file);
	f->close(f->ctx, file);
	return rc ? disk_error(b, rc, err) : OTD_OK;
}

static otd_rc copy_configuration(struct otd_backup *b, const struct otd_copy_watch *watch,
				 struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	char path[PATH_BYTES];
	otd_rc rc = write_new(b, "configuration.yaml", otd_bytes_span(&b->yaml), err);
	if (rc == OTD_OK)
		rc = path_in(path, b->partial, "coins", err);
	if (rc == OTD_OK && f->make_dir(f->ctx, path) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	for (size_t i = 0; rc == OTD_OK && i < b->n_extras; i++) {
		rc = path_in(path, b->partial, b->names[i], err);
		if (rc == OTD_OK)
			rc = otd_copy_file(f, b->paths[i], path, UINT64_MAX, watch, err);
		if (rc == OTD_E_NOT_FOUND && b->may_lack[i])
			rc = OTD_OK;
	}
	return rc;
}

/* A folder of data_dir that need not be there. */
static otd_rc copy_folder(struct otd_backup *b, const char *name,
			  const struct otd_copy_watch *watch, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	char from[PATH_BYTES], to[PATH_BYTES];
	bool there = false;
	otd_rc rc = path_in(from, b->data_dir, name, err);
	if (rc == OTD_OK)
		rc = path_in(to, b->partial, "data/", err);
	if (rc == OTD_OK && strlen(to) + strlen(name) >= sizeof(to))
		rc = otd_fail(err, OTD_E_RANGE, "%s: the path is too long", to);
	if (rc)
		return rc;
	memcpy(to + strlen(to), name, strlen(name) + 1);
	if (f->exists(f->ctx, from, &there) != OTD_OK)
		return disk_error(b, OTD_E_IO, err);
	return there ? otd_copy_tree(f, from, to, watch, err) : OTD_OK;
}

static otd_rc copy_archive(struct otd_backup *b, const char *data,
			   const struct otd_copy_watch *watch, struct otd_err *err)
{
	char from[PATH_BYTES], to[PATH_BYTES];
	otd_rc rc = path_in(from, b->data_dir, "archive", err);
	if (rc == OTD_OK)
		rc = path_in(to, data, "archive", err);
	if (rc || b->no_archive)
		return rc;
	return otd_backup_copy_archive(b->env, from, to, watch, err);
}

/* --- the end --- */

otd_rc otd_backup_hash(const struct otd_files *f, const char *path, uint64_t *bytes,
		       uint8_t sha256[32], const struct otd_copy_watch *watch, struct otd_err *err)
{
	struct otd_sha256 s;
	struct otd_file *file = NULL;
	uint8_t *piece = malloc(OTD_COPY_PIECE);
	size_t got = OTD_COPY_PIECE;
	*bytes = 0;
	otd_sha256_init(&s);
	otd_rc rc = piece ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK && (rc = f->open(f->ctx, &file, path, OTD_OPEN_READ)) != OTD_OK)
		otd_fail(err, rc, "%s", f->last_error(f->ctx));
	while (rc == OTD_OK && got == OTD_COPY_PIECE) {
		rc = f->read(f->ctx, file, &got, piece, OTD_COPY_PIECE, *bytes);
		if (rc)
			otd_fail(err, rc, "%s", f->last_error(f->ctx));
		else if (watch)
			rc = watch->piece(watch->arg, got, err);
		if (rc == OTD_OK)
			otd_sha256_update(&s, piece, got);
		*bytes += got;
	}
	f->close(f->ctx, file);
	free(piece);
	otd_sha256_final(&s, sha256);
	return rc;
}

static otd_rc list_file(void *arg, const char *path, uint64_t bytes, struct otd_err *err)
{
	struct otd_backup *b = arg;
	const struct otd_copy_watch watch = {on_hashed, b};
	char full[PATH_BYTES];
	uint8_t sha256[32];
	if (strcmp(path, UNFINISHED) == 0)
		return OTD_OK;
	otd_rc rc = path_in(full, b->partial, path, err);
	if (rc == OTD_OK)
		rc = otd_backup_hash(b->env->files, full, &bytes, sha256, &watch, err);
	if (rc)
		return rc;
	rc = otd_manifest_add_file(&b->manifest, path, bytes, sha256);
	return rc ? otd_fail(err, rc, "%s: %s", path, otd_rc_name(rc)) : OTD_OK;
}

/* The plugin's file is not synced yet, nor are the folders that it may have made. */
static otd_rc sync_file(void *arg, const char *path, uint64_t bytes, struct otd_err *err)
{
	struct otd_backup *b = arg;
	const struct otd_files *f = b->to;
	struct otd_file *file = NULL;
	char folder[PATH_BYTES];
	(void)bytes;
	otd_rc rc = f->open(f->ctx, &file, path, OTD_OPEN_READ | OTD_OPEN_WRITE);
	if (rc == OTD_OK)
		rc = f->sync(f->ctx, file);
	f->close(f->ctx, file);
	snprintf(folder, sizeof(folder), "%s", path);
	for (char *slash = strrchr(folder, '/'); rc == OTD_OK && slash;
	     slash = strrchr(folder, '/')) {
		*slash = '\0';
		rc = f->sync_dir(f->ctx, folder);
	}
	return rc ? disk_error(b, rc, err) : OTD_OK;
}

static otd_rc sync_database(struct otd_backup *b, const char *data, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	otd_rc rc = otd_walk(f, data, sync_file, b, err);
	if (rc == OTD_OK && f->sync_dir(f->ctx, data) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	return rc;
}

static otd_rc parent_of(char to[PATH_BYTES], const char *path, struct otd_err *err)
{
	size_t n = (size_t)(strrchr(path, '/') - path);
	if (n >= PATH_BYTES)
		return otd_fail(err, OTD_E_RANGE, "%s: the path is too long", path);
	memcpy(to, path, n);
	to[n] = '\0';
	if (n == 0)
		memcpy(to, "/", 2);
	return OTD_OK;
}

static otd_rc close_up(struct otd_backup *b, struct otd_err *err)
{
	const struct otd_files *f = b->env->files;
	struct otd_manifest_about *a = &b->manifest.about;
	struct otd_bytes text;
	char path[PATH_BYTES], parent[PATH_BYTES];
	a->time_ms = otd_wall_ms(b->env);
	a->running = b->live;
	snprintf(a->version, sizeof(a->version), "%s", OTEDAMA_VERSION);
	otd_manifest_sort(&b->manifest);
	otd_bytes_init(&text, OTD_MANIFEST_BYTES);
	otd_manifest_write(&b->manifest, &text);
	otd_rc rc = text.failed ? otd_fail(err, OTD_E_NOMEM, "too many files for one MANIFEST")
				: write_new(b, OTD_MANIFEST_NAME, otd_bytes_span(&text), err);
	otd_bytes_finish(&text);
	if (rc == OTD_OK)
		rc = path_in(path, b->partial, UNFINISHED, err);
	if (rc == OTD_OK)
		rc = parent_of(parent, b->dir, err);
	if (rc)
		return rc;
	rc = f->remove(f->ctx, path);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, b->partial);
	if (rc == OTD_OK)
		rc = f->rename(f->ctx, b->partial, b->dir);
	if (rc == OTD_OK) {
		b->begun = false; /* nothing to abandon any more */
		rc = f->sync_dir(f->ctx, parent);
	}
	return rc ? disk_error(b, rc, err) : OTD_OK;
}

otd_rc otd_backup_files(struct otd_backup *b, const struct otd_backup_journal *journals, size_t n,
			struct otd_err *err)
{
	const struct otd_copy_watch watch = {on_piece, b};
	char from[PATH_BYTES], data[PATH_BYTES], to[PATH_BYTES];
	otd_rc rc = path_in(from, b->data_dir, "journal", err);
	if (rc == OTD_OK)
		rc = path_in(data, b->partial, "data", err);
	if (rc == OTD_OK)
		rc = path_in(to, data, "journal", err);
	if (rc == OTD_OK)
		rc = sync_database(b, data, err);
	if (rc == OTD_OK)
		rc = copy_journals(b, from, to, journals, n, &watch, err);
	if (rc == OTD_OK)
		rc = copy_folder(b, "blocks", &watch, err);
	if (rc == OTD_OK)
		rc = copy_folder(b, "chain", &watch, err);
	if (rc == OTD_OK)
		rc = copy_archive(b, data, &watch, err);
	if (rc == OTD_OK)
		rc = copy_configuration(b, &watch, err);
	if (rc == OTD_OK && b->env->files->sync_dir(b->env->files->ctx, data) != OTD_OK)
		rc = disk_error(b, OTD_E_IO, err);
	if (rc == OTD_OK)
		rc = otd_walk(b->env->files, b->partial, list_file, b, err);
	return rc == OTD_OK ? close_up(b, err) : rc;
}

void otd_backup_abandon(struct otd_backup *b)
{
	if (b->begun)
		otd_remove_tree(b->env->files, b->partial);
	b->begun = false;
}
