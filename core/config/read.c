/* Reading a mapping by its schema: known keys, required keys, defaults, sections and entries. */
#include "config/read.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { KEYS_MAX = 48 };

void otd_read_problem_whole(struct otd_reading *r, const struct otd_err *err,
			    const struct otd_yaml *at)
{
	if (r->problems++ >= OTD_READ_PROBLEMS_MAX)
		return;
	if (at && r->faulty && r->faulty->n < OTD_READ_PROBLEMS_MAX)
		r->faulty->at[r->faulty->n++] = at;
	if (r->problems == 1 && r->err)
		*r->err = *err;
	if (r->problem)
		r->problem(r->arg, err);
}

void otd_read_problem(struct otd_reading *r, otd_rc rc, const struct otd_yaml *at, const char *key,
		      const char *fmt, ...)
{
	struct otd_err e = {0};
	char what[384];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	(void)otd_yaml_fail(&e, rc, at, "%s%s%s%s%s", r->path, key && r->path_len ? "." : "",
			    key ? key : "", key || r->path_len ? ": " : "", what);
	otd_read_problem_whole(r, &e, at);
}

static bool holds(const struct otd_yaml *y, const struct otd_yaml *what)
{
	if (y == what)
		return true;
	for (size_t i = 0; y && i < otd_yaml_count(y); i++) {
		if (otd_yaml_key_at(y, i) == what || holds(otd_yaml_at(y, i), what))
			return true;
	}
	return false;
}

bool otd_read_faulty(const struct otd_faulty *f, const struct otd_yaml *y)
{
	for (size_t i = 0; f && y && i < f->n; i++) {
		if (holds(y, f->at[i]))
			return true;
	}
	return false;
}

otd_rc otd_read_rc(const struct otd_reading *r)
{
	if (!r->problems)
		return OTD_OK;
	return r->err && r->err->rc ? r->err->rc : OTD_E_INVALID;
}

void otd_read_no_memory(struct otd_reading *r)
{
	otd_read_problem(r, OTD_E_NOMEM, NULL, NULL, "no memory");
}

size_t otd_read_enter(struct otd_reading *r, const char *name)
{
	size_t before = r->path_len;
	int n = snprintf(r->path + before, sizeof(r->path) - before, "%s%.70s", before ? "." : "",
			 name);
	if (n > 0 && (size_t)n < sizeof(r->path) - before)
		r->path_len += (size_t)n;
	r->path[r->path_len] = '\0';
	return before;
}

void otd_read_leave(struct otd_reading *r, size_t before)
{
	r->path_len = before;
	r->path[before] = '\0';
}

bool otd_is_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
	return n > 0 && n <= 64 && !s[n] && s[0] != '-';
}

/*
 * How much of an unknown key is shown. A line without its colon has the value in it ("password
 * hunter2"), and so may a word that begins as the name of a secret does.
 */
static int shown_of(const struct otd_key_table *t, const char *key)
{
	size_t n = strcspn(key, " \t=:\"'");
	for (size_t i = 0; i < t->n; i++) {
		size_t name = strlen(t->key[i].name);
		if ((t->key[i].flags & OTD_KEY_SECRET) && name < n &&
		    strncmp(key, t->key[i].name, name) == 0)
			n = name;
	}
	return n < 64 ? (int)n : 64;
}

/* Every key of the mapping is in the table. */
static void check_keys(struct otd_reading *r, const struct otd_key_table *t,
		       const struct otd_yaml *map)
{
	const char *names[KEYS_MAX];
	size_t n = 0;
	for (; n < t->n && n < KEYS_MAX; n++)
		names[n] = t->key[n].name;
	for (size_t i = 0; i < otd_yaml_count(map); i++) {
		const char *key = otd_yaml_key(map, i);
		size_t j = 0;
		while (j < n && strcmp(names[j], key) != 0)
			j++;
		if (j < n)
			continue;
		char shown[72];
		(void)snprintf(shown, sizeof(shown), "%.*s", shown_of(t, key), key);
		const char *near = otd_nearest(shown, names, n);
		if (strlen(shown) < strlen(key))
			otd_read_problem(r, OTD_E_INVALID, otd_yaml_key_at(map, i), shown,
					 "is no key that we know as it is written here; write "
					 "KEY: VALUE, with a colon and a blank");
		else if (near)
			otd_read_problem(r, OTD_E_INVALID, otd_yaml_key_at(map, i), shown,
					 "is no key that we know; did you mean '%s'?", near);
		else
			otd_read_problem(r, OTD_E_INVALID, otd_yaml_key_at(map, i), shown,
					 "is no key that we know; 'otedama config schema' lists "
					 "them all");
	}
}

