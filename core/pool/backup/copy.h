/*
 * Copies of files that others may be writing meanwhile, for backups. All block: on a background
 * thread, or in a tool.
 */
#ifndef OTD_POOL_COPY_H
#define OTD_POOL_COPY_H

#include "pool/journal/journal.h"

/* Asked before each piece of at most OTD_COPY_PIECE bytes is written: anything but OTD_OK ends the
   copy with that (cancelled, disk nearly full); err says why. */
#define OTD_COPY_PIECE (256u << 10)
struct otd_copy_watch {
	otd_rc (*piece)(void *arg, size_t bytes, struct otd_err *err);
	void *arg;
};

/* The first length bytes of from (UINT64_MAX: as long as it is at the beginning) into to, a new file;
   synced. OTD_E_NOT_FOUND: from is not there. watch may be NULL in all of these. */
otd_rc otd_copy_file(const struct otd_files *f, const char *from, const char *to, uint64_t length,
		     const struct otd_copy_watch *watch, struct otd_err *err);

/*
 * The journal in dir, which its writer may have open, into the folder to (made, or empty): of every
 * segment what is good from its beginning on. What is behind that was not durable when the call began.
 * durable: the last sequence known to be durable; it is in the copy, or OTD_E_CORRUPT. Segments that
 * are released meanwhile make it begin anew.
 */
otd_rc otd_copy_journal(struct otd_env *e, const char *dir, const char *to, uint64_t durable,
			const struct otd_copy_watch *watch, struct otd_err *err);

/* Every file below the folder, into the folder to (made), synced, folders too; what vanishes meanwhile
   is left out. */
otd_rc otd_copy_tree(const struct otd_files *f, const char *from, const char *to,
		     const struct otd_copy_watch *watch, struct otd_err *err);

/* Calls each(arg, path, bytes) for every file below folder, in byte order; path is relative to it.
   What cannot be opened for reading as a file is left out. each returns OTD_OK to go on. */
typedef otd_rc (*otd_walk_fn)(void *arg, const char *path, uint64_t bytes, struct otd_err *err);
otd_rc otd_walk(const struct otd_files *f, const char *folder, otd_walk_fn each, void *arg,
		struct otd_err *err);

/* Removes a folder of our own making with all that is in it; as much as can be. */
void otd_remove_tree(const struct otd_files *f, const char *folder);

#endif
