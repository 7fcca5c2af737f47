/* A real loop, a folder of its own, the SQLite plugin in it, and a disk that can be made to fail. */
#ifndef TEST_STORE_FIXTURE_H
#define TEST_STORE_FIXTURE_H

#include "ledger/ledger.h"
#include "loop/loop.h"
#include "plugin/plugin.h"
#include "store/store.h"

struct fixture {
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_plugins *plugins;
	struct otd_files *files; /* rooted in dir, over the disk that fails */
	char dir[64];
	struct otd_err err;
};

/* What the disk does; reset by fixture_init. Counts every write, sync and truncation. */
extern struct disk {
	long ops;
	long fail_at; /* this one and all after it fail; 0: none */
	otd_rc with;
	bool once;    /* only that one */
	bool no_sync; /* every sync fails, whatever the rest */
} disk;
extern struct otd_files disk_files; /* over it; paths as given */

void fixture_init(struct fixture *f);
void fixture_finish(struct fixture *f); /* removes the folder */
struct otd_plugin_instance *fixture_instance(struct fixture *f);
/* Both with the words on stderr where they fail unexpectedly. */
struct otd_store *fixture_store(struct fixture *f, struct otd_plugin_instance *in);
void must(struct fixture *f, struct otd_store *s, bool write, otd_store_work work, void *arg);
/* exec as work: arg is the SQL. */
otd_rc work_sql(void *arg, struct otd_db *db, struct otd_err *err);

#endif
