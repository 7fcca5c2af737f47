/* Chains: failover, templates, submission and place, against nodes that misbehave in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"

static struct otd_chain *chain;
static struct {
	size_t n, new_tips;
	struct otd_chain_template last;
	char trouble[300];
	size_t troubles;
} got;

static void on_template(void *arg, const struct otd_chain_template *t, bool new_tip)
{
	(void)arg;
	assert_false(fake.in_call);
	got.n++;
	got.new_tips += new_tip;
	got.last = *t;
}

static void on_trouble(void *arg, const char *why)
{
	(void)arg;
	got.troubles++;
	snprintf(got.trouble, sizeof(got.trouble), "%s", why);
}

static void make(size_t n_nodes)
{
	static const struct otd_node_conf nodes[FAKE_NODES] = {
		{"a", "http://u:secret@node/0", "u", "p", NULL, NULL,
		 OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT},
		{"b", "http://node/1", "u", "p", NULL, NULL, OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT},
		{"c", "http://node/2", NULL, NULL, "/cookie", NULL, OTD_NODE_SUBMIT}};
	struct otd_chain_conf conf = {.coin = "coin",
				      .network = "main",
				      .nodes = nodes,
				      .n_nodes = n_nodes,
				      .on_template = on_template,
				      .on_trouble = on_trouble};
	struct otd_err err = {0};
	memset(&got, 0, sizeof(got));
	assert_int_equal(otd_chain_create(&chain, &fake_loop, &conf, &err), OTD_OK);
}

static void start(size_t n_nodes)
{
	make(n_nodes);
	fake.in_call = true;
	otd_chain_start(chain);
	fake.in_call = false;
}

static int setup(void **state)
{
	(void)state;
	fake_reset(false);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	otd_chain_destroy(chain);
	chain = NULL;
	return fake_left() ? -1 : 0;
}

static bool in_use(size_t i)
{
	struct otd_node_status s;
	otd_chain_node_status(chain, i, &s);
	return s.in_use;
}

/* --- templates --- */

static void news_comes_within_a_second(void **state)
{
	(void)state;
	start(1);
	fake_run(50);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.new_tips, 1);
	assert_int_equal(got.last.height, 101);
	fake_run(10000); /* the same again and again is no news */
	assert_int_equal(got.n, 1);
	fake.node[0].height++;
	fake_run(1020);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.new_tips, 2);
	assert_int_equal(otd_chain_template(chain)->height, 102);
}

static void a_long_poll_brings_it_at_once(void **state)
{
	(void)state;
	fake.node[0].longpoll = true;
	start(1);
	fake_run(1500);
	fake.node[0].height++;
	fake_run(20);
	assert_int_equal(got.n, 2);
	fake.node[0].value += 7; /* fees, on the same tip */
	fake_run(20);
	assert_int_equal(got.n, 3);
	assert_int_equal(got.new_tips, 2);
	/* No flood: one long poll at a time, whatever happens. */
	size_t asked = fake.node[0].asked[OTD_CHAIN_TEMPLATE];
	fake_run(20000);
	assert_true(fake.node[0].asked[OTD_CHAIN_TEMPLATE] <= asked + 1);
}

static void fees_are_fresh(void **state)
{
	(void)state;
	start(1);
	fake_run(5000);
	fake.node[0].fees = 3;
	fake.node[0].value += 3;
	fake_run(20000);
	assert_int_equal(got.n, 1);
	fake_run(7000);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.new_tips, 1);
	fake_run(31000); /* and the node's time goes on, be all else as it was */
	assert_int_equal(got.n, 3);
}

static void bad_templates_are_not_used(void **state)
{
	(void)state;
	fake.node[0].value = 0;
	start(2);
	fake_run(100);
	assert_int_equal(got.n, 1);
	assert_true(in_use(1));
	fake.node[1].wrong_target = true;
	fake.node[1].height++;
	fake_run(1100);
	assert_int_equal(got.n, 1);
	assert_non_null(strstr(got.trouble, "pays nothing"));
	assert_non_null(strstr(got.trouble, "differ"));
	fake.node[1].wrong_target = false;
	fake_run(3000);
	assert_int_equal(got.n, 2);
	assert_string_equal(got.trouble, "");
}

