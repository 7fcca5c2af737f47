/* Options: every type, its bounds, and what is said where. */
#include "base/bytes.h"
#include "toy.h"

static struct plugin_host h;

static int setup(void **state)
{
	(void)state;
	plugin_host_init(&h);
	toy_refusal = NULL;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	plugin_host_finish(&h);
	return 0;
}

static void refused(const char *options, const char *words)
{
	struct otd_plugin_instance *in;
	otd_rc rc = plugin_host_try(&in, &h, &toy_chain, options);
	if (rc == OTD_OK)
		fail_msg("%s: taken", options);
	if (strcmp(h.err.text, words) != 0)
		fail_msg("%s:\n got  %s\n want %s", options, h.err.text, words);
	assert_int_equal(rc, h.err.rc);
}

static void defaults(void **state)
{
	struct otd_plugin_instance *in = plugin_host_create(&h, &toy_chain, NULL);
	const struct toy_options *o = toy_seen;
	(void)state;
	assert_true(o->flag);
	assert_int_equal(o->count, 7);
	assert_int_equal(o->choice, 2);
	assert_int_equal(o->time_ms, 10000);
	assert_int_equal(o->bytes, 65536);
	assert_int_equal(o->rate_ppm, 2500);
	assert_string_equal(o->text, "hello");
	assert_string_equal(o->secret, "");
	assert_int_equal(o->hex.len, 2);
	assert_int_equal(o->hex.ptr[1], 0xff);
	assert_int_equal(o->list.n, 2);
	assert_string_equal(o->list.item[1], "b c");
	assert_int_equal(o->window.milli_difficulty, 2000);
	assert_int_equal(o->window.ms, 0);
	otd_instance_destroy(in);
}

static void given(void **state)
{
	struct otd_plugin_instance *in = plugin_host_create(
		&h, &toy_chain,
		"{use: toy, scheme: x, flag: off, count: 100, choice: slow, time: 1s, bytes: 12, "
		"rate: 1%, text: a, hex: DEADBEEF, list: [x], window: 2h, secret: abc}");
	const struct toy_options *o = toy_seen;
	(void)state;
	assert_false(o->flag);
	assert_int_equal(o->count, 100);
	assert_int_equal(o->choice, 0);
	assert_int_equal(o->time_ms, 1000);
	assert_int_equal(o->bytes, 12);
	assert_int_equal(o->rate_ppm, 10000);
	assert_string_equal(o->text, "a");
	assert_int_equal(o->hex.len, 4);
	assert_int_equal(o->list.n, 1);
	assert_int_equal(o->window.ms, 7200000);
	assert_int_equal(o->window.milli_difficulty, 0);
	assert_string_equal(o->secret, "abc");
	otd_instance_destroy(in);
	in = plugin_host_create(&h, &toy_chain, "{window: 0.5 x difficulty}");
	assert_int_equal(toy_seen->window.milli_difficulty, 500);
	otd_instance_destroy(in);
}

static void wrong_values(void **state)
{
	(void)state;
	refused("{count: 101}", "test.yaml:1:9: test.count: '101' is out of range: 1 to 100");
	refused("{count: seven}", "test.yaml:1:9: test.count: 'seven' is not a whole number");
	refused("{flag: maybe}", "test.yaml:1:8: test.flag: 'maybe' is not true or false");
	refused("a: 1\ncount: 0", "test.yaml:1:4: test.a: is no option of chain/toy");
	refused("flag: on\ncount: 0", "test.yaml:2:8: test.count: '0' is out of range: 1 to 100");
	refused("{choice: fats}",
		"test.yaml:1:10: test.choice: 'fats' is none of: slow, medium, fast "
		"(did you mean fast?)");
	refused("{time: 10}", "test.yaml:1:8: test.time: '10' is not a time with its unit (500ms, "
			      "10s, 2h, 7d)");
	refused("{time: 2h}", "test.yaml:1:8: test.time: '2h' is out of range: 1000 to 60000 ms");
	refused("{rate: 5}", "test.yaml:1:8: test.rate: '5' is not a rate in percent (1%, 0.25%)");
	refused("{text: hello world}",
		"test.yaml:1:8: test.text: 'hello world' is out of range: 1 to "
		"10 bytes long");
	refused("{hex: abc}", "test.yaml:1:7: test.hex: 'abc' is not an even number of hex digits");
	refused("{hex: \"\"}", "test.yaml:1:7: test.hex: '' is out of range: 1 to 4 bytes");
	refused("{list: a}", "test.yaml:1:8: test.list: 'a' is not a list: write [a, b]");
	refused("{list: [[a]]}", "test.yaml:1:9: test.list: holds something else than texts");
	refused("{window: 2x difficult}", "test.yaml:1:10: test.window: '2x difficult' is not '2x "
					  "difficulty' or a time with its unit (2h)");
	refused("{window: 0x difficulty}",
		"test.yaml:1:10: test.window: '0x difficulty' is not '2x "
		"difficulty' or a time with its unit (2h)");
	refused("{count: {a: 1}}", "test.yaml:1:9: test.count: is not a whole number");
	refused("[count]", "test.yaml:1:1: test: is not a mapping of options ({name: value})");
}

