/*
 * Policy: Lua scripts that decide on fees, bans, difficulty and payments, and cannot take the pool
 * down. Three things:
 *
 *   otd_policy_set   scripts, compiled, their options checked, their selftest() passed. Made on any
 *                    thread (best on none that serves: at the worst it takes some ten milliseconds), then given
 *                    to one otd_policy. One Lua state a script and set.
 *   otd_policy       one a reactor, one of the coordinator: runs the hooks of hooks.h against its set
 *                    in force, and beside it the shadow. All [that thread] but create.
 *   otd_policy_kv    what scripts remember: kv.h.
 *
 * To reload: build a set for each reactor and for the coordinator; where one fails, destroy all and
 * nothing has changed. Then otd_policy_swap() on each thread, which cannot fail; destroy what it gives
 * back, on any thread.
 *
 * A call of a hook costs at most `call_units` a script, at most some 4 ms of this thread, and mostly some
 * microseconds. It never fails: see hooks.h for what comes out when a script does. An error or overrun
 * is logged ("policy", "hook.failed", script:line), counted, and shown in status; three in a row of one
 * hook of one script switch that hook of that script to its fallback until a swap, with an alert.
 *
 * A set has scripts in the order of the settings. A script is asked where the pool is one of its own;
 * the first that answers other than nil wins. Where one fails, those behind it are not asked: it might
 * have said something else. on_block, on_node and on_minute go to all.
 */
#ifndef OTD_POLICY_POLICY_H
#define OTD_POLICY_POLICY_H

#include "base/bytes.h"
#include "base/env.h"
#include "base/metrics.h"
#include "policy/hooks.h"
#include "policy/kv.h"

struct otd_policy;
struct otd_policy_set;
struct otd_yaml;

/* Which hooks a set is for. A tool that checks scripts takes both. */
enum otd_policy_side { OTD_POLICY_REACTOR = 1, OTD_POLICY_COORDINATOR = 2, OTD_POLICY_BOTH = 3 };

#define OTD_POLICY_TEXT_MAX    (64u << 10) /* bytes of a script */
#define OTD_POLICY_SCRIPTS_MAX 32
#define OTD_POLICY_ERRORS_MAX  3 /* in a row */

struct otd_policy_script {
	const char *file; /* where it was read; its name is the last part without ".lua" */
	struct otd_span text;
	const struct otd_yaml *options; /* a mapping, or NULL: all defaults */
	const char *path;               /* of the options, for messages: "pools.ltc.policies.0" */
	const char *const *pools;       /* names; n 0: every pool */
	size_t n_pools;
};

struct otd_policy_asset {
	const char *symbol; /* "LTC" */
	unsigned decimals;
};

/* 0 takes the default. */
struct otd_policy_limits {
	size_t memory; /* bytes of one script's state; 0: 4 MiB */
	uint64_t
		call_units; /* of one call of one script; 0: 200,000. About one a Lua instruction; host
				functions and memory cost by bytes and items */
	uint64_t load_units; /* of a script's text, and of its selftest(); 0: 2,000,000 */
	uint64_t
		call_ns; /* backstop of a call in time of cpu_ns; 0: 3,000,000. Loading and selftest() have ten
			     times as much each */
};

struct otd_policy_build {
	struct otd_env *env; /* time and randomness; outlives the set */
	unsigned sides;      /* enum otd_policy_side */
	const struct otd_policy_script *scripts;
	size_t n_scripts;                      /* may be 0 */
	const struct otd_policy_asset *assets; /* what money("5 LTC") may name; texts are copied */
	size_t n_assets; /* "TEST", with 8 decimals, is there always: for selftest() */
	bool any_asset;  /* tools: a symbol that is not among them has 8 decimals */
	struct otd_policy_limits limits;
	/* CPU time of the calling thread, loop/loop.h's otd_thread_cpu_ns; NULL: no backstop, so that a
	   run depends on units alone (simulation, tests). */
	uint64_t (*cpu_ns)(void);
	/* Tests: this allocation of each script's state fails, and its repetition; 0: none. */
	uint64_t fail_at;
};

