/* What a wallet's node says. Amounts are texts here (bitcoin_quote), and never went through a double. */
#include "bitcoin.h"

#include <string.h>

/* --- members --- */

/* In base units, rounded up where finer and up; fee rates are in coins per 1000 virtual bytes. */
static otd_rc amount(const struct btc_host *host, otd_i128 *out, const json_t *o, const char *key,
		     bool up)
{
	const json_t *v = json_object_get(o, key);
	if (json_is_integer(v)) {
		json_int_t i = json_integer_value(v);
		if (i >= -(json_int_t)(INT64_MAX / 100000000) && i <= INT64_MAX / 100000000) {
			*out = (otd_i128)i * 100000000;
			return OTD_OK;
		}
	} else if (json_is_string(v) &&
		   btc_amount(out, json_string_value(v), json_string_length(v), up)) {
		return OTD_OK;
	}
	return btc_fail(host, OTD_E_INVALID, "the node's '%s' is not an amount", key);
}

static const char *words_of(const json_t *c)
{
	const char *s = json_string_value(json_object_get(json_object_get(c, "error"), "message"));
	return s ? s : "";
}

/* A wallet that reads the chain again knows only half of its transactions. */
static otd_rc check_scanning(const struct btc_host *host, const json_t *info)
{
	const json_t *s = json_object_get(info, "scanning");
	if (json_is_object(s))
		return btc_fail(host, OTD_E_BUSY, "its wallet is reading the chain again");
	return OTD_OK;
}

/* --- WALLET --- */

/* A rate of o at key, where it has one, raises *rate. */
static otd_rc raise_rate(const struct btc_host *host, otd_i128 *rate, const json_t *o,
			 const char *key)
{
	otd_i128 v = 0;
	otd_rc rc = json_object_get(o, key) ? amount(host, &v, o, key, true) : OTD_OK;
	if (rc == OTD_OK && v > *rate)
		*rate = v;
	return rc;
}

static otd_rc read_rates(const struct btc_host *host, struct otd_chain_wallet *w,
			 const struct bitcoin_calls *c)
{
	const json_t *o;
	json_int_t code;
	otd_rc rc = bitcoin_result(host, &o, &code, c->at[BITCOIN_ID_MEMPOOL]);
	if (rc == OTD_OK)
		rc = raise_rate(host, &w->min_fee_rate, o, "mempoolminfee");
	if (rc == OTD_OK)
		rc = raise_rate(host, &w->min_fee_rate, o, "minrelaytxfee");
	if (rc == OTD_OK)
		rc = bitcoin_result(host, &o, &code, c->at[BITCOIN_ID_NETWORK]);
	if (rc == OTD_OK)
		rc = raise_rate(host, &w->min_fee_rate, o, "relayfee");
	if (rc)
		return rc;
	/* No estimate is no trouble: it has no "feerate", or -1 in old nodes, or an error where
	   estimates are off. */
	if (bitcoin_result(host, &o, &code, c->at[BITCOIN_ID_ESTIMATE]) == OTD_OK)
		rc = raise_rate(host, &w->fee_rate, o, "feerate");
	return rc;
}

static otd_rc read_balances(const struct btc_host *host, struct otd_chain_wallet *w,
			    const struct bitcoin_calls *c, const json_t *info)
{
	const json_t *o;
	json_int_t code;
	otd_rc rc = bitcoin_result(host, &o, &code, c->at[BITCOIN_ID_BALANCES]);
	if (rc == OTD_OK) {
		o = json_object_get(o, "mine");
		rc = amount(host, &w->balance, o, "trusted", false);
		return rc ? rc : amount(host, &w->immature, o, "immature", false);
	}
	if (code != RPC_NO_METHOD)
		return rc;
	/* Older than 0.19. */
	rc = amount(host, &w->balance, info, "balance", false);
	return rc ? rc : amount(host, &w->immature, info, "immature_balance", false);
}

static otd_rc read_owner(const struct btc_host *host, struct otd_chain_wallet *w,
			 const struct bitcoin_calls *c)
{
	const json_t *o;
	json_int_t code;
	otd_rc rc = bitcoin_result(host, &o, &code, c->at[BITCOIN_ID_ADDRESS]);
	if (rc && code == RPC_NO_METHOD)
		rc = bitcoin_result(host, &o, &code, c->at[BITCOIN_ID_OLD_ADDRESS]);
	/* What it does not take for an address is not the wallet's. */
	if (rc && code != RPC_NOT_FOUND)
		return rc;
	w->owns = rc == OTD_OK && json_is_true(json_object_get(o, "ismine")) ? OTD_CHAIN_OWNS
									     : OTD_CHAIN_OWNS_NOT;
	return OTD_OK;
}

