/*
 * What a node answers, by any of the calls: no crash, no leak, a template that was taken can be made
 * into a job and a block, and coins that were taken into a payment. The same bytes as a transaction,
 * as an amount and as an address.
 */
#include "chain/bitcoin/answer.c"
#include "chain/bitcoin/bitcoin.c"
#include "chain/bitcoin/first.c"
#include "chain/bitcoin/quote.c"
#include "chain/bitcoin/template.c"
#include "chain/bitcoin/wallet_answer.c"
#include "chain/bitcoin/wallet_request.c"
#include "chain/common/address.c"
#include "chain/common/address_text.c"
#include "chain/common/bytes.c"
#include "chain/common/merkle.c"
#include "chain/common/pay.c"
#include "chain/common/template.c"

#include <stdlib.h>

struct otd_host {
	size_t allocs;
};

static void *host_alloc(struct otd_host *h, size_t n)
{
	h->allocs++;
	return calloc(1, n ? n : 1);
}

static void host_free(struct otd_host *h, void *p)
{
	h->allocs -= p != NULL;
	free(p);
}

static void host_set_error(struct otd_host *h, const char *fmt, ...)
{
	(void)h, (void)fmt;
}

/* Nothing is asked here; the answers come from the fuzzer. */
void bitcoin_put_call(struct btc_buf *b, const char *comma, size_t id, const char *method,
		      const char *params)
{
	(void)b, (void)comma, (void)id, (void)method, (void)params;
}

otd_rc bitcoin_request(struct otd_instance *in, const struct otd_chain_call *call,
		       struct otd_buf *body)
{
	(void)in, (void)call, (void)body;
	return OTD_E_UNSUPPORTED;
}

static void use(struct otd_instance *in, const struct otd_chain_template *t)
{
	static uint8_t c1[512], c2[512], br[32 * BTC_MAX_BRANCHES];
	struct otd_chain_payee payee = {.script = {(const uint8_t *)"\x51", 1}, .value = -1};
	struct otd_chain_coinbase cb = {.size = sizeof(cb),
					.extranonce_len = 8,
					.payees = &payee,
					.payee_stride = sizeof(payee),
					.n_payees = 1};
	struct otd_chain_job out = {.size = sizeof(out),
				    .coinbase1 = {c1, 0, sizeof(c1)},
				    .coinbase2 = {c2, 0, sizeof(c2)},
				    .branches = {br, 0, sizeof(br)}};
	if (job(in, t->handle, &cb, &out))
		abort();
}

/* What was read as coins can be paid out, less what makes them too many or too odd. */
static void spend(struct otd_instance *in, const struct otd_buf *coins)
{
	static uint8_t raw[100000];
	struct otd_chain_payee payee = {.script = {(const uint8_t *)"\x51", 1}, .value = 1};
	struct otd_chain_pay p = {.size = sizeof(p),
				  .coins = (const struct otd_chain_coin *)(const void *)coins->ptr,
				  .coin_stride = sizeof(struct otd_chain_coin),
				  .n_coins = coins->len / sizeof(struct otd_chain_coin),
				  .payees = &payee,
				  .payee_stride = sizeof(payee),
				  .n_payees = 1};
	struct otd_chain_pay_info info = {.size = sizeof(info)};
	struct otd_buf b = {raw, 0, sizeof(raw)};
	struct btc_tx tx;
	if (pay_build(in, &p, &b, &info) == OTD_OK &&
	    (btc_tx_read(&tx, (struct otd_span){raw, b.len}) || tx.n_in != p.n_coins))
		abort();
}

/* A transaction is that of its own coins and payees, but for what is missing in it. */
static void check(struct otd_instance *in, struct otd_span raw)
{
	struct otd_chain_coin coins[4] = {0};
	struct otd_chain_payee payees[4] = {0};
	struct otd_chain_pay_info info = {.size = sizeof(info)};
	struct otd_chain_pay p = {.size = sizeof(p),
				  .coins = coins,
				  .coin_stride = sizeof(coins[0]),
				  .payees = payees,
				  .payee_stride = sizeof(payees[0])};
	struct btc_tx tx;
	otd_i128 amount_read;
	(void)btc_amount(&amount_read, (const char *)raw.ptr, raw.len, raw.len & 1);
	if (btc_tx_read(&tx, raw) || tx.n_in > 4 || tx.n_out > 4)
		return;
	struct btc_reader r = {tx.ins, tx.ins_len, false}, o = {tx.outs, tx.outs_len, false};
	for (; p.n_coins < tx.n_in; p.n_coins++) {
		memcpy(coins[p.n_coins].txid, btc_take(&r, 32), 32);
		coins[p.n_coins].index = btc_get_u32(&r);
		(void)btc_take(&r, (size_t)btc_get_varint(&r));
		(void)btc_get_u32(&r);
	}
	for (; p.n_payees < tx.n_out; p.n_payees++) {
		payees[p.n_payees].value = (otd_i128)btc_get_u64(&o);
		payees[p.n_payees].script.len = (size_t)btc_get_varint(&o);
		payees[p.n_payees].script.ptr = btc_take(&o, payees[p.n_payees].script.len);
	}
	if (pay_check(in, &p, raw, &info) == OTD_OK && info.vsize > raw.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const rules[] = {"segwit"};
	static const char *const main_form[] = {"p2pkh 0", "p2sh 5", "bech32 bc"};
	static const struct bitcoin_options opt = {
		.network = "main", .rules = {rules, 1}, .forms = {{main_form, 3}}};
	struct otd_host h = {0};
	struct otd_host_core core = {.size = sizeof(core),
				     .alloc = host_alloc,
				     .free = host_free,
				     .set_error = host_set_error};
	struct otd_instance *in = NULL;
	if (n < 1 || create(&in, &h, &core, &opt))
		return 0;
	static uint8_t out[1 << 20];
	struct otd_buf b = {out, 0, sizeof(out)};
	struct otd_chain_coin coins[2] = {{.txid = {0x44}}, {.txid = {0x44}, .index = 1}};
	struct otd_chain_call call = {.size = sizeof(call),
				      .kind = 1 + data[0] % OTD_CHAIN_TX,
				      .coins = coins,
				      .coin_stride = sizeof(coins[0]),
				      .n_coins = 2,
				      .address = "x",
				      .out = &b};
	struct otd_chain_result r = {.size = sizeof(r)};
	otd_rc rc = bitcoin_answer(in, &call, 200, (struct otd_span){data + 1, n - 1}, &r);
	if (rc == OTD_OK && call.kind == OTD_CHAIN_TEMPLATE) {
		use(in, &r.u.tmpl);
		template_free(in, r.u.tmpl.handle);
	}
	if (rc == OTD_OK && call.kind == OTD_CHAIN_COINS)
		spend(in, &b);
	check(in, (struct otd_span){data + 1, n - 1});
	/* As an address: what has a script has one text, and that is an address again. */
	uint8_t script[64];
	struct otd_span text = {data + 1, n - 1};
	b = (struct otd_buf){script, 0, sizeof(script)};
	if (address(in, text, &b) == OTD_OK) {
		struct otd_buf one = {out, 0, 200}, two = {script, 0, sizeof(script)};
		if (canonical(in, text, &one) ||
		    address(in, (struct otd_span){out, one.len}, &two) || two.len != b.len)
			abort();
	}
	destroy(in);
	if (h.allocs)
		abort();
	return 0;
}
