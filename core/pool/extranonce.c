/* Extranonce1 values, see pool/extranonce.h. */
#include "pool/extranonce.h"

#include <stdlib.h>
#include <string.h>

#define VALUES (1u << OTD_EXTRANONCE_BITS)
#define BLOCK  OTD_EXTRANONCE_BLOCK
#define BLOCKS OTD_EXTRANONCE_BLOCKS
#define WORDS  (BLOCK / 64)

otd_rc otd_extranonces_init(struct otd_extranonces *x, struct otd_extranonce_space *space,
			    uint32_t len, uint64_t epoch)
{
	memset(x, 0, sizeof(*x));
	if (len < 4 || len > 8)
		return OTD_E_RANGE;
	x->len = len;
	x->prefix = epoch << OTD_EXTRANONCE_BITS;
	x->space = space;
	x->next_pool = space->pools;
	space->pools = x;
	space->n_pools++;
	return OTD_OK;
}

static void give_back(struct otd_extranonces *x, uint32_t b)
{
	free(x->block[b]);
	x->block[b] = NULL;
	x->n_blocks--;
	x->space->taken[b] = false;
	x->space->n_taken--;
}

void otd_extranonces_finish(struct otd_extranonces *x)
{
	if (!x->space)
		return;
	for (uint32_t b = 0; b < BLOCKS; b++) {
		if (x->block[b])
			give_back(x, b);
	}
	struct otd_extranonces **at = &x->space->pools;
	while (*at != x)
		at = &(*at)->next_pool;
	*at = x->next_pool;
	x->space->n_pools--;
	memset(x, 0, sizeof(*x));
}

/* The first value of block b at or after from, in values, that was not used on this tip; BLOCK where
   there is none. */
static uint32_t find_in(const struct otd_extranonce_block *k, uint32_t from)
{
	for (uint32_t word = from / 64, bit = from % 64; word < WORDS; word++, bit = 0) {
		uint64_t open = ~k->busy[word] & UINT64_MAX << bit;
		if (open)
			return word * 64 + (uint32_t)__builtin_ctzll(open);
	}
	return BLOCK;
}

/* From next on, once around; VALUES where there is none. */
static uint32_t find_free(const struct otd_extranonces *x)
{
	uint32_t b = x->next / BLOCK, from = x->next % BLOCK;

	for (uint32_t turn = 0; turn <= BLOCKS; turn++, b = (b + 1) % BLOCKS, from = 0) {
		uint32_t v = x->block[b] ? find_in(x->block[b], from) : BLOCK;
		if (v < BLOCK)
			return b * BLOCK + v;
	}
	return VALUES;
}

/* One more block for this pool; false: it has its part, and what is left is for the others. */
static bool claim(struct otd_extranonces *x)
{
	struct otd_extranonce_space *s = x->space;
	uint32_t part = BLOCKS / s->n_pools, kept = 0;

	for (const struct otd_extranonces *p = s->pools; p; p = p->next_pool)
		kept += p != x && p->n_blocks < part ? part - p->n_blocks : 0;
	if (s->n_taken == BLOCKS || (x->n_blocks >= part && s->n_taken + kept >= BLOCKS))
		return false;
	for (uint32_t b = 0; b < BLOCKS; b++) {
		if (s->taken[b])
			continue;
		x->block[b] = calloc(1, sizeof(*x->block[b]));
		if (!x->block[b])
			return false;
		s->taken[b] = true;
		s->n_taken++;
		x->n_blocks++;
		x->next = b * BLOCK;
		return true;
	}
	return false;
}

otd_rc otd_extranonces_take(struct otd_extranonces *x, uint8_t *out)
{
	uint32_t v = x->n_blocks ? find_free(x) : VALUES;

	if (v == VALUES && claim(x))
		v = find_free(x);
	if (v == VALUES)
		return OTD_E_NOMEM;
	struct otd_extranonce_block *k = x->block[v / BLOCK];
	x->next = (v + 1) % VALUES;
	k->live[v % BLOCK / 64] |= 1ull << v % 64;
	k->busy[v % BLOCK / 64] |= 1ull << v % 64;
	for (uint32_t i = 0; i < x->len; i++)
		out[i] = (uint8_t)((x->prefix | v) >> 8 * (x->len - 1 - i));
	return OTD_OK;
}

static uint64_t number_of(const struct otd_extranonces *x, const uint8_t *en1)
{
	uint64_t all = 0;

	for (uint32_t i = 0; i < x->len; i++)
		all = all << 8 | en1[i];
	return all;
}

bool otd_extranonces_is_own(const struct otd_extranonces *x, const uint8_t *en1)
{
	uint64_t bits = x->len == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * x->len) - 1;

	return !((number_of(x, en1) ^ x->prefix) & bits & ~(uint64_t)(VALUES - 1));
}

void otd_extranonces_give(struct otd_extranonces *x, const uint8_t *en1)
{
	uint32_t v = number_of(x, en1) % VALUES;

	/* One of another epoch, of a session that was handed over: its number here is somebody else's. */
	if (!otd_extranonces_is_own(x, en1))
		return;
	if (x->block[v / BLOCK])
		x->block[v / BLOCK]->live[v % BLOCK / 64] &= ~(1ull << v % 64);
}

void otd_extranonces_new_tip(struct otd_extranonces *x)
{
	static const uint64_t none[WORDS];

	for (uint32_t b = 0; b < BLOCKS; b++) {
		struct otd_extranonce_block *k = x->block[b];
		if (!k)
			continue;
		/* Idle for a whole tip: another pool of this chain has left the tip before by now. */
		if (memcmp(k->busy, none, sizeof(none)) == 0)
			give_back(x, b);
		else
			memcpy(k->busy, k->live, sizeof(k->busy));
	}
}
