#include "pool/journal/saves.h"

#include "base/bytes.h"
#include "base/le.h"
#include "base/text.h"
#include "pool/journal/archive_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD     32
#define ITEM     16
#define PATH     512
#define SAVE_MAX (1u << 30)

static const char magic[8] = "OTDSAVE";

/* archive/saves, as the archive of a journal that is called so. */
static bool folder(char to[PATH], const char *data_dir)
{
	int n = snprintf(to, PATH, "%s/journal/saves", data_dir);
	return n > 0 && n < PATH;
}

/* --- writing --- */

static otd_rc build(struct otd_bytes *to, uint64_t seq, const struct otd_save *s, size_t n)
{
	uint8_t head[HEAD] = {0}, item[ITEM];
	otd_rc rc = otd_bytes_add(to, head, sizeof(head));
	for (size_t i = 0; rc == OTD_OK && i < n; i++) {
		memset(item, 0, sizeof(item));
		otd_le_put(item, s[i].pool.len, 2);
		otd_le_put(item + 2, s[i].scheme.len, 2);
		otd_le_put(item + 8, s[i].state.len, 8);
		rc = otd_bytes_add(to, item, sizeof(item));
		if (rc == OTD_OK)
			rc = otd_bytes_add(to, s[i].pool.ptr, s[i].pool.len);
		if (rc == OTD_OK)
			rc = otd_bytes_add(to, s[i].scheme.ptr, s[i].scheme.len);
		if (rc == OTD_OK)
			rc = otd_bytes_add(to, s[i].state.ptr, s[i].state.len);
	}
	if (rc)
		return rc;
	memcpy(to->ptr, magic, sizeof(magic));
	otd_le_put(to->ptr + 8, 1, 4);
	otd_le_put(to->ptr + 12, n, 4);
	otd_le_put(to->ptr + 16, seq, 8);
	otd_le_put(to->ptr + 24, otd_crc32c(0, to->ptr + HEAD, to->len - HEAD), 4);
	otd_le_put(to->ptr + 28, otd_crc32c(0, to->ptr, 28), 4);
	return OTD_OK;
}

static otd_rc make_folders(const struct otd_files *f, const char *data_dir, const char *dir)
{
	char archive[PATH];
	bool there = false;
	otd_rc rc = f->exists(f->ctx, dir, &there);
	if (rc || there)
		return rc;
	if (snprintf(archive, sizeof(archive), "%s/archive", data_dir) >= PATH)
		return OTD_E_RANGE;
	rc = f->make_dir(f->ctx, archive);
	if (rc == OTD_OK)
		rc = f->make_dir(f->ctx, dir);
	return rc == OTD_OK ? f->sync_dir(f->ctx, archive) : rc;
}

otd_rc otd_saves_put(struct otd_env *e, const char *data_dir, uint64_t seq,
		     const struct otd_save *s, size_t n, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	char as_journal[PATH], dir[PATH], path[PATH], fresh[PATH + 16];
	struct otd_file *file = NULL;
	struct otd_bytes b;
	otd_bytes_init(&b, SAVE_MAX);
	otd_rc rc = folder(as_journal, data_dir) &&
				    otd_journal_archive_dir(dir, sizeof(dir), as_journal) &&
				    otd_journal_path(path, sizeof(path), dir, seq)
			    ? OTD_OK
			    : OTD_E_RANGE;
	if (rc == OTD_OK)
		rc = make_folders(f, data_dir, dir);
	if (rc == OTD_OK)
		rc = build(&b, seq, s, n);
	if (rc)
		goto out;
	(void)snprintf(fresh, sizeof(fresh), "%s/save.tmp", dir); /* one at a time */
	rc = f->open(f->ctx, &file, fresh, OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE);
	if (rc == OTD_OK)
		rc = f->write(f->ctx, file, b.ptr, b.len, 0);
	if (rc == OTD_OK)
		rc = f->sync(f->ctx, file);
	f->close(f->ctx, file);
	if (rc == OTD_OK)
		rc = f->rename(f->ctx, fresh, path);
	else
		(void)f->remove(f->ctx, fresh);
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, dir);
out:
	if (rc)
		(void)otd_fail(err, rc, "archive: cannot keep a save of the payout schemes: %s",
			       rc == OTD_E_NOMEM || rc == OTD_E_RANGE ? otd_rc_name(rc)
								      : f->last_error(f->ctx));
	otd_bytes_finish(&b);
	return rc;
}

