/* The times of repeated timers, by arithmetic alone: what a real clock can show, test_loop.c does. */
#include "loop/timer_next.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* A day of seconds, each run late by another time: the last one is due when a clock without lateness says. */
static void lateness_does_not_add_up(void **state)
{
	uint64_t start = 123456, due = start + 1000, n = 1, missed = 0, late = 7;
	(void)state;
	while (due - start < 86400000) {
		late = (late * 1103515245 + 12345) % 2600; /* more than two repeats at times */
		uint64_t now = due + late, next = real_timer_next(due, 1000, now);
		assert_true(next > now);
		assert_true(next - now <= 1000);
		assert_int_equal((next - start) % 1000, 0);
		missed += (next - due) / 1000 - 1;
		due = next;
		n++;
	}
	assert_int_equal(due - start, (n + missed) * 1000);
	assert_true(missed > 0);
	assert_int_equal((due - start) % 1000, 0);
}

static void a_run_on_time_is_followed_by_the_next(void **state)
{
	(void)state;
	assert_int_equal(real_timer_next(100, 20, 100), 120);
	assert_int_equal(real_timer_next(100, 20, 119), 120);
	assert_int_equal(real_timer_next(100, 20, 120), 140);
	assert_int_equal(real_timer_next(100, 20, 139), 140);
	assert_int_equal(real_timer_next(100, 1, 100), 101);
	assert_int_equal(real_timer_next(0, 1, 1000000), 1000001);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lateness_does_not_add_up),
		cmocka_unit_test(a_run_on_time_is_followed_by_the_next),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
