/* explain SHARE: who, when, what; where it stands in the order; and what became of it in money. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/explain/app_explain.h"
#include "base/text.h"
#include "ledger/payment.h"

#define LATER_MAX   20
#define MINUTES_MAX 200000 /* rows of work that are added up at most */

/* A block that came after the share, in its pool and scheme. */
struct later {
	uint64_t epoch, seq, height, finder;
	int64_t found_ms;
	uint32_t state, confirmations;
	bool held, has_credit;
	otd_u128 network_work, between;
	otd_i128 credit;
};

struct story {
	struct otd_question *q;
	const struct otd_explain *x;
	json_t *o;
	const struct otd_question_pool *coin;
	char scheme[129];
	char asset[65];
	uint64_t pool_id, account;
	bool in_sql; /* the database has it */
	struct later later[LATER_MAX];
	size_t n_later;
	int64_t all_later;
	bool added; /* work between is known */
	size_t minutes;
};

/* --- what the journals say --- */

static const char *record_name(uint16_t type)
{
	switch (type) {
	case OTD_REC_WORKER: return "the definition of a worker";
	case OTD_REC_JOB: return "the definition of a job";
	case OTD_REC_BLOCK: return "the block of the share before it";
	case OTD_REC_REFUSED: return "a count of refused shares";
	default: return "of another kind";
	}
}

static void say_absent(json_t *o, const struct otd_explain *x)
{
	const struct otd_look_share *s = &x->share;
	switch (s->state) {
	case OTD_LOOK_CUT:
		otd_ask_say(o, "its record is not in the journal any more: it was merged into the "
			       "sums by worker and minute, and the segment was removed");
		break;
	case OTD_LOOK_LATER:
		otd_ask_say(o,
			    "the journal of epoch %" PRIu64 " does not reach so far: there is "
			    "no such share (yet)",
			    x->epoch);
		break;
	case OTD_LOOK_OTHER:
		otd_ask_say(o, "the record of this sequence is no share but %s",
			    record_name(s->type));
		break;
	case OTD_LOOK_LONG:
		otd_ask_say(o, "the journal is long, and was not read to this share in time; ask "
			       "the stopped pool with -c, or again when less is going on");
		break;
	default: otd_ask_say(o, "its journal cannot be read: %s", s->trouble);
	}
}

static const char *state_word(enum otd_look_state s)
{
	static const char *const words[] = {
		"", "there", "cut", "not there yet", "other", "not readable", "not read in time"};
	return (size_t)s < sizeof(words) / sizeof(words[0]) ? words[s] : "";
}

static void put_record(const struct otd_question *q, json_t *o, const struct otd_look_share *s)
{
	const struct otd_question_pool *pool = otd_question_pool(q, s->pool);
	char hash[17], difficulty[OTD_ASK_DIFFICULTY], when[OTD_ASK_TIME];
	otd_hex_encode_reverse(hash, s->share.hash_le, 8);
	otd_ask_set_n(o, "time_ms", s->share.time_ms);
	otd_ask_wide(o, "work", (otd_i128)s->work);
	otd_ask_set_s(o, "difficulty", otd_ask_difficulty(difficulty, s->work, pool));
	otd_ask_set_s(o, "hash_begins", hash);
	if (s->has_worker) {
		otd_ask_set_s(o, "pool", s->pool);
		otd_ask_set_s(o, "account", s->account);
		otd_ask_set_s(o, "worker", s->worker);
		otd_ask_set_s(o, "scheme", *s->scheme ? s->scheme : pool ? pool->scheme : "");
	}
	otd_ask_set_n(o, "job", s->share.job);
	if (s->has_job) {
		otd_ask_set_n(o, "height", (int64_t)s->height);
		otd_ask_wide(o, "network_work", (otd_i128)s->network_work);
	}
	(void)json_object_set_new(o, "is_block", json_boolean(s->is_block));
	otd_ask_say(o,
		    "accepted %s from %s%s%s in pool %s, job %u%s; difficulty %s, its hash begins "
		    "%s",
		    otd_ban_time(when, s->share.time_ms), s->account, *s->worker ? "." : "",
		    s->worker, s->pool, s->share.job, s->is_block ? ", and made a block" : "",
		    *difficulty ? difficulty : "not known", hash);
}

