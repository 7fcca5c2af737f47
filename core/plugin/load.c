/* The set of plugins: find a file, judge it, map it, and keep what it says. */
#include "base/log.h"
#include "base/text.h"
#include "plugin/internal.h"
#include <dlfcn.h>
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_SUFFIX ".otd.so"
#define PATH_BYTES  4096

static void strings_free(char **s, size_t n)
{
	for (size_t i = 0; s && i < n; i++)
		free(s[i]);
	free(s);
}

static char **strings_copy(const char *const *from, size_t n)
{
	char **to = calloc(n ? n : 1, sizeof(*to));
	for (size_t i = 0; to && i < n; i++) {
		to[i] = strdup(from[i]);
		if (!to[i]) {
			strings_free(to, i);
			return NULL;
		}
	}
	return to;
}

static bool remove_copy(void *arg, const char *name)
{
	const struct otd_plugins *p = arg;
	const struct otd_files *fs = p->env->files;
	size_t n = strlen(name), suffix = strlen(COPY_SUFFIX);
	char path[PATH_BYTES];
	if (n > suffix && strcmp(name + n - suffix, COPY_SUFFIX) == 0 &&
	    snprintf(path, sizeof(path), "%s/%s", p->private_dir, name) < (int)sizeof(path))
		(void)!fs->remove(fs->ctx, path);
	return true;
}

static otd_rc private_dir_create(struct otd_plugins *p, struct otd_err *err)
{
	const struct otd_files *fs = p->env->files;
	otd_rc rc = fs->make_dir(fs->ctx, p->private_dir);
	if (!rc)
		rc = fs->list(fs->ctx, p->private_dir, remove_copy, p);
	return rc ? otd_fail(err, rc, "%s: %s", p->private_dir, fs->last_error(fs->ctx)) : OTD_OK;
}

otd_rc otd_plugins_create(struct otd_plugins **out, struct otd_env *e,
			  const struct otd_plugins_conf *conf, struct otd_err *err)
{
	struct otd_plugins *p = calloc(1, sizeof(*p));
	otd_rc rc = OTD_OK;
	*out = NULL;
	if (!p)
		return otd_fail(err, OTD_E_NOMEM, "plugins: no memory");
	p->env = e;
	p->dirs = strings_copy(conf->dirs, conf->n_dirs);
	p->n_dirs = p->dirs ? conf->n_dirs : 0;
	p->enable = strings_copy(conf->enable, conf->n_enable);
	p->n_enable = p->enable ? conf->n_enable : 0;
	p->skip_vectors = conf->skip_vectors;
	p->digests = strings_copy(conf->digests, conf->n_digests);
	p->n_digests = p->digests ? conf->n_digests : 0;
	p->safe_mode = conf->safe_mode;
	p->trial_ms = conf->trial_ms;
	p->trial_stop = conf->trial_stop;
	p->step = conf->step;
	if (conf->private_dir)
		p->private_dir = strdup(conf->private_dir);
	if (conf->trial_program)
		p->trial_program = strdup(conf->trial_program);
	if (!p->dirs || !p->enable || !p->digests || (conf->private_dir && !p->private_dir) ||
	    (conf->trial_program && !p->trial_program))
		rc = otd_fail(err, OTD_E_NOMEM, "plugins: no memory");
	else if (p->private_dir)
		rc = private_dir_create(p, err);
	if (rc)
		otd_plugins_destroy(p);
	else
		*out = p;
	return rc;
}

/* The image stays mapped: threads may still hold pointers into it. */
void otd_plugin_free(struct otd_plugin *pl)
{
	const struct otd_files *fs = pl->set->env->files;
	if (pl->copy)
		(void)!fs->remove(fs->ctx, pl->copy);
	if (pl->image)
		(void)dlclose(pl->image);
	free(pl->options);
	free(pl->vectors);
	free(pl->copy);
	free(pl->file);
	free(pl);
}

