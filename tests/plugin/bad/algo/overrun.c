/* Writes one byte behind what it was given. */
#define BAD_CREATE overrunning_create
#include "../toy.h"

static otd_rc overrunning_create(struct otd_instance **out, struct otd_host *h,
				 const struct otd_host_core *core, const void *options)
{
	otd_rc rc = toy_create(out, h, core, options);
	if (!rc)
		memset((*out)->table, 1, 257);
	return rc;
}

BAD_PLUGIN
