#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/settings.h"
#include "files.h"

static char folder[64], file[128];

#define COIN                                                                        \
	"name: Testcoin\nsymbol: TST\nalgorithm: {use: hash-a, n: 4}\n"             \
	"chain: {use: chain-a, x: 1, y: 2}\nversion_mask: 1fffe000\nmaturity: 20\n" \
	"main_networks: [main]\n"
#define POOL                                        \
	"store: {use: db-a}\n"                      \
	"pools:\n"                                  \
	"  p:\n"                                    \
	"    coin: test\n"                          \
	"    coinbase: {address: addr}\n"           \
	"    payout: {scheme: pay-a, window: 2h}\n" \
	"    ports: {3333: {}}\n"

static int setup(void **state)
{
	(void)state;
	test_folder(folder);
	snprintf(file, sizeof(file), "%s/main.yaml", folder);
	test_write(folder, "coins/test.yaml", COIN);
	test_write(folder, "coins/other.yaml", COIN);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	test_folder_remove(folder);
	return 0;
}

struct seen {
	size_t n;
	char text[64][512];
};

static void see(void *arg, const struct otd_err *err)
{
	struct seen *s = arg;
	if (s->n < 64)
		snprintf(s->text[s->n++], sizeof(s->text[0]), "%s", err->text);
}

static struct otd_settings *load_set(const char *text, const char *const *set, size_t n_set)
{
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file, .set = set, .n_set = n_set};
	if (text)
		test_write(folder, "main.yaml", text);
	if (otd_settings_load(&s, test_env(), &src, &err))
		fail_msg("%s", err.text);
	return s;
}

static struct otd_settings *load(const char *text)
{
	return load_set(text, NULL, 0);
}

/* Every problem of text; the first one begins with FILE:at and has part in it. */
static void refuses(const char *text, const char *at, const char *part)
{
	static struct seen seen;
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file, .problem = see, .arg = &seen};
	char start[200];
	seen.n = 0;
	test_write(folder, "main.yaml", text);
	otd_rc rc = otd_settings_load(&s, test_env(), &src, &err);
	assert_null(s);
	assert_int_not_equal(rc, OTD_OK);
	assert_int_equal(rc, err.rc);
	assert_true(seen.n > 0);
	assert_string_equal(seen.text[0], err.text);
	snprintf(start, sizeof(start), "%s/%s", folder, at);
	if (strncmp(err.text, start, strlen(start)) != 0 || !strstr(err.text, part))
		fail_msg("got '%s', wanted '%s...%s'", err.text, start, part);
}

static void test_defaults(void **state)
{
	(void)state;
	struct otd_settings *s = load(POOL);
	assert_string_equal(s->data_dir, "/var/lib/otedama");
	assert_string_equal(s->socket, "/var/lib/otedama/otedama.sock");
	assert_int_equal(s->plugins.dirs.n, 0);
	assert_int_equal(s->plugins.enable.n, 4);
	assert_string_equal(s->plugins.enable.item[0], "store/db-a");
	assert_string_equal(s->plugins.enable.item[1], "algo/hash-a");
	assert_string_equal(s->plugins.enable.item[2], "chain/chain-a");
	assert_string_equal(s->plugins.enable.item[3], "payout/pay-a");
	assert_string_equal(s->log.file, "");
	assert_int_equal(s->log.level, OTD_LOG_INFO);
	assert_int_equal(s->log.format, OTD_LOG_LOGFMT);
	assert_int_equal(s->threads.reactors, 1);
	assert_string_equal(s->store.id, "db-a");
	assert_string_equal(s->store.path, "store");
	assert_int_equal(s->n_coins, 1);
	assert_string_equal(s->coins[0].name, "Testcoin");
	assert_int_equal(s->coins[0].version_mask, 0x1fffe000);
	assert_int_equal(s->coins[0].decimals, 8);
	assert_string_equal(s->coins[0].algorithm.id, "hash-a");
	assert_string_equal(otd_yaml_text(otd_yaml_get(s->coins[0].algorithm.options, "n")), "4");
	assert_int_equal(s->n_pools, 1);
	const struct otd_settings_pool *p = otd_settings_pool(s, "p");
	assert_ptr_equal(p, &s->pools[0]);
	assert_null(otd_settings_pool(s, "q"));
	assert_ptr_equal(p->coin, &s->coins[0]);
	assert_string_equal(p->network, "main");
	assert_true(p->main_network);
	assert_string_equal(p->tag, "/otedama/");
	assert_int_equal(p->fee_ppm, 0);
	assert_string_equal(p->payout.id, "pay-a");
	assert_string_equal(p->payout.path, "pools.p.payout");
	assert_string_equal(p->chain.path, "pools.p.chain");
	assert_string_equal(otd_yaml_text(otd_yaml_get(p->chain.options, "network")), "main");
	assert_string_equal(otd_yaml_text(otd_yaml_get(p->chain.options, "y")), "2");
	assert_int_equal(p->n_ports, 1);
	assert_int_equal(p->ports[0].port, 3333);
	assert_string_equal(p->ports[0].listen, "*");
	assert_string_equal(p->ports[0].difficulty.start, "1024");
	assert_int_equal(p->ports[0].difficulty.aim_ms, 10000);
	assert_true(p->ports[0].difficulty.vardiff);
	assert_null(p->ports[0].payout.id);
	assert_null(p->ports[0].tls.certificate);
	assert_true(p->ports[0].plain);
	assert_int_equal(p->ports[0].proxy_from.n, 0);
	assert_int_equal(p->refresh_ms, 30000);
	assert_string_equal(p->difficulty_floor, "");
	assert_int_equal(s->limits.line_bytes, 10240);
	assert_string_equal(s->api.host, "127.0.0.1");
	assert_int_equal(s->api.port, 8080);
	assert_int_equal(s->metrics.port, 9090);
	assert_int_equal(s->journal.max_bytes, 2LL << 30);
	assert_false(s->miner.on);
	otd_settings_destroy(s);
	otd_settings_destroy(NULL);
}

