/*
 * What miners know: every share that they ever handed in, what they were told of it, and what must have
 * become of it. The judge of the simulated pool; it believes nothing that the pool says of itself.
 */
#ifndef OTD_SIM_HOST_MODEL_H
#define OTD_SIM_HOST_MODEL_H

#include "sim.h"
#include <otedama/u256.h>

#define MODEL_MINERS   14
#define MODEL_ACCOUNTS 7

enum model_kind {
	SHARE_GOOD,
	SHARE_LOW,     /* harder was asked */
	SHARE_STALE,   /* of a tip that is gone, and the miner knows */
	SHARE_TIME,    /* a time that no block may bear */
	SHARE_VERSION, /* bits that are not the miner's */
	SHARE_FOREIGN  /* by a worker who has not logged in */
};

struct model_share {
	uint64_t hash8; /* most significant 8 bytes of the hash; they name it */
	uint8_t hash[32];
	uint32_t miner, account;
	uint64_t login; /* which connection of its miner */
	enum model_kind kind;
	bool block;                    /* it meets the block target: accepted whatever the rules */
	uint32_t acked, refused, sent; /* how often */
	uint32_t recorded;             /* in journals: in how many places */
	uint64_t at_epoch, at_seq;     /* of its record */
	otd_u128 work;                 /* of its record */
	struct otd_u256 target;        /* by which it was sent: of its job */
	struct otd_u256 easiest;       /* of those that the miner was told until the answer */
};

struct model {
	struct model_share *share;
	size_t n, cap;
	uint32_t *slot; /* by hash8 */
	size_t n_slots;
	uint64_t acked; /* shares, each once */
};

/* NULL: nobody sent such a one. Pointers live until the next add. */
struct model_share *model_find(const struct model *m, uint64_t hash8);
struct model_share *model_add(struct model *m, uint64_t hash8);
void model_free(struct model *m);

#endif
