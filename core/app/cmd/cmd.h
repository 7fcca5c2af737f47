/* The commands, alphabetical; each in cmd_<name>.c, those that only pass words on in cmd_words.c. */
#ifndef OTD_APP_CMD_H
#define OTD_APP_CMD_H

#include "app/cmd/args.h"

extern const struct otd_cmd otd_cmd_account;
extern const struct otd_cmd otd_cmd_backup;
extern const struct otd_cmd otd_cmd_ban;
extern const struct otd_cmd otd_cmd_bench;
extern const struct otd_cmd otd_cmd_chain;
extern const struct otd_cmd otd_cmd_config;
extern const struct otd_cmd otd_cmd_explain;
extern const struct otd_cmd otd_cmd_fee;
extern const struct otd_cmd otd_cmd_hash;
extern const struct otd_cmd otd_cmd_journal;
extern const struct otd_cmd otd_cmd_ledger;
extern const struct otd_cmd otd_cmd_mine;
extern const struct otd_cmd otd_cmd_miners;
extern const struct otd_cmd otd_cmd_node;
extern const struct otd_cmd otd_cmd_payment;
extern const struct otd_cmd otd_cmd_plugin;
extern const struct otd_cmd otd_cmd_policy;
extern const struct otd_cmd otd_cmd_reload;
extern const struct otd_cmd otd_cmd_restore;
extern const struct otd_cmd otd_cmd_serve;
extern const struct otd_cmd otd_cmd_status;
extern const struct otd_cmd otd_cmd_upgrade;

#endif
