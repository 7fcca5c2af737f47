/* A wallet's node: what is asked of it, what becomes of the answer, and what is said where none comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake.h"

static struct otd_chain *chain;
static struct {
	size_t n;
	otd_rc rc;
	char words[600];
	struct otd_chain_result res;
	uint8_t out[200000];
	size_t out_len;
	bool forget, again;
	size_t other;
} got;

static void ask(uint32_t kind, void *arg);

static void on_answer(void *arg, const struct otd_err *err, const struct otd_chain_result *res,
		      struct otd_span out)
{
	assert_false(fake.in_call);
	got.n++;
	got.rc = err->rc;
	snprintf(got.words, sizeof(got.words), "%s", err->rc ? err->text : "");
	assert_true((err->rc == OTD_OK) == (res != NULL));
	if (res)
		got.res = *res;
	got.out_len = out.len;
	if (out.len)
		memcpy(got.out, out.ptr, out.len);
	if (got.again) {
		got.again = false;
		ask(OTD_CHAIN_WALLET, arg);
	}
	if (got.forget)
		otd_chain_wallet_forget(chain, arg);
}

static void on_other(void *arg, const struct otd_err *err, const struct otd_chain_result *res,
		     struct otd_span out)
{
	(void)arg, (void)err, (void)res, (void)out;
	got.other++;
}

static void make(const struct otd_node_conf *nodes, size_t n)
{
	struct otd_chain_conf conf = {
		.coin = "coin", .network = "main", .nodes = nodes, .n_nodes = n};
	struct otd_err err = {0};
	memset(&got, 0, sizeof(got));
	assert_int_equal(otd_chain_create(&chain, &fake_loop, &conf, &err), OTD_OK);
}

#define BOTH (OTD_NODE_TEMPLATE | OTD_NODE_SUBMIT)
static const struct otd_node_conf with_wallet[] = {
	{"a", "http://node/1", "u", "p", NULL, NULL, BOTH},
	{"b", "http://node/0", "u", "p", NULL, NULL, BOTH | OTD_NODE_WALLET},
	{"c", "http://node/2", "u", "p", NULL, NULL, BOTH | OTD_NODE_WALLET}};

static int setup(void **state)
{
	(void)state;
	fake_reset(false);
	make(with_wallet, 3);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	otd_chain_destroy(chain);
	chain = NULL;
	return fake_left() ? -1 : 0;
}

static void ask(uint32_t kind, void *arg)
{
	struct otd_chain_call q = {.kind = kind};
	struct otd_err err = {0};
	bool within = fake.in_call;
	fake.in_call = true;
	assert_int_equal(otd_chain_wallet(chain, &q, on_answer, arg, &err), OTD_OK);
	fake.in_call = within;
}

/* --- who is asked, and what --- */

static void the_first_with_the_role_is_asked(void **state)
{
	(void)state;
	ask(OTD_CHAIN_WALLET, NULL);
	assert_int_equal(got.n, 0);
	fake_run(20);
	assert_int_equal(got.n, 1);
	assert_int_equal(got.rc, OTD_OK);
	assert_true(got.res.u.wallet.balance == 77);
	assert_string_equal(fake.node[0].url, "http://node/0");
	assert_true(fake.node[0].once); /* never sent twice behind our back */
	assert_int_equal(fake.node[1].asked[OTD_CHAIN_WALLET], 0);
	assert_int_equal(fake.node[2].asked[OTD_CHAIN_WALLET], 0);
}

static void a_wallet_has_its_own_address(void **state)
{
	(void)state;
	static const struct otd_node_conf named[] = {{"a", "http://node/0", NULL, NULL, NULL,
						      "my pool/\xc3\xa4~0",
						      BOTH | OTD_NODE_WALLET}};
	otd_chain_destroy(chain);
	make(named, 1);
	ask(OTD_CHAIN_SEND, NULL);
	fake_run(20);
	assert_string_equal(fake.node[0].url, "http://node/0/wallet/my%20pool%2F%C3%A4~0");
	assert_int_equal(got.res.u.send.verdict, OTD_CHAIN_SENT);
	/* Blocks and templates are the node's own. */
	otd_chain_start(chain);
	fake_run(20);
	assert_string_equal(fake.node[0].url, "http://node/0");
	assert_false(fake.node[0].once);
	char *url = otd_chain_wallet_url("http://node:1//", "w");
	assert_string_equal(url, "http://node:1/wallet/w");
	free(url);
}

