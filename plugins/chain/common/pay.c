#include "common/pay.h"

#include <otedama/sha256.h>
#include <string.h>

#define TX_VERSION   2
#define MAX_IO       100000 /* inputs or outputs; a transaction that nodes pass on has fewer */
#define MAX_SCRIPT   10000
#define MAX_DECIMALS 8

/* --- reading --- */

static void skip_inputs(struct btc_reader *r, uint64_t n)
{
	for (; n > 0 && !r->failed; n--) {
		(void)btc_take(r, 36);
		(void)btc_take(r, (size_t)btc_get_varint(r));
		(void)btc_get_u32(r);
	}
}

static void skip_outputs(struct btc_reader *r, uint64_t n)
{
	for (; n > 0 && !r->failed; n--) {
		(void)btc_get_u64(r);
		(void)btc_take(r, (size_t)btc_get_varint(r));
	}
}

static void skip_witnesses(struct btc_reader *r, uint64_t n)
{
	for (; n > 0 && !r->failed; n--) {
		for (uint64_t k = btc_get_varint(r); k > 0 && !r->failed; k--)
			(void)btc_take(r, (size_t)btc_get_varint(r));
	}
}

/* BIP 141: the identity leaves marker, flag and witness out. */
static void identify(struct btc_tx *tx, struct otd_span raw, const uint8_t *counted, size_t n)
{
	struct otd_sha256 s;
	uint8_t once[32];
	otd_sha256_init(&s);
	otd_sha256_update(&s, raw.ptr, 4);
	otd_sha256_update(&s, counted, n);
	otd_sha256_update(&s, raw.ptr + raw.len - 4, 4);
	otd_sha256_final(&s, once);
	otd_sha256(tx->txid, once, sizeof(once));
	tx->vsize = (3 * (uint64_t)(n + 8) + raw.len + 3) / 4;
}

const char *btc_tx_read(struct btc_tx *tx, struct otd_span raw)
{
	struct btc_reader r = {raw.ptr, raw.len, false};
	*tx = (struct btc_tx){.version = btc_get_u32(&r)};
	bool segwit = r.left >= 2 && r.ptr[0] == 0;
	if (segwit && r.ptr[1] != 1)
		return "its flag is none that we know";
	if (segwit)
		(void)btc_take(&r, 2);
	const uint8_t *counted = r.ptr;
	tx->n_in = btc_get_varint(&r);
	tx->ins = r.ptr;
	if (r.failed || tx->n_in == 0 || tx->n_in > MAX_IO)
		return "it has no inputs, or too many";
	skip_inputs(&r, tx->n_in);
	tx->ins_len = (size_t)(r.ptr - tx->ins);
	tx->n_out = btc_get_varint(&r);
	tx->outs = r.ptr;
	if (r.failed || tx->n_out == 0 || tx->n_out > MAX_IO)
		return "it has no outputs, or too many";
	skip_outputs(&r, tx->n_out);
	tx->outs_len = (size_t)(r.ptr - tx->outs);
	size_t n_counted = (size_t)(r.ptr - counted);
	if (segwit) {
		tx->witness = r.ptr;
		skip_witnesses(&r, tx->n_in);
		tx->witness_len = (size_t)(r.ptr - tx->witness);
	}
	tx->lock_time = btc_get_u32(&r);
	if (r.failed)
		return "it ends too early";
	if (r.left)
		return "there is something behind its end";
	identify(tx, raw, counted, n_counted);
	return NULL;
}

/* --- the size that it will have --- */

/*
 * Weight units that an input which spends script has once it is signed, at most: 164 for outpoint, an
 * empty script's length and sequence, times four; a signature has at most 73 bytes with its type, a
 * compressed key 33. 0: we cannot say.
 */
static uint32_t input_weight(const uint8_t *s, size_t n, bool *legacy)
{
	const uint32_t base = 4 * 41, proof = 1 + 1 + 73 + 1 + 33;
	*legacy = false;
	if (n == 22 && s[0] == 0 && s[1] == 20) /* P2WPKH */
		return base + proof;
	if (n == 34 && s[0] == 0x51 && s[1] == 32) /* P2TR by its key */
		return base + 1 + 1 + 65;
	if (n == 23 && s[0] == 0xa9 && s[1] == 20) /* P2SH: of P2WPKH, as wallets make them */
		return base + 4 * 23 + proof;
	*legacy = true;
	if (n == 25 && s[0] == 0x76 && s[1] == 0xa9 && s[2] == 20) /* P2PKH */
		return base + 4 * (1 + 73 + 1 + 33);
	if ((n == 35 && s[0] == 33) || (n == 67 && s[0] == 65)) /* P2PK */
		return base + 4 * (1 + 73);
	return 0;
}

