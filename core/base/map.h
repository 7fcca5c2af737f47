/* Open-addressing hash map from byte keys to 64-bit values, keyed by a secret against collisions.
 */
#ifndef OTD_BASE_MAP_H
#define OTD_BASE_MAP_H

#include <otedama/types.h>

struct otd_map;

/* seed: 16 random bytes (env->random); max: entries it may hold. NULL where memory ran out. */
struct otd_map *otd_map_create(const uint8_t seed[16], size_t max);
void otd_map_destroy(struct otd_map *m);
/* Keys are copied. OTD_E_EXISTS leaves the old value and gives it in *old (may be NULL). */
otd_rc otd_map_add(struct otd_map *m, const void *key, size_t n, uint64_t value, uint64_t *old);
otd_rc otd_map_put(struct otd_map *m, const void *key, size_t n, uint64_t value); /* replaces */
bool otd_map_get(const struct otd_map *m, const void *key, size_t n, uint64_t *value);
bool otd_map_remove(struct otd_map *m, const void *key, size_t n, uint64_t *value);
/* The hash that keys have in m, for tables of one's own. */
uint32_t otd_map_hash(const struct otd_map *m, const void *key, size_t n);
size_t otd_map_count(const struct otd_map *m);
void otd_map_clear(struct otd_map *m);
/* Iterates in insertion-independent, unspecified order; *pos starts at 0. */
bool otd_map_next(const struct otd_map *m, size_t *pos, const void **key, size_t *n,
		  uint64_t *value);

#endif
