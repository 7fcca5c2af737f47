/* A project for a plugin, written from a template: what cmd_plugin_new.c, plugin_from.c and c_function.c
 * share. */
#ifndef OTD_APP_CMD_PLUGIN_NEW_H
#define OTD_APP_CMD_PLUGIN_NEW_H

#include "app/cmd/args.h"
#include "base/bytes.h"
#include "base/err.h"

#define OTD_PROJECT_FILE_MAX (1u << 20)
#define OTD_PROJECT_SWAPS    16
#define OTD_PROJECT_FILES    24

/* While a template is copied, from becomes to wherever it stands. */
struct otd_project_swap {
	const char *from, *to;
};

/* A whole file instead of the template's, or besides. */
struct otd_project_file {
	char name[64];
	struct otd_bytes text;
};

struct otd_project {
	const char *kind, *id, *dir;
	struct otd_project_swap swap[OTD_PROJECT_SWAPS];
	size_t n_swap;
	struct otd_project_file file[OTD_PROJECT_FILES];
	size_t n_file;
	char more[72], header_len[32], nonce_offset[32]; /* what swaps point to */
};

/* How an algorithm begins from a function that is there already. */
struct otd_project_from {
	const char *path;            /* x.c */
	const char *function;        /* its name; NULL: the only one that fits */
	struct otd_arg_list vectors; /* HEADER=HASH */
	const char *source;          /* where they come from */
};

/* text with every swap of p made; the first that fits at a place is taken. */
otd_rc otd_project_swap(struct otd_bytes *out, const struct otd_project *p, const char *text);

/* A whole file of at most OTD_PROJECT_FILE_MAX bytes. */
otd_rc otd_project_read(struct otd_bytes *out, const char *path, struct otd_err *err);

/*
 * Reads x.c and the known answers: adds x.c, the headers beside it that it includes, hash.c and vectors.h to
 * the project's files, and what differs in the others to its swaps. Its words say what to mend.
 */
otd_rc otd_project_from(struct otd_project *p, const struct otd_project_from *from,
			struct otd_err *err);

/* A function as a C source declares it: void NAME(const T *in, size_t len, U *out), in any order. */
struct otd_c_function {
	char name[64];
	char prototype[320]; /* without the semicolon */
	char order[4];       /* "ilo": in, length, out as they stand; "io": no length */
};

/*
 * The function of that name (NULL: the only one) that a hash could be: returns nothing, takes one pointer
 * to const, one to what is not, and at most one integer. OTD_E_NOT_FOUND, OTD_E_EXISTS (several) with words.
 */
otd_rc otd_c_function_find(struct otd_c_function *out, const char *text, size_t n, const char *name,
			   struct otd_err *err);

#endif
