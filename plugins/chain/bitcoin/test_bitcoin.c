/*
 * chain/bitcoin against what a real node answered (testdata/record.py: Bitcoin Knots 29.4, regtest),
 * and against answers that no node should give.
 */
#include "common/merkle.h"
#include "common/test_host.h"

#include "bitcoin.h"

#define DATA OTEDAMA_SOURCE_DIR "/plugins/chain/bitcoin/testdata/"

static struct otd_host host;
static const struct otd_chain_ops *ops;
static struct otd_instance *in;

static const char *const rules[] = {"segwit"};
static const char *const main_form[] = {"p2pkh 0", "p2sh 5", "bech32 bc"};
static const char *const test_form[] = {"p2pkh 111", "p2sh 196", "bech32 tb"};
static const char *const regtest_form[] = {"p2pkh 111", "p2sh 196", "bech32 bcrt"};
static struct bitcoin_options options = {
	.network = "regtest",
	.rules = {rules, 1},
	.forms = {{main_form, 3}, {test_form, 3}, {NULL, 0}, {NULL, 0}, {regtest_form, 3}}};

static struct otd_instance *make(const char *network)
{
	struct otd_instance *made = NULL;
	options.network = network;
	ops = otd_plugin_v1()->ops.chain;
	otd_rc rc = otd_plugin_v1()->base->create(&made, &host, &host_core, &options);
	return rc ? NULL : made;
}

static int setup(void **state)
{
	(void)state;
	in = make("regtest");
	return in ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	otd_plugin_v1()->base->destroy(in);
	in = NULL;
	return host.allocs ? -1 : 0; /* whatever a test took, it gave back */
}

static char *load(const char *name)
{
	char path[400];
	snprintf(path, sizeof(path), "%s%s", strchr(name, '/') ? "" : DATA, name);
	FILE *f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing", path);
	char *text = calloc(1, 4 << 20);
	size_t n = fread(text, 1, (4 << 20) - 1, f);
	fclose(f);
	while (n && text[n - 1] == '\n')
		text[--n] = 0;
	return text;
}

static otd_rc answer(struct otd_chain_result *r, uint32_t kind, int status, const char *body,
		     const struct otd_chain_call *call)
{
	struct otd_chain_call own = {.size = sizeof(own), .kind = kind};
	*r = (struct otd_chain_result){.size = sizeof(*r)};
	host.error[0] = 0;
	return ops->answer(in, call ? call : &own, status, span_of(body), r);
}

static otd_rc answer_file(struct otd_chain_result *r, uint32_t kind, const char *file)
{
	char *body = load(file);
	otd_rc rc = answer(r, kind, 200, body, NULL);
	free(body);
	return rc;
}

/* --- what a real node says --- */

static void probe(void **state)
{
	(void)state;
	struct otd_chain_result r;
	assert_int_equal(answer_file(&r, OTD_CHAIN_PROBE, "probe.json"), OTD_OK);
	assert_string_equal(r.u.probe.network, "regtest");
	assert_non_null(strstr(r.u.probe.software, "/Satoshi:29"));
	assert_true(r.u.probe.height >= 110);
	assert_int_equal(r.u.probe.syncing, 0);
	assert_int_equal(answer_file(&r, OTD_CHAIN_TIP, "tip.json"), OTD_OK);
	assert_true(r.u.tip.height >= 110);
}

