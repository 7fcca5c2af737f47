/*
 * What a node answers, by any of the five calls: no crash, no leak, and a template that was taken can
 * be made into a job and a block.
 */
#include "chain/bitcoin/answer.c"
#include "chain/bitcoin/bitcoin.c"
#include "chain/bitcoin/template.c"
#include "chain/common/address.c"
#include "chain/common/bytes.c"
#include "chain/common/merkle.c"
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
	struct otd_chain_call call = {.size = sizeof(call), .kind = 1 + data[0] % 5};
	struct otd_chain_result r = {.size = sizeof(r)};
	otd_rc rc = bitcoin_answer(in, &call, 200, (struct otd_span){data + 1, n - 1}, &r);
	if (rc == OTD_OK && call.kind == OTD_CHAIN_TEMPLATE) {
		use(in, &r.u.tmpl);
		template_free(in, r.u.tmpl.handle);
	}
	/* The same bytes as an address. */
	uint8_t script[64];
	struct otd_buf b = {script, 0, sizeof(script)};
	(void)address(in, (struct otd_span){data + 1, n - 1}, &b);
	destroy(in);
	if (h.allocs)
		abort();
	return 0;
}
