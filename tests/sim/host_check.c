/* The judge: what the pool wrote, counted and paid, against what miners and the chain know. */
#include "host.h"
#include "ledger/ledger.h"
#include "ledger/payment.h"
#include "pool/journal/journal_format.h"
#include "pool/journal/record.h"
#include "sim_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PAYMENTS 4096

/* --- journals, as they are written --- */

static struct host_epoch *epoch_of(struct host *h, uint64_t epoch, bool make)
{
	for (size_t i = h->n_epochs; i-- > 0;)
		if (h->epochs[i].epoch == epoch)
			return &h->epochs[i];
	if (!make)
		return NULL;
	h->epochs = sim_more(h->epochs, (h->n_epochs + 1) * sizeof(*h->epochs));
	struct host_epoch *e = &h->epochs[h->n_epochs++];
	*e = (struct host_epoch){.epoch = epoch};
	for (size_t i = 0; i < sizeof(e->miner_of) / sizeof(e->miner_of[0]); i++)
		e->miner_of[i] = -1;
	return e;
}

static struct host_record *record_at(struct host_epoch *e, uint64_t seq)
{
	while (e->cap < seq) {
		size_t cap = e->cap ? 2 * e->cap : 1024;
		e->rec = sim_more(e->rec, cap * sizeof(*e->rec));
		memset(e->rec + e->cap, 0, (cap - e->cap) * sizeof(*e->rec));
		e->cap = cap;
	}
	if (e->n < seq)
		e->n = seq;
	return &e->rec[seq - 1];
}

static void take_worker(struct host *h, struct host_epoch *e, const uint8_t *p)
{
	struct otd_rec_worker w;
	char name[16], has[128];
	memcpy(&w, p, sizeof(w));
	const uint8_t *account = p + sizeof(w) + w.pool_len;
	if (w.worker >= 256)
		host_fail(h, "epoch %llu has worker number %u", (unsigned long long)e->epoch,
			  w.worker);
	for (uint32_t m = 0; m < MODEL_MINERS; m++) {
		const char *address = h->address[sim_miner_account(m)];
		sim_miner_name(name, m);
		(void)snprintf(has, sizeof(has), "%.*s.%.*s", w.account_len, (const char *)account,
			       w.name_len, (const char *)account + w.account_len);
		if (strncmp(has, address, strlen(address)) == 0 &&
		    strcmp(has + strlen(address) + 1, name) == 0)
			e->miner_of[w.worker] = (int)m;
	}
	if (e->miner_of[w.worker] < 0)
		host_fail(h, "a worker is on record who never logged in: %s", has);
}

static void check_share(struct host *h, const struct host_epoch *e, uint64_t seq,
			const struct otd_rec_share *r, otd_u128 work)
{
	uint64_t hash8;
	memcpy(&hash8, r->hash_le, 8);
	struct model_share *s = model_find(&h->model, hash8);
	unsigned long long epoch = e->epoch, number = seq;
	if (!s)
		host_fail(h, "share %llu-%llu is on record, and no miner sent it", epoch, number);
	if (r->worker >= 256 || e->miner_of[r->worker] != (int)s->miner)
		host_fail(h, "share %llu-%llu is on record for another worker", epoch, number);
	if (s->kind != SHARE_GOOD && !s->block)
		host_fail(h, "share %llu-%llu is on record, and not valid (kind %d)", epoch, number,
			  (int)s->kind);
	if (s->recorded && (s->at_epoch != e->epoch || s->at_seq != seq))
		host_fail(h, "share %llu-%llu is on record as %llu-%llu too", epoch, number,
			  (unsigned long long)s->at_epoch, (unsigned long long)s->at_seq);
	/* Less than was asked for is seen when its miner hears of it: a cut may be on its way. */
	if (work > otd_target_work(s->target))
		host_fail(h, "share %llu-%llu has more work than its miner was asked for", epoch,
			  number);
	s->recorded = 1;
	s->at_epoch = e->epoch;
	s->at_seq = seq;
	s->work = work;
}

