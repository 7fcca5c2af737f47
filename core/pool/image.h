/*
 * What reactors and the coordinator know of work that is under way, as bytes for another process that goes
 * on with it ("otedama upgrade"): jobs, the hashes that were accepted on their tips, and what blocks need.
 * All numbers least significant byte first (base/pack.h); each struct stands behind its length and begins
 * with a version, members are only ever added at its end.
 *
 * Saved where the loops have stopped and everything is answered; loaded before they run.
 */
#ifndef OTD_POOL_IMAGE_H
#define OTD_POOL_IMAGE_H

#include "base/pack.h"
#include "pool/coordinator.h"
#include "pool/reactor/reactor.h"

/* One pool of one reactor. */
void otd_reactor_save_pool(struct otd_reactor *r, uint32_t pool, struct otd_bytes *out);

/*
 * Where jobs stand now: a session knows those of before by their order in the reactor that it came from.
 * A job that is not there any more has the place of the newest one before it; 0: older than all.
 */
struct otd_job_orders {
	struct otd_job_place {
		uint64_t was, is;
		uint32_t id;
	} place[OTD_JOB_RING];
	size_t n;
};
uint64_t otd_job_order_now(const struct otd_job_orders *o, uint64_t was);

/*
 * The same pool of several reactors into one that has no job of it yet. orders[i] belongs to images[i]. Jobs
 * whose extranonces have another length than the pool's are OTD_E_INVALID, as is what is no image.
 */
otd_rc otd_reactor_load_pool(struct otd_reactor *r, uint32_t pool, const struct otd_span *images,
			     size_t n, struct otd_job_orders *orders, struct otd_err *err);

/* What was accepted on a pool's tips, and nothing else: for a process after this one that makes jobs of its own. */
void otd_reactor_save_hashes(struct otd_reactor *r, uint32_t pool, struct otd_bytes *out);
/* Before its first job. */
otd_rc otd_reactor_expect_hashes(struct otd_reactor *r, uint32_t pool, struct otd_span image,
				 struct otd_err *err);
/* Whether this extranonce1 may be given to a session of this reactor. */
bool otd_reactor_extranonce_is_own(const struct otd_reactor *r, uint32_t pool, const uint8_t *en1);

/* Templates of the jobs that reactors may judge, equal transactions once. A chain that cannot hand its work
   over has none: see otd_coordinator_can_save(). */
otd_rc otd_coordinator_save(struct otd_coordinator *c, struct otd_bytes *out, struct otd_err *err);
/* Whether all pools can: *why names the first that cannot. */
bool otd_coordinator_can_save(struct otd_coordinator *c, const char **why);
/* Numbers of jobs go on from those; number(arg, i) is the pool that pool i was, or UINT32_MAX: it is not here
   any more. */
otd_rc otd_coordinator_load(struct otd_coordinator *c, struct otd_span image,
			    uint32_t (*number)(void *arg, uint32_t was), void *arg,
			    struct otd_err *err);

#endif
