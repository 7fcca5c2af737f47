/* Streams over loopback: echo, hand-over to another loop, refusal, names, descriptors run out. */
#include "helper.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define TOTAL (1 << 20)

struct echo {
	struct bench b;
	struct otd_stream *listener, *server, *client;
	uint16_t port;
	uint8_t buf[65536]; /* of the server: what is to be sent back */
	size_t have, at;
	size_t sent, received;
	bool ok, server_gone;
	struct otd_loop *other; /* where the server's end lives, or NULL */
	void *thread;
	char host[64];
};

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 251);
}

static void on_server(void *arg, unsigned events)
{
	struct echo *e = arg;
	size_t n;
	(void)events;
	for (;;) {
		if (e->at < e->have) {
			struct otd_span parts[2] = {{e->buf + e->at, 1},
						    {e->buf + e->at + 1, e->have - e->at - 1}};
			otd_rc rc = e->b.ops->stream_write(e->server, &n, parts, 2);
			if (rc == OTD_E_BUSY) {
				e->b.ops->stream_watch(e->server, OTD_WRITABLE);
				return;
			}
			if (rc)
				break;
			e->at += n;
			continue;
		}
		e->b.ops->stream_watch(e->server, OTD_READABLE);
		otd_rc rc = e->b.ops->stream_read(e->server, &n, e->buf, sizeof(e->buf));
		if (rc == OTD_E_BUSY)
			return;
		if (rc)
			break;
		e->have = n;
		e->at = 0;
	}
	e->b.ops->stream_close(e->server);
	e->server = NULL;
	e->server_gone = true;
	bench_stop(&e->b);
}

static void attach_here(void *arg)
{
	struct echo *e = arg;
	struct otd_loop *l = e->other ? e->other : e->b.loop;
	if (e->b.ops->stream_attach(l, e->server, on_server, e))
		abort();
	e->b.ops->stream_watch(e->server, OTD_READABLE);
}

static void on_accept(void *arg, struct otd_stream *s)
{
	struct echo *e = arg;
	assert_null(e->server);
	e->server = s;
	e->b.ops->stream_peer(s, e->host, sizeof(e->host), NULL);
	e->b.ops->stream_detach(s);
	if (!e->other)
		attach_here(e);
	else if (otd_loop_post(e->other, attach_here, e))
		abort();
}

static void on_client(void *arg, unsigned events)
{
	struct echo *e = arg;
	uint8_t chunk[5000];
	size_t n;
	(void)events;
	assert_int_equal(e->b.ops->stream_error(e->client, NULL), OTD_OK);
	while (e->sent < TOTAL) {
		size_t want = TOTAL - e->sent < sizeof(chunk) ? TOTAL - e->sent : sizeof(chunk);
		for (size_t i = 0; i < want; i++)
			chunk[i] = pattern(e->sent + i);
		struct otd_span part = {chunk, want};
		if (e->b.ops->stream_write(e->client, &n, &part, 1))
			break;
		e->sent += n;
	}
	while (e->b.ops->stream_read(e->client, &n, chunk, sizeof(chunk)) == OTD_OK) {
		for (size_t i = 0; i < n; i++)
			e->ok = e->ok && chunk[i] == pattern(e->received + i);
		e->received += n;
	}
	if (e->received == TOTAL) {
		e->b.ops->stream_close(e->client); /* from within its own callback */
		e->client = NULL;
		return;
	}
	e->b.ops->stream_watch(e->client, OTD_READABLE | (e->sent < TOTAL ? OTD_WRITABLE : 0u));
}

static void run_other(void *arg)
{
	struct echo *e = arg;
	e->b.ops->loop_run(e->other);
}

static void echo_through(const char *listen_on, const char *connect_to, const char *peer,
			 bool other)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct otd_err err = {0};
	char own[64];
	bench_open(&e->b);
	e->ok = true;
	if (other) {
		assert_int_equal(e->b.ops->loop_create(e->b.env, &e->other, "other", NULL), OTD_OK);
		assert_int_equal(
			e->b.ops->thread_start(e->b.env, &e->thread, "other", run_other, e, NULL),
			OTD_OK);
	}
	assert_int_equal(
		e->b.ops->listen(e->b.loop, &e->listener, listen_on, 0, other, on_accept, e, &err),
		OTD_OK);
	e->b.ops->stream_peer(e->listener, own, sizeof(own), &e->port);
	assert_int_not_equal(e->port, 0);
	assert_int_equal(
		e->b.ops->connect(e->b.loop, &e->client, connect_to, e->port, on_client, e, &err),
		OTD_OK);
	bench_run(&e->b);
	assert_true(e->ok && e->server_gone);
	assert_int_equal(e->received, TOTAL);
	assert_string_equal(e->host, peer);
	if (other) {
		e->b.ops->loop_stop(e->other);
		e->b.ops->thread_join(e->b.env, e->thread);
		e->b.ops->loop_destroy(e->other);
	}
	e->b.ops->stream_close(e->listener);
	bench_close(&e->b);
	free(e);
}

