/* Another instance of an algorithm beneath a reactor: each job is judged by the one it was made under. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "reactor_rig.h"
#include <cmocka.h>
#include <stdatomic.h>

#define SHARES 300 /* of each job; several batches, more than one wake-up */

static struct {
	struct rig rig;
	struct otd_verdict got[8192];
	unsigned n_got, n_jobs, n_taken;
	struct otd_pool_worker *worker;
	_Atomic unsigned gone[4];
} f;

/* Instances of a toy: each finds every hash to be its own number of times 0x11. */
struct otd_instance {
	uint8_t fill;
	atomic_bool dead;
};

static otd_rc toy_hash(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
		       size_t stride, size_t n)
{
	assert_false(atomic_load(&in->dead));
	assert_non_null(scratch);
	memset(scratch, in->fill, 64); /* what another thread's scratch would show under tsan */
	for (size_t i = 0; i < n; i++) {
		struct otd_algo_item *it = (struct otd_algo_item *)((uint8_t *)items + i * stride);
		otd_sha256d(it->hash, it->header.ptr, it->header.len);
		it->hash[31] = in->fill; /* most significant */
		it->rc = OTD_OK;
	}
	return OTD_OK;
}

static const struct otd_algo_ops toy_ops = {.size = sizeof(toy_ops), .hash_batch = toy_hash};
static const struct otd_algo_info toy_info[2] = {
	{.size = sizeof(toy_info[0]),
	 .header_len = 80,
	 .nonce_offset = 76,
	 .nonce_len = 4,
	 .batch_hint = 4,
	 .scratch_size = 64,
	 .diff1 = {0, 0, 0, 0, 0xff, 0xff}},
	{.size = sizeof(toy_info[0]),
	 .header_len = 80,
	 .nonce_offset = 76,
	 .nonce_len = 4,
	 .batch_hint = 8,
	 .scratch_size = 4096,
	 .scratch_align = 65536,
	 .diff1 = {0, 0, 0, 0, 0xff, 0xff}},
};
static struct otd_instance toy[4];

static void on_job(void *arg, struct otd_job *job, uint32_t flags)
{
	(void)arg;
	(void)job;
	(void)flags;
	pthread_mutex_lock(&f.rig.lock);
	f.n_jobs++;
	pthread_cond_broadcast(&f.rig.changed);
	pthread_mutex_unlock(&f.rig.lock);
}

static void on_job_gone(void *arg, struct otd_job *job)
{
	(void)arg;
	(void)job;
}

static void on_verdict(void *arg, const struct otd_verdict *v)
{
	(void)arg;
	pthread_mutex_lock(&f.rig.lock);
	f.got[f.n_got++] = *v;
	pthread_cond_broadcast(&f.rig.changed);
	pthread_mutex_unlock(&f.rig.lock);
}

static void on_auth(void *arg, void *client, uint64_t request, otd_rc rc, struct otd_span account,
		    struct otd_span reason)
{
	(void)arg;
	(void)client;
	(void)request;
	(void)rc;
	(void)account;
	(void)reason;
}

static void on_drain(void *arg)
{
	(void)arg;
	otd_reactor_drained(f.rig.reactor);
}

static struct otd_reactor_pool pool_of(size_t i)
{
	return (struct otd_reactor_pool){.name = "test",
					 .algo = &toy_ops,
					 .algo_self = &toy[i],
					 .algo_info = &toy_info[i % 2],
					 .version_mask = 0x1fffe000};
}

static bool costly;

static void tweak(struct otd_reactor_conf *c)
{
	static struct otd_reactor_pool first;
	first = pool_of(0);
	c->pools = &first;
	c->compute_tasks = 3;
	c->compute_max = 100000;
	if (costly)
		c->inline_cost_ns = 1;
}

static void begin(void)
{
	const struct otd_reactor_front front = {on_job,  on_job_gone, on_verdict,
						on_auth, on_drain,    NULL};
	struct otd_span account = {(const uint8_t *)"goodA", 5}, name = {(const uint8_t *)"r", 1};
	memset(&f, 0, sizeof(f));
	memset(toy, 0, sizeof(toy));
	for (size_t i = 0; i < 4; i++)
		toy[i].fill = i % 2 ? 0xff : 0; /* the even ones find shares, the odd ones none */
	rig_init(&f.rig, tweak);
	otd_reactor_set_front(f.rig.reactor, &front);
	assert_int_equal(
		otd_reactor_worker_open(f.rig.reactor, &f.worker, 0, "solo", account, name),
		OTD_OK);
	rig_start(&f.rig);
}

static void end(void)
{
	rig_stop(&f.rig);
	otd_reactor_worker_close(f.rig.reactor, f.worker);
	otd_reactor_set_front(f.rig.reactor, NULL);
	rig_finish(&f.rig);
}

