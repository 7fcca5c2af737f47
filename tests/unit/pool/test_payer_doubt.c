/*
 * The payer where what it is told cannot be trusted, or nobody looks for a long time: nothing is paid
 * twice, and whatever stands still is said.
 */
#include "payer_rig.h"
#include "pool/payer/payer_impl.h"

static int begin_two(void **state)
{
	int rc;
	rig_nodes = 2;
	rc = begin(state);
	rig_nodes = 1;
	return rc;
}

/* Payment 1 is sent, and then a coin of it is spent by another transaction, in a block. */
static void send_and_spend(void)
{
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "sent", false);
	devnet("wallet conflict %s", text_of(r.answer, "txid"));
	devnet("mine 1");
	run_ms(60000);
}

/* A wallet that was changed, or has read half of the chain again, knows neither the payment nor what
   spent its coins: the payment itself may have. */
static void wallet_that_has_forgotten(void **state)
{
	(void)state;
	r.forgets = true;
	send_and_spend();
	devnet("mine 10");
	run_ms(20 * 60000);
	devnet("mine 10");
	run_ms(20 * 60000);
	assert_string_equal(state_of(1), "sent");
	assert_int_equal(json_integer_value(json_object_get(r.answer, "generation")), 1);
	assert_true(json_is_true(json_object_get(r.answer, "held")));
	assert_true(troubled("rescanblockchain"));
	good(ask("release 1"));
	devnet("mine 5");
	run_ms(20 * 60000);
	assert_true(troubled("rescanblockchain"));
	assert_int_equal(received(0), 0);
	/* Its wallet is back: then what it says counts. */
	r.forgets = false;
	good(ask("release 1"));
	until(1, "paid", true);
	good(ask("show 1"));
	assert_int_equal(json_integer_value(json_object_get(r.answer, "generation")), 2);
	all_paid();
}

/* The wallet's node sees another transaction take the coins, on a branch that others are not on. */
static void branch_of_its_own(void **state)
{
	(void)state;
	r.split = true;
	send_and_spend();
	for (int i = 0; i < 10; i++) {
		devnet("mine 1");
		run_ms(60000);
	}
	assert_string_equal(state_of(1), "sent");
	assert_true(troubled("nodes disagree"));
	assert_int_equal(received(0), 0);
	r.split = false;
	until(1, "paid", true);
	good(ask("show 1"));
	assert_int_equal(json_integer_value(json_object_get(r.answer, "generation")), 2);
	all_paid();
	assert_false(troubled("payment"));
}

/* Deep in a block of that branch it is not paid either. */
static void paid_on_a_branch(void **state)
{
	(void)state;
	r.split = true;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "sent", false);
	devnet("mine 6");
	run_ms(5 * 60000);
	assert_string_equal(state_of(1), "sent");
	assert_true(troubled("nodes disagree"));
	r.split = false;
	until(1, "paid", false);
	all_paid();
}

/* --- what was given up comes back --- */

static void on_raw_sent(void *arg, const struct otd_err *err, const struct otd_chain_result *res,
			struct otd_span out)
{
	(void)err;
	(void)out;
	*(uint32_t *)arg = res ? res->u.send.verdict : 0;
}

static bool is_set(void *arg)
{
	return *(uint32_t *)arg != 0;
}

/* Into the node's pool of transactions, as its wallet or any other node may do. */
static void send_raw(const char *hex)
{
	static uint8_t raw[4096];
	uint32_t verdict = 0;
	size_t n = strlen(hex) / 2;
	assert_true(n > 0 && n <= sizeof(raw));
	size_t len = 0;
	assert_int_equal(otd_hex_decode(raw, sizeof(raw), &len, hex, 2 * n), OTD_OK);
	struct otd_chain_call call = {
		.size = sizeof(call), .kind = OTD_CHAIN_SEND, .raw = {raw, n}};
	must(otd_chain_wallet(r.chain, &call, on_raw_sent, &verdict, &r.err));
	assert_true(sim_run(r.sim, 60000, is_set, &verdict));
	assert_int_equal(verdict, OTD_CHAIN_SENT);
}

