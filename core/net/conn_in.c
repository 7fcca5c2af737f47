/*
 * What peers send, cut into lines. An idle connection has no buffer: what a wake-up brings is read
 * into one buffer of the loop and cut there; only what is left of it is copied.
 */
#include "net/conn_priv.h"
#include <string.h>

#define SLOW_READ 2048 /* bytes of a slow one in a turn: it hears few of them anyway */

/* Forgets what was delivered, and gives the buffer back once it holds nothing. */
static void compact(struct otd_conn *c)
{
	if (!c->in)
		return;
	if (c->in->at == c->in->b.len) {
		conn_buf_return(c->g, &c->in);
	} else if (c->in->at) {
		otd_bytes_drop(&c->in->b, c->in->at);
		c->in->at = 0;
	}
}

/* Keeps n bytes for later, of which the first searched hold no LF. */
static otd_rc keep(struct otd_conn *c, const void *p, size_t n)
{
	otd_rc rc = OTD_OK;
	if (!n)
		return OTD_OK;
	if (!c->in)
		rc = conn_buf_lend(c->g, &c->in);
	return rc ? rc : otd_bytes_add(&c->in->b, p, n);
}

static void hear(struct otd_conn *c, const uint8_t *line, size_t len)
{
	c->had_line = true;
	c->line_ms = c->g->now_ms;
	if (!c->slow)
		c->g->heard_us = c->g->now_us;
	c->in_line = true;
	c->g->ops->line(c, (struct otd_span){line, len});
	c->in_line = false;
}

/*
 * Cuts lines out of n bytes at p, of which the first *searched hold no LF, and delivers them until
 * the points of this turn are spent. Returns the bytes used up.
 */
static size_t deliver(struct otd_conn *c, const uint8_t *p, size_t n, size_t *searched)
{
	const struct otd_conns *g = c->g;
	unsigned points = conn_budget(c);
	size_t used = 0, max = g->conf.line_max;
	while (used + *searched < n && points && c->state == CONN_OPEN && !conn_choked(c)) {
		const uint8_t *start = p + used;
		const uint8_t *lf = memchr(start + *searched, '\n', n - used - *searched);
		size_t len = lf ? (size_t)(lf - start) : n - used;
		*searched = lf ? 0 : len;
		/* A CR may stand behind a line of full length. */
		if (len > max + 1 || (len == max + 1 && start[max] != '\r')) {
			conn_die(c, OTD_CONN_LINE_TOO_LONG);
			break;
		}
		if (!lf)
			break;
		used += len + 1;
		if (len && start[len - 1] == '\r')
			len--;
		hear(c, start, len);
		points = conn_spend(c, points, len);
	}
	return used;
}

static void deliver_own(struct otd_conn *c)
{
	size_t searched;
	if (!c->in)
		return;
	searched = c->in->searched;
	c->in->at += deliver(c, c->in->b.ptr + c->in->at, conn_undelivered(c), &searched);
	c->in->searched = searched;
	if (c->state != CONN_DYING)
		compact(c);
}

/* Straight from the loop's buffer: had bytes of a line under way, then got that are new. */
static void deliver_scratch(struct otd_conn *c, size_t had, size_t got)
{
	struct otd_conns *g = c->g;
	size_t n = had + got, searched = had, used;
	used = deliver(c, g->scratch, n, &searched);
	if (c->state == CONN_DYING)
		return;
	/* Where no line ended, the old bytes are kept already; else none of them remains. */
	if (!used)
		used = had;
	else
		conn_buf_return(g, &c->in);
	if (keep(c, g->scratch + used, n - used))
		conn_die(c, OTD_CONN_NO_MEMORY);
	else if (c->in)
		c->in->searched = searched;
}

/* The filter has come to its end, with or without fault. */
static void filter_over(struct otd_conn *c, otd_rc rc)
{
	if (rc == OTD_E_CLOSED) {
		c->ended = true; /* lines that came before count */
		return;
	}
	c->filter->over = true;
	if (rc == OTD_E_NOMEM)
		conn_die(c, OTD_CONN_NO_MEMORY);
	else /* an alert of it may still leave */
		otd_conn_close_after_flush(c, OTD_CONN_TLS);
}

/* Through the filter: what it means waits in the input, what it answers in the output. */
static bool take_filtered(struct otd_conn *c, struct otd_span came)
{
	struct otd_conns *g = c->g;
	bool waited = conn_unsent(c) != 0;
	otd_rc rc = OTD_OK;
	if (!c->in)
		rc = conn_buf_lend(g, &c->in);
	if (!rc && !c->out)
		rc = conn_buf_lend(g, &c->out);
	if (!rc)
		rc = c->filter->f->ops->take(c->filter->f, came, &c->in->b, &c->out->b);
	if (!conn_buf_left(c->out))
		conn_buf_return(g, &c->out);
	if (!conn_undelivered(c))
		conn_buf_return(g, &c->in);
	if (conn_unsent(c)) {
		if (!waited)
			c->moved_ms = g->now_ms;
		conn_enqueue(c, Q_FLUSH);
	}
	if (rc)
		filter_over(c, rc);
	return c->state == CONN_OPEN;
}

bool conn_take(struct otd_conn *c, struct otd_span came)
{
	if (c->filter)
		return take_filtered(c, came);
	if (!keep(c, came.ptr, came.len))
		return true;
	conn_die(c, OTD_CONN_NO_MEMORY);
	return false;
}

static void read_some(struct otd_conn *c)
{
	struct otd_conns *g = c->g;
	size_t had = c->filter ? 0 : conn_undelivered(c), got = 0, cap = g->scratch_cap - had;
	otd_rc rc;
	/* A line under way goes in front of what comes: at most line_max + 1 bytes. */
	if (cap > g->conf.bytes_a_round)
		cap = g->conf.bytes_a_round;
	if (c->slow && cap > SLOW_READ)
		cap = SLOW_READ;
	if (had)
		memcpy(g->scratch, c->in->b.ptr + c->in->at, had);
	rc = g->env->stream_read(c->s, &got, g->scratch + had, cap);
	if (rc == OTD_E_BUSY)
		return;
	if (rc) {
		c->ended = true;
		if (rc != OTD_E_CLOSED || conn_unsent(c) == 0)
			conn_die(c, OTD_CONN_PEER_CLOSED);
		return;
	}
	if (g->m_in)
		otd_metric_add(g->m_in, (int64_t)got);
	conn_count_bytes(c, got);
	if (!c->filter)
		deliver_scratch(c, had, got);
	else if (conn_take(c, (struct otd_span){g->scratch, got}))
		deliver_own(c);
}

void conn_turn(struct otd_conn *c)
{
	if (conn_lines_left(c) && !conn_choked(c))
		deliver_own(c);
	else if (conn_readable(c))
		read_some(c);
	conn_settle(c);
}
