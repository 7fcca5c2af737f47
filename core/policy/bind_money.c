/*
 * Money in scripts: a userdata of 128-bit base units and an asset, for Lua's integers do not hold it and its
 * floats do not keep it. Amounts of two assets never meet; a product is rounded down; what does not fit is
 * an error.
 */
#include "base/text.h"
#include "policy/internal.h"
#include <stdio.h>
#include <string.h>

#define MONEY "otd.money"

struct money {
	otd_i128 v;
	int asset;
};

int otd_policy_asset(struct policy_state *st, const char *symbol, size_t n)
{
	struct otd_policy_set *set = st->set;
	for (size_t i = 0; i < set->n_assets; i++) {
		if (strlen(set->asset[i].symbol) == n &&
		    memcmp(set->asset[i].symbol, symbol, n) == 0)
			return (int)i;
	}
	if (!set->any_asset || n == 0 || n >= sizeof(set->asset[0].symbol) ||
	    set->n_assets == ASSETS_MAX)
		return -1;
	struct policy_asset *a = &set->asset[set->n_assets++];
	memcpy(a->symbol, symbol, n);
	a->symbol[n] = '\0';
	a->decimals = 8;
	return (int)set->n_assets - 1;
}

void otd_policy_push_money(lua_State *L, otd_i128 v, int asset)
{
	struct money m = {.v = v, .asset = asset};
	/* Lua aligns userdata for its own types, not for 128 bits: copied in and out. */
	memcpy(lua_newuserdatauv(L, sizeof(m), 0), &m, sizeof(m));
	luaL_setmetatable(L, MONEY);
}

bool otd_policy_to_money(lua_State *L, int i, otd_i128 *v, int *asset)
{
	struct money m;
	const void *p = lua_type(L, i) == LUA_TUSERDATA ? luaL_testudata(L, i, MONEY) : NULL;
	if (!p)
		return false;
	memcpy(&m, p, sizeof(m));
	*v = m.v;
	*asset = m.asset;
	return true;
}

static struct money check(lua_State *L, int i)
{
	struct money m = {0};
	if (!otd_policy_to_money(L, i, &m.v, &m.asset))
		luaL_typeerror(L, i, "money");
	return m;
}

static const char *symbol(lua_State *L, const struct money *m)
{
	return state_of(L)->set->asset[m->asset].symbol;
}

/* Both, of one asset. */
static void two(lua_State *L, struct money *a, struct money *b)
{
	otd_policy_charge(L, 4);
	*a = check(L, 1);
	*b = check(L, 2);
	if (a->asset != b->asset)
		luaL_error(L, "money: %s and %s are not of one kind", symbol(L, a), symbol(L, b));
}

static int give(lua_State *L, otd_rc rc, otd_i128 v, int asset)
{
	if (rc)
		return luaL_error(L, "money: the result is too large");
	otd_policy_push_money(L, v, asset);
	return 1;
}

static int n_add(lua_State *L)
{
	struct money a, b;
	otd_i128 v = 0;
	two(L, &a, &b);
	otd_rc rc = otd_i128_add(&v, a.v, b.v);
	return give(L, rc, v, a.asset);
}

static int n_sub(lua_State *L)
{
	struct money a, b;
	otd_i128 v = 0;
	two(L, &a, &b);
	otd_rc rc = otd_i128_sub(&v, a.v, b.v);
	return give(L, rc, v, a.asset);
}

static int n_unm(lua_State *L)
{
	struct money a = check(L, 1);
	otd_i128 v = 0;
	otd_policy_charge(L, 4);
	otd_rc rc = otd_i128_sub(&v, 0, a.v);
	return give(L, rc, v, a.asset);
}

/* An integer, not a float that happens to be whole. */
static lua_Integer whole(lua_State *L, int i, const char *what)
{
	if (!lua_isinteger(L, i))
		luaL_error(L, "money: %s is a whole number, not a %s", what,
			   lua_type(L, i) == LUA_TNUMBER ? "fraction" : luaL_typename(L, i));
	return lua_tointeger(L, i);
}

static int n_mul(lua_State *L)
{
	int at = lua_isuserdata(L, 1) ? 1 : 2;
	struct money a = check(L, at);
	lua_Integer by = whole(L, 3 - at, "a factor");
	otd_i128 v = 0;
	otd_policy_charge(L, 4);
	otd_rc rc = __builtin_mul_overflow(a.v, (otd_i128)by, &v) ? OTD_E_OVERFLOW : OTD_OK;
	return give(L, rc, v, a.asset);
}

/* floor(a * up / down), also of a negative a. */
static otd_rc scale(otd_i128 *out, otd_i128 a, uint64_t up, uint64_t down)
{
	otd_u128 rem = 0;
	bool minus = a < 0;
	otd_i128 v = 0;
	otd_rc rc = minus ? otd_i128_sub(&a, 0, a) : OTD_OK;
	if (!rc)
		rc = otd_i128_muldiv(&v, &rem, a, up, down);
	if (!rc && minus)
		rc = otd_i128_sub(&v, -(otd_i128)(rem != 0), v);
	*out = v;
	return rc;
}

static int n_idiv(lua_State *L)
{
	struct money a = check(L, 1);
	lua_Integer by = whole(L, 2, "a divisor");
	otd_i128 v = 0;
	otd_policy_charge(L, 100);
	luaL_argcheck(L, by > 0, 2, "a divisor is at least 1");
	otd_rc rc = scale(&v, a.v, 1, (uint64_t)by);
	return give(L, rc, v, a.asset);
}

