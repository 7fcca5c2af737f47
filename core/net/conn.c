/*
 * Connections of one loop. Queues (conn_priv.h) drive a round, all served by one deferred call. What
 * comes in is in conn_in.c, what goes out in conn_out.c, who is next in conn_fair.c.
 */
#include "base/log.h"
#include "net/conn_priv.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 1000
/* Closing a socket costs some 20 us: when thousands leave at once, the others do not wait for it. */
#define BURIALS_A_ROUND 32
/* Buffers that the loop keeps for whoever has bytes under way next, and the largest of them. */
#define SPARE_MAX     64
#define SPARE_CAP_MAX 8192

static void look_at_clock(struct otd_conns *g)
{
	g->now_us = (int64_t)(otd_mono_ns(g->l->env) / 1000);
	g->now_ms = g->now_us / 1000;
}

/* --- queues and rounds --- */

static void round_run(void *arg);

static void schedule(struct otd_conns *g)
{
	/* Where memory is out, the tick does it. */
	if (!g->scheduled)
		g->scheduled = g->env->defer(g->l, round_run, g) == OTD_OK;
}

static enum conn_link link_of(enum conn_queue q)
{
	return q == Q_FLUSH ? LINK_FLUSH : q == Q_DYING ? LINK_DYING : LINK_TURN;
}

void conn_enqueue(struct otd_conn *c, enum conn_queue q)
{
	struct otd_conns *g = c->g;
	enum conn_link link = link_of(q);
	if (!(c->queued & CONN_IN(q))) {
		c->queued |= CONN_IN(q);
		c->q_next[link] = NULL;
		if (g->q[q].last)
			g->q[q].last->q_next[link] = c;
		else
			g->q[q].first = c;
		g->q[q].last = c;
		if (q == Q_HELD && g->m_held)
			otd_metric_add(g->m_held, 1);
	}
	if (q == Q_HELD || q == Q_SLOW)
		conn_clock(g, q);
	else
		schedule(g);
}

struct otd_conn *conn_dequeue(struct otd_conns *g, enum conn_queue q)
{
	struct otd_conn *c = g->q[q].first;
	if (c) {
		g->q[q].first = c->q_next[link_of(q)];
		if (!g->q[q].first)
			g->q[q].last = NULL;
		c->queued &= (uint8_t)~CONN_IN(q);
	}
	return c;
}

static void unqueue(struct otd_conn *c, enum conn_queue q)
{
	struct otd_conn **p = &c->g->q[q].first, *before = NULL;
	if (!(c->queued & CONN_IN(q)))
		return;
	while (*p != c) {
		before = *p;
		p = &(*p)->q_next[link_of(q)];
	}
	*p = c->q_next[link_of(q)];
	if (c->g->q[q].last == c)
		c->g->q[q].last = before;
	c->queued &= (uint8_t)~CONN_IN(q);
}

/* --- what is wanted of the socket --- */

void conn_watch(struct otd_conn *c)
{
	unsigned events = 0;
	if (c->state == CONN_DYING)
		return;
	if (conn_readable(c) && !(c->queued & CONN_IN_TURN))
		events |= OTD_READABLE;
	if (conn_unsent(c) && !(c->queued & CONN_IN(Q_FLUSH)))
		events |= OTD_WRITABLE;
	c->g->env->stream_watch(c->s, events);
}

void conn_die(struct otd_conn *c, const char *reason)
{
	if (c->state == CONN_DYING)
		return;
	if (!c->reason)
		c->reason = reason;
	c->state = CONN_DYING;
	c->g->env->stream_watch(c->s, 0);
	conn_enqueue(c, Q_DYING);
}

/* --- after input and output --- */

/* In one queue only: it goes to another when it has come to its turn. */
static void wait_for_turn(struct otd_conn *c)
{
	enum conn_queue q = conn_waits_in(c);
	if (!(c->queued & CONN_IN_TURN))
		conn_enqueue(c, q == N_QUEUES ? Q_READY : q);
}

