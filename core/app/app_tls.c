#include "app/app_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/processes/processes.h"
#include "base/log.h"

#define TICK_MS 60000
#define DAY_MS  86400000LL

/* A certificate by the names of its files, which stay. */
struct entry {
	char *certificate, *key;
	struct otd_tls *tls;
	bool named; /* in the settings in force */
	bool was_named;
	/* of a change: the first port that has it, as long as its settings */
	const struct otd_settings_pool *pool;
	const struct otd_settings_port *port;
};

struct otd_app_tls {
	struct otd_app *app;
	struct otd_tls_tickets *tickets;
	struct otd_worker *worker;
	struct otd_timer *timer;
	struct entry *entry;
	size_t n, cap;
	char trouble[400];
	/* of the worker, while it writes */
	bool writing;
	struct otd_bytes keys;
	char file[300];
};

struct otd_app_tls_change {
	struct entry *entry; /* tls NULL: it was taken */
	size_t n, cap;
};

/* --- files --- */

static otd_rc look_at(const char *path, int fd, mode_t *mode, struct otd_err *err)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		return otd_fail(err, OTD_E_INVALID, "%s: is no file", path);
	if (st.st_size > OTD_TLS_PEM_MAX)
		return otd_fail(err, OTD_E_RANGE, "%s: is too large for a certificate", path);
	*mode = st.st_mode & 07777;
	return OTD_OK;
}

/* With a secret in it, it is its owner's, and its group may read. */
static otd_rc closed(const char *path, mode_t mode, struct otd_err *err)
{
	if (!(mode & (S_IRWXO | S_IWGRP)))
		return OTD_OK;
	return otd_fail(err, OTD_E_REFUSED,
			"%s: the key in it is open to others (mode %04o); chmod 640 %s, and make a "
			"new key if anybody may have read it",
			path, (unsigned)mode, path);
}

/* The file's bytes in *text, to be wiped and freed. */
static otd_rc read_file(const char *path, char **text, size_t *n, mode_t *mode, struct otd_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ssize_t got = 1;
	otd_rc rc;
	*text = NULL;
	*n = 0;
	if (fd < 0)
		return otd_fail(err, errno == ENOENT ? OTD_E_NOT_FOUND : OTD_E_IO,
				"%s: cannot be read: %s; name a PEM file that the pool's user may "
				"read",
				path, strerror(errno));
	rc = look_at(path, fd, mode, err);
	if (rc == OTD_OK) {
		*text = calloc(1, OTD_TLS_PEM_MAX + 1);
		if (!*text)
			rc = otd_fail(err, OTD_E_NOMEM, "%s: out of memory", path);
	}
	while (rc == OTD_OK && got > 0 && *n < OTD_TLS_PEM_MAX) {
		got = read(fd, *text + *n, OTD_TLS_PEM_MAX - *n);
		if (got > 0)
			*n += (size_t)got;
		else if (got < 0)
			rc = otd_fail(err, OTD_E_IO, "%s: %s", path, strerror(errno));
	}
	close(fd);
	return rc;
}

static void wipe(char *text)
{
	if (text)
		explicit_bzero(text, OTD_TLS_PEM_MAX + 1);
	free(text);
}

otd_rc otd_app_tls_read(struct otd_tls **out, struct otd_env *env,
			const struct otd_settings_tls *from, struct otd_tls_tickets *tickets,
			struct otd_metrics *metrics, struct otd_err *err)
{
	char *certificate = NULL, *key = NULL;
	size_t n_certificate = 0, n_key = 0;
	bool one = strcmp(from->certificate, from->key) == 0;
	mode_t mode = 0;
	otd_rc rc = read_file(from->certificate, &certificate, &n_certificate, &mode, err);
	*out = NULL;
	if (rc == OTD_OK && !one)
		rc = read_file(from->key, &key, &n_key, &mode, err);
	/* Where there is none in it, that is what is said. */
	if (rc == OTD_OK && strstr(one ? certificate : key, "PRIVATE KEY"))
		rc = closed(from->key, mode, err);
	if (rc == OTD_OK) {
		const struct otd_span text = {(const uint8_t *)certificate, n_certificate};
		const struct otd_span own = {(const uint8_t *)key, n_key};
		const struct otd_tls_conf conf = {.certificate_file = from->certificate,
						  .key_file = from->key,
						  .certificate = text,
						  .key = one ? text : own,
						  .tickets = tickets,
						  .metrics = metrics,
						  .env = env};
		rc = otd_tls_create(out, &conf, err);
	}
	wipe(certificate);
	wipe(key);
	return rc;
}

