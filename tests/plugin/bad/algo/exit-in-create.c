/* Ends the program, as if all were well. */
#define BAD_CREATE exiting_create
#include "../toy.h"

#include <stdlib.h>

static otd_rc exiting_create(struct otd_instance **out, struct otd_host *h,
			     const struct otd_host_core *core, const void *options)
{
	if (core->size)
		exit(0);
	return toy_create(out, h, core, options);
}

BAD_PLUGIN
