/* SHA-256 in plain C: FIPS 180-4. The reference for the other kernels. */
#include "base/sha256/sha256.h"
#include <string.h>

const uint32_t otd_sha256_iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
				   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

const uint32_t otd_sha256_k[64] __attribute__((aligned(64))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2};

/* Round constant plus schedule of the block that pads a message of 64 bytes: 0x80, zeros, 512. The
   tests hold it against the definition. */
const uint32_t otd_sha256_pad64[64] __attribute__((aligned(64))) = {
	0xc28a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf374, 0x649b69c1, 0xf0fe4786, 0x0fe1edc6, 0x240cf254, 0x4fe9346f,
	0x6cc984be, 0x61b9411e, 0x16f988fa, 0xf2c65152, 0xa88e5a6d, 0xb019fc65, 0xb9d99ec7,
	0x9a1231c3, 0xe70eeaa0, 0xfdb1232b, 0xc7353eb0, 0x3069bad5, 0xcb976d5f, 0x5a0f118f,
	0xdc1eeefd, 0x0a35b689, 0xde0b7a04, 0x58f4ca9d, 0xe15d5b16, 0x007f3e86, 0x37088980,
	0xa507ea32, 0x6fab9537, 0x17406110, 0x0d8cd6f1, 0xcdaa3b6d, 0xc0bbbe37, 0x83613bda,
	0xdb48a363, 0x0b02e931, 0x6fd15ca7, 0x521afaca, 0x31338431, 0x6ed41a95, 0x6d437890,
	0xc39c91f2, 0x9eccabbd, 0xb5c9a0e6, 0x532fb63c, 0xd2c741c6, 0x07237ea3, 0xa4954b68,
	0x4c191d76};

static inline uint32_t rotr(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

#define ROUND(a, b, c, d, e, f, g, h, i)                                                           \
	do {                                                                                       \
		uint32_t t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) + \
			      otd_sha256_k[r + (i)] + w[i];                                        \
		uint32_t t2 =                                                                      \
			(rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (c & (a | b)));      \
		d += t1;                                                                           \
		h = t1 + t2;                                                                       \
	} while (0)

#define EXTEND(i)                                                                 \
	do {                                                                      \
		uint32_t x = w[((i) + 1) & 15], y = w[((i) + 14) & 15];           \
		w[i] += (rotr(x, 7) ^ rotr(x, 18) ^ x >> 3) + w[((i) + 9) & 15] + \
			(rotr(y, 17) ^ rotr(y, 19) ^ y >> 10);                    \
	} while (0)

/* Eight rounds bring the registers back to their places. */
#define EIGHT(STEP, i)                                 \
	do {                                           \
		STEP(a, b, c, d, e, f, g, h, (i));     \
		STEP(h, a, b, c, d, e, f, g, (i) + 1); \
		STEP(g, h, a, b, c, d, e, f, (i) + 2); \
		STEP(f, g, h, a, b, c, d, e, (i) + 3); \
		STEP(e, f, g, h, a, b, c, d, (i) + 4); \
		STEP(d, e, f, g, h, a, b, c, (i) + 5); \
		STEP(c, d, e, f, g, h, a, b, (i) + 6); \
		STEP(b, c, d, e, f, g, h, a, (i) + 7); \
	} while (0)

#define ROUND_EXTENDED(a, b, c, d, e, f, g, h, i) \
	do {                                      \
		EXTEND(i);                        \
		ROUND(a, b, c, d, e, f, g, h, i); \
	} while (0)

/* One block of 16 words; w is used up. */
static inline __attribute__((always_inline)) void compress(uint32_t state[8], uint32_t w[16])
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5],
		 g = state[6], h = state[7];
	int r = 0;
	EIGHT(ROUND, 0);
	EIGHT(ROUND, 8);
	for (r = 16; r < 64; r += 16) {
		EIGHT(ROUND_EXTENDED, 0);
		EIGHT(ROUND_EXTENDED, 8);
	}
	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
	state[5] += f;
	state[6] += g;
	state[7] += h;
}

static bool supported(void)
{
	return true;
}

static void blocks(uint32_t state[8], const uint8_t *p, size_t n)
{
	for (; n; n--, p += 64) {
		uint32_t w[16];
		for (int i = 0; i < 16; i++)
			w[i] = otd_sha256_load(p + 4 * i);
		compress(state, w);
	}
}

/* state becomes the hash of the digest that it is. */
static void second(uint32_t state[8])
{
	uint32_t w[16] = {0};
	memcpy(w, state, 32);
	w[8] = 0x80000000;
	w[15] = 256;
	memcpy(state, otd_sha256_iv, 32);
	compress(state, w);
}

static void put(uint8_t *out, const uint32_t state[8])
{
	for (int i = 0; i < 8; i++)
		otd_sha256_store(out + 4 * i, state[i]);
}

static void d80(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	for (; n; n--, in += stride, out += out_stride) {
		uint32_t state[8], w[16] = {0};
		memcpy(state, otd_sha256_iv, 32);
		blocks(state, in, 1);
		for (int i = 0; i < 4; i++)
			w[i] = otd_sha256_load(in + 64 + 4 * i);
		w[4] = 0x80000000;
		w[15] = 640;
		compress(state, w);
		second(state);
		put(out, state);
	}
}

static void d64(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n)
{
	for (; n; n--, in += stride, out += out_stride) {
		uint32_t state[8], w[16] = {0};
		memcpy(state, otd_sha256_iv, 32);
		blocks(state, in, 1);
		w[0] = 0x80000000;
		w[15] = 512;
		compress(state, w);
		second(state);
		put(out, state);
	}
}

static void fold(uint8_t *roots, size_t stride, const uint8_t (*branches)[32], size_t n_branches,
		 size_t n)
{
	uint8_t pair[64];
	for (; n; n--, roots += stride) {
		for (size_t b = 0; b < n_branches; b++) {
			memcpy(pair, roots, 32);
			memcpy(pair + 32, branches[b], 32);
			d64(roots, 0, pair, 0, 1);
		}
	}
}

static void tails(uint8_t *out, size_t out_stride, const uint32_t state[8], const uint8_t *in,
		  size_t stride, size_t n_blocks, size_t n)
{
	for (; n; n--, in += stride, out += out_stride) {
		uint32_t s[8];
		memcpy(s, state, 32);
		blocks(s, in, n_blocks);
		second(s);
		put(out, s);
	}
}

static uint32_t scan(const uint32_t midstate[8], const uint32_t tail[3], uint32_t first,
		     uint32_t top)
{
	uint32_t state[8],
		w[16] = {tail[0], tail[1], tail[2], __builtin_bswap32(first), 0x80000000};
	w[15] = 640;
	memcpy(state, midstate, 32);
	compress(state, w);
	second(state);
	return __builtin_bswap32(state[7]) <= top;
}

const struct otd_sha256_kernel otd_sha256_portable = {
	"portable", "portable", supported, blocks, d80, d64, 1, scan, fold, tails};
