/* Falls over another fee. */
#include "../chain.h"

static otd_rc reconfigure(struct otd_instance *in, const struct options *o)
{
	if (o->fee != in->fee)
		*(volatile int *)16 = 1;
	in->limit = o->limit;
	return OTD_OK;
}
