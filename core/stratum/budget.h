/*
 * How many refused shares the workers of an address may send: the host's own rule, where no script has
 * answered on_offence. Inside of core/stratum. [reactor]
 *
 * It counts by worker and address together (so nobody's name is worth less for what others send under
 * it), and by the address where it comes to a ban of it: that is done only where more of its workers are
 * over their budget than send good shares, so that a farm behind one address keeps what is good of it.
 * Kept as long as the window is, beyond the end of a connection; a worker that sends nothing wrong is not in
 * here at all.
 *
 * Reactors share no memory: each counts, and tells the others in words (struct otd_budget_word) each time
 * that it has counted another part of a budget, 1 of 8 divided by the reactors. So all of them together
 * let through at most an eighth more than the budget, and what is on its way. Nothing is told of who sends
 * nothing wrong.
 */
#ifndef OTD_STRATUM_BUDGET_H
#define OTD_STRATUM_BUDGET_H

#include "base/env.h"
#include "base/map.h"
#include "pool/reactor/reactor.h"

#define OTD_BUDGET_MAX 32768 /* workers and addresses in a window, each */
/* Workers of an address over their budget before it is banned, and no more than so many are counted: an
   address with that many good ones is never banned by this rule. */
#define OTD_BUDGET_PLACE_LEAST 3
#define OTD_BUDGET_PLACE_MOST  16
/* Beyond a budget, what reactors together may let through: 1 part of so many. */
#define OTD_BUDGET_BEYOND   8u
#define OTD_BUDGET_REACTORS 64 /* that may tell of an address */
/* An address is not banned sooner after its first worker over its budget, where there are other reactors:
   so long they have to say whom they know there. */
#define OTD_BUDGET_ASK_MS 1000

/* Flags of a word. */
enum {
	OTD_WORD_OVER = 1,    /* it is over its budget; kept_out_ms 0: it may come again */
	OTD_WORD_COUNTED = 2, /* one more of its address is */
	OTD_WORD_PLACE = 4,   /* workers is told */
	OTD_WORD_ANSWER = 8   /* nobody answers it */
};

struct otd_budget_conf {
	uint32_t shares;   /* refused in a window that are too many; 0: never */
	uint32_t part_ppm; /* and that part of all of its shares */
	int64_t window_ms;
	int64_t ban_ms; /* 0: connections are closed, nobody is kept out */
};

/* A worker at an address. */
struct otd_rig {
	struct otd_place *place;
	int64_t since_ms;   /* when the window began */
	int64_t until_ms;   /* it is kept out until then; 0: it is not */
	uint32_t good, bad; /* shares in the window; bad: all that were refused */
	uint32_t stale;     /* of the bad */
	uint32_t users;     /* sessions that know it */
	uint32_t new_good, new_bad, new_stale; /* of them, what other reactors do not know */
	bool told, over, excused;
	uint8_t key_len;
	uint8_t key[];
};

struct otd_budget {
	struct otd_env *env;
	struct otd_budget_conf conf;
	struct otd_map *rigs, *places;
	int64_t swept_ms;
	uint32_t reactors; /* of the pool; the caller's to set: 0 or 1: there is no other */
	bool counted;      /* by the last otd_budget_bad(): one more of its address is over */
};

/* What is to be done about a share that was refused. */
enum otd_budget_step {
	OTD_BUDGET_FINE = 0,
	OTD_BUDGET_TELL = 1,   /* half of it is used */
	OTD_BUDGET_CLOSE = 2,  /* too many, of those that a miner cannot help: it may come again */
	OTD_BUDGET_REFUSE = 3, /* too many: kept out until rig->until_ms */
	OTD_BUDGET_BAN = 4     /* and so is its address */
};

OTD_WARN_UNUSED otd_rc otd_budget_init(struct otd_budget *b, struct otd_env *e,
				       const struct otd_budget_conf *conf);
void otd_budget_finish(struct otd_budget *b);
void otd_budget_reconfigure(struct otd_budget *b, const struct otd_budget_conf *conf);

/* Of a worker (texts may be empty: of none) of pool number pool at a numeric address; made where it is
   missing, and NULL where there is no room or nobody counts. Each success is paired with one leave. */
struct otd_rig *otd_budget_enter(struct otd_budget *b, const char *host, uint32_t pool,
				 struct otd_span account, struct otd_span name);
void otd_budget_leave(struct otd_rig *rig); /* takes NULL */
/* Until when it is kept out; 0: it is not. */
int64_t otd_budget_until(struct otd_budget *b, const char *host, uint32_t pool,
			 struct otd_span account, struct otd_span name);
/* Whether it is kept out now; rig may be NULL. */
bool otd_budget_refused(const struct otd_budget *b, const struct otd_rig *rig);

static inline void otd_budget_good(struct otd_rig *rig)
{
	rig->good += rig->good < UINT32_MAX;
	rig->new_good += rig->new_good < UINT32_MAX;
}

/* One was refused; good: workers of this address that send good shares and are not this one. */
enum otd_budget_step otd_budget_bad(struct otd_budget *b, struct otd_rig *rig, bool stale,
				    uint32_t good);
/* Right after it: whether other reactors are to be told. w lives as long as rig; its host is the caller's
   to fill in. */
bool otd_budget_say(struct otd_budget *b, struct otd_rig *rig, enum otd_budget_step step,
		    uint32_t good, struct otd_budget_word *w);
/* Reactor number from has said w; good: workers of w->host that send good shares here. Whether answer is
   to be told to all. */
bool otd_budget_hear(struct otd_budget *b, uint32_t from, const struct otd_budget_word *w,
		     uint32_t good, struct otd_budget_word *answer);

#endif
