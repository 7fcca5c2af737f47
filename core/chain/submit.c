/* A block goes to every node at once, and to each until it has said yes or no. */
#include "chain/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct target {
	struct otd_chain_submission *s;
	struct otd_chain_node *node;
	struct otd_chain_req *req;
	struct otd_timer *timer;
	unsigned tries;
};

struct otd_chain_submission {
	struct otd_chain_submission *next;
	struct otd_chain *c;
	uint8_t *block, hash[32];
	size_t len;
	otd_submit_fn fn;
	void *arg;
	size_t n, open;
	struct target target[];
};

static void free_submission(struct otd_chain_submission *s)
{
	struct otd_chain_submission **at = &s->c->submissions;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	for (size_t i = 0; i < s->n; i++) {
		otd_chain_cancel(s->target[i].req);
		if (s->target[i].timer)
			s->c->env->ops->timer_destroy(s->target[i].timer);
	}
	free(s->block);
	free(s);
}

bool otd_chain_submits_to(const struct otd_chain *c, const struct otd_chain_node *n)
{
	for (const struct otd_chain_submission *s = c->submissions; s; s = s->next)
		for (size_t i = 0; i < s->n; i++)
			if (s->target[i].node == n)
				return true;
	return false;
}

void otd_chain_free_submissions(struct otd_chain *c)
{
	while (c->submissions)
		free_submission(c->submissions);
}

static void conclude(struct target *t, const struct otd_chain_submit *verdict)
{
	struct otd_chain_submission *s = t->s;
	struct otd_chain *c = s->c;
	char q[200];
	otd_log(verdict->verdict == OTD_CHAIN_ACCEPTED || verdict->verdict == OTD_CHAIN_KNOWN
			? OTD_LOG_INFO
			: OTD_LOG_WARN,
		"chain", "block.verdict", "node=%s verdict=%u tries=%u reason=%s", t->node->name,
		verdict->verdict, t->tries,
		otd_log_quote(q, sizeof(q), verdict->reason, strlen(verdict->reason)));
	s->open--;
	s->fn(s->arg, t->node->name, verdict);
	/* Its tip is another now: ask, rather than wait for the next poll. */
	otd_chain_node_poll(t->node);
	if (c->in_use && c->in_use != t->node)
		otd_chain_node_poll(c->in_use);
	if (s->open == 0) {
		s->fn(s->arg, NULL, NULL);
		free_submission(s);
	}
}

static void try_it(void *arg);

static void judged(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		   const char *why)
{
	struct target *t = r->arg;
	struct otd_chain *c = t->s->c;
	struct otd_chain_submit verdict = {.verdict = OTD_CHAIN_UNSURE};
	t->req = NULL;
	if (rc == OTD_OK)
		verdict = res->u.submit;
	else
		snprintf(verdict.reason, sizeof(verdict.reason), "%s", why);
	if (verdict.verdict != OTD_CHAIN_UNSURE || t->tries >= OTD_CHAIN_SUBMIT_TRIES) {
		conclude(t, &verdict);
		return;
	}
	int64_t pause = (int64_t)250 << (t->tries - 1);
	c->env->ops->timer_start(
		t->timer, pause > OTD_CHAIN_SUBMIT_MAX_MS ? OTD_CHAIN_SUBMIT_MAX_MS : pause, 0);
}

static void try_it(void *arg)
{
	struct target *t = arg;
	struct otd_chain_submission *s = t->s;
	struct otd_chain_call q = {.kind = OTD_CHAIN_SUBMIT, .block = {s->block, s->len}};
	memcpy(q.hash, s->hash, sizeof(q.hash));
	t->tries++;
	t->req = otd_chain_ask(t->node, &q, s->c->conf.timeout_ms, judged, t);
	if (!t->req)
		s->c->env->ops->timer_start(t->timer, OTD_CHAIN_SUBMIT_MAX_MS, 0);
}

otd_rc otd_chain_submit(struct otd_chain *c, struct otd_span block, const uint8_t hash[32],
			otd_submit_fn fn, void *arg)
{
	size_t n = 0;
	for (size_t i = 0; i < c->n_nodes; i++)
		n += (c->nodes[i]->roles & OTD_NODE_SUBMIT) != 0;
	if (n == 0)
		return OTD_E_NOT_FOUND;
	struct otd_chain_submission *s = calloc(1, sizeof(*s) + n * sizeof(s->target[0]));
	if (!s)
		return OTD_E_NOMEM;
	s->c = c;
	s->next = c->submissions;
	c->submissions = s;
	s->block = malloc(block.len ? block.len : 1);
	otd_rc rc = s->block ? OTD_OK : OTD_E_NOMEM;
	for (size_t i = 0; i < c->n_nodes && rc == OTD_OK; i++) {
		if (!(c->nodes[i]->roles & OTD_NODE_SUBMIT))
			continue;
		struct target *t = &s->target[s->n++];
		t->s = s;
		t->node = c->nodes[i];
		rc = c->env->ops->timer_create(c->loop, &t->timer, try_it, t);
	}
	if (rc) {
		free_submission(s);
		return rc;
	}
	memcpy(s->block, block.ptr, block.len);
	s->len = block.len;
	memcpy(s->hash, hash, sizeof(s->hash));
	s->fn = fn;
	s->arg = arg;
	s->open = s->n;
	for (size_t i = 0; i < s->n; i++)
		try_it(&s->target[i]);
	return OTD_OK;
}
