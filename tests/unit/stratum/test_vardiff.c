/* Difficulty of a session, in simulated time: it finds the pace, holds it, and reacts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "stratum/vardiff.h"
#include "unit/pool/job_message.h"
#include <cmocka.h>

#define AIM 10000

static uint64_t seed;

/* A number of -ln(u) in 1/1024ths for uniform u: the time to the next share of a miner. */
static uint64_t exponential_1024(void)
{
	uint64_t u, n = 0;

	/* Geometric by coin flips of 1/64: close enough, and in integers. */
	do {
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		u = seed >> 58;
		n++;
	} while (u);
	return n * 16;
}

static unsigned log2_ratio(struct otd_u256 easy, struct otd_u256 hard)
{
	return otd_u256_bits(easy) - otd_u256_bits(hard);
}

struct run {
	struct otd_vardiff v;
	int64_t now;
	unsigned raises, jumps, cuts, shares;
};

static void count(struct run *r, enum otd_vardiff_step s)
{
	r->raises += s == OTD_VARDIFF_RAISE;
	r->jumps += s == OTD_VARDIFF_JUMP;
	r->cuts += s == OTD_VARDIFF_CUT;
}

/* A miner that at difficulty 1 finds a share each ms_at_1 on average. */
static void mine(struct run *r, int64_t ms_at_1_1024, int64_t duration)
{
	int64_t end = r->now + duration, tick = r->now + 2000;

	while (r->now < end) {
		unsigned doublings = log2_ratio(target_of("1"), r->v.target);
		uint64_t mean = (uint64_t)ms_at_1_1024 << doublings;
		int64_t next = r->now + (int64_t)(mean * exponential_1024() / 1024 / 1024);
		while (tick < next && tick < end) {
			struct otd_u256 before = r->v.target;
			count(r, otd_vardiff_tick(&r->v, tick));
			if (otd_u256_cmp(before, r->v.target))
				next = tick; /* draw anew: shares have no memory */
			r->now = tick;
			tick += 2000;
		}
		if (next > r->now && next < end) {
			r->shares++;
			count(r, otd_vardiff_share(&r->v, next));
		}
		r->now = next > r->now ? next : r->now;
	}
}

static void start(struct run *r, const char *difficulty)
{
	memset(r, 0, sizeof(*r));
	otd_vardiff_init(&r->v, target_of(difficulty), target_of("1"), target_of("1e12"), AIM,
			 false, 0);
}

static void finds_and_holds_the_pace(void **state)
{
	(void)state;
	for (seed = 1; seed <= 20; seed++) {
		struct run r;
		start(&r, "1");
		/* 300 times too fast: 33 ms a share at difficulty 1, 2^8 = 256 brings 8.5 s. */
		mine(&r, 33 * 1024, 600000);
		assert_true(r.jumps >= 1);
		assert_true(r.shares < 300); /* it does not flood */
		unsigned d = log2_ratio(target_of("1"), r.v.target);
		assert_in_range(d, 7, 10);
		r.raises = r.jumps = r.cuts = r.shares = 0;
		mine(&r, 33 * 1024, 36000000); /* ten hours */
		assert_in_range(r.shares, 1500, 8000);
		assert_true(r.raises + r.jumps + r.cuts < 80);
	}
}

static void a_faster_rig_is_followed_at_once(void **state)
{
	struct run r;

	(void)state;
	seed = 5;
	start(&r, "256");
	mine(&r, 40 * 1024, 600000);
	r.jumps = r.shares = 0;
	mine(&r, 1024, 60000); /* 40 times faster */
	assert_true(r.jumps >= 1);
	assert_true(r.shares < 120);
}

static void silence_halves(void **state)
{
	struct run r;

	(void)state;
	start(&r, "1024");
	for (int64_t t = 0; t <= 8 * AIM; t += 1000)
		count(&r, otd_vardiff_tick(&r.v, t));
	assert_int_equal(r.cuts, 1);
	assert_int_equal(otd_u256_cmp(r.v.target, target_of("512")), 0);
	for (int64_t t = 8 * AIM; t <= 800 * AIM; t += 1000)
		count(&r, otd_vardiff_tick(&r.v, t));
	assert_int_equal(otd_u256_cmp(r.v.target, target_of("1")), 0); /* the port's easiest */
	assert_int_equal(r.cuts, 10);
}

static void limits_hold(void **state)
{
	struct otd_vardiff v;

	(void)state;
	otd_vardiff_init(&v, target_of("1e-9"), target_of("8"), target_of("64"), 0, false, 0);
	assert_int_equal(otd_u256_cmp(v.target, target_of("8")), 0);
	otd_vardiff_suggest(&v, target_of("1e9"), 0);
	assert_int_equal(otd_u256_cmp(v.target, target_of("64")), 0);
	assert_int_equal(otd_vardiff_tick(&v, 80000), OTD_VARDIFF_CUT);
	otd_vardiff_floor(&v, target_of("40"), 80000);
	assert_int_equal(otd_u256_cmp(v.target, target_of("40")), 0);
	assert_int_equal(otd_vardiff_tick(&v, 800000), OTD_VARDIFF_STAY);
	otd_vardiff_suggest(&v, target_of("16"), 0);
	assert_int_equal(otd_u256_cmp(v.target, target_of("40")), 0);
	otd_vardiff_init(&v, target_of("16"), target_of("8"), target_of("64"), 0, true, 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(otd_vardiff_share(&v, i), OTD_VARDIFF_STAY);
	assert_int_equal(otd_u256_cmp(v.target, target_of("16")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_and_holds_the_pace),
		cmocka_unit_test(a_faster_rig_is_followed_at_once),
		cmocka_unit_test(silence_halves),
		cmocka_unit_test(limits_hold),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
