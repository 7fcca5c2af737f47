/* The connection to a node's publisher: it is made again for ever, with a growing pause. See chain/zmq.h. */
#include "chain/zmq.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define PAUSE_MIN_MS 250
#define PAUSE_MAX_MS 15000
#define HANDSHAKE_MS 5000

struct otd_zmq {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_zmq_conf conf;
	struct otd_stream *stream;
	struct otd_timer *timer; /* the pause, or how long a handshake may take */
	struct otd_zmq_reader reader;
	struct otd_bytes out;
	struct otd_zmq_status st;
	int64_t pause_ms;
	bool numbered; /* last is the number of the notice before */
	uint32_t last;
};

static void begin(struct otd_zmq *z);

static void leave(struct otd_zmq *z, const char *why)
{
	const struct otd_env_ops *ops = z->env->ops;
	if (strcmp(z->st.why, why) != 0 || z->st.connected)
		otd_log(OTD_LOG_WARN, "chain", "zmq.down", "at=%s:%u why=%s", z->conf.at.host,
			z->conf.at.port, OTD_Q(why));
	snprintf(z->st.why, sizeof(z->st.why), "%s", why);
	ops->stream_close(z->stream);
	z->stream = NULL;
	z->st.connected = z->numbered = false;
	otd_zmq_reader_finish(&z->reader);
	otd_zmq_reader_init(&z->reader);
	otd_bytes_clear(&z->out);
	int64_t ms = z->pause_ms ? z->pause_ms * 2 : PAUSE_MIN_MS;
	z->pause_ms = ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
	ops->timer_start(z->timer, z->pause_ms, 0);
	if (z->conf.on_state)
		z->conf.on_state(z->conf.arg);
}

static void flush(struct otd_zmq *z)
{
	while (z->out.len) {
		struct otd_span part = otd_bytes_span(&z->out);
		size_t n = 0;
		otd_rc rc = z->env->ops->stream_write(z->stream, &n, &part, 1);
		otd_bytes_drop(&z->out, n);
		if (rc == OTD_E_BUSY || (!rc && n == 0))
			break;
		if (rc) {
			leave(z, "it has closed the connection");
			return;
		}
	}
	z->env->ops->stream_watch(z->stream, OTD_READABLE | (z->out.len ? OTD_WRITABLE : 0));
}

static void on_notice(void *arg, const struct otd_zmq_notice *n)
{
	struct otd_zmq *z = arg;
	uint32_t skipped = z->numbered && n->numbered ? n->number - z->last - 1 : 0;
	z->numbered = n->numbered;
	z->last = n->number;
	z->st.notices++;
	z->st.missed += skipped;
	if (skipped) {
		otd_log(OTD_LOG_WARN, "chain", "zmq.gap", "at=%s:%u missed=%u", z->conf.at.host,
			z->conf.at.port, skipped);
		z->conf.on_notice(z->conf.arg, NULL);
	}
	z->conf.on_notice(z->conf.arg, n->hash);
}

/* Subscribed: what was before is to be asked for. */
static void stands(struct otd_zmq *z)
{
	if (otd_zmq_subscribe(&z->out) != OTD_OK) {
		leave(z, "out of memory");
		return;
	}
	z->env->ops->timer_stop(z->timer);
	z->st.connected = true;
	z->st.why[0] = 0;
	z->st.connects++;
	z->st.connected_ns = otd_mono_ns(z->env);
	z->pause_ms = 0;
	otd_log(OTD_LOG_INFO, "chain", "zmq.up", "at=%s:%u", z->conf.at.host, z->conf.at.port);
	flush(z);
	if (z->stream && z->conf.on_state)
		z->conf.on_state(z->conf.arg);
	if (z->stream)
		z->conf.on_notice(z->conf.arg, NULL);
}

static void read_some(struct otd_zmq *z)
{
	uint8_t buf[4096];
	for (int round = 0; round < 16 && z->stream; round++) {
		struct otd_err err = {0};
		size_t n = 0;
		otd_rc rc = z->env->ops->stream_read(z->stream, &n, buf, sizeof(buf));
		if (rc == OTD_E_BUSY)
			return;
		if (rc) {
			leave(z, z->reader.greeted ? "it has closed the connection"
						   : "it closes the connection without a word");
			return;
		}
		rc = otd_zmq_read(&z->reader, buf, n, on_notice, z, &err);
		if (rc) {
			leave(z, err.text);
			return;
		}
		if (z->reader.ready && !z->st.connected)
			stands(z);
	}
}

static void on_stream(void *arg, unsigned events)
{
	struct otd_zmq *z = arg;
	struct otd_err err = {0};
	if (z->env->ops->stream_error(z->stream, &err) != OTD_OK) {
		leave(z, err.text);
		return;
	}
	if (events & OTD_WRITABLE)
		flush(z);
	if (z->stream && (events & OTD_READABLE))
		read_some(z);
}

static void begin(struct otd_zmq *z)
{
	struct otd_err err = {0};
	uint8_t greeting[OTD_ZMQ_GREETING];
	otd_zmq_greeting(greeting);
	otd_rc rc = otd_bytes_add(&z->out, greeting, sizeof(greeting));
	if (rc == OTD_OK)
		rc = otd_zmq_hello(&z->out);
	if (rc)
		otd_fail(&err, rc, "out of memory");
	else
		rc = z->env->ops->connect(z->loop, &z->stream, z->conf.at.host, z->conf.at.port,
					  on_stream, z, &err);
	if (rc) {
		leave(z, err.text);
		return;
	}
	z->env->ops->timer_start(z->timer, HANDSHAKE_MS, 0);
}

static void on_timer(void *arg)
{
	struct otd_zmq *z = arg;
	if (z->stream)
		leave(z, "it does not answer in 5 s");
	else
		begin(z);
}

otd_rc otd_zmq_create(struct otd_zmq **out, struct otd_loop *l, struct otd_env *e,
		      const struct otd_zmq_conf *conf, struct otd_err *err)
{
	struct otd_zmq *z = calloc(1, sizeof(*z));
	*out = NULL;
	if (!z)
		return otd_fail(err, OTD_E_NOMEM, "no memory for a subscriber");
	z->env = e;
	z->loop = l;
	z->conf = *conf;
	otd_zmq_reader_init(&z->reader);
	otd_bytes_init(&z->out, 1024);
	otd_rc rc = e->ops->timer_create(l, &z->timer, on_timer, z);
	if (rc) {
		otd_zmq_destroy(z);
		return otd_fail(err, rc, "no timer for a subscriber");
	}
	/* Nobody is called from within here. */
	e->ops->timer_start(z->timer, 0, 0);
	*out = z;
	return OTD_OK;
}

void otd_zmq_destroy(struct otd_zmq *z)
{
	if (!z)
		return;
	z->env->ops->stream_close(z->stream);
	if (z->timer)
		z->env->ops->timer_destroy(z->timer);
	otd_zmq_reader_finish(&z->reader);
	otd_bytes_finish(&z->out);
	free(z);
}

void otd_zmq_look(const struct otd_zmq *z, struct otd_zmq_status *out)
{
	*out = z->st;
}
