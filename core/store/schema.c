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

static const struct otd_migration migrations[] = {
	{1, version_1, COUNT(version_1)},
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
