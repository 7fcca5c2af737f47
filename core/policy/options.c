/*
 * Options of a script: its table `options` declares them as a plugin's table does, the YAML is checked
 * against that by the same code, and the values take the table's place.
 */
#include "base/text.h"
#include "config/yaml.h"
#include "plugin/internal.h"
#include "policy/internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 64
#define SLOT        32 /* bytes of a value, at least sizeof(struct otd_option_list) */

struct declared {
	struct policy_state *st;
	struct otd_option row[OPTIONS_MAX];
	bool money[OPTIONS_MAX];
	uint32_t n;
	struct otd_plugin_arena *arena;
	_Alignas(16) uint8_t value[OPTIONS_MAX * SLOT];
};

/* A copy that lives as long as the arena; raises where memory ran out. */
static const char *keep(lua_State *L, struct declared *d, const char *s, size_t n)
{
	char *to = otd_plugin_arena_alloc(&d->arena, n + 1);
	if (!to)
		luaL_error(L, "options: no memory");
	memcpy(to, s, n);
	to[n] = '\0';
	return to;
}

static uint32_t type_of(lua_State *L, const char *name, const char *word, bool *money)
{
	static const struct {
		const char *word;
		uint32_t type;
	} types[] = {{"bool", OTD_OPT_BOOL},         {"int", OTD_OPT_INT},
		     {"text", OTD_OPT_TEXT},         {"choice", OTD_OPT_CHOICE},
		     {"duration", OTD_OPT_DURATION}, {"size", OTD_OPT_SIZE},
		     {"rate", OTD_OPT_RATE},         {"list", OTD_OPT_LIST},
		     {"money", OTD_OPT_TEXT}};
	for (size_t i = 0; word && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(types[i].word, word) == 0) {
			*money = strcmp(word, "money") == 0;
			return types[i].type;
		}
	}
	return (uint32_t)luaL_error(
		L,
		"options.%s.type: is none of bool int text choice duration size "
		"rate list money",
		name);
}

/* The texts of a list at the top, NULL-terminated. */
static const char *const *read_texts(lua_State *L, struct declared *d, const char *name)
{
	size_t n = lua_istable(L, -1) ? (size_t)lua_rawlen(L, -1) : 0, len;
	if (n == 0 || n > 64)
		luaL_error(L, "options.%s.choices: is no list of 1 to 64 texts", name);
	const char **to = otd_plugin_arena_alloc(&d->arena, (n + 1) * sizeof(*to));
	if (!to)
		luaL_error(L, "options: no memory");
	for (size_t i = 0; i < n; i++) {
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &len) : NULL;
		if (!s)
			luaL_error(L, "options.%s.choices: is no list of texts", name);
		to[i] = keep(L, d, s, len);
		lua_pop(L, 1);
	}
	return to;
}

/* A text in single quotes of YAML, so that it is nothing else; appended to the buffer. */
static void add_quoted(luaL_Buffer *b, const char *s, size_t n)
{
	luaL_addchar(b, '\'');
	for (size_t i = 0; i < n; i++) {
		if (s[i] == '\'')
			luaL_addchar(b, '\'');
		luaL_addchar(b, s[i]);
	}
	luaL_addchar(b, '\'');
}

/* The default at the top as the YAML it would be. */
static const char *read_default(lua_State *L, struct declared *d, const char *name, uint32_t type)
{
	luaL_Buffer b;
	size_t n, items;
	int at = lua_gettop(L);
	const char *s;
	if (lua_isnil(L, at))
		return NULL;
	luaL_buffinit(L, &b);
	if (lua_istable(L, at)) {
		items = (size_t)lua_rawlen(L, at);
		luaL_addchar(&b, '[');
		for (size_t i = 1; i <= items; i++) {
			if (i > 1)
				luaL_addchar(&b, ',');
			lua_rawgeti(L, at, (lua_Integer)i);
			s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
			if (!s)
				luaL_error(L, "options.%s.default: is no list of texts", name);
			s = keep(L, d, s, n);
			lua_pop(L, 1);
			add_quoted(&b, s, n);
		}
		luaL_addchar(&b, ']');
	} else if (lua_isboolean(L, at)) {
		luaL_addstring(&b, lua_toboolean(L, at) ? "true" : "false");
	} else {
		s = lua_isstring(L, at) ? lua_tolstring(L, at, &n) : NULL;
		if (!s)
			luaL_error(L, "options.%s.default: is a %s", name, luaL_typename(L, at));
		if (type == OTD_OPT_TEXT || type == OTD_OPT_CHOICE)
			add_quoted(&b, s, n);
		else
			luaL_addlstring(&b, s, n);
	}
	luaL_pushresult(&b);
	s = lua_tolstring(L, -1, &n);
	s = keep(L, d, s, n);
	lua_pop(L, 1);
	return s;
}

