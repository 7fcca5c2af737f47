/* Making a payment's transaction: coins, fee, outputs, the wallet's signature, and a check of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/payer_impl.h"

#define RAW_MAX ((size_t)4 << 20)

void payer_make_forget(struct payer_pay *y)
{
	free(y->coins);
	free(y->taken);
	free(y->old_coins);
	free(y->sent);
	y->coins = NULL;
	y->taken = y->old_coins = NULL;
	y->sent = NULL;
	y->n_coins = y->n_taken = y->n_old_coins = 0;
}

static struct payer_conf *conf_of(const struct payer_pay *y)
{
	struct payer_pool *p = payer_pool_by_id(y->owner, y->p.pool_id);
	return p ? p->conf : NULL;
}

/* Settings may go between two answers. NULL: y has failed. */
static struct payer_conf *need_conf(struct payer_pay *y)
{
	struct payer_conf *c = conf_of(y);
	if (!c)
		payer_failed(y, false, "its pool is not in the settings");
	return c;
}

static void call(struct payer_pay *y, const struct payer_conf *c, const struct otd_chain_call *q,
		 payer_call_fn then)
{
	y->busy = true;
	if (!payer_call(y->owner, c->c.chain, q, then, y))
		payer_failed(y, false, "out of memory");
}

/* --- coins that are given back --- */

static void unlock_next(struct payer_pay *y, size_t n);

static void unlock_end(struct payer_pay *y)
{
	free(y->unlock);
	y->unlock = NULL;
	y->unlocked(y);
}

static void on_unlocked(void *target, const struct otd_err *err, const struct otd_chain_result *res,
			struct otd_span out)
{
	struct payer_pay *y = target;
	(void)res;
	(void)out;
	/* A coin that is spent by now spoils it for all: then each by itself. A node that is silent is
	   heard of by whatever comes next. */
	if (err->rc == OTD_E_REFUSED && y->unlock_at < y->n_unlock)
		unlock_next(y, 1);
	else
		unlock_end(y);
}

static void on_one(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		   struct otd_span out)
{
	struct payer_pay *y = target;
	(void)res;
	(void)out;
	y->unlock_at++;
	if ((err->rc && err->rc != OTD_E_REFUSED) || y->unlock_at == y->n_unlock)
		unlock_end(y);
	else
		unlock_next(y, 1);
}

static void unlock_next(struct payer_pay *y, size_t n)
{
	struct payer_conf *c = need_conf(y);
	struct otd_chain_call q = {.kind = OTD_CHAIN_LOCK,
				   .coins = y->unlock + y->unlock_at,
				   .coin_stride = sizeof(*y->unlock),
				   .n_coins = n,
				   .unlock = 1};
	if (c)
		call(y, c, &q, n == 1 ? on_one : on_unlocked);
}

void payer_unlock(struct payer_pay *y, const struct otd_pay_coin *coins, size_t n,
		  void (*then)(struct payer_pay *y))
{
	free(y->unlock);
	y->unlock = calloc(n, sizeof(*y->unlock));
	y->unlocked = then;
	y->n_unlock = n;
	y->unlock_at = 0;
	if (!y->unlock) {
		payer_failed(y, false, "out of memory");
		return;
	}
	for (size_t i = 0; i < n; i++)
		payer_to_chain(&y->unlock[i], &coins[i]);
	unlock_next(y, n);
}

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

