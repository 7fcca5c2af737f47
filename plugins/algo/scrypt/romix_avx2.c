/*
 * scryptROMix for r = 1 with AVX2: two hashes share the halves of each register, and up to three such
 * pairs take turns, since one pair alone waits for its own results most of the time.
 *
 * A block of Salsa20 lies in four registers by diagonals (word i in column order is word 5 * i mod 16
 * of the text), so that both kinds of quarter rounds are the same code with lanes turned between them.
 */
#include "scrypt_impl.h"

#if defined(__x86_64__)
#include <immintrin.h>
#include <string.h>

enum { PAIRS = 3, ROWS = 8 };

#define INLINE static inline __attribute__((always_inline))

static const uint8_t diagonal[16] = {0, 5, 10, 15, 4, 9, 14, 3, 8, 13, 2, 7, 12, 1, 6, 11};

/* The text's words into rows, and back. */
static void to_rows(uint32_t rows[32], const uint8_t *block)
{
	for (int half = 0; half < 32; half += 16)
		for (int i = 0; i < 16; i++)
			memcpy(&rows[half + i], block + 4 * (half + diagonal[i]), 4);
}

static void from_rows(uint8_t *block, const uint32_t rows[32])
{
	for (int half = 0; half < 32; half += 16)
		for (int i = 0; i < 16; i++)
			memcpy(block + 4 * (half + diagonal[i]), &rows[half + i], 4);
}

/*
 * One statement for each pair. Written out, not a loop: where a compiler does not unroll such a loop,
 * the rows leave the registers and the code is six times slower.
 */
#define EACH(statement)                 \
	do {                            \
		{                       \
			enum { q = 0 }; \
			statement;      \
		}                       \
		if (pairs > 1) {        \
			enum { q = 1 }; \
			statement;      \
		}                       \
		if (pairs > 2) {        \
			enum { q = 2 }; \
			statement;      \
		}                       \
	} while (0)

/* b ^= (a + c) <<< n */
INLINE __m256i step(__m256i b, __m256i a, __m256i c, int n)
{
	__m256i t = _mm256_add_epi32(a, c);
	b = _mm256_xor_si256(b, _mm256_slli_epi32(t, n));
	return _mm256_xor_si256(b, _mm256_srli_epi32(t, 32 - n));
}

#define STEP(b, a, c, n) EACH(w[q][b] = step(w[q][b], w[q][a], w[q][c], n))
#define TURN(a, by)      EACH(w[q][a] = _mm256_shuffle_epi32(w[q][a], by))

INLINE void double_round(__m256i w[PAIRS][4], unsigned pairs)
{
	STEP(1, 0, 3, 7);
	STEP(2, 1, 0, 9);
	STEP(3, 2, 1, 13);
	STEP(0, 3, 2, 18);
	TURN(1, 0x93);
	TURN(2, 0x4e);
	TURN(3, 0x39);
	STEP(3, 0, 1, 7);
	STEP(2, 3, 0, 9);
	STEP(1, 2, 3, 13);
	STEP(0, 1, 2, 18);
	TURN(1, 0x39);
	TURN(2, 0x4e);
	TURN(3, 0x93);
}

/* w = to ^= from */
INLINE void xor_rows(__m256i w[4], __m256i to[4], const __m256i from[4])
{
	w[0] = to[0] = _mm256_xor_si256(to[0], from[0]);
	w[1] = to[1] = _mm256_xor_si256(to[1], from[1]);
	w[2] = to[2] = _mm256_xor_si256(to[2], from[2]);
	w[3] = to[3] = _mm256_xor_si256(to[3], from[3]);
}

INLINE void add_rows(__m256i to[4], const __m256i w[4])
{
	to[0] = _mm256_add_epi32(to[0], w[0]);
	to[1] = _mm256_add_epi32(to[1], w[1]);
	to[2] = _mm256_add_epi32(to[2], w[2]);
	to[3] = _mm256_add_epi32(to[3], w[3]);
}

/* x[to..] = Salsa20/8(x[to..] ^ x[from..]) */
INLINE void salsa8(__m256i (*x)[ROWS], unsigned to, unsigned from, unsigned pairs)
{
	__m256i w[PAIRS][4];
	EACH(xor_rows(w[q], x[q] + to, x[q] + from));
	double_round(w, pairs);
	double_round(w, pairs);
	double_round(w, pairs);
	double_round(w, pairs);
	EACH(add_rows(x[q] + to, w[q]));
}

