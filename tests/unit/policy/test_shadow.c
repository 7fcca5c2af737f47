/* A shadow beside the set in force, and recorded calls that are played again. */
#include "base/text.h"
#include "rig.h"

static int differences;
static char last_now[1024], last_shadow[1024], last_line[4096];
static int lines;

static void on_difference(void *arg, const struct otd_policy_difference *d)
{
	(void)arg;
	differences++;
	(void)snprintf(last_now, sizeof(last_now), "%s", d->now);
	(void)snprintf(last_shadow, sizeof(last_shadow), "%s", d->shadow);
	assert_contains(d->in, "\"pool\":\"p\"");
}

static void on_line(void *arg, const char *line, size_t n)
{
	(void)arg;
	lines++;
	(void)snprintf(last_line, sizeof(last_line), "%.*s", (int)n, line);
}

static struct otd_policy_set *set_of(struct rig *r, const char *text)
{
	struct otd_policy_set *set;
	struct otd_err err = {0};
	if (rig_set(r, &set, 1, &text, &err))
		fail_msg("%s", err.text);
	return set;
}

static const struct otd_policy_connect in = {.pool = "p", .host = "10.0.0.1", .connections = 3};

static void shadow(void **state)
{
	struct rig r;
	struct otd_policy_connect_out out;
	struct otd_policy_shadow_status s;
	struct otd_policy_kv_value v;
	(void)state;
	rig_init(&r);
	differences = 0;
	rig_use(&r, "function on_connect(s) kv.incr('n', 60) end");
	assert_null(otd_policy_shadow(
		r.p, set_of(&r, "function on_connect(s) local n = kv.incr('n', 60) notify('x') "
				"if n > 3 then ban('ip', s.host, 60, 'many') "
				"return {action = 'refuse', reason = 'n ' .. n} end end")));
	otd_policy_on_difference(r.p, on_difference, NULL);
	/* notify() alone is a difference: it is something done. */
	otd_policy_connect(r.p, &out, &in);
	assert_int_equal(differences, 1);
	assert_contains(last_shadow, "\"did\":[\"notify x\"]");
	assert_string_equal(last_now, "{\"from\":\"host\",\"reason\":\"\"}");
	for (int i = 0; i < 4; i++)
		otd_policy_connect(r.p, &out, &in);
	assert_false(out.refuse);
	assert_int_equal(differences, 5);
	assert_string_equal(last_shadow,
			    "{\"from\":\"script\",\"reason\":\"n 6\",\"action\":\"refuse\","
			    "\"did\":[\"notify x\",\"ban ip 10.0.0.1 60 many\"]}");
	/* Nothing of it came to pass. The shadow went on from what was there: 1, then its own. */
	assert_int_equal(r.bans + r.notes, 0);
	assert_true(otd_policy_kv_get(r.kv, "a", "n", &v) && v.number == 5);
	otd_policy_shadow_counts(r.p, &s);
	assert_int_equal(s.calls, 5);
	assert_int_equal(s.differences, 5);
	/* It comes in force. */
	struct otd_policy_set *old = otd_policy_promote(r.p);
	assert_non_null(old);
	otd_policy_set_destroy(old);
	assert_null(otd_policy_in_shadow(r.p));
	otd_policy_connect(r.p, &out, &in);
	assert_true(out.refuse);
	assert_int_equal(r.bans, 1);
	assert_null(otd_policy_promote(r.p));
	rig_finish(&r);
}

/* A shadow that explodes is a difference, never an alert. */
static void bad_shadow(void **state)
{
	struct rig r;
	struct otd_policy_connect_out out;
	(void)state;
	rig_init(&r);
	differences = 0;
	rig_use(&r, "function on_connect(s) return {action = 'allow'} end");
	assert_null(
		otd_policy_shadow(r.p, set_of(&r, "function on_connect(s) while true do end end")));
	otd_policy_on_difference(r.p, on_difference, NULL);
	for (int i = 0; i < 6; i++)
		otd_policy_connect(r.p, &out, &in);
	assert_int_equal(out.said.from, OTD_POLICY_SCRIPT);
	assert_int_equal(differences, 6);
	assert_int_equal(r.alerts, 0);
	struct otd_policy_script_status s;
	otd_policy_set_status(otd_policy_in_shadow(r.p), 0, &s);
	assert_int_equal(s.hook[OTD_HOOK_CONNECT].calls, 3);
	otd_policy_set_destroy(otd_policy_shadow(r.p, NULL));
	rig_finish(&r);
}

