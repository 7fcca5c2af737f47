/*
 * A disk that forgets. Every file has the bytes that a reader sees now and those that are durable;
 * between them lie the changes since the last sync. A crash keeps, drops or tears each of these,
 * sector by sector; so it does with names that no sync_dir() made durable. A sync that fails drops
 * its changes from what a later sync makes durable, as the kernel does, though readers still see
 * them.
 */
#include "sim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR 512

enum change_kind { WRITE, LENGTH };

struct change {
	struct change *next;
	enum change_kind kind;
	uint64_t at, n;
	uint8_t *bytes;
};

struct content {
	uint8_t *ptr;
	size_t len, cap;
};

struct inode {
	struct inode *next; /* of all */
	struct content now, durable;
	struct change *changes, **changes_end;
	bool dir, locked;
};

struct name {
	char *path;
	struct inode *inode;
};

struct names {
	struct name *name;
	size_t n, cap;
};

enum op_kind { ADD, REMOVE, RENAME };

struct name_op {
	struct name_op *next;
	enum op_kind kind;
	char *path, *to;
	struct inode *inode;
};

struct otd_file {
	struct inode *inode;
	char *path;
	bool writable, holds_lock;
};

struct disk {
	struct sim *sim;
	struct inode *inodes;
	struct names now, durable;
	struct name_op *ops, **ops_end; /* since the sync_dir of their folder */
	size_t open_files;
	uint64_t syncs;
	int64_t full_until_ms;
	struct sim_faults faults;
	struct sim_fired fired;
	char faults_path[64];
	sim_write_fn watch;
	uint64_t changes, fail_at;
	void *watch_arg;
	char error[640];
};

static char *copy(const char *s)
{
	char *c = sim_mem(strlen(s) + 1);
	memcpy(c, s, strlen(s) + 1);
	return c;
}

static otd_rc fail(struct disk *d, otd_rc rc, const char *why, const char *path)
{
	(void)snprintf(d->error, sizeof(d->error), "%s: %s (simulated)", path, why);
	return rc;
}

/* --- bytes --- */

static void resize(struct content *c, size_t n)
{
	if (n > c->cap) {
		c->cap = n * 2;
		c->ptr = sim_more(c->ptr, c->cap);
	}
	if (n > c->len)
		memset(c->ptr + c->len, 0, n - c->len);
	c->len = n;
}

static void put(struct content *c, uint64_t at, const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	if (at + n > c->len)
		resize(c, at + n);
	memcpy(c->ptr + at, p, n);
}

static void apply(struct content *c, const struct change *ch)
{
	if (ch->kind == WRITE)
		put(c, ch->at, ch->bytes, ch->n);
	else
		resize(c, ch->at);
}

/* Some sectors of it. */
static void apply_torn(struct sim *s, struct content *c, const struct change *ch)
{
	s->disk->fired.torn++;
	for (uint64_t at = ch->at; at < ch->at + ch->n;) {
		uint64_t n = SECTOR - at % SECTOR;
		if (n > ch->at + ch->n - at)
			n = ch->at + ch->n - at;
		if (sim_chance(s, 500000))
			put(c, at, ch->bytes + (at - ch->at), n);
		at += n;
	}
}

static void add_change(struct inode *i, enum change_kind kind, uint64_t at, const void *p, size_t n)
{
	struct change *c = sim_new(1, sizeof(*c));
	c->kind = kind;
	c->at = at;
	c->n = n;
	if (kind == WRITE) {
		c->bytes = sim_mem(n ? n : 1);
		if (n)
			memcpy(c->bytes, p, n);
	}
	*i->changes_end = c;
	i->changes_end = &c->next;
	apply(&i->now, c);
}

static void drop_changes(struct inode *i)
{
	while (i->changes) {
		struct change *c = i->changes;
		i->changes = c->next;
		free(c->bytes);
		free(c);
	}
	i->changes_end = &i->changes;
}

/* --- names --- */

static struct name *find(struct names *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->name[i].path, path) == 0)
			return &t->name[i];
	return NULL;
}

static void set_name(struct names *t, const char *path, struct inode *i)
{
	struct name *n = find(t, path);
	if (n) {
		n->inode = i;
		return;
	}
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 64;
		t->name = sim_more(t->name, t->cap * sizeof(*t->name));
	}
	t->name[t->n++] = (struct name){copy(path), i};
}

