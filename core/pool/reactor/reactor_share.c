/* The way of shares through a reactor: batch, hash, judge, record, verdict. See pool/reactor/reactor.h. */
#include "pool/reactor/reactor_impl.h"

#include "base/log.h"
#include "plugin/plugin.h"
#include <stdlib.h>
#include <string.h>

#define COST_SAMPLES 3

static void batch_run(void *arg);

static otd_rc list_grow(struct share_list *l)
{
	if (l->n < l->cap)
		return OTD_OK;
	size_t cap = l->cap ? 2 * l->cap : OTD_SHARE_BATCH;
	void *p = realloc(l->at, cap * sizeof(*l->at));
	if (!p)
		return OTD_E_NOMEM;
	l->at = p;
	l->cap = cap;
	return OTD_OK;
}

static void tell(struct otd_reactor *r, const struct otd_verdict *v)
{
	if (r->has_front)
		r->front.verdict(r->front.arg, v);
}

/* Makes room for one more. */
static otd_rc pending_grow(struct otd_reactor *r)
{
	struct pending_ring *p = &r->pending;

	if (p->tail - p->head == p->cap) {
		size_t cap = p->cap ? 2 * p->cap : 1024;
		struct otd_verdict *at = malloc(cap * sizeof(*at));
		if (!at)
			return OTD_E_NOMEM;
		for (uint64_t i = p->head; i < p->tail; i++)
			at[i & (cap - 1)] = p->at[i & (p->cap - 1)];
		free(p->at);
		p->at = at;
		p->cap = cap;
	}
	return OTD_OK;
}

void otd_reactor_shares_synced(struct otd_reactor *r, uint64_t seq)
{
	struct pending_ring *p = &r->pending;

	while (p->head < p->tail) {
		struct otd_verdict v = p->at[p->head & (p->cap - 1)];
		if (v.seq > seq)
			break;
		p->head++;
		tell(r, &v);
	}
}

static void log_share(const struct otd_reactor *r, const struct reactor_pool *p,
		      const struct otd_share *s, const struct otd_verdict *v)
{
	struct otd_span account = otd_worker_account(s->in.worker);
	struct otd_span name = otd_worker_name(s->in.worker);
	char who[OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX + 2], quoted[2 * sizeof(who)];
	size_t n = account.len;

	memcpy(who, account.ptr, n);
	if (name.len) {
		who[n++] = '.';
		memcpy(who + n, name.ptr, name.len);
		n += name.len;
	}
	otd_log(OTD_LOG_DEBUG, "pool", "share.judged",
		"share=%llu-%llu pool=%s worker=%s job=%x nonce=%08x verdict=%s block=%d",
		(unsigned long long)r->conf.epoch, (unsigned long long)v->seq, p->conf.name,
		otd_log_quote(quoted, sizeof(quoted), who, n), s->in.job, s->in.nonce,
		otd_share_verdict_name(v->verdict), v->block);
}

static void refuse(struct otd_reactor *r, struct reactor_pool *p, const struct otd_share *s,
		   struct otd_verdict *v)
{
	otd_metric_add(p->verdicts[v->verdict], 1);
	otd_workers_refused(&r->workers, s->in.worker, v->verdict);
	tell(r, v);
}

/* From the line to the verdict, before any disk. */
static void validated(const struct otd_reactor *r, struct reactor_pool *p,
		      const struct otd_share *s, size_t n)
{
	uint64_t now_ns = otd_mono_ns(r->conf.env);

	for (size_t i = 0; i < n; i++) {
		if (s[i].in.since_ns)
			otd_metric_observe_ns(p->validation, now_ns - s[i].in.since_ns);
	}
}

