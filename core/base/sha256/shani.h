/*
 * SHA-256 with the SHA extensions of x86-64, up to four streams at once: one stream waits for the
 * latency of sha256rnds2, four keep its unit busy. The streams are written out by macros, since
 * compilers do not unroll such loops reliably. Included by a file for each set of registers.
 */
#include "base/sha256/sha256.h"
#include <immintrin.h>
#include <string.h>

/* The statements with l = 0 .. L-1; L is 1, 2 or 4, known when compiling. */
#define EACH(L, ...)                            \
	do {                                    \
		{                               \
			enum { l = 0 };         \
			__VA_ARGS__;            \
		}                               \
		if ((L) > 1) {                  \
			enum { l = 1 };         \
			__VA_ARGS__;            \
		}                               \
		if ((L) > 2) {                  \
			{                       \
				enum { l = 2 }; \
				__VA_ARGS__;    \
			}                       \
			{                       \
				enum { l = 3 }; \
				__VA_ARGS__;    \
			}                       \
		}                               \
	} while (0)

#define INLINE static inline __attribute__((always_inline))

enum { MOST = 4 };

/* State as the instructions want it: s0 = ABEF, s1 = CDGH; m: the block, 4 words each. */
struct streams {
	__m128i s0[MOST], s1[MOST], m[MOST][4];
};

#define CONST(table, i) _mm_load_si128((const __m128i *)((table) + 4 * (i)))

/* Rounds 4i .. 4i+3 and what the schedule can do meanwhile. */
#define QUAD(L, i)                                                                              \
	EACH(                                                                                   \
		L, __m128i wk = _mm_add_epi32(x->m[l][(i)&3], CONST(otd_sha256_k, i));          \
		x->s1[l] = _mm_sha256rnds2_epu32(x->s1[l], x->s0[l], wk);                       \
		if ((i) >= 3 && (i) < 15) {                                                     \
			__m128i t = _mm_alignr_epi8(x->m[l][(i)&3], x->m[l][((i) + 3) & 3], 4); \
			t = _mm_add_epi32(x->m[l][((i) + 1) & 3], t);                           \
			x->m[l][((i) + 1) & 3] = _mm_sha256msg2_epu32(t, x->m[l][(i)&3]);       \
		} wk = _mm_shuffle_epi32(wk, 0x0e);                                             \
		x->s0[l] = _mm_sha256rnds2_epu32(x->s0[l], x->s1[l], wk);                       \
		if ((i) >= 1 && (i) < 13) x->m[l][((i) + 3) & 3] =                              \
			_mm_sha256msg1_epu32(x->m[l][((i) + 3) & 3], x->m[l][(i)&3]))

/* The same where the schedule is known. */
#define QUAD_CONST(L, i)                                               \
	EACH(L, __m128i wk = CONST(otd_sha256_pad64, i);               \
	     x->s1[l] = _mm_sha256rnds2_epu32(x->s1[l], x->s0[l], wk); \
	     wk = _mm_shuffle_epi32(wk, 0x0e);                         \
	     x->s0[l] = _mm_sha256rnds2_epu32(x->s0[l], x->s1[l], wk))

#define ALL_ROUNDS(QUADS, L)  \
	do {                  \
		QUADS(L, 0);  \
		QUADS(L, 1);  \
		QUADS(L, 2);  \
		QUADS(L, 3);  \
		QUADS(L, 4);  \
		QUADS(L, 5);  \
		QUADS(L, 6);  \
		QUADS(L, 7);  \
		QUADS(L, 8);  \
		QUADS(L, 9);  \
		QUADS(L, 10); \
		QUADS(L, 11); \
		QUADS(L, 12); \
		QUADS(L, 13); \
		QUADS(L, 14); \
		QUADS(L, 15); \
	} while (0)

INLINE __m128i word_order(void)
{
	return _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
}

INLINE void set_iv(struct streams *x, const int L)
{
	EACH(L, x->s0[l] = _mm_set_epi32(0x6a09e667, (int)0xbb67ae85, 0x510e527f, (int)0x9b05688c);
	     x->s1[l] = _mm_set_epi32(0x3c6ef372, (int)0xa54ff53a, 0x1f83d9ab, 0x5be0cd19));
}

INLINE void compress(struct streams *x, const int L)
{
	struct streams was;
	EACH(L, was.s0[l] = x->s0[l]; was.s1[l] = x->s1[l]);
	ALL_ROUNDS(QUAD, L);
	EACH(L, x->s0[l] = _mm_add_epi32(x->s0[l], was.s0[l]);
	     x->s1[l] = _mm_add_epi32(x->s1[l], was.s1[l]));
}

