/* The tables, version by version. */
#include "store/schema.h"
#include "base/log.h"
#include "base/text.h"
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* meta itself is made by otd_schema_migrate(), which has to read it first. */
static const char *const version_1[] = {
	"CREATE TABLE pools(id {key}, name {text} NOT NULL UNIQUE, asset {text} NOT NULL)",
	/* who mines and on what */
	"CREATE TABLE accounts(id {key}, pool_id {int} NOT NULL, address {text} NOT NULL,"
	" created_ms {int} NOT NULL, UNIQUE(pool_id, address))",
	"CREATE TABLE workers(id {key}, account_id {int} NOT NULL, name {text} NOT NULL,"
	" last_ms {int} NOT NULL, UNIQUE(account_id, name))",
	/* id 1: sequence of the coordinator's journal up to which everything is here */
	"CREATE TABLE position(id {int} PRIMARY KEY, seq {int} NOT NULL)",
	/* reactor epochs: the first sequence that is not merged */
	"CREATE TABLE epochs(epoch {int} PRIMARY KEY, next_seq {int} NOT NULL)",
	"CREATE TABLE share_minutes(worker_id {int} NOT NULL, minute {int} NOT NULL,"
	" accepted {int} NOT NULL, work {wide} NOT NULL, PRIMARY KEY(worker_id, minute))",
	"CREATE INDEX share_minutes_by_time ON share_minutes(minute)",
	"CREATE TABLE refused_minutes(worker_id {int} NOT NULL, minute {int} NOT NULL,"
	" reason {int} NOT NULL, count {int} NOT NULL, PRIMARY KEY(worker_id, minute, reason))",
	"CREATE INDEX refused_minutes_by_time ON refused_minutes(minute)",
	"CREATE TABLE blocks(id {key}, pool_id {int} NOT NULL, epoch {int} NOT NULL,"
	" share_seq {int} NOT NULL, height {int} NOT NULL, hash {blob} NOT NULL,"
	" prev {blob} NOT NULL, finder {int} NOT NULL, worker_id {int} NOT NULL,"
	" found_ms {int} NOT NULL, value {wide} NOT NULL, fee {wide} NOT NULL,"
	" network_work {wide} NOT NULL, round_work {wide} NOT NULL, state {int} NOT NULL,"
	" confirmations {int} NOT NULL, scheme {text} NOT NULL DEFAULT '',"
	" held {int} NOT NULL DEFAULT 0, UNIQUE(epoch, share_seq))",
	"CREATE INDEX blocks_by_pool ON blocks(pool_id, height)",
	"CREATE INDEX blocks_by_state ON blocks(state)",
	/* what a payout scheme knew at a sequence of the coordinator's journal */
	"CREATE TABLE payout_state(pool_id {int} NOT NULL, scheme {text} NOT NULL,"
	" seq {int} NOT NULL, state {blob} NOT NULL, PRIMARY KEY(pool_id, scheme))",
	/* the ledger */
	"CREATE TABLE postings(id {key}, k {text} NOT NULL UNIQUE, asset {text} NOT NULL,"
	" memo {text} NOT NULL, time_ms {int} NOT NULL, reversed {int} NOT NULL DEFAULT 0)",
	"CREATE TABLE entries(posting_id {int} NOT NULL, n {int} NOT NULL,"
	" account_kind {int} NOT NULL, owner {int} NOT NULL, amount {wide} NOT NULL,"
	" PRIMARY KEY(posting_id, n))",
	"CREATE INDEX entries_by_account ON entries(account_kind, owner)",
	"CREATE TABLE balances(account_kind {int} NOT NULL, owner {int} NOT NULL,"
	" asset {text} NOT NULL, amount {wide} NOT NULL,"
	" PRIMARY KEY(account_kind, owner, asset))",
	"CREATE TABLE audit(id {key}, time_ms {int} NOT NULL, what {text} NOT NULL,"
	" data {text} NOT NULL, prev {blob} NOT NULL, hash {blob} NOT NULL)",
};