static void drop_name(struct names *t, const char *path)
{
	struct name *n = find(t, path);
	if (!n)
		return;
	free(n->path);
	*n = t->name[--t->n];
}

static bool in_folder(const char *path, const char *folder)
{
	size_t n = strlen(folder);
	if (strcmp(folder, ".") == 0)
		return !strchr(path, '/');
	return strncmp(path, folder, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

static void apply_op(struct names *t, const struct name_op *op)
{
	struct name *from;
	switch (op->kind) {
	case ADD: set_name(t, op->path, op->inode); break;
	case REMOVE: drop_name(t, op->path); break;
	case RENAME:
		from = find(t, op->path);
		if (from) {
			struct inode *i = from->inode;
			drop_name(t, op->path);
			set_name(t, op->to, i);
		}
		break;
	}
}

static void add_op(struct disk *d, enum op_kind kind, const char *path, const char *to,
		   struct inode *i)
{
	struct name_op *op = sim_new(1, sizeof(*op));
	op->kind = kind;
	op->path = copy(path);
	op->to = to ? copy(to) : NULL;
	op->inode = i;
	*d->ops_end = op;
	d->ops_end = &op->next;
	apply_op(&d->now, op);
}

static void free_op(struct name_op *op)
{
	free(op->path);
	free(op->to);
	free(op);
}

static struct inode *new_inode(struct disk *d, bool dir)
{
	struct inode *i = sim_new(1, sizeof(*i));
	i->changes_end = &i->changes;
	i->dir = dir;
	i->next = d->inodes;
	d->inodes = i;
	return i;
}

/* Paths with one slash between their parts and none at the end. */
static void clean(char *to, size_t cap, const char *path)
{
	size_t n = 0;
	while (path[0] == '.' && path[1] == '/')
		path += 2;
	for (; *path && n + 1 < cap; path++)
		if (*path != '/' || n == 0 || to[n - 1] != '/')
			to[n++] = *path;
	while (n > 1 && to[n - 1] == '/')
		n--;
	to[n] = '\0';
}

static bool folder_exists(struct names *t, const char *path)
{
	char parent[512];
	clean(parent, sizeof(parent), path);
	char *slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return true;
	*slash = '\0';
	struct name *n = find(t, parent);
	return n && n->inode->dir;
}

/* --- the service --- */

/* Before anything that changes the disk; false: the power is gone. */
static bool alive(struct disk *d, enum sim_point kind)
{
	if (++d->changes == d->fail_at) {
		(void)fail(d, OTD_E_IO, "input/output error", "disk");
		return false;
	}
	if (sim_point(d->sim, kind))
		return true;
	(void)fail(d, OTD_E_IO, "the power is gone", "disk");
	return false;
}

static bool faulty(struct disk *d, uint32_t ppm, uint64_t *fired, const char *path)
{
	if (ppm == 0 || (d->faults_path[0] && !strstr(path, d->faults_path)) ||
	    !sim_chance(d->sim, ppm))
		return false;
	++*fired;
	return true;
}

static bool full(struct disk *d)
{
	return sim_now_ms(d->sim) < d->full_until_ms;
}

static otd_rc no_room(struct disk *d, const char *path)
{
	d->fired.full++;
	return fail(d, OTD_E_NOMEM, "no space left", path);
}

static otd_rc f_open(void *ctx, struct otd_file **out, const char *raw, uint32_t flags)
{
	struct disk *d = ctx;
	char path[512];
	clean(path, sizeof(path), raw);
	struct name *n = find(&d->now, path);
	*out = NULL;
	if (n && n->inode->dir)
		return fail(d, OTD_E_IO, "is a folder", path);
	if (n && (flags & OTD_OPEN_CREATE) && (flags & OTD_OPEN_EXCLUSIVE))
		return fail(d, OTD_E_EXISTS, "file exists", path);
	if (!n) {
		if (!(flags & OTD_OPEN_CREATE) || !folder_exists(&d->now, path))
			return fail(d, OTD_E_NOT_FOUND, "no such file", path);
		if (!alive(d, SIM_POINT_NAME))
			return OTD_E_IO;
		if (full(d))
			return no_room(d, path);
		add_op(d, ADD, path, NULL, new_inode(d, false));
		n = find(&d->now, path);
	} else if (flags & OTD_OPEN_TRUNCATE) {
		if (!alive(d, SIM_POINT_WRITE))
			return OTD_E_IO;
		add_change(n->inode, LENGTH, 0, NULL, 0);
	}
	struct otd_file *f = sim_new(1, sizeof(*f));
	f->inode = n->inode;
	f->path = copy(path);
	f->writable = (flags & OTD_OPEN_WRITE) != 0;
	d->open_files++;
	*out = f;
	return OTD_OK;
}

static void f_close(void *ctx, struct otd_file *f)
{
	struct disk *d = ctx;
	if (!f)
		return;
	if (f->holds_lock)
		f->inode->locked = false;
	d->open_files--;
	free(f->path);
	free(f);
}

static otd_rc f_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	(void)ctx;
	const struct content *c = &f->inode->now;
	*got = at >= c->len ? 0 : c->len - at < n ? c->len - at : n;
	if (*got)
		memcpy(to, c->ptr + at, *got);
	return OTD_OK;
}

static otd_rc f_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	struct disk *d = ctx;
	bool was_dead = d->sim->dead;
	if (d->watch && !was_dead)
		d->watch(d->watch_arg, f->path, at, from, n);
	if (!f->writable)
		return fail(d, OTD_E_IO, "not open for writing", f->path);
	if (!alive(d, SIM_POINT_WRITE)) {
		/* The power goes while it is written: the crash decides about it too. */
		if (!was_dead && d->sim->dead && n)
			add_change(f->inode, WRITE, at, from, n);
		return OTD_E_IO;
	}
	if (full(d) && at + n > f->inode->now.len)
		return no_room(d, f->path);
	if (faulty(d, d->faults.write_ppm, &d->fired.write, f->path)) {
		if (n)
			add_change(f->inode, WRITE, at, from, sim_below(d->sim, n));
		return fail(d, OTD_E_IO, "input/output error", f->path);
	}
	if (n) {
		sim_note(d->sim, from, n);
		add_change(f->inode, WRITE, at, from, n);
	}
	return OTD_OK;
}

