/*
 * A host in small, of the shape of whatever headers it is compiled with, so that old hosts can be put
 * before new plugins: loads one plugin as the contract says (sizes looked at, tables copied into zeroed
 * structs, arrays by their stride) and makes it work. tests/abi/matrix.py compiles and runs it.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <otedama/algo.h>
#include <otedama/chain.h>
#include <otedama/hw.h>
#include <otedama/payout.h>
#include <otedama/sha256.h>

struct plugin {
	struct otd_plugin_desc desc;
	struct otd_base_ops base;
	uint8_t *options;
	struct otd_instance *self;
};

#define FAIL(...) (printf(__VA_ARGS__), printf("\n"), exit(1))
#define WANT(cond) \
	((cond) ? (void)0 : (printf("%s:%d: not so: %s\n", __FILE__, __LINE__, #cond), exit(1)))

/* What the other side has of it; what it has not is zero. */
static void copy(void *to, size_t cap, const void *from)
{
	uint32_t size;
	memcpy(&size, from, sizeof(size));
	memset(to, 0, cap);
	memcpy(to, from, size < cap ? size : cap);
}

/* A struct that a plugin writes into, and what stands behind it, which it must not touch. */
#define GUARDED(type, name)                         \
	struct {                                    \
		struct type it;                     \
		uint8_t wall[64];                   \
	} name;                                     \
	memset(&name, 0, sizeof(name));             \
	memset(name.wall, 0xa5, sizeof(name.wall)); \
	name.it.size = sizeof(name.it)
#define UNTOUCHED(name) (name.wall[0] == 0xa5 && name.wall[7] == 0xa5 && name.wall[63] == 0xa5)

static void host_log(struct otd_host *h, int level, const char *event, const char *text)
{
	(void)h;
	printf("log %d %s %s\n", level, event, text);
}

static void *host_alloc(struct otd_host *h, size_t n)
{
	(void)h;
	void *p = aligned_alloc(64, (n + 63) / 64 * 64);
	return p ? memset(p, 0, n) : NULL;
}

static void host_free(struct otd_host *h, void *p)
{
	(void)h;
	free(p);
}

