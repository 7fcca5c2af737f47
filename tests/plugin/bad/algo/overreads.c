/* Looks at the byte behind a header. */
#define BAD_HASH_BATCH overreading_hash
#include "../toy.h"

static otd_rc overreading_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			       size_t stride, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		const volatile uint8_t *behind = item->header.ptr + TOY_HEADER;
		if (item->header.len == TOY_HEADER)
			(void)*behind;
	}
	return toy_hash_batch(in, scratch, items, stride, n);
}

BAD_PLUGIN
