/* Puts the nonce into a header that is not its own. */
#define BAD_HASH_BATCH writing_hash
#include "../toy.h"

static otd_rc writing_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			   size_t stride, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		uint8_t *header = (uint8_t *)(uintptr_t)item->header.ptr;
		if (item->header.len == TOY_HEADER)
			*(volatile uint8_t *)&header[TOY_NONCE] |= 0;
	}
	return toy_hash_batch(in, scratch, items, stride, n);
}

BAD_PLUGIN
