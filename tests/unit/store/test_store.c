/* Schema, transactions, order of work, refusals. */
#include "fixture.h"
#include "store/schema.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct counting {
	struct fixture *f;
	int runs, dones, fail_first;
	int64_t seen;
	otd_rc rc;
	bool stop;
};

static otd_rc count_pools(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_db_int(db, "SELECT COUNT(*) FROM pools", NULL, 0, arg, err);
}

static int64_t pools(struct fixture *f, struct otd_store *s)
{
	int64_t n = -1;
	must(f, s, false, count_pools, &n);
	return n;
}

static void test_schema_is_made_and_kept(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	for (int i = 0; i < 3; i++) {
		struct otd_plugin_instance *in = fixture_instance(&f);
		struct otd_store *s = fixture_store(&f, in);
		char sql[100];
		assert_int_equal(pools(&f, s), i);
		snprintf(sql, sizeof(sql), "INSERT INTO pools(name, asset) VALUES('p%d', 'BTC')",
			 i);
		must(&f, s, true, work_sql, sql);
		otd_store_destroy(s);
		otd_instance_destroy(in);
	}
	fixture_finish(&f);
}

static otd_rc insert_then_fail(void *arg, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = otd_db_exec(db, "INSERT INTO pools(name, asset) VALUES('x', 'BTC')", NULL, 0,
				NULL, NULL, err);
	return rc ? rc : *(otd_rc *)arg;
}

static otd_rc insert_twice(void *arg, struct otd_db *db, struct otd_err *err)
{
	otd_rc ignored = OTD_OK;
	otd_rc rc = insert_then_fail(&ignored, db, err);
	if (rc)
		return rc;
	*(otd_rc *)arg = insert_then_fail(&ignored, db, err);
	return OTD_OK;
}

static void test_failure_rolls_back(void **state)
{
	struct fixture f;
	otd_rc want = OTD_E_STALE;
	(void)state;
	fixture_init(&f);
	struct otd_plugin_instance *in = fixture_instance(&f);
	struct otd_store *s = fixture_store(&f, in);
	assert_int_equal(otd_store_do_now(s, true, insert_then_fail, &want, &f.err), OTD_E_STALE);
	assert_true(f.err.text[0] != 0);
	assert_int_equal(pools(&f, s), 0);
	/* A key that is there fails its statement, not the transaction. */
	must(&f, s, true, insert_twice, &want);
	assert_int_equal(want, OTD_E_EXISTS);
	assert_int_equal(pools(&f, s), 1);
	/* Reading may not write. */
	want = OTD_OK;
	assert_int_equal(otd_store_do_now(s, false, insert_then_fail, &want, &f.err),
			 OTD_E_INVALID);
	assert_int_equal(otd_store_do_now(s, true, work_sql, (void *)"NONSENSE", &f.err),
			 OTD_E_INVALID);
	assert_non_null(strstr(f.err.text, "NONSENSE"));
	otd_store_destroy(s);
	otd_instance_destroy(in);
	fixture_finish(&f);
}

static otd_rc busy_some_times(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct counting *c = arg;
	otd_rc rc = otd_db_exec(db, "INSERT INTO pools(name, asset) VALUES('b', 'BTC')", NULL, 0,
				NULL, NULL, err);
	c->runs++;
	if (rc)
		return rc;
	return c->runs <= c->fail_first ? otd_fail(err, OTD_E_BUSY, "locked") : OTD_OK;
}

static otd_rc see(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct counting *c = arg;
	c->runs++;
	return count_pools(&c->seen, db, err);
}

static void counted(void *arg, const struct otd_err *err)
{
	struct counting *c = arg;
	c->dones++;
	c->rc = err->rc;
	if (c->stop)
		c->f->env->ops->loop_stop(c->f->loop);
}

static void test_busy_is_tried_again_in_order(void **state)
{
	struct fixture f;
	(void)state;
	fixture_init(&f);
	struct otd_plugin_instance *in = fixture_instance(&f);
	struct otd_store *s = fixture_store(&f, in);
	struct counting a = {.f = &f, .fail_first = 3}, b = {.f = &f, .stop = true};
	struct counting c = {.f = &f};
	assert_int_equal(otd_store_do(s, true, busy_some_times, counted, &a), OTD_OK);
	assert_int_equal(otd_store_do(s, false, see, counted, &b), OTD_OK);
	assert_int_equal(a.dones, 0);
	assert_int_equal(otd_store_do_now(s, false, see, &b, &f.err), OTD_E_BUSY);
	f.env->ops->loop_run(f.loop);
	assert_int_equal(a.runs, 4);
	assert_int_equal(a.dones, 1);
	assert_int_equal(a.rc, OTD_OK);
	assert_int_equal(b.dones, 1);
	assert_int_equal(b.seen, 1);
	/* What was given before the end is done at the end. */
	for (int i = 0; i < 5; i++)
		assert_int_equal(otd_store_do(s, false, see, counted, &c), OTD_OK);
	otd_store_destroy(s);
	assert_int_equal(c.runs, 5);
	assert_int_equal(c.dones, 5);
	otd_instance_destroy(in);
	fixture_finish(&f);
}

