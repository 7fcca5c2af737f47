/*
 * A block candidate on disk: one line of text, then the block's bytes.
 *   otedama-block 1 POOL EPOCH SHARE_SEQ HEIGHT HASH LENGTH CRC32C\n
 * HASH as people write it; the CRC covers the bytes behind the line.
 */
#ifndef OTD_POOL_BLOCK_FILE_H
#define OTD_POOL_BLOCK_FILE_H

#include "base/bytes.h"
#include "pool/blocks.h"

#define OTD_BLOCK_FILE_MAX (64u << 20) /* larger than any chain's block */

/* Written under a temporary name, synced, renamed, the folder synced: whole or not there. [disk] */
otd_rc otd_block_file_write(const struct otd_files *f, const char *folder, const char *path,
			    const char *pool, const struct otd_block_name *name,
			    struct otd_span block, struct otd_err *err);
/* name->pool is left alone; pool gets the name. OTD_E_CORRUPT where it is not whole. */
otd_rc otd_block_file_read(const struct otd_files *f, const char *path, char *pool, size_t pool_cap,
			   struct otd_block_name *name, struct otd_bytes *block,
			   struct otd_err *err);

#endif
