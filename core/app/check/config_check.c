/* config check: the order of its parts, and how findings are kept and shown. */
#include "app/check/config_check.h"
#include "app/policy/app_policy.h"

#include <ctype.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app_parts.h"
#include "app/processes/processes.h"

/* --- findings --- */

const char *otd_check_key(struct otd_check *c, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(c->key, sizeof(c->key), fmt, ap);
	va_end(ap);
	return c->key;
}

void otd_check_note(struct otd_check *c, const char *fmt, ...)
{
	va_list ap;
	if (c->json)
		return;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static void show(const struct otd_check *c, const struct otd_check_problem *p)
{
	if (c->json)
		return;
	fprintf(stderr, "otedama: %s: %s", c->cmd->name,
		p->level == OTD_CHECK_WARNING ? "warning: " : "");
	if (*p->file)
		fprintf(stderr, "%s:%d:%d: ", p->file, p->line, p->column);
	fprintf(stderr, "%s%s%s\n", p->key, *p->key ? ": " : "", p->text);
}

static void keep(struct otd_check *c, const struct otd_check_problem *p)
{
	for (size_t i = 0; i < c->n_problems; i++) {
		const struct otd_check_problem *o = &c->problem[i];
		if (o->line == p->line && o->column == p->column && strcmp(o->file, p->file) == 0 &&
		    strcmp(o->key, p->key) == 0 && strcmp(o->text, p->text) == 0)
			return;
	}
	if (p->level == OTD_CHECK_FAULT)
		c->n_faults++;
	else
		c->n_warnings++;
	show(c, p);
	if (c->n_problems < OTD_CHECK_PROBLEMS)
		c->problem[c->n_problems++] = *p;
}

void otd_check_say(struct otd_check *c, enum otd_check_level level, const struct otd_yaml *at,
		   const char *key, const char *fmt, ...)
{
	struct otd_check_problem p = {.level = level};
	va_list ap;
	if (at) {
		snprintf(p.file, sizeof(p.file), "%s", otd_yaml_file(at));
		p.line = otd_yaml_line(at);
		p.column = otd_yaml_column(at);
	}
	snprintf(p.key, sizeof(p.key), "%s", key ? key : "");
	va_start(ap, fmt);
	vsnprintf(p.text, sizeof(p.text), fmt, ap);
	va_end(ap);
	keep(c, &p);
}

/* "FILE:LINE:COLUMN: " in front of s: its length, 0 where there is none. */
static size_t place_of(struct otd_check_problem *p, const char *s)
{
	for (const char *colon = strchr(s, ':'); colon; colon = strchr(colon + 1, ':')) {
		int line, column, used = 0;
		if (!isdigit((unsigned char)colon[1]) ||
		    sscanf(colon, ":%9d:%9d: %n", &line, &column, &used) != 2 || used == 0)
			continue;
		snprintf(p->file, sizeof(p->file), "%.*s", (int)(colon - s), s);
		p->line = line;
		p->column = column;
		return (size_t)(colon - s) + (size_t)used;
	}
	return 0;
}

void otd_check_take(struct otd_check *c, enum otd_check_level level, const struct otd_err *err)
{
	struct otd_check_problem p = {.level = level};
	const char *s = err->text;
	size_t place = place_of(&p, s);
	s += place;
	size_t key = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	if (place && key > 0 && s[key] == ':' && s[key + 1] == ' ') {
		snprintf(p.key, sizeof(p.key), "%.*s", (int)key, s);
		s += key + 2;
	}
	snprintf(p.text, sizeof(p.text), "%s", s);
	keep(c, &p);
}

static void on_problem(void *arg, const struct otd_err *err)
{
	otd_check_take(arg, OTD_CHECK_FAULT, err);
}

static int print_json(const struct otd_check *c, const char *file)
{
	json_t *list = json_array(), *root;
	for (size_t i = 0; i < c->n_problems; i++) {
		const struct otd_check_problem *p = &c->problem[i];
		json_array_append_new(list,
				      json_pack("{s:s, s:s*, s:i, s:i, s:s*, s:s}", "level",
						p->level == OTD_CHECK_FAULT ? "fault" : "warning",
						"file", *p->file ? p->file : NULL, "line", p->line,
						"column", p->column, "key", *p->key ? p->key : NULL,
						"text", p->text));
	}
	root = json_pack("{s:s, s:b, s:i, s:i, s:o, s:O}", "file", file, "ok", c->n_faults == 0,
			 "faults", (int)c->n_faults, "warnings", (int)c->n_warnings, "problems",
			 list, "nodes", c->nodes);
	if (!root)
		return otd_cmd_fail(c->cmd, "out of memory");
	json_dumpf(root, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(root);
	return c->n_faults ? OTD_EXIT_FAILED : OTD_EXIT_OK;
}

static int finish(const struct otd_check *c, const char *file)
{
	if (c->json)
		return print_json(c, file);
	if (c->n_faults > 1)
		return otd_cmd_fail(c->cmd, "%zu faults; nothing was changed", c->n_faults);
	if (c->n_faults)
		return OTD_EXIT_FAILED;
	printf("%s: ok\n", file);
	return OTD_EXIT_OK;
}

/* --- the order --- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
	(void)st, (void)flag, (void)at;
	return remove(path);
}

void otd_check_folder_remove(const char *folder)
{
	(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void on_policy(void *arg, const struct otd_err *err)
{
	otd_check_take(arg, OTD_CHECK_FAULT, err);
}

/* Each part leaves out what is faulty already. */
static void check_all(struct otd_check *c)
{
	struct otd_err err = {0};
	if (!c->offline)
		otd_check_machine(c);
	static const char *const all[] = {"*/*"};
	struct otd_settings *s = c->app.settings;
	const struct otd_yaml *enable = otd_settings_at(s, "plugins", NULL, "enable");
	/* What the list leaves out was said; who is not in a list that is wrong is not known. */
	if (otd_settings_faulty(s, enable))
		s->plugins.enable = (struct otd_settings_texts){all, 1};
	otd_rc rc = c->app.env->ops->loop_create(c->app.env, &c->app.loop, "check", &err);
	if (rc == OTD_OK)
		rc = otd_app_make_plugins(&c->app, &err);
	if (rc != OTD_OK) {
		otd_check_take(c, OTD_CHECK_FAULT, &err);
		return;
	}
	otd_check_plugins(c);
	otd_check_tls(c);
	if (otd_app_processes_fit(&s->threads, &err) != OTD_OK)
		otd_check_take(c, OTD_CHECK_FAULT, &err);
	(void)!otd_app_policy_check(c->app.env, s, on_policy, c);
	if (c->offline)
		return;
	otd_check_ports(c);
	otd_check_nodes(c);
}

/* The real folder may have a running pool on it, and looking must not make one. */
static void check_in(struct otd_check *c, const char *folder)
{
	c->app.data_dir = folder;
	c->app.metrics = otd_metrics_create();
	if (c->app.metrics)
		check_all(c);
	else
		otd_check_say(c, OTD_CHECK_FAULT, NULL, NULL, "out of memory");
	otd_check_nodes_finish(c);
	otd_check_plugins_finish(c);
	if (c->app.plugins)
		otd_plugins_destroy(c->app.plugins);
	if (c->app.loop)
		c->app.env->ops->loop_destroy(c->app.loop);
	otd_metrics_destroy(c->app.metrics);
}

int otd_config_check(const struct otd_cmd *cmd, const char *file, const struct otd_arg_list *set,
		     bool offline, bool json)
{
	char folder[] = "/tmp/otedama-check-XXXXXX";
	struct otd_check c = {.app = {.lock_fd = -1}, .cmd = cmd, .offline = offline, .json = json};
	struct otd_err err = {0};
	int status = OTD_EXIT_FAILED;
	c.problem = calloc(OTD_CHECK_PROBLEMS, sizeof(*c.problem));
	c.nodes = json_array();
	otd_log_only_warnings();
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	if (!c.problem || !c.nodes || otd_env_real_create(&c.app.env, NULL, &err) != OTD_OK) {
		otd_cmd_fail(cmd, "%s", *err.text ? err.text : "out of memory");
		goto out;
	}
	struct otd_settings_source source = {.file = file,
					     .set = set->item,
					     .n_set = set->n,
					     .problem = on_problem,
					     .arg = &c,
					     .keep = true};
	(void)!otd_settings_load(&c.app.settings, c.app.env, &source, &err);
	if (c.app.settings && mkdtemp(folder)) {
		check_in(&c, folder);
		otd_check_folder_remove(folder);
	} else if (c.app.settings) {
		otd_check_say(&c, OTD_CHECK_FAULT, NULL, NULL,
			      "cannot make a folder in /tmp; free some of its space");
	}
	status = finish(&c, file);
out:
	otd_settings_destroy(c.app.settings);
	otd_env_real_destroy(c.app.env);
	json_decref(c.nodes);
	free(c.problem);
	return status;
}
