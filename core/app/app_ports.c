/* Ports: the table of them that stratum gets, and the listeners that feed it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_limits.h"
#include "app/app_parts.h"
#include "app/app_tls.h"
#include "app/policy/app_policy.h"
#include "app/processes/processes.h"
#include "app/upgrade/upgrade.h"
#include "base/text.h"
#include "net/bans.h"
#include "net/door.h"

#define OTD_APP_PROXIES_MAX 64    /* as the schema has it */
#define WORK_MS             60000 /* beyond three refreshes that failed */
#define PROXY_MS            10000 /* a proxy has its header at hand */

static otd_rc port_difficulty(struct otd_stratum_port *out, const char *pool,
			      const struct otd_settings_port *port, struct otd_u256 diff1,
			      struct otd_err *err)
{
	const struct otd_settings_difficulty *d = &port->difficulty;
	struct {
		const char *key, *text;
		struct otd_u256 *to;
	} row[] = {{"start", d->start, &out->start},
		   {"min", d->min, &out->min},
		   {"max", d->max, &out->max}};
	for (size_t i = 0; i < 3; i++) {
		if (otd_difficulty_parse(row[i].to, row[i].text, strlen(row[i].text), diff1) !=
		    OTD_OK)
			return otd_yaml_fail(err, OTD_E_INVALID, port->at,
					     "pools.%s.ports.%s.difficulty.%s: '%s' is not a "
					     "difficulty of this algorithm",
					     pool, port->name, row[i].key, row[i].text);
	}
	return OTD_OK;
}

/* Prefixes of a port's proxies; how many. */
static otd_rc port_proxies(struct otd_ban_net to[OTD_APP_PROXIES_MAX],
			   const struct otd_settings_port *port, const char **bad)
{
	char what[OTD_BAN_WHAT_MAX + 1];
	for (size_t i = 0; i < port->proxy_from.n; i++) {
		const char *s = *bad = port->proxy_from.item[i];
		bool good = !strchr(s, '/') ? otd_ban_host(&to[i], s)
					    : otd_ban_what(what, OTD_BAN_PREFIX, s, strlen(s),
							   NULL) == OTD_OK &&
						      otd_ban_net_parse(&to[i], what) == OTD_OK;
		if (!good)
			return OTD_E_INVALID;
	}
	return OTD_OK;
}

otd_rc otd_app_port_door(const struct otd_settings_pool *pool, const struct otd_settings_port *port,
			 struct otd_err *err)
{
	struct otd_ban_net nets[OTD_APP_PROXIES_MAX];
	const char *bad = NULL;
	if (port_proxies(nets, port, &bad) != OTD_OK)
		return otd_yaml_fail(err, OTD_E_INVALID, port->at,
				     "pools.%s.ports.%s.proxy_from: '%.60s' is no address and no "
				     "prefix; write 10.0.0.1 or 10.0.0.0/8",
				     pool->name, port->name, bad);
	if (!port->tls.certificate && !port->plain)
		return otd_yaml_fail(err, OTD_E_INVALID, port->at,
				     "pools.%s.ports.%s.plain: false, and there is no tls: nobody "
				     "could connect; add tls, or remove plain",
				     pool->name, port->name);
	return OTD_OK;
}

void otd_app_ports_free(struct otd_app_ports *p)
{
	free(p->conf);
	free(p->key);
	*p = (struct otd_app_ports){0};
}

size_t otd_app_port_find(const struct otd_app_ports *p, uint32_t pool, uint16_t number)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->key[i].pool == pool && p->key[i].number == number)
			return i;
	}
	return SIZE_MAX;
}

