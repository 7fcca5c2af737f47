/* How a new tip is known, and its first job: before the template of the node, and never behind it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static struct otd_chain *chain;
static struct {
	size_t n, new_tips, firsts;
	uint64_t height[64];
	bool first[64];
} got;

static void on_template(void *arg, const struct otd_chain_template *t, bool new_tip)
{
	(void)arg;
	got.height[got.n % 64] = t->height;
	got.first[got.n % 64] = otd_chain_is_first(chain, t->handle);
	got.firsts += got.first[got.n % 64];
	got.n++;
	got.new_tips += new_tip;
}

static void start(bool wants)
{
	static const struct otd_node_conf nodes[2] = {
		{"a", "http://node/0", "u", "p", NULL, NULL, OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT},
		{"b", "http://node/1", "u", "p", NULL, NULL, OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT}};
	struct otd_chain_conf conf = {.coin = "coin",
				      .network = "main",
				      .nodes = nodes,
				      .n_nodes = 2,
				      .first_jobs = wants,
				      .on_template = on_template};
	struct otd_err err = {0};
	memset(&got, 0, sizeof(got));
	assert_int_equal(otd_chain_create(&chain, &fake_loop, &conf, &err), OTD_OK);
	otd_chain_start(chain);
	fake_run(500);
	assert_int_equal(got.n, 1);
}

static int setup(void **state)
{
	(void)state;
	fake_reset(false);
	fake_firsts(true);
	for (size_t i = 0; i < 2; i++) {
		fake.node[i].longpoll = true;
		fake.node[i].waits = true;
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	otd_chain_destroy(chain);
	chain = NULL;
	return fake_left() ? -1 : 0;
}

static struct otd_node_status status(size_t i)
{
	struct otd_node_status s;
	otd_chain_node_status(chain, i, &s);
	return s;
}

static void grow(void)
{
	fake.node[0].height++;
	fake.node[1].height++;
}

static void a_first_job_comes_before_the_template(void **state)
{
	(void)state;
	start(true);
	fake.node[0].template_ms = 200;
	for (uint64_t i = 0; i < 5; i++) {
		grow();
		fake_run(50);
		assert_int_equal(got.n, 2 + 2 * i);
		assert_true(got.first[got.n - 1]);
		assert_int_equal(got.height[got.n - 1], 102 + i);
		fake_run(400);
		assert_int_equal(got.n, 3 + 2 * i);
		assert_false(got.first[got.n - 1]);
		assert_int_equal(got.height[got.n - 1], 102 + i);
		assert_int_equal(got.new_tips, 2 + i); /* the node's is more work of the same tip */
	}
	assert_int_equal(status(0).tips[OTD_TIP_BY_WAIT], 5);
	assert_int_equal(status(0).tips[OTD_TIP_BY_LONGPOLL], 0);
}

static void it_is_not_made_where_nobody_wants_it(void **state)
{
	(void)state;
	start(false);
	grow();
	fake_run(50);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.firsts, 0);
	assert_int_equal(fake.node[0].asked[OTD_CHAIN_HEADER], 0);
	assert_int_equal(status(0).tips[OTD_TIP_BY_LONGPOLL], 1);
}

static void the_plugin_may_say_no(void **state)
{
	(void)state;
	fake.node[0].height = fake.node[1].height = 108;
	start(true);
	grow(); /* 109: no first job on it */
	fake_run(50);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.firsts, 0);
	grow();
	fake_run(50);
	assert_int_equal(got.firsts, 1);
}

/* A template of the old tip that was on its way when the first job of the new one was made. */
static void an_old_template_does_not_come_back(void **state)
{
	(void)state;
	start(true);
	fake.node[0].template_ms = 300;
	fake.node[0].value += 5;
	fake_run(30100); /* it is asked for a fresh one, which takes its time */
	size_t before = got.n;
	grow();
	fake_run(2000);
	for (size_t i = before; i < got.n; i++)
		assert_int_equal(got.height[i], 102);
	assert_int_equal(otd_chain_template(chain)->height, 102);
	assert_false(otd_chain_is_first(chain, otd_chain_template(chain)->handle));
}

