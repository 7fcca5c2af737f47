/*
 * SHA-256 kernels, a static library (libotedama-sha256) that host and plugins link. The fastest
 * path that the processor has is chosen at first use; the environment variable OTEDAMA_SHA256
 * (portable, sha-ni, sha-ni-vl, avx2, avx512, arm-ce) overrides it so that tests run every path.
 * All functions are [any-thread] and allocate nothing.
 */
#ifndef OTEDAMA_SHA256_H
#define OTEDAMA_SHA256_H

#include <otedama/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct otd_sha256 {
	uint32_t state[8];
	uint64_t n; /* bytes so far */
	uint8_t block[64];
};

void otd_sha256_init(struct otd_sha256 *s);
void otd_sha256_update(struct otd_sha256 *s, const void *data, size_t n);
void otd_sha256_final(struct otd_sha256 *s, uint8_t out[32]);
void otd_sha256(uint8_t out[32], const void *data, size_t n);
/* SHA-256 of the SHA-256. */
void otd_sha256d(uint8_t out[32], const void *data, size_t n);

/* out[i] = SHA-256d of the 80 bytes headers + i * stride; out digests are 32 bytes, out_stride
 * apart. */
void otd_sha256d_80(uint8_t *out, size_t out_stride, const uint8_t *headers, size_t stride,
		    size_t n);
/* out[i] = SHA-256d of the 64 bytes at pairs + i * stride: inner nodes of merkle trees. */
void otd_sha256d_64(uint8_t *out, size_t out_stride, const uint8_t *pairs, size_t stride, size_t n);
/*
 * Merkle roots, in place: each of the n roots (32 bytes, stride apart) becomes SHA-256d(root, branch) for
 * one branch after the other.
 */
void otd_sha256d_fold(uint8_t *roots, size_t stride, const uint8_t (*branches)[32],
		      size_t n_branches, size_t n);
/*
 * SHA-256d of n messages that begin alike: state is that of a struct otd_sha256 after the whole blocks of
 * their beginning; what follows, with its padding, are as many blocks each at tails + i * stride.
 */
void otd_sha256d_tails(uint8_t *out, size_t out_stride, const uint32_t state[8],
		       const uint8_t *tails, size_t stride, size_t blocks, size_t n);

/*
 * Searches 32-bit little-endian nonces at byte 76 of an 80-byte header for digests that, as
 * little-endian integers, are at most target. Stops early when found is full or *stop is not 0
 * (looked at every few thousand nonces; stop may be NULL). Returns how many nonces it tried.
 */
uint64_t otd_sha256d_scan80(uint64_t *found, uint32_t found_cap, uint32_t *n_found,
			    const uint8_t header[80], uint64_t first, uint64_t count,
			    const uint8_t target_le[32], const volatile uint32_t *stop);

/* The path in use: "sha-ni x4", "portable", ... */
const char *otd_sha256_variant(void);

#ifdef __cplusplus
}
#endif
#endif
