/* Books of the simulated node: blocks, what waits, what the wallet sees. */
#include "sim_internal.h"
#include "sim_node_own.h"

#include <otedama/sha256.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DUST 294 /* of a pay-to-witness-key output; Bitcoin Core, GetDustThreshold */

int n_fail(struct nfail *f, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(f->words, sizeof(f->words), fmt, ap);
	va_end(ap);
	f->code = code;
	return code;
}

_Noreturn void n_broken(const struct sim_node *n, const char *what)
{
	(void)fprintf(stderr, "sim node: %s at height %llu\n", what,
		      (unsigned long long)sim_node_height(n));
	exit(97);
}

/* --- looking up --- */

struct ntx *n_find(const struct sim_node *n, const uint8_t txid[32])
{
	for (size_t i = n->n_tx; i-- > 0;)
		if (memcmp(n->tx[i]->txid, txid, 32) == 0)
			return n->tx[i];
	return NULL;
}

struct nout *n_out_of(const struct sim_node *n, const struct nin *in, struct ntx **made)
{
	struct ntx *t = n_find(n, in->txid);
	if (made)
		*made = t;
	return t && in->index < t->n_out ? &t->out[in->index] : NULL;
}

static bool spends(const struct ntx *t, const uint8_t txid[32], uint32_t index)
{
	for (size_t i = 0; i < t->n_in; i++)
		if (t->in[i].index == index && memcmp(t->in[i].txid, txid, 32) == 0)
			return true;
	return false;
}

struct ntx *n_pool_spender(const struct sim_node *n, const uint8_t txid[32], uint32_t index)
{
	for (size_t i = 0; i < n->n_tx; i++)
		if (n->tx[i]->where == N_POOL && spends(n->tx[i], txid, index))
			return n->tx[i];
	return NULL;
}

uint64_t sim_node_height(const struct sim_node *n)
{
	return n->n_chain - 1;
}

static uint64_t depth_of(const struct sim_node *n, const struct ntx *t)
{
	return t->where == N_CHAIN ? sim_node_height(n) - t->height + 1 : 0;
}

bool n_is_mature(const struct sim_node *n, const struct ntx *t)
{
	return !t->coinbase || depth_of(n, t) > n->conf.maturity;
}

int64_t n_wallet_depth(const struct sim_node *n, const struct ntx *t)
{
	if (t->where == N_CHAIN)
		return (int64_t)depth_of(n, t);
	for (size_t i = 0; i < t->n_in; i++) {
		const struct nout *o = n_out_of(n, &t->in[i], NULL);
		if (o && o->spent && o->spent != t)
			return -(int64_t)depth_of(n, o->spent);
	}
	return 0;
}

bool n_wallet_spent(const struct sim_node *n, const struct ntx *t, uint32_t index)
{
	if (t->out[index].spent)
		return true;
	for (size_t i = 0; i < n->n_tx; i++) {
		const struct ntx *by = n->tx[i];
		if (by->wallet && spends(by, t->txid, index) && n_wallet_depth(n, by) >= 0)
			return true;
	}
	return false;
}

struct nblock *n_block_of(const struct sim_node *n, const uint8_t hash[32])
{
	for (size_t i = 0; i < n->n_block; i++)
		if (memcmp(n->block[i]->hash, hash, 32) == 0)
			return n->block[i];
	return NULL;
}

/* --- waiting --- */

struct ntx *n_take(struct sim_node *n, struct ntx *t)
{
	struct ntx *old = n_find(n, t->txid);
	if (old) {
		if (old != t)
			n_tx_free(t);
		return old;
	}
	if (n->n_tx == n->cap_tx) {
		n->cap_tx = n->cap_tx ? 2 * n->cap_tx : 256;
		n->tx = sim_more(n->tx, n->cap_tx * sizeof(struct ntx *));
	}
	n->tx[n->n_tx++] = t;
	return t;
}

/* The wallet hears of it; coins that it spends need no lock any more (Core: AddToSpends). */
static void tell_wallet(struct sim_node *n, struct ntx *t)
{
	for (size_t i = 0; i < t->n_out; i++)
		t->wallet = t->wallet || t->out[i].ours;
	for (size_t i = 0; i < t->n_in && !t->coinbase; i++) {
		struct nout *o = n_out_of(n, &t->in[i], NULL);
		if (!o || !o->ours)
			continue;
		t->wallet = true;
		o->locked = false;
	}
}

