/* otedama upgrade: another program takes the place of the running one, with its connections. */
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/cmd/where.h"
#include "app/explain/ask.h"
#include "app/upgrade/upgrade.h"
#include "base/text.h"

static int print(const struct otd_cmd *cmd, const struct otd_bytes *answer, bool as_json)
{
	json_error_t why;
	if (as_json) {
		printf("%.*s\n", (int)answer->len, (const char *)answer->ptr);
		return OTD_EXIT_OK;
	}
	json_t *o = json_loadb((const char *)answer->ptr, answer->len, 0, &why);
	if (!o)
		return otd_cmd_fail(cmd, "the answer is no JSON: %s", why.text);
	printf("version %s has taken over from %s as process %lld, with %lld connection%s\n",
	       otd_ask_s(o, "version"), otd_ask_s(o, "from"), otd_ask_n(o, "pid"),
	       otd_ask_n(o, "sessions"), otd_ask_n(o, "sessions") == 1 ? "" : "s");
	json_decref(o);
	return OTD_EXIT_OK;
}

static int ask(const struct otd_cmd *cmd, const char *socket, const char *file, int64_t wait_ms,
	       bool as_json)
{
	char line[PATH_MAX + 64], path[PATH_MAX];
	struct otd_bytes answer;
	struct otd_err err = {0};
	/* The pool has a folder of its own from which it would look. */
	if (file && !realpath(file, path))
		return otd_cmd_fail(cmd, "%s: there is no such file", file);
	snprintf(line, sizeof(line), "upgrade %lld %s", (long long)wait_ms, file ? path : "");
	otd_bytes_init(&answer, 1u << 20);
	/* Twice for a new program that hangs and the old one that then goes on, and some more. */
	otd_rc rc = otd_control_call(socket, line, &answer,
				     4 * wait_ms + OTD_UPGRADE_FREEZE_MS + 10000, &err);
	int status = rc ? otd_cmd_fail(cmd, "%s", err.text) : print(cmd, &answer, as_json);
	otd_bytes_finish(&answer);
	return status;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	const char *file = NULL, *wait = NULL;
	char socket[512];
	struct otd_err err = {0};
	int64_t wait_ms = OTD_UPGRADE_WAIT_MS;
	const struct otd_arg args[] = {
		OTD_ASKER_ARGS(a),
		{"--binary", 'b', "FILE",
		 "the new program; else what lies where the pool was started from", .text = &file},
		{"--wait", 'w', "TIME", "how long it may take to be ready, and to take over (30s)",
		 .text = &wait}};
	size_t n;
	int exit_status = otd_args_parse(cmd, args, OTD_ASKER_N + 2, argc, argv, NULL, &n, 0, 0);
	if (exit_status >= 0)
		return exit_status;
	if (wait && (otd_parse_duration(&wait_ms, wait, strlen(wait)) != OTD_OK || wait_ms < 1 ||
		     wait_ms > 600000)) {
		otd_cmd_fail(cmd, "--wait '%s': write a time as 30s, up to 10m", wait);
		return OTD_EXIT_USAGE;
	}
	if (otd_where_socket(socket, sizeof(socket), a.socket, a.config, &err) != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	return ask(cmd, socket, file, wait_ms, a.json);
}

const struct otd_cmd otd_cmd_upgrade = {
	.name = "upgrade",
	.usage = "[-c FILE | --socket PATH] [--binary FILE] [--wait TIME] [--json]",
	.summary = "a new program takes over the running pool, with its miners",
	.more = "The pool starts the new program with its own arguments. While it serves on, that "
		"one reads\n"
		"the configuration and tries its plugins; if anything is wrong, the pool goes on, "
		"it is told\n"
		"here, and the exit status is 1. Then the new program takes the ports, the "
		"connections with\n"
		"their sessions, and the work of the miners: none is disconnected, but those by "
		"TLS, who come\n"
		"again. If the new program fails then, the old one goes on.",
	.run = run,
};
