/*
 * The simulated machines themselves: what the node answers, that requests meet every fault and are done
 * or not done as each says, and that a process can be killed before and behind a request.
 */
#include "base/bytes.h"
#include "base/text.h"
#include "sim_node.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define URL "http://node:1"

struct rig {
	struct sim *s;
	struct sim_node *n;
	struct otd_loop *l;
	struct otd_http *h;
	bool told, once;
	otd_rc rc;
	int status;
	char text[65536];
};

static void on_answer(void *arg, const struct otd_http_answer *a)
{
	struct rig *r = arg;
	size_t n = a->body.len < sizeof(r->text) - 1 ? a->body.len : sizeof(r->text) - 1;
	r->h = NULL;
	r->told = true;
	r->rc = a->rc;
	r->status = a->status;
	if (n)
		memcpy(r->text, a->body.ptr, n);
	r->text[n] = 0;
}

static bool is_told(void *arg)
{
	return ((struct rig *)arg)->told;
}

static void start(struct rig *r)
{
	assert_int_equal(sim_env(r->s)->ops->loop_create(sim_env(r->s), &r->l, "one", NULL),
			 OTD_OK);
}

static void rig_init(struct rig *r, uint64_t seed)
{
	static const struct sim_node_conf conf = {.url = URL,
						  .user = "u",
						  .password = "p",
						  .wallet = "w",
						  .hrp = "bcrt",
						  .maturity = 10,
						  .blocks = 40,
						  .our_ppm = 500000,
						  .reward = 100000000};
	*r = (struct rig){.s = sim_create(seed)};
	r->n = sim_node_create(r->s, &conf);
	start(r);
}

static void rig_finish(struct rig *r)
{
	sim_node_check(r->n);
	r->l->env->ops->loop_destroy(r->l);
	sim_node_destroy(r->n);
	sim_destroy(r->s);
}

static void ask(struct rig *r, const char *method, const char *params)
{
	static char body[65536];
	(void)snprintf(body, sizeof(body), "{\"id\":0,\"method\":\"%s\",\"params\":%s}", method,
		       params);
	const struct otd_http_request q = {.url = URL "/wallet/w",
					   .user = "u",
					   .password = "p",
					   .body = {(const uint8_t *)body, strlen(body)},
					   .timeout_ms = 1000,
					   .once = r->once};
	r->told = false;
	assert_int_equal(r->l->env->ops->http(r->l, &r->h, &q, on_answer, r), OTD_OK);
	(void)sim_run(r->s, 10000, is_told, r);
}

/* The result, or an integer with the error's code. */
static json_t *call(struct rig *r, const char *method, const char *params)
{
	ask(r, method, params);
	assert_int_equal(r->rc, OTD_OK);
	json_t *root = json_loads(r->text, 0, NULL);
	assert_non_null(root);
	json_t *error = json_object_get(root, "error");
	json_t *out = json_is_null(error) ? json_object_get(root, "result")
					  : json_object_get(error, "code");
	json_incref(out);
	json_decref(root);
	return out;
}

static long long call_code(struct rig *r, const char *method, const char *params)
{
	json_t *v = call(r, method, params);
	long long code = json_is_integer(v) ? json_integer_value(v) : 0;
	json_decref(v);
	return code;
}

/* A transaction of one coin to label, as hex, unsigned. value in base units. */
static void unsigned_tx(char *hex, const char *txid, unsigned vout, int64_t value,
			const char *label)
{
	uint8_t id[32], script[SIM_NODE_SCRIPT];
	struct otd_bytes b;
	otd_bytes_init(&b, 1000);
	assert_int_equal(otd_hex_decode_reverse(id, 32, txid, 64), OTD_OK);
	sim_node_script(script, label);
	(void)otd_bytes_add(&b, "\2\0\0\0\1", 5);
	(void)otd_bytes_add(&b, id, 32);
	const uint8_t tail[] = {(uint8_t)vout, 0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff, 1};
	(void)otd_bytes_add(&b, tail, sizeof(tail));
	for (int i = 0; i < 8; i++)
		(void)otd_bytes_add(&b, &(uint8_t){(uint8_t)(value >> (8 * i))}, 1);
	(void)otd_bytes_add(&b, &(uint8_t){SIM_NODE_SCRIPT}, 1);
	(void)otd_bytes_add(&b, script, sizeof(script));
	(void)otd_bytes_add(&b, "\0\0\0\0", 4);
	otd_hex_encode(hex, b.ptr, b.len);
	otd_bytes_finish(&b);
}

