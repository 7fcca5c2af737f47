/*
 * How a stream becomes a session. A plain port opens it at once. On a port with TLS the first byte decides
 * (net/door.h); what a proxy said of it, and what it brought with it, is known by then (net/listener.h).
 */
#include "base/log.h"
#include "net/door.h"
#include "net/tls.h"
#include "stratum/image.h"
#include "stratum/policy.h"
#include "stratum/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLAIN_REFUSED                                                                              \
	"{\"id\":null,\"result\":null,\"error\":[20,\"this port takes connections with TLS only: " \
	"write stratum+ssl:// in front of its address\",null]}\n"

void otd_stratum_ended(struct otd_stratum *st, const struct otd_ticket *ticket)
{
	if (ticket && st->conf.ended)
		st->conf.ended(st->conf.arg, ticket);
}

otd_rc otd_stratum_open_room(struct otd_stratum *st)
{
	if (st->n_open < st->cap_open)
		return OTD_OK;
	size_t cap = st->cap_open ? 2 * st->cap_open : 64;
	void *p = realloc(st->open, cap * sizeof(struct otd_session *));
	if (!p)
		return OTD_E_NOMEM;
	st->open = p;
	st->cap_open = cap;
	return OTD_OK;
}

void otd_stratum_enlist(struct otd_stratum *st, struct otd_session *s)
{
	s->next = st->all;
	if (s->next)
		s->next->prev = s;
	st->all = s;
}

void otd_stratum_open_one(struct otd_stratum *st, struct otd_session *s)
{
	s->place = st->n_open;
	st->open[st->n_open++] = s;
	atomic_fetch_add_explicit(&st->sessions, 1, memory_order_relaxed);
	otd_metric_add(st->m_sessions, 1);
	if (st->freeze.on)
		otd_conn_pause(s->conn, true);
}

static bool may_open(const struct otd_stratum *st, uint32_t port)
{
	return port < st->n_ports && !st->broadcasts[st->ports[port]->conf.pool].gone &&
	       !st->draining && st->n_open < st->conf.limits.sessions_max;
}

static void turn_away(struct otd_stratum *st, struct otd_stream *stream,
		      const struct otd_ticket *ticket)
{
	st->env->ops->stream_close(stream);
	otd_stratum_ended(st, ticket);
}

struct otd_session *otd_stratum_open(struct otd_stratum *st, struct otd_stream *stream,
				     uint32_t port, const struct otd_ticket *ticket,
				     const struct otd_conn_origin *from)
{
	struct otd_session *s = NULL;

	if (may_open(st, port) && !otd_stratum_open_room(st))
		s = otd_session_create(st, &st->ports[port]->conf, ticket);
	if (!s) {
		if (from->filter)
			from->filter->ops->destroy(from->filter);
		turn_away(st, stream, ticket);
		return NULL;
	}
	otd_stratum_enlist(st, s);
	if (otd_conn_open_as(st->conns, &s->conn, stream, s, from)) {
		s->conn = NULL;
		otd_session_destroy(s); /* ends the ticket */
		return NULL;
	}
	otd_stratum_open_one(st, s);
	return s;
}

/* --- ports with TLS --- */

/* Told in one go where the socket takes it; nobody waits for it. */
static void refuse_plain(struct otd_stratum *st, struct otd_stream *stream,
			 const struct otd_ticket *ticket, uint16_t number)
{
	const struct otd_span text = {(const uint8_t *)PLAIN_REFUSED, strlen(PLAIN_REFUSED)};
	char host[46];
	size_t n;

	st->env->ops->stream_peer(stream, host, sizeof(host), NULL);
	otd_log(OTD_LOG_INFO, "stratum", "plain.refused", "peer=%s port=%u", host, number);
	(void)st->env->ops->stream_write(stream, &n, &text, 1);
	turn_away(st, stream, ticket);
}

/* What it is is known: opens it. */
static void open_known(struct otd_stratum *st, struct otd_stream *stream, uint32_t port,
		       const struct otd_ticket *ticket, const struct otd_preface *p)
{
	static const struct otd_preface nothing;
	const struct otd_stratum_port *conf = &st->ports[port]->conf;
	struct otd_conn_origin from = {0};
	char host[46];

	p = p ? p : &nothing;
	from.early = p->early;
	if (p->proxy.has_address) {
		from.host = p->proxy.host;
		from.port = p->proxy.port;
	}
	bool tls = conf->tls && p->early.len && p->early.ptr[0] == OTD_TLS_FIRST_BYTE;
	if (conf->tls && !tls && conf->tls_only) {
		refuse_plain(st, stream, ticket, conf->number);
		return;
	}
	if (tls)
		st->env->ops->stream_peer(stream, host, sizeof(host), NULL);
	if (tls && otd_tls_filter(conf->tls, &from.filter, from.host ? from.host : host)) {
		turn_away(st, stream, ticket);
		return;
	}
	struct otd_session *s = otd_stratum_open(st, stream, port, ticket, &from);
	if (s) {
		s->tls = tls;
		(void)otd_session_policy_connect(s);
	}
}

struct waiting {
	struct otd_stratum *st;
	uint32_t port;
	bool has_ticket;
	struct otd_ticket ticket;
	struct otd_proxy proxy;
};

static void on_ready(void *arg, void *item, struct otd_stream *stream, const struct otd_preface *p)
{
	struct otd_stratum *st = arg;
	struct waiting *w = item;
	const struct otd_ticket *ticket = w->has_ticket ? &w->ticket : NULL;
	const struct otd_preface whole = {.proxy = w->proxy, .early = p->early};

	/* A reload, or the end, may have come meanwhile. */
	if (may_open(st, w->port))
		open_known(st, stream, w->port, ticket, &whole);
	else
		turn_away(st, stream, ticket);
	free(w);
}

