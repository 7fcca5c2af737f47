/* What stands at a height, by the word of every node that is up. */
#include "chain/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct otd_chain_asking {
	struct otd_chain_asking *next;
	struct otd_chain *c;
	struct otd_chain_call q;
	otd_place_fn fn;
	void *arg;
	size_t open, n_main, n_other, n_not_yet, n_reqs;
	struct otd_chain_block main, other, not_yet;
	char main_node[32], other_node[32], why[240];
	struct otd_chain_req *req[];
};

static void free_asking(struct otd_chain_asking *a)
{
	struct otd_chain_asking **at = &a->c->askings;
	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	for (size_t i = 0; i < a->n_reqs; i++)
		otd_chain_cancel(a->req[i]);
	free(a);
}

void otd_chain_free_askings(struct otd_chain *c)
{
	while (c->askings)
		free_asking(c->askings);
}

static void conclude(struct otd_chain_asking *a)
{
	struct otd_err err = {0};
	const struct otd_chain_block *b = NULL;
	if (a->n_main && a->n_other)
		(void)otd_fail(
			&err, OTD_E_BUSY,
			"nodes disagree about block %llu: it is on the best chain of %s, and "
			"not on that of %s; look which of them is on the wrong chain",
			(unsigned long long)a->q.height, a->main_node, a->other_node);
	else if (a->n_main)
		b = &a->main;
	else if (a->n_not_yet)
		b = &a->not_yet; /* those that are behind may still come to agree with us */
	else if (a->n_other)
		b = &a->other;
	else
		(void)otd_fail(&err, OTD_E_CLOSED, "no node could say what is at height %llu: %s",
			       (unsigned long long)a->q.height, a->why);
	a->fn(a->arg, &err, b);
	free_asking(a);
}

static void said(struct otd_chain_req *r, otd_rc rc, const struct otd_chain_result *res,
		 const char *why)
{
	struct otd_chain_asking *a = r->arg;
	for (size_t i = 0; i < a->n_reqs; i++)
		a->req[i] = a->req[i] == r ? NULL : a->req[i];
	const struct otd_chain_block *b = rc ? NULL : &res->u.block;
	if (!b) {
		snprintf(a->why, sizeof(a->why), "%s: %s", r->node->name, why);
	} else if (b->place == OTD_CHAIN_MAIN) {
		/* The most careful of those that have it. */
		if (a->n_main++ == 0 || b->confirmations < a->main.confirmations)
			a->main = *b;
		memcpy(a->main_node, r->node->name, sizeof(a->main_node));
	} else if (b->place == OTD_CHAIN_OTHER) {
		a->n_other++;
		a->other = *b;
		memcpy(a->other_node, r->node->name, sizeof(a->other_node));
	} else {
		a->n_not_yet++;
		a->not_yet = *b;
	}
	if (--a->open == 0)
		conclude(a);
}

otd_rc otd_chain_place(struct otd_chain *c, uint64_t height, const uint8_t hash[32],
		       otd_place_fn fn, void *arg)
{
	struct otd_chain_asking *a = calloc(1, sizeof(*a) + c->n_nodes * sizeof(a->req[0]));
	if (!a)
		return OTD_E_NOMEM;
	a->c = c;
	a->next = c->askings;
	c->askings = a;
	a->fn = fn;
	a->arg = arg;
	a->q.kind = OTD_CHAIN_BLOCK;
	a->q.height = height;
	memcpy(a->q.hash, hash, sizeof(a->q.hash));
	for (size_t i = 0; i < c->n_nodes; i++) {
		if (!c->nodes[i]->st.up)
			continue;
		struct otd_chain_req *r =
			otd_chain_ask(c->nodes[i], &a->q, c->conf.timeout_ms, said, a);
		if (r)
			a->req[a->n_reqs++] = r;
	}
	a->open = a->n_reqs;
	if (a->open == 0) {
		free_asking(a);
		return OTD_E_CLOSED;
	}
	return OTD_OK;
}

otd_rc otd_chain_place_wallet(struct otd_chain *c, otd_place_fn fn, void *arg)
{
	struct otd_chain_node *n = NULL;
	for (size_t i = 0; i < c->n_nodes && !n; i++)
		n = c->nodes[i]->roles & OTD_NODE_WALLET ? c->nodes[i] : NULL;
	if (c->n_nodes < 2)
		return OTD_E_UNSUPPORTED;
	if (!n || !n->st.up || !n->has_tip)
		return OTD_E_CLOSED;
	return otd_chain_place(c, n->best.height, n->best.hash, fn, arg);
}

void otd_chain_place_forget(struct otd_chain *c, void *arg)
{
	for (struct otd_chain_asking *a = c->askings, *next; a; a = next) {
		next = a->next;
		if (a->arg == arg)
			free_asking(a);
	}
}
