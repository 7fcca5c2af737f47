#include "bitcoin.h"

#include <string.h>

/* --- members --- */

otd_rc bitcoin_u64(const struct btc_host *host, uint64_t *out, const json_t *o, const char *key,
		   uint64_t max)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_integer(v))
		return btc_fail(host, OTD_E_INVALID, "the node's '%s' is not a whole number", key);
	json_int_t i = json_integer_value(v);
	if (i < 0 || (uint64_t)i > max)
		return btc_fail(host, OTD_E_RANGE, "the node's '%s' is out of range", key);
	*out = (uint64_t)i;
	return OTD_OK;
}

const char *bitcoin_text(const struct btc_host *host, size_t *len, const json_t *o, const char *key)
{
	const json_t *v = json_object_get(o, key);
	if (!json_is_string(v)) {
		(void)btc_fail(host, OTD_E_INVALID, "the node's '%s' is not a text", key);
		return NULL;
	}
	*len = json_string_length(v);
	return json_string_value(v);
}

otd_rc bitcoin_hash(const struct btc_host *host, uint8_t out[32], const json_t *o, const char *key)
{
	size_t n;
	const char *hex = bitcoin_text(host, &n, o, key);
	if (!hex)
		return OTD_E_INVALID;
	if (!btc_unhex_hash(out, hex, n))
		return btc_fail(host, OTD_E_INVALID, "the node's '%s' is not a hash", key);
	return OTD_OK;
}

void bitcoin_words(char *out, size_t cap, const char *s)
{
	size_t n = 0;
	for (; *s && n + 1 < cap; s++)
		out[n++] = *s >= ' ' && *s <= '~' ? *s : '?';
	out[n] = 0;
}

/* --- envelopes --- */

/* What an error object of JSON-RPC means for us. */
static otd_rc rpc_error(const struct btc_host *host, const json_t *error)
{
	char words[160] = "no words";
	json_int_t code = json_integer_value(json_object_get(error, "code"));
	const char *message = json_string_value(json_object_get(error, "message"));
	if (message)
		bitcoin_words(words, sizeof(words), message);
	switch (code) {
	case RPC_WARMUP: return btc_fail(host, OTD_E_BUSY, "it is starting: %s", words);
	case RPC_NOT_CONNECTED:
		return btc_fail(host, OTD_E_BUSY,
				"it has no peers (%s); wait, or give it some with addnode", words);
	case RPC_SYNCING:
		return btc_fail(host, OTD_E_BUSY, "it is still downloading blocks (%s)", words);
	case RPC_WALLET_LOCKED:
		return btc_fail(host, OTD_E_BUSY,
				"the wallet is locked: unlock it with walletpassphrase (%s)",
				words);
	case RPC_WALLET_NOT_FOUND:
		return btc_fail(host, OTD_E_BUSY,
				"its wallet is not loaded (%s); load it with loadwallet, and look "
				"at the node's 'wallet' in our configuration",
				words);
	case RPC_WALLET_NOT_NAMED:
		return btc_fail(host, OTD_E_REFUSED,
				"it has several wallets; name one as the node's 'wallet' (%s)",
				words);
	default: break;
	}
	/* Litecoin's last block before MWEB: its first HogEx has nothing to spend. */
	if (code == RPC_MISC && strstr(words, "bad-txns-vin-empty"))
		return btc_fail(
			host, OTD_E_REFUSED,
			"it cannot make a block until a peg-in waits; send some coins to an "
			"MWEB address of its wallet (%s)",
			words);
	if (code == RPC_BAD_PARAMETER && strstr(words, "rule set"))
		return btc_fail(host, OTD_E_REFUSED,
				"it wants more rules than it was told; add them to 'rules' in the "
				"coin file, if this pool can follow them (%s)",
				words);
	return btc_fail(host, OTD_E_REFUSED, "it answers with error %lld: %s", (long long)code,
			words);
}

