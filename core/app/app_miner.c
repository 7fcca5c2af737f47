/* The miner inside serve, for a devnet: the client of core/miner on a loop and thread of its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/app_parts.h"
#include "app/live/app_plugin.h"
#include "base/log.h"

static const struct otd_app_pool *find_pool(struct otd_app *app, const char *name)
{
	for (size_t i = 0; i < app->n_pools; i++) {
		if (app->pools[i].settings && strcmp(app->pools[i].settings->name, name) == 0)
			return &app->pools[i];
	}
	return NULL;
}

static void add_backend(void *arg, const struct otd_plugin_found *f)
{
	struct otd_app *app = arg;
	struct otd_app_miner *m = app->miner;
	const char *use = app->settings->miner.use;
	struct otd_plugin_services none = {0};
	struct otd_err err = {0};
	if (strcmp(f->kind, "hw") != 0 || !f->enabled || (*use && strcmp(use, f->id) != 0) ||
	    m->n_hw == sizeof(m->hw) / sizeof(m->hw[0]))
		return;
	struct otd_plugin *pl = otd_plugins_get(app->plugins, "hw", f->id, &err);
	if (pl && otd_instance_create(&m->hw[m->n_hw], pl, NULL, "miner", &none, &err) == OTD_OK)
		m->n_hw++;
	else
		otd_app_warn(app, "miner: leaving out hw/%s: %s", f->id, err.text);
}

static void on_second(void *arg)
{
	struct otd_app_miner *m = arg;
	struct otd_miner_stats s;
	otd_miner_stats(m->miner, &s);
	atomic_store(&m->hashes_10s, s.hashes_10s);
	atomic_store(&m->ms_10s, (uint64_t)(s.ms_10s > 0 ? s.ms_10s : 0));
}

static void on_event(void *arg, const struct otd_miner_event *ev)
{
	char quoted[400];
	(void)arg;
	int level = ev->kind == OTD_MINER_UNAUTHORIZED || ev->kind == OTD_MINER_DEVICE ||
				    ev->kind == OTD_MINER_PROTOCOL || ev->kind == OTD_MINER_REFUSED
			    ? OTD_LOG_WARN
			    : OTD_LOG_DEBUG;
	otd_log(level, "miner", "miner.event", "kind=%d text=%s", (int)ev->kind,
		otd_log_quote(quoted, sizeof(quoted), ev->text, strlen(ev->text)));
}

static void run_miner(void *arg)
{
	struct otd_app_miner *m = arg;
	const struct otd_env_ops *ops = m->loop->env->ops;
	struct otd_err err = {0};
	/* One thread is coordinator, reactor and all of this small world of its own. */
	otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_COMPUTE);
	if (otd_miner_start(m->miner, &err) != OTD_OK) {
		otd_log(OTD_LOG_ERROR, "miner", "miner.failed", "error=\"%s\"", err.text);
		return;
	}
	ops->timer_start(m->timer, 1000, 1000);
	ops->loop_run(m->loop);
	otd_miner_stop(m->miner);
}

static void free_miner(struct otd_app *app)
{
	struct otd_app_miner *m = app->miner;
	const struct otd_env_ops *ops = app->env->ops;
	if (m->thread) {
		ops->loop_stop(m->loop);
		ops->thread_join(app->env, m->thread);
	}
	otd_miner_destroy(m->miner);
	if (m->timer)
		ops->timer_destroy(m->timer);
	if (m->loop)
		ops->loop_destroy(m->loop);
	for (size_t i = 0; i < m->n_hw; i++)
		otd_instance_destroy(m->hw[i]);
	otd_app_plugins_miner_gone(app, m->algo);
	free(m);
	app->miner = NULL;
}

otd_rc otd_app_miner_start(struct otd_app *app, struct otd_err *err)
{
	const struct otd_settings_miner *s = &app->settings->miner;
	const struct otd_app_pool *p = find_pool(app, s->pool);
	struct otd_app_miner *m = calloc(1, sizeof(*m));
	app->miner = m;
	if (!m || !p || !p->settings->n_ports) {
		free(m);
		app->miner = NULL;
		return otd_fail(err, OTD_E_INVALID, "miner.pool: '%s' has no port to mine on",
				s->pool);
	}
	const struct otd_settings_port *port = &p->settings->ports[0];
	bool any = strcmp(port->listen, "*") == 0 || strcmp(port->listen, "0.0.0.0") == 0;
	bool tls = port->tls.certificate && !port->plain;
	snprintf(m->url, sizeof(m->url), "stratum+%s://%s:%u", tls ? "ssl" : "tcp",
		 any ? "127.0.0.1" : port->listen, port->port);
	snprintf(m->pool, sizeof(m->pool), "%s", s->pool);
	snprintf(m->user, sizeof(m->user), "%s%s%s", s->account, *s->worker ? "." : "", s->worker);
	m->urls[0] = m->url;
	otd_rc rc = otd_plugins_found(app->plugins, add_backend, app, err);
	if (rc == OTD_OK && m->n_hw == 0)
		rc = otd_fail(err, OTD_E_NOT_FOUND,
			      "miner: no hw plugin is enabled; add hw/* to plugins.enable");
	if (rc == OTD_OK)
		rc = app->env->ops->loop_create(app->env, &m->loop, "miner", err);
	m->algo = p->chain->algo;
	struct otd_miner_conf conf = {.algo = m->algo,
				      .hw = m->hw,
				      .n_hw = m->n_hw,
				      .threads = (uint32_t)s->threads,
				      .urls = m->urls,
				      .n_urls = 1,
				      .user = m->user,
				      /* The port is this very process's: nobody is on the way. */
				      .trust = {.insecure = true},
				      .event = on_event,
				      .arg = m};
	if (rc == OTD_OK)
		rc = otd_miner_create(&m->miner, m->loop, &conf, err);
	if (rc == OTD_OK)
		rc = app->env->ops->timer_create(m->loop, &m->timer, on_second, m);
	if (rc == OTD_OK)
		rc = app->env->ops->thread_start(app->env, &m->thread, "miner", run_miner, m, err);
	if (rc != OTD_OK)
		free_miner(app);
	return rc;
}

void otd_app_miner_stop(struct otd_app *app)
{
	if (app->miner)
		free_miner(app);
}
