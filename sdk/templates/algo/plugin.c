/*
 * What Otedama needs of an algorithm, round hash() of hash.c. There is rarely a reason to change more
 * here than the words of the descriptor.
 *
 * SPDX-License-Identifier: @LICENSE@
 */
#include <otedama/algo.h>
#include <string.h>

#include "hash.h"
#include "vectors.h"

OTD_PLUGIN_NOTE("algo/1", "@ID@");

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
};

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	(void)options; /* there are none */
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
	const struct otd_algo_info all = {
		.header_len = HEADER_LEN,
		.nonce_offset = NONCE_OFFSET,
		.nonce_len = NONCE_LEN,
		/* OTD_ALGO_ID_SHA256D: explorers name a block by SHA-256d of its header, whatever
		   its proof of work (Litecoin). OTD_ALGO_ID_POW: by this hash (Bitcoin). */
		.identity = OTD_ALGO_ID_POW,
		.batch_hint = 1,
		.diff1 = {0, 0, 0, 0, 0xff, 0xff}, /* 0xffff * 2^208, most significant byte first */
		.variant = "portable",
	};
	/* The host's struct may be longer or shorter than the one that this was compiled with. */
	uint32_t size = out->size;
	(void)in;
	memset(out, 0, size);
	memcpy(out, &all, size < sizeof(all) ? size : sizeof(all));
	out->size = size;
	return OTD_OK;
}

static void hash_item(struct otd_algo_item *item)
{
	uint8_t digest[32];
	item->rc = item->header.len == HEADER_LEN ? OTD_OK : OTD_E_INVALID;
	if (item->rc)
		return;
	hash(item->header.ptr, item->header.len, digest);
	for (int i = 0; i < 32; i++)
		item->hash[i] = digest[DIGEST_BE ? 31 - i : i];
}

static otd_rc hash_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			 size_t stride, size_t n)
{
	(void)in;
	(void)scratch; /* info() asks for none */
	for (size_t i = 0; i < n; i++)
		hash_item((struct otd_algo_item *)(void *)((uint8_t *)items + i * stride));
	return OTD_OK;
}

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.destroy = destroy,
};

/* No scan: the host searches nonces with hash_batch. Write one where you can do better. */
static const struct otd_algo_ops algo_ops = {
	.size = sizeof(algo_ops),
	.info = info,
	.hash_batch = hash_batch,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "algo/1",
	.id = "@ID@",
	.version = "0.1.0",
	.license = "@LICENSE@",
	.build = "C " __VERSION__,
	.summary = "@SUMMARY@",
	.option_size = sizeof(struct otd_option),
	.base = &base_ops,
	.ops = {.algo = &algo_ops},
	.vectors = vectors,
	.n_vectors = sizeof(vectors) / sizeof(vectors[0]),
	.vector_size = sizeof(vectors[0]),
};

OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