/* ["HEX"] of a payment to label out of the first coin that is listed. */
static void signed_tx(struct rig *r, char *params, int64_t fee, const char *label, char *coin)
{
	char hex[1000];
	json_t *list = call(r, "listunspent", "[1]");
	const json_t *first = json_array_get(list, 0);
	assert_non_null(first);
	const char *txid = json_string_value(json_object_get(first, "txid"));
	int64_t value = (int64_t)(json_number_value(json_object_get(first, "amount")) * 1e8 + 0.5);
	unsigned vout = (unsigned)json_integer_value(json_object_get(first, "vout"));
	if (coin)
		(void)snprintf(coin, 200, "[{\"txid\":\"%s\",\"vout\":%u}]", txid, vout);
	unsigned_tx(hex, txid, vout, value - fee, label);
	json_decref(list);
	(void)snprintf(params, 2000, "[\"%s\"]", hex);
	json_t *s = call(r, "signrawtransactionwithwallet", params);
	assert_true(json_is_true(json_object_get(s, "complete")));
	(void)snprintf(params, 2000, "[\"%s\"]", json_string_value(json_object_get(s, "hex")));
	json_decref(s);
}

static int64_t received(struct rig *r, const char *label)
{
	uint8_t script[SIM_NODE_SCRIPT];
	unsigned outputs;
	sim_node_script(script, label);
	return sim_node_received(r->n, script, sizeof(script), &outputs);
}

static void pays(void **state)
{
	struct rig r;
	char one[2000], two[2000], coin[200], locked[240];
	(void)state;
	rig_init(&r, 1);
	signed_tx(&r, one, 1000, "alice", coin);
	signed_tx(&r, two, 1200, "bob", NULL); /* of the same coin */
	assert_int_equal(call_code(&r, "sendrawtransaction", "[\"00\"]"), -22);
	(void)snprintf(locked, sizeof(locked), "[false,%s]", coin);
	assert_int_equal(call_code(&r, "lockunspent", locked), 0);
	assert_int_equal(call_code(&r, "lockunspent", locked), -8); /* already locked */
	assert_int_equal(sim_node_locked_coins(r.n), 1);
	assert_int_equal(call_code(&r, "sendrawtransaction", one), 0);
	assert_int_equal(sim_node_locked_coins(r.n), 0);
	assert_int_equal(call_code(&r, "sendrawtransaction", one), 0); /* has it already */
	assert_int_equal(sim_node_waiting(r.n), 1);
	assert_int_equal(call_code(&r, "sendrawtransaction", two), 0); /* 200 more for 110 bytes */
	assert_int_equal(sim_node_waiting(r.n), 1);
	assert_int_equal(call_code(&r, "sendrawtransaction", one), -26); /* the other way: no */
	sim_node_mine(r.n, 3);
	assert_int_equal(received(&r, "alice"), 0);
	assert_true(received(&r, "bob") > 0);
	assert_int_equal(call_code(&r, "sendrawtransaction", two), -27);
	assert_int_equal(call_code(&r, "sendrawtransaction", one), -25);
	sim_node_reorg(r.n, 3, true);
	assert_int_equal(received(&r, "bob"), 0);
	assert_int_equal(call_code(&r, "sendrawtransaction", two), 0);
	sim_node_mine(r.n, 3);
	assert_true(received(&r, "bob") > 0);
	rig_finish(&r);
}

