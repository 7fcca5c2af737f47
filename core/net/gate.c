/* The gate before the reactors: limits by address and in all, and who has how many. */
#include "base/map.h"
#include "net/bans.h"
#include "net/listener.h"
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

/* Tokens of the rate limit are kept in thousandths: one a millisecond and unit of rate. */
#define TOKEN 1000

/* One address; in the free list, count is the index of the next. */
struct entry {
	uint8_t address[16];
	uint32_t count;
	uint32_t tokens;
	int64_t at_ms; /* when tokens was right */
};

struct otd_gate {
	struct otd_env *env;
	struct otd_gate_conf conf;
	struct otd_map *map; /* address -> index of entries */
	struct entry *entries;
	uint32_t n_entries, cap_entries; /* used or once used; room for */
	uint32_t unused;                 /* head of the free list, UINT32_MAX: none */
	int64_t swept_ms;
	uint32_t count;
	uint16_t reactors;
	uint32_t load[OTD_NET_REACTORS_MAX];
	const struct otd_bans *bans; /* or NULL */
	struct otd_metric *m_in, *m_total, *m_address, *m_rate, *m_table, *m_banned;
};

static int64_t now_ms(const struct otd_gate *g)
{
	return (int64_t)(otd_mono_ns(g->env) / 1000000);
}

/* An IPv6 host usually has its whole /64: that is one address here. */
static void address_of(uint8_t to[16], const char *host)
{
	memset(to, 0, 16);
	if (inet_pton(AF_INET, host, to + 12) == 1) {
		to[10] = to[11] = 0xff;
	} else if (inet_pton(AF_INET6, host, to) == 1) {
		if (!IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)to))
			memset(to + 8, 0, 8);
	} else {
		memset(to, 0, 16); /* unknown ones share a place */
	}
}

/* --- the table of addresses --- */

static void refill(const struct otd_gate *g, struct entry *e, int64_t now)
{
	uint64_t full = (uint64_t)g->conf.burst * TOKEN;
	uint64_t more = (uint64_t)(now - e->at_ms) * g->conf.rate;
	uint64_t tokens = e->tokens + (more < full ? more : full);
	e->tokens = (uint32_t)(tokens < full ? tokens : full);
	e->at_ms = now;
}

static void entry_free(struct otd_gate *g, uint32_t i)
{
	struct entry *e = &g->entries[i];
	(void)otd_map_remove(g->map, e->address, sizeof(e->address), NULL);
	e->count = g->unused;
	e->at_ms = -1;
	g->unused = i;
}

/* Forgets the addresses that have no connection and a full bucket: nothing is lost by it. */
static void sweep(struct otd_gate *g, int64_t now)
{
	g->swept_ms = now;
	for (uint32_t i = 0; i < g->n_entries; i++) {
		struct entry *e = &g->entries[i];
		if (e->at_ms < 0 || e->count)
			continue;
		refill(g, e, now);
		if (e->tokens >= (uint64_t)g->conf.burst * TOKEN)
			entry_free(g, i);
	}
}

static bool grow(struct otd_gate *g)
{
	uint32_t cap = g->cap_entries ? 2 * g->cap_entries : 256;
	struct entry *p;
	if (cap > g->conf.addresses)
		cap = g->conf.addresses;
	if (cap <= g->cap_entries)
		return false;
	p = realloc(g->entries, cap * sizeof(*p));
	if (!p)
		return false;
	g->entries = p;
	g->cap_entries = cap;
	return true;
}

/* The entry of an address, made where it is missing; NULL: no room. */
static struct entry *entry_of(struct otd_gate *g, const uint8_t address[16], int64_t now)
{
	struct entry *e;
	uint64_t at;
	uint32_t i;
	if (otd_map_get(g->map, address, 16, &at)) {
		e = &g->entries[at];
		refill(g, e, now);
		return e;
	}
	if (g->unused == UINT32_MAX && g->n_entries == g->cap_entries && !grow(g) &&
	    now - g->swept_ms >= 1000)
		sweep(g, now);
	if (g->unused != UINT32_MAX) {
		i = g->unused;
		g->unused = g->entries[i].count;
	} else if (g->n_entries < g->cap_entries) {
		i = g->n_entries++;
	} else {
		return NULL;
	}
	e = &g->entries[i];
	memcpy(e->address, address, 16);
	e->count = 0;
	e->tokens = g->conf.burst * TOKEN;
	e->at_ms = now;
	if (otd_map_put(g->map, address, 16, i)) {
		e->count = g->unused;
		e->at_ms = -1;
		g->unused = i;
		return NULL;
	}
	return e;
}

/* --- the gate --- */

void otd_gate_reconfigure(struct otd_gate *g, const struct otd_gate_conf *conf)
{
	struct otd_gate_conf f = *conf;
	f.total = f.total ? f.total : 100000;
	f.per_address = f.per_address ? f.per_address : 4096;
	f.rate = f.rate ? f.rate : 512;
	f.burst = f.burst ? f.burst : 2048;
	f.addresses = f.addresses ? f.addresses : 131072;
	/* Tokens are 32 bits wide; the map was made for so many addresses. */
	if (f.burst > UINT32_MAX / TOKEN)
		f.burst = UINT32_MAX / TOKEN;
	if (g->map && f.addresses > g->conf.addresses)
		f.addresses = g->conf.addresses;
	g->conf = f;
}

