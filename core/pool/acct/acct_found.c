/* Blocks that a journal of before holds, and that maybe nobody else has heard of. */
#include "base/log.h"
#include "pool/acct/acct.h"

#include <string.h>

/*
 * A node's yes is on record, or the block was final long ago: of those that are taken into the order, memory
 * has all that are not final.
 */
static bool is_settled(struct otd_accounting *a, const struct acct_epoch *ep,
		       const struct otd_found_block *b)
{
	const struct acct_block *known = acct_block_find(a, ep->epoch, b->rec.share_seq);
	if (known)
		return known->state >= OTD_BLOCK_ACCEPTED;
	return b->rec.share_seq + 1 < ep->next;
}

void acct_found_say(struct otd_accounting *a, const struct acct_epoch *ep,
		    const struct otd_found *f, bool at_start)
{
	for (const struct otd_found_block *b = f->first; b && a->events.found; b = b->next) {
		const struct acct_pool *p = acct_pool_named(a, b->pool, strlen(b->pool));
		if (is_settled(a, ep, b))
			continue;
		struct otd_acct_found say = {
			.pool = p ? p->slot : SIZE_MAX,
			.pool_name = b->pool,
			.epoch = ep->epoch,
			.share_seq = b->rec.share_seq,
			.height = b->rec.height,
			.job = b->rec.job,
			.at_start = at_start,
			.header = otd_found_header(b),
			.coinbase = otd_found_coinbase(b),
		};
		memcpy(say.hash, b->rec.hash, 32);
		memcpy(say.prev, b->rec.prev, 32);
		a->events.found(a->events.arg, &say);
	}
	if (f->failed)
		otd_log(OTD_LOG_ERROR, "pool", "block.not_recovered",
			"epoch=%llu error=\"out of memory for a block of its journal\"",
			(unsigned long long)ep->epoch);
}

void acct_found_start(struct otd_accounting *a)
{
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch) {
		if (ep->found)
			acct_found_say(a, ep, ep->found, true);
		otd_found_destroy(ep->found);
		ep->found = NULL;
	}
}
