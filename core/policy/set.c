/* A set of scripts: read, compiled, checked, tested; then ready to be asked. */
#include "base/text.h"
#include "policy/internal.h"
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE 256 /* bytes of a text that Lua compiles at a time */

otd_rc otd_policy_read(struct otd_bytes *out, struct otd_env *e, const char *file,
		       struct otd_err *err)
{
	const struct otd_files *f = e->files;
	struct otd_file *h;
	uint64_t size = 0;
	size_t got = 0;
	otd_rc rc = f->open(f->ctx, &h, file, OTD_OPEN_READ);
	otd_bytes_clear(out);
	if (rc)
		return otd_fail(err, rc, "%s: cannot be read: %s", file, f->last_error(f->ctx));
	rc = f->length(f->ctx, h, &size);
	if (!rc && size > OTD_POLICY_TEXT_MAX)
		rc = otd_fail(err, OTD_E_RANGE, "%s: has more than %u bytes", file,
			      OTD_POLICY_TEXT_MAX);
	else if (rc)
		rc = otd_fail(err, rc, "%s: %s", file, f->last_error(f->ctx));
	while (!rc && out->len < size) {
		uint8_t *to = otd_bytes_room(out, size - out->len);
		if (!to)
			rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory", file);
		else if (f->read(f->ctx, h, &got, to, size - out->len, out->len))
			rc = otd_fail(err, OTD_E_IO, "%s: %s", file, f->last_error(f->ctx));
		else if (got == 0)
			break; /* it became shorter meanwhile */
		else
			out->len += got;
	}
	f->close(f->ctx, h);
	return rc;
}

/* --- a state --- */

static int open_libraries(lua_State *L)
{
	lua_newtable(L);
	otd_policy_bind_base(L);
	otd_policy_bind_string(L);
	otd_policy_bind_table(L);
	otd_policy_bind_math(L);
	otd_policy_bind_money(L);
	otd_policy_bind_host(L);
	otd_policy_bind_kv(L);
	lua_getfield(L, -1, "money");
	lua_setfield(L, LUA_REGISTRYINDEX, "money");
	lua_setfield(L, LUA_REGISTRYINDEX, "env");
	return 0;
}

struct loading {
	struct policy_state *st;
	const struct otd_policy_script *script;
	size_t at; /* read so far */
};

/*
 * The text in small pieces: no hook runs while Lua compiles, and a chain of some ten thousand "or" takes it
 * seconds, so the time is looked at here.
 */
static const char *next_piece(lua_State *L, void *arg, size_t *n)
{
	struct loading *l = arg;
	const char *piece = (const char *)l->script->text.ptr + l->at;
	*n = l->script->text.len - l->at < PIECE ? l->script->text.len - l->at : PIECE;
	l->at += *n;
	otd_policy_charge(L, *n);
	otd_policy_check_time(L);
	return *n ? piece : NULL;
}

static int run_text(lua_State *L)
{
	struct loading *l = lua_touserdata(L, 1);
	lua_pushfstring(L, "@%s", l->st->file);
	if (lua_load(L, next_piece, l, lua_tostring(L, -1), "t"))
		return l->st->stop ? otd_policy_raise_stop(L) : lua_error(L);
	lua_getfield(L, LUA_REGISTRYINDEX, "env");
	(void)lua_setupvalue(L, -2, 1);
	lua_call(L, 0, 0);
	return 0;
}

/* A global function whose name is nearly that of a hook is a mistake that would not be noticed. */
static void check_name(lua_State *L, const char *name)
{
	const char *names[OTD_HOOKS + 1];
	char hint[OTD_HINT_TEXT];
	size_t n = 0;
	for (; n < OTD_HOOKS; n++) {
		names[n] = otd_policy_hook_name((enum otd_policy_hook)n);
		if (strcmp(names[n], name) == 0)
			return;
	}
	names[n++] = "selftest";
	if (strcmp(name, "selftest") == 0)
		return;
	const char *near = strlen(name) >= 8 ? otd_nearest(name, names, n) : NULL;
	if (strncmp(name, "on_", 3) == 0 || near)
		luaL_error(L, "there is no hook '%s'%s", name,
			   otd_nearest_hint(hint, name, names, n));
}

