/* Work for the database, one piece after the other, on the store thread. */
#include "store/store.h"
#include "base/log.h"
#include "store/db.h"
#include "store/schema.h"
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST_MS 10
#define RETRY_MAX_MS   500
#define RETRY_FOR_MS   30000 /* a busy database is given up after this long */
#define TRIES_AT_ONCE  3     /* where nobody may wait: the plugin has waited by itself */

struct job {
	struct job *next;
	struct otd_store *store;
	bool write;
	otd_store_work work;
	otd_store_done done;
	void *arg;
	uint64_t first_ns; /* of the first attempt */
	int64_t wait_ms;   /* before the next one */
	struct otd_err err;
};

struct otd_store {
	struct otd_loop *loop;
	struct otd_db db; /* of the thread that runs a job; between jobs nobody's */
	struct otd_worker *worker;
	struct otd_timer *timer;
	struct job *first, *last; /* the first one is on the store thread or waits for the timer */
	bool running;             /* it is on the store thread */
	bool closing;
	bool open;
};

static void give_first(struct otd_store *s);

static void attempt(struct job *j)
{
	(void)otd_db_run(&j->store->db, j->write, j->work, j->arg, &j->err);
}

static void run_job(void *arg)
{
	/* A program of one thread has all tags already; that must stay so. */
	if (!otd_thread_on(OTD_THREAD_STORE))
		otd_thread_is(OTD_THREAD_STORE);
	attempt(arg);
}

static void drop_first(struct otd_store *s)
{
	struct job *j = s->first;
	s->first = j->next;
	if (!s->first)
		s->last = NULL;
	if (j->done)
		j->done(j->arg, &j->err);
	free(j);
}

/* Milliseconds until it is worth another try; 0: it is not. */
static int64_t retry_in(struct job *j)
{
	uint64_t ms = (otd_mono_ns(j->store->loop->env) - j->first_ns) / 1000000;
	if (j->err.rc != OTD_E_BUSY)
		return 0;
	if (ms >= RETRY_FOR_MS) {
		otd_fail_prefix(&j->err, "given up after %llu s", (unsigned long long)(ms / 1000));
		return 0;
	}
	j->wait_ms = j->wait_ms ? j->wait_ms * 2 : RETRY_FIRST_MS;
	if (j->wait_ms > RETRY_MAX_MS)
		j->wait_ms = RETRY_MAX_MS;
	return j->wait_ms;
}

static void job_done(void *arg)
{
	struct job *j = arg;
	struct otd_store *s = j->store;
	int64_t wait_ms = s->closing ? 0 : retry_in(j);
	s->running = false;
	if (wait_ms) {
		otd_log(OTD_LOG_DEBUG, "store", "store.busy", "retry_ms=%lld error=%s",
			(long long)wait_ms, OTD_Q(j->err.text));
		s->loop->env->ops->timer_start(s->timer, wait_ms, 0);
		return;
	}
	if (s->closing)
		return; /* destroy goes on with it */
	drop_first(s);
	/* done may have given more work, which then runs already. */
	if (s->first && !s->running)
		give_first(s);
}

static void give_first(struct otd_store *s)
{
	struct job *j = s->first;
	otd_rc rc;
	if (!j->first_ns)
		j->first_ns = otd_mono_ns(s->loop->env);
	s->running = true;
	rc = s->loop->env->ops->worker_give(s->worker, run_job, job_done, j);
	if (rc) {
		/* Nothing ran; said from the timer, never from within the call that asked. */
		s->running = false;
		(void)otd_fail(&j->err, OTD_E_BUSY, "store: no memory to hand work over");
		s->loop->env->ops->timer_start(s->timer, RETRY_FIRST_MS, 0);
	}
}

static void on_timer(void *arg)
{
	struct otd_store *s = arg;
	if (s->first && !s->running)
		give_first(s);
}

static otd_rc open_database(struct otd_store *s, struct otd_err *err)
{
	otd_rc rc;
	otd_instance_clear_error(s->db.plugin);
	rc = s->db.ops->open(s->db.self);
	if (rc)
		return otd_db_fail(&s->db, rc, err);
	s->open = true;
	return OTD_OK;
}

static otd_rc prepare(void *arg, struct otd_db *db, struct otd_err *err)
{
	(void)arg;
	return otd_schema_prepare(db, err);
}

