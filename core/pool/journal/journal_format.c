#include "pool/journal/journal_format.h"

#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char magic[8] = "OTDJRNL";
#define FORMAT_VERSION 1u

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, (uint16_t)v);
	put16(p + 2, (uint16_t)(v >> 16));
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)v);
	put32(p + 4, (uint32_t)(v >> 32));
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t get32(const uint8_t *p)
{
	return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static uint64_t get64(const uint8_t *p)
{
	return get32(p) | (uint64_t)get32(p + 4) << 32;
}

void otd_journal_header_put(uint8_t to[OTD_JOURNAL_HEADER], const struct otd_journal_header *h)
{
	memset(to, 0, OTD_JOURNAL_HEADER);
	memcpy(to, magic, sizeof(magic));
	put32(to + 8, FORMAT_VERSION);
	put64(to + 16, h->id);
	put64(to + 24, h->epoch);
	put64(to + 32, h->first);
	put32(to + 40, otd_crc32c(0, to, 40));
}

bool otd_journal_header_get(struct otd_journal_header *h, const uint8_t from[OTD_JOURNAL_HEADER],
			    uint64_t id)
{
	if (memcmp(from, magic, sizeof(magic)) != 0 || get32(from + 8) != FORMAT_VERSION)
		return false;
	h->id = get64(from + 16);
	h->epoch = get64(from + 24);
	h->first = get64(from + 32);
	return get32(from + 40) == otd_crc32c(0, from, 40) && h->id == id && h->first != 0;
}

/* The checksum covers the segment's number, so that a frame of another segment does not pass. */
static uint32_t frame_crc(const uint8_t *p, size_t payload, uint64_t id)
{
	uint8_t head[12];
	put64(head, id);
	memcpy(head + 8, p, 4);
	uint32_t crc = otd_crc32c(0, head, sizeof(head));
	return otd_crc32c(crc, p + 8, OTD_JOURNAL_FRAME - 8 + payload);
}

void otd_journal_frame_put(uint8_t to[OTD_JOURNAL_FRAME], uint32_t n, uint64_t seq, uint16_t type)
{
	put32(to, n + 1);
	put32(to + 4, 0);
	put64(to + 8, seq);
	put16(to + 16, type);
	put16(to + 18, 0);
}

void otd_journal_frames_seal(uint8_t *p, size_t n, uint64_t id, uint16_t group, bool last)
{
	for (size_t at = 0; at < n;) {
		size_t payload = get32(p + at) - 1, whole = OTD_JOURNAL_FRAME + payload;
		uint16_t g = group & OTD_JOURNAL_GROUP_MASK;
		if (last && at + whole == n)
			g |= OTD_JOURNAL_GROUP_LAST;
		put16(p + at + 18, g);
		put32(p + at + 4, frame_crc(p + at, payload, id));
		at += whole;
	}
}

enum otd_journal_look otd_journal_frame_get(struct otd_journal_frame *f, size_t *need,
					    const uint8_t *p, size_t n, uint64_t id)
{
	*need = OTD_JOURNAL_FRAME;
	if (n == 0)
		return OTD_JOURNAL_END;
	if (n < 4)
		return OTD_JOURNAL_SHORT;
	uint32_t length = get32(p);
	if (length == 0)
		return OTD_JOURNAL_END;
	if (length - 1 > OTD_JOURNAL_PAYLOAD_MAX)
		return OTD_JOURNAL_BAD;
	*need = OTD_JOURNAL_FRAME + (size_t)length - 1;
	if (n < *need)
		return OTD_JOURNAL_SHORT;
	f->n = length - 1;
	f->seq = get64(p + 8);
	f->type = get16(p + 16);
	f->group = get16(p + 18);
	return get32(p + 4) == frame_crc(p, f->n, id) ? OTD_JOURNAL_GOOD : OTD_JOURNAL_BAD;
}

bool otd_journal_path(char *to, size_t cap, const char *dir, uint64_t id)
{
	int n = snprintf(to, cap, "%s/%08llu.otj", dir, (unsigned long long)id);
	return n > 0 && (size_t)n < cap;
}

bool otd_journal_archive_dir(char *to, size_t cap, const char *dir)
{
	const char *name = strrchr(dir, '/');
	const char *parent = name;
	while (parent && parent > dir && *--parent != '/')
		;
	if (!name || !name[1] || parent == name || *parent != '/')
		return false;
	int n = snprintf(to, cap, "%.*s/archive%s", (int)(parent - dir), dir, name);
	return n > 0 && (size_t)n < cap;
}

/* 0: not the name of a segment with this end. */
static uint64_t id_of(const char *name, const char *end)
{
	const char *dot = strchr(name, '.');
	uint64_t id;
	if (!dot || strcmp(dot, end) != 0 || dot - name < 8 ||
	    otd_parse_u64(&id, name, (size_t)(dot - name)) != OTD_OK)
		return 0;
	return id;
}

static bool add_id(struct otd_journal_ids *ids, uint64_t id)
{
	if (id == 0)
		return true;
	if (ids->n == ids->cap) {
		size_t cap = ids->cap ? ids->cap * 2 : 16;
		uint64_t *more = realloc(ids->id, cap * sizeof(*more));
		if (!more) {
			ids->failed = true;
			return false;
		}
		ids->id = more;
		ids->cap = cap;
	}
	ids->id[ids->n++] = id;
	return true;
}

static bool take_name(void *arg, const char *name)
{
	return add_id(arg, id_of(name, ".otj"));
}

static bool take_archived(void *arg, const char *name)
{
	uint64_t id = id_of(name, ".otj");
	return add_id(arg, id ? id : id_of(name, OTD_JOURNAL_PACKED));
}

static int by_number(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

otd_rc otd_journal_ids(struct otd_journal_ids *out, struct otd_env *e, const char *dir,
		       struct otd_err *err)
{
	const struct otd_files *f = e->files;
	*out = (struct otd_journal_ids){0};
	otd_rc rc = f->list(f->ctx, dir, take_name, out);
	if (rc == OTD_OK && out->failed)
		rc = OTD_E_NOMEM;
	if (rc) {
		otd_journal_ids_finish(out);
		return otd_fail(err, rc, "journal %s: cannot list the folder: %s", dir,
				rc == OTD_E_NOMEM ? "out of memory" : f->last_error(f->ctx));
	}
	if (out->n > 1)
		qsort(out->id, out->n, sizeof(*out->id), by_number);
	return OTD_OK;
}

otd_rc otd_journal_ids_all(struct otd_journal_ids *out, struct otd_env *e, const char *dir,
			   struct otd_err *err)
{
	const struct otd_files *f = e->files;
	char archive[512];
	bool there = false;
	size_t n = 0;
	*out = (struct otd_journal_ids){0};
	otd_rc rc = otd_journal_ids(out, e, dir, err);
	if (rc == OTD_E_NOT_FOUND)
		rc = OTD_OK;
	/* After the folder itself: what is moved meanwhile is seen twice, and never missed. */
	if (rc == OTD_OK && otd_journal_archive_dir(archive, sizeof(archive), dir) &&
	    f->exists(f->ctx, archive, &there) == OTD_OK && there)
		rc = f->list(f->ctx, archive, take_archived, out);
	if (rc == OTD_OK && out->failed)
		rc = OTD_E_NOMEM;
	if (rc) {
		otd_journal_ids_finish(out);
		return otd_fail(err, rc, "journal %s: cannot list the folder: %s", dir,
				rc == OTD_E_NOMEM ? "out of memory" : f->last_error(f->ctx));
	}
	if (out->n > 1)
		qsort(out->id, out->n, sizeof(*out->id), by_number);
	for (size_t i = 0; i < out->n; i++)
		if (n == 0 || out->id[n - 1] != out->id[i])
			out->id[n++] = out->id[i];
	out->n = n;
	return OTD_OK;
}

void otd_journal_ids_finish(struct otd_journal_ids *ids)
{
	free(ids->id);
	*ids = (struct otd_journal_ids){0};
}
