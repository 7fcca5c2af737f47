/*
 * The budget of a call, in units: about one an instruction, and what host functions and memory cost. When
 * it is out the count hook fires at every instruction, each host function and pcall raises again, so
 * that nothing the script does goes on.
 */
#include "policy/internal.h"
#include <stdio.h>
#include <string.h>

#define LOAD_TIMES 10 /* so much more time than a call has loading, and selftest() */

static const char stop_mark; /* its address is the error that no pcall swallows */

/* Units that one instruction may cost: two strings of this length can be compared by it. */
static uint64_t weight(const struct policy_state *st)
{
	for (size_t c = LONG_CLASSES; c-- > 0;) {
		if (st->long_strings[c])
			return 1 + ((uint64_t)LONG_STRING << (c + 1)) / 512;
	}
	return 1;
}

/* "fees.lua:12" of what runs now. ar: of a hook, or NULL. */
static void where(struct policy_state *st, lua_Debug *ar)
{
	lua_Debug own;
	if (st->stop_at[0])
		return;
	if (ar && lua_getinfo(st->L, "Sl", ar) && ar->currentline > 0) {
		(void)snprintf(st->stop_at, sizeof(st->stop_at), "%.200s:%d", ar->short_src,
			       ar->currentline);
		return;
	}
	for (int level = 0; lua_getstack(st->L, level, &own); level++) {
		if (lua_getinfo(st->L, "Sl", &own) && own.currentline > 0) {
			(void)snprintf(st->stop_at, sizeof(st->stop_at), "%.200s:%d", own.short_src,
				       own.currentline);
			return;
		}
	}
	(void)snprintf(st->stop_at, sizeof(st->stop_at), "%.200s", st->file);
}

static void count_hook(lua_State *L, lua_Debug *ar)
{
	struct policy_state *st = state_of(L);
	if (!st->stop) {
		otd_policy_spend(st, (uint64_t)st->interval * weight(st));
		if (!st->stop && st->deadline_ns && st->set->cpu_ns() > st->deadline_ns)
			otd_policy_stop(st, STOP_TIME);
	}
	if (st->stop) {
		where(st, ar);
		(void)otd_policy_raise_stop(L);
	}
}

void otd_policy_check_time(lua_State *L)
{
	struct policy_state *st = state_of(L);
	if (!st->stop && st->deadline_ns && st->set->cpu_ns() > st->deadline_ns)
		otd_policy_stop(st, STOP_TIME);
	otd_policy_charge(L, 0);
}

void otd_policy_rearm(struct policy_state *st)
{
	uint64_t w = weight(st);
	int interval = st->stop ? 1 : (int)(HOOK_INTERVAL / w > 1 ? HOOK_INTERVAL / w : 1);
	/* The count begins anew: what ran since the last look is not known, so it costs the most. */
	if (st->interval && !st->stop)
		st->units += (uint64_t)st->interval;
	st->interval = interval;
	lua_sethook(st->L, count_hook, LUA_MASKCOUNT, interval);
}

void otd_policy_stop(struct policy_state *st, enum stop why)
{
	if (!st->running || st->stop)
		return;
	where(st, NULL);
	st->stop = why;
	otd_policy_rearm(st);
}

void otd_policy_spend(struct policy_state *st, uint64_t units)
{
	if (!st->running || st->stop)
		return;
	st->units += units;
	if (st->units > st->limit)
		otd_policy_stop(st, STOP_UNITS);
}

void otd_policy_charge(lua_State *L, uint64_t units)
{
	struct policy_state *st = state_of(L);
	/* One that is larger than the whole budget must not be added up with others of its kind. */
	otd_policy_spend(st, units <= st->limit ? units : st->limit + 1);
	if (st->stop) {
		where(st, NULL);
		(void)otd_policy_raise_stop(L);
	}
}

int otd_policy_raise_stop(lua_State *L)
{
	lua_pushlightuserdata(L, (void *)(uintptr_t)&stop_mark);
	return lua_error(L);
}

static void say_stop(struct policy_state *st)
{
	char why[160];
	where(st, NULL);
	switch (st->stop) {
	case STOP_MEMORY:
		(void)snprintf(why, sizeof(why),
			       "it needs more than the %zu bytes of memory that a script has",
			       st->cap);
		break;
	case STOP_STRING:
		(void)snprintf(why, sizeof(why), "a string of more than %d bytes", STRING_MAX);
		break;
	case STOP_TIME:
		(void)snprintf(why, sizeof(why), "stopped after %llu us of processor time",
			       (unsigned long long)(st->time_ns / 1000));
		break;
	default:
		(void)snprintf(why, sizeof(why),
			       "stopped after %llu units of work (an endless loop?)",
			       (unsigned long long)st->limit);
		break;
	}
	(void)snprintf(st->last_error, sizeof(st->last_error), "%.120s: %s", st->stop_at, why);
}

static void say_error(struct policy_state *st)
{
	if (lua_type(st->L, -1) == LUA_TSTRING)
		(void)snprintf(st->last_error, sizeof(st->last_error), "%.*s", ERROR_TEXT - 1,
			       lua_tostring(st->L, -1));
	else
		(void)snprintf(st->last_error, sizeof(st->last_error),
			       "%s: error() with a %s instead of a text", st->name,
			       luaL_typename(st->L, -1));
	for (char *s = st->last_error; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = ' ';
	}
}

/* The budget and the time begin now. */
static void begin(struct policy_state *st, uint64_t units)
{
	st->units = 0;
	st->limit = units;
	st->time_ns = st->set->limits.call_ns;
	if (units > st->set->limits.call_units)
		st->time_ns *= LOAD_TIMES;
	st->deadline_ns = st->set->cpu_ns ? st->set->cpu_ns() + st->time_ns : 0;
}

void otd_policy_begin(struct policy_state *st)
{
	if (!st->stop)
		begin(st, st->limit);
}

otd_rc otd_policy_protected(struct policy_state *st, lua_CFunction fn, void *ctx, uint64_t units,
			    struct policy_call *call, bool *overrun)
{
	lua_State *L = st->L;
	int rc;
	st->stop = STOP_NONE;
	st->stop_at[0] = '\0';
	st->refused = 0;
	begin(st, units);
	st->call = call;
	st->interval = 0;
	st->running = true;
	lua_settop(L, 0);
	otd_policy_rearm(st);
	lua_pushcfunction(L, fn);
	lua_pushlightuserdata(L, ctx);
	rc = lua_pcall(L, 1, 0, 0);
	/* The hook counts whole intervals. */
	lua_sethook(L, NULL, 0, 0);
	*overrun = st->stop != STOP_NONE || rc == LUA_ERRMEM;
	if (st->stop)
		say_stop(st);
	else if (rc)
		say_error(st);
	st->running = false;
	st->call = NULL;
	lua_settop(L, 0);
	return st->stop || rc ? (rc == LUA_ERRMEM ? OTD_E_NOMEM : OTD_E_INVALID) : OTD_OK;
}
