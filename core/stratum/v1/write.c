/* What a miner is sent: jobs, verdicts, notices. See v1/v1.h. */
#include "stratum/v1/v1.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES (8u << 20) /* a notify with the largest coinbase a job may have */

/*
 * A notify as all sessions of the pool get it, with three places that differ by sending: the two
 * digits behind the job's number (a job sent again must not bear the same id), the time, and
 * whether older work is worthless.
 */
struct rendered {
	struct otd_conn_text
		*whole[2]; /* as it is sent first, by whether it is clean; NULL: not yet */
	size_t repeat_at, time_at, len;
	char text[];
};

static const char *const ends[2] = {"false]}\n", "true]}\n"};

static void reverse_words(uint8_t to[32], const uint8_t from[32])
{
	for (int w = 0; w < 8; w++) {
		for (int i = 0; i < 4; i++)
			to[4 * w + i] = from[4 * w + 3 - i];
	}
}

static otd_rc render(struct otd_bytes *b, const struct otd_job *job, size_t *repeat_at,
		     size_t *time_at)
{
	uint8_t prev[32];

	reverse_words(prev, job->prev);
	(void)otd_bytes_format(b, "{\"id\":null,\"method\":\"mining.notify\",\"params\":[\"%08x",
			       job->id);
	*repeat_at = b->len;
	(void)otd_bytes_text(b, "00\",\"");
	(void)otd_bytes_hex(b, prev, sizeof(prev));
	(void)otd_bytes_text(b, "\",\"");
	(void)otd_bytes_hex(b, job->coinbase1.ptr, job->coinbase1.len);
	(void)otd_bytes_text(b, "\",\"");
	(void)otd_bytes_hex(b, job->coinbase2.ptr, job->coinbase2.len);
	(void)otd_bytes_text(b, "\",[");
	for (uint32_t i = 0; i < job->n_branches; i++) {
		(void)otd_bytes_text(b, i ? ",\"" : "\"");
		(void)otd_bytes_hex(b, job->branches[i], 32);
		(void)otd_bytes_text(b, "\"");
	}
	(void)otd_bytes_format(b, "],\"%08x\",\"%08x\",\"", job->version, job->nbits);
	*time_at = b->len;
	(void)otd_bytes_format(b, "%08x\",", (uint32_t)job->time_s);
	return b->failed ? OTD_E_NOMEM : OTD_OK;
}

void *otd_v1_job_render(const struct otd_job *job)
{
	struct rendered *r = NULL;
	struct otd_bytes b;
	size_t repeat_at, time_at;

	otd_bytes_init(&b, LINE_MAX_BYTES);
	if (render(&b, job, &repeat_at, &time_at))
		goto out;
	r = malloc(sizeof(*r) + b.len);
	if (!r)
		goto out;
	r->whole[0] = r->whole[1] = NULL;
	r->repeat_at = repeat_at;
	r->time_at = time_at;
	r->len = b.len;
	memcpy(r->text, b.ptr, b.len);
out:
	otd_bytes_finish(&b);
	return r;
}

void otd_v1_job_free(void *rendered)
{
	struct rendered *r = rendered;

	if (!r)
		return;
	otd_conn_text_drop(r->whole[0]);
	otd_conn_text_drop(r->whole[1]);
	free(r);
}

/* The line as nearly all sessions get it, made once and shared. */
static void send_whole(struct otd_session *s, struct rendered *r, bool clean)
{
	const struct otd_span parts[2] = {
		{(const uint8_t *)r->text, r->len},
		{(const uint8_t *)ends[clean], strlen(ends[clean])},
	};

	if (!s->conn)
		return;
	if (!r->whole[clean] && otd_conn_text_create(&r->whole[clean], parts, 2)) {
		otd_session_close(s, OTD_CONN_NO_MEMORY);
		return;
	}
	(void)otd_conn_write_text(s->conn, r->whole[clean]);
}

static const char *difficulty_text(struct otd_session *s, struct otd_u256 target)
{
	struct otd_stratum *st = s->st;
	struct otd_u256 diff1 = otd_session_diff1(s);

	if (!*st->difficulty.text || otd_u256_cmp(st->difficulty.target, target) ||
	    otd_u256_cmp(st->difficulty.diff1, diff1)) {
		(void)otd_difficulty_format(st->difficulty.text, target, diff1);
		st->difficulty.target = target;
		st->difficulty.diff1 = diff1;
	}
	return st->difficulty.text;
}

static void send_difficulty(struct otd_session *s, struct otd_u256 target)
{
	char line[128];
	int n = snprintf(line, sizeof(line),
			 "{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[%s]}\n",
			 difficulty_text(s, target));
	otd_session_notice(s, line, (size_t)n);
}

