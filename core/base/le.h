/* Integers of n bytes (1 to 8) in files of ours, least significant first. [any-thread] */
#ifndef OTD_BASE_LE_H
#define OTD_BASE_LE_H

#include <stdint.h>

static inline void otd_le_put(uint8_t *to, uint64_t v, int n)
{
	for (int i = 0; i < n; i++)
		to[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t otd_le_get(const uint8_t *from, int n)
{
	uint64_t v = 0;
	for (int i = n; i-- > 0;)
		v = v << 8 | from[i];
	return v;
}

#endif
