#include "bitcoin.h"

#include <string.h>

static const char *const network_names[BITCOIN_NETWORKS] = {"main", "test", "testnet4", "signet",
							    "regtest"};

#define FORM(i, name)                                                                           \
	OTD_OPTION(struct bitcoin_options, forms[i], OTD_OPT_LIST, name, NULL,                  \
		   "addresses of network " name ", such as [p2pkh 0, p2sh 5, bech32 bc]; none " \
		   "where the coin has no such network")

static const struct otd_option options[] = {
	OTD_OPTION(struct bitcoin_options, network, OTD_OPT_TEXT, "network", "main",
		   "network of the coin, as its node calls it", .min = 1, .max = 31),
	OTD_OPTION(struct bitcoin_options, rules, OTD_OPT_LIST, "rules", "[segwit]",
		   "rules that getblocktemplate is told we know"),
	OTD_OPTION(struct bitcoin_options, schedule, OTD_OPT_LIST, "schedule", NULL,
		   "by network, how many blocks difficulty and subsidy stay as they are, such as "
		   "[main 2016 210000]; 0: for ever; a network that is not named: not known, and "
		   "no first job before the node's"),
	OTD_OPTION(struct bitcoin_options, dust_relay_fee, OTD_OPT_INT, "dust_relay_fee", "3000",
		   "rate by which the coin's nodes reckon what is too small to be spent, in base "
		   "units per 1000 bytes",
		   .flags = OTD_OPT_RELOADABLE, .min = 0, .max = 1000000000),
	OTD_OPTION(struct bitcoin_options, dust_limit, OTD_OPT_INT, "dust_limit", "0",
		   "least amount of an output whatever its kind, in base units",
		   .flags = OTD_OPT_RELOADABLE, .min = 0, .max = 1000000000000),
	FORM(0, "main"),
	FORM(1, "test"),
	FORM(2, "testnet4"),
	FORM(3, "signet"),
	FORM(4, "regtest"),
};

static void destroy(struct otd_instance *in)
{
	if (in) {
		const struct btc_host host = in->host;
		btc_free(&host, in);
	}
}

/* The own network's form first, then the others that the coin has. */
static otd_rc read_forms(struct otd_instance *in)
{
	size_t own = BITCOIN_NETWORKS, n = 1;
	for (size_t i = 0; i < BITCOIN_NETWORKS; i++) {
		bool mine = strcmp(network_names[i], in->opt->network) == 0;
		otd_rc rc = btc_address_form_read(&in->host, &in->forms[mine ? 0 : n],
						  network_names[i], &in->opt->forms[i]);
		if (rc)
			return rc;
		if (mine)
			own = i;
		else if (n < BITCOIN_NETWORKS - 1)
			n++;
	}
	if (own == BITCOIN_NETWORKS)
		return btc_fail(&in->host, OTD_E_INVALID,
				"network '%s' is not one of main, test, testnet4, signet, regtest",
				in->opt->network);
	if (in->opt->forms[own].n == 0)
		return btc_fail(&in->host, OTD_E_INVALID,
				"the coin file says nothing of addresses on network %s; add "
				"'%s: [p2pkh N, p2sh N, bech32 PREFIX]' to its chain",
				network_names[own], network_names[own]);
	return OTD_OK;
}

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *opt)
{
	const struct btc_host host = {core, h};
	struct otd_instance *in = btc_alloc(&host, sizeof(*in));
	if (!in)
		return btc_fail(&host, OTD_E_NOMEM, "no memory");
	in->host = host;
	in->opt = opt;
	otd_rc rc = read_forms(in);
	if (rc == OTD_OK)
		rc = bitcoin_schedule(in);
	for (size_t i = 0; rc == OTD_OK && i < in->opt->rules.n; i++) {
		const char *rule = in->opt->rules.item[i];
		if (!*rule ||
		    strspn(rule, "abcdefghijklmnopqrstuvwxyz0123456789_-") != strlen(rule))
			rc = btc_fail(&host, OTD_E_INVALID,
				      "rules: '%.40s' is not the name of a rule", rule);
	}
	if (rc) {
		destroy(in);
		return rc;
	}
	*out = in;
	return OTD_OK;
}

/* dust() reads them at each call; the rest says what the coin is, and is as it was. */
static otd_rc reconfigure(struct otd_instance *in, const void *opt)
{
	in->opt = opt;
	return OTD_OK;
}

static otd_rc address(struct otd_instance *in, struct otd_span text, struct otd_buf *script)
{
	uint8_t bytes[BTC_MAX_SCRIPT];
	size_t n = 0;
	otd_rc rc = btc_address_script(&in->host, bytes, &n, text, in->forms, BITCOIN_NETWORKS);
	return rc ? rc : btc_give(script, bytes, n);
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
	return btc_dust(&in->host, script, in->opt->dust_relay_fee, in->opt->dust_limit, least);
}

static otd_rc canonical(struct otd_instance *in, struct otd_span text, struct otd_buf *out)
{
	uint8_t script[BTC_MAX_SCRIPT];
	char same[BTC_MAX_ADDRESS];
	size_t n = 0;
	otd_rc rc = btc_address_script(&in->host, script, &n, text, in->forms, BITCOIN_NETWORKS);
	if (rc == OTD_OK)
		rc = btc_address_text(&in->host, same, script, n, &in->forms[0]);
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
	.request = bitcoin_request,
	.answer = bitcoin_answer,
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
	.template_first = bitcoin_first,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "chain/1",
	.id = "bitcoin",
	.version = "0.1.0",
	.license = "MIT",
	.build = __VERSION__,
	.summary = "Bitcoin and its relatives by getblocktemplate; the coin file says what differs",
	.options_size = sizeof(struct bitcoin_options),
	.option_size = sizeof(struct otd_option),
	.n_options = sizeof(options) / sizeof(options[0]),
	.options = options,
	.base = &base_ops,
	.ops = {.chain = &chain_ops},
};

OTD_PLUGIN_NOTE("chain/1", "bitcoin");

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
