/*
 * What several commands begin with: the real environment, the plugin folders, one plugin instance from
 * command-line options.
 */
#ifndef OTD_APP_SETUP_H
#define OTD_APP_SETUP_H

#include "app/cmd/args.h"
#include "base/env.h"
#include "base/metrics.h"
#include "plugin/plugin.h"

/* For commands other than serve: stderr, warnings and worse. */
void otd_log_only_warnings(void);

/* PROGRAM/plugins where it is there (a build folder), or the folder of this installation. */
struct otd_plugin_dirs {
	char beside[4200];
	const char *dir[2];
	size_t n;
};
void otd_plugin_dirs_default(struct otd_plugin_dirs *d);

/* An environment with nothing enabled but what the command asks for by name. */
struct otd_tool {
	struct otd_env *env;
	struct otd_metrics *metrics;
	struct otd_plugins *plugins;
	struct otd_plugin_dirs dirs;
};
/* dir: --plugin-dir, or NULL for the default folders. */
otd_rc otd_tool_init(struct otd_tool *t, const char *dir, struct otd_err *err);
void otd_tool_finish(struct otd_tool *t);
/* options: YAML flow mapping text ("{n: 2048}") or NULL. */
otd_rc otd_tool_instance(struct otd_tool *t, struct otd_plugin_instance **out, const char *kind,
			 const char *id, const char *options, struct otd_err *err);

#endif