/* Takes the hooks of this set's sides into the registry. */
static int find_hooks(lua_State *L)
{
	struct policy_state *st = lua_touserdata(L, 1);
	bool any = false;
	lua_getfield(L, LUA_REGISTRYINDEX, "env");
	lua_pushnil(L);
	while (lua_next(L, 2)) {
		if (lua_type(L, -2) == LUA_TSTRING && lua_isfunction(L, -1))
			check_name(L, lua_tostring(L, -2));
		lua_pop(L, 1);
	}
	for (int h = 0; h < OTD_HOOKS; h++) {
		const char *name = otd_policy_hook_name((enum otd_policy_hook)h);
		lua_getfield(L, 2, name);
		if (!lua_isnil(L, -1) && !lua_isfunction(L, -1))
			return luaL_error(L, "%s: is a %s, not a function", name,
					  luaL_typename(L, -1));
		any = any || !lua_isnil(L, -1);
		if (lua_isnil(L, -1) || !(otd_policy_hook_info[h].side & st->set->sides)) {
			lua_pop(L, 1);
			continue;
		}
		st->hook[h].ref = luaL_ref(L, LUA_REGISTRYINDEX);
		st->hook[h].status.has = true;
	}
	if (!any)
		return luaL_error(L, "it has none of the hooks, such as function fee(a) ... end");
	return 0;
}

static int run_selftest(lua_State *L)
{
	struct policy_state *st = lua_touserdata(L, 1);
	lua_getfield(L, LUA_REGISTRYINDEX, "env");
	lua_getfield(L, -1, "selftest");
	if (lua_isnil(L, -1))
		return 0;
	st->tested = true;
	lua_call(L, 0, 1);
	if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
		return luaL_error(L, "selftest() says false");
	(void)lua_gc(L, LUA_GCCOLLECT);
	return 0;
}

/* fees.lua of a/b/fees.lua is "fees". */
static otd_rc name_of(struct policy_state *st, struct otd_err *err)
{
	const char *slash = strrchr(st->file, '/'), *base = slash ? slash + 1 : st->file;
	size_t n = strlen(base);
	if (n > 4 && strcmp(base + n - 4, ".lua") == 0)
		n -= 4;
	for (size_t i = 0; i < n; i++) {
		char c = base[i];
		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_'))
			n = 0;
	}
	if (n == 0 || n > OTD_POLICY_NAME_MAX)
		return otd_fail(err, OTD_E_INVALID,
				"%s: a script's name has 1 to %d letters, digits, '-' and '_'",
				st->file, OTD_POLICY_NAME_MAX);
	memcpy(st->name, base, n);
	st->name[n] = '\0';
	return OTD_OK;
}

static otd_rc keep_texts(struct policy_state *st, const struct otd_policy_script *s,
			 struct otd_err *err)
{
	uint8_t digest[32];
	st->file = strdup(s->file);
	st->pools = calloc(s->n_pools ? s->n_pools : 1, sizeof(*st->pools));
	if (!st->file || !st->pools)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", s->file);
	for (size_t i = 0; i < s->n_pools; i++) {
		st->pools[i] = strdup(s->pools[i]);
		if (!st->pools[i])
			return otd_fail(err, OTD_E_NOMEM, "%s: no memory", s->file);
		st->n_pools++;
	}
	otd_sha256(digest, s->text.ptr, s->text.len);
	otd_hex_encode(st->digest, digest, sizeof(digest));
	return name_of(st, err);
}

/* One step; what the script says is wrong names its line already. */
static otd_rc step(struct policy_state *st, lua_CFunction fn, void *ctx, struct policy_call *call,
		   struct otd_err *err)
{
	bool overrun;
	otd_rc rc = otd_policy_protected(st, fn, ctx, st->set->limits.load_units, call, &overrun);
	size_t n = strlen(st->file);
	if (rc == OTD_OK)
		return OTD_OK;
	if (strncmp(st->last_error, st->file, n) == 0 || strncmp(st->last_error, "...", 3) == 0)
		return otd_fail(err, rc, "%s", st->last_error);
	return otd_fail(err, rc, "%s: %s", st->file, st->last_error);
}

static otd_rc selftest(struct policy_state *st, struct otd_err *err)
{
	struct policy_call call = {.inert = true};
	otd_rc rc = otd_policy_kv_create(&call.kv, st->set->env, 1024, NULL, NULL);
	if (rc)
		return otd_fail(err, rc, "%s: no memory", st->file);
	rc = step(st, run_selftest, st, &call, err);
	otd_policy_kv_destroy(call.kv);
	return rc;
}

