/* otedama policy apply | confirm | feed | history | record | rollback | shadow | status: scripts of a
   running pool. */
#include "app/cmd/cmd_policy_live.h"

#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/explain/ask.h"
#include "base/text.h"

/* "VERB WORDS" to the pool; the words may be "". */
static int ask(const struct otd_cmd *cmd, const struct otd_asker *a, const char *verb,
	       const char *words, void (*print)(const json_t *))
{
	char line[32];
	snprintf(line, sizeof(line), "policy %s", verb);
	return otd_ask(cmd, a, line, words, NULL, print);
}

/* The whole path of a file that may not be there yet; the pool has another working directory. */
static bool whole_path(char out[PATH_MAX], const char *file)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(file, '/'), *base = slash ? slash + 1 : file;
	if (!*base)
		return false;
	if (realpath(file, out))
		return true;
	int n = snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - file + 1) : 1,
			 slash ? file : ".");
	if (n < 0 || (size_t)n >= sizeof(folder))
		return false;
	char *at = realpath(folder, NULL);
	n = at ? snprintf(out, PATH_MAX, "%s/%s", strcmp(at, "/") == 0 ? "" : at, base) : -1;
	free(at);
	return n > 0 && n < PATH_MAX;
}

static void print_done(const json_t *o)
{
	char until[OTD_ASK_TIME];
	printf("%s\n", otd_ask_s(o, "done"));
	if (otd_ask_n(o, "confirm_until_ms"))
		printf("what was before comes back at %s unless 'otedama policy confirm' is said\n",
		       otd_ask_time(until, otd_ask_n(o, "confirm_until_ms")));
	if (json_object_get(o, "calls"))
		printf("%lld calls in %s, %lld lost\n", otd_ask_n(o, "calls"), otd_ask_s(o, "file"),
		       otd_ask_n(o, "lost"));
}

static void print_json(const char *label, const json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	printf("    %-7s %s\n", label, text ? text : "");
	free(text);
}

static void print_differences(const json_t *all)
{
	size_t i;
	json_t *d;
	json_array_foreach(all, i, d)
	{
		char time[OTD_ASK_TIME];
		printf("  %s %s %s\n", otd_ask_time(time, otd_ask_n(d, "time_ms")),
		       otd_ask_s(d, "hook"), otd_ask_s(d, "pool"));
		print_json("asked", json_object_get(d, "in"));
		print_json("now", json_object_get(d, "now"));
		print_json("shadow", json_object_get(d, "shadow"));
	}
}

static void print_shadow(const json_t *o)
{
	print_done(o);
	print_differences(json_object_get(o, "differences"));
}

static void print_hooks(const json_t *hooks)
{
	const char *name;
	json_t *h;
	json_object_foreach((json_t *)hooks, name, h)
	{
		printf("    %-15s %lld calls, %lld answers, %lld errors%s\n", name,
		       otd_ask_n(h, "calls"), otd_ask_n(h, "answers"), otd_ask_n(h, "errors"),
		       json_is_true(json_object_get(h, "fallback"))
			       ? ": SWITCHED OFF after errors, until a reload"
			       : "");
	}
}

static void print_scripts(const json_t *scripts)
{
	size_t i;
	json_t *s;
	json_array_foreach(scripts, i, s)
	{
		printf("  %s (%s, %.12s)\n", otd_ask_s(s, "name"), otd_ask_s(s, "file"),
		       otd_ask_s(s, "digest"));
		print_hooks(json_object_get(s, "hooks"));
		if (*otd_ask_s(s, "last_error"))
			printf("    last error: %s\n", otd_ask_s(s, "last_error"));
	}
}

