/* A backup of a running pool: "backup start DIR", "backup progress", "backup cancel". */
#ifndef OTD_APP_APP_BACKUP_H
#define OTD_APP_APP_BACKUP_H

#include "app/app.h"
#include "pool/backup/backup.h"

void otd_app_backup_request(struct otd_app *app, struct otd_control_request *r, const char *words);
/* Gives up one that is under way; before the store goes. And the rest of it, afterwards. */
void otd_app_backup_stop(struct otd_app *app);
void otd_app_backup_free(struct otd_app *app);

/* What the backup of this configuration is made of; for a stopped pool too. */
otd_rc otd_app_backup_create(struct otd_backup **out, struct otd_app *app, const char *dir,
			     bool live, bool no_archive, struct otd_err *err);
/* Behind "backup start ": the folder comes next, without the archive of journals. */
#define OTD_APP_BACKUP_NO_ARCHIVE "without-archive "

/* otd_backup_prepare(), and what was begun is for this user alone. [background] */
otd_rc otd_app_backup_prepare(struct otd_backup *b, const char *dir, struct otd_err *err);
/* A disk that is lost would take this backup with it. */
bool otd_app_backup_same_disk(const char *data_dir, const char *dir);

#endif
