/*
 * A program that is to take this one's place: exec'ed, never forked beside threads. It keeps standard input,
 * output and error, folder, environment and limits, and inherits one descriptor beside them: our end of a
 * conversation in packets, which also carry descriptors. A seam's real side: core/app alone uses it.
 */
#ifndef OTD_LOOP_HEIR_H
#define OTD_LOOP_HEIR_H

#include "base/bytes.h"
#include "base/err.h"

#include <sys/types.h>

#define OTD_HEIR_FD         3  /* in the heir: the conversation */
#define OTD_HEIR_FDS_MAX    64 /* in one packet: the kernel bounds those on their way */
#define OTD_HEIR_PACKET_MAX 16384

struct otd_heir_child {
	pid_t pid; /* 0: none */
	int sock;  /* -1: none */
};

/* Runs the file argv[0], or where exe >= 0 what that descriptor is open on, whatever lies at argv[0] now. */
OTD_WARN_UNUSED otd_rc otd_heir_spawn(struct otd_heir_child *out, const char *const *argv, int exe,
				      struct otd_err *err);
/* This program's own file, open for that: it stays the same when the file is replaced. -1: it fails. */
int otd_heir_own_file(void);
/* In the heir, first of all. False: there is no conversation on OTD_HEIR_FD. */
bool otd_heir_begin(void);
/* Killed and gone where it runs still, its end closed. Its fate in words for people: "it ended with status 1". */
void otd_heir_end(struct otd_heir_child *c, char *fate, size_t cap);
/* It goes its own way: what we have of it is closed. */
void otd_heir_let_go(struct otd_heir_child *c);

/* One packet. fds are copied: ours stay ours. Blocks; the other side's end is OTD_E_CLOSED. */
OTD_WARN_UNUSED otd_rc otd_heir_send(int sock, const void *p, size_t n, const int *fds,
				     size_t n_fds, struct otd_err *err);
/*
 * The next packet into to (cleared first), its descriptors into fds (room for OTD_HEIR_FDS_MAX), which are
 * the caller's. OTD_E_TIMEOUT after timeout_ms (< 0: none), OTD_E_CLOSED at its end; *stop (may be NULL): given
 * up, OTD_E_CLOSED. NULL for fds: a packet with any is refused.
 */
OTD_WARN_UNUSED otd_rc otd_heir_receive(int sock, struct otd_bytes *to, int *fds, size_t *n_fds,
					int64_t timeout_ms, const _Atomic bool *stop,
					struct otd_err *err);

/* Bytes that several processes may read and none may change: a descriptor, or -1. */
int otd_heir_memory(const void *p, size_t n);
/* The bytes of such a one, until they are unmapped. Empty where it is none, or is not sealed. */
struct otd_span otd_heir_map(int fd);
void otd_heir_unmap(struct otd_span s); /* takes an empty one */

#endif
