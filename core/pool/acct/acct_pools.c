/* The pools of accounting: those of the start, those that come and go while it runs, and their fees. */
#include "base/log.h"
#include "base/text.h"
#include "pool/acct/acct.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct acct_pool *pool_alloc(const char *name, size_t n, const char *asset, size_t asset_n)
{
	struct acct_pool *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->slot = SIZE_MAX;
	p->name = acct_copy(name, n);
	p->asset = acct_copy(asset, asset_n);
	if (p->name && p->asset)
		return p;
	free(p->name);
	free(p->asset);
	free(p);
	return NULL;
}

static void pool_free(struct acct_pool *p)
{
	if (!p)
		return;
	for (size_t k = 0; k < p->n_schemes; k++)
		acct_scheme_finish(&p->schemes[k]);
	free(p->schemes);
	free(p->terms);
	free(p->name);
	free(p->asset);
	free(p);
}

static otd_rc pools_room(struct otd_accounting *a, size_t more)
{
	while (a->cap_pools - a->n_pools < more) {
		size_t full = a->cap_pools; /* acct_room() grows what is full */
		void *to = acct_room(a->pools, &full, &a->cap_pools, sizeof(struct acct_pool *));
		if (!to)
			return OTD_E_NOMEM;
		a->pools = to;
	}
	return OTD_OK;
}

struct acct_pool *acct_pool_new(struct otd_accounting *a, const char *name, size_t n,
				const char *asset, size_t asset_n)
{
	struct acct_pool *p = pools_room(a, 1) ? NULL : pool_alloc(name, n, asset, asset_n);
	if (p)
		a->pools[a->n_pools++] = p;
	return p;
}

static struct acct_pool *known(const struct otd_accounting *a, const char *name, size_t n)
{
	for (size_t i = 0; i < a->n_pools; i++)
		if (strlen(a->pools[i]->name) == n && memcmp(a->pools[i]->name, name, n) == 0)
			return a->pools[i];
	return NULL;
}

struct acct_pool *acct_pool_named(const struct otd_accounting *a, const char *name, size_t n)
{
	struct acct_pool *p = known(a, name, n);
	return p && p->n_schemes ? p : NULL;
}

static otd_rc check_pool(const struct otd_acct_pool *from, struct otd_err *err)
{
	if (from->n_schemes == 0 || from->fee_ppm < 0 || from->fee_ppm > 1000000)
		return otd_fail(err, OTD_E_INVALID,
				"pool %s: no payout scheme, or a fee of %lld ppm that is "
				"not between 0 and 1,000,000",
				from->name, (long long)from->fee_ppm);
	return OTD_OK;
}

static otd_rc add_scheme(struct acct_pool *p, const struct otd_acct_scheme *conf,
			 struct otd_err *err)
{
	if (!p->schemes)
		p->schemes = calloc(ACCT_SCHEMES, sizeof(*p->schemes));
	if (!p->schemes)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	if (p->n_schemes == ACCT_SCHEMES)
		return otd_fail(err, OTD_E_RANGE,
				"pool %s: more than %d payout schemes since the start; restart",
				p->name, ACCT_SCHEMES);
	struct acct_scheme *s = &p->schemes[p->n_schemes++];
	s->pool = p;
	return acct_scheme_create(s, conf, err);
}

otd_rc acct_pools_create(struct otd_accounting *a, struct otd_err *err)
{
	const struct otd_accounting_conf *c = &a->conf;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < c->n_pools; i++) {
		const struct otd_acct_pool *from = &c->pools[i];
		struct acct_pool *p = acct_pool_new(a, from->name, strlen(from->name), from->asset,
						    strlen(from->asset));
		if (!p)
			return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
		p->slot = i;
		p->live = true;
		p->fee_ppm = from->fee_ppm;
		rc = check_pool(from, err);
		for (size_t k = 0; rc == OTD_OK && k < from->n_schemes; k++)
			rc = add_scheme(p, &from->schemes[k], err);
	}
	return rc;
}

void acct_pools_free(struct otd_accounting *a)
{
	for (size_t i = 0; i < a->n_pools; i++)
		pool_free(a->pools[i]);
	free(a->pools);
}

/* --- fees --- */

int64_t acct_fee_at(const struct acct_pool *p, int64_t time_ms)
{
	for (size_t i = p->n_terms; i-- > 0;)
		if (p->terms[i].since_ms <= time_ms)
			return p->terms[i].fee_ppm;
	/* Older than any record of a fee: the first is the best that is known. */
	return p->n_terms ? p->terms[0].fee_ppm : p->fee_ppm;
}

