/* A Stratum rig on a real loop, and clients on blocking sockets that mine what they are sent. */
#ifndef TESTS_UNIT_STRATUM_CLIENT_H
#define TESTS_UNIT_STRATUM_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "stratum/stratum.h"
#include "unit/pool/reactor_rig.h"
#include <arpa/inet.h>
#include <cmocka.h>
#include <jansson.h>
#include <netinet/in.h>
#include <sys/socket.h>

struct pool_rig {
	struct rig rig;
	struct otd_stratum *st;
	struct otd_stratum_port port;
	struct otd_stream *listener;
	uint16_t tcp;
	_Atomic uint32_t accept_port; /* the port on which who connects stands */
	unsigned n_ended;
};

static inline void rig_accepted(void *arg, struct otd_stream *s)
{
	struct pool_rig *p = arg;
	struct otd_ticket ticket = {.reactor = 3};
	p->rig.env->ops->stream_detach(s);
	otd_stratum_accept(p->st, s, p->accept_port, &ticket);
}

static inline void rig_ended(void *arg, const struct otd_ticket *t)
{
	struct pool_rig *p = arg;
	assert_int_equal(t->reactor, 3);
	pthread_mutex_lock(&p->rig.lock);
	p->n_ended++;
	pthread_cond_broadcast(&p->rig.changed);
	pthread_mutex_unlock(&p->rig.lock);
}

static inline void pool_begin_policy(struct pool_rig *p, const char *difficulty, int64_t notify_ms,
				     const struct otd_stratum_policy *policy)
{
	struct otd_err err = {0};
	char host[64];

	memset(p, 0, sizeof(*p));
	rig_init(&p->rig, NULL);
	p->port = (struct otd_stratum_port){.scheme = "",
					    .start = target_of(difficulty),
					    .min = target_of("1e-9"),
					    .max = target_of("1e12"),
					    .vardiff = true};
	const struct otd_stratum_conf conf = {.reactor = p->rig.reactor,
					      .ports = &p->port,
					      .n_ports = 1,
					      .metrics = p->rig.metrics,
					      .limits = {.notify_ms = notify_ms, .bad_lines = 4},
					      .ended = rig_ended,
					      .arg = p,
					      .policy = policy};
	if (otd_stratum_create(&p->st, &conf, &err) ||
	    p->rig.env->ops->listen(p->rig.loop, &p->listener, "127.0.0.1", 0, false, rig_accepted,
				    p, &err))
		fail_msg("%s", err.text);
	p->rig.env->ops->stream_peer(p->listener, host, sizeof(host), &p->tcp);
	rig_start(&p->rig);
}

static inline void pool_begin(struct pool_rig *p, const char *difficulty, int64_t notify_ms)
{
	pool_begin_policy(p, difficulty, notify_ms, NULL);
}

static inline void pool_end(struct pool_rig *p)
{
	rig_stop(&p->rig);
	p->rig.env->ops->stream_close(p->listener);
	otd_stratum_destroy(p->st);
	rig_finish(&p->rig);
}

struct client {
	int fd;
	char buf[16384];
	size_t n;
	char line[8192];
	/* of the newest notify, set_difficulty and subscription */
	char job[16], extranonce1[20];
	char difficulty[40];
	uint8_t header[80], coinbase[512];
	size_t coinbase1_len, coinbase_len;
	uint32_t ntime;
	bool clean;
	unsigned notifies, difficulties;
};

static inline void client_open(struct client *c, struct pool_rig *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_port = htons(p->tcp),
				.sin_addr = {htonl(INADDR_LOOPBACK)}};
	struct timeval limit = {.tv_sec = 120};

	memset(c, 0, sizeof(*c));
	c->fd = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(c->fd, (struct sockaddr *)&a, sizeof(a)), 0);
}

