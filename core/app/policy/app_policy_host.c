/* What scripts are given: bans, labels, notices, feeds, and what they remember. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_ban.h"
#include "app/policy/app_policy_impl.h"
#include "base/log.h"
#include "net/bans.h"

#define FEED_SCRIPT \
	"#feed" /* no script can have such a name: '#' stands in none that is a file's */
#define TAG_SCRIPT    "#tag"
#define TOLD_A_SECOND 10

/* --- messages to the coordinator --- */

enum said { SAID_BAN, SAID_UNBAN, SAID_NOTIFY, SAID_ALERT, SAID_DIFFERENCE, SAID_CALL };

/* Flat: texts behind each other. */
struct message {
	struct otd_app *app;
	enum said what;
	enum otd_policy_scope scope;
	int64_t seconds;
	size_t second, third; /* where those texts begin */
	size_t n;
	char text[];
};

static void ban_there(struct otd_app_policy *p, const struct message *m)
{
	const struct otd_policy_ban b = {.script = m->text,
					 .scope = m->scope,
					 .what = m->text + m->second,
					 .seconds = m->seconds,
					 .reason = m->text + m->third};
	otd_app_ban_by_policy(p->app, &b);
}

static void keep_difference(struct otd_app_policy *p, const char *text)
{
	char **at = &p->difference[p->differences++ % POLICY_SHOWN];
	free(*at);
	*at = strdup(text);
}

static void keep_call(struct otd_app_policy *p, const struct message *m)
{
	if (!p->record[0])
		return;
	if (p->recorded.len + m->n > POLICY_RECORD_MAX ||
	    otd_bytes_add(&p->recorded, m->text, m->n - 1) || otd_bytes_text(&p->recorded, "\n"))
		p->record_lost++;
	else
		p->record_lines++;
}

static void heard(void *arg) /* [coordinator] */
{
	struct message *m = arg;
	struct otd_app_policy *p = m->app->policy;
	char text[POLICY_TEXT];
	if (p && !p->stopping) {
		switch (m->what) {
		case SAID_BAN: ban_there(p, m); break;
		case SAID_UNBAN:
			otd_app_unban_by_policy(p->app, m->text, m->scope, m->text + m->second);
			break;
		case SAID_NOTIFY:
			snprintf(text, sizeof(text), "%.80s: %.400s", m->text, m->text + m->second);
			policy_notice(p, text, false);
			break;
		case SAID_ALERT: policy_notice(p, m->text, true); break;
		case SAID_DIFFERENCE: keep_difference(p, m->text); break;
		case SAID_CALL: keep_call(p, m); break;
		}
	}
	free(m);
}

static struct message *message(struct policy_thread *t, enum said what, const char *a,
			       const char *b, const char *c)
{
	size_t an = strlen(a) + 1, bn = strlen(b) + 1, cn = strlen(c) + 1;
	struct message *m = malloc(sizeof(*m) + an + bn + cn);
	if (!m)
		return NULL;
	*m = (struct message){.app = t->app, .what = what, .second = an, .third = an + bn, .n = an};
	memcpy(m->text, a, an);
	memcpy(m->text + an, b, bn);
	memcpy(m->text + an + bn, c, cn);
	return m;
}

/* Also from the coordinator itself: what it leads to begins behind the hook. */
static otd_rc send(struct message *m)
{
	otd_rc rc = m ? otd_loop_post(m->app->loop, heard, m) : OTD_E_NOMEM;
	if (rc)
		free(m);
	return rc;
}

/* --- services --- */

static otd_rc service_ban(void *arg, const struct otd_policy_ban *b, struct otd_err *err)
{
	char what[OTD_BAN_WHAT_MAX + 1];
	otd_rc rc = otd_ban_what(what, (enum otd_ban_scope)b->scope, b->what, strlen(b->what), err);
	if (rc == OTD_OK)
		rc = otd_ban_reason_check(b->reason, strlen(b->reason), err);
	struct message *m = rc ? NULL : message(arg, SAID_BAN, b->script, what, b->reason);
	if (rc)
		return rc;
	if (m) {
		m->scope = b->scope;
		m->seconds = b->seconds;
	}
	rc = send(m);
	return rc ? otd_fail(err, rc, "out of memory") : OTD_OK;
}

