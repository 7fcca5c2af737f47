/*
 * chain/devnet: a chain in small that is its own node. Blocks and templates are Bitcoin's byte for
 * byte, and it checks them as a node does: work, merkle root, height, value, time, commitment, and
 * spends by outpoint, amount and owner. There are no scripts and no network: one process, one chain.
 *
 * The one key: a secret of 32 bytes. Its program is the first 20 bytes of SHA-256d(secret), its
 * output script 0 PUSH20(program). A spend's witness is [proof, secret], proof = SHA-256(digest of
 * the spend || secret). That reveals the secret, so that it is good for play money alone.
 */
#ifndef OTD_PLUGIN_DEVNET_H
#define OTD_PLUGIN_DEVNET_H

#include "common/address.h"
#include "common/pay.h"
#include "common/template.h"
#include <otedama/files.h>

#define DEVNET_UNDO       100 /* blocks that a reorganisation may take back */
#define DEVNET_MAX_BLOCK  4000000
#define DEVNET_FAUCET     4096 /* coins that the generated transactions move about */
#define DEVNET_MAX_FUTURE 7200 /* seconds, as nodes have it */
#define DEVNET_MAX_SENDS  256
#define DEVNET_DUST_RATE  3000         /* as Bitcoin's nodes have it, per 1000 bytes */
#define DEVNET_COIN       100000000ULL /* base units of one coin */

struct devnet_options {
	const char *network;
	struct otd_span bits; /* 4 bytes: the network target in its compact form */
	int64_t spacing_ms;   /* 0: bits for ever */
	int64_t subsidy;      /* base units */
	int64_t maturity;     /* confirmations before a coinbase may be spent */
	int64_t transactions; /* generated ones in a template */
	int64_t fee;          /* of a generated one, base units */
	int64_t fee_rate;     /* that the wallet advises, base units per 1000 virtual bytes */
	int64_t min_fee_rate; /* below which no transaction is taken */
	struct otd_option_list addresses;
};

struct devnet_coin {
	uint8_t outpoint[36]; /* transaction and index */
	uint8_t owner[20];    /* SHA-256 of the output script, cut */
	uint64_t value;
	uint32_t height;
	bool coinbase, used;
};

/* Unspent coins by outpoint: open addressing, no tombstones. */
struct devnet_coins {
	const struct btc_host *host;
	struct devnet_coin *slot;
	size_t n, cap, first; /* first: places that it begins with, a power of two */
};

struct devnet_block {
	uint8_t hash[32];
	uint32_t time_s, nbits;
	uint32_t n_spent;
	/* The last DEVNET_UNDO only: what is needed to take it back. */
	uint8_t *raw;
	size_t raw_len;
	struct devnet_coin *spent; /* in the order in which it spent them */
};

/* A transaction that waits; its inputs have no scripts (see devnet_outpoint). */
struct devnet_mtx {
	uint8_t *raw;
	size_t len, n_in;
	uint8_t txid[32], wtxid[32];
	uint64_t fee;
};

struct devnet_pool {
	struct devnet_mtx *tx;
	size_t n, cap;
};

/* A transaction within a block: where its parts stand. */
struct devnet_tx {
	const uint8_t *raw, *ins, *outs, *witness; /* witness NULL where it has none */
	size_t len, ins_len, outs_len, witness_len;
	uint64_t n_in, n_out;
	uint8_t txid[32], wtxid[32];
};

struct otd_instance {
	struct btc_host host;
	const struct devnet_options *opt;
	const struct otd_host_clock *clock;
	const struct otd_host_hash *hash;
	const struct otd_files *files; /* NULL: the chain lives in memory alone */
	struct otd_file *file;
	uint64_t file_end;
	struct btc_address_form form;
	struct devnet_coins coins;
	struct devnet_block *block; /* by height */
	size_t n_blocks, cap_blocks;
	struct devnet_pool sends, generated; /* by command; made anew on each tip */
	bool generated_fresh;
	/* The wallet: who it is, its transactions in the chain (outpoint: txid and ffffffff; height),
	   those that it heard of in this life (outpoint as well), and the coins that it was told to
	   leave alone. */
	uint8_t wallet_owner[20];
	struct devnet_coins known, heard, locked;
	bool wallet_locked;
	uint64_t min_fee_rate;
	uint32_t extra; /* makes blocks of our own differ from those they replace */
	uint32_t bits;
};

/* --- coins.c --- */
void devnet_coins_init(struct devnet_coins *c, const struct btc_host *host, size_t first);
void devnet_coins_finish(struct devnet_coins *c);
struct devnet_coin *devnet_coins_find(const struct devnet_coins *c, const uint8_t outpoint[36]);
/* Replaces one of the same outpoint. */
otd_rc devnet_coins_add(struct devnet_coins *c, const struct devnet_coin *coin);
void devnet_coins_remove(struct devnet_coins *c, const uint8_t outpoint[36]);

