/* Two trees: whether they say the same, and one made out of the other. [any-thread, one at a time] */
#ifndef OTD_CONFIG_YAML_CHANGE_H
#define OTD_CONFIG_YAML_CHANGE_H

#include "config/yaml.h"

/* Whether both say the same: order and quotes do not count. Takes NULL, which is like nothing else. */
bool otd_yaml_same(const struct otd_yaml *a, const struct otd_yaml *b);
/* A deep copy, each node with its place; it lives as long as to. NULL where memory ran out. */
struct otd_yaml *otd_yaml_copy(struct otd_yaml_doc *to, const struct otd_yaml *y);
/* A document of its own. */
otd_rc otd_yaml_copy_doc(struct otd_yaml_doc **out, const struct otd_yaml *root);
/* Sets what these keys, each in the mapping of the one before, lead to: a copy of value, or nothing
   any more where value is NULL. Mappings on the way are made. OTD_E_NOMEM. */
otd_rc otd_yaml_put(struct otd_yaml_doc *d, const char *const *part, size_t n,
		    const struct otd_yaml *value);
otd_rc otd_yaml_put_text(struct otd_yaml_doc *d, const char *const *part, size_t n,
			 const char *text);

#endif
