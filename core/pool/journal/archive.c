#include "pool/journal/archive.h"

#include "base/log.h"
#include "base/text.h"
#include "pool/journal/archive_file.h"
#include "pool/journal/journal_format.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH     512
#define NAME     40
#define EVERY_MS 1000

struct otd_archive {
	struct otd_archive_conf conf, looking; /* looking: of the look that runs */
	char *data_dir;
	struct otd_worker *worker;
	struct otd_timer *timer;
	bool running, closing;
	/* of the look that runs, or ran last */
	struct otd_archive_sum sum;
	struct otd_err err;
	otd_rc rc;
	bool told; /* of a trouble that goes on */
	struct otd_metric *m_segments, *m_bytes, *m_dropped;
};

/* --- a segment goes there --- */

static otd_rc make_folders(const struct otd_files *f, const char *to)
{
	char parent[PATH];
	bool there = false;
	otd_rc rc = f->exists(f->ctx, to, &there);
	if (rc || there)
		return rc;
	size_t n = (size_t)(strrchr(to, '/') - to);
	memcpy(parent, to, n);
	parent[n] = '\0';
	rc = f->make_dir(f->ctx, parent);
	if (rc == OTD_OK)
		rc = f->make_dir(f->ctx, to);
	return rc == OTD_OK ? f->sync_dir(f->ctx, parent) : rc;
}

otd_rc otd_archive_move(struct otd_env *e, const char *dir, uint64_t id)
{
	const struct otd_files *f = e->files;
	char to[PATH], from_path[PATH], to_path[PATH];
	otd_rc rc = OTD_E_NOT_FOUND;
	if (!otd_journal_archive_dir(to, sizeof(to), dir) ||
	    !otd_journal_path(from_path, sizeof(from_path), dir, id) ||
	    !otd_journal_path(to_path, sizeof(to_path), to, id))
		return OTD_E_RANGE;
	/* Twice: a folder that is empty is being removed by the look below, maybe at this moment. */
	for (int i = 0; i < 2 && rc == OTD_E_NOT_FOUND; i++) {
		rc = make_folders(f, to);
		if (rc == OTD_OK)
			rc = f->rename(f->ctx, from_path, to_path);
	}
	return rc == OTD_OK ? f->sync_dir(f->ctx, to) : rc;
}

/* --- one look --- */

struct kept {
	char folder[NAME];
	uint64_t id, bytes;
	int64_t time_ms;
	bool raw; /* not packed yet */
};

struct look {
	const struct otd_archive_conf *conf;
	struct otd_env *env;
	const struct otd_files *f;
	struct otd_archive_sum *sum;
	char root[PATH];
	char folder[NAME]; /* being listed */
	struct kept *kept;
	size_t n, cap;
	char (*folders)[NAME];
	size_t n_folders, cap_folders;
	int64_t now_ms;
	otd_rc rc;
};

static bool path_of(const struct look *l, char to[PATH], const struct kept *k, const char *end)
{
	int n = snprintf(to, PATH, "%s/%s/%08llu%s", l->root, k->folder, (unsigned long long)k->id,
			 end);
	return n > 0 && n < PATH;
}

static void *room(void *items, size_t n, size_t *cap, size_t item)
{
	size_t want = *cap ? 2 * *cap : 64;
	void *more = n < *cap ? items : realloc(items, want * item);
	if (n == *cap && more)
		*cap = want;
	return more;
}

static bool take_folder(void *arg, const char *name)
{
	struct look *l = arg;
	size_t n = strlen(name);
	if (n >= NAME || strchr(name, '.'))
		return true;
	void *more = room(l->folders, l->n_folders, &l->cap_folders, NAME);
	if (!more) {
		l->rc = OTD_E_NOMEM;
		return false;
	}
	l->folders = more;
	memcpy(l->folders[l->n_folders++], name, n + 1);
	return true;
}

/* What a crash left of a packing is taken away here. */
static void remove_half(struct look *l, const char *name)
{
	char path[PATH];
	if (snprintf(path, sizeof(path), "%s/%s/%s", l->root, l->folder, name) < PATH)
		(void)l->f->remove(l->f->ctx, path);
}

