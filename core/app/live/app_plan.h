/*
 * What a reload is going to do: made whole first, where anything may fail, and carried out in one go
 * that cannot; or dropped, and nothing has happened. All [coordinator] but where it says otherwise.
 */
#ifndef OTD_APP_APP_PLAN_H
#define OTD_APP_APP_PLAN_H

#include "app/app.h"
#include "config/diff.h"

/* A chain of pools that are there afterwards. */
struct otd_app_plan_chain {
	struct otd_app_chain *chain;
	const struct otd_settings_pool *first;
	bool fresh;                           /* made for this */
	struct otd_chain_nodes_change *nodes; /* of one that was there */
	struct otd_instance_change
		*change;              /* its plugin's options are others now; NULL: they are not */
	struct otd_yaml_doc *options; /* those */
};

struct otd_app_plan {
	struct otd_app *app;
	struct otd_settings *live;         /* the caller's until it is carried out */
	struct otd_plugins_enable *enable; /* what was enabled before */
	struct otd_app_pool *pools;        /* all, by number, as they will be */
	size_t *had_schemes;               /* those behind are the plan's */
	size_t n_pools, n_old;             /* numbers from n_old on are new */
	uint32_t *gone;                    /* numbers of those that go */
	size_t n_gone;
	struct otd_app_plan_chain *chains;
	size_t n_chains;
	struct otd_coordinator_pool *coordinator; /* by number, of those that are there */
	struct otd_app_ports ports;
	struct otd_stratum_gone_port *gone_ports;
	char (*gone_texts)[160];
	size_t n_gone_ports;
	struct otd_stratum_change **changes; /* one a reactor; NULL: told */
	char *process_change;                /* for reactor processes; NULL: told, or none */
	struct otd_app_listener **listeners; /* all, as they will be */
	bool *new_listener;
	uint32_t *listener_port; /* index of its port */
	size_t n_listeners;
	struct otd_acct_pool *acct; /* of which schemes are read */
	struct otd_acct_scheme (*acct_schemes)[OTD_APP_SCHEMES_MAX];
	size_t n_acct;
	struct otd_acct_addition *addition; /* what was read */
	struct otd_archive *archive;        /* made for this; NULL: none, or there is one */
	void (*read)(void *arg, const struct otd_err *err);
	void *read_arg;
};

/*
 * From the settings in force to live. applied(arg) is called by each reactor that has it [reactor]. err
 * names the place in the file.
 */
otd_rc otd_app_plan_create(struct otd_app_plan **out, struct otd_app *app,
			   struct otd_settings *live, void (*applied)(void *arg), void *arg,
			   struct otd_err *err);
/* Whether a restart could take what of now waits for it: makes instances of plugins. */
otd_rc otd_app_plan_check_waiting(struct otd_app *app, const struct otd_settings *now,
				  const struct otd_diff *d, struct otd_err *err);
/* Reads what the database knows of schemes that come. *later: done() comes later; it may destroy the
   plan. Else there is nothing to read. */
otd_rc otd_app_plan_read(struct otd_app_plan *p, bool *later,
			 void (*done)(void *arg, const struct otd_err *err), void *arg,
			 struct otd_err *err);
/* Binds new ports. */
otd_rc otd_app_plan_listen(struct otd_app_plan *p, struct otd_err *err);
/* The last that may fail: gives chains their new options. Where one refuses, the others have theirs of
   before again. Directly before otd_app_plan_carry_out(). */
otd_rc otd_app_plan_reconfigure(struct otd_app_plan *p, struct otd_err *err);
/* Does it; live are the settings in force, and those of before are the caller's. */
void otd_app_plan_carry_out(struct otd_app_plan *p);
/* Whether every reactor was told. Where memory ran out: tries again. */
bool otd_app_plan_told(struct otd_app_plan *p);
/* Every reactor has it: new pools get work. */
void otd_app_plan_serve(struct otd_app_plan *p);
/* Takes NULL. What was not carried out has not been. */
void otd_app_plan_destroy(struct otd_app_plan *p);

#endif
