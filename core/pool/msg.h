/*
 * Messages between coordinator and reactors: flat bytes with offsets and no pointers, so that a
 * reactor may be a thread now and a process or machine later. Made with otd_msg_create() and
 * otd_msg_put(); checked with otd_msg_check() before anything in them is used.
 */
#ifndef OTD_POOL_MSG_H
#define OTD_POOL_MSG_H

#include "base/env.h"

enum otd_msg_type {
	/* coordinator to reactor */
	OTD_MSG_JOB = 1,
	OTD_MSG_AUTH_ANSWER = 2,
	OTD_MSG_DRAIN = 3, /* no new connections, answer what was received, then close: head only */
	OTD_MSG_RELEASE = 4, /* of struct otd_msg_position: merged; journal segments may go */
	OTD_MSG_BAN = 5,     /* a ban is in force from now on, or not any more */
	/* to a reactor process, beside those that its reactors get */
	OTD_MSG_CLIENT = 6,  /* an accepted connection; its descriptor comes with it */
	OTD_MSG_SAY = 7,     /* a line to every miner */
	OTD_MSG_CHANGE = 8,  /* what a reload changes, as text */
	OTD_MSG_TICKETS = 9, /* of struct otd_msg_text: keys of TLS tickets (net/tickets.h) */
	OTD_MSG_RENEW = 10,  /* certificates were read again: head only */
	OTD_MSG_ARRIVE =
		11, /* of struct otd_msg_move: a connection of another process; its descriptor comes with it */
	/* Another image of an algorithm: OTD_MSG_SWAP (of struct otd_msg_text) prepares it, OTD_MSG_SWAP_READY answers;
	   then one of the two heads. */
	OTD_MSG_SWAP = 12,
	OTD_MSG_SWAP_COMMIT = 13,
	OTD_MSG_SWAP_DROP = 14,
	/* listen to no client, answer what was received, then OTD_MSG_DRAINED; clients stay. THAW: listen again;
	   OTD_MSG_DRAINED comes then too, where it has not come. Heads only. */
	OTD_MSG_FREEZE = 16,
	OTD_MSG_THAW = 17,
	OTD_MSG_BUDGET_HEARD = 18, /* of struct otd_msg_budget: what another reactor has said */
	/* reactor to coordinator */
	OTD_MSG_AUTH = 32,
	OTD_MSG_BLOCK = 33,
	OTD_MSG_SYNCED = 34,    /* of struct otd_msg_position: durable up to seq */
	OTD_MSG_DRAINED = 35,   /* of struct otd_msg_position */
	OTD_MSG_POOL_GONE = 36, /* nothing of this removed pool comes any more */
	/* from a reactor process */
	OTD_MSG_READY = 37,   /* its reactors run: head only */
	OTD_MSG_ENDED = 38,   /* of struct otd_msg_client: this session has ended */
	OTD_MSG_METRICS = 39, /* of struct otd_msg_text: otd_metrics_changes() */
	OTD_MSG_CHANGED = 40, /* one of its reactors has the last change: head only */
	OTD_MSG_MOVE = 41,    /* a connection for another process; its descriptor comes with it */
	/* from a reactor again */
	OTD_MSG_BUDGET = 42, /* refused shares of a worker, for all other reactors */
	/* from a reactor process again */
	OTD_MSG_BAN_WISH = 43,   /* somebody is to be banned */
	OTD_MSG_SWAP_READY = 44, /* of struct otd_msg_text: "", or why it cannot */
	OTD_MSG_SWAP_TAKEN = 45  /* all its reactors have it: head only */
};

struct otd_msg {
	uint32_t size;    /* of the whole message */
	uint16_t type;    /* enum otd_msg_type */
	uint16_t version; /* 1 */
	uint32_t reactor; /* index of sender or receiver */
	uint32_t fixed;   /* size of the struct before the bytes */
};

/* Bytes within the message, from its start. */
struct otd_ref {
	uint32_t at, len;
};

enum otd_job_flag {
	OTD_JOB_CLEAN = 1u << 0, /* a new tip: older jobs are stale */
	OTD_JOB_URGENT = 1u << 1 /* goes out before anything else */
};

struct otd_msg_job {
	struct otd_msg head;
	uint32_t pool; /* index in the settings */
	uint32_t job;  /* number, unique in this run */
	uint32_t flags;
	uint32_t version, nbits, version_mask;
	uint64_t height;
	int64_t time_s, min_time_s;
	uint8_t prev[32];
	uint8_t block_target[32]; /* what makes a block here: network target or its floor, LE */
	uint8_t network_work[16]; /* of block_target */
	uint8_t value[16];        /* coinbase value */
	uint32_t extranonce1_len, extranonce2_len;
	struct otd_ref coinbase1, coinbase2, branches;
};

