/* A connection whose last word is said, and whose socket somebody else closes once the peer has read it. */
#include "net/conn_priv.h"
#include <stdlib.h>
#include <string.h>

struct otd_stream *otd_conn_last_word(struct otd_conn *c)
{
	struct otd_conns *g = c->g;
	struct otd_stream *s = c->s;
	if (c->state != CONN_OPEN || c->in_line)
		return NULL;
	c->reason = OTD_CONN_HANDED_OVER;
	c->state = CONN_FLUSHING;
	conn_flush(c); /* the filter's end behind it */
	if (c->filter)
		c->filter->over = true; /* also where there was no memory for it */
	conn_die(c, OTD_CONN_HANDED_OVER);
	conn_text_done(c);
	conn_buf_return(g, &c->in);
	conn_buf_return(g, &c->out);
	if (!c->host) /* closed() still wants to know who it was; without memory it does not */
		c->host = strdup(otd_conn_host(c));
	g->env->stream_detach(s);
	c->s = NULL;
	return s;
}
