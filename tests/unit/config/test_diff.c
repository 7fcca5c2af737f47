#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/diff.h"
#include "files.h"

static char folder[64], file[128];

#define COIN                                                            \
	"name: Testcoin\nsymbol: TST\nalgorithm: {use: hash-a, n: 4}\n" \
	"chain: {use: chain-a, x: 1}\nmaturity: 20\n"
#define HEAD "data_dir: /d\nstore: {use: db-a}\n"
#define POOL(name, port, more)                      \
	"  " name ":\n"                             \
	"    coin: test\n"                          \
	"    coinbase: {address: addr}\n"           \
	"    payout: {scheme: pay-a, window: 2h}\n" \
	"    ports: {" port ": {}}\n" more
#define PLAIN HEAD "pools:\n" POOL("p", "3333", "")

static int setup(void **state)
{
	(void)state;
	test_folder(folder);
	snprintf(file, sizeof(file), "%s/main.yaml", folder);
	test_write(folder, "coins/test.yaml", COIN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_folder_remove(folder);
	return 0;
}

static struct otd_settings *load(const char *text)
{
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file};
	test_write(folder, "main.yaml", text);
	if (otd_settings_load(&s, test_env(), &src, &err))
		fail_msg("%s", err.text);
	return s;
}

static bool window_is_live(void *arg, const char *kind, const char *id, const char *option)
{
	(void)arg;
	return strcmp(kind, "payout") == 0 && strcmp(id, "pay-a") == 0 &&
	       strcmp(option, "window") == 0;
}

static struct {
	struct otd_settings *a, *b;
	struct otd_diff *d;
} t;

static void compare(const char *a, const char *b)
{
	struct otd_err err = {0};
	t.a = load(a);
	t.b = load(b);
	assert_int_equal(otd_diff_create(&t.d, t.a, t.b, window_is_live, NULL, &err), OTD_OK);
}

static void end(void)
{
	otd_diff_destroy(t.d);
	otd_settings_destroy(t.a);
	otd_settings_destroy(t.b);
	memset(&t, 0, sizeof(t));
}

/* "PATH: BEFORE -> AFTER, live" of every key, one a line. */
static void says(const char *want)
{
	char got[4000] = "";
	size_t n = 0;
	const struct otd_diff_key *k;
	for (size_t i = 0; (k = otd_diff_key(t.d, i)); i++)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s: %s -> %s%s\n", k->path,
				      k->before, k->after, k->live ? "" : ", restart");
	assert_string_equal(got, want);
	assert_int_equal(otd_diff_count(t.d), n ? otd_diff_count(t.d) : 0);
}

static void check(const char *a, const char *b, const char *want)
{
	compare(a, b);
	says(want);
	end();
}

/* What is said in other words is the same. */
static void nothing(void **state)
{
	(void)state;
	check(PLAIN, PLAIN, "");
	check(PLAIN, PLAIN "limits: {handshake: 15s}\nlog: {level: info}\n", "");
	check(PLAIN "limits: {handshake: 15s}\n", PLAIN "limits: {handshake: 15000ms}\n", "");
	check(PLAIN "limits: {line: 10KiB}\n", PLAIN "# a word\nlimits:\n  line: 10240\n", "");
	check(HEAD "pools:\n" POOL("p", "3333", "    fee: {rate: 1%}\n"),
	      HEAD "pools:\n" POOL("p", "3333", "    fee: {rate: 1.0%}\n"), "");
	check(HEAD "pools:\n" POOL("p", "3333", "") POOL("q", "3334", ""),
	      HEAD "pools:\n" POOL("q", "3334", "") POOL("p", "3333", ""), "");
}