void conn_settle(struct otd_conn *c)
{
	if (c->state == CONN_DYING)
		return;
	if (c->state == CONN_OPEN) {
		if (conn_lines_left(c) && !conn_choked(c))
			wait_for_turn(c);
		else if (c->ended && !conn_lines_left(c))
			otd_conn_close_after_flush(c, OTD_CONN_PEER_CLOSED);
	}
	conn_watch(c);
}

/* --- buffers --- */

otd_rc conn_buf_lend(struct otd_conns *g, struct conn_buf **to)
{
	struct conn_buf *b = g->spare;
	if (b) {
		g->spare = b->next_spare;
		g->n_spare--;
	} else {
		b = calloc(1, sizeof(*b));
		if (!b)
			return OTD_E_NOMEM;
		/* Bounded by those who fill it. */
		otd_bytes_init(&b->b, SIZE_MAX / 2);
	}
	*to = b;
	return OTD_OK;
}

static void buf_free(struct conn_buf *b)
{
	otd_bytes_finish(&b->b);
	free(b);
}

void conn_buf_return(struct otd_conns *g, struct conn_buf **from)
{
	struct conn_buf *b = *from;
	*from = NULL;
	if (!b)
		return;
	if (g->n_spare >= SPARE_MAX || b->b.cap > SPARE_CAP_MAX) {
		buf_free(b);
		return;
	}
	otd_bytes_clear(&b->b);
	b->at = b->searched = 0;
	b->next_spare = g->spare;
	g->spare = b;
	g->n_spare++;
}

/* --- filters --- */

static void filter_free(struct conn_filter *x)
{
	if (!x)
		return;
	x->f->ops->destroy(x->f);
	otd_bytes_finish(&x->plain);
	free(x);
}

/* --- rounds --- */

static void on_stream(void *arg, unsigned events)
{
	struct otd_conn *c = arg;
	if (c->state == CONN_DYING)
		return;
	look_at_clock(c->g);
	if (events & OTD_WRITABLE)
		conn_flush(c);
	if (!(events & OTD_READABLE) || c->state == CONN_DYING)
		return;
	if (conn_readable(c) && !(c->queued & CONN_IN_TURN)) {
		if (conn_waits_in(c) == N_QUEUES) {
			conn_turn(c);
			return;
		}
		wait_for_turn(c);
	}
	conn_settle(c);
}

static void bury(struct otd_conn *c)
{
	struct otd_conns *g = c->g;
	char labels[96];
	if (c->prev)
		c->prev->next = c->next;
	else
		g->first = c->next;
	if (c->next)
		c->next->prev = c->prev;
	g->n--;
	for (int q = 0; q < N_QUEUES; q++)
		unqueue(c, (enum conn_queue)q);
	if (c->slow && g->m_slow)
		otd_metric_add(g->m_slow, -1);
	if (g->m_open)
		otd_metric_add(g->m_open, -1);
	if (g->metrics) {
		snprintf(labels, sizeof(labels), "reason=\"%s\"", c->reason);
		otd_metric_add(otd_metric(g->metrics, OTD_COUNTER, "otd_connections_closed_total",
					  labels, "Connections that have ended, by reason."),
			       1);
	}
	if (otd_log_on(OTD_LOG_DEBUG, "net"))
		otd_log(OTD_LOG_DEBUG, "net", "connection.closed", "peer=%s port=%u reason=\"%s\"",
			otd_conn_host(c), c->peer_port, c->reason);
	conn_farewell(c);
	g->ops->closed(c, c->reason); /* may still ask for the peer's address */
	g->env->stream_close(c->s);
	conn_buf_return(g, &c->in);
	conn_buf_return(g, &c->out);
	conn_text_done(c);
	filter_free(c->filter);
	free(c->host);
	free(c);
}

