#include "toy.h"

enum toy_fault toy_fault;
uint32_t toy_identity = OTD_ALGO_ID_POW;
const struct toy_options *toy_seen;
struct otd_host *toy_host;
const struct otd_host_core *toy_core;
const char *toy_refusal;
const void *toy_clock, *toy_files, *toy_hash;

struct otd_instance {
	int nothing;
};
static struct otd_instance the_instance;

static otd_rc toy_create(struct otd_instance **out, struct otd_host *h,
			 const struct otd_host_core *core, const void *options)
{
	toy_host = h;
	toy_core = core;
	toy_seen = options;
	toy_clock = core->service(h, "clock/1");
	toy_files = core->service(h, "files/1");
	toy_hash = core->service(h, "hash/1");
	if (toy_refusal) {
		core->set_error(h, "%s", toy_refusal);
		return OTD_E_INVALID;
	}
	*out = &the_instance;
	return OTD_OK;
}

static void toy_destroy(struct otd_instance *in)
{
	(void)in;
}

struct otd_base_ops toy_base = {
	.size = sizeof(struct otd_base_ops), .create = toy_create, .destroy = toy_destroy};

static otd_rc toy_info(struct otd_instance *in, struct otd_algo_info *out)
{
	(void)in;
	out->header_len = 80;
	out->nonce_offset = 76;
	out->nonce_len = 4;
	out->identity = toy_identity;
	out->batch_hint = 4;
	out->scratch_size = 1000;
	out->scratch_align = 256;
	memset(out->diff1, 0xff, 32);
	out->variant = "toy";
	return OTD_OK;
}

static otd_rc toy_hash_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			     size_t stride, size_t n)
{
	(void)in;
	assert_non_null(scratch);
	assert_int_equal((uintptr_t)scratch % 256, 0);
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *it =
			(struct otd_algo_item *)(void *)((uint8_t *)items + i * stride);
		uint8_t d[32];
		otd_sha256d(d, it->header.ptr, it->header.len);
		for (int k = 0; k < 32; k++)
			it->hash[k] = toy_fault == TOY_REVERSED ? d[31 - k] : d[k];
		if (toy_fault == TOY_WRONG || (toy_fault == TOY_ONE_LANE && i % 4 == 3))
			it->hash[7] ^= 1;
		it->rc = toy_fault == TOY_FAILS ? OTD_E_INVALID : OTD_OK;
	}
	return OTD_OK;
}

static otd_rc toy_scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	(void)in;
	(void)scratch;
	for (s->done = 0; s->done < s->count && s->n_found < s->found_cap; s->done++) {
		uint8_t header[80], d[32];
		uint64_t nonce = s->first + s->done;
		memcpy(header, s->header.ptr, 80);
		for (int k = 0; k < 4; k++)
			header[76 + k] = (uint8_t)(nonce >> (8 * k));
		otd_sha256d(d, header, 80);
		if (toy_fault != TOY_SCAN_BLIND &&
		    otd_u256_cmp(otd_u256_from_le(d), otd_u256_from_le(s->target)) <= 0)
			s->found[s->n_found++] = nonce;
	}
	return OTD_OK;
}

struct otd_algo_ops toy_algo_ops = {.size = sizeof(struct otd_algo_ops),
				    .info = toy_info,
				    .hash_batch = toy_hash_batch,
				    .scan = toy_scan};

/* Blocks 0 and 1 of Bitcoin. */
struct otd_algo_vector toy_vectors[2] = {
	{.header = "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edf"
		   "d7a"
		   "7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
	 .hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
	 .source = "Bitcoin block 0",
	 .real_block = 1},
	{.header = "010000006fe28c0ab6f1b372c1a6a246ae63f74f931e8365e15a089c68d6190000000000982051f"
		   "d1e"
		   "4ba744bbbe680e1fee14677ba1a3c3540bf7b1cdb606e857233e0e61bc6649ffff001d01e36299",
	 .hash = "00000000839a8e6886ab5951d76f411475428afc90947ee320161bbf18eb6048",
	 .source = "Bitcoin block 1",
	 .real_block = 1},
};

