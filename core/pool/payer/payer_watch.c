/* Sending a signed payment and watching what becomes of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "pool/payer/payer_impl.h"

#define WAITS_MS   (6 * 3600000LL) /* in the network's pool of transactions without a word */
#define DONE_LOOKS 20              /* a finished payment is looked at so many times more seldom */

/* Two looks at a conflict belong together where no more than this lies between them: in a longer gap
   the chain could have undone it and done it again. */
static int64_t gap_ms(const struct otd_payer *o)
{
	return 10 * o->conf.watch_ms;
}

static struct payer_conf *conf_of(struct payer_pay *y)
{
	struct payer_pool *p = payer_pool_by_id(y->owner, y->p.pool_id);
	if (!p)
		payer_failed(y, false, "its pool is not in the settings");
	return p ? p->conf : NULL;
}

static const struct otd_pay_tx *newest(const struct payer_pay *y)
{
	return y->p.n_txs ? &y->p.txs[y->p.n_txs - 1] : NULL;
}

/* The one that is to be sent: of a payment that has fallen out of the chain what had paid it, and no
   other, since that is what the books say. */
static const struct otd_pay_tx *its_tx(const struct payer_pay *y)
{
	const struct otd_payment *p = &y->p;
	if (p->state != OTD_PAY_PAID)
		return newest(y);
	for (size_t i = 0; i < p->n_txs + p->n_old; i++) {
		const struct otd_pay_tx *t = i < p->n_txs ? &p->txs[i] : &p->old[i - p->n_txs];
		if (t->generation == p->paid_generation && t->version == p->paid_version)
			return t;
	}
	return NULL;
}

static void look_again(struct payer_pay *y)
{
	payer_wait(y, y->owner->conf.watch_ms);
}

/* --- sending --- */

static void sent_step(struct payer_pay *y)
{
	struct payer_job *j = payer_step_new(y, PAYER_DO_SENT);
	if (j)
		payer_step(y, j);
}

static void on_sent(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		    struct otd_span out)
{
	struct payer_pay *y = target;
	const struct otd_chain_send *v = err->rc ? NULL : &res->u.send;
	(void)out;
	y->busy = false;
	if (!v) {
		/* Not sent, or perhaps sent: the chain knows. */
		y->doubt = err->rc != OTD_E_CLOSED && err->rc != OTD_E_BUSY;
		payer_failed(y, false, "it could not be sent: %s", err->text);
		return;
	}
	if (v->verdict == OTD_CHAIN_SENT || v->verdict == OTD_CHAIN_SENT_KNOWN) {
		y->doubt = false;
		y->send_words[0] = '\0';
		if (y->p.state == OTD_PAY_SIGNED) {
			sent_step(y);
		} else {
			payer_say(y, "");
			look_again(y);
		}
		return;
	}
	otd_log(OTD_LOG_WARN, "pool", "payment.not_taken", "id=%" PRIu64 " verdict=%u why=%s",
		y->id, v->verdict, OTD_Q(v->reason));
	y->doubt = true;
	if (v->verdict == OTD_CHAIN_SENT_FEE)
		y->fee_refused = y->p.version;
	snprintf(y->send_words, sizeof(y->send_words), "%s", v->reason);
	payer_wait(y, v->verdict == OTD_CHAIN_SENT_UNSURE ? y->owner->conf.retry_ms : 0);
	payer_go(y);
}

static void send(struct payer_pay *y, const struct payer_conf *c)
{
	const struct otd_pay_tx *t = its_tx(y);
	int64_t now = payer_now_ms(y->owner);
	if (now < y->send_after_ms) {
		int64_t ms = y->send_after_ms - now;
		payer_wait(y, ms < y->owner->conf.watch_ms ? ms : y->owner->conf.watch_ms);
		return;
	}
	if (!t || (y->has_raw && t->raw_len == 0)) {
		look_again(y); /* a person's own transaction: it is not ours to send */
		return;
	}
	if (!y->has_raw) {
		y->want_raw = true;
		y->fresh = false;
		payer_wait(y, 0);
		payer_go(y);
		return;
	}
	struct otd_chain_call q = {.kind = OTD_CHAIN_SEND, .raw = {t->raw, t->raw_len}};
	memcpy(q.txid, t->txid, sizeof(q.txid));
	y->send_after_ms = now + payer_pause_ms(y->owner, ++y->sends);
	y->doubt = true;
	y->busy = true;
	if (!payer_call(y->owner, c->c.chain, &q, on_sent, y))
		payer_failed(y, false, "out of memory");
}

/* --- what the chain says --- */

