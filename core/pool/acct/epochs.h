/*
 * Journals of reactors that come and go while the pool runs: those of processes (core/app/processes/processes.h).
 * Beside otd_accounting_new_epoch(), which is for the start. All [coordinator].
 */
#ifndef OTD_POOL_EPOCHS_H
#define OTD_POOL_EPOCHS_H

#include "pool/acct/accounting.h"

/* epoch 0: err says why there is none. dir lives as long as the call. */
typedef void (*otd_acct_epoch_fn)(void *arg, uint64_t epoch, const char *dir,
				  const struct otd_err *err);
/* As otd_accounting_new_epoch(), without waiting: fn comes later on the loop, or not at all where
   accounting ends before. An error now: no fn. */
otd_rc otd_accounting_begin_epoch(struct otd_accounting *a, otd_acct_epoch_fn fn, void *arg);

/*
 * Nobody writes the journal of this epoch any more: who did is no more. What it holds, said to be durable
 * or not, is made sound and merged, as what an earlier run left is at start; then its folder goes.
 * done(arg, last, err) later on the loop, not where accounting ends before: last is its last sequence. Where
 * it cannot be read err says why; that is told in status too, and the next start looks again.
 */
typedef void (*otd_acct_over_fn)(void *arg, uint64_t epoch, uint64_t last,
				 const struct otd_err *err);
otd_rc otd_accounting_epoch_over(struct otd_accounting *a, uint64_t epoch, otd_acct_over_fn done,
				 void *arg);

#endif
