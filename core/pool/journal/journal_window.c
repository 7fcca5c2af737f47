#include "pool/journal/journal_window.h"

#include "pool/journal/archive_file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES (256u * 1024)

static otd_rc read_error(struct otd_journal_window *w, otd_rc rc, struct otd_err *err)
{
	const struct otd_files *f = w->env->files;
	return otd_fail(err, rc, "journal: cannot read %s: %s", w->path, f->last_error(f->ctx));
}

void otd_journal_window_finish(struct otd_journal_window *w)
{
	if (w->env)
		w->env->files->close(w->env->files->ctx, w->file);
	free(w->buf);
	free(w->whole);
	*w = (struct otd_journal_window){0};
}

/* Makes the buffer hold at least want bytes from w->at on, or what there is. */
static otd_rc fill(struct otd_journal_window *w, size_t want, struct otd_err *err)
{
	const struct otd_files *f = w->env->files;
	size_t cap = want > WINDOW_BYTES ? want : WINDOW_BYTES;
	if (cap > w->cap) {
		uint8_t *more = realloc(w->buf, cap);
		if (!more)
			return otd_fail(err, OTD_E_NOMEM, "journal: out of memory");
		w->buf = more;
		w->cap = cap;
	}
	w->len = 0;
	w->base = w->at;
	if (w->whole) {
		size_t skip = w->at < w->whole_len ? (size_t)w->at : w->whole_len;
		w->len = w->whole_len - skip < cap ? w->whole_len - skip : cap;
		if (w->len)
			memcpy(w->buf, w->whole + skip, w->len);
		return OTD_OK;
	}
	otd_rc rc = f->read(f->ctx, w->file, &w->len, w->buf, cap, w->at);
	if (rc) {
		w->len = 0;
		return read_error(w, rc, err);
	}
	return OTD_OK;
}

/* Of another segment than before, or of none. */
static void begin(struct otd_journal_window *w, struct otd_env *e, uint64_t id)
{
	if (w->env)
		w->env->files->close(w->env->files->ctx, w->file);
	free(w->whole);
	w->whole = NULL;
	w->env = e;
	w->file = NULL;
	w->id = id;
	w->at = w->base = 0;
	w->len = 0;
	w->has_header = false;
}

static otd_rc read_header(struct otd_journal_window *w, struct otd_err *err)
{
	otd_rc rc = fill(w, OTD_JOURNAL_HEADER, err);
	if (rc)
		return rc;
	if (w->len >= OTD_JOURNAL_HEADER)
		w->has_header = otd_journal_header_get(&w->header, w->buf, w->id);
	w->at = OTD_JOURNAL_HEADER;
	return OTD_OK;
}

otd_rc otd_journal_window_open(struct otd_journal_window *w, struct otd_env *e, const char *dir,
			       uint64_t id, uint32_t flags, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	begin(w, e, id);
	if (!otd_journal_path(w->path, sizeof(w->path), dir, id))
		return otd_fail(err, OTD_E_RANGE, "journal %s: the path is too long", dir);
	otd_rc rc = f->open(f->ctx, &w->file, w->path, flags);
	return rc ? read_error(w, rc, err) : read_header(w, err);
}

otd_rc otd_journal_window_open_any(struct otd_journal_window *w, struct otd_env *e, const char *dir,
				   uint64_t id, struct otd_err *err)
{
	char archive[512];
	otd_rc rc = otd_journal_window_open(w, e, dir, id, OTD_OPEN_READ, err);
	if (rc != OTD_E_NOT_FOUND || !otd_journal_archive_dir(archive, sizeof(archive), dir))
		return rc;
	/* On its way: moved first, packed later. */
	rc = otd_journal_window_open(w, e, archive, id, OTD_OPEN_READ, err);
	if (rc != OTD_E_NOT_FOUND)
		return rc;
	begin(w, e, id);
	int n = snprintf(w->path, sizeof(w->path), "%s/%08llu" OTD_JOURNAL_PACKED, archive,
			 (unsigned long long)id);
	if (n < 0 || (size_t)n >= sizeof(w->path))
		return otd_fail(err, OTD_E_RANGE, "journal %s: the path is too long", dir);
	rc = otd_archive_file_read(e, w->path, &w->whole, &w->whole_len, err);
	return rc ? rc : read_header(w, err);
}

otd_rc otd_journal_window_length(struct otd_journal_window *w, uint64_t *length,
				 struct otd_err *err)
{
	const struct otd_files *f = w->env->files;
	*length = w->whole_len;
	if (w->whole)
		return OTD_OK;
	otd_rc rc = f->length(f->ctx, w->file, length);
	return rc ? read_error(w, rc, err) : OTD_OK;
}

otd_rc otd_journal_window_look(struct otd_journal_window *w, enum otd_journal_look *look,
			       struct otd_journal_frame *f, struct otd_span *payload,
			       struct otd_err *err)
{
	size_t need = OTD_JOURNAL_FRAME;
	bool fresh = false;
	for (;;) {
		size_t skip = (size_t)(w->at - w->base);
		if (w->at >= w->base && skip <= w->len) {
			const uint8_t *p = w->buf + skip;
			*look = otd_journal_frame_get(f, &need, p, w->len - skip, w->id);
			if (*look == OTD_JOURNAL_GOOD) {
				*payload = (struct otd_span){p + OTD_JOURNAL_FRAME, f->n};
				return OTD_OK;
			}
			/* A second SHORT after a read that was long enough is the file's end. */
			if (fresh && (*look != OTD_JOURNAL_SHORT || w->len < need)) {
				if (*look == OTD_JOURNAL_SHORT)
					*look = OTD_JOURNAL_BAD;
				return OTD_OK;
			}
		}
		otd_rc rc = fill(w, need, err);
		if (rc)
			return rc;
		fresh = true;
	}
}

void otd_journal_window_next(struct otd_journal_window *w, const struct otd_journal_frame *f)
{
	w->at += OTD_JOURNAL_FRAME + f->n;
}
