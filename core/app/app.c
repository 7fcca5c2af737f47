#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_backup.h"
#include "app/app_ban.h"
#include "app/app_fee.h"
#include "app/app_parts.h"
#include "app/app_sessions.h"
#include "app/app_tls.h"
#include "app/cmd/where.h"
#include "app/data_dir.h"
#include "app/live/app_plugin.h"
#include "app/notify.h"
#include "app/policy/app_policy.h"
#include "app/processes/processes.h"
#include "app/upgrade/upgrade.h"
#include "base/log.h"
#include "base/text.h"
#include "pool/history.h"
#include "pool/journal/archive.h"

#define DRAIN_MS   4000 /* answers and commits may take so long after SIGTERM */
#define GIVE_UP_MS 4700 /* and it ends in any case before 5 s */

static int64_t mono_ms(struct otd_app *app)
{
	return (int64_t)(otd_mono_ns(app->env) / 1000000);
}

static int64_t log_clock(void *arg)
{
	return otd_wall_ms(arg);
}

void otd_app_log_conf(struct otd_log_conf *to, const struct otd_settings_log *s)
{
	*to = (struct otd_log_conf){.path = *s->file ? s->file : NULL,
				    .form = (enum otd_log_form)s->format,
				    .level = (int)s->level,
				    .per_event_a_second = (uint32_t)s->per_event_a_second};
	size_t max = sizeof(to->by_module) / sizeof(to->by_module[0]);
	for (size_t i = 0; i < s->n_modules && i < max; i++) {
		snprintf(to->by_module[i].module, sizeof(to->by_module[i].module), "%s",
			 s->modules[i].name);
		to->by_module[i].level = (int)s->modules[i].level;
		to->n_by_module = i + 1;
	}
}

static otd_rc start_log(struct otd_app *app, struct otd_err *err)
{
	struct otd_log_conf conf;
	otd_app_log_conf(&conf, &app->settings->log);
	return otd_log_init(&conf, log_clock, app->env, err);
}

static otd_rc make_store(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings_use *use = &app->settings->store;
	struct otd_plugin_services services = {.files_dir = app->data_dir};
	otd_rc rc = otd_app_instance(app, &app->store_plugin, "store", use, &services, err);
	return rc ? rc : otd_store_create(&app->store, app->loop, app->store_plugin, err);
}

static otd_rc make_accounting(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	size_t n = app->n_pools ? app->n_pools : 1;
	struct otd_acct_pool *pools = calloc(n, sizeof(*pools));
	struct otd_acct_scheme(*schemes)[OTD_APP_SCHEMES_MAX] = calloc(n, sizeof(*schemes));
	otd_rc rc = pools && schemes ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++) {
		struct otd_app_pool *p = &app->pools[i];
		rc = otd_app_schemes_make(app, p, p->settings, err);
		if (rc == OTD_OK)
			pools[i] = otd_app_acct_pool(p, i, p->settings, schemes[i]);
		pools[i].fee_ppm = otd_app_fee_base(app, p->name, p->settings->fee_ppm);
	}
	struct otd_accounting_conf conf = {
		.loop = app->loop,
		.store = app->store,
		.data_dir = app->data_dir,
		.pools = pools,
		.n_pools = app->n_pools,
		.metrics = app->metrics,
		.commit_ms = s->journal.commit_ms,
		.snapshot_ms = s->journal.snapshot_ms,
		.segment_bytes = (uint64_t)s->journal.coordinator_segment_bytes,
		.max_bytes = (uint64_t)s->journal.coordinator_max_bytes,
		.drop_unknown = s->journal.drop_unknown,
		.archive = s->journal.keep_ms || s->journal.keep_bytes,
	};
	if (rc == OTD_OK)
		rc = otd_accounting_create(&app->accounting, &conf, err);
	free(pools);
	free(schemes);
	return rc;
}

static otd_rc make_coordinator(struct otd_app *app, struct otd_err *err)
{
	struct otd_coordinator_pool *pools =
		calloc(app->n_pools ? app->n_pools : 1, sizeof(*pools));
	otd_rc rc = pools ? OTD_OK : otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; rc == OTD_OK && i < app->n_pools; i++)
		rc = otd_app_coordinator_pool(&pools[i], &app->pools[i], app->pools[i].settings,
					      err);
	struct otd_coordinator_conf conf = {.env = app->env,
					    .loop = app->loop,
					    .data_dir = app->data_dir,
					    .pools = pools,
					    .n_pools = app->n_pools,
					    .accounting = app->accounting,
					    .metrics = app->metrics,
					    .watch_ms = 1000};
	if (rc == OTD_OK)
		rc = otd_coordinator_create(&app->coordinator, &conf, err);
	free(pools);
	return rc;
}

