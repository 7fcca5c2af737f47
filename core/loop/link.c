/* Frames over a unix socket, see loop/link.h. */
#include "loop/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "loop/real.h"

#define READ_BYTES   65536u
#define READS_A_TURN 16
#define FDS_A_SEND   64 /* the kernel takes 253 */
#define SEND_BYTES   (256u << 10)
#define AGAIN_MS     5 /* too many descriptors are on their way: nothing tells when there is room */

/* Apart from the link: libuv lets go of it a turn later. */
struct link_poll {
	uv_poll_t handle;
	struct otd_link *k; /* NULL: the link has left */
};

/* A descriptor that waits, and the place of its frame in all that was ever sent. */
struct link_fd {
	int fd;
	uint64_t at;
};

struct otd_link {
	struct otd_link_conf conf;
	struct otd_loop *loop;
	struct link_poll *poll;
	struct otd_timer *again;
	int fd;
	bool deferred, ended, writable_wanted;
	/* out: bytes from out_at on wait; sent counts those that left */
	uint8_t *out;
	size_t out_at, out_len, out_cap;
	uint64_t sent;
	struct link_fd *out_fd;
	size_t out_fd_at, out_fd_len, out_fd_cap;
	/* in */
	uint8_t *in;
	size_t in_len, in_cap;
	int in_fd[OTD_LINK_FDS_AHEAD];
	size_t in_fds;
};

static size_t padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

otd_rc otd_link_parse(struct otd_link_frame *out, const uint8_t *p, size_t n, size_t frame_max)
{
	uint32_t head[2];
	if (n < OTD_LINK_HEAD)
		return OTD_E_BUSY;
	memcpy(head, p, sizeof(head));
	if (head[0] > frame_max || (head[1] & ~OTD_LINK_WITH_FD) != 0)
		return OTD_E_INVALID;
	out->size = OTD_LINK_HEAD + padded(head[0]);
	if (n < out->size)
		return OTD_E_BUSY;
	out->payload = (struct otd_span){p + OTD_LINK_HEAD, head[0]};
	out->with_fd = head[1] & OTD_LINK_WITH_FD;
	return OTD_OK;
}

/* --- watching --- */

static void on_poll(uv_poll_t *h, int status, int events);

static void watch(struct otd_link *k)
{
	if (k->poll)
		uv_poll_start(&k->poll->handle,
			      UV_READABLE | (k->writable_wanted ? UV_WRITABLE : 0), on_poll);
}

static void free_poll(uv_handle_t *h)
{
	free(h->data);
}

static void leave_loop(struct otd_link *k)
{
	if (!k->poll)
		return;
	k->poll->k = NULL;
	uv_close((uv_handle_t *)&k->poll->handle, free_poll);
	k->poll = NULL;
}

static void end(struct otd_link *k, const char *why)
{
	if (k->ended)
		return;
	k->ended = true;
	leave_loop(k);
	k->conf.ended(k->conf.arg, why); /* k may be gone now */
}

/* --- out --- */

size_t otd_link_waiting(const struct otd_link *k)
{
	return k->out_len - k->out_at;
}

/* Those of frames that begin before until go along; how many. */
static size_t add_fds(struct otd_link *k, struct msghdr *m, uint64_t until)
{
	int fds[FDS_A_SEND];
	size_t n = 0;
	while (n < FDS_A_SEND && k->out_fd_at + n < k->out_fd_len &&
	       k->out_fd[k->out_fd_at + n].at < until) {
		fds[n] = k->out_fd[k->out_fd_at + n].fd;
		n++;
	}
	if (n == 0) {
		m->msg_control = NULL;
		m->msg_controllen = 0;
		return 0;
	}
	m->msg_controllen = CMSG_SPACE(n * sizeof(int));
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	return n;
}

/* How many bytes may go in one call: as far as their descriptors do. */
static size_t send_size(const struct otd_link *k)
{
	size_t n = otd_link_waiting(k);
	n = n < SEND_BYTES ? n : SEND_BYTES;
	size_t next = k->out_fd_at + FDS_A_SEND;
	if (next < k->out_fd_len && k->out_fd[next].at < k->sent + n)
		n = (size_t)(k->out_fd[next].at - k->sent);
	return n;
}

static void forget_fds(struct otd_link *k, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)close(k->out_fd[k->out_fd_at + i].fd);
	k->out_fd_at += n;
	if (k->out_fd_at == k->out_fd_len)
		k->out_fd_at = k->out_fd_len = 0;
}

/* errno, or 0: some of it has left. */
static int send_some(struct otd_link *k)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(FDS_A_SEND * sizeof(int))] = {0};
	struct iovec v = {k->out + k->out_at, send_size(k)};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	size_t n_fds = add_fds(k, &m, k->sent + v.iov_len);
	ssize_t n = sendmsg(k->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno;
	/* The descriptors went with the first byte. */
	forget_fds(k, n_fds);
	k->out_at += (size_t)n;
	k->sent += (uint64_t)n;
	if (k->out_at == k->out_len)
		k->out_at = k->out_len = 0;
	return 0;
}