static bool is_mapping(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y)
{
	if (otd_yaml_kind(y) == OTD_YAML_MAP || otd_yaml_is_plain_null(y))
		return true;
	otd_read_problem(r, OTD_E_INVALID, y, k->name, "is not %s", otd_key_form(k->type));
	return false;
}

static void read_plugin(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			struct otd_settings_use *to)
{
	const struct otd_yaml *id;
	if (!is_mapping(r, k, y))
		return;
	size_t before = otd_read_enter(r, k->name);
	to->options = y;
	to->path = otd_arena_text(&r->extra->arena, r->path, r->path_len);
	id = otd_yaml_get(y, k->select);
	if (!to->path)
		otd_read_no_memory(r);
	else if (!id)
		otd_read_problem(r, OTD_E_INVALID, y, k->select,
				 "is missing: the id of the plugin to use ('otedama plugin list')");
	else if (otd_yaml_kind(id) != OTD_YAML_SCALAR || !otd_is_name(otd_yaml_text(id)))
		otd_read_problem(r, OTD_E_INVALID, id, k->select, "is not the id of a plugin");
	else
		to->id = otd_yaml_text(id);
	otd_read_leave(r, before);
}

static void read_levels(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			const struct otd_settings_log_level **to, size_t *count)
{
	size_t n = otd_yaml_count(y);
	struct otd_settings_log_level *level;
	if (!is_mapping(r, k, y) || n == 0)
		return;
	if ((int64_t)n > k->max) {
		otd_read_problem(r, OTD_E_RANGE, y, k->name, "has more than %d entries",
				 (int)k->max);
		return;
	}
	level = otd_arena_alloc(&r->extra->arena, n * sizeof(*level));
	if (!level) {
		otd_read_no_memory(r);
		return;
	}
	size_t before = otd_read_enter(r, k->name);
	for (size_t i = 0; i < n; i++) {
		const struct otd_key one = {
			.name = otd_yaml_key(y, i), .type = OTD_KEY_CHOICE, .choices = k->choices};
		level[i].name = one.name;
		if (strlen(one.name) > 15 || !otd_is_name(one.name))
			otd_read_problem(r, OTD_E_INVALID, otd_yaml_key_at(y, i), one.name,
					 "is not the name of a module");
		else
			otd_read_value(r, &one, otd_yaml_at(y, i), &level[i].level);
	}
	otd_read_leave(r, before);
	*to = level;
	*count = n;
}

static void read_entries(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			 void **to, size_t *count)
{
	const struct otd_key_table *t = k->sub;
	size_t n = otd_yaml_count(y);
	uint8_t *entry;
	if (!is_mapping(r, k, y))
		return;
	if ((int64_t)n < k->min || (int64_t)n > k->max) {
		otd_read_problem(r, OTD_E_RANGE, y, k->name, "has %zu entries; %d to %d are needed",
				 n, (int)k->min, (int)k->max);
		return;
	}
	entry = otd_arena_alloc(&r->extra->arena, (n ? n : 1) * t->size);
	if (!entry) {
		otd_read_no_memory(r);
		return;
	}
	*to = entry;
	*count = n;
	size_t before = otd_read_enter(r, k->name);
	for (size_t i = 0; i < n; i++, entry += t->size) {
		const struct otd_yaml *v = otd_yaml_at(y, i), *at = otd_yaml_key_at(y, i);
		const char *name = otd_yaml_key(y, i);
		memcpy(entry + t->name_at, &name, sizeof(name));
		memcpy(entry + t->node_at, &at, sizeof(at));
		if (!otd_is_name(name)) {
			otd_read_problem(r, OTD_E_INVALID, at, NULL,
					 "'%.70s' is no name: use letters, digits, '-' and '_', at "
					 "most 64",
					 name);
			continue;
		}
		size_t outer = otd_read_enter(r, name);
		if (otd_yaml_kind(v) != OTD_YAML_MAP && !otd_yaml_is_plain_null(v))
			otd_read_problem(r, OTD_E_INVALID, v, NULL, "is not %s",
					 otd_key_form(k->type));
		else
			otd_read_table(r, t, v, at, entry);
		otd_read_leave(r, outer);
	}
	otd_read_leave(r, before);
}

