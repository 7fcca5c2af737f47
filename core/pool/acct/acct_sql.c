/* The transaction, on the store thread. It may run several times: it reads its struct acct_commit
   and writes only what it says of itself there. */
#include "ledger/ledger.h"
#include "pool/acct/acct.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 120

static otd_rc exec(struct otd_db *db, const char *sql, const struct otd_value *v, size_t n,
		   struct otd_err *err)
{
	return otd_db_exec(db, sql, v, n, NULL, NULL, err);
}

static otd_rc names(const struct acct_commit *c, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < c->n_pools; i++) {
		const struct acct_new_pool *r = &c->pools[i];
		const struct otd_value v[] = {OTD_INT(r->id), OTD_TEXT(r->name),
					      OTD_TEXT(r->asset)};
		rc = exec(db, "INSERT INTO pools(id, name, asset) VALUES(?, ?, ?)", v, 3, err);
	}
	for (size_t i = 0; rc == OTD_OK && i < c->n_terms; i++) {
		const struct acct_new_terms *r = &c->terms[i];
		const struct otd_value v[] = {OTD_INT(r->pool_id), OTD_INT(r->terms.seq),
					      OTD_INT(r->terms.fee_ppm),
					      OTD_INT(r->terms.since_ms)};
		rc = exec(db,
			  "INSERT INTO terms(pool_id, seq, fee_ppm, since_ms) VALUES(?, ?, ?, ?)",
			  v, 4, err);
	}
	for (size_t i = 0; rc == OTD_OK && i < c->n_accounts; i++) {
		const struct acct_new_account *r = &c->accounts[i];
		const struct otd_value v[] = {OTD_INT(r->id), OTD_INT(r->pool_id),
					      OTD_TEXT(r->address), OTD_INT(r->ms)};
		rc = exec(
			db,
			"INSERT INTO accounts(id, pool_id, address, created_ms) VALUES(?, ?, ?, ?)",
			v, 4, err);
	}
	if (rc == OTD_OK)
		rc = acct_account_terms_sql(c, db, err);
	for (size_t i = 0; rc == OTD_OK && i < c->n_workers; i++) {
		const struct acct_new_worker *r = &c->workers[i];
		const struct otd_value v[] = {OTD_INT(r->id), OTD_INT(r->account_id),
					      OTD_TEXT(r->name), OTD_INT(r->ms)};
		rc = exec(db,
			  "INSERT INTO workers(id, account_id, name, last_ms) VALUES(?, ?, ?, ?)",
			  v, 4, err);
	}
	return rc;
}

struct sums {
	int64_t count;
	otd_u128 work;
};

static otd_rc take_sums(void *ctx, const struct otd_value *columns, size_t n)
{
	struct sums *s = ctx;
	s->count = columns[0].i;
	if (n > 1)
		s->work = (otd_u128)columns[1].wide;
	return OTD_OK;
}

static otd_rc add_minute(const struct acct_minute *m, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct sums s = {0};
	const struct otd_value key[] = {OTD_INT(m->worker_id), OTD_INT(m->minute)};
	otd_rc rc = otd_db_query(
		db, "SELECT accepted, work FROM share_minutes WHERE worker_id = ? AND minute = ?",
		key, 2, wants, 2, take_sums, &s, err);
	if (rc)
		return rc;
	const struct otd_value v[] = {key[0], key[1], OTD_INT(s.count + (int64_t)m->accepted),
				      OTD_WIDE((otd_i128)(s.work + m->work))};
	rc = exec(db,
		  "INSERT INTO share_minutes(worker_id, minute, accepted, work) VALUES(?, ?, ?, ?)"
		  " ON CONFLICT(worker_id, minute) DO UPDATE SET accepted = excluded.accepted,"
		  " work = excluded.work",
		  v, 4, err);
	if (rc)
		return rc;
	const struct otd_value last[] = {OTD_INT(m->last_ms), OTD_INT(m->worker_id)};
	return exec(db, "UPDATE workers SET last_ms = ? WHERE id = ?", last, 2, err);
}

