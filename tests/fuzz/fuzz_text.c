/*
 * Numbers and addresses in text. The first byte says which; what is taken and written again is taken
 * again with the same value.
 */
#include "base/text.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void integers(const char *s, size_t n, uint8_t how)
{
	otd_i128 v, again;
	uint64_t u;
	uint32_t x;
	char text[OTD_I128_TEXT], amount[OTD_AMOUNT_TEXT];
	(void)otd_parse_u64(&u, s, n);
	(void)otd_hex_u32(&x, s, n);
	if (otd_parse_i128(&v, s, n) == OTD_OK) {
		otd_format_i128(text, v);
		must(otd_parse_i128(&again, text, strlen(text)) == OTD_OK && again == v);
	}
	unsigned decimals = how % 31;
	if (otd_parse_amount(&v, s, n, decimals) == OTD_OK) {
		otd_format_amount(amount, v, decimals);
		must(otd_parse_amount(&again, amount, strlen(amount), decimals) == OTD_OK &&
		     again == v);
	}
}

static void units(const char *s, size_t n)
{
	int64_t v;
	(void)otd_parse_duration(&v, s, n);
	(void)otd_parse_size(&v, s, n);
	(void)otd_parse_rate(&v, s, n);
}

static void difficulty(const char *s, size_t n)
{
	struct otd_u256 diff1 = otd_u256_shl(otd_u256_from_u64(0xffff), 208), target, again;
	char text[OTD_DIFFICULTY_TEXT];
	if (otd_difficulty_parse(&target, s, n, diff1))
		return;
	must(!otd_u256_is_zero(target));
	otd_difficulty_format(text, target, diff1);
	/* 17 digits name a target to within their precision only; the text itself must be good. */
	must(otd_difficulty_parse(&again, text, strlen(text), diff1) == OTD_OK);
}

static void hex(const char *s, size_t n)
{
	uint8_t raw[256], other[32];
	char text[513];
	size_t len;
	(void)otd_hex_decode_reverse(other, sizeof(other), s, n);
	if (otd_hex_decode(raw, sizeof(raw), &len, s, n))
		return;
	must(len * 2 == n);
	otd_hex_encode(text, raw, len);
	for (size_t i = 0; i < n; i++)
		must(text[i] == (s[i] >= 'A' && s[i] <= 'F' ? s[i] + 32 : s[i]));
}

static void addresses(const char *s, size_t n)
{
	uint8_t raw[128], version, program[40];
	char text[256];
	size_t len;
	if (otd_base58check_decode(raw, sizeof(raw), &len, s, n) == OTD_OK) {
		must(otd_base58check_encode(text, sizeof(text), raw, len) == OTD_OK);
		must(strlen(text) == n && memcmp(text, s, n) == 0);
	}
	if (otd_segwit_decode(&version, program, &len, "bc", s, n) == OTD_OK) {
		must(otd_segwit_encode(text, sizeof(text), "bc", version, program, len) == OTD_OK);
		must(strlen(text) == n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 2)
		return 0;
	/* Exactly the bytes, without a terminating zero. */
	char *s = malloc(n - 1);
	if (!s)
		return 0;
	memcpy(s, data + 1, n - 1);
	switch (data[0] & 7) {
	case 0: integers(s, n - 1, data[0] >> 3); break;
	case 1: units(s, n - 1); break;
	case 2: difficulty(s, n - 1); break;
	case 3: hex(s, n - 1); break;
	case 4: addresses(s, n - 1); break;
	default:
		for (size_t i = 0; i < n - 1;) {
			size_t k = otd_utf8_sequence(s + i, n - 1 - i);
			must(k <= 4 && k <= n - 1 - i);
			i += k ? k : 1;
		}
	}
	free(s);
	return 0;
}
