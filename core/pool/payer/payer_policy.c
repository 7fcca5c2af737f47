/* Policy over payments: on what terms an account is paid, and whether a plan goes on. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "ledger/audit.h"
#include "pool/payer/payer_impl.h"

#define LEAST_PART 10 /* a policy may lower the minimum to this part of the settings' */
#define DAY_MS     86400000LL
#define BELOW      "less than the minimum"

static bool wants(const struct otd_payer *o, const struct payer_conf *c, enum otd_policy_hook h)
{
	const struct otd_payer_policy *p = o->conf.policy;
	return p && p->wants(p->arg, h, c->c.name);
}

bool payer_policy_asks(const struct otd_payer *o, const struct payer_conf *c)
{
	return wants(o, c, OTD_HOOK_PAYOUT_TERMS);
}

otd_i128 payer_policy_least(const struct otd_payer *o, const struct payer_conf *c)
{
	otd_i128 least = c->terms.minimum / LEAST_PART;
	if (!wants(o, c, OTD_HOOK_PAYOUT_TERMS))
		return c->terms.minimum;
	return least > 1 ? least : 1;
}

static void reason(struct payer_verdict *v, const struct otd_policy_said *said)
{
	snprintf(v->reason, sizeof(v->reason), "policy %.60s: %.120s", said->script, said->reason);
}

/* The wall clock may be set back. */
static int64_t seconds_ago(int64_t now_ms, int64_t then_ms)
{
	return now_ms > then_ms ? (now_ms - then_ms) / 1000 : 0;
}

static void terms_of(const struct otd_payer *o, const struct payer_conf *c,
		     const struct otd_pay_part *part, struct payer_verdict *v)
{
	const struct otd_payer_policy *p = o->conf.policy;
	struct otd_policy_terms_out out = {0};
	const int64_t now_ms = otd_wall_ms(o->env);
	const struct otd_policy_terms in = {
		.pool = c->c.name,
		.asset = c->c.asset,
		.account = part->address,
		.balance = part->amount,
		.minimum = c->terms.minimum,
		.least = payer_policy_least(o, c),
		.most = 0, /* an account may wait for as much as it likes */
		.last_paid_s = part->paid_ms ? seconds_ago(now_ms, part->paid_ms) : -1,
		.known_s = seconds_ago(now_ms, part->known_ms)};
	p->terms(p->arg, &out, &in);
	otd_i128 minimum = out.has_minimum ? out.minimum : c->terms.minimum;
	if (out.hold)
		reason(v, &out.said);
	else if (part->amount < minimum && out.has_minimum && out.said.reason[0])
		reason(v, &out.said);
	else if (part->amount < minimum)
		snprintf(v->reason, sizeof(v->reason), BELOW);
	v->least = v->least > minimum ? v->least : minimum;
}

void payer_policy_terms(const struct otd_payer *o, const struct payer_conf *c,
			const struct otd_pay_part *parts, struct payer_verdict *verdicts, size_t n)
{
	if (!wants(o, c, OTD_HOOK_PAYOUT_TERMS))
		return;
	for (size_t i = 0; i < n; i++) {
		if (verdicts[i].reason[0])
			continue;
		if (parts[i].kind == OTD_ACC_MINER)
			terms_of(o, c, &parts[i], &verdicts[i]);
		else if (parts[i].amount < c->terms.minimum)
			snprintf(verdicts[i].reason, sizeof(verdicts[i].reason), BELOW);
	}
}

/* --- review --- */

bool payer_policy_reviews(const struct otd_payer *o, const struct payer_conf *c)
{
	return wants(o, c, OTD_HOOK_REVIEW_PAYMENT);
}

static otd_rc add_total(void *ctx, const struct otd_value *c, size_t n)
{
	otd_i128 *sum = ctx;
	(void)n;
	return c[0].type == OTD_VALUE_WIDE ? otd_i128_add(sum, *sum, c[0].wide) : OTD_E_CORRUPT;
}

otd_rc payer_policy_work(struct payer_job *j, struct otd_db *db, struct otd_err *err) /* [store] */
{
	static const uint32_t wide[] = {OTD_VALUE_WIDE};
	const struct otd_value v[] = {OTD_INT(j->pool_id), OTD_INT(j->time_ms - DAY_MS),
				      OTD_INT(OTD_PAY_CANCELLED)};
	j->review.paid_24h = 0;
	if (!j->review.wanted)
		return OTD_OK;
	return otd_db_query(db,
			    "SELECT total FROM payments WHERE pool_id = ? AND created_ms > ?"
			    " AND state <> ?",
			    v, 3, wide, 1, add_total, &j->review.paid_24h, err);
}

