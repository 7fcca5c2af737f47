/* From a YAML mapping and a plugin's table to the plugin's own struct. */
#include "base/log.h"
#include "base/text.h"
#include "config/secret.h"
#include "config/yaml.h"
#include "plugin/internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct filling {
	uint8_t *to;
	struct otd_plugin_arena **arena;
	const struct otd_plugin *plugin;
	const char *path; /* of the mapping */
	struct otd_err *err;
};

void *otd_plugin_arena_alloc(struct otd_plugin_arena **a, size_t n)
{
	struct otd_plugin_arena *block = calloc(1, sizeof(*block) + (n ? n : 1));
	if (!block)
		return NULL;
	block->next = *a;
	*a = block;
	return block->data;
}

void otd_plugin_arena_free(struct otd_plugin_arena *a)
{
	while (a) {
		struct otd_plugin_arena *next = a->next;
		free(a);
		a = next;
	}
}

const char *otd_plugin_option_type_name(uint32_t type)
{
	static const char *const name[] = {"",       "true or false", "whole number", "text",
					   "choice", "duration",      "size",         "rate",
					   "hex",    "list",          "window"};
	return type < sizeof(name) / sizeof(name[0]) ? name[type] : "";
}

/* What a value of this type looks like, for an error. */
static const char *form_of(uint32_t type)
{
	switch (type) {
	case OTD_OPT_BOOL: return "true or false";
	case OTD_OPT_INT: return "a whole number";
	case OTD_OPT_DURATION: return "a time with its unit (500ms, 10s, 2h, 7d)";
	case OTD_OPT_SIZE: return "a size in bytes (4096, 64KiB, 2MiB, 1GiB)";
	case OTD_OPT_RATE: return "a rate in percent (1%, 0.25%)";
	case OTD_OPT_HEX: return "an even number of hex digits";
	case OTD_OPT_LIST: return "a list";
	case OTD_OPT_WINDOW: return "'2x difficulty' or a time with its unit (2h)";
	default: return "a text";
	}
}

/* Fails at y; the value stands in the message unless it is a secret. */
static otd_rc bad_value(const struct filling *f, const struct otd_option *o,
			const struct otd_yaml *y, const char *what)
{
	if ((o->flags & OTD_OPT_SECRET) || otd_yaml_kind(y) != OTD_YAML_SCALAR)
		return otd_yaml_fail(f->err, OTD_E_INVALID, y, "%s.%s: %s", f->path, o->name, what);
	return otd_yaml_fail(f->err, OTD_E_INVALID, y, "%s.%s: '%.60s' %s", f->path, o->name,
			     otd_yaml_text(y), what);
}

static otd_rc check_bounds(const struct filling *f, const struct otd_option *o,
			   const struct otd_yaml *y, int64_t v, const char *unit)
{
	char what[120];
	if ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max))
		return OTD_OK;
	(void)snprintf(what, sizeof(what), "is out of range: %" PRId64 " to %" PRId64 "%s%s",
		       o->min, o->max, unit[0] ? " " : "", unit);
	(void)bad_value(f, o, y, what);
	if (f->err)
		f->err->rc = OTD_E_RANGE;
	return OTD_E_RANGE;
}

static otd_rc parse_bool(bool *out, const char *s)
{
	static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no",
									       "off"};
	for (size_t i = 0; i < 3; i++) {
		if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
			*out = strcmp(s, yes[i]) == 0;
			return OTD_OK;
		}
	}
	return OTD_E_INVALID;
}

static otd_rc parse_int(int64_t *out, const char *s)
{
	otd_i128 v;
	otd_rc rc = otd_parse_i128(&v, s, strlen(s));
	if (rc)
		return rc;
	if (v > INT64_MAX || v < INT64_MIN)
		return OTD_E_RANGE;
	*out = (int64_t)v;
	return OTD_OK;
}

