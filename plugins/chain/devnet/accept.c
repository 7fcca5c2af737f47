/* What a node checks before a transaction waits, in the words of Bitcoin Core's validation.cpp. */
#include "devnet.h"

#include <string.h>

/* The transaction that is judged. */
struct candidate {
	struct otd_instance *in;
	struct devnet_tx tx;
	struct devnet_coin *coins; /* that it spends */
	uint64_t fee, vsize;
	struct otd_chain_send *s;
};

static void answer(struct candidate *c, uint32_t verdict, const char *reason)
{
	size_t n = strlen(reason);
	c->s->verdict = verdict;
	memcpy(c->s->reason, reason, n < sizeof(c->s->reason) ? n + 1 : sizeof(c->s->reason));
	c->s->reason[sizeof(c->s->reason) - 1] = 0;
}

bool devnet_mature(const struct otd_instance *in, const struct devnet_coin *c)
{
	return !c->coinbase || in->n_blocks - c->height >= (uint64_t)in->opt->maturity;
}

bool devnet_coin_find(struct otd_instance *in, struct devnet_coin *out, const uint8_t outpoint[36])
{
	const struct devnet_coin *c = devnet_coins_find(&in->coins, outpoint);
	const struct devnet_mtx *m = c ? NULL : devnet_pool_find(in, outpoint);
	struct devnet_tx tx;
	if (c)
		*out = *c;
	if (c || !m)
		return c != NULL;
	struct btc_reader whole = {m->raw, m->len, false};
	uint32_t index = btc_load_u32(outpoint + 32);
	if (!devnet_tx_read(&tx, &whole) || index >= tx.n_out)
		return false;
	struct btc_reader r = {tx.outs, tx.outs_len, false};
	*out = (struct devnet_coin){.height = (uint32_t)in->n_blocks};
	memcpy(out->outpoint, outpoint, 36);
	for (uint32_t i = 0; i <= index; i++) {
		out->value = btc_get_u64(&r);
		size_t n = (size_t)btc_get_varint(&r);
		const uint8_t *script = btc_take(&r, n);
		if (script && i == index)
			devnet_owner(out->owner, script, n);
	}
	return !r.failed;
}

static bool is_known(struct candidate *c)
{
	uint8_t outpoint[36];
	memcpy(outpoint, c->tx.txid, 32);
	memset(outpoint + 32, 0xff, 4);
	bool known =
		devnet_pool_find(c->in, c->tx.txid) || devnet_coins_find(&c->in->known, outpoint);
	btc_store_u32(outpoint + 32, 0);
	return known || devnet_coins_find(&c->in->coins, outpoint);
}

/* Finds every coin; false (said) where one is not there, or is too young. */
static bool find_coins(struct candidate *c)
{
	for (size_t i = 0; i < c->tx.n_in; i++) {
		const uint8_t *outpoint = c->tx.ins + 41 * i;
		for (size_t k = 0; k < i; k++) {
			if (memcmp(c->coins[k].outpoint, outpoint, 36) == 0) {
				answer(c, OTD_CHAIN_SENT_REFUSED, "bad-txns-inputs-duplicate");
				return false;
			}
		}
		if (!devnet_coin_find(c->in, &c->coins[i], outpoint)) {
			answer(c, OTD_CHAIN_SENT_CONFLICT, "bad-txns-inputs-missingorspent");
			return false;
		}
		/* It will be old enough: neither yes nor no. */
		if (!devnet_mature(c->in, &c->coins[i])) {
			answer(c, OTD_CHAIN_SENT_UNSURE, "bad-txns-premature-spend-of-coinbase");
			return false;
		}
	}
	return true;
}

static bool judge_outputs(struct candidate *c)
{
	struct btc_reader r = {c->tx.outs, c->tx.outs_len, false};
	uint64_t in = 0, out = 0;
	for (size_t i = 0; i < c->tx.n_in; i++)
		in += c->coins[i].value;
	for (uint64_t i = 0; i < c->tx.n_out; i++) {
		uint64_t value = btc_get_u64(&r);
		struct otd_span script = {.len = (size_t)btc_get_varint(&r)};
		otd_i128 least = 0;
		script.ptr = btc_take(&r, script.len);
		if (!script.ptr || value > in - out) {
			answer(c, OTD_CHAIN_SENT_REFUSED, "bad-txns-in-belowout");
			return false;
		}
		out += value;
		if (btc_dust(&c->in->host, script, DEVNET_DUST_RATE, 0, &least) ||
		    (otd_i128)value < least) {
			answer(c, OTD_CHAIN_SENT_REFUSED, "dust");
			return false;
		}
	}
	c->fee = in - out;
	return true;
}

