/*
 * Inside accounting. Files: accounting.c (life, public calls), acct_merge.c (reading journals, the
 * order), acct_apply.c (what records do in memory), acct_scheme.c (payout schemes), acct_commit.c
 * and acct_sql.c (the transaction), acct_load.c and acct_owners.c (the start), acct_pools.c (pools that
 * come, go and change their fee), acct_status.c (reading).
 *
 * Memory is ahead of SQL by what is in a->pending (gathering) and a->flight (with the store). Work
 * on the store thread touches only its struct acct_commit.
 */
#ifndef OTD_POOL_ACCT_H
#define OTD_POOL_ACCT_H

#include "base/bytes.h"
#include "base/map.h"
#include "plugin/plugin.h"
#include "pool/acct/accounting.h"
#include "pool/acct/fees.h"
#include "pool/journal/found.h"
#include "pool/journal/journal.h"

#define ACCT_DIR     512
#define ACCT_JOBS    4096       /* definitions of jobs kept an epoch */
#define ACCT_WORKERS (1u << 24) /* worker numbers an epoch */
#define ACCT_BLOCKS  1000       /* final blocks kept in memory */
#define ACCT_HEAD    64         /* bytes of the host's part of a saved scheme */
#define ACCT_SCHEMES 32         /* of one pool, in the life of a process */

struct acct_pool;
struct acct_seat;

/* Work by time of share, in buckets of a minute and of five. */
struct acct_rate {
	int64_t minute, five; /* of the newest bucket */
	otd_u128 by_minute[10], by_five[12];
};

struct acct_account {
	struct acct_pool *pool;
	uint64_t id; /* accounts.id */
	char *address;
	int64_t since_ms; /* accounts.created_ms */
	struct acct_seat *seats;
	struct acct_fee *fee; /* acct_fees.c; NULL: never one of its own */
};

/* An account in one scheme of its pool. */
struct acct_seat {
	struct acct_seat *next;
	struct acct_account *account;
	struct acct_scheme *scheme;
	uint64_t group; /* the scheme's group in which index is its place */
	size_t index;
};

struct acct_worker {
	struct acct_account *account;
	uint64_t id; /* workers.id */
	char *name;
	int64_t last_ms;
	uint64_t accepted, refused[OTD_SHARE_VERDICTS];
	struct acct_rate *rate; /* NULL: idle */
	uint64_t commit;        /* serial of the commit in which row is its last minute's place */
	size_t row;
};

struct acct_scheme {
	struct acct_pool *pool;
	char *name;
	struct otd_plugin_instance *instance;
	bool broken;
	uint64_t seq; /* records up to this one of the coordinator's journal are in its state */
	int64_t last_ms;
	otd_u128 network_work, round_work;
	/* the group that goes to shares() next */
	uint64_t group;
	struct otd_payout_share *shares;
	size_t n, cap;
};

/* A fee, in force for blocks found from since_ms on, until a later one. */
struct acct_terms {
	uint64_t seq; /* of its record in the coordinator's journal */
	int64_t fee_ppm, since_ms;
};

/* Part of an account's fee that goes to another account. */
struct acct_gift {
	uint64_t account;
	uint32_t ppm; /* of the fee */
};

struct acct_account_terms {
	struct acct_terms at;
	struct acct_gift to[OTD_ACCT_RECIPIENTS]; /* in the order of their numbers */
	size_t n_to;
};

struct acct_pool {
	size_t slot;  /* the coordinator's; SIZE_MAX: not in the settings since the start */
	size_t shown; /* place in the status being made; SIZE_MAX: none */
	bool live;    /* in the settings */
	char *name, *asset;
	int64_t fee_ppm, fee_since_ms; /* as the settings want it */
	bool fee_due;                  /* that is not in the journal yet */
	bool fee_any;                  /* the journal has one, maybe not applied yet */
	int64_t fee_said;              /* the last one in it */
	struct acct_terms *terms;      /* in the order of the journal */
	size_t n_terms, cap_terms;
	uint64_t id;                 /* pools.id */
	struct acct_scheme *schemes; /* room for ACCT_SCHEMES; NULL: none since the start */
	size_t n_schemes;
	struct acct_rate rate;
	uint64_t accepted, refused[OTD_SHARE_VERDICTS];
	int64_t last_share_ms;
	uint64_t blocks, orphaned;
};

