/*
 * Another machine: a node of Bitcoin's kind with a wallet, for payments. It keeps its own books (blocks,
 * waiting transactions, who spent what) and reads transactions with its own code, so it can be the judge
 * of what was paid. It answers JSON-RPC as Bitcoin Core 0.21 to 29 does (sim_rpc.c); signatures are not
 * real, but bind transaction, input and script. It does not die with the pool.
 *
 * Its faults: reorganisations, restarts that forget, a locked wallet, rising fees, an operator who
 * spends by hand.
 */
#ifndef OTD_SIM_NODE_H
#define OTD_SIM_NODE_H

#include "sim.h"

#define SIM_NODE_SCRIPT 22 /* bytes of a pay-to-witness-key script */

struct sim_node;

struct sim_node_conf {
	const char *url; /* "http://node:8332" */
	const char *user, *password, *wallet;
	const char *hrp;   /* of its addresses */
	int64_t block_ms;  /* between blocks, about */
	uint32_t maturity; /* of coinbases */
	uint32_t blocks;   /* before the story begins */
	uint32_t our_ppm;  /* of the blocks are the wallet's */
	int64_t reward;    /* of a block, about */
	uint32_t nbits;    /* of templates; 0: it gives none */
};

struct sim_node *sim_node_create(struct sim *s, const struct sim_node_conf *conf);
void sim_node_destroy(struct sim_node *n);

/* An address and script that belong to label; of the wallet only "change" and "reward". */
void sim_node_script(uint8_t script[SIM_NODE_SCRIPT], const char *label);
void sim_node_address(const struct sim_node *n, char out[96], const char *label);

/* --- what it does --- */
void sim_node_mine(struct sim_node *n, uint32_t blocks);
/* The last depth blocks are replaced by depth + 1 others. drop: their transactions are forgotten by
   everybody but the wallet, else they wait again. */
void sim_node_reorg(struct sim_node *n, uint32_t depth, bool drop);
/* Off for down_ms and warming up for as long again; locks of coins are gone, with lose_pool what waits
   too, with lose_wallet also what the wallet knew of that. */
void sim_node_restart(struct sim_node *n, int64_t down_ms, bool lose_pool, bool lose_wallet);
/* It goes off in the middle of a batch, behind calls of its calls. */
void sim_node_break_in(struct sim_node *n, uint32_t calls, int64_t down_ms);
void sim_node_lock_wallet(struct sim_node *n, bool locked);
/* Base units per 1000 virtual bytes: what it takes in, what it advises (0: nothing). What waits and
   pays less is dropped. */
void sim_node_fees(struct sim_node *n, int64_t least, int64_t advised);
/* The operator spends a coin that a payment means to spend; at once in a block, or waiting in place of
   the payment. False: there is none. */
bool sim_node_conflict(struct sim_node *n, bool in_block);
/* Blocks take nothing but coinbases. */
void sim_node_starve(struct sim_node *n, bool on);
/* The wallet sends all coins that are not locked elsewhere. False: there are none. */
bool sim_node_empty_wallet(struct sim_node *n);

/* How many of the blocks of others are the wallet's from now on. */
void sim_node_earn(struct sim_node *n, uint32_t our_ppm);

/* Another node that sees the same chain, by its own address; without a wallet. */
struct sim_view;
struct sim_view *sim_view_create(struct sim_node *n, const char *url);
/* behind: it lacks so many blocks. mute: it takes requests and never answers. liar: it says no to every
   block that is handed in, and drops it. off: nobody is there. */
void sim_view_set(struct sim_view *v, uint32_t behind, bool mute, bool liar, bool off);
void sim_view_destroy(struct sim_view *v);

/* --- what it knows --- */
/* Blocks that were handed in: taken as the next, refused, kept beside the best chain. */
void sim_node_handed_in(const struct sim_node *n, uint64_t *taken, uint64_t *refused,
			uint64_t *side);
/* Confirmations of the block in the best chain; 0: not there. */
uint64_t sim_node_depth_of_block(const struct sim_node *n, const uint8_t hash[32]);
/* Whether anybody ever gave it this block. */
bool sim_node_has_block(const struct sim_node *n, const uint8_t hash[32]);
uint64_t sim_node_height(const struct sim_node *n);
/* What non-coinbase transactions of the best chain pay to the script, and by how many outputs. */
int64_t sim_node_received(const struct sim_node *n, const uint8_t *script, size_t len,
			  unsigned *outputs);
/* Confirmations in the best chain; 0: not there. */
uint64_t sim_node_depth(const struct sim_node *n, const uint8_t txid[32]);
int64_t sim_node_fee_of(const struct sim_node *n, const uint8_t txid[32]);
/* Transactions of the best chain that spend coins of the wallet and are not the operator's. */
size_t sim_node_sent(const struct sim_node *n, uint8_t (*txids)[32], size_t cap);
size_t sim_node_locked_coins(const struct sim_node *n);
size_t sim_node_waiting(const struct sim_node *n);
/* Its own books; ends the program where they do not balance. */
void sim_node_check(const struct sim_node *n);
/* Requests and calls in them that it has carried out. */
uint64_t sim_node_calls(const struct sim_node *n);

#endif
