/*
 * What of Lua's base library a script has. pcall and xpcall are our own: the end of the budget goes through
 * them, and a handler of xpcall runs behind the error, not within it. pairs goes in sorted order. There
 * is no next, load, require, collectgarbage, no coroutine.
 */
#include "base/text.h"
#include "policy/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 8 /* tables behind each other by __index */

static int b_assert(lua_State *L)
{
	otd_policy_charge(L, 2);
	if (lua_toboolean(L, 1))
		return lua_gettop(L);
	luaL_checkany(L, 1);
	if (lua_gettop(L) < 2) {
		luaL_where(L, 1);
		lua_pushstring(L, "assertion failed");
		lua_concat(L, 2);
	} else if (lua_type(L, 2) == LUA_TSTRING) {
		luaL_where(L, 1);
		lua_pushvalue(L, 2);
		lua_concat(L, 2);
	} else {
		lua_pushvalue(L, 2);
	}
	return lua_error(L);
}

static int b_error(lua_State *L)
{
	int level = (int)luaL_optinteger(L, 2, 1);
	otd_policy_charge(L, 2);
	lua_settop(L, 1);
	if (lua_type(L, 1) == LUA_TSTRING && level > 0 && level < 10) {
		luaL_where(L, level);
		lua_pushvalue(L, 1);
		lua_concat(L, 2);
	}
	return lua_error(L);
}

/* Results of a call that went well stand behind "first"; else the error does. */
static int caught(lua_State *L, int rc, int first)
{
	if (state_of(L)->stop)
		return otd_policy_raise_stop(L);
	if (rc == LUA_OK)
		return lua_gettop(L) - first + 1;
	lua_pushboolean(L, 0);
	lua_replace(L, first);
	lua_pushvalue(L, -1);
	lua_replace(L, first + 1);
	lua_settop(L, first + 1);
	return 2;
}

static int b_pcall(lua_State *L)
{
	luaL_checkany(L, 1);
	otd_policy_charge(L, 10);
	lua_pushboolean(L, 1);
	lua_insert(L, 1);
	return caught(L, lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0), 1);
}

static int b_xpcall(lua_State *L)
{
	int rc, n = lua_gettop(L);
	luaL_checktype(L, 2, LUA_TFUNCTION);
	otd_policy_charge(L, 10);
	/* f, handler, args  ->  handler, true, f, args */
	lua_pushboolean(L, 1);
	lua_pushvalue(L, 1);
	lua_rotate(L, 3, 2);
	lua_remove(L, 1);
	rc = lua_pcall(L, n - 2, LUA_MULTRET, 0);
	if (rc == LUA_OK || state_of(L)->stop)
		return caught(L, rc, 2);
	/* handler, true, error */
	lua_pushvalue(L, 1);
	lua_pushvalue(L, -2);
	rc = lua_pcall(L, 1, 1, 0);
	if (state_of(L)->stop)
		return otd_policy_raise_stop(L);
	lua_pushboolean(L, 0);
	lua_insert(L, -2);
	return 2;
}

static int b_select(lua_State *L)
{
	int n = lua_gettop(L);
	otd_policy_charge(L, 2 + (uint64_t)n / 8);
	if (lua_type(L, 1) == LUA_TSTRING && *lua_tostring(L, 1) == '#') {
		lua_pushinteger(L, n - 1);
		return 1;
	}
	lua_Integer i = luaL_checkinteger(L, 1);
	if (i < 0)
		i = n + i;
	else if (i > n)
		i = n;
	luaL_argcheck(L, i >= 1, 1, "index out of range");
	return n - (int)i;
}

static int b_type(lua_State *L)
{
	int asset;
	otd_i128 v;
	otd_policy_charge(L, 1);
	luaL_checkany(L, 1);
	if (otd_policy_to_money(L, 1, &v, &asset))
		lua_pushliteral(L, "money");
	else
		lua_pushstring(L, luaL_typename(L, 1));
	return 1;
}

static int b_rawequal(lua_State *L)
{
	luaL_checkany(L, 1);
	luaL_checkany(L, 2);
	otd_policy_charge(L, 2);
	lua_pushboolean(L, lua_rawequal(L, 1, 2));
	return 1;
}

static int b_rawlen(lua_State *L)
{
	int t = lua_type(L, 1);
	luaL_argexpected(L, t == LUA_TTABLE || t == LUA_TSTRING, 1, "table or string");
	otd_policy_charge(L, 2);
	lua_pushinteger(L, (lua_Integer)lua_rawlen(L, 1));
	return 1;
}

static int b_rawget(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkany(L, 2);
	otd_policy_charge(L, 2);
	lua_settop(L, 2);
	lua_rawget(L, 1);
	return 1;
}

