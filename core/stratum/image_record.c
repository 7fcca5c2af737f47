/* The bytes of a session: see stratum/image.h. */
#include "stratum/image.h"

#include <string.h>

#include "stratum/session.h"

_Static_assert(OTD_SESSION_RECORD_TARGETS >= OTD_SESSION_TARGETS, "room for all targets");

#define USER_MAX (OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX + 1)

void otd_session_record_add_worker(struct otd_bytes *workers,
				   const struct otd_session_record_worker *w)
{
	size_t part = otd_pack_begin(workers);
	otd_pack_span(workers, w->user);
	otd_pack_span(workers, w->account);
	otd_pack_span(workers, w->name);
	otd_pack_u64(workers, w->accepted);
	otd_pack_u64(workers, w->refused);
	otd_pack_end(workers, part);
}

static void write_vardiff(struct otd_bytes *out, const struct otd_vardiff *v)
{
	otd_pack_u256(out, v->target);
	otd_pack_u256(out, v->min);
	otd_pack_u256(out, v->max);
	otd_pack_u256(out, v->start);
	otd_pack_u256(out, v->floor);
	otd_pack_i64(out, v->aim_ms);
	otd_pack_i64(out, v->since_ms);
	otd_pack_i64(out, v->last_ms);
	otd_pack_u32(out, v->shares);
}

void otd_session_record_write(struct otd_bytes *out, const struct otd_session_record *r,
			      struct otd_span workers)
{
	size_t part = otd_pack_begin(out);
	otd_pack_u16(out, OTD_SESSION_RECORD);
	otd_pack_u32(out, r->pool);
	otd_pack_u16(out, r->port);
	otd_pack_text(out, r->host);
	otd_pack_u16(out, r->peer_port);
	otd_pack_u32(out, r->flags);
	otd_pack_span(out, r->extranonce1);
	otd_pack_u32(out, r->version_mask);
	otd_pack_u32(out, r->asked_mask);
	otd_pack_u32(out, r->bad_lines);
	otd_pack_i64(out, r->opened_ms);
	otd_pack_span(out, r->agent);
	write_vardiff(out, &r->vardiff);
	otd_pack_u8(out, r->n_targets);
	for (size_t i = 0; i < r->n_targets; i++) {
		otd_pack_u64(out, r->targets[i].from);
		otd_pack_u256(out, r->targets[i].target);
	}
	otd_pack_u64(out, r->sent_order);
	otd_pack_u32(out, r->sent_repeat);
	otd_pack_i64(out, r->sent_ms);
	otd_pack_u16(out, r->n_workers);
	otd_pack_span(out, workers);
	otd_pack_span(out, r->in);
	otd_pack_span(out, r->out);
	otd_pack_u64(out, r->resume_id);
#if OTD_SESSION_RECORD > 1
	otd_pack_u64(out, UINT64_C(0x6e65787400000000) | OTD_SESSION_RECORD); /* of tests alone */
#endif
	otd_pack_end(out, part);
}

static otd_rc corrupt(struct otd_err *err, const char *what)
{
	return otd_fail(err, OTD_E_CORRUPT, "a session that was handed over is garbled: %s", what);
}

static void read_vardiff(struct otd_unpack *u, struct otd_vardiff *v)
{
	v->target = otd_unpack_u256(u);
	v->min = otd_unpack_u256(u);
	v->max = otd_unpack_u256(u);
	v->start = otd_unpack_u256(u);
	v->floor = otd_unpack_u256(u);
	v->aim_ms = otd_unpack_i64(u);
	v->since_ms = otd_unpack_i64(u);
	v->last_ms = otd_unpack_i64(u);
	v->shares = otd_unpack_u32(u);
}

static bool bad_vardiff(const struct otd_vardiff *v)
{
	return otd_u256_is_zero(v->target) || otd_u256_is_zero(v->min) ||
	       otd_u256_is_zero(v->max) || otd_u256_is_zero(v->start) || v->aim_ms <= 0 ||
	       v->aim_ms > INT64_MAX / 1024 || v->since_ms < 0 || v->last_ms < 0;
}

