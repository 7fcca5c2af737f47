/* Refused shares that are too many: by worker at an address first, by the address last. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "stratum/budget.h"
#include <stdio.h>
#include <string.h>

static uint64_t clock_ms = 1000000;

static uint64_t fake_mono(struct otd_env *e)
{
	(void)e;
	return clock_ms * 1000000;
}

static void fake_random(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 5, n);
}

static const struct otd_env_ops fake_ops = {.mono_ns = fake_mono, .random = fake_random};
static struct otd_env fake_env = {&fake_ops, NULL};

#define WINDOW 60000
#define BAN    30000

static void open_budget(struct otd_budget *b, uint32_t shares)
{
	const struct otd_budget_conf conf = {
		.shares = shares, .part_ppm = 500000, .window_ms = WINDOW, .ban_ms = BAN};

	assert_int_equal(otd_budget_init(b, &fake_env, &conf), OTD_OK);
}

static struct otd_span span(const char *s)
{
	return (struct otd_span){(const uint8_t *)s, strlen(s)};
}

static struct otd_rig *rig_of(struct otd_budget *b, const char *host, const char *name)
{
	struct otd_rig *r = otd_budget_enter(b, host, 0, span("account"), span(name));

	assert_non_null(r);
	return r;
}

/* So many refused shares in a row; the last step that was not FINE. */
static enum otd_budget_step bad(struct otd_budget *b, struct otd_rig *r, int n, uint32_t good)
{
	enum otd_budget_step step = OTD_BUDGET_FINE;

	while (n--) {
		enum otd_budget_step s = otd_budget_bad(b, r, false, good);
		step = s ? s : step;
	}
	return step;
}

static void told_then_kept_out(void **state)
{
	struct otd_budget b;

	(void)state;
	open_budget(&b, 10);
	struct otd_rig *r = rig_of(&b, "10.0.0.1", "x");
	assert_int_equal(bad(&b, r, 4, 0), OTD_BUDGET_FINE);
	assert_int_equal(bad(&b, r, 1, 0), OTD_BUDGET_TELL);
	assert_int_equal(bad(&b, r, 4, 0), OTD_BUDGET_FINE); /* once */
	assert_int_equal(bad(&b, r, 1, 0), OTD_BUDGET_REFUSE);
	assert_true(otd_budget_refused(&b, r));
	assert_int_equal(bad(&b, r, 100, 0), OTD_BUDGET_FINE); /* nothing more to be done */
	/* From this address it does not come in; from another one somebody else has its name. */
	assert_true(otd_budget_until(&b, "10.0.0.1", 0, span("account"), span("x")) != 0);
	assert_true(otd_budget_until(&b, "10.0.0.1", 0, span("account"), span("y")) == 0);
	assert_true(otd_budget_until(&b, "10.0.0.1", 1, span("account"), span("x")) == 0);
	assert_true(otd_budget_until(&b, "10.0.0.2", 0, span("account"), span("x")) == 0);
	otd_budget_leave(r);
	clock_ms += BAN;
	assert_true(otd_budget_until(&b, "10.0.0.1", 0, span("account"), span("x")) == 0);
	otd_budget_finish(&b);
}

static void good_work_pays_for_bad(void **state)
{
	struct otd_budget b;

	(void)state;
	open_budget(&b, 10);
	struct otd_rig *r = rig_of(&b, "10.0.0.1", "x");
	for (int i = 0; i < 1000; i++) {
		otd_budget_good(r);
		otd_budget_good(r);
		assert_int_equal(otd_budget_bad(&b, r, false, 0), OTD_BUDGET_FINE);
	}
	/* And then only bad ones: half of all that were. */
	int n = 0;
	enum otd_budget_step step = OTD_BUDGET_FINE;
	while (step < OTD_BUDGET_REFUSE && n++ < 5000)
		step = otd_budget_bad(&b, r, false, 0);
	assert_int_equal(step, OTD_BUDGET_REFUSE);
	assert_int_equal(n, 1000);
	otd_budget_leave(r);
	otd_budget_finish(&b);
}

static void a_window_ends(void **state)
{
	struct otd_budget b;

	(void)state;
	open_budget(&b, 10);
	struct otd_rig *r = rig_of(&b, "10.0.0.1", "x");
	for (int i = 0; i < 10; i++) {
		assert_int_equal(bad(&b, r, 4, 0), OTD_BUDGET_FINE);
		clock_ms += WINDOW;
	}
	otd_budget_leave(r);
	/* A new connection is no new window. */
	r = rig_of(&b, "10.0.0.1", "y");
	assert_int_equal(bad(&b, r, 4, 0), OTD_BUDGET_FINE);
	otd_budget_leave(r);
	r = rig_of(&b, "10.0.0.1", "y");
	assert_int_equal(bad(&b, r, 1, 0), OTD_BUDGET_TELL);
	otd_budget_leave(r);
	otd_budget_finish(&b);
}

