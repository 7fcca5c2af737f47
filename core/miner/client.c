/* The connection to a pool: connect, read lines, write, back off, fail over, come back. */
#include "base/log.h"
#include "base/text.h"
#include "miner/internal.h"
#include <string.h>

#define NS_PER_MS       1000000u
#define GOOD_SESSION_MS 30000

static int64_t since_ms(const struct otd_miner *m, uint64_t then_ns)
{
	uint64_t now = otd_mono_ns(m->env);
	return now > then_ns ? (int64_t)((now - then_ns) / NS_PER_MS) : 0;
}

otd_rc otd_miner_url(struct otd_miner_pool *out, const char *url, struct otd_err *err)
{
	static const char scheme[] = "stratum+tcp://";
	const char *host = url, *end, *port = NULL, *other = strstr(url, "://");
	uint64_t number = 0;
	size_t n;
	if (strncmp(url, scheme, sizeof(scheme) - 1) == 0)
		host = url + sizeof(scheme) - 1;
	else if (other)
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"%.200s: only stratum+tcp:// is spoken here, not %.*s://", url,
				(int)(other - url > 20 ? 20 : other - url), url);
	if (*host == '[') {
		end = strchr(++host, ']');
		port = end && end[1] == ':' ? end + 2 : NULL;
	} else {
		end = strrchr(host, ':');
		port = end ? end + 1 : NULL;
	}
	n = port ? strcspn(port, "/") : 0;
	if (!port || end == host || otd_parse_u64(&number, port, n) || number == 0 ||
	    number > 65535 || (port[n] && strcmp(port + n, "/") != 0))
		return otd_fail(
			err, OTD_E_INVALID,
			"%.200s: is not an address of a pool: write stratum+tcp://HOST:PORT", url);
	n = (size_t)(end - host);
	if (n >= sizeof(out->host))
		return otd_fail(err, OTD_E_RANGE, "%.60s...: the host's name is too long", url);
	memcpy(out->host, host, n);
	out->host[n] = 0;
	out->port = (uint16_t)number;
	return OTD_OK;
}

void otd_miner_close(struct otd_miner *m)
{
	m->env->ops->stream_close(m->stream);
	m->env->ops->stream_close(m->probe);
	m->stream = m->probe = NULL;
	m->asked = 0;
	otd_bytes_clear(&m->in);
	otd_bytes_clear(&m->out);
	otd_miner_forget(m);
	if (m->job)
		m->extranonce2_count = atomic_load(&m->job->next_extranonce2) + m->n_units;
	if (m->n_units)
		otd_miner_devices_job(m, NULL, true);
	m->stats.job[0] = m->stats.difficulty[0] = 0;
}

/* Doubles with every failure, within bounds, a quarter of it by chance: a pool that comes back is
   not met by all its miners at once. */
static int64_t back_off_ms(struct otd_miner *m)
{
	uint32_t steps = m->all_failures > 1 ? m->all_failures - 1 : 0;
	int64_t ms = m->conf.retry_min_ms;
	uint32_t chance = 0;
	for (uint32_t i = 0; i < steps && ms < m->conf.retry_max_ms; i++)
		ms *= 2;
	if (ms > m->conf.retry_max_ms)
		ms = m->conf.retry_max_ms;
	m->env->ops->random(m->env, &chance, sizeof(chance));
	return ms - ms / 4 + (ms >= 4 ? (int64_t)(chance % (uint64_t)(ms / 4 + 1)) : 0);
}

