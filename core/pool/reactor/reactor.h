/*
 * A reactor: one loop with its sessions, its jobs and its own journal. This half of it knows no
 * wire: a front (core/stratum) hands in shares and is told what became of them.
 *
 * The way of a share: otd_reactor_submit() takes it into the batch of this round of the loop; at
 * the round's end the batch is hashed in one call (or handed to the compute pool where one hash
 * costs more than the conf's threshold), judged, and what is accepted is appended to the journal.
 * A refused share's verdict comes at once, an accepted one's after the sync that holds it. A hash
 * that meets the block target goes to the coordinator before anything else, whatever the other
 * rules say of it, and once.
 *
 * An extranonce1 is unique by construction: its low 20 bits count the sessions of this reactor and
 * pool, the bits above them (12 of 4 bytes) are the low bits of the reactor's epoch, most
 * significant byte first. Epochs only grow, so a restart or another reactor does not repeat it;
 * within the epoch a counter value comes back only when no session holds it and none has held it
 * since the tip in force came.
 *
 * Everything here is [reactor] but for create and destroy, which run before and after its loop
 * does.
 */
#ifndef OTD_POOL_REACTOR_H
#define OTD_POOL_REACTOR_H

#include "base/env.h"
#include "base/metrics.h"
#include "net/bans.h"
#include "pool/job.h"
#include "pool/journal/record.h"
#include "pool/msg.h"
#include "pool/workers.h"
#include <otedama/algo.h>

struct otd_reactor;

#define OTD_POOLS_MAX 1024 /* pools of a process in its life: a number is not given twice */

struct otd_reactor_pool {
	const char *name;                /* copied */
	const struct otd_algo_ops *algo; /* of the instance: otd_instance_algo() */
	struct otd_instance *algo_self;  /* otd_instance_self() */
	const struct otd_algo_info *algo_info;
	uint32_t extranonce1_len; /* 4 to 8; 0: 4. Jobs must say the same. */
	uint32_t extranonce2_len; /* 2 to 16; 0: 4 */
	uint32_t version_mask;    /* the coin's, until a job states it */
};

/* All pointers stay valid until destroy. 0 takes the default in brackets. */
struct otd_reactor_conf {
	struct otd_env *env;
	struct otd_loop *loop; /* not running yet */
	uint32_t index;        /* in messages */
	uint64_t epoch;        /* not used before by any reactor of this data_dir */
	const char *journal_dir;
	uint64_t segment_bytes, max_bytes; /* of the journal [64 MiB, 256 MiB] */
	bool archive;                      /* its old segments are moved away, not removed */
	const struct otd_reactor_pool *pools;
	size_t n_pools;
	struct otd_mailbox *coordinator; /* where messages go */
	struct otd_metrics *metrics;
	uint64_t inline_cost_ns;   /* a hash that costs more goes to the compute pool [50 us] */
	size_t compute_max;        /* shares that may wait there; more are refused [4096] */
	size_t compute_tasks;      /* batches of this reactor that are there at once [8] */
	size_t workers_max;        /* [262144] */
	uint32_t names_an_account; /* worker names an account may have [1000] */
	size_t dupes_max;          /* shares remembered a tip [16 Mi] */
	size_t accounts_max;       /* checked addresses remembered [65536] */
	int64_t refused_ms;        /* how often refused shares are put on record [10 s] */
};

/* A submit, decoded. What points outside is copied or used before otd_reactor_submit() returns. */
struct otd_submit {
	void *client;      /* the front's; comes back with the verdict */
	uint64_t request;  /* the front's */
	uint64_t since_ns; /* when its line came, monotonic; 0: not told */
	uint32_t pool;
	uint32_t job; /* number as on the wire */
	struct otd_pool_worker *worker;
	uint8_t extranonce1[OTD_JOB_EXTRANONCE1_MAX];
	uint8_t extranonce2[OTD_JOB_EXTRANONCE2_MAX];
	uint32_t ntime, nonce;
	uint32_t version_bits;
	uint32_t version_mask;  /* negotiated by this session; 0: no rolling */
	struct otd_u256 target; /* the share's; the block target is taken where that is easier */
	/* What it is refused with unless it is a block; OTD_SHARE_ACCEPTED: the rules decide. */
	enum otd_share_verdict otherwise;
};