static void template_and_block(void **state)
{
	(void)state;
	struct otd_chain_result r;
	char *expected = load("block.hex");
	assert_int_equal(answer_file(&r, OTD_CHAIN_TEMPLATE, "template.json"), OTD_OK);
	const struct otd_chain_template *t = &r.u.tmpl;
	assert_int_equal(t->n_tx, 2);
	assert_int_equal(t->nbits, 0x207fffff);
	assert_true(t->fees > 0 && t->value == 5000000000 + t->fees);
	assert_true(t->min_time_s <= t->time_s);
	assert_true(t->longpoll_id[0]);
	hand_over(ops, in, &r.u.tmpl);
	uint8_t *block, hash[32];
	size_t n = solve(ops, in, t, (struct otd_span){(const uint8_t *)"\x51", 1},
			 (uint32_t)t->time_s, &block, hash);
	/* The node accepted this very block: see record.py. */
	assert_int_equal(strlen(expected), 2 * n);
	uint8_t *want = malloc(n);
	assert_true(btc_unhex(want, expected, 2 * n));
	assert_memory_equal(block, want, n);
	/* A coinbase of another template is not put into a block. */
	struct otd_buf out = {0};
	block[40] ^= 1;
	assert_int_equal(ops->assemble(in, t->handle, (struct otd_span){block, 80},
				       (struct otd_span){block + 81, 100}, &out),
			 OTD_E_INVALID);
	ops->template_free(in, t->handle);
	free(want);
	free(block);
	free(expected);
}

/* litecoind 0.21.2.1 in regtest, height 432: a peg-in, the HogEx, and MWEB's part behind them. */
static void mweb(void **state)
{
	(void)state;
	static const char *const two[] = {"mweb", "segwit"};
	const struct otd_option_list before = options.rules;
	struct otd_chain_result r;
	char *text = load("template_mweb.json");
	json_t *root = json_loads(text, 0, NULL);
	json_t *o = json_object_get(root, "result");
	const char *hex = json_string_value(json_object_get(o, "mweb"));
	size_t tail_len = strlen(hex) / 2;
	options.rules = (struct otd_option_list){two, 2};
	assert_int_equal(answer(&r, OTD_CHAIN_TEMPLATE, 200, text, NULL), OTD_OK);
	const struct otd_chain_template *t = &r.u.tmpl;
	assert_int_equal(t->height, 432);
	assert_int_equal(t->n_tx, 2);
	assert_int_equal(t->fees, 20200);
	hand_over(ops, in, &r.u.tmpl);
	uint8_t *block, hash[32], *tail = malloc(tail_len);
	assert_true(btc_unhex(tail, hex, 2 * tail_len));
	size_t n = solve(ops, in, t, (struct otd_span){(const uint8_t *)"\x51", 1},
			 (uint32_t)t->time_s, &block, hash);
	assert_memory_equal(block + n - tail_len, tail, tail_len);
	assert_int_equal(block[n - tail_len - 1], 1);
	/* the HogEx ends with its flag's witness-like byte and the lock time */
	static const uint8_t hogex_end[5] = {0};
	assert_memory_equal(block + n - tail_len - 6, hogex_end, sizeof(hogex_end));
	ops->template_free(in, t->handle);
	free(block);
	/* without it the same template makes the same block, but for that part */
	json_object_del(o, "mweb");
	char *less = json_dumps(root, JSON_COMPACT);
	assert_int_equal(answer(&r, OTD_CHAIN_TEMPLATE, 200, less, NULL), OTD_OK);
	assert_int_equal(solve(ops, in, t, (struct otd_span){(const uint8_t *)"\x51", 1},
			       (uint32_t)t->time_s, &block, hash),
			 n - tail_len - 1);
	ops->template_free(in, t->handle);
	free(block);
	free(less);
	static const char *const bad[] = {"", "0", "zz"};
	for (size_t i = 0; i < 3; i++) {
		json_object_set_new(o, "mweb", json_string(bad[i]));
		less = json_dumps(root, JSON_COMPACT);
		assert_int_equal(answer(&r, OTD_CHAIN_TEMPLATE, 200, less, NULL), OTD_E_INVALID);
		assert_non_null(strstr(host.error, "'mweb' is not hex"));
		assert_null(r.u.tmpl.handle);
		free(less);
	}
	options.rules = before;
	json_decref(root);
	free(text);
	free(tail);
}

