/* Whether a journal is sound, without changing it: of a pool that runs, or of one that is stopped. */
#ifndef OTD_POOL_JOURNAL_CHECK_H
#define OTD_POOL_JOURNAL_CHECK_H

#include "base/env.h"

struct otd_journal_report {
	bool any;                    /* there is a segment with a header */
	uint64_t epoch, first, last; /* sequences; last is first - 1 where there are none */
	size_t segments, archived;   /* the archived ones are among them */
	uint64_t bytes, groups;
	uint64_t frames,
		restated; /* the latter among the former: definitions at a segment's begin */
	/* What a crash left behind the last good frame, or is being written: never acknowledged, and cut
	   off by the next start. 0: none. */
	uint64_t torn_bytes, torn_at, torn_seq;
	char torn_path[512];
};

/*
 * Reads all segments of dir, those in its archive too: headers, checksums, sequences, epochs, groups. live:
 * somebody writes it meanwhile. OTD_E_CORRUPT: err names file, offset, what is lost and what to do; out says
 * what was good before it. Blocks.
 */
otd_rc otd_journal_check(struct otd_journal_report *out, struct otd_env *e, const char *dir,
			 bool live, struct otd_err *err);

#endif
