/*
 * From text to a tree, over libyaml's events: each limit is checked as events come, so that a text
 * made to be slow or large is refused before anything was built of it.
 */
#include "base/text.h"
#include "config/yaml_node.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* A collection that is not closed yet. */
struct open_node {
	struct otd_yaml *node;
	struct otd_yaml *key; /* of a map: read, its value not yet */
};

struct parsing {
	struct otd_yaml_doc *doc;
	const char *file;
	const char *text;
	size_t n;
	struct open_node open[OTD_YAML_MAX_DEPTH];
	size_t depth;
	struct otd_yaml *root;
	unsigned documents;
	struct otd_err *err;
};

static otd_rc fail_at(const struct parsing *p, otd_rc rc, yaml_mark_t mark, const char *what)
{
	return otd_fail(p->err, rc, "%s:%zu:%zu: %s", p->file, mark.line + 1, mark.column + 1,
			what);
}

/* What libyaml could not read, with advice for the usual causes. */
static otd_rc fail_scanner(const struct parsing *p, const yaml_parser_t *y)
{
	const char *problem = y->problem ? y->problem : "cannot be read as YAML";
	const char *advice = "; check indentation, quotes and brackets here and on the line before";
	size_t line = y->problem_mark.line, column = y->problem_mark.column;
	const char *s = p->text, *end = p->text + p->n;
	if (y->error == YAML_MEMORY_ERROR)
		return otd_fail(p->err, OTD_E_NOMEM, "%s: no memory", p->file);
	for (size_t i = 0; s < end && i < line; s++)
		i += *s == '\n';
	for (size_t i = 0; s < end && *s != '\n' && i < column; s++)
		i++;
	if (s < end && *s == '\t')
		advice = "; indent with blanks, not tabs";
	else if (s < end && strchr("@`%&*!|>", *s))
		advice = "; put the value between quotes";
	else if (strstr(problem, "mapping values are not allowed"))
		advice = "; put a value that has ': ' in it between quotes, or check the "
			 "indentation";
	else if (strstr(problem, "control characters"))
		advice = "; remove the character that cannot be seen";
	return otd_fail(p->err, OTD_E_INVALID, "%s:%zu:%zu: %s%s", p->file, line + 1, column + 1,
			problem, advice);
}

/* Valid UTF-8 without zero bytes, and no line that begins with '%': libyaml compares every
   directive with every other. */
static otd_rc check_text(const struct parsing *p)
{
	yaml_mark_t at = {0, 0, 0};
	const char *s = p->text;
	if (p->n > OTD_YAML_MAX_BYTES)
		return otd_fail(p->err, OTD_E_RANGE, "%s: has %zu bytes, more than %d", p->file,
				p->n, OTD_YAML_MAX_BYTES);
	for (size_t i = 0; i < p->n;) {
		size_t step = otd_utf8_sequence(s + i, p->n - i);
		if (!step || !s[i])
			return fail_at(p, OTD_E_INVALID, at,
				       "is not UTF-8 text; save the file as UTF-8");
		if (s[i] == '%' && at.column == 0)
			return fail_at(p, OTD_E_INVALID, at,
				       "YAML directives are not supported; remove the line");
		at.column++;
		if (s[i] == '\n') {
			at.line++;
			at.column = 0;
		}
		i += step;
	}
	return OTD_OK;
}

static int compare_keys(const void *a, const void *b)
{
	const struct otd_yaml *x = *(const struct otd_yaml *const *)a;
	const struct otd_yaml *y = *(const struct otd_yaml *const *)b;
	int c = strcmp(x->text, y->text);
	if (c)
		return c;
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->column < y->column ? -1 : x->column > y->column;
}

static otd_rc check_duplicates(const struct parsing *p, const struct otd_yaml *map)
{
	struct otd_yaml **sorted;
	otd_rc rc = OTD_OK;
	if (map->n < 2)
		return OTD_OK;
	sorted = malloc(map->n * sizeof(*sorted));
	if (!sorted)
		return otd_fail(p->err, OTD_E_NOMEM, "%s: no memory", p->file);
	memcpy(sorted, map->key, map->n * sizeof(*sorted));
	qsort(sorted, map->n, sizeof(*sorted), compare_keys);
	for (size_t i = 1; rc == OTD_OK && i < map->n; i++) {
		struct otd_err twice = {0};
		if (strcmp(sorted[i - 1]->text, sorted[i]->text) != 0)
			continue;
		(void)otd_yaml_fail(&twice, OTD_E_EXISTS, sorted[i],
				    "key '%.60s' is there already, on line %d; remove one of them",
				    sorted[i]->text, sorted[i - 1]->line);
		rc = otd_yaml_go_on(p->doc, &twice, sorted[i]);
		if (rc && p->err)
			*p->err = twice;
	}
	free(sorted);
	return rc;
}

/* Puts a finished value, or one just opened, into what is open. */
static otd_rc place(struct parsing *p, struct otd_yaml *y, yaml_mark_t mark)
{
	otd_rc rc = OTD_OK;
	if (p->depth == 0) {
		p->root = y;
		return OTD_OK;
	}
	struct open_node *o = &p->open[p->depth - 1];
	if (o->node->kind == OTD_YAML_LIST) {
		rc = otd_yaml_append(p->doc, o->node, NULL, y);
	} else if (o->key) {
		rc = otd_yaml_append(p->doc, o->node, o->key, y);
		o->key = NULL;
	} else if (y->kind == OTD_YAML_SCALAR) {
		o->key = y;
	} else {
		return fail_at(p, OTD_E_INVALID, mark, "a key must be a plain word");
	}
	return rc ? otd_fail(p->err, rc, "%s: no memory", p->file) : OTD_OK;
}

