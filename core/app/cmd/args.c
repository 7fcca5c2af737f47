#include "app/cmd/args.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"

static void help(const struct otd_cmd *cmd, const struct otd_arg *args, size_t n_args)
{
	printf("usage: otedama %s %s\n%s\n", cmd->name, cmd->usage, cmd->summary);
	if (cmd->more)
		printf("\n%s\n", cmd->more);
	printf("\n");
	for (size_t i = 0; i < n_args; i++) {
		char left[64], letter[5] = "    ";
		if (args[i].letter)
			snprintf(letter, sizeof(letter), "-%c, ", args[i].letter);
		snprintf(left, sizeof(left), "%s%s %s", letter, args[i].name,
			 args[i].value_name ? args[i].value_name : "");
		printf("  %-28s %s\n", left, args[i].help);
	}
	printf("  %-28s %s\n", "-h, --help", "this text");
}

static int wrong(const struct otd_cmd *cmd, const char *what, const char *word, const char *nearest)
{
	fprintf(stderr, "%sotedama: %s: %s '%s'%s%s%s; try 'otedama %s --help'\n",
		otd_log_error_mark(), cmd->name, what, word, nearest ? ", did you mean '" : "",
		nearest ? nearest : "", nearest ? "'?" : "", cmd->name);
	return OTD_EXIT_USAGE;
}

static const struct otd_arg *match(const struct otd_arg *args, size_t n_args, const char *word,
				   const char **value)
{
	*value = NULL;
	for (size_t i = 0; i < n_args; i++) {
		size_t n = strlen(args[i].name);
		if (strncmp(word, args[i].name, n) == 0 && (word[n] == '\0' || word[n] == '=')) {
			if (word[n] == '=')
				*value = word + n + 1;
			return &args[i];
		}
		if (word[0] == '-' && word[1] != '-' && args[i].letter &&
		    word[1] == args[i].letter) {
			if (word[2] != '\0')
				*value = word + 2;
			return &args[i];
		}
	}
	return NULL;
}

static const char *nearest_flag(const struct otd_arg *args, size_t n_args, const char *word)
{
	const char *names[32];
	size_t n = 0;
	for (; n < n_args && n < 32; n++)
		names[n] = args[n].name;
	return otd_nearest(word, names, n);
}

static int take(const struct otd_cmd *cmd, const struct otd_arg *arg, const char *value)
{
	if (arg->on) {
		*arg->on = true;
	} else if (arg->text) {
		*arg->text = value;
	} else if (arg->list->n < OTD_ARG_LIST_MAX) {
		arg->list->item[arg->list->n++] = value;
	} else {
		return wrong(cmd, "given too often:", arg->name, NULL);
	}
	return -1;
}

#define VERBS_MAX 16

/* Where the next alternative of a usage begins, those in brackets apart; NULL: there is none. */
static const char *next_form(const char *s)
{
	int depth = 0;
	for (; *s; s++) {
		depth += (*s == '[') - (*s == ']');
		if (depth == 0 && strncmp(s, " | ", 3) == 0)
			return s + 3;
	}
	return NULL;
}

/* The verbs of a usage like "list | add WHAT | undo ID": 0 where it has none. */
static size_t verbs_of(char verb[VERBS_MAX][16], const char *usage)
{
	size_t n = 0;
	for (const char *s = usage; s && n < VERBS_MAX; s = next_form(s)) {
		size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyz");
		if (len == 0 || len > 15 || (s[len] != ' ' && s[len] != '\0'))
			return 0;
		memcpy(verb[n], s, len);
		verb[n++][len] = '\0';
	}
	return n;
}

/* -1: the word is a verb of the command, or it has none. */
static int check_verb(const struct otd_cmd *cmd, const char *word)
{
	char verb[VERBS_MAX][16];
	const char *names[VERBS_MAX];
	size_t n = verbs_of(verb, cmd->usage);
	for (size_t i = 0; i < n; i++) {
		names[i] = verb[i];
		if (strcmp(verb[i], word) == 0)
			return -1;
	}
	return n ? wrong(cmd, "unknown word", word, otd_nearest(word, names, n)) : -1;
}

int otd_args_parse(const struct otd_cmd *cmd, const struct otd_arg *args, size_t n_args, int argc,
		   char **argv, const char **words, size_t *n_words, size_t min, size_t max)
{
	bool only_words = false;
	size_t n = 0;
	for (int i = 0; i < argc; i++) {
		const char *w = argv[i], *value;
		if (!only_words && (strcmp(w, "--help") == 0 || strcmp(w, "-h") == 0)) {
			help(cmd, args, n_args);
			return OTD_EXIT_OK;
		}
		if (!only_words && strcmp(w, "--") == 0) {
			only_words = true;
			continue;
		}
		if (only_words || w[0] != '-' || w[1] == '\0') {
			if (n >= max)
				return wrong(cmd, "unexpected word", w, NULL);
			words[n++] = w;
			continue;
		}
		const struct otd_arg *arg = match(args, n_args, w, &value);
		if (!arg)
			return wrong(cmd, "unknown option", w, nearest_flag(args, n_args, w));
		if (arg->value_name && !value) {
			if (i + 1 >= argc)
				return wrong(cmd, "a value is missing after", w, NULL);
			value = argv[++i];
		} else if (!arg->value_name && value) {
			return wrong(cmd, "takes no value:", w, NULL);
		}
		int rc = take(cmd, arg, value);
		if (rc >= 0)
			return rc;
	}
	*n_words = n;
	if (n < min) {
		fprintf(stderr, "otedama: %s: usage: otedama %s %s\n", cmd->name, cmd->name,
			cmd->usage);
		return OTD_EXIT_USAGE;
	}
	return n ? check_verb(cmd, words[0]) : -1;
}

int otd_cmd_fail(const struct otd_cmd *cmd, const char *fmt, ...)
{
	va_list ap;
	fprintf(stderr, "%sotedama: %s: ", otd_log_error_mark(), cmd->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
	return OTD_EXIT_FAILED;
}
