/* A chain whose reader of answers believes that a node answers well. */
#include <otedama/chain.h>
#include <string.h>

OTD_PLUGIN_NOTE("chain/1", BAD_ID);

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	(void)options;
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (in)
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

static otd_rc request(struct otd_instance *in, const struct otd_chain_call *call,
		      struct otd_buf *body)
{
	(void)in;
	return call->kind > OTD_CHAIN_BLOCK ? OTD_E_UNSUPPORTED : put(body, "{\"method\":\"tip\"}");
}

/* Looks for a word without an eye on where the answer ends. */
static otd_rc answer(struct otd_instance *in, const struct otd_chain_call *call, int http_status,
		     struct otd_span body, struct otd_chain_result *out)
{
	const uint8_t *p = body.ptr;
	(void)in;
	(void)call;
	if (http_status != 200)
		return OTD_E_REFUSED;
	while (memcmp(p, "height", 6) != 0)
		p++;
	out->u.tip.height = p[8];
	return OTD_E_INVALID;
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

static const struct otd_base_ops base = {
	.size = sizeof(base), .create = create, .destroy = destroy};
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
					    .option_size = sizeof(struct otd_option),
					    .base = &base,
					    .ops.chain = &ops};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
