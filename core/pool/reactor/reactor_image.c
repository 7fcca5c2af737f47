/* A reactor's work as bytes, and back: see pool/image.h. */
#include "pool/image.h"
#include "pool/reactor/reactor_impl.h"

#include <stdlib.h>
#include <string.h>

#define VERSION       1
#define TIPS          2
#define KEY_LEN       16 /* of a hash, in the table of duplicates */
#define IMAGES_A_POOL 256

/* --- saving --- */

static void save_job(struct otd_bytes *out, const struct otd_job *job)
{
	size_t part = otd_pack_begin(out);
	otd_pack_u64(out, job->order);
	otd_pack_u32(out, job->id);
	otd_pack_u32(out, job->flags);
	otd_pack_u32(out, job->version);
	otd_pack_u32(out, job->nbits);
	otd_pack_u32(out, job->version_mask);
	otd_pack_u64(out, job->height);
	otd_pack_i64(out, job->time_s);
	otd_pack_i64(out, job->min_time_s);
	(void)otd_bytes_add(out, job->prev, sizeof(job->prev));
	otd_pack_u256(out, job->block_target);
	(void)otd_bytes_add(out, job->network_work, sizeof(job->network_work));
	(void)otd_bytes_add(out, job->value, sizeof(job->value));
	otd_pack_u32(out, job->extranonce1_len);
	otd_pack_u32(out, job->extranonce2_len);
	otd_pack_span(out, job->coinbase1);
	otd_pack_span(out, job->coinbase2);
	otd_pack_span(out, (struct otd_span){(const uint8_t *)job->branches,
					     (size_t)job->n_branches * 32});
	otd_pack_end(out, part);
}

static void save_key(void *arg, const uint64_t key[2])
{
	(void)otd_bytes_add(arg, key, KEY_LEN);
}

static void save_tip(struct otd_bytes *out, const struct otd_job_tip *t)
{
	size_t part = otd_pack_begin(out);
	(void)otd_bytes_add(out, t->prev, sizeof(t->prev));
	otd_pack_u64(out, otd_dupes_count(&t->dupes));
	otd_dupes_each(&t->dupes, save_key, out);
	otd_pack_end(out, part);
}

static void save_tips(struct otd_bytes *out, const struct otd_jobs *j)
{
	otd_pack_u32(out, (j->tips[0].number != 0) + (j->tips[1].number != 0));
	for (size_t i = 0; i < TIPS; i++) {
		if (j->tips[i].number)
			save_tip(out, &j->tips[i]);
	}
}

void otd_reactor_save_pool(struct otd_reactor *r, uint32_t pool, struct otd_bytes *out)
{
	const struct otd_jobs *j = &r->pools[pool]->jobs;
	uint32_t n = 0;
	otd_pack_u16(out, VERSION);
	for (size_t i = 0; i < OTD_JOB_RING; i++)
		n += j->ring[i] != NULL;
	otd_pack_u32(out, n);
	/* The oldest first: the order in which they are made anew. */
	for (uint64_t back = OTD_JOB_RING; back-- > 0;) {
		const struct otd_job *job = back < j->last_order
						    ? j->ring[(j->last_order - back) % OTD_JOB_RING]
						    : NULL;
		if (job)
			save_job(out, job);
	}
	uint32_t reported =
		j->n_reported < OTD_JOB_REPORTED ? (uint32_t)j->n_reported : OTD_JOB_REPORTED;
	otd_pack_u32(out, reported);
	(void)otd_bytes_add(out, j->reported, (size_t)reported * 32);
	save_tips(out, j);
}

void otd_reactor_save_hashes(struct otd_reactor *r, uint32_t pool, struct otd_bytes *out)
{
	save_tips(out, &r->pools[pool]->jobs);
}

/* --- loading --- */

struct saved_job {
	uint64_t was;
	size_t image;
	struct otd_msg *msg;
	uint32_t id;
};

struct loading {
	struct reactor_pool *p;
	struct saved_job *jobs; /* of all images; by id once sorted */
	size_t n, cap;
	struct otd_job_orders *orders;
	struct otd_err *err;
};

static otd_rc corrupt(struct otd_err *err, const char *what)
{
	return otd_fail(err, OTD_E_CORRUPT, "what was handed over is no image of a pool: %s", what);
}

static void take_into(struct otd_unpack *u, void *to, size_t n)
{
	const uint8_t *p = otd_unpack_take(u, n);
	if (p)
		memcpy(to, p, n);
}

