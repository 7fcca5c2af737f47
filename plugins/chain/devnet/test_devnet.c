/* chain/devnet: what it takes, what it refuses and why, and what is left of it after a crash. */
#include "common/merkle.h"
#include "common/test_host.h"

#include "devnet.h"

/* --- one file in memory --- */

static struct {
	uint8_t *data;
	size_t len, synced;
	bool open, full;
} disk;

static otd_rc f_open(void *ctx, struct otd_file **out, const char *path, uint32_t flags)
{
	(void)ctx, (void)path, (void)flags;
	disk.open = true;
	*out = (struct otd_file *)(void *)&disk;
	return OTD_OK;
}

static void f_close(void *ctx, struct otd_file *f)
{
	(void)ctx, (void)f;
	disk.open = false;
}

static otd_rc f_read(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at)
{
	(void)ctx, (void)f;
	*got = at >= disk.len ? 0 : disk.len - at < n ? disk.len - (size_t)at : n;
	if (*got)
		memcpy(to, disk.data + at, *got);
	return OTD_OK;
}

static otd_rc f_write(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at)
{
	(void)ctx, (void)f;
	if (disk.full)
		return OTD_E_NOMEM;
	if (at + n > disk.len) {
		disk.data = realloc(disk.data, at + n);
		disk.len = at + n;
	}
	memcpy(disk.data + at, from, n);
	return OTD_OK;
}

static otd_rc f_sync(void *ctx, struct otd_file *f)
{
	(void)ctx, (void)f;
	disk.synced = disk.len;
	return OTD_OK;
}

static otd_rc f_truncate(void *ctx, struct otd_file *f, uint64_t length)
{
	(void)ctx, (void)f;
	disk.len = (size_t)length;
	return OTD_OK;
}

static otd_rc f_length(void *ctx, struct otd_file *f, uint64_t *out)
{
	(void)ctx, (void)f;
	*out = disk.len;
	return OTD_OK;
}

static otd_rc f_lock(void *ctx, struct otd_file *f, bool exclusive)
{
	(void)ctx, (void)f, (void)exclusive;
	return OTD_OK;
}

static otd_rc f_sync_dir(void *ctx, const char *path)
{
	(void)ctx, (void)path;
	return OTD_OK;
}

static const char *f_error(void *ctx)
{
	(void)ctx;
	return "No space left on device";
}

static const struct otd_files files = {.size = sizeof(files),
				       .open = f_open,
				       .close = f_close,
				       .read = f_read,
				       .write = f_write,
				       .sync = f_sync,
				       .truncate = f_truncate,
				       .length = f_length,
				       .lock = f_lock,
				       .sync_dir = f_sync_dir,
				       .last_error = f_error};

/* --- the chain under test --- */

static struct otd_host host = {.files = &files};
static const struct otd_chain_ops *ops;
static struct otd_instance *in;
static uint8_t bits[4];
static const char *const form[] = {"p2pkh 111", "p2sh 196", "bech32 bcrt"};
static struct devnet_options options;

static otd_rc start(void)
{
	ops = otd_plugin_v1()->ops.chain;
	host.error[0] = 0;
	return otd_plugin_v1()->base->create(&in, &host, &host_core, &options);
}

static void stop(void)
{
	otd_plugin_v1()->base->destroy(in);
	in = NULL;
}

static int setup(void **state)
{
	(void)state;
	memcpy(bits, "\x20\x7f\xff\xff", 4);
	options = (struct devnet_options){.network = "regtest",
					  .bits = {bits, 4},
					  .subsidy = 5000000000,
					  .maturity = 3,
					  .fee = 1000,
					  .addresses = {form, 3}};
	host.wall_ms = 1800000000000;
	return start() ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	free(disk.data);
	memset(&disk, 0, sizeof(disk));
	return host.allocs ? -1 : 0;
}

