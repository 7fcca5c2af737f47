#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "config/yaml.h"
#include "files.h"

static struct otd_yaml_doc *parse(const char *text)
{
	struct otd_yaml_doc *d = NULL;
	struct otd_err err = {0};
	if (otd_yaml_parse(&d, text, strlen(text), "t.yaml", &err))
		fail_msg("%s", err.text);
	return d;
}

static void refuses_n(const char *text, size_t n, const char *start, const char *part)
{
	struct otd_yaml_doc *d = NULL;
	struct otd_err err = {0};
	assert_int_not_equal(otd_yaml_parse(&d, text, n, "t.yaml", &err), OTD_OK);
	assert_null(d);
	if (strncmp(err.text, start, strlen(start)) != 0 || !strstr(err.text, part))
		fail_msg("got '%s', wanted '%s...%s'", err.text, start, part);
}

static void refuses(const char *text, const char *start, const char *part)
{
	refuses_n(text, strlen(text), start, part);
}

static void test_tree(void **state)
{
	(void)state;
	struct otd_yaml_doc *d = parse("a: 1\nb:\n  - x\n  - {y: 'z', w: ~}\n\"c d\": \"\"\n");
	const struct otd_yaml *r = otd_yaml_root(d);
	assert_int_equal(otd_yaml_kind(r), OTD_YAML_MAP);
	assert_int_equal(otd_yaml_count(r), 3);
	assert_string_equal(otd_yaml_key(r, 0), "a");
	assert_string_equal(otd_yaml_text(otd_yaml_get(r, "a")), "1");
	const struct otd_yaml *b = otd_yaml_get(r, "b");
	assert_int_equal(otd_yaml_kind(b), OTD_YAML_LIST);
	const struct otd_yaml *m = otd_yaml_at(b, 1);
	assert_string_equal(otd_yaml_text(otd_yaml_get(m, "y")), "z");
	assert_int_equal(otd_yaml_line(m), 4);
	assert_int_equal(otd_yaml_column(m), 5);
	assert_true(otd_yaml_is_plain_null(otd_yaml_get(m, "w")));
	assert_false(otd_yaml_is_plain_null(otd_yaml_get(r, "c d")));
	assert_int_equal(otd_yaml_column(otd_yaml_key_at(r, 2)), 1);
	assert_null(otd_yaml_get(r, "none"));
	assert_null(otd_yaml_at(b, 2));
	assert_string_equal(otd_yaml_file(m), "t.yaml");
	assert_string_equal(otd_yaml_text(m), "");
	otd_yaml_destroy(d);
	d = parse("");
	assert_true(otd_yaml_is_plain_null(otd_yaml_root(d)));
	otd_yaml_destroy(d);
	d = parse("# only a comment\n");
	assert_true(otd_yaml_is_plain_null(otd_yaml_root(d)));
	otd_yaml_destroy(d);
	otd_yaml_destroy(NULL);
}

static void test_many_keys_grow(void **state)
{
	(void)state;
	char *text = malloc(100 * 16), *p = text;
	for (int i = 0; i < 100; i++)
		p += snprintf(p, 16, "k%d: v%d\n", i, i);
	struct otd_yaml_doc *d = parse(text);
	for (int i = 0; i < 100; i++) {
		char key[8], value[8];
		snprintf(key, sizeof(key), "k%d", i);
		snprintf(value, sizeof(value), "v%d", i);
		assert_string_equal(otd_yaml_text(otd_yaml_get(otd_yaml_root(d), key)), value);
	}
	otd_yaml_destroy(d);
	free(text);
}

static void test_refusals(void **state)
{
	(void)state;
	refuses("a: 1\nb: 2\na: 3\n", "t.yaml:3:1: ", "already, on line 1");
	refuses("p:\n  x: 1\n  x: 2\n", "t.yaml:3:3: ", "'x'");
	refuses("a: &x 1\nb: 2\n", "t.yaml:1:4: ", "anchors");
	refuses("a: *x\n", "t.yaml:1:4: ", "aliases");
	refuses("a: !!int 1\n", "t.yaml:1:4: ", "tags");
	refuses("a: !x [1]\n", "t.yaml:1:4: ", "tags");
	refuses("%YAML 1.1\n---\na: 1\n", "t.yaml:1:1: ", "directives");
	refuses("a: 1\n---\nb: 2\n", "t.yaml:2:1: ", "second document");
	refuses("[a]: 1\n", "t.yaml:1:1: ", "key must be");
	refuses("a:\n\tb: 1\n", "t.yaml:2:1: ", "not tabs");
	refuses("a: [1, 2\nb: 3\n", "t.yaml:2:", "brackets");
	refuses("a: b: c\n", "t.yaml:1:5: ", "between quotes");
	refuses("a: @b\n", "t.yaml:1:4: ", "between quotes");
	refuses("a: \"x\\0y\"\n", "t.yaml:1:4: ", "zero byte");
	refuses("a: 1\nb: \xff\n", "t.yaml:2:4: ", "UTF-8");
	refuses("a: \xed\xa0\x80\n", "t.yaml:1:4: ", "UTF-8"); /* a surrogate */
	refuses_n("a: 1\n\0b", 7, "t.yaml:2:1: ", "UTF-8");
	refuses("a: \x01\n", "t.yaml:", "control characters");
}

