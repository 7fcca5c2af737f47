/*
 * Proportional, with a reward for the finder: a fixed part of each block goes to the account that found
 * it, the rest to all accounts of the round by their work.
 *
 * Whole base units only. Parts are rounded down, and the units that are left go to those who lost most by
 * it (largest remainder; the lower account number first), so that the order of the input never matters.
 */
#include "scheme.h"

#include <stdlib.h>

static int by_rest(const void *a, const void *b)
{
	const struct part *x = a, *y = b;
	if (x->rest != y->rest)
		return x->rest > y->rest ? -1 : 1;
	return x->account < y->account ? -1 : x->account > y->account;
}

otd_rc divide(struct part *part, size_t n, otd_u128 total, otd_i128 amount, uint64_t finder,
	      const struct options *o)
{
	otd_i128 bonus, rest, left;
	otd_rc rc = otd_i128_muldiv(&bonus, NULL, amount, (otd_u128)o->finder_ppm, 1000000);
	rest = left = amount - bonus;
	for (size_t i = 0; !rc && i < n; i++) {
		rc = otd_i128_muldiv(&part[i].amount, &part[i].rest, rest, part[i].work, total);
		left -= part[i].amount;
	}
	if (rc)
		return rc;
	/* Fewer than n units are left: each remainder was less than one. */
	qsort(part, n, sizeof(*part), by_rest);
	for (size_t i = 0; i < n && left > 0; i++, left--)
		part[i].amount++;
	for (size_t i = 0; i < n; i++) {
		if (part[i].account == finder)
			part[i].amount += bonus;
	}
	return OTD_OK;
}

otd_u128 keep(otd_u128 work, const struct options *o)
{
	(void)work;
	(void)o;
	return 0; /* each round begins with nothing */
}
