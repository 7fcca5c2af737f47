/* SHA-256 with the crypto extension of ARMv8, two streams at once. */
#include "base/sha256/sha256.h"
#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { LANES = 2 };

struct stream {
	uint32x4_t abcd, efgh, m[4];
};

INLINE void quad(struct stream *x, int i)
{
	uint32x4_t wk = vaddq_u32(x->m[i & 3], vld1q_u32(otd_sha256_k + 4 * i)), abcd = x->abcd;
	if (i < 12)
		x->m[i & 3] = vsha256su1q_u32(vsha256su0q_u32(x->m[i & 3], x->m[(i + 1) & 3]),
					      x->m[(i + 2) & 3], x->m[(i + 3) & 3]);
	x->abcd = vsha256hq_u32(abcd, x->efgh, wk);
	x->efgh = vsha256h2q_u32(x->efgh, abcd, wk);
}

/* n streams, known when compiling: the processor overlaps them. */
INLINE void compress(struct stream *x, const int n)
{
	struct stream was[LANES];
	for (int l = 0; l < n; l++)
		was[l] = x[l];
#pragma GCC unroll 16
	for (int i = 0; i < 16; i++) {
		quad(&x[0], i);
		if (n > 1)
			quad(&x[1], i);
	}
	for (int l = 0; l < n; l++) {
		x[l].abcd = vaddq_u32(x[l].abcd, was[l].abcd);
		x[l].efgh = vaddq_u32(x[l].efgh, was[l].efgh);
	}
}

INLINE uint32x4_t load(const uint8_t *p)
{
	return vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(p)));
}

INLINE void load_block(struct stream *x, const uint8_t *p)
{
	for (int i = 0; i < 4; i++)
		x->m[i] = load(p + 16 * i);
}

INLINE void set_iv(struct stream *x)
{
	x->abcd = vld1q_u32(otd_sha256_iv);
	x->efgh = vld1q_u32(otd_sha256_iv + 4);
}

INLINE void second(struct stream *x, const int n)
{
	const uint32_t mark[4] = {0x80000000, 0, 0, 0}, bits[4] = {0, 0, 0, 256};
	for (int l = 0; l < n; l++) {
		x[l].m[0] = x[l].abcd;
		x[l].m[1] = x[l].efgh;
		x[l].m[2] = vld1q_u32(mark);
		x[l].m[3] = vld1q_u32(bits);
		set_iv(&x[l]);
	}
	compress(x, n);
}

INLINE void store(uint8_t *out, const struct stream *x)
{
	vst1q_u8(out, vrev32q_u8(vreinterpretq_u8_u32(x->abcd)));
	vst1q_u8(out + 16, vrev32q_u8(vreinterpretq_u8_u32(x->efgh)));
}

INLINE void pad80(struct stream *x, uint32x4_t tail)
{
	const uint32_t mark[4] = {0x80000000, 0, 0, 0}, bits[4] = {0, 0, 0, 640};
	x->m[0] = tail;
	x->m[1] = vld1q_u32(mark);
	x->m[2] = vdupq_n_u32(0);
	x->m[3] = vld1q_u32(bits);
}

INLINE void pad64(struct stream *x)
{
	const uint32_t mark[4] = {0x80000000, 0, 0, 0}, bits[4] = {0, 0, 0, 512};
	x->m[0] = vld1q_u32(mark);
	x->m[1] = vdupq_n_u32(0);
	x->m[2] = vdupq_n_u32(0);
	x->m[3] = vld1q_u32(bits);
}

INLINE void d_of(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, const int n,
		 const bool is_80)
{
	struct stream x[LANES];
	for (int l = 0; l < n; l++) {
		set_iv(&x[l]);
		load_block(&x[l], in + (size_t)l * stride);
	}
	compress(x, n);
	for (int l = 0; l < n; l++) {
		if (is_80)
			pad80(&x[l], load(in + (size_t)l * stride + 64));
		else
			pad64(&x[l]);
	}
	compress(x, n);
	second(x, n);
	for (int l = 0; l < n; l++)
		store(out + (size_t)l * out_stride, &x[l]);
}

static void d80(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	for (; n >= 2; n -= 2, in += 2 * stride, out += 2 * out_stride)
		d_of(out, out_stride, in, stride, 2, true);
	if (n)
		d_of(out, out_stride, in, stride, 1, true);
}

static void d64(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	for (; n >= 2; n -= 2, in += 2 * stride, out += 2 * out_stride)
		d_of(out, out_stride, in, stride, 2, false);
	if (n)
		d_of(out, out_stride, in, stride, 1, false);
}

static void blocks(uint32_t state[8], const uint8_t *p, size_t n)
{
	struct stream x;
	x.abcd = vld1q_u32(state);
	x.efgh = vld1q_u32(state + 4);
	for (; n; n--, p += 64) {
		load_block(&x, p);
		compress(&x, 1);
	}
	vst1q_u32(state, x.abcd);
	vst1q_u32(state + 4, x.efgh);
}

static uint32_t scan(const uint32_t midstate[8], const uint32_t tail[3], uint32_t first,
		     uint32_t top)
{
	uint32_t hits = 0;
	for (uint32_t i = 0; i < 32; i += LANES) {
		struct stream x[LANES];
		for (uint32_t l = 0; l < LANES; l++) {
			uint32_t w[4] = {tail[0], tail[1], tail[2],
					 __builtin_bswap32(first + i + l)};
			x[l].abcd = vld1q_u32(midstate);
			x[l].efgh = vld1q_u32(midstate + 4);
			pad80(&x[l], vld1q_u32(w));
		}
		compress(x, LANES);
		second(x, LANES);
		for (uint32_t l = 0; l < LANES; l++) {
			uint32_t h = __builtin_bswap32(vgetq_lane_u32(x[l].efgh, 3));
			hits |= (uint32_t)(h <= top) << (i + l);
		}
	}
	return hits;
}

const struct otd_sha256_kernel otd_sha256_armce = {
	"arm-ce", "arm-ce x2", otd_sha256_have_armce, blocks, d80, d64, 32, scan};
#endif