static otd_rc read_wallet(const struct btc_host *host, struct otd_chain_wallet *w,
			  const struct bitcoin_calls *c, const char *address)
{
	const json_t *info;
	json_int_t code;
	otd_rc rc = bitcoin_result(host, &info, &code, c->at[BITCOIN_ID_INFO]);
	if (rc && code == RPC_NO_METHOD)
		return btc_fail(
			host, OTD_E_REFUSED,
			"it has no wallet (%s); start it without disablewallet, or give the "
			"role wallet to another node",
			words_of(c->at[BITCOIN_ID_INFO]));
	if (rc)
		return rc;
	const char *name = json_string_value(json_object_get(info, "walletname"));
	bitcoin_words(w->name, sizeof(w->name), name ? name : "");
	if (json_is_false(json_object_get(info, "private_keys_enabled")))
		return btc_fail(host, OTD_E_REFUSED,
				"its wallet '%s' has no private keys and cannot sign; name another "
				"as the node's 'wallet'",
				w->name);
	rc = check_scanning(host, info);
	const json_t *until = json_object_get(info, "unlocked_until");
	w->locked = json_is_integer(until) && json_integer_value(until) == 0;
	if (rc == OTD_OK)
		rc = read_balances(host, w, c, info);
	if (rc == OTD_OK)
		rc = read_rates(host, w, c);
	if (rc == OTD_OK && address)
		rc = read_owner(host, w, c);
	return rc;
}

/* --- COINS --- */

static bool is_no(const json_t *o, const char *key)
{
	return json_is_false(json_object_get(o, key));
}

/*
 * One coin; *use false where it is none that we can spend: watched only, of a multisig script that
 * does not fit, or of MWEB, which litecoind lists without an output number (its rpcwallet.cpp).
 */
static otd_rc read_coin(const struct btc_host *host, struct otd_chain_coin *out, bool *use,
			const json_t *o)
{
	size_t n = 0;
	*use = false;
	*out = (struct otd_chain_coin){0};
	if (!json_is_object(o))
		return btc_fail(host, OTD_E_INVALID, "the node's coin is no object");
	const char *script = json_string_value(json_object_get(o, "scriptPubKey"));
	if (!json_object_get(o, "vout") || !script || is_no(o, "spendable") ||
	    is_no(o, "solvable") || is_no(o, "safe"))
		return OTD_OK;
	n = strlen(script);
	if (n == 0 || n / 2 > sizeof(out->script))
		return OTD_OK;
	uint64_t index = 0;
	otd_rc rc = bitcoin_hash(host, out->txid, o, "txid");
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &index, o, "vout", UINT32_MAX);
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &out->confirmations, o, "confirmations", UINT32_MAX);
	if (rc == OTD_OK)
		rc = amount(host, &out->value, o, "amount", false);
	if (rc)
		return rc;
	if (!btc_unhex(out->script, script, n) || out->value <= 0)
		return btc_fail(host, OTD_E_INVALID, "the node's coin has no script or no value");
	out->index = (uint32_t)index;
	out->script_len = (uint32_t)(n / 2);
	*use = true;
	return OTD_OK;
}

static otd_rc read_coins(const struct btc_host *host, const struct otd_chain_call *call,
			 const json_t *root)
{
	const json_t *list;
	json_int_t code;
	struct otd_chain_coin one;
	size_t stride = call->coin_stride ? call->coin_stride : sizeof(one), n = 0, at = 0;
	bool use;
	otd_rc rc = bitcoin_result(host, &list, &code, root);
	if (rc)
		return rc;
	if (!json_is_array(list))
		return btc_fail(host, OTD_E_INVALID, "the node's coins are no list");
	for (size_t i = 0; i < json_array_size(list); i++) {
		rc = read_coin(host, &one, &use, json_array_get(list, i));
		if (rc)
			return rc;
		n += use;
	}
	call->out->len = n * stride;
	if (call->out->len > call->out->cap)
		return OTD_E_RANGE;
	if (n)
		memset(call->out->ptr, 0, n * stride);
	for (size_t i = 0; i < json_array_size(list); i++) {
		(void)read_coin(host, &one, &use, json_array_get(list, i));
		if (!use)
			continue;
		memcpy(call->out->ptr + at, &one, stride < sizeof(one) ? stride : sizeof(one));
		at += stride;
	}
	return OTD_OK;
}