static void test_limits(void **state)
{
	(void)state;
	enum { N = 200000 };
	char *text = malloc(300 * 1024);
	struct timespec t0, t1;
	static const char fill[] = "[{-?";
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (size_t k = 0; k < sizeof(fill) - 1; k++) {
		for (size_t i = 0; i < N; i++)
			text[i] = fill[k] == '-' || fill[k] == '?' ? (i % 2 ? ' ' : fill[k])
								   : fill[k];
		refuses_n(text, N, "t.yaml:1:", k % 2 ? "key must be" : "32 levels");
	}
	for (size_t i = 0; i + 4 <= N; i += 4)
		memcpy(text + i, "{a: ", 4);
	refuses_n(text, N, "t.yaml:1:", "32 levels");
	clock_gettime(CLOCK_MONOTONIC, &t1);
	/* libyaml alone takes more than 20 s for the first; the bound is far from what we take */
	assert_true(t1.tv_sec - t0.tv_sec < 10);
	memset(text, 'x', 300 * 1024);
	refuses_n(text, 300 * 1024, "t.yaml: has 307200 bytes", "262144");
	for (size_t i = 1; i + 2 <= N; i += 2)
		memcpy(text + i, "a,", 2);
	text[0] = '[';
	text[N - 1] = ']';
	refuses_n(text, N, "t.yaml:1:", "too many values");
	char deep[80];
	memset(deep, '[', 32);
	memset(deep + 32, ']', 32);
	struct otd_yaml_doc *d = NULL;
	assert_int_equal(otd_yaml_parse(&d, deep, 64, "t.yaml", NULL), OTD_OK);
	otd_yaml_destroy(d);
	memset(deep, '[', 33);
	memset(deep + 33, ']', 33);
	refuses_n(deep, 66, "t.yaml:1:33: ", "32 levels");
	free(text);
}

static void test_environment(void **state)
{
	(void)state;
	setenv("OTD_TEST_A", "one", 1);
	setenv("OTD_TEST_E", "", 1);
	unsetenv("OTD_TEST_NONE");
	struct otd_yaml_doc *d = parse("a: ${OTD_TEST_A}\nb: \"x${OTD_TEST_A}y${OTD_TEST_A}\"\n"
				       "c: '${OTD_TEST_A}'\nd: $${OTD_TEST_A}\n"
				       "e: \"${OTD_TEST_E}\"\nf: $5 {}\n");
	const struct otd_yaml *r = otd_yaml_root(d);
	assert_string_equal(otd_yaml_text(otd_yaml_get(r, "a")), "one");
	assert_string_equal(otd_yaml_written(otd_yaml_get(r, "a")), "${OTD_TEST_A}");
	assert_true(otd_yaml_is_expanded(otd_yaml_get(r, "a")));
	assert_string_equal(otd_yaml_text(otd_yaml_get(r, "b")), "xoneyone");
	assert_string_equal(otd_yaml_text(otd_yaml_get(r, "c")), "${OTD_TEST_A}");
	assert_false(otd_yaml_is_expanded(otd_yaml_get(r, "c")));
	assert_string_equal(otd_yaml_text(otd_yaml_get(r, "d")), "${OTD_TEST_A}");
	assert_string_equal(otd_yaml_text(otd_yaml_get(r, "e")), "");
	assert_string_equal(otd_yaml_text(otd_yaml_get(r, "f")), "$5 {}");
	otd_yaml_destroy(d);
	refuses("a: 1\nb: ${OTD_TEST_NONE}\n", "t.yaml:2:4: ", "export OTD_TEST_NONE");
	refuses("a: \"${}\"\n", "t.yaml:1:4: ", "$${");
	refuses("a: \"${1}\"\n", "t.yaml:1:4: ", "$${");
	refuses("a: \"${OTD_TEST_A\"\n", "t.yaml:1:4: ", "$${");
	setenv("OTD_TEST_BAD", "\xff", 1);
	refuses("a: ${OTD_TEST_BAD}\n", "t.yaml:1:4: ", "UTF-8");
	/* an expansion is bounded in all, not only one by one */
	char *big = malloc(100001), *text = malloc(20 * 24), *p = text;
	memset(big, 'v', 100000);
	big[100000] = '\0';
	setenv("OTD_TEST_BIG", big, 1);
	for (int i = 0; i < 20; i++)
		p += snprintf(p, 24, "k%02d: ${OTD_TEST_BIG}\n", i);
	refuses(text, "t.yaml:11:6: ", "too long");
	unsetenv("OTD_TEST_BIG");
	free(big);
	free(text);
}

static void set(struct otd_yaml_doc *d, const char *assignment)
{
	struct otd_err err = {0};
	if (otd_yaml_set(d, assignment, &err))
		fail_msg("%s", err.text);
}