/* --- tx.c --- */
enum devnet_who { DEVNET_WALLET = 0, DEVNET_FAUCETS = 1, DEVNET_OTHER_MINER = 2 };
/* The secrets that the devnet itself holds. */
void devnet_secret(uint8_t secret[32], enum devnet_who who);
void devnet_key_script(uint8_t script[22], const uint8_t secret[32]);
void devnet_owner(uint8_t owner[20], const uint8_t *script, size_t n);
/* The next transaction of r. False where it is malformed. */
bool devnet_tx_read(struct devnet_tx *tx, struct btc_reader *r);
/* The digest that a spend's proof is made over: the transaction and the amounts of its inputs. */
void devnet_spend_digest(uint8_t out[32], const uint8_t txid[32], const uint64_t *values, size_t n);
struct devnet_out {
	uint8_t script[BTC_MAX_SCRIPT];
	size_t script_len;
	uint64_t value;
};
/* Spends one coin by secret; out->raw is the instance's memory. */
otd_rc devnet_tx_make(const struct btc_host *host, struct devnet_mtx *out,
		      const struct devnet_coin *coin, const uint8_t secret[32],
		      const struct devnet_out *outs, size_t n_outs);

/* --- check.c --- */
enum devnet_check {
	DEVNET_CHECK_ALL = 0,
	DEVNET_CHECK_OURS = 1,  /* made by ourselves: no work in it */
	DEVNET_CHECK_REPLAY = 2 /* from our own file: rules of time and target held once */
};
/*
 * Puts the block on the tip. *reason is NULL where it stands, else why it was refused (BIP 22's
 * words); an error code is trouble of our own.
 */
otd_rc devnet_connect(struct otd_instance *in, const char **reason, struct otd_span raw,
		      enum devnet_check check);
/* Takes the tip off; its transactions by command wait again. */
otd_rc devnet_disconnect(struct otd_instance *in);
uint32_t devnet_next_bits(const struct otd_instance *in);
int64_t devnet_min_time(const struct otd_instance *in);
int64_t devnet_now_s(const struct otd_instance *in);
/* Height of a block on the chain, -1 where it is not. */
int64_t devnet_height_of(const struct otd_instance *in, const uint8_t hash[32]);

/* NULL, or why the witnesses of tx do not prove that it may spend these coins, one an input. */
const char *devnet_check_proofs(struct otd_instance *in, const struct devnet_tx *tx,
				const struct devnet_coin *coins, size_t n, otd_rc *rc);

/* --- mempool.c --- */
/* The i-th coin that a waiting transaction spends, 36 bytes. */
const uint8_t *devnet_outpoint(const struct devnet_mtx *m, size_t i);
/* Every coin that something waiting spends, into an empty set. */
otd_rc devnet_pool_used(const struct otd_instance *in, struct devnet_coins *used);
/* The one of this identity, or NULL. */
struct devnet_mtx *devnet_pool_find(struct otd_instance *in, const uint8_t txid[32]);
void devnet_pool_finish(const struct btc_host *host, struct devnet_pool *p);
otd_rc devnet_pool_add(const struct btc_host *host, struct devnet_pool *p,
		       const struct devnet_mtx *tx);
/* Drops what the chain, or what stands before it, has made impossible; parents come first then. */
void devnet_pool_sweep(struct otd_instance *in);
otd_rc devnet_template(struct otd_instance *in, struct otd_chain_template *out, bool with_txs);
otd_rc devnet_send(struct otd_instance *in, uint8_t txid[32], const struct devnet_out *to);

/* --- accept.c --- */
/* A coin that may be spent by what comes next: in the chain, or of a transaction that waits. */
bool devnet_coin_find(struct otd_instance *in, struct devnet_coin *out, const uint8_t outpoint[36]);
bool devnet_mature(const struct otd_instance *in, const struct devnet_coin *c);
/* What a node says to a transaction; a good one waits from now on. */
otd_rc devnet_accept(struct otd_instance *in, struct otd_span raw, struct otd_chain_send *s);

/* --- wallet.c --- */
/* The calls from OTD_CHAIN_WALLET on. */
otd_rc devnet_wallet(struct otd_instance *in, const struct otd_chain_call *call,
		     struct otd_chain_result *out);
/* "wallet lock", "wallet fee 5000", ...: words behind "wallet". */
otd_rc devnet_wallet_command(struct otd_instance *in, const struct otd_span *words, size_t n,
			     struct btc_buf *answer);

/* --- file.c --- */
otd_rc devnet_file_open(struct otd_instance *in);
otd_rc devnet_file_append(struct otd_instance *in, uint8_t type, struct otd_span payload);

/* --- command.c --- */
/* "mine 2", "reorg 1", "send ADDRESS 1.5": see the answer to "help". */
otd_rc devnet_command(struct otd_instance *in, struct otd_span words, struct otd_buf *answer);

#endif
