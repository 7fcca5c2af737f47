#include "miner/work.h"
#include <otedama/sha256.h>
#include <stdlib.h>
#include <string.h>

/* An empty span may have no address, which memcpy does not allow. */
static void put(uint8_t *to, struct otd_span s)
{
	if (s.len)
		memcpy(to, s.ptr, s.len);
}

struct otd_miner_job *otd_miner_job_create(const struct otd_miner_notify *n)
{
	struct otd_miner_job *j = calloc(1, sizeof(*j));
	uint8_t *p;
	if (!j)
		return NULL;
	atomic_init(&j->refs, 1);
	j->extranonce2_at = n->coinbase1.len + n->extranonce1.len;
	j->extranonce2_len = n->extranonce2_len;
	j->coinbase_len = j->extranonce2_at + n->extranonce2_len + n->coinbase2.len;
	j->coinbase = calloc(1, j->coinbase_len + 1);
	j->branch = calloc(n->n_branches + 1, 32);
	if (!j->coinbase || !j->branch) {
		otd_miner_job_unref(j);
		return NULL;
	}
	p = j->coinbase;
	put(p, n->coinbase1);
	put(p + n->coinbase1.len, n->extranonce1);
	put(p + j->extranonce2_at + n->extranonce2_len, n->coinbase2);
	if (n->n_branches)
		memcpy(j->branch, n->branch, (size_t)n->n_branches * 32);
	j->n_branches = n->n_branches;
	for (int i = 0; i < 32; i++)
		j->prev[i] = n->prev_wire[(i & ~3) + 3 - (i & 3)];
	for (size_t i = 0; n->id[i] && i < sizeof(j->id) - 1; i++)
		j->id[i] = n->id[i];
	j->version = n->version;
	j->nbits = n->nbits;
	j->time_s = n->time_s;
	j->mask = n->mask;
	j->first_extranonce2 = n->first_extranonce2;
	atomic_init(&j->next_extranonce2, n->first_extranonce2);
	if (otd_target_from_nbits(&j->network, n->nbits))
		j->network = otd_u256_zero();
	return j;
}

struct otd_miner_job *otd_miner_job_ref(struct otd_miner_job *j)
{
	atomic_fetch_add(&j->refs, 1);
	return j;
}

void otd_miner_job_unref(struct otd_miner_job *j)
{
	if (!j || atomic_fetch_sub(&j->refs, 1) > 1)
		return;
	free(j->coinbase);
	free(j->branch);
	free(j);
}

uint32_t otd_miner_version_roll(uint32_t version, uint32_t mask, uint32_t step)
{
	uint32_t bits = 0;
	for (uint32_t m = mask; m && step; step >>= 1) {
		uint32_t lowest = m & (~m + 1);
		if (step & 1)
			bits |= lowest;
		m &= ~lowest;
	}
	return version ^ bits;
}

static void put_le32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

/* The header for this extranonce2: coinbase hash, merkle root. */
static void build(struct otd_miner_work *w, const struct otd_miner_job *j)
{
	uint8_t pair[64];
	memcpy(w->coinbase, j->coinbase, j->coinbase_len);
	memcpy(w->coinbase + j->extranonce2_at, w->extranonce2, j->extranonce2_len);
	otd_sha256d(pair, w->coinbase, j->coinbase_len);
	for (uint32_t i = 0; i < j->n_branches; i++) {
		uint8_t up[32];
		memcpy(pair + 32, j->branch[i], 32);
		otd_sha256d(up, pair, sizeof(pair));
		memcpy(pair, up, sizeof(up));
	}
	put_le32(w->header, w->version);
	memcpy(w->header + 4, j->prev, 32);
	memcpy(w->header + 36, pair, 32);
	put_le32(w->header + 68, w->time_s);
	put_le32(w->header + 72, j->nbits);
	put_le32(w->header + OTD_MINER_NONCE_AT, 0);
}

static otd_rc next_extranonce2(struct otd_miner_work *w, struct otd_miner_job *j)
{
	uint64_t count = atomic_fetch_add(&j->next_extranonce2, 1), rounds = 0;
	uint32_t len = j->extranonce2_len, used = len < 8 ? len : 8;
	if (used < 8) {
		uint64_t room = (uint64_t)1 << (8 * used);
		/* Where they run out the time moves on by a second a round. */
		rounds = (count - j->first_extranonce2) / room;
		count %= room;
	}
	if (rounds > OTD_MINER_ROLL_TIME_S)
		return OTD_E_STALE;
	memset(w->extranonce2, 0, sizeof(w->extranonce2));
	for (uint32_t i = 0; i < used; i++)
		w->extranonce2[len - 1 - i] = (uint8_t)(count >> (8 * i));
	w->time_s = j->time_s + (uint32_t)rounds;
	w->version_step = 0;
	w->version = j->version;
	build(w, j);
	return OTD_OK;
}

otd_rc otd_miner_work_begin(struct otd_miner_work *w, struct otd_miner_job *j)
{
	otd_miner_work_finish(w);
	w->coinbase = malloc(j->coinbase_len + 1);
	return w->coinbase ? next_extranonce2(w, j) : OTD_E_NOMEM;
}

otd_rc otd_miner_work_next(struct otd_miner_work *w, struct otd_miner_job *j)
{
	uint32_t bits = (uint32_t)__builtin_popcount(j->mask);
	uint64_t patterns = (uint64_t)1 << bits;
	if ((uint64_t)w->version_step + 1 >= patterns)
		return next_extranonce2(w, j);
	w->version = otd_miner_version_roll(j->version, j->mask, ++w->version_step);
	put_le32(w->header, w->version);
	return OTD_OK;
}

void otd_miner_work_finish(struct otd_miner_work *w)
{
	free(w->coinbase);
	w->coinbase = NULL;
}
