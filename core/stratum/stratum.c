/* The Stratum server of a reactor: connections, jobs to all, the clock. See stratum/stratum.h. */
#include "stratum/stratum.h"

#include "base/log.h"
#include "net/door.h"
#include "stratum/policy.h"
#include <stdlib.h>
#include <string.h>

#define TICK_MS     250
#define TICK_ROUNDS 8 /* ticks until each session had its turn */
#define CLOCK_EVERY 8 /* sessions served between two looks at the clock */
#define SCRATCH_MAX (1u << 16)

/* --- connections --- */

static void on_line(struct otd_conn *c, struct otd_span line)
{
	struct otd_session *s = otd_conn_arg(c);

	if (s->closing || line.len == 0)
		return;
	s->line_ns = otd_mono_ns(s->st->env);
	s->dialect->line(s, line);
}

static void on_closed(struct otd_conn *c, const char *reason)
{
	struct otd_session *s = otd_conn_arg(c);
	struct otd_stratum *st = s->st;

	if (otd_log_on(OTD_LOG_DEBUG, "stratum"))
		otd_log(OTD_LOG_DEBUG, "stratum", "session.closed", "peer=%s port=%u reason=\"%s\"",
			otd_conn_host(c), otd_conn_port(c), reason);
	if (strcmp(reason, OTD_CONN_NO_LINE) == 0)
		otd_session_policy_offence(s, OTD_OFFENCE_HANDSHAKE);
	/* The last one moves to its place; a broadcast that has passed it serves it now. */
	size_t i = s->place;
	struct otd_session *moved = st->open[--st->n_open];
	st->open[i] = moved;
	moved->place = i;
	if (moved != s) {
		struct otd_broadcast *b = &st->broadcasts[moved->port->pool];
		struct otd_job *job =
			otd_jobs_newest(otd_reactor_jobs(st->conf.reactor, moved->port->pool));
		if (b->active && i < b->cursor && job)
			otd_session_send_job(moved, job, b->clean);
	}
	atomic_fetch_sub_explicit(&st->sessions, 1, memory_order_relaxed);
	otd_metric_add(st->m_sessions, -1);
	otd_session_gone(s);
	if (st->draining && !st->n_open && !st->drained_told) {
		st->drained_told = true;
		otd_reactor_drained(st->conf.reactor);
	}
}

static const struct otd_conn_ops conn_ops = {.line = on_line, .closed = on_closed};

void otd_stratum_forget(struct otd_stratum *st, struct otd_session *s)
{
	if (s->prev)
		s->prev->next = s->next;
	else if (st->all == s)
		st->all = s->next;
	if (s->next)
		s->next->prev = s->prev;
	st->broadcasts[s->port->pool].sessions--;
	if (s->has_ticket)
		otd_stratum_ended(st, &s->ticket);
}

size_t otd_stratum_sessions(const struct otd_stratum *st)
{
	return atomic_load_explicit(&st->sessions, memory_order_relaxed);
}

/* --- jobs to all --- */

static void broadcast_slice(void *arg);

static void broadcast_end(struct otd_stratum *st, struct otd_broadcast *b)
{
	b->active = false;
	if (b->clean)
		otd_metric_observe_ns(st->m_spread, otd_mono_ns(st->env) - (uint64_t)b->began_ns);
}

/* Serves sessions of the pool until all have the job or time is up. */
static bool broadcast_some(struct otd_stratum *st, uint32_t pool, uint64_t until_ns)
{
	struct otd_broadcast *b = &st->broadcasts[pool];
	struct otd_job *job = otd_jobs_newest(otd_reactor_jobs(st->conf.reactor, pool));
	unsigned served = 0;

	if (!b->active || !job)
		return true;
	while (b->cursor < st->n_open) {
		struct otd_session *s = st->open[b->cursor++];
		if (s->port->pool != pool)
			continue;
		otd_session_send_job(s, job, b->clean);
		if (++served % CLOCK_EVERY == 0 && otd_mono_ns(st->env) >= until_ns)
			break;
	}
	if (b->cursor < st->n_open)
		return false;
	broadcast_end(st, b);
	return true;
}

static void broadcast_slice(void *arg)
{
	struct otd_stratum *st = arg;
	uint64_t until_ns = otd_mono_ns(st->env) + (uint64_t)st->conf.slice_us * 1000;
	bool all = true;

	st->slice_posted = false;
	/* New tips first, then fresh jobs of the same tip. */
	for (int clean = 1; clean >= 0 && all; clean--) {
		for (uint32_t p = 0; p < st->n_pools && all; p++) {
			if (st->broadcasts[p].clean == (clean == 1))
				all = broadcast_some(st, p, until_ns);
		}
	}
	if (!all) {
		st->slice_posted = true;
		/* Behind what the sockets have brought meanwhile. */
		if (otd_loop_post(otd_reactor_loop(st->conf.reactor), broadcast_slice, st))
			st->slice_posted = false; /* the next tick goes on */
	}
}

