/* The gate before the reactors: limits by address, by prefix and in all, lists, and who has how many. */
#include "net/bans.h"
#include "net/bucket.h"
#include "net/listener.h"
#include "net/lists.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
#define LINE_MAX  1024 /* bytes that one who is turned away is told */

enum why { TOTAL, ADDRESS, RATE, PREFIX, PREFIX_RATE, TABLE, BANNED, DENIED, N_WHY };

/* name: its label in /metrics. key: the setting whose limit it is, or NULL where it is as it was wished. */
static const struct {
	const char *text, *name, *key;
} whys[N_WHY] = {
	[TOTAL] = {OTD_GATE_TOTAL, "total", "connections"},
	[ADDRESS] = {OTD_GATE_ADDRESS, "address", "connections_an_address"},
	[RATE] = {OTD_GATE_RATE, "rate", "new_connections_a_second"},
	[PREFIX] = {OTD_GATE_PREFIX, "prefix", "prefix.connections"},
	[PREFIX_RATE] = {OTD_GATE_PREFIX_RATE, "prefix_rate", "prefix.new_connections_a_second"},
	[TABLE] = {OTD_GATE_TABLE, "table", "addresses"},
	[BANNED] = {OTD_GATE_BANNED, "banned", NULL},
	[DENIED] = {OTD_GATE_DENIED, "denied", NULL},
};

/* Who was turned away in a minute. */
struct minute {
	int64_t began_ms;
	uint32_t count[N_WHY];
};

struct otd_gate {
	struct otd_env *env;
	struct otd_gate_conf conf;
	struct otd_buckets *addresses, *prefixes; /* by the same form of key */
	uint32_t count;
	uint16_t reactors;
	uint32_t load[OTD_NET_REACTORS_MAX];
	const struct otd_bans *bans;   /* or NULL */
	const struct otd_lists *lists; /* or NULL */
	otd_gate_words_fn words;       /* or NULL */
	int64_t told_ms;               /* in the second that began then, */
	uint32_t told;                 /* so many were told why */
	struct minute now, before;
	enum why last;
	char last_host[46], trouble[300];
	struct otd_metric *m_in, *m_why[N_WHY], *m_listed[OTD_LIST_KINDS];
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

/* The network round an address. */
static void prefix_of(const struct otd_gate *g, uint8_t to[16], const uint8_t address[16])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	uint32_t bits = memcmp(address, mapped, sizeof(mapped)) == 0 ? 96 + g->conf.prefix_ipv4
								     : g->conf.prefix_ipv6;

	for (uint32_t i = 0; i < 16; i++) {
		uint32_t keep = bits > 8 * i ? bits - 8 * i : 0;
		to[i] = keep >= 8 ? address[i] : (uint8_t)(address[i] & (0xff00u >> keep));
	}
}

/* --- settings --- */

static uint32_t within(uint32_t value, uint32_t otherwise, uint32_t least, uint32_t most)
{
	value = value ? value : otherwise;
	return value < least ? least : value > most ? most : value;
}

/* Prefixes of another length are counted anew out of the addresses. */
static void count_prefixes(struct otd_gate *g)
{
	struct otd_bucket_rate rate = {g->conf.prefix_rate, g->conf.prefix_burst};
	const struct otd_bucket *a;
	uint8_t prefix[16];
	uint32_t pos = 0;

	otd_buckets_clear(g->prefixes);
	while ((a = otd_buckets_next(g->addresses, &pos))) {
		if (!a->count)
			continue;
		prefix_of(g, prefix, a->key);
		struct otd_bucket *p = otd_buckets_get(g->prefixes, prefix, now_ms(g), rate);
		if (p)
			p->count += a->count;
	}
}

void otd_gate_reconfigure(struct otd_gate *g, const struct otd_gate_conf *conf)
{
	struct otd_gate_conf f = *conf, was = g->conf;

	f.total = f.total ? f.total : 100000;
	f.per_address = f.per_address ? f.per_address : 4096;
	f.rate = f.rate ? f.rate : 512;
	f.burst = within(f.burst, 2048, 1, OTD_BUCKET_MOST);
	f.addresses = f.addresses ? f.addresses : 131072;
	f.prefix_ipv4 = within(f.prefix_ipv4, 24, 8, 32);
	f.prefix_ipv6 = within(f.prefix_ipv6, 48, 16, 64);
	f.per_prefix = f.per_prefix ? f.per_prefix : 16384;
	f.prefix_rate = f.prefix_rate ? f.prefix_rate : 2048;
	f.prefix_burst = within(f.prefix_burst, 8192, 1, OTD_BUCKET_MOST);
	f.grey_ppm = within(f.grey_ppm, 10000, 1, 1000000);
	/* The tables were made for so many. */
	if (g->addresses && f.addresses > was.addresses)
		f.addresses = was.addresses;
	g->conf = f;
	if (!g->addresses)
		return;
	otd_buckets_limit(g->addresses, f.addresses);
	otd_buckets_limit(g->prefixes, f.addresses);
	otd_buckets_usual(g->addresses, (struct otd_bucket_rate){f.rate, f.burst});
	otd_buckets_usual(g->prefixes, (struct otd_bucket_rate){f.prefix_rate, f.prefix_burst});
	if (f.prefix_ipv4 != was.prefix_ipv4 || f.prefix_ipv6 != was.prefix_ipv6)
		count_prefixes(g);
}

