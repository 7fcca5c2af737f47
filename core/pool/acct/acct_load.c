/*
 * The start. SQL says how far it is and what the schemes were at their last save; the coordinator's
 * journal says what came after, and the reactors' journals hold it.
 */
#include "base/log.h"
#include "base/text.h"
#include "pool/acct/acct.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MINUTES 60

struct load {
	struct otd_accounting *a;
	struct acct_pool *pool;
	struct acct_scheme *scheme;
	int64_t now_ms;
	bool failed;
	/* of a replay beside the pool */
	bool again, with_schemes;
	uint64_t from; /* 0: as SQL is */
	struct otd_err *err;
};

static otd_rc take_int(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	*(int64_t *)ctx = c[0].i;
	return OTD_OK;
}

/* A pool's number in SQL is given once, by its name. */
static otd_rc load_pool(struct acct_pool *p, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	const struct otd_value v[] = {OTD_TEXT(p->name), OTD_TEXT(p->asset)};
	int64_t id = 0;
	otd_rc rc = otd_db_query(db, "SELECT id FROM pools WHERE name = ?", v, 1, wants, 1,
				 take_int, &id, err);
	if (rc == OTD_OK && id == 0)
		rc = otd_db_exec(db, "INSERT INTO pools(name, asset) VALUES(?, ?)", v, 2, NULL, &id,
				 err);
	if (rc)
		return rc;
	int64_t same = 0;
	const struct otd_value w[] = {OTD_INT(id), OTD_TEXT(p->asset)};
	rc = otd_db_int(db, "SELECT count(*) FROM pools WHERE id = ? AND asset = ?", w, 2, &same,
			err);
	if (rc)
		return rc;
	if (!same)
		return otd_fail(err, OTD_E_INVALID,
				"pool %s: the database knows it with another asset than %s; give "
				"the pool of the new coin another name",
				p->name, p->asset);
	p->id = (uint64_t)id;
	const struct otd_value k[] = {OTD_INT(id)};
	rc = otd_db_int(db, "SELECT count(*) FROM blocks WHERE pool_id = ?", k, 1, &id, err);
	p->blocks = (uint64_t)id;
	if (rc == OTD_OK)
		rc = otd_db_int(db, "SELECT count(*) FROM blocks WHERE pool_id = ? AND state = 6",
				k, 1, &id, err);
	p->orphaned = (uint64_t)id;
	return rc;
}

/* One that SQL knows and the settings do not: it may come back while we run. */
static otd_rc take_pool(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	struct otd_accounting *a = l->a;
	(void)n;
	if ((uint64_t)c[0].i > a->last_pool)
		a->last_pool = (uint64_t)c[0].i;
	for (size_t i = 0; i < a->n_pools; i++)
		if (a->pools[i]->id == (uint64_t)c[0].i)
			return OTD_OK;
	struct acct_pool *p = acct_pool_new(a, (const char *)c[1].bytes.ptr, c[1].bytes.len,
					    (const char *)c[2].bytes.ptr, c[2].bytes.len);
	if (p)
		p->id = (uint64_t)c[0].i;
	return p ? OTD_OK : OTD_E_NOMEM;
}

static struct acct_pool *pool_by_id(struct otd_accounting *a, uint64_t id)
{
	for (size_t i = 0; i < a->n_pools; i++)
		if (a->pools[i]->id == id)
			return a->pools[i];
	return NULL;
}

static otd_rc take_account(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	struct acct_pool *p = pool_by_id(l->a, (uint64_t)c[1].i);
	(void)n;
	if (!p) { /* numbers are not given twice, whoever had them */
		if ((uint64_t)c[0].i > l->a->last_account)
			l->a->last_account = (uint64_t)c[0].i;
		return OTD_OK;
	}
	struct acct_account *to = acct_account_add(l->a, p, (uint64_t)c[0].i,
						   (const char *)c[2].bytes.ptr, c[2].bytes.len);
	if (!to)
		return OTD_E_NOMEM;
	to->since_ms = c[3].i;
	return OTD_OK;
}

