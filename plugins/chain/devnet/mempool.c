/* Transactions that wait, and the template made of them. */
#include "devnet.h"

#include "common/merkle.h"
#include <stdlib.h>
#include <string.h>

#define MAX_BODY (DEVNET_MAX_BLOCK - 100000) /* room for the coinbase */

void devnet_pool_finish(const struct btc_host *host, struct devnet_pool *p)
{
	for (size_t i = 0; i < p->n; i++)
		btc_free(host, p->tx[i].raw);
	btc_free(host, p->tx);
	*p = (struct devnet_pool){0};
}

otd_rc devnet_pool_add(const struct btc_host *host, struct devnet_pool *p,
		       const struct devnet_mtx *tx)
{
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 64;
		struct devnet_mtx *more = btc_alloc(host, cap * sizeof(*more));
		if (!more)
			return btc_fail(host, OTD_E_NOMEM, "no memory for the mempool");
		if (p->n)
			memcpy(more, p->tx, p->n * sizeof(*more));
		btc_free(host, p->tx);
		p->tx = more;
		p->cap = cap;
	}
	p->tx[p->n++] = *tx;
	return OTD_OK;
}

const uint8_t *devnet_outpoint(const struct devnet_mtx *m, size_t i)
{
	/* version, marker, flag, count; then outpoint, no script, sequence */
	size_t count = m->n_in < 0xfd ? 1 : m->n_in <= 0xffff ? 3 : 5;
	return m->raw + 6 + count + 41 * i;
}

static otd_rc use_coins(struct devnet_coins *used, const struct devnet_mtx *m)
{
	struct devnet_coin mark = {.value = 0};
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < m->n_in && rc == OTD_OK; i++) {
		memcpy(mark.outpoint, devnet_outpoint(m, i), 36);
		rc = devnet_coins_add(used, &mark);
	}
	return rc;
}

otd_rc devnet_pool_used(const struct otd_instance *in, struct devnet_coins *used)
{
	otd_rc rc = OTD_OK;
	devnet_coins_init(used, &in->host, 256);
	for (size_t i = 0; i < in->sends.n && rc == OTD_OK; i++)
		rc = use_coins(used, &in->sends.tx[i]);
	return rc;
}

static struct devnet_mtx *find(struct devnet_mtx *tx, size_t n, const uint8_t txid[32])
{
	for (size_t i = 0; i < n; i++) {
		if (memcmp(tx[i].txid, txid, 32) == 0)
			return &tx[i];
	}
	return NULL;
}

struct devnet_mtx *devnet_pool_find(struct otd_instance *in, const uint8_t txid[32])
{
	return find(in->sends.tx, in->sends.n, txid);
}

/* Whether the next block could hold m behind the first kept ones, which spend used. */
static bool can_wait(struct otd_instance *in, const struct devnet_mtx *m, size_t kept,
		     const struct devnet_coins *used)
{
	for (size_t i = 0; i < m->n_in; i++) {
		const uint8_t *outpoint = devnet_outpoint(m, i);
		const struct devnet_coin *c = devnet_coins_find(&in->coins, outpoint);
		if (devnet_coins_find(used, outpoint))
			return false;
		if (c ? !devnet_mature(in, c) : !find(in->sends.tx, kept, outpoint))
			return false;
	}
	return true;
}

void devnet_pool_sweep(struct otd_instance *in)
{
	struct devnet_mtx *tx = in->sends.tx;
	struct devnet_coins used;
	size_t kept = 0;
	devnet_coins_init(&used, &in->host, 256);
	/* A reorganisation gives back the last block's first, so that a child may stand before its
	   parent: again, until none is added. */
	for (bool more = true; more;) {
		more = false;
		for (size_t i = kept; i < in->sends.n; i++) {
			struct devnet_mtx m = tx[i];
			if (!can_wait(in, &m, kept, &used) || use_coins(&used, &m))
				continue;
			memmove(&tx[kept + 1], &tx[kept], (i - kept) * sizeof(m));
			tx[kept++] = m;
			more = true;
		}
	}
	for (size_t i = kept; i < in->sends.n; i++)
		btc_free(&in->host, tx[i].raw);
	in->sends.n = kept;
	devnet_coins_finish(&used);
}

