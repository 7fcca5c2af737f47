/* What a reload changes on one reactor: prepared outside of its loop, applied in one go on it. */
#include "base/log.h"
#include "stratum/session.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define POOL_REMOVED "pool removed"
#define PORT_REMOVED "port removed"

struct gone_port {
	uint32_t port;
	char text[160];
};

struct otd_stratum_change {
	struct otd_stratum *st;
	struct otd_reactor_added *pools;
	struct otd_port **ports; /* all, in the order of their numbers; each is a copy */
	size_t n_ports;
	uint32_t *gone; /* pools */
	size_t n_gone;
	struct gone_port *gone_ports;
	size_t n_gone_ports;
	struct otd_stratum_limits limits;
	otd_fn applied;
	void *arg;
};

otd_rc otd_stratum_port_create(struct otd_port **out, const struct otd_stratum_port *conf)
{
	struct otd_port *p = calloc(1, sizeof(*p));

	*out = p;
	if (!p)
		return OTD_E_NOMEM;
	p->conf = *conf;
	size_t n = conf->scheme ? strnlen(conf->scheme, sizeof(p->scheme) - 1) : 0;
	memcpy(p->scheme, conf->scheme ? conf->scheme : "", n);
	p->conf.scheme = p->scheme;
	return OTD_OK;
}

void otd_stratum_limits_default(struct otd_stratum_limits *c)
{
	c->sessions_max = c->sessions_max ? c->sessions_max : 100000;
	c->line_max = c->line_max ? c->line_max : 10240;
	c->out_max = c->out_max ? c->out_max : 262144;
	c->login_ms = c->login_ms ? c->login_ms : 60000;
	c->idle_ms = c->idle_ms ? c->idle_ms : 1800000;
	c->notify_ms = c->notify_ms ? c->notify_ms : 30000;
	c->bad_lines = c->bad_lines ? c->bad_lines : 16;
	c->outstanding = c->outstanding ? c->outstanding : 1024;
	if (!c->name_max || c->name_max > OTD_WORKER_NAME_MAX)
		c->name_max = OTD_WORKER_NAME_MAX;
}

void otd_stratum_change_destroy(struct otd_stratum_change *c)
{
	if (!c)
		return;
	otd_reactor_added_destroy(c->pools);
	for (size_t i = 0; c->ports && i < c->n_ports; i++)
		free(c->ports[i]);
	free(c->ports);
	free(c->gone);
	free(c->gone_ports);
	free(c);
}

static otd_rc copy_gone(struct otd_stratum_change *c, const struct otd_stratum_change_conf *conf)
{
	c->gone = calloc(conf->n_gone ? conf->n_gone : 1, sizeof(*c->gone));
	c->gone_ports = calloc(conf->n_gone_ports ? conf->n_gone_ports : 1, sizeof(*c->gone_ports));
	if (!c->gone || !c->gone_ports)
		return OTD_E_NOMEM;
	if (conf->n_gone)
		memcpy(c->gone, conf->gone, conf->n_gone * sizeof(*c->gone));
	c->n_gone = conf->n_gone;
	for (size_t i = 0; i < conf->n_gone_ports; i++) {
		struct gone_port *g = &c->gone_ports[c->n_gone_ports++];
		g->port = conf->gone_ports[i].port;
		(void)snprintf(g->text, sizeof(g->text), "%s", conf->gone_ports[i].text);
	}
	return OTD_OK;
}

otd_rc otd_stratum_change_create(struct otd_stratum_change **out, struct otd_stratum *st,
				 const struct otd_stratum_change_conf *conf, struct otd_err *err)
{
	struct otd_stratum_change *c = calloc(1, sizeof(*c));
	otd_rc rc = otd_stratum_ports_check(conf->ports, conf->n_ports, err);

	*out = NULL;
	if (c && !rc) {
		c->st = st;
		c->limits = conf->limits;
		c->applied = conf->applied;
		c->arg = conf->arg;
		c->ports = calloc(conf->n_ports ? conf->n_ports : 1, sizeof(struct otd_port *));
	}
	if (!rc && (!c || !c->ports || copy_gone(c, conf)))
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (; !rc && c->n_ports < conf->n_ports; c->n_ports++) {
		rc = otd_stratum_port_create(&c->ports[c->n_ports], &conf->ports[c->n_ports]);
		if (rc)
			otd_fail(err, rc, "out of memory");
	}
	if (!rc) {
		otd_stratum_limits_default(&c->limits);
		rc = otd_reactor_prepare(st->conf.reactor, &c->pools, conf->pools, conf->n_pools,
					 err);
	}
	if (rc)
		otd_stratum_change_destroy(c);
	else
		*out = c;
	return rc;
}

