/*
 * A bounded look into journals, live or left over, for explain. Nothing is written or mended. Blocks;
 * never on a serving loop.
 */
#ifndef OTD_APP_JOURNAL_LOOK_H
#define OTD_APP_JOURNAL_LOOK_H

#include "pool/journal/journal.h"
#include "pool/journal/record.h"
#include <otedama/u256.h>

enum otd_look_state {
	OTD_LOOK_FOUND = 1,
	OTD_LOOK_CUT,     /* merged, and the segment has gone since */
	OTD_LOOK_LATER,   /* the journal does not reach so far */
	OTD_LOOK_OTHER,   /* the record of this sequence is no share */
	OTD_LOOK_TROUBLE, /* it cannot be read: see trouble */
	OTD_LOOK_LONG     /* the deadline came first */
};

/* One share with what its journal says of it. */
struct otd_look_share {
	enum otd_look_state state;
	char trouble[300];
	uint64_t first; /* oldest sequence that is still there; 0: none is */
	uint16_t type;  /* of the record, where it is OTHER */
	struct otd_rec_share share;
	otd_u128 work;
	bool has_worker, has_job;                              /* their definitions were found */
	char pool[129], account[129], worker[65], scheme[129]; /* scheme "": the pool's own */
	uint64_t height;
	otd_u128 network_work;
	bool is_block; /* the next record says that it met the network target */
	struct otd_rec_block block;
};

/* deadline_ns: monotonic. Never fails: the state says what came of it. */
void otd_look_share(struct otd_look_share *out, struct otd_env *e, const char *data_dir,
		    uint64_t epoch, uint64_t seq, uint64_t deadline_ns);

/* What the coordinator's journal still says, oldest first. each returns false to stop. */
struct otd_look_coordinator {
	enum otd_look_state state; /* FOUND: read to its end */
	char trouble[300];
	uint64_t first, last; /* sequences that were looked at; 0: none */
};
void otd_look_coordinator(struct otd_look_coordinator *out, struct otd_env *e, const char *data_dir,
			  uint64_t deadline_ns, bool (*each)(void *arg, const struct otd_record *r),
			  void *arg);

otd_u128 otd_look_u128(const uint8_t le[16]);

#endif
