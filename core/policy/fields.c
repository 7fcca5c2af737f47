/* From structs to Lua and JSON, and from an answer in Lua to a struct. */
#include "policy/fields.h"
#include "base/text.h"
#include "policy/internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const void *member(const void *in, const struct field *f)
{
	return (const uint8_t *)in + f->offset;
}

static struct otd_u256 u256_at(const void *in, size_t at)
{
	struct otd_u256 v = otd_u256_zero();
	if (at != NO_FIELD)
		memcpy(&v, (const uint8_t *)in + at, sizeof(v));
	return v;
}

static const char *text_at(const void *in, size_t at)
{
	const char *s = NULL;
	if (at != NO_FIELD)
		memcpy((void *)&s, (const uint8_t *)in + at, sizeof(s));
	return s;
}

static size_t count_of(const void *in, const struct field *f)
{
	size_t n;
	memcpy(&n, (const uint8_t *)in + f->count_at, sizeof(n));
	return n > f->max ? f->max : n;
}

/* Item 0; the others follow by sub->size. */
static const uint8_t *items_of(const void *in, const struct field *f)
{
	const uint8_t *p;
	if (f->type == FIELD_ARRAY)
		return member(in, f);
	memcpy((void *)&p, member(in, f), sizeof(p));
	return p;
}

const char *otd_policy_from_name(enum otd_policy_from f)
{
	static const char *const name[] = {"host", "script", "fallback"};
	return (unsigned)f < 3 ? name[f] : "unknown";
}

/* --- to Lua --- */

/* An integer where it is exact in both forms, else the nearest number. */
static void push_work(lua_State *L, otd_u128 work, int64_t seconds)
{
	work /= seconds > 0 ? (otd_u128)seconds : 1;
	if (work < (otd_u128)1 << 53)
		lua_pushinteger(L, (lua_Integer)work);
	else
		lua_pushnumber(L, (lua_Number)work);
}

/* The decimal of a target: kept, for making one takes longer than the rest of a call. */
static const char *decimal(struct policy_state *st, struct otd_u256 target, struct otd_u256 diff1)
{
	size_t i = 0;
	while (i < DIFFICULTIES && (otd_u256_cmp(st->difficulty[i].target, target) != 0 ||
				    otd_u256_cmp(st->difficulty[i].diff1, diff1) != 0))
		i++;
	if (i < DIFFICULTIES)
		return st->difficulty[i].text;
	i = st->next_difficulty++ % DIFFICULTIES;
	st->difficulty[i].target = target;
	st->difficulty[i].diff1 = diff1;
	return otd_difficulty_format(st->difficulty[i].text, target, diff1);
}

static void push_difficulty(lua_State *L, struct otd_u256 target, struct otd_u256 diff1)
{
	if (lua_stringtonumber(L, decimal(state_of(L), target, diff1)) == 0)
		lua_pushinteger(L, 0);
}

static void push_list(lua_State *L, const struct field *f, const void *in, int asset)
{
	size_t n = count_of(in, f);
	const uint8_t *item = items_of(in, f);
	lua_createtable(L, (int)n, 0);
	for (size_t i = 0; i < n; i++) {
		otd_policy_push_fields(L, f->sub, item + i * f->sub->size, asset);
		lua_rawseti(L, -2, (lua_Integer)i + 1);
	}
}

static int word_of(const struct field *f, const void *in)
{
	int v;
	memcpy(&v, member(in, f), sizeof(v));
	return v - f->first;
}

/* False: it is left out. */
static bool push_one(lua_State *L, const struct fields *t, const struct field *f, const void *in,
		     int asset)
{
	const void *at = member(in, f);
	union {
		int64_t i;
		otd_i128 money;
		otd_u128 work;
		bool on;
	} v;
	struct otd_u256 target;
	switch (f->type) {
	case FIELD_TEXT:
		if (text_at(in, f->offset))
			lua_pushstring(L, text_at(in, f->offset));
		return text_at(in, f->offset) != NULL;
	case FIELD_INT:
		memcpy(&v.i, at, sizeof(v.i));
		lua_pushinteger(L, v.i);
		return true;
	case FIELD_BOOL:
		memcpy(&v.on, at, sizeof(v.on));
		lua_pushboolean(L, v.on);
		return true;
	case FIELD_MONEY:
		memcpy(&v.money, at, sizeof(v.money));
		if (asset >= 0)
			otd_policy_push_money(L, v.money, asset);
		return asset >= 0;
	case FIELD_WORK:
		memcpy(&v.work, at, sizeof(v.work));
		push_work(L, v.work, f->seconds);
		return true;
	case FIELD_TARGET:
		target = u256_at(in, f->offset);
		if (!otd_u256_is_zero(target))
			push_difficulty(L, target, u256_at(in, t->diff1_at));
		return !otd_u256_is_zero(target);
	case FIELD_CHOICE: lua_pushstring(L, f->words[word_of(f, in)]); return true;
	case FIELD_LIST:
	case FIELD_ARRAY: push_list(L, f, in, asset); return true;
	default: return false;
	}
}

