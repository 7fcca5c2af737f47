/* What becomes of sessions between their end and their resumption. See stratum/resume.h. */
#include "stratum/resume.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "stratum/image.h"
#include "stratum/session.h"

#define LOOKS_A_SECOND 16 /* searches for a session that stands: each goes through all of them */
#define RESUMED        "resumed by another connection"

struct otd_resume_kept {
	struct otd_resume_kept *prev, *next; /* in the order of their ends */
	uint64_t id;
	int64_t until_ms;
	uint32_t pool;
	uint16_t port;
	uint8_t extranonce1[OTD_JOB_EXTRANONCE1_MAX];
	struct otd_u256 wanted; /* its difficulty */
	struct otd_u256 judged; /* the easiest that work was sent with */
	uint64_t sent_order;
	uint32_t sent_repeat;
};

static int64_t now_ms(const struct otd_stratum *st)
{
	return (int64_t)(otd_mono_ns(st->env) / 1000000);
}

void otd_resume_init(struct otd_stratum *st)
{
	struct otd_metrics *m = st->conf.metrics;

	st->resume.m_resumed = otd_metric(m, OTD_COUNTER, "otd_sessions_resumed_total", "",
					  "Sessions that went on with their extranonce1");
	st->resume.m_moved =
		otd_metric(m, OTD_COUNTER, "otd_sessions_moved_total", "",
			   "Connections that went to the reactor of the session that they resume");
}

/* --- those that are kept --- */

/* Its extranonce1 is still taken. */
static void unlink_kept(struct otd_resume *r, struct otd_resume_kept *k)
{
	*(k->prev ? &k->prev->next : &r->first) = k->next;
	*(k->next ? &k->next->prev : &r->last) = k->prev;
	(void)otd_map_remove(r->map, &k->id, sizeof(k->id), NULL);
	r->n--;
}

static void drop_kept(struct otd_stratum *st, struct otd_resume_kept *k)
{
	unlink_kept(&st->resume, k);
	otd_reactor_extranonce_give(st->conf.reactor, k->pool, k->extranonce1);
	free(k);
}

static bool add_kept(struct otd_stratum *st, struct otd_resume_kept *k)
{
	struct otd_resume *r = &st->resume;

	if (!r->map) {
		uint8_t seed[16];
		st->env->ops->random(st->env, seed, sizeof(seed));
		r->map = otd_map_create(seed, OTD_RESUME_MAX + 1);
	}
	if (!r->map ||
	    otd_map_add(r->map, &k->id, sizeof(k->id), (uint64_t)(uintptr_t)k, NULL) != OTD_OK)
		return false;
	k->prev = r->last;
	k->next = NULL;
	*(r->last ? &r->last->next : &r->first) = k;
	r->last = k;
	if (++r->n > OTD_RESUME_MAX)
		drop_kept(st, r->first);
	return true;
}

static void describe(struct otd_resume_kept *k, const struct otd_session *s)
{
	*k = (struct otd_resume_kept){.id = s->resume_id,
				      .until_ms = now_ms(s->st) + s->st->conf.limits.resume_ms,
				      .pool = s->port->pool,
				      .port = s->port->number,
				      .wanted = s->vardiff.target,
				      .judged = s->vardiff.target,
				      .sent_order = s->sent_order,
				      .sent_repeat = s->sent_repeat};
	memcpy(k->extranonce1, s->extranonce1, sizeof(k->extranonce1));
	for (size_t i = 0; i < s->n_targets; i++) {
		if (otd_u256_cmp(s->targets[i].target, k->judged) > 0)
			k->judged = s->targets[i].target;
	}
}

/* Who never logged in has nothing to go on with, and costs no memory. */
static bool may_keep(const struct otd_session *s)
{
	return s->resume_id && s->has_extranonce1 && s->n_workers &&
	       s->st->conf.limits.resume_ms > 0 && !s->st->broadcasts[s->port->pool].gone;
}

bool otd_session_keep(struct otd_session *s)
{
	struct otd_stratum *st = s->st;
	struct otd_resume_kept *k;

	if (!may_keep(s))
		return false;
	k = malloc(sizeof(*k));
	if (!k)
		return false;
	describe(k, s);
	if (add_kept(st, k))
		return true;
	free(k);
	return false;
}

void otd_resume_tick(struct otd_stratum *st, int64_t now)
{
	while (st->resume.first && st->resume.first->until_ms <= now)
		drop_kept(st, st->resume.first);
}

