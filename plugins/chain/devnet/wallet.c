/* The devnet's wallet: one key, and what a node's wallet says of its coins. */
#include "devnet.h"

#include <otedama/sha256.h>
#include <string.h>

static bool is_ours(const struct otd_instance *in, const struct devnet_coin *c)
{
	return c->used && memcmp(c->owner, in->wallet_owner, 20) == 0;
}

static void own_script(uint8_t script[22])
{
	uint8_t secret[32];
	devnet_secret(secret, DEVNET_WALLET);
	devnet_key_script(script, secret);
}

static void outpoint_of(uint8_t out[36], const uint8_t txid[32], uint32_t index)
{
	memcpy(out, txid, 32);
	btc_store_u32(out + 32, index);
}

/* --- what it holds --- */

static otd_rc ask_wallet(struct otd_instance *in, const char *address, struct otd_chain_wallet *w)
{
	struct devnet_coins used;
	otd_rc rc = devnet_pool_used(in, &used);
	for (size_t i = 0; i < in->coins.cap && rc == OTD_OK; i++) {
		const struct devnet_coin *c = &in->coins.slot[i];
		if (!is_ours(in, c) || devnet_coins_find(&used, c->outpoint))
			continue;
		if (devnet_mature(in, c))
			w->balance += c->value;
		else
			w->immature += c->value;
	}
	devnet_coins_finish(&used);
	if (rc)
		return rc;
	w->min_fee_rate = in->min_fee_rate;
	w->fee_rate = in->opt->fee_rate;
	if (w->fee_rate < w->min_fee_rate)
		w->fee_rate = w->min_fee_rate;
	w->locked = in->wallet_locked;
	memcpy(w->name, "devnet", 7);
	if (address) {
		uint8_t script[BTC_MAX_SCRIPT], own[22];
		struct otd_span text = {(const uint8_t *)address, strlen(address)};
		size_t n = 0;
		own_script(own);
		w->owns = btc_address_script(&in->host, script, &n, text, &in->form, 1) == OTD_OK &&
					  n == sizeof(own) && memcmp(script, own, n) == 0
				  ? OTD_CHAIN_OWNS
				  : OTD_CHAIN_OWNS_NOT;
	}
	return OTD_OK;
}

/* Those that nothing waiting spends and nobody has locked. */
static otd_rc list_coins(struct otd_instance *in, const struct otd_chain_call *call)
{
	struct devnet_coins used;
	struct btc_buf b;
	struct otd_chain_coin one;
	size_t stride = call->coin_stride ? call->coin_stride : sizeof(one);
	uint8_t pad[256] = {0};
	otd_rc rc = devnet_pool_used(in, &used);
	btc_buf_init(&b, &in->host);
	for (size_t i = 0; i < in->coins.cap && rc == OTD_OK; i++) {
		const struct devnet_coin *c = &in->coins.slot[i];
		uint64_t confirmations = in->n_blocks - c->height;
		if (!is_ours(in, c) || !devnet_mature(in, c) ||
		    confirmations < call->confirmations || devnet_coins_find(&used, c->outpoint) ||
		    devnet_coins_find(&in->locked, c->outpoint))
			continue;
		memset(&one, 0, sizeof(one));
		memcpy(one.txid, c->outpoint, 32);
		one.index = btc_load_u32(c->outpoint + 32);
		one.script_len = 22;
		own_script(one.script);
		one.value = (otd_i128)c->value;
		one.confirmations = confirmations;
		btc_put(&b, &one, stride < sizeof(one) ? stride : sizeof(one));
		for (size_t more = sizeof(one); more < stride; more += sizeof(pad))
			btc_put(&b, pad, stride - more < sizeof(pad) ? stride - more : sizeof(pad));
	}
	devnet_coins_finish(&used);
	if (rc == OTD_OK)
		rc = b.failed ? btc_fail(&in->host, OTD_E_NOMEM, "no memory for the wallet's coins")
			      : btc_give(call->out, b.ptr, b.len);
	btc_buf_finish(&b);
	return rc;
}

static otd_rc lock(struct otd_instance *in, const struct otd_chain_call *call)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < call->n_coins && rc == OTD_OK; i++) {
		const struct otd_chain_coin *c = btc_coin_at(call->coins, call->coin_stride, i);
		struct devnet_coin mark = {.value = 0};
		outpoint_of(mark.outpoint, c->txid, c->index);
		if (call->unlock)
			devnet_coins_remove(&in->locked, mark.outpoint);
		else
			rc = devnet_coins_add(&in->locked, &mark);
	}
	return rc;
}

/* --- signing --- */

/* The proof of a spend by the wallet's key; the same at each input. */
static void prove(uint8_t witness[67], const uint8_t txid[32], const uint64_t *values, size_t n)
{
	uint8_t secret[32], digest[32];
	struct otd_sha256 s;
	devnet_secret(secret, DEVNET_WALLET);
	devnet_spend_digest(digest, txid, values, n);
	otd_sha256_init(&s);
	otd_sha256_update(&s, digest, 32);
	otd_sha256_update(&s, secret, 32);
	witness[0] = 2;
	witness[1] = witness[34] = 32;
	otd_sha256_final(&s, witness + 2);
	memcpy(witness + 35, secret, 32);
}

