#include "../common/book.c"
#include "../common/state.c"
#include "pplns.c"
#include "window.c"

#include "../common/test_payout.h"

static struct test_credits c;
static struct options opt;

static void use(int64_t milli_difficulty, int64_t ms, int64_t max_slices)
{
	opt = (struct options){{milli_difficulty, ms}, max_slices};
	test_options = &opt;
}

static void test_by_hand(void **state)
{
	(void)state;
	use(2000, 0, 1000);
	struct otd_instance *in = test_create();
	otd_u128 work;
	uint64_t accounts;
	/* The window is 200. Newest first: 50 of account 2, 100 of 1, and 50 of the 300 of 3. */
	test_share(in, 3, 300, 1, 100);
	test_share(in, 1, 100, 2, 100);
	test_share(in, 2, 50, 3, 100);
	assert_int_equal(test_ops()->round(in, &work, &accounts), OTD_OK);
	assert_true(work == 200 && accounts == 3);
	test_block(in, &c, 1, 2, 1000, 3, 100);
	assert_true(test_credited(&c, 1) == 500);
	assert_true(test_credited(&c, 2) == 250);
	assert_true(test_credited(&c, 3) == 250);
	/* A block does not close the window. */
	test_block(in, &c, 2, 2, 1000, 3, 100);
	assert_true(test_credited(&c, 1) == 500);
	/* A network four times as hard reaches back four times as far: the slack was kept. */
	test_block(in, &c, 3, 2, 450, 3, 400);
	assert_true(test_credited(&c, 1) == 100);
	assert_true(test_credited(&c, 2) == 50);
	assert_true(test_credited(&c, 3) == 300);
	/* Nobody is paid for work beyond the window. */
	test_share(in, 4, 200, 4, 100);
	test_block(in, &c, 4, 4, 1000, 4, 100);
	assert_int_equal(c.n, 1);
	assert_true(test_credited(&c, 4) == 1000);
	test_destroy(in);
}

static void test_cut_is_shared(void **state)
{
	(void)state;
	use(1000, 0, 1000);
	struct otd_instance *in = test_create();
	const struct otd_payout_share s[] = {{9, 30}, {3, 60}, {4, 10}};
	/* 50 of the window of 60 come from the batch of 100, over all of its accounts */
	test_shares(in, s, 3, 1, 60);
	test_share(in, 1, 10, 2, 60);
	test_block(in, &c, 1, 1, 60, 2, 60);
	assert_true(test_credited(&c, 1) == 10);
	assert_true(test_credited(&c, 3) == 30);
	assert_true(test_credited(&c, 4) == 5);
	assert_true(test_credited(&c, 9) == 15);
	test_destroy(in);
}

static void test_by_time(void **state)
{
	(void)state;
	use(0, 7200000, 1000);
	struct otd_instance *in = test_create();
	test_share(in, 1, 100, 1000, 50);
	test_share(in, 2, 100, 3600000, 50);
	test_share(in, 3, 200, 7200999, 50);
	test_block(in, &c, 1, 3, 400, 7200999, 50);
	assert_true(test_credited(&c, 1) == 100 && test_credited(&c, 3) == 200);
	/* two hours are two hours: the first one is out now, whatever its work */
	test_block(in, &c, 2, 3, 300, 7201000, 50);
	assert_true(test_credited(&c, 1) == 0 && test_credited(&c, 2) == 100);
	test_destroy(in);
}

/* Against the formula written down naively, over a list that is never pruned or merged. */
static void test_against_model(void **state)
{
	(void)state;
	enum { STEPS = 400, ACCOUNTS = 12 };
	static struct {
		otd_u128 work[ACCOUNTS + 1], sum;
	} list[STEPS];
	for (unsigned run = 0; run < 30; run++) {
		use(500 + (int64_t)test_below(3000), 0, 100000);
		struct otd_instance *in = test_create();
		struct otd_payout_share s[ACCOUNTS];
		otd_u128 network = (otd_u128)1 << 30;
		for (unsigned step = 0; step < STEPS; step++) {
			size_t n = test_batch(s, ACCOUNTS, ACCOUNTS, 28);
			memset(&list[step], 0, sizeof(list[step]));
			for (size_t i = 0; i < n; i++) {
				list[step].work[s[i].account] = s[i].work;
				list[step].sum += s[i].work;
			}
			test_shares(in, s, n, step, network);
			if (test_below(10))
				continue;
			otd_u128 need = network * (otd_u128)opt.window.milli_difficulty / 1000;
			otd_u128 got[ACCOUNTS + 1] = {0}, total = 0;
			for (unsigned j = step + 1; j > 0 && need > 0; j--) {
				if (list[j - 1].sum > need) {
					/* whole units each, the rest by largest remainder */
					otd_u128 left = need, rem[ACCOUNTS + 1];
					for (unsigned k = 1; k <= ACCOUNTS; k++) {
						otd_u128 p = list[j - 1].work[k] * need;
						rem[k] = p % list[j - 1].sum;
						got[k] += p / list[j - 1].sum;
						left -= p / list[j - 1].sum;
					}
					while (left) {
						unsigned best = 1;
						for (unsigned k = 2; k <= ACCOUNTS; k++)
							best = rem[k] > rem[best] ? k : best;
						got[best]++;
						rem[best] = 0;
						left--;
					}
					need = 0;
					break;
				}
				for (unsigned k = 1; k <= ACCOUNTS; k++)
					got[k] += list[j - 1].work[k];
				need -= list[j - 1].sum;
			}
			for (unsigned k = 1; k <= ACCOUNTS; k++)
				total += got[k];
			otd_i128 amount = 5000000000;
			test_block(in, &c, step + 1, s[0].account, amount, step, network);
			for (unsigned k = 1; k <= ACCOUNTS; k++) {
				otd_i128 least = (otd_i128)((otd_u128)amount * got[k] / total);
				otd_i128 paid = test_credited(&c, k);
				assert_true(paid == least || paid == least + 1);
			}
		}
		test_destroy(in);
	}
}