static void templates_live_while_used(void **state)
{
	(void)state;
	start(1);
	fake_run(50);
	struct otd_template *first = got.last.handle;
	otd_chain_keep(chain, first);
	otd_chain_keep(chain, first);
	fake.node[0].height++;
	fake_run(1100);
	assert_int_equal(fake.templates_alive, 2);
	otd_chain_drop(chain, first);
	assert_int_equal(fake.templates_alive, 2);
	otd_chain_drop(chain, first);
	assert_int_equal(fake.templates_alive, 1);
	otd_chain_keep(chain, got.last.handle);
	otd_chain_drop(chain, got.last.handle); /* the newest stays */
	assert_int_equal(fake.templates_alive, 1);
}

/* --- failover --- */

static void the_next_node_takes_over(void **state)
{
	(void)state;
	start(2);
	fake_run(2500);
	assert_true(in_use(0));
	fake.node[0].dead = true;
	fake_run(1100);
	assert_true(in_use(1));
	assert_int_equal(got.troubles, 0);
	fake.node[1].height++;
	fake_run(1100);
	assert_int_equal(got.last.height, 102);
	fake.node[0].dead = false;
	fake.node[0].height = 101;
	fake_run(31000); /* the first is the better one */
	assert_true(in_use(0));
}

static void a_silent_node_is_left(void **state)
{
	(void)state;
	start(2);
	fake_run(2500);
	fake.node[0].silent = true;
	fake.node[1].height++;
	fake_run(11500);
	assert_true(in_use(1));
	assert_int_equal(got.last.height, 102);
}

static void a_node_without_peers_is_left(void **state)
{
	(void)state;
	fake.node[0].no_templates = true;
	start(2);
	fake_run(100);
	assert_true(in_use(1));
	assert_int_equal(got.n, 1);
	fake.node[0].no_templates = false;
	fake_run(3000);
	assert_true(in_use(0));
}

static void dead_at_start(void **state)
{
	(void)state;
	fake.node[0].dead = fake.node[1].dead = true;
	start(2);
	fake_run(300000);
	assert_int_equal(got.n, 0);
	assert_non_null(strstr(got.trouble, "connection refused"));
	/* Growing pauses: 1 2 4 8 16 30 30 ... */
	assert_in_range(fake.node[0].asked[OTD_CHAIN_PROBE], 12, 16);
	fake.node[1].dead = false;
	fake_run(30100);
	assert_int_equal(got.n, 1);
	assert_string_equal(got.trouble, "");
}

static void a_node_behind_is_not_believed(void **state)
{
	(void)state;
	fake.node[1].height = 98;
	start(2);
	fake_run(2500);
	assert_int_equal(got.last.height, 101);
	fake.node[0].dead = true;
	fake_run(20000);
	assert_int_equal(got.last.height, 101);
	assert_non_null(strstr(got.trouble, "it is behind"));
	fake.node[1].height = 100; /* it catches up: taken at its next turn */
	fake.node[1].fork = 7;
	fake_run(31000);
	assert_int_equal(got.last.height, 101);
	assert_int_equal(got.last.prev[20], 7);
	assert_string_equal(got.trouble, "");
}

static void after_a_while_it_is_believed(void **state)
{
	(void)state;
	fake.node[1].height = 98;
	start(2);
	fake_run(2500);
	fake.node[0].dead = true;
	fake_run(130000);
	assert_int_equal(got.last.height, 99);
	/* One that is in use may step back whenever it likes: that is a reorganisation. */
	fake.node[1].height = 97;
	fake_run(1100);
	assert_int_equal(got.last.height, 98);
}

static void a_stuck_node_is_passed_over(void **state)
{
	(void)state;
	start(2);
	fake_run(2500);
	fake.node[1].height = 103;
	fake_run(5000);
	assert_true(in_use(0));
	fake_run(8000);
	assert_true(in_use(1));
	assert_int_equal(got.last.height, 104);
}