static void take_share(struct host *h, struct host_epoch *e, uint64_t seq, const uint8_t *p)
{
	struct otd_rec_share r;
	uint64_t hash8;
	otd_u128 work;
	memcpy(&r, p, sizeof(r));
	memcpy(&hash8, r.hash_le, 8);
	memcpy(&work, r.work, 16);
	check_share(h, e, seq, &r, work);
	const struct model_share *s = model_find(&h->model, hash8);
	struct host_record *at = record_at(e, seq);
	uint32_t number = (uint32_t)(s - h->model.share) + 1;
	if (at->kind != RECORD_NONE && (at->kind != RECORD_SHARE || at->share != number))
		host_fail(h, "sequence %llu-%llu is written anew with another record",
			  (unsigned long long)e->epoch, (unsigned long long)seq);
	*at = (struct host_record){
		.kind = RECORD_SHARE, .share = number, .miner = s->miner, .work = work};
}

static void take_block(struct host *h, struct host_epoch *e, uint64_t seq, const uint8_t *p)
{
	struct otd_rec_block r;
	memcpy(&r, p, sizeof(r));
	struct host_record *at = record_at(e, seq), b = {.kind = RECORD_BLOCK};
	memcpy(b.hash, r.hash, 32);
	memcpy(&b.value, r.value, 16);
	b.share_seq = r.share_seq;
	h->wrote_block = true;
	memcpy(h->block_hash, r.hash, 32);
	memcpy(h->block_prev, r.prev, 32);
	if (r.share_seq + 1 != seq)
		host_fail(h, "a block is on record at %llu, its share at %llu",
			  (unsigned long long)seq, (unsigned long long)r.share_seq);
	*at = b;
}

static void take_frame(struct host *h, struct host_epoch *e, const struct otd_journal_frame *f,
		       const uint8_t *p)
{
	switch (f->type) {
	case OTD_REC_WORKER: take_worker(h, e, p); break;
	case OTD_REC_SHARE: take_share(h, e, f->seq, p); return;
	case OTD_REC_BLOCK: take_block(h, e, f->seq, p); return;
	default: break;
	}
	if (f->seq == 0) /* stated again for a new segment */
		return;
	struct host_record *at = record_at(e, f->seq);
	if (at->kind == RECORD_NONE)
		at->kind = RECORD_OTHER;
}

void host_on_write(void *host, const char *path, uint64_t at, const void *bytes, size_t n)
{
	struct host *h = host;
	const char *dir = strstr(path, "/journal/r-");
	const char *file = dir ? strrchr(path, '/') + 1 : NULL;
	const uint8_t *p = bytes;
	struct otd_journal_frame f;
	size_t need;
	/* Segments are NUMBER.otj; they are written by appending whole frames. */
	if (!dir || !strstr(file, ".otj") || strcmp(strchr(file, '.'), ".otj") != 0)
		return;
	uint64_t id = strtoull(file, NULL, 10);
	struct host_epoch *e = epoch_of(h, strtoull(dir + 11, NULL, 10), true);
	size_t pos = at == 0 ? OTD_JOURNAL_HEADER : 0;
	while (pos < n &&
	       otd_journal_frame_get(&f, &need, p + pos, n - pos, id) == OTD_JOURNAL_GOOD) {
		take_frame(h, e, &f, p + pos + OTD_JOURNAL_FRAME);
		pos += need;
	}
}

void host_free_records(struct host *h)
{
	for (size_t i = 0; i < h->n_epochs; i++)
		free(h->epochs[i].rec);
	free(h->epochs);
	free(h->look);
}

/* --- sums --- */

struct sums {
	uint64_t n;
	otd_u128 work;
};

struct look {
	struct host *h;
	struct host_open *open;
	/* postings since the last look */
	uint64_t posting;
	otd_i128 sum;
	/* shares */
	uint64_t next[4096];
	struct sums found[MODEL_MINERS];
	uint64_t account_id[MODEL_ACCOUNTS];
};

