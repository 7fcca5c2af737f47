/* Base58Check and segwit addresses. Vectors: BIP 173 and BIP 350. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

static const struct {
	const char *hrp, *address, *script;
} segwit_valid[] = {
	{"bc", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
	 "0014751e76e8199196d454941c45d1b3a323f1433bd6"},
	{"tb", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7",
	 "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"},
	{"bc", "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
	 "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6"},
	{"bc", "BC1SW50QGDZ25J", "6002751e"},
	{"bc", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323"},
	{"tb", "tb1qqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesrxh6hy",
	 "0020000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"},
	{"tb", "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c",
	 "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"},
	{"bc", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
	 "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"},
};

static const char *const segwit_invalid[] = {
	"tc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq5zuyut", /* prefix */
	"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", /* Bech32 for 1 */
	"tb1z0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqglt7rf",
	"BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
	"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh", /* Bech32m for 0 */
	"tb1q0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq24jc47",
	"bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", /* character */
	"BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R", /* version 17 */
	"bc1pw5dgrnzv",                                                   /* 1 byte */
	"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
	"BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",                             /* 16 for 0 */
	"tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vq47Zagq",   /* case */
	"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf", /* padding */
	"tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j",   /* padding */
	"bc1gmk9yu",                                                        /* empty */
	"bc1",
	"bc",
	"",
};

static void segwit_vectors(void **state)
{
	uint8_t version, program[40];
	size_t n;
	(void)state;
	for (size_t i = 0; i < sizeof(segwit_valid) / sizeof(segwit_valid[0]); i++) {
		const char *hrp = segwit_valid[i].hrp, *a = segwit_valid[i].address;
		char script[90], again[91];
		assert_int_equal(otd_segwit_decode(&version, program, &n, hrp, a, strlen(a)),
				 OTD_OK);
		(void)snprintf(script, sizeof(script), "%02x%02x", version ? 0x50u + version : 0u,
			       (unsigned)n);
		otd_hex_encode(script + 4, program, n);
		assert_string_equal(script, segwit_valid[i].script);
		assert_int_equal(otd_segwit_encode(again, sizeof(again), hrp, version, program, n),
				 OTD_OK);
		assert_int_equal(strcasecmp(again, a), 0);
		assert_int_equal(otd_segwit_encode(again, strlen(a), hrp, version, program, n),
				 OTD_E_RANGE);
		/* another network's prefix */
		assert_int_equal(otd_segwit_decode(&version, program, &n, "ltc", a, strlen(a)),
				 OTD_E_INVALID);
	}
	for (size_t i = 0; i < sizeof(segwit_invalid) / sizeof(segwit_invalid[0]); i++) {
		const char *a = segwit_invalid[i];
		assert_int_equal(otd_segwit_decode(&version, program, &n, "bc", a, strlen(a)),
				 OTD_E_INVALID);
		assert_int_equal(otd_segwit_decode(&version, program, &n, "tb", a, strlen(a)),
				 OTD_E_INVALID);
	}
}

/* Every single wrong character is noticed: what the checksum is for. */
static void segwit_one_wrong_character(void **state)
{
	static const char charset[] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";
	char a[64] = "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c";
	uint8_t version, program[40];
	size_t n;
	(void)state;
	for (size_t i = 3; i < strlen(a); i++) {
		char right = a[i];
		for (int c = 0; c < 32; c++) {
			a[i] = charset[c];
			assert_int_equal(
				otd_segwit_decode(&version, program, &n, "tb", a, strlen(a)),
				a[i] == right ? OTD_OK : OTD_E_INVALID);
		}
		a[i] = right;
	}
}

