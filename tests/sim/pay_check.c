/* The ledger against the chain: who got what, and whether every transaction is known and none twice. */
#include "base/text.h"
#include "ledger/payment.h"
#include "pay_world.h"

#include <stdio.h>
#include <string.h>

#define MAX_PAYMENTS 4096

struct check {
	struct pay_world *w;
	otd_i128 sent[PAY_LABELS], amount[PAY_LABELS]; /* of paid ones */
	otd_i128 paying, network, fees, paid, miner[PAY_LABELS];
	uint64_t in_chain;
};

static unsigned label_of(struct check *c, const struct otd_pay_part *p)
{
	for (unsigned i = 0; i < PAY_LABELS; i++)
		if (strcmp(c->w->address[i], p->address) == 0)
			return i;
	pay_fail(c->w, "a part is to %s, whom nobody knows", p->address);
}

/* How many of these are in the best chain; which. */
static unsigned count_in_chain(struct check *c, const struct otd_pay_tx *t, size_t n,
			       const struct otd_pay_tx **which)
{
	unsigned found = 0;
	for (size_t i = 0; i < n; i++) {
		if (!sim_node_depth(c->w->node, t[i].txid))
			continue;
		found++;
		*which = &t[i];
		c->fees += sim_node_fee_of(c->w->node, t[i].txid);
	}
	return found;
}

static void check_payment(struct check *c, const struct otd_payment *p)
{
	struct pay_world *w = c->w;
	unsigned long long id = p->id;
	const struct otd_pay_tx *in = NULL;
	unsigned n =
		count_in_chain(c, p->txs, p->n_txs, &in) + count_in_chain(c, p->old, p->n_old, &in);
	w->payments++;
	w->versions += p->n_txs + p->n_old;
	w->generations += p->generation;
	c->in_chain += n;
	if (n > 1)
		pay_fail(w, "payment %llu is in the chain %u times", id, n);
	if (p->state == OTD_PAY_CANCELLED && n)
		pay_fail(w, "payment %llu was cancelled and is in the chain", id);
	if (p->state == OTD_PAY_CANCELLED)
		return;
	if (p->state < OTD_PAY_PAID)
		pay_fail(w, "payment %llu is still %s%s: %s", id, otd_pay_state_name(p->state),
			 p->held ? " and held" : "", p->why);
	if (n == 0)
		pay_fail(w, "payment %llu is paid, and not in the chain", id);
	if (in->generation != p->paid_generation || in->version != p->paid_version)
		pay_fail(w, "payment %llu is paid by version %u.%u, the chain has %u.%u", id,
			 p->paid_generation, p->paid_version, in->generation, in->version);
	for (size_t i = 0; i < p->n_parts; i++) {
		unsigned label = label_of(c, &p->parts[i]);
		c->amount[label] += p->parts[i].amount;
		c->sent[label] += p->parts[i].sent;
	}
}

static bool take_balance(void *arg, const struct otd_ledger_account *a)
{
	struct check *c = arg;
	if (a->kind == OTD_ACC_PAYING || a->kind == OTD_ACC_FEE_PAYING)
		c->paying += a->amount;
	if (a->kind == OTD_ACC_NETWORK)
		c->network += a->amount;
	if (a->kind == OTD_ACC_PAID)
		c->paid += a->amount;
	for (unsigned i = 0; i < PAY_ACCOUNTS; i++)
		if (a->kind == OTD_ACC_MINER && a->owner == c->w->account_id[i])
			c->miner[i] += a->amount;
	return true;
}

/* Every transaction that left the wallet, and was not the operator's, is one of the ledger's. */
static otd_rc check_known(struct check *c, struct otd_db *db, struct otd_err *err)
{
	static uint8_t txids[MAX_PAYMENTS][32];
	size_t n = sim_node_sent(c->w->node, txids, MAX_PAYMENTS);
	for (size_t i = 0; i < n; i++) {
		uint64_t id;
		if (otd_pay_by_txid(db, txids[i], &id, NULL, NULL, err))
			pay_fail(c->w, "the chain has a transaction of ours that the ledger does "
				       "not know");
	}
	if (n != c->in_chain)
		pay_fail(c->w, "the chain has %zu transactions of ours, payments have %llu", n,
			 (unsigned long long)c->in_chain);
	return OTD_OK;
}

