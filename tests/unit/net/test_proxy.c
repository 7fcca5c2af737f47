/* The PROXY header in both forms, whole, cut and broken; and the door that waits for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/text.h"
#include "loop/loop.h"
#include "net/bans.h"
#include "net/door.h"
#include "net/listener.h"
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the parser --- */

/* A copy of exactly n bytes, so that whoever reads behind them is seen. */
static otd_rc parse(struct otd_proxy *p, size_t *used, const void *bytes, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);
	if (n)
		memcpy(copy, bytes, n);
	otd_rc rc = otd_proxy_parse(p, used, (struct otd_span){copy, n});
	free(copy);
	return rc;
}

static void is_address(const void *bytes, size_t n, const char *host, uint16_t port)
{
	struct otd_proxy p;
	size_t used;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(parse(&p, &used, bytes, i), OTD_E_BUSY);
	assert_int_equal(parse(&p, &used, bytes, n), OTD_OK);
	assert_int_equal(used, n);
	assert_int_equal(p.has_address, host != NULL);
	assert_string_equal(p.host, host ? host : "");
	assert_int_equal(p.port, port);
	/* What stands behind it is not its. */
	uint8_t *more = malloc(n + 5);
	memcpy(more, bytes, n);
	memcpy(more + n, "{\"id\"", 5);
	assert_int_equal(parse(&p, &used, more, n + 5), OTD_OK);
	assert_int_equal(used, n);
	free(more);
}

static void lines_of_version_1(void **state)
{
	static const struct {
		const char *line, *host;
		uint16_t port;
	} good[] = {
		{"PROXY TCP4 192.0.2.7 198.51.100.1 56324 3333\r\n", "192.0.2.7", 56324},
		{"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255",
		 65535},
		{"PROXY TCP6 2001:db8::1 2001:db8::2 0 3333\r\n", "2001:db8::1", 0},
		{"PROXY TCP6 ::ffff:192.0.2.7 ::1 4000 3333\r\n", "192.0.2.7", 4000},
		{"PROXY UNKNOWN\r\n", NULL, 0},
		{"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", NULL, 0},
	};
	static const char *const bad[] = {
		"{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324 3333\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324 3333 \r\n",
		"PROXY TCP4 192.0.2.7  198.51.100.1 56324 3333\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 56324 3333 1\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 65536 3333\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 056 3333\r\n",
		"PROXY TCP4 192.0.2.7 198.51.100.1 -1 3333\r\n",
		"PROXY TCP4 192.0.2 198.51.100.1 1 3333\r\n",
		"PROXY TCP4 2001:db8::1 2001:db8::2 1 3333\r\n",
		"PROXY TCP6 192.0.2.7 198.51.100.1 1 3333\r\n",
		"PROXY UDP4 192.0.2.7 198.51.100.1 1 3333\r\n",
		"PROXY \r\n",
		"PROXYTCP4\r\n",
		"proxy TCP4 192.0.2.7 198.51.100.1 56324 3333\r\n",
		"PROXY UNKNOWN "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaa\r\n",
	};
	struct otd_proxy p;
	size_t used;
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		is_address(good[i].line, strlen(good[i].line), good[i].host, good[i].port);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(&p, &used, bad[i], strlen(bad[i])) != OTD_E_INVALID)
			fail_msg("'%s' was taken", bad[i]);
	}
}

static const uint8_t begin[12] = {13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10};

/* A header of version 2; address: from here on, len bytes. Returns its length. */
static size_t v2(uint8_t *to, uint8_t command, uint8_t family, const void *address, size_t len)
{
	memcpy(to, begin, sizeof(begin));
	to[12] = command;
	to[13] = family;
	to[14] = (uint8_t)(len >> 8);
	to[15] = (uint8_t)len;
	memcpy(to + 16, address, len);
	return 16 + len;
}

