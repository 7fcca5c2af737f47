/* Segwit addresses: BIP 173 (version 0) and BIP 350 (the others). */
#include "base/text.h"
#include <string.h>

enum { TEXT_MAX = 90, CHECKSUM = 6, DATA_MAX = 65 /* version + 40 bytes in groups of 5 */ };

#define BECH32  1u
#define BECH32M 0x2bc830a3u

static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

static uint32_t polymod_step(uint32_t c, uint8_t v)
{
	static const uint32_t generator[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd,
					      0x2a1462b3};
	uint32_t top = c >> 25;
	c = (c & 0x1ffffff) << 5 ^ v;
	for (int i = 0; i < 5; i++)
		c ^= top >> i & 1 ? generator[i] : 0;
	return c;
}

static uint32_t polymod_hrp(const char *hrp, size_t n)
{
	uint32_t c = 1;
	for (size_t i = 0; i < n; i++)
		c = polymod_step(c, (uint8_t)hrp[i] >> 5);
	c = polymod_step(c, 0);
	for (size_t i = 0; i < n; i++)
		c = polymod_step(c, (uint8_t)hrp[i] & 31);
	return c;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool mixed_case(const char *s, size_t n)
{
	bool upper_seen = false, lower_seen = false;
	for (size_t i = 0; i < n; i++) {
		upper_seen = upper_seen || (s[i] >= 'A' && s[i] <= 'Z');
		lower_seen = lower_seen || (s[i] >= 'a' && s[i] <= 'z');
	}
	return upper_seen && lower_seen;
}

/* Groups of 5 bits to bytes; what is left over must be fewer than 5 bits, all zero. */
static otd_rc to_bytes(uint8_t program[40], size_t *len, const uint8_t *data, size_t n)
{
	uint32_t acc = 0;
	unsigned bits = 0;
	*len = 0;
	for (size_t i = 0; i < n; i++) {
		acc = (acc << 5 | data[i]) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			if (*len == 40)
				return OTD_E_INVALID;
			program[(*len)++] = (uint8_t)(acc >> bits);
		}
	}
	return bits >= 5 || (acc & ((1u << bits) - 1)) ? OTD_E_INVALID : OTD_OK;
}

static bool program_fits(uint8_t version, size_t len)
{
	return version <= 16 && len >= 2 && len <= 40 && (version || len == 20 || len == 32);
}

otd_rc otd_segwit_decode(uint8_t *version, uint8_t program[40], size_t *len, const char *hrp,
			 const char *s, size_t n)
{
	uint8_t data[TEXT_MAX], bytes[40];
	size_t h = strlen(hrp);
	if (n > TEXT_MAX || n < h + 1 + 1 + CHECKSUM || mixed_case(s, n) || s[h] != '1')
		return OTD_E_INVALID;
	for (size_t i = 0; i < h; i++) {
		if (lower(s[i]) != hrp[i])
			return OTD_E_INVALID;
	}
	uint32_t c = polymod_hrp(hrp, h);
	size_t n_data = n - h - 1, n_bytes;
	for (size_t i = 0; i < n_data; i++) {
		char ch = lower(s[h + 1 + i]);
		const char *at = ch ? strchr(charset, ch) : NULL;
		if (!at)
			return OTD_E_INVALID;
		data[i] = (uint8_t)(at - charset);
		c = polymod_step(c, data[i]);
	}
	if (c != (data[0] ? BECH32M : BECH32))
		return OTD_E_INVALID;
	if (to_bytes(bytes, &n_bytes, data + 1, n_data - 1 - CHECKSUM) ||
	    !program_fits(data[0], n_bytes))
		return OTD_E_INVALID;
	*version = data[0];
	memcpy(program, bytes, n_bytes);
	*len = n_bytes;
	return OTD_OK;
}

otd_rc otd_segwit_encode(char *out, size_t cap, const char *hrp, uint8_t version,
			 const uint8_t *program, size_t n)
{
	uint8_t data[DATA_MAX + CHECKSUM];
	size_t h = strlen(hrp), n_data = 0;
	uint32_t acc = 0;
	unsigned bits = 0;
	if (!program_fits(version, n) || h == 0)
		return OTD_E_INVALID;
	data[n_data++] = version;
	for (size_t i = 0; i < n; i++) {
		acc = (acc << 8 | program[i]) & 0xfff;
		for (bits += 8; bits >= 5;) {
			bits -= 5;
			data[n_data++] = acc >> bits & 31;
		}
	}
	if (bits)
		data[n_data++] = (uint8_t)(acc << (5 - bits) & 31);
	if (h + 1 + n_data + CHECKSUM > TEXT_MAX || h + 1 + n_data + CHECKSUM + 1 > cap)
		return OTD_E_RANGE;
	uint32_t c = polymod_hrp(hrp, h);
	for (size_t i = 0; i < n_data; i++)
		c = polymod_step(c, data[i]);
	for (int i = 0; i < CHECKSUM; i++)
		c = polymod_step(c, 0);
	c ^= version ? BECH32M : BECH32;
	for (int i = 0; i < CHECKSUM; i++)
		data[n_data++] = (uint8_t)(c >> (5 * (5 - i)) & 31);
	memcpy(out, hrp, h);
	out[h] = '1';
	for (size_t i = 0; i < n_data; i++)
		out[h + 1 + i] = charset[data[i]];
	out[h + 1 + n_data] = 0;
	return OTD_OK;
}
