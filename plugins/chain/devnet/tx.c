#include "devnet.h"

#include <otedama/sha256.h>
#include <string.h>

#define MAX_IO 100000 /* inputs or outputs of one transaction; a block would not hold more */

void devnet_secret(uint8_t secret[32], enum devnet_who who)
{
	static const char *const seed[] = {"devnet wallet", "devnet faucet", "devnet other miner"};
	otd_sha256(secret, seed[who], strlen(seed[who]));
}

void devnet_key_script(uint8_t script[22], const uint8_t secret[32])
{
	uint8_t digest[32];
	otd_sha256d(digest, secret, 32);
	script[0] = 0;
	script[1] = 20;
	memcpy(script + 2, digest, 20);
}

void devnet_owner(uint8_t owner[20], const uint8_t *script, size_t n)
{
	uint8_t digest[32];
	otd_sha256(digest, script, n);
	memcpy(owner, digest, 20);
}

static void skip_ins(struct devnet_tx *tx, struct btc_reader *r)
{
	for (uint64_t i = 0; i < tx->n_in && !r->failed; i++) {
		(void)btc_take(r, 36);
		(void)btc_take(r, (size_t)btc_get_varint(r));
		(void)btc_get_u32(r);
	}
}

static void skip_outs(struct devnet_tx *tx, struct btc_reader *r)
{
	for (uint64_t i = 0; i < tx->n_out && !r->failed; i++) {
		(void)btc_get_u64(r);
		(void)btc_take(r, (size_t)btc_get_varint(r));
	}
}

static void skip_witness(struct devnet_tx *tx, struct btc_reader *r)
{
	for (uint64_t i = 0; i < tx->n_in && !r->failed; i++) {
		for (uint64_t k = btc_get_varint(r); k > 0 && !r->failed; k--)
			(void)btc_take(r, (size_t)btc_get_varint(r));
	}
}

static void twice(uint8_t out[32], struct otd_sha256 *s)
{
	uint8_t once[32];
	otd_sha256_final(s, once);
	otd_sha256(out, once, sizeof(once));
}

static void name(struct devnet_tx *tx, const uint8_t *counted)
{
	struct otd_sha256 s;
	const uint8_t *end = tx->outs + tx->outs_len;
	otd_sha256_init(&s);
	otd_sha256_update(&s, tx->raw, 4);
	otd_sha256_update(&s, counted, (size_t)(end - counted));
	otd_sha256_update(&s, tx->raw + tx->len - 4, 4);
	twice(tx->txid, &s);
	if (tx->witness)
		otd_sha256d(tx->wtxid, tx->raw, tx->len);
	else
		memcpy(tx->wtxid, tx->txid, 32);
}

bool devnet_tx_read(struct devnet_tx *tx, struct btc_reader *r)
{
	*tx = (struct devnet_tx){.raw = r->ptr};
	(void)btc_get_u32(r);
	bool segwit = r->left >= 2 && r->ptr[0] == 0 && r->ptr[1] == 1;
	if (segwit)
		(void)btc_take(r, 2);
	const uint8_t *counted = r->ptr;
	tx->n_in = btc_get_varint(r);
	tx->ins = r->ptr;
	if (tx->n_in == 0 || tx->n_in > MAX_IO)
		return false;
	skip_ins(tx, r);
	tx->ins_len = (size_t)(r->ptr - tx->ins);
	tx->n_out = btc_get_varint(r);
	tx->outs = r->ptr;
	if (r->failed || tx->n_out == 0 || tx->n_out > MAX_IO)
		return false;
	skip_outs(tx, r);
	tx->outs_len = (size_t)(r->ptr - tx->outs);
	if (segwit) {
		tx->witness = r->ptr;
		skip_witness(tx, r);
		tx->witness_len = (size_t)(r->ptr - tx->witness);
	}
	(void)btc_get_u32(r);
	if (r->failed)
		return false;
	tx->len = (size_t)(r->ptr - tx->raw);
	name(tx, counted);
	return true;
}

void devnet_spend_digest(uint8_t out[32], const uint8_t txid[32], const uint64_t *values, size_t n)
{
	struct otd_sha256 s;
	otd_sha256_init(&s);
	otd_sha256_update(&s, "devnet spend", 12);
	otd_sha256_update(&s, txid, 32);
	for (size_t i = 0; i < n; i++) {
		uint8_t le[8];
		btc_store_u32(le, (uint32_t)values[i]);
		btc_store_u32(le + 4, (uint32_t)(values[i] >> 32));
		otd_sha256_update(&s, le, sizeof(le));
	}
	twice(out, &s);
}

otd_rc devnet_tx_make(const struct btc_host *host, struct devnet_mtx *out,
		      const struct devnet_coin *coin, const uint8_t secret[32],
		      const struct devnet_out *outs, size_t n_outs)
{
	struct btc_buf b;
	struct otd_sha256 s;
	uint8_t digest[32];
	uint64_t paid = 0;
	btc_buf_init(&b, host);
	btc_put_u32(&b, 2);
	btc_put_u8(&b, 0);
	btc_put_u8(&b, 1);
	btc_put_varint(&b, 1);
	btc_put(&b, coin->outpoint, 36);
	btc_put_varint(&b, 0);
	btc_put_u32(&b, 0xffffffff);
	btc_put_varint(&b, n_outs);
	for (size_t i = 0; i < n_outs; i++) {
		btc_put_u64(&b, outs[i].value);
		btc_put_varint(&b, outs[i].script_len);
		btc_put(&b, outs[i].script, outs[i].script_len);
		paid += outs[i].value;
	}
	if (b.failed)
		goto out;
	static const uint8_t lock_time[4];
	otd_sha256_init(&s);
	otd_sha256_update(&s, b.ptr, 4);
	otd_sha256_update(&s, b.ptr + 6, b.len - 6);
	otd_sha256_update(&s, lock_time, 4);
	twice(out->txid, &s);
	devnet_spend_digest(digest, out->txid, &coin->value, 1);
	otd_sha256_init(&s);
	otd_sha256_update(&s, digest, 32);
	otd_sha256_update(&s, secret, 32);
	otd_sha256_final(&s, digest);
	btc_put_varint(&b, 2);
	btc_put_varint(&b, 32);
	btc_put(&b, digest, 32);
	btc_put_varint(&b, 32);
	btc_put(&b, secret, 32);
	btc_put_u32(&b, 0);
out:
	if (b.failed) {
		btc_buf_finish(&b);
		return btc_fail(host, OTD_E_NOMEM, "no memory for a transaction");
	}
	otd_sha256d(out->wtxid, b.ptr, b.len);
	out->raw = b.ptr;
	out->len = b.len;
	out->n_in = 1;
	out->fee = coin->value - paid;
	return OTD_OK;
}
