/*
 * Accounts with a fee of their own of which parts go to others: donations. Of a block, an account that the
 * scheme credits c of what is left by the pool's fee P pays floor(c * fee / (1 - P)); this is divided among
 * its recipients and the pool by largest remainder, equal ones to the pool, then to the account that is
 * longest known. A recipient is an account of the pool, by its address: what it gets matures, is paid and
 * is taken back as a miner's credit is. All [coordinator].
 */
#ifndef OTD_POOL_ACCT_FEES_H
#define OTD_POOL_ACCT_FEES_H

#include "pool/acct/accounting.h"

#define OTD_ACCT_RECIPIENTS 8
#define OTD_ACCT_ADDRESS    128 /* bytes with the zero */

struct otd_acct_recipient {
	char address[OTD_ACCT_ADDRESS]; /* as accounts are written: otd_chain_canonical() */
	uint32_t ppm;                   /* of the fee */
};

struct otd_acct_account_fee {
	int64_t ppm; /* below 0: the pool's, without recipients */
	struct otd_acct_recipient to[OTD_ACCT_RECIPIENTS];
	size_t n_to; /* together at most 1,000,000: the rest is the pool's */
};

/* otd_accounting_account_fee() with recipients. Those of one address are one, their order means nothing.
   OTD_E_RANGE also: more than the whole. */
OTD_WARN_UNUSED otd_rc otd_accounting_account_fee_to(struct otd_accounting *a, const char *pool,
						     const char *account,
						     const struct otd_acct_account_fee *fee,
						     int64_t time_ms);
/* Each account with a fee of its own, as it was said last; each must not change any. */
void otd_accounting_account_fees_to(const struct otd_accounting *a,
				    void (*each)(void *arg, const char *pool, const char *account,
						 const struct otd_acct_account_fee *fee),
				    void *arg);
/* Wall clock of the account's first share (or of the first fee that names it as a recipient); 0: no such
   account. */
int64_t otd_accounting_account_since(const struct otd_accounting *a, const char *pool,
				     const char *account);

#endif