static otd_rc add_refused(const struct acct_refused *r, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	struct sums s = {0};
	const struct otd_value key[] = {OTD_INT(r->worker_id), OTD_INT(r->minute),
					OTD_INT(r->reason)};
	otd_rc rc = otd_db_query(db,
				 "SELECT count FROM refused_minutes WHERE worker_id = ? AND"
				 " minute = ? AND reason = ?",
				 key, 3, wants, 1, take_sums, &s, err);
	if (rc)
		return rc;
	const struct otd_value v[] = {key[0], key[1], key[2], OTD_INT(s.count + (int64_t)r->count)};
	return exec(db,
		    "INSERT INTO refused_minutes(worker_id, minute, reason, count)"
		    " VALUES(?, ?, ?, ?) ON CONFLICT(worker_id, minute, reason) DO UPDATE SET"
		    " count = excluded.count",
		    v, 4, err);
}

static void key_of(char key[KEY_MAX], const struct acct_op *op, const char *what)
{
	(void)snprintf(key, KEY_MAX, "block/%llu-%llu/%s", (unsigned long long)op->epoch,
		       (unsigned long long)op->share_seq, what);
}

static int by_account(const void *a, const void *b)
{
	const struct acct_credit *x = a, *y = b;
	return x->account < y->account ? -1 : x->account > y->account;
}

static otd_rc post_credit(struct acct_op *op, struct otd_db *db, struct otd_err *err)
{
	struct otd_entry *e = calloc(op->n_credits + 2, sizeof(*e));
	char key[KEY_MAX], memo[80];
	size_t n = 0;
	otd_rc rc;
	if (!e)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	e[n++] = (struct otd_entry){OTD_ACC_REWARD, op->pool_id, -op->value};
	if (op->fee + op->fee_more > 0)
		e[n++] = (struct otd_entry){OTD_ACC_FEE_IMMATURE, op->pool_id,
					    op->fee + op->fee_more};
	/* One entry an account, in the order of their numbers. */
	if (op->n_credits > 1)
		qsort(op->credits, op->n_credits, sizeof(*op->credits), by_account);
	for (size_t i = 0; i < op->n_credits; i++) {
		if (i > 0 && op->credits[i].account == op->credits[i - 1].account)
			e[n - 1].amount += op->credits[i].amount;
		else
			e[n++] = (struct otd_entry){OTD_ACC_IMMATURE, op->credits[i].account,
						    op->credits[i].amount};
	}
	key_of(key, op, "credit");
	(void)snprintf(memo, sizeof(memo), "block at height %llu", (unsigned long long)op->height);
	const struct otd_posting p = {.key = key,
				      .asset = op->asset,
				      .memo = memo,
				      .time_ms = op->time_ms,
				      .entries = e,
				      .n = n};
	rc = otd_ledger_post(db, &p, err);
	free(e);
	return rc;
}

