/*
 * Files as a service. The same table is the file seam of the host (base/env.h): the real one lies
 * over the system, the simulated one forgets what was not synced. Plugins of kind store and chain
 * get it under the name "files/1"; paths are then relative to the instance's own folder.
 */
#ifndef OTEDAMA_FILES_H
#define OTEDAMA_FILES_H

#include <otedama/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct otd_file;

enum otd_open_flag {
	OTD_OPEN_READ = 1u << 0,
	OTD_OPEN_WRITE = 1u << 1,
	OTD_OPEN_CREATE = 1u << 2,    /* create where it is missing, mode 0640 */
	OTD_OPEN_EXCLUSIVE = 1u << 3, /* with CREATE: OTD_E_EXISTS where it is there */
	OTD_OPEN_TRUNCATE = 1u << 4
};

/*
 * All calls block and therefore run on a [store] or other background thread, or at start; never on
 * a loop once it serves. Reads and writes are positional. A write is durable only after sync()
 * of the file, and a new or renamed name only after sync_dir() of its folder.
 * Errors: OTD_E_IO in general, OTD_E_NOT_FOUND, OTD_E_EXISTS, OTD_E_BUSY (locked),
 * OTD_E_NOMEM for a full disk or quota; last_error() says it in words for the calling thread.
 */
struct otd_files {
	uint32_t size, reserved;
	void *ctx; /* first argument of every call */
	otd_rc (*open)(void *ctx, struct otd_file **out, const char *path, uint32_t flags);
	void (*close)(void *ctx, struct otd_file *f); /* takes NULL; releases its lock */
	/* Reads until n bytes or the end; *got says how many. Short at the end is not an error. */
	otd_rc (*read)(void *ctx, struct otd_file *f, size_t *got, void *to, size_t n, uint64_t at);
	/* Writes all n bytes or fails; on failure any part of them may be there. */
	otd_rc (*write)(void *ctx, struct otd_file *f, const void *from, size_t n, uint64_t at);
	otd_rc (*sync)(void *ctx, struct otd_file *f); /* data and what is needed to find it */
	otd_rc (*truncate)(void *ctx, struct otd_file *f, uint64_t length);
	otd_rc (*length)(void *ctx, struct otd_file *f, uint64_t *out);
	/* Reserves room so that writes below length do not fail for want of space. */
	otd_rc (*reserve)(void *ctx, struct otd_file *f, uint64_t length);
	/* Whole-file lock against other processes: OTD_E_BUSY where somebody holds it. */
	otd_rc (*lock)(void *ctx, struct otd_file *f, bool exclusive);
	otd_rc (*unlock)(void *ctx, struct otd_file *f);
	otd_rc (*exists)(void *ctx, const char *path, bool *out);
	otd_rc (*remove)(void *ctx, const char *path);
	otd_rc (*rename)(void *ctx, const char *from, const char *to); /* replaces to */
	otd_rc (*make_dir)(void *ctx, const char *path); /* success where it is there */
	otd_rc (*sync_dir)(void *ctx, const char *path);
	/* Calls each(arg, name) for every entry but . and .. in byte order; stops where it returns
	 * false. */
	otd_rc (*list)(void *ctx, const char *path, bool (*each)(void *arg, const char *name),
		       void *arg);
	otd_rc (*free_bytes)(void *ctx, const char *path,
			     uint64_t *out); /* room left on its disk */
	const char *(*last_error)(void *ctx);
};

#ifdef __cplusplus
}
#endif
#endif