static const char *const version_2[] = {
	/* An intent to pay: enum otd_pay_state. version: newest row of payment_txs of this generation,
	   0: none; a new generation begins where an input was spent by somebody else for good. */
	"CREATE TABLE payments(id {key}, pool_id {int} NOT NULL, asset {text} NOT NULL,"
	" state {int} NOT NULL, held {int} NOT NULL DEFAULT 0, why {text} NOT NULL DEFAULT '',"
	" fee_by_miners {int} NOT NULL, total {wide} NOT NULL, created_ms {int} NOT NULL,"
	" changed_ms {int} NOT NULL, generation {int} NOT NULL DEFAULT 1,"
	" version {int} NOT NULL DEFAULT 0, paid_generation {int} NOT NULL DEFAULT 0,"
	" paid_version {int} NOT NULL DEFAULT 0,"
	" confirmations {int} NOT NULL DEFAULT 0, height {int} NOT NULL DEFAULT 0,"
	" conflict_height {int} NOT NULL DEFAULT 0)",
	"CREATE INDEX payments_by_state ON payments(state)",
	/* its time is what tells a second try from a second payment */
	"CREATE UNIQUE INDEX payments_by_pool ON payments(pool_id, created_ms)",
	/* who gets what: amount leaves the account, and arrives where the pool pays the fee */
	"CREATE TABLE payment_parts(payment_id {int} NOT NULL, n {int} NOT NULL,"
	" account_kind {int} NOT NULL, owner {int} NOT NULL, address {text} NOT NULL,"
	" amount {wide} NOT NULL, PRIMARY KEY(payment_id, n))",
	"CREATE INDEX payment_parts_by_owner ON payment_parts(account_kind, owner)",
	/* since: the version from which on it is an input, never taken out within a generation */
	"CREATE TABLE payment_coins(payment_id {int} NOT NULL, generation {int} NOT NULL,"
	" n {int} NOT NULL, since {int} NOT NULL, txid {blob} NOT NULL, idx {int} NOT NULL,"
	" value {wide} NOT NULL, script {blob} NOT NULL,"
	" PRIMARY KEY(payment_id, generation, n))",
	"CREATE INDEX payment_coins_by_coin ON payment_coins(txid, idx)",
	/* Signed ones, before they are sent: any of them may come into a block. */
	"CREATE TABLE payment_txs(payment_id {int} NOT NULL, generation {int} NOT NULL,"
	" version {int} NOT NULL, txid {blob} NOT NULL, raw {blob} NOT NULL, fee {wide} NOT NULL,"
	" change {wide} NOT NULL, vsize {int} NOT NULL, signed_ms {int} NOT NULL,"
	" PRIMARY KEY(payment_id, generation, version))",
	"CREATE UNIQUE INDEX payment_txs_by_txid ON payment_txs(txid)",
	/* what arrives by one version, where miners pay the fee; n as in payment_parts */
	"CREATE TABLE payment_sent(payment_id {int} NOT NULL, generation {int} NOT NULL,"
	" version {int} NOT NULL, n {int} NOT NULL, sent {wide} NOT NULL,"
	" PRIMARY KEY(payment_id, generation, version, n))",
	/* accounts that are not paid */
	"CREATE TABLE payment_holds(account_id {int} PRIMARY KEY, reason {text} NOT NULL,"
	" created_ms {int} NOT NULL)",
	/* pools whose operator has seen a dry run and said yes; restored: from a backup since then */
	"CREATE TABLE payment_pools(pool_id {int} PRIMARY KEY, is_on {int} NOT NULL,"
	" confirmed_ms {int} NOT NULL, last_run_ms {int} NOT NULL,"
	" restored {int} NOT NULL DEFAULT 0)",
	/* enum otd_ban_scope of net/bans.h */
	"CREATE TABLE bans(id {key}, scope {int} NOT NULL, what {text} NOT NULL,"
	" reason {text} NOT NULL, by_whom {text} NOT NULL, created_ms {int} NOT NULL,"
	" until_ms {int} NOT NULL, undone_ms {int} NOT NULL DEFAULT 0)",
	"CREATE INDEX bans_by_end ON bans(until_ms)",
};

static const char *const version_3[] = {
	/* Fees by the time from which on they are in force; seq: of the coordinator's journal. */
	"CREATE TABLE terms(pool_id {int} NOT NULL, seq {int} NOT NULL, fee_ppm {int} NOT NULL,"
	" since_ms {int} NOT NULL, PRIMARY KEY(pool_id, seq))",
};

static const char *const version_4[] = {
	/* Accounts with a fee of their own, in the place of their pool's; fee_ppm -1: not any more. */
	"CREATE TABLE account_terms(account_id {int} NOT NULL, seq {int} NOT NULL,"
	" fee_ppm {int} NOT NULL, since_ms {int} NOT NULL, PRIMARY KEY(account_id, seq))",
};

static const char *const version_5[] = {
	/* Fees by command, in the place of the settings'; until_ms 0: until it is cleared. At most one
	   of a pool has not ended. */
	"CREATE TABLE fee_overrides(id {key}, pool {text} NOT NULL, fee_ppm {int} NOT NULL,"
	" reason {text} NOT NULL, by_whom {text} NOT NULL, created_ms {int} NOT NULL,"
	" until_ms {int} NOT NULL, ended_ms {int} NOT NULL DEFAULT 0)",
	"CREATE INDEX fee_overrides_by_end ON fee_overrides(ended_ms)",
};

