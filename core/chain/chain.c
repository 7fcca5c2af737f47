/* A chain's life, and its plugin's operations with the host's buffers. */
#include "chain/impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BLOCK (64u << 20)

static otd_rc make_nodes(struct otd_chain *c, const struct otd_chain_conf *conf,
			 struct otd_err *err)
{
	/* A chain that is its own node needs no entry under nodes. */
	static const struct otd_node_conf own = {
		.name = "local", .roles = OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT | OTD_NODE_WALLET};
	size_t n = conf->n_nodes;
	if (c->ops->local && n == 0) {
		n = 1;
	} else if (n == 0) {
		return otd_fail(err, OTD_E_INVALID,
				"coin %s has no node; name one under the pool's nodes", c->coin);
	}
	c->nodes = calloc(n, sizeof(struct otd_chain_node *));
	if (!c->nodes)
		return otd_fail(err, OTD_E_NOMEM, "no memory for %zu nodes", n);
	for (size_t i = 0; i < n; i++) {
		otd_rc rc = otd_chain_node_create(&c->nodes[c->n_nodes++], c,
						  conf->n_nodes ? &conf->nodes[i] : &own, err);
		if (rc)
			return rc;
	}
	return OTD_OK;
}

otd_rc otd_chain_create(struct otd_chain **out, struct otd_loop *l,
			const struct otd_chain_conf *conf, struct otd_err *err)
{
	char labels[96];
	struct otd_chain *c = calloc(1, sizeof(*c));
	if (!c)
		return otd_fail(err, OTD_E_NOMEM, "no memory for a chain");
	c->env = l->env;
	c->loop = l;
	c->conf = *conf;
	c->conf.poll_ms = conf->poll_ms > 0 ? conf->poll_ms : 1000;
	c->conf.refresh_ms = conf->refresh_ms > 0 ? conf->refresh_ms : 30000;
	c->conf.timeout_ms = conf->timeout_ms > 0 ? conf->timeout_ms : 10000;
	snprintf(c->coin, sizeof(c->coin), "%s", conf->coin ? conf->coin : "");
	snprintf(c->network, sizeof(c->network), "%s", conf->network ? conf->network : "");
	if (!conf->metrics)
		c->conf.metrics = c->own_metrics = otd_metrics_create();
	c->conf.coin = c->coin;
	c->conf.network = c->network;
	c->ops = otd_instance_chain(conf->plugin);
	c->self = otd_instance_self(conf->plugin);
	otd_rc rc = c->env->ops->timer_create(l, &c->queue, otd_chain_run_queue, c);
	if (rc)
		rc = otd_fail(err, rc, "no timer for coin %s", c->coin);
	else
		rc = make_nodes(c, conf, err);
	if (rc) {
		otd_chain_destroy(c);
		return rc;
	}
	c->conf.nodes = NULL; /* theirs; ours are copies */
	snprintf(labels, sizeof(labels), "coin=\"%s\",network=\"%s\"", c->coin, c->network);
	c->height = otd_metric(c->conf.metrics, OTD_GAUGE, "otd_chain_height", labels,
			       "Height of the block that we mine on");
	*out = c;
	return OTD_OK;
}

void otd_chain_destroy(struct otd_chain *c)
{
	if (!c)
		return;
	otd_chain_free_submissions(c);
	otd_chain_free_askings(c);
	while (c->reqs)
		otd_chain_cancel(c->reqs);
	otd_chain_free_templates(c);
	for (size_t i = 0; i < c->n_nodes; i++)
		otd_chain_node_destroy(c->nodes[i]);
	free(c->nodes);
	while (c->gone) {
		struct otd_chain_node *n = c->gone;
		c->gone = n->next_gone;
		otd_chain_node_destroy(n);
	}
	if (c->queue)
		c->env->ops->timer_destroy(c->queue);
	otd_metrics_destroy(c->own_metrics);
	free(c);
}

void otd_chain_start(struct otd_chain *c)
{
	c->started = true;
	for (size_t i = 0; i < c->n_nodes; i++)
		otd_chain_node_probe(c->nodes[i]);
}

/* --- the plugin's operations --- */

static otd_rc fail(struct otd_chain *c, struct otd_err *err, otd_rc rc, const char *what)
{
	const char *why = otd_instance_error(c->conf.plugin);
	if (what)
		return otd_fail(err, rc, "%s: %s", what, *why ? why : otd_rc_name(rc));
	return otd_fail(err, rc, "%s", *why ? why : otd_rc_name(rc));
}

otd_rc otd_chain_address(struct otd_chain *c, const char *text, size_t n, uint8_t *script,
			 size_t cap, size_t *len, struct otd_err *err)
{
	struct otd_buf b = {.ptr = script, .cap = cap};
	struct otd_span s = {(const uint8_t *)text, n};
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	otd_rc rc = c->ops->address(c->self, s, &b);
	*len = b.len;
	return rc ? fail(c, err, rc, NULL) : OTD_OK;
}

static bool make_room(struct otd_buf *b, struct otd_bytes *in, size_t n)
{
	otd_bytes_clear(in);
	b->cap = n;
	b->len = 0;
	b->ptr = otd_bytes_room(in, n ? n : 1);
	return b->ptr != NULL;
}

