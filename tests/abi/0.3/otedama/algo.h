/*
 * Kind "algo/1": a hashing algorithm. It turns headers into hashes and knows nothing of pools,
 * targets of shares, or coins. The host compares hash and target.
 */
#ifndef OTEDAMA_ALGO_H
#define OTEDAMA_ALGO_H

#include <otedama/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

enum otd_algo_identity {
	OTD_ALGO_ID_POW = 0,    /* the block is named by its proof-of-work hash */
	OTD_ALGO_ID_SHA256D = 1 /* the block is named by SHA-256d of its header */
};

enum otd_algo_flag {
	OTD_ALGO_HUGE_PAGES = 1u << 0,   /* scratch gains from huge pages */
	OTD_ALGO_NEEDS_HEIGHT = 1u << 1, /* item.height is used */
	OTD_ALGO_NEEDS_SEED = 1u << 2,   /* item.seed is used, prepare() comes first */
	OTD_ALGO_HAS_MIX = 1u << 3       /* item.mix is used */
};

/* Facts that do not change during the life of an instance. */
struct otd_algo_info {
	uint32_t size;
	uint32_t flags;         /* enum otd_algo_flag */
	uint32_t header_len;    /* bytes of a header with its nonce, 80 for Bitcoin's */
	uint32_t nonce_offset;  /* where in the header the nonce stands */
	uint32_t nonce_len;     /* 4 or 8 */
	uint32_t nonce_be;      /* 1: most significant byte first */
	uint32_t identity;      /* enum otd_algo_identity */
	uint32_t batch_hint;    /* items a call at which the speed levels off; at least 1 */
	uint64_t scratch_size;  /* bytes that the host gives to each thread that hashes; may be 0 */
	uint32_t scratch_align; /* power of two, 0 means 64 */
	uint32_t reserved;
	uint8_t diff1[32];   /* target of difficulty 1, most significant byte first */
	const char *variant; /* the code path in use: "sha-ni x4", for people */
};

/*
 * One hash to compute. The caller owns it and everything it points to. Arrays cross with a stride,
 * so that the struct can grow.
 */
struct otd_algo_item {
	struct otd_span header; /* header_len bytes, the nonce in its place */
	uint64_t height;
	uint64_t nonce;           /* for algorithms whose nonce is not part of header */
	struct otd_span seed;     /* 32 bytes, or empty */
	struct otd_span solution; /* or empty */
	uint8_t mix[32];          /* in: as claimed; out: as computed */
	uint8_t hash[32];         /* out: 256-bit integer, least significant byte first */
	otd_rc rc;                /* out: of this item alone */
	uint32_t reserved;
};

/* A search for nonces. The plugin varies the nonce only; everything else is as given. */
struct otd_algo_scan {
	uint32_t size, reserved;
	struct otd_span header; /* its nonce bytes are ignored */
	uint64_t height;
	struct otd_span seed;
	uint64_t first, count; /* nonces first .. first + count - 1; they do not wrap */
	uint8_t target[32];    /* least significant byte first; a hash at most this is a result */
	/* Not 0: return soon. Another thread writes it: read it as a relaxed atomic. May be NULL. */
	const volatile uint32_t *stop;
	uint64_t *found; /* room for found_cap nonces */
	uint32_t found_cap;
	uint32_t n_found; /* out; the scan returns early once found is full */
	uint64_t done;    /* out: nonces really tried, counted from first */
};

struct otd_algo_ops {
	uint32_t size, reserved;
	/* [any-thread] */
	otd_rc (*info)(struct otd_instance *in, struct otd_algo_info *out);
	/* n items, stride bytes apart; scratch is this thread's own. Fails as a whole only on
	   misuse; an item that cannot be hashed says so in its rc. [compute, reentrant] */
	otd_rc (*hash_batch)(struct otd_instance *in, void *scratch, struct otd_algo_item *items,
			     size_t stride, size_t n);
	/* Optional: NULL, and the host searches with hash_batch. [compute, reentrant] */
	otd_rc (*scan)(struct otd_instance *in, void *scratch, struct otd_algo_scan *scan);
	/* Optional: work ahead for the epoch of height and seed, one slice of some milliseconds a
	   call: OTD_E_BUSY asks for another, OTD_OK says it is ready. Repeating it is harmless.
	   [compute] */
	otd_rc (*prepare)(struct otd_instance *in, uint64_t height, struct otd_span seed);
};

/* A known answer. Hex has no prefix; hash is as people write it, most significant byte first. */
struct otd_algo_vector {
	const char *header;  /* hex */
	const char *hash;    /* hex of 64 digits */
	const char *seed;    /* hex or NULL */
	const char *mix;     /* hex or NULL */
	const char *options; /* YAML flow mapping of the options it holds for; NULL: the defaults */
	const char *source;  /* where the number comes from */
	uint64_t height;
	uint64_t nonce;
	uint32_t real_block; /* 1: a block of a public chain */
	uint32_t reserved;
};

#ifdef __cplusplus
}
#endif
#endif
