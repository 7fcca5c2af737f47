/* Coins, fees and shares of them: properties over random cases. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "pool/payer/payer_impl.h"
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed;

static uint64_t below(uint64_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (seed >> 33) % n;
}

/* As a transaction of n inputs and 10 outputs, and one more for change. */
static otd_rc size_of(void *arg, uint64_t *vsize, size_t n, otd_i128 change, struct otd_err *err)
{
	(void)arg;
	(void)err;
	*vsize = 11 + 68 * n + 31 * 10 + (change > 0 ? 31 : 0);
	return OTD_OK;
}

static struct otd_chain_coin coins[600];

static size_t make_coins(size_t most)
{
	size_t n = 1 + below(most);
	memset(coins, 0, sizeof(coins));
	for (size_t i = 0; i < n; i++) {
		coins[i].value = 1 + (otd_i128)below(1 + below(10000000));
		coins[i].txid[0] = (uint8_t)below(256);
		coins[i].index = (uint32_t)i;
	}
	payer_sort_coins(coins, n);
	return n;
}

static otd_i128 sum_of(size_t n)
{
	otd_i128 sum = 0;
	for (size_t i = 0; i < n; i++)
		sum += coins[i].value;
	return sum;
}

static void check_choice(const struct payer_want *w, const struct payer_choice *c)
{
	uint64_t vsize = 0;
	otd_i128 least = 0, sum = sum_of(c->n);
	struct otd_err err;
	assert_true(c->n >= w->at_least && c->n <= w->n);
	assert_true(c->change == 0 || c->change >= w->dust);
	assert_int_equal(size_of(NULL, &vsize, c->n, c->change, &err), OTD_OK);
	assert_int_equal(c->vsize, vsize);
	assert_int_equal(payer_fee(&least, w->rate, vsize), OTD_OK);
	assert_true(c->fee >= least);
	if (w->old_fee) {
		otd_i128 step = 0;
		assert_int_equal(payer_fee(&step, w->step_rate, vsize), OTD_OK);
		assert_true(c->fee >= w->old_fee + step);
	}
	if (w->fee_by_miners)
		assert_true(sum == w->total + c->change);
	else
		assert_true(sum == w->total + c->change + c->fee);
	/* What is too small to come back goes to the network, and no more. */
	if (!w->fee_by_miners && !c->change && !w->old_fee) {
		otd_i128 with = 0;
		(void)size_of(NULL, &vsize, c->n, 1, &err);
		assert_int_equal(payer_fee(&with, w->rate, vsize), OTD_OK);
		assert_true(c->fee < with + w->dust);
	}
}

/* Whether the first n coins suffice, said in another way. */
static bool suffices(const struct payer_want *w, size_t n)
{
	otd_i128 sum = sum_of(n), fee = 0;
	uint64_t vsize;
	struct otd_err err;
	if (w->fee_by_miners)
		return sum == w->total || sum - w->total >= w->dust;
	(void)size_of(NULL, &vsize, n, 0, &err);
	(void)!payer_fee(&fee, w->rate, vsize);
	return sum >= w->total + fee;
}

static void choices(void **state)
{
	size_t chosen = 0, missing = 0;
	(void)state;
	for (seed = 1; seed < 30000; seed += 7) {
		uint64_t keep = seed;
		struct payer_want w = {.coins = coins,
				       .n = make_coins(1 + below(60)),
				       .at_most = 500,
				       .total = 1 + (otd_i128)below(30000000),
				       .fee_by_miners = below(2),
				       .rate = 1 + (otd_i128)below(50000),
				       .dust = 294,
				       .size = size_of};
		struct payer_choice c;
		struct otd_err err = {0};
		otd_rc rc = payer_choose(&c, &w, &err);
		if (rc == OTD_OK) {
			check_choice(&w, &c);
			for (size_t n = 1; n < c.n; n++)
				assert_false(suffices(&w, n));
			chosen++;
		} else {
			assert_int_equal(rc, OTD_E_NOT_FOUND);
			assert_true(c.missing > 0);
			for (size_t n = 1; n <= w.n; n++)
				assert_false(suffices(&w, n));
			missing++;
		}
		seed = keep;
	}
	assert_true(chosen > 500 && missing > 500);
}

static void replacements(void **state)
{
	size_t done = 0;
	(void)state;
	for (seed = 1; seed < 20000; seed += 7) {
		uint64_t keep = seed;
		struct payer_want w = {.coins = coins,
				       .n = make_coins(40),
				       .at_most = 500,
				       .total = 1 + (otd_i128)below(2000000),
				       .rate = 1000 + (otd_i128)below(5000),
				       .dust = 294,
				       .size = size_of};
		struct payer_choice first, second;
		struct otd_err err = {0};
		if (payer_choose(&first, &w, &err) == OTD_OK) {
			assert_int_equal(payer_higher_rate(&w.rate, first.fee, first.vsize, 0,
							   1000 + (otd_i128)below(9000), &err),
					 OTD_OK);
			w.old_fee = first.fee;
			w.step_rate = 1000;
			w.at_least = first.n;
			if (payer_choose(&second, &w, &err) == OTD_OK) {
				check_choice(&w, &second);
				assert_true(second.n >= first.n && second.fee > first.fee);
				done++;
			}
		}
		seed = keep;
	}
	assert_true(done > 500);
}