static void on_job(void *arg, struct otd_job *job, uint32_t flags)
{
	struct otd_stratum *st = arg;
	struct otd_broadcast *b = &st->broadcasts[job->pool];

	/* Whoever did not get the job before must hear that older ones are worthless. */
	b->clean = (flags & OTD_JOB_CLEAN) || (b->active && b->clean);
	b->order = job->order;
	b->cursor = 0;
	b->active = true;
	b->began_ns = (int64_t)otd_mono_ns(st->env);
	job->front = otd_dialect_v1.job_render(job);
	if (!st->slice_posted)
		broadcast_slice(st);
}

static void on_job_gone(void *arg, struct otd_job *job)
{
	(void)arg;
	otd_dialect_v1.job_free(job->front);
	job->front = NULL;
}

/* --- the clock --- */

static void on_tick(void *arg)
{
	struct otd_stratum *st = arg;
	size_t turn = st->n_open / TICK_ROUNDS + 1;
	int64_t now_ms = (int64_t)(otd_mono_ns(st->env) / 1000000);

	otd_stratum_retire_pools(st);
	otd_resume_tick(st, now_ms);
	if (!st->slice_posted)
		broadcast_slice(st);
	for (; turn && st->n_open; turn--) {
		if (st->tick_cursor >= st->n_open)
			st->tick_cursor = 0;
		otd_session_tick(st->open[st->tick_cursor++], now_ms);
	}
}

/* --- the reactor's front --- */

static void on_verdict(void *arg, const struct otd_verdict *v)
{
	(void)arg;
	otd_session_verdict(v->client, v);
}

static void on_auth(void *arg, void *client, uint64_t request, otd_rc rc, struct otd_span account,
		    struct otd_span reason)
{
	(void)arg;
	otd_session_auth_answer(client, request, rc, account, reason);
}

static void on_drain(void *arg)
{
	struct otd_stratum *st = arg;

	st->draining = true;
	otd_stratum_doors_clear(st);
	/* close only marks: the list stays as it is until callbacks come. */
	for (size_t i = 0; i < st->n_open; i++) {
		struct otd_session *s = st->open[i];
		if (s->head == s->tail)
			otd_session_close(s, OTD_CONN_SHUTDOWN);
		else
			otd_conn_pause(s->conn, true); /* closed behind its last answer */
	}
	if (!st->n_open && !st->drained_told) {
		st->drained_told = true;
		otd_reactor_drained(st->conf.reactor);
	}
}

static void on_ban(void *arg, const struct otd_ban *ban)
{
	otd_stratum_ban(arg, ban);
}

static void on_budget(void *arg, uint32_t from, const struct otd_budget_word *w)
{
	otd_stratum_budget_heard(arg, from, w);
}

/* --- life --- */

static void metrics_init(struct otd_stratum *st)
{
	struct otd_metrics *m = st->conf.metrics;

	st->m_sessions = otd_metric(m, OTD_GAUGE, "otd_sessions", "", "Miners' connections");
	st->m_latency =
		otd_metric(m, OTD_HISTOGRAM_NS, "otd_share_latency_seconds", "",
			   "From the line of a share to its answer, the group commit included");
	st->m_malformed = otd_metric(m, OTD_COUNTER, "otd_stratum_malformed_lines_total", "",
				     "Lines that were no request");
	st->m_policy_skipped = otd_metric(m, OTD_COUNTER, "otd_policy_skipped_total", "",
					  "Questions that no script was asked for want of time");
	st->m_spread = otd_metric(m, OTD_HISTOGRAM_NS, "otd_tip_spread_seconds", "",
				  "From the first to the last session that was sent a new tip");
}

otd_rc otd_stratum_ports_check(const struct otd_stratum_port *ports, size_t n, struct otd_err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct otd_stratum_port *p = &ports[i];
		if (otd_u256_is_zero(p->start) || otd_u256_is_zero(p->min) ||
		    otd_u256_is_zero(p->max))
			return otd_fail(err, OTD_E_INVALID, "port number %zu has no difficulty", i);
	}
	return OTD_OK;
}

otd_rc otd_stratum_create(struct otd_stratum **out, const struct otd_stratum_conf *conf,
			  struct otd_err *err)
{
	const struct otd_reactor_front front = {on_job,   on_job_gone, on_verdict, on_auth,
						on_drain, NULL,        on_ban};
	struct otd_reactor_front mine = front;
	struct otd_loop *l = otd_reactor_loop(conf->reactor);
	struct otd_stratum *st;
	otd_rc rc;

