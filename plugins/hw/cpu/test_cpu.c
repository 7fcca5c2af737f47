/* The processors search: with an algorithm's scan() and without it they find the same nonces. */
#include "plugin_host.h"

#include "hw/cpu/cpu.c"
#include <otedama/sha256.h>
#include <time.h>

#define DIFFICULT_BYTE 30 /* of the target: one hash in some 4096 is a result */

static struct plugin_host h;
static struct otd_plugin_instance *hw;
static otd_rc hash_fails;
static size_t scratch_align;

static otd_rc toy_info(struct otd_instance *in, struct otd_algo_info *out)
{
	(void)in;
	out->header_len = 80;
	out->nonce_offset = 76;
	out->nonce_len = 4;
	out->batch_hint = 7;
	out->scratch_size = 100000;
	out->scratch_align = 4096;
	return OTD_OK;
}

static void hash_one(uint8_t out[32], const uint8_t header[80])
{
	otd_sha256d(out, header, 80);
}

static otd_rc toy_batch(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			size_t stride, size_t n)
{
	(void)in;
	assert_int_equal((uintptr_t)scratch % scratch_align, 0);
	memset(scratch, 1, 100000);
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *it = (void *)((uint8_t *)items + i * stride);
		hash_one(it->hash, it->header.ptr);
		it->rc = OTD_OK;
	}
	return hash_fails;
}

static otd_rc toy_scan(struct otd_instance *in, void *scratch, struct otd_algo_scan *s)
{
	(void)in;
	(void)scratch;
	for (; s->done < s->count && s->n_found < s->found_cap && !(s->stop && *s->stop);
	     s->done++) {
		uint8_t header[80], d[32];
		memcpy(header, s->header.ptr, 80);
		for (int k = 0; k < 4; k++)
			header[76 + k] = (uint8_t)((s->first + s->done) >> (8 * k));
		hash_one(d, header);
		if (at_most(d, s->target))
			s->found[s->n_found++] = s->first + s->done;
	}
	return OTD_OK;
}

