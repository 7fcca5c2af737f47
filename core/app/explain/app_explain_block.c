/* explain BLOCK: who found it, what it went through, and where its value went. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/explain/app_explain.h"
#include "base/text.h"

struct block {
	int64_t id, pool_id, height, found_ms, state, confirmations, held;
	char pool[129], asset[65], scheme[129], account[161], worker[65];
	otd_i128 value, fee;
	otd_u128 network_work, round_work;
	uint8_t hash[32], prev[32];
	bool seen;
};

static otd_rc take_block(void *ctx, const struct otd_value *c, size_t n)
{
	struct block *b = ctx;
	(void)n;
	b->id = c[0].i;
	b->pool_id = c[1].i;
	b->height = c[2].i;
	b->found_ms = c[3].i;
	b->state = c[4].i;
	b->confirmations = c[5].i;
	b->held = c[6].i;
	b->value = c[12].wide;
	b->fee = c[13].wide;
	b->network_work = (otd_u128)c[14].wide;
	b->round_work = (otd_u128)c[15].wide;
	if (!otd_explain_take_text(b->pool, sizeof(b->pool), &c[7]) ||
	    !otd_explain_take_text(b->asset, sizeof(b->asset), &c[8]) ||
	    !otd_explain_take_text(b->scheme, sizeof(b->scheme), &c[9]) ||
	    !otd_explain_take_text(b->account, sizeof(b->account), &c[10]) ||
	    !otd_explain_take_text(b->worker, sizeof(b->worker), &c[11]) || c[16].bytes.len != 32 ||
	    c[17].bytes.len != 32)
		return OTD_E_CORRUPT;
	memcpy(b->hash, c[16].bytes.ptr, 32);
	memcpy(b->prev, c[17].bytes.ptr, 32);
	b->seen = true;
	return OTD_OK;
}

static otd_rc load(struct block *b, const struct otd_explain *x, struct otd_db *db,
		   struct otd_err *err)
{
	static const uint32_t wants[] = {
		OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_INT,
		OTD_VALUE_INT,  OTD_VALUE_INT,  OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
		OTD_VALUE_TEXT, OTD_VALUE_TEXT, OTD_VALUE_WIDE, OTD_VALUE_WIDE, OTD_VALUE_WIDE,
		OTD_VALUE_WIDE, OTD_VALUE_BLOB, OTD_VALUE_BLOB};
	const struct otd_value v[] = {OTD_INT(x->epoch), OTD_INT(x->seq)};
	otd_rc rc = otd_db_query(
		db,
		"SELECT b.id, b.pool_id, b.height, b.found_ms, b.state, b.confirmations, b.held,"
		" p.name, p.asset, b.scheme, a.address, w.name, b.value, b.fee, b.network_work,"
		" b.round_work, b.hash, b.prev FROM blocks b JOIN pools p ON p.id = b.pool_id"
		" JOIN accounts a ON a.id = b.finder JOIN workers w ON w.id = b.worker_id"
		" WHERE b.epoch = ? AND b.share_seq = ?",
		v, 2, wants, sizeof(wants) / sizeof(wants[0]), take_block, b, err);
	if (rc == OTD_OK && !b->seen)
		rc = otd_fail(err, OTD_E_CORRUPT,
			      "block %" PRIu64 "-%" PRIu64 ": its finder or pool is not in the "
			      "database; run 'otedama ledger verify'",
			      x->epoch, x->seq);
	return rc;
}

/* --- the rate of the fee --- */

struct reason {
	json_t *to;
	const struct block *b;
	int64_t since_ms;
};

