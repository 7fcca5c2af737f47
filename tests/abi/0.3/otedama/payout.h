/*
 * Kind "payout/1": how the reward of a block is divided. A deterministic state machine: the same
 * calls in the same order give the same credits and the same digest, on any machine. It has no
 * clock and no randomness; time comes with the input. The host journals the input, calls, checks
 * that credits sum to the amount, and commits.
 *
 * An account is a number that the host gives for an address in one pool; 0 is never an account.
 */
#ifndef OTEDAMA_PAYOUT_H
#define OTEDAMA_PAYOUT_H

#include <otedama/plugin.h>
#include <otedama/u256.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The work that one account did in one batch; accounts do not repeat within a batch. */
struct otd_payout_share {
	uint64_t account;
	otd_u128 work; /* expected hashes, not zero */
};

/* Shares that the host has merged, in the order that is final. */
struct otd_payout_batch {
	uint32_t size;
	uint32_t stride; /* of shares */
	const struct otd_payout_share *shares;
	size_t n;
	int64_t time_ms;       /* of the last share; never goes backwards between calls */
	otd_u128 network_work; /* expected hashes of a block when they were done, not zero */
};

struct otd_payout_block {
	uint32_t size, reserved;
	uint64_t block;  /* the host's number of this block, for orphan() and mature() */
	uint64_t finder; /* account whose share it was; that share is in the last batch */
	otd_i128 amount; /* to divide, base units, the pool's fee already taken off; >= 0 */
	otd_u128 network_work;
	int64_t time_ms;
	uint64_t height;
};

/* Where credits go; the host's. Amounts are positive, an account may be named more than once. */
struct otd_payout_sink {
	uint32_t size, reserved;
	void *ctx;
	otd_rc (*credit)(void *ctx, uint64_t account, otd_i128 amount);
};

/* All [coordinator]. After any failure the host treats the instance as broken and pays nothing. */
struct otd_payout_ops {
	uint32_t size, reserved;
	otd_rc (*shares)(struct otd_instance *in, const struct otd_payout_batch *batch);
	/* Credits must sum to block->amount exactly. */
	otd_rc (*block)(struct otd_instance *in, const struct otd_payout_block *block,
			const struct otd_payout_sink *sink);
	/* The block is not part of the chain after all; the host reverses its credits by itself.
	   Optional: for schemes that give the work of its round another chance. */
	otd_rc (*orphan)(struct otd_instance *in, uint64_t block);
	/* The block is final; what was kept for orphan() can go. Optional. */
	otd_rc (*mature)(struct otd_instance *in, uint64_t block);
	/* The whole state as bytes, the same for equal states on any machine. */
	otd_rc (*snapshot)(struct otd_instance *in, struct otd_buf *out);
	/* Into a fresh instance. OTD_E_CORRUPT or OTD_E_VERSION where it cannot be. */
	otd_rc (*restore)(struct otd_instance *in, struct otd_span state);
	/* What the open round or window holds, for status: total work and number of accounts. */
	otd_rc (*round)(struct otd_instance *in, otd_u128 *work, uint64_t *accounts);
};

#ifdef __cplusplus
}
#endif
#endif
