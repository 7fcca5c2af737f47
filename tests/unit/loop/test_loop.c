/* Timers, post, defer, threads, workers, the compute pool. */
#include "helper.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* --- timers --- */

struct ticking {
	struct bench b;
	struct otd_timer *t;
	uint64_t start_ns, last_due, at_ns[2], least_ns; /* the least time that two repeats took */
	int n, wanted;
	bool early;
};

/* 8 ms of work in each of the repeats of 20 ms. */
static void on_busy_tick(void *arg)
{
	struct ticking *k = arg;
	uint64_t now = otd_mono_ns(k->b.env), until = now + 8000000;
	uint64_t due = k->start_ns + (uint64_t)(k->n + 1) * 20000000;
	if (now < due)
		k->early = true;
	if (k->n > 1 && now - k->at_ns[k->n % 2] < k->least_ns)
		k->least_ns = now - k->at_ns[k->n % 2];
	k->at_ns[k->n % 2] = now;
	k->n++;
	k->last_due = due;
	while (otd_mono_ns(k->b.env) < until) {}
	if (k->n == k->wanted) {
		k->b.ops->timer_stop(k->t);
		bench_stop(&k->b);
	}
}

/* The n-th run is due at n times 20 ms; with a timer that drifts, two never come within 2 times 28 ms. */
static void timer_does_not_drift(void **state)
{
	struct ticking k = {.least_ns = UINT64_MAX, .wanted = 25};
	(void)state;
	bench_open(&k.b);
	assert_int_equal(k.b.ops->timer_create(k.b.loop, &k.t, on_busy_tick, &k), OTD_OK);
	/* A machine under load may hold us up: the best of many counts. */
	for (int i = 0; i < 60 && k.least_ns > 48000000; i++) {
		k.n = 0;
		k.start_ns = otd_mono_ns(k.b.env);
		k.b.ops->timer_start(k.t, 20, 20);
		bench_run(&k.b);
		assert_int_equal(k.n, 25);
		assert_true(otd_mono_ns(k.b.env) - k.start_ns >= 25 * 20 * (uint64_t)1000000);
	}
	assert_false(k.early);
	assert_true(k.least_ns <= 48000000); /* 56 with drift */
	k.b.ops->timer_destroy(k.t);
	bench_close(&k.b);
}

static void on_slow_tick(void *arg)
{
	struct ticking *k = arg;
	uint64_t now = otd_mono_ns(k->b.env);
	k->n++;
	if (k->n == 1) { /* misses the repeats at 20, 30 and 40 ms */
		while (otd_mono_ns(k->b.env) < now + 35000000) {}
	} else if (k->n == 3) { /* the second made up for all of them */
		k->last_due = now;
		k->b.ops->timer_destroy(k->t); /* from within its own callback */
		bench_stop(&k->b);
	}
}

static void missed_repeats_fire_once_in_phase(void **state)
{
	struct ticking k = {0};
	uint64_t at;
	(void)state;
	bench_open(&k.b);
	assert_int_equal(k.b.ops->timer_create(k.b.loop, &k.t, on_slow_tick, &k), OTD_OK);
	k.start_ns = otd_mono_ns(k.b.env);
	k.b.ops->timer_start(k.t, 10, 10);
	bench_run(&k.b);
	at = (k.last_due - k.start_ns) / 1000000;
	assert_int_equal(k.n, 3);
	assert_true(at >= 50); /* in phase: 45 for one that makes up for each of them */
	bench_close(&k.b);
}

/* --- post --- */

#define SENDERS 4
#define EACH    20000

struct posting;
struct note {
	struct posting *p;
	int sender, number;
};

struct posting {
	struct bench b;
	int next[SENDERS], total;
	bool order;
	struct note *notes[SENDERS];
	struct sender {
		struct posting *p;
		int who;
		int blocked; /* signals are blocked in threads of ours */
	} senders[SENDERS];
};

static void on_note(void *arg)
{
	struct note *n = arg;
	struct posting *p = n->p;
	if (p->next[n->sender]++ != n->number)
		p->order = false;
	if (++p->total == SENDERS * EACH)
		bench_stop(&p->b);
}

static void sender_main(void *arg)
{
	struct sender *s = arg;
	sigset_t set;
	pthread_sigmask(SIG_SETMASK, NULL, &set);
	s->blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGINT) == 1;
	for (int i = 0; i < EACH; i++) {
		struct note *n = &s->p->notes[s->who][i];
		*n = (struct note){s->p, s->who, i};
		if (otd_loop_post(s->p->b.loop, on_note, n))
			abort();
	}
}