/* What litecoind says where it gives no template. */
static void mweb_errors(void **state)
{
	(void)state;
	static const struct {
		const char *body, *words;
		otd_rc rc;
	} said[] = {
		{"{\"result\":null,\"error\":{\"code\":-9,\"message\":\"Litecoin Core is not "
		 "connected!\"},\"id\":0}",
		 "it has no peers", OTD_E_BUSY},
		{"{\"result\":null,\"error\":{\"code\":-8,\"message\":\"getblocktemplate must be "
		 "called "
		 "with the segwit & mweb rule sets (call with {\\\"rules\\\": [\\\"mweb\\\", "
		 "\\\"segwit\\\"]})\"},\"id\":0}",
		 "it wants more rules", OTD_E_REFUSED},
		{"{\"result\":null,\"error\":{\"code\":-1,\"message\":\"CreateNewBlock: "
		 "TestBlockValidity failed: bad-txns-vin-empty, Transaction check "
		 "failed\"},\"id\":0}",
		 "until a peg-in waits", OTD_E_REFUSED},
		{"{\"result\":null,\"error\":{\"code\":-1,\"message\":\"other\"},\"id\":0}",
		 "error -1: other", OTD_E_REFUSED},
	};
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		struct otd_chain_result r;
		assert_int_equal(answer(&r, OTD_CHAIN_TEMPLATE, 500, said[i].body, NULL),
				 said[i].rc);
		if (!strstr(host.error, said[i].words))
			fail_msg("%s", host.error);
	}
}

static void verdicts(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		uint32_t verdict;
	} said[] = {
		{"{\"result\":null,\"error\":null,\"id\":0}", OTD_CHAIN_ACCEPTED},
		{"{\"result\":\"inconclusive\",\"error\":null,\"id\":0}", OTD_CHAIN_INCONCLUSIVE},
		{"{\"result\":\"duplicate-inconclusive\"}", OTD_CHAIN_INCONCLUSIVE},
		{"{\"result\":\"duplicate-invalid\"}", OTD_CHAIN_REJECTED},
		{"{\"result\":\"rejected: unexpected-witness\"}", OTD_CHAIN_REJECTED},
		{"{\"result\":null,\"error\":{\"code\":-1,\"message\":\"oops\"}}",
		 OTD_CHAIN_UNSURE},
		{"{\"result\":17,\"error\":null,\"id\":0}", OTD_CHAIN_UNSURE}};
	struct otd_chain_result r;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		assert_int_equal(answer(&r, OTD_CHAIN_SUBMIT, 200, said[i].text, NULL), OTD_OK);
		assert_int_equal(r.u.submit.verdict, said[i].verdict);
	}
	assert_int_equal(answer_file(&r, OTD_CHAIN_SUBMIT, "submit_accepted.json"), OTD_OK);
	assert_int_equal(r.u.submit.verdict, OTD_CHAIN_ACCEPTED);
	assert_int_equal(answer_file(&r, OTD_CHAIN_SUBMIT, "submit_known.json"), OTD_OK);
	assert_int_equal(r.u.submit.verdict, OTD_CHAIN_KNOWN);
	assert_int_equal(answer_file(&r, OTD_CHAIN_SUBMIT, "submit_rejected.json"), OTD_OK);
	assert_int_equal(r.u.submit.verdict, OTD_CHAIN_REJECTED);
	assert_int_equal(answer_file(&r, OTD_CHAIN_SUBMIT, "submit_garbage.json"), OTD_OK);
	assert_int_equal(r.u.submit.verdict, OTD_CHAIN_REJECTED);
}

static void places(void **state)
{
	(void)state;
	struct otd_chain_call call = {.size = sizeof(call), .kind = OTD_CHAIN_BLOCK};
	struct otd_chain_result r;
	char *body = load("block_main.json");
	const char *hash = strstr(body, "\"result\":\"");
	assert_true(btc_unhex_hash(call.hash, hash + 10, 64));
	assert_int_equal(answer(&r, OTD_CHAIN_BLOCK, 200, body, &call), OTD_OK);
	assert_int_equal(r.u.block.place, OTD_CHAIN_MAIN);
	assert_int_equal(r.u.block.confirmations, 1);
	free(body);
	memset(call.hash, 0x11, 32);
	body = load("block_other.json");
	assert_int_equal(answer(&r, OTD_CHAIN_BLOCK, 200, body, &call), OTD_OK);
	assert_int_equal(r.u.block.place, OTD_CHAIN_OTHER);
	free(body);
	body = load("block_not_yet.json");
	assert_int_equal(answer(&r, OTD_CHAIN_BLOCK, 200, body, &call), OTD_OK);
	assert_int_equal(r.u.block.place, OTD_CHAIN_NOT_YET);
	free(body);
}

