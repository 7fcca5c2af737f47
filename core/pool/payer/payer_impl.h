/*
 * What the parts of the payer share. The machine has no state of its own that matters: a payer_pay
 * holds a copy of one payment as it is stored and what is in flight for it; whatever is lost with it is
 * read or asked again.
 */
#ifndef OTD_POOL_PAYER_IMPL_H
#define OTD_POOL_PAYER_IMPL_H

#include "ledger/pay_history.h"
#include "pool/payer/payer.h"

#define PAYER_COINS_MAX 500 /* inputs of one payment */
#define PAYER_ABOVE_CAP "more than payments.cap: no payment has room for it; raise the cap"
#define PAYER_WORDS     320
#define PAYER_SCRIPT    64
#define PAYER_DONE_MS   86400000LL /* a finished payment is looked at for so long */

/* --- payer_coins.c: arithmetic, without any state --- */

/* ceil(rate * vsize / 1000). OTD_E_OVERFLOW. */
otd_rc payer_fee(otd_i128 *fee, otd_i128 rate, uint64_t vsize);
/* fixed, or else what the node advises, not below least (what it passes on) and not above max (0: no
   limit). OTD_E_RANGE: least is above max. */
otd_rc payer_rate(otd_i128 *rate, otd_i128 fixed, otd_i128 max, otd_i128 advice, otd_i128 least,
		  struct otd_err *err);
/* Of a further version: a quarter above the old one's, a tenth above what the node passes on.
   OTD_E_RANGE: that is above max. */
otd_rc payer_higher_rate(otd_i128 *rate, otd_i128 old_fee, uint64_t old_vsize, otd_i128 max,
			 otd_i128 least, struct otd_err *err);
/* sent[i] = amount, less its part of fee where the miners pay it: in proportion, by largest remainder,
   ties by order. OTD_E_RANGE: fee is as much as the amounts. */
otd_rc payer_split(otd_i128 *sent, const struct otd_pay_part *parts, size_t n, otd_i128 fee,
		   bool fee_by_miners);
/* What a part must have at least, so that what arrives of it is never dust. */
otd_i128 payer_least_amount(otd_i128 dust, bool fee_by_miners, uint32_t max_fee_ppm);

struct payer_want {
	const struct otd_chain_coin *coins; /* in the order in which they are taken */
	size_t n, at_least, at_most;        /* so many of the first are taken */
	otd_i128 total;                     /* of the amounts */
	bool fee_by_miners;
	otd_i128 rate;
	/* Of a version that replaces another: at least old_fee and step_rate for its own size. */
	otd_i128 old_fee, step_rate;
	otd_i128 dust; /* least change */
	/* Virtual bytes of it with the first n coins and that change (0: none). */
	otd_rc (*size)(void *arg, uint64_t *vsize, size_t n, otd_i128 change, struct otd_err *err);
	void *arg;
};
struct payer_choice {
	size_t n;
	otd_i128 fee, change; /* change 0: no such output */
	uint64_t vsize;
	otd_i128 missing; /* with OTD_E_NOT_FOUND */
};
/* The fewest of the first coins that suffice. OTD_E_NOT_FOUND: all of them do not. */
otd_rc payer_choose(struct payer_choice *out, const struct payer_want *w, struct otd_err *err);
/* Largest first, then by txid and index: the same every time. */
void payer_sort_coins(struct otd_chain_coin *coins, size_t n);
bool payer_same_coin(const struct otd_chain_coin *a, const struct otd_pay_coin *b);
void payer_to_chain(struct otd_chain_coin *to, const struct otd_pay_coin *from);
void payer_to_pay(struct otd_pay_coin *to, const struct otd_chain_coin *from);

/* --- pools --- */

/* Settings of a pool, kept alive by jobs that use them on the store thread. */
struct payer_conf {
	unsigned users;
	struct otd_payer_pool c;
	struct otd_pay_terms terms; /* pool_id is not set */
};

struct payer_ask;

struct payer_pool {
	struct payer_pool *next;
	struct otd_payer *owner;
	struct payer_conf *conf;
	uint64_t id; /* in SQL; 0: not known yet */
	struct otd_pay_pool state;
	bool known; /* state was read */
	bool busy, now;
	unsigned fails;
	int64_t next_ms; /* monotonic */
	struct payer_ask *asker;
	char trouble[PAYER_WORDS];
	char left_out[2 * PAYER_WORDS]; /* who the last round left out for a person to see */
};

/* --- one payment --- */

struct payer_outputs;

