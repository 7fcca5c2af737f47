#include "devnet.h"

#include <otedama/sha256.h>
#include <string.h>

#define GENESIS_TIME  1700000000
#define GENESIS_BITS  0x207fffff
#define WALLET_COINS  64
#define WALLET_AMOUNT (10000 * DEVNET_COIN)
#define FAUCET_AMOUNT DEVNET_COIN

#define OPT(member, type, name, def, help, ...) \
	OTD_OPTION(struct devnet_options, member, type, name, def, help, __VA_ARGS__)

static const struct otd_option options[] = {
	OPT(network, OTD_OPT_TEXT, "network", "devnet", "name that the chain gives itself",
	    .min = 1, .max = 31),
	OPT(bits, OTD_OPT_HEX, "bits", "1d7fffff",
	    "network target in compact form, of the first blocks or of all (see spacing)", .min = 4,
	    .max = 4),
	OPT(spacing_ms, OTD_OPT_DURATION, "spacing", "0s",
	    "time between blocks that the target is steered to; 0s keeps bits for ever", .min = 0,
	    .max = 86400000),
	OPT(subsidy, OTD_OPT_INT, "subsidy", "5000000000", "reward of a block, in base units",
	    .min = 1, .max = 1000000000000),
	OPT(maturity, OTD_OPT_INT, "maturity", "100", "confirmations before a reward may be spent",
	    .min = 1, .max = 100000),
	OPT(transactions, OTD_OPT_INT, "transactions", "11",
	    "generated transactions in a template: 2048 and more give 12 merkle branches",
	    .flags = OTD_OPT_RELOADABLE, .min = 0, .max = DEVNET_FAUCET - 1),
	OPT(fee, OTD_OPT_INT, "fee", "1000", "fee of a transaction, in base units",
	    .flags = OTD_OPT_RELOADABLE, .min = 1, .max = 1000000),
	OPT(fee_rate, OTD_OPT_INT, "fee_rate", "2000",
	    "fee that its wallet advises, in base units per 1000 virtual bytes",
	    .flags = OTD_OPT_RELOADABLE, .min = 1, .max = 100000000),
	OPT(min_fee_rate, OTD_OPT_INT, "min_fee_rate", "1000",
	    "fee below which a transaction is refused, in base units per 1000 virtual bytes",
	    .flags = OTD_OPT_RELOADABLE, .min = 0, .max = 100000000),
	OPT(addresses, OTD_OPT_LIST, "addresses", "[p2pkh 111, p2sh 196, bech32 bcrt]",
	    "form of its addresses, that of Bitcoin's regtest unless said otherwise", .min = 0),
};

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	const struct btc_host host = in->host;
	if (in->files && in->file)
		in->files->close(in->files->ctx, in->file);
	for (size_t i = 0; i < in->n_blocks; i++) {
		btc_free(&host, in->block[i].raw);
		btc_free(&host, in->block[i].spent);
	}
	devnet_pool_finish(&host, &in->sends);
	devnet_pool_finish(&host, &in->generated);
	devnet_coins_finish(&in->coins);
	devnet_coins_finish(&in->known);
	devnet_coins_finish(&in->heard);
	devnet_coins_finish(&in->locked);
	btc_free(&host, in->block);
	btc_free(&host, in);
}

static otd_rc genesis_coins(struct otd_instance *in, uint8_t txid[32], enum devnet_who who,
			    uint32_t first, uint32_t n, uint64_t value)
{
	struct devnet_coin coin = {.value = value};
	uint8_t secret[32], script[22];
	devnet_secret(secret, who);
	devnet_key_script(script, secret);
	devnet_owner(coin.owner, script, sizeof(script));
	memcpy(coin.outpoint, txid, 32);
	for (uint32_t i = first; i < first + n; i++) {
		btc_store_u32(coin.outpoint + 32, i);
		otd_rc rc = devnet_coins_add(&in->coins, &coin);
		if (rc)
			return rc;
	}
	return OTD_OK;
}

