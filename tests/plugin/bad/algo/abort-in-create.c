/* An assertion of its own. */
#define BAD_CREATE aborting_create
#include "../toy.h"

#include <stdlib.h>

static otd_rc aborting_create(struct otd_instance **out, struct otd_host *h,
			      const struct otd_host_core *core, const void *options)
{
	if (core->size)
		abort();
	return toy_create(out, h, core, options);
}

BAD_PLUGIN
