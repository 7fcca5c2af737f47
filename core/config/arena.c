#include "config/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 8192, ALIGN = 16 };

struct otd_arena_block {
	struct otd_arena_block *next;
	size_t used, cap;
	_Alignas(ALIGN) uint8_t data[];
};

void *otd_arena_alloc(struct otd_arena *a, size_t n)
{
	struct otd_arena_block *b = a->blocks;
	if (n > SIZE_MAX / 2)
		return NULL;
	n = (n + ALIGN - 1) / ALIGN * ALIGN;
	if (!b || b->cap - b->used < n) {
		size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
		b = calloc(1, sizeof(*b) + cap);
		if (!b)
			return NULL;
		b->cap = cap;
		b->next = a->blocks;
		a->blocks = b;
	}
	void *p = b->data + b->used;
	b->used += n;
	return p;
}

char *otd_arena_text(struct otd_arena *a, const char *s, size_t n)
{
	char *p = otd_arena_alloc(a, n + 1);
	if (p && n)
		memcpy(p, s, n);
	return p;
}

char *otd_arena_format(struct otd_arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p = NULL;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		p = otd_arena_alloc(a, (size_t)n + 1);
	if (p) {
		va_start(ap, fmt);
		(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return p;
}

void otd_arena_finish(struct otd_arena *a)
{
	while (a->blocks) {
		struct otd_arena_block *next = a->blocks->next;
		free(a->blocks);
		a->blocks = next;
	}
}
