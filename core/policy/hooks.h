/*
 * What scripts are asked, and what they may answer: one struct in and one struct out a hook. Flat;
 * texts and arrays belong to the caller and live as long as the call. A Lua table of the same
 * member names is made of what goes in (docs/policy-api.md), NULL and zero targets are left out.
 *
 * What comes out is whole and clamped, whatever a script did: out.said.from tells whose answer it
 * is. OTD_POLICY_HOST means that no script had anything to say: the caller does as it would without
 * policy; the other members are zero then, unless said otherwise.
 *
 * Units: _ms milliseconds, _s seconds, ppm parts per million, money base units of `asset`, targets
 * as everywhere (a larger one is easier), work in expected hashes.
 */
#ifndef OTD_POLICY_HOOKS_H
#define OTD_POLICY_HOOKS_H

#include <otedama/types.h>
#include <otedama/u256.h>

enum otd_policy_hook {
	/* on reactors */
	OTD_HOOK_CONNECT = 0,
	OTD_HOOK_AUTHORIZE,
	OTD_HOOK_DIFFICULTY,
	OTD_HOOK_OFFENCE,
	/* on the coordinator */
	OTD_HOOK_FEE,
	OTD_HOOK_PAYOUT_TERMS,
	OTD_HOOK_REVIEW_PAYMENT,
	OTD_HOOK_BLOCK,
	OTD_HOOK_NODE,
	OTD_HOOK_MINUTE,
	OTD_HOOK_CHOOSE_COIN,
	OTD_HOOK_TRUST,
	OTD_HOOKS
};

/* "on_connect", ...; the name of the Lua function. [any-thread] */
const char *otd_policy_hook_name(enum otd_policy_hook h);

enum otd_policy_from {
	OTD_POLICY_HOST = 0,   /* no script answered */
	OTD_POLICY_SCRIPT = 1, /* said.script did */
	OTD_POLICY_FALLBACK =
		2 /* said.script failed: the fallback of the hook, as stated at each */
};

#define OTD_POLICY_NAME_MAX   63  /* bytes of a script's name */
#define OTD_POLICY_REASON_MAX 120 /* bytes; UTF-8 without control characters */

struct otd_policy_said {
	enum otd_policy_from from;
	char script[OTD_POLICY_NAME_MAX + 1];   /* "" where from is OTD_POLICY_HOST */
	char reason[OTD_POLICY_REASON_MAX + 1]; /* for the miner and `explain`; may be "" where the
						   answer is not adverse, never where it is */
};

/* What a ban or a tag is about: the numbers of enum otd_ban_scope (net/bans.h). */
enum otd_policy_scope {
	OTD_POLICY_WORKER = 1,
	OTD_POLICY_ACCOUNT = 2,
	OTD_POLICY_IP = 3,
	OTD_POLICY_PREFIX = 4
};

/*
 * on_connect(s) [reactor]: somebody connected. Answer {action="allow|refuse", reason}.
 * Fallback: allowed.
 */
struct otd_policy_connect {
	const char *pool;
	const char *host; /* numeric address */
	int64_t port;
	int64_t connections; /* from this address now, this one among them */
	int64_t sessions;    /* of this reactor */
	bool tls;
};
struct otd_policy_connect_out {
	struct otd_policy_said said;
	bool refuse;
};

/*
 * on_authorize(s) [reactor]: a worker that the host itself would let in. Answer
 * {action="allow|refuse", difficulty, reason}. Fallback: allowed.
 */
struct otd_policy_authorize {
	const char *pool, *host;
	int64_t port;
	const char *account; /* the address, as checked */
	const char *worker;  /* its name; "" */
	const char *agent;   /* or NULL */
	const char *scheme;  /* of payout; NULL: the pool's own */
	int64_t connections; /* from this address */
	int64_t workers;     /* of this account on this reactor, this one among them */
	/* Difficulty 1 of the algorithm, and the port's limits. */
	struct otd_u256 diff1, start, min, max;
};
struct otd_policy_authorize_out {
	struct otd_policy_said said;
	bool refuse;
	bool has_target;
	struct otd_u256 target; /* to start with: between min and max */
};

/*
 * difficulty(s) [reactor]: before the difficulty of a session is set or changed, at most every few
 * seconds a session. Answer {difficulty, fixed, reason}. The answer holds until the next call.
 * Fallback: the last good value, which is current: out.target, set true.
 */
struct otd_policy_difficulty {
	const char *pool, *host;
	int64_t port;
	const char *account, *worker, *agent;
	struct otd_u256 diff1, min, max, start; /* of the port */
	struct otd_u256 current;                /* in force now */
	struct otd_u256 wanted;                 /* what the host would set */
	struct otd_u256 suggested;              /* what the miner asked for; zero: nothing */
	int64_t aim_ms;                         /* a share */
	int64_t shares, window_ms;              /* accepted since the last change, in so long */
	int64_t connected_s;
};
struct otd_policy_difficulty_out {
	struct otd_policy_said said;
	bool set;               /* false: as wanted */
	bool fixed;             /* the host does not steer it by itself any more */
	struct otd_u256 target; /* between min and max */
};

