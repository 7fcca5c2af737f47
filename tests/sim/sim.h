/*
 * The seeded side of base/env.h: one thread, virtual time, a disk that forgets. The same seed of the
 * same build does the same thing again, step by step.
 *
 * What is given to workers, posted, deferred and timed becomes events; sim_step() runs one that is
 * ready, chosen by the seed. A crash freezes the disk at some file operation: from then on every
 * operation fails and changes nothing; sim_reboot() then decides what of the unsynced work the disk
 * has kept. Objects of the life before are destroyed in between, in the ordinary way.
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
/* Steps for so much virtual time, until done(arg) says so, or the crash; true where done did. */
bool sim_run(struct sim *s, int64_t ms, bool (*done)(void *arg), void *arg);

/* The power goes at the n-th file operation from now that changes something; 0: not. */
void sim_crash_in(struct sim *s, uint64_t operations);
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
/* No room for anything new for so long. */
void sim_disk_full(struct sim *s, int64_t ms);
uint64_t sim_syncs(struct sim *s);

/* The disk, for tests of readers: current bytes of a file. NULL: no such file. */
uint8_t *sim_file(struct sim *s, const char *path, size_t *n);
void sim_list(struct sim *s, void (*each)(void *arg, const char *path, size_t n), void *arg);

#endif