static otd_rc take_epoch(void *ctx, const struct otd_value *c, size_t n)
{
	struct look *k = ctx;
	(void)n;
	if (c[0].i < 0 || c[0].i >= 4096)
		return OTD_E_RANGE;
	k->next[c[0].i] = (uint64_t)c[1].i;
	return OTD_OK;
}

static otd_rc take_minutes(void *ctx, const struct otd_value *c, size_t n)
{
	struct look *k = ctx;
	char name[32];
	(void)n;
	(void)snprintf(name, sizeof(name), "%.*s", (int)c[0].bytes.len,
		       (const char *)c[0].bytes.ptr);
	unsigned long m = strncmp(name, "rig", 3) == 0 ? strtoul(name + 3, NULL, 10) : MODEL_MINERS;
	if (m >= MODEL_MINERS)
		host_fail(k->h, "the database has a worker %s who never mined", name);
	k->found[m].n += (uint64_t)c[1].i;
	k->found[m].work += (otd_u128)c[2].wide;
	return OTD_OK;
}

static otd_rc read_sums(struct look *k, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t two[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	static const uint32_t three[] = {OTD_VALUE_TEXT, OTD_VALUE_INT, OTD_VALUE_WIDE};
	otd_rc rc = otd_db_query(db, "SELECT epoch, next_seq FROM epochs", NULL, 0, two, 2,
				 take_epoch, k, err);
	return rc ? rc
		  : otd_db_query(db,
				 "SELECT w.name, m.accepted, m.work FROM share_minutes m"
				 " JOIN workers w ON w.id = m.worker_id",
				 NULL, 0, three, 3, take_minutes, k, err);
}

/* Each share up to the position that SQL keeps is in its sums, once; no other one is. */
static void check_sums(struct look *k)
{
	struct host *h = k->h;
	struct sums want[MODEL_MINERS] = {{0}};
	for (size_t i = 0; i < h->n_epochs; i++) {
		const struct host_epoch *e = &h->epochs[i];
		uint64_t next = e->epoch < 4096 ? k->next[e->epoch] : 0;
		if (next > e->n + 1)
			host_fail(h, "epoch %llu: %llu in SQL, %zu were written",
				  (unsigned long long)e->epoch, (unsigned long long)next - 1, e->n);
		for (uint64_t seq = 1; seq < next; seq++) {
			const struct host_record *r = &e->rec[seq - 1];
			if (r->kind == RECORD_NONE)
				host_fail(h,
					  "epoch %llu: SQL is past %llu, which was never written",
					  (unsigned long long)e->epoch, (unsigned long long)seq);
			if (r->kind != RECORD_SHARE)
				continue;
			want[r->miner].n++;
			want[r->miner].work += r->work;
		}
	}
	for (uint32_t m = 0; m < MODEL_MINERS; m++)
		if (want[m].n != k->found[m].n || want[m].work != k->found[m].work)
			host_fail(h, "rig%u: %llu shares in SQL, its journals have %llu there", m,
				  (unsigned long long)k->found[m].n, (unsigned long long)want[m].n);
}

/* Whoever was told "accepted" is counted. */
static void check_acknowledged(struct look *k)
{
	struct host *h = k->h;
	for (size_t i = 0; i < h->model.n; i++) {
		const struct model_share *s = &h->model.share[i];
		if (!s->acked)
			continue;
		if (!s->recorded)
			host_fail(h, "a share of rig%u was accepted and is in no journal",
				  s->miner);
		if (s->at_epoch >= 4096 || k->next[s->at_epoch] <= s->at_seq)
			host_fail(h, "share %llu-%llu of rig%u was accepted and is lost",
				  (unsigned long long)s->at_epoch, (unsigned long long)s->at_seq,
				  s->miner);
	}
}

/* --- after every commit --- */

static otd_rc take_new_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct look *k = ctx;
	(void)n;
	if ((uint64_t)c[0].i != k->posting && k->sum != 0)
		host_fail(k->h, "posting %llu does not balance", (unsigned long long)k->posting);
	k->posting = (uint64_t)c[0].i;
	k->sum += c[1].wide;
	if (k->posting > k->h->last_posting)
		k->h->last_posting = k->posting;
	return OTD_OK;
}

