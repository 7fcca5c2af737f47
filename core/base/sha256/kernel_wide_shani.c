/* The same with AVX-512VL beside it: four streams need more than 16 registers, and here are 32. */
#include "base/sha256/sha256.h"
#if defined(__x86_64__)
#include "base/sha256/shani.h"

static bool supported(void)
{
	return otd_sha256_have_shani() && otd_sha256_have_avx512();
}

const struct otd_sha256_kernel otd_sha256_wide_shani = {
	"sha-ni-vl", "sha-ni x4, 32 registers", supported, blocks, d80, d64, 32, scan, fold, tails};
#endif
