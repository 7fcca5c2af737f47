/*
 * The seeded side of base/env.h: one thread, virtual time, a disk that forgets. The same seed of the
 * same build does the same thing again, step by step.
 *
 * What is given to workers, posted, deferred and timed becomes events; sim_step() runs one that is
 * ready, chosen by the seed. A crash comes at some kill point (a write, a sync, a request to another
 * machine, a commit) and freezes the disk: from then on every operation fails and changes nothing;
 * sim_reboot() then decides what of the unsynced work the disk has kept. Objects of the life before
 * are destroyed in between, in the ordinary way. Other machines (sim_outside, sim_serve) live on.
 */
#ifndef OTD_SIM_H
#define OTD_SIM_H

#include "base/env.h"

struct sim;

struct sim *sim_create(uint64_t seed);
void sim_destroy(struct sim *s);
struct otd_env *sim_env(struct sim *s);

uint64_t sim_random(struct sim *s);
uint64_t sim_below(struct sim *s, uint64_t n); /* 0 to n - 1 */
bool sim_chance(struct sim *s, uint32_t ppm);  /* true so many times in a million */
int64_t sim_now_ms(struct sim *s);

/* One event. False: nothing is left that could happen. */
bool sim_step(struct sim *s);
/* What is deferred runs, as where a loop is stopped; before what it is about is destroyed. Where the pool is
   dead nothing comes of it. */
void sim_last_rounds(struct sim *s);
uint64_t sim_steps(const struct sim *s);
/* Of all that was done so far: choices, times, bytes of disk, sockets and requests. Equal digests at every
   step are the same story. */
uint64_t sim_digest(const struct sim *s);
/* fn after every step; NULL: nobody. */
void sim_each_step(struct sim *s, void (*fn)(void *arg), void *arg);
/* Steps for so much virtual time, until done(arg) says so, or the crash; true where done did. */
bool sim_run(struct sim *s, int64_t ms, bool (*done)(void *arg), void *arg);

/* Where a process can be killed: one sequence, in the order in which it passes them. */
enum sim_point {
	SIM_POINT_WRITE,    /* before a write or a change of a length, which may be torn */
	SIM_POINT_SYNC,     /* before a sync of a file or folder */
	SIM_POINT_NAME,     /* before a file or folder is made, renamed or removed */
	SIM_POINT_ASK,      /* another machine is about to get our request: it never does */
	SIM_POINT_TOLD,     /* it has done what it was asked for: we never see the answer */
	SIM_POINT_COMMIT,   /* before a commit */
	SIM_POINT_COMMITTED /* behind it, before anybody is told */
};
#define SIM_POINTS 7
/* The power goes at the n-th kill point from now; 0: not. */
void sim_crash_in(struct sim *s, uint64_t points);
/* It goes at the n-th of this kind from now; 0: not. Beside sim_crash_in(). */
void sim_crash_at(struct sim *s, enum sim_point kind, uint64_t n);
/* At every kill point fn says whether the power goes; NULL: nobody is asked. */
void sim_at_points(struct sim *s, bool (*fn)(void *arg, enum sim_point kind), void *arg);
/* A kill point of whoever calls (see commits in pay_world.c); false: the power has gone. */
bool sim_point(struct sim *s, enum sim_point kind);
uint64_t sim_points(struct sim *s, enum sim_point kind); /* passed since the start */
uint64_t sim_kills(struct sim *s, enum sim_point kind);  /* died there */
const char *sim_point_name(enum sim_point kind);
void sim_crash_now(struct sim *s);
bool sim_dead(struct sim *s);
/* What is on the disk after the crash, decided write by write. No loop, worker, timer or file of the
   life before may be left. */
void sim_reboot(struct sim *s);

/* Only the process died: what readers saw last is what the next one sees, on the disk or not. There
   is room again. */
void sim_restart(struct sim *s);

