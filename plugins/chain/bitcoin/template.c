#include "bitcoin.h"

#include "common/merkle.h"
#include <string.h>

#define MAX_TX    100000
#define MAX_VALUE ((uint64_t)INT64_MAX) /* an output's value has 63 bits on the wire */

/* Whether the rule is in force, by "segwit" or "!segwit"; refuses those that we must know and do not. */
static otd_rc read_rules(struct otd_instance *in, bool *segwit, const json_t *result)
{
	const json_t *rules = json_object_get(result, "rules");
	*segwit = false;
	for (size_t i = 0; i < json_array_size(rules); i++) {
		const char *rule = json_string_value(json_array_get(rules, i));
		if (!rule)
			return btc_fail(&in->host, OTD_E_INVALID,
					"the node's 'rules' are no texts");
		bool must = *rule == '!', known = false;
		rule += must;
		for (size_t k = 0; k < in->opt->rules.n; k++)
			known = known || strcmp(in->opt->rules.item[k], rule) == 0;
		if (must && !known)
			return btc_fail(&in->host, OTD_E_UNSUPPORTED,
					"its templates need the rule '%.40s'; name it under rules "
					"in the coin file if this pool can follow it",
					rule);
		*segwit = *segwit || strcmp(rule, "segwit") == 0;
	}
	return OTD_OK;
}

otd_rc bitcoin_bits(const struct btc_host *host, uint32_t *out, const json_t *o)
{
	uint8_t be[4];
	size_t n;
	const char *hex = bitcoin_text(host, &n, o, "bits");
	if (!hex)
		return OTD_E_INVALID;
	if (n != 8 || !btc_unhex(be, hex, n))
		return btc_fail(host, OTD_E_INVALID, "the node's 'bits' are not 8 hex digits");
	*out = (uint32_t)be[0] << 24 | (uint32_t)be[1] << 16 | (uint32_t)be[2] << 8 | be[3];
	return OTD_OK;
}

static otd_rc read_head(struct otd_instance *in, struct otd_chain_template *t, const json_t *o)
{
	const struct btc_host *host = &in->host;
	uint64_t time_s = 0, min_time_s = 0, value = 0;
	const json_t *version = json_object_get(o, "version");
	struct otd_u256 target, stated;
	otd_rc rc = bitcoin_u64(host, &t->height, o, "height", UINT32_MAX);
	if (rc == OTD_OK)
		rc = bitcoin_hash(host, t->prev, o, "previousblockhash");
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &time_s, o, "curtime", UINT32_MAX);
	if (rc == OTD_OK && json_object_get(o, "mintime"))
		rc = bitcoin_u64(host, &min_time_s, o, "mintime", UINT32_MAX);
	if (rc == OTD_OK)
		rc = bitcoin_u64(host, &value, o, "coinbasevalue", MAX_VALUE);
	if (rc == OTD_OK)
		rc = bitcoin_bits(host, &t->nbits, o);
	if (rc == OTD_OK)
		rc = bitcoin_hash(host, t->target, o, "target");
	if (rc)
		return rc;
	if (!json_is_integer(version) || json_integer_value(version) < INT32_MIN ||
	    json_integer_value(version) > UINT32_MAX)
		return btc_fail(host, OTD_E_INVALID, "the node's 'version' is not 32 bits");
	t->version = (uint32_t)json_integer_value(version);
	stated = otd_u256_from_le(t->target);
	if (otd_target_from_nbits(&target, t->nbits) || otd_u256_cmp(target, stated) != 0)
		return btc_fail(host, OTD_E_INVALID, "the node's 'target' and 'bits' differ");
	t->time_s = (int64_t)time_s;
	t->min_time_s = (int64_t)min_time_s;
	t->value = (otd_i128)value;
	const json_t *id = json_object_get(o, "longpollid");
	if (json_is_string(id) && json_string_length(id) < sizeof(t->longpoll_id))
		memcpy(t->longpoll_id, json_string_value(id), json_string_length(id) + 1);
	return OTD_OK;
}

struct txs {
	uint8_t *txids, *wtxids, *body;
	size_t n, body_len;
	bool no_fees; /* of one of them at least: what they pay together is not known */
};

static otd_rc read_tx(const struct btc_host *host, struct txs *txs, otd_i128 *fees, size_t i,
		      const json_t *tx)
{
	size_t n;
	uint64_t fee = 0;
	const char *data = bitcoin_text(host, &n, tx, "data");
	/* "hash" is with witness; nodes from before segwit have it alone. */
	bool two = json_object_get(tx, "txid") != NULL;
	otd_rc rc = bitcoin_hash(host, txs->txids + 32 * i, tx, two ? "txid" : "hash");
	if (rc == OTD_OK)
		rc = bitcoin_hash(host, txs->wtxids + 32 * i, tx, "hash");
	txs->no_fees |= !json_object_get(tx, "fee");
	if (rc == OTD_OK && json_object_get(tx, "fee"))
		rc = bitcoin_u64(host, &fee, tx, "fee", MAX_VALUE);
	if (rc || !data)
		return rc ? rc : OTD_E_INVALID;
	if (!btc_unhex(txs->body + txs->body_len, data, n))
		return btc_fail(host, OTD_E_INVALID, "transaction %zu of the template is not hex",
				i);
	txs->body_len += n / 2;
	*fees += (otd_i128)fee;
	return OTD_OK;
}

