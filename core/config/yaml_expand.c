/* ${NAME} in scalars. */
#include "base/bytes.h"
#include "base/text.h"
#include "config/yaml_node.h"

#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 128 };

static size_t name_length(const char *s)
{
	static const char first[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	size_t n = strspn(s, first);
	return n ? n + strspn(s + n, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
				     "0123456789")
		 : 0;
}

/* s stands on "${". *used: bytes of it that were consumed. */
static otd_rc expand_one(struct otd_bytes *to, size_t *used, const char *s,
			 const struct otd_yaml *y, struct otd_err *err)
{
	char name[NAME_MAX_BYTES];
	size_t n = name_length(s + 2);
	if (!n || s[2 + n] != '}' || n >= sizeof(name))
		return otd_yaml_fail(err, OTD_E_INVALID, y,
				     "'${' begins a variable of the environment: write ${NAME}, or "
				     "$${ for these two characters");
	memcpy(name, s + 2, n);
	name[n] = '\0';
	const char *value = getenv(name);
	if (!value)
		return otd_yaml_fail(err, OTD_E_NOT_FOUND, y,
				     "${%s} is not set in the environment: export %s, or write the "
				     "value",
				     name, name);
	for (size_t i = 0, len = strlen(value); i < len;) {
		size_t step = otd_utf8_sequence(value + i, len - i);
		if (!step)
			return otd_yaml_fail(err, OTD_E_INVALID, y, "${%s} is not UTF-8", name);
		i += step;
	}
	*used = n + 3;
	if (otd_bytes_text(to, value))
		return otd_yaml_fail(err, OTD_E_RANGE, y, "${%s} makes the value too long", name);
	return OTD_OK;
}

otd_rc otd_yaml_expand(struct otd_yaml_doc *d, struct otd_yaml *y, struct otd_err *err)
{
	struct otd_bytes to;
	otd_rc rc = OTD_OK;
	const char *s = y->text;
	if (!strstr(s, "${"))
		return OTD_OK;
	otd_bytes_init(&to, OTD_YAML_MAX_EXPANDED - d->expanded);
	while (*s && rc == OTD_OK) {
		const char *dollar = strstr(s, "${");
		size_t used = dollar ? (size_t)(dollar - s) : strlen(s);
		if (dollar && dollar > s && dollar[-1] == '$') {
			/* $${ is ${ without its first dollar */
			rc = otd_bytes_add(&to, s, used - 1);
			if (!rc)
				rc = otd_bytes_text(&to, "${");
			s = dollar + 2;
			continue;
		}
		rc = otd_bytes_add(&to, s, used);
		s += used;
		if (!rc && dollar) {
			rc = expand_one(&to, &used, s, y, err);
			s += used;
			if (rc)
				goto out;
		}
	}
	if (rc) {
		rc = otd_yaml_fail(err, OTD_E_RANGE, y, "the value is too long");
		goto out;
	}
	d->expanded += to.len;
	y->raw = y->text;
	y->text = otd_arena_text(&d->arena, (const char *)to.ptr, to.len);
	if (!y->text)
		rc = otd_yaml_fail(err, OTD_E_NOMEM, y, "no memory");
out:
	otd_bytes_finish(&to);
	return rc;
}
