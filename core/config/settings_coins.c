/* Coin files: found by name in coin_dirs, each read once. */
#include "base/text.h"
#include "config/settings_own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 256 };

/* Where coin_dirs number i lies. */
static char *folder_of(struct otd_reading *r, const struct otd_settings *s, size_t i)
{
	const char *dir = s->coin_dirs.item[i], *slash = strrchr(s->file, '/');
	int n = slash && dir[0] != '/' ? (int)(slash - s->file) + 1 : 0;
	return otd_arena_format(&r->extra->arena, "%.*s%s", n, s->file, dir);
}

struct listing {
	struct otd_arena *arena;
	const char *name[NAMES_MAX];
	size_t n;
};

static bool list_one(void *arg, const char *file)
{
	struct listing *l = arg;
	size_t n = strlen(file);
	if (n > 5 && strcmp(file + n - 5, ".yaml") == 0 && l->n < NAMES_MAX) {
		l->name[l->n] = otd_arena_text(l->arena, file, n - 5);
		l->n += l->name[l->n] != NULL;
	}
	return l->n < NAMES_MAX;
}

static void not_found(struct otd_reading *r, const struct otd_settings *s, const char *id,
		      const struct otd_yaml *at)
{
	struct listing l = {.arena = &r->extra->arena};
	const struct otd_files *files = r->env->files;
	const char *first = NULL;
	for (size_t i = 0; i < s->coin_dirs.n; i++) {
		char *folder = folder_of(r, s, i);
		first = first ? first : folder;
		if (folder)
			(void)files->list(files->ctx, folder, list_one, &l);
	}
	const char *near = otd_nearest(id, l.name, l.n);
	otd_read_problem(r, OTD_E_NOT_FOUND, at, "coin", "'%s' has no file %.150s/%s.yaml%s%s%s",
			 id, first ? first : "", id,
			 near ? "; did you mean '" : "; write one, or see coin_dirs",
			 near ? near : "", near ? "'?" : "");
}

/* The file of this coin: given, or read now. */
static otd_rc coin_doc(struct otd_reading *r, const struct otd_settings_own *own, const char *id,
		       const char *file, struct otd_yaml_doc **doc, struct otd_err *err)
{
	for (size_t i = 0; i < own->n_given; i++) {
		if (!own->given[i].doc || strcmp(own->given[i].id, id) != 0)
			continue;
		*doc = own->given[i].doc;
		own->given[i].doc = NULL;
		return OTD_OK;
	}
	return otd_yaml_load(doc, r->env, file, err);
}

static void read_coin(struct otd_reading *r, struct otd_settings *s, struct otd_coin *c,
		      const char *file, const struct otd_yaml *at)
{
	struct otd_settings_own *own = s->own;
	struct otd_yaml_doc *doc = NULL, **docs;
	struct otd_err err = {0};
	otd_rc rc = coin_doc(r, own, c->id, file, &doc, &err);
	if (rc) {
		otd_read_problem_whole(r, &err, at);
		return;
	}
	docs = realloc(own->docs, (own->n_docs + 1) * sizeof(struct otd_yaml_doc *));
	if (!docs) {
		otd_yaml_destroy(doc);
		otd_read_no_memory(r);
		return;
	}
	own->docs = docs;
	own->docs[own->n_docs++] = doc;
	const struct otd_yaml *root = otd_yaml_root(doc);
	c->file = otd_yaml_file(root);
	c->at = root;
	struct otd_reading inner = *r; /* paths in a coin file begin anew */
	otd_read_leave(&inner, 0);
	if (otd_yaml_kind(root) != OTD_YAML_MAP)
		otd_read_problem(&inner, OTD_E_INVALID, root, NULL,
				 "is not a coin file: it has no 'key: value' lines");
	else
		otd_read_table(&inner, &otd_keys_coin, root, root, c);
	r->problems = inner.problems;
	c->whole = c->name && c->symbol && c->algorithm.id && c->chain.id;
}

/* The name of the file that it was read from before, where it is given; NULL. */
static const char *given_file(const struct otd_settings_own *own, const char *id)
{
	for (size_t i = 0; i < own->n_given; i++) {
		if (own->given[i].doc && strcmp(own->given[i].id, id) == 0)
			return otd_yaml_file(otd_yaml_root(own->given[i].doc));
	}
	return NULL;
}

/* The coin of this id, read now where it was not. NULL: there is a problem. */
static void use_coin(struct otd_reading *r, struct otd_settings *s, struct otd_coin *coins,
		     const char *id, const struct otd_yaml *at)
{
	const struct otd_files *files = r->env->files;
	if (!id)
		return;
	for (size_t i = 0; i < s->n_coins; i++) {
		if (strcmp(coins[i].id, id) == 0)
			return;
	}
	if (!otd_is_name(id)) {
		otd_read_problem(r, OTD_E_INVALID, at, "coin",
				 "'%.60s' is no name of a coin: use letters, digits, '-' and '_'",
				 id);
		return;
	}
	/* It may not lie there any more. */
	const char *given = given_file(s->own, id);
	if (given) {
		coins[s->n_coins].id = id;
		read_coin(r, s, &coins[s->n_coins++], given, at);
		return;
	}
	for (size_t i = 0; i < s->coin_dirs.n; i++) {
		char *folder = folder_of(r, s, i);
		char *file = folder ? otd_arena_format(&r->extra->arena, "%s/%s.yaml", folder, id)
				    : NULL;
		bool there = false;
		if (!file) {
			otd_read_no_memory(r);
			return;
		}
		if (files->exists(files->ctx, file, &there) || !there)
			continue;
		coins[s->n_coins].id = id;
		read_coin(r, s, &coins[s->n_coins++], file, at);
		return;
	}
	not_found(r, s, id, at);
}

void otd_settings_coins(struct otd_reading *r, struct otd_settings *s)
{
	struct otd_coin *coins =
		otd_arena_alloc(&r->extra->arena, (s->n_pools + s->n_nodes) * sizeof(*coins));
	if (!coins) {
		otd_read_no_memory(r);
		return;
	}
	s->coins = coins;
	for (size_t i = 0; i < s->n_pools; i++) {
		const char *name = s->pools[i].name;
		size_t outer = otd_settings_enter(r, "pools", name);
		use_coin(r, s, coins, s->pools[i].coin_id,
			 otd_settings_at(s, "pools", name, "coin"));
		otd_read_leave(r, outer);
	}
	for (size_t i = 0; i < s->n_nodes; i++) {
		const char *name = s->nodes[i].name;
		size_t outer = otd_settings_enter(r, "nodes", name);
		use_coin(r, s, coins, s->nodes[i].coin, otd_settings_at(s, "nodes", name, "coin"));
		otd_read_leave(r, outer);
	}
}
