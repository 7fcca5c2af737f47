/*
 * Connections under an epoll of the loop's own, which libuv watches as one descriptor: a uv_poll_t is 160
 * bytes a connection, and takes three system calls to begin. Listeners and what is still connecting are
 * few, and stay with libuv (stream.c).
 */
#include "loop/stream_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 256
/* Rounds of EVENTS_MAX before timers and messages have their turn. */
#define ROUNDS_MAX 8

struct real_watch {
	uv_poll_t handle;
	int epoll;
	struct epoll_event *now; /* being served: n_now of them */
	int n_now;
};

static void serve(struct real_watch *w, struct epoll_event *e, int n)
{
	w->now = e;
	w->n_now = n;
	for (int i = 0; i < n; i++) {
		struct otd_stream *s = e[i].data.ptr;
		unsigned what = (e[i].events & EPOLLIN ? OTD_READABLE : 0u) |
				(e[i].events & EPOLLOUT ? OTD_WRITABLE : 0u);
		if (!s || !s->fn)
			continue; /* it left while others were served */
		if (e[i].events & (EPOLLERR | EPOLLHUP))
			what = OTD_READABLE | OTD_WRITABLE;
		s->fn(s->arg, what); /* s may be gone now */
	}
	w->now = NULL;
	w->n_now = 0;
}

static void on_ready(uv_poll_t *h, int status, int events)
{
	struct real_watch *w = h->data;
	struct epoll_event e[EVENTS_MAX];
	int n = EVENTS_MAX;
	(void)status;
	(void)events;
	for (int i = 0; i < ROUNDS_MAX && n == EVENTS_MAX; i++) {
		n = epoll_wait(w->epoll, e, EVENTS_MAX, 0);
		if (n > 0)
			serve(w, e, n);
	}
}

static void free_watch(uv_handle_t *h)
{
	struct real_watch *w = h->data;
	close(w->epoll);
	free(w);
}

otd_rc real_watch_open(struct real_loop *l)
{
	struct real_watch *w = calloc(1, sizeof(*w));
	if (!w)
		return OTD_E_NOMEM;
	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll < 0 || uv_poll_init(&l->uv, &w->handle, w->epoll)) {
		if (w->epoll >= 0)
			close(w->epoll);
		free(w);
		return OTD_E_IO;
	}
	w->handle.data = w;
	uv_poll_start(&w->handle, UV_READABLE, on_ready);
	l->watch = w;
	return OTD_OK;
}

void real_watch_close(struct real_loop *l)
{
	if (l->watch)
		uv_close((uv_handle_t *)&l->watch->handle, free_watch);
	l->watch = NULL;
}

void real_watch_set(struct otd_stream *s, unsigned events)
{
	struct real_watch *w = s->loop->watch;
	struct epoll_event e = {.events = (events & OTD_READABLE ? (uint32_t)EPOLLIN : 0u) |
					  (events & OTD_WRITABLE ? (uint32_t)EPOLLOUT : 0u),
				.data.ptr = s};
	/* Not watched for nothing: it would be told of a hang-up again and again. */
	int op = !events ? EPOLL_CTL_DEL : s->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (!events && !s->watched)
		return;
	if (epoll_ctl(w->epoll, op, s->fd, &e) == 0)
		s->watched = events != 0;
	else
		s->error = errno;
}

void real_watch_forget(struct otd_stream *s)
{
	struct real_watch *w;
	if (!s->attached)
		return;
	w = s->loop->watch;
	real_watch_set(s, 0);
	s->attached = false;
	for (int i = 0; i < w->n_now; i++) {
		if (w->now[i].data.ptr == s)
			w->now[i].data.ptr = NULL;
	}
}