static void on_acct_block(void *arg, const struct otd_acct_block *b)
{
	struct otd_app *app = arg;
	otd_coordinator_block(app->coordinator, b);
}

static void on_acct_found(void *arg, const struct otd_acct_found *f)
{
	struct otd_app *app = arg;
	otd_coordinator_found(app->coordinator, f);
}

static void on_acct_release(void *arg, uint64_t epoch, uint64_t seq)
{
	struct otd_app *app = arg;
	for (size_t i = 0; i < app->n_reactors; i++) {
		if (app->reactors[i].epoch == epoch)
			otd_coordinator_release(app->coordinator, (uint32_t)i, epoch, seq);
	}
	otd_app_processes_release(app, epoch, seq);
}

static otd_rc start_history(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings_history *s = &app->settings->history;
	struct otd_history_conf conf = {.loop = app->loop,
					.store = app->store,
					.metrics = app->metrics,
					.minutes_ms = s->minutes_ms,
					.hours_ms = s->hours_ms > s->minutes_ms ? s->hours_ms
										: s->minutes_ms};
	return otd_history_create(&app->history, &conf, err);
}

otd_rc otd_app_make_archive(struct otd_app *app, struct otd_archive **out,
			    const struct otd_settings_journal *j, struct otd_err *err)
{
	struct otd_archive_conf conf = {
		.loop = app->loop,
		.data_dir = app->data_dir,
		.metrics = app->metrics,
		.keep_ms = j->keep_ms,
		.keep_bytes = (uint64_t)j->keep_bytes,
		.compress = j->compress,
		/* What all journals may still come to, and as much again. */
		.free_bytes =
			2 * (uint64_t)j->segment_bytes * (app->n_reactors + 1) + (256u << 20)};
	*out = NULL;
	return j->keep_ms || j->keep_bytes ? otd_archive_create(out, &conf, err) : OTD_OK;
}

static void on_drain_signal(void *arg)
{
	struct otd_app *app = arg;
	if (app->draining) {
		otd_log(OTD_LOG_WARN, "app", "end.at_once", "signal=second");
		_exit(OTD_EXIT_FAILED);
	}
	otd_app_drain(app);
}

static void on_reopen_signal(void *arg)
{
	struct otd_err err = {0};
	if (otd_log_reopen(&err) != OTD_OK)
		otd_log(OTD_LOG_ERROR, "app", "log.reopen_failed", "error=\"%s\"", err.text);
	otd_app_processes_reopen(arg);
}

static void on_reload_signal(void *arg)
{
	struct otd_app *app = arg;
	/* Its terminal was closed: nobody asks for a reload so. */
	if (app->on_terminal && !isatty(STDOUT_FILENO)) {
		on_drain_signal(app);
		return;
	}
	otd_app_reload_signal(app);
}

static void on_second(void *arg)
{
	struct otd_app *app = arg;
	if (app->draining) {
		int64_t ms = mono_ms(app) - app->drain_began_ms;
		if ((app->flushed && !otd_coordinator_leaving(app->coordinator)) || ms > GIVE_UP_MS)
			app->env->ops->loop_stop(app->loop);
		else if (!app->flushed && ms > DRAIN_MS)
			otd_app_flush(app);
		return;
	}
	otd_app_terminal(app);
	otd_app_reload_second(app);
}

/* The line of 'systemctl status'. */
static void status_text(void *arg, char *to, size_t cap)
{
	struct otd_app *app = arg;
	size_t n = app->settings->n_pools;
	snprintf(to, cap, "%s: %zu pool%s, %u connections, %zu warnings at start",
		 app->draining ? "draining" : "serving", n, n == 1 ? "" : "s",
		 otd_gate_count(app->gate), app->n_warnings);
}

/* Before a port listens: who can connect may send a signal too, and it ends a pool as it should. */
static otd_rc catch_signals(struct otd_app *app, struct otd_err *err)
{
	otd_rc rc = otd_loop_signal(app->loop, SIGTERM, on_drain_signal, app);
	if (rc == OTD_OK)
		rc = otd_loop_signal(app->loop, SIGINT, on_drain_signal, app);
	if (rc == OTD_OK)
		rc = otd_loop_signal(app->loop, SIGUSR1, on_reopen_signal, app);
	if (rc == OTD_OK)
		rc = otd_loop_signal(app->loop, SIGHUP, on_reload_signal, app);
	return rc ? otd_fail(err, rc, "cannot set up signals: %s", otd_rc_name(rc)) : OTD_OK;
}

