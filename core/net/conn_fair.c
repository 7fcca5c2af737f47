/*
 * Who is next. Every peer has its points a round, by deficit round-robin: what a turn costs beyond
 * them is taken off the turns to come. Over its rate a peer is not read until it is within it. And
 * whoever brings more waste than work is slow: it waits until the slow ones' part of the time has come.
 */
#include "net/conn_priv.h"

#define POINTS_A_LINE 4
#define BYTES_A_POINT 128
#define WASTED_MAX    8192
#define FADE_A_SECOND 64
#define SLOW_CLOCK_MS 2
#define HELD_CLOCK_MS 20
/* The slow have a sixteenth of the time, and never more than this at once; all of it, where nobody else
 * has said anything for a while. */
#define SLOW_PART    16
#define SLOW_AT_ONCE 500 /* us */
#define SLOW_ALONE   20000
/* What a line costs us behind its delivery: hash, verdict, answer, sending. */
#define SLOW_LINE_US 4
#define SLOW_LINES   16 /* of one of them in a turn */
#define DEBT_MAX     4096

/* --- rates --- */

static bool over_rate(const struct otd_conn *c, int64_t due_us, uint32_t a_second, uint32_t burst)
{
	return a_second && due_us - c->g->now_us > (int64_t)burst * 1000000 / a_second;
}

/* n more: later by what they take at this rate. */
static int64_t later(const struct otd_conn *c, int64_t due_us, uint32_t a_second, size_t n)
{
	if (!a_second)
		return 0;
	if (due_us < c->g->now_us)
		due_us = c->g->now_us;
	return due_us + (int64_t)n * 1000000 / a_second;
}

static bool held(const struct otd_conn *c)
{
	const struct otd_conn_conf *f = &c->g->conf;
	return over_rate(c, c->lines_due_us, f->lines_a_second, f->lines_burst) ||
	       over_rate(c, c->bytes_due_us, f->bytes_a_second, f->bytes_burst);
}

void conn_count_bytes(struct otd_conn *c, size_t n)
{
	c->bytes_due_us = later(c, c->bytes_due_us, c->g->conf.bytes_a_second, n);
}

/* --- points --- */

enum conn_queue conn_waits_in(const struct otd_conn *c)
{
	if (held(c))
		return Q_HELD;
	return c->slow ? Q_SLOW : N_QUEUES;
}

unsigned conn_budget(struct otd_conn *c)
{
	unsigned lines = c->g->conf.lines_a_round, points, paid;
	if (c->slow && lines > SLOW_LINES)
		lines = SLOW_LINES;
	points = lines * POINTS_A_LINE;
	/* A line at least, or a peer in debt that nobody waits for would be asked again and again. */
	paid = c->debt < points ? c->debt : points - 1;
	c->debt = (uint16_t)(c->debt - paid);
	return points - paid;
}

static void owe(struct otd_conn *c, unsigned points)
{
	c->debt = (uint16_t)(points < DEBT_MAX ? points : DEBT_MAX);
}

unsigned conn_spend(struct otd_conn *c, unsigned points, size_t n)
{
	/* With what this very line was found to have wasted. */
	unsigned cost = POINTS_A_LINE + (unsigned)(n / BYTES_A_POINT) + c->debt;
	c->g->lines++;
	c->lines_due_us = later(c, c->lines_due_us, c->g->conf.lines_a_second, 1);
	owe(c, cost > points ? cost - points : 0);
	return cost < points && !held(c) ? points - cost : 0;
}

static void judge(struct otd_conn *c, unsigned wasted)
{
	bool slow = c->slow ? wasted >= OTD_CONN_SLOWED / 2 : wasted >= OTD_CONN_SLOWED;
	c->wasted = (uint16_t)(wasted < WASTED_MAX ? wasted : WASTED_MAX);
	if (slow == c->slow)
		return;
	c->slow = slow;
	if (c->g->m_slow)
		otd_metric_add(c->g->m_slow, slow ? 1 : -1);
}

void otd_conn_wasted(struct otd_conn *c, unsigned points)
{
	if (points > WASTED_MAX)
		points = WASTED_MAX;
	owe(c, c->debt + points);
	judge(c, c->wasted + points);
}

void otd_conn_useful(struct otd_conn *c)
{
	if (c->wasted)
		judge(c, c->wasted > OTD_CONN_USEFUL ? c->wasted - OTD_CONN_USEFUL : 0);
}

void conn_fade(struct otd_conn *c)
{
	if (c->wasted)
		judge(c, c->wasted > FADE_A_SECOND ? c->wasted - FADE_A_SECOND : 0);
}

/* --- turns of those who wait --- */

void conn_clock(struct otd_conns *g, enum conn_queue q)
{
	if (g->clock_on)
		return;
	g->clock_on = true;
	g->env->timer_start(g->clock, q == Q_SLOW ? SLOW_CLOCK_MS : HELD_CLOCK_MS, 0);
}

/* What the slow may have by now. */
static void earn(struct otd_conns *g)
{
	int64_t passed = g->now_us - g->slow_due_us;
	g->slow_due_us = g->now_us;
	if (g->now_us - g->heard_us < SLOW_ALONE)
		passed /= SLOW_PART;
	g->slow_us += passed;
	if (g->slow_us > SLOW_AT_ONCE)
		g->slow_us = SLOW_AT_ONCE;
}

void conn_round_slow(struct otd_conns *g)
{
	struct otd_conn *c, *last = g->q[Q_SLOW].last;
	if (!last)
		return;
	earn(g);
	while (g->slow_us > 0 && (c = conn_dequeue(g, Q_SLOW))) {
		int64_t from_us = (int64_t)(otd_mono_ns(g->l->env) / 1000);
		uint64_t lines = g->lines;
		if (conn_waits_in(c) == Q_HELD)
			conn_settle(c);
		else
			conn_turn(c);
		g->slow_us -= (int64_t)(otd_mono_ns(g->l->env) / 1000) - from_us +
			      (int64_t)(g->lines - lines) * SLOW_LINE_US + 1;
		if (c == last)
			break;
	}
	if (g->q[Q_SLOW].first)
		conn_clock(g, Q_SLOW);
}

void conn_round_held(struct otd_conns *g)
{
	struct otd_conn *c, *last = g->q[Q_HELD].last;
	while (last && (c = conn_dequeue(g, Q_HELD))) {
		if (c->state == CONN_OPEN && held(c))
			conn_enqueue(c, Q_HELD);
		else
			conn_settle(c);
		if (c == last)
			break;
	}
	if (g->q[Q_HELD].first)
		conn_clock(g, Q_HELD);
}
