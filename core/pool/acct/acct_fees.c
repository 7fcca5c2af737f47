/* Accounts with a fee of their own, in the place of their pool's, and who else gets of it: see
   otd_accounting_account_fee() and fees.h. */
#include "base/log.h"
#include "pool/acct/acct.h"
#include "pool/acct/fees_pack.h"
#include <stdlib.h>
#include <string.h>

#define PPM     1000000
#define OF_POOL (-1)

struct acct_fee {
	struct acct_account_terms
		*terms; /* in the order of the journal; fee_ppm OF_POOL: the pool's */
	size_t n, cap;
	/* The last one in the journal, maybe not applied yet; of recipients what the record says. */
	int64_t said;
	uint8_t *said_to;
	size_t said_len;
	/* while a block is divided */
	const struct acct_account_terms *due_of; /* NULL: not met yet */
	otd_i128 due;
	struct acct_fee *next_due;
};

void acct_account_fee_free(struct acct_account *c)
{
	if (c->fee) {
		free(c->fee->terms);
		free(c->fee->said_to);
	}
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

static otd_rc terms_add(struct acct_account *c, const struct acct_account_terms *t)
{
	struct acct_fee *f = fee_of(c);
	struct acct_account_terms *to = f ? acct_room(f->terms, &f->n, &f->cap, sizeof(*to)) : NULL;
	if (!to)
		return OTD_E_NOMEM;
	f->terms = to;
	f->terms[f->n++] = *t;
	return OTD_OK;
}

static const struct acct_account_terms *terms_at(const struct acct_account *c, int64_t time_ms)
{
	const struct acct_fee *f = c->fee;
	for (size_t i = f ? f->n : 0; i-- > 0;)
		if (f->terms[i].at.since_ms <= time_ms)
			return f->terms[i].at.fee_ppm >= 0 ? &f->terms[i] : NULL;
	return NULL;
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

int64_t otd_accounting_account_since(const struct otd_accounting *a, const char *pool,
				     const char *account)
{
	const struct acct_pool *p = acct_pool_named(a, pool, strlen(pool));
	const struct acct_account *c = p ? find(a, p, account, strlen(account)) : NULL;
	return c ? c->since_ms : 0;
}

/* --- what was said last --- */

static uint8_t *copy_of(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);
	if (copy && len)
		memcpy(copy, bytes, len);
	return copy;
}

/* Takes to. */
static void said_now(struct acct_fee *f, int64_t ppm, uint8_t *to, size_t len)
{
	free(f->said_to);
	f->said = ppm;
	f->said_to = to;
	f->said_len = len;
}

static bool is_said(const struct acct_fee *f, int64_t ppm, const uint8_t *to, size_t len)
{
	if (!f)
		return ppm == OF_POOL && !len;
	return f->said == ppm && f->said_len == len && (!len || memcmp(f->said_to, to, len) == 0);
}

/* --- records --- */

bool acct_account_terms_read(struct otd_accounting *a, struct otd_span payload,
			     struct acct_entry *e)
{
	struct otd_rec_account_terms r;
	struct otd_acct_recipient to[OTD_ACCT_RECIPIENTS];
	struct acct_account *c = NULL;
	size_t n;
	if (payload.len < sizeof(r))
		return false;
	memcpy(&r, payload.ptr, sizeof(r));
	if (payload.len - sizeof(r) < (size_t)r.pool_len + r.account_len)
		return false;
	const char *pool = (const char *)payload.ptr + sizeof(r), *account = pool + r.pool_len;
	const size_t head = sizeof(r) + r.pool_len + r.account_len;
	for (size_t i = 0; i < a->n_pools && !c; i++)
		if (strlen(a->pools[i]->name) == r.pool_len &&
		    memcmp(a->pools[i]->name, pool, r.pool_len) == 0)
			c = find(a, a->pools[i], account, r.account_len);
	if (!c || !acct_recipients_unpack(to, &n, payload.ptr + head, payload.len - head) ||
	    otd_bytes_add(&e->records, payload.ptr + head, payload.len - head) != OTD_OK)
		return false;
	e->terms_of_account = c;
	e->terms = (struct acct_terms){.fee_ppm = r.fee_ppm == OTD_FEE_OF_POOL ? OF_POOL
									       : (int64_t)r.fee_ppm,
				       .since_ms = r.time_ms};
	return true;
}

static int by_number(const void *a, const void *b)
{
	const struct acct_gift *x = a, *y = b;
	return x->account < y->account ? -1 : x->account > y->account;
}

/* Those of an entry as accounts, made where nobody knows them yet. */
static bool gifts_of(struct otd_accounting *a, const struct acct_entry *e,
		     struct acct_account_terms *t)
{
	struct otd_acct_recipient to[OTD_ACCT_RECIPIENTS];
	size_t n;
	if (!acct_recipients_unpack(to, &n, e->records.ptr, e->records.len))
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct acct_account *c = acct_account(a, e->terms_of_account->pool,
							    to[i].address, e->terms.since_ms);
		if (!c)
			return false;
		t->to[t->n_to++] = (struct acct_gift){c->id, to[i].ppm};
	}
	if (n > 1)
		qsort(t->to, n, sizeof(t->to[0]), by_number);
	return true;
}