static struct otd_msg *read_job(struct otd_unpack *u, uint32_t pool, uint64_t *was)
{
	struct otd_unpack j = otd_unpack_part(u);
	struct otd_msg_job m = {.pool = pool};
	*was = otd_unpack_u64(&j);
	m.job = otd_unpack_u32(&j);
	m.flags = otd_unpack_u32(&j);
	m.version = otd_unpack_u32(&j);
	m.nbits = otd_unpack_u32(&j);
	m.version_mask = otd_unpack_u32(&j);
	m.height = otd_unpack_u64(&j);
	m.time_s = otd_unpack_i64(&j);
	m.min_time_s = otd_unpack_i64(&j);
	take_into(&j, m.prev, sizeof(m.prev));
	take_into(&j, m.block_target, sizeof(m.block_target));
	take_into(&j, m.network_work, sizeof(m.network_work));
	take_into(&j, m.value, sizeof(m.value));
	m.extranonce1_len = otd_unpack_u32(&j);
	m.extranonce2_len = otd_unpack_u32(&j);
	struct otd_span one = otd_unpack_span(&j), two = otd_unpack_span(&j);
	struct otd_span branches = otd_unpack_span(&j);
	if (j.failed || !*was) {
		u->failed = true;
		return NULL;
	}
	struct otd_msg *head =
		otd_msg_create(OTD_MSG_JOB, 0, sizeof(m), one.len + two.len + branches.len);
	if (!head)
		return NULL;
	struct otd_msg_job *to = (struct otd_msg_job *)head;
	m.head = *head;
	*to = m;
	to->coinbase1 = otd_msg_put(head, one.ptr, one.len);
	to->coinbase2 = otd_msg_put(head, two.ptr, two.len);
	to->branches = otd_msg_put(head, branches.ptr, branches.len);
	return head;
}

static otd_rc read_jobs(struct loading *l, struct otd_unpack *u, uint32_t pool, size_t image)
{
	uint32_t n = otd_unpack_u32(u);
	uint64_t last = 0;
	if (u->failed || n > OTD_JOB_RING)
		return corrupt(l->err, "its number of jobs");
	for (uint32_t i = 0; i < n; i++) {
		struct saved_job s = {.image = image};
		s.msg = read_job(u, pool, &s.was);
		if (!s.msg)
			return u->failed ? corrupt(l->err, "a job is cut short")
					 : otd_fail(l->err, OTD_E_NOMEM, "out of memory");
		s.id = ((struct otd_msg_job *)s.msg)->job;
		l->jobs[l->n++] = s;
		if (s.was <= last)
			return corrupt(l->err, "the order of its jobs");
		last = s.was;
	}
	return OTD_OK;
}

/* Numbers of jobs count up, in all reactors alike. */
static int by_id(const void *a, const void *b)
{
	const struct saved_job *x = a, *y = b;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->image < y->image ? -1 : x->image > y->image;
}

static otd_rc add_jobs(struct loading *l)
{
	struct otd_jobs *jobs = &l->p->jobs;
	struct otd_job *job = NULL;
	qsort(l->jobs, l->n, sizeof(*l->jobs), by_id);
	for (size_t i = 0; i < l->n; i++) {
		const struct saved_job *s = &l->jobs[i];
		const struct otd_msg_job *m = (const struct otd_msg_job *)s->msg;
		bool new_tip;
		if (m->extranonce1_len != l->p->conf.extranonce1_len ||
		    m->extranonce2_len != l->p->conf.extranonce2_len)
			return otd_fail(
				l->err, OTD_E_INVALID,
				"pool %s: its work has extranonces of %u and %u bytes, not %u "
				"and %u",
				l->p->conf.name, m->extranonce1_len, m->extranonce2_len,
				l->p->conf.extranonce1_len, l->p->conf.extranonce2_len);
		if (!job || job->id != s->id) {
			otd_rc rc = otd_jobs_add(jobs, &job, &new_tip, m, l->err);
			if (rc)
				return rc;
		}
		struct otd_job_orders *o = &l->orders[s->image];
		o->place[o->n++] = (struct otd_job_place){s->was, job->order, s->id};
	}
	return OTD_OK;
}

