/*
 * The shares that PPLNS looks back on: batches in their order, each with the work of its accounts.
 * Memory is bounded: what is too old to matter is dropped, and where there are still too many
 * entries, neighbouring old batches become one; no work is lost by that.
 */
#ifndef PAYOUT_PPLNS_WINDOW_H
#define PAYOUT_PPLNS_WINDOW_H

#include "../common/book.h"

enum { WINDOW_MIN_BATCHES = 8 };

struct window_batch {
	int64_t time_ms;
	size_t n; /* of its parts, behind those of the batch before */
	otd_u128 work;
};

struct window {
	struct window_batch *batch;                 /* oldest first, from first_batch on */
	size_t first_batch, n_batches, cap_batches; /* n: end, not count */
	struct payout_part *part;                   /* by account within a batch */
	size_t first_part, n_parts, cap_parts;
	otd_u128 work; /* of all batches */
};

void window_finish(const struct payout_host *h, struct window *w);
/* Appends; book has at least one account. OTD_E_OVERFLOW where the sum exceeds 128 bits. */
otd_rc window_add(const struct payout_host *h, struct window *w, int64_t time_ms,
		  const struct payout_book *book);
/* Drops the oldest batches as long as the rest has at least this work. */
void window_keep_work(struct window *w, otd_u128 work);
/* Drops batches of time_ms and before. */
void window_drop_until(struct window *w, int64_t time_ms);
/*
 * Where there are more than max parts: merges old batches in pairs until a quarter is free, or so few
 * batches are left that merging more would blur the window. No work is lost.
 */
otd_rc window_compact(const struct payout_host *h, struct window *w, size_t max);

/*
 * The newest work, added up by account, into a fresh book: of batches from the newest back until
 * need is reached, of the last one only the part that is needed, split over its accounts; of all
 * where there is less. Only batches after since_ms count.
 */
otd_rc window_newest(const struct payout_host *h, const struct window *w, struct payout_book *out,
		     otd_u128 need, int64_t since_ms);

#endif
