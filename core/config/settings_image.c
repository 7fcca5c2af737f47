/* See config/settings_image.h. A node: whether its file is that of the one before, what it is, its children. */
#include "config/settings_image.h"

#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "config/settings_own.h"
#include "config/yaml_node.h"

#define FORM 1

/* --- out --- */

static struct otd_span span_of(const char *s)
{
	return (struct otd_span){(const uint8_t *)s, strlen(s)};
}

/* Not deeper than otd_yaml_parse() let it be. */
static void pack_node(struct otd_bytes *out, const struct otd_yaml *y, const char **file)
{
	bool same = *file && strcmp(*file, y->file) == 0;
	otd_pack_u8(out, same);
	if (!same)
		otd_pack_text(out, y->file);
	*file = y->file;
	otd_pack_u8(out, (uint8_t)y->kind);
	otd_pack_u8(out, y->plain);
	otd_pack_u32(out, (uint32_t)y->line);
	otd_pack_u32(out, (uint32_t)y->column);
	otd_pack_span(out, span_of(y->text));
	otd_pack_u8(out, y->raw != NULL);
	if (y->raw)
		otd_pack_span(out, span_of(y->raw));
	otd_pack_u32(out, (uint32_t)y->n);
	for (size_t i = 0; i < y->n; i++) {
		if (y->kind == OTD_YAML_MAP)
			pack_node(out, y->key[i], file);
		pack_node(out, y->item[i], file);
	}
}

static void pack_doc(struct otd_bytes *out, const struct otd_yaml *root)
{
	const char *file = NULL;
	size_t part = otd_pack_begin(out);
	pack_node(out, root, &file);
	otd_pack_end(out, part);
}

void otd_settings_pack(struct otd_bytes *out, const struct otd_settings *s)
{
	otd_pack_u32(out, FORM);
	otd_pack_u32(out, (uint32_t)s->n_coins);
	pack_doc(out, otd_yaml_root(s->doc));
	for (size_t i = 0; i < s->n_coins; i++) {
		otd_pack_text(out, s->coins[i].id);
		pack_doc(out, s->coins[i].at);
	}
}

/* --- in --- */

struct taking {
	struct otd_yaml_doc *doc;
	struct otd_unpack u;
	const char *file;
	unsigned depth;
};

/* NULL: it is cut short, holds a zero, or there is no memory. */
static const char *take_text(struct taking *t)
{
	struct otd_span s = otd_unpack_span(&t->u);
	if (t->u.failed || (s.len && memchr(s.ptr, 0, s.len)))
		return NULL;
	return otd_arena_text(&t->doc->arena, s.len ? (const char *)s.ptr : "", s.len);
}

static struct otd_yaml *take_node(struct taking *t);

static bool take_children(struct taking *t, struct otd_yaml *y)
{
	uint32_t n = otd_unpack_u32(&t->u);
	if (t->u.failed || n > t->u.left || (n && y->kind == OTD_YAML_SCALAR))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct otd_yaml *key = y->kind == OTD_YAML_MAP ? take_node(t) : NULL;
		struct otd_yaml *item = take_node(t);
		if (!item || (y->kind == OTD_YAML_MAP && (!key || key->kind != OTD_YAML_SCALAR)) ||
		    otd_yaml_append(t->doc, y, key, item))
			return false;
	}
	return true;
}

static struct otd_yaml *take_node(struct taking *t)
{
	if (t->depth >= OTD_YAML_MAX_DEPTH + 2 || t->doc->nodes >= 2 * OTD_YAML_MAX_NODES)
		return NULL;
	if (!otd_unpack_u8(&t->u))
		t->file = take_text(t);
	uint8_t kind = otd_unpack_u8(&t->u), plain = otd_unpack_u8(&t->u);
	uint32_t line = otd_unpack_u32(&t->u), column = otd_unpack_u32(&t->u);
	if (!t->file || t->u.failed || kind < OTD_YAML_SCALAR || kind > OTD_YAML_MAP ||
	    line > INT32_MAX || column > INT32_MAX)
		return NULL;
	struct otd_yaml *y =
		otd_yaml_node(t->doc, (enum otd_yaml_kind)kind, t->file, (int)line, (int)column);
	if (!y || !(y->text = take_text(t)))
		return NULL;
	y->plain = plain != 0;
	if (otd_unpack_u8(&t->u) && !(y->raw = take_text(t)))
		return NULL;
	t->depth++;
	bool whole = take_children(t, y);
	t->depth--;
	return whole ? y : NULL;
}

static otd_rc take_doc(struct otd_yaml_doc **out, struct otd_unpack *from)
{
	struct taking t = {.doc = calloc(1, sizeof(struct otd_yaml_doc)),
			   .u = otd_unpack_part(from)};
	*out = NULL;
	if (t.doc)
		t.doc->root = take_node(&t);
	if (!t.doc || !t.doc->root || t.u.failed || t.u.left) {
		otd_yaml_destroy(t.doc);
		return t.doc ? OTD_E_CORRUPT : OTD_E_NOMEM;
	}
	*out = t.doc;
	return OTD_OK;
}

/* Room for a name each: they are read before the settings have a memory of their own. */
struct names {
	char id[65];
};

otd_rc otd_settings_unpack(struct otd_settings **out, struct otd_env *e, struct otd_span image,
			   struct otd_err *err)
{
	struct otd_unpack u = otd_unpack_of(image);
	struct otd_yaml_doc *main_doc = NULL;
	uint32_t form = otd_unpack_u32(&u), n = otd_unpack_u32(&u), taken = 0;
	*out = NULL;
	if (u.failed || form != FORM || n > u.left)
		return otd_fail(err, OTD_E_CORRUPT, "settings that were handed over are garbled");
	struct otd_settings_coin_doc *coin = calloc(n + 1u, sizeof(*coin));
	struct names *name = calloc(n + 1u, sizeof(*name));
	otd_rc rc = coin && name ? take_doc(&main_doc, &u) : OTD_E_NOMEM;
	for (; rc == OTD_OK && taken < n; taken++) {
		otd_unpack_text(&u, name[taken].id, sizeof(name[taken].id));
		coin[taken].id = name[taken].id;
		rc = take_doc(&coin[taken].doc, &u);
	}
	if (rc == OTD_OK && otd_yaml_kind(otd_yaml_root(main_doc)) != OTD_YAML_MAP)
		rc = OTD_E_CORRUPT;
	if (rc)
		(void)otd_fail(err, rc,
			       rc == OTD_E_NOMEM ? "out of memory"
						 : "settings that were handed over are garbled");
	else
		rc = otd_settings_from_docs(out, e, &main_doc, coin, n, err);
	otd_yaml_destroy(main_doc);
	for (uint32_t i = 0; coin && i < taken; i++)
		otd_yaml_destroy(coin[i].doc);
	free(coin);
	free(name);
	return rc;
}
