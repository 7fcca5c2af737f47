/* Jobs: which are good, which are late, which are gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "job_message.h"
#include "pool/job.h"
#include <cmocka.h>

static unsigned n_gone;

static void gone(void *arg, struct otd_job *job)
{
	(void)arg;
	(void)job;
	n_gone++;
}

static struct otd_job *add(struct otd_jobs *j, uint32_t id, uint8_t tip, uint32_t flags,
			   bool *new_tip)
{
	struct job_spec spec = {
		.job = id, .prev_salt = tip, .flags = flags, .block_target = target_of("1e6")};
	struct otd_msg *m = job_message(&spec);
	struct otd_job *job = NULL;
	struct otd_err err = {0};
	bool fresh;

	assert_int_equal(
		otd_jobs_add(j, &job, new_tip ? new_tip : &fresh, (struct otd_msg_job *)m, &err),
		OTD_OK);
	otd_msg_destroy(m);
	return job;
}

static void jobs_of_one_tip_stay_good(void **state)
{
	struct otd_jobs j;
	bool new_tip;

	(void)state;
	otd_jobs_init(&j, 1000, gone, NULL);
	assert_null(otd_jobs_newest(&j));
	assert_null(otd_jobs_find(&j, 1));
	struct otd_job *a = add(&j, 1, 0, OTD_JOB_CLEAN, &new_tip);
	assert_true(new_tip);
	struct otd_job *b = add(&j, 2, 0, 0, &new_tip);
	assert_false(new_tip);
	assert_false(otd_job_is_stale(&j, a));
	assert_false(otd_job_is_stale(&j, b));
	assert_ptr_equal(otd_jobs_newest(&j), b);
	assert_ptr_equal(otd_jobs_find(&j, 1), a);
	/* The same tip, but told to be clean. */
	struct otd_job *c = add(&j, 3, 0, OTD_JOB_CLEAN, &new_tip);
	assert_false(new_tip);
	assert_true(otd_job_is_stale(&j, b));
	assert_false(otd_job_is_stale(&j, c));
	otd_jobs_finish(&j);
}

static void a_new_tip_makes_stale_and_the_next_one_gone(void **state)
{
	struct otd_jobs j;
	uint8_t hash[32] = {1};
	size_t slot;
	bool new_tip;

	(void)state;
	n_gone = 0;
	otd_jobs_init(&j, 1000, gone, NULL);
	struct otd_job *a = add(&j, 1, 0, 0, NULL);
	assert_int_equal(otd_dupes_look(otd_job_dupes(&j, a), &slot, hash), OTD_OK);
	otd_dupes_fill(otd_job_dupes(&j, a), slot, hash);
	struct otd_job *b = add(&j, 2, 7, 0, &new_tip);
	assert_true(new_tip);
	assert_true(otd_job_is_stale(&j, a));
	assert_ptr_equal(otd_jobs_find(&j, 1), a); /* for a late block */
	assert_ptr_not_equal(otd_job_dupes(&j, a), otd_job_dupes(&j, b));
	assert_int_equal(otd_dupes_look(otd_job_dupes(&j, b), &slot, hash), OTD_OK);
	/* Back to the tip before: a reorganisation. What was seen there is known still. */
	struct otd_job *c = add(&j, 3, 0, 0, &new_tip);
	assert_true(new_tip);
	assert_int_equal(otd_dupes_look(otd_job_dupes(&j, c), &slot, hash), OTD_E_EXISTS);
	assert_true(otd_job_is_stale(&j, a));
	/* Two tips on, job 2 (tip 7) has no place left; 3 has. */
	otd_job_hold(b);
	add(&j, 4, 9, 0, NULL);
	assert_null(otd_jobs_find(&j, 2));
	assert_int_equal(n_gone, 0); /* held */
	assert_true(otd_job_is_stale(&j, b));
	assert_null(otd_job_dupes(&j, b));
	otd_job_drop(&j, b);
	assert_int_equal(n_gone, 1);
	assert_non_null(otd_jobs_find(&j, 3));
	otd_jobs_finish(&j);
	assert_int_equal(n_gone, 4);
}

static void the_ring_is_bounded(void **state)
{
	struct otd_jobs j;

	(void)state;
	n_gone = 0;
	otd_jobs_init(&j, 1000, gone, NULL);
	for (uint32_t i = 1; i <= OTD_JOB_RING + 5; i++)
		add(&j, i, 0, 0, NULL);
	assert_int_equal(n_gone, 5);
	assert_null(otd_jobs_find(&j, 5));
	assert_non_null(otd_jobs_find(&j, 6));
	otd_jobs_finish(&j);
	assert_int_equal(n_gone, OTD_JOB_RING + 5);
}

static void sizes_that_no_job_has_are_refused(void **state)
{
	struct otd_jobs j;
	struct job_spec spec = {.job = 9, .block_target = target_of("1"), .n_branches = 2};
	struct otd_job *job;
	struct otd_err err = {0};
	bool new_tip;

	(void)state;
	otd_jobs_init(&j, 1000, gone, NULL);
	struct otd_msg *m = job_message(&spec);
	struct otd_msg_job *mj = (struct otd_msg_job *)m;
	mj->branches.len -= 1;
	assert_int_equal(otd_jobs_add(&j, &job, &new_tip, mj, &err), OTD_E_INVALID);
	assert_non_null(strstr(err.text, "merkle branches"));
	mj->branches.len += 1;
	mj->extranonce1_len = 9;
	assert_int_equal(otd_jobs_add(&j, &job, &new_tip, mj, &err), OTD_E_INVALID);
	mj->extranonce1_len = 4;
	mj->coinbase1.len = 0;
	assert_int_equal(otd_jobs_add(&j, &job, &new_tip, mj, &err), OTD_E_INVALID);
	assert_null(otd_jobs_newest(&j));
	otd_msg_destroy(m);
	otd_jobs_finish(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(jobs_of_one_tip_stay_good),
		cmocka_unit_test(a_new_tip_makes_stale_and_the_next_one_gone),
		cmocka_unit_test(the_ring_is_bounded),
		cmocka_unit_test(sizes_that_no_job_has_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