void otd_resume_forget_pool(struct otd_stratum *st, uint32_t pool)
{
	struct otd_resume_kept *next;

	for (struct otd_resume_kept *k = st->resume.first; k; k = next) {
		next = k->next;
		if (k->pool == pool)
			drop_kept(st, k);
	}
}

void otd_resume_finish(struct otd_stratum *st)
{
	while (st->resume.first)
		drop_kept(st, st->resume.first);
	otd_map_destroy(st->resume.map);
	st->resume.map = NULL;
}

/* --- to another process --- */

static void save_one(struct otd_bytes *out, const struct otd_resume_kept *k, uint32_t length)
{
	size_t part = otd_pack_begin(out);
	otd_pack_u64(out, k->id);
	otd_pack_i64(out, k->until_ms);
	otd_pack_u32(out, k->pool);
	otd_pack_u16(out, k->port);
	otd_pack_span(out, (struct otd_span){k->extranonce1, length});
	otd_pack_u256(out, k->wanted);
	otd_pack_u256(out, k->judged);
	otd_pack_u64(out, k->sent_order);
	otd_pack_u32(out, k->sent_repeat);
	otd_pack_end(out, part);
}

static uint32_t length_of(const struct otd_stratum *st, uint32_t pool)
{
	return otd_reactor_pool(st->conf.reactor, pool)->extranonce1_len;
}

void otd_stratum_save_kept(struct otd_stratum *st, struct otd_bytes *out)
{
	for (const struct otd_resume_kept *k = st->resume.first; k; k = k->next)
		save_one(out, k, length_of(st, k->pool));
	for (const struct otd_session *s = st->all; s; s = s->next) {
		struct otd_resume_kept k;
		if (!may_keep(s))
			continue;
		describe(&k, s);
		save_one(out, &k, length_of(st, k.pool));
	}
}

static bool load_one(struct otd_resume_kept *k, struct otd_unpack *u, struct otd_span *extranonce1)
{
	*k = (struct otd_resume_kept){.id = otd_unpack_u64(u)};
	k->until_ms = otd_unpack_i64(u);
	k->pool = otd_unpack_u32(u);
	k->port = otd_unpack_u16(u);
	*extranonce1 = otd_unpack_span(u);
	k->wanted = otd_unpack_u256(u);
	k->judged = otd_unpack_u256(u);
	k->sent_order = otd_unpack_u64(u);
	k->sent_repeat = otd_unpack_u32(u);
	return !u->failed && k->id && k->until_ms >= 0 &&
	       extranonce1->len <= sizeof(k->extranonce1) && !otd_u256_is_zero(k->wanted) &&
	       !otd_u256_is_zero(k->judged) && k->sent_repeat <= OTD_SESSION_REPEATS_MAX;
}

bool otd_stratum_kept_extranonce(struct otd_unpack *kept, struct otd_span *extranonce1)
{
	struct otd_resume_kept k;
	struct otd_unpack u = otd_unpack_part(kept);

	return !kept->failed && load_one(&k, &u, extranonce1);
}

otd_rc otd_stratum_load_kept(struct otd_stratum *st, struct otd_span kept, int64_t shift_ms,
			     uint32_t (*pool_now)(void *arg, uint32_t was), void *arg,
			     const struct otd_job_orders *(*orders)(void *arg, uint32_t was))
{
	struct otd_unpack in = otd_unpack_of(kept);
	int64_t now = now_ms(st), longest = now + st->conf.limits.resume_ms;

	while (in.left) {
		struct otd_unpack u = otd_unpack_part(&in);
		struct otd_resume_kept *k = malloc(sizeof(*k));
		struct otd_span extranonce1;
		if (!k)
			return OTD_E_NOMEM;
		if (in.failed || !load_one(k, &u, &extranonce1)) {
			free(k);
			return OTD_E_CORRUPT;
		}
		const struct otd_job_orders *o = orders(arg, k->pool);
		k->pool = pool_now(arg, k->pool);
		k->sent_order = o ? otd_job_order_now(o, k->sent_order) : 0;
		k->until_ms = k->until_ms < longest - shift_ms ? k->until_ms + shift_ms : longest;
		bool good = k->pool != UINT32_MAX && k->until_ms > now &&
			    extranonce1.len == length_of(st, k->pool);
		if (good)
			memcpy(k->extranonce1, extranonce1.ptr, extranonce1.len);
		/* Epochs come round: it may be anybody's here. */
		good = good &&
		       !otd_reactor_extranonce_is_own(st->conf.reactor, k->pool, k->extranonce1);
		if (!good || !add_kept(st, k))
			free(k);
	}
	return OTD_OK;
}