static otd_rc found(struct acct_op *op, struct otd_db *db, struct otd_err *err)
{
	const struct otd_value v[] = {
		OTD_INT(op->pool_id),
		OTD_INT(op->epoch),
		OTD_INT(op->share_seq),
		OTD_INT(op->height),
		OTD_BLOB(op->hash, 32),
		OTD_BLOB(op->prev, 32),
		OTD_INT(op->finder),
		OTD_INT(op->worker_id),
		OTD_INT(op->time_ms),
		OTD_WIDE(op->value),
		OTD_WIDE(op->fee),
		OTD_WIDE((otd_i128)op->network_work),
		OTD_WIDE((otd_i128)op->round_work),
		OTD_INT(op->state),
		OTD_INT(op->confirmations),
		OTD_TEXT(op->scheme),
		OTD_INT(op->held),
	};
	otd_rc rc = exec(db,
			 "INSERT INTO blocks(pool_id, epoch, share_seq, height, hash, prev, finder,"
			 " worker_id, found_ms, value, fee, network_work, round_work, state,"
			 " confirmations, scheme, held)"
			 " VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			 v, sizeof(v) / sizeof(v[0]), err);
	if (rc == OTD_OK && !op->held && op->value > 0)
		rc = post_credit(op, db, err);
	return rc;
}

/* --- verdicts --- */

struct moved {
	struct otd_entry *e;
	size_t n, cap;
	char asset[64];
};

static otd_rc take_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct moved *m = ctx;
	(void)n;
	uint32_t kind = (uint32_t)c[0].i, to;
	if (kind == OTD_ACC_IMMATURE)
		to = OTD_ACC_MINER;
	else if (kind == OTD_ACC_FEE_IMMATURE)
		to = OTD_ACC_FEE;
	else
		return OTD_OK;
	if (m->n + 2 > m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 64;
		struct otd_entry *more = realloc(m->e, cap * sizeof(*more));
		if (!more)
			return OTD_E_NOMEM;
		m->e = more;
		m->cap = cap;
	}
	m->e[m->n++] = (struct otd_entry){kind, (uint64_t)c[1].i, -c[2].wide};
	m->e[m->n++] = (struct otd_entry){to, (uint64_t)c[1].i, c[2].wide};
	size_t len = c[3].bytes.len < sizeof(m->asset) ? c[3].bytes.len : sizeof(m->asset) - 1;
	memcpy(m->asset, c[3].bytes.ptr, len);
	m->asset[len] = '\0';
	return OTD_OK;
}

/* Credits become spendable. A held block has none. */
static otd_rc mature(const struct acct_op *op, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE,
					 OTD_VALUE_TEXT};
	struct moved m = {0};
	char credit[KEY_MAX], key[KEY_MAX];
	key_of(credit, op, "credit");
	key_of(key, op, "mature");
	const struct otd_value v[] = {OTD_TEXT(credit)};
	otd_rc rc = otd_db_query(db,
				 "SELECT e.account_kind, e.owner, e.amount, p.asset FROM entries e"
				 " JOIN postings p ON p.id = e.posting_id WHERE p.k = ?"
				 " ORDER BY e.n",
				 v, 1, wants, 4, take_entry, &m, err);
	if (rc == OTD_OK && m.n > 0) {
		const struct otd_posting p = {.key = key,
					      .asset = m.asset,
					      .memo = "block is mature",
					      .time_ms = op->time_ms,
					      .entries = m.e,
					      .n = m.n};
		rc = otd_ledger_post(db, &p, err);
	}
	free(m.e);
	return rc;
}

/* --- orphaned --- */

/* Spendable entries of a posting that matured, and where they are not there any more. */
struct gone {
	struct otd_entry *e;
	size_t n, cap;
	char asset[64];
};

static otd_rc take_matured(void *ctx, const struct otd_value *c, size_t n)
{
	struct gone *g = ctx;
	(void)n;
	if (g->n == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;
		struct otd_entry *more = realloc(g->e, cap * sizeof(*more));
		if (!more)
			return OTD_E_NOMEM;
		g->e = more;
		g->cap = cap;
	}
	g->e[g->n++] =
		(struct otd_entry){(enum otd_account_kind)c[0].i, (uint64_t)c[1].i, c[2].wide};
	size_t len = c[3].bytes.len < sizeof(g->asset) ? c[3].bytes.len : sizeof(g->asset) - 1;
	memcpy(g->asset, c[3].bytes.ptr, len);
	g->asset[len] = '\0';
	return OTD_OK;
}