static struct otd_chain_pay pay_of(const struct otd_chain_coin *coins, size_t n,
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
	struct otd_chain_pay p = pay_of(s->coins, n, s->out, change > 0);
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
static otd_rc choose(struct payer_pay *y, const struct payer_conf *c,
		     const struct otd_chain_coin *coins, size_t n, size_t at_least,
		     struct otd_err *err)
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

static void short_of(struct payer_pay *y, const struct payer_conf *c, size_t n)
{
	char total[OTD_PAY_ADDRESS], missing[OTD_PAY_ADDRESS];
	payer_failed(y, true,
		     "the wallet has %s too little for %s in coins of at least %u confirmations "
		     "(%zu that no other payment has, at most %d are used): put more in, or wait",
		     payer_amount(missing, c, y->choice.missing),
		     payer_amount(total, c, y->p.total), c->c.coin_confirmations, n,
		     PAYER_COINS_MAX);
}

/* --- signing --- */

static otd_rc build(struct payer_pay *y, const struct payer_conf *c, struct payer_outputs *out,
		    struct otd_bytes *raw, struct otd_err *err)
{
	struct otd_chain_pay_info info = {0};
	otd_rc rc = payer_outputs_init(out, c->c.chain, y->p.parts, y->p.n_parts, c->c.change, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < out->n; i++)
		out->payees[i].value = y->sent[i];
	out->payees[out->n].value = y->choice.change;
	if (!raw)
		return OTD_OK;
	struct otd_chain_pay p = pay_of(y->coins, y->n_coins, out, y->choice.change > 0);
	return otd_chain_pay_build(c->c.chain, &p, raw, &info, err);
}

static void store_signed(struct payer_pay *y, struct otd_span raw,
			 const struct otd_chain_pay_info *info)
{
	size_t has = y->aim == PAYER_BUMP ? y->p.n_coins : y->n_coins;
	struct payer_job *j = payer_step_new(y, PAYER_DO_SIGN);
	if (!j)
		return;
	j->with_raw = true;
	j->tx = (struct otd_pay_tx){.generation = y->p.generation,
				    .version = y->p.version + 1,
				    .fee = y->choice.fee,
				    .change = y->choice.change,
				    .vsize = info->vsize,
				    .signed_ms = j->time_ms,
				    .raw = malloc(raw.len),
				    .raw_len = raw.len};
	memcpy(j->tx.txid, info->txid, sizeof(j->tx.txid));
	j->n_coins = y->n_coins - has;
	j->coins = calloc(j->n_coins ? j->n_coins : 1, sizeof(*j->coins));
	j->sent = y->sent;
	y->sent = NULL;
	if (j->tx.raw)
		memcpy(j->tx.raw, raw.ptr, raw.len);
	for (size_t i = 0; j->coins && i < j->n_coins; i++)
		payer_to_pay(&j->coins[i], &y->coins[has + i]);
	if (!j->tx.raw || !j->coins) {
		payer_job_drop(j);
		payer_failed(y, false, "out of memory");
		return;
	}
	y->sign_refused = 0;
	y->fee_refused = 0;
	y->sends = 0;
	y->send_after_ms = 0;
	y->doubt = false;
	payer_step(y, j);
}

static void on_signed(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		      struct otd_span out)
{
	struct payer_pay *y = target;
	struct payer_conf *c = need_conf(y);
	struct payer_outputs o = {0};
	struct otd_chain_pay_info info = {0};
	struct otd_err own = {0};
	(void)res;
	if (!c)
		return;
	if (err->rc) {
		/* A coin of it may be gone: others are chosen, while nothing is signed. */
		if (err->rc == OTD_E_REFUSED && ++y->sign_refused >= 2 && y->aim == PAYER_SIGN)
			y->refund = true;
		payer_failed(y, err->rc == OTD_E_REFUSED, "the wallet does not sign: %s",
			     err->text);
		return;
	}
	otd_rc rc = build(y, c, &o, NULL, &own);
	if (!rc) {
		struct otd_chain_pay p = pay_of(y->coins, y->n_coins, &o, y->choice.change > 0);
		rc = otd_chain_pay_check(c->c.chain, &p, out, &info, &own);
	}
	payer_outputs_finish(&o);
	if (rc == OTD_E_INVALID)
		payer_hold(y, "the wallet signed something else: %.150s", own.text);
	else if (rc)
		payer_failed(y, false, "%s", own.text);
	else
		store_signed(y, out, &info);
}

static void sign(struct payer_pay *y, const struct payer_conf *c)
{
	struct payer_outputs out = {0};
	struct otd_bytes raw;
	struct otd_err err = {0};
	y->sent = calloc(y->p.n_parts ? y->p.n_parts : 1, sizeof(*y->sent));
	otd_rc rc = y->sent ? payer_split(y->sent, y->p.parts, y->p.n_parts, y->choice.fee,
					  y->p.fee_by_miners)
			    : OTD_E_NOMEM;
	otd_i128 dust = 0;
	otd_bytes_init(&raw, RAW_MAX);
	if (rc)
		(void)otd_fail(&err, rc, "the network fee cannot be divided");
	else
		rc = build(y, c, &out, &raw, &err);
	/* Where miners pay, the fee may leave somebody less than nodes pass on. */
	for (size_t i = 0; !rc && y->p.fee_by_miners && i < out.n; i++) {
		rc = otd_chain_dust(c->c.chain, out.payees[i].script, &dust, &err);
		if (!rc && y->sent[i] < dust)
			rc = otd_fail(&err, OTD_E_RANGE,
				      "%.80s would get less than nodes pass on; wait for a lower "
				      "network fee, or resolve it --unpaid",
				      y->p.parts[i].address);
	}
	if (rc) {
		payer_failed(y, true, "%s", err.text);
	} else {
		struct otd_chain_call q = {.kind = OTD_CHAIN_SIGN,
					   .raw = otd_bytes_span(&raw),
					   .coins = y->coins,
					   .coin_stride = sizeof(*y->coins),
					   .n_coins = y->n_coins};
		call(y, c, &q, on_signed);
	}
	otd_bytes_finish(&raw);
	payer_outputs_finish(&out);
}

/* --- coins --- */

static void fund(struct payer_pay *y)
{
	struct payer_job *j = payer_step_new(y, PAYER_DO_FUND);
	if (!j)
		return;
	j->coins = calloc(y->choice.n, sizeof(*j->coins));
	j->n_coins = y->choice.n;
	for (size_t i = 0; j->coins && i < j->n_coins; i++)
		payer_to_pay(&j->coins[i], &y->coins[i]);
	if (!j->coins) {
		payer_job_drop(j);
		payer_failed(y, false, "out of memory");
		return;
	}
	y->locked = false;
	y->refund = false;
	payer_step(y, j);
}

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

static bool of_before(const struct payer_pay *y, const struct otd_chain_coin *k)
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
static size_t take_coins(struct payer_pay *y, const struct payer_conf *c, struct otd_span out)
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
		if (!of_before(y, &all[i]))
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
		(void)take_coins(&y, c, e->coins);
		rc = choose(&y, c, y.coins, y.n_coins, 0, err);
		*out = y.choice;
	}
	free(y.coins);
	return rc;
}

