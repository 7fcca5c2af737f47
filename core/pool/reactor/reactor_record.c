/* What a reactor writes down, and tells of blocks. See pool/reactor/reactor_impl.h. */
#include "pool/reactor/reactor_impl.h"

#include "base/log.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>

#define BLOCK_ROOM (16u << 20) /* past the journal's bound: of blocks there are few */
#define TEXTS_MAX  (256 + OTD_WORKER_ACCOUNT_MAX + OTD_WORKER_NAME_MAX + 64)

static size_t put(uint8_t *to, size_t at, const void *p, size_t n)
{
	if (n)
		memcpy(to + at, p, n);
	return at + n;
}

static otd_rc state_worker(struct otd_reactor *r, struct otd_journal *j, struct otd_pool_worker *w)
{
	uint8_t buf[sizeof(struct otd_rec_worker) + TEXTS_MAX];
	const char *pool = r->pools[w->pool]->conf.name;
	size_t pool_len = strnlen(pool, 256), scheme_len = strlen(otd_worker_scheme(w));
	struct otd_rec_worker rec = {
		.worker = w->number,
		.pool_len = (uint16_t)pool_len,
		.account_len = w->account_len,
		.name_len = w->name_len,
		.scheme_len = (uint16_t)scheme_len,
	};
	size_t n = put(buf, 0, &rec, sizeof(rec));
	n = put(buf, n, pool, pool_len);
	n = put(buf, n, w->text, (size_t)w->account_len + w->name_len);
	n = put(buf, n, otd_worker_scheme(w), scheme_len);
	uint64_t seq, segment = r->segment;
	otd_rc rc = otd_journal_append(j, OTD_REC_WORKER, buf, n, &seq);
	/* Where the append began a segment, its restatement has said more than this. */
	if (!rc && segment == r->segment)
		w->stated = segment;
	return rc;
}

static otd_rc state_job(struct otd_reactor *r, struct otd_journal *j, struct otd_job *job)
{
	uint8_t buf[sizeof(struct otd_rec_job) + 256];
	const char *pool = r->pools[job->pool]->conf.name;
	size_t pool_len = strnlen(pool, 256);
	struct otd_rec_job rec = {
		.job = job->id, .pool_len = (uint16_t)pool_len, .height = job->height};

	memcpy(rec.network_work, job->network_work, sizeof(rec.network_work));
	size_t n = put(buf, put(buf, 0, &rec, sizeof(rec)), pool, pool_len);
	uint64_t seq, segment = r->segment;
	otd_rc rc = otd_journal_append(j, OTD_REC_JOB, buf, n, &seq);
	if (!rc && segment == r->segment)
		job->stated = segment;
	return rc;
}

/*
 * A segment begins. What readers of it may meet: workers with a session, those with shares in the
 * last two segments (which may be written again here after a failed sync), and jobs with shares.
 */
void otd_reactor_restate(void *arg, struct otd_journal *j)
{
	struct otd_reactor *r = arg;

	r->segment++;
	r->workers.segment = r->segment;
	for (size_t i = 0; i < r->workers.n; i++) {
		struct otd_pool_worker *w = r->workers.all[i];
		if (w->stated && (w->users || w->touched + 2 >= r->segment) &&
		    state_worker(r, j, w))
			return; /* stated before its next share, then */
	}
	for (size_t p = 0; p < r->n_pools; p++) {
		for (size_t i = 0; i < OTD_JOB_RING; i++) {
			struct otd_job *job = r->pools[p]->jobs.ring[i];
			if (job && job->stated && state_job(r, j, job))
				return;
		}
	}
}

static otd_rc define(struct otd_reactor *r, struct otd_pool_worker *w, struct otd_job *job)
{
	otd_rc rc = OTD_OK;

	/* Twice at most: the second statement may begin a segment in which the first is missing. */
	for (int turn = 0; turn < 3 && !rc; turn++) {
		if (w->stated != r->segment)
			rc = state_worker(r, r->journal, w);
		if (!rc && job && job->stated != r->segment)
			rc = state_job(r, r->journal, job);
		if (w->stated == r->segment && (!job || job->stated == r->segment))
			break;
	}
	return rc;
}

static void put_u128(uint8_t to[16], otd_u128 v)
{
	for (int i = 0; i < 16; i++)
		to[i] = (uint8_t)(v >> 8 * i);
}

/* The division takes longer than the rest of a record; targets are few. */
static otd_u128 work_of(struct otd_reactor *r, struct otd_u256 target)
{
	size_t i = (otd_u256_bits(target) * 31u + (unsigned)(target.w[3] >> 32)) % WORK_CACHE;

	if (!r->work_cache[i].work || otd_u256_cmp(r->work_cache[i].target, target)) {
		r->work_cache[i].target = target;
		r->work_cache[i].work = otd_target_work(target);
	}
	return r->work_cache[i].work;
}

static otd_rc record_block(struct otd_reactor *r, const struct otd_share *s,
			   const struct otd_share_result *result, int64_t now_ms,
			   uint64_t share_seq)
{
	size_t coinbase_len = otd_share_coinbase_len(s->job);
	size_t n = sizeof(struct otd_rec_block) + sizeof(s->header) + coinbase_len;
	uint8_t *buf = malloc(n);
	uint64_t seq;

	if (!buf)
		return OTD_E_NOMEM;
	struct otd_rec_block rec = {
		.worker = s->in.worker->number,
		.job = s->job->id,
		.time_ms = now_ms,
		.share_seq = share_seq,
		.height = s->job->height,
		.header_len = sizeof(s->header),
		.coinbase_len = (uint32_t)coinbase_len,
	};
	memcpy(rec.value, s->job->value, sizeof(rec.value));
	memcpy(rec.hash, result->identity, sizeof(rec.hash));
	memcpy(rec.prev, s->job->prev, sizeof(rec.prev));
	memcpy(buf, &rec, sizeof(rec));
	memcpy(buf + sizeof(rec), s->header, sizeof(s->header));
	otd_share_coinbase(buf + sizeof(rec) + sizeof(s->header), s);
	otd_rc rc = otd_journal_append(r->journal, OTD_REC_BLOCK, buf, n, &seq);
	free(buf);
	return rc;
}

