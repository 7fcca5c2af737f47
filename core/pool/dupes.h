/*
 * The hashes that were accepted on one tip: open addressing over 16 bytes of each hash, grown a
 * little with every entry so that no share waits for a rehash, bounded by a number of entries.
 * Two different hashes that agree in their low 128 bits would be taken for one: 2^-128 a pair.
 */
#ifndef OTD_POOL_DUPES_H
#define OTD_POOL_DUPES_H

#include <otedama/types.h>

struct otd_dupes_table {
	uint64_t (*slots)[2]; /* {0, 0}: empty */
	size_t mask, used;
};

struct otd_dupes {
	struct otd_dupes_table now, old; /* old: still being moved over */
	size_t moved;                    /* slots of old that are done */
	size_t max;
};

/* Allocates nothing yet. max: entries it may hold. */
void otd_dupes_init(struct otd_dupes *d, size_t max);
void otd_dupes_finish(struct otd_dupes *d);
/*
 * Looks a hash (32 bytes, little-endian number) up. OTD_OK: it is new, and *slot is where
 * otd_dupes_fill() puts it, valid until the next call of otd_dupes_look(). OTD_E_EXISTS: seen.
 * OTD_E_NOMEM: new, but the bound is reached.
 */
otd_rc otd_dupes_look(struct otd_dupes *d, size_t *slot, const uint8_t hash[32]);
/* Has the memory brought in that a look at this hash will need. */
void otd_dupes_prefetch(const struct otd_dupes *d, const uint8_t hash[32]);
void otd_dupes_fill(struct otd_dupes *d, size_t slot, const uint8_t hash[32]);
size_t otd_dupes_count(const struct otd_dupes *d);
/* Every entry once, as the first 16 bytes of its hash: a hash that begins so is the same to look(). */
void otd_dupes_each(const struct otd_dupes *d, void (*each)(void *arg, const uint64_t key[2]),
		    void *arg);

#endif
