/* "resolve": a person's decision on a payment, as far as the chain does not contradict it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pool/payer/payer_impl.h"

static bool is_signed(const struct payer_ask *a)
{
	return a->p.state == OTD_PAY_SIGNED || a->p.state == OTD_PAY_SENT ||
	       a->p.state == OTD_PAY_PAID;
}

static void on_done(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	struct otd_bytes b;
	payer_ask_changed(a->owner, a->id);
	if (err->rc) {
		payer_ask_end(a, err, NULL);
		return;
	}
	otd_bytes_init(&b, 65536);
	payer_json_payment(&b, a->owner, &j->p, false, false);
	payer_ask_end(a, err, &b);
	otd_bytes_finish(&b);
}

static struct payer_job *decision(struct payer_ask *a, enum payer_do what)
{
	struct payer_job *j = payer_ask_job(a, on_done, payer_work_step);
	if (!j)
		return NULL;
	j->what = what;
	j->generation = a->p.generation;
	memcpy(j->text, a->reason, sizeof(j->text));
	snprintf(j->name, sizeof(j->name), "%.250s", a->proof);
	j->has_proof = a->has_proof;
	return j;
}

static void unpaid(struct payer_ask *a)
{
	struct payer_job *j = decision(a, PAYER_DO_CANCEL);
	if (j)
		payer_ask_give(a, j, true);
}

static void paid(struct payer_ask *a)
{
	struct payer_job *j = decision(a, a->own ? PAYER_DO_PAID : PAYER_DO_SETTLE);
	if (!j)
		return;
	if (a->own) {
		j->generation = a->generation;
		j->version = a->version;
		memcpy(j->text, a->proof, sizeof(j->text)); /* that the present one cannot come */
	}
	j->confirmations =
		a->tx.confirmations > UINT32_MAX ? UINT32_MAX : (uint32_t)a->tx.confirmations;
	j->height = a->tx.height;
	memcpy(j->txid, a->txid, sizeof(j->txid));
	payer_ask_give(a, j, true);
}

/* --- what the chain says of the payment's own transactions --- */

static void on_look(void *target, const struct otd_err *err, const struct payer_found *f)
{
	struct payer_ask *a = target;
	struct payer_pay *y = payer_pay_find(a->owner, a->id);
	char words[PAYER_WORDS] = "";
	payer_look_destroy(a->look);
	a->look = NULL;
	if (err->rc) {
		payer_ask_fail(a, err->rc, "the chain cannot be asked: %.300s", err->text);
		return;
	}
	struct payer_found seen = *f;
	/* The one that a person says has paid is no reason against it. */
	if (a->paid && a->own)
		memset(&seen.old, 0, sizeof(seen.old));
	if (!is_signed(a)) {
		if (seen.old.in_block || seen.old.in_mempool) {
			payer_ask_fail(a, OTD_E_REFUSED,
				       "payment %" PRIu64 ": an earlier transaction of it is in a "
				       "block or waits: it may have been paid by that one",
				       a->id);
			return;
		}
	} else if (!y || !payer_cannot_come(y, &seen, !a->paid, words, sizeof(words))) {
		payer_ask_fail(a, OTD_E_REFUSED,
			       "payment %" PRIu64 " is %s, and may still come: %.300s", a->id,
			       otd_pay_state_name(a->p.state),
			       y ? words : "it is not read yet, ask again");
		return;
	} else {
		a->has_proof = true;
		memcpy(a->proof, words, sizeof(a->proof));
	}
	if (a->paid)
		paid(a);
	else
		unpaid(a);
}

/* Then decides. Where nothing was ever signed there is nothing to look for. */
static void look(struct payer_ask *a)
{
	struct payer_pool *p = payer_ask_pool(a);
	if (!p)
		return;
	if (a->p.n_txs + a->p.n_old == 0) {
		if (a->paid)
			paid(a);
		else
			unpaid(a);
		return;
	}
	a->look = payer_look_start(a->owner, p->conf->c.chain, &a->p, on_look, a);
	if (!a->look)
		payer_ask_fail(a, OTD_E_CLOSED, "out of memory, or the pool is ending");
}

/* --- the transaction that a person names --- */

static void on_tx(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		  struct otd_span out)
{
	struct payer_ask *a = target;
	struct payer_pool *p = payer_ask_pool(a);
	(void)out;
	if (!p)
		return;
	if (err->rc) {
		payer_ask_fail(a, err->rc, "that transaction cannot be looked up: %.300s",
			       err->text);
		return;
	}
	a->tx = res->u.tx;
	if (a->tx.state != OTD_CHAIN_TX_BLOCK) {
		payer_ask_fail(a, OTD_E_REFUSED,
			       "the node's wallet knows of no block with that transaction: %s",
			       a->tx.state == OTD_CHAIN_TX_WAITS ? "it waits, ask again later"
								 : "it is not known there");
	} else if (a->tx.confirmations < p->conf->c.confirmations) {
		payer_ask_fail(a, OTD_E_REFUSED,
			       "that transaction has %" PRIu64
			       " of %u confirmations; ask again later",
			       a->tx.confirmations, p->conf->c.confirmations);
	} else if (a->own && a->generation == a->p.generation) {
		paid(a);
	} else {
		look(a);
	}
}

static otd_rc read_work(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	uint64_t other = 0;
	otd_rc rc = payer_work_step(j, db, err);
	j->account = 0;
	if (rc || !j->yes)
		return rc;
	rc = otd_pay_by_txid(db, j->txid, &other, &j->generation, &j->version, err);
	if (rc == OTD_E_NOT_FOUND) {
		*err = (struct otd_err){0};
		return OTD_OK;
	}
	j->account = other;
	return rc;
}

static void on_read(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	struct payer_pool *p;
	if (err->rc) {
		payer_ask_end(a, err, NULL);
		return;
	}
	a->p = j->p;
	memset(&j->p, 0, sizeof(j->p));
	a->own = j->account == a->id;
	a->generation = j->generation;
	a->version = j->version;
	p = payer_pool_by_id(a->owner, a->p.pool_id);
	if (!p) {
		payer_ask_fail(a, OTD_E_NOT_FOUND,
			       "the pool of payment %" PRIu64
			       " is not in the settings, so that its "
			       "chain cannot be asked",
			       a->id);
		return;
	}
	a->conf = p->conf;
	a->conf->users++;
	bool fallen = a->p.state == OTD_PAY_PAID && a->p.height == 0 && a->unpaid;
	if (a->p.state >= OTD_PAY_PAID && !fallen) {
		payer_ask_fail(a, OTD_E_REFUSED,
			       "payment %" PRIu64 " is %s: there is nothing to "
			       "resolve",
			       a->id, otd_pay_state_name(a->p.state));
	} else if (a->unpaid) {
		look(a);
	} else if (j->account && !a->own) {
		payer_ask_fail(a, OTD_E_REFUSED, "that transaction is payment %" PRIu64 "'s",
			       j->account);
	} else {
		struct otd_chain_call q = {.kind = OTD_CHAIN_TX};
		memcpy(q.txid, a->txid, sizeof(q.txid));
		if (!payer_call(a->owner, p->conf->c.chain, &q, on_tx, a))
			payer_ask_fail(a, OTD_E_CLOSED, "out of memory, or the pool is ending");
	}
}

void payer_ask_resolve(struct payer_ask *a)
{
	struct payer_job *j = payer_ask_job(a, on_read, read_work);
	if (!j)
		return;
	j->what = PAYER_READ;
	j->yes = a->paid;
	memcpy(j->txid, a->txid, sizeof(j->txid));
	payer_ask_give(a, j, false);
}
