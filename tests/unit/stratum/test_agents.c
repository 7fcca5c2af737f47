/* Names of miners' software, each kept once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "stratum/agents.h"

static void each_is_kept_once(void **state)
{
	struct otd_agents a = {0};
	const char *one, *again, *longer, *empty;
	(void)state;
	one = otd_agents_take(&a, "cgminer/4.12", 12);
	again = otd_agents_take(&a, "cgminer/4.12.1", 12); /* of that length */
	longer = otd_agents_take(&a, "cgminer/4.12.1", 14);
	empty = otd_agents_take(&a, "", 0);
	assert_ptr_equal(one, again);
	assert_string_equal(one, "cgminer/4.12");
	assert_string_equal(longer, "cgminer/4.12.1");
	assert_string_equal(empty, "");
	assert_int_equal(a.n, 3);
	otd_agents_drop(&a, one);
	assert_int_equal(a.n, 3); /* one holds it still */
	otd_agents_drop(&a, again);
	otd_agents_drop(&a, NULL);
	otd_agents_drop(&a, longer);
	otd_agents_drop(&a, empty);
	assert_int_equal(a.n, 0);
	otd_agents_finish(&a);
}

static void cut_at_the_first_nul(void **state)
{
	struct otd_agents a = {0};
	const char *cut;
	(void)state;
	cut = otd_agents_take(&a, "ab\0cd", 5);
	assert_string_equal(cut, "ab");
	assert_ptr_equal(cut, otd_agents_take(&a, "ab", 2));
	assert_int_equal(a.n, 1);
	otd_agents_finish(&a); /* with holders: at the end of a server */
}

/* Many in any order: each found again, and none left over. */
static void many(void **state)
{
	enum { N = 1000 };
	static const char *held[N];
	struct otd_agents a = {0};
	char text[32];
	(void)state;
	for (int turn = 0; turn < 2; turn++) {
		for (unsigned i = 0; i < N; i++) {
			int n = snprintf(text, sizeof(text), "agent %u", i * 7919u % N);
			const char *t = otd_agents_take(&a, text, (size_t)n);
			assert_string_equal(t, text);
			if (turn)
				assert_ptr_equal(t, held[i * 7919u % N]);
			held[i * 7919u % N] = t;
		}
		assert_int_equal(a.n, N);
	}
	for (unsigned i = 0; i < 2 * N; i++)
		otd_agents_drop(&a, held[i * 31u % N]);
	assert_int_equal(a.n, 0);
	otd_agents_finish(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_kept_once),
		cmocka_unit_test(cut_at_the_first_nul),
		cmocka_unit_test(many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
