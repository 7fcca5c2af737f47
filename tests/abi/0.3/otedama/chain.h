/*
 * Kind "chain/1": how a family of coins speaks. The plugin does no input or output: it writes the
 * request for a node and reads the node's answer; the host sends it, to which node it likes, with
 * deadlines, failover and repetition. A chain that is its own node answers through local().
 *
 * Hashes are 32 bytes, least significant byte first (the reverse of how people write them).
 */
#ifndef OTEDAMA_CHAIN_H
#define OTEDAMA_CHAIN_H

#include <otedama/plugin.h>
#include <otedama/u256.h>

#ifdef __cplusplus
extern "C" {
#endif

struct otd_template; /* the plugin's: all that it needs to build blocks on one tip */

enum otd_chain_call_kind {
	OTD_CHAIN_PROBE = 1,    /* who are you, on which network, how far: result.probe */
	OTD_CHAIN_TIP = 2,      /* hash and height of the best block: result.tip */
	OTD_CHAIN_TEMPLATE = 3, /* something to mine: result.tmpl. longpoll_id: wait for news */
	OTD_CHAIN_SUBMIT = 4,   /* here is a block: result.submit */
	OTD_CHAIN_BLOCK = 5,    /* what is at this height: result.block */
	/* Since 0.2, of a node that has a wallet: */
	OTD_CHAIN_WALLET = 6, /* what it holds, whether it can sign, what fees are: result.wallet */
	OTD_CHAIN_COINS = 7,  /* what it may spend: into call.out, as an array of otd_chain_coin */
	OTD_CHAIN_LOCK = 8,  /* call.coins are kept out of the wallet's own choice, or given back */
	OTD_CHAIN_SIGN = 9,  /* call.raw with every input signed: into call.out */
	OTD_CHAIN_SEND = 10, /* call.raw to the network: result.send */
	OTD_CHAIN_TX = 11,   /* where call.txid and call.coins are: result.tx */
	/* Since 0.3: */
	OTD_CHAIN_HEADER = 12 /* the block with call.hash: result.header */
};

/* One output of a transaction that is ours to spend. Arrays of it cross with a stride. */
struct otd_chain_coin {
	uint8_t txid[32];
	uint32_t index;
	uint32_t script_len;
	uint8_t script[64]; /* of the output; empty where it is not known */
	otd_i128 value;
	uint64_t confirmations; /* 0: none */
};

struct otd_chain_call {
	uint32_t size;
	uint32_t kind;           /* enum otd_chain_call_kind */
	const char *longpoll_id; /* TEMPLATE: NULL, or wait until this is old */
	struct otd_span block;   /* SUBMIT: the whole block as assemble() made it */
	uint64_t height;  /* BLOCK; TIP: 0, or wait until there is a block so high (since 0.3) */
	uint8_t hash[32]; /* BLOCK, SUBMIT: identity of ours; HEADER */
	/* Since 0.2: */
	const char *address;                /* WALLET: NULL, or whether it is the wallet's own */
	struct otd_span raw;                /* SIGN, SEND: a transaction */
	uint8_t txid[32];                   /* TX */
	const struct otd_chain_coin *coins; /* LOCK, TX: inputs; SIGN: all inputs of raw */
	size_t coin_stride, n_coins;        /* COINS: the stride that call.out is written with */
	uint32_t unlock; /* LOCK: 1 gives them back; coins that are so already are no error */
	uint32_t confirmations; /* COINS: those with at least so many */
	struct otd_buf *out;    /* COINS, SIGN: the host's; OTD_E_RANGE and len where it is short */
};

struct otd_chain_probe {
	char network[32];  /* as the coin file names networks: "main", "test", "regtest" */
	char software[96]; /* for people */
	uint64_t height;   /* blocks it has */
	uint64_t headers;  /* blocks it knows of */
	uint32_t syncing;  /* 1: templates would be on an old tip */
	uint32_t peers;
	char warning[240]; /* empty: none */
};

struct otd_chain_tip {
	uint64_t height;
	uint8_t hash[32];
};

struct otd_chain_template {
	struct otd_template *handle; /* give back by template_free() */
	uint64_t height;             /* of the block to be made */
	uint8_t prev[32];
	uint8_t target[32]; /* network target, least significant byte first */
	uint32_t version, nbits;
	int64_t time_s, min_time_s; /* of the node; the header's time is at least min_time_s */
	otd_i128 value;             /* subsidy and fees that the coinbase may pay out */
	otd_i128 fees;
	uint32_t n_tx; /* without the coinbase */
	uint32_t reserved;
	char longpoll_id[160]; /* empty: the node has none */
};

enum otd_chain_verdict {
	OTD_CHAIN_ACCEPTED = 1,
	OTD_CHAIN_KNOWN = 2,        /* it has it already: as good as accepted */
	OTD_CHAIN_INCONCLUSIVE = 3, /* valid as far as it knows, but not on its best chain */
	OTD_CHAIN_REJECTED = 4,
	OTD_CHAIN_UNSURE = 5 /* neither yes nor no: look by hash at height */
};

struct otd_chain_submit {
	uint32_t verdict; /* enum otd_chain_verdict */
	char reason[160];
};

enum otd_chain_place {
	OTD_CHAIN_MAIN = 1,   /* our hash is at this height of its best chain */
	OTD_CHAIN_OTHER = 2,  /* another block is */
	OTD_CHAIN_NOT_YET = 3 /* its best chain is shorter than this height */
};

struct otd_chain_block {
	uint32_t place; /* enum otd_chain_place */
	uint32_t reserved;
	uint64_t confirmations; /* MAIN: 1 for the tip */
	uint64_t tip_height;
	uint8_t hash[32]; /* MAIN, OTHER: what is at the height */
};

enum otd_chain_owns { OTD_CHAIN_OWNS_UNKNOWN = 0, OTD_CHAIN_OWNS = 1, OTD_CHAIN_OWNS_NOT = 2 };

struct otd_chain_wallet {
	otd_i128 balance;  /* spendable now */
	otd_i128 immature; /* of blocks that are not deep enough */
	/* Per 1000 virtual bytes: what the node advises (0: nothing), and below what it refuses. */
	otd_i128 fee_rate, min_fee_rate;
	uint32_t locked; /* 1: it cannot sign until it is unlocked */
	uint32_t owns;   /* call.address: enum otd_chain_owns */
	char name[64];   /* for people */
};

enum otd_chain_sent {
	OTD_CHAIN_SENT = 1,       /* it has taken it */
	OTD_CHAIN_SENT_KNOWN = 2, /* it had it already, in its pool of transactions or in a block */
	OTD_CHAIN_SENT_FEE = 3,   /* refused: pays too little now */
	/* refused: an input is spent, or not there. By which is another question: by one that waits (a
	   node may replace nothing), or by this very one, long in the chain: look by TX */
	OTD_CHAIN_SENT_CONFLICT = 4,
	OTD_CHAIN_SENT_REFUSED = 5, /* refused for another reason */
	OTD_CHAIN_SENT_UNSURE = 6   /* neither yes nor no: look by TX */
};

struct otd_chain_send {
	uint32_t verdict; /* enum otd_chain_sent */
	char reason[160];
};

enum otd_chain_tx_state {
	OTD_CHAIN_TX_UNKNOWN = 1, /* this node knows nothing of it */
	OTD_CHAIN_TX_WAITS = 2,   /* known, in no block of the best chain */
	OTD_CHAIN_TX_BLOCK = 3    /* in a block of the best chain */
};

/* All of one moment: a plugin that sees the tip move between its questions says OTD_E_BUSY. */
struct otd_chain_tx {
	uint32_t state; /* enum otd_chain_tx_state */
	/* Of call.coins, as the best chain (and not what waits) has it: spent there, by whatever
	   transaction; and made by a transaction that is not in it. */
	uint32_t coins_spent, coins_missing;
	uint32_t in_mempool;    /* WAITS: 1 where this node passes it on */
	uint64_t confirmations; /* BLOCK: 1 for the tip */
	uint64_t height;        /* BLOCK: of its block */
	uint64_t tip_height;
	uint8_t block_hash[32]; /* BLOCK */
};

struct otd_chain_header {
	uint64_t height, confirmations; /* 1: it is the best block */
	uint8_t hash[32], prev[32];
	uint32_t nbits, reserved;
	int64_t time_s, median_time_s; /* its own; of it and the ten before it */
};

struct otd_chain_result {
	uint32_t size;
	uint32_t kind;
	union {
		struct otd_chain_probe probe;
		struct otd_chain_tip tip;
		struct otd_chain_template tmpl;
		struct otd_chain_submit submit;
		struct otd_chain_block block;
		struct otd_chain_wallet wallet;
		struct otd_chain_send send;
		struct otd_chain_tx tx;
		struct otd_chain_header header;
	} u;
};

/* One output of the coinbase. */
struct otd_chain_payee {
	struct otd_span script; /* from address() */
	otd_i128 value;         /* one payee may have -1: it gets what the others leave */
};

struct otd_chain_coinbase {
	uint32_t size;
	uint32_t extranonce_len; /* bytes left open in the coinbase */
	const struct otd_chain_payee *payees;
	size_t payee_stride, n_payees;
	struct otd_span tag; /* printable, behind height; cut where it does not fit */
};

/* A job, ready to be told to miners. Buffers are the host's (OTD_E_RANGE: make them longer). */
struct otd_chain_job {
	uint32_t size, reserved;
	struct otd_buf coinbase1, coinbase2; /* coinbase = 1 + extranonce + 2, without witness */
	struct otd_buf branches;             /* n * 32 bytes, merkle branch of the coinbase */
};

/* A transaction to be: every coin an input, every payee an output, in this order. */
struct otd_chain_pay {
	uint32_t size, reserved;
	const struct otd_chain_coin *coins;
	size_t coin_stride, n_coins;
	const struct otd_chain_payee *payees;
	size_t payee_stride, n_payees;
};

struct otd_chain_pay_info {
	uint32_t size;
	/* pay_check: 1 where an input's proof is part of the identity (no segregated witness), so that
	   somebody on the way can give the same payment another txid. A coin of it that was spent
	   "otherwise" may then have been spent by this very payment: look before paying again. */
	uint32_t malleable;
	/* virtual bytes once signed: an upper bound from pay_build, exact from pay_check */
	uint64_t vsize;
	uint8_t txid[32]; /* pay_check */
};

/* A node answers a TIP that waits after so long at the latest, with whatever is its best block then. */
#define OTD_CHAIN_TIP_WAIT_MS 60000

/* All [coordinator]; none may block or take more than some milliseconds. */
struct otd_chain_ops {
	uint32_t size, reserved;
	/* The body of an HTTP POST that asks a node for call. NULL where local() is there. */
	otd_rc (*request)(struct otd_instance *in, const struct otd_chain_call *call,
			  struct otd_buf *body);
	/* Reads what the node answered. OTD_E_REFUSED: the node said no, in words by set_error;
	   OTD_E_BUSY: it is starting or syncing; OTD_E_INVALID: not an answer we understand. */
	otd_rc (*answer)(struct otd_instance *in, const struct otd_chain_call *call,
			 int http_status, struct otd_span body, struct otd_chain_result *out);
	/* A chain that is its own node answers at once. NULL otherwise. */
	otd_rc (*local)(struct otd_instance *in, const struct otd_chain_call *call,
			struct otd_chain_result *out);
	/* Commands to such a chain ("reorg 2"), answer in words. Optional. */
	otd_rc (*command)(struct otd_instance *in, struct otd_span words, struct otd_buf *answer);
	/* The output script of an address of the instance's network. OTD_E_INVALID with the reason
	   by set_error: bad checksum, another network, a kind that is not supported. */
	otd_rc (*address)(struct otd_instance *in, struct otd_span text, struct otd_buf *script);
	void (*template_free)(struct otd_instance *in, struct otd_template *t); /* takes NULL */
	otd_rc (*job)(struct otd_instance *in, struct otd_template *t,
		      const struct otd_chain_coinbase *cb, struct otd_chain_job *out);
	/* The whole block: header as solved, coinbase as hashed (without witness). */
	otd_rc (*assemble)(struct otd_instance *in, struct otd_template *t, struct otd_span header,
			   struct otd_span coinbase, struct otd_buf *block);
	/* Since 0.2; pay_build, pay_check and dust are NULL on a chain that cannot pay. */
	/* The unsigned transaction. OTD_E_INVALID by set_error: sums, a script that cannot be. */
	otd_rc (*pay_build)(struct otd_instance *in, const struct otd_chain_pay *p,
			    struct otd_buf *raw, struct otd_chain_pay_info *info);
	/* Whether raw is p, signed: the same inputs and outputs in the same order, nothing more, a
	   witness or script at each input. OTD_E_INVALID says what differs. */
	otd_rc (*pay_check)(struct otd_instance *in, const struct otd_chain_pay *p,
			    struct otd_span raw, struct otd_chain_pay_info *info);
	/* The least value of an output to script that nodes pass on. */
	otd_rc (*dust)(struct otd_instance *in, struct otd_span script, otd_i128 *least);
	/* The one text by which an address is known, however it was written (letters of the other
	   case, an old prefix): two texts with one script have one. NULL: texts stay as they are. */
	otd_rc (*canonical)(struct otd_instance *in, struct otd_span text, struct otd_buf *out);
	/*
	 * Since 0.3, both or none: a template as bytes, and back in another process that goes on with this
	 * one's work ("otedama upgrade"), where job() and assemble() do with it as they did. body is what
	 * templates of one tip often have in common, byte for byte (the transactions); the host keeps equal
	 * ones once. head begins with a version of the plugin's own. save: OTD_E_RANGE and both lengths where
	 * a buffer is short. load: OTD_E_VERSION, OTD_E_CORRUPT in words; out->handle is given back by
	 * template_free(). NULL: work of this chain cannot be handed over.
	 */
	otd_rc (*template_save)(struct otd_instance *in, const struct otd_template *t,
				struct otd_buf *head, struct otd_buf *body);
	otd_rc (*template_load)(struct otd_instance *in, struct otd_span head, struct otd_span body,
				struct otd_chain_template *out);
	/*
	 * Since 0.3, optional: something to mine on a new block before any node has made a template of it: no
	 * transactions, the subsidy alone. from: the newest template, of the height of header, whose block
	 * stands on the same one. now_s: wall clock. OTD_E_UNSUPPORTED wherever it is not certain that such a
	 * block is valid and pays what it may: the host then waits for the node's. out->longpoll_id is empty.
	 */
	otd_rc (*template_first)(struct otd_instance *in, const struct otd_template *from,
				 const struct otd_chain_header *header, int64_t now_s,
				 struct otd_chain_template *out);
};

#ifdef __cplusplus
}
#endif
#endif
