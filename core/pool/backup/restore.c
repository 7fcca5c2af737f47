#include "pool/backup/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pool/backup/backup.h"
#include "pool/journal/journal.h"
#include "pool/journal/record.h"

#define PATH_BYTES 1024
#define DATA       "data/"

static otd_rc disk_error(struct otd_env *e, otd_rc rc, struct otd_err *err)
{
	return otd_fail(err, rc, "%s", e->files->last_error(e->files->ctx));
}

static otd_rc path_in(char to[PATH_BYTES], const char *folder, const char *name,
		      struct otd_err *err)
{
	int n = snprintf(to, PATH_BYTES, "%s/%s", folder, name);
	if (n < 0 || n >= PATH_BYTES)
		return otd_fail(err, OTD_E_RANGE, "%s/%s: the path is too long", folder, name);
	return OTD_OK;
}

/* --- the backup --- */

static otd_rc read_manifest(struct otd_manifest *m, struct otd_env *e, const char *dir,
			    struct otd_err *err)
{
	const struct otd_files *f = e->files;
	struct otd_file *file = NULL;
	struct otd_bytes text;
	char path[PATH_BYTES];
	uint64_t length = 0;
	size_t got = 0;
	uint8_t *to = NULL;
	otd_bytes_init(&text, OTD_MANIFEST_BYTES);
	otd_rc rc = path_in(path, dir, OTD_MANIFEST_NAME, err);
	if (rc)
		return rc;
	rc = f->open(f->ctx, &file, path, OTD_OPEN_READ);
	if (rc == OTD_E_NOT_FOUND)
		return otd_fail(err, rc,
				"%s has no " OTD_MANIFEST_NAME
				": it is no backup, or one that was not "
				"finished",
				dir);
	if (rc == OTD_OK)
		rc = f->length(f->ctx, file, &length);
	if (rc)
		disk_error(e, rc, err);
	if (rc == OTD_OK && length <= OTD_MANIFEST_BYTES)
		to = otd_bytes_room(&text, (size_t)length);
	if (rc == OTD_OK && !to)
		rc = otd_fail(err, OTD_E_RANGE, "%s: %llu bytes are too many", path,
			      (unsigned long long)length);
	if (rc == OTD_OK && (rc = f->read(f->ctx, file, &got, to, (size_t)length, 0)) != OTD_OK)
		disk_error(e, rc, err);
	f->close(f->ctx, file);
	text.len = got;
	if (rc == OTD_OK && (rc = otd_manifest_read(m, otd_bytes_span(&text), err)) != OTD_OK)
		otd_fail_prefix(err, "%s", dir);
	otd_bytes_finish(&text);
	return rc;
}

/* The file at path is what the manifest says. */
static otd_rc check_file(const struct otd_manifest_file *x, struct otd_env *e, const char *path,
			 const struct otd_copy_watch *watch, struct otd_err *err)
{
	uint8_t sha256[32];
	uint64_t bytes = 0;
	otd_rc rc = otd_backup_hash(e->files, path, &bytes, sha256, watch, err);
	if (rc == OTD_E_NOT_FOUND)
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: missing, and " OTD_MANIFEST_NAME " names it", path);
	if (rc)
		return rc;
	if (bytes != x->bytes)
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: has %llu bytes, it had %llu when it was made", path,
				(unsigned long long)bytes, (unsigned long long)x->bytes);
	if (memcmp(sha256, x->sha256, 32) != 0)
		return otd_fail(
			err, OTD_E_CORRUPT,
			"%s: is not what it was when it was made (its SHA-256 differs); take "
			"another backup",
			path);
	return OTD_OK;
}

