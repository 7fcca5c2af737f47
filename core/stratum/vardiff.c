/* Difficulty of a session, see stratum/vardiff.h. */
#include "stratum/vardiff.h"

#define QUICK_SHARES  8
#define QUICK_FACTOR  8
#define WINDOW_SHARES 32
#define WINDOW_AIMS   32
#define IDLE_AIMS     8
#define STEP_MAX      20 /* doublings in one jump */

static bool easier(struct otd_u256 a, struct otd_u256 b)
{
	return otd_u256_cmp(a, b) > 0;
}

static struct otd_u256 clamp(const struct otd_vardiff *v, struct otd_u256 t)
{
	if (easier(t, v->min))
		return v->min;
	return easier(v->max, t) ? v->max : t;
}

static void window_start(struct otd_vardiff *v, int64_t now_ms)
{
	v->since_ms = v->last_ms = now_ms;
	v->shares = 0;
}

void otd_vardiff_init(struct otd_vardiff *v, struct otd_u256 start, struct otd_u256 min,
		      struct otd_u256 max, int64_t aim_ms, bool fixed, int64_t now_ms)
{
	v->min = min;
	v->max = easier(max, min) ? min : max;
	v->target = v->start = clamp(v, start);
	v->floor = (struct otd_u256){0};
	v->aim_ms = aim_ms > 0 ? aim_ms : 10000;
	v->fixed = fixed;
	window_start(v, now_ms);
}

void otd_vardiff_limits(struct otd_vardiff *v, struct otd_u256 start, struct otd_u256 min,
			struct otd_u256 max, int64_t aim_ms, bool fixed, int64_t now_ms)
{
	struct otd_vardiff old = *v;
	bool at_start = otd_u256_cmp(old.target, old.start) == 0;

	otd_vardiff_init(v, start, min, max, aim_ms, fixed, now_ms);
	if (!otd_u256_is_zero(old.floor)) {
		v->floor = old.floor;
		v->min = clamp(v, old.floor);
	}
	v->target = clamp(v, fixed && at_start ? v->start : old.target);
}

/* floor(log2(a / b)), 0 for less than 2. */
static unsigned doublings(uint64_t a, uint64_t b)
{
	unsigned n = 0;

	while (n < STEP_MAX && a / 2 >= b) {
		a /= 2;
		n++;
	}
	return n;
}

static bool harder_by(struct otd_vardiff *v, unsigned n)
{
	struct otd_u256 t = clamp(v, otd_u256_shr(v->target, n));
	bool moved = otd_u256_cmp(t, v->target) != 0;

	v->target = t;
	return moved;
}

static bool easier_by(struct otd_vardiff *v, unsigned n)
{
	struct otd_u256 t = otd_u256_max();

	if (otd_u256_bits(v->target) + n <= 256)
		t = otd_u256_shl(v->target, n);
	t = clamp(v, t);
	bool moved = otd_u256_cmp(t, v->target) != 0;
	v->target = t;
	return moved;
}

enum otd_vardiff_step otd_vardiff_share(struct otd_vardiff *v, int64_t now_ms)
{
	int64_t took = now_ms - v->since_ms;
	uint64_t took_ms = took > 0 ? (uint64_t)took : 1;

	v->last_ms = now_ms;
	v->shares++;
	if (v->fixed)
		return OTD_VARDIFF_STAY;
	uint64_t wanted_ms = (uint64_t)v->shares * (uint64_t)v->aim_ms;
	bool quick = v->shares >= QUICK_SHARES && wanted_ms > QUICK_FACTOR * took_ms;
	if (!quick && v->shares < WINDOW_SHARES)
		return OTD_VARDIFF_STAY;
	unsigned n = doublings(wanted_ms, took_ms);
	window_start(v, now_ms);
	if (!n || !harder_by(v, n))
		return OTD_VARDIFF_STAY;
	return quick ? OTD_VARDIFF_JUMP : OTD_VARDIFF_RAISE;
}

void otd_vardiff_early(struct otd_vardiff *v, int64_t now_ms)
{
	v->last_ms = now_ms;
	/* The window begins with the first share that belongs to it. */
	if (!v->shares)
		v->since_ms = now_ms;
}

enum otd_vardiff_step otd_vardiff_tick(struct otd_vardiff *v, int64_t now_ms)
{
	int64_t took = now_ms - v->since_ms;
	bool idle = now_ms - v->last_ms >= IDLE_AIMS * v->aim_ms;

	if (v->fixed || (!idle && took < WINDOW_AIMS * v->aim_ms))
		return OTD_VARDIFF_STAY;
	/* Idle halves; a slow window lowers by all that it was too slow. */
	unsigned n =
		idle ? 1 : doublings((uint64_t)took, (uint64_t)v->shares * (uint64_t)v->aim_ms);
	window_start(v, now_ms);
	return n && easier_by(v, n) ? OTD_VARDIFF_CUT : OTD_VARDIFF_STAY;
}

void otd_vardiff_suggest(struct otd_vardiff *v, struct otd_u256 target, int64_t now_ms)
{
	v->target = clamp(v, target);
	window_start(v, now_ms);
}

void otd_vardiff_floor(struct otd_vardiff *v, struct otd_u256 target, int64_t now_ms)
{
	struct otd_u256 t = clamp(v, target);

	v->min = t;
	v->floor = target;
	if (easier(v->target, t))
		otd_vardiff_suggest(v, t, now_ms);
}
