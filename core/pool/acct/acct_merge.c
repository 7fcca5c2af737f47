/*
 * From the reactors' journals into the one order. A slice is read by the worker, gets its place by
 * a record in the coordinator's journal, and is applied once that record is durable. One slice is
 * read at a time, the reactors take turns.
 */
#include "base/log.h"
#include "base/text.h"
#include "pool/acct/acct.h"
#include "pool/journal/archive.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_RECORDS 8192
#define SLICE_BYTES   (1u << 20)
#define ENTRY_BYTES   (1u << 29) /* definitions of a whole segment may stand before */
#define MOST_ENTRIES  8          /* read, waiting for the sync of their place */
#define FAR_AHEAD     100000     /* places in memory that SQL does not have yet */

struct acct_entry *acct_entry_create(void)
{
	struct acct_entry *e = calloc(1, sizeof(*e));
	if (e)
		otd_bytes_init(&e->records, ENTRY_BYTES);
	return e;
}

void acct_entry_free(struct acct_entry *e)
{
	if (!e)
		return;
	otd_bytes_finish(&e->records);
	free(e);
}

static otd_rc keep_record(struct otd_bytes *to, const struct otd_record *r)
{
	uint8_t head[16];
	uint32_t type = r->type, n = (uint32_t)r->payload.len;
	memcpy(head, &r->seq, 8);
	memcpy(head + 8, &type, 4);
	memcpy(head + 12, &n, 4);
	otd_rc rc = otd_bytes_add(to, head, sizeof(head));
	if (rc == OTD_OK && n)
		rc = otd_bytes_add(to, r->payload.ptr, n);
	return rc;
}

/* Records from slice->first up to limit into the slice; on the worker, or at start. whole: a slice
   that was made before, to be the same again; else as many as one slice has. */
otd_rc acct_slice_read(struct acct_entry *slice, struct acct_epoch *ep, struct otd_env *e,
		       uint64_t limit, bool whole, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	size_t bytes = 0;
	slice->last = slice->first - 1;
	if (!ep->reader)
		rc = otd_journal_reader_open(&ep->reader, e, ep->dir, slice->first, err);
	while (rc == OTD_OK &&
	       (whole || (slice->n_records < SLICE_RECORDS && bytes < SLICE_BYTES))) {
		struct otd_record r;
		rc = otd_journal_read(ep->reader, &r, limit, err);
		if (rc)
			break;
		bool before = r.seq < slice->first; /* of interest for its definitions only */
		if (!before || r.type == OTD_REC_WORKER || r.type == OTD_REC_JOB)
			rc = keep_record(&slice->records, &r);
		if (rc) {
			(void)otd_fail(err, rc, "accounting: out of memory");
			break;
		}
		if (!before) {
			bytes += r.payload.len;
			slice->n_records++;
			slice->last = r.seq;
		}
	}
	if (rc && rc != OTD_E_NOT_FOUND) {
		/* Where the reader stands nobody knows now: it begins anew. */
		otd_journal_reader_close(ep->reader);
		ep->reader = NULL;
	}
	return rc == OTD_E_NOT_FOUND && slice->last >= slice->first ? OTD_OK : rc;
}

static void slice_run(void *arg)
{
	struct otd_accounting *a = arg;
	a->slice_err = (struct otd_err){0};
	a->slice_rc = acct_slice_read(a->slice, a->slice->ep, a->env, a->slice_limit, false,
				      &a->slice_err);
}

/* The slice gets its place; it stays where it is while the journal refuses. */
static void place_slice(struct otd_accounting *a)
{
	struct acct_entry *e = a->slice;
	const struct otd_rec_batch r = {e->ep->epoch, e->first, e->last};
	/* A fee that waits for the disk comes before shares that were found after it. */
	acct_terms_due(a);
	otd_rc rc = otd_journal_append(a->journal, OTD_REC_BATCH, &r, sizeof(r), &e->cseq);
	if (rc)
		return;
	/* With share.judged and shares.committed: the way of one share by its id. */
	otd_log(OTD_LOG_DEBUG, "pool", "shares.placed", "shares=%llu-%llu..%llu position=%llu",
		(unsigned long long)r.epoch, (unsigned long long)r.first,
		(unsigned long long)r.last, (unsigned long long)e->cseq);
	e->ep->next = e->last + 1;
	e->ep->trouble[0] = '\0';
	*a->entries_end = e;
	a->entries_end = &e->next;
	a->n_entries++;
	a->slice = NULL;
	a->slice_ready = false;
}

