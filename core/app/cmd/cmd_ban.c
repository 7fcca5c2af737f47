/* otedama ban list | add | undo: who may not mine here. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_ban.h"
#include "app/cmd/cmd.h"
#include "base/text.h"

static void print_list(const json_t *answer)
{
	size_t i;
	json_t *b, *rows = json_object_get(answer, "bans");
	if (json_array_size(rows) == 0)
		printf("no bans\n");
	json_array_foreach(rows, i, b)
	{
		char until[OTD_ASK_TIME], created[OTD_ASK_TIME], undone[OTD_ASK_TIME];
		const char *state = otd_ask_s(b, "state");
		printf("%-5lld %-8s %s\n      ", otd_ask_n(b, "id"), otd_ask_s(b, "scope"),
		       otd_ask_s(b, "what"));
		if (otd_ask_n(b, "undone_ms"))
			printf("undone %s", otd_ask_time(undone, otd_ask_n(b, "undone_ms")));
		else if (otd_ask_n(b, "until_ms"))
			printf("%s %s", strcmp(state, "over") == 0 ? "over since" : "until",
			       otd_ask_time(until, otd_ask_n(b, "until_ms")));
		else
			printf("for good");
		printf(": %s (since %s, by %s)\n", otd_ask_s(b, "reason"),
		       otd_ask_time(created, otd_ask_n(b, "created_ms")), otd_ask_s(b, "by"));
	}
	if (otd_ask_n(answer, "left_off"))
		printf("and %lld older ones\n", otd_ask_n(answer, "left_off"));
	printf("%lld in force, of at most %lld\n", otd_ask_n(answer, "in_force"),
	       otd_ask_n(answer, "most"));
}

static void print_added(const json_t *b)
{
	char until[OTD_ASK_TIME];
	bool ends = otd_ask_n(b, "until_ms") != 0;
	printf("ban %lld: %s %s %s%s\n", otd_ask_n(b, "id"), otd_ask_s(b, "scope"),
	       otd_ask_s(b, "what"), ends ? "until " : "for good",
	       ends ? otd_ask_time(until, otd_ask_n(b, "until_ms")) : "");
}

static void print_undone(const json_t *b)
{
	printf("undone: ban %lld, %s %s (%s)\n", otd_ask_n(b, "id"), otd_ask_s(b, "scope"),
	       otd_ask_s(b, "what"), otd_ask_s(b, "reason"));
}

/* Who asks, for the list and the audit log. */
static const char *user_name(void)
{
	const struct passwd *p = getpwuid(getuid());
	return p ? p->pw_name : "unknown";
}

static int send(const struct otd_cmd *cmd, const struct otd_asker *a, const char *verb, json_t *o,
		void (*print)(const json_t *))
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int exit_status = text ? otd_ask(cmd, a, verb, text, NULL, print)
			       : otd_cmd_fail(cmd, "the words are not UTF-8");
	free(text);
	json_decref(o);
	return exit_status;
}

struct words {
	const char *duration, *reason;
	bool force, all;
};

static int wrong(const struct otd_cmd *cmd, const char *what)
{
	otd_cmd_fail(cmd, "%s; try 'otedama ban --help'", what);
	return OTD_EXIT_USAGE;
}

static int add(const struct otd_cmd *cmd, const struct otd_asker *a, const struct words *w,
	       const char **words, size_t n)
{
	int64_t ms = 0;
	enum otd_ban_scope scope;
	if (n != 3)
		return wrong(cmd, "add SCOPE WHAT --reason TEXT");
	if (otd_ban_scope_parse(&scope, words[1], strlen(words[1])) != OTD_OK)
		return wrong(cmd, "SCOPE is worker, account, ip or prefix");
	if (!w->reason)
		return wrong(cmd, "--reason TEXT is needed: miners are told it");
	if (strcmp(w->duration, "forever") != 0 &&
	    (otd_parse_duration(&ms, w->duration, strlen(w->duration)) != OTD_OK || ms <= 0))
		return wrong(cmd, "--for takes a time such as 30m, 12h or 7d, or forever");
	return send(cmd, a, "ban add",
		    json_pack("{s:s, s:s, s:I, s:s, s:s, s:b}", "scope", words[1], "what", words[2],
			      "for_ms", (json_int_t)ms, "reason", w->reason, "by", user_name(),
			      "force", (int)w->force),
		    print_added);
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	struct words w = {.duration = "1h"};
	const struct otd_arg args[] = {
		OTD_ASKER_ARGS(a),
		{"--for", 0, "TIME", "add: 30m, 12h, 7d or forever; 1h where it is left out",
		 .text = &w.duration},
		{"--reason", 0, "TEXT", "add: why; the miner is told it", .text = &w.reason},
		{"--force", 0, NULL, "add: this machine's own addresses too", .on = &w.force},
		{"--all", 0, NULL, "list: also those that are over or undone", .on = &w.all},
	};
	const char *words[4];
	size_t n;
	int exit_status = otd_args_parse(cmd, args, OTD_ASKER_N + 4, argc, argv, words, &n, 1, 4);
	if (exit_status >= 0)
		return exit_status;
	if (strcmp(words[0], "list") == 0 && n == 1)
		return otd_ask(cmd, &a, "ban list", w.all ? "all" : "", &otd_topic_bans,
			       print_list);
	if (strcmp(words[0], "add") == 0)
		return add(cmd, &a, &w, words, n);
	if (strcmp(words[0], "undo") == 0 && n == 2)
		return send(cmd, &a, "ban undo",
			    json_pack("{s:s, s:s}", "what", words[1], "by", user_name()),
			    print_undone);
	return wrong(cmd, "list, add SCOPE WHAT --reason TEXT, or undo ID|WHAT");
}

const struct otd_cmd otd_cmd_ban = {
	.name = "ban",
	.usage = "list [--all] | add SCOPE WHAT [--for TIME] --reason TEXT | undo ID|WHAT",
	.summary = "who may not mine here: workers, accounts, addresses, prefixes",
	.more = "SCOPE and WHAT:\n"
		"  worker   POOL/ADDRESS.NAME   one rig\n"
		"  account  POOL/ADDRESS        all of its rigs\n"
		"  ip       10.1.2.3            of IPv6 its /64\n"
		"  prefix   10.1.0.0/16         ::/0 holds no IPv4 address\n"
		"A ban is in force at once and outlives a restart: who is connected is told the "
		"reason and\n"
		"closed, who comes is refused. At most 65,536 are in force at a time.",
	.run = run,
};
