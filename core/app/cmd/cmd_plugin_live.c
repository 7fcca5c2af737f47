/* otedama plugin load | swap | unload | lock, and list of a running pool. */
#include "app/cmd/cmd_plugin_live.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cmd/cmd_plugin.h"
#include "app/cmd/where.h"
#include "app/control.h"
#include "base/bytes.h"

#define CALL_MS 15000
#define LOOK_MS 50

struct asker {
	char path[256];
	struct otd_err err;
};

/* The answer; NULL: a.err says why. */
static json_t *call(struct asker *a, const char *verb, const char *words)
{
	struct otd_bytes line, out;
	json_t *answer = NULL;
	otd_bytes_init(&line, 65000);
	otd_bytes_init(&out, 64u << 20);
	if (otd_bytes_format(&line, "plugin %s%s%s", verb, *words ? " " : "", words) != OTD_OK ||
	    strchr(otd_bytes_cstr(&line), '\n')) {
		otd_fail(&a->err, OTD_E_INVALID, "the words are too long, or several lines");
	} else if (otd_control_call(a->path, otd_bytes_cstr(&line), &out, CALL_MS, &a->err) ==
		   OTD_OK) {
		answer = json_loadb((const char *)out.ptr, out.len, 0, NULL);
		if (!answer)
			otd_fail(&a->err, OTD_E_INVALID, "%s answered what is not JSON", a->path);
	}
	otd_bytes_finish(&line);
	otd_bytes_finish(&out);
	return answer;
}

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static long long integer(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

/* Until what was begun has ended. */
static json_t *wait_for_end(struct asker *a, long long change)
{
	char number[24];
	const struct timespec pause = {0, LOOK_MS * 1000000L};
	snprintf(number, sizeof(number), "%lld", change);
	for (;;) {
		json_t *answer = call(a, "progress", number);
		if (!answer || !json_object_get(answer, "state"))
			return answer;
		json_decref(answer);
		(void)nanosleep(&pause, NULL);
	}
}

static void print_json(const json_t *o)
{
	(void)json_dumpf(o, stdout, JSON_INDENT(1));
	printf("\n");
}

/* --- load and swap --- */

static bool is_file(const char *what)
{
	size_t n = strlen(what);
	return strchr("/.", what[0]) || (n > 3 && strcmp(what + n - 3, ".so") == 0);
}

/* A running pool stands in a folder of its own: it wants whole paths. */
static otd_rc whole_path(char to[PATH_MAX], const char *file, struct otd_err *err)
{
	if (!realpath(file, to))
		return otd_fail(err, OTD_E_NOT_FOUND, "%s: there is no such file", file);
	return OTD_OK;
}

struct live_args {
	const char *config, *socket;
	bool json;
};
#define LIVE_ARGS(a)                                                                            \
	{"--config", 'c', "FILE", "the pool's configuration, to find it", .text = &(a).config}, \
		{"--socket", 's', "PATH", "its control socket", .text = &(a).socket},           \
	{                                                                                       \
		"--json", 0, NULL, "what the pool answers", .on = &(a).json                     \
	}
#define LIVE_N 3

static void print_change(const json_t *o)
{
	bool swap = strcmp(text(o, "done"), "swap") == 0;
	bool judges = swap && !json_object_get(o, "sequence");
	printf("%s %s/%s %s, generation %lld%s\n", swap ? "swapped" : "loaded", text(o, "kind"),
	       text(o, "id"), text(o, "version"), integer(o, "generation"),
	       judges ? ": jobs from now on are judged by it, earlier ones by the one before" : "");
	if (swap && !judges)
		printf("It has the state of the one before, as of record %lld of the order.\n",
		       integer(o, "sequence"));
	printf("sha256 %s\nfrom   %s\n", text(o, "digest"), text(o, "file"));
	printf("The next start takes the file that lies in plugins.dirs then.\n");
}

static int change(const struct otd_cmd *cmd, const char *verb, int argc, char **argv, size_t max)
{
	struct live_args la = {0};
	const struct otd_arg args[] = {LIVE_ARGS(la)};
	const char *words[2];
	char request[2 * PATH_MAX], file[PATH_MAX];
	size_t n;
	struct asker a = {0};
	json_t *answer = NULL;
	int exit_status = otd_args_parse(cmd, args, LIVE_N, argc, argv, words, &n, 1, max);
	if (exit_status >= 0)
		return exit_status;
	snprintf(request, sizeof(request), "%s", words[0]);
	otd_rc rc = OTD_OK;
	if (n == 2 || (max == 1 && is_file(words[0]))) {
		rc = whole_path(file, words[n - 1], &a.err);
		snprintf(request, sizeof(request), "%s%s%s", n == 2 ? words[0] : "",
			 n == 2 ? " " : "", file);
	}
	if (rc == OTD_OK)
		rc = otd_where_socket(a.path, sizeof(a.path), la.socket, la.config, &a.err);
	if (rc == OTD_OK)
		answer = call(&a, verb, request);
	if (answer) {
		long long begun = integer(answer, "change");
		json_decref(answer);
		answer = wait_for_end(&a, begun);
	}
	if (!answer)
		return otd_cmd_fail(cmd, "%s", a.err.text);
	if (la.json)
		print_json(answer);
	else
		print_change(answer);
	json_decref(answer);
	return OTD_EXIT_OK;
}

static int run_load(const struct otd_cmd *cmd, int argc, char **argv)
{
	return change(cmd, "load", argc, argv, 1);
}

static int run_swap(const struct otd_cmd *cmd, int argc, char **argv)
{
	return change(cmd, "swap", argc, argv, 2);
}

static int run_unload(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct live_args la = {0};
	const struct otd_arg args[] = {LIVE_ARGS(la)};
	const char *words[1];
	size_t n;
	struct asker a = {0};
	json_t *answer = NULL;
	int exit_status = otd_args_parse(cmd, args, LIVE_N, argc, argv, words, &n, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (otd_where_socket(a.path, sizeof(a.path), la.socket, la.config, &a.err) == OTD_OK)
		answer = call(&a, "unload", words[0]);
	if (!answer)
		return otd_cmd_fail(cmd, "%s", a.err.text);
	if (la.json)
		print_json(answer);
	else
		printf("unloaded %s; its code stays in memory until the pool ends\n", words[0]);
	json_decref(answer);
	return OTD_EXIT_OK;
}

/* --- list and lock --- */

static void print_list(const json_t *answer)
{
	size_t i, k;
	json_t *p, *user;
	json_array_foreach(json_object_get(answer, "plugins"), i, p)
	{
		const json_t *users = json_object_get(p, "users");
		printf("%-8s %-16s %-10s generation %lld%s  sha256 %.16s  %s\n", text(p, "kind"),
		       text(p, "id"), text(p, "version"), integer(p, "generation"),
		       json_is_true(json_object_get(p, "newest")) ? "" : " (earlier)",
		       text(p, "digest"), text(p, "file"));
		json_array_foreach(users, k, user)
			printf("         used by %s\n", json_string_value(user));
		if (!json_array_size(users))
			printf("         used by nobody\n");
	}
}

/* What runs now, as YAML to put into the configuration. */
static void print_lock(const json_t *answer)
{
	size_t i;
	json_t *p;
	printf("plugins:\n  safe_mode: true    # nothing loads but these\n  digests:\n");
	json_array_foreach(json_object_get(answer, "plugins"), i, p)
	{
		if (json_is_true(json_object_get(p, "newest")))
			printf("    - %s/%s=%s\n", text(p, "kind"), text(p, "id"),
			       text(p, "digest"));
	}
}

static int ask_list(const struct otd_cmd *cmd, const char *config, const char *socket, bool json,
		    void (*print)(const json_t *answer))
{
	struct asker a = {0};
	json_t *answer = NULL;
	if (otd_where_socket(a.path, sizeof(a.path), socket, config, &a.err) == OTD_OK)
		answer = call(&a, "list", "");
	if (!answer)
		return otd_cmd_fail(cmd, "%s", a.err.text);
	if (json)
		print_json(answer);
	else
		print(answer);
	json_decref(answer);
	return OTD_EXIT_OK;
}

int otd_plugin_list_live(const struct otd_cmd *cmd, const char *config, const char *socket,
			 bool json)
{
	return ask_list(cmd, config, socket, json, print_list);
}

static int run_lock(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct live_args la = {0};
	const struct otd_arg args[] = {LIVE_ARGS(la)};
	size_t n;
	int exit_status = otd_args_parse(cmd, args, LIVE_N, argc, argv, NULL, &n, 0, 0);
	if (exit_status >= 0)
		return exit_status;
	return ask_list(cmd, la.config, la.socket, la.json, print_lock);
}

const struct otd_cmd otd_plugin_load = {
	.name = "plugin load",
	.usage = "FILE.so | KIND/ID",
	.summary = "a plugin into a running pool, for a reload that uses it",
	.more = "The file is tried in a process of its own first. It counts as enabled while the "
		"pool runs.",
	.run = run_load,
};

const struct otd_cmd otd_plugin_lock = {
	.name = "plugin lock",
	.usage = "",
	.summary = "the digests of what runs, as YAML that lets nothing else load",
	.run = run_lock,
};

const struct otd_cmd otd_plugin_swap = {
	.name = "plugin swap",
	.usage = "KIND/ID [FILE.so]",
	.summary = "another build of an algorithm or payout scheme under a running pool",
	.more = "Without FILE, the one that lies in plugins.dirs now. It is tried in a process of "
		"its own first;\n"
		"whatever fails, the old one serves on. An algorithm judges the shares of jobs "
		"from "
		"then on; a\n"
		"payout scheme takes over the state of the old one, and must come to the same. "
		"Chains, stores\n"
		"and devices need a restart.",
	.run = run_swap,
};

const struct otd_cmd otd_plugin_unload = {
	.name = "plugin unload",
	.usage = "KIND/ID",
	.summary = "a plugin that nothing uses out of a running pool",
	.run = run_unload,
};