static otd_rc take_reason(void *ctx, const struct otd_value *c, size_t n)
{
	struct reason *r = ctx;
	json_t *a = json_loadb((const char *)c[0].bytes.ptr, c[0].bytes.len, 0, NULL);
	const char *script = otd_ask_s(a, "script");
	(void)n;
	if (strcmp(otd_ask_s(a, "pool"), r->b->pool) == 0 && !json_object_get(a, "account") &&
	    otd_ask_n(a, "from_ms") == r->since_ms && strcmp(otd_ask_s(a, "by"), "override") == 0) {
		otd_ask_set_s(r->to, "fee_reason", otd_ask_s(a, "reason"));
		otd_ask_say(r->to, "its fee was set by command: %s", otd_ask_s(a, "reason"));
	} else if (strcmp(otd_ask_s(a, "pool"), r->b->pool) == 0 &&
		   !json_object_get(a, "account") && otd_ask_n(a, "from_ms") == r->since_ms &&
		   *script) {
		otd_ask_set_s(r->to, "fee_policy", script);
		otd_ask_set_s(r->to, "fee_reason", otd_ask_s(a, "reason"));
		otd_ask_say(r->to, "its fee was set by policy %s: %s", script,
			    *otd_ask_s(a, "reason") ? otd_ask_s(a, "reason") : "no reason given");
	}
	json_decref(a);
	return OTD_OK;
}

/* Where a policy has set it: which one, and why. */
static otd_rc fee_reason(json_t *o, const struct block *b, int64_t since_ms, struct otd_db *db,
			 struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT};
	struct reason r = {o, b, since_ms};
	const struct otd_value v[] = {OTD_INT(since_ms), OTD_TEXT("fee.policy")};
	return otd_db_query(db, "SELECT data FROM audit WHERE time_ms = ? AND what = ?", v, 2,
			    wants, 1, take_reason, &r, err);
}

static otd_rc take_rate(void *ctx, const struct otd_value *c, size_t n)
{
	int64_t *to = ctx;
	(void)n;
	to[0] = c[0].i;
	to[1] = c[1].i;
	return OTD_OK;
}

/* The newest terms that were in force when it was found; before there were any, the oldest. */
static otd_rc fee_rate(json_t *o, const struct block *b, struct otd_db *db, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_INT(b->pool_id), OTD_INT(b->found_ms)};
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	int64_t row[2] = {-1, 0}, ppm;
	char text[40];
	otd_rc rc = otd_db_query(db,
				 "SELECT fee_ppm, since_ms FROM terms WHERE pool_id = ? AND"
				 " since_ms <= ? ORDER BY seq DESC LIMIT 1",
				 v, 2, wants, 2, take_rate, row, err);
	if (rc == OTD_OK && row[0] >= 0)
		rc = fee_reason(o, b, row[1], db, err);
	if (rc != OTD_OK || (row[0] < 0 && b->value <= 0))
		return rc;
	/* From before terms were kept: what the fee comes to. It was rounded up. */
	ppm = row[0] >= 0 ? row[0] : (int64_t)(b->fee * 1000000 / b->value);
	snprintf(text, sizeof(text), "%lld.%04lld", (long long)(ppm / 10000),
		 (long long)(ppm % 10000));
	otd_ask_set_s(o, "fee_percent", text);
	return OTD_OK;
}

/* --- what it went through --- */

static void put_state(json_t *to, const char *state, int64_t ms, int64_t confirmations,
		      const char *source)
{
	json_t *o = json_object();
	otd_ask_set_s(o, "state", state);
	otd_ask_set_n(o, "time_ms", ms);
	otd_ask_set_n(o, "confirmations", confirmations);
	otd_ask_set_s(o, "source", source);
	(void)json_array_append_new(to, o);
}

/* Where the journal does not say it any more, the time of the posting does. */
static void put_from_ledger(json_t *to, const json_t *postings)
{
	size_t i;
	json_t *p;
	json_array_foreach(postings, i, p)
	{
		const char *key = otd_ask_s(p, "key");
		size_t n = strlen(key);
		if (n > 7 && strcmp(key + n - 7, "/mature") == 0)
			put_state(to, "mature", otd_ask_n(p, "time_ms"), 0, "ledger");
		else if (n > 16 && strcmp(key + n - 16, "/credit/reversed") == 0)
			put_state(to, "orphaned", otd_ask_n(p, "time_ms"), 0, "ledger");
	}
}

static bool has_state(const json_t *rows, const char *state)
{
	size_t i;
	json_t *o;
	json_array_foreach(rows, i, o)
	{
		if (strcmp(otd_ask_s(o, "state"), state) == 0)
			return true;
	}
	return false;
}

