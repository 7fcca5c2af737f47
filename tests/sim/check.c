/* The end of a seed: what the database holds, against what was appended and acknowledged. */
#include "ledger/ledger.h"
#include "store/store.h"
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sums {
	uint64_t accepted, refused;
	otd_u128 work;
};

struct block_row {
	uint64_t epoch, share_seq, height, network_work;
	uint32_t state;
	otd_i128 value, fee, sum; /* sum: of the entries that are credits */
	uint64_t entries;
	bool matched, credit, credit_reversed, mature, mature_reversed;
};

struct check {
	struct world *w;
	uint64_t next[256]; /* by epoch */
	struct sums found[IDENTS], want[IDENTS];
	uint64_t account_id[IDENTS];
	struct block_row *blocks;
	size_t n_blocks;
	struct {
		char pool[16], scheme[16];
		uint64_t seq;
		uint8_t *state;
		size_t n;
	} saved[8];
	size_t n_saved;
	uint64_t postings;
};

static bool is(const struct otd_value *v, const char *s)
{
	return v->bytes.len == strlen(s) && memcmp(v->bytes.ptr, s, v->bytes.len) == 0;
}

static int ident_of(const struct otd_value *pool, const struct otd_value *address,
		    const struct otd_value *worker)
{
	char account[32], name[32];
	for (uint32_t i = 0; i < IDENTS; i++) {
		ident_account(account, i);
		ident_worker(name, i);
		if (is(pool, ident_pool(i)) && is(address, account) && is(worker, name))
			return (int)i;
	}
	return -1;
}

static otd_rc take_epoch(void *ctx, const struct otd_value *c, size_t n)
{
	struct check *k = ctx;
	(void)n;
	k->next[c[0].i] = (uint64_t)c[1].i;
	return OTD_OK;
}

static otd_rc take_minute(void *ctx, const struct otd_value *c, size_t n)
{
	struct check *k = ctx;
	int i = ident_of(&c[0], &c[1], &c[2]);
	(void)n;
	if (i < 0)
		world_fail(k->w, "the database has a worker that never mined");
	k->found[i].accepted += (uint64_t)c[3].i;
	k->found[i].work += (otd_u128)c[4].wide;
	return OTD_OK;
}

static otd_rc take_account(void *ctx, const struct otd_value *c, size_t n)
{
	struct check *k = ctx;
	char account[32];
	(void)n;
	for (uint32_t i = 0; i < IDENTS; i++) {
		ident_account(account, i);
		if (is(&c[0], ident_pool(i)) && is(&c[1], account))
			k->account_id[i] = (uint64_t)c[2].i;
	}
	return OTD_OK;
}

static otd_rc take_block(void *ctx, const struct otd_value *c, size_t n)
{
	struct check *k = ctx;
	struct block_row *more = realloc(k->blocks, (k->n_blocks + 1) * sizeof(*more));
	(void)n;
	if (!more)
		return OTD_E_NOMEM;
	k->blocks = more;
	k->blocks[k->n_blocks++] = (struct block_row){
		.epoch = (uint64_t)c[0].i,
		.share_seq = (uint64_t)c[1].i,
		.height = (uint64_t)c[2].i,
		.value = c[3].wide,
		.fee = c[4].wide,
		.state = (uint32_t)c[5].i,
		.network_work = (uint64_t)c[6].wide,
	};
	if (c[7].i)
		world_fail(k->w, "block %lld-%lld is held", (long long)c[0].i, (long long)c[1].i);
	return OTD_OK;
}

struct posted {
	bool there, reversed;
	otd_i128 credits;
	otd_i128 sum;
};

static otd_rc take_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct posted *p = ctx;
	(void)n;
	p->there = true;
	p->sum += c[1].wide;
	if (c[0].i == OTD_ACC_IMMATURE || c[0].i == OTD_ACC_FEE_IMMATURE)
		p->credits += c[1].wide;
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