static void bytes_of_version_2(void **state)
{
	static const uint8_t four[12] = {192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 13, 5};
	static const uint8_t six[36] = {0x20, 1, 0x0d, 0xb8, [15] = 9, [31] = 1, 0xdc, 4, 13, 5};
	static const uint8_t mapped[36] = {[10] = 0xff, 0xff, 192, 0, 2, 7, [32] = 0, 80, 13, 5};
	/* Two TLVs as HAProxy writes them: unique id, and an empty one of its own. */
	static const uint8_t tlvs[12 + 3 + 4 + 3] = {192, 0, 2, 7, 198, 51,  100, 1,   0xdc, 4, 13,
						     5,   5, 0, 4, 'a', 'b', 'c', 'd', 0xe0, 0, 0};
	static const uint8_t cut[12 + 3] = {192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 13, 5, 5, 0, 9};
	uint8_t b[OTD_PROXY_MAX + 64] = {0}, long_address[OTD_PROXY_MAX] = {0};
	struct otd_proxy p;
	size_t used, n;
	(void)state;
	is_address(b, v2(b, 0x21, 0x11, four, sizeof(four)), "192.0.2.7", 0xdc04);
	is_address(b, v2(b, 0x21, 0x21, six, sizeof(six)), "2001:db8::9", 0xdc04);
	is_address(b, v2(b, 0x21, 0x21, mapped, sizeof(mapped)), "192.0.2.7", 80);
	is_address(b, v2(b, 0x21, 0x11, tlvs, sizeof(tlvs)), "192.0.2.7", 0xdc04);
	/* LOCAL, with and without what nobody looks at; and what has no address. */
	is_address(b, v2(b, 0x20, 0x00, "", 0), NULL, 0);
	is_address(b, v2(b, 0x20, 0x11, four, sizeof(four)), NULL, 0);
	is_address(b, v2(b, 0x20, 0xff, "abc", 3), NULL, 0);
	is_address(b, v2(b, 0x21, 0x00, "abc", 3), NULL, 0);
	/* Another version, command, family; too short; a TLV that does not fit; too long. */
	n = v2(b, 0x11, 0x11, four, sizeof(four));
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	n = v2(b, 0x22, 0x11, four, sizeof(four));
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	n = v2(b, 0x21, 0x12, four, sizeof(four));
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	n = v2(b, 0x21, 0x31, four, sizeof(four));
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	n = v2(b, 0x21, 0x11, four, 11);
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	n = v2(b, 0x21, 0x21, six, 35);
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	n = v2(b, 0x21, 0x11, cut, sizeof(cut));
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	n = v2(b, 0x20, 0x11, long_address, OTD_PROXY_MAX - 15);
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID);
	assert_int_equal(parse(&p, &used, b, 16), OTD_E_INVALID); /* at once */
	is_address(b, v2(b, 0x20, 0x11, long_address, OTD_PROXY_MAX - 16), NULL, 0);
	/* Its beginning tells at the first byte that differs. */
	memcpy(b, begin, sizeof(begin));
	b[5] = 0;
	assert_int_equal(parse(&p, &used, b, 6), OTD_E_INVALID);
}

static void a_checksum_must_be_right(void **state)
{
	/* Address, TLV 3 with the checksum, one more TLV. */
	uint8_t body[12 + 7 + 4] = {192, 0, 2, 7, 198, 51, 100, 1, 1, 2, 3,  4,
				    3,   0, 4, 0, 0,   0,  0,   5, 0, 1, 'x'};
	uint8_t b[64];
	struct otd_proxy p;
	size_t used, n = v2(b, 0x21, 0x11, body, sizeof(body));
	uint32_t crc = otd_crc32c(0, b, n);
	(void)state;
	assert_int_equal(parse(&p, &used, b, n), OTD_E_INVALID); /* zeros */
	for (int i = 0; i < 4; i++)
		b[16 + 12 + 3 + i] = (uint8_t)(crc >> (24 - 8 * i));
	assert_int_equal(parse(&p, &used, b, n), OTD_OK);
	assert_string_equal(p.host, "192.0.2.7");
	for (size_t i = 16; i < n; i++) {
		b[i] ^= 1;
		if (i != 16 + 12) /* of another type it is no checksum */
			assert_int_not_equal(parse(&p, &used, b, n), OTD_OK);
		b[i] ^= 1;
	}
}