static otd_rc ask(struct otd_chain_result *r, uint32_t kind, struct otd_span block, uint64_t height,
		  const uint8_t *hash)
{
	struct otd_chain_call call = {
		.size = sizeof(call), .kind = kind, .block = block, .height = height};
	if (hash)
		memcpy(call.hash, hash, 32);
	*r = (struct otd_chain_result){.size = sizeof(*r)};
	return ops->local(in, &call, r);
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

static const struct otd_span anyone = {(const uint8_t *)"\x51", 1};

/* A solved block on the present template; its hash where wanted. */
static size_t mined(uint8_t **block, uint8_t hash[32])
{
	struct otd_chain_result r;
	assert_int_equal(ask(&r, OTD_CHAIN_TEMPLATE, (struct otd_span){0}, 0, NULL), OTD_OK);
	hand_over(ops, in, &r.u.tmpl);
	size_t n = solve(ops, in, &r.u.tmpl, anyone, (uint32_t)r.u.tmpl.time_s, block, hash);
	ops->template_free(in, r.u.tmpl.handle);
	return n;
}

static struct otd_chain_submit hand_in(const uint8_t *block, size_t n)
{
	struct otd_chain_result r;
	assert_int_equal(ask(&r, OTD_CHAIN_SUBMIT, (struct otd_span){block, n}, 0, NULL), OTD_OK);
	return r.u.submit;
}

static void mine_and_accept(uint8_t hash[32])
{
	uint8_t *block;
	size_t n = mined(&block, hash);
	struct otd_chain_submit s = hand_in(block, n);
	if (s.verdict != OTD_CHAIN_ACCEPTED)
		fail_msg("verdict %u: %s", s.verdict, s.reason);
	free(block);
}

/* Makes root and nonce right again after the block's only transaction was changed. */
static void mend(uint8_t *block, size_t n)
{
	struct btc_reader r = {block + 81, n - 81, false};
	struct devnet_tx tx;
	uint8_t hash[32];
	if (devnet_tx_read(&tx, &r))
		memcpy(block + 36, tx.txid, 32);
	for (uint32_t nonce = 0;; nonce++) {
		memcpy(block + 76, &nonce, 4);
		otd_sha256d(hash, block, 80);
		if (hash[31] < 0x7f)
			return;
	}
}

/* --- tests --- */

static void a_block_is_taken(void **state)
{
	(void)state;
	uint8_t *block, hash[32], other[32] = {9};
	struct otd_chain_result r;
	for (int i = 0; i < 30; i++) /* through the heights of one byte */
		mine_and_accept(hash);
	size_t n = mined(&block, hash);
	assert_int_equal(ask(&r, OTD_CHAIN_BLOCK, (struct otd_span){0}, 31, hash), OTD_OK);
	assert_int_equal(r.u.block.place, OTD_CHAIN_NOT_YET);
	assert_int_equal(hand_in(block, n).verdict, OTD_CHAIN_ACCEPTED);
	assert_int_equal(hand_in(block, n).verdict, OTD_CHAIN_KNOWN);
	assert_int_equal(ask(&r, OTD_CHAIN_TIP, (struct otd_span){0}, 0, NULL), OTD_OK);
	assert_int_equal(r.u.tip.height, 31);
	assert_memory_equal(r.u.tip.hash, hash, 32);
	assert_int_equal(ask(&r, OTD_CHAIN_BLOCK, (struct otd_span){0}, 31, hash), OTD_OK);
	assert_int_equal(r.u.block.place, OTD_CHAIN_MAIN);
	assert_int_equal(r.u.block.confirmations, 1);
	assert_int_equal(ask(&r, OTD_CHAIN_BLOCK, (struct otd_span){0}, 31, other), OTD_OK);
	assert_int_equal(r.u.block.place, OTD_CHAIN_OTHER);
	assert_int_equal(ask(&r, OTD_CHAIN_PROBE, (struct otd_span){0}, 0, NULL), OTD_OK);
	assert_string_equal(r.u.probe.network, "regtest");
	free(block);
}

static void a_late_block_is_inconclusive(void **state)
{
	(void)state;
	uint8_t *late, hash[32];
	size_t n = mined(&late, hash);
	assert_non_null(strstr(command("mine 1"), "height=1"));
	assert_int_equal(hand_in(late, n).verdict, OTD_CHAIN_INCONCLUSIVE);
	late[4] ^= 1;
	mend(late, n);
	struct otd_chain_submit s = hand_in(late, n);
	assert_int_equal(s.verdict, OTD_CHAIN_REJECTED);
	assert_string_equal(s.reason, "prev-blk-not-found");
	free(late);
}

/* Offsets into a block with one transaction and a template without others. */
enum {
	AT_VERSION = 0,
	AT_TIME = 68,
	AT_BITS = 72,
	AT_SCRIPT = 81 + 4 + 2 + 1 + 36 + 1, /* the push of the height */
	AT_VALUE = AT_SCRIPT + 1 + 10 + 1 + 8 + 4 + 1,
	AT_COMMITMENT = AT_VALUE + 8 + 2 + 8 + 1 + 6
};

static void bad_blocks_are_refused(void **state)
{
	(void)state;
	static const struct {
		size_t at;
		const char *bytes;
		size_t n;
		const char *reason;
	} bad[] = {
		{AT_VERSION, "\3\0\0\0", 4, "bad-version"},
		{AT_TIME, "\0\0\0\1", 4, "time-too-old"},
		{AT_TIME, "\0\0\0\xff", 4, "time-too-new"},
		{AT_BITS, "\xff\xff\x7f\x1f", 4, "bad-diffbits"},
		{AT_SCRIPT, "\x52", 1, "bad-cb-height"},
		{AT_SCRIPT - 1, "\1", 1, "bad-txns-undecodable"},
		{AT_SCRIPT - 2, "\0", 1, "bad-cb-missing"},
		{AT_VALUE, "\1\xf2\5\x2a\1", 5, "bad-cb-amount"},
		{AT_COMMITMENT, "nothing", 7, "bad-witness-merkle-match"},
		{AT_COMMITMENT - 6, "none", 4, "unexpected-witness"},
		{80, "\2", 1, "bad-txns-undecodable"},
		{80, "\0", 1, "bad-blk-length"},
	};
	uint8_t *block, hash[32];
	size_t n = mined(&block, hash), tip = in->n_blocks, coins = in->coins.n;
	uint8_t *copy = malloc(n + 1);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		memcpy(copy, block, n);
		memcpy(copy + bad[i].at, bad[i].bytes, bad[i].n);
		mend(copy, n);
		struct otd_chain_submit s = hand_in(copy, n);
		if (s.verdict != OTD_CHAIN_REJECTED || strcmp(s.reason, bad[i].reason) != 0)
			fail_msg("%s: verdict %u %s", bad[i].reason, s.verdict, s.reason);
	}
	memcpy(copy, block, n);
	copy[36] ^= 1; /* the root, with its work done again */
	for (uint32_t nonce = 0;; nonce++) {
		memcpy(copy + 76, &nonce, 4);
		otd_sha256d(hash, copy, 80);
		if (hash[31] < 0x7f)
			break;
	}
	assert_string_equal(hand_in(copy, n).reason, "bad-txnmrklroot");
	memcpy(copy, block, n);
	do {
		copy[76]++;
		otd_sha256d(hash, copy, 80);
	} while (hash[31] < 0x80);
	assert_string_equal(hand_in(copy, n).reason, "high-hash");
	memcpy(copy, block, n);
	copy[n] = 0;
	assert_string_equal(hand_in(copy, n + 1).reason, "bad-blk-length");
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(hand_in(block, cut).verdict, OTD_CHAIN_REJECTED);
	/* None of it left a trace. */
	assert_int_equal(in->n_blocks, tip);
	assert_int_equal(in->coins.n, coins);
	assert_int_equal(hand_in(block, n).verdict, OTD_CHAIN_ACCEPTED);
	free(copy);
	free(block);
}

