#include "pool/journal/record.h"

#include <stddef.h>

const char *otd_share_verdict_name(enum otd_share_verdict v)
{
	static const char *const names[OTD_SHARE_VERDICTS] = {
		[OTD_SHARE_ACCEPTED] = "accepted",
		[OTD_SHARE_STALE] = "stale",
		[OTD_SHARE_DUPLICATE] = "duplicate",
		[OTD_SHARE_LOW_DIFFICULTY] = "low-difficulty",
		[OTD_SHARE_UNAUTHORIZED] = "unauthorized",
		[OTD_SHARE_NOT_SUBSCRIBED] = "not-subscribed",
		[OTD_SHARE_MALFORMED] = "malformed",
		[OTD_SHARE_TIME] = "time",
		[OTD_SHARE_VERSION] = "version",
		[OTD_SHARE_UNAVAILABLE] = "unavailable",
	};
	if ((unsigned)v >= OTD_SHARE_VERDICTS)
		return "unknown";
	return names[v];
}

const char *otd_block_state_name(enum otd_block_state s)
{
	switch (s) {
	case OTD_BLOCK_CANDIDATE: return "candidate";
	case OTD_BLOCK_SUBMITTED: return "submitted";
	case OTD_BLOCK_ACCEPTED: return "accepted";
	case OTD_BLOCK_CONFIRMING: return "confirming";
	case OTD_BLOCK_MATURE: return "mature";
	case OTD_BLOCK_ORPHANED: return "orphaned";
	}
	return "unknown";
}
