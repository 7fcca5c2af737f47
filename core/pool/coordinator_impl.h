/* The inside of the coordinator, shared by coordinator*.c. See pool/coordinator.h. */
#ifndef OTD_POOL_COORDINATOR_IMPL_H
#define OTD_POOL_COORDINATOR_IMPL_H

#include "pool/blocks.h"
#include "pool/coordinator.h"
#include "pool/job.h"
#include "pool/templates.h"
#include "pool/tips.h"

/* A reactor judges shares of its last OTD_JOB_RING jobs; those that it has sent us a block of while
   newer ones were on their way to it are here still. */
#define JOBS_KEPT        (OTD_JOB_RING + 16)
#define EXTRANONCE_BYTES 32
#define SCRIPT_BYTES     128
#define ADDRESS_BYTES    256
#define NAME_BYTES       65
#define TAG_BYTES        65
#define REACTORS_MAX     64 /* of threads.reactors */
#define KEEP_MS          1  /* after a job: miners have it before the disk has its template */

struct job {
	uint32_t number; /* 0: unused */
	struct otd_template *handle;
};

/* What a reactor said when no client of a removed pool was left. */
struct farewell {
	bool said;
	uint64_t epoch, seq; /* nothing of the pool comes behind this */
	uint64_t merged;     /* place in the coordinator's journal; 0: not merged so far */
};

struct pool {
	struct otd_coordinator_pool conf; /* chain NULL: forgotten */
	char name[NAME_BYTES], tag[TAG_BYTES];
	uint8_t script[SCRIPT_BYTES];
	bool removed;
	struct farewell farewell[REACTORS_MAX]; /* by reactor */
	struct job jobs[JOBS_KEPT];
	uint32_t n_jobs;
	struct otd_tips tips;
	uint32_t n_kept;         /* of them: on the disk, or on their way there */
	struct otd_msg *current; /* the newest job message, for a reactor that comes later */
	struct otd_job_parts parts;
	struct otd_metric *m_jobs, *m_blocks;
};

struct reactor {
	struct otd_mailbox *mailbox;
	bool drained;
	bool owes; /* the answer to a freeze that was given up */
};

struct otd_coordinator {
	struct otd_coordinator_conf conf;
	struct pool *pools; /* room for OTD_POOLS_MAX, as in block_pools */
	size_t n_pools;
	struct otd_blocks_pool *block_pools;
	struct otd_blocks *blocks;
	struct otd_templates *templates;
	struct otd_timer *keep;
	bool earlier; /* there may be template files of earlier runs */
	struct otd_mailbox *mailbox;
	struct reactor *reactors;
	uint32_t n_reactors;
	uint32_t last_job;
	otd_fn drained;
	void *drained_arg;
};

/* NULL: not here any more. */
struct job *otd_coordinator_job(struct pool *p, uint32_t number);

/* coordinator_keep.c: for the timer keep. */
void otd_coordinator_keep(void *coordinator);

#endif