static void echo_ipv4(void **state)
{
	(void)state;
	echo_through("127.0.0.1", "127.0.0.1", "127.0.0.1", false);
}

static void echo_on_any_address(void **state)
{
	(void)state;
	/* An IPv4 peer of a socket for both families shows as IPv4. */
	echo_through("*", "127.0.0.1", "127.0.0.1", false);
}

static void echo_ipv6(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	(void)state;
	if (fd < 0)
		skip();
	close(fd);
	echo_through("::1", "::1", "::1", false);
}

static void echo_on_another_loop(void **state)
{
	(void)state;
	echo_through("127.0.0.1", "localhost", "127.0.0.1", true);
}

/* --- failures --- */

struct failing {
	struct bench b;
	struct otd_stream *s;
	struct otd_err err;
	otd_rc rc;
};

static void on_failed(void *arg, unsigned events)
{
	struct failing *f = arg;
	assert_true(events & OTD_WRITABLE);
	f->rc = f->b.ops->stream_error(f->s, &f->err);
	bench_stop(&f->b);
}

static void never(void *arg, struct otd_stream *s)
{
	(void)arg;
	(void)s;
	fail();
}

/* A port that nobody has: taken and given back. */
static uint16_t free_port(struct bench *b)
{
	struct otd_stream *s;
	char host[64];
	uint16_t port;
	assert_int_equal(b->ops->listen(b->loop, &s, "127.0.0.1", 0, false, never, NULL, NULL),
			 OTD_OK);
	b->ops->stream_peer(s, host, sizeof(host), &port);
	b->ops->stream_close(s);
	return port;
}

static void refused_and_unknown(void **state)
{
	struct failing f = {0};
	(void)state;
	bench_open(&f.b);
	assert_int_equal(
		f.b.ops->connect(f.b.loop, &f.s, "127.0.0.1", free_port(&f.b), on_failed, &f, NULL),
		OTD_OK);
	bench_run(&f.b);
	assert_int_equal(f.rc, OTD_E_REFUSED);
	assert_non_null(strstr(f.err.text, "Connection refused"));
	f.b.ops->stream_close(f.s);
	assert_int_equal(
		f.b.ops->connect(f.b.loop, &f.s, "no-such-host.invalid", 1, on_failed, &f, NULL),
		OTD_OK);
	bench_run(&f.b);
	assert_int_equal(f.rc, OTD_E_NOT_FOUND);
	f.b.ops->stream_close(f.s);
	/* Closed before anything could happen: no callback, no leak. */
	assert_int_equal(f.b.ops->connect(f.b.loop, &f.s, "127.0.0.1", 1, on_failed, &f, NULL),
			 OTD_OK);
	f.b.ops->stream_close(f.s);
	assert_int_equal(f.b.ops->connect(f.b.loop, &f.s, "localhost", 1, on_failed, &f, NULL),
			 OTD_OK);
	f.b.ops->stream_close(f.s);
	bench_close(&f.b);
}

static void taken_port_is_named(void **state)
{
	struct bench b;
	struct otd_stream *s, *t;
	struct otd_err err = {0};
	char host[64];
	uint16_t port;
	(void)state;
	bench_open(&b);
	assert_int_equal(b.ops->listen(b.loop, &s, "127.0.0.1", 0, false, never, NULL, &err),
			 OTD_OK);
	b.ops->stream_peer(s, host, sizeof(host), &port);
	assert_string_equal(host, "127.0.0.1");
	assert_int_equal(b.ops->listen(b.loop, &t, "127.0.0.1", port, false, never, NULL, &err),
			 OTD_E_EXISTS);
	assert_null(t);
	assert_non_null(strstr(err.text, "another program has this port"));
	assert_int_equal(b.ops->listen(b.loop, &t, "192.0.2.1", port, false, never, NULL, &err),
			 OTD_E_IO);
	assert_non_null(strstr(err.text, "no interface"));
	b.ops->stream_close(s);
	b.ops->stream_close(NULL);
	bench_close(&b);
}