static void on_coins(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		     struct otd_span out)
{
	struct payer_pay *y = target;
	struct payer_conf *c = need_conf(y);
	struct otd_err own = {0};
	size_t has = y->n_coins, n;
	(void)res;
	if (!c)
		return;
	if (err->rc) {
		payer_failed(y, false, "the wallet's coins: %s", err->text);
		return;
	}
	n = take_coins(y, c, out);
	/* One that is there of the generation before goes in, whatever the amount. */
	size_t at_least = has ? has : n && of_before(y, &y->coins[0]) ? 1 : 0;
	otd_rc rc = choose(y, c, y->coins, y->n_coins, at_least, &own);
	if (rc == OTD_E_NOT_FOUND) {
		short_of(y, c, n);
	} else if (rc) {
		payer_failed(y, true, "%s", own.text);
	} else if (y->aim == PAYER_FUND) {
		fund(y);
	} else {
		y->n_coins = y->choice.n;
		sign(y, c);
	}
}

static void add_taken(void *arg, const struct otd_pay_coin *k) /* [store] */
{
	struct payer_job *j = arg;
	if (j->n_found == j->cap_found) {
		size_t cap = j->cap_found ? 2 * j->cap_found : 64;
		struct otd_pay_coin *p = reallocarray(j->found, cap, sizeof(*p));
		if (!p) {
			j->yes = true;
			return;
		}
		j->found = p;
		j->cap_found = cap;
	}
	j->found[j->n_found++] = *k;
}

otd_rc payer_work_taken(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	j->n_found = 0;
	j->yes = false;
	free(j->old_coins);
	j->old_coins = NULL;
	otd_rc rc = otd_pay_coins(db, j->name, add_taken, j, err);
	if (!rc && j->yes)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	return rc ? rc : otd_pay_old_coins(db, j->id, &j->old_coins, &j->n_old_coins, err);
}

static void ask_coins(struct payer_pay *y)
{
	struct payer_conf *c = need_conf(y);
	if (!c)
		return;
	struct otd_chain_call q = {.kind = OTD_CHAIN_COINS,
				   .coin_stride = sizeof(struct otd_chain_coin),
				   .confirmations = c->c.coin_confirmations};
	call(y, c, &q, on_coins);
}

static void on_taken(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_pay *y = target;
	if (err->rc) {
		payer_failed(y, false, "the ledger: %s", err->text);
		return;
	}
	y->taken = j->found;
	y->n_taken = j->n_found;
	y->old_coins = j->old_coins;
	y->n_old_coins = j->n_old_coins;
	j->found = j->old_coins = NULL;
	if (y->n_old_coins)
		payer_unlock(y, y->old_coins, y->n_old_coins, ask_coins);
	else
		ask_coins(y);
}

static void ask_taken(struct payer_pay *y)
{
	struct payer_job *j = payer_job_new(y->owner, on_taken, y);
	if (!j) {
		payer_failed(y, false, "out of memory");
		return;
	}
	j->work = payer_work_taken;
	j->id = y->id;
	snprintf(j->name, sizeof(j->name), "%s", y->p.asset);
	y->busy = true;
	if (!payer_job_give(j, false))
		payer_failed(y, false, "out of memory");
}

/* --- the wallet --- */

