/* Which stay on a tip it is, and what reactors know of it then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "job_message.h"
#include "pool/job.h"
#include "pool/tips.h"
#include <cmocka.h>
#include <string.h>

static uint32_t enter(struct otd_tips *t, uint8_t tip)
{
	const uint8_t prev[32] = {tip};
	return otd_tips_enter(t, prev);
}

static void stays(void **state)
{
	struct otd_tips t = {.n = 0};
	(void)state;
	assert_int_equal(enter(&t, 'A'), 0);
	assert_int_equal(enter(&t, 'A'), 0);
	assert_int_equal(enter(&t, 'B'), 0);
	assert_int_equal(enter(&t, 'A'), 0); /* reactors know its hashes still */
	assert_int_equal(enter(&t, 'B'), 0);
	assert_int_equal(enter(&t, 'C'), 0);
	assert_int_equal(enter(&t, 'A'), 1);
	assert_int_equal(enter(&t, 'A'), 1);
	assert_int_equal(enter(&t, 'C'), 0);
	assert_int_equal(enter(&t, 'B'), 1);
	assert_int_equal(enter(&t, 'A'), 2);
	assert_int_equal(enter(&t, 'B'), 1);
}

static void the_oldest_is_forgotten(void **state)
{
	struct otd_tips t = {.n = 0};
	(void)state;
	for (unsigned i = 0; i <= OTD_TIPS_SEEN; i++)
		assert_int_equal(enter(&t, (uint8_t)(1 + i)), 0);
	assert_int_equal(t.n, OTD_TIPS_SEEN);
	assert_int_equal(enter(&t, 2), 1);
	assert_int_equal(enter(&t, 1), 0);
}

/* Whether reactors know a hash of A's first stay when it is A again: what the numbers above are for. */
static bool is_remembered(const uint8_t *way, size_t n)
{
	const uint8_t hash[32] = {9};
	struct otd_jobs j;
	struct otd_job *job = NULL;
	size_t slot;
	otd_rc rc = OTD_E_NOT_FOUND;
	otd_jobs_init(&j, 1000, NULL, NULL);
	for (size_t i = 0; i < n; i++) {
		const struct job_spec spec = {.job = (uint32_t)i + 1,
					      .prev_salt = way[i],
					      .block_target = target_of("1e6")};
		struct otd_msg *m = job_message(&spec);
		struct otd_err err;
		bool fresh;
		assert_non_null(m);
		assert_int_equal(otd_jobs_add(&j, &job, &fresh, (struct otd_msg_job *)m, &err),
				 OTD_OK);
		otd_msg_destroy(m);
		rc = otd_dupes_look(otd_job_dupes(&j, job), &slot, hash);
		if (i == 0)
			otd_dupes_fill(otd_job_dupes(&j, job), slot, hash);
	}
	otd_jobs_finish(&j);
	return rc == OTD_E_EXISTS;
}

static void what_reactors_remember(void **state)
{
	(void)state;
	assert_true(is_remembered((const uint8_t[]){1, 2, 1}, 3));
	assert_true(is_remembered((const uint8_t[]){1, 2, 1, 2, 1}, 5));
	assert_false(is_remembered((const uint8_t[]){1, 2, 3, 1}, 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stays),
		cmocka_unit_test(the_oldest_is_forgotten),
		cmocka_unit_test(what_reactors_remember),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
