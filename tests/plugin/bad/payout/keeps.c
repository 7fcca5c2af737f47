/* Keeps what does not divide. */
#define BAD_BLOCK keeping_block
#include "../scheme.h"

static otd_rc keeping_block(struct otd_instance *in, const struct otd_payout_block *b,
			    const struct otd_payout_sink *sink)
{
	struct otd_payout_block less = *b;
	if (less.amount > 0)
		less.amount--;
	return scheme_block(in, &less, sink);
}

BAD_PLUGIN
