/* The connection to a pool: connect, read lines, write, back off, fail over, come back. */
#include "base/log.h"
#include "base/text.h"
#include "miner/internal.h"
#include <stdio.h>
#include <string.h>

#define NS_PER_MS       1000000u
#define GOOD_SESSION_MS 30000

static int64_t since_ms(const struct otd_miner *m, uint64_t then_ns)
{
	uint64_t now = otd_mono_ns(m->env);
	return now > then_ns ? (int64_t)((now - then_ns) / NS_PER_MS) : 0;
}

/* Where the host begins; NULL: of another scheme. */
static const char *after_scheme(const char *url, bool *tls)
{
	static const struct {
		const char *text;
		bool tls;
	} schemes[] = {
		{"stratum+tcp://", false}, {"stratum+ssl://", true}, {"stratum+tls://", true}};
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		size_t n = strlen(schemes[i].text);
		*tls = schemes[i].tls;
		if (!strncmp(url, schemes[i].text, n))
			return url + n;
	}
	*tls = false;
	return strstr(url, "://") ? NULL : url;
}

otd_rc otd_miner_url(struct otd_miner_pool *out, const char *url, struct otd_err *err)
{
	const char *host = after_scheme(url, &out->tls), *end, *port = NULL;
	uint64_t number = 0;
	size_t n;
	if (!host)
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"%.200s: only stratum+tcp:// and stratum+ssl:// are spoken here",
				url);
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

/* TLS's last words, as far as the socket takes them at once. */
static void farewell(struct otd_miner *m)
{
	size_t n = 0;
	if (!m->over_tls)
		return;
	m->over_tls = false;
	otd_miner_tls_end(m->tls, &m->wire);
	struct otd_span part = otd_bytes_span(&m->wire);
	if (part.len && m->stream && m->env->ops->stream_write(m->stream, &n, &part, 1))
		return; /* it takes nothing: it does without */
}

void otd_miner_close(struct otd_miner *m)
{
	farewell(m);
	m->env->ops->stream_close(m->stream);
	m->env->ops->stream_close(m->probe);
	m->stream = m->probe = NULL;
	m->asked = 0;
	otd_bytes_clear(&m->in);
	otd_bytes_clear(&m->out);
	otd_bytes_clear(&m->wire);
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

static void drop_by_tls(struct otd_miner *m)
{
	char why[480];
	/* TLS ends with the connection. */
	(void)snprintf(why, sizeof(why), "%s", otd_miner_tls_why(m->tls));
	otd_miner_drop(m, why[0] ? why : "no memory");
}

static void flush(struct otd_miner *m)
{
	struct otd_bytes *b = m->over_tls ? &m->wire : &m->out;
	if (m->over_tls && otd_miner_tls_give(m->tls, &m->out, &m->wire)) {
		drop_by_tls(m);
		return;
	}
	while (b->len) {
		struct otd_span part = otd_bytes_span(b);
		size_t n = 0;
		otd_rc rc = m->env->ops->stream_write(m->stream, &n, &part, 1);
		otd_bytes_drop(b, n);
		if (rc == OTD_E_BUSY || (!rc && n == 0))
			break;
		if (rc) {
			otd_miner_drop(m, "the pool has closed the connection");
			return;
		}
	}
	m->env->ops->stream_watch(m->stream, OTD_READABLE | (b->len ? OTD_WRITABLE : 0));
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

/* The connection stands, all of it. */
static void greet(struct otd_miner *m)
{
	char host[64] = "";
	uint16_t port = 0;
	m->state = OTD_MINER_GREETING;
	m->stats.connects++;
	m->session_ns = m->heard_ns = otd_mono_ns(m->env);
	m->env->ops->stream_peer(m->stream, host, sizeof(host), &port);
	if (m->over_tls)
		otd_miner_emit(m, OTD_MINER_CONNECTED, "%s:%u (%s)", host, port,
			       otd_miner_tls_name(m->tls));
	else
		otd_miner_emit(m, OTD_MINER_CONNECTED, "%s:%u", host, port);
	if (m->stream)
		otd_miner_greet(m);
}

/* What TLS has of what was fed; it may be through its handshake by that. */
static otd_rc hear_tls(struct otd_miner *m, uint8_t *to, size_t cap, size_t *n)
{
	otd_rc rc = otd_miner_tls_read(m->tls, to, cap, n, &m->wire);
	if (m->state == OTD_MINER_CONNECTING && otd_miner_tls_is_up(m->tls))
		greet(m);
	return rc;
}

/* What the pool says, maybe nothing yet; fresh: also what its socket has. */
static otd_rc hear(struct otd_miner *m, uint8_t *to, size_t cap, size_t *n, bool fresh)
{
	uint8_t raw[16384];
	otd_rc rc;
	if (!m->over_tls)
		return m->env->ops->stream_read(m->stream, n, to, cap);
	rc = hear_tls(m, to, cap, n);
	if (rc != OTD_E_BUSY || !fresh || !m->stream)
		return rc;
	rc = m->env->ops->stream_read(m->stream, n, raw, sizeof(raw));
	if (!rc)
		rc = otd_miner_tls_feed(m->tls, (struct otd_span){raw, *n});
	*n = 0;
	if (rc)
		return rc;
	rc = hear_tls(m, to, cap, n);
	return rc == OTD_E_BUSY ? OTD_OK : rc;
}

static void hung_up(struct otd_miner *m)
{
	if (m->over_tls && *otd_miner_tls_why(m->tls))
		drop_by_tls(m);
	else if (m->state == OTD_MINER_CONNECTING)
		otd_miner_drop(m, "the pool has hung up during the TLS handshake: is this its TLS "
				  "port?");
	else if (m->state == OTD_MINER_GREETING)
		otd_miner_drop(m, "the pool has hung up during the greeting");
	else
		otd_miner_drop(m, "the pool has closed the connection");
}

static void read_some(struct otd_miner *m)
{
	/* What TLS holds back no socket would tell of: it is heard to its end. */
	for (int round = 0; (round < 16 || m->over_tls) && m->stream; round++) {
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
		rc = hear(m, to, cap, &n, round < 16);
		if (rc == OTD_E_BUSY || !m->stream)
			return;
		if (rc) {
			hung_up(m);
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
	const struct otd_miner_pool *p = &m->pool[m->at];
	const char *host = m->redirect_port ? m->redirect_host : p->host;
	if (!p->tls) {
		greet(m);
		return;
	}
	m->over_tls = true;
	if (otd_miner_tls_begin(m->tls, host, strcmp(host, p->host) ? OTD_MINER_NO_SLOT : m->at,
				&m->wire))
		drop_by_tls(m);
}

static void on_stream(void *arg, unsigned events)
{
	struct otd_miner *m = arg;
	struct otd_err err = {0};
	if (m->state == OTD_MINER_CONNECTING && !m->over_tls) {
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
			otd_miner_drop(m, m->over_tls ? "no TLS handshake in time: is this the "
							"pool's TLS port?"
						      : "no connection in time");
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
