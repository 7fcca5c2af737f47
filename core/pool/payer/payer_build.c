/* The shape of a payment's transaction: outputs, size, fee, and the coins that suffice. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pool/payer/payer_impl.h"

#define RAW_MAX ((size_t)4 << 20)

/* --- outputs --- */

void payer_outputs_finish(struct payer_outputs *o)
{
	free(o->payees);
	free(o->scripts);
	memset(o, 0, sizeof(*o));
}

otd_rc payer_outputs_init(struct payer_outputs *o, struct otd_chain *c,
			  const struct otd_pay_part *parts, size_t n, const char *change,
			  struct otd_err *err)
{
	memset(o, 0, sizeof(*o));
	o->payees = calloc(n + 1, sizeof(*o->payees));
	o->scripts = calloc(n + 1, sizeof(*o->scripts));
	o->n = n;
	if (!o->payees || !o->scripts) {
		payer_outputs_finish(o);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	for (size_t i = 0; i <= n; i++) {
		const char *text = i < n ? parts[i].address : change;
		size_t len = 0;
		otd_rc rc = otd_chain_address(c, text, strlen(text), o->scripts[i], PAYER_SCRIPT,
					      &len, err);
		if (rc) {
			otd_fail_prefix(err, "address %.80s", text);
			payer_outputs_finish(o);
			return OTD_E_INVALID;
		}
		o->payees[i].script = (struct otd_span){o->scripts[i], len};
		o->payees[i].value = i < n ? parts[i].amount : 0;
	}
	return OTD_OK;
}

/* --- sizes --- */

struct sizing {
	struct otd_chain *chain;
	struct payer_outputs *out;
	const struct otd_chain_coin *coins;
	struct otd_bytes raw;
};

struct otd_chain_pay payer_pay_of(const struct otd_chain_coin *coins, size_t n,
				  const struct payer_outputs *out, bool change)
{
	return (struct otd_chain_pay){.size = sizeof(struct otd_chain_pay),
				      .coins = coins,
				      .coin_stride = sizeof(*coins),
				      .n_coins = n,
				      .payees = out->payees,
				      .payee_stride = sizeof(*out->payees),
				      .n_payees = out->n + (change ? 1 : 0)};
}

static otd_rc size_of(void *arg, uint64_t *vsize, size_t n, otd_i128 change, struct otd_err *err)
{
	struct sizing *s = arg;
	struct otd_chain_pay_info info = {0};
	s->out->payees[s->out->n].value = change;
	struct otd_chain_pay p = payer_pay_of(s->coins, n, s->out, change > 0);
	otd_rc rc = otd_chain_pay_build(s->chain, &p, &s->raw, &info, err);
	*vsize = info.vsize;
	return rc;
}

/* Whether the plugin can say what spending it costs: one odd coin must not stop a payment. */
static bool measurable(struct otd_chain *c, const struct otd_chain_coin *k)
{
	struct otd_chain_payee to = {{k->script, k->script_len}, k->value};
	struct otd_chain_pay p = {.size = sizeof(p),
				  .coins = k,
				  .coin_stride = sizeof(*k),
				  .n_coins = 1,
				  .payees = &to,
				  .payee_stride = sizeof(to),
				  .n_payees = 1};
	struct otd_chain_pay_info info = {0};
	struct otd_bytes raw;
	struct otd_err err = {0};
	if (k->value <= 0 || k->script_len == 0 || k->script_len > sizeof(k->script))
		return false;
	otd_bytes_init(&raw, RAW_MAX);
	otd_rc rc = otd_chain_pay_build(c, &p, &raw, &info, &err);
	otd_bytes_finish(&raw);
	return rc == OTD_OK;
}

static otd_rc fee_allowed(const struct payer_conf *c, otd_i128 fee, otd_i128 total,
			  struct otd_err *err)
{
	char a[OTD_PAY_ADDRESS], b[OTD_PAY_ADDRESS];
	otd_i128 most;
	otd_rc rc = otd_i128_muldiv(&most, NULL, total, c->c.max_fee_ppm, 1000000);
	if (rc || fee <= most)
		return rc ? otd_fail(err, rc, "a network fee does not fit") : OTD_OK;
	return otd_fail(err, OTD_E_RANGE,
			"the network would take %s of %s, max_fee allows less: wait, pay more at "
			"once, or raise max_fee",
			payer_amount(a, c, fee), payer_amount(b, c, total));
}

/* The first of coins that suffice, and the fee. */
otd_rc payer_fit(struct payer_pay *y, const struct payer_conf *c,
		 const struct otd_chain_coin *coins, size_t n, size_t at_least, struct otd_err *err)
{
	struct payer_outputs out;
	otd_rc rc =
		payer_outputs_init(&out, c->c.chain, y->p.parts, y->p.n_parts, c->c.change, err);
	if (rc)
		return rc;
	struct sizing s = {c->c.chain, &out, coins, {0}};
	struct payer_want w = {.coins = coins,
			       .n = n,
			       .at_least = at_least,
			       .at_most = PAYER_COINS_MAX,
			       .total = y->p.total,
			       .fee_by_miners = y->p.fee_by_miners,
			       .rate = y->rate,
			       .size = size_of,
			       .arg = &s};
	if (y->aim == PAYER_BUMP) {
		w.old_fee = y->p.txs[y->p.n_txs - 1].fee;
		/* BIP 125, rule 4: its own size at the node's rate beside what it replaces. */
		w.step_rate = y->wallet.min_fee_rate > 0 ? y->wallet.min_fee_rate : 1000;
	}
	otd_bytes_init(&s.raw, RAW_MAX);
	rc = otd_chain_dust(c->c.chain, out.payees[out.n].script, &w.dust, err);
	if (!rc)
		rc = payer_choose(&y->choice, &w, err);
	if (!rc)
		rc = fee_allowed(c, y->choice.fee, y->p.total, err);
	otd_bytes_finish(&s.raw);
	payer_outputs_finish(&out);
	return rc;
}

/* --- which coins --- */

static bool taken(const struct payer_pay *y, const struct otd_chain_coin *k)
{
	for (size_t i = 0; i < y->n_taken; i++)
		if (payer_same_coin(k, &y->taken[i])) {
			bool own = false;
			for (size_t n = 0; y->aim == PAYER_FUND && n < y->p.n_coins; n++)
				own = own || payer_same_coin(k, &y->p.coins[n]);
			return !own;
		}
	return false;
}

bool payer_of_before(const struct payer_pay *y, const struct otd_chain_coin *k)
{
	for (size_t i = 0; i < y->n_old_coins; i++)
		if (payer_same_coin(k, &y->old_coins[i]))
			return true;
	return false;
}

/*
 * The wallet's coins that may be used, behind the first of y->coins: coins of an earlier generation
 * before all others, so that only one of both can ever come; then the largest. How many there are.
 */
size_t payer_take_coins(struct payer_pay *y, const struct payer_conf *c, struct otd_span out)
{
	size_t n = out.len / sizeof(struct otd_chain_coin), first = y->n_coins, kept = 0,
	       before = 0;
	struct otd_chain_coin *all = calloc(n ? n : 1, sizeof(*all));
	struct otd_chain_coin *to =
		reallocarray(y->coins, first + PAYER_COINS_MAX + 1, sizeof(*to));
	if (to)
		y->coins = to;
	for (size_t i = 0; all && i < n; i++) {
		struct otd_chain_coin k;
		memcpy(&k, out.ptr + i * sizeof(k), sizeof(k));
		if (k.confirmations >= c->c.coin_confirmations && !taken(y, &k))
			all[kept++] = k;
	}
	if (all)
		payer_sort_coins(all, kept);
	for (size_t i = 0; all && y->n_old_coins && i < kept; i++) {
		if (!payer_of_before(y, &all[i]))
			continue;
		struct otd_chain_coin k = all[i];
		memmove(&all[before + 1], &all[before], (i - before) * sizeof(k));
		all[before++] = k;
	}
	for (size_t i = 0; all && to && i < kept && y->n_coins < first + PAYER_COINS_MAX; i++)
		if (measurable(c->c.chain, &all[i]))
			y->coins[y->n_coins++] = all[i];
	free(all);
	return y->n_coins - first;
}

otd_rc payer_estimate(struct otd_payer *o, const struct payer_conf *c,
		      const struct payer_estimate_of *e, struct payer_choice *out,
		      struct otd_err *err)
{
	/* A payment that is nowhere but here. */
	struct payer_pay y = {.owner = o, .aim = PAYER_FUND, .wallet = *e->wallet};
	y.p.parts = e->parts;
	y.p.n_parts = e->n_parts;
	y.p.fee_by_miners = c->c.fee_by_miners;
	y.taken = e->taken;
	y.n_taken = e->n_taken;
	otd_rc rc = payer_rate(&y.rate, c->c.fee_rate, c->c.max_fee_rate, y.wallet.fee_rate,
			       y.wallet.min_fee_rate, err);
	for (size_t i = 0; !rc && i < e->n_parts; i++)
		rc = otd_i128_add(&y.p.total, y.p.total, e->parts[i].amount);
	if (!rc) {
		(void)payer_take_coins(&y, c, e->coins);
		rc = payer_fit(&y, c, y.coins, y.n_coins, 0, err);
		*out = y.choice;
	}
	free(y.coins);
	return rc;
}