void acct_account_terms_apply(struct otd_accounting *a, const struct acct_entry *e)
{
	struct acct_account_terms terms = {.at = e->terms};
	struct acct_account *c = e->terms_of_account;
	if (a->replaying) /* SQL had it */
		return;
	struct acct_commit *t = acct_pending(a);
	struct acct_new_account_terms *row = t ? acct_room(t->account_terms, &t->n_account_terms,
							   &t->cap_account_terms, sizeof(*row))
					       : NULL;
	if (row)
		t->account_terms = row;
	/* One that was said meanwhile is the last one still; at a start this one is. */
	uint8_t *said = a->started ? NULL : copy_of(e->records.ptr, e->records.len);
	if (!row || (!said && !a->started) || !gifts_of(a, e, &terms) ||
	    terms_add(c, &terms) != OTD_OK) {
		free(said);
		acct_stop(a, "out of memory");
		return;
	}
	if (said)
		said_now(c->fee, e->terms.fee_ppm, said, e->records.len);
	t->account_terms[t->n_account_terms++] = (struct acct_new_account_terms){c->id, terms};
	otd_log(OTD_LOG_INFO, "pool", "fee.of_account",
		"pool=%s account=%s fee_ppm=%lld recipients=%zu", c->pool->name, c->address,
		(long long)e->terms.fee_ppm, terms.n_to);
}

otd_rc otd_accounting_account_fee_to(struct otd_accounting *a, const char *pool,
				     const char *account, const struct otd_acct_account_fee *fee,
				     int64_t time_ms)
{
	struct acct_pool *p = acct_pool_named(a, pool, strlen(pool));
	struct acct_account *c = p ? find(a, p, account, strlen(account)) : NULL;
	struct otd_acct_account_fee to = *fee;
	const int64_t ppm = fee->ppm < 0 ? OF_POOL : fee->ppm;
	uint8_t buf[sizeof(struct otd_rec_account_terms) + 256 + 512 + ACCT_RECIPIENTS_BYTES],
		tail[ACCT_RECIPIENTS_BYTES];
	if (!c)
		return OTD_E_NOT_FOUND;
	if (ppm > PPM || to.n_to > OTD_ACCT_RECIPIENTS)
		return OTD_E_RANGE;
	if (ppm < 0)
		to.n_to = 0;
	otd_rc rc = acct_recipients_order(to.to, &to.n_to);
	if (rc)
		return rc;
	const size_t n_tail = acct_recipients_pack(tail, to.to, to.n_to);
	if (is_said(c->fee, ppm, tail, n_tail))
		return OTD_OK;
	struct acct_fee *f = a->stopped[0] ? NULL : fee_of(c);
	struct acct_entry *e = f ? acct_entry_create() : NULL;
	uint8_t *said = e ? copy_of(tail, n_tail) : NULL;
	struct otd_rec_account_terms r = {
		.time_ms = time_ms,
		.fee_ppm = ppm < 0 ? OTD_FEE_OF_POOL : (uint32_t)ppm,
		.pool_len = (uint16_t)strnlen(p->name, 256),
		.account_len = (uint16_t)strnlen(c->address, 512),
	};
	const size_t head = sizeof(r) + r.pool_len + r.account_len;
	memcpy(buf, &r, sizeof(r));
	memcpy(buf + sizeof(r), p->name, r.pool_len);
	memcpy(buf + sizeof(r) + r.pool_len, c->address, r.account_len);
	memcpy(buf + head, tail, n_tail);
	/* What may fail comes before the record: what is in the journal holds. */
	if (!said || otd_bytes_add(&e->records, tail, n_tail) != OTD_OK ||
	    otd_journal_append(a->journal, OTD_REC_ACCOUNT_TERMS, buf, head + n_tail, &e->cseq)) {
		free(said);
		acct_entry_free(e);
		return OTD_E_BUSY;
	}
	said_now(f, ppm, said, n_tail);
	e->terms_of_account = c;
	e->terms = (struct acct_terms){e->cseq, ppm, time_ms};
	*a->entries_end = e;
	a->entries_end = &e->next;
	a->n_entries++;
	a->last_terms = e->cseq;
	return OTD_OK;
}