static void check_receipts(struct check *c)
{
	struct pay_world *w = c->w;
	otd_i128 sum = 0;
	for (unsigned i = 0; i < PAY_LABELS; i++) {
		uint8_t script[SIM_NODE_SCRIPT];
		char label[32];
		unsigned outputs;
		sim_node_script(script, pay_label(label, i));
		int64_t got = sim_node_received(w->node, script, sizeof(script), &outputs);
		if (c->sent[i] != got)
			pay_fail(w, "%s got %lld in %u outputs, the ledger has paid %lld", label,
				 (long long)got, outputs, (long long)c->sent[i]);
		sum += c->sent[i];
		if (i >= PAY_ACCOUNTS)
			continue;
		otd_i128 earned = 0;
		for (unsigned r = 0; r < w->fed; r++)
			earned += pay_amount(r, i);
		if (earned != c->amount[i] + c->miner[i])
			pay_fail(w, "%s earned %lld, was paid %lld and has %lld", label,
				 (long long)earned, (long long)c->amount[i],
				 (long long)c->miner[i]);
	}
	if (sum != c->paid || c->fees != c->network)
		pay_fail(w,
			 "sent %lld with fees of %lld, the ledger has paid %lld and fees of %lld",
			 (long long)sum, (long long)c->fees, (long long)c->paid,
			 (long long)c->network);
}

static otd_rc check_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct check *c = arg;
	static uint64_t ids[MAX_PAYMENTS];
	uint64_t postings;
	size_t n;
	otd_rc rc = otd_ledger_verify(db, &postings, err);
	if (!rc)
		rc = otd_pay_list(db, 0, OTD_PAY_RESERVED, OTD_PAY_CANCELLED, 0, ids, MAX_PAYMENTS,
				  &n, err);
	for (size_t i = 0; !rc && i < n; i++) {
		struct otd_payment p;
		rc = otd_pay_load(db, ids[i], false, &p, err);
		if (rc)
			break;
		check_payment(c, &p);
		otd_payment_finish(&p);
	}
	if (!rc)
		rc = otd_ledger_balances(db, take_balance, c, err);
	return rc ? rc : check_known(c, db, err);
}

void pay_check(struct pay_world *w)
{
	struct check c = {.w = w};
	w->payments = w->versions = w->generations = 0;
	if (otd_store_do_now(w->store, false, check_work, &c, &w->err))
		pay_fail(w, "the books: %s", w->err.text);
	if (c.paying)
		pay_fail(w, "%lld is still reserved for payments", (long long)c.paying);
	check_receipts(&c);
}

/* --- what a person would look at --- */

struct opens {
	struct pay_world *w;
	struct pay_open *out;
	size_t cap, n;
};

static void look_at(struct opens *o, const struct otd_payment *p)
{
	const struct otd_pay_tx *in = NULL;
	struct pay_open *to = &o->out[o->n];
	char txid[65];
	const struct otd_pay_tx *lists[] = {p->txs, p->old};
	const size_t n[] = {p->n_txs, p->n_old};
	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < n[i]; j++)
			if (sim_node_depth(o->w->node, lists[i][j].txid))
				in = &lists[i][j];
	if (p->state == OTD_PAY_CANCELLED || (p->state == OTD_PAY_PAID && in) || o->n == o->cap)
		return;
	to->id = p->id;
	to->held = p->held;
	if (in)
		otd_hex_encode_reverse(txid, in->txid, 32);
	(void)snprintf(to->words, sizeof(to->words), "resolve %llu %s%s looked at the chain",
		       (unsigned long long)p->id, in ? "--paid " : "--unpaid", in ? txid : "");
	o->n++;
}

static otd_rc list_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct opens *o = arg;
	static uint64_t ids[MAX_PAYMENTS];
	size_t n;
	o->n = 0;
	otd_rc rc = otd_pay_list(db, 0, OTD_PAY_RESERVED, OTD_PAY_CANCELLED, 0, ids, MAX_PAYMENTS,
				 &n, err);
	for (size_t i = 0; !rc && i < n; i++) {
		struct otd_payment p;
		rc = otd_pay_load(db, ids[i], false, &p, err);
		if (rc)
			break;
		look_at(o, &p);
		otd_payment_finish(&p);
	}
	return rc;
}

size_t pay_list_open(struct pay_world *w, struct pay_open *out, size_t cap)
{
	struct opens o = {.w = w, .out = out, .cap = cap};
	pay_store(w, list_work, &o);
	return o.n;
}
