/* A reactor's jobs, see pool/job.h. */
#include "pool/job.h"

#include <stdlib.h>
#include <string.h>

void otd_jobs_init(struct otd_jobs *j, size_t dupes_max, void (*gone)(void *, struct otd_job *),
		   void *arg)
{
	memset(j, 0, sizeof(*j));
	j->gone = gone;
	j->arg = arg;
	otd_dupes_init(&j->tips[0].dupes, dupes_max);
	otd_dupes_init(&j->tips[1].dupes, dupes_max);
	otd_dupes_init(&j->earlier[0].dupes, dupes_max);
	otd_dupes_init(&j->earlier[1].dupes, dupes_max);
}

static void job_free(struct otd_jobs *j, struct otd_job *job)
{
	if (j->gone)
		j->gone(j->arg, job);
	otd_pool_algo_drop(job->algo);
	free(job);
}

/* Out of the ring; a job that shares still point to is freed with the last of them. */
static void job_leave(struct otd_jobs *j, struct otd_job **place)
{
	struct otd_job *job = *place;

	*place = NULL;
	if (!job)
		return;
	job->left = true;
	if (!job->users)
		job_free(j, job);
}

void otd_jobs_finish(struct otd_jobs *j)
{
	for (size_t i = 0; i < OTD_JOB_RING; i++)
		job_leave(j, &j->ring[i]);
	otd_dupes_finish(&j->tips[0].dupes);
	otd_dupes_finish(&j->tips[1].dupes);
	otd_dupes_finish(&j->earlier[0].dupes);
	otd_dupes_finish(&j->earlier[1].dupes);
	otd_jobs_set_algo(j, NULL);
}

void otd_jobs_set_algo(struct otd_jobs *j, struct otd_pool_algo *algo)
{
	struct otd_pool_algo *before = j->algo;

	j->algo = algo;
	otd_pool_algo_drop(before);
}

void otd_job_hold(struct otd_job *job)
{
	job->users++;
}

void otd_job_drop(struct otd_jobs *j, struct otd_job *job)
{
	if (--job->users == 0 && job->left)
		job_free(j, job);
}

static otd_rc check_sizes(const struct otd_msg_job *m, struct otd_err *err)
{
	if (m->coinbase1.len == 0 || m->coinbase1.len > OTD_JOB_COINBASE_MAX ||
	    m->coinbase2.len == 0 || m->coinbase2.len > OTD_JOB_COINBASE_MAX)
		return otd_fail(err, OTD_E_INVALID, "job %u: coinbase parts of %u and %u bytes",
				m->job, m->coinbase1.len, m->coinbase2.len);
	if (m->branches.len % 32 || m->branches.len / 32 > OTD_JOB_BRANCHES_MAX)
		return otd_fail(err, OTD_E_INVALID, "job %u: %u bytes of merkle branches", m->job,
				m->branches.len);
	if (m->extranonce1_len > OTD_JOB_EXTRANONCE1_MAX ||
	    m->extranonce2_len > OTD_JOB_EXTRANONCE2_MAX || !m->extranonce1_len ||
	    !m->extranonce2_len)
		return otd_fail(err, OTD_E_INVALID, "job %u: extranonces of %u and %u bytes",
				m->job, m->extranonce1_len, m->extranonce2_len);
	return OTD_OK;
}

static struct otd_job *job_build(const struct otd_msg_job *m)
{
	struct otd_span c1 = otd_msg_get(m, m->coinbase1), c2 = otd_msg_get(m, m->coinbase2);
	struct otd_span br = otd_msg_get(m, m->branches);
	struct otd_job *job = malloc(sizeof(*job) + c1.len + c2.len + br.len);

	if (!job)
		return NULL;
	memset(job, 0, sizeof(*job));
	job->id = m->job;
	job->pool = m->pool;
	job->flags = m->flags;
	job->version = m->version;
	job->nbits = m->nbits;
	job->version_mask = m->version_mask;
	job->height = m->height;
	job->time_s = m->time_s;
	job->min_time_s = m->min_time_s;
	memcpy(job->prev, m->prev, sizeof(job->prev));
	job->block_target = otd_u256_from_le(m->block_target);
	memcpy(job->network_work, m->network_work, sizeof(job->network_work));
	memcpy(job->value, m->value, sizeof(job->value));
	job->extranonce1_len = m->extranonce1_len;
	job->extranonce2_len = m->extranonce2_len;

