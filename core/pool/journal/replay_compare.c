/* What a replay came to, with what SQL holds. */
#include <inttypes.h>
#include <otedama/sha256.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "ledger/ledger.h"
#include "pool/journal/replay_own.h"

/* --- states --- */

static const struct replay_state *state_of(const struct replay *r, const struct acct_scheme *s)
{
	for (size_t i = 0; i < r->n_states; i++)
		if (r->states[i].pool_id == s->pool->id &&
		    strcmp(r->states[i].scheme, s->name) == 0)
			return &r->states[i];
	return NULL;
}

static void digest(char to[65], const struct otd_bytes *b)
{
	uint8_t sum[32];
	otd_sha256(sum, b->ptr, b->len);
	otd_hex_encode(to, sum, 32);
	to[64] = '\0';
}

static void compare_state(struct replay *r, const struct acct_scheme *s,
			  const struct otd_bytes *now, const struct replay_state *sql)
{
	char ours[65], theirs[65];
	size_t room = sizeof(r->out->digest) / sizeof(r->out->digest[0]);
	digest(ours, now);
	digest(theirs, &sql->bytes);
	if (r->out->states < room)
		snprintf(r->out->digest[r->out->states], sizeof(r->out->digest[0]),
			 "%.32s %.32s %s", s->pool->name, s->name, ours);
	r->out->states++;
	if (strcmp(ours, theirs) == 0)
		return;
	size_t at = 0;
	while (at < now->len && at < sql->bytes.len && now->ptr[at] == sql->bytes.ptr[at])
		at++;
	replay_differs(
		r,
		"pool %s: payout scheme %s at place %" PRIu64
		": its state is %s (%zu bytes), in the database it is %s (%zu bytes); the first "
		"byte that differs is %zu",
		s->pool->name, s->name, r->saved, ours, now->len, theirs, sql->bytes.len, at);
}

otd_rc replay_compare_states(struct replay *r, struct otd_err *err)
{
	struct otd_bytes now;
	otd_rc rc = OTD_OK;
	r->states_checked = true;
	for (size_t i = 0; rc == OTD_OK && i < r->a->n_pools; i++) {
		struct acct_pool *p = r->a->pools[i];
		for (size_t k = 0; rc == OTD_OK && k < p->n_schemes; k++) {
			const struct replay_state *sql = state_of(r, &p->schemes[k]);
			if (!sql) /* in the settings since then */
				continue;
			otd_bytes_init(&now, 256u << 20);
			rc = acct_scheme_save(&p->schemes[k], &now);
			if (rc)
				(void)otd_fail(err, rc, "pool %s: payout scheme %s cannot save: %s",
					       p->name, p->schemes[k].name, otd_rc_name(rc));
			else
				compare_state(r, &p->schemes[k], &now, sql);
			otd_bytes_finish(&now);
		}
	}
	return rc;
}

/* --- counts of shares --- */

struct count {
	uint64_t worker;
	int64_t minute;
	uint64_t accepted;
	otd_u128 work;
};

struct counts {
	struct count *c;
	size_t n, cap;
};

static int by_worker(const void *a, const void *b)
{
	const struct count *x = a, *y = b;
	if (x->worker != y->worker)
		return x->worker < y->worker ? -1 : 1;
	return x->minute < y->minute ? -1 : x->minute > y->minute;
}

static otd_rc add_count(struct counts *to, const struct replay *r, struct count c)
{
	if (c.minute < r->folded)
		c.minute = c.minute / 60 * 60;
	if (c.minute < r->cut_minute)
		return OTD_OK;
	struct count *room = acct_room(to->c, &to->n, &to->cap, sizeof(*room));
	if (!room)
		return OTD_E_NOMEM;
	to->c = room;
	to->c[to->n++] = c;
	return OTD_OK;
}

static void sum_up(struct counts *to)
{
	size_t n = 0;
	if (to->n > 1)
		qsort(to->c, to->n, sizeof(*to->c), by_worker);
	for (size_t i = 0; i < to->n; i++) {
		if (n > 0 && by_worker(&to->c[n - 1], &to->c[i]) == 0) {
			to->c[n - 1].accepted += to->c[i].accepted;
			to->c[n - 1].work += to->c[i].work;
		} else {
			to->c[n++] = to->c[i];
		}
	}
	to->n = n;
}

struct sql_counts {
	const struct replay *r;
	struct counts counts;
};

static otd_rc take_count(void *ctx, const struct otd_value *c, size_t n)
{
	struct sql_counts *s = ctx;
	(void)n;
	return add_count(
		&s->counts, s->r,
		(struct count){(uint64_t)c[0].i, c[1].i, (uint64_t)c[2].i, (otd_u128)c[3].wide});
}

