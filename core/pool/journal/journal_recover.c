/*
 * What a crash left of a journal. A group commit is written only after the one before it was
 * synced: whatever a crash did to the last group was never acknowledged and is cut off; damage with
 * good frames of a later group behind it is corruption, and nobody goes on over it. What is kept of
 * the last group is written again before the sync: where a sync had failed over it and then the
 * process died, it may be in the kernel's memory only, and another sync alone would not see it.
 */
#include "base/log.h"
#include "pool/journal/journal.h"
#include "pool/journal/journal_check.h"
#include "pool/journal/journal_window.h"
#include <string.h>

struct scan {
	struct otd_env *env;
	const char *dir;
	struct otd_journal_report *report; /* not NULL: nothing is written, only looked at */
	otd_journal_each_fn each;          /* or NULL */
	void *arg;
	struct otd_journal_range range;
	bool any;      /* a segment with a header was seen */
	uint64_t next; /* the sequence that must come */
	/* of the segment looked at last */
	uint64_t end, length;
	uint64_t group_at; /* where its last group begins; the header is of the first one */
	uint16_t group;    /* to which a frame at end would belong */
	bool reserved;     /* at end stand the zeros of room that was reserved, or nothing */
	bool useless;      /* all that it holds, and more, stands in those before it */
	bool good_behind;
	uint64_t behind_at, behind_first, behind_last;
};

static const char *io_text(struct otd_env *e)
{
	return e->files->last_error(e->files->ctx);
}

/* Whether anything good stands behind the bad place that a torn group does not explain. */
static otd_rc look_behind(struct scan *s, struct otd_journal_window *w, struct otd_err *err)
{
	s->good_behind = false;
	uint64_t start = w->at;
	for (uint64_t at = start + 1; at + OTD_JOURNAL_FRAME <= s->length; at++) {
		enum otd_journal_look look;
		struct otd_journal_frame f;
		struct otd_span payload;
		size_t need, skip = (size_t)(at - w->base);
		w->at = at;
		/* Most places are ruled out on bytes that are in memory already. */
		if (at >= w->base && skip + 4 <= w->len) {
			look = otd_journal_frame_get(&f, &need, w->buf + skip, w->len - skip,
						     w->id);
			if (look == OTD_JOURNAL_BAD || look == OTD_JOURNAL_END)
				continue;
			if (at + need > s->length)
				continue;
		}
		otd_rc rc = otd_journal_window_look(w, &look, &f, &payload, err);
		if (rc)
			return rc;
		if (look != OTD_JOURNAL_GOOD || (f.group & OTD_JOURNAL_GROUP_MASK) == s->group)
			continue;
		if (!s->good_behind) {
			s->behind_at = at;
			s->behind_first = f.seq;
		}
		s->good_behind = true;
		s->behind_last = f.seq;
		at += OTD_JOURNAL_FRAME + f.n - 1;
	}
	w->at = start;
	return OTD_OK;
}

/* A report's counts. False: groups do not follow each other as their writer numbers them. */
static bool count_frame(struct scan *s, const struct otd_journal_frame *f, bool context)
{
	uint16_t group = f->group & OTD_JOURNAL_GROUP_MASK;
	if (!s->report)
		return true;
	s->report->frames++;
	s->report->restated += context;
	if (f->group & OTD_JOURNAL_GROUP_LAST)
		s->report->groups++;
	/* After a frame that is the last of its group s->group is the next one's number. */
	return group == s->group;
}

