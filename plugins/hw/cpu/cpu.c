/*
 * Kind "hw/1", id "cpu": the processor mines. It runs any algorithm through its own functions:
 * scan() where the algorithm has one, hash_batch() over a range of nonces otherwise.
 */
#include <otedama/hw.h>
#include <otedama/plugin.h>
#include <string.h>
#include <unistd.h>

#define SLICE_NS    ((uint64_t)60 * 1000 * 1000) /* aim of one scan() */
#define FIRST_COUNT 64u                          /* nonces of the first slice; then measured */
#define BATCH_MAX   256u
#define HEADER_MAX  512u

struct options {
	int64_t threads;
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	const struct otd_host_clock *clock;
	int64_t threads;
};

struct otd_hw_unit {
	struct otd_instance *in;
	const struct otd_algo_ops *ops;
	struct otd_instance *algo;
	struct otd_algo_info info;
	void *memory;   /* as allocated */
	void *scratch;  /* aligned, in memory; NULL: the algorithm needs none */
	uint64_t slice; /* nonces that take SLICE_NS */
	uint32_t errors;
	/* hash_batch() only */
	uint32_t batch;
	struct otd_algo_item *items;
	uint8_t *headers;
};

static otd_rc cpu_create(struct otd_instance **out, struct otd_host *h,
			 const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->clock = core->service(h, "clock/1");
	in->threads = ((const struct options *)options)->threads;
	if (!in->clock) {
		core->set_error(h, "the host gives no clock");
		core->free(h, in);
		return OTD_E_UNSUPPORTED;
	}
	*out = in;
	return OTD_OK;
}

static void cpu_destroy(struct otd_instance *in)
{
	if (in)
		in->core->free(in->host, in);
}

static otd_rc cpu_device(struct otd_instance *in, uint32_t index, struct otd_hw_device *out)
{
	long online = sysconf(_SC_NPROCESSORS_ONLN);
	uint32_t size = out->size < sizeof(*out) ? out->size : (uint32_t)sizeof(*out);
	struct otd_hw_device d = {.size = out->size, .name = "processor", .score = 1};
	if (index > 0)
		return OTD_E_NOT_FOUND;
	d.units = in->threads > 0 ? (uint32_t)in->threads : online > 0 ? (uint32_t)online : 1;
	memcpy(out, &d, size);
	return OTD_OK;
}

static void cpu_close(struct otd_hw_unit *u)
{
	struct otd_instance *in = u ? u->in : NULL;
	if (!u)
		return;
	in->core->free(in->host, u->headers);
	in->core->free(in->host, u->items);
	in->core->free(in->host, u->memory);
	in->core->free(in->host, u);
}

static otd_rc open_scratch(struct otd_hw_unit *u)
{
	const struct otd_instance *in = u->in;
	uint64_t align = u->info.scratch_align ? u->info.scratch_align : 64;
	uint64_t size = u->info.scratch_size;
	uintptr_t p;
	if (!size)
		return OTD_OK;
	/* alloc() aligns to 64; the rest is made up by room. */
	u->memory = in->core->alloc(in->host, (size_t)(size + align));
	if (!u->memory) {
		in->core->set_error(in->host, "no memory for the algorithm: %llu bytes a thread",
				    (unsigned long long)size);
		return OTD_E_NOMEM;
	}
	p = ((uintptr_t)u->memory + (uintptr_t)align - 1) & ~((uintptr_t)align - 1);
	u->scratch = (uint8_t *)u->memory + (p - (uintptr_t)u->memory);
	return OTD_OK;
}

static otd_rc open_batch(struct otd_hw_unit *u)
{
	const struct otd_instance *in = u->in;
	u->batch = u->info.batch_hint < BATCH_MAX ? u->info.batch_hint : BATCH_MAX;
	if (u->batch == 0)
		u->batch = 1;
	u->items = in->core->alloc(in->host, u->batch * sizeof(*u->items));
	u->headers = in->core->alloc(in->host, (size_t)u->batch * u->info.header_len);
	return u->items && u->headers ? OTD_OK : OTD_E_NOMEM;
}

static otd_rc cpu_open(struct otd_instance *in, struct otd_hw_unit **out, uint32_t index,
		       uint32_t unit, const struct otd_hw_algo *algo)
{
	struct otd_hw_unit *u;
	otd_rc rc;
	(void)unit;
	*out = NULL;
	if (index > 0)
		return OTD_E_NOT_FOUND;
	u = in->core->alloc(in->host, sizeof(*u));
	if (!u)
		return OTD_E_NOMEM;
	u->in = in;
	u->ops = algo->ops;
	u->algo = algo->algo;
	u->info = *algo->info;
	u->slice = FIRST_COUNT;
	if (u->info.header_len > HEADER_MAX) {
		in->core->set_error(in->host, "headers of %u bytes are too long for this backend",
				    u->info.header_len);
		rc = OTD_E_UNSUPPORTED;
	} else {
		rc = open_scratch(u);
	}
	if (!rc && !u->ops->scan)
		rc = open_batch(u);
	if (rc)
		cpu_close(u);
	else
		*out = u;
	return rc;
}