void otd_plugins_destroy(struct otd_plugins *p)
{
	if (!p)
		return;
	while (p->first) {
		struct otd_plugin *pl = p->first;
		p->first = pl->next;
		if (pl->n_instances)
			otd_log(OTD_LOG_WARN, "plugin", "plugin.in_use",
				"plugin=%s/%s instances=%u", pl->kind->name, pl->desc.id,
				pl->n_instances);
		otd_plugin_free(pl);
	}
	strings_free(p->dirs, p->n_dirs);
	strings_free(p->enable, p->n_enable);
	strings_free(p->digests, p->n_digests);
	free(p->trial_program);
	free(p->private_dir);
	free(p);
}

/* '*' stands for any number of characters. */
static bool matches(const char *pattern, const char *s)
{
	const char *star = NULL, *retry = NULL;
	while (*s) {
		if (*pattern == '*') {
			star = pattern++;
			retry = s;
		} else if (*pattern == *s) {
			pattern++;
			s++;
		} else if (star) {
			pattern = star + 1;
			s = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == 0;
}

static bool is_enabled(const struct otd_plugins *p, const char *kind, const char *id)
{
	char name[80];
	(void)snprintf(name, sizeof(name), "%.31s/%.31s", kind, id);
	for (size_t i = 0; i < p->n_enable; i++) {
		if (matches(p->enable[i], name))
			return true;
	}
	return false;
}

struct listing {
	struct otd_plugins *set;
	const char *dir, *kind;
	void (*each)(void *arg, const struct otd_plugin_found *f);
	void *arg;
};

static bool found_file(void *arg, const char *name)
{
	struct listing *l = arg;
	struct otd_note_desc note;
	struct otd_err err = {0};
	struct otd_plugin_found f = {.kind = l->kind, .refused = ""};
	char file[PATH_BYTES], id[32];
	size_t n = strlen(name);
	otd_rc rc;
	if (n < 4 || n > sizeof(id) + 2 || strcmp(name + n - 3, ".so") != 0)
		return true;
	memcpy(id, name, n - 3);
	id[n - 3] = 0;
	if (!otd_plugin_id_ok(id) ||
	    snprintf(file, sizeof(file), "%s/%s/%s", l->dir, l->kind, name) >= (int)sizeof(file))
		return true;
	rc = otd_plugin_trusted(file, &err);
	if (!rc)
		rc = otd_plugin_read_note(&note, l->set->env, file, &err);
	f.id = id;
	f.file = file;
	f.note = rc ? NULL : &note;
	f.refused = rc ? err.text : "";
	f.enabled = is_enabled(l->set, l->kind, id);
	f.loaded = otd_plugins_newest(l->set, l->kind, id);
	l->each(l->arg, &f);
	return true;
}

otd_rc otd_plugins_found(struct otd_plugins *p,
			 void (*each)(void *arg, const struct otd_plugin_found *f), void *arg,
			 struct otd_err *err)
{
	static const char *const kinds[] = {"algo", "chain",  "defi", "dex",
					    "hw",   "payout", "store"};
	const struct otd_files *fs = p->env->files;
	for (size_t i = 0; i < p->n_dirs; i++) {
		for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
			struct listing l = {p, p->dirs[i], kinds[k], each, arg};
			char folder[PATH_BYTES];
			otd_rc rc;
			if (snprintf(folder, sizeof(folder), "%s/%s", p->dirs[i], kinds[k]) >=
			    (int)sizeof(folder))
				return otd_fail(err, OTD_E_RANGE,
						"plugins.dirs: a path is too long");
			rc = fs->list(fs->ctx, folder, found_file, &l);
			if (rc && rc != OTD_E_NOT_FOUND)
				return otd_fail(err, rc, "%s: %s", folder, fs->last_error(fs->ctx));
		}
	}
	return OTD_OK;
}

/* Ids of one kind, to say which one was perhaps meant. */
struct ids {
	const char *kind;
	char name[64][32];
	const char *ptr[64];
	size_t n;
};

static void collect_id(void *arg, const struct otd_plugin_found *f)
{
	struct ids *ids = arg;
	if (ids->n < 64 && strcmp(f->kind, ids->kind) == 0) {
		(void)snprintf(ids->name[ids->n], sizeof(ids->name[0]), "%s", f->id);
		ids->ptr[ids->n] = ids->name[ids->n];
		ids->n++;
	}
}

static otd_rc not_found(struct otd_plugins *p, const char *kind, const char *id,
			struct otd_err *err)
{
	struct ids ids = {.kind = kind};
	const char *near = NULL;
	char where[240] = "";
	size_t at = 0;
	if (otd_plugins_found(p, collect_id, &ids, NULL) == OTD_OK)
		near = otd_nearest(id, ids.ptr, ids.n);
	for (size_t i = 0; i < p->n_dirs && at < sizeof(where) - 1; i++)
		at += (size_t)snprintf(where + at, sizeof(where) - at, "%s%s", i ? ", " : "",
				       p->dirs[i]);
	return otd_fail(err, OTD_E_NOT_FOUND, "plugin %s/%s: no file %s/%s.so below %s%s%s%s", kind,
			id, kind, id, p->n_dirs ? where : "any folder: plugins.dirs is empty",
			near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

static otd_rc find_file(struct otd_plugins *p, char file[PATH_BYTES], const char *kind,
			const char *id, struct otd_err *err)
{
	const struct otd_files *fs = p->env->files;
	for (size_t i = 0; i < p->n_dirs; i++) {
		bool there = false;
		otd_rc rc;
		if (snprintf(file, PATH_BYTES, "%s/%s/%s.so", p->dirs[i], kind, id) >= PATH_BYTES)
			return otd_fail(err, OTD_E_RANGE, "plugins.dirs: a path is too long");
		rc = fs->exists(fs->ctx, file, &there);
		if (rc)
			return otd_fail(err, rc, "%s: %s", file, fs->last_error(fs->ctx));
		if (there)
			return OTD_OK;
	}
	return not_found(p, kind, id, err);
}

/* The very bytes that were judged are what is mapped: a copy of our own. */
static otd_rc make_copy(struct otd_plugins *p, struct otd_plugin *pl, const char *kind,
			const char *id, const uint8_t *bytes, size_t n, struct otd_err *err)
{
	char path[PATH_BYTES];
	if (snprintf(path, sizeof(path), "%s/%s-%s-%.16s-%u" COPY_SUFFIX, p->private_dir, kind, id,
		     pl->digest, atomic_fetch_add(&p->copies, 1) + 1) >= (int)sizeof(path))
		return otd_fail(err, OTD_E_RANGE, "%s: the path is too long", p->private_dir);
	pl->copy = strdup(path);
	if (!pl->copy)
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", pl->file);
	return otd_plugin_file_write(p->env, path, bytes, n, err);
}

static otd_rc map_image(struct otd_plugin *pl, const struct otd_note_desc *note,
			struct otd_err *err)
{
	const char *path = pl->copy ? pl->copy : pl->file;
	char here[PATH_BYTES];
	const struct otd_plugin_desc *d;
	otd_plugin_entry entry = NULL;
	otd_rc rc;
	/* A name without a folder is one that dlopen() looks for among the system's libraries. */
	if (!strchr(path, '/')) {
		snprintf(here, sizeof(here), "./%s", path);
		path = here;
	}
	otd_plugin_step(pl->set, "its constructors (dlopen)");
	pl->image = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!pl->image)
		return otd_fail(err, OTD_E_REFUSED, "%s: the dynamic linker refuses it: %s",
				pl->file, dlerror());
	/* ISO C has no cast from object to function pointer; POSIX says that the bytes are. */
	void *symbol = dlsym(pl->image, OTD_PLUGIN_ENTRY);
	memcpy(&entry, &symbol, sizeof(entry));
	if (!entry)
		return otd_fail(err, OTD_E_CORRUPT,
				"%s: does not export " OTD_PLUGIN_ENTRY "(); mark it OTD_EXPORT",
				pl->file);
	otd_plugin_step(pl->set, OTD_PLUGIN_ENTRY "()");
	d = entry();
	if (!d)
		return otd_fail(err, OTD_E_REFUSED,
				"%s: " OTD_PLUGIN_ENTRY
				"() gives no descriptor: it cannot run here",
				pl->file);
	rc = otd_plugin_desc_copy(pl, d, err);
	if (!rc && (strcmp(pl->desc.kind, note->kind) != 0 || strcmp(pl->desc.id, note->id) != 0))
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "%s: its note says %s %s, its descriptor says %.40s %.40s", pl->file,
			      note->kind, note->id, pl->desc.kind, pl->desc.id);
	return rc;
}

/* What holds for files and builtins alike; pl's descriptor is there. */
static otd_rc check_answers(struct otd_plugins *p, struct otd_plugin *pl, struct otd_err *err)
{
	otd_rc rc = otd_plugin_options_check(pl, err);
	return rc || p->skip_vectors ? rc : otd_plugin_vectors_check(pl, err);
}

/* By its note it is what was asked for. */
static otd_rc check_place(const struct otd_note_desc *note, const char *kind, const char *id,
			  const char *file, struct otd_err *err)
{
	if (!kind || (strncmp(note->kind, kind, strlen(kind)) == 0 &&
		      note->kind[strlen(kind)] == '/' && strcmp(note->id, id) == 0))
		return OTD_OK;
	return otd_fail(err, OTD_E_INVALID,
			"%s: is %s %s by its note and lies in the wrong place: a plugin's file is "
			"KIND/ID.so",
			file, note->kind, note->id);
}

/* The bytes are judged; from here on its code runs. */
static otd_rc run_bytes(struct otd_plugin *pl, const struct otd_note_desc *note,
			const uint8_t *bytes, size_t n, const char *options, struct otd_err *err)
{
	struct otd_plugins *p = pl->set;
	uint8_t digest[32];
	char kind[32];
	otd_rc rc;
	(void)snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(note->kind, "/"), note->kind);
	otd_sha256(digest, bytes, n);
	otd_hex_encode(pl->digest, digest, sizeof(digest));
	rc = otd_plugin_pin_check(p, kind, note->id, pl->digest, pl->file, err);
	if (!rc && p->private_dir)
		rc = make_copy(p, pl, kind, note->id, bytes, n, err);
	if (!rc && pl->copy && p->trial_program)
		rc = otd_plugin_trial(p, pl, options, err);
	if (!rc)
		rc = map_image(pl, note, err);
	return rc ? rc : check_answers(p, pl, err);
}

