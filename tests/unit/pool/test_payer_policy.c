/* Policy over payments, on the payer's rig; a table of functions stands for scripts. */
#include "payer_rig.h"

static struct {
	bool has_terms, has_review;
	struct otd_policy_payment_out review;
	struct otd_policy_payment last;
	const char *hold; /* this account is left out */
	otd_i128 minimum; /* of everybody; 0: as the settings have it */
	unsigned n_terms, n_reviews;
	int64_t last_paid_s[4], known_s; /* as asked last */
} says;

static bool wants(void *arg, enum otd_policy_hook h, const char *pool)
{
	(void)arg;
	assert_string_equal(pool, "p");
	return h == OTD_HOOK_PAYOUT_TERMS ? says.has_terms : says.has_review;
}

static void on_terms(void *arg, struct otd_policy_terms_out *out, const struct otd_policy_terms *in)
{
	(void)arg;
	says.n_terms++;
	says.known_s = in->known_s;
	for (int i = 0; i < 4; i++)
		if (strcmp(in->account, r.address[i]) == 0)
			says.last_paid_s[i] = in->last_paid_s;
	*out = (struct otd_policy_terms_out){.said = {OTD_POLICY_SCRIPT, "toy", ""}};
	if (says.hold && strcmp(in->account, says.hold) == 0) {
		out->hold = true;
		snprintf(out->said.reason, sizeof(out->said.reason), "papers");
	}
	if (says.minimum) {
		assert_true(says.minimum >= in->least);
		out->has_minimum = true;
		out->minimum = says.minimum;
	}
}

static void on_review(void *arg, struct otd_policy_payment_out *out,
		      const struct otd_policy_payment *in)
{
	(void)arg;
	says.n_reviews++;
	says.last = *in;
	*out = says.review;
}

static const struct otd_payer_policy toy = {.wants = wants, .terms = on_terms, .review = on_review};

static void forget_answer(void *arg, const struct otd_err *err, const struct otd_bytes *json)
{
	(void)arg, (void)err, (void)json;
}

static int begin_policy(void **state)
{
	memset(&says, 0, sizeof(says));
	rig_policy = &toy;
	return begin(state);
}

static void decide(enum otd_policy_review action, enum otd_policy_from from)
{
	says.has_review = true;
	says.review = (struct otd_policy_payment_out){{from, "toy", "too much"}, action};
}

static void a_review_that_pays(void **state)
{
	(void)state;
	decide(OTD_REVIEW_PAY, OTD_POLICY_SCRIPT);
	earn(5000000, 3000000, 0, 0);
	turn_on();
	assert_true(says.last.dry_run && says.last.balance > 0);
	good(ask("run p"));
	until(1, "paid", true);
	all_paid();
	assert_false(says.last.dry_run);
	assert_true(says.last.total == 8000000 && says.last.largest == 5000000);
	assert_int_equal(says.last.n_parts, 2);
	assert_true(says.last.balance > 0);
	earn(5000000, 0, 0, 0);
	good(ask("run p"));
	until(2, "paid", true);
	assert_true(says.last.paid_24h == 8000000);
}

static void a_review_that_holds(void **state)
{
	json_t *j;
	(void)state;
	decide(OTD_REVIEW_HOLD, OTD_POLICY_SCRIPT);
	earn(5000000, 3000000, 0, 0);
	turn_on();
	j = good(ask("plan p"));
	assert_string_equal(text_of(json_object_get(j, "review"), "action"), "hold");
	good(ask("run p"));
	wait_trouble("policy toy: too much");
	run_ms(600000);
	assert_string_equal(state_of(1), "reserved");
	assert_int_equal(r.sends, 0);
	good(ask("release 1"));
	until(1, "paid", true);
	all_paid();
	assert_int_equal(says.n_reviews, 3); /* two plans and a run: nobody is asked again */
}

/* What failed is held: said.from is a fallback. */
static void a_review_that_failed(void **state)
{
	(void)state;
	decide(OTD_REVIEW_HOLD, OTD_POLICY_FALLBACK);
	earn(5000000, 0, 0, 0);
	turn_on();
	good(ask("run p"));
	wait_trouble("too much");
	assert_string_equal(state_of(1), "reserved");
}

static void a_review_that_rejects(void **state)
{
	(void)state;
	decide(OTD_REVIEW_REJECT, OTD_POLICY_SCRIPT);
	earn(5000000, 0, 0, 0);
	turn_on();
	refused(ask("run p"), "toy has rejected this payment: too much");
	assert_true(troubled("too much"));
	run_ms(10 * 60000); /* nothing is due, and still that is why nobody was paid */
	assert_true(troubled("too much"));
	assert_int_equal(json_array_size(json_object_get(good(ask("list --all")), "payments")), 0);
	decide(OTD_REVIEW_PAY, OTD_POLICY_SCRIPT);
	good(ask("run p"));
	until(1, "paid", true);
	all_paid();
	assert_false(troubled("too much"));
}

