/* otedama reload: the running pool reads its configuration again. */
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/explain/ask.h"

static void print_key(const json_t *k)
{
	const char *before = otd_ask_s(k, "before"), *after = otd_ask_s(k, "after");
	printf("%s: ", otd_ask_s(k, "key"));
	if (strcmp(after, "there") == 0)
		printf("added");
	else if (strcmp(before, "there") == 0)
		printf("removed");
	else
		printf("%s -> %s", *before ? before : "(none)", *after ? after : "(none)");
	printf(": %s\n", otd_ask_s(k, "result"));
}

static void print_answer(const json_t *answer)
{
	const json_t *k;
	const json_t *keys = json_object_get(answer, "changed");
	size_t i;
	long long waits = otd_ask_n(answer, "needs_restart");
	json_array_foreach(keys, i, k)
	{
		print_key(k);
	}
	if (json_array_size(keys) == 0)
		printf("nothing has changed in %s\n", otd_ask_s(answer, "file"));
	else if (json_is_true(json_object_get(answer, "checked")))
		printf("checked %s: nothing was applied\n", otd_ask_s(answer, "file"));
	else if (waits)
		printf("%lld key%s wait%s for a restart\n", waits, waits == 1 ? "" : "s",
		       waits == 1 ? "s" : "");
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	bool check = false;
	const struct otd_arg args[] = {
		OTD_ASKER_ARGS(a),
		{"--check", 0, NULL, "say what a reload would do, and do nothing", .on = &check}};
	size_t n;
	int exit_status = otd_args_parse(cmd, args, OTD_ASKER_N + 1, argc, argv, NULL, &n, 0, 0);
	if (exit_status >= 0)
		return exit_status;
	return otd_ask(cmd, &a, "reload", check ? "check" : "", NULL, print_answer);
}

const struct otd_cmd otd_cmd_reload = {
	.name = "reload",
	.usage = "[-c FILE | --socket PATH] [--check] [--json]",
	.summary = "a running pool reads its configuration again",
	.more = "The pool reads the file that it was started with, and --set over it. Each key "
		"that\n"
		"changed is told: applied, or needs restart. Where anything is wrong nothing is\n"
		"applied, and the exit status is 1. No miner is disconnected but those of a pool "
		"or\n"
		"port that was taken out. SIGHUP does the same and tells the log.",
	.run = run,
};
