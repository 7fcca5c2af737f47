/*
 * The running pool: everything that serve wires together, in the order in which it is made. One
 * thread runs the coordinator's loop (the main one), one each reactor, one the built-in miner.
 */
#ifndef OTD_APP_APP_H
#define OTD_APP_APP_H

#include <signal.h>
#include <stdatomic.h>

#include "api/api.h"
#include "app/cmd/setup.h"
#include "app/control.h"
#include "app/program.h"
#include "chain/chain.h"
#include "config/settings.h"
#include "loop/loop.h"
#include "miner/miner.h"
#include "net/listener.h"
#include "pool/acct/accounting.h"
#include "pool/coordinator.h"
#include "pool/payer/payer.h"
#include "pool/reactor/reactor.h"
#include "store/store.h"
#include "stratum/stratum.h"

#define OTD_APP_SCHEMES_MAX 8
#define OTD_APP_SHOWN       64

struct otd_app;

/* A chain in use: one for all pools of the same coin, network, nodes and chain options. */
struct otd_app_chain {
	struct otd_app *app;
	const struct otd_settings_pool *first; /* a pool that is on it, or was last */
	char coin[65], network[33];
	struct otd_yaml_doc *options; /* of the chain's instance */
	struct otd_plugin_instance *algo, *plugin;
	struct otd_chain *chain;
	char trouble[240];
};

/* A payout scheme of one pool: how it is made. */
struct otd_app_scheme {
	struct otd_app *app;
	const struct otd_settings_use *use; /* a copy, in memory */
	struct otd_yaml_doc *memory;
	char name[64]; /* in records */
};

/* By its number, which is that of the coordinator and of the reactors. */
struct otd_app_pool {
	char name[65];
	const struct otd_settings_pool *settings; /* NULL: taken out by a reload */
	/* Of one that was taken out, as long as something of it is left: blocks, payments. */
	const struct otd_settings_pool *was;
	struct otd_app_chain *chain; /* NULL: nothing is left */
	bool serving;                /* every reactor knows it: it gets work */
	bool owed_tip;               /* there was a first job of this tip, which it does not take */
	uint8_t script[128];
	size_t script_len;
	struct otd_app_scheme schemes[OTD_APP_SCHEMES_MAX]; /* the first is the pool's own */
	size_t n_schemes;
};

/* What stratum knows as port number i. */
struct otd_app_port {
	uint32_t pool; /* its number */
	uint16_t number;
	bool open; /* false: taken out by a reload */
	char scheme[64];
};

struct otd_app_ports {
	struct otd_stratum_port *conf;
	struct otd_app_port *key;
	size_t n;
};

struct otd_app_reactor {
	struct otd_app *app;
	struct otd_loop *loop;
	void *thread;
	struct otd_reactor *reactor;
	struct otd_stratum *stratum;
	uint64_t epoch;
};

struct otd_app_listener {
	struct otd_app *app;
	struct otd_listener *listener;
	char host[65];
	uint16_t port;
	uint32_t port_index; /* into the ports */
};

/* The CPU miner in the same process, on a loop of its own. */
struct otd_app_miner {
	struct otd_loop *loop;
	void *thread;
	struct otd_plugin_instance *algo, *hw[4]; /* algo: the chain's when it began */
	size_t n_hw;
	struct otd_miner *miner;
	struct otd_timer *timer;
	_Atomic uint64_t hashes_10s, ms_10s; /* what the terminal shows */
	char pool[65], url[96], user[192];
	const char *urls[1];
};

/* A block as the terminal showed it last. */
struct otd_app_shown {
	uint64_t epoch, share_seq;
	uint32_t state;
};

struct otd_app {
	/* given */
	struct otd_env *env;
	struct otd_metrics *metrics;
	struct otd_settings *settings; /* in force; owned from otd_app_start() on */
	const char *config;            /* their file, and what --set laid over it: for a reload */
	const struct otd_arg_list *set;
	const char *data_dir; /* the settings'; config check has one of its own */
	bool quiet, json;     /* of the terminal */
	bool on_terminal;     /* it was started on one */
	/* made, in this order */
	struct otd_loop *loop;
	int lock_fd; /* -1: not held */
	char socket[256];
	struct otd_plugin_dirs dirs;
	struct otd_plugins *plugins;
	struct otd_plugin_instance *store_plugin;
	struct otd_store *store;
	struct otd_app_chain *chains; /* room for OTD_POOLS_MAX; chain NULL: an unused one */
	size_t n_chains;
	struct otd_app_pool *pools; /* room for OTD_POOLS_MAX */
	size_t n_pools;
	struct otd_accounting *accounting;
	struct otd_coordinator *coordinator;
	struct otd_payer *payer;
	struct otd_app_ports ports;
	struct otd_app_reactor *reactors;
	size_t n_reactors;
	struct otd_app_processes *processes; /* processes.h; NULL: the reactors are threads */
	struct otd_gate *gate;
	struct otd_bans *bans;
	struct otd_lists *lists; /* app_limits.c */
	struct otd_app_listener **listeners;
	size_t n_listeners;
	struct otd_control *control;
	struct otd_worker *reader; /* of journals, for questions; NULL: none was asked */
	struct otd_api_route routes[2];
	struct otd_api *api, *metrics_api;
	struct otd_app_miner *miner;
	struct otd_timer *second; /* the terminal's and the drain's clock */
	/* running */
	struct otd_app_backup *backup; /* the last one, or NULL */
	struct otd_app_live *live;     /* changes of plugins, or NULL: none yet */
	struct otd_history *history;
	struct otd_archive *archive;   /* of journals; NULL: none is kept */
	struct otd_app_policy *policy; /* app_policy.c */
	struct otd_app_fees *fees;     /* app_fee.c */
	struct otd_app_tls *tls;       /* app_tls.c */
	struct otd_app_reload *reload; /* app_reload.c; NULL before the first */
	struct otd_program program;    /* how it was started */
	struct otd_upgrade *upgrade;   /* app_upgrade.c; NULL: none is under way */
	struct otd_heir *heir;         /* upgrade_heir.c; NULL: it was started by a person */
	uint32_t upgrades;             /* since a person did */
	int64_t first_started_ms;      /* when; 0: with this process */
	int64_t started_ms;
	char warning[4][300]; /* what went wrong at start and did not prevent it */
	size_t n_warnings;
	_Atomic bool healthy, stopping;
	bool published; /* later commands of this user find the socket */
	bool draining, flushed;
	bool live_line; /* the terminal's last line is to be written over */
	struct otd_app_shown shown[OTD_APP_SHOWN];
	int64_t drain_began_ms; /* monotonic */
};

/* Everything is made and moves, or err says why not and nothing is left. */
otd_rc otd_app_start(struct otd_app *app, struct otd_err *err);
/* Until a signal has drained it. Exit status. */
int otd_app_run(struct otd_app *app);
void otd_app_stop(struct otd_app *app);

/* app_chains.c: chains of the pools, without reactors: also for config check. */
otd_rc otd_app_make_plugins(struct otd_app *app, struct otd_err *err);
otd_rc otd_app_make_chains(struct otd_app *app, struct otd_err *err);
void otd_app_free_chains(struct otd_app *app);
void otd_app_warn(struct otd_app *app, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* app_miner.c */
otd_rc otd_app_miner_start(struct otd_app *app, struct otd_err *err);
void otd_app_miner_stop(struct otd_app *app);

/* app_status.c: the JSON of status, as soon as the balances are read. */
void otd_app_status(struct otd_app *app, struct otd_control_request *r);

/* app_terminal.c: the line a second. */
void otd_app_terminal(struct otd_app *app);

#endif
