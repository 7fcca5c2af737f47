/*
 * config check: everything that can be said of a configuration before a pool runs on it. Each part
 * says what it finds and goes on, so that one run names all. Faults keep a pool from running or
 * from paying; warnings do not.
 */
#ifndef OTD_APP_CONFIG_CHECK_H
#define OTD_APP_CONFIG_CHECK_H

#include "app/app.h"
#include "app/cmd/args.h"
#include <jansson.h>

enum otd_check_level { OTD_CHECK_FAULT, OTD_CHECK_WARNING };

struct otd_check_problem {
	enum otd_check_level level;
	char file[256]; /* "": of no line of a file */
	int line, column;
	char key[192]; /* "pools.ltc.fee.rate"; "": none */
	char text[512];
};

/* A pool whose plugins could be made. */
struct otd_check_pool {
	const struct otd_settings_pool *settings;
	struct otd_plugin_instance *algo, *plugin;
	struct otd_chain *chain; /* NULL: its nodes were asked for another pool */
};

struct otd_check {
	struct otd_app app; /* env, settings, plugins; its data_dir is a temporary one */
	const struct otd_cmd *cmd;
	bool offline, json;
	struct otd_check_problem *problem;
	size_t n_problems, n_faults, n_warnings;
	json_t *nodes;
	bool running;     /* a pool runs on the data_dir of the settings */
	long running_pid; /* 0: unknown */
	bool data_readable;
	struct otd_check_pool *pools;
	size_t n_pools;
	struct otd_check_node *asked; /* config_check_nodes.c */
	size_t n_asked, n_open;
	char key[256];
};

#define OTD_CHECK_PROBLEMS 256 /* room in problem */

/* Runs all of it over the file, prints, and returns the exit status. */
int otd_config_check(const struct otd_cmd *cmd, const char *file, const struct otd_arg_list *set,
		     bool offline, bool json);

/* The temporary folder of a check, with all that is in it. */
void otd_check_folder_remove(const char *folder);

/* --- for the parts --- */

/* One finding: at its place (NULL: none), with its key (NULL: none), what and what to do. The same
   twice is said once. */
void otd_check_say(struct otd_check *c, enum otd_check_level level, const struct otd_yaml *at,
		   const char *key, const char *fmt, ...) OTD_PRINTF(5, 6);
/* The same of words that begin with their place, as otd_yaml_fail() makes them. */
void otd_check_take(struct otd_check *c, enum otd_check_level level, const struct otd_err *err);
/* A key in words, in c's own memory until the next one. */
const char *otd_check_key(struct otd_check *c, const char *fmt, ...) OTD_PRINTF(2, 3);
/* Something that is neither: only for people. */
void otd_check_note(struct otd_check *c, const char *fmt, ...) OTD_PRINTF(2, 3);

/* config_check_machine.c: folders, disk, files with secrets, limits. Before the others: it sees
   whether a pool runs. */
void otd_check_machine(struct otd_check *c);
/* Whether a cookie file can be read and is one: *why says what is wrong with it (0: it has no
   USER:PASSWORD), as errno. */
bool otd_check_cookie_good(const char *path, int *why);
/* config_check_ports.c */
void otd_check_ports(struct otd_check *c);
/* config_check_tls.c */
void otd_check_tls(struct otd_check *c);
/* config_check_plugins.c: an instance of everything that the file chooses; addresses; the schema. */
void otd_check_plugins(struct otd_check *c);
void otd_check_plugins_finish(struct otd_check *c);
/* config_check_nodes.c */
void otd_check_nodes(struct otd_check *c);
void otd_check_nodes_finish(struct otd_check *c);

#endif
