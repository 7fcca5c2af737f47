#include "common/address.h"

#include <otedama/sha256.h>
#include <stdio.h>
#include <string.h>

#define BASE58_MAX  60 /* characters; an address has about 34 */
#define BECH32_MAX  90
#define BECH32_ONE  1u /* constants of BIP 173 and BIP 350 */
#define BECH32M_ONE 0x2bc830a3u

static const char base58_set[] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
static const char bech32_set[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

/* --- forms --- */

static otd_rc read_version(uint16_t *out, const char *s)
{
	uint32_t v = 0;
	size_t n = 0;
	for (; s[n] >= '0' && s[n] <= '9' && n < 6; n++)
		v = v * 10 + (uint32_t)(s[n] - '0');
	if (n == 0 || s[n] || v > 0xffff)
		return OTD_E_INVALID;
	*out = (uint16_t)v;
	return OTD_OK;
}

static otd_rc read_item(struct btc_address_form *f, const char *item)
{
	size_t len = strlen(item);
	if (len > 6 && memcmp(item, "p2pkh ", 6) == 0 && f->n_p2pkh < BTC_MAX_VERSIONS)
		return read_version(&f->p2pkh[f->n_p2pkh++], item + 6);
	if (len > 5 && memcmp(item, "p2sh ", 5) == 0 && f->n_p2sh < BTC_MAX_VERSIONS)
		return read_version(&f->p2sh[f->n_p2sh++], item + 5);
	if (len > 7 && memcmp(item, "bech32 ", 7) == 0 && len - 7 < sizeof(f->hrp)) {
		for (size_t i = 7; i < len; i++) {
			if (item[i] < 33 || item[i] > 126 || (item[i] >= 'A' && item[i] <= 'Z'))
				return OTD_E_INVALID;
		}
		memcpy(f->hrp, item + 7, len - 7 + 1);
		return OTD_OK;
	}
	return OTD_E_INVALID;
}

otd_rc btc_address_form_read(const struct btc_host *host, struct btc_address_form *out,
			     const char *network, const struct otd_option_list *list)
{
	*out = (struct btc_address_form){.network = network};
	for (size_t i = 0; i < list->n; i++) {
		if (read_item(out, list->item[i]))
			return btc_fail(host, OTD_E_INVALID,
					"'%.40s' is no address form of network %s; write "
					"'p2pkh 0', 'p2sh 5' or 'bech32 bc'",
					list->item[i], network);
	}
	return OTD_OK;
}

/* --- base58 --- */

/* 1 where text is base58 with a right checksum, 0 where it is not base58, -1: checksum. */
static int base58check(uint8_t out[BASE58_MAX], size_t *len, struct otd_span text)
{
	uint8_t num[BASE58_MAX] = {0};
	size_t used = 0, zeros = 0;
	if (text.len == 0 || text.len > BASE58_MAX)
		return 0;
	while (zeros < text.len && text.ptr[zeros] == '1')
		zeros++;
	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.ptr[i] ? strchr(base58_set, text.ptr[i]) : NULL;
		if (!at)
			return 0;
		unsigned carry = (unsigned)(at - base58_set);
		for (size_t k = 0; k < used || carry; k++) {
			if (k == sizeof(num))
				return 0;
			carry += 58u * num[k];
			num[k] = (uint8_t)carry;
			carry >>= 8;
			if (k >= used)
				used = k + 1;
		}
	}
	if (zeros + used > BASE58_MAX || zeros + used < 5)
		return 0;
	memset(out, 0, zeros);
	for (size_t i = 0; i < used; i++)
		out[zeros + i] = num[used - 1 - i];
	*len = zeros + used - 4;
	uint8_t sum[32];
	otd_sha256d(sum, out, *len);
	return memcmp(sum, out + *len, 4) == 0 ? 1 : -1;
}

static bool has_version(const uint8_t *payload, size_t len, const uint16_t *versions, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (len == 21 && versions[i] <= 0xff && payload[0] == versions[i])
			return true;
		if (len == 22 && versions[i] > 0xff &&
		    (payload[0] << 8 | payload[1]) == versions[i])
			return true;
	}
	return false;
}