static void troubles(void **state)
{
	(void)state;
	static const struct {
		int status;
		const char *body;
		otd_rc rc;
		const char *words;
	} said[] = {
		{401, "", OTD_E_REFUSED, "user and password or cookie"},
		{403, "", OTD_E_REFUSED, "rpcallowip"},
		{503, "Work queue depth exceeded", OTD_E_BUSY, "rpcworkqueue"},
		{500, "{\"result\":null,\"error\":{\"code\":-28,\"message\":\"Loading\"},\"id\":0}",
		 OTD_E_BUSY, "starting: Loading"},
		{500, "{\"result\":null,\"error\":{\"code\":-10,\"message\":\"IBD\"},\"id\":0}",
		 OTD_E_BUSY, "downloading"},
		{500, "{\"result\":null,\"error\":{\"code\":-9,\"message\":\"no\"},\"id\":0}",
		 OTD_E_BUSY, "no peers"},
		{200, "<html>", OTD_E_INVALID, "no JSON"},
		{200, "[]", OTD_E_INVALID, "no result"},
		{200, "", OTD_E_INVALID, "no JSON"},
	};
	struct otd_chain_result r;
	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
		assert_int_equal(answer(&r, OTD_CHAIN_TEMPLATE, said[i].status, said[i].body, NULL),
				 said[i].rc);
		assert_non_null(strstr(host.error, said[i].words));
	}
	assert_int_equal(answer_file(&r, OTD_CHAIN_TEMPLATE, "no_rule.json"), OTD_E_REFUSED);
	assert_non_null(strstr(host.error, "segwit"));
}

/* --- templates with one thing changed --- */

static otd_rc altered(const char *from, const char *to, bool keep)
{
	char *body = load("template.json"), *at = strstr(body, from);
	assert_non_null(at);
	char *text = calloc(1, strlen(body) + strlen(to) + 1);
	snprintf(text, strlen(body) + strlen(to) + 1, "%.*s%s%s", (int)(at - body), body, to,
		 at + strlen(from));
	struct otd_chain_result r;
	otd_rc rc = answer(&r, OTD_CHAIN_TEMPLATE, 200, text, NULL);
	if (rc == OTD_OK && keep) {
		struct otd_chain_template *t = &r.u.tmpl;
		assert_false(t->handle->segwit);
		uint8_t *block, hash[32];
		(void)solve(ops, in, t, (struct otd_span){(const uint8_t *)"\x51", 1},
			    (uint32_t)t->time_s, &block, hash);
		assert_int_not_equal(block[85], 0); /* no marker behind the coinbase's version */
		free(block);
	}
	if (rc == OTD_OK)
		ops->template_free(in, r.u.tmpl.handle);
	free(text);
	free(body);
	return rc;
}

static void bad_templates(void **state)
{
	(void)state;
	assert_int_equal(altered("\"coinbasevalue\":", "\"coinbasevalue\":0.5,\"x\":", false),
			 OTD_E_INVALID);
	assert_int_equal(altered("\"coinbasevalue\":", "\"coinbasevalue\":-5,\"x\":", false),
			 OTD_E_RANGE);
	assert_int_equal(altered("\"fee\":", "\"fee\":1e3,\"x\":", false), OTD_E_INVALID);
	assert_int_equal(altered("\"bits\":\"20", "\"bits\":\"1f", false), OTD_E_INVALID);
	assert_non_null(strstr(host.error, "differ"));
	assert_int_equal(altered("\"height\":", "\"height\":\"7\",\"x\":", false), OTD_E_INVALID);
	assert_int_equal(altered("6a24aa21a9ed", "6a24aa21a9ee", false), OTD_E_INVALID);
	assert_non_null(strstr(host.error, "commitment"));
	assert_int_equal(altered("\"!segwit\"", "\"!segwit\",\"!signet\"", false),
			 OTD_E_UNSUPPORTED);
	assert_non_null(strstr(host.error, "signet"));
	assert_int_equal(altered("\"data\":\"", "\"data\":\"zz", false), OTD_E_INVALID);
	/* Not in force: no witness, though the node sends a commitment all the same. */
	assert_int_equal(altered("\"!segwit\"", "\"csv\"", true), OTD_OK);
}

