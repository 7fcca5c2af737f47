/* SHA-256d as an algorithm, for tests of the host: the plugin of that name has tests of its own. */
#ifndef TESTS_UNIT_POOL_TEST_ALGO_H
#define TESTS_UNIT_POOL_TEST_ALGO_H

#include <otedama/algo.h>
#include <otedama/sha256.h>
#include <string.h>

static inline otd_rc test_algo_hash(struct otd_instance *in, void *scratch,
				    struct otd_algo_item *items, size_t stride, size_t n)
{
	(void)in;
	(void)scratch;
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *it = (struct otd_algo_item *)((uint8_t *)items + i * stride);
		otd_sha256d(it->hash, it->header.ptr, it->header.len);
		it->rc = OTD_OK;
	}
	return OTD_OK;
}

static const struct otd_algo_ops test_algo_ops = {.size = sizeof(struct otd_algo_ops),
						  .hash_batch = test_algo_hash};
static const struct otd_algo_info test_algo_info = {
	.size = sizeof(struct otd_algo_info),
	.header_len = 80,
	.nonce_offset = 76,
	.nonce_len = 4,
	.identity = OTD_ALGO_ID_POW,
	.batch_hint = 1,
	.diff1 = {0, 0, 0, 0, 0xff, 0xff},
	.variant = "test",
};

#endif
