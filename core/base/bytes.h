/* A growing byte buffer with a hard maximum, the host's only way to build text and messages. */
#ifndef OTD_BASE_BYTES_H
#define OTD_BASE_BYTES_H

#include <otedama/types.h>
#include <stdarg.h>

struct otd_bytes {
	uint8_t *ptr;
	size_t len, cap, max;
	bool failed; /* an append did not fit or memory ran out: contents stay, len stays */
};

/* Allocates nothing yet. max: bytes it may ever hold. */
void otd_bytes_init(struct otd_bytes *b, size_t max);
void otd_bytes_finish(struct otd_bytes *b);
void otd_bytes_clear(struct otd_bytes *b); /* len 0, failed false, memory kept */
/* All appends return OTD_E_NOMEM past max and set failed, so that a caller may check once at the
 * end. */
otd_rc otd_bytes_add(struct otd_bytes *b, const void *p, size_t n);
otd_rc otd_bytes_text(struct otd_bytes *b, const char *s);
otd_rc otd_bytes_format(struct otd_bytes *b, const char *fmt, ...) OTD_PRINTF(2, 3);
otd_rc otd_bytes_vformat(struct otd_bytes *b, const char *fmt, va_list ap);
otd_rc otd_bytes_hex(struct otd_bytes *b, const void *p, size_t n);
/* A JSON string with its quotes, escaped; invalid UTF-8 becomes U+FFFD. */
otd_rc otd_bytes_json(struct otd_bytes *b, const char *s, size_t n);
/* Room for n more bytes; returns where they go (len and failed unchanged), NULL where it would pass
   max. */
uint8_t *otd_bytes_room(struct otd_bytes *b, size_t n);
/* Removes the first n bytes. */
void otd_bytes_drop(struct otd_bytes *b, size_t n);
/* A terminating zero behind len, not counted in it; "" where memory ran out. */
const char *otd_bytes_cstr(struct otd_bytes *b);

static inline struct otd_span otd_bytes_span(const struct otd_bytes *b)
{
	struct otd_span s = {b->ptr, b->len};
	return s;
}

#endif
