/*
 * Strings. No patterns: find looks for a plain text, glob knows * and ? only; each costs by the bytes that
 * it looks at, and nothing here makes a string of more than STRING_MAX bytes.
 */
#include "policy/internal.h"
#include <stdio.h>
#include <string.h>

void otd_policy_string_size(lua_State *L, uint64_t n)
{
	if (n > STRING_MAX) {
		luaL_error(L, "a string of %I bytes: at most %d", (LUAI_UACINT)n, STRING_MAX);
		return;
	}
	otd_policy_charge(L, 4 + n / 16);
}

/* The text at arg, which must be a string or number; charges for reading it. */
static const char *text(lua_State *L, int arg, size_t *n)
{
	const char *s = luaL_checklstring(L, arg, n);
	otd_policy_charge(L, 2 + *n / 32);
	return s;
}

/* From 1, or from the end where negative: to 0 .. n. */
static size_t start_at(lua_Integer i, size_t n)
{
	if (i > 0)
		return (size_t)i - 1 > n ? n : (size_t)i - 1;
	if (i == 0 || i < -(lua_Integer)n)
		return 0;
	return n - (size_t)-i;
}

static size_t end_at(lua_Integer i, size_t n)
{
	if (i > (lua_Integer)n)
		return n;
	if (i >= 0)
		return (size_t)i;
	return i < -(lua_Integer)n ? 0 : n - (size_t)-i + 1;
}

static int s_len(lua_State *L)
{
	size_t n;
	(void)luaL_checklstring(L, 1, &n);
	otd_policy_charge(L, 1);
	lua_pushinteger(L, (lua_Integer)n);
	return 1;
}

static int s_sub(lua_State *L)
{
	size_t n, from, to;
	const char *s = luaL_checklstring(L, 1, &n);
	from = start_at(luaL_checkinteger(L, 2), n);
	to = end_at(luaL_optinteger(L, 3, -1), n);
	otd_policy_string_size(L, to > from ? to - from : 0);
	lua_pushlstring(L, s + from, to > from ? to - from : 0);
	return 1;
}

static int change_case(lua_State *L, char first, char last)
{
	size_t n;
	const char *s = luaL_checklstring(L, 1, &n);
	luaL_Buffer b;
	char *to;
	otd_policy_string_size(L, n);
	to = luaL_buffinitsize(L, &b, n);
	for (size_t i = 0; i < n; i++)
		to[i] = (char)(s[i] >= first && s[i] <= last ? s[i] ^ 0x20 : s[i]);
	luaL_pushresultsize(&b, n);
	return 1;
}

static int s_upper(lua_State *L)
{
	return change_case(L, 'a', 'z');
}

static int s_lower(lua_State *L)
{
	return change_case(L, 'A', 'Z');
}

static int s_rep(lua_State *L)
{
	size_t n, n_sep;
	const char *s = luaL_checklstring(L, 1, &n);
	lua_Integer times = luaL_checkinteger(L, 2);
	const char *sep = luaL_optlstring(L, 3, "", &n_sep);
	luaL_Buffer b;
	if (times <= 0) {
		lua_pushliteral(L, "");
		return 1;
	}
	/* Both factors are bounded before they meet. */
	if (n + n_sep && (uint64_t)times > STRING_MAX / (n + n_sep) + 1)
		otd_policy_string_size(L, UINT64_MAX >> 1);
	if (n + n_sep == 0)
		times = 0;
	otd_policy_string_size(L, times ? (uint64_t)times * (n + n_sep) - n_sep : 0);
	otd_policy_charge(L, (uint64_t)times / 4);
	(void)luaL_buffinitsize(L, &b, (size_t)times * (n + n_sep));
	for (lua_Integer i = 0; i < times; i++) {
		if (i)
			luaL_addlstring(&b, sep, n_sep);
		luaL_addlstring(&b, s, n);
	}
	luaL_pushresult(&b);
	return 1;
}

static int s_reverse(lua_State *L)
{
	size_t n;
	const char *s = luaL_checklstring(L, 1, &n);
	luaL_Buffer b;
	char *to;
	otd_policy_string_size(L, n);
	to = luaL_buffinitsize(L, &b, n);
	for (size_t i = 0; i < n; i++)
		to[i] = s[n - 1 - i];
	luaL_pushresultsize(&b, n);
	return 1;
}

static int s_byte(lua_State *L)
{
	size_t n, from, to;
	const char *s = luaL_checklstring(L, 1, &n);
	lua_Integer i = luaL_optinteger(L, 2, 1);
	from = start_at(i, n);
	to = end_at(luaL_optinteger(L, 3, i), n);
	otd_policy_charge(L, 2);
	if (from >= to)
		return 0;
	if (to - from > 200)
		return luaL_error(L, "byte: more than 200 values");
	luaL_checkstack(L, (int)(to - from), "too many values");
	for (size_t k = from; k < to; k++)
		lua_pushinteger(L, (unsigned char)s[k]);
	return (int)(to - from);
}