static otd_rc add_ports(const struct otd_app *app, struct otd_app_ports *to,
			const struct otd_app_pool *pool, uint32_t number, struct otd_err *err)
{
	const struct otd_algo_info *info = otd_instance_algo_info(pool->chain->algo);
	for (size_t k = 0; k < pool->settings->n_ports; k++) {
		const struct otd_settings_port *port = &pool->settings->ports[k];
		size_t i = otd_app_port_find(to, number, port->port);
		if (i == SIZE_MAX)
			i = to->n++;
		to->key[i] = (struct otd_app_port){number, port->port, true, ""};
		snprintf(to->key[i].scheme, sizeof(to->key[i].scheme), "%s",
			 otd_app_port_scheme(pool, port));
		to->conf[i] = (struct otd_stratum_port){.pool = number,
							.aim_ms = port->difficulty.aim_ms,
							.vardiff = port->difficulty.vardiff,
							.number = port->port,
							.tls = otd_app_tls_of(app, &port->tls),
							.tls_only = !port->plain,
							.work_ms = 3 * pool->settings->refresh_ms +
								   WORK_MS};
		otd_rc rc = otd_app_port_door(pool->settings, port, err);
		if (rc == OTD_OK)
			rc = port_difficulty(&to->conf[i], pool->name, port,
					     otd_u256_from_be(info->diff1), err);
		if (rc != OTD_OK)
			return rc;
	}
	return OTD_OK;
}

otd_rc otd_app_ports_make(const struct otd_app *app, struct otd_app_ports *to,
			  const struct otd_app_ports *from, const struct otd_app_pool *pools,
			  size_t n_pools, struct otd_err *err)
{
	size_t n = from->n;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < n_pools; i++)
		n += pools[i].settings ? pools[i].settings->n_ports : 0;
	*to = (struct otd_app_ports){.conf = calloc(n ? n : 1, sizeof(*to->conf)),
				     .key = calloc(n ? n : 1, sizeof(*to->key)),
				     .n = from->n};
	if (!to->conf || !to->key) {
		otd_app_ports_free(to);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	if (from->n) {
		memcpy(to->conf, from->conf, from->n * sizeof(*to->conf));
		memcpy(to->key, from->key, from->n * sizeof(*to->key));
	}
	for (size_t i = 0; i < from->n; i++)
		to->key[i].open = false;
	for (size_t i = 0; rc == OTD_OK && i < n_pools; i++) {
		if (pools[i].settings)
			rc = add_ports(app, to, &pools[i], (uint32_t)i, err);
	}
	for (size_t i = 0; i < to->n; i++)
		to->conf[i].scheme = to->key[i].scheme;
	if (rc != OTD_OK)
		otd_app_ports_free(to);
	return rc;
}

/* --- listeners --- */

static void deliver(void *arg, struct otd_stream *s, const struct otd_ticket *ticket)
{
	struct otd_app_listener *l = arg;
	struct otd_app *app = l->app;
	if (app->processes) {
		otd_app_processes_deliver(app, s, l->port_index, ticket, NULL);
		return;
	}
	if (ticket->reactor < app->n_reactors &&
	    otd_stratum_accept_post(app->reactors[ticket->reactor].stratum, s, l->port_index,
				    ticket) == OTD_OK)
		return;
	app->env->ops->stream_close(s);
	otd_gate_release(app->gate, ticket);
}

/* The same behind a PROXY header. */
static void deliver_from(void *arg, struct otd_stream *s, const struct otd_ticket *ticket,
			 const struct otd_preface *p)
{
	struct otd_app_listener *l = arg;
	struct otd_app *app = l->app;
	if (app->processes) {
		otd_app_processes_deliver(app, s, l->port_index, ticket, p);
		return;
	}
	if (ticket->reactor < app->n_reactors &&
	    otd_stratum_accept_from_post(app->reactors[ticket->reactor].stratum, s, l->port_index,
					 ticket, p) == OTD_OK)
		return;
	app->env->ops->stream_close(s);
	otd_gate_release(app->gate, ticket);
}

static void flood(void *arg, const char *host)
{
	struct otd_app_listener *l = arg;
	otd_app_policy_flood(l->app, l->port_index, host);
}

void otd_app_listener_proxies(struct otd_app_listener *l, const struct otd_settings_port *port)
{
	struct otd_ban_net nets[OTD_APP_PROXIES_MAX];
	const struct otd_settings_limits *limits = &l->app->settings->limits;
	const char *bad;
	int64_t ms = limits->handshake_ms < PROXY_MS ? limits->handshake_ms : PROXY_MS;
	if (port_proxies(nets, port, &bad) != OTD_OK ||
	    otd_listener_proxies(l->listener, nets, port->proxy_from.n, ms,
				 (size_t)limits->connections) != OTD_OK)
		otd_app_warn(l->app,
			     "port %u keeps the proxies that it had: out of memory; "
			     "reload again",
			     l->port);
}