void payer_policy_review(const struct otd_payer *o, const struct payer_conf *c,
			 const struct otd_pay_part *parts, const struct payer_verdict *verdicts,
			 size_t n, bool dry_run, struct payer_review *review)
{
	const struct otd_payer_policy *p = o->conf.policy;
	struct otd_policy_payment_out out = {0};
	struct otd_pay_part *kept = NULL;
	struct otd_policy_part *shown = NULL;
	otd_i128 total = 0, largest = 0;
	if (!review->wanted)
		return;
	kept = calloc(n ? n : 1, sizeof(*kept));
	shown = calloc(n ? n : 1, sizeof(*shown));
	review->asked = true;
	if (!kept || !shown) {
		review->action = OTD_REVIEW_HOLD;
		snprintf(review->said.reason, sizeof(review->said.reason), "out of memory");
		goto out;
	}
	if (n)
		memcpy(kept, parts, n * sizeof(*kept));
	payer_keep_judged(kept, &n, parts, verdicts, n);
	for (size_t i = 0; i < n; i++) {
		bool miner = kept[i].kind == OTD_ACC_MINER;
		shown[i] = (struct otd_policy_part){miner ? kept[i].address : NULL, kept[i].address,
						    kept[i].amount};
		total += kept[i].amount; /* the plan has summed more than these */
		largest = kept[i].amount > largest ? kept[i].amount : largest;
	}
	review->asked = n > 0;
	if (!n)
		goto out;
	const struct otd_policy_payment in = {.pool = c->c.name,
					      .asset = c->c.asset,
					      .total = total,
					      .largest = largest,
					      .balance = review->balance,
					      .paid_24h = review->paid_24h,
					      .dry_run = dry_run,
					      .parts = shown,
					      .n_parts = n};
	p->review(p->arg, &out, &in);
	review->asked = out.said.from != OTD_POLICY_HOST;
	review->action = out.action;
	review->said = out.said;
	review->total = total;
out:
	free(kept);
	free(shown);
}

const char *payer_review_name(enum otd_policy_review a)
{
	return a == OTD_REVIEW_PAY ? "pay" : a == OTD_REVIEW_HOLD ? "hold" : "reject";
}

void payer_policy_keep(struct otd_pay_part *parts, size_t *n, const struct payer_job *j)
{
	size_t kept = 0;
	bool fee = true;
	if (!j->review.wanted)
		return;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < *n; i++) {
			bool grown = false;
			for (size_t k = 0; k < j->n_parts; k++)
				grown |= parts[i].kind == j->parts[k].kind &&
					 parts[i].owner == j->parts[k].owner &&
					 strcmp(parts[i].address, j->parts[k].address) == 0 &&
					 parts[i].amount > j->parts[k].amount;
			if (pass == 0)
				fee &= !grown || parts[i].kind == OTD_ACC_MINER;
			else if (parts[i].kind == OTD_ACC_MINER ? !grown : fee)
				parts[kept++] = parts[i];
		}
	}
	*n = kept;
}

/* The decision, in the transaction of what it leads to. */
otd_rc payer_policy_decided(const struct payer_job *j, struct otd_db *db,
			    struct otd_err *err) /* [store] */
{
	const struct payer_review *r = &j->review;
	char units[OTD_I128_TEXT], why[OTD_PAY_WHY + 1];
	struct otd_bytes b;
	otd_rc rc = OTD_OK;
	if (!r->asked || (r->action != OTD_REVIEW_REJECT && !j->id))
		return OTD_OK;
	otd_bytes_init(&b, 4096);
	(void)otd_bytes_text(&b, "{");
	if (j->id)
		(void)otd_bytes_format(&b, "\"id\":%" PRIu64 ",", j->id);
	payer_json_text(&b, "pool", j->name);
	(void)otd_bytes_format(&b, ",\"action\":\"%s\",\"total\":\"%s\",",
			       payer_review_name(r->action), otd_format_i128(units, r->total));
	payer_json_text(&b, "policy", r->said.script);
	(void)otd_bytes_text(&b, ",");
	payer_json_text(&b, "reason", r->said.reason);
	(void)otd_bytes_text(&b, "}");
	rc = b.failed ? otd_fail(err, OTD_E_NOMEM, "out of memory")
		      : otd_audit_add(db, j->time_ms, "payment.review", otd_bytes_cstr(&b), err);
	otd_bytes_finish(&b);
	if (rc == OTD_OK && j->id && r->action == OTD_REVIEW_HOLD) {
		snprintf(why, sizeof(why), "policy %.60s: %.120s", r->said.script, r->said.reason);
		rc = otd_pay_hold(db, j->id, true, why, j->time_ms, err);
	}
	return rc;
}