/* Walks the good frames of one segment and says in s how it ends. */
static otd_rc walk(struct scan *s, struct otd_journal_window *w, struct otd_err *err)
{
	uint16_t last = 0;
	s->group = 0;
	s->group_at = 0;
	s->good_behind = false;
	otd_rc rc = otd_journal_window_length(w, &s->length, err);
	if (rc)
		return rc;
	enum otd_journal_look look = OTD_JOURNAL_BAD;
	uint64_t expect = w->header.first;
	while (w->has_header) {
		struct otd_journal_frame fr;
		struct otd_span payload;
		rc = otd_journal_window_look(w, &look, &fr, &payload, err);
		if (rc)
			return rc;
		bool context = fr.seq == w->header.first - 1 && expect == w->header.first;
		if (look != OTD_JOURNAL_GOOD || (fr.seq != expect && !context))
			break;
		if (!count_frame(s, &fr, context))
			return otd_fail(
				err, OTD_E_CORRUPT,
				"journal %s: damaged at offset %llu: sequence %llu is of group "
				"%u, which cannot stand there; restore the file from a backup",
				w->path, (unsigned long long)w->at, (unsigned long long)fr.seq,
				(unsigned)(fr.group & OTD_JOURNAL_GROUP_MASK));
		expect += !context;
		if (s->each)
			s->each(s->arg, &(struct otd_record){fr.seq, fr.type, payload});
		s->group = fr.group & OTD_JOURNAL_GROUP_MASK;
		if (s->group != last)
			s->group_at = w->at;
		last = s->group;
		if (fr.group & OTD_JOURNAL_GROUP_LAST)
			s->group = (s->group + 1) & OTD_JOURNAL_GROUP_MASK;
		otd_journal_window_next(w, &fr);
	}
	s->end = w->at;
	s->reserved = look == OTD_JOURNAL_END;
	s->useless = !w->has_header || (expect < s->next && s->next > s->range.first);
	if (w->has_header && expect > s->next)
		s->next = expect;
	if (!w->has_header)
		w->at = OTD_JOURNAL_HEADER;
	return look_behind(s, w, err);
}

static otd_rc corrupt(struct scan *s, const struct otd_journal_window *w, struct otd_err *err)
{
	return otd_fail(
		err, OTD_E_CORRUPT,
		"journal %s: damaged at offset %llu: sequences %llu to %llu are lost, good "
		"ones (%llu to %llu) follow at offset %llu; restore the file from a backup, "
		"or truncate it there to give up what follows",
		w->path, (unsigned long long)s->end, (unsigned long long)s->next,
		(unsigned long long)(s->behind_first > s->next ? s->behind_first - 1 : s->next),
		(unsigned long long)s->behind_first, (unsigned long long)s->behind_last,
		(unsigned long long)s->behind_at);
}

static otd_rc write_again(struct scan *s, struct otd_journal_window *w)
{
	const struct otd_files *f = s->env->files;
	uint8_t part[16384];
	otd_rc rc = OTD_OK;
	for (uint64_t at = s->group_at; rc == OTD_OK && at < s->end;) {
		uint64_t left = s->end - at;
		size_t n = left < sizeof(part) ? (size_t)left : sizeof(part), got = 0;
		rc = f->read(f->ctx, w->file, &got, part, n, at);
		if (rc == OTD_OK && got < n)
			rc = OTD_E_IO;
		if (rc == OTD_OK)
			rc = f->write(f->ctx, w->file, part, n, at);
		at += n;
	}
	return rc;
}

/* Cuts what a crash left behind the last good frame, and makes the rest durable. */
static otd_rc mend(struct scan *s, struct otd_journal_window *w, struct otd_err *err)
{
	const struct otd_files *f = s->env->files;
	otd_rc rc = OTD_OK;
	if (s->length > s->end) {
		otd_log(OTD_LOG_DEBUG, "pool", "journal.cut", "file=%s offset=%llu bytes=%llu",
			w->path, (unsigned long long)s->end,
			(unsigned long long)(s->length - s->end));
		rc = f->truncate(f->ctx, w->file, s->end);
	}
	if (rc == OTD_OK)
		rc = write_again(s, w);
	if (rc == OTD_OK)
		rc = f->sync(f->ctx, w->file);
	if (rc)
		return otd_fail(err, rc, "journal: cannot write %s: %s", w->path, io_text(s->env));
	return OTD_OK;
}

static otd_rc take_segment(struct scan *s, struct otd_journal_window *w, struct otd_err *err)
{
	if (w->has_header && s->any && w->header.first > s->next)
		return otd_fail(err, OTD_E_CORRUPT,
				"journal %s: sequences %llu to %llu are missing before it; restore "
				"the folder from a backup",
				w->path, (unsigned long long)s->next,
				(unsigned long long)w->header.first - 1);
	if (w->has_header && s->any && w->header.epoch != s->range.epoch)
		return otd_fail(err, OTD_E_CORRUPT,
				"journal %s: of epoch %llu, the segments before it of epoch %llu; "
				"move it to the folder where it belongs",
				w->path, (unsigned long long)w->header.epoch,
				(unsigned long long)s->range.epoch);
	if (w->has_header && !s->any) {
		s->any = true;
		s->range.epoch = w->header.epoch;
		s->range.first = s->next = w->header.first;
	}
	otd_rc rc = walk(s, w, err);
	if (rc)
		return rc;
	/* Frames of a later group behind a bad place: that place had been synced. */
	if (s->good_behind && s->behind_last >= s->next)
		return corrupt(s, w, err);
	return w->has_header && !s->report ? mend(s, w, err) : OTD_OK;
}