/* --- a listener with proxies --- */

struct world {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_timer *guard;
	struct otd_gate *gate;
	struct otd_listener *l;
	int wanted, delivered, plain;
	char host[46], early[64];
	uint16_t port;
	struct otd_ticket ticket;
};

static void came(struct world *w, struct otd_stream *s, const struct otd_ticket *t)
{
	w->ticket = *t;
	otd_gate_release(w->gate, t);
	w->env->ops->stream_close(s);
	if (++w->delivered == w->wanted)
		w->env->ops->loop_stop(w->loop);
}

static void deliver(void *arg, struct otd_stream *s, const struct otd_ticket *t)
{
	struct world *w = arg;
	w->plain++;
	came(w, s, t);
}

static void deliver_from(void *arg, struct otd_stream *s, const struct otd_ticket *t,
			 const struct otd_preface *p)
{
	struct world *w = arg;
	(void)snprintf(w->host, sizeof(w->host), "%s", p->proxy.has_address ? p->proxy.host : "-");
	(void)snprintf(w->early, sizeof(w->early), "%.*s", (int)p->early.len,
		       p->early.len ? (const char *)p->early.ptr : "");
	w->port = p->proxy.port;
	came(w, s, t);
}

static void on_guard(void *arg)
{
	struct world *w = arg;
	w->env->ops->loop_stop(w->loop);
}

static void world_open(struct world *w, int64_t time_ms, size_t max)
{
	static const struct otd_listener_ops ops = {.deliver = deliver,
						    .deliver_from = deliver_from};
	const struct otd_gate_conf conf = {.per_address = 2};
	struct otd_ban_net net;
	struct otd_err err = {0};
	*w = (struct world){.wanted = 1};
	assert_int_equal(otd_env_real_create(&w->env, NULL, &err), OTD_OK);
	assert_int_equal(w->env->ops->loop_create(w->env, &w->loop, "proxy", &err), OTD_OK);
	assert_int_equal(w->env->ops->timer_create(w->loop, &w->guard, on_guard, w), OTD_OK);
	assert_int_equal(otd_gate_create(&w->gate, w->env, &conf, 1, NULL), OTD_OK);
	assert_int_equal(
		otd_listener_create(&w->l, w->loop, w->gate, "127.0.0.1", 0, false, &ops, w, &err),
		OTD_OK);
	assert_int_equal(otd_ban_net_parse(&net, "127.0.0.0/24"), OTD_OK);
	assert_int_equal(otd_listener_proxies(w->l, &net, 1, time_ms, max), OTD_OK);
}

static void world_close(struct world *w)
{
	otd_listener_destroy(w->l);
	otd_gate_destroy(w->gate);
	w->env->ops->timer_destroy(w->guard);
	w->env->ops->loop_destroy(w->loop);
	otd_env_real_destroy(w->env);
}

/* Until something is delivered, or for so long. */
static void world_run(struct world *w, int64_t ms)
{
	w->env->ops->timer_start(w->guard, ms, 0);
	w->env->ops->loop_run(w->loop);
	w->env->ops->timer_stop(w->guard);
}

/* Until this one is closed, or for a minute. */
static bool world_closes(struct world *w, int fd)
{
	char c;
	ssize_t got = -1;
	for (int turn = 0; turn < 3000 && got < 0; turn++) {
		world_run(w, 20);
		got = recv(fd, &c, 1, MSG_DONTWAIT);
		if (got < 0 && errno == ECONNRESET)
			got = 0;
	}
	return got == 0;
}

