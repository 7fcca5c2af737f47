/* Inside of the SHA-256 library: one table of kernels an instruction set. */
#ifndef OTD_BASE_SHA256_H
#define OTD_BASE_SHA256_H

#include <otedama/sha256.h>

struct otd_sha256_kernel {
	const char *name;    /* of OTEDAMA_SHA256 */
	const char *variant; /* for people */
	bool (*supported)(void);
	/* n whole blocks. */
	void (*blocks)(uint32_t state[8], const uint8_t *p, size_t n);
	void (*d80)(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n);
	void (*d64)(uint8_t *out, size_t out_stride, const uint8_t *in, size_t stride, size_t n);
	/*
	 * lanes nonces from first on, whose digests begin (as numbers) with a top word of at most
	 * top: a bit each, lowest nonce first. midstate: after the header's first 64 bytes; tail:
	 * its next three words as SHA-256 reads them.
	 */
	unsigned lanes; /* of one call of scan, at most 32 */
	uint32_t (*scan)(const uint32_t midstate[8], const uint32_t tail[3], uint32_t first,
			 uint32_t top);
	/* As otd_sha256d_fold() and otd_sha256d_tails(); NULL: by blocks and d64. */
	void (*fold)(uint8_t *roots, size_t stride, const uint8_t (*branches)[32],
		     size_t n_branches, size_t n);
	void (*tails)(uint8_t *out, size_t out_stride, const uint32_t state[8],
		      const uint8_t *tails, size_t stride, size_t blocks, size_t n);
};

extern const struct otd_sha256_kernel otd_sha256_portable;
#if defined(__x86_64__)
extern const struct otd_sha256_kernel otd_sha256_wide_shani, otd_sha256_shani, otd_sha256_avx2,
	otd_sha256_avx512;
#elif defined(__aarch64__)
extern const struct otd_sha256_kernel otd_sha256_armce;
#endif

extern const uint32_t otd_sha256_k[64], otd_sha256_iv[8], otd_sha256_pad64[64];

/* What the processor and the system have (cpu.c: compiled for the least of them). */
bool otd_sha256_have_shani(void);
bool otd_sha256_have_avx2(void);
bool otd_sha256_have_avx512(void);
bool otd_sha256_have_armce(void);

/* The kernel in use, chosen at the first call. */
const struct otd_sha256_kernel *otd_sha256_kernel(void);
/* All that this build has, fastest first; NULL past the end. For tests. */
const struct otd_sha256_kernel *otd_sha256_kernel_at(size_t i);
/* For tests: k from now on. NULL: choose again, the environment included. */
void otd_sha256_use(const struct otd_sha256_kernel *k);

static inline uint32_t otd_sha256_load(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void otd_sha256_store(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

#endif