static struct acct_worker *worker_by_id(struct otd_accounting *a, uint64_t id)
{
	size_t low = 0, high = a->n_workers;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (a->workers[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < a->n_workers && a->workers[low]->id == id ? a->workers[low] : NULL;
}

static otd_rc take_worker(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	struct acct_account *to = acct_account_by_id(l->a, (uint64_t)c[1].i);
	(void)n;
	if ((uint64_t)c[0].i > l->a->last_worker)
		l->a->last_worker = (uint64_t)c[0].i;
	if (!to)
		return OTD_OK;
	struct acct_worker *w = acct_worker_add(l->a, to, (uint64_t)c[0].i,
						(const char *)c[2].bytes.ptr, c[2].bytes.len);
	if (!w)
		return OTD_E_NOMEM;
	w->last_ms = c[3].i;
	return OTD_OK;
}

static otd_rc take_minute(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	struct acct_worker *w = worker_by_id(l->a, (uint64_t)c[0].i);
	(void)n;
	if (!w)
		return OTD_OK;
	if (!w->rate)
		w->rate = calloc(1, sizeof(*w->rate));
	if (!w->rate)
		return OTD_E_NOMEM;
	acct_rate_add(w->rate, c[1].i * 60000, (otd_u128)c[2].wide);
	acct_rate_add(&w->account->pool->rate, c[1].i * 60000, (otd_u128)c[2].wide);
	if (w->last_ms > w->account->pool->last_share_ms)
		w->account->pool->last_share_ms = w->last_ms;
	return OTD_OK;
}

static otd_rc take_state(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	(void)n;
	return acct_scheme_restore(l->scheme, c[1].bytes, (uint64_t)c[0].i, l->err);
}

static char *text_of(const struct otd_value *v)
{
	return acct_copy((const char *)v->bytes.ptr, v->bytes.len);
}

static otd_rc take_block(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	struct acct_block *b = calloc(1, sizeof(*b));
	(void)n;
	if (!b)
		return OTD_E_NOMEM;
	b->pool = pool_by_id(l->a, (uint64_t)c[0].i);
	b->pool_name = text_of(&c[1]);
	b->asset = text_of(&c[2]);
	b->scheme_name = text_of(&c[3]);
	b->account = text_of(&c[4]);
	b->worker = text_of(&c[5]);
	b->epoch = (uint64_t)c[6].i;
	b->share_seq = (uint64_t)c[7].i;
	b->height = (uint64_t)c[8].i;
	b->time_ms = c[9].i;
	b->state = b->asked = (uint32_t)c[10].i;
	b->confirmations = (uint32_t)c[11].i;
	b->held = c[12].i != 0;
	b->value = c[13].wide;
	b->fee = c[14].wide;
	b->network_work = (otd_u128)c[15].wide;
	b->round_work = (otd_u128)c[16].wide;
	b->in_sql = true;
	if (!b->pool_name || !b->asset || !b->scheme_name || !b->account || !b->worker ||
	    c[17].bytes.len != 32 || c[18].bytes.len != 32) {
		acct_block_free(b);
		return OTD_E_CORRUPT;
	}
	memcpy(b->hash, c[17].bytes.ptr, 32);
	memcpy(b->prev, c[18].bytes.ptr, 32);
	for (size_t i = 0; b->pool && i < b->pool->n_schemes; i++)
		if (strcmp(b->pool->schemes[i].name, b->scheme_name) == 0)
			b->scheme = &b->pool->schemes[i];
	/* Rows come oldest first. */
	b->next = l->a->blocks;
	l->a->blocks = b;
	l->a->n_blocks++;
	return OTD_OK;
}

static otd_rc load_blocks(struct load *l, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {
		OTD_VALUE_INT,  OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
		OTD_VALUE_TEXT, OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,
		OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_WIDE, OTD_VALUE_WIDE,
		OTD_VALUE_WIDE, OTD_VALUE_WIDE, OTD_VALUE_BLOB, OTD_VALUE_BLOB};
	int64_t newest = 0;
	otd_rc rc =
		otd_db_int(db, "SELECT coalesce(max(id), 0) FROM blocks", NULL, 0, &newest, err);
	if (rc)
		return rc;
	const struct otd_value v[] = {OTD_INT(l->again ? -1 : newest - ACCT_BLOCKS)};
	return otd_db_query(
		db,
		"SELECT b.pool_id, p.name, p.asset, b.scheme, a.address, w.name, b.epoch,"
		" b.share_seq, b.height, b.found_ms, b.state, b.confirmations, b.held, b.value,"
		" b.fee, b.network_work, b.round_work, b.hash, b.prev FROM blocks b"
		" JOIN pools p ON p.id = b.pool_id JOIN accounts a ON a.id = b.finder"
		" JOIN workers w ON w.id = b.worker_id WHERE b.state < 5 OR b.id > ? ORDER BY b.id",
		v, 1, wants, sizeof(wants) / sizeof(wants[0]), take_block, l, err);
}

static otd_rc take_epoch(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	struct otd_accounting *a = l->a;
	struct acct_epoch *ep;
	bool there = false;
	(void)n;
	if ((uint64_t)c[0].i > a->max_epoch)
		a->max_epoch = (uint64_t)c[0].i;
	otd_rc rc = acct_epoch_add(a, &ep, (uint64_t)c[0].i, (uint64_t)c[1].i);
	if (rc)
		return rc;
	ep->left_over = true;
	rc = a->env->files->exists(a->env->files->ctx, ep->dir, &there);
	if (rc == OTD_OK && !there) { /* used up and removed */
		a->epochs = ep->next_epoch;
		acct_epoch_free(ep);
	}
	return rc;
}

static otd_rc load_schemes(struct load *l, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_BLOB};
	struct otd_accounting *a = l->a;
	int64_t last = 0;
	otd_rc rc = otd_db_int(db, "SELECT coalesce(max(seq), 0) FROM payout_state", NULL, 0, &last,
			       err);
	for (size_t i = 0; i < a->n_pools; i++) {
		struct acct_pool *p = a->pools[i];
		for (size_t k = 0; rc == OTD_OK && k < p->n_schemes; k++) {
			l->scheme = &p->schemes[k];
			const struct otd_value v[] = {OTD_INT(p->id), OTD_TEXT(l->scheme->name)};
			rc = otd_db_query(db,
					  "SELECT seq, state FROM payout_state WHERE pool_id = ? "
					  "AND scheme = ?",
					  v, 2, wants, 2, take_state, l, err);
			/*
			 * All are saved together, and journals go back to there. A new one, or one
			 * that was out of the settings for a while, has missed nothing before it.
			 */
			l->scheme->seq = (uint64_t)last;
		}
	}
	return rc;
}

static bool is_before(const struct load *l, uint64_t seq)
{
	return !l->again || seq < l->from;
}

static otd_rc take_terms(void *ctx, const struct otd_value *c, size_t n)
{
	struct load *l = ctx;
	struct acct_pool *p = pool_by_id(l->a, (uint64_t)c[0].i);
	const struct acct_terms t = {
		.seq = (uint64_t)c[1].i, .fee_ppm = c[2].i, .since_ms = c[3].i};
	(void)n;
	return p && is_before(l, t.seq) ? acct_terms_add(p, &t) : OTD_OK;
}

static otd_rc load_pools(struct load *l, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t pool[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT};
	static const uint32_t terms[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT,
					 OTD_VALUE_INT};
	struct otd_accounting *a = l->a;
	otd_rc rc = OTD_OK;
	for (size_t i = 0, n = a->n_pools; rc == OTD_OK && i < n; i++)
		rc = load_pool(a->pools[i], db, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db, "SELECT id, name, asset FROM pools ORDER BY id", NULL, 0,
				  pool, 3, take_pool, l, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT pool_id, seq, fee_ppm, since_ms FROM terms ORDER BY seq",
				  NULL, 0, terms, 4, take_terms, l, err);
	return rc;
}

static otd_rc load_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t account[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_TEXT,
					   OTD_VALUE_INT};
	static const uint32_t worker[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_TEXT,
					  OTD_VALUE_INT};
	static const uint32_t minute[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE};
	static const uint32_t pair[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	struct load *l = arg;
	struct otd_accounting *a = l->a;
	int64_t position = 0;
	l->err = err;
	otd_rc rc = load_pools(l, db, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db, "SELECT seq FROM position WHERE id = 1", NULL, 0, pair, 1,
				  take_int, &position, err);
	a->position = (uint64_t)position;
	if (rc == OTD_OK && (!l->again || l->with_schemes))
		rc = load_schemes(l, db, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT id, pool_id, address, created_ms FROM accounts"
				  " ORDER BY id",
				  NULL, 0, account, 4, take_account, l, err);
	if (rc == OTD_OK)
		rc = acct_account_terms_load(a, l->again ? l->from : UINT64_MAX, db, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT id, account_id, name, last_ms FROM workers ORDER BY id",
				  NULL, 0, worker, 4, take_worker, l, err);
	const struct otd_value since[] = {OTD_INT(l->now_ms / 60000 - HOUR_MINUTES)};
	if (rc == OTD_OK && !l->again)
		rc = otd_db_query(db,
				  "SELECT worker_id, minute, work FROM share_minutes"
				  " WHERE minute > ? ORDER BY minute",
				  since, 1, minute, 3, take_minute, l, err);
	if (rc == OTD_OK)
		rc = load_blocks(l, db, err);
	if (rc == OTD_OK && !l->again)
		rc = otd_db_query(db, "SELECT epoch, next_seq FROM epochs ORDER BY epoch", NULL, 0,
				  pair, 2, take_epoch, l, err);
	return rc;
}

otd_rc acct_load(struct otd_accounting *a, struct otd_err *err)
{
	struct load l = {.a = a, .now_ms = otd_wall_ms(a->env)};
	/* New pools get their numbers first, or the reading would run twice over a busy database. */
	return otd_store_do_now(a->store, true, load_work, &l, err);
}

otd_rc acct_load_before(struct otd_accounting *a, uint64_t from, bool with_schemes,
			struct otd_err *err)
{
	struct load l = {.a = a,
			 .now_ms = otd_wall_ms(a->env),
			 .again = true,
			 .with_schemes = with_schemes,
			 .from = from};
	return otd_store_do_now(a->store, true, load_work, &l, err);
}

/* --- what SQL does not have yet --- */

/* What earlier runs left: made sound, and all of it durable. */
static otd_rc check_left_over(struct otd_accounting *a, struct otd_err *err)
{
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch) {
		struct otd_journal_range range;
		ep->found = otd_found_create();
		if (!ep->found)
			return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
		otd_rc rc = otd_journal_recover_each(a->env, ep->dir, &range, otd_found_look,
						     ep->found, err);
		if (rc && rc != OTD_E_NOT_FOUND)
			return rc;
		ep->durable = rc ? 0 : range.last;
		if (rc == OTD_OK && range.epoch != ep->epoch)
			return otd_fail(err, OTD_E_CORRUPT,
					"journal %s: it is of epoch %llu; move it back to where it "
					"came from",
					ep->dir, (unsigned long long)range.epoch);
	}
	return OTD_OK;
}

