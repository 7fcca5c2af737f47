/* account show: what an address has, gets and did, in one pool or in all. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/explain/app_explain.h"
#include "base/text.h"
#include "ledger/payment.h"

#define ACCOUNTS_MAX 16 /* pools in which one address mines */
#define WORKERS_MAX  50
#define POSTINGS_MAX 20
#define PAYMENTS_MAX 20
#define DAY_MINUTES  1440
#define HOUR_MINUTES 60

/* One account, found. */
struct account {
	uint64_t id;
	char pool[129], asset[65], address[161];
	const struct otd_question_pool *coin;
	json_t *to;
};

struct found {
	struct account row[ACCOUNTS_MAX];
	size_t n;
};

static otd_rc take_account(void *ctx, const struct otd_value *c, size_t n)
{
	struct found *f = ctx;
	struct account *a = &f->row[f->n];
	(void)n;
	if (f->n == ACCOUNTS_MAX)
		return OTD_OK;
	a->id = (uint64_t)c[0].i;
	if (otd_explain_take_text(a->pool, sizeof(a->pool), &c[1]) &&
	    otd_explain_take_text(a->asset, sizeof(a->asset), &c[2]) &&
	    otd_explain_take_text(a->address, sizeof(a->address), &c[3]))
		f->n++;
	return OTD_OK;
}

/* As it was written, else in lower case: bech32 addresses are both. */
static otd_rc find_accounts(struct found *f, struct otd_db *db, const char *pool,
			    const char *address, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					 OTD_VALUE_TEXT};
	char lower[161];
	otd_rc rc = OTD_OK;
	size_t n = strlen(address);
	if (n >= sizeof(lower))
		return OTD_E_NOT_FOUND;
	for (size_t i = 0; i <= n; i++)
		lower[i] = (char)(address[i] | (address[i] >= 'A' && address[i] <= 'Z' ? 0x20 : 0));
	f->n = 0;
	for (int try = 0; try < 2 && rc == OTD_OK && f->n == 0; try++) {
		const struct otd_value v[] = {OTD_TEXT(try ? lower : address), OTD_TEXT(pool)};
		rc = otd_db_query(db,
				  "SELECT a.id, p.name, p.asset, a.address FROM accounts a"
				  " JOIN pools p ON p.id = a.pool_id WHERE a.address = ?"
				  " AND (? = '' OR p.name = ?) ORDER BY p.name",
				  (const struct otd_value[]){v[0], v[1], v[1]}, 3, wants, 4,
				  take_account, f, err);
	}
	if (rc == OTD_OK && f->n == 0)
		rc = otd_fail(err, OTD_E_NOT_FOUND,
			      "no account '%.100s'%s%.60s: it has no share in the database; an "
			      "account is an address without '.NAME', as 'otedama status' shows it",
			      address, *pool ? " in pool " : "", pool);
	return rc;
}

/* --- balances and payments --- */

static otd_rc take_balance(void *ctx, const struct otd_value *c, size_t n)
{
	otd_i128 *to = ctx;
	(void)n;
	to[c[0].i == OTD_ACC_MINER] = c[1].wide;
	return OTD_OK;
}

struct payments {
	struct account *a;
	json_t *rows;
	otd_i128 on_its_way, paid;
	size_t n;
};

static void put_payment(struct payments *p, const struct otd_value *c)
{
	json_t *o = json_object();
	(void)json_object_set_new(o, "id", json_integer(c[0].i));
	(void)json_object_set_new(o, "state",
				  json_string(otd_pay_state_name((enum otd_pay_state)c[1].i)));
	(void)json_object_set_new(o, "held", json_boolean(c[2].i));
	otd_ask_set_text(o, "why", &c[3]);
	(void)json_object_set_new(o, "created_ms", json_integer(c[4].i));
	(void)json_object_set_new(o, "changed_ms", json_integer(c[5].i));
	otd_ask_amount(o, "amount", c[6].wide, p->a->coin);
	if (c[7].type == OTD_VALUE_BLOB && c[7].bytes.len == 32)
		otd_ask_hash(o, "txid", c[7].bytes.ptr);
	(void)json_array_append_new(p->rows, o);
}

