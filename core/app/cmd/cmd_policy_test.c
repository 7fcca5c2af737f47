/*
 * otedama policy test FILE --events REC: plays what was recorded on a running pool against a script, and
 * tells where it says something else than was said then. The clock stands at each event's time, and kv
 * begins empty.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cmd/cmd_policy.h"
#include "app/cmd/setup.h"
#include "base/text.h"
#include "policy/record.h"

#define SHOWN 20 /* differences, where not all are asked for */

struct playing {
	const struct otd_cmd *cmd;
	struct otd_policy_tool *tool;
	struct otd_policy *p;
	struct otd_bytes out;
	uint64_t events, differ, alike, unsaid;
	bool all, as_json;
};

/* The two without the script's name, which is another where the file is. */
static bool same_answer(const char *a, const char *b)
{
	static const char mark[] = "\"script\":\"";
	const char *in_a = strstr(a, mark), *in_b = strstr(b, mark);
	if (!in_a || !in_b)
		return strcmp(a, b) == 0;
	const char *end_a = strchr(in_a + sizeof(mark) - 1, '"');
	const char *end_b = strchr(in_b + sizeof(mark) - 1, '"');
	return end_a && end_b && in_a - a == in_b - b && memcmp(a, b, (size_t)(in_a - a)) == 0 &&
	       strcmp(end_a, end_b) == 0;
}

static void show(const struct playing *g, const struct otd_policy_event *ev, const char *now)
{
	const char *hook = otd_policy_hook_name(otd_policy_event_hook(ev));
	if (g->as_json)
		printf("{\"event\":%" PRIu64 ",\"time_ms\":%" PRId64
		       ",\"hook\":\"%s\",\"was\":%s,\"now\":%s}\n",
		       g->events, otd_policy_event_time_ms(ev), hook, otd_policy_event_said(ev),
		       now);
	else
		printf("event %" PRIu64 ", %s:\n  was  %s\n  now  %s\n", g->events, hook,
		       otd_policy_event_said(ev), now);
}

static otd_rc play_line(struct playing *g, const char *line, size_t n, struct otd_err *err)
{
	struct otd_policy_event *ev;
	otd_rc rc = otd_policy_event_parse(&ev, line, n, err);
	g->events++;
	if (rc)
		return rc;
	g->tool->now_ms = otd_policy_event_time_ms(ev);
	rc = otd_policy_event_play(ev, g->p, &g->out);
	const char *now = otd_bytes_cstr(&g->out), *was = otd_policy_event_said(ev);
	if (rc)
		rc = otd_fail(err, rc, "no memory");
	else if (!was[0])
		g->unsaid++;
	else if (same_answer(was, now))
		g->alike++;
	else if (g->differ++ < SHOWN || g->all)
		show(g, ev, now);
	otd_policy_event_destroy(ev);
	return rc;
}

static int play_file(struct playing *g, const char *file)
{
	FILE *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "re");
	char *line = NULL;
	size_t cap = 0;
	ssize_t n;
	int exit_status = OTD_EXIT_OK;
	struct otd_err err = {0};
	if (!f)
		return otd_cmd_fail(g->cmd, "%s: cannot be read", file);
	while (exit_status == OTD_EXIT_OK && (n = getline(&line, &cap, f)) >= 0) {
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			n--;
		if (n > 0 && play_line(g, line, (size_t)n, &err))
			exit_status = otd_cmd_fail(g->cmd, "%s: event %" PRIu64 ": %s", file,
						   g->events, err.text);
	}
	if (exit_status == OTD_EXIT_OK && ferror(f))
		exit_status = otd_cmd_fail(g->cmd, "%s: cannot be read to its end", file);
	free(line);
	if (f != stdin)
		(void)fclose(f);
	return exit_status;
}