static otd_rc check_postings(struct check *k, struct otd_db *db, struct otd_err *err)
{
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < k->n_blocks; i++) {
		struct block_row *b = &k->blocks[i];
		struct posted credit, back, mature, mature_back;
		rc = posting(db, b, "credit", &credit, err);
		if (rc == OTD_OK)
			rc = posting(db, b, "credit/reversed", &back, err);
		if (rc == OTD_OK)
			rc = posting(db, b, "mature", &mature, err);
		if (rc == OTD_OK)
			rc = posting(db, b, "mature/reversed", &mature_back, err);
		if (rc)
			break;
		bool orphaned = b->state == OTD_BLOCK_ORPHANED;
		if (!credit.there || credit.credits != b->value || credit.sum != 0)
			world_fail(k->w, "block %llu-%llu: credits and fee are not its value",
				   (unsigned long long)b->epoch, (unsigned long long)b->share_seq);
		if (back.there != orphaned || (mature_back.there != (orphaned && mature.there)) ||
		    (b->state == OTD_BLOCK_MATURE && !mature.there) ||
		    (b->state < OTD_BLOCK_MATURE && mature.there))
			world_fail(k->w, "block %llu-%llu: postings do not fit its state %u",
				   (unsigned long long)b->epoch, (unsigned long long)b->share_seq,
				   b->state);
	}
	return rc;
}

static otd_rc take_saved(void *ctx, const struct otd_value *c, size_t n)
{
	struct check *k = ctx;
	size_t i = k->n_saved++;
	(void)n;
	(void)snprintf(k->saved[i].pool, 16, "%.*s", (int)c[0].bytes.len,
		       (const char *)c[0].bytes.ptr);
	(void)snprintf(k->saved[i].scheme, 16, "%.*s", (int)c[1].bytes.len,
		       (const char *)c[1].bytes.ptr);
	k->saved[i].seq = (uint64_t)c[2].i;
	k->saved[i].n = c[3].bytes.len;
	k->saved[i].state = malloc(c[3].bytes.len + 1);
	if (!k->saved[i].state)
		return OTD_E_NOMEM;
	memcpy(k->saved[i].state, c[3].bytes.ptr, c[3].bytes.len);
	return OTD_OK;
}