static void secrets_stay_secret(void **state)
{
	(void)state;
	refused("{secret: hunter2}",
		"test.yaml:1:10: test.secret: is out of range: 0 to 6 bytes long");
}

static void unknown_keys(void **state)
{
	(void)state;
	refused("{windw: 2h}",
		"test.yaml:1:9: test.windw: is no option of chain/toy; did you mean 'window'?");
	refused("{zzzzzzzzzz: 2h}", "test.yaml:1:14: test.zzzzzzzzzz: is no option of chain/toy");
}

static void duplicate_keys(void **state)
{
	struct otd_plugin_instance *in;
	(void)state;
	assert_int_not_equal(plugin_host_try(&in, &h, &toy_chain, "{count: 1, count: 2}"), OTD_OK);
	assert_non_null(strstr(h.err.text, "test.yaml:1:"));
	assert_non_null(strstr(h.err.text, "count"));
}

static void required(void **state)
{
	(void)state;
	toy_table[1].flags = OTD_OPT_REQUIRED;
	refused("{flag: on}", "test.yaml:1:1: test.count: is missing (A number)");
	toy_table[1].flags = 0;
}

static void create_names_an_option(void **state)
{
	(void)state;
	toy_refusal = "count: 9 is not a power of two";
	refused("{flag: on, count: 9}", "test.yaml:1:19: test.count: 9 is not a power of two");
	toy_refusal = "the moon is full";
	refused("{count: 9}", "test.yaml:1:1: test: the moon is full");
	toy_refusal = "line one\nline two";
	refused("{count: 9}", "test.yaml:1:1: test: line one line two");
}

static void bad_default(void **state)
{
	struct otd_err err = {0};
	const char *was = toy_table[1].def;
	(void)state;
	toy_table[1].def = "1000";
	assert_int_not_equal(otd_plugins_add_builtin(h.plugins, &toy_chain, &err), OTD_OK);
	toy_table[1].def = was;
	assert_string_equal(err.text, "builtin: default of count:1:1: toy.count: '1000' is out of "
				      "range: 1 to 100");
}

/* A host and a plugin whose rows have different sizes understand each other. */
static void rows_of_other_size(void **state)
{
	struct {
		struct otd_option row;
		uint64_t news[3];
	} wide[2] = {{.row = toy_table[0]}, {.row = toy_table[1]}};
	struct otd_plugin_desc d = toy_chain;
	struct otd_plugin_instance *in;
	(void)state;
	wide[0].row.size = wide[1].row.size = sizeof(wide[0]);
	d.options = &wide[0].row;
	d.n_options = 2;
	d.option_size = sizeof(wide[0]);
	in = plugin_host_create(&h, &d, "{count: 3}");
	assert_true(toy_seen->flag);
	assert_int_equal(toy_seen->count, 3);
	otd_instance_destroy(in);
}

static void described(void **state)
{
	struct otd_plugin *pl;
	struct otd_bytes out;
	(void)state;
	assert_int_equal(otd_plugins_add_builtin(h.plugins, &toy_chain, &h.err), OTD_OK);
	pl = otd_plugins_get(h.plugins, "chain", "toy", &h.err);
	otd_bytes_init(&out, 65536);
	assert_int_equal(otd_plugin_describe(&out, pl, false), OTD_OK);
	assert_non_null(strstr(otd_bytes_cstr(&out), "default 2x difficulty"));
	otd_bytes_clear(&out);
	assert_int_equal(otd_plugin_describe(&out, pl, true), OTD_OK);
	assert_non_null(strstr(otd_bytes_cstr(&out), "\"name\":\"count\",\"type\":\"whole number\","
						     "\"default\":\"7\",\"min\":1,\"max\":100"));
	otd_bytes_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(defaults, setup, teardown),
		cmocka_unit_test_setup_teardown(given, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_values, setup, teardown),
		cmocka_unit_test_setup_teardown(secrets_stay_secret, setup, teardown),
		cmocka_unit_test_setup_teardown(unknown_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(duplicate_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(required, setup, teardown),
		cmocka_unit_test_setup_teardown(create_names_an_option, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_default, setup, teardown),
		cmocka_unit_test_setup_teardown(rows_of_other_size, setup, teardown),
		cmocka_unit_test_setup_teardown(described, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