static int b_rawset(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checkany(L, 2);
	luaL_checkany(L, 3);
	luaL_argcheck(L, !lua_isnil(L, 2), 2, "a key is nil");
	otd_policy_charge(L, 2);
	lua_settop(L, 3);
	lua_rawset(L, 1);
	return 1;
}

/* --- metatables --- */

/* A table that stands behind another by __index or __newindex: it may have no metatable later on,
   so that one access never walks a long chain. */
static void mark_behind(lua_State *L, int i)
{
	i = lua_absindex(L, i);
	lua_getfield(L, LUA_REGISTRYINDEX, "behind");
	lua_pushvalue(L, i);
	lua_pushboolean(L, 1);
	lua_rawset(L, -3);
	lua_pop(L, 1);
}

static bool is_behind(lua_State *L, int i)
{
	bool yes;
	i = lua_absindex(L, i);
	lua_getfield(L, LUA_REGISTRYINDEX, "behind");
	lua_pushvalue(L, i);
	lua_rawget(L, -2);
	yes = lua_toboolean(L, -1);
	lua_pop(L, 2);
	return yes;
}

/* Tables behind the one at the top by this event; pops it. */
static int chain(lua_State *L, const char *event)
{
	int n = 0;
	while (n <= CHAIN_MAX && lua_istable(L, -1) && lua_getmetatable(L, -1)) {
		n++;
		lua_getfield(L, -1, event);
		lua_replace(L, -3);
		lua_pop(L, 1);
	}
	lua_pop(L, 1);
	return n;
}

/* Copies event from the table at 2 to the one at the top. */
static void copy_event(lua_State *L, const char *event, bool table_too)
{
	lua_pushstring(L, event);
	lua_rawget(L, 2);
	if (lua_isnil(L, -1)) {
		lua_pop(L, 1);
		return;
	}
	if (lua_istable(L, -1) && table_too) {
		lua_pushvalue(L, -1);
		if (chain(L, event) >= CHAIN_MAX)
			luaL_error(L, "setmetatable: more than %d tables behind each other by %s",
				   CHAIN_MAX, event);
		mark_behind(L, -1);
	} else if (!lua_isfunction(L, -1)) {
		luaL_error(L, "setmetatable: %s is a %s, not a function", event,
			   luaL_typename(L, -1));
	}
	lua_setfield(L, -2, event);
}

/* The metatable is copied: what a script changes in it afterwards has no effect. */
static int b_setmetatable(lua_State *L)
{
	static const char *const functions[] = {
		"__call", "__tostring", "__eq",  "__lt",   "__le",  "__concat", "__len",
		"__unm",  "__add",      "__sub", "__mul",  "__div", "__mod",    "__idiv",
		"__pow",  "__band",     "__bor", "__bxor", "__shl", "__shr",    "__bnot",
	};
	static const char *const refused[] = {"__gc", "__mode", "__close", "__metatable",
					      "__pairs"};
	luaL_checktype(L, 1, LUA_TTABLE);
	luaL_checktype(L, 2, LUA_TTABLE);
	lua_settop(L, 2);
	otd_policy_charge(L, 40);
	if (lua_getmetatable(L, 1))
		return luaL_error(L, "setmetatable: the table has one already, which stays");
	if (is_behind(L, 1))
		return luaL_error(L, "setmetatable: the table stands behind another by __index; "
				     "give it its metatable first");
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		lua_pushstring(L, refused[i]);
		lua_rawget(L, 2);
		if (!lua_isnil(L, -1))
			return luaL_error(L, "setmetatable: there is no %s here", refused[i]);
		lua_pop(L, 1);
	}
	lua_newtable(L);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		copy_event(L, functions[i], false);
	copy_event(L, "__index", true);
	copy_event(L, "__newindex", true);
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, 1);
	lua_settop(L, 1);
	return 1;
}

/* Whether there is one; the table itself stays ours. */
static int b_getmetatable(lua_State *L)
{
	luaL_checkany(L, 1);
	otd_policy_charge(L, 2);
	if (!lua_getmetatable(L, 1))
		lua_pushnil(L);
	else
		lua_pushboolean(L, 0);
	return 1;
}

/* --- tostring, tonumber --- */

