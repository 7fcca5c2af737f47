/*
 * Two pools that pay out of one wallet, on the simulated env: the real database over the simulated disk,
 * the real ledger, payer, chain and chain plugin, and the simulated node, which is the judge.
 * Pool alpha pays the network fee itself and has two recipients of its fee; in pool beta the miners pay.
 */
#ifndef OTD_SIM_PAY_WORLD_H
#define OTD_SIM_PAY_WORLD_H

#include "chain/chain.h"
#include "config/yaml.h"
#include "plugin/plugin.h"
#include "pool/payer/payer.h"
#include "sim_node.h"

#define PAY_ACCOUNTS   12
#define PAY_POOLS      2
#define PAY_RECIPIENTS 2
#define PAY_LABELS     (PAY_ACCOUNTS + PAY_RECIPIENTS)

struct pay_look { /* of the database, now and then */
	int64_t live, held, due;
};

struct pay_world {
	struct sim *sim;
	struct sim_node *node;
	uint64_t seed, point; /* which kill point is walked; 0: none */
	unsigned life, rounds, fed;
	struct otd_err err;
	struct otd_loop *loop;
	struct otd_plugins *plugins;
	struct otd_files *files;
	struct otd_yaml_doc *options;
	struct otd_plugin_instance *database, *coin;
	struct otd_store *store;
	struct otd_chain *chain;
	struct otd_payer *payer;
	uint64_t pool_id[PAY_POOLS], account_id[PAY_ACCOUNTS];
	char address[PAY_LABELS][96], change[96];
	/* asking the database */
	bool busy, has_look;
	struct pay_look look;
	int64_t looked_ms;
	bool by_hand; /* the operator has spent coins by hand */
	/* faults of commits */
	uint32_t unknown_ppm;
	bool may_refuse;                          /* to start: the disk has faults */
	uint64_t unknown[2];                      /* commits whose fate was unknown: undone, done */
	uint64_t payments, versions, generations; /* found at the end */
};

_Noreturn void pay_fail(struct pay_world *w, const char *fmt, ...) OTD_PRINTF(2, 3);
/* Before all else: whether the log is written, to stderr. */
void pay_log_init(bool on);
/* The node, and a first life that makes accounts and turns payments on. */
void pay_world_init(struct pay_world *w, uint64_t seed, unsigned rounds);
void pay_world_finish(struct pay_world *w);
/* False: the power went while it started. */
bool pay_start(struct pay_world *w);
/* As it is: no good-bye. */
void pay_end(struct pay_world *w);
/* Work for the store, while the pool runs, to its end. */
void pay_store(struct pay_world *w, otd_rc (*work)(void *, struct otd_db *, struct otd_err *),
	       void *arg);
/* Looks every two seconds; when all of a round is paid it credits the next one. True: all rounds are
   paid and nothing is due. For sim_run(). */
bool pay_settled(void *world);
int64_t pay_amount(unsigned round, unsigned account); /* what it earns in it */
int64_t pay_fee_earned(unsigned round);               /* pool alpha's */
const char *pay_label(char to[32], unsigned i);       /* of an account, or recipient behind them */

/* pay_check.c: payments that came to no end: live, or paid and not in the chain. For each the words by
   which a person would resolve it, who looks at the chain. */
struct pay_open {
	uint64_t id;
	bool held;
	char words[160];
};
size_t pay_list_open(struct pay_world *w, struct pay_open *out, size_t cap);
/* pay_check.c: ledger against chain: every payment is at its end, and once in the chain or not at all;
   everybody got what is said to be paid. The payer has been destroyed. */
void pay_check(struct pay_world *w);

#endif
