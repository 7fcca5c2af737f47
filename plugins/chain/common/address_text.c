/* Output scripts as addresses: the way back of address.c. */
#include "common/address.h"

#include <otedama/sha256.h>
#include <string.h>

/* The groups of five bits of n bytes, the last one filled with zeros; how many. */
static size_t fives(uint8_t *out, const uint8_t *p, size_t n)
{
	uint32_t acc = 0, bits = 0;
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		acc = (acc << 8 | p[i]) & 0xffff;
		for (bits += 8; bits >= 5; bits -= 5)
			out[k++] = acc >> (bits - 5) & 31;
	}
	if (bits)
		out[k++] = (uint8_t)(acc << (5 - bits) & 31);
	return k;
}

static void put_letters(char *out, const uint8_t *value, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = btc_bech32_set[value[i]];
	out[n] = 0;
}

/* BIP 173 and BIP 350. */
static void bech32(char *out, const char *hrp, uint8_t version, const uint8_t *program, size_t n)
{
	uint8_t value[1 + 64 + 6];
	uint32_t c = btc_bech32_begin(hrp);
	size_t k = 1, len = strlen(hrp);
	value[0] = version;
	k += fives(value + 1, program, n);
	for (size_t i = 0; i < k; i++)
		c = btc_bech32_polymod(c, value[i]);
	for (int i = 0; i < 6; i++)
		c = btc_bech32_polymod(c, 0);
	c ^= version ? BTC_BECH32M_ONE : BTC_BECH32_ONE;
	for (int i = 0; i < 6; i++)
		value[k++] = (uint8_t)(c >> (5 * (5 - i)) & 31);
	memcpy(out, hrp, len);
	out[len] = '1';
	put_letters(out + len + 1, value, k);
}

static void cashaddr(char *out, const char *prefix, uint8_t version, const uint8_t *hash, size_t n)
{
	uint8_t bytes[33], value[53 + 8];
	uint64_t c = 1;
	size_t k, len = strlen(prefix);
	bytes[0] = version;
	memcpy(bytes + 1, hash, n);
	k = fives(value, bytes, n + 1);
	for (const char *p = prefix; *p; p++)
		c = btc_cash_polymod(c, *p & 31);
	c = btc_cash_polymod(c, 0);
	for (size_t i = 0; i < k; i++)
		c = btc_cash_polymod(c, value[i]);
	for (int i = 0; i < 8; i++)
		c = btc_cash_polymod(c, 0);
	c ^= 1;
	for (int i = 0; i < 8; i++)
		value[k++] = (uint8_t)(c >> (5 * (7 - i)) & 31);
	memcpy(out, prefix, len);
	out[len] = ':';
	put_letters(out + len + 1, value, k);
}

static void put_base58(char *out, uint16_t version, const uint8_t hash[20])
{
	uint8_t bytes[2 + 20 + 4], digit[40] = {0}, sum[32];
	size_t n = 0, used = 0, zeros = 0;
	if (version > 0xff)
		bytes[n++] = (uint8_t)(version >> 8);
	bytes[n++] = (uint8_t)version;
	memcpy(bytes + n, hash, 20);
	n += 20;
	otd_sha256d(sum, bytes, n);
	memcpy(bytes + n, sum, 4);
	n += 4;
	while (zeros < n && bytes[zeros] == 0)
		zeros++;
	for (size_t i = zeros; i < n; i++) {
		unsigned carry = bytes[i];
		for (size_t k = 0; k < used || carry; k++) {
			carry += 256u * digit[k];
			digit[k] = (uint8_t)(carry % 58);
			carry /= 58;
			if (k >= used)
				used = k + 1;
		}
	}
	for (size_t i = 0; i < zeros; i++)
		*out++ = '1';
	while (used)
		*out++ = btc_base58_set[digit[--used]];
	*out = 0;
}

enum kind { NO_KIND, P2PKH, P2SH, P2SH32, WITNESS };

static enum kind kind_of(const uint8_t *s, size_t n)
{
	if (n == 25 && s[0] == 0x76 && s[1] == 0xa9 && s[2] == 20 && s[23] == 0x88)
		return P2PKH;
	if (n == 23 && s[0] == 0xa9 && s[1] == 20 && s[22] == 0x87)
		return P2SH;
	if (n == 35 && s[0] == 0xaa && s[1] == 32 && s[34] == 0x87)
		return P2SH32;
	if (n < 4 || n > 42 || s[1] + 2u != n)
		return NO_KIND;
	return s[0] == 0 || (s[0] >= 0x51 && s[0] <= 0x60) ? WITNESS : NO_KIND;
}

otd_rc btc_address_text(const struct btc_host *host, char out[BTC_MAX_ADDRESS], const uint8_t *s,
			size_t n, const struct btc_address_form *f)
{
	enum kind kind = kind_of(s, n);
	if (f->cashaddr[0] && kind == P2PKH)
		cashaddr(out, f->cashaddr, 0x00, s + 3, 20);
	else if (f->cashaddr[0] && kind == P2SH)
		cashaddr(out, f->cashaddr, 0x08, s + 2, 20);
	else if (f->cashaddr[0] && kind == P2SH32)
		cashaddr(out, f->cashaddr, 0x0b, s + 2, 32);
	else if (f->hrp[0] && kind == WITNESS)
		bech32(out, f->hrp, s[0] ? (uint8_t)(s[0] - 0x50) : 0, s + 2, n - 2);
	else if (f->n_p2pkh && kind == P2PKH)
		put_base58(out, f->p2pkh[0], s + 3);
	else if (f->n_p2sh && kind == P2SH)
		put_base58(out, f->p2sh[0], s + 2);
	else
		return btc_fail(host, OTD_E_UNSUPPORTED, "the script has no address");
	return OTD_OK;
}