/* A block with this transaction in it, handed in. */
static struct otd_chain_submit with_tx(const struct devnet_coin *coin, const uint8_t *secret,
				       uint64_t value, size_t copies)
{
	struct devnet_out to = {.script = {0x51}, .script_len = 1, .value = value};
	uint8_t *block, hash[32];
	for (size_t i = 0; i < copies; i++) {
		struct devnet_mtx m;
		to.script[0] = (uint8_t)(0x51 + i);
		assert_int_equal(devnet_tx_make(&in->host, &m, coin, secret, &to, 1), OTD_OK);
		m.fee = coin->value > value ? coin->value - value : 0;
		assert_int_equal(devnet_pool_add(&in->host, &in->sends, &m), OTD_OK);
	}
	size_t n = mined(&block, hash);
	struct otd_chain_submit s = hand_in(block, n);
	devnet_pool_finish(&in->host, &in->sends);
	free(block);
	return s;
}

static void spends_are_checked(void **state)
{
	(void)state;
	uint8_t secret[32], wrong[32] = {1}, script[22], owner[20];
	const struct devnet_coin *found = NULL;
	devnet_secret(secret, DEVNET_WALLET);
	devnet_key_script(script, secret);
	devnet_owner(owner, script, 22);
	for (size_t i = 0; i < in->coins.cap && !found; i++) {
		if (in->coins.slot[i].used && memcmp(in->coins.slot[i].owner, owner, 20) == 0)
			found = &in->coins.slot[i];
	}
	struct devnet_coin coin = *found, lie;
	size_t coins = in->coins.n;
	assert_string_equal(with_tx(&coin, wrong, 5, 1).reason,
			    "mandatory-script-verify-flag-failed");
	assert_string_equal(with_tx(&coin, secret, coin.value + 1, 1).reason,
			    "bad-txns-in-belowout");
	assert_string_equal(with_tx(&coin, secret, 5, 2).reason, "bad-txns-inputs-missingorspent");
	lie = coin;
	lie.value++; /* the proof is made over another amount than the coin has */
	assert_string_equal(with_tx(&lie, secret, 5, 1).reason,
			    "mandatory-script-verify-flag-failed");
	lie = coin;
	lie.outpoint[0] ^= 1;
	assert_string_equal(with_tx(&lie, secret, 5, 1).reason, "bad-txns-inputs-missingorspent");
	assert_int_equal(in->coins.n, coins);
	assert_int_equal(with_tx(&coin, secret, coin.value - 7, 1).verdict, OTD_CHAIN_ACCEPTED);
	assert_null(devnet_coins_find(&in->coins, coin.outpoint));
}

