/* A growing byte buffer with a hard maximum. */
#include "base/bytes.h"
#include "base/text.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void otd_bytes_init(struct otd_bytes *b, size_t max)
{
	memset(b, 0, sizeof(*b));
	b->max = max;
}

void otd_bytes_finish(struct otd_bytes *b)
{
	free(b->ptr);
	otd_bytes_init(b, b->max);
}

void otd_bytes_clear(struct otd_bytes *b)
{
	b->len = 0;
	b->failed = false;
}

/* One byte beyond cap is always there, for the zero of otd_bytes_cstr(). */
static bool reserve(struct otd_bytes *b, size_t n)
{
	if (n > b->max || b->len > b->max - n)
		return false;
	size_t need = b->len + n;
	if (b->ptr && need <= b->cap)
		return true;
	size_t cap = b->cap < 32 ? 64 : b->cap * 2;
	if (cap < need)
		cap = need;
	if (cap > b->max)
		cap = b->max;
	uint8_t *p = realloc(b->ptr, cap + 1);
	if (!p)
		return false;
	b->ptr = p;
	b->cap = cap;
	return true;
}

uint8_t *otd_bytes_room(struct otd_bytes *b, size_t n)
{
	return reserve(b, n) ? b->ptr + b->len : NULL;
}

static uint8_t *extend(struct otd_bytes *b, size_t n)
{
	uint8_t *p = otd_bytes_room(b, n);
	if (p)
		b->len += n;
	else
		b->failed = true;
	return p;
}

otd_rc otd_bytes_add(struct otd_bytes *b, const void *p, size_t n)
{
	uint8_t *to = extend(b, n);
	if (!to)
		return OTD_E_NOMEM;
	if (n)
		memcpy(to, p, n);
	return OTD_OK;
}

otd_rc otd_bytes_text(struct otd_bytes *b, const char *s)
{
	return otd_bytes_add(b, s, strlen(s));
}

otd_rc otd_bytes_vformat(struct otd_bytes *b, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	otd_rc rc = OTD_E_NOMEM;
	size_t room = b->ptr ? b->cap - b->len : 0;
	int n = vsnprintf(room ? (char *)b->ptr + b->len : NULL, room ? room + 1 : 0, fmt, ap);
	if (n < 0) {
		b->failed = true;
		rc = OTD_E_INVALID;
		goto out;
	}
	bool written = room && (size_t)n <= room;
	if (!extend(b, (size_t)n))
		goto out;
	if (!written)
		(void)vsnprintf((char *)b->ptr + b->len - n, (size_t)n + 1, fmt, again);
	rc = OTD_OK;
out:
	va_end(again);
	return rc;
}

otd_rc otd_bytes_format(struct otd_bytes *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	otd_rc rc = otd_bytes_vformat(b, fmt, ap);
	va_end(ap);
	return rc;
}

otd_rc otd_bytes_hex(struct otd_bytes *b, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = p;
	uint8_t *to = n > SIZE_MAX / 2 ? NULL : extend(b, 2 * n);
	if (!to) {
		b->failed = true;
		return OTD_E_NOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		to[2 * i] = (uint8_t)digits[from[i] >> 4];
		to[2 * i + 1] = (uint8_t)digits[from[i] & 15];
	}
	return OTD_OK;
}

static otd_rc json_escape(struct otd_bytes *b, uint8_t c)
{
	switch (c) {
	case '"': return otd_bytes_add(b, "\\\"", 2);
	case '\\': return otd_bytes_add(b, "\\\\", 2);
	case '\b': return otd_bytes_add(b, "\\b", 2);
	case '\f': return otd_bytes_add(b, "\\f", 2);
	case '\n': return otd_bytes_add(b, "\\n", 2);
	case '\r': return otd_bytes_add(b, "\\r", 2);
	case '\t': return otd_bytes_add(b, "\\t", 2);
	default: return otd_bytes_format(b, "\\u%04x", c);
	}
}

static bool json_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

otd_rc otd_bytes_json(struct otd_bytes *b, const char *s, size_t n)
{
	const uint8_t *p = (const uint8_t *)s;
	size_t start = b->len, i = 0;
	otd_rc rc = otd_bytes_add(b, "\"", 1);
	while (i < n && rc == OTD_OK) {
		size_t run = i;
		while (run < n && json_plain(p[run]))
			run++;
		if (run > i) {
			rc = otd_bytes_add(b, p + i, run - i);
			i = run;
			continue;
		}
		size_t len = otd_utf8_sequence(p + i, n - i);
		if (len == 0)
			rc = otd_bytes_add(b, "\xef\xbf\xbd", 3);
		else if (len == 1)
			rc = json_escape(b, p[i]);
		else
			rc = otd_bytes_add(b, p + i, len);
		i += len ? len : 1;
	}
	if (rc == OTD_OK)
		rc = otd_bytes_add(b, "\"", 1);
	if (rc != OTD_OK)
		b->len = start;
	return rc;
}

void otd_bytes_drop(struct otd_bytes *b, size_t n)
{
	if (n >= b->len) {
		b->len = 0;
		return;
	}
	if (n)
		memmove(b->ptr, b->ptr + n, b->len - n);
	b->len -= n;
}

const char *otd_bytes_cstr(struct otd_bytes *b)
{
	if (!reserve(b, 0))
		return "";
	b->ptr[b->len] = 0;
	return (const char *)b->ptr;
}
