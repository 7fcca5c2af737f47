/*
 * An algorithm as one reactor uses it for one pool. Each job has the one that it was made under, and its
 * shares are judged by that one: a swap gives later jobs another, and the one before goes with the
 * last job that has it. Counted without locks: all [reactor].
 */
#ifndef OTD_POOL_ALGO_H
#define OTD_POOL_ALGO_H

#include "base/env.h"
#include <otedama/algo.h>

struct otd_pool_algo {
	const struct otd_algo_ops *ops;   /* of the instance: otd_instance_algo() */
	struct otd_instance *self;        /* otd_instance_self() */
	const struct otd_algo_info *info; /* of the instance, too */
	uint64_t cost_ns;                 /* of one hash, measured */
	bool costly;                      /* goes to the compute pool */
	uint32_t users;                   /* jobs; and one for being the pool's newest */
	otd_fn gone;                      /* after the last of them; NULL: nobody asks */
	void *arg;
};

/* With one user, who made it. NULL: out of memory. [any-thread] */
struct otd_pool_algo *otd_pool_algo_create(const struct otd_algo_ops *ops,
					   struct otd_instance *self,
					   const struct otd_algo_info *info);
static inline void otd_pool_algo_hold(struct otd_pool_algo *a)
{
	a->users++;
}
void otd_pool_algo_drop(struct otd_pool_algo *a); /* takes NULL */

#endif
