#include "pool/backup/copy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/journal/journal_window.h"

#define PATH_BYTES 1024
#define DEPTH_MAX  8
#define TRIES      10 /* of a journal whose segments are being released */

static otd_rc failed(const struct otd_files *f, otd_rc rc, struct otd_err *err)
{
	return otd_fail(err, rc, "%s", f->last_error(f->ctx));
}

static otd_rc join(char to[PATH_BYTES], const char *folder, const char *name, struct otd_err *err)
{
	int n = snprintf(to, PATH_BYTES, "%s/%s", folder, name);
	if (n < 0 || n >= PATH_BYTES)
		return otd_fail(err, OTD_E_RANGE, "%s/%s: the path is too long", folder, name);
	return OTD_OK;
}

static otd_rc copy_bytes(const struct otd_files *f, struct otd_file *from, struct otd_file *to,
			 uint64_t length, const struct otd_copy_watch *watch, struct otd_err *err)
{
	uint8_t *piece = malloc(OTD_COPY_PIECE);
	otd_rc rc = piece ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (uint64_t at = 0; rc == OTD_OK && at < length;) {
		size_t got = 0,
		       n = length - at < OTD_COPY_PIECE ? (size_t)(length - at) : OTD_COPY_PIECE;
		if (watch)
			rc = watch->piece(watch->arg, n, err);
		if (rc)
			break;
		rc = f->read(f->ctx, from, &got, piece, n, at);
		if (rc == OTD_OK && got < n)
			length = at + got; /* cut meanwhile */
		if (rc == OTD_OK)
			rc = f->write(f->ctx, to, piece, got, at);
		if (rc)
			failed(f, rc, err);
		at += got;
	}
	free(piece);
	return rc;
}

otd_rc otd_copy_file(const struct otd_files *f, const char *from, const char *to, uint64_t length,
		     const struct otd_copy_watch *watch, struct otd_err *err)
{
	struct otd_file *in = NULL, *out = NULL;
	uint64_t there = 0;
	otd_rc rc = f->open(f->ctx, &in, from, OTD_OPEN_READ);
	if (rc)
		return failed(f, rc, err);
	rc = f->length(f->ctx, in, &there);
	if (rc == OTD_OK)
		rc = f->open(f->ctx, &out, to,
			     OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_EXCLUSIVE);
	if (rc) {
		/* Not "not found" of the source: that one is there. */
		rc = failed(f, rc == OTD_E_NOT_FOUND ? OTD_E_IO : rc, err);
		goto out;
	}
	rc = copy_bytes(f, in, out, length < there ? length : there, watch, err);
	if (rc == OTD_OK && f->sync(f->ctx, out) != OTD_OK)
		rc = failed(f, OTD_E_IO, err);
out:
	f->close(f->ctx, in);
	f->close(f->ctx, out);
	return rc;
}

/* --- journals --- */

struct journal_copy {
	struct otd_env *e;
	const char *from, *to;
	const struct otd_copy_watch *watch;
	struct otd_journal_window w;
	bool any, gap;
	uint64_t next; /* the sequence that comes next */
};

/* Where the good frames of the segment end. */
static otd_rc good_end(struct journal_copy *c, uint64_t *end, uint64_t *expect, struct otd_err *err)
{
	struct otd_journal_window *w = &c->w;
	*expect = w->header.first;
	for (;;) {
		enum otd_journal_look look;
		struct otd_journal_frame fr;
		struct otd_span payload;
		otd_rc rc = otd_journal_window_look(w, &look, &fr, &payload, err);
		if (rc)
			return rc;
		bool context = fr.seq == w->header.first - 1 && *expect == w->header.first;
		if (look != OTD_JOURNAL_GOOD || (fr.seq != *expect && !context))
			break;
		*expect += !context;
		otd_journal_window_next(w, &fr);
	}
	*end = w->at;
	return OTD_OK;
}

