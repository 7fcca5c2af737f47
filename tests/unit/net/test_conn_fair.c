/* Who is next: rates, turns by what they cost, and those who waste our time. */
#include "conn_net.h"

static int64_t now_us(void)
{
	return (int64_t)(otd_mono_ns(net->env) / 1000);
}

static struct otd_metric *loop_metric(enum otd_metric_type kind, const char *name)
{
	return otd_metric(net->metrics, kind, name, "loop=\"test\"", "");
}

/* --- rates --- */

/* A machine that is slow only takes longer: these bounds are from below. */
static void over_its_rate_a_peer_waits_and_loses_nothing(void **state)
{
	struct otd_conn_conf conf = {.lines_a_second = 100, .lines_burst = 10};
	char text[120];
	int64_t began;
	(void)state;
	net_open(&conf);
	began = now_us();
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 2 ? '\n' : 'x';
	say(dial(), text, sizeof(text));
	net->stop_at = 60;
	net_run();
	/* 49 of them are over the burst of 10 and the one that may always come. */
	assert_true(now_us() - began >= 480000);
	assert_int_equal(net->n_lines, 60);
	assert_int_equal(net->closed, 0);
	assert_true(otd_metric_get(loop_metric(OTD_COUNTER, "otd_connections_held_total")) > 0);
	net_close();
}

static void bytes_are_counted_too(void **state)
{
	struct otd_conn_conf conf = {
		.bytes_a_second = 20000, .bytes_burst = 1000, .bytes_a_round = 1000};
	char text[1000];
	int64_t began;
	int fd;
	(void)state;
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	net_open(&conf);
	began = now_us();
	fd = dial();
	for (int i = 0; i < 12; i++)
		say(fd, text, sizeof(text));
	net->stop_at = 12;
	net_run();
	assert_true(now_us() - began >= 450000);
	net_close();
}

static void a_rate_that_is_lifted_lets_all_come(void **state)
{
	struct otd_conn_conf conf = {.lines_a_second = 1, .lines_burst = 1};
	(void)state;
	net_open(&conf);
	say(dial(), "a\nb\nc\nd\ne\nf\n", 12);
	while (net->n_lines < 2)
		turn();
	assert_true(net->n_lines < 6);
	conf = (struct otd_conn_conf){0};
	otd_conns_reconfigure(net->g, &conf);
	net->stop_at = 6;
	net_run();
	assert_string_equal(net->lines, "a|b|c|d|e|f|");
	net_close();
}

/* --- turns --- */

static size_t run_of_long, longest_of_long;
static struct otd_conn *last_heard;

static bool runs_of_long(struct net *n, struct otd_conn *c, struct otd_span line)
{
	run_of_long = c == last_heard ? run_of_long + 1 : 1;
	last_heard = c;
	if (line.len > 1000 && run_of_long > longest_of_long)
		longest_of_long = run_of_long;
	return n->n_lines >= 4000;
}

static void keep_full(int fd, const char *text, size_t n)
{
	while (send(fd, text, n, MSG_NOSIGNAL) == (ssize_t)n)
		;
}

static char long_line[8000], short_lines[4000];

static void on_fill(struct net *n)
{
	keep_full(n->fd[0], long_line, sizeof(long_line));
	keep_full(n->fd[1], short_lines, sizeof(short_lines));
}

static void long_lines_make_short_turns(void **state)
{
	struct otd_conn_conf conf = {.bytes_a_round = 1 << 20};
	(void)state;
	memset(long_line, 'x', sizeof(long_line));
	long_line[sizeof(long_line) - 1] = '\n';
	for (size_t i = 0; i < sizeof(short_lines); i++)
		short_lines[i] = i % 2 ? '\n' : 'y';
	net_open(&conf);
	/* A part of a line that did not fit is followed by a whole one: lines of any length. */
	conf.line_max = 1 << 20;
	otd_conns_reconfigure(net->g, &conf);
	dial();
	dial();
	net->on_line = runs_of_long;
	net->on_step = on_fill;
	net->ops->timer_start(net->step, 1, 1);
	net->stop_at = 4000;
	net_run();
	/* 64 short ones or 4 of 8,000 bytes; two turns may follow each other. */
	assert_in_range(longest_of_long, 1, 8);
	net_close();
}

/* --- waste --- */

static size_t good, bad, bad_when_slow;
static int64_t slow_since_us;
static struct otd_conn *flooder;

static bool good_and_bad(struct net *n, struct otd_conn *c, struct otd_span line)
{
	if (line.len == 1) {
		bad++;
		flooder = c;
		otd_conn_wasted(c, OTD_CONN_VAIN);
		if (!slow_since_us &&
		    otd_metric_get(loop_metric(OTD_GAUGE, "otd_connections_slowed"))) {
			slow_since_us = now_us();
			bad_when_slow = bad;
		}
		return false;
	}
	otd_conn_useful(c);
	if (slow_since_us && ++good == 3000)
		stop(n);
	else
		say(n->fd[0], "good\n", 5);
	return false;
}

