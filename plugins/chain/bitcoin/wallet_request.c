/* What is asked of a wallet's node. One batch a call, since each answer is of one moment at best. */
#include "bitcoin.h"

#include <stdio.h>
#include <string.h>

size_t bitcoin_same_tx(const struct otd_chain_call *call, size_t i)
{
	const uint8_t *txid = btc_coin_at(call->coins, call->coin_stride, i)->txid;
	for (size_t k = 0; k < i; k++) {
		if (memcmp(btc_coin_at(call->coins, call->coin_stride, k)->txid, txid, 32) == 0)
			return k;
	}
	return i;
}

static otd_rc put_wallet(struct otd_instance *in, struct btc_buf *b, const char *address)
{
	static const char *const method[] = {"getwalletinfo", "getbalances", "estimatesmartfee",
					     "getmempoolinfo", "getnetworkinfo"};
	char params[140];
	btc_put_text(b, "[");
	for (size_t i = 0; i < BITCOIN_ID_ADDRESS; i++)
		bitcoin_put_call(b, i ? "," : "", i, method[i],
				 i == BITCOIN_ID_ESTIMATE ? "[6]" : "[]");
	if (address) {
		for (const char *p = address; *p; p++) {
			if (*p <= ' ' || *p > '~' || *p == '"' || *p == '\\' || p - address > 120)
				return btc_fail(&in->host, OTD_E_INVALID,
						"'%.40s' is not an address", address);
		}
		snprintf(params, sizeof(params), "[\"%s\"]", address);
		bitcoin_put_call(b, ",", BITCOIN_ID_ADDRESS, "getaddressinfo", params);
		/* where it is older than 0.17 */
		bitcoin_put_call(b, ",", BITCOIN_ID_OLD_ADDRESS, "validateaddress", params);
	}
	btc_put_text(b, "]");
	return OTD_OK;
}

/* One call a coin: one that is locked already must not keep the others from it. */
static void put_locks(struct btc_buf *b, const struct otd_chain_call *call)
{
	btc_put_text(b, "[");
	for (size_t i = 0; i < call->n_coins; i++) {
		const struct otd_chain_coin *c = btc_coin_at(call->coins, call->coin_stride, i);
		char params[160], txid[65];
		snprintf(params, sizeof(params), "[%s,[{\"txid\":\"%s\",\"vout\":%u}]]",
			 call->unlock ? "true" : "false", btc_hash_text(txid, c->txid), c->index);
		bitcoin_put_call(b, i ? "," : "", i, "lockunspent", params);
	}
	btc_put_text(b, "]");
}

static void put_raw(struct btc_buf *b, const char *comma, int id, const char *method,
		    struct otd_span raw)
{
	btc_put_text(b, "%s{\"jsonrpc\":\"1.0\",\"id\":%d,\"method\":\"%s\",\"params\":[\"", comma,
		     id, method);
	btc_put_hex(b, raw.ptr, raw.len);
	btc_put_text(b, "\"]}");
}

/*
 * Where a transaction and its coins are. The coins come first and ours last: a block that comes in
 * between makes first and last tip differ, and then nothing of it counts.
 */
static void put_tx(struct btc_buf *b, const struct otd_chain_call *call)
{
	char params[120], txid[65];
	btc_put_text(b, "[");
	bitcoin_put_call(b, "", BITCOIN_ID_FIRST_TIP, "getbestblockhash", "[]");
	for (size_t i = 0; i < call->n_coins; i++) {
		const struct otd_chain_coin *c = btc_coin_at(call->coins, call->coin_stride, i);
		btc_hash_text(txid, c->txid);
		snprintf(params, sizeof(params), "[\"%s\",%u,false]", txid, c->index);
		bitcoin_put_call(b, ",", BITCOIN_ID_OUT + i, "gettxout", params);
		if (bitcoin_same_tx(call, i) != i)
			continue;
		snprintf(params, sizeof(params), "[\"%s\"]", txid);
		bitcoin_put_call(b, ",", BITCOIN_ID_OUT + call->n_coins + i, "gettransaction",
				 params);
	}
	btc_hash_text(txid, call->txid);
	snprintf(params, sizeof(params), "[\"%s\"]", txid);
	bitcoin_put_call(b, ",", BITCOIN_ID_OURS, "gettransaction", params);
	bitcoin_put_call(b, ",", BITCOIN_ID_WAITS, "getmempoolentry", params);
	snprintf(params, sizeof(params), "[\"%s\",0,false]", txid);
	bitcoin_put_call(b, ",", BITCOIN_ID_OUR_OUT, "gettxout", params);
	bitcoin_put_call(b, ",", BITCOIN_ID_TX_INFO, "getwalletinfo", "[]");
	bitcoin_put_call(b, ",", BITCOIN_ID_COUNT, "getblockcount", "[]");
	bitcoin_put_call(b, ",", BITCOIN_ID_LAST_TIP, "getbestblockhash", "[]");
	btc_put_text(b, "]");
}

otd_rc bitcoin_wallet_request(struct otd_instance *in, struct btc_buf *b,
			      const struct otd_chain_call *call)
{
	char params[80];
	if (call->n_coins > BITCOIN_MAX_INPUTS)
		return btc_fail(&in->host, OTD_E_INVALID, "%zu coins at once; at most %d",
				call->n_coins, BITCOIN_MAX_INPUTS);
	switch (call->kind) {
	case OTD_CHAIN_WALLET: return put_wallet(in, b, call->address);
	case OTD_CHAIN_COINS:
		/* None that is unsafe: unconfirmed ones of others. Not more than we can read. */
		snprintf(params, sizeof(params), "[%u,9999999,[],false,{\"maximumCount\":%d}]",
			 call->confirmations, 50000);
		bitcoin_put_call(b, "", 0, "listunspent", params);
		break;
	case OTD_CHAIN_LOCK: put_locks(b, call); break;
	case OTD_CHAIN_SIGN:
		btc_put_text(b, "[");
		put_raw(b, "", 0, "signrawtransactionwithwallet", call->raw);
		put_raw(b, ",", 1, "signrawtransaction", call->raw); /* older than 0.17 */
		btc_put_text(b, "]");
		break;
	case OTD_CHAIN_SEND:
		/* The node's own limit of fees stays in force, a second guard behind ours. */
		put_raw(b, "", 0, "sendrawtransaction", call->raw);
		break;
	case OTD_CHAIN_TX: put_tx(b, call); break;
	default:
		return btc_fail(&in->host, OTD_E_UNSUPPORTED, "chain call %u is not known here",
				call->kind);
	}
	return OTD_OK;
}