static void test_everything(void **state)
{
	(void)state;
	test_write(folder, "secret", "p4ss\nsecond line\n");
	setenv("OTD_TEST_USER", "alice", 1);
	char text[4096];
	snprintf(text, sizeof(text),
		 "data_dir: ./d/\n"
		 "plugins: {dirs: [/a, /b], enable: [algo/*, chain/chain-a, payout/*, store/db-a, "
		 "hw/*]}\n"
		 "log: {file: x.log, format: json, level: warn, modules: {pool: debug, net: "
		 "error}, per_event_a_second: 5}\n"
		 "threads: {reactors: 4, compute: 2}\n"
		 "store: {use: db-a, path: x.db, password: hidden}\n"
		 "nodes:\n"
		 "  a: {coin: test, network: regtest, rpc: 'http://127.0.0.1:1', user: "
		 "\"${OTD_TEST_USER}\", password: 'file:%s/secret', roles: [template]}\n"
		 "  b: {coin: test, network: regtest, rpc: 'https://[::1]:1/w', cookie: /c, roles: "
		 "[submit, wallet]}\n"
		 "pools:\n"
		 "  p:\n"
		 "    coin: test\n"
		 "    nodes: [b, a]\n"
		 "    chain: {y: 3, z: 4}\n"
		 "    coinbase: {address: addr, tag: hi}\n"
		 "    fee: {rate: 0.25%%}\n"
		 "    payout: {scheme: pay-a}\n"
		 "    block_difficulty_floor: 0.001\n"
		 "    ports:\n"
		 "      3333: {listen: 127.0.0.1, difficulty: {start: 1e-9, min: 1e-9, max: 1, "
		 "aim: 2s, vardiff: false}}\n"
		 "      3334: {payout: {scheme: pay-b, k: v}}\n"
		 "    extranonce2_bytes: 8\n"
		 "api: {listen: '[::1]:8081', off: true}\n"
		 "metrics: {listen: 9191}\n"
		 "miner: {account: me, threads: 3}\n",
		 folder);
	struct otd_settings *s = load(text);
	assert_string_equal(s->socket, "./d/otedama.sock");
	assert_int_equal(s->log.n_modules, 2);
	assert_string_equal(s->log.modules[0].name, "pool");
	assert_int_equal(s->log.modules[0].level, OTD_LOG_DEBUG);
	assert_int_equal(s->log.format, OTD_LOG_JSON);
	const struct otd_settings_node *a = otd_settings_node(s, "a");
	assert_string_equal(a->user, "alice");
	assert_string_equal(a->password, "p4ss");
	assert_int_equal(a->role_bits, OTD_SETTINGS_TEMPLATE);
	assert_int_equal(otd_settings_node(s, "b")->role_bits,
			 OTD_SETTINGS_SUBMIT | OTD_SETTINGS_WALLET);
	const struct otd_settings_pool *p = &s->pools[0];
	assert_string_equal(p->network, "regtest"); /* of its nodes */
	assert_false(p->main_network);
	assert_int_equal(p->n_nodes, 2);
	assert_string_equal(p->nodes[0]->name, "b");
	assert_string_equal(otd_yaml_text(otd_yaml_get(p->chain.options, "x")), "1");
	assert_string_equal(otd_yaml_text(otd_yaml_get(p->chain.options, "y")), "3");
	assert_string_equal(otd_yaml_text(otd_yaml_get(p->chain.options, "z")), "4");
	assert_string_equal(otd_yaml_text(otd_yaml_get(p->chain.options, "network")), "regtest");
	assert_int_equal(p->fee_ppm, 2500);
	assert_string_equal(p->ports[0].difficulty.min, "1e-9");
	assert_false(p->ports[0].difficulty.vardiff);
	assert_string_equal(p->ports[1].payout.id, "pay-b");
	assert_string_equal(p->ports[1].payout.path, "pools.p.ports.3334.payout");
	assert_true(s->api.off);
	assert_string_equal(s->api.host, "::1");
	assert_string_equal(s->metrics.host, "*");
	assert_int_equal(s->metrics.port, 9191);
	assert_true(s->miner.on);
	assert_string_equal(s->miner.pool, "p");
	assert_string_equal(s->miner.worker, "builtin");

	/* What is printed loads again and prints the same; no secret is in it. */
	struct otd_bytes once, twice;
	otd_bytes_init(&once, 1 << 20);
	otd_bytes_init(&twice, 1 << 20);
	assert_int_equal(otd_settings_print(s, &once), OTD_OK);
	otd_settings_destroy(s);
	const char *printed = otd_bytes_cstr(&once);
	assert_null(strstr(printed, "p4ss"));
	assert_null(strstr(printed, "hidden"));
	assert_null(strstr(printed, "alice"));
	assert_non_null(strstr(printed, "password: \"***\""));
	assert_non_null(strstr(printed, "idle: 30m # default\n"));
	s = load(printed);
	assert_string_equal(s->nodes[0].password, "p4ss");
	assert_int_equal(otd_settings_print(s, &twice), OTD_OK);
	otd_settings_destroy(s);
	/* defaults are written out now, so only the marks may differ */
	s = load(otd_bytes_cstr(&twice));
	otd_bytes_clear(&once);
	assert_int_equal(otd_settings_print(s, &once), OTD_OK);
	assert_string_equal(otd_bytes_cstr(&once), otd_bytes_cstr(&twice));
	otd_settings_destroy(s);
	otd_bytes_finish(&once);
	otd_bytes_finish(&twice);
}