INLINE void fill(__m256i (*x)[ROWS], uint8_t *const v[], size_t i, unsigned pairs)
{
	for (unsigned q = 0; q < pairs; q++) {
		__m128i *low = (__m128i *)(v[2 * q] + 128 * i);
		__m128i *high = (__m128i *)(v[2 * q + 1] + 128 * i);
#pragma GCC unroll 8
		for (unsigned k = 0; k < ROWS; k++) {
			_mm_store_si128(low + k, _mm256_castsi256_si128(x[q][k]));
			_mm_store_si128(high + k, _mm256_extracti128_si256(x[q][k], 1));
		}
	}
}

INLINE void take(__m256i (*x)[ROWS], uint8_t *const v[], uint32_t mask, unsigned pairs)
{
	for (unsigned q = 0; q < pairs; q++) {
		uint32_t i = (uint32_t)_mm256_extract_epi32(x[q][4], 0) & mask;
		uint32_t j = (uint32_t)_mm256_extract_epi32(x[q][4], 4) & mask;
		const __m128i *low = (const __m128i *)(v[2 * q] + 128 * (size_t)i);
		const __m128i *high = (const __m128i *)(v[2 * q + 1] + 128 * (size_t)j);
#pragma GCC unroll 8
		for (unsigned k = 0; k < ROWS; k++) {
			__m256i from = _mm256_inserti128_si256(
				_mm256_castsi128_si256(_mm_load_si128(low + k)),
				_mm_load_si128(high + k), 1);
			x[q][k] = _mm256_xor_si256(x[q][k], from);
		}
	}
}

INLINE void mix(__m256i (*x)[ROWS], uint8_t *const v[], uint32_t n, unsigned pairs)
{
	for (uint32_t i = 0; i < n; i++) {
		fill(x, v, i, pairs);
		salsa8(x, 0, 4, pairs);
		salsa8(x, 4, 0, pairs);
	}
	for (uint32_t i = 0; i < n; i++) {
		take(x, v, n - 1, pairs);
		salsa8(x, 0, 4, pairs);
		salsa8(x, 4, 0, pairs);
	}
}

static void romix(uint8_t *const b[], uint32_t n_lanes, uint8_t *const v[], uint8_t *xy, uint32_t n,
		  uint32_t r)
{
	_Alignas(32) uint32_t rows[2][32];
	__m256i x[PAIRS][ROWS];
	unsigned pairs = (n_lanes + 1) / 2;
	(void)xy;
	(void)r; /* 1, by r_max */
	for (unsigned q = 0; q < pairs; q++) {
		bool single = 2 * q + 1 == n_lanes; /* then its neighbour computes the same */
		to_rows(rows[0], b[2 * q]);
		to_rows(rows[1], b[single ? 2 * q : 2 * q + 1]);
		for (unsigned k = 0; k < ROWS; k++)
			x[q][k] = _mm256_set_m128i(_mm_load_si128((const __m128i *)rows[1] + k),
						   _mm_load_si128((const __m128i *)rows[0] + k));
	}
	/* each with its number of pairs known to the compiler */
	if (pairs == 3)
		mix(x, v, n, 3);
	else if (pairs == 2)
		mix(x, v, n, 2);
	else
		mix(x, v, n, 1);
	for (unsigned q = 0; q < pairs; q++) {
		for (unsigned k = 0; k < ROWS; k++) {
			_mm_store_si128((__m128i *)rows[0] + k, _mm256_castsi256_si128(x[q][k]));
			_mm_store_si128((__m128i *)rows[1] + k,
					_mm256_extracti128_si256(x[q][k], 1));
		}
		from_rows(b[2 * q], rows[0]);
		if (2 * q + 1 < n_lanes)
			from_rows(b[2 * q + 1], rows[1]);
	}
}

const struct scrypt_kernel scrypt_avx2 = {
	.name = "avx2",
	.variant = "avx2 x6",
	.lanes = 2 * PAIRS,
	.lanes_min = 2,
	.r_max = 1,
	.supported = scrypt_have_avx2,
	.romix = romix,
};
#endif