static otd_rc copy_segment(struct journal_copy *c, uint64_t id, struct otd_err *err)
{
	char to[PATH_BYTES];
	uint64_t end = 0, expect = 0;
	otd_rc rc = otd_journal_window_open(&c->w, c->e, c->from, id, OTD_OPEN_READ, err);
	/* Without a header it was just begun, or never synced. */
	if (rc || !c->w.has_header)
		return rc;
	if (c->any && c->w.header.first > c->next) {
		/* A list that was read while segments came may lack one of those: made anew it does not. */
		c->gap = true;
		otd_fail(err, OTD_E_CORRUPT,
			 "journal %s: damaged, or sequences %llu to %llu are missing before it; "
			 "a backup of that would not start",
			 c->w.path, (unsigned long long)c->next,
			 (unsigned long long)c->w.header.first - 1);
		return OTD_E_STALE;
	}
	rc = good_end(c, &end, &expect, err);
	if (rc == OTD_OK && !otd_journal_path(to, sizeof(to), c->to, id))
		rc = otd_fail(err, OTD_E_RANGE, "journal %s: the path is too long", c->to);
	if (rc == OTD_OK)
		rc = otd_copy_file(c->e->files, c->w.path, to, end, c->watch, err);
	if (!c->any || expect > c->next)
		c->next = expect;
	c->any = true;
	return rc;
}

/* OTD_E_STALE: a segment has gone, or come, while the list was made or since. */
static otd_rc copy_segments(struct journal_copy *c, struct otd_err *err)
{
	struct otd_journal_ids ids;
	c->any = c->gap = false;
	c->next = 1;
	otd_rc rc = otd_journal_ids(&ids, c->e, c->from, err);
	if (rc)
		return rc;
	for (size_t i = 0; rc == OTD_OK && i < ids.n; i++) {
		rc = copy_segment(c, ids.id[i], err);
		if (rc == OTD_E_NOT_FOUND)
			rc = OTD_E_STALE;
	}
	otd_journal_ids_finish(&ids);
	return rc;
}

otd_rc otd_copy_journal(struct otd_env *e, const char *dir, const char *to, uint64_t durable,
			const struct otd_copy_watch *watch, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	struct journal_copy c = {.e = e, .from = dir, .to = to, .watch = watch};
	otd_rc rc = OTD_E_STALE;
	for (int i = 0; rc == OTD_E_STALE && i < TRIES; i++) {
		otd_remove_tree(f, to);
		rc = f->make_dir(f->ctx, to);
		rc = rc ? failed(f, rc, err) : copy_segments(&c, err);
	}
	otd_journal_window_finish(&c.w);
	if (rc == OTD_E_STALE)
		return c.gap ? OTD_E_CORRUPT
			     : otd_fail(err, OTD_E_BUSY,
					"journal %s: its files go faster than they can be copied",
					dir);
	if (rc == OTD_OK && c.any && c.next - 1 < durable)
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "journal %s: damaged: it can be read up to sequence %llu and was "
			      "durable up "
			      "to %llu",
			      dir, (unsigned long long)c.next - 1, (unsigned long long)durable);
	if (rc == OTD_OK && f->sync_dir(f->ctx, to) != OTD_OK)
		rc = failed(f, OTD_E_IO, err);
	return rc;
}

/* --- trees --- */

struct listing {
	char **name;
	size_t n, cap;
	bool failed;
};

static bool add_name(void *arg, const char *name)
{
	struct listing *l = arg;
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 32;
		char **more = realloc(l->name, cap * sizeof(*more));
		l->failed = l->failed || !more;
		if (!more)
			return false;
		l->name = more;
		l->cap = cap;
	}
	size_t n = strlen(name) + 1;
	char *copy = malloc(n);
	l->failed = !copy;
	if (!copy)
		return false;
	memcpy(copy, name, n);
	l->name[l->n++] = copy;
	return true;
}

static void listing_finish(struct listing *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->name[i]);
	free(l->name);
}

/* OTD_E_NOT_FOUND: no folder of that name. */
static otd_rc list(const struct otd_files *f, struct listing *l, const char *folder,
		   struct otd_err *err)
{
	*l = (struct listing){0};
	otd_rc rc = f->list(f->ctx, folder, add_name, l);
	if (rc)
		return failed(f, rc, err);
	return l->failed ? otd_fail(err, OTD_E_NOMEM, "out of memory") : OTD_OK;
}

