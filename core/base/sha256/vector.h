/*
 * SHA-256 of LANES messages at once, one a lane of a vector of 32-bit words. Included by a file that
 * has defined VEC, LANES, ADD, XOR, ROTR, SHR, CH, MAJ, SPLAT, GATHER and TOP_HITS.
 */
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

#define ROUND(a, b, c, d, e, f, g, h, i)                                                    \
	do {                                                                                \
		VEC t1 = ADD(h, XOR(ROTR(e, 6), XOR(ROTR(e, 11), ROTR(e, 25))));            \
		t1 = ADD(t1, ADD(CH(e, f, g), ADD(w[i], SPLAT(otd_sha256_k[r + (i)]))));    \
		VEC t2 = ADD(XOR(ROTR(a, 2), XOR(ROTR(a, 13), ROTR(a, 22))), MAJ(a, b, c)); \
		d = ADD(d, t1);                                                             \
		h = ADD(t1, t2);                                                            \
	} while (0)

#define EXTEND(i)                                                    \
	do {                                                         \
		VEC x = w[((i) + 1) & 15], y = w[((i) + 14) & 15];   \
		x = XOR(ROTR(x, 7), XOR(ROTR(x, 18), SHR(x, 3)));    \
		y = XOR(ROTR(y, 17), XOR(ROTR(y, 19), SHR(y, 10)));  \
		w[i] = ADD(ADD(w[i], x), ADD(w[((i) + 9) & 15], y)); \
	} while (0)

#define EIGHT(i)                                        \
	do {                                            \
		ROUND(a, b, c, d, e, f, g, h, (i));     \
		ROUND(h, a, b, c, d, e, f, g, (i) + 1); \
		ROUND(g, h, a, b, c, d, e, f, (i) + 2); \
		ROUND(f, g, h, a, b, c, d, e, (i) + 3); \
		ROUND(e, f, g, h, a, b, c, d, (i) + 4); \
		ROUND(d, e, f, g, h, a, b, c, (i) + 5); \
		ROUND(c, d, e, f, g, h, a, b, (i) + 6); \
		ROUND(b, c, d, e, f, g, h, a, (i) + 7); \
	} while (0)

#define EXTEND_FOUR(i)           \
	do {                     \
		EXTEND(i);       \
		EXTEND((i) + 1); \
		EXTEND((i) + 2); \
		EXTEND((i) + 3); \
	} while (0)

/* One block a lane; w is used up. */
INLINE void compress(VEC s[8], VEC w[16])
{
	VEC a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
	for (int r = 0;; r += 16) {
		EIGHT(0);
		EIGHT(8);
		if (r == 48)
			break;
		EXTEND_FOUR(0);
		EXTEND_FOUR(4);
		EXTEND_FOUR(8);
		EXTEND_FOUR(12);
	}
	s[0] = ADD(s[0], a);
	s[1] = ADD(s[1], b);
	s[2] = ADD(s[2], c);
	s[3] = ADD(s[3], d);
	s[4] = ADD(s[4], e);
	s[5] = ADD(s[5], f);
	s[6] = ADD(s[6], g);
	s[7] = ADD(s[7], h);
}

INLINE void set_iv(VEC s[8])
{
	for (int i = 0; i < 8; i++)
		s[i] = SPLAT(otd_sha256_iv[i]);
}

/* Words first .. 14 are the end mark and zeros, word 15 the length in bits. */
INLINE void pad(VEC w[16], int first, uint32_t bits)
{
	w[first] = SPLAT(0x80000000);
	for (int i = first + 1; i < 15; i++)
		w[i] = SPLAT(0);
	w[15] = SPLAT(bits);
}

INLINE void second(VEC s[8])
{
	VEC w[16];
	for (int i = 0; i < 8; i++)
		w[i] = s[i];
	pad(w, 8, 256);
	set_iv(s);
	compress(s, w);
}

static void store(uint8_t *out, size_t out_stride, const VEC s[8])
{
	uint32_t words[8][LANES];
	for (int i = 0; i < 8; i++)
		memcpy(words[i], &s[i], sizeof(words[i]));
	for (int l = 0; l < LANES; l++) {
		for (int i = 0; i < 8; i++)
			otd_sha256_store(out + (size_t)l * out_stride + 4 * i, words[i][l]);
	}
}

static void d80_lanes(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride)
{
	VEC s[8], w[16];
	for (int i = 0; i < 16; i++)
		w[i] = GATHER(in + 4 * i, stride);
	set_iv(s);
	compress(s, w);
	for (int i = 0; i < 4; i++)
		w[i] = GATHER(in + 64 + 4 * i, stride);
	pad(w, 4, 640);
	compress(s, w);
	second(s);
	store(out, out_stride, s);
}

static void d64_lanes(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride)
{
	VEC s[8], w[16];
	for (int i = 0; i < 16; i++)
		w[i] = GATHER(in + 4 * i, stride);
	set_iv(s);
	compress(s, w);
	pad(w, 0, 512);
	compress(s, w);
	second(s);
	store(out, out_stride, s);
}

