/* Files in memory for fuzz targets: a few names in one folder, whatever the folder's path is. */
#ifndef TESTS_FUZZ_MEMORY_H
#define TESTS_FUZZ_MEMORY_H

#include <otedama/files.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_FILES 4

struct memory_file {
	char name[64];
	uint8_t *data; /* malloc; exactly len bytes, so that the sanitizer sees a read past them */
	size_t len;
	bool used;
};

struct memory {
	struct otd_files table;
	struct memory_file file[MEMORY_FILES];
};

static const char *memory_base(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static struct memory_file *memory_find(struct memory *m, const char *path)
{
	for (int i = 0; i < MEMORY_FILES; i++) {
		if (m->file[i].used && strcmp(m->file[i].name, memory_base(path)) == 0)
			return &m->file[i];
	}
	return NULL;
}

static void memory_resize(struct memory_file *f, size_t len)
{
	uint8_t *to = malloc(len ? len : 1);
	if (!to)
		abort();
	if (f->data)
		memcpy(to, f->data, len < f->len ? len : f->len);
	if (len > f->len)
		memset(to + f->len, 0, len - f->len);
	free(f->data);
	f->data = to;
	f->len = len;
}

/* Makes or replaces a file. */
static void memory_put(struct memory *m, const char *name, const void *p, size_t n)
{
	struct memory_file *f = memory_find(m, name);
	for (int i = 0; !f && i < MEMORY_FILES; i++) {
		if (!m->file[i].used)
			f = &m->file[i];
	}
	if (!f || strlen(memory_base(name)) >= sizeof(f->name))
		abort();
	f->used = true;
	memcpy(f->name, memory_base(name), strlen(memory_base(name)) + 1);
	free(f->data);
	f->data = NULL;
	f->len = 0;
	memory_resize(f, n);
	if (n)
		memcpy(f->data, p, n);
}

static otd_rc memory_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	struct memory *m = ctx;
	struct memory_file *f = memory_find(m, path);
	if (!f && !(flags & OTD_OPEN_CREATE))
		return OTD_E_NOT_FOUND;
	if (!f) {
		memory_put(m, path, "", 0);
		f = memory_find(m, path);
	}
	*out = (struct otd_file *)(void *)f;
	return OTD_OK;
}

static void memory_close(void *ctx, struct otd_file *f)
{
	(void)ctx, (void)f;
}

static otd_rc memory_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n,
			  uint64_t at)
{
	const struct memory_file *mf = (void *)f;
	(void)ctx;
	*got = at >= mf->len ? 0 : mf->len - (size_t)at < n ? mf->len - (size_t)at : n;
	if (*got)
		memcpy(to, mf->data + at, *got);
	return OTD_OK;
}

static otd_rc memory_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	struct memory_file *mf = (void *)f;
	(void)ctx;
	if (at > 64u << 20)
		return OTD_E_NOMEM;
	if (at + n > mf->len)
		memory_resize(mf, (size_t)at + n);
	if (n)
		memcpy(mf->data + at, from, n);
	return OTD_OK;
}

static otd_rc memory_truncate(void *ctx, struct otd_file *f, uint64_t length)
{
	(void)ctx;
	if (length > 64u << 20)
		return OTD_E_NOMEM;
	memory_resize((struct memory_file *)(void *)f, (size_t)length);
	return OTD_OK;
}

static otd_rc memory_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	(void)ctx;
	*out = ((struct memory_file *)(void *)f)->len;
	return OTD_OK;
}

static otd_rc memory_sync(void *ctx, struct otd_file *f)
{
	(void)ctx, (void)f;
	return OTD_OK;
}

static otd_rc memory_reserve(void *ctx, struct otd_file *f, uint64_t length)
{
	(void)ctx, (void)f, (void)length;
	return OTD_OK;
}

static otd_rc memory_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	(void)ctx, (void)f, (void)exclusive;
	return OTD_OK;
}

static otd_rc memory_exists(void *ctx, const char *path, bool *out)
{
	*out = memory_find(ctx, path) != NULL;
	return OTD_OK;
}

static otd_rc memory_remove(void *ctx, const char *path)
{
	struct memory_file *f = memory_find(ctx, path);
	if (!f)
		return OTD_E_NOT_FOUND;
	free(f->data);
	memset(f, 0, sizeof(*f));
	return OTD_OK;
}

static otd_rc memory_rename(void *ctx, const char *from, const char *to)
{
	struct memory_file *f = memory_find(ctx, from);
	if (!f || strlen(memory_base(to)) >= sizeof(f->name))
		return OTD_E_NOT_FOUND;
	(void)memory_remove(ctx, to);
	memcpy(f->name, memory_base(to), strlen(memory_base(to)) + 1);
	return OTD_OK;
}

static otd_rc memory_folder(void *ctx, const char *path)
{
	(void)ctx, (void)path;
	return OTD_OK;
}

static otd_rc memory_list(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
			  void *arg)
{
	struct memory *m = ctx;
	(void)path;
	for (int i = 0; i < MEMORY_FILES; i++) {
		if (m->file[i].used && !each(arg, m->file[i].name))
			break;
	}
	return OTD_OK;
}

static otd_rc memory_free_bytes(void *ctx, const char *path, uint64_t *out)
{
	(void)ctx, (void)path;
	*out = 1u << 30;
	return OTD_OK;
}

static const char *memory_error(void *ctx)
{
	(void)ctx;
	return "the memory file failed";
}

static inline void memory_init(struct memory *m)
{
	memset(m, 0, sizeof(*m));
	m->table = (struct otd_files){
		.size = sizeof(m->table),
		.ctx = m,
		.open = memory_open,
		.close = memory_close,
		.read = memory_read,
		.write = memory_write,
		.sync = memory_sync,
		.truncate = memory_truncate,
		.length = memory_length,
		.reserve = memory_reserve,
		.lock = memory_lock,
		.unlock = memory_sync,
		.exists = memory_exists,
		.remove = memory_remove,
		.rename = memory_rename,
		.make_dir = memory_folder,
		.sync_dir = memory_folder,
		.list = memory_list,
		.free_bytes = memory_free_bytes,
		.last_error = memory_error,
	};
}

static inline void memory_finish(struct memory *m)
{
	for (int i = 0; i < MEMORY_FILES; i++)
		free(m->file[i].data);
}

#endif
