/*
 * The workers of a reactor: one number for each pool, payout scheme, account and worker name, under
 * which journal records speak of it. Bounded in number and in names an account. All [reactor].
 */
#ifndef OTD_POOL_WORKERS_H
#define OTD_POOL_WORKERS_H

#include "base/map.h"
#include "pool/journal/record.h"

#define OTD_WORKER_NAME_MAX    64  /* bytes of a worker's name */
#define OTD_WORKER_ACCOUNT_MAX 128 /* bytes of an account */

/* What was refused of a worker and is not yet on record. */
struct otd_worker_refused {
	struct otd_pool_worker *worker;
	struct otd_worker_refused *next;
	uint64_t count[OTD_SHARE_VERDICTS];
};

/* There is one for each miner's rig: small. */
struct otd_pool_worker {
	struct otd_pool_worker *next; /* of the same bucket */
	uint64_t stated;              /* journal segment in which its record stands; 0: none */
	uint64_t touched;             /* journal segment of its last share */
	struct otd_worker_refused *refused; /* NULL: nothing */
	uint32_t number;                    /* within the epoch; from 1 */
	uint32_t hash;
	uint32_t pool;
	uint32_t users; /* sessions that have it */
	uint8_t account_len, name_len;
	char text[]; /* account, name, scheme with its zero; "" means the pool's */
};

struct otd_workers {
	struct otd_pool_worker **buckets; /* by the hash of pool, scheme, account, name */
	size_t n_buckets;                 /* a power of two, or 0 */
	struct otd_map *accounts; /* pool, account: number of names; times ONLINE: with a session */
	struct otd_pool_worker **all;
	size_t n, cap, max;
	size_t idle;      /* of them, without a session */
	uint64_t segment; /* of the journal; the reactor counts it */
	uint32_t last_number;
	uint32_t names_an_account;
	struct otd_worker_refused *refused; /* list of those with any */
};

static inline struct otd_span otd_worker_account(const struct otd_pool_worker *w)
{
	struct otd_span s = {(const uint8_t *)w->text, w->account_len};
	return s;
}

static inline struct otd_span otd_worker_name(const struct otd_pool_worker *w)
{
	struct otd_span s = {(const uint8_t *)w->text + w->account_len, w->name_len};
	return s;
}

static inline const char *otd_worker_scheme(const struct otd_pool_worker *w)
{
	return w->text + w->account_len + w->name_len;
}

/* seed: 16 random bytes. */
otd_rc otd_workers_init(struct otd_workers *ws, const uint8_t seed[16], size_t max,
			uint32_t names_an_account);
void otd_workers_finish(struct otd_workers *ws);
/*
 * The worker of these names, made where it is new. Each success is paired
 * with one close. Workers without a session are forgotten once there are too many, numbers never
 * come again. OTD_E_RANGE: a name is too long; OTD_E_NOMEM: too many workers, or names of this
 * account.
 */
otd_rc otd_workers_open(struct otd_workers *ws, struct otd_pool_worker **out, uint32_t pool,
			const char *scheme, struct otd_span account, struct otd_span name);
void otd_workers_close(struct otd_workers *ws, struct otd_pool_worker *w); /* takes NULL */
/* How many workers of this account have a session, this one among them whether it has one or not. */
size_t otd_workers_online(const struct otd_workers *ws, uint32_t pool, const char *scheme,
			  struct otd_span account, struct otd_span name);
/* Counts one, and puts the worker on the list of those whose record is due. Where memory is out, it is
   not put on record. */
void otd_workers_refused(struct otd_workers *ws, struct otd_pool_worker *w,
			 enum otd_share_verdict why);
/* Takes the first of that list off it: its record stands. */
void otd_workers_recorded(struct otd_workers *ws);

#endif
