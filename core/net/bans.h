/*
 * Bans: a bounded table of who may not come in, on one loop. An address is looked up by one probe of
 * a hash for each prefix length in use, a name by one or two, however many bans there are. Nothing
 * here is kept: whoever owns the table stores it.
 *
 * What is banned, by scope, and its canonical text:
 *   worker   POOL/ADDRESS.NAME     one rig ("POOL/ADDRESS." is the one without a name)
 *   account  POOL/ADDRESS          all of its rigs
 *   ip       10.1.2.3              one IPv4 address; of IPv6 its /64, which one host usually has
 *                                  whole: 2001:db8:1:2::5 and 2001:db8:1:2::/64 are both that /64
 *   prefix   10.1.0.0/16           IPv4 and IPv6 are worlds of their own: ::/0 holds no IPv4
 * An IPv4-mapped IPv6 address or prefix (::ffff:10.1.2.3, ::ffff:10.1.0.0/112) is the IPv4 one.
 * Two bans of overlapping prefixes stand beside each other; either one keeps an address out.
 */
#ifndef OTD_NET_BANS_H
#define OTD_NET_BANS_H

#include "base/env.h"

#define OTD_BANS_MAX       65536 /* bans in force at a time */
#define OTD_BAN_WHAT_MAX   320   /* bytes */
#define OTD_BAN_REASON_MAX 120   /* bytes */

/* As stored in SQL. */
enum otd_ban_scope { OTD_BAN_WORKER = 1, OTD_BAN_ACCOUNT = 2, OTD_BAN_IP = 3, OTD_BAN_PREFIX = 4 };

/* "worker", "account", "ip", "prefix"; "unknown". [any-thread] */
const char *otd_ban_scope_name(enum otd_ban_scope s);
/* OTD_E_INVALID: none of these words. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_ban_scope_parse(enum otd_ban_scope *out, const char *s, size_t n);

struct otd_ban {
	uint64_t id;
	enum otd_ban_scope scope;
	int64_t created_ms, until_ms; /* wall clock; until 0: for ever */
	const char *what;             /* canonical, by otd_ban_what() */
	const char *reason;           /* told to miners */
};

/* The canonical text of what a person wrote; err says what is wrong with it. Whether pool and
   address exist is not looked at. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_ban_what(char out[OTD_BAN_WHAT_MAX + 1], enum otd_ban_scope scope,
				    const char *s, size_t n, struct otd_err *err);
/* OTD_OK: a reason of 1 to OTD_BAN_REASON_MAX bytes of UTF-8 without control characters.
   [any-thread] */
OTD_WARN_UNUSED otd_rc otd_ban_reason_check(const char *s, size_t n, struct otd_err *err);

/* "banned until 2026-03-01 12:00:00 UTC: REASON", "banned for good: REASON". Returns out. */
#define OTD_BAN_TEXT (OTD_BAN_REASON_MAX + 64)
char *otd_ban_text(char out[OTD_BAN_TEXT], const char *reason, int64_t until_ms);
/* "2026-03-01 12:00:00 UTC". Returns out. [any-thread] */
#define OTD_BAN_TIME 48
char *otd_ban_time(char out[OTD_BAN_TIME], int64_t ms);

/* Addresses that an ip or prefix ban is about. */
struct otd_ban_net {
	uint8_t family;      /* 4 or 6 */
	uint8_t bits;        /* of the prefix */
	uint8_t address[16]; /* of IPv4 the first four; zero behind the prefix */
};
/* Of a canonical text. OTD_E_INVALID: none. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_ban_net_parse(struct otd_ban_net *out, const char *what);
/* A numeric address as a peer's is told, with all of its bits; IPv4-mapped is IPv4. False: it is
   none. [any-thread] */
bool otd_ban_host(struct otd_ban_net *out, const char *host);
/* Shortens it to so many bits. [any-thread] */
void otd_ban_net_cut(struct otd_ban_net *net, unsigned bits);
/* Whether the numeric address of a peer lies in it. [any-thread] */
bool otd_ban_net_has(const struct otd_ban_net *net, const char *host);
/* Whether it holds an address of this machine's loopback (127.0.0.0/8, ::1). [any-thread] */
bool otd_ban_net_loopback(const struct otd_ban_net *net);

struct otd_bans;

/* max: bans in force at a time, at most OTD_BANS_MAX. */
OTD_WARN_UNUSED otd_rc otd_bans_create(struct otd_bans **out, struct otd_env *e, size_t max);
void otd_bans_destroy(struct otd_bans *b); /* takes NULL */
/*
 * Texts are copied; those whose time is over are dropped first. OTD_E_EXISTS: the same is banned
 * already (err names that ban; of ip and prefix: the same addresses). OTD_E_RANGE: the table is full.
 * OTD_E_INVALID: what is not canonical.
 */
OTD_WARN_UNUSED otd_rc otd_bans_add(struct otd_bans *b, const struct otd_ban *ban,
				    struct otd_err *err);
/* Whether otd_bans_add() would take it; the same errors. */
OTD_WARN_UNUSED otd_rc otd_bans_may_add(struct otd_bans *b, const struct otd_ban *ban,
					struct otd_err *err);
/* False: there is none. */
bool otd_bans_remove(struct otd_bans *b, enum otd_ban_scope scope, const char *what);
/* Drops what is over. Returns how many are left. */
size_t otd_bans_expire(struct otd_bans *b);

/* All give a ban in force now, or NULL; it lives until the next call that changes the table. */
const struct otd_ban *otd_bans_find(const struct otd_bans *b, enum otd_ban_scope scope,
				    const char *what);
const struct otd_ban *otd_bans_by_id(const struct otd_bans *b, uint64_t id); /* looks at all */
/* The longest prefix that holds the numeric address host. What is no address: NULL. */
const struct otd_ban *otd_bans_host(const struct otd_bans *b, const char *host);
/* Of the account, else of the worker of this name (may be empty). */
const struct otd_ban *otd_bans_user(const struct otd_bans *b, const char *pool,
				    struct otd_span account, struct otd_span name);
/* Calls each for every ban in force, in no order; it must not change the table. */
void otd_bans_each(const struct otd_bans *b, void (*each)(void *arg, const struct otd_ban *ban),
		   void *arg);

#endif