static int64_t read_bound(lua_State *L, const char *name, const char *which, uint32_t type)
{
	int ok = 0;
	int64_t v;
	lua_getfield(L, -1, which);
	v = lua_isnil(L, -1) ? (ok = 1, 0) : lua_tointegerx(L, -1, &ok);
	lua_pop(L, 1);
	if (!ok || v > INT64_MAX / 1000 || v < INT64_MIN / 1000)
		luaL_error(L, "options.%s.%s: is no whole number", name, which);
	return type == OTD_OPT_DURATION ? v * 1000 : v;
}

/* A misspelt key of a declaration. */
static void check_words(lua_State *L, const char *name)
{
	static const char *const words[] = {"type", "default", "help",    "min",
					    "max",  "choices", "required"};
	char hint[OTD_HINT_TEXT];
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		size_t k = 0;
		lua_pop(L, 1);
		while (k < 7 && strcmp(words[k], key) != 0)
			k++;
		if (k == 7)
			luaL_error(L, "options.%s: '%s' is no word of a declaration%s", name, key,
				   otd_nearest_hint(hint, key, words, 7));
	}
}

/* One row; the declaration is on top. */
static void read_row(lua_State *L, struct declared *d, const char *name, size_t n)
{
	struct otd_option *o = &d->row[d->n];
	if (d->n == OPTIONS_MAX)
		luaL_error(L, "options: more than %d", OPTIONS_MAX);
	if (!lua_istable(L, -1))
		luaL_error(L, "options.%s: is no table such as {type=\"rate\", default=\"1%%\"}",
			   name);
	check_words(L, name);
	*o = (struct otd_option){.size = sizeof(*o), .offset = d->n * SLOT};
	o->name = keep(L, d, name, n);
	lua_getfield(L, -1, "type");
	o->type = type_of(L, name, lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL,
			  &d->money[d->n]);
	lua_pop(L, 1);
	lua_getfield(L, -1, "help");
	o->help = lua_type(L, -1) == LUA_TSTRING
			  ? keep(L, d, lua_tostring(L, -1), lua_rawlen(L, -1))
			  : "";
	lua_pop(L, 1);
	if (o->type == OTD_OPT_CHOICE) {
		lua_getfield(L, -1, "choices");
		o->choices = read_texts(L, d, name);
		lua_pop(L, 1);
	}
	lua_getfield(L, -1, "required");
	o->flags = lua_toboolean(L, -1) ? OTD_OPT_REQUIRED : 0;
	lua_pop(L, 1);
	o->min = read_bound(L, name, "min", o->type);
	o->max = read_bound(L, name, "max", o->type);
	if (o->min && !o->max)
		o->max = INT64_MAX;
	lua_getfield(L, -1, "default");
	o->def = read_default(L, d, name, o->type);
	lua_pop(L, 1);
	d->n++;
}

static int read_declared(lua_State *L)
{
	struct declared *d = lua_touserdata(L, 1);
	lua_getfield(L, LUA_REGISTRYINDEX, "env");
	lua_getfield(L, -1, "options");
	if (lua_isnil(L, -1))
		return 0;
	if (!lua_istable(L, -1))
		return luaL_error(L, "options: is a %s, not a table of declarations",
				  luaL_typename(L, -1));
	lua_pushnil(L);
	while (lua_next(L, -2)) {
		size_t n;
		if (lua_type(L, -2) != LUA_TSTRING)
			return luaL_error(L, "options: a name is a %s, not a text",
					  luaL_typename(L, -2));
		const char *name = lua_tolstring(L, -2, &n);
		read_row(L, d, name, n);
		lua_pop(L, 1);
	}
	return 0;
}

