#include "pool/templates.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include <otedama/sha256.h>

#define NAME_BYTES 128
#define PATH_BYTES 600
#define SUFFIX     ".template"

/* One file, oldest first in the list. */
struct kept {
	struct kept *next;
	char name[NAME_BYTES];
	const void *chain; /* NULL: of an earlier run */
	uint8_t prev[32];
	uint64_t bytes; /* 0 of earlier ones: they are cut before they count */
};

enum task_kind { WRITE, REMOVE };

/* What is with the disk's worker. */
struct task {
	struct task *next;
	struct otd_templates *owner;
	enum task_kind kind;
	char name[NAME_BYTES];
	struct otd_bytes head, body;
	struct otd_err err;
};

struct otd_templates {
	struct otd_env *env;
	struct otd_worker *disk;
	char *folder;
	struct kept *list;
	size_t n;
	uint64_t bytes;
	struct task *tasks;
	bool fails; /* the last write did, and the log has it */
};

static void path_of(const struct otd_templates *t, const char *name, char path[PATH_BYTES])
{
	(void)snprintf(path, PATH_BYTES, "%s/%s", t->folder, name);
}

/* --- tasks --- */

static void end_task(struct task *k)
{
	struct task **at = &k->owner->tasks;
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	otd_bytes_finish(&k->head);
	otd_bytes_finish(&k->body);
	free(k);
}

static void run(void *arg) /* [disk] */
{
	struct task *k = arg;
	const struct otd_files *f = k->owner->env->files;
	char path[PATH_BYTES];
	path_of(k->owner, k->name, path);
	/* One that cannot be removed is found at the next start. */
	if (k->kind == REMOVE)
		(void)f->remove(f->ctx, path);
	else if (otd_template_write(f, path, otd_bytes_span(&k->head), otd_bytes_span(&k->body),
				    &k->err) != OTD_OK)
		(void)f->remove(f->ctx, path);
}

static struct kept *find(const struct otd_templates *t, const char *name)
{
	struct kept *k = t->list;
	while (k && strcmp(k->name, name) != 0)
		k = k->next;
	return k;
}

static void take_out(struct otd_templates *t, struct kept *k)
{
	struct kept **at = &t->list;
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	t->n--;
	t->bytes -= k->bytes;
	free(k);
}

static void done(void *arg)
{
	struct task *k = arg;
	struct otd_templates *t = k->owner;
	bool failed = k->err.rc != OTD_OK;
	struct kept *gone = failed ? find(t, k->name) : NULL;
	if (failed && !t->fails)
		otd_log(OTD_LOG_WARN, "pool", "template.not_kept", "file=%s error=%s", k->name,
			OTD_Q(k->err.text));
	if (k->kind == WRITE)
		t->fails = failed;
	if (gone)
		take_out(t, gone);
	end_task(k);
}

static otd_rc give(struct otd_templates *t, enum task_kind kind, const char *name,
		   struct otd_bytes *head, struct otd_bytes *body)
{
	struct task *k = calloc(1, sizeof(*k));
	if (!k)
		return OTD_E_NOMEM;
	k->owner = t;
	k->kind = kind;
	(void)snprintf(k->name, sizeof(k->name), "%s", name);
	if (head) {
		k->head = *head;
		k->body = *body;
		otd_bytes_init(head, 0);
		otd_bytes_init(body, 0);
	}
	k->next = t->tasks;
	t->tasks = k;
	otd_rc rc = t->env->ops->worker_give(t->disk, run, done, k);
	if (rc != OTD_OK)
		end_task(k);
	return rc;
}

/* --- which are kept --- */

static void cut(struct otd_templates *t, struct kept *k)
{
	if (give(t, REMOVE, k->name, NULL, NULL) != OTD_OK)
		otd_log(OTD_LOG_WARN, "pool", "template.left", "file=%s error=\"out of memory\"",
			k->name);
	take_out(t, k);
}

void otd_templates_cut_earlier(struct otd_templates *t)
{
	for (struct kept *k = t->list, *next; k; k = next) {
		next = k->next;
		if (!k->chain)
			cut(t, k);
	}
}

/* The tip that this chain was on before prev; NULL: none that is kept. */
static const uint8_t *tip_before(const struct otd_templates *t, const void *chain,
				 const uint8_t prev[32])
{
	const uint8_t *before = NULL;
	for (const struct kept *k = t->list; k; k = k->next) {
		if (k->chain == chain && memcmp(k->prev, prev, 32) != 0)
			before = k->prev;
	}
	return before;
}

static void cut_old(struct otd_templates *t, const void *chain, const uint8_t prev[32])
{
	uint8_t before[32];
	const uint8_t *tip = tip_before(t, chain, prev);
	if (tip)
		memcpy(before, tip, sizeof(before));
	for (struct kept *k = t->list, *next; k && tip; k = next) {
		next = k->next;
		if (k->chain == chain && memcmp(k->prev, prev, 32) != 0 &&
		    memcmp(k->prev, before, 32) != 0)
			cut(t, k);
	}
	while (t->n > OTD_TEMPLATES_MOST || (t->bytes > OTD_TEMPLATES_BYTES && t->n > 1))
		cut(t, t->list);
}

/* At the end of the list: the newest, and with the chain that it is of now. */
static struct kept *put_last(struct otd_templates *t, struct kept *k)
{
	struct kept **end = &t->list;
	while (*end)
		end = &(*end)->next;
	k->next = NULL;
	*end = k;
	return k;
}

static struct kept *add(struct otd_templates *t, const char *name)
{
	struct kept *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	(void)snprintf(k->name, sizeof(k->name), "%s", name);
	t->n++;
	return put_last(t, k);
}