static void metrics_make(struct otd_gate *g, struct otd_metrics *m)
{
	const char *name = "otd_connections_refused_total";
	const char *help = "Connections closed at the door, by reason.";
	if (!m)
		return;
	g->m_in = otd_metric(m, OTD_COUNTER, "otd_connections_accepted_total", "",
			     "Connections let in.");
	g->m_total = otd_metric(m, OTD_COUNTER, name, "reason=\"total\"", help);
	g->m_address = otd_metric(m, OTD_COUNTER, name, "reason=\"address\"", help);
	g->m_rate = otd_metric(m, OTD_COUNTER, name, "reason=\"rate\"", help);
	g->m_table = otd_metric(m, OTD_COUNTER, name, "reason=\"table\"", help);
	g->m_banned = otd_metric(m, OTD_COUNTER, name, "reason=\"banned\"", help);
}

otd_rc otd_gate_create(struct otd_gate **out, struct otd_env *e, const struct otd_gate_conf *conf,
		       uint16_t reactors, struct otd_metrics *metrics)
{
	struct otd_gate *g;
	uint8_t seed[16];
	*out = NULL;
	if (!reactors || reactors > OTD_NET_REACTORS_MAX)
		return OTD_E_RANGE;
	g = calloc(1, sizeof(*g));
	if (!g)
		return OTD_E_NOMEM;
	g->env = e;
	g->reactors = reactors;
	g->unused = UINT32_MAX;
	otd_gate_reconfigure(g, conf);
	e->ops->random(e, seed, sizeof(seed));
	g->map = otd_map_create(seed, g->conf.addresses);
	if (!g->map) {
		free(g);
		return OTD_E_NOMEM;
	}
	g->swept_ms = now_ms(g) - 1000;
	metrics_make(g, metrics);
	*out = g;
	return OTD_OK;
}

void otd_gate_set_bans(struct otd_gate *g, const struct otd_bans *bans)
{
	g->bans = bans;
}

void otd_gate_destroy(struct otd_gate *g)
{
	if (!g)
		return;
	otd_map_destroy(g->map);
	free(g->entries);
	free(g);
}

static otd_rc refuse(struct otd_metric *m, const char **reason, const char *why)
{
	if (m)
		otd_metric_add(m, 1);
	*reason = why;
	return OTD_E_BUSY;
}

static uint16_t least_loaded(const struct otd_gate *g)
{
	uint16_t best = 0;
	for (uint16_t i = 1; i < g->reactors; i++) {
		if (g->load[i] < g->load[best])
			best = i;
	}
	return best;
}

otd_rc otd_gate_enter(struct otd_gate *g, struct otd_ticket *ticket, const char *host,
		      const char **reason)
{
	struct entry *e;
	memset(ticket, 0, sizeof(*ticket));
	address_of(ticket->address, host);
	ticket->reactor = OTD_NET_REACTORS_MAX;
	if (g->bans && otd_bans_host(g->bans, host))
		return refuse(g->m_banned, reason, "banned");
	if (g->count >= g->conf.total)
		return refuse(g->m_total, reason, "too many connections");
	e = entry_of(g, ticket->address, now_ms(g));
	if (!e)
		return refuse(g->m_table, reason, "too many addresses");
	if (e->count >= g->conf.per_address)
		return refuse(g->m_address, reason, OTD_GATE_ADDRESS);
	if (e->tokens < TOKEN)
		return refuse(g->m_rate, reason, OTD_GATE_RATE);
	e->tokens -= TOKEN;
	e->count++;
	g->count++;
	ticket->connections = e->count;
	ticket->reactor = least_loaded(g);
	g->load[ticket->reactor]++;
	if (g->m_in)
		otd_metric_add(g->m_in, 1);
	*reason = NULL;
	return OTD_OK;
}

void otd_gate_move(struct otd_gate *g, struct otd_ticket *ticket, uint16_t reactor)
{
	if (reactor >= g->reactors || ticket->reactor >= g->reactors)
		return;
	g->load[ticket->reactor]--;
	g->load[reactor]++;
	ticket->reactor = reactor;
}

void otd_gate_release(struct otd_gate *g, const struct otd_ticket *ticket)
{
	uint64_t at;
	/* A ticket may come from another process: what does not fit is not counted. */
	if (ticket->reactor >= g->reactors || !g->load[ticket->reactor] || !g->count)
		return;
	if (!otd_map_get(g->map, ticket->address, 16, &at) || !g->entries[at].count)
		return;
	g->entries[at].count--;
	g->load[ticket->reactor]--;
	g->count--;
}

uint32_t otd_gate_count(const struct otd_gate *g)
{
	return g->count;
}

uint32_t otd_gate_load(const struct otd_gate *g, uint16_t reactor)
{
	return reactor < g->reactors ? g->load[reactor] : 0;
}

uint32_t otd_gate_of_address(const struct otd_gate *g, const char *host)
{
	uint8_t address[16];
	uint64_t at;
	address_of(address, host);
	return otd_map_get(g->map, address, 16, &at) ? g->entries[at].count : 0;
}
