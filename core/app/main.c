/* The program: one table of commands, one file a command (cmd_<name>.c). */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/cmd/cmd.h"
#include "app/cmd/cmd_trial.h"
#include "app/processes/reactor_process.h"
#include "base/text.h"
#include "plugin/child.h"

static const struct otd_cmd *const commands[] = {
	&otd_cmd_account, &otd_cmd_backup,  &otd_cmd_ban,    &otd_cmd_bench,   &otd_cmd_chain,
	&otd_cmd_config,  &otd_cmd_explain, &otd_cmd_fee,    &otd_cmd_hash,    &otd_cmd_journal,
	&otd_cmd_ledger,  &otd_cmd_mine,    &otd_cmd_miners, &otd_cmd_node,    &otd_cmd_payment,
	&otd_cmd_plugin,  &otd_cmd_policy,  &otd_cmd_reload, &otd_cmd_restore, &otd_cmd_serve,
	&otd_cmd_status,  &otd_cmd_upgrade,
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void usage(FILE *to)
{
	fprintf(to, "otedama %s: a mining-pool server\n\n", OTEDAMA_VERSION);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(to, "  otedama %-8s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(to, "\n'otedama COMMAND --help' tells more. Start with: otedama serve -c "
		    "etc/devnet.yaml\n");
}

/* Where 0, 1 or 2 is closed the next file opened would have its number: what is printed would go into it, and libuv aborts
   when such a one is closed (uv__close). */
static void keep_standard_files(void)
{
	int fd;
	do {
		fd = open("/dev/null", O_RDWR);
	} while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		(void)close(fd);
}

int main(int argc, char **argv)
{
	keep_standard_files();
	if (argc < 2) {
		usage(stderr);
		return OTD_EXIT_USAGE;
	}
	const char *word = argv[1];
	if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
		usage(stdout);
		return OTD_EXIT_OK;
	}
	if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
		printf("otedama %s\n", OTEDAMA_VERSION);
		return OTD_EXIT_OK;
	}
	if (strcmp(word, OTD_PLUGIN_TRIAL_VERB) == 0)
		return otd_trial_main(argc - 2, argv + 2);
	if (strcmp(word, OTD_REACTOR_VERB) == 0)
		return otd_reactor_process_main();
	const char *names[N_COMMANDS];
	for (size_t i = 0; i < N_COMMANDS; i++) {
		names[i] = commands[i]->name;
		if (strcmp(word, names[i]) == 0)
			return commands[i]->run(commands[i], argc - 2, argv + 2);
	}
	const char *nearest = otd_nearest(word, names, N_COMMANDS);
	fprintf(stderr, "otedama: unknown command '%s'%s%s%s; 'otedama help' lists them\n", word,
		nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'?" : "");
	return OTD_EXIT_USAGE;
}