static void each_type(void **state)
{
	(void)state;
	check(PLAIN, PLAIN "limits: {handshake: 16s, line: 4KiB, bad_lines: 3}\n",
	      "limits.line: 10KiB -> 4KiB\nlimits.handshake: 15s -> 16s\n"
	      "limits.bad_lines: 16 -> 3\n");
	check(PLAIN "log: {level: debug, modules: {pool: trace}}\n", PLAIN,
	      "log.level: debug -> info\nlog.modules: {pool: trace} -> \n");
	check(PLAIN "log: {modules: {pool: trace}}\n", PLAIN "log: {modules: {pool: debug}}\n",
	      "log.modules: {pool: trace} -> {pool: debug}\n");
	check(PLAIN, PLAIN "api: {listen: \"127.0.0.1:1\"}\n",
	      "api.listen: 127.0.0.1:8080 -> \"127.0.0.1:1\", restart\n");
	check(PLAIN, PLAIN "api: {off: true}\n", "api.off: false -> true, restart\n");
	check(PLAIN, PLAIN "threads: {reactors: 2}\n", "threads.reactors: 1 -> 2, restart\n");
	check(HEAD "pools:\n" POOL("p", "3333", "    fee: {rate: 1%}\n"),
	      HEAD "pools:\n" POOL("p", "3333", "    fee: {rate: 2%}\n    notify: 20s\n"),
	      "pools.p.fee.rate: 1% -> 2%\npools.p.notify: 30s -> 20s\n");
	check(PLAIN,
	      PLAIN "plugins: {enable: [algo/hash-a, chain/chain-a, payout/*, store/db-a]}\n",
	      "plugins.enable: [store/db-a, algo/hash-a, chain/chain-a, payout/pay-a] -> "
	      "[algo/hash-a, chain/chain-a, \"payout/*\", store/db-a]\n");
}

static void whole_entries(void **state)
{
	(void)state;
	check(PLAIN, HEAD "pools:\n" POOL("p", "3333", "") POOL("q", "3334", ""),
	      "pools.q:  -> there\n");
	check(HEAD "pools:\n" POOL("p", "3333", "") POOL("q", "3334", ""),
	      HEAD "pools:\n" POOL("q", "3334", "    fee: {rate: 3%}\n"),
	      "pools.p: there -> \npools.q.fee.rate: 0% -> 3%\n");
	check(PLAIN, HEAD "pools:\n" POOL("p", "3333: {}, 3334", ""),
	      "pools.p.ports.3334:  -> there\n");
	check(PLAIN, HEAD "pools:\n" POOL("p", "3333", "    payments: {minimum: 1 TST}\n"),
	      "pools.p.payments:  -> there\n");
	check(PLAIN, PLAIN "miner: {account: x}\n", "miner:  -> there, restart\n");
}

static void secrets(void **state)
{
#define NODE(more) "nodes: {n: {coin: test, rpc: \"http://h:1\", user: u, password: " more "}}\n"
	(void)state;
	setenv("DIFF_SECRET", "hunter2", 1);
	check(PLAIN NODE("one"), PLAIN NODE("two"), "nodes.n.password: \"***\" -> \"***\"\n");
	check(PLAIN NODE("one"), PLAIN NODE("\"${DIFF_SECRET}\""),
	      "nodes.n.password: \"***\" -> \"${DIFF_SECRET}\"\n");
	/* The file that it is in says otherwise now. */
	test_write(folder, "pw", "first\n");
	char text[1000];
	snprintf(text, sizeof(text), PLAIN NODE("\"file:%s/pw\""), folder);
	t.a = load(text);
	test_write(folder, "pw", "second\n");
	t.b = load(text);
	struct otd_err err = {0};
	assert_int_equal(otd_diff_create(&t.d, t.a, t.b, NULL, NULL, &err), OTD_OK);
	assert_int_equal(otd_diff_count(t.d), 1);
	assert_string_equal(otd_diff_key(t.d, 0)->path, "nodes.n.password");
	assert_null(strstr(otd_diff_key(t.d, 0)->after, "second"));
	end();
}

static void plugins(void **state)
{
	(void)state;
	check(PLAIN,
	      HEAD "pools:\n  p:\n    coin: test\n    coinbase: {address: addr}\n"
		   "    payout: {scheme: pay-a, window: 3h, token: abc}\n    ports: {3333: {}}\n",
	      "pools.p.payout.window: 2h -> 3h\npools.p.payout.token: default -> \"***\", "
	      "restart\n");
	check(PLAIN,
	      HEAD "pools:\n  p:\n    coin: test\n    coinbase: {address: addr}\n"
		   "    payout: {scheme: pay-b}\n    ports: {3333: {}}\n",
	      "pools.p.payout: pay-a -> pay-b, restart\n");
	check(PLAIN, HEAD "pools:\n" POOL("p", "3333", "    chain: {x: 5}\n"),
	      "pools.p.chain.x: default -> 5, restart\n");
}

