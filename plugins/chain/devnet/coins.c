#include "devnet.h"

#include <string.h>

/* Outpoints are hashes already: their first bytes spread well enough for play money. */
static size_t place(const struct devnet_coins *c, const uint8_t outpoint[36])
{
	uint64_t h;
	memcpy(&h, outpoint, sizeof(h));
	h += (uint64_t)btc_load_u32(outpoint + 32) * 0x9e3779b97f4a7c15u;
	h ^= h >> 29;
	return (size_t)h & (c->cap - 1);
}

void devnet_coins_init(struct devnet_coins *c, const struct btc_host *host, size_t first)
{
	*c = (struct devnet_coins){.host = host, .first = first};
}

void devnet_coins_finish(struct devnet_coins *c)
{
	if (c->host)
		btc_free(c->host, c->slot);
	c->slot = NULL;
	c->n = c->cap = 0;
}

struct devnet_coin *devnet_coins_find(const struct devnet_coins *c, const uint8_t outpoint[36])
{
	if (!c->cap)
		return NULL;
	for (size_t i = place(c, outpoint); c->slot[i].used; i = (i + 1) & (c->cap - 1)) {
		if (memcmp(c->slot[i].outpoint, outpoint, 36) == 0)
			return &c->slot[i];
	}
	return NULL;
}

static void insert(struct devnet_coins *c, const struct devnet_coin *coin)
{
	size_t i = place(c, coin->outpoint);
	while (c->slot[i].used)
		i = (i + 1) & (c->cap - 1);
	c->slot[i] = *coin;
	c->slot[i].used = true;
	c->n++;
}

static otd_rc grow(struct devnet_coins *c)
{
	struct devnet_coins bigger = {
		.host = c->host, .first = c->first, .cap = c->cap ? c->cap * 2 : c->first};
	bigger.slot = btc_alloc(c->host, bigger.cap * sizeof(*bigger.slot));
	if (!bigger.slot)
		return btc_fail(c->host, OTD_E_NOMEM, "no memory for %zu coins", bigger.cap);
	for (size_t i = 0; i < c->cap; i++) {
		if (c->slot[i].used)
			insert(&bigger, &c->slot[i]);
	}
	btc_free(c->host, c->slot);
	*c = bigger;
	return OTD_OK;
}

otd_rc devnet_coins_add(struct devnet_coins *c, const struct devnet_coin *coin)
{
	struct devnet_coin *there = devnet_coins_find(c, coin->outpoint);
	if (there) {
		*there = *coin;
		there->used = true;
		return OTD_OK;
	}
	if (c->n * 4 >= c->cap * 3) {
		otd_rc rc = grow(c);
		if (rc)
			return rc;
	}
	insert(c, coin);
	return OTD_OK;
}

void devnet_coins_remove(struct devnet_coins *c, const uint8_t outpoint[36])
{
	struct devnet_coin *gone = devnet_coins_find(c, outpoint);
	if (!gone)
		return;
	size_t hole = (size_t)(gone - c->slot), mask = c->cap - 1;
	/* Move back those that would no longer be found past the hole. */
	for (size_t i = (hole + 1) & mask; c->slot[i].used; i = (i + 1) & mask) {
		size_t home = place(c, c->slot[i].outpoint);
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			c->slot[hole] = c->slot[i];
			hole = i;
		}
	}
	c->slot[hole].used = false;
	c->n--;
}
