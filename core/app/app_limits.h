/* Limits of the running pool that are more than a number: lists of networks, room in the file table. */
#ifndef OTD_APP_APP_LIMITS_H
#define OTD_APP_APP_LIMITS_H

#include "app/app.h"
#include "net/lists.h"

/*
 * The lists of these settings, with the files that they name (a relative path is one from the folder of
 * the settings' file). Errors name the line of either. May wait for a disk. [any-thread]
 */
otd_rc otd_app_lists_read(struct otd_lists **out, struct otd_env *e, const struct otd_settings *s,
			  struct otd_err *err);
/* From now on these, which are taken; *l is NULL then. [coordinator] */
void otd_app_lists_take(struct otd_app *app, struct otd_lists **l);

/* Once the gate is made. Before listeners accept. */
otd_rc otd_app_limits_start(struct otd_app *app, struct otd_err *err);
void otd_app_limits_finish(struct otd_app *app); /* after the gate is gone */

/*
 * How many connections of miners the open files of this process leave room for: the limit less what
 * nodes, database, journals, HTTP and the loops may need at once. SIZE_MAX: there is no such limit.
 */
size_t otd_app_files_left(const struct otd_settings *s);

#endif
