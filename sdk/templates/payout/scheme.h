/*
 * The rule: how a block is divided. This and scheme.c are yours to change; plugin.c keeps the round and
 * speaks with the host.
 */
#ifndef SCHEME_H
#define SCHEME_H

#include <otedama/payout.h>

/* What `payout: {scheme: .., finder: 1%}` comes to; the host reads and checks it by the table. */
struct options {
	int64_t finder_ppm; /* parts per million of a block, to who found it */
};

static const struct otd_option option_table[] = {
	OTD_OPTION(struct options, finder_ppm, OTD_OPT_RATE, "finder", "1%",
		   "Part of a block that goes to who found it", .min = 0, .max = 1000000),
};

/* One account's part of a round. */
struct part {
	uint64_t account;
	otd_u128 work; /* that it has in the round */
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

/* What of an account's work goes on into the next round. */
otd_u128 keep(otd_u128 work, const struct options *o);

#endif
