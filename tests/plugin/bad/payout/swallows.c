/* Does not tell that the host took no credit. */
#define BAD_BLOCK swallowing_block
#include "../scheme.h"

static otd_rc swallowing_block(struct otd_instance *in, const struct otd_payout_block *b,
			       const struct otd_payout_sink *sink)
{
	(void)scheme_block(in, b, sink);
	return OTD_OK;
}

BAD_PLUGIN
