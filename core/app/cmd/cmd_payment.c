/* otedama payment: what the pool pays, and what a person decides about it. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "app/cmd/cmd.h"
#include "app/cmd/cmd_payment_print.h"
#include "app/cmd/where.h"
#include "app/control.h"
#include "base/text.h"

#define ANSWER_MAX ((size_t)64 << 20)

struct payment {
	const char *config, *socket, *reason, *paid;
	bool json, all, unpaid, raw;
	const char *words[4];
	size_t n_words;
};

/* What verb wants; reason: whether it must have one. */
static const struct {
	const char *name;
	size_t min, max; /* words behind it */
	bool reason;
} verbs[] = {
	{"list", 0, 1, false},  {"show", 1, 1, false},    {"plan", 1, 1, false},
	{"start", 2, 2, false}, {"stop", 1, 1, false},    {"run", 1, 1, false},
	{"hold", 1, 1, true},   {"release", 1, 1, false}, {"resolve", 1, 1, true},
};

static otd_rc no_verb(const char *word, struct otd_err *err)
{
	const char *names[sizeof(verbs) / sizeof(verbs[0])];
	char hint[OTD_HINT_TEXT];
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		names[i] = verbs[i].name;
	return otd_fail(err, OTD_E_INVALID, "there is no '%.40s'%s; see --help", word,
			otd_nearest_hint(hint, word, names, sizeof(verbs) / sizeof(verbs[0])));
}

/* The line for the pool, or a message. */
static otd_rc make_line(const struct payment *p, struct otd_bytes *line, struct otd_err *err)
{
	size_t i = 0, n = sizeof(verbs) / sizeof(verbs[0]);
	while (i < n && strcmp(verbs[i].name, p->words[0]) != 0)
		i++;
	if (i == n)
		return no_verb(p->words[0], err);
	if (p->n_words - 1 < verbs[i].min || p->n_words - 1 > verbs[i].max)
		return otd_fail(err, OTD_E_INVALID, "'%s' has too %s words behind it; see --help",
				verbs[i].name, p->n_words - 1 < verbs[i].min ? "few" : "many");
	if (verbs[i].reason && (!p->reason || !*p->reason))
		return otd_fail(err, OTD_E_INVALID,
				"say why: --reason TEXT; it is kept in the audit log");
	bool resolves = strcmp(verbs[i].name, "resolve") == 0;
	if (resolves == (!p->paid == !p->unpaid))
		return otd_fail(err, OTD_E_INVALID,
				resolves ? "either --paid TXID or --unpaid"
					 : "--paid and --unpaid belong to 'resolve'");
	(void)otd_bytes_text(line, "payment");
	for (size_t k = 0; k < p->n_words; k++)
		(void)otd_bytes_format(line, " %s", p->words[k]);
	if (p->all)
		(void)otd_bytes_text(line, " --all");
	if (p->raw)
		(void)otd_bytes_text(line, " --raw");
	if (p->paid)
		(void)otd_bytes_format(line, " --paid %s", p->paid);
	if (p->unpaid)
		(void)otd_bytes_text(line, " --unpaid");
	if (p->reason)
		(void)otd_bytes_format(line, " %s", p->reason);
	return line->failed ? otd_fail(err, OTD_E_NOMEM, "out of memory") : OTD_OK;
}

static int show(const struct otd_cmd *cmd, const struct payment *p, struct otd_bytes *out)
{
	if (p->json) {
		printf("%s\n", otd_bytes_cstr(out));
		return OTD_EXIT_OK;
	}
	json_t *answer = json_loadb((const char *)out->ptr, out->len, 0, NULL);
	if (!answer)
		return otd_cmd_fail(cmd, "the pool answered what is not JSON");
	otd_payment_print(p->words[0], answer);
	json_decref(answer);
	return OTD_EXIT_OK;
}

static int run(const struct otd_cmd *cmd, int argc, char **argv)
{
	struct payment p = {0};
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the pool's configuration, to find its socket",
		 .text = &p.config},
		{"--socket", 's', "PATH", "its control socket", .text = &p.socket},
		{"--json", 0, NULL, "as the pool says it", .on = &p.json},
		{"--all", 0, NULL, "list: those that are done, too", .on = &p.all},
		{"--raw", 0, NULL, "show: the transactions' bytes, too", .on = &p.raw},
		{"--reason", 0, "TEXT", "hold, resolve: why; kept in the audit log",
		 .text = &p.reason},
		{"--paid", 0, "TXID", "resolve: it was paid, by this transaction", .text = &p.paid},
		{"--unpaid", 0, NULL, "resolve: it was not paid, the amounts go back",
		 .on = &p.unpaid},
	};
	char path[256];
	struct otd_bytes line, out;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, sizeof(args) / sizeof(args[0]), argc, argv,
					 p.words, &p.n_words, 1, 4);
	if (exit_status >= 0)
		return exit_status;
	otd_bytes_init(&line, 8192);
	otd_bytes_init(&out, ANSWER_MAX);
	otd_rc rc = make_line(&p, &line, &err);
	if (rc != OTD_OK) {
		(void)otd_cmd_fail(cmd, "%s", err.text);
		exit_status = OTD_EXIT_USAGE;
		goto out;
	}
	rc = otd_where_socket(path, sizeof(path), p.socket, p.config, &err);
	if (rc == OTD_OK)
		rc = otd_control_call(path, otd_bytes_cstr(&line), &out, 120000, &err);
	exit_status = rc == OTD_OK ? show(cmd, &p, &out) : otd_cmd_fail(cmd, "%s", err.text);
out:
	otd_bytes_finish(&line);
	otd_bytes_finish(&out);
	return exit_status;
}

const struct otd_cmd otd_cmd_payment = {
	.name = "payment",
	.usage = "[-c FILE | --socket PATH] VERB ..",
	.summary = "what is paid to miners: plan, start, list, show, hold, resolve",
	.more = "  list [POOL] [--all]        what is on its way, and what waits for you\n"
		"  show ID [--raw]            one payment: recipients, coins, transactions\n"
		"  plan POOL                  a dry run: who would be paid now; gives the CODE "
		"for\n"
		"  start POOL CODE            turns payments of the pool on, once you have seen a "
		"plan\n"
		"  stop POOL                  turns them off; what is on its way is finished\n"
		"  run POOL                   does not wait for the next round\n"
		"  hold ID|POOL/ADDRESS       that payment, or that account, waits (--reason)\n"
		"  release ID|POOL/ADDRESS    and goes on\n"
		"  resolve ID --paid TXID     your decision on one that the pool cannot decide\n"
		"  resolve ID --unpaid        (--reason); refused where the chain says otherwise",
	.run = run,
};
