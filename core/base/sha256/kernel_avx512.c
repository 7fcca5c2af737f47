/* SHA-256 of sixteen messages at once with AVX-512: rotations and three-way logic in one step. */
#include "base/sha256/sha256.h"
#if defined(__x86_64__)
#include <immintrin.h>

#define VEC               __m512i
#define LANES             16
#define ADD(a, b)         _mm512_add_epi32(a, b)
#define XOR(a, b)         _mm512_xor_si512(a, b)
#define SHR(x, n)         _mm512_srli_epi32(x, n)
#define ROTR(x, n)        _mm512_ror_epi32(x, n)
#define CH(e, f, g)       _mm512_ternarylogic_epi32(e, f, g, 0xca)
#define MAJ(a, b, c)      _mm512_ternarylogic_epi32(a, b, c, 0xe8)
#define SPLAT(x)          _mm512_set1_epi32((int)(x))
#define GATHER(p, stride) gather16(p, stride)
#define TOP_HITS(h, top)  top_hits16(h, top)

static inline __m512i swap_bytes(__m512i x)
{
	return _mm512_shuffle_epi8(x, _mm512_broadcast_i32x4(_mm_set_epi64x(0x0c0d0e0f08090a0bLL,
									    0x0405060700010203LL)));
}

static inline __m512i gather16(const uint8_t *p, size_t stride)
{
	uint32_t v[16];
	for (size_t l = 0; l < 16; l++)
		__builtin_memcpy(&v[l], p + l * stride, 4);
	return swap_bytes(_mm512_loadu_si512(v));
}

static inline uint32_t top_hits16(__m512i h, uint32_t top)
{
	return _mm512_cmple_epu32_mask(swap_bytes(h), _mm512_set1_epi32((int)top));
}

#include "base/sha256/vector.h"

const struct otd_sha256_kernel otd_sha256_avx512 = {
	"avx512", "avx512 x16", otd_sha256_have_avx512, blocks, d80, d64, 32, scan, fold, tails};
#endif