static otd_rc record(struct otd_reactor *r, const struct otd_share *s,
		     const struct otd_share_result *result, int64_t now_ms, uint64_t *seq)
{
	struct otd_rec_share rec = {
		.worker = s->in.worker->number, .job = s->job->id, .time_ms = now_ms};
	otd_rc rc;

	s->in.worker->touched = r->segment;
	rc = define(r, s->in.worker, s->job);
	if (rc)
		return rc;
	put_u128(rec.work, work_of(r, result->target));
	memcpy(rec.hash_le, s->hash + 24, sizeof(rec.hash_le));
	rc = otd_journal_append(r->journal, OTD_REC_SHARE, &rec, sizeof(rec), seq);
	if (!rc && result->block) {
		/* Without its record the block still goes to the nodes; the miner is paid for the
		   share. The coordinator has the rest from our message. */
		otd_rc block_rc = record_block(r, s, result, now_ms, *seq);
		if (block_rc)
			otd_log(OTD_LOG_ERROR, "pool", "block.unrecorded",
				"share=%llu-%llu reason=\"%s\"", (unsigned long long)r->conf.epoch,
				(unsigned long long)*seq, otd_rc_name(block_rc));
	}
	return rc;
}

otd_rc otd_reactor_record(struct otd_reactor *r, struct reactor_pool *p, const struct otd_share *s,
			  const struct otd_share_result *result, int64_t now_ms, uint64_t *seq)
{
	(void)p;
	/* Fees go by these times: a clock that is set back must not bring an older one back. */
	if (now_ms > r->record_ms)
		r->record_ms = now_ms;
	now_ms = r->record_ms;
	/* The nodes get a block whatever the disk says; without its record nobody is credited. */
	otd_journal_allow(r->journal, result->block ? BLOCK_ROOM : 0);
	otd_rc rc = record(r, s, result, now_ms, seq);
	otd_journal_allow(r->journal, 0);
	return rc;
}

void otd_reactor_record_refused(void *reactor)
{
	struct otd_reactor *r = reactor;
	int64_t now_ms = otd_wall_ms(r->conf.env);
	struct otd_worker_refused *first;

	while ((first = r->workers.refused)) {
		struct otd_pool_worker *w = first->worker;
		otd_rc rc = define(r, w, NULL);
		for (uint32_t v = 0; v < OTD_SHARE_VERDICTS && !rc; v++) {
			struct otd_rec_refused rec = {.worker = w->number,
						      .reason = v,
						      .count = first->count[v],
						      .time_ms = now_ms};
			uint64_t seq;
			if (!rec.count)
				continue;
			w->touched = r->segment;
			rc = otd_journal_append(r->journal, OTD_REC_REFUSED, &rec, sizeof(rec),
						&seq);
			if (!rc)
				first->count[v] = 0;
		}
		if (rc)
			return; /* the rest waits for the next time */
		otd_workers_recorded(&r->workers);
	}
}

void otd_reactor_send_block(struct otd_reactor *r, const struct reactor_pool *p,
			    const struct otd_share *s, const struct otd_share_result *result,
			    int64_t now_ms, uint64_t seq)
{
	struct otd_span account = otd_worker_account(s->in.worker);
	struct otd_span name = otd_worker_name(s->in.worker);
	size_t coinbase_len = otd_share_coinbase_len(s->job);
	char hex[65];
	uint8_t *coinbase = malloc(coinbase_len);
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_BLOCK, r->conf.index, sizeof(struct otd_msg_block),
			       account.len + name.len + sizeof(s->header) + coinbase_len);
	otd_rc rc = OTD_E_NOMEM;

	otd_hex_encode_reverse(hex, result->identity, 32);
	if (m && coinbase) {
		struct otd_msg_block *b = (struct otd_msg_block *)m;
		b->pool = s->job->pool;
		b->job = s->job->id;
		b->epoch = r->conf.epoch;
		b->share_seq = seq;
		b->height = s->job->height;
		b->time_ms = now_ms;
		memcpy(b->value, s->job->value, sizeof(b->value));
		memcpy(b->hash, result->identity, sizeof(b->hash));
		memcpy(b->prev, s->job->prev, sizeof(b->prev));
		otd_share_coinbase(coinbase, s);
		b->account = otd_msg_put(m, account.ptr, account.len);
		b->worker = otd_msg_put(m, name.ptr, name.len);
		b->header = otd_msg_put(m, s->header, sizeof(s->header));
		b->coinbase = otd_msg_put(m, coinbase, coinbase_len);
		rc = otd_mailbox_send(r->conf.coordinator, m);
		m = NULL;
	}
	otd_msg_destroy(m);
	free(coinbase);
	/* With the header in the log a block can be handed in by hand even where all else failed. */
	char header[2 * OTD_SHARE_HEADER + 1];
	otd_hex_encode(header, s->header, sizeof(s->header));
	otd_log(rc ? OTD_LOG_ERROR : OTD_LOG_INFO, "pool", rc ? "block.unsent" : "block.solution",
		"pool=%s height=%llu hash=%s share=%llu-%llu job=%x header=%s", p->conf.name,
		(unsigned long long)s->job->height, hex, (unsigned long long)r->conf.epoch,
		(unsigned long long)seq, s->job->id, header);
}
