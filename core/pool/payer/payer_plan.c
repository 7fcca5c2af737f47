/* "plan": the dry run that an operator sees before money moves, and the code of what was seen. */
#include <inttypes.h>
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "pool/payer/payer_impl.h"

void payer_plan_code(char out[9], const struct payer_conf *c, bool restored)
{
	struct otd_bytes b;
	uint8_t digest[32];
	char minimum[OTD_I128_TEXT], cap[OTD_I128_TEXT];
	otd_bytes_init(&b, 65536);
	(void)otd_bytes_format(&b, "%s\n%s\n%s\n%s\n%d\n%s\n%d\n", c->c.name, c->c.asset,
			       otd_format_i128(minimum, c->c.minimum),
			       otd_format_i128(cap, c->c.cap), c->c.fee_by_miners, c->c.change,
			       restored);
	for (size_t i = 0; i < c->c.n_fee; i++)
		(void)otd_bytes_format(&b, "%s %u\n", c->c.fee[i].address, c->c.fee[i].share_ppm);
	otd_sha256(digest, b.ptr, b.len);
	otd_hex_encode(out, digest, 4);
	otd_bytes_finish(&b);
}

/* --- on the store's thread --- */

static void on_waiting(void *arg, const struct otd_pay_waiting *w) /* [store] */
{
	struct payer_job *j = arg;
	char units[OTD_I128_TEXT], text[OTD_AMOUNT_TEXT];
	if (!w->reason && !w->above_cap) {
		j->n_below++;
		if (otd_i128_add(&j->below, j->below, w->balance))
			j->yes = true;
		return;
	}
	(void)otd_bytes_text(&j->json, j->json.len ? ",{" : "{");
	payer_json_text(&j->json, "address", w->address);
	(void)otd_bytes_text(&j->json, ",");
	payer_json_text(&j->json, "reason", w->reason ? w->reason : PAYER_ABOVE_CAP);
	(void)otd_bytes_format(&j->json, ",\"balance\":\"%s\",\"balance_units\":\"%s\"}",
			       otd_format_amount(text, w->balance, j->conf->c.decimals),
			       otd_format_i128(units, w->balance));
}

static otd_rc plan_work(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	struct otd_pay_terms t = j->conf->terms;
	otd_bytes_clear(&j->json);
	j->below = 0;
	j->n_below = 0;
	j->yes = false;
	free(j->parts);
	j->parts = NULL;
	otd_rc rc = payer_work_pool(j, db, err);
	t.pool_id = j->pool_id;
	t.minimum = j->least;
	t.with_paid = j->with_paid;
	if (!rc)
		rc = payer_policy_work(j, db, err);
	if (!rc)
		rc = otd_pay_plan(db, &t, &j->parts, &j->n_parts, err);
	if (!rc)
		rc = otd_pay_waiting(db, j->pool_id, t.asset, t.minimum, t.cap, on_waiting, j, err);
	if (!rc && (j->yes || j->json.failed))
		rc = otd_fail(err, OTD_E_OVERFLOW, "the list of accounts does not fit");
	snprintf(j->name, sizeof(j->name), "%s", t.asset); /* for payer_work_taken() */
	if (!rc)
		rc = payer_work_taken(j, db, err);
	snprintf(j->name, sizeof(j->name), "%s", j->conf->c.name);
	return rc;
}

/* --- the answer --- */

static void parts_json(struct otd_bytes *b, const struct payer_ask *a, const struct payer_pool *p,
		       const struct otd_pay_part *parts, size_t n, bool left_out)
{
	bool first = true;
	for (size_t i = 0; i < n; i++) {
		const struct otd_pay_part *q = &parts[i];
		if (left_out && !a->verdicts[i].reason[0])
			continue;
		(void)otd_bytes_format(b, "%s{\"kind\":\"%s\",", first ? "" : ",",
				       q->kind == OTD_ACC_MINER ? "miner" : "fee");
		first = false;
		payer_json_text(b, "address", q->address);
		(void)otd_bytes_text(b, ",");
		payer_json_amount(b, "amount", q->amount, p);
		if (left_out) {
			(void)otd_bytes_text(b, ",");
			payer_json_text(b, "reason", a->verdicts[i].reason);
		}
		(void)otd_bytes_text(b, "}");
	}
}

static void wallet_json(struct otd_bytes *b, const struct payer_ask *a, const struct payer_pool *p)
{
	static const char *const owns[] = {"unknown", "yes", "no"};
	(void)otd_bytes_text(b, "\"wallet\":{");
	if (!a->has_wallet) {
		payer_json_text(b, "error", a->wallet_err.text);
	} else {
		payer_json_text(b, "name", a->wallet.name);
		(void)otd_bytes_format(b, ",\"locked\":%s,\"owns_change\":\"%s\",",
				       a->wallet.locked ? "true" : "false",
				       owns[a->wallet.owns < 3 ? a->wallet.owns : 0]);
		payer_json_amount(b, "balance", a->wallet.balance, p);
		(void)otd_bytes_text(b, ",");
		payer_json_amount(b, "immature", a->wallet.immature, p);
	}
	(void)otd_bytes_text(b, "},");
	if (a->has_wallet && a->choice_err.rc == OTD_OK && a->choice.n) {
		payer_json_amount(b, "network_fee", a->choice.fee, p);
		(void)otd_bytes_text(b, ",\"network_fee_error\":null");
	} else {
		(void)otd_bytes_text(b, "\"network_fee\":null,\"network_fee_units\":null,");
		payer_json_text(b, "network_fee_error",
				a->has_wallet ? a->choice_err.text : a->wallet_err.text);
	}
	if (a->choice_err.rc == OTD_E_NOT_FOUND) {
		(void)otd_bytes_text(b, ",");
		payer_json_amount(b, "missing", a->choice.missing, p);
	}
}

static void review_json(struct otd_bytes *b, const struct payer_review *r)
{
	if (!r->asked)
		return;
	(void)otd_bytes_format(b, "\"review\":{\"action\":\"%s\",", payer_review_name(r->action));
	payer_json_text(b, "policy", r->said.script);
	(void)otd_bytes_text(b, ",");
	payer_json_text(b, "reason", r->said.reason);
	(void)otd_bytes_text(b, "},");
}

static void answer(struct payer_ask *a)
{
	struct payer_pool *p = payer_ask_pool(a);
	struct otd_bytes b;
	struct otd_err none = {0};
	char code[9];
	otd_i128 total = 0;
	if (!p)
		return;
	struct otd_pay_part *kept = calloc(a->n_parts ? a->n_parts : 1, sizeof(*kept));
	size_t n = a->n_parts;
	if (!kept) {
		payer_ask_fail(a, OTD_E_NOMEM, "out of memory");
		return;
	}
	if (n)
		memcpy(kept, a->parts, n * sizeof(*kept));
	payer_keep_judged(kept, &n, a->parts, a->verdicts, a->n_parts);
	for (size_t i = 0; i < n; i++)
		total += kept[i].amount; /* the plan has summed more than these */
	otd_bytes_init(&b, (size_t)32 << 20);
	payer_plan_code(code, a->conf, a->state.restored);
	(void)otd_bytes_text(&b, "{");
	payer_json_text(&b, "pool", a->conf->c.name);
	(void)otd_bytes_text(&b, ",");
	payer_json_text(&b, "asset", a->conf->c.asset);
	(void)otd_bytes_format(
		&b,
		",\"code\":\"%s\",\"configured\":%s,\"on\":%s,\"restored\":%s,"
		"\"last_run_ms\":%" PRId64 ",\"unsent\":%" PRIu64 ",\"fee_by\":\"%s\",",
		code, a->conf->c.on ? "true" : "false", a->state.on ? "true" : "false",
		a->state.restored ? "true" : "false", a->state.last_run_ms, a->unsent,
		a->conf->c.fee_by_miners ? "miners" : "pool");
	payer_json_text(&b, "change", a->conf->c.change);
	(void)otd_bytes_text(&b, ",");
	payer_json_amount(&b, "minimum", a->conf->c.minimum, p);
	(void)otd_bytes_format(&b, ",\"n\":%zu,", n);
	payer_json_amount(&b, "total", total, p);
	(void)otd_bytes_text(&b, ",\"parts\":[");
	parts_json(&b, a, p, kept, n, false);
	(void)otd_bytes_text(&b, "],\"left_out\":[");
	parts_json(&b, a, p, a->parts, a->n_parts, true);
	(void)otd_bytes_text(&b, "],\"held\":[");
	(void)otd_bytes_add(&b, a->held.ptr, a->held.len);
	(void)otd_bytes_format(&b, "],\"below_minimum\":{\"n\":%zu,", a->n_below);
	payer_json_amount(&b, "total", a->below, p);
	(void)otd_bytes_text(&b, "},");
	review_json(&b, &a->review);
	wallet_json(&b, a, p);
	(void)otd_bytes_text(&b, "}");
	free(kept);
	payer_ask_end(a, &none, &b);
	otd_bytes_finish(&b);
}

