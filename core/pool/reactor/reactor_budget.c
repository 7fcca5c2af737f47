/* What reactors tell each other of refused shares: carried here, understood in core/stratum. */
#include "base/log.h"
#include "pool/reactor/reactor_impl.h"

void otd_reactor_budget_tell(struct otd_reactor *r, const struct otd_budget_word *w)
{
	struct otd_msg *head =
		otd_msg_create(OTD_MSG_BUDGET, r->conf.index, sizeof(struct otd_msg_budget),
			       w->key.len + w->host.len);
	struct otd_msg_budget *m = (struct otd_msg_budget *)head;

	if (m) {
		m->flags = w->flags;
		m->good = w->good;
		m->bad = w->bad;
		m->stale = w->stale;
		m->workers = w->workers;
		m->kept_out_ms = w->kept_out_ms;
		m->key = otd_msg_put(head, w->key.ptr, w->key.len);
		m->host = otd_msg_put(head, w->host.ptr, w->host.len);
	}
	if (otd_mailbox_send(r->conf.coordinator, head) != OTD_OK)
		otd_log(OTD_LOG_WARN, "pool", "budget.lost", "reactor=%u", r->conf.index);
}

void otd_reactor_budget_heard(struct otd_reactor *r, const struct otd_msg_budget *m)
{
	const struct otd_budget_word w = {.key = otd_msg_get(m, m->key),
					  .host = otd_msg_get(m, m->host),
					  .flags = m->flags,
					  .good = m->good,
					  .bad = m->bad,
					  .stale = m->stale,
					  .workers = m->workers,
					  .kept_out_ms = m->kept_out_ms};

	if (r->has_front && r->front.budget)
		r->front.budget(r->front.arg, m->from, &w);
}
