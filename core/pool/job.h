/*
 * A reactor's own jobs, built from the coordinator's messages. Jobs of a pool stand in a ring by
 * tip: those of the tip in force are good until the next tip, those of the tip before it are kept
 * so that a late solution is still assembled and handed in; older ones are gone ("job not found").
 * All [reactor].
 */
#ifndef OTD_POOL_JOB_H
#define OTD_POOL_JOB_H

#include "base/err.h"
#include "pool/algo.h"
#include "pool/dupes.h"
#include "pool/msg.h"
#include <otedama/sha256.h>
#include <otedama/u256.h>

#define OTD_JOB_BRANCHES_MAX    32
#define OTD_JOB_COINBASE_MAX    (1u << 20) /* bytes of either part */
#define OTD_JOB_EXTRANONCE1_MAX 8
#define OTD_JOB_EXTRANONCE2_MAX 16
#define OTD_JOB_RING            64 /* jobs kept of one pool; the oldest go first */
#define OTD_JOB_REPORTED        64

/* A chain tip as this reactor knows it, with the hashes already seen on it. */
struct otd_job_tip {
	uint64_t number; /* counts up from 1; 0: none */
	uint8_t prev[32];
	struct otd_dupes dupes;
};

struct otd_job {
	uint32_t id;   /* the coordinator's number, unique in its run */
	uint32_t pool; /* index in the settings */
	uint32_t flags;
	uint32_t version, nbits, version_mask;
	uint64_t order; /* counts up by one a job of this pool and reactor; from 1 */
	uint64_t tip;   /* otd_job_tip.number */
	uint64_t height;
	int64_t time_s, min_time_s;
	uint8_t prev[32];
	struct otd_u256 block_target;
	uint8_t network_work[16];
	uint8_t value[16];
	uint32_t extranonce1_len, extranonce2_len;
	struct otd_span coinbase1, coinbase2; /* within the job's own storage */
	const uint8_t (*branches)[32];
	uint32_t n_branches;
	struct otd_pool_algo *algo; /* that judges its shares; held */
	struct otd_sha256 prefix;   /* after coinbase1: shares start from here */
	uint32_t users;             /* shares on their way that point here */
	bool left;                  /* out of the ring: freed with the last user */
	uint64_t stated;            /* journal segment in which its record stands; 0: none */
	void *front;                /* what the dialects rendered; theirs */
};

/* The jobs of one pool. */
struct otd_jobs {
	struct otd_job *ring[OTD_JOB_RING];
	uint64_t last_order;           /* of the newest; 0: none yet */
	uint64_t good_from;            /* orders below are stale */
	struct otd_job_tip tips[2];    /* [0] in force, [1] the one before */
	struct otd_job_tip earlier[2]; /* of a process before: their hashes wait for their tip */
	uint64_t last_tip;
	uint8_t reported[OTD_JOB_REPORTED][32]; /* hashes of blocks that were handed on */
	uint64_t n_reported;
	struct otd_pool_algo *algo; /* of jobs to come; held. NULL: none (tests) */
	void (*gone)(void *arg, struct otd_job *job); /* before a job is freed; may be NULL */
	void *arg;
};

void otd_jobs_init(struct otd_jobs *j, size_t dupes_max, void (*gone)(void *, struct otd_job *),
		   void *arg);
void otd_jobs_finish(struct otd_jobs *j);
/* Takes algo: the jobs added from now on have it. */
void otd_jobs_set_algo(struct otd_jobs *j, struct otd_pool_algo *algo);
/*
 * Builds the job of a checked OTD_MSG_JOB and puts it into the ring. OTD_E_INVALID: sizes that no
 * job has (err says which); OTD_E_NOMEM. *new_tip: older jobs are stale now.
 */
otd_rc otd_jobs_add(struct otd_jobs *j, struct otd_job **out, bool *new_tip,
		    const struct otd_msg_job *m, struct otd_err *err);
/* A hash that a process before this one has accepted on that tip: from its first job on it is a duplicate.
   OTD_E_NOMEM, OTD_E_RANGE: of more than two tips. */
otd_rc otd_jobs_expect(struct otd_jobs *j, const uint8_t prev[32], const uint8_t hash[32]);
/* NULL: not here, or no longer. */
struct otd_job *otd_jobs_find(const struct otd_jobs *j, uint32_t id);
/* For a share on its way: the job outlives its place in the ring until as many drops. */
void otd_job_hold(struct otd_job *job);
void otd_job_drop(struct otd_jobs *j, struct otd_job *job);
/* The newest one, NULL before the first. */
struct otd_job *otd_jobs_newest(const struct otd_jobs *j);
bool otd_job_is_stale(const struct otd_jobs *j, const struct otd_job *job);
/* Hashes seen on the job's tip; NULL where that tip is gone. */
struct otd_dupes *otd_job_dupes(struct otd_jobs *j, const struct otd_job *job);

#endif
