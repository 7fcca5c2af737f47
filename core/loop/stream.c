/* Streams: non-blocking sockets of our own under uv_poll_t. */
#include "loop/stream_priv.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* Parts of one write; more are a second write's. */
#define PARTS_MAX 64

/* --- addresses --- */

socklen_t real_address_len(const union real_address *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

void real_address_text(const union real_address *a, char *host, size_t cap, uint16_t *port)
{
	const void *ip = NULL;
	int family = a->sa.sa_family;
	uint16_t p = 0;
	if (cap)
		host[0] = 0;
	if (family == AF_INET) {
		ip = &a->v4.sin_addr;
		p = ntohs(a->v4.sin_port);
	} else if (family == AF_INET6) {
		ip = &a->v6.sin6_addr;
		p = ntohs(a->v6.sin6_port);
		/* An IPv4 peer of a socket for both: people know it by its IPv4 address. */
		if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
			ip = a->v6.sin6_addr.s6_addr + 12;
			family = AF_INET;
		}
	}
	if (port)
		*port = p;
	if (ip && !inet_ntop(family, ip, host, (socklen_t)cap) && cap)
		host[0] = 0;
}

bool real_address_numeric(union real_address *to, const char *host, uint16_t port)
{
	memset(to, 0, sizeof(*to));
	if (inet_pton(AF_INET, host, &to->v4.sin_addr) == 1) {
		to->v4.sin_family = AF_INET;
		to->v4.sin_port = htons(port);
		return true;
	}
	if (inet_pton(AF_INET6, host, &to->v6.sin6_addr) == 1) {
		to->v6.sin6_family = AF_INET6;
		to->v6.sin6_port = htons(port);
		return true;
	}
	return false;
}

