/*
 * A small algorithm that keeps to the contract, and places at which a bad plugin does otherwise: it
 * defines what it replaces, includes this, and ends with BAD_PLUGIN. good.c replaces nothing.
 *
 * The hash of 80 bytes: byte i is header[i] ^ header[32 + i], for the first 16 also ^ header[64 + i].
 */
#ifndef TESTS_BAD_TOY_H
#define TESTS_BAD_TOY_H

#include <otedama/algo.h>
#include <string.h>

enum { TOY_HEADER = 80, TOY_NONCE = 76 };

struct otd_instance {
	struct otd_host *host;
	const struct otd_host_core *core;
	uint8_t *table; /* some memory of its own */
	uint8_t shared[32];
	uint32_t n;
};

struct toy_options {
	int64_t rounds, more;
};

static inline otd_rc toy_create(struct otd_instance **out, struct otd_host *h,
				const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	(void)options;
	if (!in)
		return OTD_E_NOMEM;
	in->host = h;
	in->core = core;
	in->table = core->alloc(h, 256);
	if (!in->table) {
		core->free(h, in);
		return OTD_E_NOMEM;
	}
	*out = in;
	return OTD_OK;
}

static inline void toy_destroy(struct otd_instance *in)
{
	if (!in)
		return;
	in->core->free(in->host, in->table);
	in->core->free(in->host, in);
}

static inline otd_rc toy_info(struct otd_instance *in, struct otd_algo_info *out)
{
	struct otd_algo_info all = {.size = out->size,
				    .header_len = TOY_HEADER,
				    .nonce_offset = TOY_NONCE,
				    .nonce_len = 4,
				    .batch_hint = 8,
				    .scratch_size = 256,
				    .diff1 = {0, 0, 0, 0, 0xff, 0xff},
				    .variant = "toy"};
	(void)in;
	memcpy(out, &all, out->size < sizeof(all) ? out->size : sizeof(all));
	return OTD_OK;
}

static inline void toy_hash(uint8_t out[32], const uint8_t *header)
{
	for (int i = 0; i < 32; i++)
		out[i] = header[i] ^ header[32 + i] ^ (i < 16 ? header[64 + i] : 0);
}

static inline otd_rc toy_hash_batch(struct otd_instance *in, void *scratch,
				    struct otd_algo_item *items, size_t stride, size_t n)
{
	(void)in;
	(void)scratch;
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *item = (void *)((uint8_t *)items + i * stride);
		item->rc = item->header.len == TOY_HEADER ? OTD_OK : OTD_E_INVALID;
		if (!item->rc)
			toy_hash(item->hash, item->header.ptr);
	}
	return OTD_OK;
}

/* A hash is at most a target, both least significant byte first. */
static inline bool toy_meets(const uint8_t hash[32], const uint8_t target[32])
{
	for (int i = 31; i >= 0; i--) {
		if (hash[i] != target[i])
			return hash[i] < target[i];
	}
	return true;
}

static inline otd_rc toy_scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	uint8_t header[TOY_HEADER], hash[32];
	(void)in;
	(void)scratch;
	s->n_found = 0;
	s->done = 0;
	if (s->header.len != TOY_HEADER)
		return OTD_E_INVALID;
	memcpy(header, s->header.ptr, TOY_HEADER);
	while (s->done < s->count && s->n_found < s->found_cap) {
		uint64_t nonce = s->first + s->done;
		if (s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED))
			break;
		for (int i = 0; i < 4; i++)
			header[TOY_NONCE + i] = (uint8_t)(nonce >> (8 * i));
		toy_hash(hash, header);
		s->done++;
		if (toy_meets(hash, s->target))
			s->found[s->n_found++] = nonce;
	}
	return OTD_OK;
}

#define TOY_ZEROS_26 "0000000000000000000000000000000000000000000000000000"
#define TOY_ZEROS_31 "00000000000000000000000000000000000000000000000000000000000000"
/* A one and 79 zeros: the greatest nonces give the greatest hashes. */
#define TOY_VECTOR(the_hash)                                                                    \
	{                                                                                       \
		.header = "01" TOY_ZEROS_26 TOY_ZEROS_26 TOY_ZEROS_26 "00", .hash = (the_hash), \
		.source = "made up, for a test", .real_block = 1                                \
	}
#define TOY_HASH TOY_ZEROS_31 "01"

#ifndef BAD_CREATE
#define BAD_CREATE toy_create
#endif
#ifndef BAD_DESTROY
#define BAD_DESTROY toy_destroy
#endif
#ifndef BAD_INFO
#define BAD_INFO toy_info
#endif
#ifndef BAD_HASH_BATCH
#define BAD_HASH_BATCH toy_hash_batch
#endif
#ifndef BAD_SCAN
#define BAD_SCAN toy_scan
#endif
#ifndef BAD_PREPARE
#define BAD_PREPARE NULL
#endif
#ifndef BAD_VECTORS
#define BAD_VECTORS TOY_VECTOR(TOY_HASH)
#endif
#ifndef BAD_OPTIONS
#define BAD_OPTIONS                                                                               \
	OTD_OPTION(struct toy_options, rounds, OTD_OPT_INT, "rounds", "1", "how often", .min = 1, \
		   .max = 8)
#endif
#ifndef BAD_DESC_SIZE
#define BAD_DESC_SIZE sizeof(struct otd_plugin_desc)
#endif
#ifndef BAD_ABI_MAJOR
#define BAD_ABI_MAJOR OTD_ABI_MAJOR
#endif

/* BAD_ID comes from the build: the file's name. */
#define BAD_PLUGIN                                                                   \
	static const struct otd_base_ops base = {                                    \
		.size = sizeof(base), .create = BAD_CREATE, .destroy = BAD_DESTROY}; \
	static const struct otd_algo_ops ops = {.size = sizeof(ops),                 \
						.info = BAD_INFO,                    \
						.hash_batch = BAD_HASH_BATCH,        \
						.scan = BAD_SCAN,                    \
						.prepare = BAD_PREPARE};             \
	static const struct otd_option options[] = {BAD_OPTIONS};                    \
	static const struct otd_algo_vector vectors[] = {BAD_VECTORS};               \
	static const struct otd_plugin_desc desc = {                                 \
		.size = BAD_DESC_SIZE,                                               \
		.abi_major = OTD_ABI_MAJOR,                                          \
		.abi_minor = OTD_ABI_MINOR,                                          \
		.kind = "algo/1",                                                    \
		.id = BAD_ID,                                                        \
		.version = "0.0.1",                                                  \
		.license = "MIT",                                                    \
		.build = "C " __VERSION__,                                           \
		.summary = "For a test",                                             \
		.options_size = sizeof(struct toy_options),                          \
		.option_size = sizeof(struct otd_option),                            \
		.n_options = sizeof(options) / sizeof(options[0]),                   \
		.options = options,                                                  \
		.base = &base,                                                       \
		.ops.algo = &ops,                                                    \
		.vectors = vectors,                                                  \
		.n_vectors = sizeof(vectors) / sizeof(vectors[0]),                   \
		.vector_size = sizeof(vectors[0])};                                  \
	OTD_EXPORT const struct otd_plugin_desc *otd_plugin_v1(void)                 \
	{                                                                            \
		return &desc;                                                        \
	}

#ifndef BAD_NO_NOTE
OTD_PLUGIN_NOTE("algo/1", BAD_ID);
#endif

#endif