static bool base58_script(uint8_t *script, size_t *len, const uint8_t *payload, size_t n,
			  const struct btc_address_form *f)
{
	const uint8_t *hash = payload + n - 20;
	if (has_version(payload, n, f->p2pkh, f->n_p2pkh)) {
		static const uint8_t head[3] = {0x76, 0xa9, 0x14};
		memcpy(script, head, 3);
		memcpy(script + 3, hash, 20);
		script[23] = 0x88;
		script[24] = 0xac;
		*len = 25;
		return true;
	}
	if (has_version(payload, n, f->p2sh, f->n_p2sh)) {
		script[0] = 0xa9;
		script[1] = 0x14;
		memcpy(script + 2, hash, 20);
		script[22] = 0x87;
		*len = 23;
		return true;
	}
	return false;
}

/* --- bech32 --- */

static uint32_t polymod(uint32_t c, uint8_t v)
{
	static const uint32_t gen[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = c >> 25;
	c = (c & 0x1ffffff) << 5 ^ v;
	for (int i = 0; i < 5; i++)
		c ^= top >> i & 1 ? gen[i] : 0;
	return c;
}

static uint32_t polymod_hrp(const char *hrp)
{
	uint32_t c = 1;
	for (const char *p = hrp; *p; p++)
		c = polymod(c, (uint8_t)*p >> 5);
	c = polymod(c, 0);
	for (const char *p = hrp; *p; p++)
		c = polymod(c, *p & 31);
	return c;
}

struct bech32 {
	char hrp[BECH32_MAX];
	uint8_t value[BECH32_MAX];
	size_t n;     /* of values, without checksum */
	uint32_t sum; /* BECH32_ONE, BECH32M_ONE or something else */
};

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

/* Where the last '1' stands; 0 where the text cannot be bech32. */
static size_t bech32_separator(struct otd_span text)
{
	size_t sep = 0, upper = 0, small = 0;
	if (text.len < 8 || text.len > BECH32_MAX)
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];
		if (c < 33 || c > 126)
			return 0;
		upper += c != lower(c);
		small += c >= 'a' && c <= 'z';
		sep = c == '1' ? i : sep;
	}
	return (upper && small) || sep + 7 > text.len ? 0 : sep;
}

/* Splits text; false where it does not have the form at all. */
static bool bech32_split(struct bech32 *b, struct otd_span text)
{
	size_t sep = bech32_separator(text), n = 0;
	if (sep == 0)
		return false;
	for (size_t i = 0; i < sep; i++)
		b->hrp[i] = (char)lower(text.ptr[i]);
	b->hrp[sep] = 0;
	uint32_t c = polymod_hrp(b->hrp);
	for (size_t i = sep + 1; i < text.len; i++) {
		const char *at = strchr(bech32_set, lower(text.ptr[i]));
		if (!at)
			return false;
		b->value[n] = (uint8_t)(at - bech32_set);
		c = polymod(c, b->value[n++]);
	}
	b->n = n - 6;
	b->sum = c;
	return true;
}

/* The witness program; NULL where all is well, else what is wrong with it. */
static const char *bech32_program(uint8_t *script, size_t *len, const struct bech32 *b)
{
	uint8_t program[64];
	size_t n = 0;
	uint32_t acc = 0, bits = 0;
	if (b->sum != BECH32_ONE && b->sum != BECH32M_ONE)
		return "its checksum is wrong: a letter was mistyped or lost";
	if (b->n < 1)
		return "it holds no witness program";
	uint8_t version = b->value[0];
	for (size_t i = 1; i < b->n; i++) {
		acc = (acc << 5 | b->value[i]) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			program[n++] = (uint8_t)(acc >> bits);
		}
	}
	if (bits >= 5 || (acc & ((1u << bits) - 1)))
		return "its last letter holds bits that belong to nothing";
	if (b->sum != (version ? BECH32M_ONE : BECH32_ONE))
		return "its checksum is of the other kind (bech32 is for version 0, bech32m for 1)";
	if (version > 1)
		return "its witness version is not in use: what is paid to it is anybody's";
	if (version == 0 ? n != 20 && n != 32 : n != 32)
		return "its witness program has a wrong length";
	script[0] = version ? (uint8_t)(0x50 + version) : 0;
	script[1] = (uint8_t)n;
	memcpy(script + 2, program, n);
	*len = n + 2;
	return NULL;
}

