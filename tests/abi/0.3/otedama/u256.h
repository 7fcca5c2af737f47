/*
 * 256-bit unsigned and checked 128-bit signed integers, header only, so that plugins can use them
 * without linking anything. No function here rounds silently: each says in its name or comment
 * what happens to what does not fit.
 */
#ifndef OTEDAMA_U256_H
#define OTEDAMA_U256_H

#include <otedama/types.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

__extension__ typedef __int128 otd_i128;          /* money: base units of one asset */
__extension__ typedef unsigned __int128 otd_u128; /* work of shares */

/* w[0] holds the least significant 64 bits. */
struct otd_u256 {
	uint64_t w[4];
};

static inline struct otd_u256 otd_u256_zero(void)
{
	struct otd_u256 r = {{0, 0, 0, 0}};
	return r;
}

static inline struct otd_u256 otd_u256_max(void)
{
	struct otd_u256 r = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}};
	return r;
}

static inline struct otd_u256 otd_u256_from_u64(uint64_t v)
{
	struct otd_u256 r = {{v, 0, 0, 0}};
	return r;
}

static inline struct otd_u256 otd_u256_from_u128(otd_u128 v)
{
	struct otd_u256 r = {{(uint64_t)v, (uint64_t)(v >> 64), 0, 0}};
	return r;
}

/* The low 128 bits; the caller has checked that the rest is zero where that matters. */
static inline otd_u128 otd_u256_low_u128(struct otd_u256 a)
{
	return (otd_u128)a.w[1] << 64 | a.w[0];
}

/* 32 bytes, least significant first (the order in which SHA-256d digests are compared). */
static inline struct otd_u256 otd_u256_from_le(const uint8_t b[32])
{
	struct otd_u256 r;
	for (int i = 0; i < 4; i++) {
		r.w[i] = 0;
		for (int j = 7; j >= 0; j--)
			r.w[i] = r.w[i] << 8 | b[8 * i + j];
	}
	return r;
}

/* 32 bytes, most significant first (the order in which people read a hash or target). */
static inline struct otd_u256 otd_u256_from_be(const uint8_t b[32])
{
	struct otd_u256 r;
	for (int i = 0; i < 4; i++) {
		r.w[3 - i] = 0;
		for (int j = 0; j < 8; j++)
			r.w[3 - i] = r.w[3 - i] << 8 | b[8 * i + j];
	}
	return r;
}

static inline void otd_u256_to_le(uint8_t b[32], struct otd_u256 a)
{
	for (int i = 0; i < 32; i++)
		b[i] = (uint8_t)(a.w[i / 8] >> (8 * (i % 8)));
}

static inline void otd_u256_to_be(uint8_t b[32], struct otd_u256 a)
{
	for (int i = 0; i < 32; i++)
		b[31 - i] = (uint8_t)(a.w[i / 8] >> (8 * (i % 8)));
}

/* -1, 0 or 1 as a is below, equal to or above b. */
static inline int otd_u256_cmp(struct otd_u256 a, struct otd_u256 b)
{
	for (int i = 3; i >= 0; i--) {
		if (a.w[i] != b.w[i])
			return a.w[i] < b.w[i] ? -1 : 1;
	}
	return 0;
}

static inline bool otd_u256_is_zero(struct otd_u256 a)
{
	return (a.w[0] | a.w[1] | a.w[2] | a.w[3]) == 0;
}

/* *r = a + b modulo 2^256; true where it wrapped. */
static inline bool otd_u256_add(struct otd_u256 *r, struct otd_u256 a, struct otd_u256 b)
{
	otd_u128 c = 0;
	for (int i = 0; i < 4; i++) {
		c += (otd_u128)a.w[i] + b.w[i];
		r->w[i] = (uint64_t)c;
		c >>= 64;
	}
	return c != 0;
}

