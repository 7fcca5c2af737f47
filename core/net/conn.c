/*
 * Connections of one loop. Three lists drive a round, all served by one deferred call:
 *   ready   lines are left over from before: each peer gets its share of a round, in turn
 *   flush   bytes were written: they leave at the end of the round
 *   dying   closed() is told and memory goes
 * An idle connection has no buffer: what a wake-up brings is read into one buffer of the loop and
 * cut there; only what is left of it is copied.
 */
#include "net/conn.h"
#include "base/bytes.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS  1000
#define HOST_CAP 46
/* Closing a socket costs some 20 us: when thousands leave at once, the others do not wait for it. */
#define BURIALS_A_ROUND 32

enum conn_state { CONN_OPEN, CONN_FLUSHING, CONN_DYING };

/* An intrusive queue: a connection is at most once in each. */
enum conn_queue { Q_READY, Q_FLUSH, Q_DYING, N_QUEUES };

struct otd_conn {
	struct otd_conns *g;
	struct otd_stream *s;
	void *arg;
	struct otd_conn *prev, *next; /* of all */
	struct otd_conn *q_next[N_QUEUES];
	struct otd_bytes in;  /* what of the input is not yet delivered */
	size_t in_at;         /* of it, delivered */
	size_t searched;      /* of it behind in_at, known to hold no LF */
	struct otd_bytes out; /* what waits for the peer */
	size_t out_at;        /* of it, sent */
	const char *reason;
	int64_t line_ms;  /* of the last line, or of the opening */
	int64_t moved_ms; /* when the peer last took bytes, or the first began to wait */
	uint16_t port;
	uint8_t state;
	bool queued[N_QUEUES];
	bool had_line, paused, ended; /* ended: the peer sends no more */
	char host[HOST_CAP];
};

struct otd_conns {
	struct otd_loop *l;
	const struct otd_env_ops *env;
	struct otd_conn_conf conf;
	const struct otd_conn_ops *ops;
	struct otd_metrics *metrics;
	struct otd_metric *m_open, *m_in, *m_out;
	struct otd_timer *tick;
	struct otd_conn *first;
	size_t n;
	struct {
		struct otd_conn *first, *last;
	} q[N_QUEUES];
	bool scheduled;
	int64_t now_ms;
	uint8_t *scratch;
	size_t scratch_cap;
};

static int64_t now_ms(const struct otd_conns *g)
{
	return (int64_t)(otd_mono_ns(g->l->env) / 1000000);
}

/* --- queues and rounds --- */

static void round_run(void *arg);

static void schedule(struct otd_conns *g)
{
	/* Where memory is out, the tick does it. */
	if (!g->scheduled)
		g->scheduled = g->env->defer(g->l, round_run, g) == OTD_OK;
}

static void enqueue(struct otd_conn *c, enum conn_queue q)
{
	struct otd_conns *g = c->g;
	if (!c->queued[q]) {
		c->queued[q] = true;
		c->q_next[q] = NULL;
		if (g->q[q].last)
			g->q[q].last->q_next[q] = c;
		else
			g->q[q].first = c;
		g->q[q].last = c;
	}
	schedule(g);
}

static struct otd_conn *dequeue(struct otd_conns *g, enum conn_queue q)
{
	struct otd_conn *c = g->q[q].first;
	if (c) {
		g->q[q].first = c->q_next[q];
		if (!g->q[q].first)
			g->q[q].last = NULL;
		c->queued[q] = false;
	}
	return c;
}

static void unqueue(struct otd_conn *c, enum conn_queue q)
{
	struct otd_conn **p = &c->g->q[q].first, *before = NULL;
	if (!c->queued[q])
		return;
	while (*p != c) {
		before = *p;
		p = &(*p)->q_next[q];
	}
	*p = c->q_next[q];
	if (c->g->q[q].last == c)
		c->g->q[q].last = before;
	c->queued[q] = false;
}

/* --- what is wanted of the socket --- */

static size_t unsent(const struct otd_conn *c)
{
	return c->out.len - c->out_at;
}