void real_socket_tune(int fd)
{
	int one = 1, idle = 60, every = 15, probes = 4;
	/* A socket that does not take these still works. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* --- watching --- */

static void free_poll(uv_handle_t *h)
{
	free(h->data);
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct real_poll *p = h->data;
	struct otd_stream *s = p->s;
	unsigned what = 0;
	if (!s)
		return;
	if (status < 0) {
		/* libuv has stopped the watcher; the owner learns from read or write what is wrong,
		   maybe not at once. */
		real_poll_update(s);
		what = OTD_READABLE | OTD_WRITABLE;
	} else {
		what = (events & UV_READABLE ? OTD_READABLE : 0u) |
		       (events & UV_WRITABLE ? OTD_WRITABLE : 0u);
	}
	if (s->listener)
		real_listener_ready(s);
	else if (s->connecting)
		real_connecting_ready(s);
	else if (s->fn)
		s->fn(s->arg, what); /* s may be gone now */
}

otd_rc real_poll_open(struct otd_stream *s)
{
	struct real_poll *p = calloc(1, sizeof(*p));
	int r;
	if (!p)
		return OTD_E_NOMEM;
	r = uv_poll_init(&s->loop->uv, &p->handle, s->fd);
	if (r) {
		s->error = -r;
		free(p);
		return r == UV_ENOMEM ? OTD_E_NOMEM : OTD_E_IO;
	}
	p->handle.data = p;
	p->s = s;
	s->poll = p;
	return OTD_OK;
}

void real_poll_close(struct otd_stream *s)
{
	if (!s->poll)
		return;
	s->poll->s = NULL;
	uv_close((uv_handle_t *)&s->poll->handle, free_poll);
	s->poll = NULL;
}

void real_poll_update(struct otd_stream *s)
{
	int want = 0;
	if (!s->poll)
		return;
	if (s->connecting)
		want = UV_WRITABLE;
	else
		want = (s->events & OTD_READABLE ? UV_READABLE : 0) |
		       (s->events & OTD_WRITABLE ? UV_WRITABLE : 0);
	if (want)
		uv_poll_start(&s->poll->handle, want, on_poll);
	else
		uv_poll_stop(&s->poll->handle);
}

void real_stream_watch(struct otd_stream *s, unsigned events)
{
	if (s->events == events)
		return;
	s->events = (uint8_t)events;
	/* A listener that rests is woken by its timer. */
	if (s->attached)
		real_watch_set(s, events);
	else if (!s->connecting)
		real_poll_update(s);
}

/* --- life --- */

struct otd_stream *real_stream_new(struct real_loop *l, int fd)
{
	struct otd_stream *s = calloc(1, sizeof(*s));
	if (s) {
		s->loop = l;
		s->fd = fd;
	}
	return s;
}

void real_stream_detach(struct otd_stream *s)
{
	real_watch_forget(s);
	real_poll_close(s);
	s->loop = NULL;
	s->fn = NULL;
	s->arg = NULL;
	s->events = 0;
}

otd_rc real_stream_attach(struct otd_loop *l, struct otd_stream *s, otd_stream_fn fn, void *arg)
{
	otd_rc rc = OTD_OK;
	if (s->poll || s->attached)
		real_stream_detach(s);
	if (!real_loop_of(l)->watch)
		rc = real_watch_open(real_loop_of(l));
	if (rc)
		return rc;
	s->loop = real_loop_of(l);
	s->attached = true;
	s->events = 0;
	s->fn = fn;
	s->arg = arg;
	return OTD_OK;
}

void real_stream_close(struct otd_stream *s)
{
	if (!s)
		return;
	if (s->connecting)
		real_connecting_drop(s);
	real_watch_forget(s);
	real_poll_close(s);
	if (s->listener)
		real_listener_free(s->listener);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

/* --- to another process and from it --- */

int real_stream_release(struct otd_stream *s)
{
	int fd = s->fd;
	if (s->connecting) {
		real_stream_close(s);
		return -1;
	}
	real_watch_forget(s);
	s->fd = -1;
	real_stream_close(s);
	return fd;
}

/* What was set where it was made came with it, but for what belongs to a descriptor. */
static bool take_fd(int fd)
{
	int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
	return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
	       fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

otd_rc real_stream_adopt(struct otd_env *e, struct otd_stream **out, int fd)
{
	union real_address peer;
	socklen_t len = sizeof(peer);
	struct otd_stream *s = NULL;
	otd_rc rc = OTD_E_INVALID;
	(void)e;
	*out = NULL;
	memset(&peer, 0, sizeof(peer));
	if (take_fd(fd)) {
		/* One whose peer has gone meanwhile has no address; reading says so. */
		if (getpeername(fd, &peer.sa, &len) != 0 && errno != ENOTCONN && errno != EINVAL)
			rc = OTD_E_INVALID;
		else
			rc = (s = real_stream_new(NULL, fd)) ? OTD_OK : OTD_E_NOMEM;
	}
	if (rc) {
		if (fd >= 0)
			close(fd);
		return rc;
	}
	s->peer = peer;
	*out = s;
	return OTD_OK;
}

/* --- moving bytes --- */

/* What errno says of a connection. */
static otd_rc moved(struct otd_stream *s, int e)
{
	if (e == EAGAIN || e == EWOULDBLOCK || e == EINTR)
		return OTD_E_BUSY;
	s->error = e;
	switch (e) {
	case EPIPE:
	case ECONNRESET:
	case ECONNABORTED:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case EBADF:
	case ENOTCONN: return OTD_E_CLOSED;
	case ENOMEM:
	case ENOBUFS: return OTD_E_BUSY;
	default: return OTD_E_IO;
	}
}

otd_rc real_stream_read(struct otd_stream *s, size_t *n, void *to, size_t cap)
{
	ssize_t got;
	*n = 0;
	if (!cap)
		return OTD_OK;
	got = recv(s->fd, to, cap, 0);
	if (got < 0)
		return moved(s, errno);
	if (got == 0)
		return OTD_E_CLOSED;
	*n = (size_t)got;
	return OTD_OK;
}

otd_rc real_stream_write(struct otd_stream *s, size_t *n, const struct otd_span *parts,
			 size_t n_parts)
{
	struct iovec iov[PARTS_MAX];
	struct msghdr m;
	size_t used = 0;
	ssize_t put;
	*n = 0;
	for (size_t i = 0; i < n_parts && used < PARTS_MAX; i++) {
		if (!parts[i].len)
			continue;
		iov[used].iov_base = (void *)(uintptr_t)parts[i].ptr;
		iov[used++].iov_len = parts[i].len;
	}
	if (!used)
		return OTD_OK;
	memset(&m, 0, sizeof(m));
	m.msg_iov = iov;
	m.msg_iovlen = used;
	put = sendmsg(s->fd, &m, MSG_NOSIGNAL);
	if (put < 0)
		return moved(s, errno);
	*n = (size_t)put;
	return OTD_OK;
}

otd_rc real_stream_error(struct otd_stream *s, struct otd_err *err)
{
	char host[INET6_ADDRSTRLEN];
	uint16_t port;
	otd_rc rc;
	if (!s->error)
		return OTD_OK;
	real_address_text(&s->peer, host, sizeof(host), &port);
	switch (s->error) {
	case ECONNREFUSED: rc = OTD_E_REFUSED; break;
	case ETIMEDOUT: rc = OTD_E_TIMEOUT; break;
	case ENXIO: rc = OTD_E_NOT_FOUND; break; /* ours: the name has no address */
	case ECONNRESET:
	case EPIPE: rc = OTD_E_CLOSED; break;
	default: rc = OTD_E_IO; break;
	}
	if (s->error == ENXIO)
		return otd_fail(err, rc, "the name has no address; check its spelling and the DNS");
	return otd_fail(err, rc, "%s port %u: %s", host, port, strerror(s->error));
}

void real_stream_peer(struct otd_stream *s, char *host, size_t cap, uint16_t *port)
{
	real_address_text(&s->peer, host, cap, port);
}