struct otd_msg_auth {
	struct otd_msg head;
	uint32_t pool;
	uint32_t reserved;
	uint64_t token;         /* the reactor's, comes back */
	struct otd_ref account; /* address as the miner wrote it */
};

struct otd_msg_auth_answer {
	struct otd_msg head;
	uint32_t pool;
	otd_rc rc; /* OTD_OK, or OTD_E_INVALID */
	uint64_t token;
	struct otd_ref account; /* canonical form */
	struct otd_ref reason;
};

struct otd_msg_block {
	struct otd_msg head;
	uint32_t pool;
	uint32_t job;
	uint64_t epoch, share_seq;
	uint64_t height;
	int64_t time_ms;
	uint8_t value[16];
	uint8_t hash[32];
	uint8_t prev[32];
	struct otd_ref account, worker, header, coinbase;
};

struct otd_msg_ban {
	struct otd_msg head;
	uint32_t scope; /* enum otd_ban_scope of net/bans.h */
	uint32_t undo;  /* 1: it is over */
	uint64_t id;
	int64_t until_ms; /* wall clock; 0: for ever */
	struct otd_ref what, reason;
};

/* What a reactor has counted for a worker at an address since it told of it last. */
struct otd_msg_budget {
	struct otd_msg head;
	uint32_t from; /* the reactor that says it; the coordinator fills it in */
	uint32_t flags;
	uint32_t good, bad, stale;
	uint32_t workers; /* of this address that send good shares, at this reactor */
	int64_t kept_out_ms;
	struct otd_ref key, host;
};

struct otd_msg_ban_wish {
	struct otd_msg head;
	uint32_t scope; /* enum otd_ban_scope of net/bans.h */
	uint32_t reserved;
	int64_t seconds;
	struct otd_ref by, what, reason;
};

struct otd_msg_pool_gone {
	struct otd_msg head;
	uint32_t pool;
	uint64_t epoch, seq; /* its last record stands at or before it */
};

#define OTD_MSG_TICKET 24u /* bytes of a struct otd_ticket */

struct otd_msg_client {
	struct otd_msg head;
	uint32_t port; /* index; 0 in OTD_MSG_ENDED */
	uint32_t reserved;
	uint8_t ticket[OTD_MSG_TICKET];
	/* Of one that came by a proxy: a struct otd_proxy, and what the socket brought behind its header. */
	struct otd_ref proxy, early;
};

/* A connection on its way from one process to another. */
struct otd_msg_move {
	struct otd_msg head;
	uint32_t to; /* a reactor */
	uint32_t reserved;
	struct otd_ref moved, early; /* a struct otd_stratum_moved, and bytes that are read first */
};

struct otd_msg_say {
	struct otd_msg head;
	uint32_t reconnect; /* 1: they are told to connect again, and text is empty */
	uint32_t reserved;
	struct otd_ref text;
};

struct otd_msg_text {
	struct otd_msg head;
	struct otd_ref text;
};

struct otd_msg_position {
	struct otd_msg head;
	uint64_t epoch, seq;
};

/* fixed bytes, zeroed, head filled, with room for extra bytes behind. NULL where memory ran out. */
struct otd_msg *otd_msg_create(enum otd_msg_type type, uint32_t reactor, size_t fixed,
			       size_t extra);
/* Appends bytes within the room asked for, and says where they are. */
struct otd_ref otd_msg_put(struct otd_msg *m, const void *p, size_t n);
/* Whether a message of len bytes is whole: type known, fixed part as long as its type wants, every
   ref within. */
bool otd_msg_check(const void *bytes, size_t len);
/* One of these bytes, which come from another process. NULL: they are no message, or memory ran out. */
struct otd_msg *otd_msg_copy(const void *bytes, size_t len);
static inline struct otd_span otd_msg_get(const void *m, struct otd_ref r)
{
	struct otd_span s = {(const uint8_t *)m + r.at, r.len};
	return s;
}
void otd_msg_destroy(struct otd_msg *m);

/*
 * A mailbox: send posts a message to the loop of its owner, who handles and then loses it. In debug
 * builds, and where OTEDAMA_MSG_COPY is set, every message is copied byte by byte on the way and
 * checked, so that no pointer can slip through.
 */
typedef void (*otd_msg_fn)(void *arg, const struct otd_msg *m);
struct otd_mailbox;
otd_rc otd_mailbox_create(struct otd_mailbox **out, struct otd_loop *l, otd_msg_fn fn, void *arg);
void otd_mailbox_destroy(struct otd_mailbox *b);
/* Takes m, also on failure. [any-thread] */
otd_rc otd_mailbox_send(struct otd_mailbox *b, struct otd_msg *m);

#endif