otd_rc otd_restore_check(struct otd_manifest *m, struct otd_env *e, const char *dir,
			 const struct otd_copy_watch *watch, struct otd_err *err)
{
	char path[PATH_BYTES];
	otd_rc rc = read_manifest(m, e, dir, err);
	if (rc == OTD_OK && m->about.schema > otd_schema_newest())
		rc = otd_fail(
			err, OTD_E_VERSION,
			"%s has schema version %lld, this otedama knows %lld: it was made by a "
			"newer one (%s); update otedama first",
			dir, (long long)m->about.schema, (long long)otd_schema_newest(),
			m->about.version);
	for (size_t i = 0; rc == OTD_OK && i < m->n_files; i++) {
		rc = path_in(path, dir, m->files[i].path, err);
		if (rc == OTD_OK)
			rc = check_file(&m->files[i], e, path, watch, err);
	}
	return rc;
}

/* --- the target --- */

static bool stays(const char *name)
{
	static const char *const names[] = {"otedama.lock", "otedama.sock", "restore.unfinished",
					    "plugins", "lost+found"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return strncmp(name, "before-restore-", 15) == 0;
}

static bool look_one(void *arg, const char *name)
{
	bool *any = arg;
	*any = *any || !stays(name);
	return !*any;
}

otd_rc otd_restore_look(struct otd_env *e, const char *data_dir, bool *any, struct otd_err *err)
{
	*any = false;
	otd_rc rc = e->files->list(e->files->ctx, data_dir, look_one, any);
	return rc ? disk_error(e, rc, err) : OTD_OK;
}

struct moving {
	struct otd_env *e;
	const char *from, *to;
	struct otd_err *err;
	otd_rc rc;
};

static bool move_one(void *arg, const char *name)
{
	struct moving *m = arg;
	char from[PATH_BYTES], to[PATH_BYTES];
	if (stays(name))
		return true;
	m->rc = path_in(from, m->from, name, m->err);
	if (m->rc == OTD_OK)
		m->rc = path_in(to, m->to, name, m->err);
	if (m->rc == OTD_OK && (m->rc = m->e->files->rename(m->e->files->ctx, from, to)) != OTD_OK)
		disk_error(m->e, m->rc, m->err);
	return m->rc == OTD_OK;
}

otd_rc otd_restore_move_aside(struct otd_env *e, const char *data_dir, const char *aside,
			      struct otd_err *err)
{
	const struct otd_files *f = e->files;
	char folder[PATH_BYTES];
	struct moving m = {e, data_dir, folder, err, OTD_OK};
	otd_rc rc = path_in(folder, data_dir, aside, err);
	if (rc)
		return rc;
	rc = f->make_dir(f->ctx, folder);
	if (rc == OTD_OK)
		rc = f->list(f->ctx, data_dir, move_one, &m);
	if (rc == OTD_OK && m.rc)
		return m.rc;
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, folder);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, data_dir);
	return rc ? disk_error(e, rc, err) : OTD_OK;
}

/* Makes, or syncs, the folders of path below data_dir, the outermost first. */
static otd_rc folders(struct otd_env *e, const char *data_dir, const char *path, bool make,
		      struct otd_err *err)
{
	const struct otd_files *f = e->files;
	char part[PATH_BYTES], name[PATH_BYTES];
	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(name, sizeof(name), "%.*s", (int)(p - path), path);
		otd_rc rc = path_in(part, data_dir, name, err);
		if (rc)
			return rc;
		rc = make ? f->make_dir(f->ctx, part) : f->sync_dir(f->ctx, part);
		if (rc)
			return disk_error(e, rc, err);
	}
	return OTD_OK;
}

