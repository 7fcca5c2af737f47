/* What scripts ask of the host: log, metric, tag, ban, unban, notify, feed. */
#include "base/log.h"
#include "base/text.h"
#include "policy/internal.h"
#include <stdio.h>
#include <string.h>

/* The services, where the call under way has an effect; else NULL. */
static const struct otd_policy_services *services(struct policy_state *st)
{
	struct policy_call *c = st->call;
	return c && c->policy && !c->inert ? &c->policy->services : NULL;
}

/* Notes an effect, for records and the comparison with a shadow. */
static void did(lua_State *L, const char *fmt, ...) OTD_PRINTF(2, 3);
static void did(lua_State *L, const char *fmt, ...)
{
	struct policy_call *c = state_of(L)->call;
	char line[400];
	va_list ap;
	if (!c || !c->did)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (c->did->len)
		(void)otd_bytes_text(c->did, ",");
	(void)otd_bytes_json(c->did, line, strlen(line));
}

/* A text of ours from the value at arg: cut at max bytes, whole UTF-8, no control characters. */
static const char *clean(lua_State *L, int arg, char *out, size_t max)
{
	size_t n, at = 0;
	const char *s = otd_policy_tolstring(L, arg, &n);
	otd_policy_charge(L, 4 + (n < max ? n : max) / 8);
	for (size_t i = 0; i < n && at < max;) {
		size_t len = otd_utf8_sequence(s + i, n - i);
		if (len == 0 || (unsigned char)s[i] < 0x20 || s[i] == 0x7f) {
			out[at++] = '?';
			i++;
			continue;
		}
		if (at + len > max)
			break;
		memcpy(out + at, s + i, len);
		at += len;
		i += len;
	}
	out[at] = '\0';
	lua_pop(L, 1);
	return out;
}

static enum otd_policy_scope scope_at(lua_State *L, int arg)
{
	static const char *const words[] = {"worker", "account", "ip", "prefix", NULL};
	return (enum otd_policy_scope)(luaL_checkoption(L, arg, NULL, words) + OTD_POLICY_WORKER);
}

/* log(text), log("warn", text) */
static int h_log(lua_State *L)
{
	struct policy_state *st = state_of(L);
	char text[201];
	bool warn = lua_gettop(L) > 1;
	luaL_checkany(L, 1);
	otd_policy_charge(L, 20);
	if (warn) {
		static const char *const levels[] = {"info", "warn", NULL};
		warn = luaL_checkoption(L, 1, NULL, levels) == 1;
	}
	(void)clean(L, lua_gettop(L) > 1 ? 2 : 1, text, sizeof(text) - 1);
	if (!services(st) || st->call->lines++ >= LINES_A_CALL)
		return 0;
	otd_log(warn ? OTD_LOG_WARN : OTD_LOG_INFO, "policy", "script.says", "script=%s text=%s",
		st->name, OTD_Q(text));
	return 0;
}

/* --- metrics --- */

/* name has a sign of its type before it. */
static struct otd_metric *metric_of(lua_State *L, const char *name, enum otd_metric_type type)
{
	struct policy_state *st = state_of(L);
	struct otd_bytes labels;
	struct policy_metric *m = NULL;
	for (size_t i = 0; i < st->n_metrics && !m; i++) {
		if (strcmp(st->metric[i].name, name) == 0)
			m = &st->metric[i];
	}
	if (m)
		return m->metric;
	if (st->n_metrics == METRICS_MAX)
		luaL_error(L, "metric: more than %d names", METRICS_MAX);
	otd_bytes_init(&labels, 512);
	(void)otd_metric_label(&labels, "script", st->name);
	(void)otd_metric_label(&labels, "name", name + 1);
	m = &st->metric[st->n_metrics++];
	(void)snprintf(m->name, sizeof(m->name), "%s", name);
	m->metric = otd_metric(st->call->policy->metrics, type,
			       type == OTD_COUNTER ? "otd_policy_script_events_total"
						   : "otd_policy_script_value",
			       otd_bytes_cstr(&labels), "Counted by a policy script");
	otd_bytes_finish(&labels);
	return m->metric;
}

static int metric(lua_State *L, enum otd_metric_type type)
{
	char name[48];
	lua_Integer v = type == OTD_COUNTER ? luaL_optinteger(L, 2, 1) : luaL_checkinteger(L, 2);
	luaL_checktype(L, 1, LUA_TSTRING);
	luaL_argcheck(L, type == OTD_GAUGE || v >= 0, 2, "a counter only goes up");
	otd_policy_charge(L, 20);
	name[0] = type == OTD_COUNTER ? '+' : '='; /* one name may be both */
	(void)clean(L, 1, name + 1, sizeof(name) - 2);
	if (!services(state_of(L)))
		return 0;
	struct otd_metric *m = metric_of(L, name, type);
	if (type == OTD_COUNTER)
		otd_metric_add(m, v);
	else
		otd_metric_set(m, v);
	return 0;
}

static int h_metric_add(lua_State *L)
{
	return metric(L, OTD_COUNTER);
}

static int h_metric_set(lua_State *L)
{
	return metric(L, OTD_GAUGE);
}

