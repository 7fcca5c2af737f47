/* Accounts with a fee of their own, and who else gets of it: over crashes, to the last unit. */
#include "ledger/ledger.h"
#include "pool/acct/fees.h"
#include "tally.h"
#include "world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void start(struct world *w, uint64_t seed)
{
	*w = (struct world){.seed = seed, .sim = sim_create(seed), .certain = true};
	assert_true(world_start(w));
}

static void finish(struct world *w)
{
	world_end(w);
	world_free(w);
	sim_destroy(w->sim);
}

static void on_flush(void *arg)
{
	*(bool *)arg = true;
}

static bool is_set(void *arg)
{
	return *(bool *)arg;
}

static void flush(struct world *w)
{
	bool done = false;
	sim_run(w->sim, 3000, NULL, NULL); /* the reactors' journals */
	otd_accounting_flush(w->acct, on_flush, &done);
	assert_true(sim_run(w->sim, 20000, is_set, &done));
}

/* Shares of both schemes, then a block by ident. */
static void mine(struct world *w, int shares, uint32_t ident)
{
	for (int i = 0; i < shares; i++)
		world_share(&w->reactor[i % REACTORS], (uint32_t)i % IDENTS, 10);
	world_share(&w->reactor[0], ident, 10);
	world_block(&w->reactor[0], ident, 5000000000);
	flush(w);
}

static struct otd_acct_status *status(struct world *w)
{
	struct otd_acct_status *st = NULL;
	assert_int_equal(otd_accounting_status(w->acct, &st, 100, 100), OTD_OK);
	return st;
}

static void crash(struct world *w)
{
	sim_crash_now(w->sim);
	world_end(w);
	sim_reboot(w->sim);
	sim_faults(w->sim, &(struct sim_faults){0});
	sim_run(w->sim, 1000, NULL, NULL);
}

static bool fees_are_durable(void *arg)
{
	return otd_accounting_fees_durable(((struct world *)arg)->acct);
}

/* Found, acknowledged, and the coordinator's journal takes nothing. */
static void found_not_merged(struct world *w, uint32_t ident)
{
	struct sim_faults stuck = {.write_ppm = 1000000, .path = "coordinator"};
	struct model_epoch *m = w->reactor[0].m;
	sim_run(w->sim, 3000, NULL, NULL);
	sim_faults(w->sim, &stuck);
	world_share(&w->reactor[0], ident, 10);
	world_block(&w->reactor[0], ident, 1000000000);
	sim_run(w->sim, 3000, NULL, NULL);
	assert_int_equal(m->acked, m->n);
}

/* What the accounts of alpha and its fee have of blocks that are not mature. */
struct shares_of {
	otd_i128 first, others, fee, gift[2];
	bool called;
};

static void on_shares(void *arg, const struct otd_err *err, const struct otd_acct_balance *rows,
		      size_t n)
{
	struct shares_of *s = arg;
	assert_int_equal(err->rc, OTD_OK);
	*s = (struct shares_of){.called = true};
	for (size_t i = 0; i < n; i++) {
		if (strcmp(rows[i].pool, "alpha") != 0)
			continue;
		if (rows[i].kind == OTD_ACC_FEE_IMMATURE)
			s->fee += rows[i].amount;
		else if (rows[i].kind == OTD_ACC_IMMATURE &&
			 strcmp(rows[i].account, "address-0") == 0)
			s->first += rows[i].amount;
		else if (rows[i].kind == OTD_ACC_IMMATURE &&
			 strncmp(rows[i].account, "gift-", 5) == 0)
			s->gift[rows[i].account[5] - 'a'] += rows[i].amount;
		else if (rows[i].kind == OTD_ACC_IMMATURE)
			s->others += rows[i].amount;
	}
}

static bool shares_came(void *arg)
{
	return ((struct shares_of *)arg)->called;
}

static struct shares_of shares_of(struct world *w)
{
	struct shares_of s = {0};
	assert_int_equal(otd_accounting_balances(w->acct, 1000, on_shares, &s), OTD_OK);
	assert_true(sim_run(w->sim, 20000, shares_came, &s));
	return s;
}

static otd_rc own_fee(struct world *w, int64_t ppm)
{
	return otd_accounting_account_fee(w->acct, "alpha", "address-0", ppm,
					  otd_wall_ms(sim_env(w->sim)));
}

/* Two recipients, as they come: the last one first, one of them in two parts. */
static otd_rc own_gifts(struct world *w, int64_t ppm, const uint32_t gift[2])
{
	struct otd_acct_account_fee fee = {.ppm = ppm};
	if (gift[0] || gift[1]) {
		fee.to[0] = (struct otd_acct_recipient){"gift-b", gift[1]};
		fee.to[1] = (struct otd_acct_recipient){"gift-a", gift[0] / 3};
		fee.to[2] = (struct otd_acct_recipient){"gift-c", 0};
		fee.to[3] = (struct otd_acct_recipient){"gift-a", gift[0] - gift[0] / 3};
		fee.n_to = 4;
	}
	return otd_accounting_account_fee_to(w->acct, "alpha", "address-0", &fee,
					     otd_wall_ms(sim_env(w->sim)));
}

