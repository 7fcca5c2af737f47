/* What tools that work on a stopped pool's data have in common: its lock, its database. */
#ifndef OTD_APP_OFFLINE_H
#define OTD_APP_OFFLINE_H

#include "app/app.h"

/* Reads the configuration. app is zeroed with lock_fd -1; to be finished in any case. */
otd_rc otd_offline_init(struct otd_app *app, const char *config, struct otd_err *err);
/* Loads the store's plugin and opens the database; as_it_is: otd_store_attach(). */
otd_rc otd_offline_store(struct otd_app *app, bool as_it_is, struct otd_err *err);
/* Gives back everything but the settings and env; may be called twice. */
void otd_offline_close(struct otd_app *app);
void otd_offline_finish(struct otd_app *app);

/*
 * Run by root, a tool that writes becomes the user that data_dir belongs to: what root made there the pool
 * could not write, and code that the pool keeps there root does not run. For the rest of the process.
 */
otd_rc otd_offline_as_owner(const struct otd_app *app, struct otd_err *err);

#endif
