/* The payer on a devnet: each thing that happens to a payment, and one receipt each at its end. */
#include "payer_rig.h"

static void straight(void **state)
{
	json_t *j;
	char txid[80];
	(void)state;
	earn(5000000, 3000000, 99999, 400000);
	refused(ask("run p"), "plan");
	wait_trouble("your yes");
	j = good(ask("plan p"));
	assert_int_equal(json_array_size(json_object_get(j, "parts")), 2);
	assert_string_equal(text_of(j, "total_units"), "8000000");
	assert_string_equal(text_of(j, "total"), "0.08000000");
	assert_string_equal(text_of(json_object_get(j, "below_minimum"), "total_units"), "99999");
	assert_string_equal(text_of(json_object_get(j, "wallet"), "owns_change"), "yes");
	assert_true(atoll(text_of(j, "network_fee_units")) > 100);
	refused(ask("start p 00000000"), "plan");
	run_ms(3 * 60000);
	assert_int_equal(json_array_size(json_object_get(good(ask("list --all")), "payments")), 0);
	turn_on();
	j = good(ask("run p"));
	assert_int_equal(json_integer_value(json_object_get(j, "id")), 1);
	until(1, "sent", false);
	snprintf(txid, sizeof(txid), "%s", text_of(r.answer, "txid"));
	assert_non_null(strstr(devnet("mempool"), txid));
	until(1, "paid", true);
	j = good(ask("show 1 --raw"));
	assert_string_equal(text_of(j, "txid"), txid);
	assert_true(strlen(text_of(json_array_get(json_object_get(j, "txs"), 0), "raw")) > 200);
	assert_int_equal(received(2), 0);
	r.earned[2] = 0;
	all_paid();
	assert_int_equal(r.sends, 1);
	/* The third comes over the minimum, and the interval passes. */
	r.earned[2] = 99999;
	earn(0, 0, 1, 0);
	run_ms(31 * 24 * HOUR_MS);
	until(2, "paid", true);
	all_paid();
	assert_false(troubled("payment"));
}

static void miners_pay(void **state)
{
	static const struct otd_pay_recipient fee[] = {{NULL, 700000}, {NULL, 300000}};
	struct otd_pay_recipient to[2];
	(void)state;
	memcpy(to, fee, sizeof(fee));
	to[0].address = r.address[4];
	to[1].address = r.address[5];
	r.pool.fee_by_miners = true;
	r.pool.fee = to;
	r.pool.n_fee = 2;
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	earn(5000000, 3000000, 200000, 1000000);
	turn_on();
	good(ask("run p"));
	until(1, "paid", true);
	otd_i128 cost = atoll(text_of(r.answer, "fee_units")), total = 9200000, got = 0;
	const otd_i128 amount[MINERS] = {5000000, 3000000, 200000, 0, 700000, 300000};
	assert_true(cost > 0);
	for (int i = 0; i < MINERS; i++) {
		otd_i128 share = cost * amount[i] / total;
		got += received(i);
		assert_true(received(i) <= amount[i] - share &&
			    received(i) + 1 >= amount[i] - share);
	}
	assert_true(got == total - cost);
	check_books();
}

static void wallet_locked(void **state)
{
	(void)state;
	earn(5000000, 0, 0, 0);
	turn_on();
	devnet("wallet lock");
	good(ask("run p"));
	wait_trouble("unlock");
	assert_string_equal(state_of(1), "reserved");
	assert_non_null(strstr(text_of(r.answer, "why"), "unlock"));
	devnet("wallet unlock");
	until(1, "paid", true);
	assert_string_equal(text_of(r.answer, "why"), "");
	assert_false(troubled("unlock"));
	all_paid();
}

static void balance_short(void **state)
{
	(void)state;
	earn((otd_i128)1000000 * 100000000, 5000000, 0, 0); /* the wallet has 640,000 */
	turn_on();
	good(ask("run p"));
	wait_trouble("too little");
	assert_string_equal(state_of(1), "reserved");
	/* A person gives it up; the amounts go back; a cap lets the small one through. */
	good(ask("resolve 1 --unpaid the wallet is too small"));
	assert_string_equal(state_of(1), "cancelled");
	r.pool.cap = 10000000;
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	good(ask("run p"));
	until(2, "paid", true);
	r.earned[0] = 0;
	all_paid();
}

