/* Commands that are a table of verbs, each with flags and --help of its own. */
#include "app/cmd/args.h"

#include <string.h>

#include "base/bytes.h"
#include "base/err.h"

/* "plugin list" is called "list". */
static const char *name_of(const struct otd_cmd *verb)
{
	return strrchr(verb->name, ' ') + 1;
}

/* The usage and the help that the table comes to. */
static otd_rc describe(const struct otd_cmd *cmd, const struct otd_cmd *const *verbs, size_t n,
		       struct otd_bytes *usage, struct otd_bytes *more)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < n; i++) {
		rc = otd_bytes_format(usage, "%s%s", i ? " | " : "", name_of(verbs[i]));
		if (rc == OTD_OK)
			rc = otd_bytes_format(more, "  otedama %s %-8s %s\n", cmd->name,
					      name_of(verbs[i]), verbs[i]->summary);
	}
	return rc ? rc
		  : otd_bytes_format(more, "\nEach has flags of its own: otedama %s VERB --help",
				     cmd->name);
}

int otd_cmd_verbs(const struct otd_cmd *cmd, const struct otd_cmd *const *verbs, size_t n, int argc,
		  char **argv)
{
	const char *words[1];
	size_t n_words;
	struct otd_cmd table = *cmd;
	struct otd_bytes usage, more;
	int exit_status = OTD_EXIT_FAILED;
	otd_bytes_init(&usage, 4096);
	otd_bytes_init(&more, 16384);
	otd_rc rc = describe(cmd, verbs, n, &usage, &more);
	if (rc == OTD_OK) {
		table.usage = otd_bytes_cstr(&usage);
		table.more = otd_bytes_cstr(&more);
		/* The verb alone is looked at here; what stands behind it is the verb's own. */
		exit_status = otd_args_parse(&table, NULL, 0, argc > 0 ? 1 : 0, argv, words,
					     &n_words, 1, 1);
	} else {
		otd_cmd_fail(cmd, "%s", otd_rc_name(rc));
	}
	for (size_t i = 0; exit_status < 0 && i < n; i++) {
		if (strcmp(words[0], name_of(verbs[i])) == 0)
			exit_status = verbs[i]->run(verbs[i], argc - 1, argv + 1);
	}
	otd_bytes_finish(&usage);
	otd_bytes_finish(&more);
	return exit_status;
}
