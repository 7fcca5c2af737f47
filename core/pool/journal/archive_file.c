#include "pool/journal/archive_file.h"

#include "base/bytes.h"
#include "base/le.h"
#include "base/text.h"
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PIECE       (256u << 10)
#define LEVEL       1    /* a segment of shares: to about a third, at more than 50 MB/s */
#define MOST_RATIO  1100 /* of zlib, whatever is packed */
#define SEGMENT_MAX ((2ull << 30) - 1)

static const char magic[8] = "OTDARCH";

static void head_put(uint8_t to[OTD_ARCHIVE_HEAD], const struct otd_archive_head *h)
{
	memset(to, 0, OTD_ARCHIVE_HEAD);
	memcpy(to, magic, sizeof(magic));
	otd_le_put(to + 8, 1, 4);
	otd_le_put(to + 12, h->method, 4);
	otd_le_put(to + 16, h->id, 8);
	otd_le_put(to + 24, h->bytes, 8);
	otd_le_put(to + 32, h->packed, 8);
	otd_le_put(to + 40, (uint64_t)h->time_ms, 8);
	otd_le_put(to + 48, h->crc, 4);
	otd_le_put(to + 60, otd_crc32c(0, to, 60), 4);
}

static bool head_get(struct otd_archive_head *h, const uint8_t *from)
{
	*h = (struct otd_archive_head){.id = otd_le_get(from + 16, 8),
				       .bytes = otd_le_get(from + 24, 8),
				       .packed = otd_le_get(from + 32, 8),
				       .time_ms = (int64_t)otd_le_get(from + 40, 8),
				       .method = (uint32_t)otd_le_get(from + 12, 4),
				       .crc = (uint32_t)otd_le_get(from + 48, 4)};
	return memcmp(from, magic, sizeof(magic)) == 0 && otd_le_get(from + 8, 4) == 1 &&
	       h->method <= 1 && otd_le_get(from + 60, 4) == otd_crc32c(0, from, 60) &&
	       h->bytes <= SEGMENT_MAX && h->packed <= SEGMENT_MAX &&
	       (h->method || h->packed == h->bytes);
}

/* --- writing --- */

struct packing {
	const struct otd_files *f;
	struct otd_file *from, *to;
	uint64_t read_at, write_at;
	struct otd_archive_head head;
	uint8_t *in, *out; /* PIECE each */
	z_stream z;
	bool z_open;
};

static otd_rc put_piece(struct packing *p, const uint8_t *from, size_t n)
{
	otd_rc rc = n ? p->f->write(p->f->ctx, p->to, from, n, p->write_at) : OTD_OK;
	p->head.crc = otd_crc32c(p->head.crc, from, n);
	p->write_at += n;
	return rc;
}

static otd_rc deflate_piece(struct packing *p, size_t n, bool last)
{
	p->z.next_in = p->in;
	p->z.avail_in = (uInt)n;
	do {
		p->z.next_out = p->out;
		p->z.avail_out = PIECE;
		if (deflate(&p->z, last ? Z_FINISH : Z_NO_FLUSH) == Z_STREAM_ERROR)
			return OTD_E_INVALID;
		otd_rc rc = put_piece(p, p->out, PIECE - p->z.avail_out);
		if (rc)
			return rc;
	} while (p->z.avail_out == 0);
	return OTD_OK;
}

static otd_rc pack(struct packing *p)
{
	otd_rc rc = OTD_OK;
	for (size_t got = PIECE; rc == OTD_OK && got == PIECE;) {
		rc = p->f->read(p->f->ctx, p->from, &got, p->in, PIECE, p->read_at);
		if (rc)
			break;
		p->read_at += got;
		rc = p->z_open ? deflate_piece(p, got, got < PIECE) : put_piece(p, p->in, got);
	}
	p->head.bytes = p->read_at;
	p->head.packed = p->write_at - OTD_ARCHIVE_HEAD;
	return rc;
}

otd_rc otd_archive_file_pack(struct otd_env *e, const char *from, const char *to, uint64_t id,
			     bool compress, int64_t time_ms, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	struct packing p = {.f = f, .write_at = OTD_ARCHIVE_HEAD};
	uint8_t head[OTD_ARCHIVE_HEAD];
	otd_rc rc = OTD_E_NOMEM;
	p.head = (struct otd_archive_head){.id = id, .time_ms = time_ms, .method = compress};
	p.in = malloc(PIECE);
	p.out = malloc(PIECE);
	if (!p.in || !p.out)
		goto out;
	p.z_open = compress && deflateInit(&p.z, LEVEL) == Z_OK;
	if (compress && !p.z_open)
		goto out;
	rc = f->open(f->ctx, &p.from, from, OTD_OPEN_READ);
	if (rc == OTD_OK)
		rc = f->open(f->ctx, &p.to, to,
			     OTD_OPEN_READ | OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE);
	if (rc == OTD_OK)
		rc = pack(&p);
	if (rc == OTD_OK) {
		head_put(head, &p.head);
		rc = f->write(f->ctx, p.to, head, sizeof(head), 0);
	}
	if (rc == OTD_OK)
		rc = f->sync(f->ctx, p.to);
out:
	if (rc)
		otd_fail(err, rc, "archive: cannot pack %s into %s: %s", from, to,
			 p.from ? f->last_error(f->ctx) : otd_rc_name(rc));
	f->close(f->ctx, p.from);
	f->close(f->ctx, p.to);
	if (p.z_open)
		(void)deflateEnd(&p.z);
	free(p.in);
	free(p.out);
	return rc;
}

