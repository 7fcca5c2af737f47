#include "app/explain/journal_look.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "pool/journal/journal_window.h"

#define CLOCK_EVERY 4096 /* records between two looks at the clock */

otd_u128 otd_look_u128(const uint8_t le[16])
{
	otd_u128 v = 0;
	for (int i = 15; i >= 0; i--)
		v = v << 8 | le[i];
	return v;
}

/* The first sequence of the oldest segment that is whole enough to have one. OTD_E_NOT_FOUND. */
static otd_rc first_of(struct otd_env *e, const char *dir, uint64_t *first, struct otd_err *err)
{
	struct otd_journal_ids ids = {0};
	struct otd_journal_window w = {0};
	otd_rc rc = otd_journal_ids_all(&ids, e, dir, err);
	*first = 0;
	for (size_t i = 0; rc == OTD_OK && i < ids.n && !*first; i++) {
		otd_rc at = otd_journal_window_open_any(&w, e, dir, ids.id[i], err);
		if (at == OTD_E_NOT_FOUND)
			continue; /* released meanwhile */
		rc = at;
		if (rc == OTD_OK && w.has_header)
			*first = w.header.first;
	}
	otd_journal_window_finish(&w);
	otd_journal_ids_finish(&ids);
	return rc == OTD_OK && !*first ? OTD_E_NOT_FOUND : rc;
}

/* Calls each for the records from `from` to `to`, and for earlier ones of the same segment. */
static otd_rc walk(struct otd_env *e, const char *dir, uint64_t from, uint64_t to,
		   uint64_t deadline_ns, bool (*each)(void *arg, const struct otd_record *r),
		   void *arg, struct otd_err *err)
{
	struct otd_journal_reader *r = NULL;
	struct otd_record rec;
	otd_rc rc = otd_journal_reader_open_all(&r, e, dir, from, err);
	for (uint64_t n = 0; rc == OTD_OK; n++) {
		if (n % CLOCK_EVERY == 0 && otd_mono_ns(e) > deadline_ns)
			rc = OTD_E_TIMEOUT;
		if (rc == OTD_OK)
			rc = otd_journal_read(r, &rec, to, err);
		if (rc == OTD_OK && !each(arg, &rec))
			break;
	}
	otd_journal_reader_close(r);
	return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
}

/* --- one share --- */

struct finding {
	struct otd_look_share *out;
	uint64_t seq;
	bool seen;
};

static bool take_share(void *arg, const struct otd_record *r)
{
	struct finding *f = arg;
	struct otd_look_share *out = f->out;
	if (r->seq < f->seq)
		return true;
	if (r->seq == f->seq) {
		f->seen = true;
		out->type = r->type;
		if (r->type != OTD_REC_SHARE || r->payload.len < sizeof(out->share))
			return false;
		memcpy(&out->share, r->payload.ptr, sizeof(out->share));
		out->work = otd_look_u128(out->share.work);
		return true;
	}
	if (r->type == OTD_REC_BLOCK && r->payload.len >= sizeof(out->block)) {
		memcpy(&out->block, r->payload.ptr, sizeof(out->block));
		out->is_block = out->block.share_seq == f->seq;
	}
	return false;
}

static void put_text(char *to, size_t cap, const uint8_t **p, size_t n)
{
	size_t k = n < cap ? n : cap - 1;
	if (k)
		memcpy(to, *p, k);
	to[k] = '\0';
	*p += n;
}

static void take_worker(struct otd_look_share *out, struct otd_span s)
{
	struct otd_rec_worker w;
	if (s.len < sizeof(w))
		return;
	memcpy(&w, s.ptr, sizeof(w));
	const uint8_t *p = s.ptr + sizeof(w);
	size_t texts = (size_t)w.pool_len + w.account_len + w.name_len + w.scheme_len;
	if (w.worker != out->share.worker || s.len - sizeof(w) < texts)
		return;
	put_text(out->pool, sizeof(out->pool), &p, w.pool_len);
	put_text(out->account, sizeof(out->account), &p, w.account_len);
	put_text(out->worker, sizeof(out->worker), &p, w.name_len);
	put_text(out->scheme, sizeof(out->scheme), &p, w.scheme_len);
	out->has_worker = true;
}