/* Sends what the socket takes; errno of what stopped it, 0: nothing is left. */
static int drain(struct otd_link *k)
{
	int e = 0;
	while (!e && otd_link_waiting(k))
		e = send_some(k);
	return e;
}

static void flush(struct otd_link *k)
{
	int e = k->ended ? 0 : drain(k);
	bool wait = e == EAGAIN || e == EWOULDBLOCK || e == EINTR;
	if (e == ETOOMANYREFS || e == ENOMEM || e == ENOBUFS) {
		k->loop->env->ops->timer_start(k->again, AGAIN_MS, 0);
	} else if (e && !wait) {
		end(k, "the other side is gone");
		return;
	}
	if (wait != k->writable_wanted) {
		k->writable_wanted = wait;
		watch(k);
	}
}

static void on_round_end(void *arg)
{
	struct otd_link *k = arg;
	k->deferred = false;
	if (k->fd < 0)
		free(k); /* destroyed meanwhile */
	else
		flush(k);
}

static void on_again(void *arg)
{
	flush(arg);
}

static bool room(struct otd_link *k, size_t n)
{
	if (k->out_at && (k->out_at > k->out_cap / 2 || k->out_len + n > k->out_cap)) {
		memmove(k->out, k->out + k->out_at, k->out_len - k->out_at);
		k->out_len -= k->out_at;
		k->out_at = 0;
	}
	if (k->out_len + n <= k->out_cap)
		return true;
	size_t cap = k->out_cap ? 2 * k->out_cap : READ_BYTES;
	while (cap < k->out_len + n)
		cap *= 2;
	uint8_t *p = realloc(k->out, cap);
	if (!p)
		return false;
	k->out = p;
	k->out_cap = cap;
	return true;
}

static bool keep_fd(struct otd_link *k, int fd)
{
	if (k->out_fd_at && k->out_fd_len == k->out_fd_cap) {
		memmove(k->out_fd, k->out_fd + k->out_fd_at,
			(k->out_fd_len - k->out_fd_at) * sizeof(*k->out_fd));
		k->out_fd_len -= k->out_fd_at;
		k->out_fd_at = 0;
	}
	if (k->out_fd_len == k->out_fd_cap) {
		size_t cap = k->out_fd_cap ? 2 * k->out_fd_cap : 64;
		struct link_fd *p = realloc(k->out_fd, cap * sizeof(*p));
		if (!p)
			return false;
		k->out_fd = p;
		k->out_fd_cap = cap;
	}
	k->out_fd[k->out_fd_len++] = (struct link_fd){fd, k->sent + otd_link_waiting(k)};
	return true;
}

otd_rc otd_link_send(struct otd_link *k, const void *payload, size_t n, int fd)
{
	uint32_t head[2] = {(uint32_t)n, fd >= 0 ? OTD_LINK_WITH_FD : 0};
	size_t size = OTD_LINK_HEAD + padded(n);
	if (k->ended)
		return OTD_E_CLOSED;
	if (n > k->conf.frame_max)
		return OTD_E_RANGE;
	if (otd_link_waiting(k) + size > k->conf.waiting_max)
		return OTD_E_BUSY;
	if (!room(k, size) || (fd >= 0 && !keep_fd(k, fd)))
		return OTD_E_NOMEM;
	memcpy(k->out + k->out_len, head, sizeof(head));
	memcpy(k->out + k->out_len + OTD_LINK_HEAD, payload, n);
	memset(k->out + k->out_len + OTD_LINK_HEAD + n, 0, size - OTD_LINK_HEAD - n);
	k->out_len += size;
	if (!k->deferred && k->loop->env->ops->defer(k->loop, on_round_end, k) == OTD_OK)
		k->deferred = true;
	/* Where memory for that ran out it leaves with the next one's. */
	return OTD_OK;
}

void otd_link_flush(struct otd_link *k, int ms)
{
	uint64_t until = otd_mono_ns(k->loop->env) + (uint64_t)ms * 1000000;
	while (!k->ended && otd_link_waiting(k) && otd_mono_ns(k->loop->env) < until) {
		int e = drain(k);
		struct pollfd p = {.fd = k->fd, .events = POLLOUT};
		if (e && e != EAGAIN && e != EINTR && e != ETOOMANYREFS)
			return;
		if (e)
			(void)poll(&p, 1, AGAIN_MS);
	}
}

/* --- in --- */

/* False: they are more than frames can be behind. */
static bool take_fds(struct otd_link *k, struct msghdr *m)
{
	bool ok = !(m->msg_flags & MSG_CTRUNC);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (ok && k->in_fds < OTD_LINK_FDS_AHEAD) {
				k->in_fd[k->in_fds++] = fd;
			} else {
				(void)close(fd);
				ok = false;
			}
		}
	}
	return ok;
}

