#include "bitcoin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void bitcoin_put_call(struct btc_buf *b, const char *comma, size_t id, const char *method,
		      const char *params)
{
	btc_put_text(b, "%s{\"jsonrpc\":\"1.0\",\"id\":%zu,\"method\":\"%s\",\"params\":%s}", comma,
		     id, method, params);
}

/* Calls of a batch bear their place as id, by which answer.c finds them. */
static void put_call(struct btc_buf *b, size_t id, const char *method, const char *params)
{
	bitcoin_put_call(b, id ? "," : "", id, method, params);
}

static otd_rc put_template_call(struct otd_instance *in, struct btc_buf *b, const char *longpoll_id)
{
	btc_put_text(b, "{\"jsonrpc\":\"1.0\",\"id\":0,\"method\":\"getblocktemplate\","
			"\"params\":[{\"capabilities\":[\"longpoll\"],\"rules\":[");
	for (size_t i = 0; i < in->opt->rules.n; i++)
		btc_put_text(b, "%s\"%s\"", i ? "," : "", in->opt->rules.item[i]);
	btc_put_text(b, "]");
	if (longpoll_id && *longpoll_id) {
		/* The id came from the node; as JSON text it must not end the string. */
		for (const char *p = longpoll_id; *p; p++) {
			if (*p < ' ' || *p > '~' || *p == '"' || *p == '\\')
				return btc_fail(&in->host, OTD_E_INVALID,
						"the node's longpollid is not printable");
		}
		btc_put_text(b, ",\"longpollid\":\"%.160s\"", longpoll_id);
	}
	btc_put_text(b, "}]}");
	return OTD_OK;
}

static void put_block_calls(struct btc_buf *b, const struct otd_chain_call *call)
{
	char params[80], hash[65];
	btc_put_text(b, "[");
	snprintf(params, sizeof(params), "[%" PRIu64 "]", call->height);
	put_call(b, 0, "getblockhash", params);
	snprintf(params, sizeof(params), "[\"%s\"]", btc_hash_text(hash, call->hash));
	put_call(b, 1, "getblockheader", params);
	put_call(b, 2, "getblockcount", "[]");
	btc_put_text(b, "]");
}

otd_rc bitcoin_request(struct otd_instance *in, const struct otd_chain_call *call,
		       struct otd_buf *body)
{
	struct btc_buf b;
	char params[80], hash[65];
	otd_rc rc = OTD_OK;
	btc_buf_init(&b, &in->host);
	switch (call->kind) {
	case OTD_CHAIN_PROBE:
		btc_put_text(&b, "[");
		put_call(&b, 0, "getblockchaininfo", "[]");
		put_call(&b, 1, "getnetworkinfo", "[]");
		btc_put_text(&b, "]");
		break;
	case OTD_CHAIN_TIP:
		/* Height and hash of one moment; two calls could straddle a block. */
		snprintf(params, sizeof(params), "[%" PRIu64 ",%d]", call->height,
			 OTD_CHAIN_TIP_WAIT_MS);
		if (call->height)
			put_call(&b, 0, "waitforblockheight", params);
		else
			put_call(&b, 0, "getblockchaininfo", "[]");
		break;
	case OTD_CHAIN_TEMPLATE: rc = put_template_call(in, &b, call->longpoll_id); break;
	case OTD_CHAIN_SUBMIT:
		btc_put_text(&b, "{\"jsonrpc\":\"1.0\",\"id\":0,\"method\":\"submitblock\","
				 "\"params\":[\"");
		btc_put_hex(&b, call->block.ptr, call->block.len);
		btc_put_text(&b, "\"]}");
		break;
	case OTD_CHAIN_BLOCK: put_block_calls(&b, call); break;
	case OTD_CHAIN_HEADER:
		snprintf(params, sizeof(params), "[\"%s\"]", btc_hash_text(hash, call->hash));
		put_call(&b, 0, "getblockheader", params);
		break;
	default: rc = bitcoin_wallet_request(in, &b, call);
	}
	if (rc == OTD_OK && b.failed)
		rc = btc_fail(&in->host, OTD_E_NOMEM, "no memory for a request");
	if (rc == OTD_OK)
		rc = btc_give(body, b.ptr, b.len);
	btc_buf_finish(&b);
	return rc;
}
