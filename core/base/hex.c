/* Hexadecimal. */
#include "base/text.h"

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The byte that two digits stand for, or -1. */
static int pair(const char *hex)
{
	int high = digit(hex[0]), low = digit(hex[1]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

otd_rc otd_hex_decode(uint8_t *out, size_t cap, size_t *len, const char *hex, size_t n)
{
	*len = 0;
	if (n % 2)
		return OTD_E_INVALID;
	if (n / 2 > cap)
		return OTD_E_RANGE;
	for (size_t i = 0; i < n / 2; i++) {
		int b = pair(hex + 2 * i);
		if (b < 0)
			return OTD_E_INVALID;
		out[i] = (uint8_t)b;
	}
	*len = n / 2;
	return OTD_OK;
}

void otd_hex_encode(char *out, const void *in, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = in;
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = 0;
}

void otd_hex_encode_reverse(char *out, const void *in, size_t n)
{
	const uint8_t *p = in;
	for (size_t i = 0; i < n; i++)
		otd_hex_encode(out + 2 * i, p + n - 1 - i, 1);
	out[2 * n] = 0;
}

otd_rc otd_hex_decode_reverse(uint8_t *out, size_t exact, const char *hex, size_t n)
{
	if (n / 2 != exact || n % 2)
		return n % 2 ? OTD_E_INVALID : OTD_E_RANGE;
	for (size_t i = 0; i < exact; i++) {
		int b = pair(hex + 2 * i);
		if (b < 0)
			return OTD_E_INVALID;
		out[exact - 1 - i] = (uint8_t)b;
	}
	return OTD_OK;
}

otd_rc otd_hex_u32(uint32_t *out, const char *hex, size_t n)
{
	uint32_t v = 0;
	if (n == 0)
		return OTD_E_INVALID;
	for (size_t i = 0; i < n; i++) {
		int d = digit(hex[i]);
		if (d < 0)
			return OTD_E_INVALID;
		if (i >= 8)
			return OTD_E_RANGE;
		v = v << 4 | (uint32_t)d;
	}
	*out = v;
	return OTD_OK;
}
