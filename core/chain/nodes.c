/* Nodes that come and go while the chain is in use. */
#include "chain/impl.h"

#include <stdlib.h>
#include <string.h>

struct otd_chain_nodes_change {
	struct otd_chain_node **nodes; /* in the new order */
	bool *fresh;                   /* made for this */
	unsigned *roles;
	size_t n;
};

void otd_chain_discard_nodes(struct otd_chain_nodes_change *d)
{
	if (!d)
		return;
	for (size_t i = 0; d->nodes && i < d->n; i++) {
		if (d->fresh[i])
			otd_chain_node_destroy(d->nodes[i]);
	}
	free(d->nodes);
	free(d->fresh);
	free(d->roles);
	free(d);
}

static struct otd_chain_node *find(const struct otd_chain *c, const struct otd_node_conf *conf)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		if (otd_chain_node_is(c->nodes[i], conf))
			return c->nodes[i];
	}
	return NULL;
}

otd_rc otd_chain_prepare_nodes(struct otd_chain *c, struct otd_chain_nodes_change **out,
			       const struct otd_node_conf *nodes, size_t n, struct otd_err *err)
{
	struct otd_chain_nodes_change *d = calloc(1, sizeof(*d));
	otd_rc rc = OTD_OK;
	*out = NULL;
	if (d) {
		d->nodes = calloc(n + 1, sizeof(struct otd_chain_node *));
		d->fresh = calloc(n + 1, sizeof(*d->fresh));
		d->roles = calloc(n + 1, sizeof(*d->roles));
	}
	if (!d || !d->nodes || !d->fresh || !d->roles)
		rc = otd_fail(err, OTD_E_NOMEM, "no memory for %zu nodes", n);
	for (size_t i = 0; rc == OTD_OK && i < n; i++) {
		d->roles[i] = nodes[i].roles;
		d->nodes[i] = find(c, &nodes[i]);
		d->fresh[i] = !d->nodes[i];
		d->n++;
		if (d->fresh[i])
			rc = otd_chain_node_create(&d->nodes[i], c, &nodes[i], err);
	}
	if (rc)
		otd_chain_discard_nodes(d);
	else
		*out = d;
	return rc;
}

static bool is_among(const struct otd_chain *c, const struct otd_chain_node *n)
{
	for (size_t i = 0; i < c->n_nodes; i++) {
		if (c->nodes[i] == n)
			return true;
	}
	return false;
}

static bool is_busy(const struct otd_chain *c, const struct otd_chain_node *n)
{
	for (const struct otd_chain_req *r = c->reqs; r; r = r->next) {
		if (r->node == n)
			return true;
	}
	return otd_chain_submits_to(c, n);
}

static void sweep(struct otd_chain *c)
{
	struct otd_chain_node **at = &c->gone;
	while (*at) {
		struct otd_chain_node *n = *at;
		if (is_busy(c, n)) {
			at = &n->next_gone;
			continue;
		}
		*at = n->next_gone;
		otd_chain_node_destroy(n);
	}
}

void otd_chain_take_nodes(struct otd_chain *c, struct otd_chain_nodes_change *d)
{
	struct otd_chain_node **old = c->nodes;
	size_t n_old = c->n_nodes;
	c->nodes = d->nodes;
	c->n_nodes = d->n;
	d->nodes = NULL;
	for (size_t i = 0; i < n_old; i++) {
		struct otd_chain_node *n = old[i];
		if (is_among(c, n))
			continue;
		otd_log(OTD_LOG_INFO, "chain", "node.removed", "node=%s", n->name);
		otd_chain_node_retire(n);
		n->next_gone = c->gone;
		c->gone = n;
	}
	free(old);
	for (size_t i = 0; i < c->n_nodes; i++) {
		struct otd_chain_node *n = c->nodes[i];
		n->roles = n->st.roles = d->roles[i];
		if (d->fresh[i] && c->started)
			otd_chain_node_probe(n);
	}
	otd_chain_discard_nodes(d);
	sweep(c);
	otd_chain_choose(c);
}

void otd_chain_set_times(struct otd_chain *c, int64_t poll_ms, int64_t refresh_ms,
			 int64_t timeout_ms)
{
	bool polls = c->conf.poll_ms != poll_ms;
	c->conf.poll_ms = poll_ms;
	c->conf.refresh_ms = refresh_ms;
	c->conf.timeout_ms = timeout_ms;
	for (size_t i = 0; polls && i < c->n_nodes; i++) {
		if (c->nodes[i]->st.up)
			c->env->ops->timer_start(c->nodes[i]->timer, poll_ms, poll_ms);
	}
}