otd_rc acct_terms_add(struct acct_pool *p, const struct acct_terms *t)
{
	struct acct_terms *to = acct_room(p->terms, &p->n_terms, &p->cap_terms, sizeof(*to));
	if (!to)
		return OTD_E_NOMEM;
	p->terms = to;
	p->terms[p->n_terms++] = *t;
	p->fee_said = t->fee_ppm;
	return OTD_OK;
}

bool acct_terms_read(struct otd_accounting *a, struct otd_span payload, struct acct_pool **p,
		     struct acct_terms *t)
{
	struct otd_rec_terms r;
	if (payload.len < sizeof(r))
		return false;
	memcpy(&r, payload.ptr, sizeof(r));
	if (payload.len - sizeof(r) < r.pool_len)
		return false;
	*p = known(a, (const char *)payload.ptr + sizeof(r), r.pool_len);
	*t = (struct acct_terms){.fee_ppm = r.fee_ppm, .since_ms = r.time_ms};
	return *p != NULL;
}

/* False: not now. */
static bool say_terms(struct otd_accounting *a, struct acct_pool *p)
{
	struct otd_rec_terms r = {.time_ms = p->fee_since_ms,
				  .fee_ppm = (uint32_t)p->fee_ppm,
				  .pool_len = (uint16_t)strnlen(p->name, 256)};
	uint8_t buf[sizeof(r) + 256];
	struct acct_entry *e = acct_entry_create();
	if (!e)
		return false;
	memcpy(buf, &r, sizeof(r));
	memcpy(buf + sizeof(r), p->name, r.pool_len);
	if (otd_journal_append(a->journal, OTD_REC_TERMS, buf, sizeof(r) + r.pool_len, &e->cseq)) {
		acct_entry_free(e);
		return false;
	}
	e->terms_of = p;
	e->terms = (struct acct_terms){e->cseq, p->fee_ppm, p->fee_since_ms};
	*a->entries_end = e;
	a->entries_end = &e->next;
	a->n_entries++;
	a->last_terms = e->cseq;
	p->fee_said = p->fee_ppm;
	p->fee_due = false;
	return true;
}

static bool fee_is_said(const struct acct_pool *p)
{
	/* Without terms of its own: those on their way count too. */
	return (p->n_terms || p->fee_any) && p->fee_said == p->fee_ppm;
}

static void want_fee(struct acct_pool *p, int64_t fee_ppm, int64_t time_ms)
{
	p->fee_ppm = fee_ppm;
	p->fee_since_ms = time_ms;
	p->fee_due = !fee_is_said(p);
}

void acct_terms_due(struct otd_accounting *a)
{
	if (a->stopped[0])
		return;
	for (size_t i = 0; i < a->n_pools; i++) {
		struct acct_pool *p = a->pools[i];
		if (p->live && p->fee_due && say_terms(a, p))
			p->fee_any = true;
	}
}

void acct_terms_start(struct otd_accounting *a)
{
	for (size_t i = 0; i < a->n_pools; i++)
		if (a->pools[i]->live)
			want_fee(a->pools[i], a->pools[i]->fee_ppm, otd_wall_ms(a->env));
	acct_terms_due(a);
}

void otd_accounting_fee(struct otd_accounting *a, const char *pool, int64_t fee_ppm,
			int64_t time_ms)
{
	struct acct_pool *p = acct_pool_named(a, pool, strlen(pool));
	if (!p || p->fee_ppm == fee_ppm)
		return;
	want_fee(p, fee_ppm, time_ms);
	acct_terms_due(a);
}

bool otd_accounting_fees_durable(const struct otd_accounting *a)
{
	for (size_t i = 0; i < a->n_pools; i++)
		if (a->pools[i]->live && a->pools[i]->fee_due)
			return false;
	return a->last_terms <= otd_journal_synced(a->journal);
}

/* --- pools that come --- */

struct adding_scheme {
	struct acct_scheme scheme;
	bool found;
	struct otd_bytes state;
};

struct adding {
	struct acct_pool *pool; /* known already, or made for this */
	bool fresh;
	size_t slot;
	int64_t fee_ppm;
	uint64_t id;
	struct adding_scheme *schemes;
	size_t n;
};

struct otd_acct_addition {
	struct otd_accounting *a; /* NULL: it is gone meanwhile */
	otd_acct_prepared_fn done;
	void *arg;
	struct adding *pools;
	size_t n;
};

void otd_accounting_discard(struct otd_acct_addition *add)
{
	if (!add)
		return;
	for (size_t i = 0; i < add->n; i++) {
		struct adding *p = &add->pools[i];
		for (size_t k = 0; k < p->n; k++) {
			acct_scheme_finish(&p->schemes[k].scheme);
			otd_bytes_finish(&p->schemes[k].state);
		}
		free(p->schemes);
		if (p->fresh)
			pool_free(p->pool);
	}
	if (add->a)
		add->a->adding = NULL;
	free(add->pools);
	free(add);
}

