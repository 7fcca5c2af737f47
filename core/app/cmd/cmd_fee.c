/* otedama fee show | set | clear: what a pool takes, by command. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/cmd/cmd.h"
#include "app/explain/ask.h"
#include "base/text.h"

static void percent(char out[40], long long ppm)
{
	(void)snprintf(out, 40, "%lld.%04lld%%", ppm / 10000, ppm % 10000);
}

static void print_fee(const json_t *f)
{
	char is[40], other[40], until[OTD_ASK_TIME], since[OTD_ASK_TIME];
	const json_t *o = json_object_get(f, "override");
	const char *by = otd_ask_s(f, "by");
	percent(is, otd_ask_n(f, "ppm"));
	if (strcmp(by, "policy") == 0)
		printf("%s: %s by policy %s%s%s\n", otd_ask_s(f, "pool"), is,
		       otd_ask_s(f, "policy"), *otd_ask_s(f, "reason") ? ": " : "",
		       otd_ask_s(f, "reason"));
	else
		printf("%s: %s by %s\n", otd_ask_s(f, "pool"), is,
		       strcmp(by, "override") == 0 ? "command" : "the settings");
	if (o) {
		percent(other, otd_ask_n(o, "ppm"));
		bool ends = otd_ask_n(o, "until_ms") != 0;
		printf("  by command      %s %s%s: %s (since %s, by %s)\n", other,
		       ends ? "until " : "until it is cleared",
		       ends ? otd_ask_time(until, otd_ask_n(o, "until_ms")) : "",
		       otd_ask_s(o, "reason"), otd_ask_time(since, otd_ask_n(o, "created_ms")),
		       otd_ask_s(o, "by"));
	}
	percent(other, otd_ask_n(f, "settings_ppm"));
	printf("  by the settings %s\n", other);
}

static void print_fees(const json_t *answer)
{
	size_t i;
	json_t *f;
	json_array_foreach(json_object_get(answer, "fees"), i, f) print_fee(f);
}

/* Who asks, for the audit log. */
static const char *user_name(void)
{
	const struct passwd *p = getpwuid(getuid());
	return p ? p->pw_name : "unknown";
}

static int wrong(const struct otd_cmd *cmd, const char *what)
{
	otd_cmd_fail(cmd, "%s; try 'otedama fee --help'", what);
	return OTD_EXIT_USAGE;
}

static int send(const struct otd_cmd *cmd, const struct otd_asker *a, const char *verb, json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int exit_status = text ? otd_ask(cmd, a, verb, text, NULL, print_fee)
			       : otd_cmd_fail(cmd, "the words are not UTF-8");
	free(text);
	json_decref(o);
	return exit_status;
}

static int set(const struct otd_cmd *cmd, const struct otd_asker *a, const char **words,
	       const char *duration, const char *reason)
{
	int64_t ppm = 0, ms = 0;
	if (otd_parse_rate(&ppm, words[2], strlen(words[2])) != OTD_OK || ppm > 1000000)
		return wrong(cmd, "RATE is one in percent, from 0% to 100%, such as 1% or 0.25%");
	if (strcmp(duration, "forever") != 0 &&
	    (otd_parse_duration(&ms, duration, strlen(duration)) != OTD_OK || ms <= 0))
		return wrong(cmd, "--for takes a time such as 30m, 12h or 7d, or forever");
	return send(cmd, a, "fee set",
		    json_pack("{s:s, s:I, s:I, s:s, s:s}", "pool", words[1], "ppm", (json_int_t)ppm,
			      "for_ms", (json_int_t)ms, "reason", reason, "by", user_name()));
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	const char *duration = "forever", *reason = NULL;
	const struct otd_arg args[] = {
		OTD_ASKER_ARGS(a),
		{"--for", 0, "TIME", "set: 30m, 12h, 7d; until it is cleared where it is left out",
		 .text = &duration},
		{"--reason", 0, "TEXT", "set, clear: why, for the audit log", .text = &reason},
	};
	const char *words[3];
	size_t n;
	int exit_status = otd_args_parse(cmd, args, OTD_ASKER_N + 2, argc, argv, words, &n, 1, 3);
	if (exit_status >= 0)
		return exit_status;
	if (strcmp(words[0], "show") == 0 && n < 3) {
		char line[128];
		(void)snprintf(line, sizeof(line), "%s", n == 2 ? words[1] : "");
		return otd_ask(cmd, &a, "fee show", line, NULL, print_fees);
	}
	bool sets = strcmp(words[0], "set") == 0 && n == 3;
	if (!sets && !(strcmp(words[0], "clear") == 0 && n == 2))
		return wrong(cmd,
			     "show [POOL], set POOL RATE --reason TEXT, or clear POOL --reason "
			     "TEXT");
	if (!reason || !*reason)
		return wrong(cmd, "--reason TEXT is needed, for the audit log");
	if (sets)
		return set(cmd, &a, words, duration, reason);
	return send(cmd, &a, "fee clear",
		    json_pack("{s:s, s:s, s:s}", "pool", words[1], "reason", reason, "by",
			      user_name()));
}

const struct otd_cmd otd_cmd_fee = {
	.name = "fee",
	.usage =
		"show [POOL] | set POOL RATE [--for TIME] --reason TEXT | clear POOL --reason TEXT",
	.summary = "what a pool takes: by a script, by command, by the settings",
	.more = "One of them holds: a script's answer first, else the fee by command, else the "
		"settings' one.\n"
		"A change is for blocks that are found from then on, is put on record in the "
		"journal "
		"and in the\n"
		"audit log, and outlives a restart. A pool that a reload takes out loses its fee "
		"by "
		"command.",
	.run = run,
};