static void metrics_make(struct otd_gate *g, struct otd_metrics *m)
{
	char label[40];

	if (!m)
		return;
	g->m_in = otd_metric(m, OTD_COUNTER, "otd_connections_accepted_total", "",
			     "Connections let in.");
	for (int i = 0; i < N_WHY; i++) {
		snprintf(label, sizeof(label), "reason=\"%s\"", whys[i].name);
		g->m_why[i] = otd_metric(m, OTD_COUNTER, "otd_connections_refused_total", label,
					 "Connections closed at the door, by reason.");
	}
	for (int i = OTD_LIST_ALLOW; i < OTD_LIST_KINDS; i++) {
		snprintf(label, sizeof(label), "list=\"%s\"", otd_list_name((enum otd_list)i));
		g->m_listed[i] = otd_metric(m, OTD_GAUGE, "otd_listed_networks", label,
					    "Networks in the lists of limits.");
	}
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
	otd_gate_reconfigure(g, conf);
	e->ops->random(e, seed, sizeof(seed));
	g->addresses = otd_buckets_create(seed, g->conf.addresses);
	e->ops->random(e, seed, sizeof(seed));
	g->prefixes = otd_buckets_create(seed, g->conf.addresses);
	if (!g->addresses || !g->prefixes) {
		otd_gate_destroy(g);
		return OTD_E_NOMEM;
	}
	otd_gate_reconfigure(g, conf);
	metrics_make(g, metrics);
	*out = g;
	return OTD_OK;
}

void otd_gate_set_bans(struct otd_gate *g, const struct otd_bans *bans)
{
	g->bans = bans;
}

void otd_gate_set_lists(struct otd_gate *g, const struct otd_lists *lists)
{
	g->lists = lists;
	for (int i = OTD_LIST_ALLOW; i < OTD_LIST_KINDS; i++) {
		if (g->m_listed[i])
			otd_metric_set(g->m_listed[i],
				       (int64_t)otd_lists_count(lists, (enum otd_list)i));
	}
}

void otd_gate_set_words(struct otd_gate *g, otd_gate_words_fn words)
{
	g->words = words;
}

void otd_gate_destroy(struct otd_gate *g)
{
	if (!g)
		return;
	otd_buckets_destroy(g->addresses);
	otd_buckets_destroy(g->prefixes);
	free(g);
}

/* --- who is turned away --- */

static void minute_turn(struct otd_gate *g, int64_t now)
{
	if (now - g->now.began_ms < MINUTE_MS)
		return;
	g->before = g->now;
	if (now - g->now.began_ms >= 2 * MINUTE_MS)
		memset(&g->before, 0, sizeof(g->before));
	memset(&g->now, 0, sizeof(g->now));
	g->now.began_ms = now;
}

static otd_rc refuse(struct otd_gate *g, enum why why, const char *host, const char **reason)
{
	if (g->m_why[why])
		otd_metric_add(g->m_why[why], 1);
	minute_turn(g, now_ms(g));
	g->now.count[why]++;
	if (whys[why].key) {
		g->last = why;
		snprintf(g->last_host, sizeof(g->last_host), "%s", host);
	}
	*reason = whys[why].text;
	return OTD_E_BUSY;
}

const char *otd_gate_trouble(struct otd_gate *g)
{
	uint64_t n = 0;
	bool files = g->conf.by_files && g->last == TOTAL;

	minute_turn(g, now_ms(g));
	for (int i = 0; i < N_WHY; i++)
		n += whys[i].key ? (uint64_t)g->now.count[i] + g->before.count[i] : 0;
	g->trouble[0] = '\0';
	if (n && files)
		snprintf(
			g->trouble, sizeof(g->trouble),
			"%llu connections were turned away in the last minutes: the open files "
			"that "
			"this process may have leave room for %u; raise that (LimitNOFILE=, ulimit "
			"-n) and restart",
			(unsigned long long)n, g->conf.total);
	else if (n)
		snprintf(g->trouble, sizeof(g->trouble),
			 "%llu connections were turned away in the last minutes, the last one from "
			 "%s "
			 "(%s): limits.%s; see docs/limits.md",
			 (unsigned long long)n, g->last_host, whys[g->last].text,
			 whys[g->last].key);
	return g->trouble;
}

