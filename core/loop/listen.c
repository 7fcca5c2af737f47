/* Listening: a batch of connections a wake-up, and what to do when descriptors run out. */
#include "base/log.h"
#include "loop/stream_priv.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ACCEPT_BATCH 64
/* How long to leave the socket alone where it cannot even be told to go away. */
#define PAUSE_MS 100
#define SAY_NS   1000000000u

struct real_listener {
	otd_accept_fn fn;
	void *arg;
	int spare; /* a descriptor to give up so that a newcomer can be taken and closed */
	struct listener_timer *pause;
	uint64_t said_ns, turned_away; /* when the log had it last, and how many since */
	bool *gone; /* set where fn closes the listener while a batch is under way */
};

/* Apart from the listener: libuv lets go of it a turn later. */
struct listener_timer {
	uv_timer_t handle;
	struct otd_stream *s;
};

static int spare_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void free_timer(uv_handle_t *h)
{
	free(h->data);
}

static void on_resume(uv_timer_t *h)
{
	struct listener_timer *t = h->data;
	if (t->s)
		real_poll_update(t->s);
}

static void pause_accepting(struct otd_stream *s)
{
	uv_poll_stop(&s->poll->handle);
	uv_timer_start(&s->listener->pause->handle, on_resume, PAUSE_MS, 0);
}

/* No descriptor is left: takes one newcomer and closes it. False where not even that works. */
static bool turn_away(struct otd_stream *s, int why)
{
	struct real_listener *li = s->listener;
	int fd;
	uint64_t now = uv_hrtime();
	li->turned_away++;
	if (!li->said_ns || now - li->said_ns > SAY_NS) { /* once a second, not once each */
		otd_log(OTD_LOG_ERROR, "loop", "accept.failed",
			"why=\"%s\" turned_away=%llu hint=\"raise the limit of open files "
			"(ulimit -n, LimitNOFILE)\"",
			strerror(why), (unsigned long long)li->turned_away);
		li->said_ns = now;
		li->turned_away = 0;
	}
	if (li->spare < 0)
		li->spare = spare_open();
	if (li->spare < 0)
		return false;
	close(li->spare);
	fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		close(fd);
	li->spare = spare_open();
	return fd >= 0;
}

/* Takes one connection. OTD_E_BUSY: none is there, or the socket rests. */
static otd_rc accept_one(struct otd_stream *s, struct otd_stream **out)
{
	union real_address peer;
	socklen_t len = sizeof(peer);
	struct otd_stream *c;
	int fd;
	*out = NULL;
	memset(&peer, 0, sizeof(peer));
	fd = accept4(s->fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		int e = errno;
		if (e == EAGAIN || e == EWOULDBLOCK)
			return OTD_E_BUSY;
		/* A peer that left before its turn, or an error of its own network. */
		if (e == EINTR || e == ECONNABORTED || e == EPROTO || e == ENETDOWN ||
		    e == EHOSTUNREACH || e == ENETUNREACH)
			return OTD_OK;
		if ((e == EMFILE || e == ENFILE) && turn_away(s, e))
			return OTD_OK;
		if (e != EMFILE && e != ENFILE)
			otd_log(OTD_LOG_ERROR, "loop", "accept.failed", "why=\"%s\"", strerror(e));
		pause_accepting(s);
		return OTD_E_BUSY;
	}
	c = real_stream_new(s->loop, fd);
	if (!c) {
		close(fd);
		return OTD_OK;
	}
	c->peer = peer;
	real_socket_tune(fd);
	*out = c;
	return OTD_OK;
}

void real_listener_ready(struct otd_stream *s)
{
	struct real_listener *li = s->listener;
	bool gone = false;
	li->gone = &gone;
	for (int i = 0; i < ACCEPT_BATCH && !gone; i++) {
		struct otd_stream *c;
		if (accept_one(s, &c))
			break;
		if (c)
			li->fn(li->arg, c);
	}
	if (!gone)
		li->gone = NULL;
}

void real_listener_free(struct real_listener *li)
{
	if (li->gone)
		*li->gone = true;
	if (li->spare >= 0)
		close(li->spare);
	li->pause->s = NULL;
	uv_close((uv_handle_t *)&li->pause->handle, free_timer);
	free(li);
}

/* --- opening --- */

static otd_rc resolve(union real_address *to, const char *host, uint16_t port, struct otd_err *err)
{
	struct addrinfo hints, *list = NULL;
	int r;
	if (real_address_numeric(to, host, port))
		return OTD_OK;
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_flags = AI_PASSIVE;
	r = getaddrinfo(host, NULL, &hints, &list);
	if (r)
		return otd_fail(err, OTD_E_NOT_FOUND, "listen on %s: %s; use a numeric address",
				host, gai_strerror(r));
	memcpy(to, list->ai_addr, list->ai_addrlen < sizeof(*to) ? list->ai_addrlen : sizeof(*to));
	freeaddrinfo(list);
	if (to->sa.sa_family == AF_INET6)
		to->v6.sin6_port = htons(port);
	else
		to->v4.sin_port = htons(port);
	return OTD_OK;
}

