/* Believes that nobody touched its scratch since the last time. */
#define BAD_HASH_BATCH stale_hash
#include "../toy.h"

static otd_rc stale_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			 size_t stride, size_t n)
{
	otd_rc rc = toy_hash_batch(in, scratch, items, stride, n);
	for (size_t i = 0; i < n; i++)
		((struct otd_algo_item *)(void *)((uint8_t *)items + i * stride))->hash[31] ^=
			((const uint8_t *)scratch)[7];
	return rc;
}

BAD_PLUGIN