static void the_call_is_copied(void **state)
{
	(void)state;
	struct {
		struct otd_chain_coin coin;
		char more[16]; /* a newer host's */
	} *coins = calloc(2, sizeof(*coins));
	char *raw = strdup("rawbytes"), *address = strdup("here");
	for (size_t i = 0; i < 2; i++)
		coins[i].coin = (struct otd_chain_coin){.txid = {(uint8_t)(i + 1)},
							.index = (uint32_t)i,
							.value = 500 + (otd_i128)i};
	struct otd_chain_call q = {.kind = OTD_CHAIN_SIGN,
				   .raw = {(uint8_t *)raw, 8},
				   .address = address,
				   .txid = {9},
				   .coins = &coins->coin,
				   .coin_stride = sizeof(*coins),
				   .n_coins = 2};
	struct otd_err err = {0};
	assert_int_equal(otd_chain_wallet(chain, &q, on_answer, NULL, &err), OTD_OK);
	memset(coins, 0xee, 2 * sizeof(*coins));
	memset(raw, 'x', 8);
	memset(address, 'x', 4);
	free(coins);
	free(raw);
	free(address);
	fake_run(20);
	assert_int_equal(got.rc, OTD_OK);
	assert_string_equal(fake.last_raw, "rawbytes");
	assert_string_equal(fake.last_address, "here");
	assert_int_equal(fake.last.txid[0], 9);
	assert_int_equal(fake.last.n_coins, 2);
	assert_int_equal(fake.last_coin[1].index, 1);
	assert_int_equal(fake.last_coin[1].txid[0], 2);
	assert_true(fake.last_coin[1].value == 501);
	assert_int_equal(got.out_len, 5000);
	assert_int_equal(got.out[4999], (uint8_t)4999);
	assert_int_equal(fake.node[0].last_timeout_ms, OTD_CHAIN_WALLET_MS);
}

static void long_answers_are_read_again_not_asked_again(void **state)
{
	(void)state;
	fake.node[0].n_coins = 1000;
	ask(OTD_CHAIN_COINS, NULL);
	fake_run(20);
	assert_int_equal(got.rc, OTD_OK);
	assert_int_equal(got.out_len, 1000 * sizeof(struct otd_chain_coin));
	assert_int_equal(fake.node[0].asked[OTD_CHAIN_COINS], 1);
	assert_int_equal(fake.answers, 2);
	fake.node[0].n_coins = 0;
	ask(OTD_CHAIN_COINS, NULL);
	fake_run(20);
	assert_int_equal(got.rc, OTD_OK);
	assert_int_equal(got.out_len, 0);
}

/* --- what went wrong --- */

static void failures_say_whether_it_may_have_happened(void **state)
{
	(void)state;
	static const struct {
		otd_rc http, want;
	} said[] = {
		{OTD_E_REFUSED, OTD_E_CLOSED},   /* nobody listens */
		{OTD_E_NOT_FOUND, OTD_E_CLOSED}, /* no such host */
		{OTD_E_INVALID, OTD_E_CLOSED},   {OTD_E_TIMEOUT, OTD_E_TIMEOUT},
		{OTD_E_CLOSED, OTD_E_TIMEOUT}, /* it went away without a word: after how much? */
		{OTD_E_RANGE, OTD_E_TIMEOUT},    {OTD_E_NOMEM, OTD_E_TIMEOUT},
		{OTD_E_IO, OTD_E_TIMEOUT}};
	static const struct {
		otd_rc plugin, want;
	} read[] = {{OTD_E_REFUSED, OTD_E_REFUSED},
		    {OTD_E_BUSY, OTD_E_BUSY},
		    {OTD_E_INVALID, OTD_E_TIMEOUT},
		    {OTD_E_UNSUPPORTED, OTD_E_TIMEOUT},
		    {OTD_E_CLOSED, OTD_E_TIMEOUT}};
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		fake.node[0].http_rc = said[i].http;
		ask(OTD_CHAIN_SEND, NULL);
		fake_run(20);
		assert_int_equal(got.n, i + 1);
		assert_int_equal(got.rc, said[i].want);
		assert_non_null(strstr(got.words, "nodes.b: "));
	}
	fake.node[0].http_rc = OTD_OK;
	got.n = 0;
	for (size_t i = 0; i < sizeof(read) / sizeof(read[0]); i++) {
		fake.node[0].says = read[i].plugin;
		ask(OTD_CHAIN_SIGN, NULL);
		fake_run(20);
		assert_int_equal(got.n, i + 1);
		assert_int_equal(got.rc, read[i].want);
		assert_non_null(strstr(got.words, "as the node says"));
	}
	/* What the plugin cannot write was not sent. */
	struct otd_chain_call q = {.kind = OTD_CHAIN_SEND, .raw = {(const uint8_t *)"wrong", 5}};
	struct otd_err err = {0};
	size_t before = fake.node[0].asked[OTD_CHAIN_SEND];
	assert_int_equal(otd_chain_wallet(chain, &q, on_answer, NULL, &err), OTD_OK);
	fake_run(20);
	assert_int_equal(got.rc, OTD_E_CLOSED);
	assert_non_null(strstr(got.words, "not to be written"));
	assert_int_equal(fake.node[0].asked[OTD_CHAIN_SEND], before);
}