struct otd_plugin_desc toy_algo = {
	.size = sizeof(struct otd_plugin_desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "algo/1",
	.id = "toy",
	.version = "1.0.0",
	.license = "MIT",
	.build = "test",
	.summary = "A toy",
	.base = &toy_base,
	.ops = {.algo = &toy_algo_ops},
	.vectors = toy_vectors,
	.n_vectors = 2,
	.vector_size = sizeof(struct otd_algo_vector),
};

static const char *const choices[] = {"slow", "medium", "fast", NULL};

struct otd_option toy_table[] = {
	OTD_OPTION(struct toy_options, flag, OTD_OPT_BOOL, "flag", "yes", "A flag"),
	OTD_OPTION(struct toy_options, count, OTD_OPT_INT, "count", "7", "A number", .min = 1,
		   .max = 100),
	OTD_OPTION(struct toy_options, choice, OTD_OPT_CHOICE, "choice", "fast", "A choice",
		   .choices = choices),
	OTD_OPTION(struct toy_options, time_ms, OTD_OPT_DURATION, "time", "10s", "A time",
		   .min = 1000, .max = 60000),
	OTD_OPTION(struct toy_options, bytes, OTD_OPT_SIZE, "bytes", "64KiB", "A size"),
	OTD_OPTION(struct toy_options, rate_ppm, OTD_OPT_RATE, "rate", "0.25%", "A rate"),
	OTD_OPTION(struct toy_options, text, OTD_OPT_TEXT, "text", "hello", "A text", .min = 1,
		   .max = 10),
	OTD_OPTION(struct toy_options, secret, OTD_OPT_TEXT, "secret", NULL, "A secret",
		   .flags = OTD_OPT_SECRET, .min = 0, .max = 6),
	OTD_OPTION(struct toy_options, hex, OTD_OPT_HEX, "hex", "00ff", "Bytes", .min = 1,
		   .max = 4),
	OTD_OPTION(struct toy_options, list, OTD_OPT_LIST, "list", "[a, b c]", "A list"),
	OTD_OPTION(struct toy_options, window, OTD_OPT_WINDOW, "window", "2x difficulty",
		   "A window"),
};

static otd_rc toy_local(struct otd_instance *in, const struct otd_chain_call *call,
			struct otd_chain_result *out)
{
	(void)in;
	(void)call;
	(void)out;
	return OTD_E_UNSUPPORTED;
}

static otd_rc toy_address(struct otd_instance *in, struct otd_span text, struct otd_buf *script)
{
	(void)in;
	(void)text;
	(void)script;
	return OTD_E_INVALID;
}

static void toy_template_free(struct otd_instance *in, struct otd_template *t)
{
	(void)in;
	(void)t;
}

static otd_rc toy_job(struct otd_instance *in, struct otd_template *t,
		      const struct otd_chain_coinbase *cb, struct otd_chain_job *out)
{
	(void)in;
	(void)t;
	(void)cb;
	(void)out;
	return OTD_E_UNSUPPORTED;
}

static otd_rc toy_assemble(struct otd_instance *in, struct otd_template *t, struct otd_span header,
			   struct otd_span coinbase, struct otd_buf *block)
{
	(void)in;
	(void)t;
	(void)header;
	(void)coinbase;
	(void)block;
	return OTD_E_UNSUPPORTED;
}

static struct otd_chain_ops chain_ops = {.size = sizeof(struct otd_chain_ops),
					 .local = toy_local,
					 .address = toy_address,
					 .template_free = toy_template_free,
					 .job = toy_job,
					 .assemble = toy_assemble};

struct otd_plugin_desc toy_chain = {
	.size = sizeof(struct otd_plugin_desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "chain/1",
	.id = "toy",
	.version = "1.0.0",
	.license = "MIT",
	.build = "test",
	.summary = "A toy",
	.options_size = sizeof(struct toy_options),
	.option_size = sizeof(struct otd_option),
	.n_options = 11,
	.options = toy_table,
	.base = &toy_base,
	.ops = {.chain = &chain_ops},
};

static otd_rc toy_shares(struct otd_instance *in, const struct otd_payout_batch *batch)
{
	(void)in;
	(void)batch;
	return OTD_OK;
}

static otd_rc toy_block(struct otd_instance *in, const struct otd_payout_block *block,
			const struct otd_payout_sink *sink)
{
	(void)in;
	(void)block;
	(void)sink;
	return OTD_OK;
}

static otd_rc toy_snapshot(struct otd_instance *in, struct otd_buf *out)
{
	(void)in;
	out->len = 0;
	return OTD_OK;
}

static otd_rc toy_restore(struct otd_instance *in, struct otd_span state)
{
	(void)in;
	(void)state;
	return OTD_OK;
}

static otd_rc toy_round(struct otd_instance *in, otd_u128 *work, uint64_t *accounts)
{
	(void)in;
	*work = 0;
	*accounts = 0;
	return OTD_OK;
}

static struct otd_payout_ops payout_ops = {.size = sizeof(struct otd_payout_ops),
					   .shares = toy_shares,
					   .block = toy_block,
					   .snapshot = toy_snapshot,
					   .restore = toy_restore,
					   .round = toy_round};

struct otd_plugin_desc toy_payout = {
	.size = sizeof(struct otd_plugin_desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "payout/1",
	.id = "toy",
	.version = "1.0.0",
	.license = "MIT",
	.build = "test",
	.summary = "A toy",
	.base = &toy_base,
	.ops = {.payout = &payout_ops},
};
