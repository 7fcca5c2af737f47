/* Inside the replay: replay.c plays, replay_compare.c compares. */
#ifndef OTD_POOL_REPLAY_OWN_H
#define OTD_POOL_REPLAY_OWN_H

#include "pool/acct/acct.h"
#include "pool/journal/journal_verify.h"
#include "pool/journal/replay.h"

#define REPLAY_TOLD 100 /* differences that are told; the rest is counted */

struct replay_epoch {
	uint64_t epoch;
	uint64_t have_first, have_last; /* sequences that are on disk; last < first: none */
	uint64_t first;                 /* of its first batch that is played; 0: none is */
	uint64_t next;                  /* behind its last one */
};

/* A state of a payout scheme, as SQL has it. */
struct replay_state {
	uint64_t pool_id;
	char *scheme;
	struct otd_bytes bytes;
};

struct replay {
	const struct otd_replay_conf *conf;
	struct otd_replay_result *out;
	struct otd_env *env;
	struct otd_accounting *a;
	char dir[ACCT_DIR + 16]; /* of the coordinator's journal */
	uint64_t first, last;    /* of it, on disk */
	uint64_t position, saved;
	uint64_t from;
	struct replay_epoch *epochs;
	size_t n_epochs;
	struct replay_state *states;
	size_t n_states, cap_states;
	int64_t cut_minute; /* counts of minutes before it are not compared */
	int64_t folded;     /* minutes before it are rows of an hour */
	bool states_checked;
};

void replay_differs(struct replay *r, const char *fmt, ...) OTD_PRINTF(2, 3);
/* The schemes' states with those that SQL has, which are of the place that was played last. */
otd_rc replay_compare_states(struct replay *r, struct otd_err *err);
/* Everything else, once all is played. */
otd_rc replay_compare(struct replay *r, struct otd_err *err);

#endif