static const char *bad(const struct otd_session_record *r)
{
	if (!(r->flags & OTD_SESSION_EXTRANONCE) != !r->extranonce1.len ||
	    r->extranonce1.len > OTD_JOB_EXTRANONCE1_MAX)
		return "its extranonce1";
	if (r->agent.len > OTD_SESSION_AGENT_MAX)
		return "its agent";
	if (bad_vardiff(&r->vardiff))
		return "its difficulty";
	if (r->opened_ms < 0 || r->sent_ms < 0)
		return "its times";
	if (r->sent_order > UINT64_MAX >> 8 || r->sent_repeat > OTD_SESSION_REPEATS_MAX)
		return "the job that it was sent";
	if (r->n_workers > OTD_SESSION_WORKERS)
		return "its workers";
	return NULL;
}

otd_rc otd_session_record_read(struct otd_session_record *r, struct otd_unpack *from,
			       struct otd_err *err)
{
	struct otd_unpack u = otd_unpack_part(from);
	memset(r, 0, sizeof(*r));
	r->version = otd_unpack_u16(&u);
	if (!u.failed && r->version < OTD_SESSION_RECORD_OLDEST)
		return otd_fail(err, OTD_E_VERSION,
				"a session was handed over in form %u, this otedama reads %d and "
				"later",
				r->version, OTD_SESSION_RECORD_OLDEST);
	r->pool = otd_unpack_u32(&u);
	r->port = otd_unpack_u16(&u);
	otd_unpack_text(&u, r->host, sizeof(r->host));
	r->peer_port = otd_unpack_u16(&u);
	r->flags = otd_unpack_u32(&u);
	r->extranonce1 = otd_unpack_span(&u);
	r->version_mask = otd_unpack_u32(&u);
	r->asked_mask = otd_unpack_u32(&u);
	r->bad_lines = otd_unpack_u32(&u);
	r->opened_ms = otd_unpack_i64(&u);
	r->agent = otd_unpack_span(&u);
	read_vardiff(&u, &r->vardiff);
	r->vardiff.fixed = (r->flags & OTD_SESSION_VARDIFF_FIXED) != 0;
	r->n_targets = otd_unpack_u8(&u);
	if (r->n_targets > OTD_SESSION_RECORD_TARGETS)
		u.failed = true;
	for (size_t i = 0; i < r->n_targets && !u.failed; i++) {
		r->targets[i].from = otd_unpack_u64(&u);
		r->targets[i].target = otd_unpack_u256(&u);
		if (otd_u256_is_zero(r->targets[i].target) ||
		    (i && r->targets[i].from < r->targets[i - 1].from))
			u.failed = true;
	}
	r->sent_order = otd_unpack_u64(&u);
	r->sent_repeat = otd_unpack_u32(&u);
	r->sent_ms = otd_unpack_i64(&u);
	r->n_workers = otd_unpack_u16(&u);
	r->workers = otd_unpack_part(&u);
	r->in = otd_unpack_span(&u);
	r->out = otd_unpack_span(&u);
	r->resume_id = otd_unpack_u64(&u);
	if (u.failed)
		return corrupt(err, "it is cut short");
#if OTD_SESSION_RECORD > 1
	if (r->version > 1 &&
	    otd_unpack_u64(&u) != (UINT64_C(0x6e65787400000000) | OTD_SESSION_RECORD))
		return corrupt(err, "what tests add");
#endif
	const char *what = bad(r);
	return what ? corrupt(err, what) : OTD_OK;
}

bool otd_session_record_worker(struct otd_session_record *r, struct otd_session_record_worker *w)
{
	if (!r->workers.left)
		return false;
	struct otd_unpack u = otd_unpack_part(&r->workers);
	w->user = otd_unpack_span(&u);
	w->account = otd_unpack_span(&u);
	w->name = otd_unpack_span(&u);
	w->accepted = otd_unpack_u64(&u);
	w->refused = otd_unpack_u64(&u);
	return !u.failed && w->user.len && w->user.len <= USER_MAX && w->account.len &&
	       w->account.len <= OTD_WORKER_ACCOUNT_MAX && w->name.len <= OTD_WORKER_NAME_MAX;
}