enum otd_policy_offence_kind {
	OTD_OFFENCE_MALFORMED = 0, /* lines or shares that are none */
	OTD_OFFENCE_STALE,
	OTD_OFFENCE_DUPLICATE,
	OTD_OFFENCE_LOW_DIFFICULTY,
	OTD_OFFENCE_UNAUTHORIZED, /* wrong address, worker that is not authorized */
	OTD_OFFENCE_INVALID,      /* time or version out of range */
	OTD_OFFENCE_FLOOD,        /* more requests or connections than the limits let through */
	OTD_OFFENCE_HANDSHAKE,    /* connected and said nothing of use in time */
	OTD_OFFENCE_KINDS
};
const char *otd_policy_offence_name(enum otd_policy_offence_kind k); /* "malformed", ... */

enum otd_policy_action {
	OTD_ACTION_NONE = 0,
	OTD_ACTION_WARN,  /* tell the miner why */
	OTD_ACTION_RAISE, /* its difficulty, to twice */
	OTD_ACTION_DROP,  /* close the connection */
	OTD_ACTION_BAN    /* scope, seconds, reason; and close */
};

/*
 * on_offence(o) [reactor]: a worker or connection did wrong often enough to be looked at (the caller
 * counts and calls at its own thresholds, never once a share). Answer {action="none|warn|raise|
 * drop|ban", scope, seconds, reason}; a ban or drop needs its reason, a ban its scope and seconds.
 * scope worker and account need an account. Fallback, and no answer: the host's own rules.
 */
struct otd_policy_offence {
	enum otd_policy_offence_kind kind;
	const char *pool, *host;
	int64_t port;
	const char *account, *worker; /* NULL: not authorized yet */
	const char *agent;
	int64_t count;        /* of this kind, by this worker (connection), in the window */
	int64_t window_s;     /* how far back all counts here go */
	int64_t accepted;     /* shares of this worker */
	int64_t refused;      /* of any kind */
	int64_t host_workers; /* other workers with accepted shares from this address; 0: none known */
	int64_t host_accepted; /* shares from this address in all */
	int64_t connections;   /* from this address now */
};
struct otd_policy_offence_out {
	struct otd_policy_said said;
	enum otd_policy_action action;
	enum otd_policy_scope scope; /* of a ban */
	int64_t seconds;             /* of a ban: 1 to OTD_POLICY_BAN_S */
};
#define OTD_POLICY_BAN_S (30 * 86400) /* the longest ban that a script may set */

/*
 * fee(a) [coordinator]: what the pool takes. account NULL: the fee of the pool, for a block that is
 * found; else what this account pays. Answer {ppm, recipients={{address, ppm}, ..}, valid, reason}.
 * The caller keeps the answer for valid_s, puts it in the journal, and hands it in as last.
 * Fallback: *last, else ppm = yaml_ppm without recipients. A zero valid_s in *last is taken as 60.
 */
#define OTD_POLICY_RECIPIENTS 8
#define OTD_POLICY_ADDRESS    128 /* bytes with the zero */
struct otd_policy_fee_out;
struct otd_policy_fee {
	const char *pool, *asset;
	const char *account;          /* NULL: the pool */
	int64_t yaml_ppm;             /* of the settings */
	int64_t max_ppm;              /* clamp; 0: 1,000,000 */
	otd_u128 work_10min, work_1h; /* of the account, or of the pool */
	otd_u128 pool_work_1h;
	int64_t workers; /* of the account, or of the pool */
	int64_t known_s; /* since the account's first share; 0: new, and of the pool */
	const struct otd_policy_fee_out *last; /* the last good answer for the same; NULL: none */
};
struct otd_policy_recipient {
	char address[OTD_POLICY_ADDRESS]; /* as the script wrote it: the caller checks it */
	int64_t ppm;                      /* of the fee */
};
struct otd_policy_fee_out {
	struct otd_policy_said said;
	int64_t ppm;     /* 0 to max_ppm; of OTD_POLICY_HOST: yaml_ppm */
	int64_t valid_s; /* 10 to 86400; 60 where the script does not say */
	/* Of the pool's fee they take all; of an account's at most all, the rest is the pool's. */
	struct otd_policy_recipient recipients[OTD_POLICY_RECIPIENTS];
	size_t n_recipients; /* 0: as the settings have them; of an account: all is the pool's */
};

/*
 * payout_terms(a) [coordinator]: on what terms an account is paid; before a payment is planned.
 * Answer {minimum=money, hold, reason}. Fallback: the settings' terms (has_minimum and hold false).
 */