static otd_rc start_parts(struct otd_app *app, struct otd_err *err)
{
	struct otd_accounting_events events = {.block = on_acct_block,
					       .release = on_acct_release,
					       .found = on_acct_found,
					       .arg = app};
	/* Block files first: accounting tells of blocks that may have none. */
	otd_rc rc = otd_coordinator_start(app->coordinator, err);
	if (rc)
		return rc;
	otd_accounting_start(app->accounting, &events);
	rc = otd_app_policy_start(app, err);
	if (rc == OTD_OK)
		rc = otd_app_tls_start(app, err);
	if (rc == OTD_OK)
		rc = otd_app_make_reactors(app, err);
	if (rc == OTD_OK && !app->heir)
		otd_app_sessions_load(app);
	if (rc == OTD_OK)
		rc = catch_signals(app, err);
	if (rc == OTD_OK)
		rc = otd_app_make_listeners(app, err);
	if (rc == OTD_OK)
		rc = otd_app_bans_start(app, err);
	if (rc == OTD_OK)
		rc = otd_control_create(&app->control, app->loop, app->socket, otd_app_request, app,
					err);
	if (rc == OTD_OK)
		rc = otd_app_make_apis(app, err);
	if (rc != OTD_OK)
		return rc;
	for (size_t i = 0; i < app->n_chains; i++)
		otd_chain_start(app->chains[i].chain);
	otd_payer_start(app->payer);
	rc = start_history(app, err);
	if (rc == OTD_OK)
		rc = otd_app_make_archive(app, &app->archive, &app->settings->journal, err);
	if (rc == OTD_OK)
		rc = otd_heir_load(app, err);
	return rc;
}

/* From the first of these on clients are served, and there is no way back to the process before. */
static otd_rc serve(struct otd_app *app, struct otd_err *err)
{
	otd_rc rc = otd_heir_go(app, err);
	if (rc == OTD_OK)
		rc = otd_app_run_reactors(app, err);
	if (rc != OTD_OK || !app->settings->miner.on)
		return rc;
	rc = otd_app_miner_start(app, err);
	if (rc == OTD_OK || !app->heir)
		return rc;
	otd_app_warn(app, "the built-in miner does not run: %s", err->text);
	*err = (struct otd_err){0};
	return OTD_OK;
}

static otd_rc take_data_dir(struct otd_app *app, struct otd_err *err)
{
	int inherited = otd_heir_lock(app);
	if (inherited < 0)
		return otd_data_dir_lock(&app->lock_fd, app->data_dir, true, err);
	app->lock_fd = inherited;
	return otd_data_dir_inherit(inherited, app->data_dir, err);
}

static otd_rc start_clocks(struct otd_app *app, struct otd_err *err)
{
	otd_rc rc = app->env->ops->timer_create(app->loop, &app->second, on_second, app);
	if (rc == OTD_OK)
		rc = otd_notify_start(app->loop, status_text, app);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "cannot set up timers: %s", otd_rc_name(rc));
	app->env->ops->timer_start(app->second, 1000, 1000);
	return OTD_OK;
}

otd_rc otd_app_start(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings *s = app->settings;
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	app->started_ms = otd_wall_ms(app->env);
	app->on_terminal = isatty(STDOUT_FILENO);
	snprintf(app->socket, sizeof(app->socket), "%s", s->socket);
	otd_rc rc = take_data_dir(app, err);
	if (rc == OTD_OK)
		rc = otd_data_dir_whole(app->data_dir, err);
	if (rc == OTD_OK)
		rc = start_log(app, err);
	if (rc == OTD_OK)
		rc = app->env->ops->loop_create(app->env, &app->loop, "coordinator", err);
	if (rc == OTD_OK && !app->plugins) /* an heir has loaded them */
		rc = otd_app_make_plugins(app, err);
	if (rc == OTD_OK)
		rc = make_store(app, err);
	if (rc == OTD_OK)
		rc = otd_app_bans_load(app, err);
	if (rc == OTD_OK)
		rc = otd_app_fees_load(app, err);
	if (rc == OTD_OK)
		rc = otd_app_make_chains(app, err);
	if (rc == OTD_OK)
		rc = make_accounting(app, err);
	if (rc == OTD_OK)
		rc = make_coordinator(app, err);
	if (rc == OTD_OK)
		rc = otd_app_policy_create(app, err);
	if (rc == OTD_OK)
		rc = otd_app_make_payer(app, err);
	if (rc == OTD_OK)
		rc = start_parts(app, err);
	if (rc == OTD_OK)
		rc = start_clocks(app, err);
	if (rc == OTD_OK)
		rc = serve(app, err);
	if (rc != OTD_OK)
		return rc;
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	atomic_store(&app->healthy, true);
	otd_notify_ready();
	otd_where_publish(app->socket);
	app->published = true;
	otd_log(OTD_LOG_INFO, "app", "start.serving", "version=%s pid=%ld pools=%zu reactors=%zu",
		OTEDAMA_VERSION, (long)getpid(), app->n_pools, app->n_reactors);
	return OTD_OK;
}