static void on_flood(struct net *n)
{
	keep_full(n->fd[1], short_lines, sizeof(short_lines));
}

static void who_wastes_time_comes_after_the_others(void **state)
{
	struct otd_conn_conf conf = {0};
	int64_t took;
	(void)state;
	good = bad = bad_when_slow = 0;
	slow_since_us = 0;
	for (size_t i = 0; i < sizeof(short_lines); i++)
		short_lines[i] = i % 2 ? '\n' : 'y';
	net_open(&conf);
	net->on_line = good_and_bad;
	say(dial(), "good\n", 5);
	dial();
	net->on_step = on_flood;
	net->ops->timer_start(net->step, 1, 1);
	net_run();
	took = now_us() - slow_since_us;
	/* A sixteenth of the time at 4 us each, but for what may come at once and, where the machine
	   stood still for longer than 20 ms, as if nobody else were there. */
	assert_true(bad_when_slow <= OTD_CONN_SLOWED / OTD_CONN_VAIN + 64);
	assert_true((int64_t)(bad - bad_when_slow) <= took / 4 / 4 + 1000);
	assert_true(bad > bad_when_slow); /* but it is heard */
	assert_int_equal(otd_metric_get(loop_metric(OTD_GAUGE, "otd_connections_slowed")), 1);

	/* Its lines are good from now on: it is as others are again. */
	for (int i = 0; i < OTD_CONN_SLOWED * 8; i++)
		otd_conn_useful(flooder);
	assert_int_equal(otd_metric_get(loop_metric(OTD_GAUGE, "otd_connections_slowed")), 0);
	net_close();
}

static bool all_bad(struct net *n, struct otd_conn *c, struct otd_span line)
{
	(void)line;
	otd_conn_wasted(c, 100 * OTD_CONN_VAIN);
	(void)n;
	return false;
}

static void the_slow_alone_are_still_heard_and_closed(void **state)
{
	struct otd_conn_conf conf = {0};
	int fd;
	(void)state;
	net_open(&conf);
	net->on_line = all_bad;
	fd = dial();
	for (int i = 0; i < 20; i++)
		say(fd, "y\ny\ny\ny\ny\n", 10);
	while (net->n_lines < 100)
		turn();
	shutdown(fd, SHUT_WR);
	net->stop_at_closed = 1;
	net_run();
	assert_string_equal(net->reason, OTD_CONN_PEER_CLOSED);
	assert_int_equal(otd_metric_get(loop_metric(OTD_GAUGE, "otd_connections_slowed")), 0);
	net_close();
}

/* In one queue of turns at a time, whatever happens to it there: or those behind it are forgotten. */
static int next_of[PEERS], heard_all;

static bool in_order(struct net *n, struct otd_conn *c, struct otd_span line)
{
	char text[16] = "";
	int peer, number;
	memcpy(text, line.ptr, line.len < 15 ? line.len : 15);
	assert_int_equal(sscanf(text, "%d %d", &peer, &number), 2);
	assert_int_equal(number, next_of[peer]++);
	otd_conn_wasted(c, OTD_CONN_VAIN * 4);
	otd_conn_pause(c, true);
	otd_conn_pause(c, false);
	if (number == 299 && ++heard_all == PEERS)
		stop(n);
	return false;
}

static void on_nudge(struct net *n)
{
	for (int i = 0; i < n->n_conns; i++) {
		otd_conn_pause(n->conn[i], true);
		otd_conn_pause(n->conn[i], false);
	}
}

static void paused_while_it_waits_for_its_turn(void **state)
{
	struct otd_conn_conf conf = {.lines_a_second = 1000, .lines_burst = 100};
	char text[32];
	(void)state;
	net_open(&conf);
	net->on_line = in_order;
	net->on_step = on_nudge;
	net->ops->timer_start(net->step, 1, 1);
	for (int p = 0; p < PEERS; p++) {
		int fd = dial();
		for (int i = 0; i < 300; i++) {
			int n = snprintf(text, sizeof(text), "%d %d\n", p, i);
			say(fd, text, (size_t)n);
		}
	}
	net_run();
	assert_int_equal(heard_all, PEERS);
	net_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_its_rate_a_peer_waits_and_loses_nothing),
		cmocka_unit_test(bytes_are_counted_too),
		cmocka_unit_test(a_rate_that_is_lifted_lets_all_come),
		cmocka_unit_test(long_lines_make_short_turns),
		cmocka_unit_test(who_wastes_time_comes_after_the_others),
		cmocka_unit_test(the_slow_alone_are_still_heard_and_closed),
		cmocka_unit_test(paused_while_it_waits_for_its_turn),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
