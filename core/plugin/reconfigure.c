/* New options for an instance that runs: filled, tried in a child, taken, and taken back. */
#include "base/log.h"
#include "config/yaml.h"
#include "loop/loop.h"
#include "plugin/child.h"
#include "plugin/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REFUSED OTD_PLUGIN_REFUSED " "

struct otd_instance_change {
	struct otd_plugin_instance *in;
	const struct otd_yaml *yaml;
	void *options; /* the new ones; once they are taken, those of before */
	struct otd_plugin_arena *arena;
	bool taken;
};

bool otd_plugin_takes(const struct otd_plugin *pl, const char *option)
{
	if (!pl->kind->live_options || !pl->base.reconfigure)
		return false;
	for (uint32_t i = 0; i < pl->desc.n_options; i++) {
		if (strcmp(pl->options[i].name, option) == 0)
			return pl->options[i].flags & OTD_OPT_RELOADABLE;
	}
	return false;
}

/* "NAME: what" of an option NAME stands at its place in the file. */
static otd_rc refused(const struct otd_plugin *pl, const struct otd_yaml *options, const char *path,
		      const char *text, otd_rc rc, struct otd_err *err)
{
	const struct otd_option *o = otd_plugin_option_said(pl, text);
	const struct otd_yaml *at = o && options ? otd_yaml_get(options, o->name) : NULL;
	if (rc >= 0)
		rc = OTD_E_INVALID;
	if (!*text)
		return otd_yaml_fail(err, rc, options,
				     "%s: %s/%s refuses these options while it runs, and does not "
				     "say why (%s); restart for them, or put back what was there",
				     path, pl->kind->name, pl->desc.id, otd_rc_name(rc));
	return otd_yaml_fail(err, rc, at ? at : options, "%s%s%s", path, o ? "." : ": ", text);
}

otd_rc otd_instance_prepare(struct otd_instance_change **out, struct otd_plugin_instance *in,
			    const struct otd_yaml *options, struct otd_err *err)
{
	const struct otd_plugin *pl = in->plugin;
	struct otd_instance_change *c = calloc(1, sizeof(*c));
	otd_rc rc = OTD_OK;
	OTD_ON(OTD_THREAD_COORDINATOR);
	*out = NULL;
	if (c)
		c->options = calloc(1, pl->desc.options_size ? pl->desc.options_size : 1);
	if (!c || !c->options) {
		free(c);
		return otd_fail(err, OTD_E_NOMEM, "%s: no memory", in->path);
	}
	c->in = in;
	c->yaml = options;
	if (!pl->kind->live_options || !pl->base.reconfigure)
		rc = otd_yaml_fail(err, OTD_E_UNSUPPORTED, options,
				   "%s: %s/%s takes no new options while it runs; restart for them",
				   in->path, pl->kind->name, pl->desc.id);
	else
		rc = otd_plugin_options_fill(c->options, &c->arena, pl, options, in->path, err);
	if (rc)
		otd_instance_change_finish(c);
	else
		*out = c;
	return rc;
}

/* The instance may point into what it had before until destroy(): nothing of it is freed. */
static void keep_texts(struct otd_instance_change *c)
{
	struct otd_plugin_arena **end = &c->in->arena;
	while (*end)
		end = &(*end)->next;
	*end = c->arena;
	c->arena = NULL;
}

static otd_rc call(struct otd_instance_change *c, const void *options)
{
	struct otd_plugin_instance *in = c->in;
	otd_instance_clear_error(in);
	otd_plugin_step(in->plugin->set, "reconfigure()");
	return in->plugin->base.reconfigure(in->self, options);
}

otd_rc otd_instance_reconfigure(struct otd_instance_change *c, struct otd_err *err)
{
	struct otd_plugin_instance *in = c->in;
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_rc rc = call(c, c->options);
	if (rc)
		return refused(in->plugin, c->yaml, in->path, otd_instance_error(in), rc, err);
	void *before = in->options;
	in->options = c->options;
	c->options = before;
	c->taken = true;
	keep_texts(c);
	return OTD_OK;
}

