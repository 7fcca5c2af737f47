/* What process.c, heir.c and child.c share: how a child of ours begins. Inside of loop. [any-thread] */
#ifndef OTD_LOOP_SPAWN_H
#define OTD_LOOP_SPAWN_H

#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct real_spawn {
	posix_spawn_file_actions_t to;
	posix_spawnattr_t how;
};

/* With no signal blocked and SIGPIPE not ignored, whatever the thread that starts it has. flags: more of
   posix_spawnattr_setflags(). */
void real_spawn_begin(struct real_spawn *s, short flags);
/* Starts it, with no descriptor from close_from on; e: what has failed before, then nothing starts. Frees
   what s holds. 0 or an errno. */
int real_spawn_end(struct real_spawn *s, int e, pid_t *pid, int close_from, const char *file,
		   const char *const *argv, char **env);
/* Of our environment the lines that begin with one of these, as many as fit before the closing NULL. */
void real_spawn_environment(char **to, size_t cap, const char *const *kept, size_t n_kept);
/* Monotonic. */
int64_t real_spawn_now_ms(void);

#endif
