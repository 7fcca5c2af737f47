/*
 * Plugins of a running pool: "plugin list", "plugin load FILE-or-KIND/ID", "plugin swap KIND/ID [FILE]",
 * "plugin unload KIND/ID", "plugin progress NUMBER". load and swap take long (a file is tried in a process of
 * its own first): they are begun, one at a time, and progress tells how it goes.
 *
 * A swap of an algorithm: an instance of the new image a chain, measured on each reactor; then the
 * reactors take it, one by one, for the jobs to come. The old instance is destroyed when no reactor has
 * a job of it any more. A swap of a payout scheme: between two records of the order, by state. Chains,
 * stores and devices hold calls and files that outlive a moment: those want a restart.
 */
#ifndef OTD_APP_APP_PLUGIN_H
#define OTD_APP_APP_PLUGIN_H

#include <jansson.h>

#include "app/app.h"

void otd_app_plugin_request(struct otd_app *app, struct otd_control_request *r, const char *words);
/* No change begins any more, one that is under way is given up. Before reactors and accounting go. */
void otd_app_plugins_stop(struct otd_app *app);
/* What swaps left: after reactors and miner, before the set of plugins. */
void otd_app_plugins_free(struct otd_app *app);
/* The built-in miner has stopped and uses this instance no more. */
void otd_app_plugins_miner_gone(struct otd_app *app, const struct otd_plugin_instance *algo);
/* Whether a change is under way, in which no pool may come or go. */
bool otd_app_plugins_busy(const struct otd_app *app);

/* --- what app_plugin*.c share --- */

/* An instance that later jobs do not have. */
struct otd_app_old {
	struct otd_app *app;
	struct otd_app_old *next;
	struct otd_plugin_instance *instance;
	size_t left;   /* pools of reactors whose jobs may still have it; and the built-in miner */
	char what[80]; /* whose it is, for the list */
};

struct otd_app_change {
	unsigned number; /* of it, in this process */
	bool swap;       /* else a load */
	char kind[32], id[32];
	char *file;
	struct otd_bytes options; /* of the instances that are wanted, for the trial */
	enum { OTD_CHANGE_NONE, OTD_CHANGE_TRYING, OTD_CHANGE_TAKING, OTD_CHANGE_DONE } state;
	struct otd_plugin *draft;
	bool draft_published; /* it is the set's */
	size_t waiting;  /* pools of reactors, or reactor processes, that have not taken it yet */
	uint64_t seq;    /* payout: the record behind which it began */
	uint32_t before; /* generation; 0: none */
	struct otd_err err;
	json_t *answer;
};

struct otd_app_live {
	struct otd_app *app;
	struct otd_worker *worker;
	struct otd_app_change change; /* the last one */
	struct otd_app_old *old;
	struct otd_app_swap_plan *plan; /* of an algorithm, while reactor processes prepare it */
	bool reload_after;              /* a signal came during a change: reload when it is over */
};

/* app_plugin_swap.c. What the trial makes: options of the instances that this change wants, as YAML flow
   mappings, one a line. */
otd_rc otd_app_swap_options(struct otd_app *app, struct otd_app_change *c);
/* The change's draft becomes what serves, and is published; or nothing changes. */
otd_rc otd_app_swap_algo(struct otd_app *app, struct otd_app_change *c, struct otd_err *err);
otd_rc otd_app_swap_payout(struct otd_app *app, struct otd_app_change *c, struct otd_err *err);
/* What reactor processes prepare is not waited for any more. */
void otd_app_swap_give_up(struct otd_app *app);
/* app_plugin.c: the draft is the newest from now on. */
void otd_app_publish(struct otd_app_change *c);
/* c->err says why; what serves serves on. */
void otd_app_change_failed(struct otd_app_live *live);
/* The last reactor has taken it. */
void otd_app_change_done(struct otd_app_live *live);
/* app_plugin_list.c */
json_t *otd_app_plugin_list(struct otd_app *app);
/* Whose instances of this image there are: an array of texts. */
json_t *otd_app_plugin_users(struct otd_app *app, const struct otd_plugin *pl);

#endif