/* Leaves what the accounts are short of, and *total of it. */
static otd_rc shortages(struct gone *g, otd_i128 *total, struct otd_db *db, struct otd_err *err)
{
	size_t n = 0;
	*total = 0;
	for (size_t i = 0; i < g->n; i++) {
		otd_i128 has = 0;
		struct otd_entry e = g->e[i];
		otd_rc rc = otd_ledger_balance(db, e.kind, e.owner, g->asset, &has, err);
		if (rc)
			return rc;
		if (has >= e.amount)
			continue;
		e.amount -= has;
		*total += e.amount; /* at most the block's value */
		g->e[n++] = e;
	}
	g->n = n;
	return OTD_OK;
}

/*
 * Credits of a mature block are spendable: where they have been paid out, or are put aside for a
 * payment, they cannot be taken back. Miners keep what they got; the pool's risk account makes up for
 * it, under a key of its own, so that the reversal stays exact.
 */
static otd_rc cover(struct acct_op *op, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE,
					 OTD_VALUE_TEXT};
	struct gone g = {0};
	char mature_key[KEY_MAX], key[KEY_MAX], memo[80];
	otd_i128 total = 0;
	int64_t pool = 0;
	key_of(mature_key, op, "mature");
	key_of(key, op, "risk");
	const struct otd_value block[] = {OTD_INT(op->epoch), OTD_INT(op->share_seq)};
	const struct otd_value v[] = {OTD_TEXT(mature_key), OTD_INT(OTD_ACC_MINER),
				      OTD_INT(OTD_ACC_FEE)};
	otd_rc rc = otd_db_int(db, "SELECT pool_id FROM blocks WHERE epoch = ? AND share_seq = ?",
			       block, 2, &pool, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT e.account_kind, e.owner, e.amount, p.asset FROM entries e"
				  " JOIN postings p ON p.id = e.posting_id WHERE p.k = ?"
				  " AND (e.account_kind = ? OR e.account_kind = ?) ORDER BY e.n",
				  v, 3, wants, 4, take_matured, &g, err);
	if (rc == OTD_OK)
		rc = shortages(&g, &total, db, err);
	if (rc == OTD_OK && total > 0) {
		const struct otd_value risk[] = {OTD_INT(OTD_ACC_RISK), OTD_INT(pool),
						 OTD_WIDE(-total), OTD_TEXT(g.asset)};
		rc = take_matured(&g, risk, 4);
	}
	if (rc == OTD_OK && total > 0) {
		(void)snprintf(memo, sizeof(memo), "orphaned after %zu accounts had spent of it",
			       g.n - 1);
		const struct otd_posting p = {.key = key,
					      .asset = g.asset,
					      .memo = memo,
					      .time_ms = op->time_ms,
					      .entries = g.e,
					      .n = g.n};
		rc = otd_ledger_post(db, &p, err);
		op->risk = total;
	}
	free(g.e);
	return rc;
}

static otd_rc reverse(struct acct_op *op, const char *what, struct otd_db *db, struct otd_err *err)
{
	char key[KEY_MAX];
	int64_t there;
	key_of(key, op, what);
	const struct otd_value v[] = {OTD_TEXT(key)};
	otd_rc rc = otd_db_int(db, "SELECT id FROM postings WHERE k = ?", v, 1, &there, err);
	if (rc == OTD_E_NOT_FOUND)
		return OTD_OK;
	if (rc == OTD_OK && strcmp(what, "mature") == 0)
		rc = cover(op, db, err);
	if (rc == OTD_OK)
		rc = otd_ledger_reverse(db, key, "block is orphaned", op->time_ms, err);
	if (rc == OTD_E_INVALID) { /* no way that we know leads here: for a person */
		op->refused = true;
		(void)snprintf(op->why, sizeof(op->why), "%.199s", err ? err->text : "");
		rc = OTD_OK;
	}
	return rc;
}

