/*
 * The tips of a chain as its pool's reactors have seen them. They know the hashes of shares on the tip in force
 * and on the one before it, and forget those of older ones (pool/job.h): where a chain comes back to a tip that
 * was left two tips ago or more, shares of the first stay would count once more on the same work. So each such
 * stay has a number, which the coinbase bears: no hash of an earlier stay is of the work of a later one.
 */
#ifndef OTD_POOL_TIPS_H
#define OTD_POOL_TIPS_H

#include <stddef.h>
#include <stdint.h>

#define OTD_TIPS_SEEN 64

struct otd_tips {
	struct {
		uint8_t prev[32];
		uint32_t stay;
	} tip[OTD_TIPS_SEEN]; /* the last one first, each once */
	size_t n;
};

/* Work on prev comes now. Which stay it is; 0: the first, or its hashes are known still. */
uint32_t otd_tips_enter(struct otd_tips *t, const uint8_t prev[32]);

#endif
