/* chain/devnet: its wallet and its mempool, as a pool that pays sees them. */
#include "common/test_host.h"

#include "devnet.h"

static struct otd_host host;
static const struct otd_chain_ops *ops;
static struct otd_instance *in;
static uint8_t bits[4];
static const char *const form[] = {"p2pkh 111", "p2sh 196", "bech32 bcrt"};
static struct devnet_options options;

static int setup(void **state)
{
	(void)state;
	memcpy(bits, "\x20\x7f\xff\xff", 4);
	options = (struct devnet_options){.network = "regtest",
					  .bits = {bits, 4},
					  .subsidy = 5000000000,
					  .maturity = 3,
					  .transactions = 2,
					  .fee = 1000,
					  .fee_rate = 2000,
					  .min_fee_rate = 1000,
					  .addresses = {form, 3}};
	host.wall_ms = 1800000000000;
	ops = otd_plugin_v1()->ops.chain;
	return otd_plugin_v1()->base->create(&in, &host, &host_core, &options) ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	otd_plugin_v1()->base->destroy(in);
	return host.allocs ? -1 : 0;
}

static const char *command(const char *words)
{
	static char text[4000];
	struct otd_buf b = {(uint8_t *)text, 0, sizeof(text) - 1};
	host.error[0] = 0;
	if (ops->command(in, span_of(words), &b))
		return host.error;
	text[b.len] = 0;
	return text;
}

static otd_rc ask(struct otd_chain_result *r, const struct otd_chain_call *call)
{
	struct otd_chain_call own = *call;
	own.size = sizeof(own);
	own.coin_stride = sizeof(struct otd_chain_coin);
	*r = (struct otd_chain_result){.size = sizeof(*r)};
	host.error[0] = 0;
	return ops->local(in, &own, r);
}

static struct otd_chain_wallet wallet(const char *address)
{
	struct otd_chain_result r;
	struct otd_chain_call call = {.kind = OTD_CHAIN_WALLET, .address = address};
	assert_int_equal(ask(&r, &call), OTD_OK);
	return r.u.wallet;
}

static struct otd_chain_coin coins[200];

static size_t list(uint32_t confirmations)
{
	struct otd_chain_result r;
	struct otd_buf out = {(uint8_t *)coins, 0, sizeof(coins)};
	struct otd_chain_call call = {
		.kind = OTD_CHAIN_COINS, .confirmations = confirmations, .out = &out};
	assert_int_equal(ask(&r, &call), OTD_OK);
	assert_int_equal(out.len % sizeof(coins[0]), 0);
	return out.len / sizeof(coins[0]);
}

/* --- a payment --- */

struct payment {
	struct otd_chain_coin coins[8];
	struct otd_chain_payee payees[8];
	struct otd_chain_pay p;
	struct otd_chain_pay_info info;
	uint8_t raw[4000], signed_raw[8000];
	size_t raw_len, signed_len;
};

static uint8_t miner_script[22] = {0, 20, 7}, wallet_script[22];

/* Of the first n coins (from place first on): two miners, and the change, less fee. */
static void build(struct payment *y, size_t first, size_t n, otd_i128 fee)
{
	otd_i128 sum = 0;
	memset(y, 0, sizeof(*y));
	memcpy(wallet_script, coins[0].script, 22);
	for (size_t i = 0; i < n; i++) {
		y->coins[i] = coins[first + i];
		sum += coins[first + i].value;
	}
	y->payees[0] = (struct otd_chain_payee){{miner_script, 22}, 1000000};
	y->payees[1] = (struct otd_chain_payee){{miner_script, 22}, 294};
	y->payees[2] = (struct otd_chain_payee){{wallet_script, 22}, sum - fee - 1000294};
	y->p = (struct otd_chain_pay){.size = sizeof(y->p),
				      .coins = y->coins,
				      .coin_stride = sizeof(y->coins[0]),
				      .n_coins = n,
				      .payees = y->payees,
				      .payee_stride = sizeof(y->payees[0]),
				      .n_payees = 3};
	struct otd_buf b = {y->raw, 0, sizeof(y->raw)};
	y->info.size = sizeof(y->info);
	assert_int_equal(ops->pay_build(in, &y->p, &b, &y->info), OTD_OK);
	y->raw_len = b.len;
}