/* --- to another process and back --- */

static void a_listener_and_its_stream_change_hands(void **state)
{
	struct echo *e = calloc(1, sizeof(*e));
	char host[64];
	uint16_t port;
	int fd;
	(void)state;
	bench_open(&e->b);
	e->ok = true;
	assert_int_equal(
		e->b.ops->listen(e->b.loop, &e->listener, "127.0.0.1", 0, false, never, NULL, NULL),
		OTD_OK);
	e->b.ops->stream_peer(e->listener, host, sizeof(host), &port);
	fd = e->b.ops->stream_release(e->listener);
	assert_true(fd >= 0);
	/* Nobody watches it: who comes now waits in its queue. */
	assert_int_equal(
		e->b.ops->connect(e->b.loop, &e->client, "127.0.0.1", port, on_client, e, NULL),
		OTD_OK);
	assert_int_equal(e->b.ops->listen_adopt(e->b.loop, &e->listener, fd, on_accept, e, NULL),
			 OTD_OK);
	e->b.ops->stream_peer(e->listener, host, sizeof(host), &e->port);
	assert_int_equal(e->port, port);
	bench_run(&e->b);
	assert_true(e->ok && e->server_gone);
	assert_int_equal(e->received, TOTAL);
	e->b.ops->stream_close(e->listener);
	bench_close(&e->b);
	free(e);
}

static void on_handed(void *arg, unsigned events)
{
	struct echo *e = arg;
	size_t n = 0;
	char text[8];
	(void)events;
	assert_int_equal(e->b.ops->stream_read(e->server, &n, text, sizeof(text)), OTD_OK);
	e->received += n;
	if (e->received == 4)
		bench_stop(&e->b);
}

static void a_connection_changes_hands(void **state)
{
	struct echo e = {0};
	char host[64];
	int pair[2], copy;
	(void)state;
	bench_open(&e.b);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[0], "ab", 2), 2);
	assert_int_equal(e.b.ops->stream_adopt(e.b.env, &e.server, pair[1]), OTD_OK);
	assert_int_equal(e.b.ops->stream_attach(e.b.loop, e.server, on_handed, &e), OTD_OK);
	copy = e.b.ops->stream_release(e.server);
	assert_int_equal(copy, pair[1]);
	assert_int_equal(write(pair[0], "cd", 2), 2);
	assert_int_equal(e.b.ops->stream_adopt(e.b.env, &e.server, copy), OTD_OK);
	e.b.ops->stream_peer(e.server, host, sizeof(host), NULL);
	assert_int_equal(e.b.ops->stream_attach(e.b.loop, e.server, on_handed, &e), OTD_OK);
	e.b.ops->stream_watch(e.server, OTD_READABLE);
	bench_run(&e.b);
	assert_int_equal(e.received, 4);
	e.b.ops->stream_close(e.server);
	close(pair[0]);
	bench_close(&e.b);
}