static void wrong_network_and_syncing(void **state)
{
	(void)state;
	fake.node[0].network = "test";
	fake.node[1].syncing = true;
	start(2);
	fake_run(5000);
	assert_int_equal(got.n, 0);
	assert_non_null(strstr(got.trouble, "network 'test'"));
	assert_non_null(strstr(got.trouble, "syncing"));
}

static void cookies_are_read_again(void **state)
{
	(void)state;
	fake.node[2].password = "one";
	fake_set_cookie("__cookie__:one\n");
	start(3);
	fake_run(2500);
	struct otd_node_status s;
	otd_chain_node_status(chain, 2, &s);
	assert_true(s.up);
	fake.node[2].password = "two"; /* it was restarted */
	fake_set_cookie("__cookie__:two");
	fake_run(3000);
	otd_chain_node_status(chain, 2, &s);
	assert_true(s.up);
	fake.node[2].password = "three";
	fake_run(3000);
	otd_chain_node_status(chain, 2, &s);
	assert_false(s.up);
	assert_non_null(strstr(s.last_error, "refuses user and password"));
}

/* --- blocks --- */

static struct {
	uint32_t verdict[FAKE_NODES];
	size_t n, ends;
} said;

static void on_verdict(void *arg, const char *node, const struct otd_chain_submit *verdict)
{
	(void)arg;
	assert_false(fake.in_call);
	if (!node) {
		said.ends++;
		return;
	}
	said.verdict[node[0] - (node[0] == 'l' ? 'l' : 'a')] = verdict->verdict;
	said.n++;
}

static otd_rc submit(void)
{
	uint8_t hash[32] = {1}, block[200] = {2};
	memset(&said, 0, sizeof(said));
	fake.in_call = true;
	otd_rc rc = otd_chain_submit(chain, (struct otd_span){block, 200}, hash, on_verdict, NULL);
	fake.in_call = false;
	return rc;
}

static void every_node_gets_the_block(void **state)
{
	(void)state;
	fake.node[2].dead = true;
	start(3);
	fake_run(2500);
	size_t before = got.n;
	assert_int_equal(submit(), OTD_OK);
	fake_run(20);
	assert_int_equal(said.verdict[0], OTD_CHAIN_ACCEPTED);
	assert_int_equal(said.verdict[1], OTD_CHAIN_ACCEPTED);
	assert_int_equal(said.ends, 0);
	fake_run(20); /* the next template does not wait for the poll */
	assert_int_equal(got.n, before + 1);
	fake_run(60000);
	assert_int_equal(said.verdict[2], OTD_CHAIN_UNSURE);
	assert_int_equal(said.n, 3);
	assert_int_equal(said.ends, 1);
	assert_int_equal(fake.node[2].asked[OTD_CHAIN_SUBMIT], OTD_CHAIN_SUBMIT_TRIES);
}

static void an_answer_lost_is_asked_for_again(void **state)
{
	(void)state;
	fake.node[0].mute_submit = true;
	start(1);
	fake_run(2500);
	assert_int_equal(submit(), OTD_OK);
	fake_run(9000);
	assert_int_equal(said.n, 0);
	fake_run(2000);
	assert_int_equal(said.verdict[0], OTD_CHAIN_KNOWN);
	assert_int_equal(said.ends, 1);
	assert_int_equal(fake.node[0].n_blocks, 1);
}

static void a_block_waits_for_no_template(void **state)
{
	(void)state;
	fake.node[0].no_templates = true;
	start(1); /* before any answer: a block of before the crash */
	assert_int_equal(submit(), OTD_OK);
	fake_run(20);
	assert_int_equal(said.verdict[0], OTD_CHAIN_ACCEPTED);
}

static struct {
	otd_rc rc;
	struct otd_chain_block b;
	size_t n;
} place;

static void on_place(void *arg, const struct otd_err *err, const struct otd_chain_block *b)
{
	(void)arg;
	assert_false(fake.in_call);
	place.rc = err->rc;
	place.n++;
	if (b)
		place.b = *b;
}

