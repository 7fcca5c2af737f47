/* What a script has and has not: the list, strings, tables, money, the host's services, kv, options. */
#include "rig.h"

/* Each is Lua that must hold. */
static const char *const holds[] = {
	/* the list */
	"for _, n in ipairs({'io', 'os', 'package', 'debug', 'load', 'loadfile', 'dofile', "
	"'require', "
	"'loadstring', 'collectgarbage', 'coroutine', 'next', 'print', '_G', 'utf8', 'warn'}) do "
	"assert(_ENV[n] == nil, n) end",
	"for _, n in ipairs({'dump', 'match', 'gmatch', 'gsub', 'pack', 'unpack'}) do "
	"assert(string[n] == nil and ('').n == nil, n) end",
	"assert(getmetatable('') == false and getmetatable({}) == nil)",
	"assert(not pcall(setmetatable, setmetatable({}, {}), {}))",
	/* base */
	"local ok, e = pcall(error, 'x', 0) assert(not ok and e == 'x')",
	"local ok, e = pcall(error, {a = 1}) assert(not ok and e.a == 1)",
	"assert(select('#', pcall(function() return 1, 2, 3 end)) == 4)",
	"local a, b = xpcall(function(x) error('x' .. x, 0) end, function(m) return m .. '!' end, "
	"'y') "
	"assert(a == false and b == 'xy!')",
	"assert(select(-1, 1, 2, 3) == 3 and select(2, 'a', 'b') == 'b')",
	"assert(tonumber('12') == 12 and tonumber('0x10') == 16 and tonumber('x') == nil)",
	"assert(tonumber('ff', 16) == 255 and tonumber('zz', 36) == 1295 and tonumber('-11', 2) == "
	"-3)",
	"assert(tonumber('8', 8) == nil and tonumber({}) == nil and tonumber('1e1') == 10.0)",
	"assert(tostring({}) == 'table' and tostring(nil) == 'nil' and tostring(1.5) == '1.5')",
	"assert(tostring(setmetatable({}, {__tostring = function() return 'me' end})) == 'me')",
	"local t = setmetatable({}, {__index = {a = 1}, __newindex = function(t, k, v) rawset(t, "
	"k, v * 2) "
	"end}) t.b = 2 assert(t.a == 1 and t.b == 4)",
	"local mt = {__index = {a = 1}} local t = setmetatable({}, mt) mt.__index = nil assert(t.a "
	"== 1)",
	"assert(type(1) == 'number' and type(money('1 LTC')) == 'money')",
	/* pairs is sorted */
	"local s = '' for k in pairs({b = 1, a = 1, [3] = 1, [1] = 1, [2.5] = 1, [true] = 1, c = "
	"1}) do "
	"s = s .. tostring(k) .. ' ' end assert(s == '1 2.5 3 a b c true ', s)",
	"local t = {a = 1, b = 2, c = 3} local n = 0 for k in pairs(t) do n = n + 1 t.c = nil end "
	"assert(n == 2)",
	"local t = {} for i = 1, 300 do t['k' .. i] = i end local last for k in pairs(t) do "
	"assert(not last or last < k) last = k end",
	"local n = 0 for i, v in ipairs({1, 2, nil, 4}) do n = n + v end assert(n == 3)",
	/* strings */
	"assert(('x'):rep(3) == 'xxx' and ('x'):rep(3, ',') == 'x,x,x' and ('x'):rep(0) == '')",
	"assert(('hello'):sub(2, -2) == 'ell' and ('hello'):sub(-3) == 'llo' and ('hi'):sub(5) == "
	"'')",
	"assert(('hello'):sub(-100, 100) == 'hello' and ('hello'):sub(3, 2) == '')",
	"assert(('Ab'):upper() == 'AB' and ('Ab'):lower() == 'ab' and ('abc'):reverse() == 'cba')",
	"assert(('abc'):byte() == 97 and select('#', ('abc'):byte(1, -1)) == 3 and string.char(97, "
	"98) == 'ab')",
	"local a, b = ('hello'):find('l') assert(a == 3 and b == 3 and ('a.b'):find('.') == 2)",
	"assert(('hello'):find('z') == nil and ('hello'):find('l', 4) == 4 and ('x'):find('') == "
	"1)",
	"assert(('bfgminer/5.4'):glob('bfg*/5.?') and not ('abc'):glob('a?') and (''):glob('*'))",
	"assert(('abc'):starts('ab') and ('abc'):ends('bc') and not ('abc'):starts('abcd'))",
	"local t = ('a,b,,c'):split(',') assert(#t == 4 and t[3] == '' and t[4] == 'c')",
	"assert(('  x y '):trim() == 'x y')",
	"assert(string.format('%d %5.2f %s %x %c %%', 3, 1.5, 'a', 255, 65) == '3  1.50 a ff A %')",
	"assert(('%5s|%-5s|'):format('ab', 'ab') == '   ab|ab   |')",
	"assert(('%s %s'):format(money('1 LTC'), nil) == '1 LTC nil')",
	"assert(('%q'):format('a\"b\\n') == '\"a\\\\\"b\\\\010\"')",
	/* tables */
	"local t = {3, 1, 2} table.sort(t) assert(table.concat(t, ',') == '1,2,3')",
	"local t = {} for i = 1, 500 do t[i] = (i * 7919) % 500 end table.sort(t, function(a, b) "
	"return a > b "
	"end) for i = 2, 500 do assert(t[i - 1] >= t[i]) end",
	"local t = {1, 2} table.insert(t, 3) table.insert(t, 1, 0) assert(table.concat(t) == "
	"'0123')",
	"assert(table.remove({1, 2, 3}) == 3 and table.remove({}) == nil and table.remove({1, 2}, "
	"1) == 1)",
	"local t = table.move({1, 2, 3}, 1, 3, 2) assert(table.concat(t) == '1123')",
	"local t = table.pack(1, nil, 3) assert(t.n == 3 and t[3] == 3)",
	"local a, b, c = table.unpack({1, 2, 3}) assert(c == 3)",
	"assert(not pcall(table.sort, {1, 'a'}))",
	/* math */
	"assert(math.floor(1.7) == 1 and math.ceil(1.2) == 2 and math.abs(-3) == 3)",
	"assert(math.max(1, 5, 2) == 5 and math.min(2, 1) == 1 and math.type(1) == 'integer')",
	"assert(math.max(money('1 LTC'), money('2 LTC')) == money('2 LTC'))",
	"assert(math.tointeger(3.0) == 3 and math.tointeger(3.5) == nil and math.huge > "
	"math.maxinteger)",
	"for i = 1, 100 do local r = math.random(3) assert(r >= 1 and r <= 3) end",
	"for i = 1, 100 do local r = math.random() assert(r >= 0 and r < 1) end",
	"assert(math.random(5, 5) == 5 and math.type(math.random(math.mininteger, "
	"math.maxinteger)))",
	/* time */
	"assert(time() == 1770000000 and seconds('10m') == 600 and seconds(5) == 5)",
	"assert(not pcall(seconds, 'x') and not pcall(seconds, 0))",
	/* money */
	"assert(tostring(money('0.05 LTC')) == '0.05 LTC' and money(5000000, 'LTC') == money('0.05 "
	"LTC'))",
	"assert(money('1 LTC') + money('2 LTC') == money('3 LTC') and -money('1 LTC') < money('0 "
	"LTC'))",
	"assert(money('1 LTC') * 3 == 3 * money('1 LTC') and money('10 LTC') // 3 == "
	"money(333333333, 'LTC'))",
	"assert(money('1 LTC'):ppm(5000) == money('0.005 LTC') and money(7, "
	"'LTC'):ppm(500000):units() == 3)",
	"assert(money(-7, 'LTC'):ppm(500000):units() == -4 and money('1 LTC'):asset() == 'LTC')",
	"assert(money(-7, 'LTC') // 2 == money(-4, 'LTC') and money(0, 'LTC'):sign() == 0)",
	"assert(money('170141183460469231731 ETC'):units() == "
	"'170141183460469231731000000000000000000')",
	"assert(money('170141183460469231731687303715884105727', 'LTC') > money('1 LTC'))",
	"assert(not pcall(function() return money('170141183460469231731 ETC') * 2 end))",
	"assert(not pcall(function() return money('1 LTC') + money('1 ETC') end))",
	"assert(not pcall(function() return money('1 LTC') == money('1 ETC') end))",
	"assert(not pcall(function() return money('1 LTC') * 1.5 end))",
	"assert(not pcall(function() return money('1 LTC') * 2.0 end))",
	"assert(not pcall(function() return money('1 LTC') / 2 end))",
	"assert(not pcall(function() return money('1 LTC') < 5 end))",
	"assert(not pcall(money, '1 DOGE') and not pcall(money, '1') and not pcall(money, "
	"'0.000000001 LTC'))",
	"assert('is ' .. money('1 LTC') == 'is 1 LTC' and getmetatable(money('1 LTC')) == false)",
	"assert(tostring(money('1.5 TEST')) == '1.5 TEST')",
	/* kv */
	"assert(kv.get('x') == nil and kv.set('x', 5, 60) and kv.get('x') == 5)",
	"assert(kv.incr('n', 60) == 1 and kv.incr('n', '1m', 10) == 11 and kv.get('n') == 11)",
	"assert(kv.set('t', 'text', 60) and kv.get('t') == 'text' and not pcall(kv.incr, 't', 60))",
	"assert(kv.set('t', nil) and kv.get('t') == nil)",
	"assert(not pcall(kv.set, 'x', 1.5, 60) and not pcall(kv.set, 'x', {}, 60) and not "
	"pcall(kv.set, 'x', 1))",
	"assert(not pcall(kv.get, '') and not pcall(kv.get, ('k'):rep(129)))",
	"assert(not pcall(kv.set, 'x', ('v'):rep(1025), 60))",
	/* services */
	"local ok, why = ban('worker', 'p/a.w', 60, 'bad') assert(ok == true and why == nil)",
	"assert(not pcall(ban, 'planet', 'x', 60, 'bad') and not pcall(ban, 'ip', 'x', 60, ''))",
	"for i = 1, 10 do ban('ip', '10.0.0.' .. i, 60, 'x') end assert(ban('ip', '10.0.0.9', 60, "
	"'x') == false)",
	"local ok, why = unban('ip', '10.0.0.1') assert(ok == false and why == 'there is no such "
	"ban')",
	"log('hello') log('warn', 'hello') notify('hello') tag('account', 'p/a', 'slow', '1d')",
	"metric.add('seen') metric.add('seen', 2) metric.set('level', -5) assert(not "
	"pcall(metric.add, 'x', -1))",
	"local v, age = feed('price') assert(v == 12.5 and age == 7 and feed('other') == nil)",
};