static void put_nonce(const struct otd_algo_info *info, uint8_t *header, uint64_t nonce)
{
	for (uint32_t i = 0; i < info->nonce_len; i++) {
		uint32_t at = info->nonce_be ? info->nonce_len - 1 - i : i;
		header[info->nonce_offset + at] = (uint8_t)(nonce >> (8 * i));
	}
}

/* a at most b, both least significant byte first. */
static bool at_most(const uint8_t a[32], const uint8_t b[32])
{
	for (int i = 31; i >= 0; i--) {
		if (a[i] != b[i])
			return a[i] < b[i];
	}
	return true;
}

/* For algorithms without scan(): s->count nonces by batches. */
static otd_rc scan_by_batch(struct otd_hw_unit *u, struct otd_algo_scan *s)
{
	while (s->done < s->count && s->n_found < s->found_cap &&
	       !(s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED))) {
		uint64_t left = s->count - s->done;
		uint32_t n = left < u->batch ? (uint32_t)left : u->batch;
		otd_rc rc;
		for (uint32_t i = 0; i < n; i++) {
			uint8_t *h = u->headers + (size_t)i * u->info.header_len;
			memcpy(h, s->header.ptr, u->info.header_len);
			put_nonce(&u->info, h, s->first + s->done + i);
			memset(&u->items[i], 0, sizeof(u->items[i]));
			u->items[i].header = (struct otd_span){h, u->info.header_len};
			u->items[i].height = s->height;
			u->items[i].seed = s->seed;
			u->items[i].nonce = s->first + s->done + i;
		}
		rc = u->ops->hash_batch(u->algo, u->scratch, u->items, sizeof(*u->items), n);
		if (rc)
			return rc;
		for (uint32_t i = 0; i < n && s->n_found < s->found_cap; i++) {
			s->done++;
			if (u->items[i].rc)
				u->errors++;
			else if (at_most(u->items[i].hash, s->target))
				s->found[s->n_found++] = u->items[i].nonce;
		}
	}
	return OTD_OK;
}

static otd_rc cpu_scan(struct otd_hw_unit *u, struct otd_algo_scan *s)
{
	const struct otd_instance *in = u->in;
	uint64_t whole = s->count, took;
	uint64_t start = in->clock->mono_ns(in->host);
	otd_rc rc;
	if (s->header.len != u->info.header_len)
		return OTD_E_INVALID;
	s->done = 0;
	s->n_found = 0;
	if (s->count > u->slice)
		s->count = u->slice;
	rc = u->ops->scan ? u->ops->scan(u->algo, u->scratch, s) : scan_by_batch(u, s);
	s->count = whole;
	took = in->clock->mono_ns(in->host) - start;
	/* Towards the aim, at most fourfold a step: one slow slice says little. */
	if (!rc && s->done) {
		uint64_t grown = u->slice < UINT64_MAX / 4 ? u->slice * 4 : u->slice;
		uint64_t aim =
			took ? (uint64_t)((unsigned __int128)s->done * SLICE_NS / took) : grown;
		u->slice = aim > grown ? grown : aim < u->slice / 4 ? u->slice / 4 : aim;
		if (u->slice == 0)
			u->slice = 1;
	}
	return rc;
}

static otd_rc cpu_telemetry(struct otd_hw_unit *u, struct otd_hw_telemetry *out)
{
	struct otd_hw_telemetry t = {.size = out->size,
				     .temperature_mc = INT32_MIN,
				     .power_mw = -1,
				     .fan_ppm = -1,
				     .errors = u->errors};
	memcpy(out, &t, out->size < sizeof(t) ? out->size : sizeof(t));
	return OTD_OK;
}

static const struct otd_option options[] = {
	OTD_OPTION(struct options, threads, OTD_OPT_INT, "threads", "0",
		   "Threads that may mine; 0 takes all online processors", .min = 0, .max = 4096),
};

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = cpu_create,
	.destroy = cpu_destroy,
};

static const struct otd_hw_ops hw_ops = {
	.size = sizeof(hw_ops),
	.device = cpu_device,
	.open = cpu_open,
	.scan = cpu_scan,
	.telemetry = cpu_telemetry,
	.close = cpu_close,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "hw/1",
	.id = "cpu",
	.version = "0.1.0",
	.license = "MIT",
	.build = "C " __VERSION__,
	.summary = "Mines on the processors of this machine, any algorithm",
	.options_size = sizeof(struct options),
	.option_size = sizeof(struct otd_option),
	.n_options = 1,
	.options = options,
	.base = &base_ops,
	.ops = {.hw = &hw_ops},
};

OTD_PLUGIN_NOTE("hw/1", "cpu");

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
