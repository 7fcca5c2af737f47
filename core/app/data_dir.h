/* The data folder: one process at a time uses it. */
#ifndef OTD_APP_DATA_DIR_H
#define OTD_APP_DATA_DIR_H

#include <stdbool.h>

#include "base/err.h"

#define OTD_DATA_DIR_LOCK       "otedama.lock"
#define OTD_DATA_DIR_UNFINISHED "restore.unfinished" /* a restore was cut short in here */

/*
 * Makes the folder and those above it where they are missing (make), and locks it until *fd is closed;
 * the lock file says who. OTD_E_BUSY: a pool, or a tool, has it; OTD_E_NOT_FOUND: there is none.
 */
otd_rc otd_data_dir_lock(int *fd, const char *data_dir, bool make, struct otd_err *err);
/* The lock came from the process before us, with its descriptor: we have it already, and say so in its file. */
otd_rc otd_data_dir_inherit(int fd, const char *data_dir, struct otd_err *err);
/* OTD_E_CORRUPT where a restore into it was cut short: nothing may be started on that. */
otd_rc otd_data_dir_whole(const char *data_dir, struct otd_err *err);

#endif
