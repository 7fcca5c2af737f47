#include "pool/journal/journal_verify.h"

#include "base/text.h"
#include "pool/journal/journal.h"
#include "pool/journal/journal_format.h"
#include "pool/journal/record.h"
#include "pool/journal/saves.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct epoch {
	uint64_t epoch;
	struct otd_journal_report report;
	bool sound;
	uint64_t next;   /* the first sequence that is not in the order; 0: none was seen in it */
	uint64_t in_sql; /* the same, up to SQL's position */
};

struct order {
	struct otd_journal_verify *v;
	struct epoch *epochs;
	size_t n;
	uint64_t first, last; /* of the coordinator's journal */
};

bool otd_journal_dir(char *to, size_t cap, const char *data_dir, uint64_t epoch)
{
	int n = epoch ? snprintf(to, cap, "%s/journal/r-%" PRIu64, data_dir, epoch)
		      : snprintf(to, cap, "%s/journal/" OTD_JOURNAL_COORDINATOR, data_dir);
	return n > 0 && (size_t)n < cap;
}

/* --- which journals there are --- */

struct names {
	struct otd_journal_epochs *out;
	size_t cap;
	bool failed;
};

static bool take_folder(void *arg, const char *name)
{
	struct names *n = arg;
	uint64_t epoch;
	if (strncmp(name, "r-", 2) != 0 ||
	    otd_parse_u64(&epoch, name + 2, strlen(name + 2)) != OTD_OK || epoch == 0)
		return true;
	if (n->out->n == n->cap) {
		size_t cap = n->cap ? 2 * n->cap : 16;
		uint64_t *more = realloc(n->out->epoch, cap * sizeof(*more));
		if (!more) {
			n->failed = true;
			return false;
		}
		n->out->epoch = more;
		n->cap = cap;
	}
	n->out->epoch[n->out->n++] = epoch;
	return true;
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

otd_rc otd_journal_epochs(struct otd_journal_epochs *out, struct otd_env *e, const char *data_dir,
			  struct otd_err *err)
{
	static const char *const folders[] = {"journal", "archive"};
	const struct otd_files *f = e->files;
	struct names names = {.out = out};
	otd_rc rc = OTD_OK;
	*out = (struct otd_journal_epochs){0};
	for (int i = 0; rc == OTD_OK && i < 2; i++) {
		char dir[512];
		bool there = false;
		int n = snprintf(dir, sizeof(dir), "%s/%s", data_dir, folders[i]);
		if (n < 0 || (size_t)n >= sizeof(dir))
			return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long",
					data_dir);
		rc = f->exists(f->ctx, dir, &there);
		if (rc == OTD_OK && !there && i == 0)
			rc = otd_fail(err, OTD_E_NOT_FOUND,
				      "%s: there are no journals; is this the data_dir of a pool?",
				      dir);
		else if (rc == OTD_OK && there)
			rc = f->list(f->ctx, dir, take_folder, &names);
		if (rc == OTD_OK && names.failed)
			rc = otd_fail(err, OTD_E_NOMEM, "journals: out of memory");
		else if (rc && rc != OTD_E_NOT_FOUND)
			(void)otd_fail(err, rc, "cannot list %s: %s", dir, f->last_error(f->ctx));
	}
	if (rc) {
		otd_journal_epochs_finish(out);
		return rc;
	}
	if (out->n > 1)
		qsort(out->epoch, out->n, sizeof(*out->epoch), by_number);
	size_t n = 0;
	for (size_t i = 0; i < out->n; i++)
		if (n == 0 || out->epoch[n - 1] != out->epoch[i])
			out->epoch[n++] = out->epoch[i];
	out->n = n;
	return OTD_OK;
}

void otd_journal_epochs_finish(struct otd_journal_epochs *l)
{
	free(l->epoch);
	*l = (struct otd_journal_epochs){0};
}

/* --- one with another --- */

static void problem(struct otd_journal_verify *v, const char *fmt, ...) OTD_PRINTF(2, 3);
static void problem(struct otd_journal_verify *v, const char *fmt, ...)
{
	char text[700];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	v->problems++;
	v->problem(v->arg, text);
}

static struct epoch *find(struct order *o, uint64_t epoch)
{
	for (size_t i = 0; i < o->n; i++)
		if (o->epochs[i].epoch == epoch)
			return &o->epochs[i];
	return NULL;
}

/* Whether a start needs this place of the order, as SQL stands; without SQL nobody can tell. */
static bool is_needed(const struct otd_journal_sql *s, uint64_t seq)
{
	return s->known && (seq > s->position || seq > s->saved);
}