static otd_rc sign_with(struct otd_instance *in, const struct btc_tx *tx, struct otd_span raw,
			uint64_t *values, struct otd_buf *out)
{
	struct btc_reader r = {tx->ins, tx->ins_len, false};
	struct btc_buf b;
	uint8_t witness[67];
	for (size_t i = 0; i < tx->n_in; i++) {
		struct devnet_coin coin;
		const uint8_t *outpoint = btc_take(&r, 36);
		(void)btc_take(&r, (size_t)btc_get_varint(&r));
		(void)btc_get_u32(&r);
		if (!outpoint || !devnet_coin_find(in, &coin, outpoint))
			return btc_fail(&in->host, OTD_E_REFUSED,
					"input %zu: Input not found or already spent", i);
		if (memcmp(coin.owner, in->wallet_owner, 20) != 0)
			return btc_fail(&in->host, OTD_E_REFUSED,
					"input %zu is not the wallet's to sign", i);
		values[i] = coin.value;
	}
	prove(witness, tx->txid, values, (size_t)tx->n_in);
	const uint8_t *counted = raw.ptr + 4 + (tx->witness ? 2 : 0);
	btc_buf_init(&b, &in->host);
	btc_put(&b, raw.ptr, 4);
	btc_put_u8(&b, 0);
	btc_put_u8(&b, 1);
	btc_put(&b, counted, (size_t)(tx->outs + tx->outs_len - counted));
	for (size_t i = 0; i < tx->n_in; i++)
		btc_put(&b, witness, sizeof(witness));
	btc_put(&b, raw.ptr + raw.len - 4, 4);
	otd_rc rc = b.failed ? btc_fail(&in->host, OTD_E_NOMEM, "no memory to sign in")
			     : btc_give(out, b.ptr, b.len);
	btc_buf_finish(&b);
	return rc;
}

static otd_rc sign(struct otd_instance *in, const struct otd_chain_call *call)
{
	struct btc_tx tx;
	if (in->wallet_locked)
		return btc_fail(&in->host, OTD_E_BUSY,
				"the wallet is locked: unlock it (chain POOL wallet unlock)");
	const char *wrong = btc_tx_read(&tx, call->raw);
	if (wrong)
		return btc_fail(&in->host, OTD_E_REFUSED, "TX decode failed: %s", wrong);
	uint64_t *values = btc_alloc(&in->host, (size_t)tx.n_in * sizeof(*values));
	if (!values)
		return btc_fail(&in->host, OTD_E_NOMEM, "no memory to sign in");
	otd_rc rc = sign_with(in, &tx, call->raw, values, call->out);
	btc_free(&in->host, values);
	return rc;
}

/* --- where a transaction is --- */

static const struct devnet_coin *known(const struct otd_instance *in, const uint8_t txid[32])
{
	uint8_t mark[36];
	outpoint_of(mark, txid, UINT32_MAX);
	return devnet_coins_find(&in->known, mark);
}

/* Whether the wallet took it once, as wallets remember what came of their coins. */
static bool heard(const struct otd_instance *in, const uint8_t txid[32])
{
	uint8_t mark[36];
	outpoint_of(mark, txid, UINT32_MAX);
	return devnet_coins_find(&in->heard, mark) != NULL;
}

static otd_rc take(struct otd_instance *in, const struct otd_chain_call *call,
		   struct otd_chain_send *s)
{
	struct devnet_coin mark = {.height = 0};
	struct btc_tx tx;
	otd_rc rc = devnet_accept(in, call->raw, s);
	if (rc || s->verdict != OTD_CHAIN_SENT || btc_tx_read(&tx, call->raw))
		return rc;
	outpoint_of(mark.outpoint, tx.txid, UINT32_MAX);
	/* Without it the wallet is one that forgets, which its users can live with. */
	(void)devnet_coins_add(&in->heard, &mark);
	return OTD_OK;
}

static void where(struct otd_instance *in, const struct otd_chain_call *call,
		  struct otd_chain_tx *t)
{
	const struct devnet_coin *at = known(in, call->txid);
	t->tip_height = in->n_blocks - 1;
	t->state = OTD_CHAIN_TX_UNKNOWN;
	if (at) {
		t->state = OTD_CHAIN_TX_BLOCK;
		t->height = at->height;
		t->confirmations = in->n_blocks - at->height;
		memcpy(t->block_hash, in->block[at->height].hash, 32);
	} else if (devnet_pool_find(in, call->txid)) {
		t->state = OTD_CHAIN_TX_WAITS;
		t->in_mempool = 1;
	} else if (heard(in, call->txid)) {
		t->state = OTD_CHAIN_TX_WAITS;
	}
	for (size_t i = 0; i < call->n_coins; i++) {
		const struct otd_chain_coin *c = btc_coin_at(call->coins, call->coin_stride, i);
		uint8_t outpoint[36];
		outpoint_of(outpoint, c->txid, c->index);
		if (devnet_coins_find(&in->coins, outpoint))
			continue;
		if (known(in, c->txid))
			t->coins_spent++;
		else
			t->coins_missing++;
	}
}

