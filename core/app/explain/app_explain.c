/* explain: the steps. What is asked for is found, journals are read, and the ledger has the last word. */
#include "app/explain/app_explain.h"

#include <string.h>

static otd_rc prepare(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	return otd_explain_find(q, db, err);
}

/* From the order: by which batch the share was merged, and each verdict on its block. */
static bool take_order(void *arg, const struct otd_record *r)
{
	struct otd_explain *x = arg;
	struct otd_rec_batch b;
	struct otd_rec_verdict v;
	if (r->type == OTD_REC_BATCH && r->payload.len >= sizeof(b)) {
		memcpy(&b, r->payload.ptr, sizeof(b));
		if (b.epoch == x->epoch && b.first <= x->seq && x->seq <= b.last)
			x->batch = r->seq;
	}
	if (r->type == OTD_REC_VERDICT && r->payload.len >= sizeof(v)) {
		memcpy(&v, r->payload.ptr, sizeof(v));
		if (v.epoch == x->epoch && v.share_seq == x->seq &&
		    x->n_verdicts < OTD_EXPLAIN_VERDICTS)
			x->verdicts[x->n_verdicts++] = (struct otd_explain_verdict){
				v.state, v.confirmations, v.time_ms, r->seq};
	}
	return true;
}

static otd_rc scan(struct otd_question *q, struct otd_err *err)
{
	struct otd_explain *x = q->state;
	(void)err;
	if (x->kind == OTD_EXPLAIN_PAYMENT || x->kind == OTD_EXPLAIN_BAN)
		return OTD_OK;
	otd_look_share(&x->share, q->env, q->data_dir, x->epoch, x->seq, q->deadline_ns);
	otd_look_coordinator(&x->order, q->env, q->data_dir, q->deadline_ns, take_order, x);
	return OTD_OK;
}

static otd_rc read_all(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	const struct otd_explain *x = q->state;
	(void)json_object_set_new(q->answer, "now_ms", json_integer(q->now_ms));
	switch (x->kind) {
	case OTD_EXPLAIN_SHARE: return otd_explain_share(q, db, err);
	case OTD_EXPLAIN_BLOCK: return otd_explain_block(q, db, err);
	case OTD_EXPLAIN_PAYMENT: return otd_explain_payment(q, db, err);
	case OTD_EXPLAIN_BAN: return otd_explain_ban(q, db, err);
	}
	return OTD_E_INVALID;
}

const struct otd_topic otd_topic_explain = {.prepare = prepare, .scan = scan, .read = read_all};

void otd_app_explain_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	otd_app_ask(app, r, &otd_topic_explain, words);
}
