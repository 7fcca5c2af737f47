/*
 * Scripts that mean harm, or are merely wrong: each is stopped by its budget, after little processor time,
 * and leaves everybody else as they were. What a test decides by are units; time is printed, and bounded
 * far above what it should be, for a machine may be slow.
 */
#include "rig.h"
#include <time.h>

#define FAR_TOO_LONG_NS 200000000ull

/* Emulated, or under a sanitizer that makes everything many times slower: units alone decide. */
static bool slow(void)
{
	return getenv("OTEDAMA_SLOW") != NULL;
}

static uint64_t worst_ns;

/* Calls on_connect of the script; it must overrun. Returns its time. */
static void explodes(struct rig *r, const char *name, const char *body)
{
	char text[4096];
	struct otd_policy_script_status s;
	struct otd_policy_connect_out out;
	const struct otd_policy_connect in = {.pool = "p", .host = "10.0.0.1"};
	(void)snprintf(text, sizeof(text), "function on_connect(s)\n%s\nend", body);
	rig_use(r, text);
	for (int i = 0; i < 3; i++) {
		uint64_t before = otd_thread_cpu_ns(), took;
		otd_policy_connect(r->p, &out, &in);
		took = otd_thread_cpu_ns() - before;
		s = rig_status(r, 0);
		print_message("%-28s %6llu us  %s\n", name, (unsigned long long)took / 1000,
			      s.last_error);
		worst_ns = took > worst_ns ? took : worst_ns;
		assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
		assert_false(out.refuse);
		assert_true(slow() || took < FAR_TOO_LONG_NS);
	}
	assert_int_equal(s.hook[OTD_HOOK_CONNECT].errors, 3);
	assert_int_equal(s.hook[OTD_HOOK_CONNECT].overruns, 3);
	/* No call spent much more than it had. */
	assert_true(s.hook[OTD_HOOK_CONNECT].most_units < 2 * 200000);
	assert_contains(s.last_error, "a.lua:");
	assert_true(s.hook[OTD_HOOK_CONNECT].fallback);
	assert_true(s.memory <= 4u << 20);
}

static const struct {
	const char *name, *body;
} bombs[] = {
	{"while true", "while true do end"},
	{"pcall loop", "while true do pcall(function() while true do end end) end"},
	{"nested pcall", "local function f() pcall(f) while true do end end f()"},
	{"xpcall handler", "while true do xpcall(function() while true do end end,"
			   " function() while true do end end) end"},
	{"handler of an error",
	 "xpcall(function() error('x') end, function() while true do end end)"},
	{"rep in a loop", "for i = 1, 1e9 do local x = ('x'):rep(65536) end"},
	{"concat", "local s = 'x' while true do s = s .. s end"},
	{"concat in pcall", "local s = ('x'):rep(60000) while true do pcall(function() local t = s "
			    ".. s .. s end) end"},
	{"table.concat", "local t = {} for i = 1, 100 do t[i] = ('x'):rep(600) end "
			 "while true do local x = table.concat(t) end"},
	{"table.move", "table.move({1}, 1, 1e18, 2)"},
	{"table.move in pcall",
	 "while true do pcall(table.move, {1}, 1, math.tointeger(1e18), 2) end"},
	{"deep recursion", "local function f(n) return 1 + f(n + 1) end f(1)"},
	{"recursion in pcall", "local function f() return 1 + f() end while true do pcall(f) end"},
	{"find of a long needle", "local s, n = ('a'):rep(65536), ('a'):rep(32767) .. 'b' "
				  "while true do local x = s:find(n) end"},
	{"sort that lies", "local t = {} for i = 1, 5000 do t[i] = i end "
			   "while true do table.sort(t, function(a, b) return true end) end"},
	{"sort that never ends", "table.sort({1, 2, 3}, function() while true do end end)"},
	{"10 MB table", "local t = {} for i = 1, 1e9 do t[i] = i end"},
	{"10 MB of tables", "local t for i = 1, 1e9 do t = {t} end"},
	{"memory in pcall", "local t = {} while true do pcall(function() "
			    "for i = 1, 1e6 do t[#t + 1] = {} end end) end"},
	{"strings compared", "local a, b = ('a'):rep(65536), ('a'):rep(65535) .. 'a' "
			     "local n = 0 while true do if a == b then n = n + 1 end end"},
	{"zeros compared", "local a, b = ('\\0'):rep(65536), ('\\0'):rep(65535) .. '\\1' "
			   "local n = 0 while true do if a < b then n = n + 1 end end"},
	{"pairs of a large table", "local t = {} for i = 1, 8000 do t['k' .. i] = i end "
				   "while true do for k in pairs(t) do break end end"},
	{"insert at the front", "local t = {} while true do table.insert(t, 1, 0) end"},
	{"glob", "local s, p = ('a'):rep(30000), ('a*'):rep(500) .. 'b' "
		 "while true do local x = s:glob(p) end"},
	{"format", "while true do local x = ('%99.99f'):format(1e308) end"},
	{"split", "local s = ('a,'):rep(30000) while true do local t = s:split(',') end"},
	{"tonumber", "local s = ('1'):rep(65536) while true do local x = tonumber(s, 10) end"},
	{"unpack", "local t = {} for i = 1, 200 do t[i] = i end "
		   "while true do select('#', table.unpack(t)) end"},
	{"varargs",
	 "local function f(n, ...) if n == 0 then while true do local x = select('#', ...) "
	 "end end return f(n - 1, n, ...) end f(150)"},
	{"metamethod for ever",
	 "local t = setmetatable({}, {__index = function(t, k) return t[k] end}) "
	 "while true do pcall(function() return t.x end) end"},
	{"money", "local m = money('1 TEST') while true do m = m:ppm(1000000) end"},
	{"kv", "while true do kv.incr('k', 60) end"},
	{"log", "while true do log(('x'):rep(60000)) end"},
	{"goto", "::a:: goto a"},
};

