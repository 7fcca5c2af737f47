/* --set PATH=VALUE: a value laid over the file. */
#include "base/text.h"
#include "config/yaml_node.h"

#include <string.h>

enum { PATH_MAX_PARTS = 16 };

struct setting {
	struct otd_yaml_doc *doc;
	const char *label; /* "--set pools.ltc.fee.rate", the file of its nodes */
	struct otd_err *err;
};

static struct otd_yaml *find_in_map(const struct otd_yaml *map, const char *key, size_t n,
				    size_t *at)
{
	for (size_t i = 0; i < map->n; i++) {
		if (strlen(map->key[i]->text) == n && memcmp(map->key[i]->text, key, n) == 0) {
			*at = i;
			return map->item[i];
		}
	}
	*at = map->n;
	return NULL;
}

/* The slot that one part of the path names; made where it is missing. */
static otd_rc slot_of(const struct setting *s, struct otd_yaml ***slot, struct otd_yaml *in,
		      const char *part, size_t n)
{
	size_t at;
	if (in->kind == OTD_YAML_LIST) {
		uint64_t index;
		if (otd_parse_u64(&index, part, n) || index > in->n)
			return otd_fail(s->err, OTD_E_INVALID,
					"%s: '%.*s' is no index of a list with %zu entries",
					s->label, (int)n, part, in->n);
		at = (size_t)index;
		if (at == in->n && otd_yaml_append(s->doc, in, NULL, NULL))
			return otd_fail(s->err, OTD_E_NOMEM, "%s: no memory", s->label);
	} else if (in->kind == OTD_YAML_MAP) {
		if (!find_in_map(in, part, n, &at)) {
			struct otd_yaml *key =
				otd_yaml_node(s->doc, OTD_YAML_SCALAR, s->label, 1, 1);
			if (!key || !(key->text = otd_arena_text(&s->doc->arena, part, n)) ||
			    otd_yaml_append(s->doc, in, key, NULL))
				return otd_fail(s->err, OTD_E_NOMEM, "%s: no memory", s->label);
		}
	} else {
		return otd_fail(s->err, OTD_E_INVALID,
				"%s: nothing can be set below a single value ('%.*s')", s->label,
				(int)n, part);
	}
	*slot = &in->item[at];
	return OTD_OK;
}

/* Before anything is changed. */
static otd_rc check_path(const struct setting *s, const char *path, size_t n)
{
	size_t parts = 1, len = 0;
	for (size_t i = 0; i <= n; i++) {
		bool end = i == n || path[i] == '.';
		if ((end && !len) || parts > PATH_MAX_PARTS + 1)
			return otd_fail(s->err, OTD_E_INVALID,
					"%s: write KEY.KEY=VALUE, as --set pools.main.fee.rate=2%%",
					s->label);
		len = end ? 0 : len + 1;
		parts += end;
	}
	return OTD_OK;
}

static otd_rc put(const struct setting *s, const char *path, size_t n, struct otd_yaml *value)
{
	struct otd_yaml **slot = &s->doc->root;
	const char *end = path + n;
	while (path <= end) {
		const char *dot = memchr(path, '.', (size_t)(end - path));
		size_t len = dot ? (size_t)(dot - path) : (size_t)(end - path);
		if (!*slot || otd_yaml_is_plain_null(*slot)) {
			*slot = otd_yaml_node(s->doc, OTD_YAML_MAP, s->label, 1, 1);
			if (!*slot)
				return otd_fail(s->err, OTD_E_NOMEM, "%s: no memory", s->label);
		}
		otd_rc rc = slot_of(s, &slot, *slot, path, len);
		if (rc)
			return rc;
		path += len + 1;
	}
	*slot = value;
	return OTD_OK;
}

otd_rc otd_yaml_set(struct otd_yaml_doc *d, const char *assignment, struct otd_err *err)
{
	const char *equals = strchr(assignment, '=');
	struct otd_yaml *value = NULL;
	if (!equals || equals == assignment)
		return otd_fail(err, OTD_E_INVALID,
				"--set '%.60s': write KEY.KEY=VALUE, as --set "
				"pools.main.fee.rate=2%%",
				assignment);
	size_t n = (size_t)(equals - assignment);
	struct setting s = {.doc = d, .err = err};
	s.label = otd_arena_format(&d->arena, "--set %.*s", (int)(n < 200 ? n : 200), assignment);
	if (!s.label)
		return otd_fail(err, OTD_E_NOMEM, "--set: no memory");
	otd_rc rc = check_path(&s, assignment, n);
	if (!rc)
		rc = otd_yaml_parse_into(d, &value, equals + 1, strlen(equals + 1), s.label, err);
	return rc ? rc : put(&s, assignment, n, value);
}