/* Generation 2 is signed and not sent yet, and the chain has undone what stood against generation 1. */
static void given_up_and_back(void)
{
	char raw[8192] = "";
	int since = 1; /* blocks from that one on */
	devnet("mine 10");
	send_and_spend();
	snprintf(raw, sizeof(raw), "%s",
		 text_of(json_array_get(json_object_get(good(ask("show 1 --raw")), "txs"), 0),
			 "raw"));
	r.what[OTD_CHAIN_SEND] = NEVER_SENT;
	for (; since < 60; since++) {
		devnet("mine 1");
		run_ms(30000);
		good(ask("show 1"));
		if (json_integer_value(json_object_get(r.answer, "generation")) == 2 &&
		    strcmp(text_of(r.answer, "state"), "signed") == 0)
			break;
	}
	assert_string_equal(state_of(1), "signed");
	devnet("reorg %d", since + 1);
	assert_non_null(strstr(devnet("mempool"), "sent=1"));
	r.what[OTD_CHAIN_SEND] = NOTHING;
	devnet("wallet fee 9000000"); /* which throws the other one out */
	devnet("wallet fee 1000");
	send_raw(raw);
}

static void old_one_waits_again(void **state)
{
	(void)state;
	given_up_and_back();
	unsigned sends = r.sends;
	run_ms(10 * 60000);
	assert_int_equal(r.sends, sends);
	assert_true(troubled("come back"));
	devnet("mine 1");
	run_ms(10 * 60000);
	assert_int_equal(r.sends, sends);
	assert_true(troubled("given up"));
	devnet("mine 5");
	run_ms(10 * 60000);
	all_paid(); /* by the old one; the new one is held */
	assert_true(json_is_true(json_object_get(good(ask("show 1")), "held")));
}

/* The same, when nobody was there to see it. */
static void old_one_came_while_away(void **state)
{
	(void)state;
	given_up_and_back();
	unsigned sends = r.sends;
	die();
	devnet("mine 1");
	open_store();
	open_payer();
	run_ms(10 * 60000);
	assert_int_equal(r.sends, sends);
	assert_true(troubled("given up"));
	devnet("mine 5");
	run_ms(10 * 60000);
	all_paid();
}

/* The pool ends, or its settings change, while other nodes are asked. */
static void asked_and_gone(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "sent", false);
	devnet("mine 6");
	for (int i = 0; i < 400 && strcmp(state_of(1), "paid") != 0; i++) {
		for (int n = 0; n < i % 37; n++)
			(void)sim_step(r.sim);
		if (i % 3 == 0)
			live_again();
		else
			must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	}
	until(1, "paid", false);
	all_paid();
}

/* It falls out of the chain when it has long been paid, and the pool is started anew days later. */
static void fallen_out_for_days(void **state)
{
	(void)state;
	devnet("mine 10");
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "paid", true);
	assert_false(otd_payer_has(r.payer, "p"));
	devnet("reorg 5");
	run_ms(20 * 60000);
	assert_true(troubled("left the chain"));
	assert_true(
		otd_payer_has(r.payer, "p")); /* a pool that is taken out keeps its chain for it */
	die();
	run_ms(3 * 24 * HOUR_MS);
	open_store();
	open_payer();
	run_ms(20 * 60000);
	assert_true(troubled("left the chain"));
	devnet("mine 4");
	run_ms(20 * 60000);
	assert_false(troubled("left the chain"));
	all_paid();
	/* It came back a moment ago: it is watched as long as one that was just paid. */
	live_again();
	devnet("reorg 5");
	run_ms(20 * 60000);
	assert_true(troubled("left the chain"));
	devnet("mine 4");
	run_ms(20 * 60000);
	all_paid();
}

/* More were paid within a day than are read at once: the newest falls out after a restart. */
static void many_in_a_day(void **state)
{
	const int n = 260;
	(void)state;
	r.pool.minimum = 1000;
	r.pool.confirmations = 1;
	r.pool.max_fee_ppm = 1000000;
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	turn_on();
	for (int i = 1; i <= n; i++) {
		earn(100000, 0, 0, 0);
		good(ask("run p"));
		for (int k = 0; k < 60 && strcmp(state_of((uint64_t)i), "paid") != 0; k++) {
			run_ms(5000);
			devnet("mine 1");
		}
		assert_string_equal(state_of((uint64_t)i), "paid");
	}
	live_again();
	run_ms(10 * 60000);
	devnet("reorg 3");
	run_ms(20 * 60000);
	assert_true(troubled("payment 260"));
	devnet("mine 4");
	run_ms(20 * 60000);
	assert_false(troubled("left the chain"));
	all_paid();
}