static otd_rc sign(struct payment *y)
{
	struct otd_chain_result r;
	struct otd_buf out = {y->signed_raw, 0, 10};
	struct otd_chain_call call = {
		.kind = OTD_CHAIN_SIGN, .raw = {y->raw, y->raw_len}, .out = &out};
	otd_rc rc = ask(&r, &call);
	if (rc != OTD_E_RANGE)
		return rc;
	assert_true(out.len > 10);
	out.cap = sizeof(y->signed_raw);
	rc = ask(&r, &call);
	y->signed_len = out.len;
	return rc;
}

static void make(struct payment *y, size_t first, size_t n, otd_i128 fee)
{
	struct otd_chain_pay_info bound;
	build(y, first, n, fee);
	bound = y->info;
	assert_int_equal(sign(y), OTD_OK);
	struct otd_span raw = {y->signed_raw, y->signed_len};
	assert_int_equal(ops->pay_check(in, &y->p, raw, &y->info), OTD_OK);
	assert_int_equal(y->info.malleable, 0);
	assert_true(y->info.vsize <= bound.vsize && y->info.vsize > 50 * n);
}

static struct otd_chain_send send_it(const struct payment *y)
{
	struct otd_chain_result r;
	struct otd_chain_call call = {.kind = OTD_CHAIN_SEND,
				      .raw = {y->signed_raw, y->signed_len}};
	assert_int_equal(ask(&r, &call), OTD_OK);
	return r.u.send;
}

static struct otd_chain_tx where(const struct payment *y)
{
	struct otd_chain_result r;
	struct otd_chain_call call = {
		.kind = OTD_CHAIN_TX, .coins = y->coins, .n_coins = y->p.n_coins};
	memcpy(call.txid, y->info.txid, 32);
	assert_int_equal(ask(&r, &call), OTD_OK);
	return r.u.tx;
}

/* --- tests --- */

static void it_says_what_it_holds(void **state)
{
	(void)state;
	const char *said = command("wallet"), *at = strstr(said, "address=");
	char address[91] = "", words[200];
	assert_non_null(at);
	assert_int_equal(sscanf(at, "address=%90s", address), 1);
	/* The one of etc/devnet.yaml. */
	assert_string_equal(address, "bcrt1q32zykw8xpg9lufedf94xq9cg3x6zts6r8n835x");
	struct otd_chain_wallet w = wallet(address);
	assert_true(w.balance == (otd_i128)64 * 10000 * 100000000);
	assert_true(w.immature == 0);
	assert_int_equal(w.owns, OTD_CHAIN_OWNS);
	assert_true(w.fee_rate == 2000 && w.min_fee_rate == 1000);
	assert_int_equal(w.locked, 0);
	assert_int_equal(wallet("BCRT1Q32ZYKW8XPG9LUFEDF94XQ9CG3X6ZTS6R8N835X").owns,
			 OTD_CHAIN_OWNS);
	assert_int_equal(wallet("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080").owns,
			 OTD_CHAIN_OWNS_NOT);
	assert_int_equal(wallet("nonsense").owns, OTD_CHAIN_OWNS_NOT);
	assert_int_equal(wallet(NULL).owns, OTD_CHAIN_OWNS_UNKNOWN);
	/* A reward of its own: immature, then a coin like the others. */
	snprintf(words, sizeof(words), "mine 1 %s", address);
	(void)command(words);
	assert_true(wallet(NULL).immature == 5000002000);
	assert_int_equal(list(1), 64);
	(void)command("mine 2");
	assert_true(wallet(NULL).immature == 0);
	assert_int_equal(list(1), 65);
	assert_int_equal(list(4), 64);
}