/* Every answer cut anywhere, and with any byte changed, is judged without a crash or a leak. */
static void broken_answers(void **state)
{
	(void)state;
	static const char *const file[] = {"probe.json", "tip.json", "template.json",
					   "submit_known.json", "block_main.json"};
	for (uint32_t kind = 1; kind <= 5; kind++) {
		char *body = load(file[kind - 1]);
		size_t n = strlen(body), step = n / 400 + 1;
		struct otd_chain_result r;
		for (size_t i = 0; i < n; i += step) {
			char was = body[i];
			body[i] = 0;
			assert_int_not_equal(answer(&r, kind, 200, body, NULL), OTD_OK);
			body[i] = was == '1' ? '-' : '1';
			otd_rc rc = answer(&r, kind, 200, body, NULL);
			if (rc == OTD_OK && kind == OTD_CHAIN_TEMPLATE)
				ops->template_free(in, r.u.tmpl.handle);
			body[i] = was;
		}
		free(body);
	}
}

/* --- coinbase and merkle --- */

static void height_pushes(void **state)
{
	(void)state;
	static const struct {
		uint64_t height;
		const char *hex;
	} want[] = {{0, "00"},
		    {1, "51"},
		    {16, "60"},
		    {17, "0111"},
		    {127, "017f"},
		    {128, "028000"},
		    {255, "02ff00"},
		    {256, "020001"},
		    {32767, "02ff7f"},
		    {32768, "03008000"},
		    {227931, "035b7a03"},
		    {8388607, "03ffff7f"},
		    {8388608, "0400008000"}};
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		uint8_t out[9], hex[9];
		size_t n = btc_height_push(out, want[i].height);
		assert_int_equal(n, strlen(want[i].hex) / 2);
		assert_true(btc_unhex(hex, want[i].hex, 2 * n));
		assert_memory_equal(out, hex, n);
	}
}

static void coinbases(void **state)
{
	(void)state;
	uint8_t c1[300], c2[300], br[64], tag[200];
	struct otd_template t = {.info = {.height = 1, .value = 100}};
	struct otd_chain_payee payee[2] = {{.script = span_of("Q"), .value = 30},
					   {.script = span_of("Q"), .value = -1}};
	struct otd_chain_coinbase cb = {.size = sizeof(cb),
					.payees = payee,
					.payee_stride = sizeof(payee[0]),
					.n_payees = 2};
	struct otd_chain_job job = {.coinbase1 = {c1, 0, sizeof(c1)},
				    .coinbase2 = {c2, 0, sizeof(c2)},
				    .branches = {br, 0, sizeof(br)}};
	const struct btc_host h = {&host_core, &host};
	/* The shortest: a height of one byte is padded to the two that consensus wants. */
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_OK);
	assert_int_equal(job.coinbase1.len, 4 + 1 + 36 + 1 + 2);
	assert_memory_equal(c1 + 41, "\x02\x51\x00", 3);
	assert_memory_equal(c2 + 4, "\x02\x1e\0\0\0\0\0\0\0\x01Q\x46\0\0\0\0\0\0\0\x01Q\0\0\0\0",
			    25);
	/* The longest: the tag gives way to the extranonce. */
	memset(tag, 'x', sizeof(tag));
	cb.tag = (struct otd_span){tag, sizeof(tag)};
	cb.extranonce_len = 40;
	t.info.height = 8388608;
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_OK);
	assert_int_equal(c1[41], 100);
	assert_int_equal(job.coinbase1.len + 40, 42 + 100);
	cb.extranonce_len = 76;
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_E_RANGE);
	cb.extranonce_len = 8;
	/* Not more than there is, and not less. */
	payee[0].value = 101;
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_E_OVERFLOW);
	payee[0].value = 30;
	payee[1].value = 69;
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_E_INVALID);
	payee[1].value = 70;
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_OK);
	payee[0].value = payee[1].value = -1;
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_E_INVALID);
	/* Buffers that are too short say what they need. */
	payee[0].value = 30;
	job.coinbase2.cap = 3;
	assert_int_equal(btc_job(&h, &t, &cb, &job), OTD_E_RANGE);
	assert_true(job.coinbase2.len > 3 && job.coinbase1.len > 40);
}