/* What a crash or a failed sync kept of a file's changes is durable, the rest never will be. */
static void settle(struct sim *s, struct inode *i)
{
	for (struct change *c = i->changes; c; c = c->next) {
		uint64_t fate = sim_below(s, 3);
		if (fate == 1)
			apply(&i->durable, c);
		else if (fate == 2 && c->kind == WRITE)
			apply_torn(s, &i->durable, c);
	}
	drop_changes(i);
}

static otd_rc f_sync(void *ctx, struct otd_file *f)
{
	struct disk *d = ctx;
	struct inode *i = f->inode;
	if (!alive(d, SIM_POINT_SYNC))
		return OTD_E_IO;
	d->syncs++;
	if (faulty(d, d->faults.sync_ppm, &d->fired.sync, f->path)) {
		settle(d->sim, i);
		return fail(d, OTD_E_IO, "input/output error at sync", f->path);
	}
	for (struct change *c = i->changes; c; c = c->next)
		apply(&i->durable, c);
	drop_changes(i);
	return OTD_OK;
}

static otd_rc f_truncate(void *ctx, struct otd_file *f, uint64_t length)
{
	struct disk *d = ctx;
	if (!alive(d, SIM_POINT_WRITE))
		return OTD_E_IO;
	if (full(d) && length > f->inode->now.len)
		return no_room(d, f->path);
	add_change(f->inode, LENGTH, length, NULL, 0);
	return OTD_OK;
}

static otd_rc f_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	(void)ctx;
	*out = f->inode->now.len;
	return OTD_OK;
}

static otd_rc f_reserve(void *ctx, struct otd_file *f, uint64_t length)
{
	return length > f->inode->now.len ? f_truncate(ctx, f, length) : OTD_OK;
}

static otd_rc f_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	(void)exclusive;
	if (f->inode->locked && !f->holds_lock)
		return fail(ctx, OTD_E_BUSY, "locked", f->path);
	f->inode->locked = f->holds_lock = true;
	return OTD_OK;
}

static otd_rc f_unlock(void *ctx, struct otd_file *f)
{
	(void)ctx;
	if (f->holds_lock)
		f->inode->locked = f->holds_lock = false;
	return OTD_OK;
}

