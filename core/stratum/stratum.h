/*
 * The Stratum server of one reactor: sessions, difficulty, dialects. One otd_stratum stands on one
 * otd_reactor and its loop. The listener and its acceptor live elsewhere and hand in accepted
 * streams, each with the index of its port.
 *
 * Everything is [reactor] but for create and destroy, which run before and after the loop does.
 */
#ifndef OTD_STRATUM_STRATUM_H
#define OTD_STRATUM_STRATUM_H

#include "net/listener.h"
#include "policy/hooks.h"
#include "pool/reactor/reactor.h"
#include "stratum/budget.h"

struct otd_stratum;
struct otd_tls; /* net/tls.h */

/* One listening port of one pool. */
struct otd_stratum_port {
	uint32_t pool;      /* index in the reactor's pools */
	const char *scheme; /* payout scheme of this port; "" is the pool's own; copied */
	/* Difficulty as targets (otd_difficulty_parse()); start lies between the other two, or is
	   moved there. A larger target is easier. */
	struct otd_u256 start, min, max; /* min: the easiest, max: the hardest */
	int64_t aim_ms;                  /* a share each; 0: 10 s */
	bool vardiff;                    /* false: start for ever, but for d= and suggestions */
	uint16_t number;                 /* on which it listens, for policy; 0: not known */
	/* Whoever begins with TLS is served with it; outlives the server. NULL: nobody is. */
	struct otd_tls *tls;
	bool tls_only;   /* and who does not is refused */
	int64_t work_ms; /* work older than this is none, for who asks after its health; 0: never */
};

/* 0 takes the default. */
struct otd_stratum_limits {
	size_t sessions_max; /* on this reactor; 0: 100000 */
	size_t line_max;     /* bytes of one line from a miner; 0: 10 KiB */
	size_t out_max;      /* bytes that may wait for a client that does not read; 0: 256 KiB */
	int64_t login_ms;    /* subscribe and authorize within this; 0: 60 s */
	int64_t idle_ms;     /* silence of a miner after which it is dropped; 0: 30 min */
	int64_t resume_ms;   /* a session may be resumed for so long after its end; 0: never */
	int64_t notify_ms;   /* a job at least this often; 0: 30 s */
	uint32_t bad_lines;  /* malformed lines after which a connection is closed; 0: 16 */
	size_t name_max;     /* bytes of a worker's name; 0 or too many: OTD_WORKER_NAME_MAX */
	uint32_t names_an_account; /* 0: as the reactor was made */
	/* Of one connection; a second 0: no limit, a burst of 0 is two seconds'. */
	uint32_t lines_a_second, lines_burst, bytes_a_second, bytes_burst;
	uint32_t outstanding; /* requests without an answer; 0: 1024 */
	struct otd_budget_conf invalid;
	bool archive; /* a reload: old segments of the reactor's journal are kept */
};

/* Who is asked what to do about miners: see policy/hooks.h. Called on the reactor's thread, from within
   what it is about; none may call back. All but ban are required. */
struct otd_stratum_policy {
	/* Whether anybody would answer; cheap. */
	bool (*wants)(void *arg, enum otd_policy_hook h, const char *pool);
	void (*connect)(void *arg, struct otd_policy_connect_out *out,
			const struct otd_policy_connect *in);
	void (*authorize)(void *arg, struct otd_policy_authorize_out *out,
			  const struct otd_policy_authorize *in);
	void (*difficulty)(void *arg, struct otd_policy_difficulty_out *out,
			   const struct otd_policy_difficulty *in);
	void (*offence)(void *arg, struct otd_policy_offence_out *out,
			const struct otd_policy_offence *in);
	/* A ban that on_offence has answered; in force later, or not at all. */
	void (*ban)(void *arg, const char *script, enum otd_policy_scope scope, const char *what,
		    int64_t seconds, const char *reason);
	void *arg;
};

/* A connection on its way to a server in another process, between two lines. Flat. */
struct otd_stratum_moved {
	struct otd_ticket ticket;
	uint32_t port, version_mask, asked_mask, bad_lines;
	char host[64]; /* "": the socket's */
	uint16_t peer_port;
	uint8_t stays; /* 1: it comes back, and looks for no other server */
	uint8_t reserved;
};