static otd_rc where(uint64_t height, uint8_t fork)
{
	uint8_t hash[32];
	fake_hash(hash, height, fork);
	memset(&place, 0, sizeof(place));
	fake.in_call = true;
	otd_rc rc = otd_chain_place(chain, height, hash, on_place, NULL);
	fake.in_call = false;
	fake_run(11000);
	return rc;
}

static void a_place_is_agreed_upon(void **state)
{
	(void)state;
	start(2);
	assert_int_equal(where(95, 0), OTD_E_CLOSED); /* nobody is up yet */
	assert_int_equal(place.n, 0);
	fake.node[1].height = 99;
	assert_int_equal(where(95, 0), OTD_OK);
	assert_int_equal(place.b.place, OTD_CHAIN_MAIN);
	assert_int_equal(place.b.confirmations, 5); /* the more careful of the two */
	assert_int_equal(where(100, 3), OTD_OK);
	assert_int_equal(place.b.place, OTD_CHAIN_NOT_YET); /* b may still come to have it */
	assert_int_equal(where(99, 3), OTD_OK);
	assert_int_equal(place.b.place, OTD_CHAIN_OTHER);
	fake.node[1].fork = 3;
	assert_int_equal(where(99, 3), OTD_OK);
	assert_int_equal(place.rc, OTD_E_BUSY);
	fake.node[1].silent = true;
	assert_int_equal(where(99, 0), OTD_OK);
	assert_int_equal(place.b.place, OTD_CHAIN_MAIN);
	assert_int_equal(place.n, 1);
}

/* --- check --- */

static struct {
	otd_rc rc[FAKE_NODES];
	bool spoke[FAKE_NODES];
	char text[FAKE_NODES][512];
	size_t n;
} checks;

static void on_answer(void *arg, const struct otd_chain_answer *a)
{
	size_t i = (size_t)(uintptr_t)arg;
	struct otd_err err = {0};
	checks.rc[i] = a->rc;
	checks.spoke[i] = a->spoke;
	if (a->rc == OTD_OK)
		checks.rc[i] = otd_chain_judge_probe(chain, &a->result->u.probe, &err);
	snprintf(checks.text[i], 512, "%s", a->rc ? a->why : err.text);
	checks.n++;
}

static void on_template_answer(void *arg, const struct otd_chain_answer *a)
{
	(void)arg;
	checks.rc[0] = a->rc;
}

static void ask_all(size_t n)
{
	struct otd_chain_call q = {.kind = OTD_CHAIN_PROBE};
	for (size_t i = 0; i < n; i++)
		assert_int_equal(
			otd_chain_ask_node(chain, i, &q, 1000, on_answer, (void *)(uintptr_t)i),
			OTD_OK);
}

static void answers_are_judged(void **state)
{
	(void)state;
	struct otd_chain_call t = {.kind = OTD_CHAIN_TEMPLATE};
	memset(&checks, 0, sizeof(checks));
	fake.node[0].network = "test";
	fake.node[1].dead = true;
	fake.node[2].password = "x";
	make(3);
	ask_all(3);
	fake_run(100);
	assert_int_equal(checks.n, 3);
	assert_non_null(strstr(checks.text[0], "it is on network 'test'"));
	assert_true(checks.spoke[0] && checks.spoke[2]);
	assert_false(checks.spoke[1]);
	assert_null(strstr(checks.text[2], "secret"));
	assert_int_equal(checks.rc[2], OTD_E_REFUSED);
	fake.node[0].network = "main";
	ask_all(3);
	fake_run(100);
	assert_int_equal(checks.rc[0], OTD_OK);
	/* a template is given back: teardown sees one that is not */
	checks.rc[0] = OTD_E_INVALID;
	assert_int_equal(otd_chain_ask_node(chain, 0, &t, 1000, on_template_answer, NULL), OTD_OK);
	fake_run(100);
	assert_int_equal(checks.rc[0], OTD_OK);
	ask_all(3); /* destroyed on the way: nobody is told, nothing lost */
}

/* --- jobs, addresses, blocks through the plugin --- */

