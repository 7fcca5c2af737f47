/*
 * A pool on the simulated env: reactors that append shares and count what was acknowledged, a
 * coordinator that watches blocks, accounting, the real database over the simulated disk. The model
 * beside it remembers what was appended; sim_check() compares at the end.
 */
#ifndef OTD_SIM_WORLD_H
#define OTD_SIM_WORLD_H

#include "plugin/plugin.h"
#include "pool/acct/accounting.h"
#include "pool/journal/journal.h"
#include "sim.h"

#define REACTORS 2
#define IDENTS   12 /* miners' workers, over both pools */

enum model_kind { M_WORKER, M_JOB, M_SHARE, M_BLOCK, M_REFUSED };

struct model_record {
	enum model_kind kind;
	uint32_t ident; /* of SHARE, BLOCK, REFUSED: which miner's worker */
	uint32_t job;
	int64_t time_ms;
	uint64_t work, value, height, share_seq, count;
};

/* All records that a reactor ever appended, by sequence. */
struct model_epoch {
	struct model_epoch *next;
	uint64_t epoch, acked;
	struct model_record *rec; /* [0] is sequence 1 */
	size_t n, cap;
};

/* The final order, as the coordinator's journal has it. */
struct model_place {
	bool verdict, terms;
	uint64_t epoch, first, last; /* or share_seq in first, state in last */
};

/* A fee of pool alpha, as the coordinator's journal has it. */
struct model_fee {
	int64_t since_ms;
	uint32_t ppm;
};

struct watched {
	uint64_t epoch, share_seq;
	uint32_t state;
};

struct world;

struct reactor {
	struct world *w;
	struct model_epoch *m;
	struct otd_journal *j;
	uint32_t defined; /* bits: idents that this epoch's journal names */
	uint32_t job, first_job;
	char dir[512];
};

struct world {
	struct sim *sim;
	uint64_t seed;
	unsigned life;
	struct otd_err err;
	struct otd_loop *loop;
	struct otd_plugins *plugins;
	struct otd_files *files;
	struct otd_plugin_instance *database;
	struct otd_store *store;
	struct otd_accounting *acct;
	struct reactor reactor[REACTORS];
	struct model_epoch *epochs;
	struct model_place *order; /* [0] is sequence 1 */
	size_t n_order, cap_order;
	struct model_fee *fees;
	size_t n_fees, cap_fees;
	int64_t fee_ppm; /* of pool alpha, in the settings */
	struct otd_journal_reader *order_reader;
	struct watched watched[512];
	size_t n_watched;
	uint32_t jobs;
	uint64_t released[64]; /* by epoch: the last release */
	bool flushed, serving;
	bool certain;    /* the database always knows what became of a commit */
	bool may_refuse; /* to start */
	bool no_second;  /* alpha's scheme "second" is out of the settings */
	bool no_beta;    /* the pool beta is */
	bool drop_unknown;
	uint64_t blocks, shares, crashes;
};

/* Ends the program and names the seed. */
_Noreturn void world_fail(struct world *w, const char *fmt, ...) OTD_PRINTF(2, 3);
/* False: the power went while it started. */
bool world_start(struct world *w);
void world_end(struct world *w);
/* Pool alpha's fee is changed while it runs. */
void world_fee(struct world *w, int64_t ppm);
/* The fee that a block of this pool and time must have paid. */
otd_i128 world_fee_of(const struct world *w, const char *pool, int64_t time_ms, otd_i128 value);
/* One share, with its definitions; one block behind the last share. */
bool world_share(struct reactor *r, uint32_t ident, uint64_t work);
void world_block(struct reactor *r, uint32_t ident, uint64_t value);
/* One step: sometimes shares, blocks, verdicts; then an event. */
void world_step(struct world *w, bool work);
const char *ident_pool(uint32_t ident);
const char *ident_scheme(uint32_t ident);
void ident_account(char to[32], uint32_t ident);
void ident_worker(char to[32], uint32_t ident);
uint64_t job_network_work(uint32_t job);
/* Places of the coordinator's journal up to seq go into the model. */
void world_collect(struct world *w, uint64_t seq);
/* A fresh instance of what this scheme is. */
otd_rc world_scheme(struct world *w, const char *scheme, struct otd_plugin_instance **out,
		    struct otd_err *err);
struct model_epoch *world_epoch(struct world *w, uint64_t epoch);
void world_free(struct world *w);

/* check.c: the database against the model; everything has been flushed. */
void sim_check(struct world *w);

#endif
