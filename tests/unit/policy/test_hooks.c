/* What goes in, what comes out, clamped and with its reason; what a hook falls back to; order and pools. */
#include "base/text.h"
#include "rig.h"

static struct otd_u256 difficulty(const char *s)
{
	struct otd_u256 t;
	assert_int_equal(otd_difficulty_parse(&t, s, strlen(s), otd_u256_max()), OTD_OK);
	return t;
}

static void assert_target(struct otd_u256 t, const char *wanted)
{
	char text[OTD_DIFFICULTY_TEXT];
	assert_string_equal(otd_difficulty_format(text, t, otd_u256_max()), wanted);
}

static struct otd_policy_authorize authorize_in(void)
{
	return (struct otd_policy_authorize){.pool = "p",
					     .host = "10.0.0.1",
					     .port = 3333,
					     .account = "ltc1q",
					     .worker = "rig1",
					     .agent = "cgminer/4.10",
					     .connections = 2,
					     .workers = 3,
					     .diff1 = otd_u256_max(),
					     .start = difficulty("1024"),
					     .min = difficulty("64"),
					     .max = difficulty("65536")};
}

static void authorize(void **state)
{
	struct rig r;
	struct otd_policy_authorize_out out;
	const struct otd_policy_authorize in = authorize_in();
	(void)state;
	rig_init(&r);
	otd_policy_authorize(NULL, &out, &in); /* no policy at all */
	assert_int_equal(out.said.from, OTD_POLICY_HOST);
	rig_use(&r,
		"function on_authorize(s)\n"
		"assert(s.pool == 'p' and s.host == '10.0.0.1' and s.port == 3333)\n"
		"assert(s.account == 'ltc1q' and s.worker == 'rig1' and s.scheme == nil)\n"
		"assert(s.start == 1024 and s.min == 64 and s.max == 65536 and s.diff1 == nil)\n"
		"assert(s.connections == 2 and s.workers == 3)\n"
		"if s.agent:starts('cg') then return {difficulty = 2000} end end");
	otd_policy_authorize(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_SCRIPT);
	assert_string_equal(out.said.script, "a");
	assert_true(out.has_target);
	assert_false(out.refuse);
	assert_target(out.target, "2000");
	/* Clamped to the port. */
	rig_use(&r, "function on_authorize(s) return {difficulty = 1} end");
	otd_policy_authorize(r.p, &out, &in);
	assert_target(out.target, "64");
	rig_use(&r, "function on_authorize(s) return {difficulty = 1e12} end");
	otd_policy_authorize(r.p, &out, &in);
	assert_target(out.target, "65536");
	rig_use(&r, "function on_authorize(s) return {action = 'refuse', reason = 'not\\nyou "
		    "\\xff'} end");
	otd_policy_authorize(r.p, &out, &in);
	assert_true(out.refuse);
	assert_string_equal(out.said.reason, "not?you ?");
	rig_finish(&r);
}

/* Answers that are none: each is an error with these words. */
static const struct {
	const char *answer, *says;
} wrong[] = {
	{"5", "answered with a number"},
	{"{action = 'refuse'}", "has a reason"},
	{"{action = 'refused', reason = 'x'}", "did you mean 'refuse'?"},
	{"{action = 7}", "is a number, not a word"},
	{"{acton = 'refuse'}", "'acton' is no part of the answer; did you mean 'action'?"},
	{"{difficulty = 'high'}", "is a string, not a number"},
	{"{difficulty = 0}", "is no difficulty"},
	{"{difficulty = -1}", "is no difficulty"},
	{"{difficulty = 0/0}", "is no difficulty"},
	{"{difficulty = 1/0}", "is no difficulty"},
	{"{reason = {}}", "is a table, not a text"},
	{"{[1] = 2}", "is no part of the answer"},
};

static void wrong_answers(void **state)
{
	struct rig r;
	struct otd_policy_authorize_out out;
	const struct otd_policy_authorize in = authorize_in();
	char text[256];
	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		(void)snprintf(text, sizeof(text), "function on_authorize(s) return %s end",
			       wrong[i].answer);
		rig_use(&r, text);
		otd_policy_authorize(r.p, &out, &in);
		assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
		assert_string_equal(out.said.reason, "the policy script a failed");
		assert_false(out.refuse);
		assert_false(out.has_target);
		assert_contains(rig_status(&r, 0).last_error, wrong[i].says);
	}
	rig_finish(&r);
}