static void evict(struct sim_node *n, struct ntx *t)
{
	t->where = N_NOWHERE;
	for (uint32_t i = 0; i < t->n_out; i++) {
		struct ntx *child = n_pool_spender(n, t->txid, i);
		if (child)
			evict(n, child);
	}
}

void n_evict_conflicts(struct sim_node *n, const struct ntx *t)
{
	for (size_t i = 0; i < t->n_in; i++) {
		struct ntx *other = n_pool_spender(n, t->in[i].txid, t->in[i].index);
		if (other && other != t)
			evict(n, other);
	}
}

static int64_t fee_at(int64_t rate, int64_t vsize)
{
	return (rate * vsize + 999) / 1000;
}

/* Inputs are there, unspent in the chain, ours to spend; *fee. */
static int check_inputs(const struct sim_node *n, const struct ntx *t, int64_t *fee,
			struct nfail *f)
{
	int64_t in = 0, out = 0;
	for (size_t i = 0; i < t->n_in; i++) {
		struct ntx *made;
		const struct nout *o = n_out_of(n, &t->in[i], &made);
		if (!o || made->where == N_NOWHERE || o->spent)
			return n_fail(f, -25, "bad-txns-inputs-missingorspent");
		if (!n_is_mature(n, made))
			return n_fail(f, -26, "bad-txns-premature-spend-of-coinbase");
		in += o->value;
	}
	for (size_t i = 0; i < t->n_out; i++)
		out += t->out[i].value;
	*fee = in - out;
	return out > in ? n_fail(f, -26, "bad-txns-in-belowout") : 0;
}

static int check_signatures(const struct sim_node *n, const struct ntx *t, struct nfail *f)
{
	size_t len;
	bool complete;
	uint8_t *own = n_sign(n, t, &len, &complete);
	bool same = t->is_signed && complete && len == t->raw_len && memcmp(own, t->raw, len) == 0;
	free(own);
	if (!same)
		return n_fail(
			f, -26,
			"mandatory-script-verify-flag-failed (Witness program hash mismatch)");
	return 0;
}

/* BIP 125 as Core has it: all that is replaced signals it, and the new one pays more for both. */
static int check_replacement(const struct sim_node *n, const struct ntx *t, int64_t fee,
			     struct nfail *f)
{
	int64_t fees = 0;
	bool any = false;
	for (size_t i = 0; i < t->n_in; i++) {
		const struct ntx *old = n_pool_spender(n, t->in[i].txid, t->in[i].index);
		bool seen = false;
		if (!old)
			continue;
		for (size_t j = 0; j < i; j++)
			seen = seen || n_pool_spender(n, t->in[j].txid, t->in[j].index) == old;
		if (seen)
			continue;
		any = true;
		bool signals = false;
		for (size_t j = 0; j < old->n_in; j++)
			signals = signals || old->in[j].sequence < 0xfffffffe;
		if (!signals)
			return n_fail(f, -26, "txn-mempool-conflict");
		if (fee * old->vsize <= old->fee * t->vsize)
			return n_fail(f, -26,
				      "insufficient fee, rejecting replacement; new feerate is not "
				      "above the old one");
		fees += old->fee;
	}
	if (any && fee < fees + fee_at(1000, t->vsize))
		return n_fail(f, -26,
			      "insufficient fee, rejecting replacement; not enough additional fees "
			      "to relay; %lld < %lld",
			      (long long)(fee - fees), (long long)fee_at(1000, t->vsize));
	return 0;
}

static int check_fee(const struct sim_node *n, const struct ntx *t, int64_t fee, int64_t max_rate,
		     struct nfail *f)
{
	if (max_rate && fee > fee_at(max_rate, t->vsize))
		return n_fail(
			f, -25,
			"Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)");
	if (fee < fee_at(1000, t->vsize))
		return n_fail(f, -26, "min relay fee not met, %lld < %lld", (long long)fee,
			      (long long)fee_at(1000, t->vsize));
	if (fee < fee_at(n->least_fee, t->vsize))
		return n_fail(f, -26, "mempool min fee not met, %lld < %lld", (long long)fee,
			      (long long)fee_at(n->least_fee, t->vsize));
	return 0;
}

