/*
 * A backup: what a pool that was stopped at one instant could have left, in a folder of its own.
 *
 * The order makes it so. First the database, page by page between its transactions, at a position P of
 * the coordinator's journal; then that journal, which holds P and all that is behind it; then the
 * reactors' journals, which hold every share that it names. A start merges what is behind P, as after
 * a crash. Meanwhile nothing of a journal may be released (otd_accounting_hold()).
 *
 *     DIR.partial/data/..            as below data_dir: database, journal/, blocks/, chain/, what scripts keep
 *     DIR.partial/data/archive/..    unless it is left out
 *     DIR.partial/configuration.yaml as it was in force, without secrets; coins/NAME.yaml
 *     DIR.partial/MANIFEST           see manifest.h; the last file
 * then everything is synced, and DIR.partial becomes DIR.
 */
#ifndef OTD_POOL_BACKUP_H
#define OTD_POOL_BACKUP_H

#include "base/env.h"
#include "pool/backup/manifest.h"
#include "store/store.h"

struct otd_backup;

/* One file more. What is below data/ in the backup comes back by a restore. */
struct otd_backup_extra {
	const char *name; /* in the backup: "coins/litecoin.yaml" */
	const char *file; /* where it lies now; changed by renaming only */
	bool may_lack;    /* it need not be there */
};

/* Texts are copied. */
struct otd_backup_conf {
	struct otd_env *env;
	const char *data_dir;
	const char *dir;      /* absolute; not there, or empty */
	struct otd_span yaml; /* the configuration in force, without secrets */
	const struct otd_backup_extra *extras;
	size_t n_extras;
	/* A pool uses data_dir. False: nobody does (its lock is the caller's), and files are copied as
	   they are. */
	bool live;
	bool no_archive; /* journals that nothing needs any more are left out */
};

/* How far a journal is durable: what of it has to be in the backup. */
struct otd_backup_journal {
	uint64_t epoch; /* 0: the coordinator's */
	uint64_t durable;
};

otd_rc otd_backup_create(struct otd_backup **out, const struct otd_backup_conf *conf,
			 struct otd_err *err);
/* After the database was closed, where a copy of it was under way. Takes NULL. */
void otd_backup_destroy(struct otd_backup *b);

/* The steps, one after the other; after an error, otd_backup_abandon(). All block. */

/* Looks whether it can be, and begins. [background] */
otd_rc otd_backup_prepare(struct otd_backup *b, struct otd_err *err);
/* Some pages of the database: until *done. Inside work that does not write. [store] */
otd_rc otd_backup_database(struct otd_backup *b, struct otd_db *db, bool *done,
			   struct otd_err *err);
/* The rest. journals is of now, or earlier, but after the database. [background] */
otd_rc otd_backup_files(struct otd_backup *b, const struct otd_backup_journal *journals, size_t n,
			struct otd_err *err);
/* Removes what was written. [background] */
void otd_backup_abandon(struct otd_backup *b);

/* The step that runs ends soon, with OTD_E_CLOSED. [any-thread] */
void otd_backup_cancel(struct otd_backup *b);

struct otd_backup_progress {
	uint64_t bytes, of_bytes; /* written; about so many will be */
	uint64_t longest_step_us; /* of the database: so long others waited for it */
	uint64_t steps;
};
void otd_backup_progress(struct otd_backup *b, struct otd_backup_progress *out); /* [any-thread] */
/* After otd_backup_files(). */
const struct otd_manifest *otd_backup_manifest(const struct otd_backup *b);

/* What the database says of itself, for a manifest: schema, position, pools, last block, sums. [store] */
otd_rc otd_backup_about(struct otd_manifest *m, struct otd_db *db, struct otd_err *err);
/* SHA-256 of a file and its length. watch: see copy.h. */
struct otd_copy_watch;
otd_rc otd_backup_hash(const struct otd_files *f, const char *path, uint64_t *bytes,
		       uint8_t sha256[32], const struct otd_copy_watch *watch, struct otd_err *err);

#endif