static void fee_too_low(void **state)
{
	json_t *txs;
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	r.before_send = "wallet fee 20000";
	good(ask("run p"));
	until(1, "paid", true);
	txs = json_object_get(r.answer, "txs");
	assert_int_equal(json_array_size(txs), 2);
	assert_true(atoll(text_of(json_array_get(txs, 1), "fee_units")) * 1000 >=
		    20000 * json_integer_value(json_object_get(json_array_get(txs, 1), "vsize")));
	assert_int_equal(json_array_size(json_object_get(r.answer, "coins")), 1);
	all_paid();
}

static void fee_above_the_limit(void **state)
{
	(void)state;
	r.pool.max_fee_rate = 10000;
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	earn(5000000, 3000000, 0, 0);
	turn_on();
	r.before_send = "wallet fee 20000";
	good(ask("run p"));
	wait_trouble("max_fee_rate");
	assert_string_equal(state_of(1), "signed");
	/* What was signed may come: nobody may call it unpaid. */
	refused(ask("resolve 1 --unpaid because"), "unspent");
	refused(ask("resolve 1 --paid %064d because", 7), "not known");
	r.pool.max_fee_rate = 100000;
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	until(1, "paid", true);
	all_paid();
}

static void answer_lost(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	r.what[OTD_CHAIN_SEND] = ANSWER_LOST;
	good(ask("run p"));
	until(1, "sent", false); /* it was looked up */
	r.what[OTD_CHAIN_SEND] = NOTHING;
	until(1, "paid", true);
	assert_int_equal(json_array_size(json_object_get(r.answer, "txs")), 1);
	all_paid();
}

static void node_away(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	for (int k = OTD_CHAIN_WALLET; k <= OTD_CHAIN_TX; k++)
		r.what[k] = NEVER_SENT;
	good(ask("run p"));
	wait_trouble("wallet");
	/* One kind after the other comes back. */
	for (int k = OTD_CHAIN_WALLET; k <= OTD_CHAIN_TX; k++) {
		r.what[k] = NOTHING;
		run_ms(120000);
	}
	until(1, "paid", true);
	assert_false(troubled("payment"));
	all_paid();
}

static void wrong_signature(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	r.what[OTD_CHAIN_SIGN] = CHANGED;
	good(ask("run p"));
	wait_trouble("signed something else");
	assert_string_equal(state_of(1), "funded");
	assert_true(json_is_true(json_object_get(r.answer, "held")));
	r.what[OTD_CHAIN_SIGN] = NOTHING;
	run_ms(600000);
	assert_int_equal(r.sends, 0);
	good(ask("release 1"));
	until(1, "paid", true);
	all_paid();
}

static void coin_spent_otherwise(void **state)
{
	json_t *j;
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "sent", false);
	devnet("wallet conflict %s", text_of(r.answer, "txid"));
	devnet("mine 1");
	run_ms(60000);
	assert_true(troubled("spent by another"));
	refused(ask("resolve 1 --unpaid because"), "for good");
	devnet("mine 1");
	run_ms(60000);
	assert_string_equal(state_of(1), "sent");
	until(1, "paid", true);
	j = good(ask("show 1"));
	assert_int_equal(json_integer_value(json_object_get(j, "generation")), 2);
	assert_int_equal(json_array_size(json_object_get(j, "given_up")), 1);
	all_paid();
}

static void reorganised(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "sent", false);
	devnet("mine 2");
	run_ms(60000);
	good(ask("show 1"));
	assert_int_equal(json_integer_value(json_object_get(r.answer, "confirmations")), 2);
	devnet("reorg 2"); /* three others, without it: it waits again */
	run_ms(60000);
	good(ask("show 1"));
	assert_int_equal(json_integer_value(json_object_get(r.answer, "confirmations")), 0);
	assert_string_equal(text_of(r.answer, "state"), "sent");
	until(1, "paid", true);
	all_paid();
	/* And once more when it is paid. */
	devnet("reorg 5");
	run_ms(20 * 60000);
	assert_true(troubled("left the chain"));
	devnet("mine 4");
	run_ms(20 * 60000);
	assert_false(troubled("left the chain"));
	assert_string_equal(state_of(1), "paid");
	all_paid();
}

