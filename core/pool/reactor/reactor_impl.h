/* The inside of a reactor, shared by reactor*.c. See pool/reactor/reactor.h. */
#ifndef OTD_POOL_REACTOR_IMPL_H
#define OTD_POOL_REACTOR_IMPL_H

#include "pool/extranonce.h"
#include "pool/journal/journal.h"
#include "pool/reactor/reactor.h"
#include "pool/share.h"

#define WORK_CACHE 256

struct reactor_pool {
	struct otd_reactor *reactor;
	struct otd_reactor_pool conf;
	char name[80];
	bool retired;
	struct otd_jobs jobs;
	struct otd_extranonces extranonces;
	struct otd_metric *verdicts[OTD_SHARE_VERDICTS];
	struct otd_metric *blocks;
	struct otd_metric *validation;
};

/* Shares in a row; grows, and keeps its memory. */
struct share_list {
	struct otd_share *at;
	size_t n, cap;
};

/* Batches that may be in the compute pool at once. */
struct compute_set {
	struct compute_set *next; /* of the old ones */
	struct compute_task *tasks;
	size_t n, running;
	bool old; /* freed with the last that runs */
};

/* A batch in the compute pool. */
struct compute_task {
	struct otd_reactor *reactor;
	struct compute_set *set;
	struct compute_task *next; /* of the idle ones */
	struct reactor_pool *pool;
	struct otd_pool_algo *algo; /* of all its shares' jobs, which hold it */
	struct otd_share_work work;
	struct otd_share shares[OTD_SHARE_BATCH];
	size_t n;
	void *scratch; /* large and aligned enough for every costly pool */
};

/* Accepted shares that wait for their sync, in the order of their sequences. */
struct pending_ring {
	struct otd_verdict *at;
	size_t cap; /* a power of two */
	uint64_t head, tail;
};

struct auth_wait {
	void *client;
	uint64_t request;
	uint32_t pool, next_free;
	uint32_t generation; /* with the index, the token */
	uint16_t len;
	bool used;
	char account[OTD_WORKER_ACCOUNT_MAX];
};

struct auth_answer {
	otd_rc rc;
	uint32_t account_len, reason_len;
	char text[];
};

struct otd_reactor {
	struct otd_reactor_conf conf;
	struct otd_mailbox *mailbox;
	struct otd_journal *journal;
	struct otd_reactor_front front;
	bool has_front, draining, drained;
	bool owes_drained; /* of a freeze */
	struct reactor_pool *pools[OTD_POOLS_MAX];
	size_t n_pools;
	struct otd_extranonce_space extranonces;
	struct otd_workers workers;
	int64_t record_ms; /* time of the last record */
	uint64_t segment;  /* of our journal, counted by its restatements; from 1 */
	struct otd_timer *refused_timer;

	/* shares of this round, and those of the round before while they are judged */
	struct share_list batch, judged;
	bool deferred;
	struct otd_share_work work;
	void *scratch;
	uint64_t scratch_size; /* of it, and of each task's */
	uint32_t scratch_align;
	struct pending_ring pending;
	/* while the journal cannot be written: those that nobody can say yes or no to */
	bool failing;
	int64_t unanswered;
	struct otd_metric *m_failing, *m_unanswered;
	struct {
		struct otd_u256 target;
		otd_u128 work;
	} work_cache[WORK_CACHE];

	/* shares for the compute pool */
	struct share_list queue;
	size_t queue_done; /* of queue, already in a task */
	struct compute_task *idle;
	struct compute_set *set, *old_sets; /* set NULL: no costly pool yet */
	size_t running;

	/* addresses */
	struct otd_map *accounts; /* pool and account: struct auth_answer */
	struct auth_wait *waits;
	uint32_t n_waits, free_wait; /* free_wait: index + 1, 0: none */
	struct otd_bans *bans;       /* NULL: never any */
};

/* reactor_record.c: what goes into the journal. */
void otd_reactor_restate(void *arg, struct otd_journal *j);
/* SHARE, with the definitions it needs; BLOCK behind it where r->block. *seq: of the share. */
otd_rc otd_reactor_record(struct otd_reactor *r, struct reactor_pool *p, const struct otd_share *s,
			  const struct otd_share_result *result, int64_t now_ms, uint64_t *seq);
void otd_reactor_record_refused(void *reactor);
void otd_reactor_send_block(struct otd_reactor *r, const struct reactor_pool *p,
			    const struct otd_share *s, const struct otd_share_result *result,
			    int64_t now_ms, uint64_t seq);

/* reactor_share.c */
/* What hashing needs beyond what there is: of pools on their way in. */
struct reactor_power {
	void *scratch; /* NULL: what there is suffices */
	uint64_t scratch_size;
	uint32_t scratch_align;
	struct compute_set *set; /* NULL: what there is suffices */
};
/* An algorithm on its way in, and whose it is, for words. */
struct reactor_need {
	struct otd_pool_algo *algo;
	const char *pool;
};
/* Measures them, and makes what they need. */
otd_rc otd_reactor_power_create(struct otd_reactor *r, struct reactor_power *power,
				const struct reactor_need *needs, size_t n, struct otd_err *err);
void otd_reactor_power_finish(struct reactor_power *power);
void otd_reactor_power_take(struct otd_reactor *r, struct reactor_power *power);
void otd_reactor_shares_finish(struct otd_reactor *r);
void otd_reactor_shares_synced(struct otd_reactor *r, uint64_t seq);

/* reactor_auth.c */
otd_rc otd_reactor_auth_init(struct otd_reactor *r, const uint8_t seed[16]);
void otd_reactor_auth_finish(struct otd_reactor *r);
void otd_reactor_auth_answer(struct otd_reactor *r, const struct otd_msg_auth_answer *m);

/* reactor_budget.c */
void otd_reactor_budget_heard(struct otd_reactor *r, const struct otd_msg_budget *m);
/* reactor_ban.c */
void otd_reactor_ban(struct otd_reactor *r, const struct otd_msg_ban *m);

/* reactor_pools.c */
void otd_reactor_pools_finish(struct otd_reactor *r);

/* reactor.c: OTD_MSG_DRAINED where it is due. */
void otd_reactor_check_drained(struct otd_reactor *r);
void otd_reactor_job_gone(void *reactor_pool, struct otd_job *job);

#endif