static otd_rc replay_batch(struct otd_accounting *a, const struct otd_record *r,
			   struct otd_err *err)
{
	struct otd_rec_batch b;
	otd_rc rc = OTD_OK;
	if (r->payload.len < sizeof(b))
		return otd_fail(err, OTD_E_CORRUPT, "journal %s/coordinator: record %llu is short",
				a->dir, (unsigned long long)r->seq);
	memcpy(&b, r->payload.ptr, sizeof(b));
	struct acct_epoch *ep = acct_epoch_find(a, b.epoch);
	if (!ep)
		return otd_fail(err, OTD_E_CORRUPT,
				"journal %s/r-%llu is missing, its sequences %llu to %llu are "
				"needed; restore the folder from a backup",
				a->dir, (unsigned long long)b.epoch, (unsigned long long)b.first,
				(unsigned long long)b.last);
	struct acct_entry *e = acct_entry_create();
	if (!e)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	e->ep = ep;
	e->cseq = r->seq;
	e->first = b.first;
	rc = acct_slice_read(e, ep, a->env, b.last, true, err);
	if (rc == OTD_E_NOT_FOUND || (rc == OTD_OK && e->last < b.last))
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "journal %s: sequences %llu to %llu were taken and are not there any "
			      "more; restore the folder from a backup",
			      ep->dir, (unsigned long long)e->last + 1, (unsigned long long)b.last);
	if (rc == OTD_OK)
		acct_apply(a, e);
	acct_entry_free(e);
	if (b.last + 1 > ep->next)
		ep->next = b.last + 1;
	return rc;
}

