#include "common/bytes.h"

#include <stdarg.h>
#include <stdio.h>

void btc_buf_init(struct btc_buf *b, const struct btc_host *host)
{
	*b = (struct btc_buf){.host = host};
}

void btc_buf_finish(struct btc_buf *b)
{
	btc_free(b->host, b->ptr);
	b->ptr = NULL;
	b->len = b->cap = 0;
}

void btc_put(struct btc_buf *b, const void *p, size_t n)
{
	if (b->failed || n == 0)
		return;
	if (n > b->cap - b->len) {
		size_t cap = b->cap ? b->cap : 128;
		while (cap - b->len < n && cap <= SIZE_MAX / 2)
			cap *= 2;
		uint8_t *grown = cap - b->len < n ? NULL : btc_alloc(b->host, cap);
		if (!grown) {
			b->failed = true;
			return;
		}
		if (b->len)
			memcpy(grown, b->ptr, b->len);
		btc_free(b->host, b->ptr);
		b->ptr = grown;
		b->cap = cap;
	}
	memcpy(b->ptr + b->len, p, n);
	b->len += n;
}

void btc_put_u8(struct btc_buf *b, uint8_t v)
{
	btc_put(b, &v, 1);
}

void btc_put_u32(struct btc_buf *b, uint32_t v)
{
	uint8_t le[4];
	btc_store_u32(le, v);
	btc_put(b, le, sizeof(le));
}

void btc_put_u64(struct btc_buf *b, uint64_t v)
{
	btc_put_u32(b, (uint32_t)v);
	btc_put_u32(b, (uint32_t)(v >> 32));
}

void btc_put_varint(struct btc_buf *b, uint64_t v)
{
	if (v < 0xfd) {
		btc_put_u8(b, (uint8_t)v);
	} else if (v <= 0xffff) {
		uint8_t e[3] = {0xfd, (uint8_t)v, (uint8_t)(v >> 8)};
		btc_put(b, e, sizeof(e));
	} else if (v <= 0xffffffff) {
		btc_put_u8(b, 0xfe);
		btc_put_u32(b, (uint32_t)v);
	} else {
		btc_put_u8(b, 0xff);
		btc_put_u64(b, v);
	}
}

void btc_put_text(struct btc_buf *b, const char *fmt, ...)
{
	char text[1000];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		b->failed = true;
	else
		btc_put(b, text, (size_t)n);
}

void btc_put_hex(struct btc_buf *b, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *from = p;
	char chunk[512];
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		chunk[k++] = digits[from[i] >> 4];
		chunk[k++] = digits[from[i] & 15];
		if (k == sizeof(chunk)) {
			btc_put(b, chunk, k);
			k = 0;
		}
	}
	btc_put(b, chunk, k);
}

otd_rc btc_give(struct otd_buf *out, const void *p, size_t n)
{
	out->len = n;
	if (n > out->cap)
		return OTD_E_RANGE;
	if (n)
		memcpy(out->ptr, p, n);
	return OTD_OK;
}

const uint8_t *btc_take(struct btc_reader *r, size_t n)
{
	if (r->failed || n > r->left) {
		r->failed = true;
		return NULL;
	}
	const uint8_t *p = r->ptr;
	r->ptr += n;
	r->left -= n;
	return p;
}

uint8_t btc_get_u8(struct btc_reader *r)
{
	const uint8_t *p = btc_take(r, 1);
	return p ? *p : 0;
}

uint32_t btc_get_u32(struct btc_reader *r)
{
	const uint8_t *p = btc_take(r, 4);
	return p ? btc_load_u32(p) : 0;
}

uint64_t btc_get_u64(struct btc_reader *r)
{
	uint64_t low = btc_get_u32(r);
	return low | (uint64_t)btc_get_u32(r) << 32;
}

uint64_t btc_get_varint(struct btc_reader *r)
{
	uint64_t v = btc_get_u8(r), least = 0;
	if (v == 0xfd) {
		v = btc_get_u8(r);
		v |= (uint64_t)btc_get_u8(r) << 8;
		least = 0xfd;
	} else if (v == 0xfe) {
		v = btc_get_u32(r);
		least = 0x10000;
	} else if (v == 0xff) {
		v = btc_get_u64(r);
		least = 0x100000000;
	}
	if (v < least)
		r->failed = true;
	return r->failed ? 0 : v;
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool btc_unhex(uint8_t *out, const char *hex, size_t n)
{
	if (n % 2)
		return false;
	for (size_t i = 0; i < n; i += 2) {
		int high = digit(hex[i]), low = digit(hex[i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i / 2] = (uint8_t)(high << 4 | low);
	}
	return true;
}

bool btc_unhex_hash(uint8_t out[32], const char *hex, size_t n)
{
	uint8_t be[32];
	if (n != 64 || !btc_unhex(be, hex, n))
		return false;
	for (int i = 0; i < 32; i++)
		out[i] = be[31 - i];
	return true;
}

char *btc_hash_text(char out[65], const uint8_t hash[32])
{
	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * (size_t)i, 3, "%02x", hash[31 - i]);
	return out;
}