/* Faults, in parts per million of the operations, and for paths that contain the text. */
struct sim_faults {
	uint32_t write_ppm, sync_ppm;
	const char *path; /* NULL: all */
};
void sim_faults(struct sim *s, const struct sim_faults *f);
/* How many writes, syncs and changes of names there were; the n-th of all fails, alone. 0: none. */
uint64_t sim_disk_changes(struct sim *s);
void sim_disk_fail_at(struct sim *s, uint64_t n);
/* No room for anything new for so long. */
void sim_disk_full(struct sim *s, int64_t ms);
uint64_t sim_syncs(struct sim *s);
/* How often a write and a sync failed, and there was no room. */
struct sim_fired {
	uint64_t write, sync, full, torn;
};
void sim_disk_fired(struct sim *s, struct sim_fired *out);

/* --- other machines: they do not die with the pool --- */

/* Once, in delay_ms; again after as many milliseconds as fn returns, 0: no more. */
typedef int64_t (*sim_outside_fn)(void *arg);
void sim_outside(struct sim *s, int64_t delay_ms, sim_outside_fn fn, void *arg);
/* Nobody of ours runs for so long: only other machines do. */
void sim_sleep(struct sim *s, int64_t ms);

struct otd_bytes;
/* One request to a machine, now: its status, with the answer in out; 0: the machine broke off.
   user, password: "" where there are none. */
#define SIM_SERVER_HOLDS (-1) /* no answer yet: fn is asked again, soon */
typedef int (*sim_server_fn)(void *arg, const char *path, const char *user, const char *password,
			     struct otd_span body, struct otd_bytes *out);
/* url: "http://HOST:PORT". up NULL: always; where it says no, connections are refused. */
void sim_serve(struct sim *s, const char *url, sim_server_fn fn, bool (*up)(void *arg), void *arg);

/* What may happen to a request on its way. */
enum sim_http_fault {
	SIM_HTTP_FINE,
	SIM_HTTP_REFUSED,      /* nobody took the connection */
	SIM_HTTP_LOST,         /* time-out; it was never done */
	SIM_HTTP_DONE_LOST,    /* time-out; it was done */
	SIM_HTTP_DONE_LATE,    /* time-out; it is done some time later */
	SIM_HTTP_CUT,          /* connection closed; not done */
	SIM_HTTP_DONE_CUT,     /* connection closed; done */
	SIM_HTTP_GARBAGE,      /* an error page of something on the way; not done */
	SIM_HTTP_DONE_GARBAGE, /* half of the answer, or status 500 and nonsense; done */
	SIM_HTTP_QUEUE,        /* 503, as libevent's server where its queue is full; not done */
	SIM_HTTP_SLOW,         /* just within the time */
	/* On a kept connection that the other side has closed, which libcurl does not know: */
	SIM_HTTP_TWICE,        /* done, sent again, done again */
	SIM_HTTP_TWICE_REFUSED /* done, sent again, refused: that is all we are told */
};
#define SIM_HTTP_FAULTS 13
/* So many requests in a million have one of these, each kind as often. */
void sim_http_faults(struct sim *s, uint32_t ppm);
/* Each kind as it happened. FINE counts requests that went well. */
uint64_t sim_http_fired(struct sim *s, enum sim_http_fault f);
const char *sim_http_fault_name(enum sim_http_fault f);
/* Requests that were done after whoever sent them had died or given them up. */
uint64_t sim_http_orphans(struct sim *s);

/* Each write to a file, as whoever wrote meant it, whatever becomes of it; NULL: nobody looks. */
typedef void (*sim_write_fn)(void *arg, const char *path, uint64_t at, const void *p, size_t n);
void sim_watch_writes(struct sim *s, sim_write_fn fn, void *arg);
/* One bit of what is durable of this file is another, from the next reboot on. */
void sim_flip(struct sim *s, const char *path, uint64_t bit);

/* The disk, for tests of readers: current bytes of a file. NULL: no such file. */
uint8_t *sim_file(struct sim *s, const char *path, size_t *n);
void sim_list(struct sim *s, void (*each)(void *arg, const char *path, size_t n), void *arg);

#endif
