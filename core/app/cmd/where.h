/*
 * Where a running pool's control socket is, for commands that are given neither file nor path: serve
 * leaves a link to its data folder's socket at a place that depends on the user alone.
 */
#ifndef OTD_APP_WHERE_H
#define OTD_APP_WHERE_H

#include <otedama/types.h>

#include "base/err.h"

/* The socket to use: socket if given, else that of the configuration, else the last started pool's. */
otd_rc otd_where_socket(char *path, size_t cap, const char *socket, const char *config,
			struct otd_err *err);
/* Says to later commands of this user where the pool is; failing is no harm. */
void otd_where_publish(const char *socket);
void otd_where_withdraw(const char *socket);
/* The folder of the program itself, for plugins beside it. "" where unknown. */
void otd_where_program(char *folder, size_t cap);

#endif
