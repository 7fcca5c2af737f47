/*
 * Journals played again beside the pool: from the beginning where they still go back so far, else from a
 * save of the payout schemes (the oldest one in the archive behind which all is there, or the last), up to where SQL is. Into an accounting of its own, in memory; what comes of it is
 * compared with what SQL holds. Nothing is written but to the database that the caller gives: a copy.
 */
#ifndef OTD_POOL_REPLAY_H
#define OTD_POOL_REPLAY_H

#include "pool/acct/accounting.h"

struct otd_replay_conf {
	struct otd_loop *loop;
	struct otd_store *store; /* over a copy of the database */
	const char *data_dir;    /* the pool's own: journals are read there */
	const struct otd_acct_pool *pools;
	size_t n_pools;
	int64_t oldest_minute; /* counts of shares before it may have been dropped from SQL */
	/* What is not equal, a line each. */
	void (*differs)(void *arg, const char *text);
	/* Now and then: at this place of places first to last. May be NULL. */
	void (*progress)(void *arg, uint64_t at, uint64_t first, uint64_t last);
	void *arg;
};

struct otd_replay_result {
	uint64_t from,
		to;     /* places of the coordinator's journal that were played; to < from: none */
	bool whole;     /* from the first share on */
	uint64_t saved; /* place of the schemes' last save */
	uint64_t
		archived; /* place of the older save that it began with, out of the archive; 0: none */
	uint64_t shares, blocks, verdicts;
	/* compared */
	uint64_t states, counts, credits;
	otd_u128 work;    /* of the shares played */
	uint64_t skipped; /* shares in minutes that began before the replay did */
	uint64_t unowned; /* shares of pools or schemes that are not in the settings */
	uint64_t differences;
	char digest[8][136]; /* "POOL SCHEME sha256" of the states compared, the first of them */
};

/* Blocks; on the coordinator's thread of a tool. OTD_E_CORRUPT: a journal that is needed is damaged or not
   there. */
otd_rc otd_replay(const struct otd_replay_conf *conf, struct otd_replay_result *out,
		  struct otd_err *err);

#endif
