/* A miner from create to destroy, its events and its figures. */
#include "miner/miner.h"
#include "base/text.h"
#include "miner/internal.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_MASK 0x1fffe000u

void otd_miner_emit_event(struct otd_miner *m, struct otd_miner_event *ev)
{
	ev->pool = m->at;
	if (m->conf.event)
		m->conf.event(m->conf.arg, ev);
}

void otd_miner_emit(struct otd_miner *m, enum otd_miner_event_kind kind, const char *fmt, ...)
{
	struct otd_miner_event ev = {.kind = kind};
	char text[640];
	va_list ap;
	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = 0;
	va_end(ap);
	ev.text = text;
	otd_miner_emit_event(m, &ev);
}

/* The dialect's header has 80 bytes with the nonce at its end. */
static otd_rc check_algo(const struct otd_plugin_instance *algo, struct otd_err *err)
{
	const struct otd_algo_info *i = otd_instance_algo_info(algo);
	if (i->header_len == OTD_MINER_HEADER && i->nonce_offset == OTD_MINER_NONCE_AT &&
	    i->nonce_len == 4)
		return OTD_OK;
	return otd_fail(
		err, OTD_E_UNSUPPORTED,
		"miner: %s has headers of %u bytes with the nonce at %u; the dialect of Stratum "
		"that this miner speaks has 80 and 76",
		otd_plugin_desc(otd_instance_plugin(algo))->id, i->header_len, i->nonce_offset);
}

static void set_defaults(struct otd_miner_conf *c)
{
	if (c->version_mask == ~0u)
		c->version_mask = 0;
	else if (c->version_mask == 0)
		c->version_mask = DEFAULT_MASK;
	c->failures = c->failures ? c->failures : 3;
	c->retry_min_ms = c->retry_min_ms > 0 ? c->retry_min_ms : 1000;
	c->retry_max_ms = c->retry_max_ms > 0 ? c->retry_max_ms : 30000;
	c->answer_ms = c->answer_ms > 0 ? c->answer_ms : 15000;
	c->silence_ms = c->silence_ms > 0 ? c->silence_ms : 120000;
	c->first_again_ms = c->first_again_ms > 0 ? c->first_again_ms : 60000;
}

static otd_rc copy_conf(struct otd_miner *m, const struct otd_miner_conf *conf, struct otd_err *err)
{
	if (!conf->n_urls || conf->n_urls > OTD_MINER_POOLS_MAX)
		return otd_fail(err, OTD_E_INVALID, "miner: %zu pools; give 1 to %u", conf->n_urls,
				OTD_MINER_POOLS_MAX);
	if (!conf->user || !conf->user[0])
		return otd_fail(err, OTD_E_INVALID, "miner: no user; give ADDRESS.worker");
	for (size_t i = 0; i < conf->n_urls; i++) {
		otd_rc rc = otd_miner_url(&m->pool[i], conf->urls[i], err);
		if (rc)
			return rc;
		m->pool[i].url = strdup(conf->urls[i]);
		if (!m->pool[i].url)
			return otd_fail(err, OTD_E_NOMEM, "miner: no memory");
		if (m->pool[i].tls && !m->tls)
			rc = otd_miner_tls_create(&m->tls, &conf->trust, err);
		if (rc)
			return rc;
	}
	m->conf = *conf;
	set_defaults(&m->conf);
	m->user = strdup(conf->user);
	m->password = strdup(conf->password ? conf->password : "x");
	m->agent = strdup(conf->agent ? conf->agent : "otedama/" OTEDAMA_VERSION);
	m->hw = calloc(conf->n_hw + 1, sizeof(struct otd_plugin_instance *));
	if (!m->user || !m->password || !m->agent || !m->hw)
		return otd_fail(err, OTD_E_NOMEM, "miner: no memory");
	if (conf->n_hw)
		memcpy(m->hw, conf->hw, conf->n_hw * sizeof(struct otd_plugin_instance *));
	m->conf.urls = NULL;
	m->conf.user = m->conf.password = m->conf.agent = NULL;
	m->conf.hw = NULL;
	m->conf.trust = (struct otd_miner_trust){0};
	return OTD_OK;
}

static void on_retry(void *arg)
{
	otd_miner_connect(arg);
}

otd_rc otd_miner_create(struct otd_miner **out, struct otd_loop *l,
			const struct otd_miner_conf *conf, struct otd_err *err)
{
	struct otd_miner *m = calloc(1, sizeof(*m));
	otd_rc rc;
	*out = NULL;
	if (!m)
		return otd_fail(err, OTD_E_NOMEM, "miner: no memory");
	m->loop = l;
	m->env = l->env;
	(void)pthread_mutex_init(&m->lock, NULL);
	(void)pthread_cond_init(&m->wake, NULL);
	otd_bytes_init(&m->in, OTD_MINER_LINE_MAX);
	otd_bytes_init(&m->out, OTD_MINER_LINE_MAX);
	otd_bytes_init(&m->wire, 2 * OTD_MINER_LINE_MAX);
	rc = check_algo(conf->algo, err);
	if (!rc)
		rc = copy_conf(m, conf, err);
	if (rc)
		goto out;
	m->diff1 = otd_u256_from_be(otd_instance_algo_info(conf->algo)->diff1);
	otd_miner_enlist(m);
	rc = m->env->ops->timer_create(l, &m->tick, otd_miner_tick, m);
	if (!rc)
		rc = m->env->ops->timer_create(l, &m->retry, on_retry, m);
	if (rc)
		rc = otd_fail(err, rc, "miner: no timer");
out:
	if (rc)
		otd_miner_destroy(m);
	else
		*out = m;
	return rc;
}

