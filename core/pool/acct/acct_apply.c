/* What records do, in the final order: counts, groups for the schemes, blocks and verdicts. */
#include "base/log.h"
#include "pool/acct/acct.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static otd_u128 get_u128(const uint8_t b[16])
{
	otd_u128 v = 0;
	for (int i = 15; i >= 0; i--)
		v = v << 8 | b[i];
	return v;
}

/* --- accounts and workers in memory --- */

struct acct_account *acct_account_add(struct otd_accounting *a, struct acct_pool *p, uint64_t id,
				      const char *address, size_t n)
{
	struct acct_account *c = calloc(1, sizeof(*c));
	struct acct_account **to;
	uint8_t key[8 + 512];
	to = acct_room(a->accounts, &a->n_accounts, &a->cap_accounts,
		       sizeof(struct acct_account *));
	if (to)
		a->accounts = to;
	if (!c || !to || n > 512 || !(c->address = acct_copy(address, n)))
		goto fail;
	c->pool = p;
	c->id = id;
	memcpy(key, &p->id, 8);
	memcpy(key + 8, address, n);
	if (otd_map_add(a->account_map, key, 8 + n, a->n_accounts + 1, NULL) != OTD_OK)
		goto fail;
	a->accounts[a->n_accounts++] = c;
	if (id > a->last_account)
		a->last_account = id;
	return c;
fail:
	if (c)
		free(c->address);
	free(c);
	return NULL;
}

struct acct_worker *acct_worker_add(struct otd_accounting *a, struct acct_account *c, uint64_t id,
				    const char *name, size_t n)
{
	struct acct_worker *w = calloc(1, sizeof(*w));
	struct acct_worker **to;
	uint8_t key[8 + 512];
	to = acct_room(a->workers, &a->n_workers, &a->cap_workers, sizeof(struct acct_worker *));
	if (to)
		a->workers = to;
	if (!w || !to || n > 512 || !(w->name = acct_copy(name, n)))
		goto fail;
	w->account = c;
	w->id = id;
	memcpy(key, &c->id, 8);
	memcpy(key + 8, name, n);
	if (otd_map_add(a->worker_map, key, 8 + n, a->n_workers + 1, NULL) != OTD_OK)
		goto fail;
	a->workers[a->n_workers++] = w;
	if (id > a->last_worker)
		a->last_worker = id;
	return w;
fail:
	if (w)
		free(w->name);
	free(w);
	return NULL;
}