/* Where transactions of a payment are. */
struct payer_place {
	bool in_block, in_mempool;
	/* which one is in a block, the newest where there are more */
	uint32_t generation, version, confirmations;
	uint64_t height;
	uint8_t hash[32]; /* of that block */
};

enum payer_aim { PAYER_FUND, PAYER_SIGN, PAYER_BUMP };

struct payer_look;

struct payer_pay {
	struct payer_pay *next;
	struct otd_payer *owner;
	uint64_t id;
	struct otd_payment p; /* as stored, where fresh */
	bool fresh, busy, gone;
	bool has_raw, want_raw;
	int64_t next_ms; /* monotonic: not before */
	unsigned fails;
	char say[PAYER_WORDS]; /* what it waits for */
	bool said;             /* say is ours; else what SQL has stays */
	bool locked;           /* the wallet was told of its coins in this life */
	int64_t lock_ms;       /* monotonic: it is told again not before */
	/* making a transaction */
	enum payer_aim aim;
	bool refund, old_clear;
	unsigned sign_refused;
	struct otd_chain_wallet wallet;
	otd_i128 rate;
	struct otd_chain_coin *coins; /* chosen; of a bump behind those it has */
	size_t n_coins;
	struct otd_pay_coin *taken, *old_coins;
	size_t n_taken, n_old_coins;
	struct payer_choice choice;
	otd_i128 *sent;
	struct otd_chain_coin *unlock; /* on their way back to the wallet's own choice */
	size_t n_unlock, unlock_at;
	void (*unlocked)(struct payer_pay *y);
	/* sending and watching */
	bool doubt; /* look before sending again */
	uint32_t fee_refused;
	unsigned sends;
	int64_t send_after_ms;
	char send_words[200];
	struct payer_look *look;
	struct payer_place place;           /* paid by it, where other nodes agree */
	char proof[PAYER_WORDS];            /* that it cannot come, where other nodes agree */
	int64_t looked_ms;                  /* of the last look that found a conflict; 0: none */
	uint64_t missing_tip, conflict_tip; /* at the first of an unbroken row of looks; 0: none */
	bool lost_booked;                   /* a second transaction of it came, too */
};

/* --- what the store does --- */

enum payer_do {
	PAYER_READ,
	PAYER_DO_FUND,
	PAYER_DO_SIGN,
	PAYER_DO_SENT,
	PAYER_DO_PROGRESS,
	PAYER_DO_PAID,
	PAYER_DO_LOST,
	PAYER_DO_REMAKE,
	PAYER_DO_CANCEL,
	PAYER_DO_SETTLE,
	PAYER_DO_HOLD,
	PAYER_DO_SAY
};

struct payer_job;
typedef void (*payer_job_fn)(void *target, struct payer_job *j, const struct otd_err *err);

/* On one part of a plan. */
struct payer_verdict {
	char reason[OTD_PAY_WHY + 1]; /* why it is not paid; "": it is */
	bool hold;                    /* the account waits for a person */
	otd_i128 least;               /* its amount must be at least that */
};

/* What policy says of a plan. */
struct payer_review {
	bool wanted; /* a script has the hook */
	bool asked;  /* and has decided: what follows holds */
	enum otd_policy_review action;
	struct otd_policy_said said;
	otd_i128 paid_24h, total;
	otd_i128 balance; /* of the wallet; below 0: not known */
};

/* One piece of work for the store. Its data is its own: the store's thread sees nothing else. */
struct payer_job {
	struct payer_job *next, **at;
	struct otd_payer *owner; /* NULL: it has gone */
	payer_job_fn then;
	void *target;
	otd_rc (*work)(struct payer_job *j, struct otd_db *db, struct otd_err *err); /* [store] */
	enum payer_do what;
	int64_t time_ms;
	uint64_t id, pool_id, account, height, conflict;
	uint32_t generation, version, confirmations;
	bool with_raw, yes, has_proof;
	char text[PAYER_WORDS], name[OTD_PAY_ADDRESS], address[OTD_PAY_ADDRESS];
	uint8_t txid[32];
	struct payer_conf *conf;
	struct otd_pay_coin *coins;
	size_t n_coins;
	struct otd_pay_tx tx; /* raw is the job's */
	otd_i128 *sent;
	struct otd_pay_part *parts;
	size_t n_parts;
	struct payer_verdict *verdicts; /* one a part */
	otd_i128 least;                 /* the plan's minimum, of miners; the settings' or less */
	bool with_paid; /* a policy is asked for terms: when miners were paid last */
	struct payer_review review;
	/* what came of it */
	struct otd_payment p;
	struct otd_payment *list;
	size_t n_list;
	uint64_t *ids;
	size_t n_ids, cap_ids;
	struct otd_pay_coin *found, *old_coins;
	size_t n_found, cap_found, n_old_coins;
	struct otd_pay_pool state;
	struct otd_bytes json; /* parts of an answer made on the store's thread */
	otd_i128 below;
	size_t n_below;
	size_t n_held, n_above;     /* accounts that are not paid: on hold, above the cap */
	char held_why[PAYER_WORDS]; /* of one of them */
};