/* What an epoch's record defines; of a worker: found in memory at its first share. */
struct acct_def {
	struct acct_pool *pool; /* NULL: not in the settings */
	struct acct_scheme *scheme;
	char *account, *name;
	struct acct_seat *seat;
	struct acct_worker *worker;
};

struct acct_job {
	uint32_t number;
	bool set;
	struct acct_pool *pool;
	otd_u128 network_work;
};

struct acct_epoch {
	struct acct_epoch *next_epoch;
	uint64_t epoch;
	char dir[ACCT_DIR];
	uint64_t next;     /* the first sequence not taken into the order */
	uint64_t applied;  /* the first sequence not applied */
	uint64_t durable;  /* what its reactor said; or all, of one left over */
	uint64_t flush_to; /* must be applied before a flush is done */
	uint64_t saved;    /* the first that a start would need again; as committed */
	bool left_over;    /* of an earlier run: nobody writes it */
	bool removing;
	struct otd_journal_reader *reader; /* of the merge worker while it runs */
	struct acct_def **workers;
	size_t cap_workers;
	struct acct_job *jobs;   /* ring of ACCT_JOBS */
	bool paused;             /* until the next tick */
	char trouble[256];       /* "" or why it cannot be read */
	struct otd_found *found; /* until the start has told of them; or NULL */
};

struct acct_block {
	struct acct_block *next; /* newest first */
	struct acct_pool *pool;  /* NULL: not in the settings any more */
	struct acct_scheme *scheme;
	char *pool_name, *asset, *scheme_name, *account, *worker;
	uint64_t epoch, share_seq, height;
	int64_t time_ms;
	uint32_t state, asked; /* applied; last one journaled */
	uint32_t confirmations;
	otd_i128 value, fee;
	otd_u128 network_work, round_work;
	uint8_t hash[32], prev[32];
	bool held, in_sql, told;
};

/* One place in the coordinator's order, waiting for its sync. */
struct acct_entry {
	struct acct_entry *next;
	uint64_t cseq;
	struct acct_epoch *ep; /* NULL: a verdict, or terms */
	struct acct_pool *terms_of;
	struct acct_account *terms_of_account;
	struct acct_terms terms;
	uint64_t first, last;
	struct otd_bytes records; /* {u64 seq, u32 type, u32 n, payload}; of terms: recipients */
	size_t n_records;
	struct otd_rec_verdict verdict;
};

/* --- one transaction --- */

struct acct_new_account {
	uint64_t id, pool_id;
	int64_t ms;
	char *address;
};

struct acct_new_worker {
	uint64_t id, account_id;
	int64_t ms;
	char *name;
};

struct acct_minute {
	uint64_t worker_id;
	int64_t minute, last_ms;
	uint64_t accepted;
	otd_u128 work;
};

struct acct_refused {
	uint64_t worker_id, count;
	int64_t minute;
	uint32_t reason;
};

struct acct_credit {
	uint64_t account;
	otd_i128 amount;
};

struct acct_new_pool {
	uint64_t id;
	char *name, *asset;
};

struct acct_new_terms {
	uint64_t pool_id;
	struct acct_terms terms;
};

struct acct_new_account_terms {
	uint64_t account_id;
	struct acct_account_terms terms;
};

enum acct_op_kind { ACCT_FOUND, ACCT_STATE, ACCT_CONFIRMATIONS };

struct acct_op {
	enum acct_op_kind kind;
	uint64_t epoch, share_seq;
	uint32_t state, before, confirmations;
	int64_t time_ms;
	/* FOUND */
	uint64_t pool_id, finder, worker_id, height;
	char *asset, *scheme;
	uint8_t hash[32], prev[32];
	otd_i128 value, fee;
	otd_i128 fee_more; /* by accounts with a fee of their own; may be less than 0 */
	otd_u128 network_work, round_work;
	bool held;
	struct acct_credit *credits;
	size_t n_credits;
	/* set by the work: what of an orphaned block was spent already; the ledger refused the
	   reversal */
	otd_i128 risk;
	bool refused;
	char why[200];
};

struct acct_saved {
	uint64_t pool_id, seq;
	char *scheme;
	struct otd_bytes state;
};