static otd_rc read_counts(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT,
					 OTD_VALUE_WIDE};
	struct sql_counts *s = arg;
	const struct otd_value v[] = {OTD_INT(s->r->cut_minute)};
	s->counts.n = 0;
	return otd_db_query(db,
			    "SELECT worker_id, minute, accepted, work FROM share_minutes"
			    " WHERE minute >= ? ORDER BY worker_id, minute",
			    v, 1, wants, 4, take_count, s, err);
}

static const char *worker_name(char to[160], const struct otd_accounting *a, uint64_t id)
{
	for (size_t i = 0; i < a->n_workers; i++) {
		const struct acct_worker *w = a->workers[i];
		if (w->id != id)
			continue;
		snprintf(to, 160, "pool %.40s, %.80s.%.30s", w->account->pool->name,
			 w->account->address, w->name);
		return to;
	}
	snprintf(to, 160, "worker %" PRIu64, id);
	return to;
}

static void tell_count(struct replay *r, const struct count *ours, const struct count *sql)
{
	const struct count *any = ours ? ours : sql;
	char name[160], a[OTD_I128_TEXT], b[OTD_I128_TEXT];
	replay_differs(r,
		       "%s, minute %" PRId64 ": %" PRIu64
		       " shares of work %s by the journals, %" PRIu64 " of %s in the database",
		       worker_name(name, r->a, any->worker), any->minute, ours ? ours->accepted : 0,
		       otd_format_i128(a, ours ? (otd_i128)ours->work : 0), sql ? sql->accepted : 0,
		       otd_format_i128(b, sql ? (otd_i128)sql->work : 0));
}

static void merge_counts(struct replay *r, const struct counts *ours, const struct counts *sql)
{
	size_t i = 0, k = 0;
	while (i < ours->n || k < sql->n) {
		int order = i == ours->n  ? 1
			    : k == sql->n ? -1
					  : by_worker(&ours->c[i], &sql->c[k]);
		const struct count *x = order <= 0 ? &ours->c[i++] : NULL;
		const struct count *y = order >= 0 ? &sql->c[k++] : NULL;
		r->out->counts++;
		if (!x || !y || x->accepted != y->accepted || x->work != y->work)
			tell_count(r, x, y);
	}
}

static otd_rc compare_counts(struct replay *r, struct otd_err *err)
{
	const struct acct_commit *t = r->a->pending;
	struct counts ours = {0};
	struct sql_counts sql = {.r = r};
	uint64_t taken = 0, all = 0;
	otd_rc rc = OTD_OK;
	for (size_t i = 0; t && rc == OTD_OK && i < t->n_minutes; i++) {
		const struct acct_minute *m = &t->minutes[i];
		all += m->accepted;
		r->out->work += m->work;
		rc = add_count(&ours, r,
			       (struct count){m->worker_id, m->minute, m->accepted, m->work});
	}
	if (rc == OTD_OK)
		rc = otd_store_do_now(r->conf->store, false, read_counts, &sql, err);
	else
		(void)otd_fail(err, rc, "replay: out of memory");
	if (rc == OTD_OK) {
		sum_up(&ours);
		sum_up(&sql.counts);
		for (size_t i = 0; i < ours.n; i++)
			taken += ours.c[i].accepted;
		r->out->skipped = all - taken;
		merge_counts(r, &ours, &sql.counts);
	}
	free(ours.c);
	free(sql.counts.c);
	return rc;
}

/* --- blocks and their credits --- */

struct block_row {
	bool there;
	uint64_t pool_id, height, finder;
	otd_i128 value, fee;
	otd_u128 network_work, round_work;
	uint8_t hash[32];
	bool held;
};

struct credits {
	struct acct_credit *c;
	size_t n, cap;
	otd_i128 fee;
	bool failed;
};

struct reading {
	const struct acct_op *op;
	struct block_row row;
	struct credits credits;
};

static otd_rc take_block(void *ctx, const struct otd_value *c, size_t n)
{
	struct block_row *b = ctx;
	(void)n;
	*b = (struct block_row){.there = true,
				.pool_id = (uint64_t)c[0].i,
				.height = (uint64_t)c[1].i,
				.finder = (uint64_t)c[2].i,
				.held = c[3].i != 0,
				.value = c[4].wide,
				.fee = c[5].wide,
				.network_work = (otd_u128)c[6].wide,
				.round_work = (otd_u128)c[7].wide};
	if (c[8].bytes.len == 32)
		memcpy(b->hash, c[8].bytes.ptr, 32);
	return OTD_OK;
}

