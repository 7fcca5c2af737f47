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
	OTD_CHAIN_BLOCK = 5     /* what is at this height: result.block */
};

struct otd_chain_call {
	uint32_t size;
	uint32_t kind;           /* enum otd_chain_call_kind */
	const char *longpoll_id; /* TEMPLATE: NULL, or wait until this is old */
	struct otd_span block;   /* SUBMIT: the whole block as assemble() made it */
	uint64_t height;         /* BLOCK */
	uint8_t hash[32];        /* BLOCK, SUBMIT: identity of ours */
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

struct otd_chain_result {
	uint32_t size;
	uint32_t kind;
	union {
		struct otd_chain_probe probe;
		struct otd_chain_tip tip;
		struct otd_chain_template tmpl;
		struct otd_chain_submit submit;
		struct otd_chain_block block;
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
};

#ifdef __cplusplus
}
#endif
#endif
