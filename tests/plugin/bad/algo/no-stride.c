/* Takes items for an array of its own struct. */
#define BAD_HASH_BATCH packed_hash
#include "../toy.h"

static otd_rc packed_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			  size_t stride, size_t n)
{
	(void)stride;
	return toy_hash_batch(in, scratch, items, sizeof(*items), n);
}

BAD_PLUGIN
