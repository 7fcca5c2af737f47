/* How a journal lies on disk; shared by its writer, its readers and the recovery. See journal.h. */
#ifndef OTD_POOL_JOURNAL_FORMAT_H
#define OTD_POOL_JOURNAL_FORMAT_H

#include "base/env.h"

#define OTD_JOURNAL_HEADER      48
#define OTD_JOURNAL_FRAME       20
#define OTD_JOURNAL_PAYLOAD_MAX (1u << 20)
#define OTD_JOURNAL_GROUP_MASK  0x7fffu
#define OTD_JOURNAL_GROUP_LAST  0x8000u /* the last frame of its group */

struct otd_journal_header {
	uint64_t id, epoch, first;
};

struct otd_journal_frame {
	uint32_t n; /* bytes of payload */
	uint64_t seq;
	uint16_t type, group;
};

void otd_journal_header_put(uint8_t to[OTD_JOURNAL_HEADER], const struct otd_journal_header *h);
/* False: not a header of segment id. */
bool otd_journal_header_get(struct otd_journal_header *h, const uint8_t from[OTD_JOURNAL_HEADER],
			    uint64_t id);
/* A frame's head without its checksum; payload follows behind it. */
void otd_journal_frame_put(uint8_t to[OTD_JOURNAL_FRAME], uint32_t n, uint64_t seq, uint16_t type);
/* Sets group and checksum of all frames in [p, p + n) for segment id; the last one is marked where
   last. */
void otd_journal_frames_seal(uint8_t *p, size_t n, uint64_t id, uint16_t group, bool last);

enum otd_journal_look {
	OTD_JOURNAL_GOOD,
	OTD_JOURNAL_SHORT, /* more bytes are needed than n to tell */
	OTD_JOURNAL_END,   /* length zero, or no byte at all */
	OTD_JOURNAL_BAD
};
/* What stands at p. *need: bytes of the frame (GOOD), or that must be there to tell (SHORT). */
enum otd_journal_look otd_journal_frame_get(struct otd_journal_frame *f, size_t *need,
					    const uint8_t *p, size_t n, uint64_t id);

/* DIR/00000001.otj. False: the path is too long. */
bool otd_journal_path(char *to, size_t cap, const char *dir, uint64_t id);

/*
 * Where segments go that are not needed any more, while an archive is kept: of DATA/journal/NAME it is
 * DATA/archive/NAME. False: dir does not lie so deep, or the path is too long.
 */
bool otd_journal_archive_dir(char *to, size_t cap, const char *dir);
#define OTD_JOURNAL_PACKED ".otz" /* instead of .otj: see pool/journal/archive_file.h */

/* The segments in dir, by number. */
struct otd_journal_ids {
	uint64_t *id;
	size_t n, cap;
	bool failed;
};
otd_rc otd_journal_ids(struct otd_journal_ids *out, struct otd_env *e, const char *dir,
		       struct otd_err *err);
/* And those of its archive, each once. A folder that is not there has none. */
otd_rc otd_journal_ids_all(struct otd_journal_ids *out, struct otd_env *e, const char *dir,
			   struct otd_err *err);
void otd_journal_ids_finish(struct otd_journal_ids *ids);

#endif