static void drop_slice(struct otd_accounting *a)
{
	acct_entry_free(a->slice);
	a->slice = NULL;
	a->slice_ready = false;
}

static void slice_done(void *arg)
{
	struct otd_accounting *a = arg;
	struct acct_entry *e = a->slice;
	a->reading = false;
	if (a->destroying)
		return;
	if (a->slice_rc) {
		struct acct_epoch *ep = e->ep;
		const char *why = a->slice_rc == OTD_E_NOT_FOUND
					  ? "what its reactor said is durable is not there"
					  : a->slice_err.text;
		bool first = ep->trouble[0] == '\0';
		(void)snprintf(ep->trouble, sizeof(ep->trouble), "%.240s", why);
		ep->paused = true;
		if (first)
			otd_log(OTD_LOG_ERROR, "pool", "accounting.journal",
				"epoch=%llu sequence=%llu error=%s", (unsigned long long)ep->epoch,
				(unsigned long long)e->first, OTD_Q(ep->trouble));
		drop_slice(a);
		return; /* the tick tries again */
	}
	a->slice_ready = true;
	acct_merge(a);
}

/* The next epoch in turn that has something, NULL where none has. */
static struct acct_epoch *whose_turn(struct otd_accounting *a)
{
	struct acct_epoch *from =
		a->last_read && a->last_read->next_epoch ? a->last_read->next_epoch : a->epochs;
	struct acct_epoch *ep = from;
	while (ep) {
		if (ep->durable >= ep->next && !ep->removing && !ep->paused)
			return ep;
		ep = ep->next_epoch ? ep->next_epoch : a->epochs;
		if (ep == from)
			break;
	}
	return NULL;
}

static void read_next(struct otd_accounting *a)
{
	struct acct_epoch *ep;
	bool wait = a->n_entries >= MOST_ENTRIES || a->journal_fails || a->store_why[0] ||
		    a->applied - a->position > FAR_AHEAD;
	/* Somebody waits for the last of it: not a moment longer than it takes. */
	bool rest = !a->flush_wanted && acct_mono_ms(a) - a->last_merge_ms < a->conf.merge_ms;
	if (a->slice || wait || rest)
		return;
	ep = whose_turn(a);
	if (!ep) {
		a->last_merge_ms = acct_mono_ms(a);
		return;
	}
	a->slice = acct_entry_create();
	if (!a->slice)
		return;
	a->last_read = ep;
	a->slice->ep = ep;
	a->slice->first = ep->next;
	a->slice_limit = ep->durable;
	a->reading = true;
	if (a->env->ops->worker_give(a->worker, slice_run, slice_done, a) != OTD_OK) {
		a->reading = false;
		drop_slice(a);
	}
}

/* --- folders of epochs that are over --- */

struct removal {
	struct otd_accounting *a;
	struct acct_epoch *ep;
	bool archive;
	otd_rc rc;
};

struct file_names {
	char name[64][32];
	size_t n;
};

static bool take_file(void *arg, const char *name)
{
	struct file_names *f = arg;
	size_t n = strlen(name);
	if (n < sizeof(f->name[0]))
		memcpy(f->name[f->n++], name, n + 1);
	return f->n < 64;
}

static bool archived(struct removal *r, const char *name)
{
	const char *dot = strchr(name, '.');
	uint64_t id;
	return dot && otd_parse_u64(&id, name, (size_t)(dot - name)) == OTD_OK &&
	       otd_archive_move(r->a->env, r->ep->dir, id) == OTD_OK &&
	       r->a->env->files->sync_dir(r->a->env->files->ctx, r->ep->dir) == OTD_OK;
}