/* *r = a - b modulo 2^256; true where b was larger. */
static inline bool otd_u256_sub(struct otd_u256 *r, struct otd_u256 a, struct otd_u256 b)
{
	uint64_t borrow = 0;
	for (int i = 0; i < 4; i++) {
		otd_u128 d = (otd_u128)a.w[i] - b.w[i] - borrow;
		r->w[i] = (uint64_t)d;
		borrow = (uint64_t)(d >> 64) & 1;
	}
	return borrow != 0;
}

/* a * b modulo 2^256 is exact here: two 128-bit factors always fit. */
static inline struct otd_u256 otd_u256_mul_u128(otd_u128 a, otd_u128 b)
{
	uint64_t x[2] = {(uint64_t)a, (uint64_t)(a >> 64)};
	uint64_t y[2] = {(uint64_t)b, (uint64_t)(b >> 64)};
	struct otd_u256 r = otd_u256_zero();
	for (int i = 0; i < 2; i++) {
		otd_u128 c = 0;
		for (int j = 0; j < 2; j++) {
			c += (otd_u128)x[i] * y[j] + r.w[i + j];
			r.w[i + j] = (uint64_t)c;
			c >>= 64;
		}
		r.w[i + 2] += (uint64_t)c;
	}
	return r;
}

/* *r = a * m; true where the product does not fit (*r then holds it modulo 2^256). */
static inline bool otd_u256_mul_u64(struct otd_u256 *r, struct otd_u256 a, uint64_t m)
{
	otd_u128 c = 0;
	for (int i = 0; i < 4; i++) {
		c += (otd_u128)a.w[i] * m;
		r->w[i] = (uint64_t)c;
		c >>= 64;
	}
	return c != 0;
}

/* Bits shifted out are lost; n of 256 or more gives zero. */
static inline struct otd_u256 otd_u256_shl(struct otd_u256 a, unsigned n)
{
	struct otd_u256 r = otd_u256_zero();
	unsigned words = n / 64, bits = n % 64;
	for (unsigned i = words; i < 4 && n < 256; i++) {
		r.w[i] = a.w[i - words] << bits;
		if (bits && i > words)
			r.w[i] |= a.w[i - words - 1] >> (64 - bits);
	}
	return r;
}

static inline struct otd_u256 otd_u256_shr(struct otd_u256 a, unsigned n)
{
	struct otd_u256 r = otd_u256_zero();
	unsigned words = n / 64, bits = n % 64;
	for (unsigned i = 0; n < 256 && i + words < 4; i++) {
		r.w[i] = a.w[i + words] >> bits;
		if (bits && i + words + 1 < 4)
			r.w[i] |= a.w[i + words + 1] << (64 - bits);
	}
	return r;
}

/* Number of significant bits: 0 for 0, 256 for the largest. */
static inline unsigned otd_u256_bits(struct otd_u256 a)
{
	for (int i = 3; i >= 0; i--) {
		if (a.w[i])
			return (unsigned)(64 * i + 64 - __builtin_clzll(a.w[i]));
	}
	return 0;
}

/*
 * *q = floor(a / b), *rem = a - *q * b (rem may be NULL). b must not be zero: both become zero
 * then, and the result is OTD_E_INVALID.
 */
static inline otd_rc otd_u256_div(struct otd_u256 *q, struct otd_u256 *rem, struct otd_u256 a,
				  struct otd_u256 b)
{
	struct otd_u256 quotient = otd_u256_zero(), r = a;
	otd_rc rc = OTD_E_INVALID;
	if (!otd_u256_is_zero(b)) {
		int shift = (int)otd_u256_bits(a) - (int)otd_u256_bits(b);
		for (; shift >= 0; shift--) {
			struct otd_u256 d = otd_u256_shl(b, (unsigned)shift);
			if (otd_u256_cmp(r, d) >= 0) {
				(void)otd_u256_sub(&r, r, d);
				quotient.w[shift / 64] |= 1ULL << (shift % 64);
			}
		}
		rc = OTD_OK;
	} else {
		r = otd_u256_zero();
	}
	*q = quotient;
	if (rem)
		*rem = r;
	return rc;
}