otd_rc otd_restore_place(const struct otd_manifest *m, struct otd_env *e, const char *dir,
			 const char *data_dir, const struct otd_copy_watch *watch,
			 struct otd_err *err)
{
	char from[PATH_BYTES], to[PATH_BYTES];
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < m->n_files; i++) {
		const struct otd_manifest_file *x = &m->files[i];
		const char *name = x->path + strlen(DATA);
		if (strncmp(x->path, DATA, strlen(DATA)) != 0)
			continue;
		rc = path_in(from, dir, x->path, err);
		if (rc == OTD_OK)
			rc = path_in(to, data_dir, name, err);
		if (rc == OTD_OK)
			rc = folders(e, data_dir, name, true, err);
		if (rc == OTD_OK)
			rc = otd_copy_file(e->files, from, to, UINT64_MAX, watch, err);
		if (rc == OTD_OK)
			rc = check_file(x, e, to, NULL, err);
		if (rc == OTD_OK)
			rc = folders(e, data_dir, name, false, err);
	}
	if (rc == OTD_OK && e->files->sync_dir(e->files->ctx, data_dir) != OTD_OK)
		rc = disk_error(e, OTD_E_IO, err);
	return rc;
}

/* --- the proof --- */

static otd_rc take_epoch(void *ctx, const struct otd_value *c, size_t n)
{
	struct otd_restore_needs *x = ctx;
	(void)n;
	if (x->n_epochs == x->cap_epochs) {
		size_t cap = x->cap_epochs ? 2 * x->cap_epochs : 64;
		struct otd_restore_epoch *more = realloc(x->epochs, cap * sizeof(*more));
		if (!more)
			return OTD_E_NOMEM;
		x->epochs = more;
		x->cap_epochs = cap;
	}
	x->epochs[x->n_epochs++] = (struct otd_restore_epoch){(uint64_t)c[0].i, (uint64_t)c[1].i};
	return OTD_OK;
}

otd_rc otd_restore_needs(struct otd_restore_needs *needs, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t pair[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	int64_t position = 0, saved = 0;
	otd_rc rc =
		otd_db_int(db, "SELECT seq FROM position WHERE id = 1", NULL, 0, &position, err);
	if (rc == OTD_E_NOT_FOUND)
		rc = OTD_OK;
	if (rc == OTD_OK)
		rc = otd_db_int(db, "SELECT coalesce(max(seq), 0) FROM payout_state", NULL, 0,
				&saved, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db, "SELECT epoch, next_seq FROM epochs", NULL, 0, pair, 2,
				  take_epoch, needs, err);
	needs->position = (uint64_t)position;
	needs->oldest = (uint64_t)(saved < position ? saved : position) + 1;
	return rc;
}

struct range {
	uint64_t epoch, first, last;
};

struct ranges {
	struct otd_env *e;
	char dir[PATH_BYTES];
	struct range *item;
	size_t n, cap;
	struct otd_err *err;
	otd_rc rc;
};

static otd_rc open_one(struct ranges *r, const char *name, uint64_t epoch)
{
	char path[PATH_BYTES];
	struct otd_journal_range range;
	otd_rc rc = path_in(path, r->dir, name, r->err);
	if (rc == OTD_OK)
		rc = otd_journal_recover(r->e, path, &range, r->err);
	if (rc == OTD_E_NOT_FOUND)
		return OTD_OK; /* none was ever begun in it */
	if (rc)
		return rc;
	if (range.epoch != epoch)
		return otd_fail(r->err, OTD_E_CORRUPT, "journal %s: it is of epoch %llu", path,
				(unsigned long long)range.epoch);
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 16;
		struct range *more = realloc(r->item, cap * sizeof(*more));
		if (!more)
			return otd_fail(r->err, OTD_E_NOMEM, "out of memory");
		r->item = more;
		r->cap = cap;
	}
	r->item[r->n++] = (struct range){epoch, range.first, range.last};
	return OTD_OK;
}

static bool open_epoch(void *arg, const char *name)
{
	struct ranges *r = arg;
	uint64_t epoch = 0;
	if (strcmp(name, "coordinator") == 0)
		r->rc = open_one(r, name, 0);
	else if (strncmp(name, "r-", 2) == 0 &&
		 otd_parse_u64(&epoch, name + 2, strlen(name + 2)) == OTD_OK)
		r->rc = open_one(r, name, epoch);
	return r->rc == OTD_OK;
}