/* The oldest first, so that what is left is sound at any time. */
static void removal_run(void *arg)
{
	struct removal *r = arg;
	const struct otd_files *f = r->a->env->files;
	struct file_names names;
	char path[ACCT_DIR + 64];
	otd_journal_reader_close(r->ep->reader);
	r->ep->reader = NULL;
	do {
		names.n = 0;
		r->rc = f->list(f->ctx, r->ep->dir, take_file, &names);
		for (size_t i = 0; r->rc == OTD_OK && i < names.n; i++) {
			(void)snprintf(path, sizeof(path), "%s/%s", r->ep->dir, names.name[i]);
			if (r->archive && archived(r, names.name[i]))
				continue;
			r->rc = f->remove(f->ctx, path);
			if (r->rc == OTD_OK)
				r->rc = f->sync_dir(f->ctx, r->ep->dir);
		}
	} while (r->rc == OTD_OK && names.n > 0);
	if (r->rc == OTD_OK)
		r->rc = f->remove(f->ctx, r->ep->dir);
	if (r->rc == OTD_OK)
		r->rc = f->sync_dir(f->ctx, r->a->dir);
}

static void removal_done(void *arg)
{
	struct removal *r = arg;
	struct otd_accounting *a = r->a;
	if (!a->destroying && r->rc == OTD_OK) {
		struct acct_epoch **at = &a->epochs;
		while (*at != r->ep)
			at = &(*at)->next_epoch;
		*at = r->ep->next_epoch;
		if (a->last_read == r->ep)
			a->last_read = NULL;
		acct_epoch_free(r->ep);
	}
	/* Where it failed the folder is taken up again at the next start. */
	free(r);
}

static bool in_use(const struct otd_accounting *a, const struct acct_epoch *ep)
{
	for (const struct acct_entry *e = a->entries; e; e = e->next)
		if (e->ep == ep)
			return true;
	return a->slice && a->slice->ep == ep;
}

/* What nobody writes, is wholly in SQL and not needed for a replay. */
static void remove_old(struct otd_accounting *a)
{
	for (struct acct_epoch *ep = a->held ? NULL : a->epochs; ep; ep = ep->next_epoch) {
		if (!ep->left_over || ep->removing || ep->saved <= ep->durable ||
		    ep->applied <= ep->durable || in_use(a, ep))
			continue;
		struct removal *r = calloc(1, sizeof(*r));
		if (!r)
			return;
		*r = (struct removal){.a = a, .ep = ep, .archive = a->conf.archive};
		ep->removing = true;
		if (a->env->ops->worker_give(a->worker, removal_run, removal_done, r) != OTD_OK) {
			ep->removing = false;
			free(r);
		}
	}
}

/* --- the order --- */

static void apply_synced(struct otd_accounting *a)
{
	uint64_t durable = otd_journal_synced(a->journal);
	while (a->entries && a->entries->cseq <= durable && !a->stopped[0]) {
		struct acct_entry *e = a->entries;
		a->entries = e->next;
		if (!a->entries)
			a->entries_end = &a->entries;
		a->n_entries--;
		acct_apply(a, e);
		acct_entry_free(e);
	}
}

static void finish_flush(struct otd_accounting *a)
{
	if (!a->flush_wanted)
		return;
	if (a->flush_seq == UINT64_MAX) {
		for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
			if (ep->flush_to >= ep->applied && !ep->trouble[0])
				return;
		if (a->applied < a->flush_verdicts)
			return;
		a->flush_seq = a->applied;
	}
	if (a->position < a->flush_seq)
		return;
	a->flush_wanted = false;
	/* By post: whoever waits for it may take everything down. */
	if (a->flush_done && otd_loop_post(a->loop, a->flush_done, a->flush_arg) != OTD_OK)
		a->flush_wanted = true;
}

void acct_merge(struct otd_accounting *a)
{
	if (!a->started || a->destroying || a->stopped[0])
		return;
	if (a->slice && a->slice_ready)
		place_slice(a);
	apply_synced(a);
	acct_commit_go(a, a->flush_wanted);
	remove_old(a);
	read_next(a);
	finish_flush(a);
}

void acct_on_synced(void *arg, uint64_t seq)
{
	struct otd_accounting *a = arg;
	(void)seq;
	a->journal_fails = false;
	acct_merge(a);
}

void acct_on_journal_failed(void *arg, const struct otd_err *err)
{
	struct otd_accounting *a = arg;
	a->journal_fails = true;
	(void)snprintf(a->journal_why, sizeof(a->journal_why), "%.250s", err->text);
}
