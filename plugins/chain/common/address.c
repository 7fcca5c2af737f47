#include "common/address.h"

#include <otedama/sha256.h>
#include <stdio.h>
#include <string.h>

#define BASE58_MAX  60 /* characters; an address has about 34 */
#define BECH32_MAX  90
#define BECH32_ONE  BTC_BECH32_ONE
#define BECH32M_ONE BTC_BECH32M_ONE

const char btc_base58_set[59] = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const char btc_bech32_set[33] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

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

/* A prefix of letters and digits in small letters. */
static otd_rc read_prefix(char out[16], const char *s)
{
	size_t len = strlen(s);
	if (len >= 16)
		return OTD_E_INVALID;
	for (size_t i = 0; i < len; i++) {
		if (s[i] < 33 || s[i] > 126 || (s[i] >= 'A' && s[i] <= 'Z'))
			return OTD_E_INVALID;
	}
	memcpy(out, s, len + 1);
	return OTD_OK;
}

/* What stands behind the kind in "kind what"; NULL where item is of another kind or empty. */
static const char *of_kind(const char *item, const char *kind)
{
	size_t n = strlen(kind);
	return strncmp(item, kind, n) == 0 && item[n] == ' ' && item[n + 1] ? item + n + 1 : NULL;
}

static otd_rc read_item(struct btc_address_form *f, const char *item)
{
	const char *what;
	if ((what = of_kind(item, "p2pkh")) && f->n_p2pkh < BTC_MAX_VERSIONS)
		return read_version(&f->p2pkh[f->n_p2pkh++], what);
	if ((what = of_kind(item, "p2sh")) && f->n_p2sh < BTC_MAX_VERSIONS)
		return read_version(&f->p2sh[f->n_p2sh++], what);
	if ((what = of_kind(item, "bech32")))
		return read_prefix(f->hrp, what);
	if ((what = of_kind(item, "cashaddr")))
		return read_prefix(f->cashaddr, what);
	if ((what = of_kind(item, "mweb")))
		return read_prefix(f->mweb, what);
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
					"'p2pkh 0', 'p2sh 5', 'bech32 bc', 'cashaddr bitcoincash' "
					"or 'mweb ltcmweb'",
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
		const char *at = text.ptr[i] ? strchr(btc_base58_set, text.ptr[i]) : NULL;
		if (!at)
			return 0;
		unsigned carry = (unsigned)(at - btc_base58_set);
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

static size_t p2pkh_script(uint8_t *script, const uint8_t hash[20])
{
	static const uint8_t head[3] = {0x76, 0xa9, 0x14};
	memcpy(script, head, 3);
	memcpy(script + 3, hash, 20);
	script[23] = 0x88;
	script[24] = 0xac;
	return 25;
}

/* hash has 20 bytes, or 32 where the chain has such (OP_HASH256 instead of OP_HASH160). */
static size_t p2sh_script(uint8_t *script, const uint8_t *hash, size_t n)
{
	script[0] = n == 20 ? 0xa9 : 0xaa;
	script[1] = (uint8_t)n;
	memcpy(script + 2, hash, n);
	script[2 + n] = 0x87;
	return n + 3;
}

static bool base58_script(uint8_t *script, size_t *len, const uint8_t *payload, size_t n,
			  const struct btc_address_form *f)
{
	const uint8_t *hash = payload + n - 20;
	if (has_version(payload, n, f->p2pkh, f->n_p2pkh))
		*len = p2pkh_script(script, hash);
	else if (has_version(payload, n, f->p2sh, f->n_p2sh))
		*len = p2sh_script(script, hash, 20);
	else
		return false;
	return true;
}

/* --- bech32 --- */

uint32_t btc_bech32_polymod(uint32_t c, uint8_t v)
{
	static const uint32_t gen[5] = {0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3};
	uint32_t top = c >> 25;
	c = (c & 0x1ffffff) << 5 ^ v;
	for (int i = 0; i < 5; i++)
		c ^= top >> i & 1 ? gen[i] : 0;
	return c;
}

uint32_t btc_bech32_begin(const char *hrp)
{
	uint32_t c = 1;
	for (const char *p = hrp; *p; p++)
		c = btc_bech32_polymod(c, (uint8_t)*p >> 5);
	c = btc_bech32_polymod(c, 0);
	for (const char *p = hrp; *p; p++)
		c = btc_bech32_polymod(c, *p & 31);
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
	uint32_t c = btc_bech32_begin(b->hrp);
	for (size_t i = sep + 1; i < text.len; i++) {
		const char *at = strchr(btc_bech32_set, lower(text.ptr[i]));
		if (!at)
			return false;
		b->value[n] = (uint8_t)(at - btc_bech32_set);
		c = btc_bech32_polymod(c, b->value[n++]);
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

/* --- CashAddr (github.com/bitcoincashorg, spec/cashaddr.md) --- */

uint64_t btc_cash_polymod(uint64_t c, uint8_t v)
{
	static const uint64_t gen[5] = {0x98f2bc8e61, 0x79b76d99e2, 0xf33e5fb3c4, 0xae2eabe2a8,
					0x1e4f43e470};
	uint64_t top = c >> 35;
	c = (c & 0x7ffffffff) << 5 ^ v;
	for (int i = 0; i < 5; i++)
		c ^= top >> i & 1 ? gen[i] : 0;
	return c;
}

/* The 5-bit values behind the prefix, which may be left out; 0 where text is none of this prefix. */
static size_t cash_values(uint8_t out[BECH32_MAX], struct otd_span text, const char *prefix)
{
	size_t from = strlen(prefix), n = 0;
	bool named = text.len > from && text.ptr[from] == ':';
	for (size_t i = 0; named && i < from; i++)
		named = lower(text.ptr[i]) == (uint8_t)prefix[i];
	from = named ? from + 1 : 0;
	if (text.len - from < 42 || text.len - from > BECH32_MAX)
		return 0;
	size_t upper = 0, small = 0;
	for (size_t i = 0; i < text.len; i++) {
		upper += text.ptr[i] >= 'A' && text.ptr[i] <= 'Z';
		small += text.ptr[i] >= 'a' && text.ptr[i] <= 'z';
	}
	if (upper && small)
		return 0;
	for (size_t i = from; i < text.len; i++) {
		const char *at = text.ptr[i] ? strchr(btc_bech32_set, lower(text.ptr[i])) : NULL;
		if (!at)
			return 0;
		out[n++] = (uint8_t)(at - btc_bech32_set);
	}
	return n;
}

/* Eight bits from five; 0 where the last letter holds bits that belong to nothing. */
static size_t cash_bytes(uint8_t out[64], const uint8_t *value, size_t n_values)
{
	size_t n = 0;
	uint32_t acc = 0, bits = 0;
	for (size_t i = 0; i < n_values; i++) {
		acc = (acc << 5 | value[i]) & 0xfff;
		bits += 5;
		if (bits >= 8) {
			bits -= 8;
			out[n++] = (uint8_t)(acc >> bits);
		}
	}
	return bits >= 5 || (acc & ((1u << bits) - 1)) ? 0 : n;
}

/* 1: the script is there; 0: text is no address of this prefix; -1: the checksum is of no such. */
static int cash_script(uint8_t *script, size_t *len, struct otd_span text, const char *prefix)
{
	uint8_t value[BECH32_MAX], bytes[64];
	size_t n = *prefix ? cash_values(value, text, prefix) : 0;
	uint64_t c = 1;
	if (n == 0)
		return 0;
	for (const char *p = prefix; *p; p++)
		c = btc_cash_polymod(c, *p & 31);
	c = btc_cash_polymod(c, 0);
	for (size_t i = 0; i < n; i++)
		c = btc_cash_polymod(c, value[i]);
	if (c != 1)
		return -1;
	size_t n_bytes = cash_bytes(bytes, value, n - 8);
	/* version: four bits of type, three of size. Types 2 and 3 are 0 and 1 for wallets that
	   know tokens; the script is the same. */
	if (n_bytes == 21 && (bytes[0] == 0x00 || bytes[0] == 0x10))
		*len = p2pkh_script(script, bytes + 1);
	else if (n_bytes == 21 && (bytes[0] == 0x08 || bytes[0] == 0x18))
		*len = p2sh_script(script, bytes + 1, 20);
	else if (n_bytes == 33 && (bytes[0] == 0x0b || bytes[0] == 0x1b))
		*len = p2sh_script(script, bytes + 1, 32);
	else
		return -1;
	return 1;
}

/* --- MWEB --- */

static bool is_mweb(struct otd_span text, const char *prefix)
{
	size_t n = strlen(prefix);
	if (n == 0 || text.len <= n || text.ptr[n] != '1')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (lower(text.ptr[i]) != (uint8_t)prefix[i])
			return false;
	}
	return true;
}

/* --- all --- */

/* Kinds that bech32_split() and base58check() would only call wrong. *done: text is of one. */
static otd_rc other_kinds(const struct btc_host *host, uint8_t *script, size_t *len, bool *done,
			  struct otd_span text, const struct btc_address_form *forms,
			  size_t n_forms)
{
	int shown = text.len > 90 ? 90 : (int)text.len;
	const char *s = (const char *)text.ptr;
	bool torn = false;
	*done = true;
	for (size_t i = 0; i < n_forms; i++) {
		if (is_mweb(text, forms[i].mweb))
			return btc_fail(
				host, OTD_E_INVALID,
				"address '%.24s...' is an MWEB address, and a pool cannot pay "
				"to those; give one that begins with '%s1'",
				s, forms[0].hrp);
		int cash = cash_script(script, len, text, forms[i].cashaddr);
		torn = torn || cash < 0;
		if (cash < 1)
			continue;
		if (i == 0)
			return OTD_OK;
		return btc_fail(host, OTD_E_INVALID, "address '%.*s' is of network %s, not of %s",
				shown, s, forms[i].network, forms[0].network);
	}
	if (torn)
		return btc_fail(host, OTD_E_INVALID,
				"address '%.*s': its checksum is wrong: a letter was mistyped or "
				"lost, or it is of another network",
				shown, s);
	*done = false;
	return OTD_OK;
}

otd_rc btc_address_script(const struct btc_host *host, uint8_t *script, size_t *len,
			  struct otd_span text, const struct btc_address_form *forms,
			  size_t n_forms)
{
	struct bech32 b;
	int shown = text.len > 90 ? 90 : (int)text.len;
	const char *s = (const char *)text.ptr;
	bool done;
	otd_rc rc = other_kinds(host, script, len, &done, text, forms, n_forms);
	if (done)
		return rc;
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
