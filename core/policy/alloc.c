/*
 * Memory of a script's state: a cap, and a price. What is refused ends the call, for each refusal makes
 * Lua collect all garbage and try again.
 *
 * Blocks of LONG_STRING and more have a header that says what they are, so that long strings can be
 * counted when they go: comparing two of them is one instruction, however long they are.
 */
#include "policy/internal.h"
#include <stdlib.h>
#include <string.h>

#define HEADER 16 /* keeps the alignment of malloc */

static size_t class_of(size_t n)
{
	size_t c = 0;
	while (c + 1 < LONG_CLASSES && n >= (size_t)LONG_STRING << (c + 1))
		c++;
	return c;
}

static void count_string(struct policy_state *st, size_t size, int by)
{
	size_t c = class_of(size);
	bool first = by > 0 && st->long_strings[c] == 0;
	bool last = by < 0 && st->long_strings[c] == 1;
	st->long_strings[c] = (uint32_t)((int64_t)st->long_strings[c] + by);
	if ((first || last) && st->running)
		otd_policy_rearm(st);
}

static void *take(size_t size, bool is_string)
{
	uint8_t *p;
	if (size < LONG_STRING)
		return malloc(size);
	p = malloc(size + HEADER);
	if (!p)
		return NULL;
	memset(p, 0, HEADER);
	p[0] = is_string;
	return p + HEADER;
}

static void give(void *ptr, size_t size)
{
	if (ptr)
		free(size < LONG_STRING ? ptr : (uint8_t *)ptr - HEADER);
}

static bool is_string(const void *ptr, size_t size)
{
	return size >= LONG_STRING && ((const uint8_t *)ptr)[-HEADER] != 0;
}

/* Whether this may be had; what may not is counted. */
static bool allowed(struct policy_state *st, size_t old, size_t size, bool string)
{
	/* Two in a row: Lua tries again behind a collection. */
	if (st->fail_at && --st->fail_at <= 1) {
		st->fail_at_reached = true;
		return false;
	}
	/* Behind the text stands a header of some 24 bytes and a zero. */
	if (string && size > STRING_MAX + 64) {
		otd_policy_stop(st, STOP_STRING);
		return false;
	}
	if (size > old && st->used - old + size > st->cap) {
		/* Lua collects garbage behind this: as dear as the memory is large. */
		otd_policy_spend(st, st->used / 64);
		if (++st->refused > 1)
			otd_policy_stop(st, STOP_MEMORY);
		return false;
	}
	return true;
}

void *otd_policy_alloc(void *ud, void *ptr, size_t osize, size_t nsize)
{
	struct policy_state *st = ud;
	size_t old = ptr ? osize : 0; /* else it is a tag */
	bool string = !ptr && osize == LUA_TSTRING;
	void *to;
	if (nsize == 0) {
		if (ptr && is_string(ptr, old))
			count_string(st, old, -1);
		give(ptr, old);
		st->used -= old;
		return NULL;
	}
	/* Lua takes it for granted that a block can be made smaller. */
	if (nsize > old && !allowed(st, old, nsize, string))
		return NULL;
	if (ptr)
		string = is_string(ptr, old);
	/* Before anything moves: the end of the budget looks at Lua's stack for the line. */
	if (nsize > old)
		otd_policy_spend(st, 1 + (nsize - old) / 16);
	to = take(nsize, string);
	if (!to) /* smaller in place, where the header stays what it is */
		return nsize <= old && (old < LONG_STRING) == (nsize < LONG_STRING) ? ptr : NULL;
	if (ptr) {
		memcpy(to, ptr, old < nsize ? old : nsize);
		if (is_string(ptr, old))
			count_string(st, old, -1);
		give(ptr, old);
	}
	st->used = st->used - old + nsize;
	if (string && nsize >= LONG_STRING)
		count_string(st, nsize, 1);
	return to;
}