static otd_rc after_commit(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct look *k = arg;
	const struct otd_value v[] = {OTD_INT(k->h->last_posting)};
	otd_rc rc = otd_db_query(db,
				 "SELECT posting_id, amount FROM entries WHERE posting_id > ?"
				 " ORDER BY posting_id",
				 v, 1, wants, 2, take_new_entry, k, err);
	if (rc == OTD_OK && k->sum != 0)
		host_fail(k->h, "posting %llu does not balance", (unsigned long long)k->posting);
	if (rc == OTD_OK && k->h->commits % 16 == 0) {
		rc = read_sums(k, db, err);
		if (rc == OTD_OK)
			check_sums(k);
	}
	return rc;
}

static void looked(void *arg, const struct otd_err *err)
{
	struct look *k = arg;
	struct host *h = k->h;
	h->looking = false;
	if (err->rc && !sim_dead(h->sim) && !h->may_refuse)
		host_fail(h, "the database cannot be read: %s", err->text);
}

static struct look *look_of(struct host *h)
{
	if (!h->look)
		h->look = sim_mem(sizeof(*h->look));
	memset(h->look, 0, sizeof(*h->look));
	h->look->h = h;
	return h->look;
}

void host_on_step(void *host)
{
	struct host *h = host;
	if (!h->committed || h->looking || !h->serving || sim_dead(h->sim))
		return;
	h->looking = true;
	h->committed = false;
	if (otd_store_do(h->store, false, after_commit, looked, look_of(h)) != OTD_OK)
		h->looking = false;
}

/* --- asking the database --- */

struct errand {
	otd_store_work work;
	void *arg;
	struct otd_err err;
	bool done;
};

static otd_rc errand_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct errand *e = arg;
	return e->work(e->arg, db, err);
}

static void errand_done(void *arg, const struct otd_err *err)
{
	struct errand *e = arg;
	e->err = *err;
	e->done = true;
}

static bool errand_is_done(void *arg)
{
	return ((struct errand *)arg)->done;
}

static bool is_not_looking(void *arg)
{
	return !((struct host *)arg)->looking;
}

static void ask(struct host *h, otd_store_work work, void *arg)
{
	struct errand e = {.work = work, .arg = arg};
	(void)sim_run(h->sim, 60000, is_not_looking, h);
	h->looking = true; /* nobody else: there is one struct look */
	if (otd_store_do(h->store, false, errand_work, errand_done, &e) ||
	    !sim_run(h->sim, 60000, errand_is_done, &e) || e.err.rc)
		host_fail(h, "the database cannot be asked: %s", e.err.text);
	h->looking = false;
}

/* --- blocks --- */

struct block_row {
	uint64_t epoch, share_seq, height;
	uint32_t state;
	otd_i128 value, fee;
	uint8_t hash[32];
	bool held;
};

struct blocks {
	struct host *h;
	struct block_row *row;
	size_t n;
};

static otd_rc take_block_row(void *ctx, const struct otd_value *c, size_t n)
{
	struct blocks *b = ctx;
	(void)n;
	b->row = sim_more(b->row, (b->n + 1) * sizeof(*b->row));
	struct block_row *r = &b->row[b->n++];
	*r = (struct block_row){.epoch = (uint64_t)c[0].i,
				.share_seq = (uint64_t)c[1].i,
				.height = (uint64_t)c[2].i,
				.value = c[3].wide,
				.fee = c[4].wide,
				.state = (uint32_t)c[5].i};
	if (c[7].bytes.len == 32)
		memcpy(r->hash, c[7].bytes.ptr, 32);
	r->held = c[6].i != 0;
	if (r->held && !b->h->may_hold)
		host_fail(b->h, "block %llu-%llu is held", (unsigned long long)r->epoch,
			  (unsigned long long)r->share_seq);
	return OTD_OK;
}

