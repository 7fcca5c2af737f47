/* Command lines: a table of flags a command, "--help" made from it, exit status 2 for wrong use. */
#ifndef OTD_APP_ARGS_H
#define OTD_APP_ARGS_H

#include <stdbool.h>
#include <stddef.h>

enum { OTD_EXIT_OK = 0, OTD_EXIT_FAILED = 1, OTD_EXIT_USAGE = 2 };

#define OTD_ARG_LIST_MAX 16

struct otd_arg_list {
	const char *item[OTD_ARG_LIST_MAX];
	size_t n;
};

/* One flag. Exactly one of the three targets is set. */
struct otd_arg {
	const char *name;       /* "--config" */
	char letter;            /* 'c', or 0 */
	const char *value_name; /* "FILE"; NULL for a switch */
	const char *help;
	bool *on;                  /* a switch */
	const char **text;         /* the last one given wins */
	struct otd_arg_list *list; /* may be repeated */
};

struct otd_cmd {
	const char *name;
	const char *usage;   /* what stands behind the name */
	const char *summary; /* one line */
	const char *more;    /* further help, or NULL */
	int (*run)(const struct otd_cmd *cmd, int argc, char **argv);
};

/*
 * Parses argv (without the command's name) and leaves the words that are not flags in words, at
 * least min and at most max of them. Returns -1 to go on, or the exit status: 0 after --help,
 * 2 after a message.
 */
int otd_args_parse(const struct otd_cmd *cmd, const struct otd_arg *args, size_t n_args, int argc,
		   char **argv, const char **words, size_t *n_words, size_t min, size_t max);

/* Runs the verb that argv begins with, of a table of commands named "COMMAND VERB"; usage and --help of cmd
   are made of the table. Returns the exit status. */
int otd_cmd_verbs(const struct otd_cmd *cmd, const struct otd_cmd *const *verbs, size_t n, int argc,
		  char **argv);

/* "otedama: COMMAND: what" on stderr. Returns OTD_EXIT_FAILED. */
int otd_cmd_fail(const struct otd_cmd *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif
