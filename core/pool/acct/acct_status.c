/* The reading side: copies of what is in memory, and balances from SQL. */
#include "ledger/ledger.h"
#include "pool/acct/acct.h"
#include <stdlib.h>
#include <string.h>

/* --- rates --- */

static void shift(otd_u128 *buckets, size_t n, int64_t *newest, int64_t to)
{
	int64_t by = to - *newest;
	if (by <= 0)
		return;
	for (int64_t i = 1; i <= by && i <= (int64_t)n; i++)
		buckets[(size_t)((*newest + i) % (int64_t)n)] = 0;
	*newest = to;
}

static void add(otd_u128 *buckets, size_t n, int64_t newest, int64_t at, otd_u128 work)
{
	if (at > newest - (int64_t)n)
		buckets[(size_t)(at % (int64_t)n)] += work;
}

void acct_rate_add(struct acct_rate *r, int64_t time_ms, otd_u128 work)
{
	if (time_ms < 0)
		return;
	shift(r->by_minute, 10, &r->minute, time_ms / 60000);
	shift(r->by_five, 12, &r->five, time_ms / 300000);
	add(r->by_minute, 10, r->minute, time_ms / 60000, work);
	add(r->by_five, 12, r->five, time_ms / 300000, work);
}

static otd_u128 sum(const otd_u128 *buckets, size_t n, int64_t newest, int64_t now)
{
	otd_u128 s = 0;
	for (int64_t at = newest; at > newest - (int64_t)n && at >= 0; at--)
		if (at > now - (int64_t)n)
			s += buckets[(size_t)(at % (int64_t)n)];
	return s;
}

otd_u128 acct_rate_10min(const struct acct_rate *r, int64_t now_ms)
{
	return r ? sum(r->by_minute, 10, r->minute, now_ms / 60000) : 0;
}

otd_u128 acct_rate_1h(const struct acct_rate *r, int64_t now_ms)
{
	return r ? sum(r->by_five, 12, r->five, now_ms / 300000) : 0;
}

/* --- status --- */

struct status {
	struct otd_acct_status view; /* first: it is what the caller has */
	struct otd_acct_pool_status *pools;
	struct otd_acct_worker_status *workers;
	struct otd_acct_block *blocks;
	const char **alerts;
	char **text;
	size_t n_text, cap_text;
};

/* A copy that lives as long as the status; "" where memory ran out. */
static const char *keep(struct status *s, const char *text)
{
	char **to = acct_room(s->text, &s->n_text, &s->cap_text, sizeof(char *));
	char *copy = to ? acct_copy(text, strlen(text)) : NULL;
	if (to)
		s->text = to;
	if (!copy)
		return "";
	s->text[s->n_text++] = copy;
	return copy;
}

static uint64_t ratio_ppm(otd_u128 a, otd_u128 b)
{
	otd_i128 q;
	if (b == 0 || otd_i128_muldiv(&q, NULL, 1000000, a, b) != OTD_OK)
		return 0;
	return q > (otd_i128)INT64_MAX ? INT64_MAX : (uint64_t)q;
}

static uint64_t luck_of(const struct otd_accounting *a, const struct acct_pool *p)
{
	otd_u128 done = 0, expected = 0;
	for (const struct acct_block *b = a->blocks; b; b = b->next) {
		if (b->pool != p || b->state == OTD_BLOCK_ORPHANED || b->scheme != &p->schemes[0])
			continue;
		done += b->round_work;
		expected += b->network_work;
	}
	return ratio_ppm(expected, done);
}

static void pool_status(struct status *st, struct otd_accounting *a, struct acct_pool *p,
			struct otd_acct_pool_status *to, int64_t now)
{
	struct acct_scheme *s = &p->schemes[0];
	const struct otd_payout_ops *ops = otd_instance_payout(s->instance);
	*to = (struct otd_acct_pool_status){
		.slot = p->slot,
		.fee_ppm = acct_fee_at(p, now),
		.name = keep(st, p->name),
		.asset = keep(st, p->asset),
		.scheme = keep(st, s->name),
		.accepted = p->accepted,
		.work_10min = acct_rate_10min(&p->rate, now),
		.work_1h = acct_rate_1h(&p->rate, now),
		.last_share_ms = p->last_share_ms,
		.round_work = s->round_work,
		.network_work = s->network_work,
		.effort_ppm = ratio_ppm(s->round_work, s->network_work),
		.luck_ppm = luck_of(a, p),
		.blocks = p->blocks,
		.blocks_orphaned = p->orphaned,
	};
	memcpy(to->refused, p->refused, sizeof(to->refused));
	if (!s->broken && ops->round) {
		OTD_ON(OTD_THREAD_COORDINATOR);
		if (ops->round(otd_instance_self(s->instance), &to->window_work,
			       &to->window_accounts) != OTD_OK)
			to->window_work = to->window_accounts = 0;
	}
}

struct ranked {
	const struct acct_worker *w;
	otd_u128 work;
};

