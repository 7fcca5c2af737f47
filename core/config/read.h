/* Reading a mapping by its schema. Inside of config. */
#ifndef OTD_CONFIG_READ_H
#define OTD_CONFIG_READ_H

#include "config/schema.h"
#include "config/yaml_node.h"

enum { OTD_READ_PROBLEMS_MAX = 64 };

/* Where the problems were. */
struct otd_faulty {
	const struct otd_yaml *at[OTD_READ_PROBLEMS_MAX];
	size_t n;
};

struct otd_reading {
	struct otd_yaml_doc *extra; /* memory of all that is made, and nodes of defaults */
	struct otd_env *env;
	struct otd_err *err; /* gets the first problem; may be NULL */
	otd_settings_problem_fn problem;
	void *arg;
	size_t problems;
	struct otd_faulty *faulty;
	char path[256]; /* of the mapping being read: "pools.ltc" */
	size_t path_len;
};

/* A problem at a key of the mapping being read; key NULL: of itself. at may be NULL. Says so to the
   caller of the load, keeps the first, and goes on. */
void otd_read_problem(struct otd_reading *r, otd_rc rc, const struct otd_yaml *at, const char *key,
		      const char *fmt, ...) OTD_PRINTF(5, 6);
/* A problem whose words are whole already, with their place in them. */
void otd_read_problem_whole(struct otd_reading *r, const struct otd_err *err,
			    const struct otd_yaml *at);
/* Whether there was a problem at y or in it: what follows from such a value is not judged. */
bool otd_read_faulty(const struct otd_faulty *f, const struct otd_yaml *y);
/* The code of the first problem: OTD_OK where there is none. */
otd_rc otd_read_rc(const struct otd_reading *r);
void otd_read_no_memory(struct otd_reading *r);
/* Puts ".name" behind the path; the result goes to otd_read_leave(). */
size_t otd_read_enter(struct otd_reading *r, const char *name);
void otd_read_leave(struct otd_reading *r, size_t before);

/* Reads map (NULL: all defaults) into the struct at to. near: where to point for what is missing. */
void otd_read_table(struct otd_reading *r, const struct otd_key_table *t,
		    const struct otd_yaml *map, const struct otd_yaml *near, void *to);
/* One value that is no mapping, into the member at to. */
void otd_read_value(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		    void *to);
/* read_policies.c */
void otd_read_policies(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		       struct otd_settings_policies *to);
/* read_tls.c */
void otd_read_tls(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		  struct otd_settings_tls *to);
/* "is a time with its unit (500ms, 10s, 2h, 7d)", for messages and the schema. */
const char *otd_key_form(enum otd_key_type type);
/* Whether s is a name of a pool, node or coin: letters, digits, '-' and '_', 1 to 64. */
bool otd_is_name(const char *s);

#endif
