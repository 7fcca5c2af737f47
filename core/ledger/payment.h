/*
 * Payment intents: what the pool owes and means to pay, step by step, so that whatever dies in
 * between, nobody is paid twice. All [store], inside the caller's transaction: after an error the
 * caller lets the store roll back.
 *
 *     RESERVED --coins chosen--> FUNDED --signed, txid known--> SIGNED --a node has it--> SENT
 *      ^  \____________________________/ |                     |______ deep enough ____/
 *      |          cancel                  \____ cancel          \--> PAID
 *      \--- remake: the next generation ---/
 *
 * Rules, held here and not by who calls:
 *  - Every step names the state, generation and version it starts from. Where the payment is
 *    elsewhere the answer is OTD_E_STALE and nothing is changed: read it again. Where just this step
 *    has happened already (a commit whose fate was unknown) it is OTD_E_EXISTS: go on with the next.
 *  - RESERVED: the posting "payment/ID/reserve" has moved each amount from OTD_ACC_MINER to
 *    OTD_ACC_PAYING (OTD_ACC_FEE to OTD_ACC_FEE_PAYING). Cancelling reverses it.
 *  - A held payment is not funded, signed or remade (OTD_E_REFUSED). What has happened (sent, seen in
 *    a block, paid) and what a person decides (cancel) is booked all the same.
 *  - From SIGNED on a raw transaction may be with the network: it is never cancelled on our own
 *    account, and never made anew from other coins, unless the chain shows that it cannot come any
 *    more (otd_pay_remake, otd_pay_cancel with proof). A further version of it (a higher network fee)
 *    has every coin of the version before, so that at most one of all can ever be in the chain.
 *  - A coin is an input of one live payment at most: of its present generation, while it is FUNDED to
 *    SENT, or PAID by a transaction that has fallen out of the chain (height 0).
 *  - PAID: the posting "payment/ID/paid" ("payment/ID/paid/G" of generation G from 2 on) has moved what
 *    was sent from PAYING to OTD_ACC_PAID, and the network fee to OTD_ACC_NETWORK: from the miners'
 *    amounts, or from OTD_ACC_FEE as far as that goes and else from OTD_ACC_FUNDS.
 * Every step leaves a row in the audit log ("payment.reserve", "payment.sign", ...).
 *
 * A hazard that no rule removes: a generation is given up because the chain has spent one of its coins
 * otherwise. Should the chain undo that, its transaction may come after all. otd_payment has those of
 * earlier generations in old, to be watched. Who funds the next generation does well to take a coin of
 * the one before that is still there: then only one of both can ever come. If one comes
 *  - before the next generation is signed: otd_pay_paid() by the old one;
 *  - while the next one may be with the network too: hold it (otd_pay_paid says OTD_E_INVALID without
 *    proof, in words that suit), until the chain shows which it is;
 *  - beside the one that paid, or after a person has cancelled: otd_pay_lost() books the pool's loss.
 */
#ifndef OTD_LEDGER_PAYMENT_H
#define OTD_LEDGER_PAYMENT_H

#include "base/bytes.h"
#include "ledger/ledger.h"

enum otd_pay_state {
	OTD_PAY_RESERVED = 1,
	OTD_PAY_FUNDED = 2,
	OTD_PAY_SIGNED = 3,
	OTD_PAY_SENT = 4,
	OTD_PAY_PAID = 5,
	OTD_PAY_CANCELLED = 6
};
const char *otd_pay_state_name(enum otd_pay_state s); /* "reserved", ... [any-thread] */

#define OTD_PAY_ADDRESS 256
#define OTD_PAY_SCRIPT  64
#define OTD_PAY_WHY     200

struct otd_pay_part {
	enum otd_account_kind kind; /* OTD_ACC_MINER, or OTD_ACC_FEE: the pool's fee */
	uint64_t owner;             /* account; pool */
	char address[OTD_PAY_ADDRESS];
	otd_i128 amount;  /* leaves the account */
	otd_i128 sent;    /* arrives by the version that paid, else the newest; 0: none is signed */
	int64_t known_ms; /* of a plan: wall clock of the account's first share */
	int64_t paid_ms;  /* of a plan with_paid: of its last payment that is paid; 0: none yet */
};

struct otd_pay_coin {
	uint8_t txid[32];
	uint32_t index;
	uint32_t since; /* version */
	otd_i128 value;
	uint8_t script[OTD_PAY_SCRIPT];
	uint32_t script_len;
};

struct otd_pay_tx {
	uint32_t generation, version;
	uint8_t txid[32];
	otd_i128 fee, change;
	uint64_t vsize;
	int64_t signed_ms;
	uint8_t *raw; /* the payment's; NULL where it was read without */
	size_t raw_len;
};