void otd_policy_push_fields(lua_State *L, const struct fields *t, const void *in, int asset)
{
	const char *symbol = text_at(in, t->asset_at);
	luaL_checkstack(L, 8, "too deep");
	if (symbol)
		asset = otd_policy_asset(state_of(L), symbol, strlen(symbol));
	if (symbol && asset < 0)
		luaL_error(L, "money: '%s' is no coin of this pool's settings", symbol);
	lua_createtable(L, 0, (int)t->n);
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->field[i];
		if (f->lua && !f->lua[0])
			continue;
		if (push_one(L, t, f, in, asset))
			lua_setfield(L, -2, f->lua ? f->lua : f->name);
	}
}

/* --- an answer --- */

struct answer {
	const struct otd_policy_hook_info *info;
	void *out;
	const void *in;
};

static int read_word(lua_State *L, const struct field *f)
{
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
	const char *names[16];
	char hint[OTD_HINT_TEXT];
	size_t n = 0;
	for (; f->words[n] && n < 16; n++) {
		if (s && strcmp(f->words[n], s) == 0)
			return (int)n;
		names[n] = f->words[n];
	}
	if (!s)
		return luaL_error(L, "%s: is a %s, not a word", f->name, luaL_typename(L, -1));
	return luaL_error(L, "%s: '%s' is no word for it%s", f->name, s,
			  otd_nearest_hint(hint, s, names, n));
}

static int64_t read_int(lua_State *L, const struct answer *a, const struct field *f)
{
	int ok = 0;
	int64_t v = lua_type(L, -1) == LUA_TNUMBER ? lua_tointegerx(L, -1, &ok) : 0;
	int64_t high = f->high, bound = 0;
	if (!ok)
		luaL_error(L, "%s: is not a whole number", f->name);
	if (f->high_at) {
		memcpy(&bound, (const uint8_t *)a->in + f->high_at, sizeof(bound));
		if (bound > 0 && bound < high)
			high = bound;
	}
	return v < f->low ? f->low : v > high ? high : v;
}

/* A difficulty, moved between the limits of the input. */
static struct otd_u256 read_target(lua_State *L, const struct answer *a, const struct field *f)
{
	const struct fields *t = &a->info->in;
	struct otd_u256 v, min = u256_at(a->in, t->min_at), max = u256_at(a->in, t->max_at);
	struct otd_u256 diff1 = u256_at(a->in, t->diff1_at);
	char text[48];
	if (lua_type(L, -1) != LUA_TNUMBER)
		luaL_error(L, "%s: is a %s, not a number", f->lua, luaL_typename(L, -1));
	(void)snprintf(text, sizeof(text), "%.17g", lua_tonumber(L, -1));
	if (otd_difficulty_parse(&v, text, strlen(text), diff1))
		luaL_error(L, "%s: %s is no difficulty", f->lua, text);
	if (!otd_u256_is_zero(min) && otd_u256_cmp(v, min) > 0)
		v = min;
	if (!otd_u256_is_zero(max) && otd_u256_cmp(v, max) < 0)
		v = max;
	return v;
}

static otd_i128 read_money(lua_State *L, const struct answer *a, const struct field *f)
{
	const char *symbol = text_at(a->in, a->info->in.asset_at);
	otd_i128 v = 0;
	int asset = -1;
	if (!otd_policy_to_money(L, -1, &v, &asset))
		luaL_error(L, "%s: is a %s, not money", f->name, luaL_typename(L, -1));
	if (!symbol || strcmp(state_of(L)->set->asset[asset].symbol, symbol) != 0)
		luaL_error(L, "%s: is in %s, not in %s", f->name,
			   state_of(L)->set->asset[asset].symbol, symbol ? symbol : "?");
	return v;
}

static void read_one(lua_State *L, const struct answer *a, const struct field *f, void *out);