INLINE void compress_pad64(struct streams *x, const int L)
{
	struct streams was;
	EACH(L, was.s0[l] = x->s0[l]; was.s1[l] = x->s1[l]);
	ALL_ROUNDS(QUAD_CONST, L);
	EACH(L, x->s0[l] = _mm_add_epi32(x->s0[l], was.s0[l]);
	     x->s1[l] = _mm_add_epi32(x->s1[l], was.s1[l]));
}

/* The state as words A..D and E..H. */
INLINE __m128i words_low(__m128i s0, __m128i s1)
{
	return _mm_shuffle_epi32(_mm_unpackhi_epi64(s0, s1), 0xb1);
}

INLINE __m128i words_high(__m128i s0, __m128i s1)
{
	return _mm_shuffle_epi32(_mm_unpacklo_epi64(s0, s1), 0xb1);
}

/* From the state of the first hash to that of the second. */
INLINE void second(struct streams *x, const int L)
{
	EACH(L, x->m[l][0] = words_low(x->s0[l], x->s1[l]);
	     x->m[l][1] = words_high(x->s0[l], x->s1[l]);
	     x->m[l][2] = _mm_set_epi32(0, 0, 0, (int)0x80000000);
	     x->m[l][3] = _mm_set_epi32(256, 0, 0, 0));
	set_iv(x, L);
	compress(x, L);
}

INLINE __m128i load(const uint8_t *p)
{
	return _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p), word_order());
}

INLINE void load_block(struct streams *x, const uint8_t *p, size_t stride, const int L)
{
	EACH(L, const uint8_t *q = p + l * stride; x->m[l][0] = load(q); x->m[l][1] = load(q + 16);
	     x->m[l][2] = load(q + 32); x->m[l][3] = load(q + 48));
}

INLINE void store(uint8_t *out, size_t out_stride, const struct streams *x, const int L)
{
	EACH(L, __m128i *to = (__m128i *)(out + l * out_stride);
	     _mm_storeu_si128(to, _mm_shuffle_epi8(words_low(x->s0[l], x->s1[l]), word_order()));
	     _mm_storeu_si128(to + 1,
			      _mm_shuffle_epi8(words_high(x->s0[l], x->s1[l]), word_order())));
}

INLINE void d80_of(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, const int L)
{
	struct streams x;
	set_iv(&x, L);
	load_block(&x, in, stride, L);
	compress(&x, L);
	EACH(L, x.m[l][0] = load(in + l * stride + 64);
	     x.m[l][1] = _mm_set_epi32(0, 0, 0, (int)0x80000000); x.m[l][2] = _mm_setzero_si128();
	     x.m[l][3] = _mm_set_epi32(640, 0, 0, 0));
	compress(&x, L);
	second(&x, L);
	store(out, out_stride, &x, L);
}

INLINE void d64_of(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, const int L)
{
	struct streams x;
	set_iv(&x, L);
	load_block(&x, in, stride, L);
	compress(&x, L);
	compress_pad64(&x, L);
	second(&x, L);
	store(out, out_stride, &x, L);
}

static void d80(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	for (; n >= 4; n -= 4, in += 4 * stride, out += 4 * out_stride)
		d80_of(out, out_stride, in, stride, 4);
	if (n & 2) {
		d80_of(out, out_stride, in, stride, 2);
		in += 2 * stride;
		out += 2 * out_stride;
	}
	if (n & 1)
		d80_of(out, out_stride, in, stride, 1);
}

static void d64(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	for (; n >= 4; n -= 4, in += 4 * stride, out += 4 * out_stride)
		d64_of(out, out_stride, in, stride, 4);
	if (n & 2) {
		d64_of(out, out_stride, in, stride, 2);
		in += 2 * stride;
		out += 2 * out_stride;
	}
	if (n & 1)
		d64_of(out, out_stride, in, stride, 1);
}