static const struct range *range_of(const struct ranges *r, uint64_t epoch)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->item[i].epoch == epoch)
			return &r->item[i];
	return NULL;
}

/* Every share that a batch names is in its reactor's journal. */
static otd_rc check_batch(const struct ranges *r, const struct otd_record *rec)
{
	struct otd_rec_batch b;
	if (rec->type != OTD_REC_BATCH || rec->payload.len < sizeof(b))
		return OTD_OK;
	memcpy(&b, rec->payload.ptr, sizeof(b));
	const struct range *x = range_of(r, b.epoch);
	if (x && x->first <= b.first && x->last >= b.last)
		return OTD_OK;
	return otd_fail(r->err, OTD_E_CORRUPT,
			"journal %s/r-%llu: sequences %llu to %llu are needed and not there",
			r->dir, (unsigned long long)b.epoch, (unsigned long long)b.first,
			(unsigned long long)b.last);
}

static otd_rc play(const struct ranges *r, const struct range *own, uint64_t from)
{
	struct otd_journal_reader *reader = NULL;
	struct otd_record rec;
	char path[PATH_BYTES];
	otd_rc rc = path_in(path, r->dir, "coordinator", r->err);
	if (rc == OTD_OK)
		rc = otd_journal_reader_open(&reader, r->e, path, from, r->err);
	while (rc == OTD_OK) {
		rc = otd_journal_read(reader, &rec, own->last, r->err);
		if (rc == OTD_OK && rec.seq >= from)
			rc = check_batch(r, &rec);
	}
	otd_journal_reader_close(reader);
	return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
}

static otd_rc check_order(const struct ranges *r, const struct otd_restore_needs *needs,
			  struct otd_restore_journals *out)
{
	const struct range *own = range_of(r, 0);
	out->last = own ? own->last : 0;
	if (out->last < needs->position)
		return otd_fail(r->err, OTD_E_CORRUPT,
				"journal %s/coordinator ends at %llu, the database is at %llu",
				r->dir, (unsigned long long)out->last,
				(unsigned long long)needs->position);
	if (!own || needs->oldest > own->last)
		return OTD_OK;
	if (needs->oldest < own->first)
		return otd_fail(r->err, OTD_E_CORRUPT,
				"journal %s/coordinator begins at %llu, %llu is needed", r->dir,
				(unsigned long long)own->first, (unsigned long long)needs->oldest);
	return play(r, own, needs->oldest);
}

static uint64_t behind(const struct ranges *r, const struct otd_restore_needs *needs)
{
	uint64_t n = 0;
	for (size_t i = 0; i < needs->n_epochs; i++) {
		const struct range *x = range_of(r, needs->epochs[i].epoch);
		if (x && x->last >= needs->epochs[i].next)
			n += x->last - needs->epochs[i].next + 1;
	}
	return n;
}

otd_rc otd_restore_journals(struct otd_restore_journals *out, const struct otd_restore_needs *needs,
			    struct otd_env *e, const char *data_dir, struct otd_err *err)
{
	struct ranges r = {.e = e, .err = err};
	bool there = false;
	*out = (struct otd_restore_journals){0};
	otd_rc rc = path_in(r.dir, data_dir, "journal", err);
	if (rc == OTD_OK && e->files->exists(e->files->ctx, r.dir, &there) != OTD_OK)
		rc = disk_error(e, OTD_E_IO, err);
	if (rc == OTD_OK && there && e->files->list(e->files->ctx, r.dir, open_epoch, &r) != OTD_OK)
		rc = disk_error(e, OTD_E_IO, err);
	if (rc == OTD_OK)
		rc = r.rc;
	if (rc == OTD_OK)
		rc = check_order(&r, needs, out);
	out->journals = r.n;
	out->records = behind(&r, needs);
	free(r.item);
	return rc;
}
