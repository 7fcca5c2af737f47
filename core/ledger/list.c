/* Lists of the ledger, for status and tools. */
#include "ledger/posting.h"
#include <string.h>

/* The end that a reader wanted, apart from what fails. */
#define STOPPED OTD_E_CLOSED

struct reader {
	bool (*account)(void *arg, const struct otd_ledger_account *a);
	bool (*line)(void *arg, const struct otd_ledger_line *l);
	void *arg;
	bool stopped;
};

static bool text_of(char *to, size_t cap, const struct otd_value *v)
{
	if (v->type != OTD_VALUE_TEXT || v->bytes.len >= cap)
		return false;
	memcpy(to, v->bytes.ptr, v->bytes.len);
	to[v->bytes.len] = 0;
	return true;
}

static otd_rc on_account(void *ctx, const struct otd_value *c, size_t n)
{
	struct reader *r = ctx;
	char asset[OTD_LEDGER_ASSET + 1];
	struct otd_ledger_account a = {(enum otd_account_kind)c[0].i, (uint64_t)c[1].i, asset,
				       c[3].wide};
	(void)n;
	if (!text_of(asset, sizeof(asset), &c[2]) || c[3].type != OTD_VALUE_WIDE)
		return OTD_E_CORRUPT;
	r->stopped = !r->account(r->arg, &a);
	return r->stopped ? STOPPED : OTD_OK;
}

otd_rc otd_ledger_balances(struct otd_db *db,
			   bool (*each)(void *arg, const struct otd_ledger_account *a), void *arg,
			   struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_TEXT,
					 OTD_VALUE_WIDE};
	struct reader r = {.account = each, .arg = arg};
	otd_rc rc = otd_db_query(db,
				 "SELECT account_kind, owner, asset, amount FROM balances"
				 " ORDER BY account_kind, owner, asset",
				 NULL, 0, wants, 4, on_account, &r, err);
	return r.stopped ? OTD_OK : rc;
}

static otd_rc on_line(void *ctx, const struct otd_value *c, size_t n)
{
	struct reader *r = ctx;
	char key[OTD_LEDGER_ROW_KEY], asset[OTD_LEDGER_ASSET + 1], memo[OTD_LEDGER_MEMO + 1];
	struct otd_ledger_line l = {(uint64_t)c[0].i, key, asset, memo, c[4].i, c[5].i != 0};
	(void)n;
	if (!text_of(key, sizeof(key), &c[1]) || !text_of(asset, sizeof(asset), &c[2]) ||
	    !text_of(memo, sizeof(memo), &c[3]))
		return OTD_E_CORRUPT;
	r->stopped = !r->line(r->arg, &l);
	return r->stopped ? STOPPED : OTD_OK;
}

otd_rc otd_ledger_postings(struct otd_db *db, uint64_t before, size_t max,
			   bool (*each)(void *arg, const struct otd_ledger_line *l), void *arg,
			   struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT,  OTD_VALUE_TEXT, OTD_VALUE_TEXT,
					 OTD_VALUE_TEXT, OTD_VALUE_INT,  OTD_VALUE_INT};
	struct reader r = {.line = each, .arg = arg};
	struct otd_value v[] = {OTD_INT(before && before < INT64_MAX ? before : INT64_MAX),
				OTD_INT(max < INT32_MAX ? max : INT32_MAX)};
	otd_rc rc = otd_db_query(db,
				 "SELECT id, k, asset, memo, time_ms, reversed FROM postings"
				 " WHERE id < ? ORDER BY id DESC LIMIT ?",
				 v, 2, wants, 6, on_line, &r, err);
	return r.stopped ? OTD_OK : rc;
}
