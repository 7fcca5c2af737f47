/*
 * Questions that are answered from the database and the journals: of a running pool over its control
 * socket, of a stopped one with -c FILE. A question goes through the steps of its topic; what it
 * knows of the running pool is copied before the first, so that no step looks at what a reload may
 * change. The answer is one JSON object; amounts are decimal strings in the coin's unit, beside each
 * KEY a KEY_units in base units.
 */
#ifndef OTD_APP_ASK_H
#define OTD_APP_ASK_H

#include <jansson.h>

#include "app/cmd/args.h"
#include "app/control.h"
#include "config/settings.h"
#include "store/store.h"

struct otd_app;
struct otd_question;

/* Steps in this order, each NULL where there is nothing to do. Those on the store thread may run
   several times: what they set they set anew. */
struct otd_topic {
	otd_rc (*prepare)(struct otd_question *q, struct otd_db *db,
			  struct otd_err *err); /* [store] */
	/* Reads files, on a thread of its own. Bounded by q->deadline_ns. */
	otd_rc (*scan)(struct otd_question *q, struct otd_err *err);
	otd_rc (*read)(struct otd_question *q, struct otd_db *db,
		       struct otd_err *err); /* [store] */
	void (*finish)(void *state);         /* of q->state, which is free()d then; may be NULL */
};

/* What is known of a pool of the settings. */
struct otd_question_pool {
	char *name, *asset, *scheme; /* scheme: its own, as records name it */
	unsigned decimals;
	uint32_t maturity;
	bool has_diff1;
	struct otd_u256 diff1;
};

struct otd_question {
	const struct otd_topic *topic;
	struct otd_env *env;
	char *data_dir;
	int64_t now_ms;       /* wall clock, when it was asked */
	uint64_t deadline_ns; /* monotonic: later than this nothing new is looked at */
	bool live;            /* the pool runs */
	struct otd_question_pool *pools;
	size_t n_pools;
	char *words;
	json_t *answer;
	void *state; /* the topic's, NULL at first */
	/* the driver's */
	struct otd_app *app;
	struct otd_control_request *request;
	struct otd_err err;
	int step;
};

/* words and data_dir are copied; pools are filled in by the caller. NULL: out of memory. */
struct otd_question *otd_question_create(struct otd_env *env, const struct otd_topic *topic,
					 const char *data_dir, const char *words);
void otd_question_destroy(struct otd_question *q);
/* Room for n pools. */
otd_rc otd_question_pools(struct otd_question *q, size_t n);
otd_rc otd_question_pool_set(struct otd_question_pool *to, const struct otd_settings_pool *p);
/* NULL: not in the settings. Of an asset: any pool of it. */
const struct otd_question_pool *otd_question_pool(const struct otd_question *q, const char *name);
const struct otd_question_pool *otd_question_asset(const struct otd_question *q, const char *asset);

/* app_ask.c, in a running pool: answers r, now or later. [coordinator] */
void otd_app_ask(struct otd_app *app, struct otd_control_request *r, const struct otd_topic *topic,
		 const char *words);
/* Before the store goes. */
void otd_app_ask_stop(struct otd_app *app);

/* --- answers --- */

/* A text of the database; what is not UTF-8 becomes "?". */
json_t *otd_ask_text(const struct otd_value *v);
void otd_ask_set_text(json_t *o, const char *key, const struct otd_value *v);
/* KEY and KEY_units; coin NULL: the unit is not known, KEY is in base units too. */
void otd_ask_amount(json_t *o, const char *key, otd_i128 v, const struct otd_question_pool *coin);
/* A decimal text: work does not fit in JSON's integers. */
void otd_ask_wide(json_t *o, const char *key, otd_i128 v);
void otd_ask_set_s(json_t *o, const char *key, const char *s); /* not UTF-8: "?" */
void otd_ask_set_n(json_t *o, const char *key, int64_t n);
/* One more line in plain words, for people, in the array "says" of o. */
void otd_ask_say(json_t *o, const char *fmt, ...) OTD_PRINTF(2, 3);
/* About so much in four digits, of the work of a share; "" where difficulty 1 is not known. */
#define OTD_ASK_DIFFICULTY 40
const char *otd_ask_difficulty(char out[OTD_ASK_DIFFICULTY], otd_u128 work,
			       const struct otd_question_pool *pool);
/* The amount and its unit, as people read it. */
#define OTD_ASK_MONEY 128
const char *otd_ask_money(char out[OTD_ASK_MONEY], otd_i128 v, const char *asset,
			  const struct otd_question_pool *coin);
void otd_ask_hash(json_t *o, const char *key, const uint8_t hash[32]); /* last byte first */

/* --- the command's side: cmd_ask.c --- */

struct otd_asker {
	const char *config, *socket;
	bool json;
};
#define OTD_ASKER_ARGS(a)                                                                  \
	{"--config", 'c', "FILE", "the pool's configuration: to find it, or what it left", \
	 .text = &(a).config},                                                             \
		{"--socket", 's', "PATH", "its control socket", .text = &(a).socket},      \
	{                                                                                  \
		"--json", 0, NULL, "as the pool says it", .on = &(a).json                  \
	}
#define OTD_ASKER_N 3

/*
 * Sends "VERB WORDS" to the running pool; where none runs, -c was given and topic is not NULL, answers
 * from its database. Prints the answer by print(), or as it is. Exit status.
 */
int otd_ask(const struct otd_cmd *cmd, const struct otd_asker *a, const char *verb,
	    const char *words, const struct otd_topic *topic, void (*print)(const json_t *answer));

/* For print functions: "" and 0 where there is no such member. */
const char *otd_ask_s(const json_t *o, const char *key);
long long otd_ask_n(const json_t *o, const char *key);
/* "2026-03-01 12:00:00 UTC" of milliseconds, "-" of 0. */
#define OTD_ASK_TIME 48
const char *otd_ask_time(char out[OTD_ASK_TIME], long long ms);

#endif