static otd_rc service_unban(void *arg, const char *script, enum otd_policy_scope scope,
			    const char *what, struct otd_err *err)
{
	char one[OTD_BAN_WHAT_MAX + 1];
	otd_rc rc = otd_ban_what(one, (enum otd_ban_scope)scope, what, strlen(what), err);
	if (rc)
		return rc;
	struct message *m = message(arg, SAID_UNBAN, script, one, "");
	if (m)
		m->scope = scope;
	rc = send(m);
	return rc ? otd_fail(err, rc, "out of memory") : OTD_OK;
}

static void service_notify(void *arg, const char *script, const char *text)
{
	(void)send(message(arg, SAID_NOTIFY, script, text, ""));
}

static void service_alert(void *arg, const char *text)
{
	otd_log(OTD_LOG_ERROR, "policy", "alert", "text=%s", OTD_Q(text));
	(void)send(message(arg, SAID_ALERT, text, "", ""));
}

/* Labels and feeds are kept where scripts' memory is, so that both outlive a restart. */
static void service_tag(void *arg, const char *script, enum otd_policy_scope scope,
			const char *what, const char *label, int64_t seconds)
{
	struct policy_thread *t = arg;
	char key[OTD_KV_KEY_MAX + 1], text[160];
	int n = snprintf(key, sizeof(key), "%s %s", otd_ban_scope_name((enum otd_ban_scope)scope),
			 what);
	if (n < 0 || (size_t)n >= sizeof(key))
		return;
	n = snprintf(text, sizeof(text), "%.32s (%.63s)", label, script);
	const struct otd_policy_kv_value v = {.is_text = true,
					      .text = {(const uint8_t *)text, (size_t)n}};
	if (otd_policy_kv_set(t->kv, TAG_SCRIPT, key, &v, seconds) != OTD_OK)
		otd_log(OTD_LOG_WARN, "policy", "tag.lost", "what=%s", OTD_Q(what));
}

/* "MILLISECONDS VALUE" */
static otd_rc service_feed(void *arg, const char *name, struct otd_policy_feed *out)
{
	struct policy_thread *t = arg;
	struct otd_policy_kv_value v;
	char text[sizeof(out->text) + 32];
	if (!otd_policy_kv_get(t->kv, FEED_SCRIPT, name, &v) || !v.is_text ||
	    v.text.len >= sizeof(text))
		return OTD_E_NOT_FOUND;
	memcpy(text, v.text.ptr, v.text.len);
	text[v.text.len] = '\0';
	char *rest = NULL;
	long long since_ms = strtoll(text, &rest, 10);
	size_t n = *rest ? strlen(++rest) : 0;
	if (n >= sizeof(out->text))
		return OTD_E_NOT_FOUND;
	memcpy(out->text, rest, n + 1);
	out->age_s = (otd_wall_ms(t->app->env) - since_ms) / 1000;
	return OTD_OK;
}

otd_rc policy_feed_put(struct otd_app_policy *p, const char *name, const char *value)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "%" PRId64 " %s", otd_wall_ms(p->app->env), value);
	if (n < 0 || (size_t)n >= sizeof(text))
		return OTD_E_RANGE;
	const struct otd_policy_kv_value v = {.is_text = true,
					      .text = {(const uint8_t *)text, (size_t)n}};
	return otd_policy_kv_set(p->thread[0].kv, FEED_SCRIPT, name, &v, 7 * 86400);
}

bool policy_tag(struct otd_app_policy *p, const char *scope, const char *what, char *to, size_t cap)
{
	char key[OTD_KV_KEY_MAX + 1];
	struct otd_policy_kv_value v;
	int n = snprintf(key, sizeof(key), "%s %s", scope, what);
	if (n < 0 || (size_t)n >= sizeof(key) ||
	    !otd_policy_kv_get(p->thread[0].kv, TAG_SCRIPT, key, &v) || !v.is_text)
		return false;
	snprintf(to, cap, "%.*s", (int)v.text.len, (const char *)v.text.ptr);
	return true;
}

struct otd_policy_services policy_services(struct policy_thread *t)
{
	return (struct otd_policy_services){.arg = t,
					    .ban = service_ban,
					    .unban = service_unban,
					    .tag = service_tag,
					    .notify = service_notify,
					    .feed = service_feed,
					    .alert = service_alert};
}

void policy_notice(struct otd_app_policy *p, const char *text, bool alert)
{
	size_t i = p->n_notices++ % POLICY_NOTICES;
	size_t most = sizeof(p->alert) / sizeof(p->alert[0]);
	snprintf(p->notice[i], sizeof(p->notice[i]), "%s", text);
	p->notice_ms[i] = otd_wall_ms(p->app->env);
	for (size_t k = 0; alert && k < p->n_alerts; k++)
		alert = strcmp(p->alert[k], text) != 0;
	if (alert && p->n_alerts < most)
		snprintf(p->alert[p->n_alerts++], sizeof(p->alert[0]), "policy: %.480s", text);
}

