/* See base/pack.h. */
#include "base/pack.h"

#include <string.h>

static void put(struct otd_bytes *b, uint64_t v, size_t n)
{
	uint8_t le[8];
	for (size_t i = 0; i < n; i++)
		le[i] = (uint8_t)(v >> (8 * i));
	(void)otd_bytes_add(b, le, n);
}

void otd_pack_u8(struct otd_bytes *b, uint8_t v)
{
	put(b, v, 1);
}

void otd_pack_u16(struct otd_bytes *b, uint16_t v)
{
	put(b, v, 2);
}

void otd_pack_u32(struct otd_bytes *b, uint32_t v)
{
	put(b, v, 4);
}

void otd_pack_u64(struct otd_bytes *b, uint64_t v)
{
	put(b, v, 8);
}

void otd_pack_i64(struct otd_bytes *b, int64_t v)
{
	put(b, (uint64_t)v, 8);
}

void otd_pack_u256(struct otd_bytes *b, struct otd_u256 v)
{
	uint8_t le[32];
	otd_u256_to_le(le, v);
	(void)otd_bytes_add(b, le, sizeof(le));
}

void otd_pack_span(struct otd_bytes *b, struct otd_span s)
{
	otd_pack_u32(b, (uint32_t)s.len);
	if (s.len > UINT32_MAX)
		b->failed = true;
	else if (s.len)
		(void)otd_bytes_add(b, s.ptr, s.len);
}

void otd_pack_text(struct otd_bytes *b, const char *s)
{
	otd_pack_span(b, (struct otd_span){(const uint8_t *)s, strlen(s)});
}

size_t otd_pack_begin(struct otd_bytes *b)
{
	size_t at = b->len;
	otd_pack_u32(b, 0);
	return at;
}

void otd_pack_end(struct otd_bytes *b, size_t begun)
{
	size_t n = b->len - begun;
	if (b->failed || n < 4 || n - 4 > UINT32_MAX) {
		b->failed = true;
		return;
	}
	for (size_t i = 0; i < 4; i++)
		b->ptr[begun + i] = (uint8_t)((n - 4) >> (8 * i));
}

const uint8_t *otd_unpack_take(struct otd_unpack *u, size_t n)
{
	const uint8_t *p = u->ptr;
	if (u->failed || n > u->left) {
		u->failed = true;
		u->left = 0;
		return NULL;
	}
	u->ptr += n;
	u->left -= n;
	return p;
}

static uint64_t get(struct otd_unpack *u, size_t n)
{
	const uint8_t *p = otd_unpack_take(u, n);
	uint64_t v = 0;
	for (size_t i = 0; p && i < n; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

uint8_t otd_unpack_u8(struct otd_unpack *u)
{
	return (uint8_t)get(u, 1);
}

uint16_t otd_unpack_u16(struct otd_unpack *u)
{
	return (uint16_t)get(u, 2);
}

uint32_t otd_unpack_u32(struct otd_unpack *u)
{
	return (uint32_t)get(u, 4);
}

uint64_t otd_unpack_u64(struct otd_unpack *u)
{
	return get(u, 8);
}

int64_t otd_unpack_i64(struct otd_unpack *u)
{
	return (int64_t)get(u, 8);
}

struct otd_u256 otd_unpack_u256(struct otd_unpack *u)
{
	const uint8_t *p = otd_unpack_take(u, 32);
	struct otd_u256 none = {0};
	return p ? otd_u256_from_le(p) : none;
}

struct otd_span otd_unpack_span(struct otd_unpack *u)
{
	size_t n = otd_unpack_u32(u);
	const uint8_t *p = otd_unpack_take(u, n);
	struct otd_span s = {p, p ? n : 0};
	return s;
}

void otd_unpack_text(struct otd_unpack *u, char *to, size_t cap)
{
	struct otd_span s = otd_unpack_span(u);
	size_t n = s.len < cap - 1 ? s.len : cap - 1;
	if (s.len > n || (n && memchr(s.ptr, 0, n)))
		u->failed = true;
	n = u->failed ? 0 : n;
	if (n)
		memcpy(to, s.ptr, n);
	to[n] = '\0';
}

struct otd_unpack otd_unpack_part(struct otd_unpack *u)
{
	struct otd_span s = otd_unpack_span(u);
	struct otd_unpack part = otd_unpack_of(s);
	part.failed = u->failed;
	return part;
}