struct otd_stratum_conf {
	struct otd_reactor *reactor;
	const struct otd_stratum_port *ports; /* copied */
	size_t n_ports;
	struct otd_metrics *metrics;
	struct otd_stratum_limits limits;
	int64_t slice_us; /* of one round spent on handing out jobs; 0: 950 */
	/* A session has ended: its ticket goes back to the gate (by a post: this is the reactor's
	   thread). May be NULL. */
	void (*ended)(void *arg, const struct otd_ticket *ticket);
	void *arg;
	const struct otd_stratum_policy *policy; /* outlives the server; NULL: nobody is asked */
	/* Of this server, in ids of sessions; and the server of that number in this process, NULL where there is
	   none. Both do not change while loops run. peer may be NULL. [any-thread] */
	uint32_t index;
	/* Servers of the pool, in all processes: they count refused shares together (budget.h). 0: this is the
	   only one. */
	uint32_t reactors;
	struct otd_stratum *(*peer)(void *arg, uint32_t index);
	/* Takes a connection to the server of that number in another process, where early is read first
	   (otd_stratum_arrive_post()). False: it cannot, and the stream is the caller's. NULL: there is no other
	   process. [reactor] */
	bool (*move)(void *arg, uint32_t index, const struct otd_stratum_moved *m,
		     struct otd_stream *s, struct otd_span early);
};

otd_rc otd_stratum_create(struct otd_stratum **out, const struct otd_stratum_conf *conf,
			  struct otd_err *err);
/* Closes what is left. Takes NULL. */
void otd_stratum_destroy(struct otd_stratum *st);

/*
 * Takes over an accepted stream that is attached to no loop; where it cannot, the stream is closed
 * and ended() called. ticket (may be NULL) is copied. On this reactor's loop.
 */
void otd_stratum_accept(struct otd_stratum *st, struct otd_stream *s, uint32_t port,
			const struct otd_ticket *ticket);
/* The same from another thread, by a post. Where it fails, the stream is still the caller's.
   [any-thread] */
otd_rc otd_stratum_accept_post(struct otd_stratum *st, struct otd_stream *s, uint32_t port,
			       const struct otd_ticket *ticket);
/* Both for a stream of which something was read already (net/door.h); NULL: nothing was. Copied by the
   post. */
void otd_stratum_accept_from(struct otd_stratum *st, struct otd_stream *s, uint32_t port,
			     const struct otd_ticket *ticket, const struct otd_preface *p);
otd_rc otd_stratum_accept_from_post(struct otd_stratum *st, struct otd_stream *s, uint32_t port,
				    const struct otd_ticket *ticket, const struct otd_preface *p);
/* One that comes from another process. Where it fails, the stream is still the caller's. [any-thread] */
otd_rc otd_stratum_arrive_post(struct otd_stratum *st, struct otd_stream *s,
			       const struct otd_stratum_moved *m, struct otd_span early);
/* Sessions now, for the acceptor's choice. [any-thread] */
size_t otd_stratum_sessions(const struct otd_stratum *st);

/*
 * What a reload changes, all of it at once or nothing. Sessions stay, but those of pools and ports that
 * are gone: they are answered, told to connect again and closed. A new scheme of a port is for who
 * authorizes afterwards; its difficulty reaches who is there within two seconds.
 */
struct otd_stratum_gone_port {
	uint32_t port;    /* its number; it may come back */
	const char *text; /* for its miners, why and where to go; copied */
};

struct otd_stratum_change_conf {
	const struct otd_reactor_pool *pools; /* come behind those that are there */
	size_t n_pools;
	const uint32_t *gone; /* numbers of pools */
	size_t n_gone;
	const struct otd_stratum_gone_port *gone_ports;
	size_t n_gone_ports;
	/* All ports by their numbers, those of before and new ones behind them. */
	const struct otd_stratum_port *ports;
	size_t n_ports;
	struct otd_stratum_limits limits;
	void (*applied)(void *arg); /* on the reactor's loop; may be NULL */
	void *arg;
};
struct otd_stratum_change;
/* Whatever can fail does here. Copies all; blocks for some hashes of new pools. [coordinator] */
otd_rc otd_stratum_change_create(struct otd_stratum_change **out, struct otd_stratum *st,
				 const struct otd_stratum_change_conf *conf, struct otd_err *err);
/* Takes it where it succeeds; it fails only where memory runs out: again later. [any-thread] */
otd_rc otd_stratum_change_post(struct otd_stratum_change *c);
void otd_stratum_change_destroy(struct otd_stratum_change *c); /* one not posted; takes NULL */

/* Scripts are asked about an address whose connections were turned away count times in window_s: what
   they ban is banned. */
void otd_stratum_flood(struct otd_stratum *st, uint32_t port, const char *host, int64_t count,
		       int64_t window_s);
/* Other scripts are in force: sessions are asked about again, within two seconds. */
void otd_stratum_policy_changed(struct otd_stratum *st);

/* client.reconnect to every session: empty host is the same one. wait_s before it. */
void otd_stratum_reconnect(struct otd_stratum *st, const char *host, uint16_t port,
			   uint32_t wait_s);
/* client.show_message to the sessions of an account (NULL: all). Returns how many. */
size_t otd_stratum_show_message(struct otd_stratum *st, const char *account, const char *text);
/* From another thread: text to all sessions, or, where reconnect, that they come again at once. [any-thread] */
otd_rc otd_stratum_say_post(struct otd_stratum *st, struct otd_span text, bool reconnect);

#endif