void otd_v1_job_send(struct otd_session *s, const struct otd_job *job, uint8_t repeat,
		     int64_t time_s, bool clean, const struct otd_u256 *new_target)
{
	struct rendered *r = job->front;
	char digits[9];

	if (!r)
		return;
	/* Directly before the notify it is meant for, and one at most: firmware applies the second
	   of two to the notify after. */
	if (new_target)
		send_difficulty(s, *new_target);
	if (!repeat) {
		send_whole(s, r, clean);
		return;
	}
	otd_session_notice(s, r->text, r->repeat_at);
	snprintf(digits, sizeof(digits), "%02x", repeat);
	otd_session_notice(s, digits, 2);
	otd_session_notice(s, r->text + r->repeat_at + 2, r->time_at - r->repeat_at - 2);
	snprintf(digits, sizeof(digits), "%08x", (uint32_t)time_s);
	otd_session_notice(s, digits, 8);
	otd_session_notice(s, r->text + r->time_at + 8, r->len - r->time_at - 8);
	otd_session_notice(s, ends[clean], strlen(ends[clean]));
}

/* What the codes of the first pool meant, and texts that say what to do. */
static const struct {
	int code;
	const char *text;
} errors[OTD_SHARE_VERDICTS] = {
	[OTD_SHARE_STALE] = {21, "Job not found or stale"},
	[OTD_SHARE_DUPLICATE] = {22, "Duplicate share"},
	[OTD_SHARE_LOW_DIFFICULTY] = {23, "Low difficulty share"},
	[OTD_SHARE_UNAUTHORIZED] = {24, "Unauthorized worker"},
	[OTD_SHARE_NOT_SUBSCRIBED] = {25, "Not subscribed"},
	[OTD_SHARE_MALFORMED] = {20, "Malformed share"},
	[OTD_SHARE_TIME] = {20, "ntime out of range"},
	[OTD_SHARE_VERSION] = {20, "Version bits outside of the mask"},
	[OTD_SHARE_UNAVAILABLE] = {20, "The pool cannot store shares now"},
};

static void put_id(struct otd_bytes *out, struct otd_span id)
{
	(void)otd_bytes_add(out, "{\"id\":", 6);
	(void)otd_bytes_add(out, id.ptr, id.len);
}

void otd_v1_verdict(struct otd_bytes *out, struct otd_span id, enum otd_share_verdict v)
{
	static const char yes[] = ",\"result\":true,\"error\":null}\n";

	put_id(out, id);
	if (v == OTD_SHARE_ACCEPTED)
		(void)otd_bytes_add(out, yes, sizeof(yes) - 1);
	else
		(void)otd_bytes_format(out, ",\"result\":false,\"error\":[%d,\"%s\",null]}\n",
				       errors[v].code, errors[v].text);
}

void otd_v1_authorized(struct otd_bytes *out, struct otd_span id, otd_rc rc, struct otd_span reason)
{
	static const char head[] = ",\"result\":false,\"error\":[24,";

	if (!rc) {
		otd_v1_verdict(out, id, OTD_SHARE_ACCEPTED);
		return;
	}
	put_id(out, id);
	(void)otd_bytes_add(out, head, sizeof(head) - 1);
	if (reason.len)
		(void)otd_bytes_json(out, (const char *)reason.ptr, reason.len);
	else
		(void)otd_bytes_text(out, "\"Unauthorized worker\"");
	(void)otd_bytes_text(out, ",null]}\n");
}

void otd_v1_answer(struct otd_session *s, struct otd_span id, const char *result, const char *error)
{
	struct otd_bytes *b = &s->st->scratch;

	otd_bytes_clear(b);
	put_id(b, id);
	(void)otd_bytes_format(b, ",\"result\":%s,\"error\":%s}\n", result, error);
	otd_session_answer(s, b->ptr, b->len);
}

void otd_v1_answer_true(struct otd_session *s, const struct otd_v1_request *q)
{
	otd_v1_answer(s, q->id, "true", "null");
}

void otd_v1_answer_error(struct otd_session *s, struct otd_span id, int code, const char *text)
{
	char error[160];

	snprintf(error, sizeof(error), "[%d,\"%s\",null]", code, text);
	otd_v1_answer(s, id, "null", error);
}

void otd_v1_reconnect(struct otd_session *s, const char *host, uint16_t port, uint32_t wait_s)
{
	struct otd_bytes *b = &s->st->scratch;

	otd_bytes_clear(b);
	(void)otd_bytes_text(b, "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[");
	if (host && *host) {
		(void)otd_bytes_json(b, host, strlen(host));
		(void)otd_bytes_format(b, ",%u,%u", port, wait_s);
	}
	(void)otd_bytes_text(b, "]}\n");
	otd_session_notice(s, b->ptr, b->len);
}

void otd_v1_show_message(struct otd_session *s, const char *text)
{
	struct otd_bytes *b = &s->st->scratch;

	otd_bytes_clear(b);
	(void)otd_bytes_text(b, "{\"id\":null,\"method\":\"client.show_message\",\"params\":[");
	(void)otd_bytes_json(b, text, strlen(text));
	(void)otd_bytes_text(b, "]}\n");
	if (!b->failed)
		otd_session_notice(s, b->ptr, b->len);
}
