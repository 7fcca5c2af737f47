/* Numbers of epochs that are not to be given: see pool/acct/accounting.h. */
#include "pool/acct/acct.h"

uint64_t otd_accounting_next_epoch(const struct otd_accounting *a)
{
	return a->max_epoch + 1;
}

void otd_accounting_skip_epoch(struct otd_accounting *a)
{
	a->max_epoch++;
}
