/* What others see of a YAML tree; making one is in yaml_parse.c. */
#include "config/yaml_node.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct otd_yaml *otd_yaml_node(struct otd_yaml_doc *d, enum otd_yaml_kind kind, const char *file,
			       int line, int column)
{
	struct otd_yaml *y = otd_arena_alloc(&d->arena, sizeof(*y));
	if (!y)
		return NULL;
	y->kind = kind;
	y->file = file;
	y->line = line;
	y->column = column;
	y->text = "";
	d->nodes++;
	return y;
}

otd_rc otd_yaml_append(struct otd_yaml_doc *d, struct otd_yaml *to, struct otd_yaml *key,
		       struct otd_yaml *value)
{
	if (to->n == to->cap) {
		size_t cap = to->cap ? 2 * to->cap : 8;
		struct otd_yaml **item = otd_arena_alloc(&d->arena, 2 * cap * sizeof(*item));
		if (!item)
			return OTD_E_NOMEM;
		if (to->n) {
			memcpy(item, to->item, to->n * sizeof(*item));
			memcpy(item + cap, to->key, to->n * sizeof(*item));
		}
		to->item = item;
		to->key = item + cap;
		to->cap = cap;
	}
	to->item[to->n] = value;
	to->key[to->n] = key;
	to->n++;
	return OTD_OK;
}

static otd_rc parse(struct otd_yaml_doc **out, const char *text, size_t n, const char *file,
		    otd_yaml_problem_fn problem, void *arg, struct otd_err *err)
{
	struct otd_yaml_doc *d = calloc(1, sizeof(*d));
	otd_rc rc;
	*out = NULL;
	if (d) {
		d->problem = problem;
		d->arg = arg;
	}
	const char *name = d ? otd_arena_text(&d->arena, file, strlen(file)) : NULL;
	if (!name)
		rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory", file);
	else
		rc = otd_yaml_parse_into(d, &d->root, text, n, name, err);
	if (rc) {
		otd_yaml_destroy(d);
		return rc;
	}
	d->problem = NULL;
	*out = d;
	return OTD_OK;
}

otd_rc otd_yaml_parse(struct otd_yaml_doc **out, const char *text, size_t n, const char *file,
		      struct otd_err *err)
{
	return parse(out, text, n, file, NULL, NULL, err);
}

otd_rc otd_yaml_go_on(const struct otd_yaml_doc *d, const struct otd_err *err,
		      const struct otd_yaml *at)
{
	if (!d->problem)
		return err->rc;
	d->problem(d->arg, err, at);
	return OTD_OK;
}

otd_rc otd_yaml_load(struct otd_yaml_doc **out, struct otd_env *e, const char *file,
		     struct otd_err *err)
{
	return otd_yaml_load_on(out, e, file, NULL, NULL, err);
}

otd_rc otd_yaml_load_on(struct otd_yaml_doc **out, struct otd_env *e, const char *file,
			otd_yaml_problem_fn problem, void *arg, struct otd_err *err)
{
	const struct otd_files *files = e->files;
	struct otd_file *f = NULL;
	char *text = NULL;
	uint64_t length = 0;
	size_t got = 0;
	*out = NULL;
	otd_rc rc = files->open(files->ctx, &f, file, OTD_OPEN_READ);
	if (rc == OTD_OK)
		rc = files->length(files->ctx, f, &length);
	if (rc) {
		rc = otd_fail(err, rc, "%s: cannot be read: %s", file,
			      files->last_error(files->ctx));
		goto out;
	}
	if (length > OTD_YAML_MAX_BYTES) {
		rc = otd_fail(err, OTD_E_RANGE,
			      "%s: has %llu bytes; a configuration has at most %d: is it the "
			      "right file?",
			      file, (unsigned long long)length, OTD_YAML_MAX_BYTES);
		goto out;
	}
	text = malloc((size_t)length + 1);
	if (!text) {
		rc = otd_fail(err, OTD_E_NOMEM, "%s: no memory", file);
		goto out;
	}
	rc = files->read(files->ctx, f, &got, text, (size_t)length, 0);
	if (rc) {
		rc = otd_fail(err, rc, "%s: cannot be read: %s", file,
			      files->last_error(files->ctx));
		goto out;
	}
	rc = parse(out, text, got, file, problem, arg, err);
out:
	free(text);
	if (f)
		files->close(files->ctx, f);
	return rc;
}

