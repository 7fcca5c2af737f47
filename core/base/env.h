/*
 * The seams: everything by which the host touches the world. core/loop supplies the real side,
 * tests/sim a seeded one in virtual time. No module calls the system past these (tools/ checks it).
 *
 * One struct otd_env a process. A loop is one thread's event loop; what is made on a loop is used
 * and destroyed on it, but for otd_loop_post() and otd_loop_stop(), which are [any-thread].
 * Callbacks run on the loop, never from within the call that asked for them.
 */
#ifndef OTD_BASE_ENV_H
#define OTD_BASE_ENV_H

#include "base/err.h"
#include <otedama/files.h>
#include <otedama/types.h>

struct otd_env;
struct otd_loop;
struct otd_timer;
struct otd_worker;
struct otd_compute;
struct otd_stream;
struct otd_http;

typedef void (*otd_fn)(void *arg);
typedef void (*otd_accept_fn)(void *arg, struct otd_stream *accepted);
/* events: OTD_READABLE and OTD_WRITABLE; an error or hang-up shows as both. */
typedef void (*otd_stream_fn)(void *arg, unsigned events);

enum otd_stream_event { OTD_READABLE = 1, OTD_WRITABLE = 2 };

struct otd_http_request {
	const char *url;             /* http://HOST:PORT/PATH or https:// */
	const char *user, *password; /* basic authentication, or NULL */
	struct otd_span body;        /* POSTed as application/json; empty: GET */
	int64_t timeout_ms;
	size_t max_answer; /* bytes; a longer one is OTD_E_RANGE */
	/* On a connection of its own. On a kept one that turns out to be closed a request is sent a
	   second time, and where that fails, nobody knows of the first. */
	bool once;
};

struct otd_http_answer {
	otd_rc rc; /* OTD_OK: somebody answered, whatever the status */
	int status;
	struct otd_span body; /* for the length of the callback */
	const char *error;    /* in words, where rc is not OTD_OK; has no password in it */
};
typedef void (*otd_http_fn)(void *arg, const struct otd_http_answer *a);

struct otd_env_ops {
	uint64_t (*mono_ns)(struct otd_env *e);                /* [any-thread] */
	int64_t (*wall_ms)(struct otd_env *e);                 /* [any-thread] */
	void (*random)(struct otd_env *e, void *to, size_t n); /* cryptographic. [any-thread] */

	/* loops */
	otd_rc (*loop_create)(struct otd_env *e, struct otd_loop **out, const char *name,
			      struct otd_err *err);
	void (*loop_run)(struct otd_loop *l);  /* until stopped */
	void (*loop_stop)(struct otd_loop *l); /* [any-thread] */
	void (*loop_destroy)(struct otd_loop *l);
	otd_rc (*post)(struct otd_loop *l, otd_fn fn,
		       void *arg); /* [any-thread], in order a sender */
	/* Runs fn once at the end of this round of the loop, before it sleeps: batching. */
	otd_rc (*defer)(struct otd_loop *l, otd_fn fn, void *arg);
	/* Runs fn on a thread of its own that runs a loop or a device; join by thread_join. */
	otd_rc (*thread_start)(struct otd_env *e, void **out, const char *name, otd_fn fn,
			       void *arg, struct otd_err *err);
	void (*thread_join)(struct otd_env *e, void *thread);

	/* timers; they do not drift: the next is due by the clock, not by when the last ran */
	otd_rc (*timer_create)(struct otd_loop *l, struct otd_timer **out, otd_fn fn, void *arg);
	void (*timer_start)(struct otd_timer *t, int64_t delay_ms, int64_t repeat_ms); /* 0: once */
	void (*timer_stop)(struct otd_timer *t);
	void (*timer_destroy)(struct otd_timer *t);