otd_rc otd_accounting_account_fee(struct otd_accounting *a, const char *pool, const char *account,
				  int64_t fee_ppm, int64_t time_ms)
{
	const struct otd_acct_account_fee fee = {.ppm = fee_ppm};
	return otd_accounting_account_fee_to(a, pool, account, &fee, time_ms);
}

void otd_accounting_account_fees_to(const struct otd_accounting *a,
				    void (*each)(void *arg, const char *pool, const char *account,
						 const struct otd_acct_account_fee *fee),
				    void *arg)
{
	for (size_t i = 0; i < a->n_accounts; i++) {
		const struct acct_account *c = a->accounts[i];
		struct otd_acct_account_fee fee;
		if (!c->fee || c->fee->said < 0) /* most of them: nothing is cleared for those */
			continue;
		fee.ppm = c->fee->said;
		if (acct_recipients_unpack(fee.to, &fee.n_to, c->fee->said_to, c->fee->said_len))
			each(arg, c->pool->name, c->address, &fee);
	}
}

struct plain {
	void (*each)(void *arg, const char *pool, const char *account, int64_t fee_ppm);
	void *arg;
};

static void each_plain(void *arg, const char *pool, const char *account,
		       const struct otd_acct_account_fee *fee)
{
	const struct plain *p = arg;
	p->each(p->arg, pool, account, fee->ppm);
}

void otd_accounting_account_fees(const struct otd_accounting *a,
				 void (*each)(void *arg, const char *pool, const char *account,
					      int64_t fee_ppm),
				 void *arg)
{
	struct plain p = {each, arg};
	otd_accounting_account_fees_to(a, each_plain, &p);
}

/* --- a block --- */

struct divided {
	struct acct_credit *credits;
	size_t n, cap;
	otd_i128 more;        /* for the pool */
	struct acct_fee *due; /* of whose fees parts go to others */
};

static bool put(struct divided *d, uint64_t account, otd_i128 amount)
{
	if (amount <= 0) /* a ledger has no entries of nothing */
		return true;
	struct acct_credit *to = acct_room(d->credits, &d->n, &d->cap, sizeof(*to));
	if (!to)
		return false;
	d->credits = to;
	d->credits[d->n++] = (struct acct_credit){account, amount};
	return true;
}

