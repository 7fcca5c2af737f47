/* chain/bitcoin: the getblocktemplate family over JSON-RPC. What differs between coins is options. */
#ifndef OTD_PLUGIN_BITCOIN_H
#define OTD_PLUGIN_BITCOIN_H

#include "common/address.h"
#include "common/template.h"

#include <jansson.h>

#define BITCOIN_NETWORKS 5

struct bitcoin_options {
	const char *network;
	struct otd_option_list rules;
	struct otd_option_list forms[BITCOIN_NETWORKS]; /* main test testnet4 signet regtest */
};

struct otd_instance {
	struct btc_host host;
	const struct bitcoin_options *opt;
	struct btc_address_form forms[BITCOIN_NETWORKS]; /* the instance's own first */
};

/* --- one file a half of the conversation; see struct otd_chain_ops --- */
otd_rc bitcoin_request(struct otd_instance *in, const struct otd_chain_call *call,
		       struct otd_buf *body);
otd_rc bitcoin_answer(struct otd_instance *in, const struct otd_chain_call *call, int http_status,
		      struct otd_span body, struct otd_chain_result *out);
/* The result of getblocktemplate. */
otd_rc bitcoin_template(struct otd_instance *in, const json_t *result,
			struct otd_chain_template *out);

/* --- members of JSON objects, checked; each says by set_error which is missing or wrong --- */
otd_rc bitcoin_u64(const struct btc_host *host, uint64_t *out, const json_t *o, const char *key,
		   uint64_t max);
/* A text of the object; NULL (said) where there is none. */
const char *bitcoin_text(const struct btc_host *host, size_t *len, const json_t *o,
			 const char *key);
otd_rc bitcoin_hash(const struct btc_host *host, uint8_t out[32], const json_t *o, const char *key);
/* Copies what is printable of s. */
void bitcoin_words(char *out, size_t cap, const char *s);

#endif
