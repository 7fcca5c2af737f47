/*
 * Hashes headers by the algorithm plugin that the host gives, whichever that is, and compares. A card or an
 * ASIC would be asked here instead, and what it finds hashed once more by algo->ops: a result that the
 * host gets has been confirmed.
 */
#include "scan.h"

#include <string.h>

static void put_nonce(const struct otd_algo_info *info, uint8_t *header, uint64_t nonce)
{
	for (uint32_t i = 0; i < info->nonce_len; i++) {
		uint32_t at = info->nonce_be ? info->nonce_len - 1 - i : i;
		header[info->nonce_offset + at] = (uint8_t)(nonce >> (8 * i));
	}
}

/* Whether hash is at most target, both with their least significant byte first. */
static bool meets(const uint8_t hash[32], const uint8_t target[32])
{
	for (int i = 31; i >= 0; i--) {
		if (hash[i] != target[i])
			return hash[i] < target[i];
	}
	return true;
}

static bool stopped(const struct otd_algo_scan *s)
{
	return s->stop && __atomic_load_n(s->stop, __ATOMIC_RELAXED);
}

otd_rc search(struct search *u, struct otd_algo_scan *s, uint64_t count)
{
	const struct otd_hw_algo *a = u->algo;
	s->done = 0;
	s->n_found = 0;
	while (s->done < count && s->n_found < s->found_cap && !stopped(s)) {
		uint64_t left = count - s->done, nonce = s->first + s->done;
		uint32_t n = left < BATCH ? (uint32_t)left : BATCH;
		otd_rc rc;
		for (uint32_t i = 0; i < n; i++) {
			memcpy(u->header[i], s->header.ptr, s->header.len);
			put_nonce(&u->info, u->header[i], nonce + i);
			u->item[i] = (struct otd_algo_item){
				.header = {u->header[i], s->header.len},
				.height = s->height,
				.nonce = nonce + i,
				.seed = s->seed,
			};
		}
		rc = a->ops->hash_batch(a->algo, u->scratch, u->item, sizeof(u->item[0]), n);
		if (rc)
			return rc;
		/* A full list ends the search at that nonce: the next call begins behind it. */
		for (uint32_t i = 0; i < n && s->n_found < s->found_cap; i++) {
			s->done++;
			if (!u->item[i].rc && meets(u->item[i].hash, s->target))
				s->found[s->n_found++] = nonce + i;
		}
	}
	return OTD_OK;
}