bool otd_explain_record(const struct otd_question *q, json_t *o)
{
	const struct otd_explain *x = q->state;
	const struct otd_look_share *s = &x->share;
	otd_ask_set_s(o, "journal", state_word(s->state));
	if (s->first)
		otd_ask_set_n(o, "journal_first", (int64_t)s->first);
	if (s->state == OTD_LOOK_FOUND)
		put_record(q, o, s);
	else
		say_absent(o, x);
	return s->state == OTD_LOOK_FOUND;
}

/* --- its place in the order --- */

static otd_rc place(struct story *t, struct otd_db *db, struct otd_err *err)
{
	const struct otd_explain *x = t->x;
	const struct otd_value v[] = {OTD_INT(x->epoch)};
	int64_t next = 0, position = 0;
	otd_rc rc = otd_db_int(db, "SELECT next_seq FROM epochs WHERE epoch = ?", v, 1, &next, err);
	if (rc == OTD_OK || rc == OTD_E_NOT_FOUND)
		rc = otd_db_int(db, "SELECT seq FROM position WHERE id = 1", NULL, 0, &position,
				err);
	if (rc && rc != OTD_E_NOT_FOUND)
		return rc;
	t->in_sql = (uint64_t)next > x->seq;
	otd_ask_set_n(t->o, "position", position);
	(void)json_object_set_new(t->o, "in_database", json_boolean(t->in_sql));
	if (x->batch)
		otd_ask_set_n(t->o, "batch", (int64_t)x->batch);
	if (x->share.state == OTD_LOOK_CUT && !t->in_sql)
		return otd_fail(err, OTD_E_NOT_FOUND,
				"share %" PRIu64 "-%" PRIu64 ": epoch %" PRIu64
				" ended before it, at sequence %lld: there never was such a share",
				x->epoch, x->seq, x->epoch, next ? (long long)next - 1 : 0LL);
	if (x->share.state != OTD_LOOK_FOUND && x->share.state != OTD_LOOK_CUT)
		return OTD_OK;
	if (t->in_sql && x->batch)
		otd_ask_say(t->o,
			    "merged as a part of record %" PRIu64
			    " of the order, and in the database",
			    x->batch);
	else if (t->in_sql)
		otd_ask_say(t->o, "merged, and in the database (the order's record of it is "
				  "not kept any more)");
	else if (x->batch)
		otd_ask_say(t->o,
			    "it has its place in the order, record %" PRIu64
			    "; the database (at %lld) gets it next",
			    x->batch, (long long)position);
	else
		otd_ask_say(t->o, "durable, and not merged yet: that happens within seconds while "
				  "the pool runs and its database answers");
	return OTD_OK;
}

/* --- whose it is --- */

static otd_rc take_owner(void *ctx, const struct otd_value *c, size_t n)
{
	struct story *t = ctx;
	(void)n;
	t->pool_id = (uint64_t)c[0].i;
	(void)otd_explain_take_text(t->asset, sizeof(t->asset), &c[1]);
	if (c[2].type == OTD_VALUE_INT)
		t->account = (uint64_t)c[2].i;
	return OTD_OK;
}

static otd_rc find_owner(struct story *t, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_INT};
	const struct otd_look_share *s = &t->x->share;
	const struct otd_value v[] = {OTD_TEXT(s->account), OTD_TEXT(s->pool)};
	return otd_db_query(db,
			    "SELECT p.id, p.asset, a.id FROM pools p LEFT JOIN accounts a"
			    " ON a.pool_id = p.id AND a.address = ? WHERE p.name = ?",
			    v, 2, wants, 3, take_owner, t, err);
}

/* --- blocks that came after it --- */

static otd_rc take_later(void *ctx, const struct otd_value *c, size_t n)
{
	struct story *t = ctx;
	(void)n;
	t->all_later++;
	if (t->n_later == LATER_MAX)
		return OTD_OK;
	t->later[t->n_later++] = (struct later){.epoch = (uint64_t)c[0].i,
						.seq = (uint64_t)c[1].i,
						.height = (uint64_t)c[2].i,
						.found_ms = c[3].i,
						.state = (uint32_t)c[4].i,
						.confirmations = (uint32_t)c[5].i,
						.held = c[6].i != 0,
						.network_work = (otd_u128)c[7].wide,
						.finder = (uint64_t)c[8].i};
	return OTD_OK;
}

