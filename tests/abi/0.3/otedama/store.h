/*
 * Kind "store/1": a database. The host owns schema and migrations and speaks a small common SQL;
 * the plugin runs it and hides how its database writes 128-bit integers. One instance is one
 * connection; every call is made on the one [store] thread.
 */
#ifndef OTEDAMA_STORE_H
#define OTEDAMA_STORE_H

#include <otedama/files.h>
#include <otedama/plugin.h>
#include <otedama/u256.h>

#ifdef __cplusplus
extern "C" {
#endif

enum otd_value_type {
	OTD_VALUE_NULL = 0,
	OTD_VALUE_INT = 1,  /* i */
	OTD_VALUE_WIDE = 2, /* wide: columns declared {wide} */
	OTD_VALUE_TEXT = 3, /* bytes, UTF-8 */
	OTD_VALUE_BLOB = 4  /* bytes */
};

struct otd_value {
	uint32_t type; /* enum otd_value_type */
	uint32_t reserved;
	int64_t i;
	otd_i128 wide;
	struct otd_span bytes; /* out: valid during the row callback only */
};

/* Returns OTD_OK for the next row; anything else ends the query with that code. */
typedef otd_rc (*otd_row_fn)(void *ctx, const struct otd_value *columns, size_t n);

/*
 * SQL text has '?' for each value, and the words {wide} {blob} {key} {text} {int} for column types
 * ({key}: an integer primary key that the database counts up). Upserts are written INSERT ... ON
 * CONFLICT(..) DO UPDATE SET x = excluded.x and rewritten by those who say it otherwise. wants
 * says, column by column, what to deliver: a column of type WIDE cannot be told from a blob.
 */
struct otd_store_ops {
	uint32_t size, reserved;
	otd_rc (*open)(struct otd_instance *in); /* OTD_E_BUSY: somebody else holds it */
	void (*close)(struct otd_instance *in);
	otd_rc (*begin)(struct otd_instance *in); /* a transaction that will write */
	/* OTD_E_COMMIT_UNKNOWN: it may or may not have happened; the host reads its position. */
	otd_rc (*commit)(struct otd_instance *in);
	void (*rollback)(struct otd_instance *in); /* harmless where none is open */
	/* changed and last_key may be NULL. OTD_E_EXISTS: a key is there already;
	   OTD_E_BUSY: locked, roll back and try again; OTD_E_NOMEM: disk full. */
	otd_rc (*exec)(struct otd_instance *in, const char *sql, const struct otd_value *values,
		       size_t stride, size_t n, int64_t *changed, int64_t *last_key);
	otd_rc (*query)(struct otd_instance *in, const char *sql, const struct otd_value *values,
			size_t stride, size_t n, const uint32_t *wants, size_t n_wants,
			otd_row_fn row, void *ctx);
	/*
	 * Since 0.2; NULL: this database has ways of its own to be copied. A copy of the whole
	 * database while it is in use: each call, between two transactions, copies up to pages more
	 * and says how many are left; the first one begins, into the folder that files stands for,
	 * under the name that the database has in the instance's own. With *left 0 the copy is whole
	 * and closed, as of this call (what was committed on the way is in it), but not synced: that
	 * is for the host. After an error, or with files NULL, the copy is given up; its file stays.
	 */
	otd_rc (*backup_step)(struct otd_instance *in, const struct otd_files *files,
			      uint32_t pages, uint32_t *left);
};

#ifdef __cplusplus
}
#endif
#endif