static void put_states(json_t *o, const struct otd_explain *x, const struct block *b,
		       const json_t *postings)
{
	json_t *rows = json_array();
	const char *now = otd_block_state_name((enum otd_block_state)b->state);
	put_state(rows, "found", b->found_ms, 0, "share");
	for (size_t i = 0; i < x->n_verdicts; i++)
		put_state(rows, otd_block_state_name((enum otd_block_state)x->verdicts[i].state),
			  x->verdicts[i].time_ms, x->verdicts[i].confirmations, "journal");
	if (x->n_verdicts == 0)
		put_from_ledger(rows, postings);
	if (b->state != OTD_BLOCK_CANDIDATE && !has_state(rows, now))
		put_state(rows, now, 0, b->confirmations, "database");
	(void)json_object_set_new(o, "states", rows);
	if (x->n_verdicts == 0 && b->state != OTD_BLOCK_CANDIDATE)
		otd_ask_say(o, "the coordinator's journal is cut: when it was accepted and seen on "
			       "the chain is not known any more");
	if (x->order.state == OTD_LOOK_LONG || x->order.state == OTD_LOOK_TROUBLE)
		otd_ask_say(o, "the coordinator's journal was not read to its end: %s",
			    x->order.trouble);
}

/* --- where its value went --- */

struct sums {
	otd_i128 credits, fee, reward;
	int64_t accounts;
	bool seen;
};

static otd_rc take_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct sums *s = ctx;
	(void)n;
	s->seen = true;
	if (c[0].i == OTD_ACC_IMMATURE) {
		s->credits += c[1].wide;
		s->accounts++;
	} else if (c[0].i == OTD_ACC_FEE_IMMATURE) {
		s->fee += c[1].wide;
	} else if (c[0].i == OTD_ACC_REWARD) {
		s->reward += c[1].wide;
	}
	return OTD_OK;
}

/* Whether an account of its pool had a fee of its own when it was found. */
static otd_rc own_fees(bool *any, const struct block *b, struct otd_db *db, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_INT(b->pool_id), OTD_INT(b->found_ms)};
	int64_t n = 0;
	otd_rc rc = otd_db_int(db,
			       "SELECT count(*) FROM account_terms t JOIN accounts a"
			       " ON a.id = t.account_id WHERE a.pool_id = ? AND t.since_ms <= ?",
			       v, 2, &n, err);
	*any = n > 0;
	return rc;
}

static otd_rc conservation(json_t *o, const struct otd_explain *x, const struct block *b,
			   const struct otd_question_pool *coin, struct otd_db *db,
			   struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	struct sums s = {0};
	char key[80], credits[OTD_ASK_MONEY], fee[OTD_ASK_MONEY], value[OTD_ASK_MONEY];
	snprintf(key, sizeof(key), "block/%" PRIu64 "-%" PRIu64 "/credit", x->epoch, x->seq);
	const struct otd_value v[] = {OTD_TEXT(key)};
	otd_rc rc = otd_db_query(db,
				 "SELECT e.account_kind, e.amount FROM postings p JOIN entries e"
				 " ON e.posting_id = p.id WHERE p.k = ?",
				 v, 1, wants, 2, take_entry, &s, err);
	bool own = false;
	if (rc == OTD_OK && s.seen && s.fee != b->fee)
		rc = own_fees(&own, b, db, err);
	if (rc != OTD_OK)
		return rc;
	bool holds = s.seen && s.credits + s.fee == b->value && s.reward == -b->value &&
		     (own || s.fee == b->fee);
	json_t *c = json_object();
	otd_ask_amount(c, "credits", s.credits, coin);
	otd_ask_amount(c, "fee", s.fee, coin);
	otd_ask_amount(c, "value", b->value, coin);
	otd_ask_set_n(c, "accounts", s.accounts);
	(void)json_object_set_new(c, "holds", json_boolean(holds));
	(void)json_object_set_new(o, "conservation", c);
	otd_ask_money(credits, s.credits, b->asset, coin);
	otd_ask_money(fee, s.fee, b->asset, coin);
	otd_ask_money(value, b->value, b->asset, coin);
	if (holds)
		otd_ask_say(o, "%s to %lld account%s + %s fee = %s, the value of its coinbase",
			    credits, (long long)s.accounts, s.accounts == 1 ? "" : "s", fee, value);
	if (holds && own) {
		char usual[OTD_ASK_MONEY];
		otd_ask_say(o,
			    "the fee would have been %s; accounts with a fee of their own (a "
			    "policy's) make the difference",
			    otd_ask_money(usual, b->fee, b->asset, coin));
	}
	if (holds)
		return OTD_OK;
	if (!s.seen)
		otd_ask_say(o, "nothing of its value (%s) was credited%s", value,
			    b->held ? ": the credits are held and wait for a person; 'otedama "
				      "status' says why"
				    : "");
	else
		otd_ask_say(o,
			    "NOT CONSERVED: %s to accounts + %s fee is not %s; run 'otedama ledger "
			    "verify'",
			    credits, fee, value);
	return OTD_OK;
}

