/*
 * The devnet: its file at start (odd first byte: the checksums of frames are made good, so that what
 * lies behind them is reached), then the same bytes as a block from a miner and as an operator's
 * command.
 */
#include "chain/devnet/devnet.h"
/* Few, so that a chain begins in no time. */
#undef DEVNET_FAUCET
#define DEVNET_FAUCET 8

#include "chain/common/address.c"
#include "chain/common/address_text.c"
#include "chain/common/bytes.c"
#include "chain/common/merkle.c"
#include "chain/common/pay.c"
#include "chain/common/template.c"
#include "chain/devnet/accept.c"
#include "chain/devnet/check.c"
#include "chain/devnet/coins.c"
#include "chain/devnet/command.c"
#include "chain/devnet/mempool.c"
#include "chain/devnet/tx.c"
#include "chain/devnet/wallet.c"
/* Statics of the same name: each file is a world of its own. */
#define create file_create
#include "chain/devnet/file.c"
#undef create
#undef MAGIC
#undef HEAD
#undef SUM
#include "chain/devnet/devnet.c"

#include "chain/common/test_host.h"
#include "fuzz/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FRAME_MAGIC 0x3156444fu

static void make_sums_good(uint8_t *p, size_t n)
{
	for (size_t at = 0; n - at >= 16;) {
		uint32_t magic, len;
		uint8_t sum[32];
		memcpy(&magic, p + at, 4);
		memcpy(&len, p + at + 4, 4);
		if (magic != FRAME_MAGIC || len > n - at - 16)
			return;
		otd_sha256(sum, p + at + 8, len);
		memcpy(p + at + 8 + len, sum, 8);
		at += 16 + (size_t)len;
	}
}

static void use(struct otd_instance *in, const uint8_t *data, size_t n)
{
	const struct otd_chain_ops *ops = otd_plugin_v1()->ops.chain;
	uint8_t answer[4096];
	struct otd_buf b = {answer, 0, sizeof(answer)};
	struct otd_chain_result r = {.size = sizeof(r)};
	struct otd_chain_call call = {
		.size = sizeof(call), .kind = OTD_CHAIN_SUBMIT, .block = {data, n}};
	(void)ops->local(in, &call, &r);
	call = (struct otd_chain_call){.size = sizeof(call), .kind = OTD_CHAIN_TEMPLATE};
	memset(&r, 0, sizeof(r));
	r.size = sizeof(r);
	if (ops->local(in, &call, &r) == OTD_OK)
		ops->template_free(in, r.u.tmpl.handle);
	/* The same bytes as a transaction: to be signed, and to be passed on. */
	static uint8_t signed_tx[1 << 20];
	struct otd_buf out = {signed_tx, 0, sizeof(signed_tx)};
	call = (struct otd_chain_call){
		.size = sizeof(call), .kind = OTD_CHAIN_SIGN, .raw = {data, n}, .out = &out};
	if (ops->local(in, &call, &r) == OTD_OK) {
		call.kind = OTD_CHAIN_SEND;
		call.raw = (struct otd_span){signed_tx, out.len};
		if (ops->local(in, &call, &r) == OTD_OK && r.u.send.verdict == OTD_CHAIN_SENT)
			(void)ops->command(in, (struct otd_span){(const uint8_t *)"mine 2", 6}, &b);
	}
	call = (struct otd_chain_call){
		.size = sizeof(call), .kind = OTD_CHAIN_SEND, .raw = {data, n}};
	(void)ops->local(in, &call, &r);
	if (n < 200)
		(void)ops->command(in, (struct otd_span){data, n}, &b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static uint8_t bits[4] = {0x20, 0x7f, 0xff, 0xff};
	static const char *const forms[] = {"p2pkh 111", "p2sh 196", "bech32 bcrt"};
	static const struct devnet_options options = {.network = "regtest",
						      .bits = {bits, 4},
						      .subsidy = 5000000000,
						      .maturity = 3,
						      .transactions = 2,
						      .fee = 1000,
						      .addresses = {forms, 3}};
	struct memory m;
	struct otd_instance *in = NULL;
	if (n < 1)
		return 0;
	memory_init(&m);
	struct otd_host host = {.wall_ms = 1800000000000, .files = &m.table};
	if (data[0] < 2) {
		memory_put(&m, "chain.dat", data + 1, n - 1);
		if (data[0] & 1)
			make_sums_good(memory_find(&m, "chain.dat")->data, n - 1);
	}
	otd_rc rc = otd_plugin_v1()->base->create(&in, &host, &host_core, &options);
	if (rc == OTD_OK) {
		use(in, data + 1, n - 1);
		otd_plugin_v1()->base->destroy(in);
	} else if (!host.error[0]) {
		abort(); /* a refusal says why */
	}
	if (host.allocs)
		abort();
	memory_finish(&m);
	return 0;
}