static otd_rc make(struct parsing *p, struct otd_yaml **out, enum otd_yaml_kind kind,
		   const yaml_event_t *e)
{
	if (p->doc->nodes >= OTD_YAML_MAX_NODES)
		return fail_at(p, OTD_E_RANGE, e->start_mark,
			       "the file has too many values; split it or shorten it");
	*out = otd_yaml_node(p->doc, kind, p->file, (int)e->start_mark.line + 1,
			     (int)e->start_mark.column + 1);
	return *out ? OTD_OK : otd_fail(p->err, OTD_E_NOMEM, "%s: no memory", p->file);
}

static otd_rc refuse_marks(const struct parsing *p, const yaml_event_t *e, const void *anchor,
			   const void *tag)
{
	if (anchor)
		return fail_at(p, OTD_E_INVALID, e->start_mark,
			       "anchors (&name) are not supported; write the value out where it is "
			       "needed");
	if (tag)
		return fail_at(p, OTD_E_INVALID, e->start_mark,
			       "tags (!name) are not supported; write the value without it");
	return OTD_OK;
}

static otd_rc take_scalar(struct parsing *p, const yaml_event_t *e)
{
	const char *value = (const char *)e->data.scalar.value;
	size_t n = e->data.scalar.length;
	struct otd_yaml *y = NULL;
	otd_rc rc = refuse_marks(p, e, e->data.scalar.anchor, e->data.scalar.tag);
	if (!rc && memchr(value, '\0', n))
		rc = fail_at(p, OTD_E_INVALID, e->start_mark, "a text cannot hold a zero byte");
	if (!rc)
		rc = make(p, &y, OTD_YAML_SCALAR, e);
	if (rc)
		return rc;
	y->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	y->text = otd_arena_text(&p->doc->arena, value, n);
	if (!y->text)
		return otd_fail(p->err, OTD_E_NOMEM, "%s: no memory", p->file);
	bool is_key = p->depth && p->open[p->depth - 1].node->kind == OTD_YAML_MAP &&
		      !p->open[p->depth - 1].key;
	if (!is_key && e->data.scalar.style != YAML_SINGLE_QUOTED_SCALAR_STYLE) {
		struct otd_err why = {0};
		rc = otd_yaml_expand(p->doc, y, &why);
		if (rc)
			rc = otd_yaml_go_on(p->doc, &why, y);
		if (rc && p->err)
			*p->err = why;
	}
	return rc ? rc : place(p, y, e->start_mark);
}

static otd_rc open_collection(struct parsing *p, enum otd_yaml_kind kind, const yaml_event_t *e)
{
	struct otd_yaml *y = NULL;
	otd_rc rc;
	if (p->depth == OTD_YAML_MAX_DEPTH)
		return fail_at(p, OTD_E_RANGE, e->start_mark,
			       "is nested more than 32 levels deep; close the brackets");
	rc = make(p, &y, kind, e);
	if (!rc)
		rc = place(p, y, e->start_mark);
	if (!rc)
		p->open[p->depth++] = (struct open_node){y, NULL};
	return rc;
}

static otd_rc take(struct parsing *p, const yaml_event_t *e)
{
	otd_rc rc = OTD_OK;
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (p->documents++)
			rc = fail_at(p, OTD_E_INVALID, e->start_mark,
				     "a second document begins here; remove the '---'");
		break;
	case YAML_ALIAS_EVENT:
		rc = fail_at(p, OTD_E_INVALID, e->start_mark,
			     "aliases (*name) are not supported; write the value out");
		break;
	case YAML_SCALAR_EVENT: rc = take_scalar(p, e); break;
	case YAML_SEQUENCE_START_EVENT:
		rc = refuse_marks(p, e, e->data.sequence_start.anchor, e->data.sequence_start.tag);
		if (!rc)
			rc = open_collection(p, OTD_YAML_LIST, e);
		break;
	case YAML_MAPPING_START_EVENT:
		rc = refuse_marks(p, e, e->data.mapping_start.anchor, e->data.mapping_start.tag);
		if (!rc)
			rc = open_collection(p, OTD_YAML_MAP, e);
		break;
	case YAML_MAPPING_END_EVENT: rc = check_duplicates(p, p->open[--p->depth].node); break;
	case YAML_SEQUENCE_END_EVENT: p->depth--; break;
	default: break;
	}
	return rc;
}

otd_rc otd_yaml_parse_into(struct otd_yaml_doc *d, struct otd_yaml **out, const char *text,
			   size_t n, const char *file, struct otd_err *err)
{
	struct parsing p = {.doc = d, .file = file, .text = text, .n = n, .err = err};
	yaml_parser_t parser;
	bool done = false;
	otd_rc rc = check_text(&p);
	if (rc)
		return rc;
	if (!yaml_parser_initialize(&parser))
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", file);
	yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, n);
	while (!rc && !done) {
		yaml_event_t event;
		if (!yaml_parser_parse(&parser, &event)) {
			rc = fail_scanner(&p, &parser);
			break;
		}
		done = event.type == YAML_STREAM_END_EVENT;
		rc = take(&p, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (!rc && !p.root) {
		p.root = otd_yaml_node(d, OTD_YAML_SCALAR, file, 1, 1);
		if (!p.root)
			return otd_fail(err, OTD_E_NOMEM, "%s: no memory", file);
		p.root->plain = true;
	}
	*out = p.root;
	return rc;
}
