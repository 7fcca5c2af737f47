/*
 * The whole pool on the simulated env: listeners, gate, Stratum, reactors with their journals, coordinator,
 * accounting, the real database over the simulated disk, chain with two nodes, payer. Outside of it are
 * miners (sim_miner.h), a node with its wallet and a second node (sim_node.h); they outlive each of its
 * lives and judge it.
 */
#ifndef OTD_SIM_HOST_H
#define OTD_SIM_HOST_H

#include "chain/chain.h"
#include "config/yaml.h"
#include "net/listener.h"
#include "plugin/plugin.h"
#include "pool/acct/accounting.h"
#include "pool/coordinator.h"
#include "pool/payer/payer.h"
#include "pool/reactor/reactor.h"
#include "sim_miner.h"
#include "sim_node.h"
#include "stratum/stratum.h"

#define HOST_REACTORS      2
#define HOST_PORTS         2
#define HOST_PORT          3333
#define HOST_MATURITY      10
#define HOST_CONFIRMATIONS 4
#define HOST_LABELS        (MODEL_ACCOUNTS + 1) /* and the recipient of the fee */
#define HOST_MINIMUM       3000000

struct host;
struct look;

struct host_reactor {
	struct host *h;
	struct otd_loop *loop;
	struct otd_reactor *reactor;
	struct otd_stratum *stratum;
	uint64_t epoch;
};

struct host_port {
	struct host *h;
	uint32_t index;
	struct otd_listener *listener;
};

/* What the pool wrote into one reactor's journal. */
struct host_record {
	enum { RECORD_NONE, RECORD_OTHER, RECORD_SHARE, RECORD_BLOCK } kind;
	uint32_t share; /* of the model, plus 1 */
	uint32_t miner;
	otd_u128 work;
	uint8_t hash[32]; /* of a block */
	uint64_t share_seq;
	otd_i128 value;
};
struct host_epoch {
	uint64_t epoch;
	struct host_record *rec; /* [seq - 1] */
	size_t n, cap;
	int miner_of[256];        /* by number of a worker; -1: not said yet */
	uint64_t counted, prefix; /* shares among the first prefix records */
};

struct host {
	struct sim *sim;
	uint64_t seed;
	bool quick;
	unsigned life;
	struct otd_err err;
	/* outside */
	struct model model;
	struct sim_miners *miners;
	struct sim_node *node;
	struct sim_view *second;
	char address[HOST_LABELS][96], reward[96], change[96];
	/* the pool, in the order in which it is made */
	struct otd_metrics *metrics;
	struct otd_loop *loop;
	struct otd_plugins *plugins;
	struct otd_files *files;
	struct otd_yaml_doc *options;
	struct otd_plugin_instance *database, *coin, *algo;
	struct otd_store *store;
	struct otd_chain *chain;
	struct otd_accounting *acct;
	struct otd_coordinator *coordinator;
	struct otd_payer *payer;
	struct host_reactor reactor[HOST_REACTORS];
	struct otd_gate *gate;
	struct host_port port[HOST_PORTS];
	uint8_t script[64];
	size_t script_len;
	/* what the judge knows */
	struct host_epoch *epochs;
	size_t n_epochs;
	bool may_refuse; /* to start: the disk has faults */
	bool may_hold;   /* a block's credits, for a person: there was no memory for them */
	/* the newest block that a journal was given */
	bool wrote_block;
	uint8_t block_hash[32], block_prev[32];
	bool payments_on, committed, looking, serving, flushed, drained, must_settle;
	struct look *look; /* host_check.c */
	uint64_t commits, last_posting, unknown[2];
	uint32_t unknown_ppm;
	uint64_t payments, paid_shares, blocks, reorgs;
};

_Noreturn void host_fail(struct host *h, const char *fmt, ...) OTD_PRINTF(2, 3);
void host_log_init(bool on);
/* quick: blocks and payments come every few seconds, for a short story. */
void host_init(struct host *h, uint64_t seed, bool quick);
void host_finish(struct host *h);
/* False: it refused, or the power went while it started; host_end() follows in any case. */
bool host_start(struct host *h);
/* As it is, without a good-bye. */
void host_end(struct host *h);
/* An orderly end: connections are answered and closed, all is flushed. Not where it takes too long. */
bool host_drain(struct host *h);
/* What a reload changes, of ports and the fee; false: something of it was refused. */
bool host_reload(struct host *h);
/* Nobody hands in anything new: all that is under way comes to its end, then everything is checked and the
   pool has come to its orderly end. host_end() follows. */
void host_settle(struct host *h);
/* All that was said to accounting so far is in SQL. */
bool host_flush(struct host *h);

/* --- host_check.c --- */
/* For sim_watch_writes(): what goes into journals. */
void host_on_write(void *host, const char *path, uint64_t at, const void *p, size_t n);
/* For sim_each_step(). */
void host_on_step(void *host);
/* Payments that are on their way or due, balances that could be paid. */
struct host_open {
	int64_t live, held, due, unsettled_blocks, paid;
};
void host_look(struct host *h, struct host_open *out);
/* Everything, at the end: miners are quiet, all is flushed, the payer rests. */
void host_check(struct host *h);
void host_free_records(struct host *h);

#endif