static void test_print_quotes(void **state)
{
	(void)state;
	static const char text[] =
		POOL "log: {file: '${HOME}/a: b'}\nplugins: {dirs: ['- x', 'null', \"a\\nb\", '*', "
		     "'']}\n";
	refuses(text, "main.yaml:", "is not a text"); /* the empty entry */
	struct otd_settings *s =
		load(POOL "log: {file: '${HOME}/a: b'}\nplugins: {dirs: ['- x', 'null', \"a\\nb\", "
			  "'*', '$${', '#']}\n");
	struct otd_bytes out;
	otd_bytes_init(&out, 1 << 20);
	assert_int_equal(otd_settings_print(s, &out), OTD_OK);
	struct otd_settings *t = load(otd_bytes_cstr(&out));
	assert_string_equal(t->log.file, "${HOME}/a: b");
	assert_int_equal(t->plugins.dirs.n, 6);
	for (size_t i = 0; i < 6; i++)
		assert_string_equal(s->plugins.dirs.item[i], t->plugins.dirs.item[i]);
	otd_settings_destroy(s);
	otd_settings_destroy(t);
	otd_bytes_finish(&out);
}

static void test_keys(void **state)
{
	(void)state;
	refuses("stor: {}\n" POOL, "main.yaml:1:1: stor: ", "did you mean 'store'?");
	refuses(POOL "xyzzy: 1\n", "main.yaml:8:1: xyzzy: ", "config schema");
	refuses("pools: {}\n", "main.yaml:1:1: store: ", "is missing");
	refuses("store: {use: a}\n", "main.yaml:1:1: pools: ", "is missing");
	refuses("store: {use: a}\npools: {}\n", "main.yaml:2:8: pools: ", "has 0 entries");
	refuses("store: {path: a}\n", "main.yaml:1:8: store.use: ", "is missing");
	refuses("store: {use: 'a b'}\n", "main.yaml:1:14: store.use: ", "not the id");
	refuses("store: x\n", "main.yaml:1:8: store: ", "not a mapping");
	refuses("- a\n", "main.yaml:1:1: ", "not a configuration");
	refuses("", "main.yaml:1:1: ", "not a configuration");
	refuses(POOL "data_dir:\n", "main.yaml:8:", "has no value");
	refuses(POOL "data_dir: [a]\n", "main.yaml:8:11: data_dir: ", "is not a text");
	refuses(POOL "limits: {idle: 30}\n", "main.yaml:8:16: limits.idle: ", "with its unit");
	refuses(POOL "limits: {idle: 1s}\n", "main.yaml:8:16: limits.idle: ", "from 10s to 7d");
	refuses(POOL "limits: {line: 1TiB}\n",
		"main.yaml:8:16: limits.line: ", "from 1KiB to 1MiB");
	refuses(POOL "limits: {handshke: 1s}\n", "main.yaml:8:10: limits.handshke: ", "handshake");
	refuses(POOL "threads: {reactors: many}\n", "main.yaml:8:21: ", "whole number");
	refuses(POOL "threads: {reactors: 0}\n", "main.yaml:8:21: ", "from 1 to 64");
	refuses(POOL "log: {level: inf}\n", "main.yaml:8:14: log.level: ", "did you mean 'info'?");
	refuses(POOL "log: {modules: {pool: loud}}\n",
		"main.yaml:8:23: log.modules.pool: ", "is none of");
	refuses(POOL "api: {off: perhaps}\n", "main.yaml:8:12: ", "true or false");
	refuses(POOL "plugins: {dirs: /x}\n", "main.yaml:8:17: ", "is not a list");
	refuses(POOL "api: {listen: 127.0.0.1}\n", "main.yaml:8:15: api.listen: ", "HOST:PORT");
	refuses(POOL "api: {listen: '::1:80'}\n", "main.yaml:8:15: ", "brackets");
	refuses(POOL "api: {listen: '[::1:80'}\n", "main.yaml:8:15: ", "HOST:PORT");
	refuses(POOL "api: {listen: 'h:65536'}\n", "main.yaml:8:15: ", "HOST:PORT");
	refuses(POOL "miner: {}\n", "main.yaml:8:8: miner.account: ", "is missing");
	refuses(POOL "miner: {account: a, pool: x}\n", "main.yaml:8:27: miner.pool: ", "no pool");
	refuses(POOL "nodes: {'a b': {}}\n", "main.yaml:8:9: nodes: ", "is no name");
	refuses(POOL "journal: {segment: 64MiB, max: 100MiB}\n",
		"main.yaml:8:32: journal.max: ", "two segments");
	refuses("data_dir: /"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n" POOL,
		"main.yaml:1:11: socket: ", "107 bytes");
}