static inline void client_send(struct client *c, const char *text)
{
	assert_int_equal(send(c->fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

/* The next line; false where the server has closed. */
static inline bool client_line(struct client *c)
{
	for (;;) {
		char *end = memchr(c->buf, '\n', c->n);
		if (end) {
			size_t n = (size_t)(end - c->buf);
			assert_true(n < sizeof(c->line));
			memcpy(c->line, c->buf, n);
			c->line[n] = 0;
			c->n -= n + 1;
			memmove(c->buf, end + 1, c->n);
			return true;
		}
		ssize_t got = recv(c->fd, c->buf + c->n, sizeof(c->buf) - c->n, 0);
		if (got < 0)
			fail_msg("nothing came for 120 s; the line before was %s", c->line);
		if (got == 0)
			return false;
		c->n += (size_t)got;
	}
}

static inline void client_notify(struct client *c, const json_t *params)
{
	const char *prev = json_string_value(json_array_get(params, 1));
	const char *c1 = json_string_value(json_array_get(params, 2));
	const char *c2 = json_string_value(json_array_get(params, 3));
	uint8_t words[32], root[64];
	size_t n1, n2, n;
	uint32_t v[3];

	assert_int_equal(json_array_size(params), 9);
	snprintf(c->job, sizeof(c->job), "%s", json_string_value(json_array_get(params, 0)));
	assert_int_equal(otd_hex_decode(words, 32, &n, prev, strlen(prev)), OTD_OK);
	for (int i = 0; i < 32; i++)
		c->header[4 + i] = words[(i & ~3) + 3 - (i & 3)];
	assert_int_equal(otd_hex_decode(c->coinbase, 256, &n1, c1, strlen(c1)), OTD_OK);
	assert_int_equal(otd_hex_decode(c->coinbase + n1, 4, &n, c->extranonce1, 8), OTD_OK);
	memcpy(c->coinbase + n1 + 4, "\0\0\0\1", 4);
	assert_int_equal(otd_hex_decode(c->coinbase + n1 + 8, 200, &n2, c2, strlen(c2)), OTD_OK);
	c->coinbase_len = n1 + n2 + 8;
	otd_sha256d(root, c->coinbase, c->coinbase_len);
	const json_t *branches = json_array_get(params, 4);
	for (size_t i = 0; i < json_array_size(branches); i++) {
		const char *b = json_string_value(json_array_get(branches, i));
		assert_int_equal(otd_hex_decode(root + 32, 32, &n, b, strlen(b)), OTD_OK);
		otd_sha256d(root, root, 64);
	}
	memcpy(c->header + 36, root, 32);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
			otd_hex_u32(&v[i], json_string_value(json_array_get(params, 5 + i)), 8),
			OTD_OK);
	for (int i = 0; i < 4; i++) {
		c->header[i] = (uint8_t)(v[0] >> 8 * i);
		c->header[68 + i] = (uint8_t)(v[2] >> 8 * i);
		c->header[72 + i] = (uint8_t)(v[1] >> 8 * i);
	}
	c->ntime = v[2];
	c->clean = json_is_true(json_array_get(params, 8));
	c->notifies++;
}

/* Takes in one line if it is a notice; false: c->line is an answer. */
static inline bool client_notice(struct client *c)
{
	json_t *root = json_loads(c->line, 0, NULL);
	const char *method = json_string_value(json_object_get(root, "method"));
	const json_t *params = json_object_get(root, "params");

	assert_non_null(root);
	if (method && !strcmp(method, "mining.notify")) {
		client_notify(c, params);
	} else if (method && !strcmp(method, "mining.set_difficulty")) {
		char *text = json_dumps(json_array_get(params, 0),
					JSON_ENCODE_ANY | JSON_REAL_PRECISION(6));
		snprintf(c->difficulty, sizeof(c->difficulty), "%s", text);
		free(text);
		c->difficulties++;
	} else if (!method) {
		const char *en1 =
			json_string_value(json_array_get(json_object_get(root, "result"), 1));
		if (en1)
			snprintf(c->extranonce1, sizeof(c->extranonce1), "%s", en1);
		assert_non_null(json_object_get(root, "result"));
		assert_non_null(json_object_get(root, "error"));
	}
	json_decref(root);
	return method != NULL;
}

/* The next answer, notices before it taken in. */
static inline const char *client_answer(struct client *c)
{
	do {
		if (!client_line(c))
			fail_msg("closed instead of an answer, after %s", c->line);
	} while (client_notice(c));
	return c->line;
}

static inline void client_until_notify(struct client *c, unsigned n)
{
	while (c->notifies < n) {
		if (!client_line(c))
			fail_msg("closed instead of a notify");
		if (!client_notice(c))
			fail_msg("an answer instead of a notify: %s", c->line);
	}
}

/* A nonce whose hash is between the two targets: at most easy, above hard. */
static inline uint32_t client_mine(struct client *c, struct otd_u256 easy, struct otd_u256 hard,
				   uint32_t from)
{
	for (uint32_t nonce = from;; nonce++) {
		uint8_t hash[32];
		for (int i = 0; i < 4; i++)
			c->header[76 + i] = (uint8_t)(nonce >> 8 * i);
		otd_sha256d(hash, c->header, 80);
		struct otd_u256 h = otd_u256_from_le(hash);
		if (otd_u256_cmp(h, easy) <= 0 && otd_u256_cmp(h, hard) > 0)
			return nonce;
	}
}

static inline void client_submit(struct client *c, const char *user, const char *job,
				 uint32_t nonce, const char *id)
{
	char line[512];
	snprintf(line, sizeof(line),
		 "{\"params\":[\"%s\",\"%s\",\"00000001\",\"%08x\",\"%08x\"],\"id\":%s,"
		 "\"method\":\"mining.submit\"}\n",
		 user, job, c->ntime, nonce, id);
	client_send(c, line);
}

/* subscribe and authorize as goodA.rig. */
static inline void client_login(struct client *c)
{
	client_send(
		c, "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[\"test/1\"]}\n"
		   "{\"id\":2,\"method\":\"mining.authorize\",\"params\":[\"goodA.rig\",\"x\"]}\n");
	client_answer(c);
	assert_string_equal(client_answer(c), "{\"id\":2,\"result\":true,\"error\":null}");
	client_until_notify(c, 1);
}

#endif