static void check_there(struct order *o, const struct epoch *ep, uint64_t seq,
			const struct otd_rec_batch *b)
{
	const struct otd_journal_report *r = &ep->report;
	/* Of a damaged one nobody knows what is there; that is said already. */
	if (!ep->sound)
		return;
	if (b->last > r->last && r->any)
		problem(o->v,
			"order: place %" PRIu64 " names sequences %" PRIu64 "-%" PRIu64
			" to %" PRIu64 ", that journal ends at %" PRIu64
			": its newest part is missing; restore the folder from a backup",
			seq, b->epoch, b->first, b->last, r->last);
	else if (is_needed(&o->v->sql, seq) && (!r->any || b->first < r->first))
		problem(o->v,
			"order: place %" PRIu64 " names sequences %" PRIu64 "-%" PRIu64
			" to %" PRIu64 ", which a start needs, and the journal begins at %" PRIu64
			"; restore the folder from a backup",
			seq, b->epoch, b->first, b->last, r->first);
}

static void take_batch(struct order *o, const struct otd_record *r)
{
	const struct otd_journal_sql *sql = &o->v->sql;
	struct otd_rec_batch b;
	if (r->payload.len < sizeof(b)) {
		problem(o->v, "order: the record at place %" PRIu64 " is short", r->seq);
		return;
	}
	memcpy(&b, r->payload.ptr, sizeof(b));
	o->v->batches++;
	if (b.last < b.first || b.first == 0) {
		problem(o->v,
			"order: place %" PRIu64 " names sequences %" PRIu64 "-%" PRIu64
			" to %" PRIu64,
			r->seq, b.epoch, b.first, b.last);
		return;
	}
	o->v->ordered += b.last - b.first + 1;
	struct epoch *ep = find(o, b.epoch);
	if (!ep) {
		if (is_needed(sql, r->seq))
			problem(o->v,
				"order: place %" PRIu64 " names sequences %" PRIu64 " to %" PRIu64
				" of journal r-%" PRIu64
				", which a start needs and which is not there; restore the folder "
				"from a backup",
				r->seq, b.first, b.last, b.epoch);
		return;
	}
	if (ep->next && b.first != ep->next)
		problem(o->v,
			"order: place %" PRIu64 " goes on with sequence %" PRIu64 "-%" PRIu64
			", it should be %" PRIu64 ": shares were %s",
			r->seq, b.epoch, b.first, ep->next,
			b.first > ep->next ? "left out" : "taken twice");
	ep->next = b.last + 1;
	if (sql->known && r->seq <= sql->position)
		ep->in_sql = ep->next;
	check_there(o, ep, r->seq, &b);
}

static otd_rc walk_order(struct order *o, struct otd_err *err)
{
	struct otd_journal_verify *v = o->v;
	struct otd_journal_reader *reader = NULL;
	struct otd_record r;
	char dir[512];
	if (!otd_journal_dir(dir, sizeof(dir), v->data_dir, 0))
		return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long", v->data_dir);
	otd_rc rc = otd_journal_reader_open_all(&reader, v->env, dir, o->first, err);
	while (rc == OTD_OK) {
		rc = otd_journal_read(reader, &r, o->last, err);
		if (rc)
			break;
		v->verdicts += r.type == OTD_REC_VERDICT;
		v->terms += r.type == OTD_REC_TERMS || r.type == OTD_REC_ACCOUNT_TERMS;
		if (r.type == OTD_REC_BATCH)
			take_batch(o, &r);
	}
	otd_journal_reader_close(reader);
	return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
}

/* --- with SQL --- */

static void check_sql(struct order *o)
{
	struct otd_journal_verify *v = o->v;
	const struct otd_journal_sql *sql = &v->sql;
	uint64_t needed = sql->position < sql->saved ? sql->position : sql->saved;
	if (sql->position > o->last) {
		problem(v,
			"the database is at place %" PRIu64
			", the coordinator's journal ends at %" PRIu64
			": the two are not of one time; restore both from one backup",
			sql->position, o->last);
		return;
	}
	v->behind = o->last - sql->position;
	if (needed < o->last && needed + 1 < o->first)
		problem(v,
			"a start needs the coordinator's journal from place %" PRIu64
			" on, it begins at %" PRIu64 "; restore the folder from a backup",
			needed + 1, o->first);
	for (size_t i = 0; i < o->n; i++) {
		struct epoch *ep = &o->epochs[i];
		uint64_t next = sql->next(sql->arg, ep->epoch);
		if (next && ep->in_sql && next != ep->in_sql)
			problem(v,
				"journal r-%" PRIu64 ": the database has it up to before %" PRIu64
				", by the order it should be %" PRIu64
				"; the two are not of one time: restore both from one backup",
				ep->epoch, next, ep->in_sql);
		/* Nothing of it is in the part of the order that is left: SQL says how far it was. */
		if (!ep->next)
			ep->next = next;
	}
}

