/*
 * A YAML file as a tree whose nodes know their line and column. Strict: no aliases, no duplicate
 * keys, at most 256 KiB and 32 levels (counted before a tree is built), UTF-8. [any-thread, one at
 * a time]
 */
#ifndef OTD_CONFIG_YAML_H
#define OTD_CONFIG_YAML_H

#include "base/env.h"

struct otd_yaml; /* a node; lives as long as its document */
struct otd_yaml_doc;

enum otd_yaml_kind { OTD_YAML_SCALAR = 1, OTD_YAML_LIST = 2, OTD_YAML_MAP = 3 };

/*
 * file names the source in messages. Replaces ${NAME} in scalars by the environment's value, but not
 * between single quotes; $${ stands for ${. Refused, with FILE:LINE:COLUMN and what to do: NAME that
 * is not set, aliases, anchors, tags, directives, a second document, keys that are not scalars.
 * An empty text is a plain null.
 */
otd_rc otd_yaml_parse(struct otd_yaml_doc **out, const char *text, size_t n, const char *file,
		      struct otd_err *err);
otd_rc otd_yaml_load(struct otd_yaml_doc **out, struct otd_env *e, const char *file,
		     struct otd_err *err);
/*
 * As otd_yaml_load(), but goes on behind a key that is there twice and a ${NAME} that has no value:
 * problem() gets each, and the document comes all the same. What cannot be read at all is an error.
 */
typedef void (*otd_yaml_problem_fn)(void *arg, const struct otd_err *err,
				    const struct otd_yaml *at);
otd_rc otd_yaml_load_on(struct otd_yaml_doc **out, struct otd_env *e, const char *file,
			otd_yaml_problem_fn problem, void *arg, struct otd_err *err);
void otd_yaml_destroy(struct otd_yaml_doc *d);
const struct otd_yaml *otd_yaml_root(const struct otd_yaml_doc *d);
/* "pools.ltc.fee.rate=2%": sets or adds a scalar, or a flow value; for --set. Mappings on the way
   are made, a part that stands in a list is an index. */
otd_rc otd_yaml_set(struct otd_yaml_doc *d, const char *assignment, struct otd_err *err);

enum otd_yaml_kind otd_yaml_kind(const struct otd_yaml *y);
const char *otd_yaml_text(const struct otd_yaml *y);   /* scalar; "" otherwise */
bool otd_yaml_is_plain_null(const struct otd_yaml *y); /* empty, ~ or null, unquoted */
size_t otd_yaml_count(const struct otd_yaml *y);       /* of a list or map */
const struct otd_yaml *otd_yaml_at(const struct otd_yaml *y, size_t i);         /* value i */
const char *otd_yaml_key(const struct otd_yaml *y, size_t i);                   /* of a map */
const struct otd_yaml *otd_yaml_get(const struct otd_yaml *y, const char *key); /* NULL */
/* The scalar that is key i of a map, for its place; NULL. */
const struct otd_yaml *otd_yaml_key_at(const struct otd_yaml *y, size_t i);
/* The scalar as it was written, before ${NAME} was replaced: the form to show to people. */
const char *otd_yaml_written(const struct otd_yaml *y);
/* Whether ${NAME} was replaced in it. */
bool otd_yaml_is_expanded(const struct otd_yaml *y);
int otd_yaml_line(const struct otd_yaml *y);
int otd_yaml_column(const struct otd_yaml *y);
const char *otd_yaml_file(const struct otd_yaml *y);
/* otd_fail with "FILE:LINE:COLUMN: " before the text. y may be NULL. */
otd_rc otd_yaml_fail(struct otd_err *err, otd_rc rc, const struct otd_yaml *y, const char *fmt, ...)
	OTD_PRINTF(4, 5);

/*
 * A new mapping in d: the keys of base (may be NULL), each replaced by that of over (may be NULL)
 * where both have it, then those only over has. Nodes are shared, not copied: all documents live
 * equally long. It stands where over does, or base. NULL where memory ran out.
 */
struct otd_yaml *otd_yaml_overlay(struct otd_yaml_doc *d, const struct otd_yaml *base,
				  const struct otd_yaml *over);
/* Adds a scalar to a mapping made by otd_yaml_overlay, at the place of at; nothing where the key is
   there. */
otd_rc otd_yaml_add_text(struct otd_yaml_doc *d, struct otd_yaml *map, const char *key,
			 const char *text, const struct otd_yaml *at);

struct otd_bytes;
/* The node as YAML of one line, values as they are read (${NAME} replaced): with the secrets in it, for
   a process of our own and nobody else. Where there is no room out->failed says so. */
void otd_yaml_flow(struct otd_bytes *out, const struct otd_yaml *y);

#endif