static uint64_t varint_len(uint64_t v)
{
	return v < 0xfd ? 1 : v <= 0xffff ? 3 : v <= 0xffffffff ? 5 : 9;
}

static otd_rc bound(const struct btc_host *host, const struct otd_chain_pay *p, uint64_t *vsize)
{
	uint64_t weight = 4 * (4 + 4 + varint_len(p->n_coins) + varint_len(p->n_payees)) + 2;
	for (size_t i = 0; i < p->n_coins; i++) {
		const struct otd_chain_coin *c = btc_coin_at(p->coins, p->coin_stride, i);
		char txid[65];
		bool legacy;
		uint32_t w = c->script_len <= sizeof(c->script)
				     ? input_weight(c->script, c->script_len, &legacy)
				     : 0;
		if (w == 0)
			return btc_fail(host, OTD_E_INVALID,
					"coin %s:%u is of a kind whose spending we cannot measure; "
					"send it to an ordinary address of the wallet, or lock it",
					btc_hash_text(txid, c->txid), c->index);
		weight += w + (legacy ? 1 : 0); /* an empty witness among others */
	}
	for (size_t i = 0; i < p->n_payees; i++) {
		size_t n = btc_payee_at(p, i)->script.len;
		weight += 4 * (8 + varint_len(n) + n);
	}
	*vsize = (weight + 3) / 4;
	if (*vsize > BTC_MAX_VSIZE)
		return btc_fail(host, OTD_E_INVALID,
				"it would have %llu virtual bytes, and nodes pass on at most %d; "
				"resolve it --unpaid and set fewer payments.recipients, or gather "
				"the wallet's small coins into larger ones",
				(unsigned long long)*vsize, BTC_MAX_VSIZE);
	return OTD_OK;
}

/* --- making --- */

static otd_rc check_sums(const struct btc_host *host, const struct otd_chain_pay *p)
{
	otd_i128 in = 0, out = 0;
	if (p->n_coins == 0 || p->n_payees == 0 || p->n_coins > MAX_IO || p->n_payees > MAX_IO)
		return btc_fail(host, OTD_E_INVALID, "it has no coins, or pays nobody");
	for (size_t i = 0; i < p->n_coins; i++) {
		otd_i128 v = btc_coin_at(p->coins, p->coin_stride, i)->value;
		if (v <= 0 || v > INT64_MAX - in)
			return btc_fail(host, OTD_E_INVALID, "coin %zu has no possible value", i);
		in += v;
	}
	for (size_t i = 0; i < p->n_payees; i++) {
		const struct otd_chain_payee *y = btc_payee_at(p, i);
		if (y->value <= 0 || y->value > INT64_MAX - out)
			return btc_fail(host, OTD_E_INVALID, "payee %zu gets no possible value", i);
		if (y->script.len == 0 || y->script.len > MAX_SCRIPT)
			return btc_fail(host, OTD_E_INVALID, "payee %zu has no possible script", i);
		out += y->value;
	}
	if (out > in)
		return btc_fail(host, OTD_E_INVALID, "it pays out more than its coins hold");
	return OTD_OK;
}

static bool same_coin(const struct otd_chain_coin *a, const struct otd_chain_coin *b)
{
	return a->index == b->index && memcmp(a->txid, b->txid, 32) == 0;
}

/* By place: n log n is not worth its lines for the thousand inputs that fit. */
static otd_rc check_twice(const struct btc_host *host, const struct otd_chain_pay *p)
{
	for (size_t i = 1; i < p->n_coins; i++) {
		const struct otd_chain_coin *c = btc_coin_at(p->coins, p->coin_stride, i);
		for (size_t k = 0; k < i; k++) {
			if (same_coin(c, btc_coin_at(p->coins, p->coin_stride, k)))
				return btc_fail(host, OTD_E_INVALID, "coins %zu and %zu are one", k,
						i);
		}
	}
	return OTD_OK;
}