/* What is left of a credit, and what of it is to be divided later. */
static otd_i128 pays(struct divided *d, struct acct_fee *f, const struct acct_account_terms *t,
		     int64_t pool_ppm, otd_i128 credit)
{
	const otd_u128 whole = (otd_u128)(PPM - pool_ppm);
	const int64_t own = t->at.fee_ppm;
	otd_i128 gets = credit, fee = 0;
	if (own != pool_ppm &&
	    otd_i128_muldiv(&gets, NULL, credit, (otd_u128)(PPM - own), whole) != OTD_OK)
		gets = credit;
	if (t->n_to && otd_i128_muldiv(&fee, NULL, credit, (otd_u128)own, whole) == OTD_OK) {
		if (!f->due_of) {
			f->due_of = t;
			f->due = 0;
			f->next_due = d->due;
			d->due = f;
		}
		f->due += fee; /* all of them are less than the block's value */
	}
	return gets;
}

/* By largest remainder; of equal ones the pool comes first, then the account with the lowest number. */
static bool divide(struct divided *d, const struct acct_fee *f)
{
	const struct acct_account_terms *t = f->due_of;
	otd_i128 part[OTD_ACCT_RECIPIENTS + 1] = {0}, left = f->due;
	otd_u128 rest[OTD_ACCT_RECIPIENTS + 1] = {0};
	uint64_t ppm[OTD_ACCT_RECIPIENTS + 1] = {PPM};
	for (size_t i = 0; i < t->n_to; i++) {
		ppm[i + 1] = t->to[i].ppm;
		ppm[0] -= t->to[i].ppm;
	}
	for (size_t i = 0; i <= t->n_to; i++) {
		if (otd_i128_muldiv(&part[i], &rest[i], f->due, ppm[i], PPM) != OTD_OK)
			return true; /* beyond all money: it stays with the pool */
		left -= part[i];
	}
	while (left > 0) {
		size_t most = 0;
		for (size_t i = 1; i <= t->n_to; i++)
			if (rest[i] > rest[most])
				most = i;
		part[most]++;
		rest[most] = 0;
		left--;
	}
	for (size_t i = 0; i < t->n_to; i++) {
		if (!put(d, t->to[i].account, part[i + 1]))
			return false;
		d->more -= part[i + 1];
	}
	return true;
}

otd_i128 acct_own_fees(struct otd_accounting *a, int64_t time_ms, int64_t pool_ppm,
		       struct acct_credit **credits, size_t *n)
{
	struct divided d = {.credits = *credits, .cap = *n};
	bool fine = true;
	if (pool_ppm < 0 || pool_ppm >= PPM)
		return 0; /* nothing is left to anybody */
	for (size_t i = 0; i < *n; i++) {
		const struct acct_credit c = d.credits[i];
		const struct acct_account *of = acct_account_by_id(a, c.account);
		const struct acct_account_terms *t = of ? terms_at(of, time_ms) : NULL;
		otd_i128 gets = t ? pays(&d, of->fee, t, pool_ppm, c.amount) : c.amount;
		d.more += c.amount - gets;
		fine = put(&d, c.account, gets) && fine; /* in its place, or before it */
	}
	for (struct acct_fee *f = d.due, *next; f; f = next) {
		next = f->next_due;
		fine = fine && divide(&d, f);
		f->due_of = NULL;
		f->next_due = NULL;
	}
	if (!fine)
		acct_stop(a, "out of memory");
	*credits = d.credits;
	*n = d.n;
	return d.more;
}

/* --- SQL --- */

otd_rc acct_account_terms_sql(const struct acct_commit *c, struct otd_db *db,
			      struct otd_err *err) /* [store] */
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < c->n_account_terms; i++) {
		const uint64_t id = c->account_terms[i].account_id;
		const struct acct_account_terms *t = &c->account_terms[i].terms;
		const struct otd_value v[] = {OTD_INT(id), OTD_INT(t->at.seq),
					      OTD_INT(t->at.fee_ppm), OTD_INT(t->at.since_ms)};
		rc = otd_db_exec(db,
				 "INSERT INTO account_terms(account_id, seq, fee_ppm, since_ms)"
				 " VALUES(?, ?, ?, ?)",
				 v, 4, NULL, NULL, err);
		for (size_t k = 0; rc == OTD_OK && k < t->n_to; k++) {
			const struct otd_value g[] = {OTD_INT(id), OTD_INT(t->at.seq),
						      OTD_INT(t->to[k].account),
						      OTD_INT(t->to[k].ppm)};
			rc = otd_db_exec(db,
					 "INSERT INTO account_recipients(account_id, seq,"
					 " recipient, ppm) VALUES(?, ?, ?, ?)",
					 g, 4, NULL, NULL, err);
		}
	}
	return rc;
}