/* --- reading --- */

static otd_rc open_file(struct otd_env *e, const char *path, struct otd_file **file,
			struct otd_archive_head *h, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	uint8_t head[OTD_ARCHIVE_HEAD];
	size_t got = 0;
	otd_rc rc = f->open(f->ctx, file, path, OTD_OPEN_READ);
	if (rc == OTD_OK)
		rc = f->read(f->ctx, *file, &got, head, sizeof(head), 0);
	if (rc)
		return otd_fail(err, rc, "archive: cannot read %s: %s", path,
				f->last_error(f->ctx));
	if (got < sizeof(head) || !head_get(h, head))
		return otd_fail(err, OTD_E_CORRUPT,
				"archive %s: damaged at offset 0: its head is not sound; restore "
				"the file from a copy, or remove it: the pool does not need it",
				path);
	return OTD_OK;
}

otd_rc otd_archive_file_head(struct otd_env *e, const char *path, struct otd_archive_head *out,
			     struct otd_err *err)
{
	struct otd_file *file = NULL;
	otd_rc rc = open_file(e, path, &file, out, err);
	e->files->close(e->files->ctx, file);
	return rc;
}

static bool unpack(const struct otd_archive_head *h, const uint8_t *from, uint8_t *to)
{
	z_stream z = {0};
	if (inflateInit(&z) != Z_OK)
		return false;
	z.next_in = (Bytef *)(uintptr_t)from;
	z.avail_in = (uInt)h->packed;
	z.next_out = to;
	z.avail_out = (uInt)h->bytes;
	bool good = inflate(&z, Z_FINISH) == Z_STREAM_END && z.avail_out == 0 && z.avail_in == 0;
	(void)inflateEnd(&z);
	return good;
}

static otd_rc damaged(const char *path, const char *what, struct otd_err *err)
{
	return otd_fail(err, OTD_E_CORRUPT,
			"archive %s: %s; restore the file from a copy, or remove it: the pool does "
			"not need it",
			path, what);
}

static otd_rc take(struct otd_archive_head *h, struct otd_env *e, struct otd_file *file,
		   const char *path, uint8_t **packed, uint8_t **out, struct otd_err *err)
{
	const struct otd_files *f = e->files;
	uint64_t length = 0;
	size_t got = 0;
	otd_rc rc = f->length(f->ctx, file, &length);
	if (rc)
		return otd_fail(err, rc, "archive: cannot read %s: %s", path,
				f->last_error(f->ctx));
	/* Before memory is asked for: what a head claims has to be there. */
	if (length != OTD_ARCHIVE_HEAD + h->packed)
		return damaged(path, "its length is not what its head says", err);
	if (h->bytes > h->packed * MOST_RATIO + PIECE)
		return damaged(path, "its head claims more than fits into it", err);
	*packed = malloc((size_t)h->packed + 1);
	*out = h->method ? malloc((size_t)h->bytes + 1) : NULL;
	if (!*packed || (h->method && !*out))
		return otd_fail(err, OTD_E_NOMEM, "archive %s: no memory for it", path);
	rc = f->read(f->ctx, file, &got, *packed, (size_t)h->packed, OTD_ARCHIVE_HEAD);
	if (rc || got < h->packed)
		return otd_fail(err, rc ? rc : OTD_E_IO, "archive: cannot read %s: %s", path,
				f->last_error(f->ctx));
	if (otd_crc32c(0, *packed, got) != h->crc)
		return damaged(path, "its checksum is wrong", err);
	if (!h->method) {
		*out = *packed;
		*packed = NULL;
	} else if (!unpack(h, *packed, *out)) {
		return damaged(path, "it cannot be unpacked", err);
	}
	return OTD_OK;
}

otd_rc otd_archive_file_read(struct otd_env *e, const char *path, uint8_t **out, size_t *n,
			     struct otd_err *err)
{
	struct otd_archive_head h;
	struct otd_file *file = NULL;
	uint8_t *packed = NULL, *raw = NULL;
	*out = NULL;
	*n = 0;
	otd_rc rc = open_file(e, path, &file, &h, err);
	if (rc == OTD_OK)
		rc = take(&h, e, file, path, &packed, &raw, err);
	e->files->close(e->files->ctx, file);
	free(packed);
	if (rc) {
		free(raw);
		return rc;
	}
	*out = raw;
	*n = (size_t)h.bytes;
	return OTD_OK;
}
