/* What a reload has to know of payments. */
#include <string.h>

#include "pool/payer/payer_impl.h"

bool otd_payer_has(const struct otd_payer *o, const char *pool)
{
	const struct payer_pool *p = o->pools;
	while (p && strcmp(p->conf->c.name, pool) != 0)
		p = p->next;
	/* Not read so far: there may be one. */
	if (o->started && !o->opened)
		return true;
	for (const struct payer_pay *y = o->pays; p && y; y = y->next) {
		bool open = y->p.state < OTD_PAY_PAID ||
			    (y->p.state == OTD_PAY_PAID && y->p.height == 0); /* fell out */
		if (!y->gone && (!y->fresh || (y->p.pool_id == p->id && open)))
			return true;
	}
	return false;
}
