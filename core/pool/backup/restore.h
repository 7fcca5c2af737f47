/* The pieces of a restore, in their order. All block; in a tool. */
#ifndef OTD_POOL_RESTORE_H
#define OTD_POOL_RESTORE_H

#include "base/env.h"
#include "pool/backup/copy.h"
#include "pool/backup/manifest.h"
#include "store/store.h"

/* Reads the backup's MANIFEST, and every file that it names: OTD_E_CORRUPT names the first that differs.
   m is zeroed; to be finished in any case. */
otd_rc otd_restore_check(struct otd_manifest *m, struct otd_env *e, const char *dir,
			 const struct otd_copy_watch *watch, struct otd_err *err);

/* *any: data_dir holds what a restore would mix with. Not counted: locks, sockets, copies of plugins,
   what earlier restores moved away. */
otd_rc otd_restore_look(struct otd_env *e, const char *data_dir, bool *any, struct otd_err *err);
/* Moves that into the folder data_dir/aside. Nothing is deleted. */
otd_rc otd_restore_move_aside(struct otd_env *e, const char *data_dir, const char *aside,
			      struct otd_err *err);

/* The files below data/ into data_dir: copied, synced, and read again. */
otd_rc otd_restore_place(const struct otd_manifest *m, struct otd_env *e, const char *dir,
			 const char *data_dir, const struct otd_copy_watch *watch,
			 struct otd_err *err);

/* What the database says of the journals that it belongs to. */
struct otd_restore_needs {
	uint64_t position; /* of the coordinator's journal: in the database */
	uint64_t oldest;   /* of it: from here on a start plays it */
	struct otd_restore_epoch {
		uint64_t epoch, next; /* the first sequence that is not in the database */
	} * epochs;
	size_t n_epochs, cap_epochs;
};
/* needs is zeroed; its epochs are to be free()d in any case. [store] */
otd_rc otd_restore_needs(struct otd_restore_needs *needs, struct otd_db *db, struct otd_err *err);

struct otd_restore_journals {
	uint64_t last;    /* of the coordinator's journal */
	uint64_t records; /* of reactors, that a start will bring into the database */
	size_t journals;
};
/* Opens every journal as a start does, and looks that all is there that it will ask for. */
otd_rc otd_restore_journals(struct otd_restore_journals *out, const struct otd_restore_needs *needs,
			    struct otd_env *e, const char *data_dir, struct otd_err *err);

#endif