static otd_rc read_blocks(struct blocks *b, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,
					 OTD_VALUE_WIDE, OTD_VALUE_WIDE, OTD_VALUE_INT,
					 OTD_VALUE_INT,  OTD_VALUE_BLOB};
	return otd_db_query(
		db, "SELECT epoch, share_seq, height, value, fee, state, held, hash FROM blocks",
		NULL, 0, wants, 8, take_block_row, b, err);
}

struct posted {
	bool there;
	otd_i128 credits, fee, sum;
};

static otd_rc take_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct posted *p = ctx;
	(void)n;
	p->there = true;
	p->sum += c[1].wide;
	if (c[0].i == OTD_ACC_IMMATURE)
		p->credits += c[1].wide;
	if (c[0].i == OTD_ACC_FEE_IMMATURE)
		p->fee += c[1].wide;
	return OTD_OK;
}

static otd_rc posting(struct otd_db *db, const struct block_row *b, const char *what,
		      struct posted *out, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	char key[100];
	*out = (struct posted){0};
	(void)snprintf(key, sizeof(key), "block/%llu-%llu/%s", (unsigned long long)b->epoch,
		       (unsigned long long)b->share_seq, what);
	const struct otd_value v[] = {OTD_TEXT(key)};
	return otd_db_query(db,
			    "SELECT e.account_kind, e.amount FROM entries e JOIN postings p"
			    " ON p.id = e.posting_id WHERE p.k = ?",
			    v, 1, wants, 2, take_entry, out, err);
}

/* What was posted for a block. */
struct postings {
	struct posted credit, back, mature, mature_back;
};

static otd_rc read_postings(struct postings *p, const struct block_row *b, struct otd_db *db,
			    struct otd_err *err)
{
	otd_rc rc = posting(db, b, "credit", &p->credit, err);
	if (rc == OTD_OK)
		rc = posting(db, b, "credit/reversed", &p->back, err);
	if (rc == OTD_OK)
		rc = posting(db, b, "mature", &p->mature, err);
	return rc ? rc : posting(db, b, "mature/reversed", &p->mature_back, err);
}

static void check_postings(struct host *h, const struct block_row *b, const struct postings *p)
{
	unsigned long long epoch = b->epoch, seq = b->share_seq;
	bool orphaned = b->state == OTD_BLOCK_ORPHANED;
	if (!p->credit.there || p->credit.credits + p->credit.fee != b->value ||
	    p->credit.fee != b->fee || p->credit.sum != 0)
		host_fail(h, "block %llu-%llu: credits and fee are not its value", epoch, seq);
	if (p->back.there != orphaned || (p->mature_back.there != (orphaned && p->mature.there)) ||
	    (b->state == OTD_BLOCK_MATURE && !p->mature.there) ||
	    (b->state < OTD_BLOCK_MATURE && p->mature.there))
		host_fail(h, "block %llu-%llu: postings do not fit its state %u", epoch, seq,
			  b->state);
}

static otd_rc check_block(struct host *h, const struct block_row *b, struct otd_db *db,
			  struct otd_err *err)
{
	struct postings p;
	unsigned long long epoch = b->epoch, seq = b->share_seq;
	bool there = sim_node_depth_of_block(h->node, b->hash) > 0;
	otd_rc rc = read_postings(&p, b, db, err);
	if (rc)
		return rc;
	if (!b->held)
		check_postings(h, b, &p);
	else if (p.credit.there || p.mature.there)
		host_fail(h, "block %llu-%llu is held, and credited", epoch, seq);
	if (b->state == OTD_BLOCK_MATURE ? !there : there || b->state != OTD_BLOCK_ORPHANED)
		host_fail(h, "block %llu-%llu is %s in the books and %s the chain", epoch, seq,
			  otd_block_state_name((enum otd_block_state)b->state),
			  there ? "in" : "not in");
	return OTD_OK;
}