static void progress(struct payer_pay *y, uint32_t confirmations, uint64_t height,
		     uint64_t conflict)
{
	struct payer_job *j = payer_step_new(y, PAYER_DO_PROGRESS);
	if (!j)
		return;
	j->confirmations = confirmations;
	j->height = height;
	j->conflict = conflict;
	look_again(y);
	payer_step(y, j);
}

static bool differs(const struct payer_pay *y, uint32_t confirmations, uint64_t height,
		    uint64_t conflict)
{
	return y->p.confirmations != confirmations || y->p.height != height ||
	       y->p.conflict_height != conflict;
}

static void paid(struct payer_pay *y, const struct payer_place *f)
{
	struct payer_job *j = payer_step_new(y, PAYER_DO_PAID);
	if (!j)
		return;
	j->generation = f->generation;
	j->version = f->version;
	j->confirmations = f->confirmations;
	j->height = f->height;
	payer_step(y, j);
}

static void no_conflict(struct payer_pay *y)
{
	y->looked_ms = 0;
	y->conflict_tip = y->missing_tip = 0;
}

/* Others see it otherwise, or cannot be asked: it waits, and says so. */
static void not_agreed(struct payer_pay *y, const char *what, const struct otd_err *err)
{
	char words[PAYER_WORDS];
	snprintf(words, sizeof(words), "%s by the wallet's node, but: %.240s", what,
		 err ? err->text : "other nodes cannot be asked now");
	if (!y->p.held)
		payer_say(y, words);
	look_again(y);
}

static void paid_agreed(void *target, const struct otd_err *err)
{
	struct payer_pay *y = target;
	y->busy = false;
	if (err->rc)
		not_agreed(y, "it is paid", err);
	else
		paid(y, &y->place);
	payer_go(y);
}

static void deep_enough(struct payer_pay *y, const struct payer_conf *c,
			const struct payer_place *f)
{
	y->place = *f;
	switch (payer_agree(y->owner, c->c.chain, f->height, f->hash, paid_agreed, y)) {
	case PAYER_ALONE: paid(y, f); break;
	case PAYER_ASKED: y->busy = true; break;
	case PAYER_CANNOT_ASK: not_agreed(y, "it is paid", NULL); break;
	}
}

static void in_block(struct payer_pay *y, const struct payer_conf *c, const struct payer_place *f)
{
	no_conflict(y);
	if (f->confirmations >= c->c.confirmations) {
		deep_enough(y, c, f);
		return;
	}
	if (!y->p.held)
		payer_say(y, "");
	if (differs(y, f->confirmations, f->height, 0))
		progress(y, f->confirmations, f->height, 0);
	else
		look_again(y);
}

/* A further version of higher fee where the node wants that; else the same bytes again. */
static void not_there(struct payer_pay *y, const struct payer_conf *c)
{
	char words[PAYER_WORDS];
	bool fee = y->fee_refused && y->fee_refused == y->p.version;
	no_conflict(y);
	if (differs(y, 0, 0, 0)) {
		progress(y, 0, 0, 0);
		return;
	}
	if (y->p.held) {
		look_again(y);
		return;
	}
	if (fee) {
		payer_make(y, PAYER_BUMP);
		return;
	}
	if (y->send_words[0] && y->sends >= 3) {
		snprintf(words, sizeof(words), "the node does not take its transaction: %s",
			 y->send_words);
		payer_say(y, words);
	}
	y->busy = false;
	send(y, c);
}

/* Coins that are gone, since when, and whether that is deep enough. */
static bool gone_for_good(const struct payer_pay *y, const struct payer_found *f, char *words,
			  size_t cap)
{
	struct payer_pool *p = payer_pool_by_id(y->owner, y->p.pool_id);
	uint64_t depth = p ? p->conf->c.confirmations : 0;
	uint64_t from = f->spent ? y->conflict_tip : y->missing_tip;
	uint32_t n = f->spent ? f->spent : f->missing;
	const char *how = f->spent ? "spent by another transaction" : "not in the chain";
	bool fresh = y->looked_ms && payer_now_ms(y->owner) - y->looked_ms <= gap_ms(y->owner);
	if (!p || !from || !fresh || !f->one_tip || f->tip < from + depth) {
		snprintf(words, cap,
			 "coins of it: %u %s, seen from height %" PRIu64 " on; the tip is %" PRIu64
			 ", and it is for good %" PRIu64 " blocks later",
			 n, how, from ? from : f->tip, f->tip, depth);
		return false;
	}
	snprintf(words, cap,
		 "coins of it: %u %s at every look from height %" PRIu64 " to %" PRIu64
		 "; none of its transactions is in a block or waits",
		 n, how, from, f->tip);
	return true;
}

bool payer_cannot_come(const struct payer_pay *y, const struct payer_found *f, bool missing_too,
		       char *words, size_t cap)
{
	const struct payer_place *in = f->own.in_block ? &f->own : &f->old;
	if (in->in_block)
		snprintf(words, cap,
			 "its transaction of generation %u, version %u is in block %" PRIu64,
			 in->generation, in->version, in->height);
	else if (f->own.in_mempool || f->old.in_mempool)
		snprintf(words, cap, "a transaction of it waits to come into a block");
	else if (!f->spent && !f->missing)
		snprintf(
			words, cap,
			"all its coins are unspent; to make sure that what was signed never comes, "
			"spend one of them by hand");
	else if (!f->spent && !missing_too)
		snprintf(words, cap, "coins of it: %u not in the chain now, they may come back",
			 f->missing);
	else
		return gone_for_good(y, f, words, cap);
	return false;
}

/* Whether somebody on the way could have changed the txid of the newest version: then what spent its
   coins may be this very payment. Raw is there. */
static otd_rc may_be_itself(struct payer_pay *y, const struct payer_conf *c, bool *maybe,
			    struct otd_err *err)
{
	const struct otd_pay_tx *t = newest(y);
	struct otd_chain_coin *coins = calloc(y->p.n_coins ? y->p.n_coins : 1, sizeof(*coins));
	struct payer_outputs out;
	struct otd_chain_pay_info info = {0};
	otd_rc rc = coins ? payer_outputs_init(&out, c->c.chain, y->p.parts, y->p.n_parts,
					       c->c.change, err)
			  : otd_fail(err, OTD_E_NOMEM, "out of memory");
	*maybe = true;
	if (rc) {
		free(coins);
		return rc;
	}
	for (size_t i = 0; i < y->p.n_coins; i++)
		payer_to_chain(&coins[i], &y->p.coins[i]);
	for (size_t i = 0; i < out.n; i++)
		out.payees[i].value = y->p.parts[i].sent;
	out.payees[out.n].value = t->change;
	struct otd_chain_pay p = {.size = sizeof(p),
				  .coins = coins,
				  .coin_stride = sizeof(*coins),
				  .n_coins = y->p.n_coins,
				  .payees = out.payees,
				  .payee_stride = sizeof(*out.payees),
				  .n_payees = out.n + (t->change > 0 ? 1 : 0)};
	rc = otd_chain_pay_check(c->c.chain, &p, (struct otd_span){t->raw, t->raw_len}, &info, err);
	*maybe = rc != OTD_OK || info.malleable;
	payer_outputs_finish(&out);
	free(coins);
	return rc;
}

static void remake(struct payer_pay *y, const struct payer_conf *c, const char *proof)
{
	struct otd_err err = {0};
	bool maybe;
	struct payer_job *j;
	if (!y->has_raw) {
		/* Read with its bytes; the next look comes here again. */
		y->want_raw = true;
		y->fresh = false;
		payer_wait(y, 0);
		payer_go(y);
		return;
	}
	otd_rc rc = may_be_itself(y, c, &maybe, &err);
	if (rc || maybe) {
		payer_hold(
			y,
			"a coin of it was spent by another transaction, which may be this payment "
			"by another txid%s%.80s: look, then resolve it",
			rc ? ": " : "", rc ? err.text : "");
		return;
	}
	j = payer_step_new(y, PAYER_DO_REMAKE);
	if (!j)
		return;
	memcpy(j->text, proof, sizeof(j->text) - 1);
	y->locked = y->doubt = false;
	y->sends = 0;
	y->fee_refused = 0;
	y->old_clear = false;
	no_conflict(y);
	payer_step(y, j);
}

static void remake_agreed(void *target, const struct otd_err *err)
{
	struct payer_pay *y = target;
	struct payer_conf *c = conf_of(y);
	y->busy = false;
	if (!c)
		return;
	if (err->rc)
		not_agreed(y, "it cannot come any more", err);
	else
		remake(y, c, y->proof);
	payer_go(y);
}

/* Nothing of this can be undone: on a branch that only the wallet's node is on it would pay twice. */
static void cannot_come(struct payer_pay *y, const struct payer_conf *c, const char *proof)
{
	memcpy(y->proof, proof, sizeof(y->proof));
	switch (payer_agree(y->owner, c->c.chain, 0, NULL, remake_agreed, y)) {
	case PAYER_ALONE: remake(y, c, proof); break;
	case PAYER_ASKED: y->busy = true; break;
	case PAYER_CANNOT_ASK: not_agreed(y, "it cannot come any more", NULL); break;
	}
}