#define NOW         6 /* version of the schema */
#define TEXT_OF(n)  #n
#define TEXT(n)     TEXT_OF(n)
#define AFTER_THREE TEXT(9) /* NOW + 3 */

static void refused(struct fixture *f, const char *sql, const char *word)
{
	struct otd_plugin_instance *in = fixture_instance(f);
	struct otd_store *s = fixture_store(f, in);
	must(f, s, true, work_sql, (void *)sql);
	otd_store_destroy(s);
	assert_int_equal(otd_store_create(&s, f->loop, in, &f->err), OTD_E_VERSION);
	assert_null(s);
	if (!strstr(f->err.text, word))
		fail_msg("no '%s' in: %s", word, f->err.text);
	otd_instance_destroy(in);
}

static void test_other_schemas_are_refused(void **state)
{
	(void)state;
	const char *const cases[][2] = {
		{"UPDATE meta SET v = '700' WHERE k = 'schema'",
		 "version 700, this otedama knows " TEXT(NOW)},
		{"UPDATE meta SET v = 'seven' WHERE k = 'schema'", "no version that can be read"},
		{"UPDATE meta SET v = '0' WHERE k = 'schema'", "no version that can be read"},
	};
	for (size_t i = 0; i < 3; i++) {
		struct fixture f;
		fixture_init(&f);
		refused(&f, cases[i][0], cases[i][1]);
		fixture_finish(&f);
	}
}

static const char *const step_a[] = {"CREATE TABLE a(id {key}, w {wide})"};
static const char *const step_b[] = {"ALTER TABLE a ADD COLUMN t {text}",
				     "INSERT INTO a(t) VALUES('{int}')"};
static const char *const step_bad[] = {"CREATE TABLE c(id {key})", "CREATE TABLE a(id {key})"};
static const struct otd_migration both[] = {{NOW + 1, step_a, 1}, {NOW + 2, step_b, 2}};
static const struct otd_migration broken[] = {{NOW + 3, step_bad, 2}};
static const struct otd_migration late[] = {{NOW + 9, step_a, 1}};

struct table {
	const struct otd_migration *m;
	size_t n;
};

static otd_rc migrate(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct table *t = arg;
	return otd_schema_migrate(db, t->m, t->n, err);
}

static otd_rc version_now(void *arg, struct otd_db *db, struct otd_err *err)
{
	/* The text is quoted: no column type in it. */
	return otd_db_int(db,
			  "SELECT CAST(v AS INTEGER) FROM meta WHERE k = 'schema' AND (v = '1' OR "
			  "(SELECT t FROM a) = '{int}')",
			  NULL, 0, arg, err);
}

static void test_migrations(void **state)
{
	struct fixture f;
	struct table t = {both, 2}, bad = {broken, 1}, old = {late, 1};
	int64_t v = 0;
	(void)state;
	fixture_init(&f);
	struct otd_plugin_instance *in = fixture_instance(&f);
	struct otd_store *s = fixture_store(&f, in);
	must(&f, s, true, migrate, &t);
	must(&f, s, true, migrate, &t);
	must(&f, s, false, version_now, &v);
	assert_int_equal(v, NOW + 2);
	/* One that fails half-way leaves nothing. */
	assert_int_not_equal(otd_store_do_now(s, true, migrate, &bad, &f.err), OTD_OK);
	assert_non_null(strstr(f.err.text, "version " AFTER_THREE ", step 2"));
	must(&f, s, false, version_now, &v);
	assert_int_equal(v, NOW + 2);
	must(&f, s, true, work_sql, (void *)"CREATE TABLE c(id {key})");
	assert_int_equal(otd_store_do_now(s, true, migrate, &old, &f.err), OTD_E_VERSION);
	assert_non_null(strstr(f.err.text, "a release in between"));
	otd_store_destroy(s);
	otd_instance_destroy(in);
	fixture_finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema_is_made_and_kept),
		cmocka_unit_test(test_failure_rolls_back),
		cmocka_unit_test(test_busy_is_tried_again_in_order),
		cmocka_unit_test(test_other_schemas_are_refused),
		cmocka_unit_test(test_migrations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