static size_t undelivered(const struct otd_conn *c)
{
	return c->in.len - c->in_at;
}

/* A peer that asks much and reads little waits until it has read. */
static bool choked(const struct otd_conn *c)
{
	return c->paused || unsent(c) > c->g->conf.out_max / 2;
}

/* Whether a whole line (or a line that is too long) may lie in the input. */
static bool lines_left(const struct otd_conn *c)
{
	return undelivered(c) > c->searched;
}

static void watch(struct otd_conn *c)
{
	unsigned events = 0;
	if (c->state == CONN_DYING)
		return;
	if (c->state == CONN_OPEN && !choked(c) && !lines_left(c) && !c->ended)
		events |= OTD_READABLE;
	if (unsent(c) && !c->queued[Q_FLUSH])
		events |= OTD_WRITABLE;
	c->g->env->stream_watch(c->s, events);
}

static void die(struct otd_conn *c, const char *reason)
{
	if (c->state == CONN_DYING)
		return;
	if (!c->reason)
		c->reason = reason;
	c->state = CONN_DYING;
	c->g->env->stream_watch(c->s, 0);
	enqueue(c, Q_DYING);
}

/* --- input --- */

/* Forgets what was delivered, and the buffer once it holds nothing. */
static void compact(struct otd_conn *c)
{
	if (c->in_at == c->in.len) {
		otd_bytes_finish(&c->in);
	} else if (c->in_at) {
		otd_bytes_drop(&c->in, c->in_at);
	}
	c->in_at = 0;
}

/*
 * Cuts lines out of n bytes at p, of which the first *searched hold no LF, and delivers them until
 * the budget of a round is spent. Returns the bytes used up.
 */
static size_t deliver(struct otd_conn *c, const uint8_t *p, size_t n, size_t *searched)
{
	const struct otd_conns *g = c->g;
	uint32_t budget = g->conf.lines_a_round;
	size_t used = 0, max = g->conf.line_max;
	while (used + *searched < n && budget-- && c->state == CONN_OPEN && !choked(c)) {
		const uint8_t *start = p + used;
		const uint8_t *lf = memchr(start + *searched, '\n', n - used - *searched);
		size_t len = lf ? (size_t)(lf - start) : n - used;
		*searched = lf ? 0 : len;
		/* A CR may stand behind a line of full length. */
		if (len > max + 1 || (len == max + 1 && start[max] != '\r')) {
			die(c, OTD_CONN_LINE_TOO_LONG);
			break;
		}
		if (!lf)
			break;
		used += len + 1;
		if (len && start[len - 1] == '\r')
			len--;
		c->had_line = true;
		c->line_ms = g->now_ms;
		g->ops->line(c, (struct otd_span){start, len});
	}
	return used;
}

/* After a delivery: what remains is for the next round, or the end has come. */
static void settle(struct otd_conn *c)
{
	if (c->state == CONN_DYING)
		return;
	if (c->state == CONN_OPEN) {
		if (lines_left(c) && !choked(c))
			enqueue(c, Q_READY);
		else if (c->ended && !lines_left(c))
			otd_conn_close_after_flush(c, OTD_CONN_PEER_CLOSED);
	}
	watch(c);
}

/* Delivers out of the connection's own buffer. */
static void deliver_own(struct otd_conn *c)
{
	c->in_at += deliver(c, c->in.ptr + c->in_at, undelivered(c), &c->searched);
	if (c->state != CONN_DYING)
		compact(c);
}