/* "2x difficulty", "0.5 x difficulty" or a duration. */
static otd_rc parse_window(struct otd_option_window *out, const char *s)
{
	size_t n = strlen(s), digits = strspn(s, "0123456789.");
	const char *rest = s + digits;
	*out = (struct otd_option_window){0};
	rest += strspn(rest, " ");
	if (digits && *rest == 'x') {
		otd_i128 milli;
		rest++;
		rest += strspn(rest, " ");
		if (strcmp(rest, "difficulty") != 0 || otd_parse_amount(&milli, s, digits, 3))
			return OTD_E_INVALID;
		if (milli <= 0 || milli > INT64_MAX)
			return OTD_E_RANGE;
		out->milli_difficulty = (int64_t)milli;
		return OTD_OK;
	}
	otd_rc rc = otd_parse_duration(&out->ms, s, n);
	if (!rc && out->ms <= 0)
		rc = OTD_E_RANGE;
	return rc;
}

static otd_rc fill_choice(const struct filling *f, const struct otd_option *o,
			  const struct otd_yaml *y, int64_t *to)
{
	const char *text = otd_yaml_text(y), *near;
	char what[240];
	size_t n = 0, at;
	for (; o->choices[n]; n++) {
		if (strcmp(o->choices[n], text) == 0) {
			*to = (int64_t)n;
			return OTD_OK;
		}
	}
	near = otd_nearest(text, o->choices, n);
	at = (size_t)snprintf(what, sizeof(what), "is none of:");
	for (size_t i = 0; i < n && at < sizeof(what) - 80; i++)
		at += (size_t)snprintf(what + at, sizeof(what) - at, "%s %.31s", i ? "," : "",
				       o->choices[i]);
	if (near)
		(void)snprintf(what + at, sizeof(what) - at, " (did you mean %.31s?)", near);
	return bad_value(f, o, y, what);
}

/* Of "file:PATH" the first line of that file; else the text as it is. In memory of the instance. */
static otd_rc text_of(const struct filling *f, const struct otd_option *o, const struct otd_yaml *y,
		      const char **out)
{
	const char *path = otd_secret_path(otd_yaml_text(y));
	struct otd_err why = {0};
	char *line;
	*out = otd_yaml_text(y);
	if (!(o->flags & OTD_OPT_SECRET) || !path)
		return OTD_OK;
	line = otd_plugin_arena_alloc(f->arena, OTD_SECRET_MAX + 1);
	if (!line)
		return otd_fail(f->err, OTD_E_NOMEM, "%s.%s: no memory", f->path, o->name);
	*out = line;
	otd_rc rc = otd_secret_read(line, f->plugin->set->env, path, o->name, &why);
	return rc ? otd_yaml_fail(f->err, rc, y, "%s.%s: %s", f->path, o->name, why.text) : OTD_OK;
}

static otd_rc fill_hex(const struct filling *f, const struct otd_option *o,
		       const struct otd_yaml *y, struct otd_span *to)
{
	const char *text;
	otd_rc rc = text_of(f, o, y, &text);
	if (rc)
		return rc;
	size_t n = strlen(text);
	uint8_t *p = otd_plugin_arena_alloc(f->arena, n / 2);
	if (!p)
		return otd_fail(f->err, OTD_E_NOMEM, "%s.%s: no memory", f->path, o->name);
	if (otd_hex_decode(p, n / 2, &to->len, text, n))
		return bad_value(f, o, y, "is not an even number of hex digits");
	to->ptr = p;
	return check_bounds(f, o, y, (int64_t)to->len, "bytes");
}

static otd_rc fill_text(const struct filling *f, const struct otd_option *o,
			const struct otd_yaml *y, const char **to)
{
	const char *text = "";
	otd_rc rc = otd_yaml_is_plain_null(y) ? OTD_OK : text_of(f, o, y, &text);
	if (rc)
		return rc;
	size_t n = strlen(text);
	char *p = otd_plugin_arena_alloc(f->arena, n + 1);
	if (!p)
		return otd_fail(f->err, OTD_E_NOMEM, "%s.%s: no memory", f->path, o->name);
	memcpy(p, text, n);
	*to = p;
	return check_bounds(f, o, y, (int64_t)n, "bytes long");
}

