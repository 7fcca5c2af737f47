/* What the tests of payout plugins share: a host, a sink, random input and the properties that hold
   for every scheme. Include it behind the plugin's .c files. */
#ifndef PAYOUT_COMMON_TEST_PAYOUT_H
#define PAYOUT_COMMON_TEST_PAYOUT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <otedama/payout.h>

static char test_error[256];
static long test_allocated;  /* not freed yet */
static long test_fail_after; /* allocations until one fails; negative: never */
static const void *test_options;

static void *host_alloc(struct otd_host *h, size_t n)
{
	(void)h;
	if (test_fail_after == 0)
		return NULL;
	if (test_fail_after > 0)
		test_fail_after--;
	void *p = aligned_alloc(64, (n + 63) / 64 * 64);
	assert_non_null(p);
	memset(p, 0, n);
	test_allocated++;
	return p;
}

static void host_free(struct otd_host *h, void *p)
{
	(void)h;
	test_allocated -= p != NULL;
	free(p);
}

static void host_set_error(struct otd_host *h, const char *fmt, ...)
{
	va_list ap;
	(void)h;
	va_start(ap, fmt);
	vsnprintf(test_error, sizeof(test_error), fmt, ap);
	va_end(ap);
}

static const struct otd_host_core test_core = {
	.size = sizeof(test_core),
	.abi_major = OTD_ABI_MAJOR,
	.abi_minor = OTD_ABI_MINOR,
	.alloc = host_alloc,
	.free = host_free,
	.set_error = host_set_error,
};

static const struct otd_payout_ops *test_ops(void)
{
	return otd_plugin_v1()->ops.payout;
}

static struct otd_instance *test_create(void)
{
	struct otd_instance *in = NULL;
	assert_int_equal(otd_plugin_v1()->base->create(&in, NULL, &test_core, test_options),
			 OTD_OK);
	return in;
}

static void test_destroy(struct otd_instance *in)
{
	otd_plugin_v1()->base->destroy(in);
}

/* --- random input, the same on every machine --- */

static uint64_t test_seed = 1;

static uint64_t test_random(void)
{
	/* splitmix64 */
	uint64_t z = test_seed += 0x9e3779b97f4a7c15ULL;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

static uint64_t test_below(uint64_t n)
{
	return test_random() % n;
}

/* Of a random length in bits, so that small and large ones are as frequent. */
static otd_u128 test_work(unsigned max_bits)
{
	otd_u128 v = (otd_u128)test_random() << 64 | test_random();
	v >>= 128 - (1 + test_below(max_bits));
	return v ? v : 1;
}

/* --- what was credited --- */

enum { TEST_CREDITS = 65536 };

struct test_credits {
	struct {
		uint64_t account;
		otd_i128 amount;
	} credit[TEST_CREDITS];
	size_t n;
	otd_i128 sum;
};

static otd_rc test_credit(void *ctx, uint64_t account, otd_i128 amount)
{
	struct test_credits *c = ctx;
	assert_true(account != 0);
	assert_true(amount > 0);
	assert_true(c->n < TEST_CREDITS);
	c->credit[c->n].account = account;
	c->credit[c->n++].amount = amount;
	c->sum += amount;
	return OTD_OK;
}

static otd_i128 test_credited(const struct test_credits *c, uint64_t account)
{
	otd_i128 sum = 0;
	for (size_t i = 0; i < c->n; i++)
		sum += c->credit[i].account == account ? c->credit[i].amount : 0;
	return sum;
}

static void test_shares(struct otd_instance *in, const struct otd_payout_share *s, size_t n,
			int64_t time_ms, otd_u128 network_work)
{
	const struct otd_payout_batch b = {.size = sizeof(b),
					   .stride = sizeof(*s),
					   .shares = s,
					   .n = n,
					   .time_ms = time_ms,
					   .network_work = network_work};
	otd_rc rc = test_ops()->shares(in, &b);
	if (rc)
		fail_msg("shares: %s", test_error);
}

static void test_share(struct otd_instance *in, uint64_t account, otd_u128 work, int64_t time_ms,
		       otd_u128 network_work)
{
	const struct otd_payout_share s = {account, work};
	test_shares(in, &s, 1, time_ms, network_work);
}

/* Divides a block and checks that the credits are the amount. */
static void test_block(struct otd_instance *in, struct test_credits *c, uint64_t number,
		       uint64_t finder, otd_i128 amount, int64_t time_ms, otd_u128 network_work)
{
	const struct otd_payout_block b = {.size = sizeof(b),
					   .block = number,
					   .finder = finder,
					   .amount = amount,
					   .network_work = network_work,
					   .time_ms = time_ms,
					   .height = number};
	const struct otd_payout_sink sink = {.size = sizeof(sink), .ctx = c, .credit = test_credit};
	c->n = 0;
	c->sum = 0;
	otd_rc rc = test_ops()->block(in, &b, &sink);
	if (rc)
		fail_msg("block: %s", test_error);
	assert_true(c->sum == amount);
}

static bool test_same_credits(const struct test_credits *a, const struct test_credits *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (a->credit[i].account != b->credit[i].account ||
		    a->credit[i].amount != b->credit[i].amount)
			return false;
	}
	return true;
}

