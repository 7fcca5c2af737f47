/*
 * CRC-32C (Castagnoli), reflected polynomial 0x82f63b78: by the processor's instruction where it
 * has one, else eight bytes a step by tables that are computed at first use.
 */
#include "base/text.h"
#include <stdatomic.h>
#include <string.h>
#if defined(__aarch64__)
#include <arm_acle.h>
#include <sys/auxv.h>
#elif defined(__x86_64__)
#include <nmmintrin.h>
#endif

/* table[k][b]: the CRC of byte b followed by k zero bytes. */
static uint32_t table[8][256];

static void fill_table(void)
{
	for (uint32_t b = 0; b < 256; b++) {
		uint32_t c = b;
		for (int i = 0; i < 8; i++)
			c = c & 1 ? c >> 1 ^ 0x82f63b78u : c >> 1;
		table[0][b] = c;
	}
	for (int k = 1; k < 8; k++) {
		for (int b = 0; b < 256; b++)
			table[k][b] = table[k - 1][b] >> 8 ^ table[0][table[k - 1][b] & 0xff];
	}
}

static uint32_t crc_table(uint32_t crc, const uint8_t *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8) {
		uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
				      (uint32_t)p[3] << 24);
		crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^
		      table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^ table[3][p[4]] ^
		      table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	}
	for (; n; n--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_hardware(uint32_t crc, const uint8_t *p,
							       size_t n)
{
	uint64_t c = crc, w;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&w, p, 8);
		c = _mm_crc32_u64(c, w);
	}
	for (; n; n--)
		c = _mm_crc32_u8((uint32_t)c, *p++);
	return (uint32_t)c;
}

static bool have_hardware(void)
{
	return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__)
__attribute__((target("+crc"))) static uint32_t crc_hardware(uint32_t crc, const uint8_t *p,
							     size_t n)
{
	uint64_t w;
	for (; n >= 8; n -= 8, p += 8) {
		memcpy(&w, p, 8);
		crc = __crc32cd(crc, w);
	}
	for (; n; n--)
		crc = __crc32cb(crc, *p++);
	return crc;
}

static bool have_hardware(void)
{
	return (getauxval(AT_HWCAP) & (1ul << 7)) != 0; /* HWCAP_CRC32 */
}
#else
static uint32_t crc_hardware(uint32_t crc, const uint8_t *p, size_t n)
{
	return crc_table(crc, p, n);
}

static bool have_hardware(void)
{
	return false;
}
#endif

enum { UNKNOWN, TABLE, HARDWARE, FILLING };

uint32_t otd_crc32c(uint32_t crc, const void *p, size_t n)
{
	static _Atomic int path;
	int now = atomic_load_explicit(&path, memory_order_acquire);
	if (now == HARDWARE)
		return ~crc_hardware(~crc, p, n);
	while (now != TABLE) {
		int expected = UNKNOWN;
		if (have_hardware()) {
			atomic_store_explicit(&path, HARDWARE, memory_order_release);
			return ~crc_hardware(~crc, p, n);
		}
		if (atomic_compare_exchange_strong(&path, &expected, FILLING)) {
			fill_table();
			atomic_store_explicit(&path, TABLE, memory_order_release);
		}
		now = atomic_load_explicit(&path, memory_order_acquire);
	}
	return ~crc_table(~crc, p, n);
}
