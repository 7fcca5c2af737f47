/* otedama ledger verify: every posting, balance and link of the audit chain, of a pool that is stopped. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/app.h"
#include "app/app_parts.h"
#include "app/cmd/cmd.h"
#include "app/cmd/settings_file.h"
#include "ledger/ledger.h"

static otd_rc verify(void *arg, struct otd_db *db, struct otd_err *err)
{
	return otd_ledger_verify(db, arg, err);
}

static otd_rc with_store(struct otd_app *app, uint64_t *postings, struct otd_err *err)
{
	const struct otd_settings_use *use = &app->settings->store;
	struct otd_plugin_services services = {.files_dir = app->data_dir};
	otd_rc rc = app->env->ops->loop_create(app->env, &app->loop, "ledger", err);
	if (rc == OTD_OK)
		rc = otd_app_make_plugins(app, err);
	if (rc == OTD_OK)
		rc = otd_app_instance(app, &app->store_plugin, "store", use, &services, err);
	if (rc == OTD_OK)
		rc = otd_store_create(&app->store, app->loop, app->store_plugin, err);
	if (rc == OTD_OK)
		rc = otd_store_do_now(app->store, false, verify, postings, err);
	if (app->store)
		otd_store_destroy(app->store);
	if (app->store_plugin)
		otd_instance_destroy(app->store_plugin);
	otd_app_free_chains(app);
	if (app->loop)
		app->env->ops->loop_destroy(app->loop);
	return rc;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_app app = {.lock_fd = -1};
	const char *config = NULL, *words[1];
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the configuration", .text = &config}};
	struct otd_err err = {0};
	uint64_t postings = 0;
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 1, argc, argv, words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (strcmp(words[0], "verify") != 0 || !config) {
		otd_cmd_fail(cmd, "usage: otedama ledger %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	otd_log_only_warnings();
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	otd_rc rc = otd_env_real_create(&app.env, NULL, &err);
	if (rc == OTD_OK)
		rc = otd_settings_file_load(&app.settings, app.env, config, NULL, &err);
	if (rc == OTD_OK) {
		app.data_dir = app.settings->data_dir;
		rc = with_store(&app, &postings, &err);
	}
	if (rc == OTD_OK)
		printf("ledger: ok, %" PRIu64 " postings\n", postings);
	otd_settings_destroy(app.settings);
	otd_env_real_destroy(app.env);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", err.text);
}

const struct otd_cmd otd_cmd_ledger = {
	.name = "ledger",
	.usage = "verify -c FILE",
	.summary = "checks every posting and balance of a stopped pool",
	.run = run,
};
