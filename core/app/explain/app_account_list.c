/* account list: what every account has, a page at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "app/explain/app_explain.h"
#include "base/text.h"

#define PAGE 10000

struct page {
	const struct otd_question *q;
	json_t *rows;
	int64_t last;
	bool more;
};

static otd_i128 wide(const struct otd_value *v)
{
	return v->type == OTD_VALUE_WIDE ? v->wide : 0; /* it never had any */
}

static otd_rc take_account(void *ctx, const struct otd_value *c, size_t n)
{
	struct page *p = ctx;
	char pool[129];
	json_t *o;
	(void)n;
	if (json_array_size(p->rows) == PAGE) {
		p->more = true;
		return OTD_OK;
	}
	if (!otd_explain_take_text(pool, sizeof(pool), &c[2]))
		return OTD_E_CORRUPT;
	const struct otd_question_pool *coin = otd_question_pool(p->q, pool);
	o = json_object();
	p->last = c[0].i;
	otd_ask_set_n(o, "number", c[0].i);
	otd_ask_set_text(o, "address", &c[1]);
	otd_ask_set_text(o, "pool", &c[2]);
	otd_ask_set_text(o, "asset", &c[3]);
	otd_ask_amount(o, "immature", wide(&c[4]), coin);
	otd_ask_amount(o, "spendable", wide(&c[5]), coin);
	otd_ask_amount(o, "on_its_way", wide(&c[6]), coin);
	if (json_array_append_new(p->rows, o) != 0)
		return OTD_E_NOMEM;
	return OTD_OK;
}

/* words: "AFTER [POOL]" */
static otd_rc read_accounts(struct otd_question *q, struct otd_db *db, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT,  OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					 OTD_VALUE_TEXT, OTD_VALUE_WIDE, OTD_VALUE_WIDE,
					 OTD_VALUE_WIDE};
	size_t n = strcspn(q->words, " ");
	const char *pool = q->words + n + (q->words[n] == ' ');
	struct page p = {.q = q, .rows = json_array()};
	uint64_t after;
	(void)json_object_set_new(q->answer, "accounts", p.rows);
	if (otd_parse_u64(&after, q->words, n) != OTD_OK || after > INT64_MAX)
		return otd_fail(err, OTD_E_INVALID, "'%.40s' is no number of an account", q->words);
	const struct otd_value v[] = {OTD_INT(OTD_ACC_IMMATURE),
				      OTD_INT(OTD_ACC_MINER),
				      OTD_INT(OTD_ACC_PAYING),
				      OTD_INT(after),
				      OTD_TEXT(pool),
				      OTD_TEXT(pool),
				      OTD_INT(PAGE + 1)};
	otd_rc rc =
		otd_db_query(db,
			     "SELECT a.id, a.address, p.name, p.asset, i.amount, m.amount, w.amount"
			     " FROM accounts a JOIN pools p ON p.id = a.pool_id"
			     " LEFT JOIN balances i ON i.account_kind = ? AND i.owner = a.id"
			     " AND i.asset = p.asset"
			     " LEFT JOIN balances m ON m.account_kind = ? AND m.owner = a.id"
			     " AND m.asset = p.asset"
			     " LEFT JOIN balances w ON w.account_kind = ? AND w.owner = a.id"
			     " AND w.asset = p.asset"
			     " WHERE a.id > ? AND (? = '' OR p.name = ?) ORDER BY a.id LIMIT ?",
			     v, 7, wants, 7, take_account, &p, err);
	(void)json_object_set_new(q->answer, "next", p.more ? json_integer(p.last) : json_null());
	return rc;
}

const struct otd_topic otd_topic_accounts = {.read = read_accounts};
