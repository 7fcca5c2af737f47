/* A reactor's work to another process: jobs, their tips, what was accepted on them; of several reactors in one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "pool/image.h"
#include "pool/reactor/reactor_impl.h"
#include "reactor_rig.h"
#include <cmocka.h>

static void add(struct rig *r, uint32_t id, uint8_t tip, uint32_t flags)
{
	const struct job_spec spec = {
		.job = id, .prev_salt = tip, .flags = flags, .block_target = target_of("1e6")};
	struct otd_msg *m = job_message(&spec);
	struct otd_job *job;
	struct otd_err err = {0};
	bool new_tip;
	((struct otd_msg_job *)m)->extranonce1_len = 4;
	((struct otd_msg_job *)m)->extranonce2_len = 4;
	assert_int_equal(otd_jobs_add(&r->reactor->pools[0]->jobs, &job, &new_tip,
				      (const struct otd_msg_job *)m, &err),
			 OTD_OK);
	otd_msg_destroy(m);
}

static bool seen(struct rig *r, uint32_t job, uint32_t n, bool remember)
{
	struct otd_jobs *jobs = &r->reactor->pools[0]->jobs;
	struct otd_dupes *d = otd_job_dupes(jobs, otd_jobs_find(jobs, job));
	uint8_t hash[32];
	size_t slot;
	otd_sha256(hash, &n, sizeof(n));
	otd_rc rc = otd_dupes_look(d, &slot, hash);
	if (rc == OTD_OK && remember)
		otd_dupes_fill(d, slot, hash);
	return rc == OTD_E_EXISTS;
}

static struct otd_bytes saved(struct rig *r)
{
	struct otd_bytes b;
	otd_bytes_init(&b, 64u << 20);
	otd_reactor_save_pool(r->reactor, 0, &b);
	assert_false(b.failed);
	return b;
}

static void work_goes_over(void **state)
{
	struct rig from, to;
	struct otd_job_orders orders;
	struct otd_err err = {0};
	(void)state;
	rig_init(&from, NULL);
	rig_init(&to, NULL);
	add(&from, 1, 1, OTD_JOB_CLEAN); /* of a tip that is gone */
	for (uint32_t id = 2; id < 6; id++)
		add(&from, id, 2, 0);
	for (uint32_t id = 6; id < 9; id++)
		add(&from, id, 3, 0);
	add(&from, 9, 3, OTD_JOB_CLEAN);
	for (uint32_t n = 0; n < 5000; n++)
		(void)seen(&from, 9, n, true);
	(void)seen(&from, 3, 77777, true);
	memset(from.reactor->pools[0]->jobs.reported[0], 0xab, 32);
	from.reactor->pools[0]->jobs.n_reported = 1;

	struct otd_bytes b = saved(&from);
	struct otd_span image = otd_bytes_span(&b);
	assert_int_equal(otd_reactor_load_pool(to.reactor, 0, &image, 1, &orders, &err), OTD_OK);
	struct otd_jobs *was = &from.reactor->pools[0]->jobs, *is = &to.reactor->pools[0]->jobs;
	assert_null(otd_jobs_find(is, 1));
	for (uint32_t id = 2; id < 10; id++) {
		const struct otd_job *x = otd_jobs_find(was, id), *y = otd_jobs_find(is, id);
		assert_non_null(y);
		assert_int_equal(otd_job_is_stale(was, x), otd_job_is_stale(is, y));
		assert_memory_equal(x->prev, y->prev, 32);
		assert_int_equal(x->coinbase2.len, y->coinbase2.len);
		assert_memory_equal(x->coinbase2.ptr, y->coinbase2.ptr, x->coinbase2.len);
		assert_int_equal(x->n_branches, y->n_branches);
		assert_memory_equal(x->branches, y->branches, (size_t)x->n_branches * 32);
		assert_int_equal(otd_u256_cmp(x->block_target, y->block_target), 0);
		assert_int_equal(x->time_s, y->time_s);
		assert_int_equal(x->nbits, y->nbits);
		assert_int_equal(otd_job_order_now(&orders, x->order), y->order);
	}
	assert_int_equal(otd_job_order_now(&orders, 1), 0); /* older than all */
	for (uint32_t n = 0; n < 5000; n++)
		assert_true(seen(&to, 9, n, false));
	assert_false(seen(&to, 9, 77777, false));
	assert_true(seen(&to, 3, 77777, false));
	assert_memory_equal(is->reported[0], was->reported[0], 32);
	/* The next job is of the same tip: nothing becomes stale by it. */
	add(&to, 10, 3, 0);
	assert_false(otd_job_is_stale(is, otd_jobs_find(is, 9)));
	otd_bytes_finish(&b);
	rig_finish(&from);
	rig_finish(&to);
}

