/*
 * chain/bitcoin's wallet: what real nodes answered (testdata/wallet.txt, recorded by
 * tests/e2e/test_wallet.py), what they might answer, and transactions.
 *
 *   test_bitcoin_wallet request KEY=VALUE..   the body of a call
 *   test_bitcoin_wallet answer KEY=VALUE..    what an answer means; standard input: status, then body
 *   test_bitcoin_wallet build KEY=VALUE..     an unsigned transaction, and its bound
 *   test_bitcoin_wallet check KEY=VALUE..     whether raw is it
 * with kind, address, txid, raw, unlock, confirmations, coins=TXID:INDEX:SCRIPT:VALUE,.. and
 * payees=SCRIPT:VALUE,..
 */
#include "test_call.h"

#define DATA OTEDAMA_SOURCE_DIR "/plugins/chain/bitcoin/testdata/"

/* --- an answer as text --- */

static char said[1000000];
static size_t said_len;

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(said + said_len, sizeof(said) - said_len, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(said) - said_len);
	said_len += (size_t)n;
}

static void say_hex(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		say("%02x", p[i]);
}

static void say_coins(void)
{
	say(" coins=");
	for (size_t i = 0; i < w.buf.len / sizeof(struct otd_chain_coin); i++) {
		struct otd_chain_coin c;
		char txid[65];
		memcpy(&c, w.out + i * sizeof(c), sizeof(c));
		say("%s%s:%u:", i ? "," : "", btc_hash_text(txid, c.txid), c.index);
		say_hex(c.script, c.script_len);
		say(":%lld:%llu", (long long)c.value, (unsigned long long)c.confirmations);
	}
}

static void say_result(const struct otd_chain_result *r)
{
	const struct otd_chain_wallet *a = &r->u.wallet;
	const struct otd_chain_tx *t = &r->u.tx;
	char hash[65];
	switch (w.call.kind) {
	case OTD_CHAIN_WALLET:
		say(" balance=%lld immature=%lld fee=%lld min=%lld locked=%u owns=%u name=%s",
		    (long long)a->balance, (long long)a->immature, (long long)a->fee_rate,
		    (long long)a->min_fee_rate, a->locked, a->owns, a->name);
		break;
	case OTD_CHAIN_COINS: say_coins(); break;
	case OTD_CHAIN_SIGN:
		say(" raw=");
		say_hex(w.out, w.buf.len);
		break;
	case OTD_CHAIN_SEND:
		say(" verdict=%u reason=%s", r->u.send.verdict, r->u.send.reason);
		break;
	case OTD_CHAIN_TX:
		say(" state=%u spent=%u missing=%u mempool=%u confirmations=%llu height=%llu "
		    "tip=%llu block=%s",
		    t->state, t->coins_spent, t->coins_missing, t->in_mempool,
		    (unsigned long long)t->confirmations, (unsigned long long)t->height,
		    (unsigned long long)t->tip_height, btc_hash_text(hash, t->block_hash));
		break;
	default: break;
	}
}

/* "rc=0 ..." or "rc=-4 words" in said. */
static otd_rc answer(int status, const char *body)
{
	struct otd_chain_result r = {.size = sizeof(r)};
	host.error[0] = 0;
	w.buf.len = said_len = 0;
	otd_rc rc = ops->answer(in, &w.call, status, span_of(body), &r);
	say("rc=%d", rc);
	if (rc)
		say(" %s", host.error);
	else
		say_result(&r);
	return rc;
}

/* Of a call that is written here. */
static otd_rc asked(const char *words, const char *body)
{
	char copy[4000];
	begin();
	snprintf(copy, sizeof(copy), "%s", words);
	read_words(copy);
	return answer(200, body);
}

static void must_say(const char *words)
{
	if (!strstr(said, words))
		fail_msg("'%s' is not in '%.400s'", words, said);
}

/* --- what real nodes said --- */

static char *line(FILE *f)
{
	static char text[4 << 20];
	if (!fgets(text, sizeof(text), f))
		return NULL;
	text[strcspn(text, "\n")] = 0;
	return text;
}

