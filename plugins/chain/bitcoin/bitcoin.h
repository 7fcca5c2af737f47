/* chain/bitcoin: the getblocktemplate family over JSON-RPC. What differs between coins is options. */
#ifndef OTD_PLUGIN_BITCOIN_H
#define OTD_PLUGIN_BITCOIN_H

#include "common/address.h"
#include "common/pay.h"
#include "common/template.h"

#include <jansson.h>

#define BITCOIN_NETWORKS 5

struct bitcoin_options {
	const char *network;
	struct otd_option_list rules;
	struct otd_option_list schedule;
	struct otd_option_list forms[BITCOIN_NETWORKS]; /* main test testnet4 signet regtest */
	int64_t dust_relay_fee;                         /* base units per 1000 bytes */
	int64_t dust_limit;                             /* base units */
};

struct otd_instance {
	struct btc_host host;
	const struct bitcoin_options *opt;
	struct btc_address_form forms[BITCOIN_NETWORKS]; /* the instance's own first */
	/* How many blocks difficulty and subsidy stay as they are; 0: for ever. */
	bool scheduled;
	uint64_t retarget, halving;
};

/* --- one file a half of the conversation; see struct otd_chain_ops --- */
otd_rc bitcoin_request(struct otd_instance *in, const struct otd_chain_call *call,
		       struct otd_buf *body);
otd_rc bitcoin_answer(struct otd_instance *in, const struct otd_chain_call *call, int http_status,
		      struct otd_span body, struct otd_chain_result *out);
/* The result of getblocktemplate. */
otd_rc bitcoin_template(struct otd_instance *in, const json_t *result,
			struct otd_chain_template *out);

/* first.c: work on a block before the node has a template of it. Reads the instance's schedule. */
otd_rc bitcoin_schedule(struct otd_instance *in);
otd_rc bitcoin_first(struct otd_instance *in, const struct otd_template *from,
		     const struct otd_chain_header *h, int64_t now_s,
		     struct otd_chain_template *out);

/* A call from OTD_CHAIN_WALLET on, but HEADER: its text, and the answer to it. */
otd_rc bitcoin_wallet_request(struct otd_instance *in, struct btc_buf *b,
			      const struct otd_chain_call *call);
otd_rc bitcoin_wallet_answer(struct otd_instance *in, const struct otd_chain_call *call,
			     const json_t *root, struct otd_chain_result *out);

/* Bitcoin Core, src/rpc/protocol.h. */
enum bitcoin_rpc_code {
	RPC_MISC = -1,
	RPC_NOT_FOUND = -5, /* a hash that it does not know */
	RPC_BAD_PARAMETER = -8,
	RPC_NOT_CONNECTED = -9,
	RPC_SYNCING = -10,
	RPC_WALLET_LOCKED = -13,
	RPC_WALLET_NOT_FOUND = -18,
	RPC_WALLET_NOT_NAMED = -19,
	RPC_DESERIALIZATION = -22,
	RPC_TRANSACTION_ERROR = -25,
	RPC_TRANSACTION_REJECTED = -26,
	RPC_TRANSACTION_IN_CHAIN = -27,
	RPC_WARMUP = -28,
	RPC_NO_METHOD = -32601
};

#define BITCOIN_MAX_INPUTS 2000 /* a transaction that nodes pass on has fewer */

/* Ids of calls in a wallet's batches; of the i-th coin BITCOIN_ID_OUT + i, and its transaction's
   BITCOIN_ID_OUT + n_coins + i, asked for once where several coins have one. */
enum bitcoin_wallet_id {
	BITCOIN_ID_INFO = 0, /* WALLET: getwalletinfo ... */
	BITCOIN_ID_BALANCES,
	BITCOIN_ID_ESTIMATE,
	BITCOIN_ID_MEMPOOL,
	BITCOIN_ID_NETWORK,
	BITCOIN_ID_ADDRESS,
	BITCOIN_ID_OLD_ADDRESS,
	BITCOIN_IDS_WALLET,
	BITCOIN_ID_FIRST_TIP = 0, /* TX: getbestblockhash ... */
	BITCOIN_ID_OURS,
	BITCOIN_ID_WAITS,
	BITCOIN_ID_OUR_OUT,
	BITCOIN_ID_TX_INFO,
	BITCOIN_ID_COUNT,
	BITCOIN_ID_LAST_TIP,
	BITCOIN_ID_OUT
};
/* The first of call's coins that has the i-th one's transaction. */
size_t bitcoin_same_tx(const struct otd_chain_call *call, size_t i);

/* JSON in which numbers with a point or an exponent have become texts, since jansson would read them
   as doubles. *out is the instance's memory. */
otd_rc bitcoin_quote(const struct btc_host *host, uint8_t **out, size_t *len, struct otd_span json);

/* --- answers; see answer.c --- */
/* The calls of an answer by id, from 0 to n - 1; NULL where it has none of that id. */
struct bitcoin_calls {
	const json_t **at;
	size_t n;
};
otd_rc bitcoin_calls(const struct btc_host *host, struct bitcoin_calls *out, const json_t *root,
		     size_t n);
/* The result of call c, or its error said. *code: the error's, 0 where none. */
otd_rc bitcoin_result(const struct btc_host *host, const json_t **result, json_int_t *code,
		      const json_t *c);
/* A call with its place as id, by which the answer is found; the first one of a batch has comma "". */
void bitcoin_put_call(struct btc_buf *b, const char *comma, size_t id, const char *method,
		      const char *params);

/* --- members of JSON objects, checked; each says by set_error which is missing or wrong --- */
otd_rc bitcoin_u64(const struct btc_host *host, uint64_t *out, const json_t *o, const char *key,
		   uint64_t max);
/* Eight hex digits, most significant first: bits. */
otd_rc bitcoin_bits(const struct btc_host *host, uint32_t *out, const json_t *o);
/* A text of the object; NULL (said) where there is none. */
const char *bitcoin_text(const struct btc_host *host, size_t *len, const json_t *o,
			 const char *key);
otd_rc bitcoin_hash(const struct btc_host *host, uint8_t out[32], const json_t *o, const char *key);
/* Copies what is printable of s. */
void bitcoin_words(char *out, size_t cap, const char *s);

#endif
