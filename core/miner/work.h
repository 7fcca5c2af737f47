/* A job of the pool, and one unit's way through it. Knows nothing of sockets or threads. */
#ifndef OTD_MINER_WORK_H
#define OTD_MINER_WORK_H

#include <otedama/types.h>
#include <otedama/u256.h>
#include <stdatomic.h>

#define OTD_MINER_HEADER      80u
#define OTD_MINER_NONCE_AT    76u
#define OTD_MINER_EXTRANONCE  32u /* bytes of either part at most */
#define OTD_MINER_BRANCHES    64u
#define OTD_MINER_COINBASE    (256u << 10)
#define OTD_MINER_ROLL_TIME_S 7000 /* past the pool's time, where extranonces run out */

/* Does not change once it is shared, but for the counters. */
struct otd_miner_job {
	_Atomic int refs;
	uint64_t session, serial;
	char id[64];
	char difficulty[40]; /* as the pool wrote it */
	struct otd_u256 target, network;
	uint32_t version, nbits, time_s, mask;
	uint8_t prev[32];
	uint8_t *coinbase; /* 1, extranonce1, room for extranonce2, 2 */
	size_t coinbase_len, extranonce2_at;
	uint32_t extranonce2_len;
	uint8_t (*branch)[32];
	uint32_t n_branches;
	uint64_t first_extranonce2; /* of this job: where the session's count stood */
	_Atomic uint64_t next_extranonce2;
};

/* What a notify says, in the pool's words decoded. */
struct otd_miner_notify {
	const char *id;
	struct otd_span coinbase1, coinbase2, extranonce1;
	uint32_t extranonce2_len;
	const uint8_t (*branch)[32];
	uint32_t n_branches;
	uint8_t prev_wire[32]; /* as on the wire: bytes swapped in each word of four */
	uint32_t version, nbits, time_s, mask;
	uint64_t first_extranonce2;
};

/* NULL where memory ran out. One reference is the caller's. */
struct otd_miner_job *otd_miner_job_create(const struct otd_miner_notify *n);
struct otd_miner_job *otd_miner_job_ref(struct otd_miner_job *j);
void otd_miner_job_unref(struct otd_miner_job *j); /* takes NULL */

struct otd_miner_work {
	uint8_t header[OTD_MINER_HEADER]; /* its nonce is free */
	uint8_t extranonce2[OTD_MINER_EXTRANONCE];
	uint32_t time_s;
	uint32_t version;
	uint32_t version_step; /* patterns of the mask used up with this extranonce2 */
	uint8_t *coinbase;     /* scratch of coinbase_len bytes */
};

/* Starts on an extranonce2 that nobody else has. OTD_E_STALE: the job is used up. */
otd_rc otd_miner_work_begin(struct otd_miner_work *w, struct otd_miner_job *j);
/* The nonces are used up: other version bits, or the next extranonce2. OTD_E_STALE as above. */
otd_rc otd_miner_work_next(struct otd_miner_work *w, struct otd_miner_job *j);
void otd_miner_work_finish(struct otd_miner_work *w);

/* BIP 310: step-th combination of the bits of mask, none of them for 0. */
uint32_t otd_miner_version_roll(uint32_t version, uint32_t mask, uint32_t step);

#endif