/* Order within one epoch is by sequence; between epochs time is what is still known. */
static otd_rc find_later(struct story *t, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT,  OTD_VALUE_INT,
					 OTD_VALUE_INT, OTD_VALUE_INT,  OTD_VALUE_INT,
					 OTD_VALUE_INT, OTD_VALUE_WIDE, OTD_VALUE_INT};
	const struct otd_explain *x = t->x;
	const struct otd_value v[] = {OTD_INT(t->pool_id),
				      OTD_TEXT(t->scheme),
				      OTD_TEXT(t->scheme),
				      OTD_INT(x->epoch),
				      OTD_INT(x->seq),
				      OTD_INT(x->epoch),
				      OTD_INT(x->share.share.time_ms)};
	return otd_db_query(
		db,
		"SELECT epoch, share_seq, height, found_ms, state, confirmations,"
		" held, network_work, finder FROM blocks WHERE pool_id = ?"
		" AND (? = '' OR scheme = ?)"
		" AND ((epoch = ? AND share_seq >= ?) OR (epoch <> ? AND found_ms >= ?))"
		" ORDER BY id",
		v, 7, wants, 9, take_later, t, err);
}

static otd_rc take_credit(void *ctx, const struct otd_value *c, size_t n)
{
	struct later *l = ctx;
	(void)n;
	l->credit += c[0].wide;
	l->has_credit = true;
	return OTD_OK;
}

static otd_rc find_credits(struct story *t, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_WIDE};
	otd_rc rc = OTD_OK;
	for (size_t i = 0; rc == OTD_OK && i < t->n_later; i++) {
		struct later *l = &t->later[i];
		char key[80];
		snprintf(key, sizeof(key), "block/%" PRIu64 "-%" PRIu64 "/credit", l->epoch,
			 l->seq);
		const struct otd_value v[] = {OTD_TEXT(key), OTD_INT(OTD_ACC_IMMATURE),
					      OTD_INT(t->account)};
		rc = otd_db_query(db,
				  "SELECT e.amount FROM postings p JOIN entries e"
				  " ON e.posting_id = p.id WHERE p.k = ? AND e.account_kind = ?"
				  " AND e.owner = ?",
				  v, 3, wants, 1, take_credit, l, err);
	}
	return rc;
}

static otd_rc take_minute(void *ctx, const struct otd_value *c, size_t n)
{
	struct story *t = ctx;
	(void)n;
	t->minutes++;
	for (size_t i = 0; i < t->n_later; i++) {
		if (c[0].i <= t->later[i].found_ms / 60000)
			t->later[i].between += (otd_u128)c[1].wide;
	}
	return OTD_OK;
}

/* How much the pool did between the share and each block: what windows are measured by. */
static otd_rc add_work(struct story *t, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	if (!t->n_later)
		return OTD_OK;
	const struct otd_value v[] = {
		OTD_INT(t->pool_id), OTD_INT(t->x->share.share.time_ms / 60000),
		OTD_INT(t->later[t->n_later - 1].found_ms / 60000), OTD_INT(MINUTES_MAX + 1)};
	otd_rc rc = otd_db_query(db,
				 "SELECT s.minute, s.work FROM share_minutes s"
				 " JOIN workers w ON w.id = s.worker_id"
				 " JOIN accounts a ON a.id = w.account_id WHERE a.pool_id = ?"
				 " AND s.minute > ? AND s.minute <= ? LIMIT ?",
				 v, 4, wants, 2, take_minute, t, err);
	t->added = rc == OTD_OK && t->minutes <= MINUTES_MAX;
	return rc;
}

