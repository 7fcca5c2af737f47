/* Records of journals as lines for people, or as JSON. */
#ifndef OTD_APP_JOURNAL_DUMP_H
#define OTD_APP_JOURNAL_DUMP_H

#include "base/err.h"
#include "base/map.h"

#define OTD_DUMP_TYPES "worker, job, share, block, refused, batch, verdict, terms, account-terms"

struct otd_dump {
	/* given; zeros are the widest, but for to_* */
	bool json;
	uint64_t from_seq, to_seq;
	int64_t from_ms, to_ms; /* where either is narrowed, records without a time are left out */
	uint64_t types;         /* 1 << type; 0: all */
	const char *worker;     /* number, ACCOUNT, NAME or ACCOUNT.NAME; NULL: all */
	/* inside */
	uint64_t epoch;
	struct otd_map *wanted; /* workers of this epoch, by number */
};

struct otd_dump_record {
	const char *path;
	uint64_t offset, seq;
	uint16_t type, group;
	bool restated; /* at the begin of its segment, again */
	struct otd_span payload;
};

/* 0: none is called so. */
uint16_t otd_dump_type(const char *name);
/* Records of another journal from here on. */
otd_rc otd_dump_begin(struct otd_dump *d, uint64_t epoch, struct otd_err *err);
/* On stdout, where it is wanted. */
otd_rc otd_dump_record(struct otd_dump *d, const struct otd_dump_record *r, struct otd_err *err);
void otd_dump_finish(struct otd_dump *d);

#endif