/* From which height on its coins have been seen gone, at every look. */
static void track(struct payer_pay *y, const struct payer_found *f)
{
	struct otd_payer *o = y->owner;
	int64_t now = payer_now_ms(o);
	uint64_t *from = f->spent ? &y->conflict_tip : &y->missing_tip;
	bool gap = !y->looked_ms || now - y->looked_ms > gap_ms(o) || f->tip < *from;
	*(f->spent ? &y->missing_tip : &y->conflict_tip) = 0;
	y->looked_ms = now;
	if (!*from || gap)
		*from = f->tip;
}

static void conflict(struct payer_pay *y, const struct payer_conf *c, const struct payer_found *f)
{
	char words[PAYER_WORDS] = "";
	track(y, f);
	bool proved = payer_cannot_come(y, f, true, words, sizeof(words)) && !y->p.held;
	if (proved && !f->spent) {
		/* It may come back, so that nothing is proved: a person decides. */
		payer_hold(y,
			   "the transaction that made a coin of it has left the chain and not come "
			   "back since height %" PRIu64
			   ": bring it back, or spend another coin of it, or resolve it",
			   y->missing_tip);
		return;
	}
	if (proved && f->unknown && y->p.state == OTD_PAY_SENT) {
		/* The node's wallet knew it when it was sent. One that does not is another one, or has
		   read the chain by halves: it proves nothing. */
		payer_hold(y, "coins of it are spent, and the node's wallet does not know its "
			      "transaction, which a node had: it may be what spent them. Name the "
			      "wallet that paid, rescanblockchain; then release or resolve it");
		return;
	}
	if (proved && y->p.conflict_height) {
		cannot_come(y, c, words);
		return;
	}
	if (!y->p.held)
		payer_say(y, f->spent
				     ? words
				     : "the transaction that made a coin of it has left the chain; "
				       "it waits for that to come back");
	if (differs(y, 0, 0, y->conflict_tip))
		progress(y, 0, 0, y->conflict_tip);
	else
		look_again(y);
}

/* It waits with the network, for how long? */
static void waits(struct payer_pay *y)
{
	const struct otd_pay_tx *t = newest(y);
	int64_t ms = t ? payer_wall_ms(y->owner) - t->signed_ms : 0;
	char words[PAYER_WORDS] = "";
	if (y->p.held)
		return;
	if (ms >= WAITS_MS)
		snprintf(words, sizeof(words),
			 "it has waited for %d hours to come into a block: its network fee may be "
			 "too "
			 "low, or the node's chain stands still",
			 (int)(ms / 3600000));
	payer_say(y, words);
}

/* Of two generations only one may come: while an old one waits, nothing new is sent. */
static void old_waits(struct payer_pay *y)
{
	if (!y->p.held)
		payer_say(
			y,
			"an earlier transaction of it has come back; it waits to see whether that "
			"one stays");
	look_again(y);
}

static void on_look(void *target, const struct otd_err *err, const struct payer_found *f)
{
	struct payer_pay *y = target;
	struct payer_conf *c;
	payer_look_destroy(y->look);
	y->look = NULL;
	y->busy = false;
	c = conf_of(y);
	if (!c)
		return;
	if (err->rc) {
		payer_failed(y, false, "it cannot be looked up: %s", err->text);
		return;
	}
	y->fails = 0;
	y->doubt = false;
	if (f->own.in_block) {
		in_block(y, c, &f->own);
	} else if (f->old.in_block && !y->p.held) {
		payer_hold(
			y,
			"a transaction that was given up (generation %u, version %u) is in block "
			"%" PRIu64 ", and another one may come too",
			f->old.generation, f->old.version, f->old.height);
	} else if (f->own.in_mempool) {
		no_conflict(y);
		y->sends = y->p.state == OTD_PAY_SENT ? 0 : y->sends;
		y->send_after_ms = 0;
		y->send_words[0] = '\0';
		if (differs(y, 0, 0, 0)) {
			progress(y, 0, 0, 0);
		} else if (y->p.state == OTD_PAY_SIGNED) {
			sent_step(y);
		} else {
			waits(y);
			look_again(y);
		}
	} else if (f->old.in_mempool) {
		old_waits(y);
	} else if (!f->one_tip) {
		payer_wait(y, y->owner->conf.retry_ms);
	} else if (f->spent || f->missing) {
		conflict(y, c, f);
	} else {
		not_there(y, c);
	}
	payer_go(y);
}