static void late_work_may_come_again_once(void **state)
{
	struct otd_budget b;

	(void)state;
	open_budget(&b, 10);
	struct otd_rig *r = rig_of(&b, "10.0.0.1", "x");
	enum otd_budget_step step = OTD_BUDGET_FINE;
	for (int i = 0; i < 10; i++)
		step = otd_budget_bad(&b, r, true, 0);
	assert_int_equal(step, OTD_BUDGET_CLOSE);
	assert_false(otd_budget_refused(&b, r));
	for (int i = 0; i < 10 && step != OTD_BUDGET_REFUSE; i++)
		step = otd_budget_bad(&b, r, true, 0);
	assert_int_equal(step, OTD_BUDGET_REFUSE);
	otd_budget_leave(r);
	otd_budget_finish(&b);
}

/* One bad miner of a farm takes name after name: the farm stays, and each name is worth less. */
static void a_farm_keeps_its_address(void **state)
{
	struct otd_budget b;
	char name[16];
	long sent = 0;

	(void)state;
	open_budget(&b, 64);
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		struct otd_rig *r = rig_of(&b, "10.0.0.1", name);
		enum otd_budget_step step = OTD_BUDGET_FINE;
		while (step < OTD_BUDGET_REFUSE) {
			step = otd_budget_bad(&b, r, false, 500);
			sent++;
		}
		assert_int_equal(step, OTD_BUDGET_REFUSE);
		otd_budget_leave(r);
	}
	assert_true(sent < 64 * 2 + 600 * 5);
	otd_budget_finish(&b);
}

static void an_address_of_bad_workers_is_banned(void **state)
{
	struct otd_budget b;

	(void)state;
	open_budget(&b, 10);
	struct otd_rig *one = rig_of(&b, "2001:db8::1", "a"), *two = rig_of(&b, "2001:db8::2", "b");
	struct otd_rig *three = rig_of(&b, "2001:db8::3", "c"),
		       *four = rig_of(&b, "2001:db8::3", "d");
	assert_int_equal(bad(&b, one, 10, 3), OTD_BUDGET_REFUSE);
	assert_int_equal(bad(&b, two, 10, 3), OTD_BUDGET_REFUSE);
	assert_int_equal(bad(&b, three, 10, 3),
			 OTD_BUDGET_REFUSE); /* as many good ones are there */
	assert_int_equal(bad(&b, four, 10, 3), OTD_BUDGET_BAN);
	otd_budget_leave(one);
	otd_budget_leave(two);
	otd_budget_leave(three);
	otd_budget_leave(four);
	otd_budget_finish(&b);
}

static void tables_are_bounded_and_swept(void **state)
{
	struct otd_budget b;
	char name[16];
	int room = 0;

	(void)state;
	open_budget(&b, 1000);
	for (int i = 0; i < OTD_BUDGET_MAX + 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		struct otd_rig *r =
			otd_budget_enter(&b, "10.0.0.1", 0, span("account"), span(name));
		room += r != NULL;
		otd_budget_leave(r);
	}
	assert_int_equal(room, OTD_BUDGET_MAX);
	clock_ms += WINDOW;
	struct otd_rig *r = rig_of(&b, "10.0.0.1", "late");
	assert_int_equal(otd_map_count(b.rigs), 1);
	otd_budget_leave(r);
	/* Off: nobody counts, and nobody is kept out. */
	const struct otd_budget_conf off = {0};
	otd_budget_reconfigure(&b, &off);
	assert_null(otd_budget_enter(&b, "10.0.0.1", 0, span("account"), span("x")));
	otd_budget_finish(&b);
}

static void a_script_has_the_last_word(void **state)
{
	struct otd_budget b;

	(void)state;
	open_budget(&b, 10);
	struct otd_rig *r = rig_of(&b, "10.0.0.1", "x");
	r->excused = true;
	assert_int_equal(bad(&b, r, 100, 0), OTD_BUDGET_FINE);
	clock_ms += WINDOW;
	assert_int_equal(bad(&b, r, 10, 0), OTD_BUDGET_REFUSE);
	otd_budget_leave(r);
	otd_budget_finish(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(told_then_kept_out),
		cmocka_unit_test(good_work_pays_for_bad),
		cmocka_unit_test(a_window_ends),
		cmocka_unit_test(late_work_may_come_again_once),
		cmocka_unit_test(a_farm_keeps_its_address),
		cmocka_unit_test(an_address_of_bad_workers_is_banned),
		cmocka_unit_test(tables_are_bounded_and_swept),
		cmocka_unit_test(a_script_has_the_last_word),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
