/*
 * Accounting: what the coordinator makes of the journals. It reads each reactor's journal up to what
 * is durable, fixes the order of everything in a journal of its own, lets the payout schemes divide
 * blocks, and brings sums, credits and its position into SQL, in one transaction at a time. What is
 * in a reactor's journal is in SQL exactly once, whatever dies in between.
 *
 *     r-EPOCH/NNN.otj --read--> coordinator/NNN.otj (BATCH, VERDICT) --synced--> payout schemes,
 *     sums, postings --one transaction with the position--> SQL --> release(epoch, seq)
 *
 * The payout schemes' states are saved in SQL now and then, in such a transaction; journals are kept
 * back to the last save, from where a start plays them again. All [coordinator].
 *
 * A block is named by its id, EPOCH-SEQUENCE of its share. Money: the coinbase value less the
 * pool's fee (rounded up by less than one base unit) goes to OTD_ACC_IMMATURE accounts as the scheme
 * says, the fee to OTD_ACC_FEE_IMMATURE, all from OTD_ACC_REWARD, under the key
 * "block/EPOCH-SEQUENCE/credit"; "block/EPOCH-SEQUENCE/mature" moves it to OTD_ACC_MINER and
 * OTD_ACC_FEE. The pool's own accounts are owned by its number in SQL.
 */
#ifndef OTD_POOL_ACCOUNTING_H
#define OTD_POOL_ACCOUNTING_H

#include "base/env.h"
#include "base/metrics.h"
#include "pool/journal/record.h"
#include "store/store.h"
#include <otedama/u256.h>

struct otd_accounting;
struct otd_plugin_instance;

/* One way in which a pool divides rewards: its own, and those of ports that have another. */
struct otd_acct_scheme {
	const char *name; /* as OTD_REC_WORKER names it: "pplns", "solo"; kept across restarts */
	/* A fresh instance of kind payout; destroyed by accounting. */
	otd_rc (*create)(void *arg, struct otd_plugin_instance **out, struct otd_err *err);
	void *arg;
};

struct otd_acct_pool {
	const char *name;  /* as in the settings and in records */
	const char *asset; /* "BTC" */
	int64_t fee_ppm;   /* 0 to 1,000,000; for blocks found from now on */
	size_t slot; /* the coordinator's number of it; of those given to create(): their order */
	/* The first is the pool's own, meant where a record names none. At least one. */
	const struct otd_acct_scheme *schemes;
	size_t n_schemes;
};

struct otd_accounting_conf {
	struct otd_loop *loop;
	struct otd_store *store;
	const char *data_dir;              /* journals lie in its folder journal/ */
	const struct otd_acct_pool *pools; /* in the order of the settings; texts are copied */
	size_t n_pools;
	struct otd_metrics *metrics; /* or NULL */
	int64_t merge_ms;            /* shortest time between two rounds of reading; 0: 100 */
	int64_t commit_ms;      /* between two transactions, but a block's is at once; 0: 1000 */
	int64_t snapshot_ms;    /* between two saves of the payout schemes; 0: 60000 */
	uint64_t segment_bytes; /* of the coordinator's own journal; 0: 16 MiB */
	uint64_t max_bytes;     /* of it in all; 0: 1 GiB */
	/* Start though journals hold shares, not in SQL yet, whose pool or payout scheme is not in
	   the settings: they are dropped. Else that is refused. */
	bool drop_unknown;
	bool archive; /* segments that are not needed any more are moved away: pool/journal/archive.h */
};

struct otd_acct_block {
	size_t pool; /* slot of the pool; SIZE_MAX: it is not in the settings */
	const char *pool_name, *asset, *scheme;
	uint64_t epoch, share_seq; /* its id */
	uint64_t height;
	int64_t time_ms;
	uint32_t state; /* enum otd_block_state */
	uint32_t confirmations;
	otd_i128 value; /* of the coinbase */
	otd_i128 fee;   /* of it, the pool's */
	uint8_t hash[32], prev[32];
	const char *account, *worker; /* who found it */
	uint64_t effort_ppm; /* work of the round by expected work; 1,000,000 is what is expected */
	bool held;           /* credits were refused (see alerts) and wait for a person */
};

/* A block that a journal of before holds, and of which no node's yes is on record. */
struct otd_acct_found {
	size_t pool; /* slot of the pool; SIZE_MAX: it is not in the settings */
	const char *pool_name;
	uint64_t epoch, share_seq, height;
	uint32_t job;  /* of the run that wrote the journal */
	bool at_start; /* in start(): the loop does not serve yet */
	uint8_t hash[32], prev[32];
	struct otd_span header, coinbase;
};

/* Called on the loop, never from within a call of this header but for start(). */
struct otd_accounting_events {
	/* A block is in SQL with its credits: from now on verdicts are taken. In start() for every
	   one that is not final. b lives as long as the call. */
	void (*block)(void *arg, const struct otd_acct_block *b);
	/* What is up to seq in the journal of this epoch is not needed any more. */
	void (*release)(void *arg, uint64_t epoch, uint64_t seq);
	/* In start(), and where a reactor's process has died: whoever wrote this block down may have said it to
	   nobody else. f lives as long as the call. */
	void (*found)(void *arg, const struct otd_acct_found *f);
	void *arg;
};