struct otd_verdict {
	void *client;
	uint64_t request;
	struct otd_pool_worker *worker;
	uint32_t job;
	enum otd_share_verdict verdict;
	bool block;             /* it met the block target */
	uint64_t seq;           /* of its record; 0 where refused */
	struct otd_u256 target; /* it was judged by this */
};

/* What one reactor tells the others of a worker's refused shares; the front reads it, nobody else does. */
struct otd_budget_word {
	struct otd_span key, host;
	uint32_t flags, good, bad, stale, workers;
	int64_t kept_out_ms;
};

/* What the front does when something happens. All required. */
struct otd_reactor_front {
	/* A job to hand out; OTD_JOB_CLEAN is set in flags where older ones are stale now. */
	void (*job)(void *arg, struct otd_job *job, uint32_t flags);
	/* job->front is to be freed; the job is gone after it. */
	void (*job_gone)(void *arg, struct otd_job *job);
	void (*verdict)(void *arg, const struct otd_verdict *v);
	/* The answer to otd_reactor_auth(). rc OTD_OK: account is its canonical form. */
	void (*auth)(void *arg, void *client, uint64_t request, otd_rc rc, struct otd_span account,
		     struct otd_span reason);
	/* No new clients; answer what was received, close, then call otd_reactor_drained(). */
	void (*drain)(void *arg);
	void *arg;
	/* From now on this is banned: whoever is here because of it is told and goes. Not called for
	   what was banned before the front came. May be NULL. */
	void (*ban)(void *arg, const struct otd_ban *ban);
	/* on: listen to no client, answer what was received, then call otd_reactor_drained(); clients stay. Off:
	   listen again. NULL: there is nothing to wait for. */
	void (*freeze)(void *arg, bool on);
	/* Reactor number from said this by otd_reactor_budget_tell(). May be NULL. */
	void (*budget)(void *arg, uint32_t from, const struct otd_budget_word *w);
};

/* Opens (recovers) the journal and measures the algorithms; blocks. */
otd_rc otd_reactor_create(struct otd_reactor **out, const struct otd_reactor_conf *conf,
			  struct otd_err *err);
/*
 * Pools that come while it runs. Prepared outside of the reactor's loop, before anything is decided;
 * added on it, behind those that are there and in this order.
 */
struct otd_reactor_added;
/* Measures the algorithms; blocks for some hashes. One preparation at a time. [coordinator] */
otd_rc otd_reactor_prepare(struct otd_reactor *r, struct otd_reactor_added **out,
			   const struct otd_reactor_pool *pools, size_t n, struct otd_err *err);
void otd_reactor_added_destroy(struct otd_reactor_added *added); /* takes NULL. [any-thread] */
/* Takes added; never fails. */
void otd_reactor_add(struct otd_reactor *r, struct otd_reactor_added *added);
/*
 * The pool is gone and no client of it is left, no share on its way: forgets its jobs, and says so to
 * the coordinator (OTD_MSG_POOL_GONE). Its number stays used.
 */
void otd_reactor_retire(struct otd_reactor *r, uint32_t pool);
/*
 * Another instance of a pool's algorithm, for the jobs to come; those that are there keep theirs. What
 * the pool's sessions have been told follows from the algorithm's facts: the new one has the same
 * (header, nonce, identity, difficulty 1), the caller has looked.
 */
struct otd_reactor_swap;
/* pool: name and the three members of the algorithm. Measures it; blocks for some hashes. Not while
   another preparation of this reactor is on its way. [coordinator] */
otd_rc otd_reactor_swap_prepare(struct otd_reactor *r, struct otd_reactor_swap **out,
				const struct otd_reactor_pool *pool, struct otd_err *err);
void otd_reactor_swap_destroy(struct otd_reactor_swap *s); /* takes NULL. [any-thread] */
/* Takes s; never fails. gone(arg), here or later on the reactor's thread: no job is judged by the one
   before any more. In destroy() at the latest. */
