/* What the files app_policy*.c share. All [coordinator] but where it says so. */
#ifndef OTD_APP_APP_POLICY_IMPL_H
#define OTD_APP_APP_POLICY_IMPL_H

#include "app/app.h"
#include "app/policy/app_policy.h"

#define POLICY_HISTORY    16
#define POLICY_NOTICES    32
#define POLICY_SHOWN      64 /* differences kept */
#define POLICY_SAVE_MS    15000
#define POLICY_TEXT       512
#define POLICY_KV_FILE    "policy.kv"
#define POLICY_BLOCKS     64
#define POLICY_RECORD_MAX ((size_t)8 << 20) /* bytes that may wait for the disk */

/* --- app_policy_scripts.c: which scripts --- */

/* One script as it was read; never changed. */
struct policy_script {
	char name[OTD_POLICY_NAME_MAX + 1];
	char *file, *path;
	struct otd_bytes text;
	struct otd_yaml_doc *options; /* a copy; NULL: none */
	char **pools;
	size_t n_pools;
};

/* All scripts that are in force at a time. Counted on the coordinator; what is in it does not change. */
struct policy_gen {
	unsigned users;
	struct policy_script *script;
	size_t n;
	struct otd_policy_asset *assets;
	size_t n_assets;
};

otd_rc policy_gen_read(struct policy_gen **out, struct otd_env *e, const struct otd_settings *s,
		       struct otd_err *err); /* [any-thread] */
/* A copy in which the script of this file's name is this text; one that was not there comes last and is
   for all pools. [any-thread] */
otd_rc policy_gen_with(struct policy_gen **out, const struct policy_gen *from, const char *file,
		       const struct otd_bytes *text, struct otd_err *err);
void policy_gen_drop(struct policy_gen *g); /* takes NULL */
/* One set a thread, the coordinator's first. [any-thread] */
otd_rc policy_sets_build(struct otd_policy_set **sets, size_t n, struct otd_env *e,
			 const struct policy_gen *g, struct otd_err *err);
void policy_sets_destroy(struct otd_policy_set **sets, size_t n);

/* --- app_policy.c: threads --- */

struct policy_thread {
	struct otd_app *app;
	size_t index; /* 0: the coordinator; else of the reactor, plus 1 */
	char where[32];
	struct otd_loop *loop; /* NULL: not running yet */
	struct otd_policy *policy;
	struct otd_policy_kv *kv;
	struct otd_stratum *stratum;
	struct otd_stratum_policy ask;
	int64_t told_ms; /* of differences: so many a second */
	unsigned told;
};

enum policy_op { POLICY_SWAP, POLICY_SHADOW, POLICY_RECORD };

/* One thing to do on every thread, with all memory that it takes. */
struct policy_orders;
struct policy_orders *policy_orders_create(struct otd_app_policy *p); /* NULL: no memory */
void policy_orders_destroy(struct policy_orders *o);                  /* takes NULL */
/* Takes o and what is in sets (NULL: none); on: of POLICY_RECORD. */
void policy_order(struct otd_app_policy *p, struct policy_orders *o, enum policy_op op,
		  struct otd_policy_set **sets, bool on);

struct otd_app_policy_change {
	struct policy_gen *gen;
	struct otd_policy_set **sets;
	size_t n;
	struct policy_orders *orders;
};
otd_rc policy_change_create(struct otd_app_policy_change **out, struct otd_app_policy *p,
			    struct policy_gen *g,
			    struct otd_err *err); /* takes g where it succeeds */
/* In force from now on; how: for history. */
void policy_take(struct otd_app_policy *p, struct otd_app_policy_change *c, const char *how);

/* --- app_policy_host.c: what scripts are given --- */

struct otd_policy_services policy_services(struct policy_thread *t);
void policy_kv_changed(void *arg, const struct otd_policy_kv_change *c); /* [t's thread] */
otd_rc policy_kv_open(struct otd_app_policy *p, struct otd_err *err);
void policy_kv_tick(struct otd_app_policy *p, int64_t now_ms);
void policy_kv_close(struct otd_app_policy *p);
/* A value of an outside source, from now on. */
otd_rc policy_feed_put(struct otd_app_policy *p, const char *name, const char *value);
/* The label on a worker, account or address. */
bool policy_tag(struct otd_app_policy *p, const char *scope, const char *what, char *to,
		size_t cap);