struct walk {
	const struct otd_files *f;
	otd_walk_fn each;
	void *arg;
	size_t skip; /* bytes of the folder's name with its slash */
};

static otd_rc walk_file(struct walk *w, const char *path, struct otd_err *err)
{
	struct otd_file *file = NULL;
	uint64_t bytes = 0;
	otd_rc rc = w->f->open(w->f->ctx, &file, path, OTD_OPEN_READ);
	if (rc)
		return OTD_OK; /* a socket, or gone */
	rc = w->f->length(w->f->ctx, file, &bytes);
	w->f->close(w->f->ctx, file);
	return rc ? failed(w->f, rc, err) : w->each(w->arg, path + w->skip, bytes, err);
}

static otd_rc walk_folder(struct walk *w, const char *folder, int depth, struct otd_err *err)
{
	struct listing l;
	char path[PATH_BYTES];
	if (depth > DEPTH_MAX)
		return otd_fail(err, OTD_E_RANGE, "%s: folders in folders, too deep", folder);
	otd_rc rc = list(w->f, &l, folder, err);
	if (rc == OTD_E_NOT_FOUND && depth > 0)
		rc = walk_file(w, folder, err);
	for (size_t i = 0; rc == OTD_OK && i < l.n; i++) {
		rc = join(path, folder, l.name[i], err);
		if (rc == OTD_OK)
			rc = walk_folder(w, path, depth + 1, err);
	}
	listing_finish(&l);
	return rc;
}

otd_rc otd_walk(const struct otd_files *f, const char *folder, otd_walk_fn each, void *arg,
		struct otd_err *err)
{
	struct walk w = {f, each, arg, strlen(folder) + 1};
	return walk_folder(&w, folder, 0, err);
}

static otd_rc copy_folder(const struct otd_files *f, const char *from, const char *to, int depth,
			  const struct otd_copy_watch *watch, struct otd_err *err)
{
	struct listing l;
	char a[PATH_BYTES], b[PATH_BYTES];
	if (depth > DEPTH_MAX)
		return otd_fail(err, OTD_E_RANGE, "%s: folders in folders, too deep", from);
	otd_rc rc = list(f, &l, from, err);
	if (rc == OTD_OK)
		rc = f->make_dir(f->ctx, to) ? failed(f, OTD_E_IO, err) : OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < l.n; i++) {
		rc = join(a, from, l.name[i], err);
		if (rc == OTD_OK)
			rc = join(b, to, l.name[i], err);
		if (rc == OTD_OK)
			rc = copy_folder(f, a, b, depth + 1, watch, err);
		if (rc == OTD_E_NOT_FOUND)
			rc = otd_copy_file(f, a, b, UINT64_MAX, watch, err);
		if (rc == OTD_E_NOT_FOUND)
			rc = OTD_OK;
	}
	listing_finish(&l);
	if (rc == OTD_OK && f->sync_dir(f->ctx, to) != OTD_OK)
		rc = failed(f, OTD_E_IO, err);
	return rc;
}

otd_rc otd_copy_tree(const struct otd_files *f, const char *from, const char *to,
		     const struct otd_copy_watch *watch, struct otd_err *err)
{
	return copy_folder(f, from, to, 0, watch, err);
}

static void remove_folder(const struct otd_files *f, const char *folder, int depth)
{
	struct listing l;
	char path[PATH_BYTES];
	struct otd_err none = {0};
	if (depth <= DEPTH_MAX && list(f, &l, folder, &none) == OTD_OK) {
		for (size_t i = 0; i < l.n; i++) {
			if (join(path, folder, l.name[i], &none) == OTD_OK)
				remove_folder(f, path, depth + 1);
		}
		listing_finish(&l);
	}
	(void)f->remove(f->ctx, folder);
}

void otd_remove_tree(const struct otd_files *f, const char *folder)
{
	remove_folder(f, folder, 0);
}