static uint64_t length_of(const struct look *l, const char *path)
{
	struct otd_file *file = NULL;
	uint64_t n = 0;
	if (l->f->open(l->f->ctx, &file, path, OTD_OPEN_READ) == OTD_OK)
		(void)l->f->length(l->f->ctx, file, &n);
	l->f->close(l->f->ctx, file);
	return n;
}

static bool take_file(void *arg, const char *name)
{
	struct look *l = arg;
	const char *dot = strchr(name, '.');
	struct kept k = {.time_ms = l->now_ms};
	if (dot && strcmp(dot, ".new") == 0)
		remove_half(l, name);
	if (!dot || otd_parse_u64(&k.id, name, (size_t)(dot - name)) != OTD_OK ||
	    (strcmp(dot, ".otj") != 0 && strcmp(dot, OTD_JOURNAL_PACKED) != 0))
		return true;
	k.raw = strcmp(dot, ".otj") == 0;
	memcpy(k.folder, l->folder, NAME);
	void *more = room(l->kept, l->n, &l->cap, sizeof(*l->kept));
	if (!more) {
		l->rc = OTD_E_NOMEM;
		return false;
	}
	l->kept = more;
	l->kept[l->n++] = k;
	return true;
}

/* Sizes and ages. One whose head is damaged is as old as time itself: it goes first. */
static void measure(struct look *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct kept *k = &l->kept[i];
		struct otd_archive_head h;
		struct otd_err err = {0};
		char path[PATH];
		if (!path_of(l, path, k, k->raw ? ".otj" : OTD_JOURNAL_PACKED))
			continue;
		if (k->raw) {
			k->bytes = length_of(l, path);
			continue;
		}
		otd_rc rc = otd_archive_file_head(l->env, path, &h, &err);
		k->bytes = rc == OTD_OK ? OTD_ARCHIVE_HEAD + h.packed : length_of(l, path);
		k->time_ms = rc == OTD_OK ? h.time_ms : 0;
	}
}

static int oldest_first(const void *a, const void *b)
{
	const struct kept *x = a, *y = b;
	if (x->time_ms != y->time_ms)
		return x->time_ms < y->time_ms ? -1 : 1;
	int folder = strcmp(x->folder, y->folder);
	if (folder)
		return folder;
	return x->id < y->id ? -1 : x->id > y->id;
}

static otd_rc list_all(struct look *l)
{
	bool there = false;
	otd_rc rc = l->f->exists(l->f->ctx, l->root, &there);
	if (rc || !there)
		return rc;
	rc = l->f->list(l->f->ctx, l->root, take_folder, l);
	for (size_t i = 0; rc == OTD_OK && l->rc == OTD_OK && i < l->n_folders; i++) {
		size_t before = l->n;
		char path[PATH];
		memcpy(l->folder, l->folders[i], NAME);
		(void)snprintf(path, sizeof(path), "%.440s/%s", l->root, l->folder);
		rc = l->f->list(l->f->ctx, path, take_file, l);
		if (rc == OTD_OK && l->n == before) /* all of it has gone */
			(void)l->f->remove(l->f->ctx, path);
	}
	if (rc == OTD_OK)
		rc = l->rc;
	if (rc)
		return rc;
	measure(l);
	if (l->n > 1)
		qsort(l->kept, l->n, sizeof(*l->kept), oldest_first);
	return OTD_OK;
}

static bool drop(struct look *l, const struct kept *k)
{
	char path[PATH];
	if (!path_of(l, path, k, k->raw ? ".otj" : OTD_JOURNAL_PACKED) ||
	    l->f->remove(l->f->ctx, path) != OTD_OK)
		return false;
	l->sum->bytes -= k->bytes;
	l->sum->segments--;
	return true;
}