struct acct_place {
	uint64_t epoch, next, saved;
};

struct acct_commit {
	struct otd_accounting *a; /* NULL: it is gone meanwhile */
	uint64_t serial, base, position;
	bool saves; /* the schemes, as they are at position */
	struct acct_new_pool *pools;
	size_t n_pools, cap_pools;
	struct acct_new_terms *terms;
	size_t n_terms, cap_terms;
	struct acct_new_account_terms *account_terms;
	size_t n_account_terms, cap_account_terms;
	struct acct_new_account *accounts;
	size_t n_accounts, cap_accounts;
	struct acct_new_worker *workers;
	size_t n_workers, cap_workers;
	struct acct_minute *minutes;
	size_t n_minutes, cap_minutes;
	struct acct_refused *refused;
	size_t n_refused, cap_refused;
	struct acct_op *ops;
	size_t n_ops, cap_ops;
	struct acct_saved *saved;
	size_t n_saved, cap_saved;
	struct acct_place *places;
	size_t n_places, cap_places;
};

struct otd_accounting {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_store *store;
	struct otd_accounting_conf conf;
	char dir[ACCT_DIR]; /* DATA_DIR/journal */
	struct otd_accounting_events events;
	bool started, destroying;
	struct otd_journal *journal;
	struct otd_worker *worker; /* reads journals, removes folders */
	struct otd_timer *tick;
	struct acct_pool **pools; /* those of the settings, and all that SQL knows */
	size_t n_pools, cap_pools;
	uint64_t last_pool;  /* id given */
	uint64_t last_terms; /* of the coordinator's journal: the last fee put on record */
	struct otd_acct_addition *adding;
	struct acct_epoch *epochs;
	uint64_t max_epoch;
	struct otd_map *account_map, *worker_map; /* to index + 1 */
	struct acct_account **accounts;
	size_t n_accounts, cap_accounts;
	struct acct_worker **workers;
	size_t n_workers, cap_workers;
	uint64_t last_account, last_worker; /* ids given */
	struct acct_block *blocks;
	size_t n_blocks;
	struct acct_entry *entries, **entries_end; /* in the order, not applied */
	size_t n_entries;
	struct acct_entry *slice; /* being read, or read and not in the order yet */
	bool reading, slice_ready;
	otd_rc slice_rc;
	struct otd_err slice_err;
	uint64_t slice_limit;
	struct acct_epoch *last_read; /* whose turn was last */
	uint64_t applied;             /* of the coordinator's journal */
	uint64_t position;            /* in SQL */
	uint64_t current; /* being applied: a scheme whose seq is there already leaves it out */
	bool replaying;   /* records up to position: only schemes */
	bool journal_fails;
	char journal_why[256];
	struct acct_commit *pending, *flight;
	bool urgent; /* a block or verdict is in pending */
	bool store_busy;
	uint64_t serial;
	int64_t last_pause_ms;
	int64_t committed_ms, last_merge_ms, last_try_ms, saved_ms; /* monotonic */
	uint64_t saved_applied;
	int64_t kept_ms; /* monotonic, of the last save that went to the archive; 0: none */
	int64_t last_commit_wall_ms;
	struct otd_metric *merged, *commits, *failures; /* NULL: no metrics */
	char store_why[256];
	char stopped[256]; /* why nothing is applied any more; "" : it is */
	char alerts[8][256];
	size_t n_alerts;
	uint64_t unattributed, undefined; /* shares without an owner; without a job */
	otd_fn flush_done;
	void *flush_arg;
	bool flush_wanted;
	uint64_t flush_verdicts; /* of the coordinator's journal: must be applied */
	uint64_t flush_seq;      /* of it: must be in SQL; UINT64_MAX: not known yet */
	bool held;               /* nothing of a journal goes */
	uint64_t release_to;     /* of the coordinator's journal: not needed any more */
	void *beginning;         /* an epoch on its way (acct_epochs.c) */
};

/* Pools, schemes and metrics; nothing is read, no journal is open. *out is to be destroyed also on failure
   (where it is not NULL). */
otd_rc acct_create(struct otd_accounting **out, const struct otd_accounting_conf *conf,
		   struct otd_err *err);
