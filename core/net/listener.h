/*
 * Listening sockets, and the gate before the reactors: how many connections at all, by address,
 * and how many new ones a second. All on one loop [coordinator].
 *
 * A connection that passes gets a ticket, flat bytes that go with it and come back with
 * otd_gate_release() when it has ended, by whatever message.
 */
#ifndef OTD_NET_LISTENER_H
#define OTD_NET_LISTENER_H

#include "base/env.h"
#include "base/metrics.h"

struct otd_bans; /* net/bans.h */
struct otd_ban_net;
struct otd_preface; /* net/door.h */
struct otd_door_left;
struct otd_lists; /* net/lists.h */
struct otd_gate;
struct otd_listener;

#define OTD_NET_REACTORS_MAX 256

/* Zero takes the default in brackets. An address is an IPv4 address or an IPv6 /64, a prefix the network
   round it. */
struct otd_gate_conf {
	uint32_t total;        /* connections at a time [100000] */
	uint32_t per_address;  /* connections of one address at a time [4096] */
	uint32_t rate;         /* new connections a second of one address [512] */
	uint32_t burst;        /* of them at once [2048] */
	uint32_t addresses;    /* addresses remembered, and prefixes [131072] */
	uint32_t prefix_ipv4;  /* bits of a prefix, 8 to 32 [24] */
	uint32_t prefix_ipv6;  /* 16 to 64 [48] */
	uint32_t per_prefix;   /* connections of one prefix at a time [16384] */
	uint32_t prefix_rate;  /* new connections a second of one prefix [2048] */
	uint32_t prefix_burst; /* of them at once [8192] */
	uint32_t grey_ppm; /* part of the limits by address for the list grey, at least 1 [10000] */
	bool by_files; /* total is what the open files leave room for: otd_gate_trouble() says so */
};

struct otd_ticket {
	uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d, IPv6 with its last 64 bits zero */
	uint16_t reactor;    /* index; OTD_NET_REACTORS_MAX: none */
	uint8_t uncounted;   /* 1: one of the list allow that the tables had no room for */
	uint8_t reserved;
	uint32_t connections; /* of the address, this one among them, when it came in */
};

struct otd_listener_ops {
	/*
	 * Takes the stream, attached to no loop, to the reactor of ticket->reactor (post, then
	 * otd_conn_open() there). Whoever cannot closes it (env's stream_close) and gives the
	 * ticket back.
	 */
	void (*deliver)(void *arg, struct otd_stream *s, const struct otd_ticket *ticket);
	/* Which of the reactors: NULL takes the one with the fewest connections of this gate. */
	uint16_t (*choose)(void *arg, const struct otd_ticket *ticket);
	/* One was turned away because its address has too many connections, or makes too many new ones.
	   May be NULL. */
	void (*flood)(void *arg, const char *host);
	/* As deliver, of a connection that came by a proxy (otd_listener_proxies()). The preface is for the
	   call. Required where there are proxies. */
	void (*deliver_from)(void *arg, struct otd_stream *s, const struct otd_ticket *ticket,
			     const struct otd_preface *p);
};

/* reactors: 1 to OTD_NET_REACTORS_MAX. metrics may be NULL. */
OTD_WARN_UNUSED otd_rc otd_gate_create(struct otd_gate **out, struct otd_env *e,
				       const struct otd_gate_conf *conf, uint16_t reactors,
				       struct otd_metrics *metrics);
void otd_gate_destroy(struct otd_gate *g); /* takes NULL; its listeners are gone */
void otd_gate_reconfigure(struct otd_gate *g,
			  const struct otd_gate_conf *conf); /* addresses only shrinks */
/* From now on addresses banned in this table, on the same loop, are turned away. NULL: none are. */
void otd_gate_set_bans(struct otd_gate *g, const struct otd_bans *bans);
/* From now on by these lists (net/lists.h); they outlive the gate, or the next call. NULL: none. */
void otd_gate_set_lists(struct otd_gate *g, const struct otd_lists *lists);
/* What one that is turned away is told, for a reason of otd_gate_enter(): writes at most cap bytes, returns how
   many (0: nothing). The net knows no miners' words. */
typedef size_t (*otd_gate_words_fn)(char *to, size_t cap, const char *reason);
void otd_gate_set_words(struct otd_gate *g, otd_gate_words_fn words);
/*
 * Whether a connection from host (numeric) may come in now. OTD_OK fills the ticket and counts it;
 * else OTD_E_BUSY and *reason is one of these fixed texts. Who stands in the list allow is asked for ban and
 * total alone.
 */