static void difficulty_keeps_the_last(void **state)
{
	struct rig r;
	struct otd_policy_difficulty_out out;
	const struct otd_policy_difficulty in = {.pool = "p",
						 .host = "h",
						 .account = "a",
						 .worker = "w",
						 .diff1 = otd_u256_max(),
						 .min = difficulty("64"),
						 .max = difficulty("65536"),
						 .start = difficulty("1024"),
						 .current = difficulty("512"),
						 .wanted = difficulty("2048"),
						 .aim_ms = 10000};
	(void)state;
	rig_init(&r);
	rig_use(&r, "function difficulty(s) assert(s.suggested == nil) if s.worker == 'w' then "
		    "return {difficulty = s.wanted / 2 + 0.5, fixed = true} end end");
	otd_policy_difficulty(r.p, &out, &in);
	assert_true(out.set && out.fixed);
	assert_target(out.target, "1024.5");
	rig_use(&r, "function difficulty(s) return nil end");
	otd_policy_difficulty(r.p, &out, &in);
	assert_false(out.set);
	rig_use(&r, "function difficulty(s) error('x') end");
	otd_policy_difficulty(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
	assert_true(out.set);
	assert_target(out.target, "512");
	rig_finish(&r);
}

static void offence(void **state)
{
	struct rig r;
	struct otd_policy_offence_out out;
	struct otd_policy_offence in = {.kind = OTD_OFFENCE_STALE,
					.pool = "p",
					.host = "10.0.0.1",
					.account = "a",
					.worker = "w",
					.count = 50,
					.window_s = 300};
	(void)state;
	rig_init(&r);
	rig_use(&r, "function on_offence(o) assert(o.kind == 'stale' and o.count == 50) return "
		    "{action = 'ban', scope = 'worker', seconds = 1e9 // 1 | 0, reason = 'bad "
		    "shares'} end");
	otd_policy_offence(r.p, &out, &in);
	assert_int_equal(out.action, OTD_ACTION_BAN);
	assert_int_equal(out.scope, OTD_POLICY_WORKER);
	assert_int_equal(out.seconds, OTD_POLICY_BAN_S);
	assert_string_equal(out.said.reason, "bad shares");
	in.account = NULL; /* not known who it is */
	in.worker = NULL;
	otd_policy_offence(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
	assert_int_equal(out.action, OTD_ACTION_NONE);
	assert_contains(rig_status(&r, 0).last_error, "no account yet");
	rig_use(&r, "function on_offence(o) return {action = 'ban', reason = 'x'} end");
	otd_policy_offence(r.p, &out, &in);
	assert_contains(rig_status(&r, 0).last_error, "a ban has a scope and seconds");
	rig_use(&r,
		"function on_offence(o) return {action = 'raise', scope = 'ip', seconds = 5} end");
	otd_policy_offence(r.p, &out, &in);
	assert_int_equal(out.action, OTD_ACTION_RAISE);
	assert_int_equal(out.seconds, 0);
	rig_finish(&r);
}

static void fee(void **state)
{
	struct rig r;
	struct otd_policy_fee_out out, last;
	struct otd_policy_fee in = {.pool = "p",
				    .asset = "LTC",
				    .account = "a",
				    .yaml_ppm = 10000,
				    .max_ppm = 50000,
				    .work_1h = (otd_u128)7200 << 64};
	(void)state;
	rig_init(&r);
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_HOST);
	assert_int_equal(out.ppm, 10000);
	rig_use(&r,
		"function fee(a) assert(a.hashrate_1h == 2.0 * 2.0^64) return {ppm = 5000, valid = "
		"3600, "
		"recipients = {{address = 'x', ppm = 900000}, {address = 'y', ppm = 100000}}} end");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_SCRIPT);
	assert_int_equal(out.ppm, 5000);
	assert_int_equal(out.valid_s, 3600);
	assert_int_equal(out.n_recipients, 2);
	assert_string_equal(out.recipients[1].address, "y");
	assert_int_equal(out.recipients[1].ppm, 100000);
	last = out;
	in.last = &last;
	/* An account's may leave something to the pool, the pool's own may not. */
	rig_use(&r, "function fee(a) return {ppm = 6000, recipients = {{address = 'x', ppm = 9}, "
		    "{address = 'y', ppm = a.account and 999991 or 0}}} end");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 6000);
	rig_use(&r, "function fee(a) return {ppm = 6000, recipients = {{address = 'x', ppm = 9}}} "
		    "end");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 6000);
	assert_int_equal(out.n_recipients, 1);
	rig_use(&r, "function fee(a) return {ppm = 6000, recipients = {{address = 'x', ppm = 9}, "
		    "{address = 'y', ppm = 999992}}} end");
	otd_policy_fee(r.p, &out, &in);
	assert_contains(rig_status(&r, 0).last_error, "are 1000001 together, not at most 1000000");
	in.account = NULL;
	rig_use(&r,
		"function fee(a) return {ppm = 5000, recipients = {{address = 'x', ppm = 9}}} end");
	otd_policy_fee(r.p, &out, &in);
	assert_contains(rig_status(&r, 0).last_error, "are 9 together, not 1000000");
	/* The last good one goes on. */
	assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
	assert_int_equal(out.ppm, 5000);
	assert_int_equal(out.n_recipients, 2);
	in.last = NULL;
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 10000);
	in.account = "a";
	/* Clamped, and more than the settings say wants a reason. */
	rig_use(&r, "function fee(a) return {ppm = 900000, valid = 1, reason = 'dear'} end");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 50000);
	assert_int_equal(out.valid_s, 10);
	rig_use(&r, "function fee(a) return {ppm = 20000} end");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
	rig_finish(&r);
}

