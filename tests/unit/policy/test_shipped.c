/* The policies in scripts/lua: they load, their selftests pass and can fail, and they do what they say. */
#include "rig.h"

static char *read_script(struct rig *r, const char *name)
{
	struct otd_bytes b;
	struct otd_err err = {0};
	char file[512], *text;
	(void)snprintf(file, sizeof(file), "%s/scripts/lua/%s.lua", OTEDAMA_SOURCE_DIR, name);
	otd_bytes_init(&b, OTD_POLICY_TEXT_MAX);
	if (otd_policy_read(&b, &r->env, file, &err))
		fail_msg("%s", err.text);
	text = strdup(otd_bytes_cstr(&b));
	otd_bytes_finish(&b);
	return text;
}

static otd_rc load(struct rig *r, const char *name, const char *text, const char *yaml,
		   struct otd_policy_set **out, struct otd_err *err)
{
	struct otd_yaml_doc *doc = NULL;
	char file[64];
	struct otd_policy_script s = {
		.file = file, .path = "options", .text = {(const uint8_t *)text, strlen(text)}};
	const struct otd_policy_build b = {.env = &r->env,
					   .sides = OTD_POLICY_BOTH,
					   .scripts = &s,
					   .n_scripts = 1,
					   .assets = rig_assets,
					   .n_assets = 2};
	(void)snprintf(file, sizeof(file), "%s.lua", name);
	*err = (struct otd_err){0};
	assert_int_equal(otd_yaml_parse(&doc, yaml, strlen(yaml), "pool.yaml", err), OTD_OK);
	s.options = otd_yaml_root(doc);
	otd_rc rc = otd_policy_set_create(out, &b, err);
	otd_yaml_destroy(doc);
	return rc;
}

static void use(struct rig *r, const char *name, const char *yaml)
{
	struct otd_policy_set *set;
	struct otd_err err;
	char *text = read_script(r, name);
	if (load(r, name, text, yaml, &set, &err))
		fail_msg("%s", err.text);
	otd_policy_set_destroy(otd_policy_swap(r->p, set));
	free(text);
}

/* A change of one place in each script that its selftest() must notice. */
static const struct {
	const char *name, *from, *to;
} mutants[] = {
	{"fees", "if t.vip[a.account]", "if not t.vip[a.account]"},
	{"fees", "return a.from > b.from", "return a.from < b.from"},
	{"fees", "ppm = 1000000 - share", "ppm = share + 1"},
	{"bans", "if o.host_workers > 0 or", "if o.host_workers > 100 or"},
	{"bans", "if mild[o.kind] or step", "if step"},
	{"bans", "scope = \"worker\", seconds", "scope = \"ip\", seconds"},
	{"bans", "banned > options.account_after", "banned > 1000"},
	{"bans", "return o.refused * 1000000 // all >= options.share", "return true"},
	{"difficulty", "if d > s.current * options.steps", "if d > 1e18"},
	{"difficulty", "if floor and d < floor then d = floor end\n    return", "return"},
	{"payments", "if over(p.total, options.run)", "if false"},
	{"payments", "p.paid_24h + p.total > options.day", "p.total > options.day"},
	{"payments", "p.balance - p.total < options.reserve", "p.balance < options.reserve"},
};

static void selftests_can_fail(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(mutants) / sizeof(mutants[0]); i++) {
		struct otd_policy_set *set;
		struct otd_err err;
		char *text = read_script(&r, mutants[i].name), *at = strstr(text, mutants[i].from);
		if (!at)
			fail_msg("%s has no '%s' any more", mutants[i].name, mutants[i].from);
		size_t cap = strlen(text) + 200;
		char *changed = malloc(cap);
		(void)snprintf(changed, cap, "%.*s%s%s", (int)(at - text), text, mutants[i].to,
			       at + strlen(mutants[i].from));
		if (load(&r, mutants[i].name, changed, "", &set, &err) == OTD_OK)
			fail_msg("%s: '%s' instead of '%s' passes its selftest()", mutants[i].name,
				 mutants[i].to, mutants[i].from);
		free(changed);
		free(text);
	}
	rig_finish(&r);
}

