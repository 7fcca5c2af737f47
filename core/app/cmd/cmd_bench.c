/* otedama bench ALGO | --plugin FILE: how fast an algorithm is on this machine, on one thread. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/cmd/plugin_file.h"
#include "base/text.h"

/* The threshold of struct otd_reactor_conf: a dearer hash leaves the loop. */
#define INLINE_COST_NS 50000u
#define MS_EACH        500u

struct bench {
	const char *id, *file, *options, *dir;
	uint64_t ms;
	bool json;
	size_t lines;
};

static uint64_t each_ns(const struct otd_algo_speed *s)
{
	return s->hashes ? s->ns / s->hashes : 0;
}

static void show(struct bench *b, const char *how, size_t n, const struct otd_algo_speed *s)
{
	char rate[OTD_RATE_TEXT], what[32];
	int64_t ms = (int64_t)(s->ns / 1000000);
	if (b->json) {
		printf("%s{\"call\": \"%s\", \"items\": %zu, \"hashes\": %" PRIu64
		       ", \"ns\": %" PRIu64 "}",
		       b->lines++ ? ", " : "", how, n, s->hashes, s->ns);
		return;
	}
	snprintf(what, sizeof(what), n ? "%s of %zu" : "%s", how, n);
	printf("%-20s %12" PRIu64 " ns a hash  %s\n", what, each_ns(s),
	       otd_format_hashrate(rate, s->hashes, ms > 0 ? ms : 1));
	fflush(stdout);
}

static void show_head(const struct bench *b, struct otd_plugin_instance *algo)
{
	const struct otd_plugin_desc *d = otd_plugin_desc(otd_instance_plugin(algo));
	const struct otd_algo_info *info = otd_instance_algo_info(algo);
	if (b->json)
		printf("{\"plugin\": \"algo/%s\", \"version\": \"%s\", \"variant\": \"%s\", "
		       "\"header_len\": %u, \"scratch\": %" PRIu64 ", \"calls\": [",
		       d->id, d->version, info->variant ? info->variant : "", info->header_len,
		       info->scratch_size);
	else
		printf("algo/%s %s (%s), headers of %u bytes, %" PRIu64
		       " bytes of scratch a thread\n",
		       d->id, d->version, info->variant ? info->variant : "no variant named",
		       info->header_len, info->scratch_size);
}

static void show_class(const struct bench *b, const struct otd_algo_speed *alone)
{
	bool costly = each_ns(alone) > INLINE_COST_NS;
	if (b->json)
		printf("], \"class\": \"%s\"}\n", costly ? "compute" : "loop");
	else
		printf("A pool hashes shares %s: one hash takes %s than %u us.\n",
		       costly ? "in its compute pool" : "on its reactors, at once",
		       costly ? "more" : "less", INLINE_COST_NS / 1000);
}

static otd_rc bench(struct bench *b, struct otd_plugin_instance *algo, struct otd_err *err)
{
	const struct otd_algo_info *info = otd_instance_algo_info(algo);
	const size_t sizes[] = {1, 8, info->batch_hint > 1 ? info->batch_hint : 64};
	struct otd_algo_speed alone = {0}, s;
	otd_rc rc = OTD_OK;
	show_head(b, algo);
	for (size_t i = 0; rc == OTD_OK && i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		/* Not twice, and not for minutes where one hash takes seconds. */
		if (i > 0 &&
		    (sizes[i] <= sizes[i - 1] || each_ns(&alone) * sizes[i] > 20 * b->ms * 1000000))
			continue;
		rc = otd_algo_speed_batch(&s, algo, sizes[i], b->ms, err);
		if (rc == OTD_OK)
			show(b, "hash_batch", sizes[i], &s);
		if (i == 0)
			alone = s;
	}
	if (rc == OTD_OK && otd_instance_algo(algo)->scan) {
		rc = otd_algo_speed_scan(&s, algo, b->ms, err);
		if (rc == OTD_OK)
			show(b, "scan", 0, &s);
	}
	if (rc == OTD_OK)
		show_class(b, &alone);
	return rc;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct bench b = {.ms = MS_EACH};
	const char *ms = NULL;
	const struct otd_arg args[] = {
		{"--plugin", 0, "FILE", "this file instead of an installed algorithm",
		 .text = &b.file},
		{"--options", 0, "YAML", "of the algorithm: '{n: 2048}'", .text = &b.options},
		{"--ms", 0, "N", "milliseconds each measurement takes; 500 where not said",
		 .text = &ms},
		{"--plugin-dir", 0, "DIR", "where KIND/ID.so is looked for", .text = &b.dir},
		{"--json", 0, NULL, "as JSON", .on = &b.json},
	};
	const char *words[1];
	size_t n_words;
	struct otd_tool tool;
	struct otd_plugin_instance *algo = NULL;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, sizeof(args) / sizeof(args[0]), argc, argv,
					 words, &n_words, 0, 1);
	if (exit_status >= 0)
		return exit_status;
	if ((n_words == 1) == (b.file != NULL) ||
	    (ms && (otd_parse_u64(&b.ms, ms, strlen(ms)) || b.ms < 1 || b.ms > 600000))) {
		otd_cmd_fail(cmd, "usage: otedama bench %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	b.id = n_words ? words[0] : NULL;
	otd_rc rc = otd_tool_init(&tool, b.dir, &err);
	if (rc != OTD_OK)
		return otd_cmd_fail(cmd, "%s", err.text);
	rc = otd_tool_algo(&tool, &algo, b.id, b.file, b.options, &err);
	if (rc == OTD_OK)
		rc = bench(&b, algo, &err);
	if (algo)
		otd_instance_destroy(algo);
	otd_tool_finish(&tool);
	return rc == OTD_OK ? OTD_EXIT_OK : otd_cmd_fail(cmd, "%s", err.text);
}

const struct otd_cmd otd_cmd_bench = {
	.name = "bench",
	.usage = "ALGO | --plugin FILE [--ms N] [--json]",
	.summary = "how fast an algorithm is on one thread of this machine",
	.run = run,
};