/* One payment as it is stored. Free what it holds by otd_payment_finish(). */
struct otd_payment {
	uint64_t id, pool_id;
	char asset[32];
	enum otd_pay_state state;
	bool held; /* stands still until a person releases it */
	bool fee_by_miners;
	char why[OTD_PAY_WHY + 1]; /* what it waits for or why it is held, for people */
	otd_i128 total;            /* of the amounts */
	int64_t created_ms, changed_ms;
	uint32_t generation,
		version; /* version: the newest signed one of this generation; 0: none */
	uint32_t paid_generation, paid_version;
	uint32_t confirmations;
	uint64_t height; /* of the block it is in; 0: none */
	/* Tip at which a coin that every version has (since 1) was first seen spent by another
	   transaction; 0: not. One that came with a later version leaves those before it free to come. */
	uint64_t conflict_height;
	struct otd_pay_part *parts;
	size_t n_parts;
	struct otd_pay_coin *coins; /* of the present generation */
	size_t n_coins;
	struct otd_pay_tx *txs; /* of the present generation, oldest first */
	size_t n_txs;
	struct otd_pay_tx
		*old; /* of earlier generations: none should come any more; oldest first */
	size_t n_old;
};
void otd_payment_finish(struct otd_payment *p);

/* --- who is to be paid --- */

struct otd_pay_recipient { /* of the pool's fee */
	const char *address;
	uint32_t share_ppm; /* of it; all of a pool sum to 1,000,000 */
};

struct otd_pay_terms {
	uint64_t pool_id;
	const char *asset;
	otd_i128 minimum;                    /* a balance below it waits; at least 1 */
	otd_i128 cap;                        /* most of all amounts together; 0: no limit */
	size_t max_parts;                    /* most recipients, at least 1 */
	bool fee_by_miners;                  /* who pays the network fee */
	bool with_paid;                      /* parts of miners say when they were paid last */
	const struct otd_pay_recipient *fee; /* n 0: the fee stays on the pool's account */
	size_t n_fee;
};

/*
 * The parts of a payment now: accounts of the pool whose OTD_ACC_MINER balance reaches the minimum
 * and that are not held, largest first, ties by number, until the cap or the number is reached (one
 * that does not fit under the cap is left out, smaller ones go on). Then the pool's fee by recipients
 * (largest remainder, ties by order), less what OTD_ACC_FUNDS and OTD_ACC_RISK are short of: all of
 * them or none, where each part reaches the minimum and all fit. (Paying some of them would divide
 * what was kept for the others a second time.) Changes nothing: this is the dry run. *parts is the
 * caller's to free(), NULL with n 0: nobody is due.
 */
otd_rc otd_pay_plan(struct otd_db *db, const struct otd_pay_terms *t, struct otd_pay_part **parts,
		    size_t *n, struct otd_err *err);
/*
 * Reserves exactly these parts; *id is the new payment's. The posting also gives OTD_ACC_FUNDS and then
 * OTD_ACC_RISK what they are short of, as far as OTD_ACC_FEE has it. OTD_E_INVALID where a part is not
 * due any more (balance, hold, address, minimum, cap, number): plan again. OTD_E_REFUSED: payments of
 * the pool are off. OTD_E_EXISTS: the pool has a payment of this very time_ms (an earlier call whose
 * commit was not known): *id is its number, nothing was changed.
 */
otd_rc otd_pay_reserve(struct otd_db *db, const struct otd_pay_terms *t,
		       const struct otd_pay_part *parts, size_t n, int64_t time_ms, uint64_t *id,
		       struct otd_err *err);

/* --- the steps --- */

/* RESERVED to FUNDED, or FUNDED again with other coins (or the same). OTD_E_EXISTS: one of them is a
   coin of another live payment. */
otd_rc otd_pay_fund(struct otd_db *db, uint64_t id, uint32_t generation,
		    const struct otd_pay_coin *coins, size_t n, int64_t time_ms,
		    struct otd_err *err);
/*
 * FUNDED to SIGNED (version 1), or SIGNED and SENT to SIGNED with a further version: tx->version is the
 * present one + 1, tx->generation the present one; more coins may come in (appended to what there is),
 * and its fee is higher. sent: one amount a part, in their order; fee + change + sent = coins, checked;
 * sent = amount, or amounts - sent = fee where miners pay it. OTD_E_EXISTS: this version has this txid
 * already. OTD_E_INVALID also for a txid that any other transaction here has, and for a coin of another
 * live payment.
 */
otd_rc otd_pay_sign(struct otd_db *db, uint64_t id, const struct otd_pay_tx *tx,
		    const otd_i128 *sent, const struct otd_pay_coin *more, size_t n_more,
		    int64_t time_ms, struct otd_err *err);
/* SIGNED to SENT. */
otd_rc otd_pay_sent(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		    int64_t time_ms, struct otd_err *err);
/* What the chain says of it, while SIGNED or SENT, or after PAID (a deep reorganisation). An audit row
   only where it came into a block or fell out, or a conflict came or went. */
otd_rc otd_pay_progress(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t confirmations,
			uint64_t height, uint64_t conflict_height, int64_t time_ms,
			struct otd_err *err);
