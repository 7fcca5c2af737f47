#include "pool/block_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define LINE_MAX_BYTES 400

otd_rc otd_block_file_write(const struct otd_files *f, const char *folder, const char *path,
			    const char *pool, const struct otd_block_name *name,
			    struct otd_span block, struct otd_err *err)
{
	char temporary[600], line[LINE_MAX_BYTES], hash[65];
	struct otd_file *file = NULL;
	const char *doing = "open";
	otd_hex_encode_reverse(hash, name->hash, 32);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	int n = snprintf(line, sizeof(line),
			 "otedama-block 1 %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %s %zu %08" PRIx32
			 "\n",
			 pool, name->epoch, name->share_seq, name->height, hash, block.len,
			 otd_crc32c(0, block.ptr, block.len));
	if (n < 0 || (size_t)n >= sizeof(line))
		return otd_fail(err, OTD_E_RANGE, "%s: the pool's name is too long", path);
	otd_rc rc = f->open(f->ctx, &file, temporary,
			    OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE);
	if (rc == OTD_OK) {
		doing = "write";
		rc = f->write(f->ctx, file, line, (size_t)n, 0);
	}
	if (rc == OTD_OK)
		rc = f->write(f->ctx, file, block.ptr, block.len, (uint64_t)n);
	if (rc == OTD_OK) {
		doing = "sync";
		rc = f->sync(f->ctx, file);
	}
	f->close(f->ctx, file);
	if (rc == OTD_OK) {
		doing = "rename";
		rc = f->rename(f->ctx, temporary, path);
	}
	if (rc == OTD_OK)
		rc = f->sync_dir(f->ctx, folder);
	if (rc != OTD_OK)
		return otd_fail(err, rc, "cannot %s %s: %s", doing, path, f->last_error(f->ctx));
	return OTD_OK;
}

static otd_rc parse_line(char *line, char *pool, size_t pool_cap, struct otd_block_name *name,
			 uint64_t *len, uint32_t *crc)
{
	char *field[9], *rest = line;
	for (int i = 0; i < 9; i++) {
		field[i] = rest;
		rest = rest ? strchr(rest, ' ') : NULL;
		if (rest)
			*rest++ = '\0';
		if (!field[i] || !*field[i])
			return OTD_E_CORRUPT;
	}
	if (rest || strcmp(field[0], "otedama-block") != 0)
		return OTD_E_CORRUPT;
	if (strcmp(field[1], "1") != 0)
		return OTD_E_VERSION;
	if (strlen(field[2]) >= pool_cap)
		return OTD_E_CORRUPT;
	memcpy(pool, field[2], strlen(field[2]) + 1);
	if (otd_parse_u64(&name->epoch, field[3], strlen(field[3])) ||
	    otd_parse_u64(&name->share_seq, field[4], strlen(field[4])) ||
	    otd_parse_u64(&name->height, field[5], strlen(field[5])) ||
	    otd_hex_decode_reverse(name->hash, 32, field[6], strlen(field[6])) ||
	    otd_parse_u64(len, field[7], strlen(field[7])) ||
	    otd_hex_u32(crc, field[8], strlen(field[8])))
		return OTD_E_CORRUPT;
	return OTD_OK;
}

otd_rc otd_block_file_read(const struct otd_files *f, const char *path, char *pool, size_t pool_cap,
			   struct otd_block_name *name, struct otd_bytes *block,
			   struct otd_err *err)
{
	struct otd_file *file = NULL;
	char line[LINE_MAX_BYTES + 1];
	uint64_t length = 0, block_len = 0;
	uint32_t crc = 0;
	size_t got = 0;
	otd_rc rc = f->open(f->ctx, &file, path, OTD_OPEN_READ);
	if (rc == OTD_OK)
		rc = f->length(f->ctx, file, &length);
	if (rc == OTD_OK)
		rc = f->read(f->ctx, file, &got, line, LINE_MAX_BYTES, 0);
	if (rc != OTD_OK) {
		otd_fail(err, rc, "cannot read %s: %s", path, f->last_error(f->ctx));
		goto out;
	}
	line[got] = '\0';
	char *end = memchr(line, '\n', got);
	rc = OTD_E_CORRUPT;
	if (end) {
		*end = '\0';
		rc = parse_line(line, pool, pool_cap, name, &block_len, &crc);
	}
	uint64_t start = end ? (uint64_t)(end - line) + 1 : 0;
	if (rc == OTD_OK && (block_len > OTD_BLOCK_FILE_MAX || start + block_len != length))
		rc = OTD_E_CORRUPT;
	if (rc == OTD_OK) {
		uint8_t *to = otd_bytes_room(block, (size_t)block_len);
		rc = to ? f->read(f->ctx, file, &got, to, (size_t)block_len, start) : OTD_E_NOMEM;
		if (rc == OTD_OK) {
			block->len += got;
			if (got != block_len || otd_crc32c(0, to, got) != crc)
				rc = OTD_E_CORRUPT;
		}
	}
	if (rc != OTD_OK)
		otd_fail(err, rc, "%s is not a whole block file (%s); move it away", path,
			 otd_rc_name(rc));
out:
	f->close(f->ctx, file);
	return rc;
}
