/* What is written to peers: gathered during a round, sent at its end. */
#include "net/conn_priv.h"
#include <stdlib.h>
#include <string.h>

/* --- filters --- */

/* What was written goes through the filter in one piece a round: a record costs the same for one
 * answer as for many. */
static otd_rc give_plain(struct otd_conn *c)
{
	struct conn_filter *x = c->filter;
	otd_rc rc = OTD_OK;
	if (!x || !x->plain.len)
		return OTD_OK;
	if (!x->over && !c->out)
		rc = conn_buf_lend(c->g, &c->out);
	if (!x->over && !rc)
		rc = x->f->ops->give(x->f, otd_bytes_span(&x->plain), &c->out->b);
	otd_bytes_finish(&x->plain);
	return rc;
}

/* Adds the filter's last word once, behind all else. */
static void end_filter(struct otd_conn *c)
{
	struct conn_filter *x = c->filter;
	if (!x || x->over || (!c->out && conn_buf_lend(c->g, &c->out)))
		return;
	x->over = true;
	x->f->ops->end(x->f, &c->out->b);
}

void conn_farewell(struct otd_conn *c)
{
	struct otd_span part;
	size_t sent;
	/* Behind half a record that is given up it would mean nothing. */
	if (!c->filter || c->filter->over || conn_buf_left(c->out))
		return;
	end_filter(c);
	if (!conn_buf_left(c->out))
		return;
	part = (struct otd_span){c->out->b.ptr + c->out->at, conn_buf_left(c->out)};
	if (c->g->env->stream_write(c->s, &sent, &part, 1))
		return; /* the peer has gone, or takes nothing: it does without */
}

/* --- sending --- */

void conn_text_done(struct otd_conn *c)
{
	otd_conn_text_drop(c->text);
	c->text = NULL;
	c->text_at = 0;
}

/* So many bytes have left: first of the text, then of out. */
static void sent_some(struct otd_conn *c, size_t n)
{
	size_t of_text = conn_text_left(c).len;
	if (n < of_text) {
		c->text_at += n;
		return;
	}
	conn_text_done(c);
	if (n > of_text)
		c->out->at += n - of_text;
}

/* OTD_OK: all has left. */
static otd_rc send_out(struct otd_conn *c)
{
	struct otd_conns *g = c->g;
	otd_rc rc = OTD_OK;
	while (c->text || conn_buf_left(c->out)) {
		struct otd_span parts[2] = {conn_text_left(c), {NULL, 0}};
		size_t sent = 0;
		if (c->out)
			parts[1] = (struct otd_span){c->out->b.ptr + c->out->at,
						     conn_buf_left(c->out)};
		rc = g->env->stream_write(c->s, &sent, parts, 2);
		if (rc)
			break;
		sent_some(c, sent);
		c->moved_ms = g->now_ms;
		if (g->m_out)
			otd_metric_add(g->m_out, (int64_t)sent);
	}
	if (!rc)
		conn_buf_return(g, &c->out);
	return rc;
}

void conn_flush(struct otd_conn *c)
{
	otd_rc rc;
	if (c->state == CONN_DYING)
		return;
	rc = give_plain(c);
	if (rc) {
		conn_die(c, rc == OTD_E_NOMEM ? OTD_CONN_NO_MEMORY : OTD_CONN_TLS);
		return;
	}
	if (c->state == CONN_FLUSHING)
		end_filter(c);
	rc = send_out(c);
	if ((rc && rc != OTD_E_BUSY) || (!rc && c->state == CONN_FLUSHING)) {
		conn_die(c, OTD_CONN_PEER_CLOSED);
		return;
	}
	conn_settle(c);
}

/* --- writing --- */

/* Forgets what was sent, once it is more than what was not. */
static void shift(struct conn_buf *b)
{
	if (b && b->at && b->at >= conn_buf_left(b)) {
		otd_bytes_drop(&b->b, b->at);
		b->at = 0;
	}
}

static otd_rc gather(struct otd_conn *c, const void *p, size_t n)
{
	otd_rc rc = OTD_OK;
	if (c->filter)
		return otd_bytes_add(&c->filter->plain, p, n);
	shift(c->out);
	if (!c->out)
		rc = conn_buf_lend(c->g, &c->out);
	return rc ? rc : otd_bytes_add(&c->out->b, p, n);
}

/* Whether n more may wait. */
static otd_rc may_write(struct otd_conn *c, size_t n)
{
	struct otd_conns *g = c->g;
	size_t waits = conn_unsent(c);
	if (c->state != CONN_OPEN)
		return OTD_E_CLOSED;
	if (n > g->conf.out_max || waits > g->conf.out_max - n) {
		conn_die(c, OTD_CONN_OUTPUT_FULL);
		return OTD_E_NOMEM;
	}
	if (!waits)
		c->moved_ms = g->now_ms;
	return OTD_OK;
}

otd_rc otd_conn_write(struct otd_conn *c, const void *p, size_t n)
{
	otd_rc rc = may_write(c, n);
	if (rc || !n)
		return rc;
	if (gather(c, p, n)) {
		conn_die(c, OTD_CONN_NO_MEMORY);
		return OTD_E_NOMEM;
	}
	conn_enqueue(c, Q_FLUSH);
	return OTD_OK;
}

/* --- text for many --- */

otd_rc otd_conn_text_create(struct otd_conn_text **out, const struct otd_span *parts,
			    size_t n_parts)
{
	size_t n = 0;
	*out = NULL;
	for (size_t i = 0; i < n_parts; i++)
		n += parts[i].len;
	struct otd_conn_text *t = malloc(sizeof(*t) + n);
	if (!t)
		return OTD_E_NOMEM;
	t->holders = 1;
	t->len = 0;
	for (size_t i = 0; i < n_parts; i++) {
		if (parts[i].len)
			memcpy(t->bytes + t->len, parts[i].ptr, parts[i].len);
		t->len += parts[i].len;
	}
	*out = t;
	return OTD_OK;
}

void otd_conn_text_drop(struct otd_conn_text *t)
{
	if (t && --t->holders == 0)
		free(t);
}

otd_rc otd_conn_write_text(struct otd_conn *c, struct otd_conn_text *t)
{
	otd_rc rc;
	if (c->filter || conn_unsent(c))
		return otd_conn_write(c, t->bytes, t->len);
	rc = may_write(c, t->len);
	if (rc || !t->len)
		return rc;
	t->holders++;
	c->text = t;
	c->text_at = 0;
	conn_enqueue(c, Q_FLUSH);
	return OTD_OK;
}

size_t otd_conn_pending(const struct otd_conn *c)
{
	return conn_unsent(c);
}
