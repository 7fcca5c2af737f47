/*
 * Saves of the payout schemes in the archive: what a replay of archived journals begins with, where they do not go back to
 * the first share. archive/saves/SEQ.otj, where SEQ is the place in the coordinator's journal; packed and let go like
 * an archived segment. A head of 32 bytes (magic, version, number of states, place, checksum of the rest), then each
 * state: {u16 length of the pool's name, u16 of the scheme's, u32 zero, u64 of the state}, the texts, the state.
 */
#ifndef OTD_POOL_SAVES_H
#define OTD_POOL_SAVES_H

#include "base/env.h"
#include "pool/journal/journal_format.h"

struct otd_save {
	struct otd_span pool, scheme, state;
};

/* Durable once it returns. Blocks. [background] */
otd_rc otd_saves_put(struct otd_env *e, const char *data_dir, uint64_t seq,
		     const struct otd_save *s, size_t n, struct otd_err *err);
/* The places of those that are there, in order; to be finished. None: n is 0. */
otd_rc otd_saves_list(struct otd_journal_ids *out, struct otd_env *e, const char *data_dir,
		      struct otd_err *err);
/* Reads one; each gets spans that live for the call, and may be NULL. OTD_E_CORRUPT names the file. */
otd_rc otd_saves_get(struct otd_env *e, const char *data_dir, uint64_t seq,
		     otd_rc (*each)(void *arg, const struct otd_save *s, struct otd_err *err),
		     void *arg, struct otd_err *err);
/* What otd_saves_get() reads, as bytes. False: not sound. */
bool otd_saves_read(struct otd_span file, uint64_t seq,
		    otd_rc (*each)(void *arg, const struct otd_save *s, struct otd_err *err),
		    void *arg, otd_rc *rc, struct otd_err *err);

#endif
