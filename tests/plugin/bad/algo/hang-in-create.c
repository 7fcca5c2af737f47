/* Never comes back. */
#define BAD_CREATE hanging_create
#include "../toy.h"

static otd_rc hanging_create(struct otd_instance **out, struct otd_host *h,
			     const struct otd_host_core *core, const void *options)
{
	volatile uint32_t n = core->size;
	while (n)
		n = n | 1;
	return toy_create(out, h, core, options);
}

BAD_PLUGIN