static void recorded(void **state)
{
	(void)state;
	FILE *f = fopen(DATA "wallet.txt", "r");
	size_t n = 0;
	char name[100];
	assert_non_null(f);
	for (char *at; (at = line(f));) {
		if (*at == '#' || !*at)
			continue;
		snprintf(name, sizeof(name), "%.99s", at);
		begin();
		at = line(f);
		assert_non_null(at);
		read_words(at);
		at = line(f);
		assert_non_null(at);
		int status = (int)strtol(at, NULL, 10);
		at = line(f);
		assert_non_null(at);
		(void)answer(status, at);
		at = line(f);
		assert_non_null(at);
		if (strcmp(said, at) != 0)
			fail_msg("%s: '%.300s', not '%.300s'", name, said, at);
		n++;
	}
	fclose(f);
	assert_true(n >= 30);
}

/* --- what nodes of other ages say --- */

#define OK(id, result) "{\"result\":" result ",\"error\":null,\"id\":" #id "}"
#define NO(id, code, words) \
	"{\"result\":null,\"error\":{\"code\":" #code ",\"message\":\"" words "\"},\"id\":" #id "}"

/* Dogecoin Core 1.14 (of Bitcoin Core's 0.14): rpcwallet.cpp, mining.cpp. */
static void an_old_node(void **state)
{
	(void)state;
	assert_int_equal(
		asked("kind=6 address=x",
		      "[" OK(0,
			     "{\"walletversion\":130000,\"balance\":1234567.00000001,"
			     "\"immature_balance\":10000.00000000,\"unlocked_until\":"
			     "0}") "," NO(1, -32601,
					  "Method not found") "," OK(2,
								     "{\"feerate\":-"
								     "1,\"blocks\":"
								     "6}") "," OK(3,
										  "{"
										  "\""
										  "si"
										  "ze"
										  "\""
										  ":1"
										  ","
										  "\""
										  "me"
										  "mp"
										  "oo"
										  "lm"
										  "in"
										  "fe"
										  "e"
										  "\""
										  ":0"
										  ".0"
										  "00"
										  "00"
										  "00"
										  "0"
										  "}") "," OK(4,
											      "{\"r"
											      "elay"
											      "fee"
											      "\":"
											      "0."
											      "0010"
											      "0000"
											      "}") "," NO(5,
													  -32601,
													  "Method not found") "," OK(6,
																     "{\"isvalid\":true,\"ismine\":true}") "]"),
		OTD_OK);
	must_say("balance=123456700000001 immature=1000000000000 fee=0 min=100000 locked=1 owns=1");
	/* signrawtransaction, where there is no ...withwallet */
	assert_int_equal(
		asked("kind=9 raw=00", "[" NO(0, -32601, "Method not found") "," OK(
					       1, "{\"hex\":\"beef\",\"complete\":true}") "]"),
		OTD_OK);
	must_say("raw=beef");
	assert_int_equal(asked("kind=9 raw=00", "[" NO(0, -32601, "Method not found") "," NO(
							1, -13, "Error: Please enter") "]"),
			 OTD_E_BUSY);
	must_say("the wallet is locked: unlock it with walletpassphrase");
	assert_int_equal(asked("kind=9 raw=00", "[" NO(0, -32601, "Method not found") "," NO(
							1, -32601, "Method not found") "]"),
			 OTD_E_REFUSED);
}