/* --- reading --- */

otd_rc otd_saves_list(struct otd_journal_ids *out, struct otd_env *e, const char *data_dir,
		      struct otd_err *err)
{
	char as_journal[PATH];
	*out = (struct otd_journal_ids){0};
	if (!folder(as_journal, data_dir))
		return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long", data_dir);
	return otd_journal_ids_all(out, e, as_journal, err);
}

bool otd_saves_read(struct otd_span file, uint64_t seq,
		    otd_rc (*each)(void *arg, const struct otd_save *s, struct otd_err *err),
		    void *arg, otd_rc *rc, struct otd_err *err)
{
	const uint8_t *p = file.ptr;
	size_t at = HEAD;
	*rc = OTD_OK;
	if (file.len < HEAD || memcmp(p, magic, sizeof(magic)) != 0 || otd_le_get(p + 8, 4) != 1 ||
	    otd_le_get(p + 28, 4) != otd_crc32c(0, p, 28) || otd_le_get(p + 16, 8) != seq ||
	    otd_le_get(p + 24, 4) != otd_crc32c(0, p + HEAD, file.len - HEAD))
		return false;
	for (uint64_t n = otd_le_get(p + 12, 4); n > 0; n--) {
		if (file.len - at < ITEM)
			return false;
		size_t pool = (size_t)otd_le_get(p + at, 2),
		       scheme = (size_t)otd_le_get(p + at + 2, 2);
		uint64_t state = otd_le_get(p + at + 8, 8);
		at += ITEM;
		if (file.len - at < pool + scheme || file.len - at - pool - scheme < state)
			return false;
		const struct otd_save s = {{p + at, pool},
					   {p + at + pool, scheme},
					   {p + at + pool + scheme, (size_t)state}};
		at += pool + scheme + (size_t)state;
		if (*rc == OTD_OK && each)
			*rc = each(arg, &s, err);
	}
	return at == file.len;
}

static otd_rc read_raw(struct otd_env *e, const char *path, uint8_t **out, size_t *n)
{
	const struct otd_files *f = e->files;
	struct otd_file *file = NULL;
	uint64_t length = 0;
	otd_rc rc = f->open(f->ctx, &file, path, OTD_OPEN_READ);
	if (rc == OTD_OK)
		rc = f->length(f->ctx, file, &length);
	if (rc == OTD_OK && length > SAVE_MAX)
		rc = OTD_E_CORRUPT;
	if (rc == OTD_OK) {
		*out = malloc((size_t)length + 1);
		rc = *out ? f->read(f->ctx, file, n, *out, (size_t)length, 0) : OTD_E_NOMEM;
	}
	f->close(f->ctx, file);
	return rc;
}

otd_rc otd_saves_get(struct otd_env *e, const char *data_dir, uint64_t seq,
		     otd_rc (*each)(void *arg, const struct otd_save *s, struct otd_err *err),
		     void *arg, struct otd_err *err)
{
	char as_journal[PATH], dir[PATH], path[PATH];
	uint8_t *p = NULL;
	size_t n = 0;
	otd_rc inner = OTD_OK;
	if (!folder(as_journal, data_dir) ||
	    !otd_journal_archive_dir(dir, sizeof(dir), as_journal) ||
	    !otd_journal_path(path, sizeof(path), dir, seq))
		return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long", data_dir);
	otd_rc rc = read_raw(e, path, &p, &n);
	if (rc == OTD_E_NOT_FOUND) {
		(void)snprintf(path, sizeof(path), "%.470s/%08llu" OTD_JOURNAL_PACKED, dir,
			       (unsigned long long)seq);
		rc = otd_archive_file_read(e, path, &p, &n, err);
	} else if (rc) {
		(void)otd_fail(err, rc, "archive: cannot read %s: %s", path,
			       e->files->last_error(e->files->ctx));
	}
	if (rc == OTD_OK && !otd_saves_read((struct otd_span){p, n}, seq, each, arg, &inner, err))
		rc = otd_fail(
			err, OTD_E_CORRUPT,
			"archive %s: it is no save of payout schemes, or damaged; restore the file "
			"from a copy, or remove it: the pool does not need it",
			path);
	else if (rc == OTD_OK)
		rc = inner;
	free(p);
	return rc;
}
