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
	uint32_t len;
	uint32_t next;
};

/* len: bytes, 4 to 8. */
otd_rc otd_extranonces_init(struct otd_extranonces *x, uint32_t len, uint64_t epoch);
void otd_extranonces_finish(struct otd_extranonces *x);
/* OTD_E_NOMEM: every value was used on this tip. */
otd_rc otd_extranonces_take(struct otd_extranonces *x, uint8_t *out);
void otd_extranonces_give(struct otd_extranonces *x, const uint8_t *en1);
/* A new tip: values that no session holds may be used again. */
void otd_extranonces_new_tip(struct otd_extranonces *x);

#endif
