/*
 * What Otedama needs of a chain, round ledger.c: a chain that is its own node, inside of the pool's
 * process. A chain with nodes has request() and answer() instead of local(): one writes the body of an
 * HTTP POST to a node, the other reads what the node answered; all the rest is the same.
 *
 * SPDX-License-Identifier: @LICENSE@
 */
#include <string.h>

#include "ledger.h"

OTD_PLUGIN_NOTE("chain/1", "@ID@");

enum { ADDRESS_MIN = 4, ADDRESS_MAX = 90 };

/* The options of `chain: {use: .., bits: ..}`; rows for them stand below. */
struct options {
	const char *network; /* the host gives it */
	struct otd_span bits;
	int64_t subsidy;
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	const struct otd_host_clock *clock;
	const struct otd_host_hash *hash; /* of the coin's algorithm */
	const struct options *options;
	struct ledger ledger;
};

struct otd_template {
	uint64_t height;
	uint8_t prev[32];
};

static otd_rc fail(struct otd_instance *in, otd_rc rc, const char *why)
{
	in->core->set_error(in->host, "%s", why);
	return rc;
}

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	in->core->free(in->host, in->ledger.block);
	in->core->free(in->host, in);
}

/* Room for one block more. */
static otd_rc reserve(struct otd_instance *in)
{
	struct ledger *l = &in->ledger;
	size_t cap = l->cap ? 2 * l->cap : 256;
	struct ledger_block *block;
	if (l->n < l->cap)
		return OTD_OK;
	block = in->core->alloc(in->host, cap * sizeof(*block));
	if (!block)
		return fail(in, OTD_E_NOMEM, "no memory for a block");
	if (l->n)
		memcpy(block, l->block, l->n * sizeof(*block));
	in->core->free(in->host, l->block);
	l->block = block;
	l->cap = cap;
	return OTD_OK;
}

static int64_t now_s(const struct otd_instance *in)
{
	return in->clock->wall_ms(in->host) / 1000;
}

/* Bits as a target, and block 0: its hash is that of a header of zeroes. */
static otd_rc begin(struct otd_instance *in)
{
	struct ledger *l = &in->ledger;
	const uint8_t header[HEADER_LEN] = {0};
	struct otd_u256 target;
	otd_rc rc;
	for (size_t i = 0; i < 4; i++)
		l->bits = l->bits << 8 | in->options->bits.ptr[i];
	if (otd_target_from_nbits(&target, l->bits))
		return fail(in, OTD_E_INVALID, "bits: it stands for no target");
	otd_u256_to_le(l->target, target);
	l->subsidy = (uint64_t)in->options->subsidy;
	rc = reserve(in);
	if (rc)
		return rc;
	rc = in->hash->identity(in->host, l->block[0].hash, (struct otd_span){header, HEADER_LEN},
				0);
	if (rc)
		return fail(in, rc, "the coin's algorithm does not hash headers of 80 bytes");
	l->block[0].time_s = now_s(in);
	l->n = 1;
	return OTD_OK;
}

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	otd_rc rc;
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->options = options;
	in->clock = core->service(h, "clock/1");
	in->hash = core->service(h, "hash/1");
	rc = in->clock && in->hash
		     ? begin(in)
		     : fail(in, OTD_E_UNSUPPORTED, "wants a clock and the coin's algorithm");
	if (rc)
		destroy(in);
	else
		*out = in;
	return rc;
}

static void copy_text(char *to, size_t cap, const char *from)
{
	size_t n = strlen(from);
	if (n > cap - 1)
		n = cap - 1;
	memcpy(to, from, n);
	to[n] = 0;
}

static otd_rc template(struct otd_instance *in, struct otd_chain_template *out)
{
	const struct ledger *l = &in->ledger;
	const struct ledger_block *tip = &l->block[l->n - 1];
	struct otd_template *t = in->core->alloc(in->host, sizeof(*t));
	if (!t)
		return OTD_E_NOMEM;
	t->height = l->n;
	memcpy(t->prev, tip->hash, 32);
	*out = (struct otd_chain_template){
		.handle = t,
		.height = l->n,
		.version = VERSION,
		.nbits = l->bits,
		.time_s = now_s(in),
		.min_time_s = tip->time_s,
		.value = (otd_i128)l->subsidy,
	};
	memcpy(out->prev, tip->hash, 32);
	memcpy(out->target, l->target, 32);
	return OTD_OK;
}

static void template_free(struct otd_instance *in, struct otd_template *t)
{
	in->core->free(in->host, t);
}

static otd_rc submit(struct otd_instance *in, struct otd_span block, struct otd_chain_submit *out)
{
	struct ledger *l = &in->ledger;
	const struct otd_span header = {block.ptr, HEADER_LEN};
	uint8_t pow[32], hash[32];
	const char *why;
	otd_rc rc = block.len < HEADER_LEN ? OTD_E_INVALID : reserve(in);
	if (!rc)
		rc = in->hash->pow(in->host, pow, header, l->n);
	if (!rc)
		rc = in->hash->identity(in->host, hash, header, l->n);
	if (rc)
		return rc;
	if (ledger_height_of(l, hash) >= 0) {
		out->verdict = OTD_CHAIN_KNOWN;
		return OTD_OK;
	}
	why = ledger_check(l, block, pow, now_s(in));
	out->verdict = why ? OTD_CHAIN_REJECTED : OTD_CHAIN_ACCEPTED;
	/* Upon a block that is not the last: it came too late, and is none of the chain. */
	if (why && strcmp(why, "bad-prevblk") == 0 && ledger_height_of(l, header.ptr + 4) >= 0) {
		out->verdict = OTD_CHAIN_INCONCLUSIVE;
		why = "inconclusive";
	}
	copy_text(out->reason, sizeof(out->reason), why ? why : "");
	if (out->verdict == OTD_CHAIN_ACCEPTED) {
		memcpy(l->block[l->n].hash, hash, 32);
		l->block[l->n++].time_s = (int64_t)ledger_get(block.ptr + 68, 4);
	}
	return OTD_OK;
}

