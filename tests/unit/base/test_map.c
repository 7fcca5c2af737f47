/* The hash map against a naive one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"

enum { KEYS = 700, STEPS = 60000 };

static const uint8_t seed[16] = "fifteen bytes..";

static uint64_t next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Key i: 1 to 60 bytes, so that short and long ones mix. */
static size_t make_key(char out[64], unsigned i)
{
	int n = snprintf(out, 64, "%u:", i);
	memset(out + n, 'a' + (int)(i % 26), 60 - (size_t)n);
	size_t len = 4 + i * 7 % 57;
	return len < (size_t)n ? (size_t)n : len;
}

static void random_operations(void **state)
{
	static uint64_t model[KEYS];
	static bool there[KEYS];
	(void)state;
	for (uint64_t s = 1; s <= 3; s++) {
		struct otd_map *m = otd_map_create(seed, 500);
		uint64_t r = s * 0x9e3779b97f4a7c15ULL, old, value;
		size_t count = 0;
		memset(there, 0, sizeof(there));
		for (int step = 0; step < STEPS; step++) {
			char key[64];
			unsigned i = (unsigned)(next_random(&r) % KEYS);
			size_t n = make_key(key, i);
			value = next_random(&r);
			switch (next_random(&r) % 4) {
			case 0: {
				otd_rc rc = otd_map_add(m, key, n, value, &old);
				if (there[i]) {
					assert_int_equal(rc, OTD_E_EXISTS);
					assert_true(old == model[i]);
				} else if (count == 500) {
					assert_int_equal(rc, OTD_E_NOMEM);
				} else {
					assert_int_equal(rc, OTD_OK);
					there[i] = true;
					model[i] = value;
					count++;
				}
				break;
			}
			case 1:
				if (!there[i] && count == 500) {
					assert_int_equal(otd_map_put(m, key, n, value),
							 OTD_E_NOMEM);
					break;
				}
				assert_int_equal(otd_map_put(m, key, n, value), OTD_OK);
				count += !there[i];
				there[i] = true;
				model[i] = value;
				break;
			case 2:
				assert_int_equal(otd_map_get(m, key, n, &old), there[i]);
				assert_true(!there[i] || old == model[i]);
				break;
			default:
				assert_int_equal(otd_map_remove(m, key, n, &old), there[i]);
				assert_true(!there[i] || old == model[i]);
				count -= there[i];
				there[i] = false;
			}
			assert_int_equal(otd_map_count(m), count);
		}
		for (unsigned i = 0; i < KEYS; i++) {
			char key[64];
			size_t n = make_key(key, i);
			assert_int_equal(otd_map_get(m, key, n, &old), there[i]);
		}
		size_t pos = 0, seen = 0, n;
		const void *key;
		while (otd_map_next(m, &pos, &key, &n, &value)) {
			char again[64];
			unsigned i = 0;
			assert_int_equal(sscanf(key, "%u:", &i), 1);
			assert_int_equal(make_key(again, i), n);
			assert_memory_equal(again, key, n);
			assert_true(there[i] && model[i] == value);
			seen++;
		}
		assert_int_equal(seen, count);
		otd_map_clear(m);
		assert_int_equal(otd_map_count(m), 0);
		pos = 0;
		assert_false(otd_map_next(m, &pos, NULL, NULL, NULL));
		otd_map_destroy(m);
	}
}

static void edges(void **state)
{
	struct otd_map *m = otd_map_create(seed, 2);
	uint64_t v = 7;
	(void)state;
	otd_map_destroy(NULL);
	assert_false(otd_map_get(m, "x", 1, &v));
	assert_false(otd_map_remove(m, "x", 1, &v));
	assert_int_equal(otd_map_add(m, "", 0, 1, NULL), OTD_OK);
	assert_int_equal(otd_map_add(m, NULL, 0, 2, &v), OTD_E_EXISTS);
	assert_int_equal(v, 1);
	assert_int_equal(otd_map_add(m, "\0", 1, 2, NULL), OTD_OK);
	assert_int_equal(otd_map_add(m, "\0\0", 2, 2, NULL), OTD_E_NOMEM);
	assert_true(otd_map_get(m, "\0", 1, NULL));
	assert_false(otd_map_get(m, "\0\0", 2, NULL));
	assert_true(otd_map_remove(m, "", 0, &v));
	assert_int_equal(otd_map_put(m, "\0\0", 2, 2), OTD_OK);
	otd_map_destroy(m);
}

/* With another seed the same keys come in another order: the hash is keyed. */
static void order_depends_on_the_seed(void **state)
{
	uint8_t other[16] = {1};
	struct otd_map *a = otd_map_create(seed, 100), *b = otd_map_create(other, 100);
	(void)state;
	for (uint64_t i = 0; i < 50; i++) {
		assert_int_equal(otd_map_add(a, &i, sizeof(i), i, NULL), OTD_OK);
		assert_int_equal(otd_map_add(b, &i, sizeof(i), i, NULL), OTD_OK);
	}
	size_t pa = 0, pb = 0;
	unsigned differ = 0;
	uint64_t va, vb;
	while (otd_map_next(a, &pa, NULL, NULL, &va) && otd_map_next(b, &pb, NULL, NULL, &vb))
		differ += va != vb;
	assert_true(differ > 25);
	otd_map_destroy(a);
	otd_map_destroy(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_operations),
		cmocka_unit_test(edges),
		cmocka_unit_test(order_depends_on_the_seed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