static void coin_files(void **state)
{
	struct otd_err err = {0};
	(void)state;
	t.a = load(PLAIN);
	test_write(folder, "coins/test.yaml",
		   "name: Testcoin\nsymbol: TST\nalgorithm: {use: hash-a, n: 8}\n"
		   "chain: {use: chain-a, x: 1}\nmaturity: 30\n");
	t.b = load(PLAIN);
	assert_int_equal(otd_diff_create(&t.d, t.a, t.b, NULL, NULL, &err), OTD_OK);
	says("coins.test.algorithm.n: 4 -> 8, restart\ncoins.test.maturity: 20 -> 30\n");
	/* What can be taken is taken. */
	struct otd_settings *live = NULL;
	assert_int_equal(otd_diff_live_settings(&live, test_env(), t.d, &err), OTD_OK);
	assert_int_equal(live->pools[0].coin->maturity, 30);
	assert_string_equal(
		otd_yaml_text(otd_yaml_get(live->pools[0].coin->algorithm.options, "n")), "4");
	otd_settings_destroy(live);
	end();
}

static struct otd_settings *live_of(const char *a, const char *b)
{
	struct otd_err err = {0};
	struct otd_settings *live = NULL;
	compare(a, b);
	if (otd_diff_live_settings(&live, test_env(), t.d, &err))
		fail_msg("%s", err.text);
	end();
	return live;
}

/* Whoever compares the live ones with the file again finds only what waits for a restart. */
static void the_rest_waits(void **state)
{
	const char *a = PLAIN "threads: {reactors: 2}\nlimits: {bad_lines: 7}\n";
	const char *b = "data_dir: /elsewhere\nstore: {use: db-a, path: x}\npools:\n" POOL(
		"p", "3333", "    extranonce1_bytes: 6\n    fee: {rate: 2%}\n")
		POOL("q", "3334", "") "limits: {bad_lines: 9}\nlog: {format: json}\n";
	struct otd_err err = {0};
	(void)state;
	struct otd_settings *live = live_of(a, b);
	assert_string_equal(live->data_dir, "/d");
	assert_string_equal(live->socket, "/d/otedama.sock");
	assert_int_equal(live->threads.reactors, 2);
	assert_int_equal(live->limits.bad_lines, 9);
	assert_int_equal(live->log.format, 0);
	assert_int_equal(live->n_pools, 2);
	assert_int_equal(live->pools[0].extranonce1_bytes, 4);
	assert_int_equal(live->pools[0].fee_ppm, 20000);
	assert_null(otd_yaml_get(live->store.options, "path"));

	t.a = live;
	t.b = load(b);
	assert_int_equal(otd_diff_create(&t.d, t.a, t.b, NULL, NULL, &err), OTD_OK);
	assert_int_equal(otd_diff_not_live(t.d), otd_diff_count(t.d));
	says("data_dir: /d -> /elsewhere, restart\n"
	     "socket: /d/otedama.sock -> /elsewhere/otedama.sock, restart\n"
	     "log.format: logfmt -> json, restart\nthreads.reactors: 2 -> 1, restart\n"
	     "store.path: default -> x, restart\n"
	     "pools.p.extranonce1_bytes: 4 -> 6, restart\n");
	end();
	/* And back: as if nothing had been. */
	live = live_of(a, b);
	t.a = live;
	t.b = load("data_dir: /d\nstore: {use: db-a}\nthreads: {reactors: 2}\npools:\n" POOL(
		"p", "3333", "    fee: {rate: 2%}\n")
			   POOL("q", "3334", "") "limits: {bad_lines: 9}\n");
	assert_int_equal(otd_diff_create(&t.d, t.a, t.b, NULL, NULL, &err), OTD_OK);
	says("");
	end();
}

/* A new pool on a coin that the pool of before keeps only until a restart. */
static void what_does_not_go_together(void **state)
{
	struct otd_err err = {0};
	struct otd_settings *live = NULL;
	(void)state;
	compare(PLAIN "miner: {account: x, pool: p}\n", HEAD "pools:\n" POOL("q", "3333", ""));
	assert_int_not_equal(otd_diff_live_settings(&live, test_env(), t.d, &err), OTD_OK);
	assert_null(live);
	assert_non_null(strstr(err.text, "miner.pool"));
	end();
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(nothing), T(each_type),  T(whole_entries),  T(secrets),
		T(plugins), T(coin_files), T(the_rest_waits), T(what_does_not_go_together),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
