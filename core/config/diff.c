/* Two configurations side by side, by the schema. */
#include "config/diff.h"

#include <stdlib.h>
#include <string.h>

#include "config/settings_own.h"
#include "config/yaml_change.h"

#define PARTS_MAX 12

struct entry {
	struct otd_diff_key key;
	const char *const *part; /* of the path, in the document */
	size_t n_parts;
	const struct otd_coin *coin; /* the new one, whose file it stands in; NULL: the main file */
	const struct otd_yaml *old_yaml; /* NULL: it was not written */
	const char *old_text;            /* of a value that followed from other keys; or NULL */
};

struct otd_diff {
	struct otd_arena arena;
	struct entry *entry;
	size_t n, cap, n_not_live;
	const struct otd_settings *before, *now;
	otd_diff_option_fn live_option;
	void *arg;
};

/* Where the walk is. */
struct walk {
	struct otd_diff *d;
	const char *part[PARTS_MAX];
	size_t n;
	const struct otd_coin *coin;
	const struct otd_yaml *near; /* the innermost mapping of the new file */
	bool failed;
};

struct side {
	const struct otd_yaml *y; /* NULL: not written */
	const uint8_t *base;
};

static const char *dotted(struct walk *w)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 4096);
	if (w->coin)
		(void)otd_bytes_format(&b, "coins.%s", w->coin->id);
	for (size_t i = 0; i < w->n; i++)
		(void)otd_bytes_format(&b, "%s%s", i || w->coin ? "." : "", w->part[i]);
	const char *s = b.failed ? NULL : otd_arena_text(&w->d->arena, (const char *)b.ptr, b.len);
	otd_bytes_finish(&b);
	return s;
}

static struct entry *add(struct walk *w, bool live)
{
	struct otd_diff *d = w->d;
	if (d->n == d->cap) {
		size_t cap = d->cap ? 2 * d->cap : 16;
		struct entry *p = realloc(d->entry, cap * sizeof(*p));
		if (!p) {
			w->failed = true;
			return NULL;
		}
		d->entry = p;
		d->cap = cap;
	}
	struct entry *e = &d->entry[d->n];
	const char **part = otd_arena_alloc(&d->arena, w->n * sizeof(*part));
	*e = (struct entry){.key = {.path = dotted(w), .before = "", .after = "", .live = live},
			    .part = part,
			    .n_parts = w->n,
			    .coin = w->coin};
	if (!part || !e->key.path) {
		w->failed = true;
		return NULL;
	}
	memcpy(part, w->part, w->n * sizeof(*part));
	d->n++;
	d->n_not_live += !live;
	return e;
}

static const char *shown(struct walk *w, const struct otd_yaml *y, bool secret)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 1u << 16);
	otd_rc rc = otd_settings_print_value(y, secret, &b);
	const char *s = rc ? "(long)" : otd_arena_text(&w->d->arena, (const char *)b.ptr, b.len);
	otd_bytes_finish(&b);
	w->failed |= !s;
	return s ? s : "";
}

/* --- values --- */

static bool same_texts(const struct otd_settings_texts *a, const struct otd_settings_texts *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (strcmp(a->item[i], b->item[i]) != 0)
			return false;
	}
	return true;
}

static const char *text_at(const void *p)
{
	const char *s = *(const char *const *)p;
	return s ? s : "";
}

static bool same_levels(const struct otd_key *k, const struct side *a, const struct side *b)
{
	const size_t n = *(const size_t *)(const void *)(a->base + k->count_at);
	const struct otd_settings_log_level *x =
		*(const struct otd_settings_log_level *const *)(const void *)(a->base + k->offset);
	const struct otd_settings_log_level *y =
		*(const struct otd_settings_log_level *const *)(const void *)(b->base + k->offset);
	if (n != *(const size_t *)(const void *)(b->base + k->count_at))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(x[i].name, y[i].name) != 0 || x[i].level != y[i].level)
			return false;
	}
	return true;
}