otd_rc btc_pay_build(const struct btc_host *host, const struct otd_chain_pay *p,
		     struct otd_buf *raw, struct otd_chain_pay_info *info)
{
	struct btc_buf b;
	otd_rc rc = check_sums(host, p);
	if (rc == OTD_OK)
		rc = bound(host, p, &info->vsize);
	if (rc == OTD_OK)
		rc = check_twice(host, p);
	if (rc)
		return rc;
	btc_buf_init(&b, host);
	btc_put_u32(&b, TX_VERSION);
	btc_put_varint(&b, p->n_coins);
	for (size_t i = 0; i < p->n_coins; i++) {
		const struct otd_chain_coin *c = btc_coin_at(p->coins, p->coin_stride, i);
		btc_put(&b, c->txid, 32);
		btc_put_u32(&b, c->index);
		btc_put_varint(&b, 0);
		btc_put_u32(&b, BTC_SEQUENCE);
	}
	btc_put_varint(&b, p->n_payees);
	for (size_t i = 0; i < p->n_payees; i++) {
		const struct otd_chain_payee *y = btc_payee_at(p, i);
		btc_put_u64(&b, (uint64_t)y->value);
		btc_put_varint(&b, y->script.len);
		btc_put(&b, y->script.ptr, y->script.len);
	}
	btc_put_u32(&b, 0);
	rc = b.failed ? btc_fail(host, OTD_E_NOMEM, "no memory for a payment")
		      : btc_give(raw, b.ptr, b.len);
	btc_buf_finish(&b);
	return rc;
}

/* --- checking --- */

/* Whether each input has a proof; *bare: one has it in its script, and so in the identity. */
static const char *check_inputs(const struct btc_tx *tx, const struct otd_chain_pay *p, bool *bare)
{
	struct btc_reader r = {tx->ins, tx->ins_len, false};
	struct btc_reader w = {tx->witness, tx->witness_len, false};
	*bare = false;
	for (uint64_t i = 0; i < tx->n_in; i++) {
		const struct otd_chain_coin *c = btc_coin_at(p->coins, p->coin_stride, (size_t)i);
		const uint8_t *txid = btc_take(&r, 32);
		uint32_t index = btc_get_u32(&r);
		uint64_t script = btc_get_varint(&r), items = 0;
		(void)btc_take(&r, (size_t)script);
		if (btc_get_u32(&r) != BTC_SEQUENCE)
			return "an input's sequence is another";
		if (!txid || memcmp(txid, c->txid, 32) != 0 || index != c->index)
			return "it spends another coin";
		if (tx->witness) {
			items = btc_get_varint(&w);
			for (uint64_t k = 0; k < items && !w.failed; k++)
				(void)btc_take(&w, (size_t)btc_get_varint(&w));
		}
		if (items == 0 && script == 0)
			return "an input is not signed";
		*bare = *bare || items == 0;
	}
	return r.failed || w.failed ? "it ends too early" : NULL;
}

static const char *check_outputs(const struct btc_tx *tx, const struct otd_chain_pay *p)
{
	struct btc_reader r = {tx->outs, tx->outs_len, false};
	for (uint64_t i = 0; i < tx->n_out; i++) {
		const struct otd_chain_payee *y = btc_payee_at(p, (size_t)i);
		uint64_t value = btc_get_u64(&r);
		size_t n = (size_t)btc_get_varint(&r);
		const uint8_t *script = btc_take(&r, n);
		if (!script || n != y->script.len || memcmp(script, y->script.ptr, n) != 0)
			return "it pays to somebody else";
		if (y->value < 0 || (otd_i128)value != y->value)
			return "it pays another amount";
	}
	return NULL;
}

otd_rc btc_pay_check(const struct btc_host *host, const struct otd_chain_pay *p,
		     struct otd_span raw, struct otd_chain_pay_info *info)
{
	struct btc_tx tx;
	bool bare = false;
	const char *wrong = btc_tx_read(&tx, raw);
	if (!wrong && (tx.version != TX_VERSION || tx.lock_time != 0))
		wrong = "its version or lock time is another";
	if (!wrong && tx.n_in != p->n_coins)
		wrong = "it has another number of inputs";
	if (!wrong && tx.n_out != p->n_payees)
		wrong = "it has another number of outputs";
	if (!wrong)
		wrong = check_inputs(&tx, p, &bare);
	if (!wrong)
		wrong = check_outputs(&tx, p);
	if (wrong)
		return btc_fail(host, OTD_E_INVALID, "%s", wrong);
	memcpy(info->txid, tx.txid, 32);
	info->vsize = tx.vsize;
	info->malleable = bare;
	return OTD_OK;
}