/*
 * Compiles each script, reads and checks its options, sees that it has a hook and that no global
 * function is a hook misspelt, runs its selftest(). All or nothing: err says FILE:LINE: what, or for an
 * option where in the YAML. Nothing that a script does here has an effect (bans, kv, notify). All texts
 * are copied; options and pools may go. [any-thread]
 */
OTD_WARN_UNUSED otd_rc otd_policy_set_create(struct otd_policy_set **out,
					     const struct otd_policy_build *b, struct otd_err *err);
/* One that is in no otd_policy. Takes NULL. [any-thread] */
void otd_policy_set_destroy(struct otd_policy_set *s);
/* Reads a script's file into out (cleared first); OTD_POLICY_TEXT_MAX. Blocks. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_policy_read(struct otd_bytes *out, struct otd_env *e, const char *file,
				       struct otd_err *err);

/* --- what the host gives to scripts; any member may be NULL: then nothing happens --- */

struct otd_policy_ban {
	const char *script; /* who asks */
	enum otd_policy_scope scope;
	const char
		*what; /* as the script wrote it; otd_ban_what() checks it and makes it canonical */
	int64_t seconds;    /* 1 to OTD_POLICY_BAN_S */
	const char *reason; /* 1 to OTD_POLICY_REASON_MAX bytes of UTF-8 */
};

struct otd_policy_feed {
	char text[1024];
	int64_t age_s;
};

/* Called from within a hook, so on its thread: post what takes time. Not while a set is built, tested
   or a shadow. None may call back into the same otd_policy. */
struct otd_policy_services {
	void *arg;
	/* OTD_OK: it is banned, or will be. Else the script goes on, with false and the reason. At most
	   OTD_POLICY_BANS_A_CALL a call. */
	otd_rc (*ban)(void *arg, const struct otd_policy_ban *b, struct otd_err *err);
	/* Only bans that a script has set. OTD_E_NOT_FOUND. */
	otd_rc (*unban)(void *arg, const char *script, enum otd_policy_scope scope,
			const char *what, struct otd_err *err);
	/* A label of at most 32 bytes on a worker, account or address, for status and `account show`;
	   seconds until it goes, 1 to 30 days. */
	void (*tag)(void *arg, const char *script, enum otd_policy_scope scope, const char *what,
		    const char *label, int64_t seconds);
	/* For people: an alert, a chat. At most 200 bytes of text; it is logged in any case. */
	void (*notify)(void *arg, const char *script, const char *text);
	/* The newest value of an outside source (a price). OTD_E_NOT_FOUND: nil. */
	otd_rc (*feed)(void *arg, const char *name, struct otd_policy_feed *out);
	/* A hook of a script was switched to its fallback: text says which and why. */
	void (*alert)(void *arg, const char *text);
};
#define OTD_POLICY_BANS_A_CALL 4

/* Where the shadow would have done otherwise. */
struct otd_policy_difference {
	enum otd_policy_hook hook;
	const char *pool;
	const char *in;     /* JSON of what was asked */
	const char *now;    /* JSON of what was said */
	const char *shadow; /* what the shadow says */
};

struct otd_policy_conf {
	struct otd_env *env;
	const char *where;           /* "reactor-0", "coordinator": for logs and status; copied */
	struct otd_metrics *metrics; /* or NULL */
	struct otd_policy_services services; /* copied */
	struct otd_policy_kv *kv; /* of this thread; or NULL: nothing is remembered beyond a call */
};

OTD_WARN_UNUSED otd_rc otd_policy_create(struct otd_policy **out,
					 const struct otd_policy_conf *conf);
/* With its sets. Takes NULL. */
void otd_policy_destroy(struct otd_policy *p);
/* set (may be NULL: no scripts) comes in force, with all fallbacks lifted and counters of its own.
   Returns what was in force, the caller's to destroy. */
struct otd_policy_set *otd_policy_swap(struct otd_policy *p, struct otd_policy_set *set);
/*
 * set runs beside the one in force on the same input, behind it, without effect: it has a kv of its own
 * over the real one, and its bans are compared, not done. NULL ends it. Returns the one before.
 */
