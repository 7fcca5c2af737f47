/* Questions in a running pool: step by step over the store thread and a reader of files. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"
#include "app/explain/ask.h"
#include "app/policy/app_policy.h"
#include "base/log.h"
#include "base/text.h"

#define SCAN_MS 6000 /* the asker is given up on after 10 s */

static char *copy(const char *s)
{
	size_t n = strlen(s) + 1;
	char *to = malloc(n);
	if (to)
		memcpy(to, s, n);
	return to;
}

struct otd_question *otd_question_create(struct otd_env *env, const struct otd_topic *topic,
					 const char *data_dir, const char *words)
{
	struct otd_question *q = calloc(1, sizeof(*q));
	if (!q)
		return NULL;
	q->topic = topic;
	q->env = env;
	q->now_ms = otd_wall_ms(env);
	q->deadline_ns = otd_mono_ns(env) + SCAN_MS * 1000000ull;
	q->data_dir = copy(data_dir);
	q->words = copy(words);
	q->answer = json_object();
	if (!q->data_dir || !q->words || !q->answer) {
		otd_question_destroy(q);
		return NULL;
	}
	return q;
}

void otd_question_destroy(struct otd_question *q)
{
	if (!q)
		return;
	if (q->state && q->topic->finish)
		q->topic->finish(q->state);
	free(q->state);
	for (size_t i = 0; i < q->n_pools; i++) {
		free(q->pools[i].name);
		free(q->pools[i].asset);
		free(q->pools[i].scheme);
	}
	free(q->pools);
	json_decref(q->answer);
	free(q->data_dir);
	free(q->words);
	free(q);
}

otd_rc otd_question_pools(struct otd_question *q, size_t n)
{
	q->pools = calloc(n ? n : 1, sizeof(*q->pools));
	q->n_pools = q->pools ? n : 0;
	return q->pools ? OTD_OK : OTD_E_NOMEM;
}

otd_rc otd_question_pool_set(struct otd_question_pool *to, const struct otd_settings_pool *p)
{
	to->name = copy(p->name);
	to->asset = copy(p->coin->symbol);
	to->scheme = copy(p->payout.id);
	to->decimals = (unsigned)p->coin->decimals;
	to->maturity = (uint32_t)p->coin->maturity;
	return to->name && to->asset && to->scheme ? OTD_OK : OTD_E_NOMEM;
}

const struct otd_question_pool *otd_question_pool(const struct otd_question *q, const char *name)
{
	for (size_t i = 0; i < q->n_pools; i++) {
		if (q->pools[i].name && strcmp(q->pools[i].name, name) == 0)
			return &q->pools[i];
	}
	return NULL;
}

const struct otd_question_pool *otd_question_asset(const struct otd_question *q, const char *asset)
{
	for (size_t i = 0; i < q->n_pools; i++) {
		if (q->pools[i].asset && strcmp(q->pools[i].asset, asset) == 0)
			return &q->pools[i];
	}
	return NULL;
}

/* --- answers --- */

json_t *otd_ask_text(const struct otd_value *v)
{
	json_t *t = NULL;
	if (v->type == OTD_VALUE_TEXT)
		t = json_stringn(v->bytes.len ? (const char *)v->bytes.ptr : "", v->bytes.len);
	return t ? t : json_string(v->type == OTD_VALUE_TEXT ? "?" : "");
}

void otd_ask_set_text(json_t *o, const char *key, const struct otd_value *v)
{
	(void)json_object_set_new(o, key, otd_ask_text(v));
}

void otd_ask_amount(json_t *o, const char *key, otd_i128 v, const struct otd_question_pool *coin)
{
	char text[OTD_AMOUNT_TEXT], name[64];
	(void)json_object_set_new(
		o, key, json_string(otd_format_amount(text, v, coin ? coin->decimals : 0)));
	snprintf(name, sizeof(name), "%s_units", key);
	otd_ask_wide(o, name, v);
}

void otd_ask_wide(json_t *o, const char *key, otd_i128 v)
{
	char units[OTD_I128_TEXT];
	(void)json_object_set_new(o, key, json_string(otd_format_i128(units, v)));
}

void otd_ask_hash(json_t *o, const char *key, const uint8_t hash[32])
{
	char hex[65];
	otd_hex_encode_reverse(hex, hash, 32);
	(void)json_object_set_new(o, key, json_string(hex));
}

void otd_ask_set_s(json_t *o, const char *key, const char *s)
{
	json_t *t = json_string(s);
	(void)json_object_set_new(o, key, t ? t : json_string("?"));
}

void otd_ask_set_n(json_t *o, const char *key, int64_t n)
{
	(void)json_object_set_new(o, key, json_integer(n));
}

void otd_ask_say(json_t *o, const char *fmt, ...)
{
	json_t *says = json_object_get(o, "says"), *line;
	char text[1200];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!says) {
		says = json_array();
		(void)json_object_set_new(o, "says", says);
	}
	line = json_string(text);
	(void)json_array_append_new(says, line ? line : json_string("?"));
}