otd_rc otd_app_listener_create(struct otd_app *app, struct otd_app_listener **out,
			       const struct otd_settings_pool *pool,
			       const struct otd_settings_port *port, uint32_t port_index,
			       struct otd_err *err)
{
	static const struct otd_listener_ops ops = {
		.deliver = deliver, .flood = flood, .deliver_from = deliver_from};
	struct otd_app_listener *l = calloc(1, sizeof(*l));
	struct otd_err why = {0};
	*out = NULL;
	if (!l)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	l->app = app;
	l->port = port->port;
	l->port_index = port_index;
	snprintf(l->host, sizeof(l->host), "%s", port->listen);
	int inherited = otd_heir_listener(app, l->host, l->port);
	otd_rc rc = inherited >= 0 ? otd_listener_adopt(&l->listener, app->loop, app->gate,
							inherited, &ops, l, &why)
				   : otd_listener_create(&l->listener, app->loop, app->gate,
							 l->host, l->port, false, &ops, l, &why);
	if (rc != OTD_OK) {
		free(l);
		return otd_yaml_fail(err, rc, port->at, "pools.%s.ports.%s: %s", pool->name,
				     port->name, why.text);
	}
	*out = l;
	otd_app_listener_proxies(l, port);
	return OTD_OK;
}

void otd_app_listener_destroy(struct otd_app_listener *l)
{
	if (!l)
		return;
	otd_listener_destroy(l->listener);
	free(l);
}

struct otd_gate_conf otd_app_gate_conf(const struct otd_settings *s)
{
	size_t room = otd_app_files_left(s);
	bool by_files = room < (size_t)s->limits.connections;
	return (struct otd_gate_conf){
		.total = by_files ? (uint32_t)room : (uint32_t)s->limits.connections,
		.per_address = (uint32_t)s->limits.connections_an_address,
		.rate = (uint32_t)s->limits.new_connections_a_second,
		.burst = (uint32_t)s->limits.new_connections_burst,
		.prefix_ipv4 = (uint32_t)s->limits.prefix.ipv4,
		.prefix_ipv6 = (uint32_t)s->limits.prefix.ipv6,
		.per_prefix = (uint32_t)s->limits.prefix.connections,
		.prefix_rate = (uint32_t)s->limits.prefix.new_connections_a_second,
		.prefix_burst = (uint32_t)s->limits.prefix.new_connections_burst,
		.grey_ppm = (uint32_t)s->limits.grey_ppm,
		.by_files = by_files};
}

static otd_rc listen_for(struct otd_app *app, uint32_t number, struct otd_err *err)
{
	const struct otd_settings_pool *p = app->pools[number].settings;
	for (size_t k = 0; k < p->n_ports; k++) {
		size_t i = otd_app_port_find(&app->ports, number, p->ports[k].port);
		otd_rc rc = otd_app_listener_create(app, &app->listeners[app->n_listeners], p,
						    &p->ports[k], (uint32_t)i, err);
		if (rc != OTD_OK)
			return rc;
		app->n_listeners++;
	}
	return OTD_OK;
}

otd_rc otd_app_make_listeners(struct otd_app *app, struct otd_err *err)
{
	struct otd_gate_conf conf = otd_app_gate_conf(app->settings);
	otd_rc rc =
		otd_gate_create(&app->gate, app->env, &conf, otd_app_reactors(app), app->metrics);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "the gate: %s", otd_rc_name(rc));
	rc = otd_app_limits_start(app, err);
	if (rc != OTD_OK)
		return rc;
	app->listeners = calloc(app->ports.n ? app->ports.n : 1, sizeof(struct otd_app_listener *));
	if (!app->listeners)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++)
		rc = listen_for(app, (uint32_t)i, err);
	return rc;
}

void otd_app_free_listeners(struct otd_app *app)
{
	for (size_t i = 0; i < app->n_listeners; i++)
		otd_app_listener_destroy(app->listeners[i]);
	free(app->listeners);
	app->listeners = NULL;
	app->n_listeners = 0;
}
