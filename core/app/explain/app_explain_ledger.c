/* Postings for explain: key, time, what came of it, and who got what. */
#include <stdlib.h>
#include <string.h>

#include "app/explain/app_explain.h"

#define POSTINGS_MAX 200

bool otd_explain_of_account(enum otd_account_kind kind)
{
	return kind == OTD_ACC_IMMATURE || kind == OTD_ACC_MINER || kind == OTD_ACC_PAYING;
}

bool otd_explain_take_text(char *to, size_t cap, const struct otd_value *v)
{
	if (v->type != OTD_VALUE_TEXT || v->bytes.len >= cap)
		return false;
	if (v->bytes.len)
		memcpy(to, v->bytes.ptr, v->bytes.len);
	to[v->bytes.len] = 0;
	return true;
}

struct list {
	json_t *rows;
	int64_t id[POSTINGS_MAX];
	size_t n;
};

static otd_rc take_posting(void *ctx, const struct otd_value *c, size_t n)
{
	struct list *l = ctx;
	json_t *o = json_object();
	(void)n;
	if (l->n == POSTINGS_MAX)
		return OTD_OK;
	l->id[l->n++] = c[0].i;
	(void)json_object_set_new(o, "id", json_integer(c[0].i));
	otd_ask_set_text(o, "key", &c[1]);
	otd_ask_set_text(o, "memo", &c[2]);
	(void)json_object_set_new(o, "time_ms", json_integer(c[3].i));
	(void)json_object_set_new(o, "reversed", json_boolean(c[4].i));
	otd_ask_set_text(o, "asset", &c[5]);
	(void)json_array_append_new(l->rows, o);
	return OTD_OK;
}

struct entry {
	otd_i128 amount;
	json_t *o;
};

struct entries {
	struct entry *row;
	size_t n, cap;
	const struct otd_question_pool *coin;
	otd_i128 sum;
};

static otd_rc take_entry(void *ctx, const struct otd_value *c, size_t n)
{
	struct entries *e = ctx;
	enum otd_account_kind kind = (enum otd_account_kind)c[0].i;
	json_t *o = json_object();
	(void)n;
	if (e->n == e->cap) {
		size_t cap = e->cap ? 2 * e->cap : 64;
		struct entry *more = realloc(e->row, cap * sizeof(*more));
		if (!more) {
			json_decref(o);
			return OTD_E_NOMEM;
		}
		e->row = more;
		e->cap = cap;
	}
	(void)json_object_set_new(o, "account", json_string(otd_account_kind_name(kind)));
	if (otd_explain_of_account(kind) && c[3].type == OTD_VALUE_TEXT)
		otd_ask_set_text(o, "owner", &c[3]);
	else
		(void)json_object_set_new(o, "owner", json_string("the pool"));
	otd_ask_amount(o, "amount", c[2].wide, e->coin);
	e->sum += c[2].wide; /* the ledger's own check bounds it */
	e->row[e->n++] = (struct entry){c[2].wide, o};
	return OTD_OK;
}

static int by_size(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	otd_i128 p = a->amount < 0 ? -a->amount : a->amount;
	otd_i128 q = b->amount < 0 ? -b->amount : b->amount;
	return p > q ? -1 : p < q;
}

static otd_rc entries(struct otd_db *db, json_t *posting, int64_t id, size_t top,
		      const struct otd_question_pool *coin, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_WIDE,
					 OTD_VALUE_TEXT};
	struct entries e = {.coin = coin};
	json_t *rows = json_array();
	const struct otd_value v[] = {OTD_INT(id)};
	otd_rc rc = otd_db_query(db,
				 "SELECT e.account_kind, e.owner, e.amount, a.address"
				 " FROM entries e LEFT JOIN accounts a ON a.id = e.owner"
				 " WHERE e.posting_id = ? ORDER BY e.n",
				 v, 1, wants, 4, take_entry, &e, err);
	if (e.n > 1)
		qsort(e.row, e.n, sizeof(*e.row), by_size);
	for (size_t i = 0; i < e.n; i++) {
		if (i < top)
			(void)json_array_append(rows, e.row[i].o);
		json_decref(e.row[i].o);
	}
	free(e.row);
	(void)json_object_set_new(posting, "entries", rows);
	(void)json_object_set_new(posting, "n_entries", json_integer((json_int_t)e.n));
	otd_ask_amount(posting, "sum", e.sum, coin);
	return rc;
}

otd_rc otd_explain_postings(struct otd_db *db, json_t *to, const char *prefix, size_t top,
			    const struct otd_question_pool *coin, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					 OTD_VALUE_INT, OTD_VALUE_INT,  OTD_VALUE_TEXT};
	struct list *l = calloc(1, sizeof(*l));
	char end[128];
	size_t n = strlen(prefix);
	if (!l || n == 0 || n >= sizeof(end)) {
		free(l);
		return otd_fail(err, OTD_E_NOMEM, "out of memory");
	}
	/* The first text behind all that begin so: prefixes end with '/', '0' comes next. */
	memcpy(end, prefix, n + 1);
	end[n - 1]++;
	l->rows = to;
	const struct otd_value v[] = {OTD_TEXT(prefix), OTD_TEXT(end)};
	otd_rc rc = otd_db_query(db,
				 "SELECT id, k, memo, time_ms, reversed, asset FROM postings"
				 " WHERE k >= ? AND k < ? ORDER BY id",
				 v, 2, wants, 6, take_posting, l, err);
	for (size_t i = 0; rc == OTD_OK && i < l->n; i++)
		rc = entries(db, json_array_get(to, i), l->id[i], top, coin, err);
	free(l);
	return rc;
}