static void host_error(struct otd_host *h, const char *fmt, ...)
{
	va_list ap;
	(void)h;
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

static uint64_t mono_ns(struct otd_host *h)
{
	static uint64_t now;
	(void)h;
	return now += 1000000;
}

static int64_t wall_ms(struct otd_host *h)
{
	(void)h;
	return 1700000000000;
}

static otd_rc pow_hash(struct otd_host *h, uint8_t hash[32], struct otd_span header,
		       uint64_t height)
{
	(void)h;
	(void)height;
	otd_sha256d(hash, header.ptr, header.len);
	return OTD_OK;
}

static const void *service(struct otd_host *h, const char *name)
{
	static const struct otd_host_clock clock = {
		.size = sizeof(clock), .mono_ns = mono_ns, .wall_ms = wall_ms};
	static const struct otd_host_hash hash = {
		.size = sizeof(hash), .pow = pow_hash, .identity = pow_hash};
	(void)h;
	return strcmp(name, "clock/1") == 0  ? (const void *)&clock
	       : strcmp(name, "hash/1") == 0 ? (const void *)&hash
					     : NULL;
}

static const struct otd_host_core core = {
	.size = sizeof(core),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.log = host_log,
	.alloc = host_alloc,
	.free = host_free,
	.set_error = host_error,
	.service = service,
};

static size_t from_hex(uint8_t *out, size_t cap, const char *text)
{
	size_t n = 0;
	for (unsigned v; n < cap && sscanf(text, "%2x", &v) == 1; text += 2)
		out[n++] = (uint8_t)v;
	return n;
}

/* The defaults of the kinds of options that the templates have, by the plugin's own length of a row. */
static void fill_options(struct plugin *p)
{
	static uint8_t bytes[64];
	p->options = calloc(1, p->desc.options_size + 1);
	WANT(p->options != NULL);
	for (uint32_t i = 0; i < p->desc.n_options; i++) {
		struct otd_option o;
		copy(&o, sizeof(o), (const uint8_t *)p->desc.options + i * p->desc.option_size);
		uint8_t *to = p->options + o.offset;
		int64_t v = o.def ? strtoll(o.def, NULL, 10) : 0;
		if (o.type == OTD_OPT_RATE)
			v *= 10000; /* percent */
		if (o.type == OTD_OPT_TEXT) {
			memcpy(to, &o.def, sizeof(o.def));
		} else if (o.type == OTD_OPT_HEX) {
			struct otd_span s = {bytes, from_hex(bytes, sizeof(bytes), "207fffff")};
			memcpy(to, &s, sizeof(s));
		} else {
			WANT(o.type == OTD_OPT_INT || o.type == OTD_OPT_RATE);
			memcpy(to, &v, sizeof(v));
		}
	}
}

static void run_algo(struct plugin *p)
{
	struct otd_algo_ops ops;
	GUARDED(otd_algo_info, info);
	copy(&ops, sizeof(ops), p->desc.ops.algo);
	WANT(ops.info(p->self, &info.it) == OTD_OK && info.it.header_len == 80);
	WANT(info.it.batch_hint > 0 && info.it.size == sizeof(info.it) && UNTOUCHED(info));
	WANT(p->desc.n_vectors > 0);
	for (uint32_t i = 0; i < p->desc.n_vectors; i++) {
		const struct otd_algo_vector *v =
			(const void *)((const uint8_t *)p->desc.vectors + i * p->desc.vector_size);
		uint8_t header[80], want[32];
		struct otd_algo_item item[3];
		WANT(from_hex(header, 80, v->header) == 80 && from_hex(want, 32, v->hash) == 32);
		memset(item, 0, sizeof(item));
		for (int k = 0; k < 3; k++)
			item[k].header = (struct otd_span){header, 80};
		WANT(ops.hash_batch(p->self, NULL, item, sizeof(item[0]), 3) == OTD_OK);
		for (int k = 0; k < 32; k++)
			WANT(item[0].hash[31 - k] == want[k] && item[2].hash[31 - k] == want[k]);
		WANT(item[1].rc == OTD_OK);
	}
}

static otd_rc credit(void *ctx, uint64_t account, otd_i128 amount)
{
	(void)account;
	*(otd_i128 *)ctx += amount;
	return OTD_OK;
}

static void run_payout(struct plugin *p)
{
	struct otd_payout_ops ops;
	struct otd_payout_share share[2] = {{.account = 1, .work = 700},
					    {.account = 2, .work = 300}};
	struct otd_payout_batch batch = {.size = sizeof(batch),
					 .stride = sizeof(share[0]),
					 .shares = share,
					 .n = 2,
					 .network_work = 1000};
	uint8_t state[4096];
	struct otd_buf out = {state, 0, sizeof(state)};
	otd_i128 sum = 0;
	otd_u128 work;
	uint64_t accounts;
	struct otd_payout_sink sink = {.size = sizeof(sink), .ctx = &sum, .credit = credit};
	struct otd_payout_block block = {.size = sizeof(block),
					 .block = 1,
					 .finder = 2,
					 .amount = 999,
					 .network_work = 1000};
	copy(&ops, sizeof(ops), p->desc.ops.payout);
	WANT(ops.shares(p->self, &batch) == OTD_OK);
	WANT(ops.round(p->self, &work, &accounts) == OTD_OK && work == 1000 && accounts == 2);
	WANT(ops.snapshot(p->self, &out) == OTD_OK && out.len > 0);
	WANT(ops.block(p->self, &block, &sink) == OTD_OK && sum == 999);
	WANT(ops.restore(p->self, (struct otd_span){state, out.len}) == OTD_OK);
	WANT(ops.round(p->self, &work, &accounts) == OTD_OK && work == 1000 && accounts == 2);
}

/* The hash of a header is its nonce. */
static otd_rc hash_nonce(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			 size_t stride, size_t n)
{
	(void)in;
	(void)scratch;
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		memset(item->hash, 0, 32);
		memcpy(item->hash, item->header.ptr + 76, 4);
		item->rc = OTD_OK;
	}
	return OTD_OK;
}