static void rewards_mature(void **state)
{
	(void)state;
	uint8_t secret[32], script[22], owner[20];
	devnet_secret(secret, DEVNET_OTHER_MINER);
	devnet_key_script(script, secret);
	devnet_owner(owner, script, 22);
	assert_non_null(strstr(command("mine 1"), "height=1"));
	struct devnet_coin coin = {0};
	for (size_t i = 0; i < in->coins.cap; i++) {
		if (in->coins.slot[i].used && memcmp(in->coins.slot[i].owner, owner, 20) == 0)
			coin = in->coins.slot[i];
	}
	assert_int_equal(coin.value, 5000000000);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(with_tx(&coin, secret, 5, 1).reason,
				    "bad-txns-premature-spend-of-coinbase");
		(void)command("mine 1");
	}
	assert_int_equal(with_tx(&coin, secret, 5, 1).verdict, OTD_CHAIN_ACCEPTED);
}

static void reorganises(void **state)
{
	(void)state;
	uint8_t hash[3][32];
	struct otd_chain_result r;
	for (int i = 0; i < 3; i++)
		mine_and_accept(hash[i]);
	size_t coins = in->coins.n;
	assert_non_null(strstr(command("reorg 2"), "replaced=2 height=4"));
	for (uint64_t i = 0; i < 3; i++) {
		assert_int_equal(ask(&r, OTD_CHAIN_BLOCK, (struct otd_span){0}, i + 1, hash[i]),
				 OTD_OK);
		assert_int_equal(r.u.block.place, i ? OTD_CHAIN_OTHER : OTD_CHAIN_MAIN);
	}
	assert_int_equal(in->coins.n, coins + 1);
	assert_non_null(strstr(command("reorg 5"), "4 blocks to give"));
	assert_non_null(strstr(command("reorg 101"), "at most 100"));
	mine_and_accept(hash[0]);
}

