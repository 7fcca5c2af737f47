/*
 * JSON-RPC of the simulated node. Codes: Bitcoin Core, src/rpc/protocol.h; words and behaviour: its
 * src/rpc/blockchain.cpp, mempool.cpp, rawtransaction.cpp and src/wallet/rpc/ of version 29, and where
 * litecoind (0.21) differs in what we read, nothing of the difference is used.
 */
#include "base/text.h"
#include "sim_internal.h"
#include "sim_node_own.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	RPC_MISC = -1,
	RPC_TYPE = -3,
	RPC_WALLET = -4,
	RPC_BAD_KEY = -5, /* address, transaction or block that it does not know */
	RPC_BAD_PARAMETER = -8,
	RPC_UNLOCK_NEEDED = -13,
	RPC_NO_WALLET = -18,
	RPC_DESERIALIZATION = -22,
	RPC_WARMUP = -28,
	RPC_PARSE = -32700,
	RPC_BAD_REQUEST = -32600,
	RPC_NO_METHOD = -32601
};

/* One call of a request. */
struct rpc {
	struct sim_node *n;
	const json_t *params;
	struct otd_bytes *out; /* the result as JSON */
	struct nfail fail;
};

typedef int (*method_fn)(struct rpc *c);

/* --- values --- */

static const char *hash_text(char out[65], const uint8_t hash[32])
{
	otd_hex_encode_reverse(out, hash, 32);
	return out;
}

/* As nodes write amounts: always eight decimals. */
static void put_amount(struct otd_bytes *b, int64_t v)
{
	(void)otd_bytes_format(b, "%s%lld.%08lld", v < 0 ? "-" : "",
			       (long long)(v < 0 ? -v : v) / 100000000,
			       (long long)(v < 0 ? -v : v) % 100000000);
}

static int read_hash(struct rpc *c, uint8_t to[32], const json_t *v)
{
	const char *s = json_string_value(v);
	if (!s)
		return n_fail(&c->fail, RPC_TYPE, "JSON value is not a string as expected");
	if (otd_hex_decode_reverse(to, 32, s, strlen(s)))
		return n_fail(&c->fail, RPC_BAD_PARAMETER,
			      "parameter must be of length 64 (not %zu, for '%.64s')", strlen(s),
			      s);
	return 0;
}

static int read_tx(struct rpc *c, struct ntx **out)
{
	const char *hex = json_string_value(json_array_get(c->params, 0));
	size_t n = hex ? strlen(hex) : 0, len = 0;
	uint8_t *raw = sim_mem(n / 2 + 1);
	*out = NULL;
	if (hex && otd_hex_decode(raw, n / 2, &len, hex, n) == OTD_OK)
		*out = n_tx_read(raw, len);
	free(raw);
	if (!*out)
		return n_fail(&c->fail, RPC_DESERIALIZATION,
			      "TX decode failed. Make sure the tx has at least one input.");
	return 0;
}

/* A fee rate of a parameter, in base units per 1000 bytes. */
static int64_t rate_of(const json_t *v, int64_t otherwise)
{
	otd_i128 rate;
	const char *s = json_string_value(v);
	if (s && otd_parse_amount(&rate, s, strlen(s), 8) == OTD_OK)
		return (int64_t)rate;
	if (json_is_number(v))
		return (int64_t)(json_number_value(v) * 1e8 + 0.5);
	return otherwise;
}

static bool is_true(const json_t *v, bool otherwise)
{
	return v && !json_is_null(v) ? json_is_true(v) : otherwise;
}

/* --- the chain --- */

static int getblockchaininfo(struct rpc *c)
{
	char hash[65];
	const struct sim_node *n = c->n;
	unsigned long long h = sim_node_height(n);
	(void)otd_bytes_format(c->out,
			       "{\"chain\":\"regtest\",\"blocks\":%llu,\"headers\":%llu,"
			       "\"bestblockhash\":\"%s\",\"initialblockdownload\":false,"
			       "\"pruned\":false,\"warnings\":[]}",
			       h, h, hash_text(hash, n->chain[h]->hash));
	return 0;
}

static int getnetworkinfo(struct rpc *c)
{
	(void)otd_bytes_text(c->out, "{\"version\":290000,\"subversion\":\"/Simulated:29.0.0/\","
				     "\"connections\":3,\"relayfee\":0.00001000,"
				     "\"incrementalfee\":0.00001000,\"warnings\":[]}");
	return 0;
}