/* Judges a hashed share (or one whose job is not there), and lets its job go. */
static void share_finish(struct otd_reactor *r, struct reactor_pool *p, const struct otd_share *s,
			 int64_t now_ms)
{
	struct otd_share_result result;
	struct otd_verdict v = {.client = s->in.client,
				.request = s->in.request,
				.worker = s->in.worker,
				.job = s->in.job};
	uint64_t seq = 0;

	otd_share_judge(&result, &p->jobs, s, s->job ? s->job->algo->info : p->conf.algo_info,
			now_ms / 1000);
	v.verdict = result.verdict;
	v.target = result.target;
	/* First the room for its verdict: what is on record is told of, and not before the sync. */
	if (result.verdict == OTD_SHARE_ACCEPTED &&
	    (pending_grow(r) || otd_reactor_record(r, p, s, &result, now_ms, &seq)))
		v.verdict = OTD_SHARE_UNAVAILABLE;
	if (result.block) {
		v.block = true;
		otd_metric_add(p->blocks, 1);
		otd_reactor_send_block(r, p, s, &result, now_ms,
				       v.verdict == OTD_SHARE_ACCEPTED ? seq : 0);
	}
	if (v.verdict == OTD_SHARE_ACCEPTED) {
		v.seq = seq;
		otd_share_remember(&result, s);
	}
	if (otd_log_on(OTD_LOG_DEBUG, "pool"))
		log_share(r, p, s, &v);
	if (v.verdict != OTD_SHARE_ACCEPTED) {
		refuse(r, p, s, &v);
	} else {
		otd_metric_add(p->verdicts[OTD_SHARE_ACCEPTED], 1);
		r->pending.at[r->pending.tail++ & (r->pending.cap - 1)] = v;
	}
	if (s->job)
		otd_job_drop(&p->jobs, s->job);
}

/* --- the compute pool --- */

static void task_run(void *arg)
{
	struct compute_task *t = arg;

	/* A program of one thread has all tags already; that must stay so. */
	if (!otd_thread_on(OTD_THREAD_COMPUTE))
		otd_thread_is(OTD_THREAD_COMPUTE);
	t->work.scratch = t->scratch;
	otd_shares_hash(t->shares, t->n, t->algo, &t->work);
}

static void tasks_start(struct otd_reactor *r);
static void set_free(struct compute_set *set);

/* Those of which none runs any more. */
static void drop_old_sets(struct otd_reactor *r)
{
	struct compute_set **at = &r->old_sets;

	while (*at) {
		struct compute_set *set = *at;
		if (set->running) {
			at = &set->next;
			continue;
		}
		*at = set->next;
		set_free(set);
	}
}

static void task_done(void *arg)
{
	struct compute_task *t = arg;
	struct otd_reactor *r = t->reactor;
	int64_t now_ms = otd_wall_ms(r->conf.env);

	for (size_t i = 0; i < t->n; i++)
		share_finish(r, t->pool, &t->shares[i], now_ms);
	validated(r, t->pool, t->shares, t->n);
	r->running--;
	t->set->running--;
	if (t->set->old) {
		drop_old_sets(r);
	} else {
		t->next = r->idle;
		r->idle = t;
	}
	tasks_start(r);
	otd_reactor_check_drained(r);
}

/* Shares a task: few enough that several threads have some. */
static size_t task_size(const struct otd_reactor *r, const struct otd_pool_algo *algo)
{
	size_t waiting = r->queue.n - r->queue_done, n = (waiting + r->set->n - 1) / r->set->n;

	if (n < algo->info->batch_hint)
		n = algo->info->batch_hint;
	return n < OTD_SHARE_BATCH ? n : OTD_SHARE_BATCH;
}

static void tasks_start(struct otd_reactor *r)
{
	while (r->idle && r->queue_done < r->queue.n) {
		struct compute_task *t = r->idle;
		const struct otd_share *first = &r->queue.at[r->queue_done];
		size_t max;

		t->pool = r->pools[first->in.pool];
		t->algo = first->job->algo;
		max = task_size(r, t->algo);
		for (t->n = 0; t->n < max && r->queue_done < r->queue.n; t->n++) {
			const struct otd_share *s = &r->queue.at[r->queue_done];
			if (s->in.pool != first->in.pool || s->job->algo != t->algo)
				break;
			t->shares[t->n] = *s;
			r->queue_done++;
		}
		if (r->conf.env->ops->compute(r->conf.env, r->conf.loop, task_run, task_done, t)) {
			r->queue_done -= t->n;
			break;
		}
		r->idle = t->next;
		r->running++;
		t->set->running++;
	}
	if (r->queue_done == r->queue.n) {
		r->queue.n = r->queue_done = 0;
	} else if (r->queue_done > r->queue.n / 2) {
		r->queue.n -= r->queue_done;
		memmove(r->queue.at, r->queue.at + r->queue_done,
			r->queue.n * sizeof(*r->queue.at));
		r->queue_done = 0;
	}
}

/* --- the batch of a round --- */

static void queue_costly(struct otd_reactor *r, struct reactor_pool *p, const struct otd_share *s,
			 int64_t now_ms)
{
	if (r->queue.n - r->queue_done >= r->conf.compute_max || list_grow(&r->queue)) {
		struct otd_share refused = *s;
		refused.rc = OTD_E_BUSY;
		share_finish(r, p, &refused, now_ms);
		return;
	}
	r->queue.at[r->queue.n++] = *s;
}

