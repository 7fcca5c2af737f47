/* mining.submit: the scanner and jansson agree, on lines of real clients and on crooked ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "agree.h"
#include <cmocka.h>

#define P "\"params\":[\"a.b\",\"0000001a00\",\"00000001\",\"504e86ed\",\"b2957c02\"]"
#define M "\"method\":\"mining.submit\""

/* The scanner's own. */
static const char *const usual[] = {
	"{\"params\": [\"slush.miner1\", \"bf\", \"00000001\", \"504e86ed\", \"b2957c02\"], "
	"\"id\": 4, \"method\": \"mining.submit\"}",
	"{" P ",\"id\":1," M "}",
	"{" M "," P ",\"id\":1}",
	"{\"id\":0," M "," P "}",
	"{\"id\":null," M "," P "}",
	"{\"id\":\"x\"," M "," P "}",
	"{\"id\":999999999999999999," M "," P "}",
	" \t{ \"id\" : 7 , " M " , " P " } \t",
	"{\"id\":5," M ",\"params\":[\"a\",\"\",\"\",\"\",\"\",\"1fffe000\"]}",
};

/* Left to jansson, whatever it says. */
static const char *const unusual[] = {
	"",
	"{",
	"{}",
	"[" P "]",
	"{" P ",\"id\":1}",
	"{" P "," M "}",
	"{" P ",\"id\":1," M "}x",
	"{" P ",\"id\":1," M ",}",
	"{" P ",\"id\":1," M ",\"jsonrpc\":\"2.0\"}",
	"{" P ",\"id\":1,\"id\":1," M "}",
	"{" P ",\"id\":01," M "}",
	"{" P ",\"id\":-1," M "}",
	"{" P ",\"id\":1.5," M "}",
	"{" P ",\"id\":1e5," M "}",
	"{" P ",\"id\":true," M "}",
	"{" P ",\"id\":[1]," M "}",
	"{" P ",\"id\":1000000000000000000000," M "}",
	"{" P ",\"id\":1,\"method\":\"mining.subscribe\"}",
	"{" P ",\"id\":1,\"method\":\"mining.submi\\u0074\"}",
	"{\"id\":1," M ",\"params\":[\"a\",\"b\",\"c\",\"d\"]}",
	"{\"id\":1," M ",\"params\":[\"a\",\"b\",\"c\",\"d\",1]}",
	"{\"id\":1," M ",\"params\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\"]}",
	"{\"id\":1," M ",\"params\":[\"a\\u0041\",\"b\",\"c\",\"d\",\"e\"]}",
	"{\"id\":1," M ",\"params\":[\"\xc3\xa9\",\"b\",\"c\",\"d\",\"e\"]}",
	"{\"id\":1," M ",\"params\":[\"a\x01\",\"b\",\"c\",\"d\",\"e\"]}",
	"{\"id\":1," M ",\"params\":[\"a\",\"b\",\"c\",\"d\",\"e\",]}",
	"{\"id\":1," M ",\"params\":{}}",
	"{'id':1," M "," P "}",
};

static void usual_lines_are_the_scanners(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		if (submit_agree(usual[i], strlen(usual[i])) != 1)
			fail_msg("%s", usual[i]);
	}
}

static void others_are_left_to_jansson(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(unusual) / sizeof(unusual[0]); i++) {
		if (submit_agree(unusual[i], strlen(unusual[i])) != 0)
			fail_msg("%s", unusual[i]);
	}
}

/* Each byte of each usual line changed to each of some others, left out, and doubled. */
static void mutants_never_divide_them(void **state)
{
	static const char others[] = "\"\\{}[],: 019-.eEntx\t\n\x7f\x80";
	char line[256];
	unsigned taken = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++) {
		size_t n = strlen(usual[i]);
		for (size_t at = 0; at < n; at++) {
			for (size_t o = 0; o < sizeof(others); o++) {
				memcpy(line, usual[i], n);
				line[at] = others[o];
				int rc = submit_agree(line, n);
				assert_int_not_equal(rc, -1);
				taken += rc == 1;
			}
			memcpy(line, usual[i], at);
			memcpy(line + at, usual[i] + at + 1, n - at - 1);
			assert_int_not_equal(submit_agree(line, n - 1), -1);
			memcpy(line, usual[i], at + 1);
			memcpy(line + at + 1, usual[i] + at, n - at);
			assert_int_not_equal(submit_agree(line, n + 1), -1);
			assert_int_not_equal(submit_agree(usual[i], at), -1);
		}
	}
	assert_true(taken > 1000);
}

static void ids_come_back_as_they_were(void **state)
{
	static const char *const ids[] = {"1", "-7", "\"abc\"", "null", "1.5", "true"};
	char line[128], id[OTD_SESSION_ID_MAX + 1];
	struct otd_v1_request q;
	json_t *root;

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		int n = snprintf(line, sizeof(line), "{\"id\":%s,\"method\":\"x\"}", ids[i]);
		struct otd_span text = {(const uint8_t *)line, (size_t)n};
		assert_int_equal(otd_v1_read_request(&q, &root, id, text), OTD_OK);
		assert_int_equal(q.id.len, strlen(ids[i]));
		assert_memory_equal(q.id.ptr, ids[i], q.id.len);
		json_decref(root);
	}
}

