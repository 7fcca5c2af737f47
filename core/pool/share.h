/*
 * One share from its bytes to a verdict. Assembling and hashing go in batches and know no state;
 * judging is for one share and the jobs of its pool. otd_shares_hash() is [compute, reentrant] on
 * a work area of its own, the rest [reactor].
 */
#ifndef OTD_POOL_SHARE_H
#define OTD_POOL_SHARE_H

#include "pool/reactor/reactor.h"

#define OTD_SHARE_HEADER 80
#define OTD_SHARE_BATCH  64 /* shares that go through the kernels together */
/* Seconds by which a header may be ahead of our clock: nodes refuse 7200. */
#define OTD_SHARE_AHEAD_S 7000

struct otd_share {
	struct otd_submit in;
	struct otd_job *job; /* held; NULL: not found */
	otd_rc rc;           /* of the hash */
	uint8_t header[OTD_SHARE_HEADER];
	uint8_t hash[32]; /* little-endian number */
};

/* What of a coinbase follows its extranonces is mostly short: longer ones go one by one. */
#define OTD_SHARE_TAIL_BLOCKS 8

/* What one thread needs to hash a batch. */
struct otd_share_work {
	uint8_t roots[OTD_SHARE_BATCH][32];
	uint8_t tails[OTD_SHARE_BATCH * OTD_SHARE_TAIL_BLOCKS * 64];
	struct otd_algo_item items[OTD_SHARE_BATCH];
	void *scratch; /* as the algorithm declares it; NULL where it needs none */
};

/* Coinbase, merkle root, header and proof-of-work hash of n shares, at most OTD_SHARE_BATCH; all of
   one pool, all with a job, and algo the one of all these jobs. */
void otd_shares_hash(struct otd_share *shares, size_t n, const struct otd_pool_algo *algo,
		     struct otd_share_work *work);

/* Has the memory brought in that judging will need: for all of a batch, before the first. */
void otd_shares_prefetch(struct otd_jobs *jobs, const struct otd_share *shares, size_t n);

struct otd_share_result {
	enum otd_share_verdict verdict;
	bool block;              /* hand it in; then verdict is accepted */
	struct otd_u256 target;  /* it was judged by this */
	uint8_t identity[32];    /* block: its name */
	struct otd_dupes *dupes; /* accepted: remember it by otd_share_remember() */
	size_t slot;
};

/* now_s: wall clock. */
void otd_share_judge(struct otd_share_result *out, struct otd_jobs *jobs, const struct otd_share *s,
		     const struct otd_algo_info *algo, int64_t now_s);
/* Once it is on its way to disk; before the next judgement. */
void otd_share_remember(const struct otd_share_result *r, const struct otd_share *s);

/* The coinbase without witness; to holds otd_share_coinbase_len() bytes. */
size_t otd_share_coinbase_len(const struct otd_job *job);
void otd_share_coinbase(uint8_t *to, const struct otd_share *s);

#endif
