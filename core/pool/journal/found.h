/*
 * The blocks that a reactor's journal of before holds. Whoever found them may have died before the block was
 * on the disk or with a node: header and coinbase stand here, the other transactions in a template file
 * (pool/templates.h).
 */
#ifndef OTD_POOL_FOUND_H
#define OTD_POOL_FOUND_H

#include "pool/journal/journal.h"
#include "pool/journal/record.h"

#define OTD_FOUND_MOST 256 /* the newest; what came before them is no news to any node */
#define OTD_FOUND_JOBS 256 /* a reactor judges shares of fewer jobs at a time */

struct otd_found_block {
	struct otd_found_block *next;
	struct otd_rec_block rec;
	char pool[80]; /* "": the journal does not say */
	uint8_t bytes[];
};

struct otd_found {
	struct otd_found_block *first, **end; /* oldest first */
	size_t n;
	bool failed; /* memory ran out over one of them */
	struct {
		uint32_t number;
		char pool[80];
	} job[OTD_FOUND_JOBS];
};

struct otd_found *otd_found_create(void);    /* NULL: no memory */
void otd_found_destroy(struct otd_found *f); /* takes NULL */
/* For otd_journal_recover_each(); arg: a struct otd_found. Of what is repeated one is kept. */
void otd_found_look(void *arg, const struct otd_record *r);

static inline struct otd_span otd_found_header(const struct otd_found_block *b)
{
	struct otd_span s = {b->bytes, b->rec.header_len};
	return s;
}

static inline struct otd_span otd_found_coinbase(const struct otd_found_block *b)
{
	struct otd_span s = {b->bytes + b->rec.header_len, b->rec.coinbase_len};
	return s;
}

#endif
