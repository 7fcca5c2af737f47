/* What both chains share, part 2: merkle trees of SHA-256d. Hashes are 32 bytes, one after another.
 */
#ifndef OTD_PLUGIN_CHAIN_MERKLE_H
#define OTD_PLUGIN_CHAIN_MERKLE_H

#include "common/bytes.h"

#define BTC_MAX_BRANCHES 32

/* How many branches the first of n_tx + 1 leaves has. */
uint32_t btc_branch_count(size_t n_tx);
/*
 * The branch of the first leaf (the coinbase), whose hash is not known yet; ids are the n_tx others.
 * branches has room for btc_branch_count(n_tx) hashes.
 */
otd_rc btc_merkle_branches(const struct btc_host *host, uint8_t *branches, const uint8_t *ids,
			   size_t n_tx);
/* The root from the first leaf and its branch. */
void btc_merkle_climb(uint8_t root[32], const uint8_t leaf[32], const uint8_t *branches,
		      uint32_t n);
/*
 * The root of n >= 1 leaves. *doubled (may be NULL): two neighbours were equal, by which another
 * list of leaves would have the same root (CVE-2012-2459); a block like that is refused.
 */
otd_rc btc_merkle_root(const struct btc_host *host, uint8_t root[32], bool *doubled,
		       const uint8_t *leaves, size_t n);
/* BIP 141: SHA-256d of the witness root (the coinbase's leaf is zero) and 32 zero bytes. */
otd_rc btc_witness_commitment(const struct btc_host *host, uint8_t out[32], const uint8_t *wtxids,
			      size_t n_tx);

#endif