/*
 * Blocks; before the loop serves. Opens and checks all journals, restores the schemes and plays what
 * SQL does not have yet. Refuses to start over damage, naming file and range. What reactors of
 * earlier runs left is merged by and by once start() was called.
 */
otd_rc otd_accounting_create(struct otd_accounting **out, const struct otd_accounting_conf *conf,
			     struct otd_err *err);
/* Stops where it stands: what is not in SQL yet is merged at the next start. Takes NULL. */
void otd_accounting_destroy(struct otd_accounting *a);
/* From now on things move; events may not be NULL, its members may. */
void otd_accounting_start(struct otd_accounting *a, const struct otd_accounting_events *events);

/*
 * A number that no reactor has had, on record, and the folder for its journal (made). Blocks; at
 * start. The reactor opens its journal there with this epoch, and says in OTD_MSG_SYNCED how far it
 * is durable.
 */
otd_rc otd_accounting_new_epoch(struct otd_accounting *a, uint64_t *epoch, char *dir, size_t cap,
				struct otd_err *err);
/* Which number it would be; and the next one is not to be given, ever. At start. */
uint64_t otd_accounting_next_epoch(const struct otd_accounting *a);
void otd_accounting_skip_epoch(struct otd_accounting *a);
/* The journal of this epoch is durable up to seq. Never blocks, never fails: the least it does is to
   remember the number. */
void otd_accounting_synced(struct otd_accounting *a, uint64_t epoch, uint64_t seq);
/*
 * What became of a block. Journaled, then applied: MATURE makes credits spendable, ORPHANED reverses
 * them (also after MATURE). The same state again only moves confirmations. OTD_E_NOT_FOUND: no such
 * block; OTD_E_BUSY: the disk fails, say it again later; OTD_E_INVALID: not possible any more (an
 * orphaned block stays one).
 */
otd_rc otd_accounting_verdict(struct otd_accounting *a, uint64_t epoch, uint64_t share_seq,
			      enum otd_block_state state, uint32_t confirmations);
/* Whether journals' old segments, and now and then a save of the schemes, are archived from now on; as
   conf.archive says at first. */
void otd_accounting_archive(struct otd_accounting *a, bool on);

/* --- pools that change while it runs --- */

/*
 * The fee of blocks that are found from time_ms on (wall clock). It is put on record in the
 * coordinator's journal, so that a replay, and a block whose share waits to be merged, take the fee
 * that was in force when they were found. Where the journal refuses it is tried again until it is
 * there.
 */
void otd_accounting_fee(struct otd_accounting *a, const char *pool, int64_t fee_ppm,
			int64_t time_ms);
/*
 * The fee of one account, in the place of its pool's, from time_ms on; below 0: the pool's again. Of a
 * block, an account that the scheme credits c of what is left by the pool's fee P gets
 * floor(c * (1 - fee) / (1 - P)); the difference is the pool's. The scheme sees nothing of it. OTD_OK: on
 * record, or it was so already. OTD_E_NOT_FOUND: no share of such an account was applied yet;
 * OTD_E_BUSY: the journal refuses: say it again.
 */
OTD_WARN_UNUSED otd_rc otd_accounting_account_fee(struct otd_accounting *a, const char *pool,
						  const char *account, int64_t fee_ppm,
						  int64_t time_ms);
/* Each account with a fee of its own; each must not change any. */
void otd_accounting_account_fees(const struct otd_accounting *a,
				 void (*each)(void *arg, const char *pool, const char *account,
					      int64_t fee_ppm),
				 void *arg);
/* Whether every fee said so far is durable. */
bool otd_accounting_fees_durable(const struct otd_accounting *a);

/* Pools and schemes on their way in. */
struct otd_acct_addition;
typedef void (*otd_acct_prepared_fn)(void *arg, struct otd_acct_addition *add,
				     const struct otd_err *err);
/*
 * Makes the schemes that a pool does not have yet, and reads what they knew earlier; nothing else
 * changes. Schemes are told by their names: of a pool or scheme that is there, or was earlier in this
 * process, the one in memory goes on. done() comes later on the loop, with what goes to add() or
 * discard(), or with err and NULL. An error now: no done().
 */
otd_rc otd_accounting_prepare(struct otd_accounting *a, const struct otd_acct_pool *pools, size_t n,
			      otd_acct_prepared_fn done, void *arg, struct otd_err *err);
/* From now on they are there; their fees are as by otd_accounting_fee(), from now on. */
void otd_accounting_add(struct otd_accounting *a, struct otd_acct_addition *add, int64_t time_ms);
void otd_accounting_discard(struct otd_acct_addition *add); /* takes NULL */
/* The pool is out of the settings. What was accepted for it is merged all the same, and its blocks
   are watched to their end; only status shows it no more. */