static otd_rc take_payment(void *ctx, const struct otd_value *c, size_t n)
{
	struct payments *p = ctx;
	otd_i128 *sum = c[1].i == OTD_PAY_PAID ? &p->paid : &p->on_its_way;
	(void)n;
	if (c[1].i != OTD_PAY_CANCELLED)
		*sum += c[6].wide; /* parts of the ledger's balances, which are checked */
	if (p->n++ < PAYMENTS_MAX)
		put_payment(p, c);
	return OTD_OK;
}

static otd_rc money(struct account *a, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t balance[] = {OTD_VALUE_INT, OTD_VALUE_WIDE};
	static const uint32_t payment[] = {OTD_VALUE_INT,  OTD_VALUE_INT, OTD_VALUE_INT,
					   OTD_VALUE_TEXT, OTD_VALUE_INT, OTD_VALUE_INT,
					   OTD_VALUE_WIDE, OTD_VALUE_BLOB};
	struct payments p = {.a = a, .rows = json_array()};
	otd_i128 has[2] = {0};
	const struct otd_value v[] = {OTD_INT(a->id), OTD_TEXT(a->asset), OTD_INT(OTD_ACC_IMMATURE),
				      OTD_INT(OTD_ACC_MINER)};
	const struct otd_value w[] = {OTD_INT(OTD_ACC_MINER), OTD_INT(a->id)};
	otd_rc rc = otd_db_query(db,
				 "SELECT account_kind, amount FROM balances WHERE owner = ? AND"
				 " asset = ? AND (account_kind = ? OR account_kind = ?)",
				 v, 4, balance, 2, take_balance, has, err);
	if (rc == OTD_OK)
		rc = otd_db_query(
			db,
			"SELECT y.id, y.state, y.held, y.why, y.created_ms, y.changed_ms, x.amount,"
			" t.txid FROM payment_parts x JOIN payments y ON y.id = x.payment_id"
			" LEFT JOIN payment_txs t ON t.payment_id = y.id AND"
			" t.generation = y.generation AND t.version = y.version"
			" WHERE x.account_kind = ? AND x.owner = ? ORDER BY y.id DESC",
			w, 2, payment, 8, take_payment, &p, err);
	otd_ask_amount(a->to, "immature", has[0], a->coin);
	otd_ask_amount(a->to, "spendable", has[1], a->coin);
	otd_ask_amount(a->to, "on_its_way", p.on_its_way, a->coin);
	otd_ask_amount(a->to, "paid", p.paid, a->coin);
	(void)json_object_set_new(a->to, "n_payments", json_integer((json_int_t)p.n));
	(void)json_object_set_new(a->to, "payments", p.rows);
	return rc;
}

static otd_rc take_hold(void *ctx, const struct otd_value *c, size_t n)
{
	json_t *o = json_object();
	(void)n;
	otd_ask_set_text(o, "reason", &c[0]);
	(void)json_object_set_new(o, "since_ms", json_integer(c[1].i));
	(void)json_object_set_new(ctx, "hold", o);
	return OTD_OK;
}

struct ban_rows {
	json_t *rows;
	int64_t now_ms;
};

static otd_rc take_ban(void *ctx, const struct otd_value *c, size_t n)
{
	struct ban_rows *b = ctx;
	(void)n;
	(void)json_array_append_new(b->rows, otd_ban_json(c, b->now_ms));
	return OTD_OK;
}