/* Answers what came, then asks to connect again elsewhere, and closes. */
static void leave(struct otd_session *s, const char *why)
{
	s->leaving = true;
	if (s->closing)
		return;
	if (s->subscribed)
		s->dialect->reconnect(s, "", 0, 0);
	if (s->head == s->tail)
		otd_session_close(s, why);
	else
		otd_conn_pause(s->conn, true); /* closed behind its last answer */
}

static void end_pool(struct otd_stratum *st, uint32_t pool)
{
	struct otd_broadcast *b = &st->broadcasts[pool];

	b->gone = true;
	b->active = false;
	/* close only marks: the list stays as it is until callbacks come. */
	for (size_t i = 0; i < st->n_open; i++) {
		if (st->open[i]->port->pool == pool)
			leave(st->open[i], POOL_REMOVED);
	}
}

static void end_port(struct otd_stratum *st, const struct gone_port *g)
{
	if (g->port >= st->n_ports)
		return;
	for (size_t i = 0; i < st->n_open; i++) {
		struct otd_session *s = st->open[i];
		if (s->port != &st->ports[g->port]->conf || s->leaving)
			continue;
		if (s->subscribed && !s->closing)
			s->dialect->show_message(s, g->text);
		leave(s, PORT_REMOVED);
	}
}

static bool same_port(const struct otd_stratum_port *a, const struct otd_stratum_port *b)
{
	return otd_u256_cmp(a->start, b->start) == 0 && otd_u256_cmp(a->min, b->min) == 0 &&
	       otd_u256_cmp(a->max, b->max) == 0 && a->aim_ms == b->aim_ms &&
	       a->vardiff == b->vardiff;
}

/* The table of the change becomes ours; ports that sessions stand on stay where they are. */
static void take_ports(struct otd_stratum *st, struct otd_stratum_change *c)
{
	struct otd_port **old = st->ports;

	for (size_t i = 0; i < st->n_ports && i < c->n_ports; i++) {
		struct otd_port *mine = old[i], *fresh = c->ports[i];
		uint32_t revision = mine->revision + !same_port(&mine->conf, &fresh->conf);
		*mine = *fresh;
		mine->conf.scheme = mine->scheme;
		mine->revision = revision;
		c->ports[i] = mine;
		old[i] = fresh; /* freed with the change */
	}
	size_t n = st->n_ports;
	st->ports = c->ports;
	st->n_ports = c->n_ports;
	c->ports = old;
	c->n_ports = n;
}

struct otd_conn_conf otd_stratum_conn_conf(const struct otd_stratum_limits *l)
{
	return (struct otd_conn_conf){.line_max = l->line_max,
				      .out_max = l->out_max,
				      .first_line_ms = l->login_ms,
				      .idle_ms = l->idle_ms,
				      .lines_a_second = l->lines_a_second,
				      .lines_burst = l->lines_burst,
				      .bytes_a_second = l->bytes_a_second,
				      .bytes_burst = l->bytes_burst};
}

void otd_stratum_limit(struct otd_stratum *st, const struct otd_stratum_limits *l)
{
	const struct otd_conn_conf cc = otd_stratum_conn_conf(l);

	st->conf.limits = *l;
	otd_budget_reconfigure(&st->budget, &l->invalid);
	if (st->conns)
		otd_conns_reconfigure(st->conns, &cc);
	if (l->names_an_account)
		otd_reactor_names_an_account(st->conf.reactor, l->names_an_account);
}

static void apply(void *arg)
{
	struct otd_stratum_change *c = arg;
	struct otd_stratum *st = c->st;

	otd_reactor_add(st->conf.reactor, c->pools);
	c->pools = NULL;
	st->n_pools = otd_reactor_pools(st->conf.reactor);
	take_ports(st, c);
	otd_stratum_limit(st, &c->limits);
	otd_reactor_archive(st->conf.reactor, c->limits.archive);
	for (size_t i = 0; i < c->n_gone; i++)
		end_pool(st, c->gone[i]);
	for (size_t i = 0; i < c->n_gone_ports; i++)
		end_port(st, &c->gone_ports[i]);
	if (c->applied)
		c->applied(c->arg);
	otd_stratum_change_destroy(c);
}

otd_rc otd_stratum_change_post(struct otd_stratum_change *c)
{
	return otd_loop_post(otd_reactor_loop(c->st->conf.reactor), apply, c);
}

void otd_stratum_retire_pools(struct otd_stratum *st)
{
	for (uint32_t p = 0; p < st->n_pools; p++) {
		struct otd_broadcast *b = &st->broadcasts[p];
		if (b->gone)
			otd_resume_forget_pool(st, p);
		if (b->gone && !b->sessions)
			otd_reactor_retire(st->conf.reactor, p);
	}
}