static void on_failed(void *arg, void *item, const char *why)
{
	struct otd_stratum *st = arg;
	struct waiting *w = item;

	otd_log(OTD_LOG_DEBUG, "stratum", "session.closed", "port=%u reason=\"%s\"", w->port, why);
	otd_stratum_ended(st, w->has_ticket ? &w->ticket : NULL);
	free(w);
}

static otd_rc doors_room(struct otd_stratum *st)
{
	static const struct otd_doors_ops ops = {.ready = on_ready, .failed = on_failed};
	const struct otd_doors_conf conf = {.time_ms = st->conf.limits.login_ms,
					    .max = st->conf.limits.sessions_max};

	otd_rc rc = OTD_OK;
	if (!st->doors)
		rc = otd_doors_create(&st->doors, otd_reactor_loop(st->conf.reactor), &conf, &ops,
				      st);
	else
		otd_doors_reconfigure(st->doors, &conf);
	if (rc == OTD_OK && st->freeze.on)
		otd_doors_rest(st->doors, true);
	return rc;
}

static void knock(struct otd_stratum *st, struct otd_stream *stream, uint32_t port,
		  const struct otd_ticket *ticket, const struct otd_preface *p)
{
	struct waiting *w = doors_room(st) ? NULL : calloc(1, sizeof(*w));

	if (!w) {
		turn_away(st, stream, ticket);
		return;
	}
	w->st = st;
	w->port = port;
	w->has_ticket = ticket != NULL;
	if (ticket)
		w->ticket = *ticket;
	if (p)
		w->proxy = p->proxy;
	if (otd_doors_knock_again(st->doors, stream, OTD_DOOR_FIRST_BYTE, w, p ? p->until_ms : 0,
				  (struct otd_span){NULL, 0})) {
		otd_stratum_ended(st, ticket);
		free(w);
	}
}

void otd_stratum_doors_clear(struct otd_stratum *st)
{
	if (st->doors)
		otd_doors_clear(st->doors);
}

size_t otd_stratum_save_doors(struct otd_stratum *st, struct otd_bytes *out,
			      struct otd_image_fds *fds)
{
	struct otd_door_left left;
	size_t n = 0;

	while (st->doors && otd_doors_leave(st->doors, &left)) {
		struct waiting *w = left.item;
		const struct otd_stratum_port *port = &st->ports[w->port]->conf;
		struct otd_door_record r = {.kind = OTD_DOOR_FIRST_BYTE,
					    .pool = port->pool,
					    .port = port->number,
					    .reactor = st->conf.index,
					    .until_ms = left.until_ms,
					    .read = otd_bytes_span(&left.read)};

		if (w->proxy.has_address) {
			(void)snprintf(r.host, sizeof(r.host), "%s", w->proxy.host);
			r.peer_port = w->proxy.port;
		}
		n += otd_door_record_add(out, fds, &r, st->env, left.s);
		otd_bytes_finish(&left.read);
		free(w);
	}
	return n;
}

/* --- accepting --- */

void otd_stratum_accept_from(struct otd_stratum *st, struct otd_stream *stream, uint32_t port,
			     const struct otd_ticket *ticket, const struct otd_preface *p)
{
	if (!may_open(st, port))
		turn_away(st, stream, ticket);
	else if (st->ports[port]->conf.tls && !(p && p->early.len))
		knock(st, stream, port, ticket, p);
	else
		open_known(st, stream, port, ticket, p);
}

void otd_stratum_accept(struct otd_stratum *st, struct otd_stream *stream, uint32_t port,
			const struct otd_ticket *ticket)
{
	otd_stratum_accept_from(st, stream, port, ticket, NULL);
}

struct accept_post {
	struct otd_stratum *st;
	struct otd_stream *stream;
	uint32_t port;
	bool has_ticket, has_preface;
	struct otd_ticket ticket;
	struct otd_proxy proxy;
	int64_t until_ms;
	size_t early_len;
	uint8_t early[];
};

static void accept_posted(void *arg)
{
	struct accept_post *p = arg;
	const struct otd_preface preface = {
		.proxy = p->proxy, .early = {p->early, p->early_len}, .until_ms = p->until_ms};

	otd_stratum_accept_from(p->st, p->stream, p->port, p->has_ticket ? &p->ticket : NULL,
				p->has_preface ? &preface : NULL);
	free(p);
}

otd_rc otd_stratum_accept_from_post(struct otd_stratum *st, struct otd_stream *s, uint32_t port,
				    const struct otd_ticket *ticket,
				    const struct otd_preface *preface)
{
	size_t early = preface ? preface->early.len : 0;
	struct accept_post *p = calloc(1, sizeof(*p) + early);

	if (!p)
		return OTD_E_NOMEM;
	p->st = st;
	p->stream = s;
	p->port = port;
	p->has_ticket = ticket != NULL;
	if (ticket)
		p->ticket = *ticket;
	if (preface) {
		p->has_preface = true;
		p->proxy = preface->proxy;
		p->until_ms = preface->until_ms;
		p->early_len = early;
		if (early)
			memcpy(p->early, preface->early.ptr, early);
	}
	otd_rc rc = otd_loop_post(otd_reactor_loop(st->conf.reactor), accept_posted, p);
	if (rc)
		free(p);
	return rc;
}

otd_rc otd_stratum_accept_post(struct otd_stratum *st, struct otd_stream *s, uint32_t port,
			       const struct otd_ticket *ticket)
{
	return otd_stratum_accept_from_post(st, s, port, ticket, NULL);
}