/* m:ppm(n): n parts per million of it, rounded down. */
static int n_ppm(lua_State *L)
{
	struct money a = check(L, 1);
	lua_Integer n = whole(L, 2, "a rate in ppm");
	otd_i128 v = 0;
	otd_policy_charge(L, 100);
	luaL_argcheck(L, n >= 0, 2, "a rate is not negative");
	otd_rc rc = scale(&v, a.v, (uint64_t)n, 1000000);
	return give(L, rc, v, a.asset);
}

static int n_eq(lua_State *L)
{
	struct money a, b;
	two(L, &a, &b);
	lua_pushboolean(L, a.v == b.v);
	return 1;
}

static int n_lt(lua_State *L)
{
	struct money a, b;
	two(L, &a, &b);
	lua_pushboolean(L, a.v < b.v);
	return 1;
}

static int n_le(lua_State *L)
{
	struct money a, b;
	two(L, &a, &b);
	lua_pushboolean(L, a.v <= b.v);
	return 1;
}

/* "0.5 LTC": without the zeros behind, that an amount of 18 decimals may be read. */
static int n_tostring(lua_State *L)
{
	struct money m = check(L, 1);
	char amount[OTD_AMOUNT_TEXT];
	otd_policy_charge(L, 20);
	(void)otd_format_amount(amount, m.v, state_of(L)->set->asset[m.asset].decimals);
	size_t n = strlen(amount);
	if (strchr(amount, '.')) {
		while (amount[n - 1] == '0')
			n--;
		n -= amount[n - 1] == '.';
		amount[n] = '\0';
	}
	lua_pushfstring(L, "%s %s", amount, symbol(L, &m));
	return 1;
}

static int n_concat(lua_State *L)
{
	otd_policy_charge(L, 4);
	(void)otd_policy_tolstring(L, 1, NULL);
	(void)otd_policy_tolstring(L, 2, NULL);
	lua_concat(L, 2);
	return 1;
}

/* m:units(): base units, as an integer where it fits into one, else as a text. */
static int n_units(lua_State *L)
{
	struct money m = check(L, 1);
	char text[OTD_I128_TEXT];
	otd_policy_charge(L, 4);
	if (m.v >= LUA_MININTEGER && m.v <= LUA_MAXINTEGER)
		lua_pushinteger(L, (lua_Integer)m.v);
	else
		lua_pushstring(L, otd_format_i128(text, m.v));
	return 1;
}

static int n_asset(lua_State *L)
{
	struct money m = check(L, 1);
	otd_policy_charge(L, 2);
	lua_pushstring(L, symbol(L, &m));
	return 1;
}

static int n_sign(lua_State *L)
{
	struct money m = check(L, 1);
	otd_policy_charge(L, 2);
	lua_pushinteger(L, m.v < 0 ? -1 : m.v > 0);
	return 1;
}

static int unknown_asset(lua_State *L, const char *s)
{
	return luaL_error(L, "money: '%s' is no coin of this pool's settings", s);
}

/* money("5 ETC"), money(500, "ETC"): base units. */
static int n_money(lua_State *L)
{
	struct policy_state *st = state_of(L);
	size_t n;
	otd_i128 v = 0;
	otd_policy_charge(L, 20);
	if (lua_type(L, 1) == LUA_TSTRING && lua_isnoneornil(L, 2)) {
		const char *s = lua_tolstring(L, 1, &n), *gap = memchr(s, ' ', n);
		if (!gap || n > 100)
			return luaL_error(L, "money: '%s' is no amount and coin, as in \"0.5 LTC\"",
					  s);
		int asset = otd_policy_asset(st, gap + 1, n - (size_t)(gap + 1 - s));
		if (asset < 0)
			return unknown_asset(L, gap + 1);
		if (otd_parse_amount(&v, s, (size_t)(gap - s), st->set->asset[asset].decimals))
			return luaL_error(L, "money: '%s' is no amount with at most %d decimals", s,
					  (int)st->set->asset[asset].decimals);
		return give(L, OTD_OK, v, asset);
	}
	const char *s = luaL_checklstring(L, 2, &n);
	int asset = otd_policy_asset(st, s, n);
	if (asset < 0)
		return unknown_asset(L, s);
	if (lua_type(L, 1) == LUA_TSTRING) {
		const char *units = lua_tolstring(L, 1, &n);
		if (n > 60 || otd_parse_i128(&v, units, n))
			return luaL_error(L, "money: '%s' is no whole number of base units", units);
		return give(L, OTD_OK, v, asset);
	}
	return give(L, OTD_OK, whole(L, 1, "base units"), asset);
}

void otd_policy_bind_money(lua_State *L)
{
	static const luaL_Reg meta[] = {
		{"__add", n_add},       {"__sub", n_sub},   {"__unm", n_unm},
		{"__mul", n_mul},       {"__idiv", n_idiv}, {"__eq", n_eq},
		{"__lt", n_lt},         {"__le", n_le},     {"__tostring", n_tostring},
		{"__concat", n_concat}, {NULL, NULL},
	};
	static const luaL_Reg methods[] = {
		{"asset", n_asset}, {"ppm", n_ppm}, {"sign", n_sign},
		{"units", n_units}, {NULL, NULL},
	};
	(void)luaL_newmetatable(L, MONEY);
	luaL_setfuncs(L, meta, 0);
	luaL_newlib(L, methods);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_pop(L, 1);
	lua_pushcfunction(L, n_money);
	lua_setfield(L, -2, "money");
}
