/* Makes a unit out of nothing with every block. */
#define BAD_BLOCK minting_block
#include "../scheme.h"

static otd_rc minting_block(struct otd_instance *in, const struct otd_payout_block *b,
			    const struct otd_payout_sink *sink)
{
	otd_rc rc = scheme_block(in, b, sink);
	return rc ? rc : scheme_pay(sink, b->finder, 1);
}

BAD_PLUGIN