static void segwit_encode_refuses(void **state)
{
	uint8_t p[41] = {0};
	char a[91];
	(void)state;
	assert_int_equal(otd_segwit_encode(a, sizeof(a), "bc", 0, p, 21), OTD_E_INVALID);
	assert_int_equal(otd_segwit_encode(a, sizeof(a), "bc", 17, p, 32), OTD_E_INVALID);
	assert_int_equal(otd_segwit_encode(a, sizeof(a), "bc", 1, p, 41), OTD_E_INVALID);
	assert_int_equal(otd_segwit_encode(a, sizeof(a), "bc", 1, p, 1), OTD_E_INVALID);
	assert_int_equal(otd_segwit_encode(a, sizeof(a), "", 1, p, 32), OTD_E_INVALID);
}

static const struct {
	const char *text, *payload;
} base58_valid[] = {
	/* the first block's key; well known addresses; zeros in front */
	{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "0062e907b15cbf27d5425399ebf6f0fb50ebb88f18"},
	{"3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "05e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a"},
	{"1111111111111111111114oLvT2", "000000000000000000000000000000000000000000"},
};

static void base58_vectors(void **state)
{
	uint8_t b[64];
	char text[80];
	size_t n;
	(void)state;
	for (size_t i = 0; i < sizeof(base58_valid) / sizeof(base58_valid[0]); i++) {
		const char *a = base58_valid[i].text;
		assert_int_equal(otd_base58check_decode(b, sizeof(b), &n, a, strlen(a)), OTD_OK);
		otd_hex_encode(text, b, n);
		assert_string_equal(text, base58_valid[i].payload);
		assert_int_equal(otd_base58check_encode(text, sizeof(text), b, n), OTD_OK);
		assert_string_equal(text, a);
		assert_int_equal(otd_base58check_encode(text, strlen(a), b, n), OTD_E_RANGE);
		assert_int_equal(otd_base58check_decode(b, n - 1, &n, a, strlen(a)), OTD_E_RANGE);
	}
}

static void base58_refuses(void **state)
{
	static const char *const bad[] = {"",
					  "1",
					  "1111",
					  "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
					  "1A1zP1eP5QGefi2DMPTfTL5SLmv7Divf0a",
					  "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa ",
					  "11A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
					  "A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
					  "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNal",
					  "1a1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"};
	uint8_t b[200];
	char big[400];
	size_t n;
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(otd_base58check_decode(b, sizeof(b), &n, bad[i], strlen(bad[i])),
				 OTD_E_INVALID);
	memset(big, 'z', sizeof(big));
	assert_int_equal(otd_base58check_decode(b, sizeof(b), &n, big, 400), OTD_E_RANGE);
	assert_int_equal(otd_base58check_decode(b, sizeof(b), &n, big, 256), OTD_E_INVALID);
	memset(big, '1', sizeof(big));
	assert_int_equal(otd_base58check_decode(b, sizeof(b), &n, big, 256), OTD_E_RANGE);
	assert_int_equal(otd_base58check_encode(big, sizeof(big), b, 189), OTD_E_RANGE);
}

static void base58_round_trip(void **state)
{
	uint64_t r = 42;
	(void)state;
	for (int i = 0; i < 300; i++) {
		uint8_t in[100], out[100];
		char text[200];
		size_t len = 1 + (size_t)i % 80, n;
		for (size_t j = 0; j < len; j++) {
			r = r * 6364136223846793005ULL + 1442695040888963407ULL;
			in[j] = j < (size_t)i % 4 ? 0 : (uint8_t)(r >> 56);
		}
		assert_int_equal(otd_base58check_encode(text, sizeof(text), in, len), OTD_OK);
		assert_int_equal(otd_base58check_decode(out, sizeof(out), &n, text, strlen(text)),
				 OTD_OK);
		assert_int_equal(n, len);
		assert_memory_equal(in, out, n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(segwit_vectors),
		cmocka_unit_test(segwit_one_wrong_character),
		cmocka_unit_test(segwit_encode_refuses),
		cmocka_unit_test(base58_vectors),
		cmocka_unit_test(base58_refuses),
		cmocka_unit_test(base58_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
