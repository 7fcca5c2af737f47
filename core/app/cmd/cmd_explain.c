/* otedama explain: the chain of causes of a share, a block, a payment or a ban, for people. */
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/explain/app_explain.h"

static void print_says(const json_t *o)
{
	size_t i;
	json_t *line;
	json_array_foreach(json_object_get(o, "says"), i, line)
	{
		printf("  %s\n", json_string_value(line));
	}
}

static bool is_true(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static void print_postings(const json_t *o)
{
	size_t i, k;
	json_t *p, *e;
	char when[OTD_ASK_TIME];
	json_array_foreach(json_object_get(o, "postings"), i, p)
	{
		size_t shown = json_array_size(json_object_get(p, "entries"));
		printf("posting %s, %s%s\n", otd_ask_s(p, "key"),
		       otd_ask_time(when, otd_ask_n(p, "time_ms")),
		       is_true(p, "reversed") ? ", REVERSED since" : "");
		json_array_foreach(json_object_get(p, "entries"), k, e)
		{
			printf("  %24s %-14s %s\n", otd_ask_s(e, "amount"), otd_ask_s(e, "account"),
			       otd_ask_s(e, "owner"));
		}
		if (shown < (size_t)otd_ask_n(p, "n_entries"))
			printf("  and %lld smaller ones; --all shows them\n",
			       otd_ask_n(p, "n_entries") - (long long)shown);
		printf("  %24s sum\n", otd_ask_s(p, "sum"));
	}
}

static void print_share(const json_t *o)
{
	size_t i;
	json_t *b;
	json_t *rows = json_object_get(o, "blocks_after");
	printf("share %s\n", otd_ask_s(o, "id"));
	print_says(o);
	if (json_array_size(rows))
		printf("blocks after it\n");
	json_array_foreach(rows, i, b)
	{
		char when[OTD_ASK_TIME];
		printf("  %-10s height %lld, %s, %s%s: ", otd_ask_s(b, "id"),
		       otd_ask_n(b, "height"), otd_ask_time(when, otd_ask_n(b, "found_ms")),
		       otd_ask_s(b, "state"), is_true(b, "held") ? ", HELD" : "");
		if (is_true(b, "credited"))
			printf("%s to this account", otd_ask_s(b, "credit"));
		else
			printf("nothing to this account");
		if (strcmp(otd_ask_s(b, "work_between_percent"), "0") > 0)
			printf("; the pool did about %s%% of its expected work in between",
			       otd_ask_s(b, "work_between_percent"));
		printf("\n");
	}
	if (otd_ask_n(o, "n_blocks_after") > (long long)json_array_size(rows))
		printf("  and %lld later ones\n",
		       otd_ask_n(o, "n_blocks_after") - (long long)json_array_size(rows));
}

static void print_block(const json_t *o)
{
	size_t i;
	json_t *s;
	char when[OTD_ASK_TIME];
	printf("block %s of pool %s at height %lld: %s%s, %lld", otd_ask_s(o, "id"),
	       otd_ask_s(o, "pool"), otd_ask_n(o, "height"), otd_ask_s(o, "state"),
	       is_true(o, "held") ? ", HELD" : "", otd_ask_n(o, "confirmations"));
	if (otd_ask_n(o, "maturity"))
		printf(" of %lld", otd_ask_n(o, "maturity"));
	printf(" confirmations\n  hash %s\n  on   %s\n", otd_ask_s(o, "hash"),
	       otd_ask_s(o, "prev"));
	printf("  found %s by %s%s%s, scheme %s, effort %s%%\n",
	       otd_ask_time(when, otd_ask_n(o, "found_ms")), otd_ask_s(o, "account"),
	       *otd_ask_s(o, "worker") ? "." : "", otd_ask_s(o, "worker"), otd_ask_s(o, "scheme"),
	       otd_ask_s(o, "effort_percent"));
	printf("  value %s %s, fee %s (%s%%)\n", otd_ask_s(o, "value"), otd_ask_s(o, "asset"),
	       otd_ask_s(o, "fee"), otd_ask_s(o, "fee_percent"));
	print_says(o);
	printf("its share\n");
	print_says(json_object_get(o, "share"));
	printf("states\n");
	json_array_foreach(json_object_get(o, "states"), i, s)
	{
		printf("  %-12s %s", otd_ask_s(s, "state"),
		       otd_ask_n(s, "time_ms") ? otd_ask_time(when, otd_ask_n(s, "time_ms"))
					       : "when is not known");
		if (otd_ask_n(s, "confirmations"))
			printf(", %lld confirmations", otd_ask_n(s, "confirmations"));
		printf(" (%s)\n", otd_ask_s(s, "source"));
	}
	print_postings(o);
}

static void print_transactions(const json_t *o)
{
	size_t i;
	json_t *t;
	char when[OTD_ASK_TIME];
	json_array_foreach(json_object_get(o, "transactions"), i, t)
	{
		printf("transaction %s\n  version %lld.%lld, %s; signed %s; network fee %s, change "
		       "%s, %lld vbytes\n",
		       otd_ask_s(t, "txid"), otd_ask_n(t, "generation"), otd_ask_n(t, "version"),
		       otd_ask_s(t, "part"), otd_ask_time(when, otd_ask_n(t, "signed_ms")),
		       otd_ask_s(t, "fee"), otd_ask_s(t, "change"), otd_ask_n(t, "vsize"));
		if (*otd_ask_s(t, "raw"))
			printf("  raw %s\n", otd_ask_s(t, "raw"));
	}
	json_array_foreach(json_object_get(o, "inputs"), i, t)
	{
		printf("input %s:%lld %s\n", otd_ask_s(t, "txid"), otd_ask_n(t, "index"),
		       otd_ask_s(t, "value"));
	}
}

static void print_parts(const json_t *o)
{
	size_t i, k;
	json_t *p, *s, *rows = json_object_get(o, "parts");
	char when[OTD_ASK_TIME];
	json_array_foreach(rows, i, p)
	{
		printf("to %s (%s): %s left the balance, %s %s\n", otd_ask_s(p, "address"),
		       otd_ask_s(p, "whose"), otd_ask_s(p, "amount"), otd_ask_s(p, "sent"),
		       json_array_size(json_object_get(o, "transactions")) ? "arrives"
									   : "signed so far");
		json_array_foreach(json_object_get(p, "sources"), k, s)
		{
			printf("  %24s %s, %s\n", otd_ask_s(s, "amount"), otd_ask_s(s, "key"),
			       otd_ask_time(when, otd_ask_n(s, "time_ms")));
		}
		if (otd_ask_n(p, "n_sources") > (long long)k)
			printf("  and %lld more\n", otd_ask_n(p, "n_sources") - (long long)k);
		if (otd_ask_n(p, "payment_before"))
			printf("  %24s came since payment %lld\n", otd_ask_s(p, "sources_sum"),
			       otd_ask_n(p, "payment_before"));
	}
	if (otd_ask_n(o, "n_parts") > (long long)json_array_size(rows))
		printf("and %lld smaller ones; --all shows them\n",
		       otd_ask_n(o, "n_parts") - (long long)json_array_size(rows));
}

static void print_payment(const json_t *o)
{
	size_t i;
	json_t *s;
	char created[OTD_ASK_TIME], changed[OTD_ASK_TIME];
	printf("payment %lld of pool %s: %s%s, made %s, last changed %s\n", otd_ask_n(o, "id"),
	       otd_ask_s(o, "pool"), otd_ask_s(o, "state"), is_true(o, "held") ? ", HELD" : "",
	       otd_ask_time(created, otd_ask_n(o, "created_ms")),
	       otd_ask_time(changed, otd_ask_n(o, "changed_ms")));
	print_says(o);
	print_parts(o);
	print_transactions(o);
	printf("steps\n");
	json_array_foreach(json_object_get(o, "steps"), i, s)
	{
		printf("  %s %s: %s\n", otd_ask_time(created, otd_ask_n(s, "time_ms")),
		       otd_ask_s(s, "step"), otd_ask_s(s, "data"));
	}
	print_postings(o);
}

static void print_bans(const json_t *o)
{
	size_t i, k;
	json_t *b, *s;
	char when[OTD_ASK_TIME];
	json_array_foreach(json_object_get(o, "bans"), i, b)
	{
		printf("ban %lld: %s %s, since %s, by %s: %s\n", otd_ask_n(b, "id"),
		       otd_ask_s(b, "scope"), otd_ask_s(b, "what"),
		       otd_ask_time(when, otd_ask_n(b, "created_ms")), otd_ask_s(b, "by"),
		       otd_ask_s(b, "reason"));
		print_says(b);
		json_array_foreach(json_object_get(b, "steps"), k, s)
		{
			printf("  %s %s: %s\n", otd_ask_time(when, otd_ask_n(s, "time_ms")),
			       otd_ask_s(s, "step"), otd_ask_s(s, "data"));
		}
	}
	if (otd_ask_n(o, "n_bans") > (long long)i)
		printf("and %lld older ones\n", otd_ask_n(o, "n_bans") - (long long)i);
}

static void print(const json_t *o)
{
	const char *kind = otd_ask_s(o, "kind");
	if (strcmp(kind, "share") == 0)
		print_share(o);
	else if (strcmp(kind, "block") == 0)
		print_block(o);
	else if (strcmp(kind, "ban") == 0)
		print_bans(o);
	else
		print_payment(o);
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	bool all = false;
	const struct otd_arg args[] = {
		OTD_ASKER_ARGS(a),
		{"--all", 0, NULL, "every entry of a posting, not only the largest", .on = &all},
	};
	const char *words[2];
	char line[400];
	size_t n;
	int exit_status = otd_args_parse(cmd, args, OTD_ASKER_N + 1, argc, argv, words, &n, 1, 2);
	if (exit_status >= 0)
		return exit_status;
	if (n == 2 && strcmp(words[0], "share") != 0 && strcmp(words[0], "block") != 0 &&
	    strcmp(words[0], "payment") != 0 && strcmp(words[0], "ban") != 0) {
		otd_cmd_fail(cmd, "usage: otedama explain %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	snprintf(line, sizeof(line), "%s%s%.330s%s", n == 2 ? words[0] : "", n == 2 ? " " : "",
		 words[n - 1], all ? " all" : "");
	return otd_ask(cmd, &a, "explain", line, &otd_topic_explain, print);
}

const struct otd_cmd otd_cmd_explain = {
	.name = "explain",
	.usage = "[share|block|payment|ban] ID [--all] [-c FILE | --socket PATH] [--json]",
	.summary = "why: the chain of causes of a share, a block, a payment or a ban",
	.more = "ID: EPOCH-SEQUENCE of a share or block (the log and 'otedama status' show it),\n"
		"a height or hash of a block, a number or txid of a payment; of a hash 8 digits "
		"do.\n"
		"Of a ban its number, an address of the network, or POOL/ADDRESS[.NAME].\n"
		"With -c of a pool that is stopped it reads what that one left.",
	.run = run,
};
