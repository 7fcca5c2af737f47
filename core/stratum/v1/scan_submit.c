/*
 * mining.submit of the usual shape, read without allocation: nearly every line that a pool gets.
 * A strict subset of JSON: what it takes, jansson takes with the same fields; at the least doubt it
 * says "not mine". tests/fuzz/fuzz_submit.c holds the two against each other.
 */
#include "stratum/v1/v1.h"

#include <string.h>

struct cursor {
	const uint8_t *p, *end;
};

static void blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static bool take(struct cursor *c, char what)
{
	blanks(c);
	if (c->p == c->end || *c->p != (uint8_t)what)
		return false;
	c->p++;
	return true;
}

/* Printable ASCII without escapes. */
static bool text(struct cursor *c, struct otd_span *out)
{
	if (!take(c, '"'))
		return false;
	out->ptr = c->p;
	while (c->p < c->end && *c->p != '"') {
		if (*c->p < 0x20 || *c->p > 0x7e || *c->p == '\\')
			return false;
		c->p++;
	}
	out->len = (size_t)(c->p - out->ptr);
	return take(c, '"');
}

/* null, a string, or an integer that every reader takes. */
static bool id_value(struct cursor *c, struct otd_span *out)
{
	struct otd_span string;

	blanks(c);
	out->ptr = c->p;
	if (c->end - c->p >= 4 && !memcmp(c->p, "null", 4)) {
		c->p += 4;
	} else if (c->p < c->end && *c->p == '"') {
		if (!text(c, &string))
			return false;
	} else {
		const uint8_t *from = c->p;
		while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
			c->p++;
		size_t digits = (size_t)(c->p - from);
		if (!digits || digits > 18 || (digits > 1 && *from == '0'))
			return false;
	}
	out->len = (size_t)(c->p - out->ptr);
	return out->len <= OTD_SESSION_ID_MAX;
}

static bool params_value(struct cursor *c, struct otd_v1_submit *m)
{
	struct otd_span *const fields[] = {&m->user,  &m->job,   &m->extranonce2,
					   &m->ntime, &m->nonce, &m->version};

	if (!take(c, '['))
		return false;
	for (size_t i = 0; i < 6; i++) {
		if (i == 5 && take(c, ']'))
			return true;
		if (i && !take(c, ','))
			return false;
		if (!text(c, fields[i]))
			return false;
	}
	m->has_version = true;
	return take(c, ']');
}

static bool is(struct otd_span s, const char *what)
{
	return s.len == strlen(what) && !memcmp(s.ptr, what, s.len);
}

bool otd_v1_scan_submit(struct otd_v1_submit *out, struct otd_span line)
{
	struct cursor c = {line.ptr, line.ptr + line.len};
	struct otd_span key, method;
	unsigned seen = 0;

	memset(out, 0, sizeof(*out));
	if (!take(&c, '{'))
		return false;
	for (int i = 0; i < 3; i++) {
		unsigned which = 0;
		if ((i && !take(&c, ',')) || !text(&c, &key) || !take(&c, ':'))
			return false;
		if (is(key, "params") && params_value(&c, out))
			which = 1;
		else if (is(key, "id") && id_value(&c, &out->id))
			which = 2;
		else if (is(key, "method") && text(&c, &method) && is(method, "mining.submit"))
			which = 4;
		if (!which || (seen & which))
			return false;
		seen |= which;
	}
	if (!take(&c, '}'))
		return false;
	blanks(&c);
	return c.p == c.end;
}