static void test_set(void **state)
{
	(void)state;
	struct otd_yaml_doc *d = parse("pools:\n  ltc:\n    fee: {rate: 1%}\n    nodes: [a]\n");
	const struct otd_yaml *r = otd_yaml_root(d);
	const struct otd_yaml *ltc = otd_yaml_get(otd_yaml_get(r, "pools"), "ltc");
	set(d, "pools.ltc.fee.rate=2%");
	assert_string_equal(otd_yaml_text(otd_yaml_get(otd_yaml_get(ltc, "fee"), "rate")), "2%");
	set(d, "pools.ltc.nodes=[b, c]");
	assert_int_equal(otd_yaml_count(otd_yaml_get(ltc, "nodes")), 2);
	set(d, "pools.ltc.nodes.1=x=y");
	assert_string_equal(otd_yaml_text(otd_yaml_at(otd_yaml_get(ltc, "nodes"), 1)), "x=y");
	set(d, "pools.ltc.nodes.2=z");
	assert_int_equal(otd_yaml_count(otd_yaml_get(ltc, "nodes")), 3);
	set(d, "log.modules.pool=debug");
	set(d, "api.listen=127.0.0.1:0");
	assert_string_equal(otd_yaml_text(otd_yaml_get(
				    otd_yaml_get(otd_yaml_get(r, "log"), "modules"), "pool")),
			    "debug");
	assert_string_equal(otd_yaml_file(otd_yaml_get(otd_yaml_get(r, "api"), "listen")),
			    "--set api.listen");
	static const char *const bad[] = {"",
					  "x",
					  "=1",
					  ".a=1",
					  "a..b=1",
					  "a.=1",
					  "pools.ltc.nodes.9=1",
					  "pools.ltc.fee.rate.x=1",
					  "a=[",
					  "a={x: 1, x: 2}",
					  "pools.ltc.nodes.x=1"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct otd_err err = {0};
		assert_int_not_equal(otd_yaml_set(d, bad[i], &err), OTD_OK);
		assert_int_equal(strncmp(err.text, "--set", 5), 0);
	}
	otd_yaml_destroy(d);
	d = parse("");
	set(d, "a.b=1");
	assert_int_equal(otd_yaml_kind(otd_yaml_root(d)), OTD_YAML_MAP);
	otd_yaml_destroy(d);
}

static void test_overlay(void **state)
{
	(void)state;
	struct otd_yaml_doc *d = parse("base: {a: 1, b: 2}\nover: {b: 3, c: 4}\n");
	const struct otd_yaml *r = otd_yaml_root(d);
	struct otd_yaml *m = otd_yaml_overlay(d, otd_yaml_get(r, "base"), otd_yaml_get(r, "over"));
	assert_non_null(m);
	assert_int_equal(otd_yaml_count(m), 3);
	assert_string_equal(otd_yaml_text(otd_yaml_get(m, "b")), "3");
	assert_int_equal(otd_yaml_add_text(d, m, "c", "no", r), OTD_OK);
	assert_int_equal(otd_yaml_add_text(d, m, "d", "yes", r), OTD_OK);
	assert_string_equal(otd_yaml_text(otd_yaml_get(m, "c")), "4");
	assert_string_equal(otd_yaml_text(otd_yaml_get(m, "d")), "yes");
	assert_int_equal(otd_yaml_count(otd_yaml_overlay(d, NULL, NULL)), 0);
	otd_yaml_destroy(d);
}

static void test_load(void **state)
{
	(void)state;
	char folder[64], path[128];
	struct otd_yaml_doc *d = NULL;
	struct otd_err err = {0};
	test_folder(folder);
	test_write(folder, "a.yaml", "x: 1\n");
	snprintf(path, sizeof(path), "%s/a.yaml", folder);
	assert_int_equal(otd_yaml_load(&d, test_env(), path, &err), OTD_OK);
	assert_string_equal(otd_yaml_file(otd_yaml_root(d)), path);
	otd_yaml_destroy(d);
	snprintf(path, sizeof(path), "%s/none.yaml", folder);
	assert_int_equal(otd_yaml_load(&d, test_env(), path, &err), OTD_E_NOT_FOUND);
	assert_non_null(strstr(err.text, "none.yaml: cannot be read"));
	char *big = malloc(270001);
	memset(big, '#', 270000);
	big[270000] = '\0';
	test_write(folder, "big.yaml", big);
	snprintf(path, sizeof(path), "%s/big.yaml", folder);
	assert_int_equal(otd_yaml_load(&d, test_env(), path, &err), OTD_E_RANGE);
	free(big);
	test_folder_remove(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tree),        cmocka_unit_test(test_many_keys_grow),
		cmocka_unit_test(test_refusals),    cmocka_unit_test(test_limits),
		cmocka_unit_test(test_environment), cmocka_unit_test(test_set),
		cmocka_unit_test(test_overlay),     cmocka_unit_test(test_load),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
