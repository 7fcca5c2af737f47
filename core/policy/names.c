/* The words of hooks, as scripts write them. */
#include "policy/hooks.h"

const char *otd_policy_hook_name(enum otd_policy_hook h)
{
	static const char *const name[OTD_HOOKS] = {
		"on_connect", "on_authorize", "difficulty",     "on_offence",
		"fee",        "payout_terms", "review_payment", "on_block",
		"on_node",    "on_minute",    "choose_coin",    "trust",
	};
	return (unsigned)h < OTD_HOOKS ? name[h] : "unknown";
}

const char *otd_policy_offence_name(enum otd_policy_offence_kind k)
{
	static const char *const name[OTD_OFFENCE_KINDS] = {
		"malformed",    "stale",   "duplicate", "low_difficulty",
		"unauthorized", "invalid", "flood",     "handshake",
	};
	return (unsigned)k < OTD_OFFENCE_KINDS ? name[k] : "unknown";
}