static otd_rc f_exists(void *ctx, const char *raw, bool *out)
{
	struct disk *d = ctx;
	char path[512];
	clean(path, sizeof(path), raw);
	*out = find(&d->now, path) != NULL;
	return OTD_OK;
}

static otd_rc f_remove(void *ctx, const char *raw)
{
	struct disk *d = ctx;
	char path[512];
	clean(path, sizeof(path), raw);
	if (!find(&d->now, path))
		return fail(d, OTD_E_NOT_FOUND, "no such file", path);
	for (size_t i = 0; i < d->now.n; i++)
		if (in_folder(d->now.name[i].path, path))
			return fail(d, OTD_E_IO, "folder not empty", path);
	if (!alive(d, SIM_POINT_NAME))
		return OTD_E_IO;
	add_op(d, REMOVE, path, NULL, NULL);
	return OTD_OK;
}

static otd_rc f_rename(void *ctx, const char *raw_from, const char *raw_to)
{
	struct disk *d = ctx;
	char from[512], to[512];
	clean(from, sizeof(from), raw_from);
	clean(to, sizeof(to), raw_to);
	if (!find(&d->now, from))
		return fail(d, OTD_E_NOT_FOUND, "no such file", from);
	if (!alive(d, SIM_POINT_NAME))
		return OTD_E_IO;
	add_op(d, RENAME, from, to, NULL);
	return OTD_OK;
}

static otd_rc f_make_dir(void *ctx, const char *raw)
{
	struct disk *d = ctx;
	char path[512];
	clean(path, sizeof(path), raw);
	if (find(&d->now, path))
		return OTD_OK;
	if (!folder_exists(&d->now, path))
		return fail(d, OTD_E_NOT_FOUND, "no such folder", path);
	if (!alive(d, SIM_POINT_NAME))
		return OTD_E_IO;
	if (full(d))
		return no_room(d, path);
	add_op(d, ADD, path, NULL, new_inode(d, true));
	return OTD_OK;
}

static otd_rc f_sync_dir(void *ctx, const char *raw)
{
	struct disk *d = ctx;
	char path[512];
	clean(path, sizeof(path), raw);
	if (!alive(d, SIM_POINT_SYNC))
		return OTD_E_IO;
	if (faulty(d, d->faults.sync_ppm, &d->fired.sync, path))
		return fail(d, OTD_E_IO, "input/output error at sync", path);
	for (struct name_op **at = &d->ops; *at;) {
		struct name_op *op = *at;
		if (!in_folder(op->path, path) && !(op->to && in_folder(op->to, path))) {
			at = &op->next;
			continue;
		}
		apply_op(&d->durable, op);
		*at = op->next;
		free_op(op);
	}
	d->ops_end = &d->ops;
	while (*d->ops_end)
		d->ops_end = &(*d->ops_end)->next;
	return OTD_OK;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static otd_rc f_list(void *ctx, const char *raw, bool (*each)(void *arg, const char *name),
		     void *arg)
{
	struct disk *d = ctx;
	char path[512];
	clean(path, sizeof(path), raw);
	struct name *dir = find(&d->now, path);
	if (!dir || !dir->inode->dir)
		return fail(d, OTD_E_NOT_FOUND, "no such folder", path);
	char **all = sim_new(d->now.n + 1, sizeof(*all));
	size_t n = 0;
	for (size_t i = 0; i < d->now.n; i++)
		if (in_folder(d->now.name[i].path, path))
			all[n++] = copy(d->now.name[i].path + strlen(path) + 1);
	qsort(all, n, sizeof(*all), by_text);
	bool on = true;
	for (size_t i = 0; i < n; i++) {
		on = on && each(arg, all[i]);
		free(all[i]);
	}
	free(all);
	return OTD_OK;
}

static otd_rc f_free_bytes(void *ctx, const char *path, uint64_t *out)
{
	(void)path;
	*out = full(ctx) ? 0 : 1ULL << 40;
	return OTD_OK;
}

static const char *f_last_error(void *ctx)
{
	return ((struct disk *)ctx)->error;
}

void disk_table(struct disk *d, struct otd_files *to)
{
	*to = (struct otd_files){
		.size = sizeof(*to),
		.ctx = d,
		.open = f_open,
		.close = f_close,
		.read = f_read,
		.write = f_write,
		.sync = f_sync,
		.truncate = f_truncate,
		.length = f_length,
		.reserve = f_reserve,
		.lock = f_lock,
		.unlock = f_unlock,
		.exists = f_exists,
		.remove = f_remove,
		.rename = f_rename,
		.make_dir = f_make_dir,
		.sync_dir = f_sync_dir,
		.list = f_list,
		.free_bytes = f_free_bytes,
		.last_error = f_last_error,
	};
}

struct disk *disk_create(struct sim *s)
{
	struct disk *d = sim_new(1, sizeof(*d));
	d->sim = s;
	d->ops_end = &d->ops;
	return d;
}

static void finish_names(struct names *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->name[i].path);
	free(t->name);
	*t = (struct names){0};
}

