/* Bans of the running pool: stored in SQL, known to the gate and to every reactor. [coordinator] */
#ifndef OTD_APP_APP_BAN_H
#define OTD_APP_APP_BAN_H

#include "app/explain/ask.h"
#include "net/bans.h"
#include "policy/policy.h"

struct otd_app;
struct otd_control_request;

/* Reads what is in force, after the store was made. Blocks. */
otd_rc otd_app_bans_load(struct otd_app *app, struct otd_err *err);
/* The gate and the reactors learn them; after both were made, before their loops run. */
otd_rc otd_app_bans_start(struct otd_app *app, struct otd_err *err);
void otd_app_bans_finish(struct otd_app *app); /* after the gate is gone */

/* "list [all]", "add JSON", "undo JSON": see cmd_ban.c. */
void otd_app_ban_request(struct otd_app *app, struct otd_control_request *r, const char *words);

/* What a script asks for: stored, then in force; where it cannot be, that is logged. what is canonical.
   By "policy SCRIPT". Of unban: only what a script has banned. */
void otd_app_ban_by_policy(struct otd_app *app, const struct otd_policy_ban *b);
void otd_app_unban_by_policy(struct otd_app *app, const char *script, enum otd_policy_scope scope,
			     const char *what);

/* {"bans": [..], "in_force": N, "most": N, "left_off": N}; words "all": those that are over too. */
extern const struct otd_topic otd_topic_bans;
/* One row of the table as an object, of the columns below in this order. */
#define OTD_BAN_COLUMNS "id, scope, what, reason, by_whom, created_ms, until_ms, undone_ms"
#define OTD_BAN_N       8
extern const uint32_t otd_ban_wants[OTD_BAN_N];
json_t *otd_ban_json(const struct otd_value *c, int64_t now_ms);

#endif