/* What keeps it from money or from mining: a hold, bans of it and of its rigs. */
static otd_rc obstacles(struct account *a, struct otd_question *q, struct otd_db *db,
			struct otd_err *err)
{
	static const uint32_t hold[] = {OTD_VALUE_TEXT, OTD_VALUE_INT};
	char user[OTD_BAN_WHAT_MAX + 1], from[OTD_BAN_WHAT_MAX + 2], to[OTD_BAN_WHAT_MAX + 2];
	struct ban_rows b = {json_array(), q->now_ms};
	snprintf(user, sizeof(user), "%s/%s", a->pool, a->address);
	snprintf(from, sizeof(from), "%s.", user);
	snprintf(to, sizeof(to), "%s/", user); /* the letter behind the dot */
	(void)json_object_set_new(a->to, "bans", b.rows);
	const struct otd_value id[] = {OTD_INT(a->id)};
	const struct otd_value v[] = {OTD_INT(q->now_ms), OTD_TEXT(user), OTD_TEXT(from),
				      OTD_TEXT(to)};
	otd_rc rc = otd_db_query(
		db, "SELECT reason, created_ms FROM payment_holds WHERE account_id = ?", id, 1,
		hold, 2, take_hold, a->to, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT " OTD_BAN_COLUMNS " FROM bans WHERE undone_ms = 0 AND"
				  " (until_ms = 0 OR until_ms > ?) AND scope <= 2 AND"
				  " (what = ? OR (what >= ? AND what < ?)) ORDER BY id LIMIT 100",
				  v, 4, otd_ban_wants, OTD_BAN_N, take_ban, &b, err);
	return rc;
}

/* --- workers --- */

struct worker {
	uint64_t id;
	json_t *o;
};

struct workers {
	struct worker row[WORKERS_MAX];
	size_t n;
	json_t *rows;
};

static otd_rc take_worker(void *ctx, const struct otd_value *c, size_t n)
{
	struct workers *w = ctx;
	(void)n;
	if (w->n == WORKERS_MAX)
		return OTD_OK;
	json_t *o = json_object();
	otd_ask_set_text(o, "name", &c[1]);
	(void)json_object_set_new(o, "last_share_ms", json_integer(c[2].i));
	w->row[w->n++] = (struct worker){(uint64_t)c[0].i, o};
	(void)json_array_append_new(w->rows, o);
	return OTD_OK;
}

struct minutes {
	int64_t hour; /* minutes above this are of the last hour */
	int64_t day_shares, hour_shares, day_minutes, hour_minutes;
	otd_u128 hour_work;
};

static otd_rc take_minute(void *ctx, const struct otd_value *c, size_t n)
{
	struct minutes *m = ctx;
	(void)n;
	m->day_shares += c[1].i;
	m->day_minutes++;
	if (c[0].i <= m->hour)
		return OTD_OK;
	m->hour_shares += c[1].i;
	m->hour_minutes++;
	m->hour_work += (otd_u128)c[2].wide;
	return OTD_OK;
}

static otd_rc take_refused(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	if (c[0].i >= 0 && c[0].i < OTD_SHARE_VERDICTS)
		(void)json_object_set_new(ctx,
					  otd_share_verdict_name((enum otd_share_verdict)c[0].i),
					  json_integer(c[1].i));
	return OTD_OK;
}

static otd_rc fill_worker(const struct worker *w, int64_t now_minute, struct otd_db *db,
			  struct otd_err *err)
{
	static const uint32_t minute[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE};
	static const uint32_t refused[] = {OTD_VALUE_INT, OTD_VALUE_INT};
	struct minutes m = {.hour = now_minute - HOUR_MINUTES};
	char rate[OTD_RATE_TEXT];
	json_t *by = json_object();
	const struct otd_value v[] = {OTD_INT(w->id), OTD_INT(now_minute - DAY_MINUTES)};
	otd_rc rc = otd_db_query(db,
				 "SELECT minute, accepted, work FROM share_minutes"
				 " WHERE worker_id = ? AND minute > ?",
				 v, 2, minute, 3, take_minute, &m, err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT reason, sum(count) FROM refused_minutes"
				  " WHERE worker_id = ? AND minute > ? GROUP BY reason",
				  v, 2, refused, 2, take_refused, by, err);
	(void)json_object_set_new(w->o, "shares_1h", json_integer(m.hour_shares));
	(void)json_object_set_new(w->o, "minutes_1h", json_integer(m.hour_minutes));
	(void)json_object_set_new(w->o, "shares_24h", json_integer(m.day_shares));
	(void)json_object_set_new(w->o, "minutes_24h", json_integer(m.day_minutes));
	(void)json_object_set_new(
		w->o, "hashrate_1h",
		json_string(otd_format_hashrate(rate, m.hour_work, HOUR_MINUTES * 60000)));
	(void)json_object_set_new(w->o, "refused_24h", by);
	return rc;
}