/* Looks the table at i through; every key is a member, `reason` too where has_reason. */
static void read_table(lua_State *L, int i, const struct answer *a, const struct fields *t,
		       void *out, bool has_reason)
{
	const char *names[16];
	char hint[OTD_HINT_TEXT];
	size_t n = 0;
	i = lua_absindex(L, i);
	for (; n < t->n && n < 15; n++)
		names[n] = t->field[n].lua ? t->field[n].lua : t->field[n].name;
	if (has_reason)
		names[n++] = "reason";
	lua_pushnil(L);
	while (lua_next(L, i)) {
		size_t k = 0;
		const char *key = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
		otd_policy_charge(L, 4);
		while (k < n && strcmp(names[k], key) != 0)
			k++;
		if (k == n)
			luaL_error(L, "'%s' is no part of the answer%s", key,
				   otd_nearest_hint(hint, key, names, n));
		if (k < t->n)
			read_one(L, a, &t->field[k], out);
		lua_pop(L, 1);
	}
}

static void read_array(lua_State *L, const struct answer *a, const struct field *f, void *out)
{
	size_t n;
	if (!lua_istable(L, -1))
		luaL_error(L, "%s: is a %s, not a list", f->name, luaL_typename(L, -1));
	n = (size_t)lua_rawlen(L, -1);
	if (n > f->max)
		luaL_error(L, "%s: more than %d", f->name, (int)f->max);
	for (size_t i = 0; i < n; i++) {
		lua_rawgeti(L, -1, (lua_Integer)i + 1);
		if (!lua_istable(L, -1))
			luaL_error(L, "%s: item %d is a %s, not a table", f->name, (int)i + 1,
				   luaL_typename(L, -1));
		read_table(L, -1, a, f->sub, (uint8_t *)out + f->offset + i * f->sub->size, false);
		lua_pop(L, 1);
	}
	memcpy((uint8_t *)out + f->count_at, &n, sizeof(n));
}

static void read_chars(lua_State *L, const struct field *f, void *to)
{
	size_t n = 0;
	const char *s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
	if (!s || n == 0 || n >= f->size || strlen(s) != n)
		luaL_error(L, "%s: is no text of 1 to %d bytes", f->name, (int)f->size - 1);
	memcpy(to, s, n + 1);
}

static void read_one(lua_State *L, const struct answer *a, const struct field *f, void *out)
{
	uint8_t *to = (uint8_t *)out + f->offset;
	struct otd_u256 target;
	otd_i128 money;
	int64_t v;
	int word;
	bool on;
	switch (f->type) {
	case FIELD_INT:
		v = read_int(L, a, f);
		memcpy(to, &v, sizeof(v));
		break;
	case FIELD_BOOL:
		if (!lua_isboolean(L, -1))
			luaL_error(L, "%s: is not true or false", f->name);
		on = lua_toboolean(L, -1);
		memcpy(to, &on, sizeof(on));
		break;
	case FIELD_FLAG:
		on = read_word(L, f) == 1;
		memcpy(to, &on, sizeof(on));
		break;
	case FIELD_CHOICE:
		word = read_word(L, f) + f->first;
		memcpy(to, &word, sizeof(word));
		break;
	case FIELD_TARGET:
		target = read_target(L, a, f);
		memcpy(to, &target, sizeof(target));
		break;
	case FIELD_MONEY:
		money = read_money(L, a, f);
		memcpy(to, &money, sizeof(money));
		break;
	case FIELD_CHARS: read_chars(L, f, to); break;
	case FIELD_ARRAY: read_array(L, a, f, out); break;
	case FIELD_OWN: f->own(L, out, a->in); break;
	default: break;
	}
	on = true;
	if (f->has_flag)
		memcpy((uint8_t *)out + f->has_at, &on, sizeof(on));
}

/* The reason as it is shown: cut, without control characters. */
static void read_reason(lua_State *L, int i, char out[OTD_POLICY_REASON_MAX + 1])
{
	size_t n = 0, at = 0;
	const char *s;
	lua_pushliteral(L, "reason");
	lua_rawget(L, i);
	s = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &n) : NULL;
	if (!s && !lua_isnil(L, -1))
		luaL_error(L, "reason: is a %s, not a text", luaL_typename(L, -1));
	for (size_t k = 0; k < n;) {
		size_t len = otd_utf8_sequence(s + k, n - k);
		bool bad = len == 0 || (unsigned char)s[k] < 0x20 || s[k] == 0x7f;
		if (at + (bad ? 1 : len) > OTD_POLICY_REASON_MAX)
			break;
		if (bad)
			out[at] = '?';
		else
			memcpy(out + at, s + k, len);
		at += bad ? 1 : len;
		k += bad ? 1 : len;
	}
	out[at] = '\0';
	lua_pop(L, 1);
}