otd_rc otd_plugin_from_file(struct otd_plugins *p, struct otd_plugin **out, const char *kind,
			    const char *id, const char *file, const char *options,
			    struct otd_err *err)
{
	struct otd_plugin *pl = calloc(1, sizeof(*pl));
	struct otd_note_desc note;
	uint8_t *bytes = NULL;
	size_t n = 0;
	otd_rc rc;
	*out = NULL;
	if (!pl || !(pl->file = strdup(file))) {
		free(pl);
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", file);
	}
	pl->set = p;
	rc = otd_plugin_trusted(file, err);
	if (!rc)
		rc = otd_plugin_file_read(&bytes, &n, p->env, file, err);
	if (!rc)
		rc = otd_plugin_elf_check(&note, bytes, n, file, err);
	if (!rc)
		rc = check_place(&note, kind, id, file, err);
	if (!rc)
		rc = run_bytes(pl, &note, bytes, n, options, err);
	free(bytes);
	if (rc)
		otd_plugin_free(pl);
	else
		*out = pl;
	return rc;
}

static struct otd_plugin *load(struct otd_plugins *p, const char *kind, const char *id,
			       const char *file, struct otd_err *err)
{
	struct otd_plugin *pl;
	if (otd_plugin_from_file(p, &pl, kind, id, file, NULL, err))
		return NULL;
	otd_plugin_publish(pl);
	return pl;
}

