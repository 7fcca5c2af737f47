#include "config/settings_own.h"

#include <stdlib.h>
#include <string.h>

void otd_settings_destroy(struct otd_settings *s)
{
	if (!s)
		return;
	if (s->own) {
		for (size_t i = 0; i < s->own->n_docs; i++)
			otd_yaml_destroy(s->own->docs[i]);
		free(s->own->docs);
		otd_arena_finish(&s->own->extra.arena);
		free(s->own);
	}
	otd_yaml_destroy(s->doc);
	free(s);
}

const struct otd_yaml *otd_settings_at(const struct otd_settings *s, const char *section,
				       const char *name, const char *key)
{
	const struct otd_yaml *y = otd_yaml_get(otd_yaml_root(s->doc), section);
	const struct otd_yaml *entry = y && name ? otd_yaml_get(y, name) : y;
	const struct otd_yaml *value = entry ? otd_yaml_get(entry, key) : NULL;
	if (value)
		return value;
	return entry ? entry : otd_yaml_root(s->doc);
}

size_t otd_settings_enter(struct otd_reading *r, const char *section, const char *name)
{
	size_t outer = otd_read_enter(r, section);
	(void)otd_read_enter(r, name);
	return outer;
}

bool otd_settings_faulty(const struct otd_settings *s, const struct otd_yaml *y)
{
	/* The whole file stands for what is not written: its default is not faulty. */
	return y != otd_yaml_root(s->doc) && otd_read_faulty(&s->own->faulty, y);
}

static void on_yaml_problem(void *arg, const struct otd_err *err, const struct otd_yaml *at)
{
	otd_read_problem_whole(arg, err, at);
}

/* The main file with --set laid over it. */
static otd_rc load_main(struct otd_reading *r, struct otd_settings *s, struct otd_env *e,
			const struct otd_settings_source *src, struct otd_err *err)
{
	otd_rc rc = otd_yaml_load_on(&s->doc, e, src->file, on_yaml_problem, r, err);
	for (size_t i = 0; rc == OTD_OK && i < src->n_set; i++)
		rc = otd_yaml_set(s->doc, src->set[i], err);
	if (rc == OTD_OK && otd_yaml_kind(otd_yaml_root(s->doc)) != OTD_YAML_MAP)
		rc = otd_yaml_fail(err, OTD_E_INVALID, otd_yaml_root(s->doc),
				   "is not a configuration: it has no 'key: value' lines");
	return rc;
}

/* Of s->doc, which is there. */
static void read_all(struct otd_reading *r, struct otd_settings *s)
{
	const struct otd_yaml *root = otd_yaml_root(s->doc);
	s->file = otd_yaml_file(root);
	otd_read_table(r, &otd_keys_main, root, root, s);
	s->miner.on = otd_yaml_get(root, "miner") != NULL;
	otd_settings_coins(r, s);
	otd_settings_derive(r, s);
	otd_settings_check(r, s);
}

static struct otd_settings *new_settings(void)
{
	struct otd_settings *s = calloc(1, sizeof(*s));
	if (s)
		s->own = calloc(1, sizeof(*s->own));
	if (s && s->own)
		return s;
	free(s);
	return NULL;
}

otd_rc otd_settings_load(struct otd_settings **out, struct otd_env *e,
			 const struct otd_settings_source *src, struct otd_err *err)
{
	struct otd_settings *s = new_settings();
	struct otd_err first = {0};
	bool kept = false;
	otd_rc rc;
	*out = NULL;
	if (!s) {
		rc = otd_fail(&first, OTD_E_NOMEM, "%s: no memory", src->file);
		goto out;
	}
	struct otd_reading r = {.extra = &s->own->extra,
				.env = e,
				.err = &first,
				.problem = src->problem,
				.arg = src->arg,
				.faulty = &s->own->faulty};
	struct otd_err unread = {0};
	rc = load_main(&r, s, e, src, &unread);
	if (rc) {
		otd_read_problem_whole(&r, &unread, NULL);
		goto out;
	}
	read_all(&r, s);
	kept = src->keep;
	rc = otd_read_rc(&r);
out:
	if (rc && err)
		*err = first;
	if (rc && !kept) {
		otd_settings_destroy(s);
		return rc;
	}
	*out = s;
	return rc;
}

otd_rc otd_settings_from_docs(struct otd_settings **out, struct otd_env *e,
			      struct otd_yaml_doc **main_doc, struct otd_settings_coin_doc *coins,
			      size_t n_coins, struct otd_err *err)
{
	struct otd_settings *s = new_settings();
	*out = NULL;
	if (!s)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	struct otd_reading r = {
		.extra = &s->own->extra, .env = e, .err = err, .faulty = &s->own->faulty};
	s->doc = *main_doc;
	*main_doc = NULL;
	s->own->given = coins;
	s->own->n_given = n_coins;
	read_all(&r, s);
	s->own->given = NULL;
	s->own->n_given = 0;
	otd_rc rc = otd_read_rc(&r);
	if (rc)
		otd_settings_destroy(s);
	else
		*out = s;
	return rc;
}

const struct otd_settings_pool *otd_settings_pool(const struct otd_settings *s, const char *name)
{
	for (size_t i = 0; i < s->n_pools; i++) {
		if (strcmp(s->pools[i].name, name) == 0)
			return &s->pools[i];
	}
	return NULL;
}

const struct otd_settings_node *otd_settings_node(const struct otd_settings *s, const char *name)
{
	for (size_t i = 0; i < s->n_nodes; i++) {
		if (strcmp(s->nodes[i].name, name) == 0)
			return &s->nodes[i];
	}
	return NULL;
}
