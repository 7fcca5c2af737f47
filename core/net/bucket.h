/*
 * A bounded table of token buckets, one a key of 16 bytes, each with a count beside it: who has how
 * many connections, and how fast they come. On one loop [coordinator].
 *
 * An entry that counts nothing and is full again is forgotten as room is wanted: nothing is lost by
 * it, and addresses that come once do not fill the table.
 */
#ifndef OTD_NET_BUCKET_H
#define OTD_NET_BUCKET_H

#include <otedama/types.h>

#define OTD_BUCKET_KEY     16
#define OTD_BUCKET_TOKEN   1000 /* kept in thousandths: one a millisecond and unit of rate */
#define OTD_BUCKET_MOST    (UINT32_MAX / OTD_BUCKET_TOKEN) /* the largest burst */
#define OTD_BUCKET_NOTHING UINT32_MAX

/* In the free list, count is the index of the next and at_ms is -1. */
struct otd_bucket {
	uint8_t key[OTD_BUCKET_KEY];
	uint32_t count;  /* the owner's: what stands now */
	uint32_t tokens; /* of OTD_BUCKET_TOKEN to one */
	int64_t at_ms;   /* when tokens was right */
};

/* How a bucket fills. */
struct otd_bucket_rate {
	uint32_t rate;  /* tokens a second */
	uint32_t burst; /* at most, 1 to OTD_BUCKET_MOST */
};

struct otd_buckets;

/* seed: 16 random bytes. max: keys at a time. NULL: out of memory. */
struct otd_buckets *otd_buckets_create(const uint8_t seed[16], uint32_t max);
void otd_buckets_destroy(struct otd_buckets *b); /* takes NULL */
/* From now on at most so many; no more than it was made for. */
void otd_buckets_limit(struct otd_buckets *b, uint32_t max);
/* By this an entry is full, where nothing else is said. */
void otd_buckets_usual(struct otd_buckets *b, struct otd_bucket_rate usual);
/* Filled up to now_ms by this rate; made, full, where it is missing. NULL: no room. Valid until the next
   call of this or otd_buckets_clear(). */
struct otd_bucket *otd_buckets_get(struct otd_buckets *b, const uint8_t key[OTD_BUCKET_KEY],
				   int64_t now_ms, struct otd_bucket_rate rate);
struct otd_bucket *otd_buckets_find(struct otd_buckets *b, const uint8_t key[OTD_BUCKET_KEY]);
/* Each entry once; *pos starts at 0. NULL: no more. */
struct otd_bucket *otd_buckets_next(struct otd_buckets *b, uint32_t *pos);
void otd_buckets_clear(struct otd_buckets *b);

static inline bool otd_bucket_has(const struct otd_bucket *e)
{
	return e->tokens >= OTD_BUCKET_TOKEN;
}

#endif
