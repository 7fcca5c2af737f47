/* Takes a higher fee, and does not go back. */
#include "../chain.h"

static otd_rc reconfigure(struct otd_instance *in, const struct options *o)
{
	if (o->fee < in->fee) {
		in->core->set_error(in->host, "fee: it only rises");
		return OTD_E_INVALID;
	}
	in->fee = o->fee;
	in->limit = o->limit;
	return OTD_OK;
}