static void sends(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		uint32_t verdict;
	} all[] = {
		{NO(0, -26, "66: min relay fee not met"), OTD_CHAIN_SENT_FEE},
		{NO(0, -26, "min relay fee not met, 100 < 141"), OTD_CHAIN_SENT_FEE},
		{NO(0, -26, "mempool min fee not met, 1 < 2"), OTD_CHAIN_SENT_FEE},
		{NO(0, -26, "insufficient fee, rejecting replacement aa"), OTD_CHAIN_SENT_FEE},
		{NO(0, -26, "66: insufficient priority"), OTD_CHAIN_SENT_FEE},
		{NO(0, -26, "mempool full"), OTD_CHAIN_SENT_FEE},
		{NO(0, -26, "256: absurdly-high-fee"), OTD_CHAIN_SENT_REFUSED},
		{NO(0, -25, "Fee exceeds maximum configured by user (e.g. -maxtxfee)"),
		 OTD_CHAIN_SENT_REFUSED},
		{NO(0, -26, "dust"), OTD_CHAIN_SENT_REFUSED},
		{NO(0, -26, "mandatory-script-verify-flag-failed (x)"), OTD_CHAIN_SENT_REFUSED},
		{NO(0, -22, "TX decode failed"), OTD_CHAIN_SENT_REFUSED},
		{NO(0, -25, "Missing inputs"), OTD_CHAIN_SENT_CONFLICT},
		{NO(0, -25, "bad-txns-inputs-missingorspent"), OTD_CHAIN_SENT_CONFLICT},
		{NO(0, -26, "18: txn-mempool-conflict"), OTD_CHAIN_SENT_CONFLICT},
		{NO(0, -26, "bad-txns-spends-conflicting-tx, aa spends bb"),
		 OTD_CHAIN_SENT_CONFLICT},
		{NO(0, -26, "18: txn-already-in-mempool"), OTD_CHAIN_SENT_KNOWN},
		{NO(0, -26, "txn-already-known"), OTD_CHAIN_SENT_KNOWN},
		{NO(0, -27, "transaction already in block chain"), OTD_CHAIN_SENT_KNOWN},
		{NO(0, -27, "Transaction outputs already in utxo set"), OTD_CHAIN_SENT_KNOWN},
		{NO(0, -26, "too-long-mempool-chain"), OTD_CHAIN_SENT_UNSURE},
		{NO(0, -26, "bad-txns-premature-spend-of-coinbase, tried"), OTD_CHAIN_SENT_UNSURE},
		{NO(0, -25, "AcceptToMemoryPool failed"), OTD_CHAIN_SENT_UNSURE},
		{NO(0, -32, "whatever"), OTD_CHAIN_SENT_UNSURE},
		{NO(0, -1, "min relay fee not met"), OTD_CHAIN_SENT_UNSURE},
		{OK(0, "\"00\""), OTD_CHAIN_SENT_UNSURE},
		{OK(0, "true"), OTD_CHAIN_SENT_UNSURE},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		char want[40];
		snprintf(want, sizeof(want), "verdict=%u ", all[i].verdict);
		assert_int_equal(asked("kind=10 raw=00", all[i].body), OTD_OK);
		must_say(want);
	}
	assert_int_equal(asked("kind=10 raw=00", NO(0, -28, "Loading block index")), OTD_E_BUSY);
	assert_int_equal(asked("kind=10 raw=00", "{}"), OTD_E_INVALID);
	begin();
	w.call.kind = OTD_CHAIN_SEND;
	assert_int_equal(answer(503, "Work queue depth exceeded"), OTD_E_BUSY);
	assert_int_equal(answer(401, ""), OTD_E_REFUSED);
}

static void locks(void **state)
{
	(void)state;
	static const char two[] = "kind=8 coins="
				  "1111111111111111111111111111111111111111111111111111111111111111"
				  ":0::1,"
				  "1111111111111111111111111111111111111111111111111111111111111111"
				  ":1::1";
	assert_int_equal(asked(two, "[" OK(0, "true") "," OK(1, "true") "]"), OTD_OK);
	assert_int_equal(asked(two, "[" OK(1, "true") "," NO(
					    0, -8, "Invalid parameter, output already locked") "]"),
			 OTD_OK);
	assert_int_equal(asked(two, "[" OK(0, "true") "]"), OTD_E_INVALID);
	assert_int_equal(asked(two, "[" OK(0, "true") "," OK(1, "false") "]"), OTD_E_REFUSED);
	assert_int_equal(asked(two, "[" OK(0, "true") "," NO(1, -18, "not loaded") "]"),
			 OTD_E_BUSY);
	must_say("loadwallet");
	assert_int_equal(asked(two, NO(0, -19, "Wallet file not specified")), OTD_E_REFUSED);
	must_say("name one");
	assert_int_equal(asked("kind=8", "[]"), OTD_OK);
}

