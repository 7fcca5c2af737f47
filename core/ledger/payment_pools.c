/* Accounts that are not paid, and pools that pay. */
#include "base/err.h"
#include "base/text.h"
#include "ledger/payment_own.h"
#include <stdio.h>
#include <string.h>

otd_rc otd_pay_hold_account(struct otd_db *db, uint64_t account, const char *reason,
			    int64_t time_ms, struct otd_err *err)
{
	char line[OTD_PAY_WHY + 1];
	struct otd_value v[] = {OTD_INT(account)};
	int64_t there;
	otd_rc rc = otd_db_int(db, "SELECT id FROM accounts WHERE id = ?", v, 1, &there, err);
	if (rc == OTD_E_NOT_FOUND)
		return otd_fail(err, OTD_E_NOT_FOUND, "there is no account of number %llu",
				(unsigned long long)account);
	if (rc)
		return rc;
	otd_pay_line(line, sizeof(line), reason ? reason : "");
	struct otd_value h[] = {OTD_INT(account), OTD_TEXT(line), OTD_INT(time_ms)};
	rc = reason ? otd_db_exec(db,
				  "INSERT INTO payment_holds(account_id, reason, created_ms)"
				  " VALUES(?,?,?) ON CONFLICT(account_id) DO UPDATE SET"
				  " reason = excluded.reason",
				  h, 3, NULL, NULL, err)
		    : otd_db_exec(db, "DELETE FROM payment_holds WHERE account_id = ?", v, 1, NULL,
				  NULL, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms,
				  reason ? "payment.hold-account" : "payment.release-account", err,
				  "%llu why=%s", (unsigned long long)account, line);
}

static otd_rc take_pool(void *ctx, const struct otd_value *c, size_t n)
{
	(void)n;
	*(struct otd_pay_pool *)ctx =
		(struct otd_pay_pool){c[0].i && !c[3].i, c[1].i, c[2].i, c[3].i != 0};
	return OTD_OK;
}

otd_rc otd_pay_pool(struct otd_db *db, uint64_t pool_id, struct otd_pay_pool *out,
		    struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT, OTD_VALUE_INT, OTD_VALUE_INT,
					 OTD_VALUE_INT};
	struct otd_value v[] = {OTD_INT(pool_id)};
	*out = (struct otd_pay_pool){0};
	return otd_db_query(db,
			    "SELECT is_on, confirmed_ms, last_run_ms, restored FROM payment_pools"
			    " WHERE pool_id = ?",
			    v, 1, wants, 4, take_pool, out, err);
}

otd_rc otd_pay_pool_set(struct otd_db *db, uint64_t pool_id, bool on, int64_t time_ms,
			struct otd_err *err)
{
	struct otd_value v[] = {OTD_INT(pool_id), OTD_INT(on), OTD_INT(on ? time_ms : 0)};
	otd_rc rc =
		otd_db_exec(db,
			    "INSERT INTO payment_pools(pool_id, is_on, confirmed_ms, last_run_ms,"
			    " restored) VALUES(?,?,?,0,0) ON CONFLICT(pool_id) DO UPDATE SET"
			    " is_on = excluded.is_on, confirmed_ms = excluded.confirmed_ms,"
			    " restored = 0",
			    v, 3, NULL, NULL, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms, "payment.pool", err, "%llu %s",
				  (unsigned long long)pool_id, on ? "on" : "off");
}

otd_rc otd_pay_pool_ran(struct otd_db *db, uint64_t pool_id, int64_t time_ms, struct otd_err *err)
{
	struct otd_value v[] = {OTD_INT(pool_id), OTD_INT(time_ms)};
	return otd_db_exec(db,
			   "INSERT INTO payment_pools(pool_id, is_on, confirmed_ms, last_run_ms)"
			   " VALUES(?,0,0,?) ON CONFLICT(pool_id) DO UPDATE SET"
			   " last_run_ms = excluded.last_run_ms",
			   v, 2, NULL, NULL, err);
}

static otd_rc take_ms(void *ctx, const struct otd_value *c, size_t n)
{
	uint64_t v = 0;
	(void)n;
	if (c[0].type == OTD_VALUE_TEXT &&
	    otd_parse_u64(&v, (const char *)c[0].bytes.ptr, c[0].bytes.len) == OTD_OK)
		*(int64_t *)ctx = (int64_t)(v & INT64_MAX);
	return OTD_OK;
}