struct payer_job *payer_job_new(struct otd_payer *o, payer_job_fn then, void *target);
/* Gives it away, whatever comes of it; false: then was not and will not be called. */
bool payer_job_give(struct payer_job *j, bool write);
void payer_job_drop(struct payer_job *j); /* one that was not given */
/* One step of a payment, and the payment as it is behind it (in j->p). */
otd_rc payer_work_step(struct payer_job *j, struct otd_db *db, struct otd_err *err);

/* --- what the wallet does --- */

typedef void (*payer_call_fn)(void *target, const struct otd_err *err,
			      const struct otd_chain_result *res, struct otd_span out);
/* As otd_chain_wallet(), but that then is called later in any case. False: it will not be called (no
   memory, or the payer is draining). */
bool payer_call(struct otd_payer *o, struct otd_chain *c, const struct otd_chain_call *call,
		payer_call_fn then, void *target);

/* --- payer_look.c: where a payment's transactions are --- */

struct payer_found {
	struct payer_place own, old; /* of the present generation; of those before */
	uint64_t tip;
	bool one_tip;            /* all looks were at the same height */
	bool unknown;            /* the wallet does not know the newest of the present generation */
	uint32_t spent, missing; /* coins of the first version, by every look */
};
typedef void (*payer_look_fn)(void *target, const struct otd_err *err, const struct payer_found *f);
/* Asks for every transaction of p, one after the other; then is called once, later, but where it
   returns NULL (no memory, draining). */
struct payer_look *payer_look_start(struct otd_payer *o, struct otd_chain *c,
				    const struct otd_payment *p, payer_look_fn then, void *target);
void payer_look_destroy(struct payer_look *l); /* takes NULL */
/*
 * Whether the other nodes are on one chain with the one whose wallet pays: have this block, or (hash
 * NULL) its best one. What cannot be undone asks this first, so that a node on a branch of its own
 * decides nothing. PAYER_ASKED: then is called once, later; err OTD_OK: they are.
 */
enum payer_agrees { PAYER_ALONE, PAYER_ASKED, PAYER_CANNOT_ASK };
typedef void (*payer_agree_fn)(void *target, const struct otd_err *err);
enum payer_agrees payer_agree(struct otd_payer *o, struct otd_chain *c, uint64_t height,
			      const uint8_t hash[32], payer_agree_fn then, void *target);
/* None of them is answered any more; err NULL: nobody is told. */
void payer_agree_forget(struct otd_payer *o, const struct otd_err *err);

/* --- payer_step.c, payer_make.c, payer_watch.c --- */

/* Does what can be done now. */
void payer_go(struct payer_pay *y);
/* Something did not work: a pause, longer each time. now: a person has to know at once. */
void payer_failed(struct payer_pay *y, bool now, const char *fmt, ...) OTD_PRINTF(3, 4);
void payer_say(struct payer_pay *y, const char *text);
/* A step of y to the store, NULL where memory ran out (y has failed then). Give it by payer_step(). */
struct payer_job *payer_step_new(struct payer_pay *y, enum payer_do what);
void payer_step(struct payer_pay *y, struct payer_job *j);
void payer_hold(struct payer_pay *y, const char *fmt, ...) OTD_PRINTF(2, 3);
void payer_wait(struct payer_pay *y, int64_t ms);
void payer_pay_destroy(struct payer_pay *y);

void payer_make(struct payer_pay *y, enum payer_aim aim); /* coins, build, sign */
void payer_make_forget(struct payer_pay *y);
struct otd_chain_pay payer_pay_of(const struct otd_chain_coin *coins, size_t n,
				  const struct payer_outputs *out, bool change);
/* The first of coins that suffice for y at its rate, and the fee, into y->choice. */
otd_rc payer_fit(struct payer_pay *y, const struct payer_conf *c,
		 const struct otd_chain_coin *coins, size_t n, size_t at_least,
		 struct otd_err *err);
/* The wallet's coins that may be used go behind those of y->coins, in the order in which they are taken;
   how many. */