struct otd_policy_set *otd_policy_shadow(struct otd_policy *p, struct otd_policy_set *set);
/* The shadow comes in force as by swap (and is no shadow any more); returns what was in force. NULL and
   no change where there is no shadow. */
struct otd_policy_set *otd_policy_promote(struct otd_policy *p);

/* Called for each difference, within the hook. fn NULL: none. */
typedef void (*otd_policy_difference_fn)(void *arg, const struct otd_policy_difference *d);
void otd_policy_on_difference(struct otd_policy *p, otd_policy_difference_fn fn, void *arg);
/* Called with each call of a hook as one line of record.h, without a newline, within the hook. fn NULL:
   none. What is recorded holds addresses of miners: it is for the operator's own eyes. */
typedef void (*otd_policy_record_fn)(void *arg, const char *line, size_t n);
void otd_policy_on_call(struct otd_policy *p, otd_policy_record_fn fn, void *arg);

/* Whether a script in force (or a shadow, or a recorder) wants this hook for this pool: else the call
   need not be prepared. p may be NULL. Cheap. */
bool otd_policy_wants(const struct otd_policy *p, enum otd_policy_hook h, const char *pool);

/* --- the hooks; p may be NULL: as if no script answered. out is always filled --- */

void otd_policy_connect(struct otd_policy *p, struct otd_policy_connect_out *out,
			const struct otd_policy_connect *in);
void otd_policy_authorize(struct otd_policy *p, struct otd_policy_authorize_out *out,
			  const struct otd_policy_authorize *in);
void otd_policy_difficulty(struct otd_policy *p, struct otd_policy_difficulty_out *out,
			   const struct otd_policy_difficulty *in);
void otd_policy_offence(struct otd_policy *p, struct otd_policy_offence_out *out,
			const struct otd_policy_offence *in);
void otd_policy_fee(struct otd_policy *p, struct otd_policy_fee_out *out,
		    const struct otd_policy_fee *in);
void otd_policy_payout_terms(struct otd_policy *p, struct otd_policy_terms_out *out,
			     const struct otd_policy_terms *in);
void otd_policy_review_payment(struct otd_policy *p, struct otd_policy_payment_out *out,
			       const struct otd_policy_payment *in);
void otd_policy_block(struct otd_policy *p, const struct otd_policy_block *in);
void otd_policy_node(struct otd_policy *p, const struct otd_policy_node *in);
void otd_policy_minute(struct otd_policy *p, const struct otd_policy_minute *in);
void otd_policy_choose_coin(struct otd_policy *p, struct otd_policy_coins_out *out,
			    const struct otd_policy_coins *in);
void otd_policy_trust(struct otd_policy *p, struct otd_policy_trust_out *out,
		      const struct otd_policy_trust *in);

/* --- status --- */

struct otd_policy_hook_status {
	bool has;      /* the script has this hook, and this side asks it */
	bool fallback; /* switched off until a swap */
	uint32_t errors_in_a_row;
	uint64_t calls, answers, errors;
	uint64_t overruns;          /* of the errors: budget, memory or time */
	uint64_t units, most_units; /* in all; of the costliest call */
};

struct otd_policy_script_status {
	const char *name, *file;
	const char *digest;     /* SHA-256 of the text, hex */
	size_t memory;          /* bytes its state holds */
	bool tested;            /* it has a selftest() */
	const char *last_error; /* "fees.lua:12: ..."; "" */
	struct otd_policy_hook_status hook[OTD_HOOKS];
};

size_t otd_policy_set_count(const struct otd_policy_set *s); /* scripts; NULL: 0 */
/* Script i, in order; the texts live as long as the set, last_error until its next call. */
void otd_policy_set_status(const struct otd_policy_set *s, size_t i,
			   struct otd_policy_script_status *out);
const struct otd_policy_set *otd_policy_in_force(const struct otd_policy *p); /* NULL: none */
const struct otd_policy_set *otd_policy_in_shadow(const struct otd_policy *p);
struct otd_policy_shadow_status {
	uint64_t calls, differences;
};
void otd_policy_shadow_counts(const struct otd_policy *p, struct otd_policy_shadow_status *out);

#endif
