/* Log lines: both forms, levels, limits, reopening, and what happens where they cannot be written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"

static char folder[64], path[128], moved[128], text[1 << 20];
static int64_t clock_ms;

static int64_t fake_ms(void *ctx)
{
	(void)ctx;
	return clock_ms;
}

static const char *read_file(const char *name)
{
	FILE *f = fopen(name, "r");
	assert_non_null(f);
	size_t n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = 0;
	fclose(f);
	return text;
}

static int set_up(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof(folder), "/tmp/otd_log_XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof(path), "%s/log", folder);
	(void)snprintf(moved, sizeof(moved), "%s/log.1", folder);
	clock_ms = 1732178096123; /* 2024-11-21T08:34:56.123Z */
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	otd_log_finish();
	unlink(path);
	unlink(moved);
	return rmdir(folder);
}

static void init(enum otd_log_form form, int level, uint32_t limit)
{
	struct otd_log_conf conf = {
		.path = path, .form = form, .level = level, .per_event_a_second = limit};
	struct otd_err err = {0};
	assert_int_equal(otd_log_init(&conf, fake_ms, NULL, &err), OTD_OK);
}

static void logfmt_lines(void **state)
{
	(void)state;
	init(OTD_LOG_LOGFMT, OTD_LOG_INFO, 0);
	otd_log(OTD_LOG_INFO, "pool", "block.found", "height=%d who=%s", 7, OTD_Q("a \"b\"\n\\"));
	otd_log(OTD_LOG_ERROR, "app", "start", "%s", "");
	otd_log(OTD_LOG_WARN, "net", "odd", "raw=%s", "x\nlevel=error\x1b\xff\xc3\xa9");
	clock_ms = -1;
	otd_log(OTD_LOG_WARN, "net", "old", "a");
	assert_string_equal(
		read_file(path),
		"ts=2024-11-21T08:34:56.123Z level=info module=pool event=block.found height=7 "
		"who=\"a \\\"b\\\"\\n\\\\\"\n"
		"ts=2024-11-21T08:34:56.123Z level=error module=app event=start\n"
		"ts=2024-11-21T08:34:56.123Z level=warn module=net event=odd raw=x?level=error??"
		"\xc3\xa9\n"
		"ts=1969-12-31T23:59:59.999Z level=warn module=net event=old a\n");
}

static void json_lines(void **state)
{
	(void)state;
	init(OTD_LOG_JSON, OTD_LOG_INFO, 0);
	otd_log(OTD_LOG_INFO, "pool", "block.found",
		"height=7 d=-0.5 hash=000019d6 big=1234567890123456 ok=true who=%s e= flag x=1.2.3 "
		"m=- n=00.5 z=0",
		OTD_Q("a \"b\"\n\\\x01\xc3\xa9"));
	otd_log(OTD_LOG_INFO, "pool", "cut", "a=\"open");
	otd_log(OTD_LOG_INFO, "pool", "none", "  ");
	assert_string_equal(
		read_file(path),
		"{\"ts\":\"2024-11-21T08:34:56.123Z\",\"level\":\"info\",\"module\":\"pool\","
		"\"event\":\"block.found\",\"height\":7,\"d\":-0.5,\"hash\":\"000019d6\","
		"\"big\":\"1234567890123456\",\"ok\":true,\"who\":\"a "
		"\\\"b\\\"\\n\\\\\\u0001\xc3\xa9\",\"e\":\"\",\"flag\":true,\"x\":\"1.2.3\","
		"\"m\":\"-\",\"n\":\"00.5\",\"z\":0}\n"
		"{\"ts\":\"2024-11-21T08:34:56.123Z\",\"level\":\"info\",\"module\":\"pool\","
		"\"event\":\"cut\",\"a\":\"open\"}\n"
		"{\"ts\":\"2024-11-21T08:34:56.123Z\",\"level\":\"info\",\"module\":\"pool\","
		"\"event\":\"none\"}\n");
}

