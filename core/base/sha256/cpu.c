/* Which instruction sets are here. Apart from the kernels, whose files use them throughout. */
#include "base/sha256/sha256.h"
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#if defined(__x86_64__)
bool otd_sha256_have_shani(void)
{
	unsigned a, b, c, d;
	/* leaf 7, EBX bit 29; gcc 12 has no name for it in __builtin_cpu_supports() */
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1) &&
	       __builtin_cpu_supports("ssse3") && __builtin_cpu_supports("sse4.1");
}

bool otd_sha256_have_avx2(void)
{
	return __builtin_cpu_supports("avx2");
}

bool otd_sha256_have_avx512(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
	       __builtin_cpu_supports("avx512vl");
}
#elif defined(__aarch64__)
bool otd_sha256_have_armce(void)
{
	return (getauxval(AT_HWCAP) & (1ul << 6)) != 0; /* HWCAP_SHA2 */
}
#endif
