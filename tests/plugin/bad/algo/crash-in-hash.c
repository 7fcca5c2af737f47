/* Dies of a header that no pool has sent yet. */
#define BAD_HASH_BATCH crashing_hash
#include "../toy.h"

static otd_rc crashing_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			    size_t stride, size_t n)
{
	if (n > 5)
		__builtin_trap();
	return toy_hash_batch(in, scratch, items, stride, n);
}

BAD_PLUGIN