void otd_accounting_remove(struct otd_accounting *a, const char *pool);
/* Whether everything of this pool is in SQL and none of its blocks waits for a verdict, the journal
   of epoch merged up to seq. *merged, 0 at the first call, is the caller's to keep. */
bool otd_accounting_is_done(const struct otd_accounting *a, const char *pool, uint64_t epoch,
			    uint64_t seq, uint64_t *merged);

/* --- another instance of a payout scheme --- */

struct otd_acct_swap {
	const char *pool, *scheme;         /* the scheme's name in records */
	struct otd_plugin_instance *fresh; /* kind payout, nothing has been told to it yet */
	uint8_t digest[32];                /* out: SHA-256 of the state that went over */
};
/*
 * All or none: each scheme's state goes over to its fresh instance, which must give the same bytes back.
 * Then the fresh ones are accounting's and the old ones destroyed, *seq is the record of the
 * coordinator's journal behind which the new ones began. Else all stays, fresh is the caller's.
 */
otd_rc otd_accounting_swap(struct otd_accounting *a, struct otd_acct_swap *swaps, size_t n,
			   uint64_t *seq, struct otd_err *err);
/* Every scheme that there is, also of pools that are not in the settings any more. */
void otd_accounting_schemes(struct otd_accounting *a,
			    void (*each)(void *arg, const char *pool, const char *scheme,
					 const struct otd_plugin_instance *in),
			    void *arg);

/* done(arg) on the loop once all that was said by synced() and verdict() so far is in SQL. While the
   database fails it does not come. A second call replaces the first. */
void otd_accounting_flush(struct otd_accounting *a, otd_fn done, void *arg);

/*
 * While held, no segment and no folder of a journal is given back: what a backup's database does not
 * have yet stays there to be copied. To let go makes up for what was not released, by events.release
 * from within this call.
 */
void otd_accounting_hold(struct otd_accounting *a, bool on);
/* How far each journal is durable now; epoch 0: the coordinator's own. */
void otd_accounting_journals(struct otd_accounting *a,
			     void (*each)(void *arg, uint64_t epoch, uint64_t durable), void *arg);

/* --- reading; texts live as long as the status --- */

struct otd_acct_pool_status {
	size_t slot;
	const char *name, *asset, *scheme;
	int64_t fee_ppm;   /* in force for a block found now */
	uint64_t workers;  /* with a share in the last 10 minutes */
	uint64_t accepted; /* shares since the start of this process */
	uint64_t refused[OTD_SHARE_VERDICTS];
	otd_u128 work_10min, work_1h; /* hashes; divide by time for a rate */
	int64_t last_share_ms;
	/* of the pool's own scheme */
	otd_u128 round_work, network_work; /* since its last block; of a block now */
	uint64_t effort_ppm;               /* the one by the other */
	uint64_t luck_ppm;    /* expected by done work of the blocks in memory; 0: none */
	otd_u128 window_work; /* as the scheme sees it */
	uint64_t window_accounts;
	uint64_t blocks, blocks_orphaned; /* found ever */
};

struct otd_acct_worker_status {
	const char *pool, *account, *worker;
	uint64_t accepted, refused; /* since the start of this process */
	uint64_t refused_by[OTD_SHARE_VERDICTS];
	otd_u128 work_10min, work_1h;
	int64_t last_share_ms;
};

struct otd_acct_status {
	const struct otd_acct_pool_status *pools;
	size_t n_pools;
	const struct otd_acct_worker_status *workers; /* those with most work in 10 minutes first */
	size_t n_workers;
	const struct otd_acct_block *blocks; /* newest first */
	size_t n_blocks;
	const char *const *alerts; /* what needs a person or does not work now, one line each */
	size_t n_alerts;
	uint64_t epochs;            /* reactor journals that are still read */
	uint64_t waiting;           /* records that are durable and not in SQL yet */
	uint64_t position, applied; /* of the coordinator's journal: in SQL; in memory */
	uint64_t journal_bytes;     /* of the coordinator's journal */
	int64_t last_commit_ms;     /* wall clock; 0: none yet */
};

/* A copy of what is in memory, with at most so many workers and blocks. */
otd_rc otd_accounting_status(struct otd_accounting *a, struct otd_acct_status **out,
			     size_t max_workers, size_t max_blocks);
void otd_accounting_status_destroy(struct otd_acct_status *s); /* takes NULL */

struct otd_acct_balance {
	const char *pool, *asset;
	const char *account; /* address; "" for the pool's own */
	uint32_t kind;       /* enum otd_account_kind */
	otd_i128 amount;
};
/* Called once on the loop; the pools' own first, then the largest. err: as of otd_store_do. */
typedef void (*otd_acct_balances_fn)(void *arg, const struct otd_err *err,
				     const struct otd_acct_balance *rows, size_t n);
/* Reads from SQL, at most max rows. */
otd_rc otd_accounting_balances(struct otd_accounting *a, size_t max, otd_acct_balances_fn fn,
			       void *arg);

#endif