static void take_fee(void *arg, const char *pool, const char *account,
		     const struct otd_acct_account_fee *fee)
{
	assert_string_equal(pool, "alpha");
	assert_string_equal(account, "address-0");
	*(struct otd_acct_account_fee *)arg = *fee;
}

static void is_said(struct world *w, int64_t ppm, const uint32_t gift[2])
{
	struct otd_acct_account_fee got = {.ppm = -1};
	size_t n = 0;
	otd_accounting_account_fees_to(w->acct, take_fee, &got);
	assert_int_equal(got.ppm, ppm);
	for (int i = 0; i < 2; i++) {
		if (!gift[i])
			continue;
		assert_string_equal(got.to[n].address, i ? "gift-b" : "gift-a");
		assert_int_equal(got.to[n++].ppm, gift[i]);
	}
	assert_int_equal(got.n_to, n);
}

/* Three blocks: with the pool's fee, with own (below 0: the pool's) across a crash in which the mark is
   durable and applied nowhere, and with the pool's again. What each block brought. */
static void three_blocks(int64_t own, const uint32_t gift[2], struct shares_of each[3])
{
	struct world w;
	struct shares_of sum = {0};
	start(&w, 21);
	assert_int_equal(own_fee(&w, 7), OTD_E_NOT_FOUND); /* nobody has mined yet */
	for (int i = 0; i < 3; i++) {
		if (i == 1) {
			assert_int_equal(own_fee(&w, 1000001), OTD_E_RANGE);
			assert_int_equal(own_gifts(&w, own, gift), OTD_OK);
			assert_true(sim_run(w.sim, 20000, fees_are_durable, &w));
			crash(&w);
			assert_true(world_start(&w));
			is_said(&w, own, gift);
			sim_run(w.sim, 3000, NULL, NULL); /* times of shares may be 2 s back */
		} else if (i == 2) {
			/* What SQL has is said as it was: to say it again is nothing new. */
			crash(&w);
			assert_true(world_start(&w));
			is_said(&w, own, gift);
			flush(&w);
			struct otd_acct_status *was = status(&w);
			assert_int_equal(own_gifts(&w, own, gift), OTD_OK);
			flush(&w);
			struct otd_acct_status *is = status(&w);
			assert_int_equal(is->applied, was->applied);
			otd_accounting_status_destroy(was);
			otd_accounting_status_destroy(is);
			assert_int_equal(own_fee(&w, -1), OTD_OK);
			crash(&w);
			assert_true(world_start(&w));
			/* Not known to be durable: said again, which is nothing new where it was. */
			assert_int_equal(own_fee(&w, -1), OTD_OK);
			sim_run(w.sim, 3000, NULL, NULL);
		}
		mine(&w, 20, 0);
		struct shares_of now = shares_of(&w);
		each[i] = (struct shares_of){now.first - sum.first,
					     now.others - sum.others,
					     now.fee - sum.fee,
					     {now.gift[0] - sum.gift[0], now.gift[1] - sum.gift[1]},
					     true};
		sum = now;
	}
	struct otd_acct_status *st = status(&w);
	for (size_t i = 0; i < st->n_blocks; i++)
		assert_true(st->blocks[i].fee == 61725000); /* by the pool's terms */
	otd_accounting_status_destroy(st);
	finish(&w);
}

static void an_account_with_a_fee_of_its_own(void **state)
{
	static const int64_t own[] = {0, 5000, 12345, 200000, 1000000};
	static const uint32_t none[2];
	struct shares_of plain[3], with[3];
	(void)state;
	three_blocks(-1, none, plain);
	for (int i = 0; i < 3; i++) {
		assert_true(plain[i].first > 0 && plain[i].others > 0);
		assert_true(plain[i].fee == 61725000);
	}
	for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++) {
		three_blocks(own[k], none, with);
		for (int i = 0; i < 3; i++) {
			otd_i128 gets =
				i == 1 ? plain[i].first * (1000000 - own[k]) / (1000000 - 12345)
				       : plain[i].first;
			assert_true(with[i].first == gets);
			assert_true(with[i].others == plain[i].others);
			assert_true(with[i].first + with[i].others + with[i].fee == 5000000000);
		}
	}
}

/* Largest remainder among the pool and two others, ties in this order: what the others get. */
static void divided(otd_i128 fee, const uint32_t gift[2], otd_i128 to[2])
{
	const otd_i128 ppm[3] = {1000000 - gift[0] - gift[1], gift[0], gift[1]};
	otd_i128 part[3], left = fee;
	for (int i = 0; i < 3; i++) {
		part[i] = fee * ppm[i] / 1000000;
		left -= part[i];
	}
	for (int taken = 0; left > 0; left--) {
		int most = -1;
		for (int i = 0; i < 3; i++)
			if (!(taken & 1 << i) &&
			    (most < 0 || fee * ppm[i] % 1000000 > fee * ppm[most] % 1000000))
				most = i;
		taken |= 1 << most;
		part[most]++;
	}
	to[0] = part[1];
	to[1] = part[2];
}