static enum otd_v1_shape shape_of(const char *text)
{
	assert_true(shape_agrees(text, strlen(text)));
	return otd_v1_shape_of((struct otd_span){(const uint8_t *)text, strlen(text)});
}

static void what_is_no_object_is_none_by_its_shape(void **state)
{
	static const char *const none[] = {
		"",    " \t",  "[]",   "[[[[",   "GET / HTTP/1.1\r", "{",        "{\"a\":1",
		"{}x", "{}{}", "{\"a", "{\"a\\", "{\"a\\\"",         "{\"a\"\\", "\x16\x03\x01"};

	(void)state;
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		if (shape_of(none[i]) != OTD_V1_SHAPE_NONE)
			fail_msg("%s", none[i]);
	}
	assert_int_equal(shape_of("{}"), OTD_V1_SHAPE_OBJECT);
	assert_int_equal(shape_of(" {\"}]\\\"[{,\":[\"\\\\\"]}\r "), OTD_V1_SHAPE_OBJECT);
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
		assert_int_equal(shape_of(usual[i]), OTD_V1_SHAPE_OBJECT);
	for (size_t i = 0; i < sizeof(unusual) / sizeof(unusual[0]); i++)
		assert_int_not_equal(shape_of(unusual[i]), OTD_V1_SHAPE_HUGE);
}

/* HEAD, n times each, TAIL. */
static enum otd_v1_shape shape_of_many(const char *head, unsigned n, const char *each,
				       const char *tail)
{
	char line[1024];
	size_t at = 0, cap = sizeof(line);

	at += (size_t)snprintf(line, cap, "%s", head);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(line + at, cap - at, "%s", each);
	snprintf(line + at, cap - at, "%s", tail);
	return shape_of(line);
}

static void bounds_are_where_they_are_said_to_be(void **state)
{
	static const char ends[] = "]]]]]]]]]]]]]]]}", braces[] = "1}}}}}}}}}}}}}}}}";
	const unsigned depth = OTD_V1_DEPTH_MAX, values = OTD_V1_VALUES_MAX;

	(void)state;
	assert_int_equal(depth, strlen(ends));
	assert_int_equal(shape_of_many("{\"a\":", depth - 1, "[", ends), OTD_V1_SHAPE_OBJECT);
	assert_int_equal(shape_of_many("{\"a\":[", depth - 1, "[", ends), OTD_V1_SHAPE_HUGE);
	assert_int_equal(shape_of_many("", depth, "{\"a\":", braces), OTD_V1_SHAPE_OBJECT);
	assert_int_equal(shape_of_many("{\"a\":", depth, "{\"a\":", braces), OTD_V1_SHAPE_HUGE);
	assert_int_equal(shape_of_many("{\"a\":[1", values - 2, ",1", "]}"), OTD_V1_SHAPE_OBJECT);
	assert_int_equal(shape_of_many("{\"a\":[1", values - 1, ",1", "]}"), OTD_V1_SHAPE_HUGE);
	assert_int_equal(shape_of_many("{\"a\":[[]", 127, ",[]", "]}"), OTD_V1_SHAPE_HUGE);
	/* Refused as soon as it is known: it need not end. */
	assert_int_equal(shape_of("{{{{{{{{{{{{{{{{{"), OTD_V1_SHAPE_HUGE);
	assert_int_equal(shape_of("[[[[[[[[[[[[[[[[["), OTD_V1_SHAPE_HUGE);
	assert_int_equal(shape_of("[[[[[[[[[[[[[[[["), OTD_V1_SHAPE_NONE);
}

/* Each byte of some lines changed to each of some others: jansson and the shape agree. */
static void mutants_never_divide_shape_and_jansson(void **state)
{
	static const char *const lines[] = {
		"{\"id\":1,\"method\":\"mining.configure\",\"params\":[[\"a\",\"b\"],{\"c\":\"d\"}]"
		"}",
		"{\"a\\\"b\":[\"\\\\\",\"]\",\"}\"],\"c\":{\"d\":[[[[[[[[[[[[[[1]]]]]]]]]]]]]]}}",
	};
	static const char others[] = "\"\\{}[],: 1\t\n\x7f\x80";
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		size_t n = strlen(lines[i]);
		for (size_t at = 0; at < n * sizeof(others); at++) {
			memcpy(line, lines[i], n);
			line[at % n] = others[at / n];
			assert_true(shape_agrees(line, n));
			assert_true(shape_agrees(lines[i], at % n));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(usual_lines_are_the_scanners),
		cmocka_unit_test(others_are_left_to_jansson),
		cmocka_unit_test(mutants_never_divide_them),
		cmocka_unit_test(what_is_no_object_is_none_by_its_shape),
		cmocka_unit_test(bounds_are_where_they_are_said_to_be),
		cmocka_unit_test(mutants_never_divide_shape_and_jansson),
		cmocka_unit_test(ids_come_back_as_they_were),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