/* The call with this id out of an answer (a batch, or one). NULL where it is not there. */
static const json_t *call_of(const json_t *root, json_int_t id)
{
	if (json_is_object(root))
		return id == 0 ? root : NULL;
	for (size_t i = 0; i < json_array_size(root); i++) {
		const json_t *c = json_array_get(root, i), *v = json_object_get(c, "id");
		if (json_is_integer(v) && json_integer_value(v) == id)
			return c;
	}
	return NULL;
}

otd_rc bitcoin_result(const struct btc_host *host, const json_t **result, json_int_t *code,
		      const json_t *c)
{
	const json_t *error = json_object_get(c, "error");
	*code = 0;
	*result = json_object_get(c, "result");
	if (json_is_object(error)) {
		*code = json_integer_value(json_object_get(error, "code"));
		return rpc_error(host, error);
	}
	if (!c || !*result || (error && !json_is_null(error)))
		return btc_fail(host, OTD_E_INVALID,
				"its answer has no result; is this the RPC port of a node?");
	return OTD_OK;
}

/* The result of the call with this id. */
static otd_rc result_of(const struct btc_host *host, const json_t **result, json_int_t *code,
			const json_t *root, json_int_t id)
{
	return bitcoin_result(host, result, code, call_of(root, id));
}

otd_rc bitcoin_calls(const struct btc_host *host, struct bitcoin_calls *out, const json_t *root,
		     size_t n)
{
	out->n = n;
	out->at = btc_alloc(host, (n ? n : 1) * sizeof(*out->at));
	if (!out->at)
		return btc_fail(host, OTD_E_NOMEM, "no memory for an answer");
	if (json_is_object(root) && n) /* one, or an error that stands for all */
		out->at[0] = root;
	for (size_t i = 0; i < json_array_size(root); i++) {
		const json_t *c = json_array_get(root, i), *v = json_object_get(c, "id");
		json_int_t id = json_is_integer(v) ? json_integer_value(v) : -1;
		if (id >= 0 && (size_t)id < n)
			out->at[id] = c;
	}
	return OTD_OK;
}

/* exact: amounts are in it; see bitcoin_quote(). */
static otd_rc parse(const struct btc_host *host, json_t **root, int status, struct otd_span body,
		    bool exact)
{
	json_error_t err;
	if (status == 401)
		return btc_fail(host, OTD_E_REFUSED,
				"it refuses user and password; check user and password or cookie");
	if (status == 403)
		return btc_fail(host, OTD_E_REFUSED,
				"it refuses our address; add it to rpcallowip in the node's "
				"configuration");
	if (status == 503)
		return btc_fail(host, OTD_E_BUSY,
				"it has too many requests at once; raise rpcworkqueue in the "
				"node's configuration");
	if (exact) {
		uint8_t *text = NULL;
		size_t n = 0;
		otd_rc rc = bitcoin_quote(host, &text, &n, body);
		if (rc)
			return rc;
		*root = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, &err);
		btc_free(host, text);
	} else {
		*root = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, &err);
	}
	if (*root && (json_is_object(*root) || json_is_array(*root)))
		return OTD_OK;
	json_decref(*root);
	*root = NULL;
	return btc_fail(host, OTD_E_INVALID,
			"it answers with status %d and no JSON; is this the RPC port of a node?",
			status);
}

/* --- the calls --- */

