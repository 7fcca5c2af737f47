/* See net/bucket.h. */
#include "net/bucket.h"

#include "base/map.h"
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS 1000 /* between two looks at all of them */

struct otd_buckets {
	struct otd_map *map; /* key -> index of entries */
	struct otd_bucket *entries;
	uint32_t n, cap; /* used or once used; room for */
	uint32_t unused; /* head of the free list */
	uint32_t max, made_for;
	struct otd_bucket_rate usual;
	int64_t swept_ms;
};

struct otd_buckets *otd_buckets_create(const uint8_t seed[16], uint32_t max)
{
	struct otd_buckets *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->map = otd_map_create(seed, max);
	if (!b->map) {
		free(b);
		return NULL;
	}
	b->max = b->made_for = max;
	b->unused = OTD_BUCKET_NOTHING;
	b->swept_ms = INT64_MIN / 2;
	return b;
}

void otd_buckets_destroy(struct otd_buckets *b)
{
	if (!b)
		return;
	otd_map_destroy(b->map);
	free(b->entries);
	free(b);
}

void otd_buckets_limit(struct otd_buckets *b, uint32_t max)
{
	b->max = max < b->made_for ? max : b->made_for;
}

void otd_buckets_usual(struct otd_buckets *b, struct otd_bucket_rate usual)
{
	b->usual = usual;
}

void otd_buckets_clear(struct otd_buckets *b)
{
	otd_map_clear(b->map);
	b->n = 0;
	b->unused = OTD_BUCKET_NOTHING;
}

static void refill(struct otd_bucket *e, int64_t now_ms, struct otd_bucket_rate rate)
{
	uint64_t full = (uint64_t)rate.burst * OTD_BUCKET_TOKEN;
	uint64_t passed = now_ms > e->at_ms ? (uint64_t)(now_ms - e->at_ms) : 0;
	uint64_t more = rate.rate && passed > full / rate.rate ? full : passed * rate.rate;
	uint64_t tokens = e->tokens + more;

	e->tokens = (uint32_t)(tokens < full ? tokens : full);
	e->at_ms = now_ms;
}

static void let_go(struct otd_buckets *b, uint32_t i)
{
	struct otd_bucket *e = &b->entries[i];

	e->count = b->unused;
	e->at_ms = -1;
	b->unused = i;
}

/* Forgets who counts nothing and is full. */
static void sweep(struct otd_buckets *b, int64_t now_ms)
{
	b->swept_ms = now_ms;
	for (uint32_t i = 0; i < b->n; i++) {
		struct otd_bucket *e = &b->entries[i];
		if (e->at_ms < 0 || e->count)
			continue;
		refill(e, now_ms, b->usual);
		if (e->tokens < (uint64_t)b->usual.burst * OTD_BUCKET_TOKEN)
			continue;
		(void)otd_map_remove(b->map, e->key, sizeof(e->key), NULL);
		let_go(b, i);
	}
}

static bool grow(struct otd_buckets *b)
{
	uint32_t cap = b->cap ? 2 * b->cap : 256;
	struct otd_bucket *p;

	if (cap > b->max)
		cap = b->max;
	if (cap <= b->cap)
		return false;
	p = realloc(b->entries, cap * sizeof(*p));
	if (!p)
		return false;
	b->entries = p;
	b->cap = cap;
	return true;
}

/* The index of an unused entry, or OTD_BUCKET_NOTHING. */
static uint32_t room(struct otd_buckets *b, int64_t now_ms)
{
	uint32_t i = OTD_BUCKET_NOTHING;

	if (b->unused == OTD_BUCKET_NOTHING && b->n == b->cap && !grow(b) &&
	    now_ms - b->swept_ms >= SWEEP_MS)
		sweep(b, now_ms);
	if (b->unused != OTD_BUCKET_NOTHING) {
		i = b->unused;
		b->unused = b->entries[i].count;
	} else if (b->n < b->cap) {
		i = b->n++;
	}
	return i;
}

struct otd_bucket *otd_buckets_find(struct otd_buckets *b, const uint8_t key[OTD_BUCKET_KEY])
{
	uint64_t at;

	return otd_map_get(b->map, key, OTD_BUCKET_KEY, &at) ? &b->entries[at] : NULL;
}

struct otd_bucket *otd_buckets_get(struct otd_buckets *b, const uint8_t key[OTD_BUCKET_KEY],
				   int64_t now_ms, struct otd_bucket_rate rate)
{
	struct otd_bucket *e = otd_buckets_find(b, key);
	uint32_t i;

	if (e) {
		refill(e, now_ms, rate);
		return e;
	}
	i = room(b, now_ms);
	if (i == OTD_BUCKET_NOTHING)
		return NULL;
	e = &b->entries[i];
	memcpy(e->key, key, sizeof(e->key));
	e->count = 0;
	e->tokens = rate.burst * OTD_BUCKET_TOKEN;
	e->at_ms = now_ms;
	if (otd_map_put(b->map, key, OTD_BUCKET_KEY, i)) {
		let_go(b, i);
		return NULL;
	}
	return e;
}

struct otd_bucket *otd_buckets_next(struct otd_buckets *b, uint32_t *pos)
{
	while (*pos < b->n) {
		struct otd_bucket *e = &b->entries[(*pos)++];
		if (e->at_ms >= 0)
			return e;
	}
	return NULL;
}