/* --- all of it --- */

static otd_rc check_one(struct otd_journal_verify *v, uint64_t epoch, struct otd_journal_report *r,
			bool *sound)
{
	struct otd_err err = {0};
	char dir[512];
	*sound = false;
	if (!otd_journal_dir(dir, sizeof(dir), v->data_dir, epoch))
		return OTD_E_RANGE;
	otd_rc rc = otd_journal_check(r, v->env, dir, v->live, &err);
	if (rc == OTD_OK && r->any && epoch && r->epoch != epoch)
		rc = otd_fail(&err, OTD_E_CORRUPT,
			      "journal %s: it is of epoch %" PRIu64 "; move it back to where it "
			      "came from",
			      dir, r->epoch);
	*sound = rc == OTD_OK;
	v->journals++;
	v->problems += rc != OTD_OK;
	v->journal(v->arg, epoch, r, rc ? err.text : NULL);
	return OTD_OK;
}

static void count_waiting(struct order *o)
{
	for (size_t i = 0; i < o->n; i++) {
		const struct epoch *ep = &o->epochs[i];
		uint64_t next = ep->next > ep->report.first ? ep->next : ep->report.first;
		if (ep->sound && ep->report.any && ep->report.last >= next)
			o->v->waiting += ep->report.last + 1 - next;
	}
}

static otd_rc check_saves(struct otd_journal_verify *v, struct otd_err *err)
{
	struct otd_journal_ids ids;
	otd_rc rc = otd_saves_list(&ids, v->env, v->data_dir, err);
	for (size_t i = 0; rc == OTD_OK && i < ids.n; i++) {
		struct otd_err wrong = {0};
		otd_rc one = otd_saves_get(v->env, v->data_dir, ids.id[i], NULL, NULL, &wrong);
		if (one && !(one == OTD_E_NOT_FOUND && v->live))
			problem(v, "%s", wrong.text);
		v->saves++;
	}
	otd_journal_ids_finish(&ids);
	return rc;
}

otd_rc otd_journal_verify(struct otd_journal_verify *v, struct otd_err *err)
{
	struct otd_journal_epochs list = {0};
	struct otd_journal_report coordinator;
	struct order o = {.v = v};
	bool sound = false;
	v->journals = v->problems = v->batches = v->verdicts = v->terms = 0;
	v->ordered = v->waiting = v->behind = v->saves = 0;
	/* The order first: what it names was durable in the reactors' journals before. */
	otd_rc rc = check_one(v, 0, &coordinator, &sound);
	if (rc == OTD_OK)
		rc = otd_journal_epochs(&list, v->env, v->data_dir, err);
	if (rc)
		return rc;
	o.first = coordinator.first;
	o.last = coordinator.last;
	o.n = list.n;
	o.epochs = calloc(list.n ? list.n : 1, sizeof(*o.epochs));
	if (!o.epochs)
		rc = otd_fail(err, OTD_E_NOMEM, "journals: out of memory");
	for (size_t i = 0; rc == OTD_OK && i < list.n; i++) {
		o.epochs[i].epoch = list.epoch[i];
		rc = check_one(v, list.epoch[i], &o.epochs[i].report, &o.epochs[i].sound);
	}
	if (rc == OTD_OK && sound && coordinator.any)
		rc = walk_order(&o, err);
	/* Its oldest segment was released since it was looked at: it begins later now. */
	for (int i = 0; rc == OTD_E_CORRUPT && v->live && !v->batches && i < 3; i++) {
		char dir[512];
		(void)otd_journal_dir(dir, sizeof(dir), v->data_dir, 0);
		rc = otd_journal_check(&coordinator, v->env, dir, true, err);
		o.first = coordinator.first;
		if (rc == OTD_OK)
			rc = walk_order(&o, err);
	}
	if (rc == OTD_OK && sound && v->sql.known)
		check_sql(&o);
	if (rc == OTD_OK)
		rc = check_saves(v, err);
	if (rc == OTD_OK)
		count_waiting(&o);
	free(o.epochs);
	otd_journal_epochs_finish(&list);
	return rc;
}