#define WITH(extra) POOL extra
static void test_pools(void **state)
{
	(void)state;
	refuses(WITH("    fee: {rate: 1}\n"), "main.yaml:8:17: pools.p.fee.rate: ", "percent");
	refuses(WITH("    fee: {rate: 101%}\n"),
		"main.yaml:8:17: pools.p.fee.rate: ", "from 0% to 100%");
	refuses(WITH("    policies: fees.lua\n"),
		"main.yaml:8:15: pools.p.policies: ", "a list of scripts");
	refuses(WITH("    policies: [[]]\n"),
		"main.yaml:8:16: pools.p.policies: ", "neither the path of a script");
	refuses(WITH("    policies: [{options: {}}]\n"),
		"main.yaml:8:16: pools.p.policies.file: ", "is missing");
	refuses(WITH("    policies: [{file: a.lua, options: 3}]\n"),
		"main.yaml:8:39: pools.p.policies.options: ", "is not a mapping");
	refuses(WITH("    policies: [{file: a.lua, pools: [p]}]\n"),
		"main.yaml:8:30: pools.p.policies: ", "file and options are");
	refuses(POOL "policies: [{file: a.lua, pools: [q]}]\n",
		"main.yaml:8:12: policies: ", "'q' is no pool of this file");
	refuses(WITH("    block_difficulty_floor: 0.1\n"),
		"main.yaml:8:29: pools.p.block_difficulty_floor: ", "main network");
	refuses(WITH("    block_difficulty_floor: 0\n"), "main.yaml:8:29: ", "a difficulty");
	refuses(WITH("    block_difficulty_floor: hard\n"), "main.yaml:8:29: ", "a difficulty");
	refuses(WITH("    nodes: [x]\n"), "main.yaml:8:13: pools.p.nodes: ", "under nodes:");
	refuses(WITH("    nodes: [lokal]\nnodes: {local: {coin: test, rpc: 'http://h:1'}}\n"),
		"main.yaml:8:13: pools.p.nodes: ", "did you mean 'local'?");
	refuses(WITH("    nodes: [a]\nnodes: {a: {coin: other, rpc: 'http://h:1'}}\n"),
		"main.yaml:8:12: pools.p.nodes: ", "this pool mines test");
	refuses(WITH("    nodes: [a]\n    network: main\nnodes: {a: {coin: test, network: regtest, "
		     "rpc: 'http://h:1'}}\n"),
		"main.yaml:8:12: pools.p.nodes: ", "on network regtest");
	refuses(WITH("    nodes: [a]\nnodes: {a: {coin: test, rpc: 'http://h:1', roles: "
		     "[template]}}\n"),
		"main.yaml:8:12: pools.p.nodes: ", "role submit");
	refuses(WITH("    nodes: [a, a]\nnodes: {a: {coin: test, rpc: 'http://h:1'}}\n"),
		"main.yaml:8:16: pools.p.nodes: ", "twice");
	refuses(WITH("nodes: {a: {coin: test, rpc: 'ftp://h:1'}}\n"),
		"main.yaml:8:30: nodes.a.rpc: ", "http://HOST:PORT");
	refuses(WITH("nodes: {a: {coin: test, rpc: 'http://u:secret@h:1'}}\n"),
		"main.yaml:8:30: nodes.a.rpc: has a user in it", "keys of their own");
	refuses(WITH("nodes: {a: {coin: test, rpc: 'http://h:1', user: u, cookie: c}}\n"),
		"main.yaml:8:", "keep one");
	refuses(WITH("nodes: {a: {coin: test, rpc: 'http://h:1', roles: [templat]}}\n"),
		"main.yaml:8:", "did you mean 'template'?");
	refuses(WITH("nodes: {a: {coin: test, rpc: 'http://h:1', user: u, password: "
		     "file:/no/such}}\n"),
		"main.yaml:8:", "nodes.a.password: file '/no/such' cannot be read");
	refuses(WITH("    chain: {use: x}\n"), "main.yaml:8:12: pools.p.chain: ", "coin file");
	refuses(WITH("    coinbas: {}\n"), "main.yaml:8:5: pools.p.coinbas: ", "'coinbase'");
	refuses(WITH("api: {listen: '127.0.0.1:3333'}\n"), "main.yaml:8:15: ", "taken by p");
	refuses(WITH("metrics: {listen: '127.0.0.1:8080'}\n"), "main.yaml:8:19: ", "taken by api");
	refuses(WITH("plugins: {enable: [algo/hash-a, chain/*, payout/*, store/other]}\n"),
		"main.yaml:1:8: store: uses the plugin store/db-a", "plugins.enable");
	refuses(WITH("plugins: {enable: [alg/x]}\n"),
		"main.yaml:8:19: plugins.enable: ", "KIND/ID");
}

