/* A file table that cannot leave its folder by name. */
#include "loop/loop.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_CAP 4096

struct rooted {
	struct otd_files table; /* first: what callers hold */
	const struct otd_files *base;
	char folder[];
};

static _Thread_local char own_error[512];
static _Thread_local bool own;

static otd_rc refuse(const char *path, const char *why)
{
	snprintf(own_error, sizeof(own_error), "'%.200s': %s", path, why);
	own = true;
	return OTD_E_INVALID;
}

/* Whether one of its parts is "..". */
static bool climbs(const char *path)
{
	for (const char *p = path; p; p = strchr(p, '/')) {
		if (*p == '/')
			p++;
		if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || !p[2]))
			return true;
	}
	return false;
}

static otd_rc place(const struct rooted *r, char to[PATH_CAP], const char *path, bool folder_too)
{
	int n;
	own = false;
	if (path[0] == '/')
		return refuse(path, "the path must be relative to the folder of this instance");
	if (climbs(path))
		return refuse(path, "the path must not hold '..'");
	if (!*path && !folder_too)
		return refuse(path, "the path is empty");
	n = snprintf(to, PATH_CAP, "%s%s%s", r->folder, *path ? "/" : "", path);
	if (n < 0 || n >= PATH_CAP)
		return refuse(path, "the path is too long");
	return OTD_OK;
}

static otd_rc r_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	struct rooted *r = ctx;
	char full[PATH_CAP];
	*out = NULL;
	if (place(r, full, path, false))
		return OTD_E_INVALID;
	return r->base->open(r->base->ctx, out, full, flags);
}

#define BASE(r) ((own = false), (r)->base)

static void r_close(void *ctx, struct otd_file *f)
{
	struct rooted *r = ctx;
	BASE(r)->close(r->base->ctx, f);
}

static otd_rc r_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	struct rooted *r = ctx;
	return BASE(r)->read(r->base->ctx, f, got, to, n, at);
}

static otd_rc r_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	struct rooted *r = ctx;
	return BASE(r)->write(r->base->ctx, f, from, n, at);
}

static otd_rc r_sync(void *ctx, struct otd_file *f)
{
	struct rooted *r = ctx;
	return BASE(r)->sync(r->base->ctx, f);
}

static otd_rc r_truncate(void *ctx, struct otd_file *f, uint64_t length)
{
	struct rooted *r = ctx;
	return BASE(r)->truncate(r->base->ctx, f, length);
}

static otd_rc r_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	struct rooted *r = ctx;
	return BASE(r)->length(r->base->ctx, f, out);
}

static otd_rc r_reserve(void *ctx, struct otd_file *f, uint64_t length)
{
	struct rooted *r = ctx;
	return BASE(r)->reserve(r->base->ctx, f, length);
}

static otd_rc r_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	struct rooted *r = ctx;
	return BASE(r)->lock(r->base->ctx, f, exclusive);
}

static otd_rc r_unlock(void *ctx, struct otd_file *f)
{
	struct rooted *r = ctx;
	return BASE(r)->unlock(r->base->ctx, f);
}

static otd_rc r_exists(void *ctx, const char *path, bool *out)
{
	struct rooted *r = ctx;
	char full[PATH_CAP];
	*out = false;
	if (place(r, full, path, false))
		return OTD_E_INVALID;
	return r->base->exists(r->base->ctx, full, out);
}

static otd_rc r_remove(void *ctx, const char *path)
{
	struct rooted *r = ctx;
	char full[PATH_CAP];
	if (place(r, full, path, false))
		return OTD_E_INVALID;
	return r->base->remove(r->base->ctx, full);
}

static otd_rc r_rename(void *ctx, const char *from, const char *to)
{
	struct rooted *r = ctx;
	char full_from[PATH_CAP], full_to[PATH_CAP];
	if (place(r, full_from, from, false) || place(r, full_to, to, false))
		return OTD_E_INVALID;
	return r->base->rename(r->base->ctx, full_from, full_to);
}

static otd_rc r_make_dir(void *ctx, const char *path)
{
	struct rooted *r = ctx;
	char full[PATH_CAP];
	if (place(r, full, path, true))
		return OTD_E_INVALID;
	return r->base->make_dir(r->base->ctx, full);
}

static otd_rc r_sync_dir(void *ctx, const char *path)
{
	struct rooted *r = ctx;
	char full[PATH_CAP];
	if (place(r, full, path, true))
		return OTD_E_INVALID;
	return r->base->sync_dir(r->base->ctx, full);
}

static otd_rc r_list(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
		     void *arg)
{
	struct rooted *r = ctx;
	char full[PATH_CAP];
	if (place(r, full, path, true))
		return OTD_E_INVALID;
	return r->base->list(r->base->ctx, full, each, arg);
}

static otd_rc r_free_bytes(void *ctx, const char *path, uint64_t *out)
{
	struct rooted *r = ctx;
	char full[PATH_CAP];
	*out = 0;
	if (place(r, full, path, true))
		return OTD_E_INVALID;
	return r->base->free_bytes(r->base->ctx, full, out);
}

static const char *r_last_error(void *ctx)
{
	struct rooted *r = ctx;
	return own ? own_error : r->base->last_error(r->base->ctx);
}

otd_rc otd_files_rooted_create(struct otd_files **out, const struct otd_files *base,
			       const char *folder)
{
	size_t n = strlen(folder) + 1;
	struct rooted *r;
	*out = NULL;
	if (n < 2)
		return OTD_E_INVALID;
	r = calloc(1, sizeof(*r) + n);
	if (!r)
		return OTD_E_NOMEM;
	memcpy(r->folder, folder, n);
	r->base = base;
	r->table = (struct otd_files){
		.size = sizeof(r->table),
		.ctx = r,
		.open = r_open,
		.close = r_close,
		.read = r_read,
		.write = r_write,
		.sync = r_sync,
		.truncate = r_truncate,
		.length = r_length,
		.reserve = r_reserve,
		.lock = r_lock,
		.unlock = r_unlock,
		.exists = r_exists,
		.remove = r_remove,
		.rename = r_rename,
		.make_dir = r_make_dir,
		.sync_dir = r_sync_dir,
		.list = r_list,
		.free_bytes = r_free_bytes,
		.last_error = r_last_error,
	};
	*out = &r->table;
	return OTD_OK;
}

void otd_files_rooted_destroy(struct otd_files *f)
{
	free(f); /* the first member of what was made */
}