/* How many of the oldest go. */
static size_t cut(struct look *l)
{
	const struct otd_archive_conf *c = l->conf;
	size_t i = 0;
	uint64_t room_left = 0;
	for (; i < l->n; i++) {
		const struct kept *k = &l->kept[i];
		bool old = c->keep_ms && l->now_ms - k->time_ms > c->keep_ms;
		bool much = c->keep_bytes && l->sum->bytes > c->keep_bytes;
		bool full = false;
		if (!old && !much)
			full = l->f->free_bytes(l->f->ctx, l->root, &room_left) == OTD_OK &&
			       room_left < c->free_bytes;
		if ((!old && !much && !full) || !drop(l, k))
			break;
		l->sum->removed++;
		l->sum->dropped += full;
	}
	return i;
}

static otd_rc pack_one(struct look *l, const struct kept *k, struct otd_err *err)
{
	const struct otd_files *f = l->f;
	char from[PATH], to[PATH], fresh[PATH], folder[PATH];
	if (!path_of(l, from, k, ".otj") || !path_of(l, to, k, OTD_JOURNAL_PACKED) ||
	    !path_of(l, fresh, k, ".new"))
		return OTD_E_RANGE;
	(void)snprintf(folder, sizeof(folder), "%.440s/%s", l->root, k->folder);
	otd_rc rc = otd_archive_file_pack(l->env, from, fresh, k->id, l->conf->compress, l->now_ms,
					  err);
	if (rc == OTD_OK) {
		rc = f->rename(f->ctx, fresh, to);
		if (rc == OTD_OK)
			rc = f->sync_dir(f->ctx, folder);
		if (rc == OTD_OK)
			rc = f->remove(f->ctx, from);
		if (rc)
			(void)otd_fail(err, rc, "archive: cannot put %s in the place of %s: %s", to,
				       from, f->last_error(f->ctx));
	}
	if (rc)
		(void)f->remove(f->ctx, fresh);
	return rc;
}

otd_rc otd_archive_look(const struct otd_archive_conf *conf, struct otd_env *e,
			struct otd_archive_sum *out, struct otd_err *err)
{
	struct look l = {
		.conf = conf, .env = e, .f = e->files, .sum = out, .now_ms = otd_wall_ms(e)};
	*out = (struct otd_archive_sum){0};
	int n = snprintf(l.root, sizeof(l.root), "%s/archive", conf->data_dir);
	if (n < 0 || (size_t)n + NAME + 16 >= sizeof(l.root))
		return otd_fail(err, OTD_E_RANGE, "data_dir %s: the path is too long",
				conf->data_dir);
	otd_rc rc = list_all(&l);
	if (rc)
		(void)otd_fail(err, rc, "archive: cannot look through %s: %s", l.root,
			       rc == OTD_E_NOMEM ? "out of memory"
						 : e->files->last_error(e->files->ctx));
	for (size_t i = 0; i < l.n; i++) {
		out->bytes += l.kept[i].bytes;
		out->segments++;
	}
	bool packed = false;
	for (size_t i = rc == OTD_OK ? cut(&l) : l.n; rc == OTD_OK && i < l.n; i++) {
		if (!l.kept[i].raw)
			continue;
		out->more = packed;
		if (packed)
			break;
		rc = pack_one(&l, &l.kept[i], err);
		out->packed += rc == OTD_OK;
		packed = true;
	}
	free(l.kept);
	free(l.folders);
	return rc;
}

/* --- now and then --- */

static void run(void *arg)
{
	struct otd_archive *a = arg;
	a->err = (struct otd_err){0};
	a->rc = otd_archive_look(&a->looking, a->looking.loop->env, &a->sum, &a->err);
}

static void tell(struct otd_archive *a)
{
	if (a->rc && !a->told)
		otd_log(OTD_LOG_WARN, "pool", "archive.failed", "error=%s", OTD_Q(a->err.text));
	a->told = a->rc != OTD_OK;
	if (a->sum.dropped)
		otd_log(OTD_LOG_WARN, "pool", "archive.dropped",
			"segments=%llu why=\"the disk is nearly full\" kept=%llu",
			(unsigned long long)a->sum.dropped, (unsigned long long)a->sum.segments);
	if (a->sum.packed || a->sum.removed)
		otd_log(OTD_LOG_DEBUG, "pool", "archive.looked",
			"packed=%llu removed=%llu kept=%llu bytes=%llu",
			(unsigned long long)a->sum.packed, (unsigned long long)a->sum.removed,
			(unsigned long long)a->sum.segments, (unsigned long long)a->sum.bytes);
	if (a->m_segments) {
		otd_metric_set(a->m_segments, (int64_t)a->sum.segments);
		otd_metric_set(a->m_bytes, (int64_t)a->sum.bytes);
		otd_metric_add(a->m_dropped, (int64_t)a->sum.dropped);
	}
}

