/* Extranonce1 values, see pool/extranonce.h. */
#include "pool/extranonce.h"

#include <stdlib.h>
#include <string.h>

#define VALUES (1u << OTD_EXTRANONCE_BITS)
#define WORDS  (VALUES / 64)

otd_rc otd_extranonces_init(struct otd_extranonces *x, uint32_t len, uint64_t epoch, size_t i,
			    size_t n)
{
	memset(x, 0, sizeof(*x));
	if (len < 4 || len > 8 || i >= n || n > WORDS)
		return OTD_E_RANGE;
	x->len = len;
	x->prefix = epoch << OTD_EXTRANONCE_BITS;
	x->next = x->first = (uint32_t)(VALUES / n * i);
	x->end = x->first + (uint32_t)(VALUES / n);
	x->live = calloc(WORDS, sizeof(*x->live));
	x->busy = calloc(WORDS, sizeof(*x->busy));
	if (!x->live || !x->busy) {
		otd_extranonces_finish(x);
		return OTD_E_NOMEM;
	}
	return OTD_OK;
}

void otd_extranonces_finish(struct otd_extranonces *x)
{
	free(x->live);
	free(x->busy);
	memset(x, 0, sizeof(*x));
}

/* The first value at or after from that was not used on this tip; x->end where there is none. */
static uint32_t find_free(const struct otd_extranonces *x, uint32_t from)
{
	for (uint32_t word = from / 64, bit = from % 64; word * 64 < x->end; word++, bit = 0) {
		uint64_t open = ~x->busy[word] & UINT64_MAX << bit;
		if (open) {
			uint32_t v = word * 64 + (uint32_t)__builtin_ctzll(open);
			return v < x->end ? v : x->end;
		}
	}
	return x->end;
}

otd_rc otd_extranonces_take(struct otd_extranonces *x, uint8_t *out)
{
	uint32_t v = find_free(x, x->next);

	if (v == x->end)
		v = find_free(x, x->first);
	if (v == x->end)
		return OTD_E_NOMEM;
	x->next = v + 1 < x->end ? v + 1 : x->first;
	x->live[v / 64] |= 1ull << v % 64;
	x->busy[v / 64] |= 1ull << v % 64;
	for (uint32_t i = 0; i < x->len; i++)
		out[i] = (uint8_t)((x->prefix | v) >> 8 * (x->len - 1 - i));
	return OTD_OK;
}

void otd_extranonces_give(struct otd_extranonces *x, const uint8_t *en1)
{
	uint32_t v = 0;

	for (uint32_t i = x->len - 4; i < x->len; i++)
		v = v << 8 | en1[i];
	v %= VALUES;
	x->live[v / 64] &= ~(1ull << v % 64);
}

void otd_extranonces_new_tip(struct otd_extranonces *x)
{
	memcpy(x->busy, x->live, WORDS * sizeof(*x->busy));
}