/* Block 0 is agreed upon and never seen: its coins are there, its header has a hash. */
static otd_rc genesis(struct otd_instance *in)
{
	static const char words[] = "devnet genesis";
	uint8_t header[BTC_HEADER_LEN] = {1};
	struct devnet_block *b;
	in->cap_blocks = 1024;
	in->block = btc_alloc(&in->host, in->cap_blocks * sizeof(*in->block));
	if (!in->block)
		return btc_fail(&in->host, OTD_E_NOMEM, "no memory for a chain");
	b = &in->block[0];
	otd_sha256d(header + 36, words, sizeof(words) - 1);
	btc_store_u32(header + 68, GENESIS_TIME);
	btc_store_u32(header + 72, GENESIS_BITS);
	b->time_s = GENESIS_TIME;
	b->nbits = in->bits; /* a steered target starts here */
	otd_rc rc = in->hash->identity(in->host.h, b->hash,
				       (struct otd_span){header, sizeof(header)}, 0);
	if (rc)
		return btc_fail(&in->host, rc,
				"the coin's algorithm does not hash 80-byte headers");
	in->n_blocks = 1;
	rc = genesis_coins(in, header + 36, DEVNET_FAUCETS, 0, DEVNET_FAUCET, FAUCET_AMOUNT);
	if (rc == OTD_OK)
		rc = genesis_coins(in, header + 36, DEVNET_WALLET, DEVNET_FAUCET, WALLET_COINS,
				   WALLET_AMOUNT);
	if (rc == OTD_OK) {
		struct devnet_coin mark = {.height = 0}; /* the wallet knows where they are from */
		memcpy(mark.outpoint, header + 36, 32);
		memset(mark.outpoint + 32, 0xff, 4);
		rc = devnet_coins_add(&in->known, &mark);
	}
	return rc;
}

static void name_wallet(struct otd_instance *in)
{
	uint8_t secret[32], script[22];
	devnet_secret(secret, DEVNET_WALLET);
	devnet_key_script(script, secret);
	devnet_owner(in->wallet_owner, script, sizeof(script));
}

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options_filled)
{
	const struct btc_host host = {core, h};
	const struct devnet_options *opt = options_filled;
	struct otd_instance *in = btc_alloc(&host, sizeof(*in));
	struct otd_u256 target;
	if (!in)
		return btc_fail(&host, OTD_E_NOMEM, "no memory");
	in->host = host;
	in->opt = opt;
	in->clock = core->service(h, "clock/1");
	in->hash = core->service(h, "hash/1");
	in->files = core->service(h, "files/1");
	devnet_coins_init(&in->coins, &in->host, 16384);
	devnet_coins_init(&in->known, &in->host, 1024);
	devnet_coins_init(&in->heard, &in->host, 64);
	devnet_coins_init(&in->locked, &in->host, 64);
	in->min_fee_rate = (uint64_t)opt->min_fee_rate;
	name_wallet(in);
	otd_rc rc = OTD_OK;
	if (!in->clock || !in->hash)
		rc = btc_fail(&host, OTD_E_UNSUPPORTED,
			      "the devnet needs a clock and the coin's algorithm");
	if (rc == OTD_OK) {
		const uint8_t *be = opt->bits.ptr;
		in->bits = (uint32_t)be[0] << 24 | (uint32_t)be[1] << 16 | (uint32_t)be[2] << 8 |
			   be[3];
		in->extra = (uint32_t)in->clock->wall_ms(h);
		if (otd_target_from_nbits(&target, in->bits))
			rc = btc_fail(&host, OTD_E_RANGE, "bits: %08x is no target", in->bits);
	}
	if (rc == OTD_OK)
		rc = btc_address_form_read(&in->host, &in->form, opt->network, &opt->addresses);
	if (rc == OTD_OK)
		rc = genesis(in);
	if (rc == OTD_OK)
		rc = devnet_file_open(in);
	if (rc) {
		destroy(in);
		return rc;
	}
	*out = in;
	return OTD_OK;
}