static void each_is_stopped(void **state)
{
	struct rig r;
	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++)
		explodes(&r, bombs[i].name, bombs[i].body);
	print_message("the worst: %llu us\n", (unsigned long long)worst_ns / 1000);
	rig_finish(&r);
}

/* A state that fills up over many calls: what it holds makes each refusal dearer. */
static void memory_over_calls(void **state)
{
	struct rig r;
	struct otd_policy_connect_out out;
	const struct otd_policy_connect in = {.pool = "p", .host = "10.0.0.1"};
	uint64_t worst = 0;
	(void)state;
	rig_init(&r);
	rig_use(&r, "T = {} function on_connect(s) for i = 1, 3000 do T[#T + 1] = {} end end");
	for (int i = 0; i < 100; i++) {
		uint64_t before = otd_thread_cpu_ns(), took;
		otd_policy_connect(r.p, &out, &in);
		took = otd_thread_cpu_ns() - before;
		worst = took > worst ? took : worst;
	}
	struct otd_policy_script_status s = rig_status(&r, 0);
	print_message("memory over calls: the worst %llu us, %s\n",
		      (unsigned long long)worst / 1000, s.last_error);
	assert_true(slow() || worst < FAR_TOO_LONG_NS);
	assert_int_equal(s.hook[OTD_HOOK_CONNECT].overruns, 3);
	assert_contains(s.last_error, "it needs more than the 4194304 bytes");
	assert_true(s.hook[OTD_HOOK_CONNECT].fallback);
	assert_true(s.memory <= 4u << 20);
	/* The first string that is too long ends the call, whatever catches the error. */
	rig_use(&r,
		"n = 0 function on_connect(s) local x = ('x'):rep(60000) for i = 1, 9 do n = n + 1 "
		"pcall(function() return x .. x end) end end "
		"function on_authorize(s) return {action = 'refuse', reason = 'n=' .. n} end");
	otd_policy_connect(r.p, &out, &in);
	assert_contains(rig_status(&r, 0).last_error, "a string of more than 65536 bytes");
	struct otd_policy_authorize_out auth;
	otd_policy_authorize(r.p, &auth, &(struct otd_policy_authorize){.pool = "p"});
	assert_string_equal(auth.said.reason, "n=1");
	rig_finish(&r);
}

