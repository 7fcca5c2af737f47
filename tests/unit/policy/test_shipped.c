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
	{"fees", "ppm or a.yaml_ppm, valid", "ppm or 0, valid"},
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
	use(&r, "fees", "{pool_tiers: [1M=0.9%, 10M=0.7%], donate: 20%, donate_to: d, fee_to: f}");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 7000);
	assert_int_equal(out.recipients[0].ppm, 200000);
	assert_int_equal(out.recipients[1].ppm, 800000);
	use(&r, "fees", "{donations: [kind=1%], donate_to: d}");
	in.account = "kind";
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 20000);
	assert_int_equal(out.n_recipients, 1);
	assert_string_equal(out.recipients[0].address, "d");
	assert_int_equal(out.recipients[0].ppm, 500000);
	use(&r, "fees", "{donations: [kind=99.5%], donate_to: d}");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 1000000);
	assert_int_equal(out.recipients[0].ppm, 990000);
	use(&r, "fees", "{rate: 0%, donations: [kind=0%], donate_to: d}");
	otd_policy_fee(r.p, &out, &in);
	assert_int_equal(out.ppm, 0);
	assert_int_equal(out.n_recipients, 0);
	char *text = read_script(&r, "fees");
	assert_int_not_equal(load(&r, "fees", text, "{tiers: [fast=1%]}", &set, &err), OTD_OK);
	assert_contains(err.text, "'fast' is no hash rate");
	assert_int_not_equal(load(&r, "fees", text, "{donations: [kind=1%]}", &set, &err), OTD_OK);
	assert_contains(err.text, "donations need donate_to");
	assert_int_not_equal(load(&r, "fees", text, "{donate: 1%, donate_to: d}", &set, &err),
			     OTD_OK);
	assert_contains(err.text, "donate needs fee_to");
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

/* --- what is written about them --- */

static char *read_text(struct rig *r, const char *name)
{
	struct otd_bytes b;
	struct otd_err err = {0};
	char file[512], *text;
	(void)snprintf(file, sizeof(file), "%s/%s", OTEDAMA_SOURCE_DIR, name);
	otd_bytes_init(&b, OTD_POLICY_TEXT_MAX);
	if (otd_policy_read(&b, &r->env, file, &err))
		fail_msg("%s", err.text);
	text = strdup(otd_bytes_cstr(&b));
	otd_bytes_finish(&b);
	return text;
}

/* A word that stands alone, between from and to. */
static bool has_word(const char *from, const char *to, const char *word)
{
	size_t n = strlen(word);
	for (const char *at = from; (at = strstr(at, word)) && (!to || at + n <= to); at++) {
		char before = at == from ? ' ' : at[-1], behind = at[n];
		if (!strchr("abcdefghijklmnopqrstuvwxyz_0123456789", before) &&
		    (!behind || !strchr("abcdefghijklmnopqrstuvwxyz_0123456789", behind)))
			return true;
	}
	return false;
}

static const char *shown(const struct field *f)
{
	return f->lua ? f->lua : f->name;
}

/* Every member of every hook has its line in the annotations, before the hook's function, and its place in
   the reference. */
static void members_are_written_down(void **state)
{
	struct rig r;
	char head[64];
	(void)state;
	rig_init(&r);
	char *notes = read_text(&r, "scripts/lua/otedama.d.lua");
	char *api = read_text(&r, "docs/policy-api.md");
	for (int h = 0; h < OTD_HOOKS; h++) {
		const struct otd_policy_hook_info *info = &otd_policy_hook_info[h];
		(void)snprintf(head, sizeof(head), "function %s(",
			       otd_policy_hook_name((enum otd_policy_hook)h));
		const char *end = strstr(notes, head);
		if (!end)
			fail_msg("otedama.d.lua has no %s", head);
		for (size_t i = 0; i < info->in.n + info->out.n; i++) {
			const struct field *f = i < info->in.n ? &info->in.field[i]
							       : &info->out.field[i - info->in.n];
			char line[80];
			if (!shown(f)[0])
				continue;
			(void)snprintf(line, sizeof(line), "---@field %s", shown(f));
			if (!has_word(notes, end, line))
				fail_msg("otedama.d.lua: %s: no %s", head, shown(f));
			if (!has_word(api, NULL, shown(f)))
				fail_msg("docs/policy-api.md: no %s of %s", shown(f), head);
			for (size_t k = 0; f->sub && k < f->sub->n; k++)
				assert_true(has_word(notes, NULL, shown(&f->sub->field[k])));
			for (size_t k = 0; f->words && f->words[k]; k++) {
				assert_true(has_word(notes, end, f->words[k]));
				assert_true(has_word(api, NULL, f->words[k]));
			}
		}
	}
	free(notes);
	free(api);
	rig_finish(&r);
}

static int walk(lua_State *L)
{
	const char *api = lua_touserdata(L, 1);
	static const char *const tables[] = {NULL, "string", "table", "math", "kv", "metric"};
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		lua_getfield(L, LUA_REGISTRYINDEX, "env");
		if (tables[i])
			lua_getfield(L, -1, tables[i]);
		lua_pushnil(L);
		while (lua_next(L, -2)) {
			if (lua_isfunction(L, -1) && !has_word(api, NULL, lua_tostring(L, -2)))
				return luaL_error(L, "docs/policy-api.md has no %s.%s",
						  tables[i] ? tables[i] : "", lua_tostring(L, -2));
			lua_pop(L, 1);
		}
	}
	return 0;
}

static void functions_are_written_down(void **state)
{
	struct rig r;
	bool overrun;
	(void)state;
	rig_init(&r);
	char *api = read_text(&r, "docs/policy-api.md");
	rig_use(&r, "function fee(a) end");
	struct policy_state *st =
		&((struct otd_policy_set *)(uintptr_t)otd_policy_in_force(r.p))->state[0];
	if (otd_policy_protected(st, walk, api, 10000000, NULL, &overrun))
		fail_msg("%s", st->last_error);
	free(api);
	rig_finish(&r);
}

/* The script in the guide is one. */
static void the_guides_script(void **state)
{
	struct rig r;
	struct otd_policy_set *set;
	struct otd_err err;
	struct otd_policy_authorize_out out;
	const struct otd_policy_authorize in = {
		.pool = "p", .host = "h", .account = "a", .worker = ""};
	(void)state;
	rig_init(&r);
	char *guide = read_text(&r, "docs/policy-guide.md");
	char *from = strstr(guide, "```lua\n"), *to = from ? strstr(from + 7, "```") : NULL;
	assert_non_null(to);
	*to = 0;
	if (load(&r, "quiet", from + 7, "{hours: 8}", &set, &err))
		fail_msg("%s", err.text);
	assert_null(otd_policy_swap(r.p, set));
	r.wall_ms = (int64_t)86400000 * 20000 + 7 * 3600000;
	otd_policy_authorize(r.p, &out, &in);
	assert_true(out.refuse);
	assert_string_equal(out.said.reason, "this pool sleeps until 8:00 UTC");
	r.wall_ms += 3600000;
	otd_policy_authorize(r.p, &out, &in);
	assert_false(out.refuse);
	free(guide);
	rig_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(selftests_can_fail),
		cmocka_unit_test(fees),
		cmocka_unit_test(bans_and_nat),
		cmocka_unit_test(payments),
		cmocka_unit_test(members_are_written_down),
		cmocka_unit_test(functions_are_written_down),
		cmocka_unit_test(the_guides_script),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