static void test_ports(void **state)
{
	(void)state;
	static const struct {
		const char *ports, *part;
	} bad[] = {
		{"{0: {}}", "no port"},
		{"{70000: {}}", "no port"},
		{"{x: {}}", "no port"},
		{"{}", "has 0 entries"},
		{"{1: {tls: [x.pem]}}", "ports.1.tls: is not a file, or two"},
		{"{1: {tls: ''}}", "ports.1.tls: is not a file, or two"},
		{"{1: {tls: {certificate: a}}}", "ports.1.tls.key: is missing"},
		{"{1: {tls: {certificate: a, key: [b]}}}", "tls.key: is not the path"},
		{"{1: {tls: {certificate: a, key: b, cert: c}}}", "'cert' is no key of tls"},
		{"{1: {proxy_from: 10.0.0.0/8}}", "is not a list"},
		{"{1: {difficulty: {start: 1, min: 2}}}", "below min"},
		{"{1: {difficulty: {start: 3, max: 2}}}", "above max"},
		{"{1: {difficulty: {start: 3, min: 5, max: 2}}}", "exchange"},
		{"{1: {difficulty: {start: -3}}}", "a difficulty"},
		{"{1: {difficulty: {aim: 10}}}", "with its unit"},
		{"{1: {payout: {}}}", "pools.p.ports.1.payout.scheme: is missing"},
		{"{1: {}, 01: {}}", "taken by p"},
		{"{1: 2}", "not a mapping"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[600];
		snprintf(
			text, sizeof(text),
			"store: {use: db-a}\npools:\n  p:\n    coin: test\n    coinbase: {address: "
			"a}\n    payout: {scheme: s}\n    ports: %s\n",
			bad[i].ports);
		refuses(text, "main.yaml:7:", bad[i].part);
	}
	/* the same port on two addresses is no clash */
	struct otd_settings *s = load(
		"store: {use: db-a}\npools:\n  p: {coin: test, coinbase: {address: a}, payout: "
		"{scheme: s}, ports: {5: {listen: 127.0.0.1}}}\n  q: {coin: test, coinbase: "
		"{address: a}, payout: {scheme: s}, ports: {5: {listen: 127.0.0.2}}}\n");
	assert_int_equal(s->n_coins, 1);
	otd_settings_destroy(s);
	/* both forms of tls */
	s = load("store: {use: db-a}\npools:\n  p: {coin: test, coinbase: {address: a}, payout: "
		 "{scheme: s}, ports: {5: {tls: a.pem, plain: no}, 6: {tls: {certificate: b.pem, "
		 "key: c.pem}, proxy_from: [10.0.0.0/8, \"::1\"]}}}\n");
	const struct otd_settings_port *port = s->pools[0].ports;
	assert_string_equal(port[0].tls.certificate, "a.pem");
	assert_string_equal(port[0].tls.key, "a.pem");
	assert_false(port[0].plain);
	assert_string_equal(port[1].tls.certificate, "b.pem");
	assert_string_equal(port[1].tls.key, "c.pem");
	assert_int_equal(port[1].proxy_from.n, 2);
	assert_string_equal(port[1].proxy_from.item[1], "::1");
	otd_settings_destroy(s);
}

static void test_coins(void **state)
{
	(void)state;
	char text[600];
	snprintf(text, sizeof(text), "%s", POOL);
	char *coin = strstr(text, "coin: test");
	memcpy(coin, "coin: tset", 10);
	refuses(text, "main.yaml:4:11: pools.p.coin: 'tset' has no file ", "did you mean 'test'?");
	memcpy(coin, "coin: ../x", 10);
	refuses(text, "main.yaml:4:11: pools.p.coin: ", "no name of a coin");
	test_write(folder, "coins/test.yaml", "name: X\nsymbl: Y\n" COIN);
	refuses(POOL, "coins/test.yaml:3:1: key ", "already, on line 1");
	test_write(folder, "coins/test.yaml", "symbl: Y\n" COIN);
	refuses(POOL, "coins/test.yaml:1:1: symbl: ", "did you mean 'symbol'?");
	test_write(folder, "coins/test.yaml", "a\n");
	refuses(POOL, "coins/test.yaml:1:1: ", "not a coin file");
	test_write(folder, "coins/test.yaml",
		   "name: X\nsymbol: Y\nalgorithm: {use: a}\nchain: {use: b}\nversion_mask: "
		   "123456789\n");
	refuses(POOL, "coins/test.yaml:5:15: version_mask: ", "hex digits");
	test_write(folder, "elsewhere/test.yaml", COIN "decimals: 3\n");
	struct otd_settings *s = load(POOL "coin_dirs: [nowhere, elsewhere]\n");
	assert_int_equal(s->coins[0].decimals, 3);
	otd_settings_destroy(s);
	test_write(folder, "coins/test.yaml", COIN);
	/* a coin without a main network: the network bears its own name, a floor is allowed */
	test_write(folder, "coins/other.yaml",
		   "name: X\nsymbol: Y\nalgorithm: {use: a}\n"
		   "chain: {use: b}\nmain_networks: []\n");
	memcpy(coin, "coin: other", 11);
	memmove(coin + 11, "\n", 1);
	snprintf(text, sizeof(text),
		 "store: {use: db-a}\npools: {p: {coin: other, coinbase: {address: a}, payout: "
		 "{scheme: s}, block_difficulty_floor: 1e-6, ports: {5: {}}}}\n");
	s = load(text);
	assert_string_equal(s->pools[0].network, "other");
	assert_false(s->pools[0].main_network);
	assert_string_equal(s->pools[0].difficulty_floor, "1e-6");
	otd_settings_destroy(s);
	test_write(folder, "coins/other.yaml", COIN);
}

static void test_several_problems(void **state)
{
	(void)state;
	static struct seen seen;
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file, .problem = see, .arg = &seen};
	test_write(folder, "main.yaml",
		   "data_dri: x\nstore: {}\npools:\n  p:\n    coin: test\n    fee: {rate: x}\n    "
		   "ports: {3333: {difficulty: {aim: 1}}}\n");
	assert_int_not_equal(otd_settings_load(&s, test_env(), &src, &err), OTD_OK);
	static const char *const part[] = {"1:1: data_dri: ",
					   "2:8: store.use: ",
					   "4:3: pools.p.coinbase.address: ",
					   "6:17: pools.p.fee.rate: ",
					   "4:3: pools.p.payout: ",
					   "7:38: pools.p.ports.3333.difficulty.aim: "};
	assert_int_equal(seen.n, sizeof(part) / sizeof(part[0]));
	for (size_t i = 0; i < seen.n; i++) {
		if (!strstr(seen.text[i], part[i]))
			fail_msg("problem %zu is '%s', wanted '%s'", i, seen.text[i], part[i]);
	}
	assert_string_equal(err.text, seen.text[0]);
}