void otd_gate_turn_away(struct otd_gate *g, struct otd_stream *s, const char *reason)
{
	const struct otd_env_ops *env = g->env->ops;
	int64_t now = now_ms(g);
	char line[LINE_MAX];
	uint8_t sink[512];
	size_t n = 0;

	if (now - g->told_ms >= 1000) {
		g->told_ms = now;
		g->told = 0;
	}
	if (g->words && g->told < OTD_GATE_TOLD)
		n = g->words(line, sizeof(line), reason);
	if (n) {
		struct otd_span part = {(const uint8_t *)line, n};
		size_t done;
		g->told++;
		(void)env->stream_write(s, &done, &part, 1);
		/* Closed over bytes that nobody has read, a socket resets, and its peer may lose the
		   line. What is here already can be read. */
		(void)env->stream_read(s, &done, sink, sizeof(sink));
	}
	env->stream_close(s);
}

/* --- the gate --- */

static uint16_t least_loaded(const struct otd_gate *g)
{
	uint16_t best = 0;
	for (uint16_t i = 1; i < g->reactors; i++) {
		if (g->load[i] < g->load[best])
			best = i;
	}
	return best;
}

/* A part of a limit, for the list grey. */
static uint32_t part(const struct otd_gate *g, uint32_t limit, bool grey)
{
	uint64_t of = grey ? (uint64_t)limit * g->conf.grey_ppm / 1000000 : limit;
	return of ? (uint32_t)of : 1;
}

/* Where both may take one more it is counted; else N_WHY is not what it gives. */
static enum why count_in(struct otd_gate *g, const uint8_t address[16], bool grey, bool allowed,
			 uint32_t *connections)
{
	const struct otd_gate_conf *f = &g->conf;
	const struct otd_bucket_rate usual = {f->prefix_rate, f->prefix_burst};
	const struct otd_bucket_rate own = {part(g, f->rate, grey), part(g, f->burst, grey)};
	int64_t now = now_ms(g);
	struct otd_bucket *a, *p;
	uint8_t prefix[16];

	prefix_of(g, prefix, address);
	/* The prefix first: a network over its limit makes no more addresses to be remembered. */
	p = otd_buckets_get(g->prefixes, prefix, now, usual);
	if (!p)
		return TABLE;
	if (!allowed && p->count >= f->per_prefix)
		return PREFIX;
	if (!allowed && !otd_bucket_has(p))
		return PREFIX_RATE;
	a = otd_buckets_get(g->addresses, address, now, own);
	if (!a)
		return TABLE;
	if (!allowed && a->count >= part(g, f->per_address, grey))
		return ADDRESS;
	if (!allowed && !otd_bucket_has(a))
		return RATE;
	if (!allowed) {
		p->tokens -= OTD_BUCKET_TOKEN;
		a->tokens -= OTD_BUCKET_TOKEN;
	}
	p->count++;
	*connections = ++a->count;
	return N_WHY;
}

otd_rc otd_gate_enter(struct otd_gate *g, struct otd_ticket *ticket, const char *host,
		      const char **reason)
{
	enum otd_list list = otd_lists_find(g->lists, host);
	bool allowed = list == OTD_LIST_ALLOW;
	enum why why;

	memset(ticket, 0, sizeof(*ticket));
	address_of(ticket->address, host);
	ticket->reactor = OTD_NET_REACTORS_MAX;
	if (g->bans && otd_bans_host(g->bans, host))
		return refuse(g, BANNED, host, reason);
	if (list == OTD_LIST_DENY)
		return refuse(g, DENIED, host, reason);
	if (g->count >= g->conf.total)
		return refuse(g, TOTAL, host, reason);
	why = count_in(g, ticket->address, list == OTD_LIST_GREY, allowed, &ticket->connections);
	if (why != N_WHY && !allowed)
		return refuse(g, why, host, reason);
	ticket->uncounted = why != N_WHY;
	g->count++;
	ticket->reactor = least_loaded(g);
	g->load[ticket->reactor]++;
	if (g->m_in)
		otd_metric_add(g->m_in, 1);
	*reason = NULL;
	return OTD_OK;
}

void otd_gate_readmit(struct otd_gate *g, struct otd_ticket *ticket, const char *host,
		      uint16_t reactor)
{
	memset(ticket, 0, sizeof(*ticket));
	address_of(ticket->address, host);
	ticket->reactor = OTD_NET_REACTORS_MAX;
	if (reactor >= g->reactors)
		return;
	ticket->uncounted =
		count_in(g, ticket->address, false, true, &ticket->connections) != N_WHY;
	ticket->reactor = reactor;
	g->count++;
	g->load[reactor]++;
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
	struct otd_bucket *a = otd_buckets_find(g->addresses, ticket->address), *p;
	uint8_t prefix[16];

	/* A ticket may come from another process: what does not fit is not counted. */
	if (ticket->reactor >= g->reactors || !g->load[ticket->reactor] || !g->count)
		return;
	if (!ticket->uncounted && (!a || !a->count))
		return;
	g->load[ticket->reactor]--;
	g->count--;
	if (ticket->uncounted)
		return;
	a->count--;
	prefix_of(g, prefix, ticket->address);
	p = otd_buckets_find(g->prefixes, prefix);
	if (p && p->count)
		p->count--;
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

	address_of(address, host);
	const struct otd_bucket *a = otd_buckets_find(g->addresses, address);
	return a ? a->count : 0;
}
