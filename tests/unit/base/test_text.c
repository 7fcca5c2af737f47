/* Hex, numbers, amounts, units, nearest names, CRC-32C. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "base/text.h"

static void hex(void **state)
{
	uint8_t b[8];
	char text[20];
	size_t n;
	uint32_t v;
	(void)state;
	assert_int_equal(otd_hex_decode(b, sizeof(b), &n, "00fFa1", 6), OTD_OK);
	assert_int_equal(n, 3);
	assert_memory_equal(b, "\x00\xff\xa1", 3);
	assert_int_equal(otd_hex_decode(b, sizeof(b), &n, "", 0), OTD_OK);
	assert_int_equal(otd_hex_decode(b, sizeof(b), &n, "abc", 3), OTD_E_INVALID);
	assert_int_equal(otd_hex_decode(b, sizeof(b), &n, "0g", 2), OTD_E_INVALID);
	assert_int_equal(otd_hex_decode(b, sizeof(b), &n, "0\0", 2), OTD_E_INVALID);
	assert_int_equal(otd_hex_decode(b, 2, &n, "000000", 6), OTD_E_RANGE);
	otd_hex_encode(text, "\x01\xab\xff", 3);
	assert_string_equal(text, "01abff");
	otd_hex_encode_reverse(text, "\x01\xab\xff", 3);
	assert_string_equal(text, "ffab01");
	assert_int_equal(otd_hex_decode_reverse(b, 3, "FFab01", 6), OTD_OK);
	assert_memory_equal(b, "\x01\xab\xff", 3);
	assert_int_equal(otd_hex_decode_reverse(b, 3, "FFab0", 5), OTD_E_INVALID);
	assert_int_equal(otd_hex_decode_reverse(b, 3, "FFab", 4), OTD_E_RANGE);
	assert_int_equal(otd_hex_decode_reverse(b, 3, "FFab01aa", 8), OTD_E_RANGE);
	assert_int_equal(otd_hex_decode_reverse(b, 3, "FFabx1", 6), OTD_E_INVALID);
	assert_int_equal(otd_hex_u32(&v, "1fFfe000", 8), OTD_OK);
	assert_int_equal(v, 0x1fffe000);
	assert_int_equal(otd_hex_u32(&v, "7", 1), OTD_OK);
	assert_int_equal(v, 7);
	assert_int_equal(otd_hex_u32(&v, "", 0), OTD_E_INVALID);
	assert_int_equal(otd_hex_u32(&v, "0x12", 4), OTD_E_INVALID);
	assert_int_equal(otd_hex_u32(&v, "123456789", 9), OTD_E_RANGE);
}

static void integers(void **state)
{
	uint64_t v;
	otd_i128 w;
	char text[OTD_I128_TEXT];
	const char *bad[] = {"", "-", "+1", "-1", " 1", "1 ", "0x1", "1e3", "1.0", "1_000"};
	(void)state;
	assert_int_equal(otd_parse_u64(&v, "18446744073709551615", 20), OTD_OK);
	assert_true(v == UINT64_MAX);
	assert_int_equal(otd_parse_u64(&v, "18446744073709551616", 20), OTD_E_RANGE);
	assert_int_equal(otd_parse_u64(&v, "99999999999999999999999x", 24), OTD_E_INVALID);
	assert_int_equal(otd_parse_u64(&v, "00042", 5), OTD_OK);
	assert_int_equal(v, 42);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(otd_parse_u64(&v, bad[i], strlen(bad[i])), OTD_E_INVALID);
		if (strcmp(bad[i], "-1") != 0)
			assert_int_equal(otd_parse_i128(&w, bad[i], strlen(bad[i])), OTD_E_INVALID);
	}
	const char *low = "-170141183460469231731687303715884105728";
	const char *high = "170141183460469231731687303715884105727";
	assert_int_equal(otd_parse_i128(&w, low, strlen(low)), OTD_OK);
	assert_string_equal(otd_format_i128(text, w), low);
	assert_int_equal(otd_parse_i128(&w, high, strlen(high)), OTD_OK);
	assert_string_equal(otd_format_i128(text, w), high);
	assert_int_equal(otd_parse_i128(&w, low + 1, strlen(low) - 1), OTD_E_RANGE);
	assert_int_equal(otd_parse_i128(&w, "-170141183460469231731687303715884105729", 40),
			 OTD_E_RANGE);
	assert_string_equal(otd_format_i128(text, 0), "0");
	assert_string_equal(otd_format_i128(text, -5), "-5");
}

static void check_amount(const char *s, unsigned decimals, otd_rc rc, otd_i128 expect,
			 const char *shown)
{
	otd_i128 v = 99;
	char text[OTD_AMOUNT_TEXT];
	assert_int_equal(otd_parse_amount(&v, s, strlen(s), decimals), rc);
	assert_true(rc || v == expect);
	if (!rc)
		assert_string_equal(otd_format_amount(text, v, decimals), shown);
}

static void amounts(void **state)
{
	char text[OTD_AMOUNT_TEXT];
	(void)state;
	check_amount("0.05", 8, OTD_OK, 5000000, "0.05000000");
	check_amount("0.00000001", 8, OTD_OK, 1, "0.00000001");
	check_amount("-1.5", 8, OTD_OK, -150000000, "-1.50000000");
	check_amount("-0.00000001", 8, OTD_OK, -1, "-0.00000001");
	check_amount("21000000", 8, OTD_OK, 2100000000000000, "21000000.00000000");
	check_amount("20999999.9769", 8, OTD_OK, 2099999997690000, "20999999.97690000");
	check_amount("5", 0, OTD_OK, 5, "5");
	check_amount("0.050000000000", 8, OTD_OK, 5000000, "0.05000000");
	check_amount("0.000000001", 8, OTD_E_RANGE, 0, "");
	check_amount("1.5", 0, OTD_E_INVALID, 0, "");
	check_amount("", 8, OTD_E_INVALID, 0, "");
	check_amount("-", 8, OTD_E_INVALID, 0, "");
	check_amount(".5", 8, OTD_E_INVALID, 0, "");
	check_amount("5.", 8, OTD_E_INVALID, 0, "");
	check_amount("1.2.3", 8, OTD_E_INVALID, 0, "");
	check_amount("1e-8", 8, OTD_E_INVALID, 0, "");
	check_amount("1,5", 8, OTD_E_INVALID, 0, "");
	check_amount("1701411834604692317316873037158841057.27", 3, OTD_E_RANGE, 0, "");
	check_amount("1701411834604692317316873037158841057.27", 2, OTD_OK,
		     (otd_i128)(~(otd_u128)0 >> 1), "1701411834604692317316873037158841057.27");
	assert_string_equal(otd_format_amount(text, -(otd_i128)(~(otd_u128)0 >> 1) - 1, 38),
			    "-1.70141183460469231731687303715884105728");
	assert_string_equal(otd_format_amount(text, 1, 60),
			    "0.00000000000000000000000000000000000001");
}

static void check_unit(otd_rc (*parse)(int64_t *, const char *, size_t), const char *s, otd_rc rc,
		       int64_t expect)
{
	int64_t v = -1;
	assert_int_equal(parse(&v, s, strlen(s)), rc);
	if (!rc)
		assert_true(v == expect);
}

static void units(void **state)
{
	(void)state;
	check_unit(otd_parse_duration, "500ms", OTD_OK, 500);
	check_unit(otd_parse_duration, "10s", OTD_OK, 10000);
	check_unit(otd_parse_duration, "5m", OTD_OK, 300000);
	check_unit(otd_parse_duration, "2h", OTD_OK, 7200000);
	check_unit(otd_parse_duration, "7d", OTD_OK, 604800000);
	check_unit(otd_parse_duration, "10", OTD_E_INVALID, 0);
	check_unit(otd_parse_duration, "s", OTD_E_INVALID, 0);
	check_unit(otd_parse_duration, "-1s", OTD_E_INVALID, 0);
	check_unit(otd_parse_duration, "1 s", OTD_E_INVALID, 0);
	check_unit(otd_parse_duration, "1s ", OTD_E_INVALID, 0);
	check_unit(otd_parse_duration, "1S", OTD_E_INVALID, 0);
	check_unit(otd_parse_duration, "1.5h", OTD_E_INVALID, 0);
	check_unit(otd_parse_duration, "106751991168d", OTD_E_RANGE, 0);
	check_unit(otd_parse_duration, "99999999999999999999s", OTD_E_RANGE, 0);
	check_unit(otd_parse_size, "64KiB", OTD_OK, 65536);
	check_unit(otd_parse_size, "2MiB", OTD_OK, 2 << 20);
	check_unit(otd_parse_size, "1GiB", OTD_OK, 1 << 30);
	check_unit(otd_parse_size, "4096", OTD_OK, 4096);
	check_unit(otd_parse_size, "64KB", OTD_E_INVALID, 0);
	check_unit(otd_parse_size, "", OTD_E_INVALID, 0);
	check_unit(otd_parse_size, "9223372036854775807", OTD_OK, INT64_MAX);
	check_unit(otd_parse_size, "9223372036854775808", OTD_E_RANGE, 0);
	check_unit(otd_parse_size, "8388608TiB", OTD_E_RANGE, 0);
	check_unit(otd_parse_rate, "1%", OTD_OK, 10000);
	check_unit(otd_parse_rate, "0.25%", OTD_OK, 2500);
	check_unit(otd_parse_rate, "100%", OTD_OK, 1000000);
	check_unit(otd_parse_rate, "0.0001%", OTD_OK, 1);
	check_unit(otd_parse_rate, "0.00001%", OTD_E_RANGE, 0);
	check_unit(otd_parse_rate, "1", OTD_E_INVALID, 0);
	check_unit(otd_parse_rate, "%", OTD_E_INVALID, 0);
	check_unit(otd_parse_rate, "-1%", OTD_E_INVALID, 0);
	check_unit(otd_parse_rate, "1 %", OTD_E_INVALID, 0);
	check_unit(otd_parse_rate, "99999999999999999%", OTD_E_RANGE, 0);
}

static void check_rate(otd_u128 work, int64_t ms, const char *expect)
{
	char text[OTD_RATE_TEXT];
	assert_string_equal(otd_format_hashrate(text, work, ms), expect);
}

static void hash_rates(void **state)
{
	(void)state;
	check_rate(0, 0, "0 H");
	check_rate(0, 1000, "0 H/s");
	check_rate(12, 0, "12 H");
	check_rate(999, 0, "999 H");
	check_rate(12345678, 0, "12.3 MH");
	check_rate(4500000, 1000, "4.50 MH/s");
	check_rate(45, 10000, "4.50 H/s");
	check_rate(1, 4000, "0.25 H/s");
	check_rate(999499, 1000, "999 kH/s");
	check_rate(999500, 1000, "1.00 MH/s");
	check_rate(9995, 1000, "10.0 kH/s");
	check_rate(9994, 1000, "9.99 kH/s");
	check_rate(99949, 1000, "99.9 kH/s");
	check_rate(99950, 1000, "100 kH/s");
	check_rate((otd_u128)123456789012345678ULL * 1000, 1000, "123 EH/s");
	check_rate((otd_u128)1 << 64, 0, "18.4 EH");
	check_rate(~(otd_u128)0, 1, "999 QH/s");
}

static void nearest(void **state)
{
	static const char *const names[] = {"port", "pools", "difficulty", "store", "api"};
	(void)state;
	assert_string_equal(otd_nearest("prot", names, 5), "port");
	assert_string_equal(otd_nearest("dificulty", names, 5), "difficulty");
	assert_string_equal(otd_nearest("pool", names, 5), "pools");
	assert_string_equal(otd_nearest("stroe", names, 5), "store");
	assert_string_equal(otd_nearest("api", names, 5), "api");
	assert_null(otd_nearest("zebra", names, 5));
	char hint[OTD_HINT_TEXT];
	assert_string_equal(otd_nearest_hint(hint, "stroe", names, 5), "; did you mean 'store'?");
	assert_string_equal(otd_nearest_hint(hint, "zebra", names, 5), "");
	assert_null(otd_nearest("", names, 5));
	assert_null(otd_nearest("ap", names, 5));
	assert_null(otd_nearest("x", NULL, 0));
	char big[500];
	memset(big, 'a', sizeof(big));
	big[sizeof(big) - 1] = 0;
	assert_null(otd_nearest(big, names, 5));
	const char *long_names[] = {big, "apis"};
	assert_string_equal(otd_nearest("apiss", long_names, 2), "apis");
}

static void secrets(void **state)
{
	(void)state;
	assert_true(otd_equal_secret("abc", "abc", 3));
	assert_false(otd_equal_secret("abc", "abd", 3));
	assert_false(otd_equal_secret("\x01", "\x81", 1));
	assert_true(otd_equal_secret("a", "b", 0));
}

/* Bit by bit, as the definition has it. */
static uint32_t naive_crc(uint32_t crc, const uint8_t *p, size_t n)
{
	crc = ~crc;
	for (; n; n--) {
		crc ^= *p++;
		for (int i = 0; i < 8; i++)
			crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
	}
	return ~crc;
}