static void posts_of_four_threads_keep_their_order(void **state)
{
	struct posting *p = calloc(1, sizeof(*p));
	void *threads[SENDERS];
	(void)state;
	bench_open(&p->b);
	p->order = true;
	for (int i = 0; i < SENDERS; i++) {
		p->notes[i] = calloc(EACH, sizeof(*p->notes[i]));
		p->senders[i] = (struct sender){p, i, 0};
		assert_int_equal(p->b.ops->thread_start(p->b.env, &threads[i],
							"a name longer than 15 bytes", sender_main,
							&p->senders[i], NULL),
				 OTD_OK);
	}
	bench_run(&p->b);
	for (int i = 0; i < SENDERS; i++) {
		p->b.ops->thread_join(p->b.env, threads[i]);
		assert_int_equal(p->next[i], EACH);
		assert_true(p->senders[i].blocked);
		free(p->notes[i]);
	}
	assert_true(p->order);
	bench_close(&p->b);
	free(p);
}

struct last_words {
	struct bench b;
	int ran;
};

static void count_words(void *arg)
{
	((struct last_words *)arg)->ran++;
}

static void stopper_main(void *arg)
{
	struct last_words *w = arg;
	for (int i = 0; i < 100; i++) {
		if (otd_loop_post(w->b.loop, count_words, w))
			abort();
	}
	bench_stop(&w->b);
}

static void posted_before_stop_still_runs(void **state)
{
	struct last_words w = {0};
	void *thread;
	(void)state;
	bench_open(&w.b);
	assert_int_equal(w.b.ops->thread_start(w.b.env, &thread, "stopper", stopper_main, &w, NULL),
			 OTD_OK);
	bench_run(&w.b);
	w.b.ops->thread_join(w.b.env, thread);
	assert_int_equal(w.ran, 100);
	/* Later ones go with the loop, without a leak. */
	assert_int_equal(otd_loop_post(w.b.loop, count_words, &w), OTD_OK);
	bench_close(&w.b);
	assert_int_equal(w.ran, 100);
}

/* --- defer --- */

struct deferring {
	struct bench b;
	char order[32];
	size_t n;
	int again;
};

static void note_char(struct deferring *d, char c)
{
	if (d->n < sizeof(d->order) - 1)
		d->order[d->n++] = c;
}

static void deferred_a(void *arg)
{
	note_char(arg, 'a');
}

static void posted_b(void *arg)
{
	note_char(arg, 'b');
}

static void deferred_chain(void *arg)
{
	struct deferring *d = arg;
	note_char(d, 'c');
	if (--d->again)
		assert_int_equal(d->b.ops->defer(d->b.loop, deferred_chain, d), OTD_OK);
	else
		bench_stop(&d->b);
}

static void posted_start(void *arg)
{
	struct deferring *d = arg;
	note_char(d, 'p');
	assert_int_equal(d->b.ops->defer(d->b.loop, deferred_a, d), OTD_OK);
	assert_int_equal(d->b.ops->defer(d->b.loop, deferred_chain, d), OTD_OK);
}

static void deferred_runs_once_at_the_end_of_the_round(void **state)
{
	struct deferring d = {.again = 3};
	(void)state;
	bench_open(&d.b);
	assert_int_equal(otd_loop_post(d.b.loop, posted_start, &d), OTD_OK);
	assert_int_equal(otd_loop_post(d.b.loop, posted_b, &d), OTD_OK);
	bench_run(&d.b);
	assert_string_equal(d.order, "pbaccc");
	bench_close(&d.b);
}

/* --- workers and the compute pool --- */

#define JOBS 500

struct working {
	struct bench b;
	struct otd_worker *w;
	struct job {
		struct working *k;
		int n, result;
	} jobs[JOBS];
	int ran, done; /* ran: the worker's alone */
	bool order, done_order;
	atomic_int running;
};

static void job_run(void *arg)
{
	struct job *j = arg;
	if (atomic_fetch_add(&j->k->running, 1) != 0 || j->k->ran != j->n)
		j->k->order = false;
	j->k->ran++;
	j->result = j->n * 2;
	atomic_fetch_sub(&j->k->running, 1);
}

static void job_done(void *arg)
{
	struct job *j = arg;
	if (j->k->done != j->n || j->result != j->n * 2)
		j->k->done_order = false;
	if (++j->k->done == JOBS)
		bench_stop(&j->k->b);
}

static struct working *working_open(void)
{
	struct working *k = calloc(1, sizeof(*k));
	bench_open(&k->b);
	k->order = k->done_order = true;
	for (int i = 0; i < JOBS; i++)
		k->jobs[i] = (struct job){k, i, 0};
	return k;
}

static void worker_runs_in_order(void **state)
{
	struct working *k = working_open();
	(void)state;
	assert_int_equal(k->b.ops->worker_create(k->b.loop, &k->w, "worker", NULL), OTD_OK);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(k->b.ops->worker_give(k->w, job_run, job_done, &k->jobs[i]),
				 OTD_OK);
	bench_run(&k->b);
	assert_true(k->order && k->done_order);
	assert_int_equal(k->done, JOBS);
	k->b.ops->worker_destroy(k->w);
	bench_close(&k->b);
	free(k);
}

