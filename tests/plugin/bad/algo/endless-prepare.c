/* Is never ready. */
#define BAD_PREPARE endless_prepare
#include "../toy.h"

static otd_rc endless_prepare(struct otd_instance *in, uint64_t height, struct otd_span seed)
{
	(void)in;
	(void)height;
	(void)seed;
	return OTD_E_BUSY;
}

BAD_PLUGIN