static void branches_give_the_root(void **state)
{
	(void)state;
	const struct btc_host h = {&host_core, &host};
	uint8_t leaves[70 * 32], branches[BTC_MAX_BRANCHES * 32], a[32], b[32];
	for (size_t i = 0; i < sizeof(leaves); i++)
		leaves[i] = (uint8_t)(i * 7 + i / 32);
	for (size_t n = 0; n < 70; n++) {
		bool doubled;
		assert_int_equal(btc_merkle_branches(&h, branches, leaves + 32, n), OTD_OK);
		btc_merkle_climb(a, leaves, branches, btc_branch_count(n));
		assert_int_equal(btc_merkle_root(&h, b, &doubled, leaves, n + 1), OTD_OK);
		assert_memory_equal(a, b, 32);
		assert_false(doubled);
	}
	assert_int_equal(btc_branch_count(2048), 12);
	assert_int_equal(btc_branch_count(4095), 12);
	memcpy(leaves + 3 * 32, leaves + 2 * 32, 32);
	bool doubled = false;
	assert_int_equal(btc_merkle_root(&h, a, &doubled, leaves, 4), OTD_OK);
	assert_true(doubled);
}

/* --- addresses: BIP 173, BIP 350, and the first coinbase --- */

static otd_rc script_of(char *hex, struct otd_instance *which, const char *address)
{
	uint8_t script[64];
	struct otd_buf b = {script, 0, sizeof(script)};
	host.error[0] = 0;
	otd_rc rc = ops->address(which, span_of(address), &b);
	for (size_t i = 0; rc == OTD_OK && i < b.len; i++)
		snprintf(hex + 2 * i, 3, "%02x", script[i]);
	return rc;
}