/* However long the text, a line stays one line of at most 4096 bytes. */
static void long_texts_are_cut(void **state)
{
	static char big[9000];
	(void)state;
	for (int form = OTD_LOG_LOGFMT; form <= OTD_LOG_JSON; form++) {
		for (int kind = 0; kind < 3; kind++) {
			memset(big, kind == 0 ? 'x' : kind == 1 ? '"' : '\xc3', sizeof(big) - 1);
			unlink(path);
			init((enum otd_log_form)form, OTD_LOG_INFO, 0);
			otd_log(OTD_LOG_INFO, "pool", "big", "v=%s", big);
			const char *t = read_file(path);
			assert_true(strlen(t) > 50 && strlen(t) <= 4096);
			assert_ptr_equal(strchr(t, '\n'), t + strlen(t) - 1);
			if (form == OTD_LOG_JSON)
				assert_string_equal(t + strlen(t) - 2, "}\n");
		}
	}
}

static void quoting_fits_its_buffer(void **state)
{
	char out[8];
	(void)state;
	assert_string_equal(otd_log_quote(out, 8, "abcdefgh", 8), "\"abcde\"");
	assert_string_equal(otd_log_quote(out, 3, "abc", 3), "\"\"");
	assert_string_equal(otd_log_quote(out, 8, "abcd\n", 5), "\"abcd\"");
	assert_string_equal(otd_log_quote(out, 8, "\xe2\x82\xac\xe2\x82\xac", 6),
			    "\"\xe2\x82\xac\"");
	assert_string_equal(OTD_Q(NULL), "\"\"");
	assert_string_equal(OTD_Q("\x7f"), "\"\\u007f\"");
}

static void levels_by_module(void **state)
{
	struct otd_log_conf conf = {
		.path = path,
		.level = OTD_LOG_WARN,
		.by_module = {{"stratum", OTD_LOG_DEBUG}, {"net", OTD_LOG_ERROR}},
		.n_by_module = 2};
	(void)state;
	assert_int_equal(otd_log_init(&conf, fake_ms, NULL, NULL), OTD_OK);
	assert_true(otd_log_on(OTD_LOG_WARN, "pool"));
	assert_false(otd_log_on(OTD_LOG_INFO, "pool"));
	assert_true(otd_log_on(OTD_LOG_DEBUG, "stratum"));
	assert_false(otd_log_on(OTD_LOG_TRACE, "stratum"));
	assert_false(otd_log_on(OTD_LOG_WARN, "net"));
	assert_true(otd_log_on(OTD_LOG_ERROR, "net"));
	otd_log(OTD_LOG_INFO, "pool", "no", "a=1");
	otd_log(OTD_LOG_DEBUG, "stratum", "yes", "a=1");
	otd_log(OTD_LOG_WARN, "net", "no", "a=1");
	assert_string_equal(read_file(path), "ts=2024-11-21T08:34:56.123Z level=debug "
					     "module=stratum event=yes a=1\n");
	conf.n_by_module = 33;
	assert_int_equal(otd_log_init(&conf, fake_ms, NULL, NULL), OTD_E_RANGE);
}

static size_t lines_with(const char *t, const char *what)
{
	size_t n = 0;
	while ((t = strstr(t, what))) {
		n++;
		t += strlen(what);
	}
	return n;
}

