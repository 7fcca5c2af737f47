/* One call of a hook: the table, the script, its answer; what becomes of one that fails. */
#include "base/log.h"
#include "policy/internal.h"
#include <stdio.h>
#include <string.h>

struct asking {
	struct policy_state *st;
	enum otd_policy_hook hook;
	void *out;
	const void *in;
	bool answered;
};

static int run_hook(lua_State *L)
{
	struct asking *a = lua_touserdata(L, 1);
	const struct otd_policy_hook_info *info = &otd_policy_hook_info[a->hook];
	lua_settop(L, 0);
	lua_rawgeti(L, LUA_REGISTRYINDEX, a->st->hook[a->hook].ref);
	otd_policy_push_fields(L, &info->in, a->in, -1);
	otd_policy_begin(a->st); /* thousands of parts are not the script's fault */
	lua_call(L, 1, 1);
	if (info->tells || lua_isnil(L, 1))
		return 0;
	if (!lua_istable(L, 1))
		return luaL_error(L, "it answered with a %s, not with a table or nil",
				  luaL_typename(L, 1));
	otd_policy_read_answer(L, 1, a->hook, a->out, a->in);
	a->answered = true;
	return 0;
}

static void to_fallback(struct policy_state *st, enum otd_policy_hook h, struct policy_call *call)
{
	char text[ERROR_TEXT + 200];
	st->hook[h].status.fallback = true;
	(void)snprintf(text, sizeof(text),
		       "policy %s: %s failed %d times in a row and is off until a reload: %s",
		       st->name, otd_policy_hook_name(h), OTD_POLICY_ERRORS_MAX, st->last_error);
	otd_log(OTD_LOG_ERROR, "policy", "hook.off", "script=%s hook=%s why=%s shadow=%d", st->name,
		otd_policy_hook_name(h), OTD_Q(st->last_error), call->inert);
	if (!call->inert && call->policy && call->policy->services.alert)
		call->policy->services.alert(call->policy->services.arg, text);
	if (!call->inert && call->policy)
		otd_metric_add(call->policy->m_fallback, 1);
}

static void failed(struct policy_state *st, enum otd_policy_hook h, bool overrun,
		   struct policy_call *call)
{
	struct otd_policy_hook_status *s = &st->hook[h].status;
	s->errors++;
	s->overruns += overrun;
	s->errors_in_a_row++;
	otd_log(OTD_LOG_WARN, "policy", "hook.failed",
		"script=%s hook=%s %s=%s units=%llu shadow=%d", st->name, otd_policy_hook_name(h),
		overrun ? "overrun" : "error", OTD_Q(st->last_error), (unsigned long long)st->units,
		call->inert);
	if (!call->inert && call->policy)
		otd_metric_add(call->policy->m_errors[h], 1);
	if (s->errors_in_a_row >= OTD_POLICY_ERRORS_MAX)
		to_fallback(st, h, call);
}

enum policy_answer otd_policy_call(struct policy_state *st, enum otd_policy_hook h, void *out,
				   const void *in, struct policy_call *call)
{
	struct asking a = {.st = st, .hook = h, .out = out, .in = in};
	struct otd_policy_hook_status *s = &st->hook[h].status;
	bool overrun = false;
	otd_rc rc;
	call->bans = call->lines = 0;
	rc = otd_policy_protected(st, run_hook, &a, st->set->limits.call_units, call, &overrun);
	s->calls++;
	s->units += st->units;
	s->most_units = st->units > s->most_units ? st->units : s->most_units;
	if (rc) {
		failed(st, h, overrun, call);
		return ANSWER_FAILED;
	}
	s->errors_in_a_row = 0;
	s->answers += a.answered;
	return a.answered ? ANSWER_GIVEN : ANSWER_NONE;
}

static const char *pool_of(const struct otd_policy_hook_info *info, const void *in)
{
	const char *pool;
	memcpy((void *)&pool, (const uint8_t *)in + info->pool_at, sizeof(pool));
	return pool ? pool : "";
}

static bool is_for(const struct policy_state *st, enum otd_policy_hook h, const char *pool)
{
	if (!st->hook[h].status.has)
		return false;
	for (size_t i = 0; i < st->n_pools; i++) {
		if (strcmp(st->pools[i], pool) == 0)
			return true;
	}
	return st->n_pools == 0;
}

/* out as if nobody had answered. */
static void blank(const struct otd_policy_hook_info *info, void *out, const void *in)
{
	memset(out, 0, info->out.size);
	if (info->host)
		info->host(out, in);
}

static void fall_back(const struct otd_policy_hook_info *info, const struct policy_state *st,
		      void *out, const void *in)
{
	struct otd_policy_said *said = out;
	blank(info, out, in);
	if (info->fallback)
		info->fallback(out, in);
	said->from = OTD_POLICY_FALLBACK;
	(void)snprintf(said->script, sizeof(said->script), "%s", st->name);
	(void)snprintf(said->reason, sizeof(said->reason), "the policy script %.63s failed",
		       st->name);
}

void otd_policy_ask(struct otd_policy *p, struct otd_policy_set *set, enum otd_policy_hook h,
		    void *out, const void *in, struct policy_call *call)
{
	const struct otd_policy_hook_info *info = &otd_policy_hook_info[h];
	const char *pool = pool_of(info, in);
	struct otd_policy_said *said = out;
	blank(info, out, in);
	call->policy = p;
	for (size_t i = 0; i < set->n_states; i++) {
		struct policy_state *st = &set->state[i];
		enum policy_answer answer = ANSWER_FAILED;
		if (!is_for(st, h, pool))
			continue;
		if (!st->hook[h].status.fallback)
			answer = otd_policy_call(st, h, out, in, call);
		if (info->tells || answer == ANSWER_NONE)
			continue;
		if (answer == ANSWER_FAILED) {
			fall_back(info, st, out, in);
			return;
		}
		said->from = OTD_POLICY_SCRIPT;
		(void)snprintf(said->script, sizeof(said->script), "%s", st->name);
		return;
	}
}