void policy_notice(struct otd_app_policy *p, const char *text, bool alert);
/* [t's thread] */
void policy_difference(void *arg, const struct otd_policy_difference *d);
void policy_call(void *arg, const char *line, size_t n);
void policy_record_tick(struct otd_app_policy *p);

/* --- app_policy_money.c --- */

struct policy_fee {
	char pool[72];
	struct otd_policy_fee_out last;
	bool known;    /* last is an answer */
	bool in_force; /* a script's */
	int64_t next_ms;
};
#define FEE_MOST_PPM 1000000 /* what a script's answer may come to */
void policy_fees_seed(struct otd_app_policy *p);
void policy_fees_ask(struct otd_app_policy *p, bool now);
/* Why a fee is in force, for people: of POOL or POOL/ACCOUNT; answer NULL: the settings', or the pool's. */
void policy_fee_audit(struct otd_app_policy *p, const char *what, int64_t ppm,
		      const struct otd_policy_fee_out *answer, int64_t now_ms);
bool policy_same_recipients(const struct otd_policy_fee_out *a, const struct otd_policy_fee_out *b);
/* app_policy_accounts.c */
struct policy_accounts;
void policy_accounts_tick(struct otd_app_policy *p, int64_t now_ms);
/* Other scripts are in force: everybody is asked about again. */
void policy_accounts_anew(struct otd_app_policy *p);
void policy_accounts_free(struct otd_app_policy *p);
/* Before anything is served: what there is by now is no news, all that comes is. */
void policy_events_begin(struct otd_app_policy *p);
void policy_events_tick(struct otd_app_policy *p, int64_t now_ms);
void policy_payer_init(struct otd_app_policy *p);

/* --- app_policy_live.c --- */

void policy_live_tick(struct otd_app_policy *p, int64_t now_ms);

struct policy_past {
	struct policy_gen *gen;
	int64_t since_ms;
	char how[160];
};

struct policy_block_seen {
	uint64_t epoch, seq;
	uint32_t state;
};

struct policy_node_seen {
	char name[72];
	bool up, in_use, syncing;
};

#define POLICY_FLOODS 256

struct policy_flood {
	char host[46];
	int64_t since_ms;
	uint32_t count;
};

struct otd_app_policy {
	struct otd_app *app;
	struct policy_thread *thread;
	size_t n_threads;
	struct policy_past past[POLICY_HISTORY]; /* the newest is past[n_past - 1]: in force */
	size_t n_past;
	struct otd_worker *worker;
	struct otd_timer *timer;
	int64_t confirm_ms; /* wall clock: rolled back then unless confirmed; 0: nothing to confirm */
	bool busy;          /* a verb is under way */
	bool started, stopping;
	/* shadow */
	char shadow[256]; /* its file; "": none */
	int64_t shadow_ms;
	uint64_t differences;
	char *difference[POLICY_SHOWN]; /* JSON, a ring */
	/* recording */
	char record[512]; /* "": off */
	struct otd_bytes recorded;
	uint64_t record_at, record_lost, record_lines;
	bool record_writing, record_made; /* made: the file is there */
	/* what scripts remember */
	bool kv_dirty, kv_saving;
	int64_t kv_ms;
	/* texts for people */
	char notice[POLICY_NOTICES][POLICY_TEXT];
	int64_t notice_ms[POLICY_NOTICES];
	uint64_t n_notices;
	char alert[8][POLICY_TEXT];
	size_t n_alerts;
	char kv_trouble[POLICY_TEXT];
	/* money and events */
	struct policy_fee *fee;
	size_t n_fee;
	struct policy_accounts *accounts;
	struct otd_payer_policy payer;
	struct policy_block_seen block[POLICY_BLOCKS];
	size_t n_blocks;
	bool blocks_known;
	struct policy_node_seen *node;
	size_t n_nodes;
	int64_t minute_ms;
	struct policy_flood
		flood[POLICY_FLOODS]; /* by a hash of the address; the newer one stays */
	uint64_t *shares;             /* accepted and refused of each pool a minute ago */
	size_t n_shares;
};

#endif