/* --- differences of a shadow, and recorded calls --- */

void policy_difference(void *arg, const struct otd_policy_difference *d)
{
	struct policy_thread *t = arg;
	int64_t now_ms = (int64_t)(otd_mono_ns(t->app->env) / 1000000);
	struct otd_bytes b;
	if (now_ms - t->told_ms >= 1000) {
		t->told_ms = now_ms;
		t->told = 0;
	}
	if (t->told++ >= TOLD_A_SECOND)
		return; /* counted all the same: otd_policy_shadow_counts() */
	otd_bytes_init(&b, 1u << 20);
	(void)otd_bytes_format(&b, "{\"time_ms\":%" PRId64 ",\"where\":\"%s\",\"hook\":\"%s\"",
			       otd_wall_ms(t->app->env), t->where, otd_policy_hook_name(d->hook));
	(void)otd_bytes_text(&b, ",\"pool\":");
	(void)otd_bytes_json(&b, d->pool ? d->pool : "", d->pool ? strlen(d->pool) : 0);
	(void)otd_bytes_format(&b, ",\"in\":%s,\"now\":%s,\"shadow\":%s}", d->in, d->now,
			       d->shadow);
	if (!b.failed)
		(void)send(message(t, SAID_DIFFERENCE, otd_bytes_cstr(&b), "", ""));
	otd_bytes_finish(&b);
}

void policy_call(void *arg, const char *line, size_t n)
{
	struct policy_thread *t = arg;
	struct message *m = malloc(sizeof(*m) + n + 1);
	if (!m)
		return;
	*m = (struct message){.app = t->app, .what = SAID_CALL, .n = n + 1};
	memcpy(m->text, line, n);
	m->text[n] = '\0';
	(void)send(m);
}

struct record_write {
	struct otd_app_policy *p;
	struct otd_env *env;
	char file[512];
	struct otd_bytes text;
	uint64_t at;
	bool made;
	struct otd_err err;
};

static void record_run(void *arg) /* [background] */
{
	struct record_write *w = arg;
	const struct otd_files *f = w->env->files;
	struct otd_file *file = NULL;
	uint32_t flags = OTD_OPEN_WRITE | OTD_OPEN_CREATE | (w->made ? 0 : OTD_OPEN_EXCLUSIVE);
	w->err.rc = f->open(f->ctx, &file, w->file, flags);
	if (w->err.rc == OTD_OK)
		w->err.rc = f->write(f->ctx, file, w->text.ptr, w->text.len, w->at);
	if (w->err.rc)
		otd_fail(&w->err, w->err.rc, "%s: %s", w->file, f->last_error(f->ctx));
	f->close(f->ctx, file);
}

static void record_done(void *arg)
{
	struct record_write *w = arg;
	struct otd_app_policy *p = w->p;
	char text[POLICY_TEXT];
	p->record_writing = false;
	if (w->err.rc) {
		struct policy_orders *o = policy_orders_create(p);
		snprintf(text, sizeof(text), "the recording has ended: %.400s", w->err.text);
		policy_notice(p, text, true);
		p->record[0] = '\0';
		if (o)
			policy_order(p, o, POLICY_RECORD, NULL, false);
	} else {
		p->record_at = w->at + w->text.len;
		p->record_made = true;
	}
	otd_bytes_finish(&w->text);
	free(w);
}

void policy_record_tick(struct otd_app_policy *p)
{
	if (!p->record[0] || p->record_writing || (!p->recorded.len && p->record_made))
		return;
	struct record_write *w = calloc(1, sizeof(*w));
	if (!w)
		return;
	w->p = p;
	w->env = p->app->env;
	snprintf(w->file, sizeof(w->file), "%s", p->record);
	w->at = p->record_at;
	w->made = p->record_made;
	w->text = p->recorded;
	otd_bytes_init(&p->recorded, POLICY_RECORD_MAX);
	p->record_writing = true;
	if (!p->worker) { /* at the end: here and now */
		record_run(w);
		record_done(w);
	} else if (p->app->env->ops->worker_give(p->worker, record_run, record_done, w) != OTD_OK) {
		otd_fail(&w->err, OTD_E_NOMEM, "out of memory");
		record_done(w);
	}
}