/* {"from":..,"reason":..,MEMBERS,"did":[..]}; the script's name where with_name. */
static void write_out(struct otd_bytes *to, enum otd_policy_hook h, const void *out, const void *in,
		      const struct otd_bytes *did, bool with_name)
{
	const struct otd_policy_hook_info *info = &otd_policy_hook_info[h];
	const struct otd_policy_said *said = out;
	otd_bytes_clear(to);
	(void)otd_bytes_format(to, "{\"from\":\"%s\"", otd_policy_from_name(said->from));
	if (with_name) {
		(void)otd_bytes_text(to, ",\"script\":");
		(void)otd_bytes_json(to, said->script, strlen(said->script));
	}
	(void)otd_bytes_text(to, ",\"reason\":");
	(void)otd_bytes_json(to, said->reason, strlen(said->reason));
	if (said->from != OTD_POLICY_HOST && info->out.n) {
		(void)otd_bytes_text(to, ",");
		(void)otd_policy_fields_json(to, &info->out, out, in);
	}
	if (did->len) {
		(void)otd_bytes_text(to, ",\"did\":[");
		(void)otd_bytes_add(to, did->ptr, did->len);
		(void)otd_bytes_text(to, "]");
	}
	(void)otd_bytes_text(to, "}");
}

static void write_in(struct otd_bytes *to, enum otd_policy_hook h, const void *in)
{
	otd_bytes_clear(to);
	(void)otd_bytes_text(to, "{");
	(void)otd_policy_fields_json(to, &otd_policy_hook_info[h].in, in, NULL);
	(void)otd_bytes_text(to, "}");
}

/* Asks the shadow the same, and tells of a difference. out_json is of the one in force, without name. */
static void ask_shadow(struct otd_policy *p, enum otd_policy_hook h, const void *in)
{
	union {
		struct otd_policy_connect_out a;
		struct otd_policy_authorize_out b;
		struct otd_policy_difficulty_out c;
		struct otd_policy_offence_out d;
		struct otd_policy_fee_out e;
		struct otd_policy_terms_out f;
		struct otd_policy_payment_out g;
		struct otd_policy_coins_out i;
		struct otd_policy_trust_out j;
	} out;
	struct policy_call call = {
		.inert = true, .kv = p->shadow_kv, .under = p->kv, .did = &p->did};
	otd_bytes_clear(&p->did);
	otd_policy_ask(p, p->shadow, h, &out, in, &call);
	write_out(&p->shadow_json, h, &out, in, &p->did, false);
	p->shadow_counts.calls++;
	if (p->shadow_json.len == p->out_json.len &&
	    memcmp(p->shadow_json.ptr, p->out_json.ptr, p->out_json.len) == 0)
		return;
	p->shadow_counts.differences++;
	if (!p->difference)
		return;
	const struct otd_policy_difference d = {
		.hook = h,
		.pool = pool_of(&otd_policy_hook_info[h], in),
		.in = otd_bytes_cstr(&p->in_json),
		.now = otd_bytes_cstr(&p->out_json),
		.shadow = otd_bytes_cstr(&p->shadow_json),
	};
	p->difference(p->difference_arg, &d);
}

static void record(struct otd_policy *p, enum otd_policy_hook h, const void *out, const void *in,
		   int64_t time_ms)
{
	otd_bytes_clear(&p->line);
	write_out(&p->out_json, h, out, in, &p->did, true);
	(void)otd_bytes_format(&p->line, "{\"v\":1,\"time_ms\":%lld,\"hook\":\"%s\",\"in\":",
			       (long long)time_ms, otd_policy_hook_name(h));
	(void)otd_bytes_add(&p->line, p->in_json.ptr, p->in_json.len);
	(void)otd_bytes_text(&p->line, ",\"out\":");
	(void)otd_bytes_add(&p->line, p->out_json.ptr, p->out_json.len);
	(void)otd_bytes_text(&p->line, "}");
	if (!p->line.failed && !p->in_json.failed && !p->out_json.failed)
		p->record(p->record_arg, (const char *)p->line.ptr, p->line.len);
}

void otd_policy_run(struct otd_policy *p, enum otd_policy_hook h, void *out, const void *in)
{
	const struct otd_policy_hook_info *info = &otd_policy_hook_info[h];
	struct policy_call call = {.policy = p};
	blank(info, out, in);
	if (!p || !otd_policy_wants(p, h, pool_of(info, in)))
		return;
	otd_bytes_clear(&p->did);
	call.kv = p->kv;
	call.did = p->record || p->shadow ? &p->did : NULL;
	otd_metric_add(p->m_calls[h], 1);
	int64_t time_ms = p->record ? otd_wall_ms(p->env) : 0;
	if (p->set)
		otd_policy_ask(p, p->set, h, out, in, &call);
	if (p->record || p->shadow)
		write_in(&p->in_json, h, in);
	if (p->record)
		record(p, h, out, in, time_ms);
	if (p->shadow) {
		write_out(&p->out_json, h, out, in, &p->did, false);
		ask_shadow(p, h, in);
	}
}

bool otd_policy_wants(const struct otd_policy *p, enum otd_policy_hook h, const char *pool)
{
	if (!p)
		return false;
	if (p->record || p->shadow)
		return true;
	for (size_t i = 0; p->set && i < p->set->n_states; i++) {
		if (is_for(&p->set->state[i], h, pool ? pool : ""))
			return true;
	}
	return false;
}