/* What a shadow reads is what is there, under what it has written itself. */
static void shadow_remembers(void **state)
{
	struct rig r;
	struct otd_policy_connect_out out;
	struct otd_policy_kv_value v = {.number = 7};
	(void)state;
	rig_init(&r);
	rig_use(&r, "function on_connect(s) end");
	assert_int_equal(otd_policy_kv_set(r.kv, "a", "k", &v, 100), OTD_OK);
	assert_null(otd_policy_shadow(
		r.p,
		set_of(&r,
		       "n = 0 function on_connect(s) n = n + 1 "
		       "if n == 1 then assert(kv.get('k') == 7 and kv.get('none') == nil) "
		       "kv.set('k', 'mine', 60) elseif n == 2 then assert(kv.get('k') == 'mine') "
		       "kv.set('k', nil) elseif n == 3 then assert(kv.get('k') == nil) "
		       "assert(kv.incr('k', 60) == 1) else assert(kv.get('k') == 1) end end")));
	for (int i = 0; i < 4; i++)
		otd_policy_connect(r.p, &out, &in);
	struct otd_policy_script_status s;
	otd_policy_set_status(otd_policy_in_shadow(r.p), 0, &s);
	assert_string_equal(s.last_error, "");
	assert_int_equal(s.hook[OTD_HOOK_CONNECT].calls, 4);
	assert_true(otd_policy_kv_get(r.kv, "a", "k", &v) && v.number == 7);
	rig_finish(&r);
}

static void same(void **state)
{
	struct rig r;
	struct otd_policy_fee_out out;
	const struct otd_policy_fee fee = {.pool = "p", .asset = "LTC", .yaml_ppm = 10000};
	static const char text[] =
		"function fee(a) return {ppm = 500, recipients = {{address = 'x', "
		"ppm = 1000000}}} end";
	(void)state;
	rig_init(&r);
	differences = 0;
	rig_use(&r, text);
	assert_null(otd_policy_shadow(r.p, set_of(&r, text)));
	otd_policy_on_difference(r.p, on_difference, NULL);
	otd_policy_fee(r.p, &out, &fee);
	assert_int_equal(differences, 0);
	assert_int_equal(out.ppm, 500);
	rig_finish(&r);
}

static struct otd_u256 difficulty(const char *s)
{
	struct otd_u256 t;
	assert_int_equal(otd_difficulty_parse(&t, s, strlen(s), otd_u256_max()), OTD_OK);
	return t;
}

/* Records the call in r, plays the line against the same scripts: it says the same. */
static void plays(struct rig *r, enum otd_policy_hook h)
{
	struct otd_policy_event *ev;
	struct otd_err err = {0};
	struct otd_bytes out;
	otd_bytes_init(&out, 1u << 20);
	if (otd_policy_event_parse(&ev, last_line, strlen(last_line), &err))
		fail_msg("%s\n%s", last_line, err.text);
	assert_int_equal(otd_policy_event_hook(ev), h);
	assert_int_equal(otd_policy_event_time_ms(ev), 1770000000000);
	assert_string_equal(otd_policy_event_pool(ev), "p");
	assert_int_equal(otd_policy_event_play(ev, r->p, &out), OTD_OK);
	assert_string_equal(otd_policy_event_said(ev), otd_bytes_cstr(&out));
	assert_contains(otd_bytes_cstr(&out), "\"from\":\"script\"");
	otd_policy_event_destroy(ev);
	otd_bytes_finish(&out);
}