/* --- what scripts remember: the same on every thread, and on disk --- */

struct kv_post {
	struct policy_thread *t; /* where it is applied */
	struct policy_thread *from;
	struct otd_bytes change;
};

static void kv_pass_on(struct otd_app_policy *p, const struct otd_bytes *change, size_t but);

static void kv_apply(struct policy_thread *t, const struct otd_bytes *b)
{
	struct otd_policy_kv_change c;
	otd_rc rc = otd_policy_kv_unpack(&c, (struct otd_span){b->ptr, b->len});
	if (rc == OTD_OK)
		rc = otd_policy_kv_apply(t->kv, &c);
	if (rc != OTD_OK && otd_log_on(OTD_LOG_DEBUG, "policy"))
		otd_log(OTD_LOG_DEBUG, "policy", "kv.not_applied", "where=%s error=%s", t->where,
			otd_rc_name(rc));
}

static void kv_arrived(void *arg) /* [t's thread] */
{
	struct kv_post *k = arg;
	struct otd_app_policy *p = k->t->app->policy;
	kv_apply(k->t, &k->change);
	if (k->t->index == 0) {
		p->kv_dirty = true;
		if (!p->stopping)
			kv_pass_on(p, &k->change, k->from->index);
	}
	otd_bytes_finish(&k->change);
	free(k);
}

static void kv_send(struct policy_thread *to, struct policy_thread *from,
		    const struct otd_bytes *change)
{
	struct kv_post *k = calloc(1, sizeof(*k));
	otd_rc rc = k ? OTD_OK : OTD_E_NOMEM;
	if (k) {
		k->t = to;
		k->from = from;
		otd_bytes_init(&k->change, OTD_KV_CHANGE_MAX);
		rc = otd_bytes_add(&k->change, change->ptr, change->len);
	}
	struct otd_loop *loop = to->index ? to->loop : to->app->loop;
	if (rc == OTD_OK && loop)
		rc = otd_loop_post(loop, kv_arrived, k);
	else
		rc = rc ? rc : OTD_E_CLOSED;
	if (rc && k) {
		otd_bytes_finish(&k->change);
		free(k);
	}
}

static void kv_pass_on(struct otd_app_policy *p, const struct otd_bytes *change, size_t but)
{
	for (size_t i = 1; i < p->n_threads; i++)
		if (i != but)
			kv_send(&p->thread[i], &p->thread[0], change);
}

void policy_kv_changed(void *arg, const struct otd_policy_kv_change *c)
{
	struct policy_thread *t = arg;
	struct otd_app_policy *p = t->app->policy;
	struct otd_bytes b;
	otd_bytes_init(&b, OTD_KV_CHANGE_MAX);
	if (otd_policy_kv_pack(&b, c) == OTD_OK) {
		if (t->index) {
			kv_send(&p->thread[0], t, &b);
		} else {
			p->kv_dirty = true;
			kv_pass_on(p, &b, 0);
		}
	}
	otd_bytes_finish(&b);
}

struct kv_file {
	struct otd_app_policy *p;
	struct otd_env *env;
	char path[600], fresh[616], dir[600];
	struct otd_bytes table;
	struct otd_err err;
};

static struct kv_file *kv_file(struct otd_app_policy *p, size_t room)
{
	struct kv_file *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->p = p;
	k->env = p->app->env;
	snprintf(k->dir, sizeof(k->dir), "%.560s", p->app->data_dir);
	snprintf(k->path, sizeof(k->path), "%.560s/" POLICY_KV_FILE, p->app->data_dir);
	snprintf(k->fresh, sizeof(k->fresh), "%.599s.new", k->path);
	otd_bytes_init(&k->table, room);
	return k;
}

static void kv_free(struct kv_file *k)
{
	if (k)
		otd_bytes_finish(&k->table);
	free(k);
}

static void kv_write(void *arg) /* [background] */
{
	struct kv_file *k = arg;
	const struct otd_files *f = k->env->files;
	struct otd_file *file = NULL;
	otd_rc rc = f->open(f->ctx, &file, k->fresh,
			    OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE);
	if (rc == OTD_OK)
		rc = f->write(f->ctx, file, k->table.ptr, k->table.len, 0);
	if (rc == OTD_OK)
		rc = f->sync(f->ctx, file);
	if (rc)
		otd_fail(&k->err, rc, "%s", f->last_error(f->ctx));
	f->close(f->ctx, file);
	if (rc == OTD_OK && (f->rename(f->ctx, k->fresh, k->path) || f->sync_dir(f->ctx, k->dir)))
		otd_fail(&k->err, OTD_E_IO, "%s", f->last_error(f->ctx));
}

