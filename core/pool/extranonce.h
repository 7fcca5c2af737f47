/*
 * Extranonce1 values of one pool on one reactor; see pool/reactor.h for their layout and for why no
 * value is used twice within the life of a job. [reactor]
 */
#ifndef OTD_POOL_EXTRANONCE_H
#define OTD_POOL_EXTRANONCE_H

#include <otedama/types.h>

#define OTD_EXTRANONCE_BITS 20 /* of the counter */

struct otd_extranonces {
	uint64_t *live; /* held by a session now */
	uint64_t *busy; /* held at any time since the tip in force came */
	uint64_t prefix;
	uint32_t first, end; /* values of this pool: two pools on one chain may have equal jobs */
	uint32_t len;
	uint32_t next;
};

/* len: bytes, 4 to 8. The values are divided among the n pools of the reactor: this is the part of
   pool number i. */
otd_rc otd_extranonces_init(struct otd_extranonces *x, uint32_t len, uint64_t epoch, size_t i,
			    size_t n);
void otd_extranonces_finish(struct otd_extranonces *x);
/* OTD_E_NOMEM: every value was used on this tip. */
otd_rc otd_extranonces_take(struct otd_extranonces *x, uint8_t *out);
void otd_extranonces_give(struct otd_extranonces *x, const uint8_t *en1);
/* A new tip: values that no session holds may be used again. */
void otd_extranonces_new_tip(struct otd_extranonces *x);

#endif
