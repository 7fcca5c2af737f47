/* Memory that is given back all at once: what a document or the settings are made of. */
#ifndef OTD_CONFIG_ARENA_H
#define OTD_CONFIG_ARENA_H

#include <otedama/types.h>

struct otd_arena_block;

struct otd_arena {
	struct otd_arena_block *blocks;
};

/* Zeroed, aligned for any type. NULL where memory ran out. */
void *otd_arena_alloc(struct otd_arena *a, size_t n);
/* A terminated copy of n bytes. */
char *otd_arena_text(struct otd_arena *a, const char *s, size_t n);
char *otd_arena_format(struct otd_arena *a, const char *fmt, ...) OTD_PRINTF(2, 3);
void otd_arena_finish(struct otd_arena *a);

#endif