static void buffers_grow(void **state)
{
	(void)state;
	struct otd_err err = {0};
	struct otd_job_parts parts;
	struct otd_bytes block;
	struct otd_chain_coinbase cb = {.size = sizeof(cb)};
	uint8_t header[80] = {0}, coinbase[100] = {0}, script[64];
	size_t n;
	start(1);
	fake_run(50);
	otd_bytes_init(&parts.coinbase1, 1 << 20);
	otd_bytes_init(&parts.coinbase2, 1 << 20);
	otd_bytes_init(&parts.branches, 1 << 20);
	otd_bytes_init(&block, 1 << 20);
	assert_int_equal(otd_chain_job(chain, got.last.handle, &cb, &parts, &err), OTD_OK);
	assert_int_equal(parts.coinbase2.len, 5000);
	assert_int_equal(parts.branches.len, 640);
	struct otd_span h = {header, 80}, c = {coinbase, 100};
	assert_int_equal(otd_chain_assemble(chain, got.last.handle, h, c, &block, &err), OTD_OK);
	assert_int_equal(block.len, 180);
	h.len = 79;
	assert_int_equal(otd_chain_assemble(chain, got.last.handle, h, c, &block, &err),
			 OTD_E_INVALID);
	assert_non_null(strstr(err.text, "do not belong together"));
	assert_int_equal(otd_chain_address(chain, "x", 1, script, sizeof(script), &n, &err),
			 OTD_OK);
	assert_int_equal(n, 1);
	assert_int_equal(otd_chain_address(chain, "", 0, script, sizeof(script), &n, &err),
			 OTD_E_INVALID);
	assert_string_equal(err.text, "not an address");
	otd_bytes_finish(&parts.coinbase1);
	otd_bytes_finish(&parts.coinbase2);
	otd_bytes_finish(&parts.branches);
	otd_bytes_finish(&block);
}

/* --- a chain that is its own node --- */

static void a_local_chain_goes_the_same_way(void **state)
{
	(void)state;
	struct otd_bytes answer;
	struct otd_err err = {0};
	fake_reset(true);
	start(0);
	assert_int_equal(got.n, 0); /* nothing from within the call */
	fake_run(5);
	assert_int_equal(got.n, 1);
	assert_int_equal(submit(), OTD_OK);
	assert_int_equal(said.n, 0);
	fake_run(2);
	assert_int_equal(said.verdict[0], OTD_CHAIN_ACCEPTED);
	assert_int_equal(said.ends, 1);
	assert_int_equal(got.n, 2); /* and work on it at once */
	assert_int_equal(where(95, 0), OTD_OK);
	assert_int_equal(place.b.place, OTD_CHAIN_MAIN);
	otd_bytes_init(&answer, 1000);
	assert_int_equal(
		otd_chain_command(chain, (struct otd_span){(const uint8_t *)"x", 1}, &answer, &err),
		OTD_OK);
	assert_int_equal(answer.len, 4);
	otd_bytes_finish(&answer);
	fake_run(2);
	assert_int_equal(got.last.height, 103);
	size_t tips = fake.node[0].asked[OTD_CHAIN_TIP];
	fake_run(10000);
	assert_in_range(fake.node[0].asked[OTD_CHAIN_TIP] - tips, 9, 11);
}

