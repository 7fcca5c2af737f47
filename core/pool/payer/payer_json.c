/* Payments as JSON. */
#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "pool/payer/payer_impl.h"

void payer_json_text(struct otd_bytes *b, const char *key, const char *text)
{
	(void)otd_bytes_format(b, "\"%s\":", key);
	(void)otd_bytes_json(b, text, strlen(text));
}

void payer_json_amount(struct otd_bytes *b, const char *key, otd_i128 v, const struct payer_pool *p)
{
	char units[OTD_I128_TEXT], text[OTD_AMOUNT_TEXT];
	if (p)
		(void)otd_bytes_format(b, "\"%s\":\"%s\",", key,
				       otd_format_amount(text, v, p->conf->c.decimals));
	(void)otd_bytes_format(b, "\"%s_units\":\"%s\"", key, otd_format_i128(units, v));
}

void payer_json_hash(struct otd_bytes *b, const char *key, const uint8_t hash[32])
{
	char hex[65];
	otd_hex_encode_reverse(hex, hash, 32);
	(void)otd_bytes_format(b, "\"%s\":\"%s\"", key, hex);
}

static void tx_json(struct otd_bytes *b, const struct otd_pay_tx *t, const struct payer_pool *pool,
		    bool raw)
{
	(void)otd_bytes_format(b, "{\"generation\":%u,\"version\":%u,", t->generation, t->version);
	payer_json_hash(b, "txid", t->txid);
	(void)otd_bytes_text(b, ",");
	payer_json_amount(b, "fee", t->fee, pool);
	(void)otd_bytes_text(b, ",");
	payer_json_amount(b, "change", t->change, pool);
	(void)otd_bytes_format(b, ",\"vsize\":%" PRIu64 ",\"signed_ms\":%" PRId64, t->vsize,
			       t->signed_ms);
	if (raw && t->raw) {
		(void)otd_bytes_text(b, ",\"raw\":\"");
		(void)otd_bytes_hex(b, t->raw, t->raw_len);
		(void)otd_bytes_text(b, "\"");
	}
	(void)otd_bytes_text(b, "}");
}

static void all_of_it(struct otd_bytes *b, const struct otd_payment *p,
		      const struct payer_pool *pool, bool raw)
{
	(void)otd_bytes_text(b, ",\"parts\":[");
	for (size_t i = 0; i < p->n_parts; i++) {
		const struct otd_pay_part *q = &p->parts[i];
		(void)otd_bytes_format(b, "%s{\"kind\":\"%s\",\"owner\":%" PRIu64 ",", i ? "," : "",
				       q->kind == OTD_ACC_MINER ? "miner" : "fee", q->owner);
		payer_json_text(b, "address", q->address);
		(void)otd_bytes_text(b, ",");
		payer_json_amount(b, "amount", q->amount, pool);
		(void)otd_bytes_text(b, ",");
		payer_json_amount(b, "sent", q->sent, pool);
		(void)otd_bytes_text(b, "}");
	}
	(void)otd_bytes_text(b, "],\"coins\":[");
	for (size_t i = 0; i < p->n_coins; i++) {
		const struct otd_pay_coin *k = &p->coins[i];
		(void)otd_bytes_text(b, i ? ",{" : "{");
		payer_json_hash(b, "txid", k->txid);
		(void)otd_bytes_format(b, ",\"index\":%u,\"since\":%u,", k->index, k->since);
		payer_json_amount(b, "value", k->value, pool);
		(void)otd_bytes_text(b, "}");
	}
	(void)otd_bytes_text(b, "],\"txs\":[");
	for (size_t i = 0; i < p->n_txs; i++) {
		(void)otd_bytes_text(b, i ? "," : "");
		tx_json(b, &p->txs[i], pool, raw);
	}
	(void)otd_bytes_text(b, "],\"given_up\":[");
	for (size_t i = 0; i < p->n_old; i++) {
		(void)otd_bytes_text(b, i ? "," : "");
		tx_json(b, &p->old[i], pool, raw);
	}
	(void)otd_bytes_text(b, "]");
}

/* The transaction that paid, or else the newest one. */
static const struct otd_pay_tx *its_tx(const struct otd_payment *p)
{
	const struct otd_pay_tx *t = p->n_txs ? &p->txs[p->n_txs - 1] : NULL;
	for (size_t i = 0; p->paid_version && i < p->n_txs + p->n_old; i++) {
		const struct otd_pay_tx *k = i < p->n_txs ? &p->txs[i] : &p->old[i - p->n_txs];
		if (k->generation == p->paid_generation && k->version == p->paid_version)
			t = k;
	}
	return t;
}

void payer_json_payment(struct otd_bytes *b, struct otd_payer *o, const struct otd_payment *p,
			bool all, bool raw)
{
	const struct payer_pool *pool = payer_pool_by_id(o, p->pool_id);
	const struct otd_pay_tx *t = its_tx(p);
	(void)otd_bytes_format(b, "{\"id\":%" PRIu64 ",", p->id);
	if (pool)
		payer_json_text(b, "pool", pool->conf->c.name);
	else
		(void)otd_bytes_text(b, "\"pool\":null");
	(void)otd_bytes_text(b, ",");
	payer_json_text(b, "asset", p->asset);
	(void)otd_bytes_format(b, ",\"state\":\"%s\",\"held\":%s,", otd_pay_state_name(p->state),
			       p->held ? "true" : "false");
	payer_json_text(b, "why", p->why);
	(void)otd_bytes_format(b, ",\"n\":%zu,", p->n_parts);
	payer_json_amount(b, "total", p->total, pool);
	(void)otd_bytes_format(b, ",\"fee_by\":\"%s\",", p->fee_by_miners ? "miners" : "pool");
	if (t) {
		payer_json_amount(b, "fee", t->fee, pool);
		(void)otd_bytes_text(b, ",");
		payer_json_hash(b, "txid", t->txid);
	} else {
		(void)otd_bytes_text(b, "\"fee\":null,\"fee_units\":null,\"txid\":null");
	}
	(void)otd_bytes_format(b,
			       ",\"generation\":%u,\"version\":%u,\"confirmations\":%u,"
			       "\"height\":%" PRIu64 ",\"conflict_height\":%" PRIu64
			       ",\"created_ms\":%" PRId64 ",\"changed_ms\":%" PRId64,
			       p->generation, p->version, p->confirmations, p->height,
			       p->conflict_height, p->created_ms, p->changed_ms);
	if (all)
		all_of_it(b, p, pool, raw);
	(void)otd_bytes_text(b, "}");
}
