/* The gate's limits by prefix, its lists, and what those who are turned away are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "loop/loop.h"
#include "net/listener.h"
#include "net/lists.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In a time of its own; a stream is where its bytes go. */
struct otd_stream {
	char said[256];
	int closed;
};

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

static otd_rc fake_write(struct otd_stream *s, size_t *sent, const struct otd_span *part, size_t n)
{
	assert_int_equal(n, 1);
	snprintf(s->said, sizeof(s->said), "%.*s", (int)part->len, (const char *)part->ptr);
	*sent = part->len;
	return OTD_OK;
}

static otd_rc fake_read(struct otd_stream *s, size_t *got, void *to, size_t cap)
{
	(void)s;
	(void)to;
	(void)cap;
	*got = 0;
	return OTD_E_BUSY;
}

static void fake_close(struct otd_stream *s)
{
	s->closed++;
}

static const struct otd_env_ops fake_ops = {.mono_ns = fake_mono,
					    .random = fake_random,
					    .stream_write = fake_write,
					    .stream_read = fake_read,
					    .stream_close = fake_close};
static struct otd_env fake_env = {&fake_ops, NULL};

static struct otd_gate *gate_open(struct otd_gate_conf conf)
{
	struct otd_gate *g;

	clock_ns = 5000000000;
	assert_int_equal(otd_gate_create(&g, &fake_env, &conf, 1, NULL), OTD_OK);
	return g;
}

static struct otd_ticket let_in(struct otd_gate *g, const char *host)
{
	struct otd_ticket t;
	const char *reason;

	if (otd_gate_enter(g, &t, host, &reason))
		fail_msg("%s is turned away: %s", host, reason);
	return t;
}

static void turned_away(struct otd_gate *g, const char *host, const char *why)
{
	struct otd_ticket t;
	const char *reason;

	if (otd_gate_enter(g, &t, host, &reason) == OTD_OK)
		fail_msg("%s is let in", host);
	assert_string_equal(reason, why);
	otd_gate_release(g, &t); /* counts nothing */
}

static void a_network_has_limits_of_its_own(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.per_address = 2, .per_prefix = 3});

	(void)state;
	struct otd_ticket t = let_in(g, "10.0.0.1");
	let_in(g, "10.0.0.2");
	let_in(g, "10.0.0.3");
	turned_away(g, "10.0.0.4", OTD_GATE_PREFIX);
	let_in(g, "10.0.1.4");
	otd_gate_release(g, &t);
	let_in(g, "10.0.0.2");
	turned_away(g, "10.0.0.4", OTD_GATE_PREFIX);
	otd_gate_destroy(g);

	g = gate_open((struct otd_gate_conf){.per_prefix = 1});
	let_in(g, "2001:db8:1:2::1");
	turned_away(g, "2001:db8:1:ffff::1", OTD_GATE_PREFIX);
	let_in(g, "2001:db8:2::1");
	otd_gate_destroy(g);
}

static void a_network_has_a_rate_of_its_own(void **state)
{
	struct otd_gate *g = gate_open(
		(struct otd_gate_conf){.prefix_rate = 10, .prefix_burst = 3, .prefix_ipv4 = 16});

	(void)state;
	let_in(g, "10.0.0.1");
	let_in(g, "10.0.1.1");
	let_in(g, "10.0.2.1");
	turned_away(g, "10.0.3.1", OTD_GATE_PREFIX_RATE);
	/* Who is turned away for it is not remembered as an address. */
	assert_int_equal(otd_gate_of_address(g, "10.0.3.1"), 0);
	let_in(g, "10.1.0.1");
	clock_ns += 100000000;
	let_in(g, "10.0.3.1");
	turned_away(g, "10.0.3.1", OTD_GATE_PREFIX_RATE);
	otd_gate_destroy(g);
}

