/* Reactors with their threads and Stratum servers, and the listeners that feed them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "base/log.h"
#include "base/text.h"

/* A session has ended on a reactor; the gate counts on the coordinator's loop. */
struct ended {
	struct otd_app *app;
	struct otd_ticket ticket;
};

static void on_ended(void *arg)
{
	struct ended *e = arg;
	otd_gate_release(e->app->gate, &e->ticket);
	free(e);
}

static void session_ended(void *arg, const struct otd_ticket *ticket) /* [reactor] */
{
	struct otd_app *app = arg;
	struct ended *e = atomic_load(&app->stopping) ? NULL : malloc(sizeof(*e));
	if (!e)
		return; /* where memory ran out: one place less at the gate until a restart */
	*e = (struct ended){app, *ticket};
	if (otd_loop_post(app->loop, on_ended, e) != OTD_OK)
		free(e);
}

static otd_rc port_difficulty(struct otd_stratum_port *out, const struct otd_settings_port *port,
			      struct otd_u256 diff1, struct otd_err *err)
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
					     "ports.%s.difficulty.%s: '%s' is not a difficulty",
					     port->name, row[i].key, row[i].text);
	}
	return OTD_OK;
}

/* The scheme's name where it is not the pool's own; "" else. */
static const char *port_scheme(const struct otd_app_pool *p, const struct otd_settings_port *port)
{
	for (size_t i = 1; port->payout.id && i < p->n_schemes; i++) {
		if (strcmp(p->schemes[i].use->id, port->payout.id) == 0 &&
		    otd_app_same_yaml(p->schemes[i].use->options, port->payout.options))
			return p->schemes[i].name;
	}
	return "";
}

static otd_rc make_ports(struct otd_app *app, struct otd_err *err)
{
	size_t n = 0;
	for (size_t i = 0; i < app->n_pools; i++)
		n += app->pools[i].settings->n_ports;
	app->ports = calloc(n ? n : 1, sizeof(*app->ports));
	app->listeners = calloc(n ? n : 1, sizeof(*app->listeners));
	app->reactor_pools = calloc(app->n_pools ? app->n_pools : 1, sizeof(*app->reactor_pools));
	if (!app->ports || !app->listeners || !app->reactor_pools)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < app->n_pools; i++) {
		const struct otd_app_pool *p = &app->pools[i];
		struct otd_plugin_instance *algo = p->chain->algo;
		const struct otd_algo_info *info = otd_instance_algo_info(algo);
		app->reactor_pools[i] = (struct otd_reactor_pool){
			.name = p->settings->name,
			.algo = otd_instance_algo(algo),
			.algo_self = otd_instance_self(algo),
			.algo_info = info,
			.extranonce1_len = (uint32_t)p->settings->extranonce1_bytes,
			.extranonce2_len = (uint32_t)p->settings->extranonce2_bytes,
			.version_mask = p->settings->coin->version_mask};
		for (size_t k = 0; k < p->settings->n_ports; k++) {
			const struct otd_settings_port *port = &p->settings->ports[k];
			struct otd_stratum_port *out = &app->ports[app->n_ports];
			*out = (struct otd_stratum_port){.pool = (uint32_t)i,
							 .scheme = port_scheme(p, port),
							 .aim_ms = port->difficulty.aim_ms,
							 .vardiff = port->difficulty.vardiff};
			otd_rc rc = port_difficulty(out, port, otd_u256_from_be(info->diff1), err);
			if (rc != OTD_OK)
				return rc;
			app->listeners[app->n_ports].app = app;
			app->listeners[app->n_ports].pool = p->settings;
			app->listeners[app->n_ports].settings = port;
			app->listeners[app->n_ports].port_index = (uint32_t)app->n_ports;
			app->n_ports++;
		}
	}
	return OTD_OK;
}

static int64_t shortest_notify(const struct otd_settings *s)
{
	int64_t ms = INT64_MAX;
	for (size_t i = 0; i < s->n_pools; i++)
		ms = s->pools[i].notify_ms < ms ? s->pools[i].notify_ms : ms;
	return ms;
}

struct otd_stratum_limits otd_app_limits(const struct otd_settings *s)
{
	return (struct otd_stratum_limits){
		.sessions_max = (size_t)s->limits.connections,
		.line_max = (size_t)s->limits.line_bytes,
		.out_max = (size_t)s->limits.output_bytes,
		.login_ms = s->limits.handshake_ms,
		.idle_ms = s->limits.idle_ms,
		.notify_ms = shortest_notify(s),
		.bad_lines = (uint32_t)s->limits.bad_lines,
		.name_max = (size_t)s->limits.worker_name_bytes,
		.names_an_account = (uint32_t)s->limits.workers_an_account,
	};
}

