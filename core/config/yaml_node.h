/* Inside of the YAML tree. */
#ifndef OTD_CONFIG_YAML_NODE_H
#define OTD_CONFIG_YAML_NODE_H

#include "config/arena.h"
#include "config/yaml.h"

enum {
	OTD_YAML_MAX_BYTES = 256 * 1024,
	OTD_YAML_MAX_DEPTH = 32,
	OTD_YAML_MAX_NODES = 32768,
	OTD_YAML_MAX_EXPANDED = 1024 * 1024 /* bytes that ${NAME} may add up to in a document */
};

struct otd_yaml {
	const char *file;
	int line, column;
	enum otd_yaml_kind kind;
	bool plain;       /* scalar: written without quotes */
	const char *text; /* scalar */
	const char *raw;  /* scalar: as written, where ${NAME} made a difference; else NULL */
	struct otd_yaml **item;
	struct otd_yaml **key; /* of a map: scalars */
	size_t n, cap;
};

struct otd_yaml_doc {
	struct otd_arena arena;
	struct otd_yaml *root;
	size_t nodes, expanded;
	otd_yaml_problem_fn problem; /* while it is read by otd_yaml_load_on() */
	void *arg;
};

struct otd_yaml *otd_yaml_node(struct otd_yaml_doc *d, enum otd_yaml_kind kind, const char *file,
			       int line, int column);
/* key NULL for a list. Does not look for duplicates. */
otd_rc otd_yaml_append(struct otd_yaml_doc *d, struct otd_yaml *to, struct otd_yaml *key,
		       struct otd_yaml *value);
/* Parses into d without making it the root. file must live as long as d. */
otd_rc otd_yaml_parse_into(struct otd_yaml_doc *d, struct otd_yaml **out, const char *text,
			   size_t n, const char *file, struct otd_err *err);
/* A problem behind which reading can go on: OTD_OK where somebody listens to those, else err->rc. */
otd_rc otd_yaml_go_on(const struct otd_yaml_doc *d, const struct otd_err *err,
		      const struct otd_yaml *at);
/* Replaces ${NAME} in y->text. */
otd_rc otd_yaml_expand(struct otd_yaml_doc *d, struct otd_yaml *y, struct otd_err *err);

#endif