static void two_become_one(void **state)
{
	struct rig a, b, to;
	struct otd_job_orders orders[2];
	struct otd_err err = {0};
	(void)state;
	rig_init(&a, NULL);
	rig_init(&b, NULL);
	rig_init(&to, NULL);
	/* One of them has missed a job: its orders are others. */
	for (uint32_t id = 1; id < 6; id++) {
		add(&a, id, 1, 0);
		if (id != 2)
			add(&b, id, 1, 0);
	}
	(void)seen(&a, 1, 1, true);
	(void)seen(&b, 1, 2, true);
	(void)seen(&b, 1, 1, true);
	struct otd_bytes one = saved(&a), two = saved(&b);
	struct otd_span images[2] = {otd_bytes_span(&one), otd_bytes_span(&two)};
	assert_int_equal(otd_reactor_load_pool(to.reactor, 0, images, 2, orders, &err), OTD_OK);
	struct otd_jobs *is = &to.reactor->pools[0]->jobs;
	for (uint32_t id = 1; id < 6; id++) {
		uint64_t order = otd_jobs_find(is, id)->order;
		assert_int_equal(order, id);
		assert_int_equal(
			otd_job_order_now(&orders[0],
					  otd_jobs_find(&a.reactor->pools[0]->jobs, id)->order),
			order);
		if (id != 2)
			assert_int_equal(
				otd_job_order_now(
					&orders[1],
					otd_jobs_find(&b.reactor->pools[0]->jobs, id)->order),
				order);
	}
	assert_true(seen(&to, 1, 1, false) && seen(&to, 1, 2, false));
	assert_false(seen(&to, 1, 3, false));
	otd_bytes_finish(&one);
	otd_bytes_finish(&two);
	rig_finish(&a);
	rig_finish(&b);
	rig_finish(&to);
}

/* Every cut and every changed byte: refused or taken, never more than that. */
static void garbled(void **state)
{
	struct rig from, to;
	struct otd_job_orders orders;
	struct otd_err err = {0};
	size_t taken = 0;
	(void)state;
	rig_init(&from, NULL);
	rig_init(&to, NULL);
	for (uint32_t id = 1; id < 3; id++)
		add(&from, id, (uint8_t)id, 0);
	(void)seen(&from, 2, 1, true);
	struct otd_bytes b = saved(&from);
	struct otd_jobs *jobs = &to.reactor->pools[0]->jobs;
	for (size_t i = 0; i < 2 * b.len; i++) {
		size_t n = i < b.len ? i : b.len;
		uint8_t *bytes = malloc(n ? n : 1);
		memcpy(bytes, b.ptr, n);
		if (i >= b.len)
			bytes[i - b.len] ^= 0x81;
		struct otd_span image = {bytes, n};
		otd_rc rc = otd_reactor_load_pool(to.reactor, 0, &image, 1, &orders, &err);
		assert_true(rc == OTD_OK || *err.text);
		assert_true(i >= b.len || rc != OTD_OK);
		taken += rc == OTD_OK;
		free(bytes);
		/* As it was made. */
		otd_pool_algo_hold(jobs->algo);
		struct otd_pool_algo *algo = jobs->algo;
		otd_jobs_finish(jobs);
		otd_jobs_init(jobs, 1000, otd_reactor_job_gone, to.reactor->pools[0]);
		otd_jobs_set_algo(jobs, algo);
	}
	assert_true(taken > 0);
	otd_bytes_finish(&b);
	rig_finish(&from);
	rig_finish(&to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(work_goes_over),
		cmocka_unit_test(two_become_one),
		cmocka_unit_test(garbled),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