static void it_pays(void **state)
{
	(void)state;
	struct payment y;
	assert_int_equal(list(0), 64);
	make(&y, 0, 3, 5000);
	assert_int_equal(where(&y).state, OTD_CHAIN_TX_UNKNOWN);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT_KNOWN);
	struct otd_chain_tx t = where(&y);
	assert_int_equal(t.state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(t.in_mempool, 1);
	assert_int_equal(t.coins_spent, 0);
	assert_int_equal(list(1), 61); /* its coins are in use, its change is in no block */
	(void)command("mine 2");
	t = where(&y);
	assert_int_equal(t.state, OTD_CHAIN_TX_BLOCK);
	assert_int_equal(t.confirmations, 2);
	assert_int_equal(t.height, 1);
	assert_int_equal(t.tip_height, 2);
	assert_int_equal(t.coins_spent, 3);
	assert_int_equal(t.coins_missing, 0);
	assert_memory_equal(t.block_hash, in->block[1].hash, 32);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT_KNOWN);
	assert_int_equal(list(1), 62);
	assert_true(wallet(NULL).balance == (otd_i128)64 * 10000 * 100000000 - 5000 - 1000294);
}

static void it_is_locked(void **state)
{
	(void)state;
	struct payment y;
	assert_int_equal(list(0), 64);
	build(&y, 0, 1, 1000);
	assert_non_null(strstr(command("wallet lock"), "locked=1"));
	assert_int_equal(wallet(NULL).locked, 1);
	assert_int_equal(sign(&y), OTD_E_BUSY);
	assert_non_null(strstr(host.error, "the wallet is locked"));
	assert_non_null(strstr(command("wallet unlock"), "locked=0"));
	assert_int_equal(sign(&y), OTD_OK);
}

static void coins_are_left_alone(void **state)
{
	(void)state;
	struct otd_chain_result r;
	assert_int_equal(list(0), 64);
	struct otd_chain_coin two[2] = {coins[5], coins[9]};
	struct otd_chain_call call = {.kind = OTD_CHAIN_LOCK, .coins = two, .n_coins = 2};
	for (int i = 0; i < 2; i++) { /* twice is no error */
		assert_int_equal(ask(&r, &call), OTD_OK);
		assert_int_equal(list(0), 62);
	}
	for (size_t i = 0; i < 62; i++)
		assert_memory_not_equal(coins[i].txid, two, 36);
	call.unlock = 1;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(ask(&r, &call), OTD_OK);
		assert_int_equal(list(0), 64);
	}
}