static void coins_are_sent(void **state)
{
	(void)state;
	static const char to[] = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
	char words[200];
	snprintf(words, sizeof(words), "send %s 1.5", to);
	assert_non_null(strstr(command(words), "txid="));
	assert_non_null(strstr(command("mempool"), "sent=1"));
	snprintf(words, sizeof(words), "balance %s", to);
	assert_string_equal(command(words), "spendable=0.00000000 immature=0.00000000");
	(void)command("mine 1");
	assert_string_equal(command(words), "spendable=1.50000000 immature=0.00000000");
	/* A reorganisation puts it back to wait, and the next block takes it again. */
	(void)command("reorg 1");
	assert_string_equal(command(words), "spendable=0.00000000 immature=0.00000000");
	assert_non_null(strstr(command("mempool"), "sent=1"));
	uint8_t hash[32];
	mine_and_accept(hash);
	assert_string_equal(command(words), "spendable=1.50000000 immature=0.00000000");
	static const char *const bad[] = {"send x 1", "send",    "send bcrt1x 1.0",
					  "fly",      "mine -1", "mine x",
					  "",         "balance", "reorg zero"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		(void)command(bad[i]);
		assert_true(host.error[0]);
	}
	snprintf(words, sizeof(words), "send %s 0.000000001", to);
	(void)command(words);
	assert_true(host.error[0]);
	snprintf(words, sizeof(words), "send %s 10001", to);
	assert_non_null(strstr(command(words), "no free coin"));
}

static void many_transactions(void **state)
{
	(void)state;
	stop();
	options.transactions = 2048;
	assert_int_equal(start(), OTD_OK);
	for (int i = 0; i < 3; i++) {
		uint8_t hash[32];
		struct otd_chain_result r;
		assert_int_equal(ask(&r, OTD_CHAIN_TEMPLATE, (struct otd_span){0}, 0, NULL),
				 OTD_OK);
		assert_int_equal(r.u.tmpl.n_tx, 2048);
		assert_int_equal(r.u.tmpl.handle->n_branches, 12);
		assert_true(r.u.tmpl.value == 5000000000 + 2048 * 1000);
		ops->template_free(in, r.u.tmpl.handle);
		mine_and_accept(hash);
	}
	assert_non_null(strstr(command("reorg 2"), "height=4"));
	uint8_t hash[32];
	mine_and_accept(hash);
}

/* --- on disk --- */

static void restarts(void **state)
{
	(void)state;
	char tip[300];
	uint8_t hash[32];
	for (int i = 0; i < 5; i++)
		mine_and_accept(hash);
	(void)command("reorg 2");
	mine_and_accept(hash);
	assert_int_equal(disk.synced, disk.len);
	snprintf(tip, sizeof(tip), "%s", command("tip"));
	stop();
	assert_int_equal(start(), OTD_OK);
	assert_string_equal(command("tip"), tip);
	/* Torn anywhere in the last frame, the chain is one block shorter and goes on. */
	size_t whole = disk.len;
	(void)command("mine 1");
	size_t longer = disk.len;
	uint8_t *saved = malloc(longer);
	memcpy(saved, disk.data, longer);
	for (size_t cut = whole; cut < longer; cut += 13) {
		stop();
		memcpy(disk.data, saved, longer);
		disk.len = cut;
		assert_int_equal(start(), OTD_OK);
		assert_string_equal(command("tip"), tip);
		assert_int_equal(disk.len, whole);
	}
	mine_and_accept(hash);
	/* Damage with good blocks behind it is not cut away. */
	stop();
	disk.data[whole - 20] ^= 1;
	assert_int_equal(start(), OTD_E_CORRUPT);
	assert_non_null(strstr(host.error, "damaged at byte"));
	disk.data[whole - 20] ^= 1;
	assert_int_equal(start(), OTD_OK);
	free(saved);
}