void otd_miner_drop(struct otd_miner *m, const char *why)
{
	bool good = m->session_good && since_ms(m, m->session_ns) >= GOOD_SESSION_MS;
	uint32_t next = m->at;
	int64_t wait_ms;
	if (m->closing || m->state == OTD_MINER_STOPPED)
		return;
	m->closing = true;
	otd_miner_close(m);
	m->closing = false;
	m->drop = NULL;
	if (good)
		m->failures = m->all_failures = 0;
	m->failures++;
	m->all_failures++;
	wait_ms = back_off_ms(m);
	if (m->redirect_port && m->redirect_wait_ms >= 0) {
		wait_ms = m->redirect_wait_ms;
		m->redirect_wait_ms =
			-1; /* used: a second failure goes back to the pool's own address */
	} else if (m->redirect_port) {
		m->redirect_port = 0;
	}
	if (!m->redirect_port && m->failures >= m->conf.failures && m->conf.n_urls > 1) {
		next = (m->at + 1) % (uint32_t)m->conf.n_urls;
		m->failures = 0;
		if (m->all_failures <= m->conf.failures * m->conf.n_urls)
			wait_ms = 0;
	}
	m->state = OTD_MINER_WAITING;
	otd_miner_emit(m, OTD_MINER_DISCONNECTED, "%s; next try in %lld ms", why,
		       (long long)wait_ms);
	if (m->state != OTD_MINER_WAITING)
		return; /* the event has stopped us */
	if (next != m->at) {
		m->at = next;
		otd_miner_emit(m, OTD_MINER_FAILOVER, "%s", m->pool[next].url);
		if (m->state != OTD_MINER_WAITING)
			return;
	}
	m->env->ops->timer_start(m->retry, wait_ms, 0);
}

static void flush(struct otd_miner *m)
{
	while (m->out.len) {
		struct otd_span part = otd_bytes_span(&m->out);
		size_t n = 0;
		otd_rc rc = m->env->ops->stream_write(m->stream, &n, &part, 1);
		otd_bytes_drop(&m->out, n);
		if (rc == OTD_E_BUSY || (!rc && n == 0))
			break;
		if (rc) {
			otd_miner_drop(m, "the pool has closed the connection");
			return;
		}
	}
	m->env->ops->stream_watch(m->stream, OTD_READABLE | (m->out.len ? OTD_WRITABLE : 0));
}