static int getblockcount(struct rpc *c)
{
	(void)otd_bytes_format(c->out, "%llu", (unsigned long long)sim_node_height(c->n));
	return 0;
}

static int put_block_hash(struct rpc *c, uint64_t height)
{
	char hash[65];
	(void)otd_bytes_format(c->out, "\"%s\"", hash_text(hash, c->n->chain[height]->hash));
	return 0;
}

static int getbestblockhash(struct rpc *c)
{
	return put_block_hash(c, sim_node_height(c->n));
}

static int getblockhash(struct rpc *c)
{
	json_int_t h = json_integer_value(json_array_get(c->params, 0));
	if (h < 0 || (uint64_t)h > sim_node_height(c->n))
		return n_fail(&c->fail, RPC_BAD_PARAMETER, "Block height out of range");
	return put_block_hash(c, (uint64_t)h);
}

static int getblockheader(struct rpc *c)
{
	uint8_t hash[32];
	char text[65], prev[65];
	int code = read_hash(c, hash, json_array_get(c->params, 0));
	if (code)
		return code;
	const struct nblock *b = n_block_of(c->n, hash);
	if (!b || (b->main && b->height > sim_node_height(c->n)))
		return n_fail(&c->fail, RPC_BAD_KEY, "Block not found");
	long long depth = b->main ? (long long)(sim_node_height(c->n) - b->height + 1) : -1;
	(void)otd_bytes_format(c->out,
			       "{\"hash\":\"%s\",\"confirmations\":%lld,\"height\":%llu,"
			       "\"previousblockhash\":\"%s\"}",
			       hash_text(text, hash), depth, (unsigned long long)b->height,
			       hash_text(prev, b->prev));
	return 0;
}

static int gettxout(struct rpc *c)
{
	uint8_t txid[32];
	char hash[65];
	int code = read_hash(c, txid, json_array_get(c->params, 0));
	json_int_t index = json_integer_value(json_array_get(c->params, 1));
	bool pool = is_true(json_array_get(c->params, 2), true);
	if (code)
		return code;
	const struct ntx *t = n_find(c->n, txid);
	bool there = t && index >= 0 && (size_t)index < t->n_out &&
		     (t->where == N_CHAIN || (pool && t->where == N_POOL)) && !t->out[index].spent;
	if (there && pool && n_pool_spender(c->n, txid, (uint32_t)index))
		there = false;
	if (!there) {
		(void)otd_bytes_text(c->out, "null");
		return 0;
	}
	const struct nout *o = &t->out[index];
	unsigned long long h = sim_node_height(c->n);
	(void)otd_bytes_format(c->out, "{\"bestblock\":\"%s\",\"confirmations\":%llu,\"value\":",
			       hash_text(hash, c->n->chain[h]->hash),
			       t->where == N_CHAIN ? h - t->height + 1 : 0ULL);
	put_amount(c->out, o->value);
	(void)otd_bytes_text(c->out, ",\"scriptPubKey\":{\"hex\":\"");
	(void)otd_bytes_hex(c->out, o->script, o->len);
	(void)otd_bytes_format(c->out, "\",\"type\":\"witness_v0_keyhash\"},\"coinbase\":%s}",
			       t->coinbase ? "true" : "false");
	return 0;
}

static int getblocktemplate(struct rpc *c)
{
	return n_getblocktemplate(c->n, c->params, c->out, &c->fail);
}

static int submitblock(struct rpc *c)
{
	return n_submitblock(c->n, c->params, c->out, &c->fail);
}

/* --- what waits --- */

static int getmempoolinfo(struct rpc *c)
{
	(void)otd_bytes_format(
		c->out, "{\"loaded\":true,\"size\":%zu,\"mempoolminfee\":", sim_node_waiting(c->n));
	put_amount(c->out, c->n->least_fee);
	(void)otd_bytes_text(c->out, ",\"minrelaytxfee\":0.00001000,"
				     "\"incrementalrelayfee\":0.00001000,\"fullrbf\":true}");
	return 0;
}

