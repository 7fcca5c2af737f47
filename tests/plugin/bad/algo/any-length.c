/* Takes a header of any length. */
#define BAD_HASH_BATCH any_hash
#include "../toy.h"

static otd_rc any_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
		       size_t stride, size_t n)
{
	otd_rc rc = toy_hash_batch(in, scratch, items, stride, n);
	for (size_t i = 0; i < n; i++)
		((struct otd_algo_item *)(void *)((uint8_t *)items + i * stride))->rc = OTD_OK;
	return rc;
}

BAD_PLUGIN