struct otd_policy_terms {
	const char *pool, *asset, *account;
	otd_i128 balance;
	otd_i128 minimum;     /* of the settings */
	otd_i128 least, most; /* clamp of the answer's; most 0: no upper one */
	int64_t last_paid_s;  /* ago; -1: never */
	int64_t known_s;
};
struct otd_policy_terms_out {
	struct otd_policy_said said;
	bool has_minimum;
	otd_i128 minimum; /* least to most */
	bool hold;        /* leave this account out; said.reason says why */
};

enum otd_policy_review { OTD_REVIEW_PAY = 0, OTD_REVIEW_HOLD, OTD_REVIEW_REJECT };

struct otd_policy_part {
	const char *account; /* address; NULL: of the pool's fee */
	const char *address; /* that is paid */
	otd_i128 amount;
};
/*
 * review_payment(p) [coordinator]: a payment that is planned and not reserved. Answer
 * {action="pay|hold|reject", reason}. hold: it waits for a person; reject: this plan is dropped, the
 * next run plans anew. Fallback: hold. OTD_POLICY_HOST: pay.
 */
struct otd_policy_payment {
	const char *pool, *asset;
	otd_i128 total, largest;
	otd_i128 balance;                    /* of the wallet; -1: not known */
	otd_i128 paid_24h;                   /* by this pool; -1: not known */
	bool dry_run;                        /* nothing is paid whatever is said */
	const struct otd_policy_part *parts; /* scripts see the first OTD_POLICY_PARTS */
	size_t n_parts;
};
#define OTD_POLICY_PARTS 2000
struct otd_policy_payment_out {
	struct otd_policy_said said;
	enum otd_policy_review action;
};

enum otd_policy_block_state {
	OTD_POLICY_BLOCK_FOUND = 0,
	OTD_POLICY_BLOCK_ACCEPTED,
	OTD_POLICY_BLOCK_CONFIRMING,
	OTD_POLICY_BLOCK_MATURE,
	OTD_POLICY_BLOCK_ORPHANED
};
/* on_block(b) [coordinator]: a block was found or its state changed. Nothing comes back. All scripts
   are told. */
struct otd_policy_block {
	const char *pool, *asset;
	enum otd_policy_block_state state;
	int64_t height;
	const char *hash; /* as people write it */
	const char *account, *worker;
	const char *scheme;
	otd_i128 value, fee; /* fee: the pool's part of it */
	int64_t effort_ppm;
	int64_t confirmations;
};

/* on_node(n) [coordinator]: a node came up, went down or changed its use. Nothing comes back. */
struct otd_policy_node {
	const char *pool; /* one that uses it */
	const char *node, *coin;
	bool up, in_use, syncing;
	int64_t height, latency_ms;
	const char *error; /* why it is down; NULL */
};

/* on_minute(w) [coordinator]: once a minute and pool. Nothing comes back. */
struct otd_policy_minute {
	const char *pool, *asset;
	int64_t sessions, workers;
	int64_t accepted, refused; /* shares of the last minute */
	otd_u128 work_10min, work_1h;
	otd_u128 network_work; /* of a block now; 0: not known */
	int64_t effort_ppm;    /* of the round */
	int64_t height;
	int64_t nodes_up, nodes;
	int64_t blocks_waiting;   /* neither mature nor orphaned */
	int64_t payments_waiting; /* held, or on their way */
};

struct otd_policy_candidate {
	const char *pool, *coin, *asset;
	otd_i128 block_value;  /* base units */
	otd_u128 network_work; /* of a block */
	/* Value of an hour of the group's hash rate, in millionths of whatever unit all candidates
	   share (a price feed's); -1: not known. */
	int64_t value_micro;
	bool up;
};
/*
 * choose_coin(g) [coordinator]: which pool a group of miners works for. Answer {pool, hold, reason}.
 * hold: seconds until it is asked again, 30 to 86400. Fallback, and a pool that is no candidate:
 * current stays (index).
 */
struct otd_policy_coins {
	const char *pool; /* current */
	const struct otd_policy_candidate *candidates;
	size_t n_candidates; /* at most 64 */
	int64_t since_s;     /* current is chosen */
};
struct otd_policy_coins_out {
	struct otd_policy_said said;
	size_t index;   /* of candidates; SIZE_MAX: current stays */
	int64_t hold_s; /* 60 where the script does not say */
};

/*
 * trust(a) [coordinator]: how far an account is trusted, 0 to 1,000,000. Answer {ppm, reason}.
 * Fallback, and no answer: last_ppm.
 */
struct otd_policy_trust {
	const char *pool, *account;
	int64_t known_s;
	int64_t accepted, refused; /* shares ever */
	otd_u128 work_1h;
	int64_t blocks; /* found */
	int64_t last_ppm;
};
struct otd_policy_trust_out {
	struct otd_policy_said said;
	int64_t ppm;
};

#endif
