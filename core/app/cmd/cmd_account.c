/* otedama account show: what an address has, gets and did. account list: what all have. */
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/explain/app_explain.h"

static void print_refused(const json_t *by)
{
	const char *reason, *between = "; refused in a day: ";
	json_t *n;
	json_object_foreach((json_t *)by, reason, n)
	{
		printf("%s%lld %s", between, (long long)json_integer_value(n), reason);
		between = ", ";
	}
}

static void print_workers(const json_t *a)
{
	size_t i;
	json_t *w, *rows = json_object_get(a, "workers");
	char when[OTD_ASK_TIME];
	printf("workers: %lld\n", otd_ask_n(a, "n_workers"));
	json_array_foreach(rows, i, w)
	{
		printf("  %-20s %12s in the last hour, %lld shares in %lld minutes; in a day %lld "
		       "in %lld; last share %s",
		       *otd_ask_s(w, "name") ? otd_ask_s(w, "name") : "(no name)",
		       otd_ask_s(w, "hashrate_1h"), otd_ask_n(w, "shares_1h"),
		       otd_ask_n(w, "minutes_1h"), otd_ask_n(w, "shares_24h"),
		       otd_ask_n(w, "minutes_24h"),
		       otd_ask_time(when, otd_ask_n(w, "last_share_ms")));
		print_refused(json_object_get(w, "refused_24h"));
		if (*otd_ask_s(w, "tag"))
			printf("; label: %s", otd_ask_s(w, "tag"));
		printf("\n");
	}
}

static void print_payments(const json_t *a)
{
	size_t i;
	json_t *p, *rows = json_object_get(a, "payments");
	char when[OTD_ASK_TIME];
	printf("payments: %lld%s\n", otd_ask_n(a, "n_payments"),
	       json_array_size(rows) < (size_t)otd_ask_n(a, "n_payments") ? ", the newest:" : "");
	json_array_foreach(rows, i, p)
	{
		printf("  %-5lld %s %s %s%s  %s%s%s %s\n", otd_ask_n(p, "id"),
		       otd_ask_time(when, otd_ask_n(p, "created_ms")), otd_ask_s(p, "amount"),
		       otd_ask_s(a, "asset"),
		       json_is_true(json_object_get(p, "held")) ? " HELD" : "",
		       otd_ask_s(p, "state"), *otd_ask_s(p, "why") ? ": " : "", otd_ask_s(p, "why"),
		       otd_ask_s(p, "txid"));
	}
}

static void print_postings(const json_t *a)
{
	size_t i, k;
	json_t *p, *e;
	char when[OTD_ASK_TIME];
	printf("last postings\n");
	json_array_foreach(json_object_get(a, "postings"), i, p)
	{
		printf("  %s  %-32s", otd_ask_time(when, otd_ask_n(p, "time_ms")),
		       otd_ask_s(p, "key"));
		json_array_foreach(json_object_get(p, "entries"), k, e)
		{
			printf(" %s%s %s", *otd_ask_s(e, "amount") == '-' ? "" : "+",
			       otd_ask_s(e, "amount"), otd_ask_s(e, "account"));
		}
		printf("%s\n", json_is_true(json_object_get(p, "reversed")) ? " (reversed)" : "");
	}
}

static void print_obstacles(const json_t *a)
{
	size_t i;
	json_t *b, *hold = json_object_get(a, "hold");
	char when[OTD_ASK_TIME];
	if (hold)
		printf("HELD since %s, is not paid: %s\n",
		       otd_ask_time(when, otd_ask_n(hold, "since_ms")), otd_ask_s(hold, "reason"));
	json_array_foreach(json_object_get(a, "bans"), i, b)
	{
		printf("BANNED: %s %s, ban %lld, %s%s: %s\n", otd_ask_s(b, "scope"),
		       otd_ask_s(b, "what"), otd_ask_n(b, "id"),
		       otd_ask_n(b, "until_ms") ? "until " : "for good",
		       otd_ask_n(b, "until_ms") ? otd_ask_time(when, otd_ask_n(b, "until_ms")) : "",
		       otd_ask_s(b, "reason"));
	}
}

