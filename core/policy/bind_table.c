/* Tables: Lua's own list, each function at a price by the items that it touches. Raw access: no metamethod
 * runs in here, but for comparing in sort. */
#include "policy/internal.h"
#include <string.h>

#define SORT_MAX   65536
#define UNPACK_MAX 200

/* Length of the list at 1. */
static lua_Integer list(lua_State *L)
{
	luaL_checktype(L, 1, LUA_TTABLE);
	otd_policy_charge(L, 4);
	return (lua_Integer)lua_rawlen(L, 1);
}

static int t_insert(lua_State *L)
{
	lua_Integer n = list(L), at = n + 1;
	int top = lua_gettop(L);
	luaL_argcheck(L, top == 2 || top == 3, 1, "insert takes a table, a place and a value");
	if (top == 3) {
		at = luaL_checkinteger(L, 2);
		luaL_argcheck(L, at >= 1 && at <= n + 1, 2, "position out of bounds");
		otd_policy_charge(L, (uint64_t)(n - at + 1) * 2);
		for (lua_Integer i = n; i >= at; i--) {
			lua_rawgeti(L, 1, i);
			lua_rawseti(L, 1, i + 1);
		}
	}
	lua_pushvalue(L, top);
	lua_rawseti(L, 1, at);
	return 0;
}

static int t_remove(lua_State *L)
{
	lua_Integer n = list(L), at = luaL_optinteger(L, 2, n);
	if (n == 0) {
		lua_pushnil(L);
		return 1;
	}
	luaL_argcheck(L, at >= 1 && at <= n + 1, 2, "position out of bounds");
	otd_policy_charge(L, (uint64_t)(n - at + 1) * 2);
	lua_rawgeti(L, 1, at);
	for (; at < n; at++) {
		lua_rawgeti(L, 1, at + 1);
		lua_rawseti(L, 1, at);
	}
	lua_pushnil(L);
	lua_rawseti(L, 1, at);
	return 1;
}

static int t_concat(lua_State *L)
{
	lua_Integer n = list(L), first, last;
	size_t n_sep, len;
	uint64_t sum = 0;
	const char *sep = luaL_optlstring(L, 2, "", &n_sep);
	luaL_Buffer b;
	first = luaL_optinteger(L, 3, 1);
	last = luaL_optinteger(L, 4, n);
	luaL_argcheck(L, first >= 1, 3, "is before the first");
	luaL_argcheck(L, last <= n, 4, "is behind the last");
	luaL_buffinit(L, &b);
	for (lua_Integer i = first; i <= last; i++) {
		lua_rawgeti(L, 1, i);
		if (!lua_isstring(L, -1))
			return luaL_error(L, "concat: item %I is a %s", (LUAI_UACINT)i,
					  luaL_typename(L, -1));
		(void)lua_tolstring(L, -1, &len);
		sum += len + (i < last ? n_sep : 0);
		if (sum > STRING_MAX)
			otd_policy_string_size(L, sum);
		otd_policy_charge(L, 4 + len / 16 + n_sep / 16);
		luaL_addvalue(&b);
		if (i < last)
			luaL_addlstring(&b, sep, n_sep);
	}
	luaL_pushresult(&b);
	return 1;
}

static int t_pack(lua_State *L)
{
	int n = lua_gettop(L);
	otd_policy_charge(L, 4 + (uint64_t)n);
	lua_createtable(L, n, 1);
	lua_insert(L, 1);
	for (int i = n; i >= 1; i--)
		lua_rawseti(L, 1, i);
	lua_pushinteger(L, n);
	lua_setfield(L, 1, "n");
	return 1;
}

static int t_unpack(lua_State *L)
{
	lua_Integer n = list(L), first = luaL_optinteger(L, 2, 1);
	lua_Integer last = luaL_optinteger(L, 3, n);
	if (first > last)
		return 0;
	if ((uint64_t)last - (uint64_t)first >= UNPACK_MAX)
		return luaL_error(L, "unpack: more than %d values", UNPACK_MAX);
	otd_policy_charge(L, 4 + (uint64_t)(last - first));
	luaL_checkstack(L, (int)(last - first) + 1, "too many values");
	for (lua_Integer i = first; i < last; i++)
		lua_rawgeti(L, 1, i);
	lua_rawgeti(L, 1, last);
	return (int)(last - first) + 1;
}