static otd_rc fill_list(const struct filling *f, const struct otd_option *o,
			const struct otd_yaml *y, struct otd_option_list *to)
{
	size_t n = otd_yaml_count(y);
	const char **item;
	if (otd_yaml_kind(y) == OTD_YAML_SCALAR && otd_yaml_is_plain_null(y))
		return OTD_OK;
	if (otd_yaml_kind(y) != OTD_YAML_LIST)
		return bad_value(f, o, y, "is not a list: write [a, b]");
	item = otd_plugin_arena_alloc(f->arena, n * sizeof(*item));
	if (!item)
		return otd_fail(f->err, OTD_E_NOMEM, "%s.%s: no memory", f->path, o->name);
	for (size_t i = 0; i < n; i++) {
		const struct otd_yaml *v = otd_yaml_at(y, i);
		size_t len = strlen(otd_yaml_text(v));
		char *p = otd_plugin_arena_alloc(f->arena, len + 1);
		if (!p)
			return otd_fail(f->err, OTD_E_NOMEM, "%s.%s: no memory", f->path, o->name);
		if (otd_yaml_kind(v) != OTD_YAML_SCALAR)
			return bad_value(f, o, v, "holds something else than texts");
		memcpy(p, otd_yaml_text(v), len);
		item[i] = p;
	}
	to->item = item;
	to->n = n;
	return check_bounds(f, o, y, (int64_t)n, "items");
}

/* Types whose value is one int64_t. */
static otd_rc fill_number(const struct filling *f, const struct otd_option *o,
			  const struct otd_yaml *y, int64_t *to)
{
	const char *text = otd_yaml_text(y), *unit = "";
	size_t n = strlen(text);
	char what[120];
	otd_rc rc;
	if (o->type == OTD_OPT_DURATION) {
		rc = otd_parse_duration(to, text, n);
		unit = "ms";
	} else if (o->type == OTD_OPT_SIZE) {
		rc = otd_parse_size(to, text, n);
		unit = "bytes";
	} else if (o->type == OTD_OPT_RATE) {
		rc = otd_parse_rate(to, text, n);
		unit = "parts per million";
	} else {
		rc = parse_int(to, text);
	}
	if (rc) {
		(void)snprintf(what, sizeof(what), "%s %s",
			       rc == OTD_E_RANGE ? "is too large for" : "is not", form_of(o->type));
		return bad_value(f, o, y, what);
	}
	return check_bounds(f, o, y, *to, unit);
}

static otd_rc fill_one(const struct filling *f, const struct otd_option *o,
		       const struct otd_yaml *y)
{
	void *to = f->to + o->offset;
	union {
		bool flag;
		int64_t number;
		const char *text;
		struct otd_span bytes;
		struct otd_option_list list;
		struct otd_option_window window;
	} v = {.window = {0}};
	size_t n = sizeof(v.number);
	char what[120];
	otd_rc rc = OTD_OK;
	if (o->type != OTD_OPT_LIST && otd_yaml_kind(y) != OTD_YAML_SCALAR) {
		(void)snprintf(what, sizeof(what), "is not %s", form_of(o->type));
		return bad_value(f, o, y, what);
	}
	switch (o->type) {
	case OTD_OPT_BOOL:
		n = sizeof(v.flag);
		if (parse_bool(&v.flag, otd_yaml_text(y)))
			rc = bad_value(f, o, y, "is not true or false");
		break;
	case OTD_OPT_TEXT:
		n = sizeof(v.text);
		rc = fill_text(f, o, y, &v.text);
		break;
	case OTD_OPT_CHOICE: rc = fill_choice(f, o, y, &v.number); break;
	case OTD_OPT_HEX:
		n = sizeof(v.bytes);
		rc = fill_hex(f, o, y, &v.bytes);
		break;
	case OTD_OPT_LIST:
		n = sizeof(v.list);
		rc = fill_list(f, o, y, &v.list);
		break;
	case OTD_OPT_WINDOW:
		n = sizeof(v.window);
		if (parse_window(&v.window, otd_yaml_text(y)))
			rc = bad_value(f, o, y,
				       "is not '2x difficulty' or a time with its unit (2h)");
		break;
	default: rc = fill_number(f, o, y, &v.number); break;
	}
	if (!rc)
		memcpy(to, &v, n);
	return rc;
}

static otd_rc fill_default(const struct filling *f, const struct otd_option *o)
{
	struct otd_yaml_doc *doc = NULL;
	char source[96];
	otd_rc rc;
	(void)snprintf(source, sizeof(source), "default of %.60s", o->name);
	rc = otd_yaml_parse(&doc, o->def, strlen(o->def), source, f->err);
	if (!rc)
		rc = fill_one(f, o, otd_yaml_root(doc));
	otd_yaml_destroy(doc);
	if (rc)
		otd_fail_prefix(f->err, "%s", f->plugin->file);
	return rc;
}