/* The digest of one level is the first half of the next level's block as it stands in the registers. */
INLINE void fold_of(uint8_t *roots, size_t stride, const uint8_t (*branches)[32], size_t n_branches,
		    const int L)
{
	struct streams x;
	EACH(L, const uint8_t *q = roots + l * stride; x.m[l][0] = load(q);
	     x.m[l][1] = load(q + 16));
	for (size_t b = 0; b < n_branches; b++) {
		__m128i low = load(branches[b]), high = load(branches[b] + 16);
		EACH(L, x.m[l][2] = low; x.m[l][3] = high);
		set_iv(&x, L);
		compress(&x, L);
		compress_pad64(&x, L);
		second(&x, L);
		EACH(L, x.m[l][0] = words_low(x.s0[l], x.s1[l]);
		     x.m[l][1] = words_high(x.s0[l], x.s1[l]));
	}
	EACH(L, __m128i *to = (__m128i *)(roots + l * stride);
	     _mm_storeu_si128(to, _mm_shuffle_epi8(x.m[l][0], word_order()));
	     _mm_storeu_si128(to + 1, _mm_shuffle_epi8(x.m[l][1], word_order())));
}

static void fold(uint8_t *roots, size_t stride, const uint8_t (*branches)[32], size_t n_branches,
		 size_t n)
{
	for (; n >= 4; n -= 4, roots += 4 * stride)
		fold_of(roots, stride, branches, n_branches, 4);
	if (n & 2) {
		fold_of(roots, stride, branches, n_branches, 2);
		roots += 2 * stride;
	}
	if (n & 1)
		fold_of(roots, stride, branches, n_branches, 1);
}

INLINE void from_words(__m128i *s0, __m128i *s1, const uint32_t state[8])
{
	__m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
	__m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
	*s0 = _mm_alignr_epi8(cdab, efgh, 8);
	*s1 = _mm_blend_epi16(efgh, cdab, 0xf0);
}

static void blocks(uint32_t state[8], const uint8_t *p, size_t n)
{
	struct streams x;
	from_words(&x.s0[0], &x.s1[0], state);
	for (; n; n--, p += 64) {
		load_block(&x, p, 0, 1);
		compress(&x, 1);
	}
	_mm_storeu_si128((__m128i *)state, words_low(x.s0[0], x.s1[0]));
	_mm_storeu_si128((__m128i *)(state + 4), words_high(x.s0[0], x.s1[0]));
}

INLINE void tails_of(uint8_t *out, size_t out_stride, const uint32_t state[8], const uint8_t *in,
		     size_t stride, size_t n_blocks, const int L)
{
	struct streams x;
	__m128i s0, s1;
	from_words(&s0, &s1, state);
	EACH(L, x.s0[l] = s0; x.s1[l] = s1);
	for (size_t b = 0; b < n_blocks; b++) {
		load_block(&x, in + 64 * b, stride, L);
		compress(&x, L);
	}
	second(&x, L);
	store(out, out_stride, &x, L);
}

static void tails(uint8_t *out, size_t out_stride, const uint32_t state[8], const uint8_t *in,
		  size_t stride, size_t n_blocks, size_t n)
{
	for (; n >= 4; n -= 4, in += 4 * stride, out += 4 * out_stride)
		tails_of(out, out_stride, state, in, stride, n_blocks, 4);
	if (n & 2) {
		tails_of(out, out_stride, state, in, stride, n_blocks, 2);
		in += 2 * stride;
		out += 2 * out_stride;
	}
	if (n & 1)
		tails_of(out, out_stride, state, in, stride, n_blocks, 1);
}

/* Only the last word of the digest is read, so the compiler drops the last rounds. */
static uint32_t scan(const uint32_t midstate[8], const uint32_t tail[3], uint32_t first,
		     uint32_t top)
{
	__m128i s0, s1, m0 = _mm_set_epi32(0, (int)tail[2], (int)tail[1], (int)tail[0]);
	uint32_t hits = 0;
	from_words(&s0, &s1, midstate);
	for (uint32_t i = 0; i < 32; i += 4) {
		struct streams x;
		EACH(4, x.s0[l] = s0; x.s1[l] = s1;
		     x.m[l][0] = _mm_insert_epi32(m0, (int)__builtin_bswap32(first + i + l), 3);
		     x.m[l][1] = _mm_set_epi32(0, 0, 0, (int)0x80000000);
		     x.m[l][2] = _mm_setzero_si128(); x.m[l][3] = _mm_set_epi32(640, 0, 0, 0));
		compress(&x, 4);
		second(&x, 4);
		EACH(4, uint32_t h = (uint32_t)_mm_cvtsi128_si32(x.s1[l]);
		     hits |= (uint32_t)(__builtin_bswap32(h) <= top) << (i + l));
	}
	return hits;
}
