/*
 * What both chains share, part 5: transactions that pay. Reading one that somebody else wrote, making
 * one of coins and payees, and amounts as nodes write them.
 */
#ifndef OTD_PLUGIN_CHAIN_PAY_H
#define OTD_PLUGIN_CHAIN_PAY_H

#include "common/bytes.h"
#include <otedama/chain.h>

/* Bitcoin Core, src/policy/policy.h: MAX_STANDARD_TX_WEIGHT is 400000, and nodes pass on no more. */
#define BTC_MAX_VSIZE 100000
/* Not final: a payment of a higher fee may take its place (BIP 125). */
#define BTC_SEQUENCE 0xfffffffdu

/* A transaction's parts, where they stand in raw. */
struct btc_tx {
	uint32_t version, lock_time;
	uint64_t n_in, n_out;
	const uint8_t *ins, *outs, *witness; /* witness NULL where it has none */
	size_t ins_len, outs_len, witness_len;
	uint8_t txid[32];
	uint64_t vsize; /* rounded up */
};

/* Reads one that fills raw to its last byte. NULL, or what is wrong with it. */
const char *btc_tx_read(struct btc_tx *tx, struct otd_span raw);

/* See struct otd_chain_ops. */
otd_rc btc_pay_build(const struct btc_host *host, const struct otd_chain_pay *p,
		     struct otd_buf *raw, struct otd_chain_pay_info *info);
otd_rc btc_pay_check(const struct btc_host *host, const struct otd_chain_pay *p,
		     struct otd_span raw, struct otd_chain_pay_info *info);

/*
 * The least value of an output to script that nodes pass on: what it costs to make and to spend it at
 * rate base units per 1000 bytes (Bitcoin Core, src/policy/policy.cpp, GetDustThreshold), and at
 * least flat.
 */
otd_rc btc_dust(const struct btc_host *host, struct otd_span script, int64_t rate, int64_t flat,
		otd_i128 *least);

/* The i-th coin and payee of a payment or a call. */
static inline const struct otd_chain_coin *btc_coin_at(const struct otd_chain_coin *coins,
						       size_t stride, size_t i)
{
	return (const struct otd_chain_coin *)(const void *)((const uint8_t *)coins + i * stride);
}

static inline const struct otd_chain_payee *btc_payee_at(const struct otd_chain_pay *p, size_t i)
{
	return (const struct otd_chain_payee *)(const void *)((const uint8_t *)p->payees +
							      i * p->payee_stride);
}

/*
 * A JSON number in whole coins of 8 decimals, such as 12, 0.50000000 or 1e-8, in base units. What is
 * finer than one of them: rounded up where up is true, else refused. False where s is no such number or
 * too large for 64 bits.
 */
bool btc_amount(otd_i128 *out, const char *s, size_t n, bool up);

#endif
