#include "book.h"

#include <stdlib.h>
#include <string.h>

void *payout_alloc(const struct payout_host *h, size_t n, size_t size)
{
	if (n > SIZE_MAX / 2 / size)
		return NULL;
	return h->core->alloc(h->host, n ? n * size : size);
}

void payout_free(const struct payout_host *h, void *p)
{
	h->core->free(h->host, p);
}

otd_rc payout_fail(const struct payout_host *h, otd_rc rc, const char *what)
{
	h->core->set_error(h->host, "%s", what);
	return rc;
}

void payout_muldiv(otd_u128 *r, otd_u128 *rem, otd_u128 a, otd_u128 b, otd_u128 c)
{
	struct otd_u256 q, rest;
	(void)otd_u256_div(&q, &rest, otd_u256_mul_u128(a, b), otd_u256_from_u128(c));
	*r = otd_u256_low_u128(q);
	*rem = otd_u256_low_u128(rest);
}

static int by_account(const void *a, const void *b)
{
	const struct payout_part *x = a, *y = b;
	return x->account < y->account ? -1 : x->account > y->account;
}

/* Adds up neighbours of the same account in a sorted array. */
static otd_rc fold(const struct payout_host *h, struct payout_book *b)
{
	size_t n = 0;
	b->work = 0;
	for (size_t i = 0; i < b->n; i++) {
		struct payout_part *p = &b->part[i];
		if (__builtin_add_overflow(b->work, p->work, &b->work))
			return payout_fail(h, OTD_E_OVERFLOW,
					   "the work of a batch exceeds 128 bits");
		if (n && b->part[n - 1].account == p->account)
			b->part[n - 1].work += p->work;
		else
			b->part[n++] = *p;
	}
	b->n = n;
	return OTD_OK;
}

otd_rc payout_book_read(const struct payout_host *h, struct payout_book *out,
			const struct otd_payout_batch *batch)
{
	const uint8_t *at = (const uint8_t *)batch->shares;
	otd_rc rc = OTD_OK;
	*out = (struct payout_book){0};
	if (batch->n && batch->stride < sizeof(struct otd_payout_share))
		return payout_fail(h, OTD_E_INVALID, "shares are too close to each other");
	out->part = payout_alloc(h, batch->n, sizeof(*out->part));
	if (!out->part)
		return payout_fail(h, OTD_E_NOMEM, "no memory for a batch");
	out->cap = batch->n;
	for (size_t i = 0; i < batch->n; i++, at += batch->stride) {
		struct otd_payout_share s;
		memcpy(&s, at, sizeof(s));
		out->part[i] = (struct payout_part){s.account, s.work};
		if (s.account == 0 || s.work == 0)
			rc = payout_fail(h, OTD_E_INVALID, "a share has no account or no work");
	}
	out->n = batch->n;
	if (!rc) {
		qsort(out->part, out->n, sizeof(*out->part), by_account);
		rc = fold(h, out);
	}
	if (rc)
		payout_book_finish(h, out);
	return rc;
}

static otd_rc reserve(const struct payout_host *h, struct payout_book *b, size_t n)
{
	struct payout_part *p;
	size_t cap = b->cap ? b->cap : 16;
	if (n <= b->cap)
		return OTD_OK;
	while (cap < n)
		cap *= 2;
	p = payout_alloc(h, cap, sizeof(*p));
	if (!p)
		return payout_fail(h, OTD_E_NOMEM, "no memory for more accounts");
	if (b->n)
		memcpy(p, b->part, b->n * sizeof(*p));
	payout_free(h, b->part);
	b->part = p;
	b->cap = cap;
	return OTD_OK;
}

otd_rc payout_book_add(const struct payout_host *h, struct payout_book *b,
		       const struct payout_book *other)
{
	otd_u128 work;
	size_t n = b->n, i = 0, j;
	/* No account has more than the sum, so this one check is enough. */
	if (__builtin_add_overflow(b->work, other->work, &work))
		return payout_fail(h, OTD_E_OVERFLOW, "the work of a round exceeds 128 bits");
	for (j = 0; j < other->n; j++) {
		while (i < b->n && b->part[i].account < other->part[j].account)
			i++;
		n += i == b->n || b->part[i].account != other->part[j].account;
	}
	otd_rc rc = reserve(h, b, n);
	if (rc)
		return rc;
	/* From the back, so that nothing is overwritten before it was moved. */
	i = b->n;
	j = other->n;
	b->n = n;
	b->work = work;
	while (j > 0) {
		struct payout_part *to = &b->part[--n];
		if (i > 0 && b->part[i - 1].account > other->part[j - 1].account) {
			*to = b->part[--i];
		} else if (i > 0 && b->part[i - 1].account == other->part[j - 1].account) {
			*to = b->part[--i];
			to->work += other->part[--j].work;
		} else {
			*to = other->part[--j];
		}
	}
	return OTD_OK;
}

void payout_book_clear(struct payout_book *b)
{
	b->n = 0;
	b->work = 0;
}

void payout_book_finish(const struct payout_host *h, struct payout_book *b)
{
	payout_free(h, b->part);
	*b = (struct payout_book){0};
}

struct rest {
	otd_u128 rem;
	size_t index; /* ascending with the account */
};

static int by_rest(const void *a, const void *b)
{
	const struct rest *x = a, *y = b;
	if (x->rem != y->rem)
		return x->rem > y->rem ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

otd_rc payout_split(const struct payout_host *h, otd_u128 *out, const struct payout_book *b,
		    otd_u128 amount)
{
	struct rest *rest = payout_alloc(h, b->n, sizeof(*rest));
	otd_u128 left = amount;
	if (!rest)
		return payout_fail(h, OTD_E_NOMEM, "no memory to divide a block");
	for (size_t i = 0; i < b->n; i++) {
		payout_muldiv(&out[i], &rest[i].rem, amount, b->part[i].work, b->work);
		rest[i].index = i;
		left -= out[i];
	}
	/* Each floor took less than one unit, so fewer units are left than there are parts. */
	qsort(rest, b->n, sizeof(*rest), by_rest);
	for (size_t i = 0; i < b->n && left > 0; i++, left--)
		out[rest[i].index]++;
	payout_free(h, rest);
	return OTD_OK;
}

otd_rc payout_block_check(const struct payout_host *h, const struct otd_payout_block *block)
{
	if (block->amount < 0)
		return payout_fail(h, OTD_E_INVALID, "a block cannot bring less than nothing");
	if (block->finder == 0 || block->network_work == 0)
		return payout_fail(h, OTD_E_INVALID, "a block has no finder or no work");
	return OTD_OK;
}

otd_rc payout_pay(const struct payout_host *h, const struct payout_book *b,
		  const struct otd_payout_block *block, const struct otd_payout_sink *sink)
{
	otd_u128 *amount;
	if (block->amount == 0)
		return OTD_OK;
	if (b->n == 0)
		return sink->credit(sink->ctx, block->finder, block->amount);
	amount = payout_alloc(h, b->n, sizeof(*amount));
	if (!amount)
		return payout_fail(h, OTD_E_NOMEM, "no memory to divide a block");
	otd_rc rc = payout_split(h, amount, b, (otd_u128)block->amount);
	for (size_t i = 0; rc == OTD_OK && i < b->n; i++) {
		if (amount[i])
			rc = sink->credit(sink->ctx, b->part[i].account, (otd_i128)amount[i]);
	}
	payout_free(h, amount);
	return rc;
}