static void parts_of_a_fee_of_its_own(void **state)
{
	static const int64_t own[] = {0, 1, 12345, 200000, 1000000};
	static const uint32_t none[2],
		gift[][2] = {{1000000, 0}, {333333, 333333}, {1, 999999}, {0, 7}};
	struct shares_of plain[3], with[3];
	otd_i128 to[2];
	(void)state;
	three_blocks(-1, none, plain);
	for (size_t k = 0; k < 5; k++) {
		for (size_t g = 0; g < 4; g++) {
			three_blocks(own[k], gift[g], with);
			const otd_i128 credit = plain[1].first;
			divided(credit * own[k] / (1000000 - 12345), gift[g], to);
			assert_true(with[1].first ==
				    credit * (1000000 - own[k]) / (1000000 - 12345));
			assert_true(with[1].gift[0] == to[0] && with[1].gift[1] == to[1]);
			for (int i = 0; i < 3; i++) {
				assert_true(with[i].others == plain[i].others);
				assert_true(with[i].first + with[i].others + with[i].fee +
						    with[i].gift[0] + with[i].gift[1] ==
					    5000000000);
				/* Before and after, nothing goes to others. */
				assert_true(i == 1 || (with[i].first == plain[i].first &&
						       !with[i].gift[0] && !with[i].gift[1]));
			}
		}
	}
}

/* A gift to oneself, to somebody who mines, and what is none. */
static void recipients_that_mine(void **state)
{
	(void)state;
	struct world w;
	struct otd_acct_account_fee fee = {
		.ppm = 500000, .n_to = 2, .to = {{"address-0", 500000}, {"address-2", 500001}}};
	start(&w, 23);
	mine(&w, 20, 0);
	const struct shares_of before = shares_of(&w);
	const int64_t now_ms = otd_wall_ms(sim_env(w.sim));
	assert_int_equal(otd_accounting_account_fee_to(w.acct, "alpha", "address-0", &fee, now_ms),
			 OTD_E_RANGE);
	fee.to[1].ppm = 0;
	fee.to[1].address[0] = '\0';
	assert_int_equal(otd_accounting_account_fee_to(w.acct, "alpha", "address-0", &fee, now_ms),
			 OTD_E_INVALID);
	fee.n_to = 1;
	assert_int_equal(otd_accounting_account_fee_to(w.acct, "alpha", "address-0", &fee, now_ms),
			 OTD_OK);
	sim_run(w.sim, 3000, NULL, NULL);
	mine(&w, 20, 0);
	const struct shares_of after = shares_of(&w);
	const otd_i128 first = after.first - before.first, others = after.others - before.others;
	assert_true(first + others + after.fee - before.fee == 5000000000);
	/* The others are as by the pool's fee; it keeps half of its half. */
	const otd_i128 credit = 5000000000 - 61725000 - others;
	const otd_i128 paid = credit * 500000 / (1000000 - 12345);
	assert_true(first == paid + (paid / 2));
	assert_true(otd_accounting_account_since(w.acct, "alpha", "address-0") > 0);
	assert_true(otd_accounting_account_since(w.acct, "alpha", "address-0") <= now_ms);
	assert_int_equal(otd_accounting_account_since(w.acct, "alpha", "nobody"), 0);
	assert_int_equal(otd_accounting_account_since(w.acct, "gamma", "address-0"), 0);
	finish(&w);
}

/* It counts for blocks that are found after it, however late those before it are merged. */
static void an_own_fee_and_a_block_of_before(void **state)
{
	(void)state;
	struct world w;
	start(&w, 22);
	mine(&w, 20, 0);
	otd_i128 fee = shares_of(&w).fee;
	sim_run(w.sim, 3000, NULL, NULL);
	world_share(&w.reactor[0], 0, 10);
	world_block(&w.reactor[0], 0, 1000000000);
	sim_run(w.sim, 5, NULL, NULL);
	assert_int_equal(own_fee(&w, 0), OTD_OK);
	struct otd_acct_status *st = status(&w);
	assert_int_equal(st->n_blocks, 1); /* the second is not merged yet */
	otd_accounting_status_destroy(st);
	flush(&w);
	otd_i128 now = shares_of(&w).fee;
	assert_true(now == fee + 12345000); /* 1000000000 at 12345 ppm */
	/* A journal that takes nothing refuses: whoever asks says it again. */
	found_not_merged(&w, 0);
	assert_int_equal(own_fee(&w, 7), OTD_E_BUSY);
	sim_faults(w.sim, &(struct sim_faults){0});
	finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_account_with_a_fee_of_its_own),
		cmocka_unit_test(parts_of_a_fee_of_its_own),
		cmocka_unit_test(recipients_that_mine),
		cmocka_unit_test(an_own_fee_and_a_block_of_before),
	};
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
