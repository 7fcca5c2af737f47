/* Files in memory for plugins that are checked: nothing of a check reaches a disk. */
#include "app/check/plugin_check.h"

#include <stdlib.h>
#include <string.h>

#define NAME_MAX_BYTES 256
#define FILE_MAX_BYTES ((uint64_t)256 << 20)
#define ROOM           ((uint64_t)1 << 30)

struct stored {
	struct stored *next;
	char name[NAME_MAX_BYTES];
	uint8_t *p;
	size_t len, cap;
	unsigned opened;
	bool removed;           /* goes with its last handle */
	struct otd_file *owner; /* of the exclusive lock */
	unsigned shared;
};

struct otd_file {
	struct stored *of;
	bool shared; /* holds a shared lock */
};

struct disk {
	struct otd_files table;
	struct stored *first;
};

static struct stored *find(const struct disk *d, const char *name)
{
	for (struct stored *s = d->first; s; s = s->next) {
		if (!s->removed && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static void drop(struct disk *d, struct stored *s)
{
	for (struct stored **at = &d->first; *at; at = &(*at)->next) {
		if (*at == s) {
			*at = s->next;
			free(s->p);
			free(s);
			return;
		}
	}
}

static otd_rc make(struct disk *d, struct stored **out, const char *name)
{
	struct stored *s;
	size_t n = strlen(name);
	if (n == 0 || n >= NAME_MAX_BYTES || name[0] == '/')
		return OTD_E_INVALID;
	s = calloc(1, sizeof(*s));
	if (!s)
		return OTD_E_NOMEM;
	memcpy(s->name, name, n + 1);
	s->next = d->first;
	d->first = s;
	*out = s;
	return OTD_OK;
}

static otd_rc grow(struct stored *s, uint64_t n)
{
	if (n > FILE_MAX_BYTES)
		return OTD_E_NOMEM;
	if (n > s->cap) {
		size_t cap = s->cap ? s->cap : 4096;
		uint8_t *p;
		while (cap < n)
			cap *= 2;
		p = realloc(s->p, cap);
		if (!p)
			return OTD_E_NOMEM;
		s->p = p;
		s->cap = cap;
	}
	if (n > s->len) {
		memset(s->p + s->len, 0, (size_t)n - s->len);
		s->len = (size_t)n;
	}
	return OTD_OK;
}

static otd_rc mem_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	struct disk *d = ctx;
	struct stored *s = find(d, path);
	struct otd_file *f;
	otd_rc rc;
	*out = NULL;
	if (s && (flags & OTD_OPEN_CREATE) && (flags & OTD_OPEN_EXCLUSIVE))
		return OTD_E_EXISTS;
	if (!s && !(flags & OTD_OPEN_CREATE))
		return OTD_E_NOT_FOUND;
	f = calloc(1, sizeof(*f));
	if (!f)
		return OTD_E_NOMEM;
	rc = s ? OTD_OK : make(d, &s, path);
	if (rc) {
		free(f);
		return rc;
	}
	if (flags & OTD_OPEN_TRUNCATE)
		s->len = 0;
	s->opened++;
	f->of = s;
	*out = f;
	return OTD_OK;
}

static otd_rc mem_unlock(void *ctx, struct otd_file *f)
{
	(void)ctx;
	if (f->of->owner == f)
		f->of->owner = NULL;
	if (f->shared)
		f->of->shared--;
	f->shared = false;
	return OTD_OK;
}

static void mem_close(void *ctx, struct otd_file *f)
{
	if (!f)
		return;
	(void)mem_unlock(ctx, f);
	if (--f->of->opened == 0 && f->of->removed)
		drop(ctx, f->of);
	free(f);
}

static otd_rc mem_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	const struct stored *s = f->of;
	(void)ctx;
	*got = at >= s->len ? 0 : n < s->len - (size_t)at ? n : s->len - (size_t)at;
	if (*got)
		memcpy(to, s->p + at, *got);
	return OTD_OK;
}

static otd_rc mem_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	otd_rc rc = at > FILE_MAX_BYTES ? OTD_E_NOMEM : grow(f->of, at + n);
	(void)ctx;
	if (!rc && n)
		memcpy(f->of->p + at, from, n);
	return rc;
}

