/*
 * The difficulty of one session, so that its shares come at the pace of aim_ms. Integers only; it
 * moves by powers of two, and stays where the pace is between half and twice the aim. Pure: time
 * comes in as a number, what to send comes out.
 *
 * A larger target is easier. Rules, in shares since the last change and the time they took:
 *  - more than 8 times too fast after 8 shares: jump by the whole factor, at once;
 *  - after 32 shares: twice too fast or more raises;
 *  - after 32 aims: half too slow or less lowers;
 *  - no share for 8 aims halves, and again for every 8 aims.
 */
#ifndef OTD_STRATUM_VARDIFF_H
#define OTD_STRATUM_VARDIFF_H

#include <otedama/types.h>
#include <otedama/u256.h>

struct otd_vardiff {
	struct otd_u256 target;   /* wanted now */
	struct otd_u256 min, max; /* the easiest and the hardest: max is the smaller number */
	struct otd_u256 start;    /* of the port */
	struct otd_u256 floor;    /* that the miner asked for; zero: none */
	int64_t aim_ms;
	int64_t since_ms, last_ms; /* of the window; of the last share or step */
	uint32_t shares;           /* in the window */
	bool fixed;
};

enum otd_vardiff_step {
	OTD_VARDIFF_STAY = 0,
	OTD_VARDIFF_RAISE = 1, /* with the next job */
	OTD_VARDIFF_JUMP = 2,  /* raise now: it floods */
	OTD_VARDIFF_CUT = 3    /* now */
};

/* Moves start between min and max; where these contradict each other, max gives way. */
void otd_vardiff_init(struct otd_vardiff *v, struct otd_u256 start, struct otd_u256 min,
		      struct otd_u256 max, int64_t aim_ms, bool fixed, int64_t now_ms);
/* The port has other limits now. What was steered stays, moved between them; a fixed difficulty that
   was the port's start is its new one. */
void otd_vardiff_limits(struct otd_vardiff *v, struct otd_u256 start, struct otd_u256 min,
			struct otd_u256 max, int64_t aim_ms, bool fixed, int64_t now_ms);
/* An accepted share. */
enum otd_vardiff_step otd_vardiff_share(struct otd_vardiff *v, int64_t now_ms);
/* An accepted share at an easier difficulty than is wanted now: of before a raise, so its pace says
   nothing, but the miner is there. */
void otd_vardiff_early(struct otd_vardiff *v, int64_t now_ms);
/* Time goes by; every few seconds. */
enum otd_vardiff_step otd_vardiff_tick(struct otd_vardiff *v, int64_t now_ms);
/* What the miner asks for, moved between the limits; starts a new window. */
void otd_vardiff_suggest(struct otd_vardiff *v, struct otd_u256 target, int64_t now_ms);
/* No easier than this from now on (the limits of the port stay in force). */
void otd_vardiff_floor(struct otd_vardiff *v, struct otd_u256 target, int64_t now_ms);

#endif
