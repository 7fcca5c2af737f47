/*
 * What payments were before, and who is not paid and why: reading beside ledger/payment.h, and the
 * booking of one that a transaction paid which is none of its present versions. All [store], inside
 * the caller's transaction.
 */
#ifndef OTD_LEDGER_PAY_HISTORY_H
#define OTD_LEDGER_PAY_HISTORY_H

#include "ledger/payment.h"

/* Coins of all generations before the present one, oldest first; *coins is the caller's to free().
   n 0 and NULL: there are none. */
otd_rc otd_pay_old_coins(struct otd_db *db, uint64_t id, struct otd_pay_coin **coins, size_t *n,
			 struct otd_err *err);

/* Numbers of payments that were PAID or CANCELLED, fell out or came back at since_ms or later, and of
   all that have fallen out of the chain, however long ago: oldest first, at most max, beginning behind
   number after. */
otd_rc otd_pay_done_since(struct otd_db *db, int64_t since_ms, uint64_t after, uint64_t *ids,
			  size_t max, size_t *n, struct otd_err *err);

/* Accounts of the pool that have a spendable balance below the minimum, or above the cap (0: none), so
   that no payment has room for it, or are on hold. reason: why it is, NULL: it is not. Texts live for
   the length of the call. Accounts on hold without a balance come too. */
struct otd_pay_waiting {
	uint64_t account;
	const char *address, *reason;
	otd_i128 balance;
	bool above_cap;
};
otd_rc otd_pay_waiting(struct otd_db *db, uint64_t pool_id, const char *asset, otd_i128 minimum,
		       otd_i128 cap, void (*each)(void *arg, const struct otd_pay_waiting *w),
		       void *arg, struct otd_err *err);

/* The name of a pool. OTD_E_NOT_FOUND. */
otd_rc otd_pay_pool_name(struct otd_db *db, uint64_t pool_id, char *name, size_t cap,
			 struct otd_err *err);

/*
 * A live payment that a person has paid by a transaction of their own: it becomes the newest version,
 * without bytes, and the payment PAID by it: each part its whole amount, no network fee of ours.
 * reason: for the audit log. From SIGNED and SENT only with dead: the caller has seen that none of the
 * payment's own can come any more; else OTD_E_STALE. OTD_E_EXISTS: a payment has this transaction.
 */
struct otd_pay_other {
	bool dead;
	uint8_t txid[32];
	uint32_t confirmations;
	uint64_t height;
	const char *reason;
};
otd_rc otd_pay_settle(struct otd_db *db, uint64_t id, const struct otd_pay_other *o,
		      int64_t time_ms, struct otd_err *err);

#endif
