/* Writes to memory that it did not get. */
#define BAD_CREATE trusting_create
#include "../toy.h"

static otd_rc trusting_create(struct otd_instance **out, struct otd_host *h,
			      const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	(void)options;
	in->host = h;
	in->core = core;
	in->table = core->alloc(h, 256);
	*out = in;
	return in->table ? OTD_OK : OTD_E_NOMEM;
}

BAD_PLUGIN
