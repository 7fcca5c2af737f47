/* What the files of core/loop share. Nothing outside this folder includes it. */
#ifndef OTD_LOOP_REAL_H
#define OTD_LOOP_REAL_H

#include "loop/loop.h"
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

struct real_pool;
struct real_http_multi;

/* A call on its way to a loop. cached: it belongs to the loop's store of nodes. */
struct real_msg {
	struct real_msg *next;
	otd_fn fn;
	void *arg;
	bool cached;
};

struct real_queue {
	struct real_msg *first, *last;
};

/* Background work: run(arg) elsewhere, then done(arg) on the loop. It carries the message that
 * brings it home, so that the way back cannot fail for want of memory. */
struct real_job {
	struct real_msg msg;
	struct real_job *next;
	struct real_loop *home;
	struct otd_worker *worker; /* NULL: the compute pool */
	otd_fn run, done;
	void *arg;
};

struct real_calls {
	struct real_call {
		otd_fn fn;
		void *arg;
	} * ptr;
	size_t n, cap;
};

struct real_env {
	struct otd_env base;
	struct otd_env_real_conf conf;
	struct real_pool *pool;
};

struct real_watch;

struct real_loop {
	struct otd_loop base;
	char name[32];
	uv_loop_t uv;
	uv_async_t wake;
	uv_prepare_t prepare;
	uv_check_t check;
	uv_idle_t idle; /* active while calls are deferred: the loop must not sleep */
	atomic_bool stop;

	pthread_mutex_t lock; /* guards the two below */
	struct real_queue queue;
	struct real_msg *spare; /* nodes to use again, n_spare of them */
	size_t n_spare;
	struct real_queue batch; /* taken from queue, being delivered; the loop's thread only */

	struct real_calls deferred, running; /* filled and run in turn */

	atomic_uint computing; /* jobs of the compute pool that have not come home */
	struct real_http_multi *multi;
	struct real_watch *watch; /* watch.c; NULL: nothing was attached yet */
	struct otd_metric *lag;
	uint64_t round_ns, idle_ns; /* at the end of the round before */
};

static inline struct real_loop *real_loop_of(struct otd_loop *l)
{
	return (struct real_loop *)l;
}

static inline struct real_env *real_env_of(struct otd_env *e)
{
	return (struct real_env *)e;
}

/* loop.c */
otd_rc real_loop_create(struct otd_env *e, struct otd_loop **out, const char *name,
			struct otd_err *err);
void real_loop_run(struct otd_loop *l);
void real_loop_stop(struct otd_loop *l);
void real_loop_destroy(struct otd_loop *l);
otd_rc real_post(struct otd_loop *l, otd_fn fn, void *arg);
void real_post_msg(struct real_loop *l, struct real_msg *m); /* cannot fail */
otd_rc real_defer(struct otd_loop *l, otd_fn fn, void *arg);
/* Moves the messages whose fn and arg match() out of what waits, in their order. */
struct real_queue real_take(struct real_loop *l, bool (*match)(struct real_msg *m, void *ctx),
			    void *ctx);
void real_queue_add(struct real_queue *q, struct real_msg *m);
struct real_msg *real_queue_pop(struct real_queue *q);

/* timer.c */
otd_rc real_timer_create(struct otd_loop *l, struct otd_timer **out, otd_fn fn, void *arg);
void real_timer_start(struct otd_timer *t, int64_t delay_ms, int64_t repeat_ms);
void real_timer_stop(struct otd_timer *t);
void real_timer_destroy(struct otd_timer *t);

/* thread.c */
otd_rc real_thread_start(struct otd_env *e, void **out, const char *name, otd_fn fn, void *arg,
			 struct otd_err *err);
void real_thread_join(struct otd_env *e, void *thread);
otd_rc real_worker_create(struct otd_loop *l, struct otd_worker **out, const char *name,
			  struct otd_err *err);
otd_rc real_worker_give(struct otd_worker *w, otd_fn run, otd_fn done, void *arg);
void real_worker_destroy(struct otd_worker *w);
otd_rc real_pool_create(struct real_pool **out, uint32_t threads);
void real_pool_destroy(struct real_pool *p);
void real_pool_wait(struct real_pool *p, struct real_loop *l);
otd_rc real_compute(struct otd_env *e, struct otd_loop *l, otd_fn run, otd_fn done, void *arg);

/* stream.c, listen.c */
otd_rc real_listen(struct otd_loop *l, struct otd_stream **out, const char *host, uint16_t port,
		   bool reuse_port, otd_accept_fn fn, void *arg, struct otd_err *err);
otd_rc real_connect(struct otd_loop *l, struct otd_stream **out, const char *host, uint16_t port,
		    otd_stream_fn fn, void *arg, struct otd_err *err);
void real_stream_detach(struct otd_stream *s);
otd_rc real_stream_attach(struct otd_loop *l, struct otd_stream *s, otd_stream_fn fn, void *arg);
void real_stream_watch(struct otd_stream *s, unsigned events);
otd_rc real_stream_read(struct otd_stream *s, size_t *n, void *to, size_t cap);
otd_rc real_stream_write(struct otd_stream *s, size_t *n, const struct otd_span *parts,
			 size_t n_parts);
otd_rc real_stream_error(struct otd_stream *s, struct otd_err *err);
void real_stream_peer(struct otd_stream *s, char *host, size_t cap, uint16_t *port);
int real_stream_release(struct otd_stream *s);
otd_rc real_stream_adopt(struct otd_env *e, struct otd_stream **out, int fd);
otd_rc real_listen_adopt(struct otd_loop *l, struct otd_stream **out, int fd, otd_accept_fn fn,
			 void *arg, struct otd_err *err);
void real_stream_close(struct otd_stream *s);

/* watch.c */
void real_watch_close(struct real_loop *l); /* takes one without */

/* http.c */
otd_rc real_http(struct otd_loop *l, struct otd_http **out, const struct otd_http_request *r,
		 otd_http_fn fn, void *arg);
void real_http_cancel(struct otd_http *h);
void real_http_multi_destroy(struct real_http_multi *m);

#endif