static void job(uint32_t number, uint8_t tip)
{
	struct job_spec spec = {
		.job = number, .prev_salt = tip, .block_target = otd_u256_zero(), .n_branches = 2};
	rig_job(&f.rig, &spec);
	assert_true(rig_wait(&f.rig, &f.n_jobs, number));
}

struct handover {
	struct otd_reactor_swap *swap;
	size_t from;
};

/* Nobody may use the one before any more. */
static void gone(void *arg)
{
	struct handover *h = arg;
	atomic_store(&toy[h->from].dead, true);
	atomic_fetch_add(&f.gone[h->from], 1);
}

static void take(void *arg)
{
	struct handover *h = arg;
	otd_reactor_swap(f.rig.reactor, 0, h->swap, gone, h);
}

static void swap_to(size_t i, struct handover *h)
{
	struct otd_reactor_pool pool = pool_of(i);
	struct otd_err err = {0};
	h->from = i - 1;
	assert_int_equal(otd_reactor_swap_prepare(f.rig.reactor, &h->swap, &pool, &err), OTD_OK);
	rig_call(&f.rig, take, h);
}

static void submit(void *arg)
{
	otd_reactor_submit(f.rig.reactor, arg);
}

static struct otd_submit submits[4 * SHARES];

/* Shares of jobs 1 .. n, mixed, without a pause between them. */
static void submit_mixed(uint32_t n)
{
	struct otd_u256 target = otd_u256_max();
	uint8_t be[32];
	otd_u256_to_le(be, target);
	be[31] = 0x7f;
	target = otd_u256_from_le(be);
	for (uint32_t i = 0; i < n * SHARES; i++) {
		submits[i] = (struct otd_submit){.client = &f,
						 .request = i,
						 .job = 1 + i % n,
						 .worker = f.worker,
						 .extranonce1 = {8, 0, 0, 2},
						 .extranonce2 = {0, 0, 0, 1},
						 .ntime = 0x504e86ed,
						 .nonce = i,
						 .target = target};
		assert_int_equal(otd_loop_post(f.rig.loop, submit, &submits[i]), OTD_OK);
	}
}

static void judged_by_their_own(bool by_compute_pool)
{
	struct handover h[3] = {0};
	costly = by_compute_pool;
	begin();
	job(1, 0);
	for (uint32_t i = 1; i < 4; i++) {
		swap_to(i, &h[i - 1]);
		job(i + 1, 0);
	}
	submit_mixed(4);
	assert_true(rig_wait(&f.rig, &f.n_got, 4 * SHARES));
	for (unsigned i = 0; i < 4 * SHARES; i++)
		assert_int_equal(f.got[i].verdict, (f.got[i].job - 1) % 2 ? OTD_SHARE_LOW_DIFFICULTY
									  : OTD_SHARE_ACCEPTED);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(atomic_load(&f.gone[i]), 0); /* all have a job in the ring */
	/* The second tip from here takes them all; the newest algorithm stays. */
	job(5, 1);
	job(6, 2);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(atomic_load(&f.gone[i]), 1);
	end();
	assert_int_equal(atomic_load(&f.gone[3]), 0); /* nobody asked */
}

static void on_the_loop(void **state)
{
	(void)state;
	judged_by_their_own(false);
}

static void in_the_compute_pool(void **state)
{
	(void)state;
	judged_by_their_own(true);
}

/* What no job was made under goes at once; what is left goes with the reactor. */
static void without_jobs(void **state)
{
	struct handover h[3] = {0};
	(void)state;
	costly = false;
	begin();
	swap_to(1, &h[0]);
	assert_int_equal(atomic_load(&f.gone[0]), 1);
	job(1, 0);
	swap_to(2, &h[1]);
	assert_int_equal(atomic_load(&f.gone[1]), 0);
	end();
	assert_int_equal(atomic_load(&f.gone[1]), 1);
	assert_int_equal(atomic_load(&f.gone[2]), 0);
}

static void not_taken(void **state)
{
	struct otd_reactor_pool pool = pool_of(1);
	struct otd_reactor_swap *swap;
	struct otd_err err = {0};
	(void)state;
	begin();
	assert_int_equal(otd_reactor_swap_prepare(f.rig.reactor, &swap, &pool, &err), OTD_OK);
	otd_reactor_swap_destroy(swap);
	otd_reactor_swap_destroy(NULL);
	job(1, 0);
	submit_mixed(1);
	assert_true(rig_wait(&f.rig, &f.n_got, SHARES));
	for (unsigned i = 0; i < SHARES; i++)
		assert_int_equal(f.got[i].verdict, OTD_SHARE_ACCEPTED);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(on_the_loop),
		cmocka_unit_test(in_the_compute_pool),
		cmocka_unit_test(without_jobs),
		cmocka_unit_test(not_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