static void run_hw(struct plugin *p)
{
	static const struct otd_algo_ops algo_ops = {.size = sizeof(algo_ops),
						     .hash_batch = hash_nonce};
	static const struct otd_algo_info info = {
		.size = sizeof(info), .header_len = 80, .nonce_offset = 76, .nonce_len = 4};
	struct otd_hw_algo algo = {
		.size = sizeof(algo), .ops = &algo_ops, .info = &info, .id = "nonce"};
	GUARDED(otd_hw_device, device);
	GUARDED(otd_hw_telemetry, telemetry);
	struct otd_hw_ops ops;
	struct otd_hw_unit *unit = NULL;
	uint8_t header[80] = {0};
	uint64_t found[4];
	struct otd_algo_scan scan = {.size = sizeof(scan),
				     .header = {header, 80},
				     .count = 64,
				     .found = found,
				     .found_cap = 4};
	copy(&ops, sizeof(ops), p->desc.ops.hw);
	WANT(ops.device(p->self, 0, &device.it) == OTD_OK && device.it.units > 0);
	WANT(ops.device(p->self, 1, &device.it) == OTD_E_NOT_FOUND);
	WANT(ops.open(p->self, &unit, 0, 0, &algo) == OTD_OK && unit);
	scan.target[0] = 1;
	WANT(ops.scan(unit, &scan) == OTD_OK && scan.n_found == 2 && found[1] == 1);
	WANT(ops.telemetry(unit, &telemetry.it) == OTD_OK && telemetry.it.power_mw == -1);
	WANT(UNTOUCHED(device) && UNTOUCHED(telemetry));
	ops.close(unit);
}

static void run_chain(struct plugin *p)
{
	struct otd_chain_ops ops;
	struct otd_chain_call call = {.size = sizeof(call), .kind = OTD_CHAIN_TEMPLATE};
	struct otd_chain_result result = {.size = sizeof(result)};
	uint8_t script[90], one[400], two[400], branches[32];
	struct otd_buf to = {script, 0, sizeof(script)};
	struct otd_chain_payee payee = {.value = -1};
	struct otd_chain_coinbase cb = {.size = sizeof(cb),
					.extranonce_len = 8,
					.payees = &payee,
					.payee_stride = sizeof(payee),
					.n_payees = 1};
	struct otd_chain_job job = {.size = sizeof(job),
				    .coinbase1 = {one, 0, sizeof(one)},
				    .coinbase2 = {two, 0, sizeof(two)},
				    .branches = {branches, 0, sizeof(branches)}};
	copy(&ops, sizeof(ops), p->desc.ops.chain);
	WANT(ops.local(p->self, &call, &result) == OTD_OK && result.u.tmpl.height == 1);
	WANT(ops.address(p->self, (struct otd_span){(const uint8_t *)"somebody", 8}, &to) ==
	     OTD_OK);
	payee.script = (struct otd_span){script, to.len};
	WANT(ops.job(p->self, result.u.tmpl.handle, &cb, &job) == OTD_OK);
	WANT(job.coinbase1.len > 40 && job.coinbase2.len > 10 && job.branches.len == 0);
	ops.template_free(p->self, result.u.tmpl.handle);
	call.kind = OTD_CHAIN_PROBE;
	memset(&result.u, 0, sizeof(result.u));
	WANT(ops.local(p->self, &call, &result) == OTD_OK && result.u.probe.network[0]);
	call.kind = 99; /* of a later host */
	WANT(ops.local(p->self, &call, &result) != OTD_OK);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *kind;
		void (*run)(struct plugin *);
	} kinds[] = {{"algo/1", run_algo},
		     {"payout/1", run_payout},
		     {"hw/1", run_hw},
		     {"chain/1", run_chain}};
	struct plugin p;
	otd_plugin_entry entry = NULL;
	void *image = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
	void *symbol = image ? dlsym(image, OTD_PLUGIN_ENTRY) : NULL;
	if (!symbol)
		FAIL("usage: host PLUGIN.so (%s)", argc == 2 ? dlerror() : "one file");
	memcpy(&entry, &symbol, sizeof(entry));
	copy(&p.desc, sizeof(p.desc), entry());
	if (p.desc.abi_major != OTD_ABI_MAJOR)
		FAIL("its ABI is %u, this host's %u", p.desc.abi_major, OTD_ABI_MAJOR);
	copy(&p.base, sizeof(p.base), p.desc.base);
	fill_options(&p);
	WANT(p.base.create(&p.self, NULL, &core, p.options) == OTD_OK);
	size_t i = 0;
	while (i < 4 && strcmp(kinds[i].kind, p.desc.kind) != 0)
		i++;
	WANT(i < 4);
	kinds[i].run(&p);
	p.base.destroy(p.self);
	free(p.options);
	printf("ok\n");
	return 0;
}
