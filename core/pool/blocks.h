/*
 * Found blocks on their way: to our disk, to every node at once, and to their final state, which is
 * decided by hash at height and by nothing else (pools have read a node's "rejected", or an error of
 * its wallet, as an orphan and were wrong: miningcore issues 406 and 649, NOMP issue 243). A mature
 * block is looked at again after each new tip until it is twice as deep as that takes: its credits may
 * be paid out by then, and somebody has to know. All [coordinator].
 */
#ifndef OTD_POOL_BLOCKS_H
#define OTD_POOL_BLOCKS_H

#include "base/env.h"
#include "chain/chain.h"
#include "pool/journal/record.h"

struct otd_blocks;

struct otd_blocks_pool {
	const char *name;
	struct otd_chain *chain;
	uint32_t maturity, orphan_depth;
};

struct otd_blocks_conf {
	struct otd_env *env;
	struct otd_loop *loop;
	const char *data_dir;
	/* The caller's, for as long as the object lives. What is in it may change: maturity and
	   orphan_depth, and chain to NULL where nothing of a pool is left. */
	const struct otd_blocks_pool *pools;
	size_t n_pools, pools_max; /* 0: n_pools */
	int64_t watch_ms;
	/* A block that is on record has come to a new state or more confirmations. OTD_E_BUSY: say it
	   again later. */
	otd_rc (*verdict)(void *arg, uint64_t epoch, uint64_t share_seq, enum otd_block_state state,
			  uint32_t confirmations);
	void *arg;
};

/* What names a block and where it belongs. */
struct otd_block_name {
	size_t pool;
	uint64_t epoch, share_seq;
	uint64_t height;
	uint8_t hash[32]; /* identity, little-endian */
};

otd_rc otd_blocks_create(struct otd_blocks **out, const struct otd_blocks_conf *conf,
			 struct otd_err *err);
void otd_blocks_destroy(struct otd_blocks *b);
/* Reads what a former run left in blocks/ and begins to watch. Blocks; before the loop serves. */
otd_rc otd_blocks_start(struct otd_blocks *b, struct otd_err *err);
/* A new one: handed to the nodes and written to the disk, both at once. One whose bytes are here stays as
   it is. */
void otd_blocks_found(struct otd_blocks *b, const struct otd_block_name *name,
		      struct otd_span block);
/* Whether its bytes are here, from a file or found in this run. */
bool otd_blocks_knows(const struct otd_blocks *b, const uint8_t hash[32]);
/* Whether all of them are on the disk as far as we know. */
bool otd_blocks_written(const struct otd_blocks *b);
/* Who writes the files; lives as long as b. */
struct otd_worker *otd_blocks_disk(struct otd_blocks *b);
/* Accounting has it on record in this state: from now on verdicts are given. */
void otd_blocks_on_record(struct otd_blocks *b, const struct otd_block_name *name,
			  enum otd_block_state state, uint32_t confirmations);
/* There are so many pools now, at most pools_max. Blocks that earlier runs left of the new ones are
   taken up. */
void otd_blocks_pools(struct otd_blocks *b, size_t n_pools);
/* Whether a block of this pool is watched or written. */
bool otd_blocks_has(const struct otd_blocks *b, size_t pool);
/* What is wrong with a block of this pool, for people; "" where nothing. */
const char *otd_blocks_trouble(struct otd_blocks *b, size_t pool);
/* Whether a block is still on its way to our disk or to its first node: not the time to end. */
bool otd_blocks_leaving(const struct otd_blocks *b);

#endif
