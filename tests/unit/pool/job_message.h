/* Job messages for tests: the example of the Stratum documentation, and variations of it. */
#ifndef TESTS_UNIT_POOL_JOB_MESSAGE_H
#define TESTS_UNIT_POOL_JOB_MESSAGE_H

#include "base/text.h"
#include "pool/msg.h"
#include <otedama/u256.h>
#include <string.h>

#define SLUSH_COINBASE1                                                                  \
	"01000000010000000000000000000000000000000000000000000000000000000000000000ffff" \
	"ffff20020862062f503253482f04b8864e5008"
#define SLUSH_COINBASE2                                                                  \
	"072f736c7573682f000000000100f2052a010000001976a914d23fcdf86f7e756a64a7a9688ef9" \
	"903327048ed988ac00000000"
#define SLUSH_PREV_NOTIFY "4d16b6f85af6e2198f44ae2a6de67f78487ae5611b77c6c0440b921e00000000"
/* Of the header that these parts make: 32 zero bits, as a share of difficulty 1 must have. */
#define SLUSH_HASH "000000002076870fe65a2b6eeed84fa892c0db924f1482243a6247d931dcab32"

struct job_spec {
	uint32_t pool, job, flags;
	struct otd_u256 block_target;
	uint8_t prev_salt; /* 0: the documentation's tip */
	uint32_t n_branches;
	uint32_t version_mask; /* 0: all of the usual bits */
	int64_t time_s, min_time_s;
};

static inline struct otd_u256 target_of(const char *difficulty)
{
	static const uint8_t one[32] = {0, 0, 0, 0, 0xff, 0xff};
	struct otd_u256 t = otd_u256_zero();
	if (otd_difficulty_parse(&t, difficulty, strlen(difficulty), otd_u256_from_be(one)))
		return otd_u256_zero();
	return t;
}

static inline struct otd_msg *job_message(const struct job_spec *spec)
{
	uint8_t c1[128], c2[128], word[32];
	uint8_t branches[32 * 32];
	size_t n1 = 0, n2 = 0, n = 0;
	struct otd_msg *m =
		otd_msg_create(OTD_MSG_JOB, 0, sizeof(struct otd_msg_job), 256 + sizeof(branches));
	struct otd_msg_job *j = (struct otd_msg_job *)m;

	if (otd_hex_decode(c1, sizeof(c1), &n1, SLUSH_COINBASE1, strlen(SLUSH_COINBASE1)) ||
	    otd_hex_decode(c2, sizeof(c2), &n2, SLUSH_COINBASE2, strlen(SLUSH_COINBASE2)) ||
	    otd_hex_decode(word, sizeof(word), &n, SLUSH_PREV_NOTIFY, strlen(SLUSH_PREV_NOTIFY)))
		return NULL;
	j->pool = spec->pool;
	j->job = spec->job;
	j->flags = spec->flags;
	j->version = 2;
	j->nbits = 0x1c2ac4af;
	j->version_mask = spec->version_mask ? spec->version_mask : 0x1fffe000;
	j->height = 1234;
	j->time_s = spec->time_s ? spec->time_s : 0x504e86ed;
	j->min_time_s = spec->min_time_s ? spec->min_time_s : 0x504e86ed - 600;
	for (int i = 0; i < 32; i++)
		j->prev[i] = word[(i & ~3) + 3 - (i & 3)];
	j->prev[0] ^= spec->prev_salt;
	otd_u256_to_le(j->block_target, spec->block_target);
	j->network_work[0] = 1;
	j->value[3] = 1;
	j->extranonce1_len = 4;
	j->extranonce2_len = 4;
	memset(branches, 0x5a, sizeof(branches));
	j->coinbase1 = otd_msg_put(m, c1, n1);
	j->coinbase2 = otd_msg_put(m, c2, n2);
	j->branches = otd_msg_put(m, branches, 32 * spec->n_branches);
	return m;
}

#endif