static void crc32c(void **state)
{
	uint8_t b[300] = {0};
	(void)state;
	/* RFC 3720, B.4 */
	assert_int_equal(otd_crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(otd_crc32c(0, b, 32), 0x8a9136aa);
	memset(b, 0xff, 32);
	assert_int_equal(otd_crc32c(0, b, 32), 0x62a8ab43);
	for (size_t i = 0; i < 32; i++)
		b[i] = (uint8_t)i;
	assert_int_equal(otd_crc32c(0, b, 32), 0x46dd794e);
	assert_int_equal(otd_crc32c(0, b, 0), 0);
	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = (uint8_t)(i * 37 + i / 7);
	for (size_t n = 0; n + 9 < sizeof(b); n++) {
		uint32_t expect = naive_crc(0, b + n % 9, n);
		assert_int_equal(otd_crc32c(0, b + n % 9, n), expect);
		assert_int_equal(
			otd_crc32c(otd_crc32c(0, b + n % 9, n / 3), b + n % 9 + n / 3, n - n / 3),
			expect);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex),     cmocka_unit_test(integers),   cmocka_unit_test(amounts),
		cmocka_unit_test(units),   cmocka_unit_test(hash_rates), cmocka_unit_test(nearest),
		cmocka_unit_test(secrets), cmocka_unit_test(crc32c),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
