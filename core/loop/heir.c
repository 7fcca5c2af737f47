/* See loop/heir.h. */
#include "loop/heir.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "loop/child.h"
#include "loop/spawn.h"

#define LOOK_MS    100
#define HUNG_UP_MS 1000 /* for one that ends by itself */

extern char **environ;

/* Ours, but for the line that says whose sign of life a service manager waits for: it is to be the heir's. */
static char **environment(void)
{
	static const char whose[] = "WATCHDOG_PID=";
	size_t n = 0, k = 0;
	while (environ && environ[n])
		n++;
	char **to = calloc(n + 1, sizeof(char *));
	for (size_t i = 0; to && i < n; i++) {
		if (strncmp(environ[i], whose, sizeof(whose) - 1) != 0)
			to[k++] = environ[i];
	}
	return to;
}

/* In the heir: what it was started from, where that was given as a descriptor. */
#define FILE_FD   (OTD_HEIR_FD + 1)
#define FILE_PATH "/proc/self/fd/4"

static int spawn(pid_t *pid, const char *const *argv, int exe, int sock)
{
	char **env = environment();
	struct real_spawn s;
	int e = env ? 0 : ENOMEM;

	real_spawn_begin(&s, 0);
	e = e ? e : posix_spawn_file_actions_adddup2(&s.to, sock, OTD_HEIR_FD);
	if (exe >= 0)
		e = e ? e : posix_spawn_file_actions_adddup2(&s.to, exe, FILE_FD);
	e = real_spawn_end(&s, e, pid, exe >= 0 ? FILE_FD + 1 : FILE_FD,
			   exe >= 0 ? FILE_PATH : argv[0], argv, env);
	free(env);
	return e;
}

int otd_heir_own_file(void)
{
	int raw = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int fd = raw < 0 ? -1 : fcntl(raw, F_DUPFD_CLOEXEC, FILE_FD + 1);
	if (raw >= 0)
		(void)close(raw);
	return fd;
}

bool otd_heir_begin(void)
{
	int type = 0;
	socklen_t n = sizeof(type);
	if (getsockopt(OTD_HEIR_FD, SOL_SOCKET, SO_TYPE, &type, &n) != 0 || type != SOCK_SEQPACKET)
		return false;
	(void)fcntl(OTD_HEIR_FD, F_SETFD, FD_CLOEXEC);
	(void)close(FILE_FD);
	return true;
}

otd_rc otd_heir_spawn(struct otd_heir_child *out, const char *const *argv, int exe,
		      struct otd_err *err)
{
	int raw[2], ends[2] = {-1, -1};
	*out = (struct otd_heir_child){.sock = -1};
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, raw) != 0)
		return otd_fail(err, OTD_E_IO, "cannot make a pair of sockets: %s",
				strerror(errno));
	/* Above the number that it has in the heir: a dup onto itself would keep the mark to close it. */
	for (int i = 0; i < 2; i++) {
		ends[i] = fcntl(raw[i], F_DUPFD_CLOEXEC, FILE_FD + 1);
		(void)close(raw[i]);
	}
	int e = ends[0] < 0 || ends[1] < 0 ? EMFILE : spawn(&out->pid, argv, exe, ends[1]);
	if (ends[1] >= 0)
		(void)close(ends[1]);
	if (e) {
		if (ends[0] >= 0)
			(void)close(ends[0]);
		out->pid = 0;
		return otd_fail(err, OTD_E_IO, "cannot start %s: %s", argv[0], strerror(e));
	}
	out->sock = ends[0];
	return OTD_OK;
}

/* It has closed its end: on its way out, or out already. */
static bool has_hung_up(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};
	char byte;
	return sock >= 0 && poll(&p, 1, 0) > 0 &&
	       recv(sock, &byte, 1, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC) == 0;
}

void otd_heir_end(struct otd_heir_child *c, char *fate, size_t cap)
{
	int64_t until = real_spawn_now_ms() + (has_hung_up(c->sock) ? HUNG_UP_MS : 0);
	int status = 0;
	pid_t got = 0;
	if (cap)
		fate[0] = '\0';
	if (c->pid > 0) {
		/* One that has ended has a fate of its own; whoever runs still is stopped here. */
		while ((got = waitpid(c->pid, &status, WNOHANG)) == 0 ? real_spawn_now_ms() < until
								      : got < 0 && errno == EINTR)
			(void)poll(NULL, 0, 1);
		if (got == 0) {
			(void)kill(c->pid, SIGKILL);
			while (waitpid(c->pid, &status, 0) < 0 && errno == EINTR)
				;
			snprintf(fate, cap, "it was stopped");
		} else if (WIFSIGNALED(status)) {
			snprintf(fate, cap, "it died of %s", otd_child_signal(WTERMSIG(status)));
		} else {
			snprintf(fate, cap, "it ended with status %d", WEXITSTATUS(status));
		}
	}
	c->pid = 0;
	otd_heir_let_go(c);
}

