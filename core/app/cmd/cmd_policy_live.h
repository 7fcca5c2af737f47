/* The verbs of `otedama policy` that speak to a running pool; named "policy VERB". */
#ifndef OTD_APP_CMD_POLICY_LIVE_H
#define OTD_APP_CMD_POLICY_LIVE_H

#include "app/cmd/args.h"

extern const struct otd_cmd otd_policy_verb_apply;
extern const struct otd_cmd otd_policy_verb_confirm;
extern const struct otd_cmd otd_policy_verb_feed;
extern const struct otd_cmd otd_policy_verb_history;
extern const struct otd_cmd otd_policy_verb_record;
extern const struct otd_cmd otd_policy_verb_rollback;
extern const struct otd_cmd otd_policy_verb_shadow;
extern const struct otd_cmd otd_policy_verb_status;

#endif