const char *otd_policy_tolstring(lua_State *L, int i, size_t *n)
{
	otd_i128 v;
	int asset;
	i = lua_absindex(L, i);
	if (otd_policy_to_money(L, i, &v, &asset) || lua_istable(L, i)) {
		if (luaL_getmetafield(L, i, "__tostring") != LUA_TNIL) {
			lua_pushvalue(L, i);
			lua_call(L, 1, 1);
			if (lua_type(L, -1) != LUA_TSTRING)
				luaL_error(L, "'__tostring' must return a string");
			return lua_tolstring(L, -1, n);
		}
	}
	switch (lua_type(L, i)) {
	case LUA_TSTRING: lua_pushvalue(L, i); break;
	case LUA_TNUMBER:
		lua_pushvalue(L, i);
		(void)lua_tostring(L, -1);
		break;
	case LUA_TBOOLEAN: lua_pushstring(L, lua_toboolean(L, i) ? "true" : "false"); break;
	case LUA_TNIL: lua_pushliteral(L, "nil"); break;
	default: lua_pushstring(L, luaL_typename(L, i)); break; /* no address: it differs */
	}
	return lua_tolstring(L, -1, n);
}

static int b_tostring(lua_State *L)
{
	luaL_checkany(L, 1);
	otd_policy_charge(L, 4);
	(void)otd_policy_tolstring(L, 1, NULL);
	return 1;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'Z' ? c - 'A' + 10 : 99;
}

static int to_base(lua_State *L, const char *s, size_t n, int base)
{
	uint64_t v = 0;
	size_t i = n && s[0] == '-' ? 1 : 0;
	bool minus = i == 1;
	if (i == n)
		return 0;
	for (; i < n; i++) {
		int d = digit_of(s[i]);
		if (d >= base)
			return 0;
		v = v * (uint64_t)base + (uint64_t)d;
	}
	lua_pushinteger(L, (lua_Integer)(minus ? 0 - v : v));
	return 1;
}

static int b_tonumber(lua_State *L)
{
	size_t n;
	const char *s;
	lua_settop(L, 2);
	otd_policy_charge(L, 4);
	if (lua_type(L, 1) == LUA_TNUMBER && lua_isnil(L, 2)) {
		lua_settop(L, 1);
		return 1;
	}
	luaL_checkany(L, 1);
	if (lua_type(L, 1) != LUA_TSTRING) {
		lua_pushnil(L);
		return 1;
	}
	s = lua_tolstring(L, 1, &n);
	otd_policy_charge(L, n / 4);
	if (lua_isnil(L, 2)) {
		if (n > 200 || lua_stringtonumber(L, s) != n + 1)
			lua_pushnil(L);
		return 1;
	}
	lua_Integer base = luaL_checkinteger(L, 2);
	luaL_argcheck(L, base >= 2 && base <= 36, 2, "base is out of range: 2 to 36");
	if (!to_base(L, s, n, (int)base))
		lua_pushnil(L);
	return 1;
}

/* --- pairs, ipairs --- */

struct sort_key {
	int type;  /* 0 number, 1 text, 2 boolean */
	int place; /* in the table of keys */
	bool is_integer;
	lua_Integer integer;
	lua_Number number;
	const char *text;
	size_t n;
};

static int by_key(const void *va, const void *vb)
{
	const struct sort_key *a = va, *b = vb;
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->type == 1) {
		int c = memcmp(a->text, b->text, a->n < b->n ? a->n : b->n);
		return c ? c : a->n < b->n ? -1 : a->n > b->n;
	}
	if (a->is_integer && b->is_integer)
		return a->integer < b->integer ? -1 : a->integer > b->integer;
	return a->number < b->number ? -1 : a->number > b->number;
}

static void read_key(lua_State *L, struct sort_key *k, int place)
{
	*k = (struct sort_key){.place = place};
	switch (lua_type(L, -1)) {
	case LUA_TNUMBER:
		k->is_integer = lua_isinteger(L, -1);
		k->integer = k->is_integer ? lua_tointeger(L, -1) : 0;
		k->number = lua_tonumber(L, -1);
		break;
	case LUA_TSTRING:
		k->type = 1;
		k->text = lua_tolstring(L, -1, &k->n);
		break;
	case LUA_TBOOLEAN:
		k->type = 2;
		k->is_integer = true;
		k->integer = lua_toboolean(L, -1);
		break;
	default:
		luaL_error(
			L,
			"pairs: a key is a %s; its order would be another each time: use numbers, "
			"texts or booleans",
			luaL_typename(L, -1));
	}
}

static unsigned log2_of(size_t n)
{
	unsigned r = 1;
	while (n >>= 1)
		r++;
	return r;
}