/* config check looks at all that can be looked at: what is wrong in one place hides nothing else. */
static void test_kept(void **state)
{
	(void)state;
	static struct seen seen;
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file, .problem = see, .arg = &seen, .keep = true};
	test_write(folder, "main.yaml",
		   "store: {use: db-a}\nstore: {use: db-b}\n"
		   "nodes:\n  a: {coin: test, rpc: 'http://h:1', password: \"${OTD_NOT_SET}\", "
		   "user: u}\n"
		   "  b: {coin: test, rpc: 'h:1'}\n  c: {coin: none, rpc: 'http://h:1'}\n  d: 7\n"
		   "pools:\n  p:\n    coin: test\n    nodes: [a, b, x]\n"
		   "    coinbase: {address: addr, tga: t}\n    payout: {scheme: pay-a}\n"
		   "    ports: {1: {difficulty: {start: 1q, min: 4}}, 2: {difficulty: {start: 1, "
		   "min: 2}}}\n"
		   "  q: {coin: test, coinbase: {}, payout: {scheme: pay-a}, ports: {2: {}}}\n");
	assert_int_not_equal(otd_settings_load(&s, test_env(), &src, &err), OTD_OK);
	static const char *const part[] = {
		"4:48: ${OTD_NOT_SET} is not set",
		"2:1: key 'store' is there already",
		"7:6: nodes.d: is not a mapping",
		"12:31: pools.p.coinbase.tga: ",
		"14:37: pools.p.ports.1.difficulty.start: ",
		"15:29: pools.q.coinbase.address: is missing",
		"6:13: nodes.c.coin: 'none' has no file",
		"11:19: pools.p.nodes: 'x' is no node",
		"5:24: nodes.b.rpc: is not http://",
		"14:67: pools.p.ports.2.difficulty: start 1 is below",
		"15:66: pools.q.ports.2: port 2 is taken by pools.p.ports.2"};
	for (size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		if (i >= seen.n || !strstr(seen.text[i], part[i]))
			fail_msg("problem %zu is '%s', wanted '%s'", i,
				 i < seen.n ? seen.text[i] : "not there", part[i]);
	}
	assert_int_equal(seen.n, sizeof(part) / sizeof(part[0]));
	assert_non_null(s);
	assert_true(s->pools[0].whole && s->nodes[0].whole && s->nodes[1].whole);
	assert_false(s->pools[1].whole || s->nodes[2].whole || s->nodes[3].whole);
	const struct otd_yaml *nodes = otd_settings_at(s, "nodes", "a", "password");
	assert_true(otd_settings_faulty(s, nodes));
	assert_false(otd_settings_faulty(s, otd_settings_at(s, "nodes", "a", "rpc")));
	otd_settings_destroy(s);
	/* what is not YAML cannot be kept */
	test_write(folder, "main.yaml", "a: [\n");
	seen.n = 0;
	assert_int_not_equal(otd_settings_load(&s, test_env(), &src, &err), OTD_OK);
	assert_null(s);
	assert_int_equal(seen.n, 1);
}