struct otd_plugin *otd_plugins_get(struct otd_plugins *p, const char *kind, const char *id,
				   struct otd_err *err)
{
	struct otd_plugin *pl;
	char file[PATH_BYTES];
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (!otd_plugin_kind_find(kind, strlen(kind)) || !otd_plugin_id_ok(id)) {
		(void)otd_fail(
			err, OTD_E_INVALID,
			"'%.40s/%.40s' names no plugin: the kinds are algo, chain, hw, payout and "
			"store, an id has a-z, 0-9 and '-'",
			kind, id);
		return NULL;
	}
	pl = otd_plugins_newest(p, kind, id);
	if (pl)
		return pl;
	if (find_file(p, file, kind, id, err))
		return NULL;
	if (!is_enabled(p, kind, id)) {
		(void)otd_fail(
			err, OTD_E_REFUSED,
			"plugin %s/%s is there (%s) but not enabled: add %s/%s to plugins.enable",
			kind, id, file, kind, id);
		return NULL;
	}
	return load(p, kind, id, file, err);
}

struct otd_plugin *otd_plugins_get_file(struct otd_plugins *p, const char *file,
					struct otd_err *err)
{
	struct otd_note_desc note;
	const struct otd_plugin_kind *kind;
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (otd_plugin_read_note(&note, p->env, file, err) ||
	    otd_plugin_kind_check(&kind, note.kind, file, err))
		return NULL;
	struct otd_plugin *pl = otd_plugins_newest(p, kind->name, note.id);
	if (pl) {
		(void)otd_fail(err, OTD_E_EXISTS, "%s: %s/%s is loaded already, from %s", file,
			       kind->name, note.id, pl->file);
		return NULL;
	}
	return load(p, kind->name, note.id, file, err);
}