static void trouble(void **state)
{
	struct rig r;
	char one[2000], two[2000];
	(void)state;
	rig_init(&r, 2);
	signed_tx(&r, one, 1000, "alice", NULL);
	sim_node_fees(r.n, 20000, 0);
	assert_int_equal(call_code(&r, "sendrawtransaction", one), -26);
	sim_node_fees(r.n, 1000, 0);
	assert_int_equal(call_code(&r, "sendrawtransaction", one), 0);
	assert_true(sim_node_conflict(r.n, false));
	assert_int_equal(call_code(&r, "sendrawtransaction", one), -26);
	sim_node_mine(r.n, 5);
	assert_int_equal(received(&r, "alice"), 0);
	assert_true(received(&r, "operator") > 0);
	assert_int_equal(call_code(&r, "sendrawtransaction", one), -25);
	signed_tx(&r, two, 1000, "bob", NULL);
	sim_node_lock_wallet(r.n, true);
	assert_int_equal(call_code(&r, "signrawtransactionwithwallet", two), -13);
	assert_int_equal(call_code(&r, "sendrawtransaction", two), 0);
	sim_node_restart(r.n, 500, true, true);
	assert_int_equal(sim_node_waiting(r.n), 0);
	ask(&r, "getblockcount", "[]");
	assert_int_equal(r.rc, OTD_E_REFUSED);
	sim_sleep(r.s, 600);
	assert_int_equal(call_code(&r, "getblockcount", "[]"), -28);
	sim_sleep(r.s, 600);
	assert_true(call_code(&r, "getblockcount", "[]") > 40);
	assert_int_equal(call_code(&r, "sendrawtransaction", two), 0);
	/* Here the wallet remembers, and hands it in again. */
	sim_node_restart(r.n, 1, true, false);
	assert_int_equal(sim_node_waiting(r.n), 1);
	sim_sleep(r.s, 10);
	sim_node_break_in(r.n, 1, 10);
	ask(&r, "getblockcount", "[]");
	assert_int_equal(r.rc, OTD_E_CLOSED);
	rig_finish(&r);
}

static bool is_done(enum sim_http_fault f)
{
	return f == SIM_HTTP_FINE || f == SIM_HTTP_DONE_LOST || f == SIM_HTTP_DONE_CUT ||
	       f == SIM_HTTP_DONE_GARBAGE || f == SIM_HTTP_SLOW || f == SIM_HTTP_TWICE_REFUSED;
}

/* Which fault the last request had, by what was counted since. */
static enum sim_http_fault fault_since(struct rig *r, uint64_t *before)
{
	enum sim_http_fault out = SIM_HTTP_FINE;
	for (int f = 0; f < SIM_HTTP_FAULTS; f++) {
		uint64_t now = sim_http_fired(r->s, (enum sim_http_fault)f);
		if (now != before[f])
			out = (enum sim_http_fault)f;
		before[f] = now;
	}
	return out;
}

static void faults(void **state)
{
	struct rig r;
	uint64_t before[SIM_HTTP_FAULTS] = {0};
	(void)state;
	rig_init(&r, 3);
	sim_http_faults(r.s, 900000);
	for (int i = 0; i < 600; i++) {
		uint64_t calls = sim_node_calls(r.n), late = sim_http_orphans(r.s);
		r.once = i % 2;
		ask(&r, "getblockcount", "[]");
		assert_true(r.told);
		enum sim_http_fault f = fault_since(&r, before);
		uint64_t done = sim_node_calls(r.n) - calls - (sim_http_orphans(r.s) - late);
		assert_int_equal(done, f == SIM_HTTP_TWICE ? 2 : is_done(f));
		assert_true(f < SIM_HTTP_TWICE || !r.once);
		if (f == SIM_HTTP_DONE_LATE) {
			assert_int_equal(r.rc, OTD_E_TIMEOUT);
			sim_sleep(r.s, 50000);
			assert_int_equal(sim_node_calls(r.n), calls + 1);
		}
		if (f == SIM_HTTP_TWICE_REFUSED)
			assert_int_equal(r.rc, OTD_E_REFUSED);
	}
	for (int f = 0; f < SIM_HTTP_FAULTS; f++)
		assert_true(sim_http_fired(r.s, (enum sim_http_fault)f) > 0);
	rig_finish(&r);
}

static void kill_at(enum sim_point kind, unsigned calls)
{
	struct rig r;
	rig_init(&r, 4);
	sim_crash_at(r.s, kind, 2);
	ask(&r, "getblockcount", "[]");
	assert_true(r.told);
	ask(&r, "getblockcount", "[]");
	assert_false(r.told);
	assert_true(sim_dead(r.s));
	assert_int_equal(sim_node_calls(r.n), calls);
	r.l->env->ops->http_cancel(r.h);
	r.l->env->ops->loop_destroy(r.l);
	sim_reboot(r.s);
	sim_sleep(r.s, 20000);
	assert_int_equal(sim_node_calls(r.n), calls);
	start(&r);
	rig_finish(&r);
}

static void killed(void **state)
{
	(void)state;
	kill_at(SIM_POINT_ASK, 1);
	kill_at(SIM_POINT_TOLD, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(pays), cmocka_unit_test(trouble),
					   cmocka_unit_test(faults), cmocka_unit_test(killed)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