static otd_rc replay_verdict(struct otd_accounting *a, const struct otd_record *r,
			     struct otd_err *err)
{
	struct acct_entry *e = acct_entry_create();
	if (!e)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	if (r->payload.len >= sizeof(e->verdict)) {
		memcpy(&e->verdict, r->payload.ptr, sizeof(e->verdict));
		e->cseq = r->seq;
		acct_apply(a, e);
	}
	acct_entry_free(e);
	return OTD_OK;
}

static otd_rc replay_terms(struct otd_accounting *a, const struct otd_record *r,
			   struct otd_err *err)
{
	struct acct_entry *e = acct_entry_create();
	if (!e)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	if (acct_terms_read(a, r->payload, &e->terms_of, &e->terms)) {
		e->cseq = e->terms.seq = r->seq;
		acct_apply(a, e);
	}
	acct_entry_free(e);
	return OTD_OK;
}

static otd_rc replay_account_terms(struct otd_accounting *a, const struct otd_record *r,
				   struct otd_err *err)
{
	struct acct_entry *e = acct_entry_create();
	if (!e)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	if (acct_account_terms_read(a, r->payload, e)) {
		e->cseq = e->terms.seq = r->seq;
		acct_apply(a, e);
	}
	acct_entry_free(e);
	return OTD_OK;
}