static void print_own_fee(const json_t *a)
{
	size_t i;
	json_t *r;
	if (*otd_ask_s(a, "fee_percent"))
		printf("  own fee    %s%%\n", otd_ask_s(a, "fee_percent"));
	json_array_foreach(json_object_get(a, "fee_recipients"), i, r)
		printf("  %s%% of it go to %s\n", otd_ask_s(r, "percent"), otd_ask_s(r, "address"));
}

static void print_accounts(const json_t *answer)
{
	size_t i;
	json_t *a;
	json_array_foreach(json_object_get(answer, "accounts"), i, a)
	{
		const char *asset = otd_ask_s(a, "asset");
		printf("%saccount %s of pool %s\n", i ? "\n" : "", otd_ask_s(a, "address"),
		       otd_ask_s(a, "pool"));
		print_obstacles(a);
		if (*otd_ask_s(a, "tag"))
			printf("  label      %s\n", otd_ask_s(a, "tag"));
		print_own_fee(a);
		printf("  immature   %s %s\n", otd_ask_s(a, "immature"), asset);
		printf("  spendable  %s %s\n", otd_ask_s(a, "spendable"), asset);
		printf("  on its way %s %s\n", otd_ask_s(a, "on_its_way"), asset);
		printf("  paid       %s %s\n", otd_ask_s(a, "paid"), asset);
		print_workers(a);
		print_payments(a);
		print_postings(a);
	}
}

static void print_list(const json_t *answer)
{
	size_t i;
	json_t *a, *next = json_object_get(answer, "next");
	json_array_foreach(json_object_get(answer, "accounts"), i, a)
	{
		printf("%-12s %-48s immature %s  spendable %s  on its way %s %s\n",
		       otd_ask_s(a, "pool"), otd_ask_s(a, "address"), otd_ask_s(a, "immature"),
		       otd_ask_s(a, "spendable"), otd_ask_s(a, "on_its_way"),
		       otd_ask_s(a, "asset"));
	}
	if (json_is_integer(next))
		printf("there are more: go on with --after %lld\n", otd_ask_n(answer, "next"));
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct otd_asker a = {0};
	const char *after = NULL;
	const struct otd_arg args[] = {
		OTD_ASKER_ARGS(a),
		{"--after", 0, "NUMBER", "list: go on behind that account", .text = &after}};
	const char *words[3];
	char line[600];
	size_t n;
	int exit_status = otd_args_parse(cmd, args, OTD_ASKER_N + 1, argc, argv, words, &n, 1, 3);
	if (exit_status >= 0)
		return exit_status;
	if (strcmp(words[0], "list") == 0 && n <= 2) {
		snprintf(line, sizeof(line), "%.40s%s%.250s", after ? after : "0",
			 n == 2 ? " " : "", n == 2 ? words[1] : "");
		return otd_ask(cmd, &a, "account list", line, &otd_topic_accounts, print_list);
	}
	if (strcmp(words[0], "show") != 0 || n < 2 || after) {
		otd_cmd_fail(cmd, "usage: otedama account %s", cmd->usage);
		return OTD_EXIT_USAGE;
	}
	snprintf(line, sizeof(line), "%.250s%s%.250s", words[1], n == 3 ? " " : "",
		 n == 3 ? words[2] : "");
	return otd_ask(cmd, &a, "account show", line, &otd_topic_account, print_accounts);
}

const struct otd_cmd otd_cmd_account = {
	.name = "account",
	.usage = "show [POOL] ADDRESS | list [POOL] [--after NUMBER] [-c FILE | --socket PATH] "
		 "[--json]",
	.summary = "an address: balances, workers, payments, postings, holds, bans; all balances",
	.more = "Without POOL: in every pool where it has mined. With -c of a pool that is stopped "
		"it reads\n"
		"what that one left. A refused share has no id; it is counted here, by reason.",
	.run = run,
};