void otd_policy_read_answer(lua_State *L, int i, enum otd_policy_hook h, void *out, const void *in)
{
	const struct answer a = {&otd_policy_hook_info[h], out, in};
	struct otd_policy_said *said = out;
	i = lua_absindex(L, i);
	read_table(L, i, &a, &a.info->out, out, true);
	read_reason(L, i, said->reason);
	if (a.info->adverse && a.info->adverse(L, out, in) && !said->reason[0])
		luaL_error(L, "an answer against a miner has a reason");
}

/* --- to JSON --- */

static otd_rc json_text(struct otd_bytes *to, const char *s)
{
	return otd_bytes_json(to, s, strlen(s));
}

static otd_rc json_list(struct otd_bytes *to, const struct field *f, const void *in)
{
	size_t n = count_of(in, f);
	const uint8_t *item = items_of(in, f);
	(void)otd_bytes_text(to, "[");
	for (size_t i = 0; i < n; i++) {
		(void)otd_bytes_text(to, i ? ",{" : "{");
		(void)otd_policy_fields_json(to, f->sub, item + i * f->sub->size, in);
		(void)otd_bytes_text(to, "}");
	}
	return otd_bytes_text(to, "]");
}

/* Decimal digits of an unsigned number. */
static otd_rc json_work(struct otd_bytes *to, otd_u128 v)
{
	char text[48];
	size_t at = sizeof(text);
	text[--at] = '\0';
	do {
		text[--at] = (char)('0' + (int)(v % 10));
		v /= 10;
	} while (v);
	return json_text(to, text + at);
}

static otd_rc json_target(struct otd_bytes *to, struct otd_u256 v)
{
	uint8_t be[32];
	otd_u256_to_be(be, v);
	(void)otd_bytes_text(to, "\"");
	(void)otd_bytes_hex(to, be, sizeof(be));
	return otd_bytes_text(to, "\"");
}

static otd_rc json_one(struct otd_bytes *to, const struct field *f, const void *in,
		       const void *outer)
{
	const void *at = member(in, f);
	char amount[OTD_I128_TEXT];
	otd_i128 money;
	otd_u128 work;
	int64_t v;
	bool on = false;
	switch (f->type) {
	case FIELD_TEXT: return json_text(to, text_at(in, f->offset));
	case FIELD_CHARS: return json_text(to, at);
	case FIELD_INT: memcpy(&v, at, sizeof(v)); return otd_bytes_format(to, "%" PRId64, v);
	case FIELD_BOOL:
		memcpy(&on, at, sizeof(on));
		return otd_bytes_text(to, on ? "true" : "false");
	case FIELD_FLAG: memcpy(&on, at, sizeof(on)); return json_text(to, f->words[on]);
	case FIELD_MONEY:
		memcpy(&money, at, sizeof(money));
		return json_text(to, otd_format_i128(amount, money));
	case FIELD_WORK: memcpy(&work, at, sizeof(work)); return json_work(to, work);
	case FIELD_TARGET: return json_target(to, u256_at(in, f->offset));
	case FIELD_CHOICE: return json_text(to, f->words[word_of(f, in)]);
	case FIELD_OWN: return f->own_json(to, in, outer);
	default: return json_list(to, f, in);
	}
}

/* Whether there is something to say. */
static bool present(const struct field *f, const void *in)
{
	bool on = true;
	if (f->has_flag)
		memcpy(&on, (const uint8_t *)in + f->has_at, sizeof(on));
	if (f->type == FIELD_TEXT)
		on = text_at(in, f->offset) != NULL;
	if (f->type == FIELD_TARGET && otd_u256_is_zero(u256_at(in, f->offset)))
		on = false;
	if (f->type == FIELD_CHOICE && word_of(f, in) < 0)
		on = false; /* not said */
	if (f->type == FIELD_ARRAY)
		on = count_of(in, f) > 0;
	return on;
}

otd_rc otd_policy_fields_json(struct otd_bytes *to, const struct fields *t, const void *in,
			      const void *outer)
{
	bool any = false;
	for (size_t i = 0; i < t->n; i++) {
		const struct field *f = &t->field[i];
		if (!present(f, in))
			continue;
		(void)otd_bytes_format(to, "%s\"%s\":", any ? "," : "", f->name);
		(void)json_one(to, f, in, outer);
		any = true;
	}
	return to->failed ? OTD_E_NOMEM : OTD_OK;
}
