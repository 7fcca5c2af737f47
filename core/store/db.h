/* The connection as work sees it. */
#ifndef OTD_STORE_DB_H
#define OTD_STORE_DB_H

#include "plugin/plugin.h"
#include "store/store.h"

struct otd_db {
	struct otd_plugin_instance *plugin;
	const struct otd_store_ops *ops;
	struct otd_instance *self;
	bool writing;  /* inside a transaction */
	otd_rc failed; /* an error after which the transaction must not be committed */
};

/* One transaction or reading: work, then commit or roll back. [store] */
otd_rc otd_db_run(struct otd_db *db, bool write, otd_store_work work, void *arg,
		  struct otd_err *err);
/* Puts what the plugin said into err. */
otd_rc otd_db_fail(struct otd_db *db, otd_rc rc, struct otd_err *err);

#endif