static bool same_value(const struct otd_key *k, const struct side *a, const struct side *b)
{
	const void *x = a->base + k->offset, *y = b->base + k->offset;
	switch (k->type) {
	case OTD_KEY_BOOL: return *(const bool *)x == *(const bool *)y;
	case OTD_KEY_INT:
	case OTD_KEY_CHOICE:
	case OTD_KEY_DURATION:
	case OTD_KEY_SIZE:
	case OTD_KEY_RATE: return *(const int64_t *)x == *(const int64_t *)y;
	case OTD_KEY_HEX32: return *(const uint32_t *)x == *(const uint32_t *)y;
	case OTD_KEY_TEXT:
	case OTD_KEY_DECIMAL:
	case OTD_KEY_AMOUNT: return strcmp(text_at(x), text_at(y)) == 0;
	case OTD_KEY_TEXTS: return same_texts(x, y);
	case OTD_KEY_LEVELS: return same_levels(k, a, b);
	/* Its default is that of a member, and each key of it has one of these types. */
	case OTD_KEY_LISTEN:
		return strcmp(((const struct otd_settings_listen *)x)->text,
			      ((const struct otd_settings_listen *)y)->text) == 0;
	case OTD_KEY_POLICIES:
	case OTD_KEY_TLS:
	case OTD_KEY_OPTIONS: return otd_yaml_same(a->y, b->y);
	default: return true;
	}
}

static const char *list_of(struct walk *w, const struct otd_settings_texts *t)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 1u << 16);
	(void)otd_bytes_text(&b, "[");
	for (size_t i = 0; i < t->n; i++)
		(void)otd_bytes_format(&b, "%s%s", i ? ", " : "", t->item[i]);
	(void)otd_bytes_text(&b, "]");
	const char *s = b.failed ? NULL : otd_arena_text(&w->d->arena, (const char *)b.ptr, b.len);
	otd_bytes_finish(&b);
	w->failed |= !s;
	return s ? s : "";
}

/* What one side says of a key that is not written there. */
static const char *unwritten(struct walk *w, const struct otd_key *k, const struct side *s)
{
	if (k->type == OTD_KEY_TEXT)
		return text_at(s->base + k->offset);
	if (k->type == OTD_KEY_TEXTS)
		return list_of(w, (const void *)(s->base + k->offset));
	return k->def ? k->def : "";
}

static void changed(struct walk *w, const struct otd_key *k, const struct side *a,
		    const struct side *b)
{
	/* What only follows from other keys, and follows again, is no key that somebody changed. */
	if (!a->y && !b->y && (k->flags & OTD_KEY_RELOADABLE))
		return;
	struct entry *e = add(w, k->flags & OTD_KEY_RELOADABLE);
	bool secret = k->flags & OTD_KEY_SECRET;
	if (!e)
		return;
	e->key.before = a->y ? shown(w, a->y, secret) : unwritten(w, k, a);
	e->key.after = b->y ? shown(w, b->y, secret) : unwritten(w, k, b);
	e->key.at = b->y ? b->y : w->near;
	e->old_yaml = a->y;
	if (!a->y && k->type == OTD_KEY_TEXT && (k->flags & OTD_KEY_DERIVED))
		e->old_text = text_at(a->base + k->offset);
}

/* Something whole came or went. */
static void came_or_went(struct walk *w, bool live, const struct otd_yaml *old,
			 const struct otd_yaml *now)
{
	struct entry *e = add(w, live);
	if (!e)
		return;
	e->key.before = old ? "there" : "";
	e->key.after = now ? "there" : "";
	e->key.at = now ? now : w->near;
	e->old_yaml = old;
}

/* --- plugins --- */

static const char *kind_of(const struct otd_key *k)
{
	return strcmp(k->name, "algorithm") == 0 ? "algo" : k->name;
}

static void option(struct walk *w, const char *kind, const char *id, const char *name,
		   const struct otd_yaml *old, const struct otd_yaml *now)
{
	struct otd_diff *d = w->d;
	w->part[w->n++] = name;
	if (!otd_yaml_same(old, now)) {
		struct entry *e = add(w, d->live_option && d->live_option(d->arg, kind, id, name));
		bool secret = otd_settings_sounds_secret(name);
		if (e) {
			e->key.before = old ? shown(w, old, secret) : "default";
			e->key.after = now ? shown(w, now, secret) : "default";
			e->key.at = now ? now : w->near;
			e->old_yaml = old;
		}
	}
	w->n--;
}

static const struct otd_yaml *get(const struct otd_yaml *map, const char *key)
{
	return map ? otd_yaml_get(map, key) : NULL;
}

static void options(struct walk *w, const char *kind, const char *id, const struct otd_yaml *old,
		    const struct otd_yaml *now)
{
	for (size_t i = 0; old && i < otd_yaml_count(old); i++)
		option(w, kind, id, otd_yaml_key(old, i), otd_yaml_at(old, i),
		       get(now, otd_yaml_key(old, i)));
	for (size_t i = 0; now && i < otd_yaml_count(now); i++) {
		if (!get(old, otd_yaml_key(now, i)))
			option(w, kind, id, otd_yaml_key(now, i), NULL, otd_yaml_at(now, i));
	}
}