static void put_later(struct story *t)
{
	json_t *rows = json_array();
	for (size_t i = 0; i < t->n_later; i++) {
		const struct later *l = &t->later[i];
		json_t *o = json_object();
		char id[48], percent[40];
		snprintf(id, sizeof(id), "%" PRIu64 "-%" PRIu64, l->epoch, l->seq);
		otd_ask_set_s(o, "id", id);
		otd_ask_set_n(o, "height", (int64_t)l->height);
		otd_ask_set_n(o, "found_ms", l->found_ms);
		otd_ask_set_s(o, "state", otd_block_state_name((enum otd_block_state)l->state));
		otd_ask_set_n(o, "confirmations", l->confirmations);
		(void)json_object_set_new(o, "held", json_boolean(l->held));
		(void)json_object_set_new(o, "found_by_this_account",
					  json_boolean(l->finder == t->account));
		(void)json_object_set_new(o, "credited", json_boolean(l->has_credit));
		otd_ask_amount(o, "credit", l->credit, t->coin);
		if (t->added && l->network_work && l->between < (otd_u128)1 << 110) {
			snprintf(percent, sizeof(percent), "%" PRIu64,
				 (uint64_t)(l->between * 100 / l->network_work));
			otd_ask_set_s(o, "work_between_percent", percent);
		}
		(void)json_array_append_new(rows, o);
	}
	(void)json_object_set_new(t->o, "blocks_after", rows);
	otd_ask_set_n(t->o, "n_blocks_after", t->all_later);
}

/* --- the answer to "why was it not paid" --- */

struct sums {
	otd_i128 mature, waiting, orphaned;
	size_t credited, held;
	uint32_t most; /* confirmations of those that wait */
};

static struct sums sum_up(const struct story *t)
{
	struct sums s = {0};
	for (size_t i = 0; i < t->n_later; i++) {
		const struct later *l = &t->later[i];
		s.held += l->held;
		s.credited += l->has_credit;
		if (l->state == OTD_BLOCK_ORPHANED)
			s.orphaned += l->credit;
		else if (l->state == OTD_BLOCK_MATURE)
			s.mature += l->credit;
		else
			s.waiting += l->credit;
		if (l->has_credit && l->state < OTD_BLOCK_MATURE && l->confirmations > s.most)
			s.most = l->confirmations;
	}
	return s;
}

static void say_credits(struct story *t, const struct sums *s)
{
	char money[OTD_ASK_MONEY];
	if (s->mature)
		otd_ask_say(t->o, "%s of that is mature: spendable since, or paid already",
			    otd_ask_money(money, s->mature, t->asset, t->coin));
	if (s->waiting && t->coin)
		otd_ask_say(t->o,
			    "%s of that waits for its blocks to mature, at %u confirmations (now "
			    "at most %u)",
			    otd_ask_money(money, s->waiting, t->asset, t->coin), t->coin->maturity,
			    s->most);
	else if (s->waiting)
		otd_ask_say(t->o, "%s of that waits for its blocks to mature",
			    otd_ask_money(money, s->waiting, t->asset, t->coin));
	if (s->orphaned)
		otd_ask_say(t->o,
			    "%s of that was taken back: the block was orphaned, the network "
			    "paid nothing for it",
			    otd_ask_money(money, s->orphaned, t->asset, t->coin));
}

static void say_why(struct story *t)
{
	struct sums s = sum_up(t);
	if (!t->in_sql)
		return;
	if (t->n_later == 0) {
		otd_ask_say(t->o,
			    "no block was found since in pool %s by scheme %s: there is "
			    "nothing to divide yet",
			    t->x->share.pool, *t->scheme ? t->scheme : "(any)");
		return;
	}
	otd_ask_say(t->o,
		    "%lld block%s found since in pool %s by scheme %s (within one run by "
		    "sequence, else by time)",
		    (long long)t->all_later, t->all_later == 1 ? " was" : "s were",
		    t->x->share.pool, *t->scheme ? t->scheme : "(any)");
	otd_ask_say(t->o, "%zu of %s%zu credited this account", s.credited,
		    t->all_later > LATER_MAX ? "the first " : "", t->n_later);
	if (s.credited)
		otd_ask_say(t->o, "a credit is an account's, for all of its shares that the scheme "
				  "counted, this one among them or not: see the scheme's window");
	else
		otd_ask_say(t->o,
			    "the scheme gave this account nothing of those blocks: this share was "
			    "outside of what it divides by (its window, its round, or another "
			    "finder)%s",
			    s.held ? ", or the credits are held and wait for a person" : "");
	say_credits(t, &s);
}

