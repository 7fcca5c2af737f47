/* Reads the clock, throws dice, and asks the environment. */
#define BAD_CREATE impure_create
#include "../toy.h"

#include <stdlib.h>
#include <time.h>

static otd_rc impure_create(struct otd_instance **out, struct otd_host *h,
			    const struct otd_host_core *core, const void *options)
{
	otd_rc rc = toy_create(out, h, core, options);
	if (!rc)
		(*out)->n = (uint32_t)time(NULL) + (uint32_t)rand() + (getenv("HOME") != NULL);
	return rc;
}

BAD_PLUGIN