static otd_rc state(struct acct_op *op, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	op->refused = false;
	op->risk = 0;
	if (op->kind == ACCT_STATE && op->state == OTD_BLOCK_MATURE)
		rc = mature(op, db, err);
	if (op->kind == ACCT_STATE && op->state == OTD_BLOCK_ORPHANED) {
		if (op->before == OTD_BLOCK_MATURE)
			rc = reverse(op, "mature", db, err);
		if (rc == OTD_OK && !op->refused)
			rc = reverse(op, "credit", db, err);
	}
	if (rc)
		return rc;
	const struct otd_value v[] = {OTD_INT(op->state), OTD_INT(op->confirmations),
				      OTD_INT(op->held || op->refused), OTD_INT(op->epoch),
				      OTD_INT(op->share_seq)};
	return exec(db,
		    "UPDATE blocks SET state = ?, confirmations = ?, held = ?"
		    " WHERE epoch = ? AND share_seq = ?",
		    v, 5, err);
}

/* --- the rest --- */

static otd_rc save(const struct acct_commit *c, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && c->saves && i < c->n_saved; i++) {
		const struct acct_saved *s = &c->saved[i];
		const struct otd_value v[] = {OTD_INT(s->pool_id), OTD_TEXT(s->scheme),
					      OTD_INT(s->seq),
					      OTD_BLOB(s->state.ptr, s->state.len)};
		rc = exec(db,
			  "INSERT INTO payout_state(pool_id, scheme, seq, state) VALUES(?, ?, ?, ?)"
			  " ON CONFLICT(pool_id, scheme) DO UPDATE SET seq = excluded.seq,"
			  " state = excluded.state",
			  v, 4, err);
	}
	return rc;
}

static otd_rc places(const struct acct_commit *c, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < c->n_places; i++) {
		const struct otd_value v[] = {OTD_INT(c->places[i].epoch),
					      OTD_INT(c->places[i].next)};
		rc = exec(db,
			  "INSERT INTO epochs(epoch, next_seq) VALUES(?, ?)"
			  " ON CONFLICT(epoch) DO UPDATE SET next_seq = excluded.next_seq",
			  v, 2, err);
	}
	if (rc)
		return rc;
	const struct otd_value v[] = {OTD_INT(c->position)};
	return exec(db,
		    "INSERT INTO position(id, seq) VALUES(1, ?)"
		    " ON CONFLICT(id) DO UPDATE SET seq = excluded.seq",
		    v, 1, err);
}

/* Whether it is still to be done. */
static otd_rc check_position(const struct acct_commit *c, struct otd_db *db, bool *there,
			     struct otd_err *err)
{
	int64_t seq = 0;
	otd_rc rc = otd_db_int(db, "SELECT seq FROM position WHERE id = 1", NULL, 0, &seq, err);
	*there = false;
	if (rc && rc != OTD_E_NOT_FOUND)
		return rc;
	if (c->position > c->base && (uint64_t)seq == c->position)
		*there = true;
	else if ((uint64_t)seq != c->base)
		return otd_fail(err, OTD_E_CORRUPT,
				"the database's position is %lld, it must be %llu: does another "
				"otedama write it? Stop that one and restart",
				(long long)seq, (unsigned long long)c->base);
	return OTD_OK;
}

otd_rc acct_sql_commit(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct acct_commit *c = arg;
	bool there;
	/* Where an earlier attempt did commit though it could not say so, nothing is left to do. */
	otd_rc rc = check_position(c, db, &there, err);
	if (rc || there)
		return rc;
	rc = names(c, db, err);
	for (size_t i = 0; rc == OTD_OK && i < c->n_minutes; i++)
		rc = add_minute(&c->minutes[i], db, err);
	for (size_t i = 0; rc == OTD_OK && i < c->n_refused; i++)
		rc = add_refused(&c->refused[i], db, err);
	for (size_t i = 0; rc == OTD_OK && i < c->n_ops; i++)
		rc = c->ops[i].kind == ACCT_FOUND ? found(&c->ops[i], db, err)
						  : state(&c->ops[i], db, err);
	if (rc == OTD_OK)
		rc = save(c, db, err);
	if (rc == OTD_OK)
		rc = places(c, db, err);
	return rc;
}
