/* Settings as bytes for a process that goes on with them: the files they came from are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/diff.h"
#include "config/settings_image.h"
#include "files.h"

static char folder[64], file[128];

#define COIN                                                            \
	"name: Testcoin\nsymbol: TST\nalgorithm: {use: hash-a, n: 4}\n" \
	"chain: {use: chain-a, x: 1}\nmaturity: 20\n"
#define TEXT(fee, reactors)                                                                      \
	"data_dir: /d\nstore: {use: db-a}\nthreads: {reactors: " reactors "}\n"                  \
	"nodes:\n  n: {coin: test, network: test, rpc: \"http://127.0.0.1:1\", user: u, "        \
	"password: \"${OTD_TEST_SECRET}\"}\n"                                                    \
	"pools:\n  p:\n    coin: test\n    nodes: [n]\n    coinbase: {address: addr}\n"          \
	"    network: test\n    payout: {scheme: pay-a, window: 2h}\n    fee: {rate: " fee "}\n" \
	"    ports:\n      3333: {}\n      3334: {difficulty: {start: '1024'}}\n"

static int setup(void **state)
{
	(void)state;
	test_folder(folder);
	snprintf(file, sizeof(file), "%s/main.yaml", folder);
	setenv("OTD_TEST_SECRET", "in clear", 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_folder_remove(folder);
	return 0;
}

static struct otd_settings *load(const char *text)
{
	static const char *const set[] = {"pools.p.fee.rate=3%"};
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file, .set = set, .n_set = text ? 1 : 0};
	test_write(folder, "coins/test.yaml", COIN);
	test_write(folder, "main.yaml", text);
	if (otd_settings_load(&s, test_env(), &src, &err))
		fail_msg("%s", err.text);
	return s;
}

static struct otd_settings *again(const struct otd_settings *s)
{
	struct otd_settings *to = NULL;
	struct otd_bytes b;
	struct otd_err err = {0};
	otd_bytes_init(&b, 1u << 20);
	otd_settings_pack(&b, s);
	assert_false(b.failed);
	if (otd_settings_unpack(&to, test_env(), otd_bytes_span(&b), &err))
		fail_msg("%s", err.text);
	otd_bytes_finish(&b);
	return to;
}

static void are_same(const struct otd_settings *a, const struct otd_settings *b)
{
	struct otd_diff *d;
	struct otd_err err = {0};
	struct otd_bytes one, two;
	assert_int_equal(otd_diff_create(&d, a, b, NULL, NULL, &err), OTD_OK);
	if (otd_diff_count(d))
		fail_msg("%s differs", otd_diff_key(d, 0)->path);
	otd_diff_destroy(d);
	otd_bytes_init(&one, 1u << 20);
	otd_bytes_init(&two, 1u << 20);
	assert_int_equal(otd_settings_print(a, &one), OTD_OK);
	assert_int_equal(otd_settings_print(b, &two), OTD_OK);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.ptr, two.ptr, one.len);
	otd_bytes_finish(&one);
	otd_bytes_finish(&two);
}

static void they_need_no_file(void **state)
{
	char coin[160];
	(void)state;
	struct otd_settings *s = load(TEXT("1%", "2"));
	snprintf(coin, sizeof(coin), "%s/coins/test.yaml", folder);
	assert_int_equal(remove(file), 0);
	assert_int_equal(remove(coin), 0);
	unsetenv("OTD_TEST_SECRET");
	struct otd_settings *same = again(s);
	setenv("OTD_TEST_SECRET", "in clear", 1);
	are_same(s, same);
	assert_int_equal(same->pools[0].fee_ppm, 30000);
	assert_string_equal(same->nodes[0].password, "in clear");
	assert_string_equal(same->file, file);
	const struct otd_yaml *at = otd_settings_at(same, "pools", "p", "fee");
	assert_int_equal(otd_yaml_line(at), otd_yaml_line(otd_settings_at(s, "pools", "p", "fee")));
	otd_settings_destroy(same);
	otd_settings_destroy(s);
}

/* What waits for a restart is as it was, what a reload has applied is new: the file says neither. */
static void after_a_reload_they_are_what_is_in_force(void **state)
{
	struct otd_diff *d;
	struct otd_settings *live, *same;
	struct otd_err err = {0};
	(void)state;
	struct otd_settings *before = load(TEXT("1%", "2"));
	struct otd_settings *now = load(TEXT("1%", "5"));
	assert_int_equal(otd_diff_create(&d, before, now, NULL, NULL, &err), OTD_OK);
	assert_true(otd_diff_not_live(d) > 0);
	assert_int_equal(otd_diff_live_settings(&live, test_env(), d, &err), OTD_OK);
	assert_int_equal(live->threads.reactors, 2);
	same = again(live);
	are_same(live, same);
	assert_int_equal(same->threads.reactors, 2);
	otd_diff_destroy(d);
	otd_settings_destroy(same);
	otd_settings_destroy(live);
	otd_settings_destroy(now);
	otd_settings_destroy(before);
}

static void garbled_ones_are_refused(void **state)
{
	struct otd_settings *s = load(TEXT("1%", "2")), *to;
	struct otd_bytes b;
	struct otd_err err;
	unsigned good = 0;
	(void)state;
	otd_bytes_init(&b, 1u << 20);
	otd_settings_pack(&b, s);
	for (size_t n = 0; n < b.len; n++) {
		err = (struct otd_err){0};
		assert_int_not_equal(
			otd_settings_unpack(&to, test_env(), (struct otd_span){b.ptr, n}, &err),
			OTD_OK);
		assert_null(to);
		assert_true(err.text[0]);
	}
	/* Any byte another one: settings or a word why not, never more. */
	for (size_t i = 0; i < b.len; i++) {
		uint8_t was = b.ptr[i];
		err = (struct otd_err){0};
		b.ptr[i] = (uint8_t)~was;
		if (otd_settings_unpack(&to, test_env(), otd_bytes_span(&b), &err) == OTD_OK) {
			good++;
			otd_settings_destroy(to);
		} else {
			assert_null(to);
			assert_true(err.text[0]);
		}
		b.ptr[i] = was;
	}
	assert_true(good < b.len);
	otd_bytes_finish(&b);
	otd_settings_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_need_no_file),
		cmocka_unit_test(after_a_reload_they_are_what_is_in_force),
		cmocka_unit_test(garbled_ones_are_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