static otd_rc bad_address(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct otd_value v[] = {OTD_TEXT("ltcmweb1qq0000000"), OTD_INT(r.account[1])};
	(void)arg;
	return otd_db_exec(db, "UPDATE accounts SET address = ? WHERE id = ?", v, 2, NULL, NULL,
			   err);
}

static void bad_recipient(void **state)
{
	json_t *j;
	(void)state;
	earn(5000000, 3000000, 0, 0);
	(void)sim_run(r.sim, 20, NULL, NULL);
	live_again();
	die();
	open_store();
	must(otd_store_do_now(r.store, true, bad_address, NULL, &r.err));
	open_payer();
	j = good(ask("plan p"));
	assert_int_equal(json_array_size(json_object_get(j, "parts")), 1);
	assert_int_equal(json_array_size(json_object_get(j, "left_out")), 1);
	turn_on();
	good(ask("run p"));
	until(1, "paid", true);
	r.earned[1] = 0;
	all_paid();
	j = json_object_get(good(ask("plan p")), "held");
	assert_int_equal(json_array_size(j), 1);
	assert_true(strlen(text_of(json_array_get(j, 0), "reason")) > 5);
}

static void hold_and_release(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	good(ask("hold p/%s asked for papers", r.address[0]));
	refused(ask("hold p/nobody because"), "no account");
	refused(ask("hold 1"), "why");
	turn_on();
	r.what[OTD_CHAIN_SEND] = NEVER_SENT;
	good(ask("run p"));
	until(1, "signed", false);
	good(ask("hold 1 let me look"));
	wait_trouble("let me look");
	refused(ask("run p"), "not sent");
	r.what[OTD_CHAIN_SEND] = NOTHING;
	run_ms(600000);
	assert_string_equal(state_of(1), "signed");
	good(ask("release 1"));
	until(1, "paid", true);
	good(ask("release p/%s", r.address[0]));
	good(ask("run p"));
	until(2, "paid", true);
	all_paid();
	assert_int_equal(json_array_size(json_object_get(good(ask("list")), "payments")), 0);
	assert_int_equal(json_array_size(json_object_get(good(ask("list p --all")), "payments")),
			 2);
}

static void stopped(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	devnet("wallet lock");
	good(ask("run p"));
	run_ms(2000);
	good(ask("stop p"));
	devnet("wallet unlock");
	run_ms(600000);
	assert_string_equal(state_of(1), "reserved");
	refused(ask("run p"), "plan");
	turn_on();
	until(1, "paid", true);
	all_paid();
}

static void paid_by_hand(void **state)
{
	char txid[80];
	(void)state;
	earn(5000000, 0, 0, 0);
	turn_on();
	devnet("wallet lock");
	good(ask("run p"));
	wait_trouble("unlock");
	snprintf(txid, sizeof(txid), "%s", devnet("send %s 0.05", r.address[0]));
	refused(ask("resolve 1 --paid %s by hand", txid + 5), "waits");
	devnet("mine 1");
	refused(ask("resolve 1 --paid %s by hand", txid + 5), "1 of 3");
	devnet("mine 3");
	good(ask("resolve 1 --paid %s by hand", txid + 5));
	assert_string_equal(state_of(1), "paid");
	devnet("wallet unlock");
	run_ms(30 * 60000);
	assert_int_equal(r.sends, 0);
	all_paid();
	refused(ask("resolve 1 --unpaid because"), "paid");
	refused(ask("resolve 9 --unpaid because"), "9");
	refused(ask("resolve 1 because"), "either");
	refused(ask("pay 1"), "understood");
	refused(ask("show x"), "number");
	refused(ask("plan q"), "no pool");
}

