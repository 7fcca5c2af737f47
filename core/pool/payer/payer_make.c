/* Making a payment's transaction: coins, fee, outputs, the wallet's signature, and a check of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/payer/payer_impl.h"

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
	struct otd_chain_pay p = payer_pay_of(y->coins, y->n_coins, out, y->choice.change > 0);
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
		struct otd_chain_pay p =
			payer_pay_of(y->coins, y->n_coins, &o, y->choice.change > 0);
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
	n = payer_take_coins(y, c, out);
	/* One that is there of the generation before goes in, whatever the amount. */
	size_t at_least = has ? has : n && payer_of_before(y, &y->coins[0]) ? 1 : 0;
	otd_rc rc = payer_fit(y, c, y->coins, y->n_coins, at_least, &own);
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
	otd_rc rc = payer_fit(y, c, y->coins, y->n_coins, y->n_coins, &err);
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