struct balance {
	otd_i128 immature, spendable;
	int64_t payment, state;
};

static otd_rc take_balance(void *ctx, const struct otd_value *c, size_t n)
{
	struct balance *b = ctx;
	(void)n;
	*(c[0].i == OTD_ACC_MINER ? &b->spendable : &b->immature) = c[1].wide;
	return OTD_OK;
}

static otd_rc take_payment(void *ctx, const struct otd_value *c, size_t n)
{
	struct balance *b = ctx;
	(void)n;
	b->payment = c[0].i;
	b->state = c[1].i;
	return OTD_OK;
}

static otd_rc say_balance(struct story *t, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct balance b = {0};
	char immature[OTD_ASK_MONEY], spendable[OTD_ASK_MONEY];
	const struct otd_value v[] = {OTD_INT(t->account), OTD_TEXT(t->asset),
				      OTD_INT(OTD_ACC_IMMATURE), OTD_INT(OTD_ACC_MINER)};
	const struct otd_value w[] = {OTD_INT(OTD_ACC_MINER), OTD_INT(t->account)};
	if (!t->account)
		return OTD_OK;
	otd_rc rc = otd_db_query(db,
				 "SELECT account_kind, amount FROM balances WHERE owner = ? AND"
				 " asset = ? AND (account_kind = ? OR account_kind = ?)",
				 v, 4, wants, 2, take_balance, &b, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT y.id, y.state FROM payment_parts x JOIN payments y"
				  " ON y.id = x.payment_id WHERE x.account_kind = ? AND"
				  " x.owner = ? ORDER BY y.id DESC LIMIT 1",
				  w, 2, (const uint32_t[]){OTD_VALUE_INT, OTD_VALUE_INT}, 2,
				  take_payment, &b, err);
	otd_ask_amount(t->o, "immature", b.immature, t->coin);
	otd_ask_amount(t->o, "spendable", b.spendable, t->coin);
	otd_ask_say(t->o,
		    "the account has %s immature and %s spendable now; 'otedama account "
		    "show' tells more",
		    otd_ask_money(immature, b.immature, t->asset, t->coin),
		    otd_ask_money(spendable, b.spendable, t->asset, t->coin));
	if (b.payment) {
		otd_ask_set_n(t->o, "last_payment", b.payment);
		otd_ask_say(t->o, "its last payment is number %lld, %s", (long long)b.payment,
			    otd_pay_state_name((enum otd_pay_state)b.state));
	}
	return rc;
}

otd_rc otd_explain_share(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	const struct otd_explain *x = q->state;
	struct story *t = calloc(1, sizeof(*t));
	char id[48];
	if (!t)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	*t = (struct story){.q = q, .x = x, .o = q->answer};
	snprintf(id, sizeof(id), "%" PRIu64 "-%" PRIu64, x->epoch, x->seq);
	(void)json_object_del(q->answer, "says");
	otd_ask_set_s(t->o, "kind", "share");
	otd_ask_set_s(t->o, "id", id);
	bool there = otd_explain_record(q, t->o) && x->share.has_worker;
	otd_rc rc = place(t, db, err);
	if (rc == OTD_OK && there) {
		const struct otd_question_pool *pool = otd_question_pool(q, x->share.pool);
		snprintf(t->scheme, sizeof(t->scheme), "%s",
			 *x->share.scheme ? x->share.scheme
			 : pool           ? pool->scheme
					  : "");
		rc = find_owner(t, db, err);
		t->coin = pool ? pool : otd_question_asset(q, t->asset);
		if (rc == OTD_OK && t->pool_id)
			rc = find_later(t, db, err);
		if (rc == OTD_OK && t->account)
			rc = find_credits(t, db, err);
		if (rc == OTD_OK)
			rc = add_work(t, db, err);
		put_later(t);
		say_why(t);
		if (rc == OTD_OK)
			rc = say_balance(t, db, err);
	} else if (rc == OTD_OK && x->share.state == OTD_LOOK_CUT) {
		otd_ask_say(t->o, "whose it was is not known by its number any more; 'otedama "
				  "account show ADDRESS' tells what an account did and got");
	}
	free(t);
	return rc;
}
