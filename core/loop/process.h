/*
 * This program run a second time beside itself, for as long as both live: exec'ed, never forked beside
 * threads. It inherits two descriptors and standard error, and of the environment only what sanitizers
 * and our own checks read, so that no secret of ours is in it.
 */
#ifndef OTD_LOOP_PROCESS_H
#define OTD_LOOP_PROCESS_H

#include <sys/types.h>

#include "base/bytes.h"
#include "base/err.h"

/* In the child. */
#define OTD_PROCESS_LINK_FD     3 /* the other end of the socket pair, for otd_link_create() */
#define OTD_PROCESS_SETTINGS_FD 4 /* what it was given */
#define OTD_PROCESS_LOCK_FD     5 /* kept open as long as it lives: a lock that belongs to both */

/*
 * Starts PATH-OF-THIS-PROGRAM with these words (argv[0] is shown in lists of processes; NULL-terminated).
 * settings: what otd_process_settings() reads there; in memory, never in a file. *fd: our end of the
 * socket. lock: a descriptor with a lock (flock) that holds until both have ended; -1: none. Its standard
 * output is its standard error, which is ours. [any-thread]
 */
OTD_WARN_UNUSED otd_rc otd_process_start(pid_t *pid, int *fd, const char *const *argv,
					 struct otd_span settings, int lock, struct otd_err *err);
/* Whether it has ended; then its number is free, and how says "exit status 1" or the signal. */
bool otd_process_ended(pid_t pid, char *how, size_t cap);
void otd_process_kill(pid_t pid); /* not after it has ended */
void otd_process_signal(pid_t pid, int signum);

/* In the child: all of the settings. Closes their descriptor. */
OTD_WARN_UNUSED otd_rc otd_process_settings(struct otd_bytes *out, struct otd_err *err);

#endif
