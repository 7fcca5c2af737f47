/* See pool/algo.h. */
#include "pool/algo.h"

#include <stdlib.h>

struct otd_pool_algo *otd_pool_algo_create(const struct otd_algo_ops *ops,
					   struct otd_instance *self,
					   const struct otd_algo_info *info)
{
	struct otd_pool_algo *a = calloc(1, sizeof(*a));

	if (a)
		*a = (struct otd_pool_algo){.ops = ops, .self = self, .info = info, .users = 1};
	return a;
}

void otd_pool_algo_drop(struct otd_pool_algo *a)
{
	if (!a || --a->users)
		return;
	if (a->gone)
		a->gone(a->arg);
	free(a);
}