static void another_length_counts_anew(void **state)
{
	struct otd_gate_conf conf = {.per_prefix = 3};
	struct otd_gate *g = gate_open(conf);
	struct otd_ticket t[4];

	(void)state;
	t[0] = let_in(g, "10.0.0.1");
	t[1] = let_in(g, "10.0.1.1");
	t[2] = let_in(g, "10.0.2.1");
	t[3] = let_in(g, "10.0.3.1");
	conf.prefix_ipv4 = 16;
	otd_gate_reconfigure(g, &conf);
	turned_away(g, "10.0.4.1", OTD_GATE_PREFIX);
	otd_gate_release(g, &t[0]);
	turned_away(g, "10.0.4.1", OTD_GATE_PREFIX);
	otd_gate_release(g, &t[1]);
	let_in(g, "10.0.4.1");
	conf.prefix_ipv4 = 24;
	otd_gate_reconfigure(g, &conf);
	let_in(g, "10.0.4.2");
	let_in(g, "10.0.4.3");
	turned_away(g, "10.0.4.4", OTD_GATE_PREFIX);
	otd_gate_destroy(g);
}

static void lists_open_and_shut(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.total = 8,
							      .per_address = 2,
							      .per_prefix = 2,
							      .rate = 1000,
							      .burst = 100,
							      .grey_ppm = 20000});
	struct otd_lists *l;
	struct otd_err err = {0};
	struct otd_ticket t[4];

	(void)state;
	assert_int_equal(otd_lists_create(&l, &fake_env, 0), OTD_OK);
	assert_int_equal(otd_lists_add(l, OTD_LIST_ALLOW, "10.0.0.0/24", 11, &err), OTD_OK);
	assert_int_equal(otd_lists_add(l, OTD_LIST_DENY, "10.0.1.0/24", 11, &err), OTD_OK);
	assert_int_equal(otd_lists_add(l, OTD_LIST_GREY, "10.0.2.0/24", 11, &err), OTD_OK);
	otd_gate_set_lists(g, l);
	for (int i = 0; i < 4; i++)
		t[i] = let_in(g,
			      "10.0.0.9"); /* more than an address, and than a prefix, may have */
	turned_away(g, "10.0.1.9", OTD_GATE_DENIED);
	let_in(g, "10.0.2.9");
	turned_away(g, "10.0.2.9", OTD_GATE_ADDRESS); /* 2 % of 2, but at least one */
	let_in(g, "10.0.3.9");
	let_in(g, "10.0.3.9");
	let_in(g, "10.0.0.8");
	turned_away(g, "10.0.0.8", OTD_GATE_TOTAL);
	for (int i = 0; i < 4; i++)
		otd_gate_release(g, &t[i]);
	assert_int_equal(otd_gate_count(g), 4);
	otd_gate_set_lists(g, NULL);
	let_in(g, "10.0.1.9");
	otd_lists_destroy(l);
	otd_gate_destroy(g);
}

static void grey_ones_come_slowly(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.rate = 1000, .burst = 300});
	struct otd_lists *l;
	struct otd_err err = {0};

	(void)state;
	assert_int_equal(otd_lists_create(&l, &fake_env, 0), OTD_OK);
	assert_int_equal(otd_lists_add(l, OTD_LIST_GREY, "10.0.2.0/24", 11, &err), OTD_OK);
	otd_gate_set_lists(g, l);
	for (int i = 0; i < 3; i++)
		let_in(g, "10.0.2.9");
	turned_away(g, "10.0.2.9", OTD_GATE_RATE);
	clock_ns += 99000000;
	turned_away(g, "10.0.2.9", OTD_GATE_RATE);
	clock_ns += 1000000;
	let_in(g, "10.0.2.9");
	otd_lists_destroy(l);
	otd_gate_destroy(g);
}

