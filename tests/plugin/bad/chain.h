/*
 * A chain that is good but for its reconfigure(), which the file that includes this defines as
 * `static otd_rc reconfigure(struct otd_instance *in, const struct options *o)`.
 */
#include <otedama/chain.h>
#include <string.h>

struct options {
	int64_t fee, limit;
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	int64_t fee, limit;
	void *lost;
};

static otd_rc reconfigure(struct otd_instance *in, const struct options *o);

OTD_PLUGIN_NOTE("chain/1", BAD_ID);

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	const struct options *o = options;
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->fee = o->fee;
	in->limit = o->limit;
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	while (in->lost) {
		void **first = in->lost;
		in->lost = *first;
		in->core->free(in->host, first);
	}
	in->core->free(in->host, in);
}

static otd_rc put(struct otd_buf *b, const char *text)
{
	b->len = strlen(text);
	if (b->len > b->cap)
		return OTD_E_RANGE;
	memcpy(b->ptr, text, b->len);
	return OTD_OK;
}

static otd_rc reconfigure_any(struct otd_instance *in, const void *options)
{
	return reconfigure(in, options);
}

/* What it asks for shows what it was given. */
static otd_rc request(struct otd_instance *in, const struct otd_chain_call *call,
		      struct otd_buf *body)
{
	if (in->fee != 10 || in->limit != 20)
		return OTD_E_REFUSED;
	return call->kind > OTD_CHAIN_BLOCK ? OTD_E_UNSUPPORTED : put(body, "{\"method\":\"tip\"}");
}

static otd_rc answer(struct otd_instance *in, const struct otd_chain_call *call, int http_status,
		     struct otd_span body, struct otd_chain_result *out)
{
	(void)in;
	(void)call;
	(void)http_status;
	(void)body;
	(void)out;
	return OTD_E_REFUSED;
}

/* Takes any text, and pays to nobody. */
static otd_rc address(struct otd_instance *in, struct otd_span text, struct otd_buf *script)
{
	(void)in;
	(void)text;
	script->len = 0;
	return OTD_OK;
}

static void template_free(struct otd_instance *in, struct otd_template *t)
{
	(void)in;
	(void)t;
}

static otd_rc job(struct otd_instance *in, struct otd_template *t,
		  const struct otd_chain_coinbase *cb, struct otd_chain_job *out)
{
	(void)in;
	(void)t;
	(void)cb;
	(void)out;
	return OTD_E_UNSUPPORTED;
}

static otd_rc assemble(struct otd_instance *in, struct otd_template *t, struct otd_span header,
		       struct otd_span coinbase, struct otd_buf *block)
{
	(void)in;
	(void)t;
	(void)header;
	(void)coinbase;
	(void)block;
	return OTD_E_UNSUPPORTED;
}

static const struct otd_option table[] = {
	OTD_OPTION(struct options, fee, OTD_OPT_INT, "fee", "10", "A fee", .min = 1, .max = 100,
		   .flags = OTD_OPT_RELOADABLE),
	OTD_OPTION(struct options, limit, OTD_OPT_INT, "limit", "20", "A limit", .min = 1,
		   .max = 100, .flags = OTD_OPT_RELOADABLE),
};

static const struct otd_base_ops base = {
	.size = sizeof(base), .create = create, .reconfigure = reconfigure_any, .destroy = destroy};
static const struct otd_chain_ops ops = {.size = sizeof(ops),
					 .request = request,
					 .answer = answer,
					 .address = address,
					 .template_free = template_free,
					 .job = job,
					 .assemble = assemble};
static const struct otd_plugin_desc desc = {.size = sizeof(desc),
					    .abi_major = OTD_ABI_MAJOR,
					    .abi_minor = OTD_ABI_MINOR,
					    .kind = "chain/1",
					    .id = BAD_ID,
					    .version = "0.0.1",
					    .license = "MIT",
					    .build = "C " __VERSION__,
					    .summary = "For a test",
					    .options_size = sizeof(struct options),
					    .option_size = sizeof(struct otd_option),
					    .n_options = 2,
					    .options = table,
					    .base = &base,
					    .ops.chain = &ops};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
