/* A folder shown as the root of a file service. */
#include "base/bytes.h"
#include "plugin/plugin.h"
#include <stdlib.h>
#include <string.h>

#define MAX_PATH 4096u

struct otd_files_root {
	struct otd_files table;
	const struct otd_files *base;
	char *folder;
};

static _Thread_local const char *refused; /* why the last call did not get as far as base */

static bool path_ok(const char *path)
{
	if (path[0] == '/')
		return false;
	for (const char *p = path; *p; p++) {
		bool start = p == path || p[-1] == '/';
		if (start && p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == 0))
			return false;
	}
	return true;
}

/* "" and "." are the folder itself. */
static otd_rc full_path(char out[MAX_PATH], const struct otd_files_root *r, const char *path)
{
	size_t folder = strlen(r->folder), n;
	refused = NULL;
	if (!path || !path_ok(path)) {
		refused = "the path leaves the folder of this instance";
		return OTD_E_INVALID;
	}
	n = strlen(path);
	if (folder + 1 + n >= MAX_PATH) {
		refused = "the path is too long";
		return OTD_E_RANGE;
	}
	memcpy(out, r->folder, folder);
	out[folder] = n ? '/' : 0;
	memcpy(out + folder + (n ? 1 : 0), path, n + 1);
	return OTD_OK;
}

static otd_rc root_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	const struct otd_files_root *r = ctx;
	char full[MAX_PATH];
	otd_rc rc = full_path(full, r, path);
	return rc ? rc : r->base->open(r->base->ctx, out, full, flags);
}

static void root_close(void *ctx, struct otd_file *f)
{
	const struct otd_files_root *r = ctx;
	r->base->close(r->base->ctx, f);
}

static otd_rc root_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->read(r->base->ctx, f, got, to, n, at);
}

static otd_rc root_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->write(r->base->ctx, f, from, n, at);
}

static otd_rc root_sync(void *ctx, struct otd_file *f)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->sync(r->base->ctx, f);
}

static otd_rc root_truncate(void *ctx, struct otd_file *f, uint64_t length)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->truncate(r->base->ctx, f, length);
}

static otd_rc root_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->length(r->base->ctx, f, out);
}

static otd_rc root_reserve(void *ctx, struct otd_file *f, uint64_t length)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->reserve(r->base->ctx, f, length);
}

static otd_rc root_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->lock(r->base->ctx, f, exclusive);
}

static otd_rc root_unlock(void *ctx, struct otd_file *f)
{
	const struct otd_files_root *r = ctx;
	refused = NULL;
	return r->base->unlock(r->base->ctx, f);
}

static otd_rc root_exists(void *ctx, const char *path, bool *out)
{
	const struct otd_files_root *r = ctx;
	char full[MAX_PATH];
	otd_rc rc = full_path(full, r, path);
	return rc ? rc : r->base->exists(r->base->ctx, full, out);
}

static otd_rc root_remove(void *ctx, const char *path)
{
	const struct otd_files_root *r = ctx;
	char full[MAX_PATH];
	otd_rc rc = full_path(full, r, path);
	return rc ? rc : r->base->remove(r->base->ctx, full);
}

static otd_rc root_rename(void *ctx, const char *from, const char *to)
{
	const struct otd_files_root *r = ctx;
	char full_from[MAX_PATH], full_to[MAX_PATH];
	otd_rc rc = full_path(full_from, r, from);
	if (!rc)
		rc = full_path(full_to, r, to);
	return rc ? rc : r->base->rename(r->base->ctx, full_from, full_to);
}

static otd_rc root_make_dir(void *ctx, const char *path)
{
	const struct otd_files_root *r = ctx;
	char full[MAX_PATH];
	otd_rc rc = full_path(full, r, path);
	return rc ? rc : r->base->make_dir(r->base->ctx, full);
}

static otd_rc root_sync_dir(void *ctx, const char *path)
{
	const struct otd_files_root *r = ctx;
	char full[MAX_PATH];
	otd_rc rc = full_path(full, r, path);
	return rc ? rc : r->base->sync_dir(r->base->ctx, full);
}

static otd_rc root_list(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
			void *arg)
{
	const struct otd_files_root *r = ctx;
	char full[MAX_PATH];
	otd_rc rc = full_path(full, r, path);
	return rc ? rc : r->base->list(r->base->ctx, full, each, arg);
}

static otd_rc root_free_bytes(void *ctx, const char *path, uint64_t *out)
{
	const struct otd_files_root *r = ctx;
	char full[MAX_PATH];
	otd_rc rc = full_path(full, r, path);
	return rc ? rc : r->base->free_bytes(r->base->ctx, full, out);
}

static const char *root_last_error(void *ctx)
{
	const struct otd_files_root *r = ctx;
	return refused ? refused : r->base->last_error(r->base->ctx);
}

otd_rc otd_files_root_create(struct otd_files_root **out, const struct otd_files *base,
			     const char *folder, struct otd_err *err)
{
	struct otd_files_root *r = calloc(1, sizeof(*r));
	otd_rc rc = OTD_OK;
	*out = NULL;
	if (!r || !(r->folder = strdup(folder))) {
		rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory", folder);
		goto out;
	}
	r->base = base;
	r->table = (struct otd_files){sizeof(r->table),
				      0,
				      r,
				      root_open,
				      root_close,
				      root_read,
				      root_write,
				      root_sync,
				      root_truncate,
				      root_length,
				      root_reserve,
				      root_lock,
				      root_unlock,
				      root_exists,
				      root_remove,
				      root_rename,
				      root_make_dir,
				      root_sync_dir,
				      root_list,
				      root_free_bytes,
				      root_last_error};
	rc = base->make_dir(base->ctx, folder);
	if (rc)
		rc = otd_fail(err, rc, "%s: %s", folder, base->last_error(base->ctx));
out:
	if (rc)
		otd_files_root_destroy(r);
	else
		*out = r;
	return rc;
}

void otd_files_root_destroy(struct otd_files_root *r)
{
	if (r)
		free(r->folder);
	free(r);
}

const struct otd_files *otd_files_root_table(const struct otd_files_root *r)
{
	return &r->table;
}