/* Memory is bounded by what can still matter. */
static void test_bounds(void **state)
{
	(void)state;
	use(1000, 0, 1000000);
	struct otd_instance *in = test_create();
	for (int i = 0; i < 100000; i++)
		test_share(in, 1 + (uint64_t)(i % 3), 10, i, 1000);
	/* four windows of 1000, in batches of 10 */
	assert_int_equal(in->window.n_batches - in->window.first_batch, 400);
	assert_true(in->window.cap_parts <= 2048);
	assert_true(in->window.work == 4000);
	test_destroy(in);

	/* too many entries: merged, no work lost, the newest batches as they were */
	use(1000, 0, 1000);
	in = test_create();
	otd_u128 sum = 0;
	for (int i = 0; i < 50000; i++) {
		otd_u128 work = 1 + test_below(1000);
		sum += work;
		test_share(in, 1 + test_below(50), work, i, (otd_u128)1 << 60);
		assert_true(in->window.n_parts - in->window.first_part <= 1000);
		assert_true(in->window.work == sum);
	}
	assert_true(in->window.n_batches - in->window.first_batch > 20);
	assert_int_equal(in->window.batch[in->window.n_batches - 1].n, 1);
	otd_u128 parts = 0;
	for (size_t i = in->window.first_part; i < in->window.n_parts; i++)
		parts += in->window.part[i].work;
	assert_true(parts == sum);
	test_block(in, &c, 1, 1, 1000000, 50000, (otd_u128)1 << 60);
	test_destroy(in);

	/* more accounts than entries allowed: still served, with a few batches */
	enum { N = 10000 };
	struct otd_payout_share *s = calloc(N, sizeof(*s));
	in = test_create();
	for (int k = 0; k < 40; k++) {
		for (size_t i = 0; i < N; i++)
			s[i] = (struct otd_payout_share){i + 1, 1 + test_below(1000)};
		test_shares(in, s, N, k, (otd_u128)1 << 60);
	}
	assert_true(in->window.n_batches - in->window.first_batch <= WINDOW_MIN_BATCHES);
	test_block(in, &c, 1, 1, 5000000000, 40, (otd_u128)1 << 60);
	assert_int_equal(c.n, N);
	free(s);
	test_destroy(in);
	assert_int_equal(test_allocated, 0);
}

static void test_huge(void **state)
{
	(void)state;
	const otd_u128 top = (otd_u128)1 << 127;
	use(2000, 0, 1000);
	struct otd_instance *in = test_create();
	test_share(in, 1, top, 1, top);
	test_share(in, 2, top - 1, 2, top);
	test_block(in, &c, 1, 2, (otd_i128)(top - 1), 2, top);
	assert_true(test_credited(&c, 1) >= test_credited(&c, 2));
	assert_int_equal(test_raw(in, 3, top, sizeof(struct otd_payout_share), 3, top),
			 OTD_E_OVERFLOW);
	test_destroy(in);
	/* time goes one way, and a network has work */
	in = test_create();
	test_share(in, 1, 5, 10, 5);
	assert_int_equal(test_raw(in, 1, 5, sizeof(struct otd_payout_share), 9, 5), OTD_E_INVALID);
	assert_int_equal(test_raw(in, 1, 5, sizeof(struct otd_payout_share), 10, 0), OTD_E_INVALID);
	test_destroy(in);
	assert_int_equal(test_allocated, 0);
}

static void test_options_checked(void **state)
{
	(void)state;
	struct otd_instance *in = NULL;
	use(0, 0, 1000);
	assert_int_equal(otd_plugin_v1()->base->create(&in, NULL, &test_core, &opt), OTD_E_INVALID);
	assert_int_equal(strncmp(test_error, "window: ", 8), 0);
	assert_null(in);
}

static void test_properties(void **state)
{
	(void)state;
	use(2000, 0, 1000);
	test_property_run(15, 400, 60);
	use(2000, 0, 300); /* merging all the time */
	test_property_run(15, 400, 60);
	use(0, 7200000, 1000);
	test_property_run(15, 400, 60);
	use(1, 0, 1000); /* a window of less than a share */
	test_property_run(5, 200, 60);
	use(2000, 0, 1000);
	test_property_run(5, 60, 115);
	test_property_damage(3000);
	test_property_misuse();
	test_property_memory();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_hand),         cmocka_unit_test(test_cut_is_shared),
		cmocka_unit_test(test_by_time),         cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_bounds),          cmocka_unit_test(test_huge),
		cmocka_unit_test(test_options_checked), cmocka_unit_test(test_properties),
	};
	test_fail_after = -1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
