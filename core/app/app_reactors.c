/* Reactors with their threads and Stratum servers, and the listeners that feed them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_limits.h"
#include "app/app_parts.h"
#include "app/app_sessions.h"
#include "app/policy/app_policy.h"
#include "app/processes/processes.h"
#include "app/upgrade/upgrade.h"
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
		.resume_ms = s->limits.resume_ms,
		.notify_ms = shortest_notify(s),
		.bad_lines = (uint32_t)s->limits.bad_lines,
		.name_max = (size_t)s->limits.worker_name_bytes,
		.names_an_account = (uint32_t)s->limits.workers_an_account,
		.lines_a_second = (uint32_t)s->limits.lines_a_second,
		.lines_burst = (uint32_t)s->limits.lines_burst,
		.bytes_a_second = (uint32_t)s->limits.bytes_a_second,
		.bytes_burst = (uint32_t)s->limits.bytes_burst,
		.outstanding = (uint32_t)s->limits.outstanding,
		.invalid = {.shares = (uint32_t)s->limits.invalid.shares,
			    .part_ppm = (uint32_t)s->limits.invalid.part_ppm,
			    .window_ms = s->limits.invalid.window_ms,
			    .ban_ms = s->limits.invalid.ban_ms},
		.archive = s->journal.keep_ms || s->journal.keep_bytes,
	};
}

static struct otd_stratum *stratum_of(void *arg, uint32_t index) /* [any-thread] */
{
	const struct otd_app *app = arg;
	return index < app->n_reactors ? app->reactors[index].stratum : NULL;
}

static otd_rc make_reactor(struct otd_app *app, struct otd_app_reactor *r, uint32_t index,
			   const struct otd_reactor_pool *pools, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	char folder[600], name[24];
	r->app = app;
	snprintf(name, sizeof(name), "reactor-%u", index);
	/* Extranonces of sessions that come from another process have low bits of their epochs. */
	for (int i = 0;
	     i < 4096 && !otd_heir_epoch_is_free(app, otd_accounting_next_epoch(app->accounting));
	     i++)
		otd_accounting_skip_epoch(app->accounting);
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
					.archive = s->journal.keep_ms || s->journal.keep_bytes,
					.pools = pools,
					.n_pools = app->n_pools,
					.coordinator = otd_coordinator_mailbox(app->coordinator),
					.metrics = app->metrics,
					.names_an_account = (uint32_t)s->limits.workers_an_account};
	if (rc == OTD_OK)
		rc = otd_reactor_create(&r->reactor, &conf, err);
	struct otd_stratum_conf stratum = {.reactor = r->reactor,
					   .ports = app->ports.conf,
					   .n_ports = app->ports.n,
					   .metrics = app->metrics,
					   .limits = otd_app_limits(s),
					   .ended = session_ended,
					   .arg = app,
					   .policy = otd_app_policy_of(app, index),
					   .index = index,
					   .reactors = (uint32_t)s->threads.reactors,
					   .peer = stratum_of};
	if (rc == OTD_OK)
		rc = otd_stratum_create(&r->stratum, &stratum, err);
	if (rc == OTD_OK)
		otd_app_policy_attach(app, index, r->loop, r->stratum);
	if (rc == OTD_OK)
		rc = otd_coordinator_add_reactor(app->coordinator, index,
						 otd_reactor_mailbox(r->reactor));
	return rc;
}

otd_rc otd_app_make_reactors(struct otd_app *app, struct otd_err *err)
{
	static const struct otd_app_ports none;
	size_t n = (size_t)app->settings->threads.reactors;
	if (otd_app_processes_wanted(app->settings))
		return otd_app_processes_start(app, err);
	struct otd_reactor_pool *pools = calloc(app->n_pools ? app->n_pools : 1, sizeof(*pools));
	otd_rc rc = otd_app_ports_make(app, &app->ports, &none, app->pools, app->n_pools, err);
	app->reactors = calloc(n, sizeof(*app->reactors));
	if (rc == OTD_OK && (!app->reactors || !pools))
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++)
		pools[i] = otd_app_reactor_pool(&app->pools[i], app->pools[i].settings);
	for (; rc == OTD_OK && app->n_reactors < n; app->n_reactors++)
		rc = make_reactor(app, &app->reactors[app->n_reactors], (uint32_t)app->n_reactors,
				  pools, err);
	free(pools);
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
	otd_app_processes_stop(app);
	size_t n = app->reactors ? (size_t)app->settings->threads.reactors : 0;
	for (size_t i = 0; i < n; i++) {
		if (app->reactors[i].thread)
			app->env->ops->loop_stop(app->reactors[i].loop);
	}
	for (size_t i = 0; i < n; i++) {
		if (app->reactors[i].thread)
			app->env->ops->thread_join(app->env, app->reactors[i].thread);
	}
	if (app->flushed && !otd_app_upgrade_leaves(app))
		otd_app_sessions_save(app);
	for (size_t i = 0; i < n; i++) {
		struct otd_app_reactor *r = &app->reactors[i];
		if (r->thread)
			otd_app_upgrade_save_reactor(app, i);
		if (r->stratum)
			otd_stratum_destroy(r->stratum);
		if (r->reactor)
			otd_reactor_destroy(r->reactor);
		if (r->loop)
			app->env->ops->loop_destroy(r->loop);
	}
	free(app->reactors);
	otd_app_ports_free(&app->ports);
	otd_gate_destroy(app->gate);
	app->gate = NULL;
	otd_app_limits_finish(app);
}
