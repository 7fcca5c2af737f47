/* The first of a batch gets what is left over. */
#define BAD_SHARES ordering_shares
#define BAD_BLOCK  ordering_block
#include "../scheme.h"

static otd_rc ordering_shares(struct otd_instance *in, const struct otd_payout_batch *b)
{
	if (b->n)
		in->calls = b->shares[0].account;
	return scheme_shares(in, b);
}

static otd_rc ordering_block(struct otd_instance *in, const struct otd_payout_block *b,
			     const struct otd_payout_sink *sink)
{
	struct otd_payout_block other = *b;
	if (in->calls)
		other.finder = in->calls;
	return scheme_block(in, &other, sink);
}

BAD_PLUGIN
