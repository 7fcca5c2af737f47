/*
 * Snapshots: little-endian, fixed widths, a magic word and a version in front. The same state gives
 * the same bytes on any machine; what is read is believed only as far as it was checked.
 */
#ifndef PAYOUT_COMMON_STATE_H
#define PAYOUT_COMMON_STATE_H

#include "book.h"

/* Counts bytes where to is NULL. */
struct payout_writer {
	uint8_t *to;
	size_t n;
};

/* Once something was missing, everything reads as zero and ok is false. */
struct payout_reader {
	const uint8_t *at;
	size_t left;
	bool ok;
};

void payout_put_u32(struct payout_writer *w, uint32_t v);
void payout_put_u64(struct payout_writer *w, uint64_t v);
void payout_put_u128(struct payout_writer *w, otd_u128 v);
void payout_put_book(struct payout_writer *w, const struct payout_book *b);

uint32_t payout_get_u32(struct payout_reader *r);
uint64_t payout_get_u64(struct payout_reader *r);
otd_u128 payout_get_u128(struct payout_reader *r);
/* A book with its order, sums and lengths checked; OTD_E_CORRUPT, OTD_E_NOMEM. */
otd_rc payout_get_book(const struct payout_host *h, struct payout_reader *r,
		       struct payout_book *out);

/* Writes the state by calling write twice: to count, then to fill. */
typedef void (*payout_write_fn)(const struct otd_instance *in, struct payout_writer *w);
otd_rc payout_snapshot(const struct otd_instance *in, struct otd_buf *out, uint32_t magic,
		       uint32_t version, payout_write_fn write);
/* Checks magic and version: OTD_E_CORRUPT, OTD_E_VERSION. */
otd_rc payout_restore_begin(const struct payout_host *h, struct payout_reader *r,
			    struct otd_span state, uint32_t magic, uint32_t version);
/* Everything was there, and nothing else. */
otd_rc payout_restore_end(const struct payout_host *h, const struct payout_reader *r);

#endif
