/* otedama serve: the pool. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/app.h"
#include "app/cmd/cmd.h"
#include "app/cmd/settings_file.h"
#include "app/upgrade/upgrade.h"
#include "base/log.h"

/* Why it was started. */
enum origin { BY_A_PERSON, AS_HEIR, AS_HEIR_OF_ITSELF };

/* Where the settings that were in force do not come, those of the file are better than none. */
static otd_rc read_settings(struct otd_app *app, enum origin origin, struct otd_err *err)
{
	struct otd_err ignored = {0};
	if (origin == AS_HEIR_OF_ITSELF && otd_heir_settings(app, &ignored) == OTD_OK)
		return OTD_OK;
	return otd_settings_file_load(&app->settings, app->env, app->config, app->set, err);
}

static int serve(const struct otd_cmd *cmd, struct otd_app *app, const char *config,
		 const struct otd_arg_list *set, enum origin origin)
{
	bool heir = origin != BY_A_PERSON;
	struct otd_err err = {0};
	app->config = config;
	app->set = set;
	/* Until it can be asked for: a reload has nothing to do at the start. */
	(void)signal(SIGHUP, SIG_IGN);
	app->metrics = otd_metrics_create();
	if (!app->metrics)
		return otd_cmd_fail(cmd, "out of memory");
	/* Settings say how many compute threads, so a first environment only reads them. */
	otd_rc rc = otd_env_real_create(&app->env, NULL, &err);
	if (rc == OTD_OK)
		rc = read_settings(app, origin, &err);
	otd_env_real_destroy(app->env);
	app->env = NULL;
	if (rc == OTD_OK) {
		app->data_dir = app->settings->data_dir;
		struct otd_env_real_conf conf = {.compute_threads =
							 (uint32_t)app->settings->threads.compute,
						 .lag_warn_ms = 200,
						 .metrics = app->metrics};
		rc = otd_env_real_create(&app->env, &conf, &err);
	}
	if (rc == OTD_OK && heir)
		rc = otd_heir_prepare(app, &err);
	if (rc == OTD_OK)
		rc = otd_app_start(app, &err);
	int exit_status = OTD_EXIT_FAILED;
	if (rc == OTD_OK) {
		if (!app->quiet && !app->json)
			printf("otedama %s serves %zu pool%s; 'otedama status' tells more, Ctrl-C "
			       "ends\n",
			       OTEDAMA_VERSION, app->n_pools, app->n_pools == 1 ? "" : "s");
		fflush(stdout);
		exit_status = otd_app_run(app);
	} else {
		otd_cmd_fail(cmd, "%s", err.text[0] ? err.text : "unknown error");
		if (heir)
			otd_heir_fail(app, &err);
	}
	if (app->live_line)
		printf("\n");
	if (app->env)
		otd_app_stop(app);
	else
		otd_heir_finish(app);
	if (otd_app_upgrade_leaves(app)) {
		exit_status = otd_app_upgrade_hand_over(app);
		otd_log_finish();
	}
	otd_settings_destroy(app->settings);
	otd_env_real_destroy(app->env);
	otd_metrics_destroy(app->metrics);
	return exit_status;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_app app = {.lock_fd = -1};
	const char *config = NULL;
	struct otd_arg_list set = {0};
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the configuration", .text = &config},
		{"--set", 0, "KEY=VALUE", "over the file: pools.ltc.fee.rate=2%", .list = &set},
		{"--quiet", 'q', NULL, "no line a second", .on = &app.quiet},
		{"--json", 0, NULL, "the line a second as JSON", .on = &app.json},
	};
	size_t n_words;
	/* Not for people: the process before has started us, and stands at the other end. */
	const char *last = argc > 0 ? argv[argc - 1] : "";
	enum origin origin = strcmp(last, OTD_UPGRADE_OPTION) == 0 ? AS_HEIR
			     : strcmp(last, OTD_UPGRADE_BACK) == 0 ? AS_HEIR_OF_ITSELF
								   : BY_A_PERSON;
	argc -= origin != BY_A_PERSON;
	int exit_status = otd_args_parse(cmd, args, 4, argc, argv, NULL, &n_words, 0, 0);
	if (exit_status >= 0)
		return exit_status;
	if (!config) {
		otd_cmd_fail(cmd, "-c FILE is needed; to try it out: -c etc/devnet.yaml");
		return OTD_EXIT_USAGE;
	}
	if (origin != BY_A_PERSON && !otd_heir_begin()) {
		otd_cmd_fail(cmd, "%s is for 'otedama upgrade' alone", last);
		return OTD_EXIT_USAGE;
	}
	otd_program_init(&app.program, argc, argv);
	return serve(cmd, &app, config, &set, origin);
}

const struct otd_cmd otd_cmd_serve = {
	.name = "serve",
	.usage = "-c FILE [--set KEY=VALUE].. [--quiet | --json]",
	.summary = "the pool",
	.more = "SIGTERM or Ctrl-C drains: what was received is answered and committed, then it "
		"ends\n"
		"within 5 s; a second one ends at once. SIGHUP reads the configuration again, as\n"
		"'otedama reload' does. SIGUSR1 opens the log file again.",
	.run = run,
};