static void terms(void **state)
{
	struct rig r;
	struct otd_policy_terms_out out;
	const struct otd_policy_terms in = {.pool = "p",
					    .asset = "LTC",
					    .account = "a",
					    .balance = 700000000,
					    .minimum = 5000000,
					    .least = 1000000,
					    .most = 1000000000};
	(void)state;
	rig_init(&r);
	rig_use(&r, "function payout_terms(a) assert(tostring(a.balance) == '7 LTC') "
		    "return {minimum = money('0.1 LTC')} end");
	otd_policy_payout_terms(r.p, &out, &in);
	assert_true(out.has_minimum);
	assert_true(out.minimum == 10000000);
	rig_use(&r, "function payout_terms(a) return {minimum = a.minimum * 100000} end");
	otd_policy_payout_terms(r.p, &out, &in);
	assert_true(out.minimum == 1000000000);
	rig_use(&r, "function payout_terms(a) return {minimum = money(1, 'LTC')} end");
	otd_policy_payout_terms(r.p, &out, &in);
	assert_true(out.minimum == 1000000);
	rig_use(&r, "function payout_terms(a) return {minimum = money('1 ETC')} end");
	otd_policy_payout_terms(r.p, &out, &in);
	assert_false(out.has_minimum);
	assert_contains(rig_status(&r, 0).last_error, "is in ETC, not in LTC");
	rig_use(&r, "function payout_terms(a) return {minimum = 5} end");
	otd_policy_payout_terms(r.p, &out, &in);
	assert_contains(rig_status(&r, 0).last_error, "is a number, not money");
	rig_use(&r, "function payout_terms(a) return {hold = true, reason = 'papers'} end");
	otd_policy_payout_terms(r.p, &out, &in);
	assert_true(out.hold);
	rig_finish(&r);
}

