/* Accounts with a fee of their own, in the place of their pool's: see otd_accounting_account_fee(). */
#include "base/log.h"
#include "pool/acct/acct.h"
#include <stdlib.h>
#include <string.h>

#define PPM     1000000
#define OF_POOL (-1)

struct acct_fee {
	struct acct_terms *terms; /* in the order of the journal; fee_ppm OF_POOL: the pool's */
	size_t n, cap;
	int64_t said; /* the last one in the journal, maybe not applied yet */
};

void acct_account_fee_free(struct acct_account *c)
{
	if (c->fee)
		free(c->fee->terms);
	free(c->fee);
	c->fee = NULL;
}

static struct acct_fee *fee_of(struct acct_account *c)
{
	if (!c->fee) {
		c->fee = calloc(1, sizeof(*c->fee));
		if (c->fee)
			c->fee->said = OF_POOL;
	}
	return c->fee;
}

otd_rc acct_account_terms_add(struct acct_account *c, const struct acct_terms *t)
{
	struct acct_fee *f = fee_of(c);
	struct acct_terms *to = f ? acct_room(f->terms, &f->n, &f->cap, sizeof(*to)) : NULL;
	if (!to)
		return OTD_E_NOMEM;
	f->terms = to;
	f->terms[f->n++] = *t;
	f->said = t->fee_ppm;
	return OTD_OK;
}

static int64_t fee_at(const struct acct_account *c, int64_t time_ms)
{
	const struct acct_fee *f = c->fee;
	for (size_t i = f ? f->n : 0; i-- > 0;)
		if (f->terms[i].since_ms <= time_ms)
			return f->terms[i].fee_ppm;
	return OF_POOL;
}

static struct acct_account *find(const struct otd_accounting *a, const struct acct_pool *p,
				 const char *address, size_t n)
{
	uint8_t key[8 + 512];
	uint64_t index;
	if (n > 512)
		return NULL;
	memcpy(key, &p->id, 8);
	memcpy(key + 8, address, n);
	return otd_map_get(a->account_map, key, 8 + n, &index) ? a->accounts[index - 1] : NULL;
}

bool acct_account_terms_read(struct otd_accounting *a, struct otd_span payload,
			     struct acct_account **c, struct acct_terms *t)
{
	struct otd_rec_account_terms r;
	*c = NULL;
	if (payload.len < sizeof(r))
		return false;
	memcpy(&r, payload.ptr, sizeof(r));
	if (payload.len - sizeof(r) < (size_t)r.pool_len + r.account_len)
		return false;
	const char *pool = (const char *)payload.ptr + sizeof(r), *account = pool + r.pool_len;
	for (size_t i = 0; i < a->n_pools && !*c; i++)
		if (strlen(a->pools[i]->name) == r.pool_len &&
		    memcmp(a->pools[i]->name, pool, r.pool_len) == 0)
			*c = find(a, a->pools[i], account, r.account_len);
	*t = (struct acct_terms){.fee_ppm = r.fee_ppm == OTD_FEE_OF_POOL ? OF_POOL
									 : (int64_t)r.fee_ppm,
				 .since_ms = r.time_ms};
	return *c != NULL;
}

void acct_account_terms_apply(struct otd_accounting *a, const struct acct_entry *e)
{
	if (a->replaying) /* SQL had it */
		return;
	struct acct_commit *t = acct_pending(a);
	struct acct_new_account_terms *row = t ? acct_room(t->account_terms, &t->n_account_terms,
							   &t->cap_account_terms, sizeof(*row))
					       : NULL;
	if (row)
		t->account_terms = row;
	int64_t said = e->terms_of_account->fee ? e->terms_of_account->fee->said : OF_POOL;
	if (!row || acct_account_terms_add(e->terms_of_account, &e->terms) != OTD_OK) {
		acct_stop(a, "out of memory");
		return;
	}
	/* One that was said meanwhile is the last one still; at a start this one is. */
	if (a->started)
		e->terms_of_account->fee->said = said;
	t->account_terms[t->n_account_terms++] =
		(struct acct_new_account_terms){e->terms_of_account->id, e->terms};
	otd_log(OTD_LOG_INFO, "pool", "fee.of_account", "pool=%s account=%s fee_ppm=%lld",
		e->terms_of_account->pool->name, e->terms_of_account->address,
		(long long)e->terms.fee_ppm);
}

