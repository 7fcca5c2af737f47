/* One template file, see pool/templates.h. */
#include "pool/templates.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/open.h"
#include "base/text.h"

#define LINE_MAX_BYTES 100

static uint32_t crc_of(struct otd_span head, struct otd_span body)
{
	return otd_crc32c(otd_crc32c(0, head.ptr, head.len), body.ptr, body.len);
}

otd_rc otd_template_write(const struct otd_files *f, const char *path, struct otd_span head,
			  struct otd_span body, struct otd_err *err)
{
	char fresh[620], line[LINE_MAX_BYTES];
	struct otd_file *file = NULL;
	const char *doing = "open";
	(void)snprintf(fresh, sizeof(fresh), "%s.new", path);
	int n = snprintf(line, sizeof(line), "otedama-template 1 %zu %zu %08" PRIx32 "\n", head.len,
			 body.len, crc_of(head, body));
	otd_rc rc =
		f->open(f->ctx, &file, fresh,
			OTD_OPEN_WRITE | OTD_OPEN_CREATE | OTD_OPEN_TRUNCATE | OTD_OPEN_PRIVATE);
	if (rc == OTD_OK) {
		doing = "write";
		rc = f->write(f->ctx, file, line, (size_t)n, 0);
	}
	if (rc == OTD_OK)
		rc = f->write(f->ctx, file, head.ptr, head.len, (uint64_t)n);
	if (rc == OTD_OK && body.len)
		rc = f->write(f->ctx, file, body.ptr, body.len, (uint64_t)n + head.len);
	f->close(f->ctx, file);
	if (rc == OTD_OK) {
		doing = "rename";
		rc = f->rename(f->ctx, fresh, path);
	}
	if (rc == OTD_OK)
		return OTD_OK;
	otd_fail(err, rc, "cannot %s %s: %s", doing, fresh, f->last_error(f->ctx));
	(void)f->remove(f->ctx, fresh);
	return rc;
}

static otd_rc parse_line(char *line, uint64_t len[2], uint32_t *crc)
{
	char *field[5], *rest = line;
	for (int i = 0; i < 5; i++) {
		field[i] = rest;
		rest = rest ? strchr(rest, ' ') : NULL;
		if (rest)
			*rest++ = '\0';
		if (!field[i])
			return OTD_E_CORRUPT;
	}
	if (rest || strcmp(field[0], "otedama-template") != 0)
		return OTD_E_CORRUPT;
	if (strcmp(field[1], "1") != 0)
		return OTD_E_VERSION;
	if (otd_parse_u64(&len[0], field[2], strlen(field[2])) ||
	    otd_parse_u64(&len[1], field[3], strlen(field[3])) ||
	    otd_hex_u32(crc, field[4], strlen(field[4])))
		return OTD_E_CORRUPT;
	return OTD_OK;
}

static otd_rc read_part(const struct otd_files *f, struct otd_file *file, struct otd_bytes *to,
			uint64_t n, uint64_t at)
{
	size_t got = 0;
	uint8_t *p = otd_bytes_room(to, n ? (size_t)n : 1);
	if (!p)
		return OTD_E_NOMEM;
	otd_rc rc = n ? f->read(f->ctx, file, &got, p, (size_t)n, at) : OTD_OK;
	to->len += got;
	return rc == OTD_OK && got != n ? OTD_E_CORRUPT : rc;
}

otd_rc otd_template_read(const struct otd_files *f, const char *path, struct otd_bytes *head,
			 struct otd_bytes *body, struct otd_err *err)
{
	struct otd_file *file = NULL;
	char line[LINE_MAX_BYTES + 1];
	uint64_t length = 0, len[2] = {0};
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
	uint64_t start = end ? (uint64_t)(end - line) + 1 : 0;
	if (end)
		*end = '\0';
	rc = end ? parse_line(line, len, &crc) : OTD_E_CORRUPT;
	if (rc == OTD_OK && (len[0] > OTD_TEMPLATE_HEAD || len[1] > OTD_TEMPLATE_BODY ||
			     start + len[0] + len[1] != length))
		rc = OTD_E_CORRUPT;
	if (rc == OTD_OK)
		rc = read_part(f, file, head, len[0], start);
	if (rc == OTD_OK)
		rc = read_part(f, file, body, len[1], start + len[0]);
	if (rc == OTD_OK && crc_of(otd_bytes_span(head), otd_bytes_span(body)) != crc)
		rc = OTD_E_CORRUPT;
	if (rc != OTD_OK)
		otd_fail(err, rc, "%s is not a whole template file (%s)", path, otd_rc_name(rc));
out:
	f->close(f->ctx, file);
	return rc;
}
