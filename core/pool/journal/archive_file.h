/*
 * An archived segment: NNNNNNNN.otz. A head of 64 bytes, then the segment, compressed with zlib or as
 * it was. Numbers are little-endian, checksums CRC-32C.
 *
 *     0  "OTDARCH" and a zero byte      24  bytes of the segment        48  checksum of what follows
 *     8  version: 1                     32  bytes that follow           52  zero (8 bytes)
 *    12  method: 0 as it is, 1 zlib     40  time of archiving, ms       60  checksum of bytes 0 to 59
 *    16  number of the segment
 */
#ifndef OTD_POOL_ARCHIVE_FILE_H
#define OTD_POOL_ARCHIVE_FILE_H

#include "base/env.h"

#define OTD_ARCHIVE_HEAD 64

struct otd_archive_head {
	uint64_t id;
	uint64_t bytes, packed;
	int64_t time_ms;
	uint32_t method, crc;
};

/*
 * Writes segment from into the file to (made anew), synced: not its folder. Blocks; a few hundred KiB of
 * memory. [background]
 */
otd_rc otd_archive_file_pack(struct otd_env *e, const char *from, const char *to, uint64_t id,
			     bool compress, int64_t time_ms, struct otd_err *err);
/* OTD_E_CORRUPT: its head is not sound. OTD_E_NOT_FOUND. */
otd_rc otd_archive_file_head(struct otd_env *e, const char *path, struct otd_archive_head *out,
			     struct otd_err *err);
/* All of the segment, in memory that is the caller's (free). OTD_E_CORRUPT names the file. */
otd_rc otd_archive_file_read(struct otd_env *e, const char *path, uint8_t **out, size_t *n,
			     struct otd_err *err);

#endif
