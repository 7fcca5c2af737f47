/*
 * The verbs of `otedama policy`, alphabetical: each in cmd_policy_<verb>.c, with flags and --help of its
 * own, named "policy VERB". A new one is declared here and stands in the table of cmd_policy.c; usage
 * and --help follow.
 */
#ifndef OTD_APP_CMD_POLICY_H
#define OTD_APP_CMD_POLICY_H

#include "app/cmd/args.h"
#include "base/env.h"
#include "config/yaml.h"
#include "policy/policy.h"

extern const struct otd_cmd otd_policy_verb_check;
extern const struct otd_cmd otd_policy_verb_test;

/* One script from the command line, made into a set of both sides. */
struct otd_policy_tool {
	struct otd_env env; /* the real one, but for the time: */
	struct otd_env_ops ops;
	struct otd_env *real;
	int64_t now_ms; /* 0: the real time */
	struct otd_bytes text;
	struct otd_yaml_doc *options;
	struct otd_policy_asset assets[OTD_ARG_LIST_MAX];
	size_t n_assets;
	struct otd_policy_set *set;
};
/*
 * options: YAML of the script's options ("{vip: 0.5%}") or NULL; assets: "LTC=8", the decimals of coins that
 * the script may name; others have 8. finish() whatever comes back.
 */
OTD_WARN_UNUSED otd_rc otd_policy_tool_init(struct otd_policy_tool *t, const char *file,
					    const char *options, const struct otd_arg_list *assets,
					    struct otd_err *err);
void otd_policy_tool_finish(struct otd_policy_tool *t);

#endif