static int getmempoolentry(struct rpc *c)
{
	uint8_t txid[32];
	int code = read_hash(c, txid, json_array_get(c->params, 0));
	const struct ntx *t = code ? NULL : n_find(c->n, txid);
	if (code)
		return code;
	if (!t || t->where != N_POOL)
		return n_fail(&c->fail, RPC_BAD_KEY, "Transaction not in mempool");
	(void)otd_bytes_format(c->out, "{\"vsize\":%lld,\"fees\":{\"base\":", (long long)t->vsize);
	put_amount(c->out, t->fee);
	(void)otd_bytes_text(c->out, "},\"bip125-replaceable\":true}");
	return 0;
}

static int estimatesmartfee(struct rpc *c)
{
	if (!c->n->advised_fee) {
		(void)otd_bytes_text(c->out, "{\"errors\":[\"Insufficient data or no feerate "
					     "found\"],\"blocks\":2}");
		return 0;
	}
	(void)otd_bytes_text(c->out, "{\"feerate\":");
	put_amount(c->out, c->n->advised_fee);
	(void)otd_bytes_text(c->out, ",\"blocks\":2}");
	return 0;
}

static int sendrawtransaction(struct rpc *c)
{
	struct ntx *t;
	char hash[65];
	uint8_t txid[32];
	int code = read_tx(c, &t);
	if (code)
		return code;
	memcpy(txid, t->txid, 32);
	code = n_accept(c->n, t, rate_of(json_array_get(c->params, 1), 10000000), &c->fail);
	if (!code)
		(void)otd_bytes_format(c->out, "\"%s\"", hash_text(hash, txid));
	return code;
}

/* --- the wallet --- */

static int getwalletinfo(struct rpc *c)
{
	(void)otd_bytes_format(c->out,
			       "{\"walletname\":\"%s\",\"walletversion\":169900,\"txcount\":%zu,"
			       "\"unlocked_until\":%d,\"private_keys_enabled\":true,"
			       "\"descriptors\":true}",
			       c->n->conf.wallet, c->n->n_tx, c->n->wallet_locked ? 0 : 2000000000);
	return 0;
}

static int getbalances(struct rpc *c)
{
	const struct sim_node *n = c->n;
	int64_t trusted = 0, immature = 0;
	for (size_t i = 0; i < n->n_tx; i++)
		for (uint32_t j = 0; j < n->tx[i]->n_out; j++) {
			const struct ntx *t = n->tx[i];
			if (!t->out[j].ours || t->where == N_NOWHERE || n_wallet_spent(n, t, j))
				continue;
			if (n_is_mature(n, t))
				trusted += t->out[j].value;
			else
				immature += t->out[j].value;
		}
	(void)otd_bytes_text(c->out, "{\"mine\":{\"trusted\":");
	put_amount(c->out, trusted);
	(void)otd_bytes_text(c->out, ",\"untrusted_pending\":0.00000000,\"immature\":");
	put_amount(c->out, immature);
	(void)otd_bytes_text(c->out, "}}");
	return 0;
}

static int getaddressinfo(struct rpc *c)
{
	const char *text = json_string_value(json_array_get(c->params, 0));
	uint8_t version, program[40], own[SIM_NODE_SCRIPT];
	static const char *const labels[] = {"change", "reward"};
	size_t len;
	bool ours = false;
	if (!text || otd_segwit_decode(&version, program, &len, c->n->conf.hrp, text, strlen(text)))
		return n_fail(&c->fail, RPC_BAD_KEY, "Invalid address");
	for (size_t i = 0; i < 2; i++) {
		sim_node_script(own, labels[i]);
		ours = ours || (len == 20 && memcmp(own + 2, program, 20) == 0);
	}
	(void)otd_bytes_format(c->out,
			       "{\"address\":\"%s\",\"ismine\":%s,\"iswatchonly\":false,"
			       "\"solvable\":%s}",
			       text, ours ? "true" : "false", ours ? "true" : "false");
	return 0;
}

static void put_unspent(struct rpc *c, const struct ntx *t, uint32_t index, int64_t depth,
			bool *first)
{
	const struct nout *o = &t->out[index];
	char hash[65];
	(void)otd_bytes_format(c->out, "%s{\"txid\":\"%s\",\"vout\":%u,\"scriptPubKey\":\"",
			       *first ? "" : ",", hash_text(hash, t->txid), index);
	*first = false;
	(void)otd_bytes_hex(c->out, o->script, o->len);
	(void)otd_bytes_text(c->out, "\",\"amount\":");
	put_amount(c->out, o->value);
	(void)otd_bytes_format(c->out,
			       ",\"confirmations\":%lld,\"spendable\":true,\"solvable\":true,"
			       "\"safe\":true}",
			       (long long)depth);
}