void otd_heir_let_go(struct otd_heir_child *c)
{
	if (c->sock >= 0)
		(void)close(c->sock);
	c->sock = -1;
	c->pid = 0;
}

/* --- packets --- */

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(OTD_HEIR_FDS_MAX * sizeof(int))];
};

otd_rc otd_heir_send(int sock, const void *p, size_t n, const int *fds, size_t n_fds,
		     struct otd_err *err)
{
	union control control;
	struct iovec part = {(void *)(uintptr_t)p, n};
	struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t sent;
	if (n > OTD_HEIR_PACKET_MAX || n_fds > OTD_HEIR_FDS_MAX)
		return otd_fail(err, OTD_E_RANGE, "a packet is too long");
	if (n_fds) {
		memset(&control, 0, sizeof(control));
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	while ((sent = sendmsg(sock, &m, MSG_NOSIGNAL)) < 0 && errno == EINTR)
		;
	if (sent == (ssize_t)n)
		return OTD_OK;
	if (sent < 0 && (errno == EPIPE || errno == ECONNRESET))
		return otd_fail(err, OTD_E_CLOSED, "it has ended");
	return otd_fail(err, OTD_E_IO, "cannot send %zu descriptors: %s", n_fds,
			sent < 0 ? strerror(errno) : "cut short");
}

static void take_fds(struct msghdr *m, int *fds, size_t *n_fds)
{
	*n_fds = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		if (n > OTD_HEIR_FDS_MAX - *n_fds)
			n = OTD_HEIR_FDS_MAX - *n_fds;
		memcpy(fds + *n_fds, CMSG_DATA(c), n * sizeof(int));
		*n_fds += n;
	}
}

static otd_rc wait_readable(int sock, int64_t timeout_ms, const _Atomic bool *stop,
			    struct otd_err *err)
{
	int64_t until = timeout_ms < 0 ? INT64_MAX : real_spawn_now_ms() + timeout_ms;
	for (;;) {
		struct pollfd p = {.fd = sock, .events = POLLIN};
		int64_t left = until - real_spawn_now_ms();
		if (stop && atomic_load(stop))
			return otd_fail(err, OTD_E_CLOSED, "the pool is ending");
		if (left <= 0)
			return otd_fail(err, OTD_E_TIMEOUT, "no word of it within %lld ms",
					(long long)timeout_ms);
		int n = poll(&p, 1, (int)(left < LOOK_MS ? left : LOOK_MS));
		if (n > 0)
			return OTD_OK;
		if (n < 0 && errno != EINTR)
			return otd_fail(err, OTD_E_IO, "poll: %s", strerror(errno));
	}
}

otd_rc otd_heir_receive(int sock, struct otd_bytes *to, int *fds, size_t *n_fds, int64_t timeout_ms,
			const _Atomic bool *stop, struct otd_err *err)
{
	union control control;
	int got_fds[OTD_HEIR_FDS_MAX];
	size_t n = 0;
	otd_rc rc = wait_readable(sock, timeout_ms, stop, err);
	otd_bytes_clear(to);
	uint8_t *at = rc ? NULL : otd_bytes_room(to, OTD_HEIR_PACKET_MAX);
	if (rc || !at)
		return rc ? rc : otd_fail(err, OTD_E_NOMEM, "out of memory");
	struct iovec part = {at, OTD_HEIR_PACKET_MAX};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t got;
	while ((got = recvmsg(sock, &m, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	if (got > 0)
		take_fds(&m, got_fds, &n);
	if (got <= 0)
		return otd_fail(err, OTD_E_CLOSED, "it has ended");
	if ((m.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || (n && !fds)) {
		for (size_t i = 0; i < n; i++)
			(void)close(got_fds[i]);
		return otd_fail(err, OTD_E_RANGE,
				m.msg_flags & MSG_CTRUNC
					? "its descriptors do not fit: raise the limit of open "
					  "files (ulimit -n, LimitNOFILE)"
					: "a packet that nobody asked for");
	}
	to->len += (size_t)got;
	if (n)
		memcpy(fds, got_fds, n * sizeof(int));
	if (n_fds)
		*n_fds = n;
	return OTD_OK;
}

/* --- memory --- */

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

int otd_heir_memory(const void *p, size_t n)
{
	const uint8_t *at = p;
	int fd = memfd_create("otedama-upgrade", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	while (fd >= 0 && n) {
		ssize_t done = write(fd, at, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			(void)close(fd);
			return -1;
		}
		at += done;
		n -= (size_t)done;
	}
	if (fd >= 0 && fcntl(fd, F_ADD_SEALS, SEALS) != 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

struct otd_span otd_heir_map(int fd)
{
	struct otd_span none = {(const uint8_t *)"", 0};
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0 || st.st_size <= 0)
		return none;
	void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return none;
	return (struct otd_span){p, (size_t)st.st_size};
}

void otd_heir_unmap(struct otd_span s)
{
	if (s.len)
		(void)munmap((void *)(uintptr_t)s.ptr, s.len);
}
