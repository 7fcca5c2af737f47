/* May this file run here: digests that the configuration names, and the trial in a child process. */
#include "base/log.h"
#include "base/text.h"
#include "plugin/child.h"
#include "plugin/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PASSED_MAX  (256u << 10) /* bytes of the file of digests that have passed */
#define PASSED_LINE 200
#define PATH_BYTES  4096

otd_rc otd_plugin_pin_check(const struct otd_plugins *p, const char *kind, const char *id,
			    const char *digest, const char *file, struct otd_err *err)
{
	char name[80];
	bool named = false;
	size_t n = (size_t)snprintf(name, sizeof(name), "%.31s/%.31s=", kind, id);
	for (size_t i = 0; i < p->n_digests; i++) {
		if (strncmp(p->digests[i], name, n) != 0)
			continue;
		named = true;
		if (strcmp(p->digests[i] + n, digest) == 0)
			return OTD_OK;
	}
	if (named)
		return otd_fail(
			err, OTD_E_REFUSED,
			"%s: its digest is %s, and plugins.digests has another for %s/%s: if "
			"you changed the file, put the new one there",
			file, digest, kind, id);
	if (p->safe_mode)
		return otd_fail(err, OTD_E_REFUSED,
				"%s: plugins.safe_mode is on, and plugins.digests does not name "
				"%s%s",
				file, name, digest);
	return OTD_OK;
}

/* --- what has passed --- */

/* A digest passes with one release of this program: another may test more. */
static void passed_line(char to[PASSED_LINE], const struct otd_plugin *pl)
{
	(void)snprintf(to, PASSED_LINE, "%s otedama %s\n", pl->digest, OTEDAMA_VERSION);
}

static bool passed_path(const struct otd_plugins *p, char to[PATH_BYTES])
{
	return snprintf(to, PATH_BYTES, "%s/passed", p->private_dir) < PATH_BYTES;
}

/* A file of this folder is as trustworthy as the folder; whoever may write there needs no trick. */
static uint8_t *passed_read(const struct otd_plugins *p, size_t *n)
{
	struct otd_err err;
	char path[PATH_BYTES];
	uint8_t *text = NULL;
	*n = 0;
	if (!passed_path(p, path) || otd_plugin_trusted(path, &err) ||
	    otd_plugin_file_read(&text, n, p->env, path, &err))
		return NULL;
	return text;
}

static bool has_passed(const struct otd_plugins *p, const struct otd_plugin *pl)
{
	char line[PASSED_LINE];
	size_t n;
	uint8_t *text = passed_read(p, &n);
	passed_line(line, pl);
	bool there = text && memmem(text, n, line, strlen(line));
	free(text);
	return there;
}

/* Not to be remembered costs a trial at the next start, no more. */
static void remember(struct otd_plugins *p, const struct otd_plugin *pl)
{
	struct otd_err err = {0};
	char path[PATH_BYTES], line[PASSED_LINE];
	struct otd_bytes all;
	size_t n;
	uint8_t *text = passed_read(p, &n);
	passed_line(line, pl);
	otd_bytes_init(&all, PASSED_MAX);
	if (text && n < PASSED_MAX / 2)
		(void)!otd_bytes_add(&all, text, n);
	(void)!otd_bytes_text(&all, line);
	if (!passed_path(p, path) || all.failed ||
	    otd_plugin_file_write(p->env, path, all.ptr, all.len, &err))
		otd_log(OTD_LOG_WARN, "plugin", "plugin.not_remembered", "error=%s",
			OTD_Q(err.text));
	otd_bytes_finish(&all);
	free(text);
}

/* --- the trial --- */

/* The child knows the copy only; people know the file. */
static void name_the_file(struct otd_err *err, const struct otd_plugin *pl)
{
	struct otd_err inner = *err;
	size_t n = strlen(pl->copy);
	if (strncmp(inner.text, pl->copy, n) == 0)
		(void)otd_fail(err, inner.rc, "%s%s", pl->file, inner.text + n);
}

otd_rc otd_plugin_trial_run(const struct otd_plugin *pl, struct otd_span input,
			    struct otd_bytes *own, struct otd_err *err)
{
	const struct otd_plugins *p = pl->set;
	int64_t wall_ms = p->trial_ms ? p->trial_ms : OTD_PLUGIN_CHILD_WALL_MS;
	char seconds[24];
	const char *argv[] = {p->trial_program, OTD_PLUGIN_TRIAL_VERB, pl->copy, seconds, NULL};
	const struct otd_plugin_child_conf conf = {.argv = argv,
						   .wall_ms = wall_ms,
						   .file = pl->file,
						   .stop = p->trial_stop,
						   .input = input};
	struct otd_err why = {0};
	if (!p->trial_program || !pl->copy)
		return OTD_OK;
	(void)snprintf(seconds, sizeof(seconds), "%lld", (long long)(wall_ms / 1000 + 1));
	otd_rc rc = otd_plugin_child_run(own, &conf, &why);
	if (rc == OTD_OK)
		return OTD_OK;
	name_the_file(&why, pl);
	return otd_fail(err, rc, "%s", why.text);
}

otd_rc otd_plugin_trial(struct otd_plugins *p, const struct otd_plugin *pl, const char *options,
			struct otd_err *err)
{
	uint64_t from = otd_mono_ns(p->env);
	bool passed = has_passed(p, pl);
	struct otd_span input = {0};
	if (passed && !options)
		return OTD_OK;
	if (options)
		input = (struct otd_span){(const uint8_t *)options, strlen(options)};
	otd_rc rc = otd_plugin_trial_run(pl, input, NULL, err);
	if (rc)
		return rc;
	otd_log(OTD_LOG_DEBUG, "plugin", "plugin.trial", "file=%s digest=%.16s ms=%llu",
		OTD_Q(pl->file), pl->digest,
		(unsigned long long)((otd_mono_ns(p->env) - from) / 1000000));
	if (!passed)
		remember(p, pl);
	return OTD_OK;
}