/* Bitcoin Core, src/node/transaction.cpp (BroadcastTransaction) and src/validation.cpp. */
int n_accept(struct sim_node *n, struct ntx *t, int64_t max_rate, struct nfail *f)
{
	struct ntx *old = n_find(n, t->txid);
	int64_t fee = 0;
	int code = 0;
	if (old && old->where == N_POOL)
		goto known;
	for (size_t i = 0; old && old->where == N_CHAIN && i < old->n_out; i++)
		if (!old->out[i].spent) {
			code = n_fail(f, -27, "Transaction outputs already in utxo set");
			goto known;
		}
	for (size_t i = 0; i < t->n_out; i++)
		if (t->out[i].value < DUST)
			code = n_fail(f, -26, "dust");
	if (!code)
		code = check_inputs(n, t, &fee, f);
	if (!code)
		code = check_fee(n, t, fee, max_rate, f);
	if (!code)
		code = check_replacement(n, t, fee, f);
	if (!code)
		code = check_signatures(n, t, f);
	if (code)
		goto known;
	t->fee = fee;
	old = n_take(n, t);
	n_evict_conflicts(n, old);
	old->fee = fee;
	old->where = N_POOL;
	old->order = ++n->orders;
	tell_wallet(n, old);
	return 0;
known:
	if (t != old)
		n_tx_free(t);
	return code;
}

/* --- blocks --- */

static struct ntx *make_tx(size_t n_in, size_t n_out)
{
	struct ntx *t = sim_new(1, sizeof(*t));
	t->n_in = n_in;
	t->n_out = n_out;
	t->in = sim_new(n_in, sizeof(*t->in));
	t->out = sim_new(n_out, sizeof(*t->out));
	return t;
}

static void pay_to(struct nout *o, int64_t value, const char *label)
{
	o->value = value;
	sim_node_script(o->script, label);
	o->len = SIM_NODE_SCRIPT;
	o->ours = n_is_ours(o->script, o->len);
}

struct ntx *n_make(struct sim_node *n, const struct ntx *from, uint32_t index, int64_t fee,
		   const char *to)
{
	struct ntx *t = make_tx(1, 1);
	bool complete;
	size_t len;
	memcpy(t->in[0].txid, from->txid, 32);
	t->in[0].index = index;
	t->in[0].sequence = 0xfffffffd;
	pay_to(&t->out[0], from->out[index].value - fee, to);
	n_identify(t);
	uint8_t *raw = n_sign(n, t, &len, &complete);
	n_tx_free(t);
	t = n_tx_read(raw, len);
	free(raw);
	if (!t || !complete)
		n_broken(n, "its own transaction does not read");
	t->fee = fee;
	t->operators = true;
	return n_take(n, t);
}

static struct ntx *make_coinbase(struct sim_node *n)
{
	struct ntx *t = make_tx(1, 1);
	struct sim *s = n->sim;
	memset(t->in[0].txid, 0, 32);
	t->in[0].index = 0xffffffff;
	t->in[0].sequence = (uint32_t)++n->salt; /* so that no two are equal */
	pay_to(&t->out[0], n->conf.reward + (int64_t)sim_below(s, 1000),
	       sim_chance(s, n->conf.our_ppm) ? "reward" : "somebody");
	t->coinbase = true;
	n_identify(t);
	return n_take(n, t);
}

static void connect(struct sim_node *n, struct nblock *b, struct ntx *t)
{
	for (size_t i = 0; i < t->n_in && !t->coinbase; i++) {
		struct nout *o = n_out_of(n, &t->in[i], NULL);
		if (!o || o->spent)
			n_broken(n, "a block spends what is not there");
		o->spent = t;
	}
	t->where = N_CHAIN;
	t->height = b->height;
	n_evict_conflicts(n, t);
	tell_wallet(n, t);
	b->tx = sim_more(b->tx, (b->n + 1) * sizeof(struct ntx *));
	b->tx[b->n++] = t;
}