static void each_holds(void **state)
{
	struct rig r;
	char text[2048];
	struct otd_policy_connect_out out;
	const struct otd_policy_connect in = {.pool = "p", .host = "h"};
	(void)state;
	for (size_t i = 0; i < sizeof(holds) / sizeof(holds[0]); i++) {
		rig_init(&r);
		(void)snprintf(
			text, sizeof(text),
			"function on_connect(s)\n%s\nreturn {action = 'refuse', reason = 'ok'} end",
			holds[i]);
		rig_use(&r, text);
		otd_policy_connect(r.p, &out, &in);
		if (out.said.from != OTD_POLICY_SCRIPT)
			fail_msg("%s\n  %s", holds[i], rig_status(&r, 0).last_error);
		rig_finish(&r);
	}
}

/* What it asks for reaches the host, and only from a set in force. */
static void services(void **state)
{
	struct rig r;
	struct otd_policy_connect_out out;
	const struct otd_policy_connect in = {.pool = "p", .host = "h"};
	(void)state;
	rig_init(&r);
	rig_use(&r, "function on_connect(s) ban('prefix', '10.0.0.0/8', '1h', 'a\\nb') end "
		    "function selftest() assert(ban('ip', '1.2.3.4', 60, 'x')) notify('x') "
		    "kv.set('x', 1, 60) assert(kv.get('x') == 1) metric.add('x') end");
	assert_int_equal(r.bans, 0);
	assert_int_equal(r.notes, 0);
	assert_int_equal(otd_policy_kv_count(r.kv), 0);
	otd_policy_connect(r.p, &out, &in);
	assert_int_equal(r.bans, 1);
	assert_string_equal(r.text, "4 10.0.0.0/8 3600 a?b");
	r.ban_rc = OTD_E_REFUSED;
	rig_use(&r, "function on_connect(s) local ok, why = ban('ip', '1.1.1.1', 5, 'x') "
		    "notify(tostring(ok) .. ' ' .. why) end");
	otd_policy_connect(r.p, &out, &in);
	assert_string_equal(r.text, "a: false not this one");
	rig_use(&r,
		"function on_connect(s) tag('worker', 'p/a.w', 'fast', 60) metric.set('m', 3) end");
	otd_policy_connect(r.p, &out, &in);
	assert_string_equal(r.text, "a 1 p/a.w fast 60");
	struct otd_bytes text;
	otd_bytes_init(&text, 1u << 20);
	assert_int_equal(otd_metrics_write(r.metrics, &text), OTD_OK);
	assert_contains(otd_bytes_cstr(&text),
			"otd_policy_script_value{script=\"a\",name=\"m\"} 3");
	assert_contains(otd_bytes_cstr(&text),
			"otd_policy_calls_total{on=\"test\",hook=\"on_connect\"} 3");
	otd_bytes_finish(&text);
	rig_finish(&r);
}