void payer_watch(struct payer_pay *y)
{
	struct payer_conf *c = conf_of(y);
	if (!c)
		return;
	/* The first thing after signing is sending: the same bytes do no harm twice. But where there is
	   an earlier generation, that one must not have come back meanwhile. */
	if (y->p.state == OTD_PAY_SIGNED && !y->doubt && !y->p.held && y->sends == 0 &&
	    y->p.n_old == 0) {
		send(y, c);
		return;
	}
	y->busy = true;
	y->look = payer_look_start(y->owner, c->c.chain, &y->p, on_look, y);
	if (!y->look)
		payer_failed(y, false, "out of memory");
}

/* --- afterwards --- */

static void look_seldom(struct payer_pay *y)
{
	payer_wait(y, DONE_LOOKS * y->owner->conf.watch_ms);
}

static void lost(struct payer_pay *y, const struct payer_place *f)
{
	struct payer_job *j = payer_step_new(y, PAYER_DO_LOST);
	if (!j)
		return;
	j->generation = f->generation;
	j->version = f->version;
	y->lost_booked = true;
	look_seldom(y);
	payer_step(y, j);
}

/* By another version than the one that is booked: a reorganisation let it in. */
static void other_version(struct payer_pay *y, const struct payer_place *in)
{
	char words[PAYER_WORDS];
	snprintf(words, sizeof(words),
		 "version %u of it is in block %" PRIu64 ", and version %u is booked as paid: the "
		 "network fee in the books is not the one that was paid",
		 in->version, in->height, y->p.paid_version);
	payer_say(y, words);
}

static void still_paid(struct payer_pay *y, const struct payer_place *in)
{
	if (in->version != y->p.paid_version)
		other_version(y, in);
	else
		payer_say(y, "");
	if (y->p.height != in->height)
		progress(y, in->confirmations, in->height, 0);
	else
		look_seldom(y);
}

static void fell_out(struct payer_pay *y, const struct payer_conf *c, const struct payer_found *f)
{
	payer_say(
		y,
		f->spent ? "it was paid, and its block has left the chain; another transaction "
			   "has spent a coin of it since: it does not come back unless that one "
			   "goes; when that is deep, resolve it --unpaid"
			 : "it was paid, and its block has left the chain; the same transaction is "
			   "sent again until it is back");
	if (f->spent || f->missing)
		track(y, f); /* for a person who resolves it */
	else
		no_conflict(y);
	if (y->p.height)
		progress(y, 0, 0, 0);
	else if (f->own.in_mempool || f->old.in_mempool || f->spent || f->missing)
		look_again(y);
	else
		send(y, c);
}

static void on_done_look(void *target, const struct otd_err *err, const struct payer_found *f)
{
	struct payer_pay *y = target;
	struct payer_conf *c;
	bool is_paid = y->p.state == OTD_PAY_PAID;
	payer_look_destroy(y->look);
	y->look = NULL;
	y->busy = false;
	c = conf_of(y);
	if (!c || err->rc) {
		look_seldom(y); /* it is done; the next look does */
		return;
	}
	const struct payer_place *in = NULL, *second = NULL;
	const struct payer_place *places[] = {&f->own, &f->old};
	for (int i = 0; i < 2; i++) {
		if (!places[i]->in_block)
			continue;
		if (is_paid && places[i]->generation == y->p.paid_generation)
			in = places[i];
		else
			second = places[i];
	}
	if (second && second->confirmations >= c->c.confirmations && !y->lost_booked)
		lost(y, second);
	else if (is_paid && in)
		still_paid(y, in);
	else if (is_paid)
		fell_out(y, c, f);
	else
		look_seldom(y);
	payer_go(y);
}

void payer_watch_done(struct payer_pay *y)
{
	struct payer_conf *c = conf_of(y);
	int64_t age = payer_wall_ms(y->owner) - y->p.changed_ms;
	if (!c)
		return;
	if (y->p.state == OTD_PAY_CANCELLED && y->locked && y->p.n_coins) {
		y->locked = false;
		payer_unlock(y, y->p.coins, y->p.n_coins, look_seldom);
		return;
	}
	bool fallen = y->p.state == OTD_PAY_PAID && y->p.height == 0;
	if ((age > PAYER_DONE_MS && !fallen) || y->p.n_txs + y->p.n_old == 0) {
		y->gone = true;
		return;
	}
	y->busy = true;
	y->look = payer_look_start(y->owner, c->c.chain, &y->p, on_done_look, y);
	if (!y->look)
		payer_failed(y, false, "out of memory");
}
