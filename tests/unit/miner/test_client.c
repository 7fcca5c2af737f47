/* A miner with the real processor backend and algorithm, against a pool in small. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "fake_pool.h"
#include "loop/loop.h"
#include "miner/miner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GUARD_MS 60000

static struct otd_env *env;
static struct otd_loop *loop;
static struct otd_plugins *plugins;
static struct otd_plugin_instance *algo, *hw;
static struct otd_timer *guard;
static struct otd_err err;
static struct fake_pool *pool, *second;
static struct otd_miner *miner;
static uint32_t events[16];
static char last_text[16][300];
static enum otd_miner_event_kind stop_at; /* the loop ends with the stop_n-th of it; 0: never */
static uint32_t stop_n;
static void (*hook)(const struct otd_miner_event *ev);

static void too_long(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for %d ms; last disconnect: %s", GUARD_MS,
		 last_text[OTD_MINER_DISCONNECTED]);
}

static void on_event(void *arg, const struct otd_miner_event *ev)
{
	(void)arg;
	assert_non_null(ev->text);
	events[ev->kind]++;
	(void)snprintf(last_text[ev->kind], sizeof(last_text[0]), "%s", ev->text);
	if (hook)
		hook(ev);
	if (ev->kind == stop_at && events[ev->kind] == stop_n)
		env->ops->loop_stop(loop);
}

static int group_setup(void **state)
{
	static const char *const dirs[] = {OTEDAMA_BUILD_DIR "/plugins"}, *const enable[] = {"*"};
	struct otd_plugins_conf conf = {.dirs = dirs, .n_dirs = 1, .enable = enable, .n_enable = 1};
	struct otd_plugin *pl;
	(void)state;
	otd_thread_is(OTD_THREAD_COORDINATOR);
	if (otd_env_real_create(&env, NULL, &err) ||
	    otd_plugins_create(&plugins, env, &conf, &err) ||
	    !(pl = otd_plugins_get(plugins, "algo", "sha256d", &err)) ||
	    otd_instance_create(&algo, pl, NULL, "algo", NULL, &err) ||
	    !(pl = otd_plugins_get(plugins, "hw", "cpu", &err)) ||
	    otd_instance_create(&hw, pl, NULL, "hw", NULL, &err))
		fail_msg("%s", err.text);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	otd_instance_destroy(hw);
	otd_instance_destroy(algo);
	otd_plugins_destroy(plugins);
	otd_env_real_destroy(env);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	memset(events, 0, sizeof(events));
	memset(last_text, 0, sizeof(last_text));
	hook = NULL;
	stop_at = 0;
	pool = calloc(1, sizeof(*pool));
	second = calloc(1, sizeof(*second));
	if (!pool || !second || env->ops->loop_create(env, &loop, "test", &err) ||
	    env->ops->timer_create(loop, &guard, too_long, NULL))
		return 1;
	env->ops->timer_start(guard, GUARD_MS, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	otd_miner_destroy(miner);
	miner = NULL;
	if (pool->loop)
		fake_pool_close(pool);
	if (second->loop)
		fake_pool_close(second);
	env->ops->timer_destroy(guard);
	env->ops->loop_destroy(loop);
	free(pool);
	free(second);
	return 0;
}

static void start(uint16_t port, uint16_t port2, struct otd_miner_conf c)
{
	char url[2][64];
	const char *urls[2] = {url[0], url[1]};
	(void)snprintf(url[0], sizeof(url[0]), "stratum+tcp://127.0.0.1:%u", port);
	(void)snprintf(url[1], sizeof(url[1]), "127.0.0.1:%u", port2);
	c.algo = algo;
	c.hw = &hw;
	c.n_hw = 1;
	c.threads = 2;
	c.urls = urls;
	c.n_urls = port2 ? 2 : 1;
	c.user = "addr.worker";
	c.retry_min_ms = 5;
	c.retry_max_ms = 50;
	c.event = on_event;
	if (otd_miner_create(&miner, loop, &c, &err) || otd_miner_start(miner, &err))
		fail_msg("%s", err.text);
}

static void run_until(enum otd_miner_event_kind kind, uint32_t n)
{
	stop_at = kind;
	stop_n = n;
	if (events[kind] < n)
		env->ops->loop_run(loop);
}

static void mines(void **state)
{
	struct otd_miner_stats s;
	(void)state;
	pool->refuse_every = 10;
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){0});
	run_until(OTD_MINER_ACCEPTED, 45);
	otd_miner_stats(miner, &s);
	if (pool->bad_shares)
		fail_msg("%u bad shares: %s", pool->bad_shares, pool->last_bad);
	assert_string_equal(pool->user, "addr.worker");
	assert_int_equal(s.state, OTD_MINER_MINING);
	assert_true(s.accepted >= 45);
	assert_int_equal(s.accepted, events[OTD_MINER_ACCEPTED]);
	assert_int_equal(s.refused, events[OTD_MINER_REFUSED]);
	assert_true(s.refused >= 4);
	assert_int_equal(s.n_reasons, 1);
	assert_int_equal(s.reason[0].code, 22);
	assert_string_equal(s.reason[0].text, "Duplicate share");
	assert_true(s.hashes > 45 * 400);
	assert_string_equal(s.difficulty, "0.000001");
	assert_string_equal(s.job, "job1");
	/* 2^48 / (0xffff * 10^6): 4295.03 hashes a share. */
	assert_int_equal((uint64_t)s.accepted_work, s.accepted * 4295);
	assert_int_equal(s.units, 2);
	assert_int_equal(s.stale + s.unknown, 0);
	otd_miner_stop(miner);
	otd_miner_stats(miner, &s);
	assert_int_equal(s.state, OTD_MINER_STOPPED);
	assert_int_equal(s.units, 0);
	assert_true(s.found >= s.accepted);
	assert_int_equal(otd_instance_memory(hw) < 10000, 1);
}

