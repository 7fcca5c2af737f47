/* What a node checks of a block, and the changes that it makes to the chain. */
#include "devnet.h"

#include "common/merkle.h"
#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>

#define MEDIAN_SPAN   11
#define RETARGET_SPAN 16

/* The block that is being put on the chain. */
struct work {
	struct otd_instance *in;
	struct otd_span raw;
	struct devnet_tx *tx;
	size_t n_tx;
	struct devnet_coin *spent;
	size_t n_spent, cap_spent;
	uint64_t fees;
	uint32_t height;
};

int64_t devnet_now_s(const struct otd_instance *in)
{
	return in->clock->wall_ms(in->host.h) / 1000;
}

static int by_time(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

int64_t devnet_min_time(const struct otd_instance *in)
{
	uint32_t t[MEDIAN_SPAN];
	size_t n = in->n_blocks < MEDIAN_SPAN ? in->n_blocks : MEDIAN_SPAN;
	for (size_t i = 0; i < n; i++)
		t[i] = in->block[in->n_blocks - 1 - i].time_s;
	qsort(t, n, sizeof(t[0]), by_time);
	return (int64_t)t[n / 2] + 1;
}

int64_t devnet_height_of(const struct otd_instance *in, const uint8_t hash[32])
{
	for (size_t i = in->n_blocks; i-- > 0;) {
		if (memcmp(in->block[i].hash, hash, 32) == 0)
			return (int64_t)i;
	}
	return -1;
}

/* --- target --- */

static uint32_t compact(struct otd_u256 target)
{
	unsigned size = (otd_u256_bits(target) + 7) / 8;
	uint64_t word = size <= 3 ? target.w[0] << (8 * (3 - size))
				  : otd_u256_shr(target, 8 * (size - 3)).w[0];
	if (word & 0x00800000) {
		word >>= 8;
		size++;
	}
	return (uint32_t)word | size << 24;
}

/*
 * With a spacing, the target is the mean of the last blocks' targets times the time that they took
 * over the time that they should have taken, at most a factor of four; one interval counts at most
 * six spacings, so that a chain that slept does not wake up trivial.
 */
uint32_t devnet_next_bits(const struct otd_instance *in)
{
	int64_t spacing_s = in->opt->spacing_ms / 1000, took = 0;
	size_t tip = in->n_blocks - 1;
	/* The interval before block 1 is the age of the genesis block and says nothing. */
	size_t n = tip < RETARGET_SPAN + 1 ? (tip ? tip - 1 : 0) : RETARGET_SPAN;
	if (spacing_s <= 0 || n < 2)
		return in->bits;
	struct otd_u256 mean = otd_u256_zero(), target, limit, part;
	for (size_t i = tip - n + 1; i <= tip; i++) {
		int64_t d = (int64_t)in->block[i].time_s - in->block[i - 1].time_s;
		took += d < 0 ? 0 : d > 6 * spacing_s ? 6 * spacing_s : d;
		if (otd_target_from_nbits(&target, in->block[i].nbits) ||
		    otd_u256_div(&part, NULL, target, otd_u256_from_u64(n)))
			return in->bits;
		(void)otd_u256_add(&mean, mean, part);
	}
	int64_t should = spacing_s * (int64_t)n;
	took = took < should / 4 ? should / 4 : took > should * 4 ? should * 4 : took;
	if (otd_target_from_nbits(&limit, 0x207fffff) ||
	    otd_u256_div(&part, NULL, mean, otd_u256_from_u64((uint64_t)should)))
		return in->bits;
	if (otd_u256_mul_u64(&target, part, (uint64_t)(took > 0 ? took : 1)) ||
	    otd_u256_cmp(target, limit) > 0)
		target = limit;
	return otd_u256_is_zero(target) ? in->bits : compact(target);
}

/* --- stateless checks --- */

static const char *check_header(struct work *w, enum devnet_check check)
{
	const uint8_t *h = w->raw.ptr;
	const struct otd_instance *in = w->in;
	int64_t time_s = btc_load_u32(h + 68);
	uint8_t hash[32];
	struct otd_u256 target;
	if (memcmp(h + 4, in->block[in->n_blocks - 1].hash, 32) != 0)
		return "prev-blk-not-found";
	if (check == DEVNET_CHECK_REPLAY)
		return NULL;
	if (btc_load_u32(h + 72) != devnet_next_bits(in))
		return "bad-diffbits";
	if (otd_target_from_nbits(&target, btc_load_u32(h + 72)))
		return "bad-diffbits";
	if (check == DEVNET_CHECK_ALL) {
		struct otd_span header = {h, BTC_HEADER_LEN};
		if (in->hash->pow(in->host.h, hash, header, w->height) ||
		    otd_u256_cmp(otd_u256_from_le(hash), target) > 0)
			return "high-hash";
	}
	if ((int32_t)btc_load_u32(h) < 4)
		return "bad-version";
	if (time_s < devnet_min_time(in))
		return "time-too-old";
	if (time_s > devnet_now_s(in) + DEVNET_MAX_FUTURE)
		return "time-too-new";
	return NULL;
}

/* Reads all transactions; NULL or the reason. *rc is trouble of our own. */
static const char *read_block(struct work *w, otd_rc *rc)
{
	struct btc_reader r = {w->raw.ptr + BTC_HEADER_LEN, w->raw.len - BTC_HEADER_LEN, false};
	uint64_t n = btc_get_varint(&r);
	/* The smallest transaction has 60 bytes. */
	if (r.failed || n == 0 || n > w->raw.len / 60)
		return "bad-blk-length";
	w->tx = btc_alloc(&w->in->host, (size_t)n * sizeof(*w->tx));
	if (!w->tx) {
		*rc = btc_fail(&w->in->host, OTD_E_NOMEM, "no memory for a block");
		return NULL;
	}
	for (w->n_tx = 0; w->n_tx < n; w->n_tx++) {
		if (!devnet_tx_read(&w->tx[w->n_tx], &r))
			return "bad-txns-undecodable";
	}
	return r.left ? "bad-blk-length" : NULL;
}

static const char *check_merkle(struct work *w, otd_rc *rc)
{
	const struct btc_host *host = &w->in->host;
	uint8_t root[32], *ids = btc_alloc(host, w->n_tx * 32);
	bool doubled = false;
	if (!ids) {
		*rc = btc_fail(host, OTD_E_NOMEM, "no memory for a block");
		return NULL;
	}
	for (size_t i = 0; i < w->n_tx; i++)
		memcpy(ids + 32 * i, w->tx[i].txid, 32);
	*rc = btc_merkle_root(host, root, &doubled, ids, w->n_tx);
	btc_free(host, ids);
	if (*rc)
		return NULL;
	if (memcmp(root, w->raw.ptr + 36, 32) != 0)
		return "bad-txnmrklroot";
	return doubled ? "bad-txns-duplicate" : NULL;
}

static bool is_coinbase(const struct devnet_tx *tx)
{
	static const uint8_t null_outpoint[36] = {[32] = 0xff, 0xff, 0xff, 0xff};
	return tx->n_in == 1 && memcmp(tx->ins, null_outpoint, 36) == 0;
}

static const char *check_coinbase(const struct work *w)
{
	uint8_t push[9];
	size_t n = btc_height_push(push, w->height);
	if (!is_coinbase(&w->tx[0]))
		return "bad-cb-missing";
	for (size_t i = 1; i < w->n_tx; i++) {
		if (is_coinbase(&w->tx[i]))
			return "bad-cb-multiple";
	}
	struct btc_reader r = {w->tx[0].ins + 36, w->tx[0].ins_len - 36, false};
	uint64_t len = btc_get_varint(&r);
	if (len < 2 || len > 100)
		return "bad-cb-length";
	if (len < n || memcmp(r.ptr, push, n) != 0)
		return "bad-cb-height";
	return NULL;
}

/* The coinbase's last output of BIP 141's form; NULL where there is none. */
static const uint8_t *find_commitment(const struct devnet_tx *cb)
{
	static const uint8_t head[6] = {0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed};
	const uint8_t *found = NULL;
	struct btc_reader r = {cb->outs, cb->outs_len, false};
	for (uint64_t i = 0; i < cb->n_out; i++) {
		(void)btc_get_u64(&r);
		size_t n = (size_t)btc_get_varint(&r);
		const uint8_t *script = btc_take(&r, n);
		if (script && n >= 38 && memcmp(script, head, sizeof(head)) == 0)
			found = script + sizeof(head);
	}
	return found;
}

static const char *check_witness(struct work *w, otd_rc *rc)
{
	const struct devnet_tx *cb = &w->tx[0];
	const struct btc_host *host = &w->in->host;
	const uint8_t *commitment = find_commitment(cb);
	uint8_t pair[64], made[32];
	if (!commitment) {
		for (size_t i = 0; i < w->n_tx; i++) {
			if (w->tx[i].witness)
				return "unexpected-witness";
		}
		return NULL;
	}
	if (cb->witness_len != 34 || cb->witness[0] != 1 || cb->witness[1] != 32)
		return "bad-witness-nonce-size";
	uint8_t *ids = btc_alloc(host, w->n_tx * 32);
	if (!ids) {
		*rc = btc_fail(host, OTD_E_NOMEM, "no memory for a block");
		return NULL;
	}
	for (size_t i = 1; i < w->n_tx; i++)
		memcpy(ids + 32 * i, w->tx[i].wtxid, 32);
	*rc = btc_merkle_root(host, pair, NULL, ids, w->n_tx);
	btc_free(host, ids);
	memcpy(pair + 32, cb->witness + 2, 32);
	otd_sha256d(made, pair, sizeof(pair));
	return *rc || memcmp(made, commitment, 32) == 0 ? NULL : "bad-witness-merkle-match";
}

/* --- changes --- */

/* The wallet's transactions bear a mark in the index of those that it knows. */
static otd_rc know(struct work *w, const struct devnet_tx *tx)
{
	struct devnet_coin mark = {.height = w->height};
	memcpy(mark.outpoint, tx->txid, 32);
	memset(mark.outpoint + 32, 0xff, 4);
	return devnet_coins_add(&w->in->known, &mark);
}

static bool is_wallets(const struct work *w, const struct devnet_coin *c)
{
	return memcmp(c->owner, w->in->wallet_owner, 20) == 0;
}

static void drop_outputs(struct otd_instance *in, const struct devnet_tx *tx)
{
	uint8_t outpoint[36];
	memcpy(outpoint, tx->txid, 32);
	memset(outpoint + 32, 0xff, 4);
	devnet_coins_remove(&in->known, outpoint);
	for (uint64_t i = 0; i < tx->n_out; i++) {
		btc_store_u32(outpoint + 32, (uint32_t)i);
		devnet_coins_remove(&in->coins, outpoint);
	}
}

static const char *add_outputs(struct work *w, const struct devnet_tx *tx, uint64_t *sum,
			       otd_rc *rc)
{
	struct btc_reader r = {tx->outs, tx->outs_len, false};
	*sum = 0;
	for (uint64_t i = 0; i < tx->n_out && *rc == OTD_OK; i++) {
		struct devnet_coin coin = {.height = w->height, .coinbase = tx == w->tx};
		coin.value = btc_get_u64(&r);
		size_t n = (size_t)btc_get_varint(&r);
		const uint8_t *script = btc_take(&r, n);
		if (coin.value > INT64_MAX || *sum + coin.value > INT64_MAX)
			return "bad-txns-txouttotal-toolarge";
		*sum += coin.value;
		if (!script || (n && script[0] == 0x6a))
			continue;
		memcpy(coin.outpoint, tx->txid, 32);
		btc_store_u32(coin.outpoint + 32, (uint32_t)i);
		devnet_owner(coin.owner, script, n);
		*rc = devnet_coins_add(&w->in->coins, &coin);
		if (*rc == OTD_OK && is_wallets(w, &coin))
			*rc = know(w, tx);
	}
	return NULL;
}

/* Puts back the coins that were spent since mark. */
static void unspend(struct work *w, size_t mark)
{
	while (w->n_spent > mark)
		(void)devnet_coins_add(&w->in->coins, &w->spent[--w->n_spent]);
}

static otd_rc take_coin(struct work *w, const struct devnet_coin *coin)
{
	if (w->n_spent == w->cap_spent) {
		size_t cap = w->cap_spent ? w->cap_spent * 2 : 64;
		struct devnet_coin *more = btc_alloc(&w->in->host, cap * sizeof(*more));
		if (!more)
			return btc_fail(&w->in->host, OTD_E_NOMEM, "no memory for a block");
		if (w->n_spent)
			memcpy(more, w->spent, w->n_spent * sizeof(*more));
		btc_free(&w->in->host, w->spent);
		w->spent = more;
		w->cap_spent = cap;
	}
	w->spent[w->n_spent++] = *coin;
	devnet_coins_remove(&w->in->coins, w->spent[w->n_spent - 1].outpoint);
	return OTD_OK;
}

/* Each input's witness against the owner of what it spends. */
const char *devnet_check_proofs(struct otd_instance *in, const struct devnet_tx *tx,
				const struct devnet_coin *coins, size_t n, otd_rc *rc)
{
	const char *bad = "mandatory-script-verify-flag-failed";
	uint64_t *values = btc_alloc(&in->host, n * sizeof(*values));
	if (!values) {
		*rc = btc_fail(&in->host, OTD_E_NOMEM, "no memory for a block");
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		values[i] = coins[i].value;
	uint8_t both[64], made[32], script[22], owner[20];
	devnet_spend_digest(both, tx->txid, values, n);
	btc_free(&in->host, values);
	/* Each witness is 02 20 PROOF 20 SECRET. */
	if (tx->witness_len != n * 67)
		return bad;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *p = tx->witness + 67 * i;
		if (p[0] != 2 || p[1] != 32 || p[34] != 32)
			return bad;
		memcpy(both + 32, p + 35, 32);
		otd_sha256(made, both, sizeof(both));
		devnet_key_script(script, p + 35);
		devnet_owner(owner, script, sizeof(script));
		if (memcmp(made, p + 2, 32) != 0 || memcmp(owner, coins[i].owner, 20) != 0)
			return bad;
	}
	return NULL;
}

/* Takes the coins of every input; *ours: one of them is the wallet's. */
static const char *take_inputs(struct work *w, const struct devnet_tx *tx, uint64_t *sum,
			       bool *ours, otd_rc *rc)
{
	struct btc_reader r = {tx->ins, tx->ins_len, false};
	for (uint64_t i = 0; i < tx->n_in && *rc == OTD_OK; i++) {
		const uint8_t *outpoint = btc_take(&r, 36);
		(void)btc_take(&r, (size_t)btc_get_varint(&r));
		(void)btc_get_u32(&r);
		struct devnet_coin *coin =
			outpoint ? devnet_coins_find(&w->in->coins, outpoint) : NULL;
		if (!coin)
			return "bad-txns-inputs-missingorspent";
		if (coin->coinbase && w->height - coin->height < (uint64_t)w->in->opt->maturity)
			return "bad-txns-premature-spend-of-coinbase";
		*sum += coin->value;
		*ours = *ours || is_wallets(w, coin);
		*rc = take_coin(w, coin);
	}
	return NULL;
}

static const char *spend(struct work *w, const struct devnet_tx *tx, otd_rc *rc)
{
	size_t mark = w->n_spent;
	bool ours = false;
	uint64_t in_sum = 0, out_sum = 0;
	const char *reason = take_inputs(w, tx, &in_sum, &ours, rc);
	if (!reason && *rc == OTD_OK)
		reason = devnet_check_proofs(w->in, tx, w->spent + mark, w->n_spent - mark, rc);
	/* A transaction that stands in the chain already fails before this; its outputs stay. */
	bool added = !reason && *rc == OTD_OK;
	if (added)
		reason = add_outputs(w, tx, &out_sum, rc);
	if (!reason && *rc == OTD_OK && ours)
		*rc = know(w, tx);
	if (!reason && *rc == OTD_OK && out_sum > in_sum)
		reason = "bad-txns-in-belowout";
	if (reason || *rc) {
		if (added)
			drop_outputs(w->in, tx);
		unspend(w, mark);
		return reason;
	}
	w->fees += in_sum - out_sum;
	return NULL;
}

/* Takes back the first n_tx transactions, last first. */
static void undo(struct work *w, size_t n_tx)
{
	for (size_t i = n_tx; i-- > 0;) {
		drop_outputs(w->in, &w->tx[i]);
		if (i)
			unspend(w, w->n_spent - (size_t)w->tx[i].n_in);
	}
}

static const char *apply(struct work *w, otd_rc *rc)
{
	uint64_t paid = 0;
	/* The coinbase comes first; its sum is judged when the fees are known. */
	const char *reason = add_outputs(w, &w->tx[0], &paid, rc);
	size_t done = 1;
	for (; done < w->n_tx && !reason && *rc == OTD_OK; done++) {
		reason = spend(w, &w->tx[done], rc);
		if (reason || *rc)
			break;
	}
	if (!reason && *rc == OTD_OK && paid > (uint64_t)w->in->opt->subsidy + w->fees)
		reason = "bad-cb-amount";
	if (reason || *rc)
		undo(w, done);
	return reason;
}

static otd_rc push_block(struct work *w)
{
	struct otd_instance *in = w->in;
	if (in->n_blocks == in->cap_blocks) {
		size_t cap = in->cap_blocks * 2;
		struct devnet_block *more = btc_alloc(&in->host, cap * sizeof(*more));
		if (!more)
			return btc_fail(&in->host, OTD_E_NOMEM, "no memory for %zu blocks", cap);
		memcpy(more, in->block, in->n_blocks * sizeof(*more));
		btc_free(&in->host, in->block);
		in->block = more;
		in->cap_blocks = cap;
	}
	struct devnet_block b = {.time_s = btc_load_u32(w->raw.ptr + 68),
				 .nbits = btc_load_u32(w->raw.ptr + 72),
				 .n_spent = (uint32_t)w->n_spent,
				 .raw_len = w->raw.len,
				 .spent = w->spent};
	struct otd_span header = {w->raw.ptr, BTC_HEADER_LEN};
	otd_rc rc = in->hash->identity(in->host.h, b.hash, header, w->height);
	b.raw = rc ? NULL : btc_alloc(&in->host, w->raw.len);
	if (!b.raw)
		return rc ? rc : btc_fail(&in->host, OTD_E_NOMEM, "no memory for a block");
	memcpy(b.raw, w->raw.ptr, w->raw.len);
	w->spent = NULL;
	in->block[in->n_blocks++] = b;
	if (in->n_blocks > DEVNET_UNDO) {
		struct devnet_block *old = &in->block[in->n_blocks - 1 - DEVNET_UNDO];
		btc_free(&in->host, old->raw);
		btc_free(&in->host, old->spent);
		old->raw = NULL;
		old->spent = NULL;
	}
	return OTD_OK;
}

otd_rc devnet_connect(struct otd_instance *in, const char **reason, struct otd_span raw,
		      enum devnet_check check)
{
	struct work w = {.in = in, .raw = raw, .height = (uint32_t)in->n_blocks};
	otd_rc rc = OTD_OK;
	*reason = raw.len <= BTC_HEADER_LEN || raw.len > DEVNET_MAX_BLOCK ? "bad-blk-length" : NULL;
	if (!*reason)
		*reason = check_header(&w, check);
	if (!*reason)
		*reason = read_block(&w, &rc);
	if (!*reason && rc == OTD_OK)
		*reason = check_merkle(&w, &rc);
	if (!*reason && rc == OTD_OK)
		*reason = check_coinbase(&w);
	if (!*reason && rc == OTD_OK)
		*reason = check_witness(&w, &rc);
	if (!*reason && rc == OTD_OK)
		*reason = apply(&w, &rc);
	if (!*reason && rc == OTD_OK) {
		rc = push_block(&w);
		if (rc)
			undo(&w, w.n_tx);
	}
	if (!*reason && rc == OTD_OK)
		in->generated_fresh = false;
	btc_free(&in->host, w.tx);
	btc_free(&in->host, w.spent);
	return rc;
}

/* Its inputs less its outputs; what was spent was checked when the block came. */
static uint64_t fee_of(const struct devnet_tx *tx, const struct devnet_coin *spent)
{
	struct btc_reader r = {tx->outs, tx->outs_len, false};
	uint64_t fee = 0;
	for (uint64_t i = 0; i < tx->n_in; i++)
		fee += spent[i].value;
	for (uint64_t i = 0; i < tx->n_out; i++) {
		fee -= btc_get_u64(&r);
		(void)btc_take(&r, (size_t)btc_get_varint(&r));
	}
	return fee;
}

/* What somebody sent waits again; generated ones are made anew. */
static void keep_sends(struct otd_instance *in, const struct work *w)
{
	uint8_t secret[32], script[22], faucet[20];
	devnet_secret(secret, DEVNET_FAUCETS);
	devnet_key_script(script, secret);
	devnet_owner(faucet, script, sizeof(script));
	size_t at = 0;
	for (size_t i = 1; i < w->n_tx; i++) {
		const struct devnet_tx *tx = &w->tx[i];
		const struct devnet_coin *spent = &w->spent[at];
		bool keep = memcmp(spent->owner, faucet, 20) != 0 && tx->witness &&
			    tx->ins_len == 41 * tx->n_in;
		at += (size_t)tx->n_in;
		struct devnet_mtx m = {.len = tx->len, .n_in = (size_t)tx->n_in};
		m.raw = keep ? btc_alloc(&in->host, tx->len) : NULL;
		if (!m.raw)
			continue;
		memcpy(m.raw, tx->raw, tx->len);
		memcpy(m.txid, tx->txid, 32);
		memcpy(m.wtxid, tx->wtxid, 32);
		m.fee = fee_of(tx, spent);
		if (devnet_pool_add(&in->host, &in->sends, &m))
			btc_free(&in->host, m.raw);
	}
}

otd_rc devnet_disconnect(struct otd_instance *in)
{
	struct devnet_block *b = &in->block[in->n_blocks - 1];
	if (in->n_blocks < 2 || !b->raw)
		return btc_fail(&in->host, OTD_E_RANGE, "at most %d blocks can be taken back",
				DEVNET_UNDO);
	struct work w = {.in = in, .raw = {b->raw, b->raw_len}, .spent = b->spent};
	otd_rc rc = OTD_OK;
	const char *reason = read_block(&w, &rc);
	if (reason || rc) {
		btc_free(&in->host, w.tx);
		return rc ? rc : btc_fail(&in->host, OTD_E_CORRUPT, "a block of ours: %s", reason);
	}
	keep_sends(in, &w);
	w.n_spent = b->n_spent;
	undo(&w, w.n_tx);
	btc_free(&in->host, w.tx);
	btc_free(&in->host, b->raw);
	btc_free(&in->host, b->spent);
	in->n_blocks--;
	in->generated_fresh = false;
	return OTD_OK;
}
