/* The pools of a reactor: how they come, at the start and while it runs, and go. See pool/reactor/reactor.h. */
#include "pool/reactor/reactor_impl.h"

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct otd_reactor_added {
	struct reactor_pool **pools;
	struct reactor_need *needs;
	size_t n;
	struct reactor_power power;
};

static otd_rc check(const struct otd_reactor_pool *p, struct otd_err *err)
{
	const struct otd_algo_info *a = p->algo_info;

	if (p->extranonce1_len < 4 || p->extranonce1_len > OTD_JOB_EXTRANONCE1_MAX ||
	    p->extranonce2_len < 2 || p->extranonce2_len > OTD_JOB_EXTRANONCE2_MAX)
		return otd_fail(err, OTD_E_RANGE,
				"pool %s: extranonce1 has 4 to 8 bytes, extranonce2 2 to 16",
				p->name);
	if (a->header_len != OTD_SHARE_HEADER || a->nonce_offset != 76 || a->nonce_len != 4 ||
	    (a->flags & OTD_ALGO_NEEDS_SEED))
		return otd_fail(err, OTD_E_UNSUPPORTED,
				"pool %s: this algorithm's headers are not Bitcoin's 80 bytes with "
				"the nonce last, and no dialect for others is built in",
				p->name);
	return OTD_OK;
}

static otd_rc pool_create(struct reactor_pool **out, struct otd_reactor *r,
			  const struct otd_reactor_pool *conf, struct otd_err *err)
{
	struct reactor_pool *p = calloc(1, sizeof(*p));
	char labels[160];

	*out = p;
	if (!p)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	p->reactor = r;
	p->conf = *conf;
	(void)snprintf(p->name, sizeof(p->name), "%s", conf->name);
	p->conf.name = p->name;
	p->conf.extranonce1_len = conf->extranonce1_len ? conf->extranonce1_len : 4;
	p->conf.extranonce2_len = conf->extranonce2_len ? conf->extranonce2_len : 4;
	otd_jobs_init(&p->jobs, r->conf.dupes_max, otd_reactor_job_gone, p);
	otd_jobs_set_algo(&p->jobs,
			  otd_pool_algo_create(conf->algo, conf->algo_self, conf->algo_info));
	if (!p->jobs.algo)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (int v = 0; v < OTD_SHARE_VERDICTS; v++) {
		(void)snprintf(labels, sizeof(labels), "pool=\"%s\",verdict=\"%s\"", p->name,
			       otd_share_verdict_name((enum otd_share_verdict)v));
		p->verdicts[v] = otd_metric(r->conf.metrics, OTD_COUNTER, "otd_shares_total",
					    labels, "Shares by what became of them");
	}
	(void)snprintf(labels, sizeof(labels), "pool=\"%s\"", p->name);
	p->blocks = otd_metric(r->conf.metrics, OTD_COUNTER, "otd_block_solutions_total", labels,
			       "Hashes that met the network target");
	p->validation =
		otd_metric(r->conf.metrics, OTD_HISTOGRAM_NS, "otd_share_validation_seconds",
			   labels, "From the line of a share to its verdict, before any disk");
	return check(&p->conf, err);
}

otd_rc otd_reactor_prepare(struct otd_reactor *r, struct otd_reactor_added **out,
			   const struct otd_reactor_pool *pools, size_t n, struct otd_err *err)
{
	struct otd_reactor_added *a = calloc(1, sizeof(*a));
	otd_rc rc = OTD_OK;

	*out = NULL;
	if (a)
		a->pools = calloc(n ? n : 1, sizeof(struct reactor_pool *));
	if (a)
		a->needs = calloc(n ? n : 1, sizeof(*a->needs));
	if (!a || !a->pools || !a->needs)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	for (size_t i = 0; i < n && !rc; i++) {
		rc = pool_create(&a->pools[a->n++], r, &pools[i], err);
		if (!rc)
			a->needs[i] = (struct reactor_need){a->pools[i]->jobs.algo, pools[i].name};
	}
	if (!rc)
		rc = otd_reactor_power_create(r, &a->power, a->needs, n, err);
	if (rc)
		otd_reactor_added_destroy(a);
	else
		*out = a;
	return rc;
}

static void pool_free(struct reactor_pool *p)
{
	if (!p)
		return;
	otd_jobs_finish(&p->jobs);
	otd_extranonces_finish(&p->extranonces);
	free(p);
}

