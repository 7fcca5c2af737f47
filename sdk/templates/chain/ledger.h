/*
 * The chain itself: blocks one upon the other, and what makes a block valid. This and ledger.c are yours
 * to change; plugin.c speaks with the host.
 *
 * Headers are Bitcoin's 80 bytes, for that is what miners of Stratum build: version, hash before, merkle
 * root, time, bits, nonce. A block is header, the number 1, and its only transaction, the coinbase.
 */
#ifndef LEDGER_H
#define LEDGER_H

#include <otedama/chain.h>

enum { HEADER_LEN = 80, VERSION = 0x20000000, AHEAD_S = 7200 };

struct ledger_block {
	uint8_t hash[32];
	int64_t time_s;
};

struct ledger {
	struct ledger_block *block; /* by height; block 0 is agreed upon */
	size_t n, cap;
	uint32_t bits;
	uint8_t target[32]; /* what bits stand for, least significant byte first */
	uint64_t subsidy;
};

/* Height of the block with this hash, -1. */
int64_t ledger_height_of(const struct ledger *l, const uint8_t hash[32]);

/*
 * Why this block may not stand upon the last one, NULL where it may. pow is the hash of its header by the
 * coin's algorithm.
 */
const char *ledger_check(const struct ledger *l, struct otd_span block, const uint8_t pow[32],
			 int64_t now_s);

/* A coinbase of Bitcoin's form, cut in two round the extranonce. OTD_E_RANGE as otd_buf says. */
otd_rc ledger_coinbase(const struct ledger *l, uint64_t height, const struct otd_chain_coinbase *cb,
		       struct otd_buf *one, struct otd_buf *two);

void ledger_put(uint8_t *to, uint64_t v, size_t n); /* little-endian */
uint64_t ledger_get(const uint8_t *from, size_t n);

#endif