static void payment(void **state)
{
	struct rig r;
	struct otd_policy_payment_out out;
	struct otd_policy_part parts[3] = {{"a", "a", 100}, {"b", "b", 200}, {NULL, "fee", 50}};
	struct otd_policy_payment in = {.pool = "p",
					.asset = "ETC",
					.total = 350,
					.largest = 200,
					.balance = -1,
					.paid_24h = -1,
					.parts = parts,
					.n_parts = 3};
	(void)state;
	rig_init(&r);
	otd_policy_review_payment(r.p, &out, &in);
	assert_int_equal(out.action, OTD_REVIEW_PAY);
	rig_use(&r, "function review_payment(p)\n"
		    "assert(#p.parts == 3 and p.parts[3].account == nil and p.parts[2].address == "
		    "'b')\n"
		    "local sum = money(0, 'ETC') for _, x in ipairs(p.parts) do sum = sum + "
		    "x.amount end\n"
		    "assert(sum == p.total and not p.dry_run)\n"
		    "if p.largest > money(150, 'ETC') then return {action = 'hold', reason = "
		    "'large'} end end");
	otd_policy_review_payment(r.p, &out, &in);
	assert_int_equal(out.action, OTD_REVIEW_HOLD);
	assert_string_equal(out.said.reason, "large");
	rig_use(&r, "function review_payment(p) return {action = 'reject', reason = 'no'} end");
	otd_policy_review_payment(r.p, &out, &in);
	assert_int_equal(out.action, OTD_REVIEW_REJECT);
	/* One that errs holds, and goes on holding once it is off. */
	rig_use(&r, "function review_payment(p) return p.nothing.at_all end");
	for (int i = 0; i < 5; i++) {
		otd_policy_review_payment(r.p, &out, &in);
		assert_int_equal(out.action, OTD_REVIEW_HOLD);
		assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
	}
	assert_int_equal(rig_status(&r, 0).hook[OTD_HOOK_REVIEW_PAYMENT].calls, 3);
	assert_contains(rig_status(&r, 0).last_error, "a.lua:1: ");
	/* A swap lifts it. */
	rig_use(&r, "function review_payment(p) return nil end");
	otd_policy_review_payment(r.p, &out, &in);
	assert_int_equal(out.action, OTD_REVIEW_PAY);
	/* As many parts as a payment may show. */
	struct otd_policy_part *many = calloc(OTD_POLICY_PARTS + 5, sizeof(*many));
	for (size_t i = 0; i < OTD_POLICY_PARTS + 5; i++)
		many[i] = (struct otd_policy_part){"abcdefgh", "abcdefgh", 1};
	in.parts = many;
	in.n_parts = OTD_POLICY_PARTS + 5;
	rig_use(&r, "function review_payment(p) local n = 0 for i, x in ipairs(p.parts) do n = n + "
		    "1 end "
		    "return {action = 'hold', reason = 'n=' .. n} end");
	otd_policy_review_payment(r.p, &out, &in);
	assert_string_equal(out.said.reason, "n=2000");
	free(many);
	rig_finish(&r);
}

static void coins_and_trust(void **state)
{
	struct rig r;
	struct otd_policy_coins_out out;
	struct otd_policy_trust_out trust;
	const struct otd_policy_candidate c[] = {
		{"ltc", "litecoin", "LTC", 625000000, 1000, 500, true},
		{"etc", "ethereum-classic", "ETC", 2, 1000, 900, true},
	};
	const struct otd_policy_coins in = {.pool = "ltc", .candidates = c, .n_candidates = 2};
	const struct otd_policy_trust trust_in = {.pool = "p", .account = "a", .last_ppm = 300000};
	(void)state;
	rig_init(&r);
	rig_use(&r, "function choose_coin(g) local best for _, c in ipairs(g.candidates) do "
		    "if not best or c.value_micro > best.value_micro then best = c end end "
		    "return {pool = best.pool, hold = 5} end "
		    "function trust(a) return {ppm = a.last_ppm + 1} end");
	otd_policy_choose_coin(r.p, &out, &in);
	assert_int_equal(out.index, 1);
	assert_int_equal(out.hold_s, 30);
	otd_policy_trust(r.p, &trust, &trust_in);
	assert_int_equal(trust.ppm, 300001);
	rig_use(&r, "function choose_coin(g) return {pool = 'none'} end function trust(a) return "
		    "{ppm = 0} end");
	otd_policy_choose_coin(r.p, &out, &in);
	assert_true(out.index == SIZE_MAX);
	otd_policy_trust(r.p, &trust, &trust_in); /* less, without a reason */
	assert_int_equal(trust.said.from, OTD_POLICY_FALLBACK);
	assert_int_equal(trust.ppm, 300000);
	rig_finish(&r);
}