static void no_version_rolling(void **state)
{
	(void)state;
	pool->configure = "\"result\":null,\"error\":[-3,\"method not found\",null]";
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){0});
	run_until(OTD_MINER_ACCEPTED, 3);
	assert_int_equal(pool->bad_shares, 0);
	assert_int_equal(pool->rolled, 0);
}

static void configure_unanswered(void **state)
{
	(void)state;
	pool->mute_configure = true;
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){.answer_ms = 1000});
	run_until(OTD_MINER_ACCEPTED, 1);
	assert_int_equal(pool->connections, 1);
}

/* A new job each few shares, clean or not: no share of ours is ever refused as bad. */
static void renotify(void *arg)
{
	(void)arg;
	if (pool->shares % 5 == 0)
		fake_pool_notify(pool, pool->shares % 2);
}

static void new_jobs(void **state)
{
	(void)state;
	pool->on_share = renotify;
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){0});
	run_until(OTD_MINER_ACCEPTED, 60);
	if (pool->bad_shares)
		fail_msg("%u bad shares: %s", pool->bad_shares, pool->last_bad);
	assert_true(events[OTD_MINER_NEW_JOB] >= 10);
}

static void answers_the_pool(void **state)
{
	(void)state;
	pool->also =
		"{\"id\":7,\"method\":\"client.get_version\",\"params\":[]}\n"
		"{\"id\":8,\"method\":\"mining.ping\",\"params\":[]}\n"
		"{\"id\":9,\"method\":\"client.dance\",\"params\":[]}\n"
		"{\"id\":null,\"method\":\"client.show_message\",\"params\":[\"hi\\u001b[2J\"]}\n"
		"{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"evil.example\",1]}\n"
		"{\"id\":null,\"method\":\"mining.notify\",\"params\":[1,2]}\n"
		"{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":[-1]}\n"
		"{\"id\":null,\"method\":\"mining.set_difficulty\",\"params\":{}}\n"
		"{\"id\":null,\"method\":\"mining.set_extranonce\",\"params\":[\"zz\",4]}\n"
		"{\"id\":null,\"method\":\"mining.set_version_mask\",\"params\":[\"xyz\"]}";
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){.agent = "tester/1"});
	run_until(OTD_MINER_ACCEPTED, 2);
	assert_int_equal(pool->replies, 3);
	assert_string_equal(pool->reply[0], "{\"id\":7,\"result\":\"tester/1\",\"error\":null}");
	assert_string_equal(pool->reply[1], "{\"id\":8,\"result\":\"pong\",\"error\":null}");
	assert_non_null(strstr(pool->reply[2], "method not found"));
	assert_string_equal(last_text[OTD_MINER_MESSAGE], "hi?[2J");
	assert_int_equal(events[OTD_MINER_PROTOCOL], 6);
	assert_int_equal(pool->connections, 1);
}

static void wrong_user(void **state)
{
	(void)state;
	pool->authorize = "\"result\":false,\"error\":[24,\"no such address\",null]";
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){0});
	run_until(OTD_MINER_UNAUTHORIZED, 2);
	assert_string_equal(last_text[OTD_MINER_UNAUTHORIZED], "no such address");
	assert_int_equal(pool->shares, 0);
}