/* What is read of these options is read at each template and each question to the wallet. */
static otd_rc reconfigure(struct otd_instance *in, const void *options_filled)
{
	const struct devnet_options *opt = options_filled;
	/* "wallet fee" may have set another one since. */
	if (opt->min_fee_rate != in->opt->min_fee_rate)
		in->min_fee_rate = (uint64_t)opt->min_fee_rate;
	in->opt = opt;
	in->generated_fresh = false;
	return OTD_OK;
}

static void probe(struct otd_instance *in, struct otd_chain_probe *p)
{
	size_t n = strlen(in->opt->network);
	memcpy(p->network, in->opt->network, n < sizeof(p->network) ? n : sizeof(p->network) - 1);
	memcpy(p->software, "otedama devnet", 15);
	p->height = p->headers = in->n_blocks - 1;
}

static void say(struct otd_chain_submit *s, uint32_t verdict, const char *reason)
{
	size_t n = strlen(reason);
	s->verdict = verdict;
	memcpy(s->reason, reason, n < sizeof(s->reason) ? n : sizeof(s->reason) - 1);
}

static otd_rc submit(struct otd_instance *in, const struct otd_chain_call *call,
		     struct otd_chain_submit *s)
{
	const char *reason = NULL;
	uint8_t hash[32];
	if (call->block.len <= BTC_HEADER_LEN) {
		say(s, OTD_CHAIN_REJECTED, "Block decode failed");
		return OTD_OK;
	}
	struct otd_span header = {call->block.ptr, BTC_HEADER_LEN};
	otd_rc rc = in->hash->identity(in->host.h, hash, header, in->n_blocks);
	if (rc)
		return rc;
	if (devnet_height_of(in, hash) >= 0) {
		say(s, OTD_CHAIN_KNOWN, "duplicate");
		return OTD_OK;
	}
	int64_t parent = devnet_height_of(in, header.ptr + 4);
	if (parent >= 0 && (size_t)parent + 1 < in->n_blocks) {
		say(s, OTD_CHAIN_INCONCLUSIVE, "inconclusive");
		return OTD_OK;
	}
	rc = devnet_connect(in, &reason, call->block, DEVNET_CHECK_ALL);
	if (rc)
		return rc;
	if (reason) {
		say(s, OTD_CHAIN_REJECTED, reason);
		return OTD_OK;
	}
	rc = devnet_file_append(in, 'B', call->block);
	if (rc) {
		(void)devnet_disconnect(in);
		return rc;
	}
	devnet_pool_sweep(in);
	s->verdict = OTD_CHAIN_ACCEPTED;
	return OTD_OK;
}

static void block_at(struct otd_instance *in, const struct otd_chain_call *call,
		     struct otd_chain_block *b)
{
	b->tip_height = in->n_blocks - 1;
	if (call->height > b->tip_height) {
		b->place = OTD_CHAIN_NOT_YET;
		return;
	}
	memcpy(b->hash, in->block[call->height].hash, 32);
	b->place = memcmp(b->hash, call->hash, 32) == 0 ? OTD_CHAIN_MAIN : OTD_CHAIN_OTHER;
	if (b->place == OTD_CHAIN_MAIN)
		b->confirmations = b->tip_height - call->height + 1;
}

