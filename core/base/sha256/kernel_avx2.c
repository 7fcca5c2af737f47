/* SHA-256 of eight messages at once with AVX2: for processors without the SHA extensions. */
#include "base/sha256/sha256.h"
#if defined(__x86_64__)
#include <immintrin.h>

#define VEC               __m256i
#define LANES             8
#define ADD(a, b)         _mm256_add_epi32(a, b)
#define XOR(a, b)         _mm256_xor_si256(a, b)
#define AND(a, b)         _mm256_and_si256(a, b)
#define SHR(x, n)         _mm256_srli_epi32(x, n)
#define ROTR(x, n)        _mm256_or_si256(_mm256_srli_epi32(x, n), _mm256_slli_epi32(x, 32 - (n)))
#define CH(e, f, g)       XOR(g, AND(e, XOR(f, g)))
#define MAJ(a, b, c)      _mm256_or_si256(AND(a, b), AND(c, _mm256_or_si256(a, b)))
#define SPLAT(x)          _mm256_set1_epi32((int)(x))
#define GATHER(p, stride) gather8(p, stride)
#define TOP_HITS(h, top)  top_hits8(h, top)

static inline __m256i swap_bytes(__m256i x)
{
	return _mm256_shuffle_epi8(x,
				   _mm256_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL,
						     0x0c0d0e0f08090a0bLL, 0x0405060700010203LL));
}

static inline uint32_t raw(const uint8_t *p)
{
	uint32_t v;
	__builtin_memcpy(&v, p, 4);
	return v;
}

static inline __m256i gather8(const uint8_t *p, size_t n)
{
	return swap_bytes(_mm256_set_epi32(
		(int)raw(p + 7 * n), (int)raw(p + 6 * n), (int)raw(p + 5 * n), (int)raw(p + 4 * n),
		(int)raw(p + 3 * n), (int)raw(p + 2 * n), (int)raw(p + n), (int)raw(p)));
}

/* Unsigned "at most" is "the larger of both is top". */
static inline uint32_t top_hits8(__m256i h, uint32_t top)
{
	__m256i limit = _mm256_set1_epi32((int)top);
	__m256i hit = _mm256_cmpeq_epi32(_mm256_max_epu32(swap_bytes(h), limit), limit);
	return (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(hit));
}

#include "base/sha256/vector.h"

const struct otd_sha256_kernel otd_sha256_avx2 = {
	"avx2", "avx2 x8", otd_sha256_have_avx2, blocks, d80, d64, 32, scan, fold, tails};
#endif
