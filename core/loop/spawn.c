/* How a child of ours begins, see spawn.h. */
#include "loop/spawn.h"

#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

void real_spawn_begin(struct real_spawn *s, short flags)
{
	sigset_t set;
	(void)sigemptyset(&set);
	(void)posix_spawn_file_actions_init(&s->to);
	(void)posix_spawnattr_init(&s->how);
	/* Threads of ours have signals blocked and SIGPIPE ignored; the child begins anew. */
	(void)posix_spawnattr_setsigmask(&s->how, &set);
	(void)sigaddset(&set, SIGPIPE);
	(void)posix_spawnattr_setsigdefault(&s->how, &set);
	(void)posix_spawnattr_setflags(
		&s->how, (short)(flags | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF));
}

int real_spawn_end(struct real_spawn *s, int e, pid_t *pid, int close_from, const char *file,
		   const char *const *argv, char **env)
{
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	/* Descriptors of libraries that forgot to mark them: a client's connection would never end. */
	e = e ? e : posix_spawn_file_actions_addclosefrom_np(&s->to, close_from);
#else
	(void)close_from;
#endif
	e = e ? e : posix_spawn(pid, file, &s->to, &s->how, (char *const *)argv, env);
	(void)posix_spawnattr_destroy(&s->how);
	(void)posix_spawn_file_actions_destroy(&s->to);
	return e;
}

void real_spawn_environment(char **to, size_t cap, const char *const *kept, size_t n_kept)
{
	size_t n = 0;
	for (char **e = environ; e && *e; e++) {
		for (size_t i = 0; i < n_kept; i++) {
			if (n < cap - 1 && !strncmp(*e, kept[i], strlen(kept[i])))
				to[n++] = *e;
		}
	}
	to[n] = NULL;
}

int64_t real_spawn_now_ms(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