otd_rc otd_miner_send(struct otd_miner *m, json_t *message)
{
	char *text = message ? json_dumps(message, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
	otd_rc rc = OTD_E_NOMEM;
	if (text && m->stream) {
		rc = otd_bytes_text(&m->out, text);
		if (!rc)
			rc = otd_bytes_text(&m->out, "\n");
	}
	free(text);
	json_decref(message);
	/* Written when the socket says so: nothing leaves from within a handler. */
	if (!rc)
		m->env->ops->stream_watch(m->stream, OTD_READABLE | OTD_WRITABLE);
	return rc;
}

/* The lines that are whole; false: the pool is to be left, m->drop says why. */
static bool take_lines(struct otd_miner *m)
{
	size_t start = 0;
	while (start < m->in.len && !m->drop) {
		const uint8_t *line = m->in.ptr + start;
		const uint8_t *end = memchr(line, '\n', m->in.len - start);
		size_t n;
		if (!end)
			break;
		n = (size_t)(end - line);
		start += n + 1;
		if (n && line[n - 1] == '\r')
			n--;
		if (n)
			otd_miner_line(m, (const char *)line, n);
		if (!m->stream)
			return true; /* stopped from within an event */
	}
	otd_bytes_drop(&m->in, start);
	if (!m->drop && m->in.len >= OTD_MINER_LINE_MAX - 1)
		m->drop = "the pool sends a line without an end";
	return m->drop == NULL;
}

static void read_some(struct otd_miner *m)
{
	for (int round = 0; round < 16 && m->stream; round++) {
		size_t n = 0, cap = OTD_MINER_LINE_MAX - m->in.len;
		uint8_t *to;
		otd_rc rc;
		if (cap > 16384)
			cap = 16384;
		to = otd_bytes_room(&m->in, cap);
		if (!to) {
			otd_miner_drop(m, "no memory");
			return;
		}
		rc = m->env->ops->stream_read(m->stream, &n, to, cap);
		if (rc == OTD_E_BUSY)
			return;
		if (rc) {
			otd_miner_drop(m, m->state == OTD_MINER_GREETING
						  ? "the pool has hung up during the greeting"
						  : "the pool has closed the connection");
			return;
		}
		m->in.len += n;
		m->heard_ns = otd_mono_ns(m->env);
		if (!take_lines(m)) {
			otd_miner_drop(m, m->drop);
			return;
		}
	}
}

static void connected(struct otd_miner *m)
{
	char host[64] = "";
	uint16_t port = 0;
	m->state = OTD_MINER_GREETING;
	m->stats.connects++;
	m->session_ns = m->heard_ns = otd_mono_ns(m->env);
	m->env->ops->stream_peer(m->stream, host, sizeof(host), &port);
	otd_miner_emit(m, OTD_MINER_CONNECTED, "%s:%u", host, port);
	if (m->stream)
		otd_miner_greet(m);
}

static void on_stream(void *arg, unsigned events)
{
	struct otd_miner *m = arg;
	struct otd_err err = {0};
	if (m->state == OTD_MINER_CONNECTING) {
		if (m->env->ops->stream_error(m->stream, &err)) {
			otd_miner_drop(m, err.text);
			return;
		}
		connected(m);
	}
	if (m->stream && (events & OTD_READABLE))
		read_some(m);
	if (m->stream)
		flush(m);
}

void otd_miner_connect(struct otd_miner *m)
{
	const struct otd_miner_pool *p = &m->pool[m->at];
	bool redirected = m->redirect_port != 0;
	struct otd_err err = {0};
	m->state = OTD_MINER_CONNECTING;
	m->session++;
	m->session_good = false;
	m->session_ns = m->asked_ns = m->probe_ns = otd_mono_ns(m->env);
	if (m->env->ops->connect(m->loop, &m->stream, redirected ? m->redirect_host : p->host,
				 redirected ? m->redirect_port : p->port, on_stream, m, &err)) {
		m->stream = NULL;
		otd_miner_drop(m, err.text);
	}
}

/* The first pool answers again: go back to it. */
static void on_probe(void *arg, unsigned events)
{
	struct otd_miner *m = arg;
	bool stands = m->env->ops->stream_error(m->probe, NULL) == OTD_OK;
	(void)events;
	m->env->ops->stream_close(m->probe);
	m->probe = NULL;
	m->probe_ns = otd_mono_ns(m->env);
	if (!stands || m->at == 0)
		return;
	otd_miner_close(m);
	m->at = 0;
	/* One failure of it leads here again. */
	m->failures = m->conf.failures - 1;
	m->all_failures = 0;
	m->redirect_port = 0;
	m->state = OTD_MINER_WAITING;
	otd_miner_emit(m, OTD_MINER_FAILOVER, "%s", m->pool[0].url);
	if (m->state == OTD_MINER_WAITING)
		m->env->ops->timer_start(m->retry, 0, 0);
}

static void probe_first(struct otd_miner *m)
{
	m->probe_ns = otd_mono_ns(m->env);
	m->env->ops->stream_close(m->probe);
	m->probe = NULL;
	if (m->env->ops->connect(m->loop, &m->probe, m->pool[0].host, m->pool[0].port, on_probe, m,
				 NULL))
		m->probe = NULL;
}

static void check_deadlines(struct otd_miner *m)
{
	if (m->state == OTD_MINER_CONNECTING) {
		if (since_ms(m, m->asked_ns) >= m->conf.answer_ms)
			otd_miner_drop(m, "no connection in time");
		return;
	}
	if (m->asked && since_ms(m, m->asked_ns) >= m->conf.answer_ms) {
		/* Old servers leave a method that they do not know without an answer. */
		if (m->asked == REQ_CONFIGURE)
			otd_miner_ask(m, REQ_SUBSCRIBE);
		else
			otd_miner_drop(m, m->asked == REQ_SUBSCRIBE
						  ? "the pool does not answer mining.subscribe"
						  : "the pool does not answer mining.authorize");
		return;
	}
	if (since_ms(m, m->heard_ns) >= m->conf.silence_ms) {
		otd_miner_drop(m, "the pool has gone silent");
		return;
	}
	if (m->at != 0 && since_ms(m, m->probe_ns) >= m->conf.first_again_ms)
		probe_first(m);
}

void otd_miner_tick(void *arg)
{
	struct otd_miner *m = arg;
	uint32_t i = m->n_samples++ % OTD_MINER_SAMPLES;
	m->sample[i].ns = otd_mono_ns(m->env);
	m->sample[i].hashes = otd_miner_hashes(m);
	if (m->stream)
		check_deadlines(m);
	otd_miner_check_finished(m);
}
