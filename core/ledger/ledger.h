/*
 * Double-entry accounts. A posting moves amounts of one asset between accounts; its entries sum to
 * zero and it bears a key: a second posting of the same key is refused as already there, which is
 * how everything above is exactly once. Balances are kept beside entries and checked against them.
 * All on the [store] thread, inside the caller's transaction, but for what is said otherwise.
 *
 * Accounts are named by kind and owner; who may go below zero is a property of the kind:
 *   OTD_ACC_REWARD     income from blocks not yet mature or matured (source; goes below zero)
 *   OTD_ACC_IMMATURE   a miner's credit of blocks that are not final
 *   OTD_ACC_MINER      a miner's spendable balance
 *   OTD_ACC_FEE        the pool's fee;  OTD_ACC_FEE_IMMATURE before maturity
 *   OTD_ACC_DUST       what rounding leaves
 *   OTD_ACC_PAYING     reserved for a payment that is on its way, by whose it was: an account's
 *   OTD_ACC_FEE_PAYING the same of the pool's fee
 *   OTD_ACC_PAID       what has left by payments
 *   OTD_ACC_NETWORK    what networks got for carrying payments
 *   OTD_ACC_FUNDS      what the operator has put in beside blocks: network fees beyond the pool's
 *                      fee (source; goes below zero)
 *   OTD_ACC_RISK       what was paid for blocks that were orphaned afterwards: the pool's loss
 *                      (goes below zero)
 */
#ifndef OTD_LEDGER_LEDGER_H
#define OTD_LEDGER_LEDGER_H

#include "store/store.h"
#include <otedama/u256.h>

enum otd_account_kind {
	OTD_ACC_REWARD = 1,
	OTD_ACC_IMMATURE = 2,
	OTD_ACC_MINER = 3,
	OTD_ACC_FEE = 4,
	OTD_ACC_FEE_IMMATURE = 5,
	OTD_ACC_DUST = 6,
	OTD_ACC_PAYING = 7,
	OTD_ACC_FEE_PAYING = 8,
	OTD_ACC_PAID = 9,
	OTD_ACC_NETWORK = 10,
	OTD_ACC_FUNDS = 11,
	OTD_ACC_RISK = 12
};

struct otd_entry {
	enum otd_account_kind kind;
	uint64_t owner;  /* miner account number, pool number for the pool's own, 0 */
	otd_i128 amount; /* positive: to the account */
};

struct otd_posting {
	const char *key;   /* at most 120 bytes: "block/7/credit" */
	const char *asset; /* "BTC" */
	const char *memo;  /* for people */
	int64_t time_ms;
	const struct otd_entry *entries;
	size_t n;
};

/* OTD_E_EXISTS: the key is there (and its entries are equal; OTD_E_CORRUPT where they differ).
   OTD_E_INVALID: does not sum to zero, or an account would go below zero that may not. */
otd_rc otd_ledger_post(struct otd_db *db, const struct otd_posting *p, struct otd_err *err);
/* The exact reverse of the posting key, under the key "KEY/reversed". */
otd_rc otd_ledger_reverse(struct otd_db *db, const char *key, const char *memo, int64_t time_ms,
			  struct otd_err *err);
otd_rc otd_ledger_balance(struct otd_db *db, enum otd_account_kind kind, uint64_t owner,
			  const char *asset, otd_i128 *out, struct otd_err *err);
/* Every posting sums to zero; every balance is the sum of its entries; the hash chain of the audit
   log holds; all balances of an asset sum to zero; payments are what the audit log says, each has the
   postings of its state, what is put aside is that of live ones, and no two hold a coin. The first
   fault in words. */
otd_rc otd_ledger_verify(struct otd_db *db, uint64_t *postings, struct otd_err *err);

/* --- lists, for status and tools; texts live for the length of the callback --- */

struct otd_ledger_account {
	enum otd_account_kind kind;
	uint64_t owner;
	const char *asset;
	otd_i128 amount;
};
/* Every account that has had a posting, by kind, owner and asset, those with nothing in them too.
   each returns false to stop. No other call on db from within each. */
otd_rc otd_ledger_balances(struct otd_db *db,
			   bool (*each)(void *arg, const struct otd_ledger_account *a), void *arg,
			   struct otd_err *err);

struct otd_ledger_line {
	uint64_t id; /* counts up in the order of posting */
	const char *key, *asset, *memo;
	int64_t time_ms;
	bool reversed; /* by a later posting */
};
/* At most max postings with a number below before (0: from the newest), newest first. */
otd_rc otd_ledger_postings(struct otd_db *db, uint64_t before, size_t max,
			   bool (*each)(void *arg, const struct otd_ledger_line *l), void *arg,
			   struct otd_err *err);

/* "reward", "immature", "miner", "fee", "fee-immature", "dust", "paying", "fee-paying", "paid",
   "network-fee", "funds", "risk"; "unknown". [any-thread] */
const char *otd_account_kind_name(enum otd_account_kind kind);

#endif