static void take_job(struct otd_look_share *out, struct otd_span s)
{
	struct otd_rec_job j;
	if (s.len < sizeof(j))
		return;
	memcpy(&j, s.ptr, sizeof(j));
	if (j.job != out->share.job)
		return;
	out->height = j.height;
	out->network_work = otd_look_u128(j.network_work);
	out->has_job = true;
}

/* The definitions that were in force: the last ones before the share. */
static bool take_definition(void *arg, const struct otd_record *r)
{
	struct finding *f = arg;
	if (r->seq >= f->seq)
		return false;
	if (r->type == OTD_REC_WORKER)
		take_worker(f->out, r->payload);
	else if (r->type == OTD_REC_JOB)
		take_job(f->out, r->payload);
	return true;
}

static void failed(enum otd_look_state *state, char trouble[300], otd_rc rc,
		   const struct otd_err *err)
{
	*state = rc == OTD_E_TIMEOUT ? OTD_LOOK_LONG : OTD_LOOK_TROUBLE;
	snprintf(trouble, 300, "%.299s", err->text[0] ? err->text : otd_rc_name(rc));
}

void otd_look_share(struct otd_look_share *out, struct otd_env *e, const char *data_dir,
		    uint64_t epoch, uint64_t seq, uint64_t deadline_ns)
{
	char dir[600];
	bool there = false;
	struct finding f = {out, seq, false};
	struct otd_err err = {0};
	memset(out, 0, sizeof(*out));
	snprintf(dir, sizeof(dir), "%s/journal/r-%" PRIu64, data_dir, epoch);
	otd_rc rc = e->files->exists(e->files->ctx, dir, &there);
	out->state = OTD_LOOK_CUT;
	if (rc == OTD_OK) /* its folder may have gone, and its archive is there */
		rc = first_of(e, dir, &out->first, &err);
	if (rc == OTD_E_NOT_FOUND && there)
		out->state = OTD_LOOK_LATER; /* nothing was written yet */
	else if (rc == OTD_OK && seq >= out->first)
		rc = walk(e, dir, seq, seq + 1, deadline_ns, take_share, &f, &err);
	if (rc == OTD_E_NOT_FOUND || (rc == OTD_OK && seq < out->first))
		return;
	if (rc == OTD_OK && f.seen && out->type == OTD_REC_SHARE)
		rc = walk(e, dir, seq, seq, deadline_ns, take_definition, &f, &err);
	if (rc != OTD_OK)
		failed(&out->state, out->trouble, rc, &err);
	else if (!f.seen)
		out->state = OTD_LOOK_LATER;
	else
		out->state = out->type == OTD_REC_SHARE ? OTD_LOOK_FOUND : OTD_LOOK_OTHER;
}

/* --- the coordinator's journal --- */

struct looking {
	struct otd_look_coordinator *out;
	bool (*each)(void *arg, const struct otd_record *r);
	void *arg;
};

static bool take_any(void *arg, const struct otd_record *r)
{
	struct looking *l = arg;
	l->out->last = r->seq;
	return l->each(l->arg, r);
}

void otd_look_coordinator(struct otd_look_coordinator *out, struct otd_env *e, const char *data_dir,
			  uint64_t deadline_ns, bool (*each)(void *arg, const struct otd_record *r),
			  void *arg)
{
	char dir[600];
	struct looking l = {out, each, arg};
	struct otd_err err = {0};
	memset(out, 0, sizeof(*out));
	out->state = OTD_LOOK_FOUND;
	snprintf(dir, sizeof(dir), "%s/journal/coordinator", data_dir);
	otd_rc rc = first_of(e, dir, &out->first, &err);
	if (rc == OTD_E_NOT_FOUND)
		return; /* nothing was written yet */
	if (rc == OTD_OK)
		rc = walk(e, dir, out->first, UINT64_MAX, deadline_ns, take_any, &l, &err);
	if (rc != OTD_OK)
		failed(&out->state, out->trouble, rc, &err);
}
