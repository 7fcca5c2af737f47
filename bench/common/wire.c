#include "common/wire.h"

#include <math.h>
#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>

enum { COINBASE_MAX = 1 << 20 };

static const char *blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t' || *p == '\r' || *p == '\n'))
		p++;
	return p;
}

/* The end of the string that begins at p; NULL where it has none. */
static const char *skip_string(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '\\')
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return NULL;
}

/* The end of the value that begins at p; NULL where it has none. Strict enough for servers. */
static const char *skip_value(const char *p, const char *end)
{
	int depth = 0;
	if (p == end || *p == ',' || *p == ']' || *p == '}' || *p == ':')
		return NULL;
	while (p && p < end) {
		switch (*p) {
		case '"': p = skip_string(p, end); break;
		case '{':
		case '[':
			depth++;
			p++;
			break;
		case '}':
		case ']':
			if (depth == 0)
				return p;
			p++;
			if (--depth == 0)
				return p;
			break;
		case ',':
			if (depth == 0)
				return p;
			p++;
			break;
		default: p++;
		}
		if (p && depth == 0 && p > end)
			return NULL;
	}
	return p && depth == 0 ? p : NULL;
}

static struct wire_span trimmed(const char *p, const char *end)
{
	while (end > p && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		end--;
	return (struct wire_span){p, (size_t)(end - p)};
}

static void keep(struct wire_line *out, const char *key, size_t n, struct wire_span v)
{
	if (n == 2 && !memcmp(key, "id", 2))
		out->id = v;
	else if (n == 6 && !memcmp(key, "result", 6))
		out->result = v;
	else if (n == 5 && !memcmp(key, "error", 5))
		out->error = v;
	else if (n == 6 && !memcmp(key, "method", 6))
		out->method = v;
	else if (n == 6 && !memcmp(key, "params", 6))
		out->params = v;
}

bool wire_read_line(struct wire_line *out, const char *p, size_t n)
{
	const char *end = p + n;
	memset(out, 0, sizeof(*out));
	p = blanks(p, end);
	if (p == end || *p != '{')
		return false;
	p = blanks(p + 1, end);
	while (p < end && *p != '}') {
		const char *key = p + 1, *key_end, *value;
		if (*p != '"' || !(p = skip_string(p, end)))
			return false;
		key_end = p - 1;
		p = blanks(p, end);
		if (p == end || *p != ':')
			return false;
		value = blanks(p + 1, end);
		p = skip_value(value, end);
		if (!p)
			return false;
		keep(out, key, (size_t)(key_end - key), trimmed(value, p));
		p = blanks(p, end);
		if (p < end && *p == ',')
			p = blanks(p + 1, end);
		else if (p == end || *p != '}')
			return false;
	}
	return p < end;
}

size_t wire_items(struct wire_span *out, size_t max, struct wire_span array)
{
	const char *p = array.p, *end = array.p + array.n;
	size_t n = 0;
	if (array.n < 2 || *p != '[')
		return 0;
	p = blanks(p + 1, end);
	while (p < end && *p != ']') {
		const char *value = p;
		p = skip_value(p, end);
		if (!p)
			return n;
		if (n < max)
			out[n] = trimmed(value, p);
		n++;
		p = blanks(p, end);
		if (p < end && *p == ',')
			p = blanks(p + 1, end);
	}
	return n;
}

bool wire_item(struct wire_span *out, struct wire_span array, size_t i)
{
	struct wire_span items[16];
	if (i >= 16 || wire_items(items, 16, array) <= i)
		return false;
	*out = items[i];
	return true;
}

struct wire_span wire_text(struct wire_span v)
{
	if (v.n < 2 || v.p[0] != '"' || v.p[v.n - 1] != '"')
		return (struct wire_span){v.p, 0};
	return (struct wire_span){v.p + 1, v.n - 2};
}

bool wire_is(struct wire_span v, const char *what)
{
	return v.n == strlen(what) && !memcmp(v.p, what, v.n);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int wire_unhex(uint8_t *out, size_t cap, struct wire_span hex)
{
	if (hex.n % 2 || hex.n / 2 > cap)
		return -1;
	for (size_t i = 0; i < hex.n / 2; i++) {
		int high = digit(hex.p[2 * i]), low = digit(hex.p[2 * i + 1]);
		if (high < 0 || low < 0)
			return -1;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return (int)(hex.n / 2);
}

char *wire_hex(char *to, const uint8_t *from, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		*to++ = digits[from[i] >> 4];
		*to++ = digits[from[i] & 15];
	}
	return to;
}

static void put_be32(uint8_t to[4], uint32_t v)
{
	to[0] = (uint8_t)(v >> 24);
	to[1] = (uint8_t)(v >> 16);
	to[2] = (uint8_t)(v >> 8);
	to[3] = (uint8_t)v;
}

static void put_le32(uint8_t to[4], uint32_t v)
{
	put_be32(to, __builtin_bswap32(v));
}

char *wire_hex_u32(char *to, uint32_t v)
{
	uint8_t b[4];
	put_be32(b, v);
	return wire_hex(to, b, 4);
}

int64_t wire_number(struct wire_span v)
{
	int64_t n = 0;
	if (v.n == 0 || v.n > 18)
		return -1;
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '9')
			return -1;
		n = 10 * n + (v.p[i] - '0');
	}
	return n;
}