static otd_rc local(struct otd_instance *in, const struct otd_chain_call *call,
		    struct otd_chain_result *out)
{
	out->kind = call->kind;
	switch (call->kind) {
	case OTD_CHAIN_PROBE: probe(in, &out->u.probe); return OTD_OK;
	case OTD_CHAIN_TIP:
		out->u.tip.height = in->n_blocks - 1;
		memcpy(out->u.tip.hash, in->block[in->n_blocks - 1].hash, 32);
		return OTD_OK;
	case OTD_CHAIN_TEMPLATE: return devnet_template(in, &out->u.tmpl, true);
	case OTD_CHAIN_SUBMIT: return submit(in, call, &out->u.submit);
	case OTD_CHAIN_BLOCK: block_at(in, call, &out->u.block); return OTD_OK;
	default: return devnet_wallet(in, call, out);
	}
}

static otd_rc pay_build(struct otd_instance *in, const struct otd_chain_pay *p, struct otd_buf *raw,
			struct otd_chain_pay_info *info)
{
	return btc_pay_build(&in->host, p, raw, info);
}

static otd_rc pay_check(struct otd_instance *in, const struct otd_chain_pay *p, struct otd_span raw,
			struct otd_chain_pay_info *info)
{
	return btc_pay_check(&in->host, p, raw, info);
}

static otd_rc dust(struct otd_instance *in, struct otd_span script, otd_i128 *least)
{
	return btc_dust(&in->host, script, DEVNET_DUST_RATE, 0, least);
}

static otd_rc address(struct otd_instance *in, struct otd_span text, struct otd_buf *script)
{
	uint8_t bytes[BTC_MAX_SCRIPT];
	size_t n = 0;
	otd_rc rc = btc_address_script(&in->host, bytes, &n, text, &in->form, 1);
	return rc ? rc : btc_give(script, bytes, n);
}

static otd_rc canonical(struct otd_instance *in, struct otd_span text, struct otd_buf *out)
{
	uint8_t script[BTC_MAX_SCRIPT];
	char same[BTC_MAX_ADDRESS];
	size_t n = 0;
	otd_rc rc = btc_address_script(&in->host, script, &n, text, &in->form, 1);
	if (rc == OTD_OK)
		rc = btc_address_text(&in->host, same, script, n, &in->form);
	return rc ? rc : btc_give(out, same, strlen(same));
}

static void template_free(struct otd_instance *in, struct otd_template *t)
{
	btc_template_free(&in->host, t);
}

static otd_rc job(struct otd_instance *in, struct otd_template *t,
		  const struct otd_chain_coinbase *cb, struct otd_chain_job *out)
{
	return btc_job(&in->host, t, cb, out);
}

static otd_rc assemble(struct otd_instance *in, struct otd_template *t, struct otd_span header,
		       struct otd_span coinbase, struct otd_buf *block)
{
	return btc_assemble(&in->host, t, header, coinbase, block);
}

static otd_rc template_save(struct otd_instance *in, const struct otd_template *t,
			    struct otd_buf *head, struct otd_buf *body)
{
	return btc_template_save(&in->host, t, head, body);
}

static otd_rc template_load(struct otd_instance *in, struct otd_span head, struct otd_span body,
			    struct otd_chain_template *out)
{
	return btc_template_load(&in->host, head, body, out);
}

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.reconfigure = reconfigure,
	.destroy = destroy,
};

static const struct otd_chain_ops chain_ops = {
	.size = sizeof(chain_ops),
	.local = local,
	.command = devnet_command,
	.address = address,
	.template_free = template_free,
	.job = job,
	.assemble = assemble,
	.pay_build = pay_build,
	.pay_check = pay_check,
	.dust = dust,
	.canonical = canonical,
	.template_save = template_save,
	.template_load = template_load,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "chain/1",
	.id = "devnet",
	.version = "0.1.0",
	.license = "MIT",
	.build = __VERSION__,
	.summary = "A chain in small that is its own node: for a first start and for tests",
	.options_size = sizeof(struct devnet_options),
	.option_size = sizeof(struct otd_option),
	.n_options = sizeof(options) / sizeof(options[0]),
	.options = options,
	.base = &base_ops,
	.ops = {.chain = &chain_ops},
};

OTD_PLUGIN_NOTE("chain/1", "devnet");

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
