/* kv.get, kv.set, kv.incr: the host's memory for scripts, each in its own part of it. */
#include "policy/internal.h"
#include <string.h>

static const char *key_at(lua_State *L, int arg)
{
	size_t n;
	const char *key = luaL_checklstring(L, arg, &n);
	luaL_argcheck(L, n > 0 && n <= OTD_KV_KEY_MAX, arg, "a key has 1 to 128 bytes");
	luaL_argcheck(L, strlen(key) == n, arg, "a key has no zero byte");
	otd_policy_charge(L, 20 + n / 8);
	return key;
}

/* What is there, where a shadow's own part has nothing, below it. */
static bool look(struct policy_state *st, const char *key, struct otd_policy_kv_value *out,
		 int64_t *until_ms)
{
	struct policy_call *c = st->call;
	int found = c && c->kv ? otd_policy_kv_look(c->kv, st->name, key, out, until_ms) : 0;
	if (found == 0 && c && c->under)
		found = otd_policy_kv_look(c->under, st->name, key, out, until_ms);
	return found == 1;
}

/* kv.get(key): a number, a text, or nil. */
static int k_get(lua_State *L)
{
	struct policy_state *st = state_of(L);
	struct otd_policy_kv_value v;
	if (!look(st, key_at(L, 1), &v, NULL))
		lua_pushnil(L);
	else if (v.is_text)
		lua_pushlstring(L, (const char *)v.text.ptr, v.text.len);
	else
		lua_pushinteger(L, v.number);
	return 1;
}

static int no_room(lua_State *L, otd_rc rc)
{
	if (rc == OTD_OK) {
		lua_pushboolean(L, 1);
		return 1;
	}
	lua_pushboolean(L, 0);
	lua_pushstring(L, rc == OTD_E_NOMEM ? "kv is full" : otd_rc_name(rc));
	return 2;
}

/* kv.set(key, value, seconds); kv.set(key, nil) takes it out. True, or false and why. */
static int k_set(lua_State *L)
{
	struct policy_state *st = state_of(L);
	const char *key = key_at(L, 1);
	struct policy_call *c = st->call;
	struct otd_policy_kv_value v = {0};
	if (lua_isnoneornil(L, 2)) {
		if (c && c->kv && c->under)
			return no_room(L, otd_policy_kv_hide(c->kv, st->name, key, OTD_KV_TTL_S));
		if (c && c->kv)
			otd_policy_kv_remove(c->kv, st->name, key);
		return no_room(L, OTD_OK);
	}
	int64_t ttl = otd_policy_seconds(L, 3, OTD_KV_TTL_S);
	v.is_text = lua_type(L, 2) == LUA_TSTRING;
	if (v.is_text) {
		v.text.ptr = (const uint8_t *)lua_tolstring(L, 2, &v.text.len);
		luaL_argcheck(L, v.text.len <= OTD_KV_VALUE_MAX, 2,
			      "a text has at most 1024 bytes");
		otd_policy_charge(L, v.text.len / 8);
	} else {
		luaL_argcheck(L, lua_isinteger(L, 2), 2, "a value is a whole number or a text");
		v.number = lua_tointeger(L, 2);
	}
	return no_room(L,
		       c && c->kv ? otd_policy_kv_set(c->kv, st->name, key, &v, ttl) : OTD_E_NOMEM);
}

/* kv.incr(key, seconds [, by]): the new number; nil where there is no room. */
static int k_incr(lua_State *L)
{
	struct policy_state *st = state_of(L);
	const char *key = key_at(L, 1);
	int64_t ttl = otd_policy_seconds(L, 2, OTD_KV_TTL_S), now = 0, until_ms = 0;
	lua_Integer by = luaL_optinteger(L, 3, 1);
	struct policy_call *c = st->call;
	struct otd_policy_kv_value v;
	otd_rc rc = c && c->kv ? OTD_OK : OTD_E_NOMEM;
	/* A shadow goes on from what the one in force has. */
	if (!rc && c->under && otd_policy_kv_look(c->kv, st->name, key, &v, NULL) == 0 &&
	    otd_policy_kv_look(c->under, st->name, key, &v, &until_ms) == 1) {
		int64_t left = (until_ms - otd_wall_ms(st->set->env)) / 1000;
		rc = otd_policy_kv_set(c->kv, st->name, key, &v, left > 0 ? left : 1);
	}
	if (!rc)
		rc = otd_policy_kv_incr(c->kv, st->name, key, by, ttl, &now);
	if (rc == OTD_E_INVALID)
		return luaL_error(L, "kv.incr: '%s' holds a text", key);
	if (rc)
		lua_pushnil(L);
	else
		lua_pushinteger(L, now);
	return 1;
}

void otd_policy_bind_kv(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"get", k_get}, {"incr", k_incr}, {"set", k_set}, {NULL, NULL}};
	luaL_newlib(L, functions);
	lua_setfield(L, -2, "kv");
}