static void look_later(struct otd_archive *a, int64_t ms)
{
	if (!a->conf.idle)
		a->conf.loop->env->ops->timer_start(a->timer, ms, 0);
}

static void done(void *arg)
{
	struct otd_archive *a = arg;
	a->running = false;
	if (a->closing)
		return;
	tell(a);
	look_later(a, a->sum.more && a->rc == OTD_OK ? 1 : a->conf.every_ms);
}

static void on_timer(void *arg)
{
	struct otd_archive *a = arg;
	const struct otd_env_ops *ops = a->conf.loop->env->ops;
	if (a->running || a->conf.idle)
		return;
	a->looking = a->conf;
	a->running = ops->worker_give(a->worker, run, done, a) == OTD_OK;
	if (!a->running)
		look_later(a, a->conf.every_ms);
}

void otd_archive_set(struct otd_archive *a, int64_t keep_ms, uint64_t keep_bytes, bool compress)
{
	a->conf.keep_ms = keep_ms;
	a->conf.keep_bytes = keep_bytes;
	a->conf.compress = compress;
	a->conf.idle = !keep_ms && !keep_bytes;
	if (!a->running)
		look_later(a, a->conf.every_ms);
}

static void create_metrics(struct otd_archive *a)
{
	struct otd_metrics *m = a->conf.metrics;
	if (!m)
		return;
	a->m_segments = otd_metric(m, OTD_GAUGE, "otd_archive_segments", "",
				   "Segments of journals that are kept though nothing needs them");
	a->m_bytes = otd_metric(m, OTD_GAUGE, "otd_archive_bytes", "", "What they take on disk");
	a->m_dropped =
		otd_metric(m, OTD_COUNTER, "otd_archive_dropped_total", "",
			   "Archived segments removed early because the disk was nearly full");
}

otd_rc otd_archive_create(struct otd_archive **out, const struct otd_archive_conf *conf,
			  struct otd_err *err)
{
	struct otd_archive *a = calloc(1, sizeof(*a));
	const struct otd_env_ops *ops = conf->loop->env->ops;
	*out = NULL;
	if (!a)
		return otd_fail(err, OTD_E_NOMEM, "archive: out of memory");
	size_t n = strlen(conf->data_dir);
	a->conf = *conf;
	a->conf.every_ms = conf->every_ms ? conf->every_ms : EVERY_MS;
	a->data_dir = malloc(n + 1);
	otd_rc rc = a->data_dir ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "archive: out of memory");
	if (rc == OTD_OK) {
		memcpy(a->data_dir, conf->data_dir, n + 1);
		a->conf.data_dir = a->data_dir;
		create_metrics(a);
		rc = ops->worker_create(conf->loop, &a->worker, "archive", err);
	}
	if (rc == OTD_OK) {
		rc = ops->timer_create(conf->loop, &a->timer, on_timer, a);
		if (rc)
			(void)otd_fail(err, rc, "archive: no timer");
	}
	if (rc) {
		otd_archive_destroy(a);
		return rc;
	}
	look_later(a, a->conf.every_ms);
	*out = a;
	return OTD_OK;
}

void otd_archive_destroy(struct otd_archive *a)
{
	if (!a)
		return;
	const struct otd_env_ops *ops = a->conf.loop->env->ops;
	a->closing = true;
	if (a->timer)
		ops->timer_destroy(a->timer);
	if (a->worker)
		ops->worker_destroy(a->worker);
	free(a->data_dir);
	free(a);
}
