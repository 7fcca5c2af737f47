/*
 * Line-framed connections of one loop. It knows no mining: it cuts what peers send into lines,
 * gathers what is written to them, and gets rid of those who misbehave.
 *
 * Everything here belongs to one loop [reactor]. A connection is used from its opening until its
 * closed() callback returns, and never after. No callback runs from within a call of this header.
 */
#ifndef OTD_NET_CONN_H
#define OTD_NET_CONN_H

#include "base/env.h"
#include "base/metrics.h"
#include "net/filter.h"

struct otd_conns; /* the connections of one loop */
struct otd_conn;

/* Zero takes the default in brackets. */
struct otd_conn_conf {
	size_t line_max;        /* bytes of a line without its end [8 KiB] */
	size_t out_max;         /* bytes that may wait for a peer; closed past it [256 KiB] */
	int64_t first_line_ms;  /* from opening to the first line [20 s]; -1: no limit */
	int64_t idle_ms;        /* between lines of the peer [10 min]; -1: no limit */
	int64_t stall_ms;       /* bytes wait and the peer takes none [30 s]; -1: no limit */
	uint32_t lines_a_round; /* lines of one peer before others have their turn [64] */
	uint32_t bytes_a_round; /* bytes read of one peer before others have their turn [16 KiB] */
	/* A peer over these is not read until it is within them again; a burst of 0 is two seconds'. */
	uint32_t lines_a_second, lines_burst; /* 0 a second: no limit */
	uint32_t bytes_a_second, bytes_burst;
};

struct otd_conn_ops {
	/* One line without LF or CR LF, possibly empty; valid during the call. */
	void (*line)(struct otd_conn *c, struct otd_span line);
	/* The last that is heard of c. reason is one of the texts below or what close was given. */
	void (*closed)(struct otd_conn *c, const char *reason);
};

/* Fixed texts, also the label of otd_connections_closed_total. */
#define OTD_CONN_PEER_CLOSED   "peer closed"
#define OTD_CONN_LINE_TOO_LONG "line too long"
#define OTD_CONN_OUTPUT_FULL   "output full"
#define OTD_CONN_STALLED       "peer does not read"
#define OTD_CONN_NO_LINE       "no line in time"
#define OTD_CONN_IDLE          "idle"
#define OTD_CONN_NO_MEMORY     "out of memory"
#define OTD_CONN_SHUTDOWN      "shutdown"
#define OTD_CONN_HANDED_OVER   "handed over"
#define OTD_CONN_TLS           "TLS failed"

/* ops is not copied; metrics may be NULL. */
OTD_WARN_UNUSED otd_rc otd_conns_create(struct otd_conns **out, struct otd_loop *l,
					const struct otd_conn_conf *conf,
					const struct otd_conn_ops *ops,
					struct otd_metrics *metrics);
/* Closes every connection with OTD_CONN_SHUTDOWN, calling closed() here (the one exception to the
 * rule above). Takes NULL. */
void otd_conns_destroy(struct otd_conns *g);
/* For connections and lines from now on. */
void otd_conns_reconfigure(struct otd_conns *g, const struct otd_conn_conf *conf);
size_t otd_conns_count(const struct otd_conns *g);
/* Calls each(c, arg) for every connection that is not closing; each may write and close. */
void otd_conns_each(struct otd_conns *g, void (*each)(struct otd_conn *c, void *arg), void *arg);

/*
 * Takes over a stream that is attached to no loop (an accepted one, or a connected one after
 * stream_detach()); where it fails the stream is closed. arg is the owner's, see otd_conn_arg().
 */
OTD_WARN_UNUSED otd_rc otd_conn_open(struct otd_conns *g, struct otd_conn **out,
				     struct otd_stream *s, void *arg);
/* The same for a stream whose beginning was read by somebody else: a preface (net/door.h), or another
   process that has handed it over. */
