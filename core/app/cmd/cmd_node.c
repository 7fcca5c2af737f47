/* otedama node list: the nodes that the running pool asks. */
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/explain/ask.h"

static void words_of(char *to, size_t cap, const json_t *list)
{
	size_t i, n = 0;
	json_t *v;
	to[0] = '\0';
	json_array_foreach(list, i, v)
	{
		int k = snprintf(to + n, cap - n, "%s%s", i ? "," : "", json_string_value(v));
		n += k > 0 && n + (size_t)k < cap ? (size_t)k : 0;
	}
}

static void print_node(const json_t *o, long long now_ms)
{
	char roles[64], pools[200], when[OTD_ASK_TIME];
	long long last_ok = otd_ask_n(o, "last_ok_ms"), failed = otd_ask_n(o, "last_error_ms");
	words_of(roles, sizeof(roles), json_object_get(o, "roles"));
	words_of(pools, sizeof(pools), json_object_get(o, "pools"));
	printf("%s: %s on %s, %s%s, height %lld\n", otd_ask_s(o, "name"), otd_ask_s(o, "coin"),
	       otd_ask_s(o, "network"), otd_ask_s(o, "state"),
	       json_is_true(json_object_get(o, "in_use")) ? ", in use" : "",
	       otd_ask_n(o, "height"));
	printf("  roles %s; for %s; %s\n", roles, *pools ? pools : "no pool",
	       *otd_ask_s(o, "software") ? otd_ask_s(o, "software") : "software not known yet");
	if (last_ok)
		printf("  last answer %lld.%lld s ago, in %lld.%lld ms; %lld requests, %lld "
		       "errors\n",
		       (now_ms - last_ok) / 1000, (now_ms - last_ok) / 100 % 10,
		       otd_ask_n(o, "latency_us") / 1000, otd_ask_n(o, "latency_us") / 100 % 10,
		       otd_ask_n(o, "requests"), otd_ask_n(o, "errors"));
	else
		printf("  no answer yet; %lld requests, %lld errors\n", otd_ask_n(o, "requests"),
		       otd_ask_n(o, "errors"));
	const json_t *zmq = json_object_get(o, "zmq"), *tips = json_object_get(o, "tips_first_by");
	printf("  new blocks first by: zmq %lld, wait %lld, long poll %lld, poll %lld\n",
	       otd_ask_n(tips, "zmq"), otd_ask_n(tips, "wait"), otd_ask_n(tips, "longpoll"),
	       otd_ask_n(tips, "poll"));
	if (*otd_ask_s(zmq, "state"))
		printf("  zmq %s%s%s: %lld notices, %lld missed\n", otd_ask_s(zmq, "state"),
		       *otd_ask_s(zmq, "why") ? ", " : "", otd_ask_s(zmq, "why"),
		       otd_ask_n(zmq, "notices"), otd_ask_n(zmq, "missed"));
	if (*otd_ask_s(o, "why"))
		printf("  of no use now: %s\n", otd_ask_s(o, "why"));
	if (*otd_ask_s(o, "last_error"))
		printf("  last error %s: %s\n", otd_ask_time(when, failed),
		       otd_ask_s(o, "last_error"));
}

static void print_nodes(const json_t *answer)
{
	size_t i;
	json_t *o;
	json_array_foreach(json_object_get(answer, "nodes"), i, o)
	{
		print_node(o, otd_ask_n(answer, "now_ms"));
	}
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	const struct otd_arg args[] = {OTD_ASKER_ARGS(a)};
	const char *words[1];
	size_t n;
	int exit_status = otd_args_parse(cmd, args, OTD_ASKER_N, argc, argv, words, &n, 1, 1);
	if (exit_status >= 0)
		return exit_status;
	if (strcmp(words[0], "list") != 0) {
		otd_cmd_fail(cmd, "usage: otedama node %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	return otd_ask(cmd, &a, "node list", "", NULL, print_nodes);
}

const struct otd_cmd otd_cmd_node = {
	.name = "node",
	.usage = "list [-c FILE | --socket PATH] [--json]",
	.summary = "the nodes of a running pool: state, height, errors",
	.more = "'in use' is the one that gives block templates now; the others stand by.",
	.run = run,
};