static void addresses(void **state)
{
	(void)state;
	static const struct {
		const char *address, *script;
	} good[] = {
		{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
		 "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"},
		{"3P14159f73E4gFr7JterCCQh9QjiTjiZrG",
		 "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87"},
		{"BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4",
		 "0014751e76e8199196d454941c45d1b3a323f1433bd6"},
		{"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0",
		 "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"},
	};
	static const struct {
		const char *address, *words;
	} bad[] = {
		{"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum"},
		{"1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "checksum"},
		{"tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx", "network test, not of main"},
		{"mipcBbFg9gMiCh81Kj8tqqdgoZub1ZJRfn", "not of main"},
		{"ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", "another coin"},
		{"BC1SW50QGDZ25J", "anybody"},
		{"bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "not an"},
		{"bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y",
		 "length"},
		{"bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "anybody"},
		{"bc1qr508d6qejxtdg4y5r3zarvaryv98gj9p", "length"},
		{"bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "other kind"},
		{"", "not an address"},
		{"hello", "not an address"},
		{"1111111111111111111111111111111111111111111111111111111111111111", "not an"},
	};
	char hex[200] = "";
	struct otd_instance *m = make("main");
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(script_of(hex, m, good[i].address), OTD_OK);
		assert_string_equal(hex, good[i].script);
		/* And back, in one text. */
		char lower[100] = "", again[100];
		struct otd_buf b = {(uint8_t *)again, 0, sizeof(again) - 1};
		for (size_t k = 0; good[i].address[k]; k++)
			lower[k] = good[i].address[k] >= 'A' && good[i].address[k] <= 'Z' &&
						   good[i].address[0] == 'B'
					   ? good[i].address[k] + 32
					   : good[i].address[k];
		assert_int_equal(ops->canonical(m, span_of(good[i].address), &b), OTD_OK);
		again[b.len] = 0;
		assert_string_equal(again, lower);
		b.cap = 10;
		assert_int_equal(ops->canonical(m, span_of(good[i].address), &b), OTD_E_RANGE);
		assert_int_equal(b.len, strlen(lower));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (script_of(hex, m, bad[i].address) != OTD_E_INVALID ||
		    !strstr(host.error, bad[i].words))
			fail_msg("%s: %s", bad[i].address, host.error);
	}
	otd_plugin_v1()->base->destroy(m);
	assert_null(make("signet"));
	assert_non_null(strstr(host.error, "signet"));
	assert_null(make("mian"));
}

static void requests(void **state)
{
	(void)state;
	uint8_t text[2000];
	struct otd_buf b = {text, 0, sizeof(text)};
	struct otd_chain_call call = {.kind = OTD_CHAIN_TEMPLATE, .longpoll_id = "ab\"c"};
	assert_int_equal(ops->request(in, &call, &b), OTD_E_INVALID);
	call.longpoll_id = "abc7";
	assert_int_equal(ops->request(in, &call, &b), OTD_OK);
	text[b.len] = 0;
	assert_non_null(strstr((char *)text, "\"longpollid\":\"abc7\""));
	assert_non_null(strstr((char *)text, "\"rules\":[\"segwit\"]"));
	call.kind = OTD_CHAIN_SUBMIT;
	call.block = (struct otd_span){text, 1500};
	b.cap = 100;
	assert_int_equal(ops->request(in, &call, &b), OTD_E_RANGE);
	assert_true(b.len > 3000);
}

/* --- for testdata/record.py --- */

static int drive(int argc, char **argv)
{
	struct otd_chain_call call = {.size = sizeof(call)};
	uint8_t text[4096];
	struct otd_buf b = {text, 0, sizeof(text)};
	(void)setup(NULL);
	if (strcmp(argv[1], "request") == 0) {
		call.kind = (uint32_t)strtoul(argv[2], NULL, 10);
		if (argc > 4 && !btc_unhex_hash(call.hash, argv[4], strlen(argv[4])))
			return 2;
		call.height = argc > 4 ? strtoul(argv[3], NULL, 10) : 0;
		if (ops->request(in, &call, &b))
			return 1;
		printf("%.*s\n", (int)b.len, (char *)text);
		return 0;
	}
	struct otd_chain_result r;
	if (answer_file(&r, OTD_CHAIN_TEMPLATE, argv[2])) {
		fprintf(stderr, "%s\n", host.error);
		return 1;
	}
	uint8_t *block, hash[32];
	char name[65];
	size_t n = solve(ops, in, &r.u.tmpl, (struct otd_span){(const uint8_t *)"\x51", 1},
			 (uint32_t)r.u.tmpl.time_s, &block, hash);
	for (size_t i = 0; i < n; i++)
		printf("%02x", block[i]);
	printf(" %s\n", btc_hash_text(name, hash));
	free(block);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 2)
		return drive(argc, argv);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(probe, setup, teardown),
		cmocka_unit_test_setup_teardown(template_and_block, setup, teardown),
		cmocka_unit_test_setup_teardown(mweb, setup, teardown),
		cmocka_unit_test_setup_teardown(mweb_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(verdicts, setup, teardown),
		cmocka_unit_test_setup_teardown(places, setup, teardown),
		cmocka_unit_test_setup_teardown(troubles, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_templates, setup, teardown),
		cmocka_unit_test_setup_teardown(broken_answers, setup, teardown),
		cmocka_unit_test(height_pushes),
		cmocka_unit_test_setup_teardown(coinbases, setup, teardown),
		cmocka_unit_test(branches_give_the_root),
		cmocka_unit_test_setup_teardown(addresses, setup, teardown),
		cmocka_unit_test_setup_teardown(requests, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