/* --- LOCK --- */

/* Locked (or free) already, spent, or none of the wallet's: it will not choose it either way. */
static otd_rc read_locks(const struct btc_host *host, const struct bitcoin_calls *c)
{
	for (size_t i = 0; i < c->n; i++) {
		const json_t *o;
		json_int_t code;
		otd_rc rc = bitcoin_result(host, &o, &code, c->at[i]);
		if (rc && code != RPC_BAD_PARAMETER)
			return rc;
		if (rc == OTD_OK && !json_is_true(o))
			return btc_fail(host, OTD_E_REFUSED, "it does not lock the wallet's coins");
	}
	return OTD_OK;
}

/* --- SIGN --- */

static otd_rc read_signed(const struct btc_host *host, const struct otd_chain_call *call,
			  const struct bitcoin_calls *c)
{
	const json_t *o, *hex;
	json_int_t code;
	otd_rc rc = bitcoin_result(host, &o, &code, c->at[0]);
	if (rc && code == RPC_NO_METHOD)
		rc = bitcoin_result(host, &o, &code, c->at[1]);
	if (rc)
		return rc;
	hex = json_object_get(o, "hex");
	if (!json_is_true(json_object_get(o, "complete"))) {
		char words[160] = "no words";
		const char *why = json_string_value(
			json_object_get(json_array_get(json_object_get(o, "errors"), 0), "error"));
		if (why)
			bitcoin_words(words, sizeof(words), why);
		return btc_fail(host, OTD_E_REFUSED, "its wallet cannot sign all inputs: %s",
				words);
	}
	if (!json_is_string(hex) || json_string_length(hex) % 2)
		return btc_fail(host, OTD_E_INVALID, "the node's 'hex' is no transaction");
	call->out->len = json_string_length(hex) / 2;
	if (call->out->len > call->out->cap)
		return OTD_E_RANGE;
	if (!btc_unhex(call->out->ptr, json_string_value(hex), json_string_length(hex)))
		return btc_fail(host, OTD_E_INVALID, "the node's 'hex' is no transaction");
	return OTD_OK;
}

/* --- SEND --- */

/*
 * Words of Bitcoin Core's src/validation.cpp and src/node/transaction.cpp (of Litecoin's 0.21 as of
 * today's), and of 0.14 (Dogecoin's), which writes "66: min relay fee not met".
 */
static const struct {
	const char *words;
	uint32_t verdict;
} reasons[] = {
	{"txn-already-in-mempool", OTD_CHAIN_SENT_KNOWN},
	{"txn-already-known", OTD_CHAIN_SENT_KNOWN},
	{"txn-same-nonwitness-data-in-mempool", OTD_CHAIN_SENT_KNOWN},
	{"already in block chain", OTD_CHAIN_SENT_KNOWN},
	{"already in utxo set", OTD_CHAIN_SENT_KNOWN},
	{"min relay fee not met", OTD_CHAIN_SENT_FEE},
	{"mempool min fee not met", OTD_CHAIN_SENT_FEE},
	{"insufficient fee", OTD_CHAIN_SENT_FEE},
	{"insufficient priority", OTD_CHAIN_SENT_FEE},
	{"mempool full", OTD_CHAIN_SENT_FEE},
	{"missingorspent", OTD_CHAIN_SENT_CONFLICT},
	{"missing-inputs", OTD_CHAIN_SENT_CONFLICT},
	{"Missing inputs", OTD_CHAIN_SENT_CONFLICT},
	{"Inputs missing or spent", OTD_CHAIN_SENT_CONFLICT},
	{"bad-txns-inputs-spent", OTD_CHAIN_SENT_CONFLICT},
	{"txn-mempool-conflict", OTD_CHAIN_SENT_CONFLICT},
	{"bad-txns-spends-conflicting-tx", OTD_CHAIN_SENT_CONFLICT},
	/* They pass by themselves: a block takes what stands before it, a reward grows old. */
	{"too-long-mempool-chain", OTD_CHAIN_SENT_UNSURE},
	{"too-large-cluster", OTD_CHAIN_SENT_UNSURE},
	{"premature-spend-of-coinbase", OTD_CHAIN_SENT_UNSURE},
	{"Fee exceeds maximum", OTD_CHAIN_SENT_REFUSED},
};