	*out = NULL;
	rc = otd_stratum_ports_check(conf->ports, conf->n_ports, err);
	if (rc)
		return rc;
	st = calloc(1, sizeof(*st));
	if (!st)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	st->conf = *conf;
	st->env = l->env;
	st->conf.slice_us = conf->slice_us ? conf->slice_us : 950;
	otd_bytes_init(&st->scratch, SCRATCH_MAX);
	metrics_init(st);
	otd_resume_init(st);
	st->n_pools = otd_reactor_pools(conf->reactor);
	st->broadcasts = calloc(OTD_POOLS_MAX, sizeof(*st->broadcasts));
	st->ports = calloc(conf->n_ports ? conf->n_ports : 1, sizeof(struct otd_port *));
	rc = st->broadcasts && st->ports ? OTD_OK : OTD_E_NOMEM;
	for (; !rc && st->n_ports < conf->n_ports; st->n_ports++)
		rc = otd_stratum_port_create(&st->ports[st->n_ports], &conf->ports[st->n_ports]);
	st->conf.ports = NULL; /* theirs; ours are copies */
	otd_stratum_limits_default(&st->conf.limits);
	const struct otd_conn_conf cc = otd_stratum_conn_conf(&st->conf.limits);
	if (!rc && conf->policy)
		rc = otd_hosts_init(&st->policy.hosts, st->env, st->conf.limits.sessions_max);
	if (!rc)
		rc = otd_stratum_budget_init(st);
	if (!rc)
		rc = otd_conns_create(&st->conns, l, &cc, &conn_ops, conf->metrics);
	if (!rc)
		rc = st->env->ops->timer_create(l, &st->timer, on_tick, st);
	if (rc) {
		otd_stratum_destroy(st);
		return otd_fail(err, rc, "out of memory");
	}
	st->env->ops->timer_start(st->timer, TICK_MS, TICK_MS);
	mine.arg = st;
	mine.freeze = otd_stratum_freeze;
	mine.budget = on_budget;
	otd_reactor_set_front(conf->reactor, &mine);
	*out = st;
	return OTD_OK;
}

static void free_rendered(struct otd_stratum *st)
{
	for (uint32_t p = 0; p < otd_reactor_pools(st->conf.reactor); p++) {
		struct otd_jobs *jobs = otd_reactor_jobs(st->conf.reactor, p);
		for (size_t i = 0; i < OTD_JOB_RING; i++) {
			if (jobs->ring[i])
				on_job_gone(st, jobs->ring[i]);
		}
	}
}

void otd_stratum_destroy(struct otd_stratum *st)
{
	if (!st)
		return;
	st->drained_told = true;
	if (st->timer)
		st->env->ops->timer_destroy(st->timer);
	if (st->freeze.timer)
		st->env->ops->timer_destroy(st->freeze.timer);
	otd_doors_destroy(st->doors);
	otd_conns_destroy(st->conns);
	while (st->all)
		otd_session_destroy(st->all);
	otd_resume_finish(st);
	otd_hosts_finish(&st->policy.hosts);
	otd_budget_finish(&st->budget);
	free_rendered(st);
	otd_reactor_set_front(st->conf.reactor, NULL);
	for (size_t i = 0; st->ports && i < st->n_ports; i++)
		free(st->ports[i]);
	free(st->ports);
	free(st->open);
	free(st->broadcasts);
	otd_bytes_finish(&st->scratch);
	otd_stratum_rings_finish(st);
	otd_agents_finish(&st->agents);
	free(st);
}

/* --- to all of them --- */

void otd_stratum_policy_changed(struct otd_stratum *st)
{
	st->policy.revision++;
}

void otd_stratum_reconnect(struct otd_stratum *st, const char *host, uint16_t port, uint32_t wait_s)
{
	for (size_t i = 0; i < st->n_open; i++) {
		if (st->open[i]->subscribed && !st->open[i]->closing)
			st->open[i]->dialect->reconnect(st->open[i], host, port, wait_s);
	}
}

static bool is_of_account(const struct otd_session *s, const char *account)
{
	for (size_t i = 0; i < s->n_workers; i++) {
		struct otd_span a = otd_worker_account(s->workers[i].worker);
		if (a.len == strlen(account) && !memcmp(a.ptr, account, a.len))
			return true;
	}
	return false;
}

size_t otd_stratum_show_message(struct otd_stratum *st, const char *account, const char *text)
{
	size_t told = 0;

	for (size_t i = 0; i < st->n_open; i++) {
		struct otd_session *s = st->open[i];
		if (!s->subscribed || s->closing || (account && !is_of_account(s, account)))
			continue;
		s->dialect->show_message(s, text);
		told++;
	}
	return told;
}

struct say {
	struct otd_stratum *st;
	bool reconnect;
	char text[];
};

static void say_posted(void *arg)
{
	struct say *s = arg;

	if (s->reconnect)
		otd_stratum_reconnect(s->st, "", 0, 0);
	else
		(void)otd_stratum_show_message(s->st, NULL, s->text);
	free(s);
}

otd_rc otd_stratum_say_post(struct otd_stratum *st, struct otd_span text, bool reconnect)
{
	struct say *s = calloc(1, sizeof(*s) + text.len + 1);

	if (!s)
		return OTD_E_NOMEM;
	s->st = st;
	s->reconnect = reconnect;
	if (text.len)
		memcpy(s->text, text.ptr, text.len);
	otd_rc rc = otd_loop_post(otd_reactor_loop(st->conf.reactor), say_posted, s);
	if (rc)
		free(s);
	return rc;
}