static void print_status(const json_t *o)
{
	size_t i;
	json_t *t, *f, *n;
	char time[OTD_ASK_TIME];
	json_array_foreach(json_object_get(o, "threads"), i, t)
	{
		const json_t *shadow = json_object_get(t, "shadow");
		printf("%s\n", otd_ask_s(t, "where"));
		print_scripts(json_object_get(t, "scripts"));
		if (shadow)
			printf("  shadow: %lld calls, %lld differences\n",
			       otd_ask_n(shadow, "calls"), otd_ask_n(shadow, "differences"));
	}
	json_array_foreach(json_object_get(o, "fees"), i, f)
	{
		const char *script = otd_ask_s(f, "script");
		bool set = strcmp(otd_ask_s(f, "by"), "override") == 0;
		printf("fee of %s: %lld ppm by %s%s%s\n", otd_ask_s(f, "pool"), otd_ask_n(f, "ppm"),
		       *script ? script
		       : set   ? "command"
			       : "the settings",
		       *otd_ask_s(f, "reason") ? ": " : "", otd_ask_s(f, "reason"));
	}
	json_array_foreach(json_object_get(o, "notices"), i, n) printf(
		"%s %s\n", otd_ask_time(time, otd_ask_n(n, "time_ms")), otd_ask_s(n, "text"));
	if (*otd_ask_s(o, "shadow"))
		printf("in shadow: %s\n", otd_ask_s(o, "shadow"));
	print_differences(json_object_get(o, "differences"));
	if (otd_ask_n(o, "confirm_until_ms"))
		printf("to be confirmed until %s\n",
		       otd_ask_time(time, otd_ask_n(o, "confirm_until_ms")));
}

static void print_history(const json_t *o)
{
	size_t i, k;
	json_t *h, *s;
	json_array_foreach(json_object_get(o, "history"), i, h)
	{
		char time[OTD_ASK_TIME];
		printf("%s %s%s\n", otd_ask_time(time, otd_ask_n(h, "since_ms")),
		       otd_ask_s(h, "how"),
		       json_is_true(json_object_get(h, "in_force")) ? " (in force)" : "");
		json_array_foreach(json_object_get(h, "scripts"), k, s)
			printf("  %s\n", json_string_value(s) ? json_string_value(s) : "");
	}
}

/* --- the verbs --- */

/* Those that take nothing. */
static int bare(const struct otd_cmd *cmd, const char *verb, int argc, char **argv,
		void (*print)(const json_t *))
{
	struct otd_asker a = {0};
	const struct otd_arg args[] = {OTD_ASKER_ARGS(a)};
	const char *words[1];
	size_t n;
	int status = otd_args_parse(cmd, args, OTD_ASKER_N, argc, argv, words, &n, 0, 0);
	return status >= 0 ? status : ask(cmd, &a, verb, "", print);
}

static int run_status(const struct otd_cmd *cmd, int argc, char **argv)
{
	return bare(cmd, "status", argc, argv, print_status);
}

static int run_history(const struct otd_cmd *cmd, int argc, char **argv)
{
	return bare(cmd, "history", argc, argv, print_history);
}

static int run_confirm(const struct otd_cmd *cmd, int argc, char **argv)
{
	return bare(cmd, "confirm", argc, argv, print_done);
}

static int run_rollback(const struct otd_cmd *cmd, int argc, char **argv)
{
	return bare(cmd, "rollback", argc, argv, print_done);
}

/* Those that take a file, or "off" where that is said. */
static int with_file(const struct otd_cmd *cmd, const struct otd_asker *a, const char *verb,
		     const char *before, const char *file, bool may_be_off,
		     void (*print)(const json_t *))
{
	char path[PATH_MAX], words[PATH_MAX + 32];
	if (may_be_off && strcmp(file, "off") == 0)
		return ask(cmd, a, verb, "off", print);
	if (!whole_path(path, file))
		return otd_cmd_fail(cmd, "%s: there is no such folder", file);
	snprintf(words, sizeof(words), "%s%s", before, path);
	return ask(cmd, a, verb, words, print);
}

static int file_or_off(const struct otd_cmd *cmd, const char *verb, int argc, char **argv,
		       void (*print)(const json_t *))
{
	struct otd_asker a = {0};
	const struct otd_arg args[] = {OTD_ASKER_ARGS(a)};
	const char *words[1];
	size_t n;
	int status = otd_args_parse(cmd, args, OTD_ASKER_N, argc, argv, words, &n, 1, 1);
	return status >= 0 ? status : with_file(cmd, &a, verb, "", words[0], true, print);
}