void disk_destroy(struct disk *d)
{
	while (d->inodes) {
		struct inode *i = d->inodes;
		d->inodes = i->next;
		drop_changes(i);
		free(i->now.ptr);
		free(i->durable.ptr);
		free(i);
	}
	while (d->ops) {
		struct name_op *op = d->ops;
		d->ops = op->next;
		free_op(op);
	}
	finish_names(&d->now);
	finish_names(&d->durable);
	free(d);
}

size_t disk_open_files(struct disk *d)
{
	return d->open_files;
}

static void forget(struct sim *s, struct inode *i)
{
	settle(s, i);
	i->now.len = 0;
	resize(&i->now, i->durable.len);
	if (i->durable.len)
		memcpy(i->now.ptr, i->durable.ptr, i->durable.len);
	i->locked = false;
}

void disk_reboot(struct disk *d)
{
	struct sim *s = d->sim;
	for (struct inode *i = d->inodes; i; i = i->next)
		forget(s, i);
	while (d->ops) {
		struct name_op *op = d->ops;
		d->ops = op->next;
		if (sim_chance(s, 500000))
			apply_op(&d->durable, op);
		free_op(op);
	}
	d->ops_end = &d->ops;
	for (bool again = true; again;) {
		again = false;
		for (size_t i = 0; i < d->durable.n; i++)
			if (!folder_exists(&d->durable, d->durable.name[i].path)) {
				drop_name(&d->durable, d->durable.name[i].path);
				again = true;
				break;
			}
	}
	finish_names(&d->now);
	for (size_t i = 0; i < d->durable.n; i++)
		set_name(&d->now, d->durable.name[i].path, d->durable.name[i].inode);
	d->full_until_ms = 0;
}

void sim_faults(struct sim *s, const struct sim_faults *f)
{
	s->disk->faults = *f;
	(void)snprintf(s->disk->faults_path, sizeof(s->disk->faults_path), "%s",
		       f->path ? f->path : "");
}

void sim_disk_full(struct sim *s, int64_t ms)
{
	s->disk->full_until_ms = sim_now_ms(s) + ms;
}

void sim_disk_fired(struct sim *s, struct sim_fired *out)
{
	*out = s->disk->fired;
}

void sim_watch_writes(struct sim *s, sim_write_fn fn, void *arg)
{
	s->disk->watch = fn;
	s->disk->watch_arg = arg;
}

void sim_flip(struct sim *s, const char *path, uint64_t bit)
{
	struct name *f = find(&s->disk->now, path);
	if (!f || f->inode->dir || bit / 8 >= f->inode->durable.len || bit / 8 >= f->inode->now.len)
		return;
	f->inode->durable.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
	f->inode->now.ptr[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

uint64_t sim_disk_changes(struct sim *s)
{
	return s->disk->changes;
}

void sim_disk_fail_at(struct sim *s, uint64_t n)
{
	s->disk->fail_at = n;
}

uint64_t sim_syncs(struct sim *s)
{
	return s->disk->syncs;
}

uint8_t *sim_file(struct sim *s, const char *path, size_t *n)
{
	struct name *f = find(&s->disk->now, path);
	if (!f || f->inode->dir)
		return NULL;
	*n = f->inode->now.len;
	return f->inode->now.ptr;
}

void sim_list(struct sim *s, void (*each)(void *arg, const char *path, size_t n), void *arg)
{
	for (size_t i = 0; i < s->disk->now.n; i++)
		each(arg, s->disk->now.name[i].path, s->disk->now.name[i].inode->now.len);
}