static uint64_t oldest_needed(const struct otd_accounting *a)
{
	uint64_t seq = a->position;
	for (size_t i = 0; i < a->n_pools; i++)
		for (size_t k = 0; k < a->pools[i]->n_schemes; k++)
			if (a->pools[i]->schemes[k].seq < seq)
				seq = a->pools[i]->schemes[k].seq;
	return seq + 1;
}

static otd_rc commit_now(struct otd_accounting *a, struct otd_err *err)
{
	otd_rc rc = OTD_E_COMMIT_UNKNOWN;
	if (!a->pending)
		return OTD_OK;
	rc = acct_seal(a, false);
	struct acct_commit *c = a->pending;
	for (int i = 0; rc == OTD_OK && i < 3; i++) {
		rc = otd_store_do_now(a->store, true, acct_sql_commit, c, err);
		if (rc != OTD_E_COMMIT_UNKNOWN)
			break;
		rc = i < 2 ? OTD_OK : rc;
	}
	if (rc)
		return rc;
	a->pending = NULL;
	acct_commit_booked(a, c);
	acct_commit_free(c);
	return OTD_OK;
}

otd_rc acct_replay_record(struct otd_accounting *a, const struct otd_record *r, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	a->replaying = r->seq <= a->position;
	if (r->type == OTD_REC_BATCH)
		rc = replay_batch(a, r, err);
	else if (r->type == OTD_REC_VERDICT)
		rc = replay_verdict(a, r, err);
	else if (r->type == OTD_REC_TERMS)
		rc = replay_terms(a, r, err);
	else if (r->type == OTD_REC_ACCOUNT_TERMS)
		rc = replay_account_terms(a, r, err);
	if (rc == OTD_OK && a->stopped[0])
		rc = otd_fail(err, OTD_E_NOMEM, "accounting: %s", a->stopped);
	return rc;
}

otd_rc acct_replay(struct otd_accounting *a, struct otd_err *err)
{
	struct otd_journal_reader *r = NULL;
	struct otd_record rec;
	char dir[ACCT_DIR + 16];
	uint64_t last = otd_journal_last(a->journal), records = 0, seen = 0;
	otd_rc rc = check_left_over(a, err);
	if (rc == OTD_OK && !a->conf.drop_unknown)
		rc = acct_check_owners(a, err);
	if (rc)
		return rc;
	if (last < a->position)
		return otd_fail(err, OTD_E_CORRUPT,
				"journal %s/coordinator ends at %llu, the database is at %llu: "
				"the two are not of one time; restore both from one backup",
				a->dir, (unsigned long long)last, (unsigned long long)a->position);
	uint64_t from = oldest_needed(a);
	(void)snprintf(dir, sizeof(dir), "%s/coordinator", a->dir);
	if (from <= last)
		rc = otd_journal_reader_open(&r, a->env, dir, from, err);
	while (rc == OTD_OK && from <= last) {
		rc = otd_journal_read(r, &rec, last, err);
		if (rc)
			break;
		seen = rec.seq;
		if (rec.seq < from)
			continue;
		records++;
		rc = acct_replay_record(a, &rec, err);
	}
	a->replaying = false;
	otd_journal_reader_close(r);
	if (rc == OTD_E_NOT_FOUND)
		rc = seen == last
			     ? OTD_OK
			     : otd_fail(err, OTD_E_CORRUPT, "journal %s ends at %llu, not at %llu",
					dir, (unsigned long long)seen, (unsigned long long)last);
	if (rc)
		return rc;
	a->applied = last;
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
		if (ep->applied < ep->next)
			ep->applied = ep->next;
	if (records)
		otd_log(OTD_LOG_INFO, "pool", "accounting.replay",
			"records=%llu from=%llu position=%llu to=%llu", (unsigned long long)records,
			(unsigned long long)from, (unsigned long long)a->position,
			(unsigned long long)last);
	return commit_now(a, err);
}