static void stopped_is_said(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	devnet("wallet lock");
	good(ask("run p"));
	wait_trouble("unlock");
	devnet("wallet unlock");
	good(ask("stop p"));
	live_again();
	wait_trouble("are stopped");
	run_ms(10 * 60000);
	assert_true(troubled("payment 1"));
	assert_true(troubled("are stopped"));
	turn_on();
	until(1, "paid", true);
	assert_false(troubled("stopped"));
	all_paid();
}

static void waits_for_long(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "sent", false);
	run_ms(5 * HOUR_MS);
	assert_false(troubled("payment 1"));
	run_ms(2 * HOUR_MS);
	assert_true(troubled("waited for"));
	until(1, "paid", true);
	assert_false(troubled("waited for"));
	all_paid();
}

/* A balance above the cap fits into no payment, be it ever so long: that is said, and mended by a key. */
static void above_the_cap(void **state)
{
	json_t *held;
	(void)state;
	r.pool.cap = 4000000;
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	earn(5000000, 3000000, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "paid", true);
	assert_int_equal(received(0), 0);
	assert_true(received(1) == 3000000);
	assert_true(troubled("1 with more than payments.cap"));
	held = json_object_get(good(ask("plan p")), "held");
	assert_int_equal(json_array_size(held), 1);
	assert_string_equal(text_of(json_array_get(held, 0), "address"), r.address[0]);
	assert_non_null(strstr(text_of(json_array_get(held, 0), "reason"), "raise the cap"));
	r.pool.cap = 5000000;
	must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
	run_ms(2000);
	good(ask("run p"));
	until(2, "paid", true);
	assert_false(troubled("cap"));
	all_paid();
}

static void held_is_said(void **state)
{
	(void)state;
	earn(5000000, 3000000, 0, 0);
	good(ask("hold p/%s asked for papers", r.address[0]));
	turn_on();
	good(ask("run p"));
	until(1, "paid", true);
	assert_true(troubled("1 on hold"));
	assert_true(troubled("asked for papers"));
	good(ask("release p/%s", r.address[0]));
	good(ask("run p"));
	until(2, "paid", true);
	assert_false(troubled("on hold"));
	all_paid();
}

/* --- a decision on what was seen before --- */

static otd_rc cancel_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	return payer_work_step(arg, db, err);
}

/* A person's "unpaid" rests on what the chain said of generation 1; meanwhile there is another one. */
static void decision_is_old(void **state)
{
	struct payer_job j = {.what = PAYER_DO_CANCEL,
			      .id = 1,
			      .generation = 1,
			      .has_proof = true,
			      .text = "because",
			      .name = "coins of generation 1 are spent"};
	otd_rc rc = OTD_E_BUSY;
	(void)state;
	send_and_spend();
	r.what[OTD_CHAIN_SEND] = NEVER_SENT;
	for (int i = 0; i < 60; i++) {
		devnet("mine 1");
		run_ms(30000);
		good(ask("show 1"));
		if (json_integer_value(json_object_get(r.answer, "generation")) == 2 &&
		    strcmp(text_of(r.answer, "state"), "signed") == 0)
			break;
	}
	assert_string_equal(state_of(1), "signed");
	for (int i = 0; i < 200 && rc == OTD_E_BUSY; i++) {
		run_ms(5);
		rc = otd_store_do_now(r.store, true, cancel_work, &j, &r.err);
	}
	otd_payment_finish(&j.p);
	assert_int_equal(rc, OTD_E_STALE);
	r.what[OTD_CHAIN_SEND] = NOTHING;
	until(1, "paid", true);
	all_paid();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)
#define TWO(f)  cmocka_unit_test_setup_teardown(f, begin_two, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(wallet_that_has_forgotten),
		TWO(branch_of_its_own),
		TWO(paid_on_a_branch),
		TWO(asked_and_gone),
		TEST(old_one_waits_again),
		TEST(old_one_came_while_away),
		TEST(fallen_out_for_days),
		TEST(many_in_a_day),
		TEST(stopped_is_said),
		TEST(waits_for_long),
		TEST(above_the_cap),
		TEST(held_is_said),
		TEST(decision_is_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