/* The same bytes once more, of this run or an earlier one. */
static bool have_it(struct otd_templates *t, const char *name, const void *chain,
		    const uint8_t prev[32], uint64_t bytes)
{
	struct kept *k = find(t, name);
	if (!k)
		return false;
	struct kept **at = &t->list;
	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	t->bytes += bytes - k->bytes;
	k->bytes = bytes;
	k->chain = chain;
	memcpy(k->prev, prev, sizeof(k->prev));
	(void)put_last(t, k);
	return true;
}

void otd_templates_keep(struct otd_templates *t, const void *chain, uint64_t height,
			const uint8_t prev[32], struct otd_bytes *head, struct otd_bytes *body)
{
	char name[NAME_BYTES], hex[65], id[17];
	uint8_t digest[32];
	uint64_t bytes = (uint64_t)head->len + body->len;
	otd_hex_encode_reverse(hex, prev, 32);
	/* The head has the merkle branches: they say which transactions the body has. */
	otd_sha256d(digest, head->ptr, head->len);
	otd_hex_encode(id, digest, 8);
	(void)snprintf(name, sizeof(name), "%" PRIu64 "-%s-%s" SUFFIX, height, hex, id);
	if (!have_it(t, name, chain, prev, bytes)) {
		struct kept *k = add(t, name);
		if (k) {
			k->chain = chain;
			k->bytes = bytes;
			t->bytes += bytes;
			memcpy(k->prev, prev, sizeof(k->prev));
		}
		if (k && give(t, WRITE, name, head, body) != OTD_OK) {
			take_out(t, k);
			k = NULL;
		}
		if (!k)
			otd_log(OTD_LOG_WARN, "pool", "template.not_kept",
				"file=%s error=\"out of memory\"", name);
	}
	cut_old(t, chain, prev);
	otd_bytes_finish(head);
	otd_bytes_finish(body);
}

/* --- what earlier runs left --- */

static bool note(void *arg, const char *file)
{
	struct otd_templates *t = arg;
	size_t n = strlen(file), end = strlen(SUFFIX);
	/* One whose writing was not finished (.new) is of no use; it goes with the others. */
	bool whole = n > end && strcmp(file + n - end, SUFFIX) == 0;
	bool half = n > end + 4 && strcmp(file + n - end - 4, SUFFIX ".new") == 0;
	if ((whole || half) && n < NAME_BYTES && t->n < 4 * (size_t)OTD_TEMPLATES_MOST)
		(void)add(t, file);
	return true;
}

struct search {
	const struct otd_templates *t;
	char begin[96];
	otd_template_fn fn;
	void *arg;
	struct otd_err *err;
	size_t seen;
	bool found;
};

static void look(struct search *s, const struct kept *k)
{
	struct otd_bytes head, body;
	char path[PATH_BYTES];
	size_t n = strlen(k->name);
	if (strncmp(k->name, s->begin, strlen(s->begin)) != 0 ||
	    strcmp(k->name + n - 4, ".new") == 0)
		return;
	path_of(s->t, k->name, path);
	s->seen++;
	otd_bytes_init(&head, OTD_TEMPLATE_HEAD);
	otd_bytes_init(&body, OTD_TEMPLATE_BODY);
	if (otd_template_read(s->t->env->files, path, &head, &body, s->err) == OTD_OK)
		s->found = s->fn(s->arg, otd_bytes_span(&head), otd_bytes_span(&body), s->err);
	otd_bytes_finish(&head);
	otd_bytes_finish(&body);
}

otd_rc otd_templates_find(struct otd_templates *t, uint64_t height, const uint8_t prev[32],
			  otd_template_fn fn, void *arg, struct otd_err *err)
{
	struct otd_err last = {0};
	struct search s = {.t = t, .fn = fn, .arg = arg, .err = &last};
	char hex[65];
	otd_hex_encode_reverse(hex, prev, 32);
	(void)snprintf(s.begin, sizeof(s.begin), "%" PRIu64 "-%s-", height, hex);
	for (const struct kept *k = t->list; k && !s.found; k = k->next)
		look(&s, k);
	if (s.found)
		return OTD_OK;
	if (!s.seen)
		return otd_fail(err, OTD_E_NOT_FOUND, "%s has no template of its height and tip",
				t->folder);
	return otd_fail(err, OTD_E_NOT_FOUND, "none of %zu templates in %s is its own: %s", s.seen,
			t->folder, last.text);
}

/* --- life --- */

otd_rc otd_templates_create(struct otd_templates **out, struct otd_env *env,
			    struct otd_worker *disk, const char *data_dir, struct otd_err *err)
{
	const struct otd_files *f = env->files;
	struct otd_templates *t = calloc(1, sizeof(*t));
	size_t n = strlen(data_dir) + sizeof("/templates");
	*out = NULL;
	if (t)
		t->folder = malloc(n);
	if (!t || !t->folder) {
		free(t);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	t->env = env;
	t->disk = disk;
	(void)snprintf(t->folder, n, "%s/templates", data_dir);
	otd_rc rc = f->make_dir(f->ctx, t->folder);
	if (rc == OTD_OK)
		rc = f->list(f->ctx, t->folder, note, t);
	if (rc != OTD_OK) {
		otd_fail(err, rc, "cannot make or read %s: %s", t->folder, f->last_error(f->ctx));
		otd_templates_destroy(t);
		return rc;
	}
	*out = t;
	return OTD_OK;
}

void otd_templates_destroy(struct otd_templates *t)
{
	if (!t)
		return;
	while (t->tasks)
		end_task(t->tasks);
	while (t->list)
		take_out(t, t->list);
	free(t->folder);
	free(t);
}
