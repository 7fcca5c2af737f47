/* See app/app_limits.h. */
#include "app/app_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "app/app_parts.h"
#include "base/log.h"
#include "stratum/turned_away.h"

/* --- lists --- */

/* PATH as it stands, or in the folder of the settings' file. */
static char *path_of(const struct otd_settings *s, const char *path)
{
	const char *slash = s->file ? strrchr(s->file, '/') : NULL;
	size_t folder = slash && *path != '/' ? (size_t)(slash - s->file) + 1 : 0;
	char *to = malloc(folder + strlen(path) + 1);

	if (!to)
		return NULL;
	if (folder)
		memcpy(to, s->file, folder);
	memcpy(to + folder, path, strlen(path) + 1);
	return to;
}

static otd_rc read_whole(struct otd_bytes *out, const struct otd_files *f, const char *path,
			 struct otd_err *err)
{
	struct otd_file *h = NULL;
	uint64_t size = 0;
	size_t got = 1;
	otd_rc rc = f->open(f->ctx, &h, path, OTD_OPEN_READ);

	if (rc)
		return otd_fail(err, rc, "%.200s cannot be read: %.120s", path,
				f->last_error(f->ctx));
	rc = f->length(f->ctx, h, &size);
	if (!rc && size > OTD_LISTS_FILE_MAX)
		rc = otd_fail(err, OTD_E_RANGE, "%.200s has more than %u bytes", path,
			      OTD_LISTS_FILE_MAX);
	while (!rc && got && out->len < size) {
		uint8_t *to = otd_bytes_room(out, size - out->len);
		rc = to ? f->read(f->ctx, h, &got, to, size - out->len, out->len) : OTD_E_NOMEM;
		out->len += rc ? 0 : got;
	}
	if (rc && !err->rc)
		rc = otd_fail(err, rc, "%.200s: %s", path, otd_rc_name(rc));
	f->close(f->ctx, h);
	return rc;
}

static otd_rc read_file(struct otd_lists *l, enum otd_list which, struct otd_env *e,
			const struct otd_settings *s, const char *path, struct otd_err *err)
{
	struct otd_bytes text;
	char *at = path_of(s, path);
	otd_rc rc = at ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");

	otd_bytes_init(&text, OTD_LISTS_FILE_MAX);
	if (rc == OTD_OK)
		rc = read_whole(&text, e->files, at, err);
	if (rc == OTD_OK)
		rc = otd_lists_read(l, which, at, (struct otd_span){text.ptr, text.len}, err);
	otd_bytes_finish(&text);
	free(at);
	return rc;
}

static otd_rc read_texts(struct otd_lists *l, enum otd_list which, struct otd_env *e,
			 const struct otd_settings *s, const struct otd_settings_texts *t,
			 struct otd_err *err)
{
	otd_rc rc = OTD_OK;

	for (size_t i = 0; rc == OTD_OK && i < t->n; i++) {
		struct otd_err why = {0};
		const char *item = t->item[i];
		if (strncmp(item, "file:", 5) == 0)
			rc = read_file(l, which, e, s, item + 5, &why);
		else
			rc = otd_lists_add(l, which, item, strlen(item), &why);
		if (rc != OTD_OK)
			rc = otd_yaml_fail(err, rc,
					   otd_settings_at(s, "limits", NULL, otd_list_name(which)),
					   "limits.%s: %.400s", otd_list_name(which), why.text);
	}
	return rc;
}

otd_rc otd_app_lists_read(struct otd_lists **out, struct otd_env *e, const struct otd_settings *s,
			  struct otd_err *err)
{
	otd_rc rc = otd_lists_create(out, e, 0);

	if (rc)
		return otd_fail(err, rc, "out of memory");
	rc = read_texts(*out, OTD_LIST_ALLOW, e, s, &s->limits.allow, err);
	if (rc == OTD_OK)
		rc = read_texts(*out, OTD_LIST_DENY, e, s, &s->limits.deny, err);
	if (rc == OTD_OK)
		rc = read_texts(*out, OTD_LIST_GREY, e, s, &s->limits.grey, err);
	if (rc == OTD_OK)
		return OTD_OK;
	otd_lists_destroy(*out);
	*out = NULL;
	return rc;
}

void otd_app_lists_take(struct otd_app *app, struct otd_lists **l)
{
	struct otd_lists *old = app->lists;

	if (!*l)
		return;
	otd_gate_set_lists(app->gate, *l);
	app->lists = *l;
	*l = NULL;
	otd_lists_destroy(old);
	otd_log(OTD_LOG_INFO, "app", "lists.taken", "allow=%zu deny=%zu grey=%zu",
		otd_lists_count(app->lists, OTD_LIST_ALLOW),
		otd_lists_count(app->lists, OTD_LIST_DENY),
		otd_lists_count(app->lists, OTD_LIST_GREY));
}

/* --- the file table --- */

/* Each of these is the most that one of them has open at once. */
enum {
	FILES_BASE = 176,   /* HTTP of both listeners, 64 each; log, database, control socket */
	FILES_REACTOR = 12, /* loop, journal, its folder */
	FILES_NODE = 24     /* calls of libcurl, a long poll, notices of blocks */
};

size_t otd_app_files_left(const struct otd_settings *s)
{
	struct rlimit r;
	size_t own = FILES_BASE + FILES_REACTOR * (size_t)s->threads.reactors +
		     FILES_NODE * s->n_nodes,
	       all;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
		return SIZE_MAX;
	all = (size_t)r.rlim_cur;
	/* Where there is hardly any room, half of it each. */
	all = all > 2 * own ? all - own : all / 2;
	/* Processes have a file table each. */
	return s->threads.processes ? all * (size_t)s->threads.processes : all;
}

otd_rc otd_app_limits_start(struct otd_app *app, struct otd_err *err)
{
	struct otd_lists *lists = NULL;
	otd_rc rc = otd_app_lists_read(&lists, app->env, app->settings, err);

	if (rc != OTD_OK)
		return rc;
	otd_app_lists_take(app, &lists);
	otd_gate_set_words(app->gate, otd_stratum_turned_away);
	size_t room = otd_app_files_left(app->settings);
	/* The limit is a bound and no wish; but where one address could take it all, that is one. */
	bool too_few = room < (size_t)app->settings->limits.connections_an_address;
	if (room < (size_t)app->settings->limits.connections)
		otd_log(too_few ? OTD_LOG_WARN : OTD_LOG_INFO, "app", "files.few",
			"connections=%zu limit=%lld why=\"open files\" hint=\"raise the limit of "
			"open "
			"files (ulimit -n, LimitNOFILE), or lower limits.connections\"",
			room, (long long)app->settings->limits.connections);
	return OTD_OK;
}

void otd_app_limits_finish(struct otd_app *app)
{
	otd_lists_destroy(app->lists);
	app->lists = NULL;
}