/* --- dust --- */

/* A witness program (BIP 141): a small number, then one push of 2 to 40 bytes. */
static bool is_witness_program(struct otd_span s)
{
	return s.len >= 4 && s.len <= 42 && s.ptr[1] + 2u == s.len &&
	       (s.ptr[0] == 0 || (s.ptr[0] >= 0x51 && s.ptr[0] <= 0x60));
}

otd_rc btc_dust(const struct btc_host *host, struct otd_span script, int64_t rate, int64_t flat,
		otd_i128 *least)
{
	if (script.len == 0 || script.len > MAX_SCRIPT)
		return btc_fail(host, OTD_E_INVALID, "no possible script");
	if (script.ptr[0] == 0x6a) { /* OP_RETURN: nobody will spend it */
		*least = 0;
		return OTD_OK;
	}
	uint64_t bytes = 8 + varint_len(script.len) + script.len;
	bytes += is_witness_program(script) ? 32 + 4 + 1 + 107 / 4 + 4 : 32 + 4 + 1 + 107 + 4;
	*least = ((otd_i128)bytes * rate + 999) / 1000;
	if (*least < flat)
		*least = flat;
	return OTD_OK;
}

/* --- amounts --- */

/* What stands in a JSON number: mantissa * 10^-decimals * 10^exponent. */
struct number {
	const char *s;
	size_t n, at;
	uint64_t mantissa;
	int64_t decimals, exponent;
	bool negative;
};

/* Digits up to end into *v. False where there are none, or it does not fit. */
static bool digits(struct number *m, uint64_t *v, size_t end)
{
	size_t from = m->at;
	for (; m->at < end && m->s[m->at] >= '0' && m->s[m->at] <= '9'; m->at++) {
		uint64_t d = (uint64_t)(m->s[m->at] - '0');
		if (*v > (UINT64_MAX - d) / 10)
			return false;
		*v = *v * 10 + d;
	}
	return m->at > from;
}

static bool fraction(struct number *m)
{
	size_t from = ++m->at, end = from, last;
	while (end < m->n && m->s[end] >= '0' && m->s[end] <= '9')
		end++;
	/* Zeros at the end say nothing, and might not fit. */
	for (last = end; last > from && m->s[last - 1] == '0';)
		last--;
	if (end == from || (last > from && !digits(m, &m->mantissa, last)))
		return false;
	m->decimals = (int64_t)(last - from);
	m->at = end;
	return true;
}

static bool exponent(struct number *m)
{
	uint64_t v = 0;
	bool small = ++m->at < m->n && m->s[m->at] == '-';
	m->at += m->at < m->n && (m->s[m->at] == '-' || m->s[m->at] == '+');
	if (!digits(m, &v, m->n) || v > 1000)
		return false;
	m->exponent = small ? -(int64_t)v : (int64_t)v;
	return true;
}

static bool read_number(struct number *m)
{
	m->negative = m->n && m->s[0] == '-';
	m->at = m->negative;
	if (!digits(m, &m->mantissa, m->n))
		return false;
	if (m->at < m->n && m->s[m->at] == '.' && !fraction(m))
		return false;
	if (m->at < m->n && (m->s[m->at] == 'e' || m->s[m->at] == 'E') && !exponent(m))
		return false;
	return m->at == m->n;
}

bool btc_amount(otd_i128 *out, const char *s, size_t n, bool up)
{
	struct number m = {.s = s, .n = n};
	bool more = false;
	if (!read_number(&m))
		return false;
	int64_t shift = MAX_DECIMALS - m.decimals + m.exponent;
	uint64_t v = m.mantissa;
	for (; shift < 0 && v; shift++) {
		more = more || v % 10 != 0;
		v /= 10;
	}
	for (; shift > 0 && v; shift--) {
		if (v > (uint64_t)INT64_MAX / 10)
			return false;
		v *= 10;
	}
	if ((more && !up) || v >= INT64_MAX)
		return false;
	v += more && !m.negative;
	*out = m.negative ? -(otd_i128)v : (otd_i128)v;
	return true;
}