/* --- options --- */

static otd_rc with_options(struct rig *r, struct otd_policy_set **out, const char *text,
			   const char *yaml, struct otd_err *err)
{
	struct otd_yaml_doc *doc = NULL;
	struct otd_policy_script s = {.file = "lua/fees.lua",
				      .path = "pools.ltc.policies.0.options",
				      .text = {(const uint8_t *)text, strlen(text)}};
	const struct otd_policy_build b = {.env = &r->env,
					   .sides = OTD_POLICY_BOTH,
					   .scripts = &s,
					   .n_scripts = 1,
					   .assets = rig_assets,
					   .n_assets = 2};
	otd_rc rc;
	*err = (struct otd_err){0};
	assert_int_equal(otd_yaml_parse(&doc, yaml, strlen(yaml), "pool.yaml", err), OTD_OK);
	s.options = otd_yaml_root(doc);
	rc = otd_policy_set_create(out, &b, err);
	otd_yaml_destroy(doc);
	return rc;
}

static const char declared[] =
	"options = {rate = {type = 'rate', default = '0.5%', help = 'x'}, n = {type = 'int', "
	"default = 3, min = 1, "
	"max = 9}, name = {type = 'text', default = \"it's\"}, who = {type = 'list', default = "
	"{'a', 'b: c'}}, "
	"pause = {type = 'duration', default = '10m'}, mode = {type = 'choice', choices = {'slow', "
	"'fast'}, "
	"default = 'slow'}, on = {type = 'bool', default = true}, most = {type = 'money'}, "
	"size = {type = 'size', default = '2KiB'}}\n";