static int listunspent(struct rpc *c)
{
	const struct sim_node *n = c->n;
	const json_t *least = json_array_get(c->params, 0), *most = json_array_get(c->params, 1);
	int64_t min = json_is_integer(least) ? json_integer_value(least) : 1;
	int64_t max = json_is_integer(most) ? json_integer_value(most) : 9999999;
	bool first = true;
	(void)otd_bytes_text(c->out, "[");
	for (size_t i = 0; i < n->n_tx; i++)
		for (uint32_t j = 0; j < n->tx[i]->n_out; j++) {
			const struct ntx *t = n->tx[i];
			const struct nout *o = &t->out[j];
			int64_t depth = t->wallet ? n_wallet_depth(n, t) : -1;
			if (!o->ours || o->locked || t->where == N_NOWHERE || depth < min ||
			    depth > max || n_wallet_spent(n, t, j) || !n_is_mature(n, t))
				continue;
			put_unspent(c, t, j, depth, &first);
		}
	(void)otd_bytes_text(c->out, "]");
	return 0;
}

static int listlockunspent(struct rpc *c)
{
	bool first = true;
	char hash[65];
	(void)otd_bytes_text(c->out, "[");
	for (size_t i = 0; i < c->n->n_tx; i++)
		for (uint32_t j = 0; j < c->n->tx[i]->n_out; j++)
			if (c->n->tx[i]->out[j].locked) {
				(void)otd_bytes_format(c->out, "%s{\"txid\":\"%s\",\"vout\":%u}",
						       first ? "" : ",",
						       hash_text(hash, c->n->tx[i]->txid), j);
				first = false;
			}
	(void)otd_bytes_text(c->out, "]");
	return 0;
}

/* The output that an entry of lockunspent names, checked as Core checks it. */
static int find_coin(struct rpc *c, struct nout **out, const json_t *v, bool unlock,
		     bool persistent)
{
	uint8_t txid[32];
	const json_t *vout = json_object_get(v, "vout");
	int code = read_hash(c, txid, json_object_get(v, "txid"));
	if (code)
		return code;
	struct ntx *t = n_find(c->n, txid);
	if (!json_is_integer(vout) || json_integer_value(vout) < 0)
		return n_fail(&c->fail, RPC_BAD_PARAMETER,
			      "Invalid parameter, vout cannot be negative");
	uint32_t index = (uint32_t)json_integer_value(vout);
	if (!t || !t->wallet)
		return n_fail(&c->fail, RPC_BAD_PARAMETER,
			      "Invalid parameter, unknown transaction");
	if (index >= t->n_out)
		return n_fail(&c->fail, RPC_BAD_PARAMETER,
			      "Invalid parameter, vout index out of bounds");
	if (n_wallet_spent(c->n, t, index))
		return n_fail(&c->fail, RPC_BAD_PARAMETER,
			      "Invalid parameter, expected unspent output");
	*out = &t->out[index];
	if (unlock && !(*out)->locked)
		return n_fail(&c->fail, RPC_BAD_PARAMETER,
			      "Invalid parameter, expected locked output");
	if (!unlock && (*out)->locked && !persistent)
		return n_fail(&c->fail, RPC_BAD_PARAMETER,
			      "Invalid parameter, output already locked");
	return 0;
}

/* All or none, as Core does it. */
static int lockunspent(struct rpc *c)
{
	bool unlock = json_is_true(json_array_get(c->params, 0));
	const json_t *list = json_array_get(c->params, 1);
	bool persistent = is_true(json_array_get(c->params, 2), false);
	struct nout *o;
	for (size_t i = 0; i < json_array_size(list); i++) {
		int code = find_coin(c, &o, json_array_get(list, i), unlock, persistent);
		if (code)
			return code;
	}
	for (size_t i = 0; i < json_array_size(list); i++)
		if (find_coin(c, &o, json_array_get(list, i), unlock, true) == 0)
			o->locked = !unlock;
	(void)otd_bytes_text(c->out, "true");
	return 0;
}