static int s_char(lua_State *L)
{
	int n = lua_gettop(L);
	luaL_Buffer b;
	char *to;
	otd_policy_string_size(L, (uint64_t)n);
	to = luaL_buffinitsize(L, &b, (size_t)n);
	for (int i = 1; i <= n; i++) {
		lua_Integer c = luaL_checkinteger(L, i);
		luaL_argcheck(L, c >= 0 && c <= 255, i, "value out of range");
		to[i - 1] = (char)c;
	}
	luaL_pushresultsize(&b, (size_t)n);
	return 1;
}

/* find(s, what [, from]): a plain text. */
static int s_find(lua_State *L)
{
	size_t n, n_what, from;
	const char *s = text(L, 1, &n), *what = text(L, 2, &n_what), *at;
	from = start_at(luaL_optinteger(L, 3, 1), n);
	/* memmem takes time in the sum of both. */
	otd_policy_charge(L, (n + n_what) / 4);
	at = n_what ? memmem(s + from, n - from, what, n_what) : s + from;
	if (!at) {
		lua_pushnil(L);
		return 1;
	}
	lua_pushinteger(L, at - s + 1);
	lua_pushinteger(L, at - s + (lua_Integer)n_what);
	return 2;
}

static int s_starts(lua_State *L)
{
	size_t n, m;
	const char *s = text(L, 1, &n), *with = text(L, 2, &m);
	lua_pushboolean(L, m <= n && memcmp(s, with, m) == 0);
	return 1;
}

static int s_ends(lua_State *L)
{
	size_t n, m;
	const char *s = text(L, 1, &n), *with = text(L, 2, &m);
	lua_pushboolean(L, m <= n && memcmp(s + n - m, with, m) == 0);
	return 1;
}

/* glob(s, pattern): * any bytes, ? one. Goes back to the last star only: at most n * m steps. */
static int s_glob(lua_State *L)
{
	size_t n, m, i = 0, k = 0, star = SIZE_MAX, back = 0, steps = 0;
	const char *s = text(L, 1, &n), *p = text(L, 2, &m);
	while (i < n) {
		if ((++steps & 63) == 0)
			otd_policy_charge(L, 16);
		if (k < m && p[k] == '*') {
			star = k++;
			back = i;
		} else if (k < m && (p[k] == '?' || p[k] == s[i])) {
			i++, k++;
		} else if (star != SIZE_MAX) {
			k = star + 1;
			i = ++back;
		} else {
			break;
		}
	}
	while (k < m && p[k] == '*')
		k++;
	lua_pushboolean(L, i == n && k == m);
	return 1;
}

static bool blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static int s_trim(lua_State *L)
{
	size_t n, from = 0;
	const char *s = text(L, 1, &n);
	while (from < n && blank(s[from]))
		from++;
	while (n > from && blank(s[n - 1]))
		n--;
	lua_pushlstring(L, s + from, n - from);
	return 1;
}

/* split(s, sep): a list of the texts between. */
static int s_split(lua_State *L)
{
	size_t n, m;
	const char *s = text(L, 1, &n), *sep = text(L, 2, &m), *end = s + n, *at;
	lua_Integer i = 0;
	luaL_argcheck(L, m > 0, 2, "is empty");
	lua_newtable(L);
	for (;;) {
		at = memmem(s, (size_t)(end - s), sep, m);
		otd_policy_charge(L, 4 + (size_t)((at ? at : end) - s + (lua_Integer)m) / 8);
		lua_pushlstring(L, s, (size_t)((at ? at : end) - s));
		lua_rawseti(L, -2, ++i);
		if (!at)
			return 1;
		s = at + m;
	}
}

/* --- format --- */

/* %[flags][width][.precision]: copies it into spec, returns the letter. */
static char read_spec(lua_State *L, char spec[32], const char **p, const char *end)
{
	const char *s = *p;
	size_t n = 0, digits;
	while (s < end && *s && strchr("-+ #0", *s) && n < 5)
		s++, n++;
	digits = 0;
	while (s < end && *s >= '0' && *s <= '9' && digits < 2)
		s++, digits++;
	if (s < end && *s == '.') {
		s++;
		digits = 0;
		while (s < end && *s >= '0' && *s <= '9' && digits < 2)
			s++, digits++;
	}
	if (s >= end || !*s || !strchr("dicuxXoeEfFgGsq", *s)) {
		luaL_error(L, "format: '%%%s' is no form; there are d i u c x X o e E f F g G s q",
			   *p);
		return 0;
	}
	n = (size_t)(s - *p);
	spec[0] = '%';
	memcpy(spec + 1, *p, n);
	spec[n + 1] = '\0';
	*p = s + 1;
	return *s;
}

