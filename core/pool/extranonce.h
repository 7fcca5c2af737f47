/*
 * Extranonce1 values of the pools of one reactor; see pool/reactor/reactor.h for their layout and for why no
 * value is used twice within the life of a job. Two pools on one chain may have equal jobs, so pools
 * share one space of values: each takes blocks of it as it needs them, and gives back those that lay
 * idle for a whole tip. What other pools lack of an equal part is kept for them.
 * [reactor]
 */
#ifndef OTD_POOL_EXTRANONCE_H
#define OTD_POOL_EXTRANONCE_H

#include <otedama/types.h>

#define OTD_EXTRANONCE_BITS   20   /* of the counter */
#define OTD_EXTRANONCE_BLOCK  1024 /* values */
#define OTD_EXTRANONCE_BLOCKS ((1u << OTD_EXTRANONCE_BITS) / OTD_EXTRANONCE_BLOCK)

/* What the pools of a reactor share. Zeroed is empty. */
struct otd_extranonce_space {
	bool taken[OTD_EXTRANONCE_BLOCKS];
	uint32_t n_taken;
	struct otd_extranonces *pools; /* that take from it */
	uint32_t n_pools;
};

struct otd_extranonce_block {
	uint64_t live[OTD_EXTRANONCE_BLOCK / 64]; /* held by a session now */
	uint64_t busy[OTD_EXTRANONCE_BLOCK / 64]; /* held at any time since the tip came */
};

struct otd_extranonces {
	struct otd_extranonces *next_pool;
	struct otd_extranonce_space *space;
	struct otd_extranonce_block *block[OTD_EXTRANONCE_BLOCKS]; /* NULL: not ours */
	uint32_t n_blocks;
	uint64_t prefix;
	uint32_t len;
	uint32_t next; /* value to look at first */
};

/* len: bytes, 4 to 8. space outlives it, and x stays where it is. */
otd_rc otd_extranonces_init(struct otd_extranonces *x, struct otd_extranonce_space *space,
			    uint32_t len, uint64_t epoch);
void otd_extranonces_finish(struct otd_extranonces *x);
/* OTD_E_NOMEM: every value that this pool may have was used on this tip. */
otd_rc otd_extranonces_take(struct otd_extranonces *x, uint8_t *out);
/* One of another epoch is none of ours: nothing happens. */
void otd_extranonces_give(struct otd_extranonces *x, const uint8_t *en1);
/* Whether it is of this epoch. */
bool otd_extranonces_is_own(const struct otd_extranonces *x, const uint8_t *en1);
/* A new tip: values that no session holds may be used again. */
void otd_extranonces_new_tip(struct otd_extranonces *x);

#endif