/* Room for one more item of an array; NULL: out of memory. */
void *acct_room(void *items, size_t *n, size_t *cap, size_t item);
char *acct_copy(const char *s, size_t n);
int64_t acct_mono_ms(struct otd_accounting *a);
/* Nothing is applied from here on; what is in journals stays there for the next start. */
void acct_stop(struct otd_accounting *a, const char *why);
void acct_alert(struct otd_accounting *a, const char *fmt, ...) OTD_PRINTF(2, 3);
struct acct_epoch *acct_epoch_find(struct otd_accounting *a, uint64_t epoch);
otd_rc acct_epoch_add(struct otd_accounting *a, struct acct_epoch **out, uint64_t epoch,
		      uint64_t next);
void acct_epoch_free(struct acct_epoch *ep);
void acct_rate_add(struct acct_rate *r, int64_t time_ms, otd_u128 work);
otd_u128 acct_rate_10min(const struct acct_rate *r, int64_t now_ms);
otd_u128 acct_rate_1h(const struct acct_rate *r, int64_t now_ms);

/* acct_merge.c */
void acct_merge(struct otd_accounting *a); /* whatever can be done now */
otd_rc acct_slice_read(struct acct_entry *slice, struct acct_epoch *ep, struct otd_env *e,
		       uint64_t limit, bool whole, struct otd_err *err);
struct acct_entry *acct_entry_create(void);
void acct_entry_free(struct acct_entry *e);
void acct_on_synced(void *arg, uint64_t seq);
void acct_on_journal_failed(void *arg, const struct otd_err *err);

/* acct_apply.c */
void acct_apply(struct otd_accounting *a, struct acct_entry *e);
/* Whom the worker of this record mines for; NULL: not in the settings. False: not such a record. */
bool acct_worker_owner(struct otd_accounting *a, const uint8_t *p, size_t n,
		       struct otd_rec_worker *r, struct acct_pool **pool,
		       struct acct_scheme **scheme);
struct acct_account *acct_account(struct otd_accounting *a, struct acct_pool *p,
				  const char *address, int64_t ms);
/* Binary search: they are in the order of their numbers. NULL: none of a pool in the settings. */
struct acct_account *acct_account_by_id(const struct otd_accounting *a, uint64_t id);
/* Books what SQL has: id is given. */
struct acct_account *acct_account_add(struct otd_accounting *a, struct acct_pool *p, uint64_t id,
				      const char *address, size_t n);
struct acct_worker *acct_worker_add(struct otd_accounting *a, struct acct_account *c, uint64_t id,
				    const char *name, size_t n);
struct acct_block *acct_block_find(struct otd_accounting *a, uint64_t epoch, uint64_t share_seq);
/* events.found for those that may be unknown to everybody else. */
void acct_found_say(struct otd_accounting *a, const struct acct_epoch *ep,
		    const struct otd_found *f, bool at_start);
void acct_found_start(struct otd_accounting *a); /* of all epochs, once */
void acct_block_add(struct otd_accounting *a, struct acct_block *b);
void acct_block_free(struct acct_block *b);
void acct_block_view(const struct acct_block *b, struct otd_acct_block *out);

/* acct_scheme.c */
otd_rc acct_scheme_create(struct acct_scheme *s, const struct otd_acct_scheme *conf,
			  struct otd_err *err);
void acct_scheme_finish(struct acct_scheme *s);
void acct_scheme_share(struct otd_accounting *a, struct acct_seat *seat, otd_u128 work,
		       otd_u128 network_work, int64_t time_ms);
void acct_scheme_flush(struct otd_accounting *a, struct acct_scheme *s);
/* Credits of a block, checked: false where they may not be paid (why says so). */
bool acct_scheme_block(struct otd_accounting *a, struct acct_scheme *s,
		       const struct otd_payout_block *block, struct acct_credit **credits,
		       size_t *n, char *why, size_t cap);
void acct_scheme_verdict(struct otd_accounting *a, struct acct_scheme *s, uint64_t block,
			 uint32_t state);
otd_rc acct_scheme_save(struct acct_scheme *s, struct otd_bytes *out);
otd_rc acct_scheme_restore(struct acct_scheme *s, struct otd_span state, uint64_t seq,
			   struct otd_err *err);
