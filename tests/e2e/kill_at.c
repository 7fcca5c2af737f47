/*
 * LD_PRELOAD: kills the process at its n-th call that changes a disk, before the call happens.
 * KILL_AT=n; with KILL_WHEN=path only calls made while that file is there are counted.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long calls;

static void one(void)
{
	const char *at = getenv("KILL_AT"), *when = getenv("KILL_WHEN");
	if (!at || (when && access(when, F_OK) != 0))
		return;
	if (atomic_fetch_add(&calls, 1) + 1 == strtol(at, NULL, 10))
		kill(getpid(), SIGKILL);
}

#define WRAP(type, name, args, pass)                                  \
	type name args                                                \
	{                                                             \
		static type(*real) args;                              \
		if (!real)                                            \
			real = (type(*) args)dlsym(RTLD_NEXT, #name); \
		one();                                                \
		return real pass;                                     \
	}

WRAP(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
WRAP(ssize_t, pwrite64, (int fd, const void *p, size_t n, off64_t at), (fd, p, n, at))
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, ftruncate, (int fd, off_t n), (fd, n))
WRAP(int, rename, (const char *a, const char *b), (a, b))
WRAP(int, mkdir, (const char *a, mode_t m), (a, m))
WRAP(int, remove, (const char *a), (a))