/* All transactions in one pass over memory that is taken once; `more` bytes are left behind them. */
static otd_rc read_txs(const struct btc_host *host, struct txs *txs, otd_i128 *fees,
		       const json_t *list, size_t more)
{
	size_t bytes = 0;
	if (!json_is_array(list) || json_array_size(list) > MAX_TX)
		return btc_fail(host, OTD_E_INVALID, "the node's 'transactions' are no list");
	txs->n = json_array_size(list);
	for (size_t i = 0; i < txs->n; i++)
		bytes += json_string_length(json_object_get(json_array_get(list, i), "data")) / 2;
	txs->txids = btc_alloc(host, txs->n * 32 + 32);
	txs->wtxids = btc_alloc(host, txs->n * 32 + 32);
	txs->body = btc_alloc(host, bytes + 1 + more);
	if (!txs->txids || !txs->wtxids || !txs->body)
		return btc_fail(host, OTD_E_NOMEM, "no memory for a template of %zu transactions",
				txs->n);
	for (size_t i = 0; i < txs->n; i++) {
		otd_rc rc = read_tx(host, txs, fees, i, json_array_get(list, i));
		if (rc)
			return rc;
	}
	return OTD_OK;
}

/*
 * MWEB's part of a block stands behind the transactions: 01 and what the node gives. The last
 * transaction (the HogEx, among those of the template) commits to it.
 */
static otd_rc read_mweb(const struct btc_host *host, struct txs *txs, const json_t *o)
{
	size_t n;
	if (!json_object_get(o, "mweb"))
		return OTD_OK;
	const char *hex = bitcoin_text(host, &n, o, "mweb");
	if (!hex)
		return OTD_E_INVALID;
	/* read_txs() left room for it */
	txs->body[txs->body_len] = 1;
	if (n == 0 || !btc_unhex(txs->body + txs->body_len + 1, hex, n))
		return btc_fail(host, OTD_E_INVALID, "the node's 'mweb' is not hex");
	txs->body_len += 1 + n / 2;
	return OTD_OK;
}

/*
 * The commitment is the node's where it gives one, after a look whether it fits the transactions:
 * a block with a wrong one is lost. Without the rule in force there is none, whatever the node
 * sends (bcoin sends one before segwit is active, and then refuses the block).
 */
static otd_rc read_commitment(struct otd_instance *in, struct otd_template *t,
			      const struct txs *txs, const json_t *o)
{
	uint8_t commitment[32];
	size_t n;
	otd_rc rc = btc_witness_commitment(&in->host, commitment, txs->wtxids, txs->n);
	if (rc)
		return rc;
	btc_template_commit(t, commitment);
	if (!json_object_get(o, "default_witness_commitment"))
		return OTD_OK;
	const char *hex = bitcoin_text(&in->host, &n, o, "default_witness_commitment");
	uint8_t given[sizeof(t->commitment)];
	if (!hex)
		return OTD_E_INVALID;
	if (n / 2 < t->commitment_len || n / 2 > sizeof(given) || !btc_unhex(given, hex, n) ||
	    memcmp(given, t->commitment, t->commitment_len) != 0)
		return btc_fail(&in->host, OTD_E_INVALID,
				"its default_witness_commitment does not fit its transactions");
	memcpy(t->commitment, given, n / 2);
	t->commitment_len = n / 2;
	return OTD_OK;
}

otd_rc bitcoin_template(struct otd_instance *in, const json_t *o, struct otd_chain_template *out)
{
	const struct btc_host *host = &in->host;
	struct txs txs = {0};
	bool segwit;
	struct otd_template *t = btc_alloc(host, sizeof(*t));
	if (!t)
		return btc_fail(host, OTD_E_NOMEM, "no memory for a template");
	otd_rc rc = read_rules(in, &segwit, o);
	if (rc == OTD_OK)
		rc = read_head(in, &t->info, o);
	if (rc == OTD_OK)
		rc = read_txs(host, &txs, &t->info.fees, json_object_get(o, "transactions"),
			      json_string_length(json_object_get(o, "mweb")));
	if (rc == OTD_OK)
		rc = read_mweb(host, &txs, o);
	if (rc == OTD_OK && segwit)
		rc = read_commitment(in, t, &txs, o);
	if (rc)
		goto out;
	t->info.n_tx = (uint32_t)txs.n;
	t->plain = !json_object_get(o, "mweb") && !json_object_get(o, "signet_challenge") &&
		   !txs.no_fees;
	t->n_branches = btc_branch_count(txs.n);
	t->branches = btc_alloc(host, (size_t)t->n_branches * 32 + 32);
	if (!t->branches) {
		rc = btc_fail(host, OTD_E_NOMEM, "no memory for a template");
		goto out;
	}
	rc = btc_merkle_branches(host, t->branches, txs.txids, txs.n);
	t->body = txs.body;
	t->body_len = txs.body_len;
	txs.body = NULL;
	t->info.handle = t;
	*out = t->info;
out:
	btc_free(host, txs.txids);
	btc_free(host, txs.wtxids);
	btc_free(host, txs.body);
	if (rc) {
		btc_template_free(host, t);
		out->handle = NULL;
	}
	return rc;
}