/* The first that answers wins; nil passes on; the telling hooks go to all. */
static void order_and_pools(void **state)
{
	struct rig r;
	struct otd_policy_set *set;
	struct otd_err err = {0};
	struct otd_policy_fee_out out;
	struct otd_policy_fee in = {
		.pool = "one", .asset = "LTC", .account = "x", .yaml_ppm = 10000};
	static const char *const texts[] = {
		"function fee(a) if a.account == 'vip' then return {ppm = 1} end end "
		"function on_block(b) kv.incr('n', 60) end",
		"function fee(a) return {ppm = 2} end function on_block(b) kv.incr('n', 60) end",
	};
	static const char *const pools[] = {"two"};
	struct otd_policy_script s[2] = {
		{.file = "x/a.lua", .text = {(const uint8_t *)texts[0], strlen(texts[0])}},
		{.file = "b.lua",
		 .text = {(const uint8_t *)texts[1], strlen(texts[1])},
		 .pools = pools,
		 .n_pools = 1}};
	const struct otd_policy_build b = {.env = &r.env,
					   .sides = OTD_POLICY_COORDINATOR,
					   .scripts = s,
					   .n_scripts = 2,
					   .assets = rig_assets,
					   .n_assets = 2};
	const struct otd_policy_block block = {.pool = "two", .asset = "LTC", .hash = "00"};
	struct otd_policy_kv_value v;
	(void)state;
	rig_init(&r);
	assert_int_equal(otd_policy_set_create(&set, &b, &err), OTD_OK);
	assert_null(otd_policy_swap(r.p, set));
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_HOST); /* b is not for pool one */
	in.account = "vip";
	otd_policy_fee(r.p, &out, &in);
	assert_string_equal(out.said.script, "a");
	in.pool = "two";
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 1);
	in.account = "x";
	otd_policy_fee(r.p, &out, &in);
	assert_string_equal(out.said.script, "b");
	assert_int_equal(out.ppm, 2);
	otd_policy_block(r.p, &block);
	assert_true(otd_policy_kv_get(r.kv, "a", "n", &v) && v.number == 1);
	assert_true(otd_policy_kv_get(r.kv, "b", "n", &v) && v.number == 1);
	assert_true(otd_policy_wants(r.p, OTD_HOOK_FEE, "one"));
	assert_false(otd_policy_wants(r.p, OTD_HOOK_CONNECT, "one"));
	rig_finish(&r);
}

/* One error does not switch off; a good answer between starts the count anew. */
static void three_in_a_row(void **state)
{
	struct rig r;
	struct otd_policy_connect_out out;
	const struct otd_policy_connect in = {.pool = "p", .host = "h"};
	(void)state;
	rig_init(&r);
	rig_use(&r, "n = 0 function on_connect(s) n = n + 1 if n % 3 ~= 0 then error('e' .. n) end "
		    "end");
	for (int i = 0; i < 12; i++)
		otd_policy_connect(r.p, &out, &in);
	struct otd_policy_script_status s = rig_status(&r, 0);
	assert_int_equal(s.hook[OTD_HOOK_CONNECT].calls, 12);
	assert_int_equal(s.hook[OTD_HOOK_CONNECT].errors, 8);
	assert_false(s.hook[OTD_HOOK_CONNECT].fallback);
	assert_int_equal(r.alerts, 0);
	assert_string_equal(s.last_error, "a.lua:1: e11");
	rig_finish(&r);
}

static void scripts_are_checked(void **state)
{
	struct rig r;
	struct otd_err err;
	(void)state;
	rig_init(&r);
	assert_contains(rig_refused(&r, "x = 1", &err), "none of the hooks");
	assert_contains(rig_refused(&r, "function on_authorise(s) end", &err),
			"did you mean 'on_authorize'?");
	assert_contains(rig_refused(&r, "function on_x(s) end", &err), "there is no hook 'on_x'");
	assert_contains(rig_refused(&r, "function fee() end function difficulti(s) end", &err),
			"did you mean 'difficulty'?");
	assert_contains(rig_refused(&r, "fee = 5", &err), "fee: is a number, not a function");
	assert_contains(rig_refused(&r, "function fee(a) end\nio.open('x')", &err), "a.lua:2: ");
	rig_use(&r, "function fee(a) end function fees() end function trusted() end");
	rig_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(authorize),
		cmocka_unit_test(wrong_answers),
		cmocka_unit_test(difficulty_keeps_the_last),
		cmocka_unit_test(offence),
		cmocka_unit_test(fee),
		cmocka_unit_test(terms),
		cmocka_unit_test(payment),
		cmocka_unit_test(coins_and_trust),
		cmocka_unit_test(order_and_pools),
		cmocka_unit_test(three_in_a_row),
		cmocka_unit_test(scripts_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