/* Of a key for options alone: whose they are stands in the otd_settings_use that its member is of. */
static const char *id_beside(const struct otd_key *k, const uint8_t *base)
{
	const struct otd_settings_use *use =
		(const void *)(base + k->offset - offsetof(struct otd_settings_use, options));
	return use->id ? use->id : "";
}

static const struct otd_yaml *as_map(const struct otd_yaml *y)
{
	return y && otd_yaml_kind(y) == OTD_YAML_MAP ? y : NULL;
}

static void plugin(struct walk *w, const struct otd_key *k, const struct side *a,
		   const struct side *b)
{
	const struct otd_settings_use *x = (const void *)(a->base + k->offset);
	const struct otd_settings_use *y = (const void *)(b->base + k->offset);
	const char *old = x->id ? x->id : "", *now = y->id ? y->id : "";
	struct entry *e;
	if (strcmp(old, now) == 0) {
		options(w, kind_of(k), now, as_map(a->y), as_map(b->y));
		return;
	}
	e = add(w, k->flags & OTD_KEY_RELOADABLE);
	if (!e)
		return;
	e->key.before = otd_arena_text(&w->d->arena, old, strlen(old));
	e->key.after = otd_arena_text(&w->d->arena, now, strlen(now));
	e->key.at = b->y ? b->y : w->near;
	e->old_yaml = a->y;
	w->failed |= !e->key.before || !e->key.after;
}

/* --- the tree --- */

static void table(struct walk *w, const struct otd_key_table *t, const struct side *a,
		  const struct side *b);

static const char *name_of(const struct otd_key_table *t, const uint8_t *entry)
{
	return *(const char *const *)(const void *)(entry + t->name_at);
}

static const uint8_t *entry_named(const struct otd_key *k, const uint8_t *base, const char *name)
{
	const uint8_t *p = *(const uint8_t *const *)(const void *)(base + k->offset);
	size_t n = *(const size_t *)(const void *)(base + k->count_at);
	for (; n > 0; n--, p += k->sub->size) {
		if (strcmp(name_of(k->sub, p), name) == 0)
			return p;
	}
	return NULL;
}

static void entries(struct walk *w, const struct otd_key *k, const struct side *a,
		    const struct side *b, bool of_new)
{
	const uint8_t *base = of_new ? b->base : a->base;
	const uint8_t *p = *(const uint8_t *const *)(const void *)(base + k->offset);
	size_t n = *(const size_t *)(const void *)(base + k->count_at);
	for (; n > 0; n--, p += k->sub->size) {
		const char *name = name_of(k->sub, p);
		const uint8_t *other = entry_named(k, of_new ? a->base : b->base, name);
		const struct otd_yaml *near = w->near;
		w->part[w->n++] = name;
		if (!other) {
			came_or_went(w, k->flags & OTD_KEY_RELOADABLE,
				     of_new ? NULL : get(a->y, name),
				     of_new ? get(b->y, name) : NULL);
		} else if (of_new) {
			const struct side x = {as_map(get(a->y, name)), other};
			const struct side y = {as_map(get(b->y, name)), p};
			w->near = y.y ? y.y : w->near;
			table(w, k->sub, &x, &y);
		}
		w->near = near;
		w->n--;
	}
}

static void section(struct walk *w, const struct otd_key *k, const struct side *a,
		    const struct side *b)
{
	const struct side x = {as_map(a->y), a->base + k->offset};
	const struct side y = {as_map(b->y), b->base + k->offset};
	if ((k->flags & OTD_KEY_DERIVED) && (!a->y || !b->y)) {
		if (a->y || b->y)
			came_or_went(w, k->flags & OTD_KEY_RELOADABLE, a->y, b->y);
		return;
	}
	const struct otd_yaml *near = w->near;
	w->near = y.y ? y.y : near;
	table(w, k->sub, &x, &y);
	w->near = near;
}

static void one(struct walk *w, const struct otd_key *k, const struct side *a, const struct side *b)
{
	const struct side x = {get(a->y, k->name), a->base}, y = {get(b->y, k->name), b->base};
	if (w->n == PARTS_MAX - 2) {
		w->failed = true; /* the schema is not so deep */
		return;
	}
	w->part[w->n++] = k->name;
	if (k->type == OTD_KEY_SECTION) {
		section(w, k, &x, &y);
	} else if (k->type == OTD_KEY_MAP) {
		entries(w, k, &x, &y, false);
		entries(w, k, &x, &y, true);
	} else if (k->type == OTD_KEY_PLUGIN) {
		plugin(w, k, &x, &y);
	} else if (k->type == OTD_KEY_OPTIONS) {
		options(w, k->name, id_beside(k, b->base), as_map(x.y), as_map(y.y));
	} else if (!same_value(k, &x, &y)) {
		changed(w, k, &x, &y);
	}
	w->n--;
}