static otd_rc read_tip(struct loading *l, struct otd_unpack *u)
{
	struct otd_unpack t = otd_unpack_part(u);
	const uint8_t *prev = otd_unpack_take(&t, 32);
	uint64_t n = otd_unpack_u64(&t);
	if (t.failed || n != t.left / KEY_LEN || t.left % KEY_LEN)
		return corrupt(l->err, "the hashes of a tip");
	struct otd_dupes *d = NULL;
	for (size_t i = 0; i < TIPS; i++) {
		struct otd_job_tip *tip = &l->p->jobs.tips[i];
		if (tip->number && memcmp(tip->prev, prev, 32) == 0)
			d = &tip->dupes;
	}
	for (; d && n; n--) { /* of a tip without a job that is left: nothing is judged on it */
		uint8_t hash[32] = {0};
		size_t slot;
		memcpy(hash, otd_unpack_take(&t, KEY_LEN), KEY_LEN);
		otd_rc rc = otd_dupes_look(d, &slot, hash);
		if (rc == OTD_OK)
			otd_dupes_fill(d, slot, hash);
		else if (rc != OTD_E_EXISTS)
			return otd_fail(l->err, rc, "no room for the shares of a tip");
	}
	return OTD_OK;
}

static otd_rc read_rest(struct loading *l, struct otd_unpack *u)
{
	struct otd_jobs *j = &l->p->jobs;
	uint32_t n = otd_unpack_u32(u);
	if (u->failed || n > OTD_JOB_REPORTED)
		return corrupt(l->err, "its blocks");
	for (uint32_t i = 0; i < n; i++)
		take_into(u, j->reported[j->n_reported++ % OTD_JOB_REPORTED], 32);
	n = otd_unpack_u32(u);
	if (u->failed || n > TIPS)
		return corrupt(l->err, "its tips");
	otd_rc rc = OTD_OK;
	for (uint32_t i = 0; i < n && rc == OTD_OK; i++)
		rc = read_tip(l, u);
	return rc;
}

otd_rc otd_reactor_load_pool(struct otd_reactor *r, uint32_t pool, const struct otd_span *images,
			     size_t n, struct otd_job_orders *orders, struct otd_err *err)
{
	struct loading l = {.p = r->pools[pool], .orders = orders, .err = err};
	struct otd_unpack *u = calloc(n ? n : 1, sizeof(*u));
	otd_rc rc = OTD_OK;
	if (n <= IMAGES_A_POOL)
		l.jobs = calloc(n * OTD_JOB_RING + 1, sizeof(*l.jobs));
	if (!u || !l.jobs)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n && rc == OTD_OK; i++) {
		orders[i].n = 0;
		u[i] = otd_unpack_of(images[i]);
		uint16_t version = otd_unpack_u16(&u[i]);
		if (u[i].failed || version < 1)
			rc = corrupt(err, "no version");
		else
			rc = read_jobs(&l, &u[i], pool, i);
	}
	if (rc == OTD_OK)
		rc = add_jobs(&l);
	for (size_t i = 0; i < n && rc == OTD_OK; i++)
		rc = read_rest(&l, &u[i]);
	for (size_t i = 0; i < l.n; i++)
		otd_msg_destroy(l.jobs[i].msg);
	free(l.jobs);
	free(u);
	return rc;
}

uint64_t otd_job_order_now(const struct otd_job_orders *o, uint64_t was)
{
	uint64_t is = 0;
	for (size_t i = 0; i < o->n && o->place[i].was <= was; i++)
		is = o->place[i].is;
	return is;
}

otd_rc otd_reactor_expect_hashes(struct otd_reactor *r, uint32_t pool, struct otd_span image,
				 struct otd_err *err)
{
	struct otd_unpack in = otd_unpack_of(image);
	uint32_t tips = otd_unpack_u32(&in);
	otd_rc rc = OTD_OK;
	if (in.failed || tips > TIPS)
		return corrupt(err, "its tips");
	for (uint32_t i = 0; i < tips && rc == OTD_OK; i++) {
		struct otd_unpack t = otd_unpack_part(&in);
		const uint8_t *prev = otd_unpack_take(&t, 32);
		uint64_t n = otd_unpack_u64(&t);
		if (t.failed || n != t.left / KEY_LEN || t.left % KEY_LEN)
			return corrupt(err, "the hashes of a tip");
		for (; n && rc == OTD_OK; n--) {
			uint8_t hash[32] = {0};
			memcpy(hash, otd_unpack_take(&t, KEY_LEN), KEY_LEN);
			rc = otd_jobs_expect(&r->pools[pool]->jobs, prev, hash);
		}
	}
	return rc ? otd_fail(err, rc, "no room for the shares of a tip") : OTD_OK;
}

bool otd_reactor_extranonce_is_own(const struct otd_reactor *r, uint32_t pool, const uint8_t *en1)
{
	return otd_extranonces_is_own(&r->pools[pool]->extranonces, en1);
}
