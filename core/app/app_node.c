/* Every node of every chain as JSON, from memory. Nothing of it is a secret. */
#include "app/app_node.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "app/app.h"

static const char *state_of(const struct otd_node_status *n)
{
	if (!n->requests)
		return "not asked yet";
	return n->syncing ? "syncing" : n->up ? "up" : "down";
}

static json_t *roles_of(unsigned roles)
{
	json_t *a = json_array();
	if (roles & OTD_NODE_TEMPLATE)
		(void)json_array_append_new(a, json_string("template"));
	if (roles & OTD_NODE_SUBMIT)
		(void)json_array_append_new(a, json_string("submit"));
	if (roles & OTD_NODE_WALLET)
		(void)json_array_append_new(a, json_string("wallet"));
	return a;
}

/* A node's texts are a stranger's. */
static json_t *text(const char *s)
{
	json_t *t = json_string(s);
	return t ? t : json_string("?");
}

static json_t *node_json(struct otd_app *app, const struct otd_app_chain *c, size_t i)
{
	struct otd_node_status n;
	json_t *pools = json_array();
	otd_chain_node_status(c->chain, i, &n);
	for (size_t k = 0; k < app->n_pools; k++) {
		if (app->pools[k].settings && app->pools[k].chain == c)
			(void)json_array_append_new(pools, text(app->pools[k].settings->name));
	}
	json_t *o = json_pack("{s:o, s:s, s:s, s:o, s:o, s:s, s:b}", "name", text(n.name), "coin",
			      c->coin, "network", c->network, "pools", pools, "roles",
			      roles_of(n.roles), "state", state_of(&n), "in_use", (int)n.in_use);
	if (!o)
		return NULL;
	(void)json_object_set_new(o, "height", json_integer((json_int_t)n.height));
	(void)json_object_set_new(o, "software", text(n.software));
	(void)json_object_set_new(o, "last_ok_ms", json_integer(n.last_ok_ms));
	(void)json_object_set_new(o, "latency_us", json_integer((json_int_t)n.latency_us));
	(void)json_object_set_new(o, "requests", json_integer((json_int_t)n.requests));
	(void)json_object_set_new(o, "errors", json_integer((json_int_t)n.errors));
	json_t *tips = json_object();
	for (int by = 0; by < OTD_TIP_BYS; by++)
		(void)json_object_set_new(tips, otd_tip_by_name((enum otd_tip_by)by),
					  json_integer((json_int_t)n.tips[by]));
	(void)json_object_set_new(o, "tips_first_by", tips);
	(void)json_object_set_new(o, "zmq",
				  json_pack("{s:s, s:o, s:I, s:I, s:I}", "state", n.zmq, "why",
					    text(n.zmq_why), "notices", (json_int_t)n.zmq_notices,
					    "missed", (json_int_t)n.zmq_missed, "connects",
					    (json_int_t)n.zmq_connects));
	(void)json_object_set_new(o, "why", text(n.up ? "" : n.last_error));
	(void)json_object_set_new(o, "last_error", text(n.last_failure));
	(void)json_object_set_new(o, "last_error_ms", json_integer(n.last_failure_ms));
	return o;
}

void otd_app_node_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	struct otd_bytes b;
	json_t *nodes = json_array();
	if (strcmp(words, "list") != 0)
		otd_fail(&err, OTD_E_INVALID, "say list, not '%.40s'", words);
	for (size_t i = 0; i < app->n_chains && !err.rc; i++) {
		const struct otd_app_chain *c = &app->chains[i];
		for (size_t k = 0; c->chain && k < otd_chain_nodes(c->chain); k++)
			(void)json_array_append_new(nodes, node_json(app, c, k));
	}
	json_t *o = json_pack("{s:I, s:o}", "now_ms", (json_int_t)otd_wall_ms(app->env), "nodes",
			      nodes);
	char *out = o ? json_dumps(o, JSON_COMPACT) : NULL;
	otd_bytes_init(&b, 1u << 20);
	if (!err.rc && (!out || otd_bytes_text(&b, out) != OTD_OK))
		otd_fail(&err, OTD_E_NOMEM, "out of memory");
	otd_control_answer(r, &err, &b);
	otd_bytes_finish(&b);
	free(out);
	json_decref(o);
}