void acct_adding_forget(struct otd_accounting *a)
{
	if (a->adding)
		a->adding->a = NULL;
	a->adding = NULL;
}

static bool has_scheme(const struct acct_pool *p, const char *name)
{
	for (size_t i = 0; i < p->n_schemes; i++)
		if (strcmp(p->schemes[i].name, name) == 0)
			return true;
	return false;
}

static otd_rc prepare_pool(struct otd_accounting *a, struct adding *to,
			   const struct otd_acct_pool *from, struct otd_err *err)
{
	size_t n = strlen(from->name);
	otd_rc rc = check_pool(from, err);
	if (rc)
		return rc;
	to->slot = from->slot;
	to->fee_ppm = from->fee_ppm;
	to->pool = known(a, from->name, n);
	to->fresh = !to->pool;
	if (to->fresh)
		to->pool = pool_alloc(from->name, n, from->asset, strlen(from->asset));
	to->schemes = calloc(from->n_schemes, sizeof(*to->schemes));
	if (!to->pool || !to->schemes)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	if (strcmp(to->pool->asset, from->asset) != 0)
		return otd_fail(err, OTD_E_INVALID,
				"pool %s: the database knows it with the asset %s, not %s; give "
				"the pool of the new coin another name",
				from->name, to->pool->asset, from->asset);
	if (!to->pool->schemes)
		to->pool->schemes = calloc(ACCT_SCHEMES, sizeof(*to->pool->schemes));
	if (!to->pool->schemes)
		return otd_fail(err, OTD_E_NOMEM, "accounting: out of memory");
	to->id = to->pool->id;
	for (size_t k = 0; rc == OTD_OK && k < from->n_schemes; k++) {
		if (has_scheme(to->pool, from->schemes[k].name))
			continue;
		if (to->pool->n_schemes + to->n == ACCT_SCHEMES)
			return otd_fail(err, OTD_E_RANGE,
					"pool %s: more than %d payout schemes since the start; "
					"restart",
					from->name, ACCT_SCHEMES);
		struct adding_scheme *s = &to->schemes[to->n++];
		otd_bytes_init(&s->state, 256u << 20);
		s->scheme.pool = to->pool;
		rc = acct_scheme_create(&s->scheme, &from->schemes[k], err);
	}
	return rc;
}

static otd_rc take_state(void *ctx, const struct otd_value *c, size_t n)
{
	struct adding_scheme *s = ctx;
	(void)n;
	s->found = true;
	otd_bytes_clear(&s->state);
	return otd_bytes_add(&s->state, c[0].bytes.ptr, c[0].bytes.len);
}

static otd_rc read_states(void *arg, struct otd_db *db, struct otd_err *err) /* [store] */
{
	static const uint32_t wants[] = {OTD_VALUE_BLOB};
	struct otd_acct_addition *add = arg;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; i < add->n; i++) {
		struct adding *p = &add->pools[i];
		for (size_t k = 0; rc == OTD_OK && p->id && k < p->n; k++) {
			const struct otd_value v[] = {OTD_INT(p->id),
						      OTD_TEXT(p->schemes[k].scheme.name)};
			p->schemes[k].found = false;
			rc = otd_db_query(db,
					  "SELECT state FROM payout_state WHERE pool_id = ? AND "
					  "scheme = ?",
					  v, 2, wants, 1, take_state, &p->schemes[k], err);
		}
	}
	return rc;
}

static void states_read(void *arg, const struct otd_err *read)
{
	struct otd_acct_addition *add = arg;
	struct otd_err err = *read;
	if (!add->a) {
		otd_accounting_discard(add);
		return;
	}
	for (size_t i = 0; i < add->n; i++) {
		struct adding *p = &add->pools[i];
		for (size_t k = 0; err.rc == OTD_OK && k < p->n; k++)
			if (p->schemes[k].found)
				err.rc = acct_scheme_restore(&p->schemes[k].scheme,
							     otd_bytes_span(&p->schemes[k].state),
							     0, &err);
	}
	otd_acct_prepared_fn done = add->done;
	void *to = add->arg;
	if (err.rc) {
		otd_accounting_discard(add);
		add = NULL;
	}
	done(to, add, &err);
}

