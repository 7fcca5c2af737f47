/* scryptROMix in plain C, for any r and any processor: one lane after the other. */
#include "scrypt_impl.h"

#include <string.h>

static uint32_t load(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void store(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

#define ROTATE(x, n) ((x) << (n) | (x) >> (32 - (n)))
#define QUARTER(a, b, c, d)             \
	do {                            \
		b ^= ROTATE(a + d, 7);  \
		c ^= ROTATE(b + a, 9);  \
		d ^= ROTATE(c + b, 13); \
		a ^= ROTATE(d + c, 18); \
	} while (0)

/* x = Salsa20/8(x ^ in) */
static void salsa8(uint32_t x[16], const uint32_t in[16])
{
	uint32_t s[16];
	for (int i = 0; i < 16; i++)
		s[i] = x[i] ^= in[i];
	for (int i = 0; i < 4; i++) {
		QUARTER(s[0], s[4], s[8], s[12]);
		QUARTER(s[5], s[9], s[13], s[1]);
		QUARTER(s[10], s[14], s[2], s[6]);
		QUARTER(s[15], s[3], s[7], s[11]);
		QUARTER(s[0], s[1], s[2], s[3]);
		QUARTER(s[5], s[6], s[7], s[4]);
		QUARTER(s[10], s[11], s[8], s[9]);
		QUARTER(s[15], s[12], s[13], s[14]);
	}
	for (int i = 0; i < 16; i++)
		x[i] += s[i];
}

/* scryptBlockMix: y from b, both 32 * r words. */
static void block_mix(uint32_t *y, const uint32_t *b, uint32_t r)
{
	uint32_t x[16];
	memcpy(x, b + (size_t)16 * (2 * r - 1), sizeof(x));
	for (uint32_t i = 0; i < 2 * r; i++) {
		salsa8(x, b + (size_t)16 * i);
		/* the even ones first, then the odd ones */
		memcpy(y + (size_t)16 * (i / 2 + (i & 1) * r), x, sizeof(x));
	}
}

static void romix(uint8_t *block, uint32_t *v, uint32_t *x, uint32_t n, uint32_t r)
{
	const size_t words = (size_t)32 * r;
	uint32_t *y = x + words;
	for (size_t k = 0; k < words; k++)
		x[k] = load(block + 4 * k);
	/* n is a power of two, at least 2: two steps a turn save a copy each */
	for (uint32_t i = 0; i < n; i += 2) {
		memcpy(v + i * words, x, 4 * words);
		block_mix(y, x, r);
		memcpy(v + (i + 1) * words, y, 4 * words);
		block_mix(x, y, r);
	}
	for (uint32_t i = 0; i < n; i += 2) {
		const uint32_t *from = v + (x[words - 16] & (n - 1)) * words;
		for (size_t k = 0; k < words; k++)
			x[k] ^= from[k];
		block_mix(y, x, r);
		from = v + (y[words - 16] & (n - 1)) * words;
		for (size_t k = 0; k < words; k++)
			y[k] ^= from[k];
		block_mix(x, y, r);
	}
	for (size_t k = 0; k < words; k++)
		store(block + 4 * k, x[k]);
}

static void romix_all(uint8_t *const b[], uint32_t n_lanes, uint8_t *const v[], uint8_t *xy,
		      uint32_t n, uint32_t r)
{
	/* the scratch is aligned to 64, and so is each part of it */
	for (uint32_t i = 0; i < n_lanes; i++)
		romix(b[i], (void *)v[0], (void *)xy, n, r);
}

static bool supported(void)
{
	return true;
}

const struct scrypt_kernel scrypt_portable = {
	.name = "portable",
	.variant = "portable",
	.lanes = 1,
	.lanes_min = 1,
	.r_max = UINT32_MAX,
	.supported = supported,
	.romix = romix_all,
};