static void table(struct walk *w, const struct otd_key_table *t, const struct side *a,
		  const struct side *b)
{
	for (size_t i = 0; i < t->n; i++)
		one(w, &t->key[i], a, b);
}

static void coins(struct walk *w)
{
	const struct otd_settings *old = w->d->before, *now = w->d->now;
	for (size_t i = 0; i < now->n_coins; i++) {
		for (size_t k = 0; k < old->n_coins; k++) {
			const struct otd_coin *x = &old->coins[k], *y = &now->coins[i];
			if (strcmp(x->id, y->id) != 0)
				continue;
			const struct side a = {x->at, (const uint8_t *)x};
			const struct side b = {y->at, (const uint8_t *)y};
			w->coin = y;
			w->near = y->at;
			table(w, &otd_keys_coin, &a, &b);
		}
	}
	w->coin = NULL;
}

otd_rc otd_diff_create(struct otd_diff **out, const struct otd_settings *before,
		       const struct otd_settings *now, otd_diff_option_fn live_option, void *arg,
		       struct otd_err *err)
{
	struct otd_diff *d = calloc(1, sizeof(*d));
	*out = NULL;
	if (!d)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	*d = (struct otd_diff){
		.before = before, .now = now, .live_option = live_option, .arg = arg};
	struct walk w = {.d = d, .near = otd_yaml_root(now->doc)};
	const struct side a = {otd_yaml_root(before->doc), (const uint8_t *)before};
	const struct side b = {otd_yaml_root(now->doc), (const uint8_t *)now};
	table(&w, &otd_keys_main, &a, &b);
	coins(&w);
	if (w.failed) {
		otd_diff_destroy(d);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	*out = d;
	return OTD_OK;
}

void otd_diff_destroy(struct otd_diff *d)
{
	if (!d)
		return;
	otd_arena_finish(&d->arena);
	free(d->entry);
	free(d);
}

size_t otd_diff_count(const struct otd_diff *d)
{
	return d->n;
}

const struct otd_diff_key *otd_diff_key(const struct otd_diff *d, size_t i)
{
	return i < d->n ? &d->entry[i].key : NULL;
}

size_t otd_diff_not_live(const struct otd_diff *d)
{
	return d->n_not_live;
}

/* --- what a reload applies --- */

static otd_rc put_back(struct otd_yaml_doc *d, const struct entry *e)
{
	if (!e->old_yaml && e->old_text)
		return otd_yaml_put_text(d, e->part, e->n_parts, e->old_text);
	return otd_yaml_put(d, e->part, e->n_parts, e->old_yaml);
}

/* The file of this coin (NULL: the main file), a copy with what is not live as it was before. */
static otd_rc put_all_back(struct otd_yaml_doc **out, const struct otd_diff *d,
			   const struct otd_yaml *from, const struct otd_coin *coin)
{
	otd_rc rc = otd_yaml_copy_doc(out, from);
	for (size_t i = 0; rc == OTD_OK && i < d->n; i++) {
		if (!d->entry[i].key.live && d->entry[i].coin == coin)
			rc = put_back(*out, &d->entry[i]);
	}
	return rc;
}

otd_rc otd_diff_live_settings(struct otd_settings **out, struct otd_env *e,
			      const struct otd_diff *d, struct otd_err *err)
{
	const struct otd_settings *now = d->now;
	struct otd_yaml_doc *main_doc = NULL;
	struct otd_settings_coin_doc *coin = calloc(now->n_coins + 1, sizeof(*coin));
	otd_rc rc = coin ? put_all_back(&main_doc, d, otd_yaml_root(now->doc), NULL) : OTD_E_NOMEM;
	size_t n = 0;
	for (; rc == OTD_OK && n < now->n_coins; n++) {
		coin[n].id = now->coins[n].id;
		rc = put_all_back(&coin[n].doc, d, now->coins[n].at, &now->coins[n]);
	}
	if (rc)
		otd_fail(err, rc, "out of memory");
	else
		rc = otd_settings_from_docs(out, e, &main_doc, coin, n, err);
	otd_yaml_destroy(main_doc);
	for (size_t i = 0; coin && i < n; i++)
		otd_yaml_destroy(coin[i].doc);
	free(coin);
	return rc;
}