/* The same of a long poll, which is not taken back. */
static void an_old_long_poll_does_not_come_back(void **state)
{
	(void)state;
	fake.node[0].waits = false;
	start(true);
	fake.node[0].template_ms = 1500;
	fake.node[0].value += 5; /* it begins to make one of the old tip */
	fake_run(10);
	grow();
	size_t before = got.n;
	fake_run(5000);
	assert_int_equal(got.firsts, 1);
	for (size_t i = before; i < got.n; i++)
		assert_int_equal(got.height[i], 102);
	assert_false(got.first[got.n - 1]);
}

/* Two blocks at once, and a fork: nothing is made of a block that does not stand on ours. */
static void only_the_next_block_has_one(void **state)
{
	(void)state;
	start(true);
	fake.node[0].template_ms = 100;
	fake.node[0].height += 2;
	fake.node[1].height += 2;
	fake_run(60);
	assert_int_equal(got.firsts, 0);
	fake_run(1500);
	assert_int_equal(otd_chain_template(chain)->height, 103);
	fake.node[0].fork = fake.node[1].fork = 7;
	grow();
	fake_run(60);
	assert_int_equal(got.firsts, 0);
	fake_run(1500);
	assert_int_equal(otd_chain_template(chain)->height, 104);
}

static void waiting_is_not_a_flood(void **state)
{
	(void)state;
	/* It answers at once, with what there is. */
	fake.node[0].waits = false;
	fake.node[0].answers_waits = true;
	start(true);
	size_t asked = fake.node[0].asked[OTD_CHAIN_TIP];
	fake_run(5000);
	assert_true(fake.node[0].asked[OTD_CHAIN_TIP] <= asked + 6);
	grow();
	fake_run(50); /* by long poll, as ever */
	assert_int_equal(got.new_tips, 2);
	assert_int_equal(status(0).tips[OTD_TIP_BY_LONGPOLL], 1);
}

static void who_cannot_wait_is_asked_once(void **state)
{
	(void)state;
	fake.node[0].waits = false;
	start(true);
	size_t asked = fake.node[0].asked[OTD_CHAIN_TIP];
	fake_run(5000);
	assert_true(fake.node[0].asked[OTD_CHAIN_TIP] <= asked + 6);
	grow();
	fake_run(50);
	assert_int_equal(got.new_tips, 2);
}

static void a_node_that_dies_is_left(void **state)
{
	(void)state;
	start(true);
	fake.node[0].dead = true;
	size_t asked = fake.node[0].asked[OTD_CHAIN_TIP];
	grow();
	fake_run(4000);
	assert_true(fake.node[0].asked[OTD_CHAIN_TIP] <= asked + 3);
	assert_true(status(1).in_use);
	assert_int_equal(otd_chain_template(chain)->height, 102);
	grow();
	fake_run(50); /* the other one waits now */
	assert_true(got.first[got.n - 1] || got.first[got.n - 2]);
}

static void destroyed_at_any_moment(void **state)
{
	(void)state;
	for (int ms = 0; ms < 30; ms++) {
		if (chain)
			otd_chain_destroy(chain);
		chain = NULL;
		start(true);
		fake.node[0].template_ms = 10;
		grow();
		fake_run(ms);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_first_job_comes_before_the_template),
		T(it_is_not_made_where_nobody_wants_it),
		T(the_plugin_may_say_no),
		T(an_old_template_does_not_come_back),
		T(an_old_long_poll_does_not_come_back),
		T(only_the_next_block_has_one),
		T(waiting_is_not_a_flood),
		T(who_cannot_wait_is_asked_once),
		T(a_node_that_dies_is_left),
		T(destroyed_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