static otd_rc build_state(struct policy_state *st, const struct otd_policy_script *s,
			  struct otd_err *err)
{
	struct loading l = {st, s, 0};
	otd_rc rc = keep_texts(st, s, err);
	if (rc)
		return rc;
	if (s->text.len > OTD_POLICY_TEXT_MAX)
		return otd_fail(err, OTD_E_RANGE, "%s: has more than %u bytes", s->file,
				OTD_POLICY_TEXT_MAX);
	st->cap = st->set->limits.memory;
	st->L = lua_newstate(otd_policy_alloc, st);
	if (!st->L)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory for a script's state", s->file);
	*(struct policy_state **)lua_getextraspace(st->L) = st;
	rc = step(st, open_libraries, st, NULL, err);
	if (!rc)
		rc = step(st, run_text, &l, NULL, err);
	if (!rc)
		rc = otd_policy_options(st, s->options, s->path ? s->path : st->name, err);
	if (!rc)
		rc = step(st, find_hooks, st, NULL, err);
	if (!rc)
		rc = selftest(st, err);
	st->last_error[0] = '\0';
	return rc;
}

/* --- the set --- */

static otd_rc add_asset(struct otd_policy_set *set, const char *symbol, unsigned decimals,
			struct otd_err *err)
{
	struct policy_asset *a;
	for (size_t i = 0; i < set->n_assets; i++) {
		if (strcmp(set->asset[i].symbol, symbol) == 0)
			return OTD_OK;
	}
	if (set->n_assets == ASSETS_MAX || strlen(symbol) >= sizeof(a->symbol) || !symbol[0] ||
	    decimals > 36)
		return otd_fail(err, OTD_E_RANGE,
				"policy: the coin '%s' is none that scripts can name", symbol);
	a = &set->asset[set->n_assets++];
	memcpy(a->symbol, symbol, strlen(symbol) + 1);
	a->decimals = (uint8_t)decimals;
	return OTD_OK;
}

static void set_limits(struct otd_policy_limits *l)
{
	l->memory = l->memory ? l->memory : 4u << 20;
	l->call_units = l->call_units ? l->call_units : 200000;
	l->load_units = l->load_units ? l->load_units : 2000000;
	l->call_ns = l->call_ns ? l->call_ns : 3000000;
}

otd_rc otd_policy_set_create(struct otd_policy_set **out, const struct otd_policy_build *b,
			     struct otd_err *err)
{
	struct otd_policy_set *set = calloc(1, sizeof(*set));
	otd_rc rc = OTD_OK;
	*out = NULL;
	if (!set || b->n_scripts > OTD_POLICY_SCRIPTS_MAX) {
		free(set);
		return otd_fail(err, set ? OTD_E_RANGE : OTD_E_NOMEM,
				set ? "policy: more than %d scripts" : "policy: no memory",
				OTD_POLICY_SCRIPTS_MAX);
	}
	set->env = b->env;
	set->sides = b->sides;
	set->limits = b->limits;
	set->cpu_ns = b->cpu_ns;
	set->any_asset = b->any_asset;
	set_limits(&set->limits);
	rc = add_asset(set, "TEST", 8, err);
	for (size_t i = 0; !rc && i < b->n_assets; i++)
		rc = add_asset(set, b->assets[i].symbol, b->assets[i].decimals, err);
	set->state = calloc(b->n_scripts ? b->n_scripts : 1, sizeof(*set->state));
	if (!rc && !set->state)
		rc = otd_fail(err, OTD_E_NOMEM, "policy: no memory");
	for (size_t i = 0; !rc && i < b->n_scripts; i++) {
		struct policy_state *st = &set->state[set->n_states++];
		st->set = set;
		for (int h = 0; h < OTD_HOOKS; h++)
			st->hook[h].ref = LUA_NOREF;
		st->fail_at = b->fail_at;
		rc = build_state(st, &b->scripts[i], err);
		st->fail_at = 0;
	}
	if (rc) {
		otd_policy_set_destroy(set);
		return rc;
	}
	*out = set;
	return OTD_OK;
}

void otd_policy_set_destroy(struct otd_policy_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; i < set->n_states; i++) {
		struct policy_state *st = &set->state[i];
		if (st->L)
			lua_close(st->L);
		for (size_t k = 0; k < st->n_pools; k++)
			free(st->pools[k]);
		free(st->pools);
		free(st->file);
	}
	free(set->state);
	free(set);
}

size_t otd_policy_set_count(const struct otd_policy_set *s)
{
	return s ? s->n_states : 0;
}

void otd_policy_set_status(const struct otd_policy_set *s, size_t i,
			   struct otd_policy_script_status *out)
{
	const struct policy_state *st = &s->state[i];
	*out = (struct otd_policy_script_status){
		.name = st->name,
		.file = st->file,
		.digest = st->digest,
		.memory = st->used,
		.tested = st->tested,
		.last_error = st->last_error,
	};
	for (int h = 0; h < OTD_HOOKS; h++)
		out->hook[h] = st->hook[h].status;
}
