/* Kind store/1 over SQLite: one file, one connection, write-ahead log, every commit synced. */
#include "sqlite.h"
#include <stdio.h>
#include <string.h>

#define COLUMNS_MAX 64

OTD_PLUGIN_NOTE("store/1", "sqlite");

static const struct otd_option options[] = {
	OTD_OPTION(struct store_options, path, OTD_OPT_TEXT, "path", "otedama.db",
		   "file of the database, within the data directory", .min = 1,
		   .max = SQLITE_PATH_MAX),
	OTD_OPTION(struct store_options, busy_timeout_ms, OTD_OPT_DURATION, "busy_timeout", "1s",
		   "how long to wait at start for another process that has the database", .min = 0,
		   .max = 600000),
	OTD_OPTION(struct store_options, cache_bytes, OTD_OPT_SIZE, "cache", "16MiB",
		   "memory for pages of the database", .min = 1 << 20, .max = INT64_C(1) << 36),
};

otd_rc store_code(int extended)
{
	if (extended == SQLITE_IOERR_NOMEM)
		return OTD_E_NOMEM;
	if (extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY ||
	    extended == SQLITE_CONSTRAINT_ROWID)
		return OTD_E_EXISTS;
	switch (extended & 0xff) {
	case SQLITE_FULL:
	case SQLITE_NOMEM: return OTD_E_NOMEM;
	case SQLITE_IOERR:
	case SQLITE_CANTOPEN:
	case SQLITE_READONLY:
	case SQLITE_PERM: return OTD_E_IO;
	case SQLITE_BUSY:
	case SQLITE_LOCKED: return OTD_E_BUSY;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB: return OTD_E_CORRUPT;
	case SQLITE_TOOBIG: return OTD_E_RANGE;
	default: return OTD_E_INVALID;
	}
}

otd_rc store_failed(struct otd_instance *in, const char *doing)
{
	int code = in->db ? sqlite3_extended_errcode(in->db) : SQLITE_NOMEM;
	const char *words = in->db ? sqlite3_errmsg(in->db) : "no memory";
	otd_rc rc = store_code(code);
	if (rc == OTD_E_BUSY)
		in->core->set_error(in->host,
				    "%s: another process has the database; end it, or "
				    "use another path",
				    in->opt->path);
	else if ((rc == OTD_E_IO || rc == OTD_E_NOMEM) && in->io_error[0])
		in->core->set_error(in->host, "%s (SQLite: %s)%s", in->io_error, words,
				    (code & 0xff) == SQLITE_FULL ? "; free some disk space" : "");
	else if (rc == OTD_E_CORRUPT)
		in->core->set_error(in->host,
				    "%s: %s; it was damaged or is no database: restore a backup",
				    in->opt->path, words);
	else
		in->core->set_error(in->host, "%s: %s, at: %.80s", in->opt->path, words, doing);
	return rc;
}

/* A statement without values; with want, its one text answer has to be that. */
static otd_rc run(struct otd_instance *in, const char *sql, const char *want)
{
	sqlite3_stmt *stmt = NULL;
	otd_rc rc = OTD_OK;
	int step;
	if (sqlite3_prepare_v2(in->db, sql, -1, &stmt, NULL))
		return store_failed(in, sql);
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW && want) {
		const unsigned char *got = sqlite3_column_text(stmt, 0);
		if (!got || strcmp((const char *)got, want) != 0) {
			in->core->set_error(in->host, "%s: '%s' gave '%s', not '%s'", in->opt->path,
					    sql, got ? (const char *)got : "", want);
			rc = OTD_E_UNSUPPORTED;
		}
	}
	while (step == SQLITE_ROW)
		step = sqlite3_step(stmt);
	if (!rc && step != SQLITE_DONE)
		rc = store_failed(in, sql);
	(void)sqlite3_finalize(stmt);
	return rc;
}

/* What SQLite's own hook does, but a failure is seen: the log only grows until it succeeds. */
static int after_commit(void *arg, sqlite3 *db, const char *name, int pages)
{
	struct otd_instance *in = arg;
	int rc = SQLITE_OK;
	char text[320];
	if (pages >= 1000)
		rc = sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	if (rc) {
		(void)snprintf(text, sizeof(text), "pages=%d error=\"%s\" what=\"%s\"", pages,
			       sqlite3_errstr(rc), in->io_error);
		in->core->log(in->host, OTD_LOG_WARN, "store.checkpoint_failed", text);
	}
	return SQLITE_OK;
}

static void store_close(struct otd_instance *in)
{
	if (!in->db)
		return;
	store_backup_end(in);
	store_statements_finish(in);
	in->in_transaction = false;
	(void)sqlite3_close(in->db);
	in->db = NULL;
}

