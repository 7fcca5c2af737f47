/* A certificate with its key: FILE for both, or {certificate: FILE, key: FILE}. */
#include "config/read.h"

#include <string.h>

static const char *read_file(struct otd_reading *r, const struct otd_yaml *map, const char *name)
{
	const struct otd_yaml *y = otd_yaml_get(map, name);
	if (!y)
		otd_read_problem(r, OTD_E_NOT_FOUND, map, name, "is missing: a PEM file");
	else if (otd_yaml_kind(y) != OTD_YAML_SCALAR || !*otd_yaml_text(y))
		otd_read_problem(r, OTD_E_INVALID, y, name, "is not the path of a PEM file");
	else
		return otd_yaml_text(y);
	return NULL;
}

void otd_read_tls(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		  struct otd_settings_tls *to)
{
	size_t problems = r->problems;
	struct otd_settings_tls tls = {.at = y};
	if (otd_yaml_kind(y) == OTD_YAML_SCALAR && *otd_yaml_text(y) &&
	    !otd_yaml_is_plain_null(y)) {
		tls.certificate = tls.key = otd_yaml_text(y);
	} else if (otd_yaml_kind(y) == OTD_YAML_MAP) {
		size_t before = otd_read_enter(r, k->name);
		for (size_t i = 0; i < otd_yaml_count(y); i++) {
			const char *key = otd_yaml_key(y, i);
			if (strcmp(key, "certificate") != 0 && strcmp(key, "key") != 0)
				otd_read_problem(
					r, OTD_E_INVALID, otd_yaml_key_at(y, i), NULL,
					"'%.60s' is no key of tls: certificate and key are", key);
		}
		tls.certificate = read_file(r, y, "certificate");
		tls.key = read_file(r, y, "key");
		otd_read_leave(r, before);
	} else {
		otd_read_problem(r, OTD_E_INVALID, y, k->name, "is not %s", otd_key_form(k->type));
	}
	if (r->problems == problems)
		*to = tls;
}
