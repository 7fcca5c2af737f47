/* Each call leaves some memory, which destroy() alone would find. */
#include "../chain.h"

static otd_rc reconfigure(struct otd_instance *in, const struct options *o)
{
	void **more = in->core->alloc(in->host, 128);
	if (!more)
		return OTD_E_NOMEM;
	*more = in->lost;
	in->lost = more;
	in->fee = o->fee;
	in->limit = o->limit;
	return OTD_OK;
}
