/* Hashes seen, and extranonces: nothing is forgotten while it grows, nothing is given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "pool/dupes.h"
#include "pool/extranonce.h"
#include <cmocka.h>
#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>

static void hash_of(uint8_t out[32], uint32_t n)
{
	otd_sha256(out, &n, sizeof(n));
}

static void grows_and_forgets_nothing(void **state)
{
	struct otd_dupes d;
	uint8_t h[32];
	size_t slot;

	(void)state;
	otd_dupes_init(&d, 100000);
	for (uint32_t n = 0; n < 100000; n++) {
		hash_of(h, n);
		assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_OK);
		otd_dupes_fill(&d, slot, h);
		/* The newest and one from long ago, while slots move. */
		assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_E_EXISTS);
		hash_of(h, n / 3);
		assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_E_EXISTS);
	}
	assert_int_equal(otd_dupes_count(&d), 100000);
	for (uint32_t n = 0; n < 100000; n++) {
		hash_of(h, n);
		assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_E_EXISTS);
	}
	hash_of(h, 100000);
	assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_E_NOMEM);
	otd_dupes_finish(&d);
	assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_OK);
	otd_dupes_finish(&d);
}

static void a_look_alone_keeps_nothing(void **state)
{
	struct otd_dupes d;
	uint8_t h[32] = {0}; /* all zeros is a key as any other */
	size_t slot;

	(void)state;
	otd_dupes_init(&d, 10);
	assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_OK);
	assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_OK);
	otd_dupes_fill(&d, slot, h);
	assert_int_equal(otd_dupes_look(&d, &slot, h), OTD_E_EXISTS);
	otd_dupes_finish(&d);
}

static uint32_t number(const uint8_t en1[4])
{
	return (uint32_t)en1[0] << 24 | (uint32_t)en1[1] << 16 | (uint32_t)en1[2] << 8 | en1[3];
}

static void extranonces_come_once_a_tip(void **state)
{
	struct otd_extranonce_space *space = calloc(1, sizeof(*space));
	struct otd_extranonces x;
	uint8_t en1[8], kept[8];
	uint32_t n = 1u << OTD_EXTRANONCE_BITS;
	uint8_t *seen = calloc(n, 1);

	(void)state;
	assert_int_equal(otd_extranonces_init(&x, space, 3, 1), OTD_E_RANGE);
	assert_int_equal(otd_extranonces_init(&x, space, 4, 0x1005), OTD_OK);
	for (uint32_t i = 0; i < n; i++) {
		assert_int_equal(otd_extranonces_take(&x, en1), OTD_OK);
		assert_int_equal(number(en1) >> OTD_EXTRANONCE_BITS, 0x005);
		assert_int_equal(seen[number(en1) % n]++, 0);
		if (i == 77)
			memcpy(kept, en1, sizeof(kept));
		else
			otd_extranonces_give(&x, en1);
	}
	/* Given back, but jobs of this tip may know them. */
	assert_int_equal(otd_extranonces_take(&x, en1), OTD_E_NOMEM);
	otd_extranonces_new_tip(&x);
	for (uint32_t i = 0; i < n - 1; i++) {
		assert_int_equal(otd_extranonces_take(&x, en1), OTD_OK);
		assert_int_not_equal(number(en1), number(kept));
	}
	assert_int_equal(otd_extranonces_take(&x, en1), OTD_E_NOMEM);
	otd_extranonces_finish(&x);
	assert_int_equal(space->n_taken, 0);
	free(space);
	free(seen);
}

/* Two pools of one chain that pay to one address have the same jobs: a share of one of them must not
   be one of the other. */
static void pools_share_no_extranonce(void **state)
{
	struct otd_extranonce_space *space = calloc(1, sizeof(*space));
	struct otd_extranonces x[3];
	uint8_t en1[8];
	uint32_t n = 1u << OTD_EXTRANONCE_BITS, part = n / 3 / OTD_EXTRANONCE_BLOCK, got[3] = {0};
	uint8_t *seen = calloc(n, 1);

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(otd_extranonces_init(&x[i], space, 4, 5), OTD_OK);
	for (size_t i = 0; i < 3; i++) {
		for (; otd_extranonces_take(&x[i], en1) == OTD_OK; got[i]++)
			assert_int_equal(seen[number(en1) % n]++, 0);
		assert_true(got[i] >= part * OTD_EXTRANONCE_BLOCK);
	}
	assert_int_equal(got[0] + got[1] + got[2], n);
	/* Nobody holds one, but the tip may be known with them; they are free after a tip without. */
	for (uint32_t v = 5u << OTD_EXTRANONCE_BITS; v < 6u << OTD_EXTRANONCE_BITS; v++) {
		uint8_t e[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8),
				(uint8_t)v};
		otd_extranonces_give(&x[0], e);
	}
	otd_extranonces_new_tip(&x[0]);
	assert_int_equal(otd_extranonces_take(&x[1], en1), OTD_E_NOMEM);
	otd_extranonces_new_tip(&x[0]);
	assert_int_equal(x[0].n_blocks, 0);
	for (got[0] = 0; otd_extranonces_take(&x[0], en1) == OTD_OK; got[0]++)
		continue;
	assert_true(got[0] >= part * OTD_EXTRANONCE_BLOCK);
	for (size_t i = 0; i < 3; i++)
		otd_extranonces_finish(&x[i]);
	assert_int_equal(space->n_taken, 0);
	free(space);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_forgets_nothing),
		cmocka_unit_test(a_look_alone_keeps_nothing),
		cmocka_unit_test(extranonces_come_once_a_tip),
		cmocka_unit_test(pools_share_no_extranonce),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