static int signrawtransactionwithwallet(struct rpc *c)
{
	struct ntx *t;
	bool complete;
	size_t len;
	int code = read_tx(c, &t);
	if (code)
		return code;
	if (c->n->wallet_locked) {
		n_tx_free(t);
		return n_fail(&c->fail, RPC_UNLOCK_NEEDED,
			      "Error: Please enter the wallet passphrase with walletpassphrase "
			      "first.");
	}
	uint8_t *raw = n_sign(c->n, t, &len, &complete);
	(void)otd_bytes_text(c->out, "{\"hex\":\"");
	(void)otd_bytes_hex(c->out, raw, len);
	(void)otd_bytes_format(c->out, "\",\"complete\":%s%s}", complete ? "true" : "false",
			       complete ? ""
					: ",\"errors\":[{\"error\":\"Unable to sign input\"}]");
	free(raw);
	n_tx_free(t);
	return 0;
}

static int gettransaction(struct rpc *c)
{
	uint8_t txid[32];
	char hash[65];
	int code = read_hash(c, txid, json_array_get(c->params, 0));
	const struct ntx *t = code ? NULL : n_find(c->n, txid);
	if (code)
		return code;
	if (!t || !t->wallet)
		return n_fail(&c->fail, RPC_BAD_KEY, "Invalid or non-wallet transaction id");
	(void)otd_bytes_format(c->out, "{\"txid\":\"%s\",\"confirmations\":%lld,\"fee\":",
			       hash_text(hash, txid), (long long)n_wallet_depth(c->n, t));
	put_amount(c->out, -t->fee);
	if (t->where == N_CHAIN)
		(void)otd_bytes_format(c->out, ",\"blockhash\":\"%s\",\"blockheight\":%llu",
				       hash_text(hash, c->n->chain[t->height]->hash),
				       (unsigned long long)t->height);
	(void)otd_bytes_text(c->out, ",\"details\":[],\"walletconflicts\":[],\"hex\":\"");
	(void)otd_bytes_hex(c->out, t->raw, t->raw_len);
	(void)otd_bytes_text(c->out, "\"}");
	return 0;
}

/* Without an index of transactions, as nodes come: what waits, and what is in a block that is named. */
static int getrawtransaction(struct rpc *c)
{
	uint8_t txid[32], block[32];
	const json_t *in = json_array_get(c->params, 2);
	int code = read_hash(c, txid, json_array_get(c->params, 0));
	if (!code && in)
		code = read_hash(c, block, in);
	if (code)
		return code;
	const struct ntx *t = n_find(c->n, txid);
	const struct nblock *b = in ? n_block_of(c->n, block) : NULL;
	bool there = false;
	if (in && !b)
		return n_fail(&c->fail, RPC_BAD_KEY, "Block hash not found");
	for (size_t i = 0; b && i < b->n; i++)
		there = there || b->tx[i] == t;
	if (!t || (!there && (in || t->where != N_POOL)))
		return n_fail(
			&c->fail, RPC_BAD_KEY,
			"No such mempool transaction. Use -txindex or provide a block hash to "
			"enable blockchain transaction queries. Use gettransaction for wallet "
			"transactions.");
	(void)otd_bytes_text(c->out, "\"");
	(void)otd_bytes_hex(c->out, t->raw, t->raw_len);
	(void)otd_bytes_text(c->out, "\"");
	return 0;
}

/* --- requests --- */

static const struct method {
	const char *name;
	method_fn fn;
	bool wallet;
} methods[] = {
	{"getblockchaininfo", getblockchaininfo, false},
	{"getnetworkinfo", getnetworkinfo, false},
	{"getblockcount", getblockcount, false},
	{"getbestblockhash", getbestblockhash, false},
	{"getblockhash", getblockhash, false},
	{"getblockheader", getblockheader, false},
	{"getblocktemplate", getblocktemplate, false},
	{"submitblock", submitblock, false},
	{"gettxout", gettxout, false},
	{"getmempoolinfo", getmempoolinfo, false},
	{"getmempoolentry", getmempoolentry, false},
	{"estimatesmartfee", estimatesmartfee, false},
	{"sendrawtransaction", sendrawtransaction, false},
	{"getrawtransaction", getrawtransaction, false},
	{"getwalletinfo", getwalletinfo, true},
	{"getbalances", getbalances, true},
	{"getaddressinfo", getaddressinfo, true},
	{"listunspent", listunspent, true},
	{"listlockunspent", listlockunspent, true},
	{"lockunspent", lockunspent, true},
	{"signrawtransactionwithwallet", signrawtransactionwithwallet, true},
	{"gettransaction", gettransaction, true},
};