/* What a reload changes; file and form stay. */
static void other_levels(void **state)
{
	(void)state;
	init(OTD_LOG_JSON, OTD_LOG_INFO, 0);
	struct otd_log_conf conf = {.level = OTD_LOG_WARN, .n_by_module = 1};
	snprintf(conf.by_module[0].module, sizeof(conf.by_module[0].module), "pool");
	conf.by_module[0].level = OTD_LOG_DEBUG;
	assert_false(otd_log_on(OTD_LOG_DEBUG, "pool"));
	otd_log_levels(&conf);
	assert_true(otd_log_on(OTD_LOG_DEBUG, "pool"));
	assert_false(otd_log_on(OTD_LOG_INFO, "net"));
	otd_log(OTD_LOG_DEBUG, "pool", "is.there", "a=1");
	otd_log(OTD_LOG_INFO, "net", "is.not", "a=1");
	assert_non_null(strstr(read_file(path), "{"));
	assert_non_null(strstr(text, "is.there"));
	assert_null(strstr(text, "is.not"));
	conf.n_by_module = 0;
	otd_log_levels(&conf);
	assert_false(otd_log_on(OTD_LOG_DEBUG, "pool"));
}

static void limit_an_event(void **state)
{
	(void)state;
	init(OTD_LOG_LOGFMT, OTD_LOG_INFO, 3);
	for (int i = 0; i < 10; i++) {
		otd_log(OTD_LOG_INFO, "pool", "share.bad", "i=%d", i);
		otd_log(OTD_LOG_INFO, "net", "share.bad", "i=%d", i);
	}
	otd_log(OTD_LOG_INFO, "pool", "other", "i=0");
	const char *t = read_file(path);
	assert_int_equal(lines_with(t, "module=pool event=share.bad"), 3);
	assert_int_equal(lines_with(t, "module=net event=share.bad"), 3);
	assert_int_equal(lines_with(t, "event=other"), 1);
	assert_int_equal(lines_with(t, "log.limited"), 0);
	clock_ms += 1000;
	otd_log(OTD_LOG_INFO, "pool", "other", "i=1");
	t = read_file(path);
	assert_non_null(strstr(t, "event=log.limited of=pool.share.bad left_out=7\n"));
	assert_non_null(strstr(t, "event=log.limited of=net.share.bad left_out=7\n"));
	otd_log(OTD_LOG_INFO, "pool", "share.bad", "i=1");
	assert_int_equal(lines_with(read_file(path), "module=pool event=share.bad"), 4);
	/* what is left out at the end is told at the end */
	for (int i = 0; i < 10; i++)
		otd_log(OTD_LOG_INFO, "pool", "share.bad", "i=%d", i);
	otd_log_finish();
	assert_non_null(strstr(read_file(path), "of=pool.share.bad left_out=8\n"));
}

/* More events than there are places: no crash, and those that found one are still limited. */
static void many_events(void **state)
{
	char event[32];
	(void)state;
	init(OTD_LOG_LOGFMT, OTD_LOG_INFO, 1);
	for (int i = 0; i < 1000; i++) {
		(void)snprintf(event, sizeof(event), "e%d", i);
		otd_log(OTD_LOG_INFO, "m", event, "a=1");
		otd_log(OTD_LOG_INFO, "m", event, "a=2");
	}
	assert_int_equal(lines_with(read_file(path), "a=2"), 0);
}

static void reopen_after_a_move(void **state)
{
	struct otd_err err = {0};
	struct stat st;
	(void)state;
	init(OTD_LOG_LOGFMT, OTD_LOG_INFO, 0);
	otd_log(OTD_LOG_INFO, "a", "first", "n=1");
	assert_int_equal(rename(path, moved), 0);
	otd_log(OTD_LOG_INFO, "a", "second", "n=2");
	assert_int_equal(otd_log_reopen(&err), OTD_OK);
	otd_log(OTD_LOG_INFO, "a", "third", "n=3");
	assert_int_equal(lines_with(read_file(moved), "event="), 2);
	assert_int_equal(lines_with(read_file(path), "event=third"), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777 & ~0640, 0);
	/* where it cannot be opened, the old one stays */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(otd_log_reopen(&err), OTD_E_IO);
	assert_non_null(strstr(err.text, path));
	otd_log(OTD_LOG_INFO, "a", "fourth", "n=4");
	assert_int_equal(rmdir(path), 0);
}