static void limits(void **state)
{
	struct payer_choice c;
	struct otd_err err = {0};
	struct payer_want w = {.coins = coins,
			       .at_most = 2,
			       .n = 3,
			       .total = 250,
			       .rate = 0,
			       .dust = 1,
			       .size = size_of};
	(void)state;
	memset(coins, 0, sizeof(coins));
	for (int i = 0; i < 3; i++)
		coins[i].value = 100;
	assert_int_equal(payer_choose(&c, &w, &err), OTD_E_NOT_FOUND);
	assert_true(c.missing == 50);
	w.at_most = 3;
	assert_int_equal(payer_choose(&c, &w, &err), OTD_OK);
	assert_int_equal(c.n, 3);
	assert_true(c.change == 50);
	w.at_most = 1; /* what is in stays in */
	w.at_least = 3;
	assert_int_equal(payer_choose(&c, &w, &err), OTD_OK);
	assert_int_equal(c.n, 3);
	w.n = 0;
	assert_int_equal(payer_choose(&c, &w, &err), OTD_E_NOT_FOUND);
}

static void rates(void **state)
{
	otd_i128 r;
	struct otd_err err = {0};
	(void)state;
	assert_int_equal(payer_rate(&r, 0, 0, 0, 0, &err), OTD_OK);
	assert_true(r == 1000); /* nothing is known */
	assert_int_equal(payer_rate(&r, 0, 9000, 5000, 1000, &err), OTD_OK);
	assert_true(r == 5000);
	assert_int_equal(payer_rate(&r, 7000, 9000, 5000, 1000, &err), OTD_OK);
	assert_true(r == 7000);
	assert_int_equal(payer_rate(&r, 0, 4000, 5000, 1000, &err), OTD_OK);
	assert_true(r == 4000);
	assert_int_equal(payer_rate(&r, 500, 4000, 5000, 1000, &err), OTD_OK);
	assert_true(r == 1000);
	assert_int_equal(payer_rate(&r, 0, 4000, 5000, 4001, &err), OTD_E_RANGE);
	assert_int_equal(payer_higher_rate(&r, 1000, 1000, 0, 1000, &err), OTD_OK);
	assert_true(r == 1250);
	assert_int_equal(payer_higher_rate(&r, 1000, 1000, 0, 10000, &err), OTD_OK);
	assert_true(r == 11000);
	assert_int_equal(payer_higher_rate(&r, 1000, 1000, 10500, 10000, &err), OTD_OK);
	assert_true(r == 10500);
	assert_int_equal(payer_higher_rate(&r, 1000, 1000, 9000, 10000, &err), OTD_E_RANGE);
	assert_int_equal(payer_fee(&r, 1001, 999), OTD_OK);
	assert_true(r == 1000); /* rounded up */
}

static void shares(void **state)
{
	struct otd_pay_part parts[50] = {0};
	otd_i128 sent[50];
	(void)state;
	for (seed = 1; seed < 10000; seed += 7) {
		uint64_t keep = seed;
		size_t n = 1 + below(50);
		otd_i128 total = 0, got = 0;
		for (size_t i = 0; i < n; i++)
			total += parts[i].amount = 1000 + (otd_i128)below(100000000);
		otd_i128 fee = (otd_i128)below((uint64_t)total / 20);
		assert_int_equal(payer_split(sent, parts, n, fee, true), OTD_OK);
		for (size_t i = 0; i < n; i++) {
			/* Within one unit of its part. */
			otd_i128 exact = fee * parts[i].amount / total;
			assert_true(parts[i].amount - sent[i] >= exact &&
				    parts[i].amount - sent[i] <= exact + 1);
			got += sent[i];
		}
		assert_true(got == total - fee);
		assert_int_equal(payer_split(sent, parts, n, fee, false), OTD_OK);
		for (size_t i = 0; i < n; i++)
			assert_true(sent[i] == parts[i].amount);
		seed = keep;
	}
	parts[0].amount = 10;
	assert_int_equal(payer_split(sent, parts, 1, 10, true), OTD_E_RANGE);
	/* What a part must have: never dust after the dearest fee that the settings allow. */
	for (uint32_t ppm = 0; ppm <= 900000; ppm += 77777) {
		otd_i128 least = payer_least_amount(546, true, ppm), most = 0;
		assert_int_equal(otd_i128_muldiv(&most, NULL, least, ppm, 1000000), OTD_OK);
		assert_true(least - most - 1 >= 546);
	}
	assert_true(payer_least_amount(546, false, 500000) == 546);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(choices), cmocka_unit_test(replacements), cmocka_unit_test(limits),
		cmocka_unit_test(rates),   cmocka_unit_test(shares),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
