/* The command's side of a question: ask the running pool, or read what a stopped one left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/app_parts.h"
#include "app/cmd/settings_file.h"
#include "app/cmd/where.h"
#include "app/explain/ask.h"
#include "net/bans.h"

const char *otd_ask_s(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

long long otd_ask_n(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

const char *otd_ask_time(char out[OTD_ASK_TIME], long long ms)
{
	if (ms)
		return otd_ban_time(out, ms);
	snprintf(out, OTD_ASK_TIME, "-");
	return out;
}

/* --- of a stopped pool --- */

/* Difficulty 1 is the algorithm's; where it cannot be loaded, difficulties are left out. */
static void know_algorithm(struct otd_app *app, struct otd_question_pool *to,
			   const struct otd_settings_pool *p)
{
	struct otd_plugin_instance *algo = NULL;
	struct otd_err err = {0};
	if (otd_app_instance(app, &algo, "algo", &p->coin->algorithm, NULL, &err) != OTD_OK)
		return;
	to->has_diff1 = true;
	to->diff1 = otd_u256_from_be(otd_instance_algo_info(algo)->diff1);
	otd_instance_destroy(algo);
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

static otd_rc steps(struct otd_app *app, struct otd_question *q, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	otd_rc rc = otd_question_pools(q, s->n_pools);
	for (size_t i = 0; rc == OTD_OK && i < s->n_pools; i++) {
		rc = otd_question_pool_set(&q->pools[i], &s->pools[i]);
		know_algorithm(app, &q->pools[i], &s->pools[i]);
	}
	if (rc != OTD_OK)
		return otd_fail(err, rc, "out of memory");
	if (q->topic->prepare)
		rc = otd_store_do_now(app->store, false, prepare_work, q, err);
	if (rc == OTD_OK && q->topic->scan)
		rc = q->topic->scan(q, err);
	if (rc == OTD_OK && q->topic->read)
		rc = otd_store_do_now(app->store, false, read_work, q, err);
	return rc;
}

static otd_rc with_store(struct otd_app *app, const struct otd_topic *topic, const char *words,
			 json_t **answer, struct otd_err *err)
{
	const struct otd_settings_use *use = &app->settings->store;
	struct otd_plugin_services services = {.files_dir = app->data_dir};
	struct otd_question *q = otd_question_create(app->env, topic, app->data_dir, words);
	otd_rc rc = q ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (rc == OTD_OK)
		rc = app->env->ops->loop_create(app->env, &app->loop, "ask", err);
	if (rc == OTD_OK)
		rc = otd_app_make_plugins(app, err);
	if (rc == OTD_OK)
		rc = otd_app_instance(app, &app->store_plugin, "store", use, &services, err);
	if (rc == OTD_OK)
		rc = otd_store_create(&app->store, app->loop, app->store_plugin, err);
	if (rc == OTD_OK)
		rc = steps(app, q, err);
	if (rc == OTD_OK)
		*answer = json_incref(q->answer);
	otd_question_destroy(q);
	if (app->store)
		otd_store_destroy(app->store);
	if (app->store_plugin)
		otd_instance_destroy(app->store_plugin);
	otd_app_free_chains(app);
	if (app->loop)
		app->env->ops->loop_destroy(app->loop);
	return rc;
}

static otd_rc ask_files(const char *config, const struct otd_topic *topic, const char *words,
			json_t **answer, struct otd_err *err)
{
	struct otd_app app = {.lock_fd = -1};
	otd_log_only_warnings();
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	otd_rc rc = otd_env_real_create(&app.env, NULL, err);
	if (rc == OTD_OK)
		rc = otd_settings_file_load(&app.settings, app.env, config, NULL, err);
	if (rc == OTD_OK) {
		app.data_dir = app.settings->data_dir;
		if (access(app.data_dir, X_OK) != 0)
			rc = otd_fail(err, OTD_E_NOT_FOUND,
				      "no pool runs, and none has left anything in %s",
				      app.data_dir);
	}
	if (rc == OTD_OK)
		rc = with_store(&app, topic, words, answer, err);
	otd_settings_destroy(app.settings);
	otd_env_real_destroy(app.env);
	return rc;
}

/* --- of a running one --- */

static otd_rc ask_pool(const struct otd_asker *a, const char *verb, const char *words,
		       json_t **answer, struct otd_err *err)
{
	char path[256];
	struct otd_bytes line, out;
	otd_bytes_init(&line, 65000);
	otd_bytes_init(&out, 64u << 20);
	otd_rc rc = otd_bytes_format(&line, "%s%s%s", verb, *words ? " " : "", words);
	if (rc != OTD_OK || strchr(otd_bytes_cstr(&line), '\n'))
		rc = otd_fail(err, OTD_E_INVALID, "the words are too long, or several lines");
	if (rc == OTD_OK)
		rc = otd_where_socket(path, sizeof(path), a->socket, a->config, err);
	if (rc == OTD_OK)
		rc = otd_control_call(path, otd_bytes_cstr(&line), &out, 15000, err);
	if (rc == OTD_OK) {
		*answer = json_loadb((const char *)out.ptr, out.len, 0, NULL);
		if (!*answer)
			rc = otd_fail(err, OTD_E_INVALID, "%s answered what is not JSON", path);
	}
	otd_bytes_finish(&line);
	otd_bytes_finish(&out);
	return rc;
}

int otd_ask(const struct otd_cmd *cmd, const struct otd_asker *a, const char *verb,
	    const char *words, const struct otd_topic *topic, void (*print)(const json_t *answer))
{
	struct otd_err err = {0};
	json_t *answer = NULL;
	otd_rc rc = ask_pool(a, verb, words, &answer, &err);
	if (rc == OTD_E_CLOSED && a->config && topic) {
		err = (struct otd_err){0};
		rc = ask_files(a->config, topic, words, &answer, &err);
	}
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	if (a->json)
		(void)json_dumpf(answer, stdout, JSON_INDENT(1));
	else
		print(answer);
	if (a->json)
		printf("\n");
	json_decref(answer);
	return OTD_EXIT_OK;
}
