/* otedama chain POOL WORD.. and otedama miners WORD..: one line to a running pool, and its answer. */
#include <stdio.h>

#include "app/cmd/cmd.h"
#include "app/cmd/where.h"
#include "app/control.h"

static int send_words(const struct otd_cmd *cmd, size_t min, int argc, char **argv)
{
	const char *config = NULL, *socket = NULL;
	const struct otd_arg args[] = {
		{"--config", 'c', "FILE", "the pool's configuration, to find its socket",
		 .text = &config},
		{"--socket", 's', "PATH", "its control socket", .text = &socket},
	};
	const char *words[16];
	size_t n_words;
	char path[256];
	struct otd_bytes line, out;
	struct otd_err err = {0};
	int exit_status = otd_args_parse(cmd, args, 2, argc, argv, words, &n_words, min, 16);
	if (exit_status >= 0)
		return exit_status;
	otd_bytes_init(&line, 4096);
	otd_bytes_init(&out, 1u << 20);
	otd_rc rc = otd_bytes_text(&line, cmd->name);
	for (size_t i = 0; rc == OTD_OK && i < n_words; i++)
		rc = otd_bytes_format(&line, " %s", words[i]);
	if (rc == OTD_OK)
		rc = otd_where_socket(path, sizeof(path), socket, config, &err);
	if (rc == OTD_OK)
		rc = otd_control_call(path, otd_bytes_cstr(&line), &out, 60000, &err);
	if (rc == OTD_OK) {
		printf("%s%s", otd_bytes_cstr(&out), out.len ? "\n" : "");
		exit_status = OTD_EXIT_OK;
	} else {
		exit_status = otd_cmd_fail(cmd, "%s", err.text);
	}
	otd_bytes_finish(&line);
	otd_bytes_finish(&out);
	return exit_status;
}

static int run_chain(const struct otd_cmd *cmd, int argc, char **argv)
{
	return send_words(cmd, 2, argc, argv);
}

static int run_miners(const struct otd_cmd *cmd, int argc, char **argv)
{
	return send_words(cmd, 1, argc, argv);
}

const struct otd_cmd otd_cmd_chain = {
	.name = "chain",
	.usage = "[-c FILE | --socket PATH] POOL WORD..",
	.summary = "a command to a pool's embedded chain: reorg N, mine N, tip, help",
	.run = run_chain,
};

const struct otd_cmd otd_cmd_miners = {
	.name = "miners",
	.usage = "[-c FILE | --socket PATH] message WORD.. | reconnect",
	.summary = "says something to every connected miner, or asks all to connect again",
	.run = run_miners,
};