struct ntx *n_next_for_block(const struct sim_node *n, struct ntx *const *except, size_t n_except)
{
	struct ntx *best = NULL;
	for (size_t i = 0; i < n->n_tx; i++) {
		struct ntx *t = n->tx[i], *made;
		bool ready = t->where == N_POOL && (!best || t->order < best->order);
		for (size_t j = 0; ready && j < n_except; j++)
			ready = except[j] != t;
		for (size_t j = 0; ready && j < t->n_in; j++)
			ready = n_out_of(n, &t->in[j], &made) && made->where == N_CHAIN;
		if (ready)
			best = t;
	}
	return best;
}

struct nblock *n_keep_block(struct sim_node *n, const uint8_t hash[32], const uint8_t prev[32],
			    uint64_t height)
{
	struct nblock *b = sim_new(1, sizeof(*b));
	b->height = height;
	memcpy(b->hash, hash, 32);
	memcpy(b->prev, prev, 32);
	if (n->n_block == n->cap_block) {
		n->cap_block = n->cap_block ? 2 * n->cap_block : 256;
		n->block = sim_more(n->block, n->cap_block * sizeof(struct nblock *));
	}
	n->block[n->n_block++] = b;
	return b;
}

struct nblock *n_add_block(struct sim_node *n, const uint8_t hash[32], struct ntx **tx, size_t n_tx)
{
	static const uint8_t none[32];
	struct nblock *b = n_keep_block(n, hash, n->n_chain ? n->chain[n->n_chain - 1]->hash : none,
					n->n_chain);
	b->main = true;
	if (n->n_chain == n->cap_chain) {
		n->cap_chain = n->cap_chain ? 2 * n->cap_chain : 256;
		n->chain = sim_more(n->chain, n->cap_chain * sizeof(struct nblock *));
	}
	n->chain[n->n_chain++] = b;
	for (size_t i = 0; i < n_tx; i++)
		connect(n, b, tx[i]);
	return b;
}

static struct nblock *add_block(struct sim_node *n)
{
	uint8_t text[48] = {0}, hash[32];
	uint64_t salt = ++n->salt;
	if (n->n_chain)
		memcpy(text, n->chain[n->n_chain - 1]->hash, 32);
	memcpy(text + 32, &salt, 8);
	otd_sha256d(hash, text, sizeof(text));
	struct ntx *coinbase = make_coinbase(n);
	return n_add_block(n, hash, &coinbase, 1);
}

void n_mine_with(struct sim_node *n, struct ntx *first)
{
	struct nblock *b = add_block(n);
	if (first)
		connect(n, b, first);
	/* Now and then a miner that takes nothing. */
	if (n->starve || sim_chance(n->sim, 150000))
		return;
	for (struct ntx *t; (t = n_next_for_block(n, NULL, 0)) && b->n < 50;)
		connect(n, b, t);
}

void sim_node_mine(struct sim_node *n, uint32_t blocks)
{
	for (uint32_t i = 0; i < blocks; i++)
		n_mine_with(n, NULL);
}

static void disconnect(struct sim_node *n)
{
	struct nblock *b = n->chain[--n->n_chain];
	b->main = false;
	for (size_t i = b->n; i-- > 0;) {
		struct ntx *t = b->tx[i];
		for (size_t j = 0; j < t->n_in && !t->coinbase; j++)
			n_out_of(n, &t->in[j], NULL)->spent = NULL;
		evict(n, t); /* with what waits behind it */
	}
}

static bool can_wait_again(const struct sim_node *n, const struct ntx *t)
{
	for (size_t i = 0; i < t->n_in; i++) {
		struct ntx *made;
		const struct nout *o = n_out_of(n, &t->in[i], &made);
		if (!o || o->spent || made->where == N_NOWHERE || !n_is_mature(n, made) ||
		    n_pool_spender(n, t->in[i].txid, t->in[i].index))
			return false;
	}
	return true;
}

static void wait_again(struct sim_node *n, struct ntx *t)
{
	if (t->coinbase || t->where != N_NOWHERE || !can_wait_again(n, t))
		return;
	t->where = N_POOL;
	t->order = ++n->orders;
}