/* What no wallet may list, and what none should. */
static void odd_coins(void **state)
{
	(void)state;
#define TXID "\"txid\":\"2222222222222222222222222222222222222222222222222222222222222222\""
#define COIN(more)                                                                            \
	"{" TXID ",\"vout\":3,\"scriptPubKey\":\"0014"                                        \
	"0000000000000000000000000000000000000000\",\"amount\":0.10000001,\"confirmations\":" \
	"7" more "}"
	assert_int_equal(
		asked("kind=7",
		      OK(0,
			 "[" COIN(
				 ",\"spendable\":true,\"solvable\":true,"
				 "\"safe\":true") "," COIN(",\"spendable\":"
							   "false") "," COIN(",\"solvable\":"
									     "false") "," COIN(","
											       "\"s"
											       "afe"
											       "\":"
											       "f"
											       "a"
											       "l"
											       "s"
											       "e") ","
												    "{" TXID
												    ",\"amo"
												    "unt\":"
												    "1."
												    "000000"
												    "00,"
												    "\"conf"
												    "irmati"
												    "ons\":"
												    "7,"
												    "\"spen"
												    "dable"
												    "\":"
												    "true,"
												    "\"addr"
												    "ess\":"
												    "\"tmwe"
												    "b1x\"}"
												    "]")),
		OTD_OK);
	assert_string_equal(
		said,
		"rc=0 "
		"coins=2222222222222222222222222222222222222222222222222222222222222222:3:0014"
		"0000000000000000000000000000000000000000:10000001:7");
	assert_int_equal(asked("kind=7", OK(0, "[" COIN("") "," COIN("") "]")), OTD_OK);
	assert_int_equal(w.buf.len, 2 * sizeof(struct otd_chain_coin));
	/* A host of a later version has longer ones. */
	begin();
	w.call.kind = OTD_CHAIN_COINS;
	w.call.coin_stride = 400;
	assert_int_equal(answer(200, OK(0, "[" COIN("") "," COIN("") "]")), OTD_OK);
	assert_int_equal(w.buf.len, 800);
	w.buf.cap = 799;
	assert_int_equal(answer(200, OK(0, "[" COIN("") "," COIN("") "]")), OTD_E_RANGE);
	assert_int_equal(w.buf.len, 800);
	static const char *const bad[] = {
		OK(0, "7"),
		OK(0, "[7]"),
		OK(0, "null"),
		OK(0, "[{" TXID ",\"vout\":-1,\"scriptPubKey\":\"51\",\"amount\":1,"
		      "\"confirmations\":1}]"),
		OK(0, "[{" TXID ",\"vout\":0,\"scriptPubKey\":\"5x\",\"amount\":1,"
		      "\"confirmations\":1}]"),
		OK(0, "[{" TXID ",\"vout\":0,\"scriptPubKey\":\"51\",\"amount\":1e-9,"
		      "\"confirmations\":1}]"),
		OK(0, "[{" TXID ",\"vout\":0,\"scriptPubKey\":\"51\",\"amount\":-1,"
		      "\"confirmations\":1}]"),
		OK(0, "[{\"txid\":\"22\",\"vout\":0,\"scriptPubKey\":\"51\",\"amount\":1,"
		      "\"confirmations\":1}]")};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_not_equal(asked("kind=7", bad[i]), OTD_OK);
}

#define HASH(d) \
#d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d #d
#define TIP(id, d) OK(id, "\"" HASH(d) "\"")
#define NONE       NO(1, -5, "Invalid or non-wallet transaction id") "," NO(2, -5, "not in mempool")

