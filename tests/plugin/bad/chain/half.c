/* Takes the first of its options, and then refuses the second. */
#include "../chain.h"

static otd_rc reconfigure(struct otd_instance *in, const struct options *o)
{
	in->fee = o->fee;
	if (o->limit != in->limit) {
		in->limit++;
		in->core->set_error(in->host, "limit: it stays as it is");
		return OTD_E_INVALID;
	}
	return OTD_OK;
}
