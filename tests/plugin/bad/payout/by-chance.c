/* Whom it favours depends on where its memory lies. */
#define BAD_BLOCK lucky_block
#include "../scheme.h"

static otd_rc lucky_block(struct otd_instance *in, const struct otd_payout_block *b,
			  const struct otd_payout_sink *sink)
{
	struct otd_payout_block other = *b;
	uintptr_t at = (uintptr_t)in >> 6;
	for (uint64_t a = 1; a < SCHEME_ACCOUNTS; a++) {
		uint64_t account = 1 + (a + at) % 40;
		if (in->work[account])
			other.finder = account;
	}
	return scheme_block(in, &other, sink);
}

BAD_PLUGIN
