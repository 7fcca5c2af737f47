/*
 * Recorded calls of hooks: what `policy test FILE --events REC` plays against a script. One JSON object
 * a line:
 *
 *   {"v":1,"time_ms":1770000000000,"hook":"on_offence","in":{"pool":"ltc","kind":"stale",...},
 *    "out":{"from":"script","script":"bans","reason":"...","action":"ban",...}}
 *
 * in has the members of hooks.h under their names; money and work are decimal strings, targets 64 hex
 * digits most significant first, enums their words. What is missing is zero. otd_policy_on_call() hands
 * such lines out; the operator's tool reads them back.
 */
#ifndef OTD_POLICY_RECORD_H
#define OTD_POLICY_RECORD_H

#include "policy/policy.h"

#define OTD_POLICY_LINE_MAX (1u << 20) /* bytes of a line */

struct otd_policy_event; /* one line, read */

/* err says what is wrong with the line. [any-thread] */
OTD_WARN_UNUSED otd_rc otd_policy_event_parse(struct otd_policy_event **out, const char *line,
					      size_t n, struct otd_err *err);
void otd_policy_event_destroy(struct otd_policy_event *ev); /* takes NULL */
enum otd_policy_hook otd_policy_event_hook(const struct otd_policy_event *ev);
int64_t otd_policy_event_time_ms(const struct otd_policy_event *ev);
const char *otd_policy_event_pool(const struct otd_policy_event *ev); /* "" where it has none */
/* "SYMBOL" of its money; "" where it has none. */
const char *otd_policy_event_asset(const struct otd_policy_event *ev);
/* What was said when it was recorded, as the JSON text of "out"; "" where it was not. */
const char *otd_policy_event_said(const struct otd_policy_event *ev);
/* Asks p the same again; what it says into out, as JSON of the same form. [p's thread] */
OTD_WARN_UNUSED otd_rc otd_policy_event_play(const struct otd_policy_event *ev,
					     struct otd_policy *p, struct otd_bytes *out);

#endif