static void fees(void **state)
{
	struct rig r;
	struct otd_policy_fee_out out;
	struct otd_policy_fee in = {
		.pool = "p", .asset = "LTC", .account = "someone", .yaml_ppm = 10000};
	struct otd_policy_set *set;
	struct otd_err err;
	(void)state;
	rig_init(&r);
	use(&r, "fees", "{vip: [friend], vip_rate: 0.25%, tiers: [1M=0.9%, 10M=0.7%]}");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_HOST);
	in.work_1h = (otd_u128)3600 * 20000000;
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 7000);
	in.account = "friend";
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 2500);
	assert_string_equal(out.said.reason, "VIP");
	in.account = NULL;
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_HOST);
	use(&r, "fees", "{rate: 2%}");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 20000);
	use(&r, "fees", "{donations: [kind=1%], donate_to: d, fee_to: f}");
	in.account = "kind";
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 20000);
	assert_string_equal(out.recipients[0].address, "d");
	char *text = read_script(&r, "fees");
	assert_int_not_equal(load(&r, "fees", text, "{tiers: [fast=1%]}", &set, &err), OTD_OK);
	assert_contains(err.text, "'fast' is no hash rate");
	assert_int_not_equal(load(&r, "fees", text, "{donations: [kind=1%]}", &set, &err), OTD_OK);
	assert_contains(err.text, "donations need");
	free(text);
	rig_finish(&r);
}

/* One bad miner of a farm of 200 behind one address: it alone is banned. */
static void bans_and_nat(void **state)
{
	struct rig r;
	struct otd_policy_offence_out out;
	struct otd_policy_offence in = {.kind = OTD_OFFENCE_LOW_DIFFICULTY,
					.pool = "p",
					.host = "203.0.113.7",
					.account = "farm",
					.worker = "rig17",
					.count = 60,
					.window_s = 300,
					.accepted = 2,
					.refused = 60,
					.host_workers = 199,
					.host_accepted = 50000};
	(void)state;
	rig_init(&r);
	use(&r, "bans", "{first: 10m}");
	for (int i = 0; i < 6; i++) {
		otd_policy_offence(r.p, &out, &in);
		assert_int_equal(out.said.from, OTD_POLICY_SCRIPT);
		if (out.action == OTD_ACTION_BAN) {
			assert_int_equal(out.scope, OTD_POLICY_WORKER);
			assert_contains(out.said.reason, "60 times shares below the difficulty");
		}
	}
	assert_int_equal(out.action, OTD_ACTION_BAN);
	assert_int_equal(out.seconds, 600 * 8);
	in.worker = "rig18"; /* its neighbour is as it was */
	in.accepted = 1000;
	otd_policy_offence(r.p, &out, &in);
	assert_int_equal(out.action, OTD_ACTION_NONE);
	/* What it did is not forgotten over a reload, for kv is the host's. */
	use(&r, "bans", "{first: 10m}");
	in.worker = "rig17";
	in.accepted = 2;
	otd_policy_offence(r.p, &out, &in);
	assert_int_equal(out.action, OTD_ACTION_BAN);
	/* Somebody unknown behind the same address is dropped only. */
	in.account = in.worker = NULL;
	in.kind = OTD_OFFENCE_FLOOD;
	for (int i = 0; i < 5; i++) {
		otd_policy_offence(r.p, &out, &in);
		assert_int_equal(out.action, OTD_ACTION_DROP);
	}
	rig_finish(&r);
}

static void payments(void **state)
{
	struct rig r;
	struct otd_policy_payment_out out;
	struct otd_policy_terms_out terms;
	const struct otd_policy_part part = {"x", "x", 600000000};
	struct otd_policy_payment in = {.pool = "p",
					.asset = "LTC",
					.total = 600000000,
					.largest = 600000000,
					.balance = -1,
					.paid_24h = -1,
					.parts = &part,
					.n_parts = 1};
	const struct otd_policy_terms t = {
		.pool = "p", .asset = "LTC", .account = "small", .most = 0};
	(void)state;
	rig_init(&r);
	use(&r, "payments", "{largest: 5 LTC, minimum: [small=1 LTC]}");
	otd_policy_review_payment(r.p, &out, &in);
	assert_int_equal(out.action, OTD_REVIEW_HOLD);
	assert_string_equal(out.said.reason, "6 LTC to one recipient, the limit is 5 LTC");
	in.asset = "ETC"; /* a limit in LTC is none of ETC */
	otd_policy_review_payment(r.p, &out, &in);
	assert_int_equal(out.action, OTD_REVIEW_PAY);
	otd_policy_payout_terms(r.p, &terms, &t);
	assert_true(terms.has_minimum && terms.minimum == 100000000);
	use(&r, "payments", "{day: 10 LTC}");
	in.asset = "LTC";
	otd_policy_review_payment(r.p, &out, &in);
	assert_int_equal(out.action, OTD_REVIEW_HOLD); /* not known what was paid */
	rig_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selftests_can_fail),
		cmocka_unit_test(fees),
		cmocka_unit_test(bans_and_nat),
		cmocka_unit_test(payments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
