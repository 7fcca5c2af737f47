/*
 * Miners outside of the pool: they come and go, speak Stratum, hash for real at an easy difficulty, and
 * try what must be refused too. What they hand in and are told goes into the model; a wrong answer ends
 * the program.
 */
#ifndef OTD_SIM_MINER_H
#define OTD_SIM_MINER_H

#include "host_model.h"
#include "sim_net.h"

enum miner_site { /* what miners do to the pool, by chance */
		  MINER_DUPLICATE,
		  MINER_LOW,
		  MINER_STALE,
		  MINER_TIME,
		  MINER_VERSION,
		  MINER_FOREIGN,
		  MINER_GARBAGE,
		  MINER_LEAVES,
		  MINER_RESETS,
		  MINER_VANISHES,
		  MINER_DEAF,
		  MINER_GAVE_UP, /* no answer came */
		  MINER_SUGGESTS,
		  MINER_LATE_TIP, /* a good share met a new tip on its way */
		  MINER_NO_DISK   /* the pool could not keep a share */
};
#define MINER_SITES 15

struct sim_miners;

struct sim_miners_conf {
	struct sim *sim;
	struct model *model;
	uint16_t port[2];                           /* miners spread over them */
	const char (*address)[96];                  /* of accounts */
	struct otd_u256 easiest;                    /* that a port gives */
	int64_t pace_ms;                            /* between two wake-ups of one miner, about */
	void (*wrong)(void *arg, const char *what); /* does not return */
	void *arg;
};

struct sim_miners *sim_miners_create(const struct sim_miners_conf *conf);
void sim_miners_destroy(struct sim_miners *m);
/* calm: only good shares, nobody leaves. Quiet: no more shares, answers are waited for. */
void sim_miners_calm(struct sim_miners *m, bool calm, bool quiet);
/* The disk may fail: the pool may say that it cannot keep a share. */
void sim_miners_bad_disk(struct sim_miners *m, bool bad);
size_t sim_miners_waiting(const struct sim_miners *m); /* for answers, on connections that stand */
size_t sim_miners_ready(const struct sim_miners *m);   /* logged in and at work */
uint64_t sim_miners_fired(const struct sim_miners *m, enum miner_site site);
const char *sim_miner_site_name(enum miner_site site);
/* "rig3" of miner 3, and its account. */
void sim_miner_name(char to[16], uint32_t miner);
uint32_t sim_miner_account(uint32_t miner);

#endif