otd_rc otd_chain_job(struct otd_chain *c, struct otd_template *t,
		     const struct otd_chain_coinbase *cb, struct otd_job_parts *out,
		     struct otd_err *err)
{
	struct otd_chain_job j = {.size = sizeof(j)};
	size_t one = 256, two = 512, three = 32 * 16;
	otd_rc rc = OTD_E_RANGE;
	for (int i = 0; i < 3 && rc == OTD_E_RANGE; i++) {
		if (!make_room(&j.coinbase1, &out->coinbase1, one) ||
		    !make_room(&j.coinbase2, &out->coinbase2, two) ||
		    !make_room(&j.branches, &out->branches, three))
			return otd_fail(err, OTD_E_NOMEM, "no room for a job");
		OTD_ON(OTD_THREAD_COORDINATOR);
		otd_instance_clear_error(c->conf.plugin);
		rc = c->ops->job(c->self, t, cb, &j);
		if (rc == OTD_E_RANGE && j.coinbase1.len <= one && j.coinbase2.len <= two &&
		    j.branches.len <= three)
			break; /* out of range is something else, not our buffers */
		one = j.coinbase1.len > one ? j.coinbase1.len : one;
		two = j.coinbase2.len > two ? j.coinbase2.len : two;
		three = j.branches.len > three ? j.branches.len : three;
	}
	if (rc)
		return fail(c, err, rc, "cannot make a job");
	out->coinbase1.len = j.coinbase1.len;
	out->coinbase2.len = j.coinbase2.len;
	out->branches.len = j.branches.len;
	return OTD_OK;
}

otd_rc otd_chain_assemble(struct otd_chain *c, struct otd_template *t, struct otd_span header,
			  struct otd_span coinbase, struct otd_bytes *out, struct otd_err *err)
{
	struct otd_buf b = {0};
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	otd_rc rc = c->ops->assemble(c->self, t, header, coinbase, &b);
	if (rc == OTD_E_RANGE && b.len > 0 && b.len <= MAX_BLOCK) {
		if (!make_room(&b, out, b.len))
			return otd_fail(err, OTD_E_NOMEM, "no room for a block");
		rc = c->ops->assemble(c->self, t, header, coinbase, &b);
	}
	if (rc)
		return fail(c, err, rc, "cannot assemble a block");
	out->len = b.len;
	return OTD_OK;
}

bool otd_chain_can_save(const struct otd_chain *c)
{
	return c->ops->template_save && c->ops->template_load;
}

otd_rc otd_chain_save(struct otd_chain *c, struct otd_template *t, struct otd_bytes *head,
		      struct otd_bytes *body, struct otd_err *err)
{
	struct otd_buf h = {0}, b = {0};
	otd_rc rc = OTD_E_RANGE;
	if (!otd_chain_can_save(c))
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"the chain plugin of %s cannot hand its work over", c->coin);
	for (int i = 0; i < 2 && rc == OTD_E_RANGE; i++) {
		h.cap = h.len ? h.len : 1024;
		b.cap = b.len;
		h.ptr = otd_bytes_room(head, h.cap);
		b.ptr = otd_bytes_room(body, b.cap ? b.cap : 1);
		if (!h.ptr || !b.ptr || b.len > MAX_BLOCK)
			return otd_fail(err, OTD_E_NOMEM, "no room to save a template");
		OTD_ON(OTD_THREAD_COORDINATOR);
		otd_instance_clear_error(c->conf.plugin);
		h.len = b.len = 0;
		rc = c->ops->template_save(c->self, t, &h, &b);
	}
	if (rc)
		return fail(c, err, rc, "cannot save a template");
	head->len += h.len;
	body->len += b.len;
	return OTD_OK;
}

otd_rc otd_chain_load(struct otd_chain *c, struct otd_template **out, struct otd_span head,
		      struct otd_span body, bool newest, struct otd_err *err)
{
	struct otd_chain_template t = {0};
	if (!otd_chain_can_save(c))
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"the chain plugin of %s cannot take over work", c->coin);
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	otd_rc rc = c->ops->template_load(c->self, head, body, &t);
	if (rc)
		return fail(c, err, rc, "cannot take over a template");
	*out = t.handle;
	rc = otd_chain_hold(c, &t, newest);
	return rc ? otd_fail(err, rc, "no memory for a template") : OTD_OK;
}

otd_rc otd_chain_command(struct otd_chain *c, struct otd_span words, struct otd_bytes *answer,
			 struct otd_err *err)
{
	uint8_t text[65536];
	struct otd_buf b = {.ptr = text, .cap = sizeof(text)};
	if (!c->ops->command)
		return otd_fail(err, OTD_E_UNSUPPORTED, "coin %s takes no commands", c->coin);
	OTD_ON(OTD_THREAD_COORDINATOR);
	otd_instance_clear_error(c->conf.plugin);
	otd_rc rc = c->ops->command(c->self, words, &b);
	/* Even a command that failed may have moved the tip. */
	for (size_t i = 0; i < c->n_nodes; i++)
		otd_chain_node_poll(c->nodes[i]);
	if (rc)
		return fail(c, err, rc, NULL);
	if (otd_bytes_add(answer, b.ptr, b.len))
		return otd_fail(err, OTD_E_NOMEM, "no room for the answer");
	return OTD_OK;
}

size_t otd_chain_nodes(struct otd_chain *c)
{
	return c->n_nodes;
}

void otd_chain_node_status(struct otd_chain *c, size_t i, struct otd_node_status *out)
{
	*out = c->nodes[i]->st;
	otd_chain_notice_status(c->nodes[i], out);
}