static void fees_are_judged(void **state)
{
	(void)state;
	struct payment cheap, more, rival;
	assert_int_equal(list(0), 64);
	make(&cheap, 0, 2, 100);
	struct otd_chain_send s = send_it(&cheap);
	assert_int_equal(s.verdict, OTD_CHAIN_SENT_FEE);
	assert_string_equal(s.reason, "mempool min fee not met");
	make(&cheap, 0, 2, 2000);
	assert_int_equal(send_it(&cheap).verdict, OTD_CHAIN_SENT);
	/* The same coins for a little more: not enough for its own way. */
	make(&more, 0, 2, 2100);
	s = send_it(&more);
	assert_int_equal(s.verdict, OTD_CHAIN_SENT_FEE);
	assert_string_equal(s.reason, "insufficient fee, rejecting replacement");
	make(&more, 0, 2, 4000);
	assert_int_equal(send_it(&more).verdict, OTD_CHAIN_SENT);
	assert_int_equal(where(&cheap).state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(where(&more).state, OTD_CHAIN_TX_WAITS);
	/* Fees rise: what waits is thrown out, and comes back only for more. */
	assert_non_null(strstr(command("wallet fee 50000"), "min_fee_rate=50000"));
	assert_true(wallet(NULL).min_fee_rate == 50000 && wallet(NULL).fee_rate == 50000);
	assert_int_equal(where(&more).state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(send_it(&more).verdict, OTD_CHAIN_SENT_FEE);
	make(&rival, 1, 2, 40000);
	assert_int_equal(send_it(&rival).verdict, OTD_CHAIN_SENT);
	assert_int_equal(send_it(&more).verdict, OTD_CHAIN_SENT_FEE);
	(void)command("wallet fee 1000");
	(void)command("mine 1");
	assert_int_equal(send_it(&more).verdict, OTD_CHAIN_SENT_CONFLICT);
	assert_int_equal(where(&more).coins_spent, 1);
	assert_int_equal(where(&more).state, OTD_CHAIN_TX_WAITS);
	/* An input that the chain has spent is not signed either. */
	assert_int_equal(sign(&more), OTD_E_REFUSED);
	assert_non_null(strstr(host.error, "already spent"));
}

static void a_conflict_on_command(void **state)
{
	(void)state;
	struct payment y;
	char words[120], text[65];
	assert_int_equal(list(0), 64);
	make(&y, 0, 2, 3000);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT);
	snprintf(words, sizeof(words), "wallet conflict %s", btc_hash_text(text, y.info.txid));
	assert_non_null(strstr(command(words), "txid="));
	assert_int_equal(where(&y).state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(where(&y).coins_spent, 0); /* not in a block yet */
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT_FEE);
	(void)command("mine 1");
	assert_int_equal(where(&y).coins_spent, 1);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT_CONFLICT);
	assert_non_null(strstr(command(words), "no such transaction"));
	assert_non_null(strstr(command("wallet fly"), "lock, unlock"));
	assert_non_null(strstr(command("wallet fee x"), "how many"));
}

static void a_reorganisation_gives_it_back(void **state)
{
	(void)state;
	struct payment a, b;
	assert_int_equal(list(0), 64);
	make(&a, 0, 2, 3000);
	assert_int_equal(send_it(&a).verdict, OTD_CHAIN_SENT);
	(void)command("mine 1");
	/* b spends a's change, a block later. */
	size_t n = list(1), at = n;
	for (size_t i = 0; i < n; i++) {
		if (memcmp(coins[i].txid, a.info.txid, 32) == 0)
			at = i;
	}
	assert_true(at < n);
	assert_int_equal(coins[at].index, 2);
	make(&b, at, 1, 2000);
	assert_int_equal(send_it(&b).verdict, OTD_CHAIN_SENT);
	(void)command("mine 1");
	assert_int_equal(where(&b).confirmations, 1);
	assert_int_equal(where(&b).coins_spent, 1);
	assert_non_null(strstr(command("reorg 2"), "height=3"));
	assert_int_equal(where(&a).state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(where(&a).coins_spent, 0);
	assert_int_equal(where(&b).state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(where(&b).coins_spent, 0);
	assert_int_equal(where(&b).coins_missing, 1);
	/* Both in one block, parent first; and its fees are what they paid. */
	(void)command("mine 1");
	assert_int_equal(where(&a).confirmations, 1);
	assert_int_equal(where(&b).confirmations, 1);
	assert_int_equal(where(&b).height, 4);
	assert_non_null(strstr(command("mempool"), "sent=0"));
	/* One block back, and a rival of the parent: the child goes too. */
	(void)command("reorg 1");
	assert_int_equal(where(&b).state, OTD_CHAIN_TX_WAITS);
	char words[120], text[65];
	snprintf(words, sizeof(words), "wallet conflict %s", btc_hash_text(text, a.info.txid));
	assert_non_null(strstr(command(words), "txid="));
	assert_int_equal(where(&b).state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(send_it(&b).verdict, OTD_CHAIN_SENT_CONFLICT);
	(void)command("mine 1");
	assert_non_null(strstr(command("mempool"), "sent=0"));
}

static void a_young_reward_is_not_spent(void **state)
{
	(void)state;
	struct payment y;
	(void)command("mine 1 bcrt1q32zykw8xpg9lufedf94xq9cg3x6zts6r8n835x");
	(void)command("mine 2");
	size_t n = list(0), at = n;
	for (size_t i = 0; i < n; i++) {
		if (coins[i].value == 5000002000)
			at = i;
	}
	assert_true(at < n);
	make(&y, at, 1, 3000);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT);
	(void)command("mine 1");
	assert_int_equal(where(&y).confirmations, 1);
	/* Younger again after a reorganisation that takes the reward back: it is gone. */
	(void)command("reorg 4");
	assert_int_equal(where(&y).state, OTD_CHAIN_TX_WAITS);
	assert_int_equal(where(&y).coins_missing, 1);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT_CONFLICT);
	(void)command("mine 2");
	/* On another reward, of a chain that is a block shorter, it is too early. */
	(void)command("mine 1 bcrt1q32zykw8xpg9lufedf94xq9cg3x6zts6r8n835x");
	(void)command("mine 2");
	n = list(0);
	for (at = 0; at < n && coins[at].value != 5000002000; at++)
		;
	assert_true(at < n);
	make(&y, at, 1, 3000);
	in->n_blocks--; /* as if the tip were not there */
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT_UNSURE);
	in->n_blocks++;
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT);
}

