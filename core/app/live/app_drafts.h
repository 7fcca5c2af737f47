/*
 * Plugins that new settings name and that are not loaded: tried, mapped and hashed on a thread of their
 * own, so that the coordinator's loop goes on meanwhile.
 */
#ifndef OTD_APP_APP_DRAFTS_H
#define OTD_APP_APP_DRAFTS_H

#include "app/app.h"

#define OTD_APP_DRAFTS 16 /* others are loaded on the loop */

struct otd_app_drafts {
	struct otd_app *app;
	struct {
		char kind[32], id[64], file[4096];
		struct otd_plugin *draft;
	} item[OTD_APP_DRAFTS];
	size_t n;
	/* New options of instances that are there: tried before they are given. */
	struct {
		const struct otd_plugin *plugin;
		const struct otd_yaml *before, *after;
		const char *path;
	} options[OTD_POOLS_MAX];
	size_t n_options;
	struct otd_err err;
};

/* What of these settings is enabled, there and not loaded, is wanted. What is not there is found out
   later, with its place in the file. [coordinator] */
void otd_app_drafts_want(struct otd_app_drafts *d, struct otd_app *app,
			 const struct otd_settings *s);
/* The chains of pools that stay, whose options these settings change, are to be tried with them. s and the
   chains stay as they are until publish or discard. [coordinator] */
void otd_app_drafts_want_options(struct otd_app_drafts *d, struct otd_app *app,
				 const struct otd_settings *s);
/* Makes them, up to the first that fails. arg: the drafts. A thread of its own. */
void otd_app_drafts_run(void *arg);
/* They are loaded from now on; or, where one failed, none is. [coordinator] */
void otd_app_drafts_publish(struct otd_app_drafts *d);
void otd_app_drafts_discard(struct otd_app_drafts *d);

#endif