	/* A worker is one background thread that runs what it is given in order: journal sync,
	   store. done(arg) comes back on the loop that made it. destroy waits for what was given.
	 */
	otd_rc (*worker_create)(struct otd_loop *l, struct otd_worker **out, const char *name,
				struct otd_err *err);
	otd_rc (*worker_give)(struct otd_worker *w, otd_fn run, otd_fn done, void *arg);
	void (*worker_destroy)(struct otd_worker *w);

	/* The compute pool: run(arg) on any of its threads, done(arg) on loop l. */
	otd_rc (*compute)(struct otd_env *e, struct otd_loop *l, otd_fn run, otd_fn done,
			  void *arg);

	/* streams: non-blocking, readiness; buffers are the caller's */
	otd_rc (*listen)(struct otd_loop *l, struct otd_stream **out, const char *host,
			 uint16_t port, bool reuse_port, otd_accept_fn fn, void *arg,
			 struct otd_err *err);
	/* fn gets OTD_WRITABLE once it stands or has failed (stream_error says which). */
	otd_rc (*connect)(struct otd_loop *l, struct otd_stream **out, const char *host,
			  uint16_t port, otd_stream_fn fn, void *arg, struct otd_err *err);
	/* Takes over an accepted stream on another loop: detach on the old, attach on the new. */
	void (*stream_detach)(struct otd_stream *s);
	otd_rc (*stream_attach)(struct otd_loop *l, struct otd_stream *s, otd_stream_fn fn,
				void *arg);
	/* A listener: OTD_READABLE, as it is made, or 0: newcomers wait in the system's queue. */
	void (*stream_watch)(struct otd_stream *s, unsigned events);
	/* *n bytes were moved. OTD_E_BUSY: none now; OTD_E_CLOSED: the end, or the peer has gone.
	 */
	otd_rc (*stream_read)(struct otd_stream *s, size_t *n, void *to, size_t cap);
	otd_rc (*stream_write)(struct otd_stream *s, size_t *n, const struct otd_span *parts,
			       size_t n_parts);
	otd_rc (*stream_error)(struct otd_stream *s, struct otd_err *err);
	/* Numeric address of the peer, and port; "" where unknown. Of the own end for a listener.
	 */
	void (*stream_peer)(struct otd_stream *s, char *host, size_t cap, uint16_t *port);
	/*
	 * For another process: the descriptor of a stream or listener, which is the caller's from now
	 * on; the stream is gone. -1: it has none (a simulated one). And back: a connected socket, or
	 * a listening one, that came from another process; the descriptor is taken, also on failure. stream_adopt()'s is
	 * attached to no loop.
	 */
	int (*stream_release)(struct otd_stream *s);
	otd_rc (*stream_adopt)(struct otd_env *e, struct otd_stream **out, int fd);
	otd_rc (*listen_adopt)(struct otd_loop *l, struct otd_stream **out, int fd,
			       otd_accept_fn fn, void *arg, struct otd_err *err);
	/* Keeps Nagle off, keep-alive on; fd-level limits. Called by accept and connect already. */
	void (*stream_close)(struct otd_stream *s); /* takes NULL; no callback after it */

	/* http client; destroy before the answer cancels it: no callback then */
	otd_rc (*http)(struct otd_loop *l, struct otd_http **out, const struct otd_http_request *r,
		       otd_http_fn fn, void *arg);
	void (*http_cancel)(struct otd_http *h); /* not after its callback ran */
};

struct otd_env {
	const struct otd_env_ops *ops;
	const struct otd_files *files; /* paths as given */
};

/* Implementations embed these two as their first member. */
struct otd_loop {
	struct otd_env *env;
	const char *name;
};

static inline uint64_t otd_mono_ns(struct otd_env *e)
{
	return e->ops->mono_ns(e);
}

static inline int64_t otd_wall_ms(struct otd_env *e)
{
	return e->ops->wall_ms(e);
}

OTD_WARN_UNUSED static inline otd_rc otd_loop_post(struct otd_loop *l, otd_fn fn, void *arg)
{
	return l->env->ops->post(l, fn, arg);
}

#endif
