/* What one key alone cannot show: keys that do not go together. */
#include "base/text.h"
#include "config/settings_own.h"

#include <stdio.h>
#include <string.h>

static bool same(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* --- nodes --- */

static void check_node(struct otd_reading *r, const struct otd_settings *s,
		       const struct otd_settings_node *n)
{
	if (!n->whole)
		return;
	const char *rest = strncmp(n->rpc, "http://", 7) == 0    ? n->rpc + 7
			   : strncmp(n->rpc, "https://", 8) == 0 ? n->rpc + 8
								 : NULL;
	const struct otd_yaml *at = otd_settings_at(s, "nodes", n->name, "rpc");
	if (!rest || !*rest || *rest == '/' || strpbrk(n->rpc, " \t\r\n\"<>"))
		otd_read_problem(r, OTD_E_INVALID, at, "rpc",
				 "is not http://HOST:PORT or https://HOST:PORT");
	else if (strchr(rest, '@'))
		otd_read_problem(r, OTD_E_INVALID, at, "rpc",
				 "has a user in it; write user and password as keys of their own");
	if (*n->zmq && (strncmp(n->zmq, "tcp://", 6) != 0 || !strchr(n->zmq + 6, ':') ||
			strpbrk(n->zmq, " \t\r\n\"*")))
		otd_read_problem(r, OTD_E_INVALID, otd_settings_at(s, "nodes", n->name, "zmq"),
				 "zmq",
				 "is not tcp://HOST:PORT, the address that the node's "
				 "zmqpubhashblock has");
	if (*n->cookie && (*n->user || *n->password))
		otd_read_problem(r, OTD_E_INVALID, otd_settings_at(s, "nodes", n->name, "cookie"),
				 "cookie", "stands beside user or password; keep one of the two");
	if (*n->password && !*n->user)
		otd_read_problem(r, OTD_E_INVALID, otd_settings_at(s, "nodes", n->name, "password"),
				 "password", "has no user; add the key user");
}

/* --- pools --- */

static void check_pool_nodes(struct otd_reading *r, const struct otd_settings *s,
			     const struct otd_settings_pool *p)
{
	const struct otd_yaml *at = otd_settings_at(s, "pools", p->name, "nodes");
	unsigned roles = 0;
	if (otd_settings_faulty(s, at))
		return;
	for (size_t i = 0; i < p->n_nodes; i++) {
		const struct otd_settings_node *n = p->nodes[i];
		roles |= n->role_bits;
		if (!n->whole || !p->coin || !p->network)
			continue;
		if (!same(n->coin, p->coin_id))
			otd_read_problem(r, OTD_E_INVALID, at, "nodes",
					 "'%s' is a node of %s; this pool mines %s: name a node of "
					 "%s, or change one of the two",
					 n->name, n->coin, p->coin_id, p->coin_id);
		else if (!same(n->network, p->network))
			otd_read_problem(r, OTD_E_INVALID, at, "nodes",
					 "'%s' is on network %s, this pool on %s; set network to "
					 "the same on both",
					 n->name, n->network, p->network);
	}
	if (p->n_nodes && !(roles & OTD_SETTINGS_TEMPLATE))
		otd_read_problem(r, OTD_E_INVALID, at, "nodes",
				 "none has the role template; add it to the roles of one");
	if (p->n_nodes && !(roles & OTD_SETTINGS_SUBMIT))
		otd_read_problem(r, OTD_E_INVALID, at, "nodes",
				 "none has the role submit; add it to the roles of one");
}

/* A key of a port as it is written, or the port where it is not. */
static const struct otd_yaml *port_at(const struct otd_settings *s,
				      const struct otd_settings_pool *p,
				      const struct otd_settings_port *port, const char *key)
{
	const struct otd_yaml *ports = otd_settings_at(s, "pools", p->name, "ports");
	const struct otd_yaml *map = otd_yaml_get(ports, port->name);
	const struct otd_yaml *value = map ? otd_yaml_get(map, key) : NULL;
	return value ? value : port->at;
}

static void check_difficulty(struct otd_reading *r, const struct otd_settings *s,
			     const struct otd_settings_pool *p,
			     const struct otd_settings_port *port)
{
	const struct otd_yaml *at = port_at(s, p, port, "difficulty");
	const struct otd_settings_difficulty *d = &port->difficulty;
	const char *const text[] = {d->start, d->min, d->max};
	if (!d->start || !d->min || !d->max || otd_settings_faulty(s, at))
		return;
	struct otd_u256 t[3]; /* targets: the larger, the easier */
	/* Any difficulty 1 gives the same order; this one leaves room on both sides. */
	struct otd_u256 one = otd_u256_shl(otd_u256_from_u64(1), 128);
	for (size_t i = 0; i < 3; i++) {
		if (otd_difficulty_parse(&t[i], text[i], strlen(text[i]), one))
			return; /* its form was judged already */
	}
	if (otd_u256_cmp(t[1], t[2]) < 0)
		otd_read_problem(r, OTD_E_INVALID, at, "difficulty",
				 "min %s is above max %s; exchange them", d->min, d->max);
	else if (otd_u256_cmp(t[0], t[1]) > 0)
		otd_read_problem(r, OTD_E_INVALID, at, "difficulty",
				 "start %s is below min %s; raise start or lower min", d->start,
				 d->min);
	else if (otd_u256_cmp(t[0], t[2]) < 0)
		otd_read_problem(r, OTD_E_INVALID, at, "difficulty",
				 "start %s is above max %s; lower start or raise max", d->start,
				 d->max);
}

static void check_tag(struct otd_reading *r, const struct otd_settings *s,
		      const struct otd_settings_pool *p)
{
	for (const char *c = p->tag; c && *c; c++) {
		if (*c < ' ' || *c > '~') {
			const struct otd_yaml *at =
				otd_settings_at(s, "pools", p->name, "coinbase");
			otd_read_problem(r, OTD_E_INVALID, at, "coinbase.tag",
					 "has a character that is not printable ASCII");
			return;
		}
	}
}

static void check_pool(struct otd_reading *r, const struct otd_settings *s,
		       const struct otd_settings_pool *p)
{
	check_pool_nodes(r, s, p);
	check_tag(r, s, p);
	if (p->difficulty_floor && *p->difficulty_floor && p->main_network)
		otd_read_problem(r, OTD_E_INVALID,
				 otd_settings_at(s, "pools", p->name, "block_difficulty_floor"),
				 "block_difficulty_floor",
				 "is for test networks, and %s is a main network of %s; remove it",
				 p->network, p->coin_id);
	size_t outer = otd_read_enter(r, "ports");
	for (size_t i = 0; i < p->n_ports; i++) {
		size_t inner = otd_read_enter(r, p->ports[i].name);
		check_difficulty(r, s, p, &p->ports[i]);
		otd_read_leave(r, inner);
	}
	otd_read_leave(r, outer);
}

/* --- listening twice --- */

enum { ENDS_MAX = 4096 };

struct end {
	const char *host, *key;
	uint16_t port;
};

struct ends {
	struct end end[ENDS_MAX];
	size_t n;
};

static bool every(const char *host)
{
	return same(host, "*") || same(host, "0.0.0.0") || same(host, "::");
}

static void add_end(struct otd_reading *r, struct ends *e, const char *host, uint16_t port,
		    const char *key, const struct otd_yaml *at)
{
	for (size_t i = 0; host && port && i < e->n; i++) {
		if (e->end[i].port != port)
			continue;
		if (every(host) || every(e->end[i].host) || same(host, e->end[i].host))
			otd_read_problem(r, OTD_E_EXISTS, at, key,
					 "port %u is taken by %s of this file; choose another",
					 (unsigned)port, e->end[i].key);
	}
	if (host && port && e->n < ENDS_MAX)
		e->end[e->n++] = (struct end){host, key, port};
}

static void check_ports(struct otd_reading *r, const struct otd_settings *s)
{
	const struct otd_yaml *api = otd_settings_at(s, "api", NULL, "listen");
	const struct otd_yaml *metrics = otd_settings_at(s, "metrics", NULL, "listen");
	struct ends *e = otd_arena_alloc(&r->extra->arena, sizeof(*e));
	if (!e) {
		otd_read_no_memory(r);
		return;
	}
	for (size_t i = 0; i < s->n_pools; i++) {
		const struct otd_settings_pool *p = &s->pools[i];
		for (size_t j = 0; j < p->n_ports; j++) {
			const char *key = otd_arena_format(&r->extra->arena, "pools.%s.ports.%s",
							   p->name, p->ports[j].name);
			add_end(r, e, p->ports[j].listen, p->ports[j].port, key ? key : p->name,
				p->ports[j].at);
		}
	}
	if (!s->api.off && !otd_settings_faulty(s, api))
		add_end(r, e, s->api.host, s->api.port, "api.listen", api);
	if (!s->metrics.off && !otd_settings_faulty(s, metrics))
		add_end(r, e, s->metrics.host, s->metrics.port, "metrics.listen", metrics);
}

/* --- plugins --- */

static bool enabled(const struct otd_settings *s, const char *kind, const char *id)
{
	size_t n = strlen(kind);
	for (size_t i = 0; i < s->plugins.enable.n; i++) {
		const char *e = s->plugins.enable.item[i];
		if (strncmp(e, kind, n) == 0 && e[n] == '/' &&
		    (same(e + n + 1, "*") || same(e + n + 1, id)))
			return true;
	}
	return false;
}

static void check_enabled(struct otd_reading *r, const struct otd_settings *s, const char *kind,
			  const struct otd_settings_use *use)
{
	if (use->id && use->path && !enabled(s, kind, use->id))
		otd_read_problem(r, OTD_E_INVALID, use->options, use->path,
				 "uses the plugin %s/%s, which is not enabled; add %s/%s to "
				 "plugins.enable",
				 kind, use->id, kind, use->id);
}

/* Blocks say by their top three bits that the others are signals (BIP 9); BIP 320 leaves 16 of
   those to miners. */
static void check_coins(struct otd_reading *r, const struct otd_settings *s)
{
	for (size_t i = 0; i < s->n_coins; i++) {
		const struct otd_coin *c = &s->coins[i];
		const struct otd_yaml *mask = c->at && otd_yaml_kind(c->at) == OTD_YAML_MAP
						      ? otd_yaml_get(c->at, "version_mask")
						      : NULL;
		if (mask && (c->version_mask & 0xe0000000u))
			otd_read_problem(r, OTD_E_RANGE, mask, "version_mask",
					 "'%08x' has one of the three highest bits, by which a "
					 "version says that the others are signals; BIP 320 leaves "
					 "1fffe000 to miners",
					 (unsigned)c->version_mask);
	}
}

/* "KIND/ID=SHA256" */
static void check_digests(struct otd_reading *r, const struct otd_settings *s)
{
	for (size_t i = 0; i < s->plugins.digests.n; i++) {
		const char *d = s->plugins.digests.item[i], *is = strchr(d, '=');
		const char *slash = memchr(d, '/', is ? (size_t)(is - d) : 0);
		if (!slash || slash == d || is == slash + 1 || strlen(is + 1) != 64 ||
		    strspn(is + 1, "0123456789abcdef") != 64)
			otd_read_problem(
				r, OTD_E_INVALID, otd_settings_at(s, "plugins", NULL, "digests"),
				"digests",
				"'%.120s' is not KIND/ID=SHA256 with 64 lower-case hex digits; "
				"'otedama plugin lock' writes them",
				d);
	}
}

static void check_plugins(struct otd_reading *r, const struct otd_settings *s)
{
	static const char *const kinds[] = {"algo", "payout", "hw",   "dex",
					    "defi", "chain",  "store"};
	enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };
	const struct otd_yaml *at = otd_settings_at(s, "plugins", NULL, "enable");
	size_t outer = otd_read_enter(r, "plugins");
	for (size_t i = 0; i < s->plugins.enable.n; i++) {
		const char *e = s->plugins.enable.item[i], *slash = strchr(e, '/');
		size_t k = 0;
		while (slash && k < N_KINDS &&
		       (strlen(kinds[k]) != (size_t)(slash - e) ||
			strncmp(kinds[k], e, (size_t)(slash - e)) != 0))
			k++;
		char kind[16];
		(void)snprintf(kind, sizeof(kind), "%.*s",
			       slash ? (int)(slash - e) : (int)strlen(e), e);
		const char *near = k == N_KINDS ? otd_nearest(kind, kinds, N_KINDS) : NULL;
		if (!slash || k == N_KINDS || (!same(slash + 1, "*") && !otd_is_name(slash + 1)))
			otd_read_problem(r, OTD_E_INVALID, at, "enable",
					 "'%.60s' is not KIND/ID or KIND/*, with KIND one of algo, "
					 "payout, hw, dex, defi, chain, store%s%s%s",
					 e, near ? "; did you mean '" : "", near ? near : "",
					 near ? "'?" : "");
	}
	check_digests(r, s);
	otd_read_leave(r, outer);
	if (otd_settings_faulty(s, at))
		return;
	check_enabled(r, s, "store", &s->store);
	for (size_t i = 0; i < s->n_coins; i++) {
		check_enabled(r, s, "algo", &s->coins[i].algorithm);
		check_enabled(r, s, "chain", &s->coins[i].chain);
	}
	for (size_t i = 0; i < s->n_pools; i++) {
		check_enabled(r, s, "payout", &s->pools[i].payout);
		for (size_t j = 0; j < s->pools[i].n_ports; j++)
			check_enabled(r, s, "payout", &s->pools[i].ports[j].payout);
	}
}

