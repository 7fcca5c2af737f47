/*
 * Difficulty as text, exact. difficulty = diff1 / target; the target of difficulty d is
 * floor(diff1 / d), so the decimals that mean a target are those in (diff1 / (target + 1),
 * diff1 / target]. Numbers here are wider than 256 bits, but bounded: 40 digits, exponents cut.
 */
#include "base/text.h"
#include <stdio.h>
#include <string.h>

/* Room for 256 bits times 10^MAX_SCALE (532 bits), with some over. */
enum { WIDE_WORDS = 14, MAX_DIGITS = 40, MAX_EXPONENT = 120, MAX_SCALE = 160, SHOWN_DIGITS = 17 };

struct wide {
	uint64_t w[WIDE_WORDS];
};

/* mantissa * 10^exponent */
struct decimal {
	struct wide mantissa;
	int exponent;
};

static struct wide wide_from(struct otd_u256 a)
{
	struct wide r = {{a.w[0], a.w[1], a.w[2], a.w[3]}};
	return r;
}

static void wide_mul_add(struct wide *a, uint64_t m, uint64_t add)
{
	otd_u128 c = add;
	for (int i = 0; i < WIDE_WORDS; i++) {
		c += (otd_u128)a->w[i] * m;
		a->w[i] = (uint64_t)c;
		c >>= 64;
	}
}

static void wide_scale(struct wide *a, int powers_of_ten)
{
	for (; powers_of_ten >= 19; powers_of_ten -= 19)
		wide_mul_add(a, 10000000000000000000ULL, 0);
	for (; powers_of_ten > 0; powers_of_ten--)
		wide_mul_add(a, 10, 0);
}

static int wide_cmp(const struct wide *a, const struct wide *b)
{
	for (int i = WIDE_WORDS - 1; i >= 0; i--) {
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i] ? -1 : 1;
	}
	return 0;
}

static int wide_bits(const struct wide *a)
{
	for (int i = WIDE_WORDS - 1; i >= 0; i--) {
		if (a->w[i])
			return 64 * i + 64 - __builtin_clzll(a->w[i]);
	}
	return 0;
}

static void wide_shl(struct wide *a, int n)
{
	for (int i = WIDE_WORDS - 1; i >= 0; i--) {
		int from = i - n / 64;
		uint64_t high = from >= 0 ? a->w[from] : 0;
		uint64_t low = from >= 1 ? a->w[from - 1] : 0;
		a->w[i] = n % 64 ? high << (n % 64) | low >> (64 - n % 64) : high;
	}
}

static void wide_shr1(struct wide *a)
{
	for (int i = 0; i < WIDE_WORDS; i++)
		a->w[i] = a->w[i] >> 1 | (i + 1 < WIDE_WORDS ? a->w[i + 1] << 63 : 0);
}

static void wide_sub(struct wide *a, const struct wide *b)
{
	uint64_t borrow = 0;
	for (int i = 0; i < WIDE_WORDS; i++) {
		otd_u128 d = (otd_u128)a->w[i] - b->w[i] - borrow;
		a->w[i] = (uint64_t)d;
		borrow = (uint64_t)(d >> 64) & 1;
	}
}

/* Quotient; *a becomes the remainder. b is not zero. */
static struct wide wide_div(struct wide *a, struct wide b)
{
	struct wide q = {{0}};
	int shift = wide_bits(a) - wide_bits(&b);
	if (shift < 0)
		return q;
	wide_shl(&b, shift);
	for (; shift >= 0; shift--) {
		if (wide_cmp(a, &b) >= 0) {
			wide_sub(a, &b);
			q.w[shift / 64] |= 1ULL << (shift % 64);
		}
		wide_shr1(&b);
	}
	return q;
}

static otd_rc parse_exponent(int *out, const char *s, size_t n)
{
	size_t i = 0;
	int v = 0, sign = 1;
	if (n && (s[0] == '-' || s[0] == '+')) {
		sign = s[0] == '-' ? -1 : 1;
		i = 1;
	}
	if (i == n)
		return OTD_E_INVALID;
	for (; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return OTD_E_INVALID;
		if (v < 100000)
			v = 10 * v + (s[i] - '0');
	}
	*out = sign * v;
	return OTD_OK;
}

/* digits [. digits] [e [sign] digits], the grammar of a JSON number but for leading zeros. */
static otd_rc parse_decimal(struct decimal *d, const char *s, size_t n)
{
	size_t i = 0, digits = 0, before = 0;
	bool point = false;
	int exponent = 0, after = 0;
	memset(d, 0, sizeof(*d));
	for (; i < n && s[i] != 'e' && s[i] != 'E'; i++) {
		if (s[i] == '.' && !point && before) {
			point = true;
			continue;
		}
		if (s[i] < '0' || s[i] > '9')
			return OTD_E_INVALID;
		point ? after++ : (int)before++;
		if (++digits <= MAX_DIGITS)
			wide_mul_add(&d->mantissa, 10, (uint64_t)(s[i] - '0'));
	}
	if (!before || (point && !after))
		return OTD_E_INVALID;
	if (i < n && parse_exponent(&exponent, s + i + 1, n - i - 1))
		return OTD_E_INVALID;
	if (digits > MAX_DIGITS || exponent > MAX_EXPONENT || exponent < -MAX_EXPONENT)
		return OTD_E_RANGE;
	d->exponent = exponent - after;
	return OTD_OK;
}