static void places(void **state)
{
	(void)state;
	/* One coin: ids 7 its output, 8 its transaction. */
	static const char call[] = "kind=11 txid=" HASH(33) " coins=" HASH(44) ":0::5";
#define REST(a, b) TIP(0, a) "," OK(3, "null") "," OK(4, "{}") "," OK(5, "100") "," TIP(6, b)
	static const struct {
		const char *body, *words;
		otd_rc rc;
	} all[] = {
		{"[" REST(11, 11) "," NONE "," OK(7, "{\"value\":1.5}") "," OK(
			 8, "{\"confirmations\":5}") "]",
		 "state=1 spent=0 missing=0 mempool=0", OTD_OK},
		{"[" REST(11, 11) "," NONE "," OK(7, "null") "," OK(8, "{\"confirmations\":5}") "]",
		 "state=1 spent=1 missing=0", OTD_OK},
		{"[" REST(11, 11) "," NONE "," OK(7, "null") "," OK(8, "{\"confirmations\":0}") "]",
		 "state=1 spent=0 missing=1", OTD_OK},
		{"[" REST(11, 11) "," NONE
				  "," OK(7, "null") "," OK(8, "{\"confirmations\":-3}") "]",
		 "spent=0 missing=1", OTD_OK},
		{"[" REST(11, 11) "," OK(1, "{\"confirmations\":-2}") "," NO(
			 2, -5, "not in mempool") "," OK(7, "null") "," OK(8, "{\"confirmation"
									      "s\":5}") "]",
		 "state=2 spent=1 missing=0 mempool=0", OTD_OK},
		/* Its wallet does not know the coin: no word about spent. */
		{"[" REST(11, 11) "," NONE "," OK(7, "null") "," NO(8, -5, "non-wallet") "]",
		 "another wallet", OTD_E_REFUSED},
		{"[" REST(11, 12) "," NONE "," OK(7, "null") "," OK(8, "{\"confirmations\":5}") "]",
		 "changed while it answered", OTD_E_BUSY},
		/* In the chain by its output, and the wallet knows nothing of it. */
		{"[" TIP(0, 11) "," OK(3, "{\"value\":1}") "," OK(4, "{}") "," OK(5, "100") "," TIP(
			 6, 11) "," NONE "," OK(7, "null") "," OK(8, "{\"confirmations\":5}") "]",
		 "rescanblockchain", OTD_E_REFUSED},
		{"[" TIP(0, 11) "," OK(3, "null") "," OK(
			 4, "{\"scanning\":{\"progress\":0."
			    "5}}") "," OK(5, "100") "," TIP(6, 11) "," NONE
								   "," OK(7, "null") "," OK(
									   8, "null") "]",
		 "reading the chain again", OTD_E_BUSY},
		{"[" REST(11, 11) "," NO(1, -5, "x") "," OK(2, "{}") "," OK(7, "{}") "," OK(
			 8, "{\"confirmations\":5}") "]",
		 "state=2 spent=0 missing=0 mempool=1", OTD_OK},
		{"[" REST(11, 11) "," OK(
			 1, "{\"confirmations\":102,\"blockhash\":\"" HASH(
				    55) "\"}") "," OK(7, "null") "," OK(8, "{\"confirmation"
									   "s\":5}") "]",
		 "changed", OTD_E_BUSY},
		{"[" REST(11, 11) "," OK(1, "{\"confirmations\":1}") "," OK(7, "null") "," OK(
			 8, "{\"confirmations\":5}") "]",
		 "blockhash", OTD_E_INVALID},
		{"[" REST(11, 11) "," NONE "," OK(7, "null") "]", "no result", OTD_E_INVALID},
		{"[]", "no result", OTD_E_INVALID},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		otd_rc rc = asked(call, all[i].body);
		if (rc != all[i].rc)
			fail_msg("%zu: %s", i, said);
		must_say(all[i].words);
	}
	assert_int_equal(
		asked(call,
		      "[" REST(11, 11) "," OK(
			      1, "{\"confirmations\":3,"
				 "\"blockhash\":\"" HASH(
					 55) "\"}") "," OK(7, "null") "," OK(8, "{\"confirmations\""
										":5}") "]"),
		OTD_OK);
	must_say(
		"state=3 spent=1 missing=0 mempool=0 confirmations=3 height=98 tip=100 block=" HASH(
			55));
}