static bool read_u32(uint32_t *out, struct wire_span v)
{
	uint8_t b[4];
	if (wire_unhex(b, 4, wire_text(v)) != 4)
		return false;
	*out = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
	return true;
}

static bool read_coinbase(struct wire_job *job, struct wire_span first, struct wire_span second)
{
	first = wire_text(first);
	second = wire_text(second);
	size_t size = first.n / 2 + second.n / 2;
	uint8_t *p = size && size < COINBASE_MAX ? realloc(job->coinbase, size) : NULL;
	if (!p)
		return false;
	job->coinbase = p;
	job->coinbase1_len = first.n / 2;
	job->coinbase2_len = second.n / 2;
	return wire_unhex(p, job->coinbase1_len, first) >= 0 &&
	       wire_unhex(p + job->coinbase1_len, job->coinbase2_len, second) >= 0;
}

static bool read_branches(struct wire_job *job, struct wire_span array)
{
	struct wire_span items[WIRE_BRANCHES_MAX];
	job->n_branches = wire_items(items, WIRE_BRANCHES_MAX, array);
	if (job->n_branches > WIRE_BRANCHES_MAX || array.n < 2 || array.p[0] != '[')
		return false;
	for (size_t i = 0; i < job->n_branches; i++) {
		if (wire_unhex(job->branches[i], 32, wire_text(items[i])) != 32)
			return false;
	}
	return true;
}

bool wire_job_read(struct wire_job *job, struct wire_span params)
{
	struct wire_span v[9], id;
	uint8_t prev[32];
	if (wire_items(v, 9, params) < 9)
		goto bad;
	id = wire_text(v[0]);
	if (id.n == 0 || id.n > sizeof(job->id) || wire_unhex(prev, 32, wire_text(v[1])) != 32)
		goto bad;
	memcpy(job->id, id.p, id.n);
	job->id_len = id.n;
	/* On the wire the bytes of each word stand reversed. */
	for (int i = 0; i < 32; i++)
		job->prev[i] = prev[(i & ~3) + 3 - (i & 3)];
	if (!read_coinbase(job, v[2], v[3]) || !read_branches(job, v[4]) ||
	    !read_u32(&job->version, v[5]) || !read_u32(&job->nbits, v[6]) ||
	    !read_u32(&job->ntime, v[7]))
		goto bad;
	job->clean = wire_is(v[8], "true");
	return true;
bad:
	wire_job_finish(job);
	return false;
}

void wire_job_finish(struct wire_job *job)
{
	free(job->coinbase);
	memset(job, 0, sizeof(*job));
}

void wire_header(uint8_t header[80], const struct wire_job *job, const uint8_t *en1, size_t en1_len,
		 const uint8_t *en2, size_t en2_len, uint32_t ntime, uint32_t nonce)
{
	struct otd_sha256 s;
	uint8_t pair[64], digest[32];
	otd_sha256_init(&s);
	otd_sha256_update(&s, job->coinbase, job->coinbase1_len);
	otd_sha256_update(&s, en1, en1_len);
	otd_sha256_update(&s, en2, en2_len);
	otd_sha256_update(&s, job->coinbase + job->coinbase1_len, job->coinbase2_len);
	otd_sha256_final(&s, digest);
	otd_sha256(pair, digest, 32);
	for (size_t i = 0; i < job->n_branches; i++) {
		memcpy(pair + 32, job->branches[i], 32);
		otd_sha256d_64(digest, 32, pair, 64, 1);
		memcpy(pair, digest, 32);
	}
	put_le32(header, job->version);
	memcpy(header + 4, job->prev, 32);
	memcpy(header + 36, pair, 32);
	put_le32(header + 68, ntime);
	put_le32(header + 72, job->nbits);
	put_le32(header + 76, nonce);
}

void wire_target(uint8_t target_le[32], double difficulty)
{
	int exponent;
	/* 0xffff * 2^208 / difficulty as mantissa and exponent; 2^-50 of it is given away, for the
	   double cannot tell more. */
	double m = frexp(65535.0 / difficulty * (1 - 0x1p-50), &exponent);
	uint64_t top = (uint64_t)ldexp(m, 64);
	int shift = exponent + 208 - 64; /* of top's lowest bit */
	memset(target_le, 0, 32);
	if (!(difficulty > 0) || shift > 192) {
		memset(target_le, 0xff, 32);
		return;
	}
	for (int bit = 0; bit < 64; bit++) {
		int at = bit + shift;
		if (at >= 0 && at < 256 && (top >> bit & 1))
			target_le[at / 8] |= (uint8_t)(1u << (at % 8));
	}
}