void sim_node_reorg(struct sim_node *n, uint32_t depth, bool drop)
{
	size_t first = n->n_chain - depth;
	struct nblock *old[16];
	if (depth == 0 || depth > 16 || depth + n->conf.maturity > sim_node_height(n))
		return;
	memcpy(old, n->chain + first, depth * sizeof(struct nblock *));
	for (uint32_t i = 0; i < depth; i++)
		disconnect(n);
	/* The other branch was mined by somebody who has not seen what we had. */
	bool starve = n->starve;
	n->starve = true;
	sim_node_mine(n, depth + 1);
	n->starve = starve;
	for (uint32_t i = 0; i < depth && !drop; i++)
		for (size_t j = 1; j < old[i]->n; j++)
			wait_again(n, old[i]->tx[j]);
}

/* --- trouble --- */

static bool is_up(void *arg)
{
	const struct sim_node *n = arg;
	return sim_now_ms(n->sim) >= n->down_until_ms;
}

/* At its start a wallet hands in again what it knows and no block has; the newest first, so that one
   that took another's place keeps it. */
static void resubmit(struct sim_node *n)
{
	for (size_t i = n->n_tx; i-- > 0;)
		if (n->tx[i]->wallet)
			wait_again(n, n->tx[i]);
}

void sim_node_restart(struct sim_node *n, int64_t down_ms, bool lose_pool, bool lose_wallet)
{
	n->down_until_ms = sim_now_ms(n->sim) + down_ms;
	n->warm_until_ms = n->down_until_ms + down_ms;
	for (size_t i = 0; i < n->n_tx; i++) {
		struct ntx *t = n->tx[i];
		for (size_t j = 0; j < t->n_out; j++)
			t->out[j].locked = false;
		if (lose_pool && t->where == N_POOL)
			t->where = N_NOWHERE;
		if (lose_wallet && t->where != N_CHAIN)
			t->wallet = false;
	}
	resubmit(n);
}

void sim_node_break_in(struct sim_node *n, uint32_t calls, int64_t down_ms)
{
	n->break_in = calls;
	n->break_ms = down_ms;
}

void sim_node_lock_wallet(struct sim_node *n, bool locked)
{
	n->wallet_locked = locked;
}

void sim_node_starve(struct sim_node *n, bool on)
{
	n->starve = on;
}

void sim_node_fees(struct sim_node *n, int64_t least, int64_t advised)
{
	n->least_fee = least;
	n->advised_fee = advised;
	for (size_t i = 0; i < n->n_tx; i++)
		if (n->tx[i]->where == N_POOL && n->tx[i]->fee < fee_at(least, n->tx[i]->vsize))
			evict(n, n->tx[i]);
}

/* Whether a payment means to spend it. */
static bool is_meant(const struct sim_node *n, const struct ntx *t, uint32_t i)
{
	const struct nout *o = &t->out[i];
	if (t->where != N_CHAIN || !o->ours || o->spent || !n_is_mature(n, t))
		return false;
	const struct ntx *by = n_pool_spender(n, t->txid, i);
	return by ? !by->operators : o->locked;
}

bool sim_node_conflict(struct sim_node *n, bool in_block)
{
	struct ntx *pick = NULL;
	uint32_t index = 0;
	uint64_t seen = 0;
	for (size_t i = 0; i < n->n_tx; i++)
		for (uint32_t j = 0; j < n->tx[i]->n_out; j++)
			if (is_meant(n, n->tx[i], j) && sim_below(n->sim, ++seen) == 0) {
				pick = n->tx[i];
				index = j;
			}
	if (!pick)
		return false;
	const struct ntx *by = n_pool_spender(n, pick->txid, index);
	struct ntx *t = n_make(n, pick, index, (by ? by->fee : 0) + 5000, "operator");
	if (in_block) {
		n_mine_with(n, t);
		return true;
	}
	n_evict_conflicts(n, t);
	t->where = N_POOL;
	t->order = ++n->orders;
	tell_wallet(n, t);
	return true;
}

bool sim_node_empty_wallet(struct sim_node *n)
{
	bool any = false;
	size_t had = n->n_tx;
	for (size_t i = 0; i < had; i++) {
		struct ntx *from = n->tx[i];
		for (uint32_t j = 0; j < from->n_out; j++) {
			const struct nout *o = &from->out[j];
			if (from->where != N_CHAIN || !o->ours || o->locked ||
			    n_wallet_spent(n, from, j) || !n_is_mature(n, from))
				continue;
			struct ntx *t = n_make(n, from, j, 2000, "operator");
			t->where = N_POOL;
			t->order = ++n->orders;
			tell_wallet(n, t);
			any = true;
		}
	}
	return any;
}