static otd_rc mem_sync(void *ctx, struct otd_file *f)
{
	(void)ctx;
	(void)f;
	return OTD_OK;
}

static otd_rc mem_truncate(void *ctx, struct otd_file *f, uint64_t length)
{
	(void)ctx;
	if (length >= f->of->len)
		return grow(f->of, length);
	f->of->len = (size_t)length;
	return OTD_OK;
}

static otd_rc mem_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	(void)ctx;
	*out = f->of->len;
	return OTD_OK;
}

static otd_rc mem_reserve(void *ctx, struct otd_file *f, uint64_t length)
{
	(void)ctx;
	return grow(f->of, length);
}

static otd_rc mem_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	struct stored *s = f->of;
	(void)ctx;
	if ((s->owner && s->owner != f) || (exclusive && s->shared > (f->shared ? 1u : 0u)))
		return OTD_E_BUSY;
	(void)mem_unlock(ctx, f);
	if (exclusive)
		s->owner = f;
	else
		s->shared++;
	f->shared = !exclusive;
	return OTD_OK;
}

static otd_rc mem_exists(void *ctx, const char *path, bool *out)
{
	*out = find(ctx, path) != NULL;
	return OTD_OK;
}

static otd_rc mem_remove(void *ctx, const char *path)
{
	struct disk *d = ctx;
	struct stored *s = find(d, path);
	if (!s)
		return OTD_E_NOT_FOUND;
	s->removed = true;
	if (!s->opened)
		drop(d, s);
	return OTD_OK;
}

static otd_rc mem_rename(void *ctx, const char *from, const char *to)
{
	struct disk *d = ctx;
	struct stored *s = find(d, from);
	size_t n = strlen(to);
	if (!s || n == 0 || n >= NAME_MAX_BYTES)
		return s ? OTD_E_INVALID : OTD_E_NOT_FOUND;
	if (strcmp(from, to) != 0) {
		(void)mem_remove(ctx, to);
		memcpy(s->name, to, n + 1);
	}
	return OTD_OK;
}

static otd_rc mem_dir(void *ctx, const char *path)
{
	(void)ctx;
	(void)path;
	return OTD_OK;
}

static otd_rc mem_list(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
		       void *arg)
{
	const struct disk *d = ctx;
	size_t n = strcmp(path, ".") == 0 ? 0 : strlen(path);
	const char *last = "";
	for (;;) {
		const char *next = NULL;
		for (const struct stored *s = d->first; s; s = s->next) {
			const char *name = s->name + (n ? n + 1 : 0);
			if (s->removed ||
			    (n && (strncmp(s->name, path, n) != 0 || s->name[n] != '/')))
				continue;
			if (!strchr(name, '/') && strcmp(name, last) > 0 &&
			    (!next || strcmp(name, next) < 0))
				next = name;
		}
		if (!next || !each(arg, next))
			return OTD_OK;
		last = next;
	}
}

static otd_rc mem_free_bytes(void *ctx, const char *path, uint64_t *out)
{
	(void)ctx;
	(void)path;
	*out = ROOM;
	return OTD_OK;
}

static const char *mem_last_error(void *ctx)
{
	(void)ctx;
	return "a file in memory, of the check";
}

struct otd_files *otd_pcheck_files_create(void)
{
	struct disk *d = calloc(1, sizeof(*d));
	if (!d)
		return NULL;
	d->table = (struct otd_files){.size = sizeof(d->table),
				      .ctx = d,
				      .open = mem_open,
				      .close = mem_close,
				      .read = mem_read,
				      .write = mem_write,
				      .sync = mem_sync,
				      .truncate = mem_truncate,
				      .length = mem_length,
				      .reserve = mem_reserve,
				      .lock = mem_lock,
				      .unlock = mem_unlock,
				      .exists = mem_exists,
				      .remove = mem_remove,
				      .rename = mem_rename,
				      .make_dir = mem_dir,
				      .sync_dir = mem_dir,
				      .list = mem_list,
				      .free_bytes = mem_free_bytes,
				      .last_error = mem_last_error};
	return &d->table;
}

void otd_pcheck_files_destroy(struct otd_files *f)
{
	struct disk *d = f ? f->ctx : NULL;
	if (!d)
		return;
	while (d->first)
		drop(d, d->first);
	free(d);
}
