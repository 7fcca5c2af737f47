/* The archived segments of journals, for a backup. */
#ifndef OTD_POOL_BACKUP_ARCHIVE_H
#define OTD_POOL_BACKUP_ARCHIVE_H

#include "pool/backup/copy.h"

/*
 * The archive's folder from (which may lack) into to, not there yet. A pool may be packing segments, and
 * letting them go, meanwhile: one that is packed under the copy is copied packed, one that is let go is left
 * out, what is half written is not taken. Synced. Blocks.
 */
otd_rc otd_backup_copy_archive(struct otd_env *e, const char *from, const char *to,
			       const struct otd_copy_watch *watch, struct otd_err *err);

#endif