/* Reads once and delivers straight from the loop's buffer. */
static void read_some(struct otd_conn *c)
{
	struct otd_conns *g = c->g;
	size_t had = undelivered(c), got = 0, used, n, cap = g->scratch_cap - had;
	otd_rc rc;
	/* A line under way goes in front of what comes: at most line_max + 1 bytes. */
	if (cap > g->conf.bytes_a_round)
		cap = g->conf.bytes_a_round;
	if (had)
		memcpy(g->scratch, c->in.ptr + c->in_at, had);
	rc = g->env->stream_read(c->s, &got, g->scratch + had, cap);
	if (rc == OTD_E_BUSY)
		return;
	if (rc) {
		c->ended = true;
		if (rc != OTD_E_CLOSED || unsent(c) == 0)
			die(c, OTD_CONN_PEER_CLOSED);
		return;
	}
	if (g->m_in)
		otd_metric_add(g->m_in, (int64_t)got);
	n = had + got;
	used = deliver(c, g->scratch, n, &c->searched);
	if (c->state == CONN_DYING)
		return;
	if (used == n) {
		c->in_at = c->in.len;
		compact(c);
		return;
	}
	/* Where no line ended, the old bytes are there already; else none of them remains. */
	if (!used) {
		used = had;
	} else {
		otd_bytes_clear(&c->in);
		c->in_at = 0;
	}
	if (otd_bytes_add(&c->in, g->scratch + used, n - used))
		die(c, OTD_CONN_NO_MEMORY);
}

/* --- output --- */

static void flush(struct otd_conn *c)
{
	struct otd_conns *g = c->g;
	size_t sent = 0;
	otd_rc rc = OTD_OK;
	if (c->state == CONN_DYING)
		return;
	while (unsent(c) && !rc) {
		struct otd_span part = {c->out.ptr + c->out_at, unsent(c)};
		rc = g->env->stream_write(c->s, &sent, &part, 1);
		if (rc)
			break;
		c->out_at += sent;
		c->moved_ms = g->now_ms;
		if (g->m_out)
			otd_metric_add(g->m_out, (int64_t)sent);
	}
	if (rc && rc != OTD_E_BUSY) {
		die(c, OTD_CONN_PEER_CLOSED);
		return;
	}
	if (!unsent(c)) {
		otd_bytes_finish(&c->out);
		c->out_at = 0;
		if (c->state == CONN_FLUSHING) {
			die(c, OTD_CONN_PEER_CLOSED);
			return;
		}
	}
	settle(c);
}

otd_rc otd_conn_write(struct otd_conn *c, const void *p, size_t n)
{
	struct otd_conns *g = c->g;
	if (c->state != CONN_OPEN)
		return OTD_E_CLOSED;
	if (n > g->conf.out_max || unsent(c) > g->conf.out_max - n) {
		die(c, OTD_CONN_OUTPUT_FULL);
		return OTD_E_NOMEM;
	}
	if (!unsent(c))
		c->moved_ms = g->now_ms;
	if (c->out_at && c->out_at >= unsent(c)) {
		otd_bytes_drop(&c->out, c->out_at);
		c->out_at = 0;
	}
	if (otd_bytes_add(&c->out, p, n)) {
		die(c, OTD_CONN_NO_MEMORY);
		return OTD_E_NOMEM;
	}
	enqueue(c, Q_FLUSH);
	return OTD_OK;
}

/* --- rounds --- */

static void on_stream(void *arg, unsigned events)
{
	struct otd_conn *c = arg;
	if (c->state == CONN_DYING)
		return;
	c->g->now_ms = now_ms(c->g);
	if (events & OTD_WRITABLE)
		flush(c);
	if (!(events & OTD_READABLE) || c->state == CONN_DYING)
		return;
	if (c->state == CONN_OPEN && !choked(c) && !lines_left(c) && !c->ended)
		read_some(c);
	settle(c);
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
	if (g->m_open)
		otd_metric_add(g->m_open, -1);
	if (g->metrics) {
		snprintf(labels, sizeof(labels), "reason=\"%s\"", c->reason);
		otd_metric_add(otd_metric(g->metrics, OTD_COUNTER, "otd_connections_closed_total",
					  labels, "Connections that have ended, by reason."),
			       1);
	}
	otd_log(OTD_LOG_DEBUG, "net", "connection.closed", "peer=%s port=%u reason=\"%s\"", c->host,
		c->port, c->reason);
	g->env->stream_close(c->s);
	c->s = NULL;
	g->ops->closed(c, c->reason);
	otd_bytes_finish(&c->in);
	otd_bytes_finish(&c->out);
	free(c);
}

