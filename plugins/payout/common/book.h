/*
 * What the payout plugins share: work by account, kept sorted by account so that nothing depends on
 * the order of the input, and splits that sum exactly. Integers only. [coordinator]
 */
#ifndef PAYOUT_COMMON_BOOK_H
#define PAYOUT_COMMON_BOOK_H

#include <otedama/payout.h>

struct payout_host {
	const struct otd_host_core *core;
	struct otd_host *host;
};

struct payout_part {
	uint64_t account;
	otd_u128 work;
};

/* Accounts ascending, none twice, no work of zero; work is their sum. */
struct payout_book {
	struct payout_part *part;
	size_t n, cap;
	otd_u128 work;
};

/* Zeroed memory for n things of size bytes; NULL where it does not fit or is exhausted. */
void *payout_alloc(const struct payout_host *h, size_t n, size_t size);
void payout_free(const struct payout_host *h, void *p); /* takes NULL */
/* set_error, then rc, so that "return payout_fail(..)" works. */
otd_rc payout_fail(const struct payout_host *h, otd_rc rc, const char *what);

/* *r = floor(a * b / c), *rem the rest; b is at most c, and c not zero, so that it fits. */
void payout_muldiv(otd_u128 *r, otd_u128 *rem, otd_u128 a, otd_u128 b, otd_u128 c);

/* A batch as a book of its own (the caller's to finish): sorted, an account's entries added up.
   OTD_E_INVALID for account 0, no work or a bad stride, OTD_E_OVERFLOW. */
otd_rc payout_book_read(const struct payout_host *h, struct payout_book *out,
			const struct otd_payout_batch *batch);
/* Adds other to b. On failure b is as before. */
otd_rc payout_book_add(const struct payout_host *h, struct payout_book *b,
		       const struct payout_book *other);
void payout_book_clear(struct payout_book *b);
void payout_book_finish(const struct payout_host *h, struct payout_book *b);

/*
 * Splits amount over the parts by their work: out[i] = floor(amount * work[i] / sum), and the units
 * that are left go one each to the largest remainders, of equal ones to the lowest account. The sum
 * of out is amount. out has b->n entries; b->work is not zero.
 */
otd_rc payout_split(const struct payout_host *h, otd_u128 *out, const struct payout_book *b,
		    otd_u128 amount);

/* Credits amount (>= 0) over b; all of it to the finder where nobody has work. */
otd_rc payout_pay(const struct payout_host *h, const struct payout_book *b,
		  const struct otd_payout_block *block, const struct otd_payout_sink *sink);
/* What every scheme asks of a block: finder, amount >= 0, network work. */
otd_rc payout_block_check(const struct payout_host *h, const struct otd_payout_block *block);

#endif
