/*
 * LD_PRELOAD: stops the main thread, and no other, where its loop has waited for something, for as long as the
 * file HOLD_WHEN is there. HOLD_WHEN.held is made once it stands still. So the coordinator hears of nothing
 * while reactors and journals go on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

static void hold(void)
{
	const char *when = getenv("HOLD_WHEN");
	char held[512];
	int kept = errno; /* the caller's, of a wait that a signal has ended */
	if (!when || gettid() != getpid() || access(when, F_OK) != 0)
		goto out;
	(void)snprintf(held, sizeof(held), "%s.held", when);
	int fd = open(held, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		close(fd);
	while (access(when, F_OK) == 0)
		(void)usleep(2000);
	(void)unlink(held);
out:
	errno = kept;
}

int epoll_wait(int epfd, struct epoll_event *events, int n, int ms)
{
	static int (*real)(int, struct epoll_event *, int, int);
	if (!real)
		real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
	int r = real(epfd, events, n, ms);
	hold();
	return r;
}

int epoll_pwait(int epfd, struct epoll_event *events, int n, int ms, const sigset_t *set)
{
	static int (*real)(int, struct epoll_event *, int, int, const sigset_t *);
	if (!real)
		real = (int (*)(int, struct epoll_event *, int, int, const sigset_t *))dlsym(
			RTLD_NEXT, "epoll_pwait");
	int r = real(epfd, events, n, ms, set);
	hold();
	return r;
}