/* Every block on record is in SQL, as it was found; no other one is. */
static void check_records_of_blocks(struct look *k, const struct blocks *b)
{
	struct host *h = k->h;
	size_t found = 0;
	for (size_t i = 0; i < h->n_epochs; i++) {
		const struct host_epoch *e = &h->epochs[i];
		for (uint64_t seq = 1; seq < k->next[e->epoch]; seq++) {
			const struct host_record *r = &e->rec[seq - 1];
			bool same = r->kind != RECORD_BLOCK;
			if (r->kind == RECORD_SHARE && h->model.share[r->share - 1].block &&
			    (seq + 1 >= k->next[e->epoch] || r[1].kind != RECORD_BLOCK))
				host_fail(h, "share %llu-%llu made a block, which is not on record",
					  (unsigned long long)e->epoch, (unsigned long long)seq);
			found += r->kind == RECORD_BLOCK;
			for (size_t j = 0; !same && j < b->n; j++)
				same = b->row[j].epoch == e->epoch &&
				       b->row[j].share_seq == r->share_seq &&
				       b->row[j].value == r->value &&
				       memcmp(b->row[j].hash, r->hash, 32) == 0;
			if (!same)
				host_fail(h, "block %llu-%llu is not in the books as it was found",
					  (unsigned long long)e->epoch,
					  (unsigned long long)r->share_seq);
		}
	}
	if (found != b->n)
		host_fail(h, "%zu blocks in the books, %zu were found", b->n, found);
	h->blocks = found;
}

/* --- payments --- */

struct books {
	struct host *h;
	otd_i128 sent[HOST_LABELS], paying, network, paid, fees;
	uint64_t in_chain;
};

static unsigned label_of(struct books *c, const struct otd_pay_part *p)
{
	for (unsigned i = 0; i < HOST_LABELS; i++)
		if (strcmp(c->h->address[i], p->address) == 0)
			return i;
	host_fail(c->h, "a part is to %s, whom nobody knows", p->address);
}

static unsigned count_in_chain(struct books *c, const struct otd_pay_tx *t, size_t n)
{
	unsigned found = 0;
	for (size_t i = 0; i < n; i++) {
		if (!sim_node_depth(c->h->node, t[i].txid))
			continue;
		found++;
		c->fees += sim_node_fee_of(c->h->node, t[i].txid);
	}
	return found;
}

static void check_payment(struct books *c, const struct otd_payment *p)
{
	struct host *h = c->h;
	unsigned long long id = p->id;
	unsigned n = count_in_chain(c, p->txs, p->n_txs) + count_in_chain(c, p->old, p->n_old);
	c->in_chain += n;
	if (n > 1)
		host_fail(h, "payment %llu is in the chain %u times", id, n);
	if (p->state == OTD_PAY_CANCELLED && n)
		host_fail(h, "payment %llu was cancelled and is in the chain", id);
	if (p->state == OTD_PAY_CANCELLED)
		return;
	if (p->state < OTD_PAY_PAID)
		host_fail(h, "payment %llu is still %s%s: %s", id, otd_pay_state_name(p->state),
			  p->held ? " and held" : "", p->why);
	if (n == 0)
		host_fail(h, "payment %llu is paid, and not in the chain", id);
	h->payments++;
	for (size_t i = 0; i < p->n_parts; i++)
		c->sent[label_of(c, &p->parts[i])] += p->parts[i].sent;
}

static bool take_balance(void *arg, const struct otd_ledger_account *a)
{
	struct books *c = arg;
	if (a->kind == OTD_ACC_PAYING || a->kind == OTD_ACC_FEE_PAYING)
		c->paying += a->amount;
	if (a->kind == OTD_ACC_NETWORK)
		c->network += a->amount;
	if (a->kind == OTD_ACC_PAID)
		c->paid += a->amount;
	return true;
}