static void add_number(lua_State *L, luaL_Buffer *b, const char *spec, char letter, int arg)
{
	char form[40], out[512];
	int n;
	if (strchr("eEfFgG", letter)) {
		/* Hundreds of digits are slow to make. */
		otd_policy_charge(L, 200);
		(void)snprintf(form, sizeof(form), "%s%c", spec, letter);
		n = snprintf(out, sizeof(out), form, luaL_checknumber(L, arg));
	} else {
		if (letter == 'u' || letter == 'i')
			letter = 'd';
		(void)snprintf(form, sizeof(form), "%s%s%c", spec, letter == 'c' ? "" : "ll",
			       letter);
		lua_Integer v = luaL_checkinteger(L, arg);
		n = letter == 'c' ? snprintf(out, sizeof(out), form, (int)(v & 255))
				  : snprintf(out, sizeof(out), form, (long long)v);
	}
	if (n > 0)
		luaL_addlstring(b, out, (size_t)n < sizeof(out) ? (size_t)n : sizeof(out) - 1);
}

static void add_quoted(luaL_Buffer *b, const char *s, size_t n)
{
	luaL_addchar(b, '"');
	for (size_t i = 0; i < n; i++) {
		char code[8];
		if (s[i] == '"' || s[i] == '\\') {
			luaL_addchar(b, '\\');
			luaL_addchar(b, s[i]);
		} else if ((unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
			(void)snprintf(code, sizeof(code), "\\%03d", s[i]);
			luaL_addstring(b, code);
		} else {
			luaL_addchar(b, s[i]);
		}
	}
	luaL_addchar(b, '"');
}

/* Replaces value arg by its text, below the buffer, and adds that. Returns its bytes. */
static size_t add_text(lua_State *L, luaL_Buffer *b, const char *spec, char letter, int arg)
{
	size_t n;
	const char *s = lua_tolstring(L, arg, &n);
	char form[40], out[512];
	otd_policy_string_size(L, n);
	if (letter == 'q') {
		add_quoted(b, s, n);
		return 4 * n;
	}
	if (spec[1] == '\0' || n >= 100) {
		luaL_addlstring(b, s, n);
		return n;
	}
	(void)snprintf(form, sizeof(form), "%ss", spec);
	int k = snprintf(out, sizeof(out), form, s);
	luaL_addlstring(b, out, k > 0 && (size_t)k < sizeof(out) ? (size_t)k : 0);
	return k > 0 ? (size_t)k : 0;
}

/* %s and %q take any value; they become texts before the buffer stands on the stack. */
static void texts_first(lua_State *L, const char *f, const char *end)
{
	int arg = 1;
	char spec[32];
	while (f < end) {
		if (*f++ != '%')
			continue;
		if (f < end && *f == '%') {
			f++;
			continue;
		}
		char letter = read_spec(L, spec, &f, end);
		luaL_checkany(L, ++arg);
		if (letter == 's' || letter == 'q') {
			(void)otd_policy_tolstring(L, arg, NULL);
			lua_replace(L, arg);
		}
	}
}

static int s_format(lua_State *L)
{
	size_t n, sum = 0;
	const char *f = text(L, 1, &n), *end = f + n;
	int arg = 1;
	char spec[32];
	luaL_Buffer b;
	texts_first(L, f, end);
	luaL_buffinit(L, &b);
	while (f < end) {
		if (*f != '%' || (f + 1 < end && f[1] == '%')) {
			luaL_addchar(&b, *f);
			f += *f == '%' ? 2 : 1;
			sum++;
			continue;
		}
		f++;
		char letter = read_spec(L, spec, &f, end);
		arg++;
		otd_policy_charge(L, 10);
		if (letter == 's' || letter == 'q') {
			sum += add_text(L, &b, spec, letter, arg);
		} else {
			add_number(L, &b, spec, letter, arg);
			sum += 32;
		}
		if (sum > 2 * STRING_MAX)
			otd_policy_string_size(L, sum);
	}
	otd_policy_string_size(L, luaL_bufflen(&b));
	luaL_pushresult(&b);
	return 1;
}

void otd_policy_bind_string(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"byte", s_byte},       {"char", s_char},     {"ends", s_ends},
		{"find", s_find},       {"format", s_format}, {"glob", s_glob},
		{"len", s_len},         {"lower", s_lower},   {"rep", s_rep},
		{"reverse", s_reverse}, {"split", s_split},   {"starts", s_starts},
		{"sub", s_sub},         {"trim", s_trim},     {"upper", s_upper},
		{NULL, NULL},
	};
	luaL_newlib(L, functions);
	/* ("x"):rep(3): the strings' own metatable shows the same list, and cannot be had. */
	lua_pushliteral(L, "");
	lua_newtable(L);
	lua_pushvalue(L, -3);
	lua_setfield(L, -2, "__index");
	lua_pushboolean(L, 0);
	lua_setfield(L, -2, "__metatable");
	lua_setmetatable(L, -2);
	lua_pop(L, 1);
	lua_setfield(L, -2, "string");
}