static void bad_transactions_are_refused(void **state)
{
	(void)state;
	struct payment y, z;
	assert_int_equal(list(0), 64);
	make(&y, 0, 2, 3000);
	z = y;
	z.signed_raw[z.signed_len - 10] ^= 1; /* the last witness */
	assert_string_equal(send_it(&z).reason, "mandatory-script-verify-flag-failed");
	assert_int_equal(send_it(&z).verdict, OTD_CHAIN_SENT_REFUSED);
	for (size_t cut = 0; cut < y.signed_len; cut++) {
		z = y;
		z.signed_len = cut;
		assert_int_equal(send_it(&z).verdict, OTD_CHAIN_SENT_REFUSED);
	}
	/* Unsigned. */
	memcpy(z.signed_raw, y.raw, y.raw_len);
	z.signed_len = y.raw_len;
	assert_int_equal(send_it(&z).verdict, OTD_CHAIN_SENT_REFUSED);
	/* Dust. */
	build(&z, 0, 1, 3000);
	z.payees[1].value = 293;
	struct otd_buf b = {z.raw, 0, sizeof(z.raw)};
	assert_int_equal(ops->pay_build(in, &z.p, &b, &z.info), OTD_OK);
	assert_int_equal(sign(&z), OTD_OK);
	assert_string_equal(send_it(&z).reason, "dust");
	otd_i128 least = 0;
	assert_int_equal(ops->dust(in, (struct otd_span){miner_script, 22}, &least), OTD_OK);
	assert_true(least == 294);
	/* Another's coin is not signed. */
	z = y;
	memset(z.raw + 5, 0x77, 32);
	assert_int_equal(sign(&z), OTD_E_REFUSED);
	assert_int_equal(send_it(&y).verdict, OTD_CHAIN_SENT);
}

static void memory_runs_out(void **state)
{
	(void)state;
	struct payment y;
	struct otd_chain_result r;
	assert_int_equal(list(0), 64);
	make(&y, 0, 2, 3000);
	for (size_t i = 1;; i++) {
		struct otd_chain_call call = {.kind = OTD_CHAIN_SEND,
					      .raw = {y.signed_raw, y.signed_len}};
		host.allocs_left = i + 1;
		otd_rc rc = ask(&r, &call);
		bool ran_out = host.allocs_left == 0;
		host.allocs_left = 0;
		if (rc == OTD_OK && !ran_out)
			break;
		assert_true(i < 50);
	}
	(void)command("mine 1");
	assert_int_equal(where(&y).confirmations, 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(it_says_what_it_holds),
		T(it_pays),
		T(it_is_locked),
		T(coins_are_left_alone),
		T(fees_are_judged),
		T(a_conflict_on_command),
		T(a_reorganisation_gives_it_back),
		T(a_young_reward_is_not_spent),
		T(bad_transactions_are_refused),
		T(memory_runs_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
