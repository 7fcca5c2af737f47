/* Hashes through a buffer that all threads share. */
#define BAD_HASH_BATCH shared_hash
#include "../toy.h"

static volatile uint8_t buffer[32];

static otd_rc shared_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			  size_t stride, size_t n)
{
	otd_rc rc = toy_hash_batch(in, scratch, items, stride, n);
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		for (int k = 0; k < 32; k++)
			buffer[k] = item->hash[k];
		for (int k = 0; k < 32; k++)
			item->hash[k] = buffer[k];
	}
	return rc;
}

BAD_PLUGIN
