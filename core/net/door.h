/*
 * The door: streams whose first bytes decide what becomes of them, before they are connections. Two kinds:
 *   a proxy's      the PROXY header is read and taken off
 *   first byte     nothing is taken off: it is seen whether TLS is spoken
 * Whoever says nothing in time is sent away. All on one loop: proxies' streams on that of the listener, for
 * the gate is there and asks for the miner's own address, first bytes on that of the reactor.
 */
#ifndef OTD_NET_DOOR_H
#define OTD_NET_DOOR_H

#include "base/env.h"
#include "net/proxy.h"

struct otd_doors;

enum otd_door_kind { OTD_DOOR_PROXY = 1, OTD_DOOR_FIRST_BYTE = 2 };

/* What was read of a stream before it came to where it goes. */
struct otd_preface {
	struct otd_proxy proxy; /* of a proxy's; else empty */
	struct otd_span early;  /* what the socket brought behind that */
	/* Of one that waited at another process's door: until when, on the monotonic clock. 0: it comes now. */
	int64_t until_ms;
};

struct otd_doors_conf {
	int64_t time_ms; /* for the preface; 0: 10 s */
	size_t max;      /* streams at a time; 0: 4096 */
};

struct otd_doors_ops {
	/* Attached to no loop again; the callee's. The preface is for the call. */
	void (*ready)(void *arg, void *item, struct otd_stream *s, const struct otd_preface *p);
	/* Its stream is closed. why: one of the texts below. */
	void (*failed)(void *arg, void *item, const char *why);
};

#define OTD_DOOR_NO_HEADER "a proxy's connection without a PROXY header"
#define OTD_DOOR_TOO_LATE  "no first byte in time"
#define OTD_DOOR_GONE      "peer closed"
#define OTD_DOOR_CLOSED    "shutdown"
#define OTD_DOOR_NO_MEMORY "out of memory"

/* ops is not copied. */
OTD_WARN_UNUSED otd_rc otd_doors_create(struct otd_doors **out, struct otd_loop *l,
					const struct otd_doors_conf *conf,
					const struct otd_doors_ops *ops, void *arg);
/* For those who come from now on. */
void otd_doors_reconfigure(struct otd_doors *d, const struct otd_doors_conf *conf);
/* All who wait are sent away, failed() is called for each here. The doors stay. */
void otd_doors_clear(struct otd_doors *d);
void otd_doors_destroy(struct otd_doors *d); /* after a clear; takes NULL */
/* Takes over a stream that is attached to no loop. Where it fails (OTD_E_NOMEM, OTD_E_RANGE: too many wait)
   the stream is closed and nobody is called. */
OTD_WARN_UNUSED otd_rc otd_doors_knock(struct otd_doors *d, struct otd_stream *s,
				       enum otd_door_kind kind, void *item);
/* The same of one that waited at another process's door: until when (0: anew), and what was read there. */
OTD_WARN_UNUSED otd_rc otd_doors_knock_again(struct otd_doors *d, struct otd_stream *s,
					     enum otd_door_kind kind, void *item, int64_t until_ms,
					     struct otd_span read);
/* While they rest nothing is read and nobody is late. */
void otd_doors_rest(struct otd_doors *d, bool rests);
/* Who waits longest is taken away, attached to no loop, nobody is called. False: nobody waits. */
struct otd_door_left {
	struct otd_stream *s;
	void *item;
	enum otd_door_kind kind;
	int64_t until_ms;      /* monotonic */
	struct otd_bytes read; /* the caller's: otd_bytes_finish() */
};
bool otd_doors_leave(struct otd_doors *d, struct otd_door_left *out);
size_t otd_doors_count(const struct otd_doors *d);

#endif