static const struct otd_option *find(const struct otd_plugin *pl, const char *name, size_t n)
{
	for (uint32_t i = 0; i < pl->desc.n_options; i++) {
		if (strlen(pl->options[i].name) == n && memcmp(pl->options[i].name, name, n) == 0)
			return &pl->options[i];
	}
	return NULL;
}

const struct otd_option *otd_plugin_option_said(const struct otd_plugin *pl, const char *text)
{
	const char *colon = strstr(text, ": ");
	return colon ? find(pl, text, (size_t)(colon - text)) : NULL;
}

/* Every key of the mapping is an option, or says which plugin. */
static otd_rc check_keys(const struct filling *f, const struct otd_yaml *map)
{
	const struct otd_plugin *pl = f->plugin;
	const char *names[OTD_PLUGIN_OPTIONS_MAX];
	for (uint32_t i = 0; i < pl->desc.n_options; i++)
		names[i] = pl->options[i].name;
	for (size_t i = 0; i < otd_yaml_count(map); i++) {
		const char *key = otd_yaml_key(map, i), *near;
		if (find(pl, key, strlen(key)) || strcmp(key, "use") == 0 ||
		    strcmp(key, "scheme") == 0)
			continue;
		near = otd_nearest(key, names, pl->desc.n_options);
		return otd_yaml_fail(f->err, OTD_E_INVALID, otd_yaml_at(map, i),
				     "%s.%s: is no option of %s/%s%s%s%s", f->path, key,
				     pl->kind->name, pl->desc.id, near ? "; did you mean '" : "",
				     near ? near : "", near ? "'?" : "");
	}
	return OTD_OK;
}

otd_rc otd_plugin_options_fill(void *to, struct otd_plugin_arena **arena,
			       const struct otd_plugin *pl, const struct otd_yaml *map,
			       const char *path, struct otd_err *err)
{
	struct filling f = {to, arena, pl, path, err};
	otd_rc rc = OTD_OK;
	if (map && otd_yaml_is_plain_null(map))
		map = NULL;
	if (map && otd_yaml_kind(map) != OTD_YAML_MAP)
		return otd_yaml_fail(err, OTD_E_INVALID, map,
				     "%s: is not a mapping of options ({name: value})", path);
	if (map)
		rc = check_keys(&f, map);
	for (uint32_t i = 0; !rc && i < pl->desc.n_options; i++) {
		const struct otd_option *o = &pl->options[i];
		const struct otd_yaml *y = map ? otd_yaml_get(map, o->name) : NULL;
		if (y && (o->flags & OTD_OPT_DEPRECATED))
			otd_log(OTD_LOG_WARN, "plugin", "option.deprecated",
				"plugin=%s/%s option=%s line=%d", pl->kind->name, pl->desc.id,
				o->name, otd_yaml_line(y));
		if (y)
			rc = fill_one(&f, o, y);
		else if (o->flags & OTD_OPT_REQUIRED)
			rc = otd_yaml_fail(err, OTD_E_INVALID, map, "%s.%s: is missing (%s)", path,
					   o->name, o->help ? o->help : "it has no default");
		else if (o->def)
			rc = fill_default(&f, o);
		else if (o->type == OTD_OPT_TEXT)
			memcpy((uint8_t *)to + o->offset, &(const char *){""}, sizeof(char *));
	}
	return rc;
}

otd_rc otd_plugin_options_check(const struct otd_plugin *pl, struct otd_err *err)
{
	struct otd_plugin_arena *arena = NULL;
	void *to = calloc(1, pl->desc.options_size ? pl->desc.options_size : 1);
	struct filling f = {to, &arena, pl, pl->desc.id, err};
	otd_rc rc = to ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "%s: no memory", pl->file);
	for (uint32_t i = 0; !rc && i < pl->desc.n_options; i++) {
		if (pl->options[i].def)
			rc = fill_default(&f, &pl->options[i]);
	}
	otd_plugin_arena_free(arena);
	free(to);
	return rc;
}