static int dial_from(const struct world *w, const char *source)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(otd_listener_port(w->l))};
	struct sockaddr_in from = {.sin_family = AF_INET};
	struct timeval wait = {10, 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr.s_addr = inet_addr(source);
	assert_int_equal(bind(fd, (struct sockaddr *)&from, sizeof(from)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)), 0);
	return fd;
}

static void say(int fd, const char *s)
{
	assert_int_equal(send(fd, s, strlen(s), MSG_NOSIGNAL), (ssize_t)strlen(s));
}

static void the_gate_hears_of_the_miner(void **state)
{
	static const uint8_t address[4] = {192, 0, 2, 7};
	struct world w;
	(void)state;
	world_open(&w, 10000, 0);
	int fd = dial_from(&w, "127.0.0.1");
	say(fd, "PROXY TCP4 192.0.2.7 127.0.0.1 56324 3333\r\n{\"id\":1}\n");
	world_run(&w, 20000);
	assert_int_equal(w.delivered, 1);
	assert_int_equal(w.plain, 0);
	assert_string_equal(w.host, "192.0.2.7");
	assert_int_equal(w.port, 56324);
	assert_string_equal(w.early, "{\"id\":1}\n");
	assert_memory_equal(w.ticket.address + 12, address, 4);
	close(fd);
	/* In pieces, and of nobody: then it is the proxy itself. */
	fd = dial_from(&w, "127.0.0.1");
	w.wanted = 2;
	say(fd, "PROXY UN");
	world_run(&w, 50);
	assert_int_equal(w.delivered, 1);
	say(fd, "KNOWN\r\n");
	world_run(&w, 20000);
	assert_int_equal(w.delivered, 2);
	assert_string_equal(w.host, "-");
	assert_string_equal(w.early, "");
	assert_int_equal(w.ticket.address[12], 127);
	close(fd);
	/* Who is no proxy has no header to bring, and is not waited for. */
	fd = dial_from(&w, "127.0.1.1");
	w.wanted = 3;
	world_run(&w, 20000);
	assert_int_equal(w.plain, 1);
	close(fd);
	world_close(&w);
}

static void limits_are_the_miners_not_the_proxys(void **state)
{
	struct world w;
	struct otd_ticket held[2];
	const char *why;
	int fd[3];
	(void)state;
	world_open(&w, 10000, 0);
	/* This miner has as many as one address may have; others by the same proxy come in. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(otd_gate_enter(w.gate, &held[i], "192.0.2.7", &why), OTD_OK);
	fd[0] = dial_from(&w, "127.0.0.1");
	say(fd[0], "PROXY TCP4 192.0.2.7 127.0.0.1 1 3333\r\n");
	assert_true(world_closes(&w, fd[0]));
	assert_int_equal(w.delivered, 0);
	w.wanted = 1;
	fd[1] = dial_from(&w, "127.0.0.1");
	say(fd[1], "PROXY TCP4 192.0.2.8 127.0.0.1 1 3333\r\n");
	world_run(&w, 20000);
	assert_int_equal(w.delivered, 1);
	close(fd[0]);
	close(fd[1]);
	world_close(&w);
}

static void without_a_header_it_ends(void **state)
{
	struct world w;
	int fd[5];
	(void)state;
	world_open(&w, 3000, 3);
	/* A line, silence, an end; and one more than may wait. */
	for (int i = 0; i < 4; i++) {
		fd[i] = dial_from(&w, "127.0.0.1");
		if (i == 2)
			assert_int_equal(shutdown(fd[i], SHUT_WR), 0);
	}
	world_run(&w, 50);
	say(fd[0], "{\"id\":1,\"method\":\"mining.subscribe\",\"params\":[]}\n");
	for (int i = 0; i < 4; i++) {
		assert_true(world_closes(&w, fd[i]));
		close(fd[i]);
	}
	assert_int_equal(w.delivered, 0);
	assert_int_equal(otd_gate_count(w.gate), 0);
	/* One that waits at the end of it all. */
	fd[4] = dial_from(&w, "127.0.0.1");
	world_run(&w, 50);
	otd_listener_drain(w.l);
	assert_true(world_closes(&w, fd[4]));
	close(fd[4]);
	world_close(&w);
}

