/* The headers stand alone, and the words of hooks are all there and all different. */
#include "policy/record.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void every_hook_has_a_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < OTD_HOOKS; i++) {
		const char *a = otd_policy_hook_name((enum otd_policy_hook)i);
		assert_string_not_equal(a, "unknown");
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(a, otd_policy_hook_name((enum otd_policy_hook)k));
	}
	assert_string_equal(otd_policy_hook_name(OTD_HOOKS), "unknown");
	for (unsigned i = 0; i < OTD_OFFENCE_KINDS; i++)
		assert_string_not_equal(otd_policy_offence_name((enum otd_policy_offence_kind)i),
					"unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_hook_has_a_name)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