const char *otd_app_tls_worry(char *text, size_t cap, const struct otd_tls_facts *f,
			      const char *file, int64_t now_ms)
{
	struct otd_err err = {0};
	int64_t left = f->until_ms - now_ms;
	*text = '\0';
	if (otd_tls_validity(f, file, now_ms, &err) != OTD_OK)
		snprintf(text, cap, "%s", err.text);
	else if (left < OTD_APP_TLS_SOON_DAYS * DAY_MS)
		snprintf(text, cap,
			 "%s: the certificate ends in %lld %s; renew it, then 'otedama reload'",
			 file, (long long)(left < DAY_MS ? left / 3600000 : left / DAY_MS),
			 left < DAY_MS ? "hours" : "days");
	return text;
}

/* --- the table --- */

static bool same_files(const struct entry *e, const struct otd_settings_tls *t)
{
	return strcmp(e->certificate, t->certificate) == 0 && strcmp(e->key, t->key) == 0;
}

static struct entry *find(struct entry *e, size_t n, const struct otd_settings_tls *t)
{
	for (size_t i = 0; i < n; i++) {
		if (same_files(&e[i], t))
			return &e[i];
	}
	return NULL;
}

static void entry_free(struct entry *e)
{
	otd_tls_destroy(e->tls);
	free(e->certificate);
	free(e->key);
}

/* A place for these files behind the others; NULL: no memory. */
static struct entry *add(struct entry **at, size_t *n, size_t *cap,
			 const struct otd_settings_tls *t)
{
	if (*n == *cap) {
		size_t more = *cap ? 2 * *cap : 4;
		struct entry *p = realloc(*at, more * sizeof(*p));
		if (!p)
			return NULL;
		*at = p;
		*cap = more;
	}
	struct entry *e = &(*at)[*n];
	*e = (struct entry){.certificate = strdup(t->certificate), .key = strdup(t->key)};
	if (!e->certificate || !e->key) {
		entry_free(e);
		return NULL;
	}
	++*n;
	return e;
}

struct otd_tls *otd_app_tls_of(const struct otd_app *app, const struct otd_settings_tls *t)
{
	const struct otd_app_tls *a = app->tls;
	const struct entry *e = a && t->certificate ? find(a->entry, a->n, t) : NULL;
	return e ? e->tls : NULL;
}

struct otd_tls_tickets *otd_app_tls_tickets(const struct otd_app *app)
{
	return app->tls ? app->tls->tickets : NULL;
}

static void say_certificate(const struct otd_app *app, const struct entry *e, const char *event)
{
	struct otd_tls_facts f;
	char worry[500];
	otd_tls_facts(e->tls, &f);
	otd_log(OTD_LOG_INFO, "app", event,
		"file=%s names=\"%s\" key=\"%s\" digest=%.16s chain=%u days_left=%lld",
		OTD_Q(e->certificate), f.names, f.key, f.digest, f.chain,
		(long long)((f.until_ms - otd_wall_ms(app->env)) / DAY_MS));
	if (*otd_app_tls_worry(worry, sizeof(worry), &f, e->certificate, otd_wall_ms(app->env)))
		otd_log(OTD_LOG_WARN, "app", "tls.worry", "text=%s", OTD_Q(worry));
}

/* --- tickets over a restart --- */