static void requests(void **state)
{
	(void)state;
	begin();
	w.call.kind = OTD_CHAIN_WALLET;
	w.call.address = "a\"b";
	assert_int_equal(ops->request(in, &w.call, &w.buf), OTD_E_INVALID);
	w.call.address = "a b";
	assert_int_equal(ops->request(in, &w.call, &w.buf), OTD_E_INVALID);
	w.call.address = NULL;
	w.call.kind = OTD_CHAIN_COINS;
	w.call.confirmations = 3;
	assert_int_equal(ops->request(in, &w.call, &w.buf), OTD_OK);
	assert_non_null(strstr((char *)w.out, "\"params\":[3,9999999,[],false,"));
	w.call.kind = OTD_CHAIN_TX;
	w.call.n_coins = BITCOIN_MAX_INPUTS + 1;
	assert_int_equal(ops->request(in, &w.call, &w.buf), OTD_E_INVALID);
	/* Never "lockunspent true" without coins: that would free all of the wallet. */
	begin();
	w.call.kind = OTD_CHAIN_LOCK;
	w.call.unlock = 1;
	assert_int_equal(ops->request(in, &w.call, &w.buf), OTD_OK);
	w.out[w.buf.len] = 0;
	assert_string_equal((char *)w.out, "[]");
}

/* Every recorded answer with a byte changed or cut short is judged without a crash or a leak. */
static void broken_answers(void **state)
{
	(void)state;
	FILE *f = fopen(DATA "wallet.txt", "r");
	assert_non_null(f);
	for (char *at; (at = line(f));) {
		if (*at == '#' || !*at)
			continue;
		begin();
		at = line(f);
		read_words(at);
		(void)line(f);
		char *body = strdup(line(f));
		size_t n = strlen(body);
		for (size_t i = 0; i < n; i += n / 60 + 1) {
			char was = body[i];
			body[i] = 0;
			(void)answer(200, body);
			body[i] = was == '1' ? '-' : '1';
			(void)answer(200, body);
			body[i] = was;
		}
		free(body);
		(void)line(f);
	}
	fclose(f);
}

/* --- for tests/e2e/test_wallet.py --- */

static int drive(int argc, char **argv)
{
	struct otd_chain_pay_info info = {.size = sizeof(info)};
	char txid[65];
	otd_rc rc;
	(void)setup(NULL);
	begin();
	for (int i = 2; i < argc; i++)
		read_word(argv[i]);
	struct otd_chain_pay p = pay();
	if (strcmp(argv[1], "request") == 0) {
		rc = ops->request(in, &w.call, &w.buf);
		printf("%.*s", rc ? 0 : (int)w.buf.len, (char *)w.out);
		return rc ? 1 : 0;
	}
	if (strcmp(argv[1], "answer") == 0) {
		static char body[8 << 20];
		int status = (int)strtol(line(stdin), NULL, 10);
		body[fread(body, 1, sizeof(body) - 1, stdin)] = 0;
		(void)answer(status, body);
		printf("%s\n", said);
		return 0;
	}
	if (strcmp(argv[1], "build") == 0) {
		rc = ops->pay_build(in, &p, &w.buf, &info);
		say_hex(w.out, w.buf.len);
		printf("rc=%d vsize=%llu raw=%s %s\n", rc, (unsigned long long)info.vsize,
		       said_len ? said : "", rc ? host.error : "");
		return 0;
	}
	rc = ops->pay_check(in, &p, w.call.raw, &info);
	printf("rc=%d vsize=%llu txid=%s malleable=%u %s\n", rc, (unsigned long long)info.vsize,
	       btc_hash_text(txid, info.txid), info.malleable, rc ? host.error : "");
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	if (argc > 1)
		return drive(argc, argv);
	const struct CMUnitTest tests[] = {
		T(recorded),  T(an_old_node), T(sends),    T(locks),
		T(odd_coins), T(places),      T(requests), T(broken_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
