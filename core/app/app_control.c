/* What a running pool answers: on its control socket, and over HTTP. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_backup.h"
#include "app/app_fee.h"
#include "app/app_node.h"
#include "app/app_parts.h"
#include "app/explain/app_explain.h"
#include "app/live/app_plugin.h"
#include "app/policy/app_policy.h"
#include "app/processes/processes.h"
#include "app/upgrade/upgrade.h"
#include "base/log.h"

/* "chain POOL WORDS.." */
static void chain_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	struct otd_bytes out;
	size_t n = strcspn(words, " ");
	const char *rest = words + n + (words[n] == ' ');
	otd_bytes_init(&out, 1u << 20);
	(void)otd_app_no_pool(app, words, n, &err);
	for (size_t i = 0; i < app->n_pools; i++) {
		if (!app->pools[i].settings)
			continue;
		const char *name = app->pools[i].settings->name;
		if (strlen(name) != n || strncmp(name, words, n) != 0)
			continue;
		err = (struct otd_err){0};
		struct otd_span line = {(const uint8_t *)rest, strlen(rest)};
		err.rc = otd_chain_command(app->pools[i].chain->chain, line, &out, &err);
	}
	otd_control_answer(r, &err, &out);
	otd_bytes_finish(&out);
}

static otd_rc say_to_all(struct otd_app *app, const char *text, bool reconnect, struct otd_err *err)
{
	const struct otd_span said = {(const uint8_t *)text, strlen(text)};
	otd_app_processes_say(app, text, reconnect);
	for (size_t i = 0; i < app->n_reactors; i++) {
		otd_rc rc = otd_stratum_say_post(app->reactors[i].stratum, said, reconnect);
		if (rc != OTD_OK)
			return otd_fail(err, rc,
					rc == OTD_E_NOMEM ? "out of memory" : "the pool is ending");
	}
	return OTD_OK;
}

/* "miners message TEXT" or "miners reconnect" */
static void miners_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	if (strncmp(words, "message ", 8) == 0 && words[8])
		(void)say_to_all(app, words + 8, false, &err);
	else if (strcmp(words, "reconnect") == 0)
		(void)say_to_all(app, "", true, &err);
	else
		otd_fail(&err, OTD_E_INVALID, "say 'message TEXT' or 'reconnect', not '%.60s'",
			 words);
	otd_control_answer(r, &err, NULL);
}

static void status_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	(void)words;
	otd_app_status(app, r);
}

/* The first word of a request, and who answers: words is what follows it. */
static const struct {
	const char *word;
	void (*answer)(struct otd_app *app, struct otd_control_request *r, const char *words);
} verbs[] = {
	{"status", status_request},
	{"backup", otd_app_backup_request},
	{"chain", chain_request},
	{"miners", miners_request},
	{"account", otd_app_account_request},
	{"ban", otd_app_ban_request},
	{"explain", otd_app_explain_request},
	{"fee", otd_app_fee_request},
	{"node", otd_app_node_request},
	{"payment", otd_app_payment_request},
	{"plugin", otd_app_plugin_request},
	{"policy", otd_app_policy_request},
	{"reload", otd_app_reload_request},
	{"upgrade", otd_app_upgrade_request},
};

void otd_app_request(void *arg, struct otd_control_request *r, const char *line)
{
	struct otd_err err = {0};
	size_t n = strcspn(line, " ");
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strlen(verbs[i].word) == n && strncmp(line, verbs[i].word, n) == 0) {
			verbs[i].answer(arg, r, line + n + (line[n] == ' '));
			return;
		}
	}
	otd_fail(&err, OTD_E_UNSUPPORTED, "this pool (version %s) does not know '%.60s'",
		 OTEDAMA_VERSION, line);
	otd_control_answer(r, &err, NULL);
}

static int metrics_get(void *arg, struct otd_bytes *out) /* [any-thread] */
{
	struct otd_app *app = arg;
	return otd_metrics_write(app->metrics, out) == OTD_OK ? 200 : 500;
}

static int health_get(void *arg, struct otd_bytes *out) /* [any-thread] */
{
	struct otd_app *app = arg;
	bool ok = atomic_load(&app->healthy);
	(void)otd_bytes_format(out, "{\"status\":\"%s\",\"version\":\"%s\"}\n",
			       ok ? "ok" : "not serving", OTEDAMA_VERSION);
	return ok ? 200 : 503;
}

/* A taken port costs the pages, not the pool: the warning names the key to change. */
static void make_api(struct otd_app *app, struct otd_api **api, const char *key,
		     const struct otd_settings_listen *at, const struct otd_api_route *routes,
		     size_t n)
{
	struct otd_err err = {0};
	struct otd_api_conf conf = {.host = strcmp(at->host, "*") == 0 ? "0.0.0.0" : at->host,
				    .port = at->port,
				    .routes = routes,
				    .n_routes = n};
	if (at->off)
		return;
	if (otd_api_create(api, &conf, &err) != OTD_OK)
		otd_app_warn(app, "%s.listen: %s; set %s.listen to a free port, or %s.off to true",
			     key, err.text, key, key);
}

otd_rc otd_app_make_apis(struct otd_app *app, struct otd_err *err)
{
	(void)err;
	app->routes[0] =
		(struct otd_api_route){"/metrics", "text/plain; version=0.0.4", metrics_get, app};
	app->routes[1] = (struct otd_api_route){"/health", "application/json", health_get, app};
	make_api(app, &app->api, "api", &app->settings->api, app->routes, 2);
	make_api(app, &app->metrics_api, "metrics", &app->settings->metrics, app->routes, 1);
	return OTD_OK;
}