/* --- ids --- */

const char *otd_session_resume_id(struct otd_session *s, char to[OTD_RESUME_TEXT + 1])
{
	to[0] = 0;
	if (s->st->conf.limits.resume_ms <= 0)
		return to;
	while (!s->resume_id)
		s->st->env->ops->random(s->st->env, &s->resume_id, sizeof(s->resume_id));
	(void)snprintf(to, OTD_RESUME_TEXT + 1, "%02x%016" PRIx64, s->st->conf.index & 0xff,
		       s->resume_id);
	return to;
}

static bool parse_id(struct otd_span text, uint32_t *reactor, uint64_t *id)
{
	uint8_t raw[OTD_RESUME_TEXT / 2];

	size_t n;

	if (text.len != OTD_RESUME_TEXT ||
	    otd_hex_decode(raw, sizeof(raw), &n, (const char *)text.ptr, text.len) != OTD_OK)
		return false;
	*reactor = raw[0];
	*id = 0;
	for (size_t i = 1; i < sizeof(raw); i++)
		*id = *id << 8 | raw[i];
	return *id != 0;
}

/* --- resumption --- */

/* One that stands and has this id: its connection is dead, and nobody has told us. */
static bool take_standing(struct otd_session *s, uint64_t id, struct otd_resume_kept *k)
{
	struct otd_stratum *st = s->st;
	int64_t second = now_ms(st) / 1000;

	if (second != st->resume.looked_ms) {
		st->resume.looked_ms = second;
		st->resume.looks = 0;
	}
	if (st->resume.looks++ >= LOOKS_A_SECOND)
		return false;
	for (size_t i = 0; i < st->n_open; i++) {
		struct otd_session *t = st->open[i];
		if (t->resume_id != id || t == s || t->closing || !t->has_extranonce1 ||
		    t->port != s->port)
			continue;
		describe(k, t);
		/* Its shares on their way have it by value. */
		t->has_extranonce1 = false;
		t->resume_id = 0;
		otd_session_close(t, RESUMED);
		return true;
	}
	return false;
}

static bool take_kept(struct otd_session *s, uint64_t id, struct otd_resume_kept *to)
{
	struct otd_resume *r = &s->st->resume;
	uint64_t at;

	if (!r->map || !otd_map_get(r->map, &id, sizeof(id), &at))
		return false;
	struct otd_resume_kept *k = (struct otd_resume_kept *)(uintptr_t)at;
	if (k->pool != s->port->pool || k->port != s->port->number)
		return false;
	*to = *k;
	unlink_kept(r, k);
	free(k);
	return true;
}

static void go_on(struct otd_session *s, const struct otd_resume_kept *k)
{
	memcpy(s->extranonce1, k->extranonce1, sizeof(s->extranonce1));
	s->has_extranonce1 = true;
	s->resumed = true;
	if (!s->vardiff.fixed)
		otd_vardiff_suggest(&s->vardiff, k->wanted, otd_session_now_ms(s));
	/* What it was sent before is judged no harder than then. */
	otd_session_target_add(s, 0, k->judged);
	/* It does not begin anew with the work that it has done: that is sent as another. */
	s->sent_order = k->sent_repeat < OTD_SESSION_REPEATS_MAX ? k->sent_order : 0;
	s->sent_repeat = s->sent_order ? k->sent_repeat : 0;
	otd_metric_add(s->st->resume.m_resumed, 1);
}

enum otd_resume_result otd_session_resume(struct otd_session *s, struct otd_span text,
					  struct otd_span line)
{
	struct otd_resume_kept k;
	uint32_t reactor;
	uint64_t id;

	if (s->st->conf.limits.resume_ms <= 0 || s->subscribed || s->has_extranonce1 ||
	    s->resume_failed || !parse_id(text, &reactor, &id))
		return OTD_RESUME_NO;
	if (reactor != (s->st->conf.index & 0xff))
		return otd_session_move(s, reactor, line) ? OTD_RESUME_MOVES : OTD_RESUME_NO;
	if (!take_kept(s, id, &k) && !take_standing(s, id, &k))
		return OTD_RESUME_NO;
	go_on(s, &k);
	return OTD_RESUME_YES;
}
