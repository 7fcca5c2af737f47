/*
 * The coordinator: the one loop that owns templates, jobs, blocks and accounting. It turns templates
 * into job messages for every reactor, checks addresses for them, and takes a found block all the
 * way: onto our disk, to every node, to its final state by hash at height. All [coordinator].
 *
 * A block candidate is kept as DATA_DIR/blocks/POOL-HEIGHT-HASH.block until its state is final, so
 * that it is handed in again after a crash.
 */
#ifndef OTD_POOL_COORDINATOR_H
#define OTD_POOL_COORDINATOR_H

#include "base/env.h"
#include "base/metrics.h"
#include "chain/chain.h"
#include "pool/acct/accounting.h"
#include "pool/msg.h"

struct otd_coordinator;

struct otd_coordinator_pool {
	const char *name;
	struct otd_chain *chain;
	struct otd_span script; /* where the coinbase pays: from otd_chain_address() */
	const char *tag;
	uint32_t version_mask;
	uint32_t extranonce1_len, extranonce2_len;
	bool has_floor; /* test networks: floor_target serves as the network target */
	struct otd_u256 floor_target;
	uint32_t maturity; /* confirmations after which credits are final */
	uint32_t
		orphan_depth; /* confirmations of another block at our height that decide an orphan */
};

struct otd_coordinator_conf {
	struct otd_env *env;
	struct otd_loop *loop;
	const char *data_dir;
	const struct otd_coordinator_pool *pools; /* in the order of the settings */
	size_t n_pools;
	struct otd_accounting *accounting;
	struct otd_metrics *metrics;
	int64_t watch_ms; /* how often blocks that are not final are looked up; 1000 */
};

otd_rc otd_coordinator_create(struct otd_coordinator **out, const struct otd_coordinator_conf *conf,
			      struct otd_err *err);

/* --- pools that change while it runs --- */

/* Whether these could be added now. */
otd_rc otd_coordinator_check(const struct otd_coordinator *c,
			     const struct otd_coordinator_pool *pools, size_t n,
			     struct otd_err *err);
/* One more, of those that were checked; its number. Its work comes with the next template that is
   handed in: not before every reactor knows the pool. */
size_t otd_coordinator_add_pool(struct otd_coordinator *c, const struct otd_coordinator_pool *pool);
/* Tag, version_mask, maturity and orphan_depth are these from now on. */
void otd_coordinator_change_pool(struct otd_coordinator *c, size_t pool,
				 const struct otd_coordinator_pool *conf);
/* It is out of the settings: no more work. Its blocks are watched to their end. */
void otd_coordinator_remove_pool(struct otd_coordinator *c, size_t pool);
/* Whether nothing of a removed pool is left: no reactor has clients of it, all is in SQL, no block is
   watched. Asked now and then: each call may bring it on. */
bool otd_coordinator_is_gone(struct otd_coordinator *c, size_t pool);
/* Once it is gone: gives everything back, so that its chain can go. */
void otd_coordinator_forget_pool(struct otd_coordinator *c, size_t pool);

/* --- life --- */

/* Takes NULL. Jobs' templates are given back to their chains: destroy those afterwards. */
void otd_coordinator_destroy(struct otd_coordinator *c);
/* Where reactors send to. */
struct otd_mailbox *otd_coordinator_mailbox(struct otd_coordinator *c);
/* Reactor number index (counting from 0) receives jobs from now on, the current ones at once. */
otd_rc otd_coordinator_add_reactor(struct otd_coordinator *c, uint32_t index,
				   struct otd_mailbox *mailbox);
/* Hands in again what is left in blocks/ and watches blocks that are not final. Blocks; before the
   loop serves. */
otd_rc otd_coordinator_start(struct otd_coordinator *c, struct otd_err *err);
/* Accounting has merged everything of this epoch up to seq: that reactor may cut segments. */
void otd_coordinator_release(struct otd_coordinator *c, uint32_t reactor, uint64_t epoch,
			     uint64_t seq);
/* For otd_chain_conf.on_template of pool number pool. */
void otd_coordinator_template(struct otd_coordinator *c, size_t pool,
			      const struct otd_chain_template *t, bool new_tip);
/* Accounting's word that a block is on record (also at start, for every one that is not final). */
void otd_coordinator_block(struct otd_coordinator *c, const struct otd_acct_block *b);
/* A block out of a journal of before: where no block file has it, it is put together again, of the template
   in memory or its file, and handed in. Behind otd_coordinator_start(). */
void otd_coordinator_found(struct otd_coordinator *c, const struct otd_acct_found *f);
/* Sends OTD_MSG_DRAIN to every reactor; drained(arg) once all have answered. */
void otd_coordinator_drain(struct otd_coordinator *c, otd_fn drained, void *arg);
/*
 * The same by OTD_MSG_FREEZE: clients stay, and are not listened to. Then thaw, or the end. OTD_E_BUSY: a
 * reactor has not answered the freeze before.
 */
otd_rc otd_coordinator_freeze(struct otd_coordinator *c, otd_fn frozen, void *arg);
void otd_coordinator_thaw(struct otd_coordinator *c);
/* Whether a block is on its way to our disk or to its first node: whoever ends now may lose it. */
bool otd_coordinator_leaving(const struct otd_coordinator *c);
/* The last thing that went wrong with a block of this pool and was not mended; "" where nothing. */
const char *otd_coordinator_trouble(struct otd_coordinator *c, size_t pool);

#endif