const char *otd_ask_difficulty(char out[OTD_ASK_DIFFICULTY], otd_u128 work,
			       const struct otd_question_pool *pool)
{
	struct otd_u256 target, rest;
	char text[OTD_DIFFICULTY_TEXT];
	out[0] = '\0';
	if (!pool || !pool->has_diff1 || work == 0 ||
	    otd_u256_div(&target, &rest, otd_u256_max(), otd_u256_from_u128(work)) != OTD_OK ||
	    otd_u256_is_zero(target))
		return out;
	/* Work is a whole number: only so many digits of it are the difficulty's. */
	snprintf(out, OTD_ASK_DIFFICULTY, "%.4g",
		 strtod(otd_difficulty_format(text, target, pool->diff1), NULL));
	return out;
}

const char *otd_ask_money(char out[OTD_ASK_MONEY], otd_i128 v, const char *asset,
			  const struct otd_question_pool *coin)
{
	char text[OTD_AMOUNT_TEXT];
	snprintf(out, OTD_ASK_MONEY, "%s %.40s%s",
		 otd_format_amount(text, v, coin ? coin->decimals : 0), asset,
		 coin ? "" : " base units");
	return out;
}

/* --- the steps --- */

static void go_on(struct otd_question *q);

static void end(struct otd_question *q)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 32u << 20);
	if (!q->err.rc)
		otd_app_policy_tags(q->app, q->answer);
	char *text = q->err.rc ? NULL : json_dumps(q->answer, JSON_COMPACT);
	if (!q->err.rc && (!text || otd_bytes_text(&b, text) != OTD_OK))
		otd_fail(&q->err, OTD_E_NOMEM, "the answer is too long");
	free(text);
	otd_control_answer(q->request, &q->err, &b);
	otd_bytes_finish(&b);
	otd_question_destroy(q);
}

static otd_rc prepare_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct otd_question *q = arg;
	return q->topic->prepare(q, db, err);
}

static otd_rc read_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct otd_question *q = arg;
	return q->topic->read(q, db, err);
}

static void store_done(void *arg, const struct otd_err *err)
{
	struct otd_question *q = arg;
	q->err = *err;
	go_on(q);
}

static void scan_run(void *arg)
{
	struct otd_question *q = arg;
	q->err.rc = q->topic->scan(q, &q->err);
}

static void scan_done(void *arg)
{
	go_on(arg);
}

static void go_on(struct otd_question *q)
{
	struct otd_app *app = q->app;
	otd_rc rc = OTD_OK;
	if (!q->err.rc && atomic_load(&app->stopping))
		otd_fail(&q->err, OTD_E_CLOSED, "the pool is ending");
	while (!q->err.rc && rc == OTD_OK && q->step < 3) {
		int step = q->step++;
		if (step == 0 && q->topic->prepare)
			rc = otd_store_do(app->store, false, prepare_work, store_done, q);
		else if (step == 1 && q->topic->scan)
			rc = app->env->ops->worker_give(app->reader, scan_run, scan_done, q);
		else if (step == 2 && q->topic->read)
			rc = otd_store_do(app->store, false, read_work, store_done, q);
		else
			continue;
		if (rc == OTD_OK)
			return; /* it comes back */
	}
	if (rc != OTD_OK)
		otd_fail(&q->err, rc, "the question cannot be handed over: %s", otd_rc_name(rc));
	end(q);
}

static otd_rc know_pools(struct otd_question *q, struct otd_app *app)
{
	otd_rc rc = otd_question_pools(q, app->n_pools);
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++) {
		const struct otd_app_pool *p = &app->pools[i];
		if (!p->settings || !p->chain)
			continue; /* taken out by a reload */
		rc = otd_question_pool_set(&q->pools[i], p->settings);
		q->pools[i].has_diff1 = true;
		q->pools[i].diff1 = otd_u256_from_be(otd_instance_algo_info(p->chain->algo)->diff1);
	}
	return rc;
}

void otd_app_ask(struct otd_app *app, struct otd_control_request *r, const struct otd_topic *topic,
		 const char *words)
{
	struct otd_err err = {0};
	if (topic->scan && !app->reader)
		err.rc = app->env->ops->worker_create(app->loop, &app->reader, "reader", &err);
	struct otd_question *q =
		err.rc ? NULL : otd_question_create(app->env, topic, app->data_dir, words);
	if (!q || know_pools(q, app) != OTD_OK) {
		if (!err.rc)
			otd_fail(&err, OTD_E_NOMEM, "out of memory");
		otd_question_destroy(q);
		otd_control_answer(r, &err, NULL);
		return;
	}
	q->app = app;
	q->request = r;
	q->live = true;
	go_on(q);
}

void otd_app_ask_stop(struct otd_app *app)
{
	if (app->reader)
		app->env->ops->worker_destroy(app->reader);
	app->reader = NULL;
}