static otd_rc restored(void *arg, struct otd_db *db, struct otd_err *err)
{
	(void)arg;
	/* Its clock is behind; that must not matter. */
	return otd_pay_restored(db, 5, err);
}

static void from_a_backup(void **state)
{
	char code[16];
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	devnet("wallet lock");
	snprintf(code, sizeof(code), "%s", text_of(good(ask("plan p")), "code"));
	good(ask("run p"));
	wait_trouble("unlock");
	die();
	open_store();
	must(otd_store_do_now(r.store, true, restored, NULL, &r.err));
	devnet("wallet unlock");
	open_payer();
	run_ms(600000);
	assert_true(troubled("restored"));
	assert_string_equal(state_of(1), "reserved");
	assert_int_equal(r.sends, 0);
	refused(ask("start p %s", code), "plan"); /* what was agreed to before is no yes now */
	turn_on();
	run_ms(600000);
	assert_int_equal(r.sends, 0); /* that one is held: a person looks */
	refused(ask("release 1"), "not signed");
	run_ms(600000);
	assert_int_equal(r.sends, 0);
	good(ask("resolve 1 --unpaid looked at the wallet"));
	assert_string_equal(state_of(1), "cancelled");
	good(ask("run p"));
	until(2, "paid", true);
	all_paid();
}

/* Payer and database die at the n-th call of the wallet, before it is made or before it is answered. */
static bool all_quiet(void)
{
	return received(1) == r.earned[1] &&
	       json_array_size(json_object_get(good(ask("list")), "payments")) == 0;
}

static void killed_everywhere(void **state)
{
	uint64_t calls = 0;
	for (uint64_t n = 1; n < 200; n++) {
		r.calls = 0;
		r.kill_at = n;
		r.kill_after = n % 2 == 0;
		earn(200000 + (otd_i128)n, 300000, 0, 0);
		if (n == 1) {
			r.kill_at = 0;
			turn_on();
			r.calls = 0;
			r.kill_at = 1;
		}
		(void)!ask("run p");
		for (int i = 0; i < 60 && !r.killed && !all_quiet(); i++) {
			devnet("mine 1");
			run_ms(20000);
		}
		calls = r.calls;
		if (!r.killed)
			break;
		live_again();
		(void)!ask("run p"); /* where it died before anything was reserved */
		for (int i = 0; i < 60 && !all_quiet(); i++) {
			devnet("mine 1");
			run_ms(20000);
		}
		all_paid();
		assert_true(all_quiet());
	}
	(void)state;
	assert_true(calls > 8 && calls < 60);
	assert_false(troubled("held"));
}

static void reload_in_the_middle(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	for (int i = 0; i < 400; i++) {
		(void)sim_step(r.sim);
		if (i % 5 == 0)
			must(otd_payer_configure(r.payer, &r.pool, i % 10 ? 1 : 0, &r.err));
	}
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	until(1, "paid", true);
	all_paid();
}

static void on_drained(void *arg)
{
	*(bool *)arg = true;
}

static bool is_drained(void *arg)
{
	return *(bool *)arg;
}

static void drained(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	for (unsigned n = 0; n < 60; n++) {
		bool done = false;
		for (unsigned i = 0; i < n; i++)
			(void)sim_step(r.sim);
		otd_payer_drain(r.payer, on_drained, &done);
		assert_true(sim_run(r.sim, 5000, is_drained, &done));
		uint64_t calls = r.calls;
		run_ms(5000);
		assert_int_equal(r.calls, calls);
		live_again();
	}
	until(1, "paid", true);
	all_paid();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(straight),
		TEST(miners_pay),
		TEST(wallet_locked),
		TEST(balance_short),
		TEST(fee_too_low),
		TEST(fee_above_the_limit),
		TEST(answer_lost),
		TEST(node_away),
		TEST(wrong_signature),
		TEST(reorganised),
		TEST(coin_spent_otherwise),
		TEST(bad_recipient),
		TEST(hold_and_release),
		TEST(stopped),
		TEST(paid_by_hand),
		TEST(from_a_backup),
		TEST(killed_everywhere),
		TEST(reload_in_the_middle),
		TEST(drained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