static uint32_t send_verdict(json_int_t code, const char *words)
{
	if (code == RPC_TRANSACTION_IN_CHAIN)
		return OTD_CHAIN_SENT_KNOWN;
	if (code == RPC_DESERIALIZATION)
		return OTD_CHAIN_SENT_REFUSED;
	if (code != RPC_TRANSACTION_ERROR && code != RPC_TRANSACTION_REJECTED)
		return OTD_CHAIN_SENT_UNSURE;
	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		if (strstr(words, reasons[i].words))
			return reasons[i].verdict;
	}
	return code == RPC_TRANSACTION_REJECTED ? OTD_CHAIN_SENT_REFUSED : OTD_CHAIN_SENT_UNSURE;
}

static otd_rc read_sent(const struct btc_host *host, struct otd_chain_send *s, const json_t *root)
{
	const json_t *o;
	json_int_t code;
	uint8_t txid[32];
	otd_rc rc = bitcoin_result(host, &o, &code, root);
	if (rc == OTD_E_BUSY)
		return rc; /* it did nothing */
	if (rc && !code)
		return rc;
	if (rc) {
		bitcoin_words(s->reason, sizeof(s->reason), words_of(root));
		s->verdict = send_verdict(code, words_of(root));
		return OTD_OK;
	}
	s->verdict = json_is_string(o) && btc_unhex_hash(txid, json_string_value(o),
							 json_string_length(o))
			     ? OTD_CHAIN_SENT
			     : OTD_CHAIN_SENT_UNSURE;
	return OTD_OK;
}

/* --- TX --- */

/* Confirmations by its wallet: 0 waits, below 0 conflicted; *known false where it has no such. */
static otd_rc wallets_word(const struct btc_host *host, int64_t *confirmations, bool *known,
			   const json_t **tx, const json_t *c)
{
	json_int_t code;
	otd_rc rc = bitcoin_result(host, tx, &code, c);
	*known = rc == OTD_OK;
	*confirmations = 0;
	if (rc)
		return code == RPC_NOT_FOUND ? OTD_OK : rc;
	const json_t *v = json_object_get(*tx, "confirmations");
	if (!json_is_integer(v))
		return btc_fail(host, OTD_E_INVALID, "the node's 'confirmations' is no number");
	*confirmations = json_integer_value(v);
	return OTD_OK;
}

static otd_rc read_spends(const struct btc_host *host, struct otd_chain_tx *t,
			  const struct otd_chain_call *call, const struct bitcoin_calls *c)
{
	for (size_t i = 0; i < call->n_coins; i++) {
		const json_t *out, *tx;
		json_int_t code;
		int64_t confirmations;
		bool known;
		otd_rc rc = bitcoin_result(host, &out, &code, c->at[BITCOIN_ID_OUT + i]);
		if (rc)
			return rc;
		if (json_is_object(out))
			continue;
		size_t same = bitcoin_same_tx(call, i);
		rc = wallets_word(host, &confirmations, &known, &tx,
				  c->at[BITCOIN_ID_OUT + call->n_coins + same]);
		if (rc)
			return rc;
		if (!known) {
			char txid[65];
			const struct otd_chain_coin *coin =
				btc_coin_at(call->coins, call->coin_stride, i);
			return btc_fail(
				host, OTD_E_REFUSED,
				"its wallet does not know the transaction of coin %s:%u; is "
				"it another wallet than the one that paid?",
				btc_hash_text(txid, coin->txid), coin->index);
		}
		t->coins_spent += confirmations > 0;
		t->coins_missing += confirmations <= 0;
	}
	return OTD_OK;
}