/* What is refused outright, with a plain error. */
static const struct {
	const char *body, *says;
} refused[] = {
	{"return ('x'):rep(1000000000)", "a string of"},
	{"return (''):rep(math.maxinteger):len() == 0 and ('x'):rep(math.maxinteger)",
	 "a string of"},
	{"return ('x'):rep(math.tointeger(1e18))", "a string of"},
	{"return setmetatable({}, {__gc = function() while true do end end})", "there is no __gc"},
	{"return setmetatable({}, {__mode = 'k'})", "there is no __mode"},
	{"local x <close> = setmetatable({}, {__close = function() end})", "there is no __close"},
	{"return table.unpack({}, 1, 1e8)", "more than 200"},
	{"return ('x'):byte(1, -1), ('x'):rep(1000):byte(1, -1)", "more than 200"},
	{"local t = {} for i = 1, 50 do t = setmetatable({}, {__index = t}) end",
	 "behind each other"},
	{"local a, b = {}, {} setmetatable(a, {__index = b}) setmetatable(b, {__index = a})",
	 "give it its metatable first"},
	{"return pairs({[{}] = 1})", "a key is a table"},
	{"getmetatable('').__index = nil", ""},
	{"return string.format('%s%s', 1)", ""},
	{"return string.format('%1000d', 1)", "is no form"},
	{"return string.format('%p', {})", "is no form"},
};

static void some_are_errors(void **state)
{
	struct rig r;
	char text[1024];
	struct otd_policy_connect_out out;
	const struct otd_policy_connect in = {.pool = "p", .host = "10.0.0.1"};
	(void)state;
	rig_init(&r);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		(void)snprintf(text, sizeof(text), "function on_connect(s)\n%s\nend",
			       refused[i].body);
		rig_use(&r, text);
		otd_policy_connect(r.p, &out, &in);
		struct otd_policy_script_status s = rig_status(&r, 0);
		if (s.hook[OTD_HOOK_CONNECT].errors != 1)
			fail_msg("no error: %s", refused[i].body);
		assert_int_equal(s.hook[OTD_HOOK_CONNECT].overruns, 0);
		assert_contains(s.last_error, "a.lua:2: ");
		assert_contains(s.last_error, refused[i].says);
	}
	rig_finish(&r);
}

/* At the top of a file, in selftest and in a bad text. */
static void loading_is_bounded(void **state)
{
	struct rig r;
	struct otd_err err;
	char *deep = malloc(200001);
	(void)state;
	rig_init(&r);
	assert_contains(rig_refused(&r, "while true do end", &err),
			"a.lua:1: stopped after 2000000");
	assert_contains(
		rig_refused(&r, "function fee(a) end\nfunction selftest()\n while true do end end",
			    &err),
		"a.lua:3: stopped");
	assert_contains(
		rig_refused(&r, "function fee(a) end function selftest() assert(1 == 2) end", &err),
		"assertion failed");
	assert_contains(
		rig_refused(&r, "function fee(a) end function selftest() return false end", &err),
		"selftest() says false");
	assert_contains(rig_refused(&r, "\033Lua", &err), "attempt to load a binary chunk");
	assert_contains(rig_refused(&r, "fee = = 1", &err), "a.lua:1: unexpected symbol");
	memset(deep, '(', 200000);
	deep[200000] = 0;
	assert_contains(rig_refused(&r, deep, &err), "a.lua");
	free(deep);
	/* Chains that Lua compiles in a time that grows with their square. */
	char *chain = malloc(OTD_POLICY_TEXT_MAX + 1);
	static const char *const link[] = {" or x", " elseif x then x = 1", " do goto a end"};
	static const char *const head[] = {"function fee(a) return x",
					   "function fee(a) if x then x = 1", "function fee(a)"};
	static const char *const tail[] = {" end", " end end", " ::a:: end"};
	for (int i = 0; i < 3; i++) {
		struct otd_policy_set *set;
		const char *text = chain;
		size_t at = strlen(head[i]), n = strlen(link[i]);
		memcpy(chain, head[i], at);
		for (; at + n + 20 < OTD_POLICY_TEXT_MAX; at += n)
			memcpy(chain + at, link[i], n);
		memcpy(chain + at, tail[i], strlen(tail[i]) + 1);
		uint64_t before = otd_thread_cpu_ns(), took;
		otd_rc rc = rig_set(&r, &set, 1, &text, &err);
		took = otd_thread_cpu_ns() - before;
		print_message("chain of '%s': %llu us: %s\n", link[i],
			      (unsigned long long)took / 1000, rc ? err.text : "taken");
		assert_true(slow() || took < 5 * FAR_TOO_LONG_NS);
		otd_policy_set_destroy(set);
	}
	free(chain);
	rig_finish(&r);
}