#define OTD_GATE_BANNED      "banned"
#define OTD_GATE_DENIED      "in the list deny"
#define OTD_GATE_TOTAL       "too many connections"
#define OTD_GATE_ADDRESS     "too many connections of this address"
#define OTD_GATE_RATE        "too many new connections of this address"
#define OTD_GATE_PREFIX      "too many connections of this network"
#define OTD_GATE_PREFIX_RATE "too many new connections of this network"
#define OTD_GATE_TABLE       "too many addresses"
OTD_WARN_UNUSED otd_rc otd_gate_enter(struct otd_gate *g, struct otd_ticket *ticket,
				      const char *host, const char **reason);
/* One that another process has let in, and handed over: counted on this reactor, whatever the limits say. */
void otd_gate_readmit(struct otd_gate *g, struct otd_ticket *ticket, const char *host,
		      uint16_t reactor);
/* Counts a ticket for another reactor than the least loaded one that otd_gate_enter() chose. */
void otd_gate_move(struct otd_gate *g, struct otd_ticket *ticket, uint16_t reactor);
void otd_gate_release(struct otd_gate *g, const struct otd_ticket *ticket);
/* Tells who is turned away why, where this is told to anybody (OTD_GATE_TOLD a second at most, nobody waits
   for its bytes), and closes the stream. */
#define OTD_GATE_TOLD 500
void otd_gate_turn_away(struct otd_gate *g, struct otd_stream *s, const char *reason);
/* What limits have turned away in the last minute, for people; "" where none has. Until the next call. */
const char *otd_gate_trouble(struct otd_gate *g);
uint32_t otd_gate_count(const struct otd_gate *g);                        /* let in, not released */
uint32_t otd_gate_load(const struct otd_gate *g, uint16_t reactor);       /* of one reactor */
uint32_t otd_gate_of_address(const struct otd_gate *g, const char *host); /* of one address */

/* Listens at once; accepted connections that the gate refuses are closed, counted and logged.
 * host "" or "*": every address. port 0: any, see otd_listener_port(). ops is not copied. */
OTD_WARN_UNUSED otd_rc otd_listener_create(struct otd_listener **out, struct otd_loop *l,
					   struct otd_gate *g, const char *host, uint16_t port,
					   bool reuse_port, const struct otd_listener_ops *ops,
					   void *arg, struct otd_err *err);
uint16_t otd_listener_port(const struct otd_listener *l);
/*
 * From now on connections from these prefixes are proxies': each must begin with a PROXY header within time_ms
 * (0: 10 s), and the gate is asked for the address that it tells; of a LOCAL or UNKNOWN one for the
 * proxy's. At most max (0: 4096) of them wait at a time. From anybody else such a header is no header.
 * nets is copied; n 0: there are no proxies. OTD_E_NOMEM: as it was.
 */
OTD_WARN_UNUSED otd_rc otd_listener_proxies(struct otd_listener *l, const struct otd_ban_net *nets,
					    size_t n, int64_t time_ms, size_t max);
/* Rests, or goes on: who comes while it rests waits in the system's queue, and nobody reads a header. */
void otd_listener_rest(struct otd_listener *l, bool rests);
/* A proxy's connection whose header is not whole yet, for another process; false: there is none (more). */
bool otd_listener_leave(struct otd_listener *l, struct otd_door_left *out);
/* One that waited so there: until when, and what it has sent. The stream is taken; where its peer is no
   proxy here any more it is closed. */
void otd_listener_knock_again(struct otd_listener *l, struct otd_stream *s, int64_t until_ms,
			      struct otd_span read);
/* The socket, for another process; from then on it is as if drained. -1: it is drained. */
int otd_listener_release(struct otd_listener *l);
/* As otd_listener_create() on such a socket, which is taken also on failure. */
OTD_WARN_UNUSED otd_rc otd_listener_adopt(struct otd_listener **out, struct otd_loop *l,
					  struct otd_gate *g, int fd,
					  const struct otd_listener_ops *ops, void *arg,
					  struct otd_err *err);
/* Accepts no more; connections stay. Repeating it is harmless. */
void otd_listener_drain(struct otd_listener *l);
void otd_listener_destroy(struct otd_listener *l); /* takes NULL */

#endif