static void block_at(const struct ledger *l, const struct otd_chain_call *call,
		     struct otd_chain_block *out)
{
	out->tip_height = l->n - 1;
	if (call->height >= l->n) {
		out->place = OTD_CHAIN_NOT_YET;
		return;
	}
	memcpy(out->hash, l->block[call->height].hash, 32);
	out->place = memcmp(out->hash, call->hash, 32) == 0 ? OTD_CHAIN_MAIN : OTD_CHAIN_OTHER;
	if (out->place == OTD_CHAIN_MAIN)
		out->confirmations = l->n - call->height;
}

static otd_rc local(struct otd_instance *in, const struct otd_chain_call *call,
		    struct otd_chain_result *out)
{
	const struct ledger *l = &in->ledger;
	out->kind = call->kind;
	switch (call->kind) {
	case OTD_CHAIN_PROBE:
		copy_text(out->u.probe.network, sizeof(out->u.probe.network), in->options->network);
		copy_text(out->u.probe.software, sizeof(out->u.probe.software), "@ID@");
		out->u.probe.height = out->u.probe.headers = l->n - 1;
		return OTD_OK;
	case OTD_CHAIN_TIP:
		out->u.tip.height = l->n - 1;
		memcpy(out->u.tip.hash, l->block[l->n - 1].hash, 32);
		return OTD_OK;
	case OTD_CHAIN_TEMPLATE: return template(in, &out->u.tmpl);
	case OTD_CHAIN_SUBMIT: return submit(in, call->block, &out->u.submit);
	case OTD_CHAIN_BLOCK: block_at(l, call, &out->u.block); return OTD_OK;
	default: return fail(in, OTD_E_UNSUPPORTED, "this chain has no wallet");
	}
}

/* An address is a word of lower-case letters and digits, and its script the word itself. */
static otd_rc address(struct otd_instance *in, struct otd_span text, struct otd_buf *script)
{
	if (text.len < ADDRESS_MIN || text.len > ADDRESS_MAX)
		return fail(in, OTD_E_INVALID, "an address has 4 to 90 letters and digits");
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.ptr[i];
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9'))
			return fail(in, OTD_E_INVALID,
				    "an address has lower-case letters and digits only");
	}
	script->len = text.len;
	if (script->cap < text.len)
		return OTD_E_RANGE;
	memcpy(script->ptr, text.ptr, text.len);
	return OTD_OK;
}

static otd_rc job(struct otd_instance *in, struct otd_template *t,
		  const struct otd_chain_coinbase *cb, struct otd_chain_job *out)
{
	otd_rc rc = ledger_coinbase(&in->ledger, t->height, cb, &out->coinbase1, &out->coinbase2);
	out->branches.len = 0; /* no other transaction */
	return rc == OTD_E_INVALID ? fail(in, rc, "the coinbase's outputs do not fit") : rc;
}

static otd_rc assemble(struct otd_instance *in, struct otd_template *t, struct otd_span header,
		       struct otd_span coinbase, struct otd_buf *block)
{
	if (header.len != HEADER_LEN || memcmp(header.ptr + 4, t->prev, 32) != 0)
		return fail(in, OTD_E_INVALID, "the header is not of this template");
	block->len = HEADER_LEN + 1 + coinbase.len;
	if (block->cap < block->len)
		return OTD_E_RANGE;
	memcpy(block->ptr, header.ptr, HEADER_LEN);
	block->ptr[HEADER_LEN] = 1; /* transactions */
	memcpy(block->ptr + HEADER_LEN + 1, coinbase.ptr, coinbase.len);
	return OTD_OK;
}

static const struct otd_option option_table[] = {
	OTD_OPTION(struct options, network, OTD_OPT_TEXT, "network", "private",
		   "Name that the chain gives itself", .min = 1, .max = 31),
	OTD_OPTION(struct options, bits, OTD_OPT_HEX, "bits", "1d7fffff",
		   "Target of every block, in compact form", .min = 4, .max = 4),
	OTD_OPTION(struct options, subsidy, OTD_OPT_INT, "subsidy", "5000000000",
		   "Reward of a block, in base units", .min = 1, .max = 1000000000000),
};

/*
 * An option that a reload may change under a running pool: give its row .flags = OTD_OPT_RELOADABLE, and
 * write .reconfigure here. It checks everything, then takes the new struct, or changes nothing and
 * returns an error after set_error("NAME: what"). `otedama plugin check` tries it. See
 * docs/plugin-contract.md, "New options while it runs".
 */
static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.destroy = destroy,
};

static const struct otd_chain_ops chain_ops = {
	.size = sizeof(chain_ops),
	.local = local,
	.address = address,
	.template_free = template_free,
	.job = job,
	.assemble = assemble,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "chain/1",
	.id = "@ID@",
	.version = "0.1.0",
	.license = "@LICENSE@",
	.build = "C " __VERSION__,
	.summary = "@SUMMARY@",
	.options_size = sizeof(struct options),
	.option_size = sizeof(struct otd_option),
	.n_options = sizeof(option_table) / sizeof(option_table[0]),
	.options = option_table,
	.base = &base_ops,
	.ops = {.chain = &chain_ops},
};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