/* A script that explodes does no harm to the one beside it, nor to other hooks of its own. */
static void others_go_on(void **state)
{
	struct rig r;
	struct otd_policy_set *set;
	struct otd_err err = {0};
	struct otd_policy_connect_out out;
	struct otd_policy_fee_out fee;
	const struct otd_policy_connect in = {.pool = "p", .host = "10.0.0.1"};
	const struct otd_policy_fee fee_in = {.pool = "p", .asset = "LTC", .yaml_ppm = 10000};
	static const char *const texts[] = {"function on_connect(s) while true do end end function "
					    "fee(a) return {ppm = 5000} end",
					    "n = 0 function on_authorize(s) n = n + 1 return "
					    "{action = 'refuse', reason = 'r' .. n} end"};
	struct otd_policy_authorize_out auth;
	const struct otd_policy_authorize auth_in = {
		.pool = "p", .host = "h", .account = "a", .worker = ""};
	(void)state;
	rig_init(&r);
	assert_int_equal(rig_set(&r, &set, 2, texts, &err), OTD_OK);
	assert_null(otd_policy_swap(r.p, set));
	for (int i = 0; i < 10; i++) {
		otd_policy_connect(r.p, &out, &in);
		assert_int_equal(out.said.from, OTD_POLICY_FALLBACK);
		otd_policy_fee(r.p, &fee, &fee_in);
		assert_int_equal(fee.said.from, OTD_POLICY_SCRIPT);
		assert_int_equal(fee.ppm, 5000);
		otd_policy_authorize(r.p, &auth, &auth_in);
		assert_true(auth.refuse);
	}
	assert_string_equal(auth.said.reason, "r10");
	/* Three calls, then it is not asked any more; one alert. */
	assert_int_equal(rig_status(&r, 0).hook[OTD_HOOK_CONNECT].calls, 3);
	assert_int_equal(r.alerts, 1);
	assert_contains(r.text, "on_connect failed 3 times in a row");
	rig_finish(&r);
}

/* Time of the thread is the last resort: it ends what units did not see. */
static uint64_t clock_ns;
static uint64_t fast_clock(void)
{
	return clock_ns += 1000000;
}

static void time_is_the_backstop(void **state)
{
	struct rig r;
	struct otd_policy_set *set;
	struct otd_err err = {0};
	struct otd_policy_connect_out out;
	static const char text[] = "function on_connect(s) for i = 1, 20000 do end end";
	const struct otd_policy_script s = {.file = "a.lua",
					    .text = {(const uint8_t *)text, sizeof(text) - 1}};
	const struct otd_policy_connect in = {.pool = "p", .host = "10.0.0.1"};
	(void)state;
	rig_init(&r);
	struct otd_policy_build b = {
		.env = &r.env, .sides = OTD_POLICY_REACTOR, .scripts = &s, .n_scripts = 1};
	for (int with = 0; with < 2; with++) {
		b.cpu_ns = with ? fast_clock : NULL;
		assert_int_equal(otd_policy_set_create(&set, &b, &err), OTD_OK);
		otd_policy_set_destroy(otd_policy_swap(r.p, set));
		otd_policy_connect(r.p, &out, &in);
		assert_int_equal(out.said.from, with ? OTD_POLICY_FALLBACK : OTD_POLICY_HOST);
	}
	assert_contains(rig_status(&r, 0).last_error, "processor time");
	/* No hook looks while a text is compiled; its pieces do. */
	char *long_text = malloc(20001);
	memset(long_text, ' ', 20000);
	memcpy(long_text, text, sizeof(text) - 1);
	long_text[20000] = 0;
	const struct otd_policy_script l = {.file = "a.lua",
					    .text = {(const uint8_t *)long_text, 20000}};
	b.scripts = &l;
	assert_int_not_equal(otd_policy_set_create(&set, &b, &err), OTD_OK);
	assert_contains(err.text, "a.lua: stopped after 30000 us of processor time");
	free(long_text);
	rig_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_stopped), cmocka_unit_test(memory_over_calls),
		cmocka_unit_test(some_are_errors), cmocka_unit_test(loading_is_bounded),
		cmocka_unit_test(others_go_on),    cmocka_unit_test(time_is_the_backstop),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
