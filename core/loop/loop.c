/* Loops: rounds, post, defer, signals, and how long a round took. */
#include "base/log.h"
#include "loop/real.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Nodes of posted messages that a loop keeps to use again. */
#define SPARE_MAX 4096
/* Rounds of deferred calls that defer others, once a loop has been stopped. */
#define LAST_ROUNDS 10000

void real_queue_add(struct real_queue *q, struct real_msg *m)
{
	m->next = NULL;
	if (q->last)
		q->last->next = m;
	else
		q->first = m;
	q->last = m;
}

struct real_msg *real_queue_pop(struct real_queue *q)
{
	struct real_msg *m = q->first;
	if (m) {
		q->first = m->next;
		if (!q->first)
			q->last = NULL;
	}
	return m;
}

/* --- post --- */

static void post_locked(struct real_loop *l, struct real_msg *m)
{
	bool first = !l->queue.first;
	real_queue_add(&l->queue, m);
	/* One wake-up brings all that has gathered until the loop takes it. Under the lock, so that
	   a loop that what we posted brings to its end does not go from under us. */
	if (first)
		uv_async_send(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

void real_post_msg(struct real_loop *l, struct real_msg *m)
{
	pthread_mutex_lock(&l->lock);
	post_locked(l, m);
}

otd_rc real_post(struct otd_loop *base, otd_fn fn, void *arg)
{
	struct real_loop *l = real_loop_of(base);
	struct real_msg *m;
	pthread_mutex_lock(&l->lock);
	m = l->spare;
	if (m) {
		l->spare = m->next;
		l->n_spare--;
	} else {
		m = malloc(sizeof(*m));
		if (!m) {
			pthread_mutex_unlock(&l->lock);
			return OTD_E_NOMEM;
		}
		m->cached = true;
	}
	m->fn = fn;
	m->arg = arg;
	post_locked(l, m);
	return OTD_OK;
}

/* Gives a list of done nodes back to the store, and to the heap what is too many. */
static void keep_nodes(struct real_loop *l, struct real_msg *done)
{
	pthread_mutex_lock(&l->lock);
	while (done && l->n_spare < SPARE_MAX) {
		struct real_msg *next = done->next;
		done->next = l->spare;
		l->spare = done;
		l->n_spare++;
		done = next;
	}
	pthread_mutex_unlock(&l->lock);
	while (done) {
		struct real_msg *next = done->next;
		free(done);
		done = next;
	}
}

static void deliver(struct real_loop *l)
{
	struct real_msg *m, *done = NULL;
	pthread_mutex_lock(&l->lock);
	l->batch = l->queue;
	l->queue.first = l->queue.last = NULL;
	pthread_mutex_unlock(&l->lock);
	while ((m = real_queue_pop(&l->batch))) {
		otd_fn fn = m->fn;
		void *arg = m->arg;
		/* A node that is not ours belongs to arg, which fn may free. */
		if (m->cached) {
			m->next = done;
			done = m;
		}
		fn(arg);
	}
	keep_nodes(l, done);
}

static void take_from(struct real_queue *from, struct real_queue *to,
		      bool (*match)(struct real_msg *m, void *ctx), void *ctx)
{
	struct real_queue rest = {NULL, NULL};
	struct real_msg *m;
	while ((m = real_queue_pop(from)))
		real_queue_add(match(m, ctx) ? to : &rest, m);
	*from = rest;
}

struct real_queue real_take(struct real_loop *l, bool (*match)(struct real_msg *m, void *ctx),
			    void *ctx)
{
	struct real_queue taken = {NULL, NULL};
	take_from(&l->batch, &taken, match, ctx);
	pthread_mutex_lock(&l->lock);
	take_from(&l->queue, &taken, match, ctx);
	pthread_mutex_unlock(&l->lock);
	return taken;
}

static void on_wake(uv_async_t *a)
{
	struct real_loop *l = a->data;
	/* Read before the queue is taken: what was posted ahead of the stop still runs. */
	bool stop = atomic_load(&l->stop);
	deliver(l);
	if (stop)
		uv_stop(&l->uv);
}

/* --- defer --- */

static void on_idle(uv_idle_t *i)
{
	(void)i; /* its being active keeps the loop from sleeping */
}

otd_rc real_defer(struct otd_loop *base, otd_fn fn, void *arg)
{
	struct real_loop *l = real_loop_of(base);
	struct real_calls *q = &l->deferred;
	if (q->n == q->cap) {
		size_t cap = q->cap ? 2 * q->cap : 64;
		struct real_call *p = realloc(q->ptr, cap * sizeof(*p));
		if (!p)
			return OTD_E_NOMEM;
		q->ptr = p;
		q->cap = cap;
	}
	if (!q->n)
		uv_idle_start(&l->idle, on_idle);
	q->ptr[q->n++] = (struct real_call){fn, arg};
	return OTD_OK;
}

static void run_deferred(struct real_loop *l)
{
	struct real_calls now = l->deferred;
	if (!now.n)
		return;
	/* What they defer in turn goes to the other list: the next round's. */
	l->deferred = l->running;
	l->deferred.n = 0;
	l->running = (struct real_calls){NULL, 0, 0};
	uv_idle_stop(&l->idle);
	for (size_t i = 0; i < now.n; i++)
		now.ptr[i].fn(now.ptr[i].arg);
	l->running = now;
}

/* --- rounds --- */

/* How long the loop was at work since the last round's end, without its sleep. */
static void watch_lag(struct real_loop *l)
{
	const struct real_env *e = real_env_of(l->base.env);
	uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(&l->uv);
	uint64_t wall = now - l->round_ns, slept = idle - l->idle_ns;
	uint64_t busy = wall > slept ? wall - slept : 0;
	bool first = l->round_ns == 0;
	l->round_ns = now;
	l->idle_ns = idle;
	if (first)
		return;
	if (l->lag)
		otd_metric_observe_ns(l->lag, busy);
	if (e->conf.lag_warn_ms > 0 && busy / 1000000 >= (uint64_t)e->conf.lag_warn_ms)
		otd_log(OTD_LOG_WARN, "loop", "loop.slow", "loop=%s ms=%llu", l->name,
			(unsigned long long)(busy / 1000000));
}

static void on_check(uv_check_t *c)
{
	run_deferred(c->data);
}

static void on_prepare(uv_prepare_t *p)
{
	struct real_loop *l = p->data;
	run_deferred(l);
	watch_lag(l);
	/* libuv computes how long to sleep from a time taken before the callbacks ran; without
	   this, timers come late by as much as the callbacks took. */
	uv_update_time(&l->uv);
}

void real_loop_run(struct otd_loop *base)
{
	struct real_loop *l = real_loop_of(base);
	l->round_ns = 0;
	uv_run(&l->uv, UV_RUN_DEFAULT);
	for (int i = 0; i < LAST_ROUNDS && l->deferred.n; i++)
		run_deferred(l);
	atomic_store(&l->stop, false);
}

void real_loop_stop(struct otd_loop *base)
{
	struct real_loop *l = real_loop_of(base);
	pthread_mutex_lock(&l->lock);
	atomic_store(&l->stop, true);
	uv_async_send(&l->wake);
	pthread_mutex_unlock(&l->lock);
}

/* --- life --- */

otd_rc real_loop_create(struct otd_env *e, struct otd_loop **out, const char *name,
			struct otd_err *err)
{
	struct real_loop *l = calloc(1, sizeof(*l));
	struct real_env *re = real_env_of(e);
	char labels[64];
	int r;
	*out = NULL;
	if (!l)
		return otd_fail(err, OTD_E_NOMEM, "loop %s: out of memory", name);
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->base.env = e;
	l->base.name = l->name;
	r = uv_loop_init(&l->uv);
	if (!r) {
		r = uv_async_init(&l->uv, &l->wake, on_wake);
		if (r)
			uv_loop_close(&l->uv);
	}
	if (r) {
		free(l);
		return otd_fail(err, OTD_E_NOMEM,
				"loop %s: %s; raise the limit of open files (ulimit -n)", name,
				uv_strerror(r));
	}
	(void)uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME);
	uv_prepare_init(&l->uv, &l->prepare);
	uv_check_init(&l->uv, &l->check);
	uv_idle_init(&l->uv, &l->idle);
	l->wake.data = l->prepare.data = l->check.data = l->idle.data = l;
	uv_prepare_start(&l->prepare, on_prepare);
	uv_check_start(&l->check, on_check);
	pthread_mutex_init(&l->lock, NULL);
	if (re->conf.metrics) {
		snprintf(labels, sizeof(labels), "loop=\"%s\"", l->name);
		l->lag = otd_metric(re->conf.metrics, OTD_HISTOGRAM_NS, "otd_loop_lag_seconds",
				    labels, "Time that one round of an event loop took.");
	}
	*out = &l->base;
	return OTD_OK;
}

static void free_handle(uv_handle_t *h)
{
	free(h->data);
}

/* Signal watchers live as long as the loop; everything else was closed by its owner. */
static void close_rest(uv_handle_t *h, void *arg)
{
	(void)arg;
	if (!uv_is_closing(h))
		uv_close(h, h->type == UV_SIGNAL ? free_handle : NULL);
}

static void drop_messages(struct real_loop *l)
{
	struct real_msg *m;
	while ((m = real_queue_pop(&l->queue)))
		free(m); /* a job's first member is its message */
	while (l->spare) {
		m = l->spare;
		l->spare = m->next;
		free(m);
	}
}

void real_loop_destroy(struct otd_loop *base)
{
	struct real_loop *l = real_loop_of(base);
	if (!l)
		return;
	real_pool_wait(real_env_of(base->env)->pool, l);
	real_http_multi_destroy(l->multi);
	run_deferred(l);
	real_watch_close(l);
	pthread_mutex_lock(&l->lock); /* whoever stopped us has let go */
	pthread_mutex_unlock(&l->lock);
	uv_walk(&l->uv, close_rest, NULL);
	/* uv_stop() of a stop that came after the run ended would make the first turn do nothing. */
	while (uv_run(&l->uv, UV_RUN_DEFAULT) || uv_loop_close(&l->uv) == UV_EBUSY) {}
	drop_messages(l);
	pthread_mutex_destroy(&l->lock);
	free(l->deferred.ptr);
	free(l->running.ptr);
	free(l);
}

/* --- signals --- */

struct signal_watch {
	uv_signal_t handle;
	otd_fn fn;
	void *arg;
};

static void on_signal(uv_signal_t *h, int signum)
{
	struct signal_watch *w = h->data;
	(void)signum;
	w->fn(w->arg);
}

otd_rc otd_loop_signal(struct otd_loop *base, int signum, otd_fn fn, void *arg)
{
	struct real_loop *l = real_loop_of(base);
	struct signal_watch *w = calloc(1, sizeof(*w));
	if (!w)
		return OTD_E_NOMEM;
	if (uv_signal_init(&l->uv, &w->handle)) {
		free(w);
		return OTD_E_NOMEM;
	}
	w->handle.data = w;
	w->fn = fn;
	w->arg = arg;
	return uv_signal_start(&w->handle, on_signal, signum) ? OTD_E_INVALID : OTD_OK;
}