size_t payer_take_coins(struct payer_pay *y, const struct payer_conf *c, struct otd_span out);
/* Of an earlier generation of y. */
bool payer_of_before(const struct payer_pay *y, const struct otd_chain_coin *k);
/* What a payment of these parts would cost now, with the wallet's coins as COINS gave them. As
   payer_choose(); OTD_E_RANGE: above what the settings allow. */
struct payer_estimate_of {
	struct otd_pay_part *parts;
	size_t n_parts;
	const struct otd_chain_wallet *wallet;
	struct otd_pay_coin *taken;
	size_t n_taken;
	struct otd_span coins;
};
otd_rc payer_estimate(struct otd_payer *o, const struct payer_conf *c,
		      const struct payer_estimate_of *e, struct payer_choice *out,
		      struct otd_err *err);
/* Coins that live payments of the asset j->name hold, and those of earlier generations of j->id. */
otd_rc payer_work_taken(struct payer_job *j, struct otd_db *db, struct otd_err *err);
/* Gives coins back to the wallet's own choice; then is called later, whatever came of it. */
void payer_unlock(struct payer_pay *y, const struct otd_pay_coin *coins, size_t n,
		  void (*then)(struct payer_pay *y));
/* The payment's outputs, in order: parts, then change. */
struct payer_outputs {
	struct otd_chain_payee *payees;
	uint8_t (*scripts)[PAYER_SCRIPT];
	size_t n; /* without change, which is payees[n] */
};
otd_rc payer_outputs_init(struct payer_outputs *o, struct otd_chain *c,
			  const struct otd_pay_part *parts, size_t n, const char *change,
			  struct otd_err *err);
void payer_outputs_finish(struct payer_outputs *o);

void payer_watch(struct payer_pay *y);
void payer_watch_done(struct payer_pay *y);
/* Whether the chain proves that no transaction of y can come any more; words say what it shows. */
bool payer_cannot_come(const struct payer_pay *y, const struct payer_found *f, bool missing_too,
		       char *words, size_t cap);

/* --- payer_run.c: who is to be paid, and when --- */

void payer_pool_go(struct payer_pool *p);
/* Whether parts can be paid, by address and least amount: one verdict each, the caller's to free(). */
otd_rc payer_judge(const struct payer_conf *c, const struct otd_pay_part *parts, size_t n,
		   struct payer_verdict **out, struct otd_err *err);
/* Of the plan now: only what the verdicts on an earlier one let through; all parts of the fee or none.
   *n becomes less. */
void payer_keep_judged(struct otd_pay_part *parts, size_t *n, const struct otd_pay_part *judged,
		       const struct payer_verdict *verdicts, size_t n_judged);
/* Reads number and state of the pool of j->name, and which of its payments are not sent. */
otd_rc payer_work_pool(struct payer_job *j, struct otd_db *db, struct otd_err *err);

/* --- payer_policy.c --- */

/* Whether a script is asked on what terms accounts are paid. */
bool payer_policy_asks(const struct otd_payer *o, const struct payer_conf *c);
/* The minimum to plan with: below that of the settings where a policy may lower it. */
otd_i128 payer_policy_least(const struct otd_payer *o, const struct payer_conf *c);
/* Adds to the verdicts what policy says of each account's terms; only of those that are paid so far. */
void payer_policy_terms(const struct otd_payer *o, const struct payer_conf *c,
			const struct otd_pay_part *parts, struct payer_verdict *verdicts, size_t n);
bool payer_policy_reviews(const struct otd_payer *o, const struct payer_conf *c);
/* Reads what a review wants to know. */
otd_rc payer_policy_work(struct payer_job *j, struct otd_db *db, struct otd_err *err);
/* Asks, where review->wanted; nothing is paid of which it was not asked. */
void payer_policy_review(const struct otd_payer *o, const struct payer_conf *c,
			 const struct otd_pay_part *parts, const struct payer_verdict *verdicts,
			 size_t n, bool dry_run, struct payer_review *review);
/* Of the plan now: no part above what was reviewed. */
void payer_policy_keep(struct otd_pay_part *parts, size_t *n, const struct payer_job *j);
/* Puts the decision on record, and holds payment j->id where it says so. */
otd_rc payer_policy_decided(const struct payer_job *j, struct otd_db *db, struct otd_err *err);
const char *payer_review_name(enum otd_policy_review a); /* "pay", "hold", "reject" */

/* --- payer_ask.c --- */

