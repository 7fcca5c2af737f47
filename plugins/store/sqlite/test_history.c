/* pool/history over the real database: sums stay, whatever dies, and the old goes. */
#include "fixture.h"
#include "pool/history.h"
#include "pool/journal/record.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOUR0   (480000 / 60 * 60) /* some hour, in minutes since 1970 */
#define HOURS   30
#define WORKERS 130 /* more than one step takes */

struct world {
	struct fixture f;
	struct otd_plugin_instance *in;
	struct otd_store *s;
};

static void world_open(struct world *w)
{
	w->in = fixture_instance(&w->f);
	w->s = fixture_store(&w->f, w->in);
}

static void world_close(struct world *w)
{
	otd_store_destroy(w->s);
	otd_instance_destroy(w->in);
}

struct seed {
	uint32_t x;
	int64_t workers, hours;
};

/* Some minutes of each hour for each worker; work that does not fit 64 bits. */
static otd_rc fill(void *arg, struct otd_db *db, struct otd_err *err)
{
	const struct seed *seed = arg;
	uint32_t x = seed->x;
	otd_rc rc = OTD_OK;
	for (int64_t w = 1; !rc && w <= seed->workers; w++) {
		for (int64_t m = w % 3; !rc && m < seed->hours * 60; m += 7 + w % 5) {
			x = x * 1664525u + 1013904223u;
			const struct otd_value v[] = {OTD_INT(w), OTD_INT(HOUR0 + m),
						      OTD_INT(x >> 20),
						      OTD_WIDE(((otd_i128)1 << 70) + x)};
			rc = otd_db_exec(db, "INSERT INTO share_minutes VALUES(?, ?, ?, ?)", v, 4,
					 NULL, NULL, err);
			const struct otd_value r[] = {OTD_INT(w), OTD_INT(HOUR0 + m),
						      OTD_INT(1 + x % 4), OTD_INT(x % 100)};
			if (!rc && w % 2)
				rc = otd_db_exec(db,
						 "INSERT INTO refused_minutes VALUES(?, ?, ?, ?)",
						 r, 4, NULL, NULL, err);
		}
	}
	return rc;
}

/* What has to stay: sums for each worker and hour. */
struct totals {
	int64_t accepted[WORKERS + 1][HOURS], refused[WORKERS + 1][HOURS][OTD_SHARE_VERDICTS];
	otd_i128 work[WORKERS + 1][HOURS];
	int64_t rows, finer; /* finer: within an hour */
};

static otd_rc take_share(void *ctx, const struct otd_value *c, size_t n)
{
	struct totals *t = ctx;
	int64_t h = (c[1].i - HOUR0) / 60;
	(void)n;
	t->accepted[c[0].i][h] += c[2].i;
	t->work[c[0].i][h] += c[3].wide;
	t->rows++;
	t->finer += c[1].i % 60 != 0;
	return OTD_OK;
}

static otd_rc take_refused(void *ctx, const struct otd_value *c, size_t n)
{
	struct totals *t = ctx;
	(void)n;
	t->refused[c[0].i][(c[1].i - HOUR0) / 60][c[2].i] += c[3].i;
	t->rows++;
	t->finer += c[1].i % 60 != 0;
	return OTD_OK;
}

static otd_rc count(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t share[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT,
					 OTD_VALUE_WIDE};
	static const uint32_t refused[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT,
					   OTD_VALUE_INT};
	memset(arg, 0, sizeof(struct totals));
	otd_rc rc = otd_db_query(db, "SELECT worker_id, minute, accepted, work FROM share_minutes",
				 NULL, 0, share, 4, take_share, arg, err);
	return rc ? rc
		  : otd_db_query(db, "SELECT worker_id, minute, reason, count FROM refused_minutes",
				 NULL, 0, refused, 4, take_refused, arg, err);
}

static bool same(const struct totals *a, const struct totals *b)
{
	return memcmp(a, b, offsetof(struct totals, rows)) == 0;
}

/* All steps there are. */
static int fold(struct world *w, int64_t fold_before, int64_t drop_before)
{
	struct otd_history_step s = {
		.fold_before = fold_before, .drop_before = drop_before, .more = true};
	int steps = 0;
	for (; s.more; steps++) {
		must(&w->f, w->s, true, otd_history_step, &s);
		assert_true(s.rows <= 2 * 50 * 60 * 4);
	}
	return steps;
}

static struct totals before, after;

