/* What follows from other keys: names become pointers, defaults that depend are filled. */
#include "base/text.h"
#include "config/settings_own.h"

#include <string.h>

enum { NAMES_MAX = 256, ENABLE_MAX = 1024 };

/* NULL: there was a problem with it. */
static const struct otd_coin *find_coin(const struct otd_settings *s, const char *id)
{
	for (size_t i = 0; id && i < s->n_coins; i++) {
		if (strcmp(s->coins[i].id, id) == 0)
			return &s->coins[i];
	}
	return NULL;
}

/* Where a coin's network is not said: its first main network, or its own name where it has none. */
static const char *usual_network(const struct otd_coin *c)
{
	return c->main_networks.n ? c->main_networks.item[0] : c->id;
}

static void derive_node(struct otd_settings *s, struct otd_settings_node *n)
{
	static const struct {
		const char *name;
		unsigned bit;
	} roles[] = {{"template", OTD_SETTINGS_TEMPLATE},
		     {"submit", OTD_SETTINGS_SUBMIT},
		     {"wallet", OTD_SETTINGS_WALLET}};
	const struct otd_coin *coin = find_coin(s, n->coin);
	if (!n->network && coin)
		n->network = usual_network(coin);
	n->whole =
		coin && coin->whole && n->network && n->rpc && n->user && n->password && n->cookie;
	for (size_t i = 0; i < n->roles.n; i++) {
		for (size_t j = 0; j < sizeof(roles) / sizeof(roles[0]); j++) {
			if (strcmp(n->roles.item[i], roles[j].name) == 0)
				n->role_bits |= roles[j].bit;
		}
	}
}

static void derive_nodes_of_pool(struct otd_reading *r, struct otd_settings *s,
				 struct otd_settings_pool *p)
{
	const struct otd_yaml *at = otd_settings_at(s, "pools", p->name, "nodes");
	const struct otd_settings_node **nodes =
		otd_arena_alloc(&r->extra->arena, (p->node_names.n + 1) * sizeof(*nodes));
	const char *names[NAMES_MAX];
	if (!nodes) {
		otd_read_no_memory(r);
		return;
	}
	for (size_t i = 0; i < s->n_nodes; i++)
		names[i] = s->nodes[i].name;
	for (size_t i = 0; i < p->node_names.n; i++) {
		const char *name = p->node_names.item[i];
		if (!*name)
			continue; /* no text: said already */
		nodes[p->n_nodes] = otd_settings_node(s, name);
		if (nodes[p->n_nodes]) {
			p->n_nodes++;
			continue;
		}
		const char *near = otd_nearest(name, names, s->n_nodes);
		const struct otd_yaml *entry = otd_yaml_at(at, i);
		otd_read_problem(r, OTD_E_NOT_FOUND, entry ? entry : at, "nodes",
				 "'%.60s' is no node of this file%s%s%s", name,
				 near ? "; did you mean '" : "; describe it under nodes:",
				 near ? near : "", near ? "'?" : "");
	}
	p->nodes = nodes;
}

static void derive_chain(struct otd_reading *r, struct otd_settings *s, struct otd_settings_pool *p)
{
	const struct otd_yaml *own = p->chain.options;
	const struct otd_yaml *at = otd_settings_at(s, "pools", p->name, "network");
	struct otd_yaml *all;
	if (own && otd_yaml_is_plain_null(own))
		own = NULL;
	if (own && (otd_yaml_get(own, "use") || otd_yaml_get(own, "network"))) {
		otd_read_problem(r, OTD_E_INVALID, own, "chain",
				 "'use' stands in the coin file, 'network' is a key of the pool; "
				 "remove it here");
		return;
	}
	all = otd_yaml_overlay(r->extra, p->coin->chain.options, own);
	p->chain.path = otd_arena_format(&r->extra->arena, "pools.%s.chain", p->name);
	if (!all || !p->chain.path || otd_yaml_add_text(r->extra, all, "network", p->network, at)) {
		otd_read_no_memory(r);
		return;
	}
	p->chain.id = p->coin->chain.id;
	p->chain.options = all;
}

static void derive_ports(struct otd_reading *r, struct otd_settings_pool *p)
{
	struct otd_settings_port *port = (struct otd_settings_port *)p->ports;
	size_t outer = otd_read_enter(r, "ports");
	for (size_t i = 0; i < p->n_ports; i++) {
		uint64_t number;
		if (otd_parse_u64(&number, port[i].name, strlen(port[i].name)) || number == 0 ||
		    number > 65535)
			otd_read_problem(r, OTD_E_INVALID, port[i].at, NULL,
					 "'%.20s' is no port: write a number from 1 to 65535",
					 port[i].name);
		else
			port[i].port = (uint16_t)number;
	}
	otd_read_leave(r, outer);
}

