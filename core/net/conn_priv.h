/* What conn.c, conn_in.c and conn_out.c share. Nothing else includes it. */
#ifndef OTD_NET_CONN_PRIV_H
#define OTD_NET_CONN_PRIV_H

#include "base/bytes.h"
#include "net/conn.h"

#define CONN_HOST_CAP 46

enum conn_state { CONN_OPEN, CONN_FLUSHING, CONN_DYING };

/*
 * Intrusive queues: a connection is at most once in each, and in one at most of those that wait for a
 * turn:
 *   ready   lines are left over from before
 *   slow    the same, or the socket has some, of those who waste our time
 *   held    it is over its rate
 *   flush   bytes were written: they leave at the end of the round
 *   dying   closed() is told and memory goes
 */
enum conn_queue { Q_READY, Q_SLOW, Q_HELD, Q_FLUSH, Q_DYING, N_QUEUES };
enum conn_link { LINK_TURN, LINK_FLUSH, LINK_DYING, N_LINKS };

/* Bytes under way, lent to a connection for as long as there are any. */
struct conn_buf {
	struct otd_bytes b;
	size_t at;       /* of them, delivered or sent */
	size_t searched; /* of the input behind at, known to hold no LF */
	struct conn_buf *next_spare;
};

struct otd_conn_text {
	uint32_t holders;
	size_t len;
	uint8_t bytes[];
};

/* What a connection with a filter has besides. */
struct conn_filter {
	struct otd_filter *f;
	struct otd_bytes plain; /* written, and not yet given to the filter */
	bool over; /* it has failed or said its last: nothing goes through it any more */
};

struct otd_conn {
	struct otd_conns *g;
	struct otd_stream *s;
	void *arg;
	struct otd_conn *prev, *next; /* of all */
	struct otd_conn *q_next[N_LINKS];
	struct conn_buf *in;        /* what of the input is not yet delivered; NULL: nothing */
	struct otd_conn_text *text; /* what waits for the peer, before out; NULL: nothing */
	size_t text_at;             /* of it, sent */
	struct conn_buf *out;       /* what waits for the peer; NULL: nothing */
	struct conn_filter *filter; /* NULL: plain */
	const char *reason;
	int64_t line_ms;  /* of the last line, or of the opening */
	int64_t moved_ms; /* when the peer last took bytes, or the first began to wait */
	uint16_t peer_port;
	uint8_t state;
	uint8_t queued;               /* a bit a queue */
	bool had_line, paused, ended; /* ended: the peer sends no more */
	bool in_line;                 /* its line is being heard */
	bool slow;
	uint16_t wasted; /* points */
	uint16_t debt;   /* points of its coming turns that are spent already, four to a line */
	/* When it would be within its rate with nothing to spare; ahead of now by the burst at most. */
	int64_t lines_due_us, bytes_due_us;
	char *host; /* NULL: the stream's */
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
	char host[CONN_HOST_CAP]; /* asked for last */
	bool scheduled, clock_on;
	int64_t now_ms, now_us;
	uint64_t lines;               /* heard in all */
	int64_t heard_us;             /* the last line of one that is not slow */
	int64_t slow_us, slow_due_us; /* time that the slow may have; counted up to */
	struct otd_timer *clock;      /* wakes us for the slow and the held */
	struct otd_metric *m_slow, *m_held;
	uint8_t *scratch;
	size_t scratch_cap;
	struct conn_buf *spare; /* n_spare that nobody uses now */
	unsigned n_spare;
};

/* conn.c */
void conn_enqueue(struct otd_conn *c, enum conn_queue q);
struct otd_conn *conn_dequeue(struct otd_conns *g, enum conn_queue q);
/* Tells the stream what is wanted of it now. */
void conn_watch(struct otd_conn *c);
void conn_die(struct otd_conn *c, const char *reason);
/* After a delivery: what remains is for the next round, or the end has come. */
void conn_settle(struct otd_conn *c);
/* A buffer for *to, which has none; OTD_E_NOMEM. */
otd_rc conn_buf_lend(struct otd_conns *g, struct conn_buf **to);
/* Takes it back and clears *from; takes NULL in it. */
void conn_buf_return(struct otd_conns *g, struct conn_buf **from);

/* conn_in.c: delivers what is left from before, or reads once and delivers. */
void conn_turn(struct otd_conn *c);
/* Bytes as they came from the socket, delivered later. False: c is dying, or about to. */
bool conn_take(struct otd_conn *c, struct otd_span came);

/* conn_fair.c: the queue in which c waits for its turn, N_QUEUES: it may have it now. */
enum conn_queue conn_waits_in(const struct otd_conn *c);
/* Points for one turn, debts paid. */
unsigned conn_budget(struct otd_conn *c);
/* A line of n bytes was heard: what of points remains after it; 0: others are next. */
unsigned conn_spend(struct otd_conn *c, unsigned points, size_t n);
void conn_count_bytes(struct otd_conn *c, size_t n);
/* Sees to it that those of Q_SLOW or Q_HELD get their turn though nothing else happens. */
void conn_clock(struct otd_conns *g, enum conn_queue q);
void conn_round_slow(struct otd_conns *g);
void conn_round_held(struct otd_conns *g);
/* A second has gone by. */
void conn_fade(struct otd_conn *c);

/* conn_out.c: sends what can be sent. */
void conn_flush(struct otd_conn *c);
/* Lets go of a text that others have too. */
void conn_text_done(struct otd_conn *c);
/* Says the filter's farewell, as far as the socket takes it at once. */
void conn_farewell(struct otd_conn *c);

static inline size_t conn_buf_left(const struct conn_buf *b)
{
	return b ? b->b.len - b->at : 0;
}

static inline size_t conn_undelivered(const struct otd_conn *c)
{
	return conn_buf_left(c->in);
}

static inline struct otd_span conn_text_left(const struct otd_conn *c)
{
	if (!c->text)
		return (struct otd_span){NULL, 0};
	return (struct otd_span){c->text->bytes + c->text_at, c->text->len - c->text_at};
}

static inline size_t conn_unsent(const struct otd_conn *c)
{
	return conn_text_left(c).len + conn_buf_left(c->out) +
	       (c->filter ? c->filter->plain.len : 0);
}

/* A peer that asks much and reads little waits until it has read. */
static inline bool conn_choked(const struct otd_conn *c)
{
	return c->paused || conn_unsent(c) > c->g->conf.out_max / 2;
}

/* Whether a whole line (or a line that is too long) may lie in the input. */
static inline bool conn_lines_left(const struct otd_conn *c)
{
	return c->in && conn_buf_left(c->in) > c->in->searched;
}

#define CONN_IN(q)   (1u << (q))
#define CONN_IN_TURN (CONN_IN(Q_READY) | CONN_IN(Q_SLOW) | CONN_IN(Q_HELD))

static inline bool conn_readable(const struct otd_conn *c)
{
	return c->state == CONN_OPEN && !conn_choked(c) && !conn_lines_left(c) && !c->ended;
}

#endif
