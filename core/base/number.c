/* Decimal integers and amounts: exact, or an error. */
#include "base/text.h"
#include <string.h>

otd_rc otd_parse_u64(uint64_t *out, const char *s, size_t n)
{
	uint64_t v = 0;
	bool fits = true;
	if (n == 0)
		return OTD_E_INVALID;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return OTD_E_INVALID;
		fits = fits && !__builtin_mul_overflow(v, (uint64_t)10, &v) &&
		       !__builtin_add_overflow(v, (uint64_t)(s[i] - '0'), &v);
	}
	if (!fits)
		return OTD_E_RANGE;
	*out = v;
	return OTD_OK;
}

/* Counts down for a negative number, since there is one more of those. */
static bool push_digit(otd_i128 *v, bool negative, int digit)
{
	otd_i128 d = negative ? -digit : digit;
	return !__builtin_mul_overflow(*v, (otd_i128)10, v) && !__builtin_add_overflow(*v, d, v);
}

otd_rc otd_parse_i128(otd_i128 *out, const char *s, size_t n)
{
	return otd_parse_amount(out, s, n, 0);
}

otd_rc otd_parse_amount(otd_i128 *out, const char *s, size_t n, unsigned decimals)
{
	otd_i128 v = 0;
	bool negative = n && s[0] == '-', fits = true, point = false;
	size_t i = negative, before = 0, after = 0;
	for (; i < n; i++) {
		if (s[i] == '.' && !point && before && decimals) {
			point = true;
			continue;
		}
		if (s[i] < '0' || s[i] > '9')
			return OTD_E_INVALID;
		if (!point)
			before++;
		else if (++after > decimals) {
			/* Beyond the base unit only zeros are exact. */
			fits = fits && s[i] == '0';
			continue;
		}
		fits = fits && push_digit(&v, negative, s[i] - '0');
	}
	if (!before || (point && !after))
		return OTD_E_INVALID;
	for (; fits && after < decimals; after++)
		fits = push_digit(&v, negative, 0);
	if (!fits)
		return OTD_E_RANGE;
	*out = v;
	return OTD_OK;
}

char *otd_format_i128(char out[OTD_I128_TEXT], otd_i128 v)
{
	char digits[40];
	size_t n = 0, at = 0;
	otd_u128 u = v < 0 ? -(otd_u128)v : (otd_u128)v;
	do {
		digits[n++] = (char)('0' + (int)(u % 10));
		u /= 10;
	} while (u);
	if (v < 0)
		out[at++] = '-';
	while (n)
		out[at++] = digits[--n];
	out[at] = 0;
	return out;
}

/* At most 38 decimals: more than any asset has, and all that the buffer holds. */
char *otd_format_amount(char out[OTD_AMOUNT_TEXT], otd_i128 v, unsigned decimals)
{
	char digits[OTD_I128_TEXT];
	size_t at = 0, whole;
	if (decimals > 38)
		decimals = 38;
	const char *d = otd_format_i128(digits, v);
	if (*d == '-')
		out[at++] = *d++;
	size_t n = strlen(d);
	whole = n > decimals ? n - decimals : 0;
	if (!whole)
		out[at++] = '0';
	memcpy(out + at, d, whole);
	at += whole;
	if (decimals) {
		out[at++] = '.';
		for (size_t pad = n - whole; pad < decimals; pad++)
			out[at++] = '0';
		memcpy(out + at, d + whole, n - whole);
		at += n - whole;
	}
	out[at] = 0;
	return out;
}
