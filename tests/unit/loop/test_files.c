/* The file seam over the system, and the rooted table over it. */
#include "helper.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ALL (OTD_OPEN_READ | OTD_OPEN_WRITE | OTD_OPEN_CREATE)

struct folder {
	const struct otd_files *f;
	char path[64], name[128];
};

static struct folder d;

static const char *in(const char *name)
{
	snprintf(d.name, sizeof(d.name), "%s/%s", d.path, name);
	return d.name;
}

static int setup(void **state)
{
	(void)state;
	d.f = otd_files_real();
	snprintf(d.path, sizeof(d.path), "otd-files-XXXXXX");
	return mkdtemp(d.path) ? 0 : -1;
}

static bool remove_each(void *arg, const char *name)
{
	(void)arg;
	return d.f->remove(d.f->ctx, in(name)) == OTD_OK;
}

static int teardown(void **state)
{
	(void)state;
	d.f->list(d.f->ctx, d.path, remove_each, NULL);
	return d.f->remove(d.f->ctx, d.path) ? -1 : 0;
}

static struct otd_file *make(const char *name, uint32_t flags)
{
	struct otd_file *f;
	assert_int_equal(d.f->open(d.f->ctx, &f, in(name), flags), OTD_OK);
	return f;
}

static void reads_and_writes_by_position(void **state)
{
	struct otd_file *f = make("a", ALL);
	char buf[32];
	uint64_t n;
	size_t got;
	bool there;
	(void)state;
	assert_int_equal(d.f->write(d.f->ctx, f, "hello", 5, 10), OTD_OK);
	assert_int_equal(d.f->length(d.f->ctx, f, &n), OTD_OK);
	assert_int_equal(n, 15);
	assert_int_equal(d.f->read(d.f->ctx, f, &got, buf, sizeof(buf), 8), OTD_OK);
	assert_int_equal(got, 7); /* short at the end */
	assert_memory_equal(buf, "\0\0hello", 7);
	assert_int_equal(d.f->read(d.f->ctx, f, &got, buf, sizeof(buf), 100), OTD_OK);
	assert_int_equal(got, 0);
	assert_int_equal(d.f->truncate(d.f->ctx, f, 12), OTD_OK);
	assert_int_equal(d.f->reserve(d.f->ctx, f, 8192), OTD_OK);
	assert_int_equal(d.f->read(d.f->ctx, f, &got, buf, 5, 10), OTD_OK);
	assert_memory_equal(buf, "he\0\0\0", 5);
	assert_int_equal(d.f->sync(d.f->ctx, f), OTD_OK);
	d.f->close(d.f->ctx, f);
	assert_int_equal(d.f->sync_dir(d.f->ctx, d.path), OTD_OK);
	assert_int_equal(d.f->exists(d.f->ctx, in("a"), &there), OTD_OK);
	assert_true(there);
	assert_int_equal(d.f->exists(d.f->ctx, in("b"), &there), OTD_OK);
	assert_false(there);
	d.f->close(d.f->ctx, NULL);
}

static void errors_name_path_and_cause(void **state)
{
	struct otd_file *f, *g;
	(void)state;
	assert_int_equal(d.f->open(d.f->ctx, &f, in("missing"), OTD_OPEN_READ), OTD_E_NOT_FOUND);
	assert_null(f);
	assert_non_null(strstr(d.f->last_error(d.f->ctx), "missing: No such file or directory"));
	f = make("x", ALL | OTD_OPEN_EXCLUSIVE);
	assert_int_equal(d.f->open(d.f->ctx, &g, in("x"), ALL | OTD_OPEN_EXCLUSIVE), OTD_E_EXISTS);
	d.f->close(d.f->ctx, f);
	/* A full disk. */
	assert_int_equal(d.f->open(d.f->ctx, &f, "/dev/full", OTD_OPEN_WRITE), OTD_OK);
	assert_int_equal(d.f->write(d.f->ctx, f, "x", 1, 0), OTD_E_NOMEM);
	assert_non_null(strstr(d.f->last_error(d.f->ctx), "/dev/full: No space left on device"));
	d.f->close(d.f->ctx, f);
	assert_int_equal(d.f->make_dir(d.f->ctx, in("x")), OTD_E_EXISTS); /* a file is there */
	assert_int_equal(d.f->rename(d.f->ctx, in("none"), d.path), OTD_E_NOT_FOUND);
}

