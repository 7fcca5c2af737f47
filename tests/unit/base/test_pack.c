/* Numbers in a row: what was written is read, and nobody reads past the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/pack.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void write_all(struct otd_bytes *b)
{
	otd_pack_u8(b, 0xfe);
	otd_pack_u16(b, 0xfedc);
	otd_pack_u32(b, 0xfedcba98);
	otd_pack_u64(b, UINT64_C(0xfedcba9876543210));
	otd_pack_i64(b, INT64_MIN + 5);
	otd_pack_u256(b, otd_u256_max());
	otd_pack_text(b, "a text");
	size_t part = otd_pack_begin(b);
	otd_pack_u32(b, 7);
	otd_pack_text(b, "inside");
	otd_pack_end(b, part);
	otd_pack_u8(b, 1);
}

/* False where something failed. */
static bool read_all(struct otd_unpack *u)
{
	char text[16];
	bool same = otd_unpack_u8(u) == 0xfe && otd_unpack_u16(u) == 0xfedc;
	same = otd_unpack_u32(u) == 0xfedcba98 && same;
	same = otd_unpack_u64(u) == UINT64_C(0xfedcba9876543210) && same;
	same = otd_unpack_i64(u) == INT64_MIN + 5 && same;
	same = otd_u256_cmp(otd_unpack_u256(u), otd_u256_max()) == 0 && same;
	otd_unpack_text(u, text, sizeof(text));
	same = strcmp(text, "a text") == 0 && same;
	struct otd_unpack part = otd_unpack_part(u);
	same = otd_unpack_u32(&part) == 7 && same;
	otd_unpack_text(&part, text, sizeof(text));
	same = strcmp(text, "inside") == 0 && !part.left && same;
	same = otd_unpack_u8(u) == 1 && same;
	return same && !u->failed && !part.failed;
}

static void round_trip_and_every_cut(void **state)
{
	struct otd_bytes b;
	(void)state;
	otd_bytes_init(&b, 4096);
	write_all(&b);
	assert_false(b.failed);
	struct otd_unpack u = otd_unpack_of(otd_bytes_span(&b));
	assert_true(read_all(&u));
	assert_int_equal(u.left, 0);
	for (size_t n = 0; n < b.len; n++) {
		uint8_t *cut = malloc(n ? n : 1); /* so that ASan sees a look behind it */
		memcpy(cut, b.ptr, n);
		u = otd_unpack_of((struct otd_span){cut, n});
		assert_false(read_all(&u));
		free(cut);
	}
	otd_bytes_finish(&b);
}

static void texts_that_do_not_fit(void **state)
{
	struct otd_bytes b;
	char text[4];
	(void)state;
	otd_bytes_init(&b, 4096);
	otd_pack_text(&b, "four");
	otd_pack_span(&b, (struct otd_span){(const uint8_t *)"a\0b", 3});
	struct otd_unpack u = otd_unpack_of(otd_bytes_span(&b));
	otd_unpack_text(&u, text, sizeof(text));
	assert_true(u.failed);
	assert_string_equal(text, "");
	u = otd_unpack_of((struct otd_span){b.ptr + 8, b.len - 8});
	otd_unpack_text(&u, text, sizeof(text));
	assert_true(u.failed);
	/* Once failed it gives nothing more. */
	assert_int_equal(otd_unpack_u8(&u), 0);
	otd_bytes_finish(&b);
}

static void a_writer_that_is_full_says_so(void **state)
{
	struct otd_bytes b;
	(void)state;
	otd_bytes_init(&b, 6);
	size_t part = otd_pack_begin(&b);
	otd_pack_u32(&b, 1);
	otd_pack_end(&b, part);
	assert_true(b.failed);
	otd_bytes_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip_and_every_cut),
		cmocka_unit_test(texts_that_do_not_fit),
		cmocka_unit_test(a_writer_that_is_full_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