static void on_coins(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		     struct otd_span out)
{
	struct payer_ask *a = target;
	struct payer_pool *p = payer_ask_pool(a);
	(void)res;
	if (!p)
		return;
	struct otd_pay_part *kept = calloc(a->n_parts ? a->n_parts : 1, sizeof(*kept));
	size_t n = kept ? a->n_parts : 0;
	a->choice_err = *err;
	if (n)
		if (n)
			memcpy(kept, a->parts, n * sizeof(*kept));
	payer_keep_judged(kept, &n, a->parts, a->verdicts, a->n_parts);
	struct payer_estimate_of e = {kept, n, &a->wallet, a->taken, a->n_taken, out};
	if (!err->rc && n)
		(void)payer_estimate(a->owner, p->conf, &e, &a->choice, &a->choice_err);
	else if (!err->rc)
		(void)otd_fail(&a->choice_err, OTD_E_INVALID, "nobody is due");
	free(kept);
	answer(a);
}

static void on_wallet(void *target, const struct otd_err *err, const struct otd_chain_result *res,
		      struct otd_span out)
{
	struct payer_ask *a = target;
	struct payer_pool *p = payer_ask_pool(a);
	(void)out;
	if (!p)
		return;
	a->wallet_err = *err;
	a->review.balance = err->rc ? -1 : res->u.wallet.balance;
	payer_policy_review(a->owner, p->conf, a->parts, a->verdicts, a->n_parts, true, &a->review);
	if (err->rc) {
		answer(a);
		return;
	}
	a->wallet = res->u.wallet;
	a->has_wallet = true;
	struct otd_chain_call q = {.kind = OTD_CHAIN_COINS,
				   .coin_stride = sizeof(struct otd_chain_coin),
				   .confirmations = p->conf->c.coin_confirmations};
	if (!payer_call(a->owner, p->conf->c.chain, &q, on_coins, a))
		payer_ask_fail(a, OTD_E_CLOSED, "out of memory, or the pool is ending");
}

static void on_planned(void *target, struct payer_job *j, const struct otd_err *err)
{
	struct payer_ask *a = target;
	struct payer_pool *p;
	struct otd_err own = {0};
	if (err->rc) {
		payer_ask_end(a, err, NULL);
		return;
	}
	p = payer_ask_pool(a);
	if (!p)
		return;
	p->id = j->pool_id;
	a->state = j->state;
	a->parts = j->parts;
	a->n_parts = j->n_parts;
	a->taken = j->found;
	a->n_taken = j->n_found;
	a->below = j->below;
	a->n_below = j->n_below;
	a->unsent = j->n_ids ? j->ids[0] : 0;
	a->held = j->json;
	j->parts = NULL;
	j->found = NULL;
	otd_bytes_init(&j->json, 1);
	if (payer_judge(p->conf, a->parts, a->n_parts, &a->verdicts, &own) != OTD_OK) {
		payer_ask_end(a, &own, NULL);
		return;
	}
	a->review = j->review;
	payer_policy_terms(a->owner, p->conf, a->parts, a->verdicts, a->n_parts);
	struct otd_chain_call q = {.kind = OTD_CHAIN_WALLET, .address = a->conf->c.change};
	if (!payer_call(a->owner, p->conf->c.chain, &q, on_wallet, a))
		payer_ask_fail(a, OTD_E_CLOSED, "out of memory, or the pool is ending");
}

void payer_ask_plan(struct payer_ask *a)
{
	struct payer_job *j = payer_ask_job(a, on_planned, plan_work);
	if (!j)
		return;
	j->least = payer_policy_least(a->owner, j->conf);
	j->with_paid = payer_policy_asks(a->owner, j->conf);
	j->review.wanted = payer_policy_reviews(a->owner, j->conf);
	payer_ask_give(a, j, false);
}
