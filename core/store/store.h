/*
 * The store: one thread that talks to one database through a store plugin, the schema, its
 * migrations. Work is handed over whole (a job with its own data) and comes back when done.
 */
#ifndef OTD_STORE_STORE_H
#define OTD_STORE_STORE_H

#include "base/env.h"
#include <otedama/store.h>

struct otd_store;
struct otd_db; /* the connection as seen on the store thread */
struct otd_plugin_instance;

/* Opens on the calling thread (before loops run): schema made, migrated, or refused with what to
 * do. */
otd_rc otd_store_create(struct otd_store **out, struct otd_loop *l,
			struct otd_plugin_instance *plugin, struct otd_err *err);
/* Opens and no more, whatever the schema: for tools that look or copy. */
otd_rc otd_store_attach(struct otd_store **out, struct otd_loop *l,
			struct otd_plugin_instance *plugin, struct otd_err *err);
void otd_store_destroy(struct otd_store *s); /* waits for what was given */

/* Looks at a database that nobody uses, without changing it: the version of its schema (0: it has
   none yet) and the one it is brought to at start. What a start would refuse is refused here, in
   the same words. On the calling thread. */
otd_rc otd_store_look(struct otd_plugin_instance *plugin, int64_t *has, int64_t *ours,
		      struct otd_err *err);

/*
 * work runs on the store thread, inside a transaction where write is true: OTD_OK commits. A busy
 * database is tried again for some time, work being called anew from its start each time. done
 * runs on the loop with the outcome. OTD_E_COMMIT_UNKNOWN: done must read the position.
 */
typedef otd_rc (*otd_store_work)(void *arg, struct otd_db *db, struct otd_err *err); /* [store] */
typedef void (*otd_store_done)(void *arg, const struct otd_err *err);
otd_rc otd_store_do(struct otd_store *s, bool write, otd_store_work work, otd_store_done done,
		    void *arg);
/* The same, waiting; only at start and in tools, never on a serving loop. */
otd_rc otd_store_do_now(struct otd_store *s, bool write, otd_store_work work, void *arg,
			struct otd_err *err);

/* Inside work. Values: OTD_INT(..), OTD_TEXT(..), OTD_WIDE(..), OTD_BLOB(..), OTD_NULL. */
otd_rc otd_db_exec(struct otd_db *db, const char *sql, const struct otd_value *v, size_t n,
		   int64_t *changed, int64_t *last_key, struct otd_err *err);
otd_rc otd_db_query(struct otd_db *db, const char *sql, const struct otd_value *v, size_t n,
		    const uint32_t *wants, size_t n_wants, otd_row_fn row, void *ctx,
		    struct otd_err *err);
/* One row, one integer; OTD_E_NOT_FOUND where there is no row. */
otd_rc otd_db_int(struct otd_db *db, const char *sql, const struct otd_value *v, size_t n,
		  int64_t *out, struct otd_err *err);

/*
 * Inside work that does not write: up to pages more of a copy of the whole database, under the name
 * that it has, into the folder of files (see backup_step in otedama/store.h). *left 0: whole, and as
 * the database is now. files NULL: gives up. OTD_E_UNSUPPORTED: this database has its own tools.
 */
otd_rc otd_db_backup_step(struct otd_db *db, const struct otd_files *files, uint32_t pages,
			  uint32_t *left, struct otd_err *err);

/* The version of the schema that this program makes. */
int64_t otd_schema_newest(void);

#define OTD_INT(x)  ((struct otd_value){.type = OTD_VALUE_INT, .i = (int64_t)(x)})
#define OTD_WIDE(x) ((struct otd_value){.type = OTD_VALUE_WIDE, .wide = (x)})
#define OTD_TEXT(s)                                 \
	((struct otd_value){.type = OTD_VALUE_TEXT, \
			    .bytes = {(const uint8_t *)(s), __builtin_strlen(s)}})
#define OTD_BLOB(p, n) \
	((struct otd_value){.type = OTD_VALUE_BLOB, .bytes = {(const uint8_t *)(p), (n)}})
#define OTD_NULL ((struct otd_value){.type = OTD_VALUE_NULL})

#endif