/* --- first bytes --- */

enum { MANY = 50 };

struct hall {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_doors *d;
	unsigned came, tls, in_round, most, rounds;
	bool counting;
};

static void round_ends(void *arg)
{
	struct hall *h = arg;
	h->most = h->in_round > h->most ? h->in_round : h->most;
	h->rounds++;
	h->in_round = 0;
	h->counting = false;
}

static void hall_ready(void *arg, void *item, struct otd_stream *s, const struct otd_preface *p)
{
	struct hall *h = arg;
	(void)item;
	assert_false(p->proxy.has_address);
	assert_int_equal(p->early.len, 3);
	h->tls += p->early.ptr[0] == 0x16;
	h->in_round++;
	if (!h->counting)
		h->counting = h->env->ops->defer(h->loop, round_ends, h) == OTD_OK;
	h->env->ops->stream_close(s);
	if (++h->came == MANY)
		h->env->ops->loop_stop(h->loop);
}

static void hall_failed(void *arg, void *item, const char *why)
{
	(void)arg;
	(void)item;
	fail_msg("%s", why);
}

static void hall_accept(void *arg, struct otd_stream *s)
{
	struct hall *h = arg;
	h->env->ops->stream_detach(s);
	assert_int_equal(otd_doors_knock(h->d, s, OTD_DOOR_FIRST_BYTE, NULL), OTD_OK);
}

/* All of them are ready at once; others on the loop come in between. */
static void first_bytes_take_turns(void **state)
{
	static const struct otd_doors_ops ops = {.ready = hall_ready, .failed = hall_failed};
	const struct otd_doors_conf conf = {.time_ms = 20000};
	struct hall h = {0};
	struct otd_err err = {0};
	struct otd_stream *listener;
	struct sockaddr_in to = {.sin_family = AF_INET};
	char own[46];
	uint16_t port;
	int fd[MANY];
	(void)state;
	assert_int_equal(otd_env_real_create(&h.env, NULL, &err), OTD_OK);
	assert_int_equal(h.env->ops->loop_create(h.env, &h.loop, "hall", &err), OTD_OK);
	assert_int_equal(otd_doors_create(&h.d, h.loop, &conf, &ops, &h), OTD_OK);
	assert_int_equal(
		h.env->ops->listen(h.loop, &listener, "127.0.0.1", 0, false, hall_accept, &h, &err),
		OTD_OK);
	h.env->ops->stream_peer(listener, own, sizeof(own), &port);
	to.sin_port = htons(port);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int i = 0; i < MANY; i++) {
		fd[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(fd[i], (struct sockaddr *)&to, sizeof(to)), 0);
		say(fd[i], i % 2 ? "{\"i" : "\x16\x03\x01");
	}
	h.env->ops->loop_run(h.loop);
	assert_int_equal(h.came, MANY);
	assert_int_equal(h.tls, MANY / 2);
	assert_int_equal(otd_doors_count(h.d), 0);
	assert_true(h.most <= 8);
	for (int i = 0; i < MANY; i++)
		close(fd[i]);
	h.env->ops->stream_close(listener);
	otd_doors_destroy(h.d);
	h.env->ops->loop_destroy(h.loop);
	otd_env_real_destroy(h.env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_version_1),
		cmocka_unit_test(bytes_of_version_2),
		cmocka_unit_test(a_checksum_must_be_right),
		cmocka_unit_test(the_gate_hears_of_the_miner),
		cmocka_unit_test(limits_are_the_miners_not_the_proxys),
		cmocka_unit_test(without_a_header_it_ends),
		cmocka_unit_test(first_bytes_take_turns),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
