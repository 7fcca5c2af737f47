/* otedama config check | print | schema. */
#include <stdio.h>
#include <string.h>

#include "app/check/config_check.h"
#include "app/cmd/cmd.h"
#include "app/cmd/settings_file.h"

static int print(const struct otd_cmd *cmd, const struct otd_settings *s)
{
	struct otd_bytes out;
	otd_bytes_init(&out, 4u << 20);
	otd_rc rc = s ? otd_settings_print(s, &out) : otd_settings_schema(&out);
	if (rc == OTD_OK)
		printf("%s", otd_bytes_cstr(&out));
	otd_bytes_finish(&out);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", otd_rc_name(rc));
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *config = NULL, *words[1];
	struct otd_arg_list set = {0};
	bool offline = false, json = false;
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the configuration", .text = &config},
		{"--set", 0, "KEY=VALUE", "over the file", .list = &set},
		{"--offline", 0, NULL, "check: the file and its plugins alone", .on = &offline},
		{"--json", 0, NULL, "check: findings and nodes as JSON", .on = &json},
	};
	struct otd_env *env = NULL;
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 4, argc, argv, words, &n_words, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (strcmp(words[0], "schema") == 0)
		return print(cmd, NULL);
	bool checking = strcmp(words[0], "check") == 0;
	if ((!checking && strcmp(words[0], "print") != 0) || !config) {
		otd_cmd_fail(cmd, "usage: otedama config %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	if (checking)
		return otd_config_check(cmd, config, &set, offline, json);
	otd_rc rc = otd_env_real_create(&env, NULL, &err);
	if (rc == OTD_OK)
		rc = otd_settings_file_load(&s, env, config, &set, &err);
	if (rc != OTD_OK)
		exit_status = otd_cmd_fail(cmd, "%s", err.text);
	else
		exit_status = print(cmd, s);
	otd_settings_destroy(s);
	otd_env_real_destroy(env);
	return exit_status;
}

const struct otd_cmd otd_cmd_config = {
	.name = "config",
	.usage = "check -c FILE [--offline] [--json] | print -c FILE | schema",
	.summary = "is the configuration right; what it comes to; every key there is",
	.more = "check reads the file, makes what it names, looks at this machine and asks the "
		"nodes,\n"
		"and says all that is wrong at once, each with its place and what to do. Faults "
		"end\n"
		"it with status 1; warnings do not. With --offline it needs neither nodes nor the\n"
		"data folder. It changes nothing, and may be run beside the pool.",
	.run = run,
};