struct acct_account *acct_account_by_id(const struct otd_accounting *a, uint64_t id)
{
	size_t low = 0, high = a->n_accounts;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (a->accounts[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low < a->n_accounts && a->accounts[low]->id == id ? a->accounts[low] : NULL;
}

/* Found, or made: then it is in the transaction too. */
struct acct_account *acct_account(struct otd_accounting *a, struct acct_pool *p,
				  const char *address, int64_t ms)
{
	uint8_t key[8 + 512];
	size_t n = strlen(address);
	uint64_t index;
	if (n > 512)
		n = 512;
	memcpy(key, &p->id, 8);
	memcpy(key + 8, address, n);
	if (otd_map_get(a->account_map, key, 8 + n, &index))
		return a->accounts[index - 1];
	struct acct_commit *t = acct_pending(a);
	struct acct_account *c = acct_account_add(a, p, a->last_account + 1, address, n);
	struct acct_new_account *row =
		t ? acct_room(t->accounts, &t->n_accounts, &t->cap_accounts, sizeof(*row)) : NULL;
	if (row)
		t->accounts = row;
	char *copy = acct_copy(address, n);
	if (!c || !row || !copy) {
		free(copy);
		return NULL;
	}
	c->since_ms = ms;
	t->accounts[t->n_accounts++] = (struct acct_new_account){c->id, p->id, ms, copy};
	return c;
}

static struct acct_worker *worker_of(struct otd_accounting *a, struct acct_account *c,
				     const char *name, int64_t ms)
{
	uint8_t key[8 + 512];
	size_t n = strlen(name);
	uint64_t index;
	if (n > 512)
		n = 512;
	memcpy(key, &c->id, 8);
	memcpy(key + 8, name, n);
	if (otd_map_get(a->worker_map, key, 8 + n, &index))
		return a->workers[index - 1];
	struct acct_commit *t = acct_pending(a);
	struct acct_worker *w = acct_worker_add(a, c, a->last_worker + 1, name, n);
	struct acct_new_worker *row =
		t ? acct_room(t->workers, &t->n_workers, &t->cap_workers, sizeof(*row)) : NULL;
	if (row)
		t->workers = row;
	char *copy = acct_copy(name, n);
	if (!w || !row || !copy) {
		free(copy);
		return NULL;
	}
	t->workers[t->n_workers++] = (struct acct_new_worker){w->id, c->id, ms, copy};
	return w;
}

static struct acct_seat *seat_of(struct acct_account *c, struct acct_scheme *s)
{
	for (struct acct_seat *x = c->seats; x; x = x->next)
		if (x->scheme == s)
			return x;
	struct acct_seat *x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->account = c;
	x->scheme = s;
	x->next = c->seats;
	c->seats = x;
	return x;
}

/* --- definitions --- */

bool acct_worker_owner(struct otd_accounting *a, const uint8_t *p, size_t n,
		       struct otd_rec_worker *r, struct acct_pool **pool,
		       struct acct_scheme **scheme)
{
	*pool = NULL;
	*scheme = NULL;
	if (n < sizeof(*r))
		return false;
	memcpy(r, p, sizeof(*r));
	size_t before = (size_t)r->pool_len + r->account_len + r->name_len;
	if (n - sizeof(*r) < before + r->scheme_len || r->worker >= ACCT_WORKERS)
		return false;
	const uint8_t *text = p + sizeof(*r), *name = text + before;
	*pool = acct_pool_named(a, (const char *)text, r->pool_len);
	for (size_t i = 0; *pool && !*scheme && i < (*pool)->n_schemes; i++) {
		struct acct_scheme *s = &(*pool)->schemes[i];
		if (r->scheme_len == 0 ||
		    (strlen(s->name) == r->scheme_len && memcmp(s->name, name, r->scheme_len) == 0))
			*scheme = s;
	}
	return true;
}

static void define_worker(struct otd_accounting *a, struct acct_epoch *ep, const uint8_t *p,
			  size_t n)
{
	struct otd_rec_worker r;
	struct acct_pool *pool;
	struct acct_scheme *scheme;
	if (!acct_worker_owner(a, p, n, &r, &pool, &scheme))
		return;
	if (r.worker >= ep->cap_workers) {
		size_t cap = ep->cap_workers ? ep->cap_workers : 64;
		while (cap <= r.worker)
			cap *= 2;
		struct acct_def **more = realloc(ep->workers, cap * sizeof(struct acct_def *));
		if (!more) {
			acct_stop(a, "out of memory");
			return;
		}
		memset(more + ep->cap_workers, 0,
		       (cap - ep->cap_workers) * sizeof(struct acct_def *));
		ep->workers = more;
		ep->cap_workers = cap;
	}
	if (ep->workers[r.worker]) /* restated at the begin of a segment */
		return;
	struct acct_def *d = calloc(1, sizeof(*d));
	const uint8_t *text = p + sizeof(r);
	if (d) {
		d->pool = pool;
		d->scheme = scheme;
		d->account = acct_copy((const char *)text + r.pool_len, r.account_len);
		d->name = acct_copy((const char *)text + r.pool_len + r.account_len, r.name_len);
	}
	if (!d || !d->account || !d->name) {
		acct_stop(a, "out of memory");
		if (d) {
			free(d->account);
			free(d->name);
		}
		free(d);
		return;
	}
	ep->workers[r.worker] = d;
}

static void define_job(struct otd_accounting *a, struct acct_epoch *ep, const uint8_t *p, size_t n)
{
	struct otd_rec_job r;
	if (n < sizeof(r))
		return;
	memcpy(&r, p, sizeof(r));
	if (n - sizeof(r) < r.pool_len)
		return;
	if (!ep->jobs) {
		ep->jobs = calloc(ACCT_JOBS, sizeof(*ep->jobs));
		if (!ep->jobs) {
			acct_stop(a, "out of memory");
			return;
		}
	}
	ep->jobs[r.job % ACCT_JOBS] = (struct acct_job){
		.number = r.job,
		.set = true,
		.pool = acct_pool_named(a, (const char *)p + sizeof(r), r.pool_len),
		.network_work = get_u128(r.network_work)};
}

static struct acct_def *def_of(struct acct_epoch *ep, uint32_t worker)
{
	return worker < ep->cap_workers ? ep->workers[worker] : NULL;
}

/* The job's. Its definition stands before it in the journal; else what the scheme had last. */
static otd_u128 network_work(struct otd_accounting *a, struct acct_epoch *ep, uint32_t job,
			     const struct acct_scheme *s)
{
	struct acct_job *j = ep->jobs ? &ep->jobs[job % ACCT_JOBS] : NULL;
	if (j && j->set && j->number == job && j->network_work)
		return j->network_work;
	if (a->undefined++ == 0)
		acct_alert(a,
			   "epoch %llu: shares are of job %u, which the journal does not define: "
			   "their round counts with the network difficulty before",
			   (unsigned long long)ep->epoch, job);
	return s->network_work ? s->network_work : 1;
}

/* Makes account, worker and seat of a definition at its first share. */
static bool settle(struct otd_accounting *a, struct acct_def *d, int64_t ms)
{
	if (d->worker)
		return true;
	struct acct_account *c = acct_account(a, d->pool, d->account, ms);
	struct acct_worker *w = c ? worker_of(a, c, d->name, ms) : NULL;
	d->seat = w ? seat_of(c, d->scheme) : NULL;
	if (!d->seat) {
		acct_stop(a, "out of memory");
		return false;
	}
	d->worker = w;
	return true;
}

static bool attributed(struct otd_accounting *a, struct acct_epoch *ep, const struct acct_def *d,
		       uint64_t seq)
{
	if (d && d->pool && d->scheme)
		return true;
	if (a->unattributed++ == 0)
		acct_alert(a,
			   "share %llu-%llu and maybe more are of %s and are not credited: was it "
			   "taken out of the settings while its journal was not used up?",
			   (unsigned long long)ep->epoch, (unsigned long long)seq,
			   !d         ? "a worker that the journal does not name"
			   : !d->pool ? "a pool that is not in the settings"
				      : "a payout scheme that its pool does not have");
	return false;
}

/* --- shares --- */

static void count_share(struct otd_accounting *a, struct acct_def *d, otd_u128 work, int64_t ms)
{
	struct acct_worker *w = d->worker;
	struct acct_commit *t = acct_pending(a);
	if (!t)
		return;
	int64_t minute = ms / 60000;
	if (w->commit != t->serial || t->minutes[w->row].minute != minute) {
		struct acct_minute *m =
			acct_room(t->minutes, &t->n_minutes, &t->cap_minutes, sizeof(*m));
		if (!m) {
			acct_stop(a, "out of memory");
			return;
		}
		t->minutes = m;
		w->row = t->n_minutes;
		w->commit = t->serial;
		t->minutes[t->n_minutes++] =
			(struct acct_minute){.worker_id = w->id, .minute = minute};
	}
	struct acct_minute *m = &t->minutes[w->row];
	m->accepted++;
	m->work += work;
	m->last_ms = ms;
	w->accepted++;
	w->last_ms = ms;
	if (!w->rate)
		w->rate = calloc(1, sizeof(*w->rate));
	if (w->rate)
		acct_rate_add(w->rate, ms, work);
	acct_rate_add(&d->pool->rate, ms, work);
	d->pool->accepted++;
	if (a->merged)
		otd_metric_add(a->merged, 1);
	if (ms > d->pool->last_share_ms)
		d->pool->last_share_ms = ms;
}

static void apply_share(struct otd_accounting *a, struct acct_epoch *ep, uint64_t seq,
			const uint8_t *p, size_t n)
{
	struct otd_rec_share r;
	if (n < sizeof(r))
		return;
	memcpy(&r, p, sizeof(r));
	struct acct_def *d = def_of(ep, r.worker);
	if (!attributed(a, ep, d, seq) || !settle(a, d, r.time_ms))
		return;
	otd_u128 work = get_u128(r.work);
	acct_scheme_share(a, d->seat, work ? work : 1, network_work(a, ep, r.job, d->scheme),
			  r.time_ms);
	if (!a->replaying)
		count_share(a, d, work, r.time_ms);
}

static void apply_refused(struct otd_accounting *a, struct acct_epoch *ep, const uint8_t *p,
			  size_t n)
{
	struct otd_rec_refused r;
	if (n < sizeof(r) || a->replaying)
		return;
	memcpy(&r, p, sizeof(r));
	struct acct_def *d = def_of(ep, r.worker);
	if (!d || !d->pool || r.reason >= OTD_SHARE_VERDICTS)
		return;
	d->pool->refused[r.reason] += r.count;
	/* A worker that never had a share gets no row: anybody could fill the tables. */
	if (!d->worker)
		return;
	d->worker->refused[r.reason] += r.count;
	struct acct_commit *t = acct_pending(a);
	struct acct_refused *row =
		t ? acct_room(t->refused, &t->n_refused, &t->cap_refused, sizeof(*row)) : NULL;
	if (!row) {
		acct_stop(a, "out of memory");
		return;
	}
	t->refused = row;
	t->refused[t->n_refused++] =
		(struct acct_refused){d->worker->id, r.count, r.time_ms / 60000, r.reason};
}

/* --- blocks --- */

struct acct_block *acct_block_find(struct otd_accounting *a, uint64_t epoch, uint64_t share_seq)
{
	for (struct acct_block *b = a->blocks; b; b = b->next)
		if (b->epoch == epoch && b->share_seq == share_seq)
			return b;
	return NULL;
}

void acct_block_free(struct acct_block *b)
{
	if (!b)
		return;
	free(b->pool_name);
	free(b->asset);
	free(b->scheme_name);
	free(b->account);
	free(b->worker);
	free(b);
}

void acct_block_add(struct otd_accounting *a, struct acct_block *b)
{
	b->next = a->blocks;
	a->blocks = b;
	if (++a->n_blocks <= ACCT_BLOCKS)
		return;
	/* The oldest that is final goes. */
	struct acct_block **old = NULL;
	for (struct acct_block **at = &a->blocks->next; *at; at = &(*at)->next)
		if ((*at)->state >= OTD_BLOCK_MATURE && (*at)->asked == (*at)->state)
			old = at;
	if (!old)
		return;
	struct acct_block *gone = *old;
	*old = gone->next;
	acct_block_free(gone);
	a->n_blocks--;
}

void acct_block_view(const struct acct_block *b, struct otd_acct_block *out)
{
	*out = (struct otd_acct_block){
		.pool = b->pool ? b->pool->slot : SIZE_MAX,
		.pool_name = b->pool_name,
		.asset = b->asset,
		.scheme = b->scheme_name,
		.epoch = b->epoch,
		.share_seq = b->share_seq,
		.height = b->height,
		.time_ms = b->time_ms,
		.state = b->state,
		.confirmations = b->confirmations,
		.value = b->value,
		.fee = b->fee,
		.account = b->account,
		.worker = b->worker,
		.held = b->held,
	};
	otd_i128 ppm;
	if (b->network_work &&
	    otd_i128_muldiv(&ppm, NULL, 1000000, b->round_work, b->network_work) == OTD_OK)
		out->effort_ppm = ppm > (otd_i128)INT64_MAX ? INT64_MAX : (uint64_t)ppm;
	memcpy(out->hash, b->hash, 32);
	memcpy(out->prev, b->prev, 32);
}

/* The pool's part, rounded up. */
static otd_i128 fee_of(otd_i128 value, int64_t ppm)
{
	otd_i128 fee = 0;
	otd_u128 rem = 0;
	if (ppm <= 0 || otd_i128_muldiv(&fee, &rem, value, (otd_u128)ppm, 1000000) != OTD_OK)
		return 0;
	fee += rem != 0;
	return fee > value ? value : fee;
}

static struct acct_block *make_block(struct otd_accounting *a, struct acct_epoch *ep,
				     const struct otd_rec_block *r, struct acct_def *d)
{
	struct acct_scheme *s = d->scheme;
	struct acct_block *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->pool = d->pool;
	b->scheme = s;
	b->pool_name = acct_copy(d->pool->name, strlen(d->pool->name));
	b->asset = acct_copy(d->pool->asset, strlen(d->pool->asset));
	b->scheme_name = acct_copy(s->name, strlen(s->name));
	b->account = acct_copy(d->account, strlen(d->account));
	b->worker = acct_copy(d->name, strlen(d->name));
	if (!b->pool_name || !b->asset || !b->scheme_name || !b->account || !b->worker) {
		acct_block_free(b);
		return NULL;
	}
	b->epoch = ep->epoch;
	b->share_seq = r->share_seq;
	b->height = r->height;
	b->time_ms = r->time_ms;
	b->state = b->asked = OTD_BLOCK_CANDIDATE;
	b->value = (otd_i128)get_u128(r->value);
	b->network_work = network_work(a, ep, r->job, s);
	b->round_work = s->round_work;
	memcpy(b->hash, r->hash, 32);
	memcpy(b->prev, r->prev, 32);
	return b;
}

static struct acct_op *add_op(struct otd_accounting *a)
{
	struct acct_commit *t = acct_pending(a);
	struct acct_op *op = t ? acct_room(t->ops, &t->n_ops, &t->cap_ops, sizeof(*op)) : NULL;
	if (!op) {
		acct_stop(a, "out of memory");
		return NULL;
	}
	t->ops = op;
	op = &t->ops[t->n_ops++];
	*op = (struct acct_op){0};
	return op;
}

static void book_block(struct otd_accounting *a, struct acct_block *b, struct acct_def *d,
		       struct acct_credit *credits, size_t n)
{
	otd_i128 more =
		acct_own_fees(a, b->time_ms, acct_fee_at(d->pool, b->time_ms), &credits, &n);
	struct acct_op *op = add_op(a);
	char *asset = acct_copy(b->asset, strlen(b->asset));
	char *scheme = acct_copy(b->scheme_name, strlen(b->scheme_name));
	if (!op || !asset || !scheme) {
		acct_stop(a, "out of memory");
		free(asset);
		free(scheme);
		free(credits);
		return;
	}
	*op = (struct acct_op){
		.kind = ACCT_FOUND,
		.epoch = b->epoch,
		.share_seq = b->share_seq,
		.state = b->state,
		.time_ms = b->time_ms,
		.pool_id = b->pool->id,
		.finder = d->seat->account->id,
		.worker_id = d->worker->id,
		.height = b->height,
		.asset = asset,
		.scheme = scheme,
		.value = b->value,
		.fee = b->fee,
		.fee_more = more,
		.network_work = b->network_work,
		.round_work = b->round_work,
		.held = b->held,
		.credits = credits,
		.n_credits = n,
	};
	memcpy(op->hash, b->hash, 32);
	memcpy(op->prev, b->prev, 32);
	a->urgent = true;
}

static void apply_block(struct otd_accounting *a, struct acct_epoch *ep, uint64_t seq,
			const uint8_t *p, size_t n)
{
	struct otd_rec_block r;
	struct acct_credit *credits = NULL;
	size_t n_credits = 0;
	char why[200] = "";
	if (n < sizeof(r))
		return;
	memcpy(&r, p, sizeof(r));
	struct acct_def *d = def_of(ep, r.worker);
	if (!attributed(a, ep, d, seq) || !settle(a, d, r.time_ms))
		return;
	struct acct_scheme *s = d->scheme;
	struct acct_block *known = acct_block_find(a, ep->epoch, r.share_seq);
	if (known && !a->replaying)
		return; /* said twice */
	acct_scheme_flush(a, s);
	struct acct_block *b = known ? known : make_block(a, ep, &r, d);
	if (!b) {
		acct_stop(a, "out of memory");
		return;
	}
	/* A replay gives the scheme what it got the first time; the fee is that of when it was found. */
	if (!known)
		b->fee = fee_of(b->value, acct_fee_at(d->pool, r.time_ms));
	struct otd_payout_block in = {
		.size = sizeof(in),
		.finder = d->seat->account->id,
		.amount = b->value > b->fee ? b->value - b->fee : 0,
		.network_work = b->network_work,
		.time_ms = b->time_ms,
		.height = b->height,
	};
	bool fine = b->value >= 0 &&
		    acct_block_number(&in.block, b->epoch, b->share_seq) == OTD_OK &&
		    acct_scheme_block(a, s, &in, &credits, &n_credits, why, sizeof(why));
	if (a->replaying) {
		free(credits);
		if (!known)
			acct_block_free(b);
		return;
	}
	b->held = !fine;
	if (!fine)
		acct_alert(a,
			   "block %llu-%llu (%s, height %llu): credits are held: %s; they wait "
			   "for a person, nothing was paid",
			   (unsigned long long)b->epoch, (unsigned long long)b->share_seq,
			   b->pool_name, (unsigned long long)b->height,
			   why[0] ? why : "the block's numbers are out of range");
	d->pool->blocks++;
	acct_block_add(a, b);
	book_block(a, b, d, credits, n_credits);
}

static void apply_verdict(struct otd_accounting *a, const struct otd_rec_verdict *v)
{
	struct acct_block *b = acct_block_find(a, v->epoch, v->share_seq);
	uint64_t number;
	if (!b) {
		if (!a->replaying)
			acct_alert(a, "verdict on block %llu-%llu, which is not on record",
				   (unsigned long long)v->epoch, (unsigned long long)v->share_seq);
		return;
	}
	if (b->scheme && acct_block_number(&number, b->epoch, b->share_seq) == OTD_OK) {
		acct_scheme_flush(a, b->scheme);
		acct_scheme_verdict(a, b->scheme, number, v->state);
	}
	if (a->replaying)
		return;
	struct acct_op *op = add_op(a);
	if (!op)
		return;
	op->kind = ACCT_STATE;
	op->epoch = b->epoch;
	op->share_seq = b->share_seq;
	op->before = b->state;
	op->state = v->state;
	op->confirmations = v->confirmations;
	op->time_ms = v->time_ms;
	op->held = b->held;
	b->state = v->state;
	if (b->asked < v->state)
		b->asked = v->state;
	b->confirmations = v->confirmations;
	if (v->state == OTD_BLOCK_ORPHANED && b->pool)
		b->pool->orphaned++;
	a->urgent = true;
}

/* From here on it counts in memory, and goes into SQL with the position. */
static void apply_terms(struct otd_accounting *a, const struct acct_entry *e)
{
	if (a->replaying) /* SQL had it */
		return;
	struct acct_commit *t = acct_pending(a);
	struct acct_new_terms *row =
		t ? acct_room(t->terms, &t->n_terms, &t->cap_terms, sizeof(*row)) : NULL;
	if (row)
		t->terms = row;
	if (!row || acct_terms_add(e->terms_of, &e->terms) != OTD_OK) {
		acct_stop(a, "out of memory");
		return;
	}
	t->terms[t->n_terms++] = (struct acct_new_terms){e->terms_of->id, e->terms};
	otd_log(OTD_LOG_INFO, "pool", "fee.in_force", "pool=%s fee_ppm=%lld from_ms=%lld",
		e->terms_of->name, (long long)e->terms.fee_ppm, (long long)e->terms.since_ms);
}

void acct_apply(struct otd_accounting *a, struct acct_entry *e)
{
	a->current = e->cseq;
	if (e->terms_of_account) {
		acct_account_terms_apply(a, e);
		goto out;
	}
	if (e->terms_of) {
		apply_terms(a, e);
		goto out;
	}
	if (!e->ep) {
		apply_verdict(a, &e->verdict);
		goto out;
	}
	for (size_t at = 0; at < e->records.len && !a->stopped[0];) {
		uint64_t seq;
		uint32_t type, n;
		const uint8_t *p = e->records.ptr + at;
		memcpy(&seq, p, 8);
		memcpy(&type, p + 8, 4);
		memcpy(&n, p + 12, 4);
		p += 16;
		at += 16 + (size_t)n;
		if (type == OTD_REC_WORKER)
			define_worker(a, e->ep, p, n);
		else if (type == OTD_REC_JOB)
			define_job(a, e->ep, p, n);
		if (seq < e->first) /* read for its definitions only */
			continue;
		if (type == OTD_REC_SHARE)
			apply_share(a, e->ep, seq, p, n);
		else if (type == OTD_REC_BLOCK)
			apply_block(a, e->ep, seq, p, n);
		else if (type == OTD_REC_REFUSED)
			apply_refused(a, e->ep, p, n);
	}
	if (e->last + 1 > e->ep->applied)
		e->ep->applied = e->last + 1;
out:
	for (size_t i = 0; i < a->n_pools; i++)
		for (size_t k = 0; k < a->pools[i]->n_schemes; k++)
			acct_scheme_flush(a, &a->pools[i]->schemes[k]);
	if (a->stopped[0])
		return;
	a->applied = e->cseq;
	for (size_t i = 0; i < a->n_pools; i++)
		for (size_t k = 0; k < a->pools[i]->n_schemes; k++)
			if (a->pools[i]->schemes[k].seq < e->cseq)
				a->pools[i]->schemes[k].seq = e->cseq;
	if (!a->replaying)
		(void)acct_pending(a);
}