static otd_rc read_ours(const struct btc_host *host, struct otd_chain_tx *t,
			const struct bitcoin_calls *c)
{
	const json_t *tx, *entry, *out;
	json_int_t code;
	int64_t confirmations;
	bool known;
	otd_rc rc = wallets_word(host, &confirmations, &known, &tx, c->at[BITCOIN_ID_OURS]);
	if (rc)
		return rc;
	if (confirmations > 0) {
		if ((uint64_t)confirmations > t->tip_height + 1)
			return btc_fail(host, OTD_E_BUSY, "its chain changed while it answered");
		t->state = OTD_CHAIN_TX_BLOCK;
		t->confirmations = (uint64_t)confirmations;
		t->height = t->tip_height + 1 - t->confirmations;
		return bitcoin_hash(host, t->block_hash, tx, "blockhash");
	}
	rc = bitcoin_result(host, &entry, &code, c->at[BITCOIN_ID_WAITS]);
	if (rc && code != RPC_NOT_FOUND)
		return rc;
	t->in_mempool = rc == OTD_OK;
	t->state = known || t->in_mempool ? OTD_CHAIN_TX_WAITS : OTD_CHAIN_TX_UNKNOWN;
	/* Its first output is in the chain: then it is too, whatever the wallet has heard. */
	rc = bitcoin_result(host, &out, &code, c->at[BITCOIN_ID_OUR_OUT]);
	if (rc == OTD_OK && json_is_object(out))
		return known ? btc_fail(host, OTD_E_BUSY, "its wallet is behind its chain")
			     : btc_fail(host, OTD_E_REFUSED,
					"the transaction is in the chain, and its wallet does not "
					"know it; run rescanblockchain, or name the right wallet");
	return rc;
}

static otd_rc read_place(const struct btc_host *host, struct otd_chain_tx *t,
			 const struct otd_chain_call *call, const struct bitcoin_calls *c)
{
	const json_t *first, *last, *count, *info;
	json_int_t code;
	otd_rc rc = bitcoin_result(host, &first, &code, c->at[BITCOIN_ID_FIRST_TIP]);
	if (rc == OTD_OK)
		rc = bitcoin_result(host, &last, &code, c->at[BITCOIN_ID_LAST_TIP]);
	if (rc == OTD_OK)
		rc = bitcoin_result(host, &count, &code, c->at[BITCOIN_ID_COUNT]);
	if (rc == OTD_OK)
		rc = bitcoin_result(host, &info, &code, c->at[BITCOIN_ID_TX_INFO]);
	if (rc == OTD_OK)
		rc = check_scanning(host, info);
	if (rc)
		return rc;
	if (!json_is_string(first) || !json_is_string(last) || !json_is_integer(count) ||
	    json_integer_value(count) < 0)
		return btc_fail(host, OTD_E_INVALID, "the node's tip is no hash and height");
	if (strcmp(json_string_value(first), json_string_value(last)) != 0)
		return btc_fail(host, OTD_E_BUSY, "its chain changed while it answered");
	t->tip_height = (uint64_t)json_integer_value(count);
	rc = read_ours(host, t, c);
	return rc ? rc : read_spends(host, t, call, c);
}

/* --- all --- */

static size_t calls_of(const struct otd_chain_call *call)
{
	switch (call->kind) {
	case OTD_CHAIN_WALLET: return BITCOIN_IDS_WALLET;
	case OTD_CHAIN_LOCK: return call->n_coins;
	case OTD_CHAIN_SIGN: return 2;
	case OTD_CHAIN_TX: return BITCOIN_ID_OUT + 2 * call->n_coins;
	default: return 0;
	}
}

otd_rc bitcoin_wallet_answer(struct otd_instance *in, const struct otd_chain_call *call,
			     const json_t *root, struct otd_chain_result *out)
{
	const struct btc_host *host = &in->host;
	struct bitcoin_calls c = {0};
	otd_rc rc = bitcoin_calls(host, &c, root, calls_of(call));
	if (rc)
		return rc;
	switch (call->kind) {
	case OTD_CHAIN_WALLET: rc = read_wallet(host, &out->u.wallet, &c, call->address); break;
	case OTD_CHAIN_COINS: rc = read_coins(host, call, root); break;
	case OTD_CHAIN_LOCK: rc = read_locks(host, &c); break;
	case OTD_CHAIN_SIGN: rc = read_signed(host, call, &c); break;
	case OTD_CHAIN_SEND: rc = read_sent(host, &out->u.send, root); break;
	case OTD_CHAIN_TX: rc = read_place(host, &out->u.tx, call, &c); break;
	default: rc = OTD_E_UNSUPPORTED;
	}
	btc_free(host, c.at);
	return rc;
}