/* Whatever is wrong around a password: it is in no message. */
static void test_no_secret_in_words(void **state)
{
	(void)state;
	static const char *const bad[] = {
		"password: [hunter2]",      "password: {hunter2: x}",
		"password: a${hunter2",     "password: ${OTD_NOT_SET}, passwrod: hunter2",
		"password hunter2",         "password=hunter2",
		"passwordhunter2",          "password: file:/no/such",
		"password: &hunter2 x",     "password: *hunter2",
		"password: !hunter2 x",     "password: hunter2, password: hunter2",
		"password: \"hunter2\\q\"", "password: @hunter2",
		"password: hunter2: x",     "rpc: 'http://u:hunter2@h:1'",
		"password: 'hunter2",       "cookie: c, password: hunter2",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		static struct seen seen;
		struct otd_settings *s = NULL;
		struct otd_err err = {0};
		struct otd_settings_source src = {
			.file = file, .problem = see, .arg = &seen, .keep = true};
		char text[400];
		snprintf(text, sizeof(text), POOL "nodes:\n  a: {coin: test, %s%s}\n",
			 strncmp(bad[i], "rpc", 3) == 0 ? "" : "rpc: 'http://h:1', ", bad[i]);
		test_write(folder, "main.yaml", text);
		seen.n = 0;
		if (!otd_settings_load(&s, test_env(), &src, &err))
			fail_msg("no problem with %s", bad[i]);
		for (size_t k = 0; k < seen.n; k++) {
			if (strstr(seen.text[k], "hunter2"))
				fail_msg("%s", seen.text[k]);
		}
		otd_settings_destroy(s);
	}
}

static void test_set(void **state)
{
	(void)state;
	static const char *const set[] = {"pools.p.fee.rate=2%", "miner={account: a}",
					  "limits.idle=5m"};
	struct otd_settings *s = load_set(POOL, set, 3);
	assert_int_equal(s->pools[0].fee_ppm, 20000);
	assert_true(s->miner.on);
	assert_int_equal(s->limits.idle_ms, 300000);
	otd_settings_destroy(s);
	static const char *const wrong[] = {"pools.p.fee.rat=2%"};
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file, .set = wrong, .n_set = 1};
	assert_int_not_equal(otd_settings_load(&s, test_env(), &src, &err), OTD_OK);
	assert_non_null(strstr(err.text, "--set pools.p.fee.rat:1:1: pools.p.fee.rat: "));
}

static void test_secrets_stay_secret(void **state)
{
	(void)state;
	static struct seen seen;
	struct otd_settings *s = NULL;
	struct otd_err err = {0};
	struct otd_settings_source src = {.file = file, .problem = see, .arg = &seen};
	test_write(folder, "main.yaml",
		   POOL "nodes: {a: {coin: test, rpc: 'http://h:1', user: u, password: [hush]}, b: "
			"{coin: test, rpc: 'http://h:1', password: hush}}\n");
	assert_int_not_equal(otd_settings_load(&s, test_env(), &src, &err), OTD_OK);
	for (size_t i = 0; i < seen.n; i++)
		assert_null(strstr(seen.text[i], "hush"));
	test_write(folder, "empty", "\n");
	char text[600];
	snprintf(text, sizeof(text),
		 POOL "nodes: {a: {coin: test, rpc: 'http://h:1', user: u, password: "
		      "file:%s/empty}}\n",
		 folder);
	refuses(text, "main.yaml:8:", "no first line");
}

