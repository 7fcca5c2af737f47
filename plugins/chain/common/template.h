/*
 * What both chains share, part 3: a template, the coinbase made for it, and the block. Both give
 * templates of this one form, and so have job(), assemble() and template_free() in common.
 */
#ifndef OTD_PLUGIN_CHAIN_TEMPLATE_H
#define OTD_PLUGIN_CHAIN_TEMPLATE_H

#include "common/bytes.h"
#include <otedama/chain.h>

#define BTC_HEADER_LEN 80

struct otd_template {
	struct otd_chain_template info;
	bool segwit;             /* the coinbase has a witness and commits to the others' */
	uint8_t commitment[128]; /* the script of that output */
	size_t commitment_len;
	uint8_t *branches; /* n_branches * 32 */
	uint32_t n_branches;
	uint8_t *body; /* the other transactions as they stand in a block */
	size_t body_len;
	bool plain; /* a block of this kind may have no transactions, and its subsidy is value less fees */
};

/* Takes NULL. */
void btc_template_free(const struct btc_host *host, struct otd_template *t);
/* Sets commitment to BIP 141's output script of this hash. */
void btc_template_commit(struct otd_template *t, const uint8_t commitment[32]);

/* BIP 34: the height as the first push of the coinbase's script; returns its length, at most 9. */
size_t btc_height_push(uint8_t out[9], uint64_t height);

/* See struct otd_chain_ops. */
otd_rc btc_job(const struct btc_host *host, const struct otd_template *t,
	       const struct otd_chain_coinbase *cb, struct otd_chain_job *out);
otd_rc btc_template_save(const struct btc_host *host, const struct otd_template *t,
			 struct otd_buf *head, struct otd_buf *body);
otd_rc btc_template_load(const struct btc_host *host, struct otd_span head, struct otd_span body,
			 struct otd_chain_template *out);
otd_rc btc_assemble(const struct btc_host *host, const struct otd_template *t,
		    struct otd_span header, struct otd_span coinbase, struct otd_buf *block);

#endif