int otd_app_run(struct otd_app *app)
{
	app->env->ops->loop_run(app->loop);
	if (otd_app_upgrade_leaves(app))
		return OTD_EXIT_OK;
	if (app->flushed) {
		otd_log(OTD_LOG_INFO, "app", "end.drained", "flushed=yes");
		return OTD_EXIT_OK;
	}
	/* A disk that does not answer would keep an orderly end waiting for ever; what was
	   acknowledged is durable, and the next start takes it up as after a crash. */
	otd_log(OTD_LOG_WARN, "app", "end.gave_up",
		"flushed=no after_ms=%d why=\"the disk or the database does not answer\" "
		"hint=\"nothing acknowledged is lost; start again once the disk is well\"",
		GIVE_UP_MS);
	otd_where_withdraw(app->socket);
	(void)unlink(app->socket);
	_exit(OTD_EXIT_FAILED);
}

static void on_flushed(void *arg)
{
	struct otd_app *app = arg;
	app->flushed = true;
	/* A block that no node has yet is worth the wait: the next start may be hours away. */
	if (!otd_coordinator_leaving(app->coordinator))
		app->env->ops->loop_stop(app->loop);
}

void otd_app_flush(struct otd_app *app)
{
	otd_accounting_flush(app->accounting, on_flushed, app);
}

static void on_drained(void *arg)
{
	otd_app_flush(arg);
}

/* A payment goes on from any step; waiting for one that is under way spares the next start a look. */
static void on_payer_drained(void *arg)
{
	(void)arg;
	otd_log(OTD_LOG_DEBUG, "app", "end.payments", "quiet=yes");
}

void otd_app_drain(struct otd_app *app)
{
	app->draining = true;
	otd_app_upgrade_cancel(app);
	app->drain_began_ms = mono_ms(app);
	otd_notify_stopping();
	atomic_store(&app->healthy, false);
	otd_log(OTD_LOG_INFO, "app", "end.draining", "connections=%u", otd_gate_count(app->gate));
	otd_app_miner_stop(app);
	for (size_t i = 0; i < app->n_listeners; i++)
		otd_listener_drain(app->listeners[i]->listener);
	app->env->ops->timer_start(app->second, 100, 100);
	otd_payer_drain(app->payer, on_payer_drained, app);
	otd_coordinator_drain(app->coordinator, on_drained, app);
}

void otd_app_stop(struct otd_app *app)
{
	bool leaves = otd_app_upgrade_leaves(app);
	atomic_store(&app->stopping, true);
	if (!leaves)
		otd_app_upgrade_free(app);
	otd_app_miner_stop(app);
	otd_control_destroy(app->control);
	otd_app_plugins_stop(app);
	otd_api_destroy(app->api);
	otd_api_destroy(app->metrics_api);
	otd_notify_stop();
	if (app->second)
		app->env->ops->timer_destroy(app->second);
	otd_app_reload_stop(app);
	otd_app_upgrade_save_listeners(app);
	otd_app_free_listeners(app);
	otd_app_free_reactors(app);
	otd_app_tls_stop(app);
	otd_app_policy_stop(app);
	otd_app_bans_finish(app);
	otd_app_ask_stop(app);
	otd_payer_destroy(app->payer);
	otd_app_upgrade_save_coordinator(app);
	otd_coordinator_destroy(app->coordinator);
	otd_app_backup_stop(app);
	otd_history_destroy(app->history);
	otd_archive_destroy(app->archive);
	otd_accounting_destroy(app->accounting);
	if (app->store)
		otd_store_destroy(app->store);
	otd_app_fees_finish(app);
	otd_app_backup_free(app);
	if (app->store_plugin)
		otd_instance_destroy(app->store_plugin);
	otd_app_plugins_free(app);
	otd_app_free_chains(app);
	otd_app_upgrade_release(app);
	if (app->loop)
		app->env->ops->loop_destroy(app->loop);
	if (app->published)
		otd_where_withdraw(app->socket);
	otd_app_upgrade_save_lock(app);
	if (app->lock_fd >= 0)
		close(app->lock_fd); /* gives the lock back */
	otd_heir_finish(app);
	otd_app_reload_free(app);
	if (!leaves) /* the hand-over has a word to say */
		otd_log_finish();
}
