/* scrypt (RFC 7914) of an 80-byte header, which is password and salt: Litecoin, Dogecoin and kin. */
#include "scrypt_impl.h"

#include <otedama/algo.h>
#include <string.h>

#include "vectors.h"

enum { HEADER_LEN = 80, NONCE_OFFSET = 76, SCRATCH_ALIGN = 64 };

/* of one lane's table; more would be a mistyped n rather than a coin */
#define TABLE_MAX ((uint64_t)256 * 1024 * 1024)
/* of all lanes' tables: past this, lanes are given up rather than memory taken */
#define TABLES_AIM ((uint64_t)64 * 1024 * 1024)

OTD_PLUGIN_NOTE("algo/1", "scrypt");

struct options {
	int64_t n, r, p;
};

static const struct otd_option options[] = {
	OTD_OPTION(struct options, n, OTD_OPT_INT, "n", "1024",
		   "cost: how many blocks a hash holds in memory; a power of two", .min = 2,
		   .max = 1 << 20),
	OTD_OPTION(struct options, r, OTD_OPT_INT, "r", "1", "size of such a block, in 128 bytes",
		   .min = 1, .max = 64),
	OTD_OPTION(struct options, p, OTD_OPT_INT, "p", "1",
		   "how often the mixing is done, each time with a block of its own", .min = 1,
		   .max = 64),
};

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	struct scrypt_conf conf;
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *given)
{
	const struct options *o = given;
	const uint64_t table = (uint64_t)128 * (uint64_t)o->r * (uint64_t)o->n;
	if (o->n & (o->n - 1)) {
		core->set_error(h, "n: %lld is not a power of two; Litecoin takes 1024",
				(long long)o->n);
		return OTD_E_INVALID;
	}
	if (table > TABLE_MAX) {
		core->set_error(h,
				"n: %lld with r: %lld needs %llu MiB for each hash; at most %llu",
				(long long)o->n, (long long)o->r, (unsigned long long)(table >> 20),
				(unsigned long long)(TABLE_MAX >> 20));
		return OTD_E_RANGE;
	}
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->conf.n = (uint32_t)o->n;
	in->conf.r = (uint32_t)o->r;
	in->conf.p = (uint32_t)o->p;
	in->conf.kernel = scrypt_kernel_choose(in->conf.r);
	in->conf.lanes = in->conf.kernel->lanes;
	while (in->conf.lanes > in->conf.kernel->lanes_min && in->conf.lanes * table > TABLES_AIM)
		in->conf.lanes -= in->conf.kernel->lanes_min;
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (in)
		in->core->free(in->host, in);
}

static otd_rc info(struct otd_instance *in, struct otd_algo_info *out)
{
	struct otd_algo_info all = {
		.size = sizeof(all),
		.flags = OTD_ALGO_HUGE_PAGES,
		.header_len = HEADER_LEN,
		.nonce_offset = NONCE_OFFSET,
		.nonce_len = 4,
		.identity = OTD_ALGO_ID_SHA256D,
		.batch_hint = in->conf.lanes,
		.scratch_size = scrypt_scratch_size(&in->conf),
		.scratch_align = SCRATCH_ALIGN,
		/* 0xffff * 2^224: what miners of scrypt coins take for difficulty 1, 65,536 times
		   easier than Bitcoin's */
		.diff1 = {0, 0, 0xff, 0xff},
		.variant = in->conf.kernel->variant,
	};
	/* An older host has a shorter struct, a newer one a longer. */
	uint32_t size = out->size;
	if (size < sizeof(size))
		return OTD_E_INVALID;
	memset(out, 0, size);
	memcpy(out, &all, size < sizeof(all) ? size : sizeof(all));
	out->size = size;
	return OTD_OK;
}

