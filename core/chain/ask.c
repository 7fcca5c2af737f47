/* One question to one node, for tools: config check asks what a pool would ask, and says what came. */
#include "chain/impl.h"

#include <stdlib.h>

struct question {
	otd_chain_answer_fn fn;
	void *arg;
};

static void answered(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		     const char *why)
{
	struct question *q = r->arg;
	struct otd_chain *c = r->c;
	struct otd_chain_answer a = {.rc = rc,
				     .why = why,
				     .spoke = !r->unanswered && !r->unsent,
				     .status = r->status,
				     .result = res};
	q->fn(q->arg, &a);
	if (rc == OTD_OK && r->call.kind == OTD_CHAIN_TEMPLATE) {
		OTD_ON(OTD_THREAD_COORDINATOR);
		c->ops->template_free(c->self, res->u.tmpl.handle);
	}
}

otd_rc otd_chain_ask_node(struct otd_chain *c, size_t i, const struct otd_chain_call *call,
			  int64_t timeout_ms, otd_chain_answer_fn fn, void *arg)
{
	struct question *q = malloc(sizeof(*q));
	if (!q)
		return OTD_E_NOMEM;
	*q = (struct question){fn, arg};
	struct otd_chain_req *r = otd_chain_ask(c->nodes[i], call, timeout_ms, answered, q);
	if (!r) {
		free(q);
		return OTD_E_NOMEM;
	}
	r->owned = q;
	return OTD_OK;
}