/* The number by which a scheme knows a block. */
otd_rc acct_block_number(uint64_t *out, uint64_t epoch, uint64_t share_seq);

/* acct_commit.c */
struct acct_commit *acct_pending(struct otd_accounting *a); /* NULL: out of memory, stopped */
void acct_commit_free(struct acct_commit *c);
/* Closes pending: position, places and, where it is time, the states of the schemes. */
otd_rc acct_seal(struct otd_accounting *a, bool save);
void acct_commit_booked(struct otd_accounting *a, struct acct_commit *c);
void acct_commit_go(struct otd_accounting *a, bool now);

/* acct_archive.c: takes the states out of a commit that is booked. */
void acct_archive_save(struct otd_accounting *a, struct acct_commit *c);

/* acct_sql.c */
otd_rc acct_sql_commit(void *arg, struct otd_db *db, struct otd_err *err); /* [store] */

/* acct_pools.c */
otd_rc acct_pools_create(struct otd_accounting *a, struct otd_err *err);
void acct_pools_free(struct otd_accounting *a);
/* One more, with no schemes, not in the settings. NULL: out of memory. */
struct acct_pool *acct_pool_new(struct otd_accounting *a, const char *name, size_t n,
				const char *asset, size_t asset_n);
/* NULL: none that has or had schemes in this process. */
struct acct_pool *acct_pool_named(const struct otd_accounting *a, const char *name, size_t n);
/* At the end: what the store may still read is freed when it is done. */
void acct_adding_forget(struct otd_accounting *a);
void acct_beginning_forget(struct otd_accounting *a); /* acct_epochs.c */
/* In force for a block of this time. */
int64_t acct_fee_at(const struct acct_pool *p, int64_t time_ms);
/* Terms become known: of SQL, or of a record. */
otd_rc acct_terms_add(struct acct_pool *p, const struct acct_terms *t);
/* --- acct_fees.c --- */

/* From a record's payload into an entry; false: of an account that nobody knows, or it makes no sense. */
bool acct_account_terms_read(struct otd_accounting *a, struct otd_span payload,
			     struct acct_entry *e);
void acct_account_terms_apply(struct otd_accounting *a, const struct acct_entry *e);
otd_rc acct_account_terms_sql(const struct acct_commit *c, struct otd_db *db,
			      struct otd_err *err); /* [store] */
/* Those with a sequence less than before; accounts are known. */
otd_rc acct_account_terms_load(struct otd_accounting *a, uint64_t before, struct otd_db *db,
			       struct otd_err *err); /* [store] */
/* What accounts with a fee of their own get less, or more, and what of it goes to their recipients: changes
   credits, and *n. The difference goes to the pool's fee, whose terms had pool_ppm. */
otd_i128 acct_own_fees(struct otd_accounting *a, int64_t time_ms, int64_t pool_ppm,
		       struct acct_credit **credits, size_t *n);
void acct_account_fee_free(struct acct_account *c);

/* Puts fees on record that are not yet. */
void acct_terms_due(struct otd_accounting *a);
/* At start(): the journal is made to say what the settings want. */
void acct_terms_start(struct otd_accounting *a);
/* From a record's payload; false: of a pool that nobody knows. */
bool acct_terms_read(struct otd_accounting *a, struct otd_span payload, struct acct_pool **p,
		     struct acct_terms *t);

/* acct_owners.c */
/* OTD_E_INVALID: what earlier runs left has shares, not in SQL yet, of a pool or scheme that is not
   in the settings. After otd_journal_recover(), before the replay. */
otd_rc acct_check_owners(struct otd_accounting *a, struct otd_err *err);

/* acct_load.c */
otd_rc acct_load(struct otd_accounting *a, struct otd_err *err);
/* As it was before place `from` of the coordinator's journal, as far as SQL still tells: terms of earlier
   places, all blocks, no counts, no epochs; the schemes as they were saved last where with_schemes. */
otd_rc acct_load_before(struct otd_accounting *a, uint64_t from, bool with_schemes,
			struct otd_err *err);
/* One record of the coordinator's journal; its shares are read from a->epochs. */
otd_rc acct_replay_record(struct otd_accounting *a, const struct otd_record *r,
			  struct otd_err *err);
otd_rc acct_replay(struct otd_accounting *a, struct otd_err *err);

#endif
