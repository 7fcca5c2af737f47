/* mining.submit [user, job, extranonce2, ntime, nonce, version bits?]. */
#include "stratum/v1/v1.h"

#include <string.h>

static bool text_of(struct otd_span *out, const json_t *params, size_t i)
{
	const json_t *v = json_array_get(params, i);

	if (!json_is_string(v))
		return false;
	out->ptr = (const uint8_t *)json_string_value(v);
	out->len = json_string_length(v);
	return true;
}

otd_rc otd_v1_read_submit(struct otd_v1_submit *out, const struct otd_v1_request *q)
{
	memset(out, 0, sizeof(*out));
	out->id = q->id;
	if (!text_of(&out->user, q->params, 0) || !text_of(&out->job, q->params, 1) ||
	    !text_of(&out->extranonce2, q->params, 2) || !text_of(&out->ntime, q->params, 3) ||
	    !text_of(&out->nonce, q->params, 4))
		return OTD_E_INVALID;
	if (json_array_size(q->params) > 5 && !json_is_null(json_array_get(q->params, 5))) {
		out->has_version = true;
		if (!text_of(&out->version, q->params, 5))
			return OTD_E_INVALID;
	}
	return OTD_OK;
}

static bool hex_u32(uint32_t *out, struct otd_span s, size_t least)
{
	return s.len >= least && !otd_hex_u32(out, (const char *)s.ptr, s.len);
}

/* Eight digits name the job, two tell one sending of it from another. */
static bool job_id(uint32_t *job, uint8_t *repeat, struct otd_span s)
{
	struct otd_span number = {s.ptr, 8}, again = {s.ptr + 8, 2};
	uint32_t r = 0;

	if (s.len != 10 || !hex_u32(job, number, 8) || !hex_u32(&r, again, 2))
		return false;
	*repeat = (uint8_t)r;
	return true;
}

static bool decode(struct otd_submit *out, const struct otd_v1_submit *m, size_t extranonce2_len)
{
	size_t n = 0;

	/* Bytes, not digits: the same share in other letters is the same share. */
	if (otd_hex_decode(out->extranonce2, sizeof(out->extranonce2), &n,
			   (const char *)m->extranonce2.ptr, m->extranonce2.len) ||
	    n != extranonce2_len)
		return false;
	if (!hex_u32(&out->ntime, m->ntime, 8) || !hex_u32(&out->nonce, m->nonce, 8))
		return false;
	return !m->has_version || hex_u32(&out->version_bits, m->version, 1);
}

void otd_v1_submit(struct otd_session *s, const struct otd_v1_submit *m)
{
	struct otd_submit out = {0};
	uint8_t repeat = 0;

	if (!s->subscribed) {
		otd_session_refuse(s, m->id, NULL, OTD_SHARE_NOT_SUBSCRIBED);
		return;
	}
	out.worker = otd_session_worker(s, m->user);
	if (!out.worker && s->n_workers) {
		/* Refused, but not before it was tested for a block. */
		out.worker = s->workers[0].worker;
		out.otherwise = OTD_SHARE_UNAUTHORIZED;
	}
	if (!out.worker)
		otd_session_refuse(s, m->id, NULL, OTD_SHARE_UNAUTHORIZED);
	else if (!decode(&out, m, otd_session_pool(s)->extranonce2_len))
		otd_session_refuse(s, m->id, out.worker, OTD_SHARE_MALFORMED);
	else if (!job_id(&out.job, &repeat, m->job))
		otd_session_refuse(s, m->id, out.worker, OTD_SHARE_STALE);
	else
		otd_session_submit(s, m->id, &out, repeat);
}

void otd_v1_handle_submit(struct otd_session *s, const struct otd_v1_request *q)
{
	struct otd_v1_submit m;

	if (otd_v1_read_submit(&m, q))
		otd_session_refuse(s, q->id, NULL, OTD_SHARE_MALFORMED);
	else
		otd_v1_submit(s, &m);
}
