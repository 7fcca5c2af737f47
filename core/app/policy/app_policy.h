/*
 * Policy in the running pool: one set of scripts a reactor and one of the coordinator (policy/policy.h),
 * made out of `policies:` of the settings, changed all at once or not at all.
 */
#ifndef OTD_APP_APP_POLICY_H
#define OTD_APP_APP_POLICY_H

#include <jansson.h>

#include "base/bytes.h"
#include "config/settings.h"
#include "policy/policy.h"
#include "pool/payer/payer.h"
#include "stratum/stratum.h"

struct otd_app;
struct otd_app_policy;
struct otd_app_policy_change;
struct otd_control_request;

/* Reads the scripts, checks them, and what they have remembered. Blocks; at start, before the reactors
   are made. */
otd_rc otd_app_policy_create(struct otd_app *app, struct otd_err *err);
/* For the server of reactor number index, and once it is there. */
const struct otd_stratum_policy *otd_app_policy_of(struct otd_app *app, uint32_t index);
void otd_app_policy_attach(struct otd_app *app, uint32_t index, struct otd_loop *loop,
			   struct otd_stratum *stratum);
/* Fees are asked before the first share comes; after the accounting was started. */
otd_rc otd_app_policy_start(struct otd_app *app, struct otd_err *err);
/* After the reactors' threads have ended: what scripts remember is written. Blocks. */
void otd_app_policy_stop(struct otd_app *app);

/* The gate has turned one away, of too many of this address, on port number port. */
void otd_app_policy_flood(struct otd_app *app, uint32_t port, const char *host);

/* --- reload: prepare for all that may come, then commit or discard --- */

/* Reads and builds the scripts of these settings, which may go afterwards. Changes nothing; err names
   FILE:LINE. Blocks for some milliseconds a script. [any-thread] */
otd_rc otd_app_policy_prepare(struct otd_app *app, struct otd_app_policy_change **out,
			      const struct otd_settings *s, struct otd_err *err);
/* In force; what was applied by hand before is not any more. app->settings are the new ones already.
   [coordinator] */
void otd_app_policy_commit(struct otd_app *app, struct otd_app_policy_change *c);
void otd_app_policy_discard(struct otd_app_policy_change *c); /* takes NULL. [any-thread] */

/* The same without a pool, for `config check`: every script is read and built; problem() gets each that
   cannot be. */
otd_rc otd_app_policy_check(struct otd_env *e, const struct otd_settings *s,
			    otd_settings_problem_fn problem, void *arg);

/* --- money --- */

/* What this pool takes now: the policy's answer, else the fee by command, else yaml_ppm. What otd_accounting_fee() is to be
   told. [coordinator] */
int64_t otd_app_policy_fee(const struct otd_app *app, const char *pool, int64_t yaml_ppm);
/* What holds without a script has changed, from now on (app_fee.h); a script is asked again. */
void otd_app_policy_fee_base(struct otd_app *app, const char *pool, int64_t base_ppm);
struct otd_app_policy_fee_status {
	const char *by;              /* "policy", "override" (app_fee.h) or "settings" */
	const char *script, *reason; /* script: "" but of a policy; reason: "" of the settings */
	bool fallback;               /* the script fails; its last good answer holds */
};
void otd_app_policy_fee_status(const struct otd_app *app, const char *pool,
			       struct otd_app_policy_fee_status *out);
/* Who gets the fee by the policy's answer; 0: those of the settings. They live until the loop goes on. */
size_t otd_app_policy_recipients(const struct otd_app *app, const char *pool,
				 const struct otd_policy_recipient **out);
/* For the payer. */
const struct otd_payer_policy *otd_app_policy_payer(struct otd_app *app);

/* --- people --- */

/* The i-th thing that needs a person; NULL: there are no more. */
const char *otd_app_policy_trouble(const struct otd_app *app, size_t i);
/* Puts labels of scripts on the accounts of an answer ("accounts": [{"pool", "address", "workers":
   [{"name"}]}]), as "tag"; another answer stays as it is. */
void otd_app_policy_tags(struct otd_app *app, json_t *answer);
/* "status", "shadow FILE", ..: see app_policy_live.c. */
void otd_app_policy_request(struct otd_app *app, struct otd_control_request *r, const char *words);

#endif
