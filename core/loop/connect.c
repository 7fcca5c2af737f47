/* Connecting: names are looked up in the background, their addresses tried in turn. */
#include "loop/stream_priv.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ADDRESSES_MAX 8

struct lookup {
	uv_getaddrinfo_t req;
	struct otd_stream *s; /* NULL: the stream has gone */
};

struct real_connecting {
	struct lookup *lookup; /* under way */
	union real_address at[ADDRESSES_MAX];
	size_t n, next;
	uint16_t port;
	bool deferred; /* connect_next() or finish waits in the loop's deferred calls */
	bool gone;     /* its stream was closed meanwhile: whoever comes next frees it */
	struct otd_stream *s;
};

static void finish(struct otd_stream *s, int error)
{
	struct real_connecting *c = s->connecting;
	s->error = error;
	s->connecting = NULL;
	free(c);
	real_poll_update(s);
	s->fn(s->arg, OTD_WRITABLE);
}

/* Starts with the next address; true where one is under way. */
static bool try_next(struct otd_stream *s)
{
	struct real_connecting *c = s->connecting;
	while (c->next < c->n) {
		const union real_address *to = &c->at[c->next++];
		real_poll_close(s);
		if (s->fd >= 0)
			close(s->fd);
		s->peer = *to;
		s->fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		if (s->fd < 0) {
			s->error = errno;
			continue;
		}
		real_socket_tune(s->fd);
		if (connect(s->fd, &to->sa, real_address_len(to)) && errno != EINPROGRESS) {
			s->error = errno;
			continue;
		}
		if (real_poll_open(s))
			continue;
		real_poll_update(s);
		return true;
	}
	return false;
}

void real_connecting_ready(struct otd_stream *s)
{
	int e = 0;
	socklen_t len = sizeof(e);
	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &e, &len))
		e = errno;
	if (e) {
		s->error = e;
		if (try_next(s))
			return;
	}
	finish(s, e ? s->error : 0);
}

/* A deferred call: nothing may call back from within connect(). */
static void begin(void *arg)
{
	struct real_connecting *c = arg;
	struct otd_stream *s = c->s;
	if (c->gone) {
		free(c);
		return;
	}
	c->deferred = false;
	if (!try_next(s))
		finish(s, s->error ? s->error : EADDRNOTAVAIL);
}

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
	struct lookup *k = req->data;
	struct otd_stream *s = k->s;
	free(k);
	if (s && status == 0) {
		struct real_connecting *c = s->connecting;
		for (struct addrinfo *a = list; a && c->n < ADDRESSES_MAX; a = a->ai_next) {
			union real_address *to = &c->at[c->n];
			if (a->ai_family != AF_INET && a->ai_family != AF_INET6)
				continue;
			memcpy(to, a->ai_addr, a->ai_addrlen);
			if (a->ai_family == AF_INET6)
				to->v6.sin6_port = htons(c->port);
			else
				to->v4.sin_port = htons(c->port);
			c->n++;
		}
	}
	uv_freeaddrinfo(list);
	if (!s)
		return;
	s->connecting->lookup = NULL;
	s->error = ENXIO;
	if (!try_next(s))
		finish(s, s->error);
}

void real_connecting_drop(struct otd_stream *s)
{
	struct real_connecting *c = s->connecting;
	s->connecting = NULL;
	if (c->lookup) {
		c->lookup->s = NULL;
		uv_cancel((uv_req_t *)&c->lookup->req);
	}
	if (c->deferred)
		c->gone = true;
	else
		free(c);
}

static otd_rc start_lookup(struct otd_stream *s, const char *host)
{
	struct lookup *k = calloc(1, sizeof(*k));
	struct addrinfo hints;
	int r;
	if (!k)
		return OTD_E_NOMEM;
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	k->req.data = k;
	k->s = s;
	r = uv_getaddrinfo(&s->loop->uv, &k->req, on_lookup, host, NULL, &hints);
	if (r) {
		free(k);
		return r == UV_ENOMEM ? OTD_E_NOMEM : OTD_E_INVALID;
	}
	s->connecting->lookup = k;
	return OTD_OK;
}

otd_rc real_connect(struct otd_loop *l, struct otd_stream **out, const char *host, uint16_t port,
		    otd_stream_fn fn, void *arg, struct otd_err *err)
{
	struct otd_stream *s = real_stream_new(real_loop_of(l), -1);
	struct real_connecting *c = calloc(1, sizeof(*c));
	otd_rc rc;
	*out = NULL;
	if (!s || !c) {
		free(s);
		free(c);
		return otd_fail(err, OTD_E_NOMEM, "connect to %s: out of memory", host);
	}
	s->fn = fn;
	s->arg = arg;
	s->connecting = c;
	c->s = s;
	c->port = port;
	if (real_address_numeric(&c->at[0], host, port)) {
		c->n = 1;
		rc = real_defer(l, begin, c);
		c->deferred = rc == OTD_OK;
	} else {
		rc = start_lookup(s, host);
	}
	if (rc) {
		real_stream_close(s);
		return otd_fail(err, rc, "connect to %s: %s", host,
				rc == OTD_E_NOMEM ? "out of memory" : "not a host name");
	}
	*out = s;
	return OTD_OK;
}