static void options_are_checked(void **state)
{
	struct rig r;
	struct otd_policy_set *set;
	struct otd_err err;
	char text[2048];
	static const struct {
		const char *yaml, *test; /* or words of the error */
		bool bad;
	} cases[] = {
		{"",
		 "options.rate == 5000 and options.n == 3 and options.name == \"it's\" and "
		 "#options.who == 2 "
		 "and options.who[2] == 'b: c' and options.pause == 600 and options.mode == 'slow' "
		 "and "
		 "options.on == true and options.most == nil and options.size == 2048",
		 false},
		{"{rate: 1%, n: 9, name: x, who: [z], pause: 5s, mode: fast, on: no, most: 0.5 "
		 "LTC}",
		 "options.rate == 10000 and options.n == 9 and options.who[1] == 'z' and "
		 "options.pause == 5 and "
		 "options.mode == 'fast' and options.on == false and options.most == money('0.5 "
		 "LTC')",
		 false},
		{"rates: 1%",
		 "pool.yaml:1:8: pools.ltc.policies.0.options.rates: is no option of policy/fees; "
		 "did "
		 "you mean 'rate'?",
		 true},
		{"n: 10",
		 "pool.yaml:1:4: pools.ltc.policies.0.options.n: '10' is out of range: 1 to 9",
		 true},
		{"a: 1\nrate: much", "", true},
		{"rate: much",
		 "pool.yaml:1:7: pools.ltc.policies.0.options.rate: 'much' is not a rate", true},
		{"mode: fas", "(did you mean fast?)", true},
		{"most: 5 DOGE", "pool.yaml:1:7: pools.ltc.policies.0.options.most: ", true},
		{"[1]", "is not a mapping", true},
	};
	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)snprintf(text, sizeof(text),
			       "%sfunction fee(a) end\nfunction selftest() assert(%s) end",
			       declared, cases[i].bad ? "true" : cases[i].test);
		otd_rc rc = with_options(&r, &set, text, cases[i].yaml, &err);
		if (cases[i].bad) {
			assert_int_not_equal(rc, OTD_OK);
			assert_contains(err.text, cases[i].test);
		} else if (rc) {
			fail_msg("%s: %s", cases[i].yaml, err.text);
		} else {
			otd_policy_set_destroy(set);
		}
	}
	rig_finish(&r);
}

