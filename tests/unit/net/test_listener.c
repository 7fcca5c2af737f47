/* The gate, and listeners that hand connections to the least loaded reactor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/listener.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the gate, in a time of its own --- */

static uint64_t clock_ns;

static uint64_t fake_mono(struct otd_env *e)
{
	(void)e;
	return clock_ns;
}

static void fake_random(struct otd_env *e, void *to, size_t n)
{
	(void)e;
	memset(to, 7, n);
}

static const struct otd_env_ops fake_ops = {.mono_ns = fake_mono, .random = fake_random};
static struct otd_env fake_env = {&fake_ops, NULL};

static struct otd_gate *gate_open(struct otd_gate_conf conf, uint16_t reactors)
{
	struct otd_gate *g;
	clock_ns = 5000000000;
	assert_int_equal(otd_gate_create(&g, &fake_env, &conf, reactors, NULL), OTD_OK);
	return g;
}

static struct otd_ticket let_in(struct otd_gate *g, const char *host)
{
	struct otd_ticket t;
	const char *reason;
	assert_int_equal(otd_gate_enter(g, &t, host, &reason), OTD_OK);
	return t;
}

static void turned_away(struct otd_gate *g, const char *host, const char *why)
{
	struct otd_ticket t;
	const char *reason;
	assert_int_equal(otd_gate_enter(g, &t, host, &reason), OTD_E_BUSY);
	assert_string_equal(reason, why);
	assert_int_equal(t.reactor, OTD_NET_REACTORS_MAX);
	otd_gate_release(g, &t); /* counts nothing */
}

static void limits_hold_and_are_given_back(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.total = 3, .per_address = 2}, 1);
	struct otd_ticket a = let_in(g, "10.0.0.1"), b;
	(void)state;
	let_in(g, "10.0.0.1");
	turned_away(g, "10.0.0.1", "too many connections of this address");
	turned_away(g, "::ffff:10.0.0.1", "too many connections of this address");
	b = let_in(g, "10.0.0.2");
	turned_away(g, "10.0.0.3", "too many connections");
	otd_gate_release(g, &a);
	assert_int_equal(otd_gate_count(g), 2);
	assert_int_equal(otd_gate_of_address(g, "10.0.0.1"), 1);
	let_in(g, "10.0.0.1");
	otd_gate_release(g, &b);
	otd_gate_release(g, &b); /* one too many */
	assert_int_equal(otd_gate_count(g), 2);
	otd_gate_destroy(g);
	otd_gate_destroy(NULL);
}

static void rate_is_by_address_and_second(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.rate = 10, .burst = 5}, 1);
	(void)state;
	for (int i = 0; i < 5; i++)
		let_in(g, "10.0.0.1");
	turned_away(g, "10.0.0.1", "too many new connections of this address");
	let_in(g, "10.0.0.2");
	clock_ns += 99000000;
	turned_away(g, "10.0.0.1", "too many new connections of this address");
	clock_ns += 1000000;
	let_in(g, "10.0.0.1");
	turned_away(g, "10.0.0.1", "too many new connections of this address");
	clock_ns += 3600000000000; /* no more than a burst, however long it waits */
	for (int i = 0; i < 5; i++)
		let_in(g, "10.0.0.1");
	turned_away(g, "10.0.0.1", "too many new connections of this address");
	otd_gate_destroy(g);
}

static void ipv6_counts_by_64_bits(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.per_address = 1}, 1);
	(void)state;
	let_in(g, "2001:db8:1:2::1");
	turned_away(g, "2001:db8:1:2:ffff::9", "too many connections of this address");
	let_in(g, "2001:db8:1:3::1");
	otd_gate_destroy(g);
}

static void table_is_bounded_and_swept(void **state)
{
	struct otd_gate *g =
		gate_open((struct otd_gate_conf){.addresses = 300, .rate = 1, .burst = 1}, 1);
	struct otd_ticket t[300];
	char host[32];
	(void)state;
	for (int i = 0; i < 300; i++) {
		snprintf(host, sizeof(host), "10.0.%d.%d", i / 200, i % 200);
		t[i] = let_in(g, host);
	}
	turned_away(g, "10.1.0.1", "too many addresses");
	for (int i = 0; i < 150; i++)
		otd_gate_release(g, &t[i]);
	/* They are still remembered: their buckets are not full. */
	turned_away(g, "10.1.0.1", "too many addresses");
	clock_ns += 2000000000;
	for (int i = 0; i < 150; i++) {
		snprintf(host, sizeof(host), "10.1.0.%d", i);
		let_in(g, host);
	}
	turned_away(g, "10.2.0.1", "too many addresses");
	assert_int_equal(otd_gate_count(g), 300);
	otd_gate_destroy(g);
}