/* What the script did, hook by hook. Returns how many calls failed. */
static uint64_t summary(const struct playing *g)
{
	struct otd_policy_script_status s;
	uint64_t errors = 0;
	otd_policy_set_status(otd_policy_in_force(g->p), 0, &s);
	for (int h = 0; h < OTD_HOOKS; h++)
		errors += s.hook[h].errors;
	if (g->as_json) {
		printf("{\"events\":%" PRIu64 ",\"alike\":%" PRIu64 ",\"differ\":%" PRIu64
		       ",\"without_answer\":%" PRIu64 ",\"errors\":%" PRIu64 "}\n",
		       g->events, g->alike, g->differ, g->unsaid, errors);
		return errors;
	}
	if (g->differ > SHOWN && !g->all)
		printf("and %" PRIu64 " more that differ (--all shows them)\n", g->differ - SHOWN);
	printf("%" PRIu64 " events: %" PRIu64 " as they were, %" PRIu64 " differ, %" PRIu64
	       " calls failed\n",
	       g->events, g->alike, g->differ, errors);
	for (int h = 0; h < OTD_HOOKS; h++) {
		const struct otd_policy_hook_status *k = &s.hook[h];
		if (k->calls)
			printf("  %-15s %" PRIu64 " calls, %" PRIu64 " answers, %" PRIu64
			       " errors, at most %" PRIu64 " units%s\n",
			       otd_policy_hook_name((enum otd_policy_hook)h), k->calls, k->answers,
			       k->errors, k->most_units,
			       k->fallback ? "; off after three errors in a row" : "");
	}
	if (errors)
		printf("  the last error: %s\n", s.last_error);
	return errors;
}

static int play(const struct otd_cmd *cmd, struct otd_policy_tool *t, const char *events, bool all,
		bool as_json)
{
	struct playing g = {.cmd = cmd, .tool = t, .all = all, .as_json = as_json};
	struct otd_policy_conf conf = {.env = &t->env, .where = "test"};
	int exit_status = OTD_EXIT_FAILED;
	otd_bytes_init(&g.out, OTD_POLICY_LINE_MAX);
	if (otd_policy_kv_create(&conf.kv, &t->env, 0, NULL, NULL) ||
	    otd_policy_create(&g.p, &conf)) {
		otd_cmd_fail(cmd, "no memory");
	} else {
		(void)otd_policy_swap(g.p, t->set);
		t->set = NULL;
		exit_status = play_file(&g, events);
		if (exit_status == OTD_EXIT_OK && summary(&g))
			exit_status = OTD_EXIT_FAILED;
	}
	otd_policy_destroy(g.p);
	otd_policy_kv_destroy(conf.kv);
	otd_bytes_finish(&g.out);
	return exit_status;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *options = NULL, *events = NULL;
	struct otd_arg_list assets = {.n = 0};
	bool as_json = false, all = false;
	const struct otd_arg args[] = {
		{"--events", 0, "REC", "recorded events, one JSON object a line; - is stdin",
		 .text = &events},
		{"--options", 0, "YAML", "the script's options: '{vip: 0.5%}'", .text = &options},
		{"--asset", 0, "SYMBOL=N", "a coin's decimals: ETC=18; others have 8",
		 .list = &assets},
		{"--all", 0, NULL, "show every difference, not the first 20", .on = &all},
		{"--json", 0, NULL, "as JSON, one object a line", .on = &as_json},
	};
	const char *words[1];
	size_t n;
	struct otd_policy_tool tool;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, 5, argc, argv, words, &n, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (!events) {
		otd_cmd_fail(cmd,
			     "--events REC is needed; 'otedama policy check FILE' runs selftest()");
		return OTD_EXIT_USAGE;
	}
	otd_log_only_warnings();
	if (otd_policy_tool_init(&tool, words[0], options, &assets, &err))
		exit_status = otd_cmd_fail(cmd, "%s", err.text);
	else
		exit_status = play(cmd, &tool, events, all, as_json);
	otd_policy_tool_finish(&tool);
	return exit_status;
}

const struct otd_cmd otd_policy_verb_test = {
	.name = "policy test",
	.usage = "FILE --events REC [--options YAML] [--asset SYMBOL=N] [--all] [--json]",
	.summary = "play recorded events against a script, and say where it answers otherwise",
	.more = "Exit status 1 where the script failed at an event, 0 where it only answers "
		"otherwise.",
	.run = run,
};