static void put_block(json_t *o, const struct otd_explain *x, const struct block *b,
		      const struct otd_question_pool *coin)
{
	char id[48], effort[40];
	snprintf(id, sizeof(id), "%" PRIu64 "-%" PRIu64, x->epoch, x->seq);
	otd_ask_set_s(o, "kind", "block");
	otd_ask_set_s(o, "id", id);
	otd_ask_set_s(o, "pool", b->pool);
	otd_ask_set_s(o, "asset", b->asset);
	otd_ask_set_s(o, "scheme", b->scheme);
	otd_ask_set_s(o, "account", b->account);
	otd_ask_set_s(o, "worker", b->worker);
	otd_ask_set_n(o, "height", b->height);
	otd_ask_hash(o, "hash", b->hash);
	otd_ask_hash(o, "prev", b->prev);
	otd_ask_set_n(o, "found_ms", b->found_ms);
	otd_ask_set_s(o, "state", otd_block_state_name((enum otd_block_state)b->state));
	otd_ask_set_n(o, "confirmations", b->confirmations);
	if (coin)
		otd_ask_set_n(o, "maturity", coin->maturity);
	(void)json_object_set_new(o, "held", json_boolean(b->held));
	otd_ask_amount(o, "value", b->value, coin);
	otd_ask_amount(o, "fee", b->fee, coin);
	otd_ask_wide(o, "network_work", (otd_i128)b->network_work);
	otd_ask_wide(o, "round_work", (otd_i128)b->round_work);
	if (b->network_work && b->round_work < (otd_u128)1 << 110) {
		uint64_t part = (uint64_t)(b->round_work * 10000 / b->network_work);
		snprintf(effort, sizeof(effort), "%" PRIu64 ".%02" PRIu64, part / 100, part % 100);
		otd_ask_set_s(o, "effort_percent", effort);
	}
}

otd_rc otd_explain_block(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	const struct otd_explain *x = q->state;
	struct block b = {0};
	char prefix[80];
	json_t *o = q->answer, *share = json_object(), *postings = json_array();
	(void)json_object_del(o, "says");
	(void)json_object_set_new(o, "share", share);
	(void)json_object_set_new(o, "postings", postings);
	otd_rc rc = load(&b, x, db, err);
	if (rc != OTD_OK)
		return rc;
	const struct otd_question_pool *coin = otd_question_pool(q, b.pool);
	if (!coin)
		coin = otd_question_asset(q, b.asset);
	put_block(o, x, &b, coin);
	(void)otd_explain_record(q, share);
	if (x->batch)
		otd_ask_set_n(share, "batch", (int64_t)x->batch);
	rc = fee_rate(o, &b, db, err);
	snprintf(prefix, sizeof(prefix), "block/%" PRIu64 "-%" PRIu64 "/", x->epoch, x->seq);
	if (rc == OTD_OK)
		rc = otd_explain_postings(db, postings, prefix, x->all ? SIZE_MAX : OTD_EXPLAIN_TOP,
					  coin, err);
	if (rc == OTD_OK)
		rc = conservation(o, x, &b, coin, db, err);
	if (rc == OTD_OK)
		put_states(o, x, &b, postings);
	return rc;
}