static int by_outpoint(const void *a, const void *b)
{
	return memcmp(((const struct devnet_coin *)a)->outpoint,
		      ((const struct devnet_coin *)b)->outpoint, 36);
}

/* Each of the faucet's coins moves to the faucet itself, less the fee: the same on every start. */
static otd_rc generate(struct otd_instance *in)
{
	uint8_t secret[32], owner[20];
	struct devnet_out to = {.script_len = 22};
	size_t n = 0;
	otd_rc rc = OTD_OK;
	devnet_pool_finish(&in->host, &in->generated);
	in->generated_fresh = true;
	if (in->opt->transactions == 0)
		return OTD_OK;
	struct devnet_coin *coin = btc_alloc(&in->host, DEVNET_FAUCET * sizeof(*coin));
	if (!coin)
		return btc_fail(&in->host, OTD_E_NOMEM, "no memory for transactions");
	devnet_secret(secret, DEVNET_FAUCETS);
	devnet_key_script(to.script, secret);
	devnet_owner(owner, to.script, to.script_len);
	for (size_t i = 0; i < in->coins.cap && n < DEVNET_FAUCET; i++) {
		const struct devnet_coin *c = &in->coins.slot[i];
		if (c->used && c->value > (uint64_t)in->opt->fee &&
		    memcmp(c->owner, owner, 20) == 0)
			coin[n++] = *c;
	}
	qsort(coin, n, sizeof(*coin), by_outpoint);
	for (size_t i = 0; i < n && i < (size_t)in->opt->transactions && rc == OTD_OK; i++) {
		struct devnet_mtx m;
		to.value = coin[i].value - (uint64_t)in->opt->fee;
		rc = devnet_tx_make(&in->host, &m, &coin[i], secret, &to, 1);
		if (rc == OTD_OK) {
			rc = devnet_pool_add(&in->host, &in->generated, &m);
			if (rc)
				btc_free(&in->host, m.raw);
		}
	}
	btc_free(&in->host, coin);
	return rc;
}

otd_rc devnet_send(struct otd_instance *in, uint8_t txid[32], const struct devnet_out *to)
{
	uint8_t secret[32], owner[20];
	struct devnet_out outs[2] = {*to, {.script_len = 22}};
	const struct devnet_coin *best = NULL;
	uint64_t fee = (uint64_t)in->opt->fee;
	devnet_secret(secret, DEVNET_WALLET);
	devnet_key_script(outs[1].script, secret);
	devnet_owner(owner, outs[1].script, outs[1].script_len);
	struct devnet_coins used;
	otd_rc rc = devnet_pool_used(in, &used);
	for (size_t i = 0; i < in->coins.cap && rc == OTD_OK; i++) {
		const struct devnet_coin *c = &in->coins.slot[i];
		if (!c->used || c->coinbase || c->value < to->value + fee ||
		    memcmp(c->owner, owner, 20) != 0 || devnet_coins_find(&used, c->outpoint) ||
		    devnet_coins_find(&in->locked, c->outpoint))
			continue;
		if (!best || by_outpoint(c, best) < 0)
			best = c;
	}
	devnet_coins_finish(&used);
	if (rc)
		return rc;
	if (!best || in->sends.n >= DEVNET_MAX_SENDS)
		return btc_fail(&in->host, OTD_E_NOT_FOUND,
				"the devnet's wallet has no free coin as large as that; mine a "
				"block, or send less");
	struct devnet_mtx m;
	outs[1].value = best->value - to->value - fee;
	rc = devnet_tx_make(&in->host, &m, best, secret, outs, outs[1].value ? 2 : 1);
	if (rc)
		return rc;
	rc = devnet_pool_add(&in->host, &in->sends, &m);
	if (rc)
		btc_free(&in->host, m.raw);
	else
		memcpy(txid, m.txid, 32);
	return rc;
}