static uint64_t real_mono_ns(struct otd_env *e)
{
	struct timespec t;
	(void)e;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int setup(void **state)
{
	(void)state;
	hash_fails = OTD_OK;
	scratch_align = 4096;
	plugin_host_init(&h);
	h.ops.mono_ns = real_mono_ns;
	hw = plugin_host_create(&h, otd_plugin_v1(), "{threads: 3}");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	otd_instance_destroy(hw);
	plugin_host_finish(&h);
	return 0;
}

/* The nonces that one unit finds below the target in [first, first + count). */
static uint32_t search(const struct otd_algo_ops *ops, uint64_t *out, uint32_t cap, uint64_t first,
		       uint64_t count)
{
	struct otd_algo_info info = {.size = sizeof(info)};
	struct otd_hw_algo algo = {.size = sizeof(algo), .ops = ops, .info = &info, .id = "toy"};
	const struct otd_hw_ops *hops = otd_instance_hw(hw);
	struct otd_hw_unit *u;
	uint8_t header[80] = {9};
	uint32_t n = 0, calls = 0;
	uint64_t done = 0;
	assert_int_equal(toy_info(NULL, &info), OTD_OK);
	assert_int_equal(hops->open(otd_instance_self(hw), &u, 0, 0, &algo), OTD_OK);
	while (done < count) {
		uint64_t found[4];
		struct otd_algo_scan s = {.size = sizeof(s),
					  .header = {header, 80},
					  .first = first + done,
					  .count = count - done,
					  .found = found,
					  .found_cap = 4};
		memset(s.target, 0xff, 32);
		s.target[31] = 0;
		s.target[DIFFICULT_BYTE] = 0x0f;
		assert_int_equal(hops->scan(u, &s), OTD_OK);
		assert_true(s.done > 0 && s.done <= count - done);
		assert_int_equal(s.count, count - done);
		for (uint32_t i = 0; i < s.n_found; i++) {
			assert_true(n < cap);
			assert_true(found[i] >= s.first && found[i] < s.first + s.done);
			out[n++] = found[i];
		}
		done += s.done;
		calls++;
	}
	assert_true(calls > 1); /* it begins with a small slice */
	hops->close(u);
	return n;
}

static void same_nonces_both_ways(void **state)
{
	const struct otd_algo_ops with = {
		.size = sizeof(with), .info = toy_info, .hash_batch = toy_batch, .scan = toy_scan};
	const struct otd_algo_ops without = {
		.size = sizeof(without), .info = toy_info, .hash_batch = toy_batch};
	uint64_t a[64], b[64];
	size_t before = otd_instance_memory(hw);
	uint32_t n = search(&with, a, 64, UINT32_MAX - 40000, 40001);
	(void)state;
	assert_true(n > 0);
	assert_int_equal(search(&without, b, 64, UINT32_MAX - 40000, 40001), n);
	assert_memory_equal(a, b, n * sizeof(a[0]));
	/* All of a unit goes with it. */
	assert_int_equal(otd_instance_memory(hw), before);
}

static void stops_and_fails(void **state)
{
	const struct otd_algo_ops ops = {
		.size = sizeof(ops), .info = toy_info, .hash_batch = toy_batch};
	struct otd_algo_info info = {.size = sizeof(info)};
	struct otd_hw_algo algo = {.size = sizeof(algo), .ops = &ops, .info = &info, .id = "toy"};
	const struct otd_hw_ops *hops = otd_instance_hw(hw);
	uint8_t header[80] = {0};
	uint64_t found[1];
	uint32_t stop = 1;
	struct otd_hw_unit *u;
	struct otd_algo_scan s = {.size = sizeof(s),
				  .header = {header, 80},
				  .count = 1000,
				  .stop = &stop,
				  .found = found,
				  .found_cap = 1};
	(void)state;
	assert_int_equal(toy_info(NULL, &info), OTD_OK);
	assert_int_equal(hops->open(otd_instance_self(hw), &u, 0, 2, &algo), OTD_OK);
	assert_int_equal(hops->scan(u, &s), OTD_OK);
	assert_int_equal(s.done, 0);
	stop = 0;
	/* A full list ends the slice at its last nonce: the next slice begins behind it. */
	memset(s.target, 0xff, 32);
	assert_int_equal(hops->scan(u, &s), OTD_OK);
	assert_int_equal(s.n_found, 1);
	assert_int_equal(s.done, 1);
	hash_fails = OTD_E_NOMEM;
	assert_int_equal(hops->scan(u, &s), OTD_E_NOMEM);
	s.header.len = 79;
	assert_int_equal(hops->scan(u, &s), OTD_E_INVALID);
	hops->close(u);
	hops->close(NULL);
}

static void one_device(void **state)
{
	struct otd_hw_device d = {.size = sizeof(d)};
	struct plugin_host other;
	struct otd_plugin_instance *in;
	(void)state;
	assert_int_equal(otd_instance_hw(hw)->device(otd_instance_self(hw), 0, &d), OTD_OK);
	assert_int_equal(d.units, 3);
	assert_int_equal(otd_instance_hw(hw)->device(otd_instance_self(hw), 1, &d),
			 OTD_E_NOT_FOUND);
	plugin_host_init(&other);
	in = plugin_host_create(&other, otd_plugin_v1(), NULL);
	assert_int_equal(otd_instance_hw(in)->device(otd_instance_self(in), 0, &d), OTD_OK);
	assert_int_equal(d.units, sysconf(_SC_NPROCESSORS_ONLN));
	struct otd_plugin_instance *none;
	assert_int_not_equal(plugin_host_try(&none, &other, otd_plugin_v1(), "{threads: -1}"), 0);
	otd_instance_destroy(in);
	plugin_host_finish(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(same_nonces_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(stops_and_fails, setup, teardown),
		cmocka_unit_test_setup_teardown(one_device, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
