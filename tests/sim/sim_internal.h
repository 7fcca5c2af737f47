/* Shared by sim_env.c and sim_disk.c. */
#ifndef OTD_SIM_INTERNAL_H
#define OTD_SIM_INTERNAL_H

#include "sim.h"

struct disk;

struct sim {
	struct otd_env env;
	struct otd_files files;
	struct disk *disk;
	uint64_t random[2];
	uint64_t now_ns;
	bool dead;
	uint64_t crash_in;
	struct sim_loop *loops;
	struct otd_worker *workers;
	struct otd_timer *timers;
};

struct disk *disk_create(struct sim *s);
void disk_destroy(struct disk *d);
void disk_table(struct disk *d, struct otd_files *to);
void disk_reboot(struct disk *d);
size_t disk_open_files(struct disk *d);

#endif