otd_rc otd_pay_was_restored(struct otd_db *db, const struct otd_payment *p, bool *yes,
			    struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT};
	int64_t restored_ms = -1;
	otd_rc rc = otd_db_query(db, "SELECT v FROM meta WHERE k = 'restored_ms'", NULL, 0, wants,
				 1, take_ms, &restored_ms, err);
	*yes = p->created_ms <= restored_ms;
	return rc;
}

/* When; not before the newest payment, whatever the clock of another machine says. */
static otd_rc put_restored(struct otd_db *db, int64_t time_ms, struct otd_err *err)
{
	char text[24];
	int64_t newest_ms = 0;
	otd_rc rc = otd_db_int(db, "SELECT coalesce(max(created_ms), 0) FROM payments", NULL, 0,
			       &newest_ms, err);
	if (rc)
		return rc;
	snprintf(text, sizeof(text), "%lld",
		 (long long)(time_ms > newest_ms ? time_ms : newest_ms));
	struct otd_value v[] = {OTD_TEXT(text)};
	return otd_db_exec(db,
			   "INSERT INTO meta(k, v) VALUES('restored_ms', ?)"
			   " ON CONFLICT(k) DO UPDATE SET v = excluded.v",
			   v, 1, NULL, NULL, err);
}

otd_rc otd_pay_restored(struct otd_db *db, int64_t time_ms, struct otd_err *err)
{
	struct otd_value bare[] = {
		OTD_TEXT("restored from a backup in which it was not signed: it may have been paid "
			 "since. Look in the wallet's list, then resolve it: --paid TXID, or "
			 "--unpaid"),
		OTD_INT(time_ms)};
	struct otd_value sent[] = {OTD_TEXT("restored from a backup: whether it came into a block "
					    "since is looked up; where it "
					    "has not, release it, and it goes on"),
				   OTD_INT(time_ms)};
	int64_t pools = 0, unsigned_ones = 0, signed_ones = 0;
	otd_rc rc = put_restored(db, time_ms, err);
	/* Those without a row were never on. */
	if (!rc)
		rc = otd_db_exec(db, "UPDATE payment_pools SET restored = 1", NULL, 0, &pools, NULL,
				 err);
	if (!rc)
		rc = otd_db_exec(db,
				 "UPDATE payments SET held = 1, why = ?, changed_ms = ?"
				 " WHERE state BETWEEN 1 AND 2",
				 bare, 2, &unsigned_ones, NULL, err);
	if (!rc)
		rc = otd_db_exec(db,
				 "UPDATE payments SET held = 1, why = ?, changed_ms = ?"
				 " WHERE state BETWEEN 3 AND 4",
				 sent, 2, &signed_ones, NULL, err);
	return rc ? rc
		  : otd_pay_audit(db, time_ms, "payment.restored", err, "pools=%lld held=%lld",
				  (long long)pools, (long long)(unsigned_ones + signed_ones));
}

otd_rc otd_pay_pool_id(struct otd_db *db, const char *pool, uint64_t *id, struct otd_err *err)
{
	struct otd_value v[] = {OTD_TEXT(pool)};
	int64_t there = 0;
	otd_rc rc = otd_db_int(db, "SELECT id FROM pools WHERE name = ?", v, 1, &there, err);
	*id = (uint64_t)there;
	return rc == OTD_E_NOT_FOUND ? otd_fail(err, rc, "there is no pool '%.60s'", pool) : rc;
}

otd_rc otd_pay_account_id(struct otd_db *db, uint64_t pool_id, const char *address, uint64_t *id,
			  struct otd_err *err)
{
	struct otd_value v[] = {OTD_INT(pool_id), OTD_TEXT(address)};
	int64_t there = 0;
	otd_rc rc = otd_db_int(db, "SELECT id FROM accounts WHERE pool_id = ? AND address = ?", v,
			       2, &there, err);
	*id = (uint64_t)there;
	return rc == OTD_E_NOT_FOUND
		       ? otd_fail(err, rc, "the pool has no account with the address '%.120s'",
				  address)
		       : rc;
}