/*
 * PAID by this version of this generation, which is in the chain (confirmations and height at least 1):
 * from SIGNED or SENT. By an earlier generation that came back: from RESERVED and FUNDED; from SIGNED
 * and SENT with proof only (else NULL), in words, that the present one cannot come.
 */
otd_rc otd_pay_paid(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		    uint32_t confirmations, uint64_t height, const char *proof, int64_t time_ms,
		    struct otd_err *err);
/*
 * This version is in the chain though the payment is PAID by one of another generation, or CANCELLED: it
 * was paid twice, and the pool bears it: "payment/ID/lost/G" moves what was sent and the fee from
 * OTD_ACC_RISK to PAID and NETWORK. The state stays; why says it. OTD_E_EXISTS: booked already.
 */
otd_rc otd_pay_lost(struct otd_db *db, uint64_t id, uint32_t generation, uint32_t version,
		    int64_t time_ms, struct otd_err *err);
/*
 * SIGNED or SENT back to RESERVED with the next generation: another confirmed transaction has spent a
 * coin that every version has, for good; progress has said so before (conflict_height), else OTD_E_INVALID. Also PAID,
 * where its block is gone (height 0): the posting is reversed. proof: in words, for the audit log.
 */
otd_rc otd_pay_remake(struct otd_db *db, uint64_t id, uint32_t generation, const char *proof,
		      int64_t time_ms, struct otd_err *err);
/* RESERVED or FUNDED to CANCELLED; with proof (else NULL) also SIGNED and SENT, and PAID where its block
   is gone: a person's decision that the chain does not contradict. Amounts go back to their accounts. */
otd_rc otd_pay_cancel(struct otd_db *db, uint64_t id, const char *reason, const char *proof,
		      int64_t time_ms, struct otd_err *err);
/* Any that is neither CANCELLED nor PAID and in the chain. release: held false; why "". OTD_E_REFUSED: it was
   begun before otd_pay_restored() and not signed then; only a person knows whether it was paid. */
otd_rc otd_pay_hold(struct otd_db *db, uint64_t id, bool held, const char *why, int64_t time_ms,
		    struct otd_err *err);
/* What it waits for; no audit row, no change of state. The reason of a held one stays. */
otd_rc otd_pay_say(struct otd_db *db, uint64_t id, const char *why, int64_t time_ms,
		   struct otd_err *err);

/* --- accounts and pools --- */

/* reason NULL: released. OTD_E_NOT_FOUND: no such account. */
otd_rc otd_pay_hold_account(struct otd_db *db, uint64_t account, const char *reason,
			    int64_t time_ms, struct otd_err *err);
struct otd_pay_pool {
	bool on;
	int64_t confirmed_ms, last_run_ms;
	/* The database was restored from a backup after the operator's yes: what was paid since the
	   backup is not known here. Counts as off. */
	bool restored;
};
otd_rc otd_pay_pool(struct otd_db *db, uint64_t pool_id, struct otd_pay_pool *out,
		    struct otd_err *err);
otd_rc otd_pay_pool_set(struct otd_db *db, uint64_t pool_id, bool on, int64_t time_ms,
			struct otd_err *err);
/*
 * The database is a backup that was restored: what was paid since is not known here. Pools are off until
 * each is set on again, and all that is on its way is held. For the tool that restores, once.
 */
otd_rc otd_pay_restored(struct otd_db *db, int64_t time_ms, struct otd_err *err);
otd_rc otd_pay_pool_ran(struct otd_db *db, uint64_t pool_id, int64_t time_ms, struct otd_err *err);
/* A pool's or an account's number. OTD_E_NOT_FOUND. */
otd_rc otd_pay_pool_id(struct otd_db *db, const char *pool, uint64_t *id, struct otd_err *err);
otd_rc otd_pay_account_id(struct otd_db *db, uint64_t pool_id, const char *address, uint64_t *id,
			  struct otd_err *err);

/* --- reading --- */

/* Everything of one; with_raw: the transactions' bytes too. OTD_E_NOT_FOUND. */
otd_rc otd_pay_load(struct otd_db *db, uint64_t id, bool with_raw, struct otd_payment *out,
		    struct otd_err *err);
/* Numbers of payments of the pool (0: all) in states first to last, oldest first, at most max,
   beginning behind number after. */
otd_rc otd_pay_list(struct otd_db *db, uint64_t pool_id, enum otd_pay_state first,
		    enum otd_pay_state last, uint64_t after, uint64_t *ids, size_t max, size_t *n,
		    struct otd_err *err);
/* Which payment has this transaction, and as what; generation and version may be NULL.
   OTD_E_NOT_FOUND. */
otd_rc otd_pay_by_txid(struct otd_db *db, const uint8_t txid[32], uint64_t *id,
		       uint32_t *generation, uint32_t *version, struct otd_err *err);
/* Every coin that a live payment of any pool holds (see above): fn is called for each, no other call on
   db from within. */
otd_rc otd_pay_coins(struct otd_db *db, const char *asset,
		     void (*fn)(void *arg, const struct otd_pay_coin *c), void *arg,
		     struct otd_err *err);

#endif