/* --- bans and tags --- */

/* true, or false and why. */
static int verdict(lua_State *L, otd_rc rc, const struct otd_err *err)
{
	lua_pushboolean(L, rc == OTD_OK);
	if (rc == OTD_OK)
		return 1;
	lua_pushstring(L, err->text[0] ? err->text : otd_rc_name(rc));
	return 2;
}

/* ban(scope, what, seconds, reason) */
static int h_ban(lua_State *L)
{
	struct policy_state *st = state_of(L);
	char what[321], reason[OTD_POLICY_REASON_MAX + 1];
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	struct otd_policy_ban b = {.script = st->name, .scope = scope_at(L, 1)};
	luaL_checktype(L, 2, LUA_TSTRING);
	luaL_checktype(L, 4, LUA_TSTRING);
	otd_policy_charge(L, 100);
	b.what = clean(L, 2, what, sizeof(what) - 1);
	b.seconds = otd_policy_seconds(L, 3, OTD_POLICY_BAN_S);
	b.reason = clean(L, 4, reason, sizeof(reason) - 1);
	luaL_argcheck(L, reason[0] != '\0', 4, "a ban has a reason");
	if (st->call->bans++ >= OTD_POLICY_BANS_A_CALL)
		return verdict(L,
			       otd_fail(&err, OTD_E_RANGE, "more than %d bans in one call",
					OTD_POLICY_BANS_A_CALL),
			       &err);
	did(L, "ban %s %s %lld %s", lua_tostring(L, 1), b.what, (long long)b.seconds, b.reason);
	if (services(st) && services(st)->ban)
		rc = services(st)->ban(services(st)->arg, &b, &err);
	return verdict(L, rc, &err);
}

/* unban(scope, what) */
static int h_unban(lua_State *L)
{
	struct policy_state *st = state_of(L);
	char what[321];
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	enum otd_policy_scope scope = scope_at(L, 1);
	luaL_checktype(L, 2, LUA_TSTRING);
	otd_policy_charge(L, 100);
	(void)clean(L, 2, what, sizeof(what) - 1);
	did(L, "unban %s %s", lua_tostring(L, 1), what);
	if (services(st) && services(st)->unban)
		rc = services(st)->unban(services(st)->arg, st->name, scope, what, &err);
	return verdict(L, rc, &err);
}

/* tag(scope, what, label, seconds) */
static int h_tag(lua_State *L)
{
	struct policy_state *st = state_of(L);
	char what[321], label[33];
	enum otd_policy_scope scope = scope_at(L, 1);
	luaL_checktype(L, 2, LUA_TSTRING);
	luaL_checktype(L, 3, LUA_TSTRING);
	otd_policy_charge(L, 50);
	(void)clean(L, 2, what, sizeof(what) - 1);
	(void)clean(L, 3, label, sizeof(label) - 1);
	int64_t s = otd_policy_seconds(L, 4, OTD_POLICY_BAN_S);
	did(L, "tag %s %s %s %lld", lua_tostring(L, 1), what, label, (long long)s);
	if (services(st) && services(st)->tag)
		services(st)->tag(services(st)->arg, st->name, scope, what, label, s);
	return 0;
}

/* notify(text) */
static int h_notify(lua_State *L)
{
	struct policy_state *st = state_of(L);
	char text[201];
	luaL_checkany(L, 1);
	otd_policy_charge(L, 50);
	(void)clean(L, 1, text, sizeof(text) - 1);
	did(L, "notify %s", text);
	if (!services(st) || st->call->lines++ >= LINES_A_CALL)
		return 0;
	otd_log(OTD_LOG_WARN, "policy", "script.notifies", "script=%s text=%s", st->name,
		OTD_Q(text));
	if (services(st)->notify)
		services(st)->notify(services(st)->arg, st->name, text);
	return 0;
}

/* feed(name): text and age in seconds, or nil. A number comes as one. */
static int h_feed(lua_State *L)
{
	struct policy_state *st = state_of(L);
	struct otd_policy_feed f = {.age_s = 0};
	const struct otd_policy *p = st->call ? st->call->policy : NULL;
	const char *name = luaL_checkstring(L, 1);
	otd_policy_charge(L, 50);
	/* Reading has no effect: a shadow may. */
	if (!p || !p->services.feed || p->services.feed(p->services.arg, name, &f)) {
		lua_pushnil(L);
		return 1;
	}
	f.text[sizeof(f.text) - 1] = '\0';
	if (lua_stringtonumber(L, f.text) == 0)
		lua_pushstring(L, f.text);
	lua_pushinteger(L, f.age_s);
	return 2;
}

void otd_policy_bind_host(lua_State *L)
{
	static const luaL_Reg functions[] = {
		{"ban", h_ban}, {"feed", h_feed},   {"log", h_log}, {"notify", h_notify},
		{"tag", h_tag}, {"unban", h_unban}, {NULL, NULL},
	};
	static const luaL_Reg metrics[] = {
		{"add", h_metric_add}, {"set", h_metric_set}, {NULL, NULL}};
	luaL_setfuncs(L, functions, 0);
	luaL_newlib(L, metrics);
	lua_setfield(L, -2, "metric");
}
