/* Takes memory of its own, which the host cannot count, and forgets it. */
#define BAD_CREATE leaky_create
#include "../toy.h"

#include <stdlib.h>

static otd_rc leaky_create(struct otd_instance **out, struct otd_host *h,
			   const struct otd_host_core *core, const void *options)
{
	otd_rc rc = toy_create(out, h, core, options);
	char *volatile lost = malloc(100);
	if (lost)
		lost[0] = 1;
	return rc;
}

BAD_PLUGIN