void otd_yaml_destroy(struct otd_yaml_doc *d)
{
	if (!d)
		return;
	otd_arena_finish(&d->arena);
	free(d);
}

const struct otd_yaml *otd_yaml_root(const struct otd_yaml_doc *d)
{
	return d->root;
}

enum otd_yaml_kind otd_yaml_kind(const struct otd_yaml *y)
{
	return y->kind;
}

const char *otd_yaml_text(const struct otd_yaml *y)
{
	return y->text;
}

const char *otd_yaml_written(const struct otd_yaml *y)
{
	return y->raw ? y->raw : y->text;
}

bool otd_yaml_is_expanded(const struct otd_yaml *y)
{
	return y->raw != NULL;
}

bool otd_yaml_is_plain_null(const struct otd_yaml *y)
{
	return y->kind == OTD_YAML_SCALAR && y->plain &&
	       (!*y->text || strcmp(y->text, "~") == 0 || strcmp(y->text, "null") == 0);
}

size_t otd_yaml_count(const struct otd_yaml *y)
{
	return y->n;
}

const struct otd_yaml *otd_yaml_at(const struct otd_yaml *y, size_t i)
{
	return i < y->n ? y->item[i] : NULL;
}

const struct otd_yaml *otd_yaml_key_at(const struct otd_yaml *y, size_t i)
{
	return y->kind == OTD_YAML_MAP && i < y->n ? y->key[i] : NULL;
}

const char *otd_yaml_key(const struct otd_yaml *y, size_t i)
{
	const struct otd_yaml *key = otd_yaml_key_at(y, i);
	return key ? key->text : "";
}

const struct otd_yaml *otd_yaml_get(const struct otd_yaml *y, const char *key)
{
	if (y->kind != OTD_YAML_MAP)
		return NULL;
	for (size_t i = 0; i < y->n; i++) {
		if (strcmp(y->key[i]->text, key) == 0)
			return y->item[i];
	}
	return NULL;
}

int otd_yaml_line(const struct otd_yaml *y)
{
	return y->line;
}

int otd_yaml_column(const struct otd_yaml *y)
{
	return y->column;
}

const char *otd_yaml_file(const struct otd_yaml *y)
{
	return y->file;
}

otd_rc otd_yaml_fail(struct otd_err *err, otd_rc rc, const struct otd_yaml *y, const char *fmt, ...)
{
	char text[sizeof(err->text)];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!y)
		return otd_fail(err, rc, "%s", text);
	return otd_fail(err, rc, "%s:%d:%d: %s", y->file, y->line, y->column, text);
}

struct otd_yaml *otd_yaml_overlay(struct otd_yaml_doc *d, const struct otd_yaml *base,
				  const struct otd_yaml *over)
{
	const struct otd_yaml *at = over ? over : base;
	struct otd_yaml *map = otd_yaml_node(d, OTD_YAML_MAP, at ? at->file : "", at ? at->line : 0,
					     at ? at->column : 0);
	if (!map)
		return NULL;
	for (size_t i = 0; base && base->kind == OTD_YAML_MAP && i < base->n; i++) {
		const struct otd_yaml *mine = over ? otd_yaml_get(over, base->key[i]->text) : NULL;
		if (otd_yaml_append(d, map, base->key[i],
				    mine ? (struct otd_yaml *)mine : base->item[i]))
			return NULL;
	}
	for (size_t i = 0; over && over->kind == OTD_YAML_MAP && i < over->n; i++) {
		if (!otd_yaml_get(map, over->key[i]->text) &&
		    otd_yaml_append(d, map, over->key[i], over->item[i]))
			return NULL;
	}
	return map;
}

otd_rc otd_yaml_add_text(struct otd_yaml_doc *d, struct otd_yaml *map, const char *key,
			 const char *text, const struct otd_yaml *at)
{
	if (otd_yaml_get(map, key))
		return OTD_OK;
	struct otd_yaml *k = otd_yaml_node(d, OTD_YAML_SCALAR, at->file, at->line, at->column);
	struct otd_yaml *v = otd_yaml_node(d, OTD_YAML_SCALAR, at->file, at->line, at->column);
	if (!k || !v)
		return OTD_E_NOMEM;
	k->text = otd_arena_text(&d->arena, key, strlen(key));
	v->text = otd_arena_text(&d->arena, text, strlen(text));
	if (!k->text || !v->text)
		return OTD_E_NOMEM;
	return otd_yaml_append(d, map, k, v);
}
