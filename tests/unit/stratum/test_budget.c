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

/* --- several reactors --- */

#define MANY 3

struct many {
	struct otd_budget b[MANY];
	struct otd_rig *rig[MANY];
	uint32_t good[MANY]; /* workers of the address with good shares */
	long words;
};

static void open_many(struct many *m, uint32_t shares)
{
	*m = (struct many){0};
	for (size_t i = 0; i < MANY; i++) {
		open_budget(&m->b[i], shares);
		m->b[i].reactors = MANY;
	}
}

static void close_many(struct many *m)
{
	for (size_t i = 0; i < MANY; i++) {
		otd_budget_leave(m->rig[i]);
		otd_budget_finish(&m->b[i]);
	}
}

/* From one to all others, and their answers too. */
static void carry(struct many *m, size_t from, const struct otd_budget_word *w)
{
	m->words++;
	for (size_t i = 0; i < MANY; i++) {
		struct otd_budget_word answer;
		if (i != from && otd_budget_hear(&m->b[i], (uint32_t)from, w, m->good[i], &answer))
			carry(m, i, &answer);
	}
}

static enum otd_budget_step bad_at(struct many *m, size_t at, const char *name, bool stale)
{
	struct otd_budget_word w;

	if (!m->rig[at])
		m->rig[at] = rig_of(&m->b[at], "10.0.0.1", name);
	enum otd_budget_step step = otd_budget_bad(&m->b[at], m->rig[at], stale, m->good[at]);
	if (otd_budget_say(&m->b[at], m->rig[at], step, m->good[at], &w))
		carry(m, at, &w);
	return step;
}

static void other_name(struct many *m)
{
	for (size_t i = 0; i < MANY; i++) {
		otd_budget_leave(m->rig[i]);
		m->rig[i] = NULL;
	}
}

/* Until it is kept out, wherever it comes; how many shares that took. */
static int spend(struct many *m, const char *name, enum otd_budget_step *last)
{
	int n = 0;

	other_name(m);
	do
		*last = bad_at(m, (size_t)n % MANY, name, false);
	while (++n < 100000 && *last < OTD_BUDGET_CLOSE);
	return n;
}

static void reactors_have_one_budget(void **state)
{
	enum otd_budget_step step;
	struct many m;

	(void)state;
	open_many(&m, 240);
	int n = spend(&m, "x", &step);
	assert_int_equal(step, OTD_BUDGET_REFUSE);
	assert_in_range(n, 240, 240 + 240 / OTD_BUDGET_BEYOND);
	assert_in_range(m.words, 1, MANY * OTD_BUDGET_BEYOND + 1);
	for (size_t i = 0; i < MANY; i++) {
		assert_true(otd_budget_refused(&m.b[i], m.rig[i]));
		assert_true(otd_budget_until(&m.b[i], "10.0.0.1", 0, span("account"), span("x")));
		assert_false(otd_budget_until(&m.b[i], "10.0.0.1", 0, span("account"), span("y")));
	}
	clock_ms += BAN;
	for (size_t i = 0; i < MANY; i++)
		assert_false(otd_budget_refused(&m.b[i], m.rig[i]));
	close_many(&m);
}

/* As if there were one reactor: late once is no offence, twice is. */
static void late_work_is_excused_once_by_all(void **state)
{
	enum otd_budget_step step = OTD_BUDGET_FINE;
	struct many m;

	(void)state;
	open_many(&m, 24);
	for (int i = 0; i < 100 && step < OTD_BUDGET_CLOSE; i++)
		step = bad_at(&m, 0, "x", true);
	assert_int_equal(step, OTD_BUDGET_CLOSE);
	for (int i = 0; i < 100 && step != OTD_BUDGET_REFUSE; i++)
		step = bad_at(&m, 1, "x", true);
	assert_int_equal(step, OTD_BUDGET_REFUSE);
	close_many(&m);
}

/* Good shares at any reactor count for it everywhere. */
static void good_work_elsewhere_counts(void **state)
{
	enum otd_budget_step step = OTD_BUDGET_FINE;
	struct many m;

	(void)state;
	open_many(&m, 24);
	(void)bad_at(&m, 1, "x", false);
	for (int i = 0; i < 300; i++)
		otd_budget_good(m.rig[1]);
	for (int i = 0; i < 200 && step < OTD_BUDGET_CLOSE; i++)
		step = bad_at(&m, 0, "x", false);
	assert_int_equal(step, OTD_BUDGET_FINE);
	assert_in_range(m.words, 1, 100);
	close_many(&m);
}

/* Good miners at other reactors keep their address, however many bad names one of them has here. */
static void a_farm_over_all_reactors_keeps_its_address(void **state)
{
	enum otd_budget_step step;
	char name[16];
	struct many m;

	(void)state;
	open_many(&m, 16);
	m.good[1] = 3;
	m.good[2] = 20;
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		(void)spend(&m, name, &step);
		assert_int_equal(step, OTD_BUDGET_REFUSE);
		clock_ms += 100;
	}
	close_many(&m);
	/* With nobody good it goes, once the others had time to say so. */
	open_many(&m, 16);
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		(void)spend(&m, name, &step);
		assert_int_equal(step, OTD_BUDGET_REFUSE);
	}
	clock_ms += OTD_BUDGET_ASK_MS;
	(void)spend(&m, "last", &step);
	assert_int_equal(step, OTD_BUDGET_BAN);
	close_many(&m);
}

static void words_that_are_none_are_dropped(void **state)
{
	static const uint8_t bytes[300] = {4, 10, 0, 0, 1};
	struct otd_budget_word w = {.key = {bytes, 300}, .bad = UINT32_MAX, .flags = UINT32_MAX};
	struct otd_budget_word answer;
	struct many m;

	(void)state;
	open_many(&m, 16);
	assert_false(otd_budget_hear(&m.b[0], 1, &w, 5, &answer));
	w.key.len = 20;
	assert_false(otd_budget_hear(&m.b[0], 1, &w, 5, &answer));
	w.key.len = 30;
	assert_false(otd_budget_hear(&m.b[0], OTD_BUDGET_REACTORS, &w, 5, &answer));
	assert_int_equal(otd_map_count(m.b[0].rigs), 0);
	/* All that can be said at once neither overflows nor bans for longer than the rule says. */
	w.kept_out_ms = INT64_MAX;
	w.workers = UINT32_MAX;
	assert_false(otd_budget_hear(&m.b[0], 1, &w, 5, &answer));
	assert_false(otd_budget_hear(&m.b[0], 1, &w, 5, &answer));
	assert_int_equal(otd_map_count(m.b[0].rigs), 1);
	clock_ms += BAN + WINDOW;
	struct otd_rig *r = rig_of(&m.b[0], "10.0.0.2", "x");
	otd_budget_leave(r);
	close_many(&m);
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
		cmocka_unit_test(reactors_have_one_budget),
		cmocka_unit_test(late_work_is_excused_once_by_all),
		cmocka_unit_test(good_work_elsewhere_counts),
		cmocka_unit_test(a_farm_over_all_reactors_keeps_its_address),
		cmocka_unit_test(words_that_are_none_are_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