void otd_reactor_swap(struct otd_reactor *r, uint32_t pool, struct otd_reactor_swap *s, otd_fn gone,
		      void *arg);
/* Worker names that an account may have from now on. */
void otd_reactor_names_an_account(struct otd_reactor *r, uint32_t names);
/* Whether old segments of its journal are archived from now on. [reactor] */
void otd_reactor_archive(struct otd_reactor *r, bool on);

/* Sequences of its journal. */
void otd_reactor_durable(const struct otd_reactor *r, uint64_t *appended, uint64_t *durable);
/* The front is gone already. Syncs and closes the journal; blocks. Takes NULL. */
void otd_reactor_destroy(struct otd_reactor *r);
/* Where the coordinator sends to. [any-thread] */
struct otd_mailbox *otd_reactor_mailbox(struct otd_reactor *r);
/* Once, before the loop runs. *front is copied. */
void otd_reactor_set_front(struct otd_reactor *r, const struct otd_reactor_front *front);

struct otd_loop *otd_reactor_loop(struct otd_reactor *r);
const struct otd_reactor_pool *otd_reactor_pool(const struct otd_reactor *r, uint32_t pool);
size_t otd_reactor_pools(const struct otd_reactor *r);
struct otd_jobs *otd_reactor_jobs(struct otd_reactor *r, uint32_t pool);
/* The newest job's version mask; before the first job the conf's. */
uint32_t otd_reactor_version_mask(struct otd_reactor *r, uint32_t pool);

/*
 * Checks an address with the coordinator, or from what it said before: front.auth() is called in
 * either case, in the second one before this returns; the client must live until then.
 * OTD_E_NOMEM: too many wait already, and no call comes.
 */
otd_rc otd_reactor_auth(struct otd_reactor *r, void *client, uint64_t request, uint32_t pool,
			struct otd_span account);
/* The ban by which this worker may not come in from host, or NULL; until the loop goes on. */
const struct otd_ban *otd_reactor_banned(const struct otd_reactor *r, const char *host,
					 uint32_t pool, struct otd_span account,
					 struct otd_span name);
/* See otd_workers_open(). Every success is paired with one close. */
otd_rc otd_reactor_worker_open(struct otd_reactor *r, struct otd_pool_worker **out, uint32_t pool,
			       const char *scheme, struct otd_span account, struct otd_span name);
/* See otd_workers_online(). */
size_t otd_reactor_workers_online(const struct otd_reactor *r, uint32_t pool, const char *scheme,
				  struct otd_span account, struct otd_span name);
/* Puts what it was refused on record, where this was the last session. Takes NULL. */
void otd_reactor_worker_close(struct otd_reactor *r, struct otd_pool_worker *w);
/* Counts a share refused by the front itself (worker may be NULL: not authorized). */
void otd_reactor_refused(struct otd_reactor *r, uint32_t pool, struct otd_pool_worker *w,
			 enum otd_share_verdict why);

/* A fresh extranonce1 of the pool's length. OTD_E_NOMEM: all are in use until the next tip. */
otd_rc otd_reactor_extranonce_take(struct otd_reactor *r, uint32_t pool,
				   uint8_t out[OTD_JOB_EXTRANONCE1_MAX]);
void otd_reactor_extranonce_give(struct otd_reactor *r, uint32_t pool,
				 const uint8_t en1[OTD_JOB_EXTRANONCE1_MAX]);

/*
 * One share; exactly one front.verdict() follows for each, never from within this call. The client
 * must live until then. *s is copied.
 */
void otd_reactor_submit(struct otd_reactor *r, const struct otd_submit *s);

/* To the fronts of all other reactors, by way of the coordinator. Where memory runs out nobody hears it. */
void otd_reactor_budget_tell(struct otd_reactor *r, const struct otd_budget_word *w);

/* The front's answer to drain or freeze: no client is left, or nothing of theirs. OTD_MSG_DRAINED follows once all is durable. */
void otd_reactor_drained(struct otd_reactor *r);

#endif
