/* Difficulty and target, against exact figures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

/* 0xffff * 2^208, Bitcoin's */
static struct otd_u256 bitcoin(void)
{
	return otd_u256_shl(otd_u256_from_u64(0xffff), 208);
}

static struct otd_u256 from_hex(const char *hex)
{
	uint8_t b[32];
	size_t n;
	assert_int_equal(otd_hex_decode(b, 32, &n, hex, 64), OTD_OK);
	return otd_u256_from_be(b);
}

static struct otd_u256 parse(const char *s)
{
	struct otd_u256 t = otd_u256_zero();
	assert_int_equal(otd_difficulty_parse(&t, s, strlen(s), bitcoin()), OTD_OK);
	return t;
}

static void assert_same(struct otd_u256 a, struct otd_u256 b)
{
	assert_int_equal(otd_u256_cmp(a, b), 0);
}

static void parses_exactly(void **state)
{
	struct otd_u256 q;
	(void)state;
	assert_same(parse("1"), bitcoin());
	assert_same(parse("1.000"), bitcoin());
	assert_same(parse("10e-1"), bitcoin());
	assert_same(parse("1024"), otd_u256_shr(bitcoin(), 10));
	assert_same(parse("0.5"), otd_u256_shl(bitcoin(), 1));
	/* floor(diff1 / d) by whole numbers: 16384.5 = 32769 / 2, 0.001 = 1 / 1000 */
	(void)otd_u256_div(&q, NULL, otd_u256_shl(bitcoin(), 1), otd_u256_from_u64(32769));
	assert_same(parse("16384.5"), q);
	(void)otd_u256_mul_u64(&q, bitcoin(), 1000);
	assert_same(parse("0.001"), q);
	assert_same(parse("1E-3"), q);
	(void)otd_u256_mul_u64(&q, bitcoin(), 1000000000);
	assert_same(parse("1e-9"), q);
	assert_same(parse("0.000000001"), q);
	/* by Python's fractions */
	assert_same(parse("16307.420938523983"),
		    from_hex("00000000000404cb0000000004f1519c2c1c5441dfb579aa85bdfc2c4aebfbde"));
	assert_same(parse("1e67"), otd_u256_from_u64(2));
}

static void refuses_what_is_no_difficulty(void **state)
{
	static const char *const invalid[] = {"",    "-1",  "+1",    ".5",    "5.", "1e",
					      "1e+", "e5",  "1.2.3", "1 ",    " 1", "0x10",
					      "nan", "inf", "1e5x",  "1e5.5", "1,5"};
	static const char *const range[] = {"0",
					    "0.0",
					    "0e5",
					    "1e99999999999",
					    "1e-99999999999",
					    "1e121",
					    "1e80",
					    "1e-11",
					    "11111111111111111111111111111111111111111",
					    "0.0000000000000000000000000000000000000001"};
	struct otd_u256 t;
	(void)state;
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++)
		assert_int_equal(
			otd_difficulty_parse(&t, invalid[i], strlen(invalid[i]), bitcoin()),
			OTD_E_INVALID);
	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++)
		assert_int_equal(otd_difficulty_parse(&t, range[i], strlen(range[i]), bitcoin()),
				 OTD_E_RANGE);
}

static void check_format(const char *in, const char *expect)
{
	char text[OTD_DIFFICULTY_TEXT];
	assert_string_equal(otd_difficulty_format(text, parse(in), bitcoin()), expect);
}

