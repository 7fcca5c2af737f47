#include "bitcoin.h"

#include <string.h>

static bool in_number(uint8_t c)
{
	return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* The end of the string that begins at i, behind its closing quote; len where it has none. */
static size_t string_end(struct otd_span s, size_t i)
{
	for (i++; i < s.len && s.ptr[i] != '"'; i++)
		i += s.ptr[i] == '\\';
	return i < s.len ? i + 1 : s.len;
}

/* The end of the token that begins at i; *broken: it is a number that is no whole one. */
static size_t token_end(struct otd_span s, size_t i, bool *broken)
{
	*broken = false;
	if (s.ptr[i] == '"')
		return string_end(s, i);
	if (s.ptr[i] != '-' && !(s.ptr[i] >= '0' && s.ptr[i] <= '9'))
		return i + 1;
	for (; i < s.len && in_number(s.ptr[i]); i++)
		*broken = *broken || s.ptr[i] == '.' || s.ptr[i] == 'e' || s.ptr[i] == 'E';
	return i;
}

otd_rc bitcoin_quote(const struct btc_host *host, uint8_t **out, size_t *len, struct otd_span s)
{
	size_t more = 0, at = 0;
	bool broken;
	for (size_t i = 0; i < s.len; i = token_end(s, i, &broken), more += broken ? 2 : 0)
		;
	uint8_t *p = btc_alloc(host, s.len + more + 1);
	if (!p)
		return btc_fail(host, OTD_E_NOMEM, "no memory for an answer");
	for (size_t i = 0; i < s.len;) {
		size_t end = token_end(s, i, &broken);
		if (broken)
			p[at++] = '"';
		memcpy(p + at, s.ptr + i, end - i);
		at += end - i;
		if (broken)
			p[at++] = '"';
		i = end;
	}
	*out = p;
	*len = at;
	return OTD_OK;
}