static void a_full_disk_takes_no_block(void **state)
{
	(void)state;
	uint8_t *block, hash[32];
	struct otd_chain_result r;
	size_t n = mined(&block, hash), coins = in->coins.n;
	disk.full = true;
	assert_int_not_equal(ask(&r, OTD_CHAIN_SUBMIT, (struct otd_span){block, n}, 0, NULL),
			     OTD_OK);
	assert_non_null(strstr(host.error, "No space left"));
	assert_int_equal(in->n_blocks, 1);
	assert_int_equal(in->coins.n, coins);
	disk.full = false;
	assert_int_equal(hand_in(block, n).verdict, OTD_CHAIN_ACCEPTED);
	free(block);
}

/* Memory may run out at any allocation: an error, no crash, no leak, and nothing half done. */
static void memory_runs_out(void **state)
{
	(void)state;
	uint8_t *block, hash[32];
	struct otd_chain_result r;
	size_t n = mined(&block, hash);
	for (size_t i = 1;; i++) {
		host.allocs_left = i + 1;
		otd_rc rc = ask(&r, OTD_CHAIN_SUBMIT, (struct otd_span){block, n}, 0, NULL);
		bool ran_out = host.allocs_left == 0;
		host.allocs_left = 0;
		if (rc == OTD_OK && r.u.submit.verdict == OTD_CHAIN_ACCEPTED)
			break;
		assert_true(ran_out || rc);
		assert_int_equal(in->n_blocks, 1);
		assert_true(i < 100);
	}
	free(block);
}

static void the_target_follows(void **state)
{
	(void)state;
	memcpy(bits, "\x1f\x7f\xff\xff", 4);
	options.spacing_ms = 10000;
	stop();
	disk.len = 0;
	assert_int_equal(start(), OTD_OK);
	struct otd_u256 first, now;
	assert_int_equal(otd_target_from_nbits(&first, in->bits), OTD_OK);
	for (int i = 0; i < 40; i++) {
		host.wall_ms += 2000;
		(void)command("mine 1");
	}
	assert_int_equal(otd_target_from_nbits(&now, devnet_next_bits(in)), OTD_OK);
	assert_true(otd_u256_cmp(now, otd_u256_shr(first, 3)) < 0); /* five times too fast */
	for (int i = 0; i < 400; i++) {
		host.wall_ms += 30000;
		(void)command("mine 1");
	}
	/* Much too slow for long: as easy as it gets, and no easier. */
	assert_int_equal(devnet_next_bits(in), 0x207fffff);
}

static void blocks_ago_cannot_be_taken_back(void **state)
{
	(void)state;
	(void)command("mine 150");
	assert_non_null(strstr(command("reorg 100"), "height=151"));
	stop();
	assert_int_equal(start(), OTD_OK);
	assert_non_null(strstr(command("tip"), "height=151"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_block_is_taken),
		T(a_late_block_is_inconclusive),
		T(bad_blocks_are_refused),
		T(spends_are_checked),
		T(rewards_mature),
		T(reorganises),
		T(coins_are_sent),
		T(many_transactions),
		T(restarts),
		T(a_full_disk_takes_no_block),
		T(memory_runs_out),
		T(the_target_follows),
		T(blocks_ago_cannot_be_taken_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
