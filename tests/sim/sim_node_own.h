/* Shared by sim_node.c, sim_tx.c and sim_rpc.c. */
#ifndef OTD_SIM_NODE_OWN_H
#define OTD_SIM_NODE_OWN_H

#include "base/bytes.h"
#include "sim_node.h"

#define N_MAX_SCRIPT 64

enum where { N_NOWHERE, N_POOL, N_CHAIN };

struct ntx;

struct nout {
	int64_t value;
	uint8_t script[N_MAX_SCRIPT];
	uint32_t len;
	bool ours, locked;
	struct ntx *spent; /* in the best chain, by this */
};

struct nin {
	uint8_t txid[32];
	uint32_t index, sequence;
};

struct ntx {
	uint8_t txid[32];
	uint8_t *raw;
	size_t raw_len;
	struct nin *in;
	struct nout *out;
	size_t n_in, n_out;
	bool coinbase, operators;
	bool wallet; /* knows it */
	enum where where;
	uint64_t height; /* N_CHAIN */
	uint64_t order;  /* in which it came to wait */
	int64_t vsize, fee;
	bool is_signed;
};

struct nblock {
	uint8_t hash[32], prev[32];
	uint64_t height;
	struct ntx **tx; /* [0] is the coinbase */
	size_t n;
	bool main;
};

struct sim_node {
	struct sim *sim;
	struct sim_node_conf conf;
	struct ntx **tx; /* all that it ever saw */
	size_t n_tx, cap_tx;
	struct nblock **block; /* all; of the best chain: chain[height] */
	size_t n_block, cap_block;
	struct nblock **chain;
	size_t n_chain, cap_chain;
	uint64_t orders, salt, calls;
	int64_t least_fee, advised_fee;
	bool wallet_locked, starve;
	int64_t down_until_ms, warm_until_ms;
	uint64_t taken, refused, side; /* blocks that were handed in */
	uint32_t break_in;
	int64_t break_ms;
};

/* An answer of JSON-RPC: 0, or code and words. */
struct nfail {
	int code;
	char words[160];
};
int n_fail(struct nfail *f, int code, const char *fmt, ...) OTD_PRINTF(3, 4);

_Noreturn void n_broken(const struct sim_node *n, const char *what);

/* --- sim_tx.c --- */
bool n_is_ours(const uint8_t *script, size_t len);
void n_identify(struct ntx *t); /* its txid */
/* NULL: raw is no transaction. The caller frees by n_tx_free, or gives it to n_take. */
struct ntx *n_tx_read(const uint8_t *raw, size_t len);
/* The one that raw begins with, of *used bytes. */
struct ntx *n_tx_read_first(size_t *used, const uint8_t *raw, size_t len);
void n_tx_free(struct ntx *t);
/* The signed form of raw, malloc; complete: every input is ours. */
uint8_t *n_sign(const struct sim_node *n, const struct ntx *t, size_t *len, bool *complete);

/* --- sim_node.c --- */
struct ntx *n_find(const struct sim_node *n, const uint8_t txid[32]);
/* The output that in spends; NULL: never seen. */
struct nout *n_out_of(const struct sim_node *n, const struct nin *in, struct ntx **made);
/* The waiting transaction that spends this; NULL. */
struct ntx *n_pool_spender(const struct sim_node *n, const uint8_t txid[32], uint32_t index);
/* A wallet's view: confirmations, 0 waiting or nowhere, below 0: another one took an input. */
int64_t n_wallet_depth(const struct sim_node *n, const struct ntx *t);
bool n_wallet_spent(const struct sim_node *n, const struct ntx *t, uint32_t index);
bool n_is_mature(const struct sim_node *n, const struct ntx *t);
/* Takes a transaction to those that wait, by Core's rules. Takes t. max_rate 0: any. */
int n_accept(struct sim_node *n, struct ntx *t, int64_t max_rate, struct nfail *f);
struct nblock *n_block_of(const struct sim_node *n, const uint8_t hash[32]);
/* Makes a signed transaction of one coin. */
struct ntx *n_make(struct sim_node *n, const struct ntx *from, uint32_t index, int64_t fee,
		   const char *to);
/* Takes out of the pool what spends an input of t, and what spends that. */
void n_evict_conflicts(struct sim_node *n, const struct ntx *t);
void n_mine_with(struct sim_node *n, struct ntx *first);
/* Keeps t in the archive; what is there already is returned in its place. */
struct ntx *n_take(struct sim_node *n, struct ntx *t);

/* The waiting transaction that came first, is not in except, and whose inputs are in the chain. */
struct ntx *n_next_for_block(const struct sim_node *n, struct ntx *const *except, size_t n_except);
/* A block of somebody's with this hash behind the best; its transactions are connected, the first is the
   coinbase. */
struct nblock *n_add_block(struct sim_node *n, const uint8_t hash[32], struct ntx **tx,
			   size_t n_tx);
/* One that is not in the best chain. */
struct nblock *n_keep_block(struct sim_node *n, const uint8_t hash[32], const uint8_t prev[32],
			    uint64_t height);

/* --- sim_mine.c --- */
struct rpc;
int n_getblocktemplate(struct sim_node *n, const void *params, struct otd_bytes *out,
		       struct nfail *f);
int n_submitblock(struct sim_node *n, const void *params, struct otd_bytes *out, struct nfail *f);
#define N_HOLD 1 /* in the place of a code: no answer yet */

/* --- sim_rpc.c --- */
int sim_node_serve(void *node, const char *path, const char *user, const char *password,
		   struct otd_span body, struct otd_bytes *out);

#endif
