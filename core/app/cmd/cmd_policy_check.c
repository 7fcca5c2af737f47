/* otedama policy check FILE: what a reload would say of the script, before it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cmd/cmd_policy.h"
#include "app/cmd/setup.h"

static json_t *hooks_of(const struct otd_policy_script_status *s)
{
	json_t *list = json_array();
	for (int h = 0; h < OTD_HOOKS; h++) {
		if (s->hook[h].has)
			json_array_append_new(
				list, json_string(otd_policy_hook_name((enum otd_policy_hook)h)));
	}
	return list;
}

static void print_text(const struct otd_policy_script_status *s, const json_t *hooks, bool tested)
{
	size_t i;
	json_t *name;
	printf("%s: fine:", s->file);
	json_array_foreach(hooks, i, name) printf(" %s", json_string_value(name));
	printf("; %zu bytes of memory%s\n", s->memory,
	       tested ? "; selftest() passed" : "; it has no selftest()");
}

static int check(const struct otd_cmd *cmd, const char *file, const char *options,
		 const struct otd_arg_list *assets, bool as_json)
{
	struct otd_policy_tool t;
	struct otd_err err = {0};
	struct otd_policy_script_status s;
	otd_rc rc = otd_policy_tool_init(&t, file, options, assets, &err);
	if (rc) {
		if (as_json) {
			json_t *o = json_pack("{s:b, s:s, s:s}", "ok", 0, "file", file, "error",
					      err.text);
			(void)json_dumpf(o, stdout, JSON_COMPACT);
			printf("\n");
			json_decref(o);
		} else {
			otd_cmd_fail(cmd, "%s", err.text);
		}
		otd_policy_tool_finish(&t);
		return OTD_EXIT_FAILED;
	}
	otd_policy_set_status(t.set, 0, &s);
	json_t *hooks = hooks_of(&s);
	bool tested = s.tested;
	if (as_json) {
		json_t *o = json_pack("{s:b, s:s, s:s, s:O, s:b, s:I}", "ok", 1, "file", file,
				      "sha256", s.digest, "hooks", hooks, "selftest", (int)tested,
				      "memory", (json_int_t)s.memory);
		(void)json_dumpf(o, stdout, JSON_COMPACT);
		printf("\n");
		json_decref(o);
	} else {
		print_text(&s, hooks, tested);
	}
	json_decref(hooks);
	otd_policy_tool_finish(&t);
	return OTD_EXIT_OK;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *options = NULL;
	struct otd_arg_list assets = {.n = 0};
	bool as_json = false;
	const struct otd_arg args[] = {
		{"--options", 0, "YAML", "the script's options: '{vip: 0.5%}'", .text = &options},
		{"--asset", 0, "SYMBOL=N", "a coin's decimals: ETC=18; others have 8",
		 .list = &assets},
		{"--json", 0, NULL, "as JSON", .on = &as_json},
	};
	const char *words[16];
	size_t n;
	int exit_status = otd_args_parse(cmd, args, 3, argc, argv, words, &n, 1, 16);
	if (exit_status >= 0)
		return exit_status;
	otd_log_only_warnings();
	exit_status = OTD_EXIT_OK;
	for (size_t i = 0; i < n; i++) {
		if (check(cmd, words[i], options, &assets, as_json) != OTD_EXIT_OK)
			exit_status = OTD_EXIT_FAILED;
	}
	return exit_status;
}

const struct otd_cmd otd_policy_verb_check = {
	.name = "policy check",
	.usage = "FILE.. [--options YAML] [--asset SYMBOL=N] [--json]",
	.summary = "compile a script, check its options, run its selftest()",
	.more = "What a reload would refuse is refused here, with its line. Nothing that the "
		"script does has "
		"an effect.",
	.run = run,
};
