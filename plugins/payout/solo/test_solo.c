#include "../common/book.c"
#include "../common/state.c"
#include "solo.c"

#include "../common/test_payout.h"

static struct test_credits c;

static void test_finder(void **state)
{
	(void)state;
	struct otd_instance *in = test_create();
	otd_u128 work;
	uint64_t accounts;
	test_share(in, 1, 100, 1, 1000);
	test_share(in, 2, 900, 2, 1000);
	assert_int_equal(test_ops()->round(in, &work, &accounts), OTD_OK);
	assert_true(work == 1000 && accounts == 2);
	test_block(in, &c, 1, 1, 5000000000, 2, 1000);
	assert_int_equal(c.n, 1);
	assert_true(test_credited(&c, 1) == 5000000000);
	assert_int_equal(test_ops()->round(in, &work, &accounts), OTD_OK);
	assert_true(work == 0 && accounts == 0);
	test_block(in, &c, 2, 2, 0, 2, 1000); /* nothing to divide: no credit */
	assert_int_equal(c.n, 0);
	test_destroy(in);
}

static void test_properties(void **state)
{
	(void)state;
	test_property_run(20, 300, 60);
	test_property_damage(3000);
	test_property_misuse();
	test_property_memory();
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_finder),
					   cmocka_unit_test(test_properties)};
	test_fail_after = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