static void bad_path_is_an_error(void **state)
{
	struct otd_log_conf conf = {.path = "/no/such/folder/log", .level = OTD_LOG_INFO};
	struct otd_err err = {0};
	(void)state;
	assert_int_equal(otd_log_init(&conf, fake_ms, NULL, &err), OTD_E_IO);
	assert_non_null(strstr(err.text, "/no/such/folder/log"));
	assert_true(otd_log_on(OTD_LOG_INFO, "x"));
}

/* /dev/full says that the disk is full: counted, errno untouched, nothing else happens. */
static void full_disk(void **state)
{
	struct otd_log_conf conf = {.path = "/dev/full", .level = OTD_LOG_INFO};
	uint64_t before = otd_log_lost();
	(void)state;
	assert_int_equal(otd_log_init(&conf, fake_ms, NULL, NULL), OTD_OK);
	errno = 42;
	for (int i = 0; i < 5; i++)
		otd_log(OTD_LOG_INFO, "a", "b", "n=%d", i);
	assert_int_equal(errno, 42);
	assert_int_equal(otd_log_lost() - before, 5);
	/* once there is room, the log says how many are missing */
	init(OTD_LOG_LOGFMT, OTD_LOG_INFO, 0);
	otd_log(OTD_LOG_INFO, "a", "b", "n=9");
	const char *t = read_file(path);
	assert_int_equal(lines_with(t, "event=log.lost lines=5\n"), 1);
	assert_int_equal(lines_with(t, "n=9\n"), 1);
}

/* A reader of stderr that stopped reading does not stop us. */
static void stuck_pipe(void **state)
{
	int fds[2], saved = dup(STDERR_FILENO);
	struct otd_log_conf conf = {.level = OTD_LOG_INFO};
	uint64_t before = otd_log_lost();
	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(otd_log_init(&conf, fake_ms, NULL, NULL), OTD_OK);
	for (int i = 0; i < 5000; i++)
		otd_log(OTD_LOG_INFO, "a", "b", "pad=%0100d", i);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(fds[0]);
	close(fds[1]);
	assert_true(otd_log_lost() - before > 1000);
	/* the next test starts from nothing untold */
	init(OTD_LOG_LOGFMT, OTD_LOG_INFO, 0);
	otd_log(OTD_LOG_INFO, "a", "b", "n=1");
	assert_int_equal(lines_with(read_file(path), "log.lost"), 1);
}

enum { THREADS = 4, LINES = 500 };

static void *writes(void *arg)
{
	for (int i = 0; i < LINES; i++)
		otd_log(OTD_LOG_INFO, "thread", "line", "t=%d i=%d end", (int)(intptr_t)arg, i);
	return NULL;
}

static void threads_do_not_mix_lines(void **state)
{
	pthread_t t[THREADS];
	struct otd_err err;
	(void)state;
	init(OTD_LOG_LOGFMT, OTD_LOG_INFO, 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, writes, (void *)(intptr_t)i), 0);
	assert_int_equal(otd_log_reopen(&err), OTD_OK);
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	const char *s = read_file(path);
	assert_int_equal(lines_with(s, "\n"), THREADS * LINES);
	assert_int_equal(lines_with(s, " end\nts="), THREADS * LINES - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(logfmt_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(json_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(long_texts_are_cut, set_up, tear_down),
		cmocka_unit_test(quoting_fits_its_buffer),
		cmocka_unit_test_setup_teardown(levels_by_module, set_up, tear_down),
		cmocka_unit_test_setup_teardown(other_levels, set_up, tear_down),
		cmocka_unit_test_setup_teardown(limit_an_event, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(reopen_after_a_move, set_up, tear_down),
		cmocka_unit_test_setup_teardown(bad_path_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(full_disk, set_up, tear_down),
		cmocka_unit_test_setup_teardown(stuck_pipe, set_up, tear_down),
		cmocka_unit_test_setup_teardown(threads_do_not_mix_lines, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
