/*
 * The verbs of `otedama plugin`, alphabetical: each in cmd_plugin_<verb>.c (list and info in
 * cmd_plugin_list.c), with flags and --help of its own, named "plugin VERB". A new one is declared
 * here and stands in the table of cmd_plugin.c; usage and --help follow.
 */
#ifndef OTD_APP_CMD_PLUGIN_H
#define OTD_APP_CMD_PLUGIN_H

#include "app/cmd/args.h"

extern const struct otd_cmd otd_plugin_check;
extern const struct otd_cmd otd_plugin_info;
extern const struct otd_cmd otd_plugin_list;
extern const struct otd_cmd otd_plugin_load;
extern const struct otd_cmd otd_plugin_lock;
extern const struct otd_cmd otd_plugin_new;
extern const struct otd_cmd otd_plugin_try;
extern const struct otd_cmd otd_plugin_swap;
extern const struct otd_cmd otd_plugin_unload;

#endif