static void check_receipts(struct books *c)
{
	struct host *h = c->h;
	static uint8_t txids[MAX_PAYMENTS][32];
	otd_i128 sum = 0;
	for (unsigned i = 0; i < HOST_LABELS; i++) {
		uint8_t script[SIM_NODE_SCRIPT];
		char label[32];
		unsigned outputs;
		(void)snprintf(label, sizeof(label), "miner-%u", i);
		sim_node_script(script, label);
		int64_t got = sim_node_received(h->node, script, sizeof(script), &outputs);
		if (c->sent[i] != got)
			host_fail(h, "%s got %lld in %u outputs, the books have paid %lld", label,
				  (long long)got, outputs, (long long)c->sent[i]);
		sum += c->sent[i];
	}
	if (sum != c->paid || c->fees != c->network || c->paying)
		host_fail(h,
			  "sent %lld, fees %lld; the books: paid %lld, fees %lld, put aside %lld",
			  (long long)sum, (long long)c->fees, (long long)c->paid,
			  (long long)c->network, (long long)c->paying);
	if (sim_node_sent(h->node, txids, MAX_PAYMENTS) != c->in_chain)
		host_fail(h, "the chain has transactions of ours that the books do not know");
}

static otd_rc check_payments(struct books *c, struct otd_db *db, struct otd_err *err)
{
	static uint64_t ids[MAX_PAYMENTS];
	size_t n;
	otd_rc rc = otd_pay_list(db, 0, OTD_PAY_RESERVED, OTD_PAY_CANCELLED, 0, ids, MAX_PAYMENTS,
				 &n, err);
	for (size_t i = 0; !rc && i < n; i++) {
		struct otd_payment p;
		rc = otd_pay_load(db, ids[i], false, &p, err);
		if (rc)
			break;
		check_payment(c, &p);
		otd_payment_finish(&p);
	}
	if (!rc)
		rc = otd_ledger_balances(db, take_balance, c, err);
	if (!rc)
		check_receipts(c);
	return rc;
}

/* --- all of it --- */

static otd_rc check_all(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct look *k = arg;
	struct blocks b = {.h = k->h};
	struct books c = {.h = k->h};
	uint64_t postings;
	otd_rc rc = read_sums(k, db, err);
	if (rc == OTD_OK) {
		check_sums(k);
		check_acknowledged(k);
		rc = read_blocks(&b, db, err);
	}
	if (rc == OTD_OK)
		check_records_of_blocks(k, &b);
	for (size_t i = 0; rc == OTD_OK && i < b.n; i++)
		rc = check_block(k->h, &b.row[i], db, err);
	free(b.row);
	if (rc == OTD_OK)
		rc = otd_ledger_verify(db, &postings, err);
	return rc ? rc : check_payments(&c, db, err);
}

void host_check(struct host *h)
{
	h->payments = 0;
	ask(h, check_all, look_of(h));
	sim_node_check(h->node);
}

/* --- is it quiet --- */

static bool take_due(void *arg, const struct otd_ledger_account *a)
{
	struct host_open *o = arg;
	o->due += a->kind == OTD_ACC_MINER && a->amount >= HOST_MINIMUM;
	return true;
}

static otd_rc look_work(void *arg, struct otd_db *db, struct otd_err *err)
{
	struct host_open *o = arg;
	*o = (struct host_open){0};
	otd_rc rc = otd_db_int(db, "SELECT COUNT(*) FROM payments WHERE state < 5", NULL, 0,
			       &o->live, err);
	if (!rc)
		rc = otd_db_int(db, "SELECT COUNT(*) FROM payments WHERE state < 5 AND held <> 0",
				NULL, 0, &o->held, err);
	if (!rc)
		rc = otd_db_int(db, "SELECT COUNT(*) FROM payments WHERE state = 5", NULL, 0,
				&o->paid, err);
	if (!rc)
		rc = otd_db_int(db, "SELECT COUNT(*) FROM blocks WHERE state < 5", NULL, 0,
				&o->unsettled_blocks, err);
	return rc ? rc : otd_ledger_balances(db, take_due, o, err);
}

void host_look(struct host *h, struct host_open *out)
{
	ask(h, look_work, out);
}