static otd_rc make_reactor(struct otd_app *app, struct otd_app_reactor *r, uint32_t index,
			   struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	char folder[600], name[24];
	r->app = app;
	snprintf(name, sizeof(name), "reactor-%u", index);
	otd_rc rc =
		otd_accounting_new_epoch(app->accounting, &r->epoch, folder, sizeof(folder), err);
	if (rc == OTD_OK)
		rc = app->env->ops->loop_create(app->env, &r->loop, name, err);
	struct otd_reactor_conf conf = {.env = app->env,
					.loop = r->loop,
					.index = index,
					.epoch = r->epoch,
					.journal_dir = folder,
					.segment_bytes = (uint64_t)s->journal.segment_bytes,
					.max_bytes = (uint64_t)s->journal.max_bytes,
					.pools = app->reactor_pools,
					.n_pools = app->n_pools,
					.coordinator = otd_coordinator_mailbox(app->coordinator),
					.metrics = app->metrics,
					.names_an_account = (uint32_t)s->limits.workers_an_account};
	if (rc == OTD_OK)
		rc = otd_reactor_create(&r->reactor, &conf, err);
	struct otd_stratum_conf stratum = {.reactor = r->reactor,
					   .ports = app->ports,
					   .n_ports = app->n_ports,
					   .metrics = app->metrics,
					   .limits = otd_app_limits(s),
					   .ended = session_ended,
					   .arg = app};
	if (rc == OTD_OK)
		rc = otd_stratum_create(&r->stratum, &stratum, err);
	if (rc == OTD_OK)
		rc = otd_coordinator_add_reactor(app->coordinator, index,
						 otd_reactor_mailbox(r->reactor));
	return rc;
}

otd_rc otd_app_make_reactors(struct otd_app *app, struct otd_err *err)
{
	size_t n = (size_t)app->settings->threads.reactors;
	otd_rc rc = make_ports(app, err);
	app->reactors = calloc(n, sizeof(*app->reactors));
	if (rc == OTD_OK && !app->reactors)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (; rc == OTD_OK && app->n_reactors < n; app->n_reactors++)
		rc = make_reactor(app, &app->reactors[app->n_reactors], (uint32_t)app->n_reactors,
				  err);
	return rc;
}

static void run_reactor(void *arg)
{
	struct otd_app_reactor *r = arg;
	otd_thread_is(OTD_THREAD_REACTOR | OTD_THREAD_COMPUTE);
	r->app->env->ops->loop_run(r->loop);
}

otd_rc otd_app_run_reactors(struct otd_app *app, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < app->n_reactors; i++)
		rc = app->env->ops->thread_start(app->env, &app->reactors[i].thread,
						 app->reactors[i].loop->name, run_reactor,
						 &app->reactors[i], err);
	return rc;
}

void otd_app_free_reactors(struct otd_app *app)
{
	for (size_t i = 0; app->reactors && i < (size_t)app->settings->threads.reactors; i++) {
		struct otd_app_reactor *r = &app->reactors[i];
		if (r->thread) {
			app->env->ops->loop_stop(r->loop);
			app->env->ops->thread_join(app->env, r->thread);
		}
		if (r->stratum)
			otd_stratum_destroy(r->stratum);
		if (r->reactor)
			otd_reactor_destroy(r->reactor);
		if (r->loop)
			app->env->ops->loop_destroy(r->loop);
	}
	free(app->reactors);
	free(app->ports);
	free(app->reactor_pools);
	otd_gate_destroy(app->gate);
	app->gate = NULL;
}

static void deliver(void *arg, struct otd_stream *s, const struct otd_ticket *ticket)
{
	struct otd_app_listener *l = arg;
	struct otd_app *app = l->app;
	if (ticket->reactor < app->n_reactors &&
	    otd_stratum_accept_post(app->reactors[ticket->reactor].stratum, s, l->port_index,
				    ticket) == OTD_OK)
		return;
	app->env->ops->stream_close(s);
	otd_gate_release(app->gate, ticket);
}

otd_rc otd_app_make_listeners(struct otd_app *app, struct otd_err *err)
{
	static const struct otd_listener_ops ops = {.deliver = deliver};
	const struct otd_settings_limits *s = &app->settings->limits;
	struct otd_gate_conf conf = {.total = (uint32_t)s->connections,
				     .per_address = (uint32_t)s->connections_an_address,
				     .rate = (uint32_t)s->new_connections_a_second,
				     .burst = (uint32_t)s->new_connections_burst};
	otd_rc rc = otd_gate_create(&app->gate, app->env, &conf, (uint16_t)app->n_reactors,
				    app->metrics);
	for (; rc == OTD_OK && app->n_listeners < app->n_ports; app->n_listeners++) {
		struct otd_app_listener *l = &app->listeners[app->n_listeners];
		struct otd_err why = {0};
		rc = otd_listener_create(&l->listener, app->loop, app->gate, l->settings->listen,
					 l->settings->port, false, &ops, l, &why);
		if (rc != OTD_OK)
			return otd_yaml_fail(err, rc, l->settings->at, "pools.%s.ports.%s: %s",
					     l->pool->name, l->settings->name, why.text);
	}
	return rc == OTD_OK ? rc : otd_fail(err, rc, "the gate: %s", otd_rc_name(rc));
}

void otd_app_free_listeners(struct otd_app *app)
{
	for (size_t i = 0; i < app->n_listeners; i++)
		otd_listener_destroy(app->listeners[i].listener);
	free(app->listeners);
	app->listeners = NULL;
	app->n_listeners = 0;
}