static void round_run(void *arg)
{
	struct otd_conns *g = arg;
	struct otd_conn *c, *last;
	g->scheduled = false;
	look_at_clock(g);
	/* Those who still have lines queue again, behind this round's last. */
	last = g->q[Q_READY].last;
	while (last && (c = conn_dequeue(g, Q_READY))) {
		if (conn_waits_in(c) == N_QUEUES)
			conn_turn(c);
		else
			conn_settle(c);
		if (c == last)
			break;
	}
	conn_round_slow(g);
	while ((c = conn_dequeue(g, Q_FLUSH)))
		conn_flush(c);
	for (int n = 0; n < BURIALS_A_ROUND && (c = conn_dequeue(g, Q_DYING)); n++)
		bury(c);
	if (g->q[Q_DYING].first)
		schedule(g);
}

/* --- clocks --- */

static bool over(int64_t limit_ms, int64_t waited_ms)
{
	return limit_ms >= 0 && waited_ms > limit_ms;
}

static void look_at(struct otd_conns *g, struct otd_conn *c)
{
	const struct otd_conn_conf *f = &g->conf;
	int64_t silent = g->now_ms - c->line_ms;
	if (c->state == CONN_DYING)
		return;
	conn_fade(c);
	if (conn_unsent(c) && over(f->stall_ms, g->now_ms - c->moved_ms))
		conn_die(c, OTD_CONN_STALLED);
	else if (c->state != CONN_OPEN)
		return;
	else if (c->paused || conn_lines_left(c) || conn_choked(c) || (c->queued & CONN_IN_TURN))
		c->line_ms = g->now_ms; /* it is we who do not listen */
	else if (!c->had_line && over(f->first_line_ms, silent))
		conn_die(c, OTD_CONN_NO_LINE);
	else if (c->had_line && over(f->idle_ms, silent))
		conn_die(c, OTD_CONN_IDLE);
}

static void on_tick(void *arg)
{
	struct otd_conns *g = arg;
	look_at_clock(g);
	for (struct otd_conn *c = g->first; c; c = c->next)
		look_at(g, c);
	if (!g->scheduled && (g->q[Q_READY].first || g->q[Q_SLOW].first || g->q[Q_FLUSH].first ||
			      g->q[Q_DYING].first))
		round_run(g);
}

static void on_clock(void *arg)
{
	struct otd_conns *g = arg;
	g->clock_on = false;
	look_at_clock(g);
	conn_round_held(g);
	if (g->q[Q_SLOW].first)
		schedule(g);
}

/* --- groups --- */

static uint32_t twice(uint32_t n)
{
	return n < UINT32_MAX / 2 ? 2 * n : UINT32_MAX;
}

void otd_conns_reconfigure(struct otd_conns *g, const struct otd_conn_conf *conf)
{
	struct otd_conn_conf f = *conf;
	uint8_t *scratch;
	size_t need;
	f.line_max = f.line_max ? f.line_max : 8192;
	f.out_max = f.out_max ? f.out_max : (size_t)256 << 10;
	f.first_line_ms = f.first_line_ms ? f.first_line_ms : 20000;
	f.idle_ms = f.idle_ms ? f.idle_ms : 600000;
	f.stall_ms = f.stall_ms ? f.stall_ms : 30000;
	f.lines_a_round = f.lines_a_round ? f.lines_a_round : 64;
	f.bytes_a_round = f.bytes_a_round ? f.bytes_a_round : 16384;
	f.lines_burst = f.lines_burst ? f.lines_burst : twice(f.lines_a_second);
	f.bytes_burst = f.bytes_burst ? f.bytes_burst : twice(f.bytes_a_second);
	need = f.line_max + 2 + f.bytes_a_round;
	/* A line under way may have been begun under the limits before: never shrinks. */
	if (need > g->scratch_cap) {
		scratch = realloc(g->scratch, need);
		if (!scratch) {
			otd_log(OTD_LOG_ERROR, "net", "limits.kept", "why=\"out of memory\"");
			return;
		}
		g->scratch = scratch;
		g->scratch_cap = need;
	}
	g->conf = f;
}