static void declarations_are_checked(void **state)
{
	struct rig r;
	struct otd_policy_set *set;
	struct otd_err err;
	char text[512];
	static const struct {
		const char *options, *says;
	} bad[] = {
		{"5", "options: is a number"},
		{"{a = 5}", "options.a: is no table"},
		{"{a = {type = 'float'}}", "options.a.type: is none of"},
		{"{a = {typ = 'int'}}", "did you mean 'type'?"},
		{"{a = {type = 'int', default = 'x'}}", "lua/fees.lua: default of a"},
		{"{a = {type = 'int', default = 5, min = 6, max = 9}}", "out of range"},
		{"{a = {type = 'choice'}}", "choices: is no list"},
		{"{a = {type = 'money', default = '1 X'}}", "lua/fees.lua: options.a: default: "},
		{"{a = {type = 'text', required = true}}",
		 "pools.ltc.policies.0.options.a: is missing"},
		{"{[1] = {type = 'int'}}", "a name is a number"},
	};
	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)snprintf(text, sizeof(text), "options = %s function fee(a) end",
			       bad[i].options);
		assert_int_not_equal(with_options(&r, &set, text, "", &err), OTD_OK);
		assert_contains(err.text, bad[i].says);
	}
	assert_int_not_equal(with_options(&r, &set, "function fee(a) end", "x: 1", &err), OTD_OK);
	assert_contains(err.text, "is no option of policy/fees");
	rig_finish(&r);
}

/* --- allocation --- */

static const char busy[] =
	"options = {who = {type = 'list', default = {'a', 'b'}}, m = {type = 'money', default = '1 "
	"LTC'}} "
	"local t = {} for i = 1, 50 do t['k' .. i] = {i, tostring(i)} end "
	"local function work() local n = 0 for k, v in pairs(t) do n = n + #v end "
	"local s = table.concat({'a', 'b', ('x'):rep(3000)}, ',') local u = s:split(',') "
	"table.sort(u) "
	"local m = options.m * 2 return ('%s %d %s'):format(m, n, u[1]) end "
	"function on_connect(s) local ok, why = pcall(work) if not ok then error(why, 0) end "
	"kv.incr('n', 60) return {action = 'refuse', reason = why} end function selftest() work() "
	"end";