static otd_rc pick_rate(struct payer_pay *y, const struct payer_conf *c, struct otd_err *err)
{
	const struct otd_chain_wallet *w = &y->wallet;
	if (y->aim == PAYER_BUMP) {
		const struct otd_pay_tx *old = &y->p.txs[y->p.n_txs - 1];
		y->fee_refused = 0; /* where this leads nowhere, what there is is sent again */
		return payer_higher_rate(&y->rate, old->fee, old->vsize, c->c.max_fee_rate,
					 w->min_fee_rate, err);
	}
	return payer_rate(&y->rate, c->c.fee_rate, c->c.max_fee_rate, w->fee_rate, w->min_fee_rate,
			  err);
}

/* With the coins that it has. */
static void with_own_coins(struct payer_pay *y, const struct payer_conf *c)
{
	struct otd_err err = {0};
	y->coins = calloc(y->p.n_coins ? y->p.n_coins : 1, sizeof(*y->coins));
	if (!y->coins) {
		payer_failed(y, false, "out of memory");
		return;
	}
	y->n_coins = y->p.n_coins;
	for (size_t i = 0; i < y->n_coins; i++)
		payer_to_chain(&y->coins[i], &y->p.coins[i]);
	otd_rc rc = choose(y, c, y->coins, y->n_coins, y->n_coins, &err);
	if (!rc) {
		sign(y, c);
	} else if (rc == OTD_E_NOT_FOUND && y->aim == PAYER_BUMP) {
		ask_taken(y);
	} else if (rc == OTD_E_NOT_FOUND) {
		/* Fees have risen since they were chosen. */
		y->refund = true;
		payer_make_forget(y);
		payer_wait(y, 0);
		payer_go(y);
	} else {
		payer_failed(y, true, "%s", err.text);
	}
}

static void on_wallet(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		      struct otd_span out)
{
	struct payer_pay *y = target;
	struct payer_conf *c = need_conf(y);
	struct otd_err own = {0};
	(void)out;
	if (!c)
		return;
	if (err->rc) {
		payer_failed(y, false, "the wallet: %s", err->text);
		return;
	}
	y->wallet = res->u.wallet;
	if (y->wallet.locked) {
		payer_failed(y, true, "the wallet %.40s is locked: unlock it", y->wallet.name);
		return;
	}
	if (pick_rate(y, c, &own) != OTD_OK)
		payer_failed(y, true, "%s", own.text);
	else if (y->aim == PAYER_FUND)
		ask_taken(y);
	else
		with_own_coins(y, c);
}

static void ask_wallet(struct payer_pay *y)
{
	struct payer_conf *c = need_conf(y);
	struct otd_chain_call q = {.kind = OTD_CHAIN_WALLET};
	if (c)
		call(y, c, &q, on_wallet);
}

/* --- what was made before --- */

static void on_old(void *target, const struct otd_err *err, const struct payer_found *f)
{
	struct payer_pay *y = target;
	struct payer_conf *c = need_conf(y);
	payer_look_destroy(y->look);
	y->look = NULL;
	if (!c)
		return;
	if (err->rc) {
		payer_failed(y, false, "its earlier transactions: %s", err->text);
		return;
	}
	if (f->old.in_block && f->old.confirmations >= c->c.confirmations) {
		struct payer_job *j = payer_step_new(y, PAYER_DO_PAID);
		if (!j)
			return;
		j->generation = f->old.generation;
		j->version = f->old.version;
		j->confirmations = f->old.confirmations;
		j->height = f->old.height;
		payer_step(y, j);
	} else if (f->old.in_block || f->old.in_mempool) {
		payer_failed(y, true,
			     "an earlier transaction of it has come back; it waits to see whether "
			     "that one stays");
	} else {
		y->old_clear = true;
		payer_wait(y, 0);
		payer_go(y);
	}
}

void payer_make(struct payer_pay *y, enum payer_aim aim)
{
	struct payer_conf *c = need_conf(y);
	if (!c)
		return;
	payer_make_forget(y);
	y->aim = aim;
	y->busy = true;
	if (aim != PAYER_BUMP && y->p.n_old && !y->old_clear) {
		y->look = payer_look_start(y->owner, c->c.chain, &y->p, on_old, y);
		if (!y->look)
			payer_failed(y, false, "out of memory");
	} else if (aim == PAYER_FUND && y->p.state == OTD_PAY_FUNDED && y->p.n_coins) {
		/* Locked coins are not in the wallet's list: given back before others are chosen. */
		payer_unlock(y, y->p.coins, y->p.n_coins, ask_wallet);
	} else {
		ask_wallet(y);
	}
}