static void sums_stay(void **state)
{
	struct world w;
	struct seed seed = {7, WORKERS, HOURS};
	(void)state;
	fixture_init(&w.f);
	world_open(&w);
	must(&w.f, w.s, true, fill, &seed);
	must(&w.f, w.s, false, count, &before);
	/* 20 hours and a half: only whole hours are folded. */
	assert_true(fold(&w, HOUR0 + 20 * 60 + 30, 0) > 20 * 3);
	must(&w.f, w.s, false, count, &after);
	assert_true(same(&before, &after));
	assert_true(after.rows < before.rows * 3 / 4);
	int64_t finer = after.finer;
	/* Again: nothing is left to do. A late share of an old minute is counted, and so is the hour. */
	assert_int_equal(fold(&w, HOUR0 + 20 * 60 + 59, 0), 1);
	must(&w.f, w.s, false, count, &after);
	assert_true(same(&before, &after) && after.finer == finer);
	fold(&w, HOUR0 + HOURS * 60, 0);
	must(&w.f, w.s, false, count, &after);
	assert_true(same(&before, &after));
	assert_int_equal(after.finer, 0);
	world_close(&w);
	fixture_finish(&w.f);
}

static void the_old_goes(void **state)
{
	struct world w;
	struct seed seed = {8, WORKERS, HOURS};
	(void)state;
	fixture_init(&w.f);
	world_open(&w);
	must(&w.f, w.s, true, fill, &seed);
	must(&w.f, w.s, false, count, &before);
	fold(&w, HOUR0 + 20 * 60, HOUR0 + 10 * 60);
	must(&w.f, w.s, false, count, &after);
	for (int i = 1; i <= WORKERS; i++) {
		for (int h = 0; h < HOURS; h++) {
			assert_int_equal(after.accepted[i][h], h < 10 ? 0 : before.accepted[i][h]);
			assert_true(after.work[i][h] == (h < 10 ? 0 : before.work[i][h]));
			assert_int_equal(after.refused[i][h][2],
					 h < 10 ? 0 : before.refused[i][h][2]);
		}
	}
	world_close(&w);
	fixture_finish(&w.f);
}

/* The power goes at each n-th change of the disk; what was folded is folded once. */
static bool dies_at(long n)
{
	struct world w;
	struct seed seed = {9, 4, 4};
	struct otd_history_step s = {.fold_before = HOUR0 + 3 * 60, .more = true};
	fixture_init(&w.f);
	world_open(&w);
	must(&w.f, w.s, true, fill, &seed);
	must(&w.f, w.s, false, count, &before);
	disk = (struct disk){.fail_at = n, .with = OTD_E_IO};
	otd_rc rc = OTD_OK;
	while (!rc && s.more)
		rc = otd_store_do_now(w.s, true, otd_history_step, &s, &w.f.err);
	bool reached = disk.ops >= n;
	assert_true(rc == OTD_OK || reached);
	world_close(&w);
	memset(&disk, 0, sizeof(disk));
	world_open(&w);
	must(&w.f, w.s, false, count, &after);
	assert_true(same(&before, &after));
	fold(&w, s.fold_before, 0);
	must(&w.f, w.s, false, count, &after);
	assert_true(same(&before, &after));
	world_close(&w);
	fixture_finish(&w.f);
	return reached;
}

static void sums_stay_whatever_dies(void **state)
{
	long n = 1;
	(void)state;
	while (dies_at(n))
		n++;
	assert_true(n > 20);
	print_message("%ld places\n", n - 1);
}

static void stop(void *arg)
{
	struct world *w = arg;
	w->f.env->ops->loop_stop(w->f.loop);
}

/* By itself, by the clock; and its end while a step is with the store. */
static void it_runs_by_itself(void **state)
{
	struct world w;
	struct seed seed = {10, WORKERS, HOURS};
	struct otd_history *h = NULL;
	struct otd_timer *t = NULL;
	(void)state;
	fixture_init(&w.f);
	world_open(&w);
	must(&w.f, w.s, true, fill, &seed);
	must(&w.f, w.s, false, count, &before);
	const struct otd_history_conf conf = {.loop = w.f.loop,
					      .store = w.s,
					      .minutes_ms = 3600000,
					      .hours_ms = INT64_C(100) * 366 * 86400000,
					      .pause_ms = 1};
	assert_int_equal(otd_history_create(&h, &conf, &w.f.err), OTD_OK);
	assert_int_equal(w.f.env->ops->timer_create(w.f.loop, &t, stop, &w), OTD_OK);
	w.f.env->ops->timer_start(t, 50, 0);
	w.f.env->ops->loop_run(w.f.loop);
	otd_history_destroy(h); /* in the middle of it */
	world_close(&w);
	world_open(&w);
	must(&w.f, w.s, false, count, &after);
	assert_true(same(&before, &after) && after.rows < before.rows);
	w.f.env->ops->timer_destroy(t);
	world_close(&w);
	fixture_finish(&w.f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_stay),
		cmocka_unit_test(the_old_goes),
		cmocka_unit_test(sums_stay_whatever_dies),
		cmocka_unit_test(it_runs_by_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