static otd_rc read_probe(const struct btc_host *host, struct otd_chain_probe *p, const json_t *root)
{
	const json_t *chain, *net;
	json_int_t code;
	size_t n;
	otd_rc rc = result_of(host, &chain, &code, root, 0);
	if (rc == OTD_OK)
		rc = result_of(host, &net, &code, root, 1);
	if (rc)
		return rc;
	const char *network = bitcoin_text(host, &n, chain, "chain");
	if (!network)
		return OTD_E_INVALID;
	bitcoin_words(p->network, sizeof(p->network), network);
	rc = bitcoin_u64(host, &p->height, chain, "blocks", UINT32_MAX);
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &p->headers, chain, "headers", UINT32_MAX);
	if (rc)
		return rc;
	/* A node that has been off for a day says so in neither field alone. */
	p->syncing = json_is_true(json_object_get(chain, "initialblockdownload")) ||
		     p->headers > p->height + 6;
	uint64_t peers = 0;
	if (json_object_get(net, "connections")) {
		rc = bitcoin_u64(host, &peers, net, "connections", UINT32_MAX);
		if (rc)
			return rc;
	}
	p->peers = (uint32_t)peers;
	const char *agent = json_string_value(json_object_get(net, "subversion"));
	bitcoin_words(p->software, sizeof(p->software), agent ? agent : "");
	/* "warnings" is a text in older nodes and a list in newer ones. */
	const json_t *w = json_object_get(net, "warnings");
	if (json_is_array(w))
		w = json_array_get(w, 0);
	bitcoin_words(p->warning, sizeof(p->warning),
		      json_is_string(w) ? json_string_value(w) : "");
	return OTD_OK;
}

static otd_rc read_tip(const struct btc_host *host, struct otd_chain_tip *t, const json_t *root,
		       bool waited)
{
	const json_t *chain;
	json_int_t code;
	otd_rc rc = result_of(host, &chain, &code, root, 0);
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &t->height, chain, waited ? "height" : "blocks", UINT32_MAX);
	if (rc == OTD_OK)
		rc = bitcoin_hash(host, t->hash, chain, waited ? "hash" : "bestblockhash");
	return rc;
}

/* BIP 22's words for what became of a block. */
static uint32_t verdict_of(const char *s)
{
	if (strcmp(s, "duplicate") == 0)
		return OTD_CHAIN_KNOWN;
	if (strcmp(s, "inconclusive") == 0 || strcmp(s, "duplicate-inconclusive") == 0)
		return OTD_CHAIN_INCONCLUSIVE;
	return OTD_CHAIN_REJECTED;
}

static otd_rc read_submit(const struct btc_host *host, struct otd_chain_submit *s,
			  const json_t *root)
{
	const json_t *result, *message;
	json_int_t code;
	otd_rc rc = result_of(host, &result, &code, root, 0);
	if (rc == OTD_OK && json_is_null(result)) {
		s->verdict = OTD_CHAIN_ACCEPTED;
	} else if (rc == OTD_OK && json_is_string(result)) {
		bitcoin_words(s->reason, sizeof(s->reason), json_string_value(result));
		s->verdict = verdict_of(s->reason);
	} else if (code == RPC_DESERIALIZATION) {
		message = json_object_get(json_object_get(call_of(root, 0), "error"), "message");
		bitcoin_words(s->reason, sizeof(s->reason),
			      json_is_string(message) ? json_string_value(message)
						      : "it cannot read the block");
		s->verdict = OTD_CHAIN_REJECTED;
		rc = OTD_OK;
	} else if (rc == OTD_OK || (rc == OTD_E_REFUSED && code)) {
		/* Some trouble of the node's own: the block may be in or not. */
		message = json_object_get(json_object_get(call_of(root, 0), "error"), "message");
		bitcoin_words(s->reason, sizeof(s->reason),
			      json_is_string(message) ? json_string_value(message)
						      : "an answer we do not understand");
		s->verdict = OTD_CHAIN_UNSURE;
		rc = OTD_OK;
	}
	return rc;
}