static int next_fd(struct otd_link *k)
{
	if (!k->in_fds)
		return -1;
	int fd = k->in_fd[0];
	k->in_fds--;
	memmove(k->in_fd, k->in_fd + 1, k->in_fds * sizeof(int));
	return fd;
}

/* NULL, or what was wrong. */
static const char *deliver(struct otd_link *k)
{
	size_t at = 0;
	const char *why = NULL;
	while (!why && !k->ended) {
		struct otd_link_frame f;
		otd_rc rc = otd_link_parse(&f, k->in + at, k->in_len - at, k->conf.frame_max);
		if (rc == OTD_E_BUSY)
			break;
		int fd = rc == OTD_OK && f.with_fd ? next_fd(k) : -1;
		if (rc != OTD_OK)
			why = "it sent what is no frame";
		else if (f.with_fd && fd < 0)
			why = "a frame came without its descriptor";
		else
			k->conf.frame(k->conf.arg, f.payload, fd);
		at += rc == OTD_OK ? f.size : 0;
	}
	/* Frames are multiples of 8: what is left is aligned again at the start. */
	if (at)
		memmove(k->in, k->in + at, k->in_len - at);
	k->in_len -= at;
	return why;
}

static bool in_room(struct otd_link *k)
{
	if (k->in_cap - k->in_len >= READ_BYTES)
		return true;
	size_t cap = k->in_len + READ_BYTES;
	uint8_t *p = realloc(k->in, cap);
	if (!p)
		return false;
	k->in = p;
	k->in_cap = cap;
	return true;
}

/* OTD_E_BUSY: nothing more now. *why: what ends the link. */
static otd_rc read_some(struct otd_link *k, const char **why)
{
	_Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(253 * sizeof(int))];
	if (!in_room(k))
		return OTD_E_BUSY;
	struct iovec v = {k->in + k->in_len, READ_BYTES};
	struct msghdr m = {.msg_iov = &v,
			   .msg_iovlen = 1,
			   .msg_control = control,
			   .msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(k->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return OTD_E_BUSY;
	if (n <= 0) {
		*why = "the other side is gone";
		return OTD_OK;
	}
	if (!take_fds(k, &m)) {
		*why = "its descriptors cannot be taken: too many files are open";
		return OTD_OK;
	}
	k->in_len += (size_t)n;
	*why = deliver(k);
	return OTD_OK;
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct otd_link *k = ((struct link_poll *)h->data)->k;
	const char *why = NULL;
	(void)status;
	(void)events;
	if (!k)
		return;
	for (int i = 0; i < READS_A_TURN && !why && !k->ended; i++) {
		if (read_some(k, &why) == OTD_E_BUSY)
			break;
	}
	if (why)
		end(k, why);
	else if (!k->ended)
		flush(k);
}

/* --- life --- */

static otd_rc start_poll(struct otd_link *k)
{
	struct link_poll *p = calloc(1, sizeof(*p));
	if (!p)
		return OTD_E_NOMEM;
	if (uv_poll_init(&real_loop_of(k->loop)->uv, &p->handle, k->fd) != 0) {
		free(p);
		return OTD_E_IO;
	}
	p->handle.data = p;
	p->k = k;
	k->poll = p;
	watch(k);
	return OTD_OK;
}

otd_rc otd_link_create(struct otd_link **out, struct otd_loop *l, int fd,
		       const struct otd_link_conf *conf, struct otd_err *err)
{
	struct otd_link *k = calloc(1, sizeof(*k));
	otd_rc rc = OTD_E_NOMEM;
	*out = NULL;
	if (!k) {
		(void)close(fd);
		return otd_fail(err, rc, "out of memory");
	}
	k->conf = *conf;
	k->loop = l;
	k->fd = fd;
	rc = l->env->ops->timer_create(l, &k->again, on_again, k);
	if (rc == OTD_OK)
		rc = start_poll(k);
	if (rc != OTD_OK) {
		otd_link_destroy(k);
		return otd_fail(err, rc, "a link between processes: %s", otd_rc_name(rc));
	}
	*out = k;
	return OTD_OK;
}

void otd_link_destroy(struct otd_link *k)
{
	if (!k)
		return;
	leave_loop(k);
	if (k->again)
		k->loop->env->ops->timer_destroy(k->again);
	forget_fds(k, k->out_fd_len - k->out_fd_at);
	for (size_t i = 0; i < k->in_fds; i++)
		(void)close(k->in_fd[i]);
	(void)close(k->fd);
	free(k->out);
	free(k->out_fd);
	free(k->in);
	k->fd = -1;
	k->ended = true;
	if (!k->deferred)
		free(k); /* else the end of the round does */
}