/* The caller's to free. */
static struct otd_buf test_snapshot(struct otd_instance *in)
{
	struct otd_buf b = {0};
	otd_rc rc = test_ops()->snapshot(in, &b);
	assert_int_equal(rc, OTD_E_RANGE);
	b.ptr = malloc(b.len + 1);
	b.ptr[b.len] = 0xa5;
	b.cap = b.len;
	assert_int_equal(test_ops()->snapshot(in, &b), OTD_OK);
	assert_int_equal(b.len, b.cap);
	assert_int_equal(b.ptr[b.len], 0xa5);
	return b;
}

static otd_rc test_restore(struct otd_instance *in, const uint8_t *p, size_t n)
{
	/* a block of its own, so that a read past its end is seen */
	uint8_t *exact = malloc(n ? n : 1);
	memcpy(exact, p, n);
	otd_rc rc = test_ops()->restore(in, (struct otd_span){exact, n});
	free(exact);
	return rc;
}

/* A random batch over accounts 1 .. accounts, none twice. Returns their number. */
static size_t test_batch(struct otd_payout_share *s, size_t max, uint64_t accounts, unsigned bits)
{
	size_t n = 1 + test_below(max);
	uint64_t account = 0;
	if (n > accounts)
		n = (size_t)accounts;
	for (size_t i = 0; i < n; i++) {
		uint64_t left = accounts - account - (n - i - 1);
		account += 1 + test_below(left < 8 ? left : 8);
		s[i] = (struct otd_payout_share){account, test_work(bits)};
	}
	return n;
}

static void test_shuffle(struct otd_payout_share *s, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t j = test_below(i);
		struct otd_payout_share t = s[i - 1];
		s[i - 1] = s[j];
		s[j] = t;
	}
}

/* --- properties of every scheme --- */

/*
 * The same batches in another order within, and through a snapshot and a fresh instance at random
 * points: the same credits and the same bytes; every block sums exactly.
 */
static void test_property_run(unsigned runs, unsigned steps, unsigned work_bits)
{
	static struct test_credits ca, cb;
	struct otd_payout_share s[32];
	for (unsigned run = 0; run < runs; run++) {
		struct otd_instance *a = test_create(), *b = test_create();
		uint64_t number = 0, accounts = 1 + test_below(60);
		int64_t time_ms = 1700000000000;
		otd_u128 network = test_work(work_bits + 4);
		for (unsigned step = 0; step < steps; step++) {
			size_t n = test_batch(s, 32, accounts, work_bits);
			uint64_t finder = s[test_below(n)].account;
			if (test_below(20) == 0)
				network = network / 2 + test_work(work_bits + 4) / 4 + 1;
			time_ms += (int64_t)test_below(60000);
			test_shares(a, s, n, time_ms, network);
			test_shuffle(s, n);
			test_shares(b, s, n, time_ms, network);
			if (test_below(8) == 0) {
				otd_i128 amount = test_below(10) ? (otd_i128)test_work(50) : 0;
				test_block(a, &ca, ++number, finder, amount, time_ms, network);
				test_block(b, &cb, number, finder, amount, time_ms, network);
				assert_true(test_same_credits(&ca, &cb));
			}
			uint64_t which = number ? 1 + test_below(number) : 0;
			if (which && test_ops()->orphan && test_below(10) == 0) {
				assert_int_equal(test_ops()->orphan(a, which), OTD_OK);
				assert_int_equal(test_ops()->orphan(b, which), OTD_OK);
			}
			if (which && test_ops()->mature && test_below(10) == 0) {
				assert_int_equal(test_ops()->mature(a, which), OTD_OK);
				assert_int_equal(test_ops()->mature(b, which), OTD_OK);
			}
			if (test_below(16) == 0) {
				struct otd_buf state = test_snapshot(b);
				test_destroy(b);
				b = test_create();
				assert_int_equal(test_restore(b, state.ptr, state.len), OTD_OK);
				struct otd_buf again = test_snapshot(a);
				assert_int_equal(again.len, state.len);
				assert_memory_equal(again.ptr, state.ptr, state.len);
				free(state.ptr);
				free(again.ptr);
			}
			otd_u128 wa, wb;
			uint64_t na, nb;
			assert_int_equal(test_ops()->round(a, &wa, &na), OTD_OK);
			assert_int_equal(test_ops()->round(b, &wb, &nb), OTD_OK);
			assert_true(wa == wb && na == nb);
		}
		test_destroy(a);
		test_destroy(b);
	}
	assert_int_equal(test_allocated, 0);
}