otd_rc otd_accounting_account_fee(struct otd_accounting *a, const char *pool, const char *account,
				  int64_t fee_ppm, int64_t time_ms)
{
	struct acct_pool *p = acct_pool_named(a, pool, strlen(pool));
	struct acct_account *c = p ? find(a, p, account, strlen(account)) : NULL;
	struct otd_rec_account_terms r = {
		.time_ms = time_ms, .fee_ppm = fee_ppm < 0 ? OTD_FEE_OF_POOL : (uint32_t)fee_ppm};
	uint8_t buf[sizeof(r) + 256 + 512];
	if (!c)
		return OTD_E_NOT_FOUND;
	if (fee_ppm > PPM)
		return OTD_E_RANGE;
	if (fee_ppm < 0)
		fee_ppm = OF_POOL;
	if ((c->fee ? c->fee->said : OF_POOL) == fee_ppm)
		return OTD_OK;
	struct acct_fee *f = a->stopped[0] ? NULL : fee_of(c);
	struct acct_entry *e = f ? acct_entry_create() : NULL;
	if (!e)
		return OTD_E_BUSY;
	r.pool_len = (uint16_t)strnlen(p->name, 256);
	r.account_len = (uint16_t)strnlen(c->address, 512);
	memcpy(buf, &r, sizeof(r));
	memcpy(buf + sizeof(r), p->name, r.pool_len);
	memcpy(buf + sizeof(r) + r.pool_len, c->address, r.account_len);
	if (otd_journal_append(a->journal, OTD_REC_ACCOUNT_TERMS, buf,
			       sizeof(r) + r.pool_len + r.account_len, &e->cseq)) {
		acct_entry_free(e);
		return OTD_E_BUSY;
	}
	e->terms_of_account = c;
	e->terms = (struct acct_terms){e->cseq, fee_ppm, time_ms};
	*a->entries_end = e;
	a->entries_end = &e->next;
	a->n_entries++;
	a->last_terms = e->cseq;
	f->said = fee_ppm;
	return OTD_OK;
}

void otd_accounting_account_fees(const struct otd_accounting *a,
				 void (*each)(void *arg, const char *pool, const char *account,
					      int64_t fee_ppm),
				 void *arg)
{
	for (size_t i = 0; i < a->n_accounts; i++) {
		const struct acct_account *c = a->accounts[i];
		if (c->fee && c->fee->said >= 0)
			each(arg, c->pool->name, c->address, c->fee->said);
	}
}

otd_i128 acct_own_fees(struct otd_accounting *a, int64_t time_ms, int64_t pool_ppm,
		       struct acct_credit *credits, size_t *n)
{
	otd_i128 more = 0;
	size_t kept = 0;
	if (pool_ppm < 0 || pool_ppm >= PPM)
		return 0; /* nothing is left to anybody */
	for (size_t i = 0; i < *n; i++) {
		const struct acct_account *c = acct_account_by_id(a, credits[i].account);
		int64_t own = c ? fee_at(c, time_ms) : OF_POOL;
		otd_i128 gets = credits[i].amount;
		if (own >= 0 && own != pool_ppm &&
		    otd_i128_muldiv(&gets, NULL, credits[i].amount, (otd_u128)(PPM - own),
				    (otd_u128)(PPM - pool_ppm)) != OTD_OK)
			gets = credits[i].amount;
		more += credits[i].amount - gets;
		/* A ledger has no entries of nothing. */
		if (gets > 0)
			credits[kept++] = (struct acct_credit){credits[i].account, gets};
	}
	*n = kept;
	return more;
}
