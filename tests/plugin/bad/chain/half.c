/* Takes a limit and refuses it, and does not take the one of before again. */
#include "../chain.h"

static otd_rc reconfigure(struct otd_instance *in, const struct options *o)
{
	in->fee = o->fee;
	if (o->limit == 20)
		return OTD_OK;
	in->limit = o->limit;
	in->core->set_error(in->host, "limit: it stays as it is");
	return OTD_E_INVALID;
}