/* move(from, first, last, at [, to]) */
static int t_move(lua_State *L)
{
	lua_Integer first, last, at;
	int to = lua_isnoneornil(L, 5) ? 1 : 5;
	(void)list(L);
	luaL_checktype(L, to, LUA_TTABLE);
	first = luaL_checkinteger(L, 2);
	last = luaL_checkinteger(L, 3);
	at = luaL_checkinteger(L, 4);
	if (last >= first) {
		uint64_t n = (uint64_t)last - (uint64_t)first;
		/* Refused by its price before the first item moves. */
		otd_policy_charge(L, n < UINT64_MAX / 8 ? n * 4 + 4 : UINT64_MAX / 2);
		luaL_argcheck(L, at <= LUA_MAXINTEGER - (lua_Integer)n, 4, "destination wraps");
		if (at > last || at <= first || (to != 1 && !lua_rawequal(L, 1, to))) {
			for (lua_Integer i = 0; i <= (lua_Integer)n; i++) {
				lua_rawgeti(L, 1, first + i);
				lua_rawseti(L, to, at + i);
			}
		} else {
			for (lua_Integer i = (lua_Integer)n; i >= 0; i--) {
				lua_rawgeti(L, 1, first + i);
				lua_rawseti(L, to, at + i);
			}
		}
	}
	lua_pushvalue(L, to);
	return 1;
}

/* --- sort: merging, so that a comparison that lies can only spoil the order --- */

/* Whether the item at stack b comes before that at a. */
static bool before(lua_State *L, int b, int a)
{
	bool yes;
	otd_policy_charge(L, 6);
	if (lua_isnil(L, 2)) {
		if (lua_type(L, a) == LUA_TSTRING)
			otd_policy_charge(L, lua_rawlen(L, a) / 16);
		return lua_compare(L, b, a, LUA_OPLT);
	}
	lua_pushvalue(L, 2);
	lua_pushvalue(L, b);
	lua_pushvalue(L, a);
	lua_call(L, 2, 1);
	yes = lua_toboolean(L, -1);
	lua_pop(L, 1);
	return yes;
}

/* Merges from[lo..mid) and from[mid..hi) into to; both are tables on the stack. */
static void merge(lua_State *L, int from, int to, lua_Integer lo, lua_Integer mid, lua_Integer hi)
{
	lua_Integer i = lo, k = mid;
	for (lua_Integer at = lo; at < hi; at++) {
		bool right = false;
		if (i < mid && k < hi) {
			lua_rawgeti(L, from, i);
			lua_rawgeti(L, from, k);
			right = before(L, lua_gettop(L), lua_gettop(L) - 1);
			lua_pop(L, 2);
		} else {
			right = i >= mid;
		}
		lua_rawgeti(L, from, right ? k++ : i++);
		lua_rawseti(L, to, at);
		otd_policy_charge(L, 2);
	}
}

static int t_sort(lua_State *L)
{
	lua_Integer n = list(L);
	int from = 3, to = 4;
	luaL_argcheck(L, n <= SORT_MAX, 1, "has more than 65536 items");
	if (!lua_isnoneornil(L, 2))
		luaL_checktype(L, 2, LUA_TFUNCTION);
	lua_settop(L, 2);
	otd_policy_charge(L, (uint64_t)n * 2);
	lua_createtable(L, (int)n, 0);
	lua_createtable(L, (int)n, 0);
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, 1, i);
		lua_rawseti(L, 3, i);
	}
	for (lua_Integer width = 1; width < n; width *= 2) {
		for (lua_Integer lo = 1; lo <= n; lo += 2 * width) {
			lua_Integer mid = lo + width > n + 1 ? n + 1 : lo + width;
			lua_Integer hi = mid + width > n + 1 ? n + 1 : mid + width;
			merge(L, from, to, lo, mid, hi);
		}
		from = from == 3 ? 4 : 3;
		to = to == 3 ? 4 : 3;
	}
	for (lua_Integer i = 1; i <= n; i++) {
		lua_rawgeti(L, from, i);
		lua_rawseti(L, 1, i);
	}
	return 0;
}

void otd_policy_bind_table(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"concat", t_concat}, {"insert", t_insert}, {"move", t_move},     {"pack", t_pack},
		{"remove", t_remove}, {"sort", t_sort},     {"unpack", t_unpack}, {NULL, NULL},
	};
	luaL_newlib(L, functions);
	lua_setfield(L, -2, "table");
}