otd_rc otd_miner_start(struct otd_miner *m, struct otd_err *err)
{
	otd_rc rc;
	if (m->state != OTD_MINER_STOPPED)
		otd_miner_stop(m);
	rc = otd_miner_devices_start(m, err);
	if (rc)
		return rc;
	m->at = 0;
	m->failures = m->all_failures = 0;
	m->redirect_port = 0;
	m->n_samples = 0;
	m->start_ns = otd_mono_ns(m->env);
	otd_miner_tick(m);
	m->env->ops->timer_start(m->tick, 1000, 1000);
	/* By the timer, so that a failure at once is an event like any other. */
	m->state = OTD_MINER_WAITING;
	m->env->ops->timer_start(m->retry, 0, 0);
	return OTD_OK;
}

void otd_miner_stop(struct otd_miner *m)
{
	if (m->state == OTD_MINER_STOPPED)
		return;
	m->state = OTD_MINER_STOPPED;
	m->env->ops->timer_stop(m->tick);
	m->env->ops->timer_stop(m->retry);
	m->closing = true;
	otd_miner_close(m);
	otd_miner_devices_stop(m);
	m->closing = false;
}

void otd_miner_destroy(struct otd_miner *m)
{
	if (!m)
		return;
	otd_miner_stop(m);
	if (m->tick)
		m->env->ops->timer_destroy(m->tick);
	if (m->retry)
		m->env->ops->timer_destroy(m->retry);
	otd_miner_delist(m);
	otd_bytes_finish(&m->in);
	otd_bytes_finish(&m->out);
	otd_bytes_finish(&m->wire);
	otd_miner_tls_destroy(m->tls);
	for (size_t i = 0; i < OTD_MINER_POOLS_MAX; i++)
		free(m->pool[i].url);
	(void)pthread_cond_destroy(&m->wake);
	(void)pthread_mutex_destroy(&m->lock);
	free(m->hw);
	free(m->user);
	free(m->password);
	free(m->agent);
	free(m);
}

uint64_t otd_miner_hashes(struct otd_miner *m)
{
	uint64_t n = m->hashes_before;
	for (uint32_t i = 0; i < m->n_units; i++)
		n += atomic_load_explicit(&m->units[i].hashes, memory_order_relaxed);
	return n;
}

/* Hashes and time since the oldest sample that is at most this old. */
static void window(const struct otd_miner *m, uint64_t *hashes, int64_t *ms, uint32_t seconds)
{
	uint32_t kept = m->n_samples < OTD_MINER_SAMPLES ? m->n_samples : OTD_MINER_SAMPLES;
	uint32_t back = seconds + 1 < kept ? seconds + 1 : kept, now = m->n_samples - 1;
	*hashes = 0;
	*ms = 0;
	if (back < 2)
		return;
	uint32_t last = now % OTD_MINER_SAMPLES, first = (now - (back - 1)) % OTD_MINER_SAMPLES;
	*hashes = m->sample[last].hashes - m->sample[first].hashes;
	*ms = (int64_t)((m->sample[last].ns - m->sample[first].ns) / 1000000);
}

void otd_miner_stats(struct otd_miner *m, struct otd_miner_stats *out)
{
	uint64_t now = otd_mono_ns(m->env);
	*out = m->stats;
	out->state = m->state;
	out->pool = m->at;
	out->url = m->pool[m->at].url;
	out->units = m->units_alive;
	out->hashes = otd_miner_hashes(m);
	out->elapsed_ms = m->start_ns ? (int64_t)((now - m->start_ns) / 1000000) : 0;
	out->last_accepted_ms =
		m->last_accepted_ns ? (int64_t)((now - m->last_accepted_ns) / 1000000) : -1;
	window(m, &out->hashes_10s, &out->ms_10s, 10);
	window(m, &out->hashes_60s, &out->ms_60s, 60);
}

const char *otd_miner_state_name(enum otd_miner_state s)
{
	switch (s) {
	case OTD_MINER_STOPPED: return "stopped";
	case OTD_MINER_CONNECTING: return "connecting";
	case OTD_MINER_GREETING: return "greeting";
	case OTD_MINER_MINING: return "mining";
	case OTD_MINER_WAITING: return "waiting";
	case OTD_MINER_NO_DEVICE: return "no device";
	}
	return "unknown";
}
