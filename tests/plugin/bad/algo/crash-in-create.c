/* Writes through a pointer to nowhere. */
#define BAD_CREATE crashing_create
#include "../toy.h"

static otd_rc crashing_create(struct otd_instance **out, struct otd_host *h,
			      const struct otd_host_core *core, const void *options)
{
	uint8_t *volatile nowhere = (uint8_t *)8;
	*nowhere = 1;
	return toy_create(out, h, core, options);
}

BAD_PLUGIN