otd_rc devnet_wallet(struct otd_instance *in, const struct otd_chain_call *call,
		     struct otd_chain_result *out)
{
	switch (call->kind) {
	case OTD_CHAIN_WALLET: return ask_wallet(in, call->address, &out->u.wallet);
	case OTD_CHAIN_COINS: return list_coins(in, call);
	case OTD_CHAIN_LOCK: return lock(in, call);
	case OTD_CHAIN_SIGN: return sign(in, call);
	case OTD_CHAIN_SEND: return take(in, call, &out->u.send);
	case OTD_CHAIN_TX: where(in, call, &out->u.tx); return OTD_OK;
	default: return OTD_E_UNSUPPORTED;
	}
}

/* --- commands --- */

static bool word_is(struct otd_span w, const char *word)
{
	return w.len == strlen(word) && memcmp(w.ptr, word, w.len) == 0;
}

static otd_rc set_fee(struct otd_instance *in, struct otd_span w)
{
	uint64_t rate = 0;
	for (size_t i = 0; i < w.len; i++) {
		if (w.ptr[i] < '0' || w.ptr[i] > '9' || i > 8)
			return btc_fail(&in->host, OTD_E_INVALID,
					"wallet fee: how many base units per 1000 virtual bytes?");
		rate = rate * 10 + (uint64_t)(w.ptr[i] - '0');
	}
	in->min_fee_rate = rate;
	/* What pays less is thrown out, as from a mempool that is full. */
	size_t kept = 0;
	for (size_t i = 0; i < in->sends.n; i++) {
		struct devnet_mtx *m = &in->sends.tx[i];
		struct btc_tx tx;
		if (btc_tx_read(&tx, (struct otd_span){m->raw, m->len}) ||
		    m->fee < (rate * tx.vsize + 999) / 1000)
			btc_free(&in->host, m->raw);
		else
			in->sends.tx[kept++] = *m;
	}
	in->sends.n = kept;
	devnet_pool_sweep(in);
	return OTD_OK;
}

/* Another transaction takes the first coin of one that waits, and sends it back to the wallet. */
static otd_rc conflict(struct otd_instance *in, struct otd_span w, struct btc_buf *answer)
{
	struct devnet_out to = {.script_len = 22};
	struct devnet_coin coin;
	struct devnet_mtx *m = NULL, made;
	struct otd_chain_send said = {0};
	uint8_t txid[32], secret[32];
	char text[65];
	if (btc_unhex_hash(txid, (const char *)w.ptr, w.len))
		m = devnet_pool_find(in, txid);
	if (!m || !devnet_coin_find(in, &coin, devnet_outpoint(m, 0)) || coin.value < 2 * m->fee)
		return btc_fail(&in->host, OTD_E_NOT_FOUND,
				"wallet conflict: no such transaction waits; see mempool");
	devnet_secret(secret, DEVNET_WALLET);
	own_script(to.script);
	to.value = coin.value - m->fee - in->min_fee_rate - 1000;
	otd_rc rc = devnet_tx_make(&in->host, &made, &coin, secret, &to, 1);
	if (rc)
		return rc;
	rc = devnet_accept(in, (struct otd_span){made.raw, made.len}, &said);
	btc_free(&in->host, made.raw);
	if (rc == OTD_OK && said.verdict != OTD_CHAIN_SENT)
		rc = btc_fail(&in->host, OTD_E_REFUSED, "wallet conflict: %s", said.reason);
	if (rc == OTD_OK)
		btc_put_text(answer, "txid=%s", btc_hash_text(text, made.txid));
	return rc;
}

otd_rc devnet_wallet_command(struct otd_instance *in, const struct otd_span *words, size_t n,
			     struct btc_buf *answer)
{
	struct otd_chain_wallet w = {0};
	uint8_t script[22];
	char address[BTC_MAX_ADDRESS];
	if (n == 2 && word_is(words[0], "conflict"))
		return conflict(in, words[1], answer);
	otd_rc rc = OTD_OK;
	if (n == 1 && word_is(words[0], "lock"))
		in->wallet_locked = true;
	else if (n == 1 && word_is(words[0], "unlock"))
		in->wallet_locked = false;
	else if (n == 2 && word_is(words[0], "fee"))
		rc = set_fee(in, words[1]);
	else if (n)
		rc = btc_fail(&in->host, OTD_E_INVALID,
			      "wallet: lock, unlock, fee RATE or conflict TXID");
	if (rc == OTD_OK)
		rc = ask_wallet(in, NULL, &w);
	if (rc)
		return rc;
	own_script(script);
	address[0] = 0;
	if (btc_address_text(&in->host, address, script, sizeof(script), &in->form))
		address[0] = 0;
	btc_put_text(answer,
		     "address=%s locked=%u balance=%lld immature=%lld coins_locked=%zu "
		     "fee_rate=%lld min_fee_rate=%lld",
		     address, w.locked, (long long)w.balance, (long long)w.immature, in->locked.n,
		     (long long)w.fee_rate, (long long)w.min_fee_rate);
	return OTD_OK;
}
