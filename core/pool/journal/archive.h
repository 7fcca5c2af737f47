/*
 * Segments that nothing needs any more, kept for a while: DATA/archive/NAME/NNNNNNNN.otz (archive_file.h). A
 * journal's own thread moves a segment there instead of removing it, which costs no more; a background thread
 * packs it, and removes the oldest ones: those that are too old, those past the bound, and whatever is in the
 * way when the disk gets full: shares come first.
 */
#ifndef OTD_POOL_ARCHIVE_H
#define OTD_POOL_ARCHIVE_H

#include "base/env.h"
#include "base/metrics.h"

struct otd_archive;

struct otd_archive_conf {
	struct otd_loop *loop;
	const char *data_dir;
	int64_t keep_ms;     /* since they were archived; 0: whatever their age */
	uint64_t keep_bytes; /* on disk, packed; 0: no bound */
	uint64_t free_bytes; /* room on the disk that archives must leave */
	bool compress;
	bool idle;                   /* looks at nothing until otd_archive_set() */
	int64_t every_ms;            /* between two looks; 0: 1000 */
	struct otd_metrics *metrics; /* NULL: none */
};

/* Begins at once, with what earlier runs left. [coordinator] */
otd_rc otd_archive_create(struct otd_archive **out, const struct otd_archive_conf *conf,
			  struct otd_err *err);
/* Other bounds, from the next look on; both 0: it looks no more, and what is kept stays. [coordinator] */
void otd_archive_set(struct otd_archive *a, int64_t keep_ms, uint64_t keep_bytes, bool compress);
/* Waits for the file that is being packed. Takes NULL. [coordinator] */
void otd_archive_destroy(struct otd_archive *a);

/* Moves segment id of the journal in dir to its archive; the caller syncs dir. Where it fails the segment is
   where it was. Blocks. */
otd_rc otd_archive_move(struct otd_env *e, const char *dir, uint64_t id);

/* One look, for tests and for the above: at most one segment is packed. *more: there is another. Blocks. */
struct otd_archive_sum {
	uint64_t segments, bytes;          /* that are kept */
	uint64_t packed, removed, dropped; /* by this look; dropped: for want of room on the disk */
	bool more;
};
otd_rc otd_archive_look(const struct otd_archive_conf *conf, struct otd_env *e,
			struct otd_archive_sum *out, struct otd_err *err);

#endif