static int by_work(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->work != y->work)
		return x->work > y->work ? -1 : 1;
	return x->w->id < y->w->id ? -1 : x->w->id > y->w->id;
}

static void count_worker(struct status *st, const struct acct_pool *p)
{
	if (p->shown != SIZE_MAX)
		st->pools[p->shown].workers++;
}

static otd_rc workers_status(struct status *st, struct otd_accounting *a, size_t max, int64_t now)
{
	struct ranked *r = calloc(a->n_workers ? a->n_workers : 1, sizeof(*r));
	size_t n = 0;
	if (!r)
		return OTD_E_NOMEM;
	for (size_t i = 0; i < a->n_workers; i++) {
		struct acct_worker *w = a->workers[i];
		if (!w->rate && !w->accepted)
			continue;
		otd_u128 work = acct_rate_10min(w->rate, now);
		r[n++] = (struct ranked){w, work};
		if (work)
			count_worker(st, w->account->pool);
		else if (w->rate && acct_rate_1h(w->rate, now) == 0) {
			free(w->rate); /* idle */
			w->rate = NULL;
		}
	}
	qsort(r, n, sizeof(*r), by_work);
	n = n < max ? n : max;
	st->workers = calloc(n ? n : 1, sizeof(*st->workers));
	for (size_t i = 0; st->workers && i < n; i++) {
		const struct acct_worker *w = r[i].w;
		struct otd_acct_worker_status *to = &st->workers[i];
		*to = (struct otd_acct_worker_status){
			.pool = keep(st, w->account->pool->name),
			.account = keep(st, w->account->address),
			.worker = keep(st, w->name),
			.accepted = w->accepted,
			.work_10min = r[i].work,
			.work_1h = acct_rate_1h(w->rate, now),
			.last_share_ms = w->last_ms,
		};
		for (size_t k = 0; k < OTD_SHARE_VERDICTS; k++) {
			to->refused_by[k] = w->refused[k];
			to->refused += w->refused[k];
		}
	}
	free(r);
	st->view.n_workers = n;
	return st->workers ? OTD_OK : OTD_E_NOMEM;
}

static otd_rc blocks_status(struct status *st, struct otd_accounting *a, size_t max)
{
	size_t n = a->n_blocks < max ? a->n_blocks : max, i = 0;
	st->blocks = calloc(n ? n : 1, sizeof(*st->blocks));
	if (!st->blocks)
		return OTD_E_NOMEM;
	for (const struct acct_block *b = a->blocks; b && i < n; b = b->next) {
		struct otd_acct_block *to = &st->blocks[i++];
		acct_block_view(b, to);
		to->pool_name = keep(st, to->pool_name);
		to->asset = keep(st, to->asset);
		to->scheme = keep(st, to->scheme);
		to->account = keep(st, to->account);
		to->worker = keep(st, to->worker);
	}
	st->view.n_blocks = i;
	return OTD_OK;
}

static otd_rc alerts_status(struct status *st, struct otd_accounting *a)
{
	size_t most = a->n_alerts + 4;
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
		most++;
	st->alerts = calloc(most, sizeof(*st->alerts));
	if (!st->alerts)
		return OTD_E_NOMEM;
	size_t n = 0;
	if (a->stopped[0])
		st->alerts[n++] = keep(st, a->stopped);
	if (a->store_why[0])
		st->alerts[n++] = keep(st, a->store_why);
	if (a->journal_fails)
		st->alerts[n++] = keep(st, a->journal_why);
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch)
		if (ep->trouble[0])
			st->alerts[n++] = keep(st, ep->trouble);
	for (size_t i = 0; i < a->n_alerts; i++)
		st->alerts[n++] = keep(st, a->alerts[i]);
	st->view.n_alerts = n;
	return OTD_OK;
}

otd_rc otd_accounting_status(struct otd_accounting *a, struct otd_acct_status **out,
			     size_t max_workers, size_t max_blocks)
{
	struct status *st = calloc(1, sizeof(*st));
	int64_t now = otd_wall_ms(a->env);
	*out = NULL;
	if (!st)
		return OTD_E_NOMEM;
	st->pools = calloc(a->n_pools ? a->n_pools : 1, sizeof(*st->pools));
	otd_rc rc = st->pools ? OTD_OK : OTD_E_NOMEM;
	for (size_t i = 0; rc == OTD_OK && i < a->n_pools; i++) {
		struct acct_pool *p = a->pools[i];
		p->shown = p->live ? st->view.n_pools++ : SIZE_MAX;
		if (p->live)
			pool_status(st, a, p, &st->pools[p->shown], now);
	}
	if (rc == OTD_OK)
		rc = workers_status(st, a, max_workers, now);
	if (rc == OTD_OK)
		rc = blocks_status(st, a, max_blocks);
	if (rc == OTD_OK)
		rc = alerts_status(st, a);
	st->view.pools = st->pools;
	st->view.workers = st->workers;
	st->view.blocks = st->blocks;
	st->view.alerts = st->alerts;
	for (struct acct_epoch *ep = a->epochs; ep; ep = ep->next_epoch) {
		st->view.epochs++;
		if (ep->durable >= ep->applied)
			st->view.waiting += ep->durable + 1 - ep->applied;
	}
	st->view.position = a->position;
	st->view.applied = a->applied;
	st->view.journal_bytes = otd_journal_bytes(a->journal);
	st->view.last_commit_ms = a->last_commit_wall_ms;
	if (rc)
		otd_accounting_status_destroy(&st->view);
	else
		*out = &st->view;
	return rc;
}