static otd_rc read_all(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t two[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	static const uint32_t minute[] = {OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					  OTD_VALUE_INT, OTD_VALUE_WIDE};
	static const uint32_t account[] = {OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_INT};
	static const uint32_t block[] = {OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,
					 OTD_VALUE_WIDE, OTD_VALUE_WIDE, OTD_VALUE_INT,
					 OTD_VALUE_WIDE, OTD_VALUE_INT};
	static const uint32_t saved[] = {OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_INT,
					 OTD_VALUE_BLOB};
	struct check *k = arg;
	otd_rc rc = otd_db_query(db, "SELECT epoch, next_seq FROM epochs", NULL, 0, two, 2,
				 take_epoch, k, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT p.name, a.address, w.name, m.accepted, m.work"
				  " FROM share_minutes m JOIN workers w ON w.id = m.worker_id"
				  " JOIN accounts a ON a.id = w.account_id"
				  " JOIN pools p ON p.id = a.pool_id",
				  NULL, 0, minute, 5, take_minute, k, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT p.name, a.address, a.id FROM accounts a"
				  " JOIN pools p ON p.id = a.pool_id",
				  NULL, 0, account, 3, take_account, k, err);
	if (rc == OTD_OK)
		rc = otd_db_query(
			db,
			"SELECT epoch, share_seq, height, value, fee, state, network_work,"
			" held FROM blocks",
			NULL, 0, block, 8, take_block, k, err);
	if (rc == OTD_OK)
		rc = check_postings(k, db, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT p.name, s.scheme, s.seq, s.state FROM payout_state s"
				  " JOIN pools p ON p.id = s.pool_id",
				  NULL, 0, saved, 4, take_saved, k, err);
	if (rc == OTD_OK)
		rc = otd_ledger_verify(db, &k->postings, err);
	return rc;
}

/* --- what must be there --- */

static void expect_block(struct check *k, const struct model_epoch *m, const struct model_record *r)
{
	for (size_t i = 0; i < k->n_blocks; i++) {
		struct block_row *b = &k->blocks[i];
		if (b->epoch != m->epoch || b->share_seq != r->share_seq)
			continue;
		if (b->matched || b->height != r->height || b->value != (otd_i128)r->value ||
		    b->network_work != job_network_work(r->job))
			world_fail(k->w, "block %llu-%llu is not as it was found",
				   (unsigned long long)m->epoch, (unsigned long long)r->share_seq);
		b->matched = true;
		otd_i128 fee = world_fee_of(k->w, ident_pool(r->ident), r->time_ms, b->value);
		if (b->fee != fee)
			world_fail(k->w, "block %llu-%llu: the fee is %lld, must be %lld",
				   (unsigned long long)b->epoch, (unsigned long long)b->share_seq,
				   (long long)b->fee, (long long)fee);
		return;
	}
	world_fail(k->w, "block %llu-%llu is missing", (unsigned long long)m->epoch,
		   (unsigned long long)r->share_seq);
}

static void expect(struct check *k)
{
	for (const struct model_epoch *m = k->w->epochs; m; m = m->next) {
		uint64_t next = k->next[m->epoch];
		if (next <= m->acked || next > m->n + 1)
			world_fail(k->w,
				   "epoch %llu: acknowledged %llu, appended %zu, in SQL up to %llu",
				   (unsigned long long)m->epoch, (unsigned long long)m->acked, m->n,
				   (unsigned long long)next - 1);
		for (uint64_t seq = 1; seq < next; seq++) {
			const struct model_record *r = &m->rec[seq - 1];
			if (r->kind == M_SHARE) {
				k->want[r->ident].accepted++;
				k->want[r->ident].work += r->work;
			} else if (r->kind == M_BLOCK) {
				expect_block(k, m, r);
			}
		}
	}
	for (uint32_t i = 0; i < IDENTS; i++)
		if (k->found[i].accepted != k->want[i].accepted ||
		    k->found[i].work != k->want[i].work)
			world_fail(k->w, "worker %u: %llu shares in SQL, %llu were given", i,
				   (unsigned long long)k->found[i].accepted,
				   (unsigned long long)k->want[i].accepted);
	for (size_t i = 0; i < k->n_blocks; i++)
		if (!k->blocks[i].matched)
			world_fail(k->w, "block %llu-%llu was never found",
				   (unsigned long long)k->blocks[i].epoch,
				   (unsigned long long)k->blocks[i].share_seq);
}

/* --- a straight replay of the order, by other code --- */

struct straight {
	struct check *k;
	const char *pool, *scheme;
	const struct otd_payout_ops *ops;
	struct otd_instance *in;
	struct otd_payout_share group[IDENTS];
	size_t n;
	uint64_t network;
	int64_t time_ms;
};

static void flush(struct straight *s)
{
	const struct otd_payout_batch b = {.size = sizeof(b),
					   .stride = sizeof(s->group[0]),
					   .shares = s->group,
					   .n = s->n,
					   .time_ms = s->time_ms,
					   .network_work = s->network};
	if (s->n && s->ops->shares(s->in, &b) != OTD_OK)
		world_fail(s->k->w, "the straight replay failed");
	s->n = 0;
}

static bool of_scheme(const struct straight *s, uint32_t ident)
{
	const char *name = ident_scheme(ident)[0] ? ident_scheme(ident) : "main";
	if (strcmp(ident_pool(ident), "beta") == 0)
		name = "main";
	return strcmp(ident_pool(ident), s->pool) == 0 && strcmp(name, s->scheme) == 0;
}

static otd_rc no_credit(void *ctx, uint64_t account, otd_i128 amount)
{
	(void)ctx;
	(void)account;
	(void)amount;
	return OTD_OK;
}

static void give_block(struct straight *s, const struct model_epoch *m,
		       const struct model_record *r)
{
	const struct otd_payout_sink sink = {.size = sizeof(sink), .credit = no_credit};
	flush(s);
	if (r->time_ms > s->time_ms)
		s->time_ms = r->time_ms;
	otd_i128 fee = 0;
	for (size_t i = 0; i < s->k->n_blocks; i++)
		if (s->k->blocks[i].epoch == m->epoch && s->k->blocks[i].share_seq == r->share_seq)
			fee = s->k->blocks[i].fee;
	const struct otd_payout_block b = {.size = sizeof(b),
					   .block = m->epoch << 40 | r->share_seq,
					   .finder = s->k->account_id[r->ident],
					   .amount = (otd_i128)r->value - fee,
					   .network_work = job_network_work(r->job),
					   .time_ms = s->time_ms,
					   .height = r->height};
	if (s->ops->block(s->in, &b, &sink) != OTD_OK)
		world_fail(s->k->w, "the straight replay of a block failed");
}

static void give_share(struct straight *s, const struct model_record *r)
{
	uint64_t account = s->k->account_id[r->ident];
	size_t i = 0;
	if (job_network_work(r->job) != s->network)
		flush(s);
	s->network = job_network_work(r->job);
	if (r->time_ms > s->time_ms)
		s->time_ms = r->time_ms;
	while (i < s->n && s->group[i].account != account)
		i++;
	if (i == s->n)
		s->group[s->n++] = (struct otd_payout_share){account, 0};
	s->group[i].work += r->work;
}

static void replay_place(struct straight *s, const struct model_place *p)
{
	if (p->terms)
		return;
	const struct model_epoch *m = world_epoch(s->k->w, p->epoch);
	if (p->verdict) {
		const struct model_record *r = &m->rec[p->first]; /* the block behind its share */
		if (!of_scheme(s, r->ident))
			return;
		flush(s);
		uint64_t number = p->epoch << 40 | p->first;
		if (p->last == OTD_BLOCK_ORPHANED && s->ops->orphan)
			(void)s->ops->orphan(s->in, number);
		else if (p->last == OTD_BLOCK_MATURE && s->ops->mature)
			(void)s->ops->mature(s->in, number);
		return;
	}
	for (uint64_t seq = p->first; seq <= p->last; seq++) {
		const struct model_record *r = &m->rec[seq - 1];
		if (r->kind == M_SHARE && of_scheme(s, r->ident))
			give_share(s, r);
		else if (r->kind == M_BLOCK && of_scheme(s, r->ident))
			give_block(s, m, r);
	}
	flush(s);
}

static void check_scheme(struct check *k, size_t i)
{
	struct otd_plugin_instance *in = NULL;
	if (world_scheme(k->w, k->saved[i].scheme, &in, &k->w->err) != OTD_OK)
		world_fail(k->w, "%s", k->w->err.text);
	struct straight s = {.k = k,
			     .pool = k->saved[i].pool,
			     .scheme = k->saved[i].scheme,
			     .ops = otd_instance_payout(in),
			     .in = otd_instance_self(in)};
	if (k->saved[i].seq > k->w->n_order)
		world_fail(k->w, "a scheme is saved at %llu, the order has %zu",
			   (unsigned long long)k->saved[i].seq, k->w->n_order);
	for (uint64_t seq = 1; seq <= k->saved[i].seq; seq++)
		replay_place(&s, &k->w->order[seq - 1]);
	struct otd_buf buf = {.ptr = malloc(1 << 20), .cap = 1 << 20};
	if (!buf.ptr || s.ops->snapshot(s.in, &buf) != OTD_OK)
		abort();
	/* The host's own part is 64 bytes. */
	bool same = k->saved[i].n == buf.len + 64 &&
		    memcmp(k->saved[i].state + 64, buf.ptr, buf.len) == 0;
	if (!same)
		(void)fprintf(stderr, "  at %llu: %zu bytes, must be %zu\n",
			      (unsigned long long)k->saved[i].seq, k->saved[i].n, buf.len + 64);
	for (size_t at = 0; !same && at + 8 <= buf.len && at + 72 <= k->saved[i].n; at += 8) {
		uint64_t there, must;
		memcpy(&there, k->saved[i].state + 64 + at, 8);
		memcpy(&must, buf.ptr + at, 8);
		if (there != must)
			(void)fprintf(stderr, "  at %zu: %llu, must be %llu\n", at,
				      (unsigned long long)there, (unsigned long long)must);
	}
	if (!same)
		world_fail(k->w,
			   "pool %s, scheme %s: the saved state is not that of a straight replay",
			   s.pool, s.scheme);
	free(buf.ptr);
	otd_instance_destroy(in);
}

void sim_check(struct world *w)
{
	struct check k = {.w = w};
	if (otd_store_do_now(w->store, false, read_all, &k, &w->err) != OTD_OK)
		world_fail(w, "%s", w->err.text);
	expect(&k);
	if (k.n_saved != 3)
		world_fail(w, "%zu schemes are saved", k.n_saved);
	for (size_t i = 0; i < k.n_saved; i++) {
		check_scheme(&k, i);
		free(k.saved[i].state);
	}
	uint64_t acked = 0;
	for (const struct model_epoch *m = w->epochs; m; m = m->next)
		acked += m->acked;
	(void)printf(
		"seed %llu: %llu shares, %llu records acknowledged, %zu blocks, %llu postings, "
		"%llu crashes, %zu places\n",
		(unsigned long long)w->seed, (unsigned long long)w->shares,
		(unsigned long long)acked, k.n_blocks, (unsigned long long)k.postings,
		(unsigned long long)w->crashes, w->n_order);
	free(k.blocks);
}