static void formats_the_shortest(void **state)
{
	(void)state;
	static const char *const same[] = {"1",
					   "2",
					   "3",
					   "7",
					   "10",
					   "16",
					   "100",
					   "1000",
					   "1024",
					   "0.5",
					   "0.125",
					   "0.001",
					   "1.5",
					   "0.1",
					   "0.7",
					   "123.456",
					   "16384.5",
					   "16307.420938523983",
					   "1e-9",
					   "1.5e-9",
					   "0.0001",
					   "0.000001",
					   "1000000000000",
					   "9007199254740993",
					   "99999999999999999",
					   "1152921504606846976",
					   "9223372036854775808",
					   "85070591730234615865843651857942052864"};
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		check_format(same[i], same[i]);
	check_format("1000.0", "1000");
	check_format("1e3", "1000");
	check_format("0.0000001", "1e-7");
	check_format("0.00000123", "0.00000123");
	check_format("1e20", "100000000000000000000");
	check_format("1e45", "1e45");
	/* more digits than a double has: cut to 17, rounded */
	check_format("0.12345678901234567890123", "0.12345678901234568");
	check_format("123456789012345678901", "123456789012345680000");
}

static void format_edges(void **state)
{
	char text[OTD_DIFFICULTY_TEXT];
	struct otd_u256 t = otd_u256_zero();
	(void)state;
	assert_string_equal(otd_difficulty_format(text, otd_u256_max(), otd_u256_max()), "1");
	/* 4 means a target of 250; 249 is what lies above 4 and up to 4.016.. */
	assert_string_equal(
		otd_difficulty_format(text, otd_u256_from_u64(249), otd_u256_from_u64(1000)),
		"4.01");
	/* the whole range: each stays a number, in its buffer */
	for (unsigned i = 0; i <= 256; i++) {
		struct otd_u256 x =
			i == 256 ? otd_u256_max() : otd_u256_shl(otd_u256_from_u64(1), i);
		for (unsigned j = 0; j <= 256; j += 16) {
			struct otd_u256 d1 =
				j == 256 ? otd_u256_max() : otd_u256_shl(otd_u256_from_u64(1), j);
			otd_difficulty_format(text, x, d1);
			char *end;
			double expect = ldexp(1, (int)j - (int)i), got = strtod(text, &end);
			assert_int_equal(*end, 0);
			assert_true(strlen(text) < sizeof(text));
			/* a target of a bit or two has a wide range of meaning */
			if (i > 60)
				assert_true(fabs(got / expect - 1) < 1e-15);
		}
	}
	assert_string_equal(otd_difficulty_format(text, t, otd_u256_zero()), "0");
	assert_true(strtod(otd_difficulty_format(text, t, bitcoin()), NULL) > 1e66);
}

/* Vardiff's powers of two come back as the same double and the same target. */
static void powers_of_two_are_exact(void **state)
{
	(void)state;
	for (int k = -30; k <= 63; k++) {
		char text[OTD_DIFFICULTY_TEXT];
		struct otd_u256 t = k < 0 ? otd_u256_shl(bitcoin(), (unsigned)-k)
					  : otd_u256_shr(bitcoin(), (unsigned)k);
		otd_difficulty_format(text, t, bitcoin());
		assert_true(strtod(text, NULL) == ldexp(1, k));
		if (k >= -16)
			assert_same(parse(text), t);
	}
}

static void whole_difficulties_round_trip(void **state)
{
	uint64_t r = 88172645463325252ULL;
	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[OTD_DIFFICULTY_TEXT], decimal[40];
		r ^= r << 13;
		r ^= r >> 7;
		r ^= r << 17;
		/* up to 12 digits, some behind the point */
		int behind = (int)(r >> 60) % 7;
		uint64_t digits = r % 1000000000000ULL + 1;
		while (digits % 10 == 0)
			digits /= 10;
		(void)snprintf(decimal, sizeof(decimal), "%llue-%d", (unsigned long long)digits,
			       behind);
		struct otd_u256 t = parse(decimal);
		otd_difficulty_format(text, t, bitcoin());
		assert_same(parse(text), t);
		assert_true(strtod(text, NULL) == strtod(decimal, NULL));
		assert_true(strlen(text) <= strlen(decimal) + 6);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_exactly),
		cmocka_unit_test(refuses_what_is_no_difficulty),
		cmocka_unit_test(formats_the_shortest),
		cmocka_unit_test(format_edges),
		cmocka_unit_test(powers_of_two_are_exact),
		cmocka_unit_test(whole_difficulties_round_trip),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
