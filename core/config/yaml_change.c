/* Trees compared, copied and changed: what a reload does with two of them. */
#include "config/yaml_change.h"

#include "config/yaml_node.h"

#include <stdlib.h>
#include <string.h>

bool otd_yaml_same(const struct otd_yaml *a, const struct otd_yaml *b)
{
	if (!a || !b)
		return a == b;
	if (a->kind != b->kind || a->n != b->n)
		return false;
	if (a->kind == OTD_YAML_SCALAR)
		return strcmp(a->text, b->text) == 0;
	for (size_t i = 0; i < a->n; i++) {
		const struct otd_yaml *other = b->item[i];
		if (a->kind == OTD_YAML_MAP)
			other = otd_yaml_get(b, a->key[i]->text);
		if (!otd_yaml_same(a->item[i], other))
			return false;
	}
	return true;
}

/* Names of files are the same for many nodes: each is copied once in a row. */
struct copying {
	struct otd_yaml_doc *to;
	const char *from_file, *file;
};

static const char *text_of(struct copying *c, const char *s)
{
	return s ? otd_arena_text(&c->to->arena, s, strlen(s)) : NULL;
}

static struct otd_yaml *copy_node(struct copying *c, const struct otd_yaml *y)
{
	if (y->file != c->from_file) {
		c->from_file = y->file;
		c->file = text_of(c, y->file);
	}
	struct otd_yaml *n =
		c->file ? otd_yaml_node(c->to, y->kind, c->file, y->line, y->column) : NULL;
	if (!n)
		return NULL;
	n->plain = y->plain;
	n->text = text_of(c, y->text);
	n->raw = text_of(c, y->raw);
	if (!n->text || (y->raw && !n->raw))
		return NULL;
	for (size_t i = 0; i < y->n; i++) {
		/* Not deeper than otd_yaml_parse() let it be. */
		struct otd_yaml *key = y->key[i] ? copy_node(c, y->key[i]) : NULL;
		struct otd_yaml *item = copy_node(c, y->item[i]);
		if (!item || (y->key[i] && !key) || otd_yaml_append(c->to, n, key, item))
			return NULL;
	}
	return n;
}

struct otd_yaml *otd_yaml_copy(struct otd_yaml_doc *to, const struct otd_yaml *y)
{
	struct copying c = {.to = to};
	return copy_node(&c, y);
}

otd_rc otd_yaml_copy_doc(struct otd_yaml_doc **out, const struct otd_yaml *root)
{
	struct otd_yaml_doc *to = calloc(1, sizeof(*to));
	*out = NULL;
	if (to)
		to->root = otd_yaml_copy(to, root);
	if (!to || !to->root) {
		otd_yaml_destroy(to);
		return OTD_E_NOMEM;
	}
	*out = to;
	return OTD_OK;
}

static size_t place_of(const struct otd_yaml *map, const char *key)
{
	size_t i = 0;
	while (i < map->n && strcmp(map->key[i]->text, key) != 0)
		i++;
	return i;
}

static void take_out(struct otd_yaml *map, size_t i)
{
	for (; i + 1 < map->n; i++) {
		map->item[i] = map->item[i + 1];
		map->key[i] = map->key[i + 1];
	}
	map->n--;
}

otd_rc otd_yaml_put(struct otd_yaml_doc *d, const char *const *part, size_t n,
		    const struct otd_yaml *value)
{
	struct otd_yaml **at = &d->root;
	for (size_t k = 0; k < n; k++) {
		if (!*at || (*at)->kind != OTD_YAML_MAP) {
			if (!value)
				return OTD_OK; /* not there anyway */
			*at = otd_yaml_node(d, OTD_YAML_MAP, d->root ? d->root->file : "", 1, 1);
			if (!*at)
				return OTD_E_NOMEM;
		}
		struct otd_yaml *map = *at;
		size_t i = place_of(map, part[k]);
		bool there = i < map->n;
		if (!value && (!there || k + 1 == n)) {
			if (there)
				take_out(map, i);
			return OTD_OK;
		}
		if (!there) {
			struct otd_yaml *key = otd_yaml_node(d, OTD_YAML_SCALAR, map->file,
							     map->line, map->column);
			if (!key ||
			    !(key->text = otd_arena_text(&d->arena, part[k], strlen(part[k]))) ||
			    otd_yaml_append(d, map, key, NULL))
				return OTD_E_NOMEM;
		}
		at = &map->item[i];
	}
	*at = otd_yaml_copy(d, value);
	return *at ? OTD_OK : OTD_E_NOMEM;
}

otd_rc otd_yaml_put_text(struct otd_yaml_doc *d, const char *const *part, size_t n,
			 const char *text)
{
	struct otd_yaml y = {.file = d->root ? d->root->file : "",
			     .line = 1,
			     .column = 1,
			     .kind = OTD_YAML_SCALAR,
			     .text = text};
	return otd_yaml_put(d, part, n, &y);
}