otd_rc otd_plugins_add_builtin(struct otd_plugins *p, const struct otd_plugin_desc *desc,
			       struct otd_err *err)
{
	struct otd_plugin *pl = calloc(1, sizeof(*pl));
	otd_rc rc;
	if (!pl || !(pl->file = strdup("builtin"))) {
		free(pl);
		return otd_fail(err, OTD_E_NOMEM, "builtin plugin: no memory");
	}
	pl->set = p;
	rc = otd_plugin_desc_copy(pl, desc, err);
	if (!rc && otd_plugins_newest(p, pl->kind->name, pl->desc.id))
		rc = otd_fail(err, OTD_E_EXISTS, "plugin %s/%s is loaded already", pl->kind->name,
			      pl->desc.id);
	if (!rc)
		rc = check_answers(p, pl, err);
	if (rc)
		otd_plugin_free(pl);
	else
		otd_plugin_publish(pl);
	return rc;
}

otd_rc otd_plugins_find_file(struct otd_plugins *p, char *to, size_t cap, const char *kind,
			     const char *id, struct otd_err *err)
{
	char file[PATH_BYTES];
	otd_rc rc;
	if (!otd_plugin_kind_find(kind, strlen(kind)) || !otd_plugin_id_ok(id))
		return otd_fail(err, OTD_E_INVALID, "'%.40s/%.40s' names no plugin", kind, id);
	rc = find_file(p, file, kind, id, err);
	if (!rc && snprintf(to, cap, "%s", file) >= (int)cap)
		rc = otd_fail(err, OTD_E_RANGE, "%s: the path is too long", file);
	return rc;
}

void otd_plugins_each(struct otd_plugins *p, void (*each)(void *arg, struct otd_plugin *pl),
		      void *arg)
{
	for (struct otd_plugin *pl = p->first, *next; pl; pl = next) {
		next = pl->next;
		if (pl->n_instances || otd_plugins_newest(p, pl->kind->name, pl->desc.id) == pl)
			each(arg, pl);
	}
}

const struct otd_plugin_desc *otd_plugin_desc(const struct otd_plugin *pl)
{
	return &pl->desc;
}

const char *otd_plugin_image(const struct otd_plugin *pl)
{
	return pl->copy ? pl->copy : pl->file;
}

const char *otd_plugin_digest(const struct otd_plugin *pl)
{
	return pl->digest;
}