/* Nobody on the list allow waits for room in a table. */
static void allowed_ones_need_no_room(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.addresses = 1});
	struct otd_lists *l;
	struct otd_err err = {0};

	(void)state;
	assert_int_equal(otd_lists_create(&l, &fake_env, 0), OTD_OK);
	assert_int_equal(otd_lists_add(l, OTD_LIST_ALLOW, "10.0.2.0/24", 11, &err), OTD_OK);
	otd_gate_set_lists(g, l);
	let_in(g, "10.0.1.1");
	turned_away(g, "10.0.3.1", OTD_GATE_TABLE);
	struct otd_ticket t = let_in(g, "10.0.2.1");
	assert_int_equal(otd_gate_count(g), 2);
	otd_gate_release(g, &t);
	assert_int_equal(otd_gate_count(g), 1);
	otd_lists_destroy(l);
	otd_gate_destroy(g);
}

static size_t words(char *to, size_t cap, const char *reason)
{
	return (size_t)snprintf(to, cap, "no: %s\n", reason);
}

static void who_is_turned_away_is_told(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.total = 1});
	struct otd_stream s = {0};

	(void)state;
	otd_gate_turn_away(g, &s, OTD_GATE_TOTAL);
	assert_string_equal(s.said, "");
	assert_int_equal(s.closed, 1);
	otd_gate_set_words(g, words);
	for (int i = 0; i < OTD_GATE_TOLD; i++) {
		s = (struct otd_stream){0};
		otd_gate_turn_away(g, &s, OTD_GATE_TOTAL);
		assert_string_equal(s.said, "no: " OTD_GATE_TOTAL "\n");
		assert_int_equal(s.closed, 1);
	}
	s = (struct otd_stream){0};
	otd_gate_turn_away(g, &s, OTD_GATE_TOTAL); /* so many a second and no more */
	assert_string_equal(s.said, "");
	assert_int_equal(s.closed, 1);
	clock_ns += 1000000000;
	otd_gate_turn_away(g, &s, OTD_GATE_TOTAL);
	assert_string_equal(s.said, "no: " OTD_GATE_TOTAL "\n");
	otd_gate_destroy(g);
}

static void people_learn_which_limit_it_is(void **state)
{
	struct otd_gate *g = gate_open((struct otd_gate_conf){.per_address = 1});

	(void)state;
	assert_string_equal(otd_gate_trouble(g), "");
	let_in(g, "10.0.0.1");
	turned_away(g, "10.0.0.1", OTD_GATE_ADDRESS);
	turned_away(g, "10.0.0.1", OTD_GATE_ADDRESS);
	assert_non_null(strstr(otd_gate_trouble(g), "2 connections"));
	assert_non_null(strstr(otd_gate_trouble(g), "10.0.0.1"));
	assert_non_null(strstr(otd_gate_trouble(g), "limits.connections_an_address"));
	clock_ns += 70000000000;
	assert_non_null(strstr(otd_gate_trouble(g), "2 connections"));
	clock_ns += 60000000000;
	assert_string_equal(otd_gate_trouble(g), "");
	/* What stands in deny is as it is wished. */
	struct otd_lists *l;
	struct otd_err err = {0};
	assert_int_equal(otd_lists_create(&l, &fake_env, 0), OTD_OK);
	assert_int_equal(otd_lists_add(l, OTD_LIST_DENY, "10.0.0.0/24", 11, &err), OTD_OK);
	otd_gate_set_lists(g, l);
	turned_away(g, "10.0.0.1", OTD_GATE_DENIED);
	assert_string_equal(otd_gate_trouble(g), "");
	otd_lists_destroy(l);
	otd_gate_destroy(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_network_has_limits_of_its_own),
		cmocka_unit_test(a_network_has_a_rate_of_its_own),
		cmocka_unit_test(another_length_counts_anew),
		cmocka_unit_test(lists_open_and_shut),
		cmocka_unit_test(grey_ones_come_slowly),
		cmocka_unit_test(allowed_ones_need_no_room),
		cmocka_unit_test(who_is_turned_away_is_told),
		cmocka_unit_test(people_learn_which_limit_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