static const char *const version_6[] = {
	/* Who else gets of such an account's fee; seq: of its row in account_terms, recipient: an account. */
	"CREATE TABLE account_recipients(account_id {int} NOT NULL, seq {int} NOT NULL,"
	" recipient {int} NOT NULL, ppm {int} NOT NULL, PRIMARY KEY(account_id, seq, recipient))",
};

static const struct otd_migration migrations[] = {
	{1, version_1, COUNT(version_1)}, {2, version_2, COUNT(version_2)},
	{3, version_3, COUNT(version_3)}, {4, version_4, COUNT(version_4)},
	{5, version_5, COUNT(version_5)}, {6, version_6, COUNT(version_6)},
};

/* A text that is not a positive number gives -1. */
static otd_rc take_version(void *ctx, const struct otd_value *columns, size_t n)
{
	int64_t *out = ctx;
	uint64_t v = 0;
	const struct otd_span *s = &columns[0].bytes;
	(void)n;
	*out = -1;
	if (columns[0].type == OTD_VALUE_TEXT &&
	    otd_parse_u64(&v, (const char *)s->ptr, s->len) == OTD_OK && v > 0 && v < INT32_MAX)
		*out = (int64_t)v;
	return OTD_OK;
}

static otd_rc refuse(int64_t has, int64_t oldest, int64_t ours, struct otd_err *err)
{
	if (has < 0)
		return otd_fail(err, OTD_E_VERSION,
				"the database's schema has no version that can be read (this "
				"otedama has %lld): it was made by something else or is damaged; "
				"restore a backup, or use another path",
				(long long)ours);
	if (has > ours)
		return otd_fail(err, OTD_E_VERSION,
				"the database has schema version %lld, this otedama knows %lld: it "
				"was used by a newer one; update otedama, or restore the backup "
				"made before that update",
				(long long)has, (long long)ours);
	return otd_fail(err, OTD_E_VERSION,
			"the database has schema version %lld, this otedama has %lld and migrates "
			"from %lld on: start a release in between once, then this one",
			(long long)has, (long long)ours, (long long)oldest);
}

static otd_rc read_version(struct otd_db *db, int64_t *has, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_TEXT};
	*has = 0;
	return otd_db_query(db, "SELECT v FROM meta WHERE k = 'schema'", NULL, 0, wants, 1,
			    take_version, has, err);
}

otd_rc otd_schema_migrate(struct otd_db *db, const struct otd_migration *table, size_t n,
			  struct otd_err *err)
{
	int64_t has = 0, ours = table[n - 1].version, oldest = table[0].version - 1;
	char text[24];
	otd_rc rc = otd_db_exec(db,
				"CREATE TABLE IF NOT EXISTS meta(k {text} NOT NULL PRIMARY KEY,"
				" v {text} NOT NULL)",
				NULL, 0, NULL, NULL, err);
	if (!rc)
		rc = read_version(db, &has, err);
	if (rc)
		return rc;
	if (has == ours)
		return OTD_OK;
	if (has < 0 || has > ours || has < oldest)
		return refuse(has, oldest, ours, err);
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; table[i].version > has && j < table[i].n; j++) {
			rc = otd_db_exec(db, table[i].sql[j], NULL, 0, NULL, NULL, err);
			if (rc) {
				otd_fail_prefix(err, "migration to schema version %lld, step %zu",
						(long long)table[i].version, j + 1);
				return rc;
			}
		}
	}
	(void)snprintf(text, sizeof(text), "%lld", (long long)ours);
	struct otd_value v[] = {OTD_TEXT(text)};
	rc = otd_db_exec(db,
			 "INSERT INTO meta(k, v) VALUES('schema', ?)"
			 " ON CONFLICT(k) DO UPDATE SET v = excluded.v",
			 v, 1, NULL, NULL, err);
	if (!rc && has)
		otd_log(OTD_LOG_INFO, "store", "schema.migrated", "from=%lld to=%lld",
			(long long)has, (long long)ours);
	return rc;
}

otd_rc otd_schema_prepare(struct otd_db *db, struct otd_err *err)
{
	return otd_schema_migrate(db, migrations, COUNT(migrations), err);
}

int64_t otd_schema_newest(void)
{
	return migrations[COUNT(migrations) - 1].version;
}

otd_rc otd_schema_look(struct otd_db *db, int64_t *has, int64_t *ours, struct otd_err *err)
{
	int64_t oldest = migrations[0].version - 1;
	*ours = migrations[COUNT(migrations) - 1].version;
	otd_rc rc = read_version(db, has, err);
	if (rc == OTD_E_INVALID) {
		/* No such table: nothing was ever made in it. */
		*has = 0;
		return OTD_OK;
	}
	if (rc == OTD_OK && (*has < 0 || *has > *ours || *has < oldest))
		return refuse(*has, oldest, *ours, err);
	return rc;
}
