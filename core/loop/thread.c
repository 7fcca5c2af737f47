/* Threads, workers (one thread and a queue) and the compute pool (some threads and a queue). */
#include "loop/real.h"
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct jobs {
	struct real_job *first, *last;
};

static void jobs_add(struct jobs *q, struct real_job *j)
{
	j->next = NULL;
	if (q->last)
		q->last->next = j;
	else
		q->first = j;
	q->last = j;
}

static struct real_job *jobs_pop(struct jobs *q)
{
	struct real_job *j = q->first;
	if (j) {
		q->first = j->next;
		if (!q->first)
			q->last = NULL;
	}
	return j;
}

/* --- threads --- */

struct thread {
	pthread_t id;
	otd_fn fn;
	void *arg;
	char name[16]; /* the kernel keeps 15 bytes */
};

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	return NULL;
}

otd_rc real_thread_start(struct otd_env *e, void **out, const char *name, otd_fn fn, void *arg,
			 struct otd_err *err)
{
	struct thread *t = calloc(1, sizeof(*t));
	sigset_t all, before;
	int r;
	(void)e;
	*out = NULL;
	if (!t)
		return otd_fail(err, OTD_E_NOMEM, "thread %s: out of memory", name);
	t->fn = fn;
	t->arg = arg;
	snprintf(t->name, sizeof(t->name), "%s", name);
	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		free(t);
		return otd_fail(err, OTD_E_NOMEM, "thread %s: %s; raise the limit of tasks", name,
				strerror(r));
	}
	*out = t;
	return OTD_OK;
}

void real_thread_join(struct otd_env *e, void *thread)
{
	struct thread *t = thread;
	(void)e;
	if (!t)
		return;
	pthread_join(t->id, NULL);
	free(t);
}

/* --- jobs --- */

static struct real_job *job_create(struct otd_loop *home, otd_fn run, otd_fn done, void *arg)
{
	struct real_job *j = calloc(1, sizeof(*j));
	if (j) {
		j->home = real_loop_of(home);
		j->run = run;
		j->done = done;
		j->arg = arg;
		j->msg.arg = j;
	}
	return j;
}

/* On the loop that gave it. */
static void job_home(void *arg)
{
	struct real_job *j = arg;
	otd_fn done = j->done;
	void *done_arg = j->arg;
	free(j);
	if (done)
		done(done_arg);
}

/* --- workers --- */

struct otd_worker {
	struct real_loop *loop;
	void *thread;
	pthread_mutex_t lock;
	pthread_cond_t some;
	struct jobs jobs;
	bool closing;
};

static void worker_main(void *arg)
{
	struct otd_worker *w = arg;
	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct real_job *j = jobs_pop(&w->jobs);
		if (!j) {
			if (w->closing)
				break;
			pthread_cond_wait(&w->some, &w->lock);
			continue;
		}
		pthread_mutex_unlock(&w->lock);
		j->run(j->arg);
		j->msg.fn = job_home;
		real_post_msg(j->home, &j->msg);
		pthread_mutex_lock(&w->lock);
	}
	pthread_mutex_unlock(&w->lock);
}

otd_rc real_worker_create(struct otd_loop *l, struct otd_worker **out, const char *name,
			  struct otd_err *err)
{
	struct otd_worker *w = calloc(1, sizeof(*w));
	otd_rc rc;
	*out = NULL;
	if (!w)
		return otd_fail(err, OTD_E_NOMEM, "worker %s: out of memory", name);
	w->loop = real_loop_of(l);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->some, NULL);
	rc = real_thread_start(l->env, &w->thread, name, worker_main, w, err);
	if (rc) {
		pthread_cond_destroy(&w->some);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return rc;
	}
	*out = w;
	return OTD_OK;
}

otd_rc real_worker_give(struct otd_worker *w, otd_fn run, otd_fn done, void *arg)
{
	struct real_job *j = job_create(&w->loop->base, run, done, arg);
	bool closing;
	if (!j)
		return OTD_E_NOMEM;
	j->worker = w;
	pthread_mutex_lock(&w->lock);
	closing = w->closing;
	if (!closing) {
		jobs_add(&w->jobs, j);
		pthread_cond_signal(&w->some);
	}
	pthread_mutex_unlock(&w->lock);
	if (closing)
		free(j);
	return closing ? OTD_E_CLOSED : OTD_OK;
}

