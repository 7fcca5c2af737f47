/* Prepares everything in one slice, and shares wait. */
#define BAD_PREPARE slow_prepare
#include "../toy.h"

static otd_rc slow_prepare(struct otd_instance *in, uint64_t height, struct otd_span seed)
{
	volatile uint64_t n = height + seed.len;
	for (uint64_t i = 0; i < UINT64_C(3000000000); i++)
		n = n + i;
	in->n = (uint32_t)n;
	return OTD_OK;
}

BAD_PLUGIN
