/* The search. This and scan.c are yours to change: put your device here. */
#ifndef SCAN_H
#define SCAN_H

#include <otedama/hw.h>

enum {
	HEADER_MAX = 256,
	BATCH = 64, /* headers a call of the algorithm */
};

/* One unit at work: here a thread of the processor. */
struct search {
	const struct otd_hw_algo *algo; /* the host keeps it until the unit is closed */
	struct otd_algo_info info;
	void *scratch; /* as the algorithm asks; NULL: it needs none */
	struct otd_algo_item item[BATCH];
	uint8_t header[BATCH][HEADER_MAX];
};

/*
 * Tries at most count nonces from s->first on: found nonces, n_found and done are set. Ends early where
 * found is full or *s->stop is not 0. [device]
 */
otd_rc search(struct search *u, struct otd_algo_scan *s, uint64_t count);

#endif
