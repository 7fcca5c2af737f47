/* Programs run for a while: what they say, how they end, what they may not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/child.h"
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct otd_bytes report, printed;
static struct otd_child_end ended;
static struct otd_err err;

/* A shell that runs script, for at most so long. */
static otd_rc sh(const char *script, int64_t wall_ms, const _Atomic bool *stop)
{
	const char *const argv[] = {"/bin/sh", "-c", script, NULL};
	const struct otd_child_conf conf = {.argv = argv, .wall_ms = wall_ms, .stop = stop};
	otd_bytes_finish(&report);
	otd_bytes_finish(&printed);
	otd_bytes_init(&report, 1000);
	otd_bytes_init(&printed, 1000);
	err = (struct otd_err){0};
	return otd_child_run(&ended, &report, &printed, &conf, &err);
}

static int teardown(void **state)
{
	(void)state;
	otd_bytes_finish(&report);
	otd_bytes_finish(&printed);
	return 0;
}

static void what_it_says(void **state)
{
	(void)state;
	assert_int_equal(sh("echo out; echo err >&2; echo told >&3; exit 7", 20000, NULL), OTD_OK);
	assert_int_equal(ended.status, 7);
	assert_int_equal(ended.signal, 0);
	assert_false(ended.timed_out);
	assert_string_equal(otd_bytes_cstr(&report), "told\n");
	assert_string_equal(otd_bytes_cstr(&printed), "out\nerr\n");
}

static void more_than_there_is_room_for(void **state)
{
	(void)state;
	assert_int_equal(sh("i=0; while [ $i -lt 2000 ]; do echo 0123456789 >&3; i=$((i+1)); done",
			    20000, NULL),
			 OTD_OK);
	assert_int_equal(ended.status, 0);
	assert_int_equal(report.len, 1000);
}

static void deaths(void **state)
{
	(void)state;
	assert_int_equal(sh("kill -SEGV $$", 20000, NULL), OTD_OK);
	assert_int_equal(ended.signal, SIGSEGV);
	assert_non_null(strstr(otd_child_signal(SIGSEGV), "SIGSEGV"));
	assert_string_equal(otd_child_signal(63), "a signal");
}

static void too_long(void **state)
{
	(void)state;
	assert_int_equal(sh("echo begun >&3; sleep 1000", 3000, NULL), OTD_OK);
	assert_true(ended.timed_out);
	assert_false(ended.stopped);
	assert_int_equal(ended.signal, SIGKILL);
	assert_string_equal(otd_bytes_cstr(&report), "begun\n");
	/* Closed ends are no end; and those that it started go with it. */
	assert_int_equal(sh("exec >&- 2>&- 3>&-; sleep 1000 & sleep 1000", 300, NULL), OTD_OK);
	assert_true(ended.timed_out);
}

static void given_up(void **state)
{
	_Atomic bool stop = true;
	(void)state;
	assert_int_equal(sh("sleep 1000", 20000, &stop), OTD_OK);
	assert_true(ended.stopped);
	assert_false(ended.timed_out);
}

/* Neither descriptors nor environment of ours. */
static void what_it_does_not_get(void **state)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fd = fcntl(null, F_DUPFD, 700); /* not marked to be closed */
	(void)state;
	assert_int_equal(setenv("OTEDAMA_TEST_SECRET", "open sesame", 1), 0);
	assert_int_equal(
		sh("echo \"[$OTEDAMA_TEST_SECRET]\" >&3; test -e /proc/self/fd/700 && echo "
		   "there >&3",
		   20000, NULL),
		OTD_OK);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
	assert_true(fd >= 700);
	assert_string_equal(otd_bytes_cstr(&report), "[]\n");
#else
	assert_non_null(strstr(otd_bytes_cstr(&report), "[]\n"));
#endif
	(void)close(fd);
	(void)close(null);
}

static void no_such_program(void **state)
{
	const char *const argv[] = {"/nonexistent/otedama", NULL};
	const struct otd_child_conf conf = {.argv = argv, .wall_ms = 1000};
	(void)state;
	err = (struct otd_err){0};
	otd_rc rc = otd_child_run(&ended, &report, &printed, &conf, &err);
	if (rc == OTD_OK && getenv("OTEDAMA_SLOW")) {
		/* qemu-user's vfork() is a fork(), which does not hear why the exec failed. */
		assert_int_equal(ended.status, 127);
		return;
	}
	assert_int_equal(rc, OTD_E_IO);
	assert_non_null(strstr(err.text, "/nonexistent/otedama: No such file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_says),    cmocka_unit_test(more_than_there_is_room_for),
		cmocka_unit_test(deaths),          cmocka_unit_test(too_long),
		cmocka_unit_test(given_up),        cmocka_unit_test(what_it_does_not_get),
		cmocka_unit_test(no_such_program),
	};
	return cmocka_run_group_tests(tests, NULL, teardown);
}