	uint8_t *store = (uint8_t *)(job + 1);
	memcpy(store, br.ptr, br.len);
	memcpy(store + br.len, c1.ptr, c1.len);
	memcpy(store + br.len + c1.len, c2.ptr, c2.len);
	job->branches = (const uint8_t(*)[32])store;
	job->n_branches = (uint32_t)(br.len / 32);
	job->coinbase1 = (struct otd_span){store + br.len, c1.len};
	job->coinbase2 = (struct otd_span){store + br.len + c1.len, c2.len};
	otd_sha256_init(&job->prefix);
	otd_sha256_update(&job->prefix, c1.ptr, c1.len);
	return job;
}

static bool is_of(const struct otd_job_tip *t, const uint8_t prev[32])
{
	return t->number && memcmp(t->prev, prev, sizeof(t->prev)) == 0;
}

otd_rc otd_jobs_expect(struct otd_jobs *j, const uint8_t prev[32], const uint8_t hash[32])
{
	for (size_t i = 0; i < 2; i++) {
		struct otd_job_tip *t = &j->earlier[i];
		size_t slot;
		if (t->number && !is_of(t, prev))
			continue;
		t->number = 1;
		memcpy(t->prev, prev, sizeof(t->prev));
		otd_rc rc = otd_dupes_look(&t->dupes, &slot, hash);
		if (rc == OTD_OK)
			otd_dupes_fill(&t->dupes, slot, hash);
		return rc == OTD_E_EXISTS ? OTD_OK : rc;
	}
	return OTD_E_RANGE;
}

/* What a process before has accepted on it. */
static void take_earlier(struct otd_jobs *j, struct otd_job_tip *t)
{
	for (size_t i = 0; i < 2; i++) {
		struct otd_dupes empty = t->dupes;
		if (!is_of(&j->earlier[i], t->prev))
			continue;
		t->dupes = j->earlier[i].dupes;
		j->earlier[i].dupes = empty;
		j->earlier[i].number = 0;
		return;
	}
}

/* The tip of a job: that in force, the one before it come back (a reorganisation), or a new one. */
static bool enter_tip(struct otd_jobs *j, const uint8_t prev[32])
{
	struct otd_job_tip t = j->tips[1];

	if (j->tips[0].number && !memcmp(j->tips[0].prev, prev, 32))
		return false;
	if (!t.number || memcmp(t.prev, prev, 32)) {
		otd_dupes_finish(&t.dupes);
		t.number = ++j->last_tip;
		memcpy(t.prev, prev, 32);
		take_earlier(j, &t);
	}
	j->tips[1] = j->tips[0];
	j->tips[0] = t;
	return true;
}

otd_rc otd_jobs_add(struct otd_jobs *j, struct otd_job **out, bool *new_tip,
		    const struct otd_msg_job *m, struct otd_err *err)
{
	struct otd_job *job = NULL;
	otd_rc rc = check_sizes(m, err);

	*out = NULL;
	*new_tip = false;
	if (rc)
		return rc;
	job = job_build(m);
	if (!job)
		return otd_fail(err, OTD_E_NOMEM, "job %u: out of memory", m->job);
	job->algo = j->algo;
	if (job->algo)
		otd_pool_algo_hold(job->algo);
	job->order = ++j->last_order;
	*new_tip = enter_tip(j, m->prev);
	job->tip = j->tips[0].number;
	if (*new_tip || (m->flags & OTD_JOB_CLEAN))
		j->good_from = job->order;
	for (size_t i = 0; *new_tip && i < OTD_JOB_RING; i++) {
		if (j->ring[i] && j->ring[i]->tip != j->tips[0].number &&
		    j->ring[i]->tip != j->tips[1].number)
			job_leave(j, &j->ring[i]);
	}
	struct otd_job **place = &j->ring[job->order % OTD_JOB_RING];
	job_leave(j, place);
	*place = job;
	*out = job;
	return OTD_OK;
}

struct otd_job *otd_jobs_find(const struct otd_jobs *j, uint32_t id)
{
	/* Newest first: nearly every share is of one of the last few jobs. */
	for (uint64_t back = 0; back < OTD_JOB_RING && back < j->last_order; back++) {
		struct otd_job *job = j->ring[(j->last_order - back) % OTD_JOB_RING];
		if (job && job->id == id)
			return job;
	}
	return NULL;
}

struct otd_job *otd_jobs_newest(const struct otd_jobs *j)
{
	return j->last_order ? j->ring[j->last_order % OTD_JOB_RING] : NULL;
}

bool otd_job_is_stale(const struct otd_jobs *j, const struct otd_job *job)
{
	return job->tip != j->tips[0].number || job->order < j->good_from;
}

struct otd_dupes *otd_job_dupes(struct otd_jobs *j, const struct otd_job *job)
{
	for (size_t i = 0; i < 2; i++) {
		if (j->tips[i].number == job->tip)
			return &j->tips[i].dupes;
	}
	return NULL;
}