static void read_section(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
			 const struct otd_yaml *near, void *to)
{
	/* A section that is off unless it is there keeps zeros. */
	if (!y && (k->flags & OTD_KEY_DERIVED))
		return;
	if (y && !is_mapping(r, k, y))
		return;
	size_t before = otd_read_enter(r, k->name);
	otd_read_table(r, k->sub, y, y ? y : near, to);
	otd_read_leave(r, before);
}

/* A default goes the same way as what is in the file, so that both are read alike. */
static void read_default(struct otd_reading *r, const struct otd_key *k, void *to)
{
	struct otd_yaml *y = NULL;
	otd_rc rc = OTD_OK;
	if (k->type == OTD_KEY_TEXTS) {
		rc = otd_yaml_parse_into(r->extra, &y, k->def, strlen(k->def), "default", r->err);
	} else {
		y = otd_yaml_node(r->extra, OTD_YAML_SCALAR, "default", 1, 1);
		if (y)
			y->text = k->def;
	}
	if (rc || !y)
		otd_read_no_memory(r);
	else
		otd_read_value(r, k, y, to);
}

/* What is wrong leaves the default behind, so that whoever goes on finds something whole. */
static void read_or_default(struct otd_reading *r, const struct otd_key *k,
			    const struct otd_yaml *y, void *to)
{
	size_t before = r->problems;
	if (otd_yaml_is_plain_null(y) && k->type != OTD_KEY_TEXTS)
		otd_read_problem(r, OTD_E_INVALID, y, k->name,
				 "has no value: write one, or remove the line for the default");
	else
		otd_read_value(r, k, y, to);
	if (r->problems != before && k->def)
		read_default(r, k, to);
}

static void read_key(struct otd_reading *r, const struct otd_key *k, const struct otd_yaml *y,
		     const struct otd_yaml *near, uint8_t *base)
{
	void *to = base + k->offset;
	if (k->type == OTD_KEY_SECTION) {
		read_section(r, k, y, near, to);
		return;
	}
	if (!y) {
		if (k->flags & OTD_KEY_REQUIRED)
			otd_read_problem(r, OTD_E_NOT_FOUND, near, k->name, "is missing: %s",
					 k->help);
		else if (k->def)
			read_default(r, k, to);
		return;
	}
	switch (k->type) {
	case OTD_KEY_LATER:
		otd_read_problem(r, OTD_E_UNSUPPORTED, y, k->name, "%s", k->help);
		break;
	case OTD_KEY_PLUGIN: read_plugin(r, k, y, to); break;
	case OTD_KEY_OPTIONS:
		if (is_mapping(r, k, y))
			memcpy(to, &y, sizeof(y));
		break;
	case OTD_KEY_POLICIES: otd_read_policies(r, k, y, to); break;
	case OTD_KEY_TLS: otd_read_tls(r, k, y, to); break;
	case OTD_KEY_LEVELS: read_levels(r, k, y, to, (size_t *)(base + k->count_at)); break;
	case OTD_KEY_MAP: read_entries(r, k, y, to, (size_t *)(base + k->count_at)); break;
	default: read_or_default(r, k, y, to); break;
	}
}

void otd_read_table(struct otd_reading *r, const struct otd_key_table *t,
		    const struct otd_yaml *map, const struct otd_yaml *near, void *to)
{
	if (map)
		check_keys(r, t, map);
	for (size_t i = 0; i < t->n; i++) {
		const struct otd_key *k = &t->key[i];
		read_key(r, k, map ? otd_yaml_get(map, k->name) : NULL, near, to);
	}
}
