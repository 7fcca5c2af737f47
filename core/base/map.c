/*
 * Open addressing with linear probing; a removal shifts back what follows, so there are no
 * tombstones and the table does not grow slow with age. SipHash-1-3 with a secret seed, since keys
 * come from peers. Short keys lie in the slot: adding one allocates only where the table grows.
 */
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

enum { INLINE_MAX = 32, FIRST_SLOTS = 16 };

struct slot {
	uint32_t hash;
	uint32_t len1; /* length of the key + 1; 0: empty */
	uint64_t value;
	union {
		uint8_t bytes[INLINE_MAX];
		uint8_t *heap;
	} key;
};

struct otd_map {
	struct slot *slot;
	size_t n_slots; /* power of two, or 0 */
	size_t count, max;
	uint64_t k0, k1;
};

static uint64_t load64(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static inline uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] = rotl(v[0], 32);
	v[2] += v[1];
	v[0] += v[3];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] = rotl(v[2], 32);
}

/* SipHash-1-3 (Aumasson and Bernstein), folded to 32 bits. */
static uint32_t hash_of(const struct otd_map *m, const uint8_t *p, size_t n)
{
	uint64_t v[4] = {m->k0 ^ 0x736f6d6570736575ULL, m->k1 ^ 0x646f72616e646f6dULL,
			 m->k0 ^ 0x6c7967656e657261ULL, m->k1 ^ 0x7465646279746573ULL};
	uint64_t last = (uint64_t)n << 56;
	size_t i = 0;
	for (; i + 8 <= n; i += 8) {
		uint64_t w = load64(p + i);
		v[3] ^= w;
		sip_round(v);
		v[0] ^= w;
	}
	for (size_t j = 0; i + j < n; j++)
		last |= (uint64_t)p[i + j] << (8 * j);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	for (int r = 0; r < 3; r++)
		sip_round(v);
	uint64_t h = v[0] ^ v[1] ^ v[2] ^ v[3];
	return (uint32_t)(h ^ h >> 32);
}

uint32_t otd_map_hash(const struct otd_map *m, const void *key, size_t n)
{
	return hash_of(m, key, n);
}

static const uint8_t *key_of(const struct slot *s)
{
	return s->len1 - 1 <= INLINE_MAX ? s->key.bytes : s->key.heap;
}

static void free_key(struct slot *s)
{
	if (s->len1 && s->len1 - 1 > INLINE_MAX)
		free(s->key.heap);
	s->len1 = 0;
}

struct otd_map *otd_map_create(const uint8_t seed[16], size_t max)
{
	struct otd_map *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->max = max;
	m->k0 = load64(seed);
	m->k1 = load64(seed + 8);
	return m;
}

void otd_map_destroy(struct otd_map *m)
{
	if (!m)
		return;
	otd_map_clear(m);
	free(m->slot);
	free(m);
}

/* The slot of the key, or the empty one where it would go. The table has an empty slot. */
static struct slot *find(const struct otd_map *m, uint32_t hash, const void *key, size_t n)
{
	size_t mask = m->n_slots - 1;
	for (size_t i = hash & mask;; i = (i + 1) & mask) {
		struct slot *s = &m->slot[i];
		if (!s->len1)
			return s;
		if (s->hash == hash && s->len1 - 1 == n && (!n || !memcmp(key_of(s), key, n)))
			return s;
	}
}

static bool grow(struct otd_map *m)
{
	size_t n = m->n_slots ? m->n_slots * 2 : FIRST_SLOTS;
	if (n > SIZE_MAX / sizeof(struct slot))
		return false;
	struct slot *to = calloc(n, sizeof(*to));
	if (!to)
		return false;
	for (size_t i = 0; i < m->n_slots; i++) {
		if (!m->slot[i].len1)
			continue;
		size_t j = m->slot[i].hash & (n - 1);
		while (to[j].len1)
			j = (j + 1) & (n - 1);
		to[j] = m->slot[i];
	}
	free(m->slot);
	m->slot = to;
	m->n_slots = n;
	return true;
}

static otd_rc insert(struct otd_map *m, uint32_t hash, const void *key, size_t n, uint64_t value)
{
	uint8_t *heap = NULL;
	if (m->count >= m->max)
		return OTD_E_NOMEM;
	/* At most three quarters full. */
	if (m->count + 1 > m->n_slots - m->n_slots / 4 && !grow(m))
		return OTD_E_NOMEM;
	if (n > INLINE_MAX) {
		heap = malloc(n);
		if (!heap)
			return OTD_E_NOMEM;
		memcpy(heap, key, n);
	}
	struct slot *s = find(m, hash, key, n);
	s->hash = hash;
	s->len1 = (uint32_t)n + 1;
	s->value = value;
	if (heap)
		s->key.heap = heap;
	else if (n)
		memcpy(s->key.bytes, key, n);
	m->count++;
	return OTD_OK;
}

otd_rc otd_map_add(struct otd_map *m, const void *key, size_t n, uint64_t value, uint64_t *old)
{
	if (n >= UINT32_MAX)
		return OTD_E_RANGE;
	uint32_t hash = hash_of(m, key, n);
	struct slot *s = m->n_slots ? find(m, hash, key, n) : NULL;
	if (!s || !s->len1)
		return insert(m, hash, key, n, value);
	if (old)
		*old = s->value;
	return OTD_E_EXISTS;
}

otd_rc otd_map_put(struct otd_map *m, const void *key, size_t n, uint64_t value)
{
	if (n >= UINT32_MAX)
		return OTD_E_RANGE;
	uint32_t hash = hash_of(m, key, n);
	struct slot *s = m->n_slots ? find(m, hash, key, n) : NULL;
	if (!s || !s->len1)
		return insert(m, hash, key, n, value);
	s->value = value;
	return OTD_OK;
}

bool otd_map_get(const struct otd_map *m, const void *key, size_t n, uint64_t *value)
{
	if (!m->count)
		return false;
	const struct slot *s = find(m, hash_of(m, key, n), key, n);
	if (!s->len1)
		return false;
	if (value)
		*value = s->value;
	return true;
}

bool otd_map_remove(struct otd_map *m, const void *key, size_t n, uint64_t *value)
{
	if (!m->count)
		return false;
	struct slot *s = find(m, hash_of(m, key, n), key, n);
	if (!s->len1)
		return false;
	if (value)
		*value = s->value;
	free_key(s);
	m->count--;
	/* Move back each follower that may stand in the gap: one whose home is not behind it. */
	size_t mask = m->n_slots - 1, gap = (size_t)(s - m->slot);
	for (size_t i = (gap + 1) & mask; m->slot[i].len1; i = (i + 1) & mask) {
		size_t home = m->slot[i].hash & mask;
		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		m->slot[gap] = m->slot[i];
		m->slot[i].len1 = 0;
		gap = i;
	}
	return true;
}

size_t otd_map_count(const struct otd_map *m)
{
	return m->count;
}

void otd_map_clear(struct otd_map *m)
{
	for (size_t i = 0; i < m->n_slots && m->count; i++)
		free_key(&m->slot[i]);
	m->count = 0;
}

bool otd_map_next(const struct otd_map *m, size_t *pos, const void **key, size_t *n,
		  uint64_t *value)
{
	while (*pos < m->n_slots) {
		const struct slot *s = &m->slot[(*pos)++];
		if (!s->len1)
			continue;
		if (key)
			*key = key_of(s);
		if (n)
			*n = s->len1 - 1;
		if (value)
			*value = s->value;
		return true;
	}
	return false;
}
