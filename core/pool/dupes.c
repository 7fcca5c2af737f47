/* Hashes seen on a tip, see pool/dupes.h. */
#include "pool/dupes.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_SLOTS 1024
/* Slots moved a look: a table twice as large fills to its next growth in slots / 2 looks, so two
   would do. */
#define MOVE_SLOTS 8

static void key_of(uint64_t key[2], const uint8_t hash[32])
{
	/* The low half of a hash is even where its high half is all zeros by the work done. */
	memcpy(key, hash, 16);
	if (!(key[0] | key[1]))
		key[1] = 1;
}

void otd_dupes_init(struct otd_dupes *d, size_t max)
{
	memset(d, 0, sizeof(*d));
	d->max = max;
}

void otd_dupes_finish(struct otd_dupes *d)
{
	size_t max = d->max;
	free(d->now.slots);
	free(d->old.slots);
	otd_dupes_init(d, max);
}

size_t otd_dupes_count(const struct otd_dupes *d)
{
	return d->now.used + d->old.used;
}

static size_t first_slot(const struct otd_dupes_table *t, const uint64_t key[2])
{
	return (size_t)(key[0] ^ key[1] >> 32) & t->mask;
}

void otd_dupes_prefetch(const struct otd_dupes *d, const uint8_t hash[32])
{
	uint64_t key[2];

	key_of(key, hash);
	if (d->now.slots)
		__builtin_prefetch(d->now.slots[first_slot(&d->now, key)]);
	if (d->old.slots)
		__builtin_prefetch(d->old.slots[first_slot(&d->old, key)]);
}

/* Where key stands, or the empty slot where it would. The table is never full. */
static size_t probe(const struct otd_dupes_table *t, const uint64_t key[2], bool *found)
{
	size_t i = first_slot(t, key);

	for (;; i = (i + 1) & t->mask) {
		const uint64_t *s = t->slots[i];
		if (s[0] == key[0] && s[1] == key[1]) {
			*found = true;
			return i;
		}
		if (!(s[0] | s[1])) {
			*found = false;
			return i;
		}
	}
}

/* Moved entries also stay in old until it goes, so that its probe chains hold. */
static void move_some(struct otd_dupes *d, size_t slots)
{
	for (; d->old.slots && slots; slots--) {
		const uint64_t *s = d->old.slots[d->moved];
		if (s[0] | s[1]) {
			bool found;
			size_t to = probe(&d->now, s, &found);
			memcpy(d->now.slots[to], s, sizeof(d->now.slots[to]));
			d->now.used++;
			d->old.used--;
		}
		if (d->moved++ == d->old.mask) {
			free(d->old.slots);
			memset(&d->old, 0, sizeof(d->old));
		}
	}
}

/* Makes sure of an empty slot beside the one to come. */
static otd_rc grow(struct otd_dupes *d)
{
	size_t slots = d->now.slots ? d->now.mask + 1 : 0;
	size_t want = slots ? 2 * slots : FIRST_SLOTS;

	if (otd_dupes_count(d) + 1 <= slots / 2)
		return OTD_OK;
	move_some(d, SIZE_MAX);
	uint64_t(*fresh)[2] = calloc(want, sizeof(*fresh));
	if (!fresh)
		return d->now.used + 1 < slots - slots / 8 ? OTD_OK : OTD_E_NOMEM;
	d->old = d->now;
	d->now.slots = fresh;
	d->now.mask = want - 1;
	d->now.used = 0;
	d->moved = 0;
	return OTD_OK;
}

otd_rc otd_dupes_look(struct otd_dupes *d, size_t *slot, const uint8_t hash[32])
{
	uint64_t key[2];
	bool found = false;

	*slot = 0;
	key_of(key, hash);
	move_some(d, MOVE_SLOTS);
	if (d->old.slots) {
		(void)probe(&d->old, key, &found);
		if (found)
			return OTD_E_EXISTS;
	}
	if (d->now.slots) {
		*slot = probe(&d->now, key, &found);
		if (found)
			return OTD_E_EXISTS;
	}
	if (otd_dupes_count(d) >= d->max)
		return OTD_E_NOMEM;
	size_t before = d->now.mask;
	otd_rc rc = grow(d);
	if (!rc && (d->now.mask != before || !before))
		*slot = probe(&d->now, key, &found);
	return rc;
}

void otd_dupes_fill(struct otd_dupes *d, size_t slot, const uint8_t hash[32])
{
	key_of(d->now.slots[slot], hash);
	d->now.used++;
}

static void each_from(const struct otd_dupes_table *t, size_t from,
		      void (*each)(void *arg, const uint64_t key[2]), void *arg)
{
	for (size_t i = from; t->slots && i <= t->mask; i++) {
		if (t->slots[i][0] | t->slots[i][1])
			each(arg, t->slots[i]);
	}
}

void otd_dupes_each(const struct otd_dupes *d, void (*each)(void *arg, const uint64_t key[2]),
		    void *arg)
{
	/* Those that were moved are in now as well. */
	each_from(&d->old, d->moved, each, arg);
	each_from(&d->now, 0, each, arg);
}