/* The wallet does not answer, the settings change meanwhile, the process ends: all of it is let go. */
static void a_review_interrupted(void **state)
{
	(void)state;
	decide(OTD_REVIEW_PAY, OTD_POLICY_SCRIPT);
	earn(5000000, 0, 0, 0);
	turn_on();
	r.what[OTD_CHAIN_WALLET] = ANSWER_LOST;
	good(ask("run p")); /* a balance that is not known does not keep it from being asked */
	assert_true(says.last.balance == -1);
	r.what[OTD_CHAIN_WALLET] = NOTHING;
	until(1, "paid", true);
	all_paid();
	for (int64_t ms = 0; ms < 40; ms++) {
		earn(2000000, 0, 0, 0);
		otd_payer_ask(r.payer, "run p", forget_answer, NULL);
		run_ms(ms);
		r.pool.minimum++;
		must(otd_payer_configure(r.payer, &r.pool, 1, &r.err));
		otd_payer_ask(r.payer, "run p", forget_answer, NULL);
		run_ms(ms);
		live_again();
	}
	run_ms(600000);
	good(ask("run p"));
	run_ms(31 * 24 * HOUR_MS);
	devnet("mine 3");
	run_ms(600000);
	all_paid();
}

static void nobody_answers(void **state)
{
	(void)state;
	decide(OTD_REVIEW_PAY, OTD_POLICY_HOST);
	earn(5000000, 0, 0, 0);
	turn_on();
	good(ask("run p"));
	until(1, "paid", true);
	all_paid();
}

static void terms_leave_out(void **state)
{
	json_t *left;
	(void)state;
	says.has_terms = true;
	says.hold = r.address[0];
	earn(5000000, 3000000, 99999, 400000);
	turn_on();
	left = json_object_get(good(ask("plan p")), "left_out");
	assert_string_equal(text_of(json_array_get(left, 0), "reason"), "policy toy: papers");
	good(ask("run p"));
	until(1, "paid", true);
	assert_int_equal(received(0), 0);
	assert_int_equal(received(1), 3000000);
	assert_int_equal(received(2), 0); /* below the settings' minimum */
	says.hold = NULL;
	good(ask("run p"));
	until(2, "paid", true);
	assert_int_equal(received(0), 5000000);
}

static void terms_know_when_it_was_paid(void **state)
{
	(void)state;
	says.has_terms = true;
	earn(5000000, 3000000, 0, 0);
	turn_on();
	assert_int_equal(says.last_paid_s[0], -1);
	assert_int_equal(says.last_paid_s[1], -1);
	says.hold = r.address[1];
	good(ask("run p"));
	until(1, "paid", true);
	assert_int_equal(received(0), 5000000);
	earn(5000000, 0, 0, 0);
	run_ms(HOUR_MS);
	good(ask("plan p"));
	assert_in_range(says.last_paid_s[0], 3600, 3700);
	assert_int_equal(says.last_paid_s[1], -1);
	assert_true(says.known_s > 3600);
	/* One that is on its way is not paid; the run's own plan knows the same. */
	good(ask("run p"));
	assert_in_range(says.last_paid_s[0], 3600, 3700);
	until(2, "paid", true);
	earn(5000000, 0, 0, 0);
	good(ask("plan p"));
	assert_in_range(says.last_paid_s[0], 0, 100);
}

static void terms_set_the_minimum(void **state)
{
	(void)state;
	says.has_terms = true;
	says.minimum = 4000000;
	earn(5000000, 3000000, 20000, 0);
	turn_on();
	good(ask("run p"));
	until(1, "paid", true);
	assert_int_equal(received(1), 0);
	says.minimum = 10000;
	good(ask("run p"));
	until(2, "paid", true);
	assert_int_equal(received(1), 3000000);
	assert_int_equal(received(2), 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_review_that_pays, begin_policy, end),
		cmocka_unit_test_setup_teardown(a_review_that_holds, begin_policy, end),
		cmocka_unit_test_setup_teardown(a_review_that_failed, begin_policy, end),
		cmocka_unit_test_setup_teardown(a_review_that_rejects, begin_policy, end),
		cmocka_unit_test_setup_teardown(a_review_interrupted, begin_policy, end),
		cmocka_unit_test_setup_teardown(nobody_answers, begin_policy, end),
		cmocka_unit_test_setup_teardown(terms_leave_out, begin_policy, end),
		cmocka_unit_test_setup_teardown(terms_know_when_it_was_paid, begin_policy, end),
		cmocka_unit_test_setup_teardown(terms_set_the_minimum, begin_policy, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
