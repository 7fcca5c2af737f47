/*
 * What scripts remember: kv.get, kv.set, kv.incr. A bounded table from (script, key) to an integer or a
 * text, each with the time at which it goes. It belongs to the host: it outlives a reload, and by save
 * and load a restart.
 *
 * One a thread, no locks. The wiring keeps the copies of reactors and coordinator alike: each change
 * that a script makes is told by on_change, goes as a message to the coordinator, which applies it to
 * its own by otd_policy_kv_apply(), keeps it, and passes it on to the other reactors. Changes by incr
 * are sums, so they come out the same in whatever order they arrive; of two sets the later arrival wins.
 */
#ifndef OTD_POLICY_KV_H
#define OTD_POLICY_KV_H

#include "base/bytes.h"
#include "base/env.h"

#define OTD_KV_KEY_MAX    128  /* bytes */
#define OTD_KV_VALUE_MAX  1024 /* bytes of a text */
#define OTD_KV_SCRIPT_MAX 63   /* bytes of a script's name */
#define OTD_KV_TTL_S      (400 * 86400)
#define OTD_KV_ENTRIES    65536 /* in all */
#define OTD_KV_A_SCRIPT   16384 /* entries of one script */

enum otd_policy_kv_op { OTD_KV_SET = 1, OTD_KV_INCR = 2, OTD_KV_REMOVE = 3 };

struct otd_policy_kv_value {
	bool is_text;
	int64_t number;
	struct otd_span text; /* in get: until the next change */
};

/* Flat; texts live as long as the call. */
struct otd_policy_kv_change {
	enum otd_policy_kv_op op;
	const char *script, *key;
	struct otd_policy_kv_value value; /* SET: the value; INCR: number is what is added */
	int64_t until_ms;                 /* wall clock, when it goes; INCR: where it is made new */
};

typedef void (*otd_policy_kv_fn)(void *arg, const struct otd_policy_kv_change *c);

struct otd_policy_kv;

/* entries: 0 is OTD_KV_ENTRIES. on_change may be NULL. */
OTD_WARN_UNUSED otd_rc otd_policy_kv_create(struct otd_policy_kv **out, struct otd_env *e,
					    size_t entries, otd_policy_kv_fn on_change, void *arg);
void otd_policy_kv_destroy(struct otd_policy_kv *kv); /* takes NULL */

/* By scripts (and tests); each success but get is told by on_change. OTD_E_NOMEM: the table or the
   script's part of it is full, counted; OTD_E_INVALID: incr of a text; OTD_E_OVERFLOW; OTD_E_RANGE: key,
   text or time too long. False: there is none. */
bool otd_policy_kv_get(struct otd_policy_kv *kv, const char *script, const char *key,
		       struct otd_policy_kv_value *out);
OTD_WARN_UNUSED otd_rc otd_policy_kv_set(struct otd_policy_kv *kv, const char *script,
					 const char *key, const struct otd_policy_kv_value *v,
					 int64_t ttl_s);
/* One that is not there begins at 0 and lives ttl_s; one that is keeps its time. */
OTD_WARN_UNUSED otd_rc otd_policy_kv_incr(struct otd_policy_kv *kv, const char *script,
					  const char *key, int64_t by, int64_t ttl_s, int64_t *now);
void otd_policy_kv_remove(struct otd_policy_kv *kv, const char *script, const char *key);

/* A change of another copy; not told by on_change. Same errors. */
OTD_WARN_UNUSED otd_rc otd_policy_kv_apply(struct otd_policy_kv *kv,
					   const struct otd_policy_kv_change *c);
/* A change as flat bytes for a message (at most OTD_KV_CHANGE_MAX), and back; the texts of out point
   into from. */
#define OTD_KV_CHANGE_MAX 1280
OTD_WARN_UNUSED otd_rc otd_policy_kv_pack(struct otd_bytes *out,
					  const struct otd_policy_kv_change *c);
OTD_WARN_UNUSED otd_rc otd_policy_kv_unpack(struct otd_policy_kv_change *out, struct otd_span from);

/* The whole table as bytes with a checksum, to be stored; and into an empty one. OTD_E_CORRUPT: it is
   not such, or damaged; kv is then as before. What is over by now is left out. */
OTD_WARN_UNUSED otd_rc otd_policy_kv_save(struct otd_policy_kv *kv, struct otd_bytes *out);
OTD_WARN_UNUSED otd_rc otd_policy_kv_load(struct otd_policy_kv *kv, struct otd_span from);

size_t otd_policy_kv_count(const struct otd_policy_kv *kv);
uint64_t otd_policy_kv_refused(const struct otd_policy_kv *kv); /* for want of room */
/* Bytes that save would need at most. */
size_t otd_policy_kv_save_max(const struct otd_policy_kv *kv);

#endif
