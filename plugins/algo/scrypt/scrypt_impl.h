/*
 * Inside of algo/scrypt: the arithmetic of RFC 7914, lane by lane. A lane is one hash on its way:
 * its block B (128 * r * p bytes) and its table V (128 * r * n bytes), both in the scratch.
 */
#ifndef OTD_PLUGIN_SCRYPT_IMPL_H
#define OTD_PLUGIN_SCRYPT_IMPL_H

#include <otedama/types.h>

enum { SCRYPT_LANES_MAX = 6 };

struct scrypt_kernel {
	const char *name;    /* of OTEDAMA_SCRYPT */
	const char *variant; /* for people */
	uint32_t lanes;      /* that one call takes, at most SCRYPT_LANES_MAX */
	uint32_t lanes_min;  /* lanes come in this many */
	uint32_t r_max;      /* the largest r that it has code for */
	bool (*supported)(void);
	/*
	 * scryptROMix (RFC 7914, section 5) in place on n_lanes blocks of 128 * r bytes; v: a table
	 * of 128 * r * n bytes for each of the kernel's lanes (those past n_lanes may be used too);
	 * xy: 256 * r bytes. All aligned to 64.
	 */
	void (*romix)(uint8_t *const b[], uint32_t n_lanes, uint8_t *const v[], uint8_t *xy,
		      uint32_t n, uint32_t r);
};

extern const struct scrypt_kernel scrypt_portable;
#if defined(__x86_64__)
extern const struct scrypt_kernel scrypt_avx2;
/* Not in that file, which is compiled for processors that have it. */
bool scrypt_have_avx2(void);
#endif

/* All that this build has, fastest first; NULL past the end. */
const struct scrypt_kernel *scrypt_kernel_at(size_t i);
/* The one to use for blocks of r: the environment's OTEDAMA_SCRYPT where it fits, else the fastest. */
const struct scrypt_kernel *scrypt_kernel_choose(uint32_t r);

struct scrypt_conf {
	uint32_t n, r, p;
	uint32_t lanes; /* of one call: at most the kernel's */
	const struct scrypt_kernel *kernel;
};

/* What scrypt_hash() needs for conf. */
uint64_t scrypt_scratch_size(const struct scrypt_conf *c);

/* One text to hash and where its out_len bytes go. The salt is the text itself where salt is NULL. */
struct scrypt_job {
	struct otd_span text, salt;
	uint8_t *out;
	size_t out_len;
};

/* n_jobs <= c->lanes jobs at once. */
void scrypt_hash(const struct scrypt_conf *c, void *scratch, const struct scrypt_job *jobs,
		 uint32_t n_jobs);

#endif
