/*
 * What Otedama needs of a hardware backend, round search() of scan.c. It runs any algorithm, by the
 * functions of the algorithm's plugin.
 *
 * SPDX-License-Identifier: @LICENSE@
 */
#include <string.h>

#include "scan.h"

OTD_PLUGIN_NOTE("hw/1", "@ID@");

enum { SLICE_NS = 100 * 1000 * 1000, SLICE_FIRST = 64 };

/* The options of the instance; rows for them stand below. */
struct options {
	int64_t units;
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	const struct otd_host_clock *clock;
	const struct options *options;
};

struct otd_hw_unit {
	struct otd_instance *in;
	struct search search;
	void *memory;   /* of the scratch, as allocated */
	uint64_t slice; /* nonces that take some SLICE_NS */
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->clock = core->service(h, "clock/1");
	in->options = options;
	if (!in->clock) {
		core->set_error(h, "the host gives no clock");
		core->free(h, in);
		return OTD_E_UNSUPPORTED;
	}
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (in)
		in->core->free(in->host, in);
}

/* Devices are numbered from 0. None at all is a normal state, no error. */
static otd_rc device(struct otd_instance *in, uint32_t index, struct otd_hw_device *out)
{
	const struct otd_hw_device d = {
		.size = out->size,
		.name = "processor, one hash after the other",
		.units = (uint32_t)in->options->units,
		.score = 1,
	};
	if (index > 0)
		return OTD_E_NOT_FOUND;
	memcpy(out, &d, out->size < sizeof(d) ? out->size : sizeof(d));
	return OTD_OK;
}

static void close_unit(struct otd_hw_unit *u)
{
	if (!u)
		return;
	struct otd_instance *in = u->in;
	in->core->free(in->host, u->memory);
	in->core->free(in->host, u);
}

/* What the algorithm asks for, at its alignment; alloc() gives 64. */
static otd_rc open_scratch(struct otd_hw_unit *u)
{
	const struct otd_algo_info *info = &u->search.info;
	size_t align = info->scratch_align ? info->scratch_align : 64;
	if (info->scratch_size == 0)
		return OTD_OK;
	u->memory = u->in->core->alloc(u->in->host, (size_t)info->scratch_size + align);
	if (!u->memory)
		return OTD_E_NOMEM;
	u->search.scratch = (void *)(((uintptr_t)u->memory + align - 1) & ~((uintptr_t)align - 1));
	return OTD_OK;
}

static otd_rc open_unit(struct otd_instance *in, struct otd_hw_unit **out, uint32_t index,
			uint32_t unit, const struct otd_hw_algo *algo)
{
	struct otd_hw_unit *u;
	otd_rc rc;
	if (index > 0 || unit >= (uint32_t)in->options->units)
		return OTD_E_NOT_FOUND;
	if (algo->info->header_len > HEADER_MAX) {
		in->core->set_error(in->host, "headers of %u bytes are too long for this backend",
				    (unsigned)algo->info->header_len);
		return OTD_E_UNSUPPORTED;
	}
	u = in->core->alloc(in->host, sizeof(*u));
	if (!u)
		return OTD_E_NOMEM;
	u->in = in;
	u->slice = SLICE_FIRST;
	u->search.algo = algo;
	u->search.info = *algo->info;
	rc = open_scratch(u);
	if (rc)
		close_unit(u);
	else
		*out = u;
	return rc;
}

/* A slice of some 100 ms; how many nonces that are is learnt from the last one. */
static otd_rc scan(struct otd_hw_unit *u, struct otd_algo_scan *s)
{
	const struct otd_instance *in = u->in;
	uint64_t start = in->clock->mono_ns(in->host), took;
	otd_rc rc;
	if (s->header.len != u->search.info.header_len)
		return OTD_E_INVALID;
	rc = search(&u->search, s, s->count < u->slice ? s->count : u->slice);
	took = in->clock->mono_ns(in->host) - start;
	if (took < SLICE_NS / 2 && u->slice < UINT64_MAX / 2)
		u->slice *= 2;
	else if (took > SLICE_NS && u->slice > 1)
		u->slice /= 2;
	return rc;
}

static otd_rc telemetry(struct otd_hw_unit *u, struct otd_hw_telemetry *out)
{
	const struct otd_hw_telemetry t = {
		.size = out->size,
		.temperature_mc = INT32_MIN, /* unknown, all of it */
		.power_mw = -1,
		.fan_ppm = -1,
	};
	(void)u;
	memcpy(out, &t, out->size < sizeof(t) ? out->size : sizeof(t));
	return OTD_OK;
}

static const struct otd_option option_table[] = {
	OTD_OPTION(struct options, units, OTD_OPT_INT, "units", "4",
		   "How many threads may mine at once", .min = 1, .max = 1024),
};

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.destroy = destroy,
};

static const struct otd_hw_ops hw_ops = {
	.size = sizeof(hw_ops),
	.device = device,
	.open = open_unit,
	.scan = scan,
	.telemetry = telemetry,
	.close = close_unit,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "hw/1",
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
	.ops = {.hw = &hw_ops},
};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