static otd_rc create(struct otd_store **out, struct otd_loop *l, struct otd_plugin_instance *plugin,
		     bool as_it_is, struct otd_err *err)
{
	struct otd_store *s = calloc(1, sizeof(*s));
	otd_rc rc;
	*out = NULL;
	if (!s)
		return otd_fail(err, OTD_E_NOMEM, "store: no memory");
	s->loop = l;
	s->db.plugin = plugin;
	s->db.ops = otd_instance_store(plugin);
	s->db.self = otd_instance_self(plugin);
	rc = open_database(s, err);
	if (!rc && !as_it_is)
		rc = otd_store_do_now(s, true, prepare, NULL, err);
	if (rc)
		goto out;
	rc = l->env->ops->worker_create(l, &s->worker, "store", err);
	if (rc)
		goto out;
	rc = l->env->ops->timer_create(l, &s->timer, on_timer, s);
	if (rc)
		rc = otd_fail(err, rc, "store: no memory for a timer");
out:
	if (rc)
		otd_store_destroy(s);
	else
		*out = s;
	return rc;
}

otd_rc otd_store_create(struct otd_store **out, struct otd_loop *l,
			struct otd_plugin_instance *plugin, struct otd_err *err)
{
	return create(out, l, plugin, false, err);
}

otd_rc otd_store_attach(struct otd_store **out, struct otd_loop *l,
			struct otd_plugin_instance *plugin, struct otd_err *err)
{
	return create(out, l, plugin, true, err);
}

struct looking {
	int64_t has, ours;
};

static otd_rc look_only(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct looking *l = arg;
	return otd_schema_look(db, &l->has, &l->ours, err);
}

otd_rc otd_store_look(struct otd_plugin_instance *plugin, int64_t *has, int64_t *ours,
		      struct otd_err *err)
{
	struct otd_store s = {.db = {.plugin = plugin,
				     .ops = otd_instance_store(plugin),
				     .self = otd_instance_self(plugin)}};
	struct looking l = {0};
	otd_rc rc = open_database(&s, err);
	if (rc)
		return rc;
	rc = otd_db_run(&s.db, false, look_only, &l, err);
	s.db.ops->close(s.db.self);
	*has = l.has;
	*ours = l.ours;
	return rc;
}

void otd_store_destroy(struct otd_store *s)
{
	if (!s)
		return;
	s->closing = true;
	if (s->timer) {
		s->loop->env->ops->timer_stop(s->timer);
		s->loop->env->ops->timer_destroy(s->timer);
	}
	if (s->worker) {
		bool ran = s->running;
		/* Waits for the job on the thread, and delivers its job_done(). */
		s->loop->env->ops->worker_destroy(s->worker);
		if (ran && s->first->err.rc != OTD_E_BUSY)
			drop_first(s);
	}
	/* The rest here: who gave it waits for its end. The store's thread is no more. */
	if (s->first && !otd_thread_on(OTD_THREAD_STORE))
		otd_thread_is(OTD_THREAD_COORDINATOR | OTD_THREAD_STORE | OTD_THREAD_COMPUTE);
	while (s->first) {
		attempt(s->first);
		drop_first(s);
	}
	if (s->open)
		s->db.ops->close(s->db.self);
	free(s);
}

otd_rc otd_store_do(struct otd_store *s, bool write, otd_store_work work, otd_store_done done,
		    void *arg)
{
	struct job *j = calloc(1, sizeof(*j));
	if (!j)
		return OTD_E_NOMEM;
	j->store = s;
	j->write = write;
	j->work = work;
	j->done = done;
	j->arg = arg;
	if (s->last)
		s->last->next = j;
	else
		s->first = j;
	s->last = j;
	if (s->first == j && !s->closing)
		give_first(s);
	return OTD_OK;
}

otd_rc otd_store_do_now(struct otd_store *s, bool write, otd_store_work work, void *arg,
			struct otd_err *err)
{
	struct otd_err own;
	otd_rc rc = OTD_E_BUSY;
	if (!err)
		err = &own;
	if (s->first)
		return otd_fail(err, OTD_E_BUSY,
				"store: work is on its way; waiting is for the start only");
	for (int i = 0; rc == OTD_E_BUSY && i < TRIES_AT_ONCE; i++)
		rc = otd_db_run(&s->db, write, work, arg, err);
	return rc;
}
