/* A reactor's life and its messages, see pool/reactor/reactor.h. */
#include "pool/reactor/reactor_impl.h"

#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t or_default(uint64_t v, uint64_t fallback)
{
	return v ? v : fallback;
}

static void send_position(struct otd_reactor *r, enum otd_msg_type type, uint64_t seq)
{
	struct otd_msg *m = otd_msg_create(type, r->conf.index, sizeof(struct otd_msg_position), 0);
	if (!m) {
		/* The next group commit says it again, and more. */
		otd_log(OTD_LOG_ERROR, "pool", "reactor.memory", "reactor=%u", r->conf.index);
		return;
	}
	((struct otd_msg_position *)m)->epoch = r->conf.epoch;
	((struct otd_msg_position *)m)->seq = seq;
	if (otd_mailbox_send(r->conf.coordinator, m))
		otd_log(OTD_LOG_ERROR, "pool", "reactor.send", "reactor=%u type=%d", r->conf.index,
			(int)type);
}

void otd_reactor_check_drained(struct otd_reactor *r)
{
	uint64_t last = otd_journal_last(r->journal);

	if (!r->drained || r->running || r->batch.n || otd_journal_synced(r->journal) < last)
		return;
	r->drained = r->owes_drained = false;
	send_position(r, OTD_MSG_DRAINED, last);
}

static void freeze(struct otd_reactor *r, bool on)
{
	if (!on && r->owes_drained) {
		r->drained = r->owes_drained = false;
		send_position(r, OTD_MSG_DRAINED, otd_journal_synced(r->journal));
	}
	r->owes_drained = on;
	if (r->has_front && r->front.freeze)
		r->front.freeze(r->front.arg, on);
	else if (on)
		otd_reactor_drained(r);
}

/* What status and metrics say of a journal that cannot be written. */
static void say_failing(struct otd_reactor *r, bool on)
{
	if (on == r->failing)
		return;
	r->failing = on;
	if (on)
		r->unanswered = (int64_t)(r->pending.tail - r->pending.head);
	otd_metric_add(r->m_failing, on ? 1 : -1);
	otd_metric_add(r->m_unanswered, on ? r->unanswered : -r->unanswered);
}

static void journal_synced(void *arg, uint64_t seq)
{
	struct otd_reactor *r = arg;

	say_failing(r, false);
	otd_reactor_shares_synced(r, seq);
	send_position(r, OTD_MSG_SYNCED, seq);
	otd_reactor_check_drained(r);
}

static void journal_failed(void *arg, const struct otd_err *err)
{
	struct otd_reactor *r = arg;
	char text[600];

	say_failing(r, true);
	otd_log(OTD_LOG_ERROR, "pool", "journal.failed",
		"reactor=%u epoch=%llu unanswered=%lld error=%s shares=refused "
		"until=\"the disk recovers\"",
		r->conf.index, (unsigned long long)r->conf.epoch, (long long)r->unanswered,
		otd_log_quote(text, sizeof(text), err->text, strlen(err->text)));
}

static void on_job(struct otd_reactor *r, const struct otd_msg_job *m)
{
	struct otd_err err = {0};
	struct otd_job *job = NULL;
	bool new_tip = false;

	if (m->pool >= r->n_pools) {
		otd_log(OTD_LOG_ERROR, "pool", "job.refused",
			"job=%u pool=%u reason=\"no such pool\"", m->job, m->pool);
		return;
	}
	struct reactor_pool *p = r->pools[m->pool];
	if (p->retired)
		return; /* it was on its way */
	if (m->extranonce1_len != p->conf.extranonce1_len ||
	    m->extranonce2_len != p->conf.extranonce2_len)
		(void)otd_fail(&err, OTD_E_INVALID, "extranonces of %u and %u bytes, not %u and %u",
			       m->extranonce1_len, m->extranonce2_len, p->conf.extranonce1_len,
			       p->conf.extranonce2_len);
	else
		err.rc = otd_jobs_add(&p->jobs, &job, &new_tip, m, &err);
	if (err.rc) {
		char text[600];
		otd_log(OTD_LOG_ERROR, "pool", "job.refused", "pool=%s job=%u reason=%s",
			p->conf.name, m->job,
			otd_log_quote(text, sizeof(text), err.text, strlen(err.text)));
		return;
	}
	if (new_tip)
		otd_extranonces_new_tip(&p->extranonces);
	if (r->has_front)
		r->front.job(r->front.arg, job, m->flags | (new_tip ? OTD_JOB_CLEAN : 0));
}

