/* The plugin's calls as the host makes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#include "algo/sha256d/sha256d.c"
#include "base/text.h"

static int live;

static void *fake_alloc(struct otd_host *h, size_t n)
{
	(void)h;
	live++;
	return calloc(1, n);
}

static void *no_alloc(struct otd_host *h, size_t n)
{
	(void)h;
	(void)n;
	return NULL;
}

static void fake_free(struct otd_host *h, void *p)
{
	(void)h;
	live -= p != NULL;
	free(p);
}

static const struct otd_host_core core = {
	.size = sizeof(core), .alloc = fake_alloc, .free = fake_free};

static void header_of(uint8_t out[80], const struct otd_algo_vector *v)
{
	size_t n;
	assert_int_equal(otd_hex_decode(out, 80, &n, v->header, strlen(v->header)), OTD_OK);
	assert_int_equal(n, 80);
}

static void assert_hash(const uint8_t hash[32], const struct otd_algo_vector *v)
{
	char hex[65];
	otd_hex_encode_reverse(hex, hash, 32);
	assert_string_equal(hex, v->hash);
}

static void descriptor(void **state)
{
	const struct otd_plugin_desc *d = otd_plugin_v1();
	(void)state;
	assert_string_equal(d->kind, otd_plugin_note.desc.kind);
	assert_string_equal(d->id, otd_plugin_note.desc.id);
	assert_int_equal(d->n_vectors, 7);
	for (uint32_t i = 0; i < d->n_vectors; i++)
		assert_true(d->vectors[i].source && strlen(d->vectors[i].hash) == 64);
}

static void life(void **state)
{
	struct otd_instance *in = NULL;
	struct otd_host_core poor = core;
	(void)state;
	assert_int_equal(base.create(&in, NULL, &core, NULL), OTD_OK);
	base.destroy(in);
	base.destroy(NULL);
	assert_int_equal(live, 0);
	poor.alloc = no_alloc;
	assert_int_equal(base.create(&in, NULL, &poor, NULL), OTD_E_NOMEM);
}

static void facts(void **state)
{
	struct {
		struct otd_algo_info info;
		uint8_t newer[16];
	} x = {0};
	char hex[65];
	(void)state;
	x.info.size = sizeof(x);
	assert_int_equal(ops.info(NULL, &x.info), OTD_OK);
	assert_int_equal(x.info.size, sizeof(x));
	assert_int_equal(x.info.header_len, 80);
	assert_int_equal(x.info.nonce_offset, 76);
	assert_int_equal(x.info.nonce_len, 4);
	assert_int_equal(x.info.nonce_be, 0);
	assert_non_null(x.info.variant);
	otd_hex_encode(hex, x.info.diff1, 32);
	assert_string_equal(hex,
			    "00000000ffff0000000000000000000000000000000000000000000000000000");
	/* a host whose struct ends before diff1 */
	memset(&x, 0xee, sizeof(x));
	x.info.size = offsetof(struct otd_algo_info, diff1);
	assert_int_equal(ops.info(NULL, &x.info), OTD_OK);
	assert_int_equal(x.info.header_len, 80);
	assert_int_equal(x.info.diff1[0], 0xee);
	x.info.size = 0;
	assert_int_equal(ops.info(NULL, &x.info), OTD_E_INVALID);
}

/* More than one batch, with a longer stride, and items of a wrong length among them. */
static void batches(void **state)
{
	enum { N = 150 };
	struct {
		struct otd_algo_item item;
		uint64_t newer[2];
	} x[N] = {0};
	static uint8_t headers[N][81];
	const size_t n_vectors = desc.n_vectors;
	(void)state;
	for (size_t i = 0; i < N; i++) {
		header_of(headers[i], &vectors[i % n_vectors]);
		x[i].item.header.ptr = headers[i];
		x[i].item.header.len = i % 10 == 3 ? 79 : i % 10 == 7 ? 81 : 80;
		x[i].item.rc = -99;
		x[i].newer[0] = i;
		memset(x[i].item.hash, 0xee, 32);
	}
	x[13].item.header.ptr = NULL;
	x[13].item.header.len = 0;
	for (size_t n = 0; n <= N; n += n < 10 ? 1 : 70) {
		assert_int_equal(ops.hash_batch(NULL, NULL, &x[0].item, sizeof(x[0]), n), OTD_OK);
		for (size_t i = 0; i < n; i++) {
			bool bad = i % 10 == 3 || i % 10 == 7;
			assert_int_equal(x[i].item.rc, bad ? OTD_E_INVALID : OTD_OK);
			assert_true(x[i].newer[0] == i);
			if (!bad)
				assert_hash(x[i].item.hash, &vectors[i % n_vectors]);
			else
				assert_int_equal(x[i].item.hash[5], 0xee);
		}
		if (n < N)
			assert_int_equal(x[n].item.rc, -99);
	}
	assert_int_equal(ops.hash_batch(NULL, NULL, &x[0].item, 8, 1), OTD_E_INVALID);
}

/* Every vector's own nonce is found for its own hash as target. */
static void scans(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < desc.n_vectors; i++) {
		uint8_t header[80];
		uint64_t found[2];
		struct otd_algo_scan s = {
			.size = sizeof(s), .header = {header, 80}, .found = found, .found_cap = 2};
		header_of(header, &vectors[i]);
		uint32_t nonce = (uint32_t)header[76] | (uint32_t)header[77] << 8 |
				 (uint32_t)header[78] << 16 | (uint32_t)header[79] << 24;
		memset(header + 76, 0x55, 4);
		assert_int_equal(otd_hex_decode_reverse(s.target, 32, vectors[i].hash, 64), OTD_OK);
		s.first = nonce < 5000 ? 0 : nonce - 5000;
		s.count = s.first + 10000 > 1ULL << 32 ? (1ULL << 32) - s.first : 10000;
		assert_int_equal(ops.scan(NULL, NULL, &s), OTD_OK);
		assert_int_equal(s.n_found, 1);
		assert_int_equal(found[0], nonce);
		assert_int_equal(s.done, s.count);
		s.found_cap = 1;
		assert_int_equal(ops.scan(NULL, NULL, &s), OTD_OK);
		assert_int_equal(s.done, nonce - s.first + 1);
	}
}

static void scan_refuses(void **state)
{
	uint8_t header[80] = {0};
	uint64_t found[1];
	struct otd_algo_scan s = {
		.size = sizeof(s), .header = {header, 79}, .found = found, .found_cap = 1};
	(void)state;
	assert_int_equal(ops.scan(NULL, NULL, &s), OTD_E_INVALID);
	s.header.len = 80;
	s.first = 1ULL << 32;
	assert_int_equal(ops.scan(NULL, NULL, &s), OTD_E_RANGE);
	s.first = 1;
	s.count = 1ULL << 32;
	assert_int_equal(ops.scan(NULL, NULL, &s), OTD_E_RANGE);
	assert_int_equal(s.done, 0);
	s.count = UINT64_MAX;
	assert_int_equal(ops.scan(NULL, NULL, &s), OTD_E_RANGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(descriptor), cmocka_unit_test(life),
		cmocka_unit_test(facts),      cmocka_unit_test(batches),
		cmocka_unit_test(scans),      cmocka_unit_test(scan_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
