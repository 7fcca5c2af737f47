/* Numbers. Randomness is the host's. */
#include "policy/internal.h"
#include <math.h>

static int m_floor(lua_State *L)
{
	otd_policy_charge(L, 2);
	if (lua_isinteger(L, 1)) {
		lua_settop(L, 1);
		return 1;
	}
	lua_Number d = floor(luaL_checknumber(L, 1));
	lua_Integer i;
	if (lua_numbertointeger(d, &i))
		lua_pushinteger(L, i);
	else
		lua_pushnumber(L, d);
	return 1;
}

static int m_ceil(lua_State *L)
{
	otd_policy_charge(L, 2);
	if (lua_isinteger(L, 1)) {
		lua_settop(L, 1);
		return 1;
	}
	lua_Number d = ceil(luaL_checknumber(L, 1));
	lua_Integer i;
	if (lua_numbertointeger(d, &i))
		lua_pushinteger(L, i);
	else
		lua_pushnumber(L, d);
	return 1;
}

static int m_abs(lua_State *L)
{
	otd_policy_charge(L, 2);
	if (lua_isinteger(L, 1)) {
		lua_Integer v = lua_tointeger(L, 1);
		lua_pushinteger(L, v < 0 ? (lua_Integer)(0u - (lua_Unsigned)v) : v);
	} else {
		lua_pushnumber(L, fabs(luaL_checknumber(L, 1)));
	}
	return 1;
}

/* The least (or the most) of its arguments: numbers, or money of one kind. */
static int extreme(lua_State *L, bool most)
{
	int n = lua_gettop(L), best = 1;
	luaL_checkany(L, 1);
	otd_policy_charge(L, 2 + (uint64_t)n);
	for (int i = 1; i <= n; i++) {
		if (lua_type(L, i) != LUA_TUSERDATA)
			(void)luaL_checknumber(L, i);
	}
	for (int i = 2; i <= n; i++) {
		if (lua_compare(L, most ? best : i, most ? i : best, LUA_OPLT))
			best = i;
	}
	lua_pushvalue(L, best);
	return 1;
}

static int m_max(lua_State *L)
{
	return extreme(L, true);
}

static int m_min(lua_State *L)
{
	return extreme(L, false);
}

static int m_sqrt(lua_State *L)
{
	otd_policy_charge(L, 2);
	lua_pushnumber(L, sqrt(luaL_checknumber(L, 1)));
	return 1;
}

static int m_log(lua_State *L)
{
	lua_Number x = luaL_checknumber(L, 1);
	otd_policy_charge(L, 2);
	lua_pushnumber(L, lua_isnoneornil(L, 2) ? log(x) : log(x) / log(luaL_checknumber(L, 2)));
	return 1;
}

static int m_exp(lua_State *L)
{
	otd_policy_charge(L, 2);
	lua_pushnumber(L, exp(luaL_checknumber(L, 1)));
	return 1;
}

static int m_tointeger(lua_State *L)
{
	int ok;
	lua_Integer v;
	otd_policy_charge(L, 2);
	luaL_checkany(L, 1);
	v = lua_type(L, 1) == LUA_TNUMBER ? lua_tointegerx(L, 1, &ok) : (ok = 0);
	if (ok)
		lua_pushinteger(L, v);
	else
		lua_pushnil(L);
	return 1;
}

static int m_type(lua_State *L)
{
	otd_policy_charge(L, 2);
	luaL_checkany(L, 1);
	if (lua_type(L, 1) != LUA_TNUMBER)
		lua_pushnil(L);
	else
		lua_pushstring(L, lua_isinteger(L, 1) ? "integer" : "float");
	return 1;
}

/* random(): [0, 1); random(n): 1 to n; random(m, n): m to n. */
static int m_random(lua_State *L)
{
	struct otd_env *e = state_of(L)->set->env;
	uint64_t r, low, range;
	lua_Integer from = 1, to;
	otd_policy_charge(L, 10);
	e->ops->random(e, &r, sizeof(r));
	if (lua_gettop(L) == 0) {
		lua_pushnumber(L, (lua_Number)(r >> 11) / 9007199254740992.0);
		return 1;
	}
	to = luaL_checkinteger(L, 1);
	if (lua_gettop(L) > 1) {
		from = to;
		to = luaL_checkinteger(L, 2);
	}
	luaL_argcheck(L, from <= to, 1, "interval is empty");
	range = (uint64_t)to - (uint64_t)from + 1;
	/* The high half of a product: a bias of range / 2^64 at most. */
	low = range ? (uint64_t)(((otd_u128)r * range) >> 64) : r;
	lua_pushinteger(L, (lua_Integer)((uint64_t)from + low));
	return 1;
}

void otd_policy_bind_math(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"abs", m_abs},   {"ceil", m_ceil},
		{"exp", m_exp},   {"floor", m_floor},
		{"log", m_log},   {"max", m_max},
		{"min", m_min},   {"random", m_random},
		{"sqrt", m_sqrt}, {"tointeger", m_tointeger},
		{"type", m_type}, {NULL, NULL},
	};
	luaL_newlib(L, functions);
	lua_pushnumber(L, HUGE_VAL);
	lua_setfield(L, -2, "huge");
	lua_pushinteger(L, LUA_MAXINTEGER);
	lua_setfield(L, -2, "maxinteger");
	lua_pushinteger(L, LUA_MININTEGER);
	lua_setfield(L, -2, "mininteger");
	lua_setfield(L, -2, "math");
}