static void hash_inline(struct otd_reactor *r, struct reactor_pool *p, struct otd_share *s,
			size_t n, int64_t now_ms)
{
	r->work.scratch = r->scratch;
	otd_shares_hash(s, n, s->job->algo, &r->work);
	otd_shares_prefetch(&p->jobs, s, n);
	for (size_t i = 0; i < n; i++)
		share_finish(r, p, &s[i], now_ms);
	validated(r, p, s, n);
}

static void batch_run(void *arg)
{
	struct otd_reactor *r = arg;
	int64_t now_ms = otd_wall_ms(r->conf.env);
	struct share_list l = r->batch;

	/* What verdicts bring in belongs to the next round. */
	r->batch = r->judged;
	r->judged = l;
	r->deferred = false;
	for (size_t i = 0, n; i < l.n; i += n) {
		struct otd_share *s = &l.at[i];
		struct reactor_pool *p = r->pools[s->in.pool];
		n = 1;
		if (!s->job) {
			share_finish(r, p, s, now_ms);
		} else if (s->job->algo->costly) {
			queue_costly(r, p, s, now_ms);
		} else {
			while (n < OTD_SHARE_BATCH && i + n < l.n && l.at[i + n].job &&
			       l.at[i + n].in.pool == s->in.pool &&
			       l.at[i + n].job->algo == s->job->algo)
				n++;
			hash_inline(r, p, s, n, now_ms);
		}
	}
	r->judged.n = 0;
	tasks_start(r);
	otd_reactor_check_drained(r);
}

void otd_reactor_submit(struct otd_reactor *r, const struct otd_submit *s)
{
	struct share_list *l = &r->batch;

	if (list_grow(l)) {
		/* The one case in which the verdict comes from within: there is no room to keep the
		   question. The front answers in order anyway. */
		struct otd_share share = {.in = *s, .rc = OTD_E_NOMEM};
		struct otd_verdict v = {.client = s->client,
					.request = s->request,
					.worker = s->worker,
					.job = s->job,
					.verdict = OTD_SHARE_UNAVAILABLE};
		refuse(r, r->pools[s->pool], &share, &v);
		return;
	}
	struct otd_share *share = &l->at[l->n++];
	share->in = *s;
	share->rc = OTD_OK;
	share->job = otd_jobs_find(&r->pools[s->pool]->jobs, s->job);
	if (share->job)
		otd_job_hold(share->job);
	if (r->deferred)
		return;
	r->deferred = true;
	if (r->conf.env->ops->defer(r->conf.loop, batch_run, r) &&
	    otd_loop_post(r->conf.loop, batch_run, r))
		r->deferred = false; /* the next share tries again */
}

/* --- set-up --- */

static void *scratch_alloc(const struct otd_algo_info *a, uint64_t size)
{
	size_t align = a->scratch_align < 64 ? 64 : a->scratch_align;

	return size ? aligned_alloc(align, (size + align - 1) / align * align) : NULL;
}

/* What a hash of this algorithm costs here and now; the first call may set things up. */
static otd_rc measure(struct otd_reactor *r, const struct reactor_need *need, void *scratch,
		      struct otd_err *err)
{
	struct otd_pool_algo *a = need->algo;
	uint8_t header[OTD_SHARE_HEADER] = {0};
	uint64_t best = UINT64_MAX;

	for (int i = 0; i <= COST_SAMPLES; i++) {
		struct otd_algo_item it = {.header = {header, sizeof(header)}};
		uint64_t from = otd_mono_ns(r->conf.env), took;
		otd_rc rc = a->ops->hash_batch(a->self, scratch, &it, sizeof(it), 1);
		took = otd_mono_ns(r->conf.env) - from;
		if (rc || it.rc)
			return otd_fail(err, rc ? rc : it.rc,
					"pool %s: the algorithm cannot hash a header of zeros: %s",
					need->pool, otd_rc_name(rc ? rc : it.rc));
		if (i && took < best)
			best = took;
	}
	a->cost_ns = best;
	a->costly = best > r->conf.inline_cost_ns;
	otd_log(OTD_LOG_DEBUG, "pool", "algorithm.cost", "pool=%s hash_ns=%llu where=%s",
		need->pool, (unsigned long long)best, a->costly ? "compute" : "reactor");
	return OTD_OK;
}

