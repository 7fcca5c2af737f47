/* One connection: transactions, statements, and the errors of both. */
#include "store/db.h"
#include "plugin/plugin.h"
#include <string.h>

otd_rc otd_db_fail(struct otd_db *db, otd_rc rc, struct otd_err *err)
{
	const char *said = otd_instance_error(db->plugin);
	return otd_fail(err, rc, "database: %s", said[0] ? said : otd_rc_name(rc));
}

/*
 * A statement that failed on its own (a key that is there, a wrong value) leaves the transaction as
 * it was. After anything else nobody knows what of it there is, and work that overlooks the error
 * must not commit the rest.
 */
static otd_rc failed(struct otd_db *db, otd_rc rc, struct otd_err *err)
{
	if (rc != OTD_E_EXISTS && rc != OTD_E_INVALID && !db->failed)
		db->failed = rc;
	return otd_db_fail(db, rc, err);
}

otd_rc otd_db_exec(struct otd_db *db, const char *sql, const struct otd_value *v, size_t n,
		   int64_t *changed, int64_t *last_key, struct otd_err *err)
{
	otd_rc rc;
	if (!db->writing)
		return otd_fail(err, OTD_E_INVALID,
				"database: a statement that writes, outside of a transaction");
	otd_instance_clear_error(db->plugin);
	OTD_ON(OTD_THREAD_STORE);
	rc = db->ops->exec(db->self, sql, v, sizeof(*v), n, changed, last_key);
	return rc ? failed(db, rc, err) : OTD_OK;
}

struct rows {
	otd_row_fn row;
	void *ctx;
	otd_rc rc; /* what row returned: its end of the query is no failure of the database */
};

static otd_rc on_row(void *ctx, const struct otd_value *columns, size_t n)
{
	struct rows *r = ctx;
	r->rc = r->row(r->ctx, columns, n);
	return r->rc;
}

otd_rc otd_db_query(struct otd_db *db, const char *sql, const struct otd_value *v, size_t n,
		    const uint32_t *wants, size_t n_wants, otd_row_fn row, void *ctx,
		    struct otd_err *err)
{
	struct rows r = {row, ctx, OTD_OK};
	otd_rc rc;
	if (err)
		*err = (struct otd_err){0};
	otd_instance_clear_error(db->plugin);
	OTD_ON(OTD_THREAD_STORE);
	rc = db->ops->query(db->self, sql, v, sizeof(*v), n, wants, n_wants, on_row, &r);
	if (r.rc)
		return err && err->text[0] ? r.rc
					   : otd_fail(err, r.rc, "database: the rows ended by: %s",
						      otd_rc_name(r.rc));
	return rc ? failed(db, rc, err) : OTD_OK;
}

struct one_int {
	int64_t value;
	size_t rows;
	bool null;
};

static otd_rc take_int(void *ctx, const struct otd_value *columns, size_t n)
{
	struct one_int *o = ctx;
	(void)n;
	if (!o->rows++) {
		o->value = columns[0].i;
		o->null = columns[0].type == OTD_VALUE_NULL;
	}
	return OTD_OK;
}

otd_rc otd_db_int(struct otd_db *db, const char *sql, const struct otd_value *v, size_t n,
		  int64_t *out, struct otd_err *err)
{
	static const uint32_t wants[] = {OTD_VALUE_INT};
	struct one_int o = {0};
	otd_rc rc = otd_db_query(db, sql, v, n, wants, 1, take_int, &o, err);
	if (rc)
		return rc;
	/* MAX() of nothing is a row with NULL. */
	if (!o.rows || o.null)
		return otd_fail(err, OTD_E_NOT_FOUND, "database: no row: %.200s", sql);
	*out = o.value;
	return OTD_OK;
}

otd_rc otd_db_backup_step(struct otd_db *db, const struct otd_files *files, uint32_t pages,
			  uint32_t *left, struct otd_err *err)
{
	*left = 0;
	if (!db->ops->backup_step)
		return otd_fail(
			err, OTD_E_UNSUPPORTED,
			"database: its plugin makes no copies; use the database's own tools");
	if (db->writing)
		return otd_fail(err, OTD_E_INVALID, "database: a copy within a transaction");
	otd_instance_clear_error(db->plugin);
	OTD_ON(OTD_THREAD_STORE);
	otd_rc rc = db->ops->backup_step(db->self, files, pages, left);
	return rc ? otd_db_fail(db, rc, err) : OTD_OK;
}

static otd_rc finish(struct otd_db *db, otd_rc rc, struct otd_err *err)
{
	if (!rc && db->failed)
		rc = otd_fail(err, db->failed,
			      "database: not committed, a statement before had failed: %s",
			      otd_rc_name(db->failed));
	if (!rc) {
		otd_instance_clear_error(db->plugin);
		rc = db->ops->commit(db->self);
		if (rc)
			(void)otd_db_fail(db, rc, err);
	}
	if (rc)
		db->ops->rollback(db->self);
	return rc;
}

otd_rc otd_db_run(struct otd_db *db, bool write, otd_store_work work, void *arg,
		  struct otd_err *err)
{
	otd_rc rc;
	*err = (struct otd_err){0};
	db->failed = OTD_OK;
	if (write) {
		otd_instance_clear_error(db->plugin);
		rc = db->ops->begin(db->self);
		if (rc)
			return otd_db_fail(db, rc, err);
	}
	db->writing = write;
	rc = work(arg, db, err);
	if (rc && !err->text[0])
		(void)otd_fail(err, rc, "database: %s", otd_rc_name(rc));
	/* Work may have looked for something in vain and gone on. */
	if (!rc)
		*err = (struct otd_err){0};
	err->rc = rc;
	if (write)
		rc = finish(db, rc, err);
	db->writing = false;
	err->rc = rc;
	return rc;
}