static otd_rc take_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct credits *k = ctx;
	(void)n;
	if (c[0].i == OTD_ACC_FEE_IMMATURE)
		k->fee += c[2].wide;
	if (c[0].i != OTD_ACC_IMMATURE)
		return OTD_OK;
	struct acct_credit *to = acct_room(k->c, &k->n, &k->cap, sizeof(*to));
	if (!to)
		return OTD_E_NOMEM;
	k->c = to;
	k->c[k->n++] = (struct acct_credit){(uint64_t)c[1].i, c[2].wide};
	return OTD_OK;
}

static otd_rc read_block(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t block[] = {OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,
					 OTD_VALUE_INT,  OTD_VALUE_WIDE, OTD_VALUE_WIDE,
					 OTD_VALUE_WIDE, OTD_VALUE_WIDE, OTD_VALUE_BLOB};
	static const uint32_t entry[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct reading *r = arg;
	char key[80];
	const struct otd_value v[] = {OTD_INT(r->op->epoch), OTD_INT(r->op->share_seq)};
	r->row = (struct block_row){0};
	r->credits.n = 0;
	r->credits.fee = 0;
	otd_rc rc = otd_db_query(db,
				 "SELECT pool_id, height, finder, held, value, fee, network_work,"
				 " round_work, hash FROM blocks WHERE epoch = ? AND share_seq = ?",
				 v, 2, block, 9, take_block, &r->row, err);
	snprintf(key, sizeof(key), "block/%" PRIu64 "-%" PRIu64 "/credit", r->op->epoch,
		 r->op->share_seq);
	const struct otd_value k[] = {OTD_TEXT(key)};
	if (rc == OTD_OK)
		rc = otd_db_query(
			db,
			"SELECT e.account_kind, e.owner, e.amount FROM entries e"
			" JOIN postings p ON p.id = e.posting_id WHERE p.k = ? ORDER BY e.n",
			k, 1, entry, 3, take_entry, &r->credits, err);
	return rc;
}

static int by_account(const void *a, const void *b)
{
	const struct acct_credit *x = a, *y = b;
	return x->account < y->account ? -1 : x->account > y->account;
}

static size_t sum_credits(struct acct_credit *c, size_t n)
{
	size_t k = 0;
	if (n > 1)
		qsort(c, n, sizeof(*c), by_account);
	for (size_t i = 0; i < n; i++) {
		if (k > 0 && c[k - 1].account == c[i].account)
			c[k - 1].amount += c[i].amount;
		else
			c[k++] = c[i];
	}
	return k;
}

static void compare_credits(struct replay *r, const struct acct_op *op, const struct credits *sql)
{
	size_t n = sum_credits(op->credits, op->n_credits), i = 0, k = 0;
	char a[OTD_I128_TEXT], b[OTD_I128_TEXT];
	otd_i128 fee = op->fee + op->fee_more;
	if (fee != sql->fee)
		replay_differs(r,
			       "block %" PRIu64 "-%" PRIu64
			       ": a fee of %s by the journals, %s in the "
			       "ledger",
			       op->epoch, op->share_seq, otd_format_i128(a, fee),
			       otd_format_i128(b, sql->fee));
	while (i < n || k < sql->n) {
		int order = i == n ? 1 : k == sql->n ? -1 : by_account(&op->credits[i], &sql->c[k]);
		uint64_t account = order <= 0 ? op->credits[i].account : sql->c[k].account;
		otd_i128 ours = order <= 0 ? op->credits[i++].amount : 0;
		otd_i128 theirs = order >= 0 ? sql->c[k++].amount : 0;
		r->out->credits++;
		if (ours == theirs)
			continue;
		const struct acct_account *c = acct_account_by_id(r->a, account);
		replay_differs(r,
			       "block %" PRIu64 "-%" PRIu64
			       ": account %.100s is credited %s by the journals, %s in the ledger",
			       op->epoch, op->share_seq, c ? c->address : "(unknown)",
			       otd_format_i128(a, ours), otd_format_i128(b, theirs));
	}
}

static void compare_block(struct replay *r, struct reading *x)
{
	const struct acct_op *op = x->op;
	const struct block_row *b = &x->row;
	const char *what = !b->there                             ? "it is not in the database"
			   : b->pool_id != op->pool_id           ? "its pool"
			   : b->height != op->height             ? "its height"
			   : b->finder != op->finder             ? "who found it"
			   : b->value != op->value               ? "its value"
			   : b->fee != op->fee                   ? "the pool's fee"
			   : memcmp(b->hash, op->hash, 32) != 0  ? "its hash"
			   : b->network_work != op->network_work ? "the network's work"
			   : b->round_work != op->round_work     ? "the work of its round"
								 : NULL;
	r->out->blocks++;
	if (what)
		replay_differs(r, "block %" PRIu64 "-%" PRIu64 " at height %" PRIu64 ": %s%s",
			       op->epoch, op->share_seq, op->height, what,
			       b->there ? " is another one in the database" : "");
	else if (op->held != b->held && op->held)
		replay_differs(r,
			       "block %" PRIu64 "-%" PRIu64
			       ": the replay holds its credits back, the database does not",
			       op->epoch, op->share_seq);
	/* One that is held had no credits; a person may have settled it since. */
	if (b->there && !op->held && !b->held && op->value > 0)
		compare_credits(r, op, &x->credits);
}

static otd_rc compare_blocks(struct replay *r, struct otd_err *err)
{
	const struct acct_commit *t = r->a->pending;
	struct reading x = {0};
	otd_rc rc = OTD_OK;
	for (size_t i = 0; t && rc == OTD_OK && i < t->n_ops; i++) {
		x.op = &t->ops[i];
		if (x.op->kind != ACCT_FOUND)
			continue;
		rc = otd_store_do_now(r->conf->store, false, read_block, &x, err);
		if (rc == OTD_OK)
			compare_block(r, &x);
	}
	free(x.credits.c);
	return rc;
}

/* Those that SQL has of the part that was played, and that were not found again. */
struct stray {
	struct replay *r;
};

static bool found_again(const struct replay *r, uint64_t epoch, uint64_t seq)
{
	const struct acct_commit *t = r->a->pending;
	for (size_t i = 0; t && i < t->n_ops; i++)
		if (t->ops[i].kind == ACCT_FOUND && t->ops[i].epoch == epoch &&
		    t->ops[i].share_seq == seq)
			return true;
	return false;
}

static otd_rc take_stray(void *ctx, const struct otd_value *c, size_t n)
{
	struct stray *s = ctx;
	struct replay *r = s->r;
	uint64_t epoch = (uint64_t)c[0].i, seq = (uint64_t)c[1].i;
	(void)n;
	bool played = r->out->whole;
	for (size_t i = 0; !played && i < r->n_epochs; i++)
		played = r->epochs[i].epoch == epoch && r->epochs[i].first &&
			 seq >= r->epochs[i].first;
	if (played && !found_again(r, epoch, seq))
		replay_differs(r,
			       "block %" PRIu64 "-%" PRIu64
			       " of the database: the journals do not have it",
			       epoch, seq);
	return OTD_OK;
}

static otd_rc read_strays(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t pair[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	return otd_db_query(db, "SELECT epoch, share_seq FROM blocks ORDER BY id", NULL, 0, pair, 2,
			    take_stray, arg, err);
}

/* --- accounts, epochs --- */

static void compare_names(struct replay *r)
{
	const struct acct_commit *t = r->a->pending;
	for (size_t i = 0; t && i < t->n_accounts; i++)
		replay_differs(
			r, "account %.100s has shares in the journals and is not in the database",
			t->accounts[i].address);
	for (size_t i = 0; t && i < t->n_workers; i++)
		replay_differs(
			r, "worker %.100s has shares in the journals and is not in the database",
			t->workers[i].name);
}

static otd_rc take_epoch(void *ctx, const struct otd_value *c, size_t n)
{
	struct stray *s = ctx;
	(void)n;
	for (size_t i = 0; i < s->r->n_epochs; i++) {
		const struct replay_epoch *ep = &s->r->epochs[i];
		if (ep->epoch == (uint64_t)c[0].i && ep->first && ep->next != (uint64_t)c[1].i)
			replay_differs(s->r,
				       "journal r-%" PRIu64
				       ": the database has it up to before %" PRId64
				       ", by the order it should be %" PRIu64,
				       ep->epoch, c[1].i, ep->next);
	}
	return OTD_OK;
}

static otd_rc read_epochs(void *arg, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t pair[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	return otd_db_query(db, "SELECT epoch, next_seq FROM epochs ORDER BY epoch", NULL, 0, pair,
			    2, take_epoch, arg, err);
}

otd_rc replay_compare(struct replay *r, struct otd_err *err)
{
	struct stray s = {r};
	/* The save itself is where this began. */
	if (r->a->stopped[0])
		return otd_fail(err, OTD_E_NOMEM, "replay: %s", r->a->stopped);
	compare_names(r);
	otd_rc rc = compare_counts(r, err);
	if (rc == OTD_OK)
		rc = compare_blocks(r, err);
	if (rc == OTD_OK)
		rc = otd_store_do_now(r->conf->store, false, read_strays, &s, err);
	return rc == OTD_OK ? otd_store_do_now(r->conf->store, false, read_epochs, &s, err) : rc;
}