/* Damaged states: refused, or taken as what they say, byte for byte. Never read past their end. */
static void test_property_damage(unsigned runs)
{
	struct otd_payout_share s[16];
	static struct test_credits c;
	struct otd_instance *in = test_create();
	unsigned taken = 0;
	for (int i = 0; i < 12; i++) {
		size_t n = test_batch(s, 16, 20, 40);
		test_shares(in, s, n, 1000 * i, (otd_u128)1 << 50);
		if (i % 4 == 3)
			test_block(in, &c, 1 + (uint64_t)i, s[0].account, 5000, 1000 * i,
				   (otd_u128)1 << 50);
	}
	struct otd_buf state = test_snapshot(in);
	test_destroy(in);
	for (size_t n = 0; n < state.len; n++) {
		in = test_create();
		assert_int_not_equal(test_restore(in, state.ptr, n), OTD_OK);
		test_destroy(in);
	}
	uint8_t *bad = malloc(state.len + 1);
	memcpy(bad, state.ptr, state.len);
	bad[state.len] = 0;
	in = test_create();
	assert_int_equal(test_restore(in, bad, state.len + 1), OTD_E_CORRUPT);
	bad[4] ^= 2;
	assert_int_equal(test_restore(in, bad, state.len), OTD_E_VERSION);
	test_destroy(in);
	for (unsigned run = 0; run < runs; run++) {
		memcpy(bad, state.ptr, state.len);
		for (uint64_t k = 1 + test_below(3); k; k--)
			bad[test_below(state.len)] = (uint8_t)test_random();
		in = test_create();
		if (test_restore(in, bad, state.len) == OTD_OK) {
			struct otd_buf again = test_snapshot(in);
			assert_int_equal(again.len, state.len);
			assert_memory_equal(again.ptr, bad, state.len);
			free(again.ptr);
			taken++;
		}
		test_destroy(in);
	}
	assert_true(taken > 0); /* a changed amount of work is a state as good as another */
	free(bad);
	free(state.ptr);
	assert_int_equal(test_allocated, 0);
}

static otd_rc test_raw(struct otd_instance *in, uint64_t account, otd_u128 work, uint32_t stride,
		       int64_t time_ms, otd_u128 network_work)
{
	const struct otd_payout_share s = {account, work};
	const struct otd_payout_batch b = {.size = sizeof(b),
					   .stride = stride,
					   .shares = &s,
					   .n = 1,
					   .time_ms = time_ms,
					   .network_work = network_work};
	return test_ops()->shares(in, &b);
}

/* What no host gives, refused in words. */
static void test_property_misuse(void)
{
	enum { STRIDE = sizeof(struct otd_payout_share) };
	static struct test_credits c;
	const struct otd_payout_sink sink = {
		.size = sizeof(sink), .ctx = &c, .credit = test_credit};
	struct otd_instance *in = test_create();
	test_error[0] = '\0';
	assert_int_equal(test_raw(in, 0, 1, STRIDE, 1, 1), OTD_E_INVALID);
	assert_int_equal(test_raw(in, 1, 0, STRIDE, 1, 1), OTD_E_INVALID);
	assert_int_equal(test_raw(in, 1, 1, 8, 1, 1), OTD_E_INVALID);
	assert_true(test_error[0] != '\0');
	struct otd_payout_block b = {
		.size = sizeof(b), .block = 1, .finder = 1, .amount = -1, .network_work = 1};
	assert_int_equal(test_ops()->block(in, &b, &sink), OTD_E_INVALID);
	b.amount = 1;
	b.finder = 0;
	assert_int_equal(test_ops()->block(in, &b, &sink), OTD_E_INVALID);
	b.finder = 1;
	b.network_work = 0;
	assert_int_equal(test_ops()->block(in, &b, &sink), OTD_E_INVALID);
	/* a block though nobody has work: the finder's */
	test_block(in, &c, 1, 9, 77, 1, 1);
	assert_int_equal(c.n, 1);
	assert_true(test_credited(&c, 9) == 77);
	test_destroy(in);
	test_destroy(NULL);
	assert_int_equal(test_allocated, 0);
}

/* Every allocation fails once: an error, no leak, no crash. */
static void test_property_memory(void)
{
	static struct test_credits c;
	const struct otd_payout_sink sink = {
		.size = sizeof(sink), .ctx = &c, .credit = test_credit};
	struct otd_payout_share s[16];
	bool failed = true;
	for (long after = 0; failed; after++) {
		struct otd_instance *in = NULL;
		size_t n = test_batch(s, 16, 20, 40);
		const struct otd_payout_batch batch = {.size = sizeof(batch),
						       .stride = sizeof(*s),
						       .shares = s,
						       .n = n,
						       .time_ms = 1,
						       .network_work = 1000};
		const struct otd_payout_block block = {.size = sizeof(block),
						       .block = 1,
						       .finder = 1,
						       .amount = 1000,
						       .network_work = 1000,
						       .time_ms = 1};
		c.n = 0;
		test_fail_after = after;
		otd_rc rc = otd_plugin_v1()->base->create(&in, NULL, &test_core, test_options);
		if (!rc)
			rc = test_ops()->shares(in, &batch);
		if (!rc)
			rc = test_ops()->block(in, &block, &sink);
		failed = rc != OTD_OK;
		assert_true(rc == OTD_OK || rc == OTD_E_NOMEM);
		test_fail_after = -1;
		test_destroy(in);
		assert_int_equal(test_allocated, 0);
		assert_true(after < 100);
	}
}

#endif
