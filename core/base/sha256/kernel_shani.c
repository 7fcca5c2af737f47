/* SHA-256 with the SHA extensions of x86-64. */
#include "base/sha256/sha256.h"
#if defined(__x86_64__)
#include "base/sha256/shani.h"

const struct otd_sha256_kernel otd_sha256_shani = {
	"sha-ni", "sha-ni x4", otd_sha256_have_shani, blocks, d80, d64, 32, scan, fold, tails};
#endif
