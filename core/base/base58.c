/* Base58Check. Source: Bitcoin Core, base58.cpp (the format; the code is our own). */
#include "base/text.h"
#include <otedama/sha256.h>
#include <string.h>

enum { TEXT_MAX = 256, BYTES_MAX = 192, CHECKSUM = 4 };

static const char alphabet[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

otd_rc otd_base58check_decode(uint8_t *out, size_t cap, size_t *len, const char *s, size_t n)
{
	uint8_t b[BYTES_MAX] = {0}, digest[32]; /* least significant byte first */
	size_t used = 0, zeros = 0;
	*len = 0;
	/* The work grows with the square of the length. */
	if (n > TEXT_MAX)
		return OTD_E_RANGE;
	while (zeros < n && s[zeros] == '1')
		zeros++;
	for (size_t i = zeros; i < n; i++) {
		const char *at = s[i] ? strchr(alphabet, s[i]) : NULL;
		if (!at)
			return OTD_E_INVALID;
		unsigned carry = (unsigned)(at - alphabet);
		for (size_t j = 0; j < used; j++) {
			carry += 58u * b[j];
			b[j] = (uint8_t)carry;
			carry >>= 8;
		}
		for (; carry; carry >>= 8) {
			if (used == BYTES_MAX)
				return OTD_E_RANGE;
			b[used++] = (uint8_t)carry;
		}
	}
	if (zeros + used > BYTES_MAX)
		return OTD_E_RANGE;
	uint8_t raw[BYTES_MAX] = {0};
	size_t total = zeros + used;
	for (size_t i = 0; i < used; i++)
		raw[zeros + i] = b[used - 1 - i];
	if (total <= CHECKSUM)
		return OTD_E_INVALID;
	otd_sha256d(digest, raw, total - CHECKSUM);
	if (memcmp(digest, raw + total - CHECKSUM, CHECKSUM) != 0)
		return OTD_E_INVALID;
	if (total - CHECKSUM > cap)
		return OTD_E_RANGE;
	memcpy(out, raw, total - CHECKSUM);
	*len = total - CHECKSUM;
	return OTD_OK;
}

otd_rc otd_base58check_encode(char *out, size_t cap, const void *in, size_t n)
{
	uint8_t raw[BYTES_MAX], digits[TEXT_MAX + BYTES_MAX], digest[32];
	size_t used = 0, zeros = 0, total = n + CHECKSUM;
	if (n > BYTES_MAX - CHECKSUM)
		return OTD_E_RANGE;
	memcpy(raw, in, n);
	otd_sha256d(digest, raw, n);
	memcpy(raw + n, digest, CHECKSUM);
	while (zeros < total && raw[zeros] == 0)
		zeros++;
	for (size_t i = zeros; i < total; i++) {
		unsigned carry = raw[i];
		for (size_t j = 0; j < used; j++) {
			carry += (unsigned)digits[j] << 8;
			digits[j] = (uint8_t)(carry % 58);
			carry /= 58;
		}
		for (; carry; carry /= 58)
			digits[used++] = (uint8_t)(carry % 58);
	}
	if (zeros + used + 1 > cap)
		return OTD_E_RANGE;
	memset(out, '1', zeros);
	for (size_t i = 0; i < used; i++)
		out[zeros + i] = alphabet[digits[used - 1 - i]];
	out[zeros + used] = 0;
	return OTD_OK;
}