static void recorded(void **state)
{
	struct rig r;
	struct otd_policy_authorize_out auth;
	struct otd_policy_payment_out pay;
	struct otd_policy_coins_out coins;
	struct otd_policy_offence_out off;
	const struct otd_policy_authorize auth_in = {.pool = "p",
						     .host = "h",
						     .account = "a \"b\" \\",
						     .worker = "w\xff",
						     .diff1 = otd_u256_max(),
						     .start = difficulty("1024"),
						     .min = difficulty("64"),
						     .max = difficulty("65536")};
	const struct otd_policy_part parts[] = {{"a", "x", 100}, {NULL, "fee", 5}};
	const struct otd_policy_payment pay_in = {.pool = "p",
						  .asset = "ETC",
						  .total = (otd_i128)1 << 100,
						  .largest = 100,
						  .balance = -1,
						  .parts = parts,
						  .n_parts = 2};
	const struct otd_policy_candidate c[] = {{"p", "x", "LTC", 5, 10, -1, true},
						 {"q", "y", "ETC", 6, (otd_u128)1 << 90, 7, true}};
	const struct otd_policy_coins coins_in = {.pool = "p", .candidates = c, .n_candidates = 2};
	const struct otd_policy_offence off_in = {
		.kind = OTD_OFFENCE_FLOOD, .pool = "p", .host = "h", .count = 5};
	const struct otd_policy_block block = {
		.pool = "p", .asset = "LTC", .hash = "ab", .value = 7};
	(void)state;
	rig_init(&r);
	lines = 0;
	rig_use(&r,
		"function on_authorize(s) return {action = 'refuse', difficulty = s.max / 2, "
		"reason = s.account} end "
		"function review_payment(p) return {action = 'hold', reason = p.total .. ' ' .. "
		"#p.parts .. p.parts[2].address} end "
		"function choose_coin(g) return {pool = g.candidates[2].pool, hold = 100} end "
		"function on_offence(o) ban('ip', '1.2.3.4', 5, o.kind) return {action = 'drop', "
		"reason = o.kind} end function on_block(b) end");
	otd_policy_on_call(r.p, on_line, NULL);
	otd_policy_authorize(r.p, &auth, &auth_in);
	plays(&r, OTD_HOOK_AUTHORIZE);
	otd_policy_review_payment(r.p, &pay, &pay_in);
	assert_contains(last_line, "\"total\":\"1267650600228229401496703205376\"");
	plays(&r, OTD_HOOK_REVIEW_PAYMENT);
	otd_policy_choose_coin(r.p, &coins, &coins_in);
	assert_contains(last_line, "\"pool\":\"q\",\"hold\":100");
	plays(&r, OTD_HOOK_CHOOSE_COIN);
	otd_policy_offence(r.p, &off, &off_in);
	assert_contains(last_line, "\"did\":[\"ban ip 1.2.3.4 5 flood\"]");
	plays(&r, OTD_HOOK_OFFENCE);
	otd_policy_block(r.p, &block);
	assert_int_equal(lines, 5);
	assert_contains(last_line, "\"state\":\"found\"");
	rig_finish(&r);
}

static void bad_lines(void **state)
{
	static const struct {
		const char *line, *says;
	} bad[] = {
		{"", "no JSON"},
		{"[]", "no JSON object"},
		{"{}", "v: is not 1"},
		{"{\"v\":1}", "hook: ''"},
		{"{\"v\":1,\"hook\":\"fees\"}", "hook: 'fees'"},
		{"{\"v\":1,\"hook\":\"fee\"}", "time_ms"},
		{"{\"v\":1,\"hook\":\"fee\",\"time_ms\":1}", "in: is no object"},
		{"{\"v\":1,\"hook\":\"fee\",\"time_ms\":1,\"in\":{\"pool\":5}}",
		 "in.pool: is no text"},
		{"{\"v\":1,\"hook\":\"fee\",\"time_ms\":1,\"in\":{\"work_1h\":\"-1\"}}",
		 "in.work_1h"},
		{"{\"v\":1,\"hook\":\"fee\",\"time_ms\":1,\"in\":{\"yaml_ppm\":1.5}}",
		 "in.yaml_ppm"},
		{"{\"v\":1,\"hook\":\"on_offence\",\"time_ms\":1,\"in\":{\"kind\":\"x\"}}",
		 "in.kind"},
		{"{\"v\":1,\"hook\":\"difficulty\",\"time_ms\":1,\"in\":{\"min\":\"12\"}}",
		 "in.min"},
		{"{\"v\":1,\"hook\":\"review_payment\",\"time_ms\":1,\"in\":{\"parts\":{}}}",
		 "in.parts"},
		{"{\"v\":1,\"hook\":\"review_payment\",\"time_ms\":1,\"in\":{\"parts\":[5]}}",
		 "in: is no"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct otd_policy_event *ev;
		struct otd_err err = {0};
		assert_int_not_equal(
			otd_policy_event_parse(&ev, bad[i].line, strlen(bad[i].line), &err),
			OTD_OK);
		assert_null(ev);
		assert_contains(err.text, bad[i].says);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shadow),   cmocka_unit_test(bad_shadow),
		cmocka_unit_test(same),     cmocka_unit_test(shadow_remembers),
		cmocka_unit_test(recorded), cmocka_unit_test(bad_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
