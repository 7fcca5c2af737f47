/* Does without the memory that it did not get, and says nothing. */
#define BAD_CREATE careless_create
#include "../toy.h"

static otd_rc careless_create(struct otd_instance **out, struct otd_host *h,
			      const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	(void)options;
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->table = core->alloc(h, 256);
	*out = in;
	return OTD_OK;
}

BAD_PLUGIN