void otd_accounting_status_destroy(struct otd_acct_status *view)
{
	struct status *st = (struct status *)(void *)view;
	if (!st)
		return;
	for (size_t i = 0; i < st->n_text; i++)
		free(st->text[i]);
	free(st->text);
	free(st->pools);
	free(st->workers);
	free(st->blocks);
	free(st->alerts);
	free(st);
}

/* --- balances --- */

struct balances {
	otd_acct_balances_fn fn;
	void *arg;
	size_t max;
	struct otd_acct_balance *rows;
	size_t n, cap;
	char **text;
	size_t n_text, cap_text;
};

static void drop_rows(struct balances *b)
{
	for (size_t i = 0; i < b->n_text; i++)
		free(b->text[i]);
	b->n_text = b->n = 0;
}

static const char *keep_text(struct balances *b, const struct otd_value *v)
{
	char **to = acct_room(b->text, &b->n_text, &b->cap_text, sizeof(char *));
	if (to)
		b->text = to;
	char *copy = to ? acct_copy((const char *)v->bytes.ptr, v->bytes.len) : NULL;
	if (copy)
		b->text[b->n_text++] = copy;
	return copy;
}

static otd_rc take_balance(void *ctx, const struct otd_value *c, size_t n)
{
	struct balances *b = ctx;
	struct otd_acct_balance *to = acct_room(b->rows, &b->n, &b->cap, sizeof(*to));
	(void)n;
	if (!to)
		return OTD_E_NOMEM;
	b->rows = to;
	to = &b->rows[b->n];
	*to = (struct otd_acct_balance){.kind = (uint32_t)c[3].i, .amount = c[4].wide};
	to->pool = keep_text(b, &c[0]);
	to->account = keep_text(b, &c[1]);
	to->asset = keep_text(b, &c[2]);
	if (!to->pool || !to->asset || !to->account)
		return OTD_E_NOMEM;
	b->n += to->amount != 0;
	return OTD_OK;
}

/* The pool's own first: where there are too many to show, what it lost is among them. */
static int by_amount(const void *x, const void *y)
{
	const struct otd_acct_balance *a = x, *b = y;
	if (!a->account[0] != !b->account[0])
		return a->account[0] ? 1 : -1;
	return a->amount > b->amount ? -1 : a->amount < b->amount;
}

static otd_rc read_balances(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					 OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct balances *b = arg;
	drop_rows(b);
	/* Whose number the owner is follows from the kind. */
	const struct otd_value v[] = {OTD_INT(OTD_ACC_IMMATURE), OTD_INT(OTD_ACC_MINER),
				      OTD_INT(OTD_ACC_PAYING)};
	otd_rc rc = otd_db_query(
		db,
		"SELECT p.name, a.address, x.asset, x.account_kind, x.amount FROM balances x"
		" JOIN accounts a ON a.id = x.owner JOIN pools p ON p.id = a.pool_id"
		" WHERE x.account_kind = ? OR x.account_kind = ? OR x.account_kind = ?",
		v, 3, wants, 5, take_balance, b, err);
	if (rc == OTD_OK)
		rc = otd_db_query(
			db,
			"SELECT p.name, '', x.asset, x.account_kind, x.amount FROM balances x"
			" JOIN pools p ON p.id = x.owner WHERE x.account_kind <> ?"
			" AND x.account_kind <> ? AND x.account_kind <> ?",
			v, 3, wants, 5, take_balance, b, err);
	if (b->n > 1)
		qsort(b->rows, b->n, sizeof(*b->rows), by_amount);
	return rc;
}

static void balances_done(void *arg, const struct otd_err *err)
{
	struct balances *b = arg;
	size_t n = err->rc ? 0 : b->n < b->max ? b->n : b->max;
	b->fn(b->arg, err, b->rows, n);
	drop_rows(b);
	free(b->text);
	free(b->rows);
	free(b);
}

otd_rc otd_accounting_balances(struct otd_accounting *a, size_t max, otd_acct_balances_fn fn,
			       void *arg)
{
	struct balances *b = calloc(1, sizeof(*b));
	if (!b)
		return OTD_E_NOMEM;
	b->fn = fn;
	b->arg = arg;
	b->max = max;
	otd_rc rc = otd_store_do(a->store, false, read_balances, balances_done, b);
	if (rc)
		free(b);
	return rc;
}