static void kv_written(void *arg)
{
	struct kv_file *k = arg;
	struct otd_app_policy *p = k->p;
	p->kv_saving = false;
	p->kv_trouble[0] = '\0';
	if (k->err.rc) {
		p->kv_dirty = true;
		snprintf(p->kv_trouble, sizeof(p->kv_trouble),
			 "what policy scripts remember cannot be written to %.200s: %.200s",
			 k->path, k->err.text);
	}
	kv_free(k);
}

static void kv_save(struct otd_app_policy *p, bool now)
{
	struct kv_file *k = kv_file(p, otd_policy_kv_save_max(p->thread[0].kv) + 64);
	if (!k)
		return;
	p->kv_dirty = false;
	p->kv_saving = true;
	otd_rc rc = otd_policy_kv_save(p->thread[0].kv, &k->table);
	if (rc == OTD_OK && now) {
		kv_write(k);
		kv_written(k);
		return;
	}
	if (rc == OTD_OK)
		rc = p->app->env->ops->worker_give(p->worker, kv_write, kv_written, k);
	if (rc) {
		otd_fail(&k->err, rc, "%s", otd_rc_name(rc));
		kv_written(k);
	}
}

void policy_kv_tick(struct otd_app_policy *p, int64_t now_ms)
{
	if (!p->kv_dirty || p->kv_saving || now_ms - p->kv_ms < POLICY_SAVE_MS)
		return;
	p->kv_ms = now_ms;
	kv_save(p, false);
}

void policy_kv_close(struct otd_app_policy *p)
{
	if (p->kv_dirty && p->thread && p->thread[0].kv)
		kv_save(p, true);
}

static otd_rc kv_read(struct kv_file *k, struct otd_err *err)
{
	const struct otd_files *f = k->env->files;
	struct otd_file *file = NULL;
	uint64_t n = 0;
	size_t got = 0;
	otd_rc rc = f->open(f->ctx, &file, k->path, OTD_OPEN_READ);
	if (rc == OTD_E_NOT_FOUND)
		return rc;
	if (rc == OTD_OK)
		rc = f->length(f->ctx, file, &n);
	if (rc == OTD_OK && n > (256u << 20))
		rc = OTD_E_CORRUPT;
	otd_bytes_init(&k->table, (size_t)n + 1);
	uint8_t *to = rc ? NULL : otd_bytes_room(&k->table, (size_t)n + 1);
	if (rc == OTD_OK)
		rc = to ? f->read(f->ctx, file, &got, to, (size_t)n, 0) : OTD_E_NOMEM;
	k->table.len = rc ? 0 : got;
	f->close(f->ctx, file);
	return rc ? otd_fail(err, rc, "%s: %s", k->path, f->last_error(f->ctx)) : OTD_OK;
}

/* Damaged, it is put aside: scripts begin anew, and somebody is told. */
static void kv_aside(struct otd_app_policy *p, struct kv_file *k)
{
	const struct otd_files *f = k->env->files;
	char bad[616];
	snprintf(bad, sizeof(bad), "%.599s.damaged", k->path);
	(void)f->rename(f->ctx, k->path, bad);
	snprintf(p->alert[p->n_alerts++], sizeof(p->alert[0]),
		 "what policy scripts remembered is damaged, and was put aside as %.300s: they "
		 "begin "
		 "anew",
		 bad);
	otd_log(OTD_LOG_ERROR, "policy", "kv.damaged", "file=%s", OTD_Q(bad));
}

otd_rc policy_kv_open(struct otd_app_policy *p, struct otd_err *err)
{
	struct kv_file *k = kv_file(p, 1);
	if (!k)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	otd_rc rc = kv_read(k, err);
	const struct otd_span table = {k->table.ptr, k->table.len};
	for (size_t i = 0; rc == OTD_OK && i < p->n_threads; i++) {
		rc = otd_policy_kv_load(p->thread[i].kv, table);
		if (rc == OTD_E_CORRUPT) {
			kv_aside(p, k);
			break;
		}
	}
	kv_free(k);
	if (rc == OTD_E_NOT_FOUND || rc == OTD_E_CORRUPT) {
		*err = (struct otd_err){0};
		return OTD_OK;
	}
	return rc && !err->rc ? otd_fail(err, rc, "policy: %s", otd_rc_name(rc)) : rc;
}
