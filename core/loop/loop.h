/*
 * The real side of base/env.h: libuv loops, POSIX files, threads, sockets and libcurl.
 *
 * What base/env.h leaves open, and this side does:
 *  - What one sender posted before its loop_stop() runs before loop_run() returns; what comes later
 *    is dropped by loop_destroy(). Streams, timers and requests of a loop go before the loop.
 *  - worker_destroy() delivers the done() of everything given before it returns, then none comes.
 *  - A timer that missed several of its repeats fires once and keeps its phase.
 *  - What was deferred always runs, at the latest in loop_destroy(). A call of defer() from within a deferred function runs in the next round, after a look at the
 *    sockets.
 *  - listen(): host "" or "*" means every address, IPv6 and IPv4. A name is looked up at once
 *    (blocking): use numbers once the pool serves. connect() looks up names in the background and
 *    tries the addresses in turn.
 *  - stream_attach() takes an accepted stream with or without stream_detach() before it; a stream
 *    that has been detached may be closed or attached on any thread.
 *  - files: reserve() makes the file that long where it is shorter (zeros); locks belong to the open
 *    file and want OTD_OPEN_WRITE to be exclusive; open() for writing may read too.
 *  - http: timeout_ms <= 0 is 60 s, max_answer 0 is 16 MiB. A kept connection that the server has
 *    closed meanwhile makes the request go out again: requests must bear being repeated.
 */
#ifndef OTD_LOOP_LOOP_H
#define OTD_LOOP_LOOP_H

#include "base/env.h"
#include "base/metrics.h"

struct otd_env_real_conf {
	uint32_t compute_threads;    /* 0: processors of this process - 1, at least 1 */
	int64_t lag_warn_ms;         /* a round of a loop that takes longer is logged; 0: never */
	int backlog;                 /* of listening sockets; 0: 4096 */
	struct otd_metrics *metrics; /* outlives the env; NULL: none */
};

/* Also makes the process ignore SIGPIPE. conf may be NULL: the defaults. One a process. */
OTD_WARN_UNUSED otd_rc otd_env_real_create(struct otd_env **out,
					   const struct otd_env_real_conf *conf,
					   struct otd_err *err);
/* All loops, workers and threads are gone. Takes NULL. */
void otd_env_real_destroy(struct otd_env *e);

/* fn(arg) on loop l whenever signum arrives, until l is destroyed. Threads made by the env have
 * all signals blocked. Real loops only. [l] */
OTD_WARN_UNUSED otd_rc otd_loop_signal(struct otd_loop *l, int signum, otd_fn fn, void *arg);

/* Processor time of the calling thread. [any-thread] */
uint64_t otd_thread_cpu_ns(void);

/* The real file table, for what runs without an env. Its last_error() is the calling thread's. */
const struct otd_files *otd_files_real(void);

/*
 * A file table whose paths are relative to folder on base; what leaves it (absolute, "..", empty
 * but for make_dir, list, sync_dir and free_bytes) is OTD_E_INVALID. folder is copied and must exist before
 * use; base outlives the table. [any-thread]
 */
OTD_WARN_UNUSED otd_rc otd_files_rooted_create(struct otd_files **out, const struct otd_files *base,
					       const char *folder);
void otd_files_rooted_destroy(struct otd_files *f); /* takes NULL */

#endif
