/* Answers of the payer, for people. */
#include "app/cmd/cmd_payment_print.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static long long number(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

static bool yes(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static const char *when(char out[32], const json_t *o, const char *key)
{
	time_t s = (time_t)(number(o, key) / 1000);
	struct tm tm;
	if (!s || !gmtime_r(&s, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
		snprintf(out, 32, "never");
	return out;
}

static void print_parts(const json_t *list, const char *asset)
{
	size_t i;
	json_t *p;
	json_array_foreach(list, i, p)
	{
		printf("  %-64s %20s %s%s", text(p, "address"), text(p, "amount"), asset,
		       strcmp(text(p, "kind"), "fee") == 0 ? "  (the pool's fee)" : "");
		if (json_string_value(json_object_get(p, "sent")) &&
		    strcmp(text(p, "sent"), text(p, "amount")) != 0)
			printf("  sent %s", text(p, "sent"));
		printf("%s%s\n", *text(p, "reason") ? "  left out: " : "", text(p, "reason"));
	}
}

static void print_wallet(const json_t *plan, const char *asset)
{
	const json_t *w = json_object_get(plan, "wallet");
	if (*text(w, "error")) {
		printf("the wallet does not answer: %s\n", text(w, "error"));
		return;
	}
	printf("wallet %s: %s %s, and %s not mature%s%s\n", text(w, "name"), text(w, "balance"),
	       asset, text(w, "immature"), yes(w, "locked") ? "; it is LOCKED" : "",
	       strcmp(text(w, "owns_change"), "no") == 0
		       ? "; coinbase.address is NOT an address of it"
		       : "");
	if (*text(plan, "network_fee"))
		printf("the network would take about %s %s, paid by the %s\n",
		       text(plan, "network_fee"), asset, text(plan, "fee_by"));
	else if (json_array_size(json_object_get(plan, "parts")))
		printf("it cannot be paid now: %s\n", text(plan, "network_fee_error"));
}

static void print_plan(const json_t *plan)
{
	const char *asset = text(plan, "asset");
	const json_t *below = json_object_get(plan, "below_minimum");
	size_t i;
	json_t *h;
	printf("pool %s would pay %lld recipients %s %s\n", text(plan, "pool"), number(plan, "n"),
	       text(plan, "total"), asset);
	print_parts(json_object_get(plan, "parts"), asset);
	print_parts(json_object_get(plan, "left_out"), asset);
	json_array_foreach(json_object_get(plan, "held"), i, h)
	{
		printf("  %-64s %20s %s  held: %s\n", text(h, "address"), text(h, "balance"), asset,
		       text(h, "reason"));
	}
	if (number(below, "n"))
		printf("%lld accounts wait below the minimum of %s %s, with %s in all\n",
		       number(below, "n"), text(plan, "minimum"), asset, text(below, "total"));
	print_wallet(plan, asset);
	if (yes(plan, "restored"))
		printf("THE DATABASE WAS RESTORED from a backup: what was paid after that backup "
		       "is "
		       "not known here.\nCompare with the wallet's own list, and hold who was paid "
		       "already, before you start.\n");
	if (!yes(plan, "configured"))
		printf("the pool's settings have no 'payments' section\n");
	else if (yes(plan, "on"))
		printf("payments of this pool are on\n");
	else
		printf("payments of this pool are off; if this is right: otedama payment start %s "
		       "%s\n",
		       text(plan, "pool"), text(plan, "code"));
}

static void print_one(const json_t *p)
{
	char created[32];
	printf("%5lld  %-8s %-10s %20s %-5s to %-4lld", number(p, "id"), text(p, "pool"),
	       text(p, "state"), text(p, "total"), text(p, "asset"), number(p, "n"));
	if (number(p, "confirmations"))
		printf(" %lld conf", number(p, "confirmations"));
	printf("  %s%s%s%s%s\n", when(created, p, "created_ms"), *text(p, "txid") ? "  " : "",
	       text(p, "txid"),
	       yes(p, "held")    ? "  HELD: "
	       : *text(p, "why") ? "  waits: "
				 : "",
	       text(p, "why"));
}

static void print_txs(const json_t *list, const char *what, const char *asset)
{
	size_t i;
	json_t *t;
	json_array_foreach(list, i, t)
	{
		char when_signed[32];
		printf("%s %s, fee %s %s, change %s, %lld vbytes, signed %s\n", what,
		       text(t, "txid"), text(t, "fee"), asset, text(t, "change"),
		       number(t, "vsize"), when(when_signed, t, "signed_ms"));
		if (*text(t, "raw"))
			printf("  %s\n", text(t, "raw"));
	}
}

static void print_payment(const json_t *p)
{
	const char *asset = text(p, "asset");
	size_t i;
	json_t *c;
	print_one(p);
	printf("recipients (the network's fee is paid by the %s)\n", text(p, "fee_by"));
	print_parts(json_object_get(p, "parts"), asset);
	json_array_foreach(json_object_get(p, "coins"), i, c)
	{
		printf("coin %s:%lld %s %s\n", text(c, "txid"), number(c, "index"),
		       text(c, "value"), asset);
	}
	print_txs(json_object_get(p, "txs"), "transaction", asset);
	print_txs(json_object_get(p, "given_up"), "given up", asset);
}

void otd_payment_print(const char *verb, const json_t *answer)
{
	const json_t *list = json_object_get(answer, "payments");
	size_t i;
	json_t *p;
	if (strcmp(verb, "plan") == 0) {
		print_plan(answer);
	} else if (list) {
		json_array_foreach(list, i, p)
		{
			print_one(p);
		}
		if (json_array_size(list) == 0)
			printf("no payments\n");
	} else if (json_object_get(answer, "parts")) {
		print_payment(answer);
	} else if (json_object_get(answer, "state")) {
		print_one(answer);
	} else if (json_object_get(answer, "on")) {
		printf("payments of %s are %s\n", text(answer, "pool"),
		       yes(answer, "on") ? "on" : "off");
	} else if (strcmp(verb, "run") == 0) {
		if (number(answer, "id"))
			printf("payment %lld is reserved\n", number(answer, "id"));
		else
			printf("nothing was paid: %s\n", text(answer, "why"));
	} else {
		printf("done\n");
	}
}
