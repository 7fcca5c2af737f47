/* Says no, and not to what. */
#include "../chain.h"

static otd_rc reconfigure(struct otd_instance *in, const struct options *o)
{
	if (o->fee != in->fee || o->limit != in->limit) {
		in->core->set_error(in->host, "not today");
		return OTD_E_INVALID;
	}
	return OTD_OK;
}