struct reading {
	struct otd_accounting *a;
	uint64_t before;
};

static otd_rc take_terms(void *ctx, const struct otd_value *c, size_t n)
{
	struct reading *r = ctx;
	struct acct_account *of = acct_account_by_id(r->a, (uint64_t)c[0].i);
	const struct acct_account_terms t = {
		.at = {.seq = (uint64_t)c[1].i, .fee_ppm = c[2].i, .since_ms = c[3].i}};
	(void)n;
	return of && t.at.seq < r->before ? terms_add(of, &t) : OTD_OK;
}

static otd_rc take_gift(void *ctx, const struct otd_value *c, size_t n)
{
	struct reading *r = ctx;
	const struct acct_account *of = acct_account_by_id(r->a, (uint64_t)c[0].i);
	struct acct_fee *f = of ? of->fee : NULL;
	int64_t left = PPM;
	(void)n;
	for (size_t i = f ? f->n : 0; i-- > 0;) {
		struct acct_account_terms *t = &f->terms[i];
		if (t->at.seq != (uint64_t)c[1].i)
			continue;
		for (size_t k = 0; k < t->n_to; k++)
			left -= t->to[k].ppm;
		if (t->n_to == OTD_ACCT_RECIPIENTS || c[3].i < 0 || c[3].i > left)
			return OTD_E_CORRUPT;
		t->to[t->n_to++] = (struct acct_gift){(uint64_t)c[2].i, (uint32_t)c[3].i};
		break;
	}
	return OTD_OK;
}

/* The newest terms are what was said last. */
static otd_rc said_of_terms(const struct otd_accounting *a, struct acct_fee *f)
{
	struct otd_acct_recipient to[OTD_ACCT_RECIPIENTS] = {0};
	uint8_t tail[ACCT_RECIPIENTS_BYTES];
	const struct acct_account_terms *t = &f->terms[f->n - 1];
	size_t n = 0;
	for (size_t i = 0; i < t->n_to; i++) {
		const struct acct_account *c = acct_account_by_id(a, t->to[i].account);
		if (!c || strlen(c->address) >= OTD_ACCT_ADDRESS)
			return OTD_E_CORRUPT;
		memcpy(to[n].address, c->address, strlen(c->address) + 1);
		to[n++].ppm = t->to[i].ppm;
	}
	if (acct_recipients_order(to, &n) != OTD_OK)
		return OTD_E_CORRUPT;
	const size_t len = acct_recipients_pack(tail, to, n);
	uint8_t *said = copy_of(tail, len);
	if (!said)
		return OTD_E_NOMEM;
	said_now(f, t->at.fee_ppm, said, len);
	return OTD_OK;
}

otd_rc acct_account_terms_load(struct otd_accounting *a, uint64_t before, struct otd_db *db,
			       struct otd_err *err) /* [store] */
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT,
					 OTD_VALUE_INT};
	struct reading r = {a, before};
	otd_rc rc = otd_db_query(db,
				 "SELECT account_id, seq, fee_ppm, since_ms FROM account_terms"
				 " ORDER BY seq",
				 NULL, 0, wants, 4, take_terms, &r, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT account_id, seq, recipient, ppm FROM account_recipients"
				  " ORDER BY seq, account_id, recipient",
				  NULL, 0, wants, 4, take_gift, &r, err);
	for (size_t i = 0; rc == OTD_OK && i < a->n_accounts; i++)
		if (a->accounts[i]->fee && a->accounts[i]->fee->n)
			rc = said_of_terms(a, a->accounts[i]->fee);
	if (rc == OTD_E_CORRUPT && err && !err->rc)
		otd_fail(err, rc,
			 "accounting: recipients of an account's fee are not as they were written; "
			 "restore a backup");
	return rc;
}
