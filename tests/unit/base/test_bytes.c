/* Errors and byte buffers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/text.h"

static void fail_sets_and_returns(void **state)
{
	struct otd_err e = {0};
	(void)state;
	assert_int_equal(otd_fail(&e, OTD_E_RANGE, "%s: %d", "a.yaml", 12), OTD_E_RANGE);
	assert_int_equal(e.rc, OTD_E_RANGE);
	assert_string_equal(e.text, "a.yaml: 12");
	/* its own text as an argument */
	assert_int_equal(otd_fail(&e, OTD_E_IO, "again: %s", e.text), OTD_E_IO);
	assert_string_equal(e.text, "again: a.yaml: 12");
	assert_int_equal(otd_fail_prefix(&e, "pools.%s", "ltc"), OTD_E_IO);
	assert_string_equal(e.text, "pools.ltc: again: a.yaml: 12");
	assert_int_equal(otd_fail(NULL, OTD_E_BUSY, "x"), OTD_E_BUSY);
	assert_int_not_equal(otd_fail_prefix(NULL, "x"), OTD_OK);
}

static void error_is_one_bounded_line(void **state)
{
	struct otd_err e = {0};
	char big[2000];
	(void)state;
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	otd_fail(&e, OTD_E_INVALID, "bad\nlevel=error\x1b[2J %s", big);
	assert_null(strchr(e.text, '\n'));
	assert_null(strchr(e.text, 0x1b));
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	for (int i = 0; i < 20; i++)
		otd_fail_prefix(&e, "%s", big);
	assert_true(strlen(e.text) < sizeof(e.text));
}

static void every_code_has_a_name(void **state)
{
	(void)state;
	for (otd_rc rc = OTD_OK; rc >= OTD_E_COMMIT_UNKNOWN; rc--)
		assert_string_not_equal(otd_rc_name(rc), "unknown error");
	assert_string_equal(otd_rc_name(OTD_E_CLOSED), "closed");
	assert_string_equal(otd_rc_name(OTD_E_NOT_FOUND), "not found");
	assert_string_equal(otd_rc_name(1), "unknown error");
	assert_string_equal(otd_rc_name(-17), "unknown error");
	assert_string_equal(otd_rc_name(INT32_MIN), "unknown error");
}

static void buffer_stops_at_its_maximum(void **state)
{
	struct otd_bytes b;
	(void)state;
	otd_bytes_init(&b, 10);
	assert_string_equal(otd_bytes_cstr(&b), "");
	assert_int_equal(otd_bytes_text(&b, "12345678"), OTD_OK);
	assert_int_equal(otd_bytes_text(&b, "abc"), OTD_E_NOMEM);
	assert_true(b.failed);
	assert_string_equal(otd_bytes_cstr(&b), "12345678");
	assert_int_equal(otd_bytes_format(&b, "%s", "ab"), OTD_OK);
	assert_true(b.failed);
	assert_string_equal(otd_bytes_cstr(&b), "12345678ab");
	assert_null(otd_bytes_room(&b, 1));
	otd_bytes_clear(&b);
	assert_false(b.failed);
	assert_int_equal(b.len, 0);
	assert_int_equal(otd_bytes_format(&b, "%011d", 1), OTD_E_NOMEM);
	assert_int_equal(b.len, 0);
	assert_int_equal(otd_bytes_add(&b, "x", SIZE_MAX), OTD_E_NOMEM);
	assert_int_equal(otd_bytes_hex(&b, "x", SIZE_MAX / 2 + 2), OTD_E_NOMEM);
	otd_bytes_finish(&b);
}

static void buffer_grows_formats_and_drops(void **state)
{
	struct otd_bytes b;
	char expect[4000] = "";
	size_t n = 0;
	(void)state;
	otd_bytes_init(&b, 1 << 20);
	for (int i = 0; i < 500; i++) {
		assert_int_equal(otd_bytes_format(&b, "%d,", i), OTD_OK);
		n += (size_t)snprintf(expect + n, sizeof(expect) - n, "%d,", i);
	}
	assert_string_equal(otd_bytes_cstr(&b), expect);
	otd_bytes_drop(&b, 4);
	assert_string_equal(otd_bytes_cstr(&b), expect + 4);
	otd_bytes_drop(&b, n);
	assert_int_equal(b.len, 0);
	assert_int_equal(otd_bytes_hex(&b, "\x00\xff\x1a", 3), OTD_OK);
	assert_string_equal(otd_bytes_cstr(&b), "00ff1a");
	uint8_t *to = otd_bytes_room(&b, 5000);
	assert_non_null(to);
	memset(to, 'z', 5000);
	b.len += 5000;
	assert_int_equal(otd_bytes_span(&b).len, 5006);
	otd_bytes_finish(&b);
	otd_bytes_finish(&b);
}

static void check_json(const char *in, size_t n, const char *expect)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 1000);
	assert_int_equal(otd_bytes_json(&b, in, n), OTD_OK);
	assert_string_equal(otd_bytes_cstr(&b), expect);
	otd_bytes_finish(&b);
}

static void json_strings(void **state)
{
	struct otd_bytes b;
	(void)state;
	check_json("", 0, "\"\"");
	check_json("a\"b\\c", 5, "\"a\\\"b\\\\c\"");
	check_json("\n\r\t\b\f\x01\x00", 7, "\"\\n\\r\\t\\b\\f\\u0001\\u0000\"");
	check_json("\x7f", 1, "\"\\u007f\"");
	check_json("\xc3\xa9\xf0\x9f\x98\x80", 6, "\"\xc3\xa9\xf0\x9f\x98\x80\"");
	/* overlong, surrogate, beyond U+10FFFF, cut, lone continuation */
	check_json("\xc0\xaf", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_json("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	check_json("\xf4\x90\x80\x80x", 5, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\"");
	check_json("\xe2\x82", 2, "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	check_json("\x80", 1, "\"\xef\xbf\xbd\"");
	/* what does not fit leaves nothing behind */
	otd_bytes_init(&b, 4);
	assert_int_equal(otd_bytes_json(&b, "abc", 3), OTD_E_NOMEM);
	assert_int_equal(b.len, 0);
	assert_true(b.failed);
	otd_bytes_finish(&b);
}

/* In a child: the condition, the file and the line on stderr, then SIGABRT. */
static void assert_says_where(void **state)
{
	int fds[2], status;
	char text[500] = "";
	(void)state;
	OTD_ASSERT(1 + 1 == 2);
	assert_int_equal(pipe(fds), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct rlimit none = {0, 0};
		(void)setrlimit(RLIMIT_CORE, &none);
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(fds[1], STDERR_FILENO);
		OTD_ASSERT(2 + 2 == 5);
		_exit(0);
	}
	close(fds[1]);
	assert_true(read(fds[0], text, sizeof(text) - 1) > 0);
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	assert_non_null(strstr(text, "2 + 2 == 5"));
	assert_non_null(strstr(text, "test_bytes.c:"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fail_sets_and_returns),
		cmocka_unit_test(error_is_one_bounded_line),
		cmocka_unit_test(every_code_has_a_name),
		cmocka_unit_test(buffer_stops_at_its_maximum),
		cmocka_unit_test(buffer_grows_formats_and_drops),
		cmocka_unit_test(json_strings),
		cmocka_unit_test(assert_says_where),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
