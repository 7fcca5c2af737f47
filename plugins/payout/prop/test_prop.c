#include "../common/book.c"
#include "../common/state.c"
#include "prop.c"

#include "../common/test_payout.h"

static struct test_credits c, d;

static void test_split_by_hand(void **state)
{
	(void)state;
	struct otd_instance *in = test_create();
	/* 100 over 3 : 2 : 2 is 42.86, 28.57, 28.57; the two units left go to 42.86 and, of the
	   equal ones, to the lower account */
	test_share(in, 7, 2, 1, 10);
	test_share(in, 5, 3, 1, 10);
	test_share(in, 6, 2, 1, 10);
	test_block(in, &c, 1, 7, 100, 1, 10);
	assert_true(test_credited(&c, 5) == 43);
	assert_true(test_credited(&c, 6) == 29);
	assert_true(test_credited(&c, 7) == 28);
	/* less to divide than accounts */
	test_share(in, 7, 1, 2, 10);
	test_share(in, 5, 1, 2, 10);
	test_share(in, 6, 1, 2, 10);
	test_block(in, &c, 2, 7, 2, 2, 10);
	assert_int_equal(c.n, 2);
	assert_true(test_credited(&c, 5) == 1 && test_credited(&c, 6) == 1);
	test_destroy(in);
}

static void test_orphan(void **state)
{
	(void)state;
	struct otd_instance *in = test_create();
	otd_u128 work;
	uint64_t accounts;
	test_share(in, 1, 60, 1, 100);
	test_block(in, &c, 1, 1, 1000, 1, 100);
	test_share(in, 2, 40, 2, 100);
	assert_int_equal(test_ops()->orphan(in, 1), OTD_OK);
	assert_int_equal(test_ops()->round(in, &work, &accounts), OTD_OK);
	assert_true(work == 100 && accounts == 2);
	test_block(in, &c, 2, 2, 1000, 2, 100);
	assert_true(test_credited(&c, 1) == 600 && test_credited(&c, 2) == 400);
	/* once final, an orphan brings nothing back */
	assert_int_equal(test_ops()->mature(in, 2), OTD_OK);
	assert_int_equal(test_ops()->orphan(in, 2), OTD_OK);
	assert_int_equal(test_ops()->orphan(in, 99), OTD_OK);
	assert_int_equal(test_ops()->round(in, &work, &accounts), OTD_OK);
	assert_true(work == 0 && accounts == 0);
	/* the same number twice while it waits */
	test_block(in, &c, 3, 2, 10, 2, 100);
	const struct otd_payout_block b = {
		.size = sizeof(b), .block = 3, .finder = 1, .amount = 1, .network_work = 1};
	const struct otd_payout_sink sink = {
		.size = sizeof(sink), .ctx = &c, .credit = test_credit};
	assert_int_equal(test_ops()->block(in, &b, &sink), OTD_E_EXISTS);
	test_destroy(in);
	assert_int_equal(test_allocated, 0);
}

static void test_huge(void **state)
{
	(void)state;
	struct otd_instance *in = test_create();
	const otd_u128 top = (otd_u128)1 << 127;
	const otd_i128 most = (otd_i128)(top - 1);
	test_share(in, 1, top, 1, top);
	test_share(in, 2, top - 2, 1, top);
	/* one more unit of work would not fit: refused, and nothing has changed */
	assert_int_equal(test_raw(in, 3, 1, sizeof(struct otd_payout_share), 1, top), OTD_OK);
	assert_int_equal(test_raw(in, 3, 1, sizeof(struct otd_payout_share), 1, top),
			 OTD_E_OVERFLOW);
	test_block(in, &c, 1, 1, most, 1, top);
	assert_true(test_credited(&c, 1) >= test_credited(&c, 2));
	assert_true(test_credited(&c, 3) <= 1);
	test_destroy(in);
}

static void test_many_accounts(void **state)
{
	(void)state;
	enum { N = 10000 };
	struct otd_instance *a = test_create(), *b = test_create();
	struct otd_payout_share *s = calloc(N, sizeof(*s));
	for (size_t i = 0; i < N; i++)
		s[i] = (struct otd_payout_share){i + 1, test_work(70)};
	test_shares(a, s, N, 1, 1000);
	/* one by one in another order, in several batches: the same division */
	test_shuffle(s, N);
	for (size_t i = 0; i < N; i += 100)
		test_shares(b, s + i, 100, 1, 1000);
	test_block(a, &c, 1, 1, 312500000, 1, 1000);
	test_block(b, &d, 1, 1, 312500000, 1, 1000);
	assert_true(test_same_credits(&c, &d));
	/* who did more gets no less */
	for (size_t i = 0; i < 500; i++) {
		const struct otd_payout_share *x = &s[test_below(N)], *y = &s[test_below(N)];
		if (x->work > y->work)
			assert_true(test_credited(&c, x->account) >= test_credited(&c, y->account));
	}
	free(s);
	test_destroy(a);
	test_destroy(b);
}

static void test_properties(void **state)
{
	(void)state;
	test_property_run(20, 300, 60);
	test_property_run(5, 100, 110);
	test_property_damage(3000);
	test_property_misuse();
	test_property_memory();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_by_hand), cmocka_unit_test(test_orphan),
		cmocka_unit_test(test_huge),          cmocka_unit_test(test_many_accounts),
		cmocka_unit_test(test_properties),
	};
	test_fail_after = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