/*
 * The rest of a batch, fewer than LANES: a few go one by one, more of them in lanes of which some are
 * idle. All lanes together cost what two or three messages cost one by one.
 */
enum { ALONE = 2 };

static void copy_rest(uint8_t *to, const uint8_t *in, size_t stride, size_t size, size_t n)
{
	memset(to, 0, LANES * size);
	for (size_t i = 0; i < n; i++)
		memcpy(to + i * size, in + i * stride, size);
}

static void copy_out(uint8_t *out, size_t out_stride, const uint8_t *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memcpy(out + i * out_stride, from + 32 * i, 32);
}

static void d80(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	uint8_t rest[LANES * 80], digests[LANES * 32];
	for (; n >= LANES; n -= LANES, in += LANES * stride, out += LANES * out_stride)
		d80_lanes(out, out_stride, in, stride);
	if (n <= ALONE) {
		otd_sha256_portable.d80(out, out_stride, in, stride, n);
		return;
	}
	copy_rest(rest, in, stride, 80, n);
	d80_lanes(digests, 32, rest, 80);
	copy_out(out, out_stride, digests, n);
}

static void d64(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	uint8_t rest[LANES * 64], digests[LANES * 32];
	for (; n >= LANES; n -= LANES, in += LANES * stride, out += LANES * out_stride)
		d64_lanes(out, out_stride, in, stride);
	if (n <= ALONE) {
		otd_sha256_portable.d64(out, out_stride, in, stride, n);
		return;
	}
	copy_rest(rest, in, stride, 64, n);
	d64_lanes(digests, 32, rest, 64);
	copy_out(out, out_stride, digests, n);
}

/* The digest of one level is the first half of the next level's block as it stands in the registers. */
static void fold_lanes(uint8_t *roots, size_t stride, const uint8_t (*branches)[32],
		       size_t n_branches)
{
	VEC root[8], s[8], w[16];
	for (int i = 0; i < 8; i++)
		root[i] = GATHER(roots + 4 * i, stride);
	for (size_t b = 0; b < n_branches; b++) {
		for (int i = 0; i < 8; i++) {
			w[i] = root[i];
			w[8 + i] = SPLAT(otd_sha256_load(branches[b] + 4 * i));
		}
		set_iv(s);
		compress(s, w);
		pad(w, 0, 512);
		compress(s, w);
		second(s);
		for (int i = 0; i < 8; i++)
			root[i] = s[i];
	}
	store(roots, stride, root);
}

static void fold(uint8_t *roots, size_t stride, const uint8_t (*branches)[32], size_t n_branches,
		 size_t n)
{
	uint8_t rest[LANES * 32];
	for (; n >= LANES; n -= LANES, roots += LANES * stride)
		fold_lanes(roots, stride, branches, n_branches);
	if (n <= ALONE) {
		otd_sha256_portable.fold(roots, stride, branches, n_branches, n);
		return;
	}
	copy_rest(rest, roots, stride, 32, n);
	fold_lanes(rest, 32, branches, n_branches);
	copy_out(roots, stride, rest, n);
}

static void tails_lanes(uint8_t *out, size_t out_stride, const uint32_t state[8], const uint8_t *in,
			size_t stride, size_t n_blocks)
{
	VEC s[8], w[16];
	for (int i = 0; i < 8; i++)
		s[i] = SPLAT(state[i]);
	for (size_t b = 0; b < n_blocks; b++) {
		for (int i = 0; i < 16; i++)
			w[i] = GATHER(in + 64 * b + 4 * i, stride);
		compress(s, w);
	}
	second(s);
	store(out, out_stride, s);
}

/* Messages have no bound, so what is left of them goes one by one. */
static void tails(uint8_t *out, size_t out_stride, const uint32_t state[8], const uint8_t *in,
		  size_t stride, size_t n_blocks, size_t n)
{
	for (; n >= LANES; n -= LANES, in += LANES * stride, out += LANES * out_stride)
		tails_lanes(out, out_stride, state, in, stride, n_blocks);
	otd_sha256_portable.tails(out, out_stride, state, in, stride, n_blocks, n);
}

static void blocks(uint32_t state[8], const uint8_t *p, size_t n)
{
	otd_sha256_portable.blocks(state, p, n);
}

static uint32_t scan(const uint32_t midstate[8], const uint32_t tail[3], uint32_t first,
		     uint32_t top)
{
	uint32_t hits = 0;
	for (uint32_t i = 0; i < 32; i += LANES) {
		uint32_t nonces[LANES];
		VEC s[8], w[16];
		for (uint32_t l = 0; l < LANES; l++)
			nonces[l] = __builtin_bswap32(first + i + l);
		for (int j = 0; j < 8; j++)
			s[j] = SPLAT(midstate[j]);
		for (int j = 0; j < 3; j++)
			w[j] = SPLAT(tail[j]);
		memcpy(&w[3], nonces, sizeof(nonces));
		pad(w, 4, 640);
		compress(s, w);
		second(s);
		hits |= TOP_HITS(s[7], top) << i;
	}
	return hits;
}
