/* A connection on its way to the reactor of the session that it resumes. See stratum/resume.h. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "stratum/policy.h"
#include "stratum/resume.h"
#include "stratum/session.h"

#define TRIES 50 /* rounds in which what was written before may leave */

struct otd_resume_move {
	struct otd_session *s;  /* NULL: it has ended meanwhile */
	struct otd_stratum *to; /* NULL: it is in another process */
	uint32_t reactor;
	unsigned tries;
	size_t line_len;
	uint8_t line[];
};

/* What arrives there. */
struct arrival {
	struct otd_stratum *st;
	struct otd_stratum *from; /* NULL: it comes from another process */
	struct otd_stream *stream;
	bool has_ticket;
	struct otd_stratum_moved moved;
	size_t early_len;
	uint8_t early[];
};

static void on_arrival(void *arg)
{
	struct arrival *a = arg;
	const struct otd_stratum_moved *m = &a->moved;
	const struct otd_conn_origin from = {.host = *m->host ? m->host : NULL,
					     .port = m->peer_port,
					     .early = {a->early, a->early_len},
					     .had_line = true};
	/* Closes it, and ends its ticket, where it cannot come in. */
	struct otd_session *s = otd_stratum_open(a->st, a->stream, m->port,
						 a->has_ticket ? &m->ticket : NULL, &from);

	if (s) {
		s->version_mask = m->version_mask;
		s->asked_mask = m->asked_mask;
		s->bad_lines = m->bad_lines;
		s->resume_failed = m->stays;
		otd_session_policy_loaded(s);
		otd_metric_add(a->st->resume.m_moved, 1);
	}
	if (a->from)
		atomic_fetch_sub(&a->from->resume.leaving, 1);
	free(a);
}

otd_rc otd_stratum_arrive_post(struct otd_stratum *st, struct otd_stream *s,
			       const struct otd_stratum_moved *m, struct otd_span early)
{
	struct arrival *a = calloc(1, sizeof(*a) + early.len);

	if (!a)
		return OTD_E_NOMEM;
	a->st = st;
	a->stream = s;
	a->has_ticket = true;
	a->moved = *m;
	a->moved.host[sizeof(a->moved.host) - 1] = '\0';
	a->early_len = early.len;
	if (early.len)
		memcpy(a->early, early.ptr, early.len);
	otd_rc rc = otd_loop_post(otd_reactor_loop(st->conf.reactor), on_arrival, a);
	if (rc)
		free(a);
	return rc;
}

static uint32_t port_number(const struct otd_session *s)
{
	uint32_t i = 0;
	while (i < s->st->n_ports && &s->st->ports[i]->conf != s->port)
		i++;
	return i;
}

static struct arrival *arrival_of(const struct otd_session *s, const struct otd_resume_move *m)
{
	size_t most = m->line_len + 1 + 2 * s->st->conf.limits.line_max + 65536;
	struct arrival *a = calloc(1, sizeof(*a) + most);

	if (!a)
		return NULL;
	a->st = m->to;
	a->from = s->st;
	a->has_ticket = s->has_ticket;
	a->moved = (struct otd_stratum_moved){.ticket = s->ticket,
					      .port = port_number(s),
					      .version_mask = s->version_mask,
					      .asked_mask = s->asked_mask,
					      .bad_lines = s->bad_lines,
					      .peer_port = otd_conn_port(s->conn)};
	(void)snprintf(a->moved.host, sizeof(a->moved.host), "%s", otd_conn_host(s->conn));
	memcpy(a->early, m->line, m->line_len);
	a->early[m->line_len] = '\n';
	a->early_len = m->line_len + 1;
	return a;
}

/* Takes a where it succeeds. */
static bool send_away(struct otd_session *s, const struct otd_resume_move *m, struct arrival *a)
{
	struct otd_stratum *st = s->st;

	if (!m->to) {
		if (!st->conf.move(st->conf.arg, m->reactor, &a->moved, a->stream,
				   (struct otd_span){a->early, a->early_len}))
			return false;
		free(a);
		return true;
	}
	atomic_fetch_add(&st->resume.leaving, 1);
	if (otd_loop_post(otd_reactor_loop(m->to->conf.reactor), on_arrival, a) == OTD_OK)
		return true;
	atomic_fetch_sub(&st->resume.leaving, 1);
	return false;
}

/* Where it leaves: true. */
static bool leave(struct otd_session *s, struct otd_resume_move *m)
{
	struct arrival *a = arrival_of(s, m);
	struct otd_bytes in, out;
	char own[64];

	if (!a)
		return false;
	otd_bytes_init(&in, SIZE_MAX / 2);
	otd_bytes_init(&out, SIZE_MAX / 2);
	struct otd_stream *stream = otd_conn_release(s->conn, &in, &out);
	bool fits = in.len <= 2 * s->st->conf.limits.line_max + 65536 && !out.len;
	if (stream && fits) {
		s->st->env->ops->stream_peer(stream, own, sizeof(own), NULL);
		if (strcmp(own, a->moved.host) == 0)
			a->moved.host[0] = 0;
		if (in.len)
			memcpy(a->early + a->early_len, in.ptr, in.len);
		a->early_len += in.len;
		a->stream = stream;
	}
	if (stream && fits && send_away(s, m, a)) {
		s->has_ticket = false; /* it goes with it */
	} else {
		s->st->env->ops->stream_close(stream);
		free(a);
	}
	otd_bytes_finish(&in);
	otd_bytes_finish(&out);
	return stream != NULL;
}

/* It stays, and is a new session. */
static void stay(struct otd_session *s, const struct otd_resume_move *m)
{
	s->resume_failed = true;
	otd_conn_pause(s->conn, s->paused || s->st->freeze.on);
	s->dialect->line(s, (struct otd_span){m->line, m->line_len});
}

static void on_round_end(void *arg)
{
	struct otd_resume_move *m = arg;
	struct otd_session *s = m->s;

	if (s && s->conn && otd_conn_pending(s->conn) && ++m->tries < TRIES &&
	    otd_loop_post(otd_reactor_loop(s->st->conf.reactor), on_round_end, m) == OTD_OK)
		return;
	if (s) {
		s->move = NULL;
		if (s->conn && !s->closing &&
		    (otd_conn_pending(s->conn) || s->st->freeze.on || !leave(s, m)))
			stay(s, m);
	}
	free(m);
}

bool otd_session_move(struct otd_session *s, uint32_t reactor, struct otd_span line)
{
	struct otd_stratum *st = s->st;
	struct otd_stratum *to = st->conf.peer ? st->conf.peer(st->conf.arg, reactor) : NULL;

	/* What would have to go along beyond the masks: it stays. */
	if ((!to && (!st->conf.move || !s->has_ticket)) || to == st || s->tls || s->n_workers ||
	    s->head != s->tail || s->move || st->freeze.on || st->draining)
		return false;
	struct otd_resume_move *m = calloc(1, sizeof(*m) + line.len);
	if (!m)
		return false;
	m->s = s;
	m->to = to;
	m->reactor = reactor;
	m->line_len = line.len;
	memcpy(m->line, line.ptr, line.len);
	if (otd_loop_post(otd_reactor_loop(st->conf.reactor), on_round_end, m) != OTD_OK) {
		free(m);
		return false;
	}
	s->move = m;
	otd_conn_pause(s->conn, true);
	return true;
}

void otd_session_move_end(struct otd_session *s)
{
	if (s->move)
		s->move->s = NULL;
	s->move = NULL;
}