static void round_run(void *arg)
{
	struct otd_conns *g = arg;
	struct otd_conn *c, *last;
	g->scheduled = false;
	g->now_ms = now_ms(g);
	/* Those who still have lines queue again, behind this round's last. */
	last = g->q[Q_READY].last;
	while (last && (c = dequeue(g, Q_READY))) {
		if (c->state == CONN_OPEN) {
			deliver_own(c);
			settle(c);
		}
		if (c == last)
			break;
	}
	while ((c = dequeue(g, Q_FLUSH)))
		flush(c);
	for (int n = 0; n < BURIALS_A_ROUND && (c = dequeue(g, Q_DYING)); n++)
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
	if (unsent(c) && over(f->stall_ms, g->now_ms - c->moved_ms))
		die(c, OTD_CONN_STALLED);
	else if (c->state != CONN_OPEN)
		return;
	else if (c->paused || lines_left(c) || choked(c))
		c->line_ms = g->now_ms; /* it is we who do not listen */
	else if (!c->had_line && over(f->first_line_ms, silent))
		die(c, OTD_CONN_NO_LINE);
	else if (c->had_line && over(f->idle_ms, silent))
		die(c, OTD_CONN_IDLE);
}

static void on_tick(void *arg)
{
	struct otd_conns *g = arg;
	g->now_ms = now_ms(g);
	for (struct otd_conn *c = g->first; c; c = c->next)
		look_at(g, c);
	if (!g->scheduled && (g->q[Q_READY].first || g->q[Q_FLUSH].first || g->q[Q_DYING].first))
		round_run(g);
}

/* --- groups --- */

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
	g->now_ms = now_ms(g);
	otd_conns_reconfigure(g, conf);
	if (!g->scratch || g->env->timer_create(l, &g->tick, on_tick, g)) {
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
		die(c, OTD_CONN_SHUTDOWN);
	while (g->first)
		bury(g->first);
	g->env->timer_destroy(g->tick);
	free(g->scratch);
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

otd_rc otd_conn_open(struct otd_conns *g, struct otd_conn **out, struct otd_stream *s, void *arg)
{
	struct otd_conn *c = calloc(1, sizeof(*c));
	otd_rc rc = OTD_E_NOMEM;
	*out = NULL;
	if (c)
		rc = g->env->stream_attach(g->l, s, on_stream, c);
	if (rc) {
		free(c);
		g->env->stream_close(s);
		return rc;
	}
	c->g = g;
	c->s = s;
	c->arg = arg;
	g->now_ms = now_ms(g);
	c->line_ms = c->moved_ms = g->now_ms;
	/* Bounded by what deliver() leaves, not by these. */
	otd_bytes_init(&c->in, SIZE_MAX / 2);
	otd_bytes_init(&c->out, SIZE_MAX / 2);
	g->env->stream_peer(s, c->host, sizeof(c->host), &c->port);
	c->next = g->first;
	if (c->next)
		c->next->prev = c;
	g->first = c;
	g->n++;
	if (g->m_open)
		otd_metric_add(g->m_open, 1);
	watch(c);
	*out = c;
	return OTD_OK;
}

void *otd_conn_arg(const struct otd_conn *c)
{
	return c->arg;
}

const char *otd_conn_host(const struct otd_conn *c)
{
	return c->host;
}

uint16_t otd_conn_port(const struct otd_conn *c)
{
	return c->port;
}

size_t otd_conn_pending(const struct otd_conn *c)
{
	return unsent(c);
}

void otd_conn_pause(struct otd_conn *c, bool paused)
{
	if (c->paused == paused || c->state != CONN_OPEN)
		return;
	c->paused = paused;
	if (!paused) {
		c->line_ms = c->g->now_ms;
		if (lines_left(c))
			enqueue(c, Q_READY);
	}
	watch(c);
}

void otd_conn_close(struct otd_conn *c, const char *reason)
{
	die(c, reason);
}

void otd_conn_close_after_flush(struct otd_conn *c, const char *reason)
{
	if (c->state != CONN_OPEN)
		return;
	if (!unsent(c)) {
		die(c, reason);
		return;
	}
	c->state = CONN_FLUSHING;
	c->reason = reason;
	watch(c);
}