struct otd_conn_origin {
	const char
		*host; /* of the peer, where it is not the socket's (PROXY); NULL: the socket's */
	uint16_t port;
	struct otd_span
		early; /* bytes that the socket brought before; copied, delivered from the next round
				  on. Where there is a filter: not yet through it. */
	struct otd_filter *filter; /* taken, also on failure; NULL: plain */
	bool had_line;             /* its first line has come already */
};
OTD_WARN_UNUSED otd_rc otd_conn_open_as(struct otd_conns *g, struct otd_conn **out,
					struct otd_stream *s, void *arg,
					const struct otd_conn_origin *from);
/*
 * Takes the stream away, attached to no loop and not closed: for another loop or process, between two
 * lines. What was read and not delivered is added to in, what was written and not sent to out. closed()
 * follows with OTD_CONN_HANDED_OVER. NULL: it is closing, its line() runs, it has a filter (which stays
 * here), or no memory; nothing has changed then.
 */
struct otd_stream *otd_conn_release(struct otd_conn *c, struct otd_bytes *in,
				    struct otd_bytes *out);
/*
 * Sends what waits, and behind it the filter's end, as far as the socket takes it at once, and gives the stream
 * away as otd_conn_release() does: a socket that is closed while its peer still talks would tell it nothing.
 * NULL: it is closing, or its line() runs. What was read and not delivered is dropped.
 */
struct otd_stream *otd_conn_last_word(struct otd_conn *c);
void *otd_conn_arg(const struct otd_conn *c);
/* Numeric address of the peer, "" where unknown; until the next call for another connection of its
   loop. Within closed() too. */
const char *otd_conn_host(const struct otd_conn *c);
uint16_t otd_conn_port(const struct otd_conn *c);

/*
 * Copies n bytes to what waits for the peer; it leaves at the end of the round. Past out_max the
 * connection closes with OTD_CONN_OUTPUT_FULL and the result is OTD_E_NOMEM; on a closing one
 * OTD_E_CLOSED. Callers may ignore both: closed() follows.
 */
otd_rc otd_conn_write(struct otd_conn *c, const void *p, size_t n);
/*
 * Text that many connections of a loop are sent: written by reference where nothing else waits for that
 * peer, copied else. create counts one holder, its maker; a connection is one while bytes of it wait.
 */
struct otd_conn_text;
OTD_WARN_UNUSED otd_rc otd_conn_text_create(struct otd_conn_text **out,
					    const struct otd_span *parts, size_t n_parts);
void otd_conn_text_drop(struct otd_conn_text *t);                        /* takes NULL */
otd_rc otd_conn_write_text(struct otd_conn *c, struct otd_conn_text *t); /* as otd_conn_write() */
/* Bytes that wait for the peer. */
size_t otd_conn_pending(const struct otd_conn *c);
/* While paused no lines are delivered and nothing is read (the first-line and idle clocks stop);
 * what the peer sends waits in its socket. */
void otd_conn_pause(struct otd_conn *c, bool paused);
/*
 * What its lines were good for. A line costs its peer one of lines_a_round, and more where it is long;
 * whoever wastes our time has fewer: points come on top, four to a line. Past OTD_CONN_SLOWED points,
 * by more waste than use, it is slowed: all who are share a sixteenth of the loop's time as long as
 * others have something to say. Points fade, 64 a second. Not from within closed().
 */
#define OTD_CONN_SLOWED 1024
#define OTD_CONN_USEFUL 4  /* points that a share which counts takes back */
#define OTD_CONN_VAIN   16 /* one that does not */
void otd_conn_wasted(struct otd_conn *c, unsigned points);
void otd_conn_useful(struct otd_conn *c);
/* Gives up what waits, closes at the end of the round; no line() from now on. reason: a fixed text
 * without quotes, not copied. A second reason is ignored. */
void otd_conn_close(struct otd_conn *c, const char *reason);
/* Sends what waits first, for at most stall_ms without progress; no line() from now on. */
void otd_conn_close_after_flush(struct otd_conn *c, const char *reason);

#endif