static otd_rc read_block(const struct btc_host *host, struct otd_chain_block *b, const json_t *root,
			 const struct otd_chain_call *call)
{
	const json_t *hash, *header, *count;
	json_int_t code, header_code;
	otd_rc rc = result_of(host, &count, &code, root, 2);
	if (rc)
		return rc;
	if (!json_is_integer(count) || json_integer_value(count) < 0 ||
	    json_integer_value(count) > UINT32_MAX)
		return btc_fail(host, OTD_E_INVALID, "the node's block count is no height");
	b->tip_height = (uint64_t)json_integer_value(count);
	otd_rc known = result_of(host, &header, &header_code, root, 1);
	if (known && header_code != RPC_NOT_FOUND)
		return known;
	rc = result_of(host, &hash, &code, root, 0);
	if (rc && code == RPC_BAD_PARAMETER) {
		b->place = OTD_CHAIN_NOT_YET;
		return OTD_OK;
	}
	if (rc)
		return rc;
	if (!json_is_string(hash) ||
	    !btc_unhex_hash(b->hash, json_string_value(hash), json_string_length(hash)))
		return btc_fail(host, OTD_E_INVALID, "the node's block hash is not a hash");
	if (memcmp(b->hash, call->hash, 32) != 0) {
		b->place = OTD_CHAIN_OTHER;
		return OTD_OK;
	}
	/* The calls of a batch are not of one moment: where they disagree, ask again. */
	const json_t *conf = known ? NULL : json_object_get(header, "confirmations");
	if (!json_is_integer(conf) || json_integer_value(conf) < 1)
		return btc_fail(host, OTD_E_BUSY, "its chain changed while it answered");
	b->place = OTD_CHAIN_MAIN;
	b->confirmations = (uint64_t)json_integer_value(conf);
	return OTD_OK;
}

static otd_rc read_header(const struct btc_host *host, struct otd_chain_header *h,
			  const json_t *root)
{
	const json_t *o;
	json_int_t code;
	uint64_t time_s = 0, median_s = 0;
	otd_rc rc = result_of(host, &o, &code, root, 0);
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &h->height, o, "height", UINT32_MAX);
	if (rc == OTD_OK)
		rc = bitcoin_hash(host, h->hash, o, "hash");
	if (rc == OTD_OK)
		rc = bitcoin_hash(host, h->prev, o, "previousblockhash");
	if (rc == OTD_OK)
		rc = bitcoin_bits(host, &h->nbits, o);
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &time_s, o, "time", UINT32_MAX);
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &median_s, o, "mediantime", UINT32_MAX);
	if (rc)
		return rc;
	/* -1: it is not in the best chain. */
	json_int_t deep = json_integer_value(json_object_get(o, "confirmations"));
	h->confirmations = deep > 0 ? (uint64_t)deep : 0;
	h->time_s = (int64_t)time_s;
	h->median_time_s = (int64_t)median_s;
	return OTD_OK;
}

otd_rc bitcoin_answer(struct otd_instance *in, const struct otd_chain_call *call, int http_status,
		      struct otd_span body, struct otd_chain_result *out)
{
	const struct btc_host *host = &in->host;
	json_t *root = NULL;
	const json_t *result;
	json_int_t code;
	otd_rc rc = parse(host, &root, http_status, body,
			  call->kind >= OTD_CHAIN_WALLET && call->kind <= OTD_CHAIN_TX);
	if (rc)
		return rc;
	out->kind = call->kind;
	switch (call->kind) {
	case OTD_CHAIN_PROBE: rc = read_probe(host, &out->u.probe, root); break;
	case OTD_CHAIN_TIP: rc = read_tip(host, &out->u.tip, root, call->height); break;
	case OTD_CHAIN_TEMPLATE:
		rc = result_of(host, &result, &code, root, 0);
		if (rc == OTD_OK)
			rc = bitcoin_template(in, result, &out->u.tmpl);
		break;
	case OTD_CHAIN_SUBMIT: rc = read_submit(host, &out->u.submit, root); break;
	case OTD_CHAIN_BLOCK: rc = read_block(host, &out->u.block, root, call); break;
	case OTD_CHAIN_HEADER: rc = read_header(host, &out->u.header, root); break;
	default: rc = bitcoin_wallet_answer(in, call, root, out);
	}
	json_decref(root);
	return rc;
}