/*
 * The work that a target stands for: floor(2^256 / (target + 1)), the expected number of hashes.
 * Saturates at 2^128 - 1, which only targets below 2^128 would exceed.
 * Source: Bitcoin Core, GetBlockProof: (~target / (target + 1)) + 1.
 */
static inline otd_u128 otd_target_work(struct otd_u256 target)
{
	struct otd_u256 not_target, plus_one, q;
	for (int i = 0; i < 4; i++)
		not_target.w[i] = ~target.w[i];
	if (otd_u256_add(&plus_one, target, otd_u256_from_u64(1)))
		return 1;
	(void)otd_u256_div(&q, NULL, not_target, plus_one);
	if (otd_u256_add(&q, q, otd_u256_from_u64(1)) || q.w[2] || q.w[3])
		return ~(otd_u128)0;
	return otd_u256_low_u128(q);
}

/*
 * The target that a compact nBits value stands for. OTD_E_INVALID for negative, zero and
 * overflowing values, as consensus has it. Source: Bitcoin Core, arith_uint256::SetCompact.
 */
static inline otd_rc otd_target_from_nbits(struct otd_u256 *target, uint32_t nbits)
{
	unsigned size = nbits >> 24;
	uint32_t word = nbits & 0x007fffff;
	*target = otd_u256_zero();
	if ((nbits & 0x00800000) || word == 0)
		return OTD_E_INVALID;
	if (size > 34 || (word > 0xff && size > 33) || (word > 0xffff && size > 32))
		return OTD_E_INVALID;
	if (size <= 3)
		*target = otd_u256_from_u64(word >> (8 * (3 - size)));
	else
		*target = otd_u256_shl(otd_u256_from_u64(word), 8 * (size - 3));
	return otd_u256_is_zero(*target) ? OTD_E_INVALID : OTD_OK;
}

/* *r = a + b; OTD_E_OVERFLOW (and *r untouched) where it does not fit. */
OTD_WARN_UNUSED static inline otd_rc otd_i128_add(otd_i128 *r, otd_i128 a, otd_i128 b)
{
	otd_i128 v;
	if (__builtin_add_overflow(a, b, &v))
		return OTD_E_OVERFLOW;
	*r = v;
	return OTD_OK;
}

OTD_WARN_UNUSED static inline otd_rc otd_i128_sub(otd_i128 *r, otd_i128 a, otd_i128 b)
{
	otd_i128 v;
	if (__builtin_sub_overflow(a, b, &v))
		return OTD_E_OVERFLOW;
	*r = v;
	return OTD_OK;
}

/*
 * *q = floor(a * b / c) and *rem = a * b - *q * c, through 256 bits. All are non-negative; c is not
 * zero. OTD_E_OVERFLOW where the quotient does not fit into 127 bits, OTD_E_INVALID for a bad sign.
 * Splits use rem for the largest-remainder method.
 */
OTD_WARN_UNUSED static inline otd_rc otd_i128_muldiv(otd_i128 *q, otd_u128 *rem, otd_i128 a,
						     otd_u128 b, otd_u128 c)
{
	struct otd_u256 quotient, r;
	if (a < 0 || c == 0)
		return OTD_E_INVALID;
	if (otd_u256_div(&quotient, &r, otd_u256_mul_u128((otd_u128)a, b), otd_u256_from_u128(c)))
		return OTD_E_INVALID;
	if (quotient.w[2] || quotient.w[3] || quotient.w[1] >> 63)
		return OTD_E_OVERFLOW;
	*q = (otd_i128)otd_u256_low_u128(quotient);
	if (rem)
		*rem = otd_u256_low_u128(r);
	return OTD_OK;
}

#ifdef __cplusplus
}
#endif
#endif