void otd_instance_take_back(struct otd_instance_change *c)
{
	struct otd_plugin_instance *in = c->in;
	OTD_ON(OTD_THREAD_COORDINATOR);
	if (!c->taken)
		return;
	otd_rc rc = call(c, c->options);
	if (rc) {
		otd_log(OTD_LOG_ERROR, "plugin", "plugin.not_taken_back",
			"plugin=%s/%s of=%s error=%s hint=\"it refuses the options that it had "
			"before; it runs with those of the refused reload until a restart\"",
			in->plugin->kind->name, in->plugin->desc.id, in->path,
			OTD_Q(otd_instance_error(in)));
		return;
	}
	void *after = in->options;
	in->options = c->options;
	c->options = after;
}

void otd_instance_change_finish(struct otd_instance_change *c)
{
	if (!c)
		return;
	struct otd_plugin_kept *k = c->taken ? calloc(1, sizeof(*k)) : NULL;
	if (k) {
		*k = (struct otd_plugin_kept){c->in->kept, c->options};
		c->in->kept = k;
	} else if (!c->taken) {
		free(c->options);
		otd_plugin_arena_free(c->arena);
	} /* else no memory for the note of it: it stays, and nobody frees it */
	free(c);
}

void otd_plugin_kept_free(struct otd_plugin_kept *k)
{
	while (k) {
		struct otd_plugin_kept *next = k->next;
		free(k->options);
		free(k);
		k = next;
	}
}

/* --- tried in a child first --- */

static otd_rc put_line(struct otd_bytes *to, const struct otd_yaml *before,
		       const struct otd_yaml *after)
{
	(void)!otd_bytes_text(to, "[");
	otd_yaml_flow(to, before);
	(void)!otd_bytes_text(to, ", ");
	otd_yaml_flow(to, after);
	return otd_bytes_text(to, "]\n");
}

static const char *line_of(const char *report, const char *begins, char to[256])
{
	const char *at = strstr(report, begins);
	size_t n = at ? strcspn(at += strlen(begins), "\n") : 0;
	if (!at)
		return NULL;
	n = n < 255 ? n : 255;
	memcpy(to, at, n);
	to[n] = '\0';
	return to;
}

otd_rc otd_plugin_try_options(const struct otd_plugin *pl, const struct otd_yaml *before,
			      const struct otd_yaml *after, const char *path, struct otd_err *err)
{
	struct otd_bytes line, report;
	char text[256];
	otd_bytes_init(&line, OTD_CHILD_INPUT_MAX);
	otd_bytes_init(&report, 65536);
	otd_rc rc = OTD_OK;
	if (put_line(&line, before, after) != OTD_OK)
		rc = otd_yaml_fail(
			err, OTD_E_RANGE, after,
			"%s: too many options to be tried before they are taken; restart "
			"for them",
			path);
	else
		rc = otd_plugin_trial_run(pl, otd_bytes_span(&line), &report, err);
	if (rc == OTD_OK && report.len && line_of(otd_bytes_cstr(&report), REFUSED, text))
		rc = refused(pl, after, path, text, OTD_E_REFUSED, err);
	otd_bytes_finish(&line);
	otd_bytes_finish(&report);
	return rc;
}

void otd_instance_try_in_child(struct otd_plugin_instance *in, const struct otd_yaml *after)
{
	struct otd_instance_change *c = NULL;
	struct otd_err err = {0};
	char line[300];
	if (otd_instance_prepare(&c, in, after, &err) != OTD_OK)
		return; /* the parent says so, with its place */
	const void *before = in->options;
	if (call(c, c->options)) {
		(void)snprintf(line, sizeof(line), REFUSED "%.255s", otd_instance_error(in));
		for (char *s = line; *s; s++)
			*s = *s == '\n' ? ' ' : *s;
		otd_plugin_child_say(line);
	} else if (call(c, before)) {
		otd_plugin_child_say(REFUSED "it takes these options and then refuses those that "
					     "it had before: a reload could not be taken back");
	}
	c->taken = true; /* both are left to the instance */
	keep_texts(c);
	otd_instance_change_finish(c);
}
