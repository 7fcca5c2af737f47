/* Every SHA-256 kernel that this machine can run: known answers, each against the portable one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/sha256/sha256.h"
#include "base/text.h"

/* Bitcoin's first block */
static const char genesis[] = "01000000000000000000000000000000000000000000000000000000000000000000"
			      "00003ba3edfd7a7b12b27ac72c"
			      "3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c";
enum { GENESIS_NONCE = 2083236893 };

static uint64_t seed = 1;

static uint64_t next_random(void)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return seed >> 11;
}

static void fill(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)next_random();
}

static void check(const void *data, size_t n, const char *expect)
{
	uint8_t d[32];
	char hex[65];
	otd_sha256(d, data, n);
	otd_hex_encode(hex, d, 32);
	assert_string_equal(hex, expect);
}

/* FIPS 180-4 examples and NIST's short messages */
static void known_answers(void)
{
	check("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	check("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
	      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	char *million = malloc(1000000);
	memset(million, 'a', 1000000);
	check(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
	/* in pieces of every size */
	for (size_t piece = 1; piece < 200; piece += 13) {
		struct otd_sha256 s;
		uint8_t d[32], whole[32];
		otd_sha256_init(&s);
		for (size_t at = 0; at < 1500; at += piece)
			otd_sha256_update(&s, million + at, at + piece > 1500 ? 1500 - at : piece);
		otd_sha256_final(&s, d);
		otd_sha256(whole, million, 1500);
		assert_memory_equal(d, whole, 32);
	}
	free(million);
}

static void genesis_block(void)
{
	uint8_t header[80], d[32], again[32], target[32];
	char hex[65];
	size_t n;
	uint64_t found[4];
	uint32_t n_found;
	assert_int_equal(otd_hex_decode(header, 80, &n, genesis, 160), OTD_OK);
	otd_sha256d_80(d, 32, header, 80, 1);
	otd_hex_encode_reverse(hex, d, 32);
	assert_string_equal(hex,
			    "000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
	otd_sha256d(again, header, 80);
	assert_memory_equal(d, again, 32);
	/* found at exactly its own hash, not at one less */
	memcpy(target, d, 32);
	assert_int_equal(otd_sha256d_scan80(found, 4, &n_found, header, GENESIS_NONCE - 100, 200,
					    target, NULL),
			 200);
	assert_int_equal(n_found, 1);
	assert_int_equal(found[0], GENESIS_NONCE);
	target[0]--;
	assert_int_equal(otd_sha256d_scan80(found, 4, &n_found, header, GENESIS_NONCE - 100, 200,
					    target, NULL),
			 200);
	assert_int_equal(n_found, 0);
}

/* Batches of 0 to 40, strides wider than the input. */
static void batches_match_portable(const struct otd_sha256_kernel *k)
{
	uint8_t *in = malloc(40 * 90), out[41 * 40], expect[41 * 40];
	for (size_t n = 0; n <= 40; n++) {
		fill(in, 40 * 90);
		for (int is_80 = 0; is_80 < 2; is_80++) {
			size_t stride = n % 2 ? 90 : 80;
			memset(out, 0xee, sizeof(out));
			memset(expect, 0xee, sizeof(expect));
			(is_80 ? k->d80 : k->d64)(out, 40, in, stride, n);
			for (size_t i = 0; i < n; i++) {
				otd_sha256_use(&otd_sha256_portable);
				otd_sha256d(expect + 40 * i, in + stride * i, is_80 ? 80 : 64);
			}
			assert_memory_equal(out, expect, sizeof(out));
		}
	}
	free(in);
	uint32_t a[8], b[8];
	uint8_t data[64 * 9];
	for (size_t n = 0; n < 9; n++) {
		fill(data, sizeof(data));
		fill((uint8_t *)a, sizeof(a));
		memcpy(b, a, sizeof(a));
		k->blocks(a, data, n);
		otd_sha256_portable.blocks(b, data, n);
		assert_memory_equal(a, b, sizeof(a));
	}
}

/* Against single hashes of the portable kernel: 0 to 12 branches, 0 to 40 roots. */
static void folds_match_portable(const struct otd_sha256_kernel *k)
{
	uint8_t branches[12][32], roots[41 * 40], expect[41 * 40];
	for (size_t n = 0; n <= 40; n++) {
		size_t n_branches = next_random() % 13;
		fill(branches[0], sizeof(branches));
		fill(roots, sizeof(roots));
		memcpy(expect, roots, sizeof(roots));
		otd_sha256_use(k);
		otd_sha256d_fold(roots, 40, (const uint8_t(*)[32])branches, n_branches, n);
		otd_sha256_use(&otd_sha256_portable);
		for (size_t i = 0; i < n; i++) {
			for (size_t b = 0; b < n_branches; b++) {
				uint8_t pair[64];
				memcpy(pair, expect + 40 * i, 32);
				memcpy(pair + 32, branches[b], 32);
				otd_sha256d(expect + 40 * i, pair, 64);
			}
		}
		assert_memory_equal(roots, expect, sizeof(roots));
	}
}

/* Messages of 64 to 447 bytes of which the first block is the same. */
static void tails_match_portable(const struct otd_sha256_kernel *k)
{
	static uint8_t text[40][448];
	for (size_t n = 0; n <= 40; n++) {
		size_t len = 64 + next_random() % 384, blocks = (len - 64 + 9 + 63) / 64;
		uint8_t tails[40 * 448] = {0}, out[41 * 40], expect[41 * 40];
		struct otd_sha256 begun;
		fill(text[0], sizeof(text));
		memset(out, 0xee, sizeof(out));
		memset(expect, 0xee, sizeof(expect));
		otd_sha256_use(&otd_sha256_portable);
		otd_sha256_init(&begun);
		otd_sha256_update(&begun, text[0], 64);
		for (size_t i = 0; i < n; i++) {
			uint8_t *t = tails + 448 * i;
			memcpy(text[i], text[0], 64);
			otd_sha256d(expect + 40 * i, text[i], len);
			memcpy(t, text[i] + 64, len - 64);
			t[len - 64] = 0x80;
			t[64 * blocks - 2] = (uint8_t)(len * 8 >> 8);
			t[64 * blocks - 1] = (uint8_t)(len * 8);
		}
		otd_sha256_use(k);
		otd_sha256d_tails(out, 40, begun.state, tails, 448, blocks, n);
		assert_memory_equal(out, expect, sizeof(out));
	}
}

/* The nonces that one hash each finds, for any start and length, and when found is full. */
static void scan_matches_one_by_one(const struct otd_sha256_kernel *k)
{
	uint8_t header[80], target[32];
	for (int round = 0; round < 30; round++) {
		uint64_t expect[600], found[600];
		uint64_t first = round == 0 ? UINT32_MAX - 99 : next_random() & 0xffffffff;
		uint64_t count = 1 + next_random() % 500, n_expect = 0;
		uint32_t n_found, cap = round % 3 ? 600 : 1 + (uint32_t)(next_random() % 3);
		fill(header, 80);
		fill(target, 32);
		target[31] &= round % 2 ? 0x1f : 0x03;
		if (first + count > 1ULL << 32)
			count = (1ULL << 32) - first;
		uint64_t done_expect = count;
		for (uint64_t i = 0; i < count && n_expect < cap; i++) {
			uint8_t h[80], d[32];
			memcpy(h, header, 80);
			for (int j = 0; j < 4; j++)
				h[76 + j] = (uint8_t)((first + i) >> (8 * j));
			otd_sha256_portable.d80(d, 32, h, 80, 1);
			if (otd_u256_cmp(otd_u256_from_le(d), otd_u256_from_le(target)) <= 0) {
				expect[n_expect++] = first + i;
				if (n_expect == cap)
					done_expect = i + 1;
			}
		}
		otd_sha256_use(k);
		uint64_t done = otd_sha256d_scan80(found, cap, &n_found, header, first, count,
						   target, NULL);
		assert_int_equal(done, done_expect);
		assert_int_equal(n_found, n_expect);
		assert_memory_equal(found, expect, n_expect * sizeof(found[0]));
	}
}

static void scan_edges(void)
{
	uint8_t header[80] = {0}, target[32];
	uint64_t found[8];
	uint32_t n_found = 9, stop = 1;
	memset(target, 0xff, 32);
	assert_int_equal(otd_sha256d_scan80(found, 8, &n_found, header, 0, 1000, target, &stop), 0);
	assert_int_equal(n_found, 0);
	assert_int_equal(
		otd_sha256d_scan80(found, 8, &n_found, header, 1ULL << 32, 10, target, NULL), 0);
	assert_int_equal(otd_sha256d_scan80(found, 0, &n_found, header, 0, 10, target, NULL), 0);
	assert_int_equal(otd_sha256d_scan80(found, 8, &n_found, header, 5, 0, target, NULL), 0);
	/* every hash is a result; the range ends at 2^32, it does not wrap */
	assert_int_equal(
		otd_sha256d_scan80(found, 8, &n_found, header, UINT32_MAX - 2, 10, target, NULL),
		3);
	assert_int_equal(n_found, 3);
	assert_true(found[2] == UINT32_MAX);
	/* zero is a target that nothing meets */
	memset(target, 0, 32);
	stop = 0;
	assert_int_equal(otd_sha256d_scan80(found, 8, &n_found, header, 0, 9000, target, &stop),
			 9000);
	assert_int_equal(n_found, 0);
}

static void every_kernel(void **state)
{
	unsigned ran = 0;
	const struct otd_sha256_kernel *k;
	(void)state;
	for (size_t i = 0; (k = otd_sha256_kernel_at(i)); i++) {
		if (!k->supported()) {
			print_message("%s: not on this processor\n", k->name);
			continue;
		}
		print_message("%s\n", k->variant);
		otd_sha256_use(k);
		known_answers();
		genesis_block();
		scan_edges();
		batches_match_portable(k);
		folds_match_portable(k);
		tails_match_portable(k);
		otd_sha256_use(k);
		scan_matches_one_by_one(k);
		ran++;
	}
	assert_true(ran >= 1);
	otd_sha256_use(NULL);
}

/* The environment chooses; what it names wrongly or is not here does no harm. */
static void environment(void **state)
{
	const struct otd_sha256_kernel *k;
	(void)state;
	otd_sha256_use(NULL);
	unsetenv("OTEDAMA_SHA256");
	const struct otd_sha256_kernel *best = otd_sha256_kernel();
	for (size_t i = 0; (k = otd_sha256_kernel_at(i)); i++) {
		setenv("OTEDAMA_SHA256", k->name, 1);
		otd_sha256_use(NULL);
		assert_ptr_equal(otd_sha256_kernel(), k->supported() ? k : best);
		assert_string_equal(otd_sha256_variant(), otd_sha256_kernel()->variant);
	}
	static const char *const unknown[] = {"", "sse9", "PORTABLE"};
	for (size_t i = 0; i < 3; i++) {
		setenv("OTEDAMA_SHA256", unknown[i], 1);
		otd_sha256_use(NULL);
		assert_ptr_equal(otd_sha256_kernel(), best);
	}
	unsetenv("OTEDAMA_SHA256");
	otd_sha256_use(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kernel),
		cmocka_unit_test(environment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
