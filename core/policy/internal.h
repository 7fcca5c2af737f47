/* What the files of this module share. A bind_<area>.c is one area of what scripts can call. */
#ifndef OTD_POLICY_INTERNAL_H
#define OTD_POLICY_INTERNAL_H

#include "base/text.h"
#include "policy/fields.h"
#include "policy/policy.h"
#include <lauxlib.h>
#include <lua.h>

#define STRING_MAX    65536 /* bytes of a string in a script */
#define LONG_STRING   2048  /* bytes from which a string makes every instruction dearer */
#define LONG_CLASSES  6     /* 2, 4, .. 64 KiB */
#define HOOK_INTERVAL 1000  /* instructions between two looks at the budget */
#define METRICS_MAX   64    /* of one script */
#define LINES_A_CALL  16    /* of log() */
#define ASSETS_MAX    256
#define DIFFICULTIES  8
#define ERROR_TEXT    300

enum stop { STOP_NONE = 0, STOP_UNITS, STOP_MEMORY, STOP_STRING, STOP_TIME };

struct policy_asset {
	char symbol[16];
	uint8_t decimals;
};

/* One hook of one script. */
struct policy_hook {
	int ref; /* the function, in the registry; LUA_NOREF: none */
	struct otd_policy_hook_status status;
};

struct policy_metric {
	char name[48];
	struct otd_metric *metric;
};

/* One script with its Lua state. */
struct policy_state {
	struct otd_policy_set *set;
	lua_State *L;
	char *file;
	char name[OTD_POLICY_NAME_MAX + 1];
	char digest[65];
	char **pools;
	size_t n_pools;
	struct policy_hook hook[OTD_HOOKS];
	char last_error[ERROR_TEXT];
	bool tested; /* it has a selftest() */
	/* memory */
	size_t used, cap;
	uint32_t refused; /* allocations of this call */
	uint32_t long_strings[LONG_CLASSES];
	uint64_t fail_at; /* tests: so many allocations from now one fails, and its repetition */
	bool fail_at_reached;
	/* the call under way */
	bool running;
	enum stop stop;
	char stop_at[ERROR_TEXT]; /* "fees.lua:12" */
	uint64_t units, limit;    /* spent; may be spent */
	uint64_t time_ns;         /* that it may take */
	uint64_t deadline_ns;     /* of cpu_ns; 0: none */
	int interval;             /* armed now */
	struct policy_call *call;
	/* Difficulties converted last: sessions mostly come with the same ones. */
	struct {
		struct otd_u256 target, diff1;
		char text[OTD_DIFFICULTY_TEXT];
	} difficulty[DIFFICULTIES];
	size_t next_difficulty;
	struct policy_metric metric[METRICS_MAX];
	size_t n_metrics;
};

/* What surrounds one call of a script. */
struct policy_call {
	struct otd_policy *policy;   /* NULL: a set being built */
	bool inert;                  /* nothing has an effect */
	struct otd_policy_kv *kv;    /* or NULL */
	struct otd_policy_kv *under; /* of a shadow: what is read where kv has nothing; or NULL */
	struct otd_bytes *did;       /* JSON strings of effects, with commas; or NULL */
	uint32_t bans, lines;
};

struct otd_policy_set {
	struct otd_env *env;
	unsigned sides;
	struct otd_policy_limits limits;
	uint64_t (*cpu_ns)(void);
	bool any_asset;
	struct policy_asset asset[ASSETS_MAX];
	size_t n_assets;
	struct policy_state *state; /* in order */
	size_t n_states;
};

struct otd_policy {
	struct otd_env *env;
	char where[32];
	struct otd_metrics *metrics;
	struct otd_policy_services services;
	struct otd_policy_kv *kv, *shadow_kv;
	struct otd_policy_set *set, *shadow;
	struct otd_policy_shadow_status shadow_counts;
	otd_policy_difference_fn difference;
	void *difference_arg;
	otd_policy_record_fn record;
	void *record_arg;
	struct otd_bytes in_json, out_json, shadow_json, line, did;
	struct otd_metric *m_calls[OTD_HOOKS], *m_errors[OTD_HOOKS], *m_fallback;
};

