#include "pool/journal/found.h"

#include <stdlib.h>
#include <string.h>

struct otd_found *otd_found_create(void)
{
	struct otd_found *f = calloc(1, sizeof(*f));
	if (f)
		f->end = &f->first;
	return f;
}

void otd_found_destroy(struct otd_found *f)
{
	if (!f)
		return;
	while (f->first) {
		struct otd_found_block *b = f->first;
		f->first = b->next;
		free(b);
	}
	free(f);
}

static void take_job(struct otd_found *f, struct otd_span p)
{
	struct otd_rec_job r;
	if (p.len < sizeof(r))
		return;
	memcpy(&r, p.ptr, sizeof(r));
	size_t n = r.pool_len;
	size_t at = r.job % OTD_FOUND_JOBS;
	f->job[at].number = r.job;
	f->job[at].pool[0] = '\0';
	if (n > p.len - sizeof(r) || n >= sizeof(f->job[at].pool))
		return;
	memcpy(f->job[at].pool, p.ptr + sizeof(r), n);
	f->job[at].pool[n] = '\0';
}

static bool is_there(const struct otd_found *f, const uint8_t hash[32])
{
	for (const struct otd_found_block *b = f->first; b; b = b->next)
		if (memcmp(b->rec.hash, hash, 32) == 0)
			return true;
	return false;
}

static void take_block(struct otd_found *f, struct otd_span p)
{
	struct otd_rec_block r;
	if (p.len < sizeof(r))
		return;
	memcpy(&r, p.ptr, sizeof(r));
	uint64_t n = (uint64_t)r.header_len + r.coinbase_len;
	if (n > p.len - sizeof(r) || is_there(f, r.hash))
		return;
	struct otd_found_block *b = calloc(1, sizeof(*b) + (size_t)n);
	if (!b) {
		f->failed = true;
		return;
	}
	b->rec = r;
	memcpy(b->bytes, p.ptr + sizeof(r), (size_t)n);
	if (f->job[r.job % OTD_FOUND_JOBS].number == r.job)
		memcpy(b->pool, f->job[r.job % OTD_FOUND_JOBS].pool, sizeof(b->pool));
	*f->end = b;
	f->end = &b->next;
	if (++f->n <= OTD_FOUND_MOST)
		return;
	b = f->first;
	f->first = b->next;
	f->n--;
	free(b);
}

void otd_found_look(void *arg, const struct otd_record *r)
{
	struct otd_found *f = arg;
	if (r->type == OTD_REC_JOB)
		take_job(f, r->payload);
	else if (r->type == OTD_REC_BLOCK)
		take_block(f, r->payload);
}