otd_rc btc_address_v0(char out[91], const char *hrp, const uint8_t *program, size_t n)
{
	uint8_t value[72];
	size_t k = 0, hrp_len = strlen(hrp);
	uint32_t acc = 0, bits = 0, c = polymod_hrp(hrp);
	if (n > 40 || hrp_len > 15)
		return OTD_E_RANGE;
	value[k++] = 0;
	for (size_t i = 0; i < n; i++) {
		acc = (acc << 8 | program[i]) & 0xffff;
		for (bits += 8; bits >= 5; bits -= 5)
			value[k++] = acc >> (bits - 5) & 31;
	}
	if (bits)
		value[k++] = (uint8_t)(acc << (5 - bits) & 31);
	for (size_t i = 0; i < k; i++)
		c = polymod(c, value[i]);
	for (int i = 0; i < 6; i++)
		c = polymod(c, 0);
	c ^= BECH32_ONE;
	memcpy(out, hrp, hrp_len);
	out[hrp_len] = '1';
	for (size_t i = 0; i < k; i++)
		out[hrp_len + 1 + i] = bech32_set[value[i]];
	for (size_t i = 0; i < 6; i++)
		out[hrp_len + 1 + k + i] = bech32_set[c >> (5 * (5 - i)) & 31];
	out[hrp_len + 1 + k + 6] = 0;
	return OTD_OK;
}

/* --- both --- */

otd_rc btc_address_script(const struct btc_host *host, uint8_t *script, size_t *len,
			  struct otd_span text, const struct btc_address_form *forms,
			  size_t n_forms)
{
	struct bech32 b;
	int shown = text.len > 90 ? 90 : (int)text.len;
	const char *s = (const char *)text.ptr;
	if (bech32_split(&b, text)) {
		for (size_t i = 0; i < n_forms; i++) {
			if (!forms[i].hrp[0] || strcmp(forms[i].hrp, b.hrp) != 0)
				continue;
			if (i && strcmp(forms[0].hrp, b.hrp) != 0)
				return btc_fail(host, OTD_E_INVALID,
						"address '%.*s' is of network %s, not of %s", shown,
						s, forms[i].network, forms[0].network);
			const char *wrong = bech32_program(script, len, &b);
			if (wrong)
				return btc_fail(host, OTD_E_INVALID, "address '%.*s': %s", shown, s,
						wrong);
			return OTD_OK;
		}
		if (b.sum == BECH32_ONE || b.sum == BECH32M_ONE)
			return btc_fail(host, OTD_E_INVALID,
					"address '%.*s' is of another coin or network; those of "
					"network %s begin with '%s1'",
					shown, s, forms[0].network, forms[0].hrp);
	}
	uint8_t payload[BASE58_MAX];
	size_t n = 0;
	int form = base58check(payload, &n, text);
	if (form < 0)
		return btc_fail(host, OTD_E_INVALID,
				"address '%.*s': its checksum is wrong: a letter was mistyped or "
				"lost",
				shown, s);
	if (form > 0) {
		for (size_t i = 0; i < n_forms && (n == 21 || n == 22); i++) {
			if (!base58_script(script, len, payload, n, &forms[i]))
				continue;
			if (i == 0)
				return OTD_OK;
			return btc_fail(host, OTD_E_INVALID,
					"address '%.*s' is of network %s, not of %s", shown, s,
					forms[i].network, forms[0].network);
		}
		return btc_fail(host, OTD_E_INVALID, "address '%.*s' is of another coin", shown, s);
	}
	return btc_fail(host, OTD_E_INVALID, "'%.*s' is not an address", shown, s);
}
