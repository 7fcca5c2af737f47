/* A copy of the archive while its segments are being packed and let go. */
#include "loop/loop.h"
#include "pool/backup/backup_archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64];
static struct otd_files files;
static struct otd_env env = {.files = &files};
static otd_rc (*real_open)(void *ctx, struct otd_file **out, const char *path, uint32_t how);
static const char *packs, *goes; /* the ends of paths, of what happens just before it is opened */

static bool ends(const char *s, const char *with)
{
	size_t n = strlen(s), m = with ? strlen(with) : 0;
	return with && n >= m && strcmp(s + n - m, with) == 0;
}

static otd_rc open_later(void *ctx, struct otd_file **out, const char *path, uint32_t how)
{
	char packed[300];
	bool reading = !(how & OTD_OPEN_CREATE);
	if (reading && ends(path, packs)) {
		snprintf(packed, sizeof(packed), "%.*s.otz", (int)strlen(path) - 4, path);
		assert_int_equal(rename(path, packed), 0);
		packs = NULL;
	} else if (reading && ends(path, goes)) {
		assert_int_equal(unlink(path), 0);
		goes = NULL;
	}
	return real_open(ctx, out, path, how);
}

static const char *at(const char *name)
{
	static char path[4][300];
	static unsigned i;
	i = (i + 1) % 4;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void put(const char *name, const char *text)
{
	FILE *f = fopen(at(name), "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static bool holds(const char *name, const char *text)
{
	char got[64] = "";
	FILE *f = fopen(at(name), "r");
	size_t n = f ? fread(got, 1, sizeof(got) - 1, f) : 0;
	if (f)
		fclose(f);
	return f && n == strlen(text) && memcmp(got, text, n) == 0;
}

static int setup(void **state)
{
	(void)state;
	memcpy(dir, "/tmp/otd-backup-XXXXXX", 23);
	assert_non_null(mkdtemp(dir));
	files = *otd_files_real();
	real_open = files.open;
	files.open = open_later;
	packs = goes = NULL;
	for (const char *const *p = (const char *const[]){"archive", "archive/r-5", NULL}; *p; p++)
		assert_int_equal(files.make_dir(files.ctx, at(*p)), OTD_OK);
	put("archive/r-5/00000001.otz", "one");
	put("archive/r-5/00000002.otj", "two");
	put("archive/r-5/00000003.otj", "three");
	put("archive/r-5/00000003.new", "half");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	otd_remove_tree(&files, dir);
	return 0;
}

static void copy(void)
{
	struct otd_err err = {0};
	if (otd_backup_copy_archive(&env, at("archive"), at("to"), NULL, &err) != OTD_OK)
		fail_msg("%s", err.text);
}

static void as_it_is(void **state)
{
	(void)state;
	copy();
	assert_true(holds("to/r-5/00000001.otz", "one"));
	assert_true(holds("to/r-5/00000002.otj", "two"));
	assert_true(holds("to/r-5/00000003.otj", "three"));
	assert_false(holds("to/r-5/00000003.new", "half"));
}

static void packed_under_the_copy(void **state)
{
	(void)state;
	packs = "00000002.otj";
	copy();
	assert_true(holds("to/r-5/00000002.otz", "two"));
	assert_true(holds("to/r-5/00000003.otj", "three"));
}

static void let_go_under_the_copy(void **state)
{
	(void)state;
	goes = "00000001.otz";
	copy();
	assert_int_not_equal(access(at("to/r-5/00000001.otz"), F_OK), 0);
	assert_true(holds("to/r-5/00000002.otj", "two"));
}

static void none_is_kept(void **state)
{
	struct otd_err err = {0};
	(void)state;
	assert_int_equal(otd_backup_copy_archive(&env, at("nowhere"), at("to"), NULL, &err),
			 OTD_OK);
	assert_int_not_equal(access(at("to"), F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(as_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(packed_under_the_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(let_go_under_the_copy, setup, teardown),
		cmocka_unit_test_setup_teardown(none_is_kept, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