void otd_reactor_added_destroy(struct otd_reactor_added *a)
{
	if (!a)
		return;
	for (size_t i = 0; a->pools && i < a->n; i++)
		pool_free(a->pools[i]);
	otd_reactor_power_finish(&a->power);
	free(a->pools);
	free(a->needs);
	free(a);
}

void otd_reactor_add(struct otd_reactor *r, struct otd_reactor_added *a)
{
	OTD_ASSERT(r->n_pools + a->n <= OTD_POOLS_MAX);
	for (size_t i = 0; i < a->n; i++) {
		struct reactor_pool *p = a->pools[i];
		otd_rc rc = otd_extranonces_init(&p->extranonces, &r->extranonces,
						 p->conf.extranonce1_len, r->conf.epoch);
		OTD_ASSERT(!rc); /* the length was checked */
		(void)rc;
		r->pools[r->n_pools++] = p;
	}
	if (a->n)
		otd_reactor_power_take(r, &a->power);
	a->n = 0;
	otd_reactor_added_destroy(a);
}

void otd_reactor_pools_finish(struct otd_reactor *r)
{
	for (size_t i = 0; i < r->n_pools; i++)
		pool_free(r->pools[i]);
	r->n_pools = 0;
}

void otd_reactor_retire(struct otd_reactor *r, uint32_t pool)
{
	struct reactor_pool *p = r->pools[pool];
	struct otd_msg *head;

	if (p->retired)
		return;
	head = otd_msg_create(OTD_MSG_POOL_GONE, r->conf.index, sizeof(struct otd_msg_pool_gone),
			      0);
	struct otd_msg_pool_gone *m = (struct otd_msg_pool_gone *)head;
	if (!m)
		return; /* the front says it again */
	/* What a client was refused belongs to the pool too. */
	otd_reactor_record_refused(r);
	m->pool = pool;
	m->epoch = r->conf.epoch;
	m->seq = otd_journal_last(r->journal);
	if (otd_mailbox_send(r->conf.coordinator, head))
		otd_log(OTD_LOG_ERROR, "pool", "reactor.send", "reactor=%u type=%d", r->conf.index,
			OTD_MSG_POOL_GONE);
	p->retired = true;
	otd_pool_algo_hold(p->jobs.algo);
	struct otd_pool_algo *algo = p->jobs.algo;
	otd_jobs_finish(&p->jobs);
	otd_jobs_init(&p->jobs, r->conf.dupes_max, otd_reactor_job_gone, p);
	otd_jobs_set_algo(&p->jobs, algo);
	otd_extranonces_finish(&p->extranonces);
}

struct otd_reactor_swap {
	struct otd_reactor_pool conf; /* of it, the algorithm */
	struct otd_pool_algo *algo;
	struct reactor_power power;
};

otd_rc otd_reactor_swap_prepare(struct otd_reactor *r, struct otd_reactor_swap **out,
				const struct otd_reactor_pool *pool, struct otd_err *err)
{
	struct otd_reactor_swap *s = calloc(1, sizeof(*s));
	otd_rc rc = OTD_OK;

	*out = NULL;
	if (s)
		s->algo = otd_pool_algo_create(pool->algo, pool->algo_self, pool->algo_info);
	if (!s || !s->algo)
		rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	if (!rc) {
		const struct reactor_need need = {s->algo, pool->name};
		s->conf = *pool;
		rc = otd_reactor_power_create(r, &s->power, &need, 1, err);
	}
	if (rc)
		otd_reactor_swap_destroy(s);
	else
		*out = s;
	return rc;
}

void otd_reactor_swap_destroy(struct otd_reactor_swap *s)
{
	if (!s)
		return;
	otd_reactor_power_finish(&s->power);
	otd_pool_algo_drop(s->algo);
	free(s);
}

void otd_reactor_swap(struct otd_reactor *r, uint32_t pool, struct otd_reactor_swap *s, otd_fn gone,
		      void *arg)
{
	struct reactor_pool *p = r->pools[pool];
	struct otd_pool_algo *before = p->jobs.algo;

	p->conf.algo = s->conf.algo;
	p->conf.algo_self = s->conf.algo_self;
	p->conf.algo_info = s->conf.algo_info;
	before->gone = gone;
	before->arg = arg;
	otd_reactor_power_take(r, &s->power);
	otd_jobs_set_algo(&p->jobs, s->algo);
	s->algo = NULL;
	otd_reactor_swap_destroy(s);
}

void otd_reactor_names_an_account(struct otd_reactor *r, uint32_t names)
{
	r->workers.names_an_account = names;
}

void otd_reactor_archive(struct otd_reactor *r, bool on)
{
	otd_journal_archive(r->journal, on);
}