static otd_rc workers(struct account *a, struct otd_question *q, struct otd_db *db,
		      struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_INT};
	struct workers w = {.rows = json_array()};
	const struct otd_value v[] = {OTD_INT(a->id), OTD_INT(WORKERS_MAX)};
	int64_t all = 0;
	(void)json_object_set_new(a->to, "workers", w.rows);
	otd_rc rc = otd_db_int(db, "SELECT count(*) FROM workers WHERE account_id = ?", v, 1, &all,
			       err);
	if (rc == OTD_OK)
		rc = otd_db_query(db,
				  "SELECT id, name, last_ms FROM workers WHERE account_id = ?"
				  " ORDER BY last_ms DESC, id LIMIT ?",
				  v, 2, wants, 3, take_worker, &w, err);
	for (size_t i = 0; rc == OTD_OK && i < w.n; i++)
		rc = fill_worker(&w.row[i], q->now_ms / 60000, db, err);
	(void)json_object_set_new(a->to, "n_workers", json_integer(all));
	return rc;
}

/* --- postings --- */

struct lines {
	struct account *a;
	json_t *rows, *last;
	int64_t last_id;
};

static otd_rc take_line(void *ctx, const struct otd_value *c, size_t n)
{
	struct lines *l = ctx;
	(void)n;
	if (c[0].i != l->last_id) {
		if (json_array_size(l->rows) == POSTINGS_MAX)
			return OTD_E_CLOSED; /* that is enough */
		l->last = json_object();
		l->last_id = c[0].i;
		(void)json_object_set_new(l->last, "id", json_integer(c[0].i));
		otd_ask_set_text(l->last, "key", &c[1]);
		otd_ask_set_text(l->last, "memo", &c[2]);
		(void)json_object_set_new(l->last, "time_ms", json_integer(c[3].i));
		(void)json_object_set_new(l->last, "reversed", json_boolean(c[4].i));
		(void)json_object_set_new(l->last, "entries", json_array());
		(void)json_array_append_new(l->rows, l->last);
	}
	json_t *e = json_object();
	(void)json_object_set_new(
		e, "account", json_string(otd_account_kind_name((enum otd_account_kind)c[5].i)));
	otd_ask_amount(e, "amount", c[6].wide, l->a->coin);
	(void)json_array_append_new(json_object_get(l->last, "entries"), e);
	return OTD_OK;
}

static otd_rc postings(struct account *a, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					 OTD_VALUE_INT, OTD_VALUE_INT,  OTD_VALUE_INT,
					 OTD_VALUE_WIDE};
	struct lines l = {.a = a, .rows = json_array(), .last_id = -1};
	/* An account has an entry of three kinds in one posting at most. */
	const struct otd_value v[] = {OTD_INT(OTD_ACC_IMMATURE), OTD_INT(OTD_ACC_MINER),
				      OTD_INT(OTD_ACC_PAYING),   OTD_INT(a->id),
				      OTD_TEXT(a->asset),        OTD_INT(3 * POSTINGS_MAX)};
	(void)json_object_set_new(a->to, "postings", l.rows);
	otd_rc rc = otd_db_query(db,
				 "SELECT p.id, p.k, p.memo, p.time_ms, p.reversed, e.account_kind,"
				 " e.amount FROM entries e JOIN postings p ON p.id = e.posting_id"
				 " WHERE e.account_kind IN (?, ?, ?) AND e.owner = ? AND"
				 " p.asset = ? ORDER BY p.id DESC, e.n LIMIT ?",
				 v, 6, wants, 7, take_line, &l, err);
	if (rc == OTD_E_CLOSED) {
		*err = (struct otd_err){0};
		rc = OTD_OK;
	}
	return rc;
}

static void percent(char text[40], int64_t ppm)
{
	snprintf(text, 40, "%lld.%04lld", (long long)(ppm / 10000), (long long)(ppm % 10000));
}