/* Every allocation fails once: the set is not made, or it is, whole; nothing leaks (the sanitizer sees). */
static void each_allocation_of_a_build(void **state)
{
	struct rig r;
	struct otd_err err;
	struct otd_policy_set *set;
	const struct otd_policy_script s = {.file = "a.lua",
					    .text = {(const uint8_t *)busy, sizeof(busy) - 1}};
	struct otd_policy_build b = {.env = &r.env,
				     .sides = OTD_POLICY_BOTH,
				     .scripts = &s,
				     .n_scripts = 1,
				     .assets = rig_assets,
				     .n_assets = 2};
	uint64_t n = 1, refused = 0;
	(void)state;
	rig_init(&r);
	for (;; n++) {
		b.fail_at = n;
		err = (struct otd_err){0};
		otd_rc rc = otd_policy_set_create(&set, &b, &err);
		if (rc) {
			assert_true(err.text[0] != 0);
			refused++;
			continue;
		}
		bool reached = set->state[0].fail_at_reached;
		otd_policy_set_destroy(set);
		if (!reached)
			break;
	}
	print_message("%llu allocations, %llu of them refused the script\n", (unsigned long long)n,
		      (unsigned long long)refused);
	assert_true(n > 300);
	assert_true(refused > 300);
	rig_finish(&r);
}

static void each_allocation_of_a_call(void **state)
{
	struct rig r;
	struct otd_policy_connect_out out;
	const struct otd_policy_connect in = {.pool = "p", .host = "h"};
	uint64_t n = 1, failed = 0;
	(void)state;
	rig_init(&r);
	for (;; n++) {
		rig_use(&r, busy);
		struct policy_state *st =
			&((struct otd_policy_set *)otd_policy_in_force(r.p))->state[0];
		st->fail_at = n;
		st->fail_at_reached = false;
		otd_policy_connect(r.p, &out, &in);
		bool reached = st->fail_at_reached;
		failed += out.said.from == OTD_POLICY_FALLBACK;
		st->fail_at = 0;
		/* The state is as good as before. */
		otd_policy_connect(r.p, &out, &in);
		assert_int_equal(out.said.from, OTD_POLICY_SCRIPT);
		assert_string_equal(out.said.reason, "2 LTC 100 a");
		if (!reached)
			break;
	}
	print_message("%llu allocations, %llu calls failed\n", (unsigned long long)n,
		      (unsigned long long)failed);
	assert_true(n > 40 && failed > 20);
	rig_finish(&r);
}

/* A file is read whole, or refused with its name. */
static void files_are_read(void **state)
{
	struct rig r;
	struct otd_bytes text;
	struct otd_err err = {0};
	(void)state;
	rig_init(&r);
	otd_bytes_init(&text, OTD_POLICY_TEXT_MAX);
	assert_int_not_equal(otd_policy_read(&text, &r.env, "/nowhere/x.lua", &err), OTD_OK);
	assert_contains(err.text, "/nowhere/x.lua");
	assert_int_equal(
		otd_policy_read(&text, &r.env, OTEDAMA_SOURCE_DIR "/tests/unit/policy/rig.h", &err),
		OTD_OK);
	assert_contains(otd_bytes_cstr(&text), "A policy in a test");
	otd_bytes_finish(&text);
	rig_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_holds),
		cmocka_unit_test(services),
		cmocka_unit_test(options_are_checked),
		cmocka_unit_test(declarations_are_checked),
		cmocka_unit_test(each_allocation_of_a_build),
		cmocka_unit_test(each_allocation_of_a_call),
		cmocka_unit_test(files_are_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