static void least_loaded_reactor_is_next(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){0}, 3);
	struct otd_ticket t[9];
	(void)state;
	for (int i = 0; i < 9; i++)
		t[i] = let_in(g, "10.0.0.1");
	for (uint16_t r = 0; r < 3; r++)
		assert_int_equal(otd_gate_load(g, r), 3);
	for (int i = 0; i < 9; i++) {
		if (t[i].reactor == 1)
			otd_gate_release(g, &t[i]);
	}
	assert_int_equal(let_in(g, "10.0.0.1").reactor, 1);
	assert_int_equal(let_in(g, "10.0.0.1").reactor, 1);
	otd_gate_move(g, &t[0], 2);
	assert_int_equal(otd_gate_load(g, 2), 4);
	otd_gate_destroy(g);
}

/* --- a listener --- */

#define CLIENTS 12

struct door {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_timer *guard;
	struct otd_gate *g;
	struct otd_listener *l;
	struct otd_stream *in[CLIENTS];
	struct otd_ticket tickets[CLIENTS];
	int n, wanted, fd[CLIENTS];
};

static void deliver(void *arg, struct otd_stream *s, const struct otd_ticket *t)
{
	struct door *d = arg;
	d->in[d->n] = s;
	d->tickets[d->n++] = *t;
	if (d->n == d->wanted)
		d->env->ops->loop_stop(d->loop);
}

static uint16_t choose_last(void *arg, const struct otd_ticket *t)
{
	(void)arg;
	(void)t;
	return 2;
}

static void on_guard(void *arg)
{
	struct door *d = arg;
	d->env->ops->loop_stop(d->loop);
}

static int dial(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void connections_go_through_the_gate(void **state)
{
	static const struct otd_listener_ops by_load = {deliver, NULL},
					     by_choice = {deliver, choose_last};
	struct otd_gate_conf conf = {.per_address = 10};
	struct door d = {0};
	struct otd_err err = {0};
	char x;
	(void)state;
	assert_int_equal(otd_env_real_create(&d.env, NULL, &err), OTD_OK);
	assert_int_equal(d.env->ops->loop_create(d.env, &d.loop, "door", &err), OTD_OK);
	assert_int_equal(d.env->ops->timer_create(d.loop, &d.guard, on_guard, &d), OTD_OK);
	assert_int_equal(otd_gate_create(&d.g, d.env, &conf, 3, NULL), OTD_OK);
	assert_int_equal(
		otd_listener_create(&d.l, d.loop, d.g, "127.0.0.1", 0, false, &by_load, &d, &err),
		OTD_OK);
	for (int i = 0; i < CLIENTS; i++)
		d.fd[i] = dial(otd_listener_port(d.l));
	d.wanted = 10;
	d.env->ops->timer_start(d.guard, 120000, 0);
	d.env->ops->loop_run(d.loop);
	assert_int_equal(d.n, 10);
	assert_int_equal(otd_gate_load(d.g, 0), 4);
	assert_int_equal(otd_gate_load(d.g, 2), 3);
	/* The two that were too many see the end of it. */
	for (int i = 10; i < 12; i++) {
		ssize_t got = -1;
		for (int turn = 0; turn < 6000 && got < 0; turn++) {
			d.env->ops->timer_start(d.guard, 10, 0);
			d.env->ops->loop_run(d.loop);
			got = recv(d.fd[i], &x, 1, MSG_DONTWAIT);
		}
		assert_int_equal(got, 0);
	}
	for (int i = 0; i < 10; i++) {
		d.env->ops->stream_close(d.in[i]);
		otd_gate_release(d.g, &d.tickets[i]);
	}
	assert_int_equal(otd_gate_count(d.g), 0);
	/* Drained, the port is gone. */
	uint16_t port = otd_listener_port(d.l);
	otd_listener_drain(d.l);
	otd_listener_drain(d.l);
	assert_int_equal(dial(port), -1);
	otd_listener_destroy(d.l);
	/* Another choice than the least loaded. */
	assert_int_equal(otd_listener_create(&d.l, d.loop, d.g, "", 0, false, &by_choice, &d, &err),
			 OTD_OK);
	for (int i = 0; i < CLIENTS; i++)
		close(d.fd[i]);
	d.n = 0;
	d.wanted = 2;
	for (int i = 0; i < 2; i++)
		d.fd[i] = dial(otd_listener_port(d.l));
	d.env->ops->timer_start(d.guard, 120000, 0);
	d.env->ops->loop_run(d.loop);
	assert_int_equal(d.n, 2);
	assert_int_equal(d.tickets[1].reactor, 2);
	assert_int_equal(otd_gate_load(d.g, 2), 2);
	for (int i = 0; i < 2; i++) {
		d.env->ops->stream_close(d.in[i]);
		close(d.fd[i]);
	}
	otd_listener_destroy(d.l);
	otd_gate_destroy(d.g);
	d.env->ops->timer_destroy(d.guard);
	d.env->ops->loop_destroy(d.loop);
	otd_env_real_destroy(d.env);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_hold_and_are_given_back),
		cmocka_unit_test(rate_is_by_address_and_second),
		cmocka_unit_test(ipv6_counts_by_64_bits),
		cmocka_unit_test(table_is_bounded_and_swept),
		cmocka_unit_test(least_loaded_reactor_is_next),
		cmocka_unit_test(connections_go_through_the_gate),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