otd_rc otd_conns_create(struct otd_conns **out, struct otd_loop *l,
			const struct otd_conn_conf *conf, const struct otd_conn_ops *ops,
			struct otd_metrics *metrics)
{
	struct otd_conns *g = calloc(1, sizeof(*g));
	char labels[64];
	*out = NULL;
	if (!g)
		return OTD_E_NOMEM;
	g->l = l;
	g->env = l->env->ops;
	g->ops = ops;
	g->metrics = metrics;
	look_at_clock(g);
	otd_conns_reconfigure(g, conf);
	if (!g->scratch || g->env->timer_create(l, &g->tick, on_tick, g) ||
	    g->env->timer_create(l, &g->clock, on_clock, g)) {
		if (g->tick)
			g->env->timer_destroy(g->tick);
		free(g->scratch);
		free(g);
		return OTD_E_NOMEM;
	}
	g->env->timer_start(g->tick, TICK_MS, TICK_MS);
	if (metrics) {
		snprintf(labels, sizeof(labels), "loop=\"%s\"", l->name);
		g->m_open = otd_metric(metrics, OTD_GAUGE, "otd_connections", labels,
				       "Connections that stand.");
		g->m_in = otd_metric(metrics, OTD_COUNTER, "otd_net_received_bytes_total", labels,
				     "Bytes that peers sent.");
		g->m_out = otd_metric(metrics, OTD_COUNTER, "otd_net_sent_bytes_total", labels,
				      "Bytes sent to peers.");
		g->m_slow =
			otd_metric(metrics, OTD_GAUGE, "otd_connections_slowed", labels,
				   "Connections that waste our time, and come after the others.");
		g->m_held = otd_metric(metrics, OTD_COUNTER, "otd_connections_held_total", labels,
				       "Times that a peer was over its rate and was not read.");
	}
	*out = g;
	return OTD_OK;
}

static void free_late(void *arg)
{
	free(arg);
}

void otd_conns_destroy(struct otd_conns *g)
{
	bool scheduled;
	if (!g)
		return;
	scheduled = g->scheduled;
	g->scheduled = true; /* not once more */
	for (struct otd_conn *c = g->first; c; c = c->next)
		conn_die(c, OTD_CONN_SHUTDOWN);
	while (g->first)
		bury(g->first);
	g->env->timer_destroy(g->tick);
	g->env->timer_destroy(g->clock);
	free(g->scratch);
	while (g->spare) {
		struct conn_buf *b = g->spare;
		g->spare = b->next_spare;
		buf_free(b);
	}
	/* A deferred round_run() must still find its (empty) lists; this runs after it. Without
	   memory for that, rather lose these bytes than let it find them freed. */
	if (!scheduled)
		free(g);
	else if (g->env->defer(g->l, free_late, g))
		otd_log(OTD_LOG_ERROR, "net", "memory.lost", "bytes=%zu", sizeof(*g));
}

size_t otd_conns_count(const struct otd_conns *g)
{
	return g->n;
}

void otd_conns_each(struct otd_conns *g, void (*each)(struct otd_conn *c, void *arg), void *arg)
{
	/* None is removed before the round ends. */
	for (struct otd_conn *c = g->first; c; c = c->next) {
		if (c->state == CONN_OPEN)
			each(c, arg);
	}
}

/* --- connections --- */

static void link_first(struct otd_conn *c)
{
	struct otd_conns *g = c->g;
	c->next = g->first;
	if (c->next)
		c->next->prev = c;
	g->first = c;
	g->n++;
	if (g->m_open)
		otd_metric_add(g->m_open, 1);
}

/* NULL where memory is out. */
static struct otd_conn *conn_new(struct otd_conns *g, struct otd_filter *f)
{
	struct otd_conn *c = calloc(1, sizeof(*c));
	if (c && f) {
		c->filter = calloc(1, sizeof(*c->filter));
		if (!c->filter) {
			free(c);
			return NULL;
		}
		c->filter->f = f;
		otd_bytes_init(&c->filter->plain, SIZE_MAX / 2);
	}
	if (c)
		c->g = g;
	return c;
}

/* Who is told of by somebody else needs room of its own; all others are known by their socket. */
static otd_rc learn_peer(struct otd_conn *c, const struct otd_conn_origin *from)
{
	char host[CONN_HOST_CAP];
	if (from->host) {
		c->peer_port = from->port;
		c->host = strdup(from->host);
		return c->host ? OTD_OK : OTD_E_NOMEM;
	}
	c->g->env->stream_peer(c->s, host, sizeof(host), &c->peer_port);
	return OTD_OK;
}