static otd_rc hash_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			 size_t stride, size_t n)
{
	struct scrypt_job jobs[SCRYPT_LANES_MAX];
	uint32_t n_jobs = 0;
	if (!scratch || (uintptr_t)scratch % SCRATCH_ALIGN ||
	    stride < offsetof(struct otd_algo_item, rc) + sizeof(items->rc) ||
	    stride % _Alignof(struct otd_algo_item))
		return OTD_E_INVALID;
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		item->rc = item->header.len == HEADER_LEN ? OTD_OK : OTD_E_INVALID;
		if (item->rc)
			continue;
		jobs[n_jobs++] = (struct scrypt_job){
			.text = item->header, .out = item->hash, .out_len = sizeof(item->hash)};
		if (n_jobs == in->conf.lanes) {
			scrypt_hash(&in->conf, scratch, jobs, n_jobs);
			n_jobs = 0;
		}
	}
	if (n_jobs)
		scrypt_hash(&in->conf, scratch, jobs, n_jobs);
	return OTD_OK;
}

/* Both least significant byte first. */
static bool at_most(const uint8_t hash[32], const uint8_t target[32])
{
	for (int i = 31; i >= 0; i--) {
		if (hash[i] != target[i])
			return hash[i] < target[i];
	}
	return true;
}

static void put_nonce(uint8_t header[HEADER_LEN], uint64_t nonce)
{
	for (int i = 0; i < 4; i++)
		header[NONCE_OFFSET + i] = (uint8_t)(nonce >> (8 * i));
}

/* The next n <= lanes nonces; takes those that fit into s. */
static void scan_step(const struct scrypt_conf *c, void *scratch, struct otd_algo_scan *s,
		      uint32_t n)
{
	uint8_t headers[SCRYPT_LANES_MAX][HEADER_LEN], hashes[SCRYPT_LANES_MAX][32];
	struct scrypt_job jobs[SCRYPT_LANES_MAX] = {0};
	for (uint32_t i = 0; i < n; i++) {
		memcpy(headers[i], s->header.ptr, HEADER_LEN);
		put_nonce(headers[i], s->first + s->done + i);
		jobs[i] = (struct scrypt_job){
			.text = {headers[i], HEADER_LEN}, .out = hashes[i], .out_len = 32};
	}
	scrypt_hash(c, scratch, jobs, n);
	uint64_t from = s->first + s->done;
	for (uint32_t i = 0; i < n && s->n_found < s->found_cap; i++) {
		s->done++;
		if (at_most(hashes[i], s->target))
			s->found[s->n_found++] = from + i;
	}
}

static otd_rc scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	s->n_found = 0;
	s->done = 0;
	if (!scratch || (uintptr_t)scratch % SCRATCH_ALIGN || s->header.len != HEADER_LEN)
		return OTD_E_INVALID;
	/* Nonces have 32 bits and do not wrap. */
	if (s->first > UINT32_MAX || s->count > (1ULL << 32) - s->first)
		return OTD_E_RANGE;
	while (s->done < s->count && s->n_found < s->found_cap) {
		uint64_t left = s->count - s->done;
		scan_step(&in->conf, scratch, s,
			  left < in->conf.lanes ? (uint32_t)left : in->conf.lanes);
		/* a step is some tenths of a millisecond */
		if (s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED))
			break;
	}
	return OTD_OK;
}

static const struct otd_base_ops base = {
	.size = sizeof(base),
	.create = create,
	.destroy = destroy,
};

static const struct otd_algo_ops ops = {
	.size = sizeof(ops),
	.info = info,
	.hash_batch = hash_batch,
	.scan = scan,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "algo/1",
	.id = "scrypt",
	.version = OTEDAMA_VERSION,
	.license = "MIT",
	.build = "C " __VERSION__,
	.summary = "scrypt of the header: Litecoin, Dogecoin and their kin",
	.options_size = sizeof(struct options),
	.option_size = sizeof(struct otd_option),
	.n_options = sizeof(options) / sizeof(options[0]),
	.options = options,
	.base = &base,
	.ops.algo = &ops,
	.vectors = vectors,
	.n_vectors = sizeof(vectors) / sizeof(vectors[0]),
	.vector_size = sizeof(vectors[0]),
};

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