/* Until the block is full; nothing that stands behind what did not fit, which may be its parent. */
static void put_txs(struct otd_template *t, uint8_t *txids, uint8_t *wtxids,
		    const struct devnet_pool *p)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct devnet_mtx *m = &p->tx[i];
		if (t->body_len + m->len > MAX_BODY)
			return;
		memcpy(txids + 32 * (size_t)t->info.n_tx, m->txid, 32);
		memcpy(wtxids + 32 * (size_t)t->info.n_tx, m->wtxid, 32);
		memcpy(t->body + t->body_len, m->raw, m->len);
		t->body_len += m->len;
		t->info.fees += (otd_i128)m->fee;
		t->info.n_tx++;
	}
}

static otd_rc fill(struct otd_instance *in, struct otd_template *t, bool with_txs)
{
	static const struct devnet_pool none;
	const struct devnet_pool *a = with_txs ? &in->sends : &none;
	const struct devnet_pool *b = with_txs ? &in->generated : &none;
	size_t n = a->n + b->n, bytes = 0;
	uint8_t commitment[32];
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < a->n; i++)
		bytes += a->tx[i].len;
	for (size_t i = 0; i < b->n; i++)
		bytes += b->tx[i].len;
	uint8_t *ids = btc_alloc(&in->host, 2 * 32 * (n + 1));
	t->branches = btc_alloc(&in->host, 32 * ((size_t)btc_branch_count(n) + 1));
	t->body = btc_alloc(&in->host, bytes + 1);
	if (!ids || !t->branches || !t->body) {
		rc = btc_fail(&in->host, OTD_E_NOMEM, "no memory for a template");
		goto out;
	}
	put_txs(t, ids, ids + 32 * (n + 1), a);
	put_txs(t, ids, ids + 32 * (n + 1), b);
	size_t wtxids = 32 * (n + 1);
	n = t->info.n_tx;
	t->n_branches = btc_branch_count(n);
	rc = btc_merkle_branches(&in->host, t->branches, ids, n);
	if (rc == OTD_OK)
		rc = btc_witness_commitment(&in->host, commitment, ids + wtxids, n);
	if (rc == OTD_OK)
		btc_template_commit(t, commitment);
out:
	btc_free(&in->host, ids);
	return rc;
}

otd_rc devnet_template(struct otd_instance *in, struct otd_chain_template *out, bool with_txs)
{
	struct otd_u256 target;
	otd_rc rc = OTD_OK;
	if (with_txs && !in->generated_fresh)
		rc = generate(in);
	if (rc)
		return rc;
	struct otd_template *t = btc_alloc(&in->host, sizeof(*t));
	if (!t)
		return btc_fail(&in->host, OTD_E_NOMEM, "no memory for a template");
	rc = fill(in, t, with_txs);
	t->info.height = in->n_blocks;
	memcpy(t->info.prev, in->block[in->n_blocks - 1].hash, 32);
	t->info.nbits = devnet_next_bits(in);
	if (rc == OTD_OK)
		rc = otd_target_from_nbits(&target, t->info.nbits);
	if (rc) {
		btc_template_free(&in->host, t);
		return rc;
	}
	otd_u256_to_le(t->info.target, target);
	t->info.version = 0x20000000;
	t->info.min_time_s = devnet_min_time(in);
	t->info.time_s = devnet_now_s(in);
	if (t->info.time_s < t->info.min_time_s)
		t->info.time_s = t->info.min_time_s;
	t->info.value = (otd_i128)in->opt->subsidy + t->info.fees;
	t->info.handle = t;
	*out = t->info;
	return OTD_OK;
}