static void set_free(struct compute_set *set)
{
	if (!set)
		return;
	for (size_t i = 0; set->tasks && i < set->n; i++)
		free(set->tasks[i].scratch);
	free(set->tasks);
	free(set);
}

static otd_rc set_create(struct compute_set **out, struct otd_reactor *r,
			 const struct otd_algo_info *need)
{
	struct compute_set *set = calloc(1, sizeof(*set));

	*out = set;
	if (set)
		set->tasks = calloc(r->conf.compute_tasks, sizeof(*set->tasks));
	if (!set || !set->tasks)
		return OTD_E_NOMEM;
	for (; set->n < r->conf.compute_tasks; set->n++) {
		struct compute_task *t = &set->tasks[set->n];
		t->reactor = r;
		t->set = set;
		t->scratch = scratch_alloc(need, need->scratch_size);
		if (need->scratch_size && !t->scratch)
			return OTD_E_NOMEM;
	}
	return OTD_OK;
}

otd_rc otd_reactor_power_create(struct otd_reactor *r, struct reactor_power *power,
				const struct reactor_need *needs, size_t n, struct otd_err *err)
{
	/* One area for all: the largest size at the strictest alignment. */
	struct otd_algo_info need = {.scratch_align =
					     r->scratch_align > 4096 ? r->scratch_align : 4096,
				     .scratch_size = r->scratch_size};
	bool any_costly = false;
	otd_rc rc = OTD_OK;

	*power = (struct reactor_power){0};
	for (size_t i = 0; i < n; i++) {
		const struct otd_algo_info *a = needs[i].algo->info;
		if (a->scratch_size > need.scratch_size)
			need.scratch_size = a->scratch_size;
		if (a->scratch_align > need.scratch_align)
			need.scratch_align = a->scratch_align;
	}
	/* Always one of their own to measure with: that of the reactor is in use. */
	power->scratch_size = need.scratch_size;
	power->scratch_align = need.scratch_align;
	power->scratch = scratch_alloc(&need, need.scratch_size);
	if (need.scratch_size && !power->scratch)
		return otd_fail(err, OTD_E_NOMEM, "out of memory for %llu bytes of scratch",
				(unsigned long long)need.scratch_size);
	for (size_t i = 0; i < n && !rc; i++) {
		rc = measure(r, &needs[i], power->scratch, err);
		any_costly |= needs[i].algo->costly;
	}
	if (!rc && any_costly &&
	    (!r->set || need.scratch_size > r->scratch_size ||
	     need.scratch_align > r->scratch_align)) {
		rc = set_create(&power->set, r, &need);
		if (rc)
			otd_fail(err, rc, "out of memory for %zu scratch areas of %llu bytes",
				 r->conf.compute_tasks, (unsigned long long)need.scratch_size);
	}
	if (rc)
		otd_reactor_power_finish(power);
	return rc;
}

void otd_reactor_power_finish(struct reactor_power *power)
{
	free(power->scratch);
	set_free(power->set);
	*power = (struct reactor_power){0};
}

void otd_reactor_power_take(struct otd_reactor *r, struct reactor_power *power)
{
	free(r->scratch);
	r->scratch = power->scratch;
	r->scratch_size = power->scratch_size;
	r->scratch_align = power->scratch_align;
	power->scratch = NULL;
	if (!power->set)
		return;
	if (r->set) {
		r->set->old = true;
		r->set->next = r->old_sets;
		r->old_sets = r->set;
	}
	r->set = power->set;
	power->set = NULL;
	r->idle = NULL;
	for (size_t i = 0; i < r->set->n; i++) {
		r->set->tasks[i].next = r->idle;
		r->idle = &r->set->tasks[i];
	}
	drop_old_sets(r);
	tasks_start(r);
}

static void list_finish(struct otd_reactor *r, struct share_list *l, size_t from)
{
	for (size_t i = from; i < l->n; i++) {
		if (l->at[i].job)
			otd_job_drop(&r->pools[l->at[i].in.pool]->jobs, l->at[i].job);
	}
	free(l->at);
}

void otd_reactor_shares_finish(struct otd_reactor *r)
{
	list_finish(r, &r->batch, 0);
	list_finish(r, &r->queue, r->queue_done);
	free(r->judged.at);
	free(r->pending.at);
	free(r->scratch);
	if (r->running) {
		/* A thread of the compute pool still reads them. */
		otd_log(OTD_LOG_WARN, "pool", "reactor.busy", "reactor=%u tasks=%zu", r->conf.index,
			r->running);
		return;
	}
	drop_old_sets(r);
	set_free(r->set);
}