/* "" and "/" are the only wallet, "/wallet/NAME" a named one. */
static bool has_wallet(const struct sim_node *n, const char *path)
{
	if (!*path || strcmp(path, "/") == 0)
		return true;
	return strncmp(path, "/wallet/", 8) == 0 && strcmp(path + 8, n->conf.wallet) == 0;
}

static int run(struct rpc *c, const char *name, const char *path)
{
	if (sim_now_ms(c->n->sim) < c->n->warm_until_ms)
		return n_fail(&c->fail, RPC_WARMUP, "Loading block index...");
	for (size_t i = 0; name && i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(methods[i].name, name) != 0)
			continue;
		if (methods[i].wallet && !has_wallet(c->n, path))
			return n_fail(&c->fail, RPC_NO_WALLET,
				      "Requested wallet does not exist or is not loaded");
		return methods[i].fn(c);
	}
	return n_fail(&c->fail, RPC_NO_METHOD, "Method not found");
}

/* Appends the answer to one call; its error's code. */
static int answer_call(struct sim_node *n, const json_t *call, const char *path,
		       struct otd_bytes *out)
{
	struct otd_bytes result;
	otd_bytes_init(&result, 4u << 20);
	struct rpc c = {.n = n, .params = json_object_get(call, "params"), .out = &result};
	const char *name = json_string_value(json_object_get(call, "method"));
	n->calls++;
	int code = run(&c, name, path);
	if (code == N_HOLD) {
		otd_bytes_finish(&result);
		return code;
	}
	char *id = json_dumps(json_object_get(call, "id"), JSON_ENCODE_ANY);
	if (code) {
		(void)otd_bytes_format(
			out, "{\"result\":null,\"error\":{\"code\":%d,\"message\":", code);
		(void)otd_bytes_json(out, c.fail.words, strlen(c.fail.words));
		(void)otd_bytes_text(out, "}");
	} else {
		(void)otd_bytes_text(out, "{\"result\":");
		(void)otd_bytes_add(out, result.ptr, result.len);
		(void)otd_bytes_text(out, ",\"error\":null");
	}
	(void)otd_bytes_format(out, ",\"id\":%s}", id ? id : "null");
	free(id);
	otd_bytes_finish(&result);
	return code;
}

/* False: it went off on the way. */
static bool goes_on(struct sim_node *n)
{
	if (!n->break_in || --n->break_in)
		return true;
	sim_node_restart(n, n->break_ms, true, false);
	return false;
}

/* Bitcoin Core, src/httprpc.cpp: the status of an error of a single call. */
static int status_of(int code)
{
	if (code == 0)
		return 200;
	return code == RPC_NO_METHOD ? 404 : code == RPC_BAD_REQUEST ? 400 : 500;
}

int sim_node_serve(void *node, const char *path, const char *user, const char *password,
		   struct otd_span body, struct otd_bytes *out)
{
	struct sim_node *n = node;
	int status = 200;
	if (strcmp(user, n->conf.user) != 0 || strcmp(password, n->conf.password) != 0)
		return 401;
	json_t *root = json_loadb((const char *)body.ptr, body.len, JSON_REJECT_DUPLICATES, NULL);
	if (json_is_object(root)) {
		int code = answer_call(n, root, path, out);
		status = code == N_HOLD ? SIM_SERVER_HOLDS : status_of(code);
		if (!goes_on(n))
			status = 0;
	} else if (json_is_array(root)) {
		(void)otd_bytes_text(out, "[");
		for (size_t i = 0; status && i < json_array_size(root); i++) {
			if (i)
				(void)otd_bytes_text(out, ",");
			(void)answer_call(n, json_array_get(root, i), path, out);
			if (!goes_on(n))
				status = 0;
		}
		(void)otd_bytes_text(out, "]");
	} else {
		status = 500;
		(void)otd_bytes_format(
			out,
			"{\"result\":null,\"error\":{\"code\":%d,\"message\":\"Parse "
			"error\"},\"id\":null}",
			RPC_PARSE);
	}
	json_decref(root);
	return status;
}