otd_rc otd_journal_recover(struct otd_env *e, const char *dir, struct otd_journal_range *out,
			   struct otd_err *err)
{
	return otd_journal_recover_each(e, dir, out, NULL, NULL, err);
}

otd_rc otd_journal_recover_each(struct otd_env *e, const char *dir, struct otd_journal_range *out,
				otd_journal_each_fn each, void *arg, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	struct scan s = {.env = e, .dir = dir, .each = each, .arg = arg, .next = 1};
	struct otd_journal_window w = {0};
	struct otd_journal_ids ids;
	otd_rc rc = otd_journal_ids(&ids, e, dir, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < ids.n; i++) {
		rc = otd_journal_window_open(&w, e, dir, ids.id[i], OTD_OPEN_READ | OTD_OPEN_WRITE,
					     err);
		if (rc)
			goto out;
		rc = take_segment(&s, &w, err);
		if (rc)
			goto out;
		/* Begun and never synced: nothing in it was acknowledged. A reader would take it for
		   the place where its first sequences go on. */
		if (s.useless && (w.has_header || i + 1 == ids.n)) {
			rc = f->remove(f->ctx, w.path);
			if (rc) {
				otd_fail(err, rc, "journal: cannot remove %s: %s", w.path,
					 io_text(e));
				goto out;
			}
		}
	}
	rc = f->sync_dir(f->ctx, dir);
	if (rc) {
		otd_fail(err, rc, "journal %s: cannot sync the folder: %s", dir, io_text(e));
		goto out;
	}
	s.range.last = s.next - 1;
	if (!s.any)
		s.range.first = 1;
	*out = s.range;
	if (!s.any)
		rc = otd_fail(err, OTD_E_NOT_FOUND, "journal %s: no segment", dir);
out:
	otd_journal_window_finish(&w);
	otd_journal_ids_finish(&ids);
	return rc;
}

/* --- without a change --- */

static void report_segment(struct scan *s, const struct otd_journal_window *w)
{
	struct otd_journal_report *r = s->report;
	r->segments++;
	r->archived += w->whole != NULL;
	r->bytes += s->length;
	if (s->reserved || s->length == s->end)
		return;
	r->torn_bytes = s->length - s->end;
	r->torn_at = s->end;
	r->torn_seq = s->next;
	memcpy(r->torn_path, w->path, sizeof(r->torn_path));
}

/*
 * The last segment of a journal that is being written: what looks like damage may be a group that was half
 * written when it was read, and the next one behind it. It is whole when it is looked at again.
 */
static otd_rc check_segment(struct scan *s, struct otd_journal_window *w, bool may_grow,
			    struct otd_err *err)
{
	struct scan before = *s;
	struct otd_journal_report counts = *s->report;
	otd_rc rc = OTD_OK;
	for (int tries = may_grow ? 4 : 1; tries > 0; tries--) {
		*s = before;
		*s->report = counts;
		rc = take_segment(s, w, err);
		if (rc != OTD_E_CORRUPT)
			break;
		w->at = OTD_JOURNAL_HEADER;
		w->len = 0;
	}
	if (rc == OTD_OK)
		report_segment(s, w);
	return rc;
}

otd_rc otd_journal_check(struct otd_journal_report *out, struct otd_env *e, const char *dir,
			 bool live, struct otd_err *err)
{
	struct scan s = {.env = e, .dir = dir, .next = 1, .report = out};
	struct otd_journal_window w = {0};
	struct otd_journal_ids ids;
	*out = (struct otd_journal_report){0};
	otd_rc rc = otd_journal_ids_all(&ids, e, dir, err);
	for (size_t i = 0; rc == OTD_OK && i < ids.n; i++) {
		rc = otd_journal_window_open_any(&w, e, dir, ids.id[i], err);
		if (rc == OTD_E_NOT_FOUND && live && !s.any) { /* released meanwhile */
			rc = OTD_OK;
			continue;
		}
		if (rc == OTD_OK)
			rc = check_segment(&s, &w, live && i + 1 == ids.n, err);
	}
	out->any = s.any;
	out->epoch = s.range.epoch;
	out->first = s.any ? s.range.first : 1;
	out->last = s.next - 1;
	otd_journal_window_finish(&w);
	otd_journal_ids_finish(&ids);
	return rc;
}