static void check_miner(struct otd_reading *r, const struct otd_settings *s)
{
	const struct otd_yaml *at = otd_settings_at(s, "miner", NULL, "pool");
	if (!s->miner.on || otd_settings_faulty(s, at))
		return;
	if (!s->miner.pool)
		otd_read_problem(r, OTD_E_INVALID, at, "miner.pool",
				 "is missing: there is more than one pool, say which");
	else if (!otd_settings_pool(s, s->miner.pool)) {
		const char *names[256];
		size_t n = 0;
		for (; n < s->n_pools && n < 256; n++)
			names[n] = s->pools[n].name;
		const char *near = otd_nearest(s->miner.pool, names, n);
		otd_read_problem(r, OTD_E_INVALID, at, "miner.pool",
				 "'%.60s' is no pool of this file%s%s%s", s->miner.pool,
				 near ? "; did you mean '" : "; describe it under pools:",
				 near ? near : "", near ? "'?" : "");
	}
}

static void check_journal(struct otd_reading *r, const struct otd_settings *s)
{
	const struct otd_settings_journal *j = &s->journal;
	const struct otd_yaml *at = otd_settings_at(s, "journal", NULL, "max");
	const struct otd_yaml *journal = otd_yaml_get(otd_yaml_root(s->doc), "journal");
	if (journal && otd_settings_faulty(s, journal))
		return;
	if (j->max_bytes < 2 * j->segment_bytes)
		otd_read_problem(r, OTD_E_RANGE, at, "journal.max",
				 "is less than two segments; raise it or lower segment");
	if (j->coordinator_max_bytes < 2 * j->coordinator_segment_bytes)
		otd_read_problem(r, OTD_E_RANGE, at, "journal.coordinator_max",
				 "is less than two segments; raise it or lower "
				 "coordinator_segment");
}