/* What was asked, and what has come of it so far. */
struct payer_ask {
	struct payer_ask *next;
	struct otd_payer *owner;
	otd_payer_answer_fn fn;
	void *arg;
	char verb[16], what[OTD_PAY_ADDRESS + 80], code[16], reason[PAYER_WORDS];
	char account[OTD_PAY_ADDRESS]; /* behind POOL/ */
	uint64_t id;
	bool all, raw, paid, unpaid, has_proof;
	uint8_t txid[32];
	char proof[PAYER_WORDS];
	struct payer_conf *conf;
	struct otd_err err; /* said later */
	/* plan */
	struct otd_pay_part *parts;
	struct payer_verdict *verdicts;
	size_t n_parts;
	struct payer_review review;
	struct otd_chain_wallet wallet;
	bool has_wallet;
	struct otd_pay_coin *taken;
	size_t n_taken;
	struct payer_choice choice;
	struct otd_err wallet_err, choice_err;
	struct otd_pay_pool state;
	struct otd_bytes held; /* JSON */
	size_t n_below;
	otd_i128 below;
	uint64_t unsent; /* 0: none */
	/* resolve */
	struct otd_payment p;
	bool own;
	uint32_t generation, version;
	struct otd_chain_tx tx;
	struct payer_look *look;
};
/* Answers, and a is gone. json NULL: err. */
void payer_ask_end(struct payer_ask *a, const struct otd_err *err, struct otd_bytes *json);
void payer_ask_fail(struct payer_ask *a, otd_rc rc, const char *fmt, ...) OTD_PRINTF(3, 4);
/* The pool of a as it is set now; NULL: a has been answered that it is not there any more. */
struct payer_pool *payer_ask_pool(struct payer_ask *a);
struct payer_job *payer_ask_job(struct payer_ask *a, payer_job_fn then,
				otd_rc (*work)(struct payer_job *, struct otd_db *,
					       struct otd_err *));
void payer_ask_give(struct payer_ask *a, struct payer_job *j, bool write);
/* Payment id was changed from outside of its own steps. */
void payer_ask_changed(struct otd_payer *o, uint64_t id);
void payer_ask_round(struct payer_ask *a, const struct otd_err *err, uint64_t id);
void payer_asks_end(struct otd_payer *o);
/* payer_plan.c */
void payer_ask_plan(struct payer_ask *a);
void payer_plan_code(char out[9], const struct payer_conf *c, bool restored);
/* payer_resolve.c */
void payer_ask_resolve(struct payer_ask *a);
/* payer_json.c */
void payer_json_amount(struct otd_bytes *b, const char *key, otd_i128 v,
		       const struct payer_pool *p);
void payer_json_hash(struct otd_bytes *b, const char *key, const uint8_t hash[32]);
void payer_json_text(struct otd_bytes *b, const char *key, const char *text);
/* One payment, "{...}"; all: with parts, coins and transactions; raw: with their bytes. */
void payer_json_payment(struct otd_bytes *b, struct otd_payer *o, const struct otd_payment *p,
			bool all, bool raw);

/* --- payer.c --- */

struct otd_payer {
	struct otd_payer_conf conf;
	struct otd_env *env;
	struct otd_loop *loop;
	struct otd_store *store;
	struct otd_timer *timer;
	struct payer_pool *pools;
	struct payer_pay *pays;
	struct payer_job *jobs;
	struct payer_job *asking; /* not given yet: of rounds that ask for the wallet's balance */
	struct payer_wallet_call *calls;
	struct payer_agreement *agreements;
	struct payer_ask *asks;
	size_t flights;
	bool started, opening, opened, draining;
	int64_t open_after_ms;
	unsigned open_fails;
	otd_fn drained;
	void *drained_arg;
	char trouble[2 * PAYER_WORDS];
	char open_trouble[PAYER_WORDS];
	struct otd_metric *by_state[OTD_PAY_PAID + 1]; /* 0: held */
	struct otd_metric *paid, *failures;
};

int64_t payer_now_ms(const struct otd_payer *o); /* monotonic */
int64_t payer_wall_ms(const struct otd_payer *o);
int64_t payer_pause_ms(const struct otd_payer *o, unsigned fails);
struct payer_pool *payer_pool_by_id(struct otd_payer *o, uint64_t id);
struct payer_pool *payer_pool_by_name(struct otd_payer *o, const char *name);
struct payer_pay *payer_pay_find(struct otd_payer *o, uint64_t id);
struct payer_pay *payer_pay_add(struct otd_payer *o, uint64_t id); /* or the one that is there */
void payer_conf_drop(struct payer_conf *c);
/* Something that was in flight has come to its end. */
void payer_landed(struct otd_payer *o);
char *payer_amount(char out[OTD_PAY_ADDRESS], const struct payer_conf *c, otd_i128 v);

#endif
