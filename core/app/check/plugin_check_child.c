/* The child of a check: what it says to its parent, and the plugin in it. See plugin_check.h. */
#include "app/check/plugin_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/check/plugin_check_wire.h"
#include "base/log.h"
#include "config/yaml.h"
#include "loop/child.h"
#include "loop/loop.h"
/* For otd_plugin_options_fill alone: a check has a host of its own, and fills options as the real one. */
#include "plugin/internal.h"

static struct {
	const char *file, *options;
	struct otd_env env;
	struct otd_plugins *set;
	struct otd_plugin *plugin;
	void *filled;
	struct otd_plugin_arena *arena;
	bool failed;
} child;

/* --- words --- */

OTD_PRINTF(2, 0) static void say(char mark, const char *fmt, va_list ap)
{
	char line[OTD_PCHECK_LINE];
	int n;
	line[0] = mark;
	n = vsnprintf(line + 1, sizeof(line) - 2, fmt, ap);
	if (n < 0)
		n = 0;
	if ((size_t)n > sizeof(line) - 3)
		n = sizeof(line) - 3;
	for (char *p = line + 1; *p; p++) {
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = ' ';
	}
	line[1 + n] = '\n';
	otd_child_report(line, (size_t)n + 2);
}

void otd_pcheck_at(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(OTD_PCHECK_MARK_AT, fmt, ap);
	va_end(ap);
}

void otd_pcheck_ok(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(OTD_PCHECK_MARK_OK, fmt, ap);
	va_end(ap);
}

void otd_pcheck_skip(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(OTD_PCHECK_MARK_SKIP, fmt, ap);
	va_end(ap);
}

void otd_pcheck_warn(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(OTD_PCHECK_MARK_WARN, fmt, ap);
	va_end(ap);
}

void otd_pcheck_fail(const char *fmt, ...)
{
	va_list ap;
	child.failed = true;
	va_start(ap, fmt);
	say(OTD_PCHECK_MARK_FAIL, fmt, ap);
	va_end(ap);
}

bool otd_pcheck_failed(void)
{
	return child.failed;
}

OTD_PRINTF(2, 3) static void say_one(char mark, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	say(mark, fmt, ap);
	va_end(ap);
}

void otd_pcheck_usable(void)
{
	say_one(OTD_PCHECK_MARK_USABLE, "%s", "");
}

void otd_pcheck_figure(const char *name, uint64_t value)
{
	say_one(OTD_PCHECK_MARK_FIGURE, "%s %llu", name, (unsigned long long)value);
}

/* --- the plugin --- */

static uint64_t env_mono_ns(struct otd_env *e)
{
	(void)e;
	return otd_pcheck_mono_ns();
}

static int64_t env_wall_ms(struct otd_env *e)
{
	(void)e;
	return 1700000000000;
}

static void env_random(struct otd_env *e, void *to, size_t n)
{
	static uint64_t state = 1;
	uint8_t *p = to;
	(void)e;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)otd_pcheck_random(&state);
}

static const struct otd_env_ops env_ops = {
	.mono_ns = env_mono_ns, .wall_ms = env_wall_ms, .random = env_random};

static void step(const char *what)
{
	otd_pcheck_at("%s", what);
}

/* The messages of the host begin with the file, which the command's first line has said. */
static const char *without_file(const char *text)
{
	size_t n = strlen(child.file);
	return strncmp(text, child.file, n) == 0 && strncmp(text + n, ": ", 2) == 0 ? text + n + 2
										    : text;
}

const struct otd_plugin_desc *otd_pcheck_plugin(bool with_vectors)
{
	static const char *const all[] = {"*/*"};
	const struct otd_plugins_conf conf = {
		.enable = all, .n_enable = 1, .skip_vectors = !with_vectors, .step = step};
	struct otd_err err = {0};
	if (child.plugin)
		return otd_plugin_desc(child.plugin);
	child.env = (struct otd_env){&env_ops, otd_files_real()};
	otd_pcheck_at("the dynamic linker, and constructors of the file");
	if (otd_plugins_create(&child.set, &child.env, &conf, &err) == OTD_OK)
		child.plugin = otd_plugins_get_file(child.set, child.file, &err);
	if (!child.plugin)
		otd_pcheck_fail("%s", without_file(err.text));
	return child.plugin ? otd_plugin_desc(child.plugin) : NULL;
}

bool otd_pcheck_is(const char *kind)
{
	size_t n = strlen(kind);
	const char *mine = otd_plugin_desc(child.plugin)->kind;
	return strncmp(mine, kind, n) == 0 && mine[n] == '/';
}

const void *otd_pcheck_options(void)
{
	const struct otd_plugin_desc *d = otd_plugin_desc(child.plugin);
	struct otd_yaml_doc *doc = NULL;
	struct otd_err err = {0};
	otd_rc rc = OTD_OK;
	if (child.filled)
		return child.filled;
	child.filled = calloc(1, d->options_size ? d->options_size : 1);
	if (!child.filled)
		rc = otd_fail(&err, OTD_E_NOMEM, "no memory for its options");
	if (!rc && child.options)
		rc = otd_yaml_parse(&doc, child.options, strlen(child.options), "--options", &err);
	if (!rc)
		rc = otd_plugin_options_fill(child.filled, &child.arena, child.plugin,
					     doc ? otd_yaml_root(doc) : NULL, "options", &err);
	otd_yaml_destroy(doc);
	if (rc) {
		otd_pcheck_fail("%s; give options by --options '{NAME: VALUE}'", err.text);
		free(child.filled);
		child.filled = NULL;
	}
	return child.filled;
}

int otd_pcheck_stage_child(int argc, char **argv)
{
	const struct otd_child_limits limits = {.memory = OTD_PCHECK_MEMORY};
	const struct otd_pcheck_stage *stage = NULL;
	struct otd_log_conf quiet = {.path = "/dev/null"};
	if (argc < 2 || argc > 3)
		return 2;
	for (size_t i = 0; i < otd_pcheck_n_stages; i++) {
		if (strcmp(otd_pcheck_stages[i].name, argv[0]) == 0)
			stage = &otd_pcheck_stages[i];
	}
	if (!stage)
		return 2;
	otd_child_confine(&limits);
	/* What the host would log of a plugin is said by the check itself. */
	(void)!otd_log_init(&quiet, NULL, NULL, NULL);
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_REACTOR | OTD_THREAD_STORE |
		      OTD_THREAD_COMPUTE | OTD_THREAD_DEVICE);
	child.file = argv[1];
	child.options = argc > 2 ? argv[2] : NULL;
	stage->run();
	otd_pcheck_at("the end of the program");
	say_one(OTD_PCHECK_MARK_END, "%s", "");
	/* No destructor of the plugin's file runs after the end has been said. */
	(void)fflush(NULL);
	_exit(0);
}