static void check_keep(struct otd_reading *r, const struct otd_settings *s)
{
	if (s->journal.keep_ms < 0)
		otd_read_problem(r, OTD_E_INVALID, otd_settings_at(s, "journal", NULL, "keep"),
				 "journal.keep",
				 "'%.40s' is neither a time nor a size; write 30d, 10GiB, or both "
				 "with a blank between them",
				 s->journal.keep);
}

static void check_history(struct otd_reading *r, const struct otd_settings *s)
{
	if (s->history.hours_ms < s->history.minutes_ms)
		otd_read_problem(r, OTD_E_RANGE, otd_settings_at(s, "history", NULL, "hours"),
				 "history.hours", "is less than history.minutes; raise it");
}

void otd_settings_check(struct otd_reading *r, const struct otd_settings *s)
{
	if (s->socket && strlen(s->socket) > 107)
		otd_read_problem(r, OTD_E_RANGE, otd_settings_at(s, "data_dir", NULL, ""), "socket",
				 "'%.120s' is longer than the 107 bytes that a socket's path may "
				 "have; set socket to a shorter one",
				 s->socket);
	for (size_t i = 0; i < s->n_nodes; i++) {
		size_t outer = otd_settings_enter(r, "nodes", s->nodes[i].name);
		check_node(r, s, &s->nodes[i]);
		otd_read_leave(r, outer);
	}
	for (size_t i = 0; i < s->n_pools; i++) {
		size_t outer = otd_settings_enter(r, "pools", s->pools[i].name);
		check_pool(r, s, &s->pools[i]);
		otd_read_leave(r, outer);
	}
	check_ports(r, s);
	check_plugins(r, s);
	check_coins(r, s);
	check_miner(r, s);
	check_journal(r, s);
	check_keep(r, s);
	check_history(r, s);
}
