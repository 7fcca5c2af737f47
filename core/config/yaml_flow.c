/* A node as text of one line, for another process to read. */
#include "base/bytes.h"
#include "base/text.h"
#include "config/yaml.h"

#include <string.h>

void otd_yaml_flow(struct otd_bytes *out, const struct otd_yaml *y)
{
	bool map = otd_yaml_kind(y) == OTD_YAML_MAP;
	if (otd_yaml_kind(y) == OTD_YAML_SCALAR) {
		const char *text = otd_yaml_text(y);
		(void)!otd_bytes_json(out, text, strlen(text));
		return;
	}
	(void)!otd_bytes_text(out, map ? "{" : "[");
	for (size_t i = 0; i < otd_yaml_count(y); i++) {
		(void)!otd_bytes_text(out, i ? ", " : "");
		if (map) {
			const char *key = otd_yaml_key(y, i);
			(void)!otd_bytes_json(out, key, strlen(key));
			(void)!otd_bytes_text(out, ": ");
		}
		otd_yaml_flow(out, otd_yaml_at(y, i));
	}
	(void)!otd_bytes_text(out, map ? "}" : "]");
}