otd_rc otd_difficulty_parse(struct otd_u256 *target, const char *s, size_t n, struct otd_u256 diff1)
{
	struct decimal d;
	otd_rc rc = parse_decimal(&d, s, n);
	if (rc)
		return rc;
	if (wide_bits(&d.mantissa) == 0)
		return OTD_E_RANGE;
	struct wide top = wide_from(diff1);
	wide_scale(&top, -d.exponent);
	wide_scale(&d.mantissa, d.exponent);
	struct wide q = wide_div(&top, d.mantissa);
	int bits = wide_bits(&q);
	if (bits == 0 || bits > 256)
		return OTD_E_RANGE;
	memcpy(target->w, q.w, sizeof(target->w));
	return OTD_OK;
}

/* Whether digits * 10^exponent, which is at most diff1 / target, lies above diff1 / (target + 1).
 */
static bool means_target(uint64_t digits, int exponent, const struct wide *diff1,
			 const struct wide *target_plus_1)
{
	struct wide left = *target_plus_1, right = *diff1;
	wide_mul_add(&left, digits, 0);
	wide_scale(&left, exponent);
	wide_scale(&right, -exponent);
	return wide_cmp(&left, &right) > 0;
}

/* The first 17 digits of diff1 / target, cut, not rounded: *digits * 10^*exponent. *rounded is the
   nearest instead. */
static void leading_digits(uint64_t *digits, uint64_t *rounded, int *exponent,
			   const struct wide *diff1, const struct wide *target)
{
	/* log10(2) is about 1233 / 4096; the estimate may be one too small or too large. */
	int log10 = (wide_bits(diff1) - wide_bits(target)) * 1233 / 4096;
	*exponent = log10 - SHOWN_DIGITS - 1;
	for (;; ++*exponent) {
		struct wide a = *diff1, b = *target;
		wide_scale(&a, -*exponent);
		wide_scale(&b, *exponent);
		struct wide half = b, q = wide_div(&a, b);
		if (wide_bits(&q) > 64 || q.w[0] >= 100000000000000000ULL)
			continue;
		wide_shr1(&half);
		*digits = q.w[0];
		*rounded = q.w[0] + (wide_cmp(&a, &half) > 0 ? 1 : 0);
		return;
	}
}

/* Digits without trailing zeros as a JSON number. */
static void write_decimal(char out[OTD_DIFFICULTY_TEXT], uint64_t digits, int exponent)
{
	char d[24];
	while (digits % 10 == 0) {
		digits /= 10;
		exponent++;
	}
	int n = snprintf(d, sizeof(d), "%llu", (unsigned long long)digits);
	int point = n + exponent; /* how many digits stand before the point */
	if (exponent >= 0 && point < OTD_DIFFICULTY_TEXT)
		(void)snprintf(out, OTD_DIFFICULTY_TEXT, "%s%0*d", d, exponent, 0);
	else if (exponent < 0 && point > 0)
		(void)snprintf(out, OTD_DIFFICULTY_TEXT, "%.*s.%s", point, d, d + point);
	else if (exponent < 0 && point > -6)
		(void)snprintf(out, OTD_DIFFICULTY_TEXT, "0.%.*s%s", -point, "00000", d);
	else
		(void)snprintf(out, OTD_DIFFICULTY_TEXT, "%c%s%se%d", d[0], n > 1 ? "." : "", d + 1,
			       point - 1);
	if (exponent == 0)
		out[n] = 0;
}

/* Whether the target is that of a whole difficulty that prints exactly: up to 17 digits, or a power
   of two up to 2^126. */
static bool write_whole(char out[OTD_DIFFICULTY_TEXT], struct otd_u256 target,
			struct otd_u256 diff1)
{
	struct otd_u256 q, again;
	(void)otd_u256_div(&q, NULL, diff1, target);
	if (otd_u256_is_zero(q) || otd_u256_bits(q) > 127)
		return false;
	otd_u128 whole = otd_u256_low_u128(q);
	if (whole >= 100000000000000000ULL && (whole & (whole - 1)))
		return false;
	(void)otd_u256_div(&again, NULL, diff1, q);
	if (otd_u256_cmp(again, target) != 0)
		return false;
	char digits[OTD_I128_TEXT];
	(void)snprintf(out, OTD_DIFFICULTY_TEXT, "%s", otd_format_i128(digits, (otd_i128)whole));
	return true;
}

char *otd_difficulty_format(char out[OTD_DIFFICULTY_TEXT], struct otd_u256 target,
			    struct otd_u256 diff1)
{
	struct otd_u256 plus_1;
	memcpy(out, "0", 2);
	if (otd_u256_is_zero(diff1))
		return out;
	if (otd_u256_is_zero(target))
		target = otd_u256_from_u64(1);
	if (write_whole(out, target, diff1))
		return out;
	struct wide d1 = wide_from(diff1), t = wide_from(target), t1;
	t1 = t;
	(void)otd_u256_add(&plus_1, target, otd_u256_from_u64(1));
	t1 = otd_u256_is_zero(plus_1) ? (struct wide){{0, 0, 0, 0, 1}} : wide_from(plus_1);
	uint64_t digits, rounded, unit = 10000000000000000ULL;
	int exponent, power = SHOWN_DIGITS - 1;
	leading_digits(&digits, &rounded, &exponent, &d1, &t);
	for (; power > 0; power--, unit /= 10) {
		uint64_t cut = digits / unit;
		if (cut && means_target(cut, exponent + power, &d1, &t1)) {
			write_decimal(out, cut, exponent + power);
			return out;
		}
	}
	write_decimal(out, rounded, exponent);
	return out;
}
