/* otedama status: what a running pool does and what needs attention, for people or as JSON. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/cmd/cmd.h"
#include "app/cmd/where.h"
#include "app/control.h"

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static long long number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static void print_refused(const json_t *refused)
{
	const char *reason, *between = " (";
	json_t *n;
	json_object_foreach((json_t *)refused, reason, n)
	{
		if (json_integer_value(n) == 0)
			continue;
		printf("%s%s %lld", between, reason, (long long)json_integer_value(n));
		between = ", ";
	}
	if (strcmp(between, ", ") == 0)
		printf(")");
}

/* One that is not the settings' is told of. */
static void print_fee(const json_t *fee)
{
	const char *by = text(fee, "by"), *reason = text(fee, "reason");
	bool policy = strcmp(by, "policy") == 0;
	if (!policy && strcmp(by, "override") != 0)
		return;
	printf("  fee %lld.%04lld%% by %s%s%s%s\n", number(fee, "ppm") / 10000,
	       number(fee, "ppm") % 10000, policy ? "policy " : "command",
	       policy ? text(fee, "policy") : "", *reason ? ": " : "", reason);
}

static void print_pools(const json_t *status)
{
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(status, "pools"), i, p)
	{
		printf("pool %s: %s on %s, scheme %s, height %lld\n", text(p, "name"),
		       text(p, "coin"), text(p, "network"), text(p, "scheme"), number(p, "height"));
		printf("  %s, %lld workers, %lld connections; shares %lld accepted, %lld refused",
		       text(p, "hashrate"), number(p, "workers"), number(p, "sessions"),
		       number(p, "accepted"), number(p, "refused"));
		print_refused(json_object_get(p, "refused_by"));
		printf("\n  round %s%% of the expected work; %lld blocks, %lld orphaned; luck "
		       "%s%%\n",
		       text(p, "effort_percent"), number(p, "blocks"), number(p, "orphaned"),
		       text(p, "luck_percent"));
		print_fee(json_object_get(p, "fee"));
	}
}

static void print_workers(const json_t *status)
{
	size_t i;
	json_t *w;
	if (json_array_size(json_object_get(status, "workers")))
		printf("workers\n");
	json_array_foreach(json_object_get(status, "workers"), i, w)
	{
		printf("  %-48s %12s  %8lld accepted %6lld refused", text(w, "name"),
		       text(w, "hashrate"), number(w, "accepted"), number(w, "refused"));
		print_refused(json_object_get(w, "refused_by"));
		printf("\n");
	}
}

static void print_blocks(const json_t *status)
{
	size_t i;
	json_t *b;
	if (json_array_size(json_object_get(status, "blocks")))
		printf("blocks\n");
	json_array_foreach(json_object_get(status, "blocks"), i, b)
	{
		printf("  %s %-8lld %-10s %4lld conf  %s %s  effort %s%%  by %s\n", text(b, "pool"),
		       number(b, "height"), text(b, "state"), number(b, "confirmations"),
		       text(b, "value"), text(b, "asset"), text(b, "effort_percent"),
		       text(b, "worker"));
	}
}

static void print_balances(const json_t *status)
{
	size_t i;
	json_t *b;
	if (json_array_size(json_object_get(status, "balances")))
		printf("balances\n");
	json_array_foreach(json_object_get(status, "balances"), i, b)
	{
		printf("  %-48s %-12s %s %s\n", text(b, "owner"), text(b, "kind"),
		       text(b, "amount"), text(b, "asset"));
	}
	if (json_is_true(json_object_get(status, "more_balances")))
		printf("  and smaller ones: 'otedama account list' has all\n");
}

static void print_rest(const json_t *status)
{
	size_t i;
	json_t *n;
	printf("nodes\n");
	json_array_foreach(json_object_get(status, "nodes"), i, n)
	{
		printf("  %-16s %-5s height %lld %s%s%s\n", text(n, "name"), text(n, "state"),
		       number(n, "height"), text(n, "software"),
		       *text(n, "error") ? "  last error: " : "", text(n, "error"));
	}
	printf("plugins ");
	json_array_foreach(json_object_get(status, "plugins"), i, n)
	{
		printf(" %s/%s %s", text(n, "kind"), text(n, "id"), text(n, "version"));
	}
	printf("\n");
}

/* When another program took over, and what it cost. */
static void print_upgraded(const json_t *up)
{
	long long seconds = number(up, "at_ms") / 1000;
	char when[32] = "";
	time_t t = (time_t)seconds;
	struct tm at;
	if (!up || !gmtime_r(&t, &at))
		return;
	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &at);
	printf("upgraded from %s at %s with %lld connections, in %lld ms\n", text(up, "from"), when,
	       number(up, "sessions"), number(up, "pause_ms"));
}

static void print_status(const json_t *status)
{
	size_t i;
	json_t *a, *attention = json_object_get(status, "attention");
	printf("otedama %s, pid %lld, up %lld s\n", text(status, "version"), number(status, "pid"),
	       number(status, "uptime_s"));
	print_upgraded(json_object_get(status, "upgraded"));
	if (json_array_size(attention) == 0)
		printf("nothing needs attention\n");
	json_array_foreach(attention, i, a)
	{
		printf("ATTENTION: %s\n", json_string_value(a));
	}
	print_pools(status);
	print_workers(status);
	print_blocks(status);
	print_balances(status);
	print_rest(status);
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	const char *config = NULL, *socket = NULL;
	bool json = false;
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the pool's configuration, to find its socket",
		 .text = &config},
		{"--socket", 's', "PATH", "its control socket", .text = &socket},
		{"--json", 0, NULL, "as the pool says it", .on = &json},
	};
	size_t n_words;
	int exit_status = otd_args_parse(cmd, args, 3, argc, argv, NULL, &n_words, 0, 0);
	char path[256];
	struct otd_bytes out;
	struct otd_err err = {0};
	if (exit_status >= 0)
		return exit_status;
	otd_bytes_init(&out, 64u << 20);
	otd_rc rc = otd_where_socket(path, sizeof(path), socket, config, &err);
	if (rc == OTD_OK)
		rc = otd_control_call(path, "status", &out, 15000, &err);
	if (rc != OTD_OK) {
		exit_status = otd_cmd_fail(cmd, "%s", err.text);
	} else if (json) {
		printf("%s\n", otd_bytes_cstr(&out));
		exit_status = OTD_EXIT_OK;
	} else {
		json_t *status = json_loadb((const char *)out.ptr, out.len, 0, NULL);
		if (status)
			print_status(status);
		exit_status = status ? OTD_EXIT_OK
				     : otd_cmd_fail(cmd, "%s answered what is not JSON", path);
		json_decref(status);
	}
	otd_bytes_finish(&out);
	return exit_status;
}

const struct otd_cmd otd_cmd_status = {
	.name = "status",
	.usage = "[-c FILE | --socket PATH] [--json]",
	.summary = "what a running pool does, and what needs attention",
	.more = "Without -c it looks for the pool that was started last by this user, then for "
		"the\nsystem's service (/etc/otedama/pool.yaml).",
	.run = run,
};