/* Whether m spends one of the candidate's coins. */
static bool conflicts(const struct candidate *c, const struct devnet_mtx *m)
{
	for (size_t i = 0; i < m->n_in; i++) {
		for (size_t k = 0; k < c->tx.n_in; k++) {
			if (memcmp(devnet_outpoint(m, i), c->coins[k].outpoint, 36) == 0)
				return true;
		}
	}
	return false;
}

/* BIP 125: what takes the place of others pays for them and for its own way. */
static bool judge_fee(struct candidate *c)
{
	uint64_t own = (c->in->min_fee_rate * c->vsize + 999) / 1000, replaced = 0;
	bool replaces = false;
	if (c->fee < own) {
		answer(c, OTD_CHAIN_SENT_FEE, "mempool min fee not met");
		return false;
	}
	for (size_t i = 0; i < c->in->sends.n; i++) {
		const struct devnet_mtx *m = &c->in->sends.tx[i];
		if (!conflicts(c, m))
			continue;
		replaces = true;
		replaced += m->fee;
		for (size_t k = 0; k < c->tx.n_in; k++) {
			if (memcmp(c->coins[k].outpoint, m->txid, 32) == 0) {
				answer(c, OTD_CHAIN_SENT_CONFLICT,
				       "bad-txns-spends-conflicting-tx");
				return false;
			}
		}
	}
	if (replaces && c->fee < replaced + (own ? own : 1)) {
		answer(c, OTD_CHAIN_SENT_FEE, "insufficient fee, rejecting replacement");
		return false;
	}
	if (!replaces && c->in->sends.n >= DEVNET_MAX_SENDS) {
		answer(c, OTD_CHAIN_SENT_FEE, "mempool full");
		return false;
	}
	return true;
}

static otd_rc let_in(struct candidate *c)
{
	struct devnet_pool *p = &c->in->sends;
	struct devnet_mtx m = {.len = c->tx.len, .n_in = (size_t)c->tx.n_in, .fee = c->fee};
	m.raw = btc_alloc(&c->in->host, m.len);
	if (!m.raw)
		return btc_fail(&c->in->host, OTD_E_NOMEM, "no memory for a transaction");
	memcpy(m.raw, c->tx.raw, m.len);
	memcpy(m.txid, c->tx.txid, 32);
	memcpy(m.wtxid, c->tx.wtxid, 32);
	otd_rc rc = devnet_pool_add(&c->in->host, p, &m);
	if (rc) {
		btc_free(&c->in->host, m.raw);
		return rc;
	}
	size_t kept = 0;
	for (size_t i = 0; i < p->n; i++) {
		if (i + 1 < p->n && conflicts(c, &p->tx[i]))
			btc_free(&c->in->host, p->tx[i].raw);
		else
			p->tx[kept++] = p->tx[i];
	}
	p->n = kept;
	devnet_pool_sweep(c->in); /* children of what was replaced */
	answer(c, OTD_CHAIN_SENT, "");
	return OTD_OK;
}

otd_rc devnet_accept(struct otd_instance *in, struct otd_span raw, struct otd_chain_send *s)
{
	struct candidate c = {.in = in, .s = s};
	struct btc_reader r = {raw.ptr, raw.len, false};
	struct btc_tx sizes;
	otd_rc rc = OTD_OK;
	if (!devnet_tx_read(&c.tx, &r) || r.left || btc_tx_read(&sizes, raw)) {
		answer(&c, OTD_CHAIN_SENT_REFUSED, "TX decode failed");
		return OTD_OK;
	}
	if (is_known(&c)) {
		answer(&c, OTD_CHAIN_SENT_KNOWN, "txn-already-known");
		return OTD_OK;
	}
	c.vsize = sizes.vsize;
	if (c.vsize > BTC_MAX_VSIZE || !c.tx.witness || c.tx.ins_len != 41 * c.tx.n_in) {
		answer(&c, OTD_CHAIN_SENT_REFUSED,
		       c.vsize > BTC_MAX_VSIZE ? "tx-size" : "scriptsig-not-pushonly");
		return OTD_OK;
	}
	c.coins = btc_alloc(&in->host, (size_t)c.tx.n_in * sizeof(*c.coins));
	if (!c.coins)
		return btc_fail(&in->host, OTD_E_NOMEM, "no memory for a transaction");
	if (find_coins(&c) && judge_outputs(&c) && judge_fee(&c)) {
		const char *bad = devnet_check_proofs(in, &c.tx, c.coins, (size_t)c.tx.n_in, &rc);
		if (bad)
			answer(&c, OTD_CHAIN_SENT_REFUSED, bad);
		else if (rc == OTD_OK)
			rc = let_in(&c);
	}
	btc_free(&in->host, c.coins);
	return rc;
}
