/*
 * SHA-256d as a stranger's build of it, for swaps in a running pool; BEHAVE says what is wrong with it.
 * Compiled by tests/e2e/test_swap.py.
 */
#include <otedama/algo.h>
#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define GOOD           0
#define CRASH_CREATE   1
#define ABORT_CREATE   2
#define EXIT_CREATE    3
#define HANG_CREATE    4
#define CRASH_HASH     5
#define WRONG_HASH     6
#define WRONG_ABI      7
#define OTHER_FACTS    8
#define REFUSE_CREATE  9
#define NEVER_ENOUGH   10 /* right for its known answers, never for a share */
#define CRASH_DESTROY  11
#define CRASH_BUILDING 12 /* in a constructor */
#define WRITES_FILE    13
#define EATS_MEMORY    14
#define CRASH_OPTION   15 /* in create(), where an option has another value than its default */

#ifndef BEHAVE
#define BEHAVE GOOD
#endif
#ifndef VERSION
#define VERSION "2.0.0"
#endif

#if BEHAVE == WRONG_ABI
#undef OTD_ABI_MAJOR
#define OTD_ABI_MAJOR 77
#endif

#ifndef ID
#define ID "sha256d"
#endif

OTD_PLUGIN_NOTE("algo/1", ID);

struct otd_instance {
	const struct otd_host_core *core;
	struct otd_host *host;
};

struct options {
	int64_t rounds;
};
static const struct otd_option options_table[] = {
	OTD_OPTION(struct options, rounds, OTD_OPT_INT, "rounds", "1", "for a test", .min = 1,
		   .max = 9),
};

static void crash(void)
{
	volatile int *volatile nowhere = NULL;
	*nowhere = 1;
}

#if BEHAVE == CRASH_BUILDING
__attribute__((constructor)) static void building(void)
{
	crash();
}
#endif

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *options)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	if (BEHAVE == CRASH_OPTION && ((const struct options *)options)->rounds != 1)
		crash();
	if (!in)
		return OTD_E_NOMEM;
	in->core = core;
	in->host = h;
	switch (BEHAVE) {
	case CRASH_CREATE: crash(); break;
	case ABORT_CREATE: abort();
	case EXIT_CREATE: _exit(3);
	case HANG_CREATE:
		for (;;)
			(void)pause();
	case EATS_MEMORY:
		while (malloc(1u << 20))
			;
		abort();
	case WRITES_FILE: {
		char name[] = "/tmp/otedama-plugin-XXXXXX";
		int fd = mkstemp(name);
		(void)unlink(name);
		if (fd >= 0 && write(fd, "x", 1) == 1)
			(void)close(fd);
		break;
	}
	case REFUSE_CREATE:
		core->set_error(h, "not today");
		core->free(h, in);
		return OTD_E_INVALID;
	}
	*out = in;
	return OTD_OK;
}

static void destroy(struct otd_instance *in)
{
	if (BEHAVE == CRASH_DESTROY)
		crash();
	if (in)
		in->core->free(in->host, in);
}

static otd_rc info(struct otd_instance *in, struct otd_algo_info *out)
{
	struct otd_algo_info i = {.size = sizeof(i),
				  .header_len = 80,
				  .nonce_offset = 76,
				  .nonce_len = 4,
				  .identity = OTD_ALGO_ID_POW,
				  .batch_hint = 1,
				  .diff1 = {0, 0, 0, 0, 0xff, 0xff},
				  .variant = VERSION};
	(void)in;
	if (BEHAVE == OTHER_FACTS)
		i.diff1[3] = 1;
	memcpy(out, &i, out->size < sizeof(i) ? out->size : sizeof(i));
	return OTD_OK;
}

static uint32_t le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static otd_rc hash_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			 size_t stride, size_t n)
{
	(void)in;
	(void)scratch;
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *it =
			(struct otd_algo_item *)(void *)((uint8_t *)items + i * stride);
		if (BEHAVE == CRASH_HASH)
			crash();
		otd_sha256d(it->hash, it->header.ptr, it->header.len);
		if (BEHAVE == WRONG_HASH)
			it->hash[0] ^= 1;
		/* The known answer is of 2009, a share of today. */
		if (BEHAVE == NEVER_ENOUGH && le32(it->header.ptr + 68) > 1500000000u)
			memset(it->hash, 0xff, 32);
		it->rc = OTD_OK;
	}
	return OTD_OK;
}

static const struct otd_base_ops base = {
	.size = sizeof(base), .create = create, .destroy = destroy};
static const struct otd_algo_ops ops = {
	.size = sizeof(ops), .info = info, .hash_batch = hash_batch};

static const struct otd_algo_vector vectors[] = {
	{.header =
		 "0100000000000000000000000000000000000000000000000000000000000000000000003ba3ed"
		 "fd7a7b12b27ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b"
		 "7c",
	 .hash = "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f",
	 .source = "Bitcoin, block 0",
	 .nonce = 0x7c2bac1d,
	 .real_block = 1},
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "algo/1",
	.id = ID,
	.version = VERSION,
	.license = "MIT",
	.build = "for a test",
	.summary = "SHA-256d of a stranger",
	.options = options_table,
	.options_size = sizeof(struct options),
	.option_size = sizeof(options_table[0]),
	.n_options = 1,
	.base = &base,
	.ops = {.algo = &ops},
	.vectors = vectors,
	.n_vectors = 1,
	.vector_size = sizeof(vectors[0]),
};

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