otd_rc otd_accounting_prepare(struct otd_accounting *a, const struct otd_acct_pool *pools, size_t n,
			      otd_acct_prepared_fn done, void *arg, struct otd_err *err)
{
	struct otd_acct_addition *add = calloc(1, sizeof(*add));
	otd_rc rc = OTD_E_NOMEM;
	if (a->adding) {
		free(add);
		return otd_fail(err, OTD_E_BUSY, "accounting: pools are being added already");
	}
	if (add)
		add->pools = calloc(n ? n : 1, sizeof(*add->pools));
	if (!add || !add->pools || pools_room(a, n)) {
		rc = otd_fail(err, rc, "accounting: out of memory");
		goto out;
	}
	add->a = a;
	add->done = done;
	add->arg = arg;
	rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < n; i++) {
		add->n++;
		rc = prepare_pool(a, &add->pools[i], &pools[i], err);
	}
	if (rc == OTD_OK) {
		rc = otd_store_do(a->store, false, read_states, states_read, add);
		if (rc)
			otd_fail(err, rc, "the database takes no request: %s", otd_rc_name(rc));
	}
	if (rc == OTD_OK)
		a->adding = add;
out:
	if (rc && add && add->pools) {
		add->a = NULL;
		otd_accounting_discard(add);
	} else if (rc) {
		free(add);
	}
	return rc;
}

/* Its row comes with the next transaction. */
static bool new_row(struct otd_accounting *a, struct acct_pool *p)
{
	struct acct_commit *t = acct_pending(a);
	struct acct_new_pool *row =
		t ? acct_room(t->pools, &t->n_pools, &t->cap_pools, sizeof(*row)) : NULL;
	char *name = acct_copy(p->name, strlen(p->name));
	char *asset = acct_copy(p->asset, strlen(p->asset));
	if (row)
		t->pools = row;
	if (!row || !name || !asset) {
		free(name);
		free(asset);
		return false;
	}
	p->id = ++a->last_pool;
	t->pools[t->n_pools++] = (struct acct_new_pool){p->id, name, asset};
	return true;
}

/* Blocks of a pool that came back get their schemes, and are watched again. */
static void wake_blocks(struct otd_accounting *a, struct acct_pool *p)
{
	for (struct acct_block *b = a->blocks; b; b = b->next) {
		if (b->pool != p)
			continue;
		for (size_t k = 0; !b->scheme && k < p->n_schemes; k++)
			if (strcmp(p->schemes[k].name, b->scheme_name) == 0)
				b->scheme = &p->schemes[k];
		if (b->state >= OTD_BLOCK_MATURE || !b->in_sql || !a->events.block)
			continue;
		struct otd_acct_block view;
		b->told = true;
		acct_block_view(b, &view);
		a->events.block(a->events.arg, &view);
	}
}

static void add_pool(struct otd_accounting *a, struct adding *from, int64_t time_ms)
{
	struct acct_pool *p = from->pool;
	bool back = !p->live;
	if (from->fresh) {
		a->pools[a->n_pools++] = p; /* room was made */
		from->fresh = false;
		if (!new_row(a, p))
			acct_stop(a, "out of memory");
	}
	for (size_t k = 0; k < from->n; k++) {
		struct acct_scheme *s = &p->schemes[p->n_schemes++];
		*s = from->schemes[k].scheme;
		/* It has missed nothing: what comes now is its first. */
		s->seq = a->applied;
		from->schemes[k].scheme = (struct acct_scheme){0};
	}
	p->slot = from->slot;
	p->live = true;
	want_fee(p, from->fee_ppm, time_ms);
	if (back)
		wake_blocks(a, p);
}

void otd_accounting_add(struct otd_accounting *a, struct otd_acct_addition *add, int64_t time_ms)
{
	for (size_t i = 0; i < add->n; i++)
		add_pool(a, &add->pools[i], time_ms);
	otd_accounting_discard(add);
	acct_terms_due(a);
	(void)acct_pending(a);
	a->urgent = true;
}

void otd_accounting_remove(struct otd_accounting *a, const char *pool)
{
	struct acct_pool *p = acct_pool_named(a, pool, strlen(pool));
	if (p)
		p->live = false;
}

bool otd_accounting_is_done(const struct otd_accounting *a, const char *pool, uint64_t epoch,
			    uint64_t seq, uint64_t *merged)
{
	for (const struct acct_epoch *ep = a->epochs; ep && !*merged; ep = ep->next_epoch)
		if (ep->epoch == epoch && ep->applied <= seq)
			return false;
	/* From here on nothing of it comes; other pools go on, and the position with them. */
	if (!*merged)
		*merged = a->applied;
	if (a->position < *merged)
		return false;
	for (const struct acct_block *b = a->blocks; b; b = b->next)
		if (b->state < OTD_BLOCK_MATURE && strcmp(b->pool_name, pool) == 0)
			return false;
	return true;
}