/*
 * What the kernel keeps for one connection, by each way (it doubles these): left alone it lets buffers grow
 * to megabytes, and whoever floods and is not read, or asks and does not read, would hold them. Accepted
 * sockets have those of their listener. Lines are short: at 200 ms of round trip this is 600 KB a second.
 */
static void bound_buffers(int fd)
{
	int in = 64 << 10, out = 128 << 10;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &in, sizeof(in));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &out, sizeof(out));
}

/* A bound, listening socket, or -errno. */
static int open_socket(union real_address *at, bool both, bool reuse_port, int backlog)
{
	int one = 1, zero = 0, e;
	socklen_t len = sizeof(*at);
	int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	bound_buffers(fd);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    (reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one))) ||
	    (at->sa.sa_family == AF_INET6 &&
	     setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? &zero : &one, sizeof(int))) ||
	    bind(fd, &at->sa, real_address_len(at)) || listen(fd, backlog) ||
	    getsockname(fd, &at->sa, &len)) {
		e = errno;
		close(fd);
		return -e;
	}
	return fd;
}

static otd_rc bind_failed(struct otd_err *err, const char *host, uint16_t port, int e)
{
	const char *hint = "";
	if (e == EADDRINUSE)
		hint = "; another program has this port: end it or choose another port";
	else if (e == EACCES)
		hint = "; ports below 1024 need CAP_NET_BIND_SERVICE: choose another port";
	else if (e == EADDRNOTAVAIL)
		hint = "; no interface of this machine has this address";
	return otd_fail(err, e == EADDRINUSE ? OTD_E_EXISTS : OTD_E_IO,
			"listen on %s port %u: %s%s", host, port, strerror(e), hint);
}

static struct real_listener *listener_new(struct otd_stream *s, otd_accept_fn fn, void *arg)
{
	struct real_listener *li = calloc(1, sizeof(*li));
	struct listener_timer *t = calloc(1, sizeof(*t));
	if (!li || !t) {
		free(li);
		free(t);
		return NULL;
	}
	uv_timer_init(&s->loop->uv, &t->handle);
	t->handle.data = t;
	t->s = s;
	li->fn = fn;
	li->arg = arg;
	li->spare = spare_open();
	li->pause = t;
	return li;
}

/* A stream that listens on fd, which is taken, also on failure. */
static otd_rc listener_open(struct otd_loop *l, struct otd_stream **out, int fd,
			    const union real_address *at, otd_accept_fn fn, void *arg)
{
	struct otd_stream *s = real_stream_new(real_loop_of(l), fd);
	if (s) {
		s->peer = *at;
		s->events = OTD_READABLE;
		s->listener = listener_new(s, fn, arg);
	}
	if (!s || !s->listener || real_poll_open(s)) {
		if (s)
			real_stream_close(s);
		else
			close(fd);
		return OTD_E_NOMEM;
	}
	real_poll_update(s);
	*out = s;
	return OTD_OK;
}

otd_rc real_listen_adopt(struct otd_loop *l, struct otd_stream **out, int fd, otd_accept_fn fn,
			 void *arg, struct otd_err *err)
{
	union real_address at;
	socklen_t len = sizeof(at), one = sizeof(int);
	int listens = 0, flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	*out = NULL;
	memset(&at, 0, sizeof(at));
	if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &one) != 0 ||
	    !listens || getsockname(fd, &at.sa, &len) != 0 ||
	    fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0) {
		if (fd >= 0)
			close(fd);
		return otd_fail(err, OTD_E_INVALID, "what was handed over does not listen");
	}
	if (listener_open(l, out, fd, &at, fn, arg))
		return otd_fail(err, OTD_E_NOMEM, "to listen: out of memory");
	return OTD_OK;
}

otd_rc real_listen(struct otd_loop *l, struct otd_stream **out, const char *host, uint16_t port,
		   bool reuse_port, otd_accept_fn fn, void *arg, struct otd_err *err)
{
	int backlog = real_env_of(l->env)->conf.backlog;
	bool any = !host || !*host || strcmp(host, "*") == 0;
	const char *name = any ? "*" : host;
	union real_address at;
	otd_rc rc;
	int fd;
	*out = NULL;
	rc = resolve(&at, any ? "::" : host, port, err);
	if (rc)
		return rc;
	fd = open_socket(&at, any, reuse_port, backlog);
	if (any && (fd == -EAFNOSUPPORT || fd == -EADDRNOTAVAIL)) { /* a machine without IPv6 */
		(void)real_address_numeric(&at, "0.0.0.0", port);
		fd = open_socket(&at, any, reuse_port, backlog);
	}
	if (fd < 0)
		return bind_failed(err, name, port, -fd);
	if (listener_open(l, out, fd, &at, fn, arg))
		return otd_fail(err, OTD_E_NOMEM, "listen on %s port %u: out of memory", name,
				port);
	return OTD_OK;
}
