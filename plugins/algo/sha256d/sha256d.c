/* SHA-256 applied twice to an 80-byte header: Bitcoin and its kin. */
#include <otedama/algo.h>
#include <otedama/sha256.h>
#include <string.h>

#include "vectors.h"

enum { HEADER_LEN = 80, NONCE_OFFSET = 76, BATCH = 64 };

OTD_PLUGIN_NOTE("algo/1", "sha256d");

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	(void)options; /* there are none */
	struct otd_instance *in = core->alloc(h, sizeof(*in));
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

static otd_rc info(struct otd_instance *in, struct otd_algo_info *out)
{
	struct otd_algo_info all = {
		.size = sizeof(all),
		.header_len = HEADER_LEN,
		.nonce_offset = NONCE_OFFSET,
		.nonce_len = 4,
		.identity = OTD_ALGO_ID_POW,
		.batch_hint = BATCH,
		/* 0xffff * 2^208, Bitcoin's easiest target */
		.diff1 = {0, 0, 0, 0, 0xff, 0xff},
		.variant = otd_sha256_variant(),
	};
	(void)in;
	/* An older host has a shorter struct, a newer one a longer. */
	uint32_t size = out->size;
	if (size < sizeof(size))
		return OTD_E_INVALID;
	memset(out, 0, size);
	memcpy(out, &all, size < sizeof(all) ? size : sizeof(all));
	out->size = size;
	return OTD_OK;
}

/* Hashes the first n of headers and gives them to their items. */
static void flush(struct otd_algo_item *const *items, const uint8_t *headers, size_t n)
{
	uint8_t hashes[BATCH * 32];
	otd_sha256d_80(hashes, 32, headers, HEADER_LEN, n);
	for (size_t i = 0; i < n; i++)
		memcpy(items[i]->hash, hashes + 32 * i, 32);
}

static otd_rc hash_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			 size_t stride, size_t n)
{
	uint8_t headers[BATCH * HEADER_LEN];
	struct otd_algo_item *of[BATCH];
	size_t n_gathered = 0;
	(void)in;
	(void)scratch;
	if (stride < offsetof(struct otd_algo_item, rc) + sizeof(items->rc) ||
	    stride % _Alignof(struct otd_algo_item))
		return OTD_E_INVALID;
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		item->rc = item->header.len == HEADER_LEN ? OTD_OK : OTD_E_INVALID;
		if (item->rc)
			continue;
		memcpy(headers + HEADER_LEN * n_gathered, item->header.ptr, HEADER_LEN);
		of[n_gathered++] = item;
		if (n_gathered == BATCH) {
			flush(of, headers, n_gathered);
			n_gathered = 0;
		}
	}
	if (n_gathered)
		flush(of, headers, n_gathered);
	return OTD_OK;
}

static otd_rc scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	(void)in;
	(void)scratch;
	s->n_found = 0;
	s->done = 0;
	if (s->header.len != HEADER_LEN)
		return OTD_E_INVALID;
	/* Nonces have 32 bits and do not wrap. */
	if (s->first > UINT32_MAX || s->count > (1ULL << 32) - s->first)
		return OTD_E_RANGE;
	s->done = otd_sha256d_scan80(s->found, s->found_cap, &s->n_found, s->header.ptr, s->first,
				     s->count, s->target, s->stop);
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
	.id = "sha256d",
	.version = OTEDAMA_VERSION,
	.license = "MIT",
	.build = "C " __VERSION__,
	.summary = "SHA-256 twice: Bitcoin, Bitcoin Cash and their kin",
	.option_size = sizeof(struct otd_option),
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