static void test_schema(void **state)
{
	(void)state;
	struct otd_bytes out;
	otd_bytes_init(&out, 1 << 20);
	assert_int_equal(otd_settings_schema(&out), OTD_OK);
	setenv("NAME", "x", 1); /* a help text speaks of ${NAME} */
	/* JSON is YAML too: as a check that brackets and quotes are right */
	struct otd_yaml_doc *d = NULL;
	struct otd_err err = {0};
	if (otd_yaml_parse(&d, (const char *)out.ptr, out.len, "schema", &err))
		fail_msg("%s", err.text);
	const struct otd_yaml *p = otd_yaml_get(otd_yaml_root(d), "properties");
	const struct otd_yaml *idle = otd_yaml_get(
		otd_yaml_get(otd_yaml_get(otd_yaml_get(p, "limits"), "properties"), "idle"),
		"x-default");
	assert_string_equal(otd_yaml_text(idle), "30m");
	otd_yaml_destroy(d);
	otd_bytes_finish(&out);
}

static void test_shipped_files(void **state)
{
	(void)state;
	static const char *const shipped[] = {"devnet", "bench", "bitcoin-regtest"};
	for (size_t i = 0; i < 3; i++) {
		char path[512];
		struct otd_settings *s = NULL;
		struct otd_err err = {0};
		snprintf(path, sizeof(path), OTEDAMA_SOURCE_DIR "/etc/%s.yaml", shipped[i]);
		struct otd_settings_source src = {.file = path};
		if (otd_settings_load(&s, test_env(), &src, &err))
			fail_msg("%s", err.text);
		assert_int_equal(s->n_pools, 1);
		otd_settings_destroy(s);
	}
}

static void payments(void **state)
{
	(void)state;
	struct otd_settings *s = load(POOL "    payments: {minimum: 0.05 TST, cap: 3}\n"
					   "    fee: {rate: 1%, recipients: {aa: {share: 70%}, bb: "
					   "{share: 30%}}}\n");
	const struct otd_settings_pool *p = &s->pools[0];
	assert_true(p->payments.on);
	assert_true(p->payments.minimum == 5000000 && p->payments.cap == 300000000);
	assert_int_equal(p->payments.network_fee, OTD_SETTINGS_POOL_PAYS);
	assert_int_equal(p->payments.every_ms, 3600000);
	assert_int_equal(p->n_recipients, 2);
	assert_string_equal(p->recipients[1].address, "bb");
	assert_int_equal(p->recipients[1].share_ppm, 300000);
	otd_settings_destroy(s);
	s = load(POOL);
	assert_false(s->pools[0].payments.on);
	otd_settings_destroy(s);

	refuses(POOL "    payments: {}\n", "main.yaml:8:15: pools.p.payments", "minimum");
	refuses(POOL "    payments: {minimum: 0.05 LTC}\n",
		"main.yaml:8:25: pools.p.payments.minimum: ", "another unit");
	refuses(POOL "    payments: {minimum: 0.000000001}\n",
		"main.yaml:8:25: pools.p.payments.minimum: ", "TST, 8 decimals");
	refuses(POOL "    payments: {minimum: 0}\n",
		"main.yaml:8:15: pools.p.payments.minimum: ", "above 0");
	refuses(POOL "    payments: {minimum: 2, cap: 1}\n",
		"main.yaml:8:15: pools.p.payments.cap: ", "below minimum");
	refuses(POOL "    payments: {minimum: 1, network_fee: me}\n",
		"main.yaml:8:41: pools.p.payments.network_fee: ", "miners");
	refuses(POOL "    payments: {minimum: 1}\n    fee: {recipients: {a: {share: 99.9%}}}\n",
		"main.yaml:9:10: pools.p.fee.recipients: ", "come to 99.9000%");
	refuses(POOL "    fee: {recipients: {a: {}}}\n",
		"main.yaml:8:10: pools.p.fee.recipients: ", "without 'payments'");
	refuses("nodes: {n: {coin: test, rpc: \"http://h:1\"}}\n" POOL
		"    payments: {minimum: 1}\n    nodes: [n]\n",
		"main.yaml:10:12: pools.p.payments: ", "role wallet");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(payments),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_print_quotes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_pools),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_coins),
		cmocka_unit_test(test_several_problems),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_no_secret_in_words),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_secrets_stay_secret),
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_shipped_files),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