static void locks_hold_against_others(void **state)
{
	struct otd_file *a = make("lock", ALL), *b = make("lock", ALL);
	pid_t child;
	int status;
	(void)state;
	assert_int_equal(d.f->lock(d.f->ctx, a, true), OTD_OK);
	assert_int_equal(d.f->lock(d.f->ctx, b, true), OTD_E_BUSY);
	assert_int_equal(d.f->lock(d.f->ctx, b, false), OTD_E_BUSY);
	child = fork();
	if (child == 0) {
		struct otd_file *c;
		otd_rc rc = d.f->open(d.f->ctx, &c, in("lock"), ALL);
		_exit(rc ? 1 : d.f->lock(d.f->ctx, c, true) == OTD_E_BUSY ? 42 : 2);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 42);
	assert_int_equal(d.f->lock(d.f->ctx, a, false), OTD_OK); /* down to shared */
	assert_int_equal(d.f->lock(d.f->ctx, b, false), OTD_OK);
	assert_int_equal(d.f->lock(d.f->ctx, a, true), OTD_E_BUSY);
	d.f->close(d.f->ctx, b); /* releases b's, and b's only */
	assert_int_equal(d.f->lock(d.f->ctx, a, true), OTD_OK);
	assert_int_equal(d.f->unlock(d.f->ctx, a), OTD_OK);
	d.f->close(d.f->ctx, a);
}

static bool join(void *arg, const char *name)
{
	char *all = arg;
	size_t n = strlen(all);
	snprintf(all + n, 64 - n, "%s ", name);
	return strcmp(name, "stop") != 0;
}

static void lists_in_byte_order(void **state)
{
	static const char *const names[] = {"b", "a", "\xc3\xa4", "B", "stop", "10", "9"};
	char all[64] = "";
	uint64_t room;
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		d.f->close(d.f->ctx, make(names[i], ALL));
	assert_int_equal(d.f->list(d.f->ctx, d.path, join, all), OTD_OK);
	assert_string_equal(all, "10 9 B a b stop "); /* ends where it is told to */
	assert_int_equal(d.f->rename(d.f->ctx, in("a"), "otd-files-moved"), OTD_OK);
	assert_int_equal(d.f->remove(d.f->ctx, "otd-files-moved"), OTD_OK);
	assert_int_equal(d.f->list(d.f->ctx, in("none"), join, all), OTD_E_NOT_FOUND);
	assert_int_equal(d.f->free_bytes(d.f->ctx, d.path, &room), OTD_OK);
	assert_true(room > 0);
}

static void rooted_stays_in_its_folder(void **state)
{
	static const char *const bad[] = {"..",   "../x",  "a/../../x", "/etc/passwd", "a/..",
					  "./..", "a//..", "/",         "/../..",      "a/../b"};
	struct otd_files *r;
	struct otd_file *f;
	char all[64] = "";
	bool there;
	(void)state;
	assert_int_equal(otd_files_rooted_create(&r, d.f, d.path), OTD_OK);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(r->open(r->ctx, &f, bad[i], ALL), OTD_E_INVALID);
		assert_non_null(strstr(r->last_error(r->ctx), bad[i]));
		assert_int_equal(r->remove(r->ctx, bad[i]), OTD_E_INVALID);
		assert_int_equal(r->rename(r->ctx, "a", bad[i]), OTD_E_INVALID);
		assert_int_equal(r->rename(r->ctx, bad[i], "a"), OTD_E_INVALID);
		assert_int_equal(r->make_dir(r->ctx, bad[i]), OTD_E_INVALID);
		assert_int_equal(r->exists(r->ctx, bad[i], &there), OTD_E_INVALID);
		assert_int_equal(r->list(r->ctx, bad[i], join, all), OTD_E_INVALID);
		assert_int_equal(r->sync_dir(r->ctx, bad[i]), OTD_E_INVALID);
	}
	assert_int_equal(r->open(r->ctx, &f, "", ALL), OTD_E_INVALID);
	assert_int_equal(r->open(r->ctx, &f, "..a", ALL), OTD_OK); /* a name like any other */
	assert_int_equal(r->write(r->ctx, f, "x", 1, 0), OTD_OK);
	r->close(r->ctx, f);
	assert_int_equal(d.f->exists(d.f->ctx, in("..a"), &there), OTD_OK);
	assert_true(there);
	assert_int_equal(r->sync_dir(r->ctx, ""), OTD_OK);
	assert_int_equal(r->list(r->ctx, "", join, all), OTD_OK);
	assert_string_equal(all, "..a ");
	assert_int_equal(r->open(r->ctx, &f, "gone", OTD_OPEN_READ), OTD_E_NOT_FOUND);
	assert_non_null(strstr(r->last_error(r->ctx), "gone: No such file"));
	otd_files_rooted_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_and_writes_by_position, setup, teardown),
		cmocka_unit_test_setup_teardown(errors_name_path_and_cause, setup, teardown),
		cmocka_unit_test_setup_teardown(locks_hold_against_others, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_in_byte_order, setup, teardown),
		cmocka_unit_test_setup_teardown(rooted_stays_in_its_folder, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