static otd_rc store_open(struct otd_instance *in)
{
	static const struct {
		const char *sql, *want;
	} first[] = {
		/* Before anything is read: without it the log would want shared memory. */
		{"PRAGMA locking_mode=EXCLUSIVE", "exclusive"},
		{"PRAGMA temp_store=MEMORY", NULL},
		{"PRAGMA journal_mode=WAL", "wal"},
		{"PRAGMA synchronous=FULL", NULL},
		{"PRAGMA journal_size_limit=67108864", NULL},
		{"PRAGMA trusted_schema=OFF", NULL},
		{"PRAGMA cell_size_check=ON", NULL},
	};
	char text[64];
	otd_rc rc = OTD_OK;
	if (in->db)
		return OTD_OK;
	in->io_error[0] = 0;
	if (sqlite3_open_v2(in->opt->path, &in->db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
				    SQLITE_OPEN_EXRESCODE,
			    in->vfs.name)) {
		rc = store_failed(in, "open");
		goto out;
	}
	(void)sqlite3_busy_timeout(in->db, (int)in->opt->busy_timeout_ms);
	(void)sqlite3_db_config(in->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(in->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	(void)sqlite3_db_config(in->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	for (size_t i = 0; !rc && i < sizeof(first) / sizeof(first[0]); i++)
		rc = run(in, first[i].sql, first[i].want);
	(void)snprintf(text, sizeof(text), "PRAGMA cache_size=-%lld",
		       (long long)(in->opt->cache_bytes / 1024));
	if (!rc)
		rc = run(in, text, NULL);
	if (!rc)
		(void)sqlite3_wal_hook(in->db, after_commit, in);
out:
	if (rc)
		store_close(in);
	return rc;
}

/* SQLite ends a transaction by itself after some errors; what came then would commit on its own. */
static bool lost_transaction(struct otd_instance *in)
{
	if (!in->in_transaction || !sqlite3_get_autocommit(in->db))
		return false;
	in->core->set_error(in->host, "%s: the transaction was rolled back by the error before: %s",
			    in->opt->path, in->io_error[0] ? in->io_error : "see the log");
	return true;
}

static otd_rc ready(struct otd_instance *in)
{
	if (!in->db) {
		in->core->set_error(in->host, "%s: is not open", in->opt->path);
		return OTD_E_CLOSED;
	}
	if (lost_transaction(in))
		return OTD_E_IO;
	return OTD_OK;
}

static otd_rc store_exec(struct otd_instance *in, const char *sql, const struct otd_value *values,
			 size_t stride, size_t n, int64_t *changed, int64_t *last_key)
{
	struct store_statement st, *cached;
	sqlite3_int64 before;
	int step;
	otd_rc rc = ready(in);
	if (!rc)
		rc = store_prepare(in, &st, &cached, sql);
	if (rc)
		return rc;
	before = sqlite3_total_changes64(in->db);
	rc = store_bind(in, st.stmt, values, stride, n);
	if (rc)
		goto out;
	do {
		step = sqlite3_step(st.stmt);
	} while (step == SQLITE_ROW);
	if (step != SQLITE_DONE) {
		rc = store_failed(in, sql);
		goto out;
	}
	if (changed)
		*changed = sqlite3_total_changes64(in->db) - before;
	if (last_key)
		*last_key = sqlite3_last_insert_rowid(in->db);
out:
	store_release(in, &st, cached);
	return rc;
}

static otd_rc store_begin(struct otd_instance *in)
{
	otd_rc rc;
	if (in->db && in->in_transaction) {
		in->core->set_error(in->host, "%s: a transaction is open already", in->opt->path);
		return OTD_E_INVALID;
	}
	if (in->db)
		in->io_error[0] = 0;
	rc = store_exec(in, "BEGIN IMMEDIATE", NULL, 0, 0, NULL, NULL);
	in->in_transaction = rc == OTD_OK;
	return rc;
}

static void store_rollback(struct otd_instance *in)
{
	in->in_transaction = false;
	if (!in->db || sqlite3_get_autocommit(in->db))
		return;
	/* Where this fails SQLite rolls back at close or at the next open. */
	(void)store_exec(in, "ROLLBACK", NULL, 0, 0, NULL, NULL);
}

/*
 * A commit that failed and is not open any more has been rolled back in memory, while its frames may
 * lie in the log: a crash before the next transaction overwrites them would bring it back. So its
 * fate is unknown. The connection is kept: its view is the older one, and to open the file again
 * could show as committed what a failed sync never made durable.
 */
static otd_rc store_commit(struct otd_instance *in)
{
	otd_rc rc = ready(in);
	if (rc == OTD_E_IO)
		in->in_transaction = false;
	if (rc)
		return rc;
	if (!in->in_transaction) {
		in->core->set_error(in->host, "%s: no transaction is open", in->opt->path);
		return OTD_E_INVALID;
	}
	rc = store_exec(in, "COMMIT", NULL, 0, 0, NULL, NULL);
	if (!rc) {
		in->in_transaction = false;
		return OTD_OK;
	}
	if (sqlite3_get_autocommit(in->db)) {
		in->in_transaction = false;
		return OTD_E_COMMIT_UNKNOWN;
	}
	store_rollback(in);
	return rc;
}

static otd_rc store_query(struct otd_instance *in, const char *sql, const struct otd_value *values,
			  size_t stride, size_t n, const uint32_t *wants, size_t n_wants,
			  otd_row_fn row, void *ctx)
{
	struct otd_value columns[COLUMNS_MAX];
	struct store_statement st, *cached;
	otd_rc rc = ready(in);
	int step;
	if (!rc)
		rc = store_prepare(in, &st, &cached, sql);
	if (rc)
		return rc;
	if (n_wants > COLUMNS_MAX || sqlite3_column_count(st.stmt) != (int)n_wants) {
		in->core->set_error(in->host, "%d columns, %zu wanted: %.100s",
				    sqlite3_column_count(st.stmt), n_wants, sql);
		rc = OTD_E_INVALID;
		goto out;
	}
	rc = store_bind(in, st.stmt, values, stride, n);
	while (!rc) {
		step = sqlite3_step(st.stmt);
		if (step == SQLITE_DONE)
			break;
		if (step != SQLITE_ROW) {
			rc = store_failed(in, sql);
			break;
		}
		rc = store_columns(in, st.stmt, wants, n_wants, columns);
		if (!rc)
			rc = row(ctx, columns, n_wants);
	}
out:
	store_release(in, &st, cached);
	return rc;
}

static void destroy(struct otd_instance *in)
{
	if (!in)
		return;
	store_close(in);
	store_vfs_finish(&in->vfs);
	in->core->free(in->host, in);
}

static bool path_ok(const char *path)
{
	for (const char *p = path; *p; p++) {
		bool start = p == path || p[-1] == '/';
		if (start && p[0] == '.' && p[1] == '.' && (p[2] == '/' || p[2] == 0))
			return false;
	}
	/* ":memory:" and "file:..." mean other things to SQLite. */
	return path[0] != '/' && path[0] != ':' && strncmp(path, "file:", 5) != 0;
}

static otd_rc create(struct otd_instance **out, struct otd_host *h,
		     const struct otd_host_core *core, const void *opt)
{
	struct otd_instance *in = core->alloc(h, sizeof(*in));
	otd_rc rc = OTD_OK;
	if (!in) {
		core->set_error(h, "no memory");
		return OTD_E_NOMEM;
	}
	in->host = h;
	in->core = core;
	in->opt = opt;
	in->clock = core->service(h, "clock/1");
	in->files = core->service(h, "files/1");
	if (!in->clock || !in->files) {
		core->set_error(h, "the host gives no %s", in->clock ? "files/1" : "clock/1");
		rc = OTD_E_UNSUPPORTED;
	} else if (!path_ok(in->opt->path)) {
		core->set_error(h,
				"path: '%.100s' does not lie within the data directory; give a "
				"name such as otedama.db",
				in->opt->path);
		rc = OTD_E_INVALID;
	} else if (store_vfs_init(&in->vfs, in, in->files)) {
		core->set_error(h, "no memory for SQLite");
		rc = OTD_E_NOMEM;
	}
	if (rc)
		destroy(in);
	else
		*out = in;
	return rc;
}

static const struct otd_base_ops base_ops = {
	.size = sizeof(base_ops),
	.create = create,
	.destroy = destroy,
};

static const struct otd_store_ops store_ops = {
	.size = sizeof(store_ops),
	.open = store_open,
	.close = store_close,
	.begin = store_begin,
	.commit = store_commit,
	.rollback = store_rollback,
	.exec = store_exec,
	.query = store_query,
	.backup_step = store_backup_step,
};

static const struct otd_plugin_desc desc = {
	.size = sizeof(desc),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.kind = "store/1",
	.id = "sqlite",
	.version = "0.1.0",
	.license = "MIT",
	.build = "SQLite " SQLITE_VERSION ", " __VERSION__,
	.summary = "SQLite: one file, write-ahead log, nothing to set up",
	.options_size = sizeof(struct store_options),
	.option_size = sizeof(struct otd_option),
	.n_options = sizeof(options) / sizeof(options[0]),
	.options = options,
	.base = &base_ops,
	.ops = {.store = &store_ops},
};

const struct otd_plugin_desc *otd_plugin_v1(void)
{
	return &desc;
}