static otd_rc take_recipient(void *ctx, const struct otd_value *c, size_t n)
{
	char address[161], part[40];
	(void)n;
	percent(part, c[1].i);
	if (otd_explain_take_text(address, sizeof(address), &c[0]))
		(void)json_array_append_new(
			ctx, json_pack("{s:s, s:s}", "address", address, "percent", part));
	return OTD_OK;
}

/* Who else gets of it. */
static otd_rc recipients(struct account *a, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT, OTD_VALUE_INT};
	const struct otd_value v[] = {OTD_INT(a->id), OTD_INT(a->id)};
	json_t *list = json_array();
	otd_rc rc = otd_db_query(
		db,
		"SELECT b.address, r.ppm FROM account_recipients r JOIN accounts b"
		" ON b.id = r.recipient WHERE r.account_id = ? AND r.seq ="
		" (SELECT max(seq) FROM account_terms WHERE account_id = ?) ORDER BY r.recipient",
		v, 2, wants, 2, take_recipient, list, err);
	(void)json_object_set_new(a->to, "fee_recipients", list);
	return rc;
}

/* A fee of its own, by a policy. */
static otd_rc own_fee(struct account *a, struct otd_db *db, struct otd_err *err)
{
	const struct otd_value v[] = {OTD_INT(a->id)};
	int64_t ppm = -1;
	char text[40];
	otd_rc rc = otd_db_int(db,
			       "SELECT fee_ppm FROM account_terms WHERE account_id = ?"
			       " ORDER BY seq DESC LIMIT 1",
			       v, 1, &ppm, err);
	if (rc == OTD_OK && ppm >= 0) {
		percent(text, ppm);
		otd_ask_set_s(a->to, "fee_percent", text);
		rc = recipients(a, db, err);
	}
	return rc == OTD_E_NOT_FOUND ? OTD_OK : rc;
}

static otd_rc one(struct account *a, struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	a->coin = otd_question_pool(q, a->pool);
	if (!a->coin)
		a->coin = otd_question_asset(q, a->asset);
	(void)json_object_set_new(a->to, "pool", json_string(a->pool));
	(void)json_object_set_new(a->to, "asset", json_string(a->asset));
	(void)json_object_set_new(a->to, "address", json_string(a->address));
	otd_rc rc = money(a, db, err);
	if (rc == OTD_OK)
		rc = own_fee(a, db, err);
	if (rc == OTD_OK)
		rc = obstacles(a, q, db, err);
	if (rc == OTD_OK)
		rc = workers(a, q, db, err);
	if (rc == OTD_OK)
		rc = postings(a, db, err);
	return rc;
}

static otd_rc read_account(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	struct found *f = calloc(1, sizeof(*f));
	char pool[129] = "";
	const char *address = strchr(q->words, ' ');
	json_t *rows = json_array();
	if (!f)
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	(void)json_object_set_new(q->answer, "now_ms", json_integer(q->now_ms));
	(void)json_object_set_new(q->answer, "accounts", rows);
	if (address)
		snprintf(pool, sizeof(pool), "%.*s", (int)(address - q->words), q->words);
	otd_rc rc = find_accounts(f, db, pool, address ? address + 1 : q->words, err);
	for (size_t i = 0; rc == OTD_OK && i < f->n; i++) {
		f->row[i].to = json_object();
		(void)json_array_append_new(rows, f->row[i].to);
		rc = one(&f->row[i], q, db, err);
	}
	free(f);
	return rc;
}

const struct otd_topic otd_topic_account = {.read = read_account};

void otd_app_account_request(struct otd_app *app, struct otd_control_request *r, const char *words)
{
	struct otd_err err = {0};
	if (strncmp(words, "show ", 5) == 0 && words[5]) {
		otd_app_ask(app, r, &otd_topic_account, words + 5);
		return;
	}
	if (strncmp(words, "list ", 5) == 0 && words[5]) {
		otd_app_ask(app, r, &otd_topic_accounts, words + 5);
		return;
	}
	otd_fail(&err, OTD_E_INVALID, "say show [POOL] ADDRESS, or list AFTER [POOL], not '%.40s'",
		 words);
	otd_control_answer(r, &err, NULL);
}