/* At whatever moment a chain is destroyed, with everything on its way: no callback, nothing left. */
static void destroyed_at_any_moment(void **state)
{
	(void)state;
	for (int64_t ms = 0; ms < 40; ms++) {
		uint8_t hash[32] = {1};
		fake_reset(ms % 2);
		fake.node[0].longpoll = true;
		fake.node[1].silent = true;
		start(3);
		(void)submit();
		ask_all(3);
		fake_run(ms);
		(void)otd_chain_place(chain, 5, hash, on_place, NULL);
		fake_run(ms % 7);
		otd_chain_destroy(chain);
		chain = NULL;
		assert_int_equal(fake_left(), 0);
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* --- a reload --- */

static void take(const struct otd_node_conf *nodes, size_t n)
{
	struct otd_chain_nodes_change *d;
	struct otd_err err = {0};
	fake.in_call = true;
	assert_int_equal(otd_chain_prepare_nodes(chain, &d, nodes, n, &err), OTD_OK);
	otd_chain_discard_nodes(d); /* changed nothing */
	assert_int_equal(otd_chain_prepare_nodes(chain, &d, nodes, n, &err), OTD_OK);
	otd_chain_take_nodes(chain, d);
	fake.in_call = false;
}

/* Nodes come, change and go; work goes on, and what is on its way to one that left ends by itself. */
static void nodes_come_and_go(void **state)
{
	const struct otd_node_conf a = {"a",  "http://u:secret@node/0",           "u", "p", NULL,
					NULL, OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT};
	const struct otd_node_conf b = {
		"b", "http://node/1", "u", "p", NULL, NULL, OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT};
	(void)state;
	start(1);
	fake_run(3000);
	size_t probes = fake.node[0].asked[OTD_CHAIN_PROBE];
	/* One more behind it: nothing is asked of the first again. */
	take((const struct otd_node_conf[]){a, b}, 2);
	fake_run(3000);
	assert_int_equal(otd_chain_nodes(chain), 2);
	assert_true(in_use(0) && !in_use(1));
	assert_int_equal(fake.node[0].asked[OTD_CHAIN_PROBE], probes);
	assert_int_equal(got.troubles, 0);
	/* The other one is preferred now. */
	take((const struct otd_node_conf[]){b, a}, 2);
	fake_run(3000);
	assert_true(in_use(0) && !in_use(1));
	assert_int_equal(fake.node[1].asked[OTD_CHAIN_PROBE], 1);
	/* The first leaves with a block on its way that it does not answer. */
	size_t asked = fake.node[0].asked[OTD_CHAIN_TIP];
	fake.node[0].silent = true;
	assert_int_equal(submit(), OTD_OK);
	take(&b, 1);
	fake_run(120000);
	assert_int_equal(otd_chain_nodes(chain), 1);
	assert_int_equal(said.ends, 1);
	assert_true(fake.node[0].asked[OTD_CHAIN_TIP] <= asked + 1);
	assert_int_equal(got.troubles, 0);
	/* A role less: it gives no work any more, and there is no other. Then it does again. */
	struct otd_node_conf weak = b;
	weak.roles = OTD_NODE_SUBMIT;
	take(&weak, 1);
	assert_false(in_use(0));
	assert_int_equal(got.troubles, 1);
	take(&b, 1);
	fake_run(3000);
	assert_true(in_use(0));
	assert_string_equal(got.trouble, "");
	/* A new password: it is asked anew. */
	weak = b;
	weak.password = "q";
	take(&weak, 1);
	fake_run(3000);
	assert_true(in_use(0));
	assert_int_equal(fake.node[1].asked[OTD_CHAIN_PROBE], 2);
	/* Asked more often from now on. */
	asked = fake.node[1].asked[OTD_CHAIN_TIP];
	otd_chain_set_times(chain, 100, 30000, 10000);
	fake_run(2000);
	assert_true(fake.node[1].asked[OTD_CHAIN_TIP] >= asked + 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(news_comes_within_a_second),
		T(a_long_poll_brings_it_at_once),
		T(fees_are_fresh),
		T(bad_templates_are_not_used),
		T(templates_live_while_used),
		T(the_next_node_takes_over),
		T(a_silent_node_is_left),
		T(a_node_without_peers_is_left),
		T(dead_at_start),
		T(a_node_behind_is_not_believed),
		T(after_a_while_it_is_believed),
		T(a_stuck_node_is_passed_over),
		T(wrong_network_and_syncing),
		T(cookies_are_read_again),
		T(every_node_gets_the_block),
		T(an_answer_lost_is_asked_for_again),
		T(a_block_waits_for_no_template),
		T(a_place_is_agreed_upon),
		T(answers_are_judged),
		T(buffers_grow),
		T(a_local_chain_goes_the_same_way),
		T(destroyed_at_any_moment),
		T(nodes_come_and_go),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