/* The keys of the table at 1, sorted, as a table on top. Returns how many. */
static int sorted_keys(lua_State *L)
{
	int n = 0;
	size_t longest = 0;
	bool sorted = true;
	struct sort_key *keys, *last = NULL;
	lua_newtable(L); /* 2: as they come */
	lua_pushnil(L);
	while (lua_next(L, 1)) {
		lua_pop(L, 1);
		otd_policy_charge(L, 2);
		lua_pushvalue(L, -1);
		lua_rawseti(L, 2, ++n);
	}
	keys = lua_newuserdatauv(L, (size_t)n * sizeof(*keys) + 1, 0); /* 3 */
	for (int i = 0; i < n; i++) {
		lua_rawgeti(L, 2, i + 1);
		read_key(L, &keys[i], i + 1); /* its text lives in 2 */
		lua_pop(L, 1);
		longest = keys[i].n > longest ? keys[i].n : longest;
		sorted = sorted && (!last || by_key(last, &keys[i]) <= 0);
		last = &keys[i];
	}
	if (sorted) {
		lua_settop(L, 2);
		return n;
	}
	otd_policy_charge(L, (uint64_t)n * log2_of((size_t)n) * (1 + longest / 64));
	qsort(keys, (size_t)n, sizeof(*keys), by_key);
	lua_createtable(L, n, 0); /* 4 */
	for (int i = 0; i < n; i++) {
		lua_rawgeti(L, 2, keys[i].place);
		lua_rawseti(L, 4, i + 1);
	}
	lua_replace(L, 2);
	lua_settop(L, 2);
	return n;
}

/* Upvalues: table, keys, place. */
static int pairs_next(lua_State *L)
{
	lua_Integer i = lua_tointeger(L, lua_upvalueindex(3));
	for (;;) {
		otd_policy_charge(L, 3);
		lua_rawgeti(L, lua_upvalueindex(2), ++i);
		if (lua_isnil(L, -1))
			return 1;
		lua_pushvalue(L, -1);
		lua_rawget(L, lua_upvalueindex(1));
		if (!lua_isnil(L, -1))
			break;
		lua_pop(L, 2); /* taken out meanwhile */
	}
	lua_pushinteger(L, i);
	lua_replace(L, lua_upvalueindex(3));
	return 2;
}

static int b_pairs(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	lua_settop(L, 1);
	/* Also the empty places of the table are walked; how many there are only its memory tells. */
	otd_policy_charge(L, 10 + state_of(L)->used / 2048);
	(void)sorted_keys(L);
	lua_pushinteger(L, 0);
	lua_pushcclosure(L, pairs_next, 3);
	return 1;
}

static int ipairs_next(lua_State *L)
{
	lua_Integer i = luaL_checkinteger(L, 2) + 1;
	otd_policy_charge(L, 2);
	lua_pushinteger(L, i);
	return lua_geti(L, 1, i) == LUA_TNIL ? 1 : 2;
}

static int b_ipairs(lua_State *L)
{
	luaL_checkany(L, 1);
	otd_policy_charge(L, 4);
	lua_pushcfunction(L, ipairs_next);
	lua_pushvalue(L, 1);
	lua_pushinteger(L, 0);
	return 3;
}

/* --- time --- */

static int b_time(lua_State *L)
{
	struct otd_env *e = state_of(L)->set->env;
	otd_policy_charge(L, 4);
	lua_pushinteger(L, otd_wall_ms(e) / 1000);
	return 1;
}

int64_t otd_policy_seconds(lua_State *L, int arg, int64_t max_s)
{
	int64_t s = 0;
	size_t n;
	if (lua_type(L, arg) == LUA_TSTRING) {
		const char *text = lua_tolstring(L, arg, &n);
		if (n > 32 || otd_parse_duration(&s, text, n))
			luaL_argerror(L, arg, "is no time: seconds, or \"10m\"");
		s /= 1000;
	} else {
		s = luaL_checkinteger(L, arg);
	}
	luaL_argcheck(L, s >= 1, arg, "a time is at least one second");
	return s > max_s ? max_s : s;
}

static int b_seconds(lua_State *L)
{
	otd_policy_charge(L, 4);
	lua_pushinteger(L, otd_policy_seconds(L, 1, INT64_MAX));
	return 1;
}

void otd_policy_bind_base(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"assert", b_assert},
		{"error", b_error},
		{"getmetatable", b_getmetatable},
		{"ipairs", b_ipairs},
		{"pairs", b_pairs},
		{"pcall", b_pcall},
		{"rawequal", b_rawequal},
		{"rawget", b_rawget},
		{"rawlen", b_rawlen},
		{"rawset", b_rawset},
		{"seconds", b_seconds},
		{"select", b_select},
		{"setmetatable", b_setmetatable},
		{"time", b_time},
		{"tonumber", b_tonumber},
		{"tostring", b_tostring},
		{"type", b_type},
		{"xpcall", b_xpcall},
		{NULL, NULL},
	};
	luaL_setfuncs(L, functions, 0);
	lua_newtable(L);
	lua_newtable(L);
	lua_pushliteral(L, "k");
	lua_setfield(L, -2, "__mode");
	lua_setmetatable(L, -2);
	lua_setfield(L, LUA_REGISTRYINDEX, "behind");
}