static void worker_destroy_waits_and_delivers(void **state)
{
	struct working *k = working_open();
	(void)state;
	assert_int_equal(k->b.ops->worker_create(k->b.loop, &k->w, "worker", NULL), OTD_OK);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(k->b.ops->worker_give(k->w, job_run, job_done, &k->jobs[i]),
				 OTD_OK);
	k->b.ops->worker_destroy(k->w);
	assert_int_equal(k->ran, JOBS);
	assert_int_equal(k->done, JOBS);
	assert_true(k->order && k->done_order);
	bench_close(&k->b);
	free(k);
}

static void compute_run(void *arg)
{
	struct job *j = arg;
	j->result = j->n * 2;
}

static void compute_done(void *arg)
{
	struct job *j = arg;
	if (j->result != j->n * 2)
		j->k->done_order = false;
	if (++j->k->done == JOBS)
		bench_stop(&j->k->b);
}

static void compute_pool_does_all(void **state)
{
	struct working *k = working_open();
	(void)state;
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(k->b.ops->compute(k->b.env, k->b.loop, compute_run, compute_done,
						   &k->jobs[i]),
				 OTD_OK);
	bench_run(&k->b);
	assert_true(k->done_order);
	assert_int_equal(k->done, JOBS);
	bench_close(&k->b);
	free(k);
}

/* A loop goes while its jobs are still being computed. */
static void loop_waits_for_its_compute_jobs(void **state)
{
	struct working *k = working_open();
	(void)state;
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(k->b.ops->compute(k->b.env, k->b.loop, compute_run, compute_done,
						   &k->jobs[i]),
				 OTD_OK);
	bench_close(&k->b);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(k->jobs[i].result, i * 2);
	assert_int_equal(k->done, 0);
	free(k);
}

/* --- the rest --- */

static void on_term(void *arg)
{
	bench_stop(arg);
}

static void raise_it(void *arg)
{
	(void)arg;
	raise(SIGUSR2);
}

static void signal_comes_on_the_loop(void **state)
{
	struct bench b;
	(void)state;
	bench_open(&b);
	assert_int_equal(otd_loop_signal(b.loop, SIGUSR2, on_term, &b), OTD_OK);
	assert_int_equal(otd_loop_post(b.loop, raise_it, NULL), OTD_OK);
	bench_run(&b);
	bench_close(&b);
}

static void spin_30_ms(void *arg)
{
	struct bench *b = arg;
	uint64_t until = otd_mono_ns(b->env) + 30000000;
	while (otd_mono_ns(b->env) < until) {}
	bench_stop(b);
}

static void a_long_round_is_measured(void **state)
{
	struct otd_metrics *m = otd_metrics_create();
	struct otd_env_real_conf conf = {.metrics = m, .lag_warn_ms = 10000};
	struct bench b = {0};
	struct otd_metric *lag;
	(void)state;
	assert_int_equal(otd_env_real_create(&b.env, &conf, NULL), OTD_OK);
	b.ops = b.env->ops;
	assert_int_equal(b.ops->loop_create(b.env, &b.loop, "slow", NULL), OTD_OK);
	/* The stop is seen a round later, when this one has been measured. */
	assert_int_equal(otd_loop_post(b.loop, spin_30_ms, &b), OTD_OK);
	b.ops->loop_run(b.loop);
	lag = otd_metric(m, OTD_HISTOGRAM_NS, "otd_loop_lag_seconds", "loop=\"slow\"", "");
	assert_true(otd_metric_quantile_ns(lag, 1000000) >= 30000000);
	b.ops->loop_destroy(b.loop);
	otd_env_real_destroy(b.env);
	otd_metrics_destroy(m);
}

static void clocks_and_randomness(void **state)
{
	struct bench b;
	uint8_t x[64] = {0}, y[64] = {0};
	uint64_t t;
	(void)state;
	bench_open(&b);
	t = otd_mono_ns(b.env);
	assert_true(otd_mono_ns(b.env) >= t);
	assert_true(otd_wall_ms(b.env) > 1600000000000);
	b.ops->random(b.env, x, sizeof(x));
	b.ops->random(b.env, y, sizeof(y));
	assert_memory_not_equal(x, y, sizeof(x));
	bench_close(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(timer_does_not_drift),
		cmocka_unit_test(missed_repeats_fire_once_in_phase),
		cmocka_unit_test(posts_of_four_threads_keep_their_order),
		cmocka_unit_test(posted_before_stop_still_runs),
		cmocka_unit_test(deferred_runs_once_at_the_end_of_the_round),
		cmocka_unit_test(worker_runs_in_order),
		cmocka_unit_test(worker_destroy_waits_and_delivers),
		cmocka_unit_test(compute_pool_does_all),
		cmocka_unit_test(loop_waits_for_its_compute_jobs),
		cmocka_unit_test(signal_comes_on_the_loop),
		cmocka_unit_test(a_long_round_is_measured),
		cmocka_unit_test(clocks_and_randomness),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