static void what_is_no_socket_is_refused(void **state)
{
	struct bench b;
	struct otd_stream *s;
	struct otd_err err = {0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	(void)state;
	bench_open(&b);
	assert_int_equal(b.ops->stream_adopt(b.env, &s, -1), OTD_E_INVALID);
	/* A socket that does not listen; it is closed. */
	assert_int_equal(b.ops->listen_adopt(b.loop, &s, fd, never, NULL, &err), OTD_E_INVALID);
	assert_int_equal(close(fd), -1);
	assert_int_equal(b.ops->listen_adopt(b.loop, &s, -1, never, NULL, &err), OTD_E_INVALID);
	bench_close(&b);
}

static void on_late(void *arg)
{
	struct echo *e = arg;
	assert_null(e->server);
	e->b.ops->stream_watch(e->listener, OTD_READABLE);
}

static void a_listener_rests(void **state)
{
	struct echo *e = calloc(1, sizeof(*e));
	struct otd_timer *t;
	char host[64];
	(void)state;
	bench_open(&e->b);
	e->ok = true;
	assert_int_equal(e->b.ops->listen(e->b.loop, &e->listener, "127.0.0.1", 0, false, on_accept,
					  e, NULL),
			 OTD_OK);
	e->b.ops->stream_peer(e->listener, host, sizeof(host), &e->port);
	e->b.ops->stream_watch(e->listener, 0);
	assert_int_equal(
		e->b.ops->connect(e->b.loop, &e->client, "127.0.0.1", e->port, on_client, e, NULL),
		OTD_OK);
	assert_int_equal(e->b.ops->timer_create(e->b.loop, &t, on_late, e), OTD_OK);
	e->b.ops->timer_start(t, 100, 0);
	bench_run(&e->b);
	assert_true(e->ok && e->server_gone);
	e->b.ops->timer_destroy(t);
	e->b.ops->stream_close(e->listener);
	bench_close(&e->b);
	free(e);
}

/* --- no descriptor left --- */

#define NEWCOMERS 200

struct crowd {
	struct bench b;
	struct otd_stream *listener, *clients[NEWCOMERS], *taken[NEWCOMERS];
	size_t n_taken, n_told;
	struct rlimit before;
};

static void on_crowd_accept(void *arg, struct otd_stream *s)
{
	struct crowd *c = arg;
	c->taken[c->n_taken++] = s;
}

struct member {
	struct crowd *c;
	size_t i;
	bool stands;
};

/* Told that the other side has closed: turned away. */
static void on_member(void *arg, unsigned events)
{
	struct member *m = arg;
	char x;
	size_t n;
	(void)events;
	if (!m->stands) {
		m->stands = true;
		m->c->b.ops->stream_watch(m->c->clients[m->i], OTD_READABLE);
		return;
	}
	if (m->c->b.ops->stream_read(m->c->clients[m->i], &n, &x, 1) != OTD_E_CLOSED)
		return;
	m->c->b.ops->stream_watch(m->c->clients[m->i], 0);
	if (++m->c->n_told + m->c->n_taken >= NEWCOMERS)
		bench_stop(&m->c->b);
}

static void newcomers_are_turned_away_when_descriptors_run_out(void **state)
{
	struct crowd *c = calloc(1, sizeof(*c));
	struct member *members = calloc(NEWCOMERS, sizeof(*members));
	struct rlimit few;
	char host[64];
	uint16_t port;
	int highest;
	(void)state;
	bench_open(&c->b);
	assert_int_equal(c->b.ops->listen(c->b.loop, &c->listener, "127.0.0.1", 0, false,
					  on_crowd_accept, c, NULL),
			 OTD_OK);
	c->b.ops->stream_peer(c->listener, host, sizeof(host), &port);
	/* Room for all clients but for few of their other ends. The clients' sockets are made in
	   the first round, before anything is accepted. */
	highest = dup(0);
	close(highest);
	getrlimit(RLIMIT_NOFILE, &c->before);
	few = c->before;
	few.rlim_cur = (rlim_t)highest + NEWCOMERS + 20;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (size_t i = 0; i < NEWCOMERS; i++) {
		members[i] = (struct member){c, i, false};
		assert_int_equal(c->b.ops->connect(c->b.loop, &c->clients[i], "127.0.0.1", port,
						   on_member, &members[i], NULL),
				 OTD_OK);
	}
	bench_run(&c->b);
	setrlimit(RLIMIT_NOFILE, &c->before);
	assert_true(c->n_taken > 0 && c->n_taken <= 20);
	assert_int_equal(c->n_taken + c->n_told, NEWCOMERS);
	for (size_t i = 0; i < NEWCOMERS; i++) {
		c->b.ops->stream_close(c->clients[i]);
		c->b.ops->stream_close(c->taken[i]);
	}
	c->b.ops->stream_close(c->listener);
	bench_close(&c->b);
	free(members);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(echo_ipv4),
		cmocka_unit_test(echo_on_any_address),
		cmocka_unit_test(echo_ipv6),
		cmocka_unit_test(echo_on_another_loop),
		cmocka_unit_test(refused_and_unknown),
		cmocka_unit_test(taken_port_is_named),
		cmocka_unit_test(a_listener_and_its_stream_change_hands),
		cmocka_unit_test(a_connection_changes_hands),
		cmocka_unit_test(what_is_no_socket_is_refused),
		cmocka_unit_test(a_listener_rests),
		cmocka_unit_test(newcomers_are_turned_away_when_descriptors_run_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