static void write_keys(void *arg) /* the worker's thread */
{
	struct otd_app_tls *a = arg;
	char partial[320];
	snprintf(partial, sizeof(partial), "%s.partial", a->file);
	(void)unlink(partial);
	int fd = open(partial, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	bool good = fd >= 0 && write(fd, a->keys.ptr, a->keys.len) == (ssize_t)a->keys.len &&
		    fsync(fd) == 0;
	int why = errno;
	if (fd >= 0)
		close(fd);
	if (good && rename(partial, a->file) == 0)
		return;
	otd_log(OTD_LOG_WARN, "app", "tls.tickets_not_kept",
		"file=%s error=\"%s\" hint=\"miners make a whole handshake after a restart\"",
		OTD_Q(a->file), strerror(good ? errno : why));
	(void)unlink(partial);
}

static void keys_written(void *arg)
{
	struct otd_app_tls *a = arg;
	if (a->keys.ptr)
		explicit_bzero(a->keys.ptr, a->keys.cap);
	otd_bytes_finish(&a->keys);
	a->writing = false;
}

static void keep_keys(struct otd_app_tls *a)
{
	if (a->writing)
		return; /* they come an hour apart */
	a->writing = true;
	otd_bytes_init(&a->keys, 4096);
	if (otd_tls_tickets_export(a->tickets, &a->keys) != OTD_OK ||
	    a->app->env->ops->worker_give(a->worker, write_keys, keys_written, a) != OTD_OK)
		keys_written(a);
}

/* Those of before, where the file is ours alone. */
static void take_keys(struct otd_app_tls *a)
{
	struct otd_err err = {0};
	char *text = NULL;
	size_t n = 0;
	mode_t mode = 0;
	otd_rc rc = read_file(a->file, &text, &n, &mode, &err);
	if (rc == OTD_OK)
		rc = closed(a->file, mode, &err);
	if (rc == OTD_OK)
		rc = otd_tls_tickets_import(a->tickets, (struct otd_span){(const uint8_t *)text, n},
					    &err);
	if (rc != OTD_OK && rc != OTD_E_NOT_FOUND)
		otd_log(OTD_LOG_WARN, "app", "tls.tickets_not_taken",
			"error=%s hint=\"new ones are made\"", OTD_Q(err.text));
	wipe(text);
}

static void on_tick(void *arg)
{
	struct otd_app_tls *a = arg;
	if (otd_tls_tickets_turn(a->tickets))
		keep_keys(a);
	for (size_t i = 0; i < a->n; i++) {
		if (!a->entry[i].named)
			otd_tls_retire(a->entry[i].tls);
	}
}

/* --- life --- */

static otd_rc keep_tickets(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_tls *a = app->tls;
	const struct otd_env_ops *ops = app->env->ops;
	otd_rc rc = ops->worker_create(app->loop, &a->worker, "tls", err);
	if (rc != OTD_OK)
		return rc;
	if (!a->timer && ops->timer_create(app->loop, &a->timer, on_tick, a) != OTD_OK)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	take_keys(a);
	(void)otd_tls_tickets_turn(a->tickets);
	keep_keys(a);
	ops->timer_start(a->timer, TICK_MS, TICK_MS);
	return OTD_OK;
}

otd_rc otd_app_tls_start(struct otd_app *app, struct otd_err *err)
{
	struct otd_app_tls_change *c = NULL;
	struct otd_app_tls *a = calloc(1, sizeof(*a));
	if (!a)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	app->tls = a;
	a->app = app;
	snprintf(a->file, sizeof(a->file), "%s/" OTD_APP_TLS_TICKETS, app->data_dir);
	otd_rc rc = otd_tls_tickets_create(&a->tickets, app->env, err);
	if (rc == OTD_OK)
		rc = otd_app_tls_prepare(app, &c, app->settings, err);
	if (rc == OTD_OK)
		rc = otd_app_tls_offer(app, c, err);
	if (rc == OTD_OK)
		otd_app_tls_commit(app, c);
	else
		otd_app_tls_discard(c);
	return rc;
}

void otd_app_tls_stop(struct otd_app *app)
{
	struct otd_app_tls *a = app->tls;
	if (!a)
		return;
	if (a->timer)
		app->env->ops->timer_destroy(a->timer);
	if (a->worker)
		app->env->ops->worker_destroy(a->worker);
	if (a->writing)
		keys_written(a);
	for (size_t i = 0; i < a->n; i++)
		entry_free(&a->entry[i]);
	free(a->entry);
	otd_tls_tickets_destroy(a->tickets);
	free(a);
	app->tls = NULL;
}

/* --- a reload --- */

static otd_rc fail_at(struct otd_err *err, otd_rc rc, const struct entry *e,
		      const struct otd_err *why)
{
	return otd_yaml_fail(err, rc, e->port->tls.at, "pools.%s.ports.%s.tls: %s", e->pool->name,
			     e->port->name, why->text);
}

static otd_rc prepare_port(struct otd_app *app, struct otd_app_tls_change *c,
			   const struct otd_settings_pool *pool,
			   const struct otd_settings_port *port, struct otd_err *err)
{
	struct otd_err why = {0};
	if (!port->tls.certificate || find(c->entry, c->n, &port->tls))
		return OTD_OK;
	struct entry *e = add(&c->entry, &c->n, &c->cap, &port->tls);
	if (!e)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	e->pool = pool;
	e->port = port;
	otd_rc rc = otd_app_tls_read(&e->tls, app->env, &port->tls, otd_app_tls_tickets(app),
				     app->metrics, &why);
	return rc == OTD_OK ? rc : fail_at(err, rc, e, &why);
}

otd_rc otd_app_tls_prepare(struct otd_app *app, struct otd_app_tls_change **out,
			   const struct otd_settings *s, struct otd_err *err)
{
	struct otd_app_tls_change *c = calloc(1, sizeof(*c));
	otd_rc rc = c ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	*out = NULL;
	for (size_t i = 0; rc == OTD_OK && i < s->n_pools; i++) {
		const struct otd_settings_pool *p = &s->pools[i];
		for (size_t k = 0; rc == OTD_OK && k < p->n_ports; k++)
			rc = prepare_port(app, c, p, &p->ports[k], err);
	}
	if (rc == OTD_OK)
		*out = c;
	else
		otd_app_tls_discard(c);
	return rc;
}

/* One that is over does not take the place of one that is good. */
static otd_rc no_worse(const struct otd_app *app, const struct entry *old, const struct entry *now,
		       struct otd_err *err)
{
	struct otd_tls_facts f;
	struct otd_err why = {0};
	int64_t now_ms = otd_wall_ms(app->env);
	otd_tls_facts(old->tls, &f);
	if (otd_tls_validity(&f, old->certificate, now_ms, NULL) != OTD_OK)
		return OTD_OK;
	otd_tls_facts(now->tls, &f);
	otd_rc rc = otd_tls_validity(&f, now->certificate, now_ms, &why);
	return rc == OTD_OK ? rc : fail_at(err, rc, now, &why);
}

otd_rc otd_app_tls_offer(struct otd_app *app, struct otd_app_tls_change *c, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	struct otd_app_tls *a = app->tls;
	/* The first port with TLS ever: its tickets are to outlive a restart. */
	if (c->n && !a->worker)
		rc = keep_tickets(app, err);
	for (size_t i = 0; rc == OTD_OK && i < c->n; i++) {
		struct entry *now = &c->entry[i];
		const struct otd_settings_tls files = {now->certificate, now->key};
		struct entry *old = find(a->entry, a->n, &files);
		if (old) {
			rc = no_worse(app, old, now, err);
			continue;
		}
		old = add(&a->entry, &a->n, &a->cap, &files);
		if (!old)
			return otd_fail(err, OTD_E_NOMEM, "out of memory");
		old->tls = now->tls;
		now->tls = NULL;
	}
	return rc;
}

static void put_in_force(struct otd_app *app, struct entry *e, struct entry *now)
{
	struct otd_tls_facts before, after;
	otd_tls_facts(e->tls, &before);
	if (now->tls) {
		otd_tls_facts(now->tls, &after);
		otd_tls_replace(e->tls, now->tls);
		now->tls = NULL;
		if (e->was_named && strcmp(before.digest, after.digest) != 0)
			say_certificate(app, e, "tls.renewed");
	}
	if (!e->was_named)
		say_certificate(app, e, "tls.certificate");
	e->named = true;
}

void otd_app_tls_commit(struct otd_app *app, struct otd_app_tls_change *c)
{
	struct otd_app_tls *a = app->tls;
	for (size_t i = 0; i < a->n; i++) {
		a->entry[i].was_named = a->entry[i].named;
		a->entry[i].named = false;
	}
	for (size_t i = 0; c && i < c->n; i++) {
		const struct otd_settings_tls files = {c->entry[i].certificate, c->entry[i].key};
		put_in_force(app, find(a->entry, a->n, &files), &c->entry[i]);
	}
	otd_app_processes_renew(app);
	otd_app_tls_discard(c);
}

void otd_app_tls_discard(struct otd_app_tls_change *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->n; i++)
		entry_free(&c->entry[i]);
	free(c->entry);
	free(c);
}

const char *otd_app_tls_trouble(struct otd_app *app, size_t i)
{
	struct otd_app_tls *a = app->tls;
	struct otd_tls_facts f;
	if (!a || i >= a->n)
		return NULL;
	if (!a->entry[i].named)
		return "";
	otd_tls_facts(a->entry[i].tls, &f);
	return otd_app_tls_worry(a->trouble, sizeof(a->trouble), &f, a->entry[i].certificate,
				 otd_wall_ms(app->env));
}