static void on_message(void *arg, const struct otd_msg *m)
{
	struct otd_reactor *r = arg;

	switch (m->type) {
	case OTD_MSG_JOB: on_job(r, (const struct otd_msg_job *)m); break;
	case OTD_MSG_AUTH_ANSWER:
		otd_reactor_auth_answer(r, (const struct otd_msg_auth_answer *)m);
		break;
	case OTD_MSG_BAN: otd_reactor_ban(r, (const struct otd_msg_ban *)m); break;
	case OTD_MSG_BUDGET_HEARD:
		otd_reactor_budget_heard(r, (const struct otd_msg_budget *)m);
		break;
	case OTD_MSG_DRAIN:
		r->draining = true;
		if (r->has_front)
			r->front.drain(r->front.arg);
		else
			otd_reactor_drained(r);
		break;
	case OTD_MSG_FREEZE: freeze(r, true); break;
	case OTD_MSG_THAW: freeze(r, false); break;
	case OTD_MSG_RELEASE: {
		const struct otd_msg_position *pos = (const struct otd_msg_position *)m;
		if (pos->epoch == r->conf.epoch)
			otd_journal_release(r->journal, pos->seq);
		break;
	}
	default:
		otd_log(OTD_LOG_WARN, "pool", "message.unexpected", "reactor=%u type=%u",
			r->conf.index, m->type);
	}
}

void otd_reactor_drained(struct otd_reactor *r)
{
	otd_reactor_record_refused(r);
	r->drained = true;
	otd_reactor_check_drained(r);
}

void otd_reactor_job_gone(void *arg, struct otd_job *job)
{
	struct reactor_pool *p = arg;

	if (p->reactor->has_front)
		p->reactor->front.job_gone(p->reactor->front.arg, job);
}

static void set_defaults(struct otd_reactor_conf *c)
{
	c->segment_bytes = or_default(c->segment_bytes, 64ull << 20);
	c->max_bytes = or_default(c->max_bytes, 256ull << 20);
	c->inline_cost_ns = or_default(c->inline_cost_ns, 50000);
	c->compute_max = or_default(c->compute_max, 4096);
	c->compute_tasks = or_default(c->compute_tasks, 8);
	c->workers_max = or_default(c->workers_max, 262144);
	c->names_an_account = (uint32_t)or_default(c->names_an_account, 1000);
	c->dupes_max = or_default(c->dupes_max, 16u << 20);
	c->accounts_max = or_default(c->accounts_max, 65536);
	c->refused_ms = (int64_t)or_default((uint64_t)c->refused_ms, 10000);
}

static otd_rc open_journal(struct otd_reactor *r, struct otd_err *err)
{
	struct otd_journal_conf jc = {
		.dir = r->conf.journal_dir,
		.epoch = r->conf.epoch,
		.segment_bytes = r->conf.segment_bytes,
		.max_bytes = r->conf.max_bytes,
		.archive = r->conf.archive,
		.synced = journal_synced,
		.failed = journal_failed,
		.restate = otd_reactor_restate,
		.arg = r,
	};
	return otd_journal_open(&r->journal, r->conf.loop, &jc, err);
}

otd_rc otd_reactor_create(struct otd_reactor **out, const struct otd_reactor_conf *conf,
			  struct otd_err *err)
{
	const struct otd_env_ops *ops = conf->env->ops;
	struct otd_reactor *r = calloc(1, sizeof(*r));
	uint8_t seed[16];
	otd_rc rc;

