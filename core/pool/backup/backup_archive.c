#include "pool/backup/backup_archive.h"

#include <stdio.h>
#include <string.h>

#include "pool/journal/journal_format.h"

#define PATH_BYTES 1024
#define RAW        ".otj"

struct archive {
	struct otd_env *env;
	const char *from, *to; /* of the folder that is listed */
	const struct otd_copy_watch *watch;
	struct otd_err *err;
	otd_rc rc;
};

static otd_rc disk_error(const struct archive *a, otd_rc rc)
{
	const struct otd_files *f = a->env->files;
	return otd_fail(a->err, rc, "%s", f->last_error(f->ctx));
}

static otd_rc path_in(const struct archive *a, char to[PATH_BYTES], const char *folder,
		      const char *name)
{
	int n = snprintf(to, PATH_BYTES, "%s/%s", folder, name);
	if (n < 0 || n >= PATH_BYTES)
		return otd_fail(a->err, OTD_E_RANGE, "%s/%s: the path is too long", folder, name);
	return OTD_OK;
}

static otd_rc copy_one(const struct archive *a, const char *name)
{
	char from[PATH_BYTES], to[PATH_BYTES];
	otd_rc rc = path_in(a, from, a->from, name);
	if (rc == OTD_OK)
		rc = path_in(a, to, a->to, name);
	if (rc == OTD_OK)
		rc = otd_copy_file(a->env->files, from, to, UINT64_MAX, a->watch, a->err);
	return rc;
}

static bool copy_segment(void *arg, const char *name)
{
	struct archive *a = arg;
	const char *dot = strchr(name, '.');
	bool raw = dot && strcmp(dot, RAW) == 0;
	char packed[64];
	if (!raw && (!dot || strcmp(dot, OTD_JOURNAL_PACKED) != 0))
		return true;
	a->rc = copy_one(a, name);
	if (a->rc == OTD_E_NOT_FOUND && raw && strlen(name) < sizeof(packed)) {
		(void)snprintf(packed, sizeof(packed), "%.*s" OTD_JOURNAL_PACKED, (int)(dot - name),
			       name);
		a->rc = copy_one(a, packed);
	}
	/* Let go meanwhile; or taken already, in the place of the one that it was packed from. */
	if (a->rc == OTD_E_NOT_FOUND || a->rc == OTD_E_EXISTS)
		a->rc = OTD_OK;
	return a->rc == OTD_OK;
}

static bool copy_folder(void *arg, const char *name)
{
	struct archive *a = arg;
	const struct otd_files *f = a->env->files;
	char from[PATH_BYTES], to[PATH_BYTES];
	struct archive inner = *a;
	if (strchr(name, '.'))
		return true;
	inner.from = from;
	inner.to = to;
	a->rc = path_in(a, from, a->from, name);
	if (a->rc == OTD_OK)
		a->rc = path_in(a, to, a->to, name);
	if (a->rc == OTD_OK && f->make_dir(f->ctx, to) != OTD_OK)
		a->rc = disk_error(a, OTD_E_IO);
	if (a->rc)
		return false;
	otd_rc rc = f->list(f->ctx, from, copy_segment, &inner);
	a->rc = inner.rc;
	/* A folder whose last segment went is removed. */
	if (rc && rc != OTD_E_NOT_FOUND)
		a->rc = disk_error(a, rc);
	if (a->rc == OTD_OK && f->sync_dir(f->ctx, to) != OTD_OK)
		a->rc = disk_error(a, OTD_E_IO);
	return a->rc == OTD_OK;
}

otd_rc otd_backup_copy_archive(struct otd_env *e, const char *from, const char *to,
			       const struct otd_copy_watch *watch, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	struct archive a = {.env = e, .from = from, .to = to, .watch = watch, .err = err};
	bool there = false;
	if (f->exists(f->ctx, from, &there) != OTD_OK)
		return disk_error(&a, OTD_E_IO);
	if (!there)
		return OTD_OK;
	if (f->make_dir(f->ctx, to) != OTD_OK)
		return disk_error(&a, OTD_E_IO);
	otd_rc rc = f->list(f->ctx, from, copy_folder, &a);
	if (rc)
		return disk_error(&a, rc);
	if (a.rc == OTD_OK && f->sync_dir(f->ctx, to) != OTD_OK)
		a.rc = disk_error(&a, OTD_E_IO);
	return a.rc;
}