/* Pools that an entry of the file's own policies names. */
static void derive_policies(struct otd_reading *r, struct otd_settings *s)
{
	const char *names[NAMES_MAX];
	for (size_t i = 0; i < s->n_pools && i < NAMES_MAX; i++)
		names[i] = s->pools[i].name;
	for (size_t i = 0; i < s->policies.n; i++) {
		const struct otd_settings_texts *t = &s->policies.item[i].pools;
		for (size_t k = 0; k < t->n; k++) {
			if (!*t->item[k] || otd_settings_pool(s, t->item[k]))
				continue;
			const char *near = otd_nearest(t->item[k], names, s->n_pools);
			otd_read_problem(r, OTD_E_NOT_FOUND, s->policies.item[i].at, "policies",
					 "'%.60s' is no pool of this file%s%s%s", t->item[k],
					 near ? "; did you mean '" : "", near ? near : "",
					 near ? "'?" : "");
		}
	}
}

static void derive_pool(struct otd_reading *r, struct otd_settings *s, struct otd_settings_pool *p)
{
	p->coin = find_coin(s, p->coin_id);
	derive_nodes_of_pool(r, s, p);
	derive_ports(r, p);
	if (!p->network && p->n_nodes)
		p->network = p->nodes[0]->network;
	/* Nodes that cannot be found leave open which network was meant. */
	if (!p->network && p->coin && p->node_names.n == 0)
		p->network = usual_network(p->coin);
	if (!p->coin || !p->network)
		return;
	for (size_t i = 0; i < p->coin->main_networks.n; i++)
		p->main_network |= strcmp(p->coin->main_networks.item[i], p->network) == 0;
	derive_chain(r, s, p);
	otd_settings_payments(r, s, p);
	p->whole = p->coin->whole && p->chain.options && p->address && p->tag && p->payout.id;
}

struct enabling {
	struct otd_reading *r;
	const char *item[ENABLE_MAX];
	size_t n;
};

static void enable(struct enabling *e, const char *kind, const char *id)
{
	char *name;
	if (!id || e->n == ENABLE_MAX)
		return;
	name = otd_arena_format(&e->r->extra->arena, "%s/%s", kind, id);
	if (!name) {
		otd_read_no_memory(e->r);
		return;
	}
	for (size_t i = 0; i < e->n; i++) {
		if (strcmp(e->item[i], name) == 0)
			return;
	}
	e->item[e->n++] = name;
}

/* Exactly what the file names. */
static void derive_enable(struct otd_reading *r, struct otd_settings *s)
{
	struct enabling e = {.r = r};
	const char **item;
	enable(&e, "store", s->store.id);
	for (size_t i = 0; i < s->n_coins; i++) {
		enable(&e, "algo", s->coins[i].algorithm.id);
		enable(&e, "chain", s->coins[i].chain.id);
	}
	for (size_t i = 0; i < s->n_pools; i++) {
		enable(&e, "payout", s->pools[i].payout.id);
		for (size_t j = 0; j < s->pools[i].n_ports; j++)
			enable(&e, "payout", s->pools[i].ports[j].payout.id);
	}
	if (s->miner.on)
		enable(&e, "hw", s->miner.use && *s->miner.use ? s->miner.use : "*");
	item = otd_arena_alloc(&r->extra->arena, e.n * sizeof(*item));
	if (!item) {
		otd_read_no_memory(r);
		return;
	}
	memcpy(item, e.item, e.n * sizeof(*item));
	s->plugins.enable.item = item;
	s->plugins.enable.n = e.n;
}

/* "30d", "10GiB", or both; -1: it says something else. */
static void derive_keep(struct otd_settings_journal *j)
{
	for (const char *s = j->keep ? j->keep : ""; *s;) {
		size_t n = strcspn(s, " ");
		int64_t *to = NULL, v = 0;
		if (n && otd_parse_duration(&v, s, n) == OTD_OK)
			to = &j->keep_ms;
		else if (n && otd_parse_size(&v, s, n) == OTD_OK)
			to = &j->keep_bytes;
		if (n && (!to || *to || v <= 0)) {
			j->keep_ms = -1;
			return;
		}
		if (to)
			*to = v;
		s += n + strspn(s + n, " ");
	}
}

void otd_settings_derive(struct otd_reading *r, struct otd_settings *s)
{
	derive_keep(&s->journal);
	for (size_t i = 0; i < s->n_nodes; i++)
		derive_node(s, (struct otd_settings_node *)&s->nodes[i]);
	for (size_t i = 0; i < s->n_pools; i++) {
		size_t outer = otd_settings_enter(r, "pools", s->pools[i].name);
		derive_pool(r, s, (struct otd_settings_pool *)&s->pools[i]);
		otd_read_leave(r, outer);
	}
	derive_policies(r, s);
	if (!s->plugins.enable.item)
		derive_enable(r, s);
	if (!s->socket) {
		size_t n = strlen(s->data_dir);
		const char *slash = s->data_dir[n - 1] == '/' ? "" : "/";
		s->socket =
			otd_arena_format(&r->extra->arena, "%s%sotedama.sock", s->data_dir, slash);
		if (!s->socket)
			otd_read_no_memory(r);
	}
	if (s->miner.on && !s->miner.pool && s->n_pools == 1)
		s->miner.pool = s->pools[0].name;
}