/* --- the judge --- */

int64_t sim_node_received(const struct sim_node *n, const uint8_t *script, size_t len,
			  unsigned *outputs)
{
	int64_t sum = 0;
	*outputs = 0;
	for (size_t h = 0; h < n->n_chain; h++)
		for (size_t i = 1; i < n->chain[h]->n; i++) {
			const struct ntx *t = n->chain[h]->tx[i];
			for (size_t j = 0; j < t->n_out; j++)
				if (t->out[j].len == len &&
				    memcmp(t->out[j].script, script, len) == 0) {
					sum += t->out[j].value;
					++*outputs;
				}
		}
	return sum;
}

uint64_t sim_node_depth(const struct sim_node *n, const uint8_t txid[32])
{
	const struct ntx *t = n_find(n, txid);
	return t ? depth_of(n, t) : 0;
}

int64_t sim_node_fee_of(const struct sim_node *n, const uint8_t txid[32])
{
	const struct ntx *t = n_find(n, txid);
	return t ? t->fee : -1;
}

size_t sim_node_sent(const struct sim_node *n, uint8_t (*txids)[32], size_t cap)
{
	size_t found = 0;
	for (size_t h = 0; h < n->n_chain; h++)
		for (size_t i = 1; i < n->chain[h]->n; i++) {
			const struct ntx *t = n->chain[h]->tx[i];
			if (t->operators || found == cap)
				continue;
			memcpy(txids[found++], t->txid, 32);
		}
	return found;
}

size_t sim_node_locked_coins(const struct sim_node *n)
{
	size_t locked = 0;
	for (size_t i = 0; i < n->n_tx; i++)
		for (size_t j = 0; j < n->tx[i]->n_out; j++)
			locked += n->tx[i]->out[j].locked;
	return locked;
}

size_t sim_node_waiting(const struct sim_node *n)
{
	size_t waiting = 0;
	for (size_t i = 0; i < n->n_tx; i++)
		waiting += n->tx[i]->where == N_POOL;
	return waiting;
}

/* What blocks made is what is unspent, plus fees. */
void sim_node_check(const struct sim_node *n)
{
	int64_t made = 0, unspent = 0, fees = 0;
	for (size_t h = 0; h < n->n_chain; h++)
		for (size_t i = 0; i < n->chain[h]->n; i++) {
			const struct ntx *t = n->chain[h]->tx[i];
			if (t->where != N_CHAIN || t->height != h)
				n_broken(n, "a transaction is in a block and does not know");
			for (size_t j = 0; j < t->n_out; j++) {
				made += t->coinbase ? t->out[j].value : 0;
				unspent += t->out[j].spent ? 0 : t->out[j].value;
			}
			fees += t->coinbase ? 0 : t->fee;
		}
	if (made != unspent + fees)
		n_broken(n, "value came or went");
}

uint64_t sim_node_calls(const struct sim_node *n)
{
	return n->calls;
}

/* --- life --- */

static int64_t mine_again(void *arg)
{
	struct sim_node *n = arg;
	sim_node_mine(n, 1);
	return n->conf.block_ms / 2 + (int64_t)sim_below(n->sim, (uint64_t)n->conf.block_ms);
}

struct sim_node *sim_node_create(struct sim *s, const struct sim_node_conf *conf)
{
	struct sim_node *n = sim_new(1, sizeof(*n));
	n->sim = s;
	n->conf = *conf;
	n->least_fee = 1000;
	n->advised_fee = 5000;
	(void)add_block(n);
	sim_node_mine(n, conf->blocks);
	sim_serve(s, conf->url, sim_node_serve, is_up, n);
	if (conf->block_ms)
		sim_outside(s, conf->block_ms, mine_again, n);
	return n;
}

void sim_node_destroy(struct sim_node *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->n_tx; i++)
		n_tx_free(n->tx[i]);
	for (size_t i = 0; i < n->n_block; i++) {
		free(n->block[i]->tx);
		free(n->block[i]);
	}
	free(n->tx);
	free(n->block);
	free(n->chain);
	free(n);
}