static void push_value(lua_State *L, const struct declared *d, uint32_t i)
{
	const struct otd_option *o = &d->row[i];
	const void *at = d->value + o->offset;
	bool on;
	int64_t v;
	const char *s;
	struct otd_option_list list;
	switch (o->type) {
	case OTD_OPT_BOOL:
		memcpy(&on, at, sizeof(on));
		lua_pushboolean(L, on);
		break;
	case OTD_OPT_TEXT:
		memcpy((void *)&s, at, sizeof(s));
		lua_pushstring(L, s);
		break;
	case OTD_OPT_LIST:
		memcpy(&list, at, sizeof(list));
		lua_createtable(L, (int)list.n, 0);
		for (size_t k = 0; k < list.n; k++) {
			lua_pushstring(L, list.item[k]);
			lua_rawseti(L, -2, (lua_Integer)k + 1);
		}
		break;
	case OTD_OPT_CHOICE:
		memcpy(&v, at, sizeof(v));
		lua_pushstring(L, o->choices[v]);
		break;
	default:
		memcpy(&v, at, sizeof(v));
		/* Scripts count seconds. */
		lua_pushinteger(L, o->type == OTD_OPT_DURATION ? v / 1000 : v);
		break;
	}
}

/* Whether the option is said at all: by the YAML or a default. */
static bool is_set(const struct otd_option *o, const struct otd_yaml *map)
{
	return o->def || (map && otd_yaml_kind(map) == OTD_YAML_MAP && otd_yaml_get(map, o->name));
}

struct putting {
	const struct declared *d;
	const struct otd_yaml *map;
	uint32_t at; /* the option in hand, for an error */
};

static int put_values(lua_State *L)
{
	struct putting *p = lua_touserdata(L, 1);
	lua_getfield(L, LUA_REGISTRYINDEX, "env");
	lua_newtable(L);
	for (p->at = 0; p->at < p->d->n; p->at++) {
		if (!is_set(&p->d->row[p->at], p->map))
			continue;
		if (p->d->money[p->at]) {
			lua_getfield(L, LUA_REGISTRYINDEX, "money");
			push_value(L, p->d, p->at);
			lua_call(L, 1, 1);
		} else {
			push_value(L, p->d, p->at);
		}
		lua_setfield(L, -2, p->d->row[p->at].name);
	}
	lua_setfield(L, -2, "options");
	return 0;
}

static otd_rc put(struct policy_state *st, struct declared *d, const struct otd_yaml *map,
		  const char *path, struct otd_err *err)
{
	struct putting p = {.d = d, .map = map};
	bool overrun;
	const struct otd_yaml *y;
	if (otd_policy_protected(st, put_values, &p, st->set->limits.load_units, NULL, &overrun) ==
	    OTD_OK)
		return OTD_OK;
	y = map && p.at < d->n ? otd_yaml_get(map, d->row[p.at].name) : NULL;
	if (y)
		return otd_yaml_fail(err, OTD_E_INVALID, y, "%s.%s: %s", path, d->row[p.at].name,
				     st->last_error);
	return otd_fail(err, OTD_E_INVALID, "%s: options.%s: default: %s", st->file,
			p.at < d->n ? d->row[p.at].name : "", st->last_error);
}

/* The plugins' code knows its plugin by file, kind and id. */
static otd_rc fill(struct policy_state *st, struct declared *d, const struct otd_yaml *map,
		   const char *path, struct otd_err *err)
{
	static const struct otd_plugin_kind kind = {.name = "policy"};
	struct otd_plugin *as = calloc(1, sizeof(*as));
	otd_rc rc;
	if (!as)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", st->file);
	as->kind = &kind;
	as->file = st->file;
	as->desc.id = st->name;
	as->desc.n_options = d->n;
	as->options = d->row;
	rc = otd_plugin_options_fill(d->value, &d->arena, as, map, path, err);
	free(as);
	return rc;
}

otd_rc otd_policy_options(struct policy_state *st, const struct otd_yaml *map, const char *path,
			  struct otd_err *err)
{
	struct declared *d = calloc(1, sizeof(*d));
	bool overrun;
	otd_rc rc = OTD_OK;
	if (!d)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", st->file);
	if (map && otd_yaml_is_plain_null(map))
		map = NULL;
	d->st = st;
	rc = otd_policy_protected(st, read_declared, d, st->set->limits.load_units, NULL, &overrun);
	if (rc)
		rc = otd_fail(err, rc, "%s: %s", st->file, st->last_error);
	if (!rc)
		rc = fill(st, d, map, path, err);
	if (!rc)
		rc = put(st, d, map, path, err);
	otd_plugin_arena_free(d->arena);
	free(d);
	return rc;
}