	*out = NULL;
	if (!r)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	r->conf = *conf;
	set_defaults(&r->conf);
	r->segment = r->workers.segment = 1;
	r->m_failing = otd_metric(r->conf.metrics, OTD_GAUGE, "otd_journals_failing", "",
				  "Reactors' journals that cannot be written now");
	r->m_unanswered = otd_metric(r->conf.metrics, OTD_GAUGE, "otd_shares_unanswered", "",
				     "Shares in them whose miners wait for the disk's word");
	rc = otd_fail(err, OTD_E_NOMEM, "out of memory");
	ops->random(conf->env, seed, sizeof(seed));
	if (otd_workers_init(&r->workers, seed, r->conf.workers_max, r->conf.names_an_account) ||
	    otd_reactor_auth_init(r, seed))
		goto out;
	r->workers.segment = 1;
	struct otd_reactor_added *first = NULL;
	rc = otd_reactor_prepare(r, &first, conf->pools, conf->n_pools, err);
	if (rc)
		goto out;
	otd_reactor_add(r, first);
	rc = open_journal(r, err);
	if (rc)
		goto out;
	rc = otd_mailbox_create(&r->mailbox, conf->loop, on_message, r);
	if (!rc)
		rc = ops->timer_create(conf->loop, &r->refused_timer, otd_reactor_record_refused,
				       r);
	if (rc)
		otd_fail(err, rc, "reactor %u: out of memory", conf->index);
	else
		ops->timer_start(r->refused_timer, r->conf.refused_ms, r->conf.refused_ms);
out:
	if (rc) {
		otd_reactor_destroy(r);
		return rc;
	}
	if (err)
		memset(err, 0, sizeof(*err));
	*out = r;
	return OTD_OK;
}

void otd_reactor_destroy(struct otd_reactor *r)
{
	if (!r)
		return;
	r->has_front = false;
	if (r->refused_timer)
		r->conf.env->ops->timer_destroy(r->refused_timer);
	if (r->journal)
		otd_reactor_record_refused(r);
	otd_journal_close(r->journal);
	otd_mailbox_destroy(r->mailbox);
	otd_reactor_shares_finish(r);
	otd_reactor_pools_finish(r);
	otd_reactor_auth_finish(r);
	otd_bans_destroy(r->bans);
	otd_workers_finish(&r->workers);
	free(r);
}

struct otd_mailbox *otd_reactor_mailbox(struct otd_reactor *r)
{
	return r->mailbox;
}

void otd_reactor_set_front(struct otd_reactor *r, const struct otd_reactor_front *front)
{
	r->has_front = front != NULL;
	if (front)
		r->front = *front;
}

struct otd_loop *otd_reactor_loop(struct otd_reactor *r)
{
	return r->conf.loop;
}

const struct otd_reactor_pool *otd_reactor_pool(const struct otd_reactor *r, uint32_t pool)
{
	return &r->pools[pool]->conf;
}

size_t otd_reactor_pools(const struct otd_reactor *r)
{
	return r->n_pools;
}

struct otd_jobs *otd_reactor_jobs(struct otd_reactor *r, uint32_t pool)
{
	return &r->pools[pool]->jobs;
}

uint32_t otd_reactor_version_mask(struct otd_reactor *r, uint32_t pool)
{
	const struct otd_job *job = otd_jobs_newest(&r->pools[pool]->jobs);
	return job ? job->version_mask : r->pools[pool]->conf.version_mask;
}

otd_rc otd_reactor_worker_open(struct otd_reactor *r, struct otd_pool_worker **out, uint32_t pool,
			       const char *scheme, struct otd_span account, struct otd_span name)
{
	return otd_workers_open(&r->workers, out, pool, scheme, account, name);
}

size_t otd_reactor_workers_online(const struct otd_reactor *r, uint32_t pool, const char *scheme,
				  struct otd_span account, struct otd_span name)
{
	return otd_workers_online(&r->workers, pool, scheme, account, name);
}

void otd_reactor_worker_close(struct otd_reactor *r, struct otd_pool_worker *w)
{
	otd_workers_close(&r->workers, w);
}

void otd_reactor_refused(struct otd_reactor *r, uint32_t pool, struct otd_pool_worker *w,
			 enum otd_share_verdict why)
{
	otd_metric_add(r->pools[pool]->verdicts[why], 1);
	if (w)
		otd_workers_refused(&r->workers, w, why);
}

otd_rc otd_reactor_extranonce_take(struct otd_reactor *r, uint32_t pool,
				   uint8_t out[OTD_JOB_EXTRANONCE1_MAX])
{
	return otd_extranonces_take(&r->pools[pool]->extranonces, out);
}

void otd_reactor_extranonce_give(struct otd_reactor *r, uint32_t pool,
				 const uint8_t en1[OTD_JOB_EXTRANONCE1_MAX])
{
	otd_extranonces_give(&r->pools[pool]->extranonces, en1);
}