static inline struct policy_state *state_of(lua_State *L)
{
	return *(struct policy_state **)lua_getextraspace(L);
}

/* --- alloc.c --- */
void *otd_policy_alloc(void *ud, void *ptr, size_t osize, size_t nsize);

/* --- budget.c --- */
/* Spends; does not raise, so that the allocator may. */
void otd_policy_spend(struct policy_state *st, uint64_t units);
/* What a host function costs; raises where the budget is out. */
void otd_policy_charge(lua_State *L, uint64_t units);
/* Raises where the time of the call is over: for what no hook looks at. */
void otd_policy_check_time(lua_State *L);
/* Ends the call for good: no pcall goes on behind it. */
void otd_policy_stop(struct policy_state *st, enum stop why);
/* The budget begins anew: what was spent so far was for the host's own work. */
void otd_policy_begin(struct policy_state *st);
/* Raises again what ends the call. */
int otd_policy_raise_stop(lua_State *L);
/* Looks again how often the hook must run. */
void otd_policy_rearm(struct policy_state *st);
/* Runs fn(ctx as light userdata) protected, with a fresh budget of so many units. OTD_OK, or words in
   st->last_error and *overrun. */
otd_rc otd_policy_protected(struct policy_state *st, lua_CFunction fn, void *ctx, uint64_t units,
			    struct policy_call *call, bool *overrun);

/* --- bind_*.c: each puts its functions into the table on top of the stack --- */
void otd_policy_bind_base(lua_State *L);
void otd_policy_bind_string(lua_State *L);
void otd_policy_bind_table(lua_State *L);
void otd_policy_bind_math(lua_State *L);
void otd_policy_bind_money(lua_State *L);
void otd_policy_bind_host(lua_State *L);
void otd_policy_bind_kv(lua_State *L);
/* tostring() of the value at i, pushed. */
const char *otd_policy_tolstring(lua_State *L, int i, size_t *n);
/* A string of the host's making: at most STRING_MAX. Charges. */
void otd_policy_string_size(lua_State *L, uint64_t n);
/* A time: seconds, or "10m" as in the YAML. Raises. */
int64_t otd_policy_seconds(lua_State *L, int arg, int64_t max_s);

/* --- bind_money.c --- */
/* -1: there is none of this symbol (and any_asset is off). */
int otd_policy_asset(struct policy_state *st, const char *symbol, size_t n);
void otd_policy_push_money(lua_State *L, otd_i128 v, int asset);
/* False: the value at i is no money. */
bool otd_policy_to_money(lua_State *L, int i, otd_i128 *v, int *asset);

/* --- options.c --- */
/* Reads the script's table `options`, checks the YAML against it, and puts values in its place. */
otd_rc otd_policy_options(struct policy_state *st, const struct otd_yaml *map, const char *path,
			  struct otd_err *err);

/* --- call.c --- */
enum policy_answer { ANSWER_NONE = 0, ANSWER_GIVEN, ANSWER_FAILED };
enum policy_answer otd_policy_call(struct policy_state *st, enum otd_policy_hook h, void *out,
				   const void *in, struct policy_call *call);
/* Asks the whole hook of a set; what comes out is whole. */
void otd_policy_ask(struct otd_policy *p, struct otd_policy_set *set, enum otd_policy_hook h,
		    void *out, const void *in, struct policy_call *call);
/* The same, with record and shadow. */
void otd_policy_run(struct otd_policy *p, enum otd_policy_hook h, void *out, const void *in);

/* --- kv.c --- */
/* For a shadow: this key is nowhere, whatever lies under. */
otd_rc otd_policy_kv_hide(struct otd_policy_kv *kv, const char *script, const char *key,
			  int64_t ttl_s);
/* 1: there is a value; 0: there is none; -1: it is hidden. until_ms may be NULL. */
int otd_policy_kv_look(struct otd_policy_kv *kv, const char *script, const char *key,
		       struct otd_policy_kv_value *out, int64_t *until_ms);

#endif
