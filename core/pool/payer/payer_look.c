/* Where the transactions of a payment are, by the node's word: one question each. And whether other
   nodes are on the same chain. */
#include <stdlib.h>
#include <string.h>

#include "pool/payer/payer_impl.h"

struct look_tx {
	uint8_t txid[32];
	uint32_t generation, version;
	struct otd_chain_tx tx;
};

struct payer_look {
	struct otd_payer *owner;
	struct otd_chain *chain;
	struct look_tx *txs;
	size_t n, n_own, at; /* those of the present generation first, newest first */
	struct otd_chain_coin *coins;
	size_t n_coins;
	payer_look_fn then;
	void *target;
};

void payer_look_destroy(struct payer_look *l)
{
	if (!l)
		return;
	free(l->txs);
	free(l->coins);
	free(l);
}

static void place(struct payer_place *p, const struct look_tx *t)
{
	p->in_mempool = p->in_mempool || (t->tx.state == OTD_CHAIN_TX_WAITS && t->tx.in_mempool);
	if (t->tx.state != OTD_CHAIN_TX_BLOCK || p->in_block)
		return;
	p->in_block = true;
	p->generation = t->generation;
	p->version = t->version;
	p->confirmations =
		t->tx.confirmations > UINT32_MAX ? UINT32_MAX : (uint32_t)t->tx.confirmations;
	p->height = t->tx.height;
	memcpy(p->hash, t->tx.block_hash, sizeof(p->hash));
}

static void sum_up(struct payer_found *f, const struct payer_look *l)
{
	memset(f, 0, sizeof(*f));
	f->one_tip = true;
	f->unknown = l->n_own && l->txs[0].tx.state == OTD_CHAIN_TX_UNKNOWN;
	f->spent = f->missing = UINT32_MAX;
	for (size_t i = 0; i < l->n; i++) {
		const struct look_tx *t = &l->txs[i];
		bool own = i < l->n_own;
		if (i > 0 && t->tx.tip_height != f->tip)
			f->one_tip = false;
		if (t->tx.tip_height > f->tip)
			f->tip = t->tx.tip_height;
		place(own ? &f->own : &f->old, t);
		if (own && t->tx.coins_spent < f->spent)
			f->spent = t->tx.coins_spent;
		if (own && t->tx.coins_missing < f->missing)
			f->missing = t->tx.coins_missing;
	}
	/* Spent by one of ours is no conflict. */
	if (f->own.in_block || l->n_own == 0)
		f->spent = f->missing = 0;
}

static bool ask_next(struct payer_look *l);

static void answered(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		     struct otd_span out)
{
	struct payer_look *l = target;
	struct payer_found f;
	struct otd_err own = {0};
	(void)out;
	if (err->rc) {
		l->then(l->target, err, NULL);
		return;
	}
	l->txs[l->at++].tx = res->u.tx;
	if (l->at < l->n) {
		if (!ask_next(l)) {
			(void)otd_fail(&own, OTD_E_CLOSED, "no memory, or the pool is ending");
			l->then(l->target, &own, NULL);
		}
		return;
	}
	sum_up(&f, l);
	l->then(l->target, err, &f);
}

static bool ask_next(struct payer_look *l)
{
	struct otd_chain_call call = {.kind = OTD_CHAIN_TX};
	memcpy(call.txid, l->txs[l->at].txid, sizeof(call.txid));
	if (l->at < l->n_own) {
		call.coins = l->coins;
		call.coin_stride = sizeof(*l->coins);
		call.n_coins = l->n_coins;
	}
	return payer_call(l->owner, l->chain, &call, answered, l);
}

static void add(struct payer_look *l, const struct otd_pay_tx *t)
{
	struct look_tx *to = &l->txs[l->n++];
	to->generation = t->generation;
	to->version = t->version;
	memcpy(to->txid, t->txid, sizeof(to->txid));
}

struct payer_look *payer_look_start(struct otd_payer *o, struct otd_chain *c,
				    const struct otd_payment *p, payer_look_fn then, void *target)
{
	struct payer_look *l = o->draining ? NULL : calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->owner = o;
	l->chain = c;
	l->then = then;
	l->target = target;
	l->txs = calloc(p->n_txs + p->n_old ? p->n_txs + p->n_old : 1, sizeof(*l->txs));
	l->coins = calloc(p->n_coins ? p->n_coins : 1, sizeof(*l->coins));
	if (!l->txs || !l->coins || p->n_txs + p->n_old == 0) {
		payer_look_destroy(l);
		return NULL;
	}
	for (size_t i = p->n_txs; i > 0; i--)
		add(l, &p->txs[i - 1]);
	l->n_own = l->n;
	for (size_t i = p->n_old; i > 0; i--)
		add(l, &p->old[i - 1]);
	/* What every version has: while one of these is spent by others, none can come. */
	for (size_t i = 0; i < p->n_coins; i++)
		if (p->coins[i].since <= 1)
			payer_to_chain(&l->coins[l->n_coins++], &p->coins[i]);
	if (!ask_next(l)) {
		payer_look_destroy(l);
		return NULL;
	}
	return l;
}

/* --- other nodes --- */

struct payer_agreement {
	struct payer_agreement *next;
	struct otd_payer *owner;
	struct otd_chain *chain;
	payer_agree_fn then;
	void *target;
};

static void placed(void *arg, const struct otd_err *err, const struct otd_chain_block *b)
{
	struct payer_agreement *g = arg, **at = &g->owner->agreements;
	struct otd_payer *o = g->owner;
	struct otd_err own = *err;
	while (*at != g)
		at = &(*at)->next;
	*at = g->next;
	if (!own.rc && b->place != OTD_CHAIN_MAIN)
		(void)otd_fail(&own, OTD_E_BUSY, "the node's chain has changed meanwhile");
	g->then(g->target, &own);
	free(g);
	payer_landed(o);
}

enum payer_agrees payer_agree(struct otd_payer *o, struct otd_chain *c, uint64_t height,
			      const uint8_t hash[32], payer_agree_fn then, void *target)
{
	if (otd_chain_nodes(c) < 2)
		return PAYER_ALONE;
	struct payer_agreement *g = o->draining ? NULL : calloc(1, sizeof(*g));
	if (!g)
		return PAYER_CANNOT_ASK;
	*g = (struct payer_agreement){o->agreements, o, c, then, target};
	otd_rc rc = hash ? otd_chain_place(c, height, hash, placed, g)
			 : otd_chain_place_wallet(c, placed, g);
	if (rc) {
		free(g);
		return PAYER_CANNOT_ASK;
	}
	o->agreements = g;
	o->flights++;
	return PAYER_ASKED;
}

void payer_agree_forget(struct otd_payer *o, const struct otd_err *err)
{
	struct payer_agreement *g = o->agreements;
	o->agreements = NULL; /* what then asks goes into a new list */
	while (g) {
		struct payer_agreement *next = g->next;
		otd_chain_place_forget(g->chain, g);
		if (err) {
			g->then(g->target, err);
			payer_landed(o);
		}
		free(g);
		g = next;
	}
}