static void silence_is_a_timeout(void **state)
{
	(void)state;
	fake.node[0].silent = true;
	ask(OTD_CHAIN_SEND, NULL);
	fake_run(9990);
	assert_int_equal(got.n, 0);
	fake_run(20);
	assert_int_equal(got.rc, OTD_E_TIMEOUT);
}

static void a_node_that_is_down_is_not_asked(void **state)
{
	(void)state;
	fake.node[0].dead = true;
	otd_chain_start(chain);
	ask(OTD_CHAIN_SEND, NULL); /* before its first answer */
	fake_run(50);
	assert_int_equal(got.rc, OTD_E_CLOSED);
	assert_non_null(strstr(got.words, "nodes.b: it is down: it has not answered yet"));
	ask(OTD_CHAIN_SEND, NULL);
	assert_int_equal(got.n, 1);
	fake_run(1);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.rc, OTD_E_CLOSED);
	assert_non_null(strstr(got.words, "it is down: connection refused"));
	assert_int_equal(fake.node[0].asked[OTD_CHAIN_SEND], 0);
	fake.node[0].dead = false;
	fake_run(5000);
	ask(OTD_CHAIN_SEND, NULL);
	fake_run(20);
	assert_int_equal(got.rc, OTD_OK);
}

static void a_cookie_is_read_again(void **state)
{
	(void)state;
	static const struct otd_node_conf cookie[] = {
		{"a", "http://node/0", NULL, NULL, "/cookie", NULL, BOTH | OTD_NODE_WALLET}};
	otd_chain_destroy(chain);
	fake_set_cookie("__cookie__:old");
	make(cookie, 1);
	fake.node[0].password = "new";
	fake_set_cookie("__cookie__:new");
	ask(OTD_CHAIN_SEND, NULL);
	fake_run(20);
	assert_int_equal(got.rc, OTD_OK);
	assert_int_equal(fake.node[0].asked[OTD_CHAIN_SEND], 2);
	fake.node[0].password = "another";
	ask(OTD_CHAIN_SEND, NULL);
	fake_run(20);
	assert_int_equal(got.rc, OTD_E_REFUSED);
	assert_non_null(strstr(got.words, "user and password"));
}

static void who_cannot_pay_is_told(void **state)
{
	(void)state;
	const char *why;
	struct otd_chain_call q = {.kind = OTD_CHAIN_WALLET};
	struct otd_err err = {0};
	assert_true(otd_chain_can_pay(chain, &why));
	assert_string_equal(why, "");
	q.kind = OTD_CHAIN_TEMPLATE;
	assert_int_equal(otd_chain_wallet(chain, &q, on_answer, NULL, &err), OTD_E_INVALID);
	q.kind = OTD_CHAIN_TX + 1;
	assert_int_equal(otd_chain_wallet(chain, &q, on_answer, NULL, &err), OTD_E_INVALID);
	q.kind = OTD_CHAIN_WALLET;
	fake_pays(false);
	assert_false(otd_chain_can_pay(chain, &why));
	assert_non_null(strstr(why, "plugin"));
	assert_int_equal(otd_chain_wallet(chain, &q, on_answer, NULL, &err), OTD_E_UNSUPPORTED);
	fake_pays(true);
	otd_chain_destroy(chain);
	make(with_wallet, 1);
	assert_false(otd_chain_can_pay(chain, &why));
	assert_non_null(strstr(why, "role wallet"));
	assert_int_equal(otd_chain_wallet(chain, &q, on_answer, NULL, &err), OTD_E_UNSUPPORTED);
	assert_non_null(strstr(err.text, "coin coin"));
	fake_run(20);
	assert_int_equal(got.n, 0);
}

/* --- forgetting --- */

static void forgotten_questions_have_no_answer(void **state)
{
	(void)state;
	int mine, other;
	struct otd_chain_call q = {.kind = OTD_CHAIN_SIGN};
	struct otd_err err = {0};
	ask(OTD_CHAIN_SIGN, &mine);
	ask(OTD_CHAIN_COINS, &mine);
	assert_int_equal(otd_chain_wallet(chain, &q, on_other, &other, &err), OTD_OK);
	otd_chain_wallet_forget(chain, &mine);
	fake_run(20);
	assert_int_equal(got.n, 0);
	assert_int_equal(got.other, 1);
	/* From within an answer: the rest is forgotten, this one ends well. */
	got.forget = got.again = true;
	ask(OTD_CHAIN_WALLET, &mine);
	fake_run(20);
	assert_int_equal(got.n, 1);
	/* And what is on its way when the chain ends. */
	ask(OTD_CHAIN_WALLET, &mine);
}

