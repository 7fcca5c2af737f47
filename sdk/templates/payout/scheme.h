/*
 * The rule: how a block is divided. This and scheme.c are yours to change; plugin.c keeps the round and
 * speaks with the host.
 */
#ifndef SCHEME_H
#define SCHEME_H

#include <otedama/payout.h>

/* The options of `payout: {scheme: .., finder: 1%}`; rows for them stand in plugin.c. */
struct options {
	int64_t finder_ppm; /* parts per million of a block, to who found it */
};

/* One account's part of a round. */
struct part {
	uint64_t account;
	otd_u128 work; /* that it did since the last block */
	/* divide() says: */
	otd_i128 amount; /* what it gets */
	otd_u128 rest;   /* remainder of its division, to be rounded by */
};

/*
 * Divides amount over n parts (at least one, of total work in all): sets their amounts, which sum to
 * amount exactly. Sorts them as it likes. OTD_E_OVERFLOW where a number does not fit.
 */
otd_rc divide(struct part *part, size_t n, otd_u128 total, otd_i128 amount, uint64_t finder,
	      const struct options *o);

#endif
