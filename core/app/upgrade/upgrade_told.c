/*
 * Miners by TLS, whose connections end here: they were told to connect again. A socket that is closed while its peer
 * still sends is reset, and what was said last may be lost on the way; so it is read, and closed when the peer has.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "app/upgrade/upgrade_own.h"

#define LINGER_MS 3000 /* everything else is done by then; a round trip takes less */

void otd_upgrade_told_all(const struct otd_upgrade *u)
{
	for (size_t i = 0; i < u->told.n; i++)
		(void)shutdown(u->told.fd[i], SHUT_WR);
}

static int64_t now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Whether its peer has ended it. What it sent meanwhile nobody has counted: it gets no answer, and knows it. */
static bool is_over(int fd)
{
	char some[16384];
	ssize_t n = 0;
	for (int i = 0; i < 16; i++) {
		n = recv(fd, some, sizeof(some), MSG_DONTWAIT);
		if (n == 0)
			return true;
		if (n < 0 && errno != EINTR)
			return errno != EAGAIN && errno != EWOULDBLOCK;
	}
	return false; /* it says too much: later more of it */
}

void otd_upgrade_close_told(struct otd_upgrade *u)
{
	size_t n = u->told.n;
	struct pollfd *p = n ? calloc(n, sizeof(*p)) : NULL;
	int64_t until = now_ms() + LINGER_MS, left = LINGER_MS;
	for (size_t i = 0; p && i < n; i++)
		p[i] = (struct pollfd){.fd = u->told.fd[i], .events = POLLIN};
	while (p && n && left > 0) {
		(void)poll(p, (nfds_t)n, (int)left);
		for (size_t i = 0; i < n;) {
			if (p[i].revents && is_over(p[i].fd)) {
				(void)close(p[i].fd);
				p[i] = p[--n];
			} else {
				i++;
			}
		}
		left = until - now_ms();
	}
	for (size_t i = 0; i < n; i++)
		(void)close(p ? p[i].fd : u->told.fd[i]);
	free(p);
	free(u->told.fd);
	u->told = (struct otd_image_fds){0};
}