/* --- a chain that is its own node --- */

static void the_chain_itself_answers_later(void **state)
{
	(void)state;
	otd_chain_destroy(chain);
	fake_reset(true);
	make(NULL, 0);
	assert_true(otd_chain_can_pay(chain, NULL));
	fake.node[0].n_coins = 200;
	ask(OTD_CHAIN_COINS, NULL);
	ask(OTD_CHAIN_SEND, NULL);
	assert_int_equal(got.n, 0);
	fake_run(5);
	assert_int_equal(got.n, 2);
	assert_int_equal(got.rc, OTD_OK);
	assert_int_equal(fake.answers, 2);
	assert_int_equal(got.res.u.send.verdict, OTD_CHAIN_SENT);
	assert_string_equal(fake.node[0].url, "");
}

/* --- what needs no node --- */

static void payments_are_made_and_checked(void **state)
{
	(void)state;
	struct otd_chain_payee payee = {.value = 5};
	struct otd_chain_coin coin = {.value = 6};
	struct otd_chain_pay p = {.coins = &coin,
				  .coin_stride = sizeof(coin),
				  .n_coins = 1,
				  .payees = &payee,
				  .payee_stride = sizeof(payee),
				  .n_payees = 1};
	struct otd_chain_pay_info info;
	struct otd_err err = {0};
	struct otd_bytes raw;
	otd_i128 least = 0;
	otd_bytes_init(&raw, 1 << 20);
	assert_int_equal(otd_bytes_text(&raw, "old"), OTD_OK);
	assert_int_equal(otd_chain_pay_build(chain, &p, &raw, &info, &err), OTD_OK);
	assert_int_equal(raw.len, 9000);
	assert_int_equal(info.vsize, 1);
	assert_int_equal(otd_chain_pay_check(chain, &p, otd_bytes_span(&raw), &info, &err), OTD_OK);
	assert_int_equal(info.txid[0], 'x');
	p.n_payees = 0;
	assert_int_equal(otd_chain_pay_build(chain, &p, &raw, &info, &err), OTD_E_INVALID);
	assert_int_equal(raw.len, 0);
	assert_non_null(strstr(err.text, "the sums differ"));
	assert_int_equal(otd_chain_pay_check(chain, &p, otd_bytes_span(&raw), &info, &err),
			 OTD_E_INVALID);
	assert_non_null(strstr(err.text, "it is empty"));
	assert_int_equal(
		otd_chain_dust(chain, (struct otd_span){(const uint8_t *)"abc", 3}, &least, &err),
		OTD_OK);
	assert_true(least == 30);
	assert_int_equal(otd_chain_dust(chain, (struct otd_span){0}, &least, &err), OTD_E_INVALID);
	fake_pays(false);
	assert_int_equal(otd_chain_pay_build(chain, &p, &raw, &info, &err), OTD_E_UNSUPPORTED);
	assert_int_equal(otd_chain_pay_check(chain, &p, otd_bytes_span(&raw), &info, &err),
			 OTD_E_UNSUPPORTED);
	assert_int_equal(otd_chain_dust(chain, otd_bytes_span(&raw), &least, &err),
			 OTD_E_UNSUPPORTED);
	otd_bytes_finish(&raw);
}

static void one_text_an_address(void **state)
{
	(void)state;
	char out[9];
	struct otd_err err = {0};
	assert_int_equal(otd_chain_canonical(chain, "ABCDEFGH", 8, out, 8, &err), OTD_OK);
	assert_string_equal(out, "abcdefgh");
	assert_int_equal(otd_chain_canonical(chain, "ABCDEFGHI", 9, out, 8, &err), OTD_E_RANGE);
	assert_string_equal(out, "");
	fake_pays(false);
	/* The plugin that has none takes any text for the same script: small letters will do. */
	assert_int_equal(otd_chain_canonical(chain, "ABC", 3, out, 8, &err), OTD_OK);
	assert_string_equal(out, "abc");
	assert_int_equal(otd_chain_canonical(chain, "", 0, out, 8, &err), OTD_E_INVALID);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_with_the_role_is_asked),
		T(a_wallet_has_its_own_address),
		T(the_call_is_copied),
		T(long_answers_are_read_again_not_asked_again),
		T(failures_say_whether_it_may_have_happened),
		T(silence_is_a_timeout),
		T(a_node_that_is_down_is_not_asked),
		T(a_cookie_is_read_again),
		T(who_cannot_pay_is_told),
		T(forgotten_questions_have_no_answer),
		T(the_chain_itself_answers_later),
		T(payments_are_made_and_checked),
		T(one_text_an_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
