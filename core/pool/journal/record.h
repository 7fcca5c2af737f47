/*
 * What stands in journals. Payloads are these structs as they are (little-endian, packed by hand:
 * no padding), followed by the texts and bytes whose lengths they state, in the order of the
 * lengths.
 *
 * A share's id, by which it can be followed from socket to ledger, is EPOCH-SEQUENCE of its record.
 */
#ifndef OTD_POOL_RECORD_H
#define OTD_POOL_RECORD_H

#include <otedama/types.h>

enum otd_record_type {
	/* of a reactor */
	OTD_REC_WORKER = 1, /* defines a worker number of this epoch */
	OTD_REC_JOB = 2,    /* defines a job number */
	OTD_REC_SHARE = 3,
	OTD_REC_BLOCK = 4, /* the share with the sequence before met the network target */
	OTD_REC_REFUSED = 5,
	/* of the coordinator */
	OTD_REC_BATCH = 32,        /* these sequences of that epoch come next: the final order */
	OTD_REC_VERDICT = 33,      /* what became of a block */
	OTD_REC_TERMS = 34,        /* the fee of a pool, for blocks found from its time on */
	OTD_REC_ACCOUNT_TERMS = 35 /* the fee of one of its accounts, in the place of the pool's */
};

struct otd_rec_worker {
	uint32_t worker; /* number within the epoch */
	uint16_t pool_len, account_len, name_len;
	uint16_t scheme_len;
	/* pool name, account (the address as checked), worker name, payout scheme (none: the pool's
	   own) */
};

struct otd_rec_job {
	uint32_t job;
	uint16_t pool_len;
	uint16_t reserved;
	uint64_t height;
	uint8_t network_work[16]; /* unsigned, little-endian: expected hashes of a block (or of the
				     floor) */
				  /* pool name */
};

struct otd_rec_share {
	uint32_t worker;
	uint32_t job;
	int64_t time_ms;
	uint8_t work[16];   /* of the target it was judged by */
	uint8_t hash_le[8]; /* most significant 8 bytes of the hash, for explain */
};

struct otd_rec_block {
	uint32_t worker;
	uint32_t job;
	int64_t time_ms;
	uint64_t share_seq;
	uint64_t height;
	uint8_t value[16]; /* coinbase value, base units */
	uint8_t hash[32];  /* identity, little-endian */
	uint8_t prev[32];
	uint32_t header_len, coinbase_len;
	/* header, coinbase without witness */
};

struct otd_rec_refused {
	uint32_t worker;
	uint32_t reason; /* enum otd_share_verdict */
	uint64_t count;  /* since the last record of this kind */
	int64_t time_ms;
};

struct otd_rec_batch {
	uint64_t epoch, first, last;
};

enum otd_block_state {
	OTD_BLOCK_CANDIDATE = 1,  /* found, on our disk */
	OTD_BLOCK_SUBMITTED = 2,  /* on its way to nodes, no verdict yet */
	OTD_BLOCK_ACCEPTED = 3,   /* a node took it */
	OTD_BLOCK_CONFIRMING = 4, /* its hash is at its height */
	OTD_BLOCK_MATURE = 5,     /* deep enough: credits are final */
	OTD_BLOCK_ORPHANED =
		6 /* another is at its height, or it was rejected: credits are reversed */
};

struct otd_rec_verdict {
	uint64_t epoch, share_seq; /* names the block */
	uint32_t state;            /* enum otd_block_state */
	uint32_t confirmations;
	int64_t time_ms;
};

struct otd_rec_terms {
	int64_t time_ms;
	uint32_t fee_ppm;
	uint16_t pool_len;
	uint16_t reserved;
	/* pool name */
};

#define OTD_FEE_OF_POOL UINT32_MAX /* fee_ppm: the account has none of its own any more */

struct otd_rec_account_terms {
	int64_t time_ms;
	uint32_t fee_ppm;
	uint16_t pool_len, account_len;
	/* pool name, account; where others get of it: u16 how many, each {u32 ppm of the fee, u16
	   bytes, address}, in the order of their addresses */
};

_Static_assert(sizeof(struct otd_rec_worker) == 12, "on disk");
_Static_assert(sizeof(struct otd_rec_job) == 32, "on disk");
_Static_assert(sizeof(struct otd_rec_share) == 40, "on disk");
_Static_assert(sizeof(struct otd_rec_block) == 120, "on disk");
_Static_assert(sizeof(struct otd_rec_refused) == 24, "on disk");
_Static_assert(sizeof(struct otd_rec_batch) == 24, "on disk");
_Static_assert(sizeof(struct otd_rec_verdict) == 32, "on disk");
_Static_assert(sizeof(struct otd_rec_terms) == 16, "on disk");
_Static_assert(sizeof(struct otd_rec_account_terms) == 16, "on disk");

/* What a submit can come to. The names are those of metrics, journal and status. */
enum otd_share_verdict {
	OTD_SHARE_ACCEPTED = 0,
	OTD_SHARE_STALE = 1, /* job not found, or of an old tip */
	OTD_SHARE_DUPLICATE = 2,
	OTD_SHARE_LOW_DIFFICULTY = 3,
	OTD_SHARE_UNAUTHORIZED = 4,
	OTD_SHARE_NOT_SUBSCRIBED = 5,
	OTD_SHARE_MALFORMED = 6,   /* wrong sizes, not hex, wrong types */
	OTD_SHARE_TIME = 7,        /* ntime out of range */
	OTD_SHARE_VERSION = 8,     /* version bits outside of the mask */
	OTD_SHARE_UNAVAILABLE = 9, /* we could not keep it (disk): not the miner's fault */
	OTD_SHARE_VERDICTS = 10
};

const char *otd_share_verdict_name(enum otd_share_verdict v); /* "accepted", "stale", ... */
const char *otd_block_state_name(enum otd_block_state s);

#endif