static bool of_worker(struct real_msg *m, void *ctx)
{
	return m->fn == job_home && ((struct real_job *)m->arg)->worker == ctx;
}

void real_worker_destroy(struct otd_worker *w)
{
	struct real_queue home;
	struct real_msg *m;
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->closing = true;
	pthread_cond_signal(&w->some);
	pthread_mutex_unlock(&w->lock);
	real_thread_join(w->loop->base.env, w->thread);
	/* Their owner is about to go: what is done comes home now, not later. */
	home = real_take(w->loop, of_worker, w);
	while ((m = real_queue_pop(&home)))
		job_home(m->arg);
	pthread_cond_destroy(&w->some);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* --- the compute pool --- */

struct real_pool {
	pthread_mutex_t lock;
	pthread_cond_t some;   /* jobs wait, or it closes */
	pthread_cond_t landed; /* a job has been posted home */
	struct jobs jobs;
	bool closing;
	uint32_t wanted, n;
	void **threads;
};

static uint32_t processors(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set))
		return 1;
	return (uint32_t)CPU_COUNT(&set);
}

otd_rc real_pool_create(struct real_pool **out, uint32_t threads)
{
	struct real_pool *p = calloc(1, sizeof(*p));
	*out = p;
	if (!p)
		return OTD_E_NOMEM;
	p->wanted = threads ? threads : processors() - 1;
	if (!p->wanted)
		p->wanted = 1;
	p->threads = calloc(p->wanted, sizeof(*p->threads));
	if (!p->threads) {
		free(p);
		*out = NULL;
		return OTD_E_NOMEM;
	}
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->some, NULL);
	pthread_cond_init(&p->landed, NULL);
	return OTD_OK;
}

static void compute_main(void *arg)
{
	struct real_pool *p = arg;
	pthread_mutex_lock(&p->lock);
	for (;;) {
		struct real_job *j = jobs_pop(&p->jobs);
		struct real_loop *home;
		if (!j) {
			if (p->closing)
				break;
			pthread_cond_wait(&p->some, &p->lock);
			continue;
		}
		pthread_mutex_unlock(&p->lock);
		home = j->home;
		j->run(j->arg);
		j->msg.fn = job_home;
		real_post_msg(home, &j->msg);
		/* Under the lock: real_pool_wait() may let the loop go as soon as this is 0. */
		pthread_mutex_lock(&p->lock);
		atomic_fetch_sub(&home->computing, 1);
		pthread_cond_broadcast(&p->landed);
	}
	pthread_mutex_unlock(&p->lock);
}

/* Called with the lock held. Some threads are enough; none is an error. */
static otd_rc start_threads(struct otd_env *e, struct real_pool *p)
{
	while (p->n < p->wanted) {
		char name[16];
		snprintf(name, sizeof(name), "compute-%u", p->n % 1000);
		if (real_thread_start(e, &p->threads[p->n], name, compute_main, p, NULL))
			break;
		p->n++;
	}
	if (!p->n)
		return OTD_E_NOMEM;
	p->wanted = p->n;
	return OTD_OK;
}

otd_rc real_compute(struct otd_env *e, struct otd_loop *l, otd_fn run, otd_fn done, void *arg)
{
	struct real_pool *p = real_env_of(e)->pool;
	struct real_job *j = job_create(l, run, done, arg);
	otd_rc rc = OTD_OK;
	if (!j)
		return OTD_E_NOMEM;
	pthread_mutex_lock(&p->lock);
	if (p->n < p->wanted)
		rc = start_threads(e, p);
	if (!rc) {
		atomic_fetch_add(&j->home->computing, 1);
		jobs_add(&p->jobs, j);
		pthread_cond_signal(&p->some);
	}
	pthread_mutex_unlock(&p->lock);
	if (rc)
		free(j);
	return rc;
}

void real_pool_wait(struct real_pool *p, struct real_loop *l)
{
	pthread_mutex_lock(&p->lock);
	while (atomic_load(&l->computing))
		pthread_cond_wait(&p->landed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

void real_pool_destroy(struct real_pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->closing = true;
	pthread_cond_broadcast(&p->some);
	pthread_mutex_unlock(&p->lock);
	for (uint32_t i = 0; i < p->n; i++)
		real_thread_join(NULL, p->threads[i]);
	pthread_cond_destroy(&p->landed);
	pthread_cond_destroy(&p->some);
	pthread_mutex_destroy(&p->lock);
	free(p->threads);
	free(p);
}
