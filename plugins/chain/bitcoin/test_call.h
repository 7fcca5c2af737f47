/*
 * What the tests of wallet and payments share: an instance, and a call that is written as text.
 */
#ifndef OTD_TEST_BITCOIN_CALL_H
#define OTD_TEST_BITCOIN_CALL_H

#include "common/test_host.h"

#include "bitcoin.h"

#define MAX_COINS 700

static struct otd_host host;
static const struct otd_chain_ops *ops;
static struct otd_instance *in;

static const char *const rules[] = {"segwit"};
static const char *const main_form[] = {"p2pkh 0", "p2sh 5", "bech32 bc"};
static const char *const regtest_form[] = {"p2pkh 111", "p2sh 196", "bech32 bcrt"};
static struct bitcoin_options options = {
	.network = "regtest",
	.rules = {rules, 1},
	.forms = {{main_form, 3}, {0}, {0}, {0}, {regtest_form, 3}},
	.dust_relay_fee = 3000};

static inline int setup(void **state)
{
	(void)state;
	ops = otd_plugin_v1()->ops.chain;
	return otd_plugin_v1()->base->create(&in, &host, &host_core, &options) ? -1 : 0;
}

static inline int teardown(void **state)
{
	(void)state;
	otd_plugin_v1()->base->destroy(in);
	return host.allocs ? -1 : 0;
}

/* --- a call as text --- */

struct world {
	struct otd_chain_call call;
	struct otd_chain_coin coins[MAX_COINS];
	struct otd_chain_payee payees[MAX_COINS];
	uint8_t script[MAX_COINS][64];
	size_t n_payees;
	char address[200];
	uint8_t raw[200000], out[400000];
	struct otd_buf buf;
};

static struct world w;

static inline size_t unhex(uint8_t *out, size_t cap, const char *s, size_t n)
{
	return n / 2 <= cap && btc_unhex(out, s, n) ? n / 2 : 0;
}

static inline void read_coin(const char *s)
{
	struct otd_chain_coin *c = &w.coins[w.call.n_coins++];
	char txid[65] = "", script[129] = "";
	long long value = 0;
	(void)sscanf(s, "%64[0-9a-f]:%u:%128[0-9a-f]:%lld", txid, &c->index, script, &value);
	(void)btc_unhex_hash(c->txid, txid, strlen(txid));
	c->script_len = (uint32_t)unhex(c->script, sizeof(c->script), script, strlen(script));
	c->value = value;
}

static inline void read_payee(const char *s)
{
	char script[129] = "";
	long long value = 0;
	(void)sscanf(s, "%128[0-9a-f]:%lld", script, &value);
	size_t n = unhex(w.script[w.n_payees], 64, script, strlen(script));
	w.payees[w.n_payees] = (struct otd_chain_payee){{w.script[w.n_payees], n}, (otd_i128)value};
	w.n_payees++;
}

static inline void each(const char *list, void (*fn)(const char *))
{
	for (const char *p = list; p && *p; p = strchr(p, ',')) {
		p += *p == ',';
		fn(p);
	}
}

static inline void read_word(const char *word)
{
	const char *v = strchr(word, '=');
	v = v ? v + 1 : "";
	if (strncmp(word, "kind=", 5) == 0)
		w.call.kind = (uint32_t)strtoul(v, NULL, 10);
	else if (strncmp(word, "unlock=", 7) == 0)
		w.call.unlock = (uint32_t)strtoul(v, NULL, 10);
	else if (strncmp(word, "confirmations=", 14) == 0)
		w.call.confirmations = (uint32_t)strtoul(v, NULL, 10);
	else if (strncmp(word, "txid=", 5) == 0)
		(void)btc_unhex_hash(w.call.txid, v, 64);
	else if (strncmp(word, "raw=", 4) == 0)
		w.call.raw = (struct otd_span){w.raw, unhex(w.raw, sizeof(w.raw), v, strlen(v))};
	else if (strncmp(word, "coins=", 6) == 0)
		each(v, read_coin);
	else if (strncmp(word, "payees=", 7) == 0)
		each(v, read_payee);
	else if (strncmp(word, "address=", 8) == 0) {
		snprintf(w.address, sizeof(w.address), "%s", v);
		w.call.address = w.address;
	}
}

/* All words of a line; it is cut into pieces. */
static inline void read_words(char *text)
{
	while (*text) {
		size_t n = strcspn(text, " ");
		bool last = text[n] == 0;
		text[n] = 0;
		read_word(text);
		text += n + !last;
	}
}

static inline void begin(void)
{
	memset(&w, 0, sizeof(w));
	host.error[0] = 0;
	w.buf = (struct otd_buf){w.out, 0, sizeof(w.out)};
	w.call.size = sizeof(w.call);
	w.call.coins = w.coins;
	w.call.coin_stride = sizeof(w.coins[0]);
	w.call.out = &w.buf;
}

static inline struct otd_chain_pay pay(void)
{
	return (struct otd_chain_pay){.size = sizeof(struct otd_chain_pay),
				      .coins = w.coins,
				      .coin_stride = sizeof(w.coins[0]),
				      .n_coins = w.call.n_coins,
				      .payees = w.payees,
				      .payee_stride = sizeof(w.payees[0]),
				      .n_payees = w.n_payees};
}

#endif
