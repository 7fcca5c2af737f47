/* The schema and how it came to be. Migrations are only ever appended; one that has been released
   is never changed. */
#ifndef OTD_STORE_SCHEMA_H
#define OTD_STORE_SCHEMA_H

#include "store/store.h"

/* Brings a database from version - 1 to version. */
struct otd_migration {
	int64_t version;
	const char *const *sql;
	size_t n;
};

/* Makes, migrates or refuses, inside a writing transaction. [store] */
otd_rc otd_schema_prepare(struct otd_db *db, struct otd_err *err);
/* What version it has (0: none yet) and what it would be brought to, or the refusal; changes nothing.
   [store] */
otd_rc otd_schema_look(struct otd_db *db, int64_t *has, int64_t *ours, struct otd_err *err);
/* The same as otd_schema_prepare() with a table of one's own, for tests; its versions follow one another. */
otd_rc otd_schema_migrate(struct otd_db *db, const struct otd_migration *table, size_t n,
			  struct otd_err *err);

#endif
