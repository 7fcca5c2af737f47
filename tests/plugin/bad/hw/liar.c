/* A device that finds what is not there. */
#include <otedama/hw.h>
#include <string.h>

OTD_PLUGIN_NOTE("hw/1", BAD_ID);

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
};

struct otd_hw_unit {
	struct otd_instance *in;
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

static otd_rc device(struct otd_instance *in, uint32_t index, struct otd_hw_device *out)
{
	struct otd_hw_device d = {.size = out->size, .name = "liar", .units = 1};
	(void)in;
	if (index)
		return OTD_E_NOT_FOUND;
	memcpy(out, &d, out->size < sizeof(d) ? out->size : sizeof(d));
	return OTD_OK;
}

static otd_rc open_unit(struct otd_instance *in, struct otd_hw_unit **out, uint32_t index,
			uint32_t unit, const struct otd_hw_algo *algo)
{
	struct otd_hw_unit *u = in->core->alloc(in->host, sizeof(*u));
	(void)index;
	(void)unit;
	(void)algo;
	if (!u)
		return OTD_E_NOMEM;
	u->in = in;
	*out = u;
	return OTD_OK;
}

static otd_rc scan(struct otd_hw_unit *u, struct otd_algo_scan *s)
{
	(void)u;
	s->found[0] = s->first;
	s->n_found = 1;
	s->done = s->count;
	return OTD_OK;
}

static void close_unit(struct otd_hw_unit *u)
{
	if (u)
		u->in->core->free(u->in->host, u);
}

static const struct otd_base_ops base = {
	.size = sizeof(base), .create = create, .destroy = destroy};
static const struct otd_hw_ops ops = {.size = sizeof(ops),
				      .device = device,
				      .open = open_unit,
				      .scan = scan,
				      .close = close_unit};
static const struct otd_plugin_desc desc = {.size = sizeof(desc),
					    .abi_major = OTD_ABI_MAJOR,
					    .abi_minor = OTD_ABI_MINOR,
					    .kind = "hw/1",
					    .id = BAD_ID,
					    .version = "0.0.1",
					    .license = "MIT",
					    .build = "C " __VERSION__,
					    .summary = "For a test",
					    .option_size = sizeof(struct otd_option),
					    .base = &base,
					    .ops.hw = &ops};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
