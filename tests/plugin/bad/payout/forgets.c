/* Its snapshot does not hold what a later block depends on. */
#define BAD_BLOCK counting_block
#include "../scheme.h"

static otd_rc counting_block(struct otd_instance *in, const struct otd_payout_block *b,
			     const struct otd_payout_sink *sink)
{
	otd_i128 most = b->amount / 2;
	struct otd_payout_block rest = *b;
	otd_rc rc = OTD_OK;
	/* Every third block favours its finder. */
	if (in->calls++ % 3 == 2) {
		rest.amount -= most;
		rc = scheme_pay(sink, b->finder, most);
	}
	return rc ? rc : scheme_block(in, &rest, sink);
}

BAD_PLUGIN