static int run_shadow(const struct otd_cmd *cmd, int argc, char **argv)
{
	return file_or_off(cmd, "shadow", argc, argv, print_shadow);
}

static int run_record(const struct otd_cmd *cmd, int argc, char **argv)
{
	return file_or_off(cmd, "record", argc, argv, print_done);
}

static int run_apply(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	const char *within = NULL;
	const struct otd_arg args[] = {
		OTD_ASKER_ARGS(a),
		{"--confirm-within", 0, "TIME",
		 "what was before comes back unless 'policy confirm' is said in this time (10m)",
		 .text = &within},
	};
	const char *words[1];
	char before[32];
	int64_t ms = 0;
	size_t n;
	int status = otd_args_parse(cmd, args, OTD_ASKER_N + 1, argc, argv, words, &n, 1, 1);
	if (status >= 0)
		return status;
	if (within && (otd_parse_duration(&ms, within, strlen(within)) != OTD_OK || ms <= 0)) {
		otd_cmd_fail(cmd, "--confirm-within takes a time such as 10m or 1h");
		return OTD_EXIT_USAGE;
	}
	snprintf(before, sizeof(before), "%lld ", (long long)ms);
	return with_file(cmd, &a, "apply", before, words[0], false, print_done);
}

static int run_feed(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	const struct otd_arg args[] = {OTD_ASKER_ARGS(a)};
	const char *words[2];
	char line[1200];
	size_t n;
	int status = otd_args_parse(cmd, args, OTD_ASKER_N, argc, argv, words, &n, 2, 2);
	if (status >= 0)
		return status;
	if (strchr(words[0], ' ') ||
	    (size_t)snprintf(line, sizeof(line), "%s %s", words[0], words[1]) >= sizeof(line))
		return otd_cmd_fail(cmd, "a name without blanks, and a value of at most 1,000 "
					 "bytes, please");
	return ask(cmd, &a, "feed", line, print_done);
}

#define WHERE "[-c FILE | --socket PATH]"

const struct otd_cmd otd_policy_verb_apply = {
	.name = "policy apply",
	.usage = WHERE " SCRIPT [--confirm-within TIME]",
	.summary = "puts a script in force, in the place of that of the same name",
	.more = "It is checked first; a bad one changes nothing. Options and pools are those of "
		"the "
		"script in\nwhose place it comes. It holds until a reload or restart: put it into "
		"the "
		"configuration to keep it.",
	.run = run_apply,
};
const struct otd_cmd otd_policy_verb_confirm = {
	.name = "policy confirm",
	.usage = WHERE,
	.summary = "keeps what 'policy apply --confirm-within' has put in force",
	.run = run_confirm,
};
const struct otd_cmd otd_policy_verb_feed = {
	.name = "policy feed",
	.usage = WHERE " NAME VALUE",
	.summary = "a value of an outside source (a price), which scripts read by feed(NAME)",
	.run = run_feed,
};
const struct otd_cmd otd_policy_verb_history = {
	.name = "policy history",
	.usage = WHERE,
	.summary = "which scripts were in force since the start, and why they came",
	.run = run_history,
};
const struct otd_cmd otd_policy_verb_record = {
	.name = "policy record",
	.usage = WHERE " FILE | off",
	.summary = "writes what scripts are asked to a new file, for 'policy test --events FILE'",
	.more = "The file holds addresses of miners: it is for your own eyes.",
	.run = run_record,
};
const struct otd_cmd otd_policy_verb_rollback = {
	.name = "policy rollback",
	.usage = WHERE,
	.summary = "puts in force what was before",
	.run = run_rollback,
};
const struct otd_cmd otd_policy_verb_shadow = {
	.name = "policy shadow",
	.usage = WHERE " SCRIPT | off",
	.summary =
		"runs a script beside those in force, without effect, and shows where they differ",
	.run = run_shadow,
};
const struct otd_cmd otd_policy_verb_status = {
	.name = "policy status",
	.usage = WHERE,
	.summary = "scripts in force: calls, errors, fees, what the shadow would do",
	.run = run_status,
};