static void bad_greetings(void **state)
{
	static const char *const bad[] = {
		"hello",
		"[]",
		"{\"id\":2,\"result\":[[],\"zz\",4],\"error\":null}",
		"{\"id\":2,\"result\":[[],\"aa\",100],\"error\":null}",
		"{\"id\":2,\"result\":[[],\"aa\",-1],\"error\":null}",
		"{\"id\":2,\"result\":null,\"error\":[20,\"no\",null]}",
		"{\"id\":2,\"result\":null,\"error\":null}",
		"{\"id\":2",
	};
	(void)state;
	fake_pool_open(pool, loop, 0);
	pool->greeting = bad[0];
	start(pool->port, 0, (struct otd_miner_conf){0});
	for (uint32_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		pool->greeting = bad[i];
		run_until(OTD_MINER_DISCONNECTED, i + 1);
	}
	assert_int_equal(events[OTD_MINER_AUTHORIZED], 0);
	pool->greeting = NULL;
	run_until(OTD_MINER_ACCEPTED, 1);
}

static void reconnects(void **state)
{
	struct otd_miner_stats s;
	(void)state;
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){0});
	run_until(OTD_MINER_ACCEPTED, 2);
	fake_pool_hang_up(pool);
	run_until(OTD_MINER_DISCONNECTED, 1);
	run_until(OTD_MINER_ACCEPTED, events[OTD_MINER_ACCEPTED] + 2);
	assert_int_equal(pool->connections, 2);
	assert_int_equal(pool->bad_shares, 0);
	otd_miner_stats(miner, &s);
	assert_int_equal(s.connects, 2);
}

static void redirected(void **state)
{
	char line[160];
	(void)state;
	fake_pool_open(pool, loop, 0);
	second->extranonce1 = "c0ffee";
	fake_pool_open(second, loop, 0);
	(void)snprintf(line, sizeof(line),
		       "{\"id\":null,\"method\":\"client.reconnect\",\"params\":[\"\",\"%u\",0]}",
		       second->port);
	pool->also = line;
	start(pool->port, 0, (struct otd_miner_conf){0});
	run_until(OTD_MINER_ACCEPTED, 3);
	assert_true(second->shares >= 3);
	assert_int_equal(second->bad_shares, 0);
	assert_int_equal(events[OTD_MINER_FAILOVER], 0);
}

/* The first is not there; then it comes, and we go home. */
static void fails_over_and_back(void **state)
{
	struct otd_miner_stats s;
	uint16_t port;
	(void)state;
	fake_pool_open(pool, loop, 0);
	port = pool->port;
	fake_pool_close(pool);
	memset(pool, 0, sizeof(*pool));
	pool->difficulty = second->difficulty = "0.0001";
	fake_pool_open(second, loop, 0);
	start(port, second->port, (struct otd_miner_conf){.first_again_ms = 10});
	run_until(OTD_MINER_ACCEPTED, 2);
	assert_int_equal(events[OTD_MINER_DISCONNECTED], 3);
	assert_int_equal(events[OTD_MINER_FAILOVER], 1);
	assert_true(second->shares >= 2);
	otd_miner_stats(miner, &s);
	assert_int_equal(s.pool, 1);
	fake_pool_open(pool, loop, port);
	run_until(OTD_MINER_FAILOVER, 2);
	run_until(OTD_MINER_ACCEPTED, events[OTD_MINER_ACCEPTED] + 2);
	otd_miner_stats(miner, &s);
	assert_int_equal(s.pool, 0);
	assert_true(pool->shares >= 2);
	assert_int_equal(pool->bad_shares + second->bad_shares, 0);
}

static void stop_inside(const struct otd_miner_event *ev)
{
	if (ev->kind == OTD_MINER_ACCEPTED) {
		otd_miner_stop(miner);
		env->ops->loop_stop(loop);
	}
}

static void stopped_from_an_event(void **state)
{
	struct otd_miner_stats s;
	(void)state;
	hook = stop_inside;
	fake_pool_open(pool, loop, 0);
	start(pool->port, 0, (struct otd_miner_conf){0});
	env->ops->loop_run(loop);
	otd_miner_stats(miner, &s);
	assert_int_equal(s.state, OTD_MINER_STOPPED);
	/* And again. */
	hook = NULL;
	assert_int_equal(otd_miner_start(miner, &err), OTD_OK);
	run_until(OTD_MINER_ACCEPTED, events[OTD_MINER_ACCEPTED] + 2);
	assert_int_equal(pool->bad_shares, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mines, setup, teardown),
		cmocka_unit_test_setup_teardown(no_version_rolling, setup, teardown),
		cmocka_unit_test_setup_teardown(configure_unanswered, setup, teardown),
		cmocka_unit_test_setup_teardown(new_jobs, setup, teardown),
		cmocka_unit_test_setup_teardown(answers_the_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(wrong_user, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_greetings, setup, teardown),
		cmocka_unit_test_setup_teardown(reconnects, setup, teardown),
		cmocka_unit_test_setup_teardown(redirected, setup, teardown),
		cmocka_unit_test_setup_teardown(fails_over_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(stopped_from_an_event, setup, teardown),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