otd_rc otd_conn_open_as(struct otd_conns *g, struct otd_conn **out, struct otd_stream *s, void *arg,
			const struct otd_conn_origin *from)
{
	struct otd_conn *c = conn_new(g, from->filter);
	otd_rc rc = OTD_E_NOMEM;
	*out = NULL;
	if (c) {
		c->s = s;
		rc = learn_peer(c, from);
	}
	if (!rc)
		rc = g->env->stream_attach(g->l, s, on_stream, c);
	if (rc) {
		if (c && c->filter)
			filter_free(c->filter);
		else if (from->filter)
			from->filter->ops->destroy(from->filter);
		if (c)
			free(c->host);
		free(c);
		g->env->stream_close(s);
		return rc;
	}
	c->arg = arg;
	c->had_line = from->had_line;
	look_at_clock(g);
	c->line_ms = c->moved_ms = g->now_ms;
	link_first(c);
	/* What is wrong with these bytes shows as any later fault does: by closed(). */
	if (from->early.len)
		(void)conn_take(c, from->early);
	conn_settle(c);
	*out = c;
	return OTD_OK;
}

otd_rc otd_conn_open(struct otd_conns *g, struct otd_conn **out, struct otd_stream *s, void *arg)
{
	static const struct otd_conn_origin here;
	return otd_conn_open_as(g, out, s, arg, &here);
}

struct otd_stream *otd_conn_release(struct otd_conn *c, struct otd_bytes *in, struct otd_bytes *out)
{
	struct otd_conns *g = c->g;
	struct otd_stream *s = c->s;
	size_t n_in = conn_undelivered(c), n_out = conn_unsent(c);
	if (c->state != CONN_OPEN || c->filter || c->in_line)
		return NULL;
	if (!otd_bytes_room(in, n_in) || !otd_bytes_room(out, n_out))
		return NULL;
	/* There is room: neither fails. */
	if (n_in)
		(void)otd_bytes_add(in, c->in->b.ptr + c->in->at, n_in);
	(void)otd_bytes_add(out, conn_text_left(c).ptr, conn_text_left(c).len);
	if (c->out)
		(void)otd_bytes_add(out, c->out->b.ptr + c->out->at, conn_buf_left(c->out));
	conn_text_done(c);
	conn_buf_return(g, &c->in);
	conn_buf_return(g, &c->out);
	conn_die(c, OTD_CONN_HANDED_OVER);
	if (!c->host) /* closed() still wants to know who it was; without memory it does not */
		c->host = strdup(otd_conn_host(c));
	g->env->stream_detach(s);
	c->s = NULL;
	return s;
}

void *otd_conn_arg(const struct otd_conn *c)
{
	return c->arg;
}

const char *otd_conn_host(const struct otd_conn *c)
{
	char *host = c->g->host;
	if (c->host)
		return c->host;
	*host = 0;
	if (c->s)
		c->g->env->stream_peer(c->s, host, CONN_HOST_CAP, NULL);
	return host;
}

uint16_t otd_conn_port(const struct otd_conn *c)
{
	return c->peer_port;
}

void otd_conn_pause(struct otd_conn *c, bool paused)
{
	if (c->paused == paused || c->state != CONN_OPEN)
		return;
	c->paused = paused;
	if (!paused) {
		c->line_ms = c->g->now_ms;
		if (conn_lines_left(c))
			wait_for_turn(c);
	}
	conn_watch(c);
}

void otd_conn_close(struct otd_conn *c, const char *reason)
{
	conn_die(c, reason);
}

void otd_conn_close_after_flush(struct otd_conn *c, const char *reason)
{
	if (c->state != CONN_OPEN)
		return;
	if (!conn_unsent(c)) {
		conn_die(c, reason);
		return;
	}
	c->state = CONN_FLUSHING;
	c->reason = reason;
	conn_watch(c);
}
